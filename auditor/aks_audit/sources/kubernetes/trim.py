"""What is left out of an object when it is read: secrets, and what is large and says nothing about security."""

import re
from functools import lru_cache
from typing import Any

from aks_audit.snapshot import DEEPEST
from aks_audit.sources.scrub import is_secret, scrub

LONGEST_TEXT = 16_384
"""How many characters a string may have; a longer one is a blob that no rule knows."""

_LEFT_OUT = "***"
_TOO_LONG = f"{_LEFT_OUT} (longer than {LONGEST_TEXT:,} characters)"

_WITH_VALUES = frozenset({"env", "httpHeaders"})
_COMMANDS = frozenset({"args", "command"})
_SHORT = 80
_MANY = 200
_LONGEST_NAME = 1024
"""How many properties an object may have whose shape is remembered, and how many characters their names: what nobody
would send but to fill our memory is not remembered. Of what has a longer name no text is kept."""
_DROPPED = frozenset({"binaryData", "caBundle"})
_MANAGED = "managedFields"
_VERSION = re.compile(
    r"(?:[a-z0-9]{1,63}(?:[.-][a-z0-9]{1,63}){0,9}/)?v[0-9]{1,2}(?:(?:alpha|beta)[0-9]{1,2})?", re.ASCII
)
"""A version of an API, as `apiVersion` names it."""

_APPLIED = re.compile(r"last-?applied|\.cattle\.io/applied$", re.IGNORECASE)
"""Annotations that hold the whole object as it was applied, with all that is left out of it."""

_LABELS = frozenset({"labels", "matchLabels", "nodeSelector", "selector"})
_SELECTORS = frozenset({"namespaceSelector", "notSelector", "selector", "serviceAccountSelector"})
"""What these hold is compared with each other and with what rules know, and never secret."""

_REFERENCE = re.compile(r"(?:^|\.)(?:cert-manager|istio|k8s|kubernetes|nginx)\.(?:io|org)/[\w.-]*secrets?$")
"""Annotations that name a Secret, as an ingress does whose users sign in."""

_SWITCHES = frozenset({"", "false", "true"})

_NAMES = _DROPPED | _COMMANDS | _WITH_VALUES | {_MANAGED}

_WORDS = (
    r"pass(?:word|wd|phrase)|pwd|secret|token|(?:access|account|api|private)[-_]?key|connection[-_]?string|credential"
)
_SECRET = re.compile(rf"{_WORDS}|(?:^|[-_.])sas", re.IGNORECASE)
_LINE = re.compile(
    r"^(?P<kept>[ \t]*(?:[\w-]*(?:passw(?:or)?d|secret|token|access_key)|credentials)[ \t]+)[^\s{].*$",
    re.IGNORECASE | re.MULTILINE,
)
"""A line that sets a secret without a sign, as those of a Corefile do."""

_PAIR = re.compile(
    rf"(?P<kept>\bname\\*[\"']?\s*:\s*\\*[\"']?[\w.-]{{0,80}}?(?:{_WORDS})[\w.-]{{0,80}}\\*[\"']?(?:\s*,)?\s*"
    r"\\*[\"']?value\\*[\"']?\s*:\s*)(?:\\*\"[^\"]*\"?|\\*'[^']*'?|[^\s\"'&;,<>\\]+)",
    re.IGNORECASE,
)
"""An environment variable in a text, JSON or YAML."""

_ASSIGNED = re.compile(r"(?<![\w.-])(?P<name>[\w.-]+)(?P<sign>\s*[=:]\s*)(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;&'\"]+)")


def trim(body: dict[str, Any]) -> dict[str, Any]:
    """Take out of an object, in place, what is left out, and give it back.

    Dropped: managed fields, but for the versions of the API that the object was written by, the last applied
    configuration, values of environment variables and of probes' headers, what a command line sets a password, key or
    token to, certificate bundles, binary data, a node's list of images, strings longer than `LONGEST_TEXT`, and every
    string that `scrub` drops from Azure's bodies. Labels and selectors stay as they are: one that lacks a part selects
    something else.

    Raises:
        ValueError: it is nested deeper than a snapshot can hold.
    """
    status = body.get("status")
    if isinstance(status, dict):
        status.pop("images", None)
    level: list[Any] = [body]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                _trim_object(node, inner)
            else:
                _trim_list(node, inner)
        if not inner:
            return body
        level = inner
    raise ValueError(f"nested deeper than {DEEPEST} levels")


def _trim_object(node: dict[str, Any], inner: list[Any]) -> None:
    """Trim the strings of an object; the objects and lists in it go to `inner`."""
    try:
        ordinary = _ordinary(tuple(node))
    except _OddError:
        ordinary = False
    if not ordinary:
        _trim_by_name(node)
    for key, value in node.items():
        kind = type(value)
        if kind is str:
            if key not in _SELECTORS:
                node[key] = _short(value) if len(value) <= _SHORT else _text(value)
        elif kind is list or (kind is dict and not (key in _LABELS and _is_flat(value))):
            inner.append(value)


def _is_flat(node: dict[str, Any]) -> bool:
    return all(type(value) is str for value in node.values())


def _trim_list(node: list[Any], inner: list[Any]) -> None:
    for index, item in enumerate(node):
        if isinstance(item, str):
            node[index] = _text(item)
        elif isinstance(item, (dict, list)):
            inner.append(item)


def _trim_by_name(node: dict[str, Any]) -> None:
    """Trim the properties of an object whose name says what they hold."""
    if _is_secret_pair(node):
        del node["value"]
    for key, value in list(node.items()):
        if key in _DROPPED or (isinstance(value, str) and _is_secret(key) and value.lower() not in _SWITCHES):
            del node[key]
        elif key == _MANAGED:
            _keep_versions(node, value)
        elif isinstance(value, list):
            node[key] = _list(key, value)
        elif isinstance(value, dict) and key in _WITH_VALUES:
            node[key] = {name: item for name, item in value.items() if not isinstance(item, str)}
        if key in node and (name := _short(key) if len(key) <= _LONGEST_NAME else _TOO_LONG) != key:
            node[name] = node.pop(key)


def _keep_versions(node: dict[str, Any], managers: Any) -> None:  # noqa: ANN401 - any JSON value
    """Of the managed fields of an object keep each version once, without who wrote by it, what and when."""
    named = [one.get("apiVersion") for one in managers if isinstance(one, dict)] if isinstance(managers, list) else []
    versions = dict.fromkeys(one for one in named if isinstance(one, str) and _VERSION.fullmatch(one))
    if versions:
        node[_MANAGED] = [{"apiVersion": one} for one in versions]
    else:
        del node[_MANAGED]


def _is_secret_pair(node: dict[str, Any]) -> bool:
    """Whether it is a setting, by name and value, that is called like a secret."""
    name = node.get("name")
    return isinstance(node.get("value"), str) and isinstance(name, str) and _is_secret(name)


def _list(key: str, items: list[Any]) -> list[Any]:
    """A list whose name says what it holds."""
    if key in _COMMANDS:
        return _command(items)
    if key in _WITH_VALUES:
        return [_named(item) for item in items]
    return [_LEFT_OUT if isinstance(item, str) else item for item in items] if _is_secret(key) else items


@lru_cache(maxsize=4096)
def _ordinary(keys: tuple[str, ...]) -> bool:
    """Whether no property so named is trimmed by its name; objects have the same few shapes.

    Raises:
        _OddError: it is none of these shapes. What raises is not remembered.
    """
    if len(keys) > _MANY or any(len(key) > _LONGEST_NAME for key in keys):
        raise _OddError
    return not any(key in _NAMES or _is_secret(key) or _short(key) != key for key in keys) and not (
        "name" in keys and "value" in keys
    )


class _OddError(Exception):
    """An object has more properties, or longer names of them, than those of Kubernetes have."""


def _is_secret(key: str) -> bool:
    """Whether a string so called is never kept."""
    return len(key) > _LONGEST_NAME or _is_named_secret(key)


@lru_cache(maxsize=4096)
def _is_named_secret(key: str) -> bool:
    """Whether a string so called is never kept. An object so called, such as a volume's, only points to a Secret."""
    return bool(_APPLIED.search(key)) or (is_secret(key) and not _REFERENCE.search(key))


def _text(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        return _TOO_LONG
    text = str(scrub(text))
    if "value" in text:
        text = _PAIR.sub(rf"\g<kept>{_LEFT_OUT}", text)
    return _LINE.sub(rf"\g<kept>{_LEFT_OUT}", text) if "\n" in text else text


_short = lru_cache(maxsize=50_000)(_text)
"""`_text` of short texts, which are the same in many objects."""


def _named(item: Any) -> Any:  # noqa: ANN401 - any JSON value
    """An environment variable or a header: its name, and where its value comes from, but not the value."""
    return {key: value for key, value in item.items() if key != "value"} if isinstance(item, dict) else _LEFT_OUT


def _command(words: list[Any]) -> list[Any]:
    """The words of a command line, without what a secret is set to."""
    kept: list[Any] = []
    hide = False
    for word in words:
        kept.append(_LEFT_OUT if hide else _without_values(_text(word)) if isinstance(word, str) else word)
        hide = isinstance(word, str) and word.startswith("-") and "=" not in word and bool(_SECRET.search(word))
    return kept


def _without_values(text: str) -> str:
    def hidden(found: re.Match[str]) -> str:
        return f"{found['name']}{found['sign']}{_LEFT_OUT}" if _SECRET.search(found["name"]) else found[0]

    return _ASSIGNED.sub(hidden, text)
