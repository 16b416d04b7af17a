"""Draws up pictures of clusters from facts and from what the network analyses say. Nothing is decided here.

What was not read is in the picture as that: a box that nothing is known of, or a note on one of which a part is not.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from aks_audit import path, reach
from aks_audit.facts import (
    AgentPool,
    AzureResource,
    FrontendIPConfiguration,
    Link,
    LoadBalancer,
    ManagedCluster,
    NatGateway,
    NetworkInterface,
    NetworkSecurityGroup,
    Route,
    RouteTable,
    Subnet,
    Unread,
    VirtualNetwork,
)
from aks_audit.facts.firewall import AzureFirewall
from aks_audit.facts.name_resolution import PrivateDnsZone, VirtualNetworkLink, api_server_zone_id
from aks_audit.facts.networking import InterfaceIPConfiguration, PrivateEndpoint, PublicIPAddress
from aks_audit.facts.resource_id import fold, parse
from aks_audit.facts.workloads import Namespace, Pod
from aks_audit.network.dns_servers import Host, Server, servers
from aks_audit.network.flows import Passage
from aks_audit.network.hops import Hop, HopKind, Walk
from aks_audit.network.origins import node_subnet, of_pool
from aks_audit.network.private_endpoints import api_server_addresses, connections_to, endpoints_of
from aks_audit.network.routes import remote_prefixes
from aks_audit.network.translation import outbound_frontends
from aks_audit.network.walk import walk
from aks_audit.picture import Box, BoxKind, ClusterPicture, Inhabitants, Join, JoinKind, Step, WayOut

A = TypeVar("A")
R = TypeVar("R", bound=AzureResource)
T = TypeVar("T")

TARGETS = ("internet", "mcr.microsoft.com:443")
"""Where the ways out lead: to a host that nothing names, and to the registry that every node must reach."""

_MOST_NAMESPACES = 40
"""How many namespaces a matrix shows."""

_MOST_LINES = 3
_MOST_PEERINGS = 50

_OF_THE_SERVER = (
    "/properties/apiServerAccessProfile",
    "/properties/publicNetworkAccess",
    "/properties/privateFQDN",
    "/properties/fqdn",
)


def picture(cluster: ManagedCluster) -> ClusterPicture:
    """The picture of a cluster."""
    drawing = _Drawing(cluster)
    drawing.draw()
    boxes, joins, ways = tuple(drawing.boxes), tuple(drawing.joins), tuple(drawing.ways)
    return ClusterPicture(cluster.id, boxes, joins, ways, _inhabitants(cluster))


class _Said:
    """What is said of a box, and what could not be read of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.unread: list[str] = []

    def add(self, of: A, tell: Callable[[A], Iterable[str]]) -> None:
        """Say more; where it cannot be read, say that."""
        self.get(of, lambda one: self.lines.extend(tell(one)))

    def get(self, of: A, ask: Callable[[A], T]) -> T | None:
        """What is asked of something; None where it cannot be read, which is noted."""
        try:
            return ask(of)
        except Unread as unread:
            self.unread.extend(part.reason for part in unread.missing)
            return None

    def box(self, kind: BoxKind, key: str, name: str, inside: int | None = None, *, seen: bool = True) -> Box:
        """The box of which this is said."""
        unread = tuple(dict.fromkeys(self.unread))
        return Box(kind, name or key, key, inside, tuple(self.lines), unread=unread, seen=seen)


class _Home(NamedTuple):
    """Pools whose nodes leave alike, and the box of their subnet."""

    subnet: int
    pools: list[AgentPool]


class _Drawing:
    """The boxes of a picture, each resource once, and what joins them."""

    def __init__(self, cluster: ManagedCluster) -> None:
        self.cluster = cluster
        self.estate = cluster.estate
        self.boxes: list[Box] = []
        self.joins: dict[Join, None] = {}
        self.ways: list[WayOut] = []
        self._places: dict[str, int] = {}

    def draw(self) -> None:
        """Draw everything, from the pools outward."""
        internet = self._add(Box("internet", "The internet"))
        server = self._api_server(internet)
        homes = self._pools()
        own = [place for place, box in enumerate(self.boxes) if box.kind == "network" and box.seen]
        for place in own:
            network = self.estate.resource(VirtualNetwork, self.boxes[place].id)
            self._peerings(place, network)
            self._dns(place, network)
        for home in homes:
            for target in TARGETS:
                self._way(home, target)
        self._private(server)

    def _add(self, box: Box) -> int:
        """Draw a box; one that is there already stays as it is."""
        place = self._places.setdefault(fold(box.id), len(self.boxes))
        if place == len(self.boxes):
            self.boxes.append(box)
        return place

    def _note(self, place: int, said: _Said) -> None:
        """Say more of a box that is there already."""
        box = self.boxes[place]
        if said.lines or said.unread:
            lines, unread = (*box.lines, *said.lines), tuple(dict.fromkeys((*box.unread, *said.unread)))
            self.boxes[place] = msgspec.structs.replace(box, lines=lines, unread=unread)

    def _join(self, kind: JoinKind, source: int, target: int, says: str = "") -> None:
        self.joins.setdefault(Join(kind, source, target, says))

    def _find(self, key: str) -> int | None:
        return self._places.get(fold(key))

    def _resource(
        self, kind: BoxKind, of: type[R], key: str, tell: Callable[[R, _Said], None], inside: int | None = None
    ) -> int:
        """Draw a resource; one that was not read is drawn as that."""
        said = _Said()
        resource = said.get(key, lambda one: self.estate.resource(of, one))
        if resource is not None:
            tell(resource, said)
        return self._add(said.box(kind, key, _name(key), inside, seen=resource is not None))

    # --- pools, subnets and networks

    def _pools(self) -> list[_Home]:
        said = _Said()
        pools = said.get(self.cluster, lambda cluster: cluster.pools)
        if pools is None:
            self._add(said.box("pool", f"{self.cluster.id}/agentPools", "Agent pools", seen=False))
        homes: dict[object, _Home] = {}
        for pool in pools or ():
            home = self._pool(pool)
            public = said.get(pool, lambda one: one.enable_node_public_ip)
            homes.setdefault((home, public), _Home(home, [])).pools.append(pool)
        return list(homes.values())

    def _pool(self, pool: AgentPool) -> int:
        """Draw a pool; give the box of its nodes' subnet."""
        said = _Said()
        said.add(pool, _about_pool)
        pods = said.get(pool, lambda one: one.pod_subnet)
        home = said.get(pool, lambda one: node_subnet(self.cluster, one).id)
        told = home or _Said().get(pool, lambda one: one.node_subnet.id if one.node_subnet else None)
        box = said.box("pool", pool.id, pool.name)
        place = self._add(msgspec.structs.replace(box, pointers=(pool.pointer,) if pool.pointer else ()))
        subnet = self._subnet(told) if told else self._some_subnet(said)
        self._join("nodes in", place, subnet)
        if pods:
            self._join("pods in", place, self._subnet(pods.id))
        return subnet

    def _some_subnet(self, said: _Said) -> int:
        unknown = _Said()
        unknown.unread += said.unread
        return self._add(unknown.box("subnet", f"{self.cluster.id}/subnet", "Some subnet", seen=False))

    def _subnet(self, key: str) -> int:
        found = self._find(key)
        if found is not None:
            return found
        held: list[tuple[JoinKind, int]] = []

        def tell(subnet: Subnet, said: _Said) -> None:
            said.add(subnet, _about_subnet)
            if group := said.get(subnet, lambda one: one.network_security_group):
                held.append(("guarded by", self._group(group.id)))
            if table := said.get(subnet, lambda one: one.route_table):
                held.append(("routed by", self._table(table.id)))
            if gateway := said.get(subnet, lambda one: one.nat_gateway):
                held.append(("leaves by", self._nat(gateway.id)))

        network = parse(key).parent
        place = self._resource("subnet", Subnet, key, tell, self._network(network) if network else None)
        for kind, target in held:
            self._join(kind, place, target)
        return place

    def _network(self, key: str, prefixes: Iterable[str] = ()) -> int:
        """Draw a network; of one that was not read, at least the prefixes that a peering tells."""
        found = self._find(key)
        if found is not None:
            return found

        def tell(network: VirtualNetwork, said: _Said) -> None:
            said.add(network, lambda one: map(str, one.address_space or ()))

        place = self._resource("network", VirtualNetwork, key, tell)
        if not self.boxes[place].seen:
            told = _Said()
            told.lines += prefixes
            self._note(place, told)
        return place

    def _group(self, key: str) -> int:
        def tell(group: NetworkSecurityGroup, said: _Said) -> None:
            said.add(group, lambda one: self.estate.once(_about_group, one))

        return self._resource("security-group", NetworkSecurityGroup, key, tell)

    def _table(self, key: str) -> int:
        def tell(table: RouteTable, said: _Said) -> None:
            said.add(table, lambda one: self.estate.once(_about_routes, one))

        return self._resource("route-table", RouteTable, key, tell)

    def _nat(self, key: str) -> int:
        def tell(gateway: NatGateway, said: _Said) -> None:
            said.add(gateway, lambda one: self._addresses(one.public_ip_addresses or ()))
            said.add(gateway, lambda one: map(_name, _ids(one.public_ip_prefixes or ())))

        return self._resource("nat-gateway", NatGateway, key, tell)

    def _addresses(self, links: Iterable[Link[AzureResource]] | Iterable[Link[PublicIPAddress]]) -> Iterator[str]:
        """Public addresses with their names; the names alone where the addresses were not read."""
        for key in _ids(links):
            address = _Said().get(key, lambda one: self.estate.resource(PublicIPAddress, one).ip_address)
            yield f"{address} ({_name(key)})" if address else _name(key)

    # --- what networks are joined to

    def _peerings(self, place: int, network: VirtualNetwork) -> None:
        said = _Said()
        for peering in (said.get(network, lambda one: one.peerings) or ())[:_MOST_PEERINGS]:
            remote = said.get(peering, lambda one: one.remote)
            state = said.get(peering, lambda one: one.state)
            if remote:
                prefixes = said.get(peering, lambda one: [str(prefix) for prefix in remote_prefixes(one)])
                self._join("peered with", place, self._network(remote.id, prefixes or ()), state or "")
        self._note(place, said)

    def _dns(self, place: int, network: VirtualNetwork) -> None:
        said = _Said()
        for server in said.get(network, servers) or ():
            if server.host is Host.AZURE:
                said.lines.append("Azure DNS")
            else:
                self._join("asks", place, self._server(server))
        self._note(place, said)

    def _server(self, server: Server) -> int:
        if server.firewall:
            return self._firewall(server.firewall.id)
        said = _Said()
        said.lines.append(server.host.value)
        said.unread += [part.reason for part in server.unread]
        home = self._find(server.network.id) if server.network else None
        return self._add(said.box("dns-server", f"dns {server.address}", str(server.address), home))

    # --- the API server

    def _api_server(self, internet: int) -> int:
        cluster, said = self.cluster, _Said()
        said.add(cluster, _about_server)
        own = said.get(cluster, lambda one: one.api_server_subnet)
        private = said.get(cluster, lambda one: one.enable_private_cluster)
        box = said.box("api-server", cluster.id, "API server")
        server = self._add(msgspec.structs.replace(box, pointers=_OF_THE_SERVER))
        if own:
            self._join("in", server, self._subnet(own.id))
        if not private:
            self._join("leads to", internet, server)
        return server

    def _private(self, server: int) -> None:
        """The private addresses of the API server, its private endpoint, and the zone that holds its name."""
        said = _Said()
        private = said.get(self.cluster, lambda one: one.enable_private_cluster)
        integrated = said.get(self.cluster, lambda one: one.enable_vnet_integration)
        if private and not integrated:
            self._endpoints(server)
        if private or integrated:
            said.add(self.cluster, lambda one: sorted(map(str, api_server_addresses(one).addresses)))
        zone = said.get(self.cluster, api_server_zone_id)
        if zone:
            self._join("named by", server, self._zone(zone))
        self._note(server, said)

    def _endpoints(self, server: int) -> None:
        said = _Said()
        found = said.get(self.cluster, endpoints_of)
        if found is None:
            box = said.box("private-endpoint", f"{self.cluster.id}/privateEndpoint", "Private endpoint", seen=False)
            self._join("leads to", self._add(box), server)
        for endpoint in found or ():
            self._join("leads to", self._endpoint(endpoint), server)

    def _endpoint(self, endpoint: PrivateEndpoint) -> int:
        said = _Said()
        subnet = said.get(endpoint, lambda one: one.subnet)
        said.add(endpoint, lambda one: [own.state.value for own in connections_to(one, self.cluster.id) if own.state])
        place = self._add(said.box("private-endpoint", endpoint.id, endpoint.name))
        if subnet:
            self._join("in", place, self._subnet(subnet.id))
        return place

    def _zone(self, key: str) -> int:
        linked: list[VirtualNetworkLink] = []

        def tell(zone: PrivateDnsZone, said: _Said) -> None:
            linked.extend(zone.links)
            said.get(zone, lambda one: one.links.whole())

        place = self._resource("private-zone", PrivateDnsZone, key, tell)
        said = _Said()
        elsewhere = sum(not self._zone_link(place, one, said) for one in linked)
        if elsewhere:
            said.lines.append(f"also linked to {_count(elsewhere, 'other network')}")
        self._note(place, said)
        return place

    def _zone_link(self, zone: int, link: VirtualNetworkLink, said: _Said) -> bool:
        """Join a zone to a network that it is asked in; whether that is in the picture."""
        network = said.get(link, lambda one: one.virtual_network)
        state = said.get(link, lambda one: one.state)
        place = self._find(network.id) if network else None
        if place is not None:
            self._join("asks", place, zone, state or "")
        return place is not None

    # --- the ways out

    def _way(self, home: _Home, target: str) -> None:
        """Walk from the nodes of pools that leave alike, and draw what is on the way."""
        walked = self._walked(home.pools[0], target)
        steps = [self._step(hop, home) for hop in walked.hops]
        self.ways.append(
            WayOut(
                pools=tuple(pool.name for pool in home.pools),
                to=target,
                end=walked.end.value,
                decided_by=walked.hops.index(walked.decided_by),
                boxes=self._passed(walked, steps, home),
                steps=tuple(steps),
            )
        )

    def _walked(self, pool: AgentPool, target: str) -> Walk:
        try:
            origin = of_pool(pool, self.cluster)
            return walk(origin, path.destination(target, "tcp"), path.knowledge(self.cluster))
        except Unread as unread:
            says = f"Where it starts cannot be told: {unread}"
            return Walk((Hop(HopKind.SOURCE, pool.id, Passage.UNKNOWN, says, missing=unread.missing),))

    def _step(self, hop: Hop, home: _Home) -> Step:
        return Step(
            hop.kind.value, hop.says, self._place(hop, home), hop.passage.value if hop.passage else None, hop.by
        )

    def _passed(self, walked: Walk, steps: Sequence[Step], home: _Home) -> tuple[int, ...]:
        """The boxes on the way from the subnet of the nodes, to the internet where it is not stopped before."""
        found = [home.subnet]
        for hop, step in zip(walked.hops, steps, strict=True):
            if step.box is not None and self.boxes[step.box].kind in _ON_THE_WAY:
                found.append(step.box)
            if hop.passage is Passage.BLOCKED:
                return tuple(dict.fromkeys(found))
        leaves = walked.hops[-1].kind is HopKind.TRANSLATION
        return tuple(dict.fromkeys([*found, *([0] if leaves else [])]))

    def _place(self, hop: Hop, home: _Home) -> int | None:
        """The box where a hop is; drawn, if it is not there yet."""
        known = self._find(hop.where)
        if known is not None:
            return known
        if hop.kind is HopKind.SECURITY_GROUP:
            group = self._group(hop.where)
            for pool in home.pools:
                self._join("guarded by", self._places[fold(pool.id)], group, "on the nodes")
            return group
        if hop.kind is HopKind.FIREWALL:
            return self._firewall(hop.where)
        if hop.kind is HopKind.TRANSLATION:
            return self._translator(hop.where, home)
        return self._appliance(hop.where) if hop.kind is HopKind.APPLIANCE else None

    def _firewall(self, key: str) -> int:
        found = self._find(key)
        if found is not None:
            return found
        firewall = self.estate.resource(AzureFirewall, key)
        said = _Said()
        said.add(firewall, lambda one: one.private_addresses)
        own = said.get(firewall, lambda one: one.ip_configurations) or ()
        said.add(own, lambda every: self._addresses([one.public_ip_address for one in every if one.public_ip_address]))
        said.add(firewall, _of_policy)
        said.add(firewall, lambda one: _zones(one.zones))
        subnet = said.get(own, lambda every: next((one.subnet.id for one in every if one.subnet), None))
        hub = said.get(firewall, lambda one: one.virtual_hub)
        home = self._network(parse(subnet).parent) if subnet and parse(subnet).parent else None
        if hub:
            said.lines.append(f"in Virtual WAN hub {_name(hub.id)}")
        policy = said.get(firewall, lambda one: one.firewall_policy)
        box = said.box("firewall", key, firewall.name, home)
        return self._add(msgspec.structs.replace(box, also=(policy.id,) if policy else ()))

    def _translator(self, key: str, home: _Home) -> int | None:
        """What gives a public address: a NAT gateway or a load balancer. What else does is in the picture already."""
        kind = parse(key).type.lower()
        if kind == NatGateway.TYPE.lower():
            return self._nat(key)
        if kind != LoadBalancer.TYPE.lower():
            return None

        def tell(balancer: LoadBalancer, said: _Said) -> None:
            links = [one.public_ip_address or one.public_ip_prefix for one in outbound_frontends(balancer)]
            said.add(links, lambda every: self._addresses([link for link in every if link]))

        place = self._resource("load-balancer", LoadBalancer, key, tell)
        self._join("leaves by", home.subnet, place)
        return place

    def _appliance(self, key: str) -> int:
        """A machine's interface or a load balancer that packets are routed to, in the network where it is."""
        said = _Said()
        own = said.get(key, self._configurations)
        said.add(own or (), lambda every: [one.private_ip_address for one in every if one.private_ip_address])
        subnet = said.get(own or (), lambda every: next((one.subnet.id for one in every if one.subnet), ""))
        network = parse(subnet or "").parent
        home = self._network(network) if network else None
        return self._add(said.box("appliance", key, _name(key), home, seen=own is not None))

    def _configurations(self, key: str) -> Sequence[InterfaceIPConfiguration | FrontendIPConfiguration]:
        if parse(key).type.lower() == NetworkInterface.TYPE.lower():
            return self.estate.resource(NetworkInterface, key).ip_configurations or ()
        return self.estate.resource(LoadBalancer, key).frontends or ()


_ON_THE_WAY = frozenset[BoxKind]({"firewall", "appliance", "nat-gateway", "load-balancer"})


def _name(key: str) -> str:
    return parse(key).name or key


def _ids(links: Iterable[Link[AzureResource]] | Iterable[Link[PublicIPAddress]]) -> list[str]:
    return [link.id for link in links]


def _count(quantity: int, noun: str) -> str:
    return f"{quantity} {noun}" if quantity == 1 else f"{quantity} {noun}s"


def _zones(zones: Sequence[str] | None) -> Iterator[str]:
    yield f"zones {', '.join(zones)}" if zones else "no zones"


def _about_pool(pool: AgentPool) -> Iterator[str]:
    mode = pool.mode
    count = pool.count
    yield ", ".join([*([mode] if mode else []), *([_count(count, "node")] if count is not None else [])])
    yield from _zones(pool.availability_zones)
    if pool.enable_node_public_ip:
        yield "public addresses"


def _about_subnet(subnet: Subnet) -> Iterator[str]:
    yield from map(str, subnet.prefixes)
    if subnet.network_security_group is None:
        yield "no security group"
    if subnet.route_table is None:
        yield "no route table"


def _about_group(group: NetworkSecurityGroup) -> tuple[str, ...]:
    return (f"{_count(len(group.security_rules or ()), 'rule')} of its own",)


def _about_routes(table: RouteTable) -> tuple[str, ...]:
    """The routes of a table, that for everything first."""
    routes = sorted(table.routes or (), key=lambda route: route.address_prefix != "0.0.0.0/0")
    more = len(routes) - _MOST_LINES
    rest = [f"and {_count(more, 'route')} more"] if more > 0 else []
    return (*map(_route, routes[:_MOST_LINES]), *rest) or ("no routes",)


def _route(route: Route) -> str:
    hop = route.next_hop_ip_address or ", ".join(route.next_hop_ip_addresses or ()) or route.next_hop_type
    return f"{route.address_prefix} → {hop}"


def _of_policy(firewall: AzureFirewall) -> Iterator[str]:
    if firewall.firewall_policy:
        yield f"policy {_name(firewall.firewall_policy.id)}"


def _about_server(cluster: ManagedCluster) -> Iterator[str]:
    name = cluster.private_fqdn or cluster.fqdn
    if name:
        yield name
    yield "private" if cluster.enable_private_cluster else "public"
    ranges = cluster.authorized_ip_ranges
    if ranges and not cluster.enable_private_cluster:
        yield _count(len(ranges), "authorized range")
    elif not cluster.enable_private_cluster:
        yield "no authorized ranges"


def _inhabitants(cluster: ManagedCluster) -> Inhabitants | None:
    """Who reaches whom; None where nobody asked what is inside."""
    inside = [cluster.estate.within(kind, cluster.id) for kind in (Pod, Namespace)]
    said = _Said()
    whole = [said.get(holding, lambda one: one.whole()) for holding in inside]
    if not any(holding.known for holding in inside) and not any(found is not None for found in whole):
        return None
    answer = reach.ask(cluster.estate, reach.Question(cluster))
    beside = {reach.NODES, *reach.BEYOND}
    namespaces = [place for place in answer.places if place not in beside]
    shown = {*namespaces[:_MOST_NAMESPACES], *beside}
    places = tuple(place for place in answer.places if place in shown)
    return Inhabitants(
        engine=answer.engine and answer.engine.value,
        policies=answer.policies,
        places=places,
        cells=tuple(tuple(_cell(answer, row, column) for column in places) for row in places),
        left_out=max(0, len(namespaces) - _MOST_NAMESPACES),
        missing=tuple(dict.fromkeys(part.reason for part in answer.missing)),
    )


def _cell(answer: reach.Answer, row: str, column: str) -> tuple[str, ...]:
    return tuple(sorted(verdict.value for verdict in answer.cell(row, column)))
