"""Traps of reports: what becomes of findings in files that other programs read. By the installed command."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from html import unescape
from pathlib import Path
from typing import Any

import msgspec

import report_samples
from aks_audit import snapshot
from aks_audit.commands import FINDINGS, OK
from aks_audit.results import Outcome
from aks_audit_reports.html import REPORTER as HTML
from decisions import exception
from full_reports import estate_report
from traps.command import ESTATE, HARDENED, command, sarif, scan

_FORMATS = "html,json,sarif,sarif-azuredevops,sarif-full,markdown,csv,junit,openmetrics,ocsf"
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
_LOADS = re.compile(
    r"<(?:script|img|iframe|object|embed|link|source|video|audio)\b[^>]*\b(?:src|href|data)=(?![\"']?data:)"
    r"|@import|url\((?![\"']?data:)|\bfetch\(|XMLHttpRequest|\bimport\(|new (?:WebSocket|EventSource)",
    re.IGNORECASE,
)
"""What makes a browser ask for another file, in elements, styles or scripts."""


def sarif_locations(folder: Path) -> None:
    """Every result of a scan's SARIF file: a relative path, a line, and a rule with its severity as text."""
    run = sarif(folder)
    assert run["results"], "no result"
    for result in run["results"]:
        (location,) = result["locations"]
        place = location["physicalLocation"]
        uri = place["artifactLocation"]["uri"]
        assert re.fullmatch(r"[\w-][\w./%-]*", uri), f"{uri} is no relative path"
        assert ".." not in uri.split("/"), f"{uri} leaves its folder"
        assert place["region"]["startLine"] >= 1, place
    for rule in run["tool"]["driver"]["rules"]:
        severity = rule["properties"]["security-severity"]
        assert isinstance(severity, str), f"{rule['id']}: {severity!r} is no text"
        assert 0 <= float(severity) <= 10, f"{rule['id']}: {severity}"


def passes_as_alerts(folder: Path) -> None:
    """The failures of a scan's JSON report beside the results of its SARIF file."""
    findings = scan(folder, "--format", "json").document["findings"]
    assert {finding["outcome"] for finding in findings} == {"pass", "fail", "unknown", "not-applicable"}
    failed = {(finding["rule"], finding["fingerprint"]) for finding in findings if finding["outcome"] == "fail"}
    results = sarif(folder)["results"]
    assert {result.get("kind", "fail") for result in results} == {"fail"}, "there are results that are no failures"
    alerts = {(result["ruleId"], result["partialFingerprints"]["primaryLocationLineHash"]) for result in results}
    assert alerts == failed, alerts ^ failed


def everything_an_error(folder: Path) -> None:
    """The level of each result beside the severity of its finding, of which there are several."""
    findings = scan(folder, "--format", "json").document["findings"]
    severity = {finding["fingerprint"]: finding["severity"] for finding in findings}
    levels = [
        (result["level"], _LEVELS[severity[result["partialFingerprints"]["primaryLocationLineHash"]]])
        for result in sarif(folder)["results"]
    ]
    assert all(level == expected for level, expected in levels), Counter(levels)
    assert {level for level, _ in levels} == {"error", "warning", "note"}, Counter(levels)


def order_of_files(folder: Path) -> None:
    """Two scans whose sets are ordered differently, in ten formats, byte for byte."""
    for seed in ("1", "2"):
        done = scan(folder, "--output", f"out-{seed}", "--format", _FORMATS, hash_seed=seed)
        assert done.code in {OK, FINDINGS}, done.err
    first, second = (
        {path.name: path.read_bytes() for path in (folder / f"out-{seed}").iterdir()} for seed in ("1", "2")
    )
    assert len(first) == len(_FORMATS.split(",")), sorted(first)
    assert first.keys() == second.keys()
    assert not [name for name in first if first[name] != second[name]], "files differ from run to run"


def size_per_result(folder: Path) -> None:
    """The bytes of results, of an estate and of the same one with 20 kB more in each resource."""
    read = snapshot.read([ESTATE])
    padded: list[snapshot.Record] = [
        msgspec.structs.replace(resource, body={**resource.body, "padding": "x" * 20_000})
        for resource, _ in read.resources
    ]
    records: list[snapshot.Record] = [*read.headers, *read.listings, *(gap for gap, _ in read.gaps), *padded]
    (folder / "padded.jsonl").write_bytes(snapshot.encode(records))
    usual = sarif(folder)["results"]
    heavy = command(folder, "scan", "--snapshot", "padded.jsonl", "--format", "sarif").document["runs"][0]["results"]
    assert len(usual) == len(heavy), "the padding changes what is found"
    assert _bytes(usual) / len(usual) < 2_000, f"{_bytes(usual) / len(usual):.0f} bytes a result"
    assert _bytes(heavy) < 1.01 * _bytes(usual), f"{_bytes(heavy) - _bytes(usual)} bytes more of what decided nothing"


def html_from_elsewhere(folder: Path) -> None:
    """A scan's page, for all that makes a browser load something; and one of 10,000 findings, for its size."""
    scan(folder, "--output", "out", "--format", "html")
    assert [path.name for path in (folder / "out").iterdir()] == ["aks-audit.html"], "the page is not one file"
    page = (folder / "out" / "aks-audit.html").read_text(encoding="utf-8")
    assert not (loads := _LOADS.findall(page)), f"the page loads {loads}"
    assert "default-src 'none'" in unescape(page), "the page's policy lets it load something"
    report = report_samples.report(clusters=200, copies=7)
    each = len(HTML.render(report)) / len(report.findings)
    assert each < 250, f"{each:.0f} bytes a finding"


def exceptions_that_end(folder: Path) -> None:
    """Scans with an exception that ended, with one that has no end, and with one in force."""
    in_force, ended, endless = (_accepted(folder, expires) for expires in ("2999-01-01", "2020-01-01", None))
    assert in_force[0] == 0, "an end so far away is no end"
    for accepted, said in (ended, endless):
        assert accepted == 0, "what has no end or has passed it accepts a failure"
        assert "aks-audit.toml:2: exception of AKS-IAM-04" in said, said or "nothing is said of it"
    assert "expired on 2020-01-01" in ended[1], ended[1]


def no_checklist_against_private_clusters(_folder: Path) -> None:
    """Every item of every checklist, over a hardened private cluster."""
    report = estate_report(HARDENED)
    private = {finding.outcome for finding in report.findings if finding.rule == "AKS-API-01"}
    assert private == {Outcome.PASS}, "the cluster is not private"
    failed = [
        (guide.name, item.rule) for guide in report.score.checklists for item in guide.items if item.state == "fail"
    ]
    assert not failed, failed


CHECKS: Mapping[int, Callable[[Path], None]] = {
    39: sarif_locations,
    40: passes_as_alerts,
    41: everything_an_error,
    42: order_of_files,
    43: size_per_result,
    44: html_from_elsewhere,
    45: exceptions_that_end,
    47: no_checklist_against_private_clusters,
}


def _bytes(results: list[dict[str, Any]]) -> int:
    return len(json.dumps(results, separators=(",", ":")))


def _accepted(folder: Path, expires: str | None) -> tuple[int, str]:
    """How many failures an exception accepts, and what the scan says beside its report."""
    text = exception(resource_glob='"*/managedClusters/*"', expires=expires)
    (folder / "aks-audit.toml").write_text(f"\n{text}")  # so that its line is not the first
    done = scan(folder, "--format", "json")
    return sum("exception" in finding for finding in done.document["findings"]), done.err
