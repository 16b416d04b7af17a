"""The HTML report as a PDF, printed by a headless Chromium that is installed here.

This is the one report that starts another program. That program gets a folder of its own, which is removed; nothing of
the environment but where programs lie; no network; no shell; and a limited time, after which all that it started is
ended.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from aks_audit.report import Report, ReportError
from aks_audit_reports import html
from aks_audit_reports.summary import printable

VARIABLE = "AKS_AUDIT_CHROMIUM"
"""The environment variable that names the program, by its name on the PATH or as a file."""

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

SECONDS = 120.0
"""How long printing may take."""

TOLD = 500
"""How many characters of what a failed Chromium said are told."""

FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pdf-header-footer",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9",  # the port of the discard protocol, at which nothing answers
    "--virtual-time-budget=10000",  # the page's script has ended when it is printed
)


class PdfReporter:
    """Writes `aks-audit.pdf`."""

    file_name = "aks-audit.pdf"

    def check(self) -> None:
        """Raise ReportError where there is no Chromium."""
        _chromium()

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """The HTML report as Chromium prints it, dated by the scan; other versions of Chromium print other bytes.

        Raises:
            ReportError: there is no Chromium, or it does not print the report.
        """
        del colour  # a page has its own
        program = _chromium()
        page = html.REPORTER.render(report)
        with tempfile.TemporaryDirectory(prefix="aks-audit-", ignore_cleanup_errors=True) as folder:
            return _steady(_printed(program, page, Path(folder)), report.scan.finished)


def _chromium() -> str:
    """The program.

    Raises:
        ReportError: there is none.
    """
    named = os.environ.get(VARIABLE)
    for name in (named,) if named else NAMES:
        if found := shutil.which(name):
            return found
    missing = f"{VARIABLE} names {named!r}, which is" if named else f"{', '.join(NAMES)} are"
    raise ReportError(
        f"the format pdf needs Chromium to print, and {missing} no program here: install the package chromium, or "
        f"Google Chrome, or name the program in {VARIABLE}"
    )


def _printed(program: str, page: bytes, folder: Path) -> bytes:
    """The page as a PDF, made in this folder."""
    source, target, said = folder / "report.html", folder / "report.pdf", folder / "said.txt"
    source.write_bytes(page)
    command = [program, *_flags(folder), f"--print-to-pdf={target}", source.as_uri()]
    code = _run(command, folder, said)
    made = target.read_bytes() if target.is_file() else b""
    if code or not made.startswith(b"%PDF-") or b"%%EOF" not in made[-1024:]:
        words = " ".join(printable(said.read_text(encoding="utf-8", errors="replace")).split())
        what = f"ended with {code}" if code else "wrote no PDF"
        raise ReportError(f"the format pdf: {program} {what}; at the end it said: {words[-TOLD:] or 'nothing'}")
    return made


def _flags(folder: Path) -> Iterator[str]:
    yield from FLAGS
    yield f"--user-data-dir={folder / 'profile'}"
    if os.geteuid() == 0:
        yield "--no-sandbox"  # for root Chromium has none; the page is ours, and its policy lets nothing else run


def _run(command: list[str], folder: Path, said: Path) -> int:
    """Run a command that gets nothing of ours, end all that it started, and give its exit code."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }
    with (
        said.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - a list, no shell; the program is the one that this machine names
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise ReportError(f"the format pdf: {command[0]} did not print within {SECONDS:g} seconds") from None
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


_DATE = re.compile(rb"(/(?:Creation|Mod)Date \(D:)\d{14}(\+00'00'\))")
_NODE = re.compile(rb"\(node(\d{8})\)")


def _steady(made: bytes, moment: str | None) -> bytes:
    """The PDF with the time of the scan in place of now, and its nodes counted from 1.

    Chromium counts them with what it happens to make before. All stays as long as it is, so that the table of offsets
    holds, and in its order.
    """
    try:
        date = datetime.fromisoformat(moment or "").astimezone(UTC)
    except (ValueError, OverflowError):
        date = datetime(2000, 1, 1, tzinfo=UTC)
    dated = _DATE.sub(rb"\g<1>%s\g<2>" % date.strftime("%Y%m%d%H%M%S").encode(), made, count=2)
    numbers = {node: place for place, node in enumerate(sorted(set(_NODE.findall(dated))), 1)}
    return _NODE.sub(lambda found: b"(node%08d)" % numbers[found[1]], dated)


REPORTER = PdfReporter()
