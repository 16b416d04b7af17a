"""Which registries clusters pull images from, as far as Azure tells."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from aks_audit.facts.authorization import Role, RoleAssignment, RoleAssignments
from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.link import Holding
from aks_audit.facts.registry import ContainerRegistry
from aks_audit.facts.resource_id import parse
from aks_audit.facts.unread import NotCollected, Unread
from aks_audit.results import Missing

_PULL = "Microsoft.ContainerRegistry/registries/pull/read"
_PULL_REPOSITORY = "Microsoft.ContainerRegistry/registries/repositories/content/read"
_MANAGEMENT_GROUP = "microsoft.management/managementgroups"
_PUSH = "Microsoft.ContainerRegistry/registries/push/write"
_PUSH_REPOSITORY = "Microsoft.ContainerRegistry/registries/repositories/content/write"


class RegistryUse(NamedTuple):
    """A registry that a cluster pulls from, by its id, and what shows it.

    `bootstrap`: the cluster names it; `role`: its kubelet identity may pull; `subscription`: it is only near.
    """

    registry: str
    shown_by: Literal["bootstrap", "role", "subscription"]


def may_pull(role: Role) -> bool:
    """Whether a role lets images be pulled, in either of the two ways that registries check permissions."""
    return role.allows(_PULL) or role.allows_data(_PULL_REPOSITORY)


def may_push(role: Role) -> bool:
    """Whether a role lets images be replaced, in either way."""
    return role.allows(_PUSH) or role.allows_data(_PUSH_REPOSITORY)


class Registries(NamedTuple):
    """The registries of a cluster that are known, and what was not read that may name more."""

    known: tuple[RegistryUse, ...]
    missing: tuple[Missing, ...]


def registries_of(cluster: ManagedCluster) -> Registries:
    """The registries of a cluster; where neither the cluster nor a role names one, those of its subscription.

    Raises:
        Malformed: what the cluster's body says of them cannot be read.
    """
    known: list[RegistryUse] = []
    missing: list[Missing] = []
    if cluster.bootstrap_registry:
        known.append(RegistryUse(cluster.bootstrap_registry.id, "bootstrap"))
    for assignment in _kubelet_assignments(cluster):
        try:
            known += [RegistryUse(registry, "role") for registry in _pulled(assignment)]
        except Unread as unread:
            missing += unread.missing
    if not known:
        near = cluster.estate.within(ContainerRegistry, f"/subscriptions/{cluster.parsed.subscription}")
        known += [RegistryUse(registry.id, "subscription") for registry in near]
        missing += _unread_around(cluster, near)
    return Registries(tuple(known), tuple(missing))


def _kubelet_assignments(cluster: ManagedCluster) -> tuple[RoleAssignment, ...]:
    kubelet = cluster.kubelet_object_id
    if kubelet is None:
        return ()
    held = cluster.estate.indexed(RoleAssignments).of([kubelet])
    return tuple(one for one in held if one.principal_id and one.principal == kubelet.lower())


def _pulled(assignment: RoleAssignment) -> tuple[str, ...]:
    """The registries that an assignment lets images be pulled from; any role on a registry alone is for that."""
    kind = parse(assignment.scope).type.lower()
    if kind == ContainerRegistry.TYPE.lower():
        return (assignment.scope,)
    if kind and kind != _MANAGEMENT_GROUP:
        return ()  # on another resource, in which no registry is
    if not may_pull(assignment.role):
        return ()
    reached = (one for one in assignment.estate.every(ContainerRegistry) if assignment.reaches(one.id))
    return tuple(registry.id for registry in reached)


def _unread_around(cluster: ManagedCluster, near: Holding[ContainerRegistry]) -> Iterator[Missing]:
    """What is missing of the lists in which a cluster's registries would be found."""
    roles = cluster.estate.indexed(RoleAssignments).on(f"/subscriptions/{cluster.parsed.subscription}")
    for whole in (near.whole, roles.whole):
        try:
            whole()
        except NotCollected as unread:
            yield from unread.missing
