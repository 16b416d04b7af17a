"""What could not be read, found by what it is about; ids and types are compared without case."""

from collections.abc import Collection, Iterable
from functools import lru_cache

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import Gap

INSIDE = "kubernetes"
"""The type of a gap that stands for everything inside a cluster."""


class Gaps:
    """The gaps of a snapshot. Looking one up costs the same whether there are ten or a hundred thousand."""

    def __init__(self, gaps: Iterable[Gap]) -> None:
        self.all = tuple(gaps)
        self._by_id: dict[str, list[tuple[str, Gap]]] = {}
        self._of_inside: dict[str, list[tuple[str, Gap]]] = {}  # those that may stand for what is inside clusters
        self._in_scope: dict[tuple[str, str], Gap] = {}
        self._places_of_type: dict[str, list[int]] = {}
        self._places_about: dict[str, list[int]] = {}
        for place, gap in enumerate(self.all):
            self._places_of_type.setdefault(gap.type.lower(), []).append(place)
            self._places_about.setdefault(_key(gap.id), []).append(place)
            kind = type_of(gap).lower()
            for scope in _around(gap.id):
                self._in_scope.setdefault((kind, scope), gap)
            self._by_id.setdefault(_key(gap.id), []).append((kind, gap))
            if "/" not in kind:
                self._of_inside.setdefault(_key(gap.id), []).append((kind, gap))

    def of_types(self, types: Collection[str], about: str = "") -> list[Gap]:
        """The gaps of some types (in lower case), in their order; `about`: those alone that it lies in."""
        if about:
            places = [place for scope in _around(about) for place in self._places_about.get(scope, ())]
        else:
            places = [place for kind in types for place in self._places_of_type.get(kind, ())]
        return [self.all[place] for place in sorted(places) if self.all[place].type.lower() in types]

    def within(self, kind: str, scope: str) -> Gap | None:
        """The first gap of a type (in lower case) in a scope."""
        return self._in_scope.get((kind, _key(scope)))

    def nearest(self, about: str, wanted: str) -> Gap | None:
        """The nearest gap that stands for something of a type in a scope (or with an id)."""
        wanted = wanted.lower()
        itself = parse(about).type.lower() == wanted
        by_id = self._by_id if itself or "/" in wanted else self._of_inside
        if not by_id:
            return None
        for place, scope in enumerate(_around(about)):
            if scope in by_id:
                there = [gap for kind, gap in by_id[scope] if (itself and not place) or _covers(kind, wanted)]
                if there:
                    return max(there, key=lambda gap: (len(gap.id), gap.reason))
        return None


def type_of(gap: Gap) -> str:
    """The type of what a gap is about."""
    return gap.type or parse(gap.id).type


def _key(resource_id: str) -> str:
    return resource_id.lower().rstrip("/")


@lru_cache(maxsize=8192)
def _around(resource_id: str) -> tuple[str, ...]:
    """The ids, in lower case, of a resource and of everything that it lies in."""
    parts = _key(resource_id).split("/")
    return tuple("/".join(parts[:end]) for end in range(len(parts), 0, -1))


def _covers(kind: str, wanted: str) -> bool:
    """Whether a gap of a type about a scope stands for a type: its own, one below it, or anything in a cluster."""
    if kind == INSIDE:
        return "/" not in wanted
    return not kind or wanted == kind or wanted.startswith(f"{kind}/")
