"""The loopback Resource Manager answers as Azure does, so that what is proved against it holds for Azure."""

import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPResponse, HTTPSConnection, IncompleteRead
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp
import pytest
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.mgmt.containerservice.aio import ContainerServiceClient

from aks_audit.facts.resource_id import parse, within
from aks_audit.snapshot import Gap, Listing, Record, Resource
from resource_manager import (
    AZURE,
    Answer,
    Bucket,
    Fault,
    Hang,
    Limits,
    Paging,
    Reset,
    ResourceManager,
    Slow,
    Truncated,
    answers,
    load,
)

ROOT = Path(__file__).parents[1]
ESTATE = load(ROOT / "fixtures/estates/modern-hardened.jsonl")
RESOURCES = [record for record in ESTATE if isinstance(record, Resource)]
HUB = "/subscriptions/900d0000-0000-4000-8000-000000000001"
PLATFORM = "/subscriptions/900d0000-0000-4000-8000-000000000002"
CLUSTER = f"{PLATFORM}/resourceGroups/rg-platform/providers/Microsoft.ContainerService/managedClusters/aks-filtered"
CLUSTERS = f"{PLATFORM}/providers/Microsoft.ContainerService/managedClusters"
NETWORK = f"{PLATFORM}/resourceGroups/rg-platform/providers/Microsoft.Network"
ZONE = f"{HUB}/resourceGroups/rg-connectivity/providers/Microsoft.Network/privateDnsZones/privatelink.azurecr.io"


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
        """The last parts of the ids in a list."""
        return [item["id"].rpartition("/")[2] for item in self.json["value"]]

    @property
    def code(self) -> str:
        """The code of an error, nested or flat."""
        return str(self.json.get("error", self.json)["code"])


def get(server: ResourceManager, path: str, *, caller: str | None = "me", method: str = "GET") -> Got:
    """Ask a server with a plain client; `caller` is the bearer token, a path without a query gets an api-version."""
    return ask(server.url, server.ca_file, path, caller=caller, method=method)


def ask(url: str, ca_file: Path, path: str, *, caller: str | None = "me", method: str = "GET") -> Got:
    """Ask a server that may be in another process."""
    address = path if "?" in path else f"{path}?api-version=2026-08-01"
    headers = {"Authorization": f"Bearer {caller}"} if caller else {}
    context = ssl.create_default_context(cafile=ca_file)
    with closing(HTTPSConnection("127.0.0.1", urlsplit(url).port, timeout=10, context=context)) as connection:
        connection.request(method, address, headers=headers)
        with closing(connection.getresponse()) as response:
            assert isinstance(response, HTTPResponse)
            return Got(response.status, dict(response.headers), response.read())


@pytest.fixture(scope="module")
def plain() -> Iterator[ResourceManager]:
    with ResourceManager(ESTATE, names={HUB.rpartition("/")[2]: "Connectivity"}) as server:
        yield server


# What exists


def test_subscriptions_are_listed_with_their_names(plain: ResourceManager) -> None:
    listed = get(plain, "/subscriptions").json["value"]
    assert [(item["id"], item["displayName"]) for item in listed] == [
        (HUB, "Connectivity"),
        (PLATFORM, "Subscription 0002"),
    ]
    assert get(plain, HUB.upper()).json["displayName"] == "Connectivity"


@pytest.mark.parametrize("estate", sorted((ROOT / "fixtures/estates").glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_listing_and_resource_of_a_snapshot_is_served(estate: Path) -> None:
    records = load(estate)
    resources = [record for record in records if isinstance(record, Resource)]
    with ResourceManager(records) as server:
        for listing in records:
            if isinstance(listing, Listing):
                assert get(server, _collection(listing)).json == {"value": _listed(listing, resources)}
        for resource in resources:
            assert get(server, resource.id).json == _served(resource)


def _served(resource: Resource) -> dict[str, Any]:
    # A list whose items have no ids is one resource of a snapshot, under its path, which Azure does not send.
    return {"value": resource.body["value"]} if "value" in resource.body else resource.body


def _collection(listing: Listing) -> str:
    # Children are listed by their parent's path; all else, extensions included, by a provider in the scope.
    nested = listing.type.count("/") > 1
    return listing.scope + (f"/{listing.type.rpartition('/')[2]}" if nested else f"/providers/{listing.type}")


def _listed(listing: Listing, resources: list[Resource]) -> list[dict[str, Any]]:
    return [
        resource.body
        for resource in resources
        if parse(resource.id).type.lower() == listing.type.lower() and within(resource.id, listing.scope)
    ]


def test_a_list_by_group_holds_that_group_alone(plain: ResourceManager) -> None:
    group = f"{PLATFORM}/resourcegroups/RG-AKS-isolated-NODES"
    assert get(plain, f"{group}/providers/microsoft.network/LOADBALANCERS").names == [
        "kube-apiserver",
        "kubernetes-internal",
    ]
    assert "rg-platform" in get(plain, f"{PLATFORM}/resourceGroups").names
    assert get(plain, f"{PLATFORM}/resourcegroups/RG-platform").json["name"] == "RG-platform"


@pytest.mark.parametrize("resource_id", [CLUSTER, CLUSTER.lower(), CLUSTER.replace("resourceGroups", "resourcegroups")])
def test_an_id_has_no_case(plain: ResourceManager, resource_id: str) -> None:
    (expected,) = [resource.body for resource in RESOURCES if resource.id == CLUSTER]
    assert get(plain, resource_id).json == expected


def test_a_zone_lists_its_record_sets_of_all_types_without_its_links(plain: ResourceManager) -> None:
    assert get(plain, f"{ZONE}/ALL").names == ["crplatformcache", "crplatformcache.swedencentral.data"]
    assert get(plain, f"{ZONE}/virtualNetworkLinks").names == ["link-vnet-hub", "link-vnet-platform"]


def test_what_stands_in_the_body_of_its_parent_can_be_read_alone(plain: ResourceManager) -> None:
    network = f"{NETWORK}/virtualNetworks/vnet-platform"
    listed = get(plain, f"{network}/subnets").json["value"]
    assert listed == get(plain, network).json["properties"]["subnets"]
    assert get(plain, listed[0]["id"].upper()).json == listed[0]
    assert get(plain, f"{network}/subnets/none").code == "ResourceNotFound"


def test_names_in_the_body_of_a_parent_have_no_case() -> None:
    network = "/subscriptions/5/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet"
    subnet = {"id": f"{network.upper()}/SUBNETS/SNET"}
    record = Resource(
        id=network, type="Microsoft.Network/virtualNetworks", body={"id": network, "properties": {"subnets": [subnet]}}
    )
    with ResourceManager([record]) as server:
        assert get(server, f"{network}/subnets/snet").json == subnet


def test_a_subscription_lists_its_own_diagnostic_settings_alone() -> None:
    kind = "Microsoft.Insights/diagnosticSettings"
    ids = [f"{scope}/providers/{kind}/one" for scope in (PLATFORM, CLUSTER)]
    others = [record for record in ESTATE if not isinstance(record, Resource) or record.type != kind]
    with ResourceManager([*others, *(Resource(id=one, type=kind, body={"id": one}) for one in ids)]) as server:
        for scope, expected in zip((PLATFORM, CLUSTER), ids, strict=True):
            assert get(server, f"{scope}/providers/{kind}").json == {"value": [{"id": expected}]}


def test_a_type_of_which_there_is_nothing_is_an_empty_list(plain: ResourceManager) -> None:
    assert get(plain, f"{PLATFORM}/providers/Microsoft.Network/natGateways").json == {"value": []}


# What Azure refuses


@pytest.mark.parametrize(
    ("path", "status", "code", "says"),
    [
        ("/subscriptions/0000", 404, "SubscriptionNotFound", "The subscription '0000' could not be found."),
        ("/subscriptions/0000/providers/A.B/c", 404, "SubscriptionNotFound", "'0000'"),
        (f"{CLUSTER}x", 404, "ResourceNotFound", "'Microsoft.ContainerService/managedClusters/aks-filteredx' under"),
        (f"{PLATFORM}/resourceGroups/rg-none/providers/A.B/c", 404, "ResourceGroupNotFound", "'rg-none'"),
        (f"{ZONE}x/ALL", 404, "ParentResourceNotFound", "'privatelink.azurecr.iox'"),
        (f"{PLATFORM}/providers/Microsoft.ContainerService/deploymentSafeguards", 404, "InvalidResourceType", "namesp"),
        (f"{PLATFORM}/nonsense", 404, "InvalidResourceType", "2026-08-01"),
        (f"{CLUSTERS}?x=y", 400, "MissingApiVersionParameter", "(?api-version=) is required for all requests."),
        (f"{CLUSTERS}?api-version=1&$skiptoken=x", 400, "InvalidSkipToken", "skip token"),
    ],
)
def test_an_error_is_worded_as_azure_words_it(
    plain: ResourceManager, path: str, status: int, code: str, says: str
) -> None:
    got = get(plain, path)
    assert (got.status, got.code) == (status, code)
    assert says in got.json["error"]["message"]


def test_nothing_is_served_without_a_token(plain: ResourceManager) -> None:
    got = get(plain, CLUSTERS, caller=None)
    assert (got.status, got.code) == (401, "AuthenticationFailed")
    assert got.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")


def test_nothing_is_served_to_who_does_not_trust_the_certificate(plain: ResourceManager) -> None:
    port = urlsplit(plain.url).port
    with (
        closing(HTTPSConnection("127.0.0.1", port, timeout=10, context=ssl.create_default_context())) as connection,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        connection.connect()


def test_nothing_is_changed(plain: ResourceManager) -> None:
    assert get(plain, CLUSTER, method="DELETE").status == 405


@pytest.mark.parametrize(
    ("action", "scope", "path", "over"),
    [
        ("Microsoft.Network/routeTables/read", None, f"{PLATFORM}/providers/Microsoft.Network/routeTables", PLATFORM),
        ("microsoft.network/*", PLATFORM.upper(), f"{NETWORK}/routeTables/x", f"{NETWORK}/routeTables/x"),
        ("Microsoft.Network/privateDnsZones/ALL/read", ZONE, f"{ZONE}/ALL", ZONE),
        (
            "Microsoft.ContainerService/deploymentSafeguards/read",
            CLUSTER,
            f"{CLUSTER}/providers/Microsoft.ContainerService/deploymentSafeguards",
            CLUSTER,
        ),
    ],
)
def test_a_denied_action_is_refused_in_azures_words(action: str, scope: str | None, path: str, over: str) -> None:
    with ResourceManager(ESTATE, deny={action: scope}) as server:
        got = get(server, path)
        assert (got.status, got.code) == (403, "AuthorizationFailed")
        message = got.json["error"]["message"]
        assert message.startswith("The client 'scanner@contoso.example' with object id '")
        assert f"perform action '{path_action(path)}' over scope '{over}' or the scope is invalid. If" in message
        assert get(server, CLUSTERS).status == 200


def path_action(path: str) -> str:
    """The action that a read of a list or of one resource in these tests needs."""
    names = path.rpartition("/providers/")[2].split("/")
    return "/".join([names[0], *names[1::2], "read"])


def test_a_denial_holds_in_its_scope_alone() -> None:
    with ResourceManager(ESTATE, deny={"Microsoft.Network/virtualNetworks/read": HUB}) as server:
        assert get(server, f"{HUB}/providers/Microsoft.Network/virtualNetworks").status == 403
        assert get(server, f"{PLATFORM}/providers/Microsoft.Network/virtualNetworks").names == ["vnet-platform"]


@pytest.mark.parametrize(
    ("where", "scope", "lacking"),
    [
        (None, PLATFORM, True),
        (PLATFORM, PLATFORM, True),
        (PLATFORM, CLUSTER, True),
        (CLUSTER, PLATFORM, True),
        (CLUSTER, HUB, False),
    ],
)
def test_permissions_are_those_that_are_not_denied_there_or_below(
    where: str | None, scope: str, *, lacking: bool
) -> None:
    denied = "Microsoft.Network/routeTables/read"
    with ResourceManager(ESTATE, deny={denied: where}) as server:
        got = get(server, f"{scope}/providers/Microsoft.Authorization/permissions").json
    assert [role["actions"] for role in got["value"]] == [["*"]]
    assert got["value"][0]["notActions"] == [denied.lower()] * lacking


def test_subscriptions_that_may_not_be_read_are_not_listed() -> None:
    with ResourceManager(ESTATE, deny={"Microsoft.Resources/subscriptions/read": HUB}) as server:
        assert [item["id"] for item in get(server, "/subscriptions").json["value"]] == [PLATFORM]
        assert get(server, HUB).status == 403


def test_a_gap_of_the_snapshot_is_a_refusal() -> None:
    action, elsewhere = "Microsoft.Network/azureFirewalls/read", "/subscriptions/e15e"
    gap = Gap(id=elsewhere, reason="403", status=403, action=action, scope=elsewhere)
    with ResourceManager([*ESTATE, gap]) as server:
        assert get(server, f"{elsewhere}/providers/Microsoft.Network/azureFirewalls").code == "AuthorizationFailed"
        assert get(server, "/subscriptions").json["value"][2:] == []


# Pages


def _clusters(count: int) -> list[Record]:
    kind = "Microsoft.ContainerService/managedClusters"
    group = "/subscriptions/5/resourceGroups/rg/providers"
    ids = [f"{group}/{kind}/aks-{number}" for number in range(count)]
    networks = [f"{group}/Microsoft.Network/virtualNetworks/vnet-{number}" for number in range(count)]
    return [
        *(Resource(id=one, type=kind, body={"id": one}) for one in ids),
        *(Resource(id=one, type="Microsoft.Network/virtualNetworks", body={"id": one}) for one in networks),
    ]


OF_AKS = "/subscriptions/5/providers/Microsoft.ContainerService/managedClusters"
OF_NETWORK = "/subscriptions/5/providers/Microsoft.Network/virtualNetworks"


def pages(server: ResourceManager, path: str, most: int = 10) -> list[list[str]]:
    """The names on each page, following absolute links and relative ones."""
    found: list[list[str]] = []
    following: str | None = path
    while following and len(found) < most:
        got = get(server, following.removeprefix(server.url))
        found.append(got.names)
        following = got.json.get("nextLink")
    return found


@pytest.mark.parametrize(
    ("paging", "path", "expected"),
    [
        (Paging(), OF_AKS, [[0, 1, 2, 3, 4]]),
        (Paging(size=2), OF_AKS, [[0, 1], [2, 3], [4]]),
        (Paging(size=5), OF_NETWORK, [[0, 1, 2, 3, 4]]),
        (Paging(size=3, trailing_empty_page=True), OF_AKS, [[0, 1, 2], [3, 4], []]),
        (Paging(size=3, trailing_empty_page=True), OF_NETWORK, [[0, 1, 2], [3, 4]]),
        (Paging(size=3, empty_first_page=True), OF_NETWORK, [[], [0, 1, 2], [3, 4]]),
        (Paging(size=4, relative=True), OF_NETWORK, [[0, 1, 2, 3], [4]]),
        (Paging(size=4, endless=True), OF_AKS, [[0, 1, 2, 3], *[[4]] * 9]),
    ],
)
def test_pages_are_parted(paging: Paging, path: str, expected: list[list[int]]) -> None:
    with ResourceManager(_clusters(5), paging=paging) as server:
        found = pages(server, path)
    assert [[int(name.rpartition("-")[2]) for name in page] for page in found] == expected


def test_a_link_is_absolute_and_keeps_the_query() -> None:
    with ResourceManager(_clusters(3), paging=Paging(size=1)) as server:
        link = get(server, f"{OF_NETWORK}?api-version=1&$expand=x").json["nextLink"]
        assert link == f"{server.url}{OF_NETWORK}?api-version=1&%24expand=x&%24skiptoken=1"
        assert get(server, OF_AKS).json["nextLink"].endswith("&%24skipToken=1&skipToken=1")


def test_a_link_may_lead_to_a_foreign_host() -> None:
    with ResourceManager(_clusters(3), paging=Paging(size=1, foreign="https://foreign.example")) as server:
        assert get(server, OF_AKS).json["nextLink"].startswith(f"https://foreign.example{OF_AKS}?")


# Limits


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_reads_are_limited_by_subscription_and_principal() -> None:
    clock = Clock()
    with ResourceManager(ESTATE, limits=Limits(reads=Bucket(2, 0.5), clock=clock)) as server:
        path = f"{PLATFORM}/providers/Microsoft.Network/routeTables"
        remaining = [get(server, path).headers["x-ms-ratelimit-remaining-subscription-reads"] for _ in range(2)]
        assert remaining == ["1", "0"]
        refused = get(server, path)
        assert (refused.status, refused.code) == (429, "SubscriptionRequestsThrottled")
        assert refused.headers["Retry-After"] == "2"
        assert f"for subscription '{parse(PLATFORM).subscription}' actor" in refused.json["error"]["message"]
        assert get(server, path, caller="another").status == 200
        assert get(server, f"{HUB}/providers/Microsoft.Network/routeTables").status == 200
        clock.now = 2
        assert [get(server, path).status for _ in range(2)] == [200, 429]


def test_all_principals_together_are_limited() -> None:
    with ResourceManager(ESTATE, limits=Limits(global_reads=Bucket(1, 0.1), clock=Clock())) as server:
        assert get(server, PLATFORM).headers["x-ms-ratelimit-remaining-subscription-global-reads"] == "0"
        assert get(server, PLATFORM, caller="another").headers["Retry-After"] == "10"
        assert get(server, "/subscriptions").headers["x-ms-ratelimit-remaining-tenant-reads"] == "249"


@pytest.mark.parametrize(
    ("bucket", "path"),
    [
        ("cluster_lists", CLUSTERS),
        ("cluster_lists_of_group", CLUSTER.rpartition("/")[0]),
        ("cluster", CLUSTER),
        ("other", f"{CLUSTER}/agentPools"),
    ],
)
def test_aks_has_buckets_of_its_own(bucket: str, path: str) -> None:
    with ResourceManager(ESTATE, limits=Limits(**{bucket: Bucket(1, 0.25)}, clock=Clock())) as server:
        assert get(server, path).status == 200
        refused = get(server, path)
        assert (refused.status, refused.json["code"], refused.headers["Retry-After"]) == (429, "Throttled", "4")
        others = {CLUSTERS, CLUSTER, f"{CLUSTER}/agentPools"} - {path}
        assert {get(server, other).status for other in others} == {200}


def test_azures_own_numbers() -> None:
    assert (AZURE.reads, AZURE.global_reads) == (Bucket(250, 25), Bucket(3750, 375))
    assert (AZURE.cluster_lists, AZURE.other) == (Bucket(500, 1), Bucket(60, 1))


# Faults


@pytest.mark.parametrize(
    ("answer", "status", "holds"),
    [
        (answers.throttled(), 429, b'"SubscriptionRequestsThrottled"'),
        (answers.throttled(None), 429, b'"SubscriptionRequestsThrottled"'),
        (answers.throttled(86400), 429, b"'86400'"),
        (answers.not_found(), 404, b'{"code":"NotFound"'),
        (answers.conflict(), 409, b'{"error":{"code":"Conflict"'),
        (answers.server_error(), 500, b'{"code":"InternalOperationError","message":'),
        (answers.bad_gateway(), 502, b'{"error":{"code":"BadGatewayConnection"'),
        (answers.unavailable(), 503, b"<!DOCTYPE html>"),
        (answers.gateway_timeout(), 504, b'{"error":{"code":"GatewayTimeout"'),
        (answers.document({"value": [], "odd": None}), 200, b'{"value":[],"odd":null}'),
    ],
)
def test_a_fault_strikes_once(answer: Answer, status: int, holds: bytes) -> None:
    with ResourceManager(ESTATE, faults=[Fault("managedclusters", answer)]) as server:
        got = get(server, CLUSTERS)
        assert got.status == status
        assert holds in got.body
        assert got.headers.get("Retry-After") == answer.headers.get("Retry-After")
        assert got.headers["Content-Type"] == answer.content_type
        assert get(server, CLUSTERS).names == ["aks-filtered", "aks-isolated"]


def test_a_fault_strikes_the_requests_it_is_meant_for() -> None:
    faults = [
        Fault("routeTables", answers.conflict(), nth=2, times=2),
        Fault("natGateways", answers.throttled(None), times=None),
        Fault("agentPools", answers.conflict()),
        Fault(r"/listClusterUserCredential\?", answers.document({}), method="POST"),
    ]
    with ResourceManager(ESTATE, faults=faults) as server:
        routes, gateways = (f"{PLATFORM}/providers/Microsoft.Network/{kind}" for kind in ("routeTables", "natGateways"))
        assert [get(server, routes).status for _ in range(4)] == [200, 409, 409, 200]
        assert {get(server, gateways).status for _ in range(6)} == {429}
        assert "Retry-After" not in get(server, gateways).headers
        posts = [get(server, f"{CLUSTER}/listClusterUserCredential", method="POST").status for _ in range(2)]
        assert posts == [200, 405]
        pools = f"{CLUSTER}/agentPools"
        assert [get(server, pools, method=method).status for method in ("POST", "GET", "GET")] == [405, 409, 200]


def test_a_connection_is_reset() -> None:
    with ResourceManager(ESTATE, faults=[Fault("managedClusters", Reset())]) as server:
        with pytest.raises(ConnectionError):
            get(server, CLUSTERS)
        assert get(server, CLUSTERS).status == 200
        assert [request.status for request in server.requests] == [None, 200]


def test_a_body_is_cut_off_with_and_without_a_sign() -> None:
    faults = [Fault("managedClusters", Truncated(announced=True)), Fault("managedClusters", Truncated(), nth=2)]
    with ResourceManager(ESTATE, faults=faults) as server:
        with pytest.raises(IncompleteRead):
            get(server, CLUSTERS)
        cut = get(server, CLUSTERS)
        whole = get(server, CLUSTERS)
        assert whole.body.startswith(cut.body)
        assert len(cut.body) == len(whole.body) // 2


def test_a_body_comes_in_drips_or_late() -> None:
    faults = [Fault("/subscriptions", Slow(pause=0.05, size=100)), Fault("/subscriptions", Hang(0.2), nth=2)]
    with ResourceManager(ESTATE, faults=faults) as server:
        for _ in range(2):
            start = monotonic()
            assert len(get(server, "/subscriptions").json["value"]) == 2
            assert monotonic() - start > 0.15


def test_the_server_ends_although_an_answer_hangs() -> None:
    start = monotonic()
    with ResourceManager(ESTATE, faults=[Fault("/subscriptions", Hang(60))]) as server:
        context = ssl.create_default_context(cafile=server.ca_file)
        port = urlsplit(server.url).port
        with closing(HTTPSConnection("127.0.0.1", port, timeout=0.2, context=context)) as connection:
            connection.request("GET", "/subscriptions?api-version=1", headers={"Authorization": "Bearer t"})
            with pytest.raises(TimeoutError):
                connection.getresponse()
    assert monotonic() - start < 4


def test_every_answer_takes_its_time() -> None:
    with ResourceManager(ESTATE, delay=0.1) as server:
        start = monotonic()
        get(server, CLUSTERS)
        assert monotonic() - start > 0.1


def test_every_request_is_logged() -> None:
    with ResourceManager(ESTATE) as server:
        get(server, f"{CLUSTERS}?api-version=1&$expand=x", caller="another")
        get(server, CLUSTER, caller=None, method="DELETE")
        first, second = server.requests
        assert (first.method, first.path, first.status, first.token) == ("GET", CLUSTERS, 200, "another")
        assert first.query == {"api-version": "1", "$expand": "x"}
        assert (second.method, second.status, second.token) == ("DELETE", 401, None)
        assert first.headers["Host"] == urlsplit(server.url).netloc


# The SDK


class Credential:
    """Gives a token, and notes the claims that were asked for."""

    def __init__(self) -> None:
        self.claims: list[str | None] = []

    async def get_token(self, *_scopes: str, claims: str | None = None, **_: object) -> AccessToken:
        """Give another token at each call."""
        self.claims.append(claims)
        return AccessToken(f"token-{len(self.claims)}", 2**33)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()


async def _ask(server: ResourceManager, credential: Credential, *paths: str) -> list[AsyncHttpResponse]:
    # One TLS context for the session: `connection_verify` with a path would make one for each request.
    context = ssl.create_default_context(cafile=server.ca_file)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        client = ContainerServiceClient(
            credential,
            "unused",
            base_url=server.url,
            credential_scopes=[f"{server.url}/.default"],
            transport=AioHttpTransport(session=session, session_owner=False),
        )
        async with client:
            requests = [HttpRequest("GET", f"{path}?api-version=2026-08-01") for path in paths]
            return [await client.send_request(request) for request in requests]


def test_the_sdk_reads_and_retries() -> None:
    faults = [Fault("aks-filtered", answers.throttled(0)), Fault("aks-filtered", answers.unavailable(), nth=2)]
    with ResourceManager(ESTATE, faults=faults) as server:
        listed, cluster = asyncio.run(_ask(server, Credential(), CLUSTERS, CLUSTER))
        assert [item["name"] for item in listed.json()["value"]] == ["aks-filtered", "aks-isolated"]
        assert cluster.json()["name"] == "aks-filtered"
        assert [request.status for request in server.requests] == [200, 429, 503, 200]


def test_the_sdk_answers_a_claims_challenge() -> None:
    credential = Credential()
    with ResourceManager(ESTATE, faults=[Fault("managedClusters", answers.claims_challenge())]) as server:
        (got,) = asyncio.run(_ask(server, credential, CLUSTERS))
        assert got.status_code == 200
        assert [(request.status, request.token) for request in server.requests] == [(401, "token-1"), (200, "token-2")]
        assert credential.claims[0] is None
        assert json.loads(credential.claims[1] or "") == {
            "access_token": {"nbf": {"essential": True, "value": "1726258122"}}
        }


_PROCESS = """
import asyncio, sys
from azure.core.credentials import AccessToken
from azure.core.rest import HttpRequest
from azure.mgmt.containerservice.aio import ContainerServiceClient

class Credential:
    async def get_token(self, *scopes, **_):
        return AccessToken("token", 2**33)

async def ask(url, path):
    async with ContainerServiceClient(Credential(), "s", base_url=url, credential_scopes=[url + "/.default"]) as client:
        print((await client.send_request(HttpRequest("GET", path + "?api-version=1"))).status_code)

asyncio.run(ask(*sys.argv[1:]))
"""


def test_a_process_trusts_the_certificate_by_its_environment() -> None:
    with ResourceManager(ESTATE) as server:
        done = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", "-c", _PROCESS, server.url, CLUSTERS],
            env=os.environ | {"SSL_CERT_FILE": str(server.ca_file)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.stdout, done.stderr) == ("200\n", "")


def test_it_serves_from_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "resource_manager", str(ROOT / "fixtures/estates/modern-hardened.jsonl")]
    with subprocess.Popen(
        [*command, "--page-size=1", "--limits"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        where = json.loads(process.stdout.readline())
        got = ask(where["url"], Path(where["ca_file"]), CLUSTERS)
        assert got.headers["x-ms-ratelimit-remaining-subscription-reads"] == "249"
        assert got.names == ["aks-filtered"]
        ended, _ = process.communicate(timeout=20)
        assert json.loads(ended) == {"200": 1}
        assert not Path(where["ca_file"]).exists()
