"""`aks-audit due`: what ends within a span, of each cluster."""

import argparse
import shutil
from typing import TYPE_CHECKING

from aks_audit.commands import FINDINGS, INCOMPLETE, OK
from aks_audit.commands.live import is_recorded, print_plan, refuse_what_is_live, snapshot_of
from aks_audit.commands.options import add_command, add_estate, add_rules
from aks_audit.commands.output import colours, print_bytes, print_lines
from aks_audit.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from aks_audit.commands.options import Commands
    from aks_audit.snapshot import Snapshot

EXAMPLES = """\
examples:
  aks-audit due                                       of all clusters that the signed-in identity sees
  aks-audit due --read kubernetes-versions --read app-credentials
                                                      also by AKS's own list, and of secrets
  aks-audit due --snapshot estate.jsonl --within 90d  of a recorded estate, in the next 90 days
  aks-audit due --demo --json

What is looked at: the Kubernetes version's support, components and images that are retired or retire, and credentials
whose end can be read. The days stand in one dated table; what has ended stands first. Days count from the day of what
was read, so that the same snapshot always gives the same answer. Exceptions of aks-audit.toml end nothing, and are not
asked.

exit codes:
  0  nothing is due, and all that was asked for is known
  1  something is due, or overdue
  2  wrong usage, or input that cannot be read
  3  nothing is due as far as is known: something was not read, or could not be decided
"""


def add(commands: "Commands") -> None:
    """Put the command on the parser."""
    due = add_command(
        commands,
        _run,
        "due",
        "what ends in the next 12 months",
        "What of each cluster has ended, or ends within a span: support of its Kubernetes version, components and\n"
        "images that retire, credentials.",
        EXAMPLES,
    )
    due.add_argument(
        "--within",
        type=_span,
        default="12m",
        metavar="SPAN",
        help="how far to look ahead: so many days, weeks, months or years, such as 90d, 8w, 6m or 2y (default: 12m)",
    )
    due.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    due.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    add_estate(due, "ask about the built-in sample estate")
    add_rules(due)


def _span(text: str) -> "Callable[[date], date]":
    from aks_audit.due import span  # noqa: PLC0415

    try:
        return span(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no span, such as 90d, 8w, 6m or 2y") from None


def _run(arguments: argparse.Namespace, progress: Progress) -> int:
    from aks_audit import report  # noqa: PLC0415
    from aks_audit.due import as_json, as_text, due  # noqa: PLC0415
    from aks_audit.engine import audit, load_rules  # noqa: PLC0415
    from aks_audit.facts import Estate  # noqa: PLC0415

    if is_recorded(arguments):
        refuse_what_is_live(arguments)
    elif arguments.dry_run:
        return print_plan(arguments, progress)
    recorded = snapshot_of(arguments, progress)
    rules = [rule for rule in load_rules(arguments.rules) if rule.dated]
    day = _day(recorded)
    estate = Estate(recorded)
    document = report.build(recorded, rules, audit(estate, rules), ())
    found = due(document, estate, day, arguments.within(day))
    if arguments.format == "json":
        print_bytes(as_json(found).encode())
    else:
        width = shutil.get_terminal_size((100, 24)).columns
        print_lines(as_text(found, colour=colours(), width=width).encode())
    if found.any:
        return FINDINGS
    return OK if found.complete else INCOMPLETE


def _day(recorded: "Snapshot") -> "date":
    """The day of a snapshot; today, where it does not say."""
    from datetime import UTC, date, datetime  # noqa: PLC0415

    return date.fromisoformat(recorded.finished[:10]) if recorded.finished else datetime.now(UTC).date()
