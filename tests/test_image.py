"""The image: its Dockerfile is linted, and the steps that build what is in it are run here, without Docker."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

import pytest

from aks_audit import __version__
from cases import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
PLACES = re.compile(r"(?<![\w.:/-])/(src|tools|wheels|app|packages|sbom\.cdx\.json)\b")
"""What the steps make at the root of the builder's file system."""


class Step(NamedTuple):
    """An instruction of the Dockerfile, and what stands after it."""

    instruction: str
    rest: str


def steps() -> list[Step]:
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [Step(*line.split(maxsplit=1)) for line in lines]


def stages() -> list[list[Step]]:
    """The steps of each stage, from its FROM on."""
    found: list[list[Step]] = []
    for step in steps():
        if step.instruction == "FROM":
            found.append([])
        if found:
            found[-1].append(step)
    return found


def named(stage: list[Step], instruction: str) -> list[str]:
    return [step.rest for step in stage if step.instruction == instruction]


def pairs(texts: list[str]) -> dict[str, str]:
    return {name: value.strip('"') for text in texts for name, value in re.findall(r'([\w.]+)=("[^"]*"|\S+)', text)}


def test_the_linter_has_nothing_to_say_of_the_dockerfile() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([str(linter), str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_a_numbered_user_and_tells_what_it_is() -> None:
    _, image = stages()
    assert named(image, "FROM") == ["${RUNTIME}"]
    assert named(image, "USER") == ["65532:65532"]
    assert not named(image, "RUN")
    assert named(image, "HEALTHCHECK") == ["NONE"]
    assert json.loads(named(image, "ENTRYPOINT")[0]) == ["python3", "-P", "-m", "aks_audit"]
    labels = pairs(named(image, "LABEL"))
    assert labels["org.opencontainers.image.version"] == "${VERSION}"
    assert pairs(named(image, "ARG"))["VERSION"] == __version__


def test_the_builders_python_is_the_runtimes() -> None:
    arguments = pairs(named(steps(), "ARG"))
    assert arguments["BUILDER"] == arguments["RUNTIME"]


def test_the_builder_is_given_what_is_copied_and_nothing_else() -> None:
    build, _ = stages()
    copied = [name for line in named(build, "COPY") for name in line.split()[:-1]]
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert kept[1] == "*"
    assert sorted(line[1:] for line in kept if line.startswith("!")) == sorted(copied)


def test_the_image_has_the_extras_that_a_run_in_a_cluster_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = pairs(named(steps(), "ARG"))["EXTRAS"].split(",")
    assert set(extras) == set(project["optional-dependencies"]) - {"dev", "docs"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the steps of the build stage have run, in place of the root of its file system."""
    root = tmp_path_factory.mktemp("image")
    build, _ = stages()
    source = root / "src"
    source.mkdir()
    for copied in named(build, "COPY"):
        *names, target = copied.split()
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, source)
    settings = pairs([*named(build, "ENV"), *named(build, "ARG")])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {name: inside(value, root) for name, value in settings.items()}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for command in named(build, "RUN"):
        line = ["/bin/sh", "-euc", inside(command, root)]
        done = subprocess.run(line, cwd=source, env=environment, capture_output=True, text=True, check=False)
        if done.returncode and "connection" in done.stderr.lower():
            pytest.skip("no package registry can be reached, so nothing can be installed")
        assert not done.returncode, f"{command}\n{done.stdout}{done.stderr}"
    return root


def inside(text: str, root: Path) -> str:
    return PLACES.sub(lambda found: f"{root}/{found[1]}", text)


def test_what_is_built_runs_from_where_nothing_can_be_written(built: Path, tmp_path: Path) -> None:
    packages = built / "packages"
    before = {path: path.stat().st_mtime_ns for path in packages.rglob("*")}
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False)
    _, image = stages()
    settings = {
        "PYTHONPATH": str(packages),
        "PYTHONDONTWRITEBYTECODE": pairs(named(image, "ENV"))["PYTHONDONTWRITEBYTECODE"],
    }
    python = str(environment / "bin" / "python")
    command = [python, "-P", "-m", "aks_audit", "scan", "--demo", "--format", "json", "--fail-on", "none"]
    done = subprocess.run(command, env=settings, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 3}, done.stderr
    assert json.loads(done.stdout)["findings"]
    assert {path: path.stat().st_mtime_ns for path in packages.rglob("*")} == before


def test_every_pinned_version_has_a_wheel_for_the_python_of_the_image(built: Path, tmp_path: Path) -> None:
    (wheel,) = (built / "wheels").iterdir()
    arguments = pairs(named(steps(), "ARG"))
    (version,) = re.findall(r"python:(3\.\d+)-", arguments["BUILDER"])
    platforms = [f"--platform=manylinux_2_{glibc}_x86_64" for glibc in (28, 17)]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--only-binary", ":all:", *platforms]
    command += ["--python-version", version, "--target", str(tmp_path), "--constraint", str(ROOT / "constraints.txt")]
    done = subprocess.run(
        [*command, f"{wheel}[{arguments['EXTRAS']}]"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr


def test_what_is_built_is_compiled_and_does_not_look_at_the_time_of_sources(built: Path) -> None:
    sources = [*(built / "packages" / "aks_audit").rglob("*.py")]
    assert sources
    for source in sources:
        compiled = Path(importlib.util.cache_from_source(str(source)))
        assert compiled.read_bytes()[4:8] == b"\x01\0\0\0", source  # by PEP 552: has a hash, which is not checked


def test_the_bill_of_materials_names_what_is_in_the_image_and_nothing_else(built: Path) -> None:
    bill = json.loads((built / "sbom.cdx.json").read_text(encoding="utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    listed = {(one["name"].lower().replace("_", "-"), one["version"]) for one in bill["components"]}
    there = distributions(path=[str(built / "packages")])
    assert listed == {(one.metadata["Name"].lower().replace("_", "-"), one.version) for one in there}
    assert ("aks-audit", __version__) in listed
    assert not {name for name, _ in listed} & {"pip", "pytest", "cyclonedx-bom"}
