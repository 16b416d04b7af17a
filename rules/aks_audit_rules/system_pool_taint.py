"""What the taint of system pools keeps apart: AKS's own pods and everybody else's."""

from typing import assert_never

from aks_audit.facts import AgentPool, AgentPoolMode, Evidence, ManagedCluster
from aks_audit.facts.platform import is_component
from aks_audit.facts.workloads import PodSpec, Toleration, Workload, workloads
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import azure_policy
from aks_audit_rules.troubles import brief

_RESERVED = "CriticalAddonsOnly"
_POOL_LABELS = ("agentpool", "kubernetes.azure.com/agentpool")
_MODE_LABEL = "kubernetes.azure.com/mode"
_EVERYWHERE = "DaemonSet"


@rule(
    "AKS-KW-18",
    title="The taint of system pools is AKS's own",
    severity=Severity.LOW,
    controls=(
        azure_policy("48940d92-ff05-449e-9111-e742d9280451"),
        azure_policy("e16d171b-bfe5-4d79-a525-19736b396e92"),
    ),
)
def reserved_taint(pool: AgentPool) -> Verdict:
    """A workload that tolerates CriticalAddonsOnly runs where the cluster's DNS and metrics do, and starves them if it grows.

    The taint on a pool for applications does the reverse: AKS's own pods go there, and the applications cannot.

    Severity: it undoes a separation, and nothing more.
    Decided: of a pool of mode System that has the taint CriticalAddonsOnly with NoSchedule or NoExecute, no workload of
    people's tolerates it, by the key or, with the operator Exists and no key, as every taint; value and effect are
    compared as Kubernetes does. Every template and live pod that differs counts. DaemonSets are left out, which are
    meant for every node, and components of AKS; so are pods whose node selector names another pool, or the mode user. Without the taint it is
    not applicable, since AKS-ND-03 asks for it. A pool of another mode fails that has the taint with whatever effect; without
    any taints it is not applicable.
    Fix: az aks nodepool update --resource-group {group} --cluster-name {cluster} --name {pool} --node-taints OTHER_TAINTS # never of a system pool
        kubectl edit deployment <name> --namespace <namespace> # a workload on a system pool: template.spec.tolerations
    Bicep: properties.agentPoolProfiles[].nodeTaints; in the manifest of a workload: spec.tolerations
    Change: in place for the pool: give again the other taints that it has; replaces pods of the workload
    References: https://learn.microsoft.com/azure/aks/use-system-pools
        https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
    """
    mode = pool.mode
    match mode:
        case AgentPoolMode.SYSTEM:
            return _system(pool)
        case AgentPoolMode.USER | AgentPoolMode.GATEWAY | AgentPoolMode.MACHINES:
            return _other(pool)
        case AgentPoolMode.MANAGED_SYSTEM:
            return not_applicable("Microsoft runs this pool", pool.at(AgentPool.mode))
        case None:
            return undecided("The body does not say whether this is a system pool", pool.at(AgentPool.mode))
        case _:
            assert_never(mode)


def _other(pool: AgentPool) -> Verdict:
    evidence = pool.at(AgentPool.node_taints)
    if not pool.node_taints:
        return not_applicable("The pool has no taints", evidence)
    reserved = [taint for taint in pool.node_taints if _parts(taint)[0] == _RESERVED]
    if reserved:
        return fails(f"Pool {pool.name} is no system pool, and has the taint {reserved[0]}", evidence)
    return passes(f"Pool {pool.name} has other taints than {_RESERVED}", evidence)


def _system(pool: AgentPool) -> Verdict:
    evidence = pool.at(AgentPool.node_taints)
    taints = [(value, effect) for key, value, effect in map(_parts, pool.node_taints or ()) if key == _RESERVED]
    keeping = [taint for taint in taints if taint[1] in {"NoExecute", "NoSchedule"}]
    if not keeping:
        return not_applicable("The pool keeps no pods away", evidence)
    return _tolerated(pool, pool.cluster.read(), keeping, evidence)


def _tolerated(pool: AgentPool, cluster: ManagedCluster, taints: list[tuple[str, str]], evidence: Evidence) -> Verdict:
    """Whether workloads of people's tolerate all of these taints, by value and effect."""

    def judge(workload: Workload) -> Verdict:
        if workload.kind == _EVERYWHERE or is_component(workload):
            return passes(good)
        return each(workload.specs, lambda spec: judge_spec(workload, spec))

    def judge_spec(workload: Workload, spec: PodSpec) -> Verdict:
        given = spec.tolerations or ()
        if all(any(_tolerates(one, *taint) for one in given) for taint in taints) and _may_go(spec, pool):
            named = f"{workload.kind} {workload.namespace}/{workload.name}"
            return fails(f"{named} tolerates the taint of pool {pool.name}", spec.at(PodSpec.tolerations))
        return passes(good)

    good = f"No workload of people's tolerates the taint of pool {pool.name}"
    found = workloads(cluster)
    verdicts = [passes(good, evidence), *(each((one,), judge) for one in found.known)]
    if found.missing:
        verdicts.append(undecided(found.missing[0].reason, missing=found.missing))
    return brief(verdicts)


def _parts(taint: str) -> tuple[str, str, str]:
    """Key, value and effect of a taint, as AKS writes it: `key=value:effect`."""
    pair, _, effect = taint.rpartition(":")
    key, _, value = pair.partition("=")
    return key, value, effect


def _tolerates(one: Toleration, value: str, effect: str) -> bool:
    """Whether a toleration matches the reserved taint with this value and effect, as Kubernetes compares them."""
    if one.effect and one.effect != effect:
        return False
    if one.operator == "Exists":
        return one.key in {None, _RESERVED}
    return one.key == _RESERVED and one.operator in {None, "Equal"} and (one.value or "") == value


def _may_go(spec: PodSpec, pool: AgentPool) -> bool:
    """Whether the node selector leaves room for this pool."""
    wanted = spec.node_selector or {}
    return wanted.get(_MODE_LABEL, "system") == "system" and all(
        wanted.get(label, pool.name) == pool.name for label in _POOL_LABELS
    )


RULES = (reserved_taint,)
