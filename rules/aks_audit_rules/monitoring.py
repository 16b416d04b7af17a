"""What is left to look at after an incident: logs and metrics in Azure Monitor."""

from aks_audit.facts import AddOn, ManagedCluster
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, passes, rule
from aks_audit_rules.frameworks import (
    aks_health_check,
    aprl,
    checkov,
    kubebuddy,
    prowler,
    psrule,
    review_checklist,
    the_aks_checklist,
)


@rule(
    "AKS-OP-01",
    title="Container logs are kept in Azure Monitor",
    severity=Severity.MEDIUM,
    controls=(
        psrule("Azure.AKS.ContainerInsights"),
        aprl("dcaf8128-94bd-4d53-9235-3a0371df6b74"),
        kubebuddy("AKSMON001"),
        review_checklist("eaa8dc4a-2436-47b3-9697-15b1752beee0"),
        the_aks_checklist("eaa8dc4a-2436-47b3-9697-15b1752beee0"),
        aks_health_check("CSM-4"),
        checkov("CKV_AZURE_4"),
    ),
)
def container_logs_kept(cluster: ManagedCluster) -> Verdict:
    """A container's log dies with its pod. Container Insights takes it, and Kubernetes' events, to a workspace.

    Severity: an intruder deletes one pod and the trace is gone, and a crash at night stays unexplained.
    Decided: `properties.addonProfiles.omsagent.enabled` is true, whatever the key's case, or
    `properties.azureMonitorProfile.containerInsights.enabled`, the newer place of the same thing. Neither is on by
    default, so absent fails. Which logs are collected, and in which schema (ContainerLogV2), is set inside the cluster
    and not judged here. Another collector cannot be seen in Azure: accept the finding as an exception.
    Fix: az aks enable-addons --resource-group {group} --name {name} --addons monitoring --workspace-resource-id <workspace-id>
    Bicep: properties.addonProfiles.omsagent.enabled: true (with config.logAnalyticsWorkspaceResourceID)
    Change: in place; the workspace bills what it takes in
    References: https://learn.microsoft.com/azure/azure-monitor/containers/kubernetes-monitoring-enable
    """
    agent = cluster.oms_agent
    in_add_on = agent.at(AddOn.enabled) if agent else cluster.at(ManagedCluster.oms_agent)
    if agent and agent.enabled:
        return passes("Container Insights is enabled, as an add-on", in_add_on)
    in_profile = cluster.at(ManagedCluster.container_insights_enabled)
    if cluster.container_insights_enabled:
        return passes("Container Insights is enabled, in the Azure Monitor profile", in_profile)
    return fails("Container Insights is not enabled", in_add_on, in_profile)


@rule(
    "AKS-OP-02",
    title="Metrics are kept in managed Prometheus",
    severity=Severity.LOW,
    controls=(
        aprl("dcaf8128-94bd-4d53-9235-3a0371df6b74"),
        kubebuddy("AKSMON002"),
        review_checklist("6f8389a7-f82c-4b8e-a8c0-aa63a25a4956"),
        the_aks_checklist("6f8389a7-f82c-4b8e-a8c0-aa63a25a4956"),
        aks_health_check("CSM-6"),
        prowler("aks_cluster_azure_monitor_enabled"),
    ),
)
def metrics_kept(cluster: ManagedCluster) -> Verdict:
    """Metrics are what alerts are made of: full nodes, crash loops, an API server that slows down.

    Severity: without them an outage is noticed later, by its users. They show little of an attacker, but for a miner.
    Decided: `properties.azureMonitorProfile.metrics.enabled` is true. Absent means off (the default). A Prometheus that
    someone runs in the cluster, or another product, cannot be seen in Azure: accept the finding as an exception.
    Fix: az aks update --resource-group {group} --name {name} --enable-azure-monitor-metrics
    Bicep: properties.azureMonitorProfile.metrics.enabled: true (with a data collection rule to an Azure Monitor workspace)
    Change: in place
    References: https://learn.microsoft.com/azure/azure-monitor/containers/kubernetes-monitoring-enable
    """
    evidence = cluster.at(ManagedCluster.monitor_metrics_enabled)
    if cluster.monitor_metrics_enabled:
        return passes("Managed Prometheus is enabled", evidence)
    return fails("Managed Prometheus is not enabled", evidence)


RULES = (container_logs_kept, metrics_kept)
