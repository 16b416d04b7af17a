"""Services that clusters use, judged once for all of them: registries, key vaults, storage accounts, SQL servers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from aks_audit.facts.authorization import RoleAssignment
from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.data_stores import SqlServer, StorageAccount
from aks_audit.facts.estate import Estate
from aks_audit.facts.inside_use import NOTHING, Named, named_inside
from aks_audit.facts.key_vault import KeyVault
from aks_audit.facts.networking import PrivateEndpoint
from aks_audit.facts.private_link import LinkedService
from aks_audit.facts.registry import ContainerRegistry
from aks_audit.facts.registry_use import Registries, registries_of
from aks_audit.facts.resource_id import parse
from aks_audit.facts.service_use import Services, ServiceUse, ShownBy, services_of
from aks_audit.facts.unread import NotCollected, Unread, UnreadSubject
from aks_audit.results import Missing

_REGISTRY = ContainerRegistry.TYPE.lower()

_SHOWN: dict[str, ShownBy] = {"bootstrap": "named", "role": "role"}


class Use(NamedTuple):
    """A cluster (by its id) that uses a service, and what shows that."""

    cluster: str
    shown_by: ShownBy


class ClusterService(LinkedService):
    """A service that clusters use; `uses` says which, and how that is known."""

    __slots__ = ("uses",)

    uses: tuple[Use, ...]

    @property
    def assumed(self) -> bool:
        """Whether nothing but its subscription suggests that a cluster uses it."""
        return all(use.shown_by == "subscription" for use in self.uses)

    @property
    def unread(self) -> tuple[Missing, ...]:
        """What was asked for and could not be read, by which more clusters may be known to use it: roles, endpoints."""
        missing = list(self.estate.unlisted(RoleAssignment, self.id))
        for connection in self.private_endpoint_connections or ():
            endpoint = connection.private_endpoint
            try:
                if endpoint:
                    endpoint.read()
            except NotCollected as unread:
                if endpoint and self.estate.tried(PrivateEndpoint, endpoint.id):
                    missing += unread.missing
        return tuple(dict.fromkeys(missing))

    @property
    def clusters(self) -> tuple[str, ...]:
        """The ids of the clusters that use it."""
        return tuple(sorted({use.cluster for use in self.uses}, key=str.lower))

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs; `kind` is the type, for commands that serve any."""
        own = self.parsed
        return {"group": own.group, "name": own.name, "kind": own.type, "subscription": own.subscription}


class ClusterRegistry(ClusterService, ContainerRegistry):
    """A container registry that clusters pull from."""

    __slots__ = ()

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        return {**super().labels, "registry": self.name}


class ClusterVault(ClusterService, KeyVault):
    """A key vault that clusters use."""

    __slots__ = ()

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        return {**super().labels, "vault": self.name}


class ClusterDataStore(ClusterService):
    """A storage account or a SQL server that clusters use."""

    __slots__ = ()


class ClusterStorageAccount(ClusterDataStore, StorageAccount):
    """A storage account that clusters use."""

    __slots__ = ()


class ClusterSqlServer(ClusterDataStore, SqlServer):
    """A SQL server that clusters use."""

    __slots__ = ()


_KINDS: dict[str, type[ClusterService]] = {
    kind.TYPE.lower(): kind for kind in (ClusterRegistry, ClusterVault, ClusterStorageAccount, ClusterSqlServer)
}


def used_services(
    estate: Estate,
    clusters: Iterable[ManagedCluster],
    networks: Callable[[ManagedCluster], Iterable[str]],
    kind: type[ClusterService],
) -> Iterator[ClusterService | UnreadSubject]:
    """The services of a kind that clusters use; `networks` gives the ids of a cluster's networks.

    Those that were not read are unread subjects, as are clusters that may use more than was read.
    """
    types = {one for one, made in _KINDS.items() if issubclass(made, kind)}
    serving: dict[str, tuple[str, list[Use]]] = {}
    for cluster in clusters:
        found = services_of(cluster, networks)
        inside = named_inside(cluster)
        lost = found.missing if types != {_REGISTRY} else ()
        if _REGISTRY in types:
            found = _with_registries(cluster, found, inside[_REGISTRY])
            lost = (*lost, *found.missing)
        named = [inside.get(one, NOTHING) for one in sorted(types - {_REGISTRY})]
        lost = (*lost, *(missing for one in named for missing in one.missing))
        for use in (*found.known, *(ServiceUse(service, "inside") for one in named for service in one.services)):
            if parse(use.service).type.lower() in types:
                uses = serving.setdefault(use.service.lower(), (use.service, []))[1]
                uses.append(Use(cluster.id, use.shown_by))
        if lost:
            yield UnreadSubject(cluster.id, (cluster.id,), tuple(dict.fromkeys(lost)))
    for service_id, uses in serving.values():
        yield _subject(estate, service_id, uses)


def _subject(estate: Estate, service_id: str, uses: list[Use]) -> ClusterService | UnreadSubject:
    told = [use for use in uses if use.shown_by != "subscription"]
    kept = tuple(sorted(set(told or uses)))
    try:
        service = estate.resource(_KINDS[parse(service_id).type.lower()], service_id)
    except Unread as unread:
        clusters = tuple(sorted({use.cluster for use in kept}, key=str.lower))
        return UnreadSubject(service_id, clusters, unread.missing)
    service.uses = kept
    return service


def _with_registries(cluster: ManagedCluster, services: Services, inside: Named) -> Services:
    """The services of a cluster with its registries, for which other evidence counts: who may pull, and from where.

    What is missing of other services' evidence counts for registries only where nothing else names one; registries that
    images name and nobody read always count.
    """
    try:
        pulled = registries_of(cluster)
    except Unread as unread:
        pulled = Registries((), unread.missing)
    told = [ServiceUse(use.registry, _SHOWN[use.shown_by]) for use in pulled.known if use.shown_by != "subscription"]
    told += [ServiceUse(registry, "inside") for registry in inside.services]
    near = [ServiceUse(use.registry, "subscription") for use in pulled.known if use.shown_by == "subscription"]
    others = [use for use in services.known if parse(use.service).type.lower() != _REGISTRY]
    endpoints = [use for use in services.known if use not in others and use.shown_by == "endpoint"]
    missing = (*pulled.missing, *inside.missing, *(() if told else services.missing))
    return Services((*others, *told, *(endpoints or ([] if told else near))), missing)
