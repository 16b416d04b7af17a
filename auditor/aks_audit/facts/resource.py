"""What every Azure resource has."""

from typing import ClassVar

from aks_audit.facts.field import View
from aks_audit.facts.resource_id import ResourceId, parse


class AzureResource(View):
    """A resource with an ARM id of its own, standing alone or inside its parent's body."""

    __slots__ = ()

    TYPE: ClassVar[str]

    @property
    def id(self) -> str:
        """The full ARM id, spelled as Azure sent it."""
        own = self.find("id")[0] if self.pointer else None
        return own if isinstance(own, str) else self.document.id

    @property
    def parsed(self) -> ResourceId:
        """The parts of the id."""
        return parse(self.id)

    @property
    def name(self) -> str:
        """The resource's own name."""
        return self.parsed.name
