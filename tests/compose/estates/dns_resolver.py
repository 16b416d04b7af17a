"""A cluster that asks Azure's DNS, which forwards its private names to a DNS resolver of the hub, where the zones are.

The zones are linked to the hub alone. Names of the company go to a server on premises; the rule for all others is off.
"""

from aks_audit.snapshot import Body, Record
from compose.azure import Subscription, part, reference
from compose.clusters import cilium, own_routes, private_link, vnet_pods
from compose.landing_zone import (
    Place,
    RegistryPlace,
    cluster_guard,
    hardened_cluster,
    host_of,
    occupy,
    pools,
    registry_behind_endpoint,
    required_egress,
)
from compose.networks import (
    attach,
    firewall,
    firewall_policy,
    peer,
    private_zone,
    public_ip,
    route,
    route_table,
    subnet,
    subnet_id,
    virtual_network,
)
from compose.resolvers import dns_resolver, ruleset
from compose.snapshots import recorded

HUB = Subscription("d4600000-0000-4000-8000-000000000001", "northeurope")
APPS = Subscription("d4600000-0000-4000-8000-000000000002", "northeurope")
_HUB = HUB.group("rg-hub")
_GROUP = APPS.group("rg-orders")
FIREWALL = "10.72.1.4"
INBOUND = "10.72.2.4"
ON_PREMISES = "192.168.10.53"
ZONE = "privatelink.northeurope.azmk8s.io"


def records() -> list[Record]:
    """The whole estate."""
    hub, *beside = _hub()
    network, *guards = _spoke()
    peer(network, hub)
    cluster = _cluster(network)
    zone = private_zone(_HUB, ZONE, [hub["id"]], {host_of(cluster[0]): "10.73.0.4"})
    place = RegistryPlace(subnet_id(network, "snet-endpoints"), "10.73.5.4", "10.73.5.5", _HUB, (hub["id"],))
    registry = registry_behind_endpoint(_GROUP, "crorders", place, [cluster[2]])
    return recorded([HUB, APPS], [hub, *beside, network, *guards, *cluster, *zone, *registry])


def _hub() -> list[Body]:
    own = _HUB.of("virtualNetworks", "vnet-hub")
    resolvers = {"delegations": [part(own, "delegations", "dns", {"serviceName": "Microsoft.Network/dnsResolvers"})]}
    inside = [
        subnet(own, "AzureFirewallSubnet", "10.72.1.0/26"),
        subnet(own, "snet-inbound", "10.72.2.0/28", **resolvers),
        subnet(own, "snet-outbound", "10.72.2.16/28", **resolvers),
    ]
    network = virtual_network(_HUB, "vnet-hub", "10.72.0.0/16", inside)
    resolver = dns_resolver(_HUB, "dnspr-hub", network["id"], (subnet_id(network, "snet-inbound"), INBOUND))
    address = public_ip(_HUB, "pip-firewall", "20.67.3.20")
    policy = _HUB.of("firewallPolicies", "fwp-hub")
    wall = firewall(
        _HUB,
        "fw-hub",
        subnet_id(network, "AzureFirewallSubnet"),
        (FIREWALL, address["id"]),
        firewallPolicy=reference(policy),
    )
    occupy(network, "AzureFirewallSubnet", [wall["properties"]["ipConfigurations"][0]["id"]])
    sources = {"sourceAddresses": ["10.73.0.0/22", "10.73.16.0/20"]}
    rules = firewall_policy(
        _HUB,
        "fwp-hub",
        [wall["id"]],
        {"rcg-aks": {"priority": 200, "ruleCollections": required_egress(sources)}},
        sku={"tier": "Standard"},
        threatIntelMode="Alert",
    )
    return [network, *resolver, *_forwarding(resolver[0]["id"]), address, wall, *rules]


def _forwarding(resolver: str) -> list[Body]:
    rules = {
        "api-servers": (f"{ZONE}.", INBOUND, "Enabled"),
        "registries": ("azurecr.io.", INBOUND, "Enabled"),
        "company": ("corp.example.", ON_PREMISES, "Enabled"),
        "rest": (".", ON_PREMISES, "Disabled"),
    }
    return ruleset(_HUB, "rules-hub", resolver, [_GROUP.of("virtualNetworks", "vnet-orders")], rules)


def _spoke() -> list[Body]:
    guard = cluster_guard(_GROUP, "nsg-orders", "10.73.4.0/26")
    table = route_table(
        _GROUP,
        "rt-orders",
        [route("default", "0.0.0.0/0", "VirtualAppliance", FIREWALL)],
        disableBgpRoutePropagation=True,
    )
    own = _GROUP.of("virtualNetworks", "vnet-orders")
    guarded = {"networkSecurityGroup": reference(guard["id"]), "defaultOutboundAccess": False}
    routed = {**guarded, "routeTable": reference(table["id"])}
    inside = [
        subnet(own, "snet-nodes", "10.73.0.0/22", **routed),
        subnet(own, "snet-ingress", "10.73.4.0/26", **guarded),
        subnet(own, "snet-endpoints", "10.73.5.0/26", **guarded),
        subnet(own, "snet-pods", "10.73.16.0/20", **routed),
    ]
    network = virtual_network(_GROUP, "vnet-orders", "10.73.0.0/16", inside)
    attach([network], [guard, table])
    return [network, guard, table]


def _cluster(network: Body) -> list[Body]:
    name = "aks-orders"
    place = Place(_GROUP, name, network, "10.73.0.4", (subnet_id(network, "snet-ingress"), "10.73.4.4"))
    inside = {"vnetSubnetID": subnet_id(network, "snet-nodes"), "podSubnetID": subnet_id(network, "snet-pods")}
    return hardened_cluster(
        place,
        pools(**inside, maxPods=110),
        networkProfile=vnet_pods("10.98.0.0/16", **cilium(), **own_routes()),
        **private_link(_GROUP, name, _HUB.of("privateDnsZones", ZONE), disableRunCommand=True),
    )
