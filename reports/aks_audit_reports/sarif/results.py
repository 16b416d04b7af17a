"""Findings as results of SARIF."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from urllib.parse import quote

from aks_audit.report import Fixed, FixedBy
from aks_audit.results import Change, Evidence, Exemption, Finding, Outcome, Severity
from aks_audit_reports.sarif import log
from aks_audit_reports.sarif.log import (
    ArtifactContent,
    ArtifactLocation,
    BaselineState,
    Fingerprints,
    Kind,
    Level,
    Location,
    LogicalLocation,
    Message,
    PhysicalLocation,
    Region,
    Result,
    ResultProperties,
    Suppression,
)
from aks_audit_reports.summary import origin, printable

LEVELS: Mapping[Severity, Level] = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}

LONGEST_MESSAGE = 2_000
LONGEST_REASON = 500
LONGEST_SNIPPET = 200
MOST_PROPERTIES = 10
MOST_RELATED = 5

_KINDS: Mapping[Outcome, Kind] = {
    Outcome.FAIL: "fail",
    Outcome.PASS: "pass",
    Outcome.NOT_APPLICABLE: "notApplicable",
    Outcome.UNKNOWN: "open",
}
_STATES: Mapping[Change, BaselineState] = {"new": "new", "unchanged": "unchanged", "changed": "updated"}
_ENDS: Mapping[FixedBy, str] = {
    "pass": "it passes now",
    "not-applicable": "the question does not arise any more",
    "gone": "what it was about is gone",
    "disabled": "its rule is disabled",
}


class Results:
    """Makes results; `rules` are the places of the rules in the file, and the severities that it gives them.

    `failures` are all that are open; those that must be mended before a result are its related locations. Where it is
    `whole`, results say how they stand to the baseline, and who accepted them.
    """

    def __init__(self, rules: Mapping[str, tuple[int, Severity]], failures: Iterable[Finding], *, whole: bool) -> None:
        self._rules, self._whole = rules, whole
        self._failures = {failure.fingerprint: failure for failure in failures}
        self._place, self._resource, self._plain = cache(_place), cache(_resource), cache(plain)  # much recurs
        self._related = cache(self._cause)

    def of(self, finding: Finding, again: str = "") -> Result:
        """A finding's result; `again` says of a failure of the baseline why it could not be evaluated again."""
        index, severity = self._rules[finding.rule]
        failed = finding.outcome is Outcome.FAIL
        indexed = [one for one in finding.evidence if one.source]
        read = origin(indexed[0]) if indexed else None
        first = [mark for mark in finding.causes if mark in self._failures]
        return Result(
            rule_id=finding.rule,
            rule_index=index,
            kind=_KINDS[finding.outcome],
            level=LEVELS[finding.severity] if failed else "none",
            message=Message(text=self._says(finding, severity, again, read) + self._first(first)),
            locations=(self._location(finding),),
            related_locations=tuple(map(self._related, first[:MOST_RELATED])),
            partial_fingerprints=Fingerprints(primary_location_line_hash=finding.fingerprint),
            baseline_state=self._state(finding, again) if self._whole else None,
            suppressions=(_suppression(finding.exception),) if finding.exception else (),
            properties=ResultProperties(
                severity=finding.severity,
                clusters=finding.clusters,
                command=finding.remediation.command if finding.remediation else None,
                evidence_origin=read,
                carried=bool(again),
            ),
        )

    def of_mended(self, mended: Fixed) -> Result:
        """A failure of the baseline that is none any more. Where it stood is not known now, but for its resource."""
        index, _ = self._rules[mended.rule]
        return Result(
            rule_id=mended.rule,
            rule_index=index,
            level=LEVELS[mended.severity],
            message=Message(text=f"Mended, {_ENDS[mended.by]}: {plain(mended.message)}"),
            locations=(Location(logical_locations=(_resource(mended.resource),)),),
            partial_fingerprints=Fingerprints(primary_location_line_hash=mended.fingerprint),
            baseline_state="absent",
            properties=ResultProperties(severity=mended.severity),
        )

    def _location(self, finding: Finding) -> Location:
        place = finding.source or finding.place
        return Location(
            physical_location=self._place(place.path, place.line, place.text),
            logical_locations=(self._resource(finding.resource), *map(_property, _pointed(finding))),
        )

    def _first(self, marks: Iterable[str]) -> str:
        """Which rules to mend first, as a sentence: GitHub shows no related location that the message does not link."""
        rules = dict.fromkeys(self._failures[mark].rule for mark in marks)
        return f" Mend {', '.join(rules)} first." if rules else ""

    def _cause(self, mark: str) -> Location:
        """Where a failure stands, and what it says."""
        cause = self._failures[mark]
        place = cause.source or cause.place
        return Location(
            physical_location=self._place(place.path, place.line, place.text),
            logical_locations=(self._resource(cause.resource),),
            message=Message(text=f"Mend {cause.rule} first: {plain(cause.message, LONGEST_REASON).removesuffix('.')}."),
        )

    def _says(self, finding: Finding, severity: Severity, again: str, read: str | None) -> str:
        """The finding's message in sentences; with its severity where GitHub shows another, and what to know of it."""
        said = self._plain(finding.message).removesuffix(".") + "."
        if finding.outcome is Outcome.FAIL and finding.severity is not severity:
            said += f" Its severity here is {finding.severity}."
        if again:
            said += f" An earlier scan found this, and it could not be evaluated again: {again}."
        if read:
            said += f" This is {read}, and may lag."
        return said

    @staticmethod
    def _state(finding: Finding, again: str) -> BaselineState | None:
        if again:
            return "unchanged"
        return _STATES[finding.change] if finding.change else None


def _place(path: str, line: int, text: str) -> PhysicalLocation:
    return PhysicalLocation(
        artifact_location=ArtifactLocation(uri=quote(path.lstrip("/"))),
        region=Region(start_line=line, snippet=ArtifactContent(text=clip(printable(text), LONGEST_SNIPPET))),
    )


def _suppression(exception: Exemption) -> Suppression:
    return Suppression(
        kind="external",
        status="accepted",
        justification=plain(exception.reason),
        properties=log.Exemption(
            owner=plain(exception.owner), approved_by=plain(exception.approved_by), expires=exception.expires
        ),
    )


def _resource(resource_id: str) -> LogicalLocation:
    return LogicalLocation(name=resource_id.rpartition("/")[2], fully_qualified_name=resource_id, kind="resource")


def _pointed(finding: Finding) -> Sequence[Evidence]:
    """The first evidence of each property that is cited."""
    if len(finding.evidence) > 1:
        first = {(one.resource, one.pointer): one for one in reversed(finding.evidence) if one.pointer}
        return sorted(first.values(), key=finding.evidence.index)[:MOST_PROPERTIES]
    return [one for one in finding.evidence if one.pointer]


def _property(evidence: Evidence) -> LogicalLocation:
    name = evidence.pointer.rpartition("/")[2]
    return LogicalLocation(name=name, fully_qualified_name=f"{evidence.resource}#{evidence.pointer}", kind="property")


def plain(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """Text from a snapshot as a SARIF message: one line of limited length, in which nothing makes a link."""
    line = clip(printable(" ".join(text.split())), longest)
    return re.sub(r"[\\\[\]]", r"\\\g<0>", line) if "](" in line else line


def clip(text: str, longest: int) -> str:
    """Text of limited length; an ellipsis stands for what is cut off."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
