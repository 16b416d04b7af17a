"""Calico's selector expressions: `app == 'web' && !has(canary) || zone in {'a', 'b'}`.

https://docs.tigera.io/calico/latest/reference/resources/networkpolicy#selector
"""

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from aks_audit.policies.model import ANYTHING, NOTHING, Expression, Not, Of, Operator, Requirement, Some
from aks_audit.policies.selectors import every, fits

DEEPEST = 50
"""How deep parentheses may stand in each other."""

_TOKEN = re.compile(
    r"""[ \t]*(?:
      (?P<string>"[^"]*"|'[^']*')
    | (?P<call>(?:all|global)\([ \t]*\))
    | has\([ \t]*(?P<has>[a-zA-Z0-9_./-]+)[ \t]*\)
    | (?P<label>[a-zA-Z0-9_./-]+)
    | (?P<sign>==|!=|&&|\|\||[(){},!])
    )""",
    re.VERBOSE,
)
_OPERATOR = re.compile(r"[ \t]*(?P<operator>contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in|==|!=)")

_ORCHESTRATOR = "projectcalico.org/orchestrator"
_NAMES = {
    "projectcalico.org/namespace": "namespace",
    "pcns.projectcalico.org/name": "namespace",
    "projectcalico.org/serviceaccount": "service account",
    "pcsa.projectcalico.org/name": "service account",
}
"""The labels by which Calico itself writes names down."""


class Scope(Enum):
    """Which field a selector stands in, which says whose labels it is about."""

    ENDPOINT = ""
    """`selector` and `notSelector`: the endpoint's own labels, and what Calico adds to them."""
    NAMESPACE = "pcns."
    """`namespaceSelector`: labels of the namespace; `all()` is everything in one, `global()` all in none."""
    SERVICE_ACCOUNT = "pcsa."
    """`serviceAccountSelector` and the `selector` of `serviceAccounts`."""


class SelectorError(ValueError):
    """A selector that Calico cannot read either."""


def parse(text: str, scope: Scope = Scope.ENDPOINT) -> Expression:
    """What a selector takes; the empty one takes everything.

    Raises:
        SelectorError: it is no selector, or its parentheses are nested deeper than `DEEPEST`.
    """
    tokens = tuple(_tokens(text))
    if not tokens:
        return _calls(scope)["all"]
    reader = _Reader(tokens, scope)
    found = reader.either(0)
    if reader.at < len(tokens):
        raise SelectorError(f"unexpected {tokens[reader.at].text!r}")
    return found


class _Token(NamedTuple):
    kind: str
    text: str


def _tokens(text: str) -> Iterator[_Token]:
    """Take a selector apart. Right after a label a word is an operator, as in `in in {'in'}`."""
    at, after_label = 0, False
    text = text.rstrip(" \t")
    while at < len(text):
        found = (_OPERATOR if after_label else _TOKEN).match(text, at)
        if not found or not found.lastgroup:
            raise SelectorError(f"unexpected {text[at : at + 20]!r}")
        kind = found.lastgroup
        yield _Token(kind, found[kind])
        at, after_label = found.end(), kind == "label"


class _Reader:
    """Reads tokens as Calico's grammar has it: `||` binds least, then `&&`, then `!`."""

    def __init__(self, tokens: tuple[_Token, ...], scope: Scope) -> None:
        self.at = 0
        self._tokens = tokens
        self._scope = scope

    def either(self, depth: int) -> Expression:
        """Terms with `||` between them."""
        parts = [self._all(depth)]
        while self._take("sign", "||"):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _all(self, depth: int) -> Expression:
        parts = [self._one(depth)]
        while self._take("sign", "&&"):
            parts.append(self._one(depth))
        return every(*parts)

    def _one(self, depth: int) -> Expression:
        negated = False
        while self._take("sign", "!"):
            negated = not negated
        found = self._operation(depth)
        return Not(found) if negated else found

    def _operation(self, depth: int) -> Expression:
        token = self._next()
        match token.kind, token.text:
            case "has", label:
                return _required(self._scope, label, "exists", ())
            case "call", call:
                return _calls(self._scope)[call.partition("(")[0]]
            case "label", label:
                return self._comparison(label)
            case "sign", "(" if depth < DEEPEST:
                found = self.either(depth + 1)
                self._must("sign", ")")
                return found
            case _:
                raise SelectorError(f"unexpected {token.text!r}")

    def _comparison(self, label: str) -> Expression:
        operator = re.sub(r"[ \t]+", "", self._must("operator").text)
        if operator in {"in", "notin"}:
            found = _required(self._scope, label, "in", self._set())
            return found if operator == "in" else Not(found)
        value = self._must("string").text[1:-1]
        comparisons: dict[str, Operator] = {
            "==": "in", "!=": "in", "contains": "contains", "startswith": "starts with", "endswith": "ends with",
        }  # fmt: skip
        found = _required(self._scope, label, comparisons[operator], (value,))
        return Not(found) if operator == "!=" else found

    def _set(self) -> Iterable[str]:
        self._must("sign", "{")
        values: list[str] = []
        while token := self._take("string"):
            values.append(token.text[1:-1])
            if not self._take("sign", ","):
                break
        self._must("sign", "}")
        return values

    def _next(self) -> _Token:
        if self.at == len(self._tokens):
            raise SelectorError("unexpected end")
        self.at += 1
        return self._tokens[self.at - 1]

    def _take(self, kind: str, text: str | None = None) -> _Token | None:
        """The next token, if it is such a one."""
        if self.at < len(self._tokens):
            token = self._tokens[self.at]
            if token.kind == kind and text in {None, token.text}:
                self.at += 1
                return token
        return None

    def _must(self, kind: str, text: str | None = None) -> _Token:
        token = self._take(kind, text)
        if not token:
            raise SelectorError(f"expected {text or kind!r}")
        return token


def _calls(scope: Scope) -> dict[str, Expression]:
    if scope is Scope.ENDPOINT:
        return {"all": ANYTHING, "global": ANYTHING}
    name = "namespace" if scope is Scope.NAMESPACE else "service account"
    inside = Requirement(Of.NAME, name, "exists")
    return {"all": inside, "global": Not(inside)}


def _required(scope: Scope, label: str, operator: Operator, values: Iterable[str]) -> Expression:
    """One requirement. Calico keeps labels of namespaces and service accounts on endpoints, with a prefix."""
    key = f"{scope.value}{label}"
    if key in _NAMES:
        return Requirement(Of.NAME, _NAMES[key], operator, frozenset(values))
    if key == _ORCHESTRATOR:
        # Every pod has this label with this one value, and nothing else has it.
        fitting = fits(Requirement(Of.OWN, key, operator, frozenset(values)), "k8s")
        return Requirement(Of.NAME, "namespace", "exists") if fitting else NOTHING
    for prefixed, of in ((Scope.NAMESPACE, Of.NAMESPACE), (Scope.SERVICE_ACCOUNT, Of.SERVICE_ACCOUNT)):
        if key.startswith(prefixed.value):
            return Requirement(of, key.removeprefix(prefixed.value), operator, frozenset(values))
    return Requirement(Of.OWN, key, operator, frozenset(values))
