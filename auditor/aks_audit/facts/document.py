"""A resource as it was read: its body, what it is, and where it stands."""

from typing import Any

import msgspec

from aks_audit.results import Location, Place


class Document(msgspec.Struct, frozen=True):
    """One resource of the snapshot. `id` is spelled as Azure sent it; ids are compared without case."""

    id: str
    type: str
    body: dict[str, Any]
    location: Location | None = None

    def place(self, pointer: str) -> Place:
        """The line of a JSON pointer in the body printed with two spaces and sorted keys (from 1).

        The path is stable for the resource: no version, time or machine is in it. A pointer to a value that the
        body does not hold gives the line of the nearest object around it.
        """
        rendered = msgspec.json.format(msgspec.json.encode(self.body, order="sorted"), indent=2).decode()
        printed = rendered.splitlines()
        line = _line(self.body, [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]])
        return Place(path=evidence_path(self.id), line=line, text=printed[line - 1].strip())


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


def _height(value: object) -> int:
    """How many lines a value takes when printed."""
    if isinstance(value, dict) and value:
        return 2 + sum(_height(item) for item in value.values())
    if isinstance(value, list) and value:
        return 2 + sum(_height(item) for item in value)
    return 1


def _line(value: object, path: list[str]) -> int:
    """The line, from 1, at which the value at `path` (or the nearest one around it) begins."""
    line = 1
    for name in path:
        if isinstance(value, dict) and name in value:
            line += 1 + sum(_height(item) for key, item in sorted(value.items()) if key < name)
            value = value[name]
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            line += 1 + sum(_height(item) for item in value[: int(name)])
            value = value[int(name)]
        else:
            break
    return line
