"""Quotas of cores: whether pools can grow as far as they are allowed to."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from aks_audit.facts import (
    AgentPool,
    AgentPoolType,
    Evidence,
    Malformed,
    ManagedCluster,
    NotCollected,
    PowerState,
    Unread,
)
from aks_audit.facts.core_quotas import ALL_CORES, SPOT_CORES, ComputeUsages, CoreUsage, vm_size
from aks_audit.facts.enumerations import ScaleSetPriority
from aks_audit.network.capacity import full_scale
from aks_audit.network.routes import stated
from aks_audit.results import Missing, Outcome, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import aprl, review_checklist, the_aks_checklist


class _Growth(NamedTuple):
    """The cores that a pool may yet take with machines of a VM size, by quota (in lower case)."""

    pool: AgentPool
    size: str
    quotas: Mapping[str, int]


@rule(
    "AKS-ND-14",
    title="The quotas of cores cover the pools at their maximum",
    severity=Severity.MEDIUM,
    controls=(
        review_checklist("081a5417-4158-433e-a3ad-3c2de733165c"),
        the_aks_checklist("081a5417-4158-433e-a3ad-3c2de733165c"),
        aprl("a01afc4c-7439-4919-b2da-3565992ea2a7"),
    ),
)
def quotas_cover_growth(cluster: ManagedCluster) -> Verdict:
    """The autoscaler asks Azure for nodes when there is most to do. Past the subscription's quota Azure refuses, and pods wait.

    Severity: it fails under load, when it hurts, and a higher quota may take days.
    Decided: what the pools of all clusters of the subscription and region may yet grow by (`maxCount` less `count`, or all of it
    where a pool is stopped), times the cores of their VM sizes, is no more than is left of the quota of each size's family, and
    of all cores of the region; for Spot pools, of the quota of Spot cores alone. What others take is in what Azure says is taken.
    Family and cores are told by the name of the size; where such a family is not among Azure's quotas, or the name may tell
    something else (accelerators, cores switched off), it is unknown. The further nodes of an upgrade, and what node
    auto-provisioning adds, are not counted. A cluster whose pools do not grow is not asked. Quotas are read with `--read quotas`.
    Fix: az quota update --scope /subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location} --resource-name <family> --limit-object value=<cores>
    Bicep: Microsoft.Quota/quotas, or a lower properties.agentPoolProfiles[].maxCount
    Change: in place; Microsoft may have to approve it
    References: https://learn.microsoft.com/azure/virtual-machines/quotas
    https://learn.microsoft.com/azure/quotas/per-vm-quota-requests
    https://learn.microsoft.com/rest/api/compute/usage/list
    """
    own = tuple(_growing(cluster))
    if not own:
        return not_applicable("No pool grows", cluster.at(ManagedCluster.agent_pools))
    estate, subscription = cluster.estate, cluster.parsed.subscription
    usages = estate.resource(ComputeUsages, ComputeUsages.id_of(subscription, cluster.region))
    clusters = estate.within(ManagedCluster, f"/subscriptions/{subscription}")
    every, verdicts = _of_region(clusters, cluster.region)
    names = dict.fromkeys(name for growth in own for name in growth.quotas)
    verdicts += [each((name,), lambda name: _quota(usages, name, every)) for name in names]
    verdicts += [_unknown(growth) for growth in every if not growth.quotas]
    verdict = each(verdicts, lambda one: one)
    if verdict.outcome is Outcome.PASS:
        clusters.whole()
    return verdict


def _of_region(clusters: Iterable[ManagedCluster], region: str) -> tuple[list[_Growth], list[Verdict]]:
    """What the pools of the clusters of a region may yet grow by, and what cannot be told of some."""
    found: list[_Growth] = []
    unknown: list[Verdict] = []
    for cluster in clusters:
        try:
            if cluster.region == region:
                found += _growing(cluster)
        except Unread as unread:
            unknown.append(undecided(str(unread), missing=unread.missing))
    return found, unknown


def _growing(cluster: ManagedCluster) -> Iterator[_Growth]:
    """What the pools of a cluster may yet grow by.

    Raises:
        Malformed: a pool does not say how many nodes it has, how many it may have, or of which size.
        NotCollected: a pool or its cluster does not say whether it runs.
    """
    for pool in cluster.pools:
        states = {
            _state(cluster, cluster.power_state, cluster.at(ManagedCluster.power_state)),
            _state(pool, pool.power_state, pool.at(AgentPool.power_state)),
        }
        stopped = PowerState.STOPPED in states
        for size, now, most in _scales(pool):
            if (nodes := most - (0 if stopped else now)) > 0:
                yield _growth(pool, size, nodes)


def _state(about: ManagedCluster | AgentPool, state: PowerState | None, evidence: Evidence) -> PowerState:
    """Whether a pool or cluster runs, which bodies of older API versions do not say."""
    if state is None:
        reason = f"{evidence.pointer} of {about.document.id} was not sent, so that it may be stopped"
        raise NotCollected(Missing(what=about.document.id, kind="not-sent", reason=reason))
    return state


def _scales(pool: AgentPool) -> Iterator[tuple[str | None, int, int]]:
    """The VM sizes of a pool, each with its nodes, and how many it may have."""
    if pool.type is not AgentPoolType.VIRTUAL_MACHINES:
        yield pool.vm_size, stated(pool, AgentPool.count), full_scale(pool)
    elif not (pool.auto_scales or pool.manual_scales):
        raise Malformed(pool.document.id, f"{pool.pointer}/virtualMachinesProfile", "a pool without its scale")
    for scale in pool.auto_scales or ():
        most = _told(pool, "virtualMachinesProfile/scale/autoscale", scale.max_count)
        yield scale.size, _there(pool, scale.size), most


def _there(pool: AgentPool, size: str | None) -> int:
    """How many machines of a size a pool of machines has; the body names those sizes of which it has any."""
    if pool.nodes_status is None or any(one.size is None for one in pool.nodes_status):
        raise Malformed(pool.document.id, f"{pool.pointer}/virtualMachineNodesStatus", "a pool without its machines")
    same = [one for one in pool.nodes_status if one.size and one.size.lower() == (size or "").lower()]
    return sum(_told(pool, "virtualMachineNodesStatus", one.count) for one in same)


def _told(pool: AgentPool, name: str, nodes: int | None) -> int:
    if nodes is None:
        raise Malformed(pool.document.id, f"{pool.pointer}/{name}", "a pool without its number of nodes")
    return nodes


def _growth(pool: AgentPool, size: str | None, nodes: int) -> _Growth:
    if size is None:
        raise Malformed(pool.document.id, f"{pool.pointer}/vmSize", "a pool without its VM size")
    found = vm_size(size)
    if found is None:
        return _Growth(pool, size, {})
    spot = pool.scale_set_priority is ScaleSetPriority.SPOT
    quotas = (SPOT_CORES.lower(),) if spot else (found.family, ALL_CORES)
    return _Growth(pool, size, dict.fromkeys(quotas, nodes * found.cores))


def _quota(usages: ComputeUsages, name: str, growths: Iterable[_Growth]) -> Verdict:
    """Whether what is left of a quota covers the growth that takes of it."""
    takers = [growth for growth in growths if name in growth.quotas]
    needed = sum(growth.quotas[name] for growth in takers)
    quota = next((one for one in usages.usages or () if (one.name or "").lower() == name), None)
    evidence: tuple[Evidence, ...] = tuple(growth.pool.at(AgentPool.max_count) for growth in takers)
    if quota is None:
        return undecided(f"Azure names no quota {name} for {takers[0].size}", *evidence)
    if quota.limit is None or quota.current_value is None:
        raise Malformed(usages.id, quota.pointer, "a quota without its limit, or without what is taken of it")
    left = quota.limit - quota.current_value
    shown = (quota.at(CoreUsage.limit), quota.at(CoreUsage.current_value), *evidence)
    if left < needed:
        return fails(
            f"{left} of {quota.limit} cores are left of {quota.name}, and pools may take {needed} more", *shown
        )
    return passes(f"{left} of {quota.limit} cores are left of {quota.name}; pools may take {needed} more", *shown)


def _unknown(growth: _Growth) -> Verdict:
    return undecided(f"The name {growth.size} does not tell its family and cores", growth.pool.at(AgentPool.vm_size))


RULES = (quotas_cover_growth,)
