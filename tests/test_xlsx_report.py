"""The report as a workbook, read back: all texts are texts, and all numbers are numbers."""

import io
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openpyxl import load_workbook  # type: ignore[import-untyped]  # it comes without types

import report_samples
from aks_audit.cli import main
from aks_audit.report import Report
from aks_audit_reports import xlsx
from aks_audit_reports.table import COLUMNS
from aks_audit_reports.xlsx import FINDINGS, REPORTER
from full_reports import ESTATES, HOSTILE, estate_report, full
from reports import finding, report_of
from test_csv_report import FORMULAS

SHEETS = ["Summary", "Clusters", "Findings", "What to do first", "Checklists", "Rules"]


def opened(report: Report) -> Any:  # noqa: ANN401 - openpyxl comes without types
    return load_workbook(io.BytesIO(REPORTER.render(report)))


def values(book: Any, sheet: str) -> list[tuple[Any, ...]]:  # noqa: ANN401 - as above
    """The rows of a sheet without its head."""
    first, *others = book[sheet].iter_rows(values_only=True)
    assert all(first)
    return list(others)


def test_each_sheet_says_what_its_readers_need() -> None:
    report = full()
    book = opened(report)
    assert book.sheetnames == SHEETS
    told = dict(values(book, "Summary"))
    assert told["Verdict"] == "5 failures, 1 of them high, on 3 clusters"
    assert told["Score"] == "64.7 %"
    assert told["Everything in scope was read"] == "no"
    assert told["Failures, medium"] == 2
    assert told["Failures that people accepted"] == 1
    assert told["exception at line 7 is expired"].startswith("AKS-IAM-04 Kept open")
    assert told["Since the baseline"].startswith("Failures since 2026-11-20 12:00 UTC")
    assert [row[0] for row in values(book, "Clusters")] == ["aks-1", "aks-2", "aks-3"]
    assert len(values(book, "Findings")) == len(report.findings) + 1
    assert next(book["Findings"].iter_rows(values_only=True)) == FINDINGS
    kept = [*FINDINGS, *next(book["Rules"].iter_rows(values_only=True))]
    assert set(COLUMNS) - set(kept) == {"Reference", "Cluster ids", "Read at"}, "which Rules, Clusters and Summary have"
    assert [row[4] for row in values(book, "Rules")] == ["MCSB NS-1; CIS AKS 5.4.2"] * len(report.rules)
    assert len(values(book, "What to do first")) == len(report.fixes)
    assert [row[2] for row in values(book, "Checklists")] == [
        "fail",
        "pass",
        "unknown",
        "not-applicable",
        "not-covered",
        "manual",
    ]


@pytest.mark.parametrize("text", [*FORMULAS, *HOSTILE, "1e5", "007", "true", "_x001B_", "{=1}", "http://evil.example"])
def test_every_text_is_a_text(text: str) -> None:
    data = REPORTER.render(full(f"{text}{{n}}".replace("/", ""), text))
    book = load_workbook(io.BytesIO(data))
    for sheet in book:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type in {"s", "n"}
                assert cell.hyperlink is None
                if isinstance(cell.value, str) and cell.value[:1] in set("=+-@"):
                    assert cell.quotePrefix, "an edit in Excel would make it a formula"
    parts = zipfile.ZipFile(io.BytesIO(data))
    for name in parts.namelist():
        assert b"<f>" not in parts.read(name)
        assert b"hyperlink" not in parts.read(name)


def test_messages_read_back_as_they_were() -> None:
    written = {"a\x1bb": "a\\u001bb", "_x001B_": "_x005F_x001B_"}  # the latter is how the format writes an underscore
    for message in ("=1+1", "_x001B_", "  spaces  ", "a\x1bb", "x" * 100_000, ""):
        (row,) = values(opened(report_of([finding(message=message)])), "Findings")
        said = row[FINDINGS.index("Message")] or ""
        assert len(said) <= 32_000
        assert said == written.get(message, message if len(message) < 99 else "x" * 31_999 + "…")


def test_the_same_report_gives_the_same_bytes_and_names_no_other_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = REPORTER.render(full())
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert REPORTER.render(full()) == first
    core = zipfile.ZipFile(io.BytesIO(first)).read("docProps/core.xml")
    assert core.count(b"2026-11-21T12:01:30Z") == 2
    odd = report_samples.report()
    undated = msgspec.structs.replace(odd, scan=msgspec.structs.replace(odd.scan, finished="yesterday"))
    assert b"2000-01-01T00:00:00Z" in zipfile.ZipFile(io.BytesIO(REPORTER.render(undated))).read("docProps/core.xml")


def test_what_excel_cannot_hold_is_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MOST_ROWS", 20)
    report = report_samples.report(clusters=5)
    book = opened(report)
    assert len(values(book, "Findings")) == 19
    assert dict(values(book, "Summary"))["Findings left out, which Excel cannot hold"] == len(report.findings) - 19


def test_without_the_extra_it_is_refused_before_anything_is_scanned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(xlsx, "find_spec", lambda _name: None)
    assert main(["scan", "--snapshot", "nowhere.jsonl", "--format", "xlsx", "--output", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "pip install 'aks-audit[xlsx]'" in said
    assert "nowhere" not in said


@pytest.mark.parametrize("estate", ESTATES, ids=lambda path: path.stem)
def test_estates_have_a_row_for_each_finding(estate: Path) -> None:
    report = estate_report(estate)
    assert [row[0] for row in values(opened(report), "Findings")] == [one.rule for one in report.findings]
