"""Links from one resource to another, and lists of what a scope holds.

Neither takes silence for absence: a link that cannot be followed and a list that is not known to be whole raise
`NotCollected` with the gap that explains it.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aks_audit.facts.field import Field, View
from aks_audit.facts.resource import AzureResource
from aks_audit.facts.unread import Malformed, NotCollected
from aks_audit.results import Missing

if TYPE_CHECKING:
    from aks_audit.facts.estate import Estate

R = TypeVar("R", bound=AzureResource)


class Link(Generic[R]):
    """A reference to a resource by its id. A field that holds no id is None, not a link."""

    __slots__ = ("_estate", "_kind", "id")

    def __init__(self, estate: "Estate", kind: type[R], resource_id: str) -> None:
        self._estate = estate
        self._kind = kind
        self.id = resource_id

    def read(self) -> R:
        """The resource.

        Raises:
            NotCollected: the snapshot does not hold it; the reason is the gap that was recorded, if any.
        """
        return self._estate.resource(self._kind, self.id)


class Holding(Generic[R]):
    """The resources of one type in one scope: those that were read, and whether that is known to be all."""

    __slots__ = ("_missing", "known")

    def __init__(self, known: tuple[R, ...], missing: Missing | None) -> None:
        self.known = known
        self._missing = missing

    def __iter__(self) -> Iterator[R]:
        """Iterate over what was read; it may not be all."""
        return iter(self.known)

    def where(self, holds: Callable[[R], bool]) -> "Holding[R]":
        """Those for which something holds; whole where this holding is."""
        return Holding(tuple(resource for resource in self.known if holds(resource)), self._missing)

    def joined(self, others: Iterable[R]) -> "Holding[R]":
        """With resources that belong here though their ids say otherwise; whole where this holding is."""
        known = {resource.id.lower(): resource for resource in (*self.known, *others)}
        return Holding(tuple(known[key] for key in sorted(known)), self._missing)

    def whole(self) -> tuple[R, ...]:
        """All of them.

        Raises:
            NotCollected: nothing says that there are no others.
        """
        if self._missing:
            raise NotCollected(self._missing)
        return self.known


def link(path: str, kind: type[R]) -> Field[Link[R]]:
    """A reference: an ARM id at the path."""
    return Field(path, lambda view, value, pointer: Link(view.estate, kind, _id(view, value, pointer)))


def links(path: str, kind: type[R]) -> Field[tuple[Link[R], ...]]:
    """A list of references, each an id or an object with an `id`."""

    def read(view: View, value: object, pointer: str) -> tuple[Link[R], ...]:
        if not isinstance(value, list):
            raise Malformed(view.document.id, pointer, "expected a list of references")
        return tuple(Link(view.estate, kind, _id(view, item, pointer)) for item in value)

    return Field(path, read)


def _id(view: View, value: Any, pointer: str) -> str:  # noqa: ANN401 - any JSON value
    resource_id: object = value
    if isinstance(value, dict):
        resource_id, pointer = View(view.estate, view.document, value, pointer).find("id")
    if not isinstance(resource_id, str) or not resource_id.startswith("/"):
        raise Malformed(view.document.id, pointer, "expected a resource id")
    return resource_id
