"""Checklists as an auditor reads them: item, sentence, outcome, the findings behind it, and what was agreed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from aks_audit.report import ChecklistScore, ItemResult, Report
from aks_audit.results import Finding
from aks_audit_reports.html.scores import ScoreView, score_view
from aks_audit_reports.html.states import agreed, counted, state, worst_first
from aks_audit_reports.html.texts import is_link
from aks_audit_reports.summary import short

LINES = 4
"""How many findings are named beneath an item."""

_STATES = ("fail", "unknown", "pass", "not-applicable", "not-covered", "manual")
_NAMED = frozenset({"fail", "accepted", "unknown"})


class LineView(NamedTuple):
    """A finding behind an item; `agreed` and `reason` are empty where nobody accepted it."""

    state: str
    name: str
    message: str
    agreed: str
    reason: str


class ItemView(NamedTuple):
    """An item of a checklist, the findings behind it by state, and the worst by name; `ask` leads to them all."""

    state: str
    sentence: str
    rule: str
    counts: tuple[tuple[str, int], ...]
    ask: str
    lines: tuple[LineView, ...]
    more: int


class ChecklistView(NamedTuple):
    """A checklist with its score, its items and how many of them have each state."""

    name: str
    title: str
    summary: str
    source: str
    source_is_link: bool
    score: ScoreView
    items: tuple[ItemView, ...]
    states: tuple[tuple[str, int], ...]


def checklists(report: Report) -> tuple[ChecklistView, ...]:
    """The checklists of a report."""
    of_rule: dict[str, list[Finding]] = {}
    for finding in report.findings:
        of_rule.setdefault(finding.rule, []).append(finding)
    return tuple(_checklist(checklist, of_rule) for checklist in report.score.checklists)


def _checklist(checklist: ChecklistScore, of_rule: Mapping[str, Sequence[Finding]]) -> ChecklistView:
    states = Counter[str](item.state for item in checklist.items)
    return ChecklistView(
        name=checklist.name,
        title=checklist.title,
        summary=checklist.summary,
        source=checklist.source,
        source_is_link=is_link(checklist.source),
        score=score_view(checklist),
        items=tuple(_item(item, of_rule.get(item.rule, ())) for item in checklist.items),
        states=tuple((name, states[name]) for name in _STATES if states[name]),
    )


def _item(item: ItemResult, findings: Iterable[Finding]) -> ItemView:
    ordered = worst_first(findings)
    named = [finding for finding in ordered if state(finding) in _NAMED]
    return ItemView(
        state=item.state,
        sentence=item.sentence,
        rule=item.rule,
        counts=tuple((name, quantity) for name, quantity in counted(ordered) if quantity),
        ask=f"rule={quote(item.rule, safe='')}&group=none" if ordered else "",
        lines=tuple(_line(finding) for finding in named[:LINES]),
        more=max(0, len(named) - LINES),
    )


def _line(finding: Finding) -> LineView:
    exception = finding.exception
    return LineView(
        state=state(finding),
        name=short(finding.resource),
        message=finding.message,
        agreed=agreed(exception) if exception else "",
        reason=exception.reason if exception else "",
    )
