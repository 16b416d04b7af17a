"""Traffic: protocols and ports as sets of numbers, and in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit.network.addresses import RangeSet
from aks_audit.policies.model import ALL_TRAFFIC, ICMP, SCTP, TCP, UDP, ContainerPort, Endpoint, Kind, NamedPort, Ports
from aks_audit.policies.ports import KUBERNETES_TRAFFIC, icmp, in_words, resolved, traffic

WEB = Endpoint(Kind.POD, "web", ports=(ContainerPort("http", TCP, 8080), ContainerPort("dns", UDP, 53)))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (RangeSet(), "nothing"),
        (ALL_TRAFFIC, "everything"),
        (traffic(TCP, 80, 80), "TCP 80"),
        (traffic(TCP), "TCP"),
        (traffic(TCP, 80, 80) | traffic(TCP, 8000, 8100) | traffic(UDP, 53, 53), "TCP 80, 8000-8100; UDP 53"),
        (ALL_TRAFFIC - traffic(TCP, 22, 22), "everything but TCP 22"),
        (traffic(47) | traffic(50), "protocol 47, 50"),
        (icmp(ICMP), "ICMP"),
        (icmp(ICMP, 8), "ICMP type 8"),
        (icmp(ICMP, 3, 4), "ICMP type 3 code 4"),
        (traffic(TCP) | traffic(UDP) | traffic(SCTP), "TCP; UDP; SCTP"),
    ],
)
def test_traffic_is_written_as_people_write_it(found: RangeSet, words: str) -> None:
    assert in_words(found) == words


def test_what_is_not_spoken_of_is_left_out() -> None:
    assert in_words(ALL_TRAFFIC, KUBERNETES_TRAFFIC) == "everything"
    assert in_words(ALL_TRAFFIC - traffic(TCP, 22, 22), KUBERNETES_TRAFFIC) == "everything but TCP 22"
    assert in_words(icmp(ICMP), KUBERNETES_TRAFFIC) == "nothing"


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        (Ports(), ALL_TRAFFIC),
        (Ports(RangeSet(), frozenset({NamedPort(TCP, "http")})), traffic(TCP, 8080, 8080)),
        (Ports(RangeSet(), frozenset({NamedPort(UDP, "http")})), RangeSet()),
        (Ports(RangeSet(), frozenset({NamedPort(TCP, "other")})), RangeSet()),
        (Ports(traffic(UDP), frozenset(), frozenset({NamedPort(UDP, "dns")})), traffic(UDP) - traffic(UDP, 53, 53)),
    ],
)
def test_the_destination_gives_names_their_numbers(ports: Ports, found: RangeSet) -> None:
    assert resolved(ports, WEB) == found


ports = st.integers(0, 65535)
with_ports = st.tuples(st.sampled_from((TCP, UDP, SCTP)), ports, ports).map(
    lambda one: traffic(one[0], min(one[1:]), max(one[1:]))
)
of_icmp = st.tuples(st.integers(0, 20), st.none() | st.integers(0, 20)).map(lambda one: icmp(ICMP, *one))
others = st.integers(0, 255).filter(lambda number: number != ICMP).map(traffic)
pieces = st.lists(with_ports | of_icmp | others, max_size=6).map(
    lambda found: RangeSet(piece for one in found for piece in one.ranges)
)


@given(pieces, pieces)
def test_different_traffic_is_written_differently(one: RangeSet, other: RangeSet) -> None:
    assert (in_words(one) == in_words(other)) == (one == other)
