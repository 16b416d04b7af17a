"""Facts about managed clusters and their agent pools.

Source: Microsoft.ContainerService/managedClusters as on the wire, api-versions 2019 to 2026-08-01.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from aks_audit.facts.application_gateway import ApplicationGateway
from aks_audit.facts.enumerations import (
    AgentPoolMode,
    AgentPoolType,
    ArtifactSource,
    IdentityType,
    InfrastructureEncryption,
    KubeletDiskType,
    LoadBalancerSku,
    NetworkDataplane,
    NetworkPlugin,
    NetworkPluginMode,
    NetworkPolicy,
    NodeOSUpgradeChannel,
    NodeProvisioningMode,
    OSDiskType,
    OSSku,
    OSType,
    OutboundType,
    PodIPAllocationMode,
    PowerState,
    PublicNetworkAccess,
    RestrictionLevel,
    SafeguardsLevel,
    ScaleDownMode,
    ScaleSetPriority,
    SkuTier,
    SSHAccess,
    SupportPlan,
    TransitEncryption,
    UpgradeChannel,
)
from aks_audit.facts.field import (
    Choice,
    View,
    escaped,
    flag,
    named_texts,
    network,
    networks,
    number,
    one_or_more,
    part,
    parts,
    text,
    texts,
)
from aks_audit.facts.key_vault import DiskEncryptionSet, KeyVault
from aks_audit.facts.link import Holding, Link, link
from aks_audit.facts.networking import (
    LoadBalancer,
    NetworkInterface,
    NetworkSecurityGroup,
    Subnet,
    VirtualMachineScaleSet,
)
from aks_audit.facts.registry import ContainerRegistry
from aks_audit.facts.resource import AzureResource
from aks_audit.facts.resource_id import parse
from aks_audit.facts.unread import Malformed, NotCollected, Unread
from aks_audit.results import Missing

if TYPE_CHECKING:
    from aks_audit.facts.estate import Estate


class AddOn(View):
    """An add-on of a cluster. An entry may stand there and be disabled."""

    __slots__ = ()

    enabled = flag("enabled")
    secret_rotation = text("config.enableSecretRotation")
    object_id = text("identity.objectId")
    workspace_id = text("config.logAnalyticsWorkspaceResourceID")
    subnet_name = text("config.SubnetName")
    effective_application_gateway = link("config.effectiveApplicationGatewayId", ApplicationGateway)
    application_gateway = link("config.applicationGatewayId", ApplicationGateway)


class AssignedIdentity(View):
    """A user-assigned identity as a cluster's body holds it, under the identity's id."""

    __slots__ = ()

    principal_id = text("principalId")


class PoolScale(View):
    """One VM size of a pool of type VirtualMachines: a fixed `count`, or a least and a greatest number of nodes."""

    __slots__ = ()

    size = text("size")
    count = number("count")
    min_count = number("minCount")
    max_count = number("maxCount")


class PortRange(View):
    """Host ports that AKS itself opens in its security group for a pool; both ends included."""

    __slots__ = ()

    port_start = number("portStart")
    port_end = number("portEnd")


class AgentPool(AzureResource):
    """An agent pool: inside its cluster's body, or alone where it was read by itself."""

    __slots__ = ()

    TYPE = "Microsoft.ContainerService/managedClusters/agentPools"

    mode = Choice("mode", AgentPoolMode)
    type = Choice("type", AgentPoolType)
    os_type = Choice("osType", OSType)
    vm_size = text("vmSize")
    count = number("count")
    min_count = number("minCount")
    max_count = number("maxCount")
    max_pods = number("maxPods")
    pod_ip_allocation_mode = Choice("podIPAllocationMode", PodIPAllocationMode)
    manual_scales = parts("virtualMachinesProfile.scale.manual", PoolScale)
    auto_scales = one_or_more("virtualMachinesProfile.scale.autoscale", PoolScale)
    nodes_status = parts("virtualMachineNodesStatus", PoolScale)
    scale_set_priority = Choice("scaleSetPriority", ScaleSetPriority)
    max_surge = text("upgradeSettings.maxSurge")
    upgrade_strategy = text("upgradeStrategy")
    scale_down_mode = Choice("scaleDownMode", ScaleDownMode)
    os_sku = Choice("osSKU", OSSku)
    os_disk_type = Choice("osDiskType", OSDiskType)
    os_disk_size = number("osDiskSizeGB")
    kubelet_disk_type = Choice("kubeletDiskType", KubeletDiskType)
    enable_fips = flag("enableFIPS")
    enable_auto_scaling = flag("enableAutoScaling")
    enable_node_public_ip = flag("enableNodePublicIP")
    enable_encryption_at_host = flag("enableEncryptionAtHost")
    availability_zones = texts("availabilityZones")
    node_image_version = text("nodeImageVersion")
    node_taints = texts("nodeTaints")
    kubelet_certificates_kept = text("tags.aks-disable-kubelet-serving-certificate-rotation")
    current_orchestrator_version = text("currentOrchestratorVersion")
    enable_vtpm = flag("securityProfile.enableVTPM")
    enable_secure_boot = flag("securityProfile.enableSecureBoot")
    ssh_access = Choice("securityProfile.sshAccess", SSHAccess)
    power_state = Choice("powerState.code", PowerState)
    allowed_host_ports = parts("networkProfile.allowedHostPorts", PortRange)
    node_subnet = link("vnetSubnetID", Subnet)
    pod_subnet = link("podSubnetID", Subnet)

    @property
    def id(self) -> str:
        """The full id, made of the cluster's id and the pool's name (from its position where it has no name)."""
        if not self.pointer:
            return self.document.id
        return f"{self.document.id}/agentPools/{self.written_name or self.pointer.rsplit('/', 1)[-1]}"

    @property
    def cluster(self) -> "Link[ManagedCluster]":
        """The cluster that the pool belongs to."""
        return Link(self.estate, ManagedCluster, self.parsed.parent)

    @property
    def clusters(self) -> tuple[str, ...]:
        """The id of the cluster that the pool belongs to."""
        return (self.parsed.parent,)

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        cluster = parse(self.parsed.parent)
        names = {"group": cluster.group, "cluster": cluster.name, "subscription": cluster.subscription}
        return {**names, "pool": self.name}


class StandalonePool(AgentPool):
    """An agent pool as its own resource: the same values stand under `properties`."""

    __slots__ = ()

    def find(self, path: str) -> tuple[object, str]:
        """The raw value at a path, and its JSON pointer."""
        return super().find(path if path in {"id", "name"} else f"properties.{path}")


class ManagedCluster(AzureResource):
    """A managed cluster."""

    __slots__ = ()

    TYPE = "Microsoft.ContainerService/managedClusters"

    location = text("location")
    tags = named_texts("tags")
    fqdn = text("properties.fqdn")
    dns_prefix = text("properties.dnsPrefix")
    fqdn_subdomain = text("properties.fqdnSubdomain")
    agent_pools = parts("properties.agentPoolProfiles", AgentPool)
    current_kubernetes_version = text("properties.currentKubernetesVersion")
    power_state = Choice("properties.powerState.code", PowerState)
    node_provisioning_mode = Choice("properties.nodeProvisioningProfile.mode", NodeProvisioningMode)
    node_resource_group = text("properties.nodeResourceGroup")
    node_resource_group_restriction = Choice("properties.nodeResourceGroupProfile.restrictionLevel", RestrictionLevel)
    sku_tier = Choice("sku.tier", SkuTier)
    support_plan = Choice("properties.supportPlan", SupportPlan)
    enable_fips = flag("properties.enableFIPS")
    disk_csi_enabled = flag("properties.storageProfile.diskCSIDriver.enabled")
    file_csi_enabled = flag("properties.storageProfile.fileCSIDriver.enabled")
    snapshot_controller_enabled = flag("properties.storageProfile.snapshotController.enabled")
    enable_rbac = flag("properties.enableRBAC")
    disable_local_accounts = flag("properties.disableLocalAccounts")
    public_network_access = Choice("properties.publicNetworkAccess", PublicNetworkAccess)

    enable_private_cluster = flag("properties.apiServerAccessProfile.enablePrivateCluster")
    enable_private_cluster_public_fqdn = flag("properties.apiServerAccessProfile.enablePrivateClusterPublicFQDN")
    private_dns_zone = text("properties.apiServerAccessProfile.privateDNSZone")
    private_fqdn = text("properties.privateFQDN")
    authorized_ip_ranges = networks("properties.apiServerAccessProfile.authorizedIPRanges")
    disable_run_command = flag("properties.apiServerAccessProfile.disableRunCommand")
    enable_vnet_integration = flag("properties.apiServerAccessProfile.enableVnetIntegration")
    api_server_subnet = link("properties.apiServerAccessProfile.subnetId", Subnet)

    outbound_type = Choice("properties.networkProfile.outboundType", OutboundType)
    network_plugin = Choice("properties.networkProfile.networkPlugin", NetworkPlugin)
    network_plugin_mode = Choice("properties.networkProfile.networkPluginMode", NetworkPluginMode)
    network_policy = Choice("properties.networkProfile.networkPolicy", NetworkPolicy)
    network_dataplane = Choice("properties.networkProfile.networkDataplane", NetworkDataplane)
    advanced_networking_enabled = flag("properties.networkProfile.advancedNetworking.enabled")
    advanced_security_enabled = flag("properties.networkProfile.advancedNetworking.security.enabled")
    transit_encryption = Choice(
        "properties.networkProfile.advancedNetworking.security.transitEncryption.type", TransitEncryption
    )
    acceleration_mode = text("properties.networkProfile.advancedNetworking.performance.accelerationMode")
    static_egress_gateway_enabled = flag("properties.networkProfile.staticEgressGatewayProfile.enabled")
    keda_enabled = flag("properties.workloadAutoScalerProfile.keda.enabled")
    vertical_pod_autoscaler_enabled = flag("properties.workloadAutoScalerProfile.verticalPodAutoscaler.enabled")
    load_balancer_sku = Choice("properties.networkProfile.loadBalancerSku", LoadBalancerSku)
    pod_cidr = network("properties.networkProfile.podCidr")
    pod_cidrs = networks("properties.networkProfile.podCidrs")
    service_cidr = network("properties.networkProfile.serviceCidr")
    service_cidrs = networks("properties.networkProfile.serviceCidrs")
    docker_bridge_cidr = network("properties.networkProfile.dockerBridgeCidr")
    dns_service_ip = text("properties.networkProfile.dnsServiceIP")
    ip_families = texts("properties.networkProfile.ipFamilies")

    identity_type = Choice("identity.type", IdentityType)
    service_principal_client_id = text("properties.servicePrincipalProfile.clientId")
    identity_principal_id = text("identity.principalId")
    user_assigned_identities = part("identity.userAssignedIdentities", View)
    kubelet_identity = text("properties.identityProfile.kubeletidentity.resourceId")
    kubelet_object_id = text("properties.identityProfile.kubeletidentity.objectId")
    bootstrap_artifact_source = Choice("properties.bootstrapProfile.artifactSource", ArtifactSource)
    bootstrap_registry = link("properties.bootstrapProfile.containerRegistryId", ContainerRegistry)
    aad_managed = flag("properties.aadProfile.managed")
    aad_server_app_id = text("properties.aadProfile.serverAppID")
    aad_azure_rbac = flag("properties.aadProfile.enableAzureRBAC")
    aad_admin_groups = texts("properties.aadProfile.adminGroupObjectIDs")
    oidc_issuer_enabled = flag("properties.oidcIssuerProfile.enabled")
    oidc_issuer_url = text("properties.oidcIssuerProfile.issuerURL")
    workload_identity_enabled = flag("properties.securityProfile.workloadIdentity.enabled")
    pod_identity_enabled = flag("properties.podIdentityProfile.enabled")

    upgrade_channel = Choice("properties.autoUpgradeProfile.upgradeChannel", UpgradeChannel)
    node_os_upgrade_channel = Choice("properties.autoUpgradeProfile.nodeOSUpgradeChannel", NodeOSUpgradeChannel)
    defender_enabled = flag("properties.securityProfile.defender.securityMonitoring.enabled")
    legacy_defender_enabled = flag("properties.securityProfile.azureDefender.enabled")
    kms_enabled = flag("properties.securityProfile.azureKeyVaultKms.enabled")
    kms_vault = link("properties.securityProfile.azureKeyVaultKms.keyVaultResourceId", KeyVault)
    disk_encryption_set = link("properties.diskEncryptionSetID", DiskEncryptionSet)
    mesh_vault = link("properties.serviceMeshProfile.istio.certificateAuthority.plugin.keyVaultId", KeyVault)
    object_encryption = Choice(
        "properties.securityProfile.kubernetesResourceObjectEncryptionProfile.infrastructureEncryption",
        InfrastructureEncryption,
    )
    image_cleaner_enabled = flag("properties.securityProfile.imageCleaner.enabled")
    image_integrity_enabled = flag("properties.securityProfile.imageIntegrity.enabled")
    gmsa_enabled = flag("properties.windowsProfile.gmsaProfile.enabled")
    legacy_safeguards_level = Choice("properties.safeguardsProfile.level", SafeguardsLevel)
    hosted_system_enabled = flag("properties.hostedSystemProfile.enabled")
    monitor_metrics_enabled = flag("properties.azureMonitorProfile.metrics.enabled")
    cost_analysis_enabled = flag("properties.metricsProfile.costAnalysis.enabled")
    container_insights_enabled = flag("properties.azureMonitorProfile.containerInsights.enabled")
    container_insights_workspace_id = text(
        "properties.azureMonitorProfile.containerInsights.logAnalyticsWorkspaceResourceId"
    )

    app_routing_object_id = text("properties.ingressProfile.webAppRouting.identity.objectId")
    add_ons = part("properties.addonProfiles", View)
    azure_policy = part("properties.addonProfiles.azurepolicy", AddOn)
    key_vault_secrets_provider = part("properties.addonProfiles.azureKeyvaultSecretsProvider", AddOn)
    kube_dashboard = part("properties.addonProfiles.kubeDashboard", AddOn)
    http_application_routing = part("properties.addonProfiles.httpApplicationRouting", AddOn)
    open_service_mesh = part("properties.addonProfiles.openServiceMesh", AddOn)
    oms_agent = part("properties.addonProfiles.omsagent", AddOn)
    virtual_nodes = part("properties.addonProfiles.aciConnectorLinux", AddOn)
    sgx_device_plugin = part("properties.addonProfiles.ACCSGXDevicePlugin", AddOn)
    ingress_application_gateway = part("properties.addonProfiles.ingressApplicationGateway", AddOn)

    @property
    def region(self) -> str:
        """The name of its region as ids have it, such as `westeurope`, where the body may say `West Europe`.

        Raises:
            Malformed: the body does not name it.
        """
        if self.location is None:
            raise Malformed(self.id, "/location", "a cluster without its region")
        return self.location.lower().replace(" ", "")

    @property
    def clusters(self) -> tuple[str, ...]:
        """The cluster's own id."""
        return (self.id,)

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs; one that cannot be read is left out, and loses no finding."""
        own = self.parsed
        labels = {"group": own.group, "name": own.name, "cluster": own.name, "subscription": own.subscription}
        with suppress(Unread):
            labels["location"] = self.location or ""
        with suppress(Unread):
            labels["node_group"] = self.node_resource_group or ""
        return labels

    @property
    def pools(self) -> tuple[AgentPool, ...]:
        """All agent pools.

        Raises:
            NotCollected: AKS hosts the system pool, and the body names none; the nodes are there, but not to be seen.
            Malformed: the body names no pools; any other cluster has them, so they were lost, not absent.
        """
        found = self.agent_pools
        if found is None and self.hosted_system_enabled:
            reason = f"AKS hosts the system pool of {self.id}, whose body therefore shows no agent pools"
            raise NotCollected(Missing(what=self.id, kind="not-read", reason=reason))
        if found is None:
            raise Malformed(self.id, "/properties/agentPoolProfiles", "a cluster without its list of agent pools")
        return found

    @property
    def controlled_gateway(self) -> "Link[ApplicationGateway] | None":
        """The application gateway that the ingress add-on runs; None where the add-on is not there or off.

        Raises:
            Malformed: the add-on's entry does not say whether it is on, or names no gateway.
        """
        add_on = self.ingress_application_gateway
        if add_on is None or add_on.enabled is False:
            return None
        if add_on.enabled is None:
            raise Malformed(self.id, add_on.at(AddOn.enabled).pointer, "an add-on that is neither on nor off")
        gateway = add_on.effective_application_gateway or add_on.application_gateway
        if gateway is None:
            pointer = add_on.at(AddOn.effective_application_gateway).pointer
            raise Malformed(self.id, pointer, "the ingress add-on without its application gateway")
        return gateway

    @property
    def identity_principals(self) -> tuple[str, ...]:
        """The object ids of the identities that the control plane acts with; empty for a service principal.

        Raises:
            Malformed: there is an identity whose object id the body does not hold.
            NotCollected: Azure has not sent the identity's ids yet; while a cluster is made, the identity is empty.
        """
        alone = self.identity_principal_id
        assigned = self.user_assigned_identities
        found = [alone] if alone else []
        for name, node in assigned.node.items() if assigned else ():
            pointer = f"/identity/userAssignedIdentities/{escaped(name)}"
            if node == {}:
                reason = f"{self.id} does not show the object id of its identity {name}"
                raise NotCollected(Missing(what=self.id, kind="not-sent", reason=reason))
            view = AssignedIdentity(self.estate, self.document, node, pointer) if isinstance(node, dict) else None
            if view is None or view.principal_id is None:
                raise Malformed(self.id, pointer, "an identity without its object id")
            found.append(view.principal_id)
        return tuple(found)

    @property
    def node_group_id(self) -> str:
        """The id of the node resource group.

        Raises:
            Malformed: the body does not name it.
        """
        group = self.node_resource_group
        if group is None:
            raise Malformed(self.id, "/properties/nodeResourceGroup", "a cluster without its node resource group")
        return f"/subscriptions/{self.parsed.subscription}/resourceGroups/{group}"

    @property
    def scale_sets(self) -> Holding[VirtualMachineScaleSet]:
        """The scale sets of the node resource group."""
        return self.estate.within(VirtualMachineScaleSet, self.node_group_id)

    @property
    def node_load_balancers(self) -> Holding[LoadBalancer]:
        """The load balancers of the node resource group."""
        return self.estate.within(LoadBalancer, self.node_group_id)

    @property
    def node_security_groups(self) -> Holding[NetworkSecurityGroup]:
        """The network security groups of the node resource group: those that AKS itself made."""
        return self.estate.within(NetworkSecurityGroup, self.node_group_id)

    @property
    def node_interfaces(self) -> Holding[NetworkInterface]:
        """The network interfaces of the node resource group that belong to no scale set."""
        return self.estate.within(NetworkInterface, self.node_group_id)

    @property
    def groups_on_node_interfaces(self) -> Holding[NetworkSecurityGroup]:
        """The network security groups of the subscription that name an interface of the node resource group.

        One whose list of interfaces cannot be read is among them, since it may.
        """
        touching = self.estate.indexed(_groups_by_interfaces)
        ours = touching.get(self.node_group_id.lower(), set()) | touching.get("", set())
        everywhere = self.estate.within(NetworkSecurityGroup, f"/subscriptions/{self.parsed.subscription}")
        return everywhere.where(lambda group: group.document.id in ours)

    @property
    def deployment_safeguards(self) -> "Holding[DeploymentSafeguards]":
        """The deployment safeguards, an extension resource of the cluster."""
        return self.estate.within(DeploymentSafeguards, self.id)


def _groups_by_interfaces(estate: "Estate") -> dict[str, set[str]]:
    """The ids of security groups by the scopes of their interfaces; by "" those whose interfaces cannot be read."""
    found: dict[str, set[str]] = {}
    for group in estate.every(NetworkSecurityGroup):
        try:
            scopes = estate.interface_groups(group)
        except Unread:
            scopes = frozenset({""})
        for scope in scopes:
            found.setdefault(scope, set()).add(group.document.id)
    return found


class DeploymentSafeguards(AzureResource):
    """Deployment safeguards of a cluster (`Microsoft.ContainerService/deploymentSafeguards`, GA 2025-07-01)."""

    __slots__ = ()

    TYPE = "Microsoft.ContainerService/deploymentSafeguards"

    level = Choice("properties.level", SafeguardsLevel)


class ClusterAccess(AzureResource):
    """How this audit read inside a cluster; aks-audit's own record. Its id is the cluster's with a suffix."""

    __slots__ = ()

    TYPE = "aks-audit/clusterAccess"
    way = text("way")
    administrator = flag("administrator")
    detail = text("detail")

    @classmethod
    def id_of(cls, cluster_id: str) -> str:
        """The id of the record about a cluster."""
        return f"{cluster_id}/providers/{cls.TYPE}/{parse(cluster_id).name}"

    @property
    def cluster_id(self) -> str:
        """The id of the cluster."""
        return self.id.rpartition(f"/providers/{self.TYPE}/")[0]

    @property
    def clusters(self) -> tuple[str, ...]:
        """The id of the cluster, as the one that a finding concerns."""
        return (self.cluster_id,)

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        cluster = parse(self.cluster_id)
        return {"group": cluster.group, "name": cluster.name, "subscription": cluster.subscription}
