"""Checklists as an auditor reads them: item, sentence, outcome, the findings behind it, and what was agreed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple
from urllib.parse import quote

from aks_audit.report import ChecklistScore, ItemResult, Report
from aks_audit.results import Finding
from aks_audit_reports.areas import area_of, named
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


class ProofView(NamedTuple):
    """A rule that answers an item, how many findings of each state it has, and what leads to them all."""

    rule: str
    counts: tuple[tuple[str, int], ...]
    ask: str


class ItemView(NamedTuple):
    """An item of a checklist, and the findings behind it: how many of each state of each rule, the worst by name.

    `number` is the guide's own, and `note` what must be known beside it; each may be empty.
    """

    state: str
    number: str
    sentence: str
    note: str
    proofs: tuple[ProofView, ...]
    lines: tuple[LineView, ...]
    more: int


class GroupView(NamedTuple):
    """Items that stand under the same heading, which may be empty."""

    heading: str
    items: tuple[ItemView, ...]


class ChecklistView(NamedTuple):
    """A checklist with its score, its items by heading and how many of them have each state."""

    name: str
    title: str
    summary: str
    source: str
    source_is_link: bool
    score: ScoreView
    groups: tuple[GroupView, ...]
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
        score=score_view(checklist, (checklist,)),
        groups=tuple(
            GroupView(_heading(group), tuple(_item(item, of_rule) for item in items))
            for group, items in groupby(checklist.items, key=lambda item: item.group)
        ),
        states=tuple((name, states[name]) for name in _STATES if states[name]),
    )


def _heading(group: str) -> str:
    """A group's heading; areas of rules have a name that people know."""
    return named(area_of(group)) if group.startswith("AKS-") else group


def _item(item: ItemResult, of_rule: Mapping[str, Sequence[Finding]]) -> ItemView:
    rules = [rule for rule in (item.rule, *item.further) if rule]
    ordered = worst_first(finding for rule in rules for finding in of_rule.get(rule, ()))
    shown = [finding for finding in ordered if state(finding) in _NAMED]
    return ItemView(
        state=item.state,
        number=item.number,
        sentence=item.sentence,
        note=item.note,
        proofs=tuple(_proof(rule, of_rule.get(rule, ())) for rule in rules),
        lines=tuple(_line(finding) for finding in shown[:LINES]),
        more=max(0, len(shown) - LINES),
    )


def _proof(rule: str, findings: Sequence[Finding]) -> ProofView:
    counts = tuple((name, quantity) for name, quantity in counted(findings) if quantity)
    return ProofView(rule, counts, f"rule={quote(rule, safe='')}&group=none" if findings else "")


def _line(finding: Finding) -> LineView:
    exception = finding.exception
    return LineView(
        state=state(finding),
        name=short(finding.resource),
        message=finding.message,
        agreed=agreed(exception) if exception else "",
        reason=exception.reason if exception else "",
    )
