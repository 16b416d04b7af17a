"""What is read of a subscription: one list call a type, and the types that references are followed to.

Source: the api-versions of azure-mgmt-containerservice 41.8, azure-mgmt-network 33.1 and azure-mgmt-privatedns 2.0,
and for compute, authorization, registries and identities those of the REST API reference in autumn 2026.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_CONTAINER_SERVICE = "2026-08-01"
_NETWORK = "2026-03-01"
_PRIVATE_DNS = "2024-06-01"
_COMPUTE = "2025-04-01"

SUBSCRIPTIONS = "2022-12-01"
"""The api-version of the list of subscriptions."""

CLUSTERS = "Microsoft.ContainerService/managedClusters"
ROLE_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
SCALE_SETS = "Microsoft.Compute/virtualMachineScaleSets"
SUBSCRIPTION = "Microsoft.Resources/subscriptions"

IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"

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
    "Microsoft.Network/azureFirewalls": _NETWORK,
    "Microsoft.Network/firewallPolicies": _NETWORK,
    "Microsoft.Network/privateDnsZones": _PRIVATE_DNS,
    SCALE_SETS: _COMPUTE,
    ROLE_ASSIGNMENTS: "2022-04-01",
    "Microsoft.ContainerRegistry/registries": "2025-04-01",
    IDENTITIES: "2024-11-30",
}
"""The types that are listed in every subscription of the scope, one call each, and their api-versions."""

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
    "Microsoft.Network/privateDnsZones",
    IDENTITIES,
)
FOLLOWED: dict[str, str] = {
    **{kind.lower(): LISTED[kind] for kind in _FOLLOWED_IF_LISTED},
    "microsoft.network/ipgroups": _NETWORK,
    "microsoft.network/virtualnetworkgateways": _NETWORK,
}
"""The types (lower case) that a reference is followed to where it leaves the scope, and their api-versions."""


class Read(NamedTuple):
    """A read that is made for single resources: its path below the resource, type of what it gives, api-version.

    `whole`: the items are no resources with ids, and all of them make one resource. `missed`: a rule asks for it, so
    that a scan without it has a gap.
    """

    path: str
    type: str
    api_version: str
    whole: bool = False
    missed: bool = False


ZONE_READS = (
    Read("virtualNetworkLinks", "Microsoft.Network/privateDnsZones/virtualNetworkLinks", _PRIVATE_DNS),
    Read("ALL", "Microsoft.Network/privateDnsZones/A", _PRIVATE_DNS),
)
"""The two reads of a relevant private DNS zone."""

POLICY_READS = (Read("ruleCollectionGroups", "Microsoft.Network/firewallPolicies/ruleCollectionGroups", _NETWORK),)
"""The read of a firewall policy."""

OPTIONAL: dict[str, Read] = {
    "deployment-safeguards": Read(
        "providers/Microsoft.ContainerService/deploymentSafeguards",
        "Microsoft.ContainerService/deploymentSafeguards",
        "2025-07-01",
        missed=True,
    ),
    "diagnostic-settings": Read(
        "providers/Microsoft.Insights/diagnosticSettings", "Microsoft.Insights/diagnosticSettings", "2021-05-01-preview"
    ),
    "maintenance-configurations": Read(
        "maintenanceConfigurations", f"{CLUSTERS}/maintenanceConfigurations", _CONTAINER_SERVICE
    ),
    "outbound-endpoints": Read(
        "outboundNetworkDependenciesEndpoints",
        f"{CLUSTERS}/outboundNetworkDependenciesEndpoints",
        _CONTAINER_SERVICE,
        whole=True,
    ),
}
"""Reads that are made for each cluster only where they are asked for: one call a cluster."""


def describe(subscriptions: Sequence[str], optional: Sequence[str], *, graph: bool = False) -> str:
    """The plan of a scan in words, with what it costs in calls; `graph`: with Resource Graph as its source."""
    lines = [
        *(_by_graph(subscriptions) if graph else _by_lists(subscriptions)),
        f"{len(ZONE_READS)} calls a private DNS zone that is relevant: {', '.join(r.path for r in ZONE_READS)}",
        f"{len(POLICY_READS)} call a firewall policy: {', '.join(r.path for r in POLICY_READS)}",
        "1 call a resource that a cluster leads to beyond these subscriptions",
    ]
    for name, read in OPTIONAL.items():
        asked = "asked for" if name in optional else f"not asked for; --read {name}"
        lines.append(f"1 call a cluster: {read.path} ({asked})")
    return "\n".join(lines) + "\n"


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
    yield from (f"1 call: GET {one}/providers/Microsoft.Authorization/permissions" for one in subscriptions)
    yield f"{queries} queries: POST /providers/Microsoft.ResourceGraph/resources"
    yield f"  3 for each {GRAPH_SUBSCRIPTIONS} subscriptions, and one more for each further {GRAPH_ROWS:,} rows"
    yield from (f"  {kind}" for kind in (SUBSCRIPTION, *LISTED))
    yield "1 call for each of these lists in a subscription that Resource Graph does not have whole: GET"
