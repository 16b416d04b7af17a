"""Alerts: whether somebody is told before ports or addresses run out."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple, TypeVar

from aks_audit.facts import (
    Evidence,
    LoadBalancerSku,
    Malformed,
    ManagedCluster,
    Missing,
    NetworkPlugin,
    NetworkPluginMode,
    Unread,
)
from aks_audit.facts.enumerations import OutboundType
from aks_audit.facts.monitoring import (
    AlertRule,
    MetricAlert,
    PrometheusRule,
    PrometheusRuleGroup,
    ScheduledQueryRule,
)
from aks_audit.facts.networking import LoadBalancer, NatGateway
from aks_audit.facts.resource_id import within
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import review_checklist, the_aks_checklist

A = TypeVar("A", bound=AlertRule)

_BALANCER_METRICS = frozenset({"usedsnatports", "snatconnectioncount"})
_GATEWAY_METRICS = frozenset({"snatconnectioncount", "totalconnectioncount", "packetdropcount"})
_MANAGED_GATEWAYS = frozenset({OutboundType.MANAGED_NAT_GATEWAY, OutboundType.MANAGED_NAT_GATEWAY_V2})
_POD_ADDRESSES = ("cx_ipam_", "subnet_exhaustion")
"""What the metrics of Azure CNI about addresses of pods are called, in Prometheus and in Container Insights."""


class Told(NamedTuple):
    """What alert rules say: the evidence that one watches; that some are there but disabled; what cannot be told."""

    watching: tuple[Evidence, ...] = ()
    disabled: tuple[Evidence, ...] = ()
    perhaps: tuple[Missing, ...] = ()


@rule(
    "AKS-EGR-25",
    title="An alert tells when outbound ports run out",
    severity=Severity.LOW,
    controls=(
        review_checklist("be209d39-fda4-4777-a424-d116785c2fa5"),
        the_aks_checklist("95951d87-1a2f-4a45-833c-2fc62d23c44d"),
    ),
)
def snat_ports_watched(cluster: ManagedCluster) -> Verdict:
    """Nodes share the ports of a few public addresses; when these run out, new connections fail at random.

    It looks like a fault of whatever is called, so it is searched for in the wrong place.

    Severity: nothing is opened; an outage that could have been seen coming takes hours to understand.
    Decided: an enabled metric alert whose scope holds what the cluster leaves by: for outbound type `loadBalancer` the load
    balancer `kubernetes` of the node resource group and the metric `UsedSnatPorts` or `SnatConnectionCount`; for NAT gateways
    each of them and `SNATConnectionCount`, `TotalConnectionCount` or `PacketDropCount`. Whom the alert tells, and from which
    value on, is not judged. With another outbound type ports are shared elsewhere, if at all, and a Basic load balancer has no
    such metrics. Alerts are read with `--read alerts`; one outside the cluster's subscription counts where it was read.
    Fix: az monitor metrics alert create --resource-group {group} --name snat-ports --scopes <load balancer id> --condition "max UsedSnatPorts > 900" --action <action group>
    Bicep: a Microsoft.Insights/metricAlerts with the load balancer in properties.scopes, and the metric in properties.criteria.allOf
    Change: in place
    References: https://learn.microsoft.com/azure/load-balancer/load-balancer-standard-diagnostics
    https://learn.microsoft.com/azure/nat-gateway/nat-metrics
    """
    evidence = cluster.at(ManagedCluster.outbound_type)
    match cluster.outbound_type:
        case None | OutboundType.LOAD_BALANCER if cluster.load_balancer_sku is LoadBalancerSku.BASIC:
            told = "A Basic load balancer tells nothing of its ports"
            return not_applicable(told, cluster.at(ManagedCluster.load_balancer_sku))
        case None | OutboundType.LOAD_BALANCER:
            balancer = f"{cluster.node_group_id}/providers/{LoadBalancer.TYPE}/kubernetes"
            return _watched(cluster, balancer, _BALANCER_METRICS)
        case outbound if outbound in _MANAGED_GATEWAYS:
            gateways = [one.id for one in cluster.estate.within(NatGateway, cluster.node_group_id).whole()]
        case OutboundType.USER_ASSIGNED_NAT_GATEWAY:
            gateways = list(_gateways_of_subnets(cluster))
        case _:
            return not_applicable("The cluster has no load balancer and no NAT gateway to leave by", evidence)
    if not gateways:
        return undecided("The NAT gateway that the cluster leaves by is not among what was read", evidence)
    return each(gateways, lambda gateway: _watched(cluster, gateway, _GATEWAY_METRICS))


def _gateways_of_subnets(cluster: ManagedCluster) -> Iterator[str]:
    subnets = {pool.node_subnet.id.lower(): pool.node_subnet for pool in cluster.pools if pool.node_subnet}
    links = [subnet.read().nat_gateway for subnet in subnets.values()]
    yield from dict.fromkeys(link.id for link in links if link)


def _watched(cluster: ManagedCluster, resource_id: str, metrics: Collection[str]) -> Verdict:
    def watches(alert: MetricAlert) -> bool:
        names = {(one.metric_name or "").lower() for one in alert.criteria or ()}
        return bool(names & set(metrics)) and in_scope(alert, [resource_id])

    told = ask(cluster.estate.every(MetricAlert), watches)
    name = resource_id.rpartition("/")[2]
    if told.watching:
        return passes(f"An alert watches the ports of {name}", *told.watching)
    if told.perhaps:
        return undecided("Whether an alert watches the ports cannot be told", missing=told.perhaps)
    cluster.estate.within(MetricAlert, subscription_of(cluster)).whole()
    if told.disabled:
        return fails(f"The alert on the ports of {name} is disabled", *told.disabled)
    return fails(f"No metric alert watches the ports of {name}", cluster.at(ManagedCluster.outbound_type))


@rule(
    "AKS-SUB-29",
    title="An alert tells when addresses for pods run out",
    severity=Severity.LOW,
    controls=(review_checklist("1a4835ac-9422-423e-ae80-b123081a5417"),),
)
def pod_addresses_watched(cluster: ManagedCluster) -> Verdict:
    """Where pods take addresses of the network, a full subnet stops every rollout and every new node.

    Azure has no metric of how full a subnet is; Azure CNI tells it from inside the cluster, where somebody collects it.

    Severity: nothing is opened; scaling out fails just when it is needed, and a subnet with nodes in it cannot grow.
    Decided: for Azure CNI without overlay, whose pods have addresses of subnets: an enabled rule over the metrics of Azure CNI
    (`cx_ipam_…`): a log search alert about the cluster, a scope around it or the workspace of its Container Insights; or a
    Prometheus rule whose group names the cluster. A group that names none may be about every cluster that sends to its
    workspace, so that is unknown. Other collectors, and alerts in other products, cannot be seen in Azure: accept the finding
    as an exception. Alerts are read with `--read alerts`.
    Fix: az monitor scheduled-query create --resource-group {group} --name pod-addresses --scopes <workspace-id> --condition "count 'full' > 0" --condition-query full="InsightsMetrics | where Name == 'cx_ipam_available_ips' and Val < 50"
    Bicep: a Microsoft.Insights/scheduledQueryRules, or Microsoft.AlertsManagement/prometheusRuleGroups with clusterName
    Change: in place; first collect the metrics: enable azure_subnet_ip_usage in container-azm-ms-agentconfig
    References: https://learn.microsoft.com/azure/aks/configure-azure-cni-dynamic-ip-allocation
    https://learn.microsoft.com/azure/azure-monitor/containers/container-insights-data-collection-configure
    """
    plugin, mode = cluster.at(ManagedCluster.network_plugin), cluster.at(ManagedCluster.network_plugin_mode)
    if cluster.network_plugin is None:
        return undecided("The cluster's body does not name its network plugin", plugin)
    if cluster.network_plugin is not NetworkPlugin.AZURE or cluster.network_plugin_mode is NetworkPluginMode.OVERLAY:
        return not_applicable("Pods take no addresses of the network", plugin, mode)
    estate, subscription = cluster.estate, subscription_of(cluster)
    workspaces = workspaces_of(cluster)
    logs = ask(estate.every(ScheduledQueryRule), lambda one: _searches(one, [cluster.id, *workspaces]))
    series = ask(estate.every(PrometheusRuleGroup), lambda one: computes(one, cluster, _names_addresses))
    if watching := (*logs.watching, *series.watching):
        return passes("An alert watches the addresses of pods", *watching)
    if perhaps := (*logs.perhaps, *series.perhaps):
        return undecided("Whether an alert watches the addresses of pods cannot be told", missing=perhaps)
    estate.within(ScheduledQueryRule, subscription).whole()
    estate.within(PrometheusRuleGroup, subscription).whole()
    if disabled := (*logs.disabled, *series.disabled):
        return fails("The alert on the addresses of pods is disabled", *disabled)
    return fails("No alert watches the addresses of pods", plugin, mode)


def workspaces_of(cluster: ManagedCluster) -> Iterator[str]:
    """The Log Analytics workspaces of the cluster's Container Insights, as an add-on and in the profile."""
    agent = cluster.oms_agent
    return filter(None, (agent.workspace_id if agent else None, cluster.container_insights_workspace_id))


def _searches(alert: ScheduledQueryRule, resources: Sequence[str]) -> bool:
    queries = [(criterion.query or "").lower() for criterion in alert.criteria or ()]
    return any(name in query for query in queries for name in _POD_ADDRESSES) and in_scope(alert, resources)


def computes(group: PrometheusRuleGroup, cluster: ManagedCluster, named: Callable[[PrometheusRule], bool]) -> bool:
    """Whether a group has an alert about a cluster in which something is named.

    Raises:
        Malformed: it has one and does not say of which cluster, or whether it is enabled.
    """
    alerts = [one for one in group.rules or () if one.alert and named(one)]
    if not alerts or (group.cluster_name and group.cluster_name.lower() != cluster.name.lower()):
        return False
    if group.cluster_name is None and not in_scope(group, [cluster.id]):
        raise Malformed(group.id, "/properties/clusterName", "a Prometheus rule group that names no cluster")
    if any(one.enabled is None for one in alerts):
        raise Malformed(group.id, alerts[0].pointer, "an alert that is neither enabled nor disabled")
    return any(one.enabled for one in alerts)


def _names_addresses(one: PrometheusRule) -> bool:
    return any(name in (one.expression or "").lower() for name in _POD_ADDRESSES)


def in_scope(alert: AlertRule, resources: Sequence[str]) -> bool:
    """Whether one of the resources is in the scopes of an alert.

    Raises:
        Malformed: it has none; Azure makes no such alert.
    """
    if not alert.scopes:
        raise Malformed(alert.id, "/properties/scopes", "an alert without its scopes")
    return any(within(resource, scope) for scope in alert.scopes for resource in resources)


def ask(alerts: Sequence[A], watches: Callable[[A], bool]) -> Told:
    """What the alerts say of which something holds, which may not be to be told of some."""
    watching: list[Evidence] = []
    disabled: list[Evidence] = []
    perhaps: list[Missing] = []
    for alert in alerts:
        try:
            if watches(alert):
                if alert.enabled is None:
                    raise Malformed(alert.id, "/properties/enabled", "an alert that is neither enabled nor disabled")
                (watching if alert.enabled else disabled).append(alert.at(AlertRule.enabled))
        except Unread as unread:
            perhaps += unread.missing
    return Told(tuple(watching), tuple(disabled), tuple(dict.fromkeys(perhaps)))


def subscription_of(cluster: ManagedCluster) -> str:
    """The id of a cluster's subscription."""
    return f"/subscriptions/{cluster.parsed.subscription}"


RULES = (snat_ports_watched, pod_addresses_watched)
