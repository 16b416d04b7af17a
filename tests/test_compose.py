"""What is composed has the shape that Azure sends: every name in a body is one that the SDK knows, and ids agree."""

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import AzureResource, Estate, field
from aks_audit.facts.applications import Application
from aks_audit.facts.resource_id import parse
from aks_audit.sources.kubernetes import plan
from aks_audit.sources.kubernetes.trim import trim
from compose import fleet
from compose.estates import ESTATES, demo
from sdk_models import MODELS, resolve

ALL = {**ESTATES, "demo": demo.records}
VIEWS = {view.TYPE.lower(): view for view in MODELS if issubclass(view, AzureResource) and hasattr(view, "TYPE")}
NOT_IN_THE_SDK = {
    "properties.allowPort25Out": "recorded answers about network interfaces",
    "properties.aadProfile.adminUsers": "sent as null beside adminGroupObjectIDs, in recorded answers",
    "properties.networkProfile.dockerBridgeCidr": "api-versions before 2023",
    "properties.nodeProvisioningProfile.defaultNodePools": "recorded answers of previews",
    "properties.securityProfile.azureDefender": "api-versions before 2022-06-01",
    "properties.securityProfile.imageIntegrity": "preview api-versions",
    "kind": "recorded answers about network interfaces",
    "sku.tier": "recorded answers about NAT gateways",
    "PrivateEndpoint: properties.resourceGuid": "recorded answers about private endpoints",
    "HubVirtualNetworkConnection: type": "answers in the REST API reference",
    "RuleCollectionGroup: location": "recorded answers about rule collection groups",
    "VirtualNetworkGateway: properties.ipConfigurations.type": "answers about gateways in Azure's own guides",
}


NAMELESS = {
    "microsoft.compute/locations/usages": "the items of a list are one resource in a snapshot",
    "microsoft.graph/conditionalaccesspolicies": "nobody's names are kept",
    "microsoft.policyinsights/policystates": "rows of Resource Graph, of which columns are asked for",
}


def _resources(name: str) -> list[snapshot.Resource]:
    """The bodies of Azure's; what is inside clusters has no ids and names of Azure's shape."""
    return [record for record in ALL[name]() if isinstance(record, snapshot.Resource) and record.source == "azure"]


def _names(value: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _names(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for item in value:
            yield from _names(item, path)
    else:
        yield path


def _unknown_names(view: type[field.View], body: snapshot.Body) -> set[str]:
    free = (
        "identity.userAssignedIdentities",
        "tags",
        "properties.addonProfiles",
        "properties.identityProfile",
        "properties.additionalProperties",
    )
    names = {name for name in _names(body) if not name.startswith((*free, *NOT_IN_THE_SDK))}
    told = {name for name in names if f"{view.__name__}: {name}" not in NOT_IN_THE_SDK}
    return {name for name in told if resolve(view, name) is None}


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_name_in_a_body_is_one_of_azures(name: str) -> None:
    judged = [(VIEWS[record.type.lower()], record) for record in _resources(name) if record.type.lower() in VIEWS]
    unknown = {f"{view.__name__}: {found}" for view, record in judged for found in _unknown_names(view, record.body)}
    assert judged
    assert not unknown


@pytest.mark.parametrize("name", sorted(ALL))
def test_ids_agree_with_names_and_types_and_stand_once(name: str) -> None:
    resources = _resources(name)
    assert len({record.id.lower() for record in resources}) == len(resources)
    for record in resources:
        parsed = parse(record.id)
        assert record.body["id"] == record.id
        if record.type.lower() not in NAMELESS:
            assert parsed.name == record.body["appId" if record.type == Application.TYPE else "name"]
        assert parsed.type.lower() == record.type.lower()


@pytest.mark.parametrize("name", sorted(ESTATES))
def test_every_reference_to_a_listed_type_leads_to_a_body(name: str) -> None:
    records = ESTATES[name]()
    listed = {record.type.lower() for record in records if isinstance(record, snapshot.Listing)}
    there = {record.id.lower() for record in records if isinstance(record, snapshot.Resource)}
    named = {found for record in _resources(name) for found in _references(record.body)}
    lost = {found for found in named if parse(found).type.lower() in listed and found.lower() not in there}
    assert not {found for found in lost if not parse(found).name.startswith("HV_")}  # of a virtual hub: Microsoft's own


def _references(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, str) and value.startswith("/subscriptions/"):
        yield value


def test_what_is_inside_the_clusters_of_the_demo_agrees_with_azures_side() -> None:
    azure = {record.id.lower(): record.body for record in _resources("demo")}
    machines, fronts = Counter[str](), set[str]()
    for record in _inside("nodes"):
        machine = record.body["spec"]["providerID"].removeprefix("azure://").lower()
        machines[machine.rpartition("/virtualmachines/")[0]] += 1
    for record in _inside("services"):
        fronts |= {one["ip"] for one in record.body["status"]["loadBalancer"].get("ingress", ())}
    assert machines == {one: azure[one]["sku"]["capacity"] for one in machines}
    assert len(machines) == len([one for one in azure if "scalesets" in one and "sandbox" not in one])
    assert fronts == {"10.8.0.68", "10.8.0.69", "20.71.5.21"}
    assert fronts < set(_texts(list(azure.values())))


def test_pods_of_the_demo_have_addresses_of_their_own_where_azure_gives_them() -> None:
    places = {
        "aks-payments": "10.244.0.0/16",
        "aks-shop": "10.8.16.0/20",
        "aks-data": "10.245.0.0/16",
        "aks-web": "10.8.4.0/22",
    }
    given = [record for record in _inside("pods") if not record.body["spec"].get("hostNetwork")]
    found = {record.body["status"]["podIP"] for record in given}
    assert len(found) == len(given)
    for record in given:
        cluster = next(name for name in places if f"/{name}/" in record.id)
        assert IPv4Address(record.body["status"]["podIP"]) in IPv4Network(places[cluster])


def test_what_is_inside_the_clusters_of_the_demo_is_as_a_scan_would_keep_it() -> None:
    listed = {(record.type, record.scope) for record in demo.records() if isinstance(record, snapshot.Listing)}
    clusters = [record.body["id"] for record in _resources("demo") if record.type.endswith("/ManagedClusters")]
    entered = [one for one in clusters if not one.endswith("/aks-sandbox")]
    assert {(kind.type, one) for kind in plan.kinds() for one in entered} <= listed
    for kind in plan.kinds():
        for record in _inside(kind.type):
            assert trim(deepcopy(record.body)) == record.body


def _inside(kind: str) -> list[snapshot.Resource]:
    return [record for record in demo.records() if isinstance(record, snapshot.Resource) and record.type == kind]


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def test_a_fleet_has_as_many_clusters_as_asked_for_and_is_the_same_each_time() -> None:
    records = fleet(7)
    kinds = [record.type.lower() for record in records if isinstance(record, snapshot.Resource)]
    assert kinds.count("microsoft.containerservice/managedclusters") == 7
    assert snapshot.encode(records) == snapshot.encode(fleet(7))


NOT_TOLD = {
    "AKS-API-05": "the hub that routes lead to is not part of the fleet, so its public addresses are not",
    "AKS-ING-07": "what takes web traffic up behind a public load balancer, only the Kubernetes API tells",
}
"""What no body of the fleet holds, by the rule that asks for it."""


def test_a_fleet_is_read_whole_and_varied() -> None:
    findings = audit(Estate(snapshot.of(fleet(12))), load_rules())
    missing = {(f.rule, one.kind) for f in findings for one in f.missing if one.kind != "not-asked"}
    assert missing == {(rule, "not-sent") for rule in NOT_TOLD}  # nobody asked what is inside
    assert {"pass", "fail", "not-applicable"} <= {finding.outcome for finding in findings}
    varied = {finding.rule for finding in findings if finding.outcome == "pass"} & {
        finding.rule for finding in findings if finding.outcome == "fail"
    }
    assert len(varied) > 15
