"""The findings as the page's script reads them: JSON in which every text and every rule stands once.

Ten thousand findings repeat a few hundred texts, so each text is given a number, and a finding is a row of numbers.
"""

from collections.abc import Iterable, Sequence

import msgspec

from aks_audit.report import Report
from aks_audit.results import Finding, Missing, Outcome, Remediation, RuleText, Severity
from aks_audit_reports.html.page import BODY, FINGERPRINT, controls, elsewhere, links, value
from aks_audit_reports.summary import KINDS, printable, short


def embedded(report: Report, findings: Sequence[Finding]) -> str:
    """The JSON of a report and its findings in this order, without a character that could end a script element."""
    table = _Table()
    document = {
        "rules": [_rule(table, rule) for rule in report.rules],
        "clusters": [table.number(cluster.name) for cluster in report.clusters],
        "findings": _findings(table, report, findings),
        "texts": table.texts,
    }
    json = msgspec.json.encode(document).decode()
    return json.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


class _Table:
    """Texts, each once, in the order in which they were first asked for."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def texts(self) -> list[str]:
        return [printable(text) for text in self._numbers]

    def number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def optional(self, text: str | None) -> int | None:
        return self.number(text) if text else None


def _rule(table: _Table, rule: RuleText) -> list[object]:
    return [
        *(table.number(text) for text in (rule.id, rule.title, rule.why, rule.decided, rule.severity_reason)),
        table.optional(rule.disagreement),
        table.optional(controls(rule)),
        links(rule),
    ]


def _findings(table: _Table, report: Report, findings: Sequence[Finding]) -> list[list[object]]:
    rules = {rule.id: number for number, rule in enumerate(report.rules)}
    clusters = {cluster.id.lower(): number for number, cluster in enumerate(report.clusters)}
    outcomes = {outcome: number for number, outcome in enumerate(Outcome)}
    severities = {severity: number for number, severity in enumerate(Severity)}
    return [
        [
            rules[finding.rule],
            outcomes[finding.outcome],
            severities[finding.severity],
            [clusters[cluster.lower()] for cluster in finding.clusters],
            table.number(finding.resource),
            table.number(short(finding.resource)),
            table.number(finding.message),
            *_fix(table, finding.remediation),
            _evidence(table, finding),
            _missing(table, finding.missing),
            finding.fingerprint[:FINGERPRINT],
        ]
        for finding in findings
    ]


def _fix(table: _Table, fix: Remediation | None) -> tuple[int | None, int | None, int | None]:
    if fix is None:
        return None, None, None
    return table.optional(fix.command), table.optional(fix.bicep), table.optional(fix.change)


def _evidence(table: _Table, finding: Finding) -> list[tuple[int | None, int, int]]:
    return [
        (
            table.optional(elsewhere(evidence, finding)),
            table.number(evidence.pointer or BODY),
            table.number(value(evidence)),
        )
        for evidence in finding.evidence
    ]


def _missing(table: _Table, missing: Iterable[Missing]) -> list[list[int | None]]:
    return [
        [
            table.number(KINDS[item.kind]),
            table.number(item.what),
            table.number(item.reason),
            table.optional(item.action),
            table.optional(item.scope),
        ]
        for item in missing
    ]
