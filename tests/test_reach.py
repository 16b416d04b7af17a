"""`aks-audit reach`: who reaches whom in the cluster of the base estate, as a person works it out from its policies."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.cli import main
from aks_audit.facts import Estate
from aks_audit.path import find_cluster
from aks_audit.reach import Answer, Question, ReachError, ask
from aks_audit.reach_reports import as_json, as_text
from cases import BASE, INSIDE, Case, records_of

RECORDED = ("--snapshot", str(BASE), str(INSIDE))
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
UNCHANGED = Case(name="", expect="")
SLICE = json.dumps(
    {
        "path": "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes",
        "endpoints": [{"addresses": ["10.40.5.4"]}],
    }
)


def asked(source: str | None = None, destination: str | None = None, case: Case = UNCHANGED) -> tuple[Question, Answer]:
    estate = Estate(snapshot.of(records_of(case, BASE, INSIDE)))
    question = Question(find_cluster(estate, "aks-prod"), source, destination)
    return question, ask(estate, question)


def text(source: str | None = None, destination: str | None = None, case: Case = UNCHANGED, width: int = 100) -> str:
    return as_text(*asked(source, destination, case), colour=False, width=width)


def flows(source: str | None, destination: str | None, case: Case = UNCHANGED) -> set[tuple[str, str, str, str]]:
    """Who reaches whom on what, but for what is denied; nodes only as others see them."""
    found: dict[str, Any] = json.loads(as_json(*asked(source, destination, case)))
    return {
        (source["name"], destination["name"], part["verdict"], part["traffic"])
        for flow in found["flows"]
        if not flow["source"]["onOwnNode"] and not flow["destination"]["onOwnNode"]
        for source in flow["source"]["subjects"]
        for destination in flow["destination"]["subjects"]
        for part in flow["parts"]
        if part["verdict"] != "denied"
    }


def test_the_gateway_alone_reaches_the_shop_and_on_its_port() -> None:
    assert flows(None, "shop") == {("ingress/gateway", "shop/web", "allowed", "TCP 8080")}


def test_the_shop_reaches_dns_and_nothing_else() -> None:
    assert flows("shop", None) == {("shop/web", "kube-system/coredns", "allowed", "TCP 53; UDP 53")}


def test_an_address_reaches_what_its_range_is_let_in_to() -> None:
    assert flows("10.30.1.4", "ingress") == {("10.30.1.4", "ingress/gateway", "allowed", "TCP 8443")}
    assert flows("10.31.1.4", "ingress") == set()
    assert flows("internet", "ingress") == set()


def test_a_range_is_cut_where_policies_cut_it() -> None:
    assert flows("10.30.0.0/15", "ingress") == {("10.30.0.0/16", "ingress/gateway", "allowed", "TCP 8443")}


def test_an_address_of_a_pod_is_the_pod() -> None:
    assert flows("10.40.16.20", "shop") == {("ingress/gateway", "shop/web", "allowed", "TCP 8080")}


def test_a_workload_goes_by_its_name_and_by_those_of_its_pods() -> None:
    by_name = flows("ingress/gateway", "shop")
    assert by_name == flows("ingress/gateway-7f8b9c6d5f-bbbbb", "shop") == flows("ingress", "shop/web")


def test_what_decides_is_named_on_both_sides() -> None:
    found = text("ingress", "shop")
    assert "leaving: NetworkPolicy ingress/allow-gateway egress.0; arriving: NetworkPolicy shop/allow-web" in found
    assert "isolated by NetworkPolicy ingress/allow-dns and 2 more" in found


def test_the_reasons_in_json_point_into_policies() -> None:
    found = json.loads(as_json(*asked("ingress", "shop")))
    open_part = next(part for part in found["flows"][0]["parts"] if part["verdict"] == "allowed")
    reason = open_part["ingress"][0]
    assert reason["policies"][0].endswith("/namespaces/shop/networkpolicies/allow-web")
    assert reason["pointer"] == "/spec/ingress/0"
    closed_part = next(part for part in found["flows"][0]["parts"] if part["verdict"] == "denied")
    assert [Path(one).name for one in closed_part["egress"][0]["policies"]] == [
        "allow-dns",
        "allow-gateway",
        "default-deny",
    ]


def test_the_matrix_shows_namespaces_and_what_is_beside_them() -> None:
    answer = asked(case=Case(name="", expect="", add=(SLICE,)))[1]
    assert answer.places == ("ingress", "kube-system", "shop", "nodes", "api-server", "internet", "private addresses")
    assert answer.complete
    assert sorted(answer.cell("ingress", "shop")) == ["allowed", "denied"]
    assert sorted(answer.cell("shop", "ingress")) == ["denied"]
    assert sorted(answer.cell("kube-system", "internet")) == ["allowed"]
    assert sorted(answer.cell("shop", "internet")) == ["denied"]
    assert not answer.cell("internet", "api-server")


def test_the_matrix_is_drawn_with_a_row_and_a_column_for_each_place() -> None:
    lines = text().splitlines()
    header = next(line for line in lines if "from ↓ to →" in line)
    assert header.split()[-7:] == [str(number) for number in range(1, 8)]
    row = next(line for line in lines if line.split()[1:2] == ["ingress"])
    assert row.split()[2:] == ["✗", "◐", "◐", "✗", "✗", "✗", "✗"]


@pytest.mark.parametrize("width", [20, 40, 60, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for ends in ((None, None), ("shop", None), (None, "ingress"), ("ingress", "shop")):
        coloured = as_text(*asked(*ends), colour=True, width=width)
        assert all(len(line) <= max(width, 30) for line in ESCAPE.sub("", coloured).splitlines())


def test_what_was_not_read_is_said_with_what_it_takes() -> None:
    case = Case(name="", expect="", refuse=("default-deny",))
    found = text("ingress", "shop", case)
    assert "it takes list networkpolicies.networking.k8s.io" in " ".join(found.split())
    assert not asked("ingress", "shop", case)[1].complete


def test_a_cluster_that_was_not_entered_has_nobody_to_show() -> None:
    found = text(case=Case(name="", expect="", refuse=("inside",)))
    assert "from ↓ to →" not in found
    assert "401 Unauthorized" in found


def test_an_engine_that_is_not_known_leaves_everything_unknown() -> None:
    own = Case(name="", expect="", set={"cluster properties.networkProfile.networkPlugin": "none"})
    question, answer = asked("ingress", "shop", own)
    assert not answer.complete
    assert "cannot be told" in as_text(question, answer, colour=False, width=100)
    assert json.loads(as_json(question, answer))["engine"] is None


@pytest.mark.parametrize("end", ["nowhere", "shop/nobody", "10.0.0.300", "", "/"])
def test_an_end_that_is_not_there_is_refused_with_what_there_is(end: str) -> None:
    with pytest.raises(ReachError, match=r"there are: web|namespaces with pods: ingress, kube-system, shop"):
        asked(end)


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("shpo", r"did you mean shop\?"),
        ("shop/wbe", r"did you mean shop/web\?"),
        ("kube-system/kube-dns", r"Service kube-system/kube-dns; .* ask about kube-system/coredns"),
        ("10.41.20.10", r"Service shop/web; .* ask about shop/web; aks-audit path walks"),
    ],
)
def test_a_mistake_is_told_with_what_may_be_meant(end: str, says: str) -> None:
    with pytest.raises(ReachError, match=says):
        asked(None, end)


def test_everybody_who_is_kept_out_by_the_one_that_was_asked_about_is_told_of_together() -> None:
    assert "arriving: isolated by NetworkPolicy shop/allow-web and 1 more" in text(None, "shop")
    found = json.loads(as_json(*asked(None, "shop")))
    untold = [part for flow in found["flows"] for part in flow["parts"] if not part["egress"]]
    assert untold
    assert all(part["verdict"] == "denied" and part["ingress"] for part in untold)


def test_names_from_a_cluster_cannot_write_to_the_terminal() -> None:
    hostile = json.dumps(
        {
            "path": "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/\x1b[31mred",
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
        }
    )
    assert "\x1b" not in text(None, "shop", Case(name="", expect="", add=(hostile,)))


@pytest.mark.parametrize(
    ("arguments", "code"), [(("--from", "ingress", "--to", "shop"), 0), (("--from", "nowhere"), 2), ((), 3)]
)
def test_the_exit_code_says_whether_it_is_known(
    arguments: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reach", "aks-prod", *RECORDED, *arguments]) == code
    assert capsys.readouterr().out or code == 2


def test_live_options_are_refused_with_a_snapshot(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reach", "aks-prod", *RECORDED, "--subscription", "x"]) == 2
    assert "--subscription is of live scans" in capsys.readouterr().err
