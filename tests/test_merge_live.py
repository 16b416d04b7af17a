"""Shards collected live from one Resource Manager, each by a process of its own, beside a single scan of it all."""

import re
from pathlib import Path

import pytest

from aks_audit import snapshot
from aks_audit.shards import number_of
from compose.azure import Subscription, guid, reference
from compose.clusters import agent_pool, load_balancer_outbound, managed_cluster, overlay, user_assigned
from compose.data_services import key_vault
from compose.estates import dns_resolver, shared_hub, virtual_wan
from compose.hubs import Sizes, hubs
from compose.landing_zone import occupy
from compose.networks import (
    firewall,
    firewall_policy,
    peer,
    public_ip,
    subnet,
    subnet_id,
    virtual_network,
)
from compose.nodes import NodeGroup
from compose.services import role_assignment, user_assigned_identity
from compose.snapshots import recorded
from live import run
from resource_manager import ResourceManager

SMALL = Sizes(security_rules=5, routes=5, firewall_rules=200)
KEPT = "estate.jsonl"
REPORTS = ("aks-audit.html", "aks-audit.json", "aks-audit.sarif")
_TIME = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?Z?( UTC)?")


def timeless(path: Path) -> bytes:
    """What a file holds, whenever that was read."""
    return _TIME.sub(b"TIME", path.read_bytes())


@pytest.mark.parametrize(
    ("records", "of"),
    [
        pytest.param(hubs(40, 6, SMALL), 5, id="40 clusters behind 6 hubs in 12 subscriptions"),
        pytest.param(shared_hub.records(), 2, id="a hub with all there is"),
        pytest.param(dns_resolver.records(), 3, id="a resolver that only one network shows"),
        pytest.param(virtual_wan.records(), 3, id="a Virtual WAN hub"),
    ],
)
def test_shards_read_live_and_merged_are_a_single_scan(records: list[snapshot.Record], of: int, tmp_path: Path) -> None:
    single, merged = tmp_path / "single", tmp_path / "merged"
    single.mkdir()
    (merged / "shards").mkdir(parents=True)
    with ResourceManager(records, names={guid("empty", str(number)): "empty" for number in range(4)}) as server:
        whole = run(server, single, "scan", "--keep-snapshot", KEPT, "--output", "out")
        for number in range(1, of + 1):
            share = f"{number}/{of}"
            done = run(server, merged, "collect", "--shard", share, "-o", f"shards/{number}.jsonl")
            assert done.code in {0, 3}, done.err  # some estates lead to what nobody can read
        calls = len(server.requests)
        united = run(server, merged, "merge", "shards", "--keep-snapshot", KEPT, "--output", "out")
        assert len(server.requests) == calls
    assert f"united {of} of {of} shards" in united.err
    assert timeless(merged / KEPT) == timeless(single / KEPT)
    assert [timeless(merged / "out" / name) for name in REPORTS] == [
        timeless(single / "out" / name) for name in REPORTS
    ]
    assert (united.code, united.out) == (whole.code, whole.out)


def test_a_shard_reads_its_subscriptions_and_what_leads_from_them(tmp_path: Path) -> None:
    with ResourceManager(hubs(6, 3, SMALL)) as server:
        run(server, tmp_path, "collect", "-o", "whole.jsonl")
        for number in (1, 2):
            run(server, tmp_path, "collect", "--shard", f"{number}/2", "-o", f"{number}.jsonl")
    whole = snapshot.read([tmp_path / "whole.jsonl"])
    for number in (1, 2):
        found = snapshot.read([tmp_path / f"{number}.jsonl"])
        (header,) = found.headers
        mine = [one for one in whole.headers[0].scope if number_of(one, 2) == number]
        assert 0 < len(mine) < 6
        assert [*header.scope] == mine
        assert isinstance(header.shard, snapshot.Shard)
        assert header.shard == snapshot.Shard(number, 2, whole.headers[0].scope, ())
        assert {one.scope for one in found.listings if one.type.endswith("managedClusters")} == {*mine}
        elsewhere = [one.id for one, _ in found.resources if not one.id.startswith((*mine, "/providers/"))]
        networks = [one for one in elsewhere if "/virtualNetworks/" in one]
        assert networks, "a cluster or its network is peered with a hub of the other shard"


def services_elsewhere() -> list[snapshot.Record]:
    """A cluster whose identity has a role on a key vault in a subscription of another share of two."""
    own = [Subscription(guid("elsewhere", str(number))) for number in range(8)]
    here, there = (next(one for one in own if number_of(one.id, 2) == number) for number in (1, 2))
    group, node_group = here.group("rg-aks"), "MC_rg-aks_aks_westeurope"
    identity = user_assigned_identity(group, "id-aks")
    outbound = load_balancer_outbound(group, "aks", node_group)
    cluster = managed_cluster(
        group,
        "aks",
        [agent_pool("nodepool1", 3)],
        networkProfile=overlay(**outbound),
        identity=user_assigned([identity]),
    )
    vault = key_vault(there.group("rg-shared"), "kv-shared")
    role = role_assignment(identity, "4633458b-17de-408a-b874-0445c86b69e6", vault["id"])
    return recorded([here, there], [cluster, identity, vault, role, *NodeGroup(cluster, outbound="20.1.1.10").bodies()])


def test_a_service_is_followed_to_by_a_role_that_another_shard_lists(tmp_path: Path) -> None:
    with ResourceManager(services_elsewhere()) as server:
        run(server, tmp_path, "collect", "-o", KEPT)
        for number in (1, 2):
            run(server, tmp_path, "collect", "--shard", f"{number}/2", "-o", f"{number}.jsonl")
        run(server, tmp_path, "merge", "1.jsonl", "2.jsonl", "--keep-snapshot", "merged.jsonl")
    kinds = {one.type for one, _ in snapshot.read([tmp_path / KEPT]).resources}
    assert "Microsoft.KeyVault/vaults" in kinds
    assert timeless(tmp_path / "merged.jsonl") == timeless(tmp_path / KEPT)


def far_policy() -> tuple[list[str], list[snapshot.Record]]:
    """A cluster from which five references lead on to a policy, of which each is in another subscription.

    The cluster is in the first share of two, all else but the policy at the end in the second. These subscriptions are
    the scope.
    """
    own = [Subscription(guid("far", str(number))) for number in range(40)]
    shares = {number: [one for one in own if number_of(one.id, 2) == number] for number in (1, 2)}
    here, (spoke, hub, rules, beyond, *_) = shares[1][0], shares[2]
    network_groups = [one.group("rg-network") for one in (spoke, hub)]
    names = [group.of("virtualNetworks", "vnet") for group in network_groups]
    nodes = virtual_network(network_groups[0], "vnet", "10.1.0.0/16", [subnet(names[0], "snet-nodes", "10.1.0.0/22")])
    firewalls = subnet(names[1], "AzureFirewallSubnet", "10.2.0.0/26")
    middle = virtual_network(network_groups[1], "vnet", "10.2.0.0/16", [firewalls])
    peer(nodes, middle)
    address = public_ip(network_groups[1], "pip", "20.2.2.2")
    policy, base = (one.group("rg-policies").of("firewallPolicies", "fwp") for one in (rules, beyond))
    place = subnet_id(middle, "AzureFirewallSubnet"), ("10.2.0.4", address["id"])
    wall = firewall(network_groups[1], "fw", *place, firewallPolicy=reference(policy))
    occupy(middle, "AzureFirewallSubnet", [wall["properties"]["ipConfigurations"][0]["id"]])
    policies = firewall_policy(rules.group("rg-policies"), "fwp", [wall["id"]], {}, basePolicy=reference(base))
    bases = firewall_policy(beyond.group("rg-policies"), "fwp", [], {})
    group = here.group("rg-aks")
    outbound = load_balancer_outbound(group, "aks", "MC_rg-aks_aks_westeurope")
    pools = [agent_pool("nodepool1", 3, vnetSubnetID=subnet_id(nodes, "snet-nodes"))]
    cluster = managed_cluster(group, "aks", pools, networkProfile=overlay(**outbound))
    bodies = [cluster, nodes, middle, address, wall, *policies, *bases]
    return [one.subscription_id for one in (here, spoke, hub, rules)], recorded(
        [here, spoke, hub, rules, beyond], bodies
    )


def test_what_is_far_beyond_the_scope_is_followed_to_through_other_shares(tmp_path: Path) -> None:
    ids, records = far_policy()
    scope = [part for one in ids for part in ("--subscription", one)]
    with ResourceManager(records) as server:
        run(server, tmp_path, "collect", "-o", KEPT, *scope)
        for number in (1, 2):
            run(server, tmp_path, "collect", "--shard", f"{number}/2", "-o", f"{number}.jsonl", *scope)
        run(server, tmp_path, "merge", "1.jsonl", "2.jsonl", "--keep-snapshot", "merged.jsonl")
    whole = snapshot.read([tmp_path / KEPT])
    beyond = [one.id for one, _ in whole.resources if one.id.split("/")[2] not in ids]
    assert [one.rpartition("/providers/")[2] for one in beyond] == ["Microsoft.Network/firewallPolicies/fwp"]
    assert timeless(tmp_path / "merged.jsonl") == timeless(tmp_path / KEPT)


def test_a_dry_run_of_a_shard_tells_what_it_alone_would_read(tmp_path: Path) -> None:
    with ResourceManager(hubs(6, 3, SMALL)) as server:
        whole = run(server, tmp_path, "collect", "-o", "x.jsonl", "--dry-run")
        parts = [run(server, tmp_path, "collect", "-o", "x.jsonl", "--dry-run", "--shard", f"{n}/2") for n in (1, 2)]
    told = re.compile(r"^\d+ calls: (/subscriptions/.*)$", re.MULTILINE)
    assert sorted(one for part in parts for one in told.findall(part.out)) == told.findall(whole.out)
    assert "subscription of other shards" not in whole.out
    for part in parts:
        others = 6 - len(told.findall(part.out))
        assert f"1 call a subscription of other shards, of which there are {others}: GET" in part.out


def test_a_shard_without_what_was_asked_for_is_no_error_and_all_of_them_are(tmp_path: Path) -> None:
    with ResourceManager(hubs(6, 3, SMALL)) as server:
        for number in (1, 2):
            done = run(
                server, tmp_path, "collect", "--shard", f"{number}/2", "-o", f"{number}.jsonl", "--cluster", "no"
            )
            assert done.code == 0, done.err
        merged = run(server, tmp_path, "merge", "1.jsonl", "2.jsonl")
    assert merged.code == 2
    assert "no cluster matches" in merged.err


def test_one_cluster_asked_for_of_shards_is_that_cluster_of_a_single_scan(tmp_path: Path) -> None:
    with ResourceManager(hubs(6, 3, SMALL)) as server:
        run(server, tmp_path, "collect", "-o", KEPT, "--cluster", "aks-0002")
        for number in (1, 2, 3):
            share = f"{number}/3"
            run(server, tmp_path, "collect", "--shard", share, "-o", f"{number}.jsonl", "--cluster", "aks-0002")
        merged = run(server, tmp_path, "merge", "1.jsonl", "2.jsonl", "3.jsonl", "--keep-snapshot", "merged.jsonl")
    assert merged.code in {0, 1}, merged.err
    assert timeless(tmp_path / "merged.jsonl") == timeless(tmp_path / KEPT)


def test_a_shard_of_an_indexed_job_takes_its_place_from_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AKS_AUDIT_SHARD_INDEX", "1")
    monkeypatch.setenv("AKS_AUDIT_SHARDS", "2")
    with ResourceManager(hubs(2, 1, SMALL)) as server:
        done = run(server, tmp_path, "collect", "-o", KEPT)
    assert done.code == 0, done.err
    shard = snapshot.read([tmp_path / KEPT]).headers[0].shard
    assert isinstance(shard, snapshot.Shard)
    assert (shard.number, shard.of) == (2, 2)
