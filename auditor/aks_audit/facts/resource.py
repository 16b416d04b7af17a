"""What every Azure resource has."""

from contextlib import suppress
from typing import ClassVar

from aks_audit.facts.field import Field, View
from aks_audit.facts.resource_id import ResourceId, parse
from aks_audit.facts.unread import Malformed


class _Written(Field[str]):
    """A name or id that the body holds; None where it holds none that can be read, since a subject needs a name."""

    def __init__(self, path: str) -> None:
        super().__init__(path, lambda _view, value, _pointer: value)

    def _value(self, owner: View) -> str | None:
        with suppress(Malformed):
            value = super()._value(owner)
            return value if isinstance(value, str) else None
        return None


_ID, _NAME = _Written("id"), _Written("name")


class AzureResource(View):
    """A resource with an ARM id of its own, standing alone or inside its parent's body."""

    __slots__ = ()

    TYPE: ClassVar[str]

    @property
    def id(self) -> str:
        """The full ARM id, spelled as Azure sent it."""
        return (_ID.__get__(self, AzureResource) if self.pointer else None) or self.document.id

    @property
    def written_name(self) -> str | None:
        """The name that the body holds; None where it holds none that can be read."""
        return _NAME.__get__(self, AzureResource)

    @property
    def parsed(self) -> ResourceId:
        """The parts of the id."""
        return parse(self.id)

    @property
    def name(self) -> str:
        """The resource's own name."""
        return self.parsed.name
