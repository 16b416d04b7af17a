"""What tells Kubernetes how pods are, and how it ends them."""

from collections.abc import Sequence

from aks_audit.facts import Malformed
from aks_audit.facts.platform import is_component
from aks_audit.facts.workloads import Container, PodSpec, Workload
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, passes, rule
from aks_audit_rules.frameworks import (
    aks_health_check,
    aprl,
    azure_policy,
    checkov,
    kubebuddy,
    prowler,
    review_checklist,
    the_aks_checklist,
)
from aks_audit_rules.replica_counts import ending, ends, front
from aks_audit_rules.workload_verdicts import component, with_unread

_GRACE = 30
"""How many seconds a pod has to end, where nothing says: the documented default of terminationGracePeriodSeconds."""


@rule(
    "AKS-KW-03",
    title="Containers tell whether they are ready and alive",
    severity=Severity.MEDIUM,
    controls=(
        review_checklist("f4fd0602-7ab5-46f1-b66a-e9dea9654a65"),
        the_aks_checklist("2e9ed573-38b2-4856-a7f9-676d9ab604e1"),
        the_aks_checklist("a066989c-9dce-4712-bce3-4eef36f8c0c2"),
        the_aks_checklist("de1b6b38-4fa9-4f6e-ab92-d824346dd20c"),
        aprl("cd6791b1-c60e-4b37-ac98-9897b1e6f4b8"),
        azure_policy("b1a9997f-2883-4f12-bdff-2280f99b5915"),
        kubebuddy("WRK007"),
        kubebuddy("WRK025"),
        aks_health_check("DEV-1"),
        aks_health_check("DEV-2"),
        aks_health_check("DEV-2B"),
        checkov("CKV_K8S_8"),
        checkov("CKV_K8S_9"),
        prowler("core_liveness_probe_configured"),
        prowler("core_readiness_probe_configured"),
    ),
)
def probed(workload: Workload) -> Verdict:
    """Without a readiness probe a container counts as ready once its process runs, and gets requests that it cannot serve.

    An update then replaces pods that serve by pods that do not, and no budget or load balancer sees any of it.

    Severity: users get errors with every update and restart. Where no Service leads to the pods it is low, and of a container
    that is ready but cannot tell that it hangs it is of information: a liveness probe that asks too much does harm, too.
    Decided: each container that tells of ports, or every one where none does, has a readiness probe where a Service selects
    the pods, and a liveness probe; where none does, one of the two. Absent, there is none, as documented. Startup probes are
    for those that start slowly, and not asked for. Init containers, sidecars and what runs to its end are not asked about.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: readinessProbe and livenessProbe of each container
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
        https://learn.microsoft.com/azure/aks/deployment-safeguards
    Disagreement: Azure Policy, deployment safeguards and the Azure Proactive Resiliency Library demand both probes of every
        container, with one weight.
    """
    if is_component(workload):
        return component(workload)
    if ends(workload):
        return ending(workload)
    return with_unread(workload, each(_serving(workload.specs[0]), lambda one: _of_container(workload, one)))


def _serving(spec: PodSpec) -> Sequence[Container]:
    """The containers of pods that may be asked something: those that tell of ports, or all where none does."""
    containers = [one for one in spec.every_container if one.kind == "container"]
    return [one for one in containers if one.ports] or containers


def _of_container(workload: Workload, container: Container) -> Verdict:
    evidence = (container.at(Container.readiness_probe), container.at(Container.liveness_probe))
    named = f"Container {container.node.get('name', '?')}"
    alive = container.liveness_probe is not None
    if container.readiness_probe is None:
        service = front(workload)
        if service is not None:
            told = f"{named} has no readiness probe, and Service {service.name} leads to it"
            return fails(told, *evidence, severity=Severity.MEDIUM)
        if not alive:
            return fails(f"{named} has neither a readiness nor a liveness probe", *evidence, severity=Severity.LOW)
    elif not alive:
        told = f"{named} has no liveness probe: where it hangs, nobody starts it anew"
        return fails(told, *evidence, severity=Severity.INFO)
    return passes("Containers tell whether they are ready and alive", *evidence)


@rule(
    "AKS-KW-04",
    title="Pods get time to end their work",
    severity=Severity.LOW,
    controls=(
        the_aks_checklist("dc4828a3-fc4f-4ac5-8844-122b8482dbb1"),
        the_aks_checklist("fce3ccf3-5f62-4ad6-b945-845362777529"),
        azure_policy("1a3b9003-eac6-4d39-a184-4a567ace7645"),
        kubebuddy("POD012"),
        aks_health_check("DEV-3"),
    ),
)
def ends_gracefully(workload: Workload) -> Verdict:
    """A pod that is ended at once loses the requests that it has, and what it has not written yet.

    Every update and every drained node ends pods; and load balancers learn of it only while the pod ends already.

    Severity: some requests fail with each update. That no hook has the pod wait for load balancers is of information: many
    applications go on serving for a while by themselves.
    Decided: `terminationGracePeriodSeconds` is not 0 (absent means 30, the documented default), a preStop hook does not sleep
    for all of it, and where a Service selects the pods, a container of those that tell of ports, or of all where none does,
    has a preStop hook. How long a command of a hook takes is not known. What runs to its end is not asked about.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: terminationGracePeriodSeconds, lifecycle.preStop
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
        https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
        https://kubernetes.io/docs/tutorials/services/pods-and-endpoint-termination-flow/
    Disagreement: Azure Policy demands a preStop hook of every container, with or without a Service.
    """
    if is_component(workload):
        return component(workload)
    if ends(workload):
        return ending(workload)
    return with_unread(workload, _ended(workload, workload.specs[0]))


def _ended(workload: Workload, spec: PodSpec) -> Verdict:
    given = spec.termination_grace_period_seconds
    grace = _GRACE if given is None else given
    shown = spec.at(PodSpec.termination_grace_period_seconds)
    if grace == 0:
        return fails(f"Pods of {workload.name} are ended at once, without time to end their work", shown)
    sleeping = [one for one in spec.every_container if _slept(one) >= grace]
    if sleeping:
        slept = tuple(one.at(Container.pre_stop_sleep_seconds) for one in sleeping)
        return fails(f"A preStop hook sleeps for all of the {grace} s that pods of {workload.name} have", *slept, shown)
    asked = _serving(spec)
    hooks = tuple(one.at(Container.pre_stop) for one in asked)
    if any(one.pre_stop is not None for one in asked):
        return passes(f"Pods of {workload.name} have {grace} s to end their work, and a preStop hook", *hooks, shown)
    service = front(workload)
    if service is not None:
        told = f"No preStop hook has pods of {workload.name} wait until Service {service.name} leads to them no more"
        return fails(told, *hooks, shown, severity=Severity.INFO)
    return passes(f"Pods of {workload.name} have {grace} s to end their work", shown)


def _slept(container: Container) -> int:
    """How many seconds a container's preStop hook sleeps.

    Raises:
        Malformed: the body does not tell what the hook does, or how long it sleeps.
    """
    if container.pre_stop is not None and not any(container.pre_stop.node.values()):
        raise Malformed(container.document.id, container.at(Container.pre_stop).pointer, "a hook that does nothing")
    if container.pre_stop_sleep is not None and container.pre_stop_sleep_seconds is None:
        pointer = container.at(Container.pre_stop_sleep).pointer
        raise Malformed(container.document.id, pointer, "a hook that sleeps, without its seconds")
    return container.pre_stop_sleep_seconds or 0


RULES = (probed, ends_gracefully)
