"""The report as JUnit XML: what is no pass never looks like one, and any text is text."""

from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import report_samples
from aks_audit.report import Comparison, Report
from aks_audit.results import Exemption, Missing, MissingKind, Outcome
from aks_audit_reports.junit import NOWHERE, REPORTER
from full_reports import ESTATES, HOSTILE, estate_report, full
from reports import cluster_id, finding, report_of


def parsed(report: Report) -> ET.Element:
    """The root of the file; the totals of each suite are those of its cases."""
    root = ET.fromstring(REPORTER.render(report))  # noqa: S314 - we wrote it
    totals: Counter[str] = Counter()
    for suite in root:
        states = Counter(state(case) for case in suite)
        told = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
        assert told == {
            "tests": len(suite),
            "failures": states["failure"],
            "errors": states["error"],
            "skipped": states["skipped"],
        }
        totals.update(told)
    assert all(int(root.attrib[name]) == totals[name] for name in ("tests", "failures", "errors", "skipped"))
    return root


def state(case: ET.Element) -> str:
    """What a CI system shows of a case."""
    assert len(case) <= 1
    return case[0].tag if len(case) else "passed"


def of_one(**changes: Any) -> ET.Element:  # noqa: ANN401 - fields of any type
    """The case of one finding."""
    made = msgspec.structs.replace(finding(outcome=changes.pop("outcome", Outcome.FAIL)), **changes)
    ((case,),) = parsed(report_of([made]))
    return case


def missing(kind: MissingKind) -> Missing:
    """Something that could not be read."""
    return Missing("routes", kind, "Reading it was refused", "Microsoft.Network/routeTables/read", "/subscriptions/s")


def test_only_a_pass_passes() -> None:
    report = report_samples.report(clusters=3)
    expected = {
        Outcome.PASS: "passed",
        Outcome.FAIL: "failure",
        Outcome.UNKNOWN: "error",
        Outcome.NOT_APPLICABLE: "skipped",
    }
    shown = Counter(state(case) for suite in parsed(report) for case in suite)
    assert shown == Counter(expected[one.outcome] for one in report.findings)


def test_a_failure_says_what_to_do() -> None:
    case = of_one()
    assert case.attrib["classname"] == "AKS-TST-01"
    assert case.attrib["name"] == "AKS-TST-01 The door is shut: aks-prod"
    assert case[0].attrib == {"message": "high: The door is open", "type": "high"}
    assert case[0].text == f"The door is open\n{cluster_id('aks-prod')}\naz door shut --name aks-prod"


def test_what_people_accepted_is_skipped_with_their_reason() -> None:
    case = of_one(exception=Exemption("Until the move", "Shop", "Chief", "2026-12-01"))
    assert state(case) == "skipped"
    says = "accepted until 2026-12-01 by Shop, approved by Chief: Until the move. The door is open"
    assert case[0].attrib["message"] == says


def test_what_is_new_since_the_baseline_says_so() -> None:
    assert of_one(change="new")[0].attrib["message"] == "high (new): The door is open"


@pytest.mark.parametrize(
    ("kinds", "shown"),
    [
        (("refused",), "error"),
        (("crashed",), "error"),
        (("unheard-of",), "skipped"),
        (("not-asked",), "skipped"),
        (("not-asked", "refused"), "error"),
        ((), "error"),
    ],
)
def test_what_is_unknown_is_an_error_where_it_leaves_the_scan_incomplete(
    kinds: tuple[MissingKind, ...], shown: str
) -> None:
    case = of_one(outcome=Outcome.UNKNOWN, missing=tuple(missing(kind) for kind in kinds))
    assert state(case) == shown
    assert case[0].attrib["message"] == "unknown: The door is open"
    if shown == "error":
        assert case[0].attrib["type"] == "unknown"
        assert bool(kinds) == ("It takes Microsoft.Network/routeTables/read" in (case[0].text or ""))


def test_a_suite_is_a_cluster_and_what_is_shared_stands_in_each() -> None:
    about = (cluster_id("a"), cluster_id("b").upper())
    shared = msgspec.structs.replace(finding("a"), clusters=about)
    alone = msgspec.structs.replace(finding("c"), clusters=())
    root = parsed(report_of([shared, alone]))
    assert [(suite.attrib["name"].lower(), len(suite)) for suite in root] == [
        (cluster_id("a").lower(), 1),
        (cluster_id("b").lower(), 1),
        (NOWHERE.lower(), 1),
    ]
    quiet = report_samples.report(clusters=2)
    none = msgspec.structs.replace(quiet, findings=())
    assert [len(suite) for suite in parsed(none)] == [0, 0], "a cluster about which nothing was asked is there"


def test_what_failed_before_and_was_not_looked_at_again_is_there_and_skipped() -> None:
    report = report_of([finding("a", outcome=Outcome.UNKNOWN)])
    comparison = Comparison(None, report.score.overall, 0, 0, 0, (), (finding("a"), finding("b")))
    root = parsed(msgspec.structs.replace(report, comparison=comparison))
    cases = {case.attrib["name"].rpartition(" ")[2]: case for case in root.iter("testcase")}
    shown = {name: (state(case), case[0].attrib["message"]) for name, case in cases.items()}
    assert shown == {
        "a": ("error", "unknown: The door is open"),
        "b": ("skipped", "unknown: failed before, and was not looked at again: The door is open"),
    }


def test_times_are_the_scans_own() -> None:
    assert {suite.attrib["timestamp"] for suite in parsed(report_samples.report())} == {"2026-11-21T12:01:30"}
    sample = report_samples.report()
    odd = msgspec.structs.replace(sample, scan=msgspec.structs.replace(sample.scan, finished="yesterday"))
    assert all("timestamp" not in suite.attrib for suite in parsed(odd))


@pytest.mark.parametrize("hostile", [*HOSTILE, "]]>", "\0\x0b\ufffe\ud800", '"><failure/>', "&bad;"])
def test_nothing_in_a_snapshot_is_more_than_text(hostile: str) -> None:
    harmless = [element.tag for element in parsed(full()).iter()]
    root = parsed(full(f"aks{hostile}{{n}}".replace("/", ""), hostile))
    assert [element.tag for element in root.iter()] == harmless
    assert "".join(root.itertext()).replace("\n", "").isprintable()


@given(st.text())
def test_any_text_makes_xml(message: str) -> None:
    parsed(report_of([finding(message=message)]))


def test_the_same_report_gives_the_same_bytes() -> None:
    assert REPORTER.render(full()) == REPORTER.render(full())


@pytest.mark.parametrize("estate", ESTATES, ids=lambda path: path.stem)
def test_estates_have_a_case_for_each_finding_of_each_cluster(estate: Path) -> None:
    report = estate_report(estate)
    root = parsed(report)
    assert int(root.attrib["tests"]) == sum(max(1, len(one.clusters)) for one in report.findings)
    passed = sum(max(1, len(one.clusters)) for one in report.findings if one.outcome is Outcome.PASS)
    assert sum(state(case) == "passed" for suite in root for case in suite) == passed
