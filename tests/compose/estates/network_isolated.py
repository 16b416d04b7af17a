"""A network isolated cluster: no way out, images from a cache behind a private endpoint, no hub.

The endpoint of the registry was made anew: the record of its data still has the address from before.
"""

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import Body, Record
from compose.azure import Subscription, part, reference
from compose.clusters import cilium, overlay, private_link
from compose.landing_zone import Place, RegistryPlace, cluster_guard, hardened_cluster, pools, registry_behind_endpoint
from compose.networks import attach, deny, subnet, subnet_id, virtual_network
from compose.snapshots import recorded

APPS = Subscription("150a0000-0000-4000-8000-000000000001", "northeurope")
_GROUP = APPS.group("rg-vault")


def records() -> list[Record]:
    """The whole estate."""
    network, guard = _network()
    cluster = _cluster(network)
    place = RegistryPlace(subnet_id(network, "snet-endpoints"), "10.120.5.4", "10.120.5.5", _GROUP, (network["id"],))
    registry = registry_behind_endpoint(_GROUP, "crvault", place, [cluster[2]])
    for body in registry:
        if parse(body["id"]).name == "crvault.northeurope.data":
            body["properties"]["aRecords"] = [{"ipv4Address": "10.120.5.9"}]
    return recorded([APPS], [network, guard, *cluster, *registry])


def _network() -> list[Body]:
    guard = cluster_guard(_GROUP, "nsg-vault", "10.120.4.0/26")
    name, rule = deny("DenyInternetOutbound", 4000, "*", direction="Outbound", destinationAddressPrefix="Internet")
    guard["properties"]["securityRules"].append(part(guard["id"], "securityRules", name, rule))
    own = _GROUP.of("virtualNetworks", "vnet-vault")
    guarded = {"networkSecurityGroup": reference(guard["id"]), "defaultOutboundAccess": False}
    inside = [
        subnet(own, "snet-nodes", "10.120.0.0/22", **guarded),
        subnet(own, "snet-ingress", "10.120.4.0/26", **guarded),
        subnet(own, "snet-endpoints", "10.120.5.0/26", **guarded),
    ]
    network = virtual_network(_GROUP, "vnet-vault", "10.120.0.0/16", inside)
    attach([network], [guard])
    return [network, guard]


def _cluster(network: Body) -> list[Body]:
    place = Place(_GROUP, "aks-vault", network, "10.120.0.4", (subnet_id(network, "snet-ingress"), "10.120.4.4"))
    registry = _GROUP.of("Microsoft.ContainerRegistry/registries", "crvault")
    direct = {"loadBalancerProfile": {"backendPoolType": "nodeIPConfiguration"}}
    return hardened_cluster(
        place,
        pools(vnetSubnetID=subnet_id(network, "snet-nodes")),
        networkProfile=overlay("10.244.0.0/16", "10.96.0.0/16", outboundType="none", **cilium(), **direct),
        bootstrapProfile={"artifactSource": "Cache", "containerRegistryId": registry},
        **private_link(_GROUP, "aks-vault", disableRunCommand=True),
    )
