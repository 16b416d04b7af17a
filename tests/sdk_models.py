"""The installed SDK's models, as an authority on field names and enumeration values."""

import re
from collections.abc import Iterator
from enum import Enum
from types import ModuleType
from typing import Any

import azure.mgmt.containerservice.models as containerservice
import azure.mgmt.network.models as network
import azure.mgmt.privatedns.models as privatedns

from aks_audit.facts import application_gateway, field, firewall, flow_logs, name_resolution, networking, virtual_wan
from aks_audit.facts.cluster import AddOn, AgentPool, ManagedCluster

MODELS: dict[type[field.View], tuple[ModuleType, str]] = {
    ManagedCluster: (containerservice, "ManagedCluster"),
    AgentPool: (containerservice, "ManagedClusterAgentPoolProfile"),
    AddOn: (containerservice, "ManagedClusterAddonProfile"),
    networking.SecurityRule: (network, "SecurityRule"),
    networking.NetworkSecurityGroup: (network, "NetworkSecurityGroup"),
    networking.Route: (network, "Route"),
    networking.RouteTable: (network, "RouteTable"),
    networking.NatGateway: (network, "NatGateway"),
    networking.Subnet: (network, "Subnet"),
    networking.VirtualNetwork: (network, "VirtualNetwork"),
    networking.FrontendIPConfiguration: (network, "FrontendIPConfiguration"),
    networking.OutboundRule: (network, "OutboundRule"),
    networking.LoadBalancingRule: (network, "LoadBalancingRule"),
    networking.LoadBalancer: (network, "LoadBalancer"),
    networking.NetworkInterface: (network, "NetworkInterface"),
    networking.InterfaceIPConfiguration: (network, "NetworkInterfaceIPConfiguration"),
    networking.ServiceEndpoint: (network, "ServiceEndpointPropertiesFormat"),
    networking.Delegation: (network, "Delegation"),
    networking.VirtualNetworkPeering: (network, "VirtualNetworkPeering"),
    networking.PublicIPAddress: (network, "PublicIPAddress"),
    networking.VirtualNetworkGateway: (network, "VirtualNetworkGateway"),
    networking.BackendAddressPool: (network, "BackendAddressPool"),
    networking.PrivateLinkServiceConnection: (network, "PrivateLinkServiceConnection"),
    networking.PrivateEndpoint: (network, "PrivateEndpoint"),
    networking.PublicIPPrefix: (network, "PublicIPPrefix"),
    networking.GatewayConnection: (network, "VirtualNetworkGatewayConnectionListEntity"),
    application_gateway.ManagedRuleSet: (network, "ManagedRuleSet"),
    application_gateway.WebApplicationFirewallPolicy: (network, "WebApplicationFirewallPolicy"),
    application_gateway.HttpListener: (network, "ApplicationGatewayHttpListener"),
    application_gateway.PathRule: (network, "ApplicationGatewayPathRule"),
    application_gateway.UrlPathMap: (network, "ApplicationGatewayUrlPathMap"),
    application_gateway.GatewayBackEndPool: (network, "ApplicationGatewayBackendAddressPool"),
    application_gateway.FirewallConfiguration: (network, "ApplicationGatewayWebApplicationFirewallConfiguration"),
    application_gateway.ApplicationGateway: (network, "ApplicationGateway"),
    firewall.HubPublicAddress: (network, "AzureFirewallPublicIPAddress"),
    firewall.IPGroup: (network, "IpGroup"),
    firewall.ApplicationProtocol: (network, "FirewallPolicyRuleApplicationProtocol"),
    firewall.RuleCollection: (network, "FirewallPolicyFilterRuleCollection"),
    firewall.RuleCollectionGroup: (network, "FirewallPolicyRuleCollectionGroup"),
    firewall.FirewallPolicy: (network, "FirewallPolicy"),
    firewall.ClassicRuleCollection: (network, "AzureFirewallNetworkRuleCollection"),
    firewall.FirewallIPConfiguration: (network, "AzureFirewallIPConfiguration"),
    firewall.AzureFirewall: (network, "AzureFirewall"),
    flow_logs.FlowLog: (network, "FlowLog"),
    virtual_wan.HubVirtualNetworkConnection: (network, "HubVirtualNetworkConnection"),
    virtual_wan.RoutingPolicy: (network, "RoutingPolicy"),
    virtual_wan.RoutingIntent: (network, "RoutingIntent"),
    name_resolution.ARecord: (privatedns, "ARecord"),
    name_resolution.ARecordSet: (privatedns, "RecordSet"),
    name_resolution.VirtualNetworkLink: (privatedns, "VirtualNetworkLink"),
}
"""Which model holds the values that a fact reads. Scale sets and deployment safeguards are not in these packages."""

NOT_IN_THE_SDK = {
    "properties.securityProfile.imageIntegrity.enabled": "a preview since 2023, of preview api-versions alone",
    "properties.securityProfile.azureDefender.enabled": "the profile of api-versions before 2022-06-01",
    "properties.networkProfile.dockerBridgeCidr": "of old api-versions, gone with Docker on nodes",
    "upgradeStrategy": "a preview, on the wire: Rolling, or BlueGreen",
    "properties.safeguardsProfile.level": "a preview of 2023 to 2025, now the resource deploymentSafeguards",
}

NO_ENUMERATION = {
    "properties.privateLinkServiceConnectionState.status": "a string in the models; the documentation lists the states",
    "ruleCollectionType": "the models tell collections apart by it, and know no others",
}
"""Values that are none of an enumeration of the SDK."""


def fields(view: type[field.View]) -> dict[str, field.Field[Any]]:
    """The fields of a kind of fact, by attribute name."""
    return {
        name: value for kind in view.__mro__ for name, value in vars(kind).items() if isinstance(value, field.Field)
    }


def resolve(view: type[field.View], path: str) -> str | None:
    """The annotation of the value at a path in the view's model; "" inside a free dictionary, None if there is none."""
    module, name = MODELS[view]
    annotation = name
    for segment in path.split("."):
        if free := re.match(r"(?:typing\.)?(?:Optional\[)?dict\[str, (.*)\]", annotation):
            annotation = free.group(1)
            continue
        model = _model(module, annotation)
        if model is None:
            return None
        annotation = _annotations(model).get(segment, "")
        if not annotation:
            return None
    return annotation


def enumeration(view: type[field.View], path: str) -> tuple[str, ...]:
    """The values that the SDK knows for an enumeration field."""
    module, _ = MODELS[view]
    annotation = resolve(view, path) or ""
    for name in _names(annotation):
        kind = getattr(module, name, None)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return tuple(member.value for member in kind)
    return ()


def _model(module: ModuleType, annotation: str) -> type | None:
    for name in _names(annotation):
        kind = getattr(module, name, None)
        if isinstance(kind, type) and not issubclass(kind, Enum):
            return kind
    return None


def _names(annotation: str) -> Iterator[str]:
    yield from re.findall(r"_models\.(\w+)", annotation)
    yield annotation


def _annotations(model: type) -> dict[str, str]:
    """Wire name to annotation, over the model's base classes; flattened attributes stand under `properties`.

    A model of several kinds, told apart by a value such as `ruleType`, has the names of all of them.
    """
    kinds: dict[str, type] = getattr(model, "__mapping__", {})
    several = {name: text for kind in kinds.values() if kind is not model for name, text in _own(kind).items()}
    return {**several, **_own(model)}


def _own(model: type) -> dict[str, str]:
    model({})
    rest: dict[str, Any] = getattr(model, "_attr_to_rest_field", {})
    written = {
        name: str(text)
        for kind in reversed(model.__mro__)
        for name, text in vars(kind).get("__annotations__", {}).items()
    }
    return {value._rest_name: written.get(name, "") for name, value in rest.items()}  # noqa: SLF001 - no public way


RESOURCES_THAT_PEOPLE_EXPORT = (
    "ApplicationGateway", "AzureFirewall", "BastionHost", "FirewallPolicy", "LoadBalancer", "NatGateway",
    "NetworkInterface", "NetworkSecurityGroup", "PrivateEndpoint", "PrivateLinkService", "PublicIPAddress",
    "PublicIPPrefix", "RouteTable", "Subnet", "VirtualNetwork", "VirtualNetworkGateway",
)  # fmt: skip


def sub_resources() -> tuple[frozenset[str], frozenset[str]]:
    """The properties of network models that hold sub-resources, lower case: of all models, and of what people export.

    A sub-resource has `properties` of its own on the wire.
    """
    every: set[str] = set()
    exported: set[str] = set()
    for name, holder in vars(network).items():
        if not isinstance(holder, type) or issubclass(holder, Enum):
            continue
        annotations = _annotations(holder)
        every |= _holding_properties(annotations)
        if name in RESOURCES_THAT_PEOPLE_EXPORT:
            inside = _model(network, annotations["properties"])
            exported |= _holding_properties(_annotations(inside)) if inside else set()
    return frozenset(every), frozenset(exported)


def _holding_properties(annotations: dict[str, str]) -> set[str]:
    models = {name: _model(network, annotation) for name, annotation in annotations.items() if name != "properties"}
    return {name.lower() for name, model in models.items() if model and "properties" in _annotations(model)}
