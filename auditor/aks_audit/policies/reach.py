"""Who can talk to whom in a cluster: endpoints in classes that all policies treat alike, and what is between them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import or_
from typing import NamedTuple

from aks_audit.network.addresses import EVERYTHING, AddressSet, RangeSet
from aks_audit.policies.evaluate import Evaluation, Passage, Reason, Ruleset, Verdict, both, selections
from aks_audit.policies.model import OUTSIDE, Direction, Endpoint, Ports
from aks_audit.policies.ports import KUBERNETES_TRAFFIC
from aks_audit.policies.universe import Universe, bits_of, numbers_in


class Box(NamedTuple):
    """What becomes of some traffic from all of some classes to all of others (sets of members of the universe)."""

    sources: int
    destinations: int
    verdict: Verdict


class _Side(NamedTuple):
    """What becomes of some traffic of members with peers, on their side, and why."""

    members: int
    peers: int
    traffic: RangeSet
    verdict: Verdict
    reasons: tuple[Reason, ...]


class Reach:
    """What policies let through between endpoints, each known by its number."""

    def __init__(self, endpoints: Sequence[Endpoint], ruleset: Ruleset) -> None:
        self.endpoints = endpoints
        self.classes = tuple(_classes(endpoints, ruleset))
        self.class_of = {at: number for number, members in enumerate(self.classes) for at in members}
        self.evaluation = Evaluation(ruleset, Universe(endpoints[members[0]] for members in self.classes))

    def between(self, source: int, destination: int, *, own_node: bool | None = None) -> tuple[Passage, ...]:
        """What becomes of all traffic from one endpoint to another; no two passages have traffic in common.

        `own_node`: as if they were on one node, or not; by default, as they are.
        """
        if own_node is None:
            own_node = on_one_node(self.endpoints[source], self.endpoints[destination])
        return self.evaluation.between(self.class_of[source], self.class_of[destination], own_node=own_node)

    def boxes(self, wanted: RangeSet = KUBERNETES_TRAFFIC) -> Iterator[Box]:
        """What becomes of the traffic that is wanted, from everybody to everybody.

        What one side denies is denied; only what both leave open has to be paired, by two indices of who may send to
        whom, as most of all pairs have nothing open.
        """
        coming = list(self._sides(Direction.INGRESS, wanted))
        yield from (Box(one.peers, one.members, one.verdict) for one in coming if one.verdict is Verdict.DENIED)
        coming = [one for one in coming if one.verdict is not Verdict.DENIED]
        size = len(self.evaluation.universe.members)
        from_member = _Index([one.peers for one in coming], size)
        to_member = _Index([one.members for one in coming], size)
        for leaving in self._sides(Direction.EGRESS, wanted):
            if leaving.verdict is Verdict.DENIED:
                yield Box(leaving.members, leaving.peers, leaving.verdict)
                continue
            fitting = from_member.meeting(leaving.members) & to_member.meeting(leaving.peers)
            for at in numbers_in(fitting):
                other = coming[at]
                if other.traffic.meets(leaving.traffic):
                    verdict = both(leaving.verdict, other.verdict)
                    if verdict is Verdict.UNKNOWN:
                        verdict = Passage(leaving.traffic, leaving.reasons, other.reasons).verdict
                    yield Box(other.peers & leaving.members, other.members & leaving.peers, verdict)

    def _sides(self, direction: Direction, wanted: RangeSet) -> Iterator[_Side]:
        found: dict[object, int] = defaultdict(int)
        first: dict[object, int] = {}
        for member in range(len(self.evaluation.universe.members)):
            profile = self.evaluation.profile(member, direction)
            found[profile] |= 1 << member
            first.setdefault(profile, member)
        for profile, members in found.items():
            for part in self.evaluation.parts(first[profile], direction):
                if traffic := part.traffic & wanted:
                    yield _Side(members, part.peers, traffic, part.verdict, part.reasons)


class _Index:
    """Which of some sets hold a number: for a set of numbers, all those that hold any of them."""

    def __init__(self, sets: Sequence[int], size: int) -> None:
        holding: list[list[int]] = [[] for _ in range(size)]
        for at, one in enumerate(sets):
            for number in numbers_in(one):
                holding[number].append(at)
        self._holding = [bits_of(one, len(sets)) for one in holding]
        self._known: dict[int, int] = {}

    def meeting(self, numbers: int) -> int:
        """The sets that have a number in common with these."""
        if numbers not in self._known:
            self._known[numbers] = reduce(or_, (self._holding[number] for number in numbers_in(numbers)), 0)
        return self._known[numbers]


def on_one_node(one: Endpoint, other: Endpoint) -> bool:
    """Whether two endpoints are on the same node, or one is the node of the other."""
    return bool(one.node) and one.node == other.node


def _classes(endpoints: Sequence[Endpoint], ruleset: Ruleset) -> Iterator[tuple[int, ...]]:
    """The numbers of the endpoints in each class: no selector, and no name of a port, tells its members apart."""
    universe = Universe(endpoints)
    marks: list[list[int]] = [[] for _ in universe.members]
    for number, bits in enumerate({bits for one in selections(ruleset) for bits in universe.taken(one)}):
        # Who is in and who is out divides the members alike, so that the shorter list will do.
        inside = bits if bits.bit_count() * 2 <= len(marks) else universe.everyone & ~bits
        for member in numbers_in(inside):
            marks[member].append(number)
    for number, ports in enumerate(_named(ruleset)):
        for at, (bits, _) in enumerate(universe.resolutions(ports)):
            for member in numbers_in(bits):
                marks[member].append(-1 - number * len(marks) - at)
    found: dict[object, list[int]] = defaultdict(list)
    for at, endpoint in enumerate(endpoints):
        near, far = universe.member(at, own_node=True), universe.member(at)
        found[endpoint.kind, tuple(marks[near]), tuple(marks[far])].append(at)
    yield from map(tuple, found.values())


def _named(ruleset: Ruleset) -> set[Ports]:
    sides = (side for policy in ruleset.policies for side in (policy.ingress, policy.egress) if side)
    return {rule.ports for side in sides for rule in side.rules if rule.ports.named or rule.ports.not_named}


class Matrix:
    """What is seen of traffic from each of some places to each other, such as from namespace to namespace."""

    def __init__(self, reach: Reach, places: Sequence[str], wanted: RangeSet = KUBERNETES_TRAFFIC) -> None:
        """`places` are the names of where each endpoint is, in their order."""
        self.places = tuple(dict.fromkeys(places))
        self._number = {place: at for at, place in enumerate(self.places)}
        self._of_member: list[int] = []
        self._members = [0] * len(self.places)
        self._count: dict[tuple[int, int], int] = defaultdict(int)
        self._note(reach, places)
        self._known: dict[int, int] = {}
        self._seen = {verdict: [0] * len(self.places) for verdict in Verdict}
        for box in reach.boxes(wanted):
            self._mark(box)

    def cell(self, source: str, destination: str) -> frozenset[Verdict]:
        """What becomes of traffic from a place to another; empty where one has no endpoint, or both are but one."""
        row, column = self._number[source], self._number[destination]
        return frozenset(verdict for verdict, rows in self._seen.items() if rows[row] >> column & 1)

    def _note(self, reach: Reach, places: Sequence[str]) -> None:
        universe = reach.evaluation.universe
        for member in range(len(universe.members)):
            inside = 0
            for endpoint in reach.classes[universe.endpoint(member)]:
                at = self._number[places[endpoint]]
                inside |= 1 << at
                self._members[at] |= 1 << member
                self._count[member, at] += 1
            self._of_member.append(inside)

    def _mark(self, box: Box) -> None:
        sources, destinations = self._places(box.sources), self._places(box.destinations)
        rows = self._seen[box.verdict]
        for row in numbers_in(sources):
            columns = destinations
            if columns >> row & 1 and self._is_one(box, row):
                columns &= ~(1 << row)
            rows[row] |= columns

    def _places(self, members: int) -> int:
        if members not in self._known:
            self._known[members] = reduce(or_, (self._of_member[member] for member in numbers_in(members)), 0)
        return self._known[members]

    def _is_one(self, box: Box, place: int) -> bool:
        """Whether all that a box says of a place and itself is about one endpoint and itself."""
        sources = box.sources & self._members[place]
        if sources.bit_count() != 1 or sources != box.destinations & self._members[place]:
            return False
        return self._count[sources.bit_length() - 1, place] == 1


def atoms(addresses: AddressSet, ruleset: Ruleset) -> tuple[AddressSet, ...]:
    """Cut addresses into the parts that no CIDR of a policy tells apart."""
    cidrs = {one.addresses for one in selections(ruleset) if one.addresses != EVERYTHING and one.kinds & OUTSIDE}
    v4 = _cut(addresses.v4, [cidr.v4 for cidr in cidrs])
    v6 = _cut(addresses.v6, [cidr.v6 for cidr in cidrs])
    return (*(AddressSet(v4=part) for part in v4), *(AddressSet(v6=part) for part in v6))


def _cut(whole: RangeSet, pieces: Iterable[RangeSet]) -> list[RangeSet]:
    """The parts of a set that lie in the same of some others, by walking along all of their edges."""
    edges: dict[int, int] = defaultdict(int)
    for number, one in enumerate((whole, *pieces)):
        for low, high in one.ranges:
            edges[low] ^= 1 << number
            edges[high + 1] ^= 1 << number
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    inside, start = 0, 0
    for edge in sorted(edges):
        if inside & 1:
            found[inside].append((start, edge - 1))
        inside, start = inside ^ edges[edge], edge
    return [RangeSet(ranges) for ranges in found.values()]
