"""What moved between two audits: nothing is said to have come or gone that was not looked at."""

import gzip
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import reports as made
from aks_audit import drift_reports, snapshot
from aks_audit.cli import main
from aks_audit.commands.live import demo
from aks_audit.drift import Audit, Drift, FindingMove, compare
from aks_audit.drift_reports import MOST, as_json, as_markdown, as_text
from aks_audit.report import PolicyEntry, Report, Tool
from aks_audit.results import Evidence, Exemption, Finding, Outcome, RuleText, Severity
from aks_audit.snapshot import Gap, Header, Listing, Resource, Snapshot
from aks_audit_reports.json import REPORTER
from reports import SCOPE, TYPE, cluster_id, finding, rule_text

TOOL = Tool("aks-audit", "1.2.3")
OTHER = "AKS-TST-02"
MIRROR = {"came": "went", "went": "came", "changed": "changed", "unknown": "known", "known": "unknown"}


def report_of(findings: Iterable[Finding], rules: Iterable[RuleText] = (rule_text(),)) -> Report:
    """The report of a scan that listed all clusters."""
    return made.report_of(findings, rules, [Listing(type=TYPE, scope=SCOPE)])


def drift(old: Report, new: Report) -> Drift:
    return compare(Audit(old), Audit(new), TOOL)


def moves(old: Report, new: Report) -> list[tuple[str, str, str | None]]:
    """Each finding that moved: how, about which cluster, and why."""
    return [(one.move, one.resource.rpartition("/")[2], one.why) for one in drift(old, new).findings]


def scanned(report: Report, **how: Any) -> Report:  # noqa: ANN401 - as Scan has it
    return msgspec.structs.replace(report, scan=msgspec.structs.replace(report.scan, **how))


def cites(name: str, *values: Any, pointer: str = "/properties/door") -> Finding:  # noqa: ANN401 - any JSON value
    evidence = tuple(Evidence(cluster_id(name), pointer.replace("#", str(n)), value) for n, value in enumerate(values))
    return msgspec.structs.replace(finding(name), evidence=evidence)


PASSED = finding("a", outcome=Outcome.PASS)
UNKNOWN = finding("a", outcome=Outcome.UNKNOWN)
ABSENT = finding("a", outcome=Outcome.NOT_APPLICABLE)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([], [], []),
        ([PASSED], [finding("a")], [("came", "a", "pass")]),
        ([ABSENT], [finding("a")], [("came", "a", "not-applicable")]),
        ([], [finding("a")], [("came", "a", "gone")]),
        ([finding("a")], [PASSED], [("went", "a", "pass")]),
        ([finding("a")], [ABSENT], [("went", "a", "not-applicable")]),
        ([finding("a")], [], [("went", "a", "gone")]),
        ([finding("a")], [UNKNOWN], [("unknown", "a", None)]),
        ([UNKNOWN], [finding("a")], [("known", "a", None)]),
        ([PASSED], [UNKNOWN], [("unknown", "a", None)]),
        ([UNKNOWN], [PASSED], [("known", "a", None)]),
        ([PASSED], [ABSENT], []),
        ([finding("a")], [finding("a", message="ajar")], [("changed", "a", None)]),
        ([finding("a")], [finding("a", severity=Severity.LOW)], [("changed", "a", None)]),
        ([finding("a")], [cites("a", "Ajar")], [("changed", "a", None)]),
    ],
)
def test_what_becomes_of_findings(old: list[Finding], new: list[Finding], expected: list[Any]) -> None:
    assert moves(report_of(old), report_of(new)) == expected


@pytest.mark.parametrize(
    "less",
    [
        {"complete": False},
        {"scope": ("/subscriptions/2",)},
        {"narrowed": ("cluster=b",)},
    ],
    ids=["incomplete", "elsewhere", "narrower"],
)
def test_what_was_not_looked_at_neither_came_nor_went(less: dict[str, Any]) -> None:
    failed, empty = report_of([finding("a")]), report_of([])
    assert moves(failed, scanned(empty, **less)) == [("unknown", "a", None)]
    assert moves(scanned(empty, **less), failed) == [("known", "a", None)]
    assert {one.move for one in drift(failed, scanned(empty, **less)).resources} == {"unknown"}
    assert {one.move for one in drift(failed, empty).resources} == {"went"}


def test_a_rule_that_was_not_asked_tells_nothing() -> None:
    failed, other = report_of([finding("a")]), report_of([], [rule_text(OTHER)])
    found = drift(failed, other)
    assert [one.move for one in found.findings] == ["unknown"]
    assert (found.coverage.rules_before, found.coverage.rules_now) == (("AKS-TST-01",), (OTHER,))


def test_a_rule_that_people_disabled_is_told_apart_from_what_is_mended() -> None:
    entry = PolicyEntry("disabled", 1, "in-force", "", 0, "aks-tst-01", "", "why", "", "", "", "")
    off = report_of([], [rule_text(OTHER)])
    off = msgspec.structs.replace(off, policy=msgspec.structs.replace(off.policy, entries=(entry,)))
    assert moves(report_of([finding("a")]), off) == [("went", "a", "disabled")]
    assert moves(off, report_of([finding("a")])) == [("came", "a", "disabled")]


def test_what_a_report_carried_on_it_did_not_see() -> None:
    from aks_audit.report import Comparison  # noqa: PLC0415

    unseen = report_of([UNKNOWN])
    told = Comparison(None, unseen.score.overall, 0, 0, 0, (), (finding("a"),))
    assert moves(msgspec.structs.replace(unseen, comparison=told), report_of([PASSED])) == [("known", "a", None)]


def test_a_failure_that_a_person_accepts_has_changed() -> None:
    accepted = msgspec.structs.replace(finding("a"), exception=Exemption("why", "who", "whom", "2027-01-31"))
    (one,) = drift(report_of([finding("a")]), report_of([accepted])).findings
    assert (one.move, one.accepted) == ("changed", (False, True))


def test_values_that_findings_cite_are_told_with_both() -> None:
    found = drift(report_of([cites("a", "Open")]), report_of([cites("a", "Ajar")]))
    (change,) = found.findings[0].evidence
    assert (change.pointer, change.path, change.old, change.new) == (
        "/properties/door",
        "properties.door",
        "Open",
        "Ajar",
    )
    assert found.settings == "evidence"
    assert [(one.move, one.id, one.changes[0].new) for one in found.resources] == [("changed", cluster_id("a"), "Ajar")]


def test_a_value_inside_what_is_cited_is_told_by_its_path() -> None:
    old, new = (report_of([cites("a", {"mode": mode, "same": 1})]) for mode in ("x", "y"))
    (change,) = drift(old, new).findings[0].evidence
    assert (change.pointer, change.path, change.old, change.new) == (
        "/properties/door/mode",
        "properties.door.mode",
        "x",
        "y",
    )


def test_items_that_only_moved_in_their_list_have_not_changed() -> None:
    old, new = (cites("a", *values, pointer="/properties/doors/#") for values in (("x", "y"), ("y", "x")))
    assert not drift(report_of([old]), report_of([new])).moved


def test_the_worst_come_first() -> None:
    low, high = finding("a", OTHER, severity=Severity.LOW), finding("b")
    rules = [rule_text(), rule_text(OTHER, Severity.LOW)]
    assert [name for _, name, _ in moves(report_of([], rules), report_of([low, high], rules))] == ["b", "a"]


NAMES = ("a", "b", "c")
FINDINGS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(["AKS-TST-01", OTHER]),
        st.sampled_from(list(Outcome)),
        st.sampled_from(["The door is open", "ajar"]),
    ),
    unique_by=lambda one: one[:2],
    max_size=6,
)
SCOPES = st.sampled_from([(SCOPE,), (SCOPE, "/subscriptions/2"), ("/subscriptions/2",)])
NARROWED = st.sampled_from([(), ("cluster=a",), ("tag=a=b",)])


@st.composite
def reports(draw: st.DrawFn) -> Report:
    found = [finding(name, rule, outcome, message=says) for name, rule, outcome, says in draw(FINDINGS)]
    asked = draw(st.sets(st.sampled_from(["AKS-TST-01", OTHER]))) | {one.rule for one in found}
    report = report_of(found, [rule_text(rule) for rule in sorted(asked)])
    return scanned(report, scope=draw(SCOPES), narrowed=draw(NARROWED), complete=draw(st.booleans()))


@given(reports())
def test_nothing_moves_from_a_report_to_itself(report: Report) -> None:
    found = drift(report, report)
    assert not found.moved
    assert (found.findings, found.resources) == ((), ())


@given(reports(), reports())
def test_back_is_the_mirror_of_there(old: Report, new: Report) -> None:
    there, back = drift(old, new), drift(new, old)
    assert there.moved == back.moved
    assert {told(one) for one in there.findings} == {mirrored(one) for one in back.findings}
    assert {(one.move, one.id) for one in there.resources} == {(MIRROR[one.move], one.id) for one in back.resources}
    assert there.coverage.missing_now == back.coverage.missing_before
    assert there.coverage.rules_now == back.coverage.rules_before


@given(reports(), reports())
def test_every_failure_of_one_alone_is_told(old: Report, new: Report) -> None:
    failed = [{one.fingerprint for one in side.findings if one.outcome is Outcome.FAIL} for side in (old, new)]
    found = drift(old, new).findings
    assert {one.fingerprint for one in found if one.move != "changed"} >= failed[0] ^ failed[1]
    outcomes = {one.fingerprint: one.outcome for one in new.findings}
    for one in found:
        if one.move == "went" and one.why != "gone":
            assert outcomes[one.fingerprint] in {Outcome.PASS, Outcome.NOT_APPLICABLE}
        if one.move == "went" and one.why == "gone":
            assert new.scan.complete


def told(one: FindingMove) -> tuple[object, ...]:
    return one.move, one.fingerprint, one.outcomes, one.messages, one.why


def mirrored(one: FindingMove) -> tuple[object, ...]:
    return MIRROR[one.move], one.fingerprint, one.outcomes[::-1], one.messages[::-1], one.why


# --- snapshots

LISTING = Listing(type=TYPE, scope=SCOPE)
POD = f"{cluster_id('a')}/api/v1/namespaces/shop/pods/web"


def taken(*records: snapshot.Record, finished: str | None = None) -> Snapshot:
    header = Header(schema=snapshot.SCHEMA, tool="test", scope=(SCOPE,), finished=finished)
    return snapshot.of([header, *records])


def cluster(name: str, **properties: Any) -> Resource:  # noqa: ANN401 - any JSON value
    return Resource(id=cluster_id(name), type=TYPE, body={"id": cluster_id(name), "properties": properties})


def pod(**spec: Any) -> Resource:  # noqa: ANN401 - any JSON value
    return Resource(id=POD, type="pods", source="kubernetes", body={"spec": spec})


def settings(old: Snapshot, new: Snapshot) -> list[tuple[str, str, list[tuple[str, Any, Any]]]]:
    """Each resource that moved: how, its name, and its changes."""
    empty = report_of([])
    found = compare(Audit(empty, old), Audit(empty, new), TOOL)
    return [
        (one.move, one.id.rpartition("/")[2], [(c.path, c.old, c.new) for c in one.changes]) for one in found.resources
    ]


def test_settings_are_compared_body_by_body() -> None:
    old, new = taken(cluster("a", mode="x", etag="1")), taken(cluster("A", mode="y", etag="2"))
    assert settings(old, new) == [("changed", "A", [("properties.mode", "x", "y")])]


def test_a_resource_went_only_where_a_list_says_so() -> None:
    both, one = taken(LISTING, cluster("a"), cluster("b")), taken(LISTING, cluster("a"))
    assert settings(both, one) == [("went", "b", [])]
    assert settings(one, both) == [("came", "b", [])]
    unlisted = taken(cluster("a"))
    assert settings(both, unlisted) == [("unknown", "b", [])]
    assert settings(unlisted, both) == [("known", "b", [])]


@pytest.mark.parametrize(
    "gap",
    [
        Gap(id=cluster_id("b"), reason="refused"),
        Gap(id=SCOPE, type=TYPE, reason="refused"),
        Gap(id=SCOPE, reason="refused"),
    ],
)
def test_a_gap_is_no_absence(gap: Gap) -> None:
    assert settings(taken(LISTING, cluster("b")), taken(LISTING, gap)) == [("unknown", "b", [])]


def test_what_is_inside_goes_with_its_cluster_and_not_with_a_gap() -> None:
    old = taken(LISTING, cluster("a"), Listing(type="pods", scope=cluster_id("a")), pod())
    assert settings(old, taken(LISTING)) == [("went", "a", []), ("went", "web", [])]
    inside = Listing(type="pods", scope=cluster_id("a"))
    assert settings(old, taken(LISTING, cluster("a"), inside)) == [("went", "web", [])]
    assert settings(old, taken(LISTING, cluster("a"))) == [("unknown", "web", [])]
    shut = Gap(id=cluster_id("a"), type="kubernetes", reason="unreachable")
    assert settings(old, taken(LISTING, cluster("a"), inside, shut)) == [("unknown", "web", [])]


def test_an_extension_goes_with_what_it_extends() -> None:
    setting = Resource(
        id=f"{cluster_id('a')}/providers/Microsoft.Insights/diagnosticSettings/audit",
        type="Microsoft.Insights/diagnosticSettings",
        body={},
    )
    old = taken(LISTING, cluster("a"), setting)
    assert [move for move, *_ in settings(old, taken(LISTING))] == ["went", "went"]
    assert [move for move, *_ in settings(old, taken(LISTING, cluster("a")))] == ["unknown"]


def test_objects_inside_clusters_are_compared_exactly() -> None:
    assert settings(taken(pod(image="a:X")), taken(pod(image="a:x"))) == [
        ("changed", "web", [("spec.image", "a:X", "a:x")])
    ]


def test_what_was_read_last_counts() -> None:
    early = msgspec.structs.replace(cluster("a", mode="x"), read="2026-11-20T00:00:00Z")
    late = msgspec.structs.replace(cluster("a", mode="y"), read="2026-11-21T00:00:00Z")
    assert settings(taken(early, late), taken(late)) == []
    assert settings(taken(late, early), taken(early)) == [("changed", "a", [("properties.mode", "y", "x")])]


# --- the command


def estate(folder: Path, name: str, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Path:
    """The sample estate, its records changed, all of them, so that it is complete in itself."""
    records = [json.loads(line) for line in demo().read_text("utf-8").splitlines()]
    for record in records:
        change(record)
    file = folder / name
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    file.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return file


def opened(record: dict[str, Any]) -> None:
    """Let local accounts sign in to, and no policy engine watch over, one cluster."""
    if record["kind"] == "resource" and record["id"].endswith("/managedClusters/aks-payments"):
        record["body"]["properties"]["networkProfile"]["networkPolicy"] = "none"
        record["body"]["etag"] = "other"
        record["body"]["tags"] |= {"team": "`x`\u001b[2J\u202e<script>|@all\n# head"}
    if record["kind"] == "header":
        record["finished"] = "2026-11-20T07:00:00Z"


def report_file(snapshot_file: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    capsys.readouterr()
    main(["scan", "--snapshot", str(snapshot_file), "--format", "json"])
    file = snapshot_file.parent / f"report-of-{snapshot_file.name}"
    file.write_text(capsys.readouterr().out, "utf-8")
    return file.rename(file.with_suffix(".json"))


def test_two_snapshots_tell_settings_and_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = estate(tmp_path, "old.jsonl"), estate(tmp_path, "new.jsonl.gz", opened)
    assert main(["diff", str(old), str(new), "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    (changed,) = found["resources"]
    assert [(one["pointer"], one.get("old"), one.get("new")) for one in changed["changes"]][:1] == [
        ("/properties/networkProfile/networkPolicy", "cilium", "none")
    ]
    assert [one["path"].partition(".")[0] for one in changed["changes"]] == ["properties", "tags"]
    came = [one for one in found["findings"] if one["move"] == "came"]
    assert "AKS-KN-01" in {one["rule"] for one in came}
    assert found["settings"] == "bodies"
    assert (found["old"]["kind"], found["new"]["kind"]) == ("snapshot", "snapshot")


def test_a_report_and_a_snapshot_are_told_apart_by_what_is_in_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = estate(tmp_path, "old.jsonl"), estate(tmp_path, "new.jsonl", opened)
    first = report_file(old, capsys)
    nameless = new.rename(tmp_path / "new")
    assert main(["diff", str(first), str(nameless), "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["old"]["kind"], found["new"]["kind"], found["settings"]) == ("report", "snapshot", "evidence")
    assert "properties.networkProfile.networkPolicy" in {
        change["path"] for one in found["resources"] for change in one["changes"]
    }
    folder = tmp_path / "folder"
    folder.mkdir()
    nameless.rename(folder / "new.jsonl")
    assert main(["diff", str(first), str(folder), "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out) == found


def test_snapshots_are_asked_rules_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "house"
    assert main(["rules", "new", "HOUSE-RG-01", "--dir", str(rules), "--declarative"]) == 0

    def renamed(record: dict[str, Any]) -> None:
        if record["kind"] == "resource" and record["id"].endswith("/managedClusters/aks-shop"):
            record["body"]["properties"]["nodeResourceGroup"] = "of-ours-nodes"

    old, new = estate(tmp_path, "old.jsonl"), estate(tmp_path, "new.jsonl", renamed)
    capsys.readouterr()
    for options, told in (([], False), (["--rules", str(rules)], True)):
        assert main(["diff", str(old), str(new), *options]) == 1
        assert ("HOUSE-RG-01" in capsys.readouterr().out) is told


def test_nothing_moved_in_what_was_not_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = estate(tmp_path, "same.jsonl")
    assert main(["diff", str(same), str(same)]) == 3
    assert capsys.readouterr().out.startswith("Nothing moved\n")
    whole = tmp_path / "whole.json"
    whole.write_bytes(REPORTER.render(report_of([finding("a")])))
    assert main(["diff", str(whole), str(whole)]) == 0


def test_two_runs_give_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / "old.json", tmp_path / "new.json"]
    files[0].write_bytes(REPORTER.render(report_of([finding("a"), finding("b", outcome=Outcome.PASS)])))
    files[1].write_bytes(REPORTER.render(report_of([cites("a", "Ajar"), finding("b")])))
    for form in ("text", "json", "markdown"):
        shown = []
        for _ in range(2):
            assert main(["diff", *map(str, files), "--format", form]) == 1
            shown.append(capsys.readouterr().out)
        assert shown[0] == shown[1]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"nonsense", b"\x1f\x8bxx", b"\xff\xfe"])
def test_what_is_neither_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(content)
    assert main(["diff", str(other), str(other)]) == 2
    assert "other.json: is no report of aks-audit" in capsys.readouterr().err
    assert main(["diff", str(tmp_path / "none"), str(other)]) == 2
    assert "no such file" in capsys.readouterr().err


# --- what is printed


def test_json_is_as_its_schema_says() -> None:
    told = Draft202012Validator(json.loads(drift_reports.schema()))
    Draft202012Validator.check_schema(told.schema)
    for found in (hostile(), drift(report_of([]), report_of([finding("a")]))):
        assert not list(told.iter_errors(json.loads(as_json(found))))
    assert list(told.iter_errors({**json.loads(as_json(hostile())), "moved": "yes"}))


HOSTILE = "`\x1b]0;owned\x07``\r\n\u202e# <img src=x> | @all [a](b) ```"


def hostile() -> Drift:
    old = report_of([finding("a"), finding("b", outcome=Outcome.PASS), finding("c")])
    new = report_of([cites("a", HOSTILE), finding("b", message=HOSTILE), finding("c", outcome=Outcome.UNKNOWN)])
    named = msgspec.json.decode(msgspec.json.encode(new).replace(b"rg-aks", b"rg-`x`"), type=Report)
    return drift(scanned(old, finished=HOSTILE, scope=(HOSTILE,)), scanned(named, finished="2026-11-21T00:00:00Z"))


def test_names_cannot_command_the_terminal() -> None:
    shown = as_text(hostile(), colour=False, width=100)
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert max(map(len, shown.splitlines())) <= 100


def test_colour_adds_codes_and_nothing_else() -> None:
    plain, coloured = (as_text(hostile(), colour=colour, width=100) for colour in (False, True))
    assert plain != coloured
    assert re.sub(r"\x1b\[[0-9;]+m", "", coloured) == plain


def test_what_is_told_stands_in_code_spans_in_markdown() -> None:
    shown = as_markdown(hostile())
    outside = re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", shown)
    assert "owned" in shown
    assert not re.search(r"[<>@\x1b\u202e`]|owned|\]\(", outside)
    assert all(line.startswith(("#", "- ", "  - ")) or not line for line in shown.splitlines())


def test_a_long_section_is_cut_short_and_json_is_not() -> None:
    many = drift(report_of([]), report_of([finding(f"c{number:03}") for number in range(100)]))
    assert f"  and {100 - MOST} more; --format json has all" in as_text(many, colour=False, width=100)
    assert f"- and {100 - MOST} more" in as_markdown(many)
    assert len(json.loads(as_json(many))["findings"]) == 100
    assert msgspec.json.decode(as_json(many), type=Drift) == many
