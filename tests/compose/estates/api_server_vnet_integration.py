"""A cluster with a public API server that nodes reach inside the network, by API Server VNET Integration.

Somebody removed the hub's side of the peering, so that the firewall which the routes lead to cannot be reached.
"""

from aks_audit.snapshot import Body, Record
from compose.azure import Subscription, part, reference
from compose.clusters import cilium, overlay, own_routes
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

HUB = Subscription("a9150000-0000-4000-8000-000000000001", "eastus2")
APPS = Subscription("a9150000-0000-4000-8000-000000000002", "eastus2")
_HUB = HUB.group("rg-hub")
_GROUP = APPS.group("rg-web")
FIREWALL = "10.90.1.4"


def records() -> list[Record]:
    """The whole estate."""
    hub, *beside = _hub()
    network, *guards = _spoke()
    peer(network, hub)
    network["properties"]["virtualNetworkPeerings"][0]["properties"]["peeringState"] = "Disconnected"
    hub["properties"]["virtualNetworkPeerings"].clear()
    return recorded([HUB, APPS], [hub, *beside, network, *guards, *_cluster(network)])


def _hub() -> list[Body]:
    own = _HUB.of("virtualNetworks", "vnet-hub")
    network = virtual_network(_HUB, "vnet-hub", "10.90.0.0/16", [subnet(own, "AzureFirewallSubnet", "10.90.1.0/26")])
    address = public_ip(_HUB, "pip-firewall", "20.44.5.10")
    policy = _HUB.of("firewallPolicies", "fwp-hub")
    wall = firewall(
        _HUB,
        "fw-hub",
        subnet_id(network, "AzureFirewallSubnet"),
        (FIREWALL, address["id"]),
        firewallPolicy=reference(policy),
    )
    occupy(network, "AzureFirewallSubnet", [wall["properties"]["ipConfigurations"][0]["id"]])
    allowed = required_egress({"sourceAddresses": ["10.91.0.0/22"]})
    groups = {"rcg-aks": {"priority": 200, "ruleCollections": allowed}}
    return [network, address, wall, *firewall_policy(_HUB, "fwp-hub", [wall["id"]], groups, sku={"tier": "Standard"})]


def _spoke() -> list[Body]:
    guard = cluster_guard(_GROUP, "nsg-web", "10.91.4.0/26")
    table = route_table(
        _GROUP, "rt-web", [route("default", "0.0.0.0/0", "VirtualAppliance", FIREWALL)], disableBgpRoutePropagation=True
    )
    own = _GROUP.of("virtualNetworks", "vnet-web")
    guarded = {"networkSecurityGroup": reference(guard["id"]), "defaultOutboundAccess": False}
    api = part(own, "delegations", "aks", {"serviceName": "Microsoft.ContainerService/managedClusters"})
    inside = [
        subnet(own, "snet-nodes", "10.91.0.0/22", **guarded, routeTable=reference(table["id"])),
        subnet(own, "snet-ingress", "10.91.4.0/26", **guarded),
        subnet(own, "snet-api", "10.91.5.0/28", **guarded, delegations=[api]),
    ]
    network = virtual_network(_GROUP, "vnet-web", "10.91.0.0/16", inside)
    attach([network], [guard, table])
    return [network, guard, table]


def _cluster(network: Body) -> list[Body]:
    place = Place(_GROUP, "aks-web", network, "10.91.5.4", (subnet_id(network, "snet-ingress"), "10.91.4.4"))
    return hardened_cluster(
        place,
        pools(vnetSubnetID=subnet_id(network, "snet-nodes")),
        networkProfile=overlay("10.244.0.0/16", "10.96.0.0/16", **cilium(), **own_routes()),
        publicNetworkAccess="Enabled",
        apiServerAccessProfile={
            "authorizedIPRanges": ["198.51.100.0/24"],
            "enablePrivateCluster": False,
            "enableVnetIntegration": True,
            "subnetId": subnet_id(network, "snet-api"),
            "disableRunCommand": True,
        },
    )
