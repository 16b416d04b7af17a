"""The routes of single addresses that private endpoints bring into their network and its peers.

Such a route has the longest prefix there is, so it wins over every user-defined route but one for the same address.
With network policies for route tables on the endpoint's subnet, a user-defined route with a prefix at least as long as
that of the network's address space takes its place, too.
Sources: https://learn.microsoft.com/azure/private-link/disable-private-endpoint-network-policy and
https://learn.microsoft.com/azure/private-link/inspect-traffic-with-azure-firewall
"""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import NamedTuple

import msgspec

from aks_audit.facts import Missing, Subnet, Unread, VirtualNetwork
from aks_audit.facts.networking import PrivateEndpoint
from aks_audit.facts.resource_id import parse
from aks_audit.network.flows import Address
from aks_audit.network.routes import EffectiveRoute, NextHop, NextHopKind, RouteSource, peer_prefixes, stated
from aks_audit.network.virtual_hubs import is_virtual_hub

_ROUTED = frozenset({"enabled", "routetableenabled"})
_NOT_ROUTED = frozenset({"disabled", "networksecuritygroupenabled"})


class Found(NamedTuple):
    """The private endpoint that has an address, if one has; `doubts` say which others may."""

    endpoint: PrivateEndpoint | None
    doubts: tuple[Missing, ...] = ()


def endpoint_at(subnet: Subnet, address: Address) -> Found:
    """The private endpoint of a subnet that has an address."""
    doubts: list[Missing] = []
    endpoints = [one for one in subnet.estate.every(PrivateEndpoint) if _is_in(one, subnet)]
    for endpoint in endpoints:
        try:
            if _has(endpoint, address):
                return Found(endpoint)
        except Unread as unread:
            doubts += unread.missing
    try:
        _refuse_unseen(subnet, endpoints)
    except Unread as unread:
        doubts += unread.missing
    return Found(None, tuple(doubts))


def _is_in(endpoint: PrivateEndpoint, subnet: Subnet) -> bool:
    return endpoint.subnet is not None and endpoint.subnet.id.lower() == subnet.id.lower()


def _has(endpoint: PrivateEndpoint, address: Address) -> bool:
    configurations = (
        one for interface in endpoint.network_interfaces or () for one in interface.read().ip_configurations or ()
    )
    return any(one.address and address in one.address for one in configurations)


def _refuse_unseen(subnet: Subnet, seen: list[PrivateEndpoint]) -> None:
    """Endpoints that the subnet names and that were not read; those of its own subscription, by the listing."""
    known = {one.id.lower() for one in seen}
    for link in subnet.private_endpoints or ():
        if link.id.lower() not in known:
            subnet.estate.resource(PrivateEndpoint, link.id)
    subnet.estate.within(PrivateEndpoint, f"/subscriptions/{parse(subnet.id).subscription}").whole()


class _Home(NamedTuple):
    """The network that holds an address, as seen from another; `space` is its prefix that does."""

    network_id: str
    next_hop: NextHop
    space: int


def past_user_routes(subnet: Subnet, route: EffectiveRoute, address: Address) -> EffectiveRoute:
    """The route by which an address is reached, where a private endpoint's may win over the user-defined one.

    Raises:
        Malformed: a network or peering lacks what decides.
    """
    if route.source is not RouteSource.USER or route.prefix.prefixlen == route.prefix.max_prefixlen:
        return route
    network = subnet.estate.resource(VirtualNetwork, subnet.virtual_network_id)
    home = next(_homes(network, address), None)
    if home is None:
        return route
    try:
        subnets = stated(subnet.estate.resource(VirtualNetwork, home.network_id), VirtualNetwork.subnets)
    except Unread as unread:
        return _doubted(route, address, unread.missing)
    holder = next((one for one in subnets if any(address in prefix for prefix in one.prefixes)), None)
    return _judged(route, home, holder, address) if holder else route


def _homes(network: VirtualNetwork, address: Address) -> Iterator[_Home]:
    for prefix in stated(network, VirtualNetwork.address_space):
        if address in prefix:
            yield _Home(network.id, NextHop(NextHopKind.VIRTUAL_NETWORK), prefix.prefixlen)
    for peering in network.peerings or ():
        remote = peering.remote.id if peering.remote else ""
        for prefix in peer_prefixes(peering):
            if address in prefix and not is_virtual_hub(remote):
                yield _Home(remote, NextHop(NextHopKind.PEERING, network=remote), prefix.prefixlen)


def _judged(route: EffectiveRoute, home: _Home, holder: Subnet, address: Address) -> EffectiveRoute:
    found = endpoint_at(holder, address)
    policies = (holder.private_endpoint_network_policies or "").lower()
    if policies in _ROUTED and route.prefix.prefixlen >= home.space:
        return route
    if found.endpoint is None:
        return _doubted(route, address, found.doubts) if found.doubts else route
    evidence = (
        found.endpoint.at(PrivateEndpoint.network_interfaces),
        holder.at(Subnet.private_endpoint_network_policies),
    )
    name = found.endpoint.name
    own = EffectiveRoute(RouteSource.PRIVATE_ENDPOINT, ip_network(address), home.next_hop, name, evidence)
    if policies in _NOT_ROUTED or policies in _ROUTED:
        return own
    reason = (
        f"whether subnet {holder.name} heeds route tables for private endpoints is not said; if so, {route.name} wins"
    )
    return own._replace(doubts=(Missing(what=holder.id, kind="not-sent", reason=reason),))


def _doubted(route: EffectiveRoute, address: Address, missing: tuple[Missing, ...]) -> EffectiveRoute:
    why = "; ".join(dict.fromkeys(one.reason for one in missing))
    reason = f"whether a private endpoint has {address}, and so is reached directly, is not known: {why}"
    first, *others = missing
    return route._replace(doubts=(*route.doubts, msgspec.structs.replace(first, reason=reason), *others))
