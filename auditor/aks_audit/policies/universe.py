"""Endpoints as bits of numbers: which of them a selection takes, for all of them at once.

A set of endpoints is an integer whose bit i is set where it holds the member i, so that a selector is evaluated by a
few operations on integers however many endpoints there are.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import accumulate
from operator import and_, or_
from typing import NamedTuple, TypeVar

from aks_audit.network.addresses import EVERYTHING, AddressSet, RangeSet
from aks_audit.policies.model import HOSTS, Endpoint, Every, Expression, Near, Not, Of, Ports, Requirement, Selection
from aks_audit.policies.ports import resolved
from aks_audit.policies.selectors import fits, labels_of

G = TypeVar("G")


class Member(NamedTuple):
    """An endpoint as another sees it. Nodes, and pods in their network, are two members: on one's own node, or not."""

    endpoint: Endpoint
    near: Near


class Taken(NamedTuple):
    """The members that a selection takes, as three sets that have nothing in common.

    `partly`: with some of their addresses; `unsure`: perhaps, as what decides could not be read.
    """

    sure: int = 0
    partly: int = 0
    unsure: int = 0

    @property
    def possible(self) -> int:
        """Whatever may be taken."""
        return self.sure | self.partly | self.unsure


class _Truth(NamedTuple):
    """For which members something is true, and for which it may be (those included)."""

    yes: int
    possible: int


class Universe:
    """All endpoints that are asked about."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        seen = [tuple(_seen(endpoint)) for endpoint in endpoints]
        self.members = tuple(member for members in seen for member in members)
        self._first = tuple(accumulate((len(members) for members in seen), initial=0))
        self.everyone = (1 << len(self.members)) - 1
        self._kinds = self._group(lambda member: member.endpoint.kind)
        self._near = self._group(lambda member: member.near)
        self._values: dict[tuple[Of, str], Mapping[str, int]] = {}
        self._unread: dict[Of, int] = {}
        self._truths: dict[Expression, _Truth] = {}
        self._taken: dict[Selection, Taken] = {}
        self._resolved: dict[Ports, tuple[tuple[int, RangeSet], ...]] = {}
        self._addresses: _Addresses | None = None

    def taken(self, selection: Selection) -> Taken:
        """The members that a selection takes."""
        if selection not in self._taken:
            self._taken[selection] = self._take(selection)
        return self._taken[selection]

    def resolutions(self, ports: Ports) -> tuple[tuple[int, RangeSet], ...]:
        """What ports come to: each set of traffic with the members that it is at as a destination."""
        if not ports.named and not ports.not_named:
            return ((self.everyone, ports.numbers),)
        if ports not in self._resolved:
            found = self._group(lambda member: resolved(ports, member.endpoint))
            self._resolved[ports] = tuple((bits, numbers) for numbers, bits in found.items())
        return self._resolved[ports]

    def member(self, endpoint: int, *, own_node: bool = False) -> int:
        """The member that an endpoint is, by its number; of a node: for whoever runs on it, or for others."""
        first = self._first[endpoint]
        return first if own_node or self.members[first].near is Near.ANYWHERE else first + 1

    def endpoint(self, member: int) -> int:
        """The number of the endpoint that a member is."""
        return bisect_right(self._first, member) - 1

    def near(self, near: Near) -> int:
        """The members that are so near."""
        return self._near.get(near, 0)

    def _take(self, selection: Selection) -> Taken:
        kinds = reduce(or_, (self._kinds.get(kind, 0) for kind in selection.kinds), 0)
        if selection.near is not Near.ANYWHERE:
            kinds &= self.near(selection.near)
        truth = self._truth(selection.where)
        yes, possible = truth.yes & kinds, truth.possible & kinds
        if selection.addresses == EVERYTHING or not possible:
            return Taken(yes, 0, possible & ~yes)
        if self._addresses is None:
            self._addresses = _Addresses([member.endpoint.addresses for member in self.members])
        whole, some, none_known = self._addresses.inside(selection.addresses)
        sure, partly = yes & whole, yes & some
        return Taken(sure, partly, possible & (whole | some | none_known) & ~(sure | partly))

    def _truth(self, expression: Expression) -> _Truth:
        if expression not in self._truths:
            self._truths[expression] = self._evaluate(expression)
        return self._truths[expression]

    def _evaluate(self, expression: Expression) -> _Truth:
        match expression:
            case Requirement():
                return self._meeting(expression)
            case Not(part):
                found = self._truth(part)
                return _Truth(self.everyone & ~found.possible, self.everyone & ~found.yes)
            case Every(parts):
                truths = [self._truth(part) for part in parts]
                yes = reduce(and_, (truth.yes for truth in truths), self.everyone)
                return _Truth(yes, reduce(and_, (truth.possible for truth in truths), self.everyone))
        truths = [self._truth(part) for part in expression.parts]
        return _Truth(reduce(or_, (one.yes for one in truths), 0), reduce(or_, (one.possible for one in truths), 0))

    def _meeting(self, requirement: Requirement) -> _Truth:
        key = requirement.of, requirement.key
        if key not in self._values:
            self._values[key] = self._by_value(*key)
        values = self._values[key]
        if requirement.operator == "in":
            yes = reduce(or_, (values.get(value, 0) for value in requirement.values), 0)
        else:
            yes = reduce(or_, (bits for value, bits in values.items() if fits(requirement, value)), 0)
        return _Truth(yes, yes | self._unread[requirement.of])

    def _by_value(self, of: Of, key: str) -> Mapping[str, int]:
        """The members that have a label, by its value. Those whose labels could not be read are noted, too."""
        labels = [labels_of(member.endpoint, of) for member in self.members]
        self._unread[of] = bits_of((at for at, one in enumerate(labels) if one is None), len(labels))
        found: dict[str, list[int]] = {}
        for at, one in enumerate(labels):
            if one is not None and (value := one.get(key)) is not None:
                found.setdefault(value, []).append(at)
        return {value: bits_of(members, len(labels)) for value, members in found.items()}

    def _group(self, by: Callable[[Member], G]) -> dict[G, int]:
        found: dict[G, list[int]] = {}
        for at, member in enumerate(self.members):
            found.setdefault(by(member), []).append(at)
        return {key: bits_of(members, len(self.members)) for key, members in found.items()}


def _seen(endpoint: Endpoint) -> Iterator[Member]:
    if endpoint.kind in HOSTS:
        yield Member(endpoint, Near.OWN_NODE)
        yield Member(endpoint, Near.OTHER_NODE)
    else:
        yield Member(endpoint, Near.ANYWHERE)


def bits_of(members: Iterable[int], size: int) -> int:
    """The set of some numbers, all less than `size`."""
    held = bytearray(size // 8 + 1)
    for member in members:
        held[member >> 3] |= 1 << (member & 7)
    return int.from_bytes(held, "little")


def numbers_in(bits: int) -> Iterator[int]:
    """The numbers in a set, in ascending order."""
    written = f"{bits:b}"[::-1]
    at = written.find("1")
    while at >= 0:
        yield at
        at = written.find("1", at + 1)


class _Addresses:
    """Which members have their addresses in a set. Most have one or two single ones, which are found by bisection."""

    def __init__(self, addresses: Sequence[AddressSet]) -> None:
        self._size = len(addresses)
        self._several: dict[int, AddressSet] = {}
        self._none = bits_of((at for at, one in enumerate(addresses) if one.empty), self._size)
        single: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        for at, one in enumerate(addresses):
            if one.v4.size + one.v6.size == 1:
                family = one.v4 or one.v6
                single[one.v4.size == 0].append((family.ranges[0][0], at))
            elif not one.empty:
                self._several[at] = one
        self._single = tuple(
            (tuple(low for low, _ in sorted(one)), tuple(at for _, at in sorted(one))) for one in single
        )

    def inside(self, within: AddressSet) -> tuple[int, int, int]:
        """The members with all of their addresses within a set, with some of them, and those that have none at all."""
        whole: list[int] = []
        for (addresses, members), family in zip(self._single, within, strict=True):
            for low, high in family.ranges:
                whole.extend(members[bisect_left(addresses, low) : bisect_right(addresses, high)])
        some: list[int] = []
        for at, one in self._several.items():
            if within.covers(one):
                whole.append(at)
            elif within.overlaps(one):
                some.append(at)
        return bits_of(whole, self._size), bits_of(some, self._size), self._none
