"""Whether what scales workloads can do so, and does it alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from aks_audit.facts import ManagedCluster, NotCollected, Unread
from aks_audit.facts.platform import of_aks, system_namespaces
from aks_audit.facts.scaling import (
    Autoscaler,
    HorizontalPodAutoscaler,
    ScaledObject,
    VerticalPodAutoscaler,
)
from aks_audit.facts.workloads import CONTROLLERS, Container, Deployment, PodSpec, Workload, workloads
from aks_audit.results import Missing, Outcome, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import kubebuddy
from aks_audit_rules.replica_counts import scaled
from aks_audit_rules.troubles import brief

_BOTH = frozenset({"cpu", "memory"})
_ALL = "*"
_OFF = "Off"
_SHARE = "Utilization"
_KINDS = (HorizontalPodAutoscaler, ScaledObject, VerticalPodAutoscaler)

Target = tuple[str, str, str]
"""The namespace, kind and name of what is scaled."""


class _Inside(NamedTuple):
    """The autoscalers of a cluster by what they scale, its workloads, and what may hold more of these."""

    scalers: Mapping[Target, Sequence[Autoscaler]]
    workloads: Mapping[Target, Workload]
    missing: tuple[Missing, ...]


@rule(
    "AKS-KW-08",
    title="Autoscalers have something to scale and to go by, and do not work against each other",
    severity=Severity.LOW,
    # Left off: who asks that autoscalers be used, or their add-ons be installed; no API tells which load calls for them.
    controls=(
        kubebuddy("WRK004"),
        kubebuddy("WRK010"),
        kubebuddy("WRK011"),
        kubebuddy("WRK022"),
        kubebuddy("WRK028"),
    ),
)
def autoscalers(cluster: ManagedCluster) -> Verdict:
    """An autoscaler that lacks what it goes by does nothing, and nobody notices before the load is there.

    Two for one workload, of the number of its pods or of the same resource, undo what the other did.

    Severity: the application is slow or unavailable under load; nothing is opened.
    Decided: every HorizontalPodAutoscaler, ScaledObject and VerticalPodAutoscaler of people's scales a workload that is there
    (kinds other than Kubernetes' own are not looked for). Containers request what a HorizontalPodAutoscaler measures as a
    share of the request, a limit standing for a request, and it does not say itself that it cannot scale (ScalingActive;
    that it is switched off by no replicas is meant so). No two scale one number of pods, those that KEDA makes aside. A
    VerticalPodAutoscaler that changes pods (updateMode is not Off) leaves alone what a HorizontalPodAutoscaler of the same
    workload goes by: CPU and memory, or its `controlledResources`. A ScaledObject has KEDA, and a VerticalPodAutoscaler has
    its updater, by AKS's add-on or a workload of that name. Where there is no autoscaler the rule does not apply: whether
    load calls for one is for people to say.
    Fix: az aks command invoke --resource-group {group} --name {name} --command 'kubectl describe hpa --all-namespaces'
    Bicep: none; in the manifests: scaleTargetRef, resources.requests, updatePolicy.updateMode; for the add-ons properties.workloadAutoScalerProfile
    Change: in place; changed requests replace the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
        https://learn.microsoft.com/azure/aks/keda-about
        https://learn.microsoft.com/azure/aks/vertical-pod-autoscaler
    """
    held = [cluster.estate.within(kind, cluster.id).where(_of_people) for kind in _KINDS]
    inside = _inside(cluster, [one for several in held for one in several])
    judged = [each((one,), partial(_judged, cluster, inside)) for several in held for one in several]
    read = each(held, lambda several: not_applicable(f"{len(several.whole())} autoscalers were read"))
    verdict = brief([*judged, read])
    if verdict.outcome is Outcome.NOT_APPLICABLE:
        return not_applicable(f"{cluster.name} has no autoscaler of pods")
    return verdict


def _of_people(one: Autoscaler) -> bool:
    """Whether people made it, and not AKS; what cannot be read is taken for theirs."""
    with suppress(Unread):
        return one.namespace not in system_namespaces() or not of_aks(one)
    return True


def _inside(cluster: ManagedCluster, found: Iterable[Autoscaler]) -> _Inside:
    scalers: dict[Target, list[Autoscaler]] = defaultdict(list)
    for one in found:
        with suppress(Unread):
            scalers[scaled(one)].append(one)
    running = workloads(cluster)
    known = {(one.namespace, one.kind, one.name): one for one in running.known}
    return _Inside(scalers, known, running.missing)


def _judged(cluster: ManagedCluster, inside: _Inside, one: Autoscaler) -> Verdict:
    target = scaled(one)
    named = f"{one.namespace}/{one.name} of {target[1]} {target[2]}"
    shown = one.at(type(one).target)
    workload = inside.workloads.get(target)
    if workload is None and target[1] in CONTROLLERS:
        if inside.missing:
            raise NotCollected(*inside.missing)
        return fails(f"{named}: there is no such workload", shown)
    others = [other for other in inside.scalers[target] if other.id != one.id]
    match one:
        case HorizontalPodAutoscaler():
            return _horizontal(one, named, workload, others)
        case ScaledObject():
            return _keda(cluster, one, named, others)
        case _:
            return _vertical(cluster, one, named)


def _horizontal(
    one: HorizontalPodAutoscaler, named: str, workload: Workload | None, others: Sequence[Autoscaler]
) -> Verdict:
    """The verdict about an autoscaler of the number of pods that has its workload."""
    shown = one.at(HorizontalPodAutoscaler.target)
    rivals = [other for other in others if isinstance(other, HorizontalPodAutoscaler)]
    if rivals:
        return fails(f"{named}: {rivals[0].name} scales it, too", shown, rivals[0].at(Autoscaler.target))
    measures = _measures(one)
    used = {measure.resource for measure in measures}
    for other in others:
        if isinstance(other, VerticalPodAutoscaler) and (shared := used & _changed(other, workload)):
            told = f"{named}: {other.name} changes the {' and '.join(sorted(shared))} that it goes by"
            return fails(told, one.at(HorizontalPodAutoscaler.metrics), other.at(VerticalPodAutoscaler.update_mode))
    for condition in one.conditions or ():
        if (condition.type, condition.status) == ("ScalingActive", "False") and condition.reason != "ScalingDisabled":
            told = f"{named}: it cannot scale: {condition.reason or 'no reason is told'}"
            return fails(told, one.at(HorizontalPodAutoscaler.conditions))
    lacking = _lacking(workload, measures) if workload is not None else []
    if lacking:
        return fails(f"{named}: {', '.join(lacking)}", one.at(HorizontalPodAutoscaler.metrics))
    return passes("Autoscalers have something to scale and to go by", shown)


class _Measure(NamedTuple):
    """A resource that an autoscaler goes by, of one container or (None) of all, as a share of what they request."""

    resource: str
    container: str | None
    share: bool


def _measures(one: HorizontalPodAutoscaler) -> list[_Measure]:
    """What an autoscaler goes by of its pods' CPU and memory; without any metric that is a share of their CPU."""
    found: list[_Measure] = []
    for metric in one.metrics or ():
        if metric.resource:
            found.append(_Measure(metric.resource, None, metric.resource_target == _SHARE))
        if metric.container_resource:
            share = metric.container_resource_target == _SHARE
            found.append(_Measure(metric.container_resource, metric.container, share))
    return found if one.metrics else [_Measure("cpu", None, share=True)]


def _lacking(workload: Workload, measures: Iterable[_Measure]) -> list[str]:
    """Which containers do not request what is measured as a share of the request.

    Raises:
        NotCollected: those that were read do, and there may be more pods.
    """
    asked = [(spec, measure) for measure in measures if measure.share for spec in workload.running]
    found = [
        f"container {container.node.get('name', '?')} requests no {measure.resource}"
        for spec, measure in asked
        for container in _measured(spec, measure.container)
        if not _asks(spec, container, measure.resource)
    ]
    if asked and not found and workload.missing:
        raise NotCollected(*workload.missing)
    return list(dict.fromkeys(found))


def _measured(spec: PodSpec, named: str | None) -> Iterable[Container]:
    """The containers whose use counts: all that go on running, or the one that is named."""
    running = [one for one in spec.every_container if one.kind == "container" or one.restart_policy == "Always"]
    return [one for one in running if named in {None, one.node.get("name")}]


def _asks(spec: PodSpec, container: Container, resource: str) -> bool:
    """Whether a container requests a resource, by itself, by its limit, or by its pod."""
    given = (container.requests, container.limits, spec.requests, spec.limits)
    return any((one or {}).get(resource) for one in given)


def _keda(cluster: ManagedCluster, one: ScaledObject, named: str, others: Sequence[Autoscaler]) -> Verdict:
    """The verdict about a ScaledObject that has its workload."""
    shown = one.at(ScaledObject.target)
    for other in others:
        if isinstance(other, ScaledObject) or (isinstance(other, HorizontalPodAutoscaler) and not _made_by(one, other)):
            return fails(f"{named}: {other.name} scales it, too", shown, other.at(Autoscaler.target))
    enabled = cluster.at(ManagedCluster.keda_enabled)
    if cluster.keda_enabled or _runs(cluster, "keda-operator"):
        return passes("Autoscalers have something to scale and to go by", shown, enabled)
    return fails(f"{named}: no KEDA is there that would heed it", shown, enabled)


def _made_by(one: ScaledObject, other: HorizontalPodAutoscaler) -> bool:
    owner = other.controller
    return owner is not None and (owner.kind, owner.name) == ("ScaledObject", one.name)


def _vertical(cluster: ManagedCluster, one: Autoscaler, named: str) -> Verdict:
    """The verdict about a VerticalPodAutoscaler that has its workload; what it fights tells the other."""
    shown, mode = one.at(VerticalPodAutoscaler.target), one.at(VerticalPodAutoscaler.update_mode)
    enabled = cluster.at(ManagedCluster.vertical_pod_autoscaler_enabled)
    if cluster.vertical_pod_autoscaler_enabled or _runs(cluster, "vpa-updater", "vpa-recommender"):
        return passes("Autoscalers have something to scale and to go by", shown, mode, enabled)
    return fails(f"{named}: no autoscaler is there that would heed it", shown, enabled)


def _changed(one: VerticalPodAutoscaler, workload: Workload | None) -> frozenset[str]:
    """What a VerticalPodAutoscaler changes of pods: without a mode, or a policy for a container, it changes both."""
    if one.update_mode == _OFF:
        return frozenset()
    policies = one.container_policies or ()
    changed = {name for one in policies if one.mode != _OFF for name in one.controlled_resources or _BOTH}
    template = workload.template if workload is not None else None
    containers = template.containers if template is not None else None
    running = {str(one.node.get("name")) for one in containers} if containers else {_ALL}
    named = {one.container_name for one in policies}
    return frozenset(changed) if _ALL in named or running <= named else _BOTH


def _runs(cluster: ManagedCluster, *names: str) -> bool:
    """Whether a Deployment so called is in the cluster, in whichever namespace.

    Raises:
        NotCollected: none is, of those that were read.
    """
    held = cluster.estate.within(Deployment, cluster.id)
    return any(one.name in names for one in held) or any(one.name in names for one in held.whole())


RULES = (autoscalers,)
