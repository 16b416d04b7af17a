"""docs/writing-rules.md does what it says: its files are written, its commands run, and their output is as shown."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cases import ROOT

PAGE = ROOT / "docs" / "writing-rules.md"
BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
PROGRAMS = {"aks-audit", "pytest"}


def commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console, each with the output that is shown."""
    for told in re.split(r"(?m)^\$ ", text)[1:]:
        command, _, output = told.partition("\n")
        yield command, output


def like(shown: str) -> re.Pattern[str]:
    """What is shown, where `…` stands for anything."""
    return re.compile(".*".join(map(re.escape, shown.split("…"))), re.DOTALL)


def run(command: str, folder: Path) -> str:
    program, *arguments = shlex.split(command)
    assert program in PROGRAMS
    installed = str(Path(sys.executable).parent / program)
    done = subprocess.run([installed, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    ran = written = 0
    for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        if block["language"] == "console":
            for command, shown in commands(block["text"]):
                assert like(shown).fullmatch(run(command, tmp_path)), command
                ran += 1
        else:
            assert block["title"], f"a block that nobody runs: {block['text'][:40]}"
            (tmp_path / block["title"]).parent.mkdir(exist_ok=True)
            (tmp_path / block["title"]).write_text(block["text"], encoding="utf-8")
            written += 1
    assert (ran, written) == (5, 5)


def test_what_is_shown_is_compared() -> None:
    assert like("a …\nc\n").fullmatch("a b\nb\nc\n")
    assert not like("a\n").fullmatch("a\nb\n")
    assert not like("…b\n").fullmatch("a\n")


def test_every_key_of_a_rule_without_code_is_on_the_page() -> None:
    from aks_audit.packs.declarative import Declared  # noqa: PLC0415 - for this alone

    page = PAGE.read_text(encoding="utf-8")
    assert [key for key in Declared.__struct_encode_fields__ if f"`{key}`" not in page] == []
