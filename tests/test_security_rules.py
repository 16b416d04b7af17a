"""Security rules against one packet at a time: the first matching rule by priority decides."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from itertools import product, starmap
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.facts import Estate, Malformed, NetworkSecurityGroup, SecurityRuleDirection, UnheardOf
from aks_audit.network.addresses import PUBLIC, AddressSet, internet_wide
from aks_audit.network.security_rules import (
    Endpoints,
    Opening,
    Protocol,
    by_port,
    covers,
    destinations,
    openings,
    sources,
)

GROUP = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkSecurityGroups/nsg"
ASG = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/applicationSecurityGroups/asg1"
INBOUND = SecurityRuleDirection.INBOUND
OUTBOUND = SecurityRuleDirection.OUTBOUND


def group(rules: Sequence[dict[str, Any]] | None, **properties: object) -> NetworkSecurityGroup:
    body = {"properties": {**({} if rules is None else {"securityRules": list(rules)}), **properties}}
    estate = Estate(snapshot.of([snapshot.Resource(id=GROUP, type=NetworkSecurityGroup.TYPE, body=body)]))
    return estate.resource(NetworkSecurityGroup, GROUP)


def rule(priority: int = 100, **changes: object) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "access": "Allow",
        "direction": "Inbound",
        "priority": priority,
        "protocol": "Tcp",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "22",
        **changes,
    }
    return {"name": f"r{priority}", "properties": properties}


class Packet(NamedTuple):
    """A packet; an end of it is an address, or a tag or group whose addresses are not known."""

    protocol: str
    source: str
    destination: str
    port: int


ADDRESSES = ["10.1.1.1", "9.9.9.9", "20.1.9.9", "20.1.2.3", "127.0.0.1", "192.168.1.1", "203.5.5.5", "2a01::1",
             "2001:db8::1", "fc00::1"]  # fmt: skip
NOT_PUBLIC = {"10.1.1.1", "127.0.0.1", "192.168.1.1", "fc00::1"}
TAGS = ["azurecloud", "azurecloud.westeurope", "storage", "virtualnetwork", "azureloadbalancer", ASG.lower()]
ENDS = [*ADDRESSES, *TAGS]
PREFIXES = [
    *["*", "Any", "Internet", "INTERNET", "0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "20.1.0.0/16"],
    *["20.1.2.3", "2a01::/16", "AzureCloud", "AzureCloud.westeurope", "Storage", "VirtualNetwork", "AzureLoadBalancer"],
]
PROTOCOLS = {"Tcp": "tcp", "Udp": "udp", "Icmp": "icmp", "Esp": "esp", "Ah": "ah"}
PORTS = [0, 22, 80, 443, 65535]
PORT_RANGES = ["*", "22", "22-80", "80-443", "0-65535", "20-23", "65535"]


def holds(prefixes: list[str], end: str) -> bool:
    """Whether a list of prefixes as Azure writes it holds an end of a packet."""
    if end not in ADDRESSES:
        return any(_tag_holds(prefix.lower(), end) for prefix in prefixes) or _whole_internet(prefixes, end)
    for prefix in map(str.lower, prefixes):
        if prefix in {"*", "any"} or (prefix == "internet" and end not in NOT_PUBLIC):
            return True
        if prefix[0] in "0123456789:" and ip_address(end) in ip_network(prefix):
            return True
    return False


def _tag_holds(prefix: str, tag: str) -> bool:
    on_the_internet = tag.startswith(("azurecloud", "storage"))
    same = tag == prefix or (tag == "azurecloud.westeurope" and prefix == "azurecloud")
    return prefix in {"*", "any"} or (prefix == "internet" and on_the_internet) or same


def _whole_internet(prefixes: list[str], tag: str) -> bool:
    """Prefixes that together are all public addresses hold every tag on the internet; all addresses, every tag."""
    held = {address for address in ADDRESSES if holds(prefixes, address)}
    return held == set(ADDRESSES) or (held >= set(ADDRESSES) - NOT_PUBLIC and tag.startswith(("azurecloud", "storage")))


def let_through(rules: Sequence[dict[str, Any]]) -> set[Packet]:
    """Every packet whose first matching rule allows it."""
    decided: dict[Packet, str] = {}
    for item in sorted(rules, key=lambda item: item["properties"]["priority"]):
        for packet in matched(item["properties"]):
            decided.setdefault(packet, item["properties"]["access"].lower())
    return {packet for packet, access in decided.items() if access == "allow"}


def matched(properties: dict[str, Any]) -> Iterator[Packet]:
    """Every packet that one rule matches."""
    protocol = properties["protocol"]
    ports = _written(properties, "destinationPortRange")
    yield from starmap(
        Packet,
        product(
            PROTOCOLS.values() if protocol == "*" else [PROTOCOLS[protocol]],
            [end for end in ENDS if _end_matches(properties, "source", end)],
            [end for end in ENDS if _end_matches(properties, "destination", end)],
            [port for port in PORTS if any(_port_matches(written, port) for written in ports)],
        ),
    )


def _end_matches(properties: dict[str, Any], side: str, end: str) -> bool:
    groups = [asg["id"].lower() for asg in properties.get(f"{side}ApplicationSecurityGroups", [])]
    return end in groups or holds(_written(properties, f"{side}AddressPrefix"), end)


def _written(properties: dict[str, Any], name: str) -> list[str]:
    single = properties.get(name)
    return [*([single] if single else []), *properties.get(f"{name}es" if name.endswith("x") else f"{name}s", [])]


def _port_matches(written: str, port: int) -> bool:
    low, _, high = written.replace("*", "0-65535").partition("-")
    return int(low) <= port <= int(high or low)


@st.composite
def sides(draw: st.DrawFn, name: str) -> dict[str, Any]:
    match draw(st.sampled_from(["single", "several", "group"])):
        case "single":
            return {f"{name}AddressPrefix": draw(st.sampled_from(PREFIXES)), f"{name}AddressPrefixes": []}
        case "several":
            several = draw(st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=3))
            return {f"{name}AddressPrefix": "", f"{name}AddressPrefixes": several}
        case _:
            return {f"{name}AddressPrefix": None, f"{name}ApplicationSecurityGroups": [{"id": ASG}]}


@st.composite
def rule_lists(draw: st.DrawFn) -> list[dict[str, Any]]:
    priorities = draw(st.lists(st.integers(100, 4096), max_size=5, unique=True))
    return [
        rule(
            priority,
            access=draw(st.sampled_from(["Allow", "Deny", "allow"])),
            protocol=draw(st.sampled_from(["*", *PROTOCOLS])),
            **draw(sides("source")),
            **draw(sides("destination")),
            **draw(
                st.one_of(
                    st.sampled_from(PORT_RANGES).map(lambda one: {"destinationPortRange": one}),
                    st.lists(st.sampled_from(PORT_RANGES), min_size=1, max_size=3).map(
                        lambda several: {"destinationPortRange": None, "destinationPortRanges": several}
                    ),
                )
            ),
        )
        for priority in priorities
    ]


def _ends_in(side: Endpoints) -> list[str]:
    held = [end for end in ADDRESSES if side.addresses.covers(AddressSet.of([ip_network(end)]))]
    return [*held, *filter(side.holds, TAGS)]


def opened(found: Sequence[Opening]) -> list[Packet]:
    """Every packet that some opening lets through, once for each."""
    return [
        Packet(*parts)
        for _, box in found
        for parts in product(
            [box.protocol],
            _ends_in(box.sources),
            _ends_in(box.destinations),
            [port for port in PORTS if port in box.ports],
        )
    ]


@given(rule_lists())
def test_a_packet_is_let_through_where_its_first_matching_rule_allows(rules: list[dict[str, Any]]) -> None:
    through = opened(openings(group(rules), INBOUND))
    assert set(through) == let_through(rules)
    assert len(through) == len(set(through)), "openings are disjoint"


@given(rule_lists(), st.data())
def test_rules_for_some_source_ports_open_and_close_nothing(rules: list[dict[str, Any]], data: st.DataObject) -> None:
    for item in rules:
        item["properties"]["sourcePortRange"] = data.draw(st.sampled_from(["*", "1024-65535", "0-65535", "53"]))
    narrow = [item for item in rules if item["properties"]["sourcePortRange"] in {"1024-65535", "53"}]
    wide = [item for item in rules if item not in narrow]
    expected = let_through(wide).union(*(let_through([*wide, item]) for item in narrow if _allows(item)))
    assert set(opened(openings(group(rules), INBOUND))) == expected


def _allows(item: dict[str, Any]) -> bool:
    return str(item["properties"]["access"]).lower() == "allow"


@given(rule_lists())
def test_ports_are_told_in_stretches_that_miss_none(rules: list[dict[str, Any]]) -> None:
    found = openings(group(rules), INBOUND)
    protocols: list[Protocol] = ["tcp", "udp", "icmp", "esp", "ah"]
    for protocol in protocols:
        stretches = list(by_port(found, protocol))
        for port in PORTS:
            inside = {id(opening) for ports, here in stretches if port in ports for opening in here}
            assert inside == {id(o) for o in found if o.box.protocol == protocol and port in o.box.ports}


def tcp_sources(rules: Sequence[dict[str, Any]], port: int) -> AddressSet:
    found = openings(group(rules), INBOUND)
    return sources(opening for ports, here in by_port(found, "tcp") if port in ports for opening in here)


def test_plural_ports_and_prefixes_are_read() -> None:
    several = rule(
        destinationPortRange=None, destinationPortRanges=["22", "3389"], sourceAddressPrefix="",
        sourceAddressPrefixes=["0.0.0.0/1", "128.0.0.0/1"],
    )  # fmt: skip
    assert internet_wide(tcp_sources([several], 3389))


@pytest.mark.parametrize("deny", ["*", "Internet", "any"])
def test_a_deny_before_shadows_and_a_deny_behind_does_not(deny: str) -> None:
    allowed = rule(200, sourceAddressPrefix="Internet")
    before, behind = (rule(priority, access="Deny", sourceAddressPrefix=deny) for priority in (100, 300))
    assert not internet_wide(tcp_sources([allowed, before], 22))
    assert internet_wide(tcp_sources([allowed, behind], 22))


def test_two_rules_that_are_half_the_internet_each_are_the_internet_together() -> None:
    halves = [rule(100, sourceAddressPrefix="0.0.0.0/1"), rule(200, sourceAddressPrefix="128.0.0.0/1")]
    assert tcp_sources(halves, 22).v4 & PUBLIC.v4 == PUBLIC.v4


def test_a_deny_of_the_internet_takes_service_tags_and_a_deny_of_a_tag_takes_no_address() -> None:
    found = openings(
        group([rule(100, access="Deny", sourceAddressPrefix="Internet"), rule(200, sourceAddressPrefix="AzureCloud")]),
        INBOUND,
    )
    assert not found
    tagged = [rule(100, access="Deny", sourceAddressPrefix="AzureCloud"), rule(200, sourceAddressPrefix="Internet")]
    assert internet_wide(tcp_sources(tagged, 22))


def test_directions_do_not_mix_and_destinations_are_told() -> None:
    out = rule(direction="Outbound", destinationAddressPrefix="Internet")
    assert not openings(group([out]), INBOUND)
    assert internet_wide(destinations(openings(group([out]), OUTBOUND)))


def test_default_rules_count_where_asked() -> None:
    default = rule(65001, direction="Outbound", destinationAddressPrefix="Internet", protocol="*")
    asked = group([], defaultSecurityRules=[default])
    assert not openings(asked, OUTBOUND)
    assert openings(asked, OUTBOUND, defaults=True)


@pytest.mark.parametrize(
    ("tag", "other", "expected"),
    [
        ("*", "virtualnetwork", True),
        ("*", ASG, True),
        ("internet", "storage", True),
        ("internet", "internet", True),
        ("internet", "virtualnetwork", False),
        ("internet", "azureloadbalancer", False),
        ("internet", ASG, False),
        ("internet", "*", False),
        ("storage", "storage.westeurope", True),
        ("storage.westeurope", "storage", False),
        ("azurecloud", "azurecloudx", False),
        (ASG, f"{ASG}.b", False),
    ],
)
def test_which_tags_cover_which(tag: str, other: str, *, expected: bool) -> None:
    assert covers(tag, other) is expected


@pytest.mark.parametrize(
    "changes",
    [
        {"direction": None},
        {"access": None},
        {"priority": None},
        {"protocol": None},
        {"sourceAddressPrefix": None},
        {"sourceAddressPrefix": "300.1.1.1"},
        {"sourceAddressPrefixes": [""]},
        {"destinationAddressPrefix": None},
        {"destinationPortRange": None},
        {"destinationPortRange": "443-80"},
        {"destinationPortRange": "65536"},
        {"destinationPortRange": "-1"},
        {"destinationPortRange": "٢٢"},
        {"destinationPortRange": "ssh"},
    ],
)
def test_a_rule_that_cannot_be_read_is_malformed(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        openings(group([{"name": "damaged", "properties": rule()["properties"] | changes}]), INBOUND)


def test_a_group_without_its_rules_is_malformed_and_a_new_access_unheard_of() -> None:
    with pytest.raises(Malformed):
        openings(group(None), INBOUND)
    with pytest.raises(Malformed):
        openings(group([]), INBOUND, defaults=True)
    with pytest.raises(UnheardOf):
        openings(group([rule(access="Audit")]), INBOUND)
