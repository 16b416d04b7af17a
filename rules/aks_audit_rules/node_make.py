"""What nodes are made of: VM sizes, disks and operating systems."""

import datetime as dt
import re
from collections.abc import Iterator

from aks_audit.facts import (
    AgentPool,
    AgentPoolMode,
    AgentPoolType,
    Evidence,
    KubeletDiskType,
    ManagedCluster,
    OSDiskType,
    OSType,
    ScaleDownMode,
)
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.dates import NODE_IMAGES, VM_SERIES, NodeImage, VMSeries
from aks_audit_rules.frameworks import (
    aks_health_check,
    aprl,
    checkov,
    community_policy,
    kubebuddy,
    psrule,
    review_checklist,
    the_aks_checklist,
)
from aks_audit_rules.retirements import ending

_SIZE = re.compile(
    r"(?:standard|basic)_(?P<family>[a-z]+)\d+(?:-\d+)?(?P<features>[a-z]*)(?:_[a-z0-9_]+)?", re.ASCII | re.IGNORECASE
)
_SMALLEST_DISK = 128
_IMAGE_ENDS_SOON = dt.timedelta(days=180)
_AZURE_LINUX = ("aksazurelinux-v3", "aksazurecontainerlinux")
_UBUNTU = "aksubuntu-"


def _run_by_microsoft(pool: AgentPool) -> bool:
    return pool.mode is AgentPoolMode.MANAGED_SYSTEM


def _sizes(pool: AgentPool) -> tuple[str, ...]:
    """The VM sizes of a pool; none where the body does not name each."""
    if pool.type is AgentPoolType.VIRTUAL_MACHINES and (pool.manual_scales or pool.auto_scales):
        sizes = [scale.size for scale in (*(pool.manual_scales or ()), *(pool.auto_scales or ()))]
    else:
        sizes = [pool.vm_size]
    known = [size for size in sizes if size]
    return tuple(known) if len(known) == len(sizes) else ()


def _size_evidence(pool: AgentPool) -> Evidence:
    if pool.auto_scales:
        return pool.at(AgentPool.auto_scales)
    return pool.at(AgentPool.manual_scales if pool.manual_scales else AgentPool.vm_size)


@rule(
    "AKS-ND-08",
    title="Nodes have their operating system on an ephemeral disk",
    severity=Severity.LOW,
    controls=(
        review_checklist("24367b33-6971-45b1-952b-eee0b9b588de"),
        the_aks_checklist("24367b33-6971-45b1-952b-eee0b9b588de"),
        kubebuddy("AKSBP005"),
        psrule("Azure.AKS.EphemeralOSDisk"),
        community_policy("2dec5f47-bc40-40d1-8c7d-a39d9d6808d2"),
        community_policy("2cec5f47-bc40-40d1-8c7d-a39d9d6808d1"),
        aprl("a7bfcc18-b0d8-4d37-81f3-8131ed8bead5"),
        checkov("CKV_AZURE_226"),
    ),
)
def ephemeral_os_disks(cluster: ManagedCluster) -> Verdict:
    """An ephemeral disk is on the node's own host: nodes start and are reimaged sooner, and the disk costs nothing.

    Images, logs and emptyDir volumes on it are read and written faster, and do not outlive the node. A managed disk keeps,
    in a storage account far away, what nobody will ask for again.

    Severity: it is speed and cost. Where no VM size of the pool says that it has a local disk, it is worth no more than a
    thought when the size is next chosen: info.
    Decided: each pool's `osDiskType` is Ephemeral. Managed fails, as low where the names of all the pool's VM sizes say
    that they have a local disk (the letter d behind the number, as in Standard_D4ds_v5), else as info: whether the disk
    fits depends on the size's cache. Absent is unknown: AKS chose by the size. Not applicable: pools that Microsoft runs,
    and pools that keep the nodes they give up (`scaleDownMode` Deallocate), which need managed disks.
    Fix: az aks nodepool add --resource-group {group} --cluster-name {name} --name <new-pool> --node-vm-size Standard_D4ds_v5 --node-osdisk-type Ephemeral
    Bicep: properties.agentPoolProfiles[].osDiskType: 'Ephemeral'
    Change: new node pool; a pool's kind of disk is fixed, so move the work and delete the old one
    References: https://learn.microsoft.com/azure/aks/concepts-storage
        https://learn.microsoft.com/azure/virtual-machines/ephemeral-os-disks
    Disagreement: Azure's review checklist calls it high, PSRule important. A pool is Managed mostly since its VM size has
    no room for more; AKS chooses Ephemeral by itself where it fits and nobody asked otherwise.
    """
    return each(cluster.pools, _ephemeral)


def _ephemeral(pool: AgentPool) -> Verdict:
    evidence = pool.at(AgentPool.os_disk_type)
    if pool.os_disk_type is OSDiskType.EPHEMERAL:
        return passes(f"Pool {pool.name} has ephemeral disks", evidence)
    if _run_by_microsoft(pool):
        return not_applicable(f"Microsoft runs pool {pool.name}", evidence)
    if pool.os_disk_type is None:
        return undecided(f"The body does not say what disks pool {pool.name} has", evidence)
    if pool.scale_down_mode is ScaleDownMode.DEALLOCATE:
        shown = (evidence, pool.at(AgentPool.scale_down_mode))
        return not_applicable(f"Pool {pool.name} keeps nodes that it gives up, which takes managed disks", *shown)
    shown = (evidence, _size_evidence(pool))
    sizes = _sizes(pool)
    if sizes and all(_has_local_disk(size) for size in sizes):
        message = f"Pool {pool.name} has managed disks: ephemeral ones start sooner, are faster and cost nothing"
        return fails(message, *shown, severity=Severity.LOW)
    message = f"Pool {pool.name} has managed disks: a VM size with a local disk would have faster ones at no cost"
    return fails(message, *shown, severity=Severity.INFO)


def _has_local_disk(size: str) -> bool:
    parts = _SIZE.fullmatch(size)
    return parts is not None and "d" in parts["features"].lower()


@rule(
    "AKS-ND-09",
    title="Managed disks of nodes are of 128 GiB or more",
    severity=Severity.LOW,
    controls=(
        review_checklist("f0ce315f-1120-4166-8206-94f2cf3a4d07"),
        the_aks_checklist("fc4972cc-3cd2-45bf-a707-6e9eab4bed32"),
        kubebuddy("AKSBP006"),
    ),
)
def os_disks_large_enough(cluster: ManagedCluster) -> Verdict:
    """A managed disk's speed comes with its size. Below 128 GiB, pulling images and writing logs alone can exhaust it.

    The kubelet then answers late, nodes become NotReady, and pods are evicted for lack of space.

    Severity: it takes nodes with much to pull or to write, and shows as slow or failing nodes.
    Decided: each pool's `osDiskSizeGB` is 128 or more (a P10 disk, what AKS chooses for the smallest VM sizes), or 0, by
    which AKS chooses. A smaller one fails where `osDiskType` is Managed. Not applicable where it is Ephemeral, as such a
    disk has the host's speed at any size; where images and logs are on another disk (`kubeletDiskType` Temporary); and in
    pools that Microsoft runs. Either absent is unknown.
    Fix: az aks nodepool add --resource-group {group} --cluster-name {name} --name <new-pool> --node-osdisk-size 128
    Bicep: properties.agentPoolProfiles[].osDiskSizeGB: 128
    Change: new node pool; a pool's size of disk is fixed, so move the work and delete the old one
    References: https://learn.microsoft.com/azure/aks/concepts-storage
        https://learn.microsoft.com/azure/virtual-machines/disks-types
    """
    return each(cluster.pools, _large_enough)


def _large_enough(pool: AgentPool) -> Verdict:
    evidence = (pool.at(AgentPool.os_disk_size), pool.at(AgentPool.os_disk_type))
    size = pool.os_disk_size
    if size == 0:
        return passes(f"AKS chooses the size of pool {pool.name}'s disks", *evidence)
    if size is not None and size >= _SMALLEST_DISK:
        return passes(f"Pool {pool.name} has disks of {size} GiB", *evidence)
    if reason := _any_size_will_do(pool):
        return not_applicable(reason, *evidence, pool.at(AgentPool.kubelet_disk_type))
    if size is None or pool.os_disk_type is None:
        return undecided(f"The body does not say what disks pool {pool.name} has", *evidence)
    return fails(f"Pool {pool.name} has managed disks of {size} GiB", *evidence)


def _any_size_will_do(pool: AgentPool) -> str | None:
    """Why the size of a pool's disks does not matter; None where it does, as far as the body says."""
    if pool.os_disk_type is OSDiskType.EPHEMERAL:
        return f"Pool {pool.name} has ephemeral disks"
    if pool.kubelet_disk_type is KubeletDiskType.TEMPORARY:
        return f"Images and logs of pool {pool.name} are on the temporary disk"
    return f"Microsoft runs pool {pool.name}" if _run_by_microsoft(pool) else None


@rule(
    "AKS-ND-10",
    title="No VM size of nodes is burstable or being retired",
    severity=Severity.LOW,
    dated=True,
    controls=(
        review_checklist("5ae124ba-34df-4585-bcdc-e9bd3bb0cdb3"),
        the_aks_checklist("495e0503-5fbd-4ba7-8c33-2551b1676d1e"),
        the_aks_checklist("7f8b07c5-882b-45ba-9ec9-bcc29b4721ff"),
        the_aks_checklist("2a5f0cab-92b2-46dc-81a6-d358f7fd062a"),
        the_aks_checklist("18707174-fa23-4935-b463-8f9982629b35"),
        kubebuddy("AKSBP013"),
        kubebuddy("AKSBP014"),
        aks_health_check("CSP-5"),  # not STOR-2, which asks whether nodes take as many disks as pods bring
    ),
)
def vm_sizes_fit(cluster: ManagedCluster) -> Verdict:
    """On the day that a VM series retires, Azure stops the nodes that are still of it. Before, it gives no more quota for it.

    Burstable machines (B series) run at a fraction of their speed once their credits are spent: the kubelet answers late,
    and a System pool takes the cluster's DNS with it. AKS does not support them there.

    Severity: burstable machines are slow under load, and fine for tests; in System pools they are medium. A series that is
    being retired is high from its day on, medium in the year before, low until then.
    Decided: each pool's `vmSize`, or each size in the scale profile of a pool of type VirtualMachines, in any case, is
    neither of the B family nor of a series in the table of retirements, as of its day. A name that is no size of Azure's,
    or is not in the body, is unknown. Pools that Microsoft runs are not applicable, and of nodes of node auto-provisioning
    the body says nothing. What is old and has no date (Dv4, say) passes, and so do both Intel's and Arm's processors.
    Fix: az aks nodepool add --resource-group {group} --cluster-name {name} --name <new-pool> --node-vm-size Standard_D4ds_v6
    Bicep: properties.agentPoolProfiles[].vmSize: 'Standard_D4ds_v6'
    Change: new node pool; a pool's VM size is fixed, so move the work and delete the old one
    References: https://learn.microsoft.com/azure/aks/use-system-pools
        https://learn.microsoft.com/azure/aks/best-practices-app-cluster-reliability
        https://learn.microsoft.com/azure/virtual-machines/sizes/b-series-cpu-credit-model
        https://learn.microsoft.com/azure/virtual-machines/sizes/lifecycle/retirements-and-capacity-restrictions
    Disagreement: KubeBuddy fails every size below version 5 as medium, and every B size as high; some checklists ask for
    Arm. Where Azure names no day, neither is a fault.
    """
    return each(cluster.pools, lambda pool: _sizes_fit(pool, cluster))


def _sizes_fit(pool: AgentPool, cluster: ManagedCluster) -> Verdict:
    evidence = _size_evidence(pool)
    if _run_by_microsoft(pool):
        return not_applicable(f"Microsoft runs pool {pool.name}", evidence)
    sizes = _sizes(pool)
    if not sizes:
        return undecided(f"The body does not name the VM size of pool {pool.name}", evidence)
    return each(
        [verdict for size in sizes for verdict in _size_fits(size, pool, cluster, evidence)], lambda verdict: verdict
    )


def _size_fits(size: str, pool: AgentPool, cluster: ManagedCluster, evidence: Evidence) -> Iterator[Verdict]:
    parts = _SIZE.fullmatch(size)
    if parts is None:
        yield undecided(f"Pool {pool.name}: {size} is no VM size of Azure's", evidence)
        return
    retirement = retired_series(size)
    if retirement:
        yield ending(retirement, cluster, evidence, user=f"Pool {pool.name} ({size}): ")
    if parts["family"].lower() == "b":
        message = f"Pool {pool.name} ({size}) is burstable: slow once its credits are spent"
        system = pool.mode is AgentPoolMode.SYSTEM
        yield fails(message, evidence, severity=Severity.MEDIUM if system else Severity.LOW)
    elif not retirement:
        yield passes(f"Pool {pool.name} ({size}) is neither burstable nor being retired", evidence)


def retired_series(size: str) -> VMSeries | None:
    """The retirement of a VM size's series; None: none is announced, as far as the table knows."""
    for retirement in VM_SERIES:
        if re.fullmatch(retirement.sizes, size, re.IGNORECASE | re.ASCII):
            return retirement
    return None


@rule(
    "AKS-ND-11",
    title="Nodes run Azure Linux, or Windows, in a version that is not being retired",
    severity=Severity.INFO,
    dated=True,
    controls=(
        the_aks_checklist("d34f49c0-e964-4465-9211-520479338b13"),
        aprl("f46b0d1d-56ef-4795-b98a-f6ee00cb341a"),
        kubebuddy("AKSBP004"),
    ),
)
def operating_system_maintained(cluster: ManagedCluster) -> Verdict:
    """Once an operating system is retired, its nodes get no more patches, and later AKS removes its images altogether.

    Nodes are then neither added nor mended. Of the systems that AKS offers, Azure Linux has the fewest packages: there is
    less to attack and to patch, and Microsoft maintains it from the kernel to the node image.

    Severity: which Linux is opinion. A retired system is high: every hole that is found in its kernel from then on stays
    open. In the half year before it is medium; earlier it is low, as the next Kubernetes upgrade mostly brings a newer one.
    Decided: by how each pool's `nodeImageVersion` starts, compared without case: Ubuntu 18.04, 20.04 and 22.04,
    CBL-Mariner and Azure Linux 2, Flatcar, Azure Linux with OS Guard (`osSKU` tells, too), and Windows Server 2019, 2022
    and the annual channel fail by the days of the table. Newer Ubuntu fails as info. Azure Linux 3 and Azure Container
    Linux pass; other Windows is not applicable, nor are pools that Microsoft runs. An image that is absent or known by no
    such name is unknown. Nodes of node auto-provisioning belong to no pool; their AKSNodeClass names their image.
    Fix: az aks nodepool update --resource-group {group} --cluster-name {name} --name <pool> --os-sku AzureLinux
    Bicep: properties.agentPoolProfiles[].osSKU: 'AzureLinux'
    Change: replaces nodes, by a reimage of each; test what workloads expect of their host, such as kernel modules
    References: https://learn.microsoft.com/azure/aks/upgrade-os-version
        https://learn.microsoft.com/azure/aks/upgrade-windows-os
        https://learn.microsoft.com/azure/azure-linux/intro-azure-linux
    Disagreement: APRL and KubeBuddy call Azure Linux high. Ubuntu is patched as soon and supported as long; what is not
    patched any more is what matters.
    """
    return each(cluster.pools, lambda pool: _maintained(pool, cluster))


def _maintained(pool: AgentPool, cluster: ManagedCluster) -> Verdict:
    evidence = (pool.at(AgentPool.node_image_version), pool.at(AgentPool.os_sku))
    if _run_by_microsoft(pool):
        return not_applicable(f"Microsoft runs pool {pool.name}", *evidence)
    image = (pool.node_image_version or "").lower()
    if image.startswith(_AZURE_LINUX):
        return passes(f"Pool {pool.name} runs Azure Linux", *evidence)
    if retirement := _retired_image(pool, image):
        return ending(retirement, cluster, *evidence, user=f"Pool {pool.name}: ", soon=_IMAGE_ENDS_SOON)
    if image.startswith(_UBUNTU):
        message = f"Pool {pool.name} runs Ubuntu: Azure Linux would have fewer packages to attack and to patch"
        return fails(message, *evidence)
    if image and pool.os_type is OSType.WINDOWS:
        return not_applicable(f"Pool {pool.name} runs Windows, of which no retirement is known", *evidence)
    return undecided(f"What pool {pool.name} runs is not known by its image", *evidence)


def _retired_image(pool: AgentPool, image: str) -> NodeImage | None:
    """The retirement of what a pool runs; None: none is announced, as far as the table knows."""
    for retirement in NODE_IMAGES:
        if pool.os_sku in retirement.os_skus or image.startswith(tuple(map(str.lower, retirement.images))):
            return retirement
    return None


@rule(
    "AKS-CP-23",
    title="Where one pool runs in FIPS mode, all pools do",
    severity=Severity.INFO,
    controls=(
        review_checklist("42d4aefe-2383-470e-b019-c30df24996b2"),
        the_aks_checklist("42d4aefe-2383-470e-b019-c30df24996b2"),
    ),
)
def fips_everywhere(cluster: ManagedCluster) -> Verdict:
    """FIPS 140 validated cryptography is what some contracts ask for, such as those of United States agencies.

    Where it is asked for, a pool without it does what the contract forbids: pods that land there encrypt by other modules.

    Severity: only a contract asks for it, and whether it does is not in the body; nothing is weaker without.
    Decided: `enableFIPS` of every pool, if any pool, or the cluster (`properties.enableFIPS`), has it. Where none has it
    the rule is not applicable: nobody asked. A pool that does not say is unknown where it decides. Pools that Microsoft
    runs are left out, and of nodes of node auto-provisioning the body says nothing.
    Fix: az aks nodepool update --resource-group {group} --cluster-name {name} --name <pool> --enable-fips-image
    Bicep: properties.agentPoolProfiles[].enableFIPS: true
    Change: replaces nodes, by a reimage of each; programs that use forbidden algorithms, such as MD5, then fail
    References: https://learn.microsoft.com/azure/aks/enable-fips-nodes
    """
    pools = [pool for pool in cluster.pools if not _run_by_microsoft(pool)]
    shown = (cluster.at(ManagedCluster.enable_fips), *(pool.at(AgentPool.enable_fips) for pool in pools))
    if cluster.enable_fips or any(pool.enable_fips for pool in pools):
        return each(pools, _runs_fips)
    if any(pool.enable_fips is None for pool in pools):
        return undecided("The body does not say whether nodes run in FIPS mode", *shown)
    return not_applicable(
        "Neither the cluster nor a pool is in FIPS mode: turn it on where a contract asks for it", *shown
    )


def _runs_fips(pool: AgentPool) -> Verdict:
    evidence = pool.at(AgentPool.enable_fips)
    if pool.enable_fips is None:
        return undecided(f"The body does not say whether pool {pool.name} runs in FIPS mode", evidence)
    if pool.enable_fips:
        return passes(f"Pool {pool.name} runs in FIPS mode", evidence)
    return fails(f"Pool {pool.name} does not run in FIPS mode, as others of the cluster do", evidence)


RULES = (ephemeral_os_disks, os_disks_large_enough, vm_sizes_fit, operating_system_maintained, fips_everywhere)
