"""How many pods of a workload may be taken away at once, when nodes are upgraded, repaired or removed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from aks_audit.facts import Estate, Evidence, Unread
from aks_audit.facts.platform import is_component
from aks_audit.facts.scaling import PodDisruptionBudget
from aks_audit.facts.workloads import Workload
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import (
    aks_health_check,
    aprl,
    azure_policy,
    kubebuddy,
    review_checklist,
    the_aks_checklist,
)
from aks_audit_rules.replica_counts import Least, least, replicated, uncounted
from aks_audit_rules.workload_verdicts import component, with_unread

_SEVERAL = 2


@rule(
    "AKS-KW-06",
    title="Disruption budgets keep some pods of a workload, and let some go",
    severity=Severity.MEDIUM,
    controls=(
        review_checklist("c1288b3c-6a57-4cfc-9444-51e1a3d3453a"),
        the_aks_checklist("3c763963-7a55-42d5-a15e-401955387e5c"),
        aprl("a08a06a0-e41a-4b99-83bb-69ce8bca54cb"),
        azure_policy("d9e8f2c1-4c5a-4f5c-8b5a-2abf1e9f7b4d"),
        azure_policy("d77f191e-2338-45d0-b6d4-4ee1c586a192"),
        azure_policy("5c58d54b-87f0-4dcd-83ea-e855fc988997"),
        kubebuddy("WRK006"),
        kubebuddy("WRK012"),
        kubebuddy("WRK023"),
        kubebuddy("WRK024"),
        kubebuddy("WRK029"),
        aks_health_check("DEV-12"),
    ),
)
def budget(workload: Workload) -> Verdict:
    """A budget that lets no pod go stops the upgrade of its nodes: security fixes wait, until somebody deletes it.

    Without one, all pods of a workload may be drained at once, as many replicas as it has.

    Severity: upgrades of nodes fail after the time to drain, half done. Low where no budget keeps any pod: only draining
    several nodes at once takes more than one.
    Decided: of the PodDisruptionBudgets of its namespace just one selects the pods of a Deployment, ReplicaSet or StatefulSet
    (an empty selector selects all, without one it is unknown); of two, the API refuses to evict at all. At the least number of
    replicas, by which autoscalers may leave it, the budget lets one go or more, and not all of several: maxUnavailable is not
    0, minAvailable below the number. Shares are rounded up, as Kubernetes does. With one replica no budget is asked for.
    DaemonSets, Jobs and single pods are not asked about. What the budget allows just now is not: a pod that is ill counts.
    Fix: kubectl get poddisruptionbudgets --namespace {namespace} --output yaml # set maxUnavailable of the one that selects the pods to 1, or take away minAvailable; make one only where none does, since of two none can be evicted
    Bicep: none; in the manifest of the PodDisruptionBudget: spec.maxUnavailable, spec.selector
    Change: in place; no pod is restarted
    References: https://kubernetes.io/docs/tasks/run-application/configure-pdb/
        https://learn.microsoft.com/azure/aks/best-practices-app-cluster-reliability
        https://learn.microsoft.com/troubleshoot/azure/azure-kubernetes/create-upgrade-delete/error-code-poddrainfailure
    Disagreement: KubeBuddy calls maxUnavailable 1 weak; it is what Kubernetes suggests for most.
    Follows: AKS-KW-05
    """
    if is_component(workload):
        return component(workload)
    if not replicated(workload):
        return uncounted(workload)
    return with_unread(workload, _budgeted(workload))


def _budgeted(workload: Workload) -> Verdict:
    labels = workload.pod_labels
    known, where = workload.estate.indexed(_budgets), (workload.cluster_id.lower(), workload.namespace)
    found = [one for label in (None, *labels.items()) for one in known.get((*where, label), ()) if one.selects(labels)]
    cited = tuple(evidence for one in found for evidence in _cited(one))
    if len(found) >= _SEVERAL:
        names = " and ".join(one.name for one in found)
        return fails(f"More than one budget selects pods of {workload.name}: {names}; none can be evicted", *cited)
    number = least(workload)
    if number.pods == 0:
        return not_applicable(f"{workload.name} is scaled to none, or may be", number.evidence)
    if found and found[0].allowed(number.pods) <= 0:
        told = f"{workload.name} has {_replicas(number)}, of which budget {found[0].name} lets none go"
        return fails(told, *cited, number.evidence)
    workload.estate.within(PodDisruptionBudget, workload.cluster_id).whole()
    return _kept(workload, found, number)


def _kept(workload: Workload, found: Sequence[PodDisruptionBudget], number: Least) -> Verdict:
    """The verdict about a workload of which the budgets let a pod go."""
    if number.pods < _SEVERAL:
        return not_applicable(f"{workload.name} has one replica, which no budget can keep and let go", number.evidence)
    if not found:
        told = f"{workload.name} has {_replicas(number)}, and no budget that selects its pods"
        return fails(told, number.evidence, severity=Severity.LOW)
    cited = (*_cited(found[0]), number.evidence)
    allowed = found[0].allowed(number.pods)
    if allowed >= number.pods:
        told = f"{workload.name} has {_replicas(number)}, of which budget {found[0].name} lets all go at once"
        return fails(told, *cited, severity=Severity.LOW)
    return passes(f"Budget {found[0].name} lets {allowed} of {number.pods} pods of {workload.name} go at once", *cited)


def _replicas(number: Least) -> str:
    return "one replica" if number.pods == 1 else f"{number.pods} replicas at the least"


def _cited(one: PodDisruptionBudget) -> tuple[Evidence, ...]:
    """What a budget says, in either way to say it."""
    return one.at(PodDisruptionBudget.max_unavailable), one.at(PodDisruptionBudget.min_available)


_Label: TypeAlias = tuple[str, str] | None


def _budgets(estate: Estate) -> Mapping[tuple[str, str, _Label], Sequence[PodDisruptionBudget]]:
    """The budgets by the id of their cluster, their namespace, and a label that they demand, if they do."""
    found: dict[tuple[str, str, _Label], list[PodDisruptionBudget]] = defaultdict(list)
    for one in estate.every(PodDisruptionBudget):
        found[one.cluster_id.lower(), one.namespace, _demanded(one)].append(one)
    return found


def _demanded(one: PodDisruptionBudget) -> _Label:
    """A label that a budget demands; None where it demands none, or that cannot be read."""
    with suppress(Unread):
        if one.selector is not None:
            return next(iter((one.selector.match_labels or {}).items()), None)
    return None


RULES = (budget,)
