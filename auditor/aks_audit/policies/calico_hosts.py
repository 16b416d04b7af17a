"""What Calico's host endpoints bring beside the policies that select them.

https://docs.tigera.io/calico/latest/reference/resources/hostendpoint
https://docs.tigera.io/calico/latest/reference/host-endpoints/overview
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import inf

from aks_audit.facts import Malformed
from aks_audit.network.addresses import AddressSet, RangeSet
from aks_audit.policies.body import Body
from aks_audit.policies.calico_cluster import Cluster, Host
from aks_audit.policies.calico_rules import unread
from aks_audit.policies.engines import ENGINES
from aks_audit.policies.model import (
    ALL_KINDS,
    ANY_PORT,
    CLUSTER,
    EVERYONE,
    HOSTS,
    OUTSIDE,
    PODS,
    TCP,
    UDP,
    Action,
    Direction,
    Not,
    Object,
    Of,
    Policy,
    Ports,
    Requirement,
    Rule,
    Selection,
    Side,
    Tier,
)
from aks_audit.policies.ports import traffic

BEFORE = Tier("host endpoints", -inf, Action.PASS)
"""What is asked before all tiers of Calico: the failsafe ports, and what policies for forwarded traffic may do."""
AFTER = Tier("host endpoint profiles", inf, Action.PASS)
"""What is asked after all of them: an interface that no policy speaks of lets nothing through, but by a profile."""

_FELIX = "felixconfigurations"
_FAILSAFE = {
    Direction.INGRESS: ("failsafeInboundHostPorts", ENGINES.calico.failsafe.inbound),
    Direction.EGRESS: ("failsafeOutboundHostPorts", ENGINES.calico.failsafe.outbound),
}
"""Ports that stay open: where they are configured, and which they are by default."""


def nodes(hosts: Iterable[Host]) -> Selection:
    """The nodes of host endpoints; all nodes, if one of them is not known."""
    names = frozenset(host.node for host in hosts)
    return Selection(HOSTS) if "" in names else Selection(HOSTS, _on(names))


def _on(names: frozenset[str]) -> Requirement:
    return Requirement(Of.NAME, "node", "in", names)


def forwarded(policy: Policy, host: Host, reason: str) -> Policy:
    """What a policy may do to traffic that a host endpoint forwards between pods of its node and elsewhere."""
    here = _on(frozenset({host.node}))
    rule = unread(reason, policy.subject_pointer)
    rule = rule._replace(peers=(Selection(CLUSTER, Not(here)), Selection(OUTSIDE)))
    return _beforehand(policy, Selection(PODS, here), Side((rule,), isolates=False))


def undecided(policy: Policy, subject: Selection, reason: str) -> Policy:
    """What a policy may do to nodes, where it cannot be known."""
    return _beforehand(policy, subject, Side((unread(reason, policy.subject_pointer),), isolates=False))


def _beforehand(policy: Policy, subject: Selection, side: Side) -> Policy:
    """The same policy, asked before all tiers: with this side, in the directions that it has."""
    ingress, egress = side if policy.ingress else None, side if policy.egress else None
    return replace(policy, tier=BEFORE.name, order=1, subject=(subject,), ingress=ingress, egress=egress)


def surroundings(cluster: Cluster, configurations: Sequence[Object]) -> Iterator[Policy]:
    """What holds for every host endpoint, whatever policies say."""
    shared = {node for node, count in Counter(host.node for host in cluster.hosts).items() if count > 1}
    for host in cluster.hosts:
        if reason := _why_unread(host, shared, cluster):
            unknown = Side((unread(reason, "/spec"),), isolates=False)
            yield _always(host, BEFORE, unknown, unknown)
            continue
        ingress, egress = (tuple(_open(host, way, configurations)) for way in Direction)
        yield _always(host, BEFORE, Side(ingress, isolates=False), Side(egress, isolates=False))
        if not host.open:
            denied = Side((Rule(Action.DENY, (EVERYONE,), ANY_PORT, "/spec/profiles"),), isolates=False)
            yield _always(host, AFTER, denied, denied)


def _always(host: Host, tier: Tier, ingress: Side, egress: Side) -> Policy:
    name, subject = host.held.endpoint.name, (nodes([host]),)
    return Policy(host.id, "HostEndpoint", name, "", tier.name, 0, subject, ingress, egress)


def _why_unread(host: Host, shared: set[str], cluster: Cluster) -> str:
    if host.held.unread:
        return host.held.unread
    if host.node in shared:
        return f"the node {host.node} has several host endpoints, and it is not known which one traffic passes"
    return "the configuration of Felix could not be read" if _FELIX in cluster.unread else ""


def _open(host: Host, direction: Direction, configurations: Sequence[Object]) -> Iterator[Rule]:
    """What stays open: the failsafe ports; and, where the endpoint is one interface, what does not pass it."""
    name, default = _FAILSAFE[direction]
    try:
        own = [body for body in map(_felix, configurations) if body and body.has(name)]
        if any(not one.id.endswith("/default") for one in own):
            yield unread(f"{name} is set for single nodes", "/spec")
        for port in own[0].parts(name) if own else ():
            yield _failsafe(port)
    except Malformed as damage:
        yield unread(str(damage), "/spec")
        return
    if not own:
        pieces = [traffic(TCP, one, one) for one in default.tcp] + [traffic(UDP, one, one) for one in default.udp]
        yield Rule(Action.ALLOW, (EVERYONE,), Ports(_union(pieces)), "/spec", name="failsafe ports")
    if not host.every_interface:
        here = Selection(CLUSTER, _on(frozenset({host.node})))
        yield Rule(Action.ALLOW, (here,), ANY_PORT, "/spec/interfaceName")


def _felix(one: Object) -> Body | None:
    return Body(one.id, one.body).part("spec")


def _failsafe(port: Body) -> Rule:
    port.only(("net", "port", "protocol"))
    protocol, number = port.text("protocol", "tcp").lower(), port.number("port")
    if protocol not in {"tcp", "udp"}:
        raise port.malformed(f"not a protocol that is known: {protocol!r}", "protocol")
    numbers = traffic(TCP if protocol == "tcp" else UDP, number, number)
    peers = Selection(ALL_KINDS, addresses=AddressSet.of([port.network("net")])) if port.has("net") else EVERYONE
    return Rule(Action.ALLOW, (peers,), Ports(numbers), port.pointer, name="failsafe ports")


def _union(pieces: Iterable[RangeSet]) -> RangeSet:
    return RangeSet(span for piece in pieces for span in piece.ranges)
