"""The command: what it prints, what it writes, and its exit codes."""

import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import msgspec
import pytest

from aks_audit import __version__, cli, snapshot
from aks_audit.checklist import load_checklists
from aks_audit.cli import main
from aks_audit.commands import EXIT_CODES
from aks_audit.engine import load_rules
from aks_audit.progress import Progress
from cases import CLUSTER, ROOT, Case, records_of


def estate(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "estate.jsonl"
    snapshot.write(path, records_of(msgspec.convert({"name": "", "expect": "", **changes}, Case)))
    return path


def test_nothing_at_the_threshold_and_everything_read_is_0(tmp_path: Path) -> None:
    assert main(["scan", "--snapshot", str(estate(tmp_path))]) == 0


def test_a_finding_at_the_threshold_is_1(tmp_path: Path) -> None:
    weak = estate(tmp_path, set={"cluster properties.disableLocalAccounts": False})
    assert main(["scan", "--snapshot", str(weak)]) == 1
    assert main(["scan", "--snapshot", str(weak), "--fail-on", "critical"]) == 0


def test_where_no_failure_counts_only_what_could_not_be_read_does(tmp_path: Path) -> None:
    weak = estate(tmp_path, set={"cluster properties.disableLocalAccounts": False})
    assert main(["scan", "--snapshot", str(weak), "--fail-on", "none"]) == 0
    both = estate(tmp_path, refuse=["routes"], set={"cluster properties.disableLocalAccounts": False})
    assert main(["scan", "--snapshot", str(both), "--fail-on", "none"]) == 3


def test_incomplete_is_3_and_a_finding_wins_over_it(tmp_path: Path) -> None:
    assert main(["scan", "--snapshot", str(estate(tmp_path, refuse=["routes"]))]) == 3
    both = estate(tmp_path, refuse=["routes"], set={"cluster properties.disableLocalAccounts": False})
    assert main(["scan", "--snapshot", str(both)]) == 1


def test_a_value_that_is_merely_new_is_unknown_and_not_incomplete(tmp_path: Path) -> None:
    new = estate(tmp_path, set={"cluster properties.autoUpgradeProfile.upgradeChannel": "weekly"})
    assert main(["scan", "--snapshot", str(new)]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan", "--demo", "--snapshot", "x"],
        ["scan", "--tag", "novalue"],
        ["collect"],
        ["scan", "--demo", "--fail-on", "never"],
        ["nonsense"],
        [],
        ["explain"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: aks-audit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["scan", "--snapshot", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["scan", "--demo", "--format", "docx"], "no format 'docx'; there are: console, "),
        (["scan", "--demo", "--format", "sarrif"], "no format 'sarrif'; did you mean sarif? there are: console, "),
        (["scan", "--demo", "--format", "json,sarif"], "needs --output DIR"),
        (["scan", "--demo", "--checklist", "mine"], "no checklist 'mine'; there are: aks-baseline"),
        (["explain", "AKS-XX-99"], "no rule 'AKS-XX-99'; `aks-audit rules` lists them"),
    ],
)
def test_what_cannot_be_served_is_2_and_says_what_to_do(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert says in capsys.readouterr().err


def test_output_writes_three_files_and_prints_the_summary(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--demo", "--output", str(tmp_path / "out")]) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "aks-audit.html",
        "aks-audit.json",
        "aks-audit.sarif",
    ]
    printed = capfd.readouterr()
    assert "\x1b" not in printed.out
    assert "score" in printed.out.lower()
    assert "wrote" in printed.err


def test_one_file_format_without_a_folder_goes_to_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    main(["scan", "--demo", "--format", "json"])
    assert msgspec.json.decode(capfd.readouterr().out)["schemaVersion"]


def test_a_checklist_decides_what_is_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    main(["scan", "--snapshot", str(estate(tmp_path)), "--checklist", "azure-firewall-egress", "--format", "json"])
    report = msgspec.json.decode(capfd.readouterr().out)
    asked = next(one for one in load_checklists() if one.name == "azure-firewall-egress")
    rules = {rule["id"] for rule in report["rules"]}
    assert rules == {item.rule for item in asked.item} & {rule.id for rule in load_rules()}
    assert {"AKS-EGR-01", "AKS-EGR-02", "AKS-SUB-06"} <= rules
    assert [one["name"] for one in report["score"]["checklists"]] == ["azure-firewall-egress"]


def test_explain_tells_the_whole_text_and_takes_short_ids(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "iam-04"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("AKS-IAM-04  Local accounts are disabled")
    assert "az aks update --resource-group <group> --name <name> --disable-local-accounts" in told
    for part in ("Severity: high; ", "Decided: ", "Fix (in place", "Bicep:", "References:"):
        assert part in told


def test_rules_and_checklists_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    assert main(["checklists"]) == 0
    listed = capsys.readouterr().out
    assert "AKS-IAM-04  high" in listed
    assert "aks-security-summit" in listed


def test_python_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "aks_audit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"aks-audit {__version__}\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"set -o pipefail; {sys.executable} -m aks_audit rules | head -n 1"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_goes_away_does_not_change_what_was_found() -> None:
    command = f"set -o pipefail; {sys.executable} -m aks_audit scan --demo | true"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_service_without_standard_streams_is_told_by_the_exit_code() -> None:
    command = f"{sys.executable} -m aks_audit scan --demo >&- 2>&-"
    assert subprocess.run(["/bin/bash", "-c", command], check=False).returncode == 1


def test_an_encoding_that_lacks_a_character_ends_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aks_audit", "snapshot", "import", "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fault_of_the_program_does_not_look_like_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_folders: object) -> None:
        raise ZeroDivisionError("\x1b[31m")

    monkeypatch.setattr("sys.argv", ["aks-audit", "rules"])
    monkeypatch.setattr("aks_audit.engine.load_rules", broken)
    monkeypatch.setattr(Progress, "hear", lambda _progress: None)
    assert cli.command() == 3
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told
    assert "please report it" in told
    assert "\x1b" not in told


def test_a_format_that_two_packages_bring_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = EntryPoints(EntryPoint("json", value, "aks_audit.reports") for value in ("one:R", "other:R"))
    monkeypatch.setattr("aks_audit.installed.brought", lambda _group: both)
    assert main(["scan", "--demo"]) == 2


def test_the_same_format_twice_is_one(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--demo", "--format", "json,json"]) == 1
    assert msgspec.json.decode(capfd.readouterr().out)["schemaVersion"]


def test_where_no_cluster_is_and_no_list_says_so_the_audit_is_incomplete(tmp_path: Path) -> None:
    header = snapshot.Header(schema=snapshot.SCHEMA, tool="x", scope=("/subscriptions/s",))
    listed = snapshot.Listing(type="Microsoft.ContainerService/managedClusters", scope="/subscriptions/s")
    cases: list[tuple[list[snapshot.Record], int]] = [([header], 3), ([header, listed], 0)]
    for records, code in cases:
        snapshot.write(tmp_path / "empty.jsonl", records)
        assert main(["scan", "--snapshot", str(tmp_path / "empty.jsonl")]) == code


def test_a_cluster_about_which_nothing_was_asked_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bare = estate(tmp_path, set={"cluster properties.agentPoolProfiles": []})
    main(["scan", "--snapshot", str(bare), "--checklist", "checkpoint-per-pod-egress", "--format", "json,console"])
    report, _, summary = capfd.readouterr().out.partition("\n}\n")
    shown = msgspec.json.decode(report + "}")
    assert [cluster["id"] for cluster in shown["clusters"]] == [CLUSTER]
    assert [cluster["value"] for cluster in shown["score"]["clusters"]] == [None]
    assert "No cluster" not in summary


def test_control_characters_of_a_file_name_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--snapshot", "a\x1b[31mb.jsonl"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_the_readme_tells_the_exit_codes_and_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for code, meaning in re.findall(r"^  (\d)  (.*)$", EXIT_CODES, re.MULTILINE):
        assert f"| {code} | {meaning} |" in readme
    for command in ("scan", "rules", "explain", "checklists", "snapshot import"):
        assert f"aks-audit {command}" in readme


def test_a_refused_cluster_is_told_with_its_remedy(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    main(["scan", "--snapshot", str(estate(tmp_path, refuse=["cluster"]))])
    assert CLUSTER.split("/")[2] in capfd.readouterr().out
