"""A cluster whose network is connected to a secured Virtual WAN hub, whose routing intent leads to the hub's firewall.

One subnet's route table says so, too; the other's leaves it to the hub.
"""

from aks_audit.snapshot import Body, Record
from compose.azure import Subscription, etag, guid, network_resource, part, reference, resource
from compose.clusters import cilium, overlay, own_routes, private_link
from compose.landing_zone import Place, cluster_guard, hardened_cluster, pools, required_egress
from compose.networks import attach, firewall_policy, route, route_table, subnet, subnet_id, virtual_network
from compose.snapshots import recorded

HUB = Subscription("3a4a0000-0000-4000-8000-000000000001")
APPS = Subscription("3a4a0000-0000-4000-8000-000000000002")
_HUB = HUB.group("rg-wan")
_GROUP = APPS.group("rg-api")
FIREWALL = "10.110.0.132"
_MICROSOFTS = Subscription("3a4affff-0000-4000-8000-00000000000f").group("RG_vhub-westeurope_5d1c")


def records() -> list[Record]:
    """The whole estate. The hub's own network is in a subscription of Microsoft's, which nobody can read."""
    network, *guards = _spoke()
    _connect(network)
    return recorded([HUB, APPS], [*_hub(network), network, *guards, *_cluster(network)])


def _connect(network: Body) -> None:
    """The spoke's side of the peering that a connection of a hub makes."""
    space = {"addressPrefixes": ["10.110.0.0/23"]}
    peering = {
        "resourceGuid": guid(network["id"], "hub"),
        "peeringState": "Connected",
        "peeringSyncLevel": "FullyInSync",
        "remoteVirtualNetwork": reference(_MICROSOFTS.of("virtualNetworks", "HV_vhub-westeurope_5d1c")),
        "allowVirtualNetworkAccess": True,
        "allowForwardedTraffic": True,
        "allowGatewayTransit": False,
        "useRemoteGateways": True,
        "doNotVerifyRemoteGateways": False,
        "peerCompleteVnets": True,
        "remoteAddressSpace": space,
        "remoteVirtualNetworkAddressSpace": space,
    }
    name = "RemoteVnetToHubPeering_5d1c"
    network["properties"]["virtualNetworkPeerings"].append(part(network["id"], "virtualNetworkPeerings", name, peering))


def _hub(network: Body) -> list[Body]:
    own = _HUB.of("virtualHubs", "vhub-westeurope")
    wan = network_resource(_HUB, _HUB.of("virtualWans", "vwan"), {"type": "Standard", "virtualHubs": [reference(own)]})
    wall = _firewall(own)
    bond = {"remoteVirtualNetwork": reference(network["id"]), "enableInternetSecurity": True}
    connection = part(own, "hubVirtualNetworkConnections", "to-api", bond)
    policies = [
        {"name": name, "destinations": [name.removesuffix("Policy")], "nextHop": wall["id"]}
        for name in ("InternetPolicy", "PrivateTrafficPolicy")
    ]
    intent = part(own, "routingIntent", "hubRoutingIntent", {"routingPolicies": policies})
    hub = network_resource(
        _HUB,
        own,
        {
            "addressPrefix": "10.110.0.0/23",
            "sku": "Standard",
            "virtualWan": reference(wan["id"]),
            "azureFirewall": reference(wall["id"]),
            "routingState": "Provisioned",
        },
    )
    allowed = required_egress({"sourceAddresses": ["10.111.0.0/22", "10.111.8.0/22"]})
    groups = {"rcg-aks": {"priority": 200, "ruleCollections": allowed}}
    policy = firewall_policy(_HUB, "fwp-wan", [wall["id"]], groups)
    return [wan, hub, connection, intent, wall, *policy]


def _firewall(hub: str) -> Body:
    own = _HUB.of("azureFirewalls", "fw-vhub")
    made = {
        "sku": {"name": "AZFW_Hub", "tier": "Premium"},
        "additionalProperties": {},
        "virtualHub": reference(hub),
        "hubIPAddresses": {
            "privateIPAddress": FIREWALL,
            "publicIPs": {"count": 2, "addresses": [{"address": "20.101.7.10"}, {"address": "20.101.7.11"}]},
        },
        "firewallPolicy": reference(_HUB.of("firewallPolicies", "fwp-wan")),
    }
    return {**resource(_HUB, own, made, zones=["1", "2", "3"]), "etag": etag(own)}


def _spoke() -> list[Body]:
    guard = cluster_guard(_GROUP, "nsg-api", "10.111.4.0/26")
    table = route_table(
        _GROUP, "rt-api", [route("default", "0.0.0.0/0", "VirtualAppliance", FIREWALL)], disableBgpRoutePropagation=True
    )
    open_table = route_table(_GROUP, "rt-batch", [], disableBgpRoutePropagation=False)
    own = _GROUP.of("virtualNetworks", "vnet-api")
    guarded = {"networkSecurityGroup": reference(guard["id"]), "defaultOutboundAccess": False}
    inside = [
        subnet(own, "snet-nodes", "10.111.0.0/22", **guarded, routeTable=reference(table["id"])),
        subnet(own, "snet-ingress", "10.111.4.0/26", **guarded),
        subnet(own, "snet-batch", "10.111.8.0/22", **guarded, routeTable=reference(open_table["id"])),
    ]
    network = virtual_network(_GROUP, "vnet-api", "10.111.0.0/16", inside)
    attach([network], [guard, table, open_table])
    return [network, guard, table, open_table]


def _cluster(network: Body) -> list[Body]:
    place = Place(_GROUP, "aks-api", network, "10.111.0.4", (subnet_id(network, "snet-ingress"), "10.111.4.4"))
    system, apps = pools(vnetSubnetID=subnet_id(network, "snet-nodes"))
    return hardened_cluster(
        place,
        [system, {**apps, "vnetSubnetID": subnet_id(network, "snet-batch")}],
        networkProfile=overlay("10.244.0.0/16", "10.96.0.0/16", **cilium(), **own_routes()),
        **private_link(_GROUP, "aks-api", disableRunCommand=True),
    )
