"""Resource Graph as a source: the answers of Azure Resource Manager in far fewer calls, and never a bolder one."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from azure.core.exceptions import ServiceResponseError

from aks_audit import snapshot
from aks_audit.snapshot import GRAPH, Gap, Header, Listing, Record, Resource
from aks_audit.sources.azure import pipeline
from aks_audit.sources.azure.graph import Graph as Client
from aks_audit.sources.azure.graph import merged
from aks_audit.sources.azure.plan import GRAPH_ROWS, GRAPH_SUBSCRIPTIONS, LISTED
from aks_audit.sources.azure.reader import Reader
from aks_audit_reports.summary import time
from cases import CLUSTER, ROOT, Case, records_of
from live import Done, run
from resource_manager import Answer, Bucket, Fault, Graph, ResourceManager, Truncated, load

ESTATES = sorted((ROOT / "fixtures" / "estates").glob("*.jsonl"))
SAFEGUARDS = ("--read", "deployment-safeguards")
BASE = records_of(Case(name="", expect=""))
QUERIES = "/providers/Microsoft.ResourceGraph/resources"
VNET = "Microsoft.Network/virtualNetworks"
ROUTES = "Microsoft.Network/routeTables"
MINE = f"/subscriptions/{CLUSTER.split('/')[2]}"


def scan(server: ResourceManager, folder: Path, *more: str) -> Done:
    return run(server, folder, "scan", "--format", "json", *SAFEGUARDS, *more)


def outcomes(done: Done) -> dict[tuple[str, str], str]:
    return {(found["rule"], found["resource"].lower()): found["outcome"] for found in done.report["findings"]}


def posts(server: ResourceManager) -> list[dict[str, Any]]:
    """The queries that were sent."""
    assert {request.path for request in server.requests if request.method != "GET"} <= {QUERIES}
    return [msgspec.json.decode(request.body) for request in server.requests if request.method == "POST"]


def lists(server: ResourceManager) -> list[str]:
    """The lists that were read one by one, each as scope and type."""
    paths = [request.path for request in server.requests if request.method == "GET"]
    return [path for path in paths if any(path.endswith(f"/providers/{kind}") for kind in LISTED)]


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A scan of the base by Azure Resource Manager, which scans by Resource Graph are held against."""
    return by_arm(tmp_path_factory.mktemp("arm"), BASE)


def by_arm(folder: Path, records: Sequence[Record], **differing: Any) -> Done:  # noqa: ANN401 - a server's parameters
    with ResourceManager(records, **differing) as server:
        return scan(server, folder)


def by_graph(
    folder: Path,
    records: Sequence[Record] = BASE,
    **differing: Any,  # noqa: ANN401 - a server's parameters
) -> tuple[Done, ResourceManager]:
    with ResourceManager(records, **differing) as server:
        return scan(server, folder, "--source", "graph"), server


def same(graph: Done, arm: Done) -> bool:
    return (graph.code, outcomes(graph)) == (arm.code, outcomes(arm))


@pytest.mark.parametrize("path", ESTATES, ids=lambda path: path.stem)
def test_graph_gives_the_outcomes_of_azure_resource_manager(path: Path, tmp_path: Path) -> None:
    records = load(path)
    graph, server = by_graph(tmp_path, records)
    assert same(graph, by_arm(tmp_path, records))
    assert lists(server) == refused_lists(records)


def test_graph_may_spell_ids_otherwise(arm: Done, tmp_path: Path) -> None:
    graph, _ = by_graph(tmp_path, graph=Graph(lower=True))
    assert same(graph, arm)


def refused_lists(records: Sequence[Record]) -> list[str]:
    """The lists that a snapshot says were refused."""
    actions = {f"{kind}/read".lower(): kind for kind in LISTED}
    denied = [(gap, actions.get((gap.action or "").lower())) for gap in records if isinstance(gap, Gap)]
    return [
        f"{gap.scope}/providers/{kind}" for gap, kind in denied if kind and (gap.scope or "").count("/") == len("//")
    ]


def test_calls_are_few_and_only_queries_are_posted(arm: Done, tmp_path: Path) -> None:
    graph, server = by_graph(tmp_path)
    assert same(graph, arm)
    assert graph.code == 0, graph.err
    assert lists(server) == []
    queries = posts(server)
    assert Counter(query["query"].partition(" ")[0] for query in queries) == {
        "resourcecontainers": 1,
        "resources": 1,
        "authorizationresources": 1,
    }
    asked = [request.path for request in server.requests if request.path.endswith("/permissions")]
    subscriptions = {one.scope for one in BASE if isinstance(one, Listing) and one.type == VNET}
    assert sorted(asked) == sorted(f"{one}/providers/Microsoft.Authorization/permissions" for one in subscriptions)


def test_nothing_is_posted_without_being_asked_for(tmp_path: Path) -> None:
    with ResourceManager(BASE) as server:
        scan(server, tmp_path)
        scan(server, tmp_path, "--source", "arm")
        assert posts(server) == []


def test_a_thousand_rows_cost_one_query_and_subscriptions_go_in_batches(tmp_path: Path) -> None:
    scopes = [f"/subscriptions/5ca1ab1e-0000-4000-8000-{number:012}" for number in range(GRAPH_SUBSCRIPTIONS + 5)]
    ids = [f"{scopes[0]}/resourceGroups/rg/providers/{VNET}/vnet-{number:04}" for number in range(2 * GRAPH_ROWS + 1)]
    vnets = [Resource(id=own, type=VNET, body={"id": own, "properties": {"subnets": []}}) for own in ids]
    header = Header(schema=snapshot.SCHEMA, tool="", scope=tuple(scopes))
    with ResourceManager([header, *vnets]) as server:
        done = run(server, tmp_path, "collect", "-o", "fleet.jsonl", "--source", "graph")
        queries = posts(server)
        assert lists(server) == []
    assert done.code == 0, done.err
    assert all(len(query["subscriptions"]) <= GRAPH_SUBSCRIPTIONS < 300 for query in queries)
    assert {query["options"]["$top"] for query in queries} == {GRAPH_ROWS}
    by_table = Counter(query["query"].partition(" ")[0] for query in queries)
    assert by_table == {"resourcecontainers": 2, "authorizationresources": 2, "resources": 2 + 2}
    kept = snapshot.read([tmp_path / "fleet.jsonl"])
    assert {resource.id for resource, _ in kept.resources} == set(ids)
    assert len(kept.listings) == len(scopes) * len(LISTED)


def test_resources_say_that_graph_gave_them_and_when(tmp_path: Path) -> None:
    with ResourceManager(BASE) as server:
        done = run(server, tmp_path, "collect", "-o", "kept.jsonl", "--source", "graph")
    assert done.code == 0, done.err
    kept = snapshot.read([tmp_path / "kept.jsonl"])
    sources = {resource.type: resource.source for resource, _ in kept.resources}
    listed = {kind.lower() for kind in LISTED}
    assert {kind for kind, source in sources.items() if source == GRAPH} == {k for k in sources if k.lower() in listed}
    assert all(resource.read for resource, _ in kept.resources)


@pytest.mark.parametrize(
    "where", [None, MINE, CLUSTER.partition("/providers/")[0], f"{MINE}/resourceGroups/rg-network"]
)
@pytest.mark.parametrize("kind", ["Microsoft.ContainerService/managedClusters", VNET, ROUTES])
def test_what_graph_leaves_out_because_it_may_not_be_read_is_not_taken_for_absent(
    kind: str, where: str | None, tmp_path: Path
) -> None:
    denied = {f"{kind}/read": where}
    graph, server = by_graph(tmp_path, deny=denied)
    assert not bolder(graph, by_arm(tmp_path, BASE, deny=denied))
    assert all(path.endswith(kind) for path in lists(server))
    assert len(lists(server)) == (1 if where else 2)


def bolder(graph: Done, arm: Done) -> dict[tuple[str, str], str]:
    """The passes of a scan by Graph that the one by Azure Resource Manager did not give."""
    sure = outcomes(arm)
    return {key: one for key, one in outcomes(graph).items() if one == "pass" and sure.get(key) != "pass"}


def test_where_only_a_group_may_be_read_graph_gives_it_and_the_list_stays_refused(tmp_path: Path) -> None:
    hidden = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-hidden"
    own = f"{hidden}/providers/{ROUTES}/rt-hidden"
    more = Resource(id=own, type=ROUTES, body={"id": own, "type": ROUTES, "properties": {"routes": []}})
    refused = Fault(f"{MINE}/providers/{ROUTES}", Answer(403, b"{}"), times=None)
    with ResourceManager([*BASE, more], deny={f"{ROUTES}/read": hidden}, faults=[refused]) as server:
        run(server, tmp_path, "collect", "-o", "kept.jsonl", "--source", "graph")
    kept = snapshot.read([tmp_path / "kept.jsonl"])
    assert "rt-aks-prod" in {resource.id.rpartition("/")[2] for resource, _ in kept.resources}
    assert own not in {resource.id for resource, _ in kept.resources}
    assert [(gap.id, gap.status) for gap, _ in kept.gaps if gap.type == ROUTES] == [(MINE, 403)]
    assert not any(one.type == ROUTES and one.scope == MINE for one in kept.listings)


@pytest.mark.parametrize(
    "effect",
    [
        Answer(403, b"{}"),
        Answer(200, b'{"value": [{"actions": "*"}]}'),
        Answer(200, b'{"value": []}'),
    ],
    ids=["403", "odd", "nothing"],
)
def test_where_nobody_says_what_may_be_read_lists_are_read_one_by_one(effect: Any, arm: Done, tmp_path: Path) -> None:  # noqa: ANN401
    struck = Fault(f"{MINE}/providers/Microsoft.Authorization/permissions", effect, times=None)
    graph, server = by_graph(tmp_path, faults=[struck])
    assert same(graph, arm)
    assert set(lists(server)) == {f"{MINE}/providers/{kind}" for kind in LISTED}


def test_a_subscription_that_graph_does_not_know_is_read_list_by_list(arm: Done, tmp_path: Path) -> None:
    graph, server = by_graph(tmp_path, graph=Graph(lacks=(MINE,)))
    assert same(graph, arm)
    assert set(lists(server)) == {f"{MINE}/providers/{kind}" for kind in LISTED}


def changed(**values: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda answer: {**answer, **values}


def without_last_row(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "data": answer["data"][:-1]}


def first_row_twice(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "data": [answer["data"][0], *answer["data"][:-1]]}


def first_row(**values: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda answer: {**answer, "data": [{**answer["data"][0], **values}, *answer["data"][1:]]}


@pytest.mark.parametrize(
    "distort",
    [
        changed(resultTruncated="true"),
        changed(resultTruncated=None),
        changed(totalRecords=None),
        changed(totalRecords=0),
        changed(totalRecords=10_000),
        changed(data=None),
        changed(data=[None]),
        changed(data={"columns": [], "rows": []}),
        changed(**{"$skipToken": 7}),
        changed(**{"$skipToken": "MA=="}),
        without_last_row,
        first_row_twice,
        first_row(id=None),
        first_row(id="/subscriptions/foreign/resourceGroups/rg/providers/Microsoft.Network/routeTables/rt"),
        first_row(type="microsoft.web/sites"),
        first_row(type=None),
    ],
)
def test_an_answer_that_is_not_whole_is_not_used(distort: Any, arm: Done, tmp_path: Path) -> None:  # noqa: ANN401
    graph, server = by_graph(tmp_path, graph=Graph(distort=distort))
    assert same(graph, arm)
    assert len(lists(server)) == 2 * (len(LISTED) - 1), "all but the role assignments, which are another table's"


@pytest.mark.parametrize("values", [{"properties": None}, {"properties": "gone"}, {"apiVersion": "2020-01-01"}])
def test_a_row_that_lacks_something_leaves_its_list_to_azure_resource_manager(
    values: dict[str, object], arm: Done, tmp_path: Path
) -> None:
    graph, server = by_graph(tmp_path, graph=Graph(distort=first_row(**values)))
    assert same(graph, arm)
    assert len(lists(server)) == 1


@pytest.mark.parametrize("version", ["2026-07-01", None])
def test_rows_of_an_older_api_than_our_facts_are_not_used(version: str | None, arm: Done, tmp_path: Path) -> None:
    graph, server = by_graph(tmp_path, graph=Graph(version=version))
    assert same(graph, arm)
    clusters = [path for path in lists(server) if path.endswith("managedClusters")]
    assert len(clusters) == 1
    assert (len(lists(server)) > 1) is (version is None)


@pytest.mark.parametrize(
    "effect",
    [Answer(400, b'{"error": {"code": "BadRequest", "message": "no such column"}}'), Truncated()],
    ids=["400", "truncated"],
)
def test_a_graph_that_fails_for_ever_costs_nothing_but_calls(effect: Any, arm: Done, tmp_path: Path) -> None:  # noqa: ANN401
    graph, server = by_graph(tmp_path, faults=[Fault(QUERIES, effect, times=None, method="POST")])
    assert same(graph, arm)
    assert len(lists(server)) == 2 * len(LISTED)


@pytest.mark.parametrize(
    "answer",
    [
        *(pipeline.Answer(status, b"{}") for status in (401, 403, 404, 429, 500, 503)),
        pipeline.Answer(200, b"[]"),
        pipeline.Answer(200, b""),
        pipeline.Answer(200, b"\xff"),
        pipeline.Answer(200, b"[" * 10_000),
        None,
    ],
    ids=lambda answer: f"{answer.status} {answer.body[:4]!r}" if answer else "no answer",
)
def test_no_listing_comes_of_an_answer_that_cannot_be_used(answer: pipeline.Answer | None) -> None:
    async def get(_url: str) -> pipeline.Answer:
        return pipeline.Answer(200, b'{"value": [{"actions": ["*"]}]}')

    async def post(_url: str, _body: object) -> pipeline.Answer:
        if answer is None:
            raise ServiceResponseError("the connection was reset")
        return answer

    found = asyncio.run(Client(post, Reader(get)).lists([MINE]))
    assert len(found) == 3
    assert all(isinstance(one, Gap) for one in found)


@pytest.mark.parametrize(("largest", "sizes", "by_list"), [(120_000, {1000, 250, 62}, False), (9_000, {15}, True)])
def test_answers_that_would_be_too_large_are_asked_for_in_smaller_pages(
    largest: int, sizes: set[int], tmp_path: Path, *, by_list: bool
) -> None:
    body = {"properties": {"subnets": [], "description": "x" * 1_000}}
    ids = [f"{MINE}/resourceGroups/rg/providers/{VNET}/vnet-{number:03}" for number in range(300)]
    vnets = [Resource(id=own, type=VNET, body={"id": own, **body}) for own in ids]
    with ResourceManager(vnets, graph=Graph(largest=largest)) as server:
        done = run(server, tmp_path, "collect", "-o", "fleet.jsonl", "--source", "graph")
        assert sizes <= {query["options"]["$top"] for query in posts(server)}
        assert (f"{MINE}/providers/{VNET}" in lists(server)) is by_list
    assert done.code == 0, done.err
    kept = snapshot.read([tmp_path / "fleet.jsonl"])
    assert {resource.id for resource, _ in kept.resources} == set(ids)
    assert len(kept.listings) == len(LISTED)


def test_the_quota_of_graph_is_kept(tmp_path: Path) -> None:
    with ResourceManager(BASE, graph=Graph(rows=2, quota=Bucket(15, 3))) as server:
        done = scan(server, tmp_path, "--source", "graph", "--timeout", "60")
        statuses = Counter(request.status for request in server.requests)
    assert done.code == 0, done.err
    assert 429 not in statuses


def test_when_the_time_is_up_graph_leaves_all_unknown(tmp_path: Path) -> None:
    with ResourceManager(BASE, delay=0.5) as server:
        done = scan(server, tmp_path, "--source", "graph", "--timeout", "0.8")
    assert done.code == 3, done.err
    assert "pass" not in outcomes(done).values()
    assert "time of 0.8 s was up" in done.out


def test_what_graph_has_not_heard_of_yet_is_asked_for_by_its_id(arm: Done, tmp_path: Path) -> None:
    new = next(one.id for one in BASE if isinstance(one, Resource) and one.id.endswith("/rt-aks-prod"))
    graph, server = by_graph(tmp_path, graph=Graph(lacks=(new,)))
    assert same(graph, arm)
    assert new.lower() in {request.path.lower() for request in server.requests}


def test_what_neither_has_is_known_to_be_gone(tmp_path: Path) -> None:
    gone = next(one for one in BASE if isinstance(one, Resource) and one.id.endswith("/rt-aks-prod"))
    with ResourceManager([one for one in BASE if one is not gone]) as server:
        arm = run(server, tmp_path, "collect", "-o", "arm.jsonl")
        graph = run(server, tmp_path, "collect", "-o", "graph.jsonl", "--source", "graph")
        assert gone.id.lower() in {request.path.lower() for request in server.requests}
    assert (arm.code, graph.code) == (0, 0), graph.err
    by_arm, by_graph = (snapshot.read([tmp_path / name]) for name in ("arm.jsonl", "graph.jsonl"))
    assert [gap for gap, _ in by_graph.gaps] == [gap for gap, _ in by_arm.gaps]
    assert by_graph.listings == by_arm.listings


def test_what_only_graph_lists_counts_where_azure_resource_manager_lists_nothing_whole() -> None:
    rows = [Resource(id=f"{MINE}/providers/{ROUTES}/{name}", type=ROUTES, body={}, source=GRAPH) for name in "ab"]
    read = Resource(id=rows[0].id.upper(), type=ROUTES, body={})
    elsewhere = Listing(type=VNET, scope=MINE)
    whole, refused = Listing(type=ROUTES, scope=MINE), Gap(id=MINE, type=ROUTES, reason="no")
    graphs_own = Gap(id=MINE, type=ROUTES, reason="it lags")
    assert merged([elsewhere, graphs_own, *rows], [[read, whole]]) == [elsewhere, read, whole]
    assert merged([elsewhere, graphs_own, *rows], [[read, refused]]) == [elsewhere, rows[1], read, refused]


def test_a_role_that_was_assigned_above_the_subscriptions_is_read_from_both_and_is_no_gap(tmp_path: Path) -> None:
    kind = "Microsoft.Authorization/roleAssignments"
    own = f"/providers/Microsoft.Management/managementGroups/company/providers/{kind}/5ca1ab1e"
    above = {"id": own, "type": kind, "properties": {"scope": own.partition("/providers/Microsoft.Auth")[0]}}
    answer = Answer(200, msgspec.json.encode({"value": [above]}))
    listed = Fault(f"{MINE}/providers/{kind}", answer, times=None)
    with ResourceManager([*BASE, Resource(id=own, type=kind, body=above)], faults=[listed]) as server:
        arm = run(server, tmp_path, "collect", "-o", "arm.jsonl")
        graph = run(server, tmp_path, "collect", "-o", "graph.jsonl", "--source", "graph")
    assert (arm.code, graph.code) == (0, 0), arm.err + graph.err
    for name in ("arm.jsonl", "graph.jsonl"):
        assert own in {resource.id for resource, _ in snapshot.read([tmp_path / name]).resources}


def test_evidence_says_that_it_is_of_graph_and_how_old(tmp_path: Path) -> None:
    cluster = next(one for one in BASE if isinstance(one, Resource) and one.id == CLUSTER)
    older = msgspec.json.decode(msgspec.json.encode(cluster.body))
    older["properties"]["disableLocalAccounts"] = False
    with ResourceManager(BASE, graph=Graph(older={CLUSTER: older})) as server:
        done = scan(server, tmp_path, "--source", "graph", "--keep-snapshot", "kept.jsonl")
        replayed = run(server, tmp_path, "scan", "--snapshot", "kept.jsonl", "--format", "json")
        said = run(server, tmp_path, "scan", "--snapshot", "kept.jsonl", "--format", "console,html", "--output", "out")
    assert done.report["findings"] == replayed.report["findings"]
    found = {one["rule"]: one for one in done.report["findings"]}
    assert found["AKS-IAM-04"]["outcome"] == "fail"
    (read,) = {one.read for one, _ in snapshot.read([tmp_path / "kept.jsonl"]).resources if one.id == CLUSTER}
    assert [(item["source"], item["read"]) for item in found["AKS-IAM-04"]["evidence"]] == [(GRAPH, read)]
    label = f"from Resource Graph, read at {time(read)}"
    assert f"{label}; it may lag" in said.out
    page = (tmp_path / "out" / "aks-audit.html").read_text(encoding="utf-8")
    assert f'<bdi data-is="origin">{label}</bdi>' in page


def test_evidence_of_the_resources_themselves_says_nothing_more(arm: Done) -> None:
    evidence = [item for found in arm.report["findings"] for item in found["evidence"]]
    assert evidence
    assert {tuple(item) for item in evidence} == {("resource", "pointer", "value")}


def test_a_dry_run_tells_of_queries_and_makes_none(tmp_path: Path) -> None:
    with ResourceManager(BASE) as server:
        done = run(server, tmp_path, "scan", "--source", "graph", "--dry-run")
        assert {request.path for request in server.requests} == {"/subscriptions"}
    assert done.code == 0, done.err
    assert "3 queries: POST /providers/Microsoft.ResourceGraph/resources" in done.out
    assert f"1 call: GET {MINE}/providers/Microsoft.Authorization/permissions" in done.out
    assert all(kind in done.out for kind in LISTED)


def test_a_recorded_estate_has_no_source_to_choose(tmp_path: Path) -> None:
    with ResourceManager([]) as server:
        done = run(server, tmp_path, "scan", "--demo", "--source", "graph")
    assert done.code == 2
    assert "--source is of live scans" in done.err
