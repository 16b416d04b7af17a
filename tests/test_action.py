"""The GitHub action: the script that audits, as a runner runs it, and what the action's own file says."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from aks_audit.cli import main
from cases import ROOT

SCRIPT = ROOT / ".github" / "action" / "scan.sh"
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STAND_IN = """#!{python}
# Notes its arguments, and audits the sample estate with those of them that are not about live state.
import sys
from pathlib import Path
from aks_audit.cli import main

Path({notes!r}).write_text("\\n".join(sys.argv[1:]))
live = {{"--auth", "--in-cluster", "--log-format", "--subscription", "--cluster"}}
words, given = sys.argv[1:], []
while words:
    word = words.pop(0)
    given, words = (given, words[1:]) if word in live else ([*given, word], words)
code = main([*given, "--demo"])
sys.exit({code} if {code} >= 0 else code)
"""


class Ran(NamedTuple):
    """What became of a run: the exit code of the script, its outputs, its summary and the command's arguments."""

    code: int
    outputs: dict[str, str]
    summary: str
    arguments: list[str]
    said: str


def run(folder: Path, *, code: int = -1, **inputs: str) -> Ran:
    """Run the script with these inputs and the defaults of the others; it ends as the command does, unless told."""
    stand_in = folder / "aks-audit"
    notes = folder / "arguments"
    stand_in.write_text(STAND_IN.format(python=sys.executable, notes=str(notes), code=code))
    stand_in.chmod(0o755)
    given = {name: str(told["default"]) for name, told in ACTION["inputs"].items()} | {
        name.replace("_", "-"): value for name, value in inputs.items()
    }
    files = {name: folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for file in files.values():
        file.write_text("")
    environment = {
        **os.environ,
        **{f"INPUT_{name.upper().replace('-', '_')}": value for name, value in given.items()},
        **{name: str(file) for name, file in files.items()},
        "AKS_AUDIT": str(stand_in),
    }
    done = subprocess.run(
        ["/usr/bin/env", "bash", str(SCRIPT)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
    summary = files["GITHUB_STEP_SUMMARY"].read_text()
    return Ran(done.returncode, outputs, summary, notes.read_text().splitlines(), done.stdout + done.stderr)


def test_it_audits_writes_the_summary_and_keeps_the_report(tmp_path: Path) -> None:
    ran = run(tmp_path)
    assert (ran.code, ran.outputs["exit-code"], ran.outputs["result"]) == (0, "1", "1"), ran.said
    assert "aks-audit" in ran.summary
    for name in ("aks-audit.html", "aks-audit.json", "aks-audit.sarif", "baseline/aks-audit.json"):
        assert (tmp_path / "aks-audit-reports" / name).is_file()


def test_the_next_run_is_held_against_the_last(tmp_path: Path) -> None:
    first = run(tmp_path, fail_on="new:high")
    assert "everything counts as new" in first.said
    assert first.outputs["result"] == "1"
    second = run(tmp_path, fail_on="new:high")
    assert "--baseline" in second.arguments
    assert second.outputs["exit-code"] == "3"  # nothing is new, and the sample estate was not read whole


def test_what_could_not_be_read_fails_the_job_unless_it_is_only_to_warn(tmp_path: Path) -> None:
    assert run(tmp_path, code=3).outputs["result"] == "3"
    warned = run(tmp_path, code=3, incomplete="warn")
    assert warned.outputs["result"] == "0"
    assert "::warning::" in warned.said


def test_a_scan_that_could_not_be_made_leaves_no_report(tmp_path: Path) -> None:
    ran = run(tmp_path, code=2)
    assert ran.outputs == {"exit-code": "2", "result": "2"}
    assert not (tmp_path / "aks-audit-reports" / "baseline").exists()


@pytest.mark.parametrize("hostile", ["$(touch broken)", "`touch broken`", "a;touch broken", "--output", "*", '"a'])
def test_inputs_are_values_and_nothing_else(tmp_path: Path, hostile: str) -> None:
    ran = run(tmp_path, subscriptions=f"one\n {hostile} ", clusters="aks-* b", code=2)
    assert not (tmp_path / "broken").exists()
    words = hostile.split()
    asked = [
        after for before, after in zip(ran.arguments, ran.arguments[1:], strict=False) if before == "--subscription"
    ]
    assert asked == ["one", *words]
    assert ran.arguments.count("--cluster") == 2


def test_rules_of_ones_own_are_asked(tmp_path: Path) -> None:
    assert main(["rules", "new", "HOUSE-TAG-01", "--dir", str(tmp_path / "house"), "--declarative"]) == 0
    ran = run(tmp_path, rules="house")
    assert ran.outputs["exit-code"] == "1", ran.said
    assert "HOUSE-TAG-01" in (tmp_path / "aks-audit-reports" / "aks-audit.json").read_text()


def test_audits_of_two_scopes_in_one_workflow_are_kept_apart() -> None:
    """The baseline of another scope would close alerts, and a second artifact of one name fails the job."""
    steps = {step["name"]: step for step in ACTION["runs"]["steps"]}
    fetched, kept = (steps[name]["with"] for name in ("Fetch the last report", "Keep the report for the next run"))
    assert fetched["key"] == kept["key"]
    assert fetched["key"].startswith(fetched["restore-keys"])
    assert "/${{ inputs.name }}/" in fetched["restore-keys"]
    assert steps["Keep all reports"]["with"]["name"] == "${{ inputs.name }}"


def test_the_action_takes_inputs_by_the_environment_alone() -> None:
    """An expression inside a script is code that whoever sets the input writes."""
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", ""), step["name"]


def test_each_input_reaches_the_script_and_is_documented() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    page = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8")
    for name in ACTION["inputs"]:
        assert f"| `{name}` |" in page
        if name not in {"upload-sarif", "name"}:
            assert f"INPUT_{name.upper().replace('-', '_')}" in text
