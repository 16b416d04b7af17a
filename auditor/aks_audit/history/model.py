"""The history of scopes: the answer, as it is told in JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

import msgspec

from aks_audit.errors import AuditError
from aks_audit.report import Tool
from aks_audit.results import Record

SCHEMA = "aks-audit/history/1"

_GROUP = 4
"""Where the name of the group stands in the id of a cluster."""

Counts: TypeAlias = dict[str, int]
"""How many of each severity."""


class HistoryError(AuditError):
    """A history that cannot be told; the message says why, and what to do."""


class Score(Record, frozen=True):
    """A score in percent, and what it would be in the worst and the best case."""

    value: float | None
    low: float | None
    high: float | None


class RunPoint(Record, frozen=True):
    """A run. `failures` are those that nobody accepted; `unknown` counts questions that could not be decided.

    `new` and `mended` are held against the run's baseline, and null where it had none.
    """

    run: str
    finished: str
    complete: bool
    score: Score
    clusters: int
    failures: Counts
    accepted: int
    unknown: int
    new: Counts | None
    mended: Counts | None


class ClusterPoint(Record, frozen=True):
    """A cluster in a run."""

    run: str
    score: Score
    failures: Counts


class ClusterHistory(Record, frozen=True):
    """A cluster in the runs that saw it, in their order."""

    id: str
    runs: tuple[ClusterPoint, ...]


class ScopeHistory(Record, frozen=True):
    """A scope: its runs in order of their ends, and its clusters, the lowest score first."""

    scope: str
    runs: tuple[RunPoint, ...]
    clusters: tuple[ClusterHistory, ...]

    def seen_before(self, cluster: ClusterHistory) -> str:
        """The last run that saw a cluster, where the scope's last did not: what is told of it is not of now."""
        last = cluster.runs[-1].run
        return "" if last == self.runs[-1].run else last


class History(Record, frozen=True):
    """The history of a store's scopes. `unread` counts runs whose reports could not be used."""

    schema: str
    tool: Tool
    scopes: tuple[ScopeHistory, ...]
    unread: int


def total(counts: Mapping[str, int]) -> int:
    """How many of all severities."""
    return sum(counts.values())


def as_json(history: History) -> str:
    """The history as indented JSON."""
    return (msgspec.json.format(msgspec.json.encode(history), indent=2) + b"\n").decode()


def only(scopes: Sequence[ScopeHistory], wanted: Sequence[str]) -> tuple[ScopeHistory, ...]:
    """The scopes with those clusters alone whose id or name is wanted, or fits a glob that is."""
    told = [one.lower() for one in wanted]

    def fits(cluster: ClusterHistory) -> bool:
        known = cluster.id.lower(), cluster.id.lower().rpartition("/")[2]
        return any(fnmatchcase(one, glob) for one in known for glob in told)

    return tuple(
        msgspec.structs.replace(scope, clusters=tuple(one for one in scope.clusters if fits(one))) for scope in scopes
    )


def names(clusters: Sequence[ClusterHistory]) -> list[str]:
    """What the clusters are called: by name, by group and name, or by id, whichever is the shortest that tells them."""
    parts = [cluster.id.rstrip("/").split("/") for cluster in clusters]
    short = [one[-1] for one in parts]
    longer = [f"{one[_GROUP]}/{one[-1]}" if len(one) > _GROUP else one[-1] for one in parts]
    alone = [{name for name, times in Counter(called).items() if times == 1} for called in (short, longer)]
    return [
        a if a in alone[0] else b if b in alone[1] else cluster.id
        for a, b, cluster in zip(short, longer, clusters, strict=True)
    ]
