"""Whether what the policies of a cluster say is enforced at all, and by what."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from aks_audit.facts import ManagedCluster, Missing, NetworkPlugin, NotCollected
from aks_audit.facts.policies import (
    ADMIN_KINDS,
    CALICO_KINDS,
    CILIUM_KINDS,
    PolicyObject,
    PolicySettings,
    policy_kinds,
    policy_settings,
    staged_kinds,
)
from aks_audit.facts.workloads import DaemonSet
from aks_audit.policies.body import Body
from aks_audit.policies.coverage import Written, agents, written
from aks_audit.policies.enforcement import Engine, enforced, objects_of
from aks_audit.policies.model import Action
from aks_audit.policies.staged import only_staged
from aks_audit.results import Evidence, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided

_MOST = 5


class Held(NamedTuple):
    """The policies that people wrote, of some kinds, and what was not read that may hold more."""

    policies: tuple[PolicyObject, ...]
    missing: tuple[Missing, ...]

    def among(self, ids: Collection[str]) -> tuple[PolicyObject, ...]:
        """Those with one of some ids."""
        return tuple(one for one in self.policies if one.id in ids)


def _held(cluster: ManagedCluster, kinds: Collection[type[PolicyObject]] | None = None) -> Held:
    found: list[PolicyObject] = []
    missing: list[Missing] = []
    for kind in policy_kinds(cluster.estate, cluster.id):
        if kinds is None or kind in kinds:
            held = cluster.estate.within(kind, cluster.id)
            found += [one for one in held if not one.of_platform]
            try:
                held.whole()
            except NotCollected as unread:
                missing += unread.missing
    return Held(tuple(found), tuple(dict.fromkeys(missing)))


def _with_staged(cluster: ManagedCluster, held: Held) -> Held:
    """What is held, and the policies that are there as staged ones only."""
    objects, unread = objects_of(cluster)
    staged = only_staged(objects, unread)
    only = {one.id for one in staged.only}
    found: list[PolicyObject] = []
    missing = [*held.missing, *staged.unread]
    for kind in staged_kinds(cluster.estate, cluster.id):
        those = cluster.estate.within(kind, cluster.id)
        found += [one for one in those if one.id in only and not one.of_platform]
        try:
            those.whole()
        except NotCollected as lost:
            missing += lost.missing
    return Held((*held.policies, *found), tuple(dict.fromkeys(missing)))


def _named(policies: Collection[PolicyObject]) -> str:
    names = [f"{one.document.type} {one.namespace}/{one.name}".replace(" /", " ") for one in policies]
    return ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")


def _evidence(cluster: ManagedCluster, policies: Collection[PolicyObject]) -> tuple[Evidence, ...]:
    """What Azure says of the engine, and the first of some policies."""
    cited = (one.at(PolicyObject.spec) for one in list(policies)[:_MOST])
    return cluster.at(ManagedCluster.network_policy), *cited


@rule(
    "AKS-KN-02",
    title="Network policies that are there are enforced",
    severity=Severity.HIGH,
)
def something_enforces(cluster: ManagedCluster) -> Verdict:
    """The API server takes network policies whether or not anything enforces them, and tells nobody.

    Whoever wrote them takes pods for closed that are open to all. Calico's staged policies stop nothing anywhere.

    Severity: it is as if there were no policies, while everybody believes that there are.
    Decided: there are policies that people wrote, of whatever kind, and an engine enforces one of them: the one of
    `networkProfile.networkPolicy` (or of the Cilium data plane), unless its configuration enforces nothing; or an agent
    that people installed themselves, known by the name of its DaemonSet (calico-node, cilium, antrea-agent and the
    like). Policies that are only staged count as there, and never as enforced. Without policies the question does not
    arise. Whether kinds fit the engine is AKS-KN-03's and AKS-KN-13's matter.
    Fix: az aks update --resource-group {group} --name {name} --network-policy calico
    Bicep: properties.networkProfile.networkPolicy: 'cilium' (with networkDataplane: 'cilium'), 'calico' or 'azure'
    Change: replaces what all nodes run, one pool at a time; policies then take effect at once
    References: https://learn.microsoft.com/azure/aks/use-network-policies
    Follows: AKS-KN-01
    """
    held = _with_staged(cluster, _held(cluster))
    if not held.policies:
        return _none(cluster, held, "there are no network policies")
    if cluster.network_plugin is NetworkPlugin.NONE or enforced(cluster).engine is Engine.NONE:
        found = agents(cluster)
        if not found:
            return fails(f"nothing enforces {_named(held.policies)}", *_evidence(cluster, held.policies))
        return passes(
            f"{found[0].name} in {found[0].namespace} enforces policies", found[0].at(DaemonSet.object_labels)
        )
    policies = enforced(cluster)
    idle = {one.id for one in policies.ignored}
    evidence = _evidence(cluster, held.policies)
    if any(one.id not in idle for one in held.policies):
        return passes(f"{policies.engine} enforces policies", *evidence)
    if held.missing:
        return undecided(held.missing[0].reason, *evidence, missing=held.missing)
    return fails(f"{policies.engine} enforces none of {_named(held.policies)}", *evidence)


def _none(cluster: ManagedCluster, held: Held, message: str) -> Verdict:
    """That no policy was found: the question does not arise, unless some may not have been read."""
    if held.missing:
        return undecided(held.missing[0].reason, missing=held.missing)
    return not_applicable(message, cluster.at(ManagedCluster.network_policy))


@rule(
    "AKS-KN-03",
    title="Policies of Calico and Cilium are enforced by the engine that runs",
    severity=Severity.MEDIUM,
)
def own_engine(cluster: ManagedCluster) -> Verdict:
    """Calico reads its own kinds of policy, and Cilium its own. Neither reads the other's.

    Such objects are left over from a migration, or were written for another cluster. Nothing says that they do nothing.
    So it is with staged policies that nobody put into force: Calico shows what they would do, and lets everything through.

    Severity: what they were to deny is open; Kubernetes' own policies beside them do work.
    Decided: each NetworkPolicy and GlobalNetworkPolicy of Calico, and each policy of Cilium, is of a kind that the
    cluster's engine takes. No policy is there as Calico's staged one alone (StagedNetworkPolicy,
    StagedGlobalNetworkPolicy, StagedKubernetesNetworkPolicy); one that is to change or end (`stagedAction` Delete or
    Ignore) an enforced policy is no matter. Without any the question does not arise; nor without an engine, which
    AKS-KN-02 tells.
    Fix: az aks command invoke --resource-group {group} --name {name} --command "kubectl get networkpolicies -A"
    Bicep: none; in the manifest: write them as kinds that the cluster's engine takes, and that are not staged
    Change: in place; rewritten policies take effect at once
    References: https://learn.microsoft.com/azure/aks/use-network-policies
    https://learn.microsoft.com/azure/aks/migrate-from-npm-to-cilium-network-policy
    https://docs.tigera.io/calico/latest/reference/resources/stagednetworkpolicy
    """
    held = _with_staged(cluster, _held(cluster, (*CALICO_KINDS, *CILIUM_KINDS)))
    return _fitting(cluster, held, "of Calico or Cilium")


@rule(
    "AKS-KN-13",
    title="Policies of administrators are of a kind that the engine takes",
    severity=Severity.LOW,
)
def administrators_kinds(cluster: ManagedCluster) -> Verdict:
    """AdminNetworkPolicy, its baseline and ClusterNetworkPolicy are kinds that few engines take, and in few versions.

    Their definitions can be installed anywhere, and the objects then stand there without any effect.

    Severity: such guardrails are written by those who rely on them; Kubernetes' own policies beside them do work.
    Decided: each such policy is of a kind that the cluster's engine takes in the version that runs (by the image of its
    agent), with the switch that it needs. Where version or switch could not be read, the answer is unknown. Policies that
    are taken count in all rules about coverage. Without any, or without an engine, the question does not arise.
    Fix: az aks command invoke --resource-group {group} --name {name} --command "kubectl get adminnetworkpolicies"
    Bicep: none; in the manifest: say the same by kinds that the cluster's engine takes
    Change: in place; rewritten policies take effect at once
    References: https://github.com/projectcalico/calico/issues/10745
    https://github.com/cilium/cilium/pull/47227
    """
    return _fitting(cluster, _held(cluster, ADMIN_KINDS), "of administrators")


def _fitting(cluster: ManagedCluster, held: Held, whose: str) -> Verdict:
    """Whether the engine takes all policies that are held."""
    if not held.policies:
        return _none(cluster, held, f"there are no policies {whose}")
    policies = enforced(cluster)
    if policies.engine is Engine.NONE:
        return not_applicable("nothing enforces network policies in this cluster", *_evidence(cluster, ()))
    if idle := held.among({one.id for one in policies.ignored}):
        return fails(f"{policies.engine} does not enforce {_named(idle)}", *_evidence(cluster, idle))
    evidence = _evidence(cluster, held.policies)
    doubtful = held.among({one.id for one in policies.ruleset.policies if not one.certain})
    if doubtful or held.missing:
        doubt = f"it is not known whether {policies.engine} enforces {_named(doubtful)}"
        return undecided(doubt if doubtful else held.missing[0].reason, *evidence, missing=held.missing)
    return passes(f"{policies.engine} enforces {_named(held.policies)}", *evidence)


# --- Calico


_OF_RULES = frozenset(
    {
        "action", "destination", "http", "icmp", "ipVersion", "notICMP", "notProtocol", "protocol", "source",
    }
)  # fmt: skip


@rule(
    "AKS-KN-11",
    title="Calico's policies are written as Calico reads them",
    severity=Severity.MEDIUM,
)
def calico_reads(cluster: ManagedCluster) -> Verdict:
    """In a policy of Calico a few blanks decide whether a field belongs to a rule, or to nothing.

    Beside the rules, `protocol` and `source` are lost: the rule that was to deny some then denies everybody, or what was
    to allow some allows all.

    Severity: the policy does something else than is written in it.
    Decided: the engine is Calico. No field of a rule (protocol, source, destination and the like) stands beside the rules
    in a policy's `spec`, and each policy can be read: its tier, order, types, selectors and rules, and the network sets
    and host endpoints that they take. What this tool cannot read may be of a newer version of Calico, and is unknown.
    What the policies come to, a cluster-wide default deny among it, counts in all rules about coverage.
    Fix: az aks command invoke --resource-group {group} --name {name} --command "kubectl get globalnetworkpolicies"
    Bicep: none; in the manifest: spec.ingress[].source and spec.egress[].destination, indented below their rule
    Change: in place, at once
    References: https://docs.tigera.io/calico/latest/reference/resources/globalnetworkpolicy
    """
    held = _held(cluster, CALICO_KINDS)
    evidence = cluster.at(ManagedCluster.network_policy)
    if enforced(cluster).engine is not Engine.CALICO:
        return not_applicable("Calico does not enforce policies in this cluster", evidence)
    return _judged(cluster, held, "Calico", lambda one: _misplaced(one, written(cluster)))


def _misplaced(policy: PolicyObject, stated: Written) -> Verdict:
    evidence = policy.at(PolicyObject.spec)
    spec = Body(policy.id, policy.node).required("spec")
    if beside := sorted(_OF_RULES & set(spec.names)):
        return fails(f"in {policy.name}, {', '.join(beside)} stand beside the rules, not in one", evidence)
    unread = [
        found.unread
        for one in stated.of(policy.id)
        for side in (one.ingress, one.egress)
        for found in (side.rules if side else ())
        if found.action is Action.UNREAD and found.pointer.startswith("/spec")
    ]
    if unread:
        return undecided(f"{policy.name} cannot be read: {unread[0]}", evidence)
    return passes(f"{policy.name} can be read", evidence)


def _judged(cluster: ManagedCluster, held: Held, whose: str, judge: Callable[[PolicyObject], Verdict]) -> Verdict:
    """The worst that is to be said of all policies; unknown rather than a pass where there may be more."""
    if not held.policies:
        return _none(cluster, held, f"there are no policies of {whose}")
    verdict = each(held.policies, judge)
    if verdict.outcome != "fail" and held.missing:
        return undecided(held.missing[0].reason, missing=held.missing)
    return verdict


# --- Cilium


@rule(
    "AKS-KN-12",
    title="What Cilium's policies say of names and requests is enforced",
    severity=Severity.MEDIUM,
)
def names_and_requests(cluster: ManagedCluster) -> Verdict:
    """A policy by DNS names works only where Cilium sees the answers of DNS, and by HTTP only where its proxy runs.

    Otherwise the addresses of a name are never learnt, and what was to be allowed is denied; people then open more than
    they meant to.

    Severity: mostly it denies too much, which somebody then fixes by allowing everything.
    Decided: for each policy of Cilium with `toFQDNs`, itself or another policy of Cilium has a rule of `rules.dns` for
    the same pods; and `networkProfile.advancedNetworking` is enabled, its `security.enabled` true, and
    `advancedNetworkPolicies` FQDN or L7, and L7 for rules of HTTP or Kafka. Azure's default for the first switch is
    false, and FQDN once both are on. Of the second alone being absent Azure documents both, false and that it comes with
    the first, so that is unknown. Without such rules, or another engine, the question does not arise.
    Fix: az aks update --resource-group {group} --name {name} --enable-acns --acns-advanced-networkpolicies L7
    Bicep: properties.networkProfile.advancedNetworking.security.advancedNetworkPolicies: 'L7'
    Change: in place; restarts Cilium's agents, one node after the other
    References: https://learn.microsoft.com/azure/aks/container-network-security-fqdn-filtering-concepts
    https://docs.cilium.io/en/stable/security/policy/language/#dns-based
    """
    held = _held(cluster, CILIUM_KINDS)
    evidence = cluster.at(ManagedCluster.network_dataplane)
    if enforced(cluster).engine is not Engine.CILIUM:
        return not_applicable("Cilium does not enforce policies in this cluster", evidence)
    return _judged(cluster, held, "Cilium", lambda one: _seen(one, cluster, held))


def _seen(policy: PolicyObject, cluster: ManagedCluster, held: Held) -> Verdict:
    uses = _uses(policy)
    if not uses:
        return not_applicable(f"{policy.name} names neither names nor requests", policy.at(PolicyObject.spec))
    settings = policy_settings(cluster)
    evidence = (
        settings.at(PolicySettings.advanced_network_policies),
        settings.at(PolicySettings.advanced_security),
        policy.at(PolicyObject.spec),
    )
    level = settings.above_layer_4
    needed = {"http", "kafka"} & uses
    if level == "none" or (needed and level == "fqdn"):
        told = ", ".join(sorted(uses))
        return fails(f"{policy.name} has rules of {told}, and AKS does not enforce them ({level})", *evidence)
    if level is None:
        return undecided("advanced networking is on, and whether its security is on is not said", *evidence)
    if level not in {"fqdn", "l7"}:
        return undecided(f"advancedNetworkPolicies is {level!r}, which is not known", *evidence)
    if "toFQDNs" in uses and "dns" not in uses and not _answers_seen(policy, cluster, held):
        return _unseen(policy, held, evidence)
    return passes(f"{policy.name} has what it needs", *evidence)


def _uses(policy: PolicyObject) -> set[str]:
    """What a policy uses above layer 4: toFQDNs, and the sorts of rule below toPorts."""
    body = Body(policy.id, policy.node)
    spec = body.part("spec")
    found: set[str] = set()
    for one in (*((spec,) if spec else ()), *body.parts("specs")):
        for side in ("ingress", "egress"):
            found.update(*(_of_rule(entry) for entry in one.parts(side)))
    return found


def _of_rule(entry: Body) -> Iterator[str]:
    if entry.length("toFQDNs"):
        yield "toFQDNs"
    for ports in entry.parts("toPorts"):
        if rules := ports.part("rules"):
            yield from (name for name in rules.names if rules.length(name))


def _unseen(policy: PolicyObject, held: Held, evidence: Sequence[Evidence]) -> Verdict:
    if held.missing:
        return undecided(held.missing[0].reason, *evidence, missing=held.missing)
    return fails(f"{policy.name} allows names, and no policy lets Cilium see the answers of DNS", *evidence)


def _answers_seen(policy: PolicyObject, cluster: ManagedCluster, held: Held) -> bool:
    """Whether policies that look at DNS select all that a policy selects."""
    stated = written(cluster)
    seeing = [one for one in held.policies if "dns" in _uses(one)]
    seen = 0
    for one in seeing:
        seen |= _selected(stated, one)
    wanted = _selected(stated, policy)
    return bool(wanted) and not wanted & ~seen


def _selected(stated: Written, policy: PolicyObject) -> int:
    found = 0
    for one in stated.of(policy.id):
        for selection in one.subject if one.egress else ():
            found |= stated.universe.taken(selection).sure
    return found


RULES = (something_enforces, own_engine, administrators_kinds, calico_reads, names_and_requests)
