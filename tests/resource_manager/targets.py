"""What a request is about: the path of a Resource Manager URL, taken apart."""

from dataclasses import dataclass

from aks_audit.facts.resource_id import parse

_SUBSCRIPTIONS = "Microsoft.Resources/subscriptions"
_GROUPS = "Microsoft.Resources/subscriptions/resourceGroups"


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
        """The permission that Azure asks for."""
        if method == "GET":
            return f"{self.type}/read"
        return f"{self.type}/{'action' if method == 'POST' else 'delete' if method == 'DELETE' else 'write'}"


def target(path: str) -> Target | None:
    """Take a path apart; None if it is none that Resource Manager has."""
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
