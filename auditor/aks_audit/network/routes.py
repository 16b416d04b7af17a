"""Where a subnet's traffic to the internet goes by its own route table.

Longest prefix first, over the whole public address space, so that a default route split in halves is one default
route, and a more specific way out beside an appliance is seen. Routes for service tags are specific routes whose
addresses are not known here: they are left to the rules about specific routes.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, ip_network
from typing import NamedTuple

from aks_audit.facts import Malformed, Route, RouteNextHopType, RouteTable
from aks_audit.network.addresses import PUBLIC, AddressSet

_SERVICE_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")


class InternetRoutes(NamedTuple):
    """How a route table sends IPv4 traffic to public addresses.

    `shares` gives, for each next hop type (None: no user-defined route, so Azure's own), how many public IPv4
    addresses go that way by prefix routes; `by_type` the routes that say so, the most specific first.
    """

    shares: dict[RouteNextHopType | None, int]
    by_type: dict[RouteNextHopType, tuple[Route, ...]]


def internet_routes(table: RouteTable) -> InternetRoutes:
    """Evaluate a route table for all public IPv4 destinations.

    Raises:
        Malformed: the body holds no list of routes, or a route lacks its prefix or next hop, or has one that is
            neither a prefix nor the name of a service tag.
    """
    if table.routes is None:
        raise Malformed(table.id, f"{table.pointer}/properties/routes", "a route table without its list of routes")
    left = PUBLIC.v4
    shares: dict[RouteNextHopType | None, int] = {}
    used: dict[RouteNextHopType, list[Route]] = {}
    for network, hop, route in sorted(_prefix_routes(table.routes), key=lambda item: -item[0].prefixlen):
        taken = left & AddressSet.of([network]).v4
        if taken:
            shares[hop] = shares.get(hop, 0) + taken.size
            used.setdefault(hop, []).append(route)
            left -= taken
    if left:
        shares[None] = left.size
    return InternetRoutes(shares, {hop: tuple(routes) for hop, routes in used.items()})


def _prefix_routes(routes: Sequence[Route]) -> list[tuple[IPv4Network, RouteNextHopType, Route]]:
    found: list[tuple[IPv4Network, RouteNextHopType, Route]] = []
    for route in routes:
        prefix, hop = route.address_prefix, route.next_hop_type
        if prefix is None or hop is None:
            raise Malformed(route.document.id, route.pointer, "a route without its prefix or next hop type")
        try:
            network = ip_network(prefix.strip(), strict=False)
        except ValueError:
            if _SERVICE_TAG.fullmatch(prefix):
                continue
            problem = f"{prefix!r} is neither an address prefix nor a service tag"
            raise Malformed(route.document.id, route.pointer, problem) from None
        if isinstance(network, IPv4Network):
            found.append((network, hop, route))
    return found
