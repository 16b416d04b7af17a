"""How traffic leaves a cluster: the outbound type, the routes of its subnets, and the ways around them."""

from collections.abc import Callable, Iterable

from aks_audit.facts import (
    AgentPool,
    AzureResource,
    ClusterSubnet,
    Evidence,
    FrontendIPConfiguration,
    Link,
    LoadBalancer,
    LoadBalancingRule,
    Malformed,
    ManagedCluster,
    NatGateway,
    Network,
    NetworkPlugin,
    OutboundRule,
    OutboundType,
    PowerState,
    Route,
    RouteNextHopType,
    RouteTable,
    ScaleSetIPConfiguration,
    ScaleSetNetworkInterface,
    Subnet,
    VirtualMachineScaleSet,
    VirtualNetwork,
)
from aks_audit.facts.resource_id import parse
from aks_audit.network.addresses import AddressSet
from aks_audit.network.capacity import LARGEST_MAX_SURGE, full_scale_with_surge
from aks_audit.network.routes import (
    Family,
    InternetRoutes,
    destination,
    gateways_in_reach,
    internet_routes,
    propagates,
    stated,
)
from aks_audit.network.virtual_hubs import HubDefault, default_by_hub
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.rule import each, each_of_all, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import (
    aks_health_check,
    aprl,
    azqr,
    azure_policy,
    community_policy,
    psrule,
    review_checklist,
    the_aks_checklist,
)

MOST_KUBENET_NODES = 400
"""The most user-defined routes of a route table; kubenet needs one for each node."""

CLOSED = frozenset({OutboundType.NONE, OutboundType.BLOCK})
_V4 = 4
_FAMILIES: tuple[Family, ...] = (4, 6)
FILTERED = frozenset({OutboundType.USER_DEFINED_ROUTING, *CLOSED})


@rule(
    "AKS-EGR-01",
    title="Egress goes through a firewall, or there is no way out",
    severity=Severity.HIGH,
    controls=(
        review_checklist("3b365a91-7ecb-4e48-bbe5-4cd7df2e8bba"),
        the_aks_checklist("3b365a91-7ecb-4e48-bbe5-4cd7df2e8bba"),
        azqr("aks-012"),
        aks_health_check("NET-7"),
        community_policy("a6c3dde3-4f8a-4f50-903f-5baeffef93ca"),
    ),
)
def egress_is_forced(cluster: ManagedCluster) -> Verdict:
    """By default every pod may open a connection to any address on the internet, and nothing looks at it.

    A compromised workload then fetches its tools and sends data out as easily as a sound one pulls an image.

    Severity: it is the difference between a compromised pod that can only misbehave inside, and one that has a free line
    to its operator and a way out for the data; nearly every attack on a cluster needs that line.
    Decided: `properties.networkProfile.outboundType`: `userDefinedRouting` passes (AKS-EGR-02 judges the routes), as do `none`
    and `block` (a network isolated cluster; AKS gives it no way out). `loadBalancer` and every NAT gateway type fail: they
    change the address that traffic leaves by, and filter nothing. Absent means `loadBalancer`, Azure's default.
    Fix: az aks update --resource-group {group} --name {name} --outbound-type userDefinedRouting
    Bicep: properties.networkProfile.outboundType: 'userDefinedRouting'
    Change: in place on clusters in a virtual network of their own, and it interrupts egress; first route 0.0.0.0/0 of the node
    and pod subnets to the firewall, and allow there what AKS needs
    References: https://learn.microsoft.com/azure/aks/egress-outboundtype
    https://learn.microsoft.com/azure/aks/limit-egress-traffic
    https://learn.microsoft.com/azure/aks/concepts-network-isolated
    Follows: AKS-EGR-02
    """
    evidence = cluster.at(ManagedCluster.outbound_type)
    outbound = cluster.outbound_type
    if outbound is None:
        return fails("The cluster names no outbound type: its load balancer is the way out, Azure's default", evidence)
    if outbound in CLOSED:
        return passes(f"The outbound type is {outbound}: AKS gives the cluster no way out", evidence)
    if outbound is OutboundType.USER_DEFINED_ROUTING:
        return passes("Egress goes where the subnets' route tables send it", evidence)
    return fails(f"The outbound type is {outbound}: egress is not filtered", evidence)


@rule(
    "AKS-EGR-02",
    title="The default route of every node and pod subnet leads to an appliance",
    severity=Severity.HIGH,
    controls=(azure_policy("fc5e4038-4584-4632-8c85-c0448d374b2c"),),
)
def default_route_to_appliance(subnet: ClusterSubnet) -> Verdict:
    """Traffic that leaves past no appliance is neither filtered nor logged.

    The outbound type only says that routes decide; the route table of each subnet is what decides. One subnet that was
    forgotten, such as the pods' own, is a way out for everything in it.

    Severity: whatever runs in the subnet talks to the internet directly, and no log tells. Low where only routes for single
    addresses lead there: Microsoft's guide to Azure Firewall adds one for the firewall's own public address.
    Decided: the subnet's route table, evaluated for all public addresses of the subnet's families (IPv6 too, where it has an
    IPv6 prefix), longest prefix first; so a default route in halves counts as one. Next hop `VirtualAppliance` (or `VirtualApplianceEcmp`) passes; `VirtualNetworkGateway` (forced
    tunnelling to one's own network) passes; `None` passes and says that nothing leaves: the controllers of some appliances
    (Aviatrix) put it there until they take the route over, so it is no fault. `Internet`, `VnetLocal`, a part of the public
    address space without a route, no route and no route table fail. Routes for service tags are left aside: their addresses are
    not known here. Whose a single address (/32) is cannot be seen either: accept the firewall's own as an exception. Not
    applicable to subnets for the API server alone, and where all clusters on the subnet have outbound type `none` or `block`.
    Where the table leaves a part open and a gateway or route server gives its routes to the subnet (its network's own, or one
    of a peer whose gateways it uses, such as a Virtual WAN hub, and propagation is not disabled), it is unknown, not a fault:
    those routes stand in no body, and the default route may be among them. AKS-EGR-07 judges the propagation. A Virtual WAN
    hub with a routing policy for the internet passes, for it gives 0.0.0.0/0 to every connection with
    `enableInternetSecurity`; where that is false it gives none, and the subnet fails. A hub that was not read, or has no such
    policy, is unknown.
    Fix: az network route-table route create --resource-group {group} --route-table-name <route-table> --name default-to-firewall --address-prefix 0.0.0.0/0 --next-hop-type VirtualAppliance --next-hop-ip-address <firewall-private-ip> && az network vnet subnet update --resource-group {group} --vnet-name {vnet} --name {subnet} --route-table <route-table>
    Bicep: routeTables/routes properties.addressPrefix: '0.0.0.0/0', properties.nextHopType: 'VirtualAppliance'; subnet properties.routeTable.id
    Change: in place, and it cuts egress that the appliance does not allow
    References: https://learn.microsoft.com/azure/aks/egress-udr
    https://learn.microsoft.com/azure/aks/limit-egress-traffic
    https://learn.microsoft.com/azure/virtual-network/virtual-networks-udr-overview
    https://learn.microsoft.com/azure/virtual-wan/how-to-routing-policies
    Follows: AKS-EGR-26
    """
    excuse = needs_no_route(subnet)
    return excuse or each(families(subnet), lambda family: _judge_family(subnet, family))


def needs_no_route(subnet: ClusterSubnet) -> Verdict | None:
    """Not applicable, where a subnet holds no nodes or pods, or only those of clusters without a way out; else None."""
    users = sorted({use.cluster for use in subnet.uses if use.kind in {"node", "pod"}})
    if not users:
        return not_applicable("The subnet holds no nodes and no pods")
    clusters = [subnet.estate.resource(ManagedCluster, user) for user in users]
    if all(cluster.outbound_type in CLOSED for cluster in clusters):
        stated = [cluster.at(ManagedCluster.outbound_type) for cluster in clusters]
        return not_applicable("AKS gives the clusters on this subnet no way out", *stated)
    return None


def families(subnet: Subnet) -> tuple[Family, ...]:
    """The address families of a subnet.

    Raises:
        Malformed: it has no prefix.
    """
    versions = {prefix.version for prefix in subnet.prefixes}
    if not versions:
        raise Malformed(subnet.document.id, subnet.at(Subnet.address_prefixes).pointer, "a subnet without its prefixes")
    return tuple(family for family in _FAMILIES if family in versions)


_GOOD_HOPS = {
    RouteNextHopType.VIRTUAL_APPLIANCE: "goes to an appliance",
    RouteNextHopType.VIRTUAL_APPLIANCE_ECMP: "goes to appliances",
    RouteNextHopType.VIRTUAL_NETWORK_GATEWAY: "goes through the virtual network gateway (forced tunnelling)",
    RouteNextHopType.NONE: "is dropped (next hop None), so nothing leaves",
}
_BAD_HOPS = {
    RouteNextHopType.INTERNET: "straight to the internet",
    RouteNextHopType.VNET_LOCAL: "to the virtual network itself, past no appliance",
}


def _judge_family(subnet: ClusterSubnet, family: Family) -> Verdict:
    attached = subnet.at(Subnet.route_table)
    table = subnet.route_table.read() if subnet.route_table else None
    routes = internet_routes(table, family) if table else InternetRoutes({None: 1}, {})
    wrong = [route for hop in _BAD_HOPS for route in routes.by_type.get(hop, ())]
    if None in routes.shares and not wrong and propagates(table):
        network = subnet.estate.resource(VirtualNetwork, subnet.virtual_network_id)
        by_hub = default_by_hub(network) if family == _V4 else None
        gateways = gateways_in_reach(network)
        if by_hub:
            return _judge_hub(by_hub, attached)
        if gateways:
            told = ", ".join(gateway.said for gateway in gateways)
            message = f"No route of its own leads all traffic to the internet anywhere, and a gateway may ({told})"
            return undecided(message, attached, *(gateway.evidence for gateway in gateways))
    if table is None:
        return fails("The subnet has no route table: Azure's default route leads to the internet", attached)
    return _judge_routes(routes, attached, "public addresses" if family == _V4 else "public IPv6 addresses")


def _judge_hub(found: HubDefault, attached: Evidence) -> Verdict:
    if found.next_hop is None:
        message = f"The connection to Virtual WAN hub {found.hub.name} takes no default route, and the subnet has none"
        return fails(message, attached, *found.evidence)
    told = f"{parse(found.next_hop).name} by the routing intent of Virtual WAN hub {found.hub.name}"
    return passes(f"Traffic to the internet goes to {told}", attached, *found.evidence)


def _judge_routes(routes: InternetRoutes, attached: Evidence, addresses: str) -> Verdict:
    problems = [
        f"route {route.name or 'without a name'} ({route.address_prefix}) leads {said}"
        for hop, said in _BAD_HOPS.items()
        for route in routes.by_type.get(hop, ())
    ]
    if None in routes.shares:
        whole = "no route for" if set(routes.shares) == {None} else "no route for a part of"
        problems.append(f"the route table has {whole} the {addresses}: Azure's default route leads to the internet")
    if problems:
        wrong = sum(len(routes.by_type.get(hop, ())) for hop in _BAD_HOPS)
        past = sum(share for hop, share in routes.shares.items() if hop not in _GOOD_HOPS)
        severity = Severity.LOW if past == wrong else Severity.HIGH  # each of these routes is for one address
        return fails(_sentence(problems), attached, *_shown(routes), severity=severity)
    said = [said for hop, said in _GOOD_HOPS.items() if hop in routes.by_type]
    return passes(f"Traffic to the internet {'; a part '.join(said)}", attached, *_shown(routes))


def _shown(routes: InternetRoutes) -> list[Evidence]:
    """All routes to the internet, those that lead to no appliance first."""
    found = [route for hop in (*_BAD_HOPS, *_GOOD_HOPS) for route in routes.by_type.get(hop, ())]
    return [route.at(field) for route in found for field in (Route.address_prefix, Route.next_hop_type)]


def _sentence(parts: Iterable[str]) -> str:
    joined = "; ".join(parts)
    return joined[:1].upper() + joined[1:]


@rule(
    "AKS-EGR-04",
    title="There is no second way out beside the user-defined routes",
    severity=Severity.MEDIUM,
    controls=(community_policy("c8187ecd-531e-4889-89cc-69835860ebdf"),),
)
def no_second_way_out(cluster: ManagedCluster) -> Verdict:
    """With user-defined routing nothing but the route table should decide how traffic leaves.

    A NAT gateway, an outbound rule or a public address on a node lies dormant while 0.0.0.0/0 leads to the appliance, and
    serves every packet as soon as the route is changed, or a more specific route leads to the internet.

    Severity: the route table is then the only lock, and one edited route opens the door unseen; without a public address to
    leave by, the same mistake ends in a dropped packet. A second fault is needed, so it is not higher.
    Decided: clusters with outbound type `userDefinedRouting` only. A way out is: in a load balancer of the node resource
    group, a public front end (`publicIPAddress` or `publicIPPrefix`) with an outbound rule, or with a load-balancing rule
    whose `disableOutboundSnat` is not true; a NAT gateway on a node or pod subnet, by the subnet's or by the gateway's
    own word; a pool with `enableNodePublicIP`; a scale set whose interfaces get public addresses. It passes only where the
    load balancers, scale sets and NAT gateways were all listed, and the subnets read.
    Fix: az network vnet subnet update --ids <subnet id> --remove natGateway; az network lb outbound-rule delete --resource-group {node_group} --lb-name kubernetes --name <rule>
    Bicep: agentPoolProfiles[].enableNodePublicIP: false; subnets without properties.natGateway; Services behind internal load balancers
    Change: in place for NAT gateways and outbound rules; a public load balancer goes with its last public Service; a pool
    whose nodes have public addresses keeps them, so replace it by a new one (AKS-SUB-09)
    References: https://learn.microsoft.com/azure/aks/egress-udr
    https://learn.microsoft.com/azure/load-balancer/load-balancer-outbound-connections
    https://learn.microsoft.com/azure/aks/use-node-public-ips
    """
    if cluster.outbound_type is not OutboundType.USER_DEFINED_ROUTING:
        evidence = cluster.at(ManagedCluster.outbound_type)
        return not_applicable("The cluster does not use user-defined routing", evidence)
    questions: tuple[Callable[[], Verdict], ...] = (
        lambda: each_of_all(cluster.node_load_balancers, _load_balancer_lets_out),
        lambda: each(cluster.pools, _pool_lets_out),
        lambda: each_of_all(cluster.scale_sets, _scale_set_lets_out),
    )
    found = each(questions, lambda question: question())
    return passes("No second way out", *found.evidence) if found.outcome is Outcome.PASS else found


def _load_balancer_lets_out(balancer: LoadBalancer) -> Verdict:
    frontends = balancer.at(LoadBalancer.frontends)
    if balancer.frontends is None:
        raise Malformed(balancer.id, frontends.pointer, "a load balancer without its list of front ends")
    public = {frontend.id.lower(): frontend for frontend in balancer.frontends if _is_public(frontend)}
    if not public:
        return passes("The load balancers have no public front end", frontends)
    if balancer.outbound_rules is None or balancer.load_balancing_rules is None:
        raise Malformed(balancer.id, f"{balancer.pointer}/properties", "a load balancer without its lists of rules")
    known = {frontend.id.lower() for frontend in balancer.frontends}
    outbound = each(balancer.outbound_rules, lambda found: _outbound_rule_lets_out(found, set(public), known))
    inbound = each(balancer.load_balancing_rules, lambda found: _rule_lets_out(found, set(public), known))
    return each((outbound, inbound), lambda verdict: verdict)


def _is_public(frontend: FrontendIPConfiguration) -> bool:
    if frontend.public_ip_address or frontend.public_ip_prefix:
        return True
    if frontend.private_ip_address or frontend.subnet:
        return False
    raise Malformed(frontend.document.id, frontend.pointer, "a front end with neither a public nor a private address")


def _outbound_rule_lets_out(found: OutboundRule, public: set[str], known: set[str]) -> Verdict:
    if not found.frontends:
        raise Malformed(found.document.id, found.pointer, "an outbound rule without its front ends")
    evidence = found.at(OutboundRule.frontends)
    if {_known(found, link, known) for link in found.frontends} & public:
        return fails(f"Outbound rule {found.name} of a load balancer leads out by a public address", evidence)
    return passes("Outbound rules have no public front end", evidence)


def _rule_lets_out(found: LoadBalancingRule, public: set[str], known: set[str]) -> Verdict:
    if found.frontend is None:
        raise Malformed(found.document.id, found.pointer, "a load-balancing rule without its front end")
    snat = found.at(LoadBalancingRule.disable_outbound_snat)
    if _known(found, found.frontend, known) not in public:
        return passes("Load-balancing rules have no public front end", found.at(LoadBalancingRule.frontend))
    if found.disable_outbound_snat:
        return passes("Load-balancing rules on public front ends do not serve egress", snat)
    message = f"Load-balancing rule {found.name} lets back ends leave by its public address (SNAT is not disabled)"
    return fails(message, snat, found.at(LoadBalancingRule.frontend))


def _known(found: OutboundRule | LoadBalancingRule, link: Link[AzureResource], known: set[str]) -> str:
    if link.id.lower() not in known:
        raise Malformed(found.document.id, found.pointer, "a rule whose front end is not among the load balancer's")
    return link.id.lower()


def _pool_lets_out(pool: AgentPool) -> Verdict:
    return each((_pool_addresses, _pool_subnets), lambda judge: judge(pool))


def _pool_addresses(pool: AgentPool) -> Verdict:
    evidence = pool.at(AgentPool.enable_node_public_ip)
    if pool.enable_node_public_ip is None:
        return undecided(f"Pool {pool.name} does not say whether its nodes have public addresses", evidence)
    if pool.enable_node_public_ip:
        return fails(f"Nodes of pool {pool.name} have public addresses", evidence)
    return passes("Nodes have no public addresses", evidence)


def _pool_subnets(pool: AgentPool) -> Verdict:
    """A pool that names no subnet is in the network that AKS made: its scale set says which subnet that is."""
    return each([link for link in (pool.node_subnet, pool.pod_subnet) if link], _subnet_lets_out)


def _subnet_lets_out(link: Link[Subnet]) -> Verdict:
    subnet = link.read()
    if subnet.nat_gateway:
        return fails(f"Subnet {subnet.name} has a NAT gateway", subnet.at(Subnet.nat_gateway))
    gateways = subnet.estate.within(NatGateway, f"/subscriptions/{parse(link.id).subscription}")
    return each_of_all(gateways, lambda gateway: _gateway_serves(gateway, link))


def _gateway_serves(gateway: NatGateway, link: Link[Subnet]) -> Verdict:
    evidence = gateway.at(NatGateway.subnets)
    if link.id.lower() in {served.id.lower() for served in gateway.subnets or ()}:
        return fails(f"NAT gateway {gateway.name} serves subnet {parse(link.id).name}", evidence)
    return not_applicable("NAT gateways serve other subnets", evidence)


def _scale_set_lets_out(scale_set: VirtualMachineScaleSet) -> Verdict:
    if scale_set.network_interfaces is None:
        evidence = scale_set.at(VirtualMachineScaleSet.network_interfaces)
        raise Malformed(scale_set.id, evidence.pointer, "a scale set without its network interfaces")
    addresses = [address for interface in scale_set.network_interfaces for address in _addresses(interface)]
    public = [
        address.at(ScaleSetIPConfiguration.public_ip_address) for address in addresses if address.public_ip_address
    ]
    if public:
        return fails(f"Instances of scale set {scale_set.name} get public addresses", *public)
    return each([address.subnet for address in addresses if address.subnet], _subnet_lets_out)


def _addresses(interface: ScaleSetNetworkInterface) -> tuple[ScaleSetIPConfiguration, ...]:
    addresses = interface.ip_configurations
    if not addresses or any(address.subnet is None for address in addresses):
        evidence = interface.at(ScaleSetNetworkInterface.ip_configurations)
        raise Malformed(
            interface.document.id, evidence.pointer, "a network interface without its addresses or their subnets"
        )
    return addresses


@rule(
    "AKS-EGR-08",
    title="A kubenet cluster has a route table of its own, with a route for each node",
    severity=Severity.HIGH,
)
def kubenet_routes(cluster: ManagedCluster) -> Verdict:
    """With kubenet a pod is reached by a route to its node; Kubernetes writes these routes into the subnet's route table.

    Without a table, or without a node's route, the pods of that node cannot talk to others. Two clusters that write into one
    table take each other's routes for their own, and where their pod ranges overlap, packets go to the wrong cluster.

    Severity: pods lose their connections to other nodes, among them to CoreDNS; a shared table fails at the first scale-out
    of either cluster, or already with overlapping pod ranges.
    Decided: `networkProfile.networkPlugin` `kubenet` only. Each subnet that pools name (`vnetSubnetID`) must have a route
    table; no pool of another cluster with kubenet may be in a subnet of that table; and the table must hold at least as many
    routes to `VirtualAppliance` inside `networkProfile.podCidr` as the pools there have nodes (`count`). It passes only where
    the clusters of the table's subscription were listed. Not applicable to pools that name no subnet, since AKS makes their
    network with its table. The routes of a stopped cluster are unknown.
    Fix: az network route-table create --resource-group {group} --name <route-table> && az network vnet subnet update --ids <subnet id> --route-table <route-table id>
    Bicep: subnet properties.routeTable.id, with one Microsoft.Network/routeTables for each cluster
    Change: in place, and pods lose their connections until the routes are written again; rather move to Azure CNI Overlay
    References: https://learn.microsoft.com/azure/aks/configure-kubenet
    https://learn.microsoft.com/azure/aks/azure-cni-overlay
    """
    plugin = cluster.at(ManagedCluster.network_plugin)
    if cluster.network_plugin is None:
        return undecided("The cluster does not name its network plugin", plugin)
    if cluster.network_plugin is not NetworkPlugin.KUBENET:
        return not_applicable("The cluster does not use kubenet", plugin)
    subnets = {pool.node_subnet.id.lower(): pool.node_subnet for pool in cluster.pools if pool.node_subnet}
    if not subnets:
        return not_applicable("AKS made the cluster's network itself, with its route table", plugin)
    return each(subnets.values(), lambda link: _kubenet_subnet(cluster, link.read()))


def _kubenet_subnet(cluster: ManagedCluster, subnet: Subnet) -> Verdict:
    attached = subnet.at(Subnet.route_table)
    if subnet.route_table is None:
        return fails(f"Node subnet {subnet.name} has no route table", attached)
    table = subnet.route_table.read()
    questions = (_not_shared, _pod_routes)
    return each(questions, lambda question: question(cluster, table))


def _not_shared(cluster: ManagedCluster, table: RouteTable) -> Verdict:
    served = {link.id.lower() for link in stated(table, RouteTable.subnets)}
    shown = table.at(RouteTable.subnets)
    clusters = cluster.estate.within(ManagedCluster, f"/subscriptions/{table.parsed.subscription}")
    others = clusters.where(lambda other: other.id.lower() != cluster.id.lower())
    shared = each_of_all(others, lambda other: _shares(other, served, shown))
    if shared.outcome is Outcome.NOT_APPLICABLE:
        return passes(f"No other kubenet cluster uses route table {table.name}", shown)
    return shared


def _shares(other: ManagedCluster, served: set[str], shown: Evidence) -> Verdict:
    users = [pool for pool in other.pools if pool.node_subnet and pool.node_subnet.id.lower() in served]
    if users and (other.network_plugin is NetworkPlugin.KUBENET):
        message = f"Kubenet cluster {other.name} uses the same route table"
        return fails(message, shown, *(pool.at(AgentPool.node_subnet) for pool in users))
    return not_applicable("Other clusters use other route tables")


def _pod_routes(cluster: ManagedCluster, table: RouteTable) -> Verdict:
    """Whether the table has a route for each node of the pools in its subnets."""
    pools = [pool for pool in cluster.pools if _is_on(pool, table)]
    nodes = sum(stated(pool, AgentPool.count) for pool in pools)
    pods = stated(cluster, ManagedCluster.pod_cidr)
    written = sum(_is_pod_route(route, pods) for route in stated(table, RouteTable.routes))
    shown = (table.at(RouteTable.routes), *(pool.at(AgentPool.count) for pool in pools))
    if cluster.power_state is PowerState.STOPPED:
        return undecided("The cluster is stopped, and its nodes are not there", cluster.at(ManagedCluster.power_state))
    if written < nodes:
        return fails(f"Route table {table.name} has {written} routes to pods, for {nodes} nodes", *shown)
    return passes(f"Route table {table.name} has a route to the pods of each of {nodes} nodes", *shown)


def _is_on(pool: AgentPool, table: RouteTable) -> bool:
    attached = pool.node_subnet.read().route_table if pool.node_subnet else None
    return attached is not None and attached.id.lower() == table.id.lower()


def _is_pod_route(route: Route, pods: Network) -> bool:
    prefix = destination(route)
    return (
        route.next_hop_type is RouteNextHopType.VIRTUAL_APPLIANCE
        and prefix is not None
        and AddressSet.of([pods]).covers(AddressSet.of([prefix]))
        and prefix.prefixlen > pods.prefixlen
    )


@rule(
    "AKS-EGR-09",
    title="A kubenet cluster stays within 400 nodes at full scale-out and during upgrades",
    severity=Severity.MEDIUM,
)
def kubenet_nodes_within_limit(cluster: ManagedCluster) -> Verdict:
    """With kubenet every node takes one route in a route table, and a route table of AKS holds 400.

    The node after that joins, and its pods can reach nobody: the scale-out or the upgrade ends half way.

    Severity: the outage comes on the day of the greatest load, or in the middle of an upgrade, and cannot be mended by
    configuration; it hits only clusters that are planned that large.
    Decided: over all pools, `maxCount` where the autoscaler is on, else `count`, plus `upgradeSettings.maxSurge` of it (a
    number, or a percentage rounded up; never more than the pool). A pool that names no surge has 10 % (one node by older
    API versions): it passes only where even a surge of 100 % would fit, fails where 10 % does not, and is unknown between.
    Not applicable where `networkProfile.networkPlugin` is not `kubenet`.
    Fix: az aks nodepool update --resource-group {group} --cluster-name {name} --name <pool> --update-cluster-autoscaler --min-count <n> --max-count <smaller n>
    Bicep: properties.agentPoolProfiles[].maxCount, properties.agentPoolProfiles[].upgradeSettings.maxSurge
    Change: in place; for more nodes, migrate to Azure CNI Overlay, which replaces nodes (kubenet itself retires on 2028-03-31)
    References: https://learn.microsoft.com/azure/aks/configure-kubenet
    https://learn.microsoft.com/azure/aks/upgrade-aks-node-pools-rolling
    """
    plugin = cluster.at(ManagedCluster.network_plugin)
    if cluster.network_plugin is None:
        return undecided("The cluster does not name its network plugin", plugin)
    if cluster.network_plugin is not NetworkPlugin.KUBENET:
        return not_applicable("The cluster does not use kubenet", plugin)
    likely = sum(full_scale_with_surge(pool) for pool in cluster.pools)
    most = sum(full_scale_with_surge(pool, unstated=LARGEST_MAX_SURGE) for pool in cluster.pools)
    evidence = [plugin, *(item for pool in cluster.pools for item in _size(pool))]
    if likely > MOST_KUBENET_NODES:
        return fails(f"Up to {likely} nodes during an upgrade at full scale; a route table takes 400", *evidence)
    if most > MOST_KUBENET_NODES:
        message = f"{likely} to {most} nodes during an upgrade, by the surge of pools that do not state one"
        return undecided(message, *evidence)
    return passes(f"At most {most} nodes during an upgrade at full scale", *evidence)


def _size(pool: AgentPool) -> tuple[Evidence, Evidence]:
    size = AgentPool.count if pool.max_count is None else AgentPool.max_count
    return pool.at(size), pool.at(AgentPool.max_surge)


@rule(
    "AKS-EGR-24",
    title="Egress that is not filtered leaves through a NAT gateway",
    severity=Severity.LOW,
    controls=(
        review_checklist("ccb534e7-416e-4a1d-8e93-533b53199085"),
        the_aks_checklist("ccb534e7-416e-4a1d-8e93-533b53199085"),
        aprl("8d319a05-677b-944f-b9b4-ca0fb42e883c"),
    ),
)
def nat_gateway_for_egress(cluster: ManagedCluster) -> Verdict:
    """A load balancer shares a fixed number of SNAT ports out among the nodes, and a busy node runs dry.

    New connections then time out, now and then and hard to explain. A NAT gateway gives ports on demand, up to 64,512 for
    each of 16 addresses.

    Severity: connections fail under load only, and allocating more ports or addresses helps for a while; nothing is gained
    by an attacker.
    Decided: `properties.networkProfile.outboundType` is `managedNATGateway`, `managedNATGatewayV2` or `userAssignedNATGateway`.
    `loadBalancer`, and absent, which means it, fail. Not applicable to `userDefinedRouting`, where the appliance does the
    SNAT, and to `none` and `block`, where nothing leaves.
    Fix: az aks update --resource-group {group} --name {name} --outbound-type managedNATGateway
    Bicep: properties.networkProfile.outboundType: 'managedNATGateway'
    Change: in place, and the address that the cluster leaves by changes; in a virtual network of your own use userAssignedNATGateway
    References: https://learn.microsoft.com/azure/aks/nat-gateway
    https://learn.microsoft.com/azure/nat-gateway/nat-gateway-resource
    Disagreement: AKS-EGR-01 asks for egress through a firewall, and fails a NAT gateway. Who filters egress does not need this
    rule, and who does not should at least have the ports; an exception for one of the two says which.
    """
    evidence = cluster.at(ManagedCluster.outbound_type)
    if cluster.outbound_type in FILTERED:
        return not_applicable(f"The outbound type is {cluster.outbound_type}", evidence)
    if cluster.outbound_type in {None, OutboundType.LOAD_BALANCER}:
        return fails("Egress leaves through the load balancer, with a fixed number of SNAT ports a node", evidence)
    return passes(f"Egress leaves through a NAT gateway ({cluster.outbound_type})", evidence)


@rule(
    "AKS-EGR-27",
    title="The subnets of nodes and pods have no default outbound access",
    severity=Severity.MEDIUM,
    controls=(azure_policy("7bca8353-aa3b-429b-904a-9229c4385837"), psrule("Azure.VNET.PrivateSubnet")),
)
def no_default_outbound_access(subnet: ClusterSubnet) -> Verdict:
    """Where nothing else gives a machine a way out, Azure gives it an address of its own choice, and tells nobody.

    The day a route table or a NAT gateway is taken off the subnet, traffic leaves past the firewall in place of failing.

    Severity: it opens by another's mistake alone, and then without a trace in the network's own resources.
    Decided: `defaultOutboundAccess` of subnets with nodes or pods: false passes, true fails. Absent is unknown: what Azure takes
    it for hangs on the API version by which the subnet was made (from 2025-07-01 on it is private). Not applicable to a
    subnet for the API server alone.
    Fix: az network vnet subnet update --resource-group {group} --vnet-name {vnet} --name {subnet} --default-outbound-access false
    Bicep: subnets[].properties.defaultOutboundAccess: false
    Change: in place; nodes must have another way out first (a NAT gateway, a load balancer, a route), and running ones keep theirs
    until they are stopped
    References: https://learn.microsoft.com/azure/virtual-network/ip-services/default-outbound-access
    """
    evidence = subnet.at(Subnet.default_outbound_access)
    if not any(use.kind in {"node", "pod"} for use in subnet.uses):
        return not_applicable("The subnet holds no nodes and no pods", evidence)
    if subnet.default_outbound_access is None:
        return undecided("The body does not say whether the subnet has default outbound access", evidence)
    if subnet.default_outbound_access:
        return fails("Azure gives machines of the subnet a way out of its own", evidence)
    return passes("The subnet has no default outbound access", evidence)


RULES = (
    egress_is_forced,
    default_route_to_appliance,
    no_second_way_out,
    kubenet_routes,
    kubenet_nodes_within_limit,
    nat_gateway_for_egress,
    no_default_outbound_access,
)
