"""Two private kubenet clusters behind Aviatrix gateways, after "Securing AKS (Kubenet) Egress with Aviatrix Firenet".

The first is attached with egress: the controller has turned the default route towards the spoke gateway. The second has
the null default route that tells the controller that the subnet is private, and waits for egress.
"""

from collections.abc import Sequence
from typing import NamedTuple

from aks_audit.snapshot import Body, Record
from compose.azure import Subscription, digits, reference
from compose.clusters import agent_pool, kubenet, managed_cluster, own_routes, private_link, user_assigned, user_pool
from compose.networks import attach, route, route_table, subnet, subnet_id, virtual_network
from compose.nodes import NodeGroup
from compose.services import CONTRIBUTOR, appliance, role_assignment, user_assigned_identity
from compose.snapshots import recorded

SUBSCRIPTION = Subscription("a71a0000-0000-4000-8000-000000000001", "eastus")
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")


class _Spoke(NamedTuple):
    """A network with its spoke gateways (primary and standby) and one cluster."""

    name: str
    net: str
    default: tuple[str, Body]
    pools: Sequence[Body]
    policy: str


def records() -> list[Record]:
    """The whole estate."""
    attached = _Spoke(
        name="aks-kubenet",
        net="10.64",
        default=route("default", "0.0.0.0/0", "VirtualAppliance", "10.64.0.4"),
        pools=[agent_pool("default", 3, **_KUBENET), user_pool("workload", 12, **_KUBENET)],
        policy="calico",
    )
    waiting = _Spoke(
        name="aks-kubenet-test",
        net="10.65",
        default=route("default", "0.0.0.0/0", "None"),
        pools=[agent_pool("default", 2, **_KUBENET)],
        policy="none",
    )
    return recorded([SUBSCRIPTION], [*_spoke(attached), *_spoke(waiting)], day="2026-11-20")


_KUBENET = {"maxPods": 110, "vmSize": "Standard_D2s_v3", "osDiskType": "Managed", "osDiskSizeGB": 128}


def _spoke(spoke: _Spoke) -> list[Body]:
    group = SUBSCRIPTION.group(f"rg-{spoke.name}")
    identity = user_assigned_identity(group, f"id-{spoke.name}")
    network_id = group.of("virtualNetworks", f"vnet-{spoke.name}")
    routes_id = group.of("routeTables", f"rt-{spoke.name}")
    gateways = f"av-gw-{spoke.name}"
    network = virtual_network(
        group,
        f"vnet-{spoke.name}",
        f"{spoke.net}.0.0/16",
        [
            subnet(network_id, gateways, f"{spoke.net}.0.0/25"),
            subnet(network_id, "snet-aks", f"{spoke.net}.1.0/24", routeTable=reference(routes_id)),
        ],
    )
    nodes = subnet_id(network, "snet-aks")
    cluster = managed_cluster(
        group,
        spoke.name,
        [{**pool, "vnetSubnetID": nodes} for pool in spoke.pools],
        networkProfile={
            **kubenet("10.244.0.0/16", "10.100.0.0/16", networkPolicy=spoke.policy, **own_routes()),
            "dockerBridgeCidr": "172.17.0.1/16",
        },
        identity=user_assigned([identity]),
        autoUpgradeProfile={"upgradeChannel": "stable", "nodeOSUpgradeChannel": "NodeImage"},
        oidcIssuerProfile={"enabled": False},
        currentKubernetesVersion="1.33.5",
        **private_link(group, spoke.name),
    )
    made = NodeGroup(cluster, api=f"{spoke.net}.1.4")
    routes = route_table(
        group,
        f"rt-{spoke.name}",
        [spoke.default, *_controller_routes(spoke), *made.pod_routes(f"{spoke.net}.1.")],
        disableBgpRoutePropagation=True,
    )
    attach([network], [routes])
    contributor = role_assignment(identity, CONTRIBUTOR, group.id)
    gateway = subnet_id(network, gateways)
    standby = appliance(group, f"av-gw-{spoke.name}-hagw", gateway, f"{spoke.net}.0.5")
    primary = appliance(group, f"av-gw-{spoke.name}", gateway, f"{spoke.net}.0.4")
    return [cluster, identity, contributor, network, routes, *primary, *standby, *made.bodies()]


def _controller_routes(spoke: _Spoke) -> list[tuple[str, Body]]:
    """The routes to private addresses that the Aviatrix controller writes beside those of AKS."""
    return [
        route(f"aviatrix-{digits(spoke.name, prefix)}", prefix, "VirtualAppliance", f"{spoke.net}.0.4")
        for prefix in _PRIVATE
    ]
