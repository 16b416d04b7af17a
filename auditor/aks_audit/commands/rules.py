"""`aks-audit rules`, `explain` and `checklists`: what is asked, and why."""

import sys
from typing import TYPE_CHECKING

from aks_audit.commands import OK, UsageError
from aks_audit.commands.options import add_command
from aks_audit.progress import Progress

if TYPE_CHECKING:
    from argparse import Namespace

    from aks_audit.commands.options import Commands


def add(commands: "Commands") -> None:
    """Put the commands on the parser."""
    add_command(commands, _rules, "rules", "list the rules", "List the rules, one a line.")
    explain = add_command(
        commands,
        _explain,
        "explain",
        "explain a rule",
        "Why a rule matters, how it is decided, how to mend it.",
        "example:\n  aks-audit explain AKS-IAM-04",
    )
    explain.add_argument("rule", metavar="RULE", help="the rule's id, such as AKS-IAM-04")
    add_command(commands, _checklists, "checklists", "list the checklists", "List the checklists.")


def _rules(_arguments: "Namespace", _progress: Progress) -> int:
    from aks_audit.engine import load_rules  # noqa: PLC0415

    for rule in load_rules():
        sys.stdout.write(f"{rule.id}  {rule.text.severity:8}  {rule.text.title}\n")
    return OK


def _explain(arguments: "Namespace", _progress: Progress) -> int:
    from aks_audit.engine import load_rules  # noqa: PLC0415
    from aks_audit.explain import explain  # noqa: PLC0415

    rules = {rule.id.lower(): rule for rule in load_rules()}
    wanted = arguments.rule.lower()
    found = rules.get(wanted) or rules.get(f"aks-{wanted}")
    if not found:
        raise UsageError(f"no rule {arguments.rule!r}; `aks-audit rules` lists them")
    sys.stdout.write(explain(found.text))
    return OK


def _checklists(_arguments: "Namespace", _progress: Progress) -> int:
    from aks_audit.checklist import load_checklists  # noqa: PLC0415

    for checklist in load_checklists():
        sys.stdout.write(f"{checklist.name:26}  {len(checklist.item):3} items  {checklist.title}\n")
    return OK
