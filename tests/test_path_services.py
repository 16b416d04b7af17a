"""`aks-audit path` from a pod to Services, in the cluster of the base estate."""

import json
from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate
from aks_audit.network.flows import FlowProtocol, Passage
from aks_audit.network.hops import Hop, HopKind, Walk
from aks_audit.path import PathError, Question, as_text, ask, find_cluster
from cases import BASE, INSIDE, Case, records_of

WEB, GATEWAY = "shop/web-6d5f7c9b8d-aaaaa", "ingress/gateway-7f8b9c6d5f-aaaaa"
UNCHANGED = Case(name="", expect="")


def changed(**changes: Any) -> Case:  # noqa: ANN401 - the fields of a case are of many types
    return Case(name="", expect="", **changes)


def walked(source: str, target: str, case: Case = UNCHANGED, protocol: FlowProtocol = "tcp") -> tuple[Question, Walk]:
    estate = Estate(snapshot.of(records_of(case, BASE, INSIDE)))
    question = Question(find_cluster(estate, "aks-prod"), source, target, protocol)
    return question, ask(estate, question)


def hop(walk: Walk, kind: HopKind = HopKind.SERVICE) -> Hop:
    return next(one for one in walk.hops if one.kind is kind)


@pytest.mark.parametrize(
    "target",
    [
        "shop/web",
        "shop/web:80",
        "web.shop",
        "web.shop:80",
        "web.shop.svc",
        "web.shop.svc.cluster.local",
        "WEB.shop.svc.cluster.local.:80",
        "10.41.20.10",
        "10.41.20.10:80",
    ],
)
def test_a_service_is_handed_on_to_its_pods_and_policies_are_about_these(target: str) -> None:
    _, walk = walked(GATEWAY, target)
    service = hop(walk)
    assert service.passage is None
    assert (
        "hands TCP 80 on to one of 2, at port 8080: shop/web-6d5f7c9b8d-aaaaa, shop/web-6d5f7c9b8d-bbbbb"
        in service.says
    )
    policy = hop(walk, HopKind.NETWORK_POLICY)
    assert (policy.passage, policy.by) == (Passage.ALLOWED, "NetworkPolicy ingress/allow-gateway")
    assert walk.end is Passage.ALLOWED


def test_a_name_without_its_namespace_is_in_the_pods_own() -> None:
    _, walk = walked(WEB, "web:80")
    assert hop(walk).where.endswith("/namespaces/shop/services/web")
    assert hop(walk, HopKind.NETWORK_POLICY).passage is Passage.BLOCKED


def test_the_port_of_the_pods_is_what_policies_see() -> None:
    only_80 = {"allow-gateway spec.egress.0.ports.0.port": 80}
    _, walk = walked(GATEWAY, "shop/web:80", changed(set=only_80))
    assert walk.end is Passage.BLOCKED
    assert walk.decided_by.kind is HopKind.NETWORK_POLICY


def test_a_port_that_a_service_does_not_expose_is_said_with_those_that_it_does() -> None:
    question, walk = walked(GATEWAY, "shop/web:81")
    assert walk.end is Passage.BLOCKED
    assert "does not expose TCP 81; its ports: TCP 80" in walk.decided_by.says
    assert "✗ blocked by service web" in as_text(question, walk, colour=False, width=100)


def test_several_ports_want_one_to_be_chosen() -> None:
    ports = [{"name": "a", "port": 80, "protocol": "TCP"}, {"name": "b", "port": 81, "protocol": "TCP"}]
    with pytest.raises(PathError, match=r"several ports \(TCP 80, TCP 81\); say which, as shop/web:80"):
        walked(GATEWAY, "shop/web", changed(set={"service spec.ports": ports}))


def test_a_service_without_ready_pods_is_blocked() -> None:
    down = {f"slice endpoints.{at}.conditions.ready": False for at in range(2)}
    _, walk = walked(GATEWAY, "shop/web", changed(set=down))
    assert walk.end is Passage.BLOCKED
    assert "no pod that is ready" in walk.decided_by.says


def test_a_slice_that_does_not_say_that_pods_are_ready_means_that_they_are() -> None:
    _, walk = walked(
        GATEWAY, "shop/web", changed(drop=("slice endpoints.0.conditions", "slice endpoints.1.conditions"))
    )
    assert walk.end is Passage.ALLOWED


@pytest.mark.parametrize("unread", ["slice", "service"])
def test_what_was_not_read_leaves_it_unknown_and_says_so(unread: str) -> None:
    _, walk = walked(GATEWAY, "10.41.20.10:80", changed(refuse=(unread,)))
    assert walk.end is Passage.UNKNOWN
    assert hop(walk).missing


def test_where_it_hangs_on_the_pod_that_is_not_known() -> None:
    other = {"pod-b /metadata/labels/app.kubernetes.io~1name": "other"}
    _, walk = walked(GATEWAY, "shop/web", changed(set=other))
    assert walk.end is Passage.UNKNOWN
    assert "hangs on whom the Service hands on to: to 10.40.16.11 it is blocked" in walk.decided_by.says


def test_a_headless_service_is_the_name_of_its_pods_at_their_own_ports() -> None:
    headless = {"service spec.clusterIPs": ["None"], "service spec.clusterIP": "None"}
    _, walk = walked(GATEWAY, "web.shop.svc:8080", changed(set=headless))
    assert "is the name of one of 2" in hop(walk).says
    assert walk.end is Passage.ALLOWED
    _, other = walked(GATEWAY, "web.shop.svc:80", changed(set=headless))
    assert other.end is Passage.BLOCKED


def test_an_external_name_is_another_name() -> None:
    outer = {"service spec.type": "ExternalName", "service spec.externalName": "mcr.microsoft.com"}
    case = changed(set=outer, drop=("service spec.clusterIPs", "service spec.selector"))
    _, walk = walked("kube-system/coredns-5c8d6f-aaaaa", "web.shop.svc:443", case)
    assert hop(walk).says == "Service shop/web is another name for mcr.microsoft.com"
    assert "mcr.microsoft.com" in hop(walk, HopKind.NAME).says


def test_the_address_of_a_load_balancer_leads_past_it_from_inside() -> None:
    _, walk = walked("kube-system/coredns-5c8d6f-aaaaa", "10.40.4.10:443")
    assert "past its load balancer" in hop(walk).says
    policy = hop(walk, HopKind.NETWORK_POLICY)
    assert "ingress" in policy.says


def test_a_name_that_is_the_address_of_a_load_balancer_leads_past_it_too() -> None:
    record = {
        "record properties.aRecords.0.ipv4Address": "10.40.4.10",
    }
    name = "aks-prod-a1b2c3d4.privatelink.westeurope.azmk8s.io"
    _, walk = walked("kube-system/coredns-5c8d6f-aaaaa", f"{name}:443", changed(set=record))
    assert [one.kind for one in walk.hops[1:3]] == [HopKind.NAME, HopKind.SERVICE]
    assert "past its load balancer" in hop(walk).says


def test_an_address_may_be_a_load_balancers_where_services_were_not_read() -> None:
    _, walk = walked("kube-system/coredns-5c8d6f-aaaaa", "10.40.4.11:443", changed(refuse=("service",)))
    assert walk.end is Passage.UNKNOWN
    assert hop(walk).missing


def test_source_ranges_leave_the_address_of_a_load_balancer_unknown() -> None:
    ranges = {"gateway-service spec.loadBalancerSourceRanges": ["203.0.113.0/24"]}
    _, walk = walked("kube-system/coredns-5c8d6f-aaaaa", "10.40.4.10:443", changed(set=ranges))
    assert walk.end is Passage.UNKNOWN
    assert "source ranges" in walk.decided_by.says


def test_a_local_service_hands_on_to_its_pods_on_the_same_node() -> None:
    node = "aks-user-12345678-vmss000000"
    local = {"service spec.internalTrafficPolicy": "Local", "slice endpoints.1.nodeName": "another"}
    _, walk = walked(GATEWAY, "shop/web", changed(set={**local, "slice endpoints.0.nodeName": node}))
    assert hop(walk).says.endswith("at port 8080: shop/web-6d5f7c9b8d-aaaaa")
    _, nobody = walked(GATEWAY, "shop/web", changed(set={**local, "slice endpoints.0.nodeName": "third"}))
    assert "internalTrafficPolicy is Local" in nobody.decided_by.says
    _, unknown = walked(GATEWAY, "shop/web", changed(set=local))
    assert unknown.end is Passage.UNKNOWN


def test_the_api_servers_own_service_is_the_api_server() -> None:
    endpoint = json.dumps(
        {
            "path": "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes",
            "metadata": {"labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["10.40.5.4"]}],
        }
    )
    _, walk = walked("kube-system/coredns-5c8d6f-aaaaa", "10.41.0.1", changed(add=(endpoint,)))
    assert "Service default/kubernetes (10.41.0.1) hands TCP 443 on to 10.40.5.4" in hop(walk).says


def test_an_address_that_no_service_has_is_not_known() -> None:
    _, walk = walked(GATEWAY, "10.41.99.99:80")
    assert walk.end is Passage.UNKNOWN
    assert "none that was read has it" in walk.decided_by.says


def test_a_pod_is_a_destination_too() -> None:
    _, walk = walked(GATEWAY, f"{WEB}:8080")
    assert walk.end is Passage.ALLOWED


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        (GATEWAY, "shop/wbe", "near to it: shop/web"),
        (GATEWAY, "nowhere/thing", "there are: "),
        ("shop/web-6d5f7c9b8d-aaaab", "internet", "near to it: shop/web-6d5f7c9b8d-aaaaa"),
    ],
)
def test_a_mistake_is_told_with_what_may_be_meant(source: str, target: str, says: str) -> None:
    with pytest.raises(PathError, match=says):
        walked(source, target)


def test_a_cluster_by_a_wrong_name_is_told_with_the_one_that_may_be_meant() -> None:
    estate = Estate(snapshot.of(records_of(UNCHANGED, BASE, INSIDE)))
    with pytest.raises(PathError, match=r"did you mean aks-prod\?"):
        find_cluster(estate, "aks-prd")
