"""`aks-audit completion`: scripts by which shells complete the command, made of its own parser."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from aks_audit.commands import OK
from aks_audit.commands.options import add_command
from aks_audit.commands.output import FORMATS, print_bytes
from aks_audit.commands.scan import NO_SEVERITY, SEVERITIES
from aks_audit.progress import Progress

if TYPE_CHECKING:
    from aks_audit.commands.options import Commands

EXAMPLES = """\
examples:
  bash   echo 'source <(aks-audit completion bash)' >> ~/.bashrc
  zsh    echo 'source <(aks-audit completion zsh)' >> ~/.zshrc         (after compinit)
  fish   aks-audit completion fish > ~/.config/fish/completions/aks-audit.fish

The script is as the installed version is; make it anew after an upgrade.
"""

_PLAIN = re.compile(r"[\w./:-]+")
"""Words that mean nothing but themselves to every shell."""


def add(commands: "Commands") -> None:
    """Put the command on the parser."""
    completion = add_command(
        commands,
        partial(_run, commands),
        "completion",
        "print a script by which a shell completes the command",
        "Print a script by which a shell completes commands, options, and what options take.",
        EXAMPLES,
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")


def _run(commands: "Commands", arguments: argparse.Namespace, _progress: Progress) -> int:
    from aks_audit.checklist import EVERYTHING, load_checklists  # noqa: PLC0415 - what only this needs
    from aks_audit.engine import load_rules  # noqa: PLC0415

    named = {
        "explain": {"rule": [rule.id for rule in load_rules()]},
        "scan": {
            "--checklist": [*(checklist.name for checklist in load_checklists()), EVERYTHING],
            "--format": [*FORMATS],
            "--fail-on": [*SEVERITIES, NO_SEVERITY],
        },
    }
    places = list(_places(commands, "", named))
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments.shell](places)
    print_bytes(f"{script}\n".encode())
    return OK


class _Option(NamedTuple):
    """An option: its names, help, whether it takes a value, and the values where they are known."""

    names: tuple[str, ...]
    help: str
    takes: bool
    values: tuple[str, ...]


class _Place(NamedTuple):
    """A command, by its words: what can come next."""

    command: str
    words: Mapping[str, str]
    """Commands below it, and values of its positional arguments, each with its help."""
    options: Sequence[_Option]


_Named = Mapping[str, Mapping[str, Sequence[str]]]


def _places(commands: "Commands", command: str, named: _Named) -> Iterator[_Place]:
    """The place where these commands are chosen, and those of each of them."""
    helps = {action.dest: action.help or "" for action in commands._choices_actions}  # noqa: SLF001 - has no public name
    yield _Place(command, {name: _short(helps.get(name, "")) for name in commands.choices}, [_HELP])
    for name, parser in commands.choices.items():
        path = f"{command} {name}".strip()
        actions = parser._actions  # noqa: SLF001 - argparse tells of what it has in no other way
        below = [action for action in actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
        for action in below:
            yield from _places(action, path, named)
        if not below:
            known = named.get(path, {})
            words = [
                word for one in actions if not one.option_strings for word in known.get(one.dest, one.choices or ())
            ]
            options = [_option(one, known) for one in actions if one.option_strings]
            yield _Place(path, dict.fromkeys(map(str, words), ""), options)


_HELP = _Option(("-h", "--help"), "show help", takes=False, values=())


def _option(action: argparse.Action, known: Mapping[str, Sequence[str]]) -> _Option:
    listed = next((known[name] for name in action.option_strings if name in known), action.choices or ())
    return _Option(tuple(action.option_strings), _short(action.help or ""), action.nargs != 0, tuple(map(str, listed)))


def _short(text: str) -> str:
    """The first sentence or so of a help text, on one line."""
    first = re.split(r"[:;(]|\. ", " ".join(text.split()))[0].strip()
    return first.replace("%%", "%")


def _joined(words: Sequence[str]) -> str:
    """Words as a script may hold them: those that mean anything to a shell are left out."""
    return " ".join(word for word in words if _PLAIN.fullmatch(word))


def _options(place: _Place) -> str:
    return _joined([name for option in place.options for name in option.names])


def _valued(places: Sequence[_Place]) -> Iterator[tuple[str, str]]:
    """Command and option as a pattern of `case`, with the values that it takes; none where they are not known."""
    for place in places:
        for option in place.options:
            if option.takes:
                yield "|".join(f'"{place.command} {name}"' for name in option.names), _joined(option.values)


def _steps(places: Sequence[_Place]) -> str:
    """The words that lead from one command into another, as a pattern of `case`."""
    below = [place.command for place in places if place.command]
    return "|".join(f'"{before} {word}"' for before, _, word in (path.rpartition(" ") for path in below))


def _bash(places: Sequence[_Place]) -> str:
    """Where nothing is listed, bash itself completes names of files."""
    values = [f'        {pattern}) words="{words}"; known=1 ;;' for pattern, words in _valued(places)]
    return "\n".join([
        "_aks_audit() {",
        '    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"',
        '    local command="" word words="" known=""',
        '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        f'        case "$command $word" in {_steps(places)}) command="${{command:+$command }}$word" ;; esac',
        "    done",
        '    case "$command $prev" in',
        *values,
        "    esac",
        '    if [ -z "$known" ]; then',
        '        case "$command" in',
        *(f'            "{place.command}") {_either(place)} ;;' for place in places),
        "        esac",
        "    fi",
        '    COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        "}",
        "complete -o default -F _aks_audit aks-audit",
    ])  # fmt: skip


def _either(place: _Place) -> str:
    """Options where a dash was typed, else the words that can come."""
    return f'case "$cur" in -*) words="{_options(place)}" ;; *) words="{_joined([*place.words])}" ;; esac'


def _zsh(places: Sequence[_Place]) -> str:
    values = [f'        {pattern}) words="{words}"; known=1 ;;' for pattern, words in _valued(places)]
    return "\n".join([
        "#compdef aks-audit",
        "_aks_audit() {",
        '    local cur="${words[CURRENT]}" prev="${words[CURRENT-1]}" command="" word listed="" known=""',
        '    for word in "${(@)words[2,CURRENT-1]}"; do',
        f'        case "$command $word" in {_steps(places)}) command="${{command:+$command }}$word" ;; esac',
        "    done",
        '    case "$command $prev" in',
        *(value.replace("words=", "listed=") for value in values),
        "    esac",
        '    if [ -z "$known" ]; then',
        '        case "$command" in',
        *(f'            "{place.command}") {_either(place).replace("words=", "listed=")} ;;' for place in places),
        "        esac",
        "    fi",
        '    if [ -n "$listed" ]; then compadd -- ${=listed}; else _files; fi',
        "}",
        "compdef _aks_audit aks-audit",
    ])  # fmt: skip


def _fish(places: Sequence[_Place]) -> str:
    return "\n".join([
        "function __aks_audit_at",
        "    set -l command ''",
        "    for word in (commandline -opc)[2..-1]",
        '        switch "$command $word"',
        f"            case {_steps(places).replace('|', ' ')}",
        '                set command (string trim -- "$command $word")',
        "        end",
        "    end",
        '    test "$command" = "$argv[1]"',
        "end",
        *(line for place in places for line in _fish_place(place)),
    ])  # fmt: skip


def _fish_place(place: _Place) -> Iterator[str]:
    at = f"complete -c aks-audit -n '__aks_audit_at \"{place.command}\"'"
    for word, told in place.words.items():
        if _PLAIN.fullmatch(word):
            yield f"{at} -f -a {word}{_described(told)}"
    for option in place.options:
        names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
        listed = _joined(option.values)
        takes = f" -x -a '{listed}'" if listed else " -r" * option.takes
        yield f"{at} {names}{takes}{_described(option.help)}"


def _described(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f" -d '{escaped}'" if text else ""
