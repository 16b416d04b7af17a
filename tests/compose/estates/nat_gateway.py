"""A public cluster that leaves by a NAT gateway of the customer's, without a hub, a firewall or a route table.

Its application gateway has a web application firewall that watches, and stops nothing.
"""

from aks_audit.snapshot import Body, Record
from compose.application_gateways import application_gateway, run_by
from compose.azure import Subscription, child, reference
from compose.clusters import cilium, overlay
from compose.landing_zone import Place, cluster_guard, hardened_cluster, occupy, pools
from compose.networks import attach, nat_gateway, public_ip, subnet, subnet_id, virtual_network
from compose.snapshots import recorded

APPS = Subscription("4a700000-0000-4000-8000-000000000001", "eastus2")
_GROUP = APPS.group("rg-batch")


def records() -> list[Record]:
    """The whole estate."""
    network, *beside = _network()
    cluster = _cluster(network)
    run_by(cluster[0], beside[1])
    return recorded([APPS], [network, *beside, *cluster])


def _network() -> list[Body]:
    guard = cluster_guard(_GROUP, "nsg-batch", "10.130.4.0/26")
    addresses = [public_ip(_GROUP, f"pip-nat-{number}", f"20.44.8.{number}") for number in (20, 21)]
    gateway = nat_gateway(_GROUP, "ng-batch", [each["id"] for each in addresses], zones=["1"])
    own = _GROUP.of("virtualNetworks", "vnet-batch")
    guarded = {"networkSecurityGroup": reference(guard["id"]), "defaultOutboundAccess": False}
    storage = [
        {"service": "Microsoft.Storage", "locations": ["eastus2", "centralus"], "provisioningState": "Succeeded"}
    ]
    inside = [
        subnet(
            own,
            "snet-nodes",
            "10.130.0.0/22",
            **guarded,
            natGateway=reference(gateway["id"]),
            serviceEndpoints=storage,
        ),
        subnet(own, "snet-ingress", "10.130.4.0/26", **guarded),
        subnet(own, "snet-gateway", "10.130.5.0/24"),
    ]
    network = virtual_network(_GROUP, "vnet-batch", "10.130.0.0/16", inside)
    attach([network], [guard, gateway])
    web = application_gateway(_GROUP, "agw-batch", subnet_id(network, "snet-gateway"), "20.44.8.30", "Detection")
    occupy(network, "snet-gateway", [child(web[1]["id"], "gatewayIPConfigurations", "own")])
    return [network, *web, guard, gateway, *addresses]


def _cluster(network: Body) -> list[Body]:
    place = Place(_GROUP, "aks-batch", network, "", (subnet_id(network, "snet-ingress"), "10.130.4.4"))
    out = {
        "outboundType": "userAssignedNATGateway",
        "loadBalancerProfile": {"backendPoolType": "nodeIPConfiguration"},
        "natGatewayProfile": {"idleTimeoutInMinutes": 4},
    }
    return hardened_cluster(
        place,
        pools(vnetSubnetID=subnet_id(network, "snet-nodes")),
        networkProfile=overlay("10.244.0.0/16", "10.96.0.0/16", **cilium(), **out),
        publicNetworkAccess="Enabled",
        apiServerAccessProfile={"authorizedIPRanges": ["198.51.100.0/24", "20.44.8.20/32", "20.44.8.21/32"],
                                "disableRunCommand": True},
    )  # fmt: skip
