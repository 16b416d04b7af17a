"""A cluster that asks two DNS servers of its hub, which forward to Azure's DNS; the zones are linked to the hub alone.

What the servers forward is in settings of their own, so that a name's way ends there for whoever sees Azure alone.
"""

from aks_audit.snapshot import Body, Record
from compose.azure import Subscription, reference
from compose.clusters import cilium, own_routes, private_link, vnet_pods
from compose.landing_zone import (
    Place,
    RegistryPlace,
    cluster_guard,
    dns_server,
    hardened_cluster,
    host_of,
    occupy,
    pools,
    registry_behind_endpoint,
    required_egress,
)
from compose.networks import (
    allow,
    attach,
    firewall,
    firewall_policy,
    peer,
    private_zone,
    public_ip,
    route,
    route_table,
    security_group,
    subnet,
    subnet_id,
    virtual_network,
)
from compose.snapshots import recorded

HUB = Subscription("d4500000-0000-4000-8000-000000000001", "northeurope")
APPS = Subscription("d4500000-0000-4000-8000-000000000002", "northeurope")
_HUB = HUB.group("rg-hub")
_GROUP = APPS.group("rg-shop")
FIREWALL = "10.70.1.4"
SERVERS = ["10.70.2.4", "10.70.2.5"]
ZONE = "privatelink.northeurope.azmk8s.io"


def records() -> list[Record]:
    """The whole estate."""
    hub, *beside = _hub()
    network, *guards = _spoke()
    peer(network, hub)
    cluster = _cluster(network)
    zone = private_zone(_HUB, ZONE, [hub["id"]], {host_of(cluster[0]): "10.71.0.4"})
    place = RegistryPlace(subnet_id(network, "snet-endpoints"), "10.71.5.4", "10.71.5.5", _HUB, (hub["id"],))
    registry = registry_behind_endpoint(_GROUP, "crshop", place, [cluster[2]])
    return recorded([HUB, APPS], [hub, *beside, network, *guards, *cluster, *zone, *registry])


def _hub() -> list[Body]:
    own = _HUB.of("virtualNetworks", "vnet-hub")
    guard = security_group(
        _HUB,
        "nsg-dns",
        [allow("AllowDns", 100, "VirtualNetwork", "53", protocol="*", destinationAddressPrefix="10.70.2.0/27")],
    )
    inside = [
        subnet(own, "AzureFirewallSubnet", "10.70.1.0/26"),
        subnet(own, "snet-dns", "10.70.2.0/27", networkSecurityGroup=reference(guard["id"])),
    ]
    network = virtual_network(_HUB, "vnet-hub", "10.70.0.0/16", inside)
    attach([network], [guard])
    machines = [
        dns_server(_HUB, f"vm-dns-{number}", subnet_id(network, "snet-dns"), address)
        for number, address in enumerate(SERVERS)
    ]
    address = public_ip(_HUB, "pip-firewall", "20.67.3.10")
    policy = _HUB.of("firewallPolicies", "fwp-hub")
    wall = firewall(
        _HUB,
        "fw-hub",
        subnet_id(network, "AzureFirewallSubnet"),
        (FIREWALL, address["id"]),
        firewallPolicy=reference(policy),
    )
    occupy(network, "AzureFirewallSubnet", [wall["properties"]["ipConfigurations"][0]["id"]])
    sources = {"sourceAddresses": ["10.71.0.0/22", "10.71.16.0/20"]}
    rules = firewall_policy(
        _HUB,
        "fwp-hub",
        [wall["id"]],
        {"rcg-aks": {"priority": 200, "ruleCollections": required_egress(sources)}},
        sku={"tier": "Standard"},
        threatIntelMode="Alert",
        dnsSettings={"servers": SERVERS, "enableProxy": True},
    )
    return [network, guard, *machines, address, wall, *rules]


def _spoke() -> list[Body]:
    guard = cluster_guard(_GROUP, "nsg-shop", "10.71.4.0/26")
    table = route_table(
        _GROUP,
        "rt-shop",
        [route("default", "0.0.0.0/0", "VirtualAppliance", FIREWALL)],
        disableBgpRoutePropagation=True,
    )
    own = _GROUP.of("virtualNetworks", "vnet-shop")
    guarded = {"networkSecurityGroup": reference(guard["id"]), "defaultOutboundAccess": False}
    routed = {**guarded, "routeTable": reference(table["id"])}
    inside = [
        subnet(own, "snet-nodes", "10.71.0.0/22", **routed),
        subnet(own, "snet-ingress", "10.71.4.0/26", **guarded),
        subnet(own, "snet-endpoints", "10.71.5.0/26", **guarded),
        subnet(own, "snet-pods", "10.71.16.0/20", **routed),
    ]
    network = virtual_network(_GROUP, "vnet-shop", "10.71.0.0/16", inside, dhcpOptions={"dnsServers": SERVERS})
    attach([network], [guard, table])
    return [network, guard, table]


def _cluster(network: Body) -> list[Body]:
    name = "aks-shop"
    place = Place(_GROUP, name, network, "10.71.0.4", (subnet_id(network, "snet-ingress"), "10.71.4.4"))
    inside = {"vnetSubnetID": subnet_id(network, "snet-nodes"), "podSubnetID": subnet_id(network, "snet-pods")}
    return hardened_cluster(
        place,
        pools(**inside, maxPods=110),
        networkProfile=vnet_pods("10.97.0.0/16", **cilium(), **own_routes()),
        **private_link(_GROUP, name, _HUB.of("privateDnsZones", ZONE), disableRunCommand=True),
    )
