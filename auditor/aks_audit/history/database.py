"""The reports of many runs in one DuckDB, in memory, and what is asked of it. Needs duckdb (extra `history`)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from aks_audit.history.model import ClusterHistory, ClusterPoint, Counts, HistoryError, RunPoint, ScopeHistory, Score
from aks_audit.history.reports import Rows
from aks_audit.results import Severity

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SEVERITIES = tuple(severity.value for severity in Severity)

_SCORE = "value DOUBLE, low DOUBLE, high DOUBLE"
_TABLES = {
    "runs": "scope VARCHAR, run VARCHAR, finished VARCHAR, complete BOOLEAN, "
    f"{_SCORE}, unknown BIGINT, compared BOOLEAN",
    "clusters": f"scope VARCHAR, run VARCHAR, cluster VARCHAR, id VARCHAR, {_SCORE}",
    "failures": "scope VARCHAR, run VARCHAR, severity VARCHAR, accepted BOOLEAN, new BOOLEAN, clusters VARCHAR[], "
    "failures BIGINT",
    "mended": "scope VARCHAR, run VARCHAR, severity VARCHAR",
}


def _by_severity(condition: str = "true", counted: str = "failures") -> str:
    """A list of how many there are of each severity."""
    sums = (f"coalesce(sum({counted}) FILTER (severity = '{one}' AND {condition}), 0)" for one in SEVERITIES)
    return ", ".join(f"{one}::BIGINT" for one in sums)


_RUNS = f"""
WITH failed AS (
  SELECT scope, run, [{_by_severity("NOT accepted")}] AS counts, [{_by_severity("NOT accepted AND new")}] AS new,
         coalesce(sum(failures) FILTER (accepted), 0)::BIGINT AS accepted
  FROM failures GROUP BY scope, run
), ended AS (SELECT scope, run, [{_by_severity(counted="1")}] AS counts FROM mended GROUP BY scope, run
), seen AS (SELECT scope, run, count(*) AS clusters FROM clusters GROUP BY scope, run)
SELECT runs.scope, runs.run, runs.finished, runs.complete, runs.value, runs.low, runs.high, runs.unknown, runs.compared,
       coalesce(seen.clusters, 0), failed.counts, coalesce(failed.accepted, 0), failed.new, ended.counts
FROM runs LEFT JOIN failed USING (scope, run) LEFT JOIN ended USING (scope, run) LEFT JOIN seen USING (scope, run)
ORDER BY runs.scope, runs.finished, runs.run
"""  # noqa: S608 - the severities are ours

_CLUSTERS = f"""
WITH each AS (
  SELECT scope, run, severity, failures, unnest(clusters) AS cluster FROM failures WHERE NOT accepted
), failed AS (SELECT scope, run, cluster, [{_by_severity()}] AS counts FROM each GROUP BY scope, run, cluster)
SELECT clusters.scope, clusters.cluster, last_value(clusters.id) OVER of_cluster, clusters.run,
       clusters.value, clusters.low, clusters.high, failed.counts
FROM clusters JOIN runs USING (scope, run) LEFT JOIN failed USING (scope, run, cluster)
WINDOW of_cluster AS (
  PARTITION BY clusters.scope, clusters.cluster ORDER BY runs.finished, clusters.run
  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
)
ORDER BY clusters.scope, clusters.cluster, runs.finished, clusters.run
"""  # noqa: S608 - as above


def must_be_installed() -> None:
    """Raise HistoryError where duckdb is not installed."""
    from importlib.util import find_spec  # noqa: PLC0415

    if find_spec("duckdb") is None:
        raise HistoryError("a history needs duckdb, which is not installed: pip install 'aks-audit[history]'")


def scopes(of_runs: Iterable[Rows]) -> tuple[ScopeHistory, ...]:
    """The history of the scopes that the runs are of. One report at a time is in memory; rows go through files."""
    with TemporaryDirectory(prefix="aks-audit-history-") as folder:
        _write(Path(folder), of_runs)
        with _loaded(Path(folder)) as database:
            runs = _points(database.execute(_RUNS).fetchall())
            clusters = _clusters(database.execute(_CLUSTERS).fetchall())
    return tuple(ScopeHistory(scope, points, clusters.get(scope, ())) for scope, points in runs)


def _write(folder: Path, of_runs: Iterable[Rows]) -> None:
    encoder = msgspec.json.Encoder()
    with ExitStack() as stack:
        files: list[BinaryIO] = [stack.enter_context((folder / f"{table}.json").open("wb")) for table in _TABLES]
        for run, clusters, failures, mended in of_runs:
            tables: tuple[Sequence[object], ...] = ([run], clusters, failures, mended)
            for file, table in zip(files, tables, strict=True):
                file.write(encoder.encode_lines(table))


@contextmanager
def _loaded(folder: Path) -> "Iterator[DuckDBPyConnection]":
    """A database that has the rows, and reaches no file and no network any more."""
    import duckdb  # noqa: PLC0415 - an extra

    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    with duckdb.connect(":memory:", config=settings) as database:
        for table, columns in _TABLES.items():
            database.execute(f"CREATE TABLE {table} ({columns})")
            if (folder / f"{table}.json").stat().st_size:
                database.execute(f"COPY {table} FROM '{_quoted(folder / table)}.json' (FORMAT json, ARRAY false)")
        database.execute("SET enable_external_access = false")
        yield database


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _points(found: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, tuple[RunPoint, ...]]]:
    for scope, of_scope in groupby(found, key=lambda row: str(row[0])):
        yield scope, tuple(_point(*row[1:]) for row in of_scope)


def _point(  # noqa: PLR0913, PLR0917 - the columns
    run: str,
    finished: str,
    complete: bool,  # noqa: FBT001 - a column
    value: float | None,
    low: float | None,
    high: float | None,
    unknown: int,
    compared: bool,  # noqa: FBT001 - a column
    clusters: int,
    failures: list[int] | None,
    accepted: int,
    new: list[int] | None,
    mended: list[int] | None,
) -> RunPoint:
    return RunPoint(
        run=run,
        finished=finished,
        complete=complete,
        score=Score(value, low, high),
        clusters=clusters,
        failures=_counts(failures),
        accepted=accepted,
        unknown=unknown,
        new=_counts(new) if compared else None,
        mended=_counts(mended) if compared else None,
    )


def _clusters(found: Sequence[tuple[Any, ...]]) -> dict[str, tuple[ClusterHistory, ...]]:
    clusters: dict[str, list[ClusterHistory]] = {}
    for (scope, _), rows in groupby(found, key=lambda row: (str(row[0]), row[1])):
        of_cluster = list(rows)
        points = (
            ClusterPoint(run, Score(value, low, high), _counts(counts))
            for *_, run, value, low, high, counts in of_cluster
        )
        clusters.setdefault(scope, []).append(ClusterHistory(of_cluster[0][2], tuple(points)))
    return {scope: tuple(sorted(of_scope, key=_lowest)) for scope, of_scope in clusters.items()}


def _lowest(cluster: ClusterHistory) -> tuple[float, str]:
    value = cluster.runs[-1].score.value
    return (101.0 if value is None else value), cluster.id.lower()


def _counts(numbers: list[int] | None) -> Counts:
    return dict(zip(SEVERITIES, numbers or [0] * len(SEVERITIES), strict=True))
