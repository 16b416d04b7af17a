"""Network policies of every kind, as objects; and Azure's settings that policies depend on."""

from collections.abc import Mapping

from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.estate import Estate
from aks_audit.facts.field import View, flag, part, parts, text, texts
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.platform import of_aks, system_namespaces


class PolicyObject(KubernetesObject):
    """A network policy of any kind."""

    __slots__ = ()

    spec = part("spec", View)
    policy_types = texts("spec.policyTypes")
    calico_types = texts("spec.types")
    ingress = parts("spec.ingress", View)
    egress = parts("spec.egress", View)

    @property
    def of_platform(self) -> bool:
        """Whether it is AKS's own: by its mark or name, or something keeps it in a namespace of AKS's own."""
        return of_aks(self) or (self.namespace in system_namespaces() and self.controller is not None)

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        return {**super().labels, "kind": self.document.type}


class KubernetesPolicy(PolicyObject):
    """A NetworkPolicy of Kubernetes itself."""

    __slots__ = ()

    TYPE = "networkpolicies.networking.k8s.io"


class AdminPolicy(PolicyObject):
    """An AdminNetworkPolicy."""

    __slots__ = ()

    TYPE = "adminnetworkpolicies.policy.networking.k8s.io"


class BaselineAdminPolicy(PolicyObject):
    """A BaselineAdminNetworkPolicy."""

    __slots__ = ()

    TYPE = "baselineadminnetworkpolicies.policy.networking.k8s.io"


class ClusterPolicy(PolicyObject):
    """A ClusterNetworkPolicy."""

    __slots__ = ()

    TYPE = "clusternetworkpolicies.policy.networking.k8s.io"


class CalicoPolicy(PolicyObject):
    """Calico's NetworkPolicy."""

    __slots__ = ()

    TYPE = "networkpolicies.projectcalico.org"


class CalicoGlobalPolicy(PolicyObject):
    """Calico's GlobalNetworkPolicy."""

    __slots__ = ()

    TYPE = "globalnetworkpolicies.projectcalico.org"


class StoredCalicoPolicy(PolicyObject):
    """Calico's NetworkPolicy, as it is stored; not read where Calico's own API shows it."""

    __slots__ = ()

    TYPE = "networkpolicies.crd.projectcalico.org"


class StoredCalicoGlobalPolicy(PolicyObject):
    """Calico's GlobalNetworkPolicy, as it is stored; not read where Calico's own API shows it."""

    __slots__ = ()

    TYPE = "globalnetworkpolicies.crd.projectcalico.org"


class CiliumPolicy(PolicyObject):
    """A CiliumNetworkPolicy."""

    __slots__ = ()

    TYPE = "ciliumnetworkpolicies.cilium.io"


class CiliumClusterwidePolicy(PolicyObject):
    """A CiliumClusterwideNetworkPolicy."""

    __slots__ = ()

    TYPE = "ciliumclusterwidenetworkpolicies.cilium.io"


class StagedPolicy(PolicyObject):
    """A StagedNetworkPolicy of Calico, which is never enforced."""

    __slots__ = ()

    TYPE = "stagednetworkpolicies.projectcalico.org"


class StagedGlobalPolicy(PolicyObject):
    """Calico's StagedGlobalNetworkPolicy, which is never enforced."""

    __slots__ = ()

    TYPE = "stagedglobalnetworkpolicies.projectcalico.org"


class StagedKubernetesPolicy(PolicyObject):
    """Calico's StagedKubernetesNetworkPolicy, which is never enforced."""

    __slots__ = ()

    TYPE = "stagedkubernetesnetworkpolicies.projectcalico.org"


class StoredStagedPolicy(PolicyObject):
    """A StagedNetworkPolicy of Calico, as it is stored; not read where Calico's own API shows it."""

    __slots__ = ()

    TYPE = "stagednetworkpolicies.crd.projectcalico.org"


class StoredStagedGlobalPolicy(PolicyObject):
    """Calico's StagedGlobalNetworkPolicy, as it is stored; not read where Calico's own API shows it."""

    __slots__ = ()

    TYPE = "stagedglobalnetworkpolicies.crd.projectcalico.org"


class StoredStagedKubernetesPolicy(PolicyObject):
    """Calico's StagedKubernetesNetworkPolicy, as it is stored; not read where Calico's own API shows it."""

    __slots__ = ()

    TYPE = "stagedkubernetesnetworkpolicies.crd.projectcalico.org"


ADMIN_KINDS = (AdminPolicy, BaselineAdminPolicy, ClusterPolicy)
STORED_STAGED_KINDS = (StoredStagedPolicy, StoredStagedGlobalPolicy, StoredStagedKubernetesPolicy)
STORED_CALICO_KINDS = (StoredCalicoPolicy, StoredCalicoGlobalPolicy)
CALICO_KINDS = (CalicoPolicy, CalicoGlobalPolicy, *STORED_CALICO_KINDS)
CILIUM_KINDS = (CiliumPolicy, CiliumClusterwidePolicy)
POLICY_KINDS: tuple[type[PolicyObject], ...] = (KubernetesPolicy, *ADMIN_KINDS, *CALICO_KINDS, *CILIUM_KINDS)
"""Every kind of network policy that an engine may enforce."""
STAGED_KINDS: tuple[type[PolicyObject], ...] = (
    StagedPolicy,
    StagedGlobalPolicy,
    StagedKubernetesPolicy,
    *STORED_STAGED_KINDS,
)
"""The kinds of policy that Calico only shows the consequences of."""


class PolicySettings(View):
    """What Azure's body of a cluster says that policies, and what they are to stop, depend on.

    https://learn.microsoft.com/dotnet/api/azure.resourcemanager.containerservice.models.managedclusteradvancednetworking
    """

    __slots__ = ()

    advanced_networking = flag("properties.networkProfile.advancedNetworking.enabled")
    advanced_security = flag("properties.networkProfile.advancedNetworking.security.enabled")
    advanced_network_policies = text("properties.networkProfile.advancedNetworking.security.advancedNetworkPolicies")
    pod_link_local_access = text("properties.networkProfile.podLinkLocalAccess")

    @property
    def above_layer_4(self) -> str | None:
        """What AKS has Cilium enforce above layer 4, in lower case: `none`, `fqdn` or `l7`, or a level that is newer.

        Advanced networking is off by default, and with it its security. Where security is on, FQDN is the default.
        None: advanced networking is on and does not say whether its security is; Azure documents both for that.

        Raises:
            Malformed: a switch is not a boolean, or the level not a text.
        """
        if not self.advanced_networking:
            return "none"
        if self.advanced_security is None:
            return None
        return (self.advanced_network_policies or "FQDN").lower() if self.advanced_security else "none"


def policy_settings(cluster: ManagedCluster) -> PolicySettings:
    """The settings of a cluster."""
    return PolicySettings(cluster.estate, cluster.document, cluster.node)


def policy_kinds(estate: Estate, cluster_id: str) -> tuple[type[PolicyObject], ...]:
    """The kinds of policy of a cluster: of Calico's two API groups, the one that is read."""
    shown = _shows_calico(estate, cluster_id)
    return tuple(kind for kind in POLICY_KINDS if not (shown and kind in STORED_CALICO_KINDS))


def staged_kinds(estate: Estate, cluster_id: str) -> tuple[type[PolicyObject], ...]:
    """The kinds of staged policy of a cluster: of Calico's two API groups, the one that is read."""
    shown = _shows_calico(estate, cluster_id)
    return tuple(kind for kind in STAGED_KINDS if not (shown and kind in STORED_STAGED_KINDS))


def _shows_calico(estate: Estate, cluster_id: str) -> bool:
    """Whether Calico's own API is served, and shows what is stored under the other group."""
    document = estate.document(f"{cluster_id}/apis")
    groups = document.body.get("groups") if document and document.type == "apis" else None
    return isinstance(groups, Mapping) and bool(groups.get("projectcalico.org"))
