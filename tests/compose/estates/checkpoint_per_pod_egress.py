"""Clusters with Azure CNI in spokes, a Check Point scale set behind an internal load balancer in the hub.

After "per-pod egress with Check Point": the first cluster was made with the defaults and routed afterwards, the second
was made for user-defined routing.
"""

from aks_audit.snapshot import Body, Record
from compose.azure import Group, Subscription, reference
from compose.clusters import (
    agent_pool,
    load_balancer_outbound,
    managed_cluster,
    own_routes,
    user_assigned,
    user_pool,
    vnet_pods,
)
from compose.networks import (
    allow,
    attach,
    balancing_rule,
    load_balancer,
    peer,
    private_frontend,
    public_frontend,
    public_ip,
    route,
    route_table,
    security_group,
    subnet,
    subnet_id,
    virtual_network,
)
from compose.nodes import NodeGroup, Service
from compose.roles import own_rights
from compose.services import NETWORK_CONTRIBUTOR, appliance_scale_set, role_assignment, user_assigned_identity
from compose.snapshots import recorded

HUB = Subscription("c4ec0000-0000-4000-8000-000000000001")
SPOKES = Subscription("c4ec0000-0000-4000-8000-000000000002")
APPLIANCE = "10.0.2.4"
_CNI = {"maxPods": 30, "vmSize": "Standard_DS3_v2", "osDiskType": "Managed", "osDiskSizeGB": 128}


def records() -> list[Record]:
    """The whole estate."""
    hub, *beside = _hub()
    aks, aks_bodies = _routed_afterwards()
    udr, udr_bodies = _made_for_routing()
    web = _web()
    for spoke in (aks, udr, web):
        peer(spoke, hub)
    return recorded([HUB, SPOKES], [hub, *beside, aks, *aks_bodies, udr, *udr_bodies, web], day="2026-11-20")


def _hub() -> list[Body]:
    group = HUB.group("rg-checkpoint-hub")
    own = group.of("virtualNetworks", "vnet-hub")
    guard = security_group(
        group, "chkp-vmss-nsg", [allow("AllowAllInBound", 100, "*", "*", protocol="*")]
    )  # Check Point's template: the gateways filter, not the group; no cluster is behind it
    network = virtual_network(
        group,
        "vnet-hub",
        "10.0.0.0/16",
        [
            subnet(own, "frontend", "10.0.1.0/24", networkSecurityGroup=reference(guard["id"])),
            subnet(own, "backend", "10.0.2.0/24"),
        ],
    )
    attach([network], [guard])
    public = public_ip(group, "frontend-lb-ip", "20.50.4.20")
    outside = load_balancer(
        group,
        "frontend-lb",
        {"LoadBalancerFrontend": public_frontend(public["id"])},
        [balancing_rule(group.of("loadBalancers", "frontend-lb"), "LoadBalancerFrontend", 443, backendPort=8081)],
    )
    every_port = {"protocol": "All", "frontendPort": 0, "backendPort": 0}
    inside = load_balancer(
        group,
        "backend-lb",
        {"backend-lb": private_frontend(subnet_id(network, "backend"), APPLIANCE)},
        [balancing_rule(group.of("loadBalancers", "backend-lb"), "backend-lb", 0, **every_port)],
    )
    subnets = [subnet_id(network, "frontend"), subnet_id(network, "backend")]
    gateways = appliance_scale_set(group, "chkp-vmss", subnets, 2)
    for number, balancer in enumerate((outside, inside)):
        balancer["properties"]["backendAddressPools"][0]["properties"]["backendIPConfigurations"] = [
            reference(
                f"{gateways['id']}/virtualMachines/{instance}/networkInterfaces/eth{number}/ipConfigurations/ipconfig{number}"
            )
            for instance in range(2)
        ]
    return [network, guard, public, outside, inside, gateways]


def _spoke(group: Group, name: str, net: str) -> tuple[Body, Body]:
    routes = route_table(
        group,
        f"rt-{name}",
        [
            route("to-internet", "0.0.0.0/0", "VirtualAppliance", APPLIANCE),
            route("to-other-spokes", "10.0.0.0/8", "VirtualAppliance", APPLIANCE),
        ],
        disableBgpRoutePropagation=True,
    )
    own = group.of("virtualNetworks", f"vnet-{name}")
    nodes = subnet(own, "aks-subnet", f"{net}.0.0/20", routeTable=reference(routes["id"]))
    network = virtual_network(group, f"vnet-{name}", f"{net}.0.0/16", [nodes])
    attach([network], [routes])
    return network, routes


def _routed_afterwards() -> tuple[Body, list[Body]]:
    group = SPOKES.group("rg-aks")
    network, routes = _spoke(group, "aks", "10.100")
    nodes = {**_CNI, "vnetSubnetID": subnet_id(network, "aks-subnet")}
    node_group = "MC_rg-aks_aks-pods_westeurope"
    outbound = load_balancer_outbound(group, "aks-pods", node_group)
    cluster = managed_cluster(
        group,
        "aks-pods",
        [
            agent_pool("nodepool1", 3, **nodes),
            user_pool("apps", 12, **nodes, enableAutoScaling=True, minCount=6, maxCount=20),
            user_pool("batch", 4, **nodes, scaleSetPriority="Spot", scaleSetEvictionPolicy="Delete", spotMaxPrice=-1.0,
                      nodeTaints=["kubernetes.azure.com/scalesetpriority=spot:NoSchedule"]),
        ],
        networkProfile=vnet_pods("10.200.0.0/16", **outbound),
        currentKubernetesVersion="1.33.5",
    )  # fmt: skip
    made = NodeGroup(cluster, outbound="20.50.4.30").bodies([Service("ingress/nginx", "20.50.4.31")])
    return network, [cluster, *own_rights(cluster), routes, *made]


def _made_for_routing() -> tuple[Body, list[Body]]:
    group = SPOKES.group("rg-aks-udr")
    network, routes = _spoke(group, "aks-udr", "10.101")
    nodes = {**_CNI, "vnetSubnetID": subnet_id(network, "aks-subnet")}
    identity = user_assigned_identity(group, "id-aks-udr")
    cluster = managed_cluster(
        group,
        "aks-pods-udr",
        [
            agent_pool("system", 3, **nodes, nodeTaints=["CriticalAddonsOnly=true:NoSchedule"]),
            user_pool("apps", 8, **nodes),
        ],
        networkProfile=vnet_pods("10.201.0.0/16", networkPolicy="calico", **own_routes()),
        identity=user_assigned([identity]),
        sku={"name": "Base", "tier": "Standard"},
    )
    internal = Service("ingress/nginx", "10.101.15.200", subnet=subnet_id(network, "aks-subnet"))
    made = NodeGroup(cluster).bodies([internal])
    role = role_assignment(identity, NETWORK_CONTRIBUTOR, network["id"])
    return network, [cluster, identity, role, routes, *made]


def _web() -> Body:
    group = SPOKES.group("rg-web")
    own = group.of("virtualNetworks", "vnet-web")
    return virtual_network(group, "vnet-web", "10.102.0.0/16", [subnet(own, "web", "10.102.0.0/24")])
