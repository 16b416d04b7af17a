"""`aks-audit rules`, `explain` and `checklists`: what is asked, and why; and a new rule of one's own."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit.commands import OK, UsageError
from aks_audit.commands.options import add_command, add_rules
from aks_audit.progress import Progress

if TYPE_CHECKING:
    from argparse import Namespace

    from aks_audit.commands.options import Commands


RULES_EXAMPLES = """\
examples:
  aks-audit rules                     list the rules that are installed
  aks-audit rules --rules house       list those of the folder house, too
  aks-audit rules new HOUSE-NET-01 --dir house
"""


NEW = """\
Make a rule of your own that is asked at once: a module (or with --declarative a TOML file), cases that say what it must
answer, a page for your readers, and with the first rule of a folder the test that asks its rules about their cases.
Nothing that is there is overwritten."""


NEW_EXAMPLES = """\
examples:
  aks-audit rules new HOUSE-NET-01 --dir house
  aks-audit rules new HOUSE-TAG-01 --dir house --declarative
"""


def add(commands: "Commands") -> None:
    """Put the commands on the parser."""
    listing = add_command(
        commands,
        _rules,
        "rules",
        "list the rules, or make one",
        "List the rules, one a line; or make a rule of your own.",
        RULES_EXAMPLES,
    )
    add_rules(listing)
    made = listing.add_subparsers(title="commands", metavar="[new]")
    new = add_command(made, _new, "new", "make a rule of your own", NEW, NEW_EXAMPLES)
    new.add_argument("id", metavar="ID", help="its id, such as HOUSE-NET-01; ids that begin with AKS- are ours")
    new.add_argument(
        "--dir", type=Path, default=Path(), metavar="DIR", help="the folder of your rules (default: this one)"
    )
    new.add_argument("--declarative", action="store_true", help="in TOML and JMESPath, without code")
    explain = add_command(
        commands,
        _explain,
        "explain",
        "explain a rule",
        "Why a rule matters, how it is decided, how to mend it.",
        "example:\n  aks-audit explain AKS-IAM-04",
    )
    explain.add_argument("rule", metavar="RULE", help="the rule's id, such as AKS-IAM-04")
    add_rules(explain)
    add_command(commands, _checklists, "checklists", "list the checklists", "List the checklists.")


def _rules(arguments: "Namespace", _progress: Progress) -> int:
    from aks_audit.engine import load_rules  # noqa: PLC0415

    for rule in load_rules(arguments.rules):
        sys.stdout.write(f"{rule.id}  {rule.text.severity:8}  {rule.text.title}\n")
    return OK


def _new(arguments: "Namespace", _progress: Progress) -> int:
    from aks_audit.packs import scaffold  # noqa: PLC0415

    for path in scaffold.write(arguments.id, arguments.dir, declared=arguments.declarative):
        sys.stdout.write(f"wrote {path}\n")
    sys.stdout.write(f"try: pytest {arguments.dir} && aks-audit scan --demo --rules {arguments.dir}\n")
    return OK


def _explain(arguments: "Namespace", _progress: Progress) -> int:
    from aks_audit.engine import load_rules  # noqa: PLC0415
    from aks_audit.explain import explain  # noqa: PLC0415

    rules = {rule.id.lower(): rule for rule in load_rules(arguments.rules)}
    wanted = arguments.rule.lower()
    found = rules.get(wanted) or rules.get(f"aks-{wanted}")
    if not found:
        raise UsageError(f"no rule {arguments.rule!r}; `aks-audit rules` lists them")
    sys.stdout.write(explain(found.text))
    return OK


def _checklists(_arguments: "Namespace", _progress: Progress) -> int:
    from aks_audit.checklist import load_checklists  # noqa: PLC0415
    from aks_audit.engine import load_rules  # noqa: PLC0415
    from aks_audit.score import everything  # noqa: PLC0415

    for checklist in (*load_checklists(), everything(rule.text for rule in load_rules())):
        sys.stdout.write(f"{checklist.name:26}  {len(checklist.item):3} items  {checklist.title}\n")
    return OK
