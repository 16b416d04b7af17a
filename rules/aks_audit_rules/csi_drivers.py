"""The drivers by which pods get disks and files of Azure, and snapshots of them."""

from aks_audit.facts import Field, ManagedCluster
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, passes, rule, undecided
from aks_audit_rules.frameworks import aprl, azure_policy

_DRIVERS = (
    ("Azure Disks", ManagedCluster.disk_csi_enabled),
    ("Azure Files", ManagedCluster.file_csi_enabled),
    ("snapshots", ManagedCluster.snapshot_controller_enabled),
)


@rule(
    "AKS-CP-21",
    title="The drivers for Azure's disks and files are on",
    severity=Severity.INFO,
    controls=(aprl("b002c030-72e6-4a37-8217-1cb276c43169"), azure_policy("c5110b6e-5272-4989-9935-59ad06fdf341")),
)
def csi_drivers_on(cluster: ManagedCluster) -> Verdict:
    """Kubernetes has had no drivers of its own for Azure since 1.27. With AKS's off, claims of its storage classes wait on.

    A driver that someone installs instead is theirs to patch, and needs the cluster's rights on Azure's disks and shares.

    Severity: AKS has them on; whoever turned one off mostly meant it, in a cluster without such volumes, where one program
    less runs on each node.
    Decided: `properties.storageProfile` says of `diskCSIDriver`, `fileCSIDriver` and `snapshotController` that each is
    `enabled`; false fails. Absent is unknown, though on is the default: old api-versions leave the profile out. The driver
    for Blob storage is off by default, for those who want it, and not asked for.
    Fix: az aks update --resource-group {group} --name {name} --enable-disk-driver --enable-file-driver --enable-snapshot-controller
    Bicep: properties.storageProfile: diskCSIDriver.enabled, fileCSIDriver.enabled, snapshotController.enabled: true
    Change: in place; where another driver of the same name was installed, take it away first
    References: https://learn.microsoft.com/azure/aks/csi-storage-drivers
    Disagreement: APRL asks for the Blob driver, too. A driver that nobody uses is one more program with rights on nodes.
    """
    return each(_DRIVERS, lambda driver: _is_on(cluster, *driver))


def _is_on(cluster: ManagedCluster, what: str, field: Field[bool]) -> Verdict:
    evidence = cluster.at(field)
    on = field.__get__(cluster, ManagedCluster)
    if on is None:
        return undecided(f"The body does not say whether the driver for {what} is on", evidence)
    if on:
        return passes(f"The driver for {what} is on", evidence)
    return fails(f"The driver for {what} is off", evidence)


RULES = (csi_drivers_on,)
