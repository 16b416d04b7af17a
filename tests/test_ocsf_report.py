"""The findings as OCSF events, held to the schema itself in the version that they name and in later ones."""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ocsf_json_schema import (  # type: ignore[import-untyped]  # it comes without types
    OcsfJsonSchemaEmbedded,
    get_ocsf_schema,
)

import report_samples
from aks_audit.report import Comparison, Fixed, FixedBy, Report
from aks_audit.results import Exemption, Finding, Outcome, Severity
from aks_audit_reports.ocsf import REPORTER, VERSION
from aks_audit_reports.summary import kind
from full_reports import ESTATES, HOSTILE, estate_report, full
from reports import cluster_id, finding, report_of, rule_text

Event = dict[str, Any]
PASS, FAIL, UNKNOWN, OTHER = 1, 3, 0, 99


@cache
def validator(version: str = VERSION) -> Draft202012Validator:
    """The schema's own validator of a Compliance Finding with the profile `cloud`."""
    schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(version))
    return Draft202012Validator(schemas.get_class_schema(class_name="compliance_finding", profiles=["cloud"]))


def faults(event: Event, version: str = VERSION) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(version).iter_errors(event)]


def parsed(report: Report) -> list[Event]:
    """The events, each valid and each of another finding."""
    events: list[Event] = json.loads(REPORTER.render(report))
    assert [fault for event in events for fault in faults(event)] == []
    assert len({event["finding_info"]["uid"] for event in events}) == len(events)
    return events


def states(event: Event) -> tuple[str, str, str, str]:
    """What is done to the finding, how it stands, what was decided and how severe it is."""
    return event["activity_name"], event["status"], event["compliance"]["status"], event["severity"]


def test_the_validator_tells_faults() -> None:
    (event,) = parsed(report_of([finding()]))
    for wrong in (
        {**event, "severity_id": "4"},
        {**event, "type_uid": 200401},
        {**event, "extra": 1},
        {**event, "compliance": {**event["compliance"], "status_id": 7}},
        {name: value for name, value in event.items() if name != "cloud"},
    ):
        assert faults(wrong)


def test_an_event_says_what_was_found_and_where() -> None:
    (event,) = parsed(report_of([finding()]))
    assert (event["class_uid"], event["category_uid"], event["type_uid"]) == (2003, 2, 200301)
    assert states(event) == ("Create", "New", "Fail", "High")
    assert event["message"] == "The door is open"
    assert event["metadata"]["version"] == "1.5.0"
    assert event["resources"] == [
        {"uid": cluster_id("aks-prod"), "name": "aks-prod", "type": "Microsoft.ContainerService/managedClusters"}
    ]
    assert event["cloud"]["account"]["uid"] == report_samples.SUBSCRIPTION
    assert event["evidences"][0]["data"]["value"] == "Open"
    assert event["remediation"]["desc"] == "az door shut --name aks-prod\nin place"
    assert event["compliance"]["control"] == "AKS-TST-01"
    (sample, *_) = parsed(report_samples.report(clusters=1))
    assert sample["compliance"]["requirements"] == ["MCSB NS-1", "CIS AKS 5.4.2"]
    assert sample["compliance"]["standards"] == ["MCSB", "CIS AKS"]
    assert sample["time"] == 1795262490000


def test_nothing_but_a_failure_is_as_severe_as_one_and_only_a_pass_passes() -> None:
    events = parsed(report_samples.report(clusters=4))
    found = Counter(states(event)[1:3] for event in events)
    assert set(found) == {
        ("New", "Fail"),
        ("Resolved", "Pass"),
        ("Unknown", "Unknown"),
        ("Resolved", "Not applicable"),
    }
    resolved = {event["severity"] for event in events if event["status"] == "Resolved"}
    assert resolved == {"Informational"}
    passed = [one for one in report_samples.report(clusters=4).findings if one.outcome is Outcome.PASS]
    assert found["Resolved", "Pass"] == len(passed)


def test_what_people_accepted_is_suppressed_and_still_fails() -> None:
    exemption = Exemption("Until the move", "Shop", "Chief", "2026-12-01")
    (event,) = parsed(report_of([msgspec.structs.replace(finding(), exception=exemption)]))
    assert states(event) == ("Create", "Suppressed", "Fail", "High")
    assert event["comment"] == "accepted until 2026-12-01 by Shop, approved by Chief: Until the move"
    assert event["unmapped"]["exception"]["expires"] == "2026-12-01"


def test_a_baseline_makes_events_that_update_and_close() -> None:
    before = [finding(f"aks-{name}") for name in ("same", "mended", "refused", "unasked", "gone", "quiet")]
    same, mended, refused, unasked, gone, quiet = before
    findings = (
        msgspec.structs.replace(same, change="unchanged"),
        msgspec.structs.replace(mended, outcome=Outcome.PASS),
        msgspec.structs.replace(refused, outcome=Outcome.UNKNOWN),
        msgspec.structs.replace(finding("aks-fresh"), change="new"),
    )
    ends: tuple[tuple[Finding, FixedBy], ...] = ((mended, "pass"), (gone, "gone"), (quiet, "disabled"))
    fixed = tuple(Fixed(one.rule, one.resource, one.severity, one.message, one.fingerprint, by) for one, by in ends)
    report = report_of(findings)
    comparison = Comparison(None, report.score.overall, 1, 0, 1, fixed, (refused, unasked))
    events = parsed(msgspec.structs.replace(report, comparison=comparison))
    assert {event["resources"][0]["name"]: states(event) for event in events} == {
        "aks-same": ("Update", "In Progress", "Fail", "High"),
        "aks-mended": ("Close", "Resolved", "Pass", "Informational"),
        "aks-refused": ("Update", "In Progress", "Unknown", "High"),
        "aks-fresh": ("Create", "New", "Fail", "High"),
        "aks-gone": ("Close", "Resolved", "No longer there", "Informational"),
        "aks-quiet": ("Close", "Resolved", "No longer there", "Informational"),
        "aks-unasked": ("Update", "In Progress", "Unknown", "High"),
    }
    said = {event["resources"][0]["name"]: event["message"] for event in events}
    assert said["aks-unasked"] == "Failed before, and was not looked at again: The door is open"
    assert said["aks-quiet"] == "Its rule is disabled. Before: The door is open"


def test_only_an_address_of_the_web_is_the_source() -> None:
    text = msgspec.structs.replace(rule_text(), references=("javascript:alert(1)", "https://example.org/a"))
    (event,) = parsed(report_of([finding()], [text]))
    assert event["finding_info"]["src_url"] == "https://example.org/a"


def test_a_rule_that_the_report_does_not_hold_makes_an_event_all_the_same() -> None:
    report = report_of([finding()])
    comparison = Comparison(None, report.score.overall, 0, 0, 1, (), (finding("aks-old", rule_id="AKS-OLD-01"),))
    events = parsed(msgspec.structs.replace(report, comparison=comparison))
    assert [event["finding_info"]["title"] for event in events] == [rule_text().title, "AKS-OLD-01"]


def test_severities_are_those_of_the_schema() -> None:
    events = parsed(report_of([finding(f"a{n}", severity=severity) for n, severity in enumerate(Severity)]))
    assert {event["severity"]: event["severity_id"] for event in events} == {
        "Critical": 5,
        "High": 4,
        "Medium": 3,
        "Low": 2,
        "Informational": 1,
    }


def test_types_are_as_azure_and_kubectl_write_them() -> None:
    cluster = cluster_id("aks-prod")
    aks = "Microsoft.ContainerService/managedClusters"
    assert kind(cluster) == aks
    assert kind(f"{cluster}/agentPools/user") == f"{aks}/agentPools"
    assert kind(f"{cluster}/api/v1/namespaces/shop/pods/web") == "pods"
    assert kind(f"{cluster}/apis/apps/v1/namespaces/shop/deployments/web") == "deployments.apps"
    assert (
        kind(f"{cluster}/apis/rbac.authorization.k8s.io/v1/clusterroles/x") == "clusterroles.rbac.authorization.k8s.io"
    )
    assert kind(f"{cluster}/api/v1/namespaces/shop") == "namespaces"
    assert kind("/subscriptions/1") == ""


def test_no_finding_is_an_empty_array_and_the_same_report_gives_the_same_bytes() -> None:
    assert REPORTER.render(report_of([])) == b"[\n]\n"
    assert REPORTER.render(full()) == REPORTER.render(full())
    lines = REPORTER.render(full()).decode().splitlines()
    assert len(lines) == len(parsed(full())) + 2, "an event is a line"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_any_name_makes_valid_events(hostile: str) -> None:
    events = parsed(full(f"aks{hostile}{{n}}", hostile))
    assert all(event["message"].replace("\n", "").isprintable() for event in events)


@given(st.text())
def test_any_message_makes_a_valid_event(message: str) -> None:
    parsed(report_of([finding(message=message)]))


@pytest.mark.parametrize("estate", ESTATES, ids=lambda path: path.stem)
def test_events_of_estates_are_valid(estate: Path) -> None:
    report = estate_report(estate)
    assert len(parsed(report)) == len(report.findings)


@pytest.mark.parametrize("version", ["1.5.0", "1.6.0", "1.7.0", "1.8.0"])
def test_later_versions_of_the_schema_read_the_events_too(version: str) -> None:
    events = [*parsed(full()), *parsed(estate_report(ESTATES[0]))]
    assert [fault for event in events for fault in faults(event, version)] == []
