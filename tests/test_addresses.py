"""Address arithmetic against sets of small numbers."""

import timeit
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit.network.addresses import (
    EVERYTHING,
    PRIVATE,
    PUBLIC,
    AddressSet,
    RangeSet,
    internet_wide,
    public_part,
)

NUMBERS = range(-1, 21)
ranges = st.lists(
    st.tuples(st.integers(0, 19), st.integers(0, 19)).map(lambda pair: (min(pair), max(pair))), max_size=6
)


def numbers(ranges: RangeSet) -> set[int]:
    return {number for number in NUMBERS if number in ranges}


def listed(pairs: list[tuple[int, int]]) -> set[int]:
    return {number for low, high in pairs for number in range(low, high + 1)}


@given(ranges)
def test_a_range_set_holds_what_its_ranges_hold(pairs: list[tuple[int, int]]) -> None:
    made = RangeSet(pairs)
    assert numbers(made) == listed(pairs)
    assert made.size == len(listed(pairs))
    assert bool(made) == bool(listed(pairs))


@given(ranges)
def test_ranges_are_disjoint_ascending_and_as_few_as_can_be(pairs: list[tuple[int, int]]) -> None:
    made = RangeSet(pairs).ranges
    assert all(low <= high for low, high in made)
    assert all(high + 1 < low for (_, high), (low, _) in pairwise(made))


@given(ranges, ranges)
def test_union_intersection_difference_and_subset_are_those_of_sets(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    one, other = RangeSet(left), RangeSet(right)
    assert numbers(one | other) == listed(left) | listed(right)
    assert numbers(one & other) == listed(left) & listed(right)
    assert one.meets(other) == bool(listed(left) & listed(right))
    assert numbers(one - other) == listed(left) - listed(right)
    assert (one <= other) == (listed(left) <= listed(right))
    assert one.meets(other) == bool(listed(left) & listed(right))
    assert (one == other) == (listed(left) == listed(right))


@given(ranges, ranges)
def test_equal_sets_are_one_key(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    assert (len({RangeSet(left), RangeSet(right)}) == 1) == (listed(left) == listed(right))


small = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 15), st.integers(28, 32)).map(
            lambda pair: IPv4Network((0x0A000000 + pair[0], pair[1]), strict=False)
        ),
        st.tuples(st.integers(0, 15), st.integers(124, 128)).map(
            lambda pair: IPv6Network(((0xFC << 120) + pair[0], pair[1]), strict=False)
        ),
    ),
    max_size=5,
)


def members(networks: list[IPv4Network | IPv6Network]) -> set[str]:
    return {str(address) for network in networks for address in network}


@given(small, small)
def test_address_sets_are_sets_of_addresses_and_families_do_not_mix(
    left: list[IPv4Network | IPv6Network], right: list[IPv4Network | IPv6Network]
) -> None:
    one, other = AddressSet.of(left), AddressSet.of(right)
    every = members([IPv4Network("10.0.0.0/27"), IPv6Network("fc00::/123")])

    def held(addresses: AddressSet) -> set[str]:
        return {a for a in every if addresses.covers(AddressSet.of([ip_network(a)]))}

    assert held(one.union(other)) == members(left) | members(right)
    assert held(AddressSet.union_of([one, other])) == members(left) | members(right)
    assert held(one.intersection(other)) == members(left) & members(right)
    assert held(one.difference(other)) == members(left) - members(right)
    assert one.covers(other) == (members(right) <= members(left))
    assert one.overlaps(other) == bool(members(left) & members(right))
    assert one.empty == (not left)


QUICK = 0.05
"""Seconds; each takes a few milliseconds, and a quadratic one would take seconds."""


@pytest.mark.parametrize(
    "operation",
    [AddressSet.union, AddressSet.difference, AddressSet.intersection, AddressSet.covers, AddressSet.overlaps],
)
def test_two_thousand_ranges_against_two_thousand_take_milliseconds(
    operation: Callable[[AddressSet, AddressSet], object],
) -> None:
    """Ranges that interleave, in no order, and never touch, so that none can be merged or left early."""
    even = [ip_network((0x0A000000 + number * 256, 26)) for number in range(2000)]
    odd = [ip_network((0x0A000000 + number * 256 + 128, 26)) for number in range(2000)]
    mixed = sorted(even, key=str), sorted(odd, key=str)

    def run() -> None:
        operation(AddressSet.of(mixed[0]), AddressSet.of(mixed[1]))

    assert min(timeit.repeat(run, number=1, repeat=5)) < QUICK


def test_an_ipv4_address_is_not_the_ipv6_address_of_the_same_number() -> None:
    assert not AddressSet.of([IPv6Network("::/64")]).covers(AddressSet.of([IPv4Network("10.0.0.0/8")]))


@pytest.mark.parametrize(
    "address",
    ["10.1.2.3", "172.31.255.255", "192.168.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "168.63.129.16",
     "224.0.0.1", "255.255.255.255", "0.0.0.1", "fd00::1", "fe80::1", "::1", "ff02::1"],
)  # fmt: skip
def test_addresses_that_no_stranger_has(address: str) -> None:
    assert public_part(AddressSet.of([ip_network(address)])).empty


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "172.15.255.255", "192.169.0.1", "100.128.0.1", "168.63.129.17", "2a01::1"]
)
def test_addresses_on_the_internet(address: str) -> None:
    assert PUBLIC.covers(AddressSet.of([ip_network(address)]))


@given(st.ip_addresses(v=4))
def test_public_ipv4_agrees_with_python_but_for_what_is_named(address: object) -> None:
    parsed = ip_address(str(address))
    documentation = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
    odd = any(parsed in ip_network(prefix) for prefix in (*documentation, "192.0.0.0/24", "168.63.129.16/32"))
    if not odd and not parsed.is_multicast:
        assert PUBLIC.covers(AddressSet.of([ip_network(str(parsed))])) == parsed.is_global


def test_private_and_public_do_not_meet_and_lie_in_everything() -> None:
    assert PRIVATE.intersection(PUBLIC).empty
    assert EVERYTHING.covers(PRIVATE.union(PUBLIC))


@pytest.mark.parametrize(
    ("prefixes", "wide"),
    [
        (["0.0.0.0/0"], True),
        (["::/0"], True),
        (["0.0.0.0/1", "128.0.0.0/1"], True),
        (["8.0.0.0/7"], True),
        (["8.0.0.0/8"], False),
        (["8.0.0.0/8", "9.9.9.9/32"], True),
        (["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], False),
        (["2a00::/32"], False),
        (["2a00::/31"], True),
        (["fc00::/7"], False),
        ([], False),
        ([f"{number}.0.0.0/9" for number in range(20, 30)], True),
    ],
)
def test_internet_wide_counts_public_addresses_however_many_prefixes_they_come_in(
    prefixes: list[str], *, wide: bool
) -> None:
    assert internet_wide(AddressSet.of(map(ip_network, prefixes))) is wide
