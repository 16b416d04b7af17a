"""Formats: those that come with aks-audit, and those of other packages, found by their entry point."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from aks_audit.cli import main
from aks_audit.commands.output import DEFAULT_FILES, FORMATS

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")


def entries() -> dict[str, str]:
    """The entry points of the formats that come with aks-audit."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: dict[str, str] = project["entry-points"]["aks_audit.reports"]
    return found


def install(folder: Path, entry_points: str, code: str) -> dict[str, str]:
    """A package as an installer leaves it in `folder`, and the environment in which Python finds it."""
    about = folder / "lines-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lines\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    (folder / "my_package.py").write_text(code, encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_a_reporter_of_another_package_as_the_document_shows_it_is_one_more_format(tmp_path: Path) -> None:
    (table,) = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    ((name, value),) = tomllib.loads(table)["project"]["entry-points"]["aks_audit.reports"].items()
    environment = install(tmp_path, f"[aks_audit.reports]\n{name} = {value}\n", code)
    output = tmp_path / "out"
    command = [sys.executable, "-m", "aks_audit", "scan", "--demo", "--format", f"{name},json", "--output", str(output)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert {path.name for path in output.iterdir()} == {"failures.txt", "aks-audit.json"}
    lines = (output / "failures.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("high AKS-API-01 /subscriptions/")
    wrong = subprocess.run([*command[:6], "line"], env=environment, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "no format 'line'; did you mean lines? there are: console, " in wrong.stderr


def test_every_format_is_in_the_help_and_in_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(FORMATS) == sorted(entries())
    with pytest.raises(SystemExit):
        main(["scan", "--help"])
    told = capsys.readouterr().out
    for name, purpose in FORMATS.items():
        assert f"  {name:18} {purpose}\n" in told
        assert f"| `{name}` |" in DOCUMENT


def test_with_a_folder_and_no_format_few_files_are_written(tmp_path: Path) -> None:
    assert main(["scan", "--demo", "--output", str(tmp_path)]) == 1
    assert {path.name for path in tmp_path.iterdir()} == {f"aks-audit.{name}" for name in DEFAULT_FILES[1:]}
