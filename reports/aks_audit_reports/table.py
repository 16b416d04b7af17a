"""Findings as rows of a table, for the formats that people open in a spreadsheet."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from aks_audit.report import Report
from aks_audit.results import Evidence, Finding, Missing, RuleText, effort
from aks_audit_reports.summary import KINDS, mend_first, open_rules, origin, printable, short

LONGEST_CELL = 32_000
"""How many characters a cell may have; Excel takes 32,767."""

LONGEST_VALUE = 500

COLUMNS = (
    "Rule",
    "What should hold",
    "Outcome",
    "Severity",
    "Change",
    "Clusters",
    "Name",
    "Message",
    "Evidence",
    "Could not be read",
    "Needs",
    "Command",
    "What it changes",
    "Effort",
    "Mend first",
    "Accepted until",
    "Accepted by",
    "Approved by",
    "Reason",
    "Controls",
    "Why it matters",
    "Source file",
    "Source line",
    "Subscription",
    "Resource group",
    "Resource",
    "Cluster ids",
    "Reference",
    "Fingerprint",
    "Read at",
)
"""What each row says, in order."""

CARRIED = "not looked at again"
"""The change of a failure of the baseline that this scan could not, or was not asked to, look at again."""

_OPENS = re.compile(r"""(^|;)([\s"']*)([=+\-@\uff1d\uff0b\uff0d\uff20])""")
"""What a spreadsheet takes for a formula: at the start of a cell, and after what some countries part cells by."""


_SCOPE = re.compile(r"/subscriptions/([^/]+)(?:/resourceGroups/([^/]+))?", re.IGNORECASE)


def rows(report: Report) -> Iterator[tuple[str, ...]]:
    """A row for each finding in the report's order, then for each failure that is carried from the baseline."""
    texts = {rule.id: rule for rule in report.rules}
    failed = open_rules(report)
    for finding in report.findings:
        first = mend_first(finding, failed)
        yield _row(finding, texts.get(finding.rule), first, finding.change or "", report.scan.finished)
    if report.comparison:
        for finding in report.comparison.carried:
            first = mend_first(finding, failed)
            yield _row(finding, texts.get(finding.rule), first, CARRIED, report.comparison.since)


def cell(hostile: str) -> str:
    """Text from a snapshot as a cell: one line, of limited length."""
    line = " ".join(printable(hostile).split()) if not hostile.isprintable() else hostile
    return line if len(line) <= LONGEST_CELL else line[: LONGEST_CELL - 1] + "…"


def harmless(text: str) -> str:
    """A cell in which a spreadsheet finds no formula: an apostrophe stands before what would begin one."""
    if ";" not in text and not opens_formula(text):
        return text
    return _OPENS.sub(r"\1\2'\3", text)


def opens_formula(text: str) -> bool:
    """Whether a spreadsheet would take a cell for a formula, were it typed in."""
    if not text or text[0].isalnum() or text[0] == "/":
        return False  # as most do; the pattern would say so, too, but not at once
    return bool(_OPENS.match(text))


def _row(
    finding: Finding, rule: RuleText | None, first: Sequence[str], change: str, read: str | None
) -> tuple[str, ...]:
    """The cells of a finding; a baseline may hold findings of a rule that is no more."""
    fix, exception, source = finding.remediation, finding.exception, finding.source
    subscription, group = _scope(finding.resource)
    cells = (
        finding.rule,
        rule.title if rule else "",
        finding.outcome,
        finding.severity,
        change,
        "; ".join(short(cluster) for cluster in finding.clusters),
        short(finding.resource),
        finding.message,
        "; ".join(_evidence(one, finding) for one in finding.evidence),
        "; ".join(f"{KINDS[one.kind]}: {one.reason}" for one in finding.missing),
        "; ".join(_needs(one) for one in finding.missing if one.action),
        fix.command if fix else "",
        fix.change if fix else "",
        effort(fix.change) if fix else "",
        "; ".join(first),
        exception.expires if exception else "",
        exception.owner if exception else "",
        exception.approved_by if exception else "",
        exception.reason if exception else "",
        "; ".join(f"{one.framework} {one.id}" for one in rule.controls) if rule else "",
        rule.why if rule else "",
        source.path if source else "",
        str(source.line) if source else "",
        subscription,
        group,
        finding.resource,
        "; ".join(finding.clusters),
        rule.references[0] if rule and rule.references else "",
        finding.fingerprint,
        read or "",
    )
    return tuple([cell(one) for one in cells])


def _evidence(evidence: Evidence, finding: Finding) -> str:
    value = "not set" if evidence.value is None else msgspec.json.encode(evidence.value).decode()
    shown = value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"
    where = "" if evidence.resource == finding.resource else f"{short(evidence.resource)} "
    told = f" ({source})" if (source := origin(evidence)) else ""
    return f"{where}{evidence.pointer or '/'} = {shown}{told}"


def _needs(missing: Missing) -> str:
    return f"{missing.action} on {missing.scope}" if missing.scope else missing.action or ""


def _scope(resource_id: str) -> tuple[str, str]:
    """The subscription and the resource group in an id; empty where there is none."""
    found = _SCOPE.match(resource_id)
    return (found[1], found[2] or "") if found else ("", "")
