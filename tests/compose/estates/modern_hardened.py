"""Two clusters of 2026 with everything right: one network isolated, one out through a firewall.

No rule fails here; what is not asked of such a cluster is not applicable.
"""

from aks_audit.snapshot import Body, Listing, Record
from compose.azure import Group, Subscription, part, reference
from compose.clusters import (
    MAINTENANCE,
    add_on,
    encrypted_cilium,
    entra,
    hardened_pool,
    kubelet_identity,
    logs,
    maintenance_windows,
    managed_cluster,
    metrics,
    overlay,
    own_routes,
    secrets_provider,
    security,
    user_assigned,
    vnet_integrated,
    vnet_pods,
)
from compose.data_services import (
    KEY_VAULT_SECRETS_USER,
    STORAGE_BLOB_DATA_CONTRIBUTOR,
    EndpointPlace,
    behind_endpoint,
    disk_encryption_set,
    key_vault,
    storage_account,
)
from compose.governance import extension, fleet, governed, policy_state, second_factor
from compose.landing_zone import bastion_in, shells_denied
from compose.monitoring import (
    IMAGES_SEARCHED,
    activity_log_alert,
    asked_for,
    backups,
    core_quotas,
    defender_plans,
    diagnostic_setting,
    federated_credential,
    flow_log,
    log_search_alert,
    metric_alert,
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
from compose.registries import policies
from compose.roles import ACR_PULL
from compose.services import (
    NETWORK_CONTRIBUTOR,
    PRIVATE_DNS_ZONE_CONTRIBUTOR,
    container_registry,
    deployment_safeguards,
    role_assignment,
    user_assigned_identity,
    workspace,
)
from compose.snapshots import recorded

HUB = Subscription("900d0000-0000-4000-8000-000000000001", "swedencentral")
APPS = Subscription("900d0000-0000-4000-8000-000000000002", "swedencentral")
_HUB = HUB.group("rg-connectivity")
_GROUP = APPS.group("rg-platform")
ZONE = _HUB.of("privateDnsZones", "private.swedencentral.azmk8s.io")
_SYSTEM = {"nodeTaints": ["CriticalAddonsOnly=true:NoSchedule"]}
_SCALED = {"mode": "User", "enableAutoScaling": True, "minCount": 6, "maxCount": 30}


def records() -> list[Record]:
    """The whole estate."""
    hub, *beside = _hub()
    network, *guards = _spoke()
    peer(network, hub)
    isolated, filtered = _isolated(network), _filtered(network)
    hosts = {
        cluster[0]["properties"]["privateFQDN"].partition(".")[0]: address
        for cluster, address in ((isolated, "10.60.0.4"), (filtered, "10.60.0.20"))
    }
    zone = private_zone(_HUB, "private.swedencentral.azmk8s.io", [hub["id"], network["id"]], hosts)
    bodies = [hub, *beside, network, *guards, *isolated, *filtered, *zone, *_services(network, hub)]
    bodies += _watched(network, filtered[0])
    bodies += [*defender_plans(HUB), *defender_plans(APPS, *IMAGES_SEARCHED)]
    bodies += _operated([isolated[0], filtered[0]])
    bodies.append(second_factor("900dca00-0000-4000-8000-000000000001"))
    bodies += fleet(_GROUP, "fleet-platform", [isolated[0], filtered[0]])
    bodies += [extension(cluster[0], "flux", "microsoft.flux") for cluster in (isolated, filtered)]
    bodies += [policy_state(cluster[0], "clusters-restricted") for cluster in (isolated, filtered)]
    windows = [one for cluster in (isolated[0], filtered[0]) for one in maintenance_windows(cluster)]
    listed = [Listing(MAINTENANCE, cluster["id"]) for cluster in (isolated[0], filtered[0])]
    records = recorded([HUB, APPS], [*bodies, *windows], day="2026-11-20")
    return [*records, *listed, *asked_for([HUB, APPS], bodies), *governed([HUB, APPS], bodies)]


def _hub() -> list[Body]:
    own = _HUB.of("virtualNetworks", "vnet-hub")
    names = {"AzureFirewallSubnet": "10.50.1.0/26", "AzureBastionSubnet": "10.50.2.0/26"}
    inside = [subnet(own, name, prefix) for name, prefix in names.items()]
    network = virtual_network(_HUB, "vnet-hub", "10.50.0.0/16", inside)
    public = public_ip(_HUB, "pip-firewall", "20.240.9.10")
    second = public_ip(_HUB, "pip-firewall-2", "20.240.9.11")
    policy = _HUB.of("firewallPolicies", "fwp-hub")
    wall = firewall(
        _HUB,
        "fw-hub",
        subnet_id(network, "AzureFirewallSubnet"),
        ("10.50.1.4", public["id"]),
        [second["id"]],
        sku={"name": "AZFW_VNet", "tier": "Premium"},
        threatIntelMode="Deny",
        firewallPolicy=reference(policy),
    )
    authority = {"keyVaultSecretId": "https://kv-connectivity.vault.azure.net/secrets/fw-ca", "name": "fw-ca"}
    inspecting = {
        "intrusionDetection": {"mode": "Deny"},
        "transportSecurity": {"certificateAuthority": authority},
        "insights": {"isEnabled": True, "retentionDays": 30},
    }
    rules = firewall_policy(_HUB, "fwp-hub", [wall["id"]], _required(), **inspecting)
    return [network, public, second, wall, *rules, *bastion_in(_HUB, network, "20.240.9.12")]


def _required() -> dict[str, Body]:
    """The rule collection group that lets AKS out, and nothing else."""
    nodes = {"sourceAddresses": ["10.60.8.0/22"]}
    allowed = [
        application_rules("aks", 200, {"aks-fqdn-tag": {**nodes, "fqdnTags": ["AzureKubernetesService"]}}),
        network_rules("time", 100, {"ntp": {**nodes, "ipProtocols": ["UDP"], "destinationPorts": ["123"],
                                            "destinationFqdns": ["ntp.ubuntu.com"]}}),
    ]  # fmt: skip
    return {"rcg-aks": {"priority": 200, "ruleCollections": allowed}}


def _spoke() -> list[Body]:
    guard = security_group(
        _GROUP,
        "nsg-clusters",
        [
            allow("AllowIngressFromHub", 100, "10.50.0.0/16", "443", destinationAddressPrefix="10.60.2.0/26"),
            allow("AllowApiServer", 110, "VirtualNetwork", "", destinationPortRanges=["443", "4443"]),
            allow("AllowProbes", 120, "AzureLoadBalancer", "*", protocol="*"),
            *shells_denied(),
            deny("DenyInternetInbound", 4000, "Internet"),
        ],
    )
    routes = route_table(
        _GROUP,
        "rt-clusters",
        [route("to-firewall", "0.0.0.0/0", "VirtualAppliance", "10.50.1.4")],
        disableBgpRoutePropagation=True,
    )
    own = _GROUP.of("virtualNetworks", "vnet-platform")
    guarded = {"networkSecurityGroup": reference(guard["id"]), "defaultOutboundAccess": False}
    routed = {**guarded, "routeTable": reference(routes["id"])}
    api = part(own, "delegations", "aks", {"serviceName": "Microsoft.ContainerService/managedClusters"})
    network = virtual_network(
        _GROUP,
        "vnet-platform",
        "10.60.0.0/16",
        [
            subnet(own, "snet-api-isolated", "10.60.0.0/28", **guarded, delegations=[api]),
            subnet(own, "snet-api-filtered", "10.60.0.16/28", **guarded, delegations=[api]),
            subnet(own, "snet-ingress", "10.60.2.0/26", **guarded),
            subnet(own, "snet-endpoints", "10.60.3.0/26", **guarded),
            subnet(own, "snet-isolated", "10.60.4.0/24", **routed),
            subnet(own, "snet-filtered", "10.60.8.0/24", **routed),
            subnet(own, "snet-filtered-pods", "10.60.16.0/20", **routed),
        ],
        dhcpOptions={"dnsServers": ["10.50.1.4"]},
    )
    attach([network], [guard, routes])
    return [network, guard, routes]


def _services(network: Body, hub: Body) -> list[Body]:
    """What the clusters use by private endpoints: the registry, the vault of their secrets, and a storage account."""
    restricted = policies(exports=False, arm_audience=False, retention=True)
    registry = container_registry(_GROUP, "crplatformcache", policies=restricted)
    vault, store = key_vault(_GROUP, "kv-platform"), storage_account(_GROUP, "stplatform")
    place = EndpointPlace(_GROUP, network, "snet-endpoints", _HUB, [network["id"], hub["id"]])
    images = {"crplatformcache.swedencentral.data": "10.60.3.4", "crplatformcache": "10.60.3.5"}
    secrets, files = {"kv-platform": "10.60.3.6"}, {"stplatform": "10.60.3.7"}
    return [
        *(registry, vault, store, disk_encryption_set(_GROUP, "des-platform", vault)),
        *behind_endpoint(place, registry, "azurecr.io", "privatelink.azurecr.io", images),
        *behind_endpoint(place, vault, "vault.azure.net", "privatelink.vaultcore.azure.net", secrets),
        *behind_endpoint(place, store, "blob.core.windows.net", "privatelink.blob.core.windows.net", files),
    ]


def _watched(network: Body, cluster: Body) -> list[Body]:
    """What is written down and told of the network, the firewall and a cluster, and a workload's identity."""
    group, log_analytics = APPS.group("rg-monitor"), workspace(APPS.group("rg-monitor"), "log-platform")
    full = "InsightsMetrics | where Name == 'cx_ipam_available_ips' and Val < 50"
    workload = user_assigned_identity(_GROUP, "id-orders")
    return [
        *flow_log(APPS, network["id"], log_analytics),
        diagnostic_setting(_HUB.of("azureFirewalls", "fw-hub"), log_analytics),
        diagnostic_setting(_GROUP.of("Microsoft.ContainerRegistry/registries", "crplatformcache"), log_analytics),
        log_search_alert(group, "pod-addresses", log_analytics, full),
        workload,
        federated_credential(workload, cluster, "orders:api"),
    ]


def _operated(clusters: list[Body]) -> list[Body]:
    """What is written down and told of the clusters themselves, their backups, and the quotas that they need."""
    group, ids = APPS.group("rg-monitor"), [cluster["id"] for cluster in clusters]
    log_analytics = workspace(group, "log-platform")
    changes = ("networkSecurityGroups", "networkSecurityGroups/securityRules", "routeTables", "routeTables/routes")
    return [
        *(diagnostic_setting(one, log_analytics) for one in ids),
        *(
            metric_alert(group, f"memory-{one.rpartition('/')[2]}", one, "node_memory_working_set_percentage")
            for one in ids
        ),
        activity_log_alert(group, "cluster-health", "ResourceHealth"),
        activity_log_alert(group, "service-health", "ServiceHealth"),
        activity_log_alert(
            group,
            "network-changes",
            "Administrative",
            operationName=[f"Microsoft.Network/{one}/write" for one in changes],
        ),
        *backups(APPS.group("rg-backup"), "bvault-platform", ids),
        core_quotas(APPS, {"cores": (176, 350), "standardDDSv5Family": (176, 300)}),
    ]


def _identities(group: Group, name: str, network: Body) -> list[Body]:
    control, kubelet = (user_assigned_identity(group, f"id-{name}{part}") for part in ("", "-kubelet"))
    registry = _GROUP.of("Microsoft.ContainerRegistry/registries", "crplatformcache")
    given = [
        role_assignment(control, NETWORK_CONTRIBUTOR, network["id"]),
        role_assignment(control, PRIVATE_DNS_ZONE_CONTRIBUTOR, ZONE),
        role_assignment(kubelet, ACR_PULL, registry),
        role_assignment(kubelet, KEY_VAULT_SECRETS_USER, _GROUP.of("Microsoft.KeyVault/vaults", "kv-platform")),
        role_assignment(
            kubelet, STORAGE_BLOB_DATA_CONTRIBUTOR, _GROUP.of("Microsoft.Storage/storageAccounts", "stplatform")
        ),
    ]
    return [control, kubelet, *given]


def _hardening(identities: list[Body]) -> Body:
    """All that both clusters have."""
    log_analytics = workspace(APPS.group("rg-monitor"), "log-platform")
    vault = _GROUP.of("Microsoft.KeyVault/vaults", "kv-platform")
    off = add_on(enabled=False)
    return {
        "identity": user_assigned(identities[:1]),
        "identityProfile": kubelet_identity(identities[1]["id"]),
        "aadProfile": entra(["900daaaa-0000-4000-8000-00000000000a"]),
        "disableLocalAccounts": True,
        "diskEncryptionSetID": _GROUP.of("Microsoft.Compute/diskEncryptionSets", "des-platform"),
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
        "metricsProfile": {"costAnalysis": {"enabled": True}},
        "podIdentityProfile": {"enabled": False},
        "securityProfile": security(log_analytics, vault),
        "nodeResourceGroupProfile": {"restrictionLevel": "ReadOnly"},
        "sku": {"name": "Base", "tier": "Standard"},
        "tags": {"owner": "platform", "environment": "production"},
    }


def _isolated(network: Body) -> list[Body]:
    name = "aks-isolated"
    identities = _identities(_GROUP, name, network)
    nodes = {"vnetSubnetID": subnet_id(network, "snet-isolated")}
    registry = _GROUP.of("Microsoft.ContainerRegistry/registries", "crplatformcache")
    cluster = managed_cluster(
        _GROUP,
        name,
        [hardened_pool("system", 3, **nodes, **_SYSTEM), hardened_pool("apps", 12, **nodes, **_SCALED)],
        networkProfile=overlay(
            "10.244.0.0/16", "10.61.0.0/16", outboundType="none", **encrypted_cilium(),
            loadBalancerProfile={"backendPoolType": "nodeIPConfiguration"},
        ),
        bootstrapProfile={"artifactSource": "Cache", "containerRegistryId": registry},
        nodeResourceGroup=f"rg-{name}-nodes",
        **_hardening(identities),
        **vnet_integrated(_GROUP, name, subnet_id(network, "snet-api-isolated"), ZONE),
    )  # fmt: skip
    return _with_nodes(cluster, identities, "10.60.0.4", subnet_id(network, "snet-ingress"), "10.60.2.4")


def _filtered(network: Body) -> list[Body]:
    name = "aks-filtered"
    identities = _identities(_GROUP, name, network)
    nodes = {
        "vnetSubnetID": subnet_id(network, "snet-filtered"),
        "podSubnetID": subnet_id(network, "snet-filtered-pods"),
        "maxPods": 90,
    }
    pools = [
        hardened_pool("system", 3, **nodes, **_SYSTEM),
        hardened_pool("apps", 20, **nodes, **_SCALED),
        hardened_pool("batch", 6, **nodes, mode="User"),
    ]
    cluster = managed_cluster(
        _GROUP,
        name,
        pools,
        networkProfile=vnet_pods("10.62.0.0/16", **encrypted_cilium(), **own_routes()),
        nodeResourceGroup=f"rg-{name}-nodes",
        **_hardening(identities),
        **vnet_integrated(_GROUP, name, subnet_id(network, "snet-api-filtered"), ZONE),
    )
    return _with_nodes(cluster, identities, "10.60.0.20", subnet_id(network, "snet-ingress"), "10.60.2.5")


def _with_nodes(cluster: Body, identities: list[Body], api: str, ingress: str, address: str) -> list[Body]:
    service = Service("ingress/gateway", address, (443,), ingress)
    safeguards = deployment_safeguards(cluster["id"])
    return [cluster, *identities, safeguards, *NodeGroup(cluster, api=api).bodies([service])]
