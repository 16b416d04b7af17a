"""Secrets are planted in every answer of API servers: none is in a snapshot, a report or a log, and nothing is lost.

As in `test_planted_secrets`, each planted value is unique, so that one that is found tells where it stood.
"""

import asyncio
import base64
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import live
from aks_audit import snapshot
from aks_audit.cli import main
from aks_audit.sources.kubernetes import plan, run_command
from cases import CLUSTER, Case, records_of
from kubernetes_api import AUDITOR_TOKEN, Fault, KubernetesApi, kubeconfig
from live import Done, run
from resource_manager import Answer, ResourceManager
from test_live_inside import address, estate, sign_in
from test_planted_secrets import KEYS, TEXTS, Gardener, base64_of, outcomes, written
from test_run_command import ask, kubectl, pod

LABELS = frozenset({"labels", "matchLabels", "nodeSelector", "selector"})
"""What these hold is compared, never secret; nothing is planted there."""


ENVOY_FILTER = {
    "metadata": {"name": "lua", "namespace": "shop"},
    "spec": {"configPatches": [{"applyTo": "HTTP_FILTER", "patch": {"value": {"typed_config": {"grpc": {}}}}}]},
}


class Inside(Gardener):
    """Plants in the answers of an API server."""

    def edit(self, path: str, body: Any) -> Any:  # noqa: ANN401 - any JSON value
        """An answer with secrets in every object of it, at every depth."""
        if isinstance(body, dict) and body.get("kind") == "Status":
            return {**body, "message": f"{self.text(path)} {body.get('message', '')} {self.text(path)}"}
        if path.endswith("/envoyfilters") and not body["items"]:
            body["items"] = [ENVOY_FILTER]
        return self._planted(path, body)

    def status(self, path: str) -> Answer:
        """An error with secrets, of each form one, and each alone so that none is cut off with the message."""
        words = "; ".join(self.text(path) for _ in range(3))
        return Answer(500, json.dumps({"kind": "Status", "message": words, "reason": self.text(path)}).encode())

    def _planted(self, place: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(value, list):
            return [self._planted(f"{place}[{n}]", item) for n, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        kept = {key: item if key in LABELS else self._planted(f"{place}.{key}", item) for key, item in value.items()}
        if "image" in value and "name" in value:
            kept |= self._container(place)
        if isinstance(kept.get("metadata"), dict):
            kept["metadata"]["annotations"] = {**kept["metadata"].get("annotations", {}), **self._annotations(place)}
            kept["metadata"]["managedFields"] = [{"manager": self._secret(f"{place}.managedFields")}]
        if place.startswith("/api/v1/namespaces/kube-system/configmaps") and "data" in kept:
            kept |= self._data(place, kept["data"])
        if "clientConfig" in kept:
            kept["clientConfig"]["caBundle"] = self._secret(f"{place}.caBundle")
        if value.get("kind") == "ServiceAccount" or "/serviceaccounts" in place:
            kept["secrets"] = [{"name": "default-token", "token": self._secret(f"{place}.secrets")}]
        return {**kept, **self._weeds(place)}

    def _weeds(self, place: str) -> dict[str, Any]:
        """What is in an object of a kind that nobody knows: some secrets by their names, and some texts."""
        start = len(self._places)
        named = {
            KEYS[(start + n) % len(KEYS)]: self._secret(f"{place}.{KEYS[(start + n) % len(KEYS)]}") for n in range(3)
        }
        note = {"text": self.text(f"{place}.note"), "list": [self.text(f"{place}.note.list")], **named}
        pair = {"name": "ADMIN_PASSWORD", "value": self._secret(f"{place}.pairs")}
        return {**named, "plantedNote": {**note, "pairs": [pair], "deeper": {"a": [{"b": {**note}}]}}}

    def _container(self, place: str) -> dict[str, Any]:
        def secret(what: str) -> str:
            return self._secret(f"{place}.{what}")

        words = [
            f"--password={secret('args =')}", "--token", secret("args --token"),
            f"--db-password {secret('args in one')}",
            f"mysql -u root --password '{secret('args quoted')} x' -h db", f"PGPASSWORD={secret('args variable')} psql",
            "--api-key", secret("args --api-key"), f"--client-secret={secret('args --client-secret')}",
            f"--from-literal=password={secret('args literal')}", "-e", f"TOKEN={secret('args -e')}",
            "--connection-string", secret("args --connection-string"), f"--account-key='{secret('args account key')}'",
            "--registry-credentials", secret("args --registry-credentials"), "-password", secret("args -password"),
            "--passphrase", secret("args --passphrase"), "--oauth2-client-secret", secret("args oauth2"),
            f'sh -c "export DB_PWD={secret("args export")}; run"', self.text(f"{place}.args"),
        ]  # fmt: skip
        headers = [{"name": "Authorization", "value": secret("headers")}, {"name": "X", "value": secret("headers X")}]
        get = {"httpGet": {"path": f"/healthz?sig={secret('path')}", "port": 80, "httpHeaders": headers}}
        return {
            "env": [{"name": "PLAIN", "value": secret("env")}, {"name": "PASSWORD", "value": secret("env PASSWORD")}],
            "args": words,
            "command": ["/bin/run", f"--secret-key={secret('command')}"],
            "livenessProbe": get,
            "readinessProbe": {"exec": {"command": ["curl", f"https://u:{secret('probe')}@localhost/"]}},
            "lifecycle": {"preStop": get},
        }

    def _annotations(self, place: str) -> dict[str, str]:
        applied = "kubectl.kubernetes.io/last-applied-configuration"
        found = {
            applied: json.dumps({"spec": self._secret(f"{place} {applied}")}),
            "banzaicloud.com/last-applied": self._secret(f"{place} last-applied"),
            "objectset.rio.cattle.io/applied": self._secret(f"{place} applied"),
            "example.com/registry-password": self._secret(f"{place} registry-password"),
            "example.com/apiToken": self._secret(f"{place} apiToken"),
        }
        return found | {f"example.com/note-{n}": self.text(f"{place}.annotations") for n in range(6)}

    def _data(self, place: str, data: dict[str, str]) -> dict[str, Any]:
        def secret(what: str) -> str:
            return self._secret(f"{place}.data {what}")

        config = f"apiVersion: v1\nkind: Config\nusers:\n- user:\n    password: {secret('kubeconfig')}\n"
        server = f"example.org:53 {{\n  etcd {{\n    credentials root {secret('Corefile')}\n  }}\n}}\n"
        planted = {
            "planted.server": server,
            "config": config,
            "encoded": base64_of("apiVersion: v1\nkind: Config\nusers: [{user: {token: ", secret("encoded"), "}}]\n"),
            "settings.env": "\n".join(
                ["A=b", f"DB_PASSWORD={secret('settings')}", f"export API_KEY='{secret('key')}'"]
            ),
            "settings.json": json.dumps({"env": [{"name": "DB_PASSWORD", "value": secret("json")}]}),
            **{f"note{n}": self.text(f"{place}.data") for n in range(len(TEXTS))},
        }
        binary = {"file": base64_of("token: ", secret("binary"), "\n")}
        return {"data": {**data, **planted}, "binaryData": binary}


def unplanted(_path: str, body: Any) -> Any:  # noqa: ANN401 - any JSON value
    """An answer in which all containers have the probes, hooks and variables that are planted in, but no secret."""
    if isinstance(body, list):
        return [unplanted("", item) for item in body]
    if not isinstance(body, dict):
        return body
    kept = {key: item if key in LABELS else unplanted("", item) for key, item in body.items()}
    if "image" in body and "name" in body:
        get = {"httpGet": {"path": "/healthz", "port": 80}}
        run_inside = {"exec": {"command": ["curl", "https://localhost/"]}}
        kept |= {"livenessProbe": get, "readinessProbe": run_inside, "lifecycle": {"preStop": get}}
        kept["env"] = [{"name": "PLAIN", "value": "1"}]
    return kept


def scan(azure: ResourceManager, folder: Path, *arguments: str) -> Done:
    files = ("--output", "out", "--keep-snapshot", "kept.jsonl")
    return run(azure, folder, "scan", *files, "-v", "--log-format", "json", *arguments)


def leaks(gardener: Gardener, folder: Path, *done: Done) -> set[str]:
    """Where a planted secret was found."""
    said = [("standard output", one.out) for one in done] + [("standard error", one.err) for one in done]
    return {f"{place} is in {where}" for where, text in (*wrote(folder), *said) for place in gardener.found(text)}


def wrote(folder: Path) -> list[tuple[str, str]]:
    """Every file that a command wrote."""
    return [(name, text) for name, text in written(folder) if name != "kubeconfig"]


def credentials(api: KubernetesApi, config: str) -> list[str]:
    """What signed in, as it may stand in a file."""
    key = api.admin_key.decode().splitlines()[1]
    return [AUDITOR_TOKEN, key, base64.b64encode(api.admin_key).decode()[40:120], config.splitlines()[-1], config]


def bodies(folder: Path) -> dict[str, Any]:
    read = snapshot.read([folder / "kept.jsonl"])
    return {resource.id: resource.body for resource, _ in read.resources if resource.source == "kubernetes"}


@pytest.mark.parametrize("cluster", ["weak", "hardened"])
def test_no_planted_secret_and_no_credential_gets_anywhere(cluster: Any, tmp_path: Path) -> None:  # noqa: ANN401 - of the fixture
    gardener = Inside()
    faults = [Fault(kind, gardener.status(kind), times=None) for kind in ("/replicasets", "/limitranges", "/jobs")]
    done: list[Done] = []
    secrets: list[str] = []
    for name, edit in (("clean", unplanted), ("planted", gardener.edit)):
        folder = tmp_path / name
        folder.mkdir()
        sign_in(folder)
        with KubernetesApi(cluster, edit=edit, deny=["resourcequotas"]) as api, ResourceManager(estate(api)) as azure:
            config = kubeconfig(api, server=address(api), user="exec")
            (folder / "kubeconfig").write_text(config, encoding="utf-8")
            done.append(scan(azure, folder))
            if name == "planted":
                assert kept(bodies(tmp_path / "clean"), bodies(folder)) == []
                assert bolder(outcomes(tmp_path / "clean"), outcomes(folder)) == {}
                api.strike(*faults)
                done.append(scan(azure, folder))
                done.append(run(azure, folder, "permissions", "--check", "--plane", "kubernetes", "-v"))
            secrets += credentials(api, config)
    assert {one.code for one in done} <= {1, 3}
    assert any("/envoyfilters/" in own for own in bodies(tmp_path / "planted")) == (cluster == "hardened")
    found = leaks(gardener, tmp_path, *done)
    assert not found, "\n".join(islice(sorted(found), 40))
    texts = [text for _, text in wrote(tmp_path)] + [text for one in done for text in (one.out, one.err)]
    assert not [secret for secret in secrets for text in texts if secret in text]
    assert "Traceback" not in "".join(texts)


def bolder(clean: dict[tuple[str, str], str], planted: dict[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """The answers that planting changed otherwise than to unknown: among labels and settings, weeds are no text.

    AKS-KR-11 is about secrets in plain sight, and rightly finds those that were planted.
    """
    assert clean.keys() == planted.keys()
    changed = {key: outcome for key, outcome in planted.items() if outcome != clean[key]}
    return {key: outcome for key, outcome in changed.items() if outcome != "unknown" and key[0] != "AKS-KR-11"}


def kept(clean: Any, planted: Any, place: str = "") -> list[str]:  # noqa: ANN401 - any JSON value
    """What is lost of what stood beside planted secrets, but for what they took the place of."""
    if place.endswith((".args", ".command", ".env", "Probe", ".lifecycle", ".managedFields", ".secrets")):
        return []
    if isinstance(clean, dict) and isinstance(planted, dict):
        return [lost for key, value in clean.items() for lost in kept(value, planted.get(key), f"{place}.{key}")]
    if isinstance(clean, list) and isinstance(planted, list):
        pairs = enumerate([*planted, *[None] * (len(clean) - len(planted))])
        return [lost for n, one in islice(pairs, len(clean)) for lost in kept(clean[n], one, f"{place}[{n}]")]
    return [] if clean == planted else [f"{place}: {clean!r} is {planted!r}"]


@pytest.mark.parametrize("way", ["kubeconfig", "aad"])
def test_an_administrators_credential_gets_nowhere(way: str, tmp_path: Path) -> None:
    gardener = Inside()
    with KubernetesApi("weak", edit=gardener.edit, deny=["/apis", "pods"]) as api:
        config = kubeconfig(api, user="certificate", server=address(api))
        given = {CLUSTER: config} if way == "aad" else {}
        with ResourceManager(estate(api, entra=False), kubeconfigs=given) as azure:
            if way == "kubeconfig":
                (tmp_path / "kubeconfig").write_text(config, encoding="utf-8")
            done = scan(azure, tmp_path, "--in-cluster", way)
        assert {request.certificate for request in api.requests} == {"O=system:masters,CN=masterclient"}
        secrets = credentials(api, config)
    assert not leaks(gardener, tmp_path, done)
    texts = [text for _, text in wrote(tmp_path)] + [done.out, done.err]
    assert not [secret for secret in secrets for text in texts if secret in text]
    assert not [text for text in texts if "PRIVATE KEY" in text]


def test_neither_what_commands_write_nor_the_token_they_get_gets_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_command, "PAUSE", 0.01)
    monkeypatch.chdir(tmp_path)
    allowed = Case(name="", expect="", set={"cluster properties.apiServerAccessProfile.disableRunCommand": False})
    gardener = Inside()
    with KubernetesApi("weak", edit=gardener.edit, deny=["resourcequotas"]) as api:
        tool = kubectl(api, AUDITOR_TOKEN)

        def said(path: str) -> tuple[int, str]:
            if "/nodes" in path:
                return 1, f"error: {live.TOKEN} is no good; {gardener.text('kubectl')}"
            return tool(path)

        with ResourceManager(records_of(allowed), run=pod(said, 10**9)) as azure:
            for name, value in live.environment(azure.url, azure.ca_file, tmp_path).items():
                monkeypatch.setenv(name, value)
            files = ("--output", "out", "--keep-snapshot", "kept.jsonl")
            code = main(["scan", *files, "-v", "--log-format", "json", "--auth", "cli", "--in-cluster", "run-command"])
            posts = [json.loads(request.body) for request in azure.requests if request.method == "POST"]
    said_by_us = capsys.readouterr()
    done = Done(code, said_by_us.out, said_by_us.err)
    assert {post["clusterToken"] for post in posts} == {live.TOKEN}
    assert any("/pods/" in own for own in bodies(tmp_path))
    assert not leaks(gardener, tmp_path, done)
    assert not [text for _, text in wrote(tmp_path) if live.TOKEN in text]
    assert live.TOKEN not in done.out + done.err


def test_what_is_planted_inside_would_be_found(tmp_path: Path) -> None:
    gardener = Inside()
    with KubernetesApi("weak", edit=gardener.edit) as api:
        webhooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
        own = [one.path for one in plan.named()]
        paths = ("/api/v1/pods", "/api/v1/serviceaccounts", webhooks, *own)
        answers = [asyncio.run(ask(api, AUDITOR_TOKEN, path)).body.decode() for path in paths]
    (tmp_path / "kept.jsonl").write_text("\n".join(answers), encoding="utf-8")
    places = {found.rpartition(" is in ")[0] for found in leaks(gardener, tmp_path)}
    for what in (
        "env PASSWORD",
        "args --token",
        "headers",
        "last-applied",
        ".secrets",
        "data Corefile",
        "managedFields",
        "caBundle",
    ):
        assert [place for place in places if place.endswith(what)], what
