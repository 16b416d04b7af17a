"""The networks that a cluster's nodes and pods reach by their own addresses, as far as Azure's resources tell.

They are the cluster's own virtual networks, the peers of these, and what routes of its subnets lead to. A route for a
whole private block (10.0.0.0/8 and so on) or more says where everything goes, not that there is a network.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import NamedTuple

from aks_audit.facts import (
    AgentPoolMode,
    Evidence,
    Link,
    Malformed,
    ManagedCluster,
    Network,
    Route,
    RouteNextHopType,
    RouteTable,
    Subnet,
    VirtualNetwork,
)
from aks_audit.facts.enumerations import PeeringState
from aks_audit.facts.networking import VirtualNetworkPeering
from aks_audit.facts.resource_id import parse
from aks_audit.network.addresses import AddressSet
from aks_audit.network.origins import node_subnet
from aks_audit.network.routes import written_prefixes

_GATEWAY_SUBNETS = frozenset({"gatewaysubnet", "routeserversubnet"})
_LEADS_ON = frozenset(
    {
        RouteNextHopType.VIRTUAL_APPLIANCE,
        RouteNextHopType.VIRTUAL_APPLIANCE_ECMP,
        RouteNextHopType.VIRTUAL_NETWORK_GATEWAY,
    }
)


class Neighbour(NamedTuple):
    """A network in reach: what it is, in words, its prefixes, and the evidence for them."""

    what: str
    prefixes: tuple[Network, ...]
    evidence: Evidence

    def meets(self, prefix: Network) -> Network | None:
        """The first of its prefixes that has an address in common with one; None where there is none."""
        return next((own for own in self.prefixes if own.overlaps(prefix)), None)


def virtual_networks(cluster: ManagedCluster) -> tuple[VirtualNetwork, ...]:
    """The virtual networks that a cluster has subnets in.

    Raises:
        NotCollected: one was not read, or the scale set that tells of it was not.
    """
    ids = {link.id.lower(): link.id for link in _subnets(cluster)}
    found = {parse(subnet_id).parent.lower(): parse(subnet_id).parent for subnet_id in ids.values()}
    return tuple(cluster.estate.resource(VirtualNetwork, found[key]) for key in sorted(found))


def neighbours(cluster: ManagedCluster, ranges: Iterable[Network]) -> Iterator[Neighbour]:
    """The networks in reach of a cluster: all of its own and of peers, and those routes that meet some ranges.

    What a gateway learns is not among them: see `gateways`. A route table comes as one without prefixes, for evidence.

    Raises:
        NotCollected: a network, a peer or a route table was not read.
        Malformed: a network, a peering or a route lacks what decides.
    """
    for network in virtual_networks(cluster):
        evidence = network.at(VirtualNetwork.address_space)
        yield Neighbour(f"the virtual network {network.name}", _space(network), evidence)
        if network.peerings is None:
            raise Malformed(network.id, network.at(VirtualNetwork.peerings).pointer, "a network without its peerings")
        for peering in network.peerings:
            yield from _peer(peering)
    wanted = AddressSet.of(ranges)
    for subnet in _read(cluster):
        yield from _routed(subnet, wanted)


def gateways(cluster: ManagedCluster) -> Iterator[tuple[str, Evidence]]:
    """Gateways and route servers whose learned routes reach the cluster, in words; Azure's resources do not tell those.

    Raises:
        NotCollected: a network or a route table was not read.
        Malformed: a peering does not say whether it uses the peer's gateway.
    """
    tables = [subnet.route_table.read() if subnet.route_table else None for subnet in _read(cluster)]
    if all(table and table.disable_bgp_route_propagation for table in tables):
        return
    for network in virtual_networks(cluster):
        for subnet in network.subnets or ():
            name = subnet.written_name or subnet.name
            if name.lower() in _GATEWAY_SUBNETS:
                yield f"{name} of {network.name}", subnet.at(Subnet.address_prefix)
        for peering in network.peerings or ():
            evidence = peering.at(VirtualNetworkPeering.use_remote_gateways)
            if peering.use_remote_gateways is None:
                problem = "a peering that does not say whether it uses the peer's gateway"
                raise Malformed(peering.document.id, evidence.pointer, problem)
            if peering.use_remote_gateways and peering.state is PeeringState.CONNECTED:
                yield f"the gateway of the peer of {network.name}", evidence


def _subnets(cluster: ManagedCluster) -> Iterator[Link[Subnet]]:
    """The subnets of nodes and pods; those of nodes in a network that AKS made by their scale sets."""
    for pool in cluster.pools:
        if pool.pod_subnet:
            yield pool.pod_subnet
        if pool.node_subnet:
            yield pool.node_subnet
        elif pool.mode is not AgentPoolMode.MANAGED_SYSTEM:
            yield Link(cluster.estate, Subnet, node_subnet(cluster, pool).id)


def _read(cluster: ManagedCluster) -> tuple[Subnet, ...]:
    found = {link.id.lower(): link for link in _subnets(cluster)}
    return tuple(found[key].read() for key in sorted(found))


def _space(network: VirtualNetwork) -> tuple[Network, ...]:
    if not network.address_space:
        raise Malformed(network.id, network.at(VirtualNetwork.address_space).pointer, "a network without address space")
    return network.address_space


def _peer(peering: VirtualNetworkPeering) -> Iterator[Neighbour]:
    """What is behind a peering that is not cut: the peer's addresses as this side knows them, and as they are now."""
    if peering.state is None:
        pointer = peering.at(VirtualNetworkPeering.state).pointer
        raise Malformed(peering.document.id, pointer, "a peering without its state")
    if peering.state is PeeringState.DISCONNECTED:
        return
    known = VirtualNetworkPeering.remote_address_space
    now = VirtualNetworkPeering.remote_virtual_network_address_space
    prefixes = tuple(
        dict.fromkeys(
            [*(peering.remote_address_space or ()), *(peering.remote_virtual_network_address_space or ())],
        )
    )
    if not prefixes:
        raise Malformed(peering.document.id, peering.at(known).pointer, "a peering without the peer's address space")
    name = parse(peering.remote.id).name if peering.remote else peering.name
    yield Neighbour(f"the peered network {name}", prefixes, peering.at(known if peering.remote_address_space else now))


def _routed(subnet: Subnet, wanted: AddressSet) -> Iterator[Neighbour]:
    if subnet.route_table is None:
        return
    table = subnet.route_table.read()
    led = subnet.estate.once(_networks_of_routes, table)
    yield Neighbour(f"the routes of {table.name}", (), table.at(RouteTable.routes))
    if not led.addresses.overlaps(wanted):
        return
    for prefix, route in led.routes:
        if not _to_a_node(route, subnet):
            yield Neighbour(f"what route {route.name} leads to", (prefix,), route.at(Route.address_prefix))


class _Led(NamedTuple):
    """The networks that a route table leads to, together and by route."""

    addresses: AddressSet
    routes: tuple[tuple[Network, Route], ...]


def _networks_of_routes(table: RouteTable) -> _Led:
    if table.routes is None:
        raise Malformed(table.id, f"{table.pointer}/properties/routes", "a route table without its list of routes")
    found: list[tuple[Network, Route]] = []
    for route, prefix in written_prefixes(table):
        hop = route.next_hop_type
        if hop is None or (prefix is None and route.address_prefix is None):
            raise Malformed(route.document.id, route.pointer, "a route without its prefix or next hop type")
        if prefix and _leads_to_a_network(hop, prefix):  # else a service tag, or damage that rules about routes tell
            found.append((prefix, route))
    return _Led(AddressSet.of(prefix for prefix, _ in found), tuple(found))


def _leads_to_a_network(hop: RouteNextHopType, prefix: Network) -> bool:
    """Whether a route leads to a network: neither nowhere nor to everything."""
    if hop not in _LEADS_ON:
        return False
    if isinstance(prefix, IPv6Network):
        return prefix.prefixlen > _PRIVATE_V6
    return not any(block.subnet_of(prefix) for block in _BLOCKS)


_PRIVATE_V6 = 7
"""The length of fc00::/7, all private addresses of IPv6."""

_BLOCKS = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))


def _to_a_node(route: Route, subnet: Subnet) -> bool:
    """Whether the next hop is in the subnet itself: kubenet's own routes lead to nodes and their pods."""
    try:
        hop = ip_address((route.next_hop_ip_address or "").strip())
    except ValueError:
        return False
    return any(hop in prefix for prefix in subnet.prefixes)
