"""A few hours of scheduled runs, and runs on a machine whose clock jumps; `tests/robustness/day.py` makes days."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from aks_audit.store import runs
from aks_audit.store.directory import DirectoryStore
from robustness import day

SHIFTED = str(Path(__file__).parent / "robustness" / "shifted.py")


def test_hours_of_runs_that_are_killed_that_overlap_and_whose_clock_jumps(tmp_path: Path) -> None:
    hours = list(day.day(5, timedelta(hours=7), seed=106, folder=tmp_path))
    assert {hour.happening for hour in hours} == {"nothing", "killed", "two at once", "back", "forth"}
    assert sum(hour.messages > 0 for hour in hours) == 4
    assert hours[0].kept == 1
    assert max(hour.kept for hour in hours[1:]) < 6, "of a day, though two of the runs may have a name of their own"
    names = day.history(tmp_path)
    assert names == sorted(names)
    assert len(names) == hours[-1].kept


def scanned(folder: Path, clock: float, *options: str) -> str:
    """A scan of the sample estate into the store at that clock, so many seconds from the right one; what it says."""
    (folder / "clock").write_text(str(clock), encoding="ascii")
    done = subprocess.run(
        [sys.executable, SHIFTED, "scan", "--demo", "--store", "store", "--fail-on", "none", *options],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "AKS_AUDIT_TEST_CLOCK": str(folder / "clock")},
        check=False,
    )
    assert done.returncode in {0, 3}, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


YEAR = 365 * 86_400


@pytest.mark.parametrize("clock", [-30 * YEAR, 60 * YEAR], ids=["long ago", "far ahead"])
def test_a_clock_that_is_wrong_by_decades_breaks_no_run_and_ends_none(clock: float, tmp_path: Path) -> None:
    scanned(tmp_path, 0, "--keep", "1")
    said = scanned(tmp_path, clock, "--keep", "1", "--log-format", "json")
    store = DirectoryStore(tmp_path / "store")
    found = runs.runs(store, "default", pytest.fail)
    assert len(found) == 2, "by the store's own clock neither of them is a day old"
    for run in found:
        for name in run.files:
            runs.fetch(store, run, name)
    assert all(json.loads(line)["event"] for line in said.splitlines())
    # the sample estate is never complete, so none of the runs is a baseline for the others
    assert not [run for run in found if run.manifest.complete]


def test_a_clock_that_is_set_back_leaves_the_files_of_both_runs(tmp_path: Path) -> None:
    scanned(tmp_path, 0)
    scanned(tmp_path, -3600)
    found = runs.runs(DirectoryStore(tmp_path / "store"), "default", pytest.fail)
    assert len({run.place.run for run in found}) == 2
    assert found[0].manifest.started < found[1].manifest.started
