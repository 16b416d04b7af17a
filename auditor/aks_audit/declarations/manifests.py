"""The objects that plain Kubernetes manifests declare, each with the line where its document begins."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from aks_audit.declarations.names import plural

_KEY = re.compile(r"(?P<indent> *)(?P<name>apiVersion|kind|metadata|namespace|name):(?:\s+(?P<value>.*))?$")
_VALUE = re.compile(r"""(?P<quote>["']?)(?P<text>[A-Za-z0-9][\w.:/-]*)(?P=quote)\s*(?:#.*)?$""")
_OTHER_KEY = re.compile(r"(?P<indent> *)[^\s#-]")


class Object(NamedTuple):
    """An object: its type as kubectl writes it, `networkpolicies.networking.k8s.io`, and its namespace and name."""

    type: str
    names: tuple[str, ...]
    line: int


def objects(text: str) -> Iterator[Object]:
    """The objects of a file, which may hold several documents; templates whose names are not written are left out."""
    start, lines = 1, text.split("\n")
    for number, line in enumerate([*lines, "---"], 1):
        if line.startswith("---"):
            yield from _object(lines[start - 1 : number - 1], start)
            start = number + 1


def _object(lines: list[str], start: int) -> Iterator[Object]:
    told = _told(lines)
    if told.keys() >= {"apiVersion", "kind", "name"}:
        begins = next(number for number, line in enumerate(lines, start) if line.strip() and line.lstrip()[0] != "#")
        group = told["apiVersion"].rpartition("/")[0]
        kind = plural(told["kind"].lower())
        names = (*((told["namespace"],) if "namespace" in told else ()), told["name"])
        yield Object(f"{kind}.{group}".lower() if group else kind, tuple(name.lower() for name in names), begins)


def _told(lines: list[str]) -> Mapping[str, str]:
    """What a document says of its object: two keys at its margin, and two right below `metadata`."""
    told: dict[str, str] = {}
    within, margin = False, 0
    for line in lines:
        other = _OTHER_KEY.match(line)
        if other and not other["indent"]:
            within, margin = line.startswith("metadata:"), 0
        elif other and within and not margin:
            margin = len(other["indent"])
        key = _KEY.match(line)
        value = _VALUE.match(key["value"].strip()) if key and key["value"] else None
        if key and value and len(key["indent"]) == (margin if within else 0):
            right = key["name"] in ({"name", "namespace"} if within else {"apiVersion", "kind"})
            if right:
                told.setdefault(key["name"], value["text"])
    return told
