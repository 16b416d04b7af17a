"""Names against a second, plain resolver that walks a small world of its own, label by label."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from typing import Any, NamedTuple, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.facts import Estate, Malformed, NotCollected, UnheardOf, Unread, VirtualNetwork
from aks_audit.facts.firewall import AzureFirewall
from aks_audit.facts.name_resolution import (
    ARecordSet,
    DnsForwardingRuleset,
    DnsResolver,
    ForwardingRule,
    InboundEndpoint,
    PrivateDnsZone,
    RulesetLink,
    VirtualNetworkLink,
)
from aks_audit.facts.resource_id import parse
from aks_audit.network.dns import Answer, resolve
from aks_audit.network.dns_servers import Host, dns_proxy, servers
from aks_audit.network.private_zones import addresses_of
from recordings import bodies, needs_recordings

HERE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network"
AZURE = "168.63.129.16"
UNKNOWN = "unknown"

Found: TypeAlias = tuple[str, frozenset[str]]


class Firewall(NamedTuple):
    """A firewall at 10.N.1.4."""

    proxy: bool
    servers: tuple[str, ...]
    classic: bool


class Net(NamedTuple):
    """The network 10.N.0.0/16: its DNS servers, whom it is peered with, its firewall, resolver and machine."""

    servers: tuple[str, ...]
    peers: frozenset[int]
    firewall: Firewall | None
    resolver: bool


class Zone(NamedTuple):
    """A zone: whether the link to each network is complete and redirects; its records, to addresses or a name."""

    links: dict[int, tuple[bool, bool]]
    records: dict[str, frozenset[str] | str]


class Ruleset(NamedTuple):
    """A ruleset: the networks it is linked to, those its questions leave from; domain, state and servers by rule."""

    links: frozenset[int]
    via: tuple[int, ...]
    rules: tuple[tuple[str, bool, tuple[str, ...]], ...]


class World(NamedTuple):
    """Networks by number, zones by name, rulesets."""

    nets: tuple[Net, ...]
    zones: dict[str, Zone]
    rulesets: tuple[Ruleset, ...] = ()


# --- the second resolver


def plain(world: World, net: int, name: str) -> Found:
    return ask_all(world, net, world.nets[net].servers or (AZURE,), name, [])


def ask_all(world: World, net: int, asked: tuple[str, ...], name: str, trail: list[tuple[Any, ...]]) -> Found:
    return agreed([ask(world, net, server, name, trail) for server in asked])


def agreed(found: list[Found]) -> Found:
    if any(answer == UNKNOWN for answer, _ in found):
        return UNKNOWN, frozenset()
    return found[0] if len(set(found)) == 1 else ("different", frozenset())


def ask(world: World, net: int, server: str, name: str, trail: list[tuple[Any, ...]]) -> Found:
    home = net if server == AZURE else int(server.split(".")[1])
    if home != net and home not in world.nets[net].peers:
        return UNKNOWN, frozenset()
    if (home, server, name) in trail:
        return "nothing", frozenset()
    further = [*trail, (home, server, name)]
    host = world.nets[home]
    if server == AZURE or (host.resolver and server.split(".")[2] == "2"):
        answers = server == AZURE or server.endswith(".4")
        return azure(world, home, name, further) if answers else ("nothing", frozenset())
    if server.endswith(".1.4") and host.firewall:
        if not host.firewall.proxy:
            return "nothing", frozenset()
        return ask_all(world, home, host.firewall.servers or (AZURE,), name, further)
    return UNKNOWN, frozenset()


def azure(world: World, net: int, name: str, trail: list[tuple[Any, ...]]) -> Found:
    labels = name.split(".")
    for start in range(len(labels)):
        zone = world.zones.get(".".join(labels[start:]))
        if zone and zone.links.get(net, (False, False))[0]:
            suffix = ".".join(labels[start:])
            return in_zone(world, (net, suffix), labels[:start], trail)
    return forwarded(world, net, name, trail)


def forwarded(world: World, net: int, name: str, trail: list[tuple[Any, ...]]) -> Found:
    rest = name.split(".")
    azures = rest[-2:] in (["azmk8s", "io"], ["azure", "com"])
    linked = [one for one in world.rulesets if net in one.links]
    while True:
        domain = ".".join(rest) + "."
        here = [(one.via, rule[2]) for one in linked for rule in one.rules if rule[:2] == (domain, True)]
        if here and (rest or not azures):
            return agreed([ask(world, out, server, name, trail) for via, to in here for out in via for server in to])
        if not rest:
            return "public", frozenset()
        rest = rest[1:]


def in_zone(world: World, where: tuple[int, str], left: list[str], trail: list[tuple[Any, ...]]) -> Found:
    net, suffix = where
    zone = world.zones[suffix]
    record = zone.records.get(".".join(left) or "@")
    nodes = {tuple(one.split(".")[at:]) for one in zone.records for at in range(one.count(".") + 1)}
    rest = list(left)
    while record is None and rest and tuple(rest) not in nodes:
        rest = rest[1:]
        if not rest or tuple(rest) in nodes:
            record = zone.records.get(".".join(["*", *rest]))
            break
    if isinstance(record, frozenset):
        return ("addresses" if record else "nothing"), record
    if isinstance(record, str):
        return ask(world, net, AZURE, record, trail)
    redirects = zone.links[net][1] and suffix.startswith("privatelink.")
    return ("public" if redirects else "nothing"), frozenset()


# --- the world as Azure tells it


def estate_of(world: World) -> Estate:
    return Estate(snapshot.of(told(world)))


def network_id(number: int) -> str:
    return f"{HERE}/virtualNetworks/net{number}"


def zone_id(name: str) -> str:
    return f"{HERE}/privateDnsZones/{name}"


def resource(resource_id: str, kind: str, **properties: object) -> snapshot.Resource:
    name = resource_id.rsplit("/", 1)[-1]
    body = {"id": resource_id, "name": name, "type": kind, "location": "westeurope", "properties": properties}
    return snapshot.Resource(id=resource_id, type=kind, body=body)


def records_of(world: World) -> Iterator[snapshot.Resource]:
    for number, net in enumerate(world.nets):
        yield network_of(number, net)
        yield from firewall_of(number, net.firewall)
        address = {"privateIPAddress": f"10.{number}.3.4", "subnet": {"id": f"{network_id(number)}/subnets/other"}}
        interface = f"{HERE}/networkInterfaces/machine{number}"
        yield resource(interface, "Microsoft.Network/networkInterfaces", ipConfigurations=[{"properties": address}])
    yield from resolvers_of(world)
    for name, zone in world.zones.items():
        yield resource(zone_id(name), PrivateDnsZone.TYPE)
        for number, (complete, redirects) in zone.links.items():
            yield resource(
                f"{zone_id(name)}/virtualNetworkLinks/to{number}",
                VirtualNetworkLink.TYPE,
                virtualNetwork={"id": network_id(number).upper().replace("/SUBSCRIPTIONS", "/subscriptions")},
                virtualNetworkLinkState="Completed" if complete else "InProgress",
                resolutionPolicy="NxDomainRedirect" if redirects else "Default",
            )
        yield from (record_set(name, label, value) for label, value in zone.records.items())


def resolvers_of(world: World) -> Iterator[snapshot.Resource]:
    for number, net in enumerate(world.nets):
        yield resource(resolver_id(number), DnsResolver.TYPE, virtualNetwork={"id": network_id(number)})
        if net.resolver:
            address = {
                "privateIpAddress": f"10.{number}.2.4",
                "subnet": {"id": f"{network_id(number)}/subnets/inbound"},
            }
            yield resource(
                f"{resolver_id(number)}/inboundEndpoints/in", InboundEndpoint.TYPE, ipConfigurations=[address]
            )
    for number, one in enumerate(world.rulesets):
        out = [{"id": f"{resolver_id(via)}/outboundEndpoints/out"} for via in one.via]
        yield resource(ruleset_id(number), DnsForwardingRuleset.TYPE, dnsResolverOutboundEndpoints=out)
        for linked_to in sorted(one.links):
            where = f"{ruleset_id(number)}/virtualNetworkLinks/to{linked_to}"
            yield resource(where, RulesetLink.TYPE, virtualNetwork={"id": network_id(linked_to)})
        for position, (domain, enabled, targets) in enumerate(one.rules):
            yield resource(
                f"{ruleset_id(number)}/forwardingRules/rule{position}",
                ForwardingRule.TYPE,
                domainName=domain,
                forwardingRuleState="Enabled" if enabled else "Disabled",
                targetDnsServers=[{"ipAddress": target, "port": 53} for target in targets],
            )


def resolver_id(number: int) -> str:
    return f"{HERE}/dnsResolvers/resolver{number}"


def ruleset_id(number: int) -> str:
    return f"{HERE}/dnsForwardingRulesets/ruleset{number}"


def record_set(zone: str, label: str, value: frozenset[str] | str) -> snapshot.Resource:
    if isinstance(value, str):
        kind = "Microsoft.Network/privateDnsZones/CNAME"
        return resource(f"{zone_id(zone)}/CNAME/{label}", kind, cnameRecord={"cname": f"{value}."})
    addresses = [{"ipv4Address": address} for address in sorted(value)]
    return resource(f"{zone_id(zone)}/A/{label}", ARecordSet.TYPE, aRecords=addresses)


def network_of(number: int, net: Net) -> snapshot.Resource:
    delegation = [{"properties": {"serviceName": "Microsoft.Network/dnsResolvers"}}] if net.resolver else []
    subnets = {"AzureFirewallSubnet": ("1", []), "inbound": ("2", delegation), "other": ("3", [])}
    return resource(
        network_id(number),
        VirtualNetwork.TYPE,
        addressSpace={"addressPrefixes": [f"10.{number}.0.0/16"]},
        dhcpOptions={"dnsServers": list(net.servers)},
        subnets=[
            {
                "id": f"{network_id(number)}/subnets/{name}",
                "name": name,
                "properties": {"addressPrefix": f"10.{number}.{third}.0/24", "delegations": given},
            }
            for name, (third, given) in subnets.items()
        ],
        virtualNetworkPeerings=[
            {"properties": {"peeringState": "Connected", "remoteVirtualNetwork": {"id": network_id(other)}}}
            for other in sorted(net.peers)
        ],
    )


def firewall_of(number: int, firewall: Firewall | None) -> Iterator[snapshot.Resource]:
    if firewall is None:
        return
    policy = f"{HERE}/firewallPolicies/policy{number}"
    settings = {
        "Network.DNS.EnableProxy": str(firewall.proxy).lower(),
        "Network.DNS.Servers": ",".join(firewall.servers),
    }
    proxy = {"enableProxy": firewall.proxy, "servers": list(firewall.servers)}
    address = {
        "privateIPAddress": f"10.{number}.1.4",
        "subnet": {"id": f"{network_id(number)}/subnets/AzureFirewallSubnet"},
    }
    own: Mapping[str, object] = (
        {"additionalProperties": settings} if firewall.classic else {"firewallPolicy": {"id": policy}}
    )
    where = f"{HERE}/azureFirewalls/firewall{number}"
    yield resource(where, AzureFirewall.TYPE, ipConfigurations=[{"properties": address}], **own)
    yield resource(policy, "Microsoft.Network/firewallPolicies", dnsSettings=proxy)


def listings_of(world: World) -> Iterator[snapshot.Listing]:
    for kind in (PrivateDnsZone, DnsResolver, DnsForwardingRuleset):
        yield snapshot.Listing(type=kind.TYPE, scope="/subscriptions/s")
    for number in range(len(world.nets)):
        yield snapshot.Listing(type=InboundEndpoint.TYPE, scope=resolver_id(number))
    for number in range(len(world.rulesets)):
        for part in (ForwardingRule, RulesetLink):
            yield snapshot.Listing(type=part.TYPE, scope=ruleset_id(number))
    for name in world.zones:
        yield snapshot.Listing(type=VirtualNetworkLink.TYPE, scope=zone_id(name))
        yield snapshot.Listing(type=ARecordSet.TYPE, scope=zone_id(name))


# --- worlds

NETS = 3
ZONES = ("io", "azmk8s.io", "privatelink.azmk8s.io", "a.privatelink.azmk8s.io")
NAMES = (
    "a.privatelink.azmk8s.io",
    "b.privatelink.azmk8s.io",
    "x.a.privatelink.azmk8s.io",
    "y.x.a.privatelink.azmk8s.io",
    "azmk8s.io",
    "other.azmk8s.io",
    "example.com",
    "management.azure.com",
)
LABELS = ("@", "*", "a", "b", "x", "*.a", "x.a", "privatelink", "*.privatelink", "a.privatelink", "y.x", "other")
ANSWERING = (AZURE, *(f"10.{net}.1.4" for net in range(NETS)))
SERVERS = [*ANSWERING * 4, "10.0.2.4", "10.1.2.4", "10.2.2.4", "10.2.2.5", "10.0.3.4", "10.9.1.4"]
asked = st.lists(st.sampled_from(SERVERS), max_size=2).map(tuple)
addresses = st.frozensets(st.sampled_from(["10.0.0.4", "10.0.0.5"]), max_size=2)
firewalls = st.builds(Firewall, st.sampled_from([True, True, False]), asked, st.booleans())
peers = st.sampled_from([frozenset(range(NETS))] * 5 + [frozenset({0, 1}), frozenset({2}), frozenset[int]()])
nets = st.builds(Net, asked, peers, firewalls | firewalls | st.none(), st.sampled_from([False] * 5 + [True]))
links = st.tuples(st.sampled_from([True, True, False]), st.booleans())
records = st.dictionaries(st.sampled_from(LABELS), addresses | st.sampled_from(NAMES), min_size=1, max_size=6)
zones = st.builds(Zone, st.dictionaries(st.integers(0, NETS - 1), links, min_size=1), records)
linked = st.builds(Zone, st.fixed_dictionaries({0: links}), records)
numbers = st.integers(0, NETS - 1)
DOMAINS = (".", "io.", "azmk8s.io.", "privatelink.azmk8s.io.", "a.privatelink.azmk8s.io.", "com.", "zure.com.")
targets = st.lists(st.sampled_from(["10.0.2.4", "10.1.2.4"] * 3 + SERVERS[1:]), min_size=1, max_size=2).map(tuple)
rules = st.tuples(st.sampled_from(DOMAINS), st.sampled_from([True, True, False]), targets)
via = st.lists(numbers, min_size=1, max_size=2, unique=True).map(tuple)
rulesets = st.builds(Ruleset, st.frozensets(numbers), via, st.lists(rules, min_size=1, max_size=4).map(tuple))
by_name = st.dictionaries(st.sampled_from(ZONES), zones, min_size=1)
worlds = st.builds(World, st.tuples(*[nets] * NETS), by_name, st.lists(rulesets, max_size=2).map(tuple))
with_rules = st.builds(
    World,
    st.tuples(*[st.builds(Net, st.just(()), st.just(frozenset(range(NETS))), st.none(), st.booleans())] * NETS),
    by_name,
    st.lists(rulesets, min_size=1, max_size=2).map(tuple),
)


@settings(max_examples=1000)
@given(worlds, st.integers(0, NETS - 1), st.sampled_from(NAMES))
def test_names_resolve_as_a_second_resolver_says(world: World, net: int, name: str) -> None:
    agree(world, net, name)


@settings(max_examples=1000)
@given(with_rules, numbers, st.sampled_from(NAMES))
def test_forwarding_rules_lead_where_a_second_resolver_says(world: World, net: int, name: str) -> None:
    agree(world, net, name)


@settings(max_examples=1500)
@given(st.dictionaries(st.sampled_from(ZONES), linked, min_size=1), st.sampled_from(NAMES))
def test_records_answer_as_a_second_resolver_says(zones: dict[str, Zone], name: str) -> None:
    agree(World((Net((), frozenset(), None, resolver=False),), zones), 0, name)


def agree(world: World, net: int, name: str) -> None:
    network = estate_of(world).resource(VirtualNetwork, network_id(net))
    expected = plain(world, net, name)
    try:
        found = resolve(network, f"{name.upper()}.")
    except NotCollected:
        assert expected == (UNKNOWN, frozenset())
    else:
        assert (found.answer.value, frozenset(map(str, found.addresses))) == expected
        assert found.steps
        assert all(step.said for step in found.steps)


# --- single questions


def world(**changes: object) -> World:
    """A spoke that asks the firewall of its hub, which the zone is linked to."""
    spoke = Net(("10.1.1.4",), frozenset({1}), None, resolver=False)
    hub = Net((), frozenset({0}), Firewall(proxy=True, servers=(), classic=False), resolver=False)
    zone = Zone({1: (True, False)}, {"api": frozenset({"10.0.0.4"})})
    given: dict[str, Any] = {"spoke": spoke, "hub": hub, "zone": zone, **changes}
    return World((given["spoke"], given["hub"]), {"privatelink.azmk8s.io": given["zone"]})


def told(one: World) -> list[snapshot.Record]:
    return [*records_of(one), *listings_of(one)]


def is_list(record: snapshot.Record, kind: str) -> bool:
    return isinstance(record, snapshot.Listing) and record.type == kind


def body_of(records: list[snapshot.Record], end: str) -> dict[str, Any]:
    return next(one.body for one in records if isinstance(one, snapshot.Resource) and one.id.endswith(end))


def spoke_of(one: World) -> VirtualNetwork:
    return estate_of(one).resource(VirtualNetwork, network_id(0))


def test_every_step_to_the_answer_is_told() -> None:
    found = resolve(spoke_of(world()), "api.privatelink.azmk8s.io")
    assert found.answer is Answer.ADDRESSES
    assert found.addresses == {IPv4Address("10.0.0.4")}
    assert [step.said for step in found.steps] == [
        "api.privatelink.azmk8s.io is asked for at 10.1.1.4, a firewall in net1",
        "the DNS proxy of firewall1 is on",
        "api.privatelink.azmk8s.io is asked for at 168.63.129.16, Azure DNS in net1",
        "the private zone privatelink.azmk8s.io is linked to net1",
        "its record api has 10.0.0.4",
    ]
    assert len(found.evidence) == 5


def test_a_machine_as_server_is_unknown_with_the_reason() -> None:
    spoke = Net(("10.1.3.4",), frozenset({1}), None, resolver=False)
    with pytest.raises(NotCollected, match=r"10\.1\.3\.4 is a machine in net1: what it answers"):
        resolve(spoke_of(world(spoke=spoke)), "api.privatelink.azmk8s.io")


def test_a_server_on_premises_is_unknown() -> None:
    spoke = Net(("192.168.0.4",), frozenset(), None, resolver=False)
    with pytest.raises(NotCollected, match=r"192\.168\.0\.4 is neither in the network nor in a peered one"):
        resolve(spoke_of(world(spoke=spoke)), "api.privatelink.azmk8s.io")


def test_a_peering_that_is_not_connected_leads_nowhere() -> None:
    records = told(world())
    body_of(records, "/net0")["properties"]["virtualNetworkPeerings"][0]["properties"]["peeringState"] = "Disconnected"
    network = Estate(snapshot.of(records)).resource(VirtualNetwork, network_id(0))
    assert [server.host for server in servers(network)] == [Host.ELSEWHERE]


def test_the_firewall_of_a_virtual_hub_knows_public_names_alone() -> None:
    spoke = Net(("10.9.0.4",), frozenset({1}), None, resolver=False)
    records = told(world(spoke=spoke))
    body_of(records, "/firewall1")["properties"]["hubIPAddresses"] = {"privateIPAddress": "10.9.0.4"}
    network = Estate(snapshot.of(records)).resource(VirtualNetwork, network_id(0))
    assert resolve(network, "api.privatelink.azmk8s.io").answer is Answer.PUBLIC


def test_without_the_lists_of_zones_nothing_is_public() -> None:
    records = [one for one in told(world()) if not is_list(one, PrivateDnsZone.TYPE)]
    network = Estate(snapshot.of(records)).resource(VirtualNetwork, network_id(1))
    with pytest.raises(NotCollected, match="privateDnsZones"):
        resolve(network, "example.com")


def test_without_the_list_of_records_no_name_is_missing() -> None:
    records = [one for one in told(world()) if not is_list(one, ARecordSet.TYPE)]
    network = Estate(snapshot.of(records)).resource(VirtualNetwork, network_id(1))
    assert resolve(network, "api.privatelink.azmk8s.io").answer is Answer.ADDRESSES
    with pytest.raises(NotCollected, match="privateDnsZones/A"):
        resolve(network, "other.privatelink.azmk8s.io")


def test_what_cannot_be_read_is_malformed() -> None:
    spoke = Net(("dns.example.com",), frozenset(), None, resolver=False)
    with pytest.raises(Malformed, match="expected an address"):
        servers(spoke_of(world(spoke=spoke)))
    zone = Zone({1: (True, False)}, {"api": frozenset({"nowhere"})})
    with pytest.raises(Malformed, match="expected an address"):
        resolve(spoke_of(world(zone=zone)), "api.privatelink.azmk8s.io")
    zone = Zone({1: (True, False)}, {"api": frozenset({"fd00::4"})})
    with pytest.raises(Malformed, match="no IPv4 address"):
        resolve(spoke_of(world(zone=zone)), "api.privatelink.azmk8s.io")


def test_a_new_resolution_policy_is_unheard_of() -> None:
    records = told(world())
    body_of(records, "/to1")["properties"]["resolutionPolicy"] = "Oracle"
    network = Estate(snapshot.of(records)).resource(VirtualNetwork, network_id(1))
    with pytest.raises(UnheardOf):
        resolve(network, "other.privatelink.azmk8s.io")


@needs_recordings
def test_every_recorded_body_passes_through() -> None:
    folders = ("virtualNetworks", "privateDnsZones", "privateDnsA", "privateDnsLinks", "azureFirewalls")
    latest = {body["id"].lower(): body for _, body in bodies(*folders)}
    read = [snapshot.Resource(id=body["id"], type=parse(body["id"]).type, body=body) for body in latest.values()]
    estate = Estate(snapshot.of(read))
    asked_of = estate.every(VirtualNetwork)
    names = [f"test.{zone.name}" for zone in estate.every(PrivateDnsZone)]
    answers = [answered(network, name) for network in asked_of for name in [*names, "example.com"]]
    proxies = [proxied(firewall) for firewall in estate.every(AzureFirewall)]
    records = [addresses_of(record) for record in estate.every(ARecordSet)]
    assert len(asked_of) > 5
    assert len(answers) >= len(asked_of)
    assert None in answers  # what is not in a recording is unknown, not an answer
    assert False in proxies
    assert records


def answered(network: VirtualNetwork, name: str) -> Answer | None:
    try:
        return resolve(network, name).answer
    except Unread:
        return None


def proxied(firewall: AzureFirewall) -> bool | None:
    try:
        return dns_proxy(firewall).enabled
    except Unread:
        return None
