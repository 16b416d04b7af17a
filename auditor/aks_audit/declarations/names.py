"""What an expression comes to, where that can be known without running anything: texts, defaults, and joins of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from aks_audit.declarations.text import BrokenError, Language, Node, Token, tokens

LONGEST = 300
"""Longer than this is no name of any resource."""

DEEPEST = 20

Given: TypeAlias = Mapping[str, str | None]
"""Values that whoever uses a file hands in by name; None: nobody can tell which."""

_PART = re.compile(r"\$\{([^{}]*)\}")
_REFERENCE = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*")
_INDEX = re.compile(r"\[[^\]]*\]")
_HOLES = re.compile(r"\{(\d+)\}")
_SAME = frozenset({"tolower", "toupper", "lower", "upper", "trim", "string", "tostring"})
"""Functions that leave a name what it is, since names are without case."""


def plural(word: str) -> str:
    """The plural of a word as types are called by it: `ingresses`, `networkpolicies`, `gateways`, `endpoints`."""
    if word == "endpoints":
        return word
    if word.endswith(("s", "x", "ch", "sh")):
        return word + "es"
    return word[:-1] + "ies" if re.search(r"[^aeiou]y$", word) else word + "s"


class Scope(NamedTuple):
    """Under which names a file's expressions find their values; `known` remembers what they came to."""

    definitions: Mapping[str, Node]
    given: Given
    known: dict[str, str | None]


def evaluate(node: Node | None, scope: Scope, depth: int = 0) -> str | None:
    """The text that a value comes to; None where that depends on more than what is written."""
    if node is None or not node.tokens or depth > DEEPEST:
        return None
    found = _tokens(node.tokens, scope, depth + 1)
    return found if found is not None and len(found) <= LONGEST else None


def _tokens(found: Sequence[Token], scope: Scope, depth: int) -> str | None:
    if len(found) == 1 and found[0].kind == "text":
        text = found[0].text
        if text.startswith("[") and text.endswith("]") and not text.startswith("[["):
            return _arm(text[1:-1], scope, depth)
        return _joined(text, scope, depth)
    if _is_call(found) and found[0].text.lower() in _SAME:
        return _tokens(found[2:-1], scope, depth + 1) if depth <= DEEPEST else None
    return _reference("".join(token.text for token in found), scope, depth)


def _is_call(found: Sequence[Token]) -> bool:
    return len(found) > 3 and found[0].kind == "word" and found[1].text == "(" and found[-1].text == ")"  # noqa: PLR2004 - name(x)


def _joined(text: str, scope: Scope, depth: int) -> str | None:
    if len(text) > LONGEST or "\\" in text or "\n" in text or "$${" in text:
        return None
    pieces: list[str] = []
    for place, piece in enumerate(_PART.split(text)):
        value = _reference(piece.strip(), scope, depth) if place % 2 else piece
        if value is None or "${" in value:
            return None
        pieces.append(value)
    joined = "".join(pieces)
    return joined if len(joined) <= LONGEST else None


def _reference(text: str, scope: Scope, depth: int) -> str | None:
    """The value of a name: `name`, `var.name`, `symbol.name`, `parameters.name`."""
    name = _INDEX.sub("", text[: LONGEST + 1])
    if len(text) > LONGEST or not _REFERENCE.fullmatch(name):
        return None
    if name in scope.given:
        return scope.given[name]
    if name not in scope.known:
        scope.known[name] = None  # what is defined by itself comes to nothing
        scope.known[name] = evaluate(scope.definitions.get(name), scope, depth)
    return scope.known[name]


def _arm(text: str, scope: Scope, depth: int) -> str | None:
    """The value of a template expression of ARM JSON: parameters, variables, concat and format of them."""
    if "\n" in text or "'''" in text or len(text) > LONGEST * 4:
        return None
    try:
        return _arm_value([token for token in tokens(text, Language.BICEP) if token.kind != "newline"], scope, depth)
    except BrokenError:
        return None


def _arm_value(found: Sequence[Token], scope: Scope, depth: int) -> str | None:
    if len(found) == 1 and found[0].kind == "text":
        return found[0].text
    if not _is_call(found) or depth > DEEPEST:
        return None
    return _arm_call(found[0].text.lower(), list(_arguments(found[2:-1])), scope, depth)


def _arm_call(name: str, arguments: Sequence[Sequence[Token]], scope: Scope, depth: int) -> str | None:
    if name in {"parameters", "variables"}:
        return _reference(f"{name}.{arguments[0][0].text}", scope, depth) if len(arguments[0]) == 1 else None
    values = [_arm_value(argument, scope, depth + 1) for argument in arguments]
    if any(value is None for value in values):
        return None
    texts = [value for value in values if value is not None]
    if name == "concat":
        return "".join(texts)
    if name == "format":
        return _HOLES.sub(lambda hole: texts[int(hole[1]) + 1] if int(hole[1]) + 1 < len(texts) else "", texts[0])
    return texts[0] if name in _SAME and len(texts) == 1 else None


def _arguments(found: Sequence[Token]) -> Iterator[Sequence[Token]]:
    depth, start = 0, 0
    for place, token in enumerate(found):
        depth += (token.text in "([" and token.kind == "sign") - (token.text in ")]" and token.kind == "sign")
        if token.text == "," and depth == 0:
            yield found[start:place]
            start = place + 1
    yield found[start:]
