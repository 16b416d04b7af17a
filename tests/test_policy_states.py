"""What Azure Policy found of clusters: one query of Resource Graph where it is asked for, and never a bolder answer."""

from pathlib import Path

import msgspec
import pytest

from aks_audit import snapshot
from aks_audit.snapshot import GRAPH, Gap, Record, Resource
from aks_audit.sources.azure.plan import POLICY_STATES, STATES
from cases import CLUSTER, Case, records_of
from live import Done, run
from resource_manager import Fault, Graph, ResourceManager, answers

ASKED = ("--read", POLICY_STATES)
QUERIES = "/providers/Microsoft.ResourceGraph/resources"
BASE = records_of(Case(name="", expect=""))
STORE = f"{CLUSTER.partition('/providers/')[0]}/providers/Microsoft.Storage/storageAccounts/st"


def state(found: str, number: int = 0, about: str = CLUSTER) -> Resource:
    kind = about.rpartition("/providers/")[2].rpartition("/")[0].lower()
    properties = {"complianceState": found, "policyAssignmentName": "baseline", "resourceType": kind}
    own = f"{about}/providers/{STATES}/{number}"
    return Resource(id=own, type=STATES, body={"id": own, "type": STATES.lower(), "properties": properties})


def scan(server: ResourceManager, folder: Path, *more: str) -> Done:
    return run(server, folder, "scan", "--format", "json", "--keep-snapshot", "kept.jsonl", *more)


def finding(done: Done) -> dict[str, object]:
    (found,) = [one for one in done.report["findings"] if one["rule"] == "AKS-CP-08"]
    return found  # type: ignore[no-any-return]  # of a report


def kept(folder: Path) -> list[Record]:
    recorded = snapshot.read([folder / "kept.jsonl"])
    resources = [one for one, _ in recorded.resources if one.type == STATES]
    return [*resources, *(gap for gap, _ in recorded.gaps if gap.type == STATES)]


def test_one_query_tells_of_all_clusters_and_of_nothing_else(tmp_path: Path) -> None:
    more = [state("Compliant", 1), state("NonCompliant", 2), state("NonCompliant", 3, about=STORE)]
    more += [state("NonCompliant", 4, about=f"{CLUSTER}-gone")]
    with ResourceManager([*BASE, *more]) as server:
        done = scan(server, tmp_path, *ASKED)
        sent = [request for request in server.requests if request.method != "GET"]
    assert [(request.method, request.path) for request in sent] == [("POST", QUERIES)]
    query = msgspec.json.decode(sent[0].body)
    assert len(query["subscriptions"]) == 2
    assert query["query"].startswith("policyresources | where type in~ ('microsoft.policyinsights/policystates')")
    resources = [one for one in kept(tmp_path) if isinstance(one, Resource)]
    assert [one.id.rpartition("/")[2] for one in resources] == ["1", "2"]
    assert {one.source for one in resources} == {GRAPH}
    assert finding(done)["outcome"] == "fail"
    assert done.report["scan"]["complete"]


def test_more_states_than_a_page_holds_are_all_read(tmp_path: Path) -> None:
    more = [state("Compliant", number) for number in range(7)]
    with ResourceManager([*BASE, *more], graph=Graph(rows=3)) as server:
        done = scan(server, tmp_path, *ASKED)
    assert len(kept(tmp_path)) == 7
    assert finding(done)["outcome"] == "pass"


def test_nothing_is_posted_where_nobody_asked(tmp_path: Path) -> None:
    with ResourceManager([*BASE, state("NonCompliant")]) as server:
        done = scan(server, tmp_path)
        assert {request.method for request in server.requests} == {"GET"}
    assert finding(done)["outcome"] == "unknown"
    assert "add --read policy-states, 1 call for 250 subscriptions" in str(finding(done)["message"])


def test_states_that_graph_leaves_out_are_no_pass(tmp_path: Path) -> None:
    with ResourceManager([*BASE, state("NonCompliant")], graph=Graph(lacks=(CLUSTER,))) as server:
        done = scan(server, tmp_path, *ASKED)
    (gap,) = kept(tmp_path)
    assert isinstance(gap, Gap)
    assert (gap.id, gap.cause) == (CLUSTER, "not-sent")
    assert finding(done)["outcome"] == "unknown"
    assert done.report["scan"]["complete"]


def test_states_that_may_not_be_read_are_refused_and_name_the_permission(tmp_path: Path) -> None:
    action = f"{STATES}/read"
    with ResourceManager([*BASE, state("NonCompliant")], deny={action: None}) as server:
        done = scan(server, tmp_path, *ASKED)
    (gap,) = kept(tmp_path)
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.action, gap.scope) == ("refused", action, CLUSTER.partition("/resourceGroups")[0])
    assert finding(done)["outcome"] == "unknown"
    assert not done.report["scan"]["complete"]


@pytest.mark.parametrize(
    "answer",
    [
        answers.error(403, "AuthorizationFailed", "You may not."),
        answers.document(None),
        answers.document({"data": [{"id": "/subscriptions/x", "type": STATES}]}),
        answers.document({"data": [], "totalRecords": 1, "resultTruncated": "false"}),
        answers.document({"data": [], "totalRecords": 0, "resultTruncated": "true"}),
    ],
)
def test_an_answer_that_is_none_is_a_gap_in_each_subscription(answer: answers.Answer, tmp_path: Path) -> None:
    strange = Fault(QUERIES, answer, times=None, method="POST")
    with ResourceManager([*BASE, state("Compliant")], faults=[strange]) as server:
        done = scan(server, tmp_path, *ASKED)
    lost = kept(tmp_path)
    assert len(lost) == 2
    assert all(isinstance(one, Gap) and one.cause == "not-read" for one in lost)
    assert finding(done)["outcome"] == "unknown"
    assert not done.report["scan"]["complete"]


def test_a_dry_run_says_that_the_query_is_a_post(tmp_path: Path) -> None:
    with ResourceManager(BASE) as server:
        done = run(server, tmp_path, "collect", "-o", "estate.jsonl", "--dry-run", *ASKED)
        assert {request.method for request in server.requests} == {"GET"}
    assert "1 call for 250 subscriptions: providers/Microsoft.ResourceGraph/resources, by POST (asked for)" in done.out
