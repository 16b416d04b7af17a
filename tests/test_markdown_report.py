"""The report as Markdown: within the limits of a pipeline's page, and nothing in it does what a snapshot says."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

import report_samples
from aks_audit.report import Report
from aks_audit.results import Outcome, Severity
from aks_audit_reports import markdown
from aks_audit_reports.markdown import LARGEST, REPORTER, text
from full_reports import ESTATES, HOSTILE, estate_report, fix, full
from reports import cluster_id, finding, report_of


def tokens(rendered: str) -> Iterator[Token]:
    """All tokens, those within lines included."""
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(rendered):
        yield token
        yield from token.children or ()


def plain(rendered: str) -> str:
    """What stands in the page as text, outside of code."""
    return "\n".join(token.content for token in tokens(rendered) if token.type == "text")


def shown(report: Report) -> str:
    return REPORTER.render(report).decode()


def test_it_says_what_a_reader_of_the_job_needs() -> None:
    page = shown(full())
    assert page.startswith("# AKS audit\n\n**5 failures, 1 of them high, on 3 clusters.**\n")
    headings = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert headings == [
        "What to do first",
        "Since the baseline",
        "Exceptions to look at",
        "High: 1 failure",
        "Medium: 2 failures",
        "Low: 2 failures",
        "Accepted by people",
        "What could not be read",
        "Clusters",
        "Checklists",
    ]
    assert "- Score: **64.7 %** (52.4 to 71.4 %)" in page
    assert "- Coverage: 17 of 21 questions decided (81.0 %)" in page
    assert "- Accepted by people: 1 failure, which stay in the score" in page
    assert (
        "Failures since 2026-11-20 12:00 UTC (score then 64.7 %): 1 new, 1 mended or gone, 4 as before, 1 not" in page
    )
    assert "| line 7 | expired | exception | AKS-IAM-04 |" in page
    assert "| line 9 |" not in page, "an exception in force needs no look"
    assert "accepted until 2026-12-01 by Kept open, approved by Kept open: Kept open" in page
    assert "- **The scan is incomplete**" in page
    assert " and 2 more" in page


def test_a_clean_scan_is_short() -> None:
    page = shown(report_samples.report(clusters=2, outcome=Outcome.PASS))
    assert page.startswith("# AKS audit\n\n**Nothing failed on 2 clusters.**\n")
    assert "incomplete" not in page
    assert "## What" not in page
    assert "- Failures: none" in page


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_from_a_snapshot_is_more_than_text(hostile: str) -> None:
    harmless = [token.type for token in tokens(shown(full("aks{n}", "word")))]
    page = shown(full(f"aks{hostile}{{n}}".replace("/", ""), hostile))
    kinds = [token.type for token in tokens(page)]
    for kind in ("html_inline", "html_block", "link_open", "image", "hr", "em_open", "s_open"):
        assert kind not in kinds, kind
    for kind in ("table_open", "tr_open", "td_open", "heading_open"):
        assert kinds.count(kind) == harmless.count(kind), kind
    words = plain(page)
    assert not re.search(r"[@#<>\[\]`~$&|]|//|www\.|GH-\d|:tada:", words.replace("aks-audit 1.2.3", ""))
    assert all(character.isprintable() or character == "\n" for character in page)


@given(st.text())
def test_any_text_is_plain_words_or_one_code_span(hostile: str) -> None:
    made = text(hostile)
    (paragraph,) = [*MarkdownIt("commonmark").parse(f"x {made} x")][1:2]
    kinds = [child.type for child in paragraph.children or ()]
    assert kinds in (["text"], ["text", "code_inline", "text"])
    assert "|" not in made
    assert "\n" not in made


def test_rows_of_tables_have_as_many_cells_as_their_head() -> None:
    for hostile in HOSTILE:
        page = shown(full("aks{n}", hostile))
        for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
            lines = block.splitlines()
            assert {line.count("|") for line in lines} == {lines[0].count("|")}, hostile


def test_a_command_cannot_leave_its_block() -> None:
    page = shown(full("aks{n}", "az x\n```\n# heading\n````\n@everyone"))
    fences = [token.content for token in tokens(page) if token.type == "fence"]
    assert "az x\n```\n# heading\n````\n@everyone\n" in fences
    assert "everyone" not in plain(page)


@pytest.mark.parametrize("message", ["short", "\U0001f525" * 5_000, "`" * 5_000])
def test_it_stays_within_what_a_step_may_write_and_says_what_it_leaves_out(message: str) -> None:
    failures = [
        finding(f"aks-{number}", severity=severity, message=f"{message} {number}")
        for severity in Severity
        for number in range(2_000)
    ]
    sample = report_of(failures)
    page = REPORTER.render(msgspec.structs.replace(sample, fixes=tuple(fix(one, message) for one in failures[:50])))
    assert len(page) <= LARGEST
    said = page.decode()
    told = [int(number.replace(",", "")) for number in re.findall(r"\*\*([\d,]+) (?:more )?failures\*\* not", said)]
    rows = len(re.findall(r"^\| AKS-TST-01 ", said, re.MULTILINE))
    assert sum(told) + rows == len(failures)
    assert "**40 more steps** not shown here" in said


def test_where_there_is_no_space_the_headings_are_there() -> None:
    page = markdown._Page()  # noqa: SLF001 - the only way to fill one to the brim
    page.put(markdown.Section("Full", ["x" * (LARGEST - 5_000)], ["a"], 1, "row"))
    page.put(markdown.Section("None", ["y" * 5_000], ["b", "c"], 2, "row"))
    assert b"## None\n\n**2 rows** not shown here" in page.done()


def test_the_same_report_gives_the_same_bytes() -> None:
    assert REPORTER.render(full()) == REPORTER.render(full(), colour=True)


@pytest.mark.parametrize("estate", ESTATES, ids=lambda path: path.stem)
def test_estates_are_told_without_links_or_elements(estate: Path) -> None:
    page = shown(estate_report(estate))
    assert not {"html_inline", "html_block", "link_open", "image"} & {token.type for token in tokens(page)}
    assert len(page.encode()) <= LARGEST


def test_what_an_unknown_needs_is_told_whole() -> None:
    page = shown(report_samples.report(clusters=1, outcome=Outcome.UNKNOWN))
    assert (
        "It takes `Microsoft.Network/routeTables/read`" in page or "It takes Microsoft.Network/routeTables/read" in page
    )
    assert "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-1" in page


def test_names_of_resources_stand_in_code_where_they_are_no_words() -> None:
    assert text(cluster_id("aks-prod")).startswith("`/subscriptions/")
    assert text("aks-prod / user") == "aks-prod / user"
    assert text("aks_prod") == "`aks_prod`"
