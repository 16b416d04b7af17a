"""`aks-audit config`: what `aks-audit.toml` says is checked, and its schema is printed for editors."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit.commands import FINDINGS, OK, UNUSABLE, UsageError
from aks_audit.commands.options import add_command, add_rules
from aks_audit.commands.output import print_bytes
from aks_audit.progress import Progress, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aks_audit.commands.options import Commands
    from aks_audit.config import Config
    from aks_audit.report import PolicyEntry

CHECK_EXAMPLES = """\
examples:
  aks-audit config check                            the nearest aks-audit.toml, from here up
  aks-audit config check --ahead 0 aks-audit.toml   say nothing of what expires later: as a hook before commits
  aks-audit config check --rules house              with decisions on your own rules in the folder house

exit codes:
  0  every entry is in force
  1  an exception has expired, or expires within so many days (--ahead)
  2  an entry is at fault and decides nothing, or the file cannot be read
"""

SCHEMA_EXAMPLES = """\
example, for editors with taplo, such as Even Better TOML:
  aks-audit config schema > aks-audit.schema.json
  and as the first line of aks-audit.toml:
  #:schema ./aks-audit.schema.json
"""


def add(commands: "Commands") -> None:
    """Put the commands on the parser."""
    config = commands.add_parser(
        "config", help="check aks-audit.toml, print its schema", description="Check aks-audit.toml, print its schema."
    )
    actions = config.add_subparsers(metavar="ACTION", required=True)
    check = add_command(
        actions,
        _check,
        "check",
        "check aks-audit.toml",
        "Check aks-audit.toml as of today: whether each entry is well formed, names a rule that there is, a file that\n"
        "is there, and has not expired. Prints what is wrong by file and line, and how to mend it.",
        CHECK_EXAMPLES,
    )
    check.add_argument(
        "file", nargs="*", type=Path, metavar="FILE", help="default: the nearest aks-audit.toml, from here up"
    )
    check.add_argument(
        "--ahead", type=_days, default=30, metavar="DAYS", help="announce what expires within so many (default: 30)"
    )
    add_rules(check)
    printed = add_command(
        actions,
        _schema,
        "schema",
        "print the JSON Schema of aks-audit.toml",
        "Print the JSON Schema of aks-audit.toml, with which editors complete and check it. It knows the rules that\n"
        "are installed, and those of --rules.",
        SCHEMA_EXAMPLES,
    )
    add_rules(printed)


_FAR = 366
"""No exception lasts longer, in days."""


def _days(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days, such as 30")
    return int(text)


def _check(arguments: argparse.Namespace, progress: Progress) -> int:
    from aks_audit import config  # noqa: PLC0415 - what only a check needs
    from aks_audit.engine import load_rules  # noqa: PLC0415

    nearest = config.find(Path.cwd()) if not arguments.file else None
    files = arguments.file or ([nearest] if nearest else [])
    if not files:
        raise UsageError(f"there is no {config.FILE_NAME} here or above; name one: aks-audit config check FILE")
    known = [rule.id for rule in load_rules(arguments.rules)]
    return max(_check_file(file, known, arguments.ahead, progress) for file in files)


def _check_file(file: Path, known: list[str], ahead: int, progress: Progress) -> int:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - what only a check needs

    from aks_audit import config, exceptions  # noqa: PLC0415

    read = config.read(file)
    today = datetime.now(UTC).date()
    told = exceptions.standing(read, known, today)
    faults = [*_faults(file, told), *_absent_files(file, read)]
    last = today + timedelta(days=min(ahead, _FAR))
    ending = [
        f"{file}:{entry.line}: exception of {one_line(entry.rule)}: {entry.says}; renew it, or take it out"
        for entry in told
        if entry.table == "exception" and entry.state != "malformed" and entry.expires <= last.isoformat()
    ]
    sys.stdout.writelines(f"{line}\n" for line in (*faults, *ending))
    count = f"{len(told)} {'entry' if len(told) == 1 else 'entries'}"
    progress.note(f"{file}: {count}, {len(faults)} at fault, {len(ending)} expired or soon to expire")
    return UNUSABLE if faults else FINDINGS if ending else OK


def _faults(file: Path, told: "tuple[PolicyEntry, ...]") -> "Iterator[str]":
    for entry in told:
        if entry.state == "malformed":
            about = entry.rule or entry.resource
            of = f" of {one_line(about)}" if about else ""
            yield f"{file}:{entry.line}: {entry.table}{of}: {one_line(entry.says)}"


def _absent_files(file: Path, read: "Config") -> "Iterator[str]":
    for source in read.sources:
        if source.entry and not _is_file(file.parent / source.entry.file):
            named = one_line(source.entry.file)
            yield f"{file}:{source.line}: source: there is no file {named} in the folder of {file.name}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _schema(arguments: argparse.Namespace, _progress: Progress) -> int:
    from aks_audit.config import schema  # noqa: PLC0415
    from aks_audit.engine import load_rules  # noqa: PLC0415

    print_bytes(schema([rule.id for rule in load_rules(arguments.rules)]))
    return OK
