"""What volumes are made by: which driver makes them, and whether they outlive the loss of a zone."""

from enum import StrEnum

from aks_audit.facts.field import named_texts
from aks_audit.facts.platform import of_aks
from aks_audit.facts.volumes import PersistentVolumeClaim, StorageClass
from aks_audit.facts.workloads import Node
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import aprl, azure_policy, kubebuddy, review_checklist, the_aks_checklist

_IN_TREE = "kubernetes.io/"
_LOCAL = "kubernetes.io/no-provisioner"
_ZONE = "topology.kubernetes.io/zone"


class _Driver(StrEnum):
    """Azure's drivers whose volumes may be copied to several zones."""

    DISK = "disk.csi.azure.com"
    FILES = "file.csi.azure.com"
    BLOB = "blob.csi.azure.com"


_DEFAULT = {_Driver.DISK: "StandardSSD_LRS", _Driver.FILES: "Standard_LRS", _Driver.BLOB: "Standard_LRS"}
"""The SKU of a class that names none."""

_ZONE_REDUNDANT = frozenset({"zrs", "gzrs", "ragzrs"})
_IN_ONE_ZONE = frozenset({"lrs", "grs", "ragrs"})
_NEVER_ZONE_REDUNDANT = frozenset({"premiumv2_lrs", "ultrassd_lrs"})


@rule(
    "AKS-KW-12",
    title="Storage classes use CSI drivers, and their volumes outlive a zone",
    severity=Severity.MEDIUM,
    # KubeBuddy's PVC002 demands that claims name a class; admission writes the default one into those that do not.
    controls=(
        azure_policy("4f3823b6-6dac-4b5a-9c61-ce1afb829f17"),
        aprl("d3111036-355d-431b-ab49-8ddad042800b"),
        kubebuddy("SC001"),
        kubebuddy("SC002"),
        kubebuddy("SC004"),
        review_checklist("daa9a260-c3ea-4490-b077-5fc1f2a80cb0"),
        review_checklist("83958a8c-2689-4b32-ab57-cfc64546135a"),
        the_aks_checklist("83958a8c-2689-4b32-ab57-cfc64546135a"),
    ),
)
def storage_class_sound(storage: StorageClass) -> Verdict:
    """Data on a disk of one zone is away with the zone, and its pod cannot start in another one.

    Kubernetes has removed the drivers that it brought itself (in-tree): AKS supports no new volumes of a class that names one.

    Severity: CSI drivers may still stand in for those of Azure, unsupported, until the day that they do not. Low for volumes that stay in
    one zone while nodes stand in several, since replicas or backups may make up for it; info for those that cannot grow.
    Decided: the provisioner does not begin with `kubernetes.io/`, but for `kubernetes.io/no-provisioner`, which makes no volumes and
    is not applicable. Of the CSI drivers of Azure Disk, Files and Blob Storage `skuName` (or `storageAccountType`) ends
    with ZRS, where the nodes of the cluster are in two zones or more by their label `topology.kubernetes.io/zone`;
    a class that names none makes StandardSSD_LRS disks, or Standard_LRS accounts. PremiumV2_LRS and UltraSSD_LRS pass, of which Azure has no others. SKUs that are
    new are unknown. `allowVolumeExpansion` is true; absent means that it is not. AKS's own classes are asked about only where
    a claim uses them, and other drivers not at all.
    Fix: kubectl get storageclass {name} --output yaml # make one with another name, skuName Premium_ZRS and allowVolumeExpansion true; a class cannot be changed
    Bicep: none; in the manifest: provisioner: disk.csi.azure.com, parameters.skuName: Premium_ZRS, allowVolumeExpansion: true
    Change: in place for new claims; volumes that exist keep their SKU until their data is moved
    References: https://learn.microsoft.com/azure/aks/csi-storage-drivers
        https://learn.microsoft.com/azure/aks/create-volume-azure-disk
        https://learn.microsoft.com/azure/aks/csi-migrate-in-tree-volumes
        https://github.com/kubernetes-sigs/azuredisk-csi-driver/blob/master/docs/driver-parameters.md
        https://github.com/kubernetes-sigs/azurefile-csi-driver/blob/master/docs/driver-parameters.md
    """
    evidence = storage.at(StorageClass.provisioner)
    provisioner = storage.provisioner
    if provisioner is None:
        return undecided(f"Class {storage.name} does not name its provisioner", evidence)
    if provisioner == _LOCAL:
        return not_applicable(f"Class {storage.name} makes no volumes", evidence)
    if provisioner.startswith(_IN_TREE):
        message = f"Class {storage.name} names the in-tree driver {provisioner}"
        return fails(message, evidence, severity=Severity.MEDIUM)
    if provisioner not in set(_Driver):
        return not_applicable(f"Class {storage.name} uses {provisioner}, which is none of Azure's", evidence)
    if of_aks(storage) and not _claimed(storage):
        return not_applicable(f"No claim uses AKS's own class {storage.name}", evidence)
    return each((_redundant, _grows), lambda judge: judge(storage))


def _claimed(storage: StorageClass) -> bool:
    """Whether a claim uses the class.

    Raises:
        NotCollected: none that is known does, and claims were not all read.
        Malformed: a claim cannot be read.
    """
    held = storage.estate.within(PersistentVolumeClaim, storage.cluster_id)
    if any(claim.storage_class == storage.name for claim in held):
        return True
    held.whole()
    return False


def _redundant(storage: StorageClass) -> Verdict:
    sku = storage.sku or _DEFAULT[_Driver(storage.provisioner or "")]
    evidence = storage.at(StorageClass.parameters)
    redundancy = sku.lower().rpartition("_")[2]
    if redundancy in _ZONE_REDUNDANT:
        return passes(f"Class {storage.name} makes volumes of {sku}, in several zones each", evidence)
    if sku.lower() in _NEVER_ZONE_REDUNDANT:
        return passes(f"Class {storage.name} makes disks of {sku}, which Azure keeps in one zone each", evidence)
    if redundancy not in _IN_ONE_ZONE:
        return undecided(
            f"Whether {sku}, of which class {storage.name} makes volumes, outlives a zone is not known", evidence
        )
    zones = _zones(storage)
    if len(zones) > 1:
        message = f"Class {storage.name} makes volumes of {sku}, in one zone each, and nodes are in {len(zones)} zones"
        return fails(message, evidence, severity=Severity.LOW)
    return passes(f"Class {storage.name} makes volumes of {sku}, and nodes are in no two zones", evidence)


def _zones(storage: StorageClass) -> frozenset[str]:
    """The zones that nodes stand in; AKS labels those in none with a number alone.

    Raises:
        NotCollected: no two are known, and nodes were not all read.
        Malformed: the labels of a node cannot be read.
    """
    held = storage.estate.within(Node, storage.cluster_id)
    labels = named_texts("metadata.labels")
    found = frozenset(zone for node in held if "-" in (zone := (labels.__get__(node, Node) or {}).get(_ZONE, "")))
    if len(found) < 2:  # noqa: PLR2004 - two zones are several
        held.whole()
    return found


def _grows(storage: StorageClass) -> Verdict:
    evidence = storage.at(StorageClass.allow_volume_expansion)
    if storage.allow_volume_expansion:
        return passes(f"Volumes of class {storage.name} can grow", evidence)
    return fails(f"Volumes of class {storage.name} cannot grow", evidence, severity=Severity.INFO)


RULES = (storage_class_sound,)
