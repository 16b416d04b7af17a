"""What a request is about: the path of an API server, taken apart."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """Objects of a kind, `resource` being its plural name: all, those of a `namespace`, or the one called `name`."""

    group: str
    version: str
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def type(self) -> str:
        """The kind as the server's messages write it: `networkpolicies.networking.k8s.io`."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def api(self) -> str:
        """The path of the group's version."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def collection(self) -> str:
        """The path of the kind's list over all namespaces."""
        return f"{self.api}/{self.resource}"

    def verb(self, method: str) -> str:
        """The verb that roles have for an HTTP method."""
        match method:
            case "GET" | "HEAD":
                return "get" if self.name else "list"
            case "DELETE":
                return "delete" if self.name else "deletecollection"
            case _:
                return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(method, method.lower())


def target(path: str) -> Target | None:
    """Take a path apart; None if it is about no objects, as discovery and /version are not."""
    match path.strip("/").split("/"):
        case ["api", version, *rest] if rest:
            return _target("", version, rest)
        case ["apis", group, version, *rest] if rest:
            return _target(group, version, rest)
        case _:
            return None


def _target(group: str, version: str, rest: list[str]) -> Target:
    match rest:
        case ["namespaces", namespace]:
            # To the authorization of a real server, a namespace lies in itself.
            return Target(group, version, "namespaces", namespace, namespace)
        case ["namespaces", namespace, resource, *names]:
            return Target(group, version, resource, namespace, *names[:2])
        case [resource, *names]:
            return Target(group, version, resource, "", *names[:2])
        case _:
            raise AssertionError(rest)
