"""Asks clusters, before a scan, what may be read inside them: one object of each kind, of which nothing is kept.

Only GETs are sent, as by a scan. What Kubernetes has for such questions, SelfSubjectAccessReview, is a POST.
"""

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from aks_audit.facts.gaps import INSIDE
from aks_audit.permission_check import Asked, Need
from aks_audit.snapshot import Collected, Gap, Resource
from aks_audit.sources.kubernetes.collect import Inside
from aks_audit.sources.kubernetes.plan import Kind, kinds, named
from aks_audit.sources.kubernetes.reader import Reader

PLANE = "kubernetes"

_FORBIDDEN = 403


class Asker(Reader):
    """Reads of each kind the first object alone, and gives nothing but the gaps that a scan would have."""

    async def read(self) -> list[Collected]:
        """What is not permitted, and what could not be asked."""
        return [record for record in await super().read() if isinstance(record, Gap)]

    async def listing(self, kind: Kind, version: str) -> list[Collected]:
        """The gap where the kind is not permitted, or could not be asked for."""
        page = await self.page(kind, version, limit=1)
        return [page] if isinstance(page, Gap) else []


def needs() -> tuple[Need, ...]:
    """What a scan needs inside a cluster, each kind and each object that is read by name."""
    return (
        *(Need(PLANE, kind.action, (kind.type,), "one list a cluster") for kind in kinds()),
        *(Need(PLANE, one.action, (one.kind.type,), "one read a cluster") for one in named()),
    )


async def ask(inside: Inside, clusters: Sequence[Resource]) -> list[Asked]:
    """What is lacking in each cluster; and for what could not be asked there, the reasons."""
    actions = {need.action for need in needs()}
    found = await asyncio.gather(*(inside.collect([cluster]) for cluster in clusters))
    return [
        one
        for cluster, records in zip(clusters, found, strict=True)
        for one in _asked(cluster.id, [record for record in records if isinstance(record, Gap)], actions)
    ]


def _asked(cluster: str, gaps: Sequence[Gap], actions: AbstractSet[str]) -> list[Asked]:
    # Who is not known to the API server (401) has no roles that could be mended.
    refused = {gap.action for gap in gaps if gap.action and gap.status == _FORBIDDEN}
    lacks = frozenset(refused & actions)
    reasons = dict.fromkeys(gap.reason for gap in gaps if gap.action not in lacks)
    lost = [Asked(PLANE, cluster, reason=reason) for reason in reasons]
    # A cluster that has not answered at all is in no list of those that have.
    return lost if any(gap.type == INSIDE for gap in gaps) else [Asked(PLANE, cluster, lacks=lacks), *lost]
