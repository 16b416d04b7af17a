"""The one form that all kinds of network policy are compiled to, and its meaning.

An endpoint (a pod, a node, an address) is asked in a direction. The tiers are asked in their order. In a tier, the
rules of the policies that select the endpoint and have that direction are asked, policy by policy (`Policy.order`, then
name), rule by rule; where `Tier.deny_wins`, first all that deny, then all that are unread, then all that allow, then
what is unread of policies whose order is infinite, as it can only allow more. The first rule that matches peer and
traffic decides:

- ALLOW, DENY: that is the answer of this direction.
- PASS: the rest of this tier is left out; the next tier is asked.
- LOG: nothing; the next rule is asked.
- UNREAD: it cannot be known what the rule does; the answer is unknown unless nothing depends on it.

A rule that matches only under conditions (text: an HTTP path, a DNS name) decides where they hold; where they don't,
the next rule is asked. Where no rule of a tier decided, and some policy that isolates selected the endpoint, the
tier's `default` is the answer (DENY, or PASS to the next tier). After the last tier everything is allowed.

Traffic goes through when the egress of its source and the ingress of its destination allow it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple, TypeAlias

from aks_audit.network.addresses import EVERYTHING, AddressSet, RangeSet


class Direction(StrEnum):
    """Seen from the endpoint that a policy selects."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Action(StrEnum):
    """What a rule does with what it matches."""

    ALLOW = "allow"
    DENY = "deny"
    PASS = "pass"  # noqa: S105 - the word of the policies, not a password
    LOG = "log"
    UNREAD = "unread"


class Kind(StrEnum):
    """What an endpoint is. Every endpoint is of exactly one kind."""

    POD = "pod"
    """A pod with an address of its own."""
    HOST_POD = "host-network pod"
    """A pod in the network of its node; engines mostly take it for the node."""
    NODE = "node"
    API_SERVER = "api server"
    """The Kubernetes API server of the cluster, which on AKS is outside of it."""
    ADDRESS = "address"
    """Any other address."""


CLUSTER = frozenset({Kind.POD, Kind.HOST_POD, Kind.NODE})
PODS = frozenset({Kind.POD})
HOSTS = frozenset({Kind.HOST_POD, Kind.NODE})
OUTSIDE = frozenset({Kind.ADDRESS, Kind.API_SERVER})
ALL_KINDS = frozenset(Kind)


# --- endpoints


class ContainerPort(NamedTuple):
    """A port that a container names; `protocol` is its IP protocol number."""

    name: str
    protocol: int
    number: int


Labels: TypeAlias = Mapping[str, str]
NO_ADDRESS = AddressSet()


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """Something that sends or receives. Labels are None where they could not be read.

    `labels` are those of the pod or node itself. `node` is the name of the node that a pod runs on, of a node its own,
    and `node_labels` are that node's.
    """

    kind: Kind
    name: str
    namespace: str = ""
    labels: Labels | None = None
    namespace_labels: Labels | None = None
    service_account: str = ""
    service_account_labels: Labels | None = None
    addresses: AddressSet = NO_ADDRESS
    ports: tuple[ContainerPort, ...] = ()
    node: str = ""
    node_labels: Labels | None = None


# --- which endpoints: expressions over labels and names. They are no tuples: an Every equals no Some of the same parts.


class Of(StrEnum):
    """Whose label a requirement is about; NAME: one of the endpoint's own names, by the keys in `NAMES`."""

    OWN = "own"
    """Labels of the pod or the node itself."""
    NAMESPACE = "namespace"
    SERVICE_ACCOUNT = "service account"
    NODE = "node"
    """Labels of the node that a pod runs on; of a node, its own."""
    NAME = "name"


NAMES = ("name", "namespace", "service account", "node")
"""The keys of `Of.NAME`; a name that the endpoint does not have (the namespace of an address) counts as absent."""

Operator: TypeAlias = Literal["in", "exists", "contains", "starts with", "ends with"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One label: it is there (`exists`), and its value is, contains, starts or ends with one of the values.

    Never true of an absent label. NotIn and DoesNotExist are `Not` of this, and so true of an absent one.
    """

    of: Of
    key: str
    operator: Operator
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; of what cannot be known, it cannot be known either."""

    part: "Expression"


@dataclass(frozen=True, slots=True)
class Every:
    """All parts are true; of no part: true."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part is true; of no part: false."""

    parts: tuple["Expression", ...]


Expression: TypeAlias = Requirement | Not | Every | Some

ANYTHING = Every(())
NOTHING = Some(())


class Near(StrEnum):
    """Where a peer is, seen from the endpoint that the policy selects (Cilium's host and remote-node)."""

    ANYWHERE = "anywhere"
    OWN_NODE = "own node"
    OTHER_NODE = "other node"


class Selection(NamedTuple):
    """Endpoints of these kinds, for which the expression is true, with an address in `addresses`, and so near.

    `addresses` other than EVERYTHING is a CIDR (less its exceptions, and negations) that is held against the endpoint's
    own addresses; whether an engine holds CIDRs against pods and nodes at all is said by `kinds`. Of an endpoint
    that is itself many addresses (the internet), those in `addresses` are matched. `conditions`: it is matched
    only where they hold, such as "the name resolves to it: api.example.com".
    """

    kinds: frozenset[Kind]
    where: Expression = ANYTHING
    addresses: AddressSet = EVERYTHING
    near: Near = Near.ANYWHERE
    conditions: tuple[str, ...] = ()


EVERYONE = Selection(ALL_KINDS)


# --- which traffic

TCP, UDP, SCTP, ICMP, ICMP_V6, UDP_LITE = 6, 17, 132, 1, 58, 136
PORTS = 65536
ALL_TRAFFIC = RangeSet([(0, 256 * PORTS - 1)])
"""Traffic is a set of numbers: IP protocol number * 65536 + destination port; ICMP: type * 256 + code for the port."""


class NamedPort(NamedTuple):
    """A port by the name that a container of the destination gives it."""

    protocol: int
    name: str


class Ports(NamedTuple):
    """Traffic to: `numbers`, and the `named` ports of the destination, less its `not_named` ports.

    A name that the destination does not have adds and takes nothing.
    """

    numbers: RangeSet = ALL_TRAFFIC
    named: frozenset[NamedPort] = frozenset()
    not_named: frozenset[NamedPort] = frozenset()


ANY_PORT = Ports()


# --- policies


class Rule(NamedTuple):
    """What is done with the traffic of `ports` with any of the `peers` (of no peers: nothing is matched).

    `own` narrows the selected endpoint itself further (Calico: the destination of an ingress rule). `conditions` must
    all hold, such as "HTTP GET /health" or "from source port 53". `pointer` is the rule's place in the policy's body,
    `name` what the policy calls it, `unread` why an UNREAD rule is so.
    """

    action: Action
    peers: tuple[Selection, ...]
    ports: Ports
    pointer: str
    conditions: tuple[str, ...] = ()
    own: Selection = EVERYONE
    name: str = ""
    unread: str = ""


class Side(NamedTuple):
    """What a policy says in one direction. Where it `isolates`, its selecting an endpoint brings the tier's default."""

    rules: tuple[Rule, ...]
    isolates: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One policy object, or one of several specs of one. A direction that it says nothing of is None.

    `id` is the object's id in the snapshot, `kind` its kind as Kubernetes writes it, `tier` the name of a `Tier`.
    A policy that cannot be read whole has an UNREAD rule for what it might do, and selects whatever it might. Where it
    is not `certain`, it cannot be told whether it is enforced.
    """

    id: str
    kind: str
    name: str
    namespace: str
    tier: str
    order: float
    subject: tuple[Selection, ...]
    ingress: Side | None
    egress: Side | None
    subject_pointer: str = "/spec"
    certain: bool = True

    def side(self, direction: Direction) -> Side | None:
        """What it says in a direction."""
        return self.ingress if direction is Direction.INGRESS else self.egress


class Tier(NamedTuple):
    """Policies that are asked together. `default` is DENY or PASS, and counts for endpoints that they isolate.

    Of policies with the same order, the one whose name comes first is asked first; or, if `ties` is "any", any of
    them may be, so that where they disagree the answer is unknown.
    """

    name: str
    order: float
    default: Literal[Action.DENY, Action.PASS]
    deny_wins: bool = False
    ties: Literal["name", "any"] = "name"


class Compiled(NamedTuple):
    """What one kind of policy comes to: policies, and the tiers they stand in (the same tier may come from several)."""

    tiers: tuple[Tier, ...] = ()
    policies: tuple[Policy, ...] = ()


# --- what compilers are given


class Object(NamedTuple):
    """A Kubernetes object as it was read: its id in the snapshot, its type (`networkpolicies.networking.k8s.io`)."""

    id: str
    type: str
    body: Mapping[str, Any]
