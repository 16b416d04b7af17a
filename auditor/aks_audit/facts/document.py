"""A resource as it was read: its body, what it is, and where it stands."""

import hashlib
import re
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from aks_audit.facts.resource_id import fold
from aks_audit.results import Index, Location, Place

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_TEXT = 200
"""How many characters of a line a place shows."""

_LONGEST_NAME = 160


class Document:
    """One resource of the snapshot, of which `load` reads the body. `id` is as Azure sent it, compared without case.

    `index` is what the body was read from and when, where that was not the resource itself.
    """

    __slots__ = (
        "_body",
        "_lines",
        "_load",
        "_names",
        "_path",
        "_places",
        "_printed",
        "id",
        "index",
        "location",
        "type",
        "views",
    )

    def __init__(
        self,
        resource_id: str,
        kind: str,
        load: "Callable[[Document], dict[str, Any]]",
        location: Location | None = None,
        index: tuple[Index | None, str | None] = (None, None),
    ) -> None:
        self.id = resource_id
        self.type = kind
        self._load = load
        self._body: dict[str, Any] | None = None
        self.location = location
        self.index = index
        self.views: dict[type[Any], Any] = {}
        """What the resource is as a fact, by its kinds."""
        self._path = ""
        self._names: frozenset[str] | Literal[False] | None = False
        self._printed = ""
        self._places: dict[str, Place] = {}
        self._lines: dict[str, _Line] = {}

    @property
    def body(self) -> dict[str, Any]:
        """The body as on the wire; it is read when it is first asked for."""
        if self._body is None:
            self._body = self._load(self)
        return self._body

    @property
    def names(self) -> frozenset[str] | None:
        """The keys of all objects in the body, in lower case: what is none of them is nowhere in it.

        None where some object has two keys that differ in case alone, so that neither can be believed.
        """
        if self._names is False:
            keys = _keys(self.body)
            lower = _lower(keys)
            self._names = None if len(lower) < len(keys) and _has_twins(self.body) else lower
        return self._names

    def place(self, pointer: str) -> Place:
        """The line of a JSON pointer in the body printed with two spaces and sorted keys (from 1).

        The path is stable for the resource: no version, time or machine is in it. A pointer to a value that the
        body does not hold gives the line of the nearest object around it.
        """
        if pointer not in self._places:
            self._places[pointer] = self._place(pointer)
        return self._places[pointer]

    def _place(self, pointer: str) -> Place:
        printed = self.printed()
        found = self._line(pointer)
        text = printed[found.start : printed.index("\n", found.start)].strip()
        return Place(path=self._path, line=found.number, text=text[:LONGEST_TEXT])

    def _line(self, pointer: str) -> "_Line":
        """Where what a pointer names stands in the body as printed, or the nearest object around it.

        What is inside an object or list stands below it, two spaces further in than itself, and nothing else does.
        """
        if not pointer:
            return _Line(0, 1, self.body)
        if pointer not in self._lines:
            around, _, part = pointer.rpartition("/")
            self._lines[pointer] = self._line(around).below(part, "\n" + "  " * pointer.count("/"), self.printed())
        return self._lines[pointer]

    def forget(self) -> None:
        """Let go of what can be had again."""
        self._body = None
        self._printed = ""
        self._places = {}
        self._lines = {}
        for view in self.views.values():
            view.read_fields = None

    def printed(self) -> str:
        """The body printed with two spaces and sorted keys: the file that `place` counts the lines of."""
        if not self._printed:
            encoded = msgspec.json.encode(self.body, order="sorted")
            self._printed = msgspec.json.format(encoded, indent=2).decode() + "\n"
            self._path = evidence_path(self.id)
        return self._printed


class _Line(NamedTuple):
    """Where a line of a printed body begins, its number from 1, and the value that begins there."""

    start: int
    number: int
    value: object

    def below(self, part: str, indent: str, printed: str) -> "_Line":
        """The line of a part of the value, by a step of a pointer; where there is none, this line and nothing."""
        name, value = part.replace("~1", "/").replace("~0", "~"), self.value
        if isinstance(value, dict) and name in value:
            start = printed.index(f"{indent}{_written(name)}:", self.start) + 1
            value = value[name]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            items = re.compile(indent + r"[^ \]}]").finditer(printed, self.start)
            start = next(islice(items, int(part), None)).start() + 1
            value = value[int(part)]
        else:
            return self._replace(value=None)
        return _Line(start, self.number + printed.count("\n", self.start, start), value)


@lru_cache(maxsize=8192)
def _written(key: str) -> str:
    """A key as JSON."""
    return msgspec.json.encode(key).decode()


def evidence_path(resource_id: str) -> str:
    """A relative path for a resource: `aks-audit/<subscription>/<group>/<type>/<name>.json`.

    It is lower case, and is the same as a name of a file and as a URI: what may not stand in both is written as `~` and
    two digits for each byte. No part of it leads out of the folder, and two ids differ where they are two resources.
    """
    parts = fold(resource_id).strip("/").split("/")
    if parts[4:5] == ["providers"] and parts[2] == "resourcegroups":
        parts = [parts[1], parts[3], *parts[6:]]
    folders = [_safe(re.sub(r"\.json$", "~json", part)) for part in parts[:-1]]  # no folder is called as a file is
    return "/".join(["aks-audit", *folders, _safe(parts[-1])]) + ".json"


_UNSAFE = re.compile(r"[^a-z0-9_.-]|^\.|\.$")


def _safe(part: str) -> str:
    """A part of an id as the name of a file, which is neither special nor too long for a file system."""
    cleaned = (
        _UNSAFE.sub(lambda match: "".join(f"~{byte:02x}" for byte in match[0].encode(errors="surrogatepass")), part)
        or "~"
    )
    if len(cleaned) <= _LONGEST_NAME:
        return cleaned
    return f"{cleaned[: _LONGEST_NAME // 2]}~{hashlib.sha256(part.encode()).hexdigest()[:32]}"


@lru_cache(maxsize=1024)
def _lower(keys: frozenset[str]) -> frozenset[str]:
    """Keys in lower case; resources of a type have much the same, and share them."""
    return frozenset(map(str.lower, keys))


def _keys(body: dict[str, Any]) -> frozenset[str]:
    """Every key in a body."""
    keys: set[str] = set()
    values: list[object] = [body]
    for value in values:  # which grows by what is inside
        if isinstance(value, dict):
            keys.update(value)
            values += value.values()
        elif isinstance(value, list):
            values += value
    return frozenset(keys)


def _has_twins(value: object) -> bool:
    if isinstance(value, dict):
        return len({key.lower() for key in value}) < len(value) or any(map(_has_twins, value.values()))
    return isinstance(value, list) and any(map(_has_twins, value))
