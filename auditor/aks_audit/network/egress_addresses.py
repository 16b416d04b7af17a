"""The public addresses that a cluster is seen with on the internet.

Where its subnets' route for the internet leads to an Azure Firewall, those of the firewall; else those of the NAT
gateway, of the nodes themselves or of the load balancer, in that order, as `translation` explains; and beside these,
those of the static egress gateways that pods leave by.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, ip_network

from aks_audit.facts import (
    AgentPool,
    AgentPoolMode,
    AzureResource,
    Link,
    Malformed,
    ManagedCluster,
    Missing,
    NatGateway,
    Network,
    NotCollected,
    Subnet,
    VirtualNetwork,
)
from aks_audit.facts.firewall import AzureFirewall
from aks_audit.facts.networking import PublicIPAddress, PublicIPPrefix
from aks_audit.facts.resource_id import parse
from aks_audit.facts.static_egress import StaticGatewayConfiguration
from aks_audit.network.addresses import AddressSet
from aks_audit.network.next_hops import resolve_appliance
from aks_audit.network.origins import interfaces, machine_interfaces, node_subnet
from aks_audit.network.routes import EffectiveRoute, NextHopKind, effective_route
from aks_audit.network.translation import outbound_frontends

_SOMEWHERE = IPv4Address("1.0.0.1")
"""A public address that no service of Azure has, for the route to the internet at large."""


def egress_addresses(cluster: ManagedCluster) -> AddressSet:
    """The public addresses of a cluster's nodes and pods; empty for one that has no way out.

    Raises:
        NotCollected: what translates the addresses, or the address itself, was not read, or Azure does not tell it.
        Malformed: a network, route or address cannot be read.
    """
    return AddressSet.union_of(_of_subnet(cluster, pool, subnet) for pool, subnet in _subnets(cluster))


def _subnets(cluster: ManagedCluster) -> Iterator[tuple[AgentPool, Subnet]]:
    for pool in cluster.pools:
        yield pool, node_subnet(cluster, pool)
        if pool.pod_subnet:
            yield pool, pool.pod_subnet.read()


def _of_subnet(cluster: ManagedCluster, pool: AgentPool, subnet: Subnet) -> AddressSet:
    route = effective_route(subnet, _SOMEWHERE)
    if route.doubts or route.service_tags:
        raise NotCollected(*route.doubts, *route.service_tags)
    match route.next_hop.kind:
        case NextHopKind.NONE:
            return AddressSet()
        case NextHopKind.APPLIANCE:
            return AddressSet.union_of(_of_appliance(subnet, route))
        case NextHopKind.INTERNET:
            return _of_nodes(cluster, pool, subnet)
        case other:
            raise _unknown(subnet.id, f"{subnet.name} leaves through a {other}, and with which addresses is not known")


def _of_appliance(subnet: Subnet, route: EffectiveRoute) -> Iterator[AddressSet]:
    network = subnet.estate.resource(VirtualNetwork, subnet.virtual_network_id)
    for address in route.next_hop.addresses:
        found = resolve_appliance(network, address)
        if not isinstance(found.resource, AzureFirewall):
            reason = f"{subnet.name} leaves by {found.kind} at {address}, and with which addresses is not known"
            raise _unknown(subnet.id, reason)
        yield _of_firewall(found.resource)


def _of_firewall(firewall: AzureFirewall) -> AddressSet:
    own = firewall.ip_configurations or ()
    for configuration in own:
        subnet = configuration.subnet.read() if configuration.subnet else None
        if subnet and subnet.nat_gateway:
            return _of_gateway(subnet.nat_gateway.read())
    used = [one.public_ip_address for one in own if one.public_ip_address]
    in_hub = [one.address for one in firewall.hub_public_addresses or () if one.address]
    if in_hub:
        return AddressSet.of(in_hub)
    if not used:
        raise _unknown(firewall.id, f"the public addresses of {firewall.name} are not collected")
    return _public(firewall, used)


def _of_gateway(gateway: NatGateway) -> AddressSet:
    return _public(gateway, (*(gateway.public_ip_addresses or ()), *(gateway.public_ip_prefixes or ())))


def _of_nodes(cluster: ManagedCluster, pool: AgentPool, subnet: Subnet) -> AddressSet:
    if subnet.nat_gateway:
        return _of_gateway(subnet.nat_gateway.read())
    of_gateway = pool.mode is AgentPoolMode.GATEWAY  # whose nodes have the addresses that their configurations tell
    gateways = AddressSet.union_of(_of_static_gateways(cluster, pool)) if of_gateway else AddressSet()
    configurations = (one for each in interfaces(cluster, pool) for one in each.ip_configurations or ())
    if pool.enable_node_public_ip or (not of_gateway and any(one.public_ip_address for one in configurations)):
        raise _unknown(pool.id, f"the nodes of {pool.name} have public addresses of their own, which are not collected")
    machines = (one for each in machine_interfaces(cluster, pool) for one in each.ip_configurations or ())
    own = [one.public_ip_address for one in machines if one.public_ip_address]
    if own:
        return gateways.union(_public(cluster, own))
    balancers = cluster.node_load_balancers.whole()
    fronts = [front for balancer in balancers for front in outbound_frontends(balancer)]
    used = [one.public_ip_address or one.public_ip_prefix for one in fronts]
    if not used:
        raise _unknown(subnet.id, f"nothing that was read gives {subnet.name} a public address of yours")
    return gateways.union(_public(cluster, (one for one in used if one)))


def _of_static_gateways(cluster: ManagedCluster, pool: AgentPool) -> Iterator[AddressSet]:
    for one in cluster.estate.within(StaticGatewayConfiguration, cluster.id).whole():
        own = one.pool
        if one.is_public and own is not None and own.name.lower() == pool.name.lower():
            yield AddressSet.of(one.addresses)


def _public(of: AzureResource, links: "Iterable[Link[PublicIPAddress] | Link[AzureResource]]") -> AddressSet:
    return AddressSet.of(_address(of, link.id) for link in links)


def _address(of: AzureResource, public_ip: str) -> Network:
    if parse(public_ip).type.lower() == PublicIPPrefix.TYPE.lower():
        prefix = of.estate.resource(PublicIPPrefix, public_ip).prefix
        if prefix is None:
            raise _unknown(public_ip, f"the body of {parse(public_ip).name} holds no prefix yet")
        return prefix
    body = of.estate.resource(PublicIPAddress, public_ip)
    if body.ip_address is None:
        raise _unknown(public_ip, f"the body of {body.name} holds no address yet")
    try:
        return ip_network(body.ip_address)
    except ValueError:
        pointer = body.at(PublicIPAddress.ip_address).pointer
        raise Malformed(public_ip, pointer, f"{body.ip_address!r} is not an address") from None


def _unknown(what: str, reason: str) -> NotCollected:
    return NotCollected(Missing(what=what, kind="not-sent", reason=reason))
