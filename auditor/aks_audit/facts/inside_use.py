"""Which Azure services the objects inside a cluster name: vaults, storage accounts and registries.

Objects name them without the subscription. The names are unique in all of Azure, so that one that was read and bears
the name is the one that is meant: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.data_stores import StorageAccount
from aks_audit.facts.estate import Estate
from aks_audit.facts.images import read_reference
from aks_audit.facts.key_vault import KeyVault
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.private_link import LinkedService
from aks_audit.facts.registry import ContainerRegistry
from aks_audit.facts.unread import NotCollected, Unread
from aks_audit.facts.volumes import PersistentVolume, SecretProviderClass
from aks_audit.facts.workloads import Pod
from aks_audit.results import Missing

K = TypeVar("K", bound=KubernetesObject)

_REGISTRIES = (".azurecr.cn", ".azurecr.io", ".azurecr.us")
"""How the names of Azure's registries end, in each of its clouds."""


class Named(NamedTuple):
    """What is named inside a cluster: the ids of services that were read, and what is missing that may be more."""

    services: tuple[str, ...]
    missing: tuple[Missing, ...]


NOTHING = Named((), ())

Users = dict[str, str]
"""A name of a service, in lower case, and the first object that names it."""


def named_inside(cluster: ManagedCluster) -> Mapping[str, Named]:
    """The services that objects inside a cluster name, by type in lower case.

    Nothing is missing where nobody asked for what is inside.
    """
    return cluster.estate.once(_named, cluster)


def _named(cluster: ManagedCluster) -> Mapping[str, Named]:
    return {
        KeyVault.TYPE.lower(): _services(cluster, KeyVault, SecretProviderClass, _vaults),
        StorageAccount.TYPE.lower(): _services(cluster, StorageAccount, PersistentVolume, _accounts),
        ContainerRegistry.TYPE.lower(): _services(cluster, ContainerRegistry, Pod, _hosts),
    }


def _services(
    cluster: ManagedCluster,
    service: type[LinkedService],
    kind: type[K],
    names: Callable[[K], Iterable[str]],
) -> Named:
    """The services of a type that objects of a kind name; `names` gives those that one object names."""
    held = cluster.estate.within(kind, cluster.id)
    missing: list[Missing] = []
    try:
        held.whole()
    except NotCollected as unread:
        missing += [one for one in unread.missing if one.kind != "not-asked"]
    users: Users = {}
    for one in held:
        try:
            for name in names(one):
                users.setdefault(name.lower(), f"{one.namespace}/{one.name}".strip("/"))
        except Unread as unread:
            missing += unread.missing
    read = cluster.estate.indexed(_ByName).of(service)
    lost = [_lost(cluster, service, name, user) for name, user in sorted(users.items()) if name not in read]
    known = dict.fromkeys(read[name] for name in sorted(users) if name in read)
    return Named(tuple(known), tuple(dict.fromkeys((*missing, *lost))))


def _lost(cluster: ManagedCluster, service: type[LinkedService], name: str, user: str) -> Missing:
    kind = service.TYPE.rpartition("/")[2]
    # Nobody asks Azure for what objects name without a subscription, so that a scan is complete without it.
    reason = f"{name}, which {user} in {cluster.name} names, is none of the {kind} that were read"
    return Missing(what=cluster.id, kind="not-asked", reason=reason, action=f"{service.TYPE}/read")


def _vaults(one: SecretProviderClass) -> Iterator[str]:
    if one.vault:
        yield one.vault


def _accounts(one: PersistentVolume) -> Iterator[str]:
    if one.storage_account:
        yield one.storage_account


def _hosts(pod: Pod) -> Iterator[str]:
    if pod.over or pod.spec is None:
        return
    for container in pod.spec.every_container:
        reference = read_reference(container.image or "")
        if reference and reference.host.endswith(_REGISTRIES):
            yield reference.host


class _ByName:
    """The ids of the services of an estate by the names, in lower case, by which objects inside clusters name them."""

    def __init__(self, estate: Estate) -> None:
        self._found: dict[str, dict[str, str]] = {
            KeyVault.TYPE: {one.name.lower(): one.id for one in estate.every(KeyVault)},
            StorageAccount.TYPE: {one.name.lower(): one.id for one in estate.every(StorageAccount)},
            ContainerRegistry.TYPE: {
                host: one.id for one in estate.every(ContainerRegistry) for host in _login_servers(one)
            },
        }

    def of(self, service: type[LinkedService]) -> Mapping[str, str]:
        """Those of a type."""
        return self._found[service.TYPE]


def _login_servers(registry: ContainerRegistry) -> Iterator[str]:
    """The host that a registry says it answers at; without that, the hosts that its name makes.

    The host has a hash behind the name where its domain name label is secured:
    https://learn.microsoft.com/azure/container-registry/container-registry-get-started-azure-cli
    """
    try:
        host = registry.login_server
    except Unread:
        host = None
    yield from (host.lower(),) if host else (f"{registry.name.lower()}{ending}" for ending in _REGISTRIES)
