"""Components of the platform are told from people's workloads by what they are, and not by where they are."""

import tomllib
from importlib.resources import files

import pytest

from aks_audit.facts import Subjects
from aks_audit.facts.platform import foreign, is_component, microsofts
from aks_audit.facts.workloads import Workload
from cases import Case, estate_of
from recorded_clusters import NAMES, Name, estate

DEPLOYMENT = "/apis/apps/v1/namespaces/{}/deployments/{}"


def component(namespace: str, name: str, image: str, labels: str = "{}") -> bool:
    path = DEPLOYMENT.format(namespace, name)
    spec = f'{{"template":{{"spec":{{"containers":[{{"name":"c","image":"{image}"}}]}}}}}}'
    added = f'{{"path":"{path}","metadata":{{"name":"{name}","labels":{labels}}},"spec":{spec}}}'
    subjects = Subjects(estate_of(Case(name="", expect="", add=(added,)))).of(Workload)
    (found,) = [one for one in subjects if isinstance(one, Workload) and one.id.endswith(path)]
    return is_component(found)


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_in_namespaces_of_aks_in_the_recorded_clusters_is_its_own(name: Name) -> None:
    theirs = {"kube-system", "gatekeeper-system", "aks-istio-system", "aks-istio-ingress", "app-routing-system"}
    for workload in Subjects(estate(name)).of(Workload):
        assert isinstance(workload, Workload)
        assert is_component(workload) == (workload.namespace in theirs), workload.id


def test_a_component_has_a_known_name_or_a_mark_and_only_images_of_microsofts() -> None:
    mcr, marked = "mcr.microsoft.com/oss/v2/x:1", '{"kubernetes.azure.com/managedby":"aks"}'
    assert component("kube-system", "metrics-server", mcr)
    assert component("kube-system", "brand-new", mcr, marked)
    assert not component("kube-system", "brand-new", mcr)
    assert not component("kube-system", "metrics-server", "docker.io/evil/metrics-server:1", marked)
    assert not component("shop", "metrics-server", mcr, marked)


def test_extensions_are_components_in_their_own_namespaces_and_their_open_projects_are_not() -> None:
    assert component("dataprotection-microsoft", "dataprotection-microsoft-controller", "mcr.microsoft.com/aks/x:1")
    assert component("azure-arc", "extension-manager", "mcr.microsoft.com/azurearck8s/extension-manager:1")
    assert component("flux-system", "source-controller", "mcr.microsoft.com/oss/fluxcd/source-controller:v1")
    assert not component("flux-system", "source-controller", "ghcr.io/fluxcd/source-controller:v1")
    assert not component(
        "azure-workload-identity-system", "azure-wi-webhook-controller-manager", "mcr.microsoft.com/x:1"
    )


def test_pods_of_a_controller_that_is_not_read_are_known_by_it() -> None:
    path = "/api/v1/namespaces/kube-system/pods/eraser-aks-user-x7k2p"
    owner = '{"apiVersion":"eraser.sh/v1","kind":"ImageJob","name":"imagejob-d84l6","controller":true}'
    metadata = f'{{"name":"eraser-aks-user-x7k2p","ownerReferences":[{owner}]}}'
    spec = '{"containers":[{"name":"remover","image":"mcr.microsoft.com/oss/v2/eraser/remover:v1.4.0"}]}'
    added = f'{{"path":"{path}","metadata":{metadata},"spec":{spec},"status":{{"phase":"Running"}}}}'
    subjects = Subjects(estate_of(Case(name="", expect="", add=(added,)))).of(Workload)
    (found,) = [one for one in subjects if isinstance(one, Workload) and one.name == "imagejob-d84l6"]
    assert is_component(found)


def test_each_name_stands_once_beside_its_source() -> None:
    components, access = (
        tomllib.loads((files("aks_audit") / "data" / name).read_text(encoding="utf-8"))
        for name in ("components.toml", "access.toml")
    )
    parts = ("component", "mark", "object", "release")
    entries = [*(one for part in parts for one in components[part]), *access["names"], *access["users"]]
    assert all(one["source"].strip() for one in [*entries, access["administrators"]])
    named = [(one["namespace"], name) for one in components["component"] for name in one["names"]]
    bound = [name for one in access["names"] for name in one["of"]]
    assert len(set(named)) == len(named)
    assert len(set(bound)) == len(bound)


def test_an_image_is_microsofts_by_its_registry_and_not_by_a_name_that_looks_like_it() -> None:
    assert microsofts("mcr.microsoft.com/aks/x:1")
    assert microsofts("MCR.microsoft.com/aks/x:1")
    assert microsofts("crown.azurecr.io/aks-managed-repository/oss/x@sha256:0")
    assert not microsofts("mcr.microsoft.com.example.org/aks/x:1")
    assert not microsofts("crown.azurecr.io/aks/x:1")
    assert not microsofts("mcr.microsoft.com")


def test_what_people_put_into_a_component_is_foreign() -> None:
    spec = {
        "containers": [{"name": "a", "image": "mcr.microsoft.com/x:1"}, {"name": "b", "image": "busybox"}],
        "ephemeralContainers": [{"name": "debug", "image": "mcr.microsoft.com/azurelinux/busybox:1.36"}],
    }
    (workload,) = [
        one
        for one in Subjects(estate_of(Case(name="", expect="", set={"deployment spec.template.spec": spec}))).of(
            Workload
        )
        if one.id.endswith("/deployments/web")
    ]
    assert isinstance(workload, Workload)
    assert workload.template
    assert [container.name for container in foreign(workload.template.every_container)] == ["b", "debug"]
