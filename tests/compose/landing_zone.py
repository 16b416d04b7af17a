"""What platform teams put around clusters: hubs with firewalls, hardened clusters, and registries behind endpoints."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from aks_audit.snapshot import Body
from compose.azure import Group, etag, guid, network_resource, part, reference, resource
from compose.clusters import (
    add_on,
    entra,
    hardened_pool,
    kubelet_identity,
    logs,
    managed_cluster,
    metrics,
    secrets_provider,
    security,
    user_assigned,
)
from compose.data_services import key_vault
from compose.networks import (
    allow,
    application_rules,
    bastion,
    deny,
    network_interface,
    network_rules,
    private_endpoint,
    private_zone,
    public_ip,
    security_group,
    subnet_id,
)
from compose.nodes import NodeGroup, Service
from compose.registries import approve
from compose.services import (
    NETWORK_CONTRIBUTOR,
    PRIVATE_DNS_ZONE_CONTRIBUTOR,
    container_registry,
    deployment_safeguards,
    role_assignment,
    user_assigned_identity,
    workspace,
)

ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
SYSTEM = {"nodeTaints": ["CriticalAddonsOnly=true:NoSchedule"]}
SCALED = {"mode": "User", "enableAutoScaling": True, "minCount": 3, "maxCount": 12}


class Place(NamedTuple):
    """Where a cluster stands: its group and name, its network, and the addresses of its API server and ingress."""

    group: Group
    name: str
    network: Body
    api: str
    ingress: tuple[str, str]


def pools(**common: object) -> list[Body]:
    """A system pool of three nodes, and a pool for applications that scales from three to twelve."""
    return [hardened_pool("system", 3, **common, **SYSTEM), hardened_pool("apps", 6, **common, **SCALED)]


def hardened_cluster(place: Place, profiles: Sequence[Body], **changes: object) -> list[Body]:
    """A cluster whose own settings are as they should be, with its identities, node group and deployment safeguards.

    `changes` are what differs, and how its API server is reached.
    """
    control, kubelet = identities(place.group, place.name)
    common = _hardening(place.group, control, kubelet)
    cluster = managed_cluster(place.group, place.name, profiles, **{**common, **changes})
    subnet, address = place.ingress
    nodes = NodeGroup(cluster, api=place.api).bodies([Service("ingress/gateway", address, (443,), subnet)])
    zone = cluster["properties"].get("apiServerAccessProfile", {}).get("privateDNSZone", "system")
    roles = [role_assignment(control, NETWORK_CONTRIBUTOR, place.network["id"])]
    roles += [role_assignment(control, PRIVATE_DNS_ZONE_CONTRIBUTOR, zone)] if zone != "system" else []
    vault = key_vault(place.group, "kv-platform")
    return [cluster, control, kubelet, vault, *roles, deployment_safeguards(cluster["id"]), *nodes]


def identities(group: Group, name: str) -> tuple[Body, Body]:
    """The identities of a cluster's control plane and of its kubelets."""
    return user_assigned_identity(group, f"id-{name}"), user_assigned_identity(group, f"id-{name}-kubelet")


def _hardening(group: Group, control: Body, kubelet: Body) -> Body:
    log_analytics = workspace(group.subscription.group("rg-monitor"), "log-platform")
    vault = group.of("Microsoft.KeyVault/vaults", "kv-platform")
    off = add_on(enabled=False)
    return {
        "identity": user_assigned([control]),
        "identityProfile": kubelet_identity(kubelet["id"]),
        "aadProfile": entra([guid(group.id, "administrators")]),
        "disableLocalAccounts": True,
        "publicNetworkAccess": "Disabled",
        "addonProfiles": {
            "azureKeyvaultSecretsProvider": secrets_provider(),
            "azurepolicy": add_on(),
            "httpApplicationRouting": off,
            "kubeDashboard": off,
            "omsagent": logs(log_analytics),
            "openServiceMesh": off,
        },
        "autoUpgradeProfile": {"upgradeChannel": "stable", "nodeOSUpgradeChannel": "NodeImage"},
        "azureMonitorProfile": metrics(),
        "podIdentityProfile": {"enabled": False},
        "securityProfile": security(log_analytics, vault),
        "nodeResourceGroupProfile": {"restrictionLevel": "ReadOnly"},
        "sku": {"name": "Base", "tier": "Standard"},
    }


def cluster_guard(group: Group, name: str, ingress: str) -> Body:
    """A security group for the subnets of clusters: the ingress from private sources, the API server, the probes."""
    rules = [
        allow("AllowIngress", 100, "VirtualNetwork", "443", destinationAddressPrefix=ingress),
        allow("AllowApiServer", 110, "VirtualNetwork", "", destinationPortRanges=["443", "4443"]),
        allow("AllowProbes", 120, "AzureLoadBalancer", "*", protocol="*"),
        deny("DenyInternetInbound", 4000, "Internet"),
    ]
    return security_group(group, name, rules)


def required_egress(sources: Mapping[str, list[str]]) -> list[Body]:
    """The rule collections that let clusters out to what AKS requires; `sources` are the fields that name them."""
    time = {"ipProtocols": ["UDP"], "destinationPorts": ["123"], "destinationFqdns": ["ntp.ubuntu.com"]}
    return [
        network_rules("time", 100, {"ntp": {**sources, **time}}),
        application_rules("aks", 200, {"aks-fqdn-tag": {**sources, "fqdnTags": ["AzureKubernetesService"]}}),
    ]


def ip_group(group: Group, name: str, addresses: Sequence[str], users: Iterable[str] = ()) -> Body:
    """A named list of addresses; `users` are the ids of the policies that use it."""
    listed = {"ipAddresses": list(addresses), "firewalls": [], "firewallPolicies": [reference(each) for each in users]}
    own = group.of("ipGroups", name)
    return {**resource(group, own, listed), "etag": etag(own)}


def gateway(group: Group, name: str, subnet_id: str, kind: str = "ExpressRoute") -> list[Body]:
    """A gateway (`ExpressRoute` or `Vpn`) in a subnet called GatewaySubnet, and its public address."""
    address = public_ip(group, f"pip-{name}", "20.86.2.20")
    own = group.of("virtualNetworkGateways", name)
    configuration = {
        "privateIPAllocationMethod": "Dynamic",
        "publicIPAddress": reference(address["id"]),
        "subnet": reference(subnet_id),
    }
    made = {
        "gatewayType": kind,
        "vpnType": "RouteBased",
        "enableBgp": False,
        "activeActive": False,
        "ipConfigurations": [part(own, "ipConfigurations", "default", configuration)],
        "sku": {"name": "ErGw1AZ" if kind == "ExpressRoute" else "VpnGw2AZ", "capacity": 2},
    }
    return [address, network_resource(group, own, made)]


def bastion_in(group: Group, network: Body, address: str) -> list[Body]:
    """An Azure Bastion in the AzureBastionSubnet of a network, and its public address."""
    public = public_ip(group, "pip-bastion", address)
    host = bastion(group, "bas-hub", subnet_id(network, "AzureBastionSubnet"), public["id"])
    occupy(network, "AzureBastionSubnet", [host["properties"]["ipConfigurations"][0]["id"]])
    return [public, host]


def shells_denied() -> list[tuple[str, Body]]:
    """Rules that keep SSH and RDP from the nodes, whoever in the network asks, and from going out."""
    ports = {"destinationPortRanges": ["22", "3389"]}
    outward = {"destinationAddressPrefix": "Internet", "direction": "Outbound"}
    return [
        deny("DenyShellInbound", 3900, "VirtualNetwork", "", **ports),
        deny("DenyShellOutbound", 3900, "*", "", **ports, **outward),
    ]


def connection(group: Group, name: str, gateway_id: str, kind: str, status: str, **properties: object) -> Body:
    """A connection of a gateway: `ExpressRoute` with its circuit as `peer`, or `IPsec`."""
    own = group.of("connections", name)
    stated = {"connectionType": kind, "connectionStatus": status, "virtualNetworkGateway1": reference(gateway_id)}
    return network_resource(group, own, {"routingWeight": 0, "enableBgp": False, **stated, **properties})


def occupy(network: Body, name: str, configurations: Sequence[str]) -> None:
    """Name in the body of a subnet the IP configurations (by id) that are in it."""
    for each in network["properties"]["subnets"]:
        if each["name"] == name:
            each["properties"]["ipConfigurations"] = [reference(one) for one in configurations]


def give_transit(hub: Body, spoke: Body) -> None:
    """Let a spoke use the gateway of the hub that it is peered with."""
    for near, far, field in ((hub, spoke, "allowGatewayTransit"), (spoke, hub, "useRemoteGateways")):
        for peering in near["properties"]["virtualNetworkPeerings"]:
            if peering["properties"]["remoteVirtualNetwork"]["id"] == far["id"]:
                peering["properties"][field] = True


def dns_server(group: Group, name: str, subnet_id: str, address: str) -> Body:
    """The network interface of a machine that answers DNS."""
    machine = group.of("Microsoft.Compute/virtualMachines", name)
    return network_interface(group, f"{name}-nic", subnet_id, address, virtualMachine=reference(machine))


class RegistryPlace(NamedTuple):
    """Where a registry's endpoint is: its subnet, the addresses of its data and of its login server, and its zone."""

    subnet: str
    data: str
    login: str
    zone_group: Group
    links: tuple[str, ...]


def registry_behind_endpoint(group: Group, name: str, place: RegistryPlace, kubelets: Sequence[Body]) -> list[Body]:
    """A registry that only a private endpoint reaches, its zone, and the right to pull for the identities given."""
    registry = container_registry(group, name)
    hosts = {name: place.login, f"{name}.{group.location}.data": place.data}
    names = {f"{host}.azurecr.io": address for host, address in reversed(hosts.items())}
    endpoint, interface = private_endpoint(group, f"pe-{name}", place.subnet, registry["id"], names)
    _second_address(interface, place)
    approve(registry, endpoint)
    zone = private_zone(place.zone_group, "privatelink.azurecr.io", place.links, hosts)
    return [registry, endpoint, interface, *zone, *(role_assignment(one, ACR_PULL, registry["id"]) for one in kubelets)]


def _second_address(interface: Body, place: RegistryPlace) -> None:
    """A registry's endpoint has an address for its data beside that of the login server."""
    first = interface["properties"]["ipConfigurations"][0]
    data = {**first["properties"], "privateIPAddress": place.login, "primary": False}
    second = part(interface["id"], "ipConfigurations", "ipconfig2", data)
    interface["properties"]["ipConfigurations"].append(second)


def host_of(cluster: Body) -> str:
    """The first label of the private name of a cluster's API server, which is its record in a zone of one's own."""
    return str(cluster["properties"]["privateFQDN"]).partition(".")[0]
