"""Who may do what: the recorded roles and bindings of the cluster itself, read as Kubernetes RBAC reads them.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from kubernetes_api.targets import Target

Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: a user name, and the groups it is in."""

    user: str
    groups: frozenset[str]

    @property
    def is_master(self) -> bool:
        """Whether nothing is refused to it."""
        return "system:masters" in self.groups


def service_account(namespace: str, name: str) -> Identity:
    """The identity of a ServiceAccount."""
    groups = {"system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}"}
    return Identity(f"system:serviceaccount:{namespace}:{name}", frozenset(groups))


class Roles:
    """The roles of a cluster and to whom they are bound; each list holds objects as the API gives them."""

    def __init__(
        self,
        cluster_roles: Iterable[Body],
        roles: Iterable[Body],
        bindings: Iterable[Body],
        of_namespaces: Iterable[Body],
    ) -> None:
        self._rules: dict[tuple[str, str], Sequence[Body]] = {
            _key(role): role.get("rules") or () for role in (*cluster_roles, *roles)
        }
        self._bindings = (*bindings, *of_namespaces)

    def permit(self, who: Identity, verb: str, about: Target | str) -> bool:
        """Whether somebody may do something with objects, or with a path that is about none."""
        if who.is_master:
            return True
        namespace = "" if isinstance(about, str) else about.namespace
        return any(_fits(rule, verb, about) for rule in self._rules_of(who, namespace))

    def _rules_of(self, who: Identity, namespace: str) -> Iterator[Body]:
        for binding in self._bindings:
            of = binding["metadata"].get("namespace", "")
            if of in {"", namespace} and any(_is(subject, who) for subject in binding.get("subjects") or ()):
                role = binding["roleRef"]
                yield from self._rules.get((of if role["kind"] == "Role" else "", role["name"]), ())


def _key(role: Body) -> tuple[str, str]:
    return role["metadata"].get("namespace", ""), role["metadata"]["name"]


def _is(subject: Mapping[str, str], who: Identity) -> bool:
    match subject["kind"]:
        case "ServiceAccount":
            return who.user == f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
        case "Group":
            return subject["name"] in who.groups
        case _:
            return subject["name"] == who.user


def _fits(rule: Body, verb: str, about: Target | str) -> bool:
    if not _has(rule.get("verbs"), verb):
        return False
    if isinstance(about, str):
        paths = rule.get("nonResourceURLs") or ()
        return any(about == path or (path.endswith("*") and about.startswith(path[:-1])) for path in paths)
    resource = f"{about.resource}/{about.subresource}" if about.subresource else about.resource
    names = rule.get("resourceNames")
    return (
        _has(rule.get("apiGroups"), about.group)
        and _has(rule.get("resources"), resource)
        and (not names or about.name in names)
    )


def _has(allowed: Sequence[str] | None, value: str) -> bool:
    return allowed is not None and ("*" in allowed or value in allowed)
