"""Asks Azure, before a scan, what the signed-in identity is permitted in its scope: one call a subscription."""

import asyncio
from collections.abc import Callable, Sequence

from aks_audit.facts import Estate, Unread
from aks_audit.facts.cluster import ManagedCluster
from aks_audit.permission_check import Asked, Need
from aks_audit.snapshot import Gap, of
from aks_audit.sources.azure.collect import Collector
from aks_audit.sources.azure.granted import Granted

_NOT_AZURES = (
    "its authorization is not Azure RBAC but Kubernetes' own, which Azure knows nothing of; ask the cluster: "
    "kubectl auth can-i --list"
)


async def ask(collector: Collector, needs: Sequence[Need]) -> tuple[Asked, ...]:
    """What is lacking in each subscription of the scope, and for data actions in each cluster there.

    Raises:
        ScopeError: a subscription was asked for that is not there, or there is none.
    """
    actions = [need.action for need in needs if need.plane == "arm"]
    data_actions = [need.action for need in needs if need.plane == "aks-data"]
    subscriptions, lost = await collector.subscriptions()
    found = [Asked("arm", gap.id, reason=gap.reason) for gap in lost if isinstance(gap, Gap)]
    if actions:
        found += await asyncio.gather(*(_subscription(collector, one, actions) for one in subscriptions))
    if data_actions:
        clusters = await asyncio.gather(*(_clusters(collector, one, data_actions) for one in subscriptions))
        found += [one for of_one in clusters for one in of_one]
    return tuple(found)


async def _subscription(collector: Collector, subscription: str, actions: Sequence[str]) -> Asked:
    return _asked("arm", subscription, await collector.granted(subscription), actions, Granted.permits)


async def _clusters(collector: Collector, subscription: str, actions: Sequence[str]) -> list[Asked]:
    records = await collector.clusters(subscription)
    lost = [Asked("aks-data", gap.id, reason=gap.reason) for gap in records if isinstance(gap, Gap)]
    clusters = Estate(of(records)).every(ManagedCluster)
    return [*lost, *await asyncio.gather(*(_cluster(collector, cluster, actions) for cluster in clusters))]


async def _cluster(collector: Collector, cluster: ManagedCluster, actions: Sequence[str]) -> Asked:
    try:
        azure_rbac = cluster.aad_azure_rbac
    except Unread as unread:
        return Asked("aks-data", cluster.id, reason=str(unread))
    if not azure_rbac:
        return Asked("aks-data", cluster.id, reason=_NOT_AZURES)
    return _asked("aks-data", cluster.id, await collector.granted(cluster.id), actions, Granted.permits_data)


def _asked(
    plane: str, scope: str, found: Granted | Gap, actions: Sequence[str], permits: Callable[[Granted, str], bool]
) -> Asked:
    if isinstance(found, Gap):
        return Asked(plane, scope, reason=found.reason)
    return Asked(plane, scope, lacks=frozenset(action for action in actions if not permits(found, action)))
