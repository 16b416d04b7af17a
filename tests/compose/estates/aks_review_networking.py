"""A hub with firewall and Azure Bastion, and three clusters in a spoke, after "AKS Review - Networking".

A private cluster with its own DNS zone and a private registry; a public one locked down to authorized ranges; and one
with API server VNet integration. Two mistakes that the guide warns of are made: a customer's security group on node
interfaces, and a rule added to the group that AKS manages.
"""

from aks_audit.snapshot import Body, Record
from compose.azure import Subscription, part, reference
from compose.clusters import (
    add_on,
    agent_pool,
    entra,
    kubelet_identity,
    managed_cluster,
    overlay,
    own_routes,
    private_link,
    user_assigned,
    user_pool,
    vnet_integrated,
    vnet_pods,
)
from compose.landing_zone import bastion_in
from compose.networks import (
    allow,
    attach,
    deny,
    firewall,
    network_interface,
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
from compose.roles import ACR_PULL
from compose.services import (
    NETWORK_CONTRIBUTOR,
    PRIVATE_DNS_ZONE_CONTRIBUTOR,
    container_registry,
    role_assignment,
    user_assigned_identity,
)
from compose.snapshots import recorded

HUB = Subscription("4e710000-0000-4000-8000-000000000001")
SPOKE = Subscription("4e710000-0000-4000-8000-000000000002")
_HUB = HUB.group("rg-hub")
_NETWORK = SPOKE.group("rg-network")
_CLUSTERS = SPOKE.group("rg-aks")
REGISTRIES = "Microsoft.ContainerRegistry/registries"
ZONE = _HUB.of("privateDnsZones", "privatelink.westeurope.azmk8s.io")
FIREWALL = "20.61.7.10"


def records() -> list[Record]:
    """The whole estate."""
    hub, *hub_bodies = _hub()
    spoke, *spoke_bodies = _spoke()
    on_nics = spoke_bodies[1]
    peer(spoke, hub)
    private = _private(spoke)
    host = private[0]["properties"]["privateFQDN"].partition(".")[0]
    dns = private_zone(_HUB, "privatelink.westeurope.azmk8s.io", [hub["id"], spoke["id"]], {host: "10.3.4.4"})
    bodies = [hub, *hub_bodies, spoke, *spoke_bodies, *private, *dns, *_public(spoke, on_nics), *_integrated(spoke)]
    return recorded([HUB, SPOKE], [*bodies, *_registry(spoke, hub)], day="2026-11-20")


def _hub() -> list[Body]:
    own = _HUB.of("virtualNetworks", "vnet-hub")
    network = virtual_network(
        _HUB,
        "vnet-hub",
        "10.0.0.0/16",
        [
            subnet(own, "AzureFirewallSubnet", "10.0.1.0/26"),
            subnet(own, "AzureBastionSubnet", "10.0.2.0/26"),
            subnet(own, "snet-jumpbox", "10.0.3.0/27"),
        ],
    )
    address = public_ip(_HUB, "pip-firewall", FIREWALL)
    wall = firewall(
        _HUB,
        "fw-hub",
        subnet_id(network, "AzureFirewallSubnet"),
        ("10.0.1.4", address["id"]),
        additionalProperties={"Network.DNS.EnableProxy": "true"},
    )
    jumpbox = network_interface(_HUB, "vm-jumpbox-nic", subnet_id(network, "snet-jumpbox"), "10.0.3.4")
    return [network, address, wall, *bastion_in(_HUB, network, "20.61.7.11"), jumpbox]


def _spoke() -> list[Body]:
    guard = security_group(
        _NETWORK,
        "nsg-aks",
        [
            allow("AllowHttpsFromHub", 100, "10.0.0.0/16", "443"),
            allow("AllowAzureLoadBalancer", 110, "AzureLoadBalancer", "*", protocol="*"),
            deny("DenyInternet", 4000, "Internet"),
        ],
    )
    on_nics = security_group(_NETWORK, "nsg-public-nics", [allow("AllowSshFromJumpbox", 100, "10.0.3.0/27", "22")])
    routes = route_table(_NETWORK, "rt-aks", [route("to-firewall", "0.0.0.0/0", "VirtualAppliance", "10.0.1.4")])
    own = _NETWORK.of("virtualNetworks", "vnet-aks")
    use = {"networkSecurityGroup": reference(guard["id"]), "routeTable": reference(routes["id"])}
    delegation = part(own, "delegations", "aks", {"serviceName": "Microsoft.ContainerService/managedClusters"})
    network = virtual_network(
        _NETWORK,
        "vnet-aks",
        "10.3.0.0/16",
        [
            subnet(own, "snet-endpoints", "10.3.0.0/27", networkSecurityGroup=reference(guard["id"])),
            subnet(own, "snet-ingress", "10.3.1.0/26", networkSecurityGroup=reference(guard["id"])),
            subnet(own, "snet-apiserver", "10.3.2.0/28", delegations=[delegation]),
            subnet(own, "snet-private", "10.3.4.0/24", **use),
            subnet(own, "snet-private-pods", "10.3.16.0/20", **use),
            subnet(own, "snet-public", "10.3.5.0/24", **use),
            subnet(own, "snet-integrated", "10.3.6.0/24", **use),
        ],
        dhcpOptions={"dnsServers": ["10.0.1.4"]},
    )
    attach([network], [guard, routes])
    return [network, guard, on_nics, routes]


def _registry(spoke: Body, hub: Body) -> list[Body]:
    registry = container_registry(SPOKE.group("rg-shared"), "demo123")
    endpoints = subnet_id(spoke, "snet-endpoints")
    names = {"demo123.westeurope.data.azurecr.io": "10.3.0.5", "demo123.azurecr.io": "10.3.0.6"}
    endpoint, nic = private_endpoint(_NETWORK, "pe-demo123", endpoints, registry["id"], names)
    registry["properties"]["privateEndpointConnections"] = [
        part(
            registry["id"],
            "privateEndpointConnections",
            "pe-demo123",
            {
                "privateEndpoint": reference(endpoint["id"]),
                "privateLinkServiceConnectionState": {"status": "Approved", "actionsRequired": "None"},
            },
        )
    ]
    records = {"demo123": "10.3.0.6", "demo123.westeurope.data": "10.3.0.5"}
    return [registry, endpoint, nic, *private_zone(_HUB, "privatelink.azurecr.io", [spoke["id"], hub["id"]], records)]


def _identity(name: str, network: Body) -> tuple[Body, list[Body]]:
    identity = user_assigned_identity(_CLUSTERS, name)
    roles = [
        role_assignment(identity, NETWORK_CONTRIBUTOR, network["id"]),
        role_assignment(identity, PRIVATE_DNS_ZONE_CONTRIBUTOR, ZONE),
    ]
    return identity, roles


def _private(network: Body) -> list[Body]:
    identity, roles = _identity("id-aks-private", network)
    kubelet = user_assigned_identity(_CLUSTERS, "id-aks-private-kubelet")
    nodes = {
        "vnetSubnetID": subnet_id(network, "snet-private"),
        "podSubnetID": subnet_id(network, "snet-private-pods"),
        "maxPods": 110,
        "availabilityZones": ["1", "2", "3"],
    }
    cluster = managed_cluster(
        _CLUSTERS,
        "aks-private",
        [
            agent_pool("system", 3, **nodes, nodeTaints=["CriticalAddonsOnly=true:NoSchedule"]),
            user_pool("apps", 10, **nodes, enableAutoScaling=True, minCount=6, maxCount=24),
            user_pool("tools", 3, **nodes),
        ],
        networkProfile=vnet_pods("10.250.0.0/16", networkPolicy="calico", **own_routes()),
        identity=user_assigned([identity]),
        identityProfile=kubelet_identity(kubelet["id"]),
        aadProfile=entra(["4e71aaaa-0000-4000-8000-00000000000a"], azure_rbac=False),
        autoUpgradeProfile={"upgradeChannel": "patch", "nodeOSUpgradeChannel": "SecurityPatch"},
        sku={"name": "Base", "tier": "Standard"},
        **private_link(_CLUSTERS, "aks-private", ZONE),
    )
    ingress = Service("ingress/nginx-internal", "10.3.1.4", subnet=subnet_id(network, "snet-ingress"))
    pull = role_assignment(kubelet, ACR_PULL, SPOKE.group("rg-shared").of(REGISTRIES, "demo123"))
    return [cluster, identity, kubelet, pull, *roles, *NodeGroup(cluster, api="10.3.4.4").bodies([ingress])]


def _public(network: Body, on_nics: Body) -> list[Body]:
    identity, roles = _identity("id-aks-public", network)
    nodes = {"vnetSubnetID": subnet_id(network, "snet-public")}
    cluster = managed_cluster(
        _CLUSTERS,
        "aks-public",
        [agent_pool("system", 3, **nodes), user_pool("apps", 4, **nodes, enableNodePublicIP=True)],
        networkProfile=overlay("10.245.0.0/16", "10.251.0.0/16", networkPolicy="azure", **own_routes()),
        identity=user_assigned([identity]),
        apiServerAccessProfile={"authorizedIPRanges": [f"{FIREWALL}/32", "203.0.113.16/28"]},
    )
    made = NodeGroup(cluster).bodies()
    _put_on_nics("apps", made, on_nics)
    return [cluster, identity, *roles, *made]


def _put_on_nics(pool: str, bodies: list[Body], guard: Body) -> None:
    """Put a customer's security group on the interfaces of a pool: the guide says that AKS does not support it."""
    scale_set = next(body for body in bodies if body.get("tags", {}).get("aks-managed-poolName") == pool)
    profile = scale_set["properties"]["virtualMachineProfile"]["networkProfile"]
    interface = profile["networkInterfaceConfigurations"][0]["properties"]
    managed = next(body for body in bodies if body["id"] == interface["networkSecurityGroup"]["id"])
    moved = [each for each in managed["properties"]["networkInterfaces"] if each["id"].startswith(scale_set["id"])]
    kept = [each for each in managed["properties"]["networkInterfaces"] if each not in moved]
    interface["networkSecurityGroup"] = reference(guard["id"])
    managed["properties"]["networkInterfaces"] = kept
    guard["properties"]["networkInterfaces"] = moved


def _integrated(network: Body) -> list[Body]:
    identity, roles = _identity("id-aks-integrated", network)
    nodes = {"vnetSubnetID": subnet_id(network, "snet-integrated"), "availabilityZones": ["1"]}
    api = subnet_id(network, "snet-apiserver")
    cluster = managed_cluster(
        _CLUSTERS,
        "aks-integrated",
        [agent_pool("system", 2, **nodes), user_pool("apps", 2, **{**nodes, "availabilityZones": ["2"]})],
        networkProfile=overlay("10.246.0.0/16", "10.252.0.0/16", networkPolicy="calico", **own_routes()),
        identity=user_assigned([identity]),
        addonProfiles={"azurepolicy": add_on(enabled=False)},
        **vnet_integrated(_CLUSTERS, "aks-integrated", api, "none", enablePrivateClusterPublicFQDN=True),
    )
    made = NodeGroup(cluster, api="10.3.2.4").bodies()
    _edit_managed_group(made)
    return [cluster, identity, *roles, *made]


def _edit_managed_group(bodies: list[Body]) -> None:
    """Add a rule of the customer's to the group that AKS manages, which AKS may undo at any time."""
    guard = next(body for body in bodies if body["type"] == "Microsoft.Network/networkSecurityGroups")
    name, rule = allow("AllowSshFromJumpbox", 200, "10.0.3.0/27", "22")
    guard["properties"]["securityRules"].append(part(guard["id"], "securityRules", name, rule))
