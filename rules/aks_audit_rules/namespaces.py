"""What is set for whole namespaces: what admission enforces in them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from aks_audit.facts import Malformed, ManagedCluster, Unread
from aks_audit.facts.platform import is_component, marked, system_namespaces
from aks_audit.facts.workloads import Namespace, Workload, workloads
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import kubebuddy
from aks_audit_rules.pod_security_standards import Level, broken

_LABEL = "pod-security.kubernetes.io/"
_ENFORCE = f"{_LABEL}enforce"
_ENFORCE_VERSION = f"{_LABEL}enforce-version"
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,3})")

_ADDED = (
    (8, Level.RESTRICTED, "privilege escalation"),
    (19, Level.BASELINE, "seccomp profiles"),
    (22, Level.RESTRICTED, "capabilities"),
    (23, Level.RESTRICTED, "user 0"),
    (34, Level.BASELINE, "hosts of probes and hooks"),
)
"""What standards came to forbid, and with which minor version; admission holds a namespace to that of its label.

Source: the least versions of the checks in `k8s.io/pod-security-admission/policy` of Kubernetes 1.35. Before 1.19 the
profiles of seccomp stood in annotations, which nodes have not heeded since 1.27.
"""


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
    less weight where no workload is in the namespace; so do `audit` and `warn` alone, which refuse nothing, and are told.
    The label `enforce-version` may pin the standard to that of an older Kubernetes: a low failure where it lacks what the
    cluster's own version has come to forbid (seccomp profiles with 1.19, capabilities with 1.22, user 0 with 1.23, hosts of
    probes with 1.34). Absent means latest, the documented default, as does a version that the cluster does not have yet. A
    level or version that is none is unknown: Kubernetes takes such labels from nobody. The message says which standard
    the workloads that are there would keep to today. Namespaces of AKS's own are not asked about. That Gatekeeper or
    another webhook enforces as much cannot be seen in the namespace: accept the finding as an exception.
    Fix: kubectl label namespace {name} pod-security.kubernetes.io/enforce=baseline
    Bicep: none; in the manifest of the namespace: metadata.labels
    Change: in place; running pods stay, new ones that break the standard are refused
    References: https://kubernetes.io/docs/concepts/security/pod-security-admission/
        https://kubernetes.io/docs/concepts/security/pod-security-standards/
        https://kubernetes.io/docs/tasks/configure-pod-container/enforce-standards-namespace-labels/
    """
    evidence = namespace.at(Namespace.object_labels)
    if namespace.name in system_namespaces() or marked(namespace):
        return not_applicable(f"{namespace.name} is a namespace of AKS's own", evidence)
    labels = namespace.object_labels or {}
    level = labels.get(_ENFORCE, "privileged")
    if level in set(Level):
        return _as_of(namespace, Level(level), labels.get(_ENFORCE_VERSION, "latest"))
    if level != "privileged":
        return undecided(f"{namespace.name} is to enforce {level!r}, which is no standard that is known", evidence)
    told = "enforces the privileged standard, which forbids nothing" if _ENFORCE in labels else "enforces no standard"
    inside = _theirs(namespace)
    severity = None if inside else Severity.LOW
    return fails(f"{namespace.name} {told}{_watched(labels)}; {_could(inside)}", evidence, severity=severity)


def _as_of(namespace: Namespace, level: Level, version: str) -> Verdict:
    """Whether a standard is enforced as the cluster's own version of Kubernetes has it."""
    evidence = namespace.at(Namespace.object_labels)
    enforces = f"{namespace.name} enforces the {level} standard"
    if version == "latest":
        return passes(enforces, evidence)
    pinned = _VERSION.fullmatch(version)
    if pinned is None:
        return undecided(f"{enforces} as of {version!r}, which is no version", evidence)
    later = [
        (minor, what) for minor, since, what in _ADDED if minor > int(pinned[1]) and since in {level, Level.BASELINE}
    ]
    if not later:
        return passes(f"{enforces} as of {version}", evidence)
    shown = namespace.cluster.at(ManagedCluster.current_kubernetes_version)
    lacking = [what for minor, what in later if minor <= _minor(namespace.cluster)]
    if lacking:
        message = f"{enforces} as of {version}, which lets through what was forbidden since: {', '.join(lacking)}"
        return fails(message, evidence, shown, severity=Severity.LOW)
    return passes(f"{enforces} as of {version}, and the cluster's own forbids no more", evidence, shown)


def _minor(cluster: ManagedCluster) -> int:
    """The minor version of a cluster's Kubernetes.

    Raises:
        Malformed: the body does not tell.
    """
    known = re.fullmatch(r"1\.([0-9]{1,4})(\..*)?", cluster.current_kubernetes_version or "")
    if known is None:
        pointer = cluster.at(ManagedCluster.current_kubernetes_version).pointer
        raise Malformed(cluster.id, pointer, "expected the version of Kubernetes, such as 1.34.2")
    return int(known[1])


def _watched(labels: Mapping[str, str]) -> str:
    """What admission only records or warns of."""
    levels = {mode: labels.get(f"{_LABEL}{mode}", "") for mode in ("audit", "warn")}
    told = [f"{mode} {level}" for mode, level in levels.items() if level in set(Level)]
    return f" ({', '.join(told)}, which refuses nothing)" if told else ""


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
