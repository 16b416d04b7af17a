"""`aks-audit diff`: what moved between two audits."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit.commands import FINDINGS, INCOMPLETE, OK, UsageError
from aks_audit.commands.options import add_command, add_rules
from aks_audit.commands.output import colours, print_bytes, print_lines
from aks_audit.progress import Progress

if TYPE_CHECKING:
    from argparse import Namespace

    from aks_audit.commands.options import Commands
    from aks_audit.drift import Audit
    from aks_audit.scan import Wish

EXAMPLES = """\
examples:
  aks-audit diff yesterday/aks-audit.json today/aks-audit.json    two reports: findings, and the values they cite
  aks-audit diff yesterday.jsonl.gz today.jsonl.gz                two snapshots: every setting, too
  aks-audit diff last-release/aks-audit.json estate.jsonl --format markdown

A folder is the snapshot of all files in it. Snapshots are audited as of today, with the exceptions of aks-audit.toml.
What one of the two did not look at is never said to have come or gone.

exit codes:
  0  nothing moved, and both are complete
  1  something moved
  2  wrong usage, or input that cannot be read
  3  nothing moved as far as can be told: one of the two is incomplete
"""


def add(commands: "Commands") -> None:
    """Put the command on the parser."""
    diff = add_command(
        commands,
        _run,
        "diff",
        "say what moved between two audits",
        "Say what moved between two reports (aks-audit.json) or snapshots: settings that changed, findings that\n"
        "came and went, and what could be looked at.",
        EXAMPLES,
    )
    diff.add_argument("old", type=Path, metavar="OLD", help="a report, a snapshot, or a folder of snapshots")
    diff.add_argument("new", type=Path, metavar="NEW", help="the same, later")
    diff.add_argument("--format", choices=("text", "json", "markdown"), default="text", help="default: text")
    diff.add_argument(
        "--config", type=Path, metavar="FILE", help="for snapshots, instead of the nearest aks-audit.toml, from here up"
    )
    add_rules(diff)


def _run(arguments: "Namespace", _progress: Progress) -> int:
    from aks_audit import __version__  # noqa: PLC0415 - what only a comparison needs
    from aks_audit.drift import compare  # noqa: PLC0415
    from aks_audit.drift_reports import as_json, as_markdown, as_text  # noqa: PLC0415
    from aks_audit.report import Tool  # noqa: PLC0415

    wish = _wish(arguments)
    drift = compare(_audit(arguments.old, wish), _audit(arguments.new, wish), Tool("aks-audit", __version__))
    if arguments.format == "json":
        text = as_json(drift)
    elif arguments.format == "markdown":
        text = as_markdown(drift)
    else:
        text = as_text(drift, colour=colours(), width=shutil.get_terminal_size((100, 24)).columns)
    (print_bytes if arguments.format == "json" else print_lines)(text.encode())
    if drift.moved:
        return FINDINGS
    return OK if drift.old.complete and drift.new.complete else INCOMPLETE


def _wish(arguments: "Namespace") -> "Wish":
    from datetime import UTC, datetime  # noqa: PLC0415

    from aks_audit import config  # noqa: PLC0415
    from aks_audit.engine import load_rules  # noqa: PLC0415
    from aks_audit.scan import Wish  # noqa: PLC0415

    file = arguments.config or config.find(Path.cwd())
    return Wish(
        today=datetime.now(UTC).date(),
        config=config.read(file) if file else config.Config(),
        rules=load_rules(arguments.rules) if arguments.rules else (),
    )


def _audit(path: Path, wish: "Wish") -> "Audit":
    """The report of a file, or that of a snapshot, which is audited."""
    from aks_audit import baseline, snapshot  # noqa: PLC0415
    from aks_audit.drift import Audit  # noqa: PLC0415
    from aks_audit.scan import scan  # noqa: PLC0415

    if not path.exists():
        raise UsageError(f"{path}: no such file; name a report (aks-audit.json) or a snapshot")
    if not _is_snapshot(path):
        return Audit(baseline.read(path))
    recorded = snapshot.read([path])
    return Audit(scan(recorded, wish), recorded)


def _is_snapshot(path: Path) -> bool:
    """Whether a file is a snapshot by its name or its first line, or a folder of them."""
    import zlib  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from aks_audit import snapshot  # noqa: PLC0415

    if path.is_dir() or path.name.endswith((".jsonl", ".jsonl.gz")):
        return True
    try:
        first = msgspec.json.decode(next(snapshot.lines(path), b""))
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False  # what it is instead, the reader of reports says
    return isinstance(first, dict) and "kind" in first
