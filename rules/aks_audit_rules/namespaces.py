"""What is set for whole namespaces: what admission enforces in them."""

from collections import defaultdict
from collections.abc import Iterable

from aks_audit.facts import ManagedCluster, Unread
from aks_audit.facts.platform import is_component, marked, system_namespaces
from aks_audit.facts.workloads import Namespace, Workload, workloads
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import kubebuddy
from aks_audit_rules.pod_security_standards import Level, broken

_ENFORCE = "pod-security.kubernetes.io/enforce"


@rule(
    "AKS-KS-16",
    title="Namespaces enforce a Pod Security Standard",
    severity=Severity.MEDIUM,
    controls=(kubebuddy("SEC007"), kubebuddy("AKSSEC008")),
)
def pod_security_enforced(namespace: Namespace) -> Verdict:
    """Whoever may create pods in a namespace may make them privileged, unless admission holds them to a standard.

    Kubernetes' own admission does so for a label on the namespace, and needs nothing installed.

    Severity: without it the right to deploy in one namespace is in effect root on a node; a policy engine may do the same.
    Decided: the label `pod-security.kubernetes.io/enforce` is baseline or restricted. Absent or privileged fails, of
    less weight where no workload is in the namespace. `audit` and `warn` refuse nothing. The message says which standard
    the workloads that are there would keep to today. Namespaces of AKS's own are not asked about. That Gatekeeper or
    another webhook enforces as much cannot be seen in the namespace: accept the finding as an exception.
    Fix: kubectl label namespace {name} pod-security.kubernetes.io/enforce=baseline
    Bicep: none; in the manifest of the namespace: metadata.labels
    Change: in place; running pods stay, new ones that break the standard are refused
    References: https://kubernetes.io/docs/concepts/security/pod-security-admission/
    """
    evidence = namespace.at(Namespace.object_labels)
    if namespace.name in system_namespaces() or marked(namespace):
        return not_applicable(f"{namespace.name} is a namespace of AKS's own", evidence)
    level = (namespace.object_labels or {}).get(_ENFORCE, "privileged")
    if level in set(Level):
        return passes(f"{namespace.name} enforces the {level} standard", evidence)
    if level != "privileged":
        return undecided(f"{namespace.name} is to enforce {level!r}, which is no standard that is known", evidence)
    told = (
        "enforces the privileged standard, which forbids nothing"
        if _ENFORCE in (namespace.object_labels or {})
        else ("enforces no standard")
    )
    inside = _theirs(namespace)
    severity = None if inside else Severity.LOW
    return fails(f"{namespace.name} {told}; {_could(inside)}", evidence, severity=severity)


def _theirs(namespace: Namespace) -> tuple[Workload, ...]:
    """The workloads of a namespace that people made."""
    found = namespace.estate.once(_by_namespace, namespace.cluster)
    return found.get(namespace.name, ())


def _by_namespace(cluster: ManagedCluster) -> dict[str, tuple[Workload, ...]]:
    found: dict[str, list[Workload]] = defaultdict(list)
    for workload in workloads(cluster).known:
        found[workload.namespace].append(workload)
    return {name: tuple(one for one in held if not is_component(one)) for name, held in found.items()}


def _could(inside: Iterable[Workload]) -> str:
    """Which standard the workloads keep to today, in words."""
    held = list(inside)
    if not held:
        return "no workload is in it"
    refused = {level: [one.name for one in held if _breaks(one, level)] for level in Level}
    if not refused[Level.RESTRICTED]:
        return "its workloads keep to restricted already"
    if not refused[Level.BASELINE]:
        return "its workloads keep to baseline already"
    return f"baseline would refuse {', '.join(sorted(refused[Level.BASELINE]))}"


def _breaks(workload: Workload, level: Level) -> bool:
    """Whether a standard refuses a workload; what cannot be read is taken for refused."""
    try:
        return any(broken(spec, level) for spec in workload.specs)
    except Unread:
        return True


RULES = (pod_security_enforced,)
