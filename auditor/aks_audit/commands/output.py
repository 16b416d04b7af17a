"""How answers and files leave a command."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit.commands import UsageError
from aks_audit.progress import event, unobeyed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aks_audit.progress import Progress
    from aks_audit.report import Report, Reporter


FORMATS = {
    "console": "the summary, to the terminal",
    "html": "the whole report as one page that people forward",
    "json": "the whole report, for programs and as a baseline",
    "sarif": "failures for GitHub code scanning",
    "sarif-azuredevops": "failures for Advanced Security of Azure DevOps",
    "sarif-full": "all findings for what reads the whole of SARIF",
    "markdown": "a summary for a pipeline's job page or a comment",
    "csv": "a row for each finding, for spreadsheets",
    "junit": "a test case for each finding, for CI systems",
    "openmetrics": "gauges for dashboards and alerts",
    "ocsf": "compliance findings for SIEMs",
    "xlsx": "a workbook: summary, findings, fixes, checklists",
    "pdf": "the HTML report as Chromium prints it",
}
"""The formats that come with aks-audit, and what each is for."""

DEFAULT_FILES = ("console", "html", "json", "sarif")
"""What is made with a folder where no format is asked for."""


def must_hold(folder: Path, name: str) -> None:
    """Refuse at once what could not be written after a long scan."""
    if (folder / name).is_dir():
        raise UsageError(f"{folder / name}: is a folder; name a file in it")
    must_take_files(folder, folder / name)


def must_take_files(folder: Path, what: Path | None = None) -> None:
    """Refuse at once a folder that cannot be made or written in; `what` is what is to stand there."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir():
        raise UsageError(f"{what or folder}: cannot be written, {there} is a file; name another place")
    if not os.access(there, os.W_OK):
        raise UsageError(f"{what or folder}: cannot be written, {there} is not yours to write in; name another place")


def colours() -> bool:
    """Whether standard output is a terminal that shows colours, and nobody minds."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def print_bytes(data: bytes) -> None:
    """Write to standard output. A reader that has read enough does not change what the audit found."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        reader_left()


def print_lines(data: bytes) -> None:
    """Write lines for people to standard output: no name in them is a command to the agent that runs a pipeline."""
    print_bytes(unobeyed(data.decode(errors="surrogateescape")).encode(errors="surrogateescape"))


def reader_left() -> None:
    """Write what is still to be written to nowhere: whoever read standard output has read enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def reporters_of(wanted: tuple[str, ...] | None, output: Path | None, *, stored: bool = False) -> list["Reporter"]:
    """The reporters of the formats that are asked for: where none is the summary, and with a folder `DEFAULT_FILES`.

    Raises:
        UsageError: there is no such format, or several files have no folder to stand in, and are not `stored` either.
        ReportError: a format needs what is not installed.
    """
    import difflib  # noqa: PLC0415

    from aks_audit.installed import brought  # noqa: PLC0415

    installed = brought("aks_audit.reports")
    there = {entry.name: entry for entry in installed}
    if twice := sorted({entry.name for entry in installed if there[entry.name] != entry}):
        raise UsageError(f"two installed packages bring a format {twice[0]!r}; uninstall one of them")
    names = tuple(dict.fromkeys(wanted or (DEFAULT_FILES if output else DEFAULT_FILES[:1])))
    unknown = [name for name in names if name not in there]
    if unknown:
        meant = "".join(f"did you mean {name}? " for name in difflib.get_close_matches(unknown[0], there, 1))
        raise UsageError(f"no format {unknown[0]!r}; {meant}there are: {', '.join(sorted(there))}")
    reporters: list[Reporter] = [there[name].load() for name in names]
    _check(reporters)
    if output is None and not stored and len([r for r in reporters if r.file_name]) > 1:
        raise UsageError("more than one file format needs --output DIR")
    return reporters


def _check(reporters: list["Reporter"]) -> None:
    """Refuse at once what could not be rendered after a long scan."""
    from aks_audit.report import NeedyReporter  # noqa: PLC0415

    for reporter in reporters:
        if isinstance(reporter, NeedyReporter):
            reporter.check()


def deliver(
    document: "Report",
    reporters: list["Reporter"],
    output: Path | None,
    progress: "Progress",
    keep: "Callable[[str, Iterable[bytes]], None] | None" = None,
) -> None:
    """Write the reports: files into the folder and to whom keeps them, the rest to standard output.

    Raises:
        ReportError: one could not be made; the others are written.
    """
    from aks_audit.report import ReportError  # noqa: PLC0415
    from aks_audit.snapshot import write_atomically  # noqa: PLC0415

    colour = colours()
    problems: list[ReportError] = []
    for reporter in sorted(reporters, key=lambda reporter: reporter.file_name is None):
        try:
            pieces = _rendered(reporter, document, colour=colour and reporter.file_name is None)
        except ReportError as error:
            problems.append(error)
            continue
        if reporter.file_name is None:
            print_lines(b"".join(pieces()))
            continue
        if keep:
            keep(reporter.file_name, pieces())
        elif output is None:
            print_bytes(b"".join(pieces()))
        if output:
            path = output / reporter.file_name
            write_atomically(path, pieces())
            progress.note(event("wrote", f"wrote {path}", file=str(path)))
    for problem in problems:
        raise problem


def _rendered(reporter: "Reporter", document: "Report", *, colour: bool) -> "Callable[[], Iterable[bytes]]":
    """What gives a report piece by piece, as often as it is asked for.

    Raises:
        ReportError: it could not be made.
    """
    from aks_audit.report import LongReporter  # noqa: PLC0415

    if isinstance(reporter, LongReporter):
        return lambda: reporter.parts(document)
    whole = (reporter.render(document, colour=colour),)
    return lambda: whole
