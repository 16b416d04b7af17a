"""A dual-stack cluster behind a firewall that speaks IPv4 alone: the route for IPv6 was forgotten."""

from aks_audit.snapshot import Body, Record
from compose.azure import Subscription, reference
from compose.clusters import cilium, overlay, own_routes, private_link
from compose.landing_zone import Place, cluster_guard, hardened_cluster, occupy, pools, required_egress
from compose.networks import (
    attach,
    firewall,
    firewall_policy,
    peer,
    public_ip,
    route,
    route_table,
    subnet,
    subnet_id,
    virtual_network,
)
from compose.snapshots import recorded

HUB = Subscription("d0a10000-0000-4000-8000-000000000001", "swedencentral")
APPS = Subscription("d0a10000-0000-4000-8000-000000000002", "swedencentral")
_HUB = HUB.group("rg-hub")
_GROUP = APPS.group("rg-media")
FIREWALL = "10.100.1.4"


def records() -> list[Record]:
    """The whole estate."""
    hub, *beside = _hub()
    network, *guards = _spoke()
    peer(network, hub)
    return recorded([HUB, APPS], [hub, *beside, network, *guards, *_cluster(network)])


def _hub() -> list[Body]:
    own = _HUB.of("virtualNetworks", "vnet-hub")
    network = virtual_network(_HUB, "vnet-hub", "10.100.0.0/16", [subnet(own, "AzureFirewallSubnet", "10.100.1.0/26")])
    address = public_ip(_HUB, "pip-firewall", "20.240.5.10")
    policy = _HUB.of("firewallPolicies", "fwp-hub")
    wall = firewall(
        _HUB,
        "fw-hub",
        subnet_id(network, "AzureFirewallSubnet"),
        (FIREWALL, address["id"]),
        firewallPolicy=reference(policy),
    )
    occupy(network, "AzureFirewallSubnet", [wall["properties"]["ipConfigurations"][0]["id"]])
    allowed = required_egress({"sourceAddresses": ["10.101.0.0/22"]})
    groups = {"rcg-aks": {"priority": 200, "ruleCollections": allowed}}
    return [network, address, wall, *firewall_policy(_HUB, "fwp-hub", [wall["id"]], groups, sku={"tier": "Standard"})]


def _spoke() -> list[Body]:
    guard = cluster_guard(_GROUP, "nsg-media", "10.101.4.0/26")
    table = route_table(
        _GROUP,
        "rt-media",
        [route("default", "0.0.0.0/0", "VirtualAppliance", FIREWALL)],
        disableBgpRoutePropagation=True,
    )
    own = _GROUP.of("virtualNetworks", "vnet-media")
    guarded = {"networkSecurityGroup": reference(guard["id"]), "defaultOutboundAccess": False}
    nodes = subnet(own, "snet-nodes", "10.101.0.0/22", **guarded, routeTable=reference(table["id"]))
    del nodes["properties"]["addressPrefix"]
    nodes["properties"]["addressPrefixes"] = ["10.101.0.0/22", "fd00:101::/64"]
    inside = [nodes, subnet(own, "snet-ingress", "10.101.4.0/26", **guarded)]
    network = virtual_network(_GROUP, "vnet-media", "10.101.0.0/16", inside)
    network["properties"]["addressSpace"]["addressPrefixes"].append("fd00:101::/48")
    attach([network], [guard, table])
    return [network, guard, table]


def _cluster(network: Body) -> list[Body]:
    place = Place(_GROUP, "aks-media", network, "10.101.0.4", (subnet_id(network, "snet-ingress"), "10.101.4.4"))
    both = {
        "podCidrs": ["10.244.0.0/16", "fd12:3456:789a::/64"],
        "serviceCidrs": ["10.96.0.0/16", "fd12:3456:789a:1::/108"],
        "ipFamilies": ["IPv4", "IPv6"],
    }
    return hardened_cluster(
        place,
        pools(vnetSubnetID=subnet_id(network, "snet-nodes")),
        networkProfile=overlay("10.244.0.0/16", "10.96.0.0/16", **cilium(), **own_routes(), **both),
        **private_link(_GROUP, "aks-media", disableRunCommand=True),
    )
