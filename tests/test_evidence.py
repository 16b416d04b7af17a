"""The evidence as files: the line that a finding names is that line, and no name leads out of the folder."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit import evidence, snapshot
from aks_audit.cli import main
from aks_audit.commands import UNUSABLE
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate, ManagedCluster
from aks_audit.facts.document import LONGEST_TEXT, Document, evidence_path
from aks_audit.facts.resource_id import fold
from cases import ROOT
from compose.estates import ESTATES

CLUSTER = "/subscriptions/1/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks"


@pytest.mark.parametrize("name", sorted(ESTATES))
def test_every_line_that_a_finding_names_is_in_its_file(name: str, tmp_path: Path) -> None:
    estate = Estate(snapshot.read([ROOT / "fixtures" / "estates" / f"{name}.jsonl"]))
    findings = audit(estate, load_rules())
    written = evidence.write(tmp_path, findings, estate)
    files = {file.relative_to(tmp_path).as_posix(): file for file in tmp_path.rglob("*") if file.is_file()}
    assert len(files) == written > 0
    seen = 0
    for finding in findings:
        if finding.place.path not in files:
            assert estate.document(finding.resource) is None
            assert finding.outcome == "unknown"
            continue
        lines = files[finding.place.path].read_text(encoding="utf-8").split("\n")
        assert lines[finding.place.line - 1].strip()[:LONGEST_TEXT] == finding.place.text
        seen += 1
    assert seen > len(findings) / 2


def test_the_files_of_an_audit_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    for folder in ("a", "b", "b"):
        main(["scan", "--demo", "--quiet", "--output", str(tmp_path / "reports"), "--evidence", str(tmp_path / folder)])
    found = [
        {file.relative_to(tmp_path / folder): file.read_bytes() for file in (tmp_path / folder).rglob("*.json")}
        for folder in ("a", "b")
    ]
    assert found[0] == found[1] != {}


def test_a_folder_that_cannot_be_is_refused_before_the_scan(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["scan", "--demo", "--evidence", str(tmp_path / "file")]) == UNUSABLE
    said = capfdbinary.readouterr()
    assert not said.out
    assert b"is a file; name another place" in said.err


HOSTILE = [
    "..",
    ".",
    "",
    "a\\..\\b",
    "C:",
    "nul\0",
    "%2e%2e",
    "~",
    "a b",
    "ü",
    "x.json",
    "\u202e",
    "a" * 5000,
    "A",
    "a",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_in_the_folder(name: str, tmp_path: Path) -> None:
    kinds = ManagedCluster.TYPE
    hurt = f"/subscriptions/{name}/resourceGroups/{name}/providers/{ManagedCluster.TYPE}/{name}"
    record = snapshot.Resource(id=hurt, type=kinds, body={"id": hurt, "properties": {"enableRBAC": True}})
    estate = Estate(snapshot.of([record]))
    evidence.write(tmp_path / "in", audit(estate, load_rules()), estate)
    (file,) = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert file.resolve().is_relative_to(tmp_path / "in" / "aks-audit")


@given(st.lists(st.text(max_size=12), min_size=1, max_size=4))
def test_a_path_is_of_safe_parts(names: list[str]) -> None:
    path = evidence_path("/".join([CLUSTER, *names]))
    assert path.endswith(".json")
    assert all(part.strip(".") and part.isascii() and part == part.lower() for part in path.split("/"))
    assert not set(path) - set("abcdefghijklmnopqrstuvwxyz0123456789-_.~/")


part = st.text(st.sampled_from("aA_.~/:j") | st.characters(codec="utf-8"), min_size=1, max_size=8) | st.sampled_from(
    ["x.json", "x", "api", "."]
)


@given(st.lists(part, min_size=1, max_size=4), st.lists(part, min_size=1, max_size=4))
def test_two_resources_have_two_paths(first: list[str], second: list[str]) -> None:
    a, b = ("/".join([CLUSTER, *names]) for names in (first, second))
    if fold(a).strip("/") != fold(b).strip("/"):
        assert evidence_path(a) != evidence_path(b)
        # Nor is one the folder of the other.
        assert not evidence_path(a).startswith(evidence_path(b) + "/")


def test_what_differs_in_case_alone_is_one_file_but_inside_clusters() -> None:
    assert evidence_path(CLUSTER.upper()) == evidence_path(CLUSTER)
    inside = f"{CLUSTER}/apis/rbac.authorization.k8s.io/v1/clusterroles"
    assert evidence_path(f"{inside}/Reader").endswith("/~52eader.json")
    assert evidence_path(f"{inside}/system:node") != evidence_path(f"{inside}/system_node")


def test_a_body_is_printed_with_sorted_keys() -> None:
    body = {"b": 1, "a": {"d": [], "c": "ü"}}
    assert Document(CLUSTER, ManagedCluster.TYPE, lambda _: body).printed() == (
        '{\n  "a": {\n    "c": "ü",\n    "d": []\n  },\n  "b": 1\n}\n'
    )
