"""Plots as SVG: a score with its interval, findings by severity, what was new and mended, and a line in a table.

Colours are the page's, by class. Whatever a plot says stands in a table, too.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import NamedTuple

from markupsafe import Markup, escape

from aks_audit.history.model import RunPoint, Score, total
from aks_audit.results import Severity
from aks_audit.snapshot import instant

_WIDTH, _HEIGHT = 560, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 26
_MOST_DOTS = 120
_TICKS = 6
_STEPS = 4
_YEAR = timedelta(days=300)

Point = tuple[float, float]


class _Axes(NamedTuple):
    """Where values stand: `times` across, from `low` to `high` upwards."""

    times: Sequence[datetime]
    low: float
    high: float

    def x(self, place: int) -> float:
        """Where a run stands."""
        whole = (self.times[-1] - self.times[0]).total_seconds()
        share = (self.times[place] - self.times[0]).total_seconds() / whole if whole else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Where a value stands."""
        share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def times(runs: Sequence[RunPoint]) -> list[datetime]:
    """When the runs ended."""
    return [instant(run.finished).astimezone(UTC) for run in runs]


def score_plot(runs: Sequence[RunPoint]) -> Markup:
    """The score over time, with the interval from its worst to its best case."""
    shown = [edge for run in runs for edge in (run.score.value, run.score.low, run.score.high) if edge is not None]
    low = min(90.0, min(shown, default=0.0) // 10 * 10)
    high = min(100.0, max(shown, default=100.0) // 10 * 10 + 10)
    axes = _Axes(times(runs), low, high)
    parts = [*_grid(axes, " %")]
    for stretch in _stretches([run.score for run in runs]):
        scores = [(axes.x(place), runs[place].score) for place in stretch]
        above = [(x, axes.y(_number(score.high, score.value))) for x, score in scores]
        below = [(x, axes.y(_number(score.low, score.value))) for x, score in scores]
        parts += [
            f'<polygon class="band" points="{_points([*above, *reversed(below)])}"/>',
            f'<polyline class="value" points="{_points([(x, axes.y(score.value or 0)) for x, score in scores])}"/>',
        ]
    parts += _dots(runs, axes)
    return _svg(parts, "The score of each run over time; the table of runs has the numbers")


def severity_plot(runs: Sequence[RunPoint]) -> Markup:
    """The failures over time, the severities on top of each other, the worst at the bottom."""
    axes = _Axes(times(runs), 0, _round_up(max(total(run.failures) for run in runs)))
    parts = [*_grid(axes, "")]
    below = [0] * len(runs)
    for severity in Severity:
        above = [one + run.failures[severity] for one, run in zip(below, runs, strict=True)]
        if above != below:
            upper = [(axes.x(place), axes.y(one)) for place, one in enumerate(above)]
            lower = [(axes.x(place), axes.y(one)) for place, one in enumerate(below)]
            parts.append(_area(severity, upper, lower))
        below = above
    return _svg(parts, "The failures of each run by severity over time; the table of runs has the numbers")


def change_plot(runs: Sequence[RunPoint]) -> Markup:
    """What was new in each run, upwards, and what was mended, downwards."""
    new, mended = [total(run.new or {}) for run in runs], [total(run.mended or {}) for run in runs]
    step = _round_up(max(*new, *mended)) / _STEPS
    low, high = -ceil(max(mended) / step), max(1, ceil(max(new) / step))
    axes = _Axes(times(runs), low * step, high * step)
    wide = max(1.5, min(14.0, (_WIDTH - _LEFT - _RIGHT) / len(runs) * 0.6))
    parts = [*_grid(axes, "", high - low)]
    for place, run in enumerate(runs):
        for name, quantity, top in (("new", new[place], new[place]), ("mended", mended[place], 0)):
            if quantity:
                x, y = axes.x(place) - wide / 2, axes.y(top)
                tall = axes.y(0) - axes.y(quantity)
                told = _titled(f"{run.finished[:10]}: {quantity:,} {name}")
                parts.append(
                    f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}">{told}</rect>'
                )
    parts.append(f'<line class="zero" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{axes.y(0):.1f}" y2="{axes.y(0):.1f}"/>')
    return _svg(parts, "What was new and what was mended in each run; the table of runs has the numbers")


def spark(scores: Sequence[Score]) -> Markup:
    """A line of a cluster's scores, from 0 to 100 %."""
    wide, tall = 120, 24
    step = (wide - 6) / max(1, len(scores) - 1)
    lines = []
    for stretch in _stretches(scores):
        points = [(3 + place * step, tall - 3 - (scores[place].value or 0) / 100 * (tall - 6)) for place in stretch]
        lines.append(f'<polyline class="value" points="{_points(points)}"/>')
        x, y = points[-1]
        lines.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2"/>')
    drawn = "".join(lines)
    head = f'<svg class="spark" viewBox="0 0 {wide} {tall}" width="{wide}" height="{tall}" aria-hidden="true">'
    return Markup(head + drawn + "</svg>")  # noqa: S704 - numbers and our own words


def _grid(axes: _Axes, unit: str, steps: int = _STEPS) -> Iterator[str]:
    """The lines across with their values, and the days below."""
    for step in range(steps + 1):
        value = axes.low + (axes.high - axes.low) * step / steps
        y = axes.y(value)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick end" x="{_LEFT - 6}" y="{y + 4:.1f}">{_said(abs(value))}{unit}</text>'
    first, last = axes.times[0], axes.times[-1]
    form = "%b %Y" if last - first > _YEAR else "%-d %b"
    said = ""
    for place in range(_TICKS):
        day = first + (last - first) * place / (_TICKS - 1)
        if (label := day.strftime(form)) != said:
            x = _LEFT + place / (_TICKS - 1) * (_WIDTH - _LEFT - _RIGHT) if last > first else axes.x(0)
            anchor = "start" if place == 0 and last > first else "end" if place == _TICKS - 1 else "middle"
            yield f'<text class="tick {anchor}" x="{x:.1f}" y="{_HEIGHT - 8}">{label}</text>'
        said = label


def _dots(runs: Sequence[RunPoint], axes: _Axes) -> Iterator[str]:
    """A dot for each run, hollow where it is incomplete; of very many runs, for these alone."""
    for place, run in enumerate(runs):
        if run.score.value is not None and (len(runs) <= _MOST_DOTS or not run.complete):
            told = _titled(f"{run.finished[:10]}: {run.score.value:.1f} %{'' if run.complete else ', incomplete'}")
            kind = "dot" if run.complete else "dot incomplete"
            x, y = axes.x(place), axes.y(run.score.value)
            yield f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3">{told}</circle>'


def _area(severity: str, upper: Sequence[Point], lower: Sequence[Point]) -> str:
    """The area between two lines; a run alone is a bar."""
    if len(upper) == 1:
        (x, top), (_, bottom) = upper[0], lower[0]
        upper, lower = [(x - 12, top), (x + 12, top)], [(x - 12, bottom), (x + 12, bottom)]
    return f'<polygon class="{severity}" points="{_points([*upper, *reversed(lower)])}">{_titled(severity)}</polygon>'


def _stretches(scores: Sequence[Score]) -> Iterator[list[int]]:
    """The places of scores that follow each other; where nothing was decided, the line ends."""
    stretch: list[int] = []
    for place, score in enumerate(scores):
        if score.value is not None:
            stretch.append(place)
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _number(edge: float | None, value: float | None) -> float:
    return (value or 0.0) if edge is None else edge


def _round_up(most: int) -> int:
    """The next number of which a quarter reads well: 4, 8, 12, 20, 40, 60, 80, 100, 200, 400 and so on."""
    scale = int(10 ** max(0, len(str(most)) - 2))
    return next(step * scale for step in (4, 8, 12, 20, 40, 60, 80, 100) if step * scale >= most)


def _said(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else f"{value:,.1f}"


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _titled(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def _svg(parts: Sequence[str], said: str) -> Markup:
    head = f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(said)}">'
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704 - numbers, days and our own words
