"""Facts about what Azure installs into a cluster as an extension, such as Flux.

Source: Microsoft.KubernetesConfiguration/extensions 2024-11-01 as in the REST API specification. They are read only
where a scan is asked to (`--read extensions`).
"""

from aks_audit.facts.enumerations import ExtensionProvisioning
from aks_audit.facts.field import Choice, text
from aks_audit.facts.resource import AzureResource


class ClusterExtension(AzureResource):
    """An extension of a cluster; its id stands below the cluster's."""

    __slots__ = ()

    TYPE = "Microsoft.KubernetesConfiguration/extensions"

    extension_type = text("properties.extensionType")
    provisioning_state = Choice("properties.provisioningState", ExtensionProvisioning)
