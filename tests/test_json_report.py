"""The JSON report keeps its contract: its schema, its keys, and the same bytes for the same state."""

import copy
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from aks_audit import snapshot
from aks_audit.report import Report
from aks_audit.results import Control, Location, Missing, Outcome, Severity
from aks_audit_reports.json import REPORTER, schema
from cases import CLUSTER, Case, records_of
from reports import SCOPE, audited, audited_snapshot, bare_clusters, finding, recorded, report_of, rule_text

SCHEMA: dict[str, Any] = msgspec.json.decode(schema())
BARE = audited(bare_clusters("a", "b"))


def rendered(report: Report) -> dict[str, Any]:
    """The JSON report, decoded."""
    document: dict[str, Any] = msgspec.json.decode(REPORTER.render(report))
    return document


def closed(node: object) -> object:
    """The schema with no key allowed that it does not name, so that a test sees a key that nobody documented."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: closed(value) for key, value in node.items()}
    return {**inner, "additionalProperties": False} if "properties" in node else inner


def errors(document: dict[str, Any]) -> Iterator[str]:
    """What the strict schema objects to in a document."""
    validator = Draft202012Validator(msgspec.convert(closed(SCHEMA), dict[str, Any]))
    for error in validator.iter_errors(document):
        yield f"{error.json_path}: {error.message}"


def every_part() -> Report:
    """A report in which nothing that may be there is absent."""
    refused = Missing(what=SCOPE, kind="refused", reason="refused (403)", action="a/read", scope=SCOPE)
    text = msgspec.structs.replace(rule_text(), controls=(Control("MCSB", "NS-2"),), disagreement="Guides differ.")
    failed = msgspec.structs.replace(finding("a"), location=Location(file="a.jsonl", line=3))
    unknown = msgspec.structs.replace(finding("b", outcome=Outcome.UNKNOWN), missing=(refused,))
    gap = snapshot.Gap(id=SCOPE, reason="refused (403)", status=403, action="a/read", scope=SCOPE)
    return report_of([failed, unknown, finding("c", outcome=Outcome.PASS)], [text], [gap])


def test_the_schema_is_a_schema_and_names_no_machine() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert "$id" not in SCHEMA
    assert {line for line in schema().decode().splitlines() if "://" in line} == {
        '  "$schema": "https://json-schema.org/draft/2020-12/schema",'
    }


def test_every_part_of_the_schema_is_described() -> None:
    assert all(definition["description"] for definition in SCHEMA["$defs"].values())


@pytest.mark.parametrize(
    "report", [every_part(), report_of([]), audited([]), BARE], ids=["every part", "empty", "nothing", "bare"]
)
def test_a_report_keeps_to_the_schema(report: Report) -> None:
    assert list(errors(rendered(report))) == []


def test_the_report_of_recorded_clusters_keeps_to_the_schema() -> None:
    report = recorded()
    assert report.failures()
    assert list(errors(rendered(report))) == []


def test_the_schema_objects_to_what_is_not_a_report() -> None:
    document = rendered(every_part())
    document["findings"][0]["outcome"] = "warning"
    document["findings"][1]["evidence"][0]["secret"] = "value"  # noqa: S105 - a key that the schema does not name
    del document["score"]["overall"]["low"]
    assert len(list(errors(document))) == 3


def test_the_keys_are_the_contract() -> None:
    document = rendered(every_part())
    assert list(document) == [
        "schemaVersion", "tool", "scan", "coverage", "score", "clusters", "rules", "findings", "policy", "fixes",
        "comparison", "pipeline", "pictures",
    ]  # fmt: skip
    failed = document["findings"][0]
    assert list(failed) == [
        "rule", "resource", "clusters", "outcome", "severity", "message", "evidence", "remediation", "missing",
        "location", "place", "fingerprint",
    ]  # fmt: skip
    assert list(failed["evidence"][0]) == ["resource", "pointer", "value"]
    assert list(failed["location"]) == ["file", "line"]
    assert failed["remediation"]["command"] == "az door shut --name a"


def test_the_report_reads_back_as_it_was() -> None:
    report = every_part()
    assert msgspec.json.decode(REPORTER.render(report), type=Report) == report


def test_text_from_a_snapshot_stays_text() -> None:
    hostile = "</script>\x1b[31m\u202e\x00\"'\\ 名"
    message = rendered(report_of([finding(message=hostile)]))["findings"][0]["message"]
    assert message == hostile
    assert b"\x1b" not in REPORTER.render(report_of([finding(message=hostile)]))


@settings(max_examples=15)
@given(seed=st.integers())
def test_the_order_of_lines_and_files_changes_no_byte(seed: int) -> None:
    shuffle = random.Random(seed).shuffle  # noqa: S311 - an order, not a secret
    first: list[snapshot.Record] = [*records_of(Case(name="base", expect="pass")), *bare_clusters("a", "b")]
    second: list[snapshot.Record] = [
        snapshot.Header(schema=snapshot.SCHEMA, tool="aks-audit", scope=(SCOPE,)),
        *bare_clusters("c", "d"),
        GAP,
    ]
    with tempfile.TemporaryDirectory() as folder:
        files = [write(Path(folder, "first.jsonl"), first), write(Path(folder, "second.jsonl"), second)]
        straight = REPORTER.render(audited_snapshot(snapshot.read(files)))
        for file in files:
            lines = file.read_bytes().splitlines()
            shuffle(lines)
            file.write_bytes(b"\n".join(lines))
        shuffle(files)
        assert REPORTER.render(audited_snapshot(snapshot.read(files))) == straight


OTHER_A = msgspec.structs.replace(bare_clusters("a")[0], body={"properties": {"enableRBAC": False}})
GAP = snapshot.Gap(id=f"{SCOPE}/resourceGroups/rg-lost", type="Microsoft.Network/routeTables", reason="refused (403)")


def write(file: Path, records: list[snapshot.Record]) -> Path:
    """The file, written."""
    snapshot.write(file, records)
    return file


@given(upper=st.lists(st.booleans(), min_size=len(CLUSTER), max_size=len(CLUSTER)))
@settings(max_examples=15)
def test_fingerprints_do_not_change_with_the_spelling_of_an_id(upper: list[bool]) -> None:
    records = records_of(Case(name="base", expect="pass"))
    spelled = "".join(letter.upper() if up else letter.lower() for letter, up in zip(CLUSTER, upper, strict=True))
    recased = [respell(record, spelled) for record in records]
    assert recased != records or spelled == CLUSTER
    assert identities(audited(recased)) == identities(audited(records))


def respell(record: snapshot.Record, spelled: str) -> snapshot.Record:
    """The cluster's record with its id spelled so; any other as it is."""
    if not isinstance(record, snapshot.Resource) or record.id != CLUSTER:
        return record
    return msgspec.structs.replace(record, id=spelled, body={**copy.deepcopy(record.body), "id": spelled})


def identities(report: Report) -> list[tuple[str, str, str]]:
    """What identifies each finding, and what it says."""
    assert report.findings
    return [(finding.rule, finding.fingerprint, finding.outcome) for finding in report.findings]


def test_fingerprints_are_one_for_each_finding() -> None:
    assert len({finding.fingerprint for finding in BARE.findings}) == len(BARE.findings) > 0


def test_fingerprints_of_recorded_clusters_are_one_for_each_finding() -> None:
    report = recorded()
    assert len({finding.fingerprint for finding in report.findings}) == len(report.findings)


def test_failures_come_worst_first_however_they_were_found() -> None:
    found = [finding(name, severity=severity) for name, severity in zip("abcde", reversed(Severity), strict=True)]
    assert [failure.severity for failure in report_of(found).failures()] == list(Severity)
