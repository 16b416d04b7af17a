"""Facts about what runs inside clusters, as the Kubernetes API sends it."""

from aks_audit.facts.field import flag, text
from aks_audit.facts.resource import AzureResource


class Pod(AzureResource):
    """A pod. Its id is the id of the cluster, then its path, with case."""

    __slots__ = ()

    TYPE = "pods"

    pod_ip = text("status.podIP")
    node_name = text("spec.nodeName")
    host_network = flag("spec.hostNetwork")


class Node(AzureResource):
    """A node."""

    __slots__ = ()

    TYPE = "nodes"

    @property
    def agent_pool(self) -> str | None:
        """The name of its agent pool, by AKS's own label; None where it has none."""
        return self._label("kubernetes.azure.com/agentpool") or self._label("agentpool")

    @property
    def internal_ip(self) -> str | None:
        """Its first internal address; None where it has none."""
        addresses = self.find("status.addresses")[0]
        for address in addresses if isinstance(addresses, list) else ():
            if isinstance(address, dict) and address.get("type") == "InternalIP":
                found: object = address.get("address")
                return found if isinstance(found, str) else None
        return None

    def _label(self, name: str) -> str | None:
        labels = self.find("metadata.labels")[0]
        found: object = labels.get(name) if isinstance(labels, dict) else None
        return found if isinstance(found, str) and found else None
