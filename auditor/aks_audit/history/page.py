"""The history as one HTML page that asks nothing of any network and runs no script, in the style of the report."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from markupsafe import Markup

from aks_audit.history.model import ClusterHistory, History, RunPoint, ScopeHistory, names, total
from aks_audit.history.plots import change_plot, score_plot, severity_plot, spark, times
from aks_audit.history.text import between, moved, percent
from aks_audit.results import Severity
from aks_audit_reports.standalone import policy, template

MOST_CLUSTERS = 200
"""How many clusters of a scope are shown; the others are counted."""


class RunView(NamedTuple):
    """A run in the table. `new` and `mended` are None where it had no baseline."""

    run: str
    finished: str
    score: str
    interval: str
    failures: tuple[int, ...]
    new: int | None
    mended: int | None
    unknown: int
    complete: bool


class ClusterView(NamedTuple):
    """A cluster in the table; `seen_before` is the last run that saw it, where the last of all did not."""

    name: str
    id: str
    score: str
    spark: Markup
    failures: tuple[int, ...]
    change: int
    seen_before: str


class ScopeView(NamedTuple):
    """What the page shows of a scope; `direction` is up, down or empty."""

    name: str
    key: str
    score: str
    interval: str
    moved: str
    direction: str
    since: str
    failures: tuple[tuple[str, int, int], ...]
    score_plot: Markup
    severity_plot: Markup
    change_plot: Markup | None
    runs: tuple[RunView, ...]
    clusters: tuple[ClusterView, ...]
    more: int


def as_html(history: History) -> bytes:
    """The page."""
    style = _style()
    html = template("aks_audit.history", "history.html.j2").render(
        title=_title(history),
        subtitle=_subtitle(history),
        scopes=[_scope(number, scope) for number, scope in enumerate(history.scopes, 1)],
        severities=list(Severity),
        unread=history.unread,
        tool=f"{history.tool.name} {history.tool.version}",
        style=style,
        policy=policy(style),
    )
    return html.encode()


def _title(history: History) -> str:
    scope, *others = history.scopes
    if others:
        return f"{len(history.scopes)} scopes over time"
    return f"{scope.scope}: {percent(scope.runs[-1].score)} over time"


def _subtitle(history: History) -> str:
    runs = [run for scope in history.scopes for run in scope.runs]
    ends = sorted(moment for scope in history.scopes for moment in (times(scope.runs)[0], times(scope.runs)[-1]))
    many = f"{len(runs):,} run{'s' * (len(runs) != 1)}"
    return f"{many}, {_day(ends[0])} to {_day(ends[-1])}"


def _day(time: datetime) -> str:
    return f"{time.day} {time:%B %Y}"


def _scope(number: int, scope: ScopeHistory) -> ScopeView:
    first, last = scope.runs[0], scope.runs[-1]
    before, now = first.score.value, last.score.value
    difference = now - before if before is not None and now is not None else 0.0
    shown = scope.clusters[:MOST_CLUSTERS]
    return ScopeView(
        name=scope.scope,
        key=f"scope-{number}",
        score=percent(last.score),
        interval=between(last.score),
        moved=f"{abs(difference):.1f} points {'up' if difference > 0 else 'down'}" if difference else "unmoved",
        direction="up" if difference > 0 else "down" if difference < 0 else "",
        since=_day(times(scope.runs)[0]),
        failures=tuple((one, last.failures[one], last.failures[one] - first.failures[one]) for one in Severity),
        score_plot=score_plot(scope.runs),
        severity_plot=severity_plot(scope.runs),
        change_plot=change_plot(scope.runs) if any(run.new is not None for run in scope.runs) else None,
        runs=tuple(_run(run) for run in reversed(scope.runs)),
        clusters=tuple(_clusters(scope, shown)),
        more=len(scope.clusters) - len(shown),
    )


def _run(run: RunPoint) -> RunView:
    return RunView(
        run=run.run,
        finished=run.finished[:16].replace("T", " "),
        score=percent(run.score),
        interval=between(run.score),
        failures=tuple(run.failures[one] for one in Severity),
        new=None if run.new is None else total(run.new),
        mended=None if run.mended is None else total(run.mended),
        unknown=run.unknown,
        complete=run.complete,
    )


def _clusters(scope: ScopeHistory, shown: Sequence[ClusterHistory]) -> Iterator[ClusterView]:
    for name, cluster in zip(names(scope.clusters), shown, strict=False):
        first, last = cluster.runs[0], cluster.runs[-1]
        yield ClusterView(
            name=name,
            id=cluster.id,
            score=moved(first.score, last.score),
            spark=spark([point.score for point in cluster.runs]),
            failures=tuple(last.failures[one] for one in Severity),
            change=total(last.failures) - total(first.failures),
            seen_before=scope.seen_before(cluster),
        )


@cache
def _style() -> Markup:
    """The report's style, and what a history has beside it."""
    report = (files("aks_audit_reports.html") / "assets" / "style.css").read_text(encoding="utf-8")
    own = (files("aks_audit.history") / "templates" / "history.css").read_text(encoding="utf-8")
    return Markup(report + own)  # noqa: S704 - our own style, put in as it is
