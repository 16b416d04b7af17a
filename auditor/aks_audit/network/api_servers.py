"""The API server as a destination: by which name or address a cluster's nodes reach it.

Source: https://learn.microsoft.com/azure/aks/private-clusters and
https://learn.microsoft.com/azure/aks/api-server-vnet-integration (nodes reach the API server by its internal load
balancer, whether the cluster is private or not).
"""

from ipaddress import ip_address

from aks_audit.facts import (
    Evidence,
    Field,
    FrontendIPConfiguration,
    Malformed,
    ManagedCluster,
    Missing,
    NotCollected,
)
from aks_audit.facts.networking import InterfaceIPConfiguration, PrivateEndpoint
from aks_audit.network.flows import Address, Destination

_BALANCER = "kube-apiserver"
_PORT = 443


def api_server(cluster: ManagedCluster) -> Destination:
    """The API server as the cluster's nodes reach it.

    Raises:
        NotCollected: its load balancer or private endpoint was not read.
        Malformed: the cluster names no API server.
    """
    name = cluster.private_fqdn or cluster.fqdn
    if name is None:
        raise Malformed(
            cluster.id, cluster.at(ManagedCluster.fqdn).pointer, "a cluster without a name of its API server"
        )
    name = name.lower().rstrip(".")
    if cluster.enable_vnet_integration:
        address, evidence = _at_balancer(cluster)
    elif cluster.enable_private_cluster and cluster.private_fqdn is None:
        address, evidence = _at_endpoint(cluster)
    else:
        return Destination(None, name, "tcp", _PORT, (cluster.at(_name_field(cluster)),))
    return Destination(address, name, "tcp", _PORT, (cluster.at(_name_field(cluster)), *evidence))


def _name_field(cluster: ManagedCluster) -> Field[str]:
    return ManagedCluster.private_fqdn if cluster.private_fqdn else ManagedCluster.fqdn


def _at_balancer(cluster: ManagedCluster) -> tuple[Address, tuple[Evidence, ...]]:
    for balancer in cluster.node_load_balancers:
        for frontend in balancer.frontends or () if balancer.name.lower() == _BALANCER else ():
            if address := frontend.private_ip_address:
                evidence = frontend.at(FrontendIPConfiguration.private_ip_address)
                return _address(address, evidence), (evidence,)
    raise _not_read(cluster, f"its load balancer {_BALANCER}")


def _at_endpoint(cluster: ManagedCluster) -> tuple[Address, tuple[Evidence, ...]]:
    """Without a private zone, public DNS holds the endpoint's address, which is not asked here."""
    for endpoint in cluster.estate.every(PrivateEndpoint):
        for connection in (*(endpoint.connections or ()), *(endpoint.manual_connections or ())):
            if connection.private_link_service and connection.private_link_service.id.lower() == cluster.id.lower():
                return _of_endpoint(cluster, endpoint)
    raise _not_read(cluster, "its private endpoint")


def _of_endpoint(cluster: ManagedCluster, endpoint: PrivateEndpoint) -> tuple[Address, tuple[Evidence, ...]]:
    for interface in endpoint.network_interfaces or ():
        for configuration in interface.read().ip_configurations or ():
            if address := configuration.private_ip_address:
                evidence = configuration.at(InterfaceIPConfiguration.private_ip_address)
                return _address(address, evidence), (evidence,)
    raise _not_read(cluster, "an address of its private endpoint")


def _not_read(cluster: ManagedCluster, what: str) -> NotCollected:
    reason = f"{what} is not in the snapshot, so the address of the API server of {cluster.id} is not known"
    return NotCollected(Missing(what=cluster.id, kind="not-read", reason=reason))


def _address(written: str, evidence: Evidence) -> Address:
    try:
        return ip_address(written)
    except ValueError:
        raise Malformed(evidence.resource, evidence.pointer, f"{written!r} is not an address") from None
