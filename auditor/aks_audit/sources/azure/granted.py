"""What the signed-in identity is permitted to do in a scope, as Azure tells it."""

import re

import msgspec

from aks_audit.snapshot import Gap
from aks_audit.sources.azure import errors
from aks_audit.sources.azure.plan import PERMISSIONS
from aks_audit.sources.azure.reader import Reader

_API_VERSION = "2022-04-01"


class Grant(msgspec.Struct, frozen=True, rename="camel"):
    """What one role permits: its actions without its not-actions. In both, `*` stands for any text, `/` included."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    def permits(self, action: str) -> bool:
        """Whether this role alone permits an action (`Microsoft.Network/routeTables/read`)."""
        return _any(self.actions, action) and not _any(self.not_actions, action)

    def permits_data(self, action: str) -> bool:
        """Whether this role alone permits a data action (`Microsoft.ContainerService/managedClusters/pods/read`)."""
        return _any(self.data_actions, action) and not _any(self.not_data_actions, action)


class Granted(msgspec.Struct, frozen=True):
    """The roles that the identity has in a scope, those that it inherits from above included."""

    grants: tuple[Grant, ...]

    def permits(self, action: str) -> bool:
        """Whether some role permits an action; what one role leaves out, another may permit.

        Azure's list tells nothing of deny assignments. Users cannot make those, and those that Azure makes (for
        deployment stacks, managed applications, locked node resource groups) deny no reads.
        """
        return any(grant.permits(action) for grant in self.grants)

    def permits_data(self, action: str) -> bool:
        """Whether some role permits a data action."""
        return any(grant.permits_data(action) for grant in self.grants)


async def granted(reader: Reader, scope: str) -> Granted | Gap:
    """Read what the identity is permitted in a scope (an ARM id), or the gap that says why that is not known."""
    found = await reader.items(f"{scope}/providers/{PERMISSIONS}?api-version={_API_VERSION}", scope, PERMISSIONS)
    if isinstance(found, Gap):
        return found
    try:
        return Granted(msgspec.convert(found, tuple[Grant, ...]))
    except msgspec.ValidationError as problem:
        return errors.failed(scope, PERMISSIONS, f"the answer is not a list of permissions: {problem}")


def _any(patterns: tuple[str, ...], action: str) -> bool:
    return any(re.fullmatch(_expression(pattern), action, re.IGNORECASE) for pattern in patterns)


def _expression(pattern: str) -> str:
    return ".*".join(map(re.escape, pattern.split("*")))
