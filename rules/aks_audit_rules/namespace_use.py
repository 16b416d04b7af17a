"""How people divide a cluster: namespaces, the default one, and what AKS keeps for itself."""

from collections import Counter
from typing import NamedTuple

from aks_audit.facts import Evidence, ManagedCluster, NotCollected
from aks_audit.facts.field import View, named_texts, text
from aks_audit.facts.platform import is_component, system_namespaces
from aks_audit.facts.workloads import Namespace, PodSpec, Workload, workloads
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import (
    aks_health_check,
    azure_policy,
    checkov,
    community_policy,
    kubebuddy,
    review_checklist,
    the_aks_checklist,
)
from aks_audit_rules.workload_verdicts import component, with_unread

_DEFAULT = "default"
_MOST = 5
"""How many workloads a verdict names and cites."""

_KEPT = ("kubernetes.azure.com/", "addonmanager.kubernetes.io/")
"""How the names of labels begin that AKS keeps for what it makes itself."""


@rule(
    "AKS-KR-12",
    title="Workloads are divided among namespaces",
    severity=Severity.MEDIUM,
    controls=(
        review_checklist("d4f3537c-1346-4dc5-9027-a71ffe1bd05d"),
        the_aks_checklist("0b56d03c-5fc8-42b1-943b-9e4b4d0f3de8"),
        the_aks_checklist("49be78dc-6ff0-4b2c-94ef-e74002e18866"),
        aks_health_check("DEV-9"),
        aks_health_check("CSP-1"),
    ),
)
def namespaces_divide(cluster: ManagedCluster) -> Verdict:
    """Roles, quotas, policies of the network and of admission all stop at the border of a namespace, and only there.

    Severity: where everything is in one namespace, every right and every policy is one of everything.
    Decided: people's workloads, which are those that are no components of AKS, are in two namespaces or more beside
    `default` and AKS's own, or all in one such namespace if they are fewer than two. Whether the borders are where the
    teams and applications have theirs is for people to say; the message has the numbers.
    Fix: az aks command invoke --resource-group {group} --name {name} --command 'kubectl create namespace <application>'
    Bicep: none; in the manifests: metadata.namespace
    Change: replaces workloads: they are made anew in their namespace, with what they need there
    References: https://learn.microsoft.com/azure/aks/operator-best-practices-cluster-isolation
    """
    found = workloads(cluster)
    theirs = [one for one in found.known if not is_component(one)]
    numbers = Counter(one.namespace for one in theirs)
    own = sorted(set(numbers) - system_namespaces() - {_DEFAULT})
    cited = [_placed(next(one for one in theirs if one.namespace == name)) for name in sorted(numbers)[:_MOST]]
    told = ", ".join(f"{count} in {name}" for name, count in sorted(numbers.items())[:_MOST])
    more = f" and {len(numbers) - _MOST} more namespaces" if len(numbers) > _MOST else ""
    if len(own) > 1:
        return passes(f"{cluster.name} has workloads: {told}{more}", *cited)
    if found.missing:
        raise NotCollected(*found.missing)
    if not theirs:
        return not_applicable(f"{cluster.name} has no workloads but AKS's own")
    if len(theirs) == 1 and own:
        return passes(f"{cluster.name} has one workload, in a namespace of its own", *cited)
    return fails(f"{cluster.name} has workloads: {told}", *cited)


@rule(
    "AKS-KR-13",
    title="The default namespace holds no workloads",
    severity=Severity.LOW,
    controls=(
        azure_policy("9f061a12-e40d-4183-a00e-171812443373"),
        the_aks_checklist("13bb9e32-6f48-4747-9531-0147f20f4b03"),
        kubebuddy("NS004"),
        community_policy("6480c6e8-f25e-44d2-bdad-ab4585cdd99e"),
        checkov("CKV_K8S_21"),
    ),
)
def default_namespace_empty(namespace: Namespace) -> Verdict:
    """Into the default namespace comes whatever names none, by mistake or in haste, and nobody answers for it.

    Severity: it undoes the order that namespaces give, and nothing more.
    Decided: no workload is in the namespace `default`. Other namespaces are not asked about.
    Fix: kubectl get deployments,statefulsets,daemonsets,jobs,cronjobs,pods --namespace default
    Bicep: none; in the manifests: metadata.namespace
    Change: replaces workloads: they are made anew in another namespace
    References: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
    """
    evidence = namespace.at(text("metadata.name"))
    if namespace.name != _DEFAULT:
        return not_applicable(f"{namespace.name} is not the default namespace", evidence)
    found = workloads(namespace.cluster)
    inside = [one for one in found.known if one.namespace == _DEFAULT]
    if inside:
        names = ", ".join(f"{one.kind} {one.name}" for one in inside[:_MOST])
        more = f" and {len(inside) - _MOST} more" if len(inside) > _MOST else ""
        return fails(f"In the default namespace: {names}{more}", *(_placed(one) for one in inside[:_MOST]))
    if found.missing:
        raise NotCollected(*found.missing)
    return passes("No workload is in the default namespace", evidence)


@rule(
    "AKS-KR-14",
    title="Workloads have no labels that AKS keeps for itself",
    severity=Severity.LOW,
    controls=(
        azure_policy("a22123bd-b9da-4c86-9424-24903e91fd55"),
        azure_policy("b81f454c-eebb-4e4f-9dfe-dca060e8a8fd"),
        azure_policy("e24df237-32cb-4a6c-a2f6-85b499cda9f2"),
    ),
)
def no_reserved_labels(workload: Workload) -> Verdict:
    """AKS's own controllers change and delete what bears AKS's labels, and its policies leave it out.

    Severity: the workload may vanish with an upgrade; and admission may take it for what it is not.
    Decided: neither the workload nor its pods have labels whose names begin with `kubernetes.azure.com/` or
    `addonmanager.kubernetes.io/`. Components of AKS are not asked about, nor is what has no labels. That people edit
    nodes is seen in who may (AKS-KR-06), and what policy restricts in the cluster's policies.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: metadata.labels, template.metadata.labels
    Change: in place for labels of the workload; those of its template replace its pods
    References: https://learn.microsoft.com/azure/aks/deployment-safeguards
    """
    if is_component(workload):
        return component(workload)
    own = _Labels(workload.object_labels or {}, workload.at(Workload.object_labels))
    labelled = [one for one in (own, *map(_labels, workload.specs)) if one.labels]
    kept = {name: one.evidence for one in labelled for name in one.labels if name.startswith(_KEPT)}
    if kept:
        message = f"{workload.kind} {workload.name} has labels of AKS's own: {', '.join(sorted(kept))}"
        return fails(message, *(kept[name] for name in sorted(kept)))
    none = not_applicable(f"{workload.kind} {workload.name} has no labels")
    good = passes(f"{workload.kind} {workload.name} has no labels of AKS's own", *(one.evidence for one in labelled))
    return with_unread(workload, good if labelled else none)


class _Labels(NamedTuple):
    labels: dict[str, str]
    evidence: Evidence


def _labels(spec: PodSpec) -> _Labels:
    """The labels of a pod, or of the template that pods are made from."""
    way = f"{spec.pointer.rpartition('/')[0]}/metadata/labels".strip("/").replace("/", ".")
    whole = View(spec.estate, spec.document)
    field = named_texts(way)
    return _Labels(field.__get__(whole, View) or {}, whole.at(field))


def _placed(workload: Workload) -> Evidence:
    """The evidence for the namespace that a workload is in."""
    return workload.at(text("metadata.namespace"))


RULES = (namespaces_divide, default_namespace_empty, no_reserved_labels)
