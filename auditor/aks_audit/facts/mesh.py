"""Facts about service meshes: what Istio is told about mutual TLS, and which mesh a cluster runs."""

from collections.abc import Iterable, Mapping

from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.field import View, part, parts, text
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.unread import Malformed

ROOT_OF_ADD_ON = "aks-istio-system"
"""The root namespace of AKS's own Istio: https://learn.microsoft.com/azure/aks/istio-about"""


class PeerAuthentication(KubernetesObject):
    """What the proxies of some workloads take: STRICT is mutual TLS alone, PERMISSIVE both, DISABLE plain text."""

    __slots__ = ()

    TYPE = "peerauthentications.security.istio.io"

    mode = text("spec.mtls.mode")
    port_level = part("spec.portLevelMtls", View)

    @property
    def selector(self) -> Mapping[str, str]:
        """The labels of the workloads that it is about; empty: all of its namespace.

        Raises:
            Malformed: it is no selector.
        """
        value, pointer = self.find("spec.selector")
        if value is None:
            return {}
        labels = value.get("matchLabels", {}) if isinstance(value, Mapping) else None
        if not isinstance(labels, Mapping) or (value and not labels) or not _are_texts(labels.values()):
            raise Malformed(self.id, pointer, "expected an object with matchLabels")
        return labels

    @property
    def port_modes(self) -> Mapping[str, str]:
        """The mode of each port that has one of its own.

        Raises:
            Malformed: one of them is no object, or its mode no string.
        """
        found: dict[str, str] = {}
        for port, value in (self.port_level.node if self.port_level else {}).items():
            mode = value.get("mode", "UNSET") if isinstance(value, Mapping) else None
            if not isinstance(mode, str):
                raise Malformed(self.id, f"/spec/portLevelMtls/{port}", "expected an object with a mode")
            found[port] = mode
        return found


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


class TrafficPolicy(View):
    """How clients speak to a host; `ports` have settings of their own."""

    __slots__ = ()

    tls_mode = text("tls.mode")


class _Ports(TrafficPolicy):
    __slots__ = ()

    ports = parts("portLevelSettings", TrafficPolicy)


class _Subset(View):
    __slots__ = ()

    policy = part("trafficPolicy", _Ports)


class DestinationRule(KubernetesObject):
    """How the proxies of clients speak to a host."""

    __slots__ = ()

    TYPE = "destinationrules.networking.istio.io"

    host = text("spec.host")
    policy = part("spec.trafficPolicy", _Ports)
    subsets = parts("spec.subsets", _Subset)

    @property
    def tls_modes(self) -> frozenset[str]:
        """The TLS modes that it sets, for all or for some subsets and ports."""
        policies = [self.policy, *(subset.policy for subset in self.subsets or ())]
        every = [one for policy in policies if policy for one in (policy, *(policy.ports or ()))]
        return frozenset(one.tls_mode for one in every if one.tls_mode)

    @property
    def inside(self) -> bool:
        """Whether its host is one of the cluster's, as names without dots and those of `.local` and `.svc` are."""
        host = (self.host or "").lower()
        return "." not in host or host.endswith((".local", ".svc"))


class MeshSettings(View):
    """What Azure's body of a cluster says of its mesh."""

    __slots__ = ()

    mode = text("properties.serviceMeshProfile.mode")


def mesh_settings(cluster: ManagedCluster) -> MeshSettings:
    """The settings of a cluster."""
    return MeshSettings(cluster.estate, cluster.document, cluster.node)
