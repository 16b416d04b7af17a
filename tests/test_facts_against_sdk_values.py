"""Over the same bytes, every field of a fact reads what the SDK's own model reads."""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate, Link, ManagedCluster, View, application_gateway, firewall, networking
from aks_audit.facts.field import parse_network
from cases import BASE, ROOT
from sdk_models import MODELS, NOT_IN_THE_SDK, fields

ESTATES = (BASE, *sorted((ROOT / "fixtures" / "estates").glob("*.jsonl")))

RESOURCES = (
    ManagedCluster,
    networking.NetworkSecurityGroup,
    networking.RouteTable,
    networking.VirtualNetwork,
    networking.LoadBalancer,
    networking.NatGateway,
    networking.NetworkInterface,
    networking.PrivateEndpoint,
    networking.PublicIPAddress,
    networking.VirtualNetworkGateway,
    networking.PublicIPPrefix,
    networking.GatewayConnection,
    application_gateway.ApplicationGateway,
    application_gateway.WebApplicationFirewallPolicy,
    firewall.AzureFirewall,
    firewall.FirewallPolicy,
    firewall.IPGroup,
)

ELSEWHERE = object()
"""A field that this model does not have: one view stands for several models, such as the kinds of firewall rules."""


@pytest.mark.parametrize("path", ESTATES, ids=lambda path: path.stem)
def test_a_fact_reads_what_the_sdk_reads(path: Any) -> None:  # noqa: ANN401 - a path
    found = list(differences(path))
    assert sum(1 for _, said, _ in found if said is not None) > 50, "hardly a value was compared"
    assert not [f"{field}: {ours!r}, the SDK: {theirs!r}" for field, ours, theirs in found if ours != theirs]


def test_no_resource_with_a_model_is_left_out() -> None:
    tops = {view for view in MODELS if "TYPE" in vars(view) and vars(view)["TYPE"].count("/") == 1}
    assert tops == set(RESOURCES)


def differences(path: Any) -> Iterator[tuple[str, object, object]]:  # noqa: ANN401 - a path
    """Each field of each resource: its name, our value and the SDK's."""
    read = snapshot.read([path])
    estate = Estate(read)
    for resource, _ in read.resources:
        for kind in RESOURCES:
            if resource.type.lower() == kind.TYPE.lower():
                module, name = MODELS[kind]
                model = getattr(module, name)(resource.body)
                yield from compared(estate.resource(kind, resource.id), model)


def compared(view: View, model: Any) -> Iterator[tuple[str, object, object]]:  # noqa: ANN401 - any model
    for name, field in fields(type(view)).items():
        if field.path in NOT_IN_THE_SDK:
            continue
        theirs = at(model, field.path.split("."))
        if theirs is ELSEWHERE or (isinstance(view, firewall.FirewallRule) and field.path == "protocols"):
            continue  # the protocols are texts in a network rule, and objects in an application rule
        ours = getattr(view, name)
        inner = list(ours) if isinstance(ours, tuple) else [ours]
        if inner and isinstance(inner[0], View):
            items = theirs if isinstance(theirs, list) else [theirs]
            yield f"{view.document.id} {name}: how many", len(inner), len(items)
            for part, item in zip(inner, items, strict=False):
                yield from compared(part, item)
        else:
            yield f"{view.document.id}{view.pointer} {name}", plain(ours), alike(plain(theirs), ours)


def at(model: Any, names: Sequence[str]) -> Any:  # noqa: ANN401 - any model, any value of it
    """The value of the attribute whose wire name is at the path."""
    for count, name in enumerate(names):
        if model is None:
            return None
        attributes = getattr(model, "_attr_to_rest_field", None)
        if attributes is None:  # a free dictionary, as of add-ons
            keys = {name.lower(), ".".join(names[count:]).lower()}  # a firewall's own settings have dots in their keys
            model = next((value for key, value in model.items() if key.lower() in keys), None)
            if len(names) > count + 1 and not isinstance(model, Mapping):
                return model
            continue
        attribute = next((key for key, rest in attributes.items() if rest._rest_name == name), None)  # noqa: SLF001 - no public way
        if attribute is None:
            return ELSEWHERE
        model = getattr(model, attribute)
    return model


def plain(value: object) -> object:
    """Ours or the SDK's value without its type: ids of links, lists, text; None for what is not set."""
    match value:
        case Enum():
            return str(value.value)
        case Link():
            return value.id
        case list() | tuple():
            return [plain(item) for item in value] or None
        case Mapping():
            return value["id"] if "id" in value else dict(value)
        case "":
            return None
        case _:
            return value


def alike(theirs: object, ours: object) -> object:
    """The SDK's text as the kind of value that we make of it: a network, or an enumeration value, which has no case."""
    if isinstance(ours, IPv4Network | IPv6Network):
        return parse_network(str(theirs))
    if isinstance(ours, tuple) and isinstance(theirs, list):
        return [alike(item, one) for item, one in zip(theirs, ours, strict=True)]
    same = isinstance(ours, Enum) and str(theirs).lower() == str(ours.value).lower()
    return plain(ours) if same else theirs
