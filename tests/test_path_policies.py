"""Network policies on the way of `aks-audit path`, in the cluster of the base estate."""

import json

import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate
from aks_audit.network.flows import FlowProtocol, Passage
from aks_audit.network.hops import Hop, HopKind, Walk
from aks_audit.path import Question, as_json, as_text, ask, find_cluster
from cases import BASE, INSIDE, Case, records_of

WEB, GATEWAY = "shop/web-6d5f7c9b8d-aaaaa", "ingress/gateway-7f8b9c6d5f-aaaaa"
DNS, OTHER_WEB = "10.40.16.4", "10.40.16.11"
UNCHANGED = Case(name="", expect="")


def walked(source: str, target: str, protocol: FlowProtocol = "tcp", case: Case = UNCHANGED) -> tuple[Question, Walk]:
    estate = Estate(snapshot.of(records_of(case, BASE, INSIDE)))
    question = Question(find_cluster(estate, "aks-prod"), source, target, protocol)
    return question, ask(estate, question)


def hop(source: str, target: str, protocol: FlowProtocol = "tcp", case: Case = UNCHANGED) -> Hop:
    _, walk = walked(source, target, protocol, case)
    return next(one for one in walk.hops if one.kind is HopKind.NETWORK_POLICY)


@pytest.mark.parametrize(
    ("source", "target", "protocol", "passage", "by"),
    [
        (WEB, f"{DNS}:53", "udp", Passage.ALLOWED, "NetworkPolicy shop/allow-dns"),
        (WEB, f"{DNS}:53", "tcp", Passage.ALLOWED, "NetworkPolicy shop/allow-dns"),
        (WEB, f"{DNS}:54", "udp", Passage.BLOCKED, "NetworkPolicy shop/allow-dns"),
        (WEB, DNS, "icmp", Passage.BLOCKED, "NetworkPolicy shop/allow-dns"),
        (WEB, "internet", "tcp", Passage.BLOCKED, "NetworkPolicy shop/allow-dns"),
        (WEB, "mcr.microsoft.com", "tcp", Passage.BLOCKED, "NetworkPolicy shop/allow-dns"),
        (WEB, "api-server", "tcp", Passage.BLOCKED, "NetworkPolicy shop/allow-dns"),
        (GATEWAY, f"{OTHER_WEB}:8080", "tcp", Passage.ALLOWED, "NetworkPolicy ingress/allow-gateway"),
        (GATEWAY, f"{OTHER_WEB}:8443", "tcp", Passage.BLOCKED, "NetworkPolicy ingress/allow-dns"),
        ("kube-system/coredns-5c8d6f-aaaaa", "internet", "tcp", Passage.ALLOWED, ""),
        (
            "kube-system/coredns-5c8d6f-aaaaa",
            f"{OTHER_WEB}:8080",
            "tcp",
            Passage.BLOCKED,
            "NetworkPolicy shop/allow-web",
        ),
    ],
)
def test_policies_decide_at_the_pod(
    source: str, target: str, protocol: FlowProtocol, passage: Passage, by: str
) -> None:
    found = hop(source, target, protocol)
    assert (found.passage, found.by) == (passage, by)


def test_a_policy_that_stops_a_pod_decides_the_walk() -> None:
    question, walk = walked(WEB, "internet")
    assert (walk.end, walk.decided_by.kind) == (Passage.BLOCKED, HopKind.NETWORK_POLICY)
    assert "isolated by NetworkPolicy shop/allow-dns and 1 more" in walk.decided_by.says
    assert "✗ blocked by network policy" in as_text(question, walk, colour=False, width=100)


def test_what_stops_a_pod_is_evidence() -> None:
    found = hop(WEB, f"{DNS}:53", "udp")
    rule = found.evidence[1]
    assert rule.pointer == "/spec/egress/0"
    assert rule.resource.endswith("/namespaces/shop/networkpolicies/allow-dns")
    assert isinstance(rule.value, dict)
    assert sorted(rule.value) == ["ports", "to"]


def test_names_are_conditions() -> None:
    policy = {
        "path": "/apis/cilium.io/v2/namespaces/kube-system/ciliumnetworkpolicies/names",
        "metadata": {"name": "names", "namespace": "kube-system"},
        "spec": {"endpointSelector": {}, "egress": [{"toFQDNs": [{"matchName": "mcr.microsoft.com"}]}]},
    }
    networking = {"enabled": True, "security": {"enabled": True}}
    case = Case(
        name="",
        expect="",
        add=(json.dumps(policy),),
        set={"cluster properties.networkProfile.advancedNetworking": networking},
    )
    coredns = "kube-system/coredns-5c8d6f-aaaaa"
    named = hop(coredns, "mcr.microsoft.com", case=case)
    assert (named.passage, named.conditions) == (Passage.ALLOWED, ())
    assert hop(coredns, "docs.microsoft.com", case=case).passage is Passage.BLOCKED
    for target in ("internet", "203.0.113.9"):
        found = hop(coredns, target, case=case)
        assert found.passage is Passage.UNKNOWN
        assert found.conditions == ("the address is one of mcr.microsoft.com",)
        assert "under conditions" in found.says


def test_a_pattern_that_hangs_on_the_engines_version_stays_a_condition() -> None:
    policy = {
        "path": "/apis/cilium.io/v2/namespaces/kube-system/ciliumnetworkpolicies/names",
        "metadata": {"name": "names", "namespace": "kube-system"},
        "spec": {"endpointSelector": {}, "egress": [{"toFQDNs": [{"matchPattern": "**.microsoft.com"}]}]},
    }
    networking = {"enabled": True, "security": {"enabled": True}}
    changed = {"cluster properties.networkProfile.advancedNetworking": networking}
    case = Case(name="", expect="", add=(json.dumps(policy),), set=changed)
    coredns = "kube-system/coredns-5c8d6f-aaaaa"
    assert hop(coredns, "mcr.microsoft.com", case=case).passage is Passage.ALLOWED
    deeper = hop(coredns, "a.mcr.microsoft.com", case=case)
    assert (deeper.passage, deeper.conditions) == (Passage.UNKNOWN, ("the address is one of **.microsoft.com",))
    assert hop(coredns, "microsoft.com", case=case).passage is Passage.BLOCKED


def test_the_name_that_a_pod_asks_for_counts_not_the_one_that_a_service_leads_to() -> None:
    policy = {
        "path": "/apis/cilium.io/v2/namespaces/kube-system/ciliumnetworkpolicies/names",
        "metadata": {"name": "names", "namespace": "kube-system"},
        "spec": {"endpointSelector": {}, "egress": [{"toFQDNs": [{"matchName": "mcr.microsoft.com"}]}]},
    }
    networking = {"enabled": True, "security": {"enabled": True, "advancedNetworkPolicies": "FQDN"}}
    case = Case(
        name="",
        expect="",
        add=(json.dumps(policy),),
        set={
            "cluster properties.networkProfile.advancedNetworking": networking,
            "service spec.type": "ExternalName",
            "service spec.externalName": "mcr.microsoft.com",
        },
        drop=("service spec.clusterIPs", "service spec.selector"),
    )
    assert hop("kube-system/coredns-5c8d6f-aaaaa", "web.shop.svc:443", case=case).passage is Passage.BLOCKED


def test_what_requests_have_to_be_is_a_condition_that_ends_the_walk() -> None:
    policy = {
        "path": "/apis/cilium.io/v2/namespaces/shop/ciliumnetworkpolicies/paths",
        "metadata": {"name": "paths", "namespace": "shop"},
        "spec": {
            "endpointSelector": {},
            "ingress": [
                {
                    "toPorts": [
                        {
                            "ports": [{"port": "8080", "protocol": "TCP"}],
                            "rules": {"http": [{"method": "GET", "path": "/x"}, {"method": "HEAD"}]},
                        }
                    ]
                }
            ],
        },
    }
    networking = {"enabled": True, "security": {"enabled": True, "advancedNetworkPolicies": "L7"}}
    case = Case(
        name="",
        expect="",
        add=(json.dumps(policy),),
        set={"cluster properties.networkProfile.advancedNetworking": networking},
        absent=("allow-web", "default-deny"),
    )
    question, walk = walked(GATEWAY, f"{OTHER_WEB}:8080", case=case)
    assert walk.end is Passage.UNKNOWN
    assert walk.decided_by.conditions == ("HTTP GET /x or HTTP HEAD",)
    shown = as_text(question, walk, colour=False, width=100)
    assert "? allowed only if HTTP GET /x or HTTP HEAD" in shown
    assert json.loads(as_json(question, walk))["hops"][1]["conditions"] == ["HTTP GET /x or HTTP HEAD"]


def test_policies_that_were_not_read_leave_the_walk_unknown_and_say_what_it_takes() -> None:
    found = hop(WEB, "internet", case=Case(name="", expect="", refuse=("default-deny",)))
    assert found.passage is Passage.UNKNOWN
    assert "list networkpolicies.networking.k8s.io" in [missing.action for missing in found.missing]


def test_without_an_engine_nothing_is_held_back() -> None:
    none = {
        "cluster properties.networkProfile.networkPolicy": "none",
        "cluster properties.networkProfile.networkDataplane": "azure",
    }
    found = hop(WEB, "internet", case=Case(name="", expect="", set=none))
    assert found.passage is Passage.ALLOWED
    assert "Nothing enforces" in found.says


def test_a_policy_that_knows_a_part_of_the_internet_leaves_the_rest_to_be_asked() -> None:
    policy = {
        "path": "/apis/networking.k8s.io/v1/namespaces/kube-system/networkpolicies/some",
        "metadata": {"name": "some", "namespace": "kube-system"},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}],
        },
    }
    case = Case(name="", expect="", add=(json.dumps(policy),))
    coredns = "kube-system/coredns-5c8d6f-aaaaa"
    assert hop(coredns, "203.0.113.9", case=case).passage is Passage.ALLOWED
    assert hop(coredns, "203.0.114.9", case=case).passage is Passage.BLOCKED
    mixed = hop(coredns, "internet", case=case)
    assert mixed.passage is Passage.UNKNOWN
    assert "some of the addresses" in mixed.says


def test_a_node_is_not_held_back_by_policies() -> None:
    _, walk = walked("node", "internet")
    assert not [one for one in walk.hops if one.kind is HopKind.NETWORK_POLICY]
