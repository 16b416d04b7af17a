"""Facts about roles that nobody holds until they activate them, in Privileged Identity Management.

Source: Microsoft.Authorization/roleEligibilityScheduleInstances 2020-10-01 as in the REST API reference. They are read
only where a scan is asked to (`--read eligible-roles`), and Azure gives them to tenants that have the license.
"""

from typing import TYPE_CHECKING

from aks_audit.facts.authorization import RoleAssignment
from aks_audit.facts.estate import Estate
from aks_audit.facts.field import text
from aks_audit.facts.resource_id import scopes
from aks_audit.facts.unread import Malformed, Unread

if TYPE_CHECKING:
    from aks_audit.results import Missing

_MANAGEMENT_GROUP = "/providers/microsoft.management/managementgroups/"
_OF_EXAMPLES = "/providers/microsoft.subscription/"
"""What the scopes of subscriptions begin with in the reference's examples, and nowhere else."""


class EligibleRole(RoleAssignment):
    """A role that a principal may activate for some hours, on a scope and on everything inside it."""

    __slots__ = ()

    TYPE = "Microsoft.Authorization/roleEligibilityScheduleInstances"

    scope_id = text("properties.scope")

    @property
    def scope(self) -> str:
        """The id of what the role is on; empty for the whole tenant.

        Raises:
            Malformed: the body does not name it.
        """
        found = self.scope_id
        if found is None:
            raise Malformed(self.id, "/properties/scope", "an eligible role without its scope")
        own = found[len(_OF_EXAMPLES) - 1 :] if found.lower().startswith(_OF_EXAMPLES) else found
        return own.rstrip("/")


class EligibleRoles:
    """The eligible roles of an estate, by scope. Made once: `estate.indexed(EligibleRoles)`."""

    def __init__(self, estate: Estate) -> None:
        self._by_scope: dict[str, list[EligibleRole]] = {}
        missing: list[Missing] = []
        for role in estate.every(EligibleRole):
            try:
                self._by_scope.setdefault(_key(role.scope), []).append(role)
            except Unread as unread:
                missing += unread.missing
        self.missing = tuple(missing)
        """Why it cannot be told of some what they reach."""

    def on(self, resource_id: str) -> tuple[EligibleRole, ...]:
        """Those that apply to a resource: on itself, on what holds it, and above its subscription."""
        reaching = ("", *scopes(resource_id), resource_id.lower().rstrip("/"))
        return tuple(role for scope in reaching for role in self._by_scope.get(scope, ()))


def _key(scope: str) -> str:
    """Which subscriptions are below a management group is in no body, so it counts for all of them."""
    return "" if scope.lower().startswith(_MANAGEMENT_GROUP) else scope.lower()
