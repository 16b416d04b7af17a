"""`aks-audit path` from a workload: which of its pods stands for it, and what is said of the others."""

from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate
from aks_audit.network.flows import Passage
from aks_audit.network.hops import HopKind, Walk
from aks_audit.path import PathError, Question, as_text, ask, find_cluster
from cases import BASE, INSIDE, Case, records_of

FIRST, SECOND = "web-6d5f7c9b8d-aaaaa", "web-6d5f7c9b8d-bbbbb"


def walked(source: str, target: str = "internet", **changes: Any) -> tuple[Question, Walk]:  # noqa: ANN401 - a case's fields
    estate = Estate(snapshot.of(records_of(Case(name="", expect="", **changes), BASE, INSIDE)))
    question = Question(find_cluster(estate, "aks-prod"), source, target, "tcp")
    return question, ask(estate, question)


def test_a_workload_is_walked_from_the_first_of_its_pods_by_name() -> None:
    question, of_workload = walked("shop/web")
    _, of_pod = walked(f"shop/{FIRST}")
    first, *others = of_workload.hops
    assert others == list(of_pod.hops)
    assert (first.kind, first.passage) == (HopKind.SOURCE, None)
    assert first.says == (f"Deployment shop/web has 2 pods that run; this walk is from the first by name, {FIRST}")
    assert first.where.endswith("/namespaces/shop/deployments/web")
    text = as_text(question, of_workload, colour=False, width=100)
    assert text.startswith("aks-prod: workload shop/web → internet")


def test_a_workload_with_one_pod_says_no_more() -> None:
    _, walk = walked("shop/web", absent=["pod-b"])
    assert walk.hops[0].says == f"Deployment shop/web has one pod that runs, {FIRST}"


def test_a_pod_that_does_not_run_stands_for_nobody() -> None:
    _, walk = walked("shop/web", drop=["pod status.podIP"])
    assert walk.hops[0].says == f"Deployment shop/web has one pod that runs, {SECOND}"
    _, walk = walked("shop/web", set={"pod spec.nodeName": 7})
    assert walk.hops[0].says == f"Deployment shop/web has one pod that runs, {SECOND}"


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ("aks-system-12345678-vmss000000", f"others stand in pool system ({SECOND})"),
        ("somewhere", f"others stand in a pool that is not known ({SECOND})"),
    ],
)
def test_pods_in_other_pools_may_go_another_way(node: str, says: str) -> None:
    _, walk = walked("shop/web", set={"pod-b spec.nodeName": node})
    assert says in walk.hops[0].says
    assert walk.hops[0].says.endswith("from where the way may be another: ask from one of them, too")


def test_a_workload_without_pods_that_run_cannot_be_asked_about() -> None:
    with pytest.raises(PathError, match="Deployment shop/web has no pod that runs in aks-prod"):
        walked("shop/web", absent=["pod", "pod-b"])


def test_a_damaged_pod_alone_leaves_the_start_unknown() -> None:
    _, walk = walked("shop/web", absent=["pod-b"], set={"pod spec.nodeName": 7})
    assert (walk.end, walk.decided_by.kind) == (Passage.UNKNOWN, HopKind.SOURCE)


def test_pods_that_were_not_read_leave_the_start_unknown() -> None:
    _, walk = walked("shop/web", refuse=["pod"])
    assert walk.hops[0].says == f"Deployment shop/web has one pod that runs and could be read, {SECOND}"
    _, walk = walked("shop/web", refuse=["pod", "pod-b"])
    assert (walk.end, walk.decided_by.kind) == (Passage.UNKNOWN, HopKind.SOURCE)
    assert walk.decided_by.missing


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("shop/wep", r"no pod or workload 'shop/wep' in aks-prod; near to it: shop/web"),
        ("shop/zzzzzz", r"there are: .*shop/web, shop/web-6d5f7c9b8d-aaaaa"),
        ("nowhere/x", r"there are: .*kube-system/…"),
    ],
)
def test_what_is_neither_a_pod_nor_a_workload_says_what_there_is(source: str, says: str) -> None:
    with pytest.raises(PathError, match=says):
        walked(source)


def test_below_what_holds_a_pod_back_nothing_is_unknown_about_what_it_never_reaches() -> None:
    for target in ("169.254.169.254:80", "168.63.129.16:32526"):
        question, walk = walked(f"shop/{FIRST}", target)
        assert walk.end is Passage.BLOCKED
        assert [hop.kind for hop in walk.hops] == [HopKind.SOURCE, HopKind.NETWORK_POLICY]
        assert "?" not in as_text(question, walk, colour=False, width=100)


def test_what_would_come_after_a_block_is_told_apart_from_what_comes() -> None:
    question, walk = walked(f"shop/{FIRST}", "internet")
    lines = as_text(question, walk, colour=False, width=100).splitlines()
    after = lines.index("│ Were that let through, it would go on:")
    assert [line[:16].rstrip() for line in lines[:after] if line[:1] in {"●", "✓", "✗"}][-1] == "✗ network policy"
    assert sum("Were that let through" in line for line in lines) == 1
