"""What the page's templates show, as plain values: every text ready to print, nothing left to decide."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from aks_audit.report import ChecklistScore, ClusterScore, ClusterSummary, Report
from aks_audit.results import Evidence, Finding, Missing, Outcome, RuleText, Severity
from aks_audit_reports import summary
from aks_audit_reports.summary import KINDS, Scored, count, number, printable

FINGERPRINT = 16
"""How many characters of a finding's fingerprint name it in a link."""

SHOWN_WITHOUT_SCRIPT = 20
"""How many of the most severe findings stand in the page itself."""

BODY = "the body"
"""What the empty JSON pointer points at."""

THINGS_LISTED = 30
"""How many unread things of one cause are listed by name."""

_OUTCOME_ORDER = (Outcome.FAIL, Outcome.UNKNOWN, Outcome.PASS, Outcome.NOT_APPLICABLE)
_STATES = ("fail", "unknown", "pass", "not-applicable", "not-covered", "manual")


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


class ItemView(NamedTuple):
    """An item of a checklist."""

    state: str
    sentence: str
    rule: str


class ChecklistView(NamedTuple):
    """A checklist with its score, its items and how many of them have each state."""

    title: str
    summary: str
    source: str
    source_is_link: bool
    score: ScoreView
    items: tuple[ItemView, ...]
    states: tuple[tuple[str, int], ...]


class ClusterView(NamedTuple):
    """A cluster's row: its score, and how many of its findings fail by severity.

    `subscription` is empty where all clusters are of one.
    """

    place: int
    name: str
    group: str
    subscription: str
    score: ScoreView
    failures: tuple[tuple[str, int], ...]
    unknown: int


class EvidenceView(NamedTuple):
    """A value that was read, as JSON; the resource where it is not the finding's; an index it was read from."""

    resource: str | None
    pointer: str
    value: str
    origin: str | None


class MissingView(NamedTuple):
    """What a finding lacks."""

    kind: str
    what: str
    reason: str
    action: str | None
    scope: str | None


class FindingView(NamedTuple):
    """A finding with its rule's text. None is a part that this finding does not have."""

    fingerprint: str
    outcome: str
    severity: str
    rule: str
    title: str
    message: str
    name: str
    resource: str
    clusters: tuple[str, ...]
    evidence: tuple[EvidenceView, ...]
    missing: tuple[MissingView, ...]
    command: str | None
    bicep: str | None
    change: str | None
    why: str
    decided: str
    severity_reason: str
    disagreement: str | None
    controls: str | None
    references: tuple[str, ...]


BLANK = FindingView(
    fingerprint="",
    outcome="",
    severity="",
    rule="",
    title="",
    message="",
    name="",
    resource="",
    clusters=("",),
    evidence=(EvidenceView("", "", "", ""),),
    missing=(MissingView("", "", "", "", ""),),
    command="",
    bicep="",
    change="",
    why="",
    decided="",
    severity_reason="",
    disagreement="",
    controls="",
    references=("",),
)
"""A finding with every part and no text: the pattern that the page's script copies and fills."""


class FailedRuleView(NamedTuple):
    """A rule that failed somewhere."""

    place: int
    rule: str
    title: str
    severity: str
    extent: str
    example: str


class UnreadView(NamedTuple):
    """What could not be read for one cause, and what would mend it; `scope` is empty where no one scope holds all."""

    kind: str
    action: str | None
    scope: str
    scopes: int
    remedy: str
    extent: str
    missing: tuple[Missing, ...]
    more: int


class Page(NamedTuple):
    """Everything the templates show."""

    verdict: str
    subtitle: str
    score: ScoreView
    explanation: str
    severities: tuple[tuple[str, int], ...]
    outcomes: tuple[tuple[str, int], ...]
    first_outcome: str
    failed: tuple[FailedRuleView, ...]
    checklists: tuple[ChecklistView, ...]
    clusters: tuple[ClusterView, ...]
    rules: tuple[tuple[int, str, str], ...]
    findings: tuple[FindingView, ...]
    blank: FindingView
    total: int
    unread: tuple[UnreadView, ...]
    read: tuple[tuple[str, int], ...]
    read_total: str
    about: tuple[tuple[str, tuple[str, ...]], ...]


def page(report: Report, findings: Sequence[Finding]) -> Page:
    """Prepare a report for the templates; its findings in the order of `worst_first`."""
    outcomes, read, failures = _outcomes(findings), _read(report), report.failures()
    return Page(
        verdict=summary.verdict(report, failures),
        subtitle=_subtitle(report),
        score=_score(report.score.overall),
        explanation=report.score.explanation,
        severities=_named(summary.by_severity(failures)),
        outcomes=outcomes,
        first_outcome=next((name for name, quantity in outcomes if quantity), ""),
        failed=_failed(report, failures),
        checklists=tuple(_checklist(checklist) for checklist in report.score.checklists),
        clusters=_clusters(report, failures),
        rules=_rules(report),
        findings=_findings(report, findings[:SHOWN_WITHOUT_SCRIPT]),
        blank=BLANK,
        total=len(report.findings),
        unread=tuple(_unread(group) for group in summary.unread(report.coverage.unread)),
        read=read,
        read_total=count(sum(quantity for _, quantity in read), "resource"),
        about=_about(report),
    )


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Failures, unknowns, passes, not applicable; each by severity, rule and resource."""
    outcomes = {outcome: place for place, outcome in enumerate(_OUTCOME_ORDER)}
    severities = {severity: place for place, severity in enumerate(Severity)}
    return sorted(findings, key=lambda f: (outcomes[f.outcome], severities[f.severity], f.rule, f.resource.lower()))


def links(rule: RuleText) -> tuple[str, ...]:
    """A rule's references that are addresses of the web, and nothing else that a link could do."""
    return tuple(reference for reference in rule.references if _is_link(reference))


def controls(rule: RuleText) -> str:
    """A rule's controls in one line."""
    return ", ".join(f"{control.framework} {control.id}" for control in rule.controls)


def value(evidence: Evidence) -> str:
    """A value as JSON; what is not set says so."""
    if evidence.value is None:
        return "not set"
    return msgspec.json.format(msgspec.json.encode(evidence.value), indent=2).decode()


def _subtitle(report: Report) -> str:
    subscriptions = _subscriptions(report)
    where = f" in {count(len(subscriptions), 'subscription')}" if len(subscriptions) > 1 else ""
    asked = f"{count(len(report.rules), 'rule')} asked of {count(len(report.clusters), 'cluster')}{where}"
    return f"{asked}, as read {summary.time(report.scan.finished)}"


def _subscriptions(report: Report) -> set[str]:
    return {cluster.subscription.lower() for cluster in report.clusters}


def _score(score: Scored) -> ScoreView:
    low, high = score.low or 0.0, score.high or 0.0
    return ScoreView(
        value=None if score.value is None else f"{score.value:.1f}",
        low=low,
        high=high,
        at=score.value or 0.0,
        span=round(high - low, 1),
        interval=summary.interval(score),
        decided=summary.decided_share(score),
        coverage=round(summary.coverage(score), 1),
    )


def _named(counted: dict[Severity, int]) -> tuple[tuple[str, int], ...]:
    return tuple((severity.value, quantity) for severity, quantity in counted.items())


def _outcomes(findings: Iterable[Finding]) -> tuple[tuple[str, int], ...]:
    counted = Counter(finding.outcome for finding in findings)
    return tuple((outcome.value, counted[outcome]) for outcome in _OUTCOME_ORDER)


def _failed(report: Report, failures: Sequence[Finding]) -> tuple[FailedRuleView, ...]:
    places = {rule.id: place for place, rule in enumerate(report.rules)}
    return tuple(
        FailedRuleView(
            place=places[failed.rule],
            rule=failed.rule,
            title=failed.title,
            severity=failed.severity,
            extent=summary.extent(failed),
            example=failed.failures[0].message,
        )
        for failed in summary.failed_rules(report, failures)
    )


def _checklist(checklist: ChecklistScore) -> ChecklistView:
    counted = Counter[str](item.state for item in checklist.items)
    return ChecklistView(
        title=checklist.title,
        summary=checklist.summary,
        source=checklist.source,
        source_is_link=_is_link(checklist.source),
        score=_score(checklist),
        items=tuple(ItemView(item.state, item.sentence, item.rule) for item in checklist.items),
        states=tuple((state, counted[state]) for state in _STATES if counted[state]),
    )


def _clusters(report: Report, failures: Iterable[Finding]) -> tuple[ClusterView, ...]:
    of_cluster: dict[str, list[Finding]] = {}
    for failure in failures:
        for cluster in failure.clusters:
            of_cluster.setdefault(cluster.lower(), []).append(failure)
    scores = {score.id: score for score in report.score.clusters}
    several = len(_subscriptions(report)) > 1
    views = [
        _cluster(place, cluster, scores[cluster.id], of_cluster.get(cluster.id.lower(), ()), several=several)
        for place, cluster in enumerate(report.clusters)
    ]
    return tuple(sorted(views, key=lambda v: ([-quantity for _, quantity in v.failures], v.score.at, v.name)))


def _cluster(
    place: int, cluster: ClusterSummary, score: ClusterScore, failures: Sequence[Finding], *, several: bool
) -> ClusterView:
    return ClusterView(
        place=place,
        name=cluster.name,
        group=cluster.resource_group,
        subscription=cluster.subscription if several else "",
        score=_score(score),
        failures=_named(summary.by_severity(failures)),
        unknown=cluster.outcomes.get(Outcome.UNKNOWN, 0),
    )


def _rules(report: Report) -> tuple[tuple[int, str, str], ...]:
    """The rules that have findings: place, id and title."""
    asked = {finding.rule for finding in report.findings}
    return tuple((place, rule.id, rule.title) for place, rule in enumerate(report.rules) if rule.id in asked)


def _findings(report: Report, findings: Iterable[Finding]) -> tuple[FindingView, ...]:
    rules = {rule.id: rule for rule in report.rules}
    names = {cluster.id.lower(): cluster.name for cluster in report.clusters}
    return tuple(
        _finding(finding, rules[finding.rule], [names[cluster.lower()] for cluster in finding.clusters])
        for finding in findings
    )


def _finding(finding: Finding, rule: RuleText, clusters: Iterable[str]) -> FindingView:
    fix = finding.remediation
    return FindingView(
        fingerprint=finding.fingerprint[:FINGERPRINT],
        outcome=finding.outcome,
        severity=finding.severity,
        rule=rule.id,
        title=rule.title,
        message=finding.message,
        name=summary.short(finding.resource),
        resource=finding.resource,
        clusters=tuple(clusters),
        evidence=tuple(
            EvidenceView(
                None if e.resource == finding.resource else e.resource, e.pointer or BODY, value(e), summary.origin(e)
            )
            for e in finding.evidence
        ),
        missing=tuple(MissingView(KINDS[m.kind], m.what, m.reason, m.action, m.scope) for m in finding.missing),
        command=fix.command if fix else None,
        bicep=fix.bicep if fix else None,
        change=fix.change if fix else None,
        why=rule.why,
        decided=rule.decided,
        severity_reason=rule.severity_reason,
        disagreement=rule.disagreement or None,
        controls=controls(rule) or None,
        references=links(rule),
    )


def _unread(group: summary.Unread) -> UnreadView:
    return UnreadView(
        kind=KINDS[group.kind],
        action=group.action,
        scope=group.scope,
        scopes=len(group.scopes),
        remedy=summary.REMEDIES[group.kind],
        extent=count(len(group.missing), "thing"),
        missing=group.missing[:THINGS_LISTED],
        more=max(0, len(group.missing) - THINGS_LISTED),
    )


def _read(report: Report) -> tuple[tuple[str, int], ...]:
    counted: Counter[str] = Counter()
    for read in report.coverage.read:
        counted[read.type] += read.count
    return tuple(sorted(counted.items(), key=lambda item: item[0].lower()))


def _about(report: Report) -> tuple[tuple[str, tuple[str, ...]], ...]:
    scan = report.scan
    return (
        ("Made by", (f"{report.tool.name} {report.tool.version}",)),
        ("Subscriptions", tuple(sorted(_subscriptions(report))) or ("none",)),
        ("Scope", scan.scope or ("what the snapshot holds; it names no scope",)),
        ("Read", (f"from {summary.time(scan.started)} to {summary.time(scan.finished)}",)),
        *([("Evidence", (lagging,))] if (lagging := summary.lagging(report.findings)) else []),
        ("Complete", ("yes: all in scope was read" if scan.complete else "no: see what could not be read",)),
        ("Findings", (f"{number(len(report.findings))} of {count(len(report.rules), 'rule')}",)),
        ("Report schema", (report.schema_version,)),
    )


def _is_link(address: str) -> bool:
    return printable(address) == address and address.startswith(("https://", "http://"))
