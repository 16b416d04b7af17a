"""How many nodes carry applications, how that number follows the load, and how upgrades replace them."""

from collections.abc import Iterable

from aks_audit.facts import (
    AgentPool,
    AgentPoolMode,
    Evidence,
    ManagedCluster,
    NodeProvisioningMode,
    OSType,
    PowerState,
    ScaleSetPriority,
)
from aks_audit.network.capacity import full_scale, full_scale_with_surge
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.availability import fewest_nodes
from aks_audit_rules.frameworks import (
    aks_health_check,
    aprl,
    azqr,
    kubebuddy,
    psrule,
    review_checklist,
    the_aks_checklist,
)

_ENOUGH_NODES = 2
_MOST_ROUNDS = 10


def _is_spot(pool: AgentPool) -> bool:
    """Whether Azure may take a pool's nodes back at any time. Azure leaves the priority of others out."""
    return pool.scale_set_priority is ScaleSetPriority.SPOT


def _of_mode(pools: Iterable[AgentPool], *modes: AgentPoolMode) -> list[AgentPool]:
    return [pool for pool in pools if pool.mode in modes]


def _modes(cluster: ManagedCluster) -> tuple[Evidence, ...]:
    return tuple(pool.at(AgentPool.mode) for pool in cluster.pools)


@rule(
    "AKS-ND-02",
    title="Applications have nodes of their own, apart from system pods",
    severity=Severity.MEDIUM,
    controls=(
        review_checklist("6f158e3e-a3a9-42c2-be7e-2165c3a87af4"),
        the_aks_checklist("6f158e3e-a3a9-42c2-be7e-2165c3a87af4"),
        kubebuddy("AKSBP003"),
        aks_health_check("CSP-8"),
    ),
)
def applications_have_nodes(cluster: ManagedCluster) -> Verdict:
    """Where all pools are System pools, applications share nodes with the cluster's DNS and its tunnel to the API server.

    Nodes for applications can also be of another size, scaled and upgraded apart, and made anew without touching those.

    Severity: that of AKS-ND-03, whether applications may really run beside system pods: it cannot be mended before there
    is a pool that they can move to.
    Decided: there is a pool of mode User (or Machines) that is not of Spot machines, which plain applications do not
    tolerate; or node auto-provisioning is on (`nodeProvisioningProfile.mode` Auto), which makes nodes for applications;
    or AKS hosts the system pool (`hostedSystemProfile`), or all that is listed of it is of mode ManagedSystem. Gateway
    pools carry the egress gateway alone, and do not count. A pool without its mode is unknown where no other decides.
    Fix: az aks nodepool add --resource-group {group} --cluster-name {name} --name <new-pool> --mode User --node-count 3
    Bicep: properties.agentPoolProfiles[].mode: 'User'
    Change: in place; adds a pool. Applications move to it when the System pool has its taint (AKS-ND-03) and they restart
    References: https://learn.microsoft.com/azure/aks/use-system-pools
    """
    if cluster.node_provisioning_mode is NodeProvisioningMode.AUTO:
        evidence = cluster.at(ManagedCluster.node_provisioning_mode)
        return passes("Node auto-provisioning makes nodes for applications", evidence)
    if cluster.hosted_system_enabled:
        return passes("AKS hosts the system pool apart", cluster.at(ManagedCluster.hosted_system_enabled))
    own = _of_mode(cluster.pools, AgentPoolMode.USER, AgentPoolMode.MACHINES)
    regular = [pool for pool in own if not _is_spot(pool)]
    if regular:
        names = ", ".join(pool.name for pool in regular)
        return passes(f"For applications: {names}", *(pool.at(AgentPool.mode) for pool in regular))
    if any(pool.mode is None for pool in cluster.pools):
        return undecided("The body does not say whether there is a pool for applications", *_modes(cluster))
    if not _of_mode(cluster.pools, AgentPoolMode.SYSTEM):
        return passes("Microsoft runs the system pool apart", *_modes(cluster))
    what = "No pool but Spot pools" if own else "No pool"
    return fails(f"{what} is for applications, which share nodes with system pods", *_modes(cluster))


@rule(
    "AKS-ND-05",
    title="Pools for applications keep two nodes or more",
    severity=Severity.LOW,
    controls=(aprl("005ccbbd-aeab-46ef-80bd-9bd4479412ec"), psrule("Azure.AKS.MinUserPoolNodes")),
)
def enough_user_nodes(cluster: ManagedCluster) -> Verdict:
    """What runs on a pool's only node stops with it, for as long as a new one takes to come.

    Severity: it takes the failure of one machine, and stops what runs on this pool alone until there is another.
    Decided: each pool of mode User keeps two nodes: its `minCount` with autoscaling, its `count` without, and the counts
    and minimums of the scale profile of a pool of type VirtualMachines. Pools of one zone each that are alike (operating
    system and VM size) count together. Not applicable: pools that may go down to no node, which are for work that comes
    and goes; pools of Spot machines, which Azure may take all at once; pools, or a cluster, that are stopped; pools of
    other modes (AKS-ND-04 counts System pools). A number that is not in the body is unknown. Nodes of node
    auto-provisioning belong to no pool.
    Fix: az aks nodepool scale --resource-group {group} --cluster-name {name} --name <pool> --node-count 2
    Bicep: properties.agentPoolProfiles[].count: 2
    Change: in place; adds nodes. With autoscaling: az aks nodepool update --update-cluster-autoscaler --min-count 2
    References: https://learn.microsoft.com/azure/aks/best-practices-app-cluster-reliability
    Disagreement: APRL asks for two nodes, PSRule for three. Two survive the loss of one; a third is for the third zone, and
    a question of how much is left to carry the load, which the number of nodes alone does not answer.
    """
    pools = cluster.pools
    verdicts = [_keeps_nodes(pool, pools, cluster) for pool in pools if pool.mode in {AgentPoolMode.USER, None}]
    if not verdicts:
        return not_applicable("No pool is for applications", *_modes(cluster))
    return each(verdicts, lambda verdict: verdict)


def _keeps_nodes(pool: AgentPool, pools: Iterable[AgentPool], cluster: ManagedCluster) -> Verdict:
    evidence = (pool.at(AgentPool.count), pool.at(AgentPool.min_count))
    nodes = fewest_nodes(pool)
    if pool.mode is None or nodes is None:
        return undecided(f"The body does not say how many nodes pool {pool.name} keeps for applications", *evidence)
    twins = sum(fewest_nodes(twin) or 0 for twin in pools if _is_twin(pool, twin))
    if nodes + twins >= _ENOUGH_NODES:
        alike = f" (with pools like it: {nodes + twins})" if twins else ""
        return passes(f"Pool {pool.name} keeps {nodes} nodes{alike}", *evidence)
    if _is_spot(pool):
        return not_applicable(f"Azure may take all nodes of pool {pool.name} back", *evidence)
    if PowerState.STOPPED in {pool.power_state, cluster.power_state}:
        return not_applicable(f"Pool {pool.name} is stopped", *evidence)
    if not nodes:
        return not_applicable(f"Pool {pool.name} may go down to no node", *evidence)
    return fails(f"Pool {pool.name} may be down to a single node", *evidence)


def _is_twin(pool: AgentPool, other: AgentPool) -> bool:
    """Whether two pools are alike, but for the one zone that each is in."""
    if pool.os_type is None or pool.vm_size is None or other.mode is not pool.mode:
        return False
    ours, theirs = frozenset(pool.availability_zones or ()), frozenset(other.availability_zones or ())
    alike = (pool.os_type, pool.vm_size.lower()) == (other.os_type, (other.vm_size or "").lower())
    return alike and len(ours) == len(theirs) == 1 and ours != theirs


@rule(
    "AKS-ND-06",
    title="The number of nodes for applications follows the load",
    severity=Severity.INFO,
    controls=(
        review_checklist("90ce65de-8e13-4f9c-abd4-69266abca264"),
        the_aks_checklist("90ce65de-8e13-4f9c-abd4-69266abca264"),
        aprl("902c82ff-4910-4b61-942d-0d6ef7f39b67"),
        kubebuddy("AKSRES001"),
        kubebuddy("AKSRES005"),
        psrule("Azure.AKS.AutoScaling"),
        aks_health_check("CSP-4"),
    ),
)
def nodes_follow_load(cluster: ManagedCluster) -> Verdict:
    """Nodes of a fixed number are paid for when idle, and leave pods pending when there is more to do than they can hold.

    With the cluster autoscaler or node auto-provisioning, pods that do not fit get a node, and nodes that lie idle go.

    Severity: a fixed number is right for a load that never changes; it costs money, or time in a peak, not security.
    Decided: node auto-provisioning is on (`nodeProvisioningProfile.mode` Auto), or for each operating system that there
    are pools for applications of, one of them scales: `enableAutoScaling` with a `maxCount` above its `minCount`, or so
    an entry of the scale profile of a pool of type VirtualMachines. A maximum that is the minimum leaves the number
    fixed. Pools for applications are those of mode User that are not of Spot machines, or else those of mode System.
    Other pools of the same system may have a fixed number: what does not fit there runs on the one that scales.
    Fix: az aks nodepool update --resource-group {group} --cluster-name {name} --name <pool> --enable-cluster-autoscaler --min-count <fewest> --max-count <most>
    Bicep: properties.agentPoolProfiles[]: enableAutoScaling: true, minCount: 2, maxCount: 10
    Change: in place; today's number of nodes must be between the two. Where it scales already, between equal numbers, it is
    --update-cluster-autoscaler. Keep room in the subnet and the quota for the maximum (AKS-SUB-10), and set requests of
    pods, by which the autoscaler decides
    References: https://learn.microsoft.com/azure/aks/cluster-autoscaler-overview
        https://learn.microsoft.com/azure/aks/node-autoprovision
    Disagreement: other tools ask it of each pool, System pools too, and fail clusters with node auto-provisioning, with
    which the cluster autoscaler cannot be.
    """
    if cluster.node_provisioning_mode is NodeProvisioningMode.AUTO:
        evidence = cluster.at(ManagedCluster.node_provisioning_mode)
        return passes("Node auto-provisioning makes nodes as pods need them", evidence)
    pools = cluster.pools
    if any(pool.mode is None or pool.os_type is None for pool in pools):
        shown = (*_modes(cluster), *(pool.at(AgentPool.os_type) for pool in pools))
        return undecided("The body does not say which pools are for applications", *shown)
    regular = [pool for pool in _of_mode(pools, AgentPoolMode.USER) if not _is_spot(pool)]
    carriers = regular or _of_mode(pools, AgentPoolMode.SYSTEM)
    if not carriers:
        return not_applicable("No pool is for applications", *_modes(cluster))
    systems = sorted({pool.os_type for pool in carriers if pool.os_type})
    return each(systems, lambda system: _one_scales(system, [pool for pool in carriers if pool.os_type is system]))


def _one_scales(system: OSType, pools: list[AgentPool]) -> Verdict:
    scaling = [(pool, _scales(pool)) for pool in pools]
    for pool, scales in scaling:
        if scales:
            return passes(f"Pool {pool.name} follows the load", *_scale(pool))
    evidence = [item for pool in pools for item in _scale(pool)]
    if any(scales is None for _, scales in scaling):
        return undecided(f"The body does not say between which numbers nodes for {system} scale", *evidence)
    names = ", ".join(pool.name for pool in pools)
    return fails(f"The number of nodes for {system} applications is fixed ({names})", *evidence)


def _scales(pool: AgentPool) -> bool | None:
    """Whether a pool's number of nodes can change by itself; None where its bounds are not in the body."""
    bounds = [(scale.min_count, scale.max_count) for scale in pool.auto_scales or ()]
    if pool.enable_auto_scaling:
        bounds.append((pool.min_count, pool.max_count))
    known = [least < most for least, most in bounds if least is not None and most is not None]
    return True if any(known) else None if len(known) < len(bounds) else False


def _scale(pool: AgentPool) -> tuple[Evidence, ...]:
    if pool.auto_scales:
        return (pool.at(AgentPool.auto_scales),)
    return (pool.at(AgentPool.enable_auto_scaling), pool.at(AgentPool.min_count), pool.at(AgentPool.max_count))


@rule(
    "AKS-ND-07",
    title="Upgrades add nodes before they take some, several at a time in large pools",
    severity=Severity.LOW,
    controls=(azqr("aks-016"),),
)
def upgrades_in_few_rounds(cluster: ManagedCluster) -> Verdict:
    """An upgrade replaces as many nodes at a time as its surge adds. One at a time, a large pool takes a day.

    Until it is through, some nodes lack the fixes that it brings, and two versions of the kubelet run side by side; with
    automatic upgrades it may not fit into its maintenance window.

    Severity: the upgrade arrives, only later, or, without surge, with pods waiting for room.
    Decided: with `upgradeSettings.maxSurge`, a number of nodes or a percentage rounded up, a pool at its full size (its
    `maxCount` with autoscaling) is upgraded in ten rounds or fewer, as it always is with 10 %, AKS's default of today. A
    surge of 0 fails: pods then have to fit on the nodes that are left. Absent means one node or 10 %, by when the pool
    was made: unknown in pools of more than ten nodes, not applicable in smaller ones, where both are one node. Not
    applicable where it cannot pass: Spot pools, which are upgraded without surge; pools that Microsoft runs; blue-green
    upgrades (`upgradeStrategy`).
    Fix: az aks nodepool update --resource-group {group} --cluster-name {name} --name <pool> --max-surge 33%
    Bicep: properties.agentPoolProfiles[].upgradeSettings.maxSurge: '33%'
    Change: in place; needs quota and addresses for the nodes that an upgrade adds (AKS-SUB-10). A pool that lets nodes be
    unavailable instead (`maxUnavailable`) gives that up with it: --max-unavailable 0
    References: https://learn.microsoft.com/azure/aks/upgrade-aks-node-pools-rolling
    Disagreement: azqr fails one node in any pool, and any that names no surge. In a pool of three nodes 10 %, 33 % and 1
    are the same.
    """
    return each(cluster.pools, _rounds)


def _rounds(pool: AgentPool) -> Verdict:
    evidence = pool.at(AgentPool.max_surge)
    nodes = full_scale(pool)
    surge = full_scale_with_surge(pool) - nodes
    rounds = -(-nodes // surge) if surge else None
    if pool.max_surge and rounds and rounds <= _MOST_ROUNDS:
        return passes(f"Pool {pool.name} ({nodes} nodes) is upgraded {surge} at a time", evidence)
    if (
        pool.mode is AgentPoolMode.MANAGED_SYSTEM
        or _is_spot(pool)
        or (pool.upgrade_strategy or "").lower() == "bluegreen"
    ):
        return not_applicable(f"Pool {pool.name} is not upgraded by surge", evidence)
    if nodes == 0 or (not pool.max_surge and nodes <= _MOST_ROUNDS):
        return not_applicable(f"Pool {pool.name} has {nodes} nodes at most, few whatever the surge", evidence)
    if not pool.max_surge:
        return undecided(f"Pool {pool.name} ({nodes} nodes) names no surge: it is one node, or 10 %", evidence)
    if rounds is None:
        return fails(f"Upgrades of pool {pool.name} take nodes away and add none before", evidence)
    return fails(f"Upgrades of pool {pool.name} ({nodes} nodes) take {rounds} rounds, {surge} at a time", evidence)


RULES = (applications_have_nodes, enough_user_nodes, nodes_follow_load, upgrades_in_few_rounds)
