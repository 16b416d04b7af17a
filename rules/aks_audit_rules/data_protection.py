"""Encryption at rest, and where the secrets of applications live."""

from aks_audit.facts import AddOn, AgentPool, AgentPoolMode, InfrastructureEncryption, ManagedCluster
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import (
    aks_health_check,
    azure_policy,
    checkov,
    kubebuddy,
    mcsb,
    psrule,
    review_checklist,
    the_aks_checklist,
)


@rule(
    "AKS-CP-10",
    title="Kubernetes Secrets are encrypted with a key of their own",
    severity=Severity.LOW,
    controls=(
        mcsb("DP-6"),
        azure_policy("dbbdc317-9734-4dd8-9074-993b29c69008"),
        review_checklist("e7ba73a3-0508-4f80-806f-527db30cee96"),
        the_aks_checklist("e7ba73a3-0508-4f80-806f-527db30cee96"),
    ),
)
def secrets_encrypted_with_kms(cluster: ManagedCluster) -> Verdict:
    """With KMS the API server encrypts each Secret before it is written to etcd, so a copy of etcd alone is of no use.

    Severity: Azure encrypts etcd's disks in any case and runs them itself, so only someone inside that boundary, or an
    auditor who asks for it, notices the difference. Whoever may read Secrets through the API still can.
    Decided: `properties.securityProfile.azureKeyVaultKms.enabled` is true (a key in a Key Vault of yours), or
    `kubernetesResourceObjectEncryptionProfile.infrastructureEncryption` is Enabled (from Kubernetes 1.33; keys managed
    by the platform, or by you when both are set). Neither is on by default, so absent fails.
    Fix: az aks update --resource-group {group} --name {name} --kms-infrastructure-encryption Enabled
    Bicep: properties.securityProfile.kubernetesResourceObjectEncryptionProfile.infrastructureEncryption: 'Enabled'
    Change: in place; needs Kubernetes 1.33, a managed identity and the aks-preview extension, and cannot be undone.
    Before 1.33, or for a key of your own: --enable-azure-keyvault-kms --azure-keyvault-kms-key-id; a lost key is lost
    Secrets
    References: https://learn.microsoft.com/azure/aks/kms-data-encryption-concepts
    https://learn.microsoft.com/azure/aks/kms-data-encryption
    """
    evidence = (cluster.at(ManagedCluster.kms_enabled), cluster.at(ManagedCluster.object_encryption))
    if cluster.kms_enabled:
        return passes("Secrets are encrypted with a Key Vault key (KMS)", *evidence)
    if cluster.object_encryption is InfrastructureEncryption.ENABLED:
        return passes("Secrets are encrypted with platform-managed keys (KMS)", *evidence)
    return fails("Secrets in etcd have no encryption of their own (KMS)", *evidence)


@rule(
    "AKS-CP-11",
    title="Disks are encrypted with a key of one's own",
    severity=Severity.INFO,
    controls=(
        mcsb("DP-5"),
        azure_policy("7d7be79c-23ba-4033-84dd-45e2a5ccdd67"),
        checkov("CKV_AZURE_117"),
    ),
)
def disks_encrypted_with_own_key(cluster: ManagedCluster) -> Verdict:
    """With a key of one's own, disks can be made unreadable, and each use of the key is logged.

    Severity: a matter of opinion, or of a regulation. Azure encrypts every disk in any case, with keys that it keeps itself; a
    key of one's own keeps nobody out who may read the disk, and a lost one loses the disks.
    Decided: `properties.diskEncryptionSetID` names a disk encryption set. It holds for OS disks, ephemeral ones among
    them, and for volumes of the storage classes that AKS makes; a storage class may name another, which is not judged.
    Absent is Azure's default, platform-managed keys. Encryption at host is another question (AKS-CP-12).
    Fix: az aks create --resource-group {group} --name <new cluster> --node-osdisk-diskencryptionset-id <disk encryption set id>
    Bicep: properties.diskEncryptionSetID: <disk encryption set id>
    Change: new cluster; it cannot be set later. Where no regulation asks for it, accept the finding
    References: https://learn.microsoft.com/azure/aks/azure-disk-customer-managed-keys
    """
    evidence = cluster.at(ManagedCluster.disk_encryption_set)
    if cluster.disk_encryption_set:
        return passes("Disks are encrypted with a key of a disk encryption set", evidence)
    return fails("Disks are encrypted with platform-managed keys alone", evidence)


@rule(
    "AKS-CP-12",
    title="The agent pool is encrypted at host",
    severity=Severity.LOW,
    controls=(
        mcsb("DP-4"),
        azure_policy("41425d9f-d1a5-499a-9932-f8ed8453932c"),
        checkov("CKV_AZURE_227"),
    ),
)
def encrypted_at_host(pool: AgentPool) -> Verdict:
    """Temporary and ephemeral OS disks lie on the host; they hold image layers, logs and emptyDir volumes.

    Encryption at host encrypts them there, and all that flows from the host to Azure's storage.

    Severity: to gain anything one must get at Azure's own hosts or at discarded hardware.
    Decided: the pool's `enableEncryptionAtHost` is true, asked of each pool. Absent means off (the default). Pools that
    Microsoft runs (ManagedSystem) are not applicable where it is off.
    Fix: az aks nodepool add --resource-group {group} --cluster-name {cluster} --name <new-pool> --enable-encryption-at-host
    Bicep: properties.agentPoolProfiles[].enableEncryptionAtHost: true
    Change: replaces nodes; only new pools can have it, on VM sizes that support it. Move the work, then delete the old
    pool
    References: https://learn.microsoft.com/azure/aks/enable-host-encryption
    """
    evidence = pool.at(AgentPool.enable_encryption_at_host)
    if pool.enable_encryption_at_host:
        return passes("The pool is encrypted at host", evidence)
    if pool.mode is AgentPoolMode.MANAGED_SYSTEM:
        return not_applicable("Microsoft runs this pool", evidence)
    return fails("The pool is not encrypted at host", evidence)


@rule(
    "AKS-CP-15",
    title="The Key Vault provider for secrets is installed",
    severity=Severity.LOW,
    controls=(
        mcsb("IM-8"),
        psrule("Azure.AKS.SecretStore"),
        kubebuddy("AKSSEC005"),
        review_checklist("5e3df584-eccc-4d97-a3b6-bcda3b50eb2e"),
        the_aks_checklist("5e3df584-eccc-4d97-a3b6-bcda3b50eb2e"),
        aks_health_check("DEV-7"),
    ),
)
def key_vault_provider_installed(cluster: ManagedCluster) -> Verdict:
    """The provider mounts secrets from Key Vault into pods, so that they need not be copied into Kubernetes or Git.

    In Key Vault each read is logged and each secret has an owner and an end. A Kubernetes Secret is readable by
    everyone who may read Secrets, or start a pod, in its namespace.

    Severity: the add-on offers a better place and empties no worse one. Whether it is used cannot be seen in Azure.
    Decided: `properties.addonProfiles.azureKeyvaultSecretsProvider.enabled` is true, whatever the key's case. No entry
    means not installed. Another operator that does the same (External Secrets, Vault) cannot be seen here: accept the
    finding as an exception.
    Fix: az aks enable-addons --resource-group {group} --name {name} --addons azure-keyvault-secrets-provider
    Bicep: properties.addonProfiles.azureKeyvaultSecretsProvider.enabled: true
    Change: in place
    References: https://learn.microsoft.com/azure/aks/csi-secrets-store-driver
    """
    provider = cluster.key_vault_secrets_provider
    if provider is None:
        evidence = cluster.at(ManagedCluster.key_vault_secrets_provider)
        return fails("The Key Vault provider is not installed", evidence)
    if provider.enabled:
        return passes("The Key Vault provider is installed", provider.at(AddOn.enabled))
    return fails("The Key Vault provider is disabled", provider.at(AddOn.enabled))


@rule(
    "AKS-CP-16",
    title="Mounted secrets follow Key Vault",
    severity=Severity.LOW,
    controls=(
        mcsb("DP-7"),
        psrule("Azure.AKS.SecretStoreRotation"),
        checkov("CKV_AZURE_172"),
    ),
)
def secrets_rotated(cluster: ManagedCluster) -> Verdict:
    """Without rotation a pod keeps the secret it started with. After a leak the new one reaches it only by a restart.

    Until then nobody dares to revoke the old one: it would stop the pods that still use it.

    Severity: it draws out the life of a secret that has already leaked, or turns its renewal into an outage.
    Decided: `properties.addonProfiles.azureKeyvaultSecretsProvider.config.enableSecretRotation` is "true", a string on
    the wire, in any case. "false" and absent fail; other strings are unknown. Without the provider it is not
    applicable.
    Fix: az aks update --resource-group {group} --name {name} --enable-secret-rotation
    Bicep: properties.addonProfiles.azureKeyvaultSecretsProvider.config.enableSecretRotation: 'true'
    Change: in place; applications must read the file anew, and environment variables still need a restart
    References: https://learn.microsoft.com/azure/aks/csi-secrets-store-configuration-options
    """
    provider = cluster.key_vault_secrets_provider
    if provider is None or not provider.enabled:
        evidence = cluster.at(ManagedCluster.key_vault_secrets_provider)
        return not_applicable("The Key Vault provider is not in use", evidence)
    evidence = provider.at(AddOn.secret_rotation)
    match (provider.secret_rotation or "false").lower():
        case "true":
            return passes("Mounted secrets follow Key Vault", evidence)
        case "false":
            return fails("Mounted secrets stay as they were when the pod started", evidence)
        case _:
            return undecided("The setting is neither true nor false", evidence)


RULES = (
    secrets_encrypted_with_kms,
    disks_encrypted_with_own_key,
    encrypted_at_host,
    key_vault_provider_installed,
    secrets_rotated,
)
