"""What is left out of an object when it is read: secrets, and what is large and says nothing about security."""

import re
from collections.abc import Mapping
from typing import Any

from aks_audit.sources.scrub import SECRET_KEYS, scrub

LONGEST_TEXT = 16_384
"""How many characters a string may have; a longer one is a blob that no rule knows."""

_LEFT_OUT = "***"
_TOO_LONG = f"{_LEFT_OUT} (longer than {LONGEST_TEXT:,} characters)"

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_WITH_VALUES = frozenset({"env", "httpHeaders"})
_COMMANDS = frozenset({"args", "command"})
_DROPPED = frozenset({"caBundle", "managedFields"})

_SECRET = re.compile(
    r"passw(?:or)?d|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential|(?:^|[-_.])sas",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(r"(?<![\w.-])(?P<name>[\w.-]+)(?P<sign>\s*[=:]\s*)(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;&'\"]+)")


def trim(body: Mapping[str, Any]) -> dict[str, Any]:
    """Give an object without what is left out.

    Dropped: managed fields, the last applied configuration, values of environment variables and of probes' headers,
    what a command line sets a password, key or token to, certificate bundles, a node's list of images, strings longer
    than `LONGEST_TEXT`, and every string that `scrub` drops from Azure's bodies.
    """
    trimmed: dict[str, Any] = {key: _value(key, value) for key, value in body.items() if key not in _DROPPED}
    status = trimmed.get("status")
    if isinstance(status, dict):
        status.pop("images", None)
    return trimmed


def _value(key: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        if key == "annotations":
            value = {name: text for name, text in value.items() if name != _LAST_APPLIED}
        return {
            name: _value(name, item)
            for name, item in value.items()
            if name not in _DROPPED and not _is_secret(name, item)
        }
    if isinstance(value, list):
        if key in _WITH_VALUES:
            return [_named(item) for item in value]
        if key in _COMMANDS:
            return _command(value)
        return [_value("", item) for item in value]
    return value


def _is_secret(name: str, value: object) -> bool:
    """Whether a string is one of those that are never kept; an object called so, such as a volume's, only points."""
    return isinstance(value, str) and name.lower() in SECRET_KEYS


def _text(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        return _TOO_LONG
    return str(scrub(text))


def _named(item: Any) -> Any:  # noqa: ANN401 - any JSON value
    """An environment variable or a header: its name, and where its value comes from, but not the value."""
    if not isinstance(item, dict):
        return _LEFT_OUT
    return {key: _value(key, value) for key, value in item.items() if key != "value"}


def _command(words: list[Any]) -> list[Any]:
    """The words of a command line, without what a secret is set to."""
    kept: list[Any] = []
    hide = False
    for word in words:
        kept.append(_LEFT_OUT if hide else _without_values(_text(word)) if isinstance(word, str) else _value("", word))
        hide = isinstance(word, str) and word.startswith("-") and "=" not in word and bool(_SECRET.search(word))
    return kept


def _without_values(text: str) -> str:
    def hidden(found: re.Match[str]) -> str:
        return f"{found['name']}{found['sign']}{_LEFT_OUT}" if _SECRET.search(found["name"]) else found[0]

    return _ASSIGNED.sub(hidden, text)
