"""Whether what is set for traffic between pods holds on all nodes: policies on Windows, encryption between nodes."""

from typing import assert_never

from aks_audit.facts import (
    AgentPool,
    Evidence,
    ManagedCluster,
    NetworkDataplane,
    NetworkPlugin,
    NetworkPolicy,
    OSType,
)
from aks_audit.facts.enumerations import TransitEncryption
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.dates import Component
from aks_audit_rules.frameworks import review_checklist, the_aks_checklist
from aks_audit_rules.network_profile import network_plugin_of
from aks_audit_rules.retirements import retiring


@rule(
    "AKS-KN-18",
    title="Network policies hold on Windows nodes",
    severity=Severity.MEDIUM,
    controls=(
        review_checklist("ce7f2a7c-297c-47c6-adea-a6ff838db665"),
        the_aks_checklist("ce7f2a7c-297c-47c6-adea-a6ff838db665"),
        the_aks_checklist("3922e5b0-fa6b-4020-a92e-2e0d76338e95"),
    ),
)
def policies_on_windows(cluster: ManagedCluster) -> Verdict:
    """An engine that runs on Linux alone leaves the pods of Windows nodes open, whatever policies select them.

    Severity: whoever takes one pod reaches those on Windows nodes, while policies that select them look as if they were
    in force; high for Azure Network Policy Manager there, which gets no fixes since 30 September 2026.
    Decided: where a pool has `osType: Windows`, `networkProfile.networkPolicy` is `calico`, which AKS supports on Windows
    Server 2019 and 2022, with Azure CNI alone. `cilium` runs on Linux only; `azure` (Network Policy Manager) was a preview
    for Windows Server 2022 and is judged by its date; `none` and absent, the documented default, leave all nodes open.
    Without Windows pools it is not applicable, nor with a CNI plugin of one's own, whose engine no Azure body names.
    A pool that does not tell its operating system is unknown.
    Fix: az aks update --resource-group {group} --name {name} --network-policy calico
    Bicep: properties.networkProfile: networkPlugin 'azure', networkDataplane 'azure', networkPolicy 'calico'
    Change: replaces nodes; all pools are reimaged at once; off Cilium there is no way back but a new cluster, where the
    Windows pools may have one of their own
    References: https://learn.microsoft.com/azure/aks/use-network-policies
        https://learn.microsoft.com/azure/aks/azure-cni-powered-by-cilium
        https://azure.microsoft.com/updates?id=500273
    """
    return each(cluster.pools, lambda pool: _on_pool(cluster, pool))


def _on_pool(cluster: ManagedCluster, pool: AgentPool) -> Verdict:
    system = pool.at(AgentPool.os_type)
    match pool.os_type:
        case None:
            return undecided(f"The body does not name the operating system of pool {pool.name}", system)
        case OSType.LINUX:
            return not_applicable("No pool runs Windows", system)
        case OSType.WINDOWS:
            return _on_windows(cluster, f"Windows nodes of pool {pool.name}", system)
        case other:
            assert_never(other)


def _on_windows(cluster: ManagedCluster, nodes: str, system: Evidence) -> Verdict:
    """Whether the cluster's engine runs on Windows nodes."""
    shown = (cluster.at(ManagedCluster.network_policy), cluster.at(ManagedCluster.network_plugin), system)
    plugin = network_plugin_of(cluster)
    if plugin is NetworkPlugin.NONE:
        return not_applicable("The cluster's own CNI plugin may bring an engine for Windows or not", *shown)
    match cluster.network_policy:
        case NetworkPolicy.CALICO if plugin is NetworkPlugin.KUBENET:
            return fails(f"{nodes} are not covered: on kubenet Calico runs on Linux alone", *shown)
        case NetworkPolicy.CALICO:
            return passes(f"Calico covers {nodes}", *shown)
        case NetworkPolicy.CILIUM:
            return fails(f"{nodes} are not covered: Cilium runs on Linux alone", *shown)
        case NetworkPolicy.AZURE:
            return retiring(Component.AZURE_NPM_WINDOWS, cluster, *shown)
        case NetworkPolicy.NONE | None:
            return fails(f"{nodes} are not covered: no engine is installed", *shown)
        case other:
            assert_never(other)


@rule("AKS-KN-20", title="What pods send to other nodes is encrypted on the way", severity=Severity.INFO)
def transit_encrypted(cluster: ManagedCluster) -> Verdict:
    """Between nodes the traffic of pods is as open as the applications leave it, and many speak plain HTTP inside a cluster.

    WireGuard in Cilium encrypts it between nodes, with keys that each node makes itself; applications notice nothing.

    Severity: Azure keeps the networks of customers apart, so it takes a place in your own network to listen. Where a
    standard demands encryption inside of it, too, this is the least work.
    Decided: `networkProfile.advancedNetworking.security.transitEncryption.type` is `WireGuard`, and what it needs is there:
    `networkDataplane` is `cilium`, `advancedNetworking.enabled` is true and `security.enabled` not false, without
    which Advanced Container Networking Services do nothing. Absent means None, the documented default; but a body
    without a data plane is of an api-version that may leave this out too, and is unknown. Pods on one node, and what nodes send
    themselves, are never encrypted. Mutual TLS of a mesh is AKS-KN-15, and the encryption of virtual networks is not asked.
    Not applicable with a CNI plugin of one's own.
    Fix: az aks update --resource-group {group} --name {name} --enable-acns --acns-transit-encryption-type wireguard
    Bicep: properties.networkProfile.advancedNetworking: {{ enabled: true, security: {{ enabled: true, transitEncryption: {{ type: 'WireGuard' }} }} }}
    Change: in place; the agents of Cilium restart node by node, packets get smaller, and Advanced Container Networking Services
    have a price; another data plane moves to Cilium first, which reimages all pools
    References: https://learn.microsoft.com/azure/aks/container-network-security-wireguard-encryption-concepts
        https://docs.cilium.io/en/stable/security/network/encryption-wireguard/
    """
    shown = (cluster.at(ManagedCluster.transit_encryption), cluster.at(ManagedCluster.network_dataplane))
    if network_plugin_of(cluster) is NetworkPlugin.NONE:
        return not_applicable("The cluster's own CNI plugin may encrypt or not", *shown)
    dataplane = cluster.network_dataplane
    if dataplane is None:
        return undecided("The body names no data plane, as older api-versions do; read it with a newer one", *shown)
    match cluster.transit_encryption:
        case TransitEncryption.NONE | None:
            return fails(f"Traffic between nodes is not encrypted (data plane {dataplane})", *shown)
        case TransitEncryption.WIREGUARD if dataplane is not NetworkDataplane.CILIUM:
            return fails(f"WireGuard is asked for, and the data plane is {dataplane}, not Cilium", *shown)
        case TransitEncryption.WIREGUARD:
            return _in_effect(cluster, *shown)
        case other:
            assert_never(other)


def _in_effect(cluster: ManagedCluster, *shown: Evidence) -> Verdict:
    """Whether the services that WireGuard is part of are on."""
    switches = (
        cluster.at(ManagedCluster.advanced_networking_enabled),
        cluster.at(ManagedCluster.advanced_security_enabled),
    )
    if not cluster.advanced_networking_enabled or cluster.advanced_security_enabled is False:
        message = "WireGuard is asked for, and Advanced Container Networking Services, which it is part of, are off"
        return fails(message, *shown, *switches)
    return passes("WireGuard encrypts what pods send to other nodes", *shown, *switches)


RULES = (policies_on_windows, transit_encrypted)
