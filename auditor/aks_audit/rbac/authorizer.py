"""Whether a role allows a request, as the API server's own authorizer decides it.

Sources: https://github.com/kubernetes/kubernetes/blob/master/plugin/pkg/auth/authorizer/rbac/rbac.go and
https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/rbac/v1/evaluation_helpers.go
"""

from typing import NamedTuple

from aks_audit.facts.rbac import AnyBinding, AnyRole, Permission, PolicyRule, RoleBinding, Subject

_ALL = "*"
_ACCOUNT = "system:serviceaccount:"

SERVICE_ACCOUNTS = "system:serviceaccounts"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = "system:anonymous"
"""The names of users and groups that the API server itself gives."""


class Request(NamedTuple):
    """What somebody asks of the API server: a verb on a resource, or on a `path` that is none.

    No namespace is a request about the whole cluster; no name is one about a list, or about whatever it is called.
    """

    verb: str
    api_group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""
    path: str = ""


class Identity(NamedTuple):
    """Who asks: a user and the groups that the API server counts it to."""

    user: str
    groups: frozenset[str]

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """The kinds and names of subjects that it is, as `Subject.key` has them."""
        account = self.user.removeprefix(_ACCOUNT).replace(":", "/", 1)
        itself = [("User", self.user), *([("ServiceAccount", account)] if self.user.startswith(_ACCOUNT) else [])]
        return (*itself, *(("Group", group) for group in sorted(self.groups)))


def service_account(namespace: str, name: str) -> Identity:
    """The identity of a service account."""
    groups = {SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}", AUTHENTICATED}
    return Identity(f"{_ACCOUNT}{namespace}:{name}", frozenset(groups))


def allows(permission: Permission, request: Request) -> bool:
    """Whether a rule of a role allows a request, wherever it is bound."""
    if not _holds(permission.verbs, request.verb):
        return False
    if request.path:
        return any(_matches_path(url, request.path) for url in permission.non_resource_urls)
    return (
        _holds(permission.api_groups, request.api_group)
        and _has_resource(permission.resources, request)
        and (not permission.resource_names or request.name in permission.resource_names)
    )


class Grant(NamedTuple):
    """A chain that gives rights: a binding, the subject in it, and the role, None where there is none of that name."""

    binding: AnyBinding
    subject: Subject
    role: AnyRole | None

    def by(self, request: Request) -> PolicyRule | None:
        """The rule by which the chain allows a request, if it does.

        Raises:
            Malformed: the role cannot be read.
        """
        inside = not request.path and self.binding.namespace == request.namespace
        if isinstance(self.binding, RoleBinding) and not inside:
            return None
        rules = (self.role.rules if self.role else None) or ()
        return next((rule for rule in rules if allows(rule.permission, request)), None)


def _holds(allowed: frozenset[str], asked: str) -> bool:
    return _ALL in allowed or asked in allowed


def _has_resource(allowed: frozenset[str], request: Request) -> bool:
    if not request.subresource:
        return _holds(allowed, request.resource)
    return _holds(allowed, f"{request.resource}/{request.subresource}") or f"*/{request.subresource}" in allowed


def _matches_path(url: str, path: str) -> bool:
    return url in {_ALL, path} or (url.endswith(_ALL) and path.startswith(url.rstrip(_ALL)))
