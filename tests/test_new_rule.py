"""`aks-audit rules new`: what it makes is green at once, and overwrites nothing; and what its tests ask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aks_audit.cases import CaseError, questions
from aks_audit.cli import main
from aks_audit.commands import OK, UNUSABLE

TWO = [["HOUSE-NET-01"], ["HOUSE-TAG-02", "--declarative"]]


def pytest_of(folder: Path) -> subprocess.CompletedProcess[str]:
    """The author's own pytest, which knows nothing of ours."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHONPATH"))}
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(folder)]
    return subprocess.run(command, cwd=folder.parent, env=clean, capture_output=True, text=True, check=False)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_new_rules_are_green_at_once_in_both_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house = tmp_path / "house"
    for arguments in TWO:
        assert main(["rules", "new", *arguments, "--dir", str(house)]) == OK
    assert set(files(house)) == {
        "house_net_01.py",
        "house_tag_02.rule.toml",
        "cases/HOUSE-NET-01.toml",
        "cases/HOUSE-TAG-02.toml",
        "docs/HOUSE-NET-01.md",
        "docs/HOUSE-TAG-02.md",
        "tests/test_rules.py",
    }
    said = capsys.readouterr().out
    assert all(f"wrote {house / name}\n" in said for name in files(house))
    done = pytest_of(house)
    assert "10 passed" in done.stdout, done.stdout
    assert main(["explain", "HOUSE-TAG-02", "--rules", str(house)]) == OK


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("house_net_01.py", '"-nodes"', '"-pool"'),
        ("house_net_01.py", "return undecided(", "return passes("),
        ("cases/HOUSE-NET-01.toml", '"fail"', '"pass"'),
        ("cases/HOUSE-NET-01.toml", 'says = "-nodes"', 'says = "nothing"'),
        ("cases/HOUSE-NET-01.toml", 'expect = "unknown"', 'expect = "fail"'),
    ],
)
def test_the_test_of_a_new_rule_can_fail(tmp_path: Path, file: str, before: str, after: str) -> None:
    house = tmp_path / "house"
    main(["rules", "new", "HOUSE-NET-01", "--dir", str(house)])
    text = (house / file).read_text()
    assert before in text
    (house / file).write_text(text.replace(before, after))
    assert pytest_of(house).returncode != 0


@pytest.mark.parametrize("second", [TWO[0], ["HOUSE-NET-01", "--declarative"]])
def test_what_is_there_stays(tmp_path: Path, second: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["rules", "new", "HOUSE-NET-01", "--dir", str(tmp_path)])
    before = files(tmp_path)
    assert main(["rules", "new", *second, "--dir", str(tmp_path)]) == UNUSABLE
    assert "house_net_01.py: is there" in capsys.readouterr().err
    assert files(tmp_path) == before


def test_a_page_that_is_there_keeps_the_rest_from_being_written(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "HOUSE-NET-01.md").write_text("mine")
    assert main(["rules", "new", "HOUSE-NET-01", "--dir", str(tmp_path)]) == UNUSABLE
    assert files(tmp_path) == {"docs/HOUSE-NET-01.md": b"mine"}


@pytest.mark.parametrize(
    "rule_id",
    ["", "HOUSE", "house-net-01", "HOUSE-", "HOUSE NET-01", "../HOUSE-NET-01", "HOUSE-NET-01\n", "H-" + "1" * 40],
)
def test_what_is_no_id_is_refused(tmp_path: Path, rule_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "new", rule_id, "--dir", str(tmp_path)]) == UNUSABLE
    assert "is no id of a rule" in capsys.readouterr().err
    assert not files(tmp_path)


def test_ids_of_built_in_rules_are_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "new", "AKS-NET-99", "--dir", str(tmp_path)]) == UNUSABLE
    assert "begin with your own" in capsys.readouterr().err


CASE = '[[case]]\nname = "a"\nexpect = "pass"\n'


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("HOUSE-NET-01", CASE, "has no case for fail, unknown"),
        ("HOUSE-NET-01", "", "has no case for fail, pass, unknown"),
        ("HOUSE-NET-01", "[[case]", "HOUSE-NET-01.toml: "),
        ("HOUSE-NET-01", CASE + "odd = 1\n", "HOUSE-NET-01.toml: .*odd"),
        (
            "HOUSE-NET-01",
            CASE + CASE.replace("pass", "fail") + CASE.replace("pass", "unknown"),
            "two cases are called 'a'",
        ),
        ("HOUSE-NET-02", CASE, "HOUSE-NET-02.toml: there is no rule HOUSE-NET-02"),
    ],
)
def test_cases_that_cannot_be_asked_are_named(tmp_path: Path, file: str, text: str, says: str) -> None:
    main(["rules", "new", "HOUSE-NET-01", "--dir", str(tmp_path)])
    (tmp_path / "cases" / f"{file}.toml").write_text(text)
    with pytest.raises(CaseError, match=says):
        questions(tmp_path, tmp_path / "cases")


def test_a_case_about_what_there_is_not_names_what_there_is(tmp_path: Path) -> None:
    main(["rules", "new", "HOUSE-NET-01", "--dir", str(tmp_path)])
    asked, *_ = questions(tmp_path, tmp_path / "cases")
    with pytest.raises(CaseError, match="names 'clutser'; there are: cluster, "):
        asked._replace(case=type(asked.case)(name="", expect="pass", drop=("clutser tags",))).check()
