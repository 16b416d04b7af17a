"""Which engine enforces the policies of a cluster, and which of them."""

import json
from ipaddress import ip_network
from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate, ManagedCluster, NotCollected, Unread
from aks_audit.network.addresses import AddressSet
from aks_audit.policies.enforcement import Enforced, Engine, enforced
from aks_audit.policies.evaluate import Evaluation, Verdict
from aks_audit.policies.inhabitants import inhabitants
from aks_audit.policies.model import Direction, Endpoint, Kind
from aks_audit.policies.ports import traffic
from aks_audit.policies.reach import Reach
from aks_audit.policies.universe import Universe
from cases import BASE, CLUSTER, INSIDE, Case, records_of

AZURE = {
    "cluster properties.networkProfile.networkPolicy": "azure",
    "cluster properties.networkProfile.networkDataplane": "azure",
}
CALICO = {**AZURE, "cluster properties.networkProfile.networkPolicy": "calico"}
NONE = {**AZURE, "cluster properties.networkProfile.networkPolicy": "none"}
ADMIN = "/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies/closed"
CLOSED: dict[str, Any] = {"namespaces": {}}


def added(path: str, spec: dict[str, Any]) -> str:
    return json.dumps({"path": path, "metadata": {"name": path.rpartition("/")[2]}, "spec": spec})


def on_nodes(name: str, container: str, image: str) -> str:
    containers = {"containers": [{"name": container, "image": image}]}
    return added(f"/apis/apps/v1/namespaces/kube-system/daemonsets/{name}", {"template": {"spec": containers}})


closed = added(ADMIN, {"priority": 1, "subject": CLOSED, "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}]})
calico_closed = added("/apis/projectcalico.org/v3/globalnetworkpolicies/closed", {"types": ["Ingress"]})


def cluster(case: Case) -> ManagedCluster:
    return Estate(snapshot.of(records_of(case, BASE, INSIDE))).resource(ManagedCluster, CLUSTER)


def case(settings: dict[str, Any], *objects: str, refuse: tuple[str, ...] = ()) -> Case:
    return Case(name="", expect="", set=settings, add=objects, refuse=refuse)


def verdicts(case_: Case, source: str = "ingress", destination: str = "shop", port: int = 8080) -> set[Verdict]:
    """What becomes of a port from every pod of a namespace to every one of another."""
    asked = cluster(case_)
    endpoints = inhabitants(asked).endpoints
    reach = Reach(endpoints, enforced(asked).ruleset)
    wanted = traffic(6, port, port)
    pods = [[at for at, one in enumerate(endpoints) if one.namespace == name] for name in (source, destination)]
    passages = (one for a in pods[0] for b in pods[1] for one in reach.between(a, b))
    return {passage.verdict for passage in passages if passage.traffic & wanted}


def internet(case_: Case, source: str = "ingress") -> set[Verdict]:
    """What becomes of a port from every pod of a namespace to an address of the internet."""
    asked = cluster(case_)
    outside = Endpoint(Kind.ADDRESS, "", labels={}, addresses=AddressSet.of([ip_network("192.0.2.1")]))
    endpoints = (outside, *inhabitants(asked).endpoints)
    reach = Reach(endpoints, enforced(asked).ruleset)
    pods = [at for at, one in enumerate(endpoints) if one.namespace == source]
    passages = (one for pod in pods for one in reach.between(pod, 0))
    return {passage.verdict for passage in passages if passage.traffic & traffic(6, 443, 443)}


@pytest.mark.parametrize(
    ("settings", "engine"),
    [({}, Engine.CILIUM), (AZURE, Engine.AZURE), (CALICO, Engine.CALICO), (NONE, Engine.NONE)],
)
def test_azure_says_which_engine_there_is(settings: dict[str, Any], engine: Engine) -> None:
    found = enforced(cluster(case(settings)))
    assert found.engine is engine
    assert bool(found.ignored) == (engine is Engine.NONE)


@pytest.mark.parametrize("settings", [{}, AZURE, CALICO])
def test_every_engine_enforces_network_policies(settings: dict[str, Any]) -> None:
    assert verdicts(case(settings)) == {Verdict.ALLOWED}
    assert verdicts(case(settings), port=8443) == {Verdict.DENIED}


def test_without_an_engine_policies_stop_nothing_and_are_named() -> None:
    assert verdicts(case(NONE), port=8443) == {Verdict.ALLOWED}
    ignored = enforced(cluster(case(NONE))).ignored
    assert len(ignored) == 6
    assert all("nothing enforces" in one.reason for one in ignored)


def test_who_brings_a_network_plugin_brings_an_engine_that_azure_does_not_know() -> None:
    own = {"cluster properties.networkProfile.networkPlugin": "none"}
    with pytest.raises(NotCollected, match="not known to Azure"):
        enforced(cluster(case(own)))


@pytest.mark.parametrize("settings", [{}, AZURE])
def test_policies_of_calico_count_for_nothing_elsewhere(settings: dict[str, Any]) -> None:
    asked = case(settings, calico_closed)
    assert verdicts(asked) == {Verdict.ALLOWED}
    assert [one.type for one in enforced(cluster(asked)).ignored] == ["globalnetworkpolicies.projectcalico.org"]


def test_policies_of_calico_count_on_calico() -> None:
    asked = case(CALICO, calico_closed, added("/apis/projectcalico.org/v3/tiers/default", {"order": 1000000}))
    assert verdicts(asked, "ingress", "kube-system", 53) == {Verdict.DENIED}
    assert not enforced(cluster(asked)).ignored


@pytest.mark.parametrize(
    ("image", "verdict"),
    [
        ("mcr.microsoft.com/oss/v2/calico/node:v3.28.2", Verdict.ALLOWED),
        ("mcr.microsoft.com/oss/v2/calico/node:v3.29.0-2", Verdict.DENIED),
        ("mcr.microsoft.com/oss/v2/calico/node:v3.32.0", Verdict.ALLOWED),
        ("mcr.microsoft.com/oss/v2/calico/node@sha256:00", Verdict.UNKNOWN),
    ],
)
def test_the_version_of_calico_decides_on_policies_of_administrators(image: str, verdict: Verdict) -> None:
    assert verdicts(case(CALICO, closed, on_nodes("calico-node", "calico-node", image))) == {verdict}


def test_where_the_version_is_not_known_what_hangs_on_it_is_unknown() -> None:
    assert verdicts(case(CALICO, closed)) == {Verdict.UNKNOWN}
    assert verdicts(case(CALICO, closed), port=8443) == {Verdict.DENIED}


@pytest.mark.parametrize(("order", "verdict"), [(5, Verdict.ALLOWED), (20, Verdict.DENIED)])
def test_policies_of_calico_stand_among_those_of_administrators_by_their_order(order: int, verdict: Verdict) -> None:
    """From 3.32 on in the tier kube-admin; what is nowhere decided there is passed on."""
    closed_too = added(
        "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies/closed",
        {"tier": "Admin", "priority": 10, "subject": CLOSED, "ingress": [{"action": "Deny", "from": [CLOSED]}]},
    )
    objects = (
        on_nodes("calico-node", "calico-node", "mcr.microsoft.com/oss/v2/calico/node:v3.32.0"),
        added("/apis/projectcalico.org/v3/tiers/kube-admin", {"order": 1000, "defaultAction": "Pass"}),
        added(
            "/apis/projectcalico.org/v3/globalnetworkpolicies/kube-admin.open",
            {"tier": "kube-admin", "order": order, "types": ["Ingress"], "ingress": [{"action": "Allow"}]},
        ),
        closed_too,
    )
    assert verdicts(case(CALICO, *objects)) == {verdict}


def test_what_every_version_that_may_run_agrees_on_is_known() -> None:
    """No version of Calico takes the baseline without AdminNetworkPolicies, one of which allows it before."""
    baseline = added(
        "/apis/policy.networking.k8s.io/v1alpha1/baselineadminnetworkpolicies/default",
        {"subject": CLOSED, "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}]},
    )
    rule = {"action": "Allow", "from": [{"namespaces": {}}]}
    opened = added(ADMIN, {"priority": 1, "subject": CLOSED, "ingress": [rule]})
    assert verdicts(case(CALICO, baseline), "ingress", "kube-system", 53) == {Verdict.UNKNOWN}
    assert verdicts(case(CALICO, baseline, opened), "ingress", "kube-system", 53) == {Verdict.ALLOWED}


def test_cilium_takes_cluster_network_policies_only_where_they_are_switched_on() -> None:
    spec = {"tier": "Admin", "priority": 1, "subject": CLOSED}
    closed_too = added(
        "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies/closed",
        {**spec, "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}]},
    )
    agent = on_nodes("cilium", "cilium-agent", "mcr.microsoft.com/oss/cilium/cilium:v1.20.1")
    path = "/api/v1/namespaces/kube-system/configmaps/cilium-config"
    on = json.dumps({"path": path, "data": {"enable-k8s-cluster-network-policy": "true"}})
    assert verdicts(case({}, closed_too, agent, on)) == {Verdict.DENIED}
    assert verdicts(case({}, closed_too, agent)) == {Verdict.ALLOWED}
    assert verdicts(case({}, closed_too, on)) == {Verdict.UNKNOWN}


@pytest.mark.parametrize(
    ("networking", "by_name", "by_request"),
    [
        ({}, Verdict.UNKNOWN, Verdict.UNKNOWN),
        ({"enabled": False, "security": {"enabled": True}}, Verdict.UNKNOWN, Verdict.UNKNOWN),
        ({"enabled": True}, Verdict.UNKNOWN, Verdict.UNKNOWN),
        ({"enabled": True, "security": {"enabled": False, "advancedNetworkPolicies": "L7"}}, *[Verdict.UNKNOWN] * 2),
        ({"enabled": True, "security": {"enabled": True}}, Verdict.CONDITIONAL, Verdict.UNKNOWN),
        (
            {"enabled": True, "security": {"enabled": True, "advancedNetworkPolicies": "fqdn"}},
            *(Verdict.CONDITIONAL, Verdict.UNKNOWN),
        ),
        (
            {"enabled": True, "security": {"enabled": True, "advancedNetworkPolicies": "L7"}},
            *(Verdict.CONDITIONAL, Verdict.CONDITIONAL),
        ),
        ({"enabled": True, "security": {"enabled": True, "advancedNetworkPolicies": "L8"}}, *[Verdict.UNKNOWN] * 2),
        ({"enabled": "yes", "security": {"enabled": True}}, Verdict.UNKNOWN, Verdict.UNKNOWN),
    ],
)
def test_azure_says_what_cilium_enforces_above_layer_4(
    networking: dict[str, Any], by_name: Verdict, by_request: Verdict
) -> None:
    settings = {"cluster properties.networkProfile.advancedNetworking": networking}
    path = "/apis/cilium.io/v2/namespaces/ingress/ciliumnetworkpolicies/closed"
    names = [{"toFQDNs": [{"matchName": "example.com"}]}]
    requests = [{"toPorts": [{"ports": [{"port": "443"}], "rules": {"http": [{"method": "GET"}]}}]}]
    assert internet(case(settings, added(path, {"endpointSelector": {}, "egress": names}))) == {by_name}
    assert internet(case(settings, added(path, {"endpointSelector": {}, "egress": requests}))) == {by_request}


def test_an_engine_that_is_told_to_enforce_nothing_enforces_nothing() -> None:
    path = "/api/v1/namespaces/kube-system/configmaps/cilium-config"
    never = json.dumps({"path": path, "data": {"enable-policy": "never"}})
    found: Enforced = enforced(cluster(case({}, never)))
    assert not found.ruleset.policies
    assert {one.reason for one in found.ignored} == {"Cilium is configured to enforce no policy"}


def test_policies_that_were_not_read_leave_unknown_what_no_other_allows() -> None:
    asked = case({}, refuse=("default-deny",))
    found = enforced(cluster(asked))
    assert [missing.action for missing in found.missing] == ["list networkpolicies.networking.k8s.io"]
    assert Verdict.ALLOWED not in verdicts(asked, port=8443)


def test_a_cluster_that_was_not_entered_is_unknown_altogether() -> None:
    asked = cluster(case({}, refuse=("inside",)))
    assert enforced(asked).missing
    assert inhabitants(asked).missing


def test_pods_that_have_run_to_their_end_are_not_there() -> None:
    before = [one.name for one in inhabitants(cluster(case({}))).endpoints if one.namespace == "shop"]
    asked = case({"pod status.phase": "Succeeded"})
    after = [one.name for one in inhabitants(cluster(asked)).endpoints if one.namespace == "shop"]
    assert len(after) == len(before) - 1


def test_pods_in_the_network_of_their_node_are_of_another_kind() -> None:
    found = inhabitants(cluster(case({"pod spec.hostNetwork": True}))).endpoints
    assert [one.kind for one in found if one.kind is Kind.HOST_POD] == [Kind.HOST_POD]


def test_a_damaged_pod_is_missing_and_not_taken_for_another() -> None:
    asked = cluster(case({"pod spec.hostNetwork": "yes"}))
    assert [missing.kind for missing in inhabitants(asked).missing] == ["malformed"]


def test_what_is_staged_stops_nothing_and_is_named() -> None:
    spec = {"selector": "all()", "types": ["Ingress", "Egress"], "ingress": [{"action": "Deny"}], "stagedAction": "Set"}
    path = "/apis/projectcalico.org/v3/stagedglobalnetworkpolicies/closed"
    asked = case(CALICO, added(path, spec))
    assert verdicts(asked) == verdicts(case(CALICO)) == {Verdict.ALLOWED}
    assert [(one.type, one.reason) for one in enforced(cluster(asked)).ignored] == [
        ("stagedglobalnetworkpolicies.projectcalico.org", "it is staged, which only shows what it would do")
    ]
    assert not enforced(cluster(case(CALICO, added(path, {**spec, "stagedAction": "Delete"})))).ignored
    assert not enforced(cluster(case(CALICO, added(path, spec), added(path.replace("staged", ""), spec)))).ignored


def test_staged_policies_that_were_not_read_leave_nothing_unknown() -> None:
    records = records_of(case(CALICO), BASE, INSIDE)
    without = [one for one in records if not (isinstance(one, snapshot.Listing) and "staged" in one.type)]
    assert not enforced(Estate(snapshot.of(without)).resource(ManagedCluster, CLUSTER)).missing


def test_a_pod_is_selected_by_the_policies_of_its_namespace() -> None:
    asked = cluster(case(AZURE))
    endpoints = inhabitants(asked).endpoints
    evaluation = Evaluation(enforced(asked).ruleset, Universe(endpoints))
    shop = next(at for at, one in enumerate(endpoints) if one.namespace == "shop")
    member = evaluation.universe.member(shop)
    assert {one.name for one in evaluation.selecting(member, Direction.INGRESS)} == {"allow-web", "default-deny"}
    assert {one.name for one in evaluation.selecting(member, Direction.EGRESS)} == {"allow-dns", "default-deny"}


def test_a_new_policy_engine_is_unknown() -> None:
    with pytest.raises(Unread):
        enforced(cluster(case({**AZURE, "cluster properties.networkProfile.networkPolicy": "newest"})))


@pytest.mark.parametrize(
    ("shown", "missing"), [(["globalnetworkpolicies"], False), (["networkpolicies"], True), ([], True)]
)
def test_calico_shows_what_it_stores_and_only_that_is_read(shown: list[str], *, missing: bool) -> None:
    stored = "globalnetworkpolicies.crd.projectcalico.org"
    served = json.dumps({"path": "/apis", "groups": {"projectcalico.org": {"v3": shown}}})
    records = records_of(case(CALICO, served), BASE, INSIDE)
    without = [one for one in records if not (isinstance(one, snapshot.Listing) and one.type == stored)]
    found = enforced(Estate(snapshot.of(without)).resource(ManagedCluster, CLUSTER))
    assert any(stored in one.reason for one in found.missing) == missing
