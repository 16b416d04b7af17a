"""Facts about what Azure Monitor keeps and tells: diagnostic settings, and the four kinds of alert rules.

Source: Microsoft.Insights/diagnosticSettings 2021-05-01-preview, metricAlerts 2018-03-01, scheduledQueryRules
2023-12-01 and activityLogAlerts 2020-10-01, and Microsoft.AlertsManagement/prometheusRuleGroups 2023-03-01, as in
recorded answers and the REST API reference. They are read only where a scan is asked to
(`--read diagnostic-settings`, `--read alerts`).
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
    storage_account_id = text("properties.storageAccountId")
    event_hub_rule_id = text("properties.eventHubAuthorizationRuleId")
    partner_id = text("properties.marketplacePartnerId")
    logs = parts("properties.logs", LogSetting)


class MetricCriterion(View):
    """What a metric alert watches."""

    __slots__ = ()

    metric_name = text("metricName")
    metric_namespace = text("metricNamespace")


class AlertRule(AzureResource):
    """A rule that raises an alert about the resources in its scopes (ids of resources, groups or subscriptions)."""

    __slots__ = ()

    enabled = flag("properties.enabled")
    scopes = texts("properties.scopes")


class MetricAlert(AlertRule):
    """An alert on platform metrics."""

    __slots__ = ()

    TYPE = "Microsoft.Insights/metricAlerts"

    target_resource_type = text("properties.targetResourceType")
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


class EventCondition(View):
    """What a field of an event must be: one text, or one of several, without case; or else one of `any_of` holds."""

    __slots__ = ()

    field = text("field")
    equals = text("equals")
    contains_any = texts("containsAny")


class EventConditions(EventCondition):
    """A condition of an activity log alert: one of its own, or several of which one must hold."""

    __slots__ = ()

    any_of = parts("anyOf", EventCondition)


class ActivityLogAlert(AlertRule):
    """An alert on events of the activity log, for which all its conditions hold."""

    __slots__ = ()

    TYPE = "Microsoft.Insights/activityLogAlerts"

    conditions = parts("properties.condition.allOf", EventConditions)
