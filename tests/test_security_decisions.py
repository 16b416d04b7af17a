"""One flow through a security group: against every world that the unknown tags allow, one rule at a time."""

from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.facts import Estate, NetworkSecurityGroup, SecurityRuleAccess, SecurityRuleDirection, Unread
from aks_audit.network.addresses import PUBLIC, AddressSet
from aks_audit.network.flows import Flow
from aks_audit.network.security_decisions import Behind, Surroundings, decide
from aks_audit.network.security_rules import unreachable
from aks_audit.sources.azure_json import read_files
from recordings import files, needs_recordings
from test_security_rules import group, rule

OUTBOUND, INBOUND = SecurityRuleDirection.OUTBOUND, SecurityRuleDirection.INBOUND
ALLOW, DENY = SecurityRuleAccess.ALLOW, SecurityRuleAccess.DENY
VNET = IPv4Network("10.0.0.0/8")
MEMBERS = "/subscriptions/s/resourceGroups/g/providers/microsoft.network/applicationsecuritygroups/asg1"
AROUND = Surroundings(Behind(AddressSet.of([VNET])), lambda _group: Behind(AddressSet.of([IPv4Network("10.1.1.1/32")])))
NODE = IPv4Address("10.1.1.1")

ADDRESSES = ["10.1.1.1", "10.2.2.2", "20.1.2.3", "203.5.5.5", "168.63.129.16"]
PREFIXES = ["*", "Internet", "0.0.0.0/0", "10.0.0.0/8", "20.1.0.0/16", "203.5.5.5", "VirtualNetwork",
            "AzureLoadBalancer", "Storage", "AzureCloud"]  # fmt: skip
UNKNOWN = ["storage", "azurecloud"]
PORTS = [22, 80, 443]


def flow(source: str, destination: str | None, port: int | None = 443, protocol: Any = "tcp") -> Flow:  # noqa: ANN401 - a literal
    return Flow(ip_address(source), ip_address(destination) if destination else None, None, protocol, port)


def out(*rules: dict[str, Any], to: str | None = "20.1.2.3", port: int = 443) -> Any:  # noqa: ANN401 - a Decision
    return decide(group(rules), OUTBOUND, flow("10.1.1.1", to, port), AROUND)


def outward(priority: int, **changes: object) -> dict[str, Any]:
    return rule(priority, direction="Outbound", **{"destinationPortRange": "*", **changes})


def holds(prefix: str, address: str, world: dict[str, bool]) -> bool:
    """Whether a prefix as Azure writes it holds an address, where the world says which services have public ones."""
    public = int(ip_address(address)) in PUBLIC.v4
    match prefix.lower():
        case "*":
            return True
        case "internet":
            return public
        case "virtualnetwork":
            return ip_address(address) in VNET
        case "azureloadbalancer":
            return address == "168.63.129.16"
        case "storage" | "azurecloud" as tag:
            return public and world[tag]
        case _:
            return ip_address(address) in ip_network(prefix)


def slow(rules: list[dict[str, Any]], asked: Flow, world: dict[str, bool]) -> str:
    """The access of the first matching rule, Azure's own last."""
    defaults = [
        ("Allow", "VirtualNetwork", "VirtualNetwork"),
        ("Allow", "*", "Internet"),
        ("Deny", "*", "*"),
    ]
    every = [(item["properties"]) for item in sorted(rules, key=lambda item: item["properties"]["priority"])]
    every += [outward(4000, access=a, sourceAddressPrefix=s, destinationAddressPrefix=d, protocol="*")["properties"]
              for a, s, d in defaults]  # fmt: skip
    for one in every:
        ports = one["destinationPortRange"]
        if (
            one["protocol"] in {"*", "Tcp"}
            and ports in {"*", str(asked.port)}
            and holds(one["sourceAddressPrefix"], str(asked.source), world)
            and holds(one["destinationAddressPrefix"], str(asked.destination), world)
        ):
            return str(one["access"])
    raise AssertionError


RULES = st.lists(
    st.builds(
        lambda access, protocol, source, destination, ports: {
            "access": access,
            "protocol": protocol,
            "sourceAddressPrefix": source,
            "destinationAddressPrefix": destination,
            "destinationPortRange": ports,
        },
        st.sampled_from(["Allow", "Deny"]),
        st.sampled_from(["Tcp", "Udp", "*"]),
        st.sampled_from(PREFIXES),
        st.sampled_from(PREFIXES),
        st.sampled_from(["*", "22", "443"]),
    ),
    max_size=6,
)


@given(RULES, st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES), st.sampled_from(PORTS))
def test_what_is_decided_holds_in_every_world(drawn: list[dict[str, str]], source: str, to: str, port: int) -> None:
    rules = [outward(100 + number, **properties) for number, properties in enumerate(drawn)]
    asked = flow(source, to, port)
    found = decide(group(rules), OUTBOUND, asked, AROUND)
    worlds = [dict(zip(UNKNOWN, bits, strict=True)) for bits in product([False, True], repeat=len(UNKNOWN))]
    accesses = {slow(rules, asked, world) for world in worlds}
    if found.access is not None:
        assert accesses == {found.access.value}
    else:
        assert found.doubts
        assert any(tag in str(rules).lower() for tag in UNKNOWN)


@given(RULES, st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES), st.sampled_from(PORTS))
def test_without_unknown_tags_everything_is_decided(
    drawn: list[dict[str, str]], source: str, to: str, port: int
) -> None:
    known = [one for one in drawn if not {"Storage", "AzureCloud"} & set(one.values())]
    rules = [outward(100 + number, **properties) for number, properties in enumerate(known)]
    asked = flow(source, to, port)
    found = decide(group(rules), OUTBOUND, asked, AROUND)
    assert found.access is not None
    assert found.access.value == slow(rules, asked, {})


@given(RULES)
def test_a_rule_that_is_never_reached_decides_no_flow(drawn: list[dict[str, str]]) -> None:
    rules = [outward(100 + number, **properties) for number, properties in enumerate(drawn)]
    own = group(rules)
    never = {f"{found.rule.name} ({found.rule.priority})" for found in unreachable(own, OUTBOUND)}
    for source, to, port in product(ADDRESSES, ADDRESSES, PORTS):
        assert decide(own, OUTBOUND, flow(source, to, port), AROUND).rule not in never


def test_azures_own_rules_decide_last_whether_the_body_has_them_or_not() -> None:
    assert out() == (ALLOW, "AllowInternetOutBound (65001)", (), (), ())
    assert out(to="10.9.9.9").rule == "AllowVnetOutBound (65000)"
    assert out(to="192.168.1.1") == (DENY, "DenyAllOutBound (65500)", (), (), ())
    inward = decide(group([]), INBOUND, flow("168.63.129.16", "10.1.1.1"), AROUND)
    assert inward.rule == "AllowAzureLoadBalancerInBound (65001)"


def test_a_rule_that_comes_too_late_is_named() -> None:
    found = out(
        outward(200, access="Deny", destinationAddressPrefix="Internet"),
        outward(300, destinationAddressPrefix="20.1.0.0/16"),
        outward(400, access="Deny"),
    )
    assert (found.access, found.rule, found.too_late) == (DENY, "r200 (200)", ("r300 (300)",))


def test_a_service_tag_leaves_in_doubt_only_what_it_could_change() -> None:
    deny_all = outward(200, access="Deny")
    doubtful = out(outward(100, destinationAddressPrefix="Storage"), deny_all)
    assert (doubtful.access, doubtful.doubts) == (None, ("r100 (100)", "r200 (200)"))
    assert out(outward(100, destinationAddressPrefix="Storage"), outward(200)).access is ALLOW
    assert out(outward(100, destinationAddressPrefix="Storage"), deny_all, to="10.2.2.2").access is DENY


def test_the_internet_as_such_is_any_public_address() -> None:
    assert out(outward(100, access="Deny", destinationAddressPrefix="Internet"), to=None).access is DENY
    assert out(outward(100, access="Deny", destinationAddressPrefix="20.0.0.0/8"), to=None).access is None
    assert out(outward(100, access="Deny", destinationAddressPrefix="10.0.0.0/8"), to=None).access is ALLOW
    halves = {"destinationAddressPrefix": "", "destinationAddressPrefixes": ["0.0.0.0/1", "128.0.0.0/1", "::/0"]}
    assert out(outward(100, access="Deny", **halves), to=None).access is DENY


def test_senders_that_are_treated_differently_leave_it_in_doubt() -> None:
    own = group([outward(100, access="Deny", sourceAddressPrefix="10.1.1.0/28")])
    asked = flow("10.1.1.1", "20.1.2.3")
    one, subnet = (AddressSet.of([IPv4Network(prefix)]) for prefix in ("10.1.1.1/32", "10.1.1.0/24"))
    assert decide(own, OUTBOUND, asked, AROUND, one).access is DENY
    assert decide(own, OUTBOUND, asked, AROUND, subnet).access is None


def test_a_rule_for_some_source_ports_is_a_doubt() -> None:
    assert out(outward(100, access="Deny", sourcePortRange="1024-2048")).access is None


def test_the_interfaces_of_an_application_security_group_are_its_members() -> None:
    side = {"sourceAddressPrefix": "", "sourceApplicationSecurityGroups": [{"id": MEMBERS}]}
    denied = outward(100, access="Deny", **side)
    assert out(denied).access is DENY
    assert decide(group([denied]), OUTBOUND, flow("10.2.2.2", "20.1.2.3"), AROUND).access is ALLOW


@pytest.mark.parametrize(("protocol", "access"), [("Icmp", DENY), ("*", None), ("Tcp", ALLOW)])
def test_a_ping_has_no_port(protocol: str, access: SecurityRuleAccess | None) -> None:
    denied = outward(100, access="Deny", protocol=protocol, destinationPortRange="22")
    found = decide(group([denied]), OUTBOUND, flow("10.1.1.1", "20.1.2.3", None, "icmp"), AROUND)
    assert found.access is access


def test_rules_that_are_never_reached_are_named_with_those_before_them() -> None:
    own = group(
        [
            outward(100, access="Deny", destinationAddressPrefix="10.0.0.0/9"),
            outward(110, access="Deny", destinationAddressPrefix="10.128.0.0/9"),
            outward(120, destinationAddressPrefix="10.64.0.0/10"),
            outward(130, destinationAddressPrefix="11.0.0.0/8"),
        ]
    )
    found = unreachable(own, OUTBOUND)
    assert [(one.rule.name, [by.name for by in one.by]) for one in found] == [("r120", ["r100"])]


@needs_recordings
def test_every_recorded_group_decides_about_every_flow_or_says_what_is_wrong() -> None:
    holding = [path for path in files() if '"defaultSecurityRules"' in path.read_text(encoding="utf-8")]
    estates = [Estate(snapshot.of(read_files([path]).records)) for path in holding]
    groups = [one for estate in estates for one in estate.every(NetworkSecurityGroup)]
    assert len(groups) > len(holding) / 2 > 1
    for own, direction, port in product(groups, SecurityRuleDirection, PORTS):
        for to in (*ADDRESSES, None):
            try:
                found = decide(own, direction, flow("10.1.1.1", to, port), AROUND)
                never = unreachable(own, direction)
            except Unread:
                continue
            assert found.rule or found.doubts
            assert all(one.by for one in never)
