"""A score as the page draws it."""

from collections.abc import Sequence
from typing import NamedTuple

from aks_audit.report import ChecklistScore
from aks_audit_reports import summary
from aks_audit_reports.summary import Scored


class ScoreView(NamedTuple):
    """A score as text, and as positions on a line from 0 to 100; None where nothing was decided."""

    value: str | None
    low: float
    high: float
    at: float
    span: float
    interval: str
    decided: str
    coverage: float


def score_view(score: Scored, checklists: Sequence[ChecklistScore] = ()) -> ScoreView:
    """Make a score ready to draw; `checklists` are those that it is the score of."""
    low, high = score.low or 0.0, score.high or 0.0
    return ScoreView(
        value=None if score.value is None else f"{score.value:.1f}",
        low=low,
        high=high,
        at=score.value or 0.0,
        span=round(high - low, 1),
        interval=summary.interval(score, checklists),
        decided=summary.decided_share(score, checklists),
        coverage=round(summary.coverage(score), 1),
    )
