"""Ids of resources, and of what is inside clusters.

Those of Azure Resource Manager, `/subscriptions/S/resourceGroups/G/providers/N/T/NAME[/T/NAME …]`, are without case.
An object inside a cluster is called by the id of its cluster and, with case, its path: `CLUSTER/api/v1/nodes/NAME`.
"""

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


_CLUSTER = 8
"""How many parts the id of a cluster has."""

_INSIDE = _CLUSTER + 1
_ROOTS = frozenset({"api", "apis", "version"})
"""How the paths of an API server begin. No type below a managed cluster is called so."""


@lru_cache(maxsize=8192)
def parse(resource_id: str) -> ResourceId:
    """Take an id apart. What does not look like an id gives empty parts, never an error."""
    parts = resource_id.strip("/").split("/")
    lower = [part.lower() for part in parts]
    subscription = parts[1] if lower[:1] == ["subscriptions"] and len(parts) > 1 else ""
    group = parts[3] if lower[2:3] == ["resourcegroups"] and len(parts) > 3 else ""  # noqa: PLR2004 - position in the id
    if lower[6:7] == ["managedclusters"] and lower[_CLUSTER:_INSIDE] and lower[_CLUSTER] in _ROOTS:
        return _inside(subscription, group, "/" + "/".join(parts[:_CLUSTER]), parts[_CLUSTER:])
    if "providers" not in lower:
        return ResourceId(subscription, group, "", (), "")
    last = len(lower) - 1 - lower[::-1].index("providers")
    after = parts[last + 1 :]
    kind = "/".join([*after[:1], *after[1::2]])
    parent = "/" + "/".join(parts[:-2]) if len(after) > 3 else ""  # noqa: PLR2004 - namespace, type, name
    return ResourceId(subscription, group, kind, tuple(after[2::2]), parent)


def _inside(subscription: str, group: str, cluster: str, path: list[str]) -> ResourceId:
    """The parts of the id of an object inside a cluster; `type` is its plural and group, as kubectl writes it."""
    named, api_group = (path[2:], "") if path[0] == "api" else (path[3:], "".join(path[1:2]))
    if not named:
        return ResourceId(subscription, group, path[0], (), cluster)
    namespaced = named[0] == "namespaces" and len(named) > 2  # noqa: PLR2004 - more than the namespace itself
    plural, names = (named[2], (named[1], *named[3:])) if namespaced else (named[0], tuple(named[1:]))
    return ResourceId(subscription, group, f"{plural}.{api_group}" if api_group else plural, names, cluster)


def fold(resource_id: str) -> str:
    """The id as a key: what Azure compares without case in lower case, and a path inside a cluster as it is."""
    lower = resource_id.lower()
    start = lower.find("/managedclusters/")
    if start < 0:
        return lower
    end = lower.find("/", start + len("/managedclusters/"))
    inside = end >= 0 and lower[end + 1 :].partition("/")[0] in _ROOTS
    return lower[:end] + resource_id[end:] if inside else lower


def within(resource_id: str, scope: str) -> bool:
    """Whether `resource_id` is `scope` or lies in it, compared without case."""
    inner, outer = resource_id.lower().rstrip("/"), scope.lower().rstrip("/")
    return inner == outer or inner.startswith(outer + "/")


@lru_cache(maxsize=8192)
def scopes(resource_id: str) -> tuple[str, ...]:
    """The ids, in lower case, of everything that holds a resource: subscription, resource group, and its parents."""
    parts = resource_id.lower().rstrip("/").split("/")
    return tuple("/".join(parts[:end]) for end in range(3, len(parts), 2))
