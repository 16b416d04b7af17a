"""Readings of the recorded clusters in which calls fail, and what all rules make of them.

One whole reading is sent to the server, in small pages. What a failure is to the reader is asked of the server once for
each failure, since the client treats all paths alike; the reader itself then meets it in every call.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from aks_audit import report, snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate
from aks_audit.facts.workloads import Workload, workloads_of
from aks_audit.report import Report
from aks_audit.results import Outcome
from aks_audit.rule import Rule
from aks_audit.snapshot import Collected, Gap, Packed, Record, Resource
from aks_audit.sources.deadline import Deadline
from aks_audit.sources.kubernetes import discovery
from aks_audit.sources.kubernetes.access import Access
from aks_audit.sources.kubernetes.api import Answer, Getter
from aks_audit.sources.kubernetes.client import Client
from aks_audit.sources.kubernetes.plan import CORE, GROUPS, PAGE, Kind, kinds
from aks_audit.sources.kubernetes.reader import Reader
from compose.clusters import CLUSTERS
from compose.recorded_clusters import AZURE
from kubernetes_api import AUDITOR_TOKEN, KubernetesApi
from recorded_clusters import Name

RULES = load_rules()
SMALL = 25
"""How many objects a page holds here, so that lists have several."""

Failing: TypeAlias = Callable[[Answer], Answer]
"""What a failure makes of the answer that a call would have got; it raises where none comes."""

Records: TypeAlias = tuple[Record, ...]
Outcomes: TypeAlias = Mapping[tuple[str, str], Outcome]
_T = TypeVar("_T")


def now() -> datetime:
    """The time of every reading, so that they are alike."""
    return datetime(2026, 1, 1, tzinfo=UTC)


class Small:
    """Asks for small pages, and keeps what it got."""

    def __init__(self, getter: Getter) -> None:
        self.calls: dict[str, Answer] = {}
        self._getter = getter

    async def get(self, path: str, accept: str = "application/json") -> Answer:
        """Send and keep."""
        self.calls[path] = await self._getter.get(path.replace(f"limit={PAGE}", f"limit={SMALL}"), accept)
        return self.calls[path]


class Replayed:
    """Gives what the whole reading got, but for the calls that fail."""

    def __init__(self, calls: Mapping[str, Answer], failing: Mapping[str, Failing]) -> None:
        self._calls, self._failing = calls, failing

    async def get(self, path: str, accept: str = "application/json") -> Answer:  # noqa: ARG002 - each path has one form
        """Give or fail."""
        answer = self._calls[path]
        return self._failing[path](answer) if path in self._failing else answer


class Whole(NamedTuple):
    """A reading that nothing struck: Azure's side, each call with what it got, and what is inside."""

    cluster: str
    azure: Records
    calls: Mapping[str, Answer]
    inside: Records

    @property
    def records(self) -> Records:
        """All of it."""
        return (*self.azure, *self.inside)

    @property
    def lists(self) -> Mapping[str, tuple[Kind, str]]:
        """The kind and version of each call that is for a page of a list."""
        core, groups = (discovery.read(msgspec.json.decode(self.calls[path].body)) for path in (CORE, GROUPS))
        served = core.with_(groups)
        known = {kind.path(version): (kind, version) for kind in kinds() if (version := served.version(kind))}
        return {call: known[path] for call in self.calls if (path := call.partition("?")[0]) in known}

    def listed(self, failing: Mapping[str, Failing]) -> Records:
        """The whole reading, but for the kinds of some calls for lists, which are read with these failing."""
        lists = self.lists
        struck = {lists[call] for call in failing}
        reader = Reader(Replayed(self.calls, failing), self.cluster, Deadline(), now)

        async def read() -> list[Collected]:
            return [record for kind, version in sorted(struck) for record in await reader.listing(kind, version)]

        return (*self.azure, *without(self.inside, {kind.type for kind, _ in struck}), *unpacked(asyncio.run(read())))

    def read(self, failing: Mapping[str, Failing]) -> Records:
        """The reading of everything, with some calls failing."""
        reader = Reader(Replayed(self.calls, failing), self.cluster, Deadline(), now)
        return (*self.azure, *unpacked(asyncio.run(reader.read())))


def whole(name: Name, api: KubernetesApi) -> Whole:
    """A whole reading of a recorded cluster."""
    azure = tuple(AZURE[name]())
    cluster = next(one.id for one in azure if isinstance(one, Resource) and one.type.lower() == CLUSTERS.lower())

    async def read(client: Getter) -> tuple[dict[str, Answer], Records]:
        small = Small(client)
        return small.calls, unpacked(await Reader(small, cluster, Deadline(), now).read())

    return Whole(cluster, azure, *asyncio.run(through_client(api, cluster, read)))


async def through_client(api: KubernetesApi, cluster: str, use: Callable[[Getter], Awaitable[_T]]) -> _T:
    """Use a client of a server, which tries once."""

    async def token() -> str:
        return AUDITOR_TOKEN

    async with Client(Access(cluster, "kubeconfig", api.url, api.ca, token=token), tries=1) as client:
        return await use(client)


def unpacked(records: Iterable[Collected]) -> Records:
    """Records with their bodies."""
    return tuple(record.unpack() if isinstance(record, Packed) else record for record in records)


def without(records: Iterable[Record], types: set[str]) -> Iterator[Record]:
    """Records but for those of some types of objects."""
    return (one for one in records if getattr(one, "type", "") not in types)


def shape(records: Iterable[Record]) -> frozenset[object]:
    """What tells readings apart, whatever words they have for what failed."""
    return frozenset((one.id, one.type) if isinstance(one, (Resource, Gap)) else one for one in records)


# --- what rules make of it


class Audited(NamedTuple):
    """An audit, and by its subject each outcome."""

    estate: Estate
    report: Report
    outcomes: Outcomes


def audited(records: Iterable[Record], rules: tuple[Rule, ...] = RULES) -> Audited:
    """Ask rules about records; none may crash."""
    read = snapshot.of(records)
    estate = Estate(read)
    findings = audit(estate, rules)
    crashed = [finding.message for finding in findings for missing in finding.missing if missing.kind == "crashed"]
    assert not crashed
    found = {(finding.rule, finding.resource.lower()): finding.outcome for finding in findings}
    return Audited(estate, report.build(read, rules, findings, ()), found)


def bolder(before: Audited, after: Audited, cluster: str) -> Iterator[str]:
    """What a reading that lost something says that the whole one does not, and of what it says nothing any more."""
    stands_for: Mapping[str, str] | None = None
    for (rule, resource), outcome in after.outcomes.items():
        was = before.outcomes.get((rule, resource))
        if outcome in {was, Outcome.UNKNOWN}:
            continue
        if was is None:
            stands_for = stands_for or stand_ins(before.estate, after.estate, cluster)
            was = before.outcomes.get((rule, stands_for.get(resource, "")))
        if outcome is not was:
            yield f"{rule} about {resource} is {outcome}, was {was}"
    unknown = {rule for (rule, _), outcome in after.outcomes.items() if outcome is Outcome.UNKNOWN}
    for rule, resource in before.outcomes.keys() - after.outcomes.keys():
        if rule not in unknown:
            yield f"{rule} about {resource} is gone, and {rule} is unknown of nothing"


def stand_ins(before: Estate, after: Estate, cluster: str) -> dict[str, str]:
    """The workloads, by id, that stand for others whose controllers were not read: they are judged in their place."""
    known = {one.id: one for one in workloads_of(before, cluster).known}
    of_pod = {pod.id: one.id for one in known.values() for pod in one.pods}
    found: dict[str, str] = {}
    for one in workloads_of(after, cluster).known:
        if one.id not in known:
            owner = next((f"{one.namespace} {of.name}" for of in one.owner_references or ()), "")
            tops = {of_pod[pod.id] for pod in one.pods} or {own for own, top in known.items() if called(top) == owner}
            assert len(tops) == 1, f"{one.id} stands for {tops}"
            found[one.id.lower()] = tops.pop().lower()
    return found


def called(one: Workload) -> str:
    """The namespace and name of a workload."""
    return f"{one.namespace} {one.name}"


def strike(records: Iterable[Record], kind: str, cluster: str, kept: Callable[[list[Resource]], Any]) -> Records:
    """Records in which the list of a kind (lower case) inside a cluster was refused, after some of it had been read."""
    held = list(records)
    objects = [one for one in held if isinstance(one, Resource) and one.type.lower() == kind]
    rest = (one for one in held if getattr(one, "type", "").lower() != kind)
    gap = Gap(
        id=cluster, type=kind, reason=f"403: cannot list {kind}", status=403, action=f"list {kind}", scope=cluster
    )
    return (*rest, *kept(objects), gap)
