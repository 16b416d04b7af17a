"""What every Azure resource has."""

from contextlib import suppress
from typing import ClassVar

from aks_audit.facts.field import View
from aks_audit.facts.resource_id import ResourceId, parse
from aks_audit.facts.unread import Malformed


class AzureResource(View):
    """A resource with an ARM id of its own, standing alone or inside its parent's body."""

    __slots__ = ()

    TYPE: ClassVar[str]

    @property
    def id(self) -> str:
        """The full ARM id, spelled as Azure sent it."""
        own = self.written("id") if self.pointer else None
        return own or self.document.id

    def written(self, name: str) -> str | None:
        """A name or id that the body holds; None where it holds none that can be read, since a subject needs a name."""
        with suppress(Malformed):
            value = self.find(name)[0]
            return value if isinstance(value, str) and value else None
        return None

    @property
    def parsed(self) -> ResourceId:
        """The parts of the id."""
        return parse(self.id)

    @property
    def name(self) -> str:
        """The resource's own name."""
        return self.parsed.name
