"""The SARIF reports: what stands where, for GitHub, for Azure DevOps, and in the whole file."""

import json
import random
import re
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit.report import Report
from aks_audit.results import Control, Outcome, Place, Severity
from aks_audit_reports.sarif import AZURE_DEVOPS, FULL, REPORTER, SarifReporter
from aks_audit_reports.sarif.profile import GITHUB
from aks_audit_reports.sarif.results import MOST_RELATED
from reports import SCOPE, TYPE, audited, bare_clusters, cluster_id, finding, recorded, report_of, rule_text
from sarif_logs import EXEMPTION, PIPELINE, compared, hostile, samples, severities, unread


def rendered(report: Report, reporter: SarifReporter = REPORTER) -> dict[str, Any]:
    """The one run of the SARIF report."""
    (run,) = json.loads(reporter.render(report))["runs"]
    found: dict[str, Any] = run
    return found


def uris(run: dict[str, Any]) -> list[str]:
    """The file of each result."""
    return [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]]


SAMPLES = samples()


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


def test_a_failure_names_what_to_mend_first_and_where_it_stands() -> None:
    rules = [rule_text(f"AKS-TST-{number:02}") for number in range(1, MOST_RELATED + 3)]
    before = [finding(rule_id=rule.id) for rule in rules[:-1]]
    one = msgspec.structs.replace(finding(rule_id=rules[-2].id, name="aks-b"), causes=(before[0].fingerprint, "gone"))
    many = msgspec.structs.replace(finding(rule_id=rules[-1].id), causes=tuple(cause.fingerprint for cause in before))
    results = {
        result["partialFingerprints"]["primaryLocationLineHash"]: result
        for result in rendered(report_of([*before, one, many], rules))["results"]
    }
    assert results[one.fingerprint]["message"] == {"text": "The door is open. Mend AKS-TST-01 first."}
    (place,) = results[one.fingerprint]["relatedLocations"]
    (cause,) = results[before[0].fingerprint]["locations"]
    assert place["physicalLocation"] == cause["physicalLocation"]
    assert place["message"] == {"text": "Mend AKS-TST-01 first: The door is open."}
    assert [about["fullyQualifiedName"] for about in place["logicalLocations"]] == [cluster_id("aks-prod")]
    assert "relatedLocations" not in results[before[0].fingerprint]
    assert len(results[many.fingerprint]["relatedLocations"]) == MOST_RELATED
    assert f"{rules[-2].id} first." in results[many.fingerprint]["message"]["text"]


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


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        (("javascript:alert(1)", "The platform handbook, page 7"), None),
        (("The handbook", "https://example.org/a%20b?c=d#e"), "https://example.org/a%20b?c=d#e"),
        (("https://example.org/a b", "https://example.org/\u00fc", "https://example.org/%zz", "https://"), None),
        ((), None),
    ],
)
def test_only_an_address_of_the_web_is_the_address_of_help(references: tuple[str, ...], expected: str | None) -> None:
    """Rules of one's own may name whatever they stand on; of a file with one bad URI GitHub takes nothing."""
    text = msgspec.structs.replace(rule_text(), references=references)
    (rule,) = rendered(report_of([finding()], [text]))["tool"]["driver"]["rules"]
    assert rule.get("helpUri") == expected
    assert all(one in rule["help"]["text"] for one in references)


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


def test_the_most_severe_come_first_and_are_kept() -> None:
    run = rendered(severities(*reversed(Severity)), SarifReporter(GITHUB._replace(most_results=3)))
    assert [result["properties"]["severity"] for result in run["results"]] == ["critical", "high", "medium"]
    assert notices(run) == ["2 failures left out, the least severe; the JSON report has them all."]


def test_no_more_results_than_services_keep_and_all_in_the_whole_file() -> None:
    report = report_of(finding(f"aks-{n}") for n in range(5_100))
    for reporter in (REPORTER, AZURE_DEVOPS):
        run = rendered(report, reporter)
        assert len(run["results"]) == 5_000
        assert notices(run) == ["100 failures left out, the least severe; the JSON report has them all."]
    assert len(rendered(report, FULL)["results"]) == 5_100


def test_no_more_bytes_than_github_takes() -> None:
    noise = random.Random(1)  # noqa: S311 - text that no compressor shortens, not a secret
    messages = ["".join(noise.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1_000)) for _ in range(64)]
    report = report_of(finding(f"aks-{n:02}", message=message) for n, message in enumerate(messages))
    run = rendered(report, SarifReporter(GITHUB._replace(most_bytes=20_000)))
    assert len(run["results"]) == 16
    assert notices(run) == ["48 failures left out, the least severe; the JSON report has them all."]


def notices(run: dict[str, Any]) -> list[str]:
    """What the run says of itself."""
    return [notice["message"]["text"] for notice in run["invocations"][0].get("toolExecutionNotifications", [])]


UNBOUND = (
    "and this scan was given no baseline: an alert that an earlier scan raised there would close. Give the JSON report "
    "of the last scan with --baseline, and its failures are carried on."
)


def test_what_could_not_be_read_makes_the_run_unsuccessful() -> None:
    invocation = rendered(unread(crashed=True))["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert [(n["level"], n["message"]["text"]) for n in invocation["toolExecutionNotifications"]] == [
        ("warning", f"1 finding could not be decided, {UNBOUND}"),
        ("warning", f"rg-0: 403. Needs x/read on {SCOPE}."),
        ("error", "rule AKS-TST-01 crashed: KeyError."),
    ]
    assert rendered(report_of([finding("a")]))["invocations"] == [{"executionSuccessful": True}]


def test_notifications_are_limited_and_counted() -> None:
    said = notices(rendered(unread(things=150)))
    assert len(said) == 102
    assert said[-1] == "50 more things could not be read; the JSON report has them all."


def test_a_path_is_a_relative_uri_in_a_folder() -> None:
    found = [uri for report in SAMPLES.values() for uri in uris(rendered(report))]
    assert found
    for uri in found:
        assert re.fullmatch(r"(?:aks-audit|infra)/(?:[a-zA-Z0-9._~/-]|%[0-9A-F]{2})+\.(?:json|bicep)", uri)


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


def test_a_narrowed_scan_has_a_category_of_its_own() -> None:
    one = categorised("/subscriptions/a", narrowed=("cluster=aks-*", "tag=team=a/b"), checklists=("cis",))
    assert one == "aks-audit/subscriptions/a/cluster=aks-*/tag=team=a%2Fb/checklist=cis/"
    different = [
        categorised("/subscriptions/a", *more, narrowed=narrowed, checklists=checklists)
        for more in ((), ("/subscriptions/b",))
        for narrowed in (
            (),
            ("cluster=aks",),
            ("cluster=aks", "cluster=other"),
            ("resource-group=aks",),
            ("cluster=x" * 99,),
        )
        for checklists in ((), ("cis",), ("cis", "mcsb"))
    ]
    assert len(set(different)) == len(different)
    assert all(category and len(category) <= 220 for category in different)


def test_where_nothing_says_the_scope_who_uploads_must() -> None:
    report = report_of([])
    nowhere = msgspec.structs.replace(report, scan=msgspec.structs.replace(report.scan, scope=()))
    assert notices(rendered(nowhere)) == [
        f"Not all in scope could be read, {UNBOUND}",
        "Nothing says what the scope of the scan is: upload it under a category of its own, always the same one.",
        f"the list of {TYPE} in {SCOPE} is not in the snapshot, and no cluster is. Needs {TYPE}/read on {SCOPE}.",
    ]


def categorised(*scope: str, narrowed: tuple[str, ...] = (), checklists: tuple[str, ...] = ()) -> str | None:
    """The category of a scan of this scope."""
    report = report_of([])
    scan = msgspec.structs.replace(report.scan, scope=scope, narrowed=narrowed, checklists=checklists)
    details: dict[str, str] = rendered(msgspec.structs.replace(report, scan=scan)).get("automationDetails", {})
    return details.get("id")


def test_azure_devops_is_told_the_pipeline_in_text() -> None:
    report = report_of([finding()])
    run = rendered(msgspec.structs.replace(report, pipeline=PIPELINE), AZURE_DEVOPS)
    assert run["automationDetails"] == {
        "id": "azuredevops/pipeline/build/contoso/11111111-1111-1111-1111-111111111111/1234/"
        "22222222-2222-2222-2222-222222222222/refs/heads/main/98765",
        "properties": {
            "azuredevops/pipeline/build/buildDefinitionId": "1234",
            "azuredevops/pipeline/build/buildDefinitionName": "Nightly audit",
            "azuredevops/pipeline/build/phaseId": "22222222-2222-2222-2222-222222222222",
            "azuredevops/pipeline/build/phaseName": "Audit",
        },
    }
    assert run["tool"]["driver"]["fullName"] == f"aks-audit {report.tool.version}"
    assert rendered(report, AZURE_DEVOPS) == rendered(report)
    assert rendered(msgspec.structs.replace(report, pipeline=PIPELINE)) == rendered(report)


def test_a_failure_stands_where_the_infrastructures_code_says_it() -> None:
    source = Place(path="infra/aks.bicep", line=12, text="disableLocalAccounts: false")
    (result,) = rendered(report_of([msgspec.structs.replace(finding(), source=source)]))["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "infra/aks.bicep"},
        "region": {"startLine": 12, "snippet": {"text": "disableLocalAccounts: false"}},
    }
    assert result["partialFingerprints"] == {"primaryLocationLineHash": finding().fingerprint}


def test_what_was_read_from_an_index_says_so() -> None:
    (own,) = finding().evidence
    indexed = msgspec.structs.replace(own, source="graph", read="2026-11-21T12:00:00Z")
    (result,) = rendered(report_of([msgspec.structs.replace(finding(), evidence=(own, indexed))]))["results"]
    assert result["message"]["text"] == (
        "The door is open. This is from Resource Graph, read at 2026-11-21 12:00 UTC, and may lag."
    )
    assert result["properties"]["evidenceOrigin"] == "from Resource Graph, read at 2026-11-21 12:00 UTC"


def told(run: dict[str, Any], *keys: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Some values of each result, by rule and name of the resource."""
    return {
        (result["ruleId"], result["locations"][0]["logicalLocations"][0]["name"]): tuple(map(result.get, keys))
        for result in run["results"]
    }


def test_what_services_get_of_a_comparison_is_open_failures_and_those_that_nobody_could_look_at() -> None:
    for reporter in (REPORTER, AZURE_DEVOPS):
        run = rendered(compared(), reporter)
        assert set(told(run)) == {
            ("AKS-TST-01", "new"),
            ("AKS-TST-01", "same"),
            ("AKS-TST-01", "other"),
            ("AKS-TST-01", "dark"),
            ("AKS-TST-01", "away"),
            ("AKS-OLD-01", "unasked"),
        }
        assert not any({"kind", "baselineState", "suppressions"} & set(result) for result in run["results"])
        assert run["results"][0]["locations"][0]["logicalLocations"][0]["name"] == "away"
        assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["AKS-TST-01", "AKS-TST-02", "AKS-OLD-01"]


def test_a_failure_that_could_not_be_evaluated_again_says_so_and_why() -> None:
    run = rendered(compared())
    said = {name: text["text"] for (_, name), (text,) in told(run, "message").items()}
    assert said["dark"] == (
        "The door is open. An earlier scan found this, and it could not be evaluated again: The door could not be read."
    )
    assert said["away"].endswith("again: its resource is not among what was read.")
    assert said["unasked"].endswith("again: its rule was not asked.")
    carried = {name for (_, name), (more,) in told(run, "properties").items() if more.get("carried")}
    assert carried == {"dark", "away", "unasked"}
    assert "infra/aks%20main.bicep" in uris(run)
    assert notices(run) == ["3 failures of the baseline carried on, for want of an answer now."]


def test_the_whole_file_says_how_all_stand_to_the_baseline_and_who_accepted_what() -> None:
    run = rendered(compared(), FULL)
    found = told(run, "kind", "level", "baselineState")
    assert found == {
        ("AKS-TST-01", "new"): (None, "error", "new"),
        ("AKS-TST-01", "same"): (None, "error", "unchanged"),
        ("AKS-TST-01", "other"): (None, "error", "updated"),
        ("AKS-TST-01", "dark"): (None, "error", "unchanged"),
        ("AKS-TST-01", "away"): (None, "error", "unchanged"),
        ("AKS-OLD-01", "unasked"): (None, "error", "unchanged"),
        ("AKS-TST-01", "accepted"): (None, "error", "unchanged"),
        ("AKS-TST-02", "away"): (None, "error", "unchanged"),
        ("AKS-TST-01", "shut"): (None, "error", "absent"),
        ("AKS-TST-01", "none"): (None, "error", "absent"),
        ("AKS-TST-01", "lost"): (None, "error", "absent"),
        ("AKS-OFF-01", "off"): (None, "error", "absent"),
    }
    passed = [(result["kind"], result["level"]) for result in run["results"] if "kind" in result]
    assert passed == [("pass", "none"), ("notApplicable", "none")]
    suppressed = [one["suppressions"] for one in run["results"] if "suppressions" in one]
    assert suppressed == 2 * [
        [
            {
                "kind": "external",
                "status": "accepted",
                "justification": EXEMPTION.reason,
                "properties": {"owner": "team-a", "approvedBy": "jo", "expires": "2027-01-31"},
            }
        ]
    ]
    ends = [one["message"]["text"] for one in run["results"] if one.get("baselineState") == "absent"]
    assert [end.partition(": ")[0] for end in ends] == [
        "Mended, it passes now",
        "Mended, the question does not arise any more",
        "Mended, what it was about is gone",
        "Mended, its rule is disabled",
    ]


def test_the_whole_file_holds_every_finding_once() -> None:
    run = rendered(recorded(), FULL)
    kinds = Counter(result.get("kind", "fail") for result in run["results"])
    outcomes = Counter(one.outcome for one in recorded().findings)
    assert kinds == {
        "fail": outcomes[Outcome.FAIL],
        "pass": outcomes[Outcome.PASS],
        "open": outcomes[Outcome.UNKNOWN],
        "notApplicable": outcomes[Outcome.NOT_APPLICABLE],
    }
    assert not any("baselineState" in result for result in run["results"])


def test_the_whole_file_names_all_controls() -> None:
    text = msgspec.structs.replace(rule_text(), controls=tuple(Control("MCSB", f"NS-{n}") for n in range(30)))
    (rule,) = rendered(report_of([], [text]), FULL)["tool"]["driver"]["rules"]
    assert len(rule["properties"]["tags"]) == 32


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
