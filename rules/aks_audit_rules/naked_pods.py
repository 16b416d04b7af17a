"""Whether somebody makes a pod anew when it is gone."""

from aks_audit.facts.platform import is_component
from aks_audit.facts.workloads import Workload
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import azure_policy, kubebuddy, the_aks_checklist
from aks_audit_rules.workload_verdicts import component


@rule(
    "AKS-KW-09",
    title="Pods are made by a controller",
    severity=Severity.LOW,
    controls=(
        azure_policy("65280eef-c8b4-425e-9aec-af55e55bf581"),
        kubebuddy("POD010"),
        the_aks_checklist("980e9f76-e20a-426a-9c01-cbae1b63c5e8"),
    ),
)
def made_by_controller(workload: Workload) -> Verdict:
    """A pod that nobody made but a person is gone with its node, and stands in no deployment that was looked at.

    Left behind after debugging, it keeps running with an image that nobody renews. It also keeps the cluster autoscaler
    from taking its node away.

    Severity: the upgrade of a node ends it; what it may do is the matter of other rules.
    Decided: each pod has an owner that is its controller, of any kind, or it fails. Pods that have run to their end are
    not asked about, nor those that a node keeps from a file of its own.
    Fix: kubectl delete pod --namespace {namespace} {name}
    Bicep: none; in the manifest: a Deployment, StatefulSet, DaemonSet or Job in place of the Pod
    Change: replaces the pod by those of a controller, which is made first where it is needed
    References: https://kubernetes.io/docs/concepts/configuration/overview/#naked-pods-vs-replicasets-deployments-and-jobs
    """
    if is_component(workload):
        return component(workload)
    evidence = workload.at(Workload.owner_references)
    if workload.kind != "Pod":
        return passes(f"{workload.kind} {workload.name} makes its pods", evidence)
    if workload.controller:
        return not_applicable(f"The node {workload.controller.name} keeps {workload.name}", evidence)
    return fails(f"No controller made the pod {workload.name}", evidence)


RULES = (made_by_controller,)
