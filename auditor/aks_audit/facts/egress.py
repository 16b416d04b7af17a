"""Facts about what AKS itself says that a cluster must reach.

Source: Microsoft.ContainerService/managedClusters/outboundNetworkDependenciesEndpoints 2026-08-01. Azure lists items
without ids; the snapshot holds them as one resource under the cluster.
"""

from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.field import View, number, parts, text
from aks_audit.facts.resource import AzureResource


class EndpointDetail(View):
    """A port and protocol (HTTPS, HTTP, TCP, UDP) of an endpoint; `ip_address` may be a service tag."""

    __slots__ = ()

    ip_address = text("ipAddress")
    port = number("port")
    protocol = text("protocol")


class EndpointDependency(View):
    """A name that nodes must reach; none where the details hold addresses."""

    __slots__ = ()

    domain_name = text("domainName")
    details = parts("endpointDetails", EndpointDetail)


class OutboundCategory(View):
    """Endpoints that are needed for one purpose."""

    __slots__ = ()

    category = text("category")
    endpoints = parts("endpoints", EndpointDependency)


class OutboundEndpoints(AzureResource):
    """All that AKS says a cluster must reach."""

    __slots__ = ()

    TYPE = "Microsoft.ContainerService/managedClusters/outboundNetworkDependenciesEndpoints"

    categories = parts("value", OutboundCategory)

    @classmethod
    def id_of(cls, cluster: ManagedCluster) -> str:
        """The id under which the snapshot holds it."""
        return f"{cluster.id}/outboundNetworkDependenciesEndpoints"
