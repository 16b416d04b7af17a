"""A resource as it was read: its body, what it is, and where it stands."""

from typing import Any

import msgspec

from aks_audit.results import Index, Location, Place

_LONGEST_TEXT = 200


class Document:
    """One resource of the snapshot. `id` is spelled as Azure sent it; ids are compared without case.

    `index` is what the body was read from and when, where that was not the resource itself.
    """

    __slots__ = ("_ambiguous", "_lines", "_path", "body", "id", "index", "location", "type")

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
        self._lines: tuple[list[str], dict[str, int]] | None = None

    @property
    def ambiguous(self) -> bool:
        """Whether some object in the body has two keys that differ in case alone, so that neither can be believed."""
        if self._ambiguous is None:
            self._ambiguous = _has_twins(self.body)
        return self._ambiguous

    def place(self, pointer: str) -> Place:
        """The line of a JSON pointer in the body printed with two spaces and sorted keys (from 1).

        The path is stable for the resource: no version, time or machine is in it. A pointer to a value that the
        body does not hold gives the line of the nearest object around it.
        """
        if self._lines is None:
            encoded = msgspec.json.encode(self.body, order="sorted")
            printed = msgspec.json.format(encoded, indent=2).decode().split("\n")
            starts: dict[str, int] = {}
            _note_lines(self.body, "", 1, starts)
            self._lines = printed, starts
        printed, starts = self._lines
        while pointer not in starts:
            pointer = pointer.rpartition("/")[0]
        line = starts[pointer]
        self._path = self._path or evidence_path(self.id)
        return Place(path=self._path, line=line, text=printed[line - 1].strip()[:_LONGEST_TEXT])


def evidence_path(resource_id: str) -> str:
    """A relative path for a resource: `aks-audit/<subscription>/<group>/<type>/<name>.json`, lower case, URI-safe."""
    parts = [_safe(part) for part in resource_id.lower().strip("/").split("/")]
    if parts[4:5] == ["providers"] and parts[2] == "resourcegroups":
        parts = [parts[1], parts[3], *parts[6:]]
    return "/".join(["aks-audit", *parts]) + ".json"


def _safe(part: str) -> str:
    allowed = "abcdefghijklmnopqrstuvwxyz0123456789-_."
    cleaned = "".join(character if character in allowed else "_" for character in part)
    return cleaned.strip(".") or "_"


def _has_twins(value: object) -> bool:
    if isinstance(value, dict):
        return len({key.lower() for key in value}) < len(value) or any(map(_has_twins, value.values()))
    return isinstance(value, list) and any(map(_has_twins, value))


def _note_lines(value: object, pointer: str, line: int, starts: dict[str, int]) -> int:
    """Note at which line each value begins when printed, and give the line after it."""
    starts[pointer] = line
    if not isinstance(value, dict | list) or not value:
        return line + 1
    items = sorted(value.items()) if isinstance(value, dict) else enumerate(value)
    after = line + 1
    for key, item in items:
        name = str(key).replace("~", "~0").replace("/", "~1")
        after = _note_lines(item, f"{pointer}/{name}", after, starts)
    return after + 1
