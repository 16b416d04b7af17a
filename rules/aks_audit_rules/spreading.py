"""Whether one node, or one zone, takes all pods of a workload away."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

from aks_audit.facts import Malformed, ManagedCluster, Unread
from aks_audit.facts.platform import is_component
from aks_audit.facts.workloads import Node, Pod, PodSpec, TopologySpreadConstraint, Workload
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import aprl, azure_policy, kubebuddy, the_aks_checklist
from aks_audit_rules.replica_counts import replicated, uncounted
from aks_audit_rules.workload_verdicts import component, with_unread

_SEVERAL = 2
_ZONE = "topology.kubernetes.io/zone"
_KEYS = frozenset({_ZONE, "kubernetes.io/hostname"})
_ZONAL = re.compile(r"[a-z0-9]+-[0-9]+")
"""How AKS calls zones, as westeurope-1; a number alone is a fault domain of nodes that are in no zone."""

_VIRTUAL = "virtual-kubelet"
"""The type of virtual nodes, which AKS gives no zone."""


@rule(
    "AKS-KW-07",
    title="Replicas run on several nodes and in several zones",
    severity=Severity.MEDIUM,
    controls=(
        the_aks_checklist("1eea4888-8c2a-40b2-a40b-cacdc5f55497"),
        aprl("928fcc6f-5e9a-42d9-9bd4-260af42de2e5"),
        azure_policy("34c88cd4-5d72-4dbb-bf77-12c3cafe8791"),
        kubebuddy("WRK015"),
    ),
)
def spread(workload: Workload) -> Verdict:
    """Replicas that stand together fall together: with their node, or with their zone.

    Severity: the failure or upgrade of one node is an outage, as if there were one replica. Low where only a zone is shared,
    and where the pool has no other node: then the pool is what has to grow.
    Decided: the live pods of a Deployment, ReplicaSet or StatefulSet are on two nodes or more, and in two zones or more where
    the nodes of the pools that they are on are (the label `topology.kubernetes.io/zone`, whose value is a region and a
    number; a number alone is no zone). A workload that its nodeSelector keeps in one zone is not asked about zones. Where
    fewer than two pods have a node, the template decides: a topologySpreadConstraint or podAntiAffinity that selects the
    workload's own pods, over zones or nodes, passes, and without one it is unknown. Pods that ask for nothing are still spread
    by the scheduler's defaults, as well as there is room; so what is asked for does not decide, where the pods are does.
    Fix: kubectl rollout restart --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: topologySpreadConstraints over topology.kubernetes.io/zone and kubernetes.io/hostname
    Change: replaces the workload's pods, by its own update strategy; a constraint in the manifest keeps them apart
    References: https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
        https://learn.microsoft.com/azure/aks/best-practices-app-cluster-reliability
        https://learn.microsoft.com/azure/aks/availability-zones
    Disagreement: KubeBuddy and Azure Policy ask for a rule in the template, wherever the pods are.
    """
    if is_component(workload):
        return component(workload)
    if not replicated(workload):
        return uncounted(workload)
    return with_unread(workload, _spread(workload))


def _spread(workload: Workload) -> Verdict:
    placed = [(pod, pod.node_name) for pod in workload.pods if _placed(pod)]
    cited = tuple(pod.at(Pod.node_name) for pod, _ in placed[:_SEVERAL])
    if len(placed) < _SEVERAL:
        return _asked(workload)
    nodes = {name for _, name in placed if name}
    if len(nodes) == 1:
        told = f"The {len(placed)} pods of {workload.name} are all on node {min(nodes)}"
        if _alone(workload.cluster, min(nodes)):
            return fails(f"{told}, the only one of its pool", *cited, severity=Severity.LOW)
        return fails(told, *cited)
    spec = workload.specs[0]
    zones, pools = _zones(workload.cluster, nodes)
    if len(zones) == 1 and len(pools) > 1 and _ZONE not in (spec.node_selector or {}):
        told = f"The {len(placed)} pods of {workload.name} are all in zone {min(zones)}; their pools are in {', '.join(pools)}"
        return fails(told, *cited, severity=Severity.LOW)
    if zones:
        return passes(f"The pods of {workload.name} are on {len(nodes)} nodes in {', '.join(sorted(zones))}", *cited)
    return passes(f"The pods of {workload.name} are on {len(nodes)} nodes, of which no zones are known", *cited)


def _alone(cluster: ManagedCluster, name: str) -> bool:
    """Whether a node is known to be the only one of its pool."""
    with suppress(Unread):
        nodes = cluster.estate.once(_nodes, cluster)
        pools = [pool for pool, _ in nodes.values()]
        return name in nodes and nodes[name][0] is not None and pools.count(nodes[name][0]) == 1
    return False


def _placed(pod: Pod) -> bool:
    """Whether a pod has a node.

    Raises:
        Malformed: it runs, and the body does not tell where.
    """
    if pod.node_name is None and pod.phase == "Running":
        raise Malformed(pod.document.id, pod.at(Pod.node_name).pointer, "a pod that runs without its node")
    return pod.node_name is not None


def _asked(workload: Workload) -> Verdict:
    """The verdict about a workload of which fewer than two pods have a node, by its template."""
    if workload.replicas is None or workload.replicas < _SEVERAL:
        return not_applicable(f"{workload.name} has no two replicas", workload.at(Workload.replicas))
    spec = workload.specs[0]
    cited = (spec.at(PodSpec.topology_spread_constraints), spec.at(PodSpec.anti_affinity_required))
    if _apart(spec, workload.pod_labels):
        return passes(f"{workload.name} asks for its pods to be spread", *cited)
    return undecided(f"No two pods of {workload.name} have a node yet, and nothing asks for them to be spread", *cited)


def _apart(spec: PodSpec, labels: Mapping[str, str]) -> bool:
    """Whether a template asks for its own pods to be apart, by nodes or zones."""
    preferred = [one.term for one in spec.anti_affinity_preferred or () if one.term]
    terms: Iterable[TopologySpreadConstraint] = (
        *(spec.topology_spread_constraints or ()),
        *(spec.anti_affinity_required or ()),
        *preferred,
    )
    about = [one for one in terms if one.topology_key in _KEYS]
    return any(one.label_selector is not None and one.label_selector.selects(labels) for one in about)


def _zones(cluster: ManagedCluster, names: Iterable[str]) -> tuple[frozenset[str], list[str]]:
    """The zones of nodes, and those of all nodes of the same pools, sorted; none where a node is there no more.

    A node that tells of no pool counts to every one.

    Raises:
        NotCollected: the nodes were not read whole.
        Malformed: the labels of a node cannot be read.
    """
    nodes = cluster.estate.once(_nodes, cluster)
    if not nodes.keys() >= set(names):
        return frozenset(), []
    known = [nodes[name] for name in names]
    pools = {pool for pool, _ in known}
    around = {zone for pool, zone in nodes.values() if zone and (None in pools or pool in {None, *pools})}
    return frozenset(zone for _, zone in known if zone), sorted(around)


def _nodes(cluster: ManagedCluster) -> Mapping[str, tuple[str | None, str]]:
    """The pool and the zone of each node by its name; empty where it is in none."""
    found: dict[str, tuple[str | None, str]] = {}
    for node in cluster.estate.within(Node, cluster.id).whole():
        labels = node.object_labels or {}
        zone = labels.get(_ZONE)
        if zone is None and labels.get("type") != _VIRTUAL:
            raise Malformed(
                node.document.id, node.at(Node.object_labels).pointer, "a node without the label of its zone"
            )
        found[node.name] = (node.agent_pool, zone if zone and _ZONAL.fullmatch(zone) else "")
    return found


RULES = (spread,)
