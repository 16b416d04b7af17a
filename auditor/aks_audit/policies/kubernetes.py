"""Kubernetes' own policies, compiled: NetworkPolicy, AdminNetworkPolicy, its baseline, and ClusterNetworkPolicy.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
https://network-policy-api.sigs.k8s.io/reference/spec/
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from aks_audit.facts import Malformed
from aks_audit.facts.resource_id import parse
from aks_audit.network.addresses import AddressSet, RangeSet
from aks_audit.policies.body import Body
from aks_audit.policies.model import (
    ALL_KINDS,
    ANY_PORT,
    EVERYONE,
    HOSTS,
    OUTSIDE,
    PODS,
    Action,
    Compiled,
    Expression,
    Kind,
    NamedPort,
    Object,
    Of,
    Policy,
    Ports,
    Rule,
    Selection,
    Side,
    Tier,
)
from aks_audit.policies.names import address_of
from aks_audit.policies.ports import PROTOCOLS, traffic
from aks_audit.policies.selectors import every, in_namespace, label_selector

NETWORK_POLICIES = "networkpolicies.networking.k8s.io"
ADMIN_NETWORK_POLICIES = "adminnetworkpolicies.policy.networking.k8s.io"
BASELINE_ADMIN_NETWORK_POLICIES = "baselineadminnetworkpolicies.policy.networking.k8s.io"
CLUSTER_NETWORK_POLICIES = "clusternetworkpolicies.policy.networking.k8s.io"

_HIGHEST_PORT = 65535
_HIGHEST_PRIORITY = 1000


class Placing(NamedTuple):
    """What engines decide for themselves: where the policies stand, and what a CIDR is held against.

    `cluster_admin` and `cluster_baseline` are where ClusterNetworkPolicies stand, if not with the older kinds. By the
    specification a CIDR is for addresses outside of the cluster, and engines differ on pods and nodes.
    """

    admin: Tier = Tier("Admin", -1, Action.PASS, ties="any")
    network_policy: Tier = Tier("NetworkPolicy", 0, Action.DENY)
    baseline: Tier = Tier("Baseline", 1, Action.PASS, ties="any")
    network_policy_order: float = 0
    in_cidr: frozenset[Kind] = ALL_KINDS
    cluster_admin: Tier | None = None
    cluster_baseline: Tier | None = None

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """All of them."""
        every = (self.admin, self.network_policy, self.baseline, self.cluster_admin, self.cluster_baseline)
        return tuple(tier for tier in every if tier)


PLAIN = Placing()


def compile_kubernetes(objects: Sequence[Object], placing: Placing = PLAIN) -> Compiled:
    """Compile the policies of Kubernetes' own kinds among the objects; others are left alone.

    What cannot be read becomes an UNREAD rule for whatever it might concern.
    """
    compiled = (_COMPILERS[one.type](one, placing) for one in objects if one.type in _COMPILERS)
    policies = tuple(policy for found in compiled for policy in found)
    return Compiled(placing.tiers, policies)


# --- NetworkPolicy


def _network_policy(one: Object, placing: Placing) -> Iterator[Policy]:
    """The policy; and as the last of its tier, since it can only allow more, what could not be read of it."""
    tier, order = placing.network_policy.name, placing.network_policy_order
    namespace, name = _names(one)
    home = in_namespace(namespace)

    def policy(at: float, subject: Expression, sides: tuple[Side | None, Side | None], pointer: str) -> Policy:
        selected = (Selection(PODS, subject),)
        return Policy(one.id, "NetworkPolicy", name, namespace, tier, at, selected, *sides, pointer)

    try:
        spec = Body(one.id, one.body).required("spec")
        spec.only(("podSelector", "policyTypes", "ingress", "egress"))
        subject = every(home, label_selector(spec.required("podSelector"), Of.OWN))
        types = spec.texts("policyTypes")
        if not types or not {"Ingress", "Egress"}.issuperset(types):
            raise spec.malformed(f"expected Ingress or Egress, found {list(types)}", "policyTypes")
        ingress = _allowed(spec.parts("ingress"), "from", home, placing) if "Ingress" in types else None
        egress = _allowed(spec.parts("egress"), "to", home, placing) if "Egress" in types else None
    except Malformed as problem:
        unread = Side((_unread("/spec", problem),), isolates=False)
        yield policy(inf, home, (unread, unread), "/spec")
        return
    yield policy(order, subject, (_side(ingress), _side(egress)), "/spec/podSelector")
    if any(rule.action is Action.UNREAD for rule in (*(ingress or ()), *(egress or ()))):
        yield policy(inf, subject, (_unread_side(ingress), _unread_side(egress)), "/spec/podSelector")


def _side(rules: tuple[Rule, ...] | None) -> Side | None:
    return None if rules is None else Side(tuple(rule for rule in rules if rule.action is not Action.UNREAD))


def _unread_side(rules: tuple[Rule, ...] | None) -> Side | None:
    lost = tuple(rule for rule in rules or () if rule.action is Action.UNREAD)
    return Side(lost, isolates=False) if lost else None


def _allowed(rules: tuple[Body, ...], peers: str, home: Expression, placing: Placing) -> tuple[Rule, ...]:
    return tuple(_allowing(rule, peers, home, placing) for rule in rules)


def _allowing(rule: Body, peers: str, home: Expression, placing: Placing) -> Rule:
    """A rule of a NetworkPolicy. Without peers it is for everyone, without ports for all traffic."""
    try:
        rule.only((peers, "ports"))
        found = tuple(_peer(one, home, placing) for one in rule.parts(peers)) or (EVERYONE,)
        return Rule(Action.ALLOW, found, _ports(rule.parts("ports"), _port), rule.pointer)
    except Malformed as problem:
        return _unread(rule.pointer, problem)


def _peer(peer: Body, home: Expression, placing: Placing) -> Selection:
    match sorted(peer.names):
        case ["ipBlock"]:
            block = peer.required("ipBlock")
            block.only(("cidr", "except"))
            inside = AddressSet.of([block.network("cidr")])
            return Selection(placing.in_cidr, addresses=inside.difference(AddressSet.of(block.networks("except"))))
        case ["podSelector"]:
            return Selection(PODS, every(home, label_selector(peer.required("podSelector"), Of.OWN)))
        case ["namespaceSelector"]:
            return Selection(PODS, label_selector(peer.required("namespaceSelector"), Of.NAMESPACE))
        case ["namespaceSelector", "podSelector"]:
            return Selection(PODS, _namespaced_pods(peer))
        case names:
            raise peer.malformed(f"expected selectors or an ipBlock, found {names or 'nothing'}")


def _port(port: Body) -> Ports:
    port.only(("protocol", "port", "endPort"))
    protocol = _protocol(port)
    if not port.has("port"):
        if port.has("endPort"):
            raise port.malformed("endPort without port")
        return Ports(traffic(protocol))
    if port.is_text("port"):
        if port.has("endPort"):
            raise port.malformed("endPort with a named port")
        return Ports(_NONE, frozenset({NamedPort(protocol, port.text("port"))}))
    first = port.number("port")
    return _span(port, protocol, first, port.number("endPort") if port.has("endPort") else first)


# --- the policies of administrators


class _Dialect(NamedTuple):
    """How one of the administrators' kinds writes what all of them say."""

    kind: str
    fields: frozenset[str]
    actions: Mapping[str, Action]
    ports: str
    port: Callable[[Body], Ports]


def _administrators(one: Object, placing: Placing) -> Iterator[Policy]:
    """A policy of whichever of the three kinds. What cannot be read at all stands before all others."""
    dialect = _DIALECTS[one.type]
    namespace, name = _names(one)
    try:
        spec = Body(one.id, one.body).required("spec")
        spec.only(dialect.fields)
        tier, order = _place(spec, dialect, placing)
        subject = _subject(spec.required("subject"))
        ingress = _ruled(spec.parts("ingress"), "from", dialect, placing)
        egress = _ruled(spec.parts("egress"), "to", dialect, placing)
    except Malformed as problem:
        unread = Side((_unread("/spec", problem),))
        older = placing.baseline if one.type == BASELINE_ADMIN_NETWORK_POLICIES else placing.admin
        tier = (placing.cluster_admin if one.type == CLUSTER_NETWORK_POLICIES else None) or older
        everyone = (Selection(PODS),)
        yield Policy(one.id, dialect.kind, name, namespace, tier.name, -inf, everyone, unread, unread)
        return
    yield Policy(one.id, dialect.kind, name, namespace, tier.name, order, (subject,), ingress, egress, "/spec/subject")


def _place(spec: Body, dialect: _Dialect, placing: Placing) -> tuple[Tier, float]:
    """Where a policy stands. The one BaselineAdminNetworkPolicy has no priority, and nobody mixes it with others."""
    if "priority" not in dialect.fields:
        return placing.baseline, 0
    priority = spec.number("priority")
    if not 0 <= priority <= _HIGHEST_PRIORITY:
        raise spec.malformed(f"expected 0 to {_HIGHEST_PRIORITY}, found {priority}", "priority")
    if "tier" not in dialect.fields:
        return placing.admin, priority
    tier = spec.text("tier")
    if tier not in {"Admin", "Baseline"}:
        raise spec.malformed(f"expected Admin or Baseline, found {tier!r}", "tier")
    if tier == "Admin":
        return placing.cluster_admin or placing.admin, priority
    return placing.cluster_baseline or placing.baseline, priority


def _subject(subject: Body) -> Selection:
    match list(subject.names):
        case ["namespaces"]:
            return Selection(PODS, label_selector(subject.required("namespaces"), Of.NAMESPACE))
        case ["pods"]:
            return Selection(PODS, _namespaced_pods(subject.required("pods")))
        case names:
            raise subject.malformed(f"expected namespaces or pods, found {names or 'nothing'}")


def _ruled(rules: tuple[Body, ...], peers: str, dialect: _Dialect, placing: Placing) -> Side | None:
    return Side(tuple(_rule(rule, peers, dialect, placing) for rule in rules)) if rules else None


def _rule(rule: Body, peers: str, dialect: _Dialect, placing: Placing) -> Rule:
    try:
        rule.only((peers, "name", "action", dialect.ports))
        if (action := dialect.actions.get(rule.text("action"))) is None:
            raise rule.malformed(f"not an action that is known: {rule.text('action')!r}", "action")
        found = tuple(_administrators_peer(one, placing) for one in rule.parts(peers))
        if not found:
            raise rule.malformed("expected at least one", peers)
        ports = _ports(rule.parts(dialect.ports), dialect.port)
        return Rule(action, found, ports, rule.pointer, name=rule.text("name", ""))
    except Malformed as problem:
        return _unread(rule.pointer, problem)


def _administrators_peer(peer: Body, placing: Placing) -> Selection:
    match list(peer.names):
        case ["namespaces"] | ["pods"]:
            return _subject(peer)
        case ["nodes"]:
            return Selection(HOSTS, label_selector(peer.required("nodes"), Of.NODE))
        case ["networks"]:
            return Selection(placing.in_cidr, addresses=AddressSet.of(peer.networks("networks")))
        case ["domainNames"]:
            return Selection(OUTSIDE, conditions=(address_of(peer.texts("domainNames")),))
        case names:
            raise peer.malformed(f"not a peer that is known: {names or 'nothing'}")


def _admin_port(port: Body) -> Ports:
    match list(port.names):
        case ["portNumber"]:
            number = port.required("portNumber")
            number.only(("protocol", "port"))
            return _span(number, _protocol(number), number.number("port"), number.number("port"))
        case ["portRange"]:
            span = port.required("portRange")
            span.only(("protocol", "start", "end"))
            return _span(span, _protocol(span), span.number("start"), span.number("end"))
        case ["namedPort"]:
            return _named_port(port.text("namedPort"))
        case names:
            raise port.malformed(f"not a port that is known: {names or 'nothing'}")


def _cluster_port(port: Body) -> Ports:
    match list(port.names):
        case ["tcp" | "udp" | "sctp" as name]:
            return _destination_port(port.required(name), PROTOCOLS[name.upper()])
        case ["destinationNamedPort"]:
            return _named_port(port.text("destinationNamedPort"))
        case names:
            raise port.malformed(f"not a protocol that is known: {names or 'nothing'}")


def _destination_port(matched: Body, protocol: int) -> Ports:
    matched.only(("destinationPort",))
    if (port := matched.part("destinationPort")) is None:
        return Ports(traffic(protocol))
    match list(port.names):
        case ["number"]:
            return _span(port, protocol, port.number("number"), port.number("number"))
        case ["range"]:
            span = port.required("range")
            span.only(("start", "end"))
            return _span(span, protocol, span.number("start"), span.number("end"))
        case names:
            raise port.malformed(f"expected number or range, found {names or 'nothing'}")


# --- what all have in common


def _names(one: Object) -> tuple[str, str]:
    """The namespace, empty for objects of the whole cluster, and the name."""
    *namespace, name = parse(one.id).names
    return "".join(namespace), name


def _namespaced_pods(both: Body) -> Expression:
    both.only(("namespaceSelector", "podSelector"))
    namespaces = label_selector(both.required("namespaceSelector"), Of.NAMESPACE)
    return every(namespaces, label_selector(both.required("podSelector"), Of.OWN))


def _unread(pointer: str, problem: Malformed) -> Rule:
    return Rule(Action.UNREAD, (EVERYONE,), ANY_PORT, pointer, unread=str(problem))


def _ports(ports: tuple[Body, ...], read: Callable[[Body], Ports]) -> Ports:
    """The union of a list of ports; without any: all traffic."""
    if not ports:
        return ANY_PORT
    found = [read(port) for port in ports]
    named = frozenset(name for one in found for name in one.named)
    return Ports(RangeSet(piece for one in found for piece in one.numbers.ranges), named)


def _protocol(port: Body) -> int:
    name = port.text("protocol", "TCP")
    if name not in PROTOCOLS:
        raise port.malformed(f"expected {', '.join(PROTOCOLS)}, found {name!r}", "protocol")
    return PROTOCOLS[name]


def _span(where: Body, protocol: int, first: int, last: int) -> Ports:
    if not 0 < first <= last <= _HIGHEST_PORT:
        raise where.malformed(f"{first} to {last} is no range of ports")
    return Ports(traffic(protocol, first, last))


def _named_port(name: str) -> Ports:
    """A port by its name alone, of whatever protocol."""
    return Ports(_NONE, frozenset(NamedPort(protocol, name) for protocol in PROTOCOLS.values()))


_NONE = RangeSet()
_ACTIONS = {"Allow": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS}
_RULES = frozenset({"subject", "ingress", "egress"})
_DIALECTS = {
    ADMIN_NETWORK_POLICIES: _Dialect("AdminNetworkPolicy", _RULES | {"priority"}, _ACTIONS, "ports", _admin_port),
    BASELINE_ADMIN_NETWORK_POLICIES: _Dialect(
        "BaselineAdminNetworkPolicy",
        _RULES,
        {name: action for name, action in _ACTIONS.items() if name != "Pass"},
        "ports",
        _admin_port,
    ),
    CLUSTER_NETWORK_POLICIES: _Dialect(
        "ClusterNetworkPolicy",
        _RULES | {"priority", "tier"},
        {"Accept": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS},
        "protocols",
        _cluster_port,
    ),
}
KINDS: Mapping[str, str] = {type_: dialect.kind for type_, dialect in _DIALECTS.items()}
"""The kinds of the policies of administrators, by their types."""

_COMPILERS: Mapping[str, Callable[[Object, Placing], Iterator[Policy]]] = {
    NETWORK_POLICIES: _network_policy,
    **dict.fromkeys(_DIALECTS, _administrators),
}
