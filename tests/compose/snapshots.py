"""Records of a scan that read everything: bodies, and a listing of every type in every subscription."""

from collections.abc import Iterable, Sequence

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import SCHEMA, Body, Header, Listing, Record, Resource
from aks_audit.sources.azure.plan import IF_RESOLVER, IF_VIRTUAL_HUB
from aks_audit.sources.azure.signs import has_resolver, is_connected_to_hub
from compose.azure import Subscription

LISTED_BY_SUBSCRIPTION = (
    "Microsoft.Authorization/roleAssignments",
    "Microsoft.Compute/virtualMachineScaleSets",
    "Microsoft.ContainerRegistry/registries",
    "Microsoft.ContainerService/managedClusters",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.Network/azureFirewalls",
    "Microsoft.Network/bastionHosts",
    "Microsoft.Network/firewallPolicies",
    "Microsoft.Network/loadBalancers",
    "Microsoft.Network/natGateways",
    "Microsoft.Network/networkInterfaces",
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.Network/privateDnsZones",
    "Microsoft.Network/privateEndpoints",
    "Microsoft.Network/publicIPAddresses",
    "Microsoft.Network/routeTables",
    "Microsoft.Network/virtualNetworks",
)
LISTED_BY_RESOURCE = {
    "microsoft.network/virtualnetworkgateways": ("Microsoft.Network/connections",),
    "microsoft.containerservice/managedclusters": ("Microsoft.ContainerService/deploymentSafeguards",),
    "microsoft.network/dnsforwardingrulesets": (
        "Microsoft.Network/dnsForwardingRulesets/forwardingRules",
        "Microsoft.Network/dnsForwardingRulesets/virtualNetworkLinks",
    ),
    "microsoft.network/dnsresolvers": ("Microsoft.Network/dnsResolvers/inboundEndpoints",),
    "microsoft.network/firewallpolicies": ("Microsoft.Network/firewallPolicies/ruleCollectionGroups",),
    "microsoft.network/virtualhubs": (
        "Microsoft.Network/virtualHubs/hubVirtualNetworkConnections",
        "Microsoft.Network/virtualHubs/routingIntent",
    ),
    "microsoft.network/privatednszones": (
        "Microsoft.Network/privateDnsZones/A",
        "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
    ),
    "microsoft.sql/servers": ("Microsoft.Sql/servers/firewallRules",),
}


def recorded(
    subscriptions: Sequence[Subscription],
    bodies: Iterable[Body],
    *,
    day: str = "2026-11-20",
    tool: str = "aks-audit 0.1.0",
) -> list[Record]:
    """The records of a scan of whole subscriptions on a day (YYYY-MM-DD), with nothing refused."""
    kept = list(bodies)
    header = Header(
        schema=SCHEMA,
        tool=tool,
        scope=tuple(subscription.id for subscription in subscriptions),
        started=f"{day}T06:00:00Z",
        finished=f"{day}T06:00:09Z",
    )
    networks = [body for body in kept if parse(body["id"]).type == "Microsoft.Network/virtualNetworks"]
    more = [
        *(IF_RESOLVER if any(map(has_resolver, networks)) else ()),
        *(IF_VIRTUAL_HUB if any(map(is_connected_to_hub, networks)) else ()),
    ]
    kinds = sorted([*LISTED_BY_SUBSCRIPTION, *more])
    listings = [Listing(kind, subscription.id) for subscription in subscriptions for kind in kinds]
    for body in kept:
        listings += [Listing(kind, body["id"]) for kind in LISTED_BY_RESOURCE.get(parse(body["id"]).type.lower(), ())]
    return [header, *listings, *(resource_of(body, f"{day}T06:00:03Z") for body in kept)]


def resource_of(body: Body, read: str) -> Resource:
    """The record of one body; its type is the one on the wire, or the id's where the body holds none."""
    return Resource(id=body["id"], type=body.get("type") or parse(body["id"]).type, body=body, read=read)
