"""What the policies of a cluster do for its namespaces: what is denied by default, and whom a policy is about at all.

Beside the pods and nodes that live there, endpoints are asked about that might: a pod of each workload that has none
now, a new pod in each namespace, and strangers to all of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from aks_audit.facts import Malformed, ManagedCluster, Missing, NotCollected, Unread
from aks_audit.facts.field import named_texts
from aks_audit.facts.platform import is_component
from aks_audit.facts.workloads import DaemonSet, Namespace, Workload, workloads
from aks_audit.network.addresses import EVERYTHING, AddressSet, RangeSet
from aks_audit.policies.calico import compile_calico
from aks_audit.policies.cilium import compile_cilium
from aks_audit.policies.cilium_settings import Settings
from aks_audit.policies.enforcement import Enforced, Engine, enforced, objects_of
from aks_audit.policies.engines import ENGINES
from aks_audit.policies.evaluate import Part, Verdict
from aks_audit.policies.inhabitants import inhabitants
from aks_audit.policies.kubernetes import PLAIN, compile_kubernetes
from aks_audit.policies.model import (
    ANY_PORT,
    EVERYONE,
    TCP,
    UDP,
    Action,
    Direction,
    Endpoint,
    Kind,
    Labels,
    Policy,
    Rule,
    Selection,
)
from aks_audit.policies.ports import KUBERNETES_TRAFFIC, traffic
from aks_audit.policies.reach import Reach
from aks_audit.policies.universe import Universe, bits_of

_NOBODY: Labels = {}
_INTERNET = "192.0.2.254"
"""An address that stands for those of the internet that no policy names; it is nobody's."""

_METADATA = "169.254.169.254"
_DNS = traffic(UDP, 53, 53)
_WEB = traffic(TCP, 80, 80)


class Inmate(NamedTuple):
    """A pod that lives in a namespace, or that its workload would make; `theirs`: it is no component of AKS."""

    number: int
    workload: str
    theirs: bool


class People(NamedTuple):
    """Everybody who is asked about, by their numbers; `missing` is what may hold more of them.

    The first `real` are there or would be made. `pods` are those with an address of their own, by namespace; `new` is a
    new pod in each.
    """

    endpoints: tuple[Endpoint, ...]
    real: int
    pods: Mapping[str, tuple[Inmate, ...]]
    new: Mapping[str, int]
    missing: tuple[Missing, ...]

    @property
    def stranger(self) -> int:
        """A new pod in a namespace that nobody knows."""
        return len(self.endpoints) - 3

    @property
    def internet(self) -> int:
        """An address of the internet."""
        return len(self.endpoints) - 2

    @property
    def metadata(self) -> int:
        """The instance metadata service."""
        return len(self.endpoints) - 1

    def theirs(self, namespace: str) -> tuple[Inmate, ...]:
        """The pods of a namespace that are no components of AKS."""
        return tuple(one for one in self.pods.get(namespace, ()) if one.theirs)


class Default(NamedTuple):
    """What becomes of what no policy names, from or to somebody; and the policies that deny it, or leave it unknown."""

    verdict: Verdict
    policies: tuple[Policy, ...]


class Restricting(NamedTuple):
    """The policies that surely restrict an endpoint in some direction, and those that perhaps do.

    `undone`: those that would, if another, or one of their own rules, did not let everything through there.
    """

    sure: tuple[Policy, ...]
    unsure: tuple[Policy, ...]
    undone: tuple[Policy, ...]


def people(cluster: ManagedCluster) -> People:
    """Everybody who is asked about; found once."""
    return cluster.estate.once(_people, cluster)


def _people(cluster: ManagedCluster) -> People:
    found, known = inhabitants(cluster), workloads(cluster)
    namespaces = {one.name: _labels(one) for one in cluster.estate.within(Namespace, cluster.id)}
    made = [(_made(one, namespaces), one) for one in known.known if not one.pods]
    real = (*found.endpoints, *(endpoint for endpoint, _ in made))
    owners = {(pod.namespace, pod.name): one for one in known.known for pod in one.pods}
    owners |= {(endpoint.namespace, endpoint.name): one for endpoint, one in made}
    pods = defaultdict[str, list[Inmate]](list)
    for number, one in enumerate(real):
        if one.kind is Kind.POD:
            owner = owners.get((one.namespace, one.name))
            name = owner.name if owner else one.name
            pods[one.namespace].append(Inmate(number, name, theirs=owner is None or not _component(owner)))
    new = [_pod("(a new pod)", name, labels) for name, labels in sorted(namespaces.items())]
    stranger = replace(_pod("(a stranger)", "", _NOBODY), addresses=_some_address(cluster, found.endpoints))
    return People(
        (*real, *new, stranger, _address(_INTERNET), _address(_METADATA)),
        len(real),
        {name: tuple(ones) for name, ones in pods.items()},
        {one.namespace: len(real) + at for at, one in enumerate(new)},
        tuple(dict.fromkeys((*found.missing, *known.missing))),
    )


def _component(workload: Workload) -> bool:
    try:
        return is_component(workload)
    except Unread:
        return False


def _pod(name: str, namespace: str, labels: Labels | None) -> Endpoint:
    return Endpoint(Kind.POD, name, namespace, _NOBODY, labels, "default", _NOBODY, node_labels=_NOBODY)


def _address(written: str) -> Endpoint:
    return Endpoint(
        Kind.ADDRESS, written, "", _NOBODY, _NOBODY, "", _NOBODY, AddressSet.written(written), node_labels=_NOBODY
    )


def _some_address(cluster: ManagedCluster, endpoints: Iterable[Endpoint]) -> AddressSet:
    """An address that a pod may have; none where nothing tells of any."""
    try:
        if cluster.pod_cidr:
            return AddressSet.written(str(cluster.pod_cidr[-2]))
    except (Malformed, IndexError):
        return AddressSet()
    return next((one.addresses for one in endpoints if one.kind is Kind.POD and not one.addresses.empty), AddressSet())


def _labels(namespace: Namespace) -> Labels | None:
    try:
        return namespace.object_labels or {}
    except Malformed:
        return None


def _made(workload: Workload, namespaces: Mapping[str, Labels | None]) -> Endpoint:
    """A pod as the workload's template would make it. Its ports have no names."""
    made = _pod(workload.name, workload.namespace, namespaces.get(workload.namespace))
    try:
        template = workload.template
        host = bool(template and template.host_network)
        account = (template.service_account_name if template else None) or "default"
        labels = _template_labels(workload)
    except Malformed:
        return replace(made, labels=None)
    return replace(
        made, kind=Kind.HOST_POD if host else Kind.POD, labels=labels, service_account=account,
        service_account_labels=None, node_labels=None,
    )  # fmt: skip


def _template_labels(workload: Workload) -> Labels | None:
    template = workload.template
    if template is None:
        return None
    way = f"{template.pointer.rpartition('/')[0]}/metadata/labels".strip("/").replace("/", ".")
    return named_texts(way).__get__(workload, Workload) or {}


# --- what is enforced


class Coverage:
    """What the policies in force do for everybody."""

    def __init__(self, policies: Enforced, everybody: People) -> None:
        self.policies = policies
        self.people = everybody
        self._reach = Reach(everybody.endpoints, policies.ruleset)
        self._defaults: dict[tuple[int, Direction, int], Default] = {}
        self._restricting: dict[int, Restricting] = {}

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What was not read, of policies and of those whom they are about."""
        return tuple(dict.fromkeys((*self.policies.missing, *self.people.missing)))

    def by_default(self, number: int, direction: Direction, peer: int) -> Default:
        """What becomes of traffic with a peer that no rule names a port for.

        Most ports are named by no rule, so that it is what becomes of most of them.
        """
        key = self._member(number), direction, peer
        if key not in self._defaults:
            self._defaults[key] = self._default(number, direction, peer)
        return self._defaults[key]

    def _default(self, number: int, direction: Direction, peer: int) -> Default:
        sizes: dict[Verdict, int] = defaultdict(int)
        policies: dict[Verdict, dict[Policy, None]] = defaultdict(dict)
        for ports, part in self._answers(number, direction, peer):
            sizes[part.verdict] += ports.size
            for reason in part.reasons:
                if part.verdict is not Verdict.UNKNOWN or reason.action is Action.UNREAD or not reason.sure:
                    policies[part.verdict].update(dict.fromkeys(reason.policies))
        half = KUBERNETES_TRAFFIC.size // 2
        verdict = Verdict.ALLOWED
        if sizes[Verdict.DENIED] > half:
            verdict = Verdict.DENIED
        elif sizes[Verdict.DENIED] + sizes[Verdict.UNKNOWN] > half:
            verdict = Verdict.UNKNOWN
        return Default(verdict, tuple(policies[verdict]))

    def seen(self, number: int, direction: Direction, peer: int, wanted: RangeSet) -> frozenset[Verdict]:
        """What becomes of some traffic with a peer."""
        answers = self._answers(number, direction, peer)
        return frozenset(part.verdict for ports, part in answers if ports.meets(wanted))

    def names(self, number: int) -> frozenset[Verdict]:
        """What becomes of questions to the cluster's DNS; empty where none of its pods is known."""
        return frozenset(
            verdict
            for server in self._dns
            if server != number
            for verdict in self.seen(number, Direction.EGRESS, server, _DNS)
        )

    def metadata(self, number: int) -> frozenset[Verdict]:
        """What becomes of requests to the instance metadata service, which speaks HTTP."""
        return self.seen(number, Direction.EGRESS, self.people.metadata, _WEB)

    def restricting(self, number: int) -> Restricting:
        """The policies that restrict an endpoint in some direction."""
        member = self._member(number)
        if member not in self._restricting:
            self._restricting[member] = self._restricted(number, member)
        return self._restricting[member]

    def _restricted(self, number: int, member: int) -> Restricting:
        sure: dict[Policy, None] = {}
        unsure: dict[Policy, None] = {}
        undone: dict[Policy, None] = {}
        for direction in Direction:
            known = dict(self._restrictions(member, direction))
            certain = [policy for policy, is_certain in known.items() if is_certain]
            (undone if self._is_open(number, member, direction) else sure).update(dict.fromkeys(certain))
            unsure.update(dict.fromkeys(policy for policy, is_certain in known.items() if not is_certain))
        return Restricting(
            tuple(sure),
            tuple(policy for policy in unsure if policy not in sure),
            tuple(policy for policy in undone if policy not in sure),
        )

    def _restrictions(self, member: int, direction: Direction) -> Iterator[tuple[Policy, bool]]:
        """The policies that would restrict a member in a direction by themselves, and whether they surely do."""
        evaluation = self._reach.evaluation
        for policy in evaluation.selecting(member, direction):
            side = policy.side(direction)
            actions = {rule.action for rule in side.rules} if side else set()
            if side and (side.isolates or Action.DENY in actions):
                taken = [evaluation.universe.taken(one).sure for one in policy.subject]
                yield policy, policy.certain and any(one >> member & 1 for one in taken)
            elif Action.UNREAD in actions:
                yield policy, False

    def _is_open(self, number: int, member: int, direction: Direction) -> bool:
        """Whether policies let everything through, as one allows all that others, or its own selecting, would close.

        That all who are known are let through is not enough, as a policy may close it to others.
        """
        sides = (one.side(direction) for one in self._reach.evaluation.selecting(member, direction))
        rules = [rule for side in sides if side for rule in side.rules]
        if any(rule.action is not Action.ALLOW for rule in rules) or not any(map(self._is_everything, rules)):
            return False
        peers = (self.people.stranger, self.people.internet, self.people.metadata)
        return all(self.seen(number, direction, peer, KUBERNETES_TRAFFIC) <= {Verdict.ALLOWED} for peer in peers)

    def _is_everything(self, rule: Rule) -> bool:
        """Whether a rule is about all traffic with everybody."""
        return (
            rule.ports == ANY_PORT
            and rule.own == EVERYONE
            and not rule.conditions
            and any(self._is_everybody(peer) for peer in rule.peers)
        )

    def _is_everybody(self, peer: Selection) -> bool:
        """Whether a selection takes everybody, by no selector or by every address of the families that are there."""
        addresses = peer.addresses if self._has_v6 else peer.addresses._replace(v6=EVERYTHING.v6)
        return peer._replace(addresses=addresses) == EVERYONE

    @cached_property
    def _has_v6(self) -> bool:
        return any(one.addresses.v6 for one in self.people.endpoints)

    def _answers(self, number: int, direction: Direction, peer: int) -> Iterator[tuple[RangeSet, Part]]:
        other = self._member(peer)
        for part in self._reach.evaluation.parts(self._member(number), direction):
            if part.peers >> other & 1 and (ports := part.traffic & KUBERNETES_TRAFFIC):
                yield ports, part

    def _member(self, number: int) -> int:
        return self._reach.evaluation.universe.member(self._reach.class_of[number])

    @cached_property
    def _dns(self) -> Sequence[int]:
        """The numbers of CoreDNS's pods, one of each class."""
        found = {
            self._reach.class_of[number]: number
            for number, *_ in self.people.pods.get("kube-system", ())
            if (self.people.endpoints[number].labels or {}).get("k8s-app") == "kube-dns"
        }
        return tuple(found.values())


def coverage(cluster: ManagedCluster) -> Coverage:
    """What the policies in force do; found once.

    Raises:
        Unread: which engine there is, or how it is set up, is not known.
    """
    return cluster.estate.once(_coverage, cluster)


def _coverage(cluster: ManagedCluster) -> Coverage:
    policies = enforced(cluster)
    if policies.engine is Engine.NONE and (found := agents(cluster)):
        reason = f"{found[0].name} in {found[0].namespace} may enforce policies, which Azure knows nothing of"
        raise NotCollected(Missing(what=found[0].id, kind="not-read", reason=reason))
    return Coverage(policies, people(cluster))


def agents(cluster: ManagedCluster) -> tuple[DaemonSet, ...]:
    """What enforces network policies on each node, as far as it is known by its name, whoever installed it.

    Raises:
        NotCollected: the DaemonSets could not all be read, and those that were read are none.
    """
    held = cluster.estate.within(DaemonSet, cluster.id)
    found = tuple(one for one in held if one.name in _AGENTS)
    return found or tuple(one for one in held.whole() if one.name in _AGENTS)


_AGENTS = frozenset({"antrea-agent", "azure-npm", "calico-node", "canal", "cilium", "kube-router", "weave-net"})
"""The names of the DaemonSets by which network policy engines come."""


# --- what is written


class Written:
    """The policies as they are written, each by the rules of its own engine, whether anything enforces them or not."""

    def __init__(self, policies: Iterable[Policy], everybody: People) -> None:
        found: dict[str, list[Policy]] = defaultdict(list)
        for policy in policies:
            found[policy.id].append(policy)
        self._policies = {policy_id: tuple(ones) for policy_id, ones in found.items()}
        self.people = everybody
        self.universe = Universe(everybody.endpoints)
        self._real = self._members(range(everybody.real))
        self._new = self._members(everybody.new.values())

    def of(self, policy_id: str) -> tuple[Policy, ...]:
        """The policies that an object comes to."""
        return self._policies.get(policy_id, ())

    def selected(self, policy_id: str) -> Verdict | None:
        """Whether an object selects anybody: ALLOWED surely, UNKNOWN perhaps, DENIED nobody.

        None: nobody who is there, but any new pod.
        """
        policies = self.of(policy_id)
        taken = [self.universe.taken(one) for policy in policies if is_read(policy) for one in policy.subject]
        if any(one.sure & self._real for one in taken):
            return Verdict.ALLOWED
        if any((one.partly | one.unsure) & self._real for one in taken) or not any(map(is_read, policies)):
            return Verdict.UNKNOWN
        return None if any(one.possible & self._new for one in taken) else Verdict.DENIED

    def _members(self, numbers: Iterable[int]) -> int:
        both = {self.universe.member(number, own_node=near) for number in numbers for near in (False, True)}
        return bits_of(both, len(self.universe.members))


def is_read(policy: Policy) -> bool:
    """Whether a policy says anything, and it is known whom it selects: an unread one selects whomever it might."""
    sides = [side for side in (policy.ingress, policy.egress) if side]
    rules = [rule for side in sides for rule in side.rules]
    return any(side.isolates for side in sides) or any(rule.action is not Action.UNREAD for rule in rules)


def written(cluster: ManagedCluster) -> Written:
    """The policies as they are written; read once."""
    return cluster.estate.once(_written, cluster)


def _written(cluster: ManagedCluster) -> Written:
    objects, missing = objects_of(cluster)
    settings = Settings(layer_7=ENGINES.cilium.aks_layer_7.l7, host_firewall=True)
    compiled = (
        compile_kubernetes(objects, PLAIN),
        compile_calico(objects, missing),
        compile_cilium(objects, settings, missing),
    )
    own = {one.id for one in objects}
    return Written((one for part in compiled for one in part.policies if one.id in own), people(cluster))
