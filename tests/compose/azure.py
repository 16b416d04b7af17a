"""Names and ids of Azure Resource Manager, and the frame that every resource body has."""

import uuid
from collections.abc import Mapping
from typing import NamedTuple

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import Body

_NAMESPACE = uuid.UUID("a5a0d170-0000-4000-8000-000000000000")
NETWORK = "Microsoft.Network"
TENANT = "7e4a4700-0000-4000-8000-000000000000"


def guid(*names: str) -> str:
    """A GUID that is always the same for the same names."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(names).lower()))


def digits(*names: str) -> str:
    """Eight digits that are always the same for the same names, as AKS puts into the names of what it makes."""
    return f"{uuid.UUID(guid(*names)).int % 90_000_000 + 10_000_000}"


def etag(resource_id: str) -> str:
    """The entity tag of a network resource."""
    return f'W/"{guid(resource_id, "etag")}"'


def child(parent: str, kind: str, name: str) -> str:
    """The id of a resource inside another, such as a subnet of a virtual network."""
    return f"{parent}/{kind}/{name}"


def name_of(resource_id: str) -> str:
    """The last name in an id."""
    return parse(resource_id).name


def reference(resource_id: str) -> Body:
    """A reference to a resource, as bodies hold it."""
    return {"id": resource_id}


class Subscription(NamedTuple):
    """A subscription, by its id, and the region its groups are in."""

    subscription_id: str
    location: str = "westeurope"

    @property
    def id(self) -> str:
        """The ARM id."""
        return f"/subscriptions/{self.subscription_id}"

    def group(self, name: str) -> "Group":
        """A resource group of the subscription."""
        return Group(self, name)


class Group(NamedTuple):
    """A resource group."""

    subscription: Subscription
    name: str

    @property
    def id(self) -> str:
        """The ARM id."""
        return f"{self.subscription.id}/resourceGroups/{self.name}"

    @property
    def location(self) -> str:
        """The region."""
        return self.subscription.location

    def of(self, kind: str, name: str) -> str:
        """The id of a resource in the group; the namespace is Microsoft.Network where the type names none."""
        full = kind if "/" in kind else f"{NETWORK}/{kind}"
        return f"{self.id}/providers/{full}/{name}"


def resource(group: Group, resource_id: str, properties: Mapping[str, object], **top: object) -> Body:
    """A resource's body: its frame, its properties, and what else stands beside them (`sku`, `zones`, `tags` …)."""
    return {
        "id": resource_id,
        "name": name_of(resource_id),
        "type": parse(resource_id).type,
        "location": group.location,
        "properties": {"provisioningState": "Succeeded", **properties},
        **top,
    }


def network_resource(group: Group, resource_id: str, properties: Mapping[str, object], **top: object) -> Body:
    """A resource of Microsoft.Network: also with entity tag and resource GUID."""
    own = {"resourceGuid": guid(resource_id), **properties}
    return {**resource(group, resource_id, own, **top), "etag": etag(resource_id)}


def part(parent: str, kind: str, name: str, properties: Mapping[str, object], **top: object) -> Body:
    """A named part of a network resource that has an id of its own, such as a route or a front end."""
    own = child(parent, kind, name)
    return {
        "id": own,
        "name": name,
        "etag": etag(parent),
        "type": f"{parse(parent).type}/{kind}",
        "properties": {"provisioningState": "Succeeded", **properties},
        **top,
    }
