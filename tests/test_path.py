"""`aks-audit path`: walks that a person decided over the estates, and what it makes of anything else it is asked."""

import copy
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.cli import main
from aks_audit.facts import Estate, ManagedCluster
from aks_audit.facts.resource_id import parse
from aks_audit.network.flows import FlowProtocol, Passage
from aks_audit.network.hops import Hop, HopKind, Walk
from aks_audit.path import PathError, Question, as_json, as_text, ask, destination, find_cluster
from aks_audit.policies.enforcement import POLICY_TYPES, REFERRED_TYPES
from aks_audit.snapshot import Gap, Listing, Record, Resource
from cases import Case, records_of
from compose.estates import ESTATES
from live import run
from mutations import RETYPED, Mutation, keys
from resource_manager import ResourceManager

FIXTURES = Path(__file__).parent.parent / "fixtures"
PATHS = FIXTURES / "paths"
QUESTIONS: dict[str, list[dict[str, Any]]] = {
    path.stem: tomllib.loads(path.read_text(encoding="utf-8"))["question"] for path in sorted(PATHS.glob("*.toml"))
}
ASKED = [{"estate": estate, **question} for estate, questions in QUESTIONS.items() for question in questions]
FEWEST = 10
"""The questions that an estate must have."""
EXIT_CODES = {"✓": 0, "✗": 1, "?": 3}


def recorded(estate: str) -> Path:
    return FIXTURES / "estates" / f"{estate}.jsonl"


@lru_cache(maxsize=4)
def records(estate: str) -> tuple[Record, ...]:
    read = snapshot.read([recorded(estate)])
    return (
        *(listing for listing in read.listings),
        *(resource for resource, _ in read.resources),
    )


def walked(
    estate: Iterable[Record], cluster: str, source: str, target: str, protocol: FlowProtocol = "tcp"
) -> tuple[Question, Walk]:
    read = Estate(snapshot.of(list(estate)))
    question = Question(find_cluster(read, cluster), source, target, protocol)
    return question, ask(read, question)


def told(hop: Hop) -> str:
    """A hop as the questions' file writes it."""
    passage = f" = {hop.passage}" if hop.passage else ""
    return f"{hop.kind}: {parse(hop.where).name}{f', {hop.by}' if hop.by else ''}{passage}"


def estate_of(asked: dict[str, Any]) -> list[Record]:
    """The estate of a question: with the pod that it starts from, and without what it loses."""
    pod = asked.get("pod")
    every = records(asked["estate"])
    there = _with_pod(asked["estate"], asked["cluster"], pod["address"], pod["pool"]) if pod else list(every)
    for lost in [one for one in every if any(_is(one, end) for end in asked.get("lose", ()))]:
        assert isinstance(lost, Resource)
        there = [one for one in there if one is not lost]
        there.append(Gap(id=lost.id, type=lost.type, reason="refused", cause="refused"))
    return there


def walk_of(asked: dict[str, Any], estate: Iterable[Record] | None = None) -> tuple[Question, Walk]:
    """The walk of a question, through its own estate unless another is given."""
    there = estate_of(asked) if estate is None else estate
    return walked(there, asked["cluster"], asked["from"], asked["to"], asked.get("protocol", "tcp"))


@pytest.mark.parametrize("asked", ASKED, ids=lambda one: f"{one['cluster']} {one['from']} to {one['to']}")
def test_a_walk_is_the_one_that_a_person_decided(asked: dict[str, Any]) -> None:
    _, walk = walk_of(asked)
    assert [told(hop) for hop in walk.hops] == asked["walk"]
    assert walk.end == asked["end"]
    if walk.end != Passage.ALLOWED:
        assert asked["by"] in walk.decided_by.says


def test_every_estate_has_ten_questions_and_none_is_asked_twice() -> None:
    assert {
        estate: len(QUESTIONS.get(estate, ())) for estate in ESTATES if len(QUESTIONS.get(estate, ())) < FEWEST
    } == {}
    keys = ("estate", "cluster", "from", "to", "protocol", "lose")
    asked = Counter(tuple(str(one.get(key)) for key in keys) for one in ASKED)
    assert {question for question, times in asked.items() if times > 1} == set()


@pytest.mark.parametrize("golden", sorted(PATHS.glob("*.txt")), ids=lambda path: path.stem)
def test_the_text_is_as_it_was_approved(
    golden: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command, _, expected = golden.read_text(encoding="utf-8").partition("\n")
    estate, *arguments = command.removeprefix("$ aks-audit path ").split()
    monkeypatch.setenv("COLUMNS", "100")
    code = main(["path", *arguments, "--snapshot", str(recorded(estate))])
    printed = capsys.readouterr().out
    assert printed == expected
    last = [line for line in expected.splitlines() if line.startswith(tuple(EXIT_CODES))][-1]
    assert code == EXIT_CODES[last[0]]


@pytest.mark.parametrize("asked", [one for one in ASKED if one["end"] != "allowed"], ids=lambda one: one["to"])
def test_what_is_lost_never_lets_anything_through(asked: dict[str, Any]) -> None:
    every = estate_of(asked)
    for lost in every:
        if not isinstance(lost, Resource) or lost.type.lower() in {ManagedCluster.TYPE.lower(), "pods"}:
            continue
        gap = Gap(id=lost.id, type=lost.type, reason="refused", cause="refused")
        _, walk = walk_of(asked, [*(one for one in every if one is not lost), gap])
        assert walk.end is not Passage.ALLOWED, lost.id


@pytest.mark.parametrize("asked", ASKED, ids=lambda one: f"{one['cluster']} {one['from']} to {one['to']}")
def test_all_evidence_stands_where_it_says(asked: dict[str, Any]) -> None:
    bodies = {one.id.lower(): one.body for one in estate_of(asked) if isinstance(one, Resource)}
    question, walk = walk_of(asked)
    document = json.loads(as_json(question, walk))
    assert document["schema"] == "aks-audit/path/1"
    assert document["end"] == walk.end
    assert document["hops"][document["decidedBy"]]["says"] == walk.decided_by.says
    for piece in (piece for hop in document["hops"] for piece in hop["evidence"]):
        assert _at(bodies[piece["resource"].lower()], piece["pointer"]) == piece["value"] or piece["value"] is None


def _at(body: Any, pointer: str) -> Any:  # noqa: ANN401 - any JSON value
    value = body
    for name in pointer.split("/")[1:]:
        if isinstance(value, list):
            value = value[int(name)]
        elif value is not None:
            value = value.get(name.replace("~1", "/").replace("~0", "~"))
    return value


def test_every_hop_that_decides_has_evidence_or_says_what_is_missing() -> None:
    for asked in ASKED:
        _, walk = walk_of(asked)
        assert walk.decided_by.evidence or walk.decided_by.missing or walk.decided_by.by


def _pod(cluster: str, namespace: str, name: str, node: str, address: str, **spec: object) -> Resource:
    body = {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodeName": node, **spec},
        "status": {"podIP": address},
    }
    return Resource(
        id=f"{cluster}/api/v1/namespaces/{namespace}/pods/{name}", type="pods", source="kubernetes", body=body
    )


def _with_pod(
    estate: str, name: str, address: str, pool: str, more: Iterable[Record] = (), **spec: object
) -> list[Record]:
    """An estate, and a pod on a node of a pool in the cluster of this name."""
    every = records(estate)
    cluster = next(one.id for one in every if isinstance(one, Resource) and one.id.endswith(f"managedClusters/{name}"))
    node = f"aks-{pool}-12345678-vmss000001"
    listings = [Listing(kind, cluster) for kind in ("pods", "nodes", *POLICY_TYPES, *REFERRED_TYPES)]
    return [*every, *listings, _pod(cluster, "shop", "web", node, address, **spec), *more]


def _hop(walk: Walk, kind: HopKind) -> Hop | None:
    return next((hop for hop in walk.hops if hop.kind is kind), None)


@pytest.mark.parametrize(
    ("estate", "cluster", "pool", "address", "target", "says"),
    [
        ("aks-create-defaults", "aks-quickstart", "nodepool1", "10.244.1.7", "internet", "the node's address"),
        ("aviatrix-firenet-kubenet", "aks-kubenet", "workload", "10.244.1.7", "internet", "the node's address"),
        ("modern-hardened", "aks-filtered", "apps", "10.60.10.7", "example.com", "keeps its address 10.60.10.7"),
        (
            "checkpoint-per-pod-egress",
            "aks-pods-udr",
            "apps",
            "10.101.0.9",
            "internet",
            "unless the cluster's own settings",
        ),
        (
            "checkpoint-per-pod-egress",
            "aks-pods-udr",
            "apps",
            "10.101.0.9",
            "10.101.1.1",
            "keeps its address 10.101.0.9",
        ),
    ],
)
def test_a_pod_is_seen_under_the_address_that_its_plugin_gives_it(  # noqa: PLR0913, PLR0917 - one case
    estate: str, cluster: str, pool: str, address: str, target: str, says: str
) -> None:
    _, walk = walked(_with_pod(estate, cluster, address, pool), cluster, "shop/web", target)
    masquerade = _hop(walk, HopKind.MASQUERADE)
    assert masquerade
    assert says.lower() in masquerade.says.lower()


def test_a_pod_on_the_nodes_network_is_its_node() -> None:
    estate = _with_pod("aks-create-defaults", "aks-quickstart", "10.224.0.5", "nodepool1", hostNetwork=True)
    _, walk = walked(estate, "aks-quickstart", "shop/web", "internet")
    assert walk.end is Passage.ALLOWED
    assert not _hop(walk, HopKind.MASQUERADE)
    assert "address 10.224.0.5" in walk.hops[0].says


def test_network_policies_about_the_namespace_leave_it_open_and_no_others() -> None:
    estate = _with_pod("modern-hardened", "aks-filtered", "10.60.10.7", "apps")
    cluster = next(
        one.id for one in estate if isinstance(one, Resource) and one.id.endswith("managedClusters/aks-filtered")
    )
    kind = "networkpolicies.networking.k8s.io"

    def policy(namespace: str) -> Resource:
        path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/deny"
        return Resource(id=f"{cluster}{path}", type=kind, source="kubernetes", body={"metadata": {"name": "deny"}})

    def passage(*more: Record) -> Passage | None:
        _, walk = walked([*estate, *more], "aks-filtered", "shop/web", "mcr.microsoft.com")
        hop = _hop(walk, HopKind.NETWORK_POLICY)
        assert hop
        return hop.passage

    assert passage() is Passage.ALLOWED
    assert passage(policy("other")) is Passage.ALLOWED
    assert passage(policy("shop")) is Passage.UNKNOWN


def test_unread_network_policies_leave_it_unknown_but_a_block_later_on_decides() -> None:
    estate = [one for one in _with_pod("modern-hardened", "aks-filtered", "10.60.10.7", "apps")
              if not (isinstance(one, Listing) and "policies" in one.type)]  # fmt: skip
    _, walk = walked(estate, "aks-filtered", "shop/web", "mcr.microsoft.com")
    assert (walk.end, walk.decided_by.kind) == (Passage.UNKNOWN, HopKind.NETWORK_POLICY)
    _, walk = walked(estate, "aks-filtered", "shop/web", "example.com")
    assert (walk.end, walk.decided_by.kind) == (Passage.BLOCKED, HopKind.FIREWALL)


def _is(record: Record, end: str) -> bool:
    return isinstance(record, Resource) and record.id.endswith(end)


def _changed(estate: str, end: str, change: dict[str, Any]) -> list[Record]:
    """An estate with properties of one resource, by the end of its id, changed."""
    every = list(records(estate))
    for number, one in enumerate(every):
        if isinstance(one, Resource) and one.id.endswith(end):
            body = copy.deepcopy(one.body)
            body["properties"].update(change)
            every[number] = Resource(id=one.id, type=one.type, body=body, read=one.read)
    return every


@pytest.mark.parametrize(
    ("default", "passage"), [(True, Passage.ALLOWED), (False, Passage.BLOCKED), (None, Passage.UNKNOWN)]
)
def test_without_translation_a_subnet_leads_out_only_by_default_outbound_access(
    default: bool | None,  # noqa: FBT001 - one case
    passage: Passage,
) -> None:
    lists = ("frontendIPConfigurations", "outboundRules", "loadBalancingRules", "backendAddressPools")
    estate = _changed("aks-create-defaults", "loadBalancers/kubernetes", {name: [] for name in lists})
    network = next(number for number, one in enumerate(estate) if _is(one, "virtualNetworks/aks-vnet-70755743"))
    record = estate[network]
    assert isinstance(record, Resource)
    body = copy.deepcopy(record.body)
    body["properties"]["subnets"][0]["properties"]["defaultOutboundAccess"] = default
    estate[network] = Resource(id=record.id, type=record.type, body=body, read=record.read)
    _, walk = walked(estate, "aks-quickstart", "node", "internet")
    assert (walk.decided_by.kind, walk.end) == (HopKind.TRANSLATION, passage)


def test_a_service_and_azures_own_addresses_are_not_walked_yet() -> None:
    for target in ("10.0.0.10:53", "168.63.129.16:80", "169.254.169.254:80"):
        _, walk = walked(records("aks-create-defaults"), "aks-quickstart", "node", target)
        assert (walk.end, walk.decided_by.kind) == (Passage.UNKNOWN, HopKind.DESTINATION)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Example.COM", (None, "example.com", 443)),
        ("example.com.:8443", (None, "example.com", 8443)),
        ("10.0.0.4", ("10.0.0.4", None, 443)),
        ("10.0.0.4:5432", ("10.0.0.4", None, 5432)),
        ("2001:db8::1", ("2001:db8::1", None, 443)),
        ("[2001:db8::1]:80", ("2001:db8::1", None, 80)),
        ("Internet:25", (None, None, 25)),
    ],
)
def test_a_destination_is_a_host_an_address_or_the_internet(
    written: str, expected: tuple[str | None, str | None, int]
) -> None:
    found = destination(written, "tcp")
    assert (str(found.address) if found.address else None, found.name, found.port) == expected


@pytest.mark.parametrize(
    "written",
    [
        "",
        ":443",
        "https://example.com/",
        "example.com:0",
        "example.com:65536",
        "a b",
        "10.0.0.256",
        "-x.com",
        "x..y",
        "[::1",
    ],
)
def test_what_is_no_destination_is_refused(written: str) -> None:
    with pytest.raises(PathError):
        destination(written, "tcp")


@given(st.text(max_size=40), st.sampled_from(["tcp", "udp", "icmp"]))
def test_any_text_is_a_destination_or_refused(written: str, protocol: FlowProtocol) -> None:
    try:
        found = destination(written, protocol)
    except PathError:
        return
    assert (found.port is None) == (protocol == "icmp")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nope", "--from", "node", "--to", "internet"], "no cluster 'nope'; there are: aks-automatic, aks-quickstart"),
        (["aks-quickstart", "--from", "nope", "--to", "internet"], "there are: node (any), nodepool1"),
        (["aks-quickstart", "--from", "node", "--to", "a:b"], "'b' in 'a:b' is no port"),
        (["aks-quickstart", "--from", "node", "--to", "a b"], "give HOST[:PORT]"),
        (["aks-quickstart", "--from", "node", "--to", "internet", "--subscription", "x"], "--subscription is of live"),
        (["aks-quickstart", "--from", "node", "--to", "x:1", "--protocol", "icmp"], "icmp has none"),
    ],
)
def test_what_cannot_be_asked_says_what_there_is(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["path", *arguments, "--snapshot", str(recorded("aks-create-defaults"))]) == 2
    assert says in capsys.readouterr().err


def test_the_json_of_the_command_is_the_walk(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["aks-quickstart", "--from", "node", "--to", "internet", "--format", "json"]
    assert main(["path", *arguments, "--snapshot", str(recorded("aks-create-defaults"))]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["schema", "tool", "cluster", "source", "target", "protocol", "end", "decidedBy", "hops"]
    keys = ["kind", "where", "passage", "says", "by", "evidence", "missing", "conditions"]
    assert list(document["hops"][0]) == keys


@given(st.integers(20, 130), st.booleans())
def test_text_is_as_wide_as_the_terminal_and_coloured_only_if_asked(width: int, colour: bool) -> None:  # noqa: FBT001 - drawn
    question, walk = walked(records("azure-firewall-egress-2019"), "aks-6", "node", "mcr.microsoft.com")
    text = as_text(question, walk, colour=colour, width=width)
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert (bare != text) == colour
    assert bare == as_text(question, walk, colour=False, width=width)
    assert max(len(line) for line in bare.splitlines()) <= width


def test_names_that_a_terminal_would_obey_are_shown() -> None:
    hostile = "\x1b[2J\u202e\nblocked"
    question, walk = walked(records("aks-create-defaults"), "aks-quickstart", "node", "internet")
    hop = Hop(HopKind.FIREWALL, f"/{hostile}", Passage.BLOCKED, hostile, hostile, walk.hops[0].evidence)
    text = as_text(question._replace(target=hostile), Walk((*walk.hops, hop)), colour=False, width=100)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.startswith("blocked") for line in text.splitlines())


def test_live_state_is_read_and_walked_and_can_be_walked_again(tmp_path: Path) -> None:
    question = ("aks-prod", "--from", "user", "--to", "internet", "--format", "json")
    with ResourceManager(records_of(Case(name="", expect=""))) as azure:
        live = run(azure, tmp_path, "path", *question, "--in-cluster", "none", "--keep-snapshot", "kept.jsonl")
        again = run(azure, tmp_path, "path", *question, "--snapshot", "kept.jsonl")
        planned = run(azure, tmp_path, "path", *question, "--dry-run")
    walk = json.loads(live.out)
    assert (live.code, walk["end"], walk["hops"][-1]["kind"]) == (1, "blocked", "firewall"), live.err
    assert (again.code, again.out) == (live.code, live.out)
    assert planned.code == 0
    assert "managedClusters" in planned.out


def test_a_route_for_a_service_tag_leaves_the_way_unknown() -> None:
    tag = {"name": "registry", "properties": {"addressPrefix": "AzureContainerRegistry", "nextHopType": "Internet"}}
    default = {
        "name": "to-firewall",
        "properties": {
            "addressPrefix": "0.0.0.0/0",
            "nextHopType": "VirtualAppliance",
            "nextHopIpAddress": "10.50.1.4",
        },
    }
    estate = _changed("modern-hardened", "routeTables/rt-clusters", {"routes": [default, tag]})
    _, walk = walked(estate, "aks-filtered", "node", "example.com")
    assert (walk.end, walk.decided_by.kind) == (Passage.UNKNOWN, HopKind.ROUTE)
    assert "registry" in walk.decided_by.says


def test_calicos_policies_are_read_by_either_of_their_names() -> None:
    estate = _with_pod("aks-create-defaults", "aks-quickstart", "10.244.1.7", "nodepool1")
    cluster = next(number for number, one in enumerate(estate) if _is(one, "managedClusters/aks-quickstart"))
    record = estate[cluster]
    assert isinstance(record, Resource)
    body = copy.deepcopy(record.body)
    body["properties"]["networkProfile"]["networkPolicy"] = "calico"
    estate[cluster] = Resource(id=record.id, type=record.type, body=body, read=record.read)

    def passage(estate: list[Record]) -> Passage | None:
        hop = _hop(walked(estate, "aks-quickstart", "shop/web", "internet")[1], HopKind.NETWORK_POLICY)
        assert hop
        return hop.passage

    assert passage(estate) is Passage.ALLOWED
    without = [one for one in estate if not (isinstance(one, Listing) and one.type.endswith("crd.projectcalico.org"))]
    assert passage(without) is Passage.UNKNOWN
    plurals = [kind.partition(".")[0] for kind in REFERRED_TYPES if kind.endswith(".crd.projectcalico.org")]
    served = {"v3": ["networkpolicies", "globalnetworkpolicies", *plurals]}
    shown = Resource(f"{record.id}/apis", "apis", {"groups": {"projectcalico.org": served}})
    assert passage([*without, shown]) is Passage.ALLOWED


ENDPOINT = "10.71.5.5"


def _to_endpoint(prefix: str, policies: str | None, **unread: str) -> Walk:
    """To the registry's private endpoint, past a route for a prefix to the firewall; without what ends on `unread`."""
    hop = {"addressPrefix": prefix, "nextHopType": "VirtualAppliance", "nextHopIpAddress": "10.70.1.4"}
    estate = _changed("dns-forwarders", "routeTables/rt-shop", {"routes": [{"name": "mine", "properties": hop}]})
    number = next(number for number, one in enumerate(estate) if _is(one, "virtualNetworks/vnet-shop"))
    record = estate[number]
    assert isinstance(record, Resource)
    body = copy.deepcopy(record.body)
    holder = next(one for one in body["properties"]["subnets"] if one["name"] == "snet-endpoints")
    holder["properties"]["privateEndpointNetworkPolicies"] = policies
    estate[number] = Resource(id=record.id, type=record.type, body=body, read=record.read)
    left = [one for one in estate if not any(_is(one, end) for end in unread.values())]
    return walked(left, "aks-shop", "node", ENDPOINT)[1]


@pytest.mark.parametrize(
    ("prefix", "policies", "by"),
    [
        ("10.71.5.0/24", "Disabled", "private endpoint pe-crshop"),
        ("10.71.5.0/24", "NetworkSecurityGroupEnabled", "private endpoint pe-crshop"),
        ("10.71.0.0/16", "RouteTableEnabled", "route rt-shop/mine"),
        ("10.71.5.0/24", "Enabled", "route rt-shop/mine"),
        (f"{ENDPOINT}/32", "Disabled", "route rt-shop/mine"),
        ("10.0.0.0/8", "Enabled", "Azure's own route"),
    ],
)
def test_a_private_endpoint_is_reached_past_routes_that_its_subnet_does_not_heed(
    prefix: str, policies: str, by: str
) -> None:
    walk = _to_endpoint(prefix, policies)
    hop = _hop(walk, HopKind.ROUTE)
    assert hop
    assert (hop.by, hop.passage) == (by, None)
    assert walk.end is (Passage.BLOCKED if by.startswith("route") else Passage.ALLOWED)


def test_where_a_private_endpoint_may_be_the_way_is_unknown() -> None:
    interface = "pe-crshop.nic.adbde6e9-55bb-5c07-8fef-c251b63336fd"
    for walk in (_to_endpoint("10.71.5.0/24", None), _to_endpoint("10.71.5.0/24", "Disabled", interface=interface)):
        assert (walk.end, walk.decided_by.kind) == (Passage.UNKNOWN, HopKind.ROUTE)


def test_a_firewall_leaves_through_the_gateway_of_its_subnet() -> None:
    gateway = f"/subscriptions/{'1' * 8}/resourceGroups/g/providers/Microsoft.Network/natGateways/ng"
    estate = list(records("modern-hardened"))
    number = next(number for number, one in enumerate(estate) if _is(one, "virtualNetworks/vnet-hub"))
    record = estate[number]
    assert isinstance(record, Resource)
    body = copy.deepcopy(record.body)
    holder = next(one for one in body["properties"]["subnets"] if one["name"] == "AzureFirewallSubnet")
    holder["properties"]["natGateway"] = {"id": gateway}
    estate[number] = Resource(id=record.id, type=record.type, body=body, read=record.read)
    made = Resource(id=gateway, type="Microsoft.Network/natGateways", body={"name": "ng", "properties": {}})
    _, walk = walked([*estate, made], "aks-filtered", "node", "mcr.microsoft.com")
    assert (walk.hops[-1].by, walk.end) == ("NAT gateway ng", Passage.ALLOWED)
    _, walk = walked(estate, "aks-filtered", "node", "mcr.microsoft.com")
    assert walk.end is Passage.UNKNOWN


def test_a_route_for_a_range_leaves_names_unknown_and_one_for_a_few_hosts_does_not() -> None:
    default = {"addressPrefix": "0.0.0.0/0", "nextHopType": "VirtualAppliance", "nextHopIpAddress": "10.50.1.4"}
    for prefix, end in {"20.0.0.0/8": Passage.UNKNOWN, "20.1.1.1/32": Passage.ALLOWED}.items():
        other = {"addressPrefix": prefix, "nextHopType": "Internet"}
        routes = [{"name": "to-firewall", "properties": default}, {"name": "other", "properties": other}]
        estate = _changed("modern-hardened", "routeTables/rt-clusters", {"routes": routes})
        _, walk = walked(estate, "aks-filtered", "node", "mcr.microsoft.com")
        assert walk.end is end
        _, walk = walked(estate, "aks-filtered", "node", "internet")
        assert walk.decided_by.kind is HopKind.FIREWALL


def test_a_service_endpoint_may_be_a_way_out_where_there_is_no_other() -> None:
    estate = list(records("nat-gateway"))
    number = next(number for number, one in enumerate(estate) if _is(one, "virtualNetworks/vnet-batch"))
    record = estate[number]
    assert isinstance(record, Resource)
    body = copy.deepcopy(record.body)
    holder = next(one for one in body["properties"]["subnets"] if one["name"] == "snet-nodes")
    del holder["properties"]["natGateway"]
    estate[number] = Resource(id=record.id, type=record.type, body=body, read=record.read)
    ends = {to: walked(estate, "aks-batch", "node", to)[1].end for to in ("internet", "20.60.1.1")}
    assert ends == {"internet": Passage.BLOCKED, "20.60.1.1": Passage.UNKNOWN}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_hurt_body_leaves_a_walk_to_its_end(data: st.DataObject) -> None:
    asked = data.draw(st.sampled_from(ASKED))
    estate = estate_of(asked)
    bodies = [number for number, one in enumerate(estate) if isinstance(one, Resource) and one.body]
    number = data.draw(st.sampled_from(bodies))
    record = estate[number]
    assert isinstance(record, Resource)
    path = data.draw(st.sampled_from(list(keys(record.body))))
    mutation = data.draw(
        st.sampled_from([Mutation(path, "drop"), *(Mutation(path, "retype", one) for one in (None, *RETYPED))])
    )
    estate[number] = Resource(
        id=record.id, type=record.type, body=mutation.of(record.body), read=record.read, source=record.source
    )
    _, walk = walk_of(asked, estate)
    assert walk.end in Passage
