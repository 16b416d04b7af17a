"""The bindings of a cluster, found by whom they bind and by the role that they bind."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple, TypeVar

from aks_audit.facts import ManagedCluster, NotCollected, Unread
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.link import Holding
from aks_audit.facts.rbac import (
    AnyBinding,
    AnyRole,
    ClusterRole,
    ClusterRoleBinding,
    Role,
    RoleBinding,
    ServiceAccount,
    Subject,
)
from aks_audit.facts.resource_id import fold
from aks_audit.rbac.authorizer import Grant, Identity
from aks_audit.results import Missing

K = TypeVar("K", bound=KubernetesObject)


class Bindings(NamedTuple):
    """The bindings of a cluster that are known, and what was not read that may hold more of them.

    `subjects` holds them by kind and name of a subject, `roles` by the folded id of the role that they bind.
    """

    subjects: dict[tuple[str, str], list[tuple[AnyBinding, Subject]]]
    roles: dict[str, list[AnyBinding]]
    missing: tuple[Missing, ...]

    def binding(self, role: AnyRole) -> tuple[AnyBinding, ...]:
        """The bindings of a role."""
        return tuple(self.roles.get(fold(role.id), ()))

    def of(self, identity: Identity) -> tuple[tuple[AnyBinding, Subject], ...]:
        """The bindings that reach an identity, by its own name or by a group that it is in."""
        return tuple(found for key in identity.keys for found in self.subjects.get(key, ()))

    def whole(self) -> None:
        """Assert that there are no others.

        Raises:
            NotCollected: nothing says so.
        """
        if self.missing:
            raise NotCollected(*self.missing)


def bindings(cluster: ManagedCluster) -> Bindings:
    """The bindings of a cluster, found once. One that cannot be read counts as missing."""
    return cluster.estate.once(_bindings, cluster)


def role_of(binding: AnyBinding) -> AnyRole | None:
    """The role that a binding binds; None where there is none of that name.

    Raises:
        NotCollected: it was not read.
        Malformed: the binding names none.
    """
    role_id = binding.role_id
    kind: type[AnyRole] = ClusterRole if "/clusterroles/" in role_id else Role
    return existing(binding, kind, role_id)


def grant(binding: AnyBinding, subject: Subject) -> Grant:
    """The chain from a subject over its binding to the role.

    Raises:
        NotCollected: the role was not read.
        Malformed: the binding names none.
    """
    return Grant(binding, subject, role_of(binding))


def account_of(binding: AnyBinding, subject: Subject) -> str:
    """The id of the service account that a subject of a binding is.

    Raises:
        Malformed: it lacks what each subject has.
    """
    namespace, _, name = subject.key[1].partition("/")
    return f"{binding.cluster_id}/api/v1/namespaces/{namespace}/{ServiceAccount.TYPE}/{name}"


def existing(one: KubernetesObject, kind: type[K], wanted: str) -> K | None:
    """An object of the same cluster by its id; None where there is none.

    Raises:
        NotCollected: it was not read.
    """
    try:
        return one.estate.resource(kind, wanted)
    except NotCollected:
        one.estate.within(kind, one.cluster_id).whole()
        return None


def aggregated(role: AnyRole) -> bool:
    """Whether an aggregated ClusterRole that is known, such as `edit`, is made of a role among others.

    Raises:
        Malformed: its labels cannot be read.
    """
    labels = role.object_labels or {}
    selectors = role.estate.once(_selectors, role.cluster) if isinstance(role, ClusterRole) else ()
    return any(one.items() <= labels.items() for one in selectors)


def _selectors(cluster: ManagedCluster) -> tuple[dict[str, str], ...]:
    """The labels by which aggregated ClusterRoles select; expressions beside them, which only select less, aside."""
    found: list[dict[str, str]] = []
    for role in cluster.estate.within(ClusterRole, cluster.id):
        with suppress(Unread):
            rule = role.aggregation_rule
            found += [one.match_labels or {} for one in (rule.cluster_role_selectors or () if rule else ())]
    return tuple(found)


def _bindings(cluster: ManagedCluster) -> Bindings:
    subjects: dict[tuple[str, str], list[tuple[AnyBinding, Subject]]] = defaultdict(list)
    roles: dict[str, list[AnyBinding]] = defaultdict(list)
    missing: list[Missing] = []
    kinds: tuple[type[AnyBinding], ...] = (ClusterRoleBinding, RoleBinding)
    for kind in kinds:
        for binding in _known(cluster.estate.within(kind, cluster.id), missing):
            try:
                roles[fold(binding.role_id)].append(binding)
                for subject in binding.subjects or ():
                    subjects[subject.key].append((binding, subject))
            except Unread as unread:
                missing += unread.missing
    return Bindings(dict(subjects), dict(roles), tuple(missing))


def _known(held: Holding[K], missing: list[Missing]) -> Iterable[K]:
    try:
        return held.whole()
    except NotCollected as unread:
        missing += unread.missing
        return held.known
