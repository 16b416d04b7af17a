"""Private endpoints: where they lead, which names they stand for, and where private API servers really are.

Sources: https://learn.microsoft.com/azure/private-link/private-endpoint-overview and
https://learn.microsoft.com/azure/aks/api-server-vnet-integration.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from typing import NamedTuple

from aks_audit.facts import Evidence, FrontendIPConfiguration, Malformed, ManagedCluster, Missing, NotCollected, View
from aks_audit.facts.networking import (
    CustomDnsConfig,
    InterfaceIPConfiguration,
    PrivateEndpoint,
    PrivateLinkServiceConnection,
)
from aks_audit.network.flows import address_of


class RealAddresses(NamedTuple):
    """Where the API server of a private cluster really is, and what that was read from."""

    addresses: frozenset[IPv4Address]
    evidence: tuple[Evidence, ...]


def endpoints_of(cluster: ManagedCluster) -> tuple[PrivateEndpoint, ...]:
    """The private endpoints that AKS made for a cluster's API server, in its node resource group.

    Raises:
        NotCollected: none was read, and there may be one.
    """
    endpoints = cluster.estate.within(PrivateEndpoint, cluster.node_group_id)
    found = tuple(endpoint for endpoint in endpoints if connections_to(endpoint, cluster.id))
    if not found:
        endpoints.whole()
    return found


def connections_to(endpoint: PrivateEndpoint, resource_id: str) -> tuple[PrivateLinkServiceConnection, ...]:
    """The connections of a private endpoint that lead to a resource."""
    return tuple(
        connection
        for connection in (*(endpoint.connections or ()), *(endpoint.manual_connections or ()))
        if connection.private_link_service and connection.private_link_service.id.lower() == resource_id.lower()
    )


def api_server_addresses(cluster: ManagedCluster) -> RealAddresses:
    """The private IPv4 addresses of a private cluster's API server.

    With API Server VNet Integration they are those of the load balancer `kube-apiserver` in the node resource group,
    else those of the private endpoint's network interfaces.
    Source: https://learn.microsoft.com/azure/aks/api-server-vnet-integration

    Raises:
        NotCollected: the endpoint, its interface or the load balancer was not read, or is not there.
        Malformed: one of them has no address.
    """
    found = _front_ends(cluster) if cluster.enable_vnet_integration else _endpoint_addresses(cluster)
    if not found:
        kind = "load balancer" if cluster.enable_vnet_integration else "private endpoint"
        reason = f"{cluster.node_group_id} holds no {kind} of the API server"
        raise NotCollected(Missing(what=cluster.node_group_id, kind="not-read", reason=reason))
    addresses = (address_of(view, text, evidence) for view, text, evidence in found)
    private = frozenset(address for address in addresses if isinstance(address, IPv4Address))
    return RealAddresses(private, tuple(evidence for _, _, evidence in found))


def _endpoint_addresses(cluster: ManagedCluster) -> list[tuple[View, str | None, Evidence]]:
    return [
        (each, each.private_ip_address, each.at(InterfaceIPConfiguration.private_ip_address))
        for endpoint in endpoints_of(cluster)
        for interface in endpoint.network_interfaces or ()
        for each in interface.read().ip_configurations or ()
    ]


def _front_ends(cluster: ManagedCluster) -> list[tuple[View, str | None, Evidence]]:
    own = [balancer for balancer in cluster.node_load_balancers if balancer.name.lower() == "kube-apiserver"]
    if not own:
        cluster.node_load_balancers.whole()
    return [
        (frontend, frontend.private_ip_address, frontend.at(FrontendIPConfiguration.private_ip_address))
        for balancer in own
        for frontend in balancer.frontends or ()
        if frontend.public_ip_address is None
    ]


class EndpointName(NamedTuple):
    """A public name that a private endpoint stands for, its addresses there, and what they were read from."""

    fqdn: str
    addresses: frozenset[IPv4Address]
    evidence: tuple[Evidence, ...]


def endpoint_names(endpoint: PrivateEndpoint) -> tuple[EndpointName, ...]:
    """The names of a private endpoint, in lower case: its own list, else those on its network interfaces.

    Raises:
        NotCollected: it has no list of its own, and an interface was not read.
        Malformed: a name or an address is missing.
    """
    if endpoint.custom_dns_configs is None:
        field = endpoint.at(PrivateEndpoint.custom_dns_configs)
        raise Malformed(endpoint.id, field.pointer, "a private endpoint without its list of names")
    told = [_configured(config) for config in endpoint.custom_dns_configs] or list(_on_interfaces(endpoint))
    names = dict.fromkeys(fqdn for fqdn, _, _ in told)
    return tuple(
        EndpointName(
            name,
            frozenset(address for fqdn, found, _ in told if fqdn == name for address in found),
            tuple(evidence for fqdn, _, evidence in told if fqdn == name),
        )
        for name in names
    )


def _configured(config: CustomDnsConfig) -> tuple[str, frozenset[IPv4Address], Evidence]:
    evidence = config.at(CustomDnsConfig.ip_addresses)
    if not config.fqdn or not config.ip_addresses:
        raise Malformed(config.document.id, config.pointer, "a name without addresses, or addresses without a name")
    return config.fqdn.lower(), _v4(config, config.ip_addresses, evidence), evidence


def _on_interfaces(endpoint: PrivateEndpoint) -> Iterator[tuple[str, frozenset[IPv4Address], Evidence]]:
    for interface in endpoint.network_interfaces or ():
        for each in interface.read().ip_configurations or ():
            evidence = each.at(InterfaceIPConfiguration.private_ip_address)
            for fqdn in each.fqdns or ():
                yield fqdn.lower(), _v4(each, [each.private_ip_address], evidence), evidence


def _v4(view: View, texts: Sequence[str | None], evidence: Evidence) -> frozenset[IPv4Address]:
    found = (address_of(view, text, evidence) for text in texts)
    return frozenset(address for address in found if isinstance(address, IPv4Address))
