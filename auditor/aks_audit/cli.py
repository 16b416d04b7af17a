"""The command `aks-audit`: parse, wire, exit code; nothing else. What a command needs is imported when it runs."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit import __version__
from aks_audit.errors import AuditError

if TYPE_CHECKING:
    from aks_audit.report import Report, Reporter

SEVERITIES = ("critical", "high", "medium", "low", "info")

OK, FINDINGS, UNUSABLE, INCOMPLETE = range(4)

EXIT_CODES = """\
exit codes:
  0  no finding at or over the threshold (--fail-on), and everything in scope was read
  1  findings at or over the threshold
  2  wrong usage, or input that cannot be read
  3  incomplete: a rule crashed, or something in scope could not be read (wins over 0, not over 1)
"""

SCAN_EXAMPLES = """\
examples:
  aks-audit scan --demo --output out                    audit the built-in sample estate
  aks-audit scan --snapshot estate.jsonl                audit a recorded estate, print the summary
  aks-audit scan --snapshot estate.jsonl --output out   also write aks-audit.html, .json and .sarif
  aks-audit scan --snapshot a.jsonl b.jsonl.gz --checklist azure-firewall-egress --fail-on medium

"""


class UsageError(AuditError):
    """A request that cannot be served; the message says what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return _refuse("interrupted")
    except (AuditError, OSError) as error:
        return _refuse(str(error))


def _refuse(message: str) -> int:
    sys.stderr.write(f"aks-audit: error: {_printable(message)}\n")
    return UNUSABLE


def _printable(text: str) -> str:
    """Text from a file or a cluster, without what a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aks-audit",
        description="Tells the truth about Azure Kubernetes Service clusters: asks their recorded state the questions "
        "of the best-practice checklists, scores the answers, and reports.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"aks-audit {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    scan = commands.add_parser(
        "scan",
        help="audit an estate and report",
        description="Audit an estate and report. Prints a summary; with --output also writes files.",
        epilog=SCAN_EXAMPLES + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = scan.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--snapshot",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="snapshot files (.jsonl, .jsonl.gz), or folders of them",
    )
    source.add_argument("--demo", action="store_true", help="audit the built-in sample estate")
    scan.add_argument("--output", type=Path, metavar="DIR", help="write the reports here (made if missing)")
    scan.add_argument(
        "--format",
        type=_names,
        metavar="F[,F]",
        help="what to make: console, html, json, sarif (default: console, and with --output all of them)",
    )
    scan.add_argument(
        "--checklist",
        action="append",
        default=[],
        metavar="NAME",
        help="ask only what this checklist asks (repeatable; `aks-audit checklists` lists them)",
    )
    scan.add_argument(
        "--fail-on",
        choices=SEVERITIES,
        default="high",
        help="exit with 1 on failures this severe or worse (default: high)",
    )
    scan.set_defaults(command=_scan)

    rules = commands.add_parser("rules", help="list the rules", description="List the rules, one a line.")
    rules.set_defaults(command=_rules)

    explain = commands.add_parser(
        "explain",
        help="explain a rule",
        description="Why a rule matters, how it is decided, how to mend it.",
        epilog="example:\n  aks-audit explain AKS-IAM-04",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    explain.add_argument("rule", metavar="RULE", help="the rule's id, such as AKS-IAM-04")
    explain.set_defaults(command=_explain)

    checklists = commands.add_parser("checklists", help="list the checklists", description="List the checklists.")
    checklists.set_defaults(command=_checklists)

    snapshot = commands.add_parser("snapshot", help="make snapshots", description="Make snapshots.")
    actions = snapshot.add_subparsers(metavar="ACTION", required=True)
    imported = actions.add_parser(
        "import",
        help="make a snapshot of Azure JSON",
        description="Make a snapshot of plain Azure JSON: a resource, a list, {'value': […]}, the output of az aks "
        "show and az network … list, Resource Graph rows; plain or gzipped. What the files refer to and do not hold "
        "is unknown in an audit.",
        epilog="example:\n  az aks show --resource-group GROUP --name NAME > aks.json\n"
        "  aks-audit snapshot import aks.json -o estate.jsonl\n  aks-audit scan --snapshot estate.jsonl",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    imported.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSON files, or folders of them")
    imported.add_argument("-o", "--output", type=Path, required=True, metavar="SNAPSHOT", help="the snapshot to write")
    imported.set_defaults(command=_import)
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _scan(arguments: argparse.Namespace) -> int:
    from aks_audit import engine, report, snapshot  # noqa: PLC0415 - only a scan needs them
    from aks_audit.checklist import choose, load_checklists  # noqa: PLC0415
    from aks_audit.facts import Estate  # noqa: PLC0415
    from aks_audit.results import Severity  # noqa: PLC0415

    reporters = _reporters(arguments.format, arguments.output)
    checklists = choose(load_checklists(), tuple(arguments.checklist))
    recorded = snapshot.read([_demo()] if arguments.demo else arguments.snapshot)
    rules = engine.load_rules()
    if arguments.checklist:
        asked = {item.rule for checklist in checklists for item in checklist.item}
        rules = tuple(rule for rule in rules if rule.id in asked)
    findings = engine.audit(Estate(recorded), rules)
    document = report.build(recorded, rules, findings, checklists)
    _deliver(document, reporters, arguments.output)
    if document.failures(Severity(arguments.fail_on)):
        return FINDINGS
    return OK if document.scan.complete else INCOMPLETE


def _demo() -> Path:
    return Path(__file__).parent / "demo" / "estate.jsonl"


def _reporters(wanted: tuple[str, ...] | None, output: Path | None) -> list["Reporter"]:
    import importlib.metadata  # noqa: PLC0415

    there = {entry.name: entry for entry in importlib.metadata.entry_points(group="aks_audit.reports")}
    names = wanted or (tuple(sorted(there)) if output else ("console",))
    unknown = [name for name in names if name not in there]
    if unknown:
        raise UsageError(f"no format {unknown[0]!r}; there are: {', '.join(sorted(there))}")
    reporters: list[Reporter] = [there[name].load() for name in names]
    if output is None and len([r for r in reporters if r.file_name]) > 1:
        raise UsageError("more than one file format needs --output DIR")
    return reporters


def _deliver(document: "Report", reporters: list["Reporter"], output: Path | None) -> None:
    from aks_audit.snapshot import write_atomically  # noqa: PLC0415

    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    for reporter in sorted(reporters, key=lambda reporter: reporter.file_name is None):
        data = reporter.render(document, colour=colour and reporter.file_name is None)
        if reporter.file_name is None or output is None:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            path = output / reporter.file_name
            write_atomically(path, data)
            sys.stderr.write(f"wrote {path}\n")


def _rules(_arguments: argparse.Namespace) -> int:
    from aks_audit.engine import load_rules  # noqa: PLC0415

    for rule in load_rules():
        sys.stdout.write(f"{rule.id}  {rule.text.severity:8}  {rule.text.title}\n")
    return OK


def _explain(arguments: argparse.Namespace) -> int:
    from aks_audit.engine import load_rules  # noqa: PLC0415
    from aks_audit.explain import explain  # noqa: PLC0415

    rules = {rule.id.lower(): rule for rule in load_rules()}
    wanted = arguments.rule.lower()
    found = rules.get(wanted) or rules.get(f"aks-{wanted}")
    if not found:
        raise UsageError(f"no rule {arguments.rule!r}; `aks-audit rules` lists them")
    sys.stdout.write(explain(found.text))
    return OK


def _checklists(_arguments: argparse.Namespace) -> int:
    from aks_audit.checklist import load_checklists  # noqa: PLC0415

    for checklist in load_checklists():
        sys.stdout.write(f"{checklist.name:26}  {len(checklist.item):3} items  {checklist.title}\n")
    return OK


def _import(arguments: argparse.Namespace) -> int:
    from aks_audit.snapshot import write  # noqa: PLC0415
    from aks_audit.sources.azure_json import read_files  # noqa: PLC0415

    imported = read_files(arguments.files)
    write(arguments.output, imported.records)
    for note in imported.notes:
        sys.stderr.write(f"aks-audit: {_printable(note)}\n")
    sys.stderr.write(f"wrote {arguments.output}: {imported.summary}\n")
    return INCOMPLETE if imported.damaged else OK
