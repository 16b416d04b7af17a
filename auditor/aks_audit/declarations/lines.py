"""The line of a declaration that decides what was read at a JSON pointer in the resource's body."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from aks_audit.declarations.azurerm import WRITTEN, Written
from aks_audit.declarations.declared import Declaration
from aks_audit.declarations.names import Scope, evaluate
from aks_audit.declarations.text import Node


class Found(NamedTuple):
    """A declaration with the values under which it is that of a resource, and that resource's names."""

    declaration: Declaration
    scope: Scope
    names: tuple[str, ...]


Child: TypeAlias = Callable[[Found, str, tuple[str, ...]], Found | None]
"""Finds what is declared apart from what it is part of, by type and names."""

_CHILDREN: Mapping[str, str] = {"agentpoolprofiles": "agentpools"}
"""Lists whose items are resources of their own by another name."""

_PLAIN = Written("", "", {}, {})
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Step(NamedTuple):
    """One part of a pointer: a name, and where it leads into a list by a place, the item's own name or text."""

    name: str
    item: str | None = None
    place: int | None = None


def steps(pointer: str, body: object) -> Iterator[Step]:
    """The parts of a pointer; a place in a list goes with the list, by what is there: files have their own order."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    value, name = body, ""
    for part in parts:
        if isinstance(value, list) and part.isdecimal() and part.isascii() and len(part) < 7:  # noqa: PLR2004 - no list is longer
            value = value[int(part)] if int(part) < len(value) else None
            yield Step(name, _name(value), int(part))
            name = ""
        else:
            if name:
                yield Step(name)
            name = part
            value = _value(value, part)
    if name:
        yield Step(name)


def _value(body: object, name: str) -> object:
    if not isinstance(body, dict):
        return None
    return body[name] if name in body else next((body[key] for key in body if key.lower() == name.lower()), None)


def _name(value: object) -> str | None:
    found: Any = value.get("name") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def place(found: Found, way: Sequence[Step], child: Child) -> tuple[str, int]:
    """The file and line of what a way leads to, or of the nearest thing around it that is written.

    What is declared as a resource of its own is followed there.
    """
    written = found.declaration.written
    return _terraform(found, way, child, written) if written else _arm(found, way, child)


def _arm(found: Found, way: Sequence[Step], child: Child) -> tuple[str, int]:
    """In Bicep and ARM JSON, where names are the body's; a pool that stands apart has `properties` around them."""
    node, file = found.declaration.node, found.declaration.file
    for number, step in enumerate(way, 1):
        around = node.named("properties")
        inner = node.named(step.name) or (around.named(step.name) if around else None)
        if inner is None and found.declaration.flat:
            inner = _anywhere(node, step, found.scope) if step.place is not None else node
        if step.place is not None:
            item = _item(inner, step, found.scope) if inner else None
            if item is None and (apart := _apart(found, step, child)):
                return place(apart, way[number:], child)
            if item is None:
                return file, (inner or node).line
            inner = item
        if inner is None:
            return file, node.line
        node = inner
    return file, node.line


def _anywhere(node: Node, step: Step, scope: Scope) -> Node | None:
    """Whichever list has the item."""
    lists = (entry.value for entry in node.entries if entry.value.items)
    return next((one for one in lists if _item(one, step, scope)), None)


def _terraform(found: Found, way: Sequence[Step], child: Child, written: Written) -> tuple[str, int]:
    """In Terraform: by the arguments that the provider has for Azure's paths."""
    base = best = found.declaration.node
    file, path = found.declaration.file, []
    for number, step in enumerate(way, 1):
        if step.name.lower() != "properties":
            path.append(step.name)
        best, whole = _argument(base, path, written)
        if step.place is None:
            continue
        item = _item(best, step, found.scope) if whole else None
        if item is None and (apart := _apart(found, step, child)):
            return place(apart, way[number:], child)
        if item is None:
            return file, best.line
        written = WRITTEN.get(written.lists.get("/".join(path).lower(), ""), _PLAIN)
        base, best, path = item, item, []
    return file, best.line


def _argument(base: Node, path: Sequence[str], written: Written) -> tuple[Node, bool]:
    """What is written for a path, or for the longest beginning of it, and whether it is for the whole of it."""
    lower = [name.lower() for name in path]
    for end in range(len(path), -1, -1):
        for argument in written.arguments.get("/".join(lower[:end]), ()) if end else ("",):
            start = _inside(base, argument.split("/")) if argument else base
            if start:
                return _by_case(start, path[end:])
    return base, False


def _inside(node: Node | None, names: Sequence[str]) -> Node | None:
    for name in names:
        node = _only(node).named(name) if node else None
    return node


def _only(node: Node) -> Node:
    """The one block of a list of one."""
    return node.items[0] if len(node.items) == 1 and not node.entries else node


def _by_case(node: Node, path: Sequence[str]) -> tuple[Node, bool]:
    """Further in by names that differ from Azure's in how words are joined."""
    for name in path:
        snake = _WORD.sub("_", name).lower()
        ways = (snake, snake.removesuffix("s"), f"{snake.removeprefix('enable_')}_enabled", f"{snake}_id")
        inner = next(filter(None, (_only(node).named(one) for one in ways)), None)
        if inner is None:
            return node, False
        node = inner
    return node, True


def _item(node: Node, step: Step, scope: Scope) -> Node | None:
    """The item of a list that has the name, or is the text; a block that stands alone is a list of one."""
    if step.item is None:
        return None
    wanted = step.item.lower()
    for item in node.items or (node,):
        told = evaluate(item.named("name") if item.entries else item, scope)
        if told is not None and told.lower() == wanted:
            return item
    return None


def _apart(found: Found, step: Step, child: Child) -> Found | None:
    lower = step.name.lower()
    kind = f"{found.declaration.type}/{_CHILDREN.get(lower, lower)}"
    return child(found, kind, (*found.names, step.item.lower())) if step.item else None
