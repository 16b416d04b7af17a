"""What moved between two audits: settings, findings, and what could be looked at at all.

Two snapshots are compared body by body; else the values that findings cite as evidence are. Nothing counts as gone or
mended that was not looked at: that is asked of `baseline`, once in each direction, so that what came in one direction
is what went in the other.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from aks_audit import baseline
from aks_audit.changes import Change, changes
from aks_audit.facts.gaps import INSIDE
from aks_audit.facts.resource_id import fold, parse, scopes, within
from aks_audit.report import FixedBy, Report, Tool
from aks_audit.results import Evidence, Finding, Missing, Outcome, Record, Severity
from aks_audit.score import Score
from aks_audit.snapshot import Gap, Resource, Snapshot, instant

SCHEMA_VERSION = "1.0"


class Audit(NamedTuple):
    """One of the two: its report, and the snapshot that was audited, where there is one."""

    report: Report
    snapshot: Snapshot | None = None


class Side(Record, frozen=True):
    """What one of the two is, and how much it looked at (times RFC 3339)."""

    kind: Literal["report", "snapshot"]
    started: str | None
    finished: str | None
    complete: bool
    scope: tuple[str, ...]
    narrowed: tuple[str, ...]
    checklists: tuple[str, ...]
    score: Score


Move: TypeAlias = Literal["came", "went", "changed", "unknown", "known"]
"""What became of a finding or a resource. `unknown`: it was looked at in the old alone; `known`: in the new alone."""


class EvidenceChange(Change, frozen=True, kw_only=True):
    """A value of a resource that a finding cites, and that differs."""

    resource: str


class FindingMove(Record, frozen=True):
    """A failure that came, went or changed, or an answer that one of the two could not give.

    `why` is how the failure ended, or for one that came, what it was before: that it passed, did not apply, was not
    there, or that its rule was disabled. Outcome and message are null where there was no such finding; `accepted` says
    whether a person has accepted the failure, then and now.
    """

    move: Move
    rule: str
    title: str
    severity: Severity
    resource: str
    clusters: tuple[str, ...]
    outcomes: tuple[Outcome | None, Outcome | None]
    messages: tuple[str | None, str | None]
    accepted: tuple[bool, bool]
    why: FixedBy | None
    evidence: tuple[EvidenceChange, ...]
    fingerprint: str


class ResourceMove(Record, frozen=True):
    """A resource that came, went, or whose settings changed; with `unknown` and `known`, one that was not looked at."""

    move: Move
    id: str
    type: str
    changes: tuple[Change, ...] = ()


class CountMove(Record, frozen=True):
    """How many resources of a type were read in a subscription, then and now."""

    subscription: str
    type: str
    old: int
    new: int


class CoverageMove(Record, frozen=True):
    """What of the coverage differs: things that are missing in one alone, counts, and rules that one alone asked."""

    missing_now: tuple[Missing, ...] = ()
    missing_before: tuple[Missing, ...] = ()
    read: tuple[CountMove, ...] = ()
    rules_now: tuple[str, ...] = ()
    rules_before: tuple[str, ...] = ()


class Drift(Record, frozen=True):
    """What moved from `old` to `new`. `settings` says whether bodies were compared, or only what findings cite."""

    schema_version: str
    tool: Tool
    old: Side
    new: Side
    moved: bool
    settings: Literal["bodies", "evidence"]
    findings: tuple[FindingMove, ...]
    resources: tuple[ResourceMove, ...]
    coverage: CoverageMove


def compare(old: Audit, new: Audit, tool: Tool) -> Drift:
    """Say what moved."""
    findings = tuple(_findings(old.report, new.report))
    coverage = _coverage(old.report, new.report)
    if old.snapshot and new.snapshot:
        resources = tuple(_resources(old.snapshot, new.snapshot))
    else:
        resources = tuple(_cited(old.report, new.report))
    sides = _side(old), _side(new)
    return Drift(
        schema_version=SCHEMA_VERSION,
        tool=tool,
        old=sides[0],
        new=sides[1],
        moved=bool(findings or resources or coverage != CoverageMove() or len(set(map(_asked, sides))) > 1),
        settings="bodies" if old.snapshot and new.snapshot else "evidence",
        findings=findings,
        resources=resources,
        coverage=coverage,
    )


def _side(audit: Audit) -> Side:
    scan = audit.report.scan
    return Side(
        kind="snapshot" if audit.snapshot else "report",
        started=scan.started,
        finished=scan.finished,
        complete=scan.complete,
        scope=scan.scope,
        narrowed=scan.narrowed,
        checklists=scan.checklists,
        score=audit.report.score.overall,
    )


def _asked(side: Side) -> tuple[object, ...]:
    return side.scope, side.narrowed, side.checklists, side.score


# --- findings


class _Pair(NamedTuple):
    """A finding in both; the sides that it is not in are None."""

    old: Finding | None
    new: Finding | None

    @property
    def either(self) -> Finding:
        """The new one, else the old."""
        found = self.new or self.old
        if found is None:
            raise ValueError("a pair of nothing")
        return found


def _pairs(old: Report, new: Report) -> Iterator[_Pair]:
    """The findings of both, worst first, then by rule and resource."""
    sides = [{finding.fingerprint: finding for finding in report.findings} for report in (old, new)]
    pairs = [_Pair(sides[0].get(key), sides[1].get(key)) for key in dict.fromkeys([*sides[0], *sides[1]])]
    worst = list(Severity)
    return iter(sorted(pairs, key=lambda p: (worst.index(p.either.severity), p.either.rule, fold(p.either.resource))))


def _findings(old: Report, new: Report) -> Iterator[FindingMove]:
    titles = {rule.id: rule.title for rule in (*old.rules, *new.rules)}
    went, came = _ended(old, new), _ended(new, old)
    for pair in _pairs(old, new):
        found = pair.either
        evidence = tuple(_evidence(pair))
        why = came.get(found.fingerprint) or went.get(found.fingerprint)
        if move := _move(pair, came, went, evidence):
            yield FindingMove(
                move=move,
                rule=found.rule,
                title=titles.get(found.rule, found.rule),
                severity=found.severity,
                resource=found.resource,
                clusters=found.clusters,
                outcomes=(pair.old.outcome if pair.old else None, pair.new.outcome if pair.new else None),
                messages=(pair.old.message if pair.old else None, pair.new.message if pair.new else None),
                accepted=(bool(pair.old and pair.old.exception), bool(pair.new and pair.new.exception)),
                why=why,
                evidence=evidence,
                fingerprint=found.fingerprint,
            )


def _ended(before: Report, after: Report) -> Mapping[str, FixedBy]:
    """How failures of one ended in the other, by fingerprint; those that it did not look at again are not there."""
    told = {
        entry.rule.lower() for entry in after.policy.entries if (entry.table, entry.state) == ("disabled", "in-force")
    }
    disabled = {rule.id for rule in before.rules if rule.id.lower() in told}
    now = baseline.Now(after.scan, {rule.id for rule in after.rules}, disabled)
    alone = msgspec.structs.replace(before, comparison=None)  # what it carried on, it did not see
    _, comparison = baseline.compare(alone, after.findings, now)
    return {fixed.fingerprint: fixed.by for fixed in comparison.fixed}


def _move(
    pair: _Pair, came: Mapping[str, FixedBy], went: Mapping[str, FixedBy], evidence: Sequence[EvidenceChange]
) -> Move | None:
    failed_before, fails_now = (bool(one and one.outcome is Outcome.FAIL) for one in pair)
    if failed_before and fails_now:
        return "changed" if evidence or _says(pair.old) != _says(pair.new) else None
    fingerprint = pair.either.fingerprint
    if fails_now:
        return "came" if fingerprint in came else "known"
    if failed_before:
        return "went" if fingerprint in went else "unknown"
    outcomes = [one.outcome if one else None for one in pair]
    if None in outcomes or outcomes.count(Outcome.UNKNOWN) != 1:
        return None
    return "known" if outcomes[0] is Outcome.UNKNOWN else "unknown"


def _says(finding: Finding | None) -> tuple[object, ...]:
    """What a failure says, whatever the order of its evidence."""
    if finding is None:
        return ()
    cited = sorted((place, _value(one)) for place, found in _by_place(finding).items() for one in found)
    return finding.severity, finding.message, bool(finding.exception), cited


def _value(evidence: Evidence) -> bytes:
    return msgspec.json.encode(evidence.value, order="deterministic").lower()


_Cited: TypeAlias = dict[tuple[str, str], list[Evidence]]


def _evidence(pair: _Pair) -> Iterator[EvidenceChange]:
    """The values that both cite, and that differ; items of lists may have moved."""
    if not pair.old or not pair.new or pair.old.evidence == pair.new.evidence:
        return
    old, new = _by_place(pair.old), _by_place(pair.new)
    for key in [key for key in new if key in old]:
        before, after = _differing(old[key], new[key]), _differing(new[key], old[key])
        if len(before) != len(after):
            continue  # cited more or less often: that tells of the message, not of a value
        for was, now in zip(before, after, strict=True):
            for change in changes({"": was.value}, {"": now.value}, azure="/" in parse(now.resource).type):
                path = _path(now.pointer) + ("." * change.path[:1].isalnum()) + change.path
                pointer = now.pointer + change.pointer.removeprefix("/")
                yield EvidenceChange(pointer=pointer, path=path, old=change.old, new=change.new, resource=now.resource)


def _path(pointer: str) -> str:
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
    return "".join(f"[{token}]" if token.isdecimal() else f".{token}" for token in tokens).removeprefix(".")


def _by_place(finding: Finding) -> _Cited:
    """The evidence by resource and pointer, whatever the index of an item of a list."""
    found: _Cited = {}
    for one in finding.evidence:
        tokens = ("*" if token.isdecimal() else token for token in one.pointer.split("/"))
        found.setdefault((fold(one.resource), "/".join(tokens)), []).append(one)
    return found


def _differing(evidence: Iterable[Evidence], others: Iterable[Evidence]) -> list[Evidence]:
    there = {_value(other) for other in others}
    return [one for one in evidence if _value(one) not in there]


# --- settings


def _cited(old: Report, new: Report) -> Iterator[ResourceMove]:
    """The clusters that one alone has, and the resources of which both cite a value that differs."""
    yield from _clusters(old, new, "went", "unknown")
    yield from _clusters(new, old, "came", "known")
    found: dict[str, dict[str, EvidenceChange]] = {}
    spelled: dict[str, str] = {}
    for pair in _pairs(old, new):
        for change in _evidence(pair):
            spelled.setdefault(fold(change.resource), change.resource)
            found.setdefault(fold(change.resource), {}).setdefault(change.pointer, change)
    for resource, cited in sorted(found.items()):
        listed = tuple(Change(one.pointer, one.path, one.old, one.new) for _, one in sorted(cited.items()))
        yield ResourceMove("changed", spelled[resource], parse(resource).type, listed)


def _clusters(one: Report, other: Report, gone: Move, unseen: Move) -> Iterator[ResourceMove]:
    """The clusters of one report that the other has not, and whether it would have them."""
    there = {cluster.id.lower() for cluster in other.clusters}
    whole = other.scan.complete and baseline.as_much(one.scan, other.scan)
    for cluster in one.clusters:
        if cluster.id.lower() not in there:
            yield ResourceMove(gone if whole else unseen, cluster.id, parse(cluster.id).type)


def _resources(old: Snapshot, new: Snapshot) -> Iterator[ResourceMove]:
    before, after = _Held(old), _Held(new)
    for key in sorted({*before.resources, *after.resources}):
        was, now = before.resources.get(key), after.resources.get(key)
        if was and now:
            if found := changes(was.body, now.body, azure=now.source != INSIDE):
                yield ResourceMove("changed", now.id, now.type, found)
        elif was:
            yield ResourceMove("went" if after.lacks(was) else "unknown", was.id, was.type)
        elif now:
            yield ResourceMove("came" if before.lacks(now) else "known", now.id, now.type)


class _Held:
    """The resources of a snapshot by id, each as it was read last, and what it says of those that it has not."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.resources: dict[str, Resource] = {}
        for resource, _ in sorted(snapshot.resources, key=lambda pair: _read_at(pair[0])):
            self.resources[fold(resource.id)] = resource
        self._listed = {(listing.type.lower(), listing.scope.lower().rstrip("/")) for listing in snapshot.listings}
        self._gaps = [gap for gap, _ in snapshot.gaps]

    def lacks(self, resource: Resource) -> bool:
        """Whether it says that there is no such resource: in a list that was read whole, or with what holds it."""
        return self._lacks(resource.id, resource.type.lower())

    def _lacks(self, resource_id: str, kind: str) -> bool:
        if fold(resource_id) in self.resources or any(_about(gap, resource_id, kind) for gap in self._gaps):
            return False
        holder = _holder(resource_id)
        listed = any((kind, scope) in self._listed for scope in (resource_id.lower(), *scopes(resource_id)))
        return listed or bool(holder and self._lacks(holder, parse(holder).type.lower()))


def _read_at(resource: Resource) -> float:
    return instant(resource.read).timestamp() if resource.read else 0.0


def _holder(resource_id: str) -> str:
    """The id of the resource that this one is a part or an extension of; empty where it stands by itself."""
    parent = parse(resource_id).parent or resource_id.rpartition("/providers/")[0]
    return parent if parse(parent).type else ""


def _about(gap: Gap, resource_id: str, kind: str) -> bool:
    """Whether a gap may be why a resource of a type (in lower case) is not there."""
    if not within(resource_id, gap.id):
        return False
    lost = (gap.type or parse(gap.id).type).lower()
    return not lost or lost == kind or (lost == INSIDE and "/" not in kind) or kind.startswith(f"{lost}/")


# --- coverage


def _missed(missing: Missing) -> tuple[str | None, ...]:
    return missing.what.lower(), missing.kind, missing.action, missing.scope


def _counts(old: Report, new: Report) -> Iterator[CountMove]:
    sides = [{(one.subscription.lower(), one.type.lower()): one for one in side.coverage.read} for side in (old, new)]
    for key in sorted({*sides[0], *sides[1]}):
        before, now = sides[0].get(key), sides[1].get(key)
        told = now or before
        counts = before.count if before else 0, now.count if now else 0
        if told and counts[0] != counts[1]:
            yield CountMove(told.subscription, told.type, *counts)


def _coverage(old: Report, new: Report) -> CoverageMove:
    before, now = ({_missed(missing): missing for missing in report.coverage.unread} for report in (old, new))
    asked = [{rule.id for rule in report.rules} for report in (old, new)]
    return CoverageMove(
        missing_now=tuple(missing for key, missing in now.items() if key not in before),
        missing_before=tuple(missing for key, missing in before.items() if key not in now),
        read=tuple(_counts(old, new)),
        rules_now=tuple(sorted(asked[1] - asked[0])),
        rules_before=tuple(sorted(asked[0] - asked[1])),
    )
