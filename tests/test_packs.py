"""Rules of one's own: folders and packages that bring them, what is refused of them, and that they disturb nothing."""

import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aks_audit.cli import main
from aks_audit.commands import FINDINGS, UNUSABLE
from aks_audit.engine import ENTRY_POINTS, EngineError, audit, load_rules
from aks_audit.packs import PackError, of_folder
from aks_audit.results import Outcome
from cases import Case, estate_of

RULE = '''\
from dataclasses import dataclass

from aks_audit.facts import ManagedCluster
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, rule


@dataclass(frozen=True)
class Name:
    text: str


@rule("{id}", title="Clusters are called as ours are", severity=Severity.LOW)
def called(cluster: ManagedCluster) -> Verdict:
    """Why.

    Severity: nobody finds a cluster that is called otherwise.
    Decided: by its name.
    Fix: az aks create --name NEW --resource-group {{group}}
    Bicep: none
    Change: new cluster
    References: https://example.org/names
    """
    {body}


RULES = (called,)
'''
DECLARED = """\
[[rule]]
id = "HOUSE-TAG-01"
title = "Clusters bear a cost centre"
severity = "medium"
severity-reason = "nobody knows who pays"
subject = "Microsoft.ContainerService/managedClusters"
pass-if = '''tags."cost-centre" != '' '''
absent = "fail"
why = "Costs that nobody is asked for grow."
fix = "az aks update --resource-group {group} --name {name} --tags cost-centre=CENTRE"
change = "in place"
"""
FAILING = 'return fails(Name(f"{cluster.name} is called otherwise").text)'
CRASHING = "raise ZeroDivisionError"


def module(folder: Path, name: str, rule_id: str, body: str = FAILING) -> Path:
    """A folder with a module of one rule."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(RULE.format(id=rule_id, body=body), encoding="utf-8")
    return folder


def scanned(capfdbinary: pytest.CaptureFixture[bytes], *options: str) -> dict[str, Any]:
    """The report of a scan of the sample estate."""
    assert main(["scan", "--demo", "--format", "json", *options]) == FINDINGS
    report: dict[str, Any] = msgspec.json.decode(capfdbinary.readouterr().out)
    return report


def test_a_folder_of_modules_and_toml_is_asked_beside_the_rest_and_changes_none_of_it(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = module(tmp_path / "house", "names.py", "HOUSE-NET-01")
    (folder / "tags.rule.toml").write_text(DECLARED)
    plain = scanned(capfdbinary)
    more = scanned(capfdbinary, "--rules", str(folder))
    own = [one for one in more["findings"] if one["rule"].startswith("HOUSE-")]
    assert {one["rule"] for one in own} == {"HOUSE-NET-01", "HOUSE-TAG-01"}
    assert {one["outcome"] for one in own} == {"fail"}
    assert [one for one in more["findings"] if one not in own] == plain["findings"]


@pytest.mark.parametrize("name", ["html", "sarif", "console", "json"])
def test_every_format_takes_them(tmp_path: Path, name: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    folder = module(tmp_path, "names.py", "HOUSE-NET-01")
    (folder / "tags.rule.toml").write_text(DECLARED)
    assert main(["scan", "--demo", "--format", name, "--rules", str(folder)]) == FINDINGS
    assert capfdbinary.readouterr().out


def test_a_checklist_does_not_silence_the_rules_that_were_named(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = module(tmp_path, "names.py", "HOUSE-NET-01")
    report = scanned(capfdbinary, "--checklist", "azure-firewall-egress", "--rules", str(folder))
    asked = {one["rule"] for one in report["findings"]}
    assert "HOUSE-NET-01" in asked
    assert "AKS-IAM-04" not in asked


def test_a_module_called_like_an_installed_one_clashes_with_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    folder = module(tmp_path, "json.py", "HOUSE-NET-01")
    path = list(sys.path)
    (rule,) = of_folder(folder)
    assert rule.judge.__module__.startswith("_aks_audit_pack_")
    assert sys.modules["json"] is json
    assert sys.path == path
    assert [file.name for file in folder.iterdir()] == ["json.py"]


def test_a_module_is_read_as_it_is_now(tmp_path: Path) -> None:
    folder = module(tmp_path, "names.py", "HOUSE-NET-01")
    of_folder(folder)
    module(folder, "names.py", "HOUSE-NET-02")
    assert [rule.id for rule in of_folder(folder)] == ["HOUSE-NET-02"]


def test_tests_that_stand_beside_rules_are_not_imported(tmp_path: Path) -> None:
    folder = module(tmp_path, "names.py", "HOUSE-NET-01")
    for name in ("conftest.py", "test_names.py", "names_test.py", "__init__.py"):
        (folder / name).write_text("raise ZeroDivisionError")
    assert len(of_folder(folder)) == 1


def test_a_rule_of_a_pack_that_crashes_is_unknown_and_loses_no_other(tmp_path: Path) -> None:
    module(tmp_path, "crash.py", "HOUSE-NET-01", CRASHING)
    module(tmp_path, "names.py", "HOUSE-NET-02")
    first, second = audit(estate_of(Case(name="", expect="")), of_folder(tmp_path))
    assert (first.outcome, first.missing[0].kind) == (Outcome.UNKNOWN, "crashed")
    assert second.outcome is Outcome.FAIL


BROKEN = {
    "a = 1\nb = (\n": r"broken\.py:\d: cannot be imported: SyntaxError",
    "a = 1\n\nraise ValueError('odd')\n": r"broken\.py:3: cannot be imported: ValueError: odd",
    "import sys\nsys.exit(0)\n": r"broken\.py:2: cannot be imported: SystemExit: 0",
    "import no_such_module\n": r"broken\.py:1: cannot be imported: ModuleNotFoundError: .*no_such_module",
    "a = 1\n": r"broken\.py: has no RULES",
    "RULES = 7\n": r"broken\.py: RULES is int",
    "RULES = [print]\n": r"broken\.py: RULES holds .*print.*no rule",
    RULE.format(id="AKS-NET-01", body=CRASHING): r"broken\.py: AKS-NET-01: ids that begin with AKS-",
    RULE.format(id="house", body=CRASHING): r"broken\.py: 'house' is no id",
    RULE.format(id="HOUSE-NET-01", body=CRASHING).replace("    Bicep: none\n", ""): (
        r"broken\.py:\d+: cannot be imported: RuleError: HOUSE-NET-01: the docstring lacks Bicep"
    ),
    "class Odd:\n    def __iter__(self):\n        raise KeyError(7)\nRULES = Odd()\n": (
        r"broken\.py: RULES cannot be read: KeyError: 7"
    ),
    "def __getattr__(name):\n    raise KeyError(name)\n": r"broken\.py: has no RULES",
    "\x00": r"broken\.py:\d: cannot be imported: (Syntax|Value)Error",
}


@pytest.mark.parametrize("source", BROKEN)
def test_a_module_that_cannot_be_used_ends_the_command_before_anything_is_read(
    tmp_path: Path, source: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = module(tmp_path, "names.py", "HOUSE-NET-02")
    (folder / "broken.py").write_text(source)
    before = set(sys.modules)
    with pytest.raises(PackError, match=BROKEN[source]):
        of_folder(folder)
    left = [name for name in set(sys.modules) - before if name.endswith("_broken")]
    assert not left or "cannot be imported" not in BROKEN[source]
    assert main(["scan", "--snapshot", str(tmp_path / "none.jsonl"), "--rules", str(folder)]) == UNUSABLE
    said = capfdbinary.readouterr().err
    assert b"broken.py" in said
    assert b"none.jsonl" not in said


@pytest.mark.parametrize("name", ["odd.py", "odd.rule.toml"])
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to(path)])
def test_what_is_no_file_is_refused_and_never_waited_for(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    folder = module(tmp_path, "names.py", "HOUSE-NET-02")
    make(folder / name)
    with pytest.raises(PackError, match=r"odd\..*: is no file that can be read"):
        of_folder(folder)


def test_a_folder_without_rules_and_none_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="holds no rules"):
        of_folder(tmp_path)
    with pytest.raises(PackError, match="is no folder"):
        of_folder(tmp_path / "none")


def test_an_id_that_is_there_is_refused_and_a_folder_named_twice_is_read_once(tmp_path: Path) -> None:
    one = module(tmp_path / "one", "names.py", "HOUSE-NET-01")
    two = module(tmp_path / "two", "names.py", "HOUSE-NET-01")
    with pytest.raises(EngineError, match=r"HOUSE-NET-01 of .*two is already there"):
        load_rules([one, two])
    assert len(load_rules([one, one / ".." / "one"])) == len(load_rules()) + 1


def installed(monkeypatch: pytest.MonkeyPatch, folder: Path, points: str) -> None:
    """Put a folder where packages are installed, with metadata as pip writes it."""
    metadata = folder / "house_pack-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: house-pack\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{points}\n")
    monkeypatch.syspath_prepend(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "house_pack"]:
        monkeypatch.delitem(sys.modules, name)


def test_an_installed_package_brings_rules_in_python_and_in_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = module(tmp_path / "house_pack", "names.py", "HOUSE-NET-01")
    (folder / "__init__.py").write_text("from house_pack.names import RULES\n")
    (folder / "tags.rule.toml").write_text(DECLARED)
    installed(monkeypatch, tmp_path, "house = house_pack")
    assert main(["rules"]) == 0
    listed = capsys.readouterr().out
    assert "HOUSE-NET-01  low       Clusters are called as ours are\n" in listed
    assert "HOUSE-TAG-01  medium    Clusters bear a cost centre\n" in listed
    assert main(["explain", "house-tag-01"]) == 0
    explained = capsys.readouterr().out
    assert explained.startswith("HOUSE-TAG-01  Clusters bear a cost centre\n")
    assert "References" not in explained


def test_an_installed_package_brings_a_tuple_of_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = module(tmp_path / "house_pack", "names.py", "HOUSE-NET-01")
    (folder / "__init__.py").write_text("")
    installed(monkeypatch, tmp_path, "house = house_pack.names:RULES")
    assert "HOUSE-NET-01" in {rule.id for rule in load_rules()}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("raise ValueError('odd')", "house_pack.* cannot be imported: ValueError: odd"),
        ("RULES = 7", "house_pack.*: RULES is int"),
        ("rules = 7", "house_pack.*: has neither RULES nor"),
        ("from house_pack.names import RULES", "house_pack.*: AKS-NET-01: ids that begin with AKS-"),
    ],
)
def test_an_installed_package_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = module(tmp_path / "house_pack", "names.py", "AKS-NET-01")
    (folder / "__init__.py").write_text(source)
    installed(monkeypatch, tmp_path, "house = house_pack")
    with pytest.raises(PackError, match=says):
        load_rules()
    assert main(["rules"]) == UNUSABLE
    assert "house_pack" in capsys.readouterr().err


def test_rules_that_two_packages_bring_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    brought = EntryPoints(EntryPoint(name, "aks_audit_rules:RULES", ENTRY_POINTS) for name in "ab")
    monkeypatch.setattr("aks_audit.engine.brought", lambda _group: brought)
    with pytest.raises(EngineError, match="is already there"):
        load_rules()
