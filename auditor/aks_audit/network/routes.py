"""Where a subnet's traffic to the internet goes by its own route table.

Longest prefix first, over the whole public address space, so that a default route split in halves is one default
route, and a more specific way out beside an appliance is seen. Service tags count as the specific routes they are.
"""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import NamedTuple

from aks_audit.facts import Evidence, Malformed, Network, Route, RouteNextHopType, RouteTable
from aks_audit.network.addresses import PUBLIC, AddressSet


class InternetRoutes(NamedTuple):
    """How a route table sends IPv4 traffic to public addresses.

    `shares` gives, for each next hop type (None: no user-defined route, so Azure's own), how many public IPv4
    addresses go that way by prefix routes; `by_type` the routes that say so.
    """

    shares: dict[RouteNextHopType | None, int]
    by_type: dict[RouteNextHopType, tuple[Route, ...]]
    evidence: tuple[Evidence, ...]


def internet_routes(table: RouteTable) -> InternetRoutes:
    """Evaluate a route table for all public IPv4 destinations.

    Raises:
        Malformed: the body holds no list of routes, or a route lacks its prefix or next hop.
    """
    if table.routes is None:
        raise Malformed(table.id, f"{table.pointer}/properties/routes", "a route table without its list of routes")
    prefixes = _prefix_routes(table.routes)
    left = PUBLIC.v4
    shares: dict[RouteNextHopType | None, int] = {}
    used: dict[RouteNextHopType, list[Route]] = {}
    for network, hop, route in sorted(prefixes, key=lambda item: -item[0].prefixlen):
        taken = left & AddressSet.of([network]).v4
        if taken:
            shares[hop] = shares.get(hop, 0) + taken.size
            used.setdefault(hop, []).append(route)
            left -= taken
    if left:
        shares[None] = left.size
    evidence = tuple(route.at(Route.next_hop_type) for routes in used.values() for route in routes)
    return InternetRoutes(shares, {hop: tuple(routes) for hop, routes in used.items()}, evidence)


def _prefix_routes(routes: Sequence[Route]) -> list[tuple[Network, RouteNextHopType, Route]]:
    found: list[tuple[Network, RouteNextHopType, Route]] = []
    for route in routes:
        prefix, hop = route.address_prefix, route.next_hop_type
        if prefix is None or hop is None:
            raise Malformed(route.document.id, route.pointer, "a route without its prefix or next hop type")
        try:
            network = ip_network(prefix, strict=False)
        except ValueError:
            continue  # a service tag: a specific route, judged by the rules about specific routes
        if network.version == 4:  # noqa: PLR2004 - the address family
            found.append((network, hop, route))
    return found


