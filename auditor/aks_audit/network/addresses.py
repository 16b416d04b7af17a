"""Sets of numbers: IPv4 addresses, IPv6 addresses, ports. Exact, by sorted disjoint ranges.

All operations are linear in the number of ranges at most.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple, Self

from aks_audit.facts import Network


class RangeSet:
    """An immutable set of integers as disjoint inclusive ranges in ascending order."""

    __slots__ = ("ranges",)

    ranges: tuple[tuple[int, int], ...]

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        merged: list[tuple[int, int]] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], high))
            else:
                merged.append((low, high))
        self.ranges = tuple(merged)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and self.ranges == other.ranges

    def __hash__(self) -> int:
        return hash(self.ranges)

    def __repr__(self) -> str:
        return f"RangeSet({self.ranges!r})"

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.ranges, (number, float("inf"))) - 1
        return at >= 0 and number <= self.ranges[at][1]

    def __len__(self) -> int:
        """How many ranges, not how many numbers; see `size`."""
        return len(self.ranges)

    @property
    def size(self) -> int:
        """How many numbers the set holds."""
        return sum(high - low + 1 for low, high in self.ranges)

    def __or__(self, other: Self) -> "RangeSet":
        return RangeSet([*self.ranges, *other.ranges])

    def __and__(self, other: Self) -> "RangeSet":
        return _made(_intersect(self.ranges, other.ranges)) if self._reaches(other) else _NOTHING

    def __sub__(self, other: "RangeSet") -> "RangeSet":
        return _made(_subtract(self.ranges, other.ranges)) if self._reaches(other) else self

    def meets(self, other: Self) -> bool:
        """Whether the sets have a number in common."""
        return self._reaches(other) and any(True for _ in _intersect(self.ranges, other.ranges))

    def __le__(self, other: Self) -> bool:
        """Whether every number of this set is in the other."""
        own, others = self.ranges, other.ranges
        if not own or not others:
            return not own
        if own[0][0] < others[0][0] or others[-1][1] < own[-1][1]:
            return False
        return len(others) == 1 or not any(True for _ in _subtract(own, others))

    def _reaches(self, other: "RangeSet") -> bool:
        """Whether neither set begins after the other has ended; if not, they have nothing in common."""
        own, others = self.ranges, other.ranges
        return bool(own and others) and own[0][0] <= others[-1][1] and others[0][0] <= own[-1][1]


def _made(ranges: Iterable[tuple[int, int]]) -> RangeSet:
    """The set of ranges that are disjoint and in order already, with a gap between any two."""
    found = RangeSet.__new__(RangeSet)
    found.ranges = tuple(ranges)
    return found


_NOTHING = RangeSet()


def _start(ranges: tuple[tuple[int, int], ...], others: tuple[tuple[int, int], ...]) -> int:
    """The place of the first range that may meet any of the others."""
    return max(0, bisect_right(ranges, (others[0][0], float("inf"))) - 1) if others else 0


def _intersect(left: tuple[tuple[int, int], ...], right: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, int]]:
    one, other = _start(left, right), _start(right, left)
    while one < len(left) and other < len(right):
        low = max(left[one][0], right[other][0])
        high = min(left[one][1], right[other][1])
        if low <= high:
            yield low, high
        if left[one][1] < right[other][1]:
            one += 1
        else:
            other += 1


def _subtract(left: tuple[tuple[int, int], ...], right: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, int]]:
    at = _start(right, left)
    for start, high in left:
        low = start
        while at < len(right) and right[at][1] < low:
            at += 1
        index = at
        while index < len(right) and right[index][0] <= high:
            if right[index][0] > low:
                yield low, right[index][0] - 1
            low = right[index][1] + 1
            index += 1
        if low <= high:
            yield low, high


_OCTET = "(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])"
_V4 = re.compile(rf"{_OCTET}[.]{_OCTET}[.]{_OCTET}[.]{_OCTET}(?:/([0-9]|[12][0-9]|3[0-2]))?")
"""The usual way to write a prefix or address, which is read without the ceremonies of ipaddress."""


class AddressSet(NamedTuple):
    """A set of IPv4 and IPv6 addresses; the two families never mix."""

    v4: RangeSet = RangeSet()
    v6: RangeSet = RangeSet()

    @classmethod
    def of(cls, networks: Iterable[Network]) -> "AddressSet":
        """The union of prefixes."""
        v4: list[tuple[int, int]] = []
        v6: list[tuple[int, int]] = []
        for network in networks:
            family = v4 if isinstance(network, IPv4Network) else v6
            first = int(network.network_address)
            family.append((first, first + (1 << network.max_prefixlen - network.prefixlen) - 1))
        return cls(RangeSet(v4), RangeSet(v6))

    @classmethod
    def written(cls, prefix: str) -> "AddressSet":
        """The addresses of a prefix as it is written, host bits or not, or the one address.

        Raises:
            ValueError: it is neither.
        """
        found = _V4.fullmatch(prefix)
        if not found:
            return cls.of([ip_network(prefix, strict=False)])
        *octets, length = map(int, found.groups("32"))
        size = 1 << 32 - length
        first = int.from_bytes(octets) & -size
        return cls(_made([(first, first + size - 1)]))

    @classmethod
    def union_of(cls, sets: "Iterable[AddressSet]") -> "AddressSet":
        """All addresses of any."""
        every = tuple(sets)
        if len(every) == 1:
            return every[0]
        return cls(
            RangeSet(piece for one in every for piece in one.v4.ranges),
            RangeSet(piece for one in every for piece in one.v6.ranges),
        )

    def union(self, other: "AddressSet") -> "AddressSet":
        """All addresses of either."""
        return AddressSet(self.v4 | other.v4, self.v6 | other.v6)

    def difference(self, other: "AddressSet") -> "AddressSet":
        """The addresses of this set that are not in the other."""
        return AddressSet(self.v4 - other.v4, self.v6 - other.v6)

    def intersection(self, other: "AddressSet") -> "AddressSet":
        """The addresses of both."""
        return AddressSet(self.v4 & other.v4, self.v6 & other.v6)

    def covers(self, other: "AddressSet") -> bool:
        """Whether every address of the other is in this set."""
        return other.v4 <= self.v4 and other.v6 <= self.v6

    def overlaps(self, other: "AddressSet") -> bool:
        """Whether some address is in both."""
        return self.v4.meets(other.v4) or self.v6.meets(other.v6)

    @property
    def empty(self) -> bool:
        """Whether it holds no address of either family."""
        return not self.v4 and not self.v6


EVERYTHING = AddressSet.of([IPv4Network("0.0.0.0/0"), IPv6Network("::/0")])

# IANA special-purpose registries (RFC 6890 and later), multicast and reserved space, and Azure's own 168.63.129.16.
# The documentation prefixes count as public: whoever writes one in a rule means an address on the internet.
_NOT_PUBLIC = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip
PUBLIC = AddressSet(
    EVERYTHING.v4 - AddressSet.of(ip_network(prefix) for prefix in _NOT_PUBLIC).v4,
    AddressSet.of([IPv6Network("2000::/3")]).v6,
)
PRIVATE = AddressSet.of(
    [*map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")), IPv6Network("fc00::/7")]
)

_WIDE_V4 = 2**24
_WIDE_V6 = 2**96


def public_part(addresses: AddressSet) -> AddressSet:
    """The addresses of a set that are routed on the internet."""
    return addresses.intersection(PUBLIC)


def internet_wide(addresses: AddressSet) -> bool:
    """Whether a set holds so much of the internet that it keeps nobody out.

    More public addresses than one IPv4 /8 (2^24), or than one IPv6 /32 (2^96), however many prefixes they come in.
    """
    public = public_part(addresses)
    return public.v4.size > _WIDE_V4 or public.v6.size > _WIDE_V6
