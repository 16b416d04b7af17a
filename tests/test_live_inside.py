"""Live scans of clusters, end to end: the installed command, a Resource Manager and an API server over HTTPS."""

import re
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from aks_audit import snapshot
from aks_audit.snapshot import Record
from aks_audit.sources.azure.plan import OPTIONAL
from aks_audit.sources.kubernetes import kubelets, plan
from cases import CLUSTER, Case, records_of
from kubernetes_api import AUDITOR_TOKEN, NORIGHTS_TOKEN, KubernetesApi, kubeconfig, plugin
from live import Done, run
from resource_manager import ResourceManager

ENTRA_APPLICATION = "6dae42f8-4368-4678-94ff-3960e28e3630"
EVERY_READ = tuple(part for name in OPTIONAL for part in ("--read", name))
QUERY = "/providers/Microsoft.ResourceGraph/resources"  # of policy states, which Azure tells by a POST alone
ADMINISTRATOR = "AKS-IAM-22"


def estate(api: KubernetesApi, *, entra: bool = True) -> list[Record]:
    """The base estate; its cluster's private endpoint leads to the API server, whose name resolves nowhere."""
    case = Case(
        name="",
        expect="",
        set={
            "cluster properties.privateFQDN": api.host,
            "endpoint-nic properties.ipConfigurations.0.properties.privateIPAddress": "127.0.0.1",
        },
        drop=() if entra else ("cluster properties.aadProfile",),
    )
    return records_of(case)


def address(api: KubernetesApi) -> str:
    """Where the kubeconfig says that the API server is: its name, which only its private endpoint makes reachable."""
    return f"https://{api.host}:{urlsplit(api.url).port}"


def sign_in(folder: Path, token: str = AUDITOR_TOKEN) -> None:
    """A stand-in for `az` that gives another token for API servers than for Azure."""
    stand_in = folder / "bin" / "az"
    stand_in.parent.mkdir()
    answer = '{"accessToken": "%s", "expiresOn": "2099-01-01 00:00:00.000000", "expires_on": 4070908800}'
    for_clusters, for_azure = answer % token, answer % "of-azure"
    script = f"#!/bin/sh\ncase \"$*\" in *{ENTRA_APPLICATION}*) echo '{for_clusters}';; *) echo '{for_azure}';; esac\n"
    stand_in.write_text(script, encoding="utf-8")
    stand_in.chmod(stat.S_IRWXU)


def outcome(done: Done, rule: str) -> list[str]:
    return [finding["outcome"] for finding in done.report["findings"] if finding["rule"] == rule]


def unread(done: Done) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = done.report["coverage"]["unread"]
    return [missing for missing in found if missing["kind"] != "not-sent"]  # the estate's zone has another name


def scan(server: ResourceManager, folder: Path, *arguments: str) -> Done:
    return run(server, folder, "scan", "--format", "json", "--fail-on", "critical", *EVERY_READ, *arguments)


def test_the_way_that_a_kubeconfig_names_is_gone_without_running_what_it_names(tmp_path: Path) -> None:
    sign_in(tmp_path)
    command, marker = plugin(tmp_path)
    with KubernetesApi("hardened") as api, ResourceManager(estate(api)) as azure:
        (tmp_path / "kubeconfig").write_text(kubeconfig(api, user="exec", server=address(api), command=command))
        done = scan(azure, tmp_path, "--keep-snapshot", "kept.jsonl")
        replayed = run(azure, tmp_path, "scan", "--format", "json", "--snapshot", "kept.jsonl")
        methods = {request.method for request in azure.requests if request.path != QUERY}
        methods |= {request.method for request in api.requests}
        tokens = {request.token for request in api.requests}
    assert done.code == 0, done.err
    assert methods == {"GET"}
    assert tokens == {AUDITOR_TOKEN}
    assert not marker.exists()
    assert outcome(done, ADMINISTRATOR) == ["pass"]
    assert replayed.out == done.out
    read = {count["type"]: count["count"] for count in done.report["coverage"]["read"]}
    assert read["pods"] == 53
    assert read["globalnetworkpolicies.projectcalico.org"] > 0


def test_by_entra_id_one_post_a_cluster_is_sent_and_no_other(tmp_path: Path) -> None:
    sign_in(tmp_path)
    with (
        KubernetesApi("weak", names=[KubernetesApi("weak").host]) as api,
        ResourceManager(estate(api), kubeconfigs={CLUSTER: kubeconfig(api, user="exec", server=address(api))}) as azure,
    ):
        done = scan(azure, tmp_path, "--in-cluster", "aad")
        posts = [request.path for request in azure.requests if request.method != "GET"]
        methods = {request.method for request in api.requests}
    assert done.code == 0, done.err
    assert posts == [QUERY, f"{CLUSTER}/listClusterUserCredential"]
    assert methods == {"GET"}
    assert outcome(done, ADMINISTRATOR) == ["pass"]


def test_an_administrators_credential_is_used_only_when_asked_for_and_is_a_finding(tmp_path: Path) -> None:
    with KubernetesApi("weak") as api:
        text = kubeconfig(api, user="certificate", server=address(api))
        with ResourceManager(estate(api, entra=False), kubeconfigs={CLUSTER: text}) as azure:
            (tmp_path / "kubeconfig").write_text(text)
            unasked = scan(azure, tmp_path)
            assert not api.requests
            asked = [scan(azure, tmp_path, "--in-cluster", way) for way in ("kubeconfig", "aad")]
        assert {request.certificate for request in api.requests} == {"O=system:masters,CN=masterclient"}
    assert outcome(unasked, ADMINISTRATOR) == []
    assert "administrator" in " ".join(missing["reason"] for missing in unread(unasked))
    assert [outcome(done, ADMINISTRATOR) for done in asked] == [["fail"], ["fail"]]
    for done in asked:
        assert "PRIVATE KEY" not in done.out + done.err


def test_kubelets_are_asked_where_that_was_asked_for_by_name(tmp_path: Path) -> None:
    sign_in(tmp_path)
    asks = ("--read", kubelets.NAME)
    with KubernetesApi("weak", kubelets=True) as api, ResourceManager(estate(api)) as azure:
        (tmp_path / "kubeconfig").write_text(kubeconfig(api, server=address(api), token=AUDITOR_TOKEN))
        planned = [run(azure, tmp_path, "scan", "--dry-run", *given).out for given in ((), asks)]
        silent = scan(azure, tmp_path)
        assert not [request.path for request in api.requests if "proxy" in request.path]
        done = scan(azure, tmp_path, *asks)
    path = f"1 call a node: {kubelets.PATH.format('NODE')}"
    assert f"{path} (not asked for; --read kubelet-config)" in planned[0]
    assert f"{path} (asked for)" in planned[1]
    assert (silent.code, done.code) == (0, 0), done.err
    assert set(outcome(silent, "AKS-ND-17")) == {"unknown"}
    assert {missing["kind"] for missing in unread(silent) if "kubelets" in missing["reason"]} == {"not-asked"}
    assert set(outcome(done, "AKS-ND-17")) == {"pass"}
    (cis,) = (one for one in done.report["score"]["checklists"] if one["name"] == "cis-aks-1.8")
    assert {item["state"] for item in cis["items"] if item["number"].startswith("3.2.")} == {"pass"}


def test_without_rights_inside_a_scan_is_incomplete_and_names_what_it_lacks(tmp_path: Path) -> None:
    sign_in(tmp_path, NORIGHTS_TOKEN)
    with KubernetesApi("weak") as api, ResourceManager(estate(api)) as azure:
        (tmp_path / "kubeconfig").write_text(kubeconfig(api, token=NORIGHTS_TOKEN, server=address(api)))
        done = scan(azure, tmp_path)
    assert done.code == 3
    actions = {missing["action"] for missing in unread(done)}
    assert {"list pods", "list networkpolicies.networking.k8s.io"} <= actions
    assert not [missing for missing in unread(done) if "cilium.io" in str(missing["action"])]


def test_where_no_way_is_known_that_is_said_with_the_remedy_and_nothing_is_incomplete(tmp_path: Path) -> None:
    with KubernetesApi("weak") as api, ResourceManager(estate(api)) as azure:
        done = scan(azure, tmp_path)
        silent = scan(azure, tmp_path, "--in-cluster", "none")
    assert (done.code, silent.code) == (0, 0), done.err
    assert [missing["kind"] for missing in unread(done)] == ["not-asked"]
    assert "--in-cluster aad" in unread(done)[0]["reason"]


def test_an_api_server_that_is_away_is_one_gap_and_loses_nothing_else(tmp_path: Path) -> None:
    with KubernetesApi("weak") as api, ResourceManager(estate(api)) as azure:
        away = kubeconfig(api, server=f"https://{api.host}:1")
        (tmp_path / "kubeconfig").write_text(away)
        done = scan(azure, tmp_path, "--in-cluster", "kubeconfig")
    assert done.code == 3
    assert [missing["kind"] for missing in unread(done)] == ["not-read"]
    assert outcome(done, ADMINISTRATOR) == ["pass"]


@pytest.mark.parametrize("cluster", ["weak", "hardened"])
def test_what_is_collected_is_what_the_plan_says(cluster: Any, tmp_path: Path) -> None:  # noqa: ANN401 - of the fixture
    with KubernetesApi(cluster) as api, ResourceManager(estate(api)) as azure:
        (tmp_path / "kubeconfig").write_text(kubeconfig(api, server=address(api)))
        done = run(azure, tmp_path, "collect", "-o", "kept.jsonl")
        asked = {request.path for request in api.requests}
    assert done.code == 0, done.err
    read = snapshot.read([tmp_path / "kept.jsonl"])
    known = {listing.type for listing in read.listings if listing.scope == CLUSTER}
    assert {kind.type for kind in plan.kinds() if not kind.twin()} <= known
    assert len(asked) <= len(plan.kinds()) + len(plan.named()) + 3
    assert any(not listing.served for listing in read.listings)


PLANNED = {
    "auto": ["service account of the pod", "by a context of ", "not run without --allow-exec", "never as an admin"],
    "kubeconfig": ["by context aks-shop of elsewhere that leads to", "not run without --allow-exec"],
    "aad": ["1 call: POST listClusterUserCredential"],
    "run-command": ["is a write", "about 11 commands", "1 call: POST runCommand"],
    "service-account": ["service account of the pod"],
}


@pytest.mark.parametrize("way", PLANNED)
def test_a_dry_run_tells_what_would_be_read_inside_and_calls_nothing(way: str, tmp_path: Path) -> None:
    sign_in(tmp_path)
    given = ("--context", "aks-shop", "--kubeconfig", "elsewhere") if way == "kubeconfig" else ()
    with KubernetesApi("weak") as api, ResourceManager(estate(api)) as azure:
        (tmp_path / "kubeconfig").write_text(kubeconfig(api, server_name=api.host), encoding="utf-8")
        done = run(azure, tmp_path, "scan", "--dry-run", "--in-cluster", way, *given)
        assert api.requests == ()
        assert {(request.method, request.path) for request in azure.requests} == {("GET", "/subscriptions")}
    assert done.code == 0, done.err
    assert f"inside each cluster (--in-cluster {way}):" in done.out
    assert [text for text in PLANNED[way] if text not in done.out] == []
    assert f"{len(plan.kinds())} kinds" in done.out
    assert all(f"\n      {kind.type}\n" in done.out for kind in plan.kinds())
    assert all(one.path in done.out for one in plan.named())
    assert ("POST" in done.out.partition("inside each cluster")[2]) == (way in {"aad", "run-command"})


def test_a_dry_run_with_none_and_with_programs_says_so(tmp_path: Path) -> None:
    sign_in(tmp_path)
    with ResourceManager(records_of(Case(name="", expect=""))) as azure:
        none = run(azure, tmp_path, "collect", "-o", "estate.jsonl", "--dry-run", "--in-cluster", "none")
        programs = run(azure, tmp_path, "scan", "--dry-run", "--allow-exec")
    assert "inside clusters nothing is read (--in-cluster none)\n" in none.out
    assert "kinds" not in none.out
    assert f"of {tmp_path / 'kubeconfig'} that leads to the cluster; programs that it names are run\n" in programs.out


@pytest.mark.parametrize("cluster", ["weak", "hardened"])
def test_no_fewer_calls_are_made_than_a_dry_run_says(cluster: Any, tmp_path: Path) -> None:  # noqa: ANN401 - of the fixture
    sign_in(tmp_path)
    with KubernetesApi(cluster) as api, ResourceManager(estate(api)) as azure:
        (tmp_path / "kubeconfig").write_text(kubeconfig(api, server_name=api.host), encoding="utf-8")
        run(azure, tmp_path, "collect", "-o", "kept.jsonl")
        asked = len(api.requests)
        told = run(azure, tmp_path, "collect", "-o", "kept.jsonl", "--dry-run").out
    least = re.search(r"  at least (\d+) calls, all of them GET:\n    3 calls", told)
    assert least
    assert int(least[1]) <= asked <= len(plan.kinds()) + len(plan.named()) + 3
