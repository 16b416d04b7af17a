"""Services that clusters use: how they are found, how far they are followed, and what is not asked of them."""

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.facts import (
    ClusterDataStore,
    ClusterService,
    ClusterVault,
    Estate,
    ManagedCluster,
    NotCollected,
    Subjects,
    UnreadSubject,
)
from aks_audit.facts.cluster_services import Use
from aks_audit.facts.data_stores import SqlServer, StorageAccount
from aks_audit.facts.key_vault import KeyVault
from aks_audit.facts.service_use import SERVICES, service_of
from aks_audit.network.addresses import AddressSet
from aks_audit.network.egress_addresses import egress_addresses
from aks_audit.snapshot import Body, Resource
from aks_audit.sources.azure.plan import FOLLOWED
from aks_audit.sources.azure.references import reachable, served
from cases import ALIASES, BASE, CLUSTER, ROOT, Case, records_of
from compose.azure import Subscription
from compose.data_services import disk_encryption_set, key_vault, sql_server, storage_account
from compose.roles import given
from compose.snapshots import resource_of
from live import run
from recordings import bodies, needs_recordings
from resource_manager import ResourceManager, load

KUBELET = "33333333-0000-4000-8000-000000000004"
ROLE = "4633458b-17de-408a-b874-0445c86b69e6"
BEYOND = Subscription("66666666-0000-4000-8000-000000000006").group("rg-beyond")
OWN = ALIASES["vnet"].rpartition("/providers/")[0]
DAY = "2026-11-20T06:00:03Z"


def endpoint(name: str, subnet: str, target: str, group: str = OWN) -> Body:
    """A private endpoint that nobody has approved yet."""
    connection = {"privateLinkServiceId": target, "privateLinkServiceConnectionState": {"status": "Pending"}}
    return {
        "id": f"{group}/providers/Microsoft.Network/privateEndpoints/{name}",
        "type": "Microsoft.Network/privateEndpoints",
        "properties": {
            "subnet": {"id": subnet},
            "networkInterfaces": [],
            "customDnsConfigs": [],
            "privateLinkServiceConnections": [{"name": name, "properties": connection}],
        },
    }


def records(*more: Body, case: Case | None = None) -> list[snapshot.Record]:
    """The base estate, with more bodies."""
    return [*records_of(case or Case("", "")), *(resource_of(body, DAY) for body in more)]


def uses(*more: Body, case: Case | None = None) -> dict[str, tuple[Use, ...]]:
    """The services of the base estate with more bodies, by name, and what shows their use."""
    found = Subjects(Estate(snapshot.of(records(*more, case=case)))).of(ClusterService)
    return {one.name: one.uses for one in found if isinstance(one, ClusterService)}


def test_services_are_those_that_settings_roles_and_endpoints_show() -> None:
    store, keys = storage_account(BEYOND, "stbeyond"), key_vault(BEYOND, "kv-keys")
    (server,) = sql_server(BEYOND, "sql-beyond", {})
    encrypting = disk_encryption_set(BEYOND, "des", keys)
    mine = endpoint("pe", f"{ALIASES['vnet']}/subnets/snet-endpoints", server["id"])
    role = given(ROLE, f"{store['id']}/blobServices/default/containers/orders", KUBELET.upper())
    case = Case("", "", set={"cluster properties.diskEncryptionSetID": encrypting["id"]})
    assert uses(store, keys, server, encrypting, mine, role, case=case) == {
        "craksprod": (Use(CLUSTER, "endpoint"), Use(CLUSTER, "role")),
        "kv-aks-prod": (Use(CLUSTER, "encryption"),),
        "kv-keys": (Use(CLUSTER, "encryption"),),
        "sql-beyond": (Use(CLUSTER, "endpoint"),),
        "stbeyond": (Use(CLUSTER, "role"),),
    }


def test_a_role_above_a_service_or_of_somebody_else_shows_nothing() -> None:
    store = storage_account(BEYOND, "stbeyond")
    above = given(ROLE, BEYOND.id, KUBELET)
    other = given(ROLE, store["id"], "33333333-0000-4000-8000-0000000000ff")
    assert "stbeyond" not in uses(store, above, other)


def test_a_registry_in_another_subscription_is_used_by_its_endpoint() -> None:
    registry: Body = {
        "id": BEYOND.of("Microsoft.ContainerRegistry/registries", "crbeyond"),
        "type": "Microsoft.ContainerRegistry/registries",
        "properties": {"publicNetworkAccess": "Disabled"},
    }
    mine = endpoint("pe", f"{ALIASES['vnet']}/subnets/snet-endpoints", registry["id"])
    found = uses(registry, mine, case=Case("", "", absent=("role-pull", "endpoint-registry")))
    assert found["crbeyond"] == (Use(CLUSTER, "endpoint"),)
    assert "craksprod" not in found  # it is only near, and another is known


def test_what_may_name_more_makes_the_cluster_unknown() -> None:
    for alias in ("role-pull", "endpoint"):
        estate = Estate(snapshot.of(records(case=Case("", "", refuse=(alias,)))))
        for kind in (ClusterVault, ClusterDataStore, ClusterService):
            unread = [one.id for one in Subjects(estate).of(kind) if isinstance(one, UnreadSubject)]
            assert unread == [CLUSTER], (alias, kind)


def test_an_id_names_the_service_that_holds_it() -> None:
    vault = ALIASES["vault"]
    assert service_of(f"{vault}/secrets/password/") == vault
    assert service_of(vault.upper().replace("/SUBSCRIPTIONS", "/subscriptions")) is not None
    assert service_of(ALIASES["vnet"]) is None
    assert service_of("") is None


def test_every_service_is_followed_by_its_id() -> None:
    assert FOLLOWED.keys() >= SERVICES.keys()


def test_endpoints_are_followed_from_networks_of_clusters_and_services_no_further() -> None:
    near, far, nobody = (key_vault(BEYOND, name)["id"] for name in ("kv-near", "kv-far", "kv-nobody"))
    elsewhere = BEYOND.of("virtualNetworks", "vnet-of-others")
    mine = endpoint("pe-near", f"{ALIASES['vnet']}/subnets/snet-endpoints", near)
    hubs = endpoint("pe-hub", f"{ALIASES['hub-vnet']}/subnets/AzureFirewallSubnet", far)
    named = {
        "vnet properties.subnets.3.properties.privateEndpoints": [{"id": mine["id"]}],
        "hub-vnet properties.subnets.0.properties.privateEndpoints": [{"id": hubs["id"]}],
        "vault properties.networkAcls.virtualNetworkRules": [{"id": f"{elsewhere}/subnets/default"}],
    }
    read = _by_id(records(mine, hubs, case=Case("", "", set=named)))
    usual = set(reachable(_by_id(records()), set()))
    assert set(reachable(read, set())) - usual == {near}
    unread = {key: one for key, one in read.items() if key not in {mine["id"].lower(), hubs["id"].lower()}}
    assert set(reachable(unread, set())) - usual == {mine["id"]}
    assert served(_by_id(records(given(ROLE, nobody, KUBELET))), set()) == (nobody,)
    assert served(_by_id(records(given(ROLE, nobody, KUBELET))), {nobody.lower()}) == ()


def _by_id(found: list[snapshot.Record]) -> dict[str, Resource]:
    return {record.id.lower(): record for record in found if isinstance(record, Resource)}


def test_a_scan_reads_the_services_of_its_clusters_and_asks_for_no_keys(tmp_path: Path) -> None:
    group = Subscription(CLUSTER.split("/")[2]).group("rg-data")
    store, other = storage_account(group, "stdata"), key_vault(group, "kv-of-others")
    server = sql_server(group, "sql-data", {"office": ("51.1.2.3", "51.1.2.9")})
    roles = [given(ROLE, one, KUBELET) for one in (store["id"], server[0]["id"])]
    with ResourceManager(records(store, other, *server, *roles)) as manager:
        done = run(manager, tmp_path, "scan", "--format", "json", "--subscription", CLUSTER.split("/")[2])
        asked = [request.path.lower() for request in manager.requests]
        methods = {request.method for request in manager.requests}
    assert methods == {"GET"}
    assert len(asked) == len(set(asked))
    assert not [path for path in asked if path.endswith(("keys", "/secrets")) or "kv-of-others" in path]
    assert {ALIASES["vault"].lower(), store["id"].lower(), f"{server[0]['id']}/firewallRules".lower()} <= set(asked)
    assert _outcomes(done.report, "AKS-PAAS-06") == {"stdata": "pass", "sql-data": "pass"}
    assert _outcomes(done.report, "AKS-PAAS-05") == {"kv-aks-prod": "pass"}


def _outcomes(report: dict[str, Any], rule: str) -> dict[str, str]:
    about = [finding for finding in report["findings"] if finding["rule"] == rule]
    return {finding["resource"].rpartition("/")[2]: finding["outcome"] for finding in about}


def test_a_refused_service_names_its_permission(tmp_path: Path) -> None:
    action = "Microsoft.KeyVault/vaults/read"
    with ResourceManager(load(BASE), deny={action: None}) as manager:
        done = run(manager, tmp_path, "scan", "--format", "json")
    told = [one for one in done.report["findings"] if one["rule"] == "AKS-PAAS-05"]
    assert [(one["outcome"], one["missing"][0]["action"]) for one in told] == [("unknown", action)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("modern-hardened aks-filtered", ["20.240.9.10", "20.240.9.11"]),
        ("nat-gateway aks-batch", ["20.44.8.20", "20.44.8.21"]),
        ("aks-create-defaults aks-quickstart", ["20.69.8.10"]),
    ],
)
def test_a_cluster_is_seen_with_the_addresses_of_what_translates_it(name: str, expected: list[str]) -> None:
    file, _, cluster = name.partition(" ")
    estate = Estate(snapshot.read([ROOT / f"fixtures/estates/{file}.jsonl"]))
    found = {one.name: one for one in estate.every(ManagedCluster)}[cluster]
    assert egress_addresses(found) == AddressSet.of(map(ip_network, expected))


@needs_recordings
@pytest.mark.parametrize(("folder", "kind"), [("keyVaults", KeyVault), ("storageAccounts", StorageAccount)])
def test_every_recorded_body_is_read(folder: str, kind: type[KeyVault] | type[StorageAccount]) -> None:
    seen = 0
    for _, body in bodies(folder):
        estate = Estate(snapshot.of([resource_of({**body, "type": kind.TYPE}, DAY)]))
        for one in estate.every(kind):
            values = (one.public_network_access, one.default_action, one.ip_rules, one.private_endpoint_connections)
            json.dumps([str(value) for value in values])
            seen += 1
    assert seen > 5


def test_the_rules_of_a_server_that_were_not_listed_are_not_known() -> None:
    (server,) = sql_server(BEYOND, "sql", {})
    estate = Estate(snapshot.of([resource_of(server, DAY)]))
    with pytest.raises(NotCollected, match="firewallRules"):
        estate.resource(SqlServer, server["id"]).firewall_rules.whole()
