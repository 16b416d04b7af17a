"""Ways in which a JSON body can be hurt, one value at a time."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

Json: TypeAlias = Any
Way: TypeAlias = tuple[str | int, ...]

RETYPED: tuple[Json, ...] = (True, False, 0, 7.5, "", "x", [], {}, ["x"], {"x": {}}, [None], [[]])
"""Values of every JSON type, to stand where another type belongs."""


class Mutation(NamedTuple):
    """A value in a body, and what is done to it: `drop`, `null`, `recase`, or a value to put there."""

    path: Way
    how: str
    value: Json = None

    def __str__(self) -> str:
        return f"{self.how} {'/'.join(map(str, self.path))} {self.value if self.how == 'retype' else ''}".strip()

    def of(self, body: Json) -> Json:
        """A copy of the body with this done to it."""
        hurt = copy.deepcopy(body)
        holder = hurt
        for step in self.path[:-1]:
            holder = holder[step]
        last = self.path[-1]
        match self.how:
            case "drop":
                del holder[last]
            case "recase" if isinstance(holder, dict):
                renamed = {recased(key) if key == last else key: value for key, value in holder.items()}
                holder.clear()
                holder.update(renamed)
            case "recase":
                pass
            case _:
                holder[last] = self.value
        return hurt


def keys(node: Json, at: Way = ()) -> Iterator[Way]:
    """Every key of every object, at any depth."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield (*at, key)
            yield from keys(value, (*at, key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from keys(value, (*at, number))


def recased(name: str) -> str:
    """The name with every letter in the other case."""
    return name.swapcase()


def everything_recased(node: Json, *, but: frozenset[str] = frozenset()) -> Json:
    """A body with all its keys in the other case, but for the insides of the objects named."""
    if isinstance(node, list):
        return [everything_recased(item, but=but) for item in node]
    if not isinstance(node, Mapping):
        return node
    return {
        recased(key): value if key.lower() in but else everything_recased(value, but=but) for key, value in node.items()
    }
