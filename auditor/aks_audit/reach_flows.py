"""The flows of `aks-audit reach`: what becomes of traffic between those that policies treat alike, and why."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from aks_audit.network.addresses import RangeSet
from aks_audit.policies.alike import Between, identity
from aks_audit.policies.evaluate import Passage, Reason, Verdict
from aks_audit.policies.model import Kind, Near
from aks_audit.policies.ports import KUBERNETES_TRAFFIC
from aks_audit.policies.reach import Reach

OPEN_FIRST = (Verdict.ALLOWED, Verdict.CONDITIONAL, Verdict.UNKNOWN, Verdict.DENIED)


class Subject(NamedTuple):
    """Endpoints that belong together: a workload, the nodes of a pool, addresses (of which `size` is 1)."""

    name: str
    place: str
    kind: Kind
    size: int


class Side(NamedTuple):
    """Subjects with which the same becomes of traffic. `number` is one of their endpoints in the reach.

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
    """What becomes of some traffic, and why: for each side the reasons, the last one where no condition holds.

    A side has none where it is not told, as the other one lets nothing through.
    """

    verdict: Verdict
    traffic: RangeSet
    egress: tuple[Reason, ...]
    ingress: tuple[Reason, ...]


class Flow(NamedTuple):
    """What becomes of traffic from all of one side to all of the other; the parts have no traffic in common."""

    source: Side
    destination: Side
    parts: tuple[Part, ...]


class End(NamedTuple):
    """An end of a question: the numbers of its endpoints, and what gives the subjects that some of them are."""

    numbers: Iterable[int]
    subjects: Callable[[Iterable[int]], Iterator[Subject]]


class Flows(NamedTuple):
    """The flows, and whether it is the destinations that are told of one by one, each with all of its sources."""

    arriving: bool
    flows: tuple[Flow, ...]


def flows(reach: Reach, source: End, destination: End, *, asked: Sequence[bool]) -> Flows:
    """What becomes of traffic between two ends; `asked` says of each whether it was asked about, or is everybody.

    Where one was, it is told of one by one, and what the other end says only where it matters. The other one is told
    of instead where that is by far shorter: which of a thousand ranges reach whom.
    """
    members = [_members(reach, end) for end in (source, destination)]
    between = Between(reach.evaluation, *(list(one) for one in members))
    sides = [_Sides(reach, end, one) for end, one in zip((source, destination), members, strict=True)]
    closed = frozenset[int]() if all(asked) else frozenset(between.closed)
    pivots = [_Pivot(reach, between, sides, arriving=arriving, closed=closed) for arriving in (False, True)]
    first, second = pivots if asked[0] else reversed(pivots)
    chosen = second if not all(asked) and first.length > _SO_MUCH_SHORTER * second.length else first
    return Flows(chosen.arriving, tuple(chosen.flows()))


_SO_MUCH_SHORTER = 4
_UNTOLD = -1


def _members(reach: Reach, end: End) -> dict[int, list[int]]:
    """The endpoints of an end by members; those on nodes for who is on the same node, and for others."""
    classes: dict[int, list[int]] = defaultdict(list)
    for number in end.numbers:
        classes[reach.class_of[number]].append(number)
    member = reach.evaluation.universe.member
    return {
        member(number, own_node=own_node): together
        for number, together in classes.items()
        for own_node in (False, True)
    }


class _Sides:
    """The sides that members are, each made once."""

    def __init__(self, reach: Reach, end: End, members: Mapping[int, Sequence[int]]) -> None:
        self._universe = reach.evaluation.universe
        self._end = end
        self._members = members
        self._made: dict[tuple[int, ...], Side] = {}

    def of(self, members: tuple[int, ...]) -> Side:
        """The side that members are, all of one kind and as near."""
        if members not in self._made:
            numbers = [number for member in members for number in self._members[member]]
            on_own_node = self._universe.members[members[0]].near is Near.OWN_NODE
            self._made[members] = Side(tuple(self._end.subjects(numbers)), numbers[0], on_own_node)
        return self._made[members]


class _Pivot:
    """One end told of one by one, each with all of the other end that the same becomes of in one."""

    def __init__(
        self, reach: Reach, between: Between, sides: Sequence[_Sides], *, arriving: bool, closed: frozenset[int]
    ) -> None:
        self.arriving = arriving
        self._reach = reach
        self._between = between
        self._sides = sides
        self._closed = closed
        self._ones = between.destinations if arriving else between.sources
        self._others = between.sources if arriving else between.destinations
        members = reach.evaluation.universe.members
        seen = [members[other[0]] for other in self._others]
        kinds: dict[object, int] = {}
        self._kinds = [kinds.setdefault((one.endpoint.kind, one.near), len(kinds)) for one in seen]

    @property
    def length(self) -> int:
        """How many flows there are, more or less."""
        return sum(len(set(self._keys(at))) for at in range(len(self._ones)))

    def flows(self) -> Iterator[Flow]:
        """The flows that are a question."""
        for at, one in enumerate(self._ones):
            for untold, others in self._row(at):
                ends = (others, tuple(one)) if self.arriving else (tuple(one), others)
                source, destination = (sides.of(members) for sides, members in zip(self._sides, ends, strict=True))
                if _is_sensible(source, destination):
                    own_node = source.on_own_node or destination.on_own_node
                    passages = self._reach.between(source.number, destination.number, own_node=own_node)
                    told = (not untold, True) if self.arriving else (True, not untold)
                    yield Flow(source, destination, tuple(_merged(passages, told)))

    def _row(self, at: int) -> list[tuple[bool, tuple[int, ...]]]:
        """The others by what is between; without what the other end says to what one's own does not let through."""
        found: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for key, others in zip(self._keys(at), self._others, strict=True):
            found[key] += others
        return [(_UNTOLD in key, tuple(members)) for key, members in found.items()]

    def _keys(self, at: int) -> Iterator[tuple[int, int, int]]:
        """What tells the others apart: what is said by either side, and what they are."""
        closed = self._closed
        for (own, theirs), kind in zip(self._between.said(at, arriving=self.arriving), self._kinds, strict=True):
            yield own, _UNTOLD if own in closed else theirs, kind


def _is_sensible(source: Side, destination: Side) -> bool:
    """Whether traffic from one to the other is a question: not from one to itself, nor past the cluster."""
    if {source.kind, destination.kind} <= {Kind.ADDRESS, Kind.API_SERVER}:
        return False
    for one, other in ((source, destination), (destination, source)):
        if one.on_own_node and other.kind is not Kind.POD:
            return False
    return source.number != destination.number or source.size > 1 or destination.size > 1


def _merged(passages: Iterable[Passage], told: tuple[bool, bool]) -> Iterator[Part]:
    """Parts of the traffic of Kubernetes' protocols, those for the same reasons in one; what is open first.

    `told` says of each side whether its reasons are.
    """
    found: dict[object, Part] = {}
    for passage in passages:
        traffic = passage.traffic & KUBERNETES_TRAFFIC
        if traffic:
            egress, ingress = passage.egress if told[0] else (), passage.ingress if told[1] else ()
            key = tuple(map(identity, egress)), tuple(map(identity, ingress))
            before = found[key].traffic if key in found else RangeSet()
            found[key] = Part(passage.verdict, before | traffic, egress, ingress)
    yield from sorted(found.values(), key=lambda part: (OPEN_FIRST.index(part.verdict), part.traffic.ranges))
