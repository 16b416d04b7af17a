"""What the Azure Firewall of clusters writes down: its logs, and the analysis of its policy."""

from collections.abc import Iterator

from aks_audit.facts import ClusterFirewall, Evidence, Malformed
from aks_audit.facts.firewall import AzureFirewall, FirewallPolicy
from aks_audit.facts.monitoring import DiagnosticSetting, LogSetting
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import aprl, azqr, azure_policy

_RULE_LOGS = {"AZFWNetworkRule": "AzureFirewallNetworkRule", "AZFWApplicationRule": "AzureFirewallApplicationRule"}
"""The categories of logs that tell of each connection, and what they were called in their older form."""

_ALL = "alllogs"


@rule(
    "AKS-EGR-19",
    title="The firewall's logs are kept, and its policy is analysed",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("dfb5ac92-ce74-4dbc-81fa-87243e62d5d3"),
        aprl("3c8fa7c6-6b78-a24a-a63f-348a7c71acb9"),
        aprl("8faace2d-a36e-425c-aa58-2ad99e3e0b7a"),
        azqr("afw-001"),
    ),
)
def firewall_logs_kept(firewall: ClusterFirewall) -> Verdict:
    """All that leaves the clusters passes here; what the firewall does not write down, nobody can look up afterwards.

    Which pod sent data where, which rule let it, what an upgrade of AKS is suddenly refused: only these logs tell.

    Severity: an intrusion leaves no trace outside the cluster. Low where the logs are kept in their older form only, or the
    policy is not analysed: policy analytics reads these logs and names rules that nothing uses, or that let too much.
    Decided: the firewall's diagnostic settings together keep `AZFWNetworkRule` and `AZFWApplicationRule`, or the group
    `allLogs`, wherever they send them; and `insights.isEnabled` of its policy is true (absent means off). The older categories
    (`AzureFirewallNetworkRule` …) alone fail as low. A firewall without a policy has no policy analytics. Diagnostic settings
    are read with `--read diagnostic-settings`.
    Fix: az monitor diagnostic-settings create --resource {firewall} --resource-group {group} --resource-type Microsoft.Network/azureFirewalls --name to-workspace --workspace <workspace-id> --export-to-resource-specific true --logs '[{{"categoryGroup": "allLogs", "enabled": true}}]'
    Bicep: a Microsoft.Insights/diagnosticSettings with the firewall as its scope; firewallPolicies properties.insights.isEnabled: true
    Change: in place; the workspace bills what it takes in, and policy analytics is billed by policy
    References: https://learn.microsoft.com/azure/firewall/monitor-firewall-reference
    https://learn.microsoft.com/azure/firewall/policy-analytics
    """
    return each((_rule_logs, _policy_analytics), lambda judge: judge(firewall))


def _rule_logs(firewall: ClusterFirewall) -> Verdict:
    settings = firewall.estate.within(DiagnosticSetting, firewall.id)
    kept = {category.lower(): evidence for setting in settings for category, evidence in kept_logs(setting)}
    if _ALL in kept:
        return passes("All logs of the firewall are kept", kept[_ALL])
    lacking = [category for category in _RULE_LOGS if category.lower() not in kept]
    if not lacking:
        return passes("The logs of network and application rules are kept", *(kept[one.lower()] for one in _RULE_LOGS))
    settings.whole()
    shown = tuple(kept.values()) or (firewall.at(AzureFirewall.firewall_policy),)
    if all(_RULE_LOGS[category].lower() in kept for category in lacking):
        return fails(
            "The logs of the firewall's rules are kept in their older form only", *shown, severity=Severity.LOW
        )
    return fails(f"No diagnostic setting of the firewall keeps {' and '.join(lacking)}", *shown)


def kept_logs(setting: DiagnosticSetting) -> Iterator[tuple[str, Evidence]]:
    """The categories, and groups of categories, that a setting keeps.

    Raises:
        Malformed: it does not say which; Azure always does.
    """
    if setting.logs is None:
        raise Malformed(setting.id, "/properties/logs", "a diagnostic setting without its list of logs")
    for log in setting.logs:
        name = log.category_group or log.category
        if name is None or log.enabled is None:
            raise Malformed(setting.id, log.pointer, "logs without their category, or neither kept nor not")
        if log.enabled:
            yield name, log.at(LogSetting.enabled)


def _policy_analytics(firewall: ClusterFirewall) -> Verdict:
    if firewall.firewall_policy is None:
        return not_applicable("The firewall has no policy to analyse", firewall.at(AzureFirewall.firewall_policy))
    policy = firewall.firewall_policy.read()
    evidence = policy.at(FirewallPolicy.insights_enabled)
    if policy.insights_enabled:
        return passes("Policy analytics is on", evidence)
    return fails("Policy analytics is off", evidence, severity=Severity.LOW)


RULES = (firewall_logs_kept,)
