"""The loopback API server answers as the real one that was recorded, so that what is proved against it holds there."""

import asyncio
import base64
import json
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPResponse, HTTPSConnection, IncompleteRead
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec.yaml
import pytest
from kubernetes.aio.client import ApiClient, Configuration, CoreV1Api, VersionApi
from kubernetes.aio.client.exceptions import ApiException

from kubernetes_api import (
    AUDITOR_TOKEN,
    NORIGHTS_TOKEN,
    Fault,
    Hang,
    KubernetesApi,
    Reset,
    Slow,
    Truncated,
    answers,
    kubeconfig,
    plugin,
)
from kubernetes_api.recordings import AGGREGATED, CLUSTERS, METADATA, RECORDED, ClusterName, Exchange, load, made

TOKENS = {"auditor": AUDITOR_TOKEN, "norights": NORIGHTS_TOKEN, "invalid": "a-token-of-nobody"}
PODS = "/api/v1/pods"
POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
MANY = 10**6


class Got(NamedTuple):
    """An answer as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON value
        """The body."""
        return json.loads(self.body)

    @property
    def names(self) -> list[str]:
        """The names in a list."""
        return [item["metadata"]["name"] for item in self.json["items"]]


def get(  # noqa: PLR0913 - each is a part of a request
    api: KubernetesApi,
    path: str,
    *,
    token: str | None = AUDITOR_TOKEN,
    accept: str = "application/json",
    method: str = "GET",
    context: ssl.SSLContext | None = None,
) -> Got:
    """Ask a server with a plain client."""
    headers = {"Accept": accept} | ({"Authorization": f"Bearer {token}"} if token else {})
    trusting = context or ssl.create_default_context(cadata=api.ca.decode())
    port = urlsplit(api.url).port
    with closing(HTTPSConnection("127.0.0.1", port, timeout=10, context=trusting)) as connection:
        connection.request(method, path, headers=headers)
        with closing(connection.getresponse()) as response:
            assert isinstance(response, HTTPResponse)
            return Got(response.status, dict(response.headers), response.read())


def pages(api: KubernetesApi, path: str, limit: int) -> Iterator[Got]:
    """The pages of a list, with the refusals on the way."""
    token = ""
    for _ in range(100):
        got = get(api, f"{path}?limit={limit}" + (f"&continue={token}" if token else ""))
        yield got
        token = got.json["metadata"].get("continue", "")
        if not token:
            return


@pytest.fixture(scope="module")
def weak() -> Iterator[KubernetesApi]:
    with KubernetesApi() as api:
        yield api


@pytest.fixture(scope="module")
def hardened() -> Iterator[KubernetesApi]:
    with KubernetesApi("hardened") as api:
        yield api


# What was recorded


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_recorded_answer_is_given_again(cluster: ClusterName, request: pytest.FixtureRequest) -> None:
    api: KubernetesApi = request.getfixturevalue(cluster)
    recorded = [exchange for exchange in load(cluster) if not exchange.scenario]
    assert len(recorded) > 250
    for exchange in recorded:
        _compare(exchange, get(api, exchange.path, token=TOKENS[exchange.identity], accept=exchange.accept))


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_recorded_scenario_is_played_again(cluster: ClusterName) -> None:
    recorded = [exchange for exchange in load(cluster) if exchange.scenario]
    assert {exchange.scenario for exchange in recorded} == {"expired-continue", "throttled-apf", "throttled-inflight"}
    for exchange in recorded:
        throttled = exchange.scenario.startswith("throttled")
        faults = [Fault("/", answers.throttled())] if throttled else []
        with KubernetesApi(cluster, faults=faults, expire_continue=not throttled) as api:
            _compare(exchange, get(api, exchange.path))


def _compare(exchange: Exchange, got: Got) -> None:
    assert (exchange.path, exchange.accept, got.status) == (exchange.path, exchange.accept, exchange.status)
    assert {name: got.headers.get(name) for name in exchange.headers} == exchange.headers
    assert (exchange.text or exchange.body) == (got.body.decode() if exchange.text else got.json)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded answers (../shared/data/kubernetes) are not here")
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_the_fixtures_are_as_made_of_the_recordings(cluster: ClusterName) -> None:
    file = Path(__file__).parents[1] / "fixtures" / "kubernetes" / f"{cluster}.jsonl"
    assert file.read_bytes() == made(cluster), "renew with: python tests/kubernetes_api/recordings.py"


# Who asks


@pytest.mark.parametrize("token", [None, "a-token-of-nobody"])
@pytest.mark.parametrize("path", ["/version", "/apis", PODS, "/nonsense"])
def test_who_is_not_known_is_told_nothing(weak: KubernetesApi, token: str | None, path: str) -> None:
    got = get(weak, path, token=token)
    assert (got.status, got.json["reason"], got.json["message"]) == (401, "Unauthorized", "Unauthorized")


def test_a_client_certificate_of_an_administrator_signs_in(weak: KubernetesApi, tmp_path: Path) -> None:
    assert get(weak, PODS, token=None, context=_as_administrator(weak, tmp_path)).names == get(weak, PODS).names
    request = weak.requests[-2]
    assert (request.token, request.certificate) == (None, "O=system:masters,CN=masterclient")
    assert weak.requests[-1].certificate is None


def test_an_administrator_is_refused_nothing(weak: KubernetesApi, tmp_path: Path) -> None:
    administrator = _as_administrator(weak, tmp_path)
    for path, status in [
        ("/apis/consul.hashicorp.com/v1alpha1/meshes", 404),
        ("/api/v1/nosuchkinds", 404),
        ("/api/v1/secrets", 501),
        ("/metrics", 404),
    ]:
        assert get(weak, path).status == 403
        assert get(weak, path, token=None, context=administrator).status == status


def _as_administrator(api: KubernetesApi, folder: Path) -> ssl.SSLContext:
    (folder / "admin.pem").write_bytes(api.admin_certificate + api.admin_key)
    context = ssl.create_default_context(cadata=api.ca.decode())
    context.load_cert_chain(folder / "admin.pem")
    return context


# TLS


def _connect(api: KubernetesApi, name: str) -> None:
    context = ssl.create_default_context(cadata=api.ca.decode())
    context.minimum_version = ssl.TLSVersion.TLSv1_3

    async def connect() -> None:
        port = urlsplit(api.url).port
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
        writer.close()
        await writer.wait_closed()

    asyncio.run(connect())


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_the_certificate_holds_for_the_address_and_for_the_clusters_own_name(
    cluster: ClusterName, request: pytest.FixtureRequest
) -> None:
    api: KubernetesApi = request.getfixturevalue(cluster)
    assert api.host.startswith(f"aks-{cluster}-")
    assert api.host.endswith(".azmk8s.io")
    for name in ("127.0.0.1", "localhost", api.host):
        _connect(api, name)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        _connect(api, "another.azmk8s.io")


def test_the_certificate_may_lack_the_address() -> None:
    with KubernetesApi(names=["private.azmk8s.io"]) as api:
        _connect(api, "private.azmk8s.io")
        with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
            get(api, "/version")
    assert api.requests == ()


def test_nobody_else_vouches_for_the_server(weak: KubernetesApi, hardened: KubernetesApi) -> None:
    for context in (ssl.create_default_context(), ssl.create_default_context(cadata=hardened.ca.decode())):
        with pytest.raises(ssl.SSLCertVerificationError):
            get(weak, "/version", context=context)


# What may be read


def test_a_kind_that_is_not_installed_is_refused_to_who_may_not_read_it(weak: KubernetesApi) -> None:
    path = "/apis/cilium.io/v2/ciliumnetworkpolicies"
    assert get(weak, path).body == b"404 page not found\n"
    refused = get(weak, path, token=NORIGHTS_TOKEN)
    assert refused.status == 403
    assert refused.json["message"].startswith('ciliumnetworkpolicies.cilium.io is forbidden: User "system:servicea')


def test_everybody_who_is_known_may_read_discovery(weak: KubernetesApi) -> None:
    for path in ("/version", "/api", "/apis", "/api/v1", "/apis/apps/v1", "/apis/apps/v1/"):
        got = get(weak, path, token=NORIGHTS_TOKEN)
        assert (got.status, got.body) == (200, get(weak, path.rstrip("/")).body)


def test_discovery_comes_in_the_form_that_is_asked_for(weak: KubernetesApi) -> None:
    three = f"{AGGREGATED},{AGGREGATED.replace('v=v2', 'v=v2beta1')},application/json"
    for path in ("/api", "/apis"):
        assert get(weak, path, accept=three).headers["Content-Type"] == AGGREGATED
        assert get(weak, path, accept=three).json["kind"] == "APIGroupDiscoveryList"
        assert get(weak, path, accept="*/*").json["kind"] == {"/api": "APIVersions", "/apis": "APIGroupList"}[path]


def test_a_group_whose_server_does_not_answer_is_unavailable(weak: KubernetesApi) -> None:
    for path in ("/apis/metrics.k8s.io/v1beta1", "/apis/metrics.k8s.io/v1beta1/nodes"):
        assert (get(weak, path).status, get(weak, path).body) == (503, b"service unavailable\n")
    assert get(weak, "/apis/metrics.k8s.io").status == 200


def test_objects_are_read_by_namespace_and_by_name(hardened: KubernetesApi) -> None:
    everywhere = get(hardened, POLICIES).json["items"]
    (namespace, *_) = {item["metadata"]["namespace"] for item in everywhere}
    there = [item for item in everywhere if item["metadata"]["namespace"] == namespace]
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    assert get(hardened, path).json["items"] == there
    one = get(hardened, f"{path}/{there[0]['metadata']['name']}").json
    assert one == {"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", **there[0]}
    absent = get(hardened, f"{path}/no-such-policy")
    assert (absent.status, absent.json["message"]) == (
        404,
        'networkpolicies.networking.k8s.io "no-such-policy" not found',
    )


def test_metadata_alone_is_given_of_any_kind(weak: KubernetesApi) -> None:
    got = get(weak, f"{PODS}?limit=2", accept=f"{METADATA},application/json").json
    assert (got["kind"], got["metadata"]["remainingItemCount"]) == ("PartialObjectMetadataList", 47)
    assert [sorted(item) for item in got["items"]] == [["apiVersion", "kind", "metadata"]] * 2


@pytest.mark.parametrize(
    "path",
    [
        "/apis/storage.k8s.io/v1/csidrivers",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "/api/v1/namespaces/kube-system/configmaps",
        f"{PODS}?labelSelector=a=b",
        f"{PODS}?watch=true",
        f"{PODS}?limit=all",
    ],
)
def test_what_was_not_recorded_is_not_made_up(weak: KubernetesApi, path: str) -> None:
    got = get(weak, path)
    assert got.status == 501
    assert b"was not recorded" in got.body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", f"{PODS}", 403),
        ("POST", "/api/v1/namespaces/default/pods", 403),
        ("PATCH", "/api/v1/namespaces/default/pods/one", 403),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", 405),
    ],
)
def test_nothing_is_changed(method: str, path: str, status: int) -> None:
    with KubernetesApi() as api:
        got = get(api, path, method=method)
        assert (got.status, got.json["code"]) == (status, status)
        assert [(request.method, request.path, request.status) for request in api.requests] == [(method, path, status)]


@pytest.mark.parametrize(
    ("pattern", "path", "message"),
    [
        (
            "pods",
            PODS,
            'pods is forbidden: User "system:serviceaccount:aks-audit:auditor" cannot list resource "pods" in',
        ),
        ("*.networking.k8s.io", POLICIES, 'API group "networking.k8s.io" at the cluster scope'),
        ("/apis*", "/apis", 'forbidden: User "system:serviceaccount:aks-audit:auditor" cannot get path "/apis"'),
    ],
)
def test_a_denied_kind_or_path_is_refused(pattern: str, path: str, message: str) -> None:
    with KubernetesApi(deny=[pattern]) as api:
        got = get(api, path)
        assert (got.status, got.json["reason"]) == (403, "Forbidden")
        assert message in got.json["message"]
        assert get(api, "/api/v1/nodes").status == 200


# Pages


def test_a_list_is_parted_into_pages(weak: KubernetesApi) -> None:
    found = [got.json for got in pages(weak, PODS, 20)]
    assert [len(page["items"]) for page in found] == [20, 20, 9]
    assert [page["metadata"].get("remainingItemCount") for page in found] == [29, 9, None]
    assert {page["metadata"]["resourceVersion"] for page in found} == {"934"}
    assert [item for page in found for item in page["items"]] == get(weak, PODS).json["items"]


def test_the_last_page_of_custom_objects_has_an_empty_continue_token(hardened: KubernetesApi) -> None:
    found = [got.json["metadata"] for got in pages(hardened, "/apis/cilium.io/v2/ciliumnetworkpolicies", 3)]
    assert [metadata.get("remainingItemCount") for metadata in found] == [1, None]
    assert [bool(metadata["continue"]) for metadata in found] == [True, False]


def test_a_page_may_hold_the_whole_list(weak: KubernetesApi) -> None:
    for query in ("limit=49", "limit=500&resourceVersion=0", "limit=0"):
        assert get(weak, f"{PODS}?{query}").json == get(weak, PODS).json


def test_a_list_of_a_namespace_is_parted_too(weak: KubernetesApi) -> None:
    path = "/api/v1/namespaces/kube-system/pods"
    names = [name for got in pages(weak, path, 7) for name in got.names]
    assert names == get(weak, path).names
    assert len(names) > 14


def test_a_continue_token_says_where_and_when(weak: KubernetesApi) -> None:
    metadata = get(weak, f"{PODS}?limit=10").json["metadata"]
    token = json.loads(base64.urlsafe_b64decode(metadata["continue"] + "=="))
    assert token == {"v": "meta.k8s.io/v1", "rv": 934, "start": "kube-system/cloud-node-manager-m2j28\0"}


@pytest.mark.parametrize("token", ["not-a-token", "a", "%7B%7D", base64.urlsafe_b64encode(b"{}").decode()])
def test_a_continue_token_of_another_kind_is_refused(weak: KubernetesApi, token: str) -> None:
    got = get(weak, f"{PODS}?limit=10&continue={token}")
    assert (got.status, got.json["reason"]) == (400, "BadRequest")
    assert got.json["message"].startswith("invalid continue token: ")


def test_an_expired_list_goes_on_with_a_fresh_token() -> None:
    with KubernetesApi(expire_continue=True) as api:
        found = list(pages(api, PODS, 20))
        assert [got.status for got in found] == [200, 410, 200, 200]
        assert found[1].json["reason"] == "Expired"
        assert [got.json["metadata"]["resourceVersion"] for got in found if got.status == 200] == ["934", "940", "940"]
        assert [name for got in found if got.status == 200 for name in got.names] == get(api, PODS).names
        assert [got.status for got in pages(api, PODS, 20)] == [200, 200, 200], "a new list does not expire"
        assert [got.status for got in pages(api, "/api/v1/services", 10)] == [200, 410, 200], "each list expires"


def test_the_old_token_stays_expired() -> None:
    with KubernetesApi(expire_continue=True) as api:
        token = get(api, f"{PODS}?limit=20").json["metadata"]["continue"]
        assert [get(api, f"{PODS}?limit=20&continue={token}").status for _ in range(3)] == [410] * 3


# Sizes


def test_there_are_as_many_pods_as_are_asked_for() -> None:
    with KubernetesApi(pods=1200) as api:
        found = [got for got in pages(api, PODS, 500)]  # noqa: C416 - read before the server ends
    items = [item for got in found for item in got.json["items"]]
    assert [got.json["metadata"].get("remainingItemCount") for got in found] == [700, 200, None]
    assert len({item["metadata"]["uid"] for item in items}) == 1200
    keys = [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in items]
    assert keys == sorted(set(keys))
    assert 8_000 < sum(len(got.body) for got in found) / len(items) < 10_000
    assert {field["manager"] for item in items for field in item["metadata"]["managedFields"]} == {
        "kube-controller-manager",
        "kubelet",
    }


def test_any_body_may_be_edited() -> None:
    def edit(path: str, body: Any) -> Any:  # noqa: ANN401 - any JSON value
        return {**body, "items": body["items"][:1], "path": path} if path == PODS else body

    with KubernetesApi(edit=edit) as api, KubernetesApi() as as_recorded:
        assert get(api, PODS).json["path"] == PODS
        assert len(get(api, PODS).names) == 1
        assert get(api, "/api/v1/nodes").json == get(as_recorded, "/api/v1/nodes").json
        assert get(api, "/apis/no.such.group/v1").body == b"404 page not found\n"


# Faults


@pytest.mark.parametrize(
    "fault", [Fault(PODS, Reset()), Fault(PODS, Truncated(announced=True)), Fault(PODS, Truncated())]
)
def test_a_fault_strikes_once(fault: Fault) -> None:
    with KubernetesApi(faults=[fault]) as api:
        with pytest.raises((ConnectionError, IncompleteRead, ValueError)):
            assert get(api, PODS).json
        assert len(get(api, PODS).names) == 49


@pytest.mark.parametrize("fault", [Fault("/version", Hang(0.3)), Fault("/version", Slow(0.1, size=100))])
def test_an_answer_may_take_its_time(fault: Fault) -> None:
    with KubernetesApi(faults=[fault]) as api:
        begun = monotonic()
        assert get(api, "/version").json["gitVersion"].startswith("v1.36")
        assert monotonic() - begun >= 0.3


def test_faults_may_be_changed(weak: KubernetesApi) -> None:
    weak.strike(Fault("/version", answers.status(500, "InternalError", "etcdserver: request timed out")))
    assert [get(weak, "/version").status for _ in range(2)] == [500, 200]


def test_more_requests_than_there_is_room_for_are_throttled(tmp_path: Path) -> None:
    async def statuses(api: KubernetesApi, context: ssl.SSLContext, headers: dict[str, str]) -> list[int]:
        async with aiohttp.ClientSession(headers=headers) as session:

            async def status() -> int:
                async with session.get(f"{api.url}/version", ssl=context) as response:
                    return response.status

            return sorted(await asyncio.gather(*(status() for _ in range(5))))

    with KubernetesApi(inflight=2, delay=1) as api:
        context = ssl.create_default_context(cadata=api.ca.decode())
        signed = {"Authorization": f"Bearer {AUDITOR_TOKEN}"}
        assert asyncio.run(statuses(api, context, signed)) == [200, 200, 429, 429, 429]
        assert asyncio.run(statuses(api, _as_administrator(api, tmp_path), {})) == [200] * 5, "but no administrator"


# Real clients


def _configuration(api: KubernetesApi) -> Configuration:
    configuration = Configuration(host=api.url, ca_cert_data=api.ca.decode())
    configuration.api_key = {"BearerToken": f"Bearer {AUDITOR_TOKEN}"}
    return configuration


def test_the_kubernetes_client_reads_it(weak: KubernetesApi) -> None:
    async def read() -> tuple[str, list[str], int | None]:
        async with ApiClient(_configuration(weak)) as client:
            version = await VersionApi(client).get_code()
            core, names, token = CoreV1Api(client), [], None
            while token != "":
                page = await core.list_pod_for_all_namespaces(limit=20, _continue=token)
                names += [str(pod.metadata and pod.metadata.name) for pod in page.items]
                token = (page.metadata and page.metadata._continue) or ""  # noqa: SLF001 - the client's name for it
            with pytest.raises(ApiException) as refused:
                await core.list_secret_for_all_namespaces()
            return str(version.git_version), names, refused.value.status

    git_version, names, status = asyncio.run(read())
    assert git_version.startswith("v1.36.2")
    assert names == get(weak, PODS).names
    assert status == 403


@pytest.mark.parametrize("user", ["token", "certificate"])
def test_a_kubeconfig_leads_to_it(weak: KubernetesApi, tmp_path: Path, user: Any) -> None:  # noqa: ANN401 - a literal
    from kubernetes.aio.config import new_client_from_config  # noqa: PLC0415 - slow

    file = tmp_path / "config"
    file.write_text(kubeconfig(weak, user=user, server_name=weak.host), encoding="utf-8")

    async def read() -> int:
        async with await new_client_from_config(str(file)) as client:  # type: ignore[no-untyped-call] # as published
            return len((await CoreV1Api(client).list_node()).items)

    assert asyncio.run(read()) == 3
    assert (weak.requests[-1].certificate is not None) == (user == "certificate")


def test_a_kubeconfig_says_what_is_asked_for(weak: KubernetesApi, tmp_path: Path) -> None:
    command, marker = plugin(tmp_path)
    text = kubeconfig(weak, user="exec", context="aks-x", server=f"https://{weak.host}:443", command=command)
    document = msgspec.yaml.decode(text)
    assert document["current-context"] == document["contexts"][0]["name"] == "aks-x"
    assert document["clusters"][0]["cluster"]["server"] == f"https://{weak.host}:443"
    plug = document["users"][0]["user"]["exec"]
    assert not marker.exists()
    made_token = subprocess.run([plug["command"], *plug["args"]], capture_output=True, check=True).stdout
    assert json.loads(made_token)["status"]["token"] == AUDITOR_TOKEN
    assert marker.exists()


# A process of its own


@pytest.mark.parametrize("interrupt", [True, False])
def test_a_process_of_its_own_serves_until_it_is_told_to_end(tmp_path: Path, interrupt: bool) -> None:  # noqa: FBT001 - a case
    file = tmp_path / "config"
    process = subprocess.Popen(
        [sys.executable, "-m", "kubernetes_api", "hardened", "--kubeconfig", str(file), "--pods", "60"],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        begun = json.loads(process.stdout.readline())
        cluster = msgspec.yaml.decode(file.read_text())["clusters"][0]["cluster"]
        assert cluster["server"] == begun["url"]
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        assert _count(begun["url"], ca, begun["token"]) == 60
        if interrupt:
            process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, json.loads(out)) == (0, {"200": 1})


def _count(url: str, ca: str, token: str) -> int:
    context = ssl.create_default_context(cadata=ca)
    with closing(HTTPSConnection("127.0.0.1", urlsplit(url).port, timeout=10, context=context)) as connection:
        connection.request("GET", PODS, headers={"Authorization": f"Bearer {token}"})
        return len(json.loads(connection.getresponse().read())["items"])
