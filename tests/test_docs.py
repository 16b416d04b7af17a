"""The documentation: it builds as a site without a warning, and what it tells people to type is understood."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from aks_audit.cli import parser
from aks_audit.commands import EXIT_CODES
from cases import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FENCED = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in FENCED.findall(page.read_text(encoding="utf-8")) if found == language]


def commands(page: Path) -> list[list[str]]:
    """The commands of ours that a page tells people to type, as words."""
    joined = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip().startswith("aks-audit ")]
    return [shlex.split(re.split(r"\s(?:\|\||&&|[|>])\s?", line)[0], comments=True)[1:] for line in lines]


TYPED = [pytest.param(words, id=f"{page.stem}: {shlex.join(words)[:60]}") for page in PAGES for words in commands(page)]


@pytest.mark.parametrize("words", TYPED)
def test_what_people_are_told_to_type_is_understood(words: list[str]) -> None:
    assert parser().parse_args(words).run


def test_the_page_of_exit_codes_says_what_the_help_says() -> None:
    page = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    for code, meaning in re.findall(r"^  (\d)  (.*)$", EXIT_CODES, re.MULTILINE):
        assert f"| {code} | {meaning} |" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_pipelines_are_yaml(page: Path) -> None:
    for text in blocks(page, "yaml"):
        assert isinstance(yaml.safe_load(text), dict | list)


def test_inputs_in_the_example_are_the_actions_own() -> None:
    action: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    (workflow, *_) = (yaml.safe_load(text) for text in blocks(ROOT / "docs" / "pipelines.md", "yaml"))
    (ours,) = (step for step in workflow["jobs"]["audit"]["steps"] if "aks-audit" in step["uses"])
    assert set(ours["with"]) <= set(action["inputs"])


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    start = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="https?://[^"]*\.(?:js|css|woff2?)"', start)
    assert (tmp_path / "reference" / "rules" / "AKS-API-01.html").is_file()
    assert not list(dead_links(tmp_path))


def dead_links(site: Path) -> Iterator[str]:
    """The links of a site's pages to files of its own that are not there, which mkdocs warns of for pages alone."""
    for page in site.glob("*.html"):
        for link in re.findall(r'(?:href|src)="?([^"\s>]+)', page.read_text(encoding="utf-8")):
            path, scheme = unquote(re.split("[?#]", link)[0]), re.match(r"[a-z]+:", link)
            if path and not scheme and not path.startswith("/") and not (page.parent / path).exists():
                yield f"{page.name}: {link}"
