"""Azure Firewall against a slow second implementation: one rule after another, and both ways where one is not known."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any, Literal, NamedTuple, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.facts import Estate, Malformed, NotCollected, UnheardOf
from aks_audit.facts.firewall import AzureFirewall
from aks_audit.network.addresses import AddressSet
from aks_audit.network.firewall import (
    FirewallAction,
    FirewallVerdict,
    KnownDestination,
    dns_proxy,
    judge,
    judge_sources,
    threat_intelligence,
)
from aks_audit.network.firewall_rules import placed_rules, written_addresses
from aks_audit.network.flows import Flow
from recordings import bodies, needs_recordings

Body: TypeAlias = dict[str, Any]

NETWORK = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network"
WALL = f"{NETWORK}/azureFirewalls/wall"
POLICIES = {name: f"{NETWORK}/firewallPolicies/{name}" for name in ("child", "parent")}
GROUPS: dict[str, list[str]] = {
    f"{NETWORK}/ipGroups/nodes": ["10.0.0.1", "10.0.0.4"],
    f"{NETWORK}/ipGroups/servers": ["192.0.2.8/30"],
}


class Setup(NamedTuple):
    """A firewall with a policy, and perhaps that policy's parent; each policy as its rule collection groups."""

    child: Sequence[Body]
    parent: Sequence[Body] | None = None
    proxy: bool = False
    ranges: Sequence[str] | None = None

    @property
    def firewall(self) -> AzureFirewall:
        """The firewall, in an estate of its own."""
        policy = {"dnsSettings": {"enableProxy": self.proxy}, "threatIntelMode": "Alert"}
        if self.ranges is not None:
            policy["snat"] = {"privateRanges": list(self.ranges)}
        base = {"basePolicy": {"id": POLICIES["parent"]}} if self.parent is not None else {}
        records: list[snapshot.Record] = [
            _resource(WALL, AzureFirewall.TYPE, {"firewallPolicy": {"id": POLICIES["child"]}}),
            _resource(POLICIES["child"], "Microsoft.Network/firewallPolicies", {**policy, **base}),
            *_groups("child", self.child),
        ]
        if self.parent is not None:
            records += [_resource(POLICIES["parent"], "Microsoft.Network/firewallPolicies", {"sku": {}})]
            records += _groups("parent", self.parent)
        for group, addresses in GROUPS.items():
            records.append(_resource(group, "Microsoft.Network/ipGroups", {"ipAddresses": addresses}))
        return Estate(snapshot.of(records)).resource(AzureFirewall, WALL)


def _resource(resource_id: str, kind: str, properties: Body) -> snapshot.Resource:
    return snapshot.Resource(id=resource_id, type=kind, body={"id": resource_id, "properties": properties})


def _groups(policy: str, groups: Sequence[Body]) -> Iterator[snapshot.Record]:
    kind = "Microsoft.Network/firewallPolicies/ruleCollectionGroups"
    for n, group in enumerate(groups):
        yield _resource(f"{POLICIES[policy]}/ruleCollectionGroups/{n}", kind, group)
    yield snapshot.Listing(type=kind, scope=POLICIES[policy])


def of_classic(**properties: object) -> AzureFirewall:
    """A firewall without a policy."""
    lists: Body = {f"{kind}RuleCollections": [] for kind in ("nat", "network", "application")}
    record = _resource(WALL, AzureFirewall.TYPE, {**lists, **properties})
    return Estate(snapshot.of([record])).resource(AzureFirewall, WALL)


def network_rule(**changes: object) -> Body:
    rule: Body = {
        "ruleType": "NetworkRule",
        "name": "n",
        "ipProtocols": ["TCP"],
        "sourceAddresses": ["*"],
        "destinationAddresses": ["*"],
        "destinationPorts": ["443"],
    }
    return {**rule, **changes}


def application_rule(**changes: object) -> Body:
    rule: Body = {
        "ruleType": "ApplicationRule",
        "name": "a",
        "protocols": [{"protocolType": "Https", "port": 443}],
        "sourceAddresses": ["*"],
        "targetFqdns": ["*.contoso.com"],
    }
    return {**rule, **changes}


def nat_rule(**changes: object) -> Body:
    rule: Body = {
        "ruleType": "NatRule",
        "name": "d",
        "ipProtocols": ["TCP"],
        "sourceAddresses": ["*"],
        "destinationAddresses": ["192.0.2.1"],
        "destinationPorts": ["443"],
        "translatedAddress": "10.1.0.9",
        "translatedPort": "8443",
    }
    return {**rule, **changes}


def collection(*rules: Body, action: str = "Allow", priority: int = 100) -> Body:
    kind = "FirewallPolicyNatRuleCollection" if action == "DNAT" else "FirewallPolicyFilterRuleCollection"
    return {
        "name": f"c{priority}",
        "priority": priority,
        "ruleCollectionType": kind,
        "action": {"type": action},
        "rules": list(rules),
    }


def group(*collections: Body, priority: int = 100) -> Body:
    return {"priority": priority, "ruleCollections": list(collections)}


def flow(
    to: str, port: int | None = 443, protocol: Literal["tcp", "udp", "icmp"] = "tcp", source: str = "10.0.0.1"
) -> Flow:
    """A flow to an address or to a name."""
    try:
        return Flow(ip_address(source), ip_address(to), None, protocol, port)
    except ValueError:
        return Flow(ip_address(source), None, to, protocol, port)


# The second implementation. Literals that are not known are assumed, both ways; what comes out in every way is certain.


class _UnknownError(Exception):
    """A literal that is not known and not assumed yet."""


Assumed: TypeAlias = dict[str, bool]


def outcomes(setup: Setup, one: Flow) -> set[str]:
    """Everything that may become of a flow."""
    return set(_explore(setup, one, {}))


def _explore(setup: Setup, one: Flow, assumed: Assumed) -> Iterator[str]:
    try:
        yield _run(setup, one, assumed)
    except _UnknownError as unknown:
        for truth in (True, False):
            yield from _explore(setup, one, {**assumed, str(unknown): truth})


def _run(setup: Setup, one: Flow, assumed: Assumed) -> str:
    for key, action, rule in _in_order(setup, "NatRule"):
        if _network_matches(rule, one, setup, assumed, key):
            flowing = one._replace(destination=IPv4Address("10.1.0.9"), name=None, port=8443)
            for inner, verb, after in _in_order(setup, "NetworkRule"):
                if _network_matches(after, flowing, setup, assumed, f"{inner} as translated"):
                    return "deny" if verb == "Deny" else "dnat"
            return "dnat" if action == "DNAT" else "?"
    for key, action, rule in _in_order(setup, "NetworkRule"):
        if _network_matches(rule, one, setup, assumed, key):
            return action.lower()
    for key, action, rule in _in_order(setup, "ApplicationRule"):
        if _application_matches(rule, one, assumed, key):
            return action.lower()
    return "deny"


def _in_order(setup: Setup, kind: str) -> list[tuple[str, str, Body]]:
    found = []
    for depth, groups in enumerate((setup.parent or (), setup.child)):
        if kind == "NatRule" and depth == 0:
            continue
        for g, one in enumerate(groups):
            for c, several in enumerate(one["ruleCollections"]):
                for r, rule in enumerate(several["rules"]):
                    place = (depth, one["priority"], g, several["priority"], c, r)
                    if rule["ruleType"] == kind:
                        found.append((place, several["action"]["type"], rule))
    return [(str(place), action, rule) for place, action, rule in sorted(found, key=lambda item: item[0])]


def _assume(assumed: Assumed, literal: str) -> bool:
    if literal not in assumed:
        raise _UnknownError(literal)
    return assumed[literal]


def _expanded(listed: Sequence[str], groups: Sequence[str]) -> list[str]:
    return [*listed, *(address for one in groups for address in GROUPS[one])]


def _is_in(address: IPv4Address, written: str) -> bool:
    if written == "*":
        return True
    if "-" in written:
        low, high = written.split("-")
        return IPv4Address(low) <= address <= IPv4Address(high)
    return address in ip_network(written)


def _from(rule: Body, one: Flow) -> bool:
    assert isinstance(one.source, IPv4Address)
    written = _expanded(rule["sourceAddresses"], rule.get("sourceIpGroups", []))
    return any(_is_in(one.source, each) for each in written)


def _network_matches(rule: Body, one: Flow, setup: Setup, assumed: Assumed, key: str) -> bool:
    protocols = [protocol.lower() for protocol in rule["ipProtocols"]]
    if not _from(rule, one) or (one.protocol not in protocols and "any" not in protocols):
        return False
    if one.protocol != "icmp" and not any(_port_in(one.port, ports) for ports in rule["destinationPorts"]):
        return False
    written = _expanded(rule["destinationAddresses"], rule.get("destinationIpGroups", []))
    if any(_address_matches(each, one, assumed, key) for each in written):
        return True
    return any(_fqdn_matches(each, one, setup, assumed, key) for each in rule.get("destinationFqdns", []))


def _address_matches(written: str, one: Flow, assumed: Assumed, key: str) -> bool:
    if written == "*":
        return True
    if written[0].isalpha():
        return (
            str(one.destination) != "10.1.2.3"
            and str(one.destination) != "10.1.0.9"
            and _assume(assumed, f"{key} {written}")
        )
    if one.destination is None:
        return _assume(assumed, f"{key} {written}")
    assert isinstance(one.destination, IPv4Address)
    return _is_in(one.destination, written)


def _fqdn_matches(fqdn: str, one: Flow, setup: Setup, assumed: Assumed, key: str) -> bool:
    if one.name is None:
        return _assume(assumed, f"{key} {fqdn}")
    return one.name == fqdn and (setup.proxy or _assume(assumed, f"{key} {fqdn}"))


def _application_matches(rule: Body, one: Flow, assumed: Assumed, key: str) -> bool:
    usual = {80: "Http", 443: "Https", 1433: "Mssql"}
    if one.protocol != "tcp" or not _from(rule, one):
        return False
    speaking = [each for each in rule["protocols"] if each["port"] == one.port]
    if not [each for each in speaking if each["protocolType"] == usual.get(one.port or 0, each["protocolType"])]:
        return False
    if any(_named(each, one, assumed, key) for each in rule["targetFqdns"]):
        return True
    return any(_assume(assumed, f"{key} {each}") for each in rule.get("webCategories", []))


def _named(pattern: str, one: Flow, assumed: Assumed, key: str) -> bool:
    if pattern == "*":
        return True
    if one.name is None:
        return _assume(assumed, f"{key} {pattern}")
    return one.name.endswith(pattern[1:]) if pattern[0] == "*" else one.name == pattern


def _port_in(port: int | None, written: str) -> bool:
    assert port is not None
    low, _, high = written.partition("-")
    return written == "*" or int(low) <= port <= int(high or low)


SOURCES = st.lists(st.sampled_from(["*", "10.0.0.1", "10.0.0.0/31", "10.0.0.2-10.0.0.3"]), min_size=1, max_size=2)
SOURCE_GROUPS = st.sampled_from([[], [f"{NETWORK}/ipGroups/nodes"]])
ADDRESSES = ["*", "192.0.2.1", "192.0.2.0/31", "192.0.2.1-192.0.2.9", "10.1.0.0/16", "Storage", "AzureCloud.WestEurope"]
PORTS = st.lists(st.sampled_from(["443", "80", "1-1000", "8080", "8443", "*"]), min_size=1, max_size=2)
NAMES = ["a.contoso.com", "b.contoso.com", "contoso.com", "fabrikam.com"]
PROTOCOLS = st.lists(st.sampled_from(["TCP", "UDP", "ICMP", "Any"]), min_size=1, max_size=2, unique=True)
SERVICES = st.lists(
    st.sampled_from([("Http", 80), ("Https", 443), ("Https", 8080), ("Http", 8080), ("Mssql", 1433), ("Http", 443)]),
    min_size=1,
    max_size=2,
).map(lambda listed: [{"protocolType": kind, "port": port} for kind, port in listed])
NETWORK_RULES = st.builds(
    network_rule,
    ipProtocols=PROTOCOLS,
    sourceAddresses=SOURCES,
    sourceIpGroups=SOURCE_GROUPS,
    destinationAddresses=st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=2),
    destinationIpGroups=st.sampled_from([[], [f"{NETWORK}/ipGroups/servers"]]),
    destinationFqdns=st.lists(st.sampled_from(NAMES), max_size=1),
    destinationPorts=PORTS,
)
APPLICATION_RULES = st.builds(
    application_rule,
    protocols=SERVICES,
    sourceAddresses=SOURCES,
    sourceIpGroups=SOURCE_GROUPS,
    targetFqdns=st.lists(st.sampled_from(["*", "*.contoso.com", "*contoso.com", *NAMES]), min_size=1, max_size=2),
    webCategories=st.lists(st.sampled_from(["Business", "Gambling"]), max_size=1),
)
NAT_RULES = st.builds(nat_rule, sourceAddresses=SOURCES, destinationPorts=PORTS)
PRIORITIES = st.sampled_from([100, 200, 300])
COLLECTIONS = st.one_of(
    st.builds(
        lambda rules, action, priority: collection(*rules, action=action, priority=priority),
        st.one_of(st.lists(NETWORK_RULES, max_size=2), st.lists(APPLICATION_RULES, max_size=2)),
        st.sampled_from(["Allow", "Deny"]),
        PRIORITIES,
    ),
    st.builds(
        lambda rules, priority: collection(*rules, action="DNAT", priority=priority),
        st.lists(NAT_RULES, max_size=1),
        PRIORITIES,
    ),
)
RULE_GROUPS = st.lists(
    st.builds(
        lambda several, priority: group(*several, priority=priority), st.lists(COLLECTIONS, max_size=3), PRIORITIES
    ),
    max_size=2,
)
SETUPS = st.builds(Setup, RULE_GROUPS, st.one_of(st.none(), RULE_GROUPS), st.booleans(), st.none())
FLOWS = st.builds(
    flow,
    st.sampled_from(["192.0.2.1", "192.0.2.9", "10.1.2.3", "8.8.8.8", *NAMES]),
    st.sampled_from([80, 443, 8080, 1433, 53]),
    st.sampled_from(["tcp", "udp", "icmp"]),
    st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.4", "10.9.9.9"]),
)


@given(SETUPS, FLOWS)
@settings(max_examples=1000)
def test_every_flow_gets_what_the_slow_way_gives_it(setup: Setup, one: Flow) -> None:
    possible = outcomes(setup, one)
    answer = judge(setup.firewall, one).action
    assert answer == (possible.pop() if len(possible) == 1 else FirewallAction.UNDECIDED)


@given(SETUPS, FLOWS)
@settings(max_examples=300)
def test_many_sources_at_once_get_what_each_gets_alone(setup: Setup, one: Flow) -> None:
    several = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.9.9.9"]
    firewall = setup.firewall
    together = judge_sources(firewall, AddressSet.of(map(ip_network, several)), one)
    for source in several:
        alone = judge(firewall, one._replace(source=ip_address(source)))
        own = [part.verdict for part in together if int(ip_address(source)) in part.sources.v4]
        assert own == [alone]


def verdict_of(*collections: Body, to: str = "a.contoso.com", **changes: object) -> FirewallVerdict:
    """The verdict of a policy with one group about one flow."""
    return judge(Setup([group(*collections)], **changes).firewall, flow(to))  # type: ignore[arg-type]


def test_no_rule_means_denied() -> None:
    verdict = verdict_of()
    assert (verdict.action, verdict.rule, verdict.threat_intelligence) == ("deny", None, "Alert")


def test_network_rules_come_before_application_rules_of_a_better_priority() -> None:
    named = collection(application_rule(), priority=100)
    verdict = verdict_of(named, collection(network_rule(), action="Deny", priority=65000))
    assert verdict.action == "deny"
    assert str(verdict.rule) == "child/0/c65000/n"
    assert verdict.evidence[0].pointer == "/properties/ruleCollections/1/rules/0/name"


def test_a_parents_groups_come_first_whatever_their_priority() -> None:
    parent = [group(collection(application_rule(), action="Deny", priority=300), priority=300)]
    setup = Setup([group(collection(application_rule()), priority=100)], parent)
    verdict = judge(setup.firewall, flow("a.contoso.com"))
    assert verdict.action == "deny"
    assert verdict.rule is not None
    assert verdict.rule.policy == "parent"


def test_nat_rules_are_not_inherited() -> None:
    parent = [group(collection(nat_rule(), action="DNAT"))]
    assert judge(Setup([], parent).firewall, flow("192.0.2.1")).action == "deny"


def test_a_nat_rule_translates_and_lets_through() -> None:
    verdict = verdict_of(collection(nat_rule(), action="DNAT"), to="192.0.2.1")
    assert (verdict.action, verdict.translated_address, verdict.translated_port) == ("dnat", "10.1.0.9", 8443)


def test_a_network_rule_denies_what_a_nat_rule_translated() -> None:
    denying = collection(network_rule(destinationAddresses=["10.1.0.9"], destinationPorts=["8443"]), action="Deny")
    assert verdict_of(collection(nat_rule(), action="DNAT"), denying, to="192.0.2.1").action == "deny"


def test_a_nat_rule_to_a_name_translates_to_the_name() -> None:
    named = nat_rule(translatedAddress="", translatedFqdn="Shop.Contoso.com")
    verdict = verdict_of(collection(named, action="DNAT"), to="192.0.2.1")
    assert (verdict.action, verdict.translated_address) == ("dnat", "shop.contoso.com")


@pytest.mark.parametrize(
    ("ranges", "to", "snat"),
    [
        (None, "8.8.8.8", True),
        (None, "10.1.2.3", False),
        (None, "100.64.0.9", False),
        (["0.0.0.0/0"], "8.8.8.8", False),
        (["255.255.255.255/32"], "10.1.2.3", True),
        (["IANAPrivateRanges", "8.8.8.0/24"], "8.8.8.8", False),
        (["IANAPrivateRanges", "8.8.8.0/24"], "10.1.2.3", False),
        (None, "a.contoso.com", None),
    ],
)
def test_sources_are_translated_but_for_private_destinations(
    ranges: list[str] | None,
    to: str,
    snat: bool | None,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert verdict_of(collection(network_rule()), to=to, ranges=ranges).snat is snat


def test_learned_private_ranges_are_not_known() -> None:
    groups = [{"priority": 100, "ruleCollections": [collection(network_rule())]}]
    policy = {"snat": {"privateRanges": ["10.0.0.0/8"], "autoLearnPrivateRanges": "Enabled"}}
    records = [
        _resource(WALL, AzureFirewall.TYPE, {"firewallPolicy": {"id": POLICIES["child"]}}),
        _resource(POLICIES["child"], "Microsoft.Network/firewallPolicies", policy),
        *_groups("child", groups),
    ]
    firewall = Estate(snapshot.of(records)).resource(AzureFirewall, WALL)
    found = {to: judge(firewall, flow(to)).snat for to in ("10.1.2.3", "172.16.0.1", "8.8.8.8", "a.contoso.com")}
    assert found == {"10.1.2.3": False, "172.16.0.1": None, "8.8.8.8": None, "a.contoso.com": None}


def test_application_rules_always_translate_the_source() -> None:
    assert verdict_of(collection(application_rule())).snat is True


@pytest.mark.parametrize(
    ("tag", "known", "action"),
    [
        ("AzureMonitor", {"azuremonitor"}, "allow"),
        ("AzureMonitor.WestEurope", {"azuremonitor.westeurope"}, "allow"),
        ("AzureCloud", {"azurecloud.westeurope"}, "allow"),
        ("AzureMonitor", {"storage"}, "deny"),
        ("AzureCloud", {"storage"}, "undecided"),
        ("AzureMonitor", None, "undecided"),
    ],
)
def test_a_service_tag_decides_where_its_holding_of_a_name_is_known(
    tag: str, known: set[str] | None, action: str
) -> None:
    firewall = Setup([group(collection(network_rule(destinationAddresses=[tag])))]).firewall
    destination = KnownDestination(public=True, service_tags=None if known is None else frozenset(known))
    assert judge(firewall, flow("a.contoso.com"), destination).action == action


@pytest.mark.parametrize(
    ("known", "action"),
    [(frozenset({"azurekubernetesservice"}), "allow"), (frozenset[str](), "deny"), (None, "undecided")],
)
def test_an_fqdn_tag_decides_where_its_holding_of_a_name_is_known(known: frozenset[str] | None, action: str) -> None:
    rule = application_rule(targetFqdns=[], fqdnTags=["AzureKubernetesService"])
    destination = KnownDestination(public=True, fqdn_tags=known)
    assert judge(Setup([group(collection(rule))]).firewall, flow("a.contoso.com"), destination).action == action


@pytest.mark.parametrize(
    ("addresses", "action"),
    [(["10.0.0.0/8"], "deny"), (["Internet"], "allow"), (["0.0.0.0/0"], "allow"), (["8.0.0.0/8"], "undecided")],
)
def test_a_name_on_the_internet_has_no_private_address(addresses: list[str], action: str) -> None:
    firewall = Setup([group(collection(network_rule(destinationAddresses=addresses)))]).firewall
    assert judge(firewall, flow("a.contoso.com"), KnownDestination(public=True)).action == action


def test_a_documented_name_is_none_of_the_firewalls_own_addresses() -> None:
    firewall = Setup([group(collection(nat_rule(), action="DNAT"))]).firewall
    assert judge(firewall, flow("a.contoso.com"), KnownDestination(public=True)).action == "deny"
    assert judge(firewall, flow("a.contoso.com")).action == "undecided"


def test_a_rule_for_a_part_of_a_wildcard_does_not_decide_about_all_of_it() -> None:
    named = collection(application_rule(targetFqdns=["eastus.data.contoso.com"]))
    assert verdict_of(named, to="*.data.contoso.com").action == "undecided"
    assert verdict_of(collection(application_rule()), to="*.data.contoso.com").action == "allow"


def test_a_url_is_about_more_than_its_host() -> None:
    rule = application_rule(targetFqdns=[], targetUrls=["a.contoso.com/api/*"])
    assert verdict_of(collection(rule)).action == "undecided"
    assert verdict_of(collection(rule), to="b.contoso.com").action == "deny"


def test_an_application_rule_may_be_about_addresses_too() -> None:
    rule = application_rule(targetFqdns=["*"], destinationAddresses=["192.0.2.0/24"])
    assert verdict_of(collection(rule), to="192.0.2.9").action == "allow"
    assert verdict_of(collection(rule), to="8.8.8.8").action == "deny"


def test_names_of_azures_own_infrastructure_may_be_allowed_without_a_rule() -> None:
    assert verdict_of(to="md-1.blob.storage.azure.net").action == "undecided"


def test_without_a_port_only_a_rule_for_all_ports_decides() -> None:
    several = Setup([group(collection(network_rule()))]).firewall
    whole = Setup([group(collection(network_rule(destinationPorts=["*"])))]).firewall
    assert judge(several, flow("8.8.8.8", None)).action == "undecided"
    assert judge(whole, flow("8.8.8.8", None)).action == "allow"


def test_ipv6_sources_and_destinations_match() -> None:
    rule = network_rule(sourceAddresses=["fd00::/8"], destinationAddresses=["2001:db8::1-2001:db8::9"])
    firewall = Setup([group(collection(rule))]).firewall
    assert judge(firewall, flow("2001:db8::5", source="fd00::1")).action == "allow"
    assert judge(firewall, flow("2001:db8::a", source="fd00::1")).action == "deny"


def test_classic_rules_decide_where_there_is_no_policy() -> None:
    rule = {
        "name": "n",
        "protocols": ["UDP"],
        "sourceAddresses": ["*"],
        "destinationFqdns": ["ntp.ubuntu.com"],
        "destinationPorts": ["123"],
    }
    properties = {"priority": 100, "action": {"type": "Allow"}, "rules": [rule]}
    firewall = of_classic(
        networkRuleCollections=[{"name": "time", "properties": properties}],
        additionalProperties={"Network.DNS.EnableProxy": "true", "Network.SNAT.PrivateRanges": "IANAPrivateRanges"},
        threatIntelMode="Deny",
    )
    verdict = judge(firewall, flow("ntp.ubuntu.com", 123, "udp"))
    assert (verdict.action, str(verdict.rule)) == ("allow", "wall/time/n")
    assert (dns_proxy(firewall), threat_intelligence(firewall)) == (True, "Deny")


def test_policies_that_are_their_own_parents_are_malformed() -> None:
    looped = [
        _resource(WALL, AzureFirewall.TYPE, {"firewallPolicy": {"id": POLICIES["child"]}}),
        _resource(POLICIES["child"], "Microsoft.Network/firewallPolicies", {"basePolicy": {"id": POLICIES["parent"]}}),
        _resource(POLICIES["parent"], "Microsoft.Network/firewallPolicies", {"basePolicy": {"id": POLICIES["child"]}}),
    ]
    with pytest.raises(Malformed, match="own parents"):
        judge(Estate(snapshot.of(looped)).resource(AzureFirewall, WALL), flow("a.contoso.com"))


def test_what_was_not_read_is_not_collected() -> None:
    grouped = network_rule(sourceAddresses=[], sourceIpGroups=[f"{NETWORK}/ipGroups/elsewhere"])
    with pytest.raises(NotCollected, match="elsewhere"):
        verdict_of(collection(grouped))
    alone = _resource(WALL, AzureFirewall.TYPE, {"firewallPolicy": {"id": POLICIES["child"]}})
    with pytest.raises(NotCollected, match="child"):
        judge(Estate(snapshot.of([alone])).resource(AzureFirewall, WALL), flow("a.contoso.com"))


@pytest.mark.parametrize(
    "rule",
    [
        network_rule(sourceAddresses=[]),
        network_rule(sourceAddresses=["AzureCloud"]),
        network_rule(destinationAddresses=[]),
        network_rule(destinationAddresses=["10.0.0.9-10.0.0.1"]),
        network_rule(destinationPorts=[]),
        network_rule(destinationPorts=["70000"]),
        network_rule(destinationPorts=["9-1"]),
        network_rule(ipProtocols=[]),
        network_rule(ruleType=None),
        application_rule(targetFqdns=[]),
        application_rule(protocols=[]),
        application_rule(protocols=[{"protocolType": "Https"}]),
    ],
)
def test_a_rule_that_lacks_a_condition_is_malformed(rule: Body) -> None:
    with pytest.raises(Malformed):
        verdict_of(collection(rule))


@pytest.mark.parametrize("key", ["priority", "action", "rules"])
def test_a_collection_that_lacks_something_is_malformed(key: str) -> None:
    with pytest.raises(Malformed):
        verdict_of({**collection(network_rule()), key: None})


def test_a_nat_rule_without_a_translation_is_malformed() -> None:
    for lacking in ({"translatedAddress": None}, {"translatedPort": None}, {"translatedPort": "http"}):
        with pytest.raises(Malformed, match="translates"):
            verdict_of(collection(nat_rule(**lacking), action="DNAT"), to="192.0.2.1")


def test_a_private_range_that_is_none_is_malformed() -> None:
    with pytest.raises(Malformed, match="private range"):
        verdict_of(collection(network_rule()), to="8.8.8.8", ranges=["ten"])


@pytest.mark.parametrize("written", ["", "10.0.0.1-fd00::1", "a-b", "10.0.0.1-", "10.0.0.0/33"])
def test_what_is_no_address_prefix_or_range_has_no_addresses(written: str) -> None:
    assert written_addresses(written) is None


@needs_recordings
def test_every_recorded_firewall_policy_and_group_passes_through() -> None:
    kinds = {
        "azureFirewalls": AzureFirewall.TYPE,
        "firewallPolicies": "Microsoft.Network/firewallPolicies",
        "ruleCollectionGroups": "Microsoft.Network/firewallPolicies/ruleCollectionGroups",
    }
    judged = 0
    for name, body in bodies(*kinds):
        kind = name.partition("/")[0]
        records: list[snapshot.Record] = [snapshot.Resource(id=body["id"], type=kinds[kind], body=body)]
        wall = body["id"]
        if kind != "azureFirewalls":
            policy = body["id"].partition("/ruleCollectionGroups/")[0]
            wall = WALL
            records.append(snapshot.Listing(type=kinds["ruleCollectionGroups"], scope=policy))
            records.append(_resource(WALL, AzureFirewall.TYPE, {"firewallPolicy": {"id": policy}}))
            if kind == "ruleCollectionGroups":
                records.append(_resource(policy, kinds["firewallPolicies"], {"sku": {"tier": "Premium"}}))
        firewall = Estate(snapshot.of(records)).resource(AzureFirewall, wall)
        for one in (flow("202.120.36.15", 12000), flow("www.google.com", 12800), flow("8.8.8.8", 53, "udp")):
            try:
                judged += bool(judge(firewall, one))
            except (NotCollected, Malformed, UnheardOf):
                placed_rules_or_reason(firewall)
    assert judged


def placed_rules_or_reason(firewall: AzureFirewall) -> None:
    """Take the rules apart, each by itself; only what facts raise may come out."""
    try:
        rules = placed_rules(firewall)
    except (NotCollected, Malformed, UnheardOf):
        return
    for rule in rules:
        try:
            assert rule.conditions
        except (NotCollected, Malformed, UnheardOf):
            continue


@pytest.mark.parametrize(
    ("to", "proxy", "action"),
    [
        ("a.contoso.com", True, "allow"),
        ("a.contoso.com", False, "undecided"),
        ("b.contoso.com", True, "deny"),
        ("192.0.2.1", True, "undecided"),
    ],
)
def test_a_name_in_a_network_rule_needs_the_dns_proxy(
    to: str,
    proxy: bool,  # noqa: FBT001 - a parameter of the test
    action: str,
) -> None:
    rule = network_rule(destinationAddresses=[], destinationFqdns=["A.contoso.com"])
    assert verdict_of(collection(rule), to=to, proxy=proxy).action == action


@pytest.mark.parametrize(
    ("pattern", "to", "action"),
    [
        ("*.contoso.com", "a.b.contoso.com", "allow"),
        ("*.contoso.com", "contoso.com", "deny"),
        ("*.contoso.com", "xcontoso.com", "deny"),
        ("*contoso.com", "xcontoso.com", "allow"),
        ("contoso.com", "a.contoso.com", "deny"),
        ("*", "192.0.2.1", "allow"),
        ("contoso.com", "192.0.2.1", "undecided"),
    ],
)
def test_an_asterisk_stands_for_anything_to_the_left(pattern: str, to: str, action: str) -> None:
    assert verdict_of(collection(application_rule(targetFqdns=[pattern])), to=to).action == action


@pytest.mark.parametrize(("kind", "port", "action"), [("Http", 443, "deny"), ("Http", 8080, "allow")])
def test_a_known_port_speaks_its_own_protocol(kind: str, port: int, action: str) -> None:
    rule = application_rule(protocols=[{"protocolType": kind, "port": port}])
    assert judge(Setup([group(collection(rule))]).firewall, flow("a.contoso.com", port)).action == action
