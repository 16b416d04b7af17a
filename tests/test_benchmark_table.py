"""The table of benchmarks: its shape, and how it puts other tools beside ours. What takes how long is no test's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from measure import Run, least, whole
from run import HEADS, Aim, Row

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
OURS = Row("a scan", Run(wall=2, cpu=1.5, peak_mib=100), answers=300)


@pytest.fixture(scope="module")
def table() -> list[list[str]]:
    """The cells of the table's rows, measured on little."""
    command = [str(BENCHMARKS / "run"), "--quick"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()[2:]]


def test_every_row_has_a_cell_under_each_head(table: list[list[str]]) -> None:
    heads, rule, *rows = table
    assert tuple(heads) == HEADS
    assert set("".join(rule)) == {"-", ":"}
    assert {len(row) for row in rows} == {len(HEADS)}


def test_everything_with_an_aim_is_measured_and_held_against_it(table: list[list[str]]) -> None:
    aims = {row[0]: row[6] for row in table[2:] if row[5]}
    asked = ["--help", "--demo", "their networks", "hubs", "is read", "SARIF of", "HTML of", "collection of"]
    assert [next((name for name in aims if each in name), each) for each in asked] == list(aims)
    assert set(aims.values()) <= {"yes", "no"}
    assert all(float(row[1]) > 0 and float(row[2]) > 0 for row in table[2:])


def test_scans_tell_how_much_they_answered(table: list[list[str]]) -> None:
    answers = [int(row[4].replace(",", "")) for row in table if row[0].startswith("scan of")]
    assert len(answers) == 3
    assert min(answers) > 100


def test_a_peer_stands_beside_ours_by_ratios() -> None:
    theirs = Row("  a peer", Run(wall=9, cpu=6, peak_mib=250), answers=100, beside=OURS)
    assert theirs.cells() == ("  a peer", "9.000", "6.000", "250", "100", "", "", "4.0", "2.5", "12.0")


def test_a_peer_that_answers_nothing_has_no_ratio_by_answers() -> None:
    assert Row("  a peer", Run(9, 6, 250), beside=OURS).cells()[-3:] == ("4.0", "2.5", "")


@pytest.mark.parametrize(
    ("aim", "met"),
    [
        (Aim("", wall=2), "yes"),
        (Aim("", wall=1.9), "no"),
        (Aim("", cpu=1.4), "no"),
        (Aim("", cpu=2, mib=99), "no"),
        (Aim("", cpu=2, mib=100), "yes"),
    ],
)
def test_an_aim_is_met_where_nothing_took_more(aim: Aim, met: str) -> None:
    assert OURS._replace(aim=aim).cells()[6] == met


def test_a_process_is_measured_whole(tmp_path: Path) -> None:
    work = "sum(range(3_000_000)); held = bytearray(64 * 2**20); raise SystemExit(3)"
    run = whole([sys.executable, "-c", work], tmp_path)
    assert run.code == 3
    assert run.peak_mib > 64
    assert run.cpu > 0


def test_a_command_is_run_once_more_than_asked_to_warm_up(tmp_path: Path) -> None:
    work = "import pathlib, sys; file = pathlib.Path('runs').open('a'); file.write('x')"
    least([sys.executable, "-c", work], tmp_path, runs=2)
    assert (tmp_path / "runs").read_text() == "xxx"
