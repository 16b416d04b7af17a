"""What a scan reads of Microsoft Graph, another host, where it is asked to: when secrets end, and who may sign in."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError

from aks_audit import snapshot
from aks_audit.facts import Estate, ManagedCluster, NotCollected
from aks_audit.facts.applications import application_of
from aks_audit.sources.azure.collect import Collector, Scope
from aks_audit.sources.azure.pipeline import Getter, Pipeline
from aks_audit.sources.azure.plan import ACCESS, ACCESS_POLICIES, APP_CREDENTIALS, APPLICATIONS, CONDITIONAL_ACCESS
from aks_audit.sources.azure.sign_in import SignInError, cloud
from aks_audit.sources.deadline import Deadline
from cases import CLUSTER, Case, records_of
from live import run
from resource_manager import Fault, Paging, ResourceManager, answers
from resource_manager.server import HINT, SOMEBODY
from test_live_matrix import SignedIn

CLIENT = "11111111-AAAA-4000-8000-00000000000A"
OWN = f"/providers/{APPLICATIONS}/{CLIENT.lower()}"
SECRET = {"keyId": "k", "startDateTime": "2026-06-01T08:00:00Z", "endDateTime": "2099-06-01T08:00:00Z"}
APPLICATION = snapshot.Resource(
    id=OWN, type=APPLICATIONS, body={"id": OWN, "appId": CLIENT, "passwordCredentials": [SECRET]}
)
ASKED = ("--read", APP_CREDENTIALS)
PATH = f"/v1.0/applications(appId='{CLIENT.lower()}')"


def records(client: object = CLIENT) -> list[snapshot.Record]:
    case = Case(name="", expect="", set={"cluster properties.servicePrincipalProfile.clientId": client})
    return [*records_of(case), APPLICATION]


def kept(found: Sequence[snapshot.Record]) -> list[snapshot.Resource]:
    return [one for one in found if isinstance(one, snapshot.Resource) and one.type == APPLICATIONS]


def lost(found: Sequence[snapshot.Record]) -> list[snapshot.Gap]:
    return [one for one in found if isinstance(one, snapshot.Gap) and one.type == APPLICATIONS]


def of_rule(report: dict[str, object]) -> list[dict[str, object]]:
    findings = report["findings"]
    assert isinstance(findings, list)
    return [finding for finding in findings if finding["rule"] == "AKS-IAM-07"]


def test_the_ends_of_secrets_are_read_and_nothing_else_of_them(tmp_path: Path) -> None:
    with ResourceManager(records()) as server:
        done = run(server, tmp_path, "collect", "-o", "estate.jsonl", *ASKED)
        assert [request.query for request in server.requests if request.path == PATH] == [
            {"$select": "appId,passwordCredentials"}
        ]
    assert done.code == 0, done.err
    (application,) = kept([resource for resource, _ in snapshot.read([tmp_path / "estate.jsonl"]).resources])
    assert application.body == {"id": OWN, "appId": CLIENT, "passwordCredentials": [SECRET]}
    assert HINT not in (tmp_path / "estate.jsonl").read_text(encoding="utf-8")


def test_a_refusal_leaves_the_rule_unknown_and_names_the_permission(tmp_path: Path) -> None:
    with ResourceManager(records(), deny={"Application.Read.All": None}) as server:
        done = run(server, tmp_path, "scan", "--format", "json", *ASKED)
    assert not done.report["scan"]["complete"]
    (finding,) = of_rule(done.report)
    assert finding["outcome"] == "unknown"
    assert json.dumps(finding["missing"]).count("Application.Read.All") == 1


def test_a_snapshot_that_says_nothing_of_it_names_the_permission_too() -> None:
    found = [one for one in records() if not isinstance(one, snapshot.Gap) and one is not APPLICATION]
    with pytest.raises(NotCollected) as unread:
        application_of(Estate(snapshot.of(found)).resource(ManagedCluster, CLUSTER))
    assert [missing.action for missing in unread.value.missing] == ["Application.Read.All"]


def test_nothing_is_asked_where_nobody_asked(tmp_path: Path) -> None:
    with ResourceManager(records()) as server:
        done = run(server, tmp_path, "scan", "--format", "json")
        assert not [request for request in server.requests if request.path.startswith("/v1.0")]
    (finding,) = of_rule(done.report)
    assert "add --read app-credentials" in str(finding["message"])
    assert {missing["kind"] for missing in finding["missing"]} == {"not-asked"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("client", ["msi", "MSI", None, "../../../subscriptions", 7, f"{CLIENT}')/owners?x=('"])
def test_only_a_client_id_is_put_into_an_address(client: object) -> None:
    asked: list[str] = []

    async def directory(url: str) -> None:
        asked.append(url)

    with ResourceManager(records(client)) as server:
        found = collected(server, server, directory)  # type: ignore[arg-type]
    assert not asked
    assert not kept(found)


def collected(
    server: ResourceManager, graph: ResourceManager, directory: Getter | None = None, *, known: bool = True
) -> list[snapshot.Record]:
    """The records of a scan whose Microsoft Graph is another server."""

    async def scan() -> list[snapshot.Record]:
        async with (
            Pipeline(SignedIn(), server.url, f"{server.url}/.default", retries=0) as pipeline,
            Pipeline(SignedIn(), graph.url, f"{graph.url}/.default", retries=0) as other,
        ):
            scope = Scope(optional=(APP_CREDENTIALS,))
            get = directory or other.get
            collector = Collector(pipeline.get, scope, Deadline(), lambda _: None, directory=get if known else None)
            return await collector.collect()

    with pytest.MonkeyPatch.context() as patch:
        both = server.ca_file.with_name("both.pem")
        both.write_bytes(server.ca_file.read_bytes() + graph.ca_file.read_bytes())
        patch.setenv("SSL_CERT_FILE", str(both))
        return asyncio.run(scan())


def test_graph_is_another_host_that_is_asked_for_one_application_once() -> None:
    second = snapshot.Resource(
        id=f"{CLUSTER}-2",
        type="Microsoft.ContainerService/managedClusters",
        body={"id": f"{CLUSTER}-2", "properties": {"servicePrincipalProfile": {"clientId": CLIENT}}},
    )
    with ResourceManager([*records(), second]) as server, ResourceManager([APPLICATION]) as graph:
        assert len(kept(collected(server, graph))) == 1
        assert [(request.method, request.path) for request in graph.requests] == [("GET", PATH)]
        assert not [request for request in server.requests if request.path.startswith("/v1.0")]


def test_neither_host_is_reached_by_the_calls_to_the_other() -> None:
    async def astray(server: ResourceManager, graph: ResourceManager) -> None:
        async with Pipeline(SignedIn(), graph.url, f"{graph.url}/.default") as pipeline:
            with pytest.raises(AzureError, match="another host"):
                await pipeline.get(f"{server.url}/subscriptions?api-version=1")

    with ResourceManager(records()) as server, ResourceManager([APPLICATION]) as graph:
        asyncio.run(astray(server, graph))
        assert server.requests == graph.requests == ()


def test_a_cloud_without_a_graph_that_is_known_is_a_gap_that_says_how_to_name_it() -> None:
    with ResourceManager(records()) as server:
        found = collected(server, server, known=False)
    assert [(gap.id, gap.cause) for gap in lost(found)] == [(OWN, "not-read")]
    assert "AKS_AUDIT_GRAPH names it" in lost(found)[0].reason


@pytest.mark.parametrize(
    "body",
    [
        None,
        {"value": []},
        {"appId": CLIENT},
        {"appId": CLIENT, "passwordCredentials": None},
        {"appId": CLIENT, "passwordCredentials": [7]},
    ],
)
def test_what_is_no_application_is_a_gap(body: object) -> None:
    strange = Fault("/v1.0/", answers.document(body), times=None)
    with ResourceManager(records()) as server, ResourceManager([APPLICATION], faults=[strange]) as graph:
        found = collected(server, graph)
    assert not kept(found)
    assert [(gap.id, gap.cause) for gap in lost(found)] == [(OWN, "not-read")]


def test_an_application_that_the_tenant_does_not_have_is_a_gap() -> None:
    with ResourceManager(records()) as server, ResourceManager([]) as graph:
        (gap,) = lost(collected(server, graph))
    assert (gap.id, gap.status, gap.cause) == (OWN, 404, "not-read")


@pytest.mark.parametrize(
    ("name", "graph"),
    [
        ("AzureCloud", "https://graph.microsoft.com"),
        ("AzureUSGovernment", "https://graph.microsoft.us"),
        ("AzureChinaCloud", "https://microsoftgraph.chinacloudapi.cn"),
        ("https://management.local.azurestack.external", None),
    ],
)
def test_every_cloud_has_its_own_graph(name: str, graph: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AKS_AUDIT_GRAPH", raising=False)
    assert cloud(name).graph == graph
    monkeypatch.setenv("AKS_AUDIT_GRAPH", "https://dod-graph.microsoft.us/")
    assert cloud(name).graph == "https://dod-graph.microsoft.us"
    monkeypatch.setenv("AKS_AUDIT_GRAPH", "http://graph")
    with pytest.raises(SignInError, match="AKS_AUDIT_GRAPH"):
        cloud(name)


def policy(number: int) -> snapshot.Resource:
    body = {
        "id": f"/providers/{ACCESS_POLICIES}/{number}",
        "state": "enabled",
        "conditions": {"applications": {"includeApplications": ["All"]}, "users": {"includeUsers": ["All"]}},
        "grantControls": {"builtInControls": ["mfa"], "authenticationStrength": None},
    }
    return snapshot.Resource(id=body["id"], type=ACCESS_POLICIES, body=body)  # type: ignore[arg-type]  # of the body


def of_access(found: Sequence[snapshot.Record]) -> list[snapshot.Record]:
    return [one for one in found if not isinstance(one, snapshot.Header) and one.type == ACCESS_POLICIES]


POLICIES = [policy(number) for number in range(5)]
POLICIES_PATH = "/v1.0/identity/conditionalAccess/policies"
ASKED_FOR_POLICIES = ("--read", CONDITIONAL_ACCESS)


def test_policies_of_access_are_read_to_the_last_page_and_nobody_is_named(tmp_path: Path) -> None:
    with ResourceManager([*records("msi"), *POLICIES], paging=Paging(size=2)) as server:
        done = run(server, tmp_path, "collect", "-o", "estate.jsonl", *ASKED_FOR_POLICIES)
        asked = [request for request in server.requests if request.path == POLICIES_PATH]
    assert done.code == 0, done.err
    assert len(asked) == 3
    assert {request.query["$select"] for request in asked} == {"id,state,conditions,grantControls"}
    recorded = snapshot.read([tmp_path / "estate.jsonl"])
    kept_bodies = [one.body for one, _ in recorded.resources if one.type == ACCESS_POLICIES]
    assert kept_bodies == [one.body for one in POLICIES]
    assert [one.scope for one in recorded.listings if one.type == ACCESS_POLICIES] == [ACCESS]
    text = (tmp_path / "estate.jsonl").read_text(encoding="utf-8")
    assert SOMEBODY not in text
    assert "everybody" not in text


def test_policies_that_nobody_may_read_are_a_gap_that_names_the_permission(tmp_path: Path) -> None:
    with ResourceManager(records("msi"), deny={"Policy.Read.All": None}) as server:
        done = run(server, tmp_path, "scan", "--format", "json", *ASKED_FOR_POLICIES)
    assert not done.report["scan"]["complete"]
    (finding,) = [one for one in done.report["findings"] if one["rule"] == "AKS-IAM-16"]
    assert finding["outcome"] == "unknown"
    assert json.dumps(finding["missing"]).count("Policy.Read.All") == 1


def test_policies_are_not_asked_for_where_nobody_asked(tmp_path: Path) -> None:
    with ResourceManager([*records("msi"), *POLICIES]) as server:
        done = run(server, tmp_path, "scan", "--format", "json", *ASKED)
        assert not [request for request in server.requests if request.path == POLICIES_PATH]
    (finding,) = [one for one in done.report["findings"] if one["rule"] == "AKS-IAM-16"]
    assert "add --read conditional-access" in str(finding["message"])


@pytest.mark.parametrize(
    "body",
    [
        None,
        {"value": None},
        {"value": ["nothing"]},
        {"value": [{"id": "1", "conditions": None}]},
        {"value": [{"conditions": {}}]},
        {"value": [{"id": "1", "conditions": {}, "grantControls": "mfa"}]},
    ],
)
def test_what_is_no_list_of_policies_is_a_gap(body: object, tmp_path: Path) -> None:
    strange = Fault("/v1.0/", answers.document(body), times=None)
    with ResourceManager(records("msi"), faults=[strange]) as server:
        done = run(server, tmp_path, "collect", "-o", "estate.jsonl", *ASKED_FOR_POLICIES)
    assert done.code == 3, done.err
    recorded = snapshot.read([tmp_path / "estate.jsonl"])
    found = [gap for gap, _ in recorded.gaps if gap.type == ACCESS_POLICIES]
    assert [(gap.id, gap.cause) for gap in found] == [(ACCESS, "not-read")]
    assert not of_access([one for one, _ in recorded.resources])
    assert not of_access(recorded.listings)


def test_odd_conditions_of_a_policy_lose_no_policy(tmp_path: Path) -> None:
    odd = {"id": "1", "state": 7, "conditions": {"applications": [], "users": {"includeUsers": "All"}}}
    strange = Fault("/v1.0/", answers.document({"value": [odd]}), times=None)
    with ResourceManager(records("msi"), faults=[strange]) as server:
        done = run(server, tmp_path, "scan", "--format", "json", *ASKED_FOR_POLICIES)
    (finding,) = [one for one in done.report["findings"] if one["rule"] == "AKS-IAM-16"]
    assert finding["outcome"] == "unknown"
