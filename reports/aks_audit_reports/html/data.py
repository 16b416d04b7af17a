"""The findings as the page's script reads them: JSON in which every text and every rule stands once.

Ten thousand findings repeat a few hundred texts, so each text is given a number, and a finding is a row of numbers.
"""

from collections.abc import Sequence

import msgspec

from aks_audit.report import Report
from aks_audit.results import Evidence, Finding, Missing, Outcome, RuleText, Severity
from aks_audit_reports.html.page import BODY, FINGERPRINT, controls, links, value
from aks_audit_reports.summary import KINDS, origin, printable, short


def embedded(report: Report, findings: Sequence[Finding]) -> str:
    """The JSON of a report and its findings in this order, without a character that could end a script element."""
    numbers = _Numbers()
    document = {
        "rules": [_rule(numbers, rule) for rule in report.rules],
        "clusters": [numbers[cluster.name] for cluster in report.clusters],
        "findings": _findings(numbers, report, findings),
        "texts": [printable(text) for text in numbers],
    }
    json = msgspec.json.encode(document).decode()
    return json.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


class _Numbers(dict[str, int]):
    """A number for each text, given when it is first asked for."""

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self)
        return number

    def optional(self, text: str | None) -> int | None:
        """The number of a text; None where there is none, or an empty one."""
        return self[text] if text else None


def _rule(numbers: _Numbers, rule: RuleText) -> list[object]:
    return [
        *(numbers[text] for text in (rule.id, rule.title, rule.why, rule.decided, rule.severity_reason)),
        numbers.optional(rule.disagreement),
        numbers.optional(controls(rule)),
        links(rule),
    ]


class _Row(msgspec.Struct, array_like=True, gc=False):
    """A finding. Texts are numbers; `outcome`, `severity`, `rule` and `clusters` are places in their lists.

    The script reads the fields by their order.
    """

    rule: int
    outcome: int
    severity: int
    clusters: tuple[int, ...]
    resource: int
    name: int
    message: int
    command: int | None
    bicep: int | None
    change: int | None
    evidence: tuple[tuple[int | None, ...], ...]
    missing: tuple[tuple[int | None, ...], ...]
    mark: str


def _findings(numbers: _Numbers, report: Report, findings: Sequence[Finding]) -> list[_Row]:
    rules = {rule.id: place for place, rule in enumerate(report.rules)}
    clusters = {cluster.id.lower(): place for place, cluster in enumerate(report.clusters)}
    outcomes = {outcome: place for place, outcome in enumerate(Outcome)}
    severities = {severity: place for place, severity in enumerate(Severity)}
    return [
        _Row(
            rule=rules[finding.rule],
            outcome=outcomes[finding.outcome],
            severity=severities[finding.severity],
            clusters=tuple([clusters[cluster.lower()] for cluster in finding.clusters]),
            resource=numbers[finding.resource],
            name=numbers[short(finding.resource)],
            message=numbers[finding.message],
            command=numbers.optional(fix.command) if (fix := finding.remediation) else None,
            bicep=numbers.optional(fix.bicep) if fix else None,
            change=numbers.optional(fix.change) if fix else None,
            evidence=tuple([_evidence(numbers, finding, evidence) for evidence in finding.evidence]),
            missing=tuple([_missing(numbers, missing) for missing in finding.missing]),
            mark=finding.fingerprint[:FINGERPRINT],
        )
        for finding in findings
    ]


def _evidence(numbers: _Numbers, finding: Finding, evidence: Evidence) -> tuple[int | None, ...]:
    """Resource, pointer and value; and, seldom, what the value was read from."""
    elsewhere = None if evidence.resource == finding.resource else evidence.resource
    read = numbers.optional(elsewhere), numbers[evidence.pointer or BODY], numbers[value(evidence)]
    return (*read, numbers[told]) if (told := origin(evidence)) else read


def _missing(numbers: _Numbers, missing: Missing) -> tuple[int | None, ...]:
    return (
        numbers[KINDS[missing.kind]],
        numbers[missing.what],
        numbers[missing.reason],
        numbers.optional(missing.action),
        numbers.optional(missing.scope),
    )
