"""A resource as it was read: its body, what it is, and where it stands."""

import hashlib
import re
from itertools import islice
from typing import Any

import msgspec

from aks_audit.facts.resource_id import fold
from aks_audit.results import Index, Location, Place

LONGEST_TEXT = 200
"""How many characters of a line a place shows."""

_LONGEST_NAME = 160


class Document:
    """One resource of the snapshot. `id` is spelled as Azure sent it; ids are compared without case.

    `index` is what the body was read from and when, where that was not the resource itself.
    """

    __slots__ = ("_ambiguous", "_path", "_printed", "body", "id", "index", "location", "type")

    def __init__(
        self,
        resource_id: str,
        kind: str,
        body: dict[str, Any],
        location: Location | None = None,
        index: tuple[Index | None, str | None] = (None, None),
    ) -> None:
        self.id = resource_id
        self.type = kind
        self.body = body
        self.location = location
        self.index = index
        self._path = ""
        self._ambiguous: bool | None = None
        self._printed = ""

    @property
    def ambiguous(self) -> bool:
        """Whether some object in the body has two keys that differ in case alone, so that neither can be believed."""
        if self._ambiguous is None:
            keys = _keys(self.body)
            self._ambiguous = len({key.lower() for key in keys}) < len(keys) and _has_twins(self.body)
        return self._ambiguous

    def place(self, pointer: str) -> Place:
        """The line of a JSON pointer in the body printed with two spaces and sorted keys (from 1).

        The path is stable for the resource: no version, time or machine is in it. A pointer to a value that the
        body does not hold gives the line of the nearest object around it.
        """
        printed = self.printed()
        start = _start_of(self.body, pointer, printed)
        text = printed[start : printed.index("\n", start)].strip()
        return Place(path=self._path, line=printed.count("\n", 0, start) + 1, text=text[:LONGEST_TEXT])

    def printed(self) -> str:
        """The body printed with two spaces and sorted keys: the file that `place` counts the lines of."""
        if not self._printed:
            encoded = msgspec.json.encode(self.body, order="sorted")
            self._printed = msgspec.json.format(encoded, indent=2).decode() + "\n"
            self._path = evidence_path(self.id)
        return self._printed


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


def _keys(body: dict[str, Any]) -> set[str]:
    """Every key in a body."""
    keys: set[str] = set()
    values: list[object] = [body]
    for value in values:  # which grows by what is inside
        if isinstance(value, dict):
            keys.update(value)
            values += value.values()
        elif isinstance(value, list):
            values += value
    return keys


def _has_twins(value: object) -> bool:
    if isinstance(value, dict):
        return len({key.lower() for key in value}) < len(value) or any(map(_has_twins, value.values()))
    return isinstance(value, list) and any(map(_has_twins, value))


def _start_of(value: object, pointer: str, printed: str) -> int:
    """Where the line begins, in the body as printed, of what a pointer names, or of the nearest object around it.

    What is inside an object or list stands below it, two spaces further in than itself, and nothing else does.
    """
    start, indent = 0, "\n"
    for part in pointer.split("/")[1:]:
        indent += "  "
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            start = printed.index(f"{indent}{msgspec.json.encode(name).decode()}:", start) + 1
            value = value[name]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            items = re.compile(indent + r"[^ \]}]").finditer(printed, start)
            start = next(islice(items, int(part), None)).start() + 1
            value = value[int(part)]
        else:
            break
    return start
