"""The two recorded clusters as one estate each: Azure's side composed, the inside read from the recorded API server."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Literal, TypeAlias

from aks_audit import snapshot
from aks_audit.facts import Estate
from aks_audit.snapshot import Packed, Record, Resource
from aks_audit.sources.deadline import Deadline
from aks_audit.sources.kubernetes.access import Access
from aks_audit.sources.kubernetes.collect import Inside
from compose.clusters import CLUSTERS
from compose.recorded_clusters import AZURE
from kubernetes_api import AUDITOR_TOKEN, NORIGHTS_TOKEN, KubernetesApi

Name: TypeAlias = Literal["hardened", "weak"]
NAMES: tuple[Name, ...] = ("hardened", "weak")


@cache
def records(name: Name, *, rights: bool = True) -> tuple[Record, ...]:
    """The records of a scan of a cluster by an auditor, or by somebody without rights inside it."""
    azure = AZURE[name]()
    cluster = next(one for one in azure if isinstance(one, Resource) and one.type.lower() == CLUSTERS.lower())
    with KubernetesApi(name) as api:
        way = Access(
            cluster.id, "kubeconfig", api.url, api.ca, token=_token(AUDITOR_TOKEN if rights else NORIGHTS_TOKEN)
        )

        async def find(_: Resource) -> Access:
            return way

        inside = Inside(find, Deadline(), 30, note=lambda _: None, called=lambda *_: None)
        found = asyncio.run(inside.collect([cluster]))
    return (*azure, *(one.unpack() if isinstance(one, Packed) else one for one in found))


def estate(name: Name, *, rights: bool = True) -> Estate:
    """The facts of a recorded cluster."""
    return Estate(snapshot.of(records(name, rights=rights)))


def _token(text: str) -> Callable[[], Awaitable[str]]:
    async def give() -> str:
        return text

    return give
