"""Reading the bodies of policies strictly: what has not the shape that the API gives it is Malformed, never skipped."""

from collections.abc import Collection, Mapping
from ipaddress import ip_network
from typing import Any

from aks_audit.facts import Malformed, Network


class Body:
    """A JSON object in the body of a policy, with the JSON pointer to it. Null and absent are the same."""

    __slots__ = ("_value", "id", "pointer")

    def __init__(self, resource: str, value: object, pointer: str = "") -> None:
        self.id = resource
        self.pointer = pointer
        if not isinstance(value, Mapping):
            raise self.malformed(f"expected an object, found {_kind(value)}")
        self._value: Mapping[str, Any] = value

    def malformed(self, problem: str, name: str = "") -> Malformed:
        """What to raise for a problem with the object, or with its value of a name."""
        return Malformed(self.id, self._at(name) if name else self.pointer, problem)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the values that are there."""
        return tuple(name for name, value in self._value.items() if value is not None)

    def only(self, known: Collection[str]) -> None:
        """Refuse values whose meaning is not known, such as a newer version of the API brings.

        Raises:
            Malformed: there is another value than those known.
        """
        if strange := [name for name in self.names if name not in known]:
            raise self.malformed(f"not a field that is known: {strange[0]!r}", strange[0])

    def has(self, name: str) -> bool:
        """Whether there is a value."""
        return self._value.get(name) is not None

    def part(self, name: str) -> "Body | None":
        """An object in the object, if it is there."""
        return Body(self.id, self._value[name], self._at(name)) if self.has(name) else None

    def required(self, name: str) -> "Body":
        """An object in the object.

        Raises:
            Malformed: it is not there.
        """
        return Body(self.id, self._value.get(name), self._at(name))

    def parts(self, name: str) -> "tuple[Body, ...]":
        """A list of objects; none where it is absent."""
        return tuple(Body(self.id, one, f"{self._at(name)}/{at}") for at, one in enumerate(self._list(name)))

    def text(self, name: str, default: str | None = None) -> str:
        """A string.

        Raises:
            Malformed: it is none, or is absent and has no default.
        """
        value = self._value.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.malformed(f"expected a string, found {_kind(value)}", name)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; empty where it is absent."""
        found: list[str] = []
        for value in self._list(name):
            if not isinstance(value, str):
                raise self.malformed(f"expected strings, found {_kind(value)}", name)
            found.append(value)
        return tuple(found)

    def number(self, name: str) -> int:
        """An integer.

        Raises:
            Malformed: it is none, or is absent.
        """
        value = self._value.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.malformed(f"expected a number, found {_kind(value)}", name)
        return value

    def flag(self, name: str) -> bool | None:
        """A boolean, if it is there."""
        value = self._value.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.malformed(f"expected a boolean, found {_kind(value)}", name)
        return value

    def order(self, name: str) -> float | None:
        """A number that need not be whole, if it is there."""
        value = self._value.get(name)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise self.malformed(f"expected a number, found {_kind(value)}", name)
        return value

    def numbers_or_texts(self, name: str) -> tuple[int | str, ...]:
        """A list of what the API takes as integers or strings; empty where it is absent."""
        found: list[int | str] = []
        for value in self._list(name):
            if not isinstance(value, int | str) or isinstance(value, bool):
                raise self.malformed(f"expected numbers or strings, found {_kind(value)}", name)
            found.append(value)
        return tuple(found)

    def length(self, name: str) -> int:
        """How many values a list has; none where it is absent."""
        return len(self._list(name))

    def is_text(self, name: str) -> bool:
        """Whether the value is a string, where the API takes a number or a name."""
        return isinstance(self._value.get(name), str)

    def network(self, name: str) -> Network:
        """An IPv4 or IPv6 prefix; host bits are dropped."""
        return self._network(self.text(name), name)

    def networks(self, name: str) -> tuple[Network, ...]:
        """A list of prefixes; empty where it is absent."""
        return tuple(self._network(text, name) for text in self.texts(name))

    def _network(self, written: str, name: str) -> Network:
        try:
            return ip_network(written, strict=False)
        except ValueError:
            raise self.malformed(f"expected an address prefix, found {written!r}", name) from None

    def _list(self, name: str) -> list[Any]:
        value = self._value.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.malformed(f"expected a list, found {_kind(value)}", name)
        return value

    def _at(self, name: str) -> str:
        return f"{self.pointer}/{name.replace('~', '~0').replace('/', '~1')}"


def _kind(value: object) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return kinds.get(type(value), "nothing")
