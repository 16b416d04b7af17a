"""Azure Resource Manager ids: `/subscriptions/S/resourceGroups/G/providers/N/T/NAME[/T/NAME …]`, without case."""

from functools import lru_cache
from typing import NamedTuple


class ResourceId(NamedTuple):
    """The parts of an id; parts that an id does not have are empty.

    `type` is the full type, such as `Microsoft.Network/virtualNetworks/subnets`; `names` one name for each of its
    segments; `parent` the id without the last type and name.
    """

    subscription: str
    group: str
    type: str
    names: tuple[str, ...]
    parent: str

    @property
    def name(self) -> str:
        """The last name, the resource's own."""
        return self.names[-1] if self.names else ""


@lru_cache(maxsize=8192)
def parse(resource_id: str) -> ResourceId:
    """Take an id apart. What does not look like an id gives empty parts, never an error."""
    parts = resource_id.strip("/").split("/")
    lower = [part.lower() for part in parts]
    subscription = parts[1] if lower[:1] == ["subscriptions"] and len(parts) > 1 else ""
    group = parts[3] if lower[2:3] == ["resourcegroups"] and len(parts) > 3 else ""  # noqa: PLR2004 - position in the id
    if "providers" not in lower:
        return ResourceId(subscription, group, "", (), "")
    last = len(lower) - 1 - lower[::-1].index("providers")
    after = parts[last + 1 :]
    kind = "/".join([*after[:1], *after[1::2]])
    parent = "/" + "/".join(parts[:-2]) if len(after) > 3 else ""  # noqa: PLR2004 - namespace, type, name
    return ResourceId(subscription, group, kind, tuple(after[2::2]), parent)


def within(resource_id: str, scope: str) -> bool:
    """Whether `resource_id` is `scope` or lies in it, compared without case."""
    inner, outer = resource_id.lower().rstrip("/"), scope.lower().rstrip("/")
    return inner == outer or inner.startswith(outer + "/")


def scopes(resource_id: str) -> tuple[str, ...]:
    """The ids, in lower case, of everything that holds a resource: subscription, resource group, and its parents."""
    parts = resource_id.lower().rstrip("/").split("/")
    return tuple("/".join(parts[:end]) for end in range(3, len(parts), 2))
