"""Azure's enumerations, in today's spelling; compared without case.

Source: the models of azure-mgmt-containerservice 41.8 (api-version 2026-08-01) and azure-mgmt-network 33.1
(2026-03-01); values marked "preview" or "wire" are not in the models but in the documentation or in recorded answers.
Tests hold the lists against the installed models, so that a new value is added here, not guessed at in a rule.
"""

from enum import StrEnum


class OutboundType(StrEnum):
    """How traffic leaves the cluster (`networkProfile.outboundType`)."""

    LOAD_BALANCER = "loadBalancer"
    USER_DEFINED_ROUTING = "userDefinedRouting"
    MANAGED_NAT_GATEWAY = "managedNATGateway"
    MANAGED_NAT_GATEWAY_V2 = "managedNATGatewayV2"  # preview
    USER_ASSIGNED_NAT_GATEWAY = "userAssignedNATGateway"
    NONE = "none"
    BLOCK = "block"  # preview


class NetworkPlugin(StrEnum):
    """The CNI plugin (`networkProfile.networkPlugin`)."""

    AZURE = "azure"
    KUBENET = "kubenet"
    NONE = "none"


class NetworkPluginMode(StrEnum):
    """The mode of the Azure CNI plugin (`networkProfile.networkPluginMode`)."""

    OVERLAY = "overlay"


class NetworkPolicy(StrEnum):
    """The network policy engine (`networkProfile.networkPolicy`)."""

    NONE = "none"
    CALICO = "calico"
    AZURE = "azure"
    CILIUM = "cilium"


class NetworkDataplane(StrEnum):
    """The data plane of the nodes (`networkProfile.networkDataplane`)."""

    AZURE = "azure"
    CILIUM = "cilium"


class TransitEncryption(StrEnum):
    """How pods' traffic between nodes is encrypted (`advancedNetworking.security.transitEncryption.type`)."""

    NONE = "None"
    WIREGUARD = "WireGuard"


class LoadBalancerSku(StrEnum):
    """The SKU of the cluster's load balancer (`networkProfile.loadBalancerSku`)."""

    STANDARD = "standard"
    BASIC = "basic"


class PublicNetworkAccess(StrEnum):
    """Whether the cluster may be reached from public networks (`publicNetworkAccess`)."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"
    SECURED_BY_PERIMETER = "SecuredByPerimeter"  # preview


class SkuTier(StrEnum):
    """The control plane's service level (`sku.tier`); Paid is Standard's name before 2023."""

    FREE = "Free"
    STANDARD = "Standard"
    PREMIUM = "Premium"
    PAID = "Paid"  # wire, api-versions before 2023-02-01


class UpgradeChannel(StrEnum):
    """How the cluster's Kubernetes version is upgraded (`autoUpgradeProfile.upgradeChannel`)."""

    RAPID = "rapid"
    STABLE = "stable"
    PATCH = "patch"
    NODE_IMAGE = "node-image"
    NONE = "none"


class NodeOSUpgradeChannel(StrEnum):
    """How node operating systems are patched (`autoUpgradeProfile.nodeOSUpgradeChannel`)."""

    NONE = "None"
    UNMANAGED = "Unmanaged"
    NODE_IMAGE = "NodeImage"
    SECURITY_PATCH = "SecurityPatch"


class RestrictionLevel(StrEnum):
    """Who may change the node resource group (`nodeResourceGroupProfile.restrictionLevel`)."""

    UNRESTRICTED = "Unrestricted"
    READ_ONLY = "ReadOnly"


class InfrastructureEncryption(StrEnum):
    """Encryption of Kubernetes objects with platform keys (`kubernetesResourceObjectEncryptionProfile`)."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"  # wire


class IdentityType(StrEnum):
    """The kind of the cluster's identity (`identity.type`)."""

    SYSTEM_ASSIGNED = "SystemAssigned"
    USER_ASSIGNED = "UserAssigned"
    NONE = "None"


class ArtifactSource(StrEnum):
    """Where nodes get what they start with (`bootstrapProfile.artifactSource`)."""

    DIRECT = "Direct"
    CACHE = "Cache"


class AgentPoolMode(StrEnum):
    """What an agent pool is for (`mode`)."""

    SYSTEM = "System"
    USER = "User"
    GATEWAY = "Gateway"
    MANAGED_SYSTEM = "ManagedSystem"  # wire, preview: Microsoft runs the system pool
    MACHINES = "Machines"  # wire, preview


class ScaleSetPriority(StrEnum):
    """Whether Azure may take an agent pool's nodes away again (`scaleSetPriority`)."""

    REGULAR = "Regular"
    SPOT = "Spot"


class AgentPoolType(StrEnum):
    """What an agent pool's nodes are made of (`type`)."""

    VIRTUAL_MACHINE_SCALE_SETS = "VirtualMachineScaleSets"
    AVAILABILITY_SET = "AvailabilitySet"
    VIRTUAL_MACHINES = "VirtualMachines"


class PodIPAllocationMode(StrEnum):
    """How pods get addresses of their subnet (`podIPAllocationMode`); absent means DynamicIndividual."""

    DYNAMIC_INDIVIDUAL = "DynamicIndividual"
    STATIC_BLOCK = "StaticBlock"


class NodeProvisioningMode(StrEnum):
    """Whether nodes are added beside the agent pools (`nodeProvisioningProfile.mode`)."""

    MANUAL = "Manual"
    AUTO = "Auto"


class OSType(StrEnum):
    """The nodes' operating system (`osType`)."""

    LINUX = "Linux"
    WINDOWS = "Windows"


class OSSku(StrEnum):
    """The nodes' operating system and, in some names, its version (`osSKU`)."""

    UBUNTU = "Ubuntu"
    UBUNTU_2204 = "Ubuntu2204"
    UBUNTU_2404 = "Ubuntu2404"
    AZURE_LINUX = "AzureLinux"
    AZURE_LINUX_3 = "AzureLinux3"
    AZURE_LINUX_OS_GUARD = "AzureLinuxOSGuard"  # preview
    AZURE_CONTAINER_LINUX = "AzureContainerLinux"
    CBL_MARINER = "CBLMariner"
    MARINER = "Mariner"  # wire
    FLATCAR = "Flatcar"  # wire, preview
    WINDOWS_2019 = "Windows2019"
    WINDOWS_2022 = "Windows2022"
    WINDOWS_2025 = "Windows2025"
    WINDOWS_ANNUAL = "WindowsAnnual"  # preview


class OSDiskType(StrEnum):
    """Where a node's operating system disk is (`osDiskType`): in Azure storage, or on the host itself."""

    MANAGED = "Managed"
    EPHEMERAL = "Ephemeral"


class KubeletDiskType(StrEnum):
    """Where images, logs and emptyDir volumes are (`kubeletDiskType`)."""

    OS = "OS"
    TEMPORARY = "Temporary"


class ScaleDownMode(StrEnum):
    """What happens to nodes that a pool gives up (`scaleDownMode`)."""

    DELETE = "Delete"
    DEALLOCATE = "Deallocate"


class SSHAccess(StrEnum):
    """How SSH to nodes is allowed (`securityProfile.sshAccess`)."""

    LOCAL_USER = "LocalUser"
    DISABLED = "Disabled"
    ENTRA_ID = "EntraId"


class PowerState(StrEnum):
    """Whether the cluster or pool runs (`powerState.code`)."""

    RUNNING = "Running"
    STOPPED = "Stopped"


class SafeguardsLevel(StrEnum):
    """What deployment safeguards do with a violation (`properties.level`)."""

    OFF = "Off"  # wire, safeguardsProfile of preview api-versions
    WARN = "Warn"
    WARNING = "Warning"  # wire, safeguardsProfile of preview api-versions
    ENFORCE = "Enforce"
    ENFORCEMENT = "Enforcement"  # wire, safeguardsProfile of preview api-versions


class RouteNextHopType(StrEnum):
    """Where a user-defined route sends packets (`nextHopType`)."""

    VIRTUAL_NETWORK_GATEWAY = "VirtualNetworkGateway"
    VNET_LOCAL = "VnetLocal"
    INTERNET = "Internet"
    VIRTUAL_APPLIANCE = "VirtualAppliance"
    VIRTUAL_APPLIANCE_ECMP = "VirtualApplianceEcmp"
    NONE = "None"


class SecurityRuleAccess(StrEnum):
    """What a security rule does (`access`)."""

    ALLOW = "Allow"
    DENY = "Deny"


class SecurityRuleDirection(StrEnum):
    """Which traffic a security rule is about (`direction`)."""

    INBOUND = "Inbound"
    OUTBOUND = "Outbound"


class SecurityRuleProtocol(StrEnum):
    """The protocol of a security rule (`protocol`)."""

    TCP = "Tcp"
    UDP = "Udp"
    ICMP = "Icmp"
    ESP = "Esp"
    AH = "Ah"
    ANY = "*"


class PeeringState(StrEnum):
    """Whether a peering works (`peeringState`)."""

    INITIATED = "Initiated"
    CONNECTED = "Connected"
    DISCONNECTED = "Disconnected"


class PeeringSyncLevel(StrEnum):
    """Whether a peering knows both sides' present address spaces (`peeringSyncLevel`)."""

    FULLY_IN_SYNC = "FullyInSync"
    REMOTE_NOT_IN_SYNC = "RemoteNotInSync"
    LOCAL_NOT_IN_SYNC = "LocalNotInSync"
    LOCAL_AND_REMOTE_NOT_IN_SYNC = "LocalAndRemoteNotInSync"


class GatewayType(StrEnum):
    """What a virtual network gateway connects by (`gatewayType`)."""

    VPN = "Vpn"
    EXPRESS_ROUTE = "ExpressRoute"
    LOCAL_GATEWAY = "LocalGateway"


class FirewallTier(StrEnum):
    """The tier of a firewall or of its policy (`sku.tier`)."""

    BASIC = "Basic"
    STANDARD = "Standard"
    PREMIUM = "Premium"


class ThreatIntelMode(StrEnum):
    """What a firewall does with traffic of known bad addresses and names (`threatIntelMode`)."""

    OFF = "Off"
    ALERT = "Alert"
    DENY = "Deny"


class IntrusionDetectionMode(StrEnum):
    """What a firewall does with traffic that matches a signature (`intrusionDetection.mode`)."""

    OFF = "Off"
    ALERT = "Alert"
    DENY = "Deny"


class RuleCollectionType(StrEnum):
    """What a rule collection of a policy holds (`ruleCollectionType`)."""

    NAT = "FirewallPolicyNatRuleCollection"
    FILTER = "FirewallPolicyFilterRuleCollection"


class FirewallRuleType(StrEnum):
    """The kind of a rule of a policy (`ruleType`)."""

    APPLICATION = "ApplicationRule"
    NETWORK = "NetworkRule"
    NAT = "NatRule"


class RuleCollectionAction(StrEnum):
    """What a rule collection does (`action.type`); DNAT is a NAT collection's."""

    ALLOW = "Allow"
    DENY = "Deny"
    DNAT = "DNAT"
    SNAT = "SNAT"  # classic NAT collections


class ConnectionState(StrEnum):
    """Whether a private endpoint's connection is approved (`privateLinkServiceConnectionState.status`)."""

    APPROVED = "Approved"
    PENDING = "Pending"
    REJECTED = "Rejected"
    DISCONNECTED = "Disconnected"
    TIMEOUT = "Timeout"  # wire


class LinkState(StrEnum):
    """Whether a private DNS zone is linked to a network (`virtualNetworkLinkState`)."""

    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"


class ForwardingRuleState(StrEnum):
    """Whether a forwarding rule of a DNS resolver is used (`forwardingRuleState`)."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class ResolutionPolicy(StrEnum):
    """What becomes of a name that a linked private zone does not hold (`resolutionPolicy` of the link)."""

    DEFAULT = "Default"
    NX_DOMAIN_REDIRECT = "NxDomainRedirect"


class DdosProtectionMode(StrEnum):
    """How a public address is protected against floods (`ddosSettings.protectionMode`)."""

    VIRTUAL_NETWORK_INHERITED = "VirtualNetworkInherited"
    ENABLED = "Enabled"
    DISABLED = "Disabled"


class PrincipalType(StrEnum):
    """What a principal of a role assignment is (`principalType`)."""

    USER = "User"
    GROUP = "Group"
    SERVICE_PRINCIPAL = "ServicePrincipal"
    FOREIGN_GROUP = "ForeignGroup"
    DEVICE = "Device"


class RegistryTier(StrEnum):
    """The tier of a container registry (`sku.name`)."""

    CLASSIC = "Classic"
    BASIC = "Basic"
    STANDARD = "Standard"
    PREMIUM = "Premium"


class PricingTier(StrEnum):
    """Whether a plan of Defender for Cloud is on in a subscription (`pricingTier`)."""

    FREE = "Free"
    STANDARD = "Standard"


class PlanCoverage(StrEnum):
    """How many of a subscription's resources a plan of Defender for Cloud covers (`resourcesCoverageStatus`)."""

    FULLY_COVERED = "FullyCovered"
    PARTIALLY_COVERED = "PartiallyCovered"
    NOT_COVERED = "NotCovered"


class ComplianceState(StrEnum):
    """What a policy of Azure's found (`complianceState`)."""

    COMPLIANT = "Compliant"
    NON_COMPLIANT = "NonCompliant"
    EXEMPT = "Exempt"
    CONFLICT = "Conflict"
    ERROR = "Error"
    UNKNOWN = "Unknown"
    NOT_STARTED = "NotStarted"
    PROTECTED = "Protected"


class ConditionalAccessState(StrEnum):
    """Whether a policy of conditional access is in force (`state`)."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    REPORTED_ONLY = "enabledForReportingButNotEnforced"


class ExtensionProvisioning(StrEnum):
    """How far the installation of a cluster's extension is (`provisioningState`)."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"
    CREATING = "Creating"
    UPDATING = "Updating"
    DELETING = "Deleting"


class ExtensionState(StrEnum):
    """Whether an extension of a plan of Defender for Cloud is on: a text, not a boolean (`extensions[].isEnabled`)."""

    ON = "True"
    OFF = "False"


class Switch(StrEnum):
    """Whether something of a container registry is on (`zoneRedundancy`, `policies.*.status`, `encryption.status`)."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class ApplicationGatewayTier(StrEnum):
    """The tier of an application gateway (`sku.tier`); those without `v2` are of the first generation."""

    STANDARD = "Standard"
    WAF = "WAF"
    STANDARD_V2 = "Standard_v2"
    WAF_V2 = "WAF_v2"
    BASIC = "Basic"
    BASIC_V2 = "Basic_v2"
    BASIC_WAF_V2 = "Basic_WAF_v2"


class FirewallMode(StrEnum):
    """Whether a web application firewall stops what it finds (`mode`, `firewallMode`)."""

    PREVENTION = "Prevention"
    DETECTION = "Detection"


class ConnectionType(StrEnum):
    """What a connection of a virtual network gateway leads to, and how (`connectionType`)."""

    IPSEC = "IPsec"
    VNET_TO_VNET = "Vnet2Vnet"
    EXPRESS_ROUTE = "ExpressRoute"
    VPN_CLIENT = "VPNClient"


class ConnectionStatus(StrEnum):
    """Whether a connection of a virtual network gateway is up; of ExpressRoute Azure mostly says `Unknown`."""

    UNKNOWN = "Unknown"
    CONNECTING = "Connecting"
    CONNECTED = "Connected"
    NOT_CONNECTED = "NotConnected"


class ProtectionState(StrEnum):
    """Whether something is backed up (`currentProtectionState`)."""

    INVALID = "Invalid"
    NOT_PROTECTED = "NotProtected"
    CONFIGURING_PROTECTION = "ConfiguringProtection"
    PROTECTION_CONFIGURED = "ProtectionConfigured"
    BACKUP_SCHEDULES_SUSPENDED = "BackupSchedulesSuspended"
    RETENTION_SCHEDULES_SUSPENDED = "RetentionSchedulesSuspended"
    PROTECTION_STOPPED = "ProtectionStopped"
    PROTECTION_ERROR = "ProtectionError"
    CONFIGURING_PROTECTION_FAILED = "ConfiguringProtectionFailed"
    SOFT_DELETING = "SoftDeleting"
    SOFT_DELETED = "SoftDeleted"
    UPDATING_PROTECTION = "UpdatingProtection"


class SupportPlan(StrEnum):
    """For how long AKS mends a Kubernetes version of the cluster (`supportPlan`)."""

    KUBERNETES_OFFICIAL = "KubernetesOfficial"
    AKS_LONG_TERM_SUPPORT = "AKSLongTermSupport"
