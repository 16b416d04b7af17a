"""Facts about what Azure Monitor keeps and tells: diagnostic settings, and the three kinds of alert rules.

Source: Microsoft.Insights/diagnosticSettings 2021-05-01-preview, metricAlerts 2018-03-01 and scheduledQueryRules
2023-12-01, and Microsoft.AlertsManagement/prometheusRuleGroups 2023-03-01, as in recorded answers and the REST API
reference. They are read only where a scan is asked to (`--read diagnostic-settings`, `--read alerts`).
"""

from aks_audit.facts.field import View, flag, parts, text, texts
from aks_audit.facts.resource import AzureResource


class LogSetting(View):
    """A category of logs, or a group of categories (`allLogs`, `audit`), in a diagnostic setting."""

    __slots__ = ()

    category = text("category")
    category_group = text("categoryGroup")
    enabled = flag("enabled")


class DiagnosticSetting(AzureResource):
    """Which logs of a resource are kept, and where."""

    __slots__ = ()

    TYPE = "Microsoft.Insights/diagnosticSettings"

    workspace_id = text("properties.workspaceId")
    logs = parts("properties.logs", LogSetting)


class MetricCriterion(View):
    """What a metric alert watches."""

    __slots__ = ()

    metric_name = text("metricName")


class AlertRule(AzureResource):
    """A rule that raises an alert about the resources in its scopes (ids of resources, groups or subscriptions)."""

    __slots__ = ()

    enabled = flag("properties.enabled")
    scopes = texts("properties.scopes")


class MetricAlert(AlertRule):
    """An alert on platform metrics."""

    __slots__ = ()

    TYPE = "Microsoft.Insights/metricAlerts"

    criteria = parts("properties.criteria.allOf", MetricCriterion)


class QueryCriterion(View):
    """A query of a log search alert."""

    __slots__ = ()

    query = text("query")


class ScheduledQueryRule(AlertRule):
    """A log search alert; its scopes may be Log Analytics workspaces."""

    __slots__ = ()

    TYPE = "Microsoft.Insights/scheduledQueryRules"

    criteria = parts("properties.criteria.allOf", QueryCriterion)


class PrometheusRule(View):
    """A rule of a group: an alert by its name, or a recorded series, which has none."""

    __slots__ = ()

    alert = text("alert")
    expression = text("expression")
    enabled = flag("enabled")


class PrometheusRuleGroup(AlertRule):
    """Rules over metrics in Azure Monitor workspaces, all clusters' or one cluster's."""

    __slots__ = ()

    TYPE = "Microsoft.AlertsManagement/prometheusRuleGroups"

    cluster_name = text("properties.clusterName")
    rules = parts("properties.rules", PrometheusRule)
