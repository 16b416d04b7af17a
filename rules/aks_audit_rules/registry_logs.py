"""What the registries of clusters write down."""

from aks_audit.facts import ClusterRegistry
from aks_audit.facts.monitoring import DiagnosticSetting
from aks_audit.facts.registry import ContainerRegistry
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, passes, rule
from aks_audit_rules.firewall_logs import kept_logs
from aks_audit_rules.frameworks import aprl, psrule

EVENTS = ("ContainerRegistryLoginEvents", "ContainerRegistryRepositoryEvents")
_GROUPS = ("alllogs", "audit")


@rule(
    "AKS-PAAS-17",
    title="The registry's logs of sign-ins and of images are kept",
    severity=Severity.LOW,
    controls=(
        aprl("44107155-7a32-9348-89f3-d5aa7e7c5a1d"),
        aprl("d594cde6-4116-d143-a64a-25f63289a2f8"),
        psrule("Azure.ACR.AuditLogs"),
    ),
)
def registry_logs_kept(registry: ClusterRegistry) -> Verdict:
    """Who pushed the image that clusters run now, and who pulled it: only the registry knows, and it keeps no log itself.

    Severity: an attack by an image that was replaced is not prevented by a log, and not understood without one.
    Decided: the registry's diagnostic settings together keep `ContainerRegistryLoginEvents` and
    `ContainerRegistryRepositoryEvents`, or one of the groups `allLogs` and `audit`, wherever they send them. Diagnostic settings are
    read with `--read diagnostic-settings`.
    Fix: az monitor diagnostic-settings create --resource {registry} --resource-group {group} --resource-type Microsoft.ContainerRegistry/registries --name to-workspace --workspace <workspace-id> --logs '[{{"categoryGroup": "audit", "enabled": true}}]'
    Bicep: a Microsoft.Insights/diagnosticSettings with the registry as its scope
    Change: in place; the workspace bills what it takes in
    References: https://learn.microsoft.com/azure/container-registry/monitor-container-registry
    """
    settings = registry.estate.within(DiagnosticSetting, registry.id)
    kept = {category.lower(): evidence for setting in settings for category, evidence in kept_logs(setting)}
    groups = [kept[group] for group in _GROUPS if group in kept]
    if groups:
        return passes("The registry's logs are kept", *groups)
    lacking = [category for category in EVENTS if category.lower() not in kept]
    if not lacking:
        return passes("The logs of sign-ins and of images are kept", *(kept[one.lower()] for one in EVENTS))
    settings.whole()
    shown = tuple(kept.values()) or (registry.at(ContainerRegistry.tier),)
    return fails(f"No diagnostic setting of the registry keeps {' and '.join(lacking)}", *shown)


RULES = (registry_logs_kept,)
