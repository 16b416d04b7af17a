"""A report as a SARIF log."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from aks_audit.report import Report
from aks_audit.results import Finding, Missing, RuleText, Severity
from aks_audit_reports.sarif.help import help_text
from aks_audit_reports.sarif.log import (
    SCHEMA,
    ArtifactContent,
    ArtifactLocation,
    AutomationDetails,
    Component,
    Configuration,
    Fingerprints,
    Invocation,
    Level,
    Location,
    Log,
    LogicalLocation,
    Message,
    MultiformatMessage,
    Notification,
    PhysicalLocation,
    Region,
    Result,
    ResultProperties,
    Rule,
    RuleProperties,
    Run,
    Tool,
)
from aks_audit_reports.summary import count, printable

LEVELS: Mapping[Severity, Level] = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
SECURITY_SEVERITIES: Mapping[Severity, str] = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
    Severity.INFO: "0.0",
}
"""Within GitHub's bands: over 9.0, from 7.0, from 4.0, from 0.1; with 0.0 it is no security alert, and only informs."""

LONGEST_NAME = 255
LONGEST_DESCRIPTION = 1_024
LONGEST_MESSAGE = 2_000
LONGEST_SNIPPET = 200
LONGEST_CATEGORY = 200
MOST_TAGS = 10
MOST_PROPERTIES = 10
MOST_NOTIFICATIONS = 100


def convert(report: Report, most: int) -> Log:
    """The `most` most severe failures of a report, and a notification of how many there are besides."""
    failures = report.failures()
    rules = {rule.id: (index, rule) for index, rule in enumerate(report.rules)}
    driver = Component(
        name=report.tool.name,
        version=report.tool.version,
        semantic_version=report.tool.version,
        rules=tuple(_rule(rule) for rule in report.rules),
    )
    run = Run(
        tool=Tool(driver=driver),
        automation_details=_category(report.scan.scope),
        invocations=(_invocation(report, len(failures) - most),),
        results=tuple(_result(failure, *rules[failure.rule]) for failure in failures[:most]),
        column_kind="unicodeCodePoints",
    )
    return Log(schema=SCHEMA, version="2.1.0", runs=(run,))


def _rule(rule: RuleText) -> Rule:
    return Rule(
        id=rule.id,
        name=_clip("".join(word[0].upper() + word[1:] for word in re.findall(r"\w+", rule.title)), LONGEST_NAME),
        short_description=MultiformatMessage(text=_clip(rule.title, LONGEST_DESCRIPTION)),
        full_description=MultiformatMessage(text=_clip(rule.why, LONGEST_DESCRIPTION)),
        help=help_text(rule),
        help_uri=next(iter(rule.references), None),
        default_configuration=Configuration(level=LEVELS[rule.severity]),
        properties=_properties(rule),
    )


def _properties(rule: RuleText) -> RuleProperties:
    informs = rule.severity is Severity.INFO
    controls = [f"{control.framework} {control.id}" for control in rule.controls]
    tags = dict.fromkeys(["security", "aks", *controls] if not informs else ["aks", *controls])
    return RuleProperties(
        tags=tuple(tags)[:MOST_TAGS],
        precision="high",
        security_severity=SECURITY_SEVERITIES[rule.severity],
        problem_severity="recommendation" if informs else None,
    )


def _result(finding: Finding, index: int, rule: RuleText) -> Result:
    return Result(
        rule_id=finding.rule,
        rule_index=index,
        level=LEVELS[finding.severity],
        message=Message(text=_says(finding, rule)),
        locations=(_location(finding),),
        partial_fingerprints=Fingerprints(primary_location_line_hash=finding.fingerprint),
        properties=ResultProperties(
            severity=finding.severity,
            clusters=finding.clusters,
            command=finding.remediation.command if finding.remediation else None,
        ),
    )


def _says(finding: Finding, rule: RuleText) -> str:
    """The finding's message as a sentence, and its severity where that is not the one GitHub shows."""
    message = _plain(finding.message).removesuffix(".")
    own = f" Its severity here is {finding.severity}." if finding.severity is not rule.severity else ""
    return f"{message}.{own}"


def _location(finding: Finding) -> Location:
    place = finding.place
    return Location(
        physical_location=PhysicalLocation(
            artifact_location=ArtifactLocation(uri=quote(place.path.lstrip("/"))),
            region=Region(
                start_line=place.line, snippet=ArtifactContent(text=_clip(printable(place.text), LONGEST_SNIPPET))
            ),
        ),
        logical_locations=(_resource(finding.resource), *_evidence(finding)),
    )


def _resource(resource_id: str) -> LogicalLocation:
    return LogicalLocation(name=resource_id.rpartition("/")[2], fully_qualified_name=resource_id, kind="resource")


def _evidence(finding: Finding) -> Iterator[LogicalLocation]:
    pointed = dict.fromkeys((item.resource, item.pointer) for item in finding.evidence if item.pointer)
    for resource, pointer in list(pointed)[:MOST_PROPERTIES]:
        name = pointer.rpartition("/")[2]
        yield LogicalLocation(name=name, fully_qualified_name=f"{resource}#{pointer}", kind="property")


def _invocation(report: Report, left_out: int) -> Invocation:
    return Invocation(
        execution_successful=report.scan.complete,
        tool_execution_notifications=tuple(_notifications(report.coverage.unread, left_out)),
        start_time_utc=_utc(report.scan.started),
        end_time_utc=_utc(report.scan.finished),
    )


def _notifications(unread: Sequence[Missing], left_out: int) -> Iterator[Notification]:
    if left_out:
        text = f"{count(left_out, 'failure')} left out, the least severe; the JSON report has them all."
        yield Notification(level="warning", message=Message(text=text))
    for missing in unread[:MOST_NOTIFICATIONS]:
        needs = f". Needs {missing.action} on {missing.scope}" if missing.action and missing.scope else ""
        text = _plain(missing.reason.removesuffix(".") + needs) + "."
        yield Notification(level="error" if missing.kind == "crashed" else "warning", message=Message(text=text))
    if len(unread) > MOST_NOTIFICATIONS:
        text = (
            f"{count(len(unread) - MOST_NOTIFICATIONS, 'more thing')} could not be read; the JSON report has them all."
        )
        yield Notification(level="warning", message=Message(text=text))


def _category(scope: Iterable[str]) -> AutomationDetails | None:
    """The category of a scope: its id, or a hash of several. It ends with a slash; a run's own name would follow."""
    scopes = sorted({item.lower().strip("/") for item in scope})
    if not scopes:
        return None
    name = quote(scopes[0])
    if len(scopes) > 1 or len(name) > LONGEST_CATEGORY:
        name = "scopes-" + hashlib.sha256("\n".join(scopes).encode()).hexdigest()[:16]
    return AutomationDetails(id=f"aks-audit/{name}/")


def _utc(moment: str | None) -> str | None:
    """A recorded time as SARIF wants it, or None where it is no time with an offset."""
    try:
        parsed = datetime.fromisoformat(moment or "")
        utc = parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return utc.replace(tzinfo=None).isoformat(timespec="seconds") + "Z" if parsed.tzinfo else None


def _plain(text: str) -> str:
    """Text from a snapshot as a SARIF message: one line of limited length, in which nothing makes a link."""
    line = _clip(printable(" ".join(text.split())), LONGEST_MESSAGE)
    return re.sub(r"[\\\[\]]", r"\\\g<0>", line) if "](" in line else line


def _clip(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
