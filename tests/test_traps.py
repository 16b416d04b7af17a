"""Every trap of the corpus gets the right answer: `pytest tests/test_traps.py -s` prints the table."""

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from traps.corpus import CHECKS, FOLDER, TRAPS, Trap, mistakes, table


@pytest.fixture(scope="module")
def found() -> Iterator[dict[int, list[str]]]:
    """What is found wrong, by the trap's number; the table is printed where all have been asked."""
    answers: dict[int, list[str]] = {}
    yield answers
    if len(answers) == len(TRAPS):
        sys.stdout.write("\n".join(["", *table(answers), ""]))


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: f"{trap.number:02}-{trap.name}")
def test_a_trap_gets_the_right_answer(trap: Trap, found: dict[int, list[str]], tmp_path: Path) -> None:
    found[trap.number] = mistakes(trap, tmp_path)
    assert not found[trap.number]


def test_every_trap_is_there_once_is_told_and_is_checked() -> None:
    assert [trap.number for trap in TRAPS] == [*range(1, 49)]
    assert len(list(FOLDER.iterdir())) == len(TRAPS)
    for trap in TRAPS:
        assert trap.wrong.endswith(".")
        assert trap.right.endswith(".")
        assert trap.case or trap.number in CHECKS
        assert len({case.name for case in trap.case}) == len(trap.case)
        assert all(case.why for case in trap.case)


def test_a_wrong_answer_is_seen() -> None:
    """The corpus can fail: a case that expects something else is told, and so is a check's."""
    trap = next(trap for trap in TRAPS if trap.number == 9)
    (case,) = trap.case
    (mistake,) = mistakes(msgspec.structs.replace(trap, case=(msgspec.structs.replace(case, expect="pass"),)), Path())
    assert "AKS-KN-01 should say pass, it says fail" in mistake
    assert "| 9 | WRONG |" in table({one.number: [mistake] if one is trap else [] for one in TRAPS})[10]
