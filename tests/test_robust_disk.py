"""A full disk: a clear error that names the file and what to do, an exit code of its own, and the old file whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from cases import BASE
from live import environment
from resource_manager import ResourceManager, load

FULL = str(Path(__file__).parent / "robustness" / "full.py")
ROOM = "cannot be written (File too large); make room or name another"


def on_full_disk(folder: Path, *arguments: str, room: int = 2_000, variables: dict[str, str] | None = None) -> str:
    """What is said where a file may have so many bytes."""
    done = subprocess.run(
        [sys.executable, FULL, str(room), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=variables,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def whole(folder: Path, *names: str) -> None:
    """Only these files are there, as they were before."""
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == sorted(names)
    assert {(folder / name).read_bytes() for name in names} == {b"before"}


@pytest.mark.parametrize("name", ["aks-audit.json", "aks-audit.html", "aks-audit.sarif"])
def test_reports_are_whole_or_not_there(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"before")
    form = name.rpartition(".")[2]
    said = on_full_disk(tmp_path, "scan", "--demo", "--format", form, "--output", ".")
    assert f"{name}: {ROOM}" in said
    whole(tmp_path, name)


def test_a_workbook_whose_parts_find_no_room_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "aks-audit.xlsx").write_bytes(b"before")
    said = on_full_disk(tmp_path, "scan", "--demo", "--format", "xlsx", "--output", ".")
    assert "the parts of aks-audit.xlsx cannot be written ([Errno 27] File too large); make room or name" in said
    whole(tmp_path, "aks-audit.xlsx")


def test_an_imported_snapshot_is_whole_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "estate.jsonl").write_bytes(b"before")
    bodies = tmp_path / "bodies"
    bodies.mkdir()
    lines = [line for line in BASE.read_text(encoding="utf-8").splitlines() if '"kind":"resource"' in line]
    (bodies / "all.json").write_text("\n".join(line.partition('"body":')[2][:-1] for line in lines[:40]))
    assert f"estate.jsonl: {ROOM}" in on_full_disk(tmp_path, "snapshot", "import", "bodies", "-o", "estate.jsonl")
    whole(tmp_path, "estate.jsonl")


def test_a_collected_snapshot_is_whole_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "estate.jsonl").write_bytes(b"before")
    with ResourceManager(load(BASE)) as azure:
        variables = environment(azure.url, azure.ca_file, tmp_path)
        options = ("--in-cluster", "none", "--auth", "cli")
        said = on_full_disk(tmp_path, "collect", "-o", "out/estate.jsonl", *options, variables=variables)
    assert ROOM in said
    assert (tmp_path / "out" / "estate.jsonl").read_bytes() == b"before"


def test_standard_output_that_is_full_is_named(tmp_path: Path) -> None:
    for arguments in (["scan", "--demo"], ["scan", "--demo", "--format", "json"], ["rules"], ["checklists"]):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [str(Path(sys.executable).with_name("aks-audit")), *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
                check=False,
            )
        assert done.returncode == 2
        assert done.stderr.endswith("standard output: cannot be written (No space left on device); make room\n")
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
