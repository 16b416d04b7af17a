"""`aks-audit reach` on live state, end to end: a Resource Manager and an API server over HTTPS."""

import json
from pathlib import Path

from kubernetes_api import KubernetesApi, kubeconfig
from live import run
from resource_manager import ResourceManager
from test_live_inside import address, estate, sign_in


def test_live_state_is_read_and_replayed_alike(tmp_path: Path) -> None:
    sign_in(tmp_path)
    asked = ("reach", "aks-prod", "--from", "orders", "--to", "data", "--format", "json")
    with KubernetesApi("hardened") as api, ResourceManager(estate(api)) as azure:
        (tmp_path / "kubeconfig").write_text(kubeconfig(api, server=address(api)))
        done = run(azure, tmp_path, *asked, "--keep-snapshot", "kept.jsonl")
        replayed = run(azure, tmp_path, *asked, "--snapshot", "kept.jsonl")
    assert done.code == 0, done.err
    assert done.out == replayed.out
    answer = json.loads(done.out)
    assert answer["engine"] == "Cilium"
    parts = {part["traffic"]: part["verdict"] for flow in answer["flows"] for part in flow["parts"]}
    assert parts["TCP 6379"] == "allowed"


def test_a_dry_run_prints_the_calls_and_makes_none(tmp_path: Path) -> None:
    sign_in(tmp_path)
    with KubernetesApi("hardened") as api, ResourceManager(estate(api)) as azure:
        done = run(azure, tmp_path, "reach", "aks-prod", "--dry-run", "--keep-snapshot", "kept.jsonl")
        assert not api.requests
    assert done.code == 0, done.err
    assert "managedClusters" in done.out
    assert not (tmp_path / "kept.jsonl").exists()
