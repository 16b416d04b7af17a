"""Shells complete the command by scripts that are made of its parser."""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aks_audit.cli import main, parser

SHELLS = ["bash", *(shell for shell in ("zsh", "fish") if shutil.which(shell))]
"""Bash is wherever the tests run; the others are tried where they are installed."""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The script of each shell, as files."""
    made = {}
    for shell in ("bash", "zsh", "fish"):
        command = [sys.executable, "-m", "aks_audit", "completion", shell]
        made[shell] = tmp_path_factory.mktemp("scripts") / f"script.{shell}"
        made[shell].write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return made


def completed(shell: str, script: Path, *words: str) -> list[str]:
    """What a shell offers after these words, the last of which is being typed."""
    line = ("aks-audit", *words)
    if shell == "bash":
        ask = f"COMP_WORDS=({' '.join(map(quoted, line))}); COMP_CWORD={len(words)}; _aks_audit"
        command = f'source {script}; {ask}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    elif shell == "zsh":
        stubs = "compdef() { :; }; _files() { :; }; compadd() { shift; print -l -- $@; }"
        ask = f"words=({' '.join(map(quoted, line))}); CURRENT={len(line)}; _aks_audit"
        command = f"{stubs}; source {script}; {ask}"
    else:
        command = f"source {script}; complete -C {quoted(' '.join(line))}"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(script.parent), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [shutil.which(shell) or shell, "-c", command], capture_output=True, text=True, check=False, env=environment
    )
    assert not done.stderr, done.stderr
    found = [offered.split("\t")[0] for offered in done.stdout.splitlines() if offered]
    return [one for one in found if one.startswith(words[-1])]


def quoted(text: str) -> str:
    return f"'{text}'"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_one_of_its_shell(shell: str, scripts: dict[str, Path]) -> None:
    subprocess.run([shutil.which(shell) or shell, "-n", str(scripts[shell])], check=True)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("sc",), {"scan"}),
        (("co",), {"collect", "config", "completion"}),
        (("config", ""), {"check", "schema"}),
        (("config", "ch"), {"check"}),
        (("config", "check", "--ah"), {"--ahead"}),
        (("snapshot", ""), {"import"}),
        (("scan", "--ba"), {"--baseline"}),
        (("scan", "--demo", "--fail"), {"--fail-on"}),
        (("scan", "--auth", "w"), {"workload"}),
        (("scan", "--format", "sarif-"), {"sarif-azuredevops", "sarif-full"}),
        (("scan", "--fail-on", "h"), {"high"}),
        (("scan", "--read", "alerts", "--read", "flo"), {"flow-logs"}),
        (("scan", "--checklist", "aks-s"), {"aks-security-summit"}),
        (("explain", "AKS-IAM-04"), {"AKS-IAM-04"}),
        (("completion", "b"), {"bash"}),
        (("diff", "--format", "m"), {"markdown"}),
        (("due", "--demo", "--wi"), {"--within"}),
        (("due", "--format", "j"), {"json"}),
    ],
)
def test_what_can_come_next_is_offered(
    shell: str, scripts: dict[str, Path], words: tuple[str, ...], offered: set[str]
) -> None:
    assert set(completed(shell, scripts[shell], *words)) == offered


def _commands(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Each command that can be run, by its words, and its options."""
    for action in parser._actions:  # noqa: SLF001 - argparse tells of what it has in no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, below in action.choices.items():
                yield from _commands(below, (*path, name))
            return
    options = [name for action in parser._actions for name in action.option_strings]  # noqa: SLF001
    yield path, options


def test_every_option_of_every_command_is_offered(scripts: dict[str, Path]) -> None:
    commands = list(_commands(parser()))
    assert len(commands) > 10
    for path, options in commands:
        assert set(completed("bash", scripts["bash"], *path, "-")) == set(options), path
        fish = scripts["fish"].read_text("utf-8")
        names = [f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}" for name in options]
        assert all(name in fish for name in names)
        assert all(name in scripts["zsh"].read_text("utf-8") for name in options)


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_not_known_is_left_to_the_shell(shell: str, scripts: dict[str, Path]) -> None:
    assert completed(shell, scripts[shell], "scan", "--cluster", "zzz") == []
    assert completed(shell, scripts[shell], "scan", "--snapshot", "zzz") == []


def test_another_shell_is_refused() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", "tcsh"])
    assert ended.value.code == 2
