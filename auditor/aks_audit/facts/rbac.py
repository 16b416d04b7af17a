"""Who may do what inside clusters, as the Kubernetes API sends it: roles, their bindings, and service accounts."""

from collections.abc import Mapping
from typing import NamedTuple

from aks_audit.facts.field import View, flag, named_texts, part, parts, text, texts
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.unread import Malformed

_SUBJECTS = frozenset({"Group", "ServiceAccount", "User"})
_API = "apis/rbac.authorization.k8s.io/v1"


class Permission(NamedTuple):
    """What one rule of a role allows; no names means every name. A rule has resources or URLs, seldom both."""

    verbs: frozenset[str]
    api_groups: frozenset[str]
    resources: frozenset[str]
    resource_names: frozenset[str]
    non_resource_urls: frozenset[str]


class PolicyRule(View):
    """A rule of a role."""

    __slots__ = ()

    verbs = texts("verbs")
    api_groups = texts("apiGroups")
    resources = texts("resources")
    resource_names = texts("resourceNames")
    non_resource_urls = texts("nonResourceURLs")

    @property
    def permission(self) -> Permission:
        """What it allows.

        Raises:
            Malformed: it lacks what the API server demands: verbs, and resources with their groups, or URLs.
        """
        whole = self.verbs and ((self.resources and self.api_groups) or (self.non_resource_urls and not self.resources))
        if not whole:
            raise Malformed(self.document.id, self.pointer, "a rule without verbs, resources or groups")
        lists = (self.verbs, self.api_groups, self.resources, self.resource_names, self.non_resource_urls)
        return Permission(*(frozenset(one or ()) for one in lists))


class RoleRef(View):
    """What a binding binds; it cannot be changed."""

    __slots__ = ()

    kind = text("kind")
    name = text("name")


class Subject(View):
    """Whom a binding binds: a user, a group, or a service account."""

    __slots__ = ()

    kind = text("kind")
    name = text("name")
    namespace = text("namespace")

    @property
    def key(self) -> tuple[str, str]:
        """Its kind and name; that of a service account with its namespace before it: `("ServiceAccount", "ci/bot")`.

        Raises:
            Malformed: it lacks what the API server demands.
        """
        kind = self.kind or ""
        if kind not in _SUBJECTS or not self.name or (kind == "ServiceAccount" and not self.namespace):
            raise Malformed(self.document.id, self.pointer, "a subject without kind, name or namespace")
        return kind, f"{self.namespace}/{self.name}" if self.kind == "ServiceAccount" else self.name

    @property
    def told(self) -> str:
        """It in words: `ServiceAccount ci/bot`."""
        return " ".join(self.key)


class AccessObject(KubernetesObject):
    """A role, a binding or a service account."""

    __slots__ = ()

    TYPE = ""

    @property
    def kind(self) -> str:
        """Its kind, as kubectl takes it: `rolebinding`."""
        return self.document.type.partition(".")[0].removesuffix("s")

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs. kubectl passes over the namespace of what has none."""
        return {**super().labels, "kind": self.kind, "namespace": self.namespace or "default"}


class ClusterRoleSelector(View):
    """Which ClusterRoles an aggregated one is made of."""

    __slots__ = ()

    match_labels = named_texts("matchLabels")


class AggregationRule(View):
    """What an aggregated ClusterRole is made of; a controller keeps its rules so."""

    __slots__ = ()

    cluster_role_selectors = parts("clusterRoleSelectors", ClusterRoleSelector)


class AnyRole(AccessObject):
    """A Role or a ClusterRole. An aggregated ClusterRole has the rules of those that it is made of."""

    __slots__ = ()

    rules = parts("rules", PolicyRule)
    aggregation_rule = part("aggregationRule", AggregationRule)

    def part_of(self, name: str) -> bool:
        """Whether a label makes it a part of `admin`, `edit` or `view`."""
        return (self.object_labels or {}).get(f"rbac.authorization.k8s.io/aggregate-to-{name}") == "true"


class Role(AnyRole):
    """What is allowed in one namespace."""

    __slots__ = ()

    TYPE = "roles.rbac.authorization.k8s.io"


class ClusterRole(AnyRole):
    """What is allowed in the whole cluster, or where a RoleBinding says."""

    __slots__ = ()

    TYPE = "clusterroles.rbac.authorization.k8s.io"


class AnyBinding(AccessObject):
    """A RoleBinding or a ClusterRoleBinding."""

    __slots__ = ()

    role_ref = part("roleRef", RoleRef)
    subjects = parts("subjects", Subject)

    @property
    def role_id(self) -> str:
        """The id of the role that it binds.

        Raises:
            Malformed: it names none, as cannot be.
        """
        ref = self.role_ref
        if ref is None or not ref.name or ref.kind not in {"ClusterRole", "Role"}:
            raise Malformed(self.id, self.at(AnyBinding.role_ref).pointer, "a binding without its role")
        if ref.kind == "ClusterRole":
            return f"{self.cluster_id}/{_API}/clusterroles/{ref.name}"
        return f"{self.cluster_id}/{_API}/namespaces/{self.namespace}/roles/{ref.name}"

    @property
    def role_name(self) -> str:
        """The name of the role that it binds.

        Raises:
            Malformed: as `role_id`.
        """
        return self.role_id.rpartition("/")[2]


class RoleBinding(AnyBinding):
    """It gives what a role allows, in its own namespace."""

    __slots__ = ()

    TYPE = "rolebindings.rbac.authorization.k8s.io"


class ClusterRoleBinding(AnyBinding):
    """It gives what a ClusterRole allows, everywhere."""

    __slots__ = ()

    TYPE = "clusterrolebindings.rbac.authorization.k8s.io"


class TokenSecret(View):
    """A Secret that a service account names; before Kubernetes 1.24 each had one with a token of its own."""

    __slots__ = ()

    name = text("name")


class ServiceAccount(AccessObject):
    """A service account: what a pod is to the API server."""

    __slots__ = ()

    TYPE = "serviceaccounts"

    automount_service_account_token = flag("automountServiceAccountToken")
    secrets = parts("secrets", TokenSecret)


ACCESS: Mapping[type[KubernetesObject], tuple[type[AccessObject], ...]] = {
    AnyRole: (ClusterRole, Role),
    AnyBinding: (ClusterRoleBinding, RoleBinding),
    AccessObject: (ClusterRole, ClusterRoleBinding, Role, RoleBinding, ServiceAccount),
}
"""The kinds that each of the kinds made of several stands for."""
