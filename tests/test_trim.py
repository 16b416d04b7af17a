"""What is read inside clusters keeps no secret, and loses nothing that a rule may ask for."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit.sources.kubernetes.trim import LONGEST_TEXT, trim

SECRET = "s3cr3t-0f-th3-t3st"  # noqa: S105 - of a test
TOKEN = f"eyJhbGciOiJSUzI1NiJ9.{SECRET}.signature"


def container(**fields: object) -> dict[str, Any]:
    return {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "image": "web:1", **fields}]}}


def of_container(**fields: object) -> dict[str, Any]:
    trimmed: dict[str, Any] = trim(container(**fields))["spec"]["containers"][0]
    return {key: value for key, value in trimmed.items() if key in fields}


def test_environment_keeps_names_and_where_values_come_from() -> None:
    source = {"secretKeyRef": {"name": "db", "key": "password"}}
    env = [{"name": "PASSWORD", "value": SECRET}, {"name": "FROM", "valueFrom": source}]
    assert of_container(env=env) == {"env": [{"name": "PASSWORD"}, {"name": "FROM", "valueFrom": source}]}


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ([f"--password={SECRET}"], ["--password=***"]),
        (["--db-password", SECRET, "--verbose"], ["--db-password", "***", "--verbose"]),
        (
            ["--connection-string", SECRET, "--passphrase", SECRET],
            ["--connection-string", "***", "--passphrase", "***"],
        ),
        ([f"mysql --user=app --password='{SECRET} x' --host=db"], ["mysql --user=app --password=*** --host=db"]),
        ([f"export API_KEY={SECRET}; run"], ["export API_KEY=***; run"]),
        (["--enable-ipv6=true", "--v", "2"], ["--enable-ipv6=true", "--v", "2"]),
        ([f"curl https://user:{SECRET}@shop.example/x"], ["curl https://***@shop.example/x"]),
        ([TOKEN], ["***"]),
        ([7, None], [7, None]),
    ],
)
def test_a_command_line_keeps_everything_but_what_a_secret_is_set_to(given_: list[Any], kept: list[Any]) -> None:
    assert of_container(args=given_, command=given_) == {"args": kept, "command": kept}


def test_a_probe_keeps_its_headers_names() -> None:
    headers = [{"name": "Authorization", "value": f"Basic {SECRET}"}]
    probe = of_container(livenessProbe={"httpGet": {"path": "/", "httpHeaders": headers}})
    assert probe == {"livenessProbe": {"httpGet": {"path": "/", "httpHeaders": [{"name": "Authorization"}]}}}


def test_what_only_points_to_a_secret_is_kept() -> None:
    volumes = [
        {"name": "tls", "secret": {"secretName": "tls"}},
        {"name": "all", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
    ]
    body = {"metadata": {"name": "web"}, "spec": {"volumes": volumes, "imagePullSecrets": [{"name": "pull"}]}}
    assert trim(copy.deepcopy(body)) == body


def test_volumes_and_secret_providers_keep_the_names_of_what_they_lead_to() -> None:
    key = {"name": "azure-storage-account-stshop-secret", "namespace": "shop"}
    attributes = {"storageAccount": "stshop", "shareName": "assets", "secretName": "azure-secret"}
    csi = {"volumeHandle": "rg-shop#stshop#assets", "volumeAttributes": attributes, "nodeStageSecretRef": key}
    volume = {"spec": {"csi": csi, "azureFile": {"secretName": "azure-secret"}}}
    objects = [{"secretName": "db", "data": [{"key": "password", "objectName": "db"}]}]
    parameters = {"keyvaultName": "kv-shop", "tenantId": "99999999-0000-4000-8000-000000000009", "clientSecret": SECRET}
    provider: dict[str, Any] = {"spec": {"provider": "azure", "parameters": parameters, "secretObjects": objects}}
    assert trim(copy.deepcopy(volume)) == volume
    del (kept := copy.deepcopy(provider))["spec"]["parameters"]["clientSecret"]
    assert trim(provider) == kept


def test_metadata_loses_managed_fields_and_the_last_applied_configuration() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": SECRET, "kept": "yes", "url": f"?sig={SECRET}"}
    metadata = {"name": "web", "managedFields": [{"manager": "kubectl"}], "annotations": annotations}
    assert trim({"metadata": metadata}) == {
        "metadata": {"name": "web", "annotations": {"kept": "yes", "url": "?sig=***"}}
    }


def test_of_managed_fields_the_versions_are_kept_each_once() -> None:
    written = [
        {"manager": SECRET, "apiVersion": "policy/v1beta1", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {}}},
        {"manager": "helm", "apiVersion": "policy/v1"},
        {"manager": "kubectl", "apiVersion": "policy/v1beta1"},
        {"manager": "core", "apiVersion": "v1"},
        {"manager": "custom", "apiVersion": "gateway.networking.k8s.io/v1alpha2"},
        *({"apiVersion": odd} for odd in (SECRET, "v1 ", "Policy/v1", None, 1)),
        "v1",
    ]
    kept = ["policy/v1beta1", "policy/v1", "v1", "gateway.networking.k8s.io/v1alpha2"]
    assert trim({"metadata": {"managedFields": written}}) == {
        "metadata": {"managedFields": [{"apiVersion": one} for one in kept]}
    }
    assert trim({"metadata": {"managedFields": "v1"}}) == {"metadata": {}}


def test_strings_under_the_names_of_secrets_are_dropped() -> None:
    assert trim({"data": {"password": SECRET, "Corefile": ".:53"}}) == {"data": {"Corefile": ".:53"}}


@pytest.mark.parametrize(
    "spec",
    [
        {"selector": {"token": "a", "app": "secret-store"}},
        {"podSelector": {"matchLabels": {"password": "strong"}}},
        {"selector": {"matchExpressions": [{"key": "secret", "operator": "In", "values": ["a"]}], "matchLabels": {}}},
        {"selector": "token == 'a' && has(secret)", "ingress": [{"source": {"notSelector": "pwd == 'x'"}}]},
        {"template": {"metadata": {"labels": {"token": "a"}}, "spec": {"nodeSelector": {"secret": "yes"}}}},
    ],
)
def test_labels_and_selectors_stay_as_they_are(spec: dict[str, Any]) -> None:
    body = {"metadata": {"name": "web", "labels": {"token": "a", "accountKey": "b"}}, "spec": spec}
    assert trim(copy.deepcopy(body)) == body


def test_annotations_that_only_name_a_secret_or_turn_it_off_are_kept() -> None:
    annotations = {
        "nginx.ingress.kubernetes.io/auth-secret": "shop/basic",
        "nginx.ingress.kubernetes.io/whitelist-source-range": "10.0.0.0/8,192.0.2.0/24",
        "nginx.ingress.kubernetes.io/ssl-redirect": "true",
        "kubernetes.io/enforce-mountable-secrets": "true",
        "service.beta.kubernetes.io/azure-load-balancer-internal": "true",
        "service.beta.kubernetes.io/azure-allowed-ip-ranges": "192.0.2.1/32",
        "sidecar.istio.io/inject": "false",
        "container.apparmor.security.beta.kubernetes.io/web": "runtime/default",
    }
    body = {"metadata": {"name": "web", "annotations": annotations}}
    assert trim(copy.deepcopy(body)) == body


@pytest.mark.parametrize("key", ["DB_PASSWORD", "registry-password", "app.secret", "apiToken", "x/last-applied"])
def test_texts_called_like_a_secret_are_dropped(key: str) -> None:
    assert trim({"data": {key: SECRET, "kept": "yes"}}) == {"data": {"kept": "yes"}}
    assert trim({"spec": {"list": [{"name": key, "value": SECRET}]}}) == {"spec": {"list": [{"name": key}]}}


def test_lists_and_objects_of_secrets_lose_their_texts() -> None:
    assert trim({"spec": {"passwords": [SECRET], "secrets": [{"name": "pull"}], "env": {"A": SECRET}}}) == {
        "spec": {"passwords": ["***"], "secrets": [{"name": "pull"}], "env": {}}
    }
    assert trim({"spec": {f"password={SECRET}": {"a": 1}}}) == {"spec": {"password=***": {"a": 1}}}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"etcd {{\n  credentials root {SECRET}\n  path /x\n}}", "etcd {\n  credentials ***\n  path /x\n}"),
        (f"azure x {{\n\tsecret {SECRET}\n}}", "azure x {\n\tsecret ***\n}"),
        (".:53 {\n  forward . /etc/resolv.conf\n}", ".:53 {\n  forward . /etc/resolv.conf\n}"),
        (f'[{{"name": "DB_PASSWORD", "value": "{SECRET}"}}]', '[{"name": "DB_PASSWORD", "value": ***}]'),
        (f"- name: DB_PASSWORD\n  value: {SECRET}\n- name: A", "- name: DB_PASSWORD\n  value: ***\n- name: A"),
        ('[{"name": "MODE", "value": "fast"}]', '[{"name": "MODE", "value": "fast"}]'),
    ],
)
def test_texts_with_settings_lose_what_a_secret_is_set_to(text: str, kept: str) -> None:
    assert trim({"data": {"file": text}}) == {"data": {"file": kept}}


def test_large_texts_and_lists_that_say_nothing_are_left_out() -> None:
    trimmed = trim({"data": {"big": "x" * (LONGEST_TEXT + 1)}, "status": {"images": [{}], "phase": "Running"}})
    assert trimmed["status"] == {"phase": "Running"}
    assert trimmed["data"]["big"].startswith("*** (longer than")
    assert trim({"webhooks": [{"clientConfig": {"caBundle": "LS0t", "service": {"name": "hook"}}}]}) == {
        "webhooks": [{"clientConfig": {"service": {"name": "hook"}}}]
    }


NAMES = ("metadata", "spec", "env", "args", "command", "annotations", "status", "images", "value", "httpHeaders")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_any_json_is_trimmed_without_harm_and_twice_is_once(body: dict[str, Any]) -> None:
    once = trim(body)
    json.dumps(once)
    assert trim(copy.deepcopy(once)) == once


@pytest.mark.parametrize("said", ['secret "db" not found', "couldn't find key password in Secret shop/db"])
def test_which_secret_a_container_waits_for_stays(said: str) -> None:
    waiting = {"reason": "CreateContainerConfigError", "message": said}
    status = {"containerStatuses": [{"name": "web", "state": {"waiting": waiting}}]}
    assert trim({"status": copy.deepcopy(status)}) == {"status": status}


def test_a_hostile_command_line_takes_no_longer_than_its_length() -> None:
    # Patterns that try again from every letter would take minutes here.
    of_container(args=["secret" * 2700, "a" * LONGEST_TEXT, "a=" * 8000, "-" * LONGEST_TEXT])
    of_container(
        args=["name: password" + " " * 16_000, "name:" * 3_000 + "value", "\n" + "secret" * 2_700, "\n" * 16_000]
    )


def test_what_is_nested_too_deep_is_refused() -> None:
    body: dict[str, Any] = {}
    for _ in range(101):
        body = {"x": [body]}
    with pytest.raises(ValueError, match="deeper than 100"):
        trim(body)
