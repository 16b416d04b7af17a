"""How many pods a workload has at the least, what scales it, and whether a Service leads to it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aks_audit.facts import Malformed, ManagedCluster, NotCollected, Unread
from aks_audit.facts.scaling import Autoscaler, HorizontalPodAutoscaler, ScaledObject
from aks_audit.facts.services import Service
from aks_audit.facts.workloads import Deployment, ReplicaSet, StatefulSet, Workload
from aks_audit.results import Evidence, Missing, Verdict
from aks_audit.rule import not_applicable
from aks_audit_rules.workload_verdicts import with_unread

_REPLICATED = frozenset({Deployment.TYPE, ReplicaSet.TYPE, StatefulSet.TYPE})
_ENDS = frozenset({"CronJob", "Job", "Pod"})


def replicated(workload: Workload) -> bool:
    """Whether it has as many pods as somebody says: those of a DaemonSet, a Job or a person are not counted so."""
    return workload.document.type in _REPLICATED


def uncounted(workload: Workload) -> Verdict:
    """The verdict about a workload whose pods nobody counts; unknown where its controller may do so, and was not read."""
    return with_unread(workload, not_applicable(f"{workload.kind} {workload.name} has no number of replicas"))


def ends(workload: Workload) -> bool:
    """Whether its pods run to their end, or are one that a person made, and so serve nobody for long."""
    return workload.kind in _ENDS


def ending(workload: Workload) -> Verdict:
    """The verdict about a workload whose pods do not serve for long."""
    if workload.kind == "Pod":
        return with_unread(workload, not_applicable(f"Pod {workload.name} is no workload that serves"))
    return with_unread(workload, not_applicable(f"{workload.kind} {workload.name} runs to its end"))


class Least(NamedTuple):
    """The least number of pods that a workload is scaled to, and by what; where nothing scales it, its own number."""

    pods: int
    scaler: Autoscaler | None
    evidence: Evidence


def least(workload: Workload) -> Least:
    """The least number of pods that a workload is scaled to.

    Absent, the number is 1, that of a HorizontalPodAutoscaler is 1, and that of KEDA's ScaledObject is 0, as documented.

    Raises:
        NotCollected: what may scale it was not read; or its own controller was not, such as a Rollout, and one of its
            ReplicaSets alone does not tell.
        Malformed: a number cannot be read.
    """
    own = workload.at(Workload.replicas)
    if workload.replicas == 0:
        return Least(0, None, own)
    found = scalers(workload)
    for keda in found:
        if isinstance(keda, ScaledObject):
            floor, idle = keda.min_replica_count or 0, keda.idle_replica_count
            if idle is not None and idle < floor:
                return Least(idle, keda, keda.at(ScaledObject.idle_replica_count))
            return Least(floor, keda, keda.at(ScaledObject.min_replica_count))
    for one in found:
        if isinstance(one, HorizontalPodAutoscaler):
            pods = 1 if one.min_replicas is None else one.min_replicas
            return Least(pods, one, one.at(HorizontalPodAutoscaler.min_replicas))
    replicas = 1 if workload.replicas is None else workload.replicas
    if workload.kind != "ReplicaSet" and workload.document.type == ReplicaSet.TYPE and len(workload.pods) > replicas:
        reason = f"{workload.kind} {workload.name} was not read, and has pods of more than one ReplicaSet"
        raise NotCollected(Missing(what=workload.id, kind="not-read", reason=reason))
    return Least(replicas, None, own)


def scalers(workload: Workload) -> Sequence[Autoscaler]:
    """What changes the number of a workload's pods, in order of id.

    Raises:
        NotCollected: there may be more.
    """
    found = workload.estate.once(_scalers, workload.cluster)
    missing = (*found.unlisted, *found.odd.get(workload.namespace, ()))
    if missing:
        raise NotCollected(*missing)
    return found.known.get((workload.namespace, workload.kind, workload.name), ())


class _Scalers(NamedTuple):
    """Autoscalers by what they scale; what was not read of them, in all and by namespace."""

    known: Mapping[tuple[str, str, str], Sequence[Autoscaler]]
    unlisted: tuple[Missing, ...]
    odd: Mapping[str, Sequence[Missing]]


def _scalers(cluster: ManagedCluster) -> _Scalers:
    known: dict[tuple[str, str, str], list[Autoscaler]] = defaultdict(list)
    unlisted: list[Missing] = []
    odd: dict[str, list[Missing]] = defaultdict(list)
    for kind in (HorizontalPodAutoscaler, ScaledObject):
        held = cluster.estate.within(kind, cluster.id)
        for one in held:
            try:
                known[scaled(one)].append(one)
            except Unread as unread:
                odd[one.namespace] += unread.missing
        try:
            held.whole()
        except NotCollected as unread:
            unlisted += unread.missing
    return _Scalers(known, tuple(unlisted), odd)


def scaled(one: Autoscaler) -> tuple[str, str, str]:
    """The namespace, kind and name of what an autoscaler scales; for KEDA alone the kind has a default.

    Raises:
        Malformed: the body does not tell.
    """
    target = one.target
    kind, name = (target.kind, target.name) if target else (None, None)
    kind = "Deployment" if kind is None and isinstance(one, ScaledObject) else kind
    if kind is None or name is None:
        pointer = one.at(type(one).target).pointer
        raise Malformed(one.document.id, pointer, "an autoscaler without what it scales")
    return one.namespace, kind, name


class Fronts(NamedTuple):
    """The Services that lead to workloads, by the workloads' ids, and what was not read of Services."""

    known: Mapping[str, Service]
    missing: tuple[Missing, ...]


def front(workload: Workload) -> Service | None:
    """A Service that leads to a workload's pods; None where none does.

    Raises:
        NotCollected: none that was read does, and not all could be read.
    """
    fronts = workload.estate.once(_fronts, workload.cluster)
    found = fronts.known.get(workload.id)
    if found is None and fronts.missing:
        raise NotCollected(*fronts.missing)
    return found


def _fronts(cluster: ManagedCluster) -> Fronts:
    known: dict[str, Service] = {}
    missing: list[Missing] = []
    held = cluster.estate.within(Service, cluster.id)
    for service in held:
        try:
            for target in service.targets:
                known.setdefault(target.id, service)
        except Unread as unread:
            missing += unread.missing
    try:
        held.whole()
    except NotCollected as unread:
        missing += unread.missing
    return Fronts(known, tuple(missing))
