"""The findings as CSV: a row each, with all that people file, and no formula."""

import csv
import io
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import report_samples
from aks_audit.report import Report
from aks_audit.results import Evidence, Outcome
from aks_audit_reports.csv import REPORTER
from aks_audit_reports.table import COLUMNS, LONGEST_CELL, cell, harmless, opens_formula
from full_reports import ESTATES, HOSTILE, estate_report, full
from reports import finding, report_of

FORMULAS = [
    "=1+1",
    "+1",
    "-1+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    '"=1',
    "'=1",
    "\uff1d1+1",
    "\u00a0=1",
    "x;=1",
    'x"; "=1',
    "x;=1;+2",
]


def parsed(report: Report) -> list[dict[str, str]]:
    """The rows as a spreadsheet reads them, by column."""
    text = REPORTER.render(report).decode("utf-8-sig")
    first, *others = csv.reader(io.StringIO(text, newline=""), strict=True)
    return [dict(zip(first, row, strict=True)) for row in others]


def test_a_row_has_all_that_people_file() -> None:
    report = full()
    rows = parsed(report)
    assert len(rows) == len(report.findings) + 1
    by_mark = {row["Fingerprint"]: row for row in rows if row["Change"] != "not looked at again"}
    accepted, new, *_ = (by_mark[one.fingerprint] for one in report_samples.report().failures())
    assert accepted["Rule"] == "AKS-API-04"
    assert accepted["Outcome"] == "fail", "what is accepted stays a failure"
    assert [accepted[name] for name in ("Accepted until", "Accepted by", "Approved by", "Reason", "Change")] == [
        "2026-12-01",
        "Kept open",
        "Kept open",
        "Kept open",
        "unchanged",
    ]
    assert (new["Change"], new["Source file"], new["Source line"]) == ("new", "a.tf", "3")
    assert new["Evidence"] == "/properties/disableLocalAccounts = false"
    assert new["Controls"] == "MCSB NS-1; CIS AKS 5.4.2"
    assert new["Effort"] == "in place"
    assert new["Name"] == "aks-1"
    assert (new["Subscription"], new["Resource group"]) == (report_samples.SUBSCRIPTION, "rg-1")
    assert new["Read at"] == "2026-11-21T12:01:30Z"
    unknown = next(row for row in rows if row["Outcome"] == "unknown")
    assert unknown["Could not be read"].startswith("Refused: Reading route table")
    assert unknown["Needs"].startswith("Microsoft.Network/routeTables/read on /subscriptions/")
    assert rows[-1]["Change"] == "not looked at again"
    assert rows[-1]["Read at"] == "2026-11-20T12:00:00Z"


def test_it_is_written_as_the_standard_and_excel_have_it() -> None:
    data = REPORTER.render(full())
    assert data.startswith(b'\xef\xbb\xbf"Rule","What should hold",')
    assert data.endswith(b'"\r\n')
    assert data.replace(b"\r\n", b"").count(b"\n") == 0, "no cell has a line of its own"
    assert data == REPORTER.render(full())


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_is_a_formula_whatever_a_country_parts_cells_by(formula: str, delimiter: str) -> None:
    text = REPORTER.render(full(f"{formula}{{n}}".replace("/", ""), formula)).decode("utf-8-sig")
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        for value in row:
            assert not re.match(r"""[\s"]*[=+\-@\uff1d\uff0b\uff0d\uff20]""", value), value


def test_a_harmless_cell_is_left_as_it_is() -> None:
    for text in ("aks-prod", "0.0.0.0/1", "a = b", "a, -b", "", "'quoted'"):
        assert harmless(text) == text
    assert harmless("=1") == "'=1"
    assert opens_formula("=1")
    assert not opens_formula("1=1")


@given(st.text())
def test_whatever_a_cell_says_it_reads_back_as_one_cell(text: str) -> None:
    (row,) = parsed(report_of([finding(message=text)]))
    assert row["Message"] == harmless(cell(text))
    assert row["Message"].isprintable()


def test_a_cell_is_no_longer_than_excel_takes() -> None:
    long = finding(message="=" + "x" * 100_000)
    evidence = tuple(Evidence(long.resource, "/properties/door", "y" * 1_000) for _ in range(1_000))
    (row,) = parsed(report_of([msgspec.structs.replace(long, evidence=evidence)]))
    assert max(len(value) for value in row.values()) <= LONGEST_CELL + 1


def test_what_a_spreadsheet_would_obey_in_names_is_written_out() -> None:
    for hostile in HOSTILE:
        for row in parsed(full(f"aks{hostile}{{n}}".replace("/", ""), hostile)):
            assert all(value.isprintable() for value in row.values())


@pytest.mark.parametrize("estate", ESTATES, ids=lambda path: path.stem)
def test_estates_have_a_row_for_each_finding(estate: Path) -> None:
    report = estate_report(estate)
    rows = parsed(report)
    assert [(row["Rule"], row["Outcome"], row["Resource"]) for row in rows] == [
        (one.rule, one.outcome, one.resource) for one in report.findings
    ]
    assert {tuple(row) for row in rows} == {COLUMNS}
    assert any(row["Outcome"] == Outcome.PASS for row in rows)
