"""The walk against a second one that is slow and obvious, over generated networks."""

from ipaddress import ip_address
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.facts import Estate, ManagedCluster
from aks_audit.facts.resource_id import parse
from aks_audit.network.flows import Destination, FlowProtocol
from aks_audit.network.origins import first_pool, of_pool
from aks_audit.network.walk import walk
from slow_walk import SlowWalk, To, end_of, name

Json = dict[str, Any]
HOME = "/subscriptions/s/resourceGroups/rg/providers"
NET = f"{HOME}/Microsoft.Network"
NODE_GROUP = "/subscriptions/s/resourceGroups/mc/providers"
CLUSTER = f"{HOME}/Microsoft.ContainerService/managedClusters/aks"
SCALE_SET = f"{NODE_GROUP}/Microsoft.Compute/virtualMachineScaleSets/aks-pool-1-vmss"
BALANCER = f"{NODE_GROUP}/Microsoft.Network/loadBalancers/kubernetes"
VNET, HUB = f"{NET}/virtualNetworks/vnet", f"{NET}/virtualNetworks/hub"
FIREWALL, POLICY = f"{NET}/azureFirewalls/fw", f"{NET}/firewallPolicies/fwp"
RULES = f"{POLICY}/ruleCollectionGroups/rcg"
GROUPS = {one: f"{NET}/networkSecurityGroups/nsg-{one}" for one in ("interfaces", "nodes", "other")}
TABLE, GATEWAY = f"{NET}/routeTables/rt", f"{NET}/natGateways/ng"
APPLIANCE, ENDPOINT = f"{NET}/networkInterfaces/nva", f"{NET}/privateEndpoints/pe"
ENDPOINTS_INTERFACE = f"{NET}/networkInterfaces/pe-nic"
PUBLIC_ADDRESS = f"{NET}/publicIPAddresses/pip"
LISTED = (
    "Microsoft.Compute/virtualMachineScaleSets", "Microsoft.Network/azureFirewalls", "Microsoft.Network/dnsResolvers",
    "Microsoft.Network/dnsForwardingRulesets", "Microsoft.Network/loadBalancers", "Microsoft.Network/networkInterfaces",
    "Microsoft.Network/privateDnsZones", "Microsoft.Network/privateEndpoints", "Microsoft.Network/virtualNetworks",
)  # fmt: skip

SIDES = ["*", "VirtualNetwork", "Internet", "Storage", "AzureLoadBalancer", "10.1.0.0/28", "10.1.0.0/29",
         "10.1.0.32/28", "10.2.0.0/24", "8.8.8.8/32", "fd00:1::/124"]  # fmt: skip
SECURITY_RULES = st.lists(
    st.fixed_dictionaries(
        {
            "direction": st.sampled_from(["Inbound", "Outbound"]),
            "access": st.sampled_from(["Allow", "Deny"]),
            "protocol": st.sampled_from(["*", "Tcp", "Udp", "Icmp"]),
            "sourcePortRange": st.just("*"),
            "sourceAddressPrefix": st.sampled_from(SIDES),
            "destinationAddressPrefix": st.sampled_from(SIDES),
            "destinationPortRange": st.sampled_from(["*", "443", "400-500", "80"]),
        }
    ),
    max_size=4,
)
SOURCES = st.lists(st.sampled_from(["*", "10.1.0.0/28", "10.1.0.0/29", "10.9.0.0/16"]), min_size=1, max_size=2)
NETWORK_RULE = st.fixed_dictionaries(
    {
        "ruleType": st.just("NetworkRule"),
        "sourceAddresses": SOURCES,
        "destinationAddresses": st.lists(
            st.sampled_from(["*", "8.8.8.0/24", "10.1.0.0/24", "10.2.0.0/24", "10.2.0.69"]), min_size=1, max_size=2
        ),
        "destinationPorts": st.sampled_from([["*"], ["443"], ["80", "443"]]),
        "ipProtocols": st.sampled_from([["TCP"], ["UDP"], ["ICMP"], ["Any"]]),
    }
)
APPLICATION_RULE = st.fixed_dictionaries(
    {
        "ruleType": st.just("ApplicationRule"),
        "sourceAddresses": SOURCES,
        "targetFqdns": st.lists(
            st.sampled_from(["*", "example.com", "*.com", "other.net"]), min_size=1, max_size=2, unique=True
        ),
        "protocols": st.sampled_from(
            [[{"protocolType": "Https", "port": 443}], [{"protocolType": "Http", "port": 80}]]
        ),
    }
)
COLLECTIONS = st.lists(
    st.tuples(
        st.sampled_from(["Allow", "Deny"]),
        st.one_of(st.lists(NETWORK_RULE, min_size=1, max_size=2), st.lists(APPLICATION_RULE, min_size=1, max_size=2)),
    ),
    max_size=3,
)
PREFIXES = ["0.0.0.0/0", "8.0.0.0/8", "8.8.8.8/32", "10.0.0.0/8", "10.1.0.0/24", "10.1.0.32/28", "10.2.0.0/24",
            "10.1.0.37/32", "::/0", "20.0.0.0/8", "Storage"]  # fmt: skip
HOPS = ["Internet", "None", "VnetLocal", "VirtualNetworkGateway", "10.2.0.4", "10.1.0.68", "10.1.0.70", "10.2.0.70"]
POLICIES = st.sampled_from(["Disabled", "Enabled", "RouteTableEnabled", "NetworkSecurityGroupEnabled"])
PLANS = st.fixed_dictionaries(
    {
        "dual": st.booleans(),
        "groups": st.dictionaries(st.sampled_from(sorted(GROUPS)), SECURITY_RULES),
        "routes": st.none()
        | st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(HOPS), max_size=4)
        | st.just({"0.0.0.0/0": "10.2.0.4"})
        | st.just({"0.0.0.0/0": "10.2.0.4", "10.1.0.32/28": "10.2.0.4", "10.2.0.0/24": "10.2.0.4"}),
        "service endpoints": st.booleans(),
        "default outbound": st.sampled_from([True, False, None]),
        "gateways": st.sets(st.sampled_from(["nodes", "firewall"])),
        "node addresses": st.booleans(),
        "outbound rules": st.booleans(),
        "peering": st.sampled_from([("Connected", True)] * 3 + [("Disconnected", True), ("Connected", False)]),
        "back": st.sampled_from([("Connected", True)] * 3 + [("Disconnected", True)]),
        "firewall": st.sampled_from([True, True, True, False]),
        "collections": COLLECTIONS,
        "public address": st.booleans(),
        "forwards": st.booleans(),
        "endpoint": st.sampled_from([None, ("other", "10.1.0.37"), ("svc", "10.2.0.69")]),
        "policies": POLICIES,
        "lost": st.sampled_from(
            [""] * 6 + [TABLE, HUB, POLICY, ENDPOINTS_INTERFACE, GATEWAY, *sorted(GROUPS.values())]
        ),
    }
)
ADDRESSES = ["10.1.0.5", "10.1.0.37", "10.1.0.40", "10.1.0.200", "10.2.0.69", "10.2.0.70", "10.9.9.9", "8.8.8.8",
             "20.1.1.1", "fd00:1::9", "2600::9"]  # fmt: skip
NAMES = st.sampled_from([None, "example.com", "www.other.net"])
PROTOCOLS, PORTS = st.sampled_from(["tcp", "tcp", "udp", "icmp"]), st.sampled_from([443, 80, 53])
TO = st.builds(To, st.none(), NAMES, PROTOCOLS, PORTS) | st.builds(
    To, st.sampled_from(ADDRESSES), st.none(), PROTOCOLS, PORTS
)


def bodies_of(plan: Json) -> dict[str, Json]:
    """The resources of a plan, by id."""
    found: dict[str, Json] = {CLUSTER: _cluster(plan), SCALE_SET: _scale_set(plan), **_networks(plan)}
    for one, rules in plan["groups"].items():
        found[GROUPS[one]] = {"securityRules": [_named(rule, number) for number, rule in enumerate(rules)]}
    if plan["routes"] is not None:
        routes = [_route(prefix, hop) for prefix, hop in plan["routes"].items()]
        found[TABLE] = {"routes": routes, "disableBgpRoutePropagation": True}
    if plan["gateways"]:
        found[GATEWAY] = {"publicIpAddresses": []}
    found |= _firewall(plan) if plan["firewall"] else {}
    found[APPLIANCE] = _interface("nva", {"10.1.0.68": f"{VNET}/subnets/nva"}, forwards=plan["forwards"])
    if plan["endpoint"]:
        subnet, address = plan["endpoint"]
        home = f"{VNET if subnet == 'other' else HUB}/subnets/{subnet}"
        found[ENDPOINT] = {"subnet": {"id": home}, "networkInterfaces": [{"id": ENDPOINTS_INTERFACE}]}
        found[ENDPOINTS_INTERFACE] = _interface("pe-nic", {address: home}, forwards=False)
    outbound = [
        {"name": "out", "properties": {"frontendIPConfigurations": [{"id": f"{BALANCER}/frontendIPConfigurations/f"}]}}
    ]
    front = {"publicIPAddress": {"id": PUBLIC_ADDRESS}}
    found[BALANCER] = {
        "outboundRules": outbound if plan["outbound rules"] else [],
        "frontendIPConfigurations": [
            {"id": f"{BALANCER}/frontendIPConfigurations/f", "name": "f", "properties": front}
        ],
        "loadBalancingRules": [],
        "backendAddressPools": [],
    }
    tags = {"aks-managed-poolName": "pool"}
    return {one: {"name": name(one), "tags": tags, "properties": properties} for one, properties in found.items()}


def _cluster(plan: Json) -> Json:
    pool = {
        "name": "pool",
        "mode": "System",
        "vnetSubnetID": f"{VNET}/subnets/nodes",
        "enableNodePublicIP": plan["node addresses"],
    }
    families = ["IPv4", "IPv6"] if plan["dual"] else ["IPv4"]
    network = {"networkPlugin": "azure", "networkPluginMode": "overlay", "ipFamilies": families}
    profile = {**network, "podCidr": "10.244.0.0/16", "serviceCidr": "10.96.0.0/16"}
    return {"agentPoolProfiles": [pool], "networkProfile": profile, "nodeResourceGroup": "mc"}


def _scale_set(plan: Json) -> Json:
    own = [{"name": "c", "properties": {"subnet": {"id": f"{VNET}/subnets/nodes"}}}]
    properties: Json = {"ipConfigurations": own}
    if "interfaces" in plan["groups"]:
        properties["networkSecurityGroup"] = {"id": GROUPS["interfaces"]}
    profile = {"networkInterfaceConfigurations": [{"name": "n", "properties": properties}]}
    return {"virtualMachineProfile": {"networkProfile": profile}}


def _networks(plan: Json) -> dict[str, Json]:
    wide = ["fd00:1::/48"] if plan["dual"] else []
    nodes: Json = {
        "addressPrefixes": ["10.1.0.0/28", *(["fd00:1::/124"] if plan["dual"] else [])],
        "defaultOutboundAccess": plan["default outbound"],
        "serviceEndpoints": [{"service": "Microsoft.Storage"}] if plan["service endpoints"] else [],
    }
    if plan["routes"] is not None:
        nodes["routeTable"] = {"id": TABLE}
    of_firewall: Json = {"addressPrefixes": ["10.2.0.0/28"]}
    for subnet, key in ((nodes, "nodes"), (of_firewall, "firewall")):
        if key in plan["gateways"]:
            subnet["natGateway"] = {"id": GATEWAY}
    own = [
        _subnet(VNET, "nodes", nodes, plan),
        _subnet(VNET, "other", {"addressPrefixes": ["10.1.0.32/28"]}, plan),
        _subnet(VNET, "nva", {"addressPrefixes": ["10.1.0.64/28"]}, plan),
    ]
    far = [
        _subnet(HUB, "AzureFirewallSubnet", of_firewall, plan),
        _subnet(HUB, "svc", {"addressPrefixes": ["10.2.0.64/28"]}, plan),
    ]
    return {
        VNET: _network(["10.1.0.0/24", *wide], own, HUB, ["10.2.0.0/24"], plan["peering"]),
        HUB: _network(["10.2.0.0/24"], far, VNET, ["10.1.0.0/24", *wide], plan["back"]),
    }


def _subnet(network: str, subnet: str, properties: Json, plan: Json) -> Json:
    group = {"nodes": "nodes", "other": "other", "svc": "other"}.get(subnet, "")
    if group in plan["groups"]:
        properties["networkSecurityGroup"] = {"id": GROUPS[group]}
    properties["privateEndpointNetworkPolicies"] = plan["policies"]
    return {"id": f"{network}/subnets/{subnet}", "name": subnet, "properties": properties}


def _network(space: list[str], subnets: list[Json], remote: str, far: list[str], peering: tuple[str, bool]) -> Json:
    state, access = peering
    own = {
        "remoteVirtualNetwork": {"id": remote},
        "remoteAddressSpace": {"addressPrefixes": far},
        "peeringState": state,
        "allowVirtualNetworkAccess": access,
        "useRemoteGateways": False,
    }
    peerings = [{"name": f"to-{name(remote)}", "properties": own}]
    return {"addressSpace": {"addressPrefixes": space}, "subnets": subnets, "virtualNetworkPeerings": peerings}


def _named(rule: Json, number: int) -> Json:
    return {"name": f"r{number}", "properties": {**rule, "priority": 100 + number}}


def _route(prefix: str, hop: str) -> Json:
    properties = {"addressPrefix": prefix, "nextHopType": hop}
    if hop[0].isdecimal():
        properties = {"addressPrefix": prefix, "nextHopType": "VirtualAppliance", "nextHopIpAddress": hop}
    return {"name": prefix, "properties": properties}


def _firewall(plan: Json) -> dict[str, Json]:
    own: Json = {"privateIPAddress": "10.2.0.4", "subnet": {"id": f"{HUB}/subnets/AzureFirewallSubnet"}}
    if plan["public address"]:
        own["publicIPAddress"] = {"id": PUBLIC_ADDRESS}
    collections = [
        {
            "name": f"c{number}",
            "priority": 100 + number,
            "ruleCollectionType": "FirewallPolicyFilterRuleCollection",
            "action": {"type": action},
            "rules": [{"name": f"r{place}", **rule} for place, rule in enumerate(rules)],
        }
        for number, (action, rules) in enumerate(plan["collections"])
    ]
    return {
        FIREWALL: {"ipConfigurations": [{"name": "c", "properties": own}], "firewallPolicy": {"id": POLICY}},
        POLICY: {"dnsSettings": {"enableProxy": True}, "threatIntelMode": "Deny"},
        RULES: {"priority": 100, "ruleCollections": collections},
    }


def _interface(of: str, addresses: dict[str, str], *, forwards: bool) -> Json:
    own = [
        {"name": f"{of}-{number}", "properties": {"privateIPAddress": address, "subnet": {"id": subnet}}}
        for number, (address, subnet) in enumerate(addresses.items())
    ]
    return {"ipConfigurations": own, "enableIPForwarding": forwards}


def estate_of(bodies: dict[str, Json], lost: str) -> Estate:
    """The estate of some bodies, one of which was refused."""
    records: list[snapshot.Record] = [snapshot.Listing(type=kind, scope="/subscriptions/s") for kind in LISTED]
    records.append(snapshot.Listing(type="Microsoft.Network/firewallPolicies/ruleCollectionGroups", scope=POLICY))
    for one, body in bodies.items():
        kind = parse(one).type
        if one == lost:
            records.append(snapshot.Gap(id=one, type=kind, reason="refused", cause="refused"))
        else:
            records.append(snapshot.Resource(id=one, type=kind, body=body))
    return Estate(snapshot.of(records))


def fast(estate: Estate, to: To) -> tuple[str, str, str]:
    """How the walk ends, and the kind and place of the hop that decides."""
    cluster = estate.resource(ManagedCluster, CLUSTER)
    protocols: dict[str, FlowProtocol] = {"tcp": "tcp", "udp": "udp", "icmp": "icmp"}
    port = None if to.protocol == "icmp" else to.port
    address = ip_address(to.address) if to.address else None
    wanted = Destination(address, to.name, protocols[to.protocol], port)
    found = walk(of_pool(first_pool(cluster), cluster), wanted)
    return str(found.end), str(found.decided_by.kind), name(found.decided_by.where)


@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PLANS, TO)
def test_the_walk_is_the_slow_and_obvious_one(plan: Json, to: To) -> None:
    bodies = bodies_of(plan)
    decides = end_of(SlowWalk(bodies, plan["lost"], CLUSTER).said(to))
    assert fast(estate_of(bodies, plan["lost"]), to) == (decides.verdict, decides.kind, decides.where)
