"""Typed, named values in Azure bodies.

A field is declared once, by its path on the wire. On a fact it gives the value, or None where the body holds none
(Azure leaves out, or sends as null or as an empty string, what is not set); a value of the wrong shape raises
`Malformed`, an enumeration value that is not known `UnheardOf`. So a rule reads plain typed attributes, and cannot
mistake damage for absence.

Property names are matched without case, as Azure treats them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar, overload

from aks_audit.facts.unread import Malformed, UnheardOf
from aks_audit.results import Evidence, JsonValue
from aks_audit.snapshot import instant

if TYPE_CHECKING:
    from aks_audit.facts.document import Document
    from aks_audit.facts.estate import Estate

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
V = TypeVar("V", bound="View")

Network: TypeAlias = IPv4Network | IPv6Network

_LONGEST_EVIDENCE = 12


class _WrongShapeError(Exception):
    """The value has another JSON type than the field."""


class _UnknownValueError(Exception):
    """The enumeration does not hold the value."""


class View:
    """A typed look at one JSON object inside a document: a whole resource or a part of it. Immutable."""

    __slots__ = ("_node", "document", "estate", "pointer", "read_fields")

    def __init__(
        self, estate: "Estate", document: "Document", node: Mapping[str, Any] | None = None, pointer: str = ""
    ) -> None:
        self.estate = estate
        self.document = document
        self._node = node
        self.pointer = pointer
        self.read_fields: dict[Field[Any], Any] | None = None
        """The values of fields that were read, each of which many rules ask for."""

    @property
    def node(self) -> Mapping[str, Any]:
        """The object: the whole body, where it is no part of it."""
        return self.document.body if self._node is None else self._node

    def at(self, field: "Field[Any]") -> Evidence:
        """The evidence for a field: the resource, the pointer, and the value as it was read (None: absent)."""
        value, pointer = self.find(field.path)
        return self.cite(pointer, value)

    @property
    def itself(self) -> Evidence:
        """The evidence for the whole object, as it was read."""
        return self.cite(self.pointer, dict(self.node))

    def cite(self, pointer: str, value: JsonValue) -> Evidence:
        """The evidence for a value that was read at a JSON pointer of the document (None: absent)."""
        source, read = self.document.index
        return Evidence(self.document.id, pointer, _abridged(value), source, read)

    def find(self, path: str) -> tuple[Any, str]:
        """The raw value at a dotted path, or None, and its JSON pointer.

        Raises:
            Malformed: something on the way is not an object, two keys differ in case alone, or a resource has lost the
                `properties` that each has; only inside them is absence an answer.
        """
        value: Any = self.node
        steps, below = _steps(path)
        spelt = self.document.names
        if spelt is not None:
            for name, key in steps:
                if not isinstance(value, dict):
                    break
                if name in value:
                    value = value[name]
                elif name == "properties" or (key in spelt and _spelt_so(value, name)):
                    break
                else:
                    return None, self.pointer + below
            else:
                return value, self.pointer + below
        return self._find_without_case(path.split("."))

    def _find_without_case(self, names: Sequence[str]) -> tuple[Any, str]:
        value: Any = self.node
        pointer = self.pointer
        for name in names:
            if value is None:
                pointer = f"{pointer}/{name}"
                continue
            if not isinstance(value, Mapping):
                raise Malformed(self.document.id, pointer, f"expected an object, found {_kind(value)}")
            key = self._key(value, name, pointer)
            value = value.get(key)
            pointer = f"{pointer}/{escaped(key)}"
            if value is None and name == "properties":
                raise Malformed(self.document.id, pointer, "Azure sends this object with every resource; it was lost")
        return value, pointer

    def _key(self, mapping: Mapping[str, Any], name: str, pointer: str) -> str:
        if name in mapping and self.document.names is not None:
            return name
        same = _spelt_so(mapping, name)
        if len(same) > 1:
            raise Malformed(self.document.id, pointer, f"more than one {name}: {', '.join(same)}")
        return same[0] if same else name


class Field(Generic[T]):
    """A value at a path. `Field.__get__` on a fact gives `T | None`; on the class, the field itself."""

    def __init__(self, path: str, read: Callable[[View, Any, str], T]) -> None:
        self.path = path
        self._read = read

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: View, kind: type) -> T | None: ...
    def __get__(self, owner: View | None, kind: type) -> Self | T | None:
        """Read the value from the fact, or give the field."""
        if owner is None:
            return self
        read = owner.read_fields
        if read is None:
            read = owner.read_fields = {}
        elif self in read:
            known: T | None = read[self]
            return known
        read[self] = found = self._value(owner)
        return found

    def _value(self, owner: View) -> T | None:
        value, pointer = owner.find(self.path)
        if value is None or value == "":
            return None
        try:
            return self._read(owner, value, pointer)
        except _WrongShapeError as problem:
            raise Malformed(owner.document.id, pointer, str(problem)) from None
        except _UnknownValueError as unknown:
            raise UnheardOf(owner.document.id, pointer, str(unknown)) from None

    def __set__(self, owner: View, value: object) -> None:
        """Facts are immutable.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(f"{self.path} of a fact cannot be set")


class Choice(Field[E]):
    """An enumeration value, compared without case."""

    def __init__(self, path: str, values: type[E]) -> None:
        self.values = values
        by_name = {member.value.lower(): member for member in values}

        def read(_view: View, value: object, _pointer: str) -> E:
            name = _text(value)
            if name.lower() not in by_name:
                raise _UnknownValueError(name)
            return by_name[name.lower()]

        super().__init__(path, read)


def flag(path: str) -> Field[bool]:
    """A JSON boolean."""
    return Field(path, lambda _view, value, _pointer: _of(bool, value))


def number(path: str) -> Field[int]:
    """A JSON integer."""
    return Field(path, lambda _view, value, _pointer: _integer(value))


def text(path: str) -> Field[str]:
    """A string, as it is."""
    return Field(path, _read_text)


def moment(path: str) -> Field[datetime]:
    """A time, as RFC 3339 writes it."""
    return Field(path, lambda _view, value, _pointer: _moment(_text(value)))


def texts(path: str) -> Field[tuple[str, ...]]:
    """A list of strings."""
    return Field(path, lambda _view, value, _pointer: tuple(_text(item) for item in _of(list, value)))


def named_texts(path: str) -> Field[dict[str, str]]:
    """An object that holds strings by name, such as the labels of a Kubernetes object."""

    def read(_view: View, value: object, _pointer: str) -> dict[str, str]:
        return {key: _text(item) for key, item in _of(dict, value).items()}

    return Field(path, read)


def network(path: str) -> Field[Network]:
    """An IPv4 or IPv6 prefix; host bits are dropped, a bare address is a prefix of one."""
    return Field(path, lambda _view, value, _pointer: parse_network(_text(value)))


def networks(path: str) -> Field[tuple[Network, ...]]:
    """A list of IPv4 and IPv6 prefixes."""
    return Field(path, lambda _view, value, _pointer: tuple(parse_network(_text(v)) for v in _of(list, value)))


def part(path: str, kind: type[V]) -> Field[V]:
    """An object inside the body."""
    return Field(path, lambda view, value, pointer: kind(view.estate, view.document, _of(dict, value), pointer))


def parts(path: str, kind: type[V]) -> Field[tuple[V, ...]]:
    """A list of objects inside the body."""

    def read(view: View, value: object, pointer: str) -> tuple[V, ...]:
        estate, document, items = view.estate, view.document, _of(list, value)
        return tuple([kind(estate, document, _of(dict, item), f"{pointer}/{at}") for at, item in enumerate(items)])

    return Field(path, read)


def one_or_more(path: str, kind: type[V]) -> Field[tuple[V, ...]]:
    """A list of objects, or one object where another api-version sends a list."""

    def read(view: View, value: object, pointer: str) -> tuple[V, ...]:
        alone = isinstance(value, dict)
        items: Sequence[object] = [value] if alone else _of(list, value)
        return tuple(
            kind(view.estate, view.document, _of(dict, item), pointer if alone else f"{pointer}/{index}")
            for index, item in enumerate(items)
        )

    return Field(path, read)


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """The names on a dotted path, each with itself in lower case, and the JSON pointer that they make."""
    names = path.split(".")
    return tuple((name, name.lower()) for name in names), "".join(f"/{name}" for name in names)


def _spelt_so(mapping: Mapping[str, Any], name: str) -> list[str]:
    """The keys that are a name without case. The length is looked at first, since most keys are other names."""
    length = len(name)
    same = [key for key in mapping if len(key) == length]
    return [key for key in same if key.lower() == name.lower()] if same else same


@lru_cache(maxsize=8192)
def escaped(key: str) -> str:
    """A key as it stands in a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def parse_network(value: str) -> Network:
    """Read a prefix or address, which many resources write alike; host bits are dropped."""
    try:
        return ip_network(value.strip(), strict=False)
    except ValueError:
        raise _WrongShapeError(f"expected an address prefix, found {value!r}") from None


def _moment(value: str) -> datetime:
    try:
        return instant(value)
    except ValueError as problem:
        raise _WrongShapeError(str(problem)) from None


def _of(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise _WrongShapeError(f"expected {_KINDS[kind]}, found {_kind(value)}")
    return value


def _integer(value: object) -> int:
    if isinstance(value, bool):
        raise _WrongShapeError("expected a number, found a boolean")
    return _of(int, value)


def _text(value: object) -> str:
    return _of(str, value)


def _read_text(_view: View, value: object, _pointer: str) -> str:
    return _of(str, value)


_KINDS: dict[type, str] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "null")


def _abridged(value: Any) -> JsonValue:  # noqa: ANN401 - any JSON value
    """Keep evidence readable: long lists and objects are cut, saying how much is left."""
    if isinstance(value, list):
        kept = [_abridged(item) for item in value[:_LONGEST_EVIDENCE]]
        return [*kept, f"… and {len(value) - len(kept)} more"] if len(value) > len(kept) else kept
    if isinstance(value, dict):
        some = {key: _abridged(item) for key, item in sorted(value.items())[:_LONGEST_EVIDENCE]}
        return {**some, "…": f"and {len(value) - len(some)} more"} if len(value) > len(some) else some
    return value  # type: ignore[no-any-return]
