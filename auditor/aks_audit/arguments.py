"""The command's arguments, and the help that teaches them. Imports nothing that a command needs to run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from aks_audit import __version__

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - has no public name

SEVERITIES = ("critical", "high", "medium", "low", "info")

EXIT_CODES = """\
exit codes:
  0  no finding at or over the threshold (--fail-on), and everything in scope was read
  1  findings at or over the threshold
  2  wrong usage, or input that cannot be read
  3  incomplete: a rule or the program crashed, or something in scope could not be read (wins over 0, not over 1)
"""

SCAN_EXAMPLES = """\
examples:
  aks-audit scan --demo --output out                    audit the built-in sample estate
  aks-audit scan --snapshot estate.jsonl                audit a recorded estate, print the summary
  aks-audit scan --snapshot estate.jsonl --output out   also write aks-audit.html, .json and .sarif
  aks-audit scan --snapshot a.jsonl b.jsonl.gz --checklist azure-firewall-egress --fail-on medium

"""

IMPORT_EXAMPLES = """\
example:
  az aks show --resource-group GROUP --name NAME > aks.json
  aks-audit snapshot import aks.json -o estate.jsonl
  aks-audit scan --snapshot estate.jsonl
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command. `command` names what was asked for."""
    parser = argparse.ArgumentParser(
        prog="aks-audit",
        description="Tells the truth about Azure Kubernetes Service clusters: asks their recorded state\n"
        "the questions of the best-practice checklists, scores the answers, and reports.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"aks-audit {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_scan(commands)
    _add(commands, "rules", "list the rules", "List the rules, one a line.")
    explain = _add(
        commands,
        "explain",
        "explain a rule",
        "Why a rule matters, how it is decided, how to mend it.",
        "example:\n  aks-audit explain AKS-IAM-04",
    )
    explain.add_argument("rule", metavar="RULE", help="the rule's id, such as AKS-IAM-04")
    _add(commands, "checklists", "list the checklists", "List the checklists.")
    _add_import(commands)
    return parser


def _add(commands: "Commands", name: str, summary: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    added = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(command=name)
    return added


def _add_scan(commands: "Commands") -> None:
    scan = _add(
        commands,
        "scan",
        "audit an estate and report",
        "Audit an estate and report. Prints a summary; with --output also writes files.",
        SCAN_EXAMPLES + EXIT_CODES,
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


def _add_import(commands: "Commands") -> None:
    snapshot = commands.add_parser("snapshot", help="make snapshots", description="Make snapshots.")
    imported = _add(
        snapshot.add_subparsers(metavar="ACTION", required=True),
        "import",
        "make a snapshot of Azure JSON",
        "Make a snapshot of plain Azure JSON: a resource, a list, {'value': […]}, the output of\n"
        "az aks show and az network … list, Resource Graph rows; plain or gzipped. What the files\n"
        "refer to and do not hold is unknown in an audit.",
        IMPORT_EXAMPLES,
    )
    imported.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSON files, or folders of them")
    imported.add_argument("-o", "--output", type=Path, required=True, metavar="SNAPSHOT", help="the snapshot to write")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
