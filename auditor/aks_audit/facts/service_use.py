"""Which key vaults, storage accounts, SQL servers and registries clusters use, as far as Azure and the inside tell.

A cluster names some itself; others are shown by a role that one of its identities has on them alone, by a private
endpoint in its network, or by an object inside it that names them (`inside_use`). What workloads reach by a name in
their own settings is told nowhere: these are never all.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Literal, NamedTuple, TypeAlias

from aks_audit.facts.authorization import RoleAssignment, RoleAssignments
from aks_audit.facts.cluster import AddOn, ManagedCluster
from aks_audit.facts.data_stores import SqlServer, StorageAccount
from aks_audit.facts.estate import Estate
from aks_audit.facts.key_vault import KeyVault
from aks_audit.facts.networking import PrivateEndpoint, VirtualNetwork
from aks_audit.facts.private_link import LinkedService
from aks_audit.facts.registry import ContainerRegistry
from aks_audit.facts.resource_id import parse
from aks_audit.facts.unread import Malformed, NotCollected, Unread
from aks_audit.results import Missing

ShownBy: TypeAlias = Literal["named", "encryption", "control-plane-role", "role", "endpoint", "inside", "subscription"]
"""What shows that a cluster uses a service.

`named`: its own settings, for its nodes or pods; `encryption`: its settings for etcd or disks, for which AKS and Azure
fetch the key; `control-plane-role`, `role`: an identity that AKS acts with, or that nodes and add-ons have, may do
something there; `endpoint`: it has a private endpoint in the cluster's network; `inside`: a volume, a secret provider
or an image inside the cluster names it; `subscription`: it is only near.
"""

SERVICES: dict[str, type[LinkedService]] = {
    kind.TYPE.lower(): kind for kind in (ContainerRegistry, KeyVault, SqlServer, StorageAccount)
}
"""The services whose use is looked for, by type in lower case."""


class ServiceUse(NamedTuple):
    """A service that a cluster uses, by its id, and what shows it."""

    service: str
    shown_by: ShownBy


class Services(NamedTuple):
    """The services of a cluster that are known, and what was not read that may name more."""

    known: tuple[ServiceUse, ...]
    missing: tuple[Missing, ...]


def service_of(resource_id: str) -> str | None:
    """The id of the service that an id names: itself, or what holds it; None where it names none."""
    candidate = resource_id.rstrip("/")
    while candidate:
        parsed = parse(candidate)
        if parsed.type.lower() in SERVICES:
            return candidate
        candidate = parsed.parent
    return None


def node_principals(cluster: ManagedCluster) -> Iterator[str]:
    """The object ids of the identities that nodes and add-ons of a cluster have.

    Raises:
        Malformed: one of them is no string.
    """
    yield from filter(None, (cluster.kubelet_object_id, cluster.app_routing_object_id))
    add_ons = cluster.add_ons
    for name, node in add_ons.node.items() if add_ons else ():
        if not isinstance(node, dict):
            raise Malformed(cluster.id, f"/properties/addonProfiles/{name}", "an add-on that is no object")
        found = AddOn(cluster.estate, cluster.document, node, f"/properties/addonProfiles/{name}").object_id
        if found:
            yield found


def services_of(cluster: ManagedCluster, networks: Callable[[ManagedCluster], Iterable[str]]) -> Services:
    """The services of a cluster; `networks` gives the ids of the networks that its subnets are in."""
    roles = uses_by_role(cluster)
    others = _gathered(
        lambda: _named(cluster),
        lambda: _encrypting(cluster),
        lambda: _with_endpoint(cluster.estate, networks(cluster)),
    )
    missing = (*cluster.estate.unlisted(RoleAssignment), *roles.missing, *others.missing)
    return Services((*others.known, *roles.known), tuple(dict.fromkeys(missing)))


def uses_by_role(cluster: ManagedCluster) -> Services:
    """The services on which alone, or on a part of which, an identity of a cluster has a role.

    A role above them says nothing of use.
    """
    return _gathered(
        lambda: _with_role(cluster, cluster.identity_principals, "control-plane-role"),
        lambda: _with_role(cluster, node_principals(cluster), "role"),
    )


def _gathered(*sources: Callable[[], Iterator[ServiceUse]]) -> Services:
    known: list[ServiceUse] = []
    missing: list[Missing] = []
    for source in sources:
        try:
            known.extend(source())  # what came before something unread is kept
        except Unread as unread:
            missing += unread.missing
    return Services(tuple(dict.fromkeys(known)), tuple(missing))


def _named(cluster: ManagedCluster) -> Iterator[ServiceUse]:
    if cluster.mesh_vault:
        yield ServiceUse(cluster.mesh_vault.id, "named")
    if cluster.bootstrap_registry:
        yield ServiceUse(cluster.bootstrap_registry.id, "named")


def _encrypting(cluster: ManagedCluster) -> Iterator[ServiceUse]:
    if cluster.kms_vault and cluster.kms_enabled is not False:
        yield ServiceUse(cluster.kms_vault.id, "encryption")
    encrypting = cluster.disk_encryption_set
    vault = encrypting.read().source_vault if encrypting else None
    if vault:
        yield ServiceUse(vault.id, "encryption")


def _with_role(cluster: ManagedCluster, principals: Iterable[str], shown_by: ShownBy) -> Iterator[ServiceUse]:
    wanted = {principal.lower() for principal in principals}
    for assignment in cluster.estate.indexed(RoleAssignments).of(sorted(wanted)):
        service = service_of(assignment.scope)
        with suppress(Malformed):  # whom it is for cannot be read, which the rules about roles tell
            if service and assignment.principal in wanted:
                yield ServiceUse(service, shown_by)


def _with_endpoint(estate: Estate, networks: Iterable[str]) -> Iterator[ServiceUse]:
    """The services with a private endpoint in a network, whether it is approved or not.

    Raises:
        NotCollected: a network or one of its endpoints was not read, or not all may have been.
    """
    where = tuple(networks)
    for network_id in where:
        yield from estate.indexed(_Endpoints).services(network_id)
    for network_id in where:
        for subnet in estate.resource(VirtualNetwork, network_id).subnets or ():
            for link in subnet.private_endpoints or ():
                estate.resource(PrivateEndpoint, link.id)
        lost = estate.unlisted(PrivateEndpoint, network_id)
        if lost:
            raise NotCollected(*lost)


class _Endpoints:
    """What the private endpoints of an estate lead to, by network."""

    def __init__(self, estate: Estate) -> None:
        self._found: dict[str, list[ServiceUse]] = {}
        for endpoint in estate.every(PrivateEndpoint):
            with suppress(Unread):  # AKS-PAAS-04 tells of endpoints that cannot be read
                network = parse(endpoint.subnet.id).parent.lower() if endpoint.subnet else ""
                self._found.setdefault(network, []).extend(_targets(endpoint))

    def services(self, network_id: str) -> tuple[ServiceUse, ...]:
        """The services that endpoints in a network lead to."""
        return tuple(self._found.get(network_id.lower(), ()))


def _targets(endpoint: PrivateEndpoint) -> Iterator[ServiceUse]:
    for connection in (*(endpoint.connections or ()), *(endpoint.manual_connections or ())):
        service = service_of(connection.private_link_service.id) if connection.private_link_service else None
        if service:
            yield ServiceUse(service, "endpoint")
