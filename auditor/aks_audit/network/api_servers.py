"""The API server as a destination: by which name or address a cluster's nodes reach it.

Source: https://learn.microsoft.com/azure/aks/private-clusters and
https://learn.microsoft.com/azure/aks/api-server-vnet-integration (nodes reach the API server by its internal load
balancer, whether the cluster is private or not).
"""

from aks_audit.facts import Malformed, ManagedCluster
from aks_audit.network.flows import Destination
from aks_audit.network.private_endpoints import api_server_addresses

_PORT = 443


def api_server(cluster: ManagedCluster) -> Destination:
    """The API server as the cluster's nodes reach it.

    Where public DNS alone holds the private address of a private cluster, it is taken from the private endpoint.

    Raises:
        NotCollected: its load balancer or private endpoint was not read.
        Malformed: the cluster names no API server.
    """
    field = ManagedCluster.private_fqdn if cluster.private_fqdn else ManagedCluster.fqdn
    evidence = cluster.at(field)
    name = cluster.private_fqdn or cluster.fqdn
    if name is None:
        raise Malformed(cluster.id, evidence.pointer, "a cluster without a name of its API server")
    name = name.lower().rstrip(".")
    if cluster.enable_vnet_integration or (cluster.enable_private_cluster and cluster.private_fqdn is None):
        real = api_server_addresses(cluster)
        return Destination(min(real.addresses, default=None), name, "tcp", _PORT, (evidence, *real.evidence))
    return Destination(None, name, "tcp", _PORT, (evidence,))
