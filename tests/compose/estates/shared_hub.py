"""Two clusters whose egress, names and registry are in a hub of another subscription.

The orders cluster is as the platform team wants it. The billing cluster was changed in a hurry: its services have
addresses of the hub, its route table has a way past the firewall and takes what the gateway learned, and the firewall
lets it go anywhere on port 443. Both were given one application gateway to run, which neither can share. The zone of
both still has the record of a cluster that is gone.
"""

from typing import NamedTuple

from aks_audit.snapshot import Body, Record
from compose.application_gateways import application_gateway, run_by
from compose.azure import Subscription, child, reference
from compose.clusters import cilium, overlay, own_routes, private_link
from compose.landing_zone import (
    Place,
    RegistryPlace,
    cluster_guard,
    connection,
    gateway,
    give_transit,
    hardened_cluster,
    host_of,
    ip_group,
    occupy,
    pools,
    registry_behind_endpoint,
    required_egress,
)
from compose.networks import (
    attach,
    firewall,
    firewall_policy,
    network_rules,
    peer,
    private_zone,
    public_ip,
    route,
    route_table,
    subnet,
    subnet_id,
    virtual_network,
)
from compose.snapshots import recorded

HUB = Subscription("5a4e0000-0000-4000-8000-000000000001")
APPS = Subscription("5a4e0000-0000-4000-8000-000000000002")
_HUB = HUB.group("rg-connectivity")
FIREWALL = "10.80.1.4"
ZONE = _HUB.of("privateDnsZones", "privatelink.westeurope.azmk8s.io")
GONE = "aks-old-1f0e8a21"


class _Team(NamedTuple):
    name: str
    net: str
    services: str


_TEAMS = (_Team("orders", "10.81", "10.98.0.0/16"), _Team("billing", "10.82", "10.80.128.0/17"))


def records() -> list[Record]:
    """The whole estate."""
    hub, *beside = _hub()
    spokes = [_spoke(team) for team in _TEAMS]
    clusters = [_cluster(team, spoke[0]) for team, spoke in zip(_TEAMS, spokes, strict=True)]
    for made in clusters:
        run_by(made[0], beside[1])
    for network, *_ in spokes:
        peer(network, hub)
        give_transit(hub, network)
    hosts = {host_of(cluster[0]): f"{team.net}.0.4" for team, cluster in zip(_TEAMS, clusters, strict=True)}
    zone = private_zone(_HUB, "privatelink.westeurope.azmk8s.io", [hub["id"]], {**hosts, GONE: "10.83.0.4"})
    place = RegistryPlace(subnet_id(hub, "snet-endpoints"), "10.80.2.4", "10.80.2.5", _HUB, (hub["id"],))
    registry = registry_behind_endpoint(_HUB, "crcontoso", place, [cluster[2] for cluster in clusters])
    bodies = [body for made in (*spokes, *clusters) for body in made]
    return recorded([HUB, APPS], [hub, *beside, *zone, *registry, *bodies])


def _hub() -> list[Body]:
    own = _HUB.of("virtualNetworks", "vnet-hub")
    inside = [
        subnet(own, "AzureFirewallSubnet", "10.80.1.0/26"),
        subnet(own, "GatewaySubnet", "10.80.0.0/27"),
        subnet(own, "snet-endpoints", "10.80.2.0/24"),
        subnet(own, "snet-gateway", "10.80.3.0/24"),
    ]
    network = virtual_network(_HUB, "vnet-hub", "10.80.0.0/16", inside)
    address, line = gateway(_HUB, "ergw-hub", subnet_id(network, "GatewaySubnet"))
    occupy(network, "GatewaySubnet", [child(line["id"], "ipConfigurations", "default")])
    circuit = {"peer": reference(_HUB.of("expressRouteCircuits", "erc-amsterdam"))}
    link = connection(_HUB, "con-amsterdam", line["id"], "ExpressRoute", "Unknown", **circuit)
    web = application_gateway(_HUB, "agw-web", subnet_id(network, "snet-gateway"), "20.86.3.30", "Prevention")
    occupy(network, "snet-gateway", [child(web[1]["id"], "gatewayIPConfigurations", "own")])
    public = [public_ip(_HUB, f"pip-firewall-{number}", f"20.86.1.{number}") for number in (10, 11)]
    policy = _HUB.of("firewallPolicies", "fwp-hub")
    wall = firewall(
        _HUB,
        "fw-hub",
        subnet_id(network, "AzureFirewallSubnet"),
        (FIREWALL, public[0]["id"]),
        sku={"name": "AZFW_VNet", "tier": "Premium"},
        firewallPolicy=reference(policy),
    )
    occupy(network, "AzureFirewallSubnet", [wall["properties"]["ipConfigurations"][0]["id"]])
    second = {"publicIPAddress": reference(public[1]["id"])}
    wall["properties"]["ipConfigurations"].append(
        {**wall["properties"]["ipConfigurations"][0], "name": "second", "properties": second}
    )
    wall["properties"]["ipConfigurations"][1]["id"] = child(wall["id"], "azureFirewallIpConfigurations", "second")
    nodes = ip_group(_HUB, "ipg-clusters", ["10.81.0.0/22", "10.82.0.0/22"], [policy])
    required = required_egress({"sourceIpGroups": [nodes["id"]]})
    authority = {"name": "ca-hub", "keyVaultSecretId": "https://kv-hub.vault.azure.net/secrets/ca-hub"}
    rules = firewall_policy(
        _HUB,
        "fwp-hub",
        [wall["id"]],
        {"rcg-aks": {"priority": 200, "ruleCollections": required}, **_hurry()},
        intrusionDetection={"mode": "Deny"},
        insights={"isEnabled": True, "retentionDays": 30},
        transportSecurity={"certificateAuthority": authority},
    )
    return [network, *web, address, line, link, *public, wall, nodes, *rules]


def _hurry() -> dict[str, Body]:
    """What the billing team was given in a hurry."""
    anywhere = {
        "sourceAddresses": ["10.82.0.0/22"],
        "destinationAddresses": ["*"],
        "destinationPorts": ["443"],
    }
    allowed = [network_rules("temporary", 300, {"billing-https": anywhere})]
    return {"rcg-billing": {"priority": 300, "ruleCollections": allowed}}


def _spoke(team: _Team) -> list[Body]:
    group = APPS.group(f"rg-{team.name}")
    hurried = team.name == "billing"
    ways = [route("default", "0.0.0.0/0", "VirtualAppliance", FIREWALL)]
    ways += [route("to-partner", "52.232.0.0/16", "Internet")] if hurried else []
    table = route_table(group, f"rt-{team.name}", ways, disableBgpRoutePropagation=not hurried)
    guard = cluster_guard(group, f"nsg-{team.name}", f"{team.net}.4.0/26")
    own = group.of("virtualNetworks", f"vnet-{team.name}")
    guarded = {"networkSecurityGroup": reference(guard["id"]), "defaultOutboundAccess": False}
    inside = [
        subnet(own, f"snet-{team.name}", f"{team.net}.0.0/22", **guarded, routeTable=reference(table["id"])),
        subnet(own, "snet-ingress", f"{team.net}.4.0/26", **guarded),
    ]
    servers = {"dhcpOptions": {"dnsServers": [FIREWALL]}}
    network = virtual_network(group, f"vnet-{team.name}", f"{team.net}.0.0/16", inside, **servers)
    attach([network], [guard, table])
    return [network, guard, table]


def _cluster(team: _Team, network: Body) -> list[Body]:
    group = APPS.group(f"rg-{team.name}")
    name = f"aks-{team.name}"
    ingress = (subnet_id(network, "snet-ingress"), f"{team.net}.4.4")
    place = Place(group, name, network, f"{team.net}.0.4", ingress)
    return hardened_cluster(
        place,
        pools(vnetSubnetID=subnet_id(network, f"snet-{team.name}")),
        networkProfile=overlay("10.244.0.0/16", team.services, **cilium(), **own_routes()),
        **private_link(group, name, ZONE, disableRunCommand=True),
    )
