"""The findings as Compliance Findings of the Open Cybersecurity Schema Framework (class 2003), for SIEMs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from aks_audit.report import Fixed, Report
from aks_audit.results import Finding, Outcome, RuleText, Severity
from aks_audit_reports import summary
from aks_audit_reports.summary import printable, short

VERSION = "1.5.0"
"""The version of the schema; later minor versions read it, too."""

COMPLIANCE_FINDING = 2003
FINDINGS = 2
AZURE_SUBSCRIPTION = 13
RULE = 1
CREATE, UPDATE, CLOSE = 1, 2, 3


class Named(NamedTuple):
    """A value of an enumeration: its number and its name."""

    id: int
    name: str


ACTIVITIES = {CREATE: "Create", UPDATE: "Update", CLOSE: "Close"}
SEVERITIES: Mapping[Severity, Named] = {
    Severity.CRITICAL: Named(5, "Critical"),
    Severity.HIGH: Named(4, "High"),
    Severity.MEDIUM: Named(3, "Medium"),
    Severity.LOW: Named(2, "Low"),
    Severity.INFO: Named(1, "Informational"),
}
OUTCOMES: Mapping[Outcome, Named] = {
    Outcome.PASS: Named(1, "Pass"),
    Outcome.FAIL: Named(3, "Fail"),
    Outcome.UNKNOWN: Named(0, "Unknown"),
    Outcome.NOT_APPLICABLE: Named(99, "Not applicable"),
}
GONE = Named(99, "No longer there")

UNKNOWN = Named(0, "Unknown")
NEW = Named(1, "New")
IN_PROGRESS = Named(2, "In Progress")
SUPPRESSED = Named(3, "Suppressed")
RESOLVED = Named(4, "Resolved")
"""How an event stands: a failure is new, in progress where the baseline has it, or suppressed where it is accepted."""


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An object of an event; what has its default is left out."""


class Product(Node, frozen=True):
    """What made the event."""

    name: str
    vendor_name: str
    version: str


class Metadata(Node, frozen=True):
    """About the event itself."""

    product: Product
    version: str
    profiles: Sequence[str]
    event_code: str


class Account(Node, frozen=True):
    """A subscription of Azure."""

    uid: str
    type_id: int
    type: str


class Cloud(Node, frozen=True):
    """Where the resource is."""

    provider: str
    account: Account | None = None


class Analytic(Node, frozen=True):
    """The rule that decided."""

    uid: str
    name: str
    type_id: int
    type: str


class FindingInfo(Node, frozen=True):
    """What was found; its `uid` stays from scan to scan."""

    uid: str
    title: str
    analytic: Analytic
    types: Sequence[str]
    last_seen_time: int
    desc: str | None = None
    src_url: str | None = None


class Compliance(Node, frozen=True):
    """The outcome, and the controls that ask the same."""

    control: str
    status: str
    status_id: int
    status_details: Sequence[str] = ()
    standards: Sequence[str] = ()
    requirements: Sequence[str] = ()


class Resource(Node, frozen=True):
    """What it was found on."""

    uid: str
    name: str
    type: str | None = None


class Remediation(Node, frozen=True):
    """What mends it."""

    desc: str
    references: Sequence[str] = ()


class Evidence(Node, frozen=True):
    """A value that was read."""

    data: object


class Event(Node, frozen=True):
    """A Compliance Finding."""

    activity_id: int
    activity_name: str
    category_uid: int
    category_name: str
    class_uid: int
    class_name: str
    type_uid: int
    type_name: str
    severity_id: int
    severity: str
    status_id: int
    status: str
    time: int
    message: str
    metadata: Metadata
    cloud: Cloud
    compliance: Compliance
    finding_info: FindingInfo
    resources: Sequence[Resource]
    evidences: Sequence[Evidence] = ()
    remediation: Remediation | None = None
    comment: str | None = None
    unmapped: Mapping[str, object] = {}


class OcsfReporter:
    """Writes `aks-audit.ocsf.json`: an array with an event a line."""

    file_name = "aks-audit.ocsf.json"

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """An event for each finding, and one for each failure of the baseline that has none any more."""
        del colour  # a file has none
        events = [msgspec.json.encode(event) for event in _events(report)]
        return b"[\n" + b",\n".join(events) + (b"\n]\n" if events else b"]\n")


class _Told(NamedTuple):
    """What differs between events: what is done to the finding, how it stands, and what was decided."""

    activity: int
    status: Named
    outcome: Named
    severity: Named


def _events(report: Report) -> Iterator[Event]:
    rules = {rule.id: rule for rule in report.rules}
    product = Product(name=report.tool.name, vendor_name=report.tool.name, version=report.tool.version)
    made = _Maker(product, rules, _milliseconds(report.scan.finished))
    carried = {one.fingerprint: one for one in report.comparison.carried} if report.comparison else {}
    fixed = {one.fingerprint: one for one in report.comparison.fixed} if report.comparison else {}
    for finding in report.findings:
        told = _told(finding, carried=finding.fingerprint in carried, fixed=finding.fingerprint in fixed)
        yield made.of(finding, told)
    current = {finding.fingerprint for finding in report.findings}
    yield from (made.of_fixed(one) for mark, one in fixed.items() if mark not in current)
    for mark, finding in carried.items():
        if mark not in current:
            told = _Told(UPDATE, IN_PROGRESS, OUTCOMES[Outcome.UNKNOWN], SEVERITIES[finding.severity])
            yield made.of(finding, told, "Failed before, and was not looked at again: ")


def _told(finding: Finding, *, carried: bool, fixed: bool) -> _Told:
    activity = CLOSE if fixed else UPDATE if carried or finding.change in {"unchanged", "changed"} else CREATE
    harmless = finding.outcome in {Outcome.PASS, Outcome.NOT_APPLICABLE}
    severity = SEVERITIES[Severity.INFO if harmless else finding.severity]
    return _Told(activity, _status(finding, carried=carried), OUTCOMES[finding.outcome], severity)


def _status(finding: Finding, *, carried: bool) -> Named:
    if finding.outcome is Outcome.FAIL:
        if finding.exception:
            return SUPPRESSED
        return IN_PROGRESS if finding.change in {"unchanged", "changed"} else NEW
    if finding.outcome is Outcome.UNKNOWN:
        return IN_PROGRESS if carried else UNKNOWN
    return RESOLVED


class _Maker:
    """Makes the events of one report."""

    def __init__(self, product: Product, rules: Mapping[str, RuleText], time: int) -> None:
        self._product = product
        self._rules = rules
        self._time = time

    def of(self, finding: Finding, told: _Told, before: str = "") -> Event:
        """The event of a finding."""
        reasons = [finding.message, *(missing.reason for missing in finding.missing)]
        exception = summary.accepted(finding.exception) if finding.exception else None
        return msgspec.structs.replace(
            self._event(finding, told, before + finding.message),
            compliance=self._compliance(finding.rule, told.outcome, reasons),
            evidences=tuple(Evidence(data=msgspec.to_builtins(one)) for one in finding.evidence),
            remediation=self._remediation(finding),
            comment=printable(exception) if exception else None,
            unmapped=_unmapped(finding),
        )

    def of_fixed(self, fixed: Fixed) -> Event:
        """The event of a failure that went with its resource, or whose rule people disabled."""
        told = _Told(CLOSE, RESOLVED, GONE, SEVERITIES[Severity.INFO])
        says = "Its rule is disabled" if fixed.by == "disabled" else "It is no longer there"
        return self._event(fixed, told, f"{says}. Before: {fixed.message}")

    def _event(self, about: Finding | Fixed, told: _Told, message: str) -> Event:
        activity = ACTIVITIES[told.activity]
        rule = self._rules.get(about.rule)
        return Event(
            activity_id=told.activity,
            activity_name=activity,
            category_uid=FINDINGS,
            category_name="Findings",
            class_uid=COMPLIANCE_FINDING,
            class_name="Compliance Finding",
            type_uid=COMPLIANCE_FINDING * 100 + told.activity,
            type_name=f"Compliance Finding: {activity}",
            severity_id=told.severity.id,
            severity=told.severity.name,
            status_id=told.status.id,
            status=told.status.name,
            time=self._time,
            message=printable(message),
            metadata=Metadata(product=self._product, version=VERSION, profiles=("cloud",), event_code=about.rule),
            cloud=_cloud(about.resource),
            compliance=self._compliance(about.rule, told.outcome, [message]),
            finding_info=FindingInfo(
                uid=about.fingerprint,
                title=rule.title if rule else about.rule,
                analytic=Analytic(uid=about.rule, name=rule.title if rule else about.rule, type_id=RULE, type="Rule"),
                types=("Azure Kubernetes Service",),
                last_seen_time=self._time,
                desc=rule.why if rule else None,
                src_url=summary.address_of(rule),
            ),
            resources=(
                Resource(
                    uid=about.resource, name=printable(short(about.resource)), type=summary.kind(about.resource) or None
                ),
            ),
        )

    def _compliance(self, rule_id: str, outcome: Named, details: Iterable[str]) -> Compliance:
        rule = self._rules.get(rule_id)
        controls = rule.controls if rule else ()
        return Compliance(
            control=rule_id,
            status=outcome.name,
            status_id=outcome.id,
            status_details=tuple(dict.fromkeys(printable(one) for one in details if one)),
            standards=tuple(dict.fromkeys(control.framework for control in controls)),
            requirements=tuple(f"{control.framework} {control.id}" for control in controls),
        )

    def _remediation(self, finding: Finding) -> Remediation | None:
        fix, rule = finding.remediation, self._rules.get(finding.rule)
        if fix is None:
            return None
        says = f"{fix.command}\n{fix.change}".strip()
        return Remediation(desc=printable(says), references=rule.references if rule else ())


def _cloud(resource_id: str) -> Cloud:
    parts = resource_id.split("/")
    if len(parts) > 2 and parts[1].lower() == "subscriptions":  # noqa: PLR2004 - /subscriptions/S
        account = Account(uid=parts[2], type_id=AZURE_SUBSCRIPTION, type="Azure Subscription")
        return Cloud(provider="Azure", account=account)
    return Cloud(provider="Azure")


def _unmapped(finding: Finding) -> dict[str, object]:
    """What the schema has no name for, as it stands in the JSON report."""
    told: dict[str, Any] = {
        "clusters": finding.clusters,
        "change": finding.change,
        "exception": finding.exception,
        "missing": finding.missing,
        "source": finding.source,
    }
    return {name: msgspec.to_builtins(value) for name, value in told.items() if value}


def _milliseconds(moment: str | None) -> int:
    """A recorded time in milliseconds since 1970, which the schema requires; 0 where it is no time with an offset."""
    try:
        parsed = datetime.fromisoformat(moment or "")
    except ValueError:
        return 0
    return int(parsed.timestamp() * 1000) if parsed.tzinfo else 0


REPORTER = OcsfReporter()
