"""Nodes: who may log in to them or change them, what they are made of, and what may run beside system pods."""

from typing import assert_never

from aks_audit.facts import (
    AgentPool,
    AgentPoolMode,
    AgentPoolType,
    ManagedCluster,
    OSType,
    RestrictionLevel,
    SSHAccess,
)
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import (
    aprl,
    azure_policy,
    checkov,
    kubebuddy,
    psrule,
    review_checklist,
    the_aks_checklist,
)

_RESERVED = "CriticalAddonsOnly"
_KEEPS_PODS_AWAY = ("NoSchedule", "NoExecute")


@rule(
    "AKS-CP-19",
    title="The node resource group has a name of one's own",
    severity=Severity.INFO,
    controls=(
        review_checklist("73b32a5a-67f7-4a9e-b5b3-1f38c3f39812"),
        the_aks_checklist("73b32a5a-67f7-4a9e-b5b3-1f38c3f39812"),
        kubebuddy("AKSBP010"),
    ),
)
def node_resource_group_named(cluster: ManagedCluster) -> Verdict:
    """AKS calls the node resource group `MC_<group>_<cluster>_<region>` where nobody gives it a name.

    Under a name by the organisation's own rules, people, policies and bills see whose nodes and load balancers these are.

    Severity: it is order, not security; and since the name is fixed when the cluster is made, a thought for the next one.
    Decided: `properties.nodeResourceGroup` does not begin with `MC_`, in any case. Absent is unknown.
    Fix: az aks create --resource-group {group} --name <new-cluster> --node-resource-group <name>
    Bicep: properties.nodeResourceGroup: '<name>'
    Change: new cluster; the name cannot be changed later
    References: https://learn.microsoft.com/azure/aks/faq
    Disagreement: KubeBuddy calls it medium, Azure's review checklist low. Nothing works otherwise for it.
    """
    evidence = cluster.at(ManagedCluster.node_resource_group)
    name = cluster.node_resource_group
    if name is None:
        return undecided("The body does not name the node resource group", evidence)
    if name.lower().startswith("mc_"):
        return fails(f"{name} is named by AKS: a name of one's own would tell whose it is", evidence)
    return passes(f"{name} is a name of one's own", evidence)


@rule(
    "AKS-CP-20",
    title="The node resource group is locked",
    severity=Severity.MEDIUM,
    controls=(
        review_checklist("ed0fda7f-211b-47c7-8b6e-c18873fb473c"),
        the_aks_checklist("ed0fda7f-211b-47c7-8b6e-c18873fb473c"),
    ),
)
def node_resource_group_locked(cluster: ManagedCluster) -> Verdict:
    """The node resource group holds the cluster's scale sets, load balancers and security groups.

    Whoever has Contributor on it, often inherited from the subscription, can run commands as root on every node, or
    open a port, without any Kubernetes permission and outside Kubernetes' audit log. Changes made there by hand also
    break upgrades.

    Severity: it is a full way around Kubernetes RBAC, but only for those who already have rights in Azure.
    Decided: `properties.nodeResourceGroupProfile.restrictionLevel` is ReadOnly. Absent means Unrestricted (the
    default).
    Fix: az aks update --resource-group {group} --name {name} --nrg-lockdown-restriction-level ReadOnly
    Bicep: properties.nodeResourceGroupProfile.restrictionLevel: 'ReadOnly'
    Change: in place; tools that change load balancers, disks or scale sets there directly stop working
    References: https://learn.microsoft.com/azure/aks/node-resource-group-lockdown
    """
    evidence = cluster.at(ManagedCluster.node_resource_group_restriction)
    match cluster.node_resource_group_restriction:
        case RestrictionLevel.READ_ONLY:
            return passes("The node resource group is read-only", evidence)
        case RestrictionLevel.UNRESTRICTED | None:
            return fails("The node resource group is not locked", evidence)
        case other:
            assert_never(other)


@rule(
    "AKS-CP-24",
    title="SSH to nodes is off, or goes through Entra ID",
    severity=Severity.MEDIUM,
    controls=(azure_policy("28257686-e9db-403e-b9e2-a5eecbe03da9"),),
)
def no_ssh_with_local_keys(pool: AgentPool) -> Verdict:
    """By default every node runs an SSH service that every pod can reach, and one key pair opens them all as root.

    The key has no owner and no end: no Conditional Access, no log that names a person.

    Severity: one leaked key and one foothold in any pod are root on every node, but both are needed.
    Decided: `securityProfile.sshAccess` is Disabled or EntraId; LocalUser fails. Absent is unknown: the default is
    LocalUser, but api-versions that do not know the field leave out Disabled too. Windows pools cannot turn SSH off in
    this way, and Microsoft runs ManagedSystem pools: LocalUser there is not applicable. The setting reaches a node only
    when it is reimaged, which the body does not tell.
    Fix: az aks nodepool update --resource-group {group} --cluster-name {cluster} --name {pool} --ssh-access disabled
    Bicep: properties.agentPoolProfiles[].securityProfile.sshAccess: 'Disabled'
    Change: replaces nodes: follow it by az aks nodepool upgrade --node-image-only; needs the aks-preview extension;
    `kubectl debug node` still works
    References: https://learn.microsoft.com/azure/aks/manage-ssh-node-access
    """
    evidence = pool.at(AgentPool.ssh_access)
    match pool.ssh_access:
        case SSHAccess.DISABLED:
            return passes("SSH is off", evidence)
        case SSHAccess.ENTRA_ID:
            return passes("SSH goes through Entra ID", evidence)
        case SSHAccess.LOCAL_USER:
            return _local_user(pool)
        case None:
            return undecided("The body does not say whether SSH is on; read it with a newer api-version", evidence)
        case other:
            assert_never(other)


def _local_user(pool: AgentPool) -> Verdict:
    evidence = pool.at(AgentPool.ssh_access)
    if pool.mode is AgentPoolMode.MANAGED_SYSTEM:
        return not_applicable("Microsoft runs this pool", evidence)
    if pool.os_type is OSType.WINDOWS:
        return not_applicable("AKS cannot turn SSH off on Windows nodes", evidence, pool.at(AgentPool.os_type))
    return fails("SSH is open to whoever holds the cluster's private key", evidence)


@rule(
    "AKS-ND-03",
    title="System pools are reserved for system pods",
    severity=Severity.MEDIUM,
    controls=(
        aprl("5ee083cd-6ac3-4a83-8913-9549dd36cf56"),
        kubebuddy("AKSBP007"),
        review_checklist("a7a1f893-9bda-4477-98f2-4c116775c2ea"),
        checkov("CKV_AZURE_232"),
    ),
)
def system_pool_reserved(pool: AgentPool) -> Verdict:
    """The taint CriticalAddonsOnly keeps applications off the nodes that carry the cluster's DNS and metrics.

    Without it a greedy pod can starve them, and a pod that breaks out finds their credentials on its node.

    Severity: it takes a careless or hostile workload in the cluster, and then all workloads feel it.
    Decided: `nodeTaints` of a pool of mode System has the key CriticalAddonsOnly with NoSchedule or NoExecute, whatever
    its value; PreferNoSchedule only asks, and fails. Keys of taints are Kubernetes' own and are compared with their
    case: system pods tolerate this spelling alone. Other modes are not applicable. A cluster whose only pool is a
    System pool fails too: applications and system pods do share its nodes.
    Fix: az aks nodepool update --resource-group {group} --cluster-name {cluster} --name {pool} --node-taints CriticalAddonsOnly=true:NoSchedule
    Bicep: properties.agentPoolProfiles[].nodeTaints: ['CriticalAddonsOnly=true:NoSchedule']
    Change: in place; where no user pool exists, add one first, or applications have nowhere to run. Give again all
    other taints that the pool has, since the option replaces them. Pods that run there already stay until they restart
    References: https://learn.microsoft.com/azure/aks/use-system-pools
    Follows: AKS-ND-02
    """
    mode = pool.mode
    match mode:
        case AgentPoolMode.SYSTEM:
            return _reserved(pool)
        case AgentPoolMode.USER | AgentPoolMode.GATEWAY | AgentPoolMode.MANAGED_SYSTEM | AgentPoolMode.MACHINES:
            return not_applicable(f"The pool's mode is {mode}", pool.at(AgentPool.mode))
        case None:
            return undecided("The body does not say whether this is a system pool", pool.at(AgentPool.mode))
        case _:
            assert_never(mode)


def _reserved(pool: AgentPool) -> Verdict:
    evidence = pool.at(AgentPool.node_taints)
    for taint in pool.node_taints or ():
        pair, _, effect = taint.rpartition(":")
        if pair.split("=")[0] == _RESERVED and effect in _KEEPS_PODS_AWAY:
            return passes(f"The taint {taint} keeps applications away", evidence)
    return fails(f"No {_RESERVED} taint keeps applications off this system pool", evidence)


@rule(
    "AKS-ND-12",
    title="No agent pool is an availability set",
    severity=Severity.MEDIUM,
    controls=(
        psrule("Azure.AKS.PoolScaleSet"),
        checkov("CKV_AZURE_169"),
    ),
)
def no_availability_set(pool: AgentPool) -> Verdict:
    """Azure has retired availability sets for AKS.

    Their nodes get no availability zones, no autoscaling and no encryption at host.

    Severity: the pool is out of support, and stands in the way of most other hardening.
    Decided: `type` is VirtualMachineScaleSets or VirtualMachines; AvailabilitySet fails. Absent is unknown.
    Fix: az aks update --resource-group {group} --name {cluster} --migrate-vmas-to-vms
    Bicep: properties.agentPoolProfiles[].type: 'VirtualMachineScaleSets'
    Change: replaces nodes, with downtime; the migration cannot be rolled back
    References: https://learn.microsoft.com/azure/aks/availability-sets-on-aks
    """
    evidence = pool.at(AgentPool.type)
    kind = pool.type
    match kind:
        case AgentPoolType.VIRTUAL_MACHINE_SCALE_SETS | AgentPoolType.VIRTUAL_MACHINES:
            return passes(f"The pool's type is {kind}", evidence)
        case AgentPoolType.AVAILABILITY_SET:
            return fails("The pool is an availability set, which Azure has retired", evidence)
        case None:
            return undecided("The body does not name the pool's type", evidence)
        case _:
            assert_never(kind)


RULES = (
    node_resource_group_named,
    node_resource_group_locked,
    no_ssh_with_local_keys,
    system_pool_reserved,
    no_availability_set,
)
