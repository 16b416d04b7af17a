"""What the page's templates show, as plain values: every text ready to print, nothing left to decide."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from aks_audit.report import Report
from aks_audit.results import Finding, Missing, RuleText, Severity
from aks_audit_reports import summary
from aks_audit_reports.html import todo
from aks_audit_reports.html.checklists import ChecklistView, checklists
from aks_audit_reports.html.matrix import MatrixView, matrix
from aks_audit_reports.html.scores import ScoreView, score_view
from aks_audit_reports.html.states import agreed, counted, state, worst_first
from aks_audit_reports.html.texts import BODY, FINGERPRINT, controls, links, value
from aks_audit_reports.summary import KINDS, count, number

SHOWN_WITHOUT_SCRIPT = 20
"""How many of the most severe findings stand in the page itself."""

NEWS = {"new": "New", "changed": "Changed"}
"""What is said of a failure that is not as it was in the baseline."""

STEPS_LISTED = 10
"""How many of the findings that come before or after a finding are listed with it."""

THINGS_LISTED = 30
"""How many unread things of one cause are listed by name."""


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


class StepView(NamedTuple):
    """A finding that is mended before or after another; `link` is empty where the page does not show it."""

    link: str
    rule: str
    title: str
    name: str


class FindingView(NamedTuple):
    """A finding with its rule's text. None is a part that this finding does not have."""

    fingerprint: str
    state: str
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
    news: str | None
    agreed: str | None
    reason: str | None
    source: str | None
    source_text: str | None
    after: str | None
    first: tuple[StepView, ...]
    then: tuple[StepView, ...]
    first_more: str | None
    then_more: str | None


BLANK = FindingView(
    fingerprint="",
    state="",
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
    news="",
    agreed="",
    reason="",
    source="",
    source_text="",
    after="",
    first=(StepView("#findings", "", "", ""),),
    then=(StepView("#findings", "", "", ""),),
    first_more="",
    then_more="",
)
"""A finding with every part and no text: the pattern that the page's script copies and fills."""


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
    states: tuple[tuple[str, int], ...]
    first_state: str
    fixes: tuple[todo.FixView, ...]
    blank_fix: todo.FixView
    fixes_total: int
    changes: todo.ChangesView | None
    entries: tuple[todo.EntryView, ...]
    policy_file: str
    attention: str
    checklists: tuple[ChecklistView, ...]
    matrix: MatrixView
    rules: tuple[tuple[str, str], ...]
    findings: tuple[FindingView, ...]
    caused: bool
    blank: FindingView
    total: int
    unread: tuple[UnreadView, ...]
    read: tuple[tuple[str, int], ...]
    read_total: str
    about: tuple[tuple[str, tuple[str, ...]], ...]


def page(report: Report, findings: Sequence[Finding]) -> Page:
    """Prepare a report for the templates; its findings in the order of `worst_first`."""
    states, read, failures = counted(findings), _read(report), report.failures()
    return Page(
        verdict=summary.verdict(report, failures),
        subtitle=_subtitle(report),
        score=score_view(report.score.overall, report.score.checklists),
        explanation=report.score.explanation,
        severities=_named(summary.by_severity(failures)),
        states=states,
        first_state=next((name for name, quantity in states if quantity), ""),
        fixes=tuple(todo.fix(place, one) for place, one in enumerate(report.fixes[: todo.FIRST], 1)),
        blank_fix=todo.BLANK_FIX,
        fixes_total=len(report.fixes),
        changes=todo.changes(report),
        entries=todo.entries(report),
        policy_file=report.policy.file or "",
        attention=todo.attention(report),
        checklists=checklists(report),
        matrix=matrix(report),
        rules=_rules(report),
        findings=_findings(report, findings[:SHOWN_WITHOUT_SCRIPT]),
        caused=any(finding.causes for finding in findings),
        blank=BLANK,
        total=len(report.findings),
        unread=tuple(_unread(group) for group in summary.unread(report.coverage.unread)),
        read=read,
        read_total=count(sum(quantity for _, quantity in read), "resource"),
        about=_about(report),
    )


def _subtitle(report: Report) -> str:
    subscriptions = _subscriptions(report)
    where = f" in {count(len(subscriptions), 'subscription')}" if len(subscriptions) > 1 else ""
    asked = f"{count(len(report.rules), 'rule')} asked of {count(len(report.clusters), 'cluster')}{where}"
    return f"{asked}, as read {summary.time(report.scan.finished)}"


def _subscriptions(report: Report) -> set[str]:
    return {cluster.subscription.lower() for cluster in report.clusters}


def _named(counted: dict[Severity, int]) -> tuple[tuple[str, int], ...]:
    return tuple((severity.value, quantity) for severity, quantity in counted.items())


def _rules(report: Report) -> tuple[tuple[str, str], ...]:
    """The rules that have findings: id and title."""
    asked = {finding.rule for finding in report.findings}
    return tuple((rule.id, rule.title) for rule in report.rules if rule.id in asked)


class _Steps:
    """What of a report is mended before and after a finding, as the page tells it that shows these findings."""

    def __init__(self, report: Report, shown: Iterable[Finding]) -> None:
        self._titles = {rule.id: rule.title for rule in report.rules}
        self._shown = {finding.fingerprint for finding in shown}
        self._found = {finding.fingerprint: finding for finding in report.findings}
        self._then: dict[str, list[Finding]] = {}
        for finding in worst_first(one for one in report.findings if one.causes):
            for mark in finding.causes:
                self._then.setdefault(mark, []).append(finding)

    def first(self, finding: Finding) -> list[Finding]:
        """Its causes."""
        return [self._found[mark] for mark in finding.causes if mark in self._found]

    def then(self, finding: Finding) -> list[Finding]:
        """What it is a cause of."""
        return self._then.get(finding.fingerprint, [])

    def views(self, findings: Iterable[Finding]) -> tuple[StepView, ...]:
        """The first of these findings."""
        return tuple(
            StepView(
                link=f"#finding-{one.fingerprint[:FINGERPRINT]}" if one.fingerprint in self._shown else "",
                rule=one.rule,
                title=self._titles[one.rule],
                name=summary.short(one.resource),
            )
            for one in islice(findings, STEPS_LISTED)
        )


def _findings(report: Report, findings: Sequence[Finding]) -> tuple[FindingView, ...]:
    rules = {rule.id: rule for rule in report.rules}
    names = {cluster.id.lower(): cluster.name for cluster in report.clusters}
    steps = _Steps(report, findings)
    return tuple(
        _finding(finding, rules[finding.rule], [names[cluster.lower()] for cluster in finding.clusters], steps)
        for finding in findings
    )


def _finding(finding: Finding, rule: RuleText, clusters: Iterable[str], steps: _Steps) -> FindingView:
    fix, first, then = finding.remediation, steps.first(finding), steps.then(finding)
    return FindingView(
        fingerprint=finding.fingerprint[:FINGERPRINT],
        state=state(finding),
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
        news=NEWS.get(finding.change or "unchanged"),
        agreed=agreed(finding.exception) if finding.exception else None,
        reason=finding.exception.reason if finding.exception else None,
        source=f"{finding.source.path}:{finding.source.line}" if finding.source else None,
        source_text=finding.source.text or None if finding.source else None,
        after=", ".join(dict.fromkeys(one.rule for one in first)) or None,
        first=steps.views(first),
        then=steps.views(then),
        first_more=_more(len(first)),
        then_more=_more(len(then)),
    )


def _more(steps: int) -> str | None:
    """How many steps there are, where not all are listed."""
    return f"All {number(steps)}" if steps > STEPS_LISTED else None


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
        *([("Asked for alone", narrowed)] if (narrowed := (*scan.narrowed, *_limited(scan.checklists))) else []),
        ("Read", (f"from {summary.time(scan.started)} to {summary.time(scan.finished)}",)),
        *([("Evidence", (lagging,))] if (lagging := summary.lagging(report.findings)) else []),
        ("Complete", ("yes: all in scope was read" if scan.complete else "no: see what could not be read",)),
        ("Findings", (f"{number(len(report.findings))} of {count(len(report.rules), 'rule')}",)),
        ("Report schema", (report.schema_version,)),
    )


def _limited(named: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"checklist={name}" for name in named)
