"""Facts about Services and Ingresses: which workloads a Service selects, whose it is, and how addresses are read."""

from collections.abc import Mapping
from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate, Malformed
from aks_audit.facts.services import Ingress, Service
from cases import ALIASES, BASE, CLUSTER, INSIDE, Case, records_of


def service(changes: Mapping[str, Any]) -> Service:
    """A Service of the base estate with changes made."""
    made = Case(name="x", expect="pass", set=dict(changes))
    return Estate(snapshot.of(records_of(made, BASE, INSIDE))).resource(Service, ALIASES["service"])


def test_a_service_selects_the_workloads_whose_pods_have_all_its_labels() -> None:
    assert [one.name for one in service({}).targets] == ["web"]
    both = {"app.kubernetes.io/name": "web", "tier": "front"}
    assert service({"service spec.selector": both}).targets == ()
    labelled = {"service spec.selector": both, "deployment spec.template.metadata.labels": both}
    assert [one.name for one in service(labelled).targets] == ["web"]


def test_labels_of_live_pods_count_beside_those_of_their_template() -> None:
    changed = {"service spec.selector": {"canary": "yes"}, "pod metadata.labels": {"canary": "yes"}}
    assert [one.name for one in service(changed).targets] == ["web"]


def test_a_service_without_a_selector_selects_nothing() -> None:
    assert service({"service spec.selector": {}}).targets == ()


def test_labels_that_cannot_be_read_hide_what_a_service_selects() -> None:
    with pytest.raises(Malformed):
        _ = service({"deployment spec.template.metadata.labels": {"x": 1}}).targets


def test_a_service_in_a_namespace_of_aks_is_its_own_only_before_components_alone() -> None:
    inside = Estate(snapshot.of(records_of(Case(name="x", expect="pass"), BASE, INSIDE)))
    dns = f"{CLUSTER}/api/v1/namespaces/kube-system/services/kube-dns"
    assert inside.resource(Service, dns).of_platform
    image = {"coredns spec.template.spec.containers.0.image": "docker.io/mine/dns:1"}
    foreign = Case(name="x", expect="pass", set=image)
    assert not Estate(snapshot.of(records_of(foreign, BASE, INSIDE))).resource(Service, dns).of_platform
    assert not service({}).of_platform


@pytest.mark.parametrize(
    ("value", "asks"), [("true", True), ("TRUE", True), ("false", False), ("", False), ("yes", False), (" true", False)]
)
def test_only_the_word_true_asks_for_a_private_address(value: str, asks: bool) -> None:  # noqa: FBT001 - a table
    annotation = {"service.beta.kubernetes.io/azure-load-balancer-internal": value}
    assert service({"service metadata.annotations": annotation}).asks_for_private is asks


@pytest.mark.parametrize("entry", [{"ip": "x"}, {"ip": ""}, {}, {"ip": 5}, {"ip": "10.0.0.0/8"}])
def test_an_address_that_is_none_is_malformed(entry: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        _ = service({"service status.loadBalancer.ingress": [entry]}).addresses


def test_a_name_in_place_of_an_address_is_no_address() -> None:
    assert service({"service status.loadBalancer.ingress": [{"hostname": "x.example.com"}]}).addresses == ()


@pytest.mark.parametrize("rules", [[], [{"host": "x"}], [{"http": {"paths": [{"path": "/"}]}}]])
def test_an_ingress_that_leads_nowhere_is_malformed(rules: list[Any]) -> None:
    made = Case(name="x", expect="pass", set={"ingress spec.rules": rules})
    ingress = Estate(snapshot.of(records_of(made, BASE, INSIDE))).resource(Ingress, ALIASES["ingress"])
    with pytest.raises(Malformed):
        _ = ingress.backends
