"""What pods may do to the network that they share."""

from aks_audit.facts import ManagedCluster, NetworkPlugin
from aks_audit.facts.workloads import Container, PodSpec, Workload
from aks_audit.results import Severity, Verdict
from aks_audit.rule import not_applicable, rule, undecided
from aks_audit_rules.frameworks import checkov, prowler
from aks_audit_rules.pod_security_standards import Control, Looked, nothing_of_pod, windows
from aks_audit_rules.workload_verdicts import judge


def _raw(spec: PodSpec, container: Container) -> Looked:
    if windows(spec):
        yield spec.at(PodSpec.os), True
        return
    dropped = {name.upper().removeprefix("CAP_") for name in container.capabilities_dropped or ()}
    added = {name.upper().removeprefix("CAP_") for name in container.capabilities_added or ()}
    raw = {"ALL", "NET_RAW"}
    yield container.at(Container.capabilities_dropped), bool(raw & dropped)
    yield container.at(Container.capabilities_added), not raw & added
    yield container.at(Container.privileged), container.privileged is not True


NET_RAW = Control(nothing_of_pod, _raw)


@rule(
    "AKS-KN-19",
    title="Containers drop NET_RAW where pods share a bridge or an identity agent",
    severity=Severity.HIGH,
    controls=(
        checkov("CKV_K8S_28"),
        prowler("core_minimize_net_raw_capability_admission"),
    ),
)
def no_raw_packets(workload: Workload) -> Verdict:
    """With NET_RAW, which runtimes give by default, a container forges ARP and IP packets.

    On kubenet the pods of a node share a bridge, where that makes a pod take its neighbours' traffic. The agent of pod
    identity tells pods apart by their address: who forges it gets the other's tokens.

    Severity: the traffic and identities of all pods on the node are within reach of each of them.
    Decided: asked where `networkProfile.networkPlugin` is kubenet or `podIdentityProfile.enabled` is true. Each container
    drops NET_RAW or ALL, adds neither, and is not privileged. Containers of all kinds count, in the template and in each
    live pod that differs from it. A pod whose `os.name` is windows has no capabilities.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: securityContext.capabilities.drop: [ALL]
    Change: replaces the workload's pods, by its own update strategy
    References: https://learn.microsoft.com/azure/aks/use-azure-ad-pod-identity
    """
    cluster = workload.cluster
    plugin, identity = cluster.network_plugin, cluster.pod_identity_enabled
    evidence = cluster.at(ManagedCluster.network_plugin), cluster.at(ManagedCluster.pod_identity_enabled)
    if plugin is NetworkPlugin.KUBENET or identity:
        return judge(workload, NET_RAW, good="No container may forge packets", bad="May forge packets")
    if plugin is None:
        return undecided("networkPlugin is not in the cluster's body", *evidence)
    return not_applicable("Pods share neither kubenet's bridge nor an identity agent", *evidence)


RULES = (no_raw_packets,)
