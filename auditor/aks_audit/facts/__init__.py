"""Facts: what a snapshot holds, as typed, immutable, linked values."""

from aks_audit.facts.cluster import AddOn, AgentPool, DeploymentSafeguards, ManagedCluster
from aks_audit.facts.enumerations import (
    AgentPoolMode,
    AgentPoolType,
    IdentityType,
    InfrastructureEncryption,
    LoadBalancerSku,
    NetworkDataplane,
    NetworkPlugin,
    NetworkPluginMode,
    NetworkPolicy,
    NodeOSUpgradeChannel,
    NodeProvisioningMode,
    OSType,
    OutboundType,
    PowerState,
    PublicNetworkAccess,
    RestrictionLevel,
    RouteNextHopType,
    SafeguardsLevel,
    SecurityRuleAccess,
    SecurityRuleDirection,
    SecurityRuleProtocol,
    SkuTier,
    SSHAccess,
    UpgradeChannel,
)
from aks_audit.facts.estate import ClusterSecurityGroup, ClusterSubnet, Estate, SubnetUse, UnreadSubject
from aks_audit.facts.field import Field, Network, View
from aks_audit.facts.link import Holding, Link
from aks_audit.facts.networking import (
    AzureResource,
    FrontendIPConfiguration,
    LoadBalancer,
    LoadBalancingRule,
    NatGateway,
    NetworkInterface,
    NetworkSecurityGroup,
    OutboundRule,
    PublicIPAddress,
    Route,
    RouteTable,
    ScaleSetNetworkInterface,
    SecurityRule,
    Subnet,
    VirtualMachineScaleSet,
    VirtualNetwork,
)
from aks_audit.facts.unread import Malformed, NotCollected, UnheardOf, Unread
from aks_audit.results import Evidence

__all__ = [
    "AddOn", "AgentPool", "AgentPoolMode", "AgentPoolType", "AzureResource", "ClusterSecurityGroup", "ClusterSubnet",
    "DeploymentSafeguards", "Estate", "Evidence", "Field", "FrontendIPConfiguration", "Holding", "IdentityType",
    "InfrastructureEncryption", "Link", "LoadBalancer", "LoadBalancerSku", "LoadBalancingRule", "Malformed",
    "ManagedCluster", "NatGateway", "Network", "NetworkDataplane", "NetworkInterface", "NetworkPlugin",
    "NetworkPluginMode", "NetworkPolicy", "NetworkSecurityGroup", "NodeOSUpgradeChannel", "NodeProvisioningMode",
    "NotCollected", "OSType", "OutboundRule", "OutboundType", "PowerState", "PublicIPAddress", "PublicNetworkAccess",
    "RestrictionLevel", "Route", "RouteNextHopType", "RouteTable", "SSHAccess", "SafeguardsLevel",
    "ScaleSetNetworkInterface", "SecurityRule", "SecurityRuleAccess", "SecurityRuleDirection", "SecurityRuleProtocol",
    "SkuTier", "Subnet", "SubnetUse", "UnheardOf", "Unread", "UnreadSubject", "UpgradeChannel", "View",
    "VirtualMachineScaleSet", "VirtualNetwork",
]
