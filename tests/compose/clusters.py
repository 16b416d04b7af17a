"""Bodies of managed clusters as `az aks create` leaves them, api-version 2026-08-01; every property may be replaced."""

from collections.abc import Iterable, Sequence

from aks_audit.snapshot import Body
from compose.azure import TENANT, Group, guid, reference

CLUSTERS = "Microsoft.ContainerService/managedClusters"
IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"
MAINTENANCE = f"{CLUSTERS}/maintenanceConfigurations"
VERSION = "1.34.2"
_TOP = ("sku", "identity", "kind", "tags")


def agent_pool(name: str, count: int, **changes: object) -> Body:
    """A Linux agent pool of a scale set, as `az aks create` makes its first one."""
    standard = {
        "name": name,
        "count": count,
        "vmSize": "Standard_D4ds_v5",
        "osDiskSizeGB": 150,
        "osDiskType": "Ephemeral",
        "kubeletDiskType": "OS",
        "workloadRuntime": "OCIContainer",
        "maxPods": 250,
        "type": "VirtualMachineScaleSets",
        "enableAutoScaling": False,
        "scaleDownMode": "Delete",
        "provisioningState": "Succeeded",
        "powerState": {"code": "Running"},
        "enableNodePublicIP": False,
        "mode": "System",
        "enableEncryptionAtHost": False,
        "enableUltraSSD": False,
        "osType": "Linux",
        "osSKU": "Ubuntu",
        "nodeImageVersion": "AKSUbuntu-2204gen2containerd-202611.03.0",
        "upgradeSettings": {"maxSurge": "10%", "maxUnavailable": "0"},
        "enableFIPS": False,
        "networkProfile": {},
        "securityProfile": {"sshAccess": "LocalUser", "enableVTPM": False, "enableSecureBoot": False},
        "eTag": guid(name, str(count)),
    }
    return _without_none({**standard, **changes})


def user_pool(name: str, count: int, **changes: object) -> Body:
    """A further pool, for applications."""
    return agent_pool(name, count, **{"mode": "User", **changes})


def hardened_pool(name: str, count: int, **changes: object) -> Body:
    """A pool over three zones with encryption at host and without SSH."""
    hardened = {
        "availabilityZones": ["1", "2", "3"],
        "enableEncryptionAtHost": True,
        "osSKU": "AzureLinux",
        "nodeImageVersion": "AKSAzureLinux-V3gen2-202611.03.0",
        "securityProfile": {"sshAccess": "Disabled", "enableVTPM": True, "enableSecureBoot": True},
    }
    return agent_pool(name, count, **{**hardened, **changes})


def managed_cluster(group: Group, name: str, pools: Sequence[Body], **changes: object) -> Body:
    """A managed cluster. `changes` replace properties, and `sku`, `identity`, `kind`, `tags`; None takes one away."""
    own = group.of(CLUSTERS, name)
    version = str(changes.pop("currentKubernetesVersion", VERSION))
    node_group = str(changes.pop("nodeResourceGroup", f"MC_{group.name}_{name}_{group.location}"))
    versions = {"orchestratorVersion": version.rpartition(".")[0], "currentOrchestratorVersion": version}
    properties = {
        "provisioningState": "Succeeded",
        "powerState": {"code": "Running"},
        "kubernetesVersion": version.rpartition(".")[0],
        "currentKubernetesVersion": version,
        "agentPoolProfiles": [{**versions, **pool} for pool in pools],
        **_names(group, name),
        **_defaults(group, name, node_group),
        **{key: value for key, value in changes.items() if key not in _TOP},
    }
    top = {
        "sku": {"name": "Base", "tier": "Free"},
        "identity": {"type": "SystemAssigned", "principalId": guid(own, "principal"), "tenantId": TENANT},
        "kind": "Base",
        **{key: value for key, value in changes.items() if key in _TOP},
    }
    frame = {"id": own, "location": group.location, "name": name, "type": "Microsoft.ContainerService/ManagedClusters"}
    return _without_none({**frame, "properties": _without_none(properties), **top, "eTag": guid(own, "etag")})


_LONGEST_DNS_PREFIX = 54
"""So that the first label of the API server's name is one that DNS allows, with the eight letters after it."""


def _names(group: Group, name: str) -> Body:
    whole = f"{name}-{group.name}-{group.subscription.subscription_id[:6]}"
    prefix = whole[:_LONGEST_DNS_PREFIX]
    host = f"{prefix}-{guid(name, whole)[:8]}"
    return {
        "dnsPrefix": prefix,
        "fqdn": f"{host}.hcp.{group.location}.azmk8s.io",
        "azurePortalFQDN": f"{host}.portal.hcp.{group.location}.azmk8s.io",
        "resourceUID": guid(group.id, name, "uid").replace("-", "")[:24],
    }


def maintenance_windows(cluster: Body) -> list[Body]:
    """The windows for upgrades of a cluster and of its nodes: Sunday mornings."""
    window = {
        "schedule": {"weekly": {"intervalWeeks": 1, "dayOfWeek": "Sunday"}},
        "durationHours": 8,
        "utcOffset": "+00:00",
        "startDate": "2026-01-04",
        "startTime": "01:00",
    }
    names = ("aksManagedAutoUpgradeSchedule", "aksManagedNodeOSUpgradeSchedule")
    frames = ({"id": f"{cluster['id']}/maintenanceConfigurations/{name}", "name": name} for name in names)
    return [{**frame, "type": MAINTENANCE, "properties": {"maintenanceWindow": window}} for frame in frames]


def _defaults(group: Group, name: str, node_group: str) -> Body:
    return {
        "linuxProfile": {"adminUsername": "azureuser"},
        "windowsProfile": {"adminUsername": "azureuser", "enableCSIProxy": True},
        "servicePrincipalProfile": {"clientId": "msi"},
        "nodeResourceGroup": node_group,
        "enableRBAC": True,
        "supportPlan": "KubernetesOfficial",
        "networkProfile": overlay(**load_balancer_outbound(group, name, node_group)),
        "maxAgentPools": 100,
        "identityProfile": kubelet_identity(Group(group.subscription, node_group).of(IDENTITIES, f"{name}-agentpool")),
        "autoUpgradeProfile": {"nodeOSUpgradeChannel": "NodeImage"},
        "disableLocalAccounts": False,
        "securityProfile": {},
        "storageProfile": {
            "diskCSIDriver": {"enabled": True},
            "fileCSIDriver": {"enabled": True},
            "snapshotController": {"enabled": True},
        },
        "oidcIssuerProfile": issuer(group, name),
        "workloadAutoScalerProfile": {},
        "metricsProfile": {"costAnalysis": {"enabled": False}},
        "nodeProvisioningProfile": {"mode": "Manual", "defaultNodePools": "Auto"},
        "bootstrapProfile": {"artifactSource": "Direct"},
    }


def issuer(group: Group, name: str) -> Body:
    """An OIDC issuer that is on."""
    address = f"https://{group.location}.oic.prod-aks.azure.com/{TENANT}/{guid(group.id, name, 'issuer')}/"
    return {"enabled": True, "issuerURL": address}


def kubelet_identity(identity: str) -> Body:
    """An identity profile with the kubelet's identity, by its id."""
    ids = {"clientId": guid(identity, "client"), "objectId": guid(identity, "principal")}
    return {"kubeletidentity": {"resourceId": identity, **ids}}


def user_assigned(identities: Iterable[Body]) -> Body:
    """A cluster's `identity` that is user-assigned."""
    return {
        "type": "UserAssigned",
        "userAssignedIdentities": {
            each["id"]: {key: each["properties"][key] for key in ("principalId", "clientId")} for each in identities
        },
    }


def outbound_address(group: Group, name: str, node_group: str) -> str:
    """The id of the public address that AKS makes for a cluster's outbound traffic."""
    return Group(group.subscription, node_group).of("publicIPAddresses", guid(group.id, name, "outbound"))


def load_balancer_outbound(group: Group, name: str, node_group: str) -> Body:
    """The part of a network profile that says: out through a load balancer with one managed address."""
    return {
        "outboundType": "loadBalancer",
        "loadBalancerProfile": {
            "managedOutboundIPs": {"count": 1},
            "effectiveOutboundIPs": [reference(outbound_address(group, name, node_group))],
            "backendPoolType": "nodeIPConfiguration",
        },
    }


def nat_gateway_outbound(group: Group, name: str, node_group: str) -> Body:
    """The part of a network profile that says: out through a NAT gateway that AKS made."""
    return {
        "outboundType": "managedNATGateway",
        "loadBalancerProfile": {"backendPoolType": "nodeIPConfiguration"},
        "natGatewayProfile": {
            "managedOutboundIPProfile": {"count": 1},
            "effectiveOutboundIPs": [reference(outbound_address(group, name, node_group))],
            "idleTimeoutInMinutes": 4,
        },
    }


def own_routes() -> Body:
    """The part of a network profile that says: out by the subnets' own route tables."""
    return {"outboundType": "userDefinedRouting", "loadBalancerProfile": {"backendPoolType": "nodeIPConfiguration"}}


def overlay(pods: str = "10.244.0.0/16", services: str = "10.0.0.0/16", **changes: object) -> Body:
    """A network profile with Azure CNI overlay."""
    mode = {"networkPluginMode": "overlay", "podCidr": pods, "podCidrs": [pods]}
    return vnet_pods(services, **{**mode, **changes})


def kubenet(pods: str = "10.244.0.0/16", services: str = "10.0.0.0/16", **changes: object) -> Body:
    """A network profile with kubenet."""
    mode = {"networkPlugin": "kubenet", "podCidr": pods, "podCidrs": [pods]}
    return vnet_pods(services, **{**mode, **changes})


def vnet_pods(services: str = "10.0.0.0/16", **changes: object) -> Body:
    """A network profile with Azure CNI and pods in the network's own addresses."""
    return {
        "networkPlugin": "azure",
        "networkPolicy": "none",
        "networkDataplane": "azure",
        "loadBalancerSku": "standard",
        "serviceCidr": services,
        "dnsServiceIP": f"{services.rpartition('.')[0]}.10",
        "serviceCidrs": [services],
        "ipFamilies": ["IPv4"],
        **changes,
    }


def cilium() -> Body:
    """The part of a network profile that says: Cilium."""
    return {"networkPolicy": "cilium", "networkDataplane": "cilium"}


def encrypted_cilium() -> Body:
    """The part of a network profile that says: Cilium, which encrypts what pods send to other nodes."""
    return {**cilium(), **advanced_networking("FQDN")}


def advanced_networking(policies: str = "L7") -> Body:
    """The part of a network profile that says: Advanced Container Networking Services, all of them."""
    security = {
        "enabled": True,
        "advancedNetworkPolicies": policies,
        "transitEncryption": {"type": "WireGuard"},
    }
    everything = {"enabled": True, "observability": {"enabled": True}, "security": security}
    return {"advancedNetworking": everything}


def private_link(group: Group, name: str, zone: str = "system", **changes: object) -> Body:
    """The properties of a private cluster over Private Link; `zone` is `system`, `none` or a private DNS zone's id."""
    if zone == "system":
        domain = f"{guid(group.id, name, 'zone')}.privatelink.{group.location}.azmk8s.io"
    else:
        domain = f"privatelink.{group.location}.azmk8s.io"
    profile = {"enablePrivateCluster": True, "privateDNSZone": zone, "enablePrivateClusterPublicFQDN": False, **changes}
    names = _names(group, name)
    member = "management"
    return {
        "fqdn": names["fqdn"] if profile["enablePrivateClusterPublicFQDN"] else None,
        "privateFQDN": f"{names['fqdn'].partition('.')[0]}.{domain}",
        "apiServerAccessProfile": profile,
        "privateLinkResources": [
            {
                "id": f"{group.of(CLUSTERS, name)}/privateLinkResources/{member}",
                "name": member,
                "type": f"{CLUSTERS}/privateLinkResources",
                "groupId": member,
                "requiredMembers": [member],
            }
        ],
    }


def vnet_integrated(group: Group, name: str, subnet: str, zone: str, **changes: object) -> Body:
    """The properties of a private cluster whose API server stands in a subnet of the customer's."""
    host = _names(group, name)["fqdn"].partition(".")[0]
    return {
        "fqdn": None,
        "privateFQDN": f"{host}.private.{group.location}.azmk8s.io",
        "apiServerAccessProfile": {
            "enablePrivateCluster": True,
            "privateDNSZone": zone,
            "enablePrivateClusterPublicFQDN": False,
            "enableVnetIntegration": True,
            "subnetId": subnet,
            "disableRunCommand": True,
            **changes,
        },
    }


def entra(groups: Sequence[str] | None = None, *, azure_rbac: bool = True) -> Body:
    """An Entra ID profile that AKS manages."""
    return {
        "managed": True,
        "adminGroupObjectIDs": None if groups is None else list(groups),
        "adminUsers": None,
        "enableAzureRBAC": azure_rbac,
        "tenantID": TENANT,
    }


def add_on(*, enabled: bool = True, **config: str) -> Body:
    """An add-on's entry; its configuration is strings on the wire, or null."""
    return {"enabled": enabled, "config": config or None}


def secrets_provider(rotation: str = "true") -> Body:
    """The Key Vault secrets provider; rotation is a string on the wire."""
    return add_on(enableSecretRotation=rotation, rotationPollInterval="2m")


def logs(workspace: str) -> Body:
    """The add-on of Container insights."""
    return add_on(logAnalyticsWorkspaceResourceID=workspace, useAADAuth="true")


def metrics() -> Body:
    """An Azure Monitor profile with managed Prometheus."""
    allowed = {"metricLabelsAllowlist": "", "metricAnnotationsAllowList": ""}
    return {"metrics": {"enabled": True, "kubeStateMetrics": allowed}}


def security(workspace: str, vault: str = "", **changes: object) -> Body:
    """A security profile: Defender, image cleaner, workload identity, and KMS where a key vault's id is given."""
    vault_name = vault.rpartition("/")[2]
    kms = {
        "enabled": True,
        "keyId": f"https://{vault_name}.vault.azure.net/keys/etcd/{guid(vault, 'key').replace('-', '')}",
        "keyVaultNetworkAccess": "Private",
        "keyVaultResourceId": vault,
    }
    profile = {
        "azureKeyVaultKms": kms if vault else None,
        "defender": {"logAnalyticsWorkspaceResourceId": workspace, "securityMonitoring": {"enabled": True}},
        "imageCleaner": {"enabled": True, "intervalHours": 168},
        "workloadIdentity": {"enabled": True},
        **changes,
    }
    return _without_none(profile)


def _without_none(body: Body) -> Body:
    return {key: value for key, value in body.items() if value is not None}
