"""What Azure really sent is imported and audited: nothing crashes, and nothing that Azure sends is called malformed."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from aks_audit import snapshot
from aks_audit.cli import main
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate
from aks_audit.results import Finding, Missing
from aks_audit.sources.azure_json import read_files
from aks_audit.sources.json_files import ImportFailedError
from recordings import RECORDED, bodies, files, needs_recordings

pytestmark = needs_recordings

NO_RESOURCE = {
    "2023-11-01_PublicIpAddressGetDdosProtectionStatus": "the result of an action",
    "2024-02-01_ManagedClustersListClusterMonitoringUserCredentials": "credentials",
    "2024-02-01_RunCommandRequest": "the result of an action",
    "2024-04-02-preview_RunCommandRequest": "the result of an action",
}
"""Answers that hold no resource, which the import says."""

RULES = load_rules()


def findings_of(records: Sequence[snapshot.Record]) -> Sequence[Finding]:
    return audit(Estate(snapshot.of(records)), RULES)


def wrong(findings: Sequence[Finding], *kinds: str) -> set[Missing]:
    """What must never be said of a body that Azure sent."""
    return {missing for finding in findings for missing in finding.missing if missing.kind in kinds}


def test_every_recorded_body_is_imported() -> None:
    imported = read_files(files())
    refused = {Path(note.partition(": ")[0]).stem for note in imported.notes if "different bodies" not in note}
    assert refused - {"2020-06-01_PrivateZoneListInResourceGroup", "2020-06-01_RecordSetAList"} == set(NO_RESOURCE)
    gaps = Counter(record.cause for record in imported.records if isinstance(record, snapshot.Gap))
    assert set(gaps) == {"not-read"}


def test_all_in_one_estate_are_audited(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    estate = tmp_path / "estate.jsonl"
    assert main(["snapshot", "import", str(RECORDED), "-o", str(estate)]) == 3
    capfdbinary.readouterr()
    assert main(["scan", "--snapshot", str(estate), "--format", "json"]) in {1, 3}
    report = json.loads(capfdbinary.readouterr().out)
    kinds = Counter(missing["kind"] for finding in report["findings"] for missing in finding["missing"])
    assert not kinds["crashed"]
    assert not kinds["malformed"]


def test_each_alone_is_audited() -> None:
    said = {
        f"{path.parent.name}/{path.stem}": found
        for path in files()
        for records in [imported(path)]
        if (found := wrong(findings_of(records), "crashed", "malformed", "contradictory"))
    }
    assert not said


def imported(path: Path) -> Sequence[snapshot.Record]:
    """The records of a file, each resource once: recordings hold several states of one resource in a list."""
    try:
        records = read_files([path]).records
    except ImportFailedError:
        assert path.stem in NO_RESOURCE
        return ()
    else:
        return records


def test_the_graph_around_a_cluster_is_audited_with_it() -> None:
    """All recorded bodies of one subscription and group, the last recorded of each, make one estate."""
    groups: dict[str, dict[str, snapshot.Record]] = {}
    for _, body in bodies():
        about = body["id"].lower()
        key = "/".join(about.split("/")[:5])
        groups.setdefault(key, {})[about] = snapshot.Resource(id=body["id"], type=body.get("type") or "", body=body)
    said = {
        key: found for key, group in groups.items() if (found := wrong(findings_of(list(group.values())), "crashed"))
    }
    assert len(groups) > 50
    assert not said


def test_answers_of_http_are_no_resources_and_crash_nothing(tmp_path: Path) -> None:
    answers = [
        json.loads(line) for line in (RECORDED / "http_behaviours.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    bodies_of_errors = [answer["body"] for answer in answers if isinstance(answer["body"], dict)]
    path = tmp_path / "errors.jsonl"
    path.write_text("\n".join(json.dumps(body) for body in bodies_of_errors), encoding="utf-8")
    read = read_files([path])
    causes = Counter(record.cause for record in read.records if isinstance(record, snapshot.Gap))
    assert causes["refused"] == 1
    assert set(causes) == {"refused", "not-read"}
    assert not any("@" in record.reason for record in read.records if isinstance(record, snapshot.Gap))
