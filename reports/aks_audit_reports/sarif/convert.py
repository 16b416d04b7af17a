"""A report as a SARIF log."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from aks_audit.report import Report
from aks_audit.results import Missing, RuleText, Severity
from aks_audit_reports.sarif.category import category, of_pipeline
from aks_audit_reports.sarif.help import help_text
from aks_audit_reports.sarif.log import (
    SCHEMA,
    Component,
    Configuration,
    Invocation,
    Level,
    Log,
    Message,
    MultiformatMessage,
    Notification,
    Rule,
    RuleProperties,
    Run,
    Tool,
)
from aks_audit_reports.sarif.profile import Profile
from aks_audit_reports.sarif.results import LEVELS, Results, clip, plain
from aks_audit_reports.sarif.selection import Selection
from aks_audit_reports.summary import address_of, count

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
MOST_NOTIFICATIONS = 100


def convert(report: Report, selection: Selection, most: int, profile: Profile) -> Log:
    """The `most` most severe of the open failures, how many there are besides, and what else the profile has."""
    rules = [*report.rules, *_unknown_here(report, selection)]
    places = {rule.id: (index, rule.severity) for index, rule in enumerate(rules)}
    results = Results(places, selection.failures, whole=profile.whole)
    found = [results.of(failure, selection.again.get(failure.fingerprint, "")) for failure in selection.failures[:most]]
    found += [results.of(other, selection.again.get(other.fingerprint, "")) for other in selection.others]
    found += [results.of_mended(mended) for mended in selection.mended]
    tool = report.tool
    driver = Component(
        name=tool.name,
        full_name=f"{tool.name} {tool.version}",
        version=tool.version,
        semantic_version=tool.version,
        rules=tuple(_rule(rule, profile.most_tags) for rule in rules),
    )
    run = Run(
        tool=Tool(driver=driver),
        automation_details=of_pipeline(report.pipeline)
        if profile.of_pipelines and report.pipeline
        else category(report.scan),
        invocations=(_invocation(report, selection, len(selection.failures) - most),),
        results=tuple(found),
        column_kind="unicodeCodePoints",
    )
    return Log(schema=SCHEMA, version="2.1.0", runs=(run,))


def _unknown_here(report: Report, selection: Selection) -> Iterator[RuleText]:
    """What can be said of rules that this scan did not ask, and whose failures stand in the file all the same."""
    asked = {rule.id for rule in report.rules}
    carried = report.comparison.carried if report.comparison else ()
    told = [(one.rule, one.severity) for one in carried if one.fingerprint in selection.again]
    told += [(one.rule, one.severity) for one in selection.mended]
    others = {rule: severity for rule, severity in told if rule not in asked}
    for rule, severity in sorted(others.items()):
        yield RuleText(
            id=rule,
            title=rule,
            severity=severity,
            why="This scan did not ask the rule. An earlier scan did, and found what is told here.",
            severity_reason="",
            decided="",
            command="",
            bicep="",
            change="",
            references=(),
            controls=(),
            subject="",
        )


def _rule(rule: RuleText, most_tags: int | None) -> Rule:
    return Rule(
        id=rule.id,
        name=clip("".join(word[0].upper() + word[1:] for word in re.findall(r"\w+", rule.title)), LONGEST_NAME),
        short_description=MultiformatMessage(text=clip(rule.title, LONGEST_DESCRIPTION)),
        full_description=MultiformatMessage(text=clip(rule.why, LONGEST_DESCRIPTION)),
        help=help_text(rule),
        help_uri=address_of(rule),
        default_configuration=Configuration(level=LEVELS[rule.severity]),
        properties=_properties(rule, most_tags),
    )


def _properties(rule: RuleText, most_tags: int | None) -> RuleProperties:
    informs = rule.severity is Severity.INFO
    controls = [f"{control.framework} {control.id}" for control in rule.controls]
    tags = dict.fromkeys(["security", "aks", *controls] if not informs else ["aks", *controls])
    return RuleProperties(
        tags=tuple(tags)[:most_tags],
        precision="high",
        security_severity=SECURITY_SEVERITIES[rule.severity],
        problem_severity="recommendation" if informs else None,
    )


def _invocation(report: Report, selection: Selection, left_out: int) -> Invocation:
    return Invocation(
        execution_successful=report.scan.complete,
        tool_execution_notifications=(
            *_of_limits(left_out),
            *_of_baseline(report, selection),
            *_of_scope(report),
            *_of_unread(report.coverage.unread),
        ),
        start_time_utc=_utc(report.scan.started),
        end_time_utc=_utc(report.scan.finished),
    )


def _of_limits(left_out: int) -> Iterator[Notification]:
    if left_out:
        text = f"{count(left_out, 'failure')} left out, the least severe; the JSON report has them all."
        yield _notification("warning", text)


def _of_baseline(report: Report, selection: Selection) -> Iterator[Notification]:
    """What became of failures that nobody could look at again; where there is no baseline, that there ought to be."""
    unknown = report.coverage.unknown
    if report.comparison is None and (unknown or not report.scan.complete):
        what = f"{count(unknown, 'finding')} could not be decided" if unknown else "Not all in scope could be read"
        text = (
            f"{what}, and this scan was given no baseline: an alert that an earlier scan raised there would close. "
            "Give the JSON report of the last scan with --baseline, and its failures are carried on."
        )
        yield _notification("note" if report.scan.complete else "warning", text)
    if selection.again:
        text = f"{count(len(selection.again), 'failure')} of the baseline carried on, for want of an answer now."
        yield _notification("note", text)
    if selection.elsewhere:
        text = f"{count(selection.elsewhere, 'failure')} of the baseline left out, which this scan was not asked about."
        yield _notification("note", text)


def _of_scope(report: Report) -> Iterator[Notification]:
    if not report.scan.scope:
        text = "Nothing says what the scope of the scan is: upload it under a category of its own, always the same one."
        yield _notification("note", text)


def _of_unread(unread: Sequence[Missing]) -> Iterator[Notification]:
    for missing in unread[:MOST_NOTIFICATIONS]:
        needs = f". Needs {missing.action} on {missing.scope}" if missing.action and missing.scope else ""
        text = plain(missing.reason.removesuffix(".") + needs) + "."
        yield _notification("error" if missing.kind == "crashed" else "warning", text)
    if len(unread) > MOST_NOTIFICATIONS:
        more = count(len(unread) - MOST_NOTIFICATIONS, "more thing")
        yield _notification("warning", f"{more} could not be read; the JSON report has them all.")


def _notification(level: Level, text: str) -> Notification:
    return Notification(level=level, message=Message(text=text))


def _utc(moment: str | None) -> str | None:
    """A recorded time as SARIF wants it, or None where it is no time with an offset."""
    try:
        parsed = datetime.fromisoformat(moment or "")
        utc = parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return utc.replace(tzinfo=None).isoformat(timespec="seconds") + "Z" if parsed.tzinfo else None
