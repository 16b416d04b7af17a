"""Cilium's policies, compiled: CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.

All that denies goes before all that allows, of policies of Kubernetes, too. A CIDR takes what Cilium knows neither as a
pod nor as a node. Rules of layer 7 and names are conditions of what is allowed:
https://docs.cilium.io/en/stable/security/policy/
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

from aks_audit.facts import Malformed
from aks_audit.facts.resource_id import parse as parse_id
from aks_audit.policies.body import Body
from aks_audit.policies.cilium_peers import Refusable, Restricting, Surroundings, Undecided, subject, surroundings
from aks_audit.policies.cilium_rules import compile_rule
from aks_audit.policies.cilium_settings import CONFIGURATION, Settings
from aks_audit.policies.kubernetes import Placing
from aks_audit.policies.model import (
    ANY_PORT,
    EVERYONE,
    HOSTS,
    OUTSIDE,
    PODS,
    Action,
    Compiled,
    Direction,
    Near,
    Object,
    Of,
    Policy,
    Rule,
    Selection,
    Side,
    Tier,
)
from aks_audit.policies.selectors import in_namespace, label_selector

NETWORK_POLICIES = "ciliumnetworkpolicies.cilium.io"
CLUSTERWIDE = "ciliumclusterwidenetworkpolicies.cilium.io"

_TIER = Tier("Cilium", 0, Action.DENY, deny_wins=True)
_LAYER_7 = Tier("Cilium layer 7", 1, Action.PASS)
"""What rules of layer 7 stop that no rule allows, of policies that don't isolate: enableDefaultDeny does not go so far.

https://docs.cilium.io/en/stable/security/policy/intro/#endpoint-default-policy
"""

OWN_NODE = frozenset[Direction]()
"""Policies may deny a node its own pods."""

_KINDS = {NETWORK_POLICIES: "CiliumNetworkPolicy", CLUSTERWIDE: "CiliumClusterwideNetworkPolicy"}
_FIELDS = (
    *(
        "description",
        "egress",
        "egressDeny",
        "enableDefaultDeny",
        "endpointSelector",
        "ingress",
        "ingressDeny",
        "labels",
    ),
    *("log", "nodeSelector"),
)


def placing(settings: Settings) -> Placing:
    """Where Cilium puts policies of Kubernetes' own kinds: among its own."""
    in_cidr = OUTSIDE | HOSTS if settings.nodes_in_cidrs else OUTSIDE
    return Placing(network_policy=_TIER, in_cidr=in_cidr)


def compile_cilium(objects: Sequence[Object], settings: Settings, unread_types: Collection[str] = ()) -> Compiled:
    """Compile Cilium's policies among the objects of a cluster, with all that they refer to; others are left alone.

    `unread_types` are types of object that could not be read, or not to their end: rules that may refer to one of those
    are unread. What cannot be read becomes an UNREAD rule for whatever it might concern.
    """
    if not settings.enforces:
        return Compiled()
    around = surroundings(objects, unread_types, settings)
    policies = [policy for one in objects if one.type in _KINDS for policy in _policies(one, around)]
    configuration = next((one.id for one in objects if one.id.endswith(f"/configmaps/{CONFIGURATION}")), "")
    return Compiled((_TIER, _LAYER_7), (*_always(settings, configuration), *policies))


def _always(settings: Settings, configuration: str) -> Iterator[Policy]:
    """What holds whatever policies say: a node reaches its own pods; and every pod is isolated, where that is set."""
    if settings.own_node:
        rule = Rule(Action.ALLOW, (Selection(HOSTS, near=Near.OWN_NODE),), ANY_PORT, "", name="allow-localhost")
        yield _of_settings(configuration, "allow-localhost", Side((rule,), isolates=False), None)
    if settings.enforcement == "always":
        yield _of_settings(configuration, "enable-policy", Side(()), Side(()))


def _of_settings(configuration: str, name: str, ingress: Side | None, egress: Side | None) -> Policy:
    pods = (Selection(PODS),)
    return Policy(configuration, "ConfigMap", name, "kube-system", _TIER.name, 0, pods, ingress, egress, "/data")


# --- one policy


class _Read(NamedTuple):
    """A spec that could be read: whom it is about, and what it says in each direction."""

    subject: tuple[Selection, ...]
    pointer: str
    ingress: "_Direction | None"
    egress: "_Direction | None"


class _Direction(NamedTuple):
    """What a spec says in a direction. `doubtful` are rules that are unread, and can only allow more."""

    rules: tuple[Rule, ...]
    doubtful: tuple[Rule, ...]
    isolates: bool

    def known(self) -> Side:
        """What it surely says."""
        return Side(self.rules, self.isolates)

    def doubts(self) -> Side | None:
        """What may be allowed beside."""
        return Side(self.doubtful, isolates=False) if self.doubtful else None

    def stopped(self) -> Side | None:
        """What rules of layer 7 stop, though the policy isolates nothing."""
        stopped = tuple(rule._replace(action=Action.DENY, conditions=()) for rule in self.rules if rule.conditions)
        return Side(stopped, isolates=False) if stopped and not self.isolates else None


def _policies(one: Object, around: Surroundings) -> Iterator[Policy]:
    try:
        specs = _specs(one)
    except Malformed as problem:
        side = Side((_unread(str(problem), "/spec"),), isolates=False)
        yield _policy(one, _possible(one, around), side, side)
        return
    try:
        found = [_read(spec, one, around) for spec in specs]
    except (Malformed, Undecided, Refusable) as problem:
        side = Side((_unread(str(problem), "/spec"),), isolates=False)
        for spec in specs:
            whom = _whom(spec, one, around)
            ingress, egress = (side if _is_about(spec, direction) else None for direction in Direction)
            yield _policy(one, whom, ingress, egress)
        return
    for read in found:
        yield from _sides(one, read)


def _sides(one: Object, read: _Read) -> Iterator[Policy]:
    """A policy for what is known, one for what may be allowed beside, one for what layer 7 stops."""
    ingress, egress = read.ingress, read.egress
    policy = _policy(one, read.subject, ingress and ingress.known(), egress and egress.known(), read.pointer)
    yield policy
    later = (ingress and ingress.doubts(), egress and egress.doubts())
    if any(later):
        yield replace(policy, order=inf, ingress=later[0], egress=later[1])
    stopped = (ingress and ingress.stopped(), egress and egress.stopped())
    if any(stopped):
        yield replace(policy, tier=_LAYER_7.name, ingress=stopped[0], egress=stopped[1])


def _policy(
    one: Object, whom: tuple[Selection, ...], ingress: Side | None, egress: Side | None, pointer: str = "/spec"
) -> Policy:
    namespace, name = _names(one)
    return Policy(one.id, _KINDS[one.type], name, namespace, _TIER.name, 0, whom, ingress, egress, pointer)


def _names(one: Object) -> tuple[str, str]:
    """The namespace, empty for a clusterwide policy, and the name."""
    *namespaces, name = parse_id(one.id).names or ("",)
    return "".join(namespaces), name


def _specs(one: Object) -> tuple[Body, ...]:
    body = Body(one.id, one.body)
    spec = body.part("spec")
    return (*((spec,) if spec else ()), *body.parts("specs"))


def _possible(one: Object, around: Surroundings) -> tuple[Selection, ...]:
    """What a policy may be about that cannot be read."""
    if namespace := _names(one)[0]:
        return (Selection(PODS, in_namespace(namespace)),)
    return (Selection(PODS),) if around.settings.host_firewall is False else (Selection(PODS), Selection(HOSTS))


def _whom(spec: Body, one: Object, around: Surroundings) -> tuple[Selection, ...]:
    """Whom a spec is about that cannot be read; whomever it might be, where that cannot be read either."""
    try:
        spec.only(_FIELDS)
        return _subject(spec, _names(one)[0], around)
    except (Malformed, Undecided):
        return _possible(one, around)


def _is_about(spec: Body, direction: Direction) -> bool:
    """Whether a spec may say something of a direction."""
    return any(name not in _FIELDS or name.startswith(direction.value) for name in spec.names)


def _unread(reason: str, pointer: str) -> Rule:
    return Rule(Action.UNREAD, (EVERYONE,), ANY_PORT, pointer, unread=reason)


def _read(spec: Body, one: Object, around: Surroundings) -> _Read:
    namespace = _names(one)[0]
    spec.only(_FIELDS)
    default_deny = spec.part("enableDefaultDeny") or Body(spec.id, {})
    default_deny.only(("egress", "ingress"))
    return _Read(
        _subject(spec, namespace, around),
        spec.pointer,
        _direction(spec, default_deny, Direction.INGRESS, namespace, around),
        _direction(spec, default_deny, Direction.EGRESS, namespace, around),
    )


def _subject(spec: Body, namespace: str, around: Surroundings) -> tuple[Selection, ...]:
    """Pods; or nodes, which no policy is about where the host firewall is off."""
    if spec.has("endpointSelector") == spec.has("nodeSelector"):
        raise spec.malformed("expected one of endpointSelector and nodeSelector")
    if spec.has("endpointSelector"):
        return (Selection(PODS, subject(spec.required("endpointSelector"), namespace, around.settings)),)
    if namespace:
        raise spec.malformed("Cilium takes a nodeSelector in clusterwide policies alone", "nodeSelector")
    where = label_selector(spec.required("nodeSelector"), Of.NODE)
    return () if around.settings.host_firewall is False else (Selection(HOSTS, where),)


def _direction(
    spec: Body, default_deny: Body, direction: Direction, namespace: str, around: Surroundings
) -> _Direction | None:
    """What a spec says in a direction; None where it has no rules for it."""
    allowed, denied = spec.parts(direction.value), spec.parts(f"{direction.value}Deny")
    if not allowed and not denied:
        return None
    rules: list[Rule] = []
    doubtful: list[Rule] = []
    for action, bodies in ((Action.DENY, denied), (Action.ALLOW, allowed)):
        for body in bodies:
            try:
                rules += compile_rule(body, direction, action, namespace, around)
            except Undecided as problem:
                more = action is Action.ALLOW and not isinstance(problem, Restricting)
                (doubtful if more else rules).append(_unread(str(problem), body.pointer))
    if spec.has("nodeSelector") and around.settings.host_firewall is None:
        unknown = _unread("it is not known whether Cilium's host firewall is on", spec.pointer)
        return _Direction((unknown,), (), isolates=False)
    return _Direction(tuple(rules), tuple(doubtful), default_deny.flag(direction.value) is not False)
