"""What single network policies say, whether anything enforces them or not."""

from collections.abc import Iterator
from typing import NamedTuple

from aks_audit.facts.field import Field, View, text
from aks_audit.facts.policies import CALICO_KINDS, KubernetesPolicy, PolicyObject
from aks_audit.network.addresses import AddressSet, RangeSet, internet_wide
from aks_audit.policies.calico_hosts import BEFORE
from aks_audit.policies.coverage import Written, is_read, written
from aks_audit.policies.enforcement import objects_of
from aks_audit.policies.evaluate import Verdict as Answer
from aks_audit.policies.model import ANYTHING, TCP, UDP, Action, Direction, Kind, Policy, Rule
from aks_audit.policies.ports import KUBERNETES_TRAFFIC, in_words, traffic
from aks_audit.results import Evidence, Missing, Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import kubebuddy

_DNS = traffic(UDP, 53, 53) | traffic(TCP, 53, 53)


class Opening(NamedTuple):
    """A rule that lets everybody of a kind through."""

    direction: Direction
    whom: str
    ports: RangeSet
    severity: Severity


@rule(
    "AKS-KN-08",
    title="Network policies allow nobody in general",
    severity=Severity.HIGH,
    controls=(kubebuddy("NET009"), kubebuddy("NET010")),
)
def nobody_in_general(policy: PolicyObject) -> Verdict:
    """Policies add up: one rule that allows everybody undoes the default deny of all others for whom it selects.

    An empty list of peers means everybody, not nobody; so does 0.0.0.0/0, with the whole internet in it.

    Severity: with every port it is as if there were no policy, which is high; with some ports alone it is medium. Every
    pod of the cluster is less than everybody, and weighs one less.
    Decided: no rule that allows, without conditions, has peers that are everybody (none named, or addresses with more of
    the internet than a /8, whatever is excepted from them), or every pod of whatever namespace. DNS to every pod is
    left alone. What a rule that allows says counts, even where others deny before it, and whether or not anything
    enforces the policy. Traffic but TCP, UDP and SCTP is not asked about, nor is what is AKS's own. A rule that
    cannot be read makes the answer unknown.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: name peers by podSelector and namespaceSelector, or by CIDRs that are yours
    Change: in place, at once; what is no longer allowed stops
    References: https://kubernetes.io/docs/concepts/services-networking/network-policies/#behavior-of-to-and-from-selectors
    """
    if policy.of_platform:
        return not_applicable(f"{policy.name} is AKS's own", policy.at(PolicyObject.object_labels))
    stated = written(policy.cluster)
    rules = [
        (direction, one)
        for each in stated.of(policy.id)
        if each.tier != BEFORE.name
        for direction in Direction
        for one in _rules(each, direction)
    ]
    found = [opening for direction, one in rules for opening in _openings(stated, direction, one)]
    evidence = _sides(policy)
    if found:
        told = dict.fromkeys(_told(opening) for opening in found)
        worst = min((opening.severity for opening in found), key=list(Severity).index)
        return fails(f"{policy.name} allows {'; '.join(told)}", *evidence, severity=worst)
    unread = dict.fromkeys(one.unread for _, one in rules if one.action is Action.UNREAD)
    if unread or not any(map(is_read, stated.of(policy.id))):
        return undecided("; ".join(unread) or f"{policy.name} says nothing that can be read", *evidence)
    return passes(f"{policy.name} allows nobody in general", *evidence)


def _rules(policy: Policy, direction: Direction) -> tuple[Rule, ...]:
    side = policy.ingress if direction is Direction.INGRESS else policy.egress
    return side.rules if side else ()


def _openings(stated: Written, direction: Direction, one: Rule) -> Iterator[Opening]:
    ports = one.ports.numbers & KUBERNETES_TRAFFIC
    if one.action is not Action.ALLOW or one.conditions or not (ports or one.ports.named):
        return
    whole = ports == KUBERNETES_TRAFFIC
    open_to = [peer for peer in one.peers if not peer.conditions]
    outside = [peer.addresses for peer in open_to if Kind.ADDRESS in peer.kinds and peer.where == ANYTHING]
    if internet_wide(AddressSet.union_of(outside)):
        yield Opening(direction, "everybody", ports, Severity.HIGH if whole else Severity.MEDIUM)
    elif _takes_strangers(stated, one) and not ports <= _DNS:
        yield Opening(direction, "every pod of the cluster", ports, Severity.MEDIUM if whole else Severity.LOW)


def _takes_strangers(stated: Written, one: Rule) -> bool:
    stranger = 1 << stated.universe.member(stated.people.stranger)
    return any(stated.universe.taken(peer).sure & stranger for peer in one.peers if not peer.conditions)


def _told(opening: Opening) -> str:
    ports = "every port" if opening.ports == KUBERNETES_TRAFFIC else in_words(opening.ports, KUBERNETES_TRAFFIC)
    way = "in from" if opening.direction is Direction.INGRESS else "out to"
    return f"{way} {opening.whom} on {ports if opening.ports else 'named ports'}"


def _sides(policy: PolicyObject) -> tuple[Evidence, ...]:
    """The rules as they are written."""
    return tuple(policy.at(text(f"spec.{direction}")) for direction in Direction)


@rule(
    "AKS-KN-10",
    title="Network policies select something",
    severity=Severity.LOW,
    controls=(kubebuddy("NET023"),),
)
def selects_something(policy: PolicyObject) -> Verdict:
    """A policy that selects nothing protects nothing, while whoever reads it takes its workload for protected.

    Mostly a label was renamed, or misspelt.

    Severity: it is no hole by itself; the pods that it was meant for may be one, which AKS-KN-07 tells.
    Decided: the policy selects a pod or a node that is there, or a pod as the template of a workload without pods (scaled
    to zero, or run by the clock) would make it. One that selects whatever new pod comes, such as a default deny in a
    namespace without pods, is not asked about, nor is what is AKS's own. Where pods, nodes, workloads or Calico's
    host endpoints could not all be read, nothing found means unknown.
    Fix: kubectl get pods --all-namespaces --show-labels
    Bicep: none; in the manifest: spec.podSelector, spec.endpointSelector, spec.subject or spec.selector
    Change: in place, at once; what the policy then selects is restricted by it
    References: https://kubernetes.io/docs/concepts/services-networking/network-policies/
    """
    field = _selector(policy)
    evidence = policy.at(field)
    if policy.of_platform:
        return not_applicable(f"{policy.name} is AKS's own", evidence)
    stated = written(policy.cluster)
    answer = stated.selected(policy.id)
    if answer is Answer.ALLOWED:
        return passes(f"{policy.name} selects what is there", evidence)
    if answer is None:
        return not_applicable(f"{policy.name} selects whatever pod comes, and none is there now", evidence)
    if answer is Answer.UNKNOWN:
        return undecided(f"it is not known whether {policy.name} selects anything", evidence)
    if missing := (*stated.people.missing, *_unread_hosts(policy)):
        return undecided("; ".join(dict.fromkeys(one.reason for one in missing)), evidence, missing=missing)
    return fails(f"{policy.name} selects nothing by its {field.path}", evidence)


def _unread_hosts(policy: PolicyObject) -> Iterator[Missing]:
    """Why not all host endpoints were read, which only policies of Calico select."""
    if isinstance(policy, CALICO_KINDS):
        _, missing = objects_of(policy.cluster)
        yield from (one for type_, one in missing.items() if type_.startswith("hostendpoints."))


_SELECTORS = ("podSelector", "endpointSelector", "nodeSelector", "subject", "selector", "namespaceSelector")


def _selector(policy: PolicyObject) -> Field[str] | Field[View]:
    """Where it is written whom the policy selects."""
    fields = (text(f"spec.{name}") for name in _SELECTORS)
    return next((field for field in fields if policy.find(field.path)[0] is not None), PolicyObject.spec)


@rule(
    "AKS-KN-09",
    title="Network policies say for which directions they hold",
    severity=Severity.LOW,
    controls=(kubebuddy("NET011"),),
)
def directions_said(policy: PolicyObject) -> Verdict:
    """Rules of a direction that the policy is not about are there to be read, and do nothing.

    Whoever reads them takes what they allow for all that is allowed, while everything is.

    Severity: it misleads the reader; what is open is what the other policies leave open.
    Decided: `spec.policyTypes` (Calico: `spec.types`) names each direction that the policy has rules for. The API server
    writes policyTypes into every NetworkPolicy that comes without, so that what is stored cannot tell who wrote it, and
    none at all is damage. Calico writes its types only for its own tools: none stored is a guess left to each version,
    and fails. Cilium's kinds and those of administrators have no such field. What is AKS's own is not asked about.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: spec.policyTypes: [Ingress, Egress]
    Change: in place, at once; a direction that is added is closed but for the rules
    References: https://kubernetes.io/docs/concepts/services-networking/network-policies/#networkpolicy-resource
    https://docs.tigera.io/calico/latest/reference/resources/globalnetworkpolicy
    """
    calicos = isinstance(policy, CALICO_KINDS)
    if not calicos and not isinstance(policy, KubernetesPolicy):
        return not_applicable(f"{policy.name} is of a kind without such a field", policy.at(PolicyObject.spec))
    if policy.of_platform:
        return not_applicable(f"{policy.name} is AKS's own", policy.at(PolicyObject.object_labels))
    types = PolicyObject.calico_types if calicos else PolicyObject.policy_types
    said = types.__get__(policy, PolicyObject)
    evidence = (policy.at(types), *_sides(policy))
    if not said:
        message = f"{policy.name} does not say for which directions it holds"
        return fails(message, *evidence) if calicos and policy.spec else undecided(message, *evidence)
    ruled = {"Ingress": policy.ingress, "Egress": policy.egress}
    if idle := [name for name, rules in ruled.items() if rules and name not in said]:
        return fails(f"{policy.name} has rules for {idle[0]}, and is about {', '.join(said)} alone", *evidence)
    return passes(f"{policy.name} is about {', '.join(said)}", *evidence)


RULES = (nobody_in_general, directions_said, selects_something)
