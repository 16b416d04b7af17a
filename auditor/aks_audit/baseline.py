"""An audit held against an earlier one: what is new, what is mended, and what nobody looked at again.

A failure of the baseline counts as mended only where this scan saw that it is: it passed, it is not applicable any
more, or its resource is gone from a scan that was whole and asked for as much as the baseline. What could not be read,
was not in scope or not asked is carried on. So no failure ends by not looking.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from aks_audit.errors import AuditError
from aks_audit.findings import failed, gathered, told, with_failures
from aks_audit.report import SCHEMA_VERSION, Comparison, Fixed, FixedBy, Report, Scan
from aks_audit.results import Finding, Outcome, Severity

_REMEDY = "give a report that `aks-audit scan --format json` made"


class BaselineError(AuditError):
    """A file that is no report to compare with; the message names it and says what to do."""


class Now(NamedTuple):
    """This scan, as far as a comparison needs it: its scope, the rules that it asked, those that people disabled."""

    scan: Scan
    asked: Collection[str]
    disabled: Collection[str]


def read(path: Path) -> Report:
    """Read a JSON report.

    Raises:
        BaselineError: it cannot be read, or is no report of aks-audit, or one of a later major version.
    """
    try:
        with path.open("rb") as lines:
            return decode(lines, str(path), _REMEDY)
    except OSError as problem:
        raise BaselineError(f"{path}: cannot be read ({problem.strerror or problem}); {_REMEDY}") from None


def decode(lines: Iterable[bytes], path: str, remedy: str) -> Report:
    """Decode a JSON report by its lines; `path` and `remedy` are for the message.

    Raises:
        BaselineError: it is no report of aks-audit, or one of a later major version.
    """
    parts = Parts(lines)
    try:
        findings = gathered(map(_decoder.decode, parts.findings()))
        report = msgspec.json.decode(parts.rest, type=Report)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BaselineError(f"{path}: is no report of aks-audit ({problem}); {remedy}") from None
    if report.schema_version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise BaselineError(f"{path}: is of schema {report.schema_version}, this is {SCHEMA_VERSION}; {remedy}")
    return msgspec.structs.replace(report, findings=findings) if findings else report


_decoder = msgspec.json.Decoder(Finding)


class Parts:
    """A JSON report as its lines come: first its findings, of which there may be more than fit into the memory.

    They stand a line each, as aks-audit writes them, or indented as the rest. In any other layout they are in the rest.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._rest: list[bytes] = []

    def findings(self) -> Iterator[bytes]:
        """The JSON of each finding."""
        for line in self._lines:
            self._rest.append(line)
            if line == b'  "findings": [\n':
                yield from self._each()

    def _each(self) -> Iterator[bytes]:
        held: list[bytes] = []
        for line in self._lines:
            if line.startswith(b"  ]"):
                self._rest.append(line)
                return
            held.append(line)
            if line.startswith((b'    {"', b"    }")):
                yield b"".join(held).strip().removesuffix(b",")
                held = []

    @property
    def rest(self) -> bytes:
        """All else, once the findings were taken."""
        return b"".join(self._rest)


def compare(before: Report, findings: Sequence[Finding], now: Now) -> tuple[Sequence[Finding], Comparison]:
    """Say of each failure how it stands to the baseline, and of each of the baseline's what became of it."""
    known = {failure.fingerprint: failure for failure in _failed(before)}
    compared = with_failures(findings, lambda failure: _compared(failure, known.get(failure.fingerprint)))
    present = _Present(compared, known, before.scan, now)
    became = [present.became(old) for old in known.values()]
    changes = [failure.change for failure in failed(compared)]
    return compared, Comparison(
        since=before.scan.finished,
        score=before.score.overall,
        new=changes.count("new"),
        changed=changes.count("changed"),
        unchanged=changes.count("unchanged"),
        fixed=tuple(one for one in became if isinstance(one, Fixed)),
        carried=tuple(msgspec.structs.replace(one, change=None) for one in became if isinstance(one, Finding)),
    )


def beyond(before: Report, failures: Sequence[Finding], threshold: Severity) -> Iterator[Finding]:
    """Those failures over a severity that the baseline has not so: new, less severe then, or accepted by a person."""
    known = {one.fingerprint for one in _failed(before) if one.exception is None and one.severity.reaches(threshold)}
    yield from (failure for failure in failures if failure.fingerprint not in known)


def _failed(report: Report) -> Iterator[Finding]:
    """The failures of a report, and those that it carried on itself."""
    yield from failed(report.findings)
    if report.comparison:
        yield from report.comparison.carried


def _compared(finding: Finding, before: Finding | None) -> Finding:
    if before is None:
        return msgspec.structs.replace(finding, change="new")
    same = _told(finding) == _told(before)
    return msgspec.structs.replace(finding, change="unchanged" if same else "changed")


def _told(finding: Finding) -> tuple[object, ...]:
    """What was seen; when it was read is no part of it."""
    evidence = [(one.resource.lower(), one.pointer, one.value) for one in finding.evidence]
    return finding.severity, finding.message, evidence


def _fixed(old: Finding, end: FixedBy) -> Fixed:
    return Fixed(old.rule, old.resource, old.severity, old.message, old.fingerprint, end)


class _Present:
    """What this scan says about the baseline's failures."""

    def __init__(self, findings: Sequence[Finding], known: Collection[str], before: Scan, now: Now) -> None:
        self._current = {one.fingerprint: one for one in findings if one.fingerprint in known}
        self._unknown = {
            (rule, cluster.lower())
            for rule, clusters, outcome in told(findings)
            if outcome is Outcome.UNKNOWN
            for cluster in clusters
        }
        self._now = now
        self._whole = now.scan.complete and as_much(before, now.scan)

    def became(self, old: Finding) -> Fixed | Finding | None:
        """How a failure of the baseline ended, the failure itself where it is carried on; None: it is one still."""
        current = self._current.get(old.fingerprint)
        if current is None:
            return self._absent(old)
        if current.outcome is Outcome.FAIL:
            return None
        if current.outcome is Outcome.UNKNOWN or self._doubted(old, current.clusters):
            return old
        return _fixed(old, _DECIDED[current.outcome])

    def _absent(self, old: Finding) -> Fixed | Finding:
        if old.rule in self._now.disabled:
            return _fixed(old, "disabled")
        seen = self._whole and old.rule in self._now.asked and not self._doubted(old, ())
        return _fixed(old, "gone") if seen else old

    def _doubted(self, old: Finding, told: Iterable[str]) -> bool:
        """Whether the rule is unknown of a cluster that the failure concerned, other than those that it told of now.

        What several clusters share may be well for those that are known to use it still, and was it not for another.
        """
        known = {cluster.lower() for cluster in told}
        return any((old.rule, one.lower()) in self._unknown and one.lower() not in known for one in old.clusters)


_DECIDED: Mapping[Outcome, FixedBy] = {Outcome.PASS: "pass", Outcome.NOT_APPLICABLE: "not-applicable"}


def as_much(before: Scan, now: Scan) -> bool:
    """Whether a scan asked for as much as one before, and that one said what it asked for.

    A cluster can lose its tag, and be there all the same.
    """
    wide = bool(before.scope) and {scope.lower() for scope in before.scope} <= {scope.lower() for scope in now.scope}
    alike = before.narrowed == now.narrowed and not any(told.startswith("tag=") for told in now.narrowed)
    return wide and (not now.narrowed or alike)
