"""Where a subnet's traffic goes: by its own route table, and by the routes that Azure adds.

Azure takes the route with the longest prefix; of equal prefixes a user-defined one before what a gateway learned by
BGP before Azure's own. Azure's own are: the network's address space and that of its peers, everything else to the
internet, and private space that is in neither to nobody, unless a user-defined route for 0.0.0.0/0 takes its place.
Routes to the network and its peers win over what a gateway learned, even by a shorter prefix; those of service
endpoints win over all.
Source: https://learn.microsoft.com/azure/virtual-network/virtual-networks-udr-overview

What Azure does not say in its resources stands beside the route that was found: which routes a gateway learned, and
which addresses are behind a service tag or a service endpoint. The routes of single addresses that private endpoints
bring are in `endpoint_routes`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from functools import lru_cache, partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from aks_audit.facts import (
    Evidence,
    Field,
    Malformed,
    Missing,
    Network,
    NotCollected,
    Route,
    RouteNextHopType,
    RouteTable,
    Subnet,
    View,
    VirtualNetwork,
)
from aks_audit.facts.enumerations import PeeringState
from aks_audit.facts.firewall import AzureFirewall
from aks_audit.facts.networking import VirtualNetworkPeering
from aks_audit.network.addresses import PUBLIC, AddressSet
from aks_audit.network.flows import Address, address_of
from aks_audit.network.virtual_hubs import default_by_hub

T = TypeVar("T")

Family: TypeAlias = Literal[4, 6]
_V4: Family = 4

_SERVICE_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")
_GATEWAY_SUBNETS = frozenset({"gatewaysubnet", "routeserversubnet"})
_DEFAULT = IPv4Network("0.0.0.0/0")
_DEFAULTS = (_DEFAULT, IPv6Network("::/0"))
_DROPPED = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))


class RouteSource(StrEnum):
    """Who made a route."""

    USER = "user"
    SYSTEM = "system"
    PEERING = "peering"
    VIRTUAL_HUB = "virtual hub"
    PRIVATE_ENDPOINT = "private endpoint"


class NextHopKind(StrEnum):
    """What a route leads to."""

    VIRTUAL_NETWORK = "virtual network"
    PEERING = "peering"
    INTERNET = "internet"
    APPLIANCE = "appliance"
    GATEWAY = "gateway"
    NONE = "none"


_KINDS = {
    RouteNextHopType.VIRTUAL_NETWORK_GATEWAY: NextHopKind.GATEWAY,
    RouteNextHopType.VNET_LOCAL: NextHopKind.VIRTUAL_NETWORK,
    RouteNextHopType.INTERNET: NextHopKind.INTERNET,
    RouteNextHopType.VIRTUAL_APPLIANCE: NextHopKind.APPLIANCE,
    RouteNextHopType.VIRTUAL_APPLIANCE_ECMP: NextHopKind.APPLIANCE,
    RouteNextHopType.NONE: NextHopKind.NONE,
}


class NextHop(NamedTuple):
    """What a route leads to: the addresses of appliances, or the id of the peer's network."""

    kind: NextHopKind
    addresses: tuple[Address, ...] = ()
    network: str = ""

    @property
    def address(self) -> Address | None:
        """The appliance's address, the first of several; None where the route leads to no appliance."""
        return self.addresses[0] if self.addresses else None


class EffectiveRoute(NamedTuple):
    """The route that decides; `name` is that of the user-defined route, of the peering or of the private endpoint.

    `doubts` say which route that cannot be seen may win instead; empty: none can. `service_tags` and
    `service_endpoints` are the routes that win if the address is one of theirs; the latter lead there directly.
    """

    source: RouteSource
    prefix: Network
    next_hop: NextHop
    name: str = ""
    evidence: tuple[Evidence, ...] = ()
    doubts: tuple[Missing, ...] = ()
    service_tags: tuple[Missing, ...] = ()
    service_endpoints: tuple[Missing, ...] = ()


class GatewayReach(NamedTuple):
    """How gateways give their routes to a network; not `certain` where a subnet for one says not that one is there."""

    said: str
    evidence: Evidence
    certain: bool


class InternetRoutes(NamedTuple):
    """How a route table sends traffic of one family to public addresses.

    `shares` gives, for each next hop type (None: no user-defined route, so Azure's own), how many public addresses go
    that way by prefix routes; `by_type` the routes that say so, the most specific first.
    """

    shares: dict[RouteNextHopType | None, int]
    by_type: dict[RouteNextHopType, tuple[Route, ...]]


def effective_route(subnet: Subnet, destination: Address) -> EffectiveRoute:
    """The route by which a subnet's traffic to an address leaves.

    Raises:
        NotCollected: the subnet's network or route table was not read.
        Malformed: a network, peering or route lacks what decides.
    """
    network = subnet.estate.resource(VirtualNetwork, subnet.virtual_network_id)
    table = subnet.route_table.read() if subnet.route_table else None
    routes = [route for route in subnet.estate.once(_routes_of, subnet) if destination in route.prefix]
    best = max(routes, key=lambda route: (route.prefix.prefixlen, _PREFERENCE.get(route.source, 0)))
    inside = any(route.source is RouteSource.PEERING or _is_local(route) for route in routes)
    asked = _Question(subnet, network, table, best, destination)
    doubts = () if inside else tuple(_doubts(asked))
    return best._replace(
        doubts=doubts, service_tags=tuple(_by_tag(asked)), service_endpoints=tuple(_by_endpoint(asked))
    )


def _routes_of(subnet: Subnet) -> tuple[EffectiveRoute, ...]:
    """All routes of a subnet."""
    network = subnet.estate.resource(VirtualNetwork, subnet.virtual_network_id)
    return tuple(_routes(network, subnet.route_table.read() if subnet.route_table else None))


_PREFERENCE = {RouteSource.USER: 2, RouteSource.VIRTUAL_HUB: 1}
"""Which of two routes with the same prefix wins, the higher; what is not named is Azure's own."""


def default_route(table: RouteTable, family: Family = 4) -> Route | None:
    """The user-defined route for all addresses of a family; None where there is none."""
    wanted = _DEFAULTS[0] if family == _V4 else _DEFAULTS[1]
    return next((route for network, _, route in _prefix_routes(table) if network == wanted), None)


def tag_routes(table: RouteTable) -> tuple[Route, ...]:
    """The routes for service tags."""
    return table.estate.once(_tag_routes, table)


def _tag_routes(table: RouteTable) -> tuple[Route, ...]:
    _all_routes(table)
    return tuple(route for route, prefix in written_prefixes(table) if prefix is None and destination(route) is None)


def next_hop_addresses(route: Route) -> tuple[Address, ...]:
    """The addresses of the appliances that a route leads to; empty for a route that leads to none.

    Raises:
        Malformed: a route to an appliance names no address, or one that is none.
    """
    hop = route.next_hop_type
    if hop is RouteNextHopType.VIRTUAL_APPLIANCE_ECMP:
        written = route.next_hop_ip_addresses or ()
    elif hop is RouteNextHopType.VIRTUAL_APPLIANCE:
        alone = route.next_hop_ip_address
        written = (alone,) if alone else ()
    else:
        return ()
    if not written:
        raise Malformed(route.document.id, route.pointer, "a route to an appliance without its address")
    try:
        return tuple(_address(one.strip()) for one in written)
    except ValueError as error:
        raise Malformed(route.document.id, route.pointer, str(error)) from None


_address = lru_cache(maxsize=1024)(ip_address)
"""Most routes of a table lead to one appliance."""


def propagates(table: RouteTable | None) -> bool:
    """Whether routes that gateways learned reach subnets with this route table; without a table they do."""
    return table is None or not table.disable_bgp_route_propagation


def gateways_in_reach(network: VirtualNetwork) -> tuple[GatewayReach, ...]:
    """The gateways and route servers that give routes to a network: its own, and those of peers that it uses.

    Raises:
        Malformed: the network lacks its list of subnets, or a peering what decides.
    """
    return network.estate.once(_gateways_in_reach, network)


def _gateways_in_reach(network: VirtualNetwork) -> tuple[GatewayReach, ...]:
    return (*_own_gateways(network), *_gateways_of_peers(network))


def _own_gateways(network: VirtualNetwork) -> Iterator[GatewayReach]:
    if network.subnets is None:
        raise Malformed(network.id, network.at(VirtualNetwork.subnets).pointer, "a network without its subnets")
    for subnet in network.subnets:
        if subnet.name.lower() in _GATEWAY_SUBNETS:
            there = bool(subnet.ip_configurations)
            yield GatewayReach(f"{subnet.name} of {network.name}", subnet.at(Subnet.ip_configurations), certain=there)


def _gateways_of_peers(network: VirtualNetwork) -> Iterator[GatewayReach]:
    uses = VirtualNetworkPeering.use_remote_gateways
    for peering in network.peerings or ():
        if stated(peering, VirtualNetworkPeering.state) is PeeringState.CONNECTED and stated(peering, uses):
            yield GatewayReach(f"the peer's by peering {peering.name}", peering.at(uses), certain=True)


def peer_prefixes(peering: VirtualNetworkPeering) -> tuple[Network, ...]:
    """The remote prefixes that a peering leads to; none unless it is connected and lets traffic through.

    Raises:
        Malformed: the peering lacks what decides.
    """
    if stated(peering, VirtualNetworkPeering.state) is not PeeringState.CONNECTED:
        return ()
    if not stated(peering, VirtualNetworkPeering.allow_virtual_network_access):
        return ()
    return remote_prefixes(peering)


def remote_prefixes(peering: VirtualNetworkPeering) -> tuple[Network, ...]:
    """The remote prefixes that a peering knows, whether it works or not.

    Raises:
        Malformed: it names none.
    """
    known = peering.remote_address_space
    return known if known is not None else stated(peering, VirtualNetworkPeering.remote_virtual_network_address_space)


def stated(view: View, field: Field[T]) -> T:
    """The value of a field that Azure always sends.

    Raises:
        Malformed: the body does not hold it.
    """
    value: T | None = field.__get__(view, type(view))
    if value is None:
        raise Malformed(view.document.id, view.at(field).pointer, "Azure sends this value always; it was lost")
    return value


def internet_routes(table: RouteTable, family: Family = 4) -> InternetRoutes:
    """Evaluate a route table for all public destinations of a family.

    So a default route split in halves is one default route, and a more specific way out beside an appliance is seen.
    Routes for service tags are left out.

    Raises:
        Malformed: the body holds no list of routes, or a route lacks its prefix or next hop, or has one that is
            neither a prefix nor the name of a service tag.
    """
    return table.estate.once(_INTERNET_ROUTES[family], table)


def _internet_routes(family: Family, table: RouteTable) -> InternetRoutes:
    left = PUBLIC.v4 if family == _V4 else PUBLIC.v6
    shares: dict[RouteNextHopType | None, int] = {}
    used: dict[RouteNextHopType, list[Route]] = {}
    found = [item for item in _prefix_routes(table) if item[0].version == family]
    for network, hop, route in sorted(found, key=lambda item: -item[0].prefixlen):
        both = AddressSet.of([network])
        taken = left & (both.v4 if family == _V4 else both.v6)
        if taken:
            shares[hop] = shares.get(hop, 0) + taken.size
            used.setdefault(hop, []).append(route)
            left -= taken
    if left:
        shares[None] = left.size
    return InternetRoutes(shares, {hop: tuple(routes) for hop, routes in used.items()})


_INTERNET_ROUTES: Mapping[Family, Callable[[RouteTable], InternetRoutes]] = {
    4: partial(_internet_routes, 4),
    6: partial(_internet_routes, 6),
}


def _all_routes(table: RouteTable) -> tuple[Route, ...]:
    routes = table.routes
    if routes is None:
        raise Malformed(table.id, f"{table.pointer}/properties/routes", "a route table without its list of routes")
    return routes


def _prefix_routes(table: RouteTable) -> tuple[tuple[Network, RouteNextHopType, Route], ...]:
    """The routes of a table that are not for service tags."""
    return table.estate.once(_read_prefix_routes, table)


def _read_prefix_routes(table: RouteTable) -> tuple[tuple[Network, RouteNextHopType, Route], ...]:
    _all_routes(table)
    found: list[tuple[Network, RouteNextHopType, Route]] = []
    for route, prefix in written_prefixes(table):
        hop = route.next_hop_type
        network = prefix or destination(route)
        if hop is None:
            raise Malformed(route.document.id, route.pointer, "a route without its next hop type")
        if network:
            found.append((network, hop, route))
    return tuple(found)


def written_prefixes(table: RouteTable) -> tuple[tuple[Route, Network | None], ...]:
    """Each route of a table with its prefix; None where it has none, as for a service tag. No routes are none here."""
    return table.estate.once(_written_prefixes, table)


def _written_prefixes(table: RouteTable) -> tuple[tuple[Route, Network | None], ...]:
    return tuple((route, _prefix((route.address_prefix or "").strip())) for route in table.routes or ())


@lru_cache(maxsize=8192)
def _prefix(written: str) -> Network | None:
    try:
        return ip_network(written, strict=False)
    except ValueError:
        return None


def destination(route: Route) -> Network | None:
    """The prefix of a route; None for a route for a service tag.

    Raises:
        Malformed: the route has neither.
    """
    prefix = route.address_prefix
    if prefix is None:
        raise Malformed(route.document.id, route.pointer, "a route without its prefix")
    found = _prefix(prefix.strip())
    if found is None and not _SERVICE_TAG.fullmatch(prefix):
        problem = f"{prefix!r} is neither an address prefix nor a service tag"
        raise Malformed(route.document.id, route.pointer, problem)
    return found


def _routes(network: VirtualNetwork, table: RouteTable | None) -> Iterator[EffectiveRoute]:
    attached = table.estate.once(_user_routes, table) if table else ()
    yield from attached
    space = network.at(VirtualNetwork.address_space)
    for prefix in stated(network, VirtualNetwork.address_space):
        yield EffectiveRoute(RouteSource.SYSTEM, prefix, NextHop(NextHopKind.VIRTUAL_NETWORK), "", (space,))
    yield from network.estate.once(_all_peering_routes, network)
    if propagates(table):
        yield from _hub_route(network)
    for prefix in _DEFAULTS:
        yield EffectiveRoute(RouteSource.SYSTEM, prefix, NextHop(NextHopKind.INTERNET))
    if not any(route.prefix == _DEFAULT for route in attached):
        for prefix in _DROPPED:
            yield EffectiveRoute(RouteSource.SYSTEM, prefix, NextHop(NextHopKind.NONE))


def _user_routes(table: RouteTable) -> tuple[EffectiveRoute, ...]:
    found: list[EffectiveRoute] = []
    for prefix, hop, route in _prefix_routes(table):
        next_hop = NextHop(_KINDS[hop], next_hop_addresses(route))
        shown = tuple(route.at(field) for field in (Route.address_prefix, Route.next_hop_type))
        found.append(EffectiveRoute(RouteSource.USER, prefix, next_hop, route.name or "", shown))
    return tuple(found)


def _hub_route(network: VirtualNetwork) -> Iterator[EffectiveRoute]:
    """The default route that a Virtual WAN hub gives by its routing intent, where it leads to a firewall that was read.

    Whatever else a hub gives is a doubt, as with every gateway in reach.
    """
    with suppress(NotCollected):
        found = default_by_hub(network)
        for firewall in network.estate.every(AzureFirewall) if found and found.next_hop else ():
            address = firewall.hub_private_ip_address
            if found and found.next_hop and address and firewall.id.lower() == found.next_hop.lower():
                at = address_of(firewall, address, firewall.at(AzureFirewall.hub_private_ip_address))
                hop = NextHop(NextHopKind.APPLIANCE, (at,))
                yield EffectiveRoute(RouteSource.VIRTUAL_HUB, _DEFAULT, hop, found.hub.name, found.evidence)


def _all_peering_routes(network: VirtualNetwork) -> tuple[EffectiveRoute, ...]:
    return tuple(route for peering in network.peerings or () for route in _peering_routes(peering))


def _peering_routes(peering: VirtualNetworkPeering) -> Iterator[EffectiveRoute]:
    remote = peering.remote.id if peering.remote else ""
    shown = (peering.at(VirtualNetworkPeering.state), peering.at(VirtualNetworkPeering.remote_address_space))
    hop = NextHop(NextHopKind.PEERING, network=remote)
    for prefix in peer_prefixes(peering):
        yield EffectiveRoute(RouteSource.PEERING, prefix, hop, peering.name or "", shown)


def _is_local(route: EffectiveRoute) -> bool:
    return route.source is RouteSource.SYSTEM and route.next_hop.kind is NextHopKind.VIRTUAL_NETWORK


class _Question(NamedTuple):
    subnet: Subnet
    network: VirtualNetwork
    table: RouteTable | None
    best: EffectiveRoute
    destination: Address

    @property
    def exact(self) -> bool:
        """Whether the best route is a user-defined one for this address alone, which nothing wins over."""
        return self.best.source is RouteSource.USER and self.best.prefix.prefixlen == self.best.prefix.max_prefixlen


def _doubts(asked: _Question) -> Iterator[Missing]:
    """What may win over the best route that is known."""
    if not asked.exact and propagates(asked.table):
        for gateway in gateways_in_reach(asked.network):
            what = f"which routes {gateway.said} gives to {asked.network.name} is not known; one may be more specific"
            yield _doubt(asked.network.id, what)


def _by_tag(asked: _Question) -> Iterator[Missing]:
    if asked.table and not asked.exact and _is_public(asked.destination):
        for route in tag_routes(asked.table):
            what = f"whether {asked.destination} is an address of service tag {route.address_prefix}"
            yield _doubt(route.document.id, f"{what} (route {route.name}) is not known")


def _by_endpoint(asked: _Question) -> Iterator[Missing]:
    for endpoint in (asked.subnet.service_endpoints or ()) if _is_public(asked.destination) else ():
        what = f"whether {asked.destination} is an address of service endpoint {endpoint.service}"
        yield _doubt(asked.subnet.id, f"{what} is not known; if so, it is reached directly")


def _is_public(address: Address) -> bool:
    return int(address) in (PUBLIC.v4 if address.version == _V4 else PUBLIC.v6)


def _doubt(what: str, reason: str) -> Missing:
    return Missing(what=what, kind="not-sent", reason=reason)
