"""How much of a node containers ask for, and how much they may take."""

from aks_audit.facts.platform import is_component
from aks_audit.facts.workloads import Container, PodSpec, Workload
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, passes, rule
from aks_audit_rules.frameworks import (
    aks_health_check,
    azure_policy,
    checkov,
    kubebuddy,
    prowler,
    review_checklist,
    the_aks_checklist,
)
from aks_audit_rules.workload_verdicts import component, with_unread

_EPHEMERAL = "ephemeral container"


@rule(
    "AKS-KW-01",
    title="Containers request CPU and memory, and have a limit of memory",
    severity=Severity.HIGH,
    controls=(
        azure_policy("e345eecc-fa47-480f-9e88-67dcc122b164"),
        azure_policy("a2d3ed81-8d11-4079-80a5-1faadc0024f4"),
        azure_policy("03a4ecdb-0684-4039-be91-2762979e1bc8"),
        azure_policy("42ba1d72-e90f-42f8-bf99-5a1351eed2b1"),
        azure_policy("5f86d473-38a8-46c9-bdfe-d7fa3b9836bf"),
        kubebuddy("WRK005"),
        kubebuddy("WRK014"),
        kubebuddy("WRK026"),
        aks_health_check("DEV-10"),
        review_checklist("b54eb2eb-03dd-4aa3-9927-18e2edb11726"),
        the_aks_checklist("b54eb2eb-03dd-4aa3-9927-18e2edb11726"),
        the_aks_checklist("4868aa30-95a9-49fd-867e-57e70cb0d1d5"),
        the_aks_checklist("dea429d5-2c10-480c-85a1-9d9d0c4afc3d"),
        checkov("CKV_K8S_10"),
        checkov("CKV_K8S_12"),
        checkov("CKV_K8S_13"),
        prowler("core_cpu_requests_set"),
        prowler("core_memory_limits_set"),
        prowler("core_memory_requests_set"),
    ),
)
def requests_and_limits(workload: Workload) -> Verdict:
    """A container without a limit takes all the memory of its node, and the kernel ends its neighbours for it.

    Without requests the scheduler puts pods where there is no room, and no autoscaler knows that more is needed.

    Severity: one leak, or one intruder, brings down what else runs on the node.
    Decided: each container and init container has a request of CPU, and a request and a limit of memory, by itself or by
    its pod (`spec.resources`); a request that is absent is the limit. The live pods count, into which a LimitRange of
    the namespace has put its defaults; the template where no pod lives. Containers for debugging cannot have any. A limit
    of CPU is not asked for.
    Fix: kubectl set resources --namespace {namespace} {kind}/{name} --requests=cpu=100m,memory=128Mi --limits=memory=256Mi
    Bicep: none; in the manifest: resources.requests.cpu, resources.requests.memory, resources.limits.memory
    Change: replaces the workload's pods, by its own update strategy
    Disagreement: Azure Policy's default demands limits of CPU, too; many guides leave them out, since they slow a container
        down while its node idles.
    References: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
        https://learn.microsoft.com/azure/aks/developer-best-practices-resource-management
    """
    if is_component(workload):
        return component(workload)
    return with_unread(workload, each(workload.running, _of_pod))


def _of_pod(spec: PodSpec) -> Verdict:
    asked = [one for one in spec.every_container if one.kind != _EPHEMERAL]
    return each(asked, lambda one: _of_container(spec, one))


def _of_container(spec: PodSpec, container: Container) -> Verdict:
    limits = {**(spec.limits or {}), **(container.limits or {})}
    requests = {**limits, **(spec.requests or {}), **(container.requests or {})}
    lacking = [f"request of {name}" for name in ("cpu", "memory") if not requests.get(name)]
    lacking += ["limit of memory"] if not limits.get("memory") else []
    evidence = (container.at(Container.requests), container.at(Container.limits))
    if lacking:
        named = f"{container.kind} {container.node.get('name', '?')}"
        return fails(f"{named} has no {', '.join(lacking)}", *evidence)
    return passes("Containers request CPU and memory, and have a limit of memory", *evidence)


RULES = (requests_and_limits,)
