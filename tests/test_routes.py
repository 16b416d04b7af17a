"""Routes of single addresses and of the whole internet, against the longest matching prefix, bit by bit."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.facts import Estate, Malformed, NotCollected, RouteNextHopType, RouteTable, Subnet, UnheardOf
from aks_audit.network.addresses import PUBLIC, AddressSet
from aks_audit.network.routes import (
    EffectiveRoute,
    Family,
    NextHopKind,
    RouteSource,
    default_route,
    effective_route,
    internet_routes,
)

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


@pytest.mark.parametrize(("family", "prefix"), [(4, "0.0.0.0/0"), (6, "::/0")])
def test_each_family_has_a_default_route_of_its_own(family: Family, prefix: str) -> None:
    both = table([route("0.0.0.0/0", "None", "v4"), route("::/0", "VirtualAppliance", "v6")])
    other = table([route("::/0" if family == 4 else "0.0.0.0/0", "None"), route("2000::/3", "None")])
    found = default_route(both, family)
    assert found is not None
    assert found.address_prefix == prefix
    assert default_route(other, family) is None
    assert set(internet_routes(both, family).by_type) == {found.next_hop_type}


# Effective routes: what Azure would show for a network interface in the subnet.

NETWORK = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/vnet"
SUBNET = f"{NETWORK}/subnets/nodes"
Json = dict[str, Any]


def subnet_in(
    network: Json, routes: list[Json] | None = None, *, propagation: bool = False, **properties: object
) -> Subnet:
    """The subnet `nodes` of a network, with a route table unless `routes` is None."""
    own: Json = {"addressPrefix": "10.40.0.0/24", **properties}
    records = []
    if routes is not None:
        own["routeTable"] = {"id": TABLE}
        body: Json = {"properties": {"routes": routes, "disableBgpRoutePropagation": not propagation}}
        records.append(snapshot.Resource(id=TABLE, type=RouteTable.TYPE, body=body))
    subnets = [{"id": SUBNET, "name": "nodes", "properties": own}, *network.get("subnets", [])]
    standard: Json = {"addressSpace": {"addressPrefixes": ["10.40.0.0/16"]}, "virtualNetworkPeerings": []}
    body = {"name": "vnet", "properties": {**standard, **network, "subnets": subnets}}
    records.append(snapshot.Resource(id=NETWORK, type="Microsoft.Network/virtualNetworks", body=body))
    return Estate(snapshot.of(records)).resource(Subnet, SUBNET)


def peering(name: str, *prefixes: str, **properties: object) -> Json:
    standard: Json = {
        "peeringState": "Connected",
        "allowVirtualNetworkAccess": True,
        "useRemoteGateways": False,
        "remoteVirtualNetwork": {"id": f"{NETWORK}-{name}"},
        "remoteAddressSpace": {"addressPrefixes": list(prefixes)},
    }
    return {"name": name, "properties": {**standard, **properties}}


def space(*prefixes: str) -> Json:
    return {"addressPrefixes": list(prefixes)}


def appliance(prefix: str, address: str = "10.30.1.4", name: str = "r") -> Json:
    found = route(prefix, "VirtualAppliance", name)
    found["properties"]["nextHopIpAddress"] = address
    return found


SPACES = ["10.40.0.0/16", "10.0.0.0/8", "172.16.0.0/16", "100.64.0.0/10", "8.0.0.0/8", "fd00:40::/48", "2001:db8::/32"]
REMOTE = ["10.30.0.0/16", "10.30.1.0/24", "192.168.0.0/16", "9.9.0.0/16", "fd00:30::/48"]
TO = [
    *("0.0.0.0/0", "0.0.0.0/1", "10.0.0.0/8", "10.40.0.0/16", "10.30.0.0/16", "10.30.1.4/32", "8.8.8.8/32"),
    *("172.16.0.0/12", "9.9.9.0/24", "::/0", "2000::/3", "fd00::/8", "2001:db8::1/128", "fd00:30::/48"),
]
DESTINATIONS = [
    *(
        "8.8.8.8",
        "8.8.8.9",
        "10.40.0.7",
        "10.30.1.4",
        "10.30.1.5",
        "10.30.9.9",
        "10.99.0.1",
        "172.16.5.5",
        "172.17.0.1",
    ),
    *("192.168.7.7", "100.64.3.3", "100.128.0.1", "9.9.9.9", "9.9.0.1", "200.1.1.1"),
    *("2001:db8::1", "2001:db8::2", "fd00:30::5", "fd00:40::5", "fd00:99::1", "2606:4700::1"),
]
STATES = ["Connected", "connected", "Disconnected", "Initiated"]


def bits(address: str) -> str:
    """An address as a family and its bits."""
    number = ip_address(address)
    return f"{number.version}:{int(number):0{number.max_prefixlen}b}"


def matches(prefix: str, destination: str) -> bool:
    address, _, length = prefix.partition("/")
    return bits(destination).startswith(bits(address)[: 2 + int(length)])


def oracle(plan: Json, destination: str) -> tuple[int, int, str, str]:
    """Length, rank (a user's route, or Azure's own), source and next hop of the route that decides."""
    known: list[tuple[str, int, str, str]] = [
        (prefix, 1, "user", hop.lower()) for prefix, hop in plan["routes"].items()
    ]
    known += [(prefix, 0, "system", "vnetlocal") for prefix in plan["space"]]
    for state, access, prefixes in plan["peerings"]:
        if state.lower() == "connected" and access:
            known += [(prefix, 0, "peering", "peering") for prefix in prefixes]
    known += [("0.0.0.0/0", 0, "system", "internet"), ("::/0", 0, "system", "internet")]
    if "0.0.0.0/0" not in plan["routes"]:
        dropped = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"]
        known += [(prefix, 0, "system", "none") for prefix in dropped if prefix not in plan["space"]]
    found = [
        (int(prefix.partition("/")[2]), rank, source, hop)
        for prefix, rank, source, hop in known
        if matches(prefix, destination)
    ]
    return max(found, key=lambda one: one[:2])


KINDS = {
    "virtualappliance": NextHopKind.APPLIANCE,
    "internet": NextHopKind.INTERNET,
    "none": NextHopKind.NONE,
    "virtualnetworkgateway": NextHopKind.GATEWAY,
    "vnetlocal": NextHopKind.VIRTUAL_NETWORK,
    "peering": NextHopKind.PEERING,
}
PLANS = st.fixed_dictionaries(
    {
        "routes": st.dictionaries(st.sampled_from(TO), st.sampled_from([*HOPS, "VnetLocal"])),
        "space": st.lists(st.sampled_from(SPACES), min_size=1, max_size=3, unique=True),
        "peerings": st.lists(
            st.tuples(
                st.sampled_from(STATES), st.booleans(), st.lists(st.sampled_from(REMOTE), max_size=2, unique=True)
            ),
            max_size=2,
        ),
        "gateway": st.sampled_from(["none", "own", "peer", "idle peer"]),
        "propagation": st.booleans(),
    }
)


def planned(plan: Json) -> Subnet:
    peerings = [
        peering(f"p{number}", *prefixes, peeringState=state, allowVirtualNetworkAccess=access)
        for number, (state, access, prefixes) in enumerate(plan["peerings"])
    ]
    if "peer" in plan["gateway"]:
        state = "Disconnected" if "idle" in plan["gateway"] else "Connected"
        peerings.append(peering("far", peeringState=state, useRemoteGateways=True))
    own = [{"id": f"{NETWORK}/subnets/GatewaySubnet", "name": "GatewaySubnet", "properties": {}}]
    network = {
        "addressSpace": space(*plan["space"]),
        "virtualNetworkPeerings": peerings,
        "subnets": own if plan["gateway"] == "own" else [],
    }
    routes = [
        appliance(prefix, name=prefix) if "appliance" in hop.lower() else route(prefix, hop, prefix)
        for prefix, hop in plan["routes"].items()
    ]
    return subnet_in(network, routes, propagation=plan["propagation"])


@settings(max_examples=400, deadline=None)
@given(PLANS)
def test_the_effective_route_is_the_longest_prefix_and_then_the_users(plan: Json) -> None:
    subnet = planned(plan)
    for destination in DESTINATIONS:
        found = effective_route(subnet, ip_address(destination))
        length, rank, source, hop = oracle(plan, destination)
        assert (found.prefix.prefixlen, found.source is RouteSource.USER) == (length, rank == 1), destination
        assert (found.source.value, found.next_hop.kind) == (source, KINDS[hop]), destination
        assert bool(found.doubts) is _doubtful(plan, destination, length, source), destination


def _doubtful(plan: Json, destination: str, length: int, source: str) -> bool:
    """Whether a gateway may know a better route: not than a user's for one address, nor than Azure's own nearby."""
    near = [
        *plan["space"],
        *(p for state, access, ps in plan["peerings"] if state.lower() == "connected" and access for p in ps),
    ]
    exact = source == "user" and length == ip_address(destination).max_prefixlen
    inside = any(matches(prefix, destination) for prefix in near)
    return plan["gateway"] in {"own", "peer"} and plan["propagation"] and not exact and not inside


def to(subnet: Subnet, destination: str) -> EffectiveRoute:
    return effective_route(subnet, ip_address(destination))


def test_a_route_names_its_appliance_its_peer_and_its_evidence() -> None:
    subnet = subnet_in(
        {"virtualNetworkPeerings": [peering("hub", "10.30.0.0/16")]}, [appliance("0.0.0.0/0", name="default")]
    )
    out = to(subnet, "1.1.1.1")
    assert (out.name, str(out.next_hop.address), out.next_hop.network) == ("default", "10.30.1.4", "")
    assert [one.value for one in out.evidence] == ["0.0.0.0/0", "VirtualAppliance"]
    hub = to(subnet, "10.30.7.7")
    assert (hub.name, hub.next_hop.address, hub.next_hop.network) == ("hub", None, f"{NETWORK}-hub")
    assert [one.value for one in hub.evidence] == ["Connected", ["10.30.0.0/16"]]
    assert to(subnet, "10.40.9.9").evidence[0].value == ["10.40.0.0/16"]


def test_private_space_that_is_nobodys_goes_nowhere_unless_a_default_route_takes_it() -> None:
    assert to(subnet_in({}, []), "10.99.0.1").next_hop.kind is NextHopKind.NONE
    assert to(subnet_in({}), "10.99.0.1").next_hop.kind is NextHopKind.NONE
    assert to(subnet_in({}, [appliance("0.0.0.0/0")]), "10.99.0.1").next_hop.kind is NextHopKind.APPLIANCE


def test_several_appliances_are_all_named() -> None:
    several = route("0.0.0.0/0", "VirtualApplianceEcmp")
    several["properties"]["nextHop"] = {"nextHopIpAddresses": ["10.30.1.4", "10.30.1.5"]}
    assert [str(one) for one in to(subnet_in({}, [several]), "1.1.1.1").next_hop.addresses] == [
        "10.30.1.4",
        "10.30.1.5",
    ]


def doubts(subnet: Subnet, destination: str) -> Iterator[str]:
    return (missing.reason for missing in to(subnet, destination).doubts)


def test_service_endpoints_and_tags_are_told_of_public_addresses() -> None:
    routes = [appliance("0.0.0.0/0"), appliance("20.1.1.1/32"), route("AzureMonitor", "Internet", "monitor")]
    endpoints = [{"service": "Microsoft.Storage"}]
    subnet = subnet_in({}, routes, serviceEndpoints=endpoints)
    assert ["AzureMonitor (route monitor)" in one.reason for one in to(subnet, "20.1.1.2").service_tags] == [True]
    assert to(subnet, "20.1.1.1").service_tags == ()
    assert to(subnet, "10.40.0.9").service_tags == ()
    for address in ("20.1.1.2", "20.1.1.1"):
        assert ["Microsoft.Storage" in one.reason for one in to(subnet, address).service_endpoints] == [True]
    assert to(subnet, "10.40.0.9").service_endpoints == ()


def test_a_gateway_is_named_in_the_doubt() -> None:
    network = {"virtualNetworkPeerings": [peering("hub", "10.30.0.0/16", useRemoteGateways=True)]}
    assert ["hub" in reason for reason in doubts(subnet_in(network), "10.99.0.1")] == [True]
    assert list(doubts(subnet_in(network), "10.30.0.1")) == []


@pytest.mark.parametrize(
    "network",
    [
        {"addressSpace": None},
        {"virtualNetworkPeerings": [peering("hub", "10.30.0.0/16", peeringState=None)]},
        {"virtualNetworkPeerings": [peering("hub", "10.30.0.0/16", allowVirtualNetworkAccess=None)]},
        {"virtualNetworkPeerings": [peering("hub", remoteAddressSpace=None)]},
    ],
)
def test_a_network_that_lacks_what_decides_is_malformed(network: Json) -> None:
    with pytest.raises(Malformed):
        to(subnet_in(network, []), "1.1.1.1")


def test_an_older_peering_names_the_remote_ranges_elsewhere() -> None:
    older = peering("hub", remoteAddressSpace=None, remoteVirtualNetworkAddressSpace=space("10.30.0.0/16"))
    assert to(subnet_in({"virtualNetworkPeerings": [older]}), "10.30.0.1").next_hop.kind is NextHopKind.PEERING


@pytest.mark.parametrize("address", [None, "10.30.1.256", "firewall"])
def test_an_appliance_without_an_address_is_malformed(address: str | None) -> None:
    damaged = appliance("0.0.0.0/0")
    damaged["properties"]["nextHopIpAddress"] = address
    with pytest.raises(Malformed):
        to(subnet_in({}, [damaged]), "1.1.1.1")


def test_a_route_table_that_was_not_read_is_not_collected() -> None:
    with pytest.raises(NotCollected):
        to(subnet_in({}, routeTable={"id": TABLE}), "1.1.1.1")
