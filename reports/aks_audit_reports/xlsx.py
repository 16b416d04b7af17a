"""The report as an Excel workbook: summary, findings, fixes, checklists, rules. Needs XlsxWriter (extra `xlsx`)."""

import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import islice
from typing import Any, TypeAlias

from aks_audit.report import Report, ReportError
from aks_audit.results import Outcome
from aks_audit_reports import summary
from aks_audit_reports.summary import Scored, short
from aks_audit_reports.table import COLUMNS, cell, opens_formula, rows

MOST_ROWS = 1_048_576
"""How many rows Excel takes on a sheet."""

WIDE = 60
NARROW = 18
_WIDE = frozenset(
    {"What should hold", "Message", "Evidence", "Command", "Resource", "What to do", "Item", "Value", "Why it matters"}
)

_ELSEWHERE = frozenset({"Why it matters", "Controls", "Reference", "Cluster ids", "Read at"})
FINDINGS = tuple(column for column in COLUMNS if column not in _ELSEWHERE)
"""What each finding says; what it shares with many others stands once, on other sheets."""

_PLACES = tuple(COLUMNS.index(column) for column in FINDINGS)

Cell: TypeAlias = str | float | None


class XlsxReporter:
    """Writes `aks-audit.xlsx`."""

    file_name = "aks-audit.xlsx"

    def check(self) -> None:
        """Raise ReportError where XlsxWriter is not installed."""
        if find_spec("xlsxwriter") is None:
            raise ReportError("the format xlsx needs XlsxWriter, which is not installed: pip install 'aks-audit[xlsx]'")

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """The workbook. Every text is a text: no formula, no link, no number; it names no time but the scan's own.

        Raises:
            ReportError: XlsxWriter is not installed, or cannot write the files that it makes on the way.
        """
        del colour  # a workbook has none
        self.check()
        import xlsxwriter  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra; it comes without types
        from xlsxwriter.exceptions import (  # type: ignore[import-untyped]  # noqa: PLC0415 - as above
            FileCreateError,
        )

        file = io.BytesIO()
        try:
            with xlsxwriter.Workbook(file, {"constant_memory": True}) as book:
                book.set_properties({"title": "AKS audit", "created": _created(report.scan.finished)})
                bold, quoted = book.add_format({"bold": True}), book.add_format({"quote_prefix": True})
                for name, columns, made in _sheets(report):
                    _write(book.add_worksheet(name), columns, made, bold, quoted)
        except (OSError, FileCreateError) as problem:
            folder = tempfile.gettempdir()
            told = f"{folder}: the parts of aks-audit.xlsx cannot be written ({problem})"
            raise ReportError(f"{told}; make room or name another folder by TMPDIR") from None
        return file.getvalue()


def _write(
    sheet: Any,  # noqa: ANN401 - XlsxWriter comes without types
    columns: Sequence[str],
    made: Iterable[Sequence[Cell]],
    bold: object,
    quoted: object,
) -> None:
    """Write a sheet, its columns as a head that stays in sight and filters; a cell for each text or number."""
    for place, column in enumerate(columns):
        sheet.set_column(place, place, WIDE if column in _WIDE else NARROW)
        sheet.write_string(0, place, column, bold)
    last = 0
    for last, row in enumerate(islice(made, MOST_ROWS - 1), 1):
        for place, value in enumerate(row):
            if isinstance(value, str) and value:
                text = cell(value)
                sheet.write_string(last, place, text, quoted if opens_formula(text) else None)
            elif isinstance(value, int | float):
                sheet.write_number(last, place, value)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, last, len(columns) - 1)


def _sheets(report: Report) -> Iterator[tuple[str, Sequence[str], Iterable[Sequence[Cell]]]]:
    yield "Summary", ("What", "Value"), _summary(report)
    yield "Clusters", _CLUSTERS, _clusters(report)
    yield "Findings", FINDINGS, (tuple(row[place] for place in _PLACES) for row in rows(report))
    yield "What to do first", _FIXES, _fixes(report)
    yield "Checklists", _CHECKLISTS, _checklists(report)
    yield "Rules", _RULES, _rules(report)


def _summary(report: Report) -> Iterator[Sequence[Cell]]:
    failures, overall, lists = report.failures(), report.score.overall, report.score.checklists
    yield "Verdict", summary.verdict(report, failures)
    yield "Score", summary.percent(overall)
    yield "Interval", summary.interval(overall, lists)
    yield "Coverage", summary.decided_share(overall, lists)
    yield "Everything in scope was read", "yes" if report.scan.complete else "no"
    for severity, quantity in summary.by_severity(failures).items():
        yield f"Failures, {severity}", quantity
    yield "Failures that people accepted", len(report.accepted())
    if report.comparison:
        yield "Since the baseline", summary.since(report.comparison)
    for limit in (*report.scan.narrowed, *(f"checklist {name}" for name in report.scan.checklists)):
        yield "Limited to", limit
    for entry in report.policy.entries:
        if entry.state != "in-force":
            yield f"{entry.table} at line {entry.line} is {entry.state}", f"{entry.rule} {entry.resource}: {entry.says}"
    if (quantity := len(report.findings)) >= MOST_ROWS:
        yield "Findings left out, which Excel cannot hold", quantity - MOST_ROWS + 1
    yield "Read at", summary.time(report.scan.finished)
    yield "Made by", f"{report.tool.name} {report.tool.version}"


_CLUSTERS = (
    *("Cluster", "Resource group", "Subscription", "Score %", "Lowest %", "Highest %", "Coverage %"),
    *("Failed", "Unknown", "Passed"),
)


def _clusters(report: Report) -> Iterator[Sequence[Cell]]:
    scored = {score.id.lower(): score for score in report.score.clusters}
    for cluster in report.clusters:
        counted = [cluster.outcomes.get(one, 0) for one in (Outcome.FAIL, Outcome.UNKNOWN, Outcome.PASS)]
        score = scored.get(cluster.id.lower())
        told = _scored(score) if score else (None, None, None, None)
        yield cluster.name, cluster.resource_group, cluster.subscription, *told, *counted


def _scored(score: Scored) -> tuple[Cell, Cell, Cell, Cell]:
    return score.value, score.low, score.high, round(summary.coverage(score), 1)


_FIXES = ("What to do", "Severity", "Risk", "Effort", "Failures", "Resources", "Command", "What it changes", "Rules")


def _fixes(report: Report) -> Iterator[Sequence[Cell]]:
    for fix in report.fixes:
        names = "; ".join(short(resource) for resource in fix.resources)
        mends = len(fix.findings)
        rules = "; ".join(fix.rules)
        yield fix.title, fix.severity, fix.risk, fix.effort, mends, names, fix.command, fix.change, rules


_CHECKLISTS = ("Checklist", "Item", "Outcome", "Rule", "Weight", "Number", "Further rules", "Note")


def _checklists(report: Report) -> Iterator[Sequence[Cell]]:
    for checklist in report.score.checklists:
        for item in checklist.items:
            further = ", ".join(item.further)
            yield checklist.title, item.sentence, item.state, item.rule, item.weight, item.number, further, item.note


_RULES = ("Rule", "What should hold", "Severity", "Why it matters", "Controls", "References")


def _rules(report: Report) -> Iterator[Sequence[Cell]]:
    for rule in report.rules:
        controls = "; ".join(f"{control.framework} {control.id}" for control in rule.controls)
        yield rule.id, rule.title, rule.severity, rule.why, controls, "; ".join(rule.references)


def _created(moment: str | None) -> datetime:
    """When the state was read, in UTC; where nothing says so, the year that Excel's own calendar begins near."""
    try:
        return datetime.fromisoformat(moment or "").astimezone(UTC).replace(tzinfo=None, microsecond=0)
    except (ValueError, OverflowError):
        return datetime(2000, 1, 1)  # noqa: DTZ001 - a workbook's times have no zone


REPORTER = XlsxReporter()
