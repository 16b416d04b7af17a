"""`aks-audit reach`: who can talk to whom in a cluster, by its network policies."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import cached_property, partial
from ipaddress import IPv4Address, IPv6Address, ip_network, summarize_address_range
from typing import NamedTuple

from aks_audit.errors import AuditError
from aks_audit.facts import Estate, ManagedCluster, Missing, Network, Unread
from aks_audit.facts.resource_id import parse
from aks_audit.facts.services import Service
from aks_audit.facts.workloads import workloads_of
from aks_audit.network.addresses import PRIVATE, PUBLIC, AddressSet, RangeSet
from aks_audit.policies.enforcement import POLICY_TYPES, Enforced, Engine, Ignored, enforced
from aks_audit.policies.evaluate import Ruleset, Verdict
from aks_audit.policies.inhabitants import api_server, inhabitants
from aks_audit.policies.model import HOSTS, Endpoint, Kind
from aks_audit.policies.reach import Matrix, Reach, atoms
from aks_audit.reach_flows import End, Flow, Subject, flows

NODES, INTERNET, PRIVATE_ADDRESSES, API_SERVER = "nodes", "internet", "private addresses", "api-server"
"""What stands beside the namespaces. Private addresses are those outside of the cluster."""

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


class Answer(NamedTuple):
    """What is known. Where an end was asked for there are `flows`, else the `matrix` of all places.

    `arriving`: the flows tell of the destinations one by one, each with all of its sources; else of the sources.

    `engine` is None where it is not known what enforces policies. `missing` is what was not read: where it may change
    an answer, that is unknown; where it may hold more endpoints, those are not there.
    """

    engine: Engine | None
    policies: int
    flows: tuple[Flow, ...]
    matrix: Matrix | None
    ignored: tuple[Ignored, ...]
    missing: tuple[Missing, ...]
    arriving: bool = False

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
    source, destination = (
        End(numbers, partial(people.subjects, folded=not (end and "/" in end)))
        for numbers, end in zip(chosen, ends, strict=True)
    )
    found = flows(reach, source, destination, asked=[end is not None for end in ends])
    return answer._replace(flows=found.flows, arriving=found.arriving)


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
        self._outside: dict[str, AddressSet] = {}
        self._subjects: dict[tuple[tuple[str, str], int], Subject] = {}
        families = AddressSet.union_of(one.addresses for one in self.endpoints)
        for name, addresses in ((INTERNET, PUBLIC), (PRIVATE_ADDRESSES, PRIVATE)):
            self._add(name, addresses if families.v6 else addresses._replace(v6=RangeSet()))
        self._everybody = range(len(self.endpoints))

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
            if service := self._service(lambda one: wanted in (one.cluster_ips or ())):
                raise ReachError(f"{wanted} is an address of {service}")
            return self._with(wanted, addresses)
        namespace, _, name = wanted.partition("/")
        pods = self._where(lambda number: bool(namespace) and self.endpoints[number].namespace == namespace)
        chosen = [number for number in pods if not name or name in self._called(number)]
        if chosen:
            return chosen
        raise ReachError(self._nothing(wanted, namespace, pods))

    @cached_property
    def _belonging(self) -> list[tuple[str, str]]:
        """Place and name of what each endpoint belongs to."""
        return list(zip(self.places, self._names, strict=True))

    @cached_property
    def _folded(self) -> list[tuple[str, str]]:
        """The same, with all pods of a namespace that are in the network of nodes under the name of the namespace."""
        return [
            (place, one.namespace if one.kind is Kind.HOST_POD else name)
            for one, place, name in zip(self.endpoints, self.places, self._names, strict=True)
        ]

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
        """Addresses outside of the cluster, cut where policies cut them."""
        self._outside[name] = addresses
        nobody: Mapping[str, str] = {}
        for part in sorted(atoms(addresses, self._ruleset), key=lambda part: (part.v6.ranges, part.v4.ranges)):
            self.endpoints.append(
                Endpoint(Kind.ADDRESS, name, "", nobody, nobody, "", nobody, addresses=part, node_labels=nobody)
            )
            self.places.append(name)
            self._names.append(name)

    def subjects(self, numbers: Iterable[int], *, folded: bool) -> Iterator[Subject]:
        """What endpoints of one kind belong to; of addresses the parts of what was asked that they are.

        Where it is to be `folded`, all pods of a namespace that are in the network of nodes are one subject.
        """
        listed = list(numbers)
        kind = self.endpoints[listed[0]].kind
        if kind is Kind.ADDRESS:
            yield from self._of_addresses(listed)
            return
        belonging = self._folded if folded else self._belonging
        for belongs, size in Counter(map(belonging.__getitem__, listed)).items():
            yield self._subject(belongs, kind, size)

    def _of_addresses(self, numbers: Iterable[int]) -> Iterator[Subject]:
        together: dict[str, list[AddressSet]] = defaultdict(list)
        for number in numbers:
            together[self.places[number]].append(self.endpoints[number].addresses)
        for place, parts in together.items():
            for part in _parts_named(AddressSet.union_of(parts), place, self._outside[place]):
                yield Subject(part, place, Kind.ADDRESS, 1)

    def _subject(self, belongs: tuple[str, str], kind: Kind, size: int) -> Subject:
        """A subject, made once: many sides have the same."""
        key = belongs, size
        if key not in self._subjects:
            place, name = belongs
            self._subjects[key] = Subject(name, place, kind, size)
        return self._subjects[key]

    def _name(self, one: Endpoint) -> str:
        if one.namespace:
            return f"{one.namespace}/{self._owners.get((one.namespace, one.name), one.name)}"
        if one.kind is Kind.NODE:
            labels = one.labels or {}
            pool = labels.get("kubernetes.azure.com/agentpool") or labels.get("agentpool")
            return f"nodes of pool {pool}" if pool else "nodes of no pool"
        return API_SERVER

    def _service(self, is_meant: Callable[[Service], bool]) -> str | None:
        """What to ask about instead of a Service inside the cluster; None where none is meant that can be read."""
        with suppress(Unread):
            for service in self._cluster.estate.within(Service, self._cluster.id):
                if is_meant(service):
                    pods = " or ".join(f"{one.namespace}/{one.name}" for one in service.targets)
                    ask = f"ask about {pods}" if pods else "it has none that are known"
                    return f"Service {service.namespace}/{service.name}; policies are about its pods: {ask}; {_BY_PATH}"
        return None

    def _nothing(self, wanted: str, namespace: str, pods: Sequence[int]) -> str:
        names = sorted({self._names[number].partition("/")[2] for number in pods})
        if service := self._service(lambda one: f"{one.namespace}/{one.name}" == wanted):
            return f"{wanted!r} is a name of {service}"
        if names:
            near = _near(wanted, [f"{namespace}/{called}" for number in pods for called in self._called(number)])
            there = f"in {namespace} there are: {_listed(names)}"
            return f"no pod or workload {wanted!r} in {self._cluster.name}; {near}{there}"
        namespaces = sorted({one.namespace for one in self.endpoints if one.namespace})
        unread = f" (not all was read: {self.missing[0].reason})" if self.missing else ""
        near = _near(namespace, namespaces)
        return (
            f"{wanted!r} has no pods in {self._cluster.name}{unread}; {near}give a namespace, NAMESPACE/POD, an "
            f"address or CIDR, {INTERNET}, {NODES} or {API_SERVER}; namespaces with pods: {_listed(namespaces)}"
        )


_BY_PATH = "aks-audit path walks through Services"


def _near(wanted: str, there: Sequence[str]) -> str:
    """The name that may be meant, as a question; nothing where none is near."""
    close = get_close_matches(wanted, dict.fromkeys(there), 1)
    return f"did you mean {close[0]}? " if close else ""


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


def _parts_named(addresses: AddressSet, whole: str, of: AddressSet) -> Iterator[str]:
    """What addresses are called that are some of those of a name: of each family apart, unless they are all."""
    if addresses == of:
        yield whole
        return
    for part, every in zip(_families(addresses), _families(of), strict=True):
        family = " over IPv6" if part.v6 and of.v4 else ""
        if part == every and not part.empty:
            yield f"{whole}{family}"
        elif not part.empty:
            most = 2 * (part.v4.size + part.v6.size) > every.v4.size + every.v6.size
            prefixes = _prefixes(part)
            rest = most and len(prefixes) > _MOST_PREFIXES
            yield f"the rest of {whole}{family}" if rest else _named(prefixes, whole)


def _families(addresses: AddressSet) -> tuple[AddressSet, AddressSet]:
    return addresses._replace(v6=RangeSet()), addresses._replace(v4=RangeSet())


def _prefixes(addresses: AddressSet) -> list[Network]:
    """The prefixes that addresses are made of; of very many, enough to see that."""
    found: list[Network] = []
    for family, kind in ((addresses.v4, IPv4Address), (addresses.v6, IPv6Address)):
        for low, high in family.ranges[: _MOST_PREFIXES + 1]:
            found += summarize_address_range(kind(low), kind(high))
    return found


def _named(prefixes: Sequence[Network], whole: str) -> str:
    """A part of addresses by its first prefixes."""
    shown = ", ".join(map(str, prefixes[:_MOST_PREFIXES])) + (" and more" if len(prefixes) > _MOST_PREFIXES else "")
    return f"{shown} ({whole})" if whole in {INTERNET, PRIVATE_ADDRESSES} else shown


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown or "none"
