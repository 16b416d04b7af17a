"""Where a connection of a workload starts: at one of its pods, and whether the others stand elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from aks_audit.facts import ManagedCluster, NotCollected, Unread
from aks_audit.facts.workloads import Node, Pod, Workload, workloads
from aks_audit.network.hops import Hop, HopKind
from aks_audit.network.origins import Origin, of_pod, pool_of

_MOST_POOLS = 4


class Start(NamedTuple):
    """The pod that stands for a workload, and the hop that says so; no origin where none of its pods runs."""

    workload: Workload
    origin: Origin | None
    hop: Hop


def of_workload(cluster: ManagedCluster, namespace: str, name: str) -> Start | None:
    """A workload, from the first by name of its pods that run; None where there is none of that name.

    Raises:
        NotCollected: it may be among what was not read, or the pool or subnet of the pod was not.
        Malformed: none of its pods can be read.
    """
    known = workloads(cluster)
    found = [one for one in known.known if (one.namespace, one.name) == (namespace, name)]
    if not found:
        if known.missing:
            raise NotCollected(*known.missing)
        return None
    running = {pod.name: (pod, one) for one in found for pod in _running(one)}
    if not running:
        missing = [one for workload in found for one in workload.missing]
        if missing:
            raise NotCollected(*missing)
        says = f"{found[0].kind} {namespace}/{name} has no pod that runs"
        return Start(found[0], None, Hop(HopKind.SOURCE, found[0].id, None, says))
    pod, workload = running[min(running)]
    origin = of_pod(pod, cluster)
    return Start(workload, origin, _chosen(workload, origin, pod, [one for one, _ in running.values()]))


def _running(workload: Workload) -> Iterator[Pod]:
    """The pods of a workload that run on a node, and have an address.

    Raises:
        Malformed: none does, and one cannot be read.
    """
    damaged: Unread | None = None
    found = False
    for pod in workload.pods:
        try:
            runs = pod.node_name is not None and pod.pod_ip is not None
        except Unread as damage:
            damaged = damaged or damage
            continue
        if runs:
            found = True
            yield pod
    if damaged and not found:
        raise damaged


def _chosen(workload: Workload, origin: Origin, pod: Pod, running: Sequence[Pod]) -> Hop:
    named = f"{workload.kind} {workload.namespace}/{workload.name}"
    read = " and could be read" if workload.missing else ""
    says = f"{named} has one pod that runs{read}, {pod.name}"
    if len(running) > 1:
        says = f"{named} has {len(running)} pods that run{read}; this walk is from the first by name, {pod.name}"
    if others := _elsewhere(origin, running):
        shown = ", ".join(others[:_MOST_POOLS]) + (" and more" if others[_MOST_POOLS:] else "")
        says = f"{says}; others stand in {shown}, from where the way may be another: ask from one of them, too"
    return Hop(HopKind.SOURCE, workload.id, None, says, evidence=(pod.at(Pod.node_name),))


def _elsewhere(origin: Origin, running: Sequence[Pod]) -> list[str]:
    """The pools other than the origin's in which pods stand, each with its first pod."""
    cluster = origin.cluster
    nodes = {node.name: node for node in cluster.estate.within(Node, cluster.id)}
    found: dict[str, str] = {}
    for pod in sorted(running, key=lambda one: one.name):
        name = pod.node_name or ""
        place = "a pool that is not known"
        with suppress(Unread):
            place = f"pool {pool_of(cluster, name, nodes.get(name)).name}"
        if place != f"pool {origin.pool.name}":
            found.setdefault(place, f"{place} ({pod.name})")
    return [found[place] for place in sorted(found)]
