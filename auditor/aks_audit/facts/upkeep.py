"""Facts about how a cluster is kept up to date: the versions that AKS has in its region, and its maintenance windows.

Source: Microsoft.ContainerService/locations/kubernetesVersions and managedClusters/maintenanceConfigurations as in
azure-mgmt-containerservice 41.8, api-version 2026-08-01. They are read only where a scan is asked to
(`--read kubernetes-versions`, `--read maintenance-configurations`).
"""

from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.field import View, flag, part, parts, text, texts
from aks_audit.facts.resource import AzureResource


class KubernetesRelease(View):
    """A minor version of Kubernetes, such as `1.34`, that AKS has in a region, and the support plans it has it with."""

    __slots__ = ()

    version = text("version")
    is_preview = flag("isPreview")
    support_plans = texts("capabilities.supportPlan")


class KubernetesVersions(AzureResource):
    """The Kubernetes versions that AKS has in a region."""

    __slots__ = ()

    TYPE = "Microsoft.ContainerService/locations/kubernetesVersions"

    releases = parts("value", KubernetesRelease)


def versions_near(cluster: ManagedCluster) -> KubernetesVersions:
    """The Kubernetes versions that AKS has in the cluster's region.

    Raises:
        NotCollected: they were not read.
        Malformed: the cluster does not say where it is.
    """
    place = f"/subscriptions/{cluster.parsed.subscription}/providers/Microsoft.ContainerService/locations"
    return cluster.estate.resource(KubernetesVersions, f"{place}/{cluster.region}/kubernetesVersions")


class MaintenanceConfiguration(AzureResource):
    """When AKS may do what its name stands for, such as `aksManagedAutoUpgradeSchedule`."""

    __slots__ = ()

    TYPE = "Microsoft.ContainerService/managedClusters/maintenanceConfigurations"

    schedule = part("properties.maintenanceWindow.schedule", View)
    start_date = text("properties.maintenanceWindow.startDate")
