"""Reads inside many clusters at once, each in its own time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from aks_audit.errors import AuditError
from aks_audit.facts import ClusterAccess
from aks_audit.facts.gaps import INSIDE
from aks_audit.facts.resource_id import parse
from aks_audit.progress import Event, event
from aks_audit.snapshot import Collected, Gap, Packed, Resource
from aks_audit.sources.deadline import Deadline
from aks_audit.sources.journal import Journal, key_of
from aks_audit.sources.kubernetes.access import Access
from aks_audit.sources.kubernetes.api import Getter, UnreachableError
from aks_audit.sources.kubernetes.reader import Reader
from aks_audit.sources.scrub import scrub_message

AT_ONCE = 16
"""How many clusters are read at the same time."""


class Inside:
    """Reads inside clusters. `find` gives the way into one; `seconds` is the time that each has.

    `called` is told of each call, `read` how many objects came, and `command` makes what reads by run-command. `reader`
    is what reads one of them, and `optional` names what was asked for besides. `left` is told how many clusters are
    ahead, and of each that it came to its end. One that the `journal` has fresh, read by the way that `asked` names, is
    not read again.
    """

    def __init__(  # noqa: PLR0913 - each is needed
        self,
        find: Callable[[Resource], Awaitable[Access | Gap]],
        deadline: Deadline,
        seconds: float,
        *,
        note: Callable[[Event], None],
        called: Callable[[str, str, int], None],
        read: Callable[[int], None] = lambda _records: None,
        command: Callable[[Access], Getter] | None = None,
        reader: type[Reader] = Reader,
        optional: Collection[str] = (),
        left: Callable[[int], None] = lambda _clusters: None,
        journal: Journal | None = None,
        asked: str = "",
    ) -> None:
        self._find, self._deadline, self._seconds = find, deadline, seconds
        self._note, self._called, self._read_so_far, self._command = note, called, read, command
        self._reader, self._optional = reader, optional
        self._left, self._journal, self._asked = left, journal, asked
        self._room = asyncio.Semaphore(AT_ONCE)

    async def collect(self, clusters: Sequence[Resource]) -> list[Collected]:
        """What is inside these clusters, and the gaps that say what could not be read there."""
        self._left(len(clusters))
        found = await asyncio.gather(*(self._once(cluster) for cluster in clusters))
        return [record for records in found for record in records]

    async def _once(self, cluster: Resource) -> list[Collected]:
        """The inside of a cluster, as a whole from the journal or from the cluster, never mixed of both."""
        key = key_of(INSIDE, cluster.id, self._asked, *sorted(self._optional))
        known = self._journal.take_packed(key) if self._journal else None
        records = known if known is not None else await self._counted(cluster, key)
        self._left(-1)
        return records

    async def _counted(self, cluster: Resource, key: str) -> list[Collected]:
        began = self._journal.now() if self._journal else None
        records = await self._cluster(cluster)
        if self._journal and began and any(isinstance(record, Packed) for record in records):
            self._journal.add(key, began, records)
        self._read_so_far(sum(isinstance(record, Packed) for record in records))
        return records

    async def _cluster(self, cluster: Resource) -> list[Collected]:
        async with self._room:
            late = f"{parse(cluster.id).name} was not read in {self._seconds:g} s; give it more with --cluster-timeout"
            with self._deadline.within(self._seconds, late) as deadline:
                ways: list[Access | Gap] = []
                lost = await deadline.bound(self._way(cluster, ways), cluster.id, INSIDE)
                if not ways:
                    return lost
                if isinstance(ways[0], Gap):
                    return [ways[0]]
                return await self._read(ways[0], deadline)

    async def _way(self, cluster: Resource, ways: list[Access | Gap]) -> list[Collected]:
        try:
            ways.append(await self._find(cluster))
        except AuditError as problem:
            ways.append(_lost(cluster.id, problem))
        return []

    async def _read(self, access: Access, deadline: Deadline) -> list[Collected]:
        name = parse(access.cluster).name
        told = f"reading inside {name} by {access.way}"
        self._note(event("inside", told, cluster=access.cluster, way=access.way))
        if access.way == "run-command" and self._command:
            return [_told(access), *await self._records(self._command(access), access, deadline)]
        from aks_audit.sources.kubernetes.client import Client  # noqa: PLC0415 - imports the Kubernetes SDK

        try:
            async with Client(access, self._called) as client:
                return [_told(access), *await self._records(client, access, deadline)]
        except UnreachableError as problem:
            return [_told(access), _lost(access.cluster, problem)]

    async def _records(self, get: Getter, access: Access, deadline: Deadline) -> list[Collected]:
        return await self._reader(get, access.cluster, deadline, optional=self._optional).read()


def _lost(cluster: str, problem: AuditError) -> Gap:
    return Gap(id=cluster, type=INSIDE, reason=scrub_message(str(problem)), cause="not-read")


def _told(access: Access) -> Resource:
    """How the cluster was read, for the report."""
    body: dict[str, Any] = {"way": access.way, "administrator": access.administrator, "detail": access.detail}
    return Resource(id=ClusterAccess.id_of(access.cluster), type=ClusterAccess.TYPE, body=body, source="aks-audit")
