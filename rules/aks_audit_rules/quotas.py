"""How much the pods of a namespace may take together, and what containers get that ask for nothing."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress

from aks_audit.facts import ManagedCluster, NotCollected, Unread
from aks_audit.facts.platform import is_component, marked, system_namespaces
from aks_audit.facts.quotas import LimitRange, ResourceQuota
from aks_audit.facts.workloads import Namespace, workloads
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import aprl, kubebuddy, review_checklist, the_aks_checklist

_HALVES = ("Terminating", "NotTerminating")
"""Two scopes that every pod is in one of."""

_BOUNDS = {
    "CPU": frozenset({"cpu", "requests.cpu", "limits.cpu"}),
    "memory": frozenset({"memory", "requests.memory", "limits.memory"}),
}
"""What a quota bounds how much of; the first two names of each mean the same."""

_SAID = {
    "request of CPU": frozenset({"cpu", "requests.cpu"}),
    "request of memory": frozenset({"memory", "requests.memory"}),
    "limit of memory": frozenset({"limits.memory"}),
}
"""What each container has to say for itself where a quota bounds it."""

_CONTAINER = "Container"


@rule(
    "AKS-KW-02",
    title="Namespaces have a quota of CPU and memory, and defaults for their containers",
    severity=Severity.MEDIUM,
    controls=(
        review_checklist("769ef669-1a48-435a-a942-223ece80b123"),
        the_aks_checklist("769ef669-1a48-435a-a942-223ece80b123"),
        the_aks_checklist("b74ea93b-598d-48e0-bb26-762b015602e1"),
        aprl("9a1c17e5-c9a0-43db-b920-adaf54d1bcb7"),
        kubebuddy("NS002"),
        kubebuddy("NS003"),
    ),
)
def quotas(namespace: Namespace) -> Verdict:
    """Without a quota one namespace takes the room of all others, by mistake, under load, or in an intruder's hands.

    Whoever may create pods in it may fill every node, and have the autoscaler order more.

    Severity: the other namespaces get no new pods until somebody ends it; what runs already keeps what it asked for. Where
    a quota bounds the whole, and single containers alone are without limits, it is low.
    Decided: the `hard` of the namespace's ResourceQuotas bounds CPU and memory, by requests or limits. One with scopes counts
    only beside another of the same names, if they are for pods that end and for pods that do not. Then each container must
    have a request of CPU and a request and a limit of memory: a quota of these has admission refuse pods that say nothing,
    and a LimitRange of type Container (`defaultRequest`, or else `default`) gives them. Namespaces of AKS's own, and those
    without workloads of people's, are not asked about.
    Fix: kubectl create quota compute --namespace {name} --hard=requests.cpu=8,requests.memory=16Gi,limits.memory=32Gi # only with a LimitRange, and more than runs now
    Bicep: none; in the manifests of the namespace: ResourceQuota spec.hard, LimitRange spec.limits
    Change: in place; running pods stay, new ones above the quota are refused, so that its values need room for updates; so
        are those that do not say what it bounds, until a LimitRange says it for them: make that first
    References: https://kubernetes.io/docs/concepts/policy/resource-quotas/
        https://kubernetes.io/docs/concepts/policy/limit-range/
        https://learn.microsoft.com/azure/aks/operator-best-practices-scheduler
    """
    if namespace.name in system_namespaces() or marked(namespace):
        return not_applicable(f"{namespace.name} is a namespace of AKS's own", namespace.at(Namespace.object_labels))
    if not _in_use(namespace):
        return not_applicable(f"{namespace.name} has no workload of people's", namespace.at(Namespace.object_labels))
    bounding = namespace.estate.within(ResourceQuota, namespace.id)
    evidence = tuple(one.at(ResourceQuota.hard) for one in bounding)
    bound = _bound(bounding)
    loose = [what for what, names in _BOUNDS.items() if not names & bound]
    if loose:
        bounding.whole()
        if bounding.known and not bound:
            return fails(f"The quotas of {namespace.name} bound CPU and memory of some pods at most", *evidence)
        return fails(f"No quota bounds {' and '.join(loose)} in {namespace.name}", *evidence)
    ranges = namespace.estate.within(LimitRange, namespace.id)
    evidence = (*evidence, *(one.at(LimitRange.limits) for one in ranges))
    given = _given(ranges)
    lacking = [what for what, names in _SAID.items() if not names & bound and what not in given]
    if lacking:
        bounding.whole()
        ranges.whole()
        told = f"A container in {namespace.name} that says nothing has no {', no '.join(lacking)}"
        return fails(told, *evidence, severity=Severity.LOW)
    return passes(f"{namespace.name} has a quota of CPU and memory, and no container is without", *evidence)


def _bound(quotas: Iterable[ResourceQuota]) -> frozenset[str]:
    """The names of what quotas bound for every pod."""
    by_scopes: dict[frozenset[str], set[str]] = defaultdict(set)
    for one in quotas:
        by_scopes[one.scopes].update(one.hard or ())
    either, other = (by_scopes[frozenset({half})] for half in _HALVES)
    return frozenset(by_scopes[frozenset()] | (either & other))


def _given(ranges: Iterable[LimitRange]) -> frozenset[str]:
    """What containers get that do not say it themselves; a request that has no default is the default limit."""
    given: set[str] = set()
    for limits in (limits for one in ranges for limits in one.limits or ()):
        if limits.type == _CONTAINER:
            default = limits.default or {}
            requests = {**default, **(limits.default_request or {})}
            given |= {"request of CPU"} if requests.get("cpu") else set()
            given |= {"request of memory"} if requests.get("memory") else set()
            given |= {"limit of memory"} if default.get("memory") else set()
    return frozenset(given)


def _in_use(namespace: Namespace) -> bool:
    """Whether people run something in a namespace.

    Raises:
        NotCollected: nothing that was read is in it, and not all was.
    """
    used = namespace.estate.once(_used, namespace.cluster)
    missing = workloads(namespace.cluster).missing
    if namespace.name not in used and missing:
        raise NotCollected(*missing)
    return namespace.name in used


def _used(cluster: ManagedCluster) -> frozenset[str]:
    names: set[str] = set()
    for one in workloads(cluster).known:
        with suppress(Unread):
            if is_component(one):
                continue
        names.add(one.namespace)
    return frozenset(names)


RULES = (quotas,)
