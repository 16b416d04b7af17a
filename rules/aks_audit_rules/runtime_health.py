"""Whether something in a cluster is stuck: pods that do not start, nodes that are not ready, what will not go away."""

import datetime as dt
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from aks_audit.facts import Malformed, ManagedCluster, NotCollected
from aks_audit.facts.health import (
    ContainerStatus,
    RunningCronJob,
    RunningDeployment,
    RunningJob,
    RunningNamespace,
    RunningNode,
    RunningPod,
)
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.results import Severity, Verdict
from aks_audit.rule import passes, rule, undecided
from aks_audit_rules.frameworks import kubebuddy
from aks_audit_rules.troubles import Found, Trouble, find, verdict

_LONG = dt.timedelta(hours=1)
"""How long something may take that is under way."""

_RESTARTS = 5
"""So many restarts the kubelet makes in the first ten minutes or so; from then on it waits five minutes each time."""

_CANNOT_START = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)
"""Why a container waits that will not start by itself: https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet"""

_PRESSURES = frozenset({"DiskPressure", "MemoryPressure", "NetworkUnavailable", "PIDPressure"})


_SHUT_DOWN = "node.cloudprovider.kubernetes.io/shutdown"
"""The taint of nodes whose machine is stopped, as a pool leaves them that is scaled down by Deallocate:
https://kubernetes.io/docs/reference/labels-annotations-taints/ and https://learn.microsoft.com/azure/aks/scale-down-mode"""

_Judge: TypeAlias = Callable[[Any, dt.datetime], Trouble | None]


@rule(
    "AKS-KW-14",
    title="No pod, job, node or namespace is stuck",
    severity=Severity.LOW,
    # KubeBuddy's checks of events, of use, of pods that run for long and of empty namespaces ask something else.
    controls=(
        kubebuddy("WRK001"),
        kubebuddy("WRK002"),
        kubebuddy("WRK003"),
        kubebuddy("POD001"),
        kubebuddy("POD004"),
        kubebuddy("POD005"),
        kubebuddy("JOB002"),
        kubebuddy("NODE001"),
    ),
)
def nothing_stuck(cluster: ManagedCluster) -> Verdict:
    """What is stuck for hours nobody looks after: an agent for security that crashes protects nothing, and few notice.

    Severity: a snapshot is a moment; who runs the application knows what it means.
    Decided: at the time of the snapshot, and by the times in the objects themselves, no live pod has a container in CrashLoopBackOff
    after more than 5 restarts, or, more than an hour after it was made, one that waits for its image, its configuration or
    its creation (ImagePullBackOff and the like); none has been Pending for more than an hour, but for those that are held
    back by scheduling gates, or by a priority below 0, as placeholders have; none is there an hour after its deletion; no node
    has for more than an hour been not ready, or short of memory, disk, process ids or network, but for those whose
    machine is stopped (the taint node.cloudprovider.kubernetes.io/shutdown); no Deployment says that
    its pods cannot be created (ReplicaFailure); no Job has failed, but for one of a CronJob that has ended well since;
    and no namespace has been Terminating for more than an hour. Components of AKS count, too. Events are not read.
    Fix: az aks command invoke --resource-group {group} --name {name} --command 'kubectl get nodes,pods --all-namespaces --output wide'
    Bicep: none: what is wrong stands in the status and the events of the object (kubectl describe)
    Change: in place, or replaces the pods or the node that are stuck: it depends on what is wrong
    References: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
        https://kubernetes.io/docs/reference/node/node-status/
        https://kubernetes.io/docs/tasks/debug/debug-application/
    """
    as_of = cluster.estate.as_of
    if as_of is None:
        return undecided("The snapshot does not say when it was made")
    now = dt.datetime.fromisoformat(as_of)
    good = passes(f"No pod, job, node or namespace of {cluster.name} was stuck at {as_of}")
    return verdict((_found(cluster, kind, judge, now) for kind, judge in _JUDGES.items()), good)


def _found(cluster: ManagedCluster, kind: type[KubernetesObject], judge: _Judge, now: dt.datetime) -> Found:
    return find(cluster.estate.within(kind, cluster.id), lambda one: judge(one, now))


def _node(node: RunningNode, now: dt.datetime) -> Trouble | None:
    if any(one.key == _SHUT_DOWN for one in node.taints or ()):
        return None
    conditions = {one.type: one for one in node.conditions or ()}
    ready = conditions.get("Ready")
    if ready is None:
        raise Malformed(
            node.id, node.at(RunningNode.conditions).pointer, "a node that does not say whether it is ready"
        )
    bad = [] if ready.status == "True" else [("is not ready", ready)]
    bad += [(f"has {kind}", one) for kind, one in conditions.items() if kind in _PRESSURES and one.status == "True"]
    for what, one in bad:
        since = one.since
        if since is None:
            raise Malformed(node.id, one.pointer, "a condition that does not say since when")
        if now - since > _LONG:
            return Trouble(f"node {node.name} {what} since {since:%Y-%m-%d %H:%M}", one.itself)
    return None


def _pod(pod: RunningPod, now: dt.datetime) -> Trouble | None:
    if pod.over:
        return None
    if pod.phase is None or pod.created is None:
        raise Malformed(
            pod.id, pod.at(RunningPod.phase).pointer, "a pod without its phase, or the time of its creation"
        )
    statuses = (*(pod.init_container_statuses or ()), *(pod.container_statuses or ()))
    if pod.phase == "Running" and not pod.container_statuses:
        pointer = pod.at(RunningPod.container_statuses).pointer
        raise Malformed(pod.id, pointer, "a pod that runs, and does not say how its containers are")
    named = f"pod {pod.namespace}/{pod.name}"
    if pod.deleted and now - pod.deleted > _LONG:
        return Trouble(f"{named} has been deleted for more than an hour", pod.at(RunningPod.deleted))
    old = now - pod.created > _LONG
    for status in statuses:
        if status.waiting == "CrashLoopBackOff" and status.restart_count is None:
            raise Malformed(pod.id, status.pointer, "a container that does not say how often it was started again")
        if status.waiting == "CrashLoopBackOff" and (status.restart_count or 0) > _RESTARTS:
            told = f"{named} has crashed {status.restart_count} times"
            return Trouble(told, status.at(ContainerStatus.restart_count))
        if status.waiting in _CANNOT_START and old:
            return Trouble(f"{named} does not start: {status.waiting}", status.at(ContainerStatus.waiting))
    waits = pod.scheduling_gates or (pod.priority is not None and pod.priority < 0)
    if pod.phase == "Pending" and old and not waits:
        return Trouble(f"{named} has been Pending for more than an hour", pod.at(RunningPod.phase))
    return None


def _deployment(one: RunningDeployment, _now: dt.datetime) -> Trouble | None:
    if not one.conditions:
        raise Malformed(one.id, one.at(RunningDeployment.conditions).pointer, "a Deployment without conditions")
    found = next((it for it in one.conditions if it.type == "ReplicaFailure" and it.status == "True"), None)
    told = f"the pods of Deployment {one.namespace}/{one.name} cannot be created"
    return Trouble(told, found.itself) if found else None


def _job(job: RunningJob, _now: dt.datetime) -> Trouble | None:
    failed = next((one for one in job.conditions or () if one.type == "Failed" and one.status == "True"), None)
    if failed is None or _made_good(job, failed.since):
        return None
    return Trouble(f"Job {job.namespace}/{job.name} has failed", failed.itself)


def _made_good(job: RunningJob, failed: dt.datetime | None) -> bool:
    """Whether the CronJob that made the Job has had one that ended well since."""
    owner = job.controller
    if failed is None or owner is None or owner.kind != "CronJob":
        return False
    with suppress(NotCollected):
        found = f"{job.cluster_id}/apis/batch/v1/namespaces/{job.namespace}/cronjobs/{owner.name}"
        last = job.estate.resource(RunningCronJob, found).last_successful
        return last is not None and last > failed
    return False


def _namespace(one: RunningNamespace, now: dt.datetime) -> Trouble | None:
    if one.phase is None:
        raise Malformed(one.id, one.at(RunningNamespace.phase).pointer, "a namespace without its phase")
    if one.phase != "Terminating":
        return None
    if one.deleted is None:
        raise Malformed(
            one.id, one.at(RunningNamespace.deleted).pointer, "a namespace that is going, and since when not"
        )
    if now - one.deleted > _LONG:
        return Trouble(
            f"namespace {one.name} has been Terminating for more than an hour", one.at(RunningNamespace.phase)
        )
    return None


_JUDGES: Mapping[type[KubernetesObject], _Judge] = {
    RunningNode: _node,
    RunningNamespace: _namespace,
    RunningDeployment: _deployment,
    RunningJob: _job,
    RunningPod: _pod,
}

RULES = (nothing_stuck,)
