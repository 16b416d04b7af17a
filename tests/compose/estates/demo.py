"""The built-in sample estate: five clusters from very good to poor in one subscription, their hub in another.

The hub's route tables were refused, so that the report shows what it says where it may not look: the data cluster is
routed by one of them.
"""

from aks_audit.snapshot import Body, Gap, Listing, Record
from aks_audit.sources.azure.collect import not_asked
from compose.azure import Group, Subscription, child, part, reference
from compose.clusters import (
    MAINTENANCE,
    add_on,
    agent_pool,
    encrypted_cilium,
    entra,
    hardened_pool,
    kubelet_identity,
    kubenet,
    load_balancer_outbound,
    logs,
    maintenance_windows,
    managed_cluster,
    metrics,
    overlay,
    own_routes,
    private_link,
    secrets_provider,
    security,
    user_assigned,
    user_pool,
    vnet_integrated,
    vnet_pods,
)
from compose.data_services import (
    ALL_OF_AZURE,
    KEY_VAULT_SECRETS_USER,
    SHUT,
    STORAGE_BLOB_DATA_CONTRIBUTOR,
    EndpointPlace,
    behind_endpoint,
    disk_encryption_set,
    key_vault,
    sql_server,
    storage_account,
)
from compose.inside import App, Inside, account, block, on, pods_of
from compose.landing_zone import bastion_in, host_of, shells_denied
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
    trust,
)
from compose.networks import (
    allow,
    application_rules,
    attach,
    deny,
    firewall,
    firewall_policy,
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
from compose.roles import ACR_PULL, own_rights
from compose.services import (
    CONTRIBUTOR,
    container_registry,
    deployment_safeguards,
    role_assignment,
    user_assigned_identity,
    workspace,
)
from compose.snapshots import recorded

HUB = Subscription("de300000-0000-4000-8000-000000000001")
APPS = Subscription("de300000-0000-4000-8000-000000000002")
REFUSED = "Microsoft.Network/routeTables"
_HUB = HUB.group("rg-hub")
_NETWORK = APPS.group("rg-network")
_SHARED = APPS.group("rg-shared")
_LINK_ZONE = _HUB.of("privateDnsZones", "privatelink.westeurope.azmk8s.io")
_API_ZONE = _HUB.of("privateDnsZones", "private.westeurope.azmk8s.io")
_PAYMENTS = APPS.group("rg-payments").of("Microsoft.ContainerService/managedClusters", "aks-payments")
_REGISTRY = _SHARED.of("Microsoft.ContainerRegistry/registries", "crapps")
_HUB_ROUTES = _HUB.of("routeTables", "rt-hub-managed")
_READ = "2026-11-20T06:00:07Z"
_INGRESS = child(_NETWORK.of("virtualNetworks", "vnet-apps"), "subnets", "snet-ingress")
_GATEWAY = Service("ingress/gateway", "10.8.0.68", (443,), _INGRESS)
_NGINX = Service("ingress/nginx", "10.8.0.69", subnet=_INGRESS)
_WEB = Service("default/web", "20.71.5.21")
_SYSTEM = {"nodeTaints": ["CriticalAddonsOnly=true:NoSchedule"]}

_NOT_ASKED = (
    "app-credentials",
    "conditional-access",
    "custom-roles",
    "eligible-roles",
    "extensions",
    "fleets",
    "kubernetes-versions",
    "policy-states",
)
"""The optional reads that nobody asked for, so that the report shows how that is told."""


def records() -> list[Record]:
    """The whole estate, with the one gap."""
    hub, *hub_bodies = _hub()
    spoke, *spoke_bodies = _spoke()
    peer(spoke, hub)
    payments, shop, data, web = _payments(spoke), _shop(spoke), _data(spoke), _web(spoke)
    bodies = [hub, *hub_bodies, spoke, *spoke_bodies, *_zones([hub["id"], spoke["id"]], payments[0], shop[0])]
    for cluster in (payments, shop, data, web):
        bodies += cluster
    bodies += [
        *_services(spoke, [hub["id"], spoke["id"]]),
        *_watched(spoke),
        *_workloads(payments[0], shop[0]),
        *_sandbox(),
        *maintenance_windows(payments[0]),
        *defender_plans(HUB),
        *defender_plans(APPS, *IMAGES_SEARCHED),
    ]
    refused = Listing(REFUSED, HUB.id)
    read = recorded([HUB, APPS], bodies, day="2026-11-20", tool="aks-audit (demo)")
    entered = (*_inside_payments(payments[0]).records(_READ), *_inside_shop(shop[0]).records(_READ))
    entered += (*_inside_data(data[0]).records(_READ), *_inside_web(web[0]).records(_READ))
    listed = [Listing(MAINTENANCE, cluster["id"]) for cluster in bodies if cluster["type"] == payments[0]["type"]]
    missed: tuple[Record, ...] = (*listed, *asked_for([HUB, APPS], bodies), *not_asked(_NOT_ASKED), _gap())
    return [*(record for record in read if record != refused), *missed, *entered]


def _gap() -> Gap:
    action = f"{REFUSED}/read"
    reason = f"403 AuthorizationFailed: needs {action} on {HUB.id}"
    return Gap(id=HUB.id, type=REFUSED, reason=reason, status=403, action=action, scope=HUB.id)


def _hub() -> list[Body]:
    own = _HUB.of("virtualNetworks", "vnet-hub")
    names = {"AzureFirewallSubnet": "10.0.1.0/26", "AzureBastionSubnet": "10.0.2.0/26"}
    inside = [subnet(own, name, prefix) for name, prefix in names.items()]
    network = virtual_network(_HUB, "vnet-hub", "10.0.0.0/16", inside)
    public = public_ip(_HUB, "pip-firewall", "20.71.5.10")
    second = public_ip(_HUB, "pip-firewall-2", "20.71.5.11")
    wall = firewall(
        _HUB,
        "fw-hub",
        subnet_id(network, "AzureFirewallSubnet"),
        ("10.0.1.4", public["id"]),
        [second["id"]],
        sku={"name": "AZFW_VNet", "tier": "Premium"},
        firewallPolicy=reference(_HUB.of("firewallPolicies", "fwp-hub")),
    )
    authority = {"keyVaultSecretId": "https://kv-hub.vault.azure.net/secrets/fw-ca", "name": "fw-ca"}
    inspecting = {
        "intrusionDetection": {"mode": "Deny"},
        "transportSecurity": {"certificateAuthority": authority},
        "insights": {"isEnabled": True, "retentionDays": 30},
    }
    rules = firewall_policy(_HUB, "fwp-hub", [wall["id"]], _required(), **inspecting)
    return [network, public, second, wall, *rules, *bastion_in(_HUB, network, "20.71.5.12")]


def _required() -> dict[str, Body]:
    """The rule collection group that lets AKS out, and nothing else."""
    nodes = {"sourceAddresses": ["10.8.1.0/24", "10.8.2.0/24"], "fqdnTags": ["AzureKubernetesService"]}
    allowed = application_rules("aks", 200, {"aks-fqdn-tag": nodes})
    return {"rcg-aks": {"priority": 200, "ruleCollections": [allowed]}}


def _spoke() -> list[Body]:
    strict = security_group(
        _NETWORK,
        "nsg-strict",
        [
            allow("AllowIngressFromHub", 100, "10.0.0.0/16", "443", destinationAddressPrefix="10.8.0.64/26"),
            *shells_denied(),
            deny("DenyInternetInbound", 4000, "Internet"),
        ],
    )
    loose = security_group(
        _NETWORK,
        "nsg-web",
        [
            allow("AllowWeb", 100, "Internet", "", destinationPortRanges=["80", "443"]),
            allow("AllowAdmins", 110, "*", "", destinationPortRanges=["22", "3389"]),
        ],
    )
    routes = route_table(_NETWORK, "rt-apps", [route("to-firewall", "0.0.0.0/0", "VirtualAppliance", "10.0.1.4")])
    own = _NETWORK.of("virtualNetworks", "vnet-apps")
    guarded = {"networkSecurityGroup": reference(strict["id"])}
    routed = {**guarded, "routeTable": reference(routes["id"])}
    api = part(own, "delegations", "aks", {"serviceName": "Microsoft.ContainerService/managedClusters"})
    network = virtual_network(
        _NETWORK,
        "vnet-apps",
        "10.8.0.0/16",
        [
            subnet(own, "snet-payments-api", "10.8.0.0/28", **guarded, delegations=[api]),
            subnet(own, "snet-ingress", "10.8.0.64/26", **routed),
            subnet(own, "snet-endpoints", "10.8.0.128/26", **guarded),
            subnet(own, "snet-payments", "10.8.1.0/24", **routed),
            subnet(own, "snet-shop", "10.8.2.0/24", **routed),
            subnet(own, "snet-shop-pods", "10.8.16.0/20", **routed),
            subnet(own, "snet-data", "10.8.3.0/24", routeTable=reference(_HUB_ROUTES)),
            subnet(own, "snet-web", "10.8.4.0/22", networkSecurityGroup=reference(loose["id"])),
        ],
    )
    attach([network], [strict, loose, routes])
    return [network, strict, loose, routes]


def _zones(links: list[str], payments: Body, shop: Body) -> list[Body]:
    api = private_zone(_HUB, "private.westeurope.azmk8s.io", links, {host_of(payments): "10.8.0.4"})
    return [*api, *private_zone(_HUB, "privatelink.westeurope.azmk8s.io", links, {host_of(shop): "10.8.2.4"})]


def _services(network: Body, links: list[str]) -> list[Body]:
    """The registry and the vault of payments, as they should be; the storage account of the shop is open besides."""
    restricted = policies(exports=False, arm_audience=False, retention=True)
    registry = container_registry(_SHARED, "crapps", policies=restricted)
    vault = key_vault(APPS.group("rg-payments"), "kv-payments")
    unruly = {"publicNetworkAccess": "Enabled", "networkAcls": {**SHUT, "defaultAction": "Allow"}}
    store = storage_account(_SHARED, "stshop", **unruly)
    servers = sql_server(_SHARED, "sql-data", {"AllowAllWindowsAzureIps": ALL_OF_AZURE})
    place = EndpointPlace(_SHARED, network, "snet-endpoints", _HUB, links)
    images = {"crapps.westeurope.data": "10.8.0.132", "crapps": "10.8.0.133"}
    return [
        *(registry, vault, store, *servers, disk_encryption_set(APPS.group("rg-payments"), "des-payments", vault)),
        *behind_endpoint(place, registry, "azurecr.io", "privatelink.azurecr.io", images),
        *behind_endpoint(
            place, vault, "vault.azure.net", "privatelink.vaultcore.azure.net", {"kv-payments": "10.8.0.134"}
        ),
    ]


def _watched(network: Body) -> list[Body]:
    """What is written down of network and firewall, and the alerts for the shop's addresses and the web's ports."""
    group, log_analytics = APPS.group("rg-monitor"), workspace(APPS.group("rg-monitor"), "log-apps")
    full = "InsightsMetrics | where Name == 'cx_ipam_available_ips' and Val < 50"
    balancer = APPS.group("MC_rg-web_aks-web_westeurope").of("loadBalancers", "kubernetes")
    return [
        *flow_log(APPS, network["id"], log_analytics),
        diagnostic_setting(_HUB.of("azureFirewalls", "fw-hub"), log_analytics),
        diagnostic_setting(_REGISTRY, log_analytics),
        log_search_alert(group, "pod-addresses", log_analytics, full),
        metric_alert(group, "snat-ports", balancer, "UsedSnatPorts"),
        diagnostic_setting(_PAYMENTS, log_analytics),
        metric_alert(group, "payments-memory", _PAYMENTS, "node_memory_working_set_percentage"),
        activity_log_alert(group, "cluster-health", "ResourceHealth"),
        activity_log_alert(group, "service-health", "ServiceHealth"),
        activity_log_alert(group, "changes", "Administrative", resourceGroup=["rg-network"]),
        *backups(APPS.group("rg-backup"), "bvault-payments", [_PAYMENTS]),
        core_quotas(APPS, {"cores": (120, 350), "standardDDSv5Family": (120, 200)}),
    ]


def _workloads(payments: Body, shop: Body) -> list[Body]:
    """Identities of workloads; a pipeline in a forge may be that of the shop, too."""
    ledger = user_assigned_identity(APPS.group("rg-payments"), "id-ledger")
    catalogue = user_assigned_identity(APPS.group("rg-shop"), "id-catalogue")
    pipeline = "repo:contoso/catalogue:ref:refs/heads/main"
    return [
        *(ledger, federated_credential(ledger, payments, "ledger:api")),
        *(catalogue, federated_credential(catalogue, shop, "catalogue:web")),
        trust(catalogue, "pipeline", "https://token.actions.githubusercontent.com", pipeline),
    ]


def _team(name: str) -> tuple[Group, Body, Body]:
    """A team's group, and the identities of its cluster and of its kubelets."""
    group = APPS.group(f"rg-{name}")
    return group, user_assigned_identity(group, f"id-{name}"), user_assigned_identity(group, f"id-{name}-kubelet")


def _payments(network: Body) -> list[Body]:
    group, control, kubelet = _team("payments")
    nodes = {"vnetSubnetID": subnet_id(network, "snet-payments")}
    log_analytics = workspace(APPS.group("rg-monitor"), "log-apps")
    off = add_on(enabled=False)
    cluster = managed_cluster(
        group,
        "aks-payments",
        [
            hardened_pool("system", 3, **nodes, **_SYSTEM),
            hardened_pool("apps", 6, **nodes, mode="User", enableAutoScaling=True, minCount=6, maxCount=12),
        ],
        nodeResourceGroup="rg-payments-nodes",
        metricsProfile={"costAnalysis": {"enabled": True}},
        networkProfile=overlay("10.244.0.0/16", "10.9.0.0/16", **encrypted_cilium(), **own_routes()),
        tags={"owner": "payments", "environment": "production"},
        identity=user_assigned([control]),
        identityProfile=kubelet_identity(kubelet["id"]),
        aadProfile=entra(["de3aaaaa-0000-4000-8000-00000000000a"]),
        disableLocalAccounts=True,
        publicNetworkAccess="Disabled",
        addonProfiles={
            "azureKeyvaultSecretsProvider": secrets_provider(),
            "azurepolicy": add_on(),
            "httpApplicationRouting": off,
            "kubeDashboard": off,
            "omsagent": logs(log_analytics),
            "openServiceMesh": off,
        },
        autoUpgradeProfile={"upgradeChannel": "stable", "nodeOSUpgradeChannel": "NodeImage"},
        azureMonitorProfile=metrics(),
        podIdentityProfile={"enabled": False},
        securityProfile={
            **security(log_analytics, group.of("Microsoft.KeyVault/vaults", "kv-payments")),
            "imageIntegrity": {"enabled": True},
        },
        nodeResourceGroupProfile={"restrictionLevel": "ReadOnly"},
        sku={"name": "Base", "tier": "Standard"},
        diskEncryptionSetID=group.of("Microsoft.Compute/diskEncryptionSets", "des-payments"),
        **vnet_integrated(group, "aks-payments", subnet_id(network, "snet-payments-api"), _API_ZONE),
    )
    made = NodeGroup(cluster, api="10.8.0.4").bodies([_GATEWAY])
    rights = [*own_rights(cluster), role_assignment(kubelet, ACR_PULL, _REGISTRY)]
    rights.append(
        role_assignment(kubelet, KEY_VAULT_SECRETS_USER, group.of("Microsoft.KeyVault/vaults", "kv-payments"))
    )
    return [cluster, control, kubelet, deployment_safeguards(cluster["id"]), *rights, *made]


def _shop(network: Body) -> list[Body]:
    group, control, kubelet = _team("shop")
    nodes = {
        "vnetSubnetID": subnet_id(network, "snet-shop"),
        "podSubnetID": subnet_id(network, "snet-shop-pods"),
        "maxPods": 60,
        "availabilityZones": ["1", "2", "3"],
    }
    cluster = managed_cluster(
        group,
        "aks-shop",
        [agent_pool("system", 3, **nodes, **_SYSTEM), user_pool("apps", 5, **nodes), user_pool("search", 3, **nodes)],
        networkProfile=vnet_pods("10.10.0.0/16", networkPolicy="calico", **own_routes()),
        identity=user_assigned([control]),
        identityProfile=kubelet_identity(kubelet["id"]),
        aadProfile=entra(["de3aaaaa-0000-4000-8000-00000000000b"], azure_rbac=False),
        disableLocalAccounts=True,
        addonProfiles={
            "azureKeyvaultSecretsProvider": secrets_provider("false"),
            "azurepolicy": add_on(),
            "omsagent": logs(workspace(APPS.group("rg-monitor"), "log-apps")),
        },
        autoUpgradeProfile={"upgradeChannel": "patch", "nodeOSUpgradeChannel": "NodeImage"},
        sku={"name": "Base", "tier": "Standard"},
        **private_link(group, "aks-shop", _LINK_ZONE),
    )
    store = _SHARED.of("Microsoft.Storage/storageAccounts", "stshop")
    rights = [*own_rights(cluster), role_assignment(kubelet, STORAGE_BLOB_DATA_CONTRIBUTOR, store)]
    rights.append(role_assignment(kubelet, ACR_PULL, _REGISTRY))
    return [cluster, control, kubelet, *rights, *NodeGroup(cluster, api="10.8.2.4").bodies([_NGINX])]


def _data(network: Body) -> list[Body]:
    group, control, _ = _team("data")
    nodes = {"vnetSubnetID": subnet_id(network, "snet-data"), "maxPods": 110}
    cluster = managed_cluster(
        group,
        "aks-data",
        [agent_pool("default", 3, **nodes), user_pool("spark", 9, **nodes)],
        networkProfile=kubenet("10.245.0.0/16", "10.11.0.0/16", networkPolicy="calico", **own_routes()),
        identity=user_assigned([control]),
        autoUpgradeProfile={"upgradeChannel": "stable", "nodeOSUpgradeChannel": "NodeImage"},
        currentKubernetesVersion="1.33.5",
        **private_link(group, "aks-data"),
    )
    server = role_assignment(control, CONTRIBUTOR, _SHARED.of("Microsoft.Sql/servers", "sql-data"))
    return [cluster, control, server, *own_rights(cluster), *NodeGroup(cluster, api="10.8.3.4").bodies()]


def _web(network: Body) -> list[Body]:
    group = APPS.group("rg-web")
    nodes = {"vnetSubnetID": subnet_id(network, "snet-web"), "maxPods": 30}
    node_group = "MC_rg-web_aks-web_westeurope"
    cluster = managed_cluster(
        group,
        "aks-web",
        [agent_pool("nodepool1", 2, **nodes), user_pool("games", 3, **nodes, enableNodePublicIP=True)],
        networkProfile=vnet_pods("172.10.0.0/16", **load_balancer_outbound(group, "aks-web", node_group)),
        apiServerAccessProfile={"authorizedIPRanges": ["0.0.0.0/1", "128.0.0.0/1"]},
        addonProfiles={"httpApplicationRouting": add_on(), "kubeDashboard": add_on()},
        autoUpgradeProfile=None,
        currentKubernetesVersion="1.31.13",
    )
    made = NodeGroup(cluster, outbound="20.71.5.20").bodies([_WEB])
    return [cluster, *own_rights(cluster), *made]


def _sandbox() -> list[Body]:
    cluster = managed_cluster(APPS.group("rg-sandbox"), "aks-sandbox", [agent_pool("nodepool1", 1)])
    return [cluster, *NodeGroup(cluster, outbound="20.71.5.30").bodies()]


def _image(name: str, tag: str) -> str:
    return f"crapps.azurecr.io/{name}:{tag}@sha256:{'1f' * 32}"


def _gateway_of(inside: Inside, app: App, front: Service, *leads_to: App) -> None:
    """A gateway in a namespace of its own, which the hub reaches, and which reaches the applications behind it."""
    inside.namespace(app.namespace)
    inside.app(app, front)
    hub = [{"from": [block("10.0.0.0/16")], "ports": [on(app.port)]}]
    behind = [{"to": [pods_of(one.namespace, **one.labels)], "ports": [on(one.port)]} for one in leads_to]
    inside.policy(app.namespace, "allow-gateway", app.labels, ingress=hub, egress=behind)
    for one in leads_to:
        to_it = [{"from": [pods_of(app.namespace, **app.labels)], "ports": [on(one.port)]}]
        inside.policy(one.namespace, f"allow-{one.name}", one.labels, ingress=to_it)


def _inside_payments(cluster: Body) -> Inside:
    """As it should be: one application, its gateway, and a policy for every connection."""
    inside = Inside(cluster, "10.8.1.4", "10.244.0.0/16")
    inside.cilium()
    client = user_assigned_identity(APPS.group("rg-payments"), "id-ledger")["properties"]["clientId"]
    api = App("ledger", "api", _image("ledger/api", "3.2.0"), use=client)
    for name in ("default", "ledger"):
        inside.namespace(name)
    inside.app(api)
    inside.ingress(api, "ledger.example.com", _GATEWAY.address)
    to_vault = [{"to": [block("10.8.0.128/26")], "ports": [on(443)]}]
    inside.policy("ledger", "allow-vault", api.labels, egress=to_vault)
    inside.readers("ledger", "de3bbbbb-0000-4000-8000-00000000000a")
    _gateway_of(inside, App("ingress", "gateway", _image("platform/gateway", "2.1.0"), 8443), _GATEWAY, api)
    return inside


def _inside_shop(cluster: Body) -> Inside:
    """Good but for its tools: there anything may come and go."""
    inside = Inside(cluster, "10.8.2.5", "10.8.16.4")
    inside.calico()
    client = user_assigned_identity(APPS.group("rg-shop"), "id-catalogue")["properties"]["clientId"]
    web = App("catalogue", "web", _image("shop/web", "1.4.2"), use=client)
    search = App("catalogue", "search", _image("shop/search", "0.9.1"))
    inside.namespace("catalogue")
    for app in (web, search):
        inside.app(app)
    inside.ingress(web, "shop.example.com", _NGINX.address)
    inside.policy("catalogue", "allow-search", search.labels, ingress=[_from_pods(web, search.port)])
    egress = [{"to": [pods_of("catalogue", **search.labels)], "ports": [on(search.port)]}]
    egress.append({"to": [block("0.0.0.0/0")], "ports": [on(443)]})
    inside.policy("catalogue", "allow-out", web.labels, egress=egress)
    inside.readers("catalogue", "de3bbbbb-0000-4000-8000-00000000000b")
    _gateway_of(inside, App("ingress", "nginx", _image("platform/nginx", "1.13.2"), 8443), _NGINX, web)
    inside.namespace("tools", "baseline", fenced=False)
    unlimited = {"resources": None}
    inside.app(App("tools", "mailer", "crapps.azurecr.io/tools/mailer:latest", replicas=1, container=unlimited))
    return inside


def _from_pods(app: App, port: int) -> Body:
    return {"from": [pods_of(app.namespace, **app.labels)], "ports": [on(port)]}


_LOOSE = {"securityContext": None, "resources": None, "livenessProbe": None, "readinessProbe": None}
_CARELESS = {"automountServiceAccountToken": True, "securityContext": {}}


def _inside_data(cluster: Body) -> Inside:
    """No policies, a privileged agent with the node's files, and an account that may do everything."""
    inside = Inside(cluster, "10.8.3.5", "10.245.0.0/16")
    inside.calico()
    inside.namespace("spark", "", fenced=False)
    files = {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}
    privileged = {**_LOOSE, "securityContext": {"privileged": True}}
    inside.app(App("spark", "driver", "docker.io/apache/spark:3.5.1", 4040, 1, _CARELESS, _LOOSE))
    inside.app(App("spark", "agent", "crapps.azurecr.io/data/agent:7", 9100, 1, {**_CARELESS, **files}, privileged))
    inside.bind("spark-driver", "cluster-admin", account("spark", "driver"))
    return inside


def _inside_web(cluster: Body) -> Inside:
    """Everything in the default namespace, open to the internet, with an account that may do everything."""
    inside = Inside(cluster, "10.8.4.4", "10.8.4.64")
    web = App("default", "web", "nginx", 80, 2, {**_CARELESS, "serviceAccountName": "default"}, _LOOSE)
    inside.app(web, _WEB)
    on_node = {**_CARELESS, "hostNetwork": True}
    inside.app(App("default", "games", "docker.io/games/server:latest", 7777, 1, on_node, _LOOSE))
    inside.bind("default-admin", "cluster-admin", account("default", "default"))
    return inside
