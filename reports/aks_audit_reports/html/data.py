"""The findings as the page's script reads them: compressed JSON in which every text and every rule stands once.

A hundred thousand findings repeat a few thousand texts, so each text is given a number, and the findings are columns of
numbers. Compressed they are a tenth as long, which decides whether a report can be sent by mail.
"""

import base64
import gzip
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from aks_audit.report import ChecklistScore, Fix, Report
from aks_audit.results import Evidence, Finding, Missing, RuleText, Severity
from aks_audit_reports.areas import area_of, in_order, named
from aks_audit_reports.html.matrix import cluster_keys
from aks_audit_reports.html.states import PLACES, STATES, agreed, state
from aks_audit_reports.html.texts import BODY, FINGERPRINT, controls, links, value
from aks_audit_reports.html.todo import fix
from aks_audit_reports.summary import KINDS, origin, printable, short

_Parts: TypeAlias = tuple[int | None, ...]


def embedded(report: Report, findings: Sequence[Finding]) -> str:
    """The data of a report and its findings in this order: gzip in base64, without a character that HTML minds."""
    packed = gzip.compress(document(report, findings), compresslevel=6, mtime=0)
    return base64.b64encode(packed).decode()


def document(report: Report, findings: Sequence[Finding]) -> bytes:
    """The JSON of a report and its findings in this order."""
    numbers = _Numbers()
    rules = {rule.id: place for place, rule in enumerate(report.rules)}
    areas = in_order(area_of(rule.id) for rule in report.rules)
    return msgspec.json.encode(
        {
            "states": STATES,
            "severities": list(Severity),
            "areas": [(area, named(area)) for area in areas],
            "rules": [_rule(numbers, rule, areas.index(area_of(rule.id))) for rule in report.rules],
            "clusters": _clusters(numbers, report),
            "checklists": [
                (checklist.name, numbers[checklist.title], _asked(checklist, rules))
                for checklist in report.score.checklists
            ],
            "fixes": _fixes(numbers, report.fixes, findings),
            "findings": _columns(numbers, report, findings),
            "texts": [printable(text) for text in numbers],
        }
    )


def _asked(checklist: ChecklistScore, rules: Mapping[str, int]) -> list[int]:
    """The rules that a checklist asks, each once."""
    asked = (rule for item in checklist.items for rule in (item.rule, *item.further))
    return list(dict.fromkeys(rules[rule] for rule in asked if rule in rules))


class _Numbers(dict[str, int]):
    """A number for each text, given when it is first asked for."""

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self)
        return number

    def optional(self, text: str | None) -> int | None:
        """The number of a text; None where there is none, or an empty one."""
        return self[text] if text else None


def _rule(numbers: _Numbers, rule: RuleText, area: int) -> list[object]:
    return [
        *(numbers[text] for text in (rule.id, rule.title, rule.why, rule.decided, rule.severity_reason)),
        numbers.optional(rule.disagreement),
        numbers.optional(controls(rule)),
        links(rule),
        area,
    ]


def _clusters(numbers: _Numbers, report: Report) -> list[tuple[str, int, int]]:
    """Of each cluster the key that names it in links, its name and its resource group."""
    keys = cluster_keys(report.clusters)
    named = zip(keys, report.clusters, strict=True)
    return [(key, numbers[cluster.name], numbers[cluster.resource_group]) for key, cluster in named]


def _fixes(numbers: _Numbers, fixes: Iterable[Fix], findings: Sequence[Finding]) -> list[list[object]]:
    places = {finding.fingerprint: place for place, finding in enumerate(findings)}
    severities = list(Severity)
    return [
        [
            numbers[view.title],
            severities.index(one.severity),
            numbers[view.effort],
            numbers[view.mends],
            numbers[view.where],
            numbers.optional(view.command),
            numbers.optional(view.change),
            [places[mark] for mark in one.findings if mark in places],
        ]
        for place, one in enumerate(fixes, 1)
        for view in (fix(place, one),)
    ]


def _columns(numbers: _Numbers, report: Report, findings: Sequence[Finding]) -> dict[str, list[object]]:
    """The findings by column. Texts are numbers; states, severities, rules and clusters are places in their lists.

    So are the causes: places among the findings.
    """
    rules = {rule.id: place for place, rule in enumerate(report.rules)}
    clusters = {cluster.id.lower(): place for place, cluster in enumerate(report.clusters)}
    severities = {severity: place for place, severity in enumerate(Severity)}
    places = {finding.fingerprint: place for place, finding in enumerate(findings)}
    rows = [
        (
            rules[finding.rule],
            PLACES[state(finding)],
            severities[finding.severity],
            [clusters[cluster.lower()] for cluster in finding.clusters],
            numbers[finding.resource],
            numbers[short(finding.resource)],
            numbers[finding.message],
            numbers.optional(remedy.command) if (remedy := finding.remediation) else None,
            numbers.optional(remedy.bicep) if remedy else None,
            numbers.optional(remedy.change) if remedy else None,
            [_evidence(numbers, finding, evidence) for evidence in finding.evidence],
            [_missing(numbers, missing) for missing in finding.missing],
            finding.fingerprint[:FINGERPRINT],
            finding.change,
            _agreed(numbers, finding),
            _source(numbers, finding),
            [places[mark] for mark in finding.causes if mark in places],
        )
        for finding in findings
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in _NAMES]
    return dict(zip(_NAMES, columns, strict=True))


_NAMES = (
    "rule",
    "state",
    "severity",
    "clusters",
    "resource",
    "name",
    "message",
    "command",
    "bicep",
    "change",
    "evidence",
    "missing",
    "mark",
    "compared",
    "agreed",
    "source",
    "causes",
)


def _agreed(numbers: _Numbers, finding: Finding) -> _Parts:
    """Who lives with a failure, and why; empty where nobody does."""
    exception = finding.exception
    return (numbers[agreed(exception)], numbers.optional(exception.reason)) if exception else ()


def _source(numbers: _Numbers, finding: Finding) -> _Parts:
    """File and line of the infrastructure's code, and what stands there; empty where nobody knows."""
    source = finding.source
    return (numbers[f"{source.path}:{source.line}"], numbers.optional(source.text)) if source else ()


def _evidence(numbers: _Numbers, finding: Finding, evidence: Evidence) -> _Parts:
    """Resource, pointer and value; and, seldom, what the value was read from."""
    elsewhere = None if evidence.resource == finding.resource else evidence.resource
    read = numbers.optional(elsewhere), numbers[evidence.pointer or BODY], numbers[value(evidence)]
    return (*read, numbers[told]) if (told := origin(evidence)) else read


def _missing(numbers: _Numbers, missing: Missing) -> _Parts:
    return (
        numbers[KINDS[missing.kind]],
        numbers[missing.what],
        numbers[missing.reason],
        numbers.optional(missing.action),
        numbers.optional(missing.scope),
    )
