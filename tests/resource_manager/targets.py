"""What a request is about: the path of a Resource Manager URL, taken apart."""

import re
from dataclasses import dataclass

from aks_audit.facts.resource_id import parse

_SUBSCRIPTIONS = "Microsoft.Resources/subscriptions"
_GROUPS = "Microsoft.Resources/subscriptions/resourceGroups"
APPLICATIONS = "Microsoft.Graph/applications"
"""What a path of Microsoft Graph is about, which has one application."""

ACCESS_POLICIES = "Microsoft.Graph/conditionalAccessPolicies"
"""What another is about, which lists all policies of conditional access."""

_ACCESS = "/providers/Microsoft.Graph/identity/conditionalAccess"
_PERMISSIONS = {APPLICATIONS: "Application.Read.All", ACCESS_POLICIES: "Policy.Read.All"}
_APPLICATION = re.compile(r"/v1\.0/applications\(appId='(?P<id>[^']+)'\)")


@dataclass(frozen=True, slots=True)
class Target:
    """A resource, or where `collection` all of a type in `scope`.

    `scope` is what a permission is needed over: the resource itself, or what holds the collection.
    """

    path: str
    type: str
    scope: str
    collection: bool

    @property
    def subscription(self) -> str:
        """The id of the subscription; empty at the level of the tenant."""
        return parse(self.path).subscription

    @property
    def group(self) -> str:
        """The name of the resource group, if the path has one."""
        return parse(self.path).group

    def action(self, method: str) -> str:
        """The permission that Azure, or Microsoft Graph, asks for."""
        if permission := _PERMISSIONS.get(self.type):
            return permission
        if method == "GET":
            return f"{self.type}/read"
        return f"{self.type}/{'action' if method == 'POST' else 'delete' if method == 'DELETE' else 'write'}"


def target(path: str) -> Target | None:
    """Take a path apart; None if it is none that Resource Manager or Microsoft Graph has."""
    if application := _APPLICATION.fullmatch(path):
        own = f"/providers/{APPLICATIONS}/{application['id']}"
        return Target(own, APPLICATIONS, own, collection=False)
    if path == "/v1.0/identity/conditionalAccess/policies":
        return Target(_ACCESS, ACCESS_POLICIES, _ACCESS, collection=True)
    return _of_resource_manager(path)


def _of_resource_manager(path: str) -> Target | None:
    path = "/" + path.strip("/")
    parts = path.split("/")[1:]
    lower = [part.lower() for part in parts]
    if "providers" in lower:
        return _of_provider(path, parts, len(lower) - 1 - lower[::-1].index("providers"))
    match lower:
        case ["subscriptions"]:
            return Target(path, _SUBSCRIPTIONS, "/", collection=True)
        case ["subscriptions", _]:
            return Target(path, _SUBSCRIPTIONS, path, collection=False)
        case ["subscriptions", _, "resourcegroups"]:
            return Target(path, _GROUPS, path.rpartition("/")[0], collection=True)
        case ["subscriptions", _, "resourcegroups", _]:
            return Target(path, _GROUPS, path, collection=False)
        case _:
            return None


def _of_provider(path: str, parts: list[str], providers: int) -> Target | None:
    namespace, *rest = parts[providers + 1 :] or [""]
    if not rest:
        return None
    resource_type = "/".join([namespace, *rest[::2]])
    if len(rest) % 2 == 0:
        return Target(path, resource_type, path, collection=False)
    holder = parts[:-1] if len(rest) > 1 else parts[:providers]
    return Target(path, resource_type, "/" + "/".join(holder), collection=True)
