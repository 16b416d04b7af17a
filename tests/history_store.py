"""Stores with a history, made of reports as small as they can be."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from aks_audit.report import SCHEMA_VERSION
from aks_audit.store.runs import REPORT, SCHEMA, Draft, Manifest, Place, run_name
from aks_audit.store.store import Store

FIRST = datetime(2026, 9, 1, 2, tzinfo=UTC)


class Failure(NamedTuple):
    """A failure in a report."""

    severity: str
    clusters: tuple[str, ...]
    change: str | None = None
    accepted: bool = False


class Audit(NamedTuple):
    """What a report says: `clusters` are ids with their scores, `mended` severities, None without a baseline."""

    score: float | None
    clusters: dict[str, float | None]
    failures: tuple[Failure, ...] = ()
    mended: tuple[str, ...] | None = None
    unknown: int = 0
    complete: bool = True


def cluster(name: str, group: str = "rg") -> str:
    """The id of a cluster."""
    return f"/subscriptions/s/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}"


def keep(store: Store, day: int, audit: Audit, scope: str = "default") -> str:
    """Keep the run of so many days after the first, and give its name."""
    ended = FIRST + timedelta(days=day)
    draft = Draft(store, Place(scope, run_name(ended)))
    draft.add(REPORT, gzip.compress(json.dumps(_report(audit)).encode(), mtime=0))
    time = ended.isoformat().replace("+00:00", "Z")
    run = draft.place.run
    draft.finish(Manifest(SCHEMA, scope, run, "scan", None, "1", time, time, audit.complete, 0, files=()))
    return run


def _report(audit: Audit) -> dict[str, Any]:
    clusters = [{"id": one, **_score(value, 0)} for one, value in audit.clusters.items()]
    return {
        "schemaVersion": SCHEMA_VERSION,
        "score": {"overall": _score(audit.score, audit.unknown), "clusters": clusters, "checklists": []},
        "findings": [_finding(one) for one in audit.failures],
        "comparison": None if audit.mended is None else {"fixed": [{"severity": one} for one in audit.mended]},
    }


def _score(value: float | None, unknown: int) -> dict[str, Any]:
    if value is None:
        return {"value": None, "low": None, "high": None, "decided": 0, "unknown": unknown}
    low, high = max(0.0, value - unknown), min(100.0, value + unknown)
    return {"value": value, "low": low, "high": high, "decided": 10, "unknown": unknown}


def _finding(failure: Failure) -> dict[str, Any]:
    made = {"clusters": failure.clusters, "outcome": "fail", "severity": failure.severity, "evidence": [1, {}]}
    exception = {"exception": {"reason": "agreed"}} if failure.accepted else {}
    return {**made, **exception, **({"change": failure.change} if failure.change else {})}
