"""`aks-audit permissions --check`: what a scan would lack, told before it, and what a scan then cannot decide."""

import json
from pathlib import Path
from typing import Any

import pytest

from aks_audit import engine, permissions, snapshot
from aks_audit.cli import main
from aks_audit.consequences import Trial
from aks_audit.facts.cluster import ClusterAccess
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.resource_id import parse
from aks_audit.permission_check import ASKED_FOR, Asked, Check, Need, as_text, azure_needs, conclude, data_needs
from aks_audit.snapshot import Resource, Snapshot
from aks_audit.sources.azure.plan import OPTIONAL, optional
from cases import BASE, CLUSTER, ROOT
from live import Done, run
from resource_manager import Answer, Fault, Hang, ResourceManager, Truncated, load

DEMO = ROOT / "auditor" / "aks_audit" / "demo" / "estate.jsonl"
HUB, APPS = (f"/subscriptions/de300000-0000-4000-8000-00000000000{n}" for n in (1, 2))
RECORDS = tuple(record for record in load(DEMO) if not isinstance(record, snapshot.Gap))
LISTED = permissions.load()
TYPES = tuple(read.type for read in optional(OPTIONAL))
NEEDS = azure_needs(LISTED, TYPES)
EVERY_READ = tuple(part for name in OPTIONAL for part in ("--read", name))
ROUTES, SCALE_SETS = "Microsoft.Network/routeTables/read", "Microsoft.Compute/virtualMachineScaleSets/read"
TO_ASK = "Microsoft.Authorization/permissions/read"


@pytest.fixture(scope="module")
def demo() -> Snapshot:
    return snapshot.read([DEMO])


@pytest.fixture(scope="module")
def trial(demo: Snapshot) -> Trial:
    return Trial(demo, engine.load_rules())


@pytest.fixture(scope="module")
def losses(trial: Trial) -> dict[str, frozenset[str]]:
    """What the demo estate loses without each action: the rules that get unknown there."""
    return {need.action: trial.unknown_without(need.reads) for need in NEEDS}


def check(server: ResourceManager, folder: Path, *arguments: str) -> Done:
    return run(server, folder, "permissions", "--check", *arguments)


def scanned(server: ResourceManager, folder: Path) -> dict[tuple[str, str], str]:
    """The outcomes of a real scan of everything that there is to read."""
    done = run(server, folder, "scan", "--format", "json", "--quiet", "--in-cluster", "none", *EVERY_READ)
    return {(finding["rule"], finding["resource"].lower()): finding["outcome"] for finding in done.report["findings"]}


def lost(before: dict[tuple[str, str], str], after: dict[tuple[str, str], str]) -> set[str]:
    """The rules that are unknown about something they were not unknown about, or are about nothing any more.

    Without those that the demo estate can tell nothing of, and those that take what is inside clusters.
    """
    unknown = {key for key, outcome in after.items() if outcome == "unknown"}
    unknown -= {key for key, outcome in before.items() if outcome == "unknown"}
    gone = {rule for rule, _ in before} - {rule for rule, _ in after}
    return ({rule for rule, _ in unknown} | gone) - NOT_DECIDED - OF_THE_INSIDE


def ids(rules: list[dict[str, str]]) -> set[str]:
    """The rules that were told, without those that take what is inside clusters."""
    return {rule["id"] for rule in rules} - OF_THE_INSIDE


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    with ResourceManager(RECORDS) as server:
        return scanned(server, tmp_path_factory.mktemp("whole"))


READ_BY_RULES = [
    "Microsoft.AlertsManagement/prometheusRuleGroups/read",
    "Microsoft.Authorization/roleAssignments/read",
    "Microsoft.Compute/diskEncryptionSets/read",
    "Microsoft.Compute/locations/usages/read",
    "Microsoft.Compute/virtualMachineScaleSets/read",
    "Microsoft.ContainerRegistry/registries/read",
    "Microsoft.ContainerService/deploymentSafeguards/read",
    "Microsoft.ContainerService/managedClusters/maintenanceConfigurations/read",
    "Microsoft.ContainerService/managedClusters/outboundNetworkDependenciesEndpoints/read",
    "Microsoft.ContainerService/managedClusters/read",
    "Microsoft.DataProtection/backupVaults/backupInstances/read",
    "Microsoft.DataProtection/backupVaults/read",
    "Microsoft.Insights/activityLogAlerts/read",
    "Microsoft.Insights/diagnosticSettings/read",
    "Microsoft.Insights/metricAlerts/read",
    "Microsoft.Insights/scheduledQueryRules/read",
    "Microsoft.KeyVault/vaults/read",
    "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/read",
    "Microsoft.ManagedIdentity/userAssignedIdentities/read",
    "Microsoft.Network/azureFirewalls/read",
    "Microsoft.Network/firewallPolicies/read",
    "Microsoft.Network/firewallPolicies/ruleCollectionGroups/read",
    "Microsoft.Network/loadBalancers/read",
    "Microsoft.Network/natGateways/read",
    "Microsoft.Network/networkInterfaces/read",
    "Microsoft.Network/networkSecurityGroups/read",
    "Microsoft.Network/networkWatchers/flowLogs/read",
    "Microsoft.Network/networkWatchers/read",
    "Microsoft.Network/privateDnsZones/ALL/read",
    "Microsoft.Network/privateDnsZones/read",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks/read",
    "Microsoft.Network/privateEndpoints/read",
    "Microsoft.Network/publicIPAddresses/read",
    "Microsoft.Network/routeTables/read",
    "Microsoft.Network/virtualNetworks/read",
    "Microsoft.Security/pricings/read",
    "Microsoft.Sql/servers/firewallRules/read",
    "Microsoft.Sql/servers/read",
    "Microsoft.Storage/storageAccounts/read",
]

NOT_HELD = {
    "Microsoft.Network/natGateways/read",  # without the list, nobody could say that there is none
    "Microsoft.AlertsManagement/prometheusRuleGroups/read",  # likewise, no alert
    # Not asked for, the firewall is judged by Azure's documented list; refused, by nothing.
    "Microsoft.ContainerService/managedClusters/outboundNetworkDependenciesEndpoints/read",
}
"""What rules ask for and the demo estate has none of."""

NOT_DECIDED = {
    "AKS-CP-08",  # policy-states, which nobody asked for in the demo estate
    "AKS-CP-22",  # likewise fleets
    "AKS-CP-30",  # likewise extensions
    "AKS-ING-12",  # the demo estate has no application gateway
}
"""What the check cannot tell of, for the demo estate has nothing to decide it by."""

OF_THE_INSIDE = {
    *(rule.id for rule in engine.load_rules() if issubclass(rule.subject, (KubernetesObject, ClusterAccess))),
    *(f"AKS-EGR-{number}" for number in (28, 29, 30, 31, 35)),
    *(f"AKS-ING-{number}" for number in ("01", "13", "15")),
    *(f"AKS-KN-{number}" for number in ("02", "03", "13", "15", "17", "21")),
    "AKS-KR-12",
    "AKS-KW-11",
    "AKS-KW-14",
    "AKS-SUB-13",
}
"""The rules about what is inside clusters: the check tells of them, the scans here leave them unknown anyway."""

ONLY_ELSEWHERE: dict[str, dict[str, str]] = {
    # public addresses inherit their protection from the network that AKS made
    "Microsoft.Compute/virtualMachineScaleSets/read": {
        "AKS-SUB-25": "aks-create-defaults",
    },
    # an application gateway is the ingress
    **{
        f"Microsoft.Network/{kind}/read": {"AKS-ING-07": "shared-hub"}
        for kind in ("applicationGateways", "ApplicationGatewayWebApplicationFirewallPolicies")
    },
    # the firewall is the DNS server of the clusters' network
    "Microsoft.Network/azureFirewalls/read": {
        "AKS-API-05": "aks-review-networking",
        "AKS-API-14": "base",
        "AKS-API-20": "base",
        "AKS-PAAS-04": "modern-hardened",
    },
    # its policy says where its DNS proxy sends names
    "Microsoft.Network/firewallPolicies/read": {
        "AKS-API-14": "base",
        "AKS-API-20": "base",
        "AKS-PAAS-04": "modern-hardened",
    },
    # a DNS resolver's rules, or its inbound endpoint, decide where names are asked
    **{
        f"Microsoft.Network/dnsForwardingRulesets/{part}read": {
            "AKS-API-13": "dns-resolver",
            "AKS-API-14": "dns-resolver",
            "AKS-PAAS-04": "dns-resolver",
        }
        for part in ("", "forwardingRules/", "virtualNetworkLinks/")
    },
    "Microsoft.Network/dnsResolvers/inboundEndpoints/read": {
        "AKS-API-14": "dns-resolver",
        "AKS-PAAS-04": "dns-resolver",
    },
    "Microsoft.Network/dnsResolvers/read": {
        "AKS-API-13": "dns-resolver",
        "AKS-API-14": "dns-resolver",
        "AKS-PAAS-04": "dns-resolver",
    },
    # the firewall's rules name IP groups
    "Microsoft.Network/ipGroups/read": {
        "AKS-EGR-13": "shared-hub",
        "AKS-EGR-14": "shared-hub",
        "AKS-EGR-15": "shared-hub",
        "AKS-EGR-16": "shared-hub",
    },
    # a load balancer is in front of the appliances
    "Microsoft.Network/loadBalancers/read": {
        "AKS-EGR-03": "checkpoint-per-pod-egress",
        "AKS-EGR-26": "checkpoint-per-pod-egress",
    },
    # authorized ranges hold the address of a NAT gateway
    "Microsoft.Network/natGateways/read": {
        "AKS-API-05": "nat-gateway",
    },
    # the DNS servers, or the appliances of the routes, are virtual machines
    "Microsoft.Network/networkInterfaces/read": {
        "AKS-API-14": "dns-forwarders",
        "AKS-API-20": "dns-forwarders",
        "AKS-API-21": "base",
        "AKS-EGR-03": "aviatrix-firenet-kubenet",
        "AKS-EGR-26": "aviatrix-firenet-kubenet",
        "AKS-EGR-32": "aviatrix-firenet-kubenet",
    },
    # the clusters' network is peered with one that has a gateway
    "Microsoft.Network/networkSecurityGroups/read": {
        "AKS-SUB-30": "shared-hub",
    },
    # clusters without a way out pull from a registry's private endpoint
    "Microsoft.Network/privateEndpoints/read": {
        "AKS-EGR-37": "modern-hardened",
    },
    # authorized ranges hold a firewall's addresses
    "Microsoft.Network/publicIPAddresses/read": {
        "AKS-API-05": "aks-review-networking",
    },
    # kubenet without the table of its own, another vendor's appliances, peerings with readable tables
    "Microsoft.Network/routeTables/read": {
        "AKS-API-05": "aks-review-networking",
        "AKS-EGR-08": "aviatrix-firenet-kubenet",
        "AKS-EGR-26": "api-server-vnet-integration",
        "AKS-SUB-23": "base",
    },
    # the hub has a gateway
    "Microsoft.Network/virtualNetworkGateways/connections/read": {
        "AKS-API-21": "shared-hub",
        "AKS-SUB-28": "shared-hub",
    },
    # the hub has a gateway
    "Microsoft.Network/virtualNetworkGateways/read": {
        "AKS-API-21": "shared-hub",
        "AKS-SUB-28": "shared-hub",
    },
    # the hub of a Virtual WAN gives the default route
    **{
        f"Microsoft.Network/virtualHubs/{part}read": {"AKS-EGR-02": "virtual-wan", "AKS-EGR-07": "virtual-wan"}
        for part in ("", "hubVirtualNetworkConnections/", "routingIntent/")
    },
    # kubenet in a network of one's own, and a right to join subnets that is granted above them
    "Microsoft.Network/virtualNetworks/read": {
        "AKS-API-05": "aks-review-networking",
        "AKS-EGR-08": "aviatrix-firenet-kubenet",
    },
}
"""The rules that other estates would lose and the demo estate does not show, each with an estate that does.

The check says "at least" for their sake.
"""


LOST_INSIDE = {
    "Microsoft.ContainerRegistry/registries/read": {"AKS-PAAS-15"},  # images there name registries
    "Microsoft.Network/publicIPAddresses/read": {"AKS-ING-07"},  # Services there have public addresses
}
"""What only a scan loses that reads inside clusters, as the check has the demo estate."""


@pytest.mark.parametrize("action", READ_BY_RULES)
def test_the_rules_told_are_those_that_a_scan_then_leaves_unknown(
    action: str, whole: dict[tuple[str, str], str], tmp_path: Path
) -> None:
    with ResourceManager(RECORDS, deny={action: None}) as server:
        told = check(server, tmp_path, "--format", "json", *EVERY_READ)
        after = scanned(server, tmp_path)
    (missing,) = told.report["missing"]
    assert told.code == 3
    assert (missing["action"], set(missing["scopes"])) == (action, {HUB, APPS})
    assert ids(missing["rules"]) == ids(told.report["unknown"]) == lost(whole, after) | LOST_INSIDE.get(action, set())
    assert lost(whole, after)


def test_what_no_rule_asks_for_leaves_none_unknown(whole: dict[tuple[str, str], str], tmp_path: Path) -> None:
    recorded = {need.action for need in NEEDS} - set(READ_BY_RULES)
    with ResourceManager(RECORDS, deny=dict.fromkeys(recorded)) as server:
        told = check(server, tmp_path, "--format", "json", "--optional")
        after = scanned(server, tmp_path)
    assert {missing["action"] for missing in told.report["missing"]} == recorded
    assert told.report["unknown"] == []
    assert lost(whole, after) == set()


def test_several_missing_actions_are_tried_together(whole: dict[tuple[str, str], str], tmp_path: Path) -> None:
    denied = {"Microsoft.Network/*": None, SCALE_SETS: None}
    with ResourceManager(RECORDS, deny=denied) as server:
        told = check(server, tmp_path, "--format", "json", *EVERY_READ)
        after = scanned(server, tmp_path)
    each = [ids(missing["rules"]) for missing in told.report["missing"]]
    assert len(each) > 10
    assert ids(told.report["unknown"]) == lost(whole, after) >= set().union(*each)


@pytest.mark.parametrize(
    "path", [BASE, *sorted((ROOT / "fixtures/estates").glob("*.jsonl"))], ids=lambda path: path.stem
)
def test_the_demo_estate_shows_what_any_other_estate_would_lose(
    path: Path, trial: Trial, losses: dict[str, frozenset[str]]
) -> None:
    other = Trial(snapshot.read([path]), trial.rules)
    for need in NEEDS:
        more = other.unknown_without(need.reads) - losses[need.action]
        known = ONLY_ELSEWHERE.get(need.action, {})
        assert more <= known.keys(), need.action
        assert {rule for rule, estate in known.items() if estate == path.stem} <= more, need.action


def test_the_demo_estate_holds_something_of_all_that_rules_ask_for(
    demo: Snapshot, trial: Trial, losses: dict[str, frozenset[str]]
) -> None:
    held = {parse(resource.id).type.lower() for resource, _ in demo.resources}
    assert {action for action, rules in losses.items() if rules} == set(READ_BY_RULES)
    for need in NEEDS:
        if need.action in set(READ_BY_RULES) - NOT_HELD:
            assert held & {kind.lower() for kind in need.reads}, need.action
    of_azure = {rule.id for rule in engine.load_rules()} - OF_THE_INSIDE
    assert of_azure - {rule.id for rule in trial.rules} == NOT_DECIDED


def test_what_stands_below_something_unread_is_not_read_either(trial: Trial) -> None:
    kind = "Microsoft.ContainerService/managedClusters"
    own = f"{CLUSTER}/agentPools/extra"
    pool = Resource(id=own, type=f"{kind}/agentPools", body={"id": own, "properties": {"mode": "User"}})
    other = Trial(snapshot.of([*load(BASE), pool]), trial.rules)
    assert other.unknown_without([kind.upper()]) == {rule.id for rule in other.rules}


def test_everything_permitted_is_told_in_a_sentence_and_costs_a_call_a_subscription(tmp_path: Path) -> None:
    with ResourceManager(RECORDS) as server:
        done = check(server, tmp_path, "--quiet")
        requests = server.requests
    assert done.code == 0, done.err
    assert done.out.startswith("Everything that a scan reads is permitted in 2 subscriptions.\n")
    assert "az " not in done.out
    assert {request.method for request in requests} == {"GET"}
    asked = [f"{scope}/providers/Microsoft.Authorization/permissions" for scope in (HUB, APPS)]
    assert sorted(request.path for request in requests) == ["/subscriptions", *asked]


def test_each_subscription_is_told_apart(tmp_path: Path) -> None:
    with ResourceManager(
        RECORDS, deny={ROUTES: HUB, SCALE_SETS: APPS, "Microsoft.Network/natGateways/read": None}
    ) as server:
        done = check(server, tmp_path, "--format", "json")
        one = check(server, tmp_path, "--format", "json", "--subscription", HUB.rpartition("/")[2])
        text = check(server, tmp_path).out
    assert {missing["action"]: missing["scopes"] for missing in done.report["missing"]} == {
        SCALE_SETS: [APPS],
        "Microsoft.Network/natGateways/read": [HUB, APPS],
        ROUTES: [HUB],
    }
    assert {missing["action"] for missing in one.report["missing"]} == {ROUTES, "Microsoft.Network/natGateways/read"}
    assert [place["scope"] for place in one.report["asked"]] == [HUB]
    assert "permitted in 0 of 2 subscriptions.\n" in text
    assert "AKS-EGR-02  The default route of every node and pod subnet leads to an appliance" in text
    assert f"aks-audit permissions --plane arm --scope {HUB} --scope {APPS} > aks-audit-reader.json\n" in text


@pytest.mark.parametrize(
    ("roles", "missing"),
    [
        ([{"actions": ["*/read"], "notActions": []}], set()),
        ([{"actions": ["*"], "notActions": ["Microsoft.Network/*"]}, {"actions": ["MICROSOFT.NETWORK/*/READ"]}], set()),
        ([{"actions": ["*"], "notActions": ["Microsoft.Network/ROUTETABLES/*"]}], {ROUTES}),
        ([{"actions": ["*/read"], "notActions": ["*/virtualMachineScaleSets/read"]}], {SCALE_SETS}),
        ([{"actions": [], "dataActions": ["*"]}], {need.action for need in azure_needs(LISTED, ())}),
        ([], {need.action for need in azure_needs(LISTED, ())}),
    ],
    ids=["Reader", "two roles", "notActions", "wildcard in the middle", "data only", "no role"],
)
def test_roles_are_understood_as_azure_does(roles: list[dict[str, Any]], missing: set[str], tmp_path: Path) -> None:
    said = Fault("authorization/permissions", Answer(200, json.dumps({"value": roles}).encode()), times=None)
    with ResourceManager(RECORDS, faults=[said]) as server:
        done = check(server, tmp_path, "--format", "json")
    assert {one["action"] for one in done.report["missing"]} == missing
    assert done.code == (3 if missing else 0)


def test_who_has_no_role_at_all_is_told_that_nothing_would_be_known(trial: Trial) -> None:
    nothing = Asked("arm", HUB, frozenset(need.action for need in NEEDS))
    text = as_text(conclude([nothing], NEEDS, trial))
    assert f"Left unknown: all {len(trial.rules)} rules\n" in text
    assert "AKS-IAM-04  " not in text


def test_a_refusal_to_tell_is_never_all_there(tmp_path: Path) -> None:
    with ResourceManager(RECORDS, deny={TO_ASK: HUB}) as server:
        done = check(server, tmp_path)
        told = check(server, tmp_path, "--format", "json").report
    assert done.code == 3
    assert "Everything that a scan reads is permitted in 1 subscription.\n" in done.out
    assert f"Not known is what is permitted in:\n  {HUB}\n" in done.out
    assert f"{TO_ASK} is in Reader, and in the role of: aks-audit permissions --plane arm --optional\n" in done.out
    assert "@contoso" not in done.out
    assert [place["scope"] for place in told["notKnown"]] == [HUB]
    assert [place["scope"] for place in told["asked"]] == [APPS]


@pytest.mark.parametrize(
    "effect",
    [
        Answer(200, b'{"value": null}'),
        Answer(200, b'{"value": [{"actions": "*"}]}'),
        Answer(200, b'{"value": [{"actions": ["*"], "notActions": null}]}'),
        Answer(200, b"<html>"),
        Answer(200, b'{"value": [{"actions": ["*"]}], "nextLink": "https://elsewhere.example/"}'),
        Answer(404, b'{"error": {"code": "NotFound", "message": "gone"}}'),
        Truncated(),
        Hang(60),
    ],
    ids=["no list", "no actions", "null", "HTML", "another host", "404", "truncated", "no answer"],
)
def test_an_answer_that_cannot_be_read_is_never_all_there(effect: Any, tmp_path: Path) -> None:  # noqa: ANN401 - any effect
    with ResourceManager(RECORDS, faults=[Fault("authorization/permissions", effect, times=None)]) as server:
        done = check(server, tmp_path, "--format", "json", "--timeout", "2")
    assert done.code == 3, done.err
    assert done.report["asked"] == done.report["missing"] == []
    assert {place["scope"] for place in done.report["notKnown"]} == {HUB, APPS}


def test_subscriptions_that_cannot_be_listed_are_told(tmp_path: Path) -> None:
    with ResourceManager(RECORDS, faults=[Fault("^/subscriptions\\?", Answer(403, b"{}"), times=None)]) as server:
        done = check(server, tmp_path)
        named = check(server, tmp_path, "--format", "json", "--subscription", HUB)
        nowhere = check(server, tmp_path, "--subscription", "/subscriptions/none")
    assert done.code == named.code == 3
    assert "Not known is what is permitted in:\n  /subscriptions\n" in done.out
    assert [place["scope"] for place in named.report["asked"]] == [HUB]
    assert nowhere.code == 3


def test_a_subscription_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with ResourceManager(RECORDS) as server:
        done = check(server, tmp_path, "--subscription", "sandbox")
    assert done.code == 2
    assert "no subscription 'sandbox'" in done.err


def test_what_azure_says_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    words = json.dumps({"error": {"code": "\x1b[2J", "message": "no\nEverything that a scan reads is permitted\u202e"}})
    with ResourceManager(RECORDS, faults=[Fault("/permissions", Answer(403, words.encode()), times=None)]) as server:
        done = check(server, tmp_path)
    assert done.code == 3
    assert not {"\x1b", "\u202e"} & set(done.out)
    assert not [line for line in done.out.splitlines() if line.startswith("Everything")]


def test_optional_reads_are_checked_where_they_are_asked_for(tmp_path: Path) -> None:
    windows = "Microsoft.ContainerService/managedClusters/maintenanceConfigurations/read"
    safeguards = "Microsoft.ContainerService/deploymentSafeguards/read"
    with ResourceManager(RECORDS, deny={windows: None, safeguards: None}) as server:
        plain = check(server, tmp_path)
        one = check(server, tmp_path, "--read", "maintenance-configurations")
        every = check(server, tmp_path, "--optional")
    assert plain.code == 0
    assert windows in one.out
    assert safeguards not in one.out
    assert "permissions --plane arm --optional --scope" in one.out
    assert windows in every.out
    assert safeguards in every.out
    assert "some of it can be in no custom role" in every.out
    assert f"az role assignment create --role Reader --assignee GROUP --scope {HUB}\n" in every.out


def test_data_actions_are_checked_in_each_cluster_with_azure_rbac(tmp_path: Path) -> None:
    granted = {"value": [{"actions": [], "dataActions": ["*/read"], "notDataActions": ["*/pods/read"]}]}
    said = Fault("aks-payments/providers/.*/permissions", Answer(200, json.dumps(granted).encode()), times=None)
    with ResourceManager(RECORDS, faults=[said]) as server:
        done = check(server, tmp_path, "--plane", "aks-data", "--format", "json")
        text = check(server, tmp_path, "--plane", "aks-data").out
        paths = [request.path for request in server.requests]
    assert done.code == 3
    (missing,) = done.report["missing"]
    pods = "Microsoft.ContainerService/managedClusters/pods/read"
    assert (missing["plane"], missing["action"], missing["reads"]) == ("aks-data", pods, ["pods"])
    (cluster,) = missing["scopes"]
    assert cluster.endswith("/aks-payments")
    assert {place["scope"].rpartition("/")[2] for place in done.report["notKnown"]} == {
        "aks-shop",
        "aks-data",
        "aks-web",
        "aks-sandbox",
    }
    assert text.count("its authorization is not Azure RBAC") == 1
    assert f"--role 'aks-audit cluster reader' --assignee GROUP --scope {cluster}\n" in text
    # Twice: the subscriptions, the clusters of each of two, and the permissions in one cluster.
    assert len(paths) == 2 * (1 + 2 + 1)


def test_clusters_that_cannot_be_listed_or_read_are_not_known(tmp_path: Path) -> None:
    with ResourceManager(RECORDS, deny={"Microsoft.ContainerService/managedClusters/read": APPS}) as server:
        done = check(server, tmp_path, "--plane", "aks-data", "--format", "json")
        none = check(server, tmp_path, "--plane", "aks-data", "--subscription", HUB)
    assert done.code == 3
    assert [place["scope"] for place in done.report["notKnown"]] == [APPS]
    assert none.code == 0
    assert none.out.startswith("Nothing was asked: there is no cluster in the scope.\n")


def test_a_cluster_that_does_not_say_how_it_authorizes_is_not_known(tmp_path: Path) -> None:
    own = f"{HUB}/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/odd"
    body = {"id": own, "properties": {"aadProfile": {"enableAzureRBAC": "yes"}}}
    with ResourceManager([Resource(id=own, type="Microsoft.ContainerService/managedClusters", body=body)]) as server:
        done = check(server, tmp_path, "--plane", "aks-data", "--format", "json")
    assert done.code == 3
    assert [place["scope"] for place in done.report["notKnown"]] == [own]


def test_all_planes_are_checked_where_that_is_asked_for(tmp_path: Path) -> None:
    with ResourceManager(RECORDS, deny={ROUTES: HUB}) as server:
        done = check(server, tmp_path, "--plane", "all", "--format", "json")
    assert {place["plane"] for place in done.report["asked"]} == {"arm", "aks-data"}
    assert {missing["plane"] for missing in done.report["missing"]} == {"arm", "aks-data"}


def test_what_is_checked_is_what_the_roles_grant() -> None:
    proven = {read.action for read in LISTED.arm if not ASKED_FOR.isdisjoint(read.reads)}
    role = set(permissions.azure_role(LISTED, [HUB], optional=True)["Actions"])
    assert {need.action for need in NEEDS if need.published} == role - proven
    data_role = permissions.data_role(LISTED, [HUB])["DataActions"]
    assert [need.action for need in data_needs(LISTED)] == data_role
    kinds = [kind for need in data_needs(LISTED) for kind in need.reads]
    assert {"pods", "networkpolicies.networking.k8s.io", "ciliumnetworkpolicies.cilium.io"} <= set(kinds)
    assert len(kinds) == len(set(kinds)) == sum(len(read.reads) for read in LISTED.kubernetes)


def concluded(trial: Trial, need: Need, *scopes: str) -> Check:
    return conclude([Asked(need.plane, scope, frozenset({need.action})) for scope in scopes], [need], trial)


def test_a_remedy_for_many_subscriptions_is_not_a_command_for_each(trial: Trial) -> None:
    many = [f"/subscriptions/{n}" for n in range(9)]
    (routes,) = (need for need in NEEDS if need.action == ROUTES)
    text = as_text(concluded(trial, routes, *many))
    assert "--scope /providers/Microsoft.Management/managementGroups/ID" in text
    assert "--scope /subscriptions/" not in text
    pods = next(need for need in data_needs(LISTED) if need.reads == ("pods",))
    clusters = [f"/subscriptions/1/resourceGroups/g/providers/{n}" for n in range(9)]
    text = as_text(concluded(trial, pods, *clusters))
    assert "managementGroups" not in text
    assert text.count("--scope /subscriptions/1\n") == 1


def test_a_remedy_is_quoted_for_the_shell(trial: Trial) -> None:
    (routes,) = (need for need in NEEDS if need.action == ROUTES)
    text = as_text(concluded(trial, routes, "/subscriptions/$(reboot)\n; reboot"))
    assert "--scope '/subscriptions/$(reboot)" in text
    assert not [line for line in text.splitlines() if line.startswith(";")]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--check", "--kubeconfig", "file"], "--kubeconfig is about the inside of clusters, and goes with --plane"),
        (["--check", "--plane", "aks-data", "--in-cluster", "aad"], "--in-cluster is about the inside"),
        (["--check", "--cluster", "aks-*"], "--cluster is about clusters, and goes with --plane aks-data"),
        (["--plane", "kubernetes", "--cluster", "aks-*"], "--check"),
        (["--check", "--format", "yaml"], "--format json"),
        (["--check", "--scope", HUB], "--subscription"),
        (["--subscription", "shop"], "--check"),
        (["--read", "diagnostic-settings"], "--check"),
        (["--auth", "cli"], "--check"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["permissions", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
