"""Calico's policies, compiled: NetworkPolicy and GlobalNetworkPolicy, in their tiers. What is staged is never enforced.

A rule's selectors take pods, and the addresses of network sets and of host endpoints; its CIDRs are held against every
address. What Calico does is read in its reference and, where that is silent, in its code (Felix):
https://docs.tigera.io/calico/latest/reference/resources/globalnetworkpolicy
https://docs.tigera.io/calico/latest/reference/resources/networkpolicy
https://docs.tigera.io/calico/latest/reference/resources/tier
"""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

from aks_audit.facts import Malformed
from aks_audit.facts.resource_id import parse as parse_id
from aks_audit.policies import calico_hosts
from aks_audit.policies.body import Body
from aks_audit.policies.calico_cluster import Cluster, read_cluster, served
from aks_audit.policies.calico_rules import compile_rules, subject, unread
from aks_audit.policies.calico_selectors import SelectorError
from aks_audit.policies.kubernetes import NETWORK_POLICIES, Placing
from aks_audit.policies.model import (
    ANYTHING,
    HOSTS,
    PODS,
    Action,
    Compiled,
    Direction,
    Expression,
    Object,
    Policy,
    Selection,
    Side,
    Tier,
)
from aks_audit.policies.selectors import holds, in_namespace

_DEFAULT = Tier("default", 1_000_000, Action.DENY)
_ADMIN = Tier("adminnetworkpolicy", 1_000, Action.PASS)
_BASELINE = Tier("baselineadminnetworkpolicy", 10_000_000, Action.PASS)
_CLUSTER_ADMIN = _ADMIN._replace(name="kube-admin")
_CLUSTER_BASELINE = _BASELINE._replace(name="kube-baseline")
_PASSING = frozenset(tier.name for tier in (_ADMIN, _BASELINE, _CLUSTER_ADMIN, _CLUSTER_BASELINE))
"""The tiers that Calico makes itself, two for ClusterNetworkPolicies. Policies of its own may stand there, too.

https://docs.tigera.io/calico/latest/network-policy/policy-tiers/tiered-policy
"""

_UNKNOWN = Tier("(unknown tier)", -sys.float_info.max, Action.PASS)
_LAST = sys.float_info.max
"""The order of a tier that has none: after all that have one."""

_KUBERNETES_ORDER = 1_000
"""The order of policies of Kubernetes, in the tier default."""

OWN_NODE = frozenset({Direction.INGRESS})
"""A node always reaches its own pods; what these send to it is up to policies."""

_KINDS = {"globalnetworkpolicies": "GlobalNetworkPolicy", "networkpolicies": "NetworkPolicy"}
_FIELDS = (
    *("applyOnForward", "doNotTrack", "egress", "ingress", "namespaceSelector", "order", "performanceHints", "preDNAT"),
    *("selector", "serviceAccountSelector", "tier", "types"),
)
_TYPES = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}


def placing(objects: Sequence[Object]) -> Placing:
    """Where Calico puts policies of Kubernetes' own kinds: among its own, in its tiers."""
    tiers = _tiers(objects)
    return Placing(
        admin=tiers.get(_ADMIN.name, _ADMIN),
        network_policy=tiers.get(_DEFAULT.name, _DEFAULT),
        baseline=tiers.get(_BASELINE.name, _BASELINE),
        network_policy_order=_KUBERNETES_ORDER,
        cluster_admin=tiers.get(_CLUSTER_ADMIN.name, _CLUSTER_ADMIN),
        cluster_baseline=tiers.get(_CLUSTER_BASELINE.name, _CLUSTER_BASELINE),
    )


def compile_calico(objects: Sequence[Object], unread_types: Collection[str] = ()) -> Compiled:
    """Compile Calico's policies among the objects of a cluster, with all that they refer to; others are left alone.

    `unread_types` are types of object that could not be read, or not to their end: rules that may refer to one of those
    are unread. What cannot be read becomes an UNREAD rule for whatever it might concern.
    """
    own = served(objects)
    cluster = read_cluster(objects, unread_types)
    tiers = _tiers(objects)
    policies = [policy for plural in _KINDS for one in own.get(plural, ()) for policy in _policies(one, cluster, tiers)]
    hosts = list(calico_hosts.surroundings(cluster, own.get("felixconfigurations", ())))
    return Compiled((calico_hosts.BEFORE, _UNKNOWN, *tiers.values(), calico_hosts.AFTER), (*hosts, *policies))


# --- tiers


def _tiers(objects: Sequence[Object]) -> dict[str, Tier]:
    """The tiers by their names. One whose order or default is not known is not there."""
    found = {_DEFAULT.name: _DEFAULT}
    for one in served(objects).get("tiers", ()):
        name = parse_id(one.id).name
        try:
            found[name] = _tier(name, Body(one.id, one.body))
        except Malformed:
            found.pop(name, None)
    if _DEFAULT.name in found and _is_tied(objects):
        found[_DEFAULT.name] = found[_DEFAULT.name]._replace(ties="any")
    return found


def _is_tied(objects: Sequence[Object]) -> bool:
    """Whether policies of Calico have the order that policies of Kubernetes have.

    Among those the names decide that Calico has for them, which are not the same in all of its versions
    (`knp.default.web`, or `web`).
    """
    orders = (
        spec.get("order")
        for plural, ones in served(objects).items()
        if plural in _KINDS
        for one in ones
        if isinstance(spec := one.body.get("spec"), Mapping)
    )
    return _KUBERNETES_ORDER in orders and any(one.type == NETWORK_POLICIES for one in objects)


def _tier(name: str, body: Body) -> Tier:
    spec = body.part("spec") or Body(body.id, {})
    spec.only(("defaultAction", "order"))
    order = spec.order("order")
    action = spec.text("defaultAction", "Pass" if name in _PASSING else "Deny")
    if action not in {"Deny", "Pass"}:
        raise spec.malformed(f"not an action that is known: {action!r}", "defaultAction")
    return Tier(name, _LAST if order is None else order, Action.PASS if action == "Pass" else Action.DENY)


# --- policies


class _Read(NamedTuple):
    """A policy that could be read: whom it selects, and in which directions it says what."""

    subject: Expression
    tier: Tier
    order: float
    sides: Mapping[Direction, Side]
    forward: bool
    untracked: bool
    """It is asked before connections are tracked, or before addresses are translated: only host endpoints do so."""


def _policies(one: Object, cluster: Cluster, tiers: Mapping[str, Tier]) -> Iterator[Policy]:
    *namespaces, name = parse_id(one.id).names or ("",)
    namespace = "".join(namespaces)
    kind = _KINDS[one.type.partition(".")[0]]
    try:
        read = _read(Body(one.id, one.body), namespace, cluster, tiers)
    except (Malformed, SelectorError) as problem:
        side = Side((unread(str(problem), "/spec"),), isolates=False)
        home = in_namespace(namespace) if namespace else ANYTHING
        subjects = (Selection(PODS, home),) if namespace else (Selection(PODS), *_all_nodes(cluster))
        yield Policy(one.id, kind, name, namespace, _UNKNOWN.name, 0, subjects, side, side)
        return

    def policy(selected: Selection) -> Policy:
        sides = read.sides.get(Direction.INGRESS), read.sides.get(Direction.EGRESS)
        return Policy(one.id, kind, name, namespace, read.tier.name, read.order, (selected,), *sides, "/spec/selector")

    if not read.untracked:
        yield policy(Selection(PODS, read.subject))
    if not namespace:
        yield from _for_hosts(policy(Selection(HOSTS)), read, cluster)


def _all_nodes(cluster: Cluster) -> tuple[Selection, ...]:
    return (Selection(HOSTS),) if cluster.hosts or "hostendpoints" in cluster.unread else ()


def _for_hosts(policy: Policy, read: _Read, cluster: Cluster) -> Iterator[Policy]:
    """What a global policy says of nodes, by the host endpoints that it selects."""
    if "hostendpoints" in cluster.unread:
        yield calico_hosts.undecided(policy, Selection(HOSTS), "the host endpoints could not all be read")
    taken = [host for host in cluster.hosts if holds(read.subject, host.held.endpoint) is not False]
    if damaged := [host for host in taken if host.held.unread]:
        yield calico_hosts.undecided(policy, calico_hosts.nodes(damaged), damaged[0].held.unread)
    hosts = [host for host in taken if not host.held.unread]
    if not hosts:
        return
    if read.untracked:
        reason = "it is asked before connections are tracked or addresses are translated"
        yield calico_hosts.undecided(policy, calico_hosts.nodes(hosts), reason)
    else:
        yield replace(policy, subject=(calico_hosts.nodes(hosts),))
    if read.forward:
        reason = "it is also about what the host endpoint forwards"
        yield from (calico_hosts.forwarded(policy, host, reason) for host in hosts)


def _read(body: Body, namespace: str, cluster: Cluster, tiers: Mapping[str, Tier]) -> _Read:
    spec = body.part("spec") or Body(body.id, {})
    spec.only(_FIELDS)
    name, order = spec.text("tier", "") or _DEFAULT.name, spec.order("order")
    if name not in tiers:
        raise spec.malformed(f"the tier {name!r} could not be read", "tier")
    return _Read(
        subject(spec, namespace),
        tiers[name],
        inf if order is None else order,
        _sides(spec, namespace, cluster),
        forward=bool(spec.flag("applyOnForward")),
        untracked=bool(spec.flag("doNotTrack")) or bool(spec.flag("preDNAT")),
    )


def _sides(spec: Body, namespace: str, cluster: Cluster) -> Mapping[Direction, Side]:
    """What a policy says in each of its directions.

    Calico's own tools write the types down, by the rules that are there. Where something else wrote the policy and left
    them out, the reference has Calico do so all the same; Felix takes such a policy for one of both directions.
    """
    types = spec.texts("types")
    if strange := [one for one in types if one not in _TYPES]:
        raise spec.malformed(f"not a type that is known: {strange[0]!r}", "types")
    rules = {direction: compile_rules(spec, direction, namespace, cluster) for direction in Direction}
    if types:
        return {_TYPES[one]: Side(rules[_TYPES[one]]) for one in types}
    doubtful = Side(
        (unread("the policy does not say whether it is about this direction", "/spec/types"),), isolates=False
    )
    default = Direction.INGRESS if not rules[Direction.EGRESS] else None
    return {direction: Side(found) if found or direction is default else doubtful for direction, found in rules.items()}
