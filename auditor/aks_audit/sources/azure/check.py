"""Asks, before a scan, what the signed-in identity is permitted in its scope: one call to Azure a subscription."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from aks_audit.facts import Estate, Unread
from aks_audit.facts.cluster import ManagedCluster
from aks_audit.permission_check import Asked, Need
from aks_audit.snapshot import Gap, Resource, of
from aks_audit.sources.azure.collect import Collector
from aks_audit.sources.azure.granted import Granted

_NOT_AZURES = (
    "its authorization is not Azure RBAC but Kubernetes' own, which Azure knows nothing of; ask the cluster: "
    "aks-audit permissions --check --plane kubernetes"
)

Inside: TypeAlias = Callable[[Sequence[Resource]], Awaitable[Sequence[Asked]]]
"""Asks clusters themselves what is lacking inside them."""


async def ask(collector: Collector, needs: Sequence[Need], inside: Inside | None = None) -> tuple[Asked, ...]:
    """What is lacking in each subscription of the scope, for data actions in each cluster, and `inside` clusters.

    Raises:
        ScopeError: nothing is there that was asked for.
    """
    actions = [need.action for need in needs if need.plane == "arm"]
    data_actions = [need.action for need in needs if need.plane == "aks-data"]
    subscriptions, lost = await collector.subscriptions()
    found = [Asked("arm", gap.id, reason=gap.reason) for gap in lost if isinstance(gap, Gap)]
    if actions:
        found += await asyncio.gather(*(_subscription(collector, one, actions) for one in subscriptions))
    if data_actions or inside:
        records = await collector.clusters(subscriptions)
        plane = "aks-data" if data_actions else "kubernetes"
        found += [Asked(plane, gap.id, reason=gap.reason) for gap in records if isinstance(gap, Gap)]
        if data_actions:
            # A cluster that is asked itself needs not be told that Azure does not know.
            found += await _clusters(collector, Estate(of(records)), data_actions, every=inside is None)
        if inside:
            found += await inside([record for record in records if isinstance(record, Resource)])
    return tuple(found)


async def _subscription(collector: Collector, subscription: str, actions: Sequence[str]) -> Asked:
    return _asked("arm", subscription, await collector.granted(subscription), actions, Granted.permits)


async def _clusters(collector: Collector, estate: Estate, actions: Sequence[str], *, every: bool) -> list[Asked]:
    """What is lacking in the clusters with Azure RBAC, and of `every` other one that Azure does not know."""
    found: list[Asked] = []
    asked: list[ManagedCluster] = []
    for cluster in estate.every(ManagedCluster):
        try:
            if cluster.aad_azure_rbac:
                asked.append(cluster)
            elif every:
                found.append(Asked("aks-data", cluster.id, reason=_NOT_AZURES))
        except Unread as unread:
            found.append(Asked("aks-data", cluster.id, reason=str(unread)))
    return [*found, *await asyncio.gather(*(_cluster(collector, one, actions) for one in asked))]


async def _cluster(collector: Collector, cluster: ManagedCluster, actions: Sequence[str]) -> Asked:
    return _asked("aks-data", cluster.id, await collector.granted(cluster.id), actions, Granted.permits_data)


def _asked(
    plane: str, scope: str, found: Granted | Gap, actions: Sequence[str], permits: Callable[[Granted, str], bool]
) -> Asked:
    if isinstance(found, Gap):
        return Asked(plane, scope, reason=found.reason)
    return Asked(plane, scope, lacks=frozenset(action for action in actions if not permits(found, action)))
