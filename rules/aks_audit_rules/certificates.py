"""Whether the certificates inside a cluster are renewed before they expire."""

from aks_audit.facts import AgentPool, AgentPoolMode, Evidence, ManagedCluster
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.dates import Component
from aks_audit_rules.frameworks import review_checklist, the_aks_checklist
from aks_audit_rules.kubernetes_versions import minor_version, number
from aks_audit_rules.retirements import retiring

_ROTATED_SINCE = (1, 24)
"""The first minor version that came to AKS, even as a preview, after March 2022."""


@rule(
    "AKS-CP-29",
    title="The cluster's certificates are renewed by AKS",
    severity=Severity.LOW,
    dated=True,
    controls=(
        review_checklist("3aa70560-e7e7-4968-be3d-628af35b2ced"),
        the_aks_checklist("3aa70560-e7e7-4968-be3d-628af35b2ced"),
    ),
)
def certificates_renewed(cluster: ManagedCluster) -> Verdict:
    """When a certificate of the control plane or a kubelet expires, nodes leave the cluster, and no client is let in.

    AKS renews them in time where they were set up for it; whoever has to do it by hand (`az aks rotate-certs`) recreates all
    nodes, and mostly learns of it by the outage.

    Severity: an outage that is announced years ahead. A kubelet that signs its own serving certificate can besides be
    imitated on the network, where logs, exec and metrics pass: low until a year before AKS ends that, then medium.
    Decided: AKS renews the certificates of clusters with Kubernetes RBAC (`properties.enableRBAC`) that were made or upgraded
    after March 2022, with their pools: `currentKubernetesVersion`, and `currentOrchestratorVersion` of each pool, is 1.24
    or newer, which AKS had only later. An older one is unknown. Pools that Microsoft runs are left out. A pool fails that has the tag
    `aks-disable-kubelet-serving-certificate-rotation` with the value true; AKS heeds it until 1 April 2027. Whether a
    renewal failed, and until when each certificate is good, no API of Azure or Kubernetes tells: they are on the nodes, and
    the API server shows its own to whoever connects. The cluster's own authority lasts 30 years.
    Fix: az aks nodepool update --resource-group {group} --cluster-name {name} --name <pool> --tags <all tags but aks-disable-kubelet-serving-certificate-rotation>
        az aks upgrade --resource-group {group} --name {name} --kubernetes-version <version> # a cluster from before
    Bicep: properties.agentPoolProfiles[].tags without aks-disable-kubelet-serving-certificate-rotation
    Change: replaces nodes, by their next image; without Kubernetes RBAC (AKS-IAM-03) only a new cluster helps
    References: https://learn.microsoft.com/azure/aks/certificate-rotation
    https://github.com/Azure/AKS/issues/5539
    Follows: AKS-IAM-03
    """
    rbac = cluster.at(ManagedCluster.enable_rbac)
    if cluster.enable_rbac is None:
        return undecided("The cluster's body does not say whether Kubernetes RBAC is on", rbac)
    if not cluster.enable_rbac:
        return fails("Without Kubernetes RBAC nothing renews the cluster's certificates", rbac)
    own = _since(
        "the control plane", cluster.current_kubernetes_version, cluster.at(ManagedCluster.current_kubernetes_version)
    )
    pools = each(cluster.pools, lambda pool: _of_pool(cluster, pool))
    return each((own, pools), lambda verdict: verdict)


def _since(whose: str, version: str | None, shown: Evidence) -> Verdict:
    """Whether a version tells that something was set up so that AKS renews its certificates."""
    minor = minor_version(version)
    if minor is None:
        return undecided(f"The body does not say which Kubernetes version {whose} runs", shown)
    if number(minor) < _ROTATED_SINCE:
        return undecided(f"Kubernetes {minor} does not tell whether AKS renews certificates of {whose}", shown)
    return passes("AKS renews the certificates of control plane and nodes", shown)


def _of_pool(cluster: ManagedCluster, pool: AgentPool) -> Verdict:
    if pool.mode is AgentPoolMode.MANAGED_SYSTEM:
        return not_applicable(f"Microsoft runs pool {pool.name}", pool.at(AgentPool.mode))
    if (pool.kubelet_certificates_kept or "").lower() == "true":
        tag = pool.at(AgentPool.kubelet_certificates_kept)
        return retiring(Component.UNROTATED_KUBELET_CERTIFICATES, cluster, tag)
    running = pool.at(AgentPool.current_orchestrator_version)
    return _since(f"pool {pool.name}", pool.current_orchestrator_version, running)


RULES = (certificates_renewed,)
