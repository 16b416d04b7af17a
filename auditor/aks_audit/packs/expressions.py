"""JMESPath over a body as it was read, where what is not there is not taken for false.

JMESPath gives null for a value that is not there, and null is false; so `!enabled` would be true of a body that lacks
`enabled`. Here whatever rests on a value that is not there raises `Absent`, whatever rests on a value of another type
than it is held against `Unfit`, and only true and false are taken for true and false. `a || b` is true where one of
them is, whether or not the other is there; `not_null(a, b)` is the first that is there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import jmespath
from jmespath.exceptions import JMESPathError, JMESPathTypeError
from jmespath.functions import Functions, signature

from aks_audit.results import JsonValue

Path: TypeAlias = tuple[str | int, ...]
"""The names and positions that lead to a value."""

_Value: TypeAlias = "JsonValue | _Expression"
_Node: TypeAlias = Mapping[str, Any]

_NEVER_ABSENT = frozenset({"properties", "metadata"})
"""What Azure and Kubernetes send with everything: where it is not there, the body lost it."""

_STEPS = frozenset({"subexpression", "index_expression", "projection", "value_projection", "filter_projection"})
"""What goes on from what its first part gives."""

_ORDERED: Mapping[str, Callable[[float, float], bool]] = {
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
}


class ExpressionError(Exception):
    """An expression that is not well formed; for its author."""


class Absent(Exception):  # noqa: N818 - a state of a body, not a mistake
    """The answer rests on a value that is not there: the body holds none, null, or an empty string."""


class Unfit(Exception):  # noqa: N818 - as above
    """The answer rests on a value of a type that the expression cannot take."""


class Expression:
    """An expression that answers true or false; without case in names and strings where it is `caseless`."""

    def __init__(self, text: str, *, caseless: bool) -> None:
        """Read the expression.

        Raises:
            ExpressionError: it is not JMESPath, calls what is no function, or could not read anything of a body.
        """
        try:
            self._node = jmespath.compile(text).parsed
            _check(self._node, Functions.FUNCTION_TABLE)
            self.paths = tuple(dict.fromkeys(_paths(self._node)))
        except JMESPathError as error:
            raise ExpressionError(" ".join(str(error).split())) from None
        except RecursionError:
            raise ExpressionError("nested too deep") from None
        if not self.paths:
            raise ExpressionError("it reads nothing, so its answer would rest on no evidence")
        self._reader = _Reader(caseless=caseless)

    def holds(self, body: JsonValue) -> bool:
        """Whether it is true of a body.

        Raises:
            Absent: that rests on a value that is not there.
            Unfit: it rests on a value of another type, or is neither true nor false.
        """
        try:
            return _truth(self._reader.read(self._node, body))
        except JMESPathTypeError as error:  # its own text holds the value, which may be large
            raise Unfit(f"{error.function_name}() does not take {error.actual_type}") from None
        except (JMESPathError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise Unfit(" ".join(str(error).split()) or type(error).__name__) from None

    def found(self, body: JsonValue) -> Iterator[tuple[Path, JsonValue]]:
        """The paths that it reads, as the body spells them, and what stands there (None: nothing)."""
        for path in self.paths:
            yield self._reader.follow(path, body)


class _Expression:
    """What functions such as `sort_by` ask of each item; they know it by the name of its class."""

    def __init__(self, expression: _Node, reader: "_Reader") -> None:
        self.expression = expression
        self._reader = reader

    def visit(self, node: _Node, value: JsonValue) -> _Value:
        """What it gives for an item."""
        return self._reader.read(node, value)


class _Cased(Functions):
    """The functions of JMESPath, save that nothing looks for an object: one that lost a value is another."""

    @signature({"types": ["array", "string"]}, {"types": ["string", "number", "boolean"]})
    def _func_contains(self, subject: "list[JsonValue] | str", search: JsonValue) -> bool:
        if isinstance(subject, str):
            return _text(search) in subject
        return any(_kind(item) == _kind(search) and item == search for item in subject)


class _Caseless(_Cased):
    """The functions that look for a string, without case."""

    @signature({"types": ["array", "string"]}, {"types": ["string", "number", "boolean"]})
    def _func_contains(self, subject: "list[JsonValue] | str", search: JsonValue) -> bool:
        if isinstance(subject, str):
            return _text(search).lower() in subject.lower()
        return any(_kind(item) == _kind(search) and _folded(item) == _folded(search) for item in subject)

    @signature({"types": ["string"]}, {"types": ["string"]})
    def _func_starts_with(self, search: str, prefix: str) -> bool:
        return search.lower().startswith(prefix.lower())

    @signature({"types": ["string"]}, {"types": ["string"]})
    def _func_ends_with(self, search: str, suffix: str) -> bool:
        return search.lower().endswith(suffix.lower())


class _Reader:
    """Walks an expression's tree; each method is for the nodes that it is called like."""

    def __init__(self, *, caseless: bool) -> None:
        self._caseless = caseless
        self._functions = _Caseless() if caseless else _Cased()

    def read(self, node: _Node, value: _Value) -> _Value:
        """What a node gives for a value."""
        walk: Callable[[_Node, _Value], _Value] = getattr(self, f"_{node['type']}")
        return walk(node, value)

    def follow(self, path: Path, body: JsonValue) -> tuple[Path, JsonValue]:
        """A path as the body spells it, and what stands there (None: nothing)."""
        value, spelt = body, list(path)
        for at, step in enumerate(path):
            if isinstance(value, dict) and isinstance(step, str):
                same = self._same(value, step)
                spelt[at] = same[0] if same else step
                value = value.get(str(spelt[at])) if len(same) < 2 else None  # noqa: PLR2004 - twins cannot be believed
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return tuple(spelt), None
        return tuple(spelt), value

    def _same(self, mapping: Mapping[str, JsonValue], name: str) -> list[str]:
        if not self._caseless:
            return [name] if name in mapping else []
        return [key for key in mapping if key.lower() == name.lower()]

    def _field(self, node: _Node, value: _Value) -> _Value:
        name: str = node["value"]
        if not isinstance(value, dict):
            raise Unfit(f"{name} is asked of {_kind(value)}")
        same = self._same(value, name)
        if len(same) > 1:
            raise Unfit(f"there is more than one {name}: {', '.join(same)}")
        found = value[same[0]] if same else None
        if found is None and name in _NEVER_ABSENT:
            raise Unfit(f"{name}, which is sent with everything, was lost")
        if found is None or found == "":
            raise Absent(f"{name} is not there")
        return found

    def _index(self, node: _Node, value: _Value) -> _Value:
        items, position = _list(value), node["value"]
        if not -len(items) <= position < len(items) or items[position] is None:
            raise Absent(f"there is no item {position}")
        return items[position]

    def _slice(self, node: _Node, value: _Value) -> _Value:
        return _list(value)[slice(*node["children"])]

    def _each(self, node: _Node, items: Iterable[JsonValue]) -> "list[JsonValue]":
        return [_there(self.read(node, item)) for item in items]

    def _projection(self, node: _Node, value: _Value) -> _Value:
        base, right = node["children"]
        return self._each(right, _list(self.read(base, value)))

    def _value_projection(self, node: _Node, value: _Value) -> _Value:
        base, right = node["children"]
        found = self.read(base, value)
        if not isinstance(found, dict):
            raise Unfit(f"expected an object, found {_kind(found)}")
        return self._each(right, found.values())

    def _filter_projection(self, node: _Node, value: _Value) -> _Value:
        base, right, condition = node["children"]
        items = _list(self.read(base, value))
        return self._each(right, [item for item in items if _truth(self.read(condition, item))])

    def _flatten(self, node: _Node, value: _Value) -> _Value:
        items = _list(self.read(node["children"][0], value))
        return [part for item in items for part in (item if isinstance(item, list) else [item])]

    def _comparator(self, node: _Node, value: _Value) -> _Value:
        left, right = (_there(self.read(child, value)) for child in node["children"])
        if _kind(left) != _kind(right):
            raise Unfit(f"{_kind(left)} is compared with {_kind(right)}")
        name = node["value"]
        if name in _ORDERED:
            if isinstance(left, (int, float)) and isinstance(right, (int, float)) and not isinstance(left, bool):
                return _ORDERED[name](left, right)
            raise Unfit(f"{_kind(left)} has no order; only numbers have")
        if _has_objects(left) or _has_objects(right):
            raise Unfit("objects are not compared, since one that lost a value is another; compare what they hold")
        same = _folded(left) == _folded(right) if self._caseless else left == right
        return same if name == "eq" else not same

    def _or_expression(self, node: _Node, value: _Value) -> _Value:
        left, right = node["children"]
        try:
            known = _truth(self.read(left, value))
        except (Absent, Unfit):
            if _truth(self.read(right, value)):
                return True
            raise
        return known or _truth(self.read(right, value))

    def _and_expression(self, node: _Node, value: _Value) -> _Value:
        left, right = node["children"]
        try:
            known = _truth(self.read(left, value))
        except (Absent, Unfit):
            if not _truth(self.read(right, value)):
                return False
            raise
        return known and _truth(self.read(right, value))

    def _not_expression(self, node: _Node, value: _Value) -> _Value:
        return not _truth(self.read(node["children"][0], value))

    def _function_expression(self, node: _Node, value: _Value) -> _Value:
        name, children = node["value"], node["children"]
        if name == "not_null":
            return self._first(children, value)
        called: _Value = self._functions.call_function(name, [self.read(child, value) for child in children])
        return called

    def _first(self, children: Sequence[_Node], value: _Value) -> _Value:
        *before, last = children
        for child in before:
            try:
                return _there(self.read(child, value))
            except Absent:
                continue
        return _there(self.read(last, value))

    def _in_turn(self, node: _Node, value: _Value) -> _Value:
        for child in node["children"]:
            value = self.read(child, value)
        return value

    _subexpression = _index_expression = _pipe = _in_turn

    def _current(self, _node: _Node, value: _Value) -> _Value:
        return value

    _identity = _current

    def _literal(self, node: _Node, _value: _Value) -> _Value:
        literal: _Value = node["value"]
        return literal

    def _expref(self, node: _Node, _value: _Value) -> _Value:
        return _Expression(node["children"][0], self)

    def _multi_select_list(self, node: _Node, value: _Value) -> _Value:
        return [_there(self.read(child, value)) for child in node["children"]]

    def _multi_select_dict(self, node: _Node, value: _Value) -> _Value:
        return {pair["value"]: _there(self.read(pair["children"][0], value)) for pair in node["children"]}


def _check(node: _Node, functions: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse what could not be answered of any body."""
    if node["type"] == "function_expression":
        takes = functions.get(node["value"])
        if takes is None:
            raise ExpressionError(f"there is no function {node['value']}()")
        given, least = len(node["children"]), len(takes["signature"])
        if given < least or (given > least and not takes["signature"][-1].get("variadic")):
            raise ExpressionError(f"{node['value']}() takes {least} arguments, here are {given}")
    if node["type"] in _STEPS and node["children"][0]["type"] == "not_expression":
        raise ExpressionError("! binds more than a dot does; write !(a.b)")
    for child in node["children"] if node["type"] != "slice" else ():
        if node["type"] == "comparator" and child["type"] == "literal" and child["value"] is None:
            raise ExpressionError("nothing is compared with null; `absent` says what it means that there is no value")
        _check(child, functions)


def _paths(node: _Node) -> Iterator[Path]:
    """The paths from the root that a node reads."""
    read: list[Path] = []
    last = _walk(node, (), read)
    yield from (*read, last) if last is not None else read


def _walk(node: _Node, at: Path | None, read: list[Path]) -> Path | None:
    """Where a node leads to from a place that is known, noting what is read on the way; None: that is not known."""
    match node["type"]:
        case "field":
            return None if at is None else (*at, node["value"])
        case "index" if node["value"] >= 0:
            return None if at is None else (*at, node["value"])
        case "current" | "identity":
            return at
        case "subexpression" | "index_expression" | "pipe":
            for child in node["children"]:
                at = _walk(child, at, read)
            return at
        case "index" | "slice":
            _note(at, read)
        case "projection" | "value_projection" | "filter_projection" | "flatten":
            base, *_ = node["children"]  # what follows is asked of each item
            _note(_walk(base, at, read), read)
        case "expref":
            pass
        case _:
            for child in node["children"]:
                _note(_walk(child, at, read), read)
    return None


def _note(place: Path | None, read: list[Path]) -> None:
    if place is not None:
        read.append(place)


def _list(value: _Value) -> "list[JsonValue]":
    if not isinstance(value, list):
        raise Unfit(f"expected a list, found {_kind(value)}")
    return value


def _there(value: _Value) -> JsonValue:
    """A value, where there is one: some functions give null, such as the maximum of no numbers."""
    if value is None:
        raise Absent("there is null")
    return value  # type: ignore[return-value]


def _truth(value: _Value) -> bool:
    """A boolean. JMESPath takes empty strings, lists and objects for false, too, and so what lost all it held."""
    found = _there(value)
    if not isinstance(found, bool):
        raise Unfit(f"{_kind(found)} is neither true nor false")
    return found


def _has_objects(value: JsonValue) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_has_objects, value)))


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise Unfit(f"{_kind(value)} is looked for in a string")
    return value


def _folded(value: JsonValue) -> JsonValue:
    """A value with its strings in lower case."""
    if isinstance(value, str):
        return value.lower()
    return [_folded(item) for item in value] if isinstance(value, list) else value


_KINDS: Mapping[type, str] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _kind(value: _Value) -> str:
    return _KINDS.get(type(value), "an expression")
