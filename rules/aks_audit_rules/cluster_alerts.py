"""Alerts on the cluster itself: whether somebody is told when its nodes or pods are in trouble."""

import re

from aks_audit.facts import Malformed, ManagedCluster
from aks_audit.facts.monitoring import (
    MetricAlert,
    MetricCriterion,
    PrometheusRule,
    PrometheusRuleGroup,
    ScheduledQueryRule,
)
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, passes, rule, undecided
from aks_audit_rules.alerts import ask, computes, in_scope, subscription_of, workspaces_of
from aks_audit_rules.frameworks import review_checklist, the_aks_checklist

_METRICS = ("node_", "kube_node_", "kube_pod_")
"""What the names of AKS's own metrics about nodes and pods begin with; others are of the API server and the autoscaler."""

_SERIES = re.compile(r"(?<![a-z0-9_])(?:container_|kube_|kubelet_|node_)")
"""What names of series about nodes, pods and containers begin with, recorded ones after a colon."""

_TABLES = re.compile(r"\b(?:kubeevents|kubenodeinventory|kubepodinventory|perf)\b")
"""The tables of Container Insights about nodes and pods."""


@rule(
    "AKS-OP-04",
    title="An alert tells when nodes or pods are in trouble",
    severity=Severity.LOW,
    controls=(
        review_checklist("67f7a9ed-5b31-4f38-a3f3-9812b2463cff"),
        the_aks_checklist("67f7a9ed-5b31-4f38-a3f3-9812b2463cff"),
        review_checklist("4621dd68-c5a5-4be2-bdb1-1726769ef669"),
        the_aks_checklist("4621dd68-c5a5-4be2-bdb1-1726769ef669"),
        # The item 415833ea of the review checklists asks about the addresses of pods, as AKS-SUB-29 does.
    ),
)
def nodes_and_pods_watched(cluster: ManagedCluster) -> Verdict:
    """Full memory, full disks, nodes that drop out and pods that crash again and again show in metrics long before users call.

    Metrics that nobody looks at tell nobody; an alert does the looking.

    Severity: nothing is opened; an outage is noticed by its users, and a miner that eats the processors of nodes by the bill.
    Decided: an enabled alert of one of three kinds. A metric alert whose scope holds the cluster, on a metric of AKS about nodes
    or pods (`node_…`, `kube_node_…`, `kube_pod_…`); one on the API server or the autoscaler alone does not do. A Prometheus rule
    group of the cluster with an alert on series of nodes, pods or containers, as those that Azure recommends have; a group that
    names no cluster and has others in its scope may be about every cluster that sends to its workspace, so that is unknown. A
    log search alert about the cluster, or the workspace of its Container Insights, whose query reads `KubeEvents`,
    `KubeNodeInventory`, `KubePodInventory` or `Perf`. Alerts on the custom metrics of Container Insights (`Insights.Container/…`)
    do not count, for these metrics have ended. Whom an alert tells, and from which value on, is not judged. Alerts in other products cannot be seen in
    Azure: accept the finding as an exception. Alerts are read with `--read alerts`.
    Fix: az monitor metrics alert create --resource-group {group} --name node-memory --scopes <cluster id> --condition "avg node_memory_working_set_percentage > 90" --action <action group>
    Bicep: a Microsoft.Insights/metricAlerts with the cluster in properties.scopes, or Microsoft.AlertsManagement/prometheusRuleGroups with clusterName
    Change: in place; the portal offers Azure's recommended alerts, which need managed Prometheus
    References: https://learn.microsoft.com/azure/azure-monitor/containers/kubernetes-metric-alerts
    https://learn.microsoft.com/azure/aks/monitor-aks-reference
    """
    estate, subscription = cluster.estate, subscription_of(cluster)
    resources = [cluster.id, *workspaces_of(cluster)]
    metrics = ask(estate.every(MetricAlert), lambda one: _measures(one, cluster))
    series = ask(estate.every(PrometheusRuleGroup), lambda one: computes(one, cluster, _names_series))
    logs = ask(estate.every(ScheduledQueryRule), lambda one: _searches(one) and in_scope(one, resources))
    every = (metrics, series, logs)
    if watching := [evidence for told in every for evidence in told.watching]:
        return passes("An alert watches nodes or pods", *watching)
    if perhaps := [missing for told in every for missing in told.perhaps]:
        return undecided("Whether an alert watches nodes or pods cannot be told", missing=perhaps)
    estate.within(MetricAlert, subscription).whole()
    estate.within(PrometheusRuleGroup, subscription).whole()
    estate.within(ScheduledQueryRule, subscription).whole()
    if disabled := [evidence for told in every for evidence in told.disabled]:
        return fails("The alerts on nodes and pods are disabled", *disabled)
    return fails("No alert watches nodes or pods", cluster.at(ManagedCluster.monitor_metrics_enabled))


def _measures(alert: MetricAlert, cluster: ManagedCluster) -> bool:
    """Whether a metric alert about a cluster is on its nodes or pods."""
    if not in_scope(alert, [cluster.id]):
        return False
    return any(_of_cluster(alert, one, cluster) and _of_nodes(one) for one in alert.criteria or ())


def _of_cluster(alert: MetricAlert, criterion: MetricCriterion, cluster: ManagedCluster) -> bool:
    """Whether a metric is one of AKS.

    Raises:
        Malformed: an alert on a whole group or subscription does not say on which type of resource.
    """
    kind = criterion.metric_namespace or alert.target_resource_type
    if kind is None and cluster.id.lower() not in {scope.lower() for scope in alert.scopes or ()}:
        raise Malformed(alert.id, "/properties/targetResourceType", "an alert on many resources without their type")
    return kind is None or kind.lower() == ManagedCluster.TYPE.lower()


def _of_nodes(criterion: MetricCriterion) -> bool:
    return (criterion.metric_name or "").lower().startswith(_METRICS)


def _names_series(one: PrometheusRule) -> bool:
    return bool(_SERIES.search((one.expression or "").lower()))


def _searches(alert: ScheduledQueryRule) -> bool:
    return any(_TABLES.search((criterion.query or "").lower()) for criterion in alert.criteria or ())


RULES = (nodes_and_pods_watched,)
