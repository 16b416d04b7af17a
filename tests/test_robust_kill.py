"""Runs that are killed at any moment: a few here, and as many as wanted by `tests/robustness/kill.py`."""

from pathlib import Path

import pytest

from robustness import kill


@pytest.mark.parametrize(("name", "times"), {**dict.fromkeys(kill.SCENARIOS, 1), "resume": 2}.items())
def test_a_run_that_is_killed_leaves_whole_files_and_the_next_one_ends_well(name: str, times: int) -> None:
    killed = list(kill.kill(name, times, seed=8))
    assert len(killed) == times
    assert {one.state for one in killed} <= {"old", "some new", "new"}


def test_the_harness_sees_a_file_that_is_cut_off(tmp_path: Path) -> None:
    with kill.scanning(tmp_path) as scenario:
        scenario.prepare(tmp_path)
        report = tmp_path / "out" / "aks-audit.json"
        report.write_bytes(report.read_bytes()[:-1])
        with pytest.raises(kill.BrokenError, match="neither the old one nor the new one"):
            scenario.state(tmp_path)
