"""What the routes of clusters lead to: live appliances, gateways, nobody, and the ways around them."""

from collections.abc import Iterator, Mapping

from aks_audit.facts import (
    ClusterNetwork,
    ClusterRouteTable,
    ClusterSubnet,
    Evidence,
    Malformed,
    ManagedCluster,
    Route,
    RouteNextHopType,
    RouteTable,
    Subnet,
    Unread,
    VirtualNetwork,
)
from aks_audit.facts.field import escaped
from aks_audit.facts.firewall import AzureFirewall, FirewallIPConfiguration
from aks_audit.facts.networking import VirtualNetworkPeering
from aks_audit.facts.resource_id import parse, within
from aks_audit.facts.virtual_wan import RoutingPolicy
from aks_audit.network.flows import Address
from aks_audit.network.next_hops import Appliance, ApplianceKind, reaches_hub_of, resolve_appliance
from aks_audit.network.routes import (
    default_route,
    destination,
    gateways_in_reach,
    internet_routes,
    next_hop_addresses,
    peer_prefixes,
    propagates,
    stated,
    tag_routes,
)
from aks_audit.network.vendors import vendor_of
from aks_audit.network.virtual_hubs import INTERNET, PRIVATE_TRAFFIC, hub_connection, hub_of, policy_of
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.egress import CLOSED, families, needs_no_route
from aks_audit_rules.frameworks import psrule

_TO_APPLIANCES = frozenset({RouteNextHopType.VIRTUAL_APPLIANCE, RouteNextHopType.VIRTUAL_APPLIANCE_ECMP})
_FILTERED = frozenset({*_TO_APPLIANCES, RouteNextHopType.VIRTUAL_NETWORK_GATEWAY, RouteNextHopType.NONE})
_ROUTING_INTENT = (INTERNET, PRIVATE_TRAFFIC)
_CONTROLLERS = ("aviatrix",)
"""Names of appliances whose controllers turn a null default route towards their gateways."""


@rule(
    "AKS-EGR-03",
    title="The next hop of the default route is a live appliance within reach",
    severity=Severity.HIGH,
)
def next_hop_is_alive(subnet: ClusterSubnet) -> Verdict:
    """A route says where packets go, not that anybody is there: Azure takes any address as next hop.

    Behind an address that nobody has any more, or an interface that does not forward, all egress of the subnet ends, and new
    nodes do not become ready.

    Severity: the whole subnet loses its egress at once, and with it image pulls, sign-ins and new nodes. Whoever can place an
    interface at the free address receives all of that traffic.
    Decided: for each user-defined route that leads public addresses to an appliance (IPv4, and IPv6 where the subnet has it),
    what has the address `nextHopIpAddress`: it must lie in the network's own address space, or in that of a peer whose
    peering is `Connected` and has `allowVirtualNetworkAccess` and, on this side, `allowForwardedTraffic`. There an Azure
    Firewall passes, as does a network interface with `enableIPForwarding`, and an internal load balancer with a rule to a
    back end whose interface forwards. Anything else at the address, and nobody, fails. The subscription of the next hop's
    network must have been listed before nobody is there. Not applicable where no route leads to an appliance (AKS-EGR-02).
    Whether the appliance's own software runs is not seen.
    Fix: az network route-table route update --resource-group <group> --route-table-name <route-table> --name <route> --next-hop-type VirtualAppliance --next-hop-ip-address <appliance-private-ip>
    Bicep: routeTables/routes properties.nextHopIpAddress; networkInterfaces properties.enableIPForwarding: true; virtualNetworkPeerings properties.allowForwardedTraffic: true
    Change: in place
    References: https://learn.microsoft.com/azure/virtual-network/virtual-networks-udr-overview
    https://learn.microsoft.com/azure/virtual-network/virtual-network-peering-overview
    https://learn.microsoft.com/azure/load-balancer/load-balancer-ha-ports-overview
    """
    excuse = needs_no_route(subnet)
    if excuse:
        return excuse
    if subnet.route_table is None:
        return not_applicable("The subnet has no route table", subnet.at(Subnet.route_table))
    table = subnet.route_table.read()
    hops = tuple(_hops(subnet, table))
    if not hops:
        return not_applicable("No route leads to an appliance", table.at(RouteTable.routes))
    network = subnet.estate.resource(VirtualNetwork, subnet.virtual_network_id)
    return each(hops, lambda hop: _judge_hop(network, *hop))


def _hops(subnet: Subnet, table: RouteTable) -> Iterator[tuple[Route, Address]]:
    """The routes that lead a subnet's public addresses to appliances, with each address that they name."""
    for family in families(subnet):
        by_type = internet_routes(table, family).by_type
        for route in (route for hop in _TO_APPLIANCES for route in by_type.get(hop, ())):
            for address in next_hop_addresses(route):
                yield route, address


def _judge_hop(network: VirtualNetwork, route: Route, address: Address) -> Verdict:
    found = resolve_appliance(network, address)
    shown = (route.at(Route.next_hop_ip_address), *found.evidence)
    if not found.kind.forwards:
        return fails(f"Route {route.name} leads to {address}, which is {_called(found)}", *shown)
    if found.peering is None:
        return passes(f"{address} is {_called(found)}", *shown)
    forwarding = found.peering.at(VirtualNetworkPeering.allow_forwarded_traffic)
    if not stated(found.peering, VirtualNetworkPeering.allow_forwarded_traffic):
        message = f"{address} is {_called(found)}, but peering {found.peering.name} takes no forwarded traffic from it"
        return fails(message, forwarding, *shown)
    return passes(f"{address} is {_called(found)}, by peering {found.peering.name}", *shown, forwarding)


def _called(found: Appliance) -> str:
    if found.resource:
        vendor = vendor_of(found)
        return f"{found.kind} ({found.resource.name}{f', {vendor}' if vendor else ''})"
    if found.kind is ApplianceKind.UNREACHABLE and found.peering:
        return f"behind peering {found.peering.name}, which does not work"
    return f"{found.kind}" if found.kind is not ApplianceKind.NOBODY else "nobody's"


@rule(
    "AKS-EGR-05",
    title="A default route to nowhere is one that an appliance's controller takes over",
    severity=Severity.LOW,
)
def null_route_belongs_to_a_controller(table: ClusterRouteTable) -> Verdict:
    """A default route with next hop None drops all egress, and may be meant so: some appliances ask for it.

    Their controller takes it as the sign of a private subnet and turns it to its gateway once egress is attached. Without
    one the route stays, and the nodes of a cluster with user-defined routing do not become ready.

    Severity: nothing is open; new nodes fail, and somebody will put a route to the internet there in a hurry.
    Decided: the route for 0.0.0.0/0 with `nextHopType` `None` passes where the table's name or tags, or the name of one of
    its routes, names a controller (Aviatrix), and fails otherwise. Not applicable where the default route leads elsewhere, or
    there is none (AKS-EGR-02), and where all clusters on the table have outbound type `none` or `block`, whose nodes need no
    egress.
    Fix: az network route-table route update --resource-group {group} --route-table-name {table} --name <route> --next-hop-type VirtualAppliance --next-hop-ip-address <appliance-private-ip>
    Bicep: routeTables/routes properties.nextHopType: 'VirtualAppliance', properties.nextHopIpAddress
    Change: in place
    References: https://learn.microsoft.com/azure/virtual-network/virtual-networks-udr-overview
    https://learn.microsoft.com/azure/aks/egress-udr
    """
    default = default_route(table)
    if default is None or default.next_hop_type is not RouteNextHopType.NONE:
        return not_applicable("The default route is not a route to nowhere", table.at(RouteTable.routes))
    shown = (default.at(Route.address_prefix), default.at(Route.next_hop_type))
    clusters = [table.estate.resource(ManagedCluster, cluster) for cluster in table.clusters]
    if all(cluster.outbound_type in CLOSED for cluster in clusters):
        return not_applicable("The clusters on this route table need no way out", *shown)
    for controller in _CONTROLLERS:
        for sign in _signs(table):
            if controller in str(sign.value).lower():
                message = f"Egress is dropped until the controller ({controller.capitalize()}) takes the route over"
                return passes(message, *shown, sign)
    return fails("The default route leads nowhere, and nothing names a controller that takes it over", *shown)


def _signs(table: RouteTable) -> Iterator[Evidence]:
    tags, pointer = table.find("tags")
    if tags is not None and not isinstance(tags, Mapping):
        raise Malformed(table.id, pointer, "expected an object of tags")
    for key, value in sorted((tags or {}).items()):
        yield Evidence(table.document.id, f"{pointer}/{escaped(key)}", f"{key}={value}")
    name, pointer = table.find("name")
    yield Evidence(table.document.id, pointer, name if isinstance(name, str) else None)
    for route in table.routes or ():
        yield route.at(Route.name)


@rule(
    "AKS-EGR-06",
    title="No more specific route leads to the internet beside the default route",
    severity=Severity.HIGH,
)
def no_shortcut_to_the_internet(table: ClusterRouteTable) -> Verdict:
    """The longest prefix wins: one route for a part of the internet leads that part past the appliance.

    The default route still looks right, in the portal and to most tools, and what the shortcut leads out is neither filtered
    nor logged.

    Severity: whoever runs code in the subnet has a free line to every address of the shortcut. Medium for service tags, behind
    which are Microsoft's addresses, with everybody's storage accounts among them; low for single addresses, which
    Microsoft's guide to Azure Firewall uses for the firewall's own.
    Decided: where public addresses go to an appliance, a gateway or nowhere by a route of the table: each route with
    `nextHopType` `Internet` fails whose prefix is not the whole of its family and decides for a public address, longest
    prefix first, as does each for a service tag, whose addresses are not known here. Not applicable where the default route
    itself leads to the internet, or no route leads anywhere else (AKS-EGR-02 fails there). Whose a single address is cannot
    be seen: accept the API server's or the firewall's own as an exception.
    Fix: az network route-table route delete --resource-group {group} --route-table-name {table} --name <route>
    Bicep: routeTables without routes whose properties.nextHopType is 'Internet'
    Change: in place, and what the appliance does not allow is cut off
    References: https://learn.microsoft.com/azure/virtual-network/virtual-networks-udr-overview
    https://learn.microsoft.com/azure/aks/limit-egress-traffic
    """
    used = [internet_routes(table, 4).by_type, internet_routes(table, 6).by_type]
    default = default_route(table)
    filtered = [route for by_type in used for hop in _FILTERED for route in by_type.get(hop, ())]
    if not filtered or (default and default.next_hop_type is RouteNextHopType.INTERNET):
        return not_applicable("The route table does not lead egress to an appliance", table.at(RouteTable.routes))
    shortcuts = [route for by_type in used for route in by_type.get(RouteNextHopType.INTERNET, ())]
    tags = [route for route in tag_routes(table) if route.next_hop_type is RouteNextHopType.INTERNET]
    if shortcuts or tags:
        return each([*shortcuts, *tags], _judge_shortcut)
    return passes("No route leads to the internet beside the default route", *(_shown(filtered)))


def _judge_shortcut(route: Route) -> Verdict:
    prefix = destination(route)
    severity = Severity.MEDIUM
    if prefix:
        severity = Severity.LOW if prefix.prefixlen == prefix.max_prefixlen else Severity.HIGH
    message = f"Route {route.name} ({route.address_prefix}) leads straight to the internet"
    return fails(message, *_shown([route]), severity=severity)


def _shown(routes: list[Route]) -> list[Evidence]:
    return [route.at(field) for route in routes for field in (Route.address_prefix, Route.next_hop_type)]


@rule(
    "AKS-EGR-07",
    title="Route tables of clusters take no routes from gateways",
    severity=Severity.MEDIUM,
)
def no_routes_from_gateways(table: ClusterRouteTable) -> Verdict:
    """Routes that a gateway learned by BGP are added to every subnet that does not refuse them.

    A more specific one wins over the default route to the appliance: somebody elsewhere, on-premises or at a partner, then
    decides which traffic of the cluster goes past it, and no resource in Azure shows that.

    Severity: it takes somebody who can announce routes, and the traffic goes to one's own network or partner; but it goes
    unfiltered, and changes without a trace in Azure.
    Decided: where a gateway or route server is in reach, `disableBgpRoutePropagation` true passes; false, and absent, which
    means it, fail. In reach is one in `GatewaySubnet` or `RouteServerSubnet` of the network that a subnet with this table is
    in, or that of a peer whose gateways the network uses (`useRemoteGateways` of a `Connected` peering, which a Virtual WAN
    hub's is too). Such a subnet that lists nothing in it is unknown. A Virtual WAN hub's routes may be taken where its routing
    intent has policies for the internet and for private traffic: then they all lead to the policies' firewall. Not applicable where no gateway is in reach.
    Fix: az network route-table update --resource-group {group} --name {table} --disable-bgp-route-propagation true
    Bicep: routeTables properties.disableBgpRoutePropagation: true
    Change: in place; add routes to the appliance for what only the gateway's routes reached before
    References: https://learn.microsoft.com/azure/virtual-network/virtual-networks-udr-overview
    https://learn.microsoft.com/azure/vpn-gateway/vpn-gateway-about-forced-tunneling
    https://learn.microsoft.com/azure/virtual-wan/how-to-routing-policies
    """
    networks = sorted({parse(subnet).parent.lower() for subnet in table.used_by})
    return each(networks, lambda network: _judge_propagation(table, network))


def _judge_propagation(table: RouteTable, network_id: str) -> Verdict:
    network = table.estate.resource(VirtualNetwork, network_id)
    gateways = gateways_in_reach(network)
    if not gateways:
        return not_applicable("No gateway is in reach of the route table's subnets")
    shown = (table.at(RouteTable.disable_bgp_route_propagation), *(gateway.evidence for gateway in gateways))
    told = ", ".join(gateway.said for gateway in gateways)
    if not propagates(table):
        return passes(f"Routes of gateways are refused ({told})", *shown)
    connection = hub_connection(network)
    found = (policy_of(hub_of(connection), kind) for kind in _ROUTING_INTENT) if connection else ()
    led = [policy.at(RoutingPolicy.next_hop) for policy in found if policy]
    if connection and len(led) == len(_ROUTING_INTENT):
        message = (
            f"All routes that are taken are those of Virtual WAN hub {hub_of(connection).name}, by its routing intent"
        )
        return passes(message, *shown, *led)
    if not any(gateway.certain for gateway in gateways):
        return undecided(f"Routes of gateways are taken, and whether there is one is not known ({told})", *shown)
    return fails(f"Routes of gateways are taken ({told})", *shown)


@rule(
    "AKS-EGR-26",
    title="A firewall is in reach of the clusters' network",
    severity=Severity.HIGH,
    controls=(psrule("Azure.VNET.FirewallSubnet"),),
)
def firewall_in_reach(network: ClusterNetwork) -> Verdict:
    """Egress can only be filtered where there is something to filter it: in the network, or in a hub beside it.

    Severity: without one every subnet's egress goes out unfiltered and unlogged, and no route can change that. That one is
    there says nothing of whether traffic goes through it: AKS-EGR-02 and AKS-EGR-03 judge the routes.
    Decided: passes for an Azure Firewall with an address in the network, in a peer whose peering is `Connected` and has
    `allowVirtualNetworkAccess`, or in a Virtual WAN hub that the network is connected to; and for any other appliance that a
    route of a cluster's subnet leads to, where it forwards (AKS-EGR-03 says what that is) and is not in such a subnet itself. An empty
    `AzureFirewallSubnet` is no firewall. It fails only where the firewalls of every subscription in question were listed and
    each such address was looked up; an appliance that no route leads to is not seen. Not applicable where all clusters in the
    network have outbound type `none` or `block`.
    Fix: az network firewall create --resource-group <hub-group> --name <firewall> --vnet-name <hub-vnet> --conf-name ipconfig --public-ip <public-ip>
    Bicep: Microsoft.Network/azureFirewalls in a hub network; virtualNetworkPeerings between the hub and {vnet}
    Change: in place; the firewall is paid by the hour, and by what goes through it
    References: https://learn.microsoft.com/azure/aks/limit-egress-traffic
    https://learn.microsoft.com/azure/architecture/networking/architecture/hub-spoke
    """
    clusters = [network.estate.resource(ManagedCluster, cluster) for cluster in network.clusters]
    if all(cluster.outbound_type in CLOSED for cluster in clusters):
        stated_types = [cluster.at(ManagedCluster.outbound_type) for cluster in clusters]
        return not_applicable("AKS gives the clusters in this network no way out", *stated_types)
    return _firewall_near(network) or _routed_appliance(network) or _no_firewall(network)


def _firewall_near(network: VirtualNetwork) -> Verdict | None:
    near = _near(network)
    for firewall in network.estate.every(AzureFirewall):
        for own in firewall.ip_configurations or ():
            shown = [at for home, at in near if own.subnet and within(own.subnet.id, home)]
            if shown and own.private_ip_address:
                address = own.at(FirewallIPConfiguration.private_ip_address)
                return passes(f"Azure Firewall {firewall.name} is in reach", address, *shown)
        if reaches_hub_of(network, firewall):
            address = firewall.at(AzureFirewall.hub_private_ip_address)
            return passes(f"Azure Firewall {firewall.name} of a Virtual WAN hub is in reach", address)
    return None


def _near(network: VirtualNetwork) -> list[tuple[str, Evidence]]:
    """The ids of the network and its working peers, each with what says so."""
    peers = [peering for peering in network.peerings or () if peer_prefixes(peering)]
    return [
        (network.id, network.at(VirtualNetwork.address_space)),
        *((stated(one, VirtualNetworkPeering.remote).id, one.at(VirtualNetworkPeering.state)) for one in peers),
    ]


def _routed_appliance(network: ClusterNetwork) -> Verdict | None:
    """A pass, where a route of a cluster's subnet leads to something that forwards; None where none does."""
    unread: list[Unread] = []
    for subnet_id in network.used:
        try:
            for route, address in _named_appliances(network, network.estate.resource(Subnet, subnet_id)):
                found = resolve_appliance(network, address)
                if found.kind.forwards:
                    message = f"{address} is {_called(found)}"
                    return passes(message, route.at(Route.next_hop_ip_address), *found.evidence)
        except Unread as problem:
            unread.append(problem)
    if unread:
        raise unread[0]
    return None


def _named_appliances(network: ClusterNetwork, subnet: Subnet) -> Iterator[tuple[Route, Address]]:
    """The appliances that routes of a subnet name, but for the nodes that kubenet's routes name."""
    own = [prefix for used in network.used for prefix in network.estate.resource(Subnet, used).prefixes]
    table = subnet.route_table.read() if subnet.route_table else None
    for route in stated(table, RouteTable.routes) if table else ():
        for address in next_hop_addresses(route):
            if not any(address in prefix for prefix in own):
                yield route, address


def _no_firewall(network: VirtualNetwork) -> Verdict:
    near = _near(network)
    for home, _ in near:
        network.estate.within(AzureFirewall, f"/subscriptions/{parse(home).subscription}").whole()
    message = "There is no Azure Firewall in the network and its connected peers, and no route leads to an appliance"
    return fails(message, *(shown for _, shown in near))


RULES = (
    next_hop_is_alive,
    null_route_belongs_to_a_controller,
    no_shortcut_to_the_internet,
    no_routes_from_gateways,
    firewall_in_reach,
)
