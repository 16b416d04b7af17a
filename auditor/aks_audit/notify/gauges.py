"""Gauges for Prometheus: those of the report, and of the run itself, in a file or pushed to a Pushgateway.

A run that made no report changes only what is told of the run: the last report's gauges stay, and so does the time of
the last success, by which alerts know that there was none since.

Sources: https://github.com/prometheus/pushgateway (API: text format 0.0.4, of which what we write is a part; PUT
replaces a group, POST what has the same names), and its `handler/push.go`; https://github.com/prometheus/node_exporter,
`collector/textfile.go` (files that end with .prom, each series once in all of them, no timestamps).
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from aks_audit.notify import NotifyError
from aks_audit.notify.client import Message, send
from aks_audit.notify.secrets import Address, secret
from aks_audit.report import Report
from aks_audit.snapshot import write_atomically
from aks_audit_reports.openmetrics import Metric, Sample, metrics, written

JOB = "aks-audit"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LARGEST = 256 * 1024 * 1024
_OF_THE_RUN = re.compile(r"^(?:# (?:TYPE|UNIT|HELP) )?aks_audit_run_\w+")
_OURS = re.compile(r"^(?:# (?:TYPE|UNIT|HELP) )?aks_audit_\w+")
_SUCCEEDED = re.compile(
    r"^aks_audit_run_success_timestamp_seconds(?:\{[^}]*\})? ([0-9]{1,12}(?:\.[0-9]{1,9})?)$", re.MULTILINE
)


class Ended(NamedTuple):
    """How a run ended: of which scope, when it began and ended, its exit code, whether its report is complete."""

    scope: str
    started: datetime
    finished: datetime
    exit_code: int
    complete: bool


def of_the_run(ended: Ended, succeeded: float | None) -> Iterator[Metric]:
    """The gauges of a run, and when the last one succeeded, where that is known."""
    for name, unit, says, value in (
        ("run_timestamp_seconds", "seconds", "When the last run ended", ended.finished.timestamp()),
        (
            "run_duration_seconds",
            "seconds",
            "How long the last run took",
            (ended.finished - ended.started).total_seconds(),
        ),
        ("run_exit_code", "", "The exit code of the last run", ended.exit_code),
        ("run_complete", "", "1 where the last run made a report of all in scope, else 0", int(ended.complete)),
        ("run_success_timestamp_seconds", "seconds", "When the last run ended that made such a report", succeeded),
    ):
        yield Metric(name, unit, says, [Sample({}, value)] if value is not None else [])


# --- a file


def write_file(path: Path, report: Report | None, ended: Ended) -> None:
    """Write the gauges for the textfile collector of node_exporter, each with the label `scope`.

    Raises:
        SnapshotError: the file cannot be written.
    """
    before = _earlier(path)
    found = _SUCCEEDED.search(before)
    succeeded = ended.finished.timestamp() if ended.complete else float(found[1]) if found else None
    labels = {"scope": ended.scope}
    run = written(of_the_run(ended, succeeded), labels)
    if report is not None:
        write_atomically(path, written(metrics(report), labels).removesuffix(b"# EOF\n") + run)
    else:
        kept = (line for line in before.splitlines() if _OURS.match(line) and not _OF_THE_RUN.match(line))
        write_atomically(path, "".join(f"{line}\n" for line in kept).encode() + run)


def _earlier(path: Path) -> str:
    """What the run before wrote; empty where there is nothing that it wrote whole."""
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST).decode()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if text.endswith("\n# EOF\n") else ""


# --- a Pushgateway


def credentials() -> Mapping[str, str]:
    """The header with which a Pushgateway that asks for a name and a password is told them; empty where there are none.

    Raises:
        NotifyError: one of the two is not there, or not usable.
    """
    user, password = secret("AKS_AUDIT_PUSHGATEWAY_USER"), secret("AKS_AUDIT_PUSHGATEWAY_PASSWORD")
    if user is None and password is None:
        return {}
    if user is None or password is None:
        raise NotifyError(
            "a Pushgateway takes AKS_AUDIT_PUSHGATEWAY_USER and AKS_AUDIT_PUSHGATEWAY_PASSWORD (or the same with "
            "_FILE), and one of the two is not set"
        )
    if ":" in user:
        raise NotifyError("AKS_AUDIT_PUSHGATEWAY_USER has a colon, which no name for basic authentication has")
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


async def push(to: Address, header: Mapping[str, str], report: Report | None, ended: Ended) -> None:
    """Push the gauges: the report's in place of all of the scope's, those of the run in a group of their own.

    Raises:
        NotifyError: the Pushgateway did not take them.
    """
    run = of_the_run(ended, ended.finished.timestamp() if ended.complete else None)
    if report is not None:
        await send(*_pushed(to, header, "PUT", {"scope": ended.scope}, metrics(report)))
    await send(*_pushed(to, header, "POST", {"scope": ended.scope, "about": "run"}, run))


def _pushed(
    to: Address, header: Mapping[str, str], method: str, group: Mapping[str, str], gauges: Iterable[Metric]
) -> tuple[Address, Message]:
    labels = "".join(f"/{quote(name, safe='')}/{quote(value, safe='')}" for name, value in group.items())
    url = f"{to.url.rstrip('/')}/metrics/job/{JOB}{labels}"
    return to._replace(url=url), Message(method, written(gauges), {"Content-Type": CONTENT_TYPE, **header})
