"""The command `aks-audit`: its parser, its streams and what ends it; `commands` has what it can do."""

import argparse
import gc
import io
import os
import sys
import traceback
from collections.abc import Sequence
from errno import EFBIG, ENOSPC
from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit import __version__
from aks_audit.commands import (
    EXIT_CODES,
    INCOMPLETE,
    LOCKED,
    OK,
    UNUSABLE,
    collect,
    completion,
    config,
    diff,
    due,
    history,
    merge,
    path,
    permissions,
    reach,
    rules,
    scan,
    snapshot,
)
from aks_audit.commands.output import reader_left
from aks_audit.errors import AuditError, BusyError
from aks_audit.progress import Progress, event

if TYPE_CHECKING:
    from aks_audit.commands.options import Run

_LAST_LINES = 40

_OBJECTS_TO_A_COLLECTION = 50_000
"""So many objects are made between two searches for garbage, which what is imported and read has next to none of."""


def command() -> int:
    """Run the command as the installed program does: its own faults end with INCOMPLETE, never with Python's 1.

    In a pipeline 1 says that the audit was made and found something.
    """
    gc.set_threshold(_OBJECTS_TO_A_COLLECTION)
    _open_streams()
    progress = Progress(hide=_scrubbed)
    try:
        arguments = parser().parse_args()
        progress = _progress(arguments)
        progress.hear()
        return _told(arguments, progress)
    except Exception:  # noqa: BLE001 - whatever it is, it must not look like a finding
        fault = _scrubbed("\n".join(traceback.format_exc().splitlines()[-_LAST_LINES:]))
        progress.error(f"{fault}\na fault of aks-audit, or of a package installed beside it; please report it")
        return INCOMPLETE


def _scrubbed(text: str) -> str:
    from aks_audit.sources.scrub import scrub_message  # noqa: PLC0415 - most commands have nothing to scrub

    return scrub_message(text)


def _open_streams() -> None:
    """Give a service without standard streams some, and let no terminal's encoding end the command."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the process ends
            setattr(sys, name, nowhere)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, else the process's own, and give its exit code."""
    arguments = parser().parse_args(argv)
    return _run(arguments, _progress(arguments))


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command; `run` runs what was asked for."""
    parser = argparse.ArgumentParser(
        prog="aks-audit",
        description="Tells the truth about Azure Kubernetes Service clusters: asks their live or recorded state\n"
        "the questions of the best-practice checklists, scores the answers, and reports.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"aks-audit {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (
        scan,
        rules,
        path,
        reach,
        due,
        collect,
        merge,
        history,
        snapshot,
        permissions,
        config,
        diff,
        completion,
    ):
        command.add(commands)
    return parser


def _told(arguments: argparse.Namespace, progress: Progress) -> int:
    """Run what was asked for; a job's log has where it begins, and how it ends."""
    name = arguments.run.__module__.rpartition(".")[2]
    version = f"aks-audit {__version__}"
    progress.record(event("started", f"{version}: {name}", command=name, version=__version__))
    code = _run(arguments, progress)
    progress.record(event("finished", f"{name} ends with exit code {code}", **{**progress.state, "exit_code": code}))
    return code


def _run(arguments: argparse.Namespace, progress: Progress) -> int:
    run: Run = arguments.run
    try:
        return _flushed(run(arguments, progress))
    except BrokenPipeError:
        reader_left()
        return OK
    except KeyboardInterrupt:
        progress.error("interrupted")
    except BusyError as error:
        progress.error(str(error))
        return LOCKED
    except (AuditError, OSError) as error:
        progress.error(_of_output(error) or str(error))
    return UNUSABLE


def _flushed(code: int) -> int:
    """The exit code, once all that was printed has left, for whoever prints learns only then that there is no room."""
    sys.stdout.flush()
    return code


def _of_output(error: Exception) -> str | None:
    """What to say of a full disk that standard output leads to: an error without a file, unlike those of files."""
    if not isinstance(error, OSError) or error.filename or error.errno not in {ENOSPC, EFBIG}:
        return None
    reader_left()  # what is still to be written would be an error once more when Python ends
    return f"standard output: cannot be written ({error.strerror}); make room"


def _progress(arguments: argparse.Namespace) -> Progress:
    """As the arguments ask for it; most commands have none that do."""
    return Progress(
        form=getattr(arguments, "log_format", "text"),
        verbose=getattr(arguments, "verbose", False),
        quiet=getattr(arguments, "quiet", False),
        hide=_scrubbed,
    )
