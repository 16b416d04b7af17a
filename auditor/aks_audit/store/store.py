"""The few calls that a store answers. Names are relative and have `/` between their parts."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Protocol

from aks_audit.errors import AuditError
from aks_audit.progress import one_line

LARGEST_FILE = 2**31
LARGEST_NOTE = 2**20
"""How many bytes a file of a store, and one that tells of others, may have; a larger one is none of ours."""

UNFINISHED = ".part"
"""How the names of files end that are being written, or were when their writer ended."""

_PART = re.compile(r"[A-Za-z0-9._-]{1,200}")


class StoreError(AuditError):
    """A store cannot be used, or what it holds cannot; the message names place and remedy."""


class NotThereError(StoreError):
    """The store has no file of that name."""


class Entry(NamedTuple):
    """A file of a store: its name, its size in bytes, and when it was written."""

    name: str
    size: int
    modified: datetime


class Content(NamedTuple):
    """What a file holds, and the version that it has by it."""

    data: bytes
    version: str


class Store(Protocol):
    """A place that keeps files by name. A file is there whole or not at all, and every failure is a StoreError."""

    place: str
    """What people call it."""

    def check(self) -> None:
        """Raise where it cannot be used, so that nobody learns it after a long scan."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write a file, in place of what was there."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that is not there; whether it was not. Of several who try at once, one is told so."""
        ...

    def replace(self, name: str, data: bytes, version: str) -> bool:
        """Write a file in place of that version of it; whether that is what was there."""
        ...

    def fetch(self, name: str, most: int = LARGEST_FILE) -> Content:
        """Read a file of at most so many bytes; NotThereError where there is none."""
        ...

    def list(self, folder: str = "") -> Iterator[Entry]:
        """The files in a folder and the folders in it, by name; of a folder that is not there, none.

        What could not have been written by aks-audit (a link, a strange name) is left out, and said.
        """
        ...

    def delete(self, name: str, version: str | None = None) -> bool:
        """Delete a file, only that version where one is given; whether it was there."""
        ...


def is_name(name: str) -> bool:
    """Whether a name stays where it belongs: letters, digits, `.`, `-` and `_`, and no part that leads elsewhere."""
    return all(_PART.fullmatch(part) and part.strip(".") for part in name.split("/"))


def must_be_name(name: str) -> str:
    """The name, if it is one.

    Raises:
        StoreError: it is none.
    """
    if not is_name(name):
        raise StoreError(f"{one_line(name)!r} is no name for a store; use letters, digits, '.', '-' and '_'")
    return name
