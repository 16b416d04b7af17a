"""What network policies do for the namespaces of people: which have any, what is denied by default, what is left open."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from aks_audit.facts import ManagedCluster
from aks_audit.facts.field import text
from aks_audit.facts.platform import marked, system_namespaces
from aks_audit.facts.policies import PolicyObject, PolicySettings, policy_settings
from aks_audit.facts.workloads import Namespace
from aks_audit.policies.coverage import Coverage, Default, Inmate, coverage
from aks_audit.policies.enforcement import Engine
from aks_audit.policies.evaluate import Verdict as Answer
from aks_audit.policies.model import Direction, Policy
from aks_audit.policies.words import policy_in_words
from aks_audit.results import Evidence, Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import aks_health_check, checkov, kubebuddy, review_checklist, the_aks_checklist

_MOST = 5


class Asked(NamedTuple):
    """A namespace of people's with pods of theirs, and what policies do for it."""

    namespace: Namespace
    cover: Coverage
    pods: tuple[Inmate, ...]

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Whom it is about, and what enforces policies."""
        return (
            self.namespace.at(Namespace.object_labels),
            self.namespace.cluster.at(ManagedCluster.network_policy),
        )

    @property
    def engine(self) -> str:
        """What enforces policies, in words."""
        if self.cover.policies.engine is Engine.NONE:
            return "nothing enforces network policies in this cluster"
        return f"{self.cover.policies.engine} enforces them"


def _ask(namespace: Namespace) -> Asked | Verdict:
    """The question, or why it does not arise.

    Raises:
        Unread: it is not known what enforces policies.
    """
    evidence = namespace.at(Namespace.object_labels)
    if _of_aks(namespace):
        return not_applicable(f"{namespace.name} is a namespace of AKS's own", evidence)
    cover = coverage(namespace.cluster)
    pods = cover.people.theirs(namespace.name)
    if pods:
        return Asked(namespace, cover, pods)
    if missing := cover.people.missing:
        return undecided(missing[0].reason, evidence, missing=missing)
    return not_applicable(f"no pod with an address of its own runs in {namespace.name}", evidence)


def _of_aks(namespace: Namespace) -> bool:
    return namespace.name in system_namespaces() or marked(namespace)


def _cited(asked: Asked, policies: Iterable[Policy]) -> tuple[Evidence, ...]:
    """The evidence, and whom each of some policies selects."""
    found = list(asked.evidence)
    estate = asked.namespace.estate
    for policy in policies:
        document = estate.document(policy.id)
        if len(found) < _MOST and document and document.id == policy.id:
            place = policy.subject_pointer.removeprefix("/").replace("/", ".")
            field = text(place) if not any(map(str.isdigit, place)) else PolicyObject.spec
            cited = PolicyObject(estate, document).at(field)
            found += [cited] if cited not in found else []
    return tuple(found)


def _named(policies: Iterable[Policy]) -> str:
    """Policies in words."""
    names = list(dict.fromkeys(map(policy_in_words, policies)))
    return _listed(names)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")


def _workloads(pods: Iterable[Inmate]) -> str:
    return _listed(sorted({pod.workload for pod in pods}))


def _unsure(asked: Asked, message: str) -> Verdict:
    """What may or may not be so, for what could not be read."""
    return undecided(message, *asked.evidence, missing=asked.cover.missing)


@rule(
    "AKS-KN-04",
    title="Every namespace with workloads has a network policy",
    severity=Severity.HIGH,
    controls=(
        review_checklist("85e2223e-ce8b-4b12-907c-a5f16f158e3e"),
        kubebuddy("NET004"),
        aks_health_check("NET-6"),
    ),
)
def some_policy(namespace: Namespace) -> Verdict:
    """Where no policy is about a namespace, its pods talk to everybody, and everybody to them.

    One pod that is taken over there reaches every open port of the cluster and whatever the network lets out.

    Severity: policies are the only barrier between pods.
    Decided: at least one policy that the cluster's engine enforces selects a pod of the namespace and restricts it: of
    Kubernetes' own kinds, Calico's or Cilium's, in the namespace or of the whole cluster. A policy that isolates
    nothing, or that no engine enforces, does not count; nor do policies of which one allows everything in each
    direction that they are about, for they are as good as none. Namespaces of AKS's own, and those without pods that have an
    address of their own, are not asked about. Templates of workloads without pods count as a pod.
    Fix: kubectl create --namespace {name} --filename default-deny.yaml
    Bicep: none; in the manifest: a NetworkPolicy with podSelector: {{}} and policyTypes: [Ingress, Egress]
    Change: in place, at once; what no policy allows stops
    References: https://learn.microsoft.com/azure/aks/use-network-policies
    https://kubernetes.io/docs/concepts/services-networking/network-policies/
    Follows: AKS-KN-01
    """
    asked = _ask(namespace)
    if isinstance(asked, Verdict):
        return asked
    found = [asked.cover.restricting(pod.number) for pod in asked.pods]
    sure = tuple(dict.fromkeys(policy for one in found for policy in one.sure))
    if sure:
        return passes(f"{namespace.name} has {_named(sure)}", *_cited(asked, sure))
    unsure = tuple(dict.fromkeys(policy for one in found for policy in one.unsure))
    if unsure:
        return _unsure(asked, f"it is not known whether {_named(unsure)} restricts pods of {namespace.name}")
    undone = tuple(dict.fromkeys(policy for one in found for policy in one.undone))
    why = f"{_named(undone)} let everything through" if undone else asked.engine
    return fails(f"no policy restricts the pods of {namespace.name}: {why}", *_cited(asked, undone))


@rule(
    "AKS-KN-05",
    title="Namespaces deny what comes in by default",
    severity=Severity.HIGH,
    controls=(the_aks_checklist("0bc4e0c6-97fd-411a-9eb4-1a1f85f9cdf0"),),
)
def ingress_denied(namespace: Namespace) -> Verdict:
    """Where what comes in is open by default, a new workload is open to all until somebody thinks of a policy for it.

    Severity: the policy that nobody wrote is the one that is missing.
    Decided: a new pod in the namespace, with labels that no policy names, is asked about: by the policies in force,
    whatever their kind, tier and order, it is denied what a pod of another namespace and an address of the internet
    would send to it. Ports that a policy opens to all new pods alike do not change that. Namespaces of AKS's own, and
    those without pods that have an address of their own, are not asked about. Where policies could not be read that
    might allow it, the answer is unknown.
    Fix: kubectl create --namespace {name} --filename default-deny-ingress.yaml
    Bicep: none; in the manifest: a NetworkPolicy with podSelector: {{}} and policyTypes: [Ingress], without ingress
    Change: in place, at once; what no policy allows in stops
    References: https://kubernetes.io/docs/concepts/services-networking/network-policies/#default-deny-all-ingress-traffic
    Follows: AKS-KN-04
    """
    asked = _ask(namespace)
    return asked if isinstance(asked, Verdict) else _by_default(asked, Direction.INGRESS)


@rule(
    "AKS-KN-06",
    title="Namespaces deny what goes out by default, and allow DNS",
    severity=Severity.HIGH,
    controls=(the_aks_checklist("0bc4e0c6-97fd-411a-9eb4-1a1f85f9cdf0"),),
)
def egress_denied(namespace: Namespace) -> Verdict:
    """What may send anywhere can load tools, and carry off data, once somebody is in.

    Severity: it is what turns one pod that was taken over into a way to all others, and out of the network.
    Decided: a new pod in the namespace, with labels that no policy names, is asked about: by the policies in force it is
    denied what it would send to a pod of another namespace and to an address of the internet. Where that is so, each
    pod that is there has to reach CoreDNS on UDP 53, for else names resolve nowhere (low). Namespaces of AKS's own, and
    those without pods that have an address of their own, are not asked about. Where policies could not be read that
    might allow it, the answer is unknown.
    Fix: kubectl create --namespace {name} --filename default-deny-egress.yaml
    Bicep: none; in the manifest: a NetworkPolicy with podSelector: {{}} and policyTypes: [Egress], and one that allows DNS
    Change: in place, at once; what no policy allows out stops, DNS first
    References: https://kubernetes.io/docs/concepts/services-networking/network-policies/#default-deny-all-egress-traffic
    Follows: AKS-KN-04
    """
    asked = _ask(namespace)
    if isinstance(asked, Verdict):
        return asked
    verdict = _by_default(asked, Direction.EGRESS)
    return _resolving(asked, verdict) if verdict.outcome == "pass" else verdict


def _by_default(asked: Asked, direction: Direction) -> Verdict:
    """Whether a new pod is denied what nobody allowed."""
    people, name = asked.cover.people, asked.namespace.name
    new = people.new[name]
    others = {"pods of other namespaces": people.stranger, "the internet": people.internet}
    found = {whom: asked.cover.by_default(new, direction, number) for whom, number in others.items()}
    way, verb = ("from", "gets") if direction is Direction.INGRESS else ("to", "may send")
    policies = [policy for default in found.values() for policy in default.policies]
    if opened := _those(found, Answer.ALLOWED):
        why = f": {asked.engine}" if asked.cover.policies.engine is Engine.NONE else ""
        message = f"a new pod in {name} {verb} whatever nobody denies {way} {' and '.join(opened)}{why}"
        return fails(message, *_cited(asked, policies))
    if unsure := _those(found, Answer.UNKNOWN):
        doubtful = f", for {_named(policies)}" if policies else ""
        message = f"it is not known whether a new pod in {name} is closed {way} {' and '.join(unsure)}{doubtful}"
        return _unsure(asked, message)
    return passes(f"a new pod in {name} is closed by {_named(policies)}", *_cited(asked, policies))


def _those(found: dict[str, Default], answer: Answer) -> list[str]:
    return [whom for whom, default in found.items() if default.verdict is answer]


def _resolving(asked: Asked, verdict: Verdict) -> Verdict:
    """The verdict, unless a pod cannot reach CoreDNS, or that is not known."""
    seen = [(pod, asked.cover.names(pod.number)) for pod in asked.pods]
    mute = [pod for pod, answers in seen if answers == {Answer.DENIED}]
    if mute:
        message = f"{_workloads(mute)} cannot reach CoreDNS: no policy allows UDP 53 to it"
        return fails(message, *verdict.evidence, severity=Severity.LOW)
    unsure = [pod for pod, answers in seen if not answers or not answers <= {Answer.ALLOWED, Answer.CONDITIONAL}]
    if unsure:
        return _unsure(asked, f"it is not known whether {_workloads(unsure)} can reach CoreDNS")
    return verdict


@rule(
    "AKS-KN-07",
    title="Every pod is selected by a network policy",
    severity=Severity.MEDIUM,
    controls=(checkov("CKV2_K8S_6"),),
)
def every_pod_selected(namespace: Namespace) -> Verdict:
    """In a namespace with policies it is easy to take a pod for protected that none of them selects.

    A label that was misspelt, or a workload that came later, is enough: what no policy selects is open both ways.

    Severity: such a pod is as open as if there were no policy at all.
    Decided: each pod of the namespace is selected, in at least one direction, by a policy in force that restricts it,
    of whatever kind; where a policy allows everything in that direction, none does. Templates of workloads without pods count as a pod. Pods in the network of their node are none of
    the policies' and left out, as are components of AKS. Where no policy restricts any pod of the namespace, AKS-KN-04
    says so, and this is not asked.
    Fix: kubectl get pods --namespace {name} --show-labels
    Bicep: none; in the manifest: a NetworkPolicy with podSelector: {{}}, or labels that a policy selects
    Change: in place, at once; what no policy allows stops
    References: https://kubernetes.io/docs/concepts/services-networking/network-policies/
    Follows: AKS-KN-04
    """
    asked = _ask(namespace)
    if isinstance(asked, Verdict):
        return asked
    found = {pod: asked.cover.restricting(pod.number) for pod in asked.pods}
    bare = [pod for pod, one in found.items() if not one.sure and not one.unsure]
    if len(bare) == len(found):
        return not_applicable(f"no policy restricts pods of {namespace.name} at all", *asked.evidence)
    policies = [policy for one in found.values() for policy in one.sure]
    if bare:
        undone = [policy for pod in bare for policy in found[pod].undone]
        why = f": {_named(undone)} let everything through" if undone else ""
        message = f"no policy restricts {_workloads(bare)} in {namespace.name}{why}"
        return fails(message, *_cited(asked, [*undone, *policies]))
    unsure = [pod for pod, one in found.items() if not one.sure]
    if unsure:
        return _unsure(asked, f"it is not known whether a policy restricts {_workloads(unsure)}")
    if missing := asked.cover.people.missing:
        return undecided(missing[0].reason, *asked.evidence, missing=missing)
    return passes(f"policies restrict every pod of {namespace.name}", *_cited(asked, policies))


@rule(
    "AKS-KN-14",
    title="Pods cannot reach the instance metadata service",
    severity=Severity.HIGH,
    controls=(the_aks_checklist("4fb072a7-0303-46d8-9ecf-d8aa4d69ff83"), kubebuddy("NET021")),
)
def no_metadata(namespace: Namespace) -> Verdict:
    """At 169.254.169.254 whoever asks gets tokens of the node's managed identities, the kubelet's among them.

    So a pod that was taken over pulls images as the kubelet does, and is whatever other identity its node has.

    Severity: every identity of a node is one plain HTTP request away.
    Decided: `networkProfile.podLinkLocalAccess` of the cluster is None; or the policies in force deny each pod of the
    namespace TCP 80 to 169.254.169.254. Absent means IMDS, which lets pods through. Pods in the network of their node
    reach it either way, which is AKS-KS-04's matter. Namespaces of AKS's own, and those without pods that have an
    address of their own, are not asked about. Rules that allow 0.0.0.0/0 open it, unless they except it.
    Fix: kubectl create --namespace {name} --filename deny-metadata.yaml
    Bicep: properties.networkProfile.podLinkLocalAccess: 'None' (preview), or a policy that denies 169.254.169.254/32
    Change: in place; a policy at once, AKS's own setting once nodes are reimaged, and some add-ons do not run with it
    References: https://learn.microsoft.com/azure/aks/imds-restriction
    https://learn.microsoft.com/azure/aks/operator-best-practices-cluster-security
    Follows: AKS-KN-04 AKS-KN-06
    """
    settings = policy_settings(namespace.cluster)
    evidence = settings.at(PolicySettings.pod_link_local_access)
    if (settings.pod_link_local_access or "").lower() == "none" and not _of_aks(namespace):
        return passes("AKS keeps pods from the instance metadata service", evidence)
    asked = _ask(namespace)
    if isinstance(asked, Verdict):
        return asked
    found = {pod: asked.cover.metadata(pod.number) for pod in asked.pods}
    let = [pod for pod, answers in found.items() if answers & {Answer.ALLOWED, Answer.CONDITIONAL}]
    if let:
        return fails(f"{_workloads(let)} may reach 169.254.169.254", evidence, *asked.evidence)
    unsure = [pod for pod, answers in found.items() if answers != {Answer.DENIED}]
    if unsure:
        return _unsure(asked, f"it is not known whether {_workloads(unsure)} may reach 169.254.169.254")
    if missing := asked.cover.people.missing:
        return undecided(missing[0].reason, evidence, missing=missing)
    policies = [policy for pod in asked.pods for policy in asked.cover.restricting(pod.number).sure]
    return passes(f"policies deny 169.254.169.254 to every pod of {namespace.name}", *_cited(asked, policies))


@rule(
    "AKS-KN-21",
    title="Namespaces keep each other's pods out",
    severity=Severity.INFO,
)
def namespaces_are_apart(cluster: ManagedCluster) -> Verdict:
    """A namespace is a name. By itself it filters no traffic: its pods are open to those of every other.

    Tenants, stages or teams that are kept apart by namespaces alone are not kept apart on the network.

    Severity: it tells what namespaces are worth here; what to close is the matter of other rules.
    Decided: for each namespace of people's with pods, whether the policies in force deny a pod of another namespace, that
    nobody named, what it would send to them on ports that no rule names. The namespaces are named whose pods, one or
    all, are open so. Half-read policies or pods that might change it: unknown.
    Fix: az aks command invoke --resource-group {group} --name {name} --command "kubectl get networkpolicies -A"
    Bicep: none; in the manifest: a NetworkPolicy with podSelector: {{}} and policyTypes: [Ingress] in each namespace
    Change: in place, at once; what no policy allows in stops
    References: https://kubernetes.io/docs/concepts/security/multi-tenancy/#network-isolation
    Follows: AKS-KN-01
    """
    cover = coverage(cluster)
    people = cover.people
    evidence = cluster.at(ManagedCluster.network_policy)
    found: dict[str, set[Answer]] = {}
    for name in sorted(people.pods):
        if name not in system_namespaces() and (pods := people.theirs(name)):
            defaults = [cover.by_default(pod.number, Direction.INGRESS, people.stranger) for pod in pods]
            found[name] = {default.verdict for default in defaults}
    if opened := [name for name, answers in found.items() if Answer.ALLOWED in answers]:
        return fails(f"open to pods of every other namespace: {_listed(opened)}", evidence)
    unsure = [name for name, answers in found.items() if Answer.UNKNOWN in answers]
    if unsure or people.missing:
        reasons = [f"it is not known for {_listed(unsure)}"] if unsure else [people.missing[0].reason]
        return undecided(reasons[0], evidence, missing=cover.missing)
    if not found:
        return not_applicable("no namespace of people's has pods", evidence)
    return passes(f"{_listed(list(found))} keep out what they did not allow", evidence)


RULES = (some_policy, ingress_denied, egress_denied, every_pod_selected, no_metadata, namespaces_are_apart)
