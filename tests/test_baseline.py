"""An audit against an earlier one: nothing ends by not looking."""

import json
from pathlib import Path

import msgspec
import pytest

from aks_audit import baseline, report, snapshot
from aks_audit.baseline import BaselineError, Now
from aks_audit.facts import ManagedCluster
from aks_audit.report import Comparison, Report, Scan
from aks_audit.results import Finding, Outcome, Severity
from aks_audit.rule import Rule
from aks_audit_reports.json import REPORTER
from full_reports import full
from reports import SCOPE, cluster_id, finding, never, report_of, rule_text

RULE = "AKS-TST-01"


def now(
    scope: tuple[str, ...] = (SCOPE,),
    narrowed: tuple[str, ...] = (),
    asked: frozenset[str] = frozenset({RULE}),
    disabled: frozenset[str] = frozenset(),
    *,
    complete: bool = True,
) -> Now:
    return Now(Scan(scope, None, None, complete, narrowed), asked, disabled)


def compared(before: Report, *findings: Finding, when: Now | None = None) -> Comparison:
    return baseline.compare(before, findings, when or now())[1]


def narrowed(report: Report, *told: str) -> Report:
    return msgspec.structs.replace(report, scan=msgspec.structs.replace(report.scan, narrowed=told))


BEFORE = report_of([finding("a"), finding("b", outcome=Outcome.PASS)])


def test_failures_are_new_unchanged_or_changed() -> None:
    other = finding("c", message="The door is ajar")
    before = report_of([finding("a"), finding("c"), finding("u", outcome=Outcome.UNKNOWN)])
    found, told = baseline.compare(before, [finding("a"), finding("b"), other, finding("u")], now())
    assert [one.change for one in found] == ["unchanged", "new", "changed", "new"]
    assert (told.new, told.unchanged, told.changed, told.fixed, told.carried) == (2, 1, 1, (), ())


def test_when_a_value_was_read_is_no_change() -> None:
    read = [msgspec.structs.replace(one, source="graph", read="2026-11-21T00:00:00Z") for one in finding("a").evidence]
    later = msgspec.structs.replace(finding("a"), evidence=tuple(read))
    assert compared(report_of([finding("a")]), later).unchanged == 1


def test_only_failures_have_a_change() -> None:
    found, _ = baseline.compare(BEFORE, [finding("a", outcome=Outcome.PASS)], now())
    assert found[0].change is None


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.NOT_APPLICABLE])
def test_what_was_seen_to_be_mended_is_fixed(outcome: Outcome) -> None:
    told = compared(BEFORE, finding("a", outcome=outcome))
    assert [(one.resource, one.by) for one in told.fixed] == [(cluster_id("a"), outcome.value)]
    assert not told.carried


def test_what_is_unknown_now_is_carried() -> None:
    told = compared(BEFORE, finding("a", outcome=Outcome.UNKNOWN))
    assert [one.fingerprint for one in told.carried] == [finding("a").fingerprint]
    assert not told.fixed


def test_what_is_gone_from_a_whole_scan_is_fixed() -> None:
    assert [one.by for one in compared(BEFORE).fixed] == ["gone"]
    assert [one.by for one in compared(BEFORE, when=now((SCOPE, "/subscriptions/2"))).fixed] == ["gone"]


@pytest.mark.parametrize(
    "less",
    [
        now(complete=False),
        now(scope=("/subscriptions/2",)),
        now(narrowed=("cluster=b",)),
        now(asked=frozenset()),
    ],
    ids=["incomplete", "elsewhere", "narrower", "another checklist"],
)
def test_what_is_gone_from_a_smaller_scan_is_carried(less: Now) -> None:
    told = compared(BEFORE, when=less)
    assert (len(told.carried), told.fixed) == (1, ())


def test_what_was_not_listed_is_not_gone() -> None:
    """A snapshot of one cluster, imported from `az aks show`, says nothing of the others in the subscription."""
    header = snapshot.Header(schema=snapshot.SCHEMA, tool="aks-audit", scope=(SCOPE,))
    judged = [Rule(rule_text(), ManagedCluster, never)]
    later = report.build(snapshot.of([header]), judged, (finding("b", outcome=Outcome.PASS),), ())
    told = compared(BEFORE, *later.findings, when=Now(later.scan, {RULE}, ()))
    assert not later.scan.complete
    assert (len(told.carried), told.fixed) == (1, ())


def test_a_baseline_that_says_no_scope_ends_nothing() -> None:
    before = msgspec.structs.replace(BEFORE, scan=msgspec.structs.replace(BEFORE.scan, scope=()))
    assert compared(before).carried


def test_what_is_carried_is_unsettled_where_it_was_asked_about() -> None:
    unknown = [finding("a", outcome=Outcome.UNKNOWN)]
    after = msgspec.structs.replace(report_of(unknown), comparison=compared(BEFORE, *unknown))
    assert after.unsettled(Severity.HIGH)
    assert not after.unsettled(Severity.CRITICAL)
    assert not report_of(unknown).unsettled(Severity.INFO)
    elsewhere = msgspec.structs.replace(after, clusters=())
    assert not elsewhere.unsettled(Severity.INFO)
    assert not msgspec.structs.replace(after, rules=()).unsettled(Severity.INFO)


def test_alike_narrowed_scans_see_what_is_gone_but_for_tags() -> None:
    told = compared(narrowed(BEFORE, "cluster=a*"), when=now(narrowed=("cluster=a*",)))
    assert [one.by for one in told.fixed] == ["gone"]
    assert compared(narrowed(BEFORE, "tag=team=a"), when=now(narrowed=("tag=team=a",))).carried


def test_where_the_rule_is_unknown_about_the_cluster_nothing_of_it_is_gone() -> None:
    pod = msgspec.structs.replace(finding("a"), resource=f"{cluster_id('a')}/api/v1/pods/x", fingerprint="pod")
    told = compared(report_of([pod]), finding("a", outcome=Outcome.UNKNOWN))
    assert [one.fingerprint for one in told.carried] == ["pod"]
    assert [one.by for one in compared(report_of([pod]), finding("b", outcome=Outcome.UNKNOWN)).fixed] == ["gone"]


def test_what_is_well_for_those_that_share_it_still_is_not_mended_for_one_that_may() -> None:
    both = msgspec.structs.replace(finding("shared"), clusters=(cluster_id("a"), cluster_id("b")))
    well = msgspec.structs.replace(finding("shared", outcome=Outcome.PASS), clusters=(cluster_id("A"),))
    lost = msgspec.structs.replace(finding("subnet", outcome=Outcome.UNKNOWN), clusters=(cluster_id("B"),))
    assert compared(report_of([both]), well, lost).carried == (both,)
    assert [one.by for one in compared(report_of([both]), well).fixed] == ["pass"]
    told_of = msgspec.structs.replace(well, clusters=both.clusters)
    assert [one.by for one in compared(report_of([both]), told_of, lost).fixed] == ["pass"]


def test_a_report_is_read_line_by_line_and_in_any_other_layout() -> None:
    data = REPORTER.render(full())
    parts = baseline.Parts(data.splitlines(keepends=True))
    assert len([*parts.findings()]) == len(full().findings)
    assert b'"findings": [\n  ],' in parts.rest
    by_lines = baseline.decode(data.splitlines(keepends=True), "a.json", "")
    assert [*by_lines.findings] == [*full().findings]
    for indent in (None, 0, 2, 4):
        laid_out = json.dumps(json.loads(data), indent=indent).encode().splitlines(keepends=True)
        other = baseline.decode(laid_out, "a.json", "")
        assert [*other.findings] == [*by_lines.findings]
        assert msgspec.structs.replace(other, findings=()) == msgspec.structs.replace(by_lines, findings=())


def test_a_rule_that_people_disabled_ends_its_failures() -> None:
    assert [one.by for one in compared(BEFORE, when=now(disabled=frozenset({RULE}))).fixed] == ["disabled"]


def test_what_is_carried_is_carried_from_scan_to_scan_until_it_is_seen() -> None:
    unknown = [finding("a", outcome=Outcome.UNKNOWN)]
    first = msgspec.structs.replace(report_of(unknown), comparison=compared(BEFORE, *unknown))
    second = compared(first, *unknown)
    assert [one.fingerprint for one in second.carried] == [finding("a").fingerprint]
    assert compared(first, finding("a")).unchanged == 1
    assert compared(first, finding("a", outcome=Outcome.PASS)).fixed


def test_a_report_reads_back_as_a_baseline(tmp_path: Path) -> None:
    file = tmp_path / "aks-audit.json"
    file.write_bytes(REPORTER.render(BEFORE))
    assert baseline.read(file) == BEFORE


def test_a_report_of_an_earlier_version_is_a_baseline(tmp_path: Path) -> None:
    document = msgspec.json.decode(REPORTER.render(BEFORE))
    old = {key: value for key, value in document.items() if key not in {"policy", "fixes", "comparison"}}
    file = tmp_path / "aks-audit.json"
    file.write_bytes(msgspec.json.encode(old | {"schemaVersion": "1.0"}))
    assert baseline.read(file).findings == BEFORE.findings


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_report_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "other.json"
    file.write_bytes(data)
    with pytest.raises(BaselineError, match=r"other\.json: is no report of aks-audit"):
        baseline.read(file)


def test_a_later_major_version_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "later.json"
    file.write_bytes(REPORTER.render(msgspec.structs.replace(BEFORE, schema_version="2.0")))
    with pytest.raises(BaselineError, match=r"is of schema 2\.0"):
        baseline.read(file)
    with pytest.raises(BaselineError, match="cannot be read"):
        baseline.read(tmp_path / "none.json")
