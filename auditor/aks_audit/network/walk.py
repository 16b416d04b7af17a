"""A connection from a cluster, walked hop by hop as Azure would carry it: what lets it through, and what stops it.

The way out alone is walked: answers come back, since security groups and firewalls know the connections they let
through. Whether anything listens at the other end is not asked.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, TypeAlias

from aks_audit.facts import (
    Evidence,
    Link,
    Missing,
    Network,
    NetworkInterface,
    NetworkSecurityGroup,
    RouteTable,
    ScaleSetNetworkInterface,
    SecurityRuleAccess,
    SecurityRuleDirection,
    Subnet,
    Unread,
    VirtualNetwork,
)
from aks_audit.facts.firewall import AzureFirewall
from aks_audit.facts.networking import VirtualNetworkPeering
from aks_audit.facts.resource_id import parse
from aks_audit.facts.static_egress import StaticGatewayConfiguration
from aks_audit.network.addresses import EVERYTHING, PUBLIC, AddressSet, RangeSet
from aks_audit.network.backends import behind_service
from aks_audit.network.destinations import ends_at_once, named
from aks_audit.network.endpoint_routes import Found, endpoint_at, past_user_routes
from aks_audit.network.firewall import FirewallAction, KnownDestination, SourceVerdict, judge_sources
from aks_audit.network.flows import Address, Destination, Flow, Passage
from aks_audit.network.gateway_nodes import way_of
from aks_audit.network.hops import Hop, HopKind, Steps, Walk, told
from aks_audit.network.next_hops import Appliance, ApplianceKind, resolve_appliance
from aks_audit.network.origins import Origin, Sender, interfaces, machine_interfaces
from aks_audit.network.routes import EffectiveRoute, NextHopKind, RouteSource, effective_route, written_prefixes
from aks_audit.network.security_decisions import Behind, Decision, Surroundings, decide
from aks_audit.network.senders import masquerade, prefixes_at, source, without_its_family
from aks_audit.network.surroundings import surroundings
from aks_audit.network.translation import firewall_translation, gateway_translation, node_translation, of_icmp
from aks_audit.network.vendors import vendor_of

_MOST_ROUTES = 8
"""A connection that was routed so often goes in circles."""

_FEW = 256
"""Routes of fewer addresses are for hosts that were named on purpose."""

_NO_NAME = "name-of-no-rule.invalid"
_SOME_PUBLIC_IPV6 = IPv6Address("2600::1")
OUTBOUND, INBOUND = SecurityRuleDirection.OUTBOUND, SecurityRuleDirection.INBOUND

Knowledge: TypeAlias = Callable[[str | None], KnownDestination]
ON_THE_INTERNET = KnownDestination(public=True)
Policies: TypeAlias = Callable[[Origin, Destination], Steps[None]]
"""Gives the hop that says whether network policies let a connection of a pod go."""


def unasked(origin: Origin, _destination: Destination) -> Steps[None]:
    """What is said where nobody asks network policies: that they may hold a pod back."""
    says = "Network policies are not asked here"
    yield Hop(HopKind.NETWORK_POLICY, origin.cluster.id, Passage.UNKNOWN, says)


class _Under(NamedTuple):
    """A connection on its way: where it is now, and what it looks like there."""

    origin: Origin
    sender: Sender
    flow: Flow
    known: Knowledge
    firewall: AzureFirewall | None = None
    gateway: StaticGatewayConfiguration | None = None

    @property
    def estate_network(self) -> VirtualNetwork:
        """The network where it is now."""
        subnet = self.sender.subnet
        return subnet.estate.resource(VirtualNetwork, subnet.virtual_network_id)

    @property
    def whose(self) -> str:
        """The destination in words."""
        return self.flow.name or (str(self.flow.destination) if self.flow.destination else "the internet")

    @property
    def internet(self) -> bool:
        """Whether the destination is the internet as such: no address and no name that anything names specially."""
        return self.flow.name is None and self.flow.destination is None


def walk(
    origin: Origin,
    destination: Destination,
    known: Knowledge = lambda _name: ON_THE_INTERNET,
    policies: Policies = unasked,
) -> Walk:
    """Walk from a node or pod to a destination; what was not read is a hop that cannot be told.

    `known` gives what is known of a name that is left to public DNS, and with None of the internet as such.
    """
    return Walk(tuple(_walk(origin, destination, known, policies)))


def _walk(origin: Origin, destination: Destination, known: Knowledge, policies: Policies) -> Iterator[Hop]:
    yield source(origin)
    ends = yield from told(HopKind.SERVICE, origin.cluster.id, behind_service(origin, destination))
    if ends:
        yield from _each(origin, ends, known, policies)


def _each(origin: Origin, ends: Sequence[Destination], known: Knowledge, policies: Policies) -> Iterator[Hop]:
    """The way to all that a connection may be handed on to: one of those that are alike."""
    ways = [(end, Walk(tuple(_onward(origin, end, known, policies)))) for end in ends]
    shown = next((walk for _, walk in ways if walk.end is not Passage.BLOCKED), ways[0][1])
    yield from shown.hops
    if other := next(((end, walk) for end, walk in ways if walk.end is not shown.end), None):
        yield _differing(origin, *other)


def _differing(origin: Origin, end: Destination, other: Walk) -> Hop:
    """Not all that a Service hands on to are reached alike: nobody knows which it will be."""
    by = other.decided_by
    says = f"It hangs on whom the Service hands on to: to {end.address} it is {other.end}: {by.says}"
    return Hop(HopKind.DESTINATION, origin.cluster.id, Passage.UNKNOWN, says, by.by, by.evidence, by.missing)


def _onward(origin: Origin, destination: Destination, known: Knowledge, policies: Policies) -> Iterator[Hop]:
    """The way past all Services."""
    resolved = yield from told(HopKind.NAME, origin.subnet.virtual_network_id, named(origin, destination))
    if resolved is None:
        return
    if destination.name is not None and resolved.address is not None:
        plain = resolved._replace(name=None)
        ends = yield from told(HopKind.SERVICE, origin.cluster.id, behind_service(origin, plain))
        if ends != (plain,):
            yield from _each(origin, ends, known, policies) if ends else ()
            return
    way = yield from told(HopKind.MASQUERADE, origin.cluster.id, way_of(origin, resolved))
    if way is None:
        return
    held = bool(origin.pod and not way.gateway) and (yield from _held(origin, resolved, policies))
    origin = way.origin or origin
    if (yield from ends_at_once(origin, resolved, held=held)) or (yield from without_its_family(origin, resolved)):
        return
    sender = yield from told(HopKind.MASQUERADE, origin.cluster.id, masquerade(origin, resolved))
    if sender is None:
        return
    flow = Flow(sender.example, resolved.address, resolved.name, resolved.protocol, resolved.port)
    under = _Under(origin, sender, flow, known, gateway=way.gateway)
    yield from told(HopKind.SECURITY_GROUP, origin.pool.id, _on_interfaces(under))
    yield from _on_subnet(under, sender.subnet, OUTBOUND)
    for _ in range(_MOST_ROUTES):
        onward = yield from told(HopKind.ROUTE, under.sender.subnet.id, _routed(under))
        if onward is None:
            return
        under = onward
    yield Hop(HopKind.ROUTE, under.sender.subnet.id, Passage.BLOCKED, "The routes lead in circles")


def _held(origin: Origin, destination: Destination, policies: Policies) -> Steps[bool]:
    """Whether policies surely hold the pod back."""
    held = False
    for hop in told(HopKind.NETWORK_POLICY, origin.cluster.id, policies(origin, destination)):
        held = hop.passage is Passage.BLOCKED
        yield hop
    return held


def _on_interfaces(under: _Under) -> Steps[None]:
    """The group on the nodes' network interfaces; a packet meets it before that of the subnet on its way out."""
    met: set[str] = set()
    for group, evidence in _interface_groups(under.origin):
        if group.id.lower() not in met:
            met.add(group.id.lower())
            yield from told(HopKind.SECURITY_GROUP, group.id, _through(under, group, "the nodes", evidence))


def _interface_groups(origin: Origin) -> Iterator[tuple[Link[NetworkSecurityGroup], Evidence]]:
    for profile in interfaces(origin.cluster, origin.pool):
        if profile.network_security_group:
            yield profile.network_security_group, profile.at(ScaleSetNetworkInterface.network_security_group)
    for interface in machine_interfaces(origin.cluster, origin.pool):
        if interface.network_security_group:
            yield interface.network_security_group, interface.at(NetworkInterface.network_security_group)
    origin.cluster.scale_sets.whole()


def _on_subnet(under: _Under, subnet: Subnet, direction: SecurityRuleDirection) -> Steps[None]:
    try:
        group = subnet.network_security_group
        if group is None:
            return
        steps = _through(
            under, group, f"subnet {subnet.name}", subnet.at(Subnet.network_security_group), (subnet, direction)
        )
        yield from told(HopKind.SECURITY_GROUP, group.id, steps)
    except Unread as unread:
        says = f"The group of {subnet.name} cannot be told: {unread}"
        yield Hop(HopKind.SECURITY_GROUP, subnet.id, Passage.UNKNOWN, says, missing=unread.missing)


def _through(
    under: _Under,
    link: Link[NetworkSecurityGroup],
    on: str,
    attached: Evidence,
    at: tuple[Subnet, SecurityRuleDirection] | None = None,
) -> Steps[None]:
    group = link.read()
    subnet, direction = at or (under.sender.subnet, OUTBOUND)
    flow, unread = under.flow, None
    try:
        around = surroundings(subnet)
    except Unread as error:
        around, unread = _ANYTHING, error
    if under.internet:
        around, flow = _Unnamed(*around), flow._replace(destination=_somewhere(under.sender.subnet, flow.source))
    decision = decide(group, direction, flow, around, under.sender.addresses)
    if unread and decision.access is None:
        raise unread
    yield _security_hop(group, on, direction, decision, attached)


_ANYTHING = Surroundings(Behind(perhaps=EVERYTHING), lambda _group: Behind(perhaps=EVERYTHING))
"""What tags and groups mean where that was not read."""


class _Unnamed(Surroundings):
    """What tags mean to a connection to the internet as such, which is in no service's addresses."""

    __slots__ = ()

    def behind(self, tag: str) -> Behind:
        """What is behind a tag or group that may be meant."""
        found = super().behind(tag)
        return found if tag == "virtualnetwork" or tag.startswith("/") else Behind(found.surely)


def _security_hop(
    group: NetworkSecurityGroup, on: str, direction: SecurityRuleDirection, decision: Decision, attached: Evidence
) -> Hop:
    way = "out" if direction is OUTBOUND else "in"
    evidence = (attached, *decision.evidence)
    if decision.access is None:
        rules = ", ".join(decision.doubts)
        says = f"{group.name} on {on}: which of its rules decides hangs on addresses that are not known: {rules}"
        return Hop(HopKind.SECURITY_GROUP, group.id, Passage.UNKNOWN, says, rules, evidence)
    lets = decision.access is SecurityRuleAccess.ALLOW
    late = f"; never reached: {', '.join(decision.too_late)}" if decision.too_late else ""
    says = f"{group.name} on {on} {f'lets it {way}' if lets else f'does not let it {way}'}{late}"
    passage = Passage.ALLOWED if lets else Passage.BLOCKED
    return Hop(HopKind.SECURITY_GROUP, group.id, passage, says, f"rule {decision.rule}", evidence)


def _routed(under: _Under) -> Steps[_Under | None]:
    """One route, and what it leads to; None at the end of the way."""
    subnet = under.sender.subnet
    route = _route(under)
    yield _route_hop(under, route)
    match route.next_hop.kind:
        case NextHopKind.NONE:
            return None
        case NextHopKind.INTERNET:
            yield from told(HopKind.TRANSLATION, subnet.id, _translated(under, route))
            return None
        case NextHopKind.APPLIANCE:
            return (yield from _at_appliance(under, route))
        case NextHopKind.GATEWAY:
            says = "What is behind the gateway is not known here"
            where = subnet.virtual_network_id
            yield Hop(HopKind.APPLIANCE, where, Passage.UNKNOWN, says, evidence=route.evidence)
            return None
        case NextHopKind.VIRTUAL_NETWORK:
            yield from _arrived(under, under.estate_network)
            return None
        case NextHopKind.PEERING:
            yield from _over_peering(under, route)
            return None


def _route(under: _Under) -> EffectiveRoute:
    """The route, with all doubts about it. The internet as such is in no service's addresses."""
    subnet, address = under.sender.subnet, under.flow.destination
    route = effective_route(subnet, address or _somewhere(subnet, under.flow.source))
    if address is not None:
        route = past_user_routes(subnet, route, address)
    elif under.flow.name is None:
        return route._replace(service_endpoints=())
    else:
        route = route._replace(doubts=(*route.doubts, *_closer(under, under.flow.name, route)))
    direct = route.next_hop.kind is NextHopKind.INTERNET
    return route._replace(doubts=(*route.doubts, *route.service_tags, *(() if direct else route.service_endpoints)))


def _closer(under: _Under, name: str, route: EffectiveRoute) -> Iterator[Missing]:
    """The routes that lead elsewhere if the name's address is one of theirs; those of few are taken not to hold it."""
    subnet = under.sender.subnet
    table = subnet.route_table.read() if subnet.route_table else None
    for prefix in _special(table):
        first = prefix.network_address
        if table is None or prefix.num_addresses < _FEW or first.version != under.flow.source.version:
            continue
        other = effective_route(subnet, first)
        if other.next_hop != route.next_hop and not PUBLIC.intersection(AddressSet.of([prefix])).empty:
            reason = f"whether {name} has an address in {prefix} (route {other.name}) is not known"
            yield Missing(what=table.id, kind="not-sent", reason=reason)


def _route_hop(under: _Under, route: EffectiveRoute) -> Hop:
    subnet = under.sender.subnet
    hop = route.next_hop
    table = f"{parse(subnet.route_table.id).name}/" if subnet.route_table else ""
    made = {
        RouteSource.USER: f"route {table}{route.name}",
        RouteSource.PEERING: f"peering {route.name}",
        RouteSource.SYSTEM: "Azure's own route",
        RouteSource.VIRTUAL_HUB: f"routing intent of {route.name}",
        RouteSource.PRIVATE_ENDPOINT: f"private endpoint {route.name}",
    }
    if hop.kind is NextHopKind.NONE:
        passage: Passage | None = Passage.BLOCKED
        says = f"From {subnet.name}, {route.prefix} leads nowhere: packets are dropped"
    else:
        passage = None
        says = f"From {subnet.name}, {route.prefix} {_leads(route)}"
    if route.doubts:
        passage = Passage.UNKNOWN
        says = f"{says}; but {'; '.join(doubt.reason for doubt in route.doubts)}"
    by = made[route.source]
    return Hop(HopKind.ROUTE, subnet.id, passage, says, by, route.evidence, route.doubts)


def _leads(route: EffectiveRoute) -> str:
    """Where a route leads, in words."""
    hop = route.next_hop
    if route.source is RouteSource.PRIVATE_ENDPOINT:
        return f"leads straight to private endpoint {route.name}, before any route table"
    words = {
        NextHopKind.VIRTUAL_NETWORK: "stays in the virtual network",
        NextHopKind.PEERING: f"leads to the peered network {parse(hop.network).name}",
        NextHopKind.INTERNET: "leads to the internet",
        NextHopKind.APPLIANCE: f"leads to appliance {hop.address}",
        NextHopKind.GATEWAY: "leads to the virtual network gateway",
        NextHopKind.NONE: "leads nowhere",
    }
    return words[hop.kind]


def _somewhere(subnet: Subnet, source: Address) -> Address:
    """A public address that no user-defined route names more closely than the whole internet, or half of it."""
    if not isinstance(source, IPv4Address):
        return _SOME_PUBLIC_IPV6
    table = None
    with suppress(Unread):  # whoever asks for the route says so
        table = subnet.route_table.read() if subnet.route_table else None
    return table.estate.once(_unnamed, table) if table else _address_of(PUBLIC.v4)


def _unnamed(table: RouteTable) -> IPv4Address:
    return _address_of((PUBLIC.v4 - AddressSet.of(_special(table)).v4) or PUBLIC.v4)


def _address_of(some: RangeSet) -> IPv4Address:
    return IPv4Address(some.ranges[0][0])


def _special(table: RouteTable | None) -> Iterator[Network]:
    """The prefixes of routes for less than half of the internet; the routes' own doubts are about service tags."""
    for _, prefix in written_prefixes(table) if table else ():
        if prefix and prefix.prefixlen > 1:
            yield prefix


def _translated(under: _Under, route: EffectiveRoute) -> Steps[None]:
    firewall, subnet = under.firewall, under.sender.subnet
    found = (
        firewall_translation(firewall, subnet)
        if firewall
        else gateway_translation(under.gateway, subnet)
        if under.gateway and not subnet.nat_gateway
        else node_translation(under.origin.cluster, under.origin.pool, subnet)
    )
    if under.flow.protocol == "icmp":
        found = of_icmp(found)
    hop = Hop(HopKind.TRANSLATION, found.where, found.passage, found.says, found.by, found.evidence)
    if route.service_endpoints and found.passage is Passage.BLOCKED:
        says = f"{found.says}; but {'; '.join(one.reason for one in route.service_endpoints)}"
        hop = hop._replace(passage=Passage.UNKNOWN, says=says, missing=route.service_endpoints)
    if found.passage is Passage.ALLOWED and not firewall and _under_own_address(under):
        says = f"{found.says}; whether that serves pods under addresses of their own in the nodes' subnet is not known"
        hop = hop._replace(passage=Passage.UNKNOWN, says=says)
    if isinstance(under.flow.source, IPv6Address) and found.passage is Passage.ALLOWED:
        hop = hop._replace(passage=Passage.UNKNOWN, says=f"{found.says}; whether that holds for IPv6 is not known here")
    yield hop


def _under_own_address(under: _Under) -> bool:
    """Whether a pod is seen under an address of the nodes' subnet, which load balancers and public addresses skip."""
    origin, subnet = under.origin, under.sender.subnet
    own = origin.pod_address is not None and under.sender.example == origin.pod_address
    return own and origin.pod_subnet is None and subnet.nat_gateway is None


def _at_appliance(under: _Under, route: EffectiveRoute) -> Steps[_Under | None]:
    address = route.next_hop.address
    if address is None:
        return None
    network = under.sender.subnet.virtual_network_id
    found = resolve_appliance(under.estate_network, address)
    if found.peering:
        yield _peering_hop(network, found.peering, found.kind)
    resource = found.resource
    if found.kind is ApplianceKind.AZURE_FIREWALL and isinstance(resource, AzureFirewall):
        return (yield from told(HopKind.FIREWALL, resource.id, _at_firewall(under, resource)))
    yield _appliance_hop(found, address, network)
    return None


def _peering_hop(network: str, peering: VirtualNetworkPeering, kind: ApplianceKind | None = None) -> Hop:
    remote = parse(peering.remote.id).name if peering.remote else "its peer"
    evidence = (
        peering.at(VirtualNetworkPeering.state),
        peering.at(VirtualNetworkPeering.allow_virtual_network_access),
    )
    blocked = kind is ApplianceKind.UNREACHABLE
    says = f"From {parse(network).name} to {remote}"
    if blocked:
        says = f"{says}, which is not connected"
    passage = Passage.BLOCKED if blocked else Passage.ALLOWED
    return Hop(HopKind.PEERING, network, passage, says, f"peering {peering.name or ''}".strip(), evidence)


def _appliance_hop(found: Appliance, address: Address, network: str) -> Hop:
    resource = found.resource
    name = f"{resource.name}, " if resource else ""
    where = resource.id if resource else found.network_id or network
    if found.kind.forwards:
        vendor = vendor_of(found)
        whose = f" ({vendor})" if vendor else ""
        says = f"At {address} is {name}{found.kind}{whose}: what it lets through is not known here"
        return Hop(HopKind.APPLIANCE, where, Passage.UNKNOWN, says, "", found.evidence)
    at = f"{address} is" if found.kind is ApplianceKind.UNREACHABLE else f"At {address} is"
    says = f"{at} {name}{found.kind}: packets are dropped"
    return Hop(HopKind.APPLIANCE, where, Passage.BLOCKED, says, "", found.evidence)


def _at_firewall(under: _Under, firewall: AzureFirewall) -> Steps[_Under | None]:
    flow = under.flow
    if under.internet:
        flow = flow._replace(destination=_somewhere(under.sender.subnet, flow.source), name=_NO_NAME)
    judged = judge_sources(firewall, under.sender.addresses, flow, under.known(under.flow.name))
    verdict = judged[0].verdict
    by = f"rule {verdict.rule}" if verdict.rule else ""
    evidence = verdict.evidence or (firewall.at(AzureFirewall.firewall_policy),)
    if any(other.verdict.action is not verdict.action for other in judged):
        says = f"{firewall.name} does not treat all addresses of the sender alike: {verdict.reason}"
        yield Hop(HopKind.FIREWALL, firewall.id, Passage.UNKNOWN, says, by, evidence)
        return None
    passage = _PASSAGES[verdict.action]
    yield Hop(HopKind.FIREWALL, firewall.id, passage, f"{firewall.name}: {verdict.reason}", by, evidence)
    if passage is not Passage.ALLOWED:
        return None
    return (yield from _behind_firewall(under, firewall, judged))


_PASSAGES = {
    FirewallAction.ALLOW: Passage.ALLOWED,
    FirewallAction.DENY: Passage.BLOCKED,
    FirewallAction.DNAT: Passage.UNKNOWN,
    FirewallAction.UNDECIDED: Passage.UNKNOWN,
}


def _behind_firewall(under: _Under, firewall: AzureFirewall, judged: tuple[SourceVerdict, ...]) -> Steps[_Under | None]:
    """On from the firewall's subnet, under its address where it translates (application rules always do)."""
    link = next((one.subnet for one in firewall.ip_configurations or () if one.subnet), None)
    if link is None:
        says = "How the Virtual WAN hub of the firewall routes on is not known here"
        evidence = (firewall.at(AzureFirewall.virtual_hub),)
        yield Hop(HopKind.APPLIANCE, firewall.id, Passage.UNKNOWN, says, evidence=evidence)
        return None
    try:
        subnet = link.read()
    except Unread as unread:
        says = f"How it goes on from {parse(link.id).name} cannot be told: {unread}"
        yield Hop(HopKind.ROUTE, link.id, Passage.UNKNOWN, says, missing=unread.missing)
        return None
    parts = [part.sources for part in judged if part.verdict.snat is not True]
    parts += [AddressSet.of(subnet.prefixes)] if any(one.verdict.snat is not False for one in judged) else []
    sender = Sender(subnet, AddressSet.union_of(parts), under.sender.example)
    return under._replace(sender=sender, firewall=firewall)


def _over_peering(under: _Under, route: EffectiveRoute) -> Steps[None]:
    network = under.estate_network
    for peering in network.peerings or ():
        if peering.remote and peering.remote.id.lower() == route.next_hop.network.lower():
            yield _peering_hop(network.id, peering)
    remote = network.estate.resource(VirtualNetwork, route.next_hop.network)
    yield from _arrived(under, remote)


def _arrived(under: _Under, network: VirtualNetwork) -> Steps[None]:
    """The subnet at the other end, its group and what is known to have the address."""
    address = under.flow.destination
    if address is None:
        says = f"{network.name} holds no public address: packets are dropped"
        space = network.at(VirtualNetwork.address_space)
        yield Hop(HopKind.DESTINATION, network.id, Passage.BLOCKED, says, evidence=(space,))
        return
    subnet = next((one for one in network.subnets or () if any(address in prefix for prefix in one.prefixes)), None)
    if subnet is None:
        says = f"{address} is in {network.name}, but in none of its subnets: nobody is there"
        yield Hop(
            HopKind.DESTINATION, network.id, Passage.BLOCKED, says, evidence=(network.at(VirtualNetwork.subnets),)
        )
        return
    found = endpoint_at(subnet, address)
    endpoint = found.endpoint
    asked = (subnet.private_endpoint_network_policies or "").lower() in _JUDGED
    if endpoint is None or asked:
        for hop in _on_subnet(under, subnet, INBOUND):
            yield hop if asked else _unless_endpoint(hop, found, address)
    what = f"private endpoint {endpoint.name} in" if endpoint else f"in subnet {subnet.name} of"
    says = f"{under.whose} is {f'{address}, ' if under.flow.name else ''}{what} {network.name}"
    where = endpoint.id if endpoint else subnet.id
    evidence = (prefixes_at(subnet),)
    yield Hop(HopKind.DESTINATION, where, Passage.ALLOWED, says, evidence=evidence)


def _unless_endpoint(hop: Hop, found: Found, address: Address) -> Hop:
    """What the group of a subnet says, where it may not be asked, since a private endpoint may have the address."""
    if found.endpoint or not found.doubts or hop.passage is not Passage.BLOCKED:
        return hop
    says = f"{hop.says}, unless a private endpoint has {address}, which is not known"
    return hop._replace(passage=Passage.UNKNOWN, says=says, missing=found.doubts)


_JUDGED = frozenset({"enabled", "networksecuritygroupenabled"})
"""The policies of a subnet with which its security group is asked about private endpoints too."""
