"""`aks-audit permissions --check --plane kubernetes`: clusters are asked themselves, by GETs, and nothing is kept."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.consequences import Trial
from aks_audit.facts import AzureResource, ManagedCluster
from aks_audit.permission_check import Asked, conclude
from aks_audit.results import Verdict
from aks_audit.rule import Rule, passes
from aks_audit.snapshot import Listing, Record
from aks_audit.sources.kubernetes import check, plan
from cases import CLUSTER, Case, records_of
from kubernetes_api import AUDITOR_TOKEN, NORIGHTS_TOKEN, Fault, Hang, KubernetesApi, kubeconfig
from live import Done, run
from reports import rule_text
from resource_manager import Answer, ResourceManager

SUBSCRIPTION = "/subscriptions/11111111-1111-1111-1111-111111111111"
HUB = "/subscriptions/22222222-2222-2222-2222-222222222222"
DISCOVERY = {"/version", "/api", "/apis"}


def estate(api: KubernetesApi, *, drop: Sequence[str] = ()) -> list[Record]:
    return records_of(Case(name="", expect="", set={"cluster properties.privateFQDN": api.host}, drop=tuple(drop)))


def ask(
    api: KubernetesApi, folder: Path, *arguments: str, token: str = AUDITOR_TOKEN, drop: Sequence[str] = ()
) -> Done:
    (folder / "kubeconfig").write_text(kubeconfig(api, server_name=api.host, token=token), encoding="utf-8")
    with ResourceManager(estate(api, drop=drop)) as azure:
        return run(azure, folder, "permissions", "--check", "--plane", "kubernetes", *arguments)


def missing(done: Done) -> dict[str, list[str]]:
    return {one["action"]: one["scopes"] for one in done.report["missing"]}


@pytest.mark.parametrize("cluster", ["weak", "hardened"])
def test_everything_permitted_is_told_in_a_sentence_and_asked_for_by_gets_of_one_object(
    cluster: Any,  # noqa: ANN401 - of the fixture
    tmp_path: Path,
) -> None:
    with KubernetesApi(cluster) as api, ResourceManager(estate(api)) as azure:
        (tmp_path / "kubeconfig").write_text(kubeconfig(api, server_name=api.host), encoding="utf-8")
        done = run(azure, tmp_path, "permissions", "--check", "--plane", "kubernetes")
        asked, of_azure = api.requests, azure.requests
    assert done.code == 0, done.err + done.out
    assert done.out.startswith("Everything that a scan reads is permitted inside 1 cluster.\n")
    assert {request.method for request in asked} | {request.method for request in of_azure} == {"GET"}
    lists = [request for request in asked if request.path not in DISCOVERY and "/namespaces/" not in request.path]
    assert {request.query["limit"] for request in lists} == {"1"}
    assert not [request for request in asked if "continue" in request.query]
    assert len(asked) == len({request.path for request in asked}) <= len(plan.kinds()) + len(plan.named()) + 3
    clusters = "/providers/Microsoft.ContainerService/managedClusters"
    assert sorted(request.path for request in of_azure) == ["/subscriptions", SUBSCRIPTION + clusters, HUB + clusters]
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "kubeconfig"}


def test_what_is_asked_for_is_what_a_scan_reads(tmp_path: Path) -> None:
    with KubernetesApi("hardened") as api:
        ask(api, tmp_path)
        tried = {request.path for request in api.requests}
    with KubernetesApi("hardened") as api, ResourceManager(estate(api)) as azure:
        (tmp_path / "kubeconfig").write_text(kubeconfig(api, server_name=api.host), encoding="utf-8")
        run(azure, tmp_path, "collect", "-o", "kept.jsonl")
        read = {request.path for request in api.requests}
    assert tried == read


def test_each_kind_and_each_named_object_that_is_refused_is_told(tmp_path: Path) -> None:
    denied = ["pods", "networkpolicies.networking.k8s.io", "globalnetworkpolicies.projectcalico.org"]
    with KubernetesApi("hardened", deny=[*denied, "configmaps"]) as api:
        done = ask(api, tmp_path, "--format", "json")
        text = ask(api, tmp_path)
    expected = {f"list {kind}" for kind in denied} | {one.action for one in plan.named()}
    assert done.code == text.code == 3
    assert missing(done) == {action: [CLUSTER] for action in expected}
    assert {one["plane"] for one in done.report["missing"]} == {"kubernetes"}
    assert done.report["notKnown"] == []
    assert f"permitted inside 0 of 1 cluster.\n\nMissing inside 1 cluster:\n  {CLUSTER}\n" in text.out
    assert "list networkpolicies.networking.k8s.io  " in text.out
    assert "get configmaps coredns in kube-system  " in text.out
    assert "aks-audit permissions --plane kubernetes | sed" in text.out
    assert "az role" not in text.out


def test_who_has_no_rights_lacks_all_that_is_served_and_nothing_else(tmp_path: Path) -> None:
    with KubernetesApi("weak") as api:
        done = ask(api, tmp_path, "--format", "json", token=NORIGHTS_TOKEN, drop=["cluster properties.aadProfile"])
    assert done.code == 3
    assert {"list pods", "list nodes", "get configmaps coredns in kube-system"} <= set(missing(done))
    assert not [action for action in missing(done) if "cilium.io" in action]
    assert done.report["notKnown"] == []


def test_what_could_not_be_asked_is_never_permitted(tmp_path: Path) -> None:
    faults = [
        Fault("/pods", Answer(500, b'{"kind": "Status", "message": "etcd is away"}'), times=None),
        Fault("/services", Answer(200, b"<html>"), times=None),
    ]
    with KubernetesApi("weak", faults=faults, deny=["nodes"]) as api:
        done = ask(api, tmp_path, "--format", "json")
    with KubernetesApi("weak", faults=faults) as api:
        text = ask(api, tmp_path)
    assert done.code == text.code == 3
    assert [place["scope"] for place in done.report["asked"]] == [CLUSTER]
    assert list(missing(done)) == ["list nodes"]
    reasons = {place["reason"] for place in done.report["notKnown"]}
    assert len(reasons) == 2
    assert any("etcd is away" in reason for reason in reasons)
    assert "permitted inside 0 of 1 cluster." in text.out
    assert text.out.count("Not known is what is permitted in:") == 1
    assert "etcd is away" in text.out


def test_without_discovery_only_what_every_cluster_serves_is_asked_for(tmp_path: Path) -> None:
    with KubernetesApi("weak", deny=["/apis"]) as api:
        done = ask(api, tmp_path)
    assert done.code == 3
    assert "Everything" not in done.out.replace("Everything that a scan reads is permitted inside 0 of 1 cluster.", "")
    assert "and for " in done.out


@pytest.mark.parametrize("fault", [Answer(401, b'{"message": "Unauthorized"}'), Hang(60)], ids=["401", "no answer"])
def test_a_cluster_that_does_not_answer_is_not_known(fault: Any, tmp_path: Path) -> None:  # noqa: ANN401 - any effect
    with KubernetesApi("weak", faults=[Fault("", fault, times=None)]) as api:
        done = ask(api, tmp_path, "--format", "json", "--cluster-timeout", "2")
    assert done.code == 3
    assert done.report["asked"] == done.report["missing"] == []
    assert [place["scope"] for place in done.report["notKnown"]] == [CLUSTER]


def test_who_is_not_known_to_the_api_server_is_not_told_to_make_roles(tmp_path: Path) -> None:
    unknown = Fault("/(api|apis)/.*", Answer(401, b'{"message": "Unauthorized"}'), times=None)
    with KubernetesApi("weak", faults=[unknown]) as api:
        done = ask(api, tmp_path, "--format", "json")
    assert done.code == 3
    assert done.report["missing"] == []
    assert "Unauthorized" in done.report["notKnown"][0]["reason"]


def test_a_cluster_without_a_way_in_is_told_with_its_remedy(tmp_path: Path) -> None:
    with KubernetesApi("weak") as api, ResourceManager(estate(api)) as azure:
        done = run(azure, tmp_path, "permissions", "--check", "--plane", "kubernetes")
        none = run(azure, tmp_path, "permissions", "--check", "--plane", "kubernetes", "--in-cluster", "none")
        assert api.requests == ()
    assert done.code == none.code == 3
    assert "Everything" not in done.out
    assert f"  {CLUSTER}\n" in done.out
    assert "--in-cluster aad" in done.out
    assert "--in-cluster none was given" in none.out


def test_the_way_that_is_asked_for_is_gone(tmp_path: Path) -> None:
    with KubernetesApi("weak") as api:
        text = kubeconfig(api, user="certificate", server_name=api.host)
        with ResourceManager(estate(api, drop=["cluster properties.aadProfile"]), kubeconfigs={CLUSTER: text}) as azure:
            done = run(azure, tmp_path, "permissions", "--check", "--plane", "kubernetes", "--in-cluster", "aad")
            posts = [request.path for request in azure.requests if request.method == "POST"]
        assert {request.certificate for request in api.requests} == {"O=system:masters,CN=masterclient"}
    assert done.code == 0, done.err + done.out
    assert posts == [f"{CLUSTER}/listClusterUserCredential"]


def test_all_planes_are_asked_and_who_has_no_azure_rbac_is_asked_itself(tmp_path: Path) -> None:
    with KubernetesApi("weak") as api, ResourceManager(estate(api, drop=["cluster properties.aadProfile"])) as azure:
        (tmp_path / "kubeconfig").write_text(kubeconfig(api, server_name=api.host), encoding="utf-8")
        done = run(azure, tmp_path, "permissions", "--check", "--plane", "all", "--format", "json")
    assert done.code == 0, done.err
    assert [(place["plane"], place["scope"]) for place in done.report["asked"]] == [
        ("arm", SUBSCRIPTION),
        ("arm", HUB),
        ("kubernetes", CLUSTER),
    ]


def test_only_the_clusters_that_were_named_are_asked(tmp_path: Path) -> None:
    with KubernetesApi("weak") as api:
        one = ask(api, tmp_path, "--format", "json", "--cluster", "AKS-*")
        asked = len(api.requests)
        other = ask(api, tmp_path, "--cluster", "elsewhere")
        assert len(api.requests) == asked
    assert [place["scope"] for place in one.report["asked"]] == [CLUSTER]
    assert other.code == 2
    assert "no cluster matches" in other.err


def test_clusters_that_cannot_be_listed_are_not_known(tmp_path: Path) -> None:
    with ResourceManager(
        [], names={SUBSCRIPTION.rpartition("/")[2]: "x"}, deny={"Microsoft.ContainerService/*": None}
    ) as azure:
        done = run(azure, tmp_path, "permissions", "--check", "--plane", "kubernetes", "--format", "json")
    assert done.code == 3
    assert [(place["plane"], place["scope"]) for place in done.report["notKnown"]] == [("kubernetes", SUBSCRIPTION)]


def test_what_a_cluster_says_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    words = json.dumps({"kind": "Status", "message": "\x1b[2J no\nEverything that a scan reads is permitted\u202e"})
    with KubernetesApi("weak", faults=[Fault("/pods", Answer(500, words.encode()), times=None)]) as api:
        done = ask(api, tmp_path)
    assert not {"\x1b", "\u202e"} & set(done.out)
    assert len([line for line in done.out.splitlines() if line.startswith("Everything")]) == 1


def test_what_is_needed_is_what_is_planned() -> None:
    needs = check.needs()
    assert [need.action for need in needs] == [*(k.action for k in plan.kinds()), *(one.action for one in plan.named())]
    assert len({need.action for need in needs}) == len(needs)


class Pod(AzureResource):
    """A pod."""

    __slots__ = ()

    TYPE = "pods"


def has_pods(cluster: ManagedCluster) -> Verdict:
    return passes(f"{len(cluster.estate.within(Pod, cluster.id).whole())} pods")


def test_the_rules_that_would_be_unknown_are_those_that_ask_for_the_kind() -> None:
    rule = Rule(rule_text(), ManagedCluster, has_pods)
    with KubernetesApi("weak") as api:
        trial = Trial(snapshot.of([*estate(api), Listing(type="pods", scope=CLUSTER)]), [rule])
    lacks = frozenset({"list pods", "list nodes"})
    concluded = conclude([Asked(check.PLANE, CLUSTER, lacks)], check.needs(), trial)
    assert {one.action: [rule.id for rule in one.rules] for one in concluded.missing} == {
        "list nodes": [],
        "list pods": [rule.id],
    }
    assert [rule.id for rule in concluded.unknown] == [rule.id]
