"""Facts about fleets (Azure Kubernetes Fleet Manager) and their members.

Source: Microsoft.ContainerService/fleets and fleets/members 2026-06-01 as in the template reference. They are read only
where a scan is asked to (`--read fleets`).
"""

from typing import TYPE_CHECKING

from aks_audit.facts.estate import Estate
from aks_audit.facts.field import text
from aks_audit.facts.resource import AzureResource
from aks_audit.facts.unread import Malformed, Unread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aks_audit.results import Missing


class Fleet(AzureResource):
    """A fleet: clusters that are upgraded in an order, and get the same workloads."""

    __slots__ = ()

    TYPE = "Microsoft.ContainerService/fleets"


class FleetMember(AzureResource):
    """A cluster in a fleet, in whatever subscription it is."""

    __slots__ = ()

    TYPE = "Microsoft.ContainerService/fleets/members"

    cluster_resource_id = text("properties.clusterResourceId")


class FleetMembers:
    """The members of all fleets that were read, by the cluster's id in lower case. Made once by `estate.indexed`.

    `missing`: why it cannot be told of some which cluster they are.
    """

    def __init__(self, estate: Estate) -> None:
        found: dict[str, FleetMember] = {}
        missing: list[Missing] = []
        for member in estate.every(FleetMember):
            try:
                found[_cluster(member)] = member
            except Unread as unread:
                missing += unread.missing
        self.by_cluster: Mapping[str, FleetMember] = found
        self.missing = tuple(missing)


def _cluster(member: FleetMember) -> str:
    cluster = member.cluster_resource_id
    if cluster is None:
        raise Malformed(member.id, "/properties/clusterResourceId", "a member of a fleet that names no cluster")
    return cluster.lower().rstrip("/")
