"""What is read of a subscription: one list call a type, and the types that references are followed to.

Source: the api-versions of azure-mgmt-containerservice 41.8, azure-mgmt-network 33.1 and azure-mgmt-privatedns 2.0,
and for compute, authorization, registries, identities, alerts and backups those of the REST API reference in autumn
2026.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_CONTAINER_SERVICE = "2026-08-01"
_NETWORK = "2026-03-01"
_PRIVATE_DNS = "2024-06-01"
_DNS_RESOLVER = "2025-05-01"
_COMPUTE = "2025-04-01"
_SQL = "2023-08-01"
_DATA_PROTECTION = "2026-03-01"
_FLEETS = "2026-06-01"

SUBSCRIPTIONS = "2022-12-01"
"""The api-version of the list of subscriptions."""

CLUSTERS = "Microsoft.ContainerService/managedClusters"
PERMISSIONS = "Microsoft.Authorization/permissions"
"""The type of the list of what who asks is permitted; every scope has one."""

ROLE_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
SCALE_SETS = "Microsoft.Compute/virtualMachineScaleSets"
SUBSCRIPTION = "Microsoft.Resources/subscriptions"

APPLICATIONS = "Microsoft.Graph/applications"
"""The type by which a snapshot knows applications, of which Microsoft Graph tells, and not Azure Resource Manager."""

DIRECTORY = "/providers/Microsoft.Graph"
"""What the ids of what Microsoft Graph tells begin with; itself it has none of this form."""

ACCESS_POLICIES = "Microsoft.Graph/conditionalAccessPolicies"
"""The type by which a snapshot knows policies of conditional access, of which Microsoft Graph tells, too."""

ACCESS = f"{DIRECTORY}/identity/conditionalAccess"
"""What a snapshot says holds them."""

SERVICE_PRINCIPAL = "aks-audit/servicePrincipal"
"""Stands for what a cluster signs in as where it has no managed identity; no resource is of this type."""

REGION = "aks-audit/region"
"""Stands for a region in which a subscription has clusters; no resource is of this type."""

POLICY_STATES = "policy-states"
"""The name of the one optional read that is made of Azure Resource Graph."""

STATES = "Microsoft.PolicyInsights/policyStates"
BATCH = "aks-audit/batch"
"""Stands for as many subscriptions as a query of Resource Graph is about; no resource is of this type."""

STATELESS = "aks-audit/stateless"
"""Stands for a subscription with a cluster of which Resource Graph tells no state of a policy."""

TENANT = "aks-audit/tenant"
"""Stands for the tenant that whoever scans has signed in to; no resource is of this type."""

APP_CREDENTIALS = "app-credentials"
CONDITIONAL_ACCESS = "conditional-access"
OF_DIRECTORY = (APP_CREDENTIALS, CONDITIONAL_ACCESS)
"""The names of the optional reads that are made of Microsoft Graph."""

FLEETS = "Microsoft.ContainerService/fleets"
BACKUP_VAULTS = "Microsoft.DataProtection/backupVaults"
IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"
FIREWALLS = "Microsoft.Network/azureFirewalls"
GATEWAYS = "Microsoft.Network/virtualNetworkGateways"
NETWORK_WATCHERS = "Microsoft.Network/networkWatchers"
REGISTRIES = "Microsoft.ContainerRegistry/registries"
RESOLVERS = "Microsoft.Network/dnsResolvers"
RULESETS = "Microsoft.Network/dnsForwardingRulesets"
VIRTUAL_HUBS = "Microsoft.Network/virtualHubs"
SQL_SERVERS = "Microsoft.Sql/servers"

LISTED: dict[str, str] = {
    CLUSTERS: _CONTAINER_SERVICE,
    "Microsoft.Network/virtualNetworks": _NETWORK,
    "Microsoft.Network/networkSecurityGroups": _NETWORK,
    "Microsoft.Network/routeTables": _NETWORK,
    "Microsoft.Network/privateEndpoints": _NETWORK,
    "Microsoft.Network/networkInterfaces": _NETWORK,
    "Microsoft.Network/loadBalancers": _NETWORK,
    "Microsoft.Network/publicIPAddresses": _NETWORK,
    "Microsoft.Network/natGateways": _NETWORK,
    FIREWALLS: _NETWORK,
    "Microsoft.Network/firewallPolicies": _NETWORK,
    "Microsoft.Network/privateDnsZones": _PRIVATE_DNS,
    SCALE_SETS: _COMPUTE,
    ROLE_ASSIGNMENTS: "2022-04-01",
    REGISTRIES: "2025-04-01",
    IDENTITIES: "2024-11-30",
}
"""The types that are listed in every subscription of the scope, one call each, and their api-versions."""

IF_RESOLVER: dict[str, str] = {RESOLVERS: _DNS_RESOLVER, RULESETS: _DNS_RESOLVER}
"""The types that are listed, too, where some network has a subnet for a DNS resolver, and their api-versions."""

IF_VIRTUAL_HUB: dict[str, str] = {VIRTUAL_HUBS: _NETWORK}
"""The types that are listed, too, where some network is connected to a Virtual WAN hub, and their api-versions."""

_IF_SEEN = (
    *(("a network has a DNS resolver", kind) for kind in IF_RESOLVER),
    *(("a network is connected to a Virtual WAN hub", kind) for kind in IF_VIRTUAL_HUB),
)

GRAPH_VERSIONS: dict[str, str] = {
    CLUSTERS: _CONTAINER_SERVICE,
    **{kind: "2020-11-01" for kind, version in LISTED.items() if version == _NETWORK},
    SCALE_SETS: "2020-12-01",
}
"""The oldest api-version in which a row of Resource Graph holds all that our facts read, by type.

Graph reads a resource in a version that it chooses, mostly the newest, and tells which. What came later than that
version is not in the row, and would be taken for absent. The facts of networks are as old as these types.
"""

GRAPH_SUBSCRIPTIONS = 250
"""How many subscriptions a query of Resource Graph is about; Azure advises less than 300."""

GRAPH_ROWS = 1000
"""How many rows an answer of Resource Graph may hold; it gives no more."""

_FOLLOWED_IF_LISTED = (
    "Microsoft.Network/virtualNetworks",
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.Network/routeTables",
    "Microsoft.Network/natGateways",
    "Microsoft.Network/azureFirewalls",
    "Microsoft.Network/firewallPolicies",
    "Microsoft.Network/publicIPAddresses",
    "Microsoft.Network/privateDnsZones",
    "Microsoft.Network/privateEndpoints",
    IDENTITIES,
    REGISTRIES,
)
FOLLOWED: dict[str, str] = {
    **{kind.lower(): LISTED[kind] for kind in _FOLLOWED_IF_LISTED},
    "microsoft.compute/diskencryptionsets": "2024-03-02",
    "microsoft.keyvault/vaults": "2024-11-01",
    "microsoft.network/applicationgateways": _NETWORK,
    "microsoft.network/applicationgatewaywebapplicationfirewallpolicies": _NETWORK,
    "microsoft.network/ipgroups": _NETWORK,
    "microsoft.network/publicipprefixes": _NETWORK,
    GATEWAYS.lower(): _NETWORK,
    SQL_SERVERS.lower(): _SQL,
    "microsoft.storage/storageaccounts": "2024-01-01",
}
"""The types (lower case) that a reference is followed to where it leaves the scope, and their api-versions."""


class Read(NamedTuple):
    """A read that is made for single resources: its path below the resource, type of what it gives, api-version.

    `of`: the types of the resources that it is made for. `whole`: the items are no resources with ids, but have this,
    and all of them make one resource. `missed`: a rule asks for it, so that a scan without it has a gap. `query`: what
    its URL ends in. A read of a region is made below its subscription; `{region}` in the path stands for its name.
    """

    path: str
    type: str
    api_version: str
    of: tuple[str, ...] = (CLUSTERS,)
    whole: str = ""
    missed: bool = False
    query: str = ""

    @property
    def price(self) -> str:
        """What it costs: `1 call a cluster`."""
        return f"1 call {'for' if self.of == (BATCH,) else 'a'} {' and a '.join(_CALLED[kind] for kind in self.of)}"


_CALLED = {
    CLUSTERS: "cluster",
    BACKUP_VAULTS: "backup vault",
    FIREWALLS: "firewall",
    FLEETS: "fleet",
    IDENTITIES: "user-assigned identity",
    GATEWAYS: "virtual network gateway",
    NETWORK_WATCHERS: "network watcher",
    REGION: "region of clusters",
    REGISTRIES: "registry",
    SQL_SERVERS: "SQL server that a cluster leads to",
    RESOLVERS: "DNS resolver",
    RULESETS: "DNS forwarding ruleset",
    STATELESS: "subscription with a cluster that no state is told of",
    SUBSCRIPTION: "subscription",
    SERVICE_PRINCIPAL: "service principal of a cluster",
    BATCH: f"{GRAPH_SUBSCRIPTIONS} subscriptions",
    TENANT: "tenant",
    VIRTUAL_HUBS: "Virtual WAN hub",
}


_ZONES = ("Microsoft.Network/privateDnsZones",)
_POLICIES = ("Microsoft.Network/firewallPolicies",)

ZONE_READS = (
    Read("virtualNetworkLinks", "Microsoft.Network/privateDnsZones/virtualNetworkLinks", _PRIVATE_DNS, _ZONES),
    Read("ALL", "Microsoft.Network/privateDnsZones/A", _PRIVATE_DNS, _ZONES),
)
"""The two reads of a relevant private DNS zone."""

POLICY_READS = (
    Read("ruleCollectionGroups", "Microsoft.Network/firewallPolicies/ruleCollectionGroups", _NETWORK, _POLICIES),
)
"""The read of a firewall policy."""

RESOLVER_READS = (
    Read("inboundEndpoints", f"{RESOLVERS}/inboundEndpoints", _DNS_RESOLVER, (RESOLVERS,)),
    Read("forwardingRules", f"{RULESETS}/forwardingRules", _DNS_RESOLVER, (RULESETS,)),
    Read("virtualNetworkLinks", f"{RULESETS}/virtualNetworkLinks", _DNS_RESOLVER, (RULESETS,)),
)
"""The reads of DNS resolvers and their rulesets. Rulesets name outbound endpoints, whose ids name their resolvers."""

HUB_READS = (
    Read("hubVirtualNetworkConnections", f"{VIRTUAL_HUBS}/hubVirtualNetworkConnections", _NETWORK, (VIRTUAL_HUBS,)),
    Read("routingIntent", f"{VIRTUAL_HUBS}/routingIntent", _NETWORK, (VIRTUAL_HUBS,)),
)
"""The reads of a Virtual WAN hub."""

SERVER_READS = (Read("firewallRules", f"{SQL_SERVERS}/firewallRules", _SQL, (SQL_SERVERS,)),)
"""The read of a SQL server that a cluster leads to."""


GATEWAY_READS = (Read("connections", "Microsoft.Network/connections", _NETWORK, (GATEWAYS,)),)
"""The read of a virtual network gateway: its connections, which have no list by subscription."""


def _list(kind: str, api_version: str, query: str = "") -> Read:
    """The list of a type in a subscription, which a rule asks for."""
    return Read(f"providers/{kind}", kind, api_version, (SUBSCRIPTION,), missed=True, query=query)


PART_READS = (*ZONE_READS, *POLICY_READS, *GATEWAY_READS, *RESOLVER_READS, *HUB_READS, *SERVER_READS)
"""All reads of single resources that nobody has to ask for."""


OPTIONAL: dict[str, tuple[Read, ...]] = {
    "alerts": (
        _list("Microsoft.Insights/metricAlerts", "2018-03-01"),
        _list("Microsoft.Insights/scheduledQueryRules", "2023-12-01"),
        _list("Microsoft.Insights/activityLogAlerts", "2020-10-01"),
        _list("Microsoft.AlertsManagement/prometheusRuleGroups", "2023-03-01"),
    ),
    APP_CREDENTIALS: (Read("applications", APPLICATIONS, "v1.0", (SERVICE_PRINCIPAL,), missed=True),),
    "backups": (
        _list(BACKUP_VAULTS, _DATA_PROTECTION),
        Read("backupInstances", f"{BACKUP_VAULTS}/backupInstances", _DATA_PROTECTION, (BACKUP_VAULTS,), missed=True),
    ),
    CONDITIONAL_ACCESS: (Read("identity/conditionalAccess/policies", ACCESS_POLICIES, "v1.0", (TENANT,), missed=True),),
    "custom-roles": (
        _list("Microsoft.Authorization/roleDefinitions", "2022-04-01", "&$filter=type%20eq%20'CustomRole'"),
    ),
    "defender-plans": (_list("Microsoft.Security/pricings", "2024-01-01"),),
    "deployment-safeguards": (
        Read(
            "providers/Microsoft.ContainerService/deploymentSafeguards",
            "Microsoft.ContainerService/deploymentSafeguards",
            "2025-07-01",
            missed=True,
        ),
    ),
    "diagnostic-settings": (
        Read(
            "providers/Microsoft.Insights/diagnosticSettings",
            "Microsoft.Insights/diagnosticSettings",
            "2021-05-01-preview",
            (CLUSTERS, FIREWALLS, REGISTRIES),
            missed=True,
        ),
    ),
    "eligible-roles": (_list("Microsoft.Authorization/roleEligibilityScheduleInstances", "2020-10-01"),),
    "extensions": (
        Read(
            "providers/Microsoft.KubernetesConfiguration/extensions",
            "Microsoft.KubernetesConfiguration/extensions",
            "2024-11-01",
            missed=True,
        ),
    ),
    "federated-credentials": (
        Read(
            "federatedIdentityCredentials",
            f"{IDENTITIES}/federatedIdentityCredentials",
            "2024-11-30",
            (IDENTITIES,),
            missed=True,
        ),
    ),
    "fleets": (
        _list(FLEETS, _FLEETS),
        Read("members", f"{FLEETS}/members", _FLEETS, (FLEETS,), missed=True),
    ),
    "flow-logs": (
        _list(NETWORK_WATCHERS, _NETWORK),
        Read("flowLogs", f"{NETWORK_WATCHERS}/flowLogs", _NETWORK, (NETWORK_WATCHERS,), missed=True),
    ),
    "kubernetes-versions": (
        Read(
            "providers/Microsoft.ContainerService/locations/{region}/kubernetesVersions",
            "Microsoft.ContainerService/locations/kubernetesVersions",
            _CONTAINER_SERVICE,
            (REGION,),
            whole="patchVersions",
            missed=True,
        ),
    ),
    "maintenance-configurations": (
        Read("maintenanceConfigurations", f"{CLUSTERS}/maintenanceConfigurations", _CONTAINER_SERVICE, missed=True),
    ),
    "outbound-endpoints": (
        Read(
            "outboundNetworkDependenciesEndpoints",
            f"{CLUSTERS}/outboundNetworkDependenciesEndpoints",
            _CONTAINER_SERVICE,
            whole="endpoints",
        ),
    ),
    POLICY_STATES: (
        Read("providers/Microsoft.ResourceGraph/resources", STATES, "2024-04-01", (BATCH,), missed=True),
        Read(f"providers/{PERMISSIONS}", PERMISSIONS, "2022-04-01", (STATELESS,)),
    ),
    "quotas": (
        Read(
            "providers/Microsoft.Compute/locations/{region}/usages",
            "Microsoft.Compute/locations/usages",
            "2025-11-01",
            (REGION,),
            whole="name",
            missed=True,
        ),
    ),
}
"""Reads that are made only where they are asked for by name; those of a name after each other, as they stand."""


def optional(names: Iterable[str]) -> tuple[Read, ...]:
    """The optional reads of some names."""
    return tuple(read for name in names for read in OPTIONAL[name])


def describe(
    subscriptions: Sequence[str], names: Sequence[str], *, graph: bool = False, elsewhere: int | None = None
) -> str:
    """The plan of a scan in words, with what it costs in calls; `names`: the optional reads, `graph`: its source.

    `elsewhere` is how many subscriptions other shares of the fleet have, None where it is not shared out.
    """
    lines = [
        *(_by_graph(subscriptions) if graph else _by_lists(subscriptions)),
        f"{len(ZONE_READS)} calls a private DNS zone that is relevant: {', '.join(r.path for r in ZONE_READS)}",
        f"{len(POLICY_READS)} call a firewall policy: {', '.join(r.path for r in POLICY_READS)}",
        f"{len(GATEWAY_READS)} call a virtual network gateway: {', '.join(r.path for r in GATEWAY_READS)}",
        *_by_signs(elsewhere),
        *(f"{read.price}: {read.path}" for read in (*RESOLVER_READS, *HUB_READS, *SERVER_READS)),
        "1 call a resource that a cluster leads to beyond these subscriptions, and a vault, a storage account",
        "  or a SQL server that it leads to anywhere",
    ]
    for name, reads in OPTIONAL.items():
        asked = "asked for" if name in names else f"not asked for; --read {name}"
        lines += [f"{read.price}: {read.path}{', by POST' if read.of == (BATCH,) else ''} ({asked})" for read in reads]
    return "\n".join(lines) + "\n"


def _by_signs(elsewhere: int | None) -> Iterator[str]:
    if elsewhere is None:
        yield from (f"1 call a subscription, where {told}: GET providers/{kind}" for told, kind in _IF_SEEN)
        return
    told = "as a network of another shard may call for it"
    yield from (f"1 call a subscription, {told}: GET providers/{kind}" for _, kind in _IF_SEEN)
    yield f"1 call a subscription of other shards, of which there are {elsewhere:,}: GET providers/{ROLE_ASSIGNMENTS}"


def _by_lists(subscriptions: Sequence[str]) -> Iterator[str]:
    least = 1 + len(subscriptions) * len(LISTED)
    yield f"to read Azure, at least {least:,} calls, all of them GET; lists of more than one page cost one more a page"
    yield from ("", "1 call: GET /subscriptions")
    for subscription in subscriptions:
        yield f"{len(LISTED)} calls: {subscription}"
        yield from (f"  GET providers/{kind}" for kind in LISTED)


def _by_graph(subscriptions: Sequence[str]) -> Iterator[str]:
    queries = 3 * math.ceil(len(subscriptions) / GRAPH_SUBSCRIPTIONS)
    yield f"to read Azure, at least {1 + len(subscriptions) + queries:,} calls; all are GET, but for the queries"
    yield from ("", "1 call: GET /subscriptions")
    yield from (f"1 call: GET {one}/providers/{PERMISSIONS}" for one in subscriptions)
    yield f"{queries} queries: POST /providers/Microsoft.ResourceGraph/resources"
    yield f"  3 for each {GRAPH_SUBSCRIPTIONS} subscriptions, and one more for each further {GRAPH_ROWS:,} rows"
    yield from (f"  {kind}" for kind in (SUBSCRIPTION, *LISTED))
    yield "1 call for each of these lists in a subscription that Resource Graph does not have whole: GET"
