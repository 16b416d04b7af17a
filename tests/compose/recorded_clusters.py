"""Azure's side of the two clusters whose API servers' answers are recorded in `fixtures/kubernetes`."""

from collections.abc import Callable, Mapping

from aks_audit.snapshot import Body, Record
from compose.azure import Subscription, reference
from compose.clusters import (
    advanced_networking,
    agent_pool,
    cilium,
    entra,
    hardened_pool,
    kubenet,
    managed_cluster,
    overlay,
    own_routes,
    private_link,
    user_pool,
)
from compose.networks import (
    application_rules,
    attach,
    firewall,
    firewall_policy,
    network_rules,
    peer,
    public_ip,
    route,
    route_table,
    security_group,
    subnet,
    subnet_id,
    virtual_network,
)
from compose.nodes import NodeGroup, Service
from compose.snapshots import recorded

SUBSCRIPTION = Subscription("11111111-2222-3333-4444-555555555555")
_NORTH = Subscription(SUBSCRIPTION.subscription_id, "northeurope")
_VERSION = "1.36.2"


def weak() -> list[Record]:
    """A public kubenet cluster without a network policy engine, out through AKS's own load balancer."""
    group = SUBSCRIPTION.group("rg-weak")
    taint = "kubernetes.azure.com/scalesetpriority=spot:NoSchedule"
    spot = user_pool("spot", 1, maxPods=110, scaleSetPriority="Spot", nodeTaints=[taint])
    pools = [agent_pool("nodepool1", 2, maxPods=110), spot]
    cluster = managed_cluster(group, "aks-weak", pools, currentKubernetesVersion=_VERSION, networkProfile=kubenet())
    public = {
        "default/web": "203.0.113.10",
        "shop/web": "203.0.113.11",
        "payments/partner": "203.0.113.12",
        "ingress-nginx/ingress-nginx-controller": "203.0.113.20",
        "monitoring/grafana": "203.0.113.21",
    }
    services = [Service(name, address) for name, address in public.items()]
    return recorded([SUBSCRIPTION], [cluster, *NodeGroup(cluster, outbound="203.0.113.5").bodies(services)])


def hardened() -> list[Record]:
    """A private overlay cluster with Cilium in a network of its owner's, out through a firewall in a hub."""
    hub, *beside = _hub()
    network, *guards = _spoke()
    peer(network, hub)
    group = _NORTH.group("rg-hardened")
    pools = [
        hardened_pool(
            "system",
            2,
            vnetSubnetID=subnet_id(network, "snet-aks-nodes"),
            nodeTaints=["CriticalAddonsOnly=true:NoSchedule"],
        ),
        hardened_pool("apps", 2, mode="User", vnetSubnetID=subnet_id(network, "snet-aks-apps")),
    ]
    cluster = managed_cluster(
        group,
        "aks-hardened",
        pools,
        currentKubernetesVersion=_VERSION,
        networkProfile=overlay("192.168.0.0/16", "172.16.0.0/16", **own_routes(), **cilium(), **advanced_networking()),
        aadProfile=entra(),
        disableLocalAccounts=True,
        **private_link(group, "aks-hardened", disableRunCommand=True),
    )
    made = NodeGroup(cluster, api="10.10.0.200", network=network["id"]).bodies(
        [
            Service("aks-istio-ingress/internal", "10.10.8.10", subnet=subnet_id(network, "snet-ilb")),
            Service("app-routing-system/nginx-internal", "10.10.8.11", subnet=subnet_id(network, "snet-ilb")),
        ]
    )
    return recorded([_NORTH], [cluster, *made, hub, *beside, network, *guards])


def _hub() -> list[Body]:
    group = _NORTH.group("rg-hub")
    own = group.of("virtualNetworks", "vnet-hub")
    network = virtual_network(group, "vnet-hub", "10.9.0.0/16", [subnet(own, "AzureFirewallSubnet", "10.9.1.0/26")])
    public = public_ip(group, "pip-firewall", "203.0.113.200")
    policy = group.of("firewallPolicies", "fwp-hub")
    wall = firewall(
        group,
        "fw-hub",
        subnet_id(network, "AzureFirewallSubnet"),
        ("10.9.1.4", public["id"]),
        threatIntelMode="Deny",
        firewallPolicy=reference(policy),
    )
    nodes = {"sourceAddresses": ["10.10.0.0/22"]}
    allowed = [
        application_rules("aks", 200, {"aks": {**nodes, "fqdnTags": ["AzureKubernetesService"]}}),
        network_rules(
            "time",
            100,
            {"ntp": {**nodes, "ipProtocols": ["UDP"], "destinationPorts": ["123"], "destinationAddresses": ["*"]}},
        ),
    ]
    groups = {"rcg-aks": {"priority": 200, "ruleCollections": allowed}}
    return [network, public, wall, *firewall_policy(group, "fwp-hub", [wall["id"]], groups)]


def _spoke() -> list[Body]:
    group = _NORTH.group("rg-net")
    guard = security_group(group, "nsg-aks", [])
    routes = route_table(group, "rt-aks", [route("to-firewall", "0.0.0.0/0", "VirtualAppliance", "10.9.1.4")])
    own = group.of("virtualNetworks", "vnet-spoke")
    use = {"networkSecurityGroup": reference(guard["id"]), "routeTable": reference(routes["id"])}
    network = virtual_network(
        group,
        "vnet-spoke",
        "10.10.0.0/16",
        [
            subnet(own, "snet-aks-nodes", "10.10.0.0/24", **use),
            subnet(own, "snet-aks-apps", "10.10.1.0/24", **use),
            subnet(own, "snet-ilb", "10.10.8.0/26", **use),
        ],
    )
    attach([network], [guard, routes])
    return [network, guard, routes]


AZURE: Mapping[str, Callable[[], list[Record]]] = {"weak": weak, "hardened": hardened}
