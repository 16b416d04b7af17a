"""Routes to the internet, against the longest matching prefix of single addresses."""

from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.facts import Estate, Malformed, RouteNextHopType, RouteTable, UnheardOf
from aks_audit.network.addresses import PUBLIC, AddressSet
from aks_audit.network.routes import internet_routes

TABLE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/routeTables/rt"


def table(routes: list[dict[str, Any]] | None) -> RouteTable:
    body = {"properties": {} if routes is None else {"routes": routes}}
    estate = Estate(snapshot.of([snapshot.Resource(id=TABLE, type=RouteTable.TYPE, body=body)]))
    return estate.resource(RouteTable, TABLE)


def route(prefix: str | None, hop: str | None, name: str = "r") -> dict[str, Any]:
    return {"name": name, "properties": {"addressPrefix": prefix, "nextHopType": hop}}


HOPS = ["VirtualAppliance", "Internet", "None", "VirtualNetworkGateway", "virtualappliance"]
PREFIXES = [
    "0.0.0.0/0",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "64.0.0.0/2",
    "10.0.0.0/8",
    "8.8.0.0/16",
    "8.8.8.0/24",
    "8.8.8.8/32",
]
PROBES = ["8.8.8.8", "8.8.8.9", "8.8.9.1", "8.9.0.1", "70.0.0.1", "130.0.0.1", "223.255.255.1"]


@given(st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(HOPS)))
def test_each_public_address_goes_by_its_longest_prefix(plan: dict[str, str]) -> None:
    found = internet_routes(table([route(prefix, hop, prefix) for prefix, hop in plan.items()]))
    deciding: set[str] = set()
    for probe in PROBES:
        matching = [prefix for prefix in plan if IPv4Address(probe) in IPv4Network(prefix)]
        if not matching:
            assert None in found.shares
            continue
        best = max(matching, key=lambda prefix: ip_network(prefix).prefixlen)
        deciding.add(best)
        assert best in {used.name for used in found.by_type[RouteNextHopType(_spelled(plan[best]))]}
    assert {used.name for routes in found.by_type.values() for used in routes} >= deciding
    assert sum(found.shares.values()) == PUBLIC.v4.size
    assert all(share > 0 for share in found.shares.values())


def _spelled(hop: str) -> str:
    return "VirtualAppliance" if hop.lower() == "virtualappliance" else hop


@given(st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(HOPS)), st.randoms())
def test_the_order_of_routes_does_not_matter(plan: dict[str, str], random: Any) -> None:  # noqa: ANN401 - Random-like
    routes = [route(prefix, hop, prefix) for prefix, hop in plan.items()]
    shuffled = list(routes)
    random.shuffle(shuffled)
    assert internet_routes(table(routes)).shares == internet_routes(table(shuffled)).shares


def test_a_default_route_in_halves_is_one_default_route() -> None:
    halves = [route("0.0.0.0/1", "VirtualAppliance"), route("128.0.0.0/1", "VirtualAppliance")]
    assert set(internet_routes(table(halves)).shares) == {RouteNextHopType.VIRTUAL_APPLIANCE}


def test_a_default_route_that_more_specific_routes_replace_whole_is_not_used() -> None:
    routes = [route("0.0.0.0/0", "Internet"), route("0.0.0.0/1", "None"), route("128.0.0.0/1", "None")]
    assert set(internet_routes(table(routes)).by_type) == {RouteNextHopType.NONE}


def test_shares_count_public_addresses() -> None:
    routes = [route("0.0.0.0/0", "VirtualAppliance"), route("8.8.8.0/24", "Internet"), route("10.0.0.0/8", "Internet")]
    assert (
        internet_routes(table(routes)).shares[RouteNextHopType.INTERNET]
        == AddressSet.of([IPv4Network("8.8.8.0/24")]).v4.size
    )


@pytest.mark.parametrize("tag", ["AzureMonitor", "Storage.WestEurope"])
def test_service_tags_and_ipv6_are_left_out(tag: str) -> None:
    routes = [route("0.0.0.0/0", "VirtualAppliance"), route(tag, "Internet"), route("::/0", "Internet")]
    assert set(internet_routes(table(routes)).shares) == {RouteNextHopType.VIRTUAL_APPLIANCE}


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        [route(None, "Internet")],
        [route("0.0.0.0/0", None)],
        [route("0.0.0.0/33", "Internet")],
        [route("300.0.0.0/8", "None")],
    ],
)
def test_what_cannot_be_read_is_malformed(damaged: list[dict[str, Any]] | None) -> None:
    with pytest.raises(Malformed):
        internet_routes(table(damaged))


def test_a_new_next_hop_type_is_unheard_of() -> None:
    with pytest.raises(UnheardOf):
        internet_routes(table([route("0.0.0.0/0", "Teleport")]))


def test_an_empty_table_leaves_everything_to_azure() -> None:
    assert internet_routes(table([])).shares == {None: PUBLIC.v4.size}
