"""What the loss of a node, a data centre or the API server takes with it."""

from collections.abc import Iterable
from typing import assert_never

from aks_audit.facts import AgentPool, AgentPoolMode, ManagedCluster, PowerState, SkuTier
from aks_audit.facts.workloads import Node
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import (
    aks_health_check,
    aprl,
    azqr,
    azure_policy,
    checkov,
    community_policy,
    kubebuddy,
    psrule,
    review_checklist,
    the_aks_checklist,
)
from aks_audit_rules.live_nodes import ZONE, nodes_of

_ALL_ZONES = 3
_TWO_ZONES = 2
_SYSTEM_NODES = 3
_FEWEST_SYSTEM_NODES = 2


@rule(
    "AKS-CP-06",
    title="The control plane has an uptime SLA",
    severity=Severity.MEDIUM,
    controls=(
        psrule("Azure.AKS.UptimeSLA"),
        aprl("0611251f-e70f-4243-8ddd-cfe894bec2e7"),
        azqr("aks-003"),
        kubebuddy("AKSDR002"),
        community_policy("3aa87b5a-7823-4b57-8a43-42dd9df5aaa7"),
        review_checklist("71d41e36-10cc-457b-9a4b-1410d4395898"),
        the_aks_checklist("71d41e36-10cc-457b-9a4b-1410d4395898"),
        aks_health_check("DR-6"),
        checkov("CKV_AZURE_170"),
    ),
)
def control_plane_has_uptime_sla(cluster: ManagedCluster) -> Verdict:
    """The Free tier is for trying things out: nobody answers for the API server, and it is sized for a few nodes.

    Severity: running pods go on while the API server is away, but nothing is scheduled, scaled or healed.
    Decided: `sku.tier` is Standard or Premium, or Paid, Standard's name in old api-versions. Free fails. Absent is
    unknown.
    Fix: az aks update --resource-group {group} --name {name} --tier standard
    Bicep: sku.tier: 'Standard'
    Change: in place, without downtime; the tier is billed by the cluster and hour
    References: https://learn.microsoft.com/azure/aks/free-standard-pricing-tiers
    Disagreement: some tools know Standard alone and fail Premium, which has the same SLA; others ask for the old name
    Paid.
    """
    evidence = cluster.at(ManagedCluster.sku_tier)
    tier = cluster.sku_tier
    match tier:
        case SkuTier.STANDARD | SkuTier.PREMIUM | SkuTier.PAID:
            return passes(f"The tier {tier} has an uptime SLA", evidence)
        case SkuTier.FREE:
            return fails("The tier Free has no uptime SLA", evidence)
        case None:
            return undecided("The body names no tier", evidence)
        case _:
            assert_never(tier)


@rule(
    "AKS-ND-01",
    title="Agent pools span availability zones",
    severity=Severity.HIGH,
    controls=(
        azure_policy("2dec5f47-bc40-40d1-8c7d-a39d9d6808d1"),
        psrule("Azure.AKS.AvailabilityZone"),
        aprl("4f63619f-5001-439c-bacb-8de891287727"),
        kubebuddy("AKSDR001"),
        review_checklist("578a219a-46be-4b54-9350-24922634292b"),
        the_aks_checklist("578a219a-46be-4b54-9350-24922634292b"),
        aks_health_check("DR-2"),
    ),
)
def pools_span_zones(cluster: ManagedCluster) -> Verdict:
    """Nodes in one zone, or in none by choice, can all be in the one data centre that fails.

    Severity: a failed zone stops everything on the pool at once, and a system pool takes the cluster's DNS with it.
    Decided: each pool's `availabilityZones` names two zones or more. Pools of one zone each also pass where the
    single-zone pools of the same mode and operating system cover three zones together. Absent or empty means that Azure
    chose no zone, and fails. Pools that Microsoft runs (ManagedSystem) are not asked about. Zones are where nodes may
    be, not where they are: a pool of one node is in one zone (AKS-ND-04 counts system nodes). Where the nodes of the
    cluster were read, a pool with two nodes or more fails as medium if all of them are in one zone, and any pool of which a
    node says that it is in none of the pool's zones; where they were asked for and not all read, and those that were are
    not in two, it is unknown. Which regions have zones is not in the body: in a region without them, accept this finding
    as an exception or choose another region.
    Fix: az aks nodepool add --resource-group {group} --cluster-name {name} --name <new-pool> --zones 1 2 3
    Bicep: properties.agentPoolProfiles[].availabilityZones: ['1', '2', '3']
    Change: replaces nodes; the zones of a pool are fixed, so move the work to a new pool and delete the old one
    References: https://learn.microsoft.com/azure/aks/availability-zones-overview
    https://learn.microsoft.com/azure/aks/aks-zone-resiliency
    Disagreement: APRL fails zone-aligned pools. Microsoft recommends them for the cluster autoscaler, and three of them
    survive a zone as well as one pool in three zones does.
    """
    pools = cluster.pools
    return each(pools, lambda pool: _spans_zones(pool, pools))


def _spans_zones(pool: AgentPool, pools: Iterable[AgentPool]) -> Verdict:
    evidence = pool.at(AgentPool.availability_zones)
    zones = _zones(pool)
    if len(zones) >= _TWO_ZONES:
        spans = passes(f"Pool {pool.name} spans zones {', '.join(sorted(zones))}", evidence)
        return _in_zones(pool) or _elsewhere(pool, zones) or spans
    if pool.mode is AgentPoolMode.MANAGED_SYSTEM:
        return not_applicable(f"Microsoft runs pool {pool.name}", evidence)
    if not zones:
        return fails(f"Pool {pool.name} is in no availability zone", evidence)
    if len(_aligned_zones(pool, pools)) >= _ALL_ZONES:
        aligned = passes(f"Pool {pool.name} is one of several that cover {_ALL_ZONES} zones together", evidence)
        return _elsewhere(pool, zones) or aligned
    return fails(f"Pool {pool.name} is in zone {', '.join(zones)} alone", evidence)


def _elsewhere(pool: AgentPool, zones: frozenset[str]) -> Verdict | None:
    """The failure of a pool of which a node, as far as they were read, is in none of its zones."""
    for node in nodes_of(pool, pool.cluster.read()):
        zone = (node.object_labels or {}).get(ZONE)
        if zone and zone.rpartition("-")[2] not in zones:
            message = f"Node {node.name} of pool {pool.name} is in {zone}, and the pool in {', '.join(sorted(zones))}"
            evidence = (node.at(Node.object_labels), pool.at(AgentPool.availability_zones))
            return fails(message, *evidence, severity=Severity.MEDIUM)
    return None


def _in_zones(pool: AgentPool) -> Verdict | None:
    """The failure of a pool whose nodes are all in one of its zones; unknown where they were asked for, and not all read.

    None: they are in several, or it cannot be told by them.
    """
    cluster = pool.cluster.read()
    found = [(node, (node.object_labels or {}).get(ZONE)) for node in nodes_of(pool, cluster)]
    zones = {zone for _, zone in found if zone}
    if len(zones) < _TWO_ZONES and (missing := cluster.estate.unlisted(Node, cluster.id)):
        return undecided(missing[0].reason, missing=missing)
    if len(found) < _TWO_ZONES or len(zones) != 1 or not all(zone for _, zone in found):
        return None
    shown = (node.at(Node.object_labels) for node, _ in found)
    return fails(f"All nodes of pool {pool.name} are in zone {min(zones)}", *shown, severity=Severity.MEDIUM)


def _zones(pool: AgentPool) -> frozenset[str]:
    return frozenset(pool.availability_zones or ())


def _aligned_zones(pool: AgentPool, pools: Iterable[AgentPool]) -> frozenset[str]:
    """The zones of all single-zone pools that can stand in for this one: the same mode and operating system."""
    twins = [other for other in pools if (other.mode, other.os_type) == (pool.mode, pool.os_type)]
    return frozenset(zone for twin in twins if len(_zones(twin)) == 1 for zone in _zones(twin))


@rule(
    "AKS-ND-04",
    title="Three nodes or more carry the system pods",
    severity=Severity.MEDIUM,
    controls=(
        psrule("Azure.AKS.MinNodeCount"),
        aprl("7f7ae535-a5ba-4665-b7e0-c451dbdda01f"),
        kubebuddy("AKSBP011"),
    ),
)
def enough_system_nodes(cluster: ManagedCluster) -> Verdict:
    """System nodes carry the cluster's DNS, its metrics and the tunnel to the API server. Three fit three zones.

    Severity: with a single node its failure, or its upgrade, stops name resolution everywhere. Low for two nodes: the
    loss of one leaves one, and a zone may hold both.
    Decided: the nodes of all pools of mode System together are three or more. A pool with autoscaling counts with its
    `minCount`, any other with its `count`; a pool of type VirtualMachines with the counts and minimums of its scale
    profile. A count that is not in the body is unknown. A stopped cluster is not applicable, and so is one that lists
    no System pool of its own, because Microsoft runs it (AKS Automatic).
    Fix: az aks nodepool scale --resource-group {group} --cluster-name {name} --name <system-pool> --node-count 3
    Bicep: properties.agentPoolProfiles[].count: 3
    Change: in place; adds nodes. With autoscaling: az aks nodepool update --update-cluster-autoscaler --min-count 3
    References: https://learn.microsoft.com/azure/aks/use-system-pools
    Disagreement: Microsoft's documentation demands two and recommends three; APRL and PSRule ask for three, KubeBuddy
    for two. Two nodes fail here at low severity.
    """
    system = [pool for pool in cluster.pools if pool.mode in {AgentPoolMode.SYSTEM, None}]
    if not system:
        return not_applicable("The cluster lists no System pool of its own", cluster.at(ManagedCluster.agent_pools))
    evidence = [pool.at(AgentPool.min_count if pool.enable_auto_scaling else AgentPool.count) for pool in system]
    counts = [fewest_nodes(pool) if pool.mode else None for pool in system]
    nodes = sum(count for count in counts if count)
    if nodes >= _SYSTEM_NODES:
        return passes(f"System nodes: at least {nodes}", *evidence)
    if None in counts:
        return undecided("The body does not say how many nodes carry system pods", *evidence)
    if cluster.power_state is PowerState.STOPPED:
        return not_applicable("The cluster is stopped", cluster.at(ManagedCluster.power_state))
    severity = Severity.LOW if nodes >= _FEWEST_SYSTEM_NODES else None
    return fails(f"System nodes: at least {nodes}, wanted {_SYSTEM_NODES}", *evidence, severity=severity)


def fewest_nodes(pool: AgentPool) -> int | None:
    """The number of nodes that a pool is sure to have; None where the body does not say."""
    if pool.enable_auto_scaling:
        return pool.min_count
    if pool.count is not None:
        return pool.count if pool.min_count is None else min(pool.count, pool.min_count)
    fixed = [scale.count for scale in pool.manual_scales or ()]
    least = [scale.min_count for scale in pool.auto_scales or ()]
    counts = [*fixed, *least]
    return None if not counts or None in counts else sum(count for count in counts if count)


RULES = (control_plane_has_uptime_sla, pools_span_zones, enough_system_nodes)
