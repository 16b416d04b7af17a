"""What a history asks of a report, and no more of it: reports of whole fleets are large, and there are many."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from aks_audit.baseline import Parts
from aks_audit.history.model import HistoryError
from aks_audit.report import SCHEMA_VERSION
from aks_audit.results import Outcome, Severity
from aks_audit.snapshot import instant
from aks_audit.store.runs import REPORT, Run, fetch, lines
from aks_audit.store.store import Store

_Percent: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=100)]


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    """A part of a report; what else stands there is passed over."""


class _Scored(_Part, frozen=True):
    value: _Percent | None
    low: _Percent | None
    high: _Percent | None
    unknown: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Cluster(_Scored, frozen=True):
    id: str


class _Scores(_Part, frozen=True):
    overall: _Scored
    clusters: tuple[_Cluster, ...]


class _Finding(_Part, frozen=True, gc=False):
    clusters: tuple[str, ...]
    outcome: Outcome
    severity: Severity
    exception: dict[str, object] | None = None
    change: str | None = None


class _Fixed(_Part, frozen=True):
    severity: Severity


class _Comparison(_Part, frozen=True):
    fixed: tuple[_Fixed, ...]


class _Report(_Part, frozen=True):
    schema_version: str
    score: _Scores
    findings: tuple[_Finding, ...]
    comparison: _Comparison | None = None


_decoder = msgspec.json.Decoder(_Report)
_findings = msgspec.json.Decoder(_Finding)

_Alike: TypeAlias = Counter[tuple[str, bool, bool, tuple[str, ...]]]


class RunRow(msgspec.Struct, frozen=True):
    """A run, as a row of the database."""

    scope: str
    run: str
    finished: str
    complete: bool
    value: float | None
    low: float | None
    high: float | None
    unknown: int
    compared: bool


class ClusterRow(msgspec.Struct, frozen=True):
    """A cluster's score in a run; `cluster` is its id in lower case."""

    scope: str
    run: str
    cluster: str
    id: str
    value: float | None
    low: float | None
    high: float | None


class FailureRow(msgspec.Struct, frozen=True):
    """How many failures of a run have a severity and clusters in common, and whether they are accepted, and new."""

    scope: str
    run: str
    severity: str
    accepted: bool
    new: bool
    clusters: list[str]
    failures: int


class MendedRow(msgspec.Struct, frozen=True):
    """A failure of the baseline that a run saw mended."""

    scope: str
    run: str
    severity: str


class Rows(NamedTuple):
    """What a report gives."""

    run: RunRow
    clusters: list[ClusterRow]
    failures: list[FailureRow]
    mended: list[MendedRow]


def rows(store: Store, run: Run) -> Rows:
    """What a run's report gives.

    Raises:
        StoreError, HistoryError: it is not there, or is damaged, or of a later version.
    """
    path = f"{store.place}: {run.place.folder}/{REPORT}"
    report, alike = _decoded(lines(fetch(store, run, REPORT), path), path)
    scope, name = run.place.scope, run.place.run
    score, compared = report.score.overall, report.comparison is not None
    clusters = {one.id.lower(): one for one in report.score.clusters}
    return Rows(
        RunRow(
            scope,
            name,
            finished(run),
            run.manifest.complete,
            score.value,
            score.low,
            score.high,
            score.unknown,
            compared,
        ),
        [ClusterRow(scope, name, key, one.id, one.value, one.low, one.high) for key, one in clusters.items()],
        list(_failures(alike, scope, name)),
        [MendedRow(scope, name, one.severity) for one in (report.comparison.fixed if report.comparison else ())],
    )


def finished(run: Run) -> str:
    """The end of a run, RFC 3339 in UTC, so that texts sort as times do."""
    return instant(run.manifest.finished).astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _alike(findings: Iterable[_Finding]) -> _Alike:
    """How many failures have severity, whether they are accepted and new, and clusters in common."""
    return Counter(
        (one.severity.value, one.exception is not None, one.change == "new", one.clusters)
        for one in findings
        if one.outcome is Outcome.FAIL
    )


def _failures(alike: _Alike, scope: str, run: str) -> Iterator[FailureRow]:
    for (severity, accepted, new, clusters), failures in alike.items():
        ids = sorted({cluster.lower() for cluster in clusters})
        yield FailureRow(scope, run, severity, accepted, new, ids, failures)


def _decoded(of_report: Iterable[bytes], path: str) -> tuple[_Report, _Alike]:
    parts = Parts(of_report)
    try:
        alike = _alike(map(_findings.decode, parts.findings()))
        report = _decoder.decode(parts.rest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise HistoryError(f"{path}: is no report of aks-audit ({problem}); delete that run") from None
    if report.schema_version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise HistoryError(f"{path}: is of schema {report.schema_version!r}, this is {SCHEMA_VERSION}; renew aks-audit")
    return report, alike + _alike(report.findings)
