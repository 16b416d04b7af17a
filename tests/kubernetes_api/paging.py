"""How lists are parted into pages: continue tokens that name a revision of etcd and the key to go on after."""

import base64
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from kubernetes_api import answers
from resource_manager.answers import Answer

_LATER = 6
"""How much later a revision is after etcd was compacted, as recorded."""

_ANY = -1
"""Stands in a token for whatever revision there is."""


@dataclass(frozen=True, slots=True)
class Item:
    """An object as JSON, under the key by which etcd sorts it."""

    key: str
    body: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects of a list, and the metadata of the list that comes with them."""

    items: Sequence[Item]
    metadata: dict[str, Any]


class Pages:
    """Parts lists; with `expire`, what a list was begun with is gone when it is first continued. Not for threads."""

    def __init__(self, *, expire: bool) -> None:
        self._expire = expire
        self._compacted: set[str] = set()

    def page(self, path: str, items: Sequence[Item], revision: int, limit: int, token: str | None) -> Page | Answer:
        """The page of a list that a token asks for, of at most `limit` items (0: all)."""
        now = revision + _LATER if path in self._compacted else revision
        start = 0
        if token is not None:
            try:
                asked, after = _decode(token)
            except ValueError as error:
                return answers.bad_continue(str(error))
            if asked != _ANY and self._is_gone(path, asked, now):
                return answers.expired(_encode(_ANY, after))
            start = bisect_right(items, after, key=lambda item: item.key)
        shown = items[start : start + limit] if limit else items[start:]
        metadata: dict[str, Any] = {"resourceVersion": str(now)}
        remaining = len(items) - start - len(shown)
        if remaining:
            metadata |= {"continue": _encode(now, shown[-1].key), "remainingItemCount": remaining}
        return Page(shown, metadata)

    def _is_gone(self, path: str, asked: int, now: int) -> bool:
        if self._expire and path not in self._compacted:
            self._compacted.add(path)
            return True
        return asked != now


def _encode(revision: int, after: str) -> str:
    # The start is the first key that may follow, as etcd has it.
    token = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": f"{after}\0"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


class _Token(msgspec.Struct):
    rv: int
    start: str


def _decode(token: str) -> tuple[int, str]:
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise ValueError("illegal base64 data at input byte 0") from None
    try:
        found = msgspec.json.decode(data, type=_Token)
    except msgspec.DecodeError:
        first = repr(chr(data[0])) if data else "''"
        raise ValueError(f"invalid character {first} looking for beginning of value") from None
    return found.rv, found.start.removesuffix("\0")
