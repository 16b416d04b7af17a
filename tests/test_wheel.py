"""The wheel, installed in a clean environment beside the PyPI package `rules`, runs from another folder."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


def run(*command: str, cwd: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_wheel_holds_three_packages_and_their_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"aks_audit", "aks_audit_rules", "aks_audit_reports"}
    assert "aks_audit/demo/estate.jsonl" in names
    assert {f"{top}/py.typed" for top in tops} <= set(names)
    assert any(name.endswith(".j2") for name in names)
    assert any(name.startswith("aks_audit_rules/checklists/") and name.endswith(".toml") for name in names)
    assert not [name for name in names if "test" in name or "fixture" in name]


def test_installed_beside_rules_it_audits_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    python = str(environment / "bin" / "python")
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "rules", str(wheel)], capture_output=True, text=True, check=False
    )
    if installed.returncode and "connection" in installed.stderr.lower():
        pytest.skip("no package registry can be reached, so nothing can be installed")
    assert not installed.returncode, installed.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run(str(environment / "bin" / "aks-audit"), "scan", "--demo", "--output", "out", cwd=elsewhere, code=1)
    report = json.loads((elsewhere / "out" / "aks-audit.json").read_text(encoding="utf-8"))
    assert report["findings"]
    assert {path.name for path in (elsewhere / "out").iterdir()} == {
        "aks-audit.html",
        "aks-audit.json",
        "aks-audit.sarif",
    }
    command = str(environment / "bin" / "aks-audit")
    run(command, "rules", "new", "HOUSE-NET-01", "--dir", "house", cwd=elsewhere)
    assert "HOUSE-NET-01  low" in run(command, "rules", "--rules", "house", cwd=elsewhere).stdout
    ask = "from pathlib import Path; from aks_audit.cases import questions; h = Path('house')"
    run(python, "-c", f"{ask}; [one.check() for one in questions(h, h / 'cases')]", cwd=elsewhere)
    run(command, "rules", "new", "HOUSE-NET-02", "--dir", "house", "--declarative", cwd=elsewhere)
    refused = run(command, "rules", "--rules", "house", cwd=elsewhere, code=2)
    assert "pip install 'aks-audit[declarative]'" in refused.stderr
    assert "rules" in run(python, "-c", "import rules; print(rules.__name__)", cwd=elsewhere).stdout
