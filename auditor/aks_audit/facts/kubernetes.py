"""What every object inside a cluster has, as the Kubernetes API sends it."""

from collections.abc import Mapping
from typing import TypeVar

from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.estate import Estate
from aks_audit.facts.field import View, flag, moment, named_texts, parts, text
from aks_audit.facts.resource import AzureResource
from aks_audit.facts.unread import NotCollected

O = TypeVar("O", bound="KubernetesObject")  # noqa: E741 - O for object


class OwnerReference(View):
    """An owner of an object; the one that is its `controller` made it."""

    __slots__ = ()

    api_version = text("apiVersion")
    kind = text("kind")
    name = text("name")
    controller = flag("controller")


class ManagedFields(View):
    """What somebody has written of an object; only by which version of the API is kept."""

    __slots__ = ()

    api_version = text("apiVersion")


class KubernetesObject(AzureResource):
    """An object inside a cluster. Its id is the id of the cluster, then its path, with case."""

    __slots__ = ()

    object_labels = named_texts("metadata.labels")
    annotations = named_texts("metadata.annotations")
    owner_references = parts("metadata.ownerReferences", OwnerReference)
    created = moment("metadata.creationTimestamp")
    deleted = moment("metadata.deletionTimestamp")
    managed_fields = parts("metadata.managedFields", ManagedFields)

    @property
    def cluster_id(self) -> str:
        """The id of the cluster that it is in."""
        return self.parsed.parent

    @property
    def clusters(self) -> tuple[str, ...]:
        """The id of the cluster, as the one that a finding concerns."""
        return (self.cluster_id,)

    @property
    def cluster(self) -> ManagedCluster:
        """The cluster that it is in, as Azure describes it.

        Raises:
            NotCollected: Azure's side of it was not read.
        """
        return self.estate.resource(ManagedCluster, self.cluster_id)

    @property
    def namespace(self) -> str:
        """The namespace that it is in; empty for an object of the whole cluster."""
        names = self.parsed.names
        return names[0] if len(names) > 1 else ""

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that made it and keeps it, if one does."""
        return next((owner for owner in self.owner_references or () if owner.controller), None)

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        cluster = self.parsed
        names = {"group": cluster.group, "cluster": self.cluster_id.rpartition("/")[2]}
        return {**names, "subscription": cluster.subscription, "namespace": self.namespace, "name": self.name}


class ServerVersion(KubernetesObject):
    """What the API server of a cluster says that it is."""

    __slots__ = ()

    TYPE = "version"

    git_version = text("gitVersion")


class ConfigMap(KubernetesObject):
    """A ConfigMap; only a few of `kube-system` are read, by name."""

    __slots__ = ()

    TYPE = "configmaps"

    data = named_texts("data")


def config_map(estate: Estate, cluster_id: str, name: str) -> ConfigMap | None:
    """A ConfigMap of `kube-system`; None where the cluster has none of that name.

    Raises:
        NotCollected: it was not read.
    """
    found = f"{cluster_id}/api/v1/namespaces/kube-system/configmaps/{name}"
    try:
        return estate.resource(ConfigMap, found)
    except NotCollected:
        estate.within(ConfigMap, found).whole()
        return None
