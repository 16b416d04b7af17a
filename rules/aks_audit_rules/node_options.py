"""What nodes can have besides: prices that end them, ways to boot, enclaves, fast networking, and large numbers."""

import re
from typing import assert_never

from aks_audit.facts import (
    AddOn,
    AgentPool,
    AgentPoolMode,
    Evidence,
    ManagedCluster,
    OSType,
    ScaleSetNetworkInterface,
    ScaleSetPriority,
    VirtualMachineScaleSet,
)
from aks_audit.network.capacity import full_scale, size
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, each_of_all, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import review_checklist, the_aks_checklist

_SPOT = "kubernetes.azure.com/scalesetpriority"
_KEEPS_PODS_AWAY = ("NoSchedule", "NoExecute")
_MOST_NODES = 5000

# https://learn.microsoft.com/azure/confidential-computing/virtual-machine-options: Standard_DC4as_v5, Standard_EC128ieds_v6;
# of the sizes with cc (Standard_DC4as_cc_v5) only what runs nested in them is confidential.
_CONFIDENTIAL_SIZE = re.compile(r"standard_(?:dc|ec|ncc)\d+i?[ae]d?s_(?!cc_)\w+", re.IGNORECASE)
# https://learn.microsoft.com/azure/confidential-computing/virtual-machine-solutions-sgx: Standard_DC2s_v3, Standard_DC8_v2
_ENCLAVE_SIZE = re.compile(r"standard_dc\d+d?s?(?:_v[23])?", re.IGNORECASE)


@rule(
    "AKS-ND-15",
    title="Spot pools and virtual nodes carry only what can do with them",
    severity=Severity.INFO,
    # Of the row's other items (scale-down mode, GPU partitions, stopping pools, snapshots, dedicated hosts, sizes) each is
    # a choice of cost that no value shows to be wrong.
    controls=(
        review_checklist("c5a5b252-1e44-4a59-a9d2-399c4d7b68d0"),
        the_aks_checklist("c5a5b252-1e44-4a59-a9d2-399c4d7b68d0"),
        review_checklist("c755562f-2b4e-4456-9b4d-874a748b662e"),
        the_aks_checklist("c755562f-2b4e-4456-9b4d-874a748b662e"),
    ),
)
def spot_and_virtual_nodes(cluster: ManagedCluster) -> Verdict:
    """Azure takes spot nodes away at half a minute's notice, whatever runs on them.

    The taint that AKS gives them keeps away what did not ask for it. Virtual nodes without a subnet start no pod at all.

    Severity: both save money where they are meant to; here something would stop that need not.
    Decided: each pool whose `scaleSetPriority` is Spot has mode User and a taint with the key
    kubernetes.azure.com/scalesetpriority that says NoSchedule or NoExecute; the add-on aciConnectorLinux, where it is
    enabled, names its `config.SubnetName`. Absent, a priority is Regular and an add-on is off. A cluster with neither is
    not applicable: whether it should have them is a question of cost.
    Fix: az aks nodepool update --resource-group {group} --cluster-name {name} --name POOL --node-taints kubernetes.azure.com/scalesetpriority=spot:NoSchedule
    Bicep: properties.agentPoolProfiles[].nodeTaints: ['kubernetes.azure.com/scalesetpriority=spot:NoSchedule']
    Change: in place; give again all other taints that the pool has, since the option replaces them. Pods that run there
    already stay until they restart
    References: https://learn.microsoft.com/azure/aks/spot-node-pool
    https://learn.microsoft.com/azure/aks/virtual-nodes
    """
    return each((each(cluster.pools, _spot), each((cluster,), _virtual_nodes)), lambda verdict: verdict)


def _spot(pool: AgentPool) -> Verdict:
    priority = pool.at(AgentPool.scale_set_priority)
    match pool.scale_set_priority:
        case ScaleSetPriority.REGULAR | None:
            return not_applicable("No pool is a spot pool", priority)
        case ScaleSetPriority.SPOT:
            return _evictable(pool)
        case other:
            assert_never(other)


def _evictable(pool: AgentPool) -> Verdict:
    mode, taints = pool.at(AgentPool.mode), pool.at(AgentPool.node_taints)
    if pool.mode is None:
        return undecided(f"The body does not say what the spot pool {pool.name} is for", mode)
    if pool.mode is not AgentPoolMode.USER:
        return fails(f"The spot pool {pool.name} is of mode {pool.mode}", mode)
    for taint in pool.node_taints or ():
        pair, _, effect = taint.rpartition(":")
        if pair.split("=")[0] == _SPOT and effect in _KEEPS_PODS_AWAY:
            return passes(f"The taint of the spot pool {pool.name} keeps away what did not ask for it", taints)
    return fails(f"No {_SPOT} taint keeps pods off the spot pool {pool.name}", taints)


def _virtual_nodes(cluster: ManagedCluster) -> Verdict:
    add_on = cluster.virtual_nodes
    if add_on is None or add_on.enabled is False:
        return not_applicable("There are no virtual nodes", cluster.at(ManagedCluster.virtual_nodes))
    if add_on.enabled is None:
        return undecided("The body does not say whether there are virtual nodes", add_on.at(AddOn.enabled))
    evidence = add_on.at(AddOn.subnet_name)
    if add_on.subnet_name is None:
        return fails("Virtual nodes are on and have no subnet", evidence)
    return passes(f"Virtual nodes are in the subnet {add_on.subnet_name}", evidence)


@rule(
    "AKS-ND-16",
    title="Nodes have accelerated networking, and are no more than a cluster holds",
    severity=Severity.INFO,
    # What the row's other items ask (settings of kubelet and kernel, draining, aborting) no value shows to be wrong.
    controls=(
        review_checklist("7bacd7b9-c025-4a9d-a5d2-25d6bc5439d9"),
        the_aks_checklist("7bacd7b9-c025-4a9d-a5d2-25d6bc5439d9"),
        review_checklist("38800e6a-ae01-40a2-9fbc-ae5a06e5462d"),
    ),
)
def fast_and_not_too_many(cluster: ManagedCluster) -> Verdict:
    """Without accelerated networking each packet goes through the host's software switch, at more latency and less throughput.

    And beyond 5,000 nodes a cluster does not grow: pods stay pending where its autoscaler was meant to help.

    Severity: it costs speed, or growth that most clusters never need.
    Decided: `enableAcceleratedNetworking` of every network interface of the scale sets in the node resource group is
    true, and all pools together, at the most nodes that each is scaled to, have at most 5,000. AKS turns accelerated
    networking on wherever the VM size has it, so where it is off, the size is the reason. Absent is unknown.
    Fix: az aks nodepool add --resource-group {group} --cluster-name {name} --name POOL --node-vm-size SIZE
    Bicep: properties.agentPoolProfiles[].vmSize: 'Standard_D4ds_v5'
    Change: new node pool, of a VM size that has it; for more than 5,000 nodes, another cluster
    References: https://learn.microsoft.com/azure/virtual-network/accelerated-networking-overview
    https://learn.microsoft.com/azure/aks/quotas-skus-regions
    """
    both = (each((cluster,), _within_the_limit), each((cluster,), _accelerated))
    return each(both, lambda verdict: verdict)


def _within_the_limit(cluster: ManagedCluster) -> Verdict:
    pools = cluster.pools
    nodes = sum(map(full_scale, pools))
    evidence = [number for number, _ in map(size, pools)]
    if nodes > _MOST_NODES:
        return fails(f"{nodes} nodes at full scale; a cluster holds {_MOST_NODES}", *evidence)
    return passes(f"At most {nodes} nodes", *evidence)


def _accelerated(cluster: ManagedCluster) -> Verdict:
    return each_of_all(cluster.scale_sets, _accelerated_set)


def _accelerated_set(scale_set: VirtualMachineScaleSet) -> Verdict:
    interfaces = scale_set.network_interfaces
    if interfaces is None:
        evidence = scale_set.at(VirtualMachineScaleSet.network_interfaces)
        return undecided(f"The body of {scale_set.name} shows no network interfaces", evidence)
    return each(interfaces, _accelerated_interface)


def _accelerated_interface(interface: ScaleSetNetworkInterface) -> Verdict:
    evidence = interface.at(ScaleSetNetworkInterface.enable_accelerated_networking)
    match interface.enable_accelerated_networking:
        case True:
            return passes("Networking is accelerated", evidence)
        case False:
            return fails(f"{interface.name or 'A network interface'} has no accelerated networking", evidence)
        case None:
            return undecided("The body does not say whether networking is accelerated", evidence)


@rule(
    "AKS-CP-25",
    title="Nodes with enclaves give them to pods",
    severity=Severity.INFO,
    controls=(
        review_checklist("ec8e4e42-0344-41b0-b865-9123e8956d31"),
        the_aks_checklist("ec8e4e42-0344-41b0-b865-9123e8956d31"),
    ),
)
def usable_enclaves(cluster: ManagedCluster) -> Verdict:
    """Confidential nodes keep memory from the host and its operators, but a pod gets an enclave by a device plugin alone.

    Without the plugin, a workload that is to run in an enclave does not start, or runs outside of one.

    Severity: who pays for enclaves wants them, and finds out soon; nothing else is open.
    Decided: with a pool of confidential VMs (DCas, ECas, DCes, ECes, NCC and their kin) it passes: the whole VM is
    encrypted. With a pool whose VM size has SGX enclaves (DCs v2, DCs v3, DCds v3), the add-on ACCSGXDevicePlugin is
    enabled; absent fails. Other clusters are not applicable: whether a workload needs it is for a person to say.
    Fix: az aks enable-addons --resource-group {group} --name {name} --addons confcom
    Bicep: properties.addonProfiles.ACCSGXDevicePlugin.enabled: true
    Change: in place
    References: https://learn.microsoft.com/azure/confidential-computing/confidential-nodes-aks-overview
    """
    return each(cluster.pools, lambda pool: _confidential(cluster, pool))


def _confidential(cluster: ManagedCluster, pool: AgentPool) -> Verdict:
    vm_size = pool.at(AgentPool.vm_size)
    if _is_confidential(pool):
        return passes(f"The nodes of {pool.name} are confidential VMs", vm_size)
    if not _ENCLAVE_SIZE.fullmatch(pool.vm_size or ""):
        return not_applicable("The nodes are no confidential VMs, and have no enclaves", vm_size)
    plugin = cluster.sgx_device_plugin
    if plugin is None or plugin.enabled is False:
        evidence = cluster.at(ManagedCluster.sgx_device_plugin)
        return fails(f"The nodes of {pool.name} have enclaves that no pod gets", vm_size, evidence)
    if plugin.enabled is None:
        return undecided("The body does not say whether the plugin for enclaves is on", plugin.at(AddOn.enabled))
    return passes(f"The enclaves of {pool.name} are given to pods", vm_size, plugin.at(AddOn.enabled))


def _is_confidential(pool: AgentPool) -> bool:
    return _CONFIDENTIAL_SIZE.fullmatch(pool.vm_size or "") is not None


@rule("AKS-CP-32", title="Nodes boot only what is signed, and measure it", severity=Severity.INFO)
def trusted_launch(pool: AgentPool) -> Verdict:
    """A root kit that starts before the operating system is seen by nothing that runs in it.

    With trusted launch, firmware, boot loader and kernel have to be signed (secure boot), and a virtual TPM keeps what was
    started, for attestation.

    Severity: an attacker has to be root on the node first, and a node's disk is often gone with the node.
    Decided: `securityProfile.enableSecureBoot` and `enableVTPM` are true; false fails. Absent is unknown: the default is
    false, but older api-versions do not show it. Confidential VMs boot by means of their own, AKS has no trusted launch
    for Windows, and Microsoft runs ManagedSystem pools: those are not applicable where it is off or absent.
    Fix: az aks nodepool update --resource-group {group} --cluster-name {cluster} --name {pool} --enable-secure-boot --enable-vtpm
    Bicep: properties.agentPoolProfiles[].securityProfile.enableSecureBoot: true, and enableVTPM: true
    Change: replaces nodes; VM sizes of generation 2 alone have it, and drivers that are not signed (some of GPUs) do not
    load
    References: https://learn.microsoft.com/azure/aks/use-trusted-launch
    """
    evidence = pool.at(AgentPool.enable_secure_boot), pool.at(AgentPool.enable_vtpm)
    flags = {"secure boot": pool.enable_secure_boot, "a virtual TPM": pool.enable_vtpm}
    if all(flags.values()):
        return passes("Nodes have secure boot and a virtual TPM", *evidence)
    if apart := _boots_otherwise(pool, *evidence):
        return apart
    if off := [name for name, flag in flags.items() if flag is False]:
        return fails(f"Nodes start without {' and '.join(off)}", *evidence)
    return undecided("The body does not say whether nodes have trusted launch", *evidence)


def _boots_otherwise(pool: AgentPool, *evidence: Evidence) -> Verdict | None:
    """Why trusted launch is no question of a pool; None where it is one."""
    if _is_confidential(pool):
        return not_applicable("Confidential VMs boot by means of their own", pool.at(AgentPool.vm_size), *evidence)
    if pool.os_type is OSType.WINDOWS:
        return not_applicable("AKS has no trusted launch for Windows", pool.at(AgentPool.os_type), *evidence)
    if pool.mode is AgentPoolMode.MANAGED_SYSTEM:
        return not_applicable("Microsoft runs this pool", pool.at(AgentPool.mode), *evidence)
    return None


RULES = (spot_and_virtual_nodes, fast_and_not_too_many, usable_enclaves, trusted_launch)
