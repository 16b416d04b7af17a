"""`aks-audit reach`: who can talk to whom in a cluster, by its network policies."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_network, summarize_address_range
from typing import NamedTuple

from aks_audit.errors import AuditError
from aks_audit.facts import Estate, ManagedCluster, Missing, Network, Unread
from aks_audit.facts.resource_id import parse
from aks_audit.facts.workloads import workloads_of
from aks_audit.network.addresses import PRIVATE, PUBLIC, AddressSet, RangeSet
from aks_audit.policies.enforcement import POLICY_TYPES, Enforced, Engine, Ignored, enforced
from aks_audit.policies.evaluate import Passage, Reason, Ruleset, Verdict
from aks_audit.policies.inhabitants import api_server, inhabitants
from aks_audit.policies.model import HOSTS, Endpoint, Kind
from aks_audit.policies.ports import KUBERNETES_TRAFFIC
from aks_audit.policies.reach import Matrix, Reach, atoms

NODES, INTERNET, PRIVATE_ADDRESSES, API_SERVER = "nodes", "internet", "private addresses", "api-server"
"""What stands beside the namespaces. Private addresses are those outside of the cluster."""

OPEN_FIRST = (Verdict.ALLOWED, Verdict.CONDITIONAL, Verdict.UNKNOWN, Verdict.DENIED)

BEYOND = frozenset({API_SERVER, INTERNET, PRIVATE_ADDRESSES})
"""What is not in the cluster."""
_MOST_NAMES = 12
_MOST_PREFIXES = 3


class ReachError(AuditError):
    """A question that cannot be asked; the message says what there is to ask about."""


class Question(NamedTuple):
    """What was asked: the words for both ends, None for everybody."""

    cluster: ManagedCluster
    source: str | None = None
    destination: str | None = None


class Subject(NamedTuple):
    """Endpoints that belong together: a workload, the nodes of a pool, addresses (of which `size` is 1)."""

    name: str
    place: str
    kind: Kind
    size: int


class Side(NamedTuple):
    """Subjects that every policy treats alike. `number` is one of their endpoints in the reach.

    `on_own_node`: they are nodes or in the network of nodes, as seen from what runs on the same one.
    """

    subjects: tuple[Subject, ...]
    number: int
    on_own_node: bool = False

    @property
    def kind(self) -> Kind:
        """What all of them are."""
        return self.subjects[0].kind

    @property
    def size(self) -> int:
        """How many endpoints they are."""
        return sum(subject.size for subject in self.subjects)


class Part(NamedTuple):
    """What becomes of some traffic, and why: for each side the reasons, the last one where no condition holds."""

    verdict: Verdict
    traffic: RangeSet
    egress: tuple[Reason, ...]
    ingress: tuple[Reason, ...]


class Flow(NamedTuple):
    """What becomes of traffic from all of one side to all of the other; the parts have no traffic in common."""

    source: Side
    destination: Side
    parts: tuple[Part, ...]


class Answer(NamedTuple):
    """What is known. Where an end was asked for there are `flows`, else the `matrix` of all places.

    `engine` is None where it is not known what enforces policies. `missing` is what was not read: where it may change
    an answer, that is unknown; where it may hold more endpoints, those are not there.
    """

    engine: Engine | None
    policies: int
    flows: tuple[Flow, ...]
    matrix: Matrix | None
    ignored: tuple[Ignored, ...]
    missing: tuple[Missing, ...]

    @property
    def places(self) -> tuple[str, ...]:
        """The places of the matrix: namespaces by name, then what is beside them."""
        beside = [place for place in (NODES, *sorted(BEYOND)) if self.matrix and place in self.matrix.places]
        return (*sorted(place for place in (self.matrix.places if self.matrix else ()) if place not in beside), *beside)

    def cell(self, source: str, destination: str) -> frozenset[Verdict]:
        """What becomes of traffic from a place to another; nothing of what does not concern the cluster."""
        beyond = {source, destination} <= BEYOND
        return frozenset() if self.matrix is None or beyond else self.matrix.cell(source, destination)

    @property
    def complete(self) -> bool:
        """Whether everything that was asked is known."""
        seen = {part.verdict for flow in self.flows for part in flow.parts}
        seen.update(*(self.cell(row, column) for row in self.places for column in self.places))
        return self.engine is not None and not self.missing and Verdict.UNKNOWN not in seen


def ask(estate: Estate, question: Question) -> Answer:
    """Answer a question from what was read.

    Raises:
        ReachError: an end is nothing that is there.
    """
    cluster = question.cluster
    try:
        policies = enforced(cluster)
    except Unread as unread:
        return Answer(None, 0, (), None, (), unread.missing)
    people = _People(estate, cluster, policies.ruleset)
    ends = question.source, question.destination
    chosen = [people.choose(end) for end in ends]
    reach = Reach(people.endpoints, policies.ruleset)
    missing = tuple(dict.fromkeys((*policies.missing, *people.missing)))
    answer = Answer(policies.engine, _count(policies), (), None, policies.ignored, missing)
    if ends == (None, None):
        return answer._replace(matrix=Matrix(reach, people.places))
    named = [people.name if end and "/" in end else people.folded_name for end in ends]
    sides = [list(_sides(people, reach, numbers, name)) for numbers, name in zip(chosen, named, strict=True)]
    return answer._replace(flows=tuple(_flows(reach, *sides)))


def _count(policies: Enforced) -> int:
    """How many objects the policies come from."""
    return len({policy.id for policy in policies.ruleset.policies if parse(policy.id).type in POLICY_TYPES})


class _People:
    """Everybody there is to ask about, in the order of their numbers in the reach."""

    def __init__(self, estate: Estate, cluster: ManagedCluster, ruleset: Ruleset) -> None:
        found = inhabitants(cluster)
        self.missing = found.missing
        self.endpoints: list[Endpoint] = [*found.endpoints, api_server(cluster)]
        self.places = [_place(one) for one in self.endpoints]
        self._cluster = cluster
        self._ruleset = ruleset
        self._owners = _owners(estate, cluster)
        self._names = [self._name(one) for one in self.endpoints]
        families = AddressSet.union_of(one.addresses for one in self.endpoints)
        for name, addresses in ((INTERNET, PUBLIC), (PRIVATE_ADDRESSES, PRIVATE)):
            self._add(name, addresses if families.v6 else addresses._replace(v6=RangeSet()))
        self._everybody = range(len(self.endpoints))

    def name(self, number: int) -> str:
        """What an endpoint belongs to, in words."""
        return self._names[number]

    def folded_name(self, number: int) -> str:
        """The same, but all pods of a namespace that are in the network of nodes in one: they are as the nodes are."""
        one = self.endpoints[number]
        return one.namespace if one.kind is Kind.HOST_POD else self._names[number]

    def choose(self, written: str | None) -> Sequence[int]:
        """The numbers of the endpoints that an end stands for; addresses of its own come to those that are there.

        Raises:
            ReachError: it is nothing that is there.
        """
        if written is None:
            return self._everybody
        wanted = written.strip()
        if wanted.lower() in {NODES, INTERNET, API_SERVER}:
            return self._where(lambda number: self.places[number] == wanted.lower())
        if (addresses := _addresses(wanted)) is not None:
            return self._with(wanted, addresses)
        namespace, _, name = wanted.partition("/")
        pods = self._where(lambda number: bool(namespace) and self.endpoints[number].namespace == namespace)
        chosen = [number for number in pods if not name or name in self._called(number)]
        if chosen:
            return chosen
        raise ReachError(self._nothing(wanted, namespace, pods))

    def _called(self, number: int) -> tuple[str, str]:
        return self.endpoints[number].name, self._names[number].partition("/")[2]

    def _where(self, holds: Callable[[int], bool]) -> list[int]:
        return [number for number in self._everybody if holds(number)]

    def _with(self, written: str, addresses: AddressSet) -> list[int]:
        """Who has one of some addresses in the cluster; and the rest of the addresses, whoever may have them."""
        inside = [
            number
            for number in self._where(lambda number: self.endpoints[number].kind in _INHABITANTS)
            if addresses.overlaps(self.endpoints[number].addresses)
        ]
        rest = addresses.difference(AddressSet.union_of(self.endpoints[number].addresses for number in inside))
        first = len(self.endpoints)
        self._add(written, rest)
        return [*inside, *range(first, len(self.endpoints))]

    def _add(self, name: str, addresses: AddressSet) -> None:
        parts = sorted(atoms(addresses, self._ruleset), key=lambda part: (-part.v4.size, -part.v6.size, part.v4.ranges))
        families = [bool(part.v4) for part in parts]
        for at, part in enumerate(parts):
            nobody: Mapping[str, str] = {}
            self.endpoints.append(
                Endpoint(Kind.ADDRESS, name, "", nobody, nobody, "", nobody, addresses=part, node_labels=nobody)
            )
            self.places.append(name)
            family = " over IPv6" if part.v6 and addresses.v4 else ""
            alone = families.count(families[at]) == 1
            rest = families.index(families[at]) == at and len(_prefixes(part)) > _MOST_PREFIXES
            self._names.append(
                f"{name}{family}" if alone else f"the rest of {name}{family}" if rest else _named(part, name)
            )

    def _name(self, one: Endpoint) -> str:
        if one.namespace:
            return f"{one.namespace}/{self._owners.get((one.namespace, one.name), one.name)}"
        if one.kind is Kind.NODE:
            labels = one.labels or {}
            pool = labels.get("kubernetes.azure.com/agentpool") or labels.get("agentpool")
            return f"nodes of pool {pool}" if pool else "nodes of no pool"
        return API_SERVER

    def _nothing(self, wanted: str, namespace: str, pods: Sequence[int]) -> str:
        names = sorted({self._names[number].partition("/")[2] for number in pods})
        if names:
            return f"no pod or workload {wanted!r} in {self._cluster.name}; in {namespace} there are: {_listed(names)}"
        namespaces = sorted({one.namespace for one in self.endpoints if one.namespace})
        unread = f" (not all was read: {self.missing[0].reason})" if self.missing else ""
        return (
            f"{wanted!r} has no pods in {self._cluster.name}{unread}; give a namespace, NAMESPACE/POD, an address or "
            f"CIDR, {INTERNET}, {NODES} or {API_SERVER}; namespaces with pods: {_listed(namespaces)}"
        )


def _owners(estate: Estate, cluster: ManagedCluster) -> dict[tuple[str, str], str]:
    """The workloads of pods by namespace and name; none where one is damaged, as pods go by their own names, too."""
    with suppress(Unread):
        workloads = workloads_of(estate, cluster.id).known
        return {(pod.namespace, pod.name): workload.name for workload in workloads for pod in workload.pods}
    return {}


_INHABITANTS = HOSTS | {Kind.POD}


def _place(one: Endpoint) -> str:
    if one.kind in HOSTS:
        return NODES
    return one.namespace if one.kind is Kind.POD else API_SERVER


def _addresses(written: str) -> AddressSet | None:
    try:
        return AddressSet.of([ip_network(written, strict=False)])
    except ValueError:
        return None


def _prefixes(addresses: AddressSet) -> list[Network]:
    """The prefixes that addresses are made of; of very many, enough to see that."""
    found: list[Network] = []
    for family, kind in ((addresses.v4, IPv4Address), (addresses.v6, IPv6Address)):
        for low, high in family.ranges[: _MOST_PREFIXES + 1]:
            found += summarize_address_range(kind(low), kind(high))
    return found


def _named(addresses: AddressSet, whole: str) -> str:
    """A part of addresses by its first prefixes."""
    prefixes = _prefixes(addresses)
    shown = ", ".join(map(str, prefixes[:_MOST_PREFIXES])) + (" and more" if len(prefixes) > _MOST_PREFIXES else "")
    return f"{shown} ({whole})" if whole in {INTERNET, PRIVATE_ADDRESSES} else shown


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown or "none"


# --- flows


def _sides(people: _People, reach: Reach, numbers: Iterable[int], name_of: Callable[[int], str]) -> Iterator[Side]:
    """Endpoints by class and by what they belong to; those on nodes for who is on the same node, and for others."""
    classes: dict[int, dict[tuple[str, str], list[int]]] = defaultdict(lambda: defaultdict(list))
    for number in numbers:
        classes[reach.class_of[number]][people.places[number], name_of(number)].append(number)
    for together in classes.values():
        first = next(iter(together.values()))[0]
        kind = people.endpoints[first].kind
        subjects = tuple(
            Subject(name, place, kind, 1 if kind is Kind.ADDRESS else len(members))
            for (place, name), members in together.items()
        )
        yield Side(subjects, first)
        if kind in HOSTS:
            yield Side(subjects, first, on_own_node=True)


def _flows(reach: Reach, sources: Sequence[Side], destinations: Sequence[Side]) -> Iterator[Flow]:
    for source in sources:
        for destination in destinations:
            if _is_sensible(source, destination):
                own_node = source.on_own_node or destination.on_own_node
                passages = reach.between(source.number, destination.number, own_node=own_node)
                yield Flow(source, destination, tuple(_merged(passages)))


def _is_sensible(source: Side, destination: Side) -> bool:
    """Whether traffic from one to the other is a question: not from one to itself, nor past the cluster."""
    if {source.kind, destination.kind} <= {Kind.ADDRESS, Kind.API_SERVER}:
        return False
    for one, other in ((source, destination), (destination, source)):
        if one.on_own_node and other.kind is not Kind.POD:
            return False
    return source.number != destination.number or source.size > 1 or destination.size > 1


def _merged(passages: Iterable[Passage]) -> Iterator[Part]:
    """Parts of the traffic of Kubernetes' protocols, those for the same reasons in one; what is open first."""
    found: dict[object, Part] = {}
    for passage in passages:
        traffic = passage.traffic & KUBERNETES_TRAFFIC
        if traffic:
            key = tuple(map(_identity, passage.egress)), tuple(map(_identity, passage.ingress))
            before = found[key].traffic if key in found else RangeSet()
            found[key] = Part(passage.verdict, before | traffic, passage.egress, passage.ingress)
    yield from sorted(found.values(), key=lambda part: (OPEN_FIRST.index(part.verdict), part.traffic.ranges))


def _identity(reason: Reason) -> object:
    return reason.action, tuple(map(id, reason.policies)), id(reason.rule), reason.conditions, reason.sure
