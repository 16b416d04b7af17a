"""Rows for a table of Log Analytics, by the Logs Ingestion API: one for each run, one for each finding that moved.

Source: https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview (a POST of a JSON array to the
stream of a data collection rule, at most 1 MB a call, compressed or not, and 64 KB a value).
"""

import gzip
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from urllib.parse import quote, urlsplit

import msgspec

from aks_audit.drift import FindingMove
from aks_audit.notify import NotifyError
from aks_audit.notify.client import Message, send
from aks_audit.notify.news import Run, Since
from aks_audit.notify.secrets import Address, address, is_loopback
from aks_audit.progress import one_line
from aks_audit.report import Report
from aks_audit.results import Outcome, Severity
from aks_audit.sources.scrub import scrub_message

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

API_VERSION = "2023-01-01"

COLUMNS: Mapping[str, str] = {
    "TimeGenerated": "datetime",
    "Kind": "string",
    "Scope": "string",
    "Run": "string",
    "Scan": "string",
    "ToolVersion": "string",
    "Complete": "boolean",
    "Started": "datetime",
    "DurationSeconds": "real",
    "ExitCode": "int",
    "Score": "real",
    "ScoreLow": "real",
    "ScoreHigh": "real",
    "Clusters": "int",
    "Failures": "dynamic",
    "Accepted": "int",
    "Unknown": "int",
    "Change": "string",
    "Rule": "string",
    "RuleTitle": "string",
    "Severity": "string",
    "Resource": "string",
    "ClusterIds": "dynamic",
    "Outcome": "string",
    "OutcomeBefore": "string",
    "Message": "string",
    "MessageBefore": "string",
    "IsAccepted": "boolean",
    "Why": "string",
    "Fingerprint": "string",
}
"""The columns of the table and their types; `deploy/log-analytics.bicep` makes it."""

LARGEST_BATCH = 1_000_000
"""How many bytes a call may have before it is compressed."""

_LONGEST = 8_000
_LONGEST_ID = 500
_MOST_CLUSTERS = 100

Row: TypeAlias = dict[str, Any]


class Stream(NamedTuple):
    """Where rows go: the endpoint, the immutable id of the data collection rule, and the name of its stream."""

    endpoint: Address
    rule: str
    name: str


_CLOUDS = ("com", "us", "cn")


def endpoint(url: str) -> Address:
    """The address of an endpoint, which is Azure Monitor's: a token for it is not to come to others.

    Raises:
        NotifyError: it is another's, or no address.
    """
    found = address(url, "Log Analytics, of --log-analytics,", secret=False)
    host = urlsplit(url).hostname or ""
    if not host.endswith(tuple(f".ingest.monitor.azure.{cloud}" for cloud in _CLOUDS)) and not is_loopback(host):
        raise NotifyError(
            f"--log-analytics {one_line(url)}: is no endpoint of logs ingestion; the data collection rule has one, "
            "such as https://….westeurope-1.ingest.monitor.azure.com"
        )
    return found


def audience(url: str) -> str:
    """The scope of the token for an endpoint, which is its cloud's."""
    host = urlsplit(url).hostname or ""
    cloud = next((cloud for cloud in _CLOUDS if host.endswith(f".monitor.azure.{cloud}")), _CLOUDS[0])
    return f"https://monitor.azure.{cloud}/.default"


def rows(told: Since, run: Run) -> Iterator[Row]:
    """The row of the run, and those of the findings that moved; where there is no report before, of all failures."""
    now = told.now
    common = {
        "TimeGenerated": run.finished.isoformat(),
        "Scope": run.scope,
        "Run": run.name,
        "Scan": run.scan,
        "ToolVersion": now.tool.version,
        "Complete": now.scan.complete,
    }
    yield {**common, "Kind": "run", **_of_run(now, run)}
    for move in told.moves if told.before else _all_came(now):
        yield {**common, "Kind": "finding", **_of_finding(move)}


def _of_run(now: Report, run: Run) -> Row:
    overall = now.score.overall
    failures = now.failures()
    return {
        "Started": run.started.isoformat(),
        "DurationSeconds": (run.finished - run.started).total_seconds(),
        "ExitCode": run.exit_code,
        "Score": overall.value,
        "ScoreLow": overall.low,
        "ScoreHigh": overall.high,
        "Clusters": len(now.clusters),
        "Failures": {severity: sum(one.severity is severity for one in failures) for severity in Severity},
        "Accepted": len(now.accepted()),
        "Unknown": now.coverage.unknown,
    }


def _of_finding(move: FindingMove) -> Row:
    return {
        "Change": move.move,
        "Rule": _text(move.rule),
        "RuleTitle": _text(move.title),
        "Severity": move.severity,
        "Resource": _text(move.resource),
        "ClusterIds": [one[:_LONGEST_ID] for one in move.clusters[:_MOST_CLUSTERS]],
        "Outcome": move.outcomes[1],
        "OutcomeBefore": move.outcomes[0],
        "Message": _text(move.messages[1]),
        "MessageBefore": _text(move.messages[0]),
        "IsAccepted": move.accepted[1],
        "Why": move.why,
        "Fingerprint": _text(move.fingerprint),
    }


def _all_came(now: Report) -> Iterator[FindingMove]:
    titles = {rule.id: rule.title for rule in now.rules}
    for found in now.findings:
        if found.outcome is Outcome.FAIL:
            yield FindingMove(
                move="came",
                rule=found.rule,
                title=titles.get(found.rule, found.rule),
                severity=found.severity,
                resource=found.resource,
                clusters=found.clusters,
                outcomes=(None, found.outcome),
                messages=(None, found.message),
                accepted=(False, bool(found.exception)),
                why=None,
                evidence=(),
                fingerprint=found.fingerprint,
            )


def _text(hostile: str | None) -> str | None:
    return None if hostile is None else scrub_message(hostile)[:_LONGEST]


def batches(all_rows: Iterable[Row], largest: int = LARGEST_BATCH) -> Iterator[bytes]:
    """The rows as JSON arrays of at most so many bytes, each row whole in one."""
    batch: list[bytes] = []
    size = 2
    for row in all_rows:
        told = msgspec.json.encode({name: value for name, value in row.items() if value is not None})
        if batch and size + len(told) + 1 > largest:
            yield b"[" + b",".join(batch) + b"]"
            batch, size = [], 2
        batch.append(told)
        size += len(told) + 1
    if batch:
        yield b"[" + b",".join(batch) + b"]"


async def upload(stream: Stream, credential: "AsyncTokenCredential", all_rows: Iterable[Row]) -> int:
    """Send the rows, and give how many calls it took.

    Raises:
        NotifyError: they did not all arrive, or nobody is signed in.
    """
    token = await _token(credential, audience(stream.endpoint.url))
    path = f"dataCollectionRules/{quote(stream.rule, safe='')}/streams/{quote(stream.name, safe='')}"
    url = f"{stream.endpoint.url.rstrip('/')}/{path}?api-version={API_VERSION}"
    headers = {
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
        "Authorization": f"Bearer {token}",
    }
    sent = 0
    for batch in batches(all_rows):
        await send(stream.endpoint._replace(url=url), Message("POST", gzip.compress(batch, mtime=0), headers))
        sent += 1
    return sent


async def _token(credential: "AsyncTokenCredential", scope: str) -> str:
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - only who sends rows needs the SDK

    try:
        return (await credential.get_token(scope)).token
    except (AzureError, OSError, ValueError) as problem:
        said = scrub_message(str(problem)) or type(problem).__name__
        raise NotifyError(f"Log Analytics could not be told: cannot sign in: {said}") from None
