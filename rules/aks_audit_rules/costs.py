"""What the cluster costs, and whom."""

from aks_audit.facts import ManagedCluster, SkuTier
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import kubebuddy, review_checklist, the_aks_checklist


@rule(
    "AKS-OP-08",
    title="Cost analysis tells what each namespace costs",
    severity=Severity.INFO,
    controls=(
        kubebuddy("AKSRES002"),
        review_checklist("f82cb8eb-8c0a-4a63-a25a-4956eaa8dc4a"),
        the_aks_checklist("f82cb8eb-8c0a-4a63-a25a-4956eaa8dc4a"),
    ),
)
def costs_analysed(cluster: ManagedCluster) -> Verdict:
    """The bill names machines and disks. Cost analysis divides it among namespaces, so that whoever runs up costs sees them.

    It shows, too, what nobody's workload explains.

    Severity: it is a matter of money and of order, and of security only where somebody mines on your nodes.
    Decided: `properties.metricsProfile.costAnalysis.enabled` is true. Absent means off (the default). The tier Free cannot have it.
    OpenCost or another product inside the cluster cannot be seen in Azure: accept the finding as an exception.
    Fix: az aks update --resource-group {group} --name {name} --enable-cost-analysis
    Bicep: properties.metricsProfile.costAnalysis.enabled: true
    Change: in place; free of charge
    References: https://learn.microsoft.com/azure/aks/cost-analysis
    """
    evidence = cluster.at(ManagedCluster.cost_analysis_enabled)
    if cluster.cost_analysis_enabled:
        return passes("Cost analysis is enabled", evidence)
    if cluster.sku_tier is SkuTier.FREE:
        return not_applicable("The tier Free has no cost analysis", cluster.at(ManagedCluster.sku_tier))
    return fails("Cost analysis is not enabled", evidence)


RULES = (costs_analysed,)
