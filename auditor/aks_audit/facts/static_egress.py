"""Facts about AKS's static egress gateway: pods leave through nodes of a pool of its own, under addresses that stay.

Source: https://github.com/Azure/kube-egress-gateway (README.md and api/v1alpha1/staticgatewayconfiguration_types.go),
which AKS runs: https://learn.microsoft.com/azure/aks/configure-static-egress-gateway
"""

from ipaddress import ip_network

from aks_audit.facts.cluster import AgentPool, ManagedCluster
from aks_audit.facts.enumerations import AgentPoolMode
from aks_audit.facts.field import Network, flag, networks, text
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.link import link
from aks_audit.facts.networking import PublicIPPrefix
from aks_audit.facts.unread import Malformed, NotCollected
from aks_audit.facts.workloads import Pod
from aks_audit.results import Missing

GATEWAY_CONFIGURATION = "kubernetes.azure.com/static-gateway-configuration"
"""The annotation by which a pod asks for a static egress gateway: the name of one in its own namespace."""

_BY_DEFAULT, _BY_EXCEPTION = "staticegressgateway", "azurenetworking"


class StaticGatewayConfiguration(KubernetesObject):
    """A way out for pods of its namespace: by which nodes, to which destinations, and under which addresses."""

    __slots__ = ()

    TYPE = "staticgatewayconfigurations.egressgateway.kubernetes.azure.com"

    pool_name = text("spec.gatewayNodepoolName")
    scale_set_name = text("spec.gatewayVmssProfile.vmssName")
    default_route = text("spec.defaultRoute")
    exceptions = networks("spec.excludeCidrs")
    provision_public_ips = flag("spec.provisionPublicIps")
    public_ip_prefix = link("spec.publicIpPrefixId", PublicIPPrefix)
    egress_ip_prefix = text("status.egressIpPrefix")

    @property
    def by_default(self) -> bool:
        """Whether it takes everything but the exceptions, as it does by default, and not the exceptions alone.

        Raises:
            Malformed: it says neither.
        """
        written = (self.default_route or _BY_DEFAULT).lower()
        if written not in {_BY_DEFAULT, _BY_EXCEPTION}:
            pointer = self.at(StaticGatewayConfiguration.default_route).pointer
            raise Malformed(self.id, pointer, f"{self.default_route!r} is no default route")
        return written == _BY_DEFAULT

    @property
    def is_public(self) -> bool:
        """Whether it is given public addresses, as it is by default."""
        return self.provision_public_ips is not False

    @property
    def addresses(self) -> tuple[Network, ...]:
        """Under which addresses pods leave: a public prefix, or private addresses; empty where it has none yet.

        Raises:
            Malformed: they cannot be read.
        """
        written = (part.strip() for part in (self.egress_ip_prefix or "").split(","))
        try:
            return tuple(ip_network(one) for one in written if one)
        except ValueError:
            pointer = self.at(StaticGatewayConfiguration.egress_ip_prefix).pointer
            raise Malformed(self.id, pointer, f"{self.egress_ip_prefix!r} are no addresses") from None

    @property
    def pool(self) -> AgentPool | None:
        """The pool of mode Gateway whose nodes pods leave by; None where the cluster has none so called.

        Raises:
            NotCollected: it names a scale set, and what of it was read does not tell the pool.
        """
        cluster = self.cluster
        name = self.pool_name or self._pool_of_scale_set(cluster)
        gateways = (pool for pool in cluster.pools if pool.mode is AgentPoolMode.GATEWAY)
        return next((pool for pool in gateways if pool.name.lower() == name.lower()), None)

    def _pool_of_scale_set(self, cluster: ManagedCluster) -> str:
        wanted = (self.scale_set_name or "").lower()
        for one in cluster.scale_sets:
            if one.name.lower() == wanted and one.pool_name:
                return one.pool_name
        reason = f"the scale set {wanted} of {self.name} of {self.cluster_id} is none that was read of its pools"
        raise NotCollected(Missing(what=self.id, kind="not-read", reason=reason))


def configuration_of(pod: Pod) -> StaticGatewayConfiguration | None:
    """The configuration that a pod asks for; None where it asks for none, or for one that is not there.

    Raises:
        NotCollected: it was not read.
        Malformed: the pod's annotations are no texts.
    """
    wanted = (pod.annotations or {}).get(GATEWAY_CONFIGURATION)
    if wanted is None:
        return None
    held = pod.estate.within(StaticGatewayConfiguration, pod.cluster_id)
    found = next((one for one in held if (one.namespace, one.name) == (pod.namespace, wanted)), None)
    if found is None:
        held.whole()
    return found
