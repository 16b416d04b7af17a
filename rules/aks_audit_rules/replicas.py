"""Whether a workload outlives the loss of one pod."""

from collections.abc import Iterator, Mapping

from aks_audit.facts import ManagedCluster
from aks_audit.facts.platform import is_component
from aks_audit.facts.volumes import PersistentVolumeClaim
from aks_audit.facts.workloads import Deployment, StatefulSet, Volume, Workload
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import aks_health_check, aprl, kubebuddy, the_aks_checklist
from aks_audit_rules.replica_counts import Least, front, least, replicated, uncounted
from aks_audit_rules.workload_verdicts import component, with_unread

_ENOUGH = 2
_ONE_NODE = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})


@rule(
    "AKS-KW-05",
    title="Workloads that serve run two or more replicas",
    severity=Severity.MEDIUM,
    controls=(
        the_aks_checklist("4f1f88f9-98a3-48f5-a37f-4d9c9aecbb11"),
        aprl("bcfe71f1-ebed-49e5-a84a-193b81ad5d27"),
        aprl("9200aca6-0e83-4749-a5eb-e3939367bdc2"),
        kubebuddy("WRK017"),
        aks_health_check("DEV-4"),
    ),
)
def two_replicas(workload: Workload) -> Verdict:
    """A single pod is gone with its node, and with every upgrade of it: nobody is served until another has started.

    Severity: each weekly node image and each failing node is an outage of some seconds or minutes. Low where no Service
    leads to the pods, as with controllers that elect a leader: their work waits, and nobody is refused. Low for a
    StatefulSet, too, whose application has to share its state among replicas first.
    Decided: a Deployment, ReplicaSet or StatefulSet has two replicas or more; where an autoscaler scales it, the least that it
    goes down to (`minReplicas`, absent 1; KEDA's `minReplicaCount`, absent 0, and its `idleReplicaCount`). Not applicable where it is scaled to none, or
    KEDA may take it to none; where there must never be two: a Deployment whose strategy is Recreate, or that mounts a claim
    with the access mode ReadWriteOnce or ReadWriteOncePod; and for DaemonSets, Jobs and single pods.
    Fix: kubectl scale --namespace {namespace} {kind}/{name} --replicas=2 # where an autoscaler scales it, minReplicas of that instead
    Bicep: none; in the manifest: spec.replicas, or minReplicas of the HorizontalPodAutoscaler
    Change: in place; another pod is started
    References: https://learn.microsoft.com/azure/aks/best-practices-app-cluster-reliability
        https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
    Disagreement: other scanners ask every workload for two replicas, those that must never run twice included.
    """
    if is_component(workload):
        return component(workload)
    if not replicated(workload):
        return uncounted(workload)
    return with_unread(workload, _replicas(workload))


def _replicas(workload: Workload) -> Verdict:
    found = least(workload)
    if found.pods >= _ENOUGH:
        return passes(f"{workload.name} has {found.pods} replicas at the least", found.evidence)
    if found.pods == 0:
        return not_applicable(f"{workload.name} is scaled to none, or may be", found.evidence)
    return _single(workload, found)


def _single(workload: Workload, found: Least) -> Verdict:
    """The verdict about a workload with one replica."""
    if workload.document.type == Deployment.TYPE:
        if workload.strategy == "Recreate":
            told = f"{workload.name} must never run twice: its strategy is Recreate"
            return not_applicable(told, workload.at(Workload.strategy))
        for volume, claim in _claims(workload):
            if _ONE_NODE & set(claim.access_modes or ()):
                told = f"{workload.name} has a volume that one node alone can have, by claim {claim.name}"
                return not_applicable(told, volume.at(Volume.claim_name), claim.at(PersistentVolumeClaim.access_modes))
    told = f"{workload.name} has one replica"
    if found.scaler is not None:
        told = f"{workload.name} goes down to one replica by {found.scaler.name}"
    if workload.document.type == StatefulSet.TYPE:
        return fails(
            f"{told}, and its application would have to share its state", found.evidence, severity=Severity.LOW
        )
    service = front(workload)
    if service is None:
        return fails(f"{told}; no Service leads to it", found.evidence, severity=Severity.LOW)
    return fails(f"{told}, and Service {service.name} leads to it alone", found.evidence)


def _claims(workload: Workload) -> Iterator[tuple[Volume, PersistentVolumeClaim]]:
    """The claims that a workload's pods mount, with the volumes that name them.

    Raises:
        NotCollected: they name some, and not all could be read.
    """
    named = [(volume, volume.claim_name) for volume in workload.specs[0].volumes or () if volume.claim_name]
    known = workload.estate.once(_by_name, workload.cluster) if named else {}
    for volume, name in named:
        if claim := known.get((workload.namespace, name)):
            yield volume, claim


def _by_name(cluster: ManagedCluster) -> Mapping[tuple[str, str], PersistentVolumeClaim]:
    held = cluster.estate.within(PersistentVolumeClaim, cluster.id)
    return {(one.namespace, one.name): one for one in held.whole()}


RULES = (two_replicas,)
