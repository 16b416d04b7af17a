"""The history as tables for a terminal."""

from collections.abc import Iterator, Sequence

from aks_audit.history.model import ClusterHistory, History, RunPoint, ScopeHistory, Score, names, total
from aks_audit.progress import one_line, printable

MOST_CLUSTERS = 20
"""How many clusters of a scope are shown; the others are counted."""

NONE = "\N{EN DASH}"
"""Stands where there is no number."""

_BARS = "▁▂▃▄▅▆▇█"
_LINE = 30
"""How many runs a line of bars has at most: the last ones."""

_NAME = 32
_SEVERITIES = {"critical": "crit", "high": "high", "medium": "med", "low": "low", "info": "info"}


def as_text(history: History) -> str:
    """The history, a part for each scope."""
    return printable("\n".join("\n".join(_scope(scope)) + "\n" for scope in history.scopes))


def _scope(scope: ScopeHistory) -> Iterator[str]:
    first, last = scope.runs[0], scope.runs[-1]
    runs = f"{len(scope.runs):,} run{'s' * (len(scope.runs) != 1)}"
    yield f"{scope.scope}: {runs}, {first.finished[:10]} to {last.finished[:10]}"
    yield f"Score  {moved(first.score, last.score)}  {bars([run.score for run in scope.runs])}"
    yield ""
    yield from _table(_RUN, [_run(run) for run in scope.runs])
    yield ""
    shown = scope.clusters[:MOST_CLUSTERS]
    called = names(scope.clusters)
    yield from _table(_CLUSTER, [_cluster(scope, name, one) for name, one in zip(called, shown, strict=False)])
    if more := len(scope.clusters) - len(shown):
        yield f"and {more:,} more, whose scores are higher; --cluster names those to show, --format json has all"


_RUN = ("Run", "Finished", "Score", *(name.rjust(5) for name in _SEVERITIES.values()), "  New", "Mended", "Unknown", "")


def _run(run: RunPoint) -> Sequence[str]:
    return (
        run.run,
        run.finished[:16].replace("T", " "),
        percent(run.score).rjust(7) + (f" ({interval})" if (interval := between(run.score)) else ""),
        *(f"{run.failures[name]:>5,}" for name in _SEVERITIES),
        NONE.rjust(5) if run.new is None else f"{total(run.new):>5,}",
        NONE.rjust(6) if run.mended is None else f"{total(run.mended):>6,}",
        f"{run.unknown:>7,}",
        "" if run.complete else "incomplete",
    )


_CLUSTER = ("Cluster, lowest score first", "Score", *(name.rjust(5) for name in _SEVERITIES.values()), "", "")


def _cluster(scope: ScopeHistory, name: str, cluster: ClusterHistory) -> Sequence[str]:
    first, last = cluster.runs[0], cluster.runs[-1]
    name = one_line(name)
    return (
        name if len(name) <= _NAME else f"…{name[1 - _NAME :]}",
        moved(first.score, last.score),
        *(f"{last.failures[one]:>5,}" for one in _SEVERITIES),
        bars([point.score for point in cluster.runs]),
        f"last seen in {before}" if (before := scope.seen_before(cluster)) else "",
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def percent(score: Score) -> str:
    """A score in words."""
    return NONE if score.value is None else f"{score.value:.1f} %"


def between(score: Score) -> str:
    """The worst and the best case of a score, nothing where there is no doubt."""
    if score.low is None or score.high is None or score.low == score.high:
        return ""
    return f"{score.low:.1f} to {score.high:.1f}"


def moved(first: Score, last: Score) -> str:
    """How a score moved."""
    if first.value is None or last.value is None or first.value == last.value:
        return percent(last)
    return f"{percent(last)} ({last.value - first.value:+.1f})"


def bars(scores: Sequence[Score]) -> str:
    """The last scores as bars, between the lowest and the highest of them; a space where nothing was decided."""
    values = [score.value for score in scores[-_LINE:]]
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    height = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if value is None else _BARS[round((value - low) * height)] for value in values)
