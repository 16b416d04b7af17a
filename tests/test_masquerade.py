"""Under which address pods leave: the agent's files against a second implementation, walks by them, and damage."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.engine import audit
from aks_audit.facts import Estate, Malformed, ManagedCluster
from aks_audit.facts.masquerade import CUSTOM, RECONCILED, agent_daemon, agent_flags
from aks_audit.facts.workloads import Pod
from aks_audit.network.flows import Destination, Passage
from aks_audit.network.hops import Hop, HopKind
from aks_audit.network.masquerade import Masquerader, masquerading
from aks_audit.network.origins import of_pod
from aks_audit.network.walk import walk
from aks_audit.results import Finding, Outcome
from aks_audit.snapshot import Listing, Record, Resource
from aks_audit_rules.egress_identity import RULES
from cases import BASE, INSIDE, Case, read_cases, records_of
from mutations import Mutation, keys

ROOT = Path(__file__).parent.parent
ESTATE = ROOT / "fixtures" / "estates" / "checkpoint-per-pod-egress.jsonl"
DAEMON = "azure-ip-masq-agent"
GUIDE = ("10.101.0.0/16", "10.101.0.0/16", "10.0.0.0/8", "0.0.0.0/0")
"""The ranges that the guide writes, with its network's place taken by that of the cluster behind the gateways."""


Files: TypeAlias = Mapping[str, str] | None
"""The files in a ConfigMap; None where there is no such ConfigMap."""


class Chain(NamedTuple):
    """The rules that the agent writes, in order: a range as numbers, and whether the packet is let go as it is."""

    rules: tuple[tuple[int, int, bool], ...]

    def keeps(self, address: int) -> bool:
        """Whether the first rule that matches leaves the source alone."""
        return next(kept for value, mask, kept in self.rules if address & mask == value)


def chain(files: Mapping[str, str]) -> Chain | None:
    """The chain for IPv4 that the agent writes by its files; None: it ends. Written from the agent's own code."""
    ranges: set[str] = set()
    masquerade_link_local = False
    added = False
    for name, content in files.items():
        if name[:7] != "ip-masq":
            continue
        found = yaml.safe_load(content) or {}
        listed = found.get("nonMasqueradeCIDRs") or []
        if len(listed) > 64 or not all(aligned(one) for one in listed):
            return None
        ranges |= set(listed)
        masquerade_link_local = masquerade_link_local or bool(found.get("masqLinkLocal"))
        added = True
    if not added:
        ranges = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}
    if not masquerade_link_local:
        ranges.add("169.254.0.0/16")
    return Chain((*((*numbers(one), True) for one in ranges), (0, 0, False)))


def numbers(written: str) -> tuple[int, int]:
    address, _, length = written.partition("/")
    value = 0
    for part in address.split("."):
        value = value * 256 + int(part)
    return value, ((1 << int(length)) - 1) << (32 - int(length))


def aligned(written: object) -> bool:
    if not isinstance(written, str) or written.count("/") != 1 or ":" in written:
        return False
    value, mask = numbers(written)
    return value & ~mask == 0


def ranges(loose: bool = False) -> st.SearchStrategy[str]:  # noqa: FBT001, FBT002 - one switch
    def written(value: int, length: int) -> str:
        kept = value if loose else value & (((1 << length) - 1) << (32 - length))
        return f"{IPv4Address(kept)}/{length}"

    return st.builds(written, st.integers(0, 2**32 - 1), st.integers(0, 32))


BAD = st.sampled_from(["10.0.0.1/8", "10.0.0.0", "fd00::/8", "10.10.10.0/8"])
LISTS = st.lists(ranges() | st.sampled_from(["10.0.0.0/8", "0.0.0.0/1", "128.0.0.0/1", "0.0.0.0/0"]), max_size=6)
CONTENTS = st.builds(
    lambda listed, extra, link_local, as_json: (json.dumps if as_json else yaml.safe_dump)(
        {"nonMasqueradeCIDRs": [*listed, *extra], "masqLinkLocal": link_local, "resyncInterval": "60s"}
    ),
    LISTS | st.none().map(lambda _: []),
    st.just([]) | st.just([]) | st.just([]) | st.lists(BAD, max_size=1),
    st.booleans(),
    st.booleans(),
)
NAMES = st.sampled_from(["ip-masq-agent", "ip-masq-other", "ip-masq", "ipmasq", "config"])
MAPS = st.none() | st.dictionaries(NAMES, CONTENTS, max_size=3)


@cache
def base() -> tuple[Record, ...]:
    """The estate, in whose one cluster there are no Services that could stand before an address."""
    read = snapshot.read([ESTATE])
    there = [resource for resource, _ in read.resources]
    one = next(resource.id for resource in there if resource.id.endswith("/aks-pods-udr"))
    return (*read.headers, *read.listings, Listing(type="services", scope=one), *there)


@cache
def cluster_id() -> str:
    return next(one.id for one in base() if isinstance(one, Resource) and one.id.endswith("/aks-pods-udr"))


def inside(kind: str, path: str, body: Mapping[str, Any]) -> Resource:
    return Resource(id=f"{cluster_id()}{path}", type=kind, source="kubernetes", body=dict(body))


def agent(*arguments: str) -> Resource:
    template = {"spec": {"containers": [{"name": DAEMON, "image": "mcr.microsoft.com/aks/x:1", "args": [*arguments]}]}}
    path = f"/apis/apps/v1/namespaces/kube-system/daemonsets/{DAEMON}"
    return inside("daemonsets.apps", path, {"metadata": {"name": DAEMON}, "spec": {"template": template}})


def config(name: str, files: Files) -> Record:
    path = f"/api/v1/namespaces/kube-system/configmaps/{name}"
    if files is None:
        return Listing("configmaps", f"{cluster_id()}{path}")
    labels = {"addonmanager.kubernetes.io/mode": "Reconcile"}
    return inside("configmaps", path, {"metadata": {"name": name, "labels": labels}, "data": dict(files)})


def estate(custom: Files, reconciled: Files, more: Iterable[Record] = ()) -> Estate:
    return Estate(snapshot.of([*base(), agent(), config(CUSTOM, custom), config(RECONCILED, reconciled), *more]))


def listed(*found: str) -> str:
    return yaml.safe_dump({"nonMasqueradeCIDRs": list(found), "masqLinkLocal": True})


@settings(max_examples=200)
@given(MAPS, MAPS, st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8))
def test_a_second_implementation_agrees_on_every_destination(
    custom: dict[str, str] | None, reconciled: dict[str, str] | None, addresses: list[int]
) -> None:
    both = [*(custom or {}).items(), *(reconciled or {}).items()]
    files = {f"{name}-{number}": text for number, (name, text) in enumerate(both)}
    cluster = estate(custom, reconciled).resource(ManagedCluster, cluster_id())
    wanted = chain(files)
    if wanted is None:
        with pytest.raises(Malformed, match="the agent ends on it"):
            masquerading(cluster)
        return
    found = masquerading(cluster)
    assert found.by is Masquerader.AGENT
    edges = [edge for low, high in found.kept.v4.ranges for edge in (low, high, low - 1, high + 1) if 0 <= edge < 2**32]
    for address in (*addresses, *edges, int(ip_address("169.254.169.254")), int(ip_address("10.101.0.4"))):
        assert (address in found.kept.v4) is wanted.keeps(address), IPv4Address(address)


@pytest.mark.parametrize(
    ("arguments", "ipv6", "all_reserved"),
    [
        ((), False, False),
        (("--v=2",), False, False),
        (("--enable-ipv6",), True, False),
        (("-enable-ipv6=1", "--v", "2", "--nomasq-all-reserved-ranges=T"), True, True),
        (("--nomasq-all-reserved-ranges=true",), False, True),
        (("--nomasq-all-reserved-ranges=0",), False, False),
        (("--enable-ipv6", "--enable-ipv6=FALSE"), False, False),
        (("--enable-ipv6=True", "--", "--nomasq-all-reserved-ranges"), True, False),
        (("--enable-ipv6", "false", "--nomasq-all-reserved-ranges"), True, False),
        (("--masq-chain", "CHAIN", "--nomasq-all-reserved-ranges"), False, True),
        (("---enable-ipv6",), False, False),
    ],
)
def test_flags_are_read_as_go_does(arguments: tuple[str, ...], ipv6: bool, all_reserved: bool) -> None:  # noqa: FBT001 - a row
    there = [*base(), agent(*arguments)]
    daemon = agent_daemon(Estate(snapshot.of(there)).resource(ManagedCluster, cluster_id()))
    assert daemon is not None
    assert agent_flags(daemon) == (ipv6, all_reserved)


def test_a_flag_that_is_neither_on_nor_off_ends_the_agent() -> None:
    there = [*base(), agent("--nomasq-all-reserved-ranges=yes"), config(CUSTOM, None), config(RECONCILED, None)]
    with pytest.raises(Malformed, match="neither true nor false: 'yes'"):
        masquerading(Estate(snapshot.of(there)).resource(ManagedCluster, cluster_id()))


@pytest.mark.parametrize("address", ["100.64.0.1", "192.0.2.1", "198.19.255.255", "240.0.0.1", "203.0.113.9"])
def test_all_reserved_ranges_are_exempt_where_a_flag_says_so_and_no_file_is_there(address: str) -> None:
    def keeps(flag: str, files: Files) -> bool:
        there = [*base(), agent(flag), config(CUSTOM, files), config(RECONCILED, None)]
        cluster = Estate(snapshot.of(there)).resource(ManagedCluster, cluster_id())
        return int(ip_address(address)) in masquerading(cluster).kept.v4

    assert keeps("--nomasq-all-reserved-ranges", None)
    assert not keeps("--nomasq-all-reserved-ranges=false", None)
    assert not keeps("--nomasq-all-reserved-ranges", {"ip-masq-agent": listed("10.0.0.0/8")})


def test_ipv6_is_left_alone_unless_the_agent_cares_for_it() -> None:
    text = listed("fd00:101::/48")
    cluster = estate({"ip-masq-agent": listed("10.0.0.0/8")}, None).resource(ManagedCluster, cluster_id())
    assert masquerading(cluster).kept.v6.size == 2**128
    records = [*base(), agent("--enable-ipv6"), config(CUSTOM, {"ip-masq-agent": text}), config(RECONCILED, None)]
    told = masquerading(Estate(snapshot.of(records)).resource(ManagedCluster, cluster_id()))
    assert int(ip_address("fd00:101::1")) in told.kept.v6
    assert int(ip_address("fe80::1")) in told.kept.v6
    assert int(ip_address("2600::1")) not in told.kept.v6


def pod() -> Resource:
    body = {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"nodeName": "aks-apps-12345678-vmss000001"},
        "status": {"podIP": "10.101.0.9"},
    }
    return inside("pods", "/api/v1/namespaces/shop/pods/web", body)


def hops(found: Estate, to: str | None) -> tuple[Hop, ...]:
    cluster = found.resource(ManagedCluster, cluster_id())
    one = found.resource(Pod, f"{cluster_id()}/api/v1/namespaces/shop/pods/web")
    destination = Destination(ip_address(to) if to else None, None, "tcp", 443)
    return walk(of_pod(one, cluster), destination).hops


def masquerade_of(found: Estate, to: str | None) -> Hop:
    return next(hop for hop in hops(found, to) if hop.kind is HopKind.MASQUERADE)


@pytest.mark.parametrize(
    ("to", "before", "after"),
    [
        ("10.101.1.1", "keeps its address 10.101.0.9", "keeps its address 10.101.0.9"),
        ("10.102.0.10", "node's address", "keeps its address 10.101.0.9"),
        (None, "node's address", "keeps its address 10.101.0.9"),
    ],
)
def test_the_guides_ranges_let_the_gateways_see_pods(to: str | None, before: str, after: str) -> None:
    aks = {"ip-masq-agent-reconciled": listed("10.101.0.0/16")}
    found = estate(None, aks, [pod()])
    hop = masquerade_of(found, to)
    assert before in hop.says
    assert {piece.resource.rpartition("/")[2] for piece in hop.evidence} == {"aks-pods-udr", RECONCILED}
    found = estate({"ip-masq-agent": listed(*GUIDE)}, aks, [pod()])
    hop = masquerade_of(found, to)
    assert after in hop.says
    assert {CUSTOM, RECONCILED} <= {piece.resource.rpartition("/")[2] for piece in hop.evidence}


def test_a_file_that_the_agent_cannot_use_leaves_the_walk_unknown() -> None:
    found = estate({"ip-masq-agent": listed("10.0.0.1/8")}, None, [pod()])
    hop = masquerade_of(found, "10.102.0.10")
    assert hop.passage is Passage.UNKNOWN
    assert "the agent ends on it" in hop.says


def test_a_pod_of_an_overlay_that_keeps_its_address_is_answered_by_nobody() -> None:
    records: list[Record] = []
    for one in base():
        if isinstance(one, Resource) and one.id == cluster_id():
            profile = {
                **one.body["properties"]["networkProfile"],
                "networkPluginMode": "overlay",
                "podCidr": "10.244.0.0/16",
            }
            body = {**one.body, "properties": {**one.body["properties"], "networkProfile": profile}}
            records.append(Resource(id=one.id, type=one.type, body=body))
        else:
            records.append(one)
    maps = [config(CUSTOM, {"ip-masq-agent": listed("10.102.0.0/16")}), config(RECONCILED, None)]
    found = Estate(snapshot.of([*records, agent(), *maps, pod()]))
    assert masquerade_of(found, "10.102.0.10").passage is Passage.BLOCKED
    assert "node's address" in masquerade_of(found, "8.8.8.8").says


def answers(found: Estate) -> dict[str, Finding]:
    return {one.rule: one for one in audit(found, RULES) if one.resource.lower() == cluster_id().lower()}


def test_the_guide_as_a_whole() -> None:
    aks = {"ip-masq-agent-reconciled": listed("10.101.0.0/16", "10.201.0.0/16")}
    more = [Listing(kind, cluster_id()) for kind in ("pods", "ciliumegressgatewaypolicies.cilium.io")]
    before = answers(estate(None, aks, more))
    assert {rule: finding.outcome for rule, finding in before.items()} == {
        "AKS-EGR-28": Outcome.PASS,
        "AKS-EGR-29": Outcome.NOT_APPLICABLE,
        "AKS-EGR-30": Outcome.PASS,
        "AKS-EGR-31": Outcome.NOT_APPLICABLE,
        "AKS-EGR-32": Outcome.FAIL,
        "AKS-EGR-35": Outcome.NOT_APPLICABLE,
    }
    assert "the internet: nodes" in before["AKS-EGR-32"].message
    after = answers(estate({"ip-masq-agent": listed(*GUIDE)}, aks, more))
    assert after["AKS-EGR-29"].outcome is Outcome.PASS
    assert after["AKS-EGR-31"].outcome is Outcome.FAIL
    assert "10.101.0.0/16 stands there more than once" in after["AKS-EGR-31"].message
    assert after["AKS-EGR-32"].outcome is Outcome.PASS


HURT = ("/configmaps/", "/daemonsets/", "/ciliumegressgatewaypolicies/", "/routetables/", "/virtualnetworks/")


@cache
def hurtful() -> list[tuple[str, Case]]:
    """Every case that does not pass, and its rule."""
    return [
        (rule.id, case)
        for rule in RULES
        for case in read_cases(ROOT / "fixtures" / "rules" / rule.id / "cases.toml")
        if case.expect != "pass"
    ]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_inside_makes_a_pass(data: st.DataObject) -> None:
    rule_id, case = data.draw(st.sampled_from(hurtful()))
    rules = [rule for rule in RULES if rule.id == rule_id]
    records = records_of(case, BASE, INSIDE)
    near = [n for n, one in enumerate(records) if isinstance(one, Resource) and _is_near(one.id.lower())]
    index = data.draw(st.sampled_from(near))
    record = records[index]
    assert isinstance(record, Resource)
    way = data.draw(st.sampled_from(list(keys(record.body))))
    hurt = Mutation(way, data.draw(st.sampled_from(["drop", "null"]))).of(record.body)
    records[index] = Resource(id=record.id, type=record.type, body=hurt, source=record.source)
    at = "/".join(map(str, way))
    if not any(rule_id == known and at.endswith(end) for known, end in STILL_ON_EVIDENCE):
        found = audit(Estate(snapshot.of(records)), rules)
        assert all(one.outcome is not Outcome.PASS for one in found), (case.name, record.id, at)


def _is_near(resource: str) -> bool:
    return resource.endswith("/managedclusters/aks-prod") or any(part in resource for part in HURT)


STILL_ON_EVIDENCE = frozenset(
    {
        # Absent, it means that eBPF host routing is off, as without Advanced Container Networking Services.
        *((rule.id, "advancedNetworking") for rule in RULES),
        *((rule.id, "advancedNetworking/performance") for rule in RULES),
        *((rule.id, "performance/accelerationMode") for rule in RULES),
        # Which files a ConfigMap has is people's choice; the others were read.
        ("AKS-EGR-28", "data/ip-masq-agent"),
        ("AKS-EGR-31", "data/ip-masq-a"),
        # A range and a mode that contradict each other.
        ("AKS-EGR-28", "networkProfile/podCidr"),
        # Absent, the subnet does not leave through the firewall whose rules are asked about.
        ("AKS-EGR-28", "properties/routeTable"),
        # Absent, it means the load balancer, Azure's default.
        ("AKS-EGR-32", "networkProfile/outboundType"),
    }
)
"""Losses after which a pass still rests on a value that was read; found by a sweep over every key of every case."""
