"""Fleets of any size for benchmarks: clusters that differ as real ones do, each with its network and node group."""

from typing import NamedTuple

from aks_audit.snapshot import Body, Record
from aks_audit.sources.azure.collect import not_asked
from aks_audit.sources.azure.plan import OPTIONAL
from compose.azure import Group, Subscription, guid, reference
from compose.clusters import (
    agent_pool,
    cilium,
    entra,
    hardened_pool,
    load_balancer_outbound,
    managed_cluster,
    overlay,
    own_routes,
    private_link,
    user_assigned,
    user_pool,
    vnet_pods,
)
from compose.monitoring import asked_for
from compose.networks import (
    allow,
    attach,
    deny,
    route,
    route_table,
    security_group,
    subnet,
    subnet_id,
    virtual_network,
)
from compose.nodes import NodeGroup, Service
from compose.services import deployment_safeguards, user_assigned_identity
from compose.snapshots import recorded

_CLUSTERS_IN_A_SUBSCRIPTION = 50
_NOT_ASKED = frozenset(OPTIONAL) - {
    "alerts",
    "backups",
    "defender-plans",
    "deployment-safeguards",
    "diagnostic-settings",
    "federated-credentials",
    "flow-logs",
}
_REGIONS = ("westeurope", "northeurope", "eastus2", "swedencentral")


class _Place(NamedTuple):
    """A cluster's number in the fleet, its group and its name."""

    number: int
    group: Group
    name: str

    @property
    def net(self) -> str:
        """The first two numbers of its network's addresses."""
        return f"10.{self.number % 200 + 20}"


def fleet(n: int) -> list[Record]:
    """The records of n clusters, fifty to a subscription, the same each time; every third is hardened."""
    subscriptions = [
        Subscription(guid("fleet", str(number)), _REGIONS[number % len(_REGIONS)])
        for number in range((n + _CLUSTERS_IN_A_SUBSCRIPTION - 1) // _CLUSTERS_IN_A_SUBSCRIPTION)
    ]
    bodies: list[Body] = []
    for number in range(n):
        group = subscriptions[number // _CLUSTERS_IN_A_SUBSCRIPTION].group(f"rg-fleet-{number:04}")
        place = _Place(number, group, f"aks-{number:04}")
        bodies += (_hardened, _routed, _plain)[number % 3](place)
    return [*recorded(subscriptions, bodies), *asked_for(subscriptions, bodies), *not_asked(sorted(_NOT_ASKED))]


def _network(place: _Place) -> tuple[Body, list[Body]]:
    group = place.group
    opened = [allow("AllowSsh", 200, "*", "22")] if place.number % 5 == 1 else []
    guard = security_group(group, "nsg-aks", [*opened, deny("DenyInternet", 4000, "Internet")])
    routes = route_table(group, "rt-aks", [route("default", "0.0.0.0/0", "VirtualAppliance", "10.10.0.4")])
    own = group.of("virtualNetworks", "vnet-aks")
    use = {"networkSecurityGroup": reference(guard["id"]), "routeTable": reference(routes["id"])}
    network = virtual_network(
        group,
        "vnet-aks",
        f"{place.net}.0.0/16",
        [
            subnet(own, "snet-nodes", f"{place.net}.0.0/22", defaultOutboundAccess=False, **use),
            subnet(own, "snet-pods", f"{place.net}.16.0/20", defaultOutboundAccess=False, **use),
        ],
    )
    attach([network], [guard, routes])
    return network, [network, guard, routes]


def _hardened(place: _Place) -> list[Body]:
    network, beside = _network(place)
    identity = user_assigned_identity(place.group, f"id-{place.name}")
    nodes = {"vnetSubnetID": subnet_id(network, "snet-nodes")}
    tainted = {"nodeTaints": ["CriticalAddonsOnly=true:NoSchedule"]}
    cluster = managed_cluster(
        place.group,
        place.name,
        [
            hardened_pool("system", 3, **nodes, **tainted),
            hardened_pool("apps", 6 + place.number % 20, mode="User", **nodes),
        ],
        networkProfile=overlay(**cilium(), **own_routes()),
        identity=user_assigned([identity]),
        aadProfile=entra(),
        disableLocalAccounts=True,
        sku={"name": "Base", "tier": "Standard"},
        **private_link(place.group, place.name),
    )
    service = Service("ingress/nginx", f"{place.net}.3.250", subnet=nodes["vnetSubnetID"])
    made = NodeGroup(cluster, api=f"{place.net}.0.4").bodies([service])
    return [cluster, identity, deployment_safeguards(cluster["id"]), *beside, *made]


def _routed(place: _Place) -> list[Body]:
    network, beside = _network(place)
    nodes = {
        "vnetSubnetID": subnet_id(network, "snet-nodes"),
        "podSubnetID": subnet_id(network, "snet-pods"),
        "maxPods": 60,
    }
    pools = [agent_pool("nodepool1", 3, **nodes)]
    pools += [user_pool(f"apps{extra}", 4, **nodes, enableNodePublicIP=extra == 3) for extra in range(place.number % 4)]
    cluster = managed_cluster(
        place.group,
        place.name,
        pools,
        networkProfile=vnet_pods("10.0.0.0/16", networkPolicy="calico", **own_routes()),
        apiServerAccessProfile={"authorizedIPRanges": ["0.0.0.0/0" if place.number % 2 else "198.51.100.0/24"]},
        aadProfile=entra(["f1ee7aaa-0000-4000-8000-00000000000a"], azure_rbac=False),
    )
    return [cluster, *beside, *NodeGroup(cluster).bodies()]


def _plain(place: _Place) -> list[Body]:
    node_group = f"MC_{place.group.name}_{place.name}_{place.group.location}"
    outbound = load_balancer_outbound(place.group, place.name, node_group)
    pools = [agent_pool("nodepool1", 1 + place.number % 5)]
    cluster = managed_cluster(place.group, place.name, pools, networkProfile=overlay(**outbound))
    address = f"20.{place.number // 250}.{place.number % 250}"
    made = NodeGroup(cluster, outbound=f"{address}.10").bodies([Service("default/web", f"{address}.11")])
    return [cluster, *made]
