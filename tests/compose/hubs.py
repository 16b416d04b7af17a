"""Hubs of any number with clusters behind them, for benchmarks: long firewall policies, security groups and routes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aks_audit.snapshot import Body, Record
from compose.azure import Group, Subscription, guid, reference
from compose.clusters import (
    cilium,
    entra,
    hardened_pool,
    kubelet_identity,
    managed_cluster,
    overlay,
    own_routes,
    private_link,
    user_assigned,
    vnet_pods,
)
from compose.networks import (
    allow,
    application_rules,
    attach,
    deny,
    firewall,
    firewall_policy,
    network_rules,
    peer,
    private_endpoint,
    private_zone,
    public_ip,
    route,
    route_table,
    security_group,
    subnet,
    subnet_id,
    virtual_network,
)
from compose.nodes import NodeGroup, Service
from compose.services import NETWORK_CONTRIBUTOR, container_registry, role_assignment, user_assigned_identity
from compose.snapshots import recorded

_REGIONS = ("westeurope", "northeurope", "eastus2", "swedencentral")
_GROUPS, _COLLECTIONS = 10, 20
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"


class Sizes(NamedTuple):
    """How long the lists are: rules of a security group and of a firewall policy, routes of a table.

    `shared` is how many clusters of a hub have one security group and one route table in common.
    """

    security_rules: int = 200
    routes: int = 500
    firewall_rules: int = 2000
    shared: int = 10


class _Hub(NamedTuple):
    number: int
    group: Group
    network: Body
    firewall: str
    registry: str

    @property
    def space(self) -> str:
        """The first number of the addresses of the hub and of the clusters behind it."""
        return f"{20 + self.number}"


def hubs(clusters: int, count: int, sizes: Sizes) -> list[Record]:
    """The records of clusters, spread evenly over hubs with a firewall each; the same each time."""
    subscriptions: list[Subscription] = []
    bodies: list[Body] = []
    for number in range(count):
        region = _REGIONS[number % len(_REGIONS)]
        here, apps = (Subscription(guid("hubs", kind, str(number)), region) for kind in ("hub", "apps"))
        subscriptions += [here, apps]
        hub, made = _hub(number, here.group("rg-connectivity"), sizes)
        bodies += made
        bodies += _behind(hub, apps, range(number, clusters, count), sizes)
    return recorded(subscriptions, bodies)


def _hub(number: int, group: Group, sizes: Sizes) -> tuple[_Hub, list[Body]]:
    space = f"{20 + number}.0"
    own = group.of("virtualNetworks", "vnet-hub")
    inside = [subnet(own, "AzureFirewallSubnet", f"{space}.1.0/26"), subnet(own, "snet-endpoints", f"{space}.2.0/24")]
    network = virtual_network(group, "vnet-hub", f"{space}.0.0/16", inside)
    address = public_ip(group, "pip-firewall", f"20.240.{number}.10")
    policy = group.of("firewallPolicies", "fwp-hub")
    wall = firewall(
        group,
        "fw-hub",
        subnet_id(network, "AzureFirewallSubnet"),
        (f"{space}.1.4", address["id"]),
        sku={"name": "AZFW_VNet", "tier": "Premium"},
        firewallPolicy=reference(policy),
    )
    rules = firewall_policy(group, "fwp-hub", [wall["id"]], _rule_groups(f"{20 + number}.0.0.0/8", sizes))
    registry = container_registry(group, f"crhub{number}")
    hub = _Hub(number, group, network, f"{space}.1.4", registry["id"])
    return hub, [network, address, wall, *rules, registry]


def _rule_groups(nodes: str, sizes: Sizes) -> dict[str, Body]:
    """Groups of collections of rules, half for networks and half for names, AKS's own among the last."""
    each = sizes.firewall_rules // (_GROUPS * _COLLECTIONS)
    return {
        f"rcg-{group:02}": {
            "priority": 100 + group * 100,
            "ruleCollections": list(_collections(nodes, group, each)),
        }
        for group in range(_GROUPS)
    }


def _collections(nodes: str, group: int, each: int) -> Iterator[Body]:
    for number in range(_COLLECTIONS):
        own = range(each)
        if number % 2:
            names = {
                f"names-{rule}": {
                    "sourceAddresses": [nodes],
                    "targetFqdns": [f"app-{group}-{number}-{rule}.example.com", f"*.team-{number}.example.org"],
                }
                for rule in own
            }
            if group == _GROUPS - 1:
                names["aks"] = {"sourceAddresses": [nodes], "fqdnTags": ["AzureKubernetesService"]}
            yield application_rules(f"names-{number:02}", 1000 + number, names)
        else:
            rules = {
                f"flows-{rule}": {
                    "sourceAddresses": [nodes],
                    "destinationAddresses": [f"192.168.{number}.{rule}", f"172.16.{group}.0/24"],
                    "destinationPorts": ["443", "8000-8100"],
                }
                for rule in own
            }
            yield network_rules(f"flows-{number:02}", 1000 + number, rules)


def _behind(hub: _Hub, apps: Subscription, numbers: Sequence[int], sizes: Sizes) -> list[Body]:
    hosts: dict[str, str] = {}
    networks: list[str] = [hub.network["id"]]
    bodies: list[Body] = []
    common: list[Body] = []
    for place, number in enumerate(numbers):
        if place % sizes.shared == 0:
            common = _common(hub, apps.group(f"rg-common-{place // sizes.shared:02}"), sizes)
            bodies += common
        space = f"{hub.space}.{1 + place}"
        group = apps.group(f"rg-aks-{number:04}")
        network = _spoke(group, space, common, hub)
        networks.append(network["id"])
        cluster, *beside = _cluster(hub, group, network, (number, space))
        host = cluster["properties"]["privateFQDN"].partition(".")[0]
        hosts[host] = f"{space}.0.4"
        bodies += [network, cluster, *beside]
    endpoint = _registry_names(hub)
    served = {name.removesuffix(".azurecr.io"): address for name, address in endpoint.items()}
    return [
        *bodies,
        *private_endpoint(hub.group, "pe-registry", subnet_id(hub.network, "snet-endpoints"), hub.registry, endpoint),
        *private_zone(hub.group, "privatelink.azurecr.io", networks[:1], served),
        *private_zone(hub.group, f"privatelink.{hub.group.location}.azmk8s.io", networks, hosts),
    ]


def _registry_names(hub: _Hub) -> dict[str, str]:
    name = f"crhub{hub.number}"
    return {
        f"{name}.{hub.group.location}.data.azurecr.io": f"{hub.space}.0.2.4",
        f"{name}.azurecr.io": f"{hub.space}.0.2.5",
    }


def _common(hub: _Hub, group: Group, sizes: Sizes) -> list[Body]:
    """A security group and a route table that several clusters have."""
    opened = [
        allow(f"Allow{rule:03}", 100 + rule, f"{hub.space}.0.{rule % 250}.0/24", str(1024 + rule))
        for rule in range(sizes.security_rules - 1)
    ]
    guard = security_group(group, "nsg-clusters", [*opened, deny("DenyInternet", 4000, "Internet")])
    ways = [
        route(f"to-{number:03}", f"192.168.{number % 250}.{number // 250 * 64}/26", "VirtualAppliance", hub.firewall)
        for number in range(sizes.routes - 1)
    ]
    default = route("default", "0.0.0.0/0", "VirtualAppliance", hub.firewall)
    table = route_table(group, "rt-clusters", [*ways, default], disableBgpRoutePropagation=True)
    return [guard, table]


def _spoke(group: Group, space: str, common: list[Body], hub: _Hub) -> Body:
    own = group.of("virtualNetworks", "vnet-aks")
    use = {"networkSecurityGroup": reference(common[0]["id"]), "routeTable": reference(common[1]["id"])}
    inside = [
        subnet(own, "snet-nodes", f"{space}.0.0/20", **use, defaultOutboundAccess=False),
        subnet(own, "snet-pods", f"{space}.64.0/18", **use, defaultOutboundAccess=False),
    ]
    servers = {"dhcpOptions": {"dnsServers": [hub.firewall]}}
    network = virtual_network(group, "vnet-aks", f"{space}.0.0/16", inside, **servers)
    attach([network], common)
    peer(network, hub.network)
    return network


def _cluster(hub: _Hub, group: Group, network: Body, place: tuple[int, str]) -> list[Body]:
    number, space = place
    name = f"aks-{number:04}"
    control, kubelet = (user_assigned_identity(group, f"id-{name}{part}") for part in ("", "-kubelet"))
    nodes = {"vnetSubnetID": subnet_id(network, "snet-nodes")}
    pods = {"podSubnetID": subnet_id(network, "snet-pods"), "maxPods": 60} if number % 3 == 0 else {}
    profile = (vnet_pods if pods else overlay)(**cilium(), **own_routes())
    cluster = managed_cluster(
        group,
        name,
        [
            hardened_pool("system", 3, **nodes, **pods, nodeTaints=["CriticalAddonsOnly=true:NoSchedule"]),
            hardened_pool("apps", 6 + number % 20, mode="User", **nodes, **pods),
        ],
        networkProfile=profile,
        identity=user_assigned([control]),
        identityProfile=kubelet_identity(kubelet["id"]),
        aadProfile=entra(),
        disableLocalAccounts=True,
        sku={"name": "Base", "tier": "Standard"},
        **private_link(group, name, hub.group.of("privateDnsZones", f"privatelink.{group.location}.azmk8s.io")),
    )
    service = Service("ingress/nginx", f"{space}.15.250", subnet=nodes["vnetSubnetID"])
    roles = [
        role_assignment(control, NETWORK_CONTRIBUTOR, network["id"]),
        role_assignment(kubelet, ACR_PULL, hub.registry),
    ]
    return [cluster, control, kubelet, *roles, *NodeGroup(cluster, api=f"{space}.0.4").bodies([service])]
