"""Asks every rule about every subject, and turns what cannot be read into the outcome unknown."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from aks_audit import packs
from aks_audit.errors import AuditError
from aks_audit.facts import Estate, ManagedCluster, Subject, Subjects, Unread, UnreadSubject
from aks_audit.facts.document import evidence_path
from aks_audit.findings import Packing
from aks_audit.garbage import no_collections
from aks_audit.installed import brought
from aks_audit.results import Evidence, Finding, Location, Missing, Outcome, Place, Verdict
from aks_audit.rule import Rule, undecided

ENTRY_POINTS = "aks_audit.rules"

_CLUSTERS_AT_ONCE = 25

_Asked: TypeAlias = Subject | UnreadSubject


class EngineError(AuditError):
    """A set of rules that cannot be used."""


def load_rules(folders: Iterable[Path] = ()) -> tuple[Rule, ...]:
    """All rules that are installed or stand in these folders, in order of id.

    Raises:
        EngineError: two packages or folders bring a rule with the same id.
        PackError, DeclarationError: one of them cannot be used.
    """
    installed = sorted(brought(ENTRY_POINTS), key=lambda entry: entry.name)
    packages = [(entry.value, packs.of_package(entry)) for entry in installed]
    once = {folder.resolve(): folder for folder in folders}
    return merged([*packages, *((str(folder), packs.of_folder(folder)) for folder in once.values())])


def merged(brought: Iterable[tuple[str, Iterable[Rule]]]) -> tuple[Rule, ...]:
    """The rules of several packs, by where they are from, in order of id.

    Raises:
        EngineError: two rules have the same id.
    """
    found: dict[str, Rule] = {}
    for origin, rules in brought:
        for rule in rules:
            if rule.id.upper() in found:
                raise EngineError(f"rule {rule.id} of {origin} is already there, by another rule of that id")
            found[rule.id.upper()] = rule
    return tuple(sorted(found.values(), key=lambda rule: rule.id))


def audit(
    estate: Estate, rules: Iterable[Rule], beside: Callable[[ManagedCluster], object] | None = None
) -> Sequence[Finding]:
    """Ask each rule about each of its subjects, in order of rule and resource.

    A part of the estate is asked about by every rule before the next is, so that what is worked out about one cluster
    need not be kept until all of them are done. `beside` is called with each cluster, in order of id, while it is kept.

    Raises:
        NoRoomError: the findings are too many for the memory, and there is no room for them in a file.
    """
    asked = sorted(rules, key=lambda rule: rule.id)
    subjects = Subjects(estate)
    packing = Packing(rule.id for rule in asked)
    with no_collections():
        left = {rule.subject: deque(subjects.of(rule.subject)) for rule in asked}
        del subjects
        estate.forget()
        for clusters, end in _parts(estate.every(ManagedCluster)):
            now = {kind: _up_to(end, of_kind) for kind, of_kind in left.items()}
            for rule in asked:
                packing.add([_finding(estate, rule, subject) for subject in now[rule.subject]])
            if beside:
                for cluster in clusters:
                    beside(cluster)
            estate.forget()
    return packing.finish()


def _parts(clusters: Sequence[ManagedCluster]) -> Iterator[tuple[Sequence[ManagedCluster], str | None]]:
    """Some of the clusters at a time, and the id in lower case at which their part of an estate ends, if it does."""
    for start in range(0, max(1, len(clusters)), _CLUSTERS_AT_ONCE):
        end = start + _CLUSTERS_AT_ONCE
        yield clusters[start:end], clusters[end].id.lower() if end < len(clusters) else None


def _up_to(end: str | None, subjects: deque[_Asked]) -> list[_Asked]:
    """Take away those subjects, which are in order of id, that come before an id."""
    found = []
    while subjects and (end is None or subjects[0].id.lower() < end):
        found.append(subjects.popleft())
    return found


def ask(rule: Rule, subject: Subject) -> Verdict:
    """One rule's verdict about one subject; a rule that crashes is unknown about that subject alone."""
    try:
        return _verdict(rule.judge(subject))
    except Unread as unread:
        return undecided(str(unread), missing=unread.missing)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the isolation of a rule: its crash is shown, and loses nothing else
        reason = f"rule {rule.id} crashed: {type(error).__name__}: {error}"
        return undecided(reason, missing=[Missing(what=subject.id, kind="crashed", reason=reason)])


def _verdict(answer: object) -> Verdict:
    if not isinstance(answer, Verdict):
        raise TypeError(f"it answered with {type(answer).__name__}, not with a Verdict")
    return answer


def _finding(estate: Estate, rule: Rule, subject: Subject | UnreadSubject) -> Finding:
    text, resource, remediation = rule.text, subject.id, None
    if isinstance(subject, UnreadSubject):
        reason = "; ".join(missing.reason for missing in subject.missing)
        verdict = undecided(reason, missing=subject.missing)
    else:
        verdict = ask(rule, subject)
        if verdict.outcome is Outcome.FAIL:
            remediation = rule.remediation(subject.labels)
    place, location = _where(estate, resource, verdict.evidence)
    return Finding(
        rule=text.id,
        resource=resource,
        clusters=tuple(subject.clusters),
        outcome=verdict.outcome,
        severity=verdict.severity or text.severity,
        message=verdict.message,
        evidence=verdict.evidence,
        remediation=remediation,
        missing=_missing(resource, verdict),
        location=location,
        place=place,
        fingerprint=fingerprint(text.id, resource),
        due=verdict.due,
    )


def _missing(subject_id: str, verdict: Verdict) -> tuple[Missing, ...]:
    """What an unknown lacks; where the rule names nothing, it is a value that the subject's own body does not hold."""
    if verdict.outcome is not Outcome.UNKNOWN or verdict.missing:
        return verdict.missing
    return (Missing(what=subject_id, kind="not-sent", reason=verdict.message),)


def fingerprint(rule_id: str, resource_id: str) -> str:
    """What stays the same for a finding from scan to scan: SHA-256 over rule and lower-cased resource id.

    A part of a resource that is judged by itself has an id of its own (a pool: `…/agentPools/NAME`).
    """
    return hashlib.sha256(f"{rule_id}\n{resource_id.lower()}".encode()).hexdigest()


def _where(estate: Estate, resource_id: str, evidence: Sequence[Evidence]) -> tuple[Place, Location | None]:
    """Where the first evidence about the resource itself stands, else its first evidence, the resource, or its gap."""
    document = own = estate.document(resource_id)
    pointer = ""
    if evidence:
        item = next((item for item in evidence if estate.document(item.resource) is own), evidence[0])
        document, pointer = estate.document(item.resource), item.pointer
    if document is None:
        return Place(path=evidence_path(resource_id), line=1, text=resource_id), estate.gap_location(resource_id)
    return document.place(pointer), document.location
