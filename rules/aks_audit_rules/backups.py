"""Backups of what clusters hold."""

from collections.abc import Sequence
from contextlib import suppress

from aks_audit.facts import Evidence, ManagedCluster, Unread
from aks_audit.facts.backups import BackupInstance, BackupVault
from aks_audit.facts.enumerations import ProtectionState
from aks_audit.facts.volumes import PersistentVolume
from aks_audit.facts.workloads import workloads
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, passes, rule, undecided
from aks_audit_rules.frameworks import aks_health_check, aprl, azure_policy, mcsb, the_aks_checklist

_MADE = frozenset({ProtectionState.PROTECTION_CONFIGURED, ProtectionState.UPDATING_PROTECTION})
_PERHAPS = frozenset({ProtectionState.CONFIGURING_PROTECTION, ProtectionState.RETENTION_SCHEDULES_SUSPENDED})

_OTHERS = ("kasten", "kanister", "trilio", "velero", "veeam")
"""What stands in the names of images of other products that back up clusters."""

_OWN = "dataprotection-microsoft"
"""The namespace of Azure's backup extension, in which a Velero of its own runs."""


@rule(
    "AKS-OP-07",
    title="The cluster is backed up",
    severity=Severity.LOW,
    controls=(
        the_aks_checklist("7e970492-1bed-4541-98f6-be550b17caa6"),
        the_aks_checklist("13d493b9-2cdc-4632-b188-6882b81da0ed"),
        aprl("269a9f1a-6675-460a-831e-b05a887a8c4b"),
        azure_policy("0b0434ec-2bad-4229-965f-bb7ae5a71257"),
        azure_policy("fda9cd0b-094c-4cd5-ac2a-5e06e5277c45"),
        azure_policy("bdff5235-9f40-4a32-893f-38a03d5d607c"),
        azure_policy("9a021087-bba6-42fd-b535-bba75297566b"),
        mcsb("MCSB v1 BR-1"),
        aks_health_check("STOR-4"),
    ),
)
def backed_up(cluster: ManagedCluster) -> Verdict:
    """A wrong `kubectl delete`, or whoever wants a ransom, takes objects and volumes with it; a backup elsewhere brings them back.

    Severity: a backup prevents nothing, and what is made again from Git alone needs none. Info where the cluster was read and has
    no persistent volume.
    Decided: a backup instance, in some backup vault that was read, whose data source is this cluster by its id, without case; its
    name may say anything. It is protected (`currentProtectionState` ProtectionConfigured, or UpdatingProtection). Stopped,
    suspended, failed or deleted protection fails; one that is being configured, or whose retention alone is suspended, is
    unknown. When it was backed up last, and which namespaces and volumes, is not read. Vaults are read with `--read backups`; one
    outside the cluster's subscription counts where it was read. Where what runs in the cluster was read and holds another product
    for backups, or only a part of it was read, the answer is unknown, not a failure; one that runs elsewhere cannot be seen: accept the finding as an exception.
    Fix: az dataprotection backup-instance create --resource-group {group} --vault-name <backup vault> --backup-instance <instance.json of az dataprotection backup-instance initialize>
    Bicep: Microsoft.DataProtection/backupVaults/backupInstances properties.dataSourceInfo.resourceID: the cluster's id
    Change: in place; needs the backup extension in the cluster, a storage account, and trusted access for the vault
    References: https://learn.microsoft.com/azure/backup/azure-kubernetes-service-cluster-backup
    https://learn.microsoft.com/rest/api/dataprotection/backup-instances/list
    Disagreement: the Azure Proactive Resiliency Library looks for the cluster's name in the names of backup instances, which
    finds a cluster of the same name elsewhere, and misses instances that somebody named.
    """
    instances = [one for one in cluster.estate.every(BackupInstance) if _is_of(one, cluster)]
    unsure = [one for one in cluster.estate.every(BackupInstance) if one.source_id is None]
    made = [one for one in instances if one.state in _MADE]
    if made:
        return passes("The cluster is backed up", *(one.at(BackupInstance.state) for one in made))
    if perhaps := [one for one in instances if one.state is None or one.state in _PERHAPS]:
        return undecided(
            "Whether the backup is made cannot be told", *(one.at(BackupInstance.state) for one in perhaps)
        )
    if unsure:
        return undecided("A backup does not say of what", *(one.at(BackupInstance.source_id) for one in unsure))
    for vault in cluster.estate.within(BackupVault, f"/subscriptions/{cluster.parsed.subscription}").whole():
        cluster.estate.within(BackupInstance, vault.id).whole()
    evidence = [one.at(BackupInstance.state) for one in instances]
    told = "The backup of the cluster is not made" if instances else "No backup vault has backups of the cluster"
    return _by_azure_alone(cluster, told, evidence)


def _by_azure_alone(cluster: ManagedCluster, told: str, evidence: Sequence[Evidence]) -> Verdict:
    """The answer where Azure makes no backup: another product may, and one without volumes loses little."""
    if product := _product(cluster):
        return undecided(f"{told}; {product} runs in the cluster, and may make some", *evidence)
    running = workloads(cluster)
    if running.known and running.missing:
        return undecided(f"{told}; not all that runs could be read, and may make some", missing=running.missing)
    shown = evidence or [cluster.at(ManagedCluster.location)]
    if _has_no_volumes(cluster):
        return fails(f"{told}, which has no persistent volume", *shown, severity=Severity.INFO)
    return fails(told, *shown)


def _is_of(instance: BackupInstance, cluster: ManagedCluster) -> bool:
    return (instance.source_id or "").lower() == cluster.id.lower()


def _product(cluster: ManagedCluster) -> str | None:
    """The workload that makes backups, as far as workloads were read; Azure's own is none."""
    for workload in workloads(cluster).known:
        with suppress(Unread):  # a workload that cannot be read is told of where workloads are judged
            images = [container.image or "" for spec in workload.specs for container in spec.every_container]
            named = any(name in image.lower() for image in images for name in _OTHERS)
            if named and workload.namespace != _OWN:
                return f"{workload.namespace}/{workload.name}"
    return None


def _has_no_volumes(cluster: ManagedCluster) -> bool:
    """Whether the cluster was read, and has no persistent volume."""
    with suppress(Unread):
        return not cluster.estate.within(PersistentVolume, cluster.id).whole()
    return False


RULES = (backed_up,)
