"""Whether labels say which application a workload belongs to."""

from aks_audit.facts.field import View, named_texts
from aks_audit.facts.platform import is_component
from aks_audit.facts.workloads import PodSpec, Workload
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, passes, rule
from aks_audit_rules.frameworks import aks_health_check, azure_policy, kubebuddy, the_aks_checklist
from aks_audit_rules.workload_verdicts import component, with_unread

_NAMES = ("app.kubernetes.io/name", "app.kubernetes.io/part-of", "app", "k8s-app")
"""The labels that tell of an application: Kubernetes' own two, and what was used before there were these."""


@rule(
    "AKS-KW-10",
    title="Pods say by labels which application they belong to",
    severity=Severity.INFO,
    # Azure Policy's 9a5f4e39 demands annotations, which an organisation names itself: no body tells which.
    controls=(
        azure_policy("46592696-4c7b-4bf3-9e45-6c2763bdc0a6"),
        kubebuddy("WRK009"),
        aks_health_check("DEV-5"),
        the_aks_checklist("13bb9e32-6f48-4747-9531-0147f20f4b04"),
        the_aks_checklist("7b613b26-df38-49a8-94bf-c5301a91d558"),
    ),
)
def pods_labelled(workload: Workload) -> Verdict:
    """Nobody knows whom to ask about a pod whose labels name no application, and costs, alerts and logs name it neither.

    Policies of the network and budgets for disruptions select pods by such labels, too, so that a pod without them
    easily stands outside of what was meant for its application.

    Severity: order in the cluster, and not a weakness of it.
    Decided: the labels of the pods, or of the template that they are made from, have one of `app.kubernetes.io/name`,
    `app.kubernetes.io/part-of`, `app` and `k8s-app` with a value; every template and live pod that differs counts. Components of AKS are not
    asked about. Which further labels an organisation demands, such as an owner, is its own choice.
    Fix: kubectl edit --namespace {namespace} {kind}/{name} # template.metadata.labels
    Bicep: none; in the manifest: template.metadata.labels: app.kubernetes.io/name
    Change: replaces the workload's pods, by its own update strategy; labels of the selector cannot be changed in place
    References: https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
    Disagreement: Azure Policy demands whatever labels it is given; others accept app.kubernetes.io/name alone, and fail half of
        all charts for the older `app`, which says the same.
    """
    if is_component(workload):
        return component(workload)
    return with_unread(workload, each(workload.specs, lambda spec: _labelled(workload, spec)))


def _labelled(workload: Workload, spec: PodSpec) -> Verdict:
    way = f"{spec.pointer.rpartition('/')[0]}/metadata/labels".removeprefix("/").replace("/", ".")
    whole = View(spec.estate, spec.document)
    field = named_texts(way)
    labels = field.__get__(whole, View) or {}
    evidence = whole.at(field)
    found = next((f"{name}: {labels[name]}" for name in _NAMES if labels.get(name)), None)
    if found is None:
        return fails(f"No label of the pods of {workload.kind} {workload.name} names their application", evidence)
    return passes(f"The pods of {workload.kind} {workload.name} are labelled {found}", evidence)


RULES = (pods_labelled,)
