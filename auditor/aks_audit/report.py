"""The report: findings, score and coverage as one immutable document. Its JSON form is the contract others build on."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from aks_audit import __version__
from aks_audit.checklist import Checklist, Item
from aks_audit.errors import AuditError
from aks_audit.facts import ManagedCluster
from aks_audit.facts.resource_id import parse, within
from aks_audit.findings import failed, missing, told
from aks_audit.picture import ClusterPicture
from aks_audit.results import ENOUGH, Effort, Finding, Missing, Outcome, Record, RuleText, Severity
from aks_audit.rule import Rule
from aks_audit.score import (
    Answers,
    Score,
    answers,
    by_checklist,
    by_cluster,
    by_severity,
    of_item,
    score,
    worst,
)
from aks_audit.snapshot import Snapshot

SCHEMA_VERSION = "1.1"


class Tool(Record, frozen=True):
    """Which tool made the report."""

    name: str
    version: str


class Scan(Record, frozen=True):
    """What was scanned and when (RFC 3339; null where the snapshot does not say).

    `complete` is false where something in scope could not be read, or a rule crashed. `narrowed` says what of the scope
    was asked for alone (`cluster=aks-prod`), and `checklists` to whose rules the questions were limited; both are empty
    where everything was asked.
    """

    scope: tuple[str, ...]
    started: str | None
    finished: str | None
    complete: bool
    narrowed: tuple[str, ...] = ()
    checklists: tuple[str, ...] = ()


class ReadCount(Record, frozen=True):
    """How many resources of a type were read in a subscription."""

    subscription: str
    type: str
    count: int


class Coverage(Record, frozen=True):
    """What was read, what was not and why, and how many findings that left unknown."""

    read: tuple[ReadCount, ...]
    unread: tuple[Missing, ...]
    decided: int
    unknown: int


ItemState: TypeAlias = Literal["pass", "fail", "unknown", "not-applicable", "not-covered", "manual"]


class ItemResult(Record, frozen=True):
    """A checklist item: its outcome over all clusters, or `not-covered` (no rule asked) or `manual` (ask a person).

    `further` are the rules that answer it together with `rule`. `number` is the guide's own, `group` the heading that
    the item stands under, and `note` what must be known beside it; each is empty where there is none.
    """

    rule: str
    sentence: str
    weight: float
    state: ItemState
    further: tuple[str, ...] = ()
    number: str = ""
    group: str = ""
    note: str = ""


class ChecklistScore(Score, frozen=True, kw_only=True):
    """A checklist's score and the state of each item, in the guide's order."""

    name: str
    title: str
    source: str
    summary: str
    items: tuple[ItemResult, ...]


class ClusterScore(Score, frozen=True, kw_only=True):
    """A cluster's score."""

    id: str


class Scores(Record, frozen=True):
    """All scores. `explanation` says in words how they are made."""

    overall: Score
    checklists: tuple[ChecklistScore, ...]
    clusters: tuple[ClusterScore, ...]
    explanation: str


class ClusterSummary(Record, frozen=True):
    """A cluster and how many findings of each outcome concern it."""

    id: str
    name: str
    resource_group: str
    subscription: str
    outcomes: dict[str, int]


PolicyTable: TypeAlias = Literal["exception", "severity", "disabled", "source"]
EntryState: TypeAlias = Literal["in-force", "expiring", "expired", "unused", "malformed"]


class PolicyEntry(Record, frozen=True):
    """An entry of `aks-audit.toml` as it is told there, by line, and what became of it.

    `sets` is the severity or the file that it names; `matched` counts the failures that an exception accepts.
    """

    table: PolicyTable
    line: int
    state: EntryState
    says: str
    matched: int
    rule: str
    resource: str
    reason: str
    owner: str
    approved_by: str
    expires: str
    sets: str


class Policy(Record, frozen=True):
    """What people decided about findings, and in which file."""

    file: str | None = None
    entries: tuple[PolicyEntry, ...] = ()


class Fix(Record, frozen=True):
    """One thing to do, and what it mends: the findings by fingerprint, each once.

    `risk` is the weight of the questions that it would turn, by severity as in the score; `effort` what it costs.
    `then` are the findings, by fingerprint, that can only be mended after it.
    """

    title: str
    rules: tuple[str, ...]
    resources: tuple[str, ...]
    severity: Severity
    command: str
    change: str
    effort: Effort
    risk: float
    findings: tuple[str, ...]
    clusters: tuple[str, ...]
    then: tuple[str, ...] = ()


FixedBy: TypeAlias = Literal["pass", "not-applicable", "gone", "disabled"]
"""How a failure ended: by its outcome now, gone with its resource, or because people disabled its rule."""


class Fixed(Record, frozen=True):
    """A failure of the baseline that is none any more."""

    rule: str
    resource: str
    severity: Severity
    message: str
    fingerprint: str
    by: FixedBy


class Comparison(Record, frozen=True):
    """What changed since a baseline, which was finished at `since` (RFC 3339).

    `carried` are failures of the baseline that this scan could not, or was not asked to, look at again.
    """

    since: str | None
    score: Score
    new: int
    changed: int
    unchanged: int
    fixed: tuple[Fixed, ...]
    carried: tuple[Finding, ...]


class PipelineRun(Record, frozen=True):
    """The run of Azure Pipelines that made the report, as Azure DevOps tells it: `project` and `phase` are GUIDs.

    The numbers of the definition and of the build are text; `branch` is a ref (`refs/heads/main`).
    """

    organization: str
    project: str
    definition: str
    definition_name: str
    phase: str
    phase_name: str
    branch: str
    build: str


class Report(Record, frozen=True):
    """Everything a renderer needs. A report of an earlier version lacks what has a default here."""

    schema_version: str
    tool: Tool
    scan: Scan
    coverage: Coverage
    score: Scores
    clusters: tuple[ClusterSummary, ...]
    rules: tuple[RuleText, ...]
    findings: Sequence[Finding]
    policy: Policy = Policy()
    fixes: tuple[Fix, ...] = ()
    comparison: Comparison | None = None
    pipeline: PipelineRun | None = None
    pictures: tuple[ClusterPicture, ...] = ()

    def __post_init__(self) -> None:
        """Make findings that were decoded as immutable as all else."""
        if isinstance(self.findings, list):
            msgspec.structs.force_setattr(self, "findings", tuple(self.findings))

    def failures(self, threshold: Severity = Severity.INFO) -> tuple[Finding, ...]:
        """The failures at or over a severity that nobody accepted, worst first, then by rule and resource."""
        reached = {severity for severity in Severity if severity.reaches(threshold)}
        unaccepted = (failure for failure in failed(self.findings) if failure.exception is None)
        return _worst_first(failure for failure in unaccepted if failure.severity in reached)

    def unsettled(self, threshold: Severity) -> bool:
        """Whether a failure of the baseline that reaches a severity was asked about and could not be looked at."""
        rules, clusters = {rule.id for rule in self.rules}, {cluster.id.lower() for cluster in self.clusters}
        carried = self.comparison.carried if self.comparison else ()
        return any(
            finding.severity.reaches(threshold)
            and finding.exception is None
            and finding.rule in rules
            and not clusters.isdisjoint(cluster.lower() for cluster in finding.clusters)
            for finding in carried
        )

    def accepted(self) -> tuple[Finding, ...]:
        """The failures that a person accepted, in the same order."""
        return _worst_first(failure for failure in failed(self.findings) if failure.exception)


def _worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    order = {severity: place for place, severity in enumerate(Severity)}
    lower = cache(str.lower)  # one string for all findings about a resource
    return tuple(sorted(findings, key=lambda f: (order[f.severity], f.rule, lower(f.resource))))


File: TypeAlias = tuple[str, bytes]


@runtime_checkable
class Reporter(Protocol):
    """Renders a report. Reporters are installed under the entry-point group `aks_audit.reports`."""

    file_name: str | None
    """The name of the file it writes; None: it writes to the terminal."""

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """The rendered report, UTF-8. The same report gives the same bytes."""
        ...


@runtime_checkable
class LongReporter(Reporter, Protocol):
    """A reporter whose file can be too long for the memory."""

    def parts(self, report: Report) -> Iterator[bytes]:
        """The rendered report piece by piece: what `render` gives as a whole."""
        ...


@runtime_checkable
class NeedyReporter(Reporter, Protocol):
    """A reporter that needs what may not be installed; it is asked before anything is scanned."""

    def check(self) -> None:
        """Raise ReportError where it cannot render here."""
        ...


class ReportError(AuditError):
    """A report cannot be made here. The message says what it takes."""


EXPLANATION = (
    "A question is one rule about one cluster; it passes only if everything it is about passed. The score is the "
    "weight of the questions that passed, divided by the weight of those that were decided. What could not be read is "
    "not decided: it is left out of the score and shown as the interval, from the worst case (every unknown is a "
    "failure) to the best case (every unknown is a pass). What is not applicable weighs nothing. Rules weigh by "
    "severity: critical 10, high 6, medium 3, low 1, info 0; the items of a checklist by the checklist's own weights."
)


def build(
    snapshot: Snapshot, rules: Sequence[Rule], findings: Sequence[Finding], checklists: Sequence[Checklist]
) -> Report:
    """Make the report of an audit."""
    texts = tuple(rule.text for rule in rules)
    found = answers(findings)
    clusters = _clusters(snapshot, findings)
    unread = _unread(snapshot, missing(findings), clusters)
    scored = by_cluster(found, texts)
    asked = {text.id: found.get(text.id, {}) for text in texts}
    outcomes = Counter(outcome for _, _, outcome in told(findings))
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool("aks-audit", __version__),
        scan=Scan(
            scope=tuple(sorted({scope for header in snapshot.headers for scope in header.scope})),
            started=snapshot.started,
            finished=snapshot.finished,
            complete=all(lost.kind in ENOUGH for lost in unread),
            narrowed=tuple(sorted({told for header in snapshot.headers for told in header.narrowed or ()})),
        ),
        coverage=Coverage(
            read=_read(snapshot),
            unread=unread,
            decided=outcomes[Outcome.PASS] + outcomes[Outcome.FAIL],
            unknown=outcomes[Outcome.UNKNOWN],
        ),
        score=Scores(
            overall=by_severity(found, texts),
            checklists=tuple(_checklist(asked, checklist) for checklist in checklists),
            clusters=tuple(_cluster_score(cluster, scored.get(cluster.lower(), score(()))) for cluster in clusters),
            explanation=EXPLANATION,
        ),
        clusters=tuple(_cluster(cluster, counted) for cluster, counted in clusters.items()),
        rules=texts,
        findings=findings,
    )


def _cluster_score(cluster: str, score: Score) -> ClusterScore:
    return ClusterScore(
        id=cluster, value=score.value, low=score.low, high=score.high, decided=score.decided, unknown=score.unknown
    )


def _clusters(snapshot: Snapshot, findings: Sequence[Finding]) -> dict[str, Counter[Outcome]]:
    """The clusters by id, in order of id, each with its findings counted by outcome; none where no rule applied."""
    spelled: dict[str, str] = {}
    counted: dict[str, Counter[Outcome]] = {}
    for _, concerned, outcome in told(findings):
        for cluster in concerned:
            key = cluster.lower()
            if key not in counted:
                spelled[key], counted[key] = cluster, Counter()
            counted[key][outcome] += 1
    for resource in snapshot.entries:
        if resource.type.lower() == ManagedCluster.TYPE.lower():
            spelled.setdefault(resource.id.lower(), resource.id)
            counted.setdefault(resource.id.lower(), Counter())
    return {spelled[key]: counted[key] for key in sorted(counted)}


def _cluster(cluster: str, counted: Counter[Outcome]) -> ClusterSummary:
    parsed = parse(cluster)
    return ClusterSummary(
        id=cluster,
        name=parsed.name,
        resource_group=parsed.group,
        subscription=parsed.subscription,
        outcomes={outcome.value: counted[outcome] for outcome in Outcome},
    )


def _checklist(found: Answers, checklist: Checklist) -> ChecklistScore:
    score = by_checklist(found, checklist)
    return ChecklistScore(
        name=checklist.name,
        title=checklist.title,
        source=checklist.source,
        summary=checklist.summary,
        items=tuple(_item(found, item) for item in checklist.item),
        value=score.value,
        low=score.low,
        high=score.high,
        decided=score.decided,
        unknown=score.unknown,
    )


_STATES: Mapping[Outcome, ItemState] = {
    Outcome.PASS: "pass",
    Outcome.FAIL: "fail",
    Outcome.UNKNOWN: "unknown",
    Outcome.NOT_APPLICABLE: "not-applicable",
}


def _item(found: Answers, item: Item) -> ItemResult:
    return ItemResult(
        rule=item.rule,
        sentence=item.sentence,
        weight=item.weight,
        state=_state(found, item),
        further=item.further,
        number=item.number,
        group=item.group,
        note=item.note,
    )


def _state(found: Answers, item: Item) -> ItemState:
    if item.manual:
        return "manual"
    outcomes = of_item(found, item)
    return "not-covered" if outcomes is None else _STATES[worst(outcomes) or Outcome.NOT_APPLICABLE]


def _read(snapshot: Snapshot) -> tuple[ReadCount, ...]:
    spelled: dict[str, str] = {}
    counted: Counter[tuple[str, str]] = Counter()
    for resource in snapshot.entries:
        spelled.setdefault(resource.type.lower(), resource.type)
        counted[parse(resource.id).subscription.lower(), resource.type.lower()] += 1
    return tuple(ReadCount(s, spelled[t], count) for (s, t), count in sorted(counted.items()))


def _unread(snapshot: Snapshot, lacking: Iterable[Missing], clusters: Collection[str]) -> tuple[Missing, ...]:
    gaps = [
        Missing(what=gap.id, kind=gap.cause, reason=gap.reason, action=gap.action, scope=gap.scope)
        for gap, _ in snapshot.gaps
    ]
    unique = dict.fromkeys([*gaps, *lacking, *_unlisted(snapshot, clusters)])
    return tuple(sorted(unique, key=lambda m: (m.what.lower(), m.kind, m.reason, m.action or "", m.scope or "")))


def _unlisted(snapshot: Snapshot, clusters: Collection[str]) -> Iterator[Missing]:
    """The scopes of which nothing says which clusters there are: there may be others, or any at all."""
    kind = ManagedCluster.TYPE.lower()
    told = [listing.scope for listing in snapshot.listings if listing.type.lower() == kind]
    # a list that was refused is told of by its gap
    told += [gap.id for gap, _ in snapshot.gaps if gap.type.lower() in {"", kind} and gap.cause not in ENOUGH]
    asked = sorted({scope for header in snapshot.headers for scope in header.scope})
    for scope in asked or ([] if told else ["/"]):
        if not any(within(scope, one) or within(one, scope) for one in told):
            known = "and there may be others than those that are" if clusters else "and no cluster is"
            reason = f"the list of {ManagedCluster.TYPE} in {scope} is not in the snapshot, {known}"
            yield Missing(what=scope, kind="not-read", reason=reason, action=f"{ManagedCluster.TYPE}/read", scope=scope)
