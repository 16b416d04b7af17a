"""Alerts on the activity log: whether somebody is told what Azure says of the cluster, and who changes its network."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from aks_audit.facts import Malformed, ManagedCluster, UnheardOf
from aks_audit.facts.monitoring import ActivityLogAlert, EventCondition
from aks_audit.facts.networking import NetworkSecurityGroup, RouteTable
from aks_audit.facts.resource_id import parse
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.alerts import ask, in_scope
from aks_audit_rules.frameworks import aprl, prowler, review_checklist, the_aks_checklist


class _Watched(NamedTuple):
    """A security group or route table, and what its parts are called, which are written one by one, too."""

    resource_id: str
    type: str
    parts: str


class _Event(NamedTuple):
    """An event of a resource: by fields in lower case the values that it may have, in lower case and without spaces."""

    resource_id: str
    about: str
    fields: Mapping[str, frozenset[str]]


def _event(resource_id: str, about: str, category: str, **fields: str) -> _Event:
    """An event of a category; where a field may have one of several values, they are parted by `|`."""
    own = parse(resource_id)
    known = {
        "category": category,
        "resourcegroup": own.group,
        "resourceid": resource_id,
        "resourceprovider": own.type.partition("/")[0],
        "resourcetype": own.type,
        **{name.replace("__", "."): values for name, values in fields.items()},
    }
    return _Event(
        resource_id, about, {name: frozenset(map(_plain, values.split("|"))) for name, values in known.items()}
    )


@rule(
    "AKS-OP-05",
    title="An alert tells when Azure knows that the cluster or AKS is unwell",
    severity=Severity.LOW,
    controls=(
        review_checklist("74c2ee76-569b-4a79-a57e-dedf91b022c9"),
        the_aks_checklist("74c2ee76-569b-4a79-a57e-dedf91b022c9"),
        # The other items of this row ask a person to read Azure Advisor, and for AKS's events in Event Grid.
        prowler("monitor_alert_service_health_exists"),
    ),
)
def health_watched(cluster: ManagedCluster) -> Verdict:
    """Azure says in the activity log when a cluster's control plane is unwell, and when all of AKS is in its region.

    Nobody reads the activity log. An alert spares hours of searching at home for what is broken at Azure's.

    Severity: nothing is opened, and an outage takes longer to understand than it must.
    Decided: enabled activity log alerts that hear of two events: of category `ResourceHealth`, that this cluster is degraded or
    unavailable; of category `ServiceHealth`, an incident of Azure Kubernetes Service in its region. The alert's scopes must hold
    the cluster, and all of its conditions the event, each by one of its values: an alert on other resource types, other services
    or regions, or on planned maintenance alone does not hear. A condition on a field that such events are not known to have
    leaves it unknown. Whom an alert tells is not judged, for alert processing rules add action groups. Alerts on the service
    health of a whole tenant are not read. Read with `--read alerts`.
    Fix: az monitor activity-log alert create --resource-group {group} --name cluster-health --scope /subscriptions/{subscription} --condition category=ResourceHealth --action-group <action group>
        az monitor activity-log alert create --resource-group {group} --name aks-incidents --scope /subscriptions/{subscription} --condition category=ServiceHealth --action-group <action group>
    Bicep: two Microsoft.Insights/activityLogAlerts with the subscription in properties.scopes, on category ResourceHealth and ServiceHealth
    Change: in place; the alerts are free
    References: https://learn.microsoft.com/azure/service-health/resource-health-alert-arm-template-guide
    https://learn.microsoft.com/azure/service-health/alerts-activity-log-service-notifications-arm
    https://learn.microsoft.com/rest/api/monitor/activity-log-alerts/list-by-subscription-id
    """
    return each(_of_health(cluster), lambda event: _told_of(cluster, event))


def _of_health(cluster: ManagedCluster) -> Iterator[_Event]:
    yield _event(
        cluster.id,
        "that this cluster is unwell",
        "ResourceHealth",
        level="Critical|Error|Informational|Warning",
        status="Active|InProgress|Updated",
        properties__currenthealthstatus="Degraded|Unavailable",
        properties__previoushealthstatus="Available|Degraded|Unknown",
        properties__cause="PlatformInitiated",
    )
    yield _event(
        cluster.id,
        "of an incident of AKS in its region",
        "ServiceHealth",
        level="Critical|Error|Informational|Warning",
        status="Active|InProgress|Updated",
        properties__incidenttype="Incident",
        **{
            "properties__impactedservices[*]__servicename": "Azure Kubernetes Service (AKS)|Azure Kubernetes Service",
            "properties__impactedservices[*]__impactedregions[*]__regionname": cluster.region,
        },
    )


@rule(
    "AKS-OP-06",
    title="An alert tells when security groups or route tables of the cluster's subnets are changed",
    severity=Severity.LOW,
    controls=(
        aprl("8bb4a57b-55e4-d24e-9c19-2679d8bc779f"),
        aprl("23b2dfc7-7e5d-9443-9f62-980ca621b561"),
        prowler("monitor_alert_create_update_nsg"),
    ),
)
def network_changes_watched(cluster: ManagedCluster) -> Verdict:
    """One rule or route more, and nodes can be reached from the internet, or leave past the firewall.

    Such changes are rare and mostly planned; the one that was not is worth a mail.

    Severity: an alert prevents nothing, and whoever made the change stands in the activity log anyway. Info where it hears of
    changes of the whole group or table and not of single rules or routes, or the other way round.
    Decided: for each network security group and route table of the subnets of nodes and pods, enabled activity log alerts of
    category `Administrative` whose scopes hold it and whose conditions hold for two operations: writing it
    (`…/networkSecurityGroups/write`, `…/routeTables/write`), as templates do, and writing one rule or route
    (`…/securityRules/write`, `…/routes/write`), as the portal and `az network nsg rule` do. An alert without a condition on the
    operation hears both. One on failures alone, or on other types or groups, hears neither; a condition on the caller leaves it
    unknown. Without groups and tables on these subnets there is nothing to watch: those in the node resource group are AKS's,
    which changes them all the time. Whom an alert tells is not judged. Alerts are read with `--read alerts`.
    Fix: az monitor activity-log alert create --resource-group {group} --name network-changes --scope /subscriptions/{subscription} --condition "category=Administrative and operationName=Microsoft.Network/networkSecurityGroups/securityRules/write" --action-group <action group> # and so for each operation
    Bicep: Microsoft.Insights/activityLogAlerts with an anyOf of these operations in properties.condition.allOf
    Change: in place; the alerts are free
    References: https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-activity-log-alert-rule
    https://learn.microsoft.com/azure/role-based-access-control/permissions/networking
    """
    found = {one.resource_id.lower(): one for one in _on_subnets(cluster)}
    if not found:
        told = "No security group or route table of yours is on the cluster's subnets"
        return not_applicable(told, cluster.at(ManagedCluster.agent_pools))
    return each(found.values(), lambda one: _changes_told(cluster, one))


def _on_subnets(cluster: ManagedCluster) -> Iterator[_Watched]:
    """The security groups and route tables on the subnets of nodes and pods."""
    for pool in cluster.pools:
        for link in filter(None, (pool.node_subnet, pool.pod_subnet)):
            subnet = link.read()
            if group := subnet.network_security_group:
                yield _Watched(group.id, NetworkSecurityGroup.TYPE, "securityRules")
            if table := subnet.route_table:
                yield _Watched(table.id, RouteTable.TYPE, "routes")


def _changes_told(cluster: ManagedCluster, one: _Watched) -> Verdict:
    """Whether an alert tells of changes of a security group or route table, and of its rules or routes."""
    name, part = parse(one.resource_id).name, f"{one.type}/{one.parts}"
    wholly = {"operationname": f"{one.type}/write", "status": "Accepted|Started|Succeeded", "level": "Informational"}
    partly = {**wholly, "operationname": f"{part}/write", "resourcetype": part, "resourceid": ""}
    events = (
        _event(one.resource_id, f"when {name} is written", "Administrative", **wholly),
        _event(one.resource_id, f"when {one.parts} of {name} are", "Administrative", **partly),
    )
    verdicts = [_told_of(cluster, event) for event in events]
    verdict = each(verdicts, lambda told: told)
    if verdict.outcome is Outcome.FAIL and any(told.outcome is Outcome.PASS for told in verdicts):
        return fails(verdict.message, *verdict.evidence, severity=Severity.INFO)
    return verdict


def _told_of(cluster: ManagedCluster, event: _Event) -> Verdict:
    """Whether an alert tells of an event. Alerts stand in the subscription of what they are about."""
    estate = cluster.estate
    told = ask(
        estate.every(ActivityLogAlert), lambda one: in_scope(one, [event.resource_id]) and _hears(one, event.fields)
    )
    if told.watching:
        return passes(f"An alert tells {event.about}", *told.watching)
    if told.perhaps:
        return undecided(f"Whether an alert tells {event.about} is not known", missing=told.perhaps)
    estate.within(ActivityLogAlert, f"/subscriptions/{parse(event.resource_id).subscription}").whole()
    if told.disabled:
        return fails(f"The alert that tells {event.about} is disabled", *told.disabled, severity=Severity.LOW)
    return fails(f"No alert tells {event.about}", cluster.at(ManagedCluster.location), severity=Severity.LOW)


def _hears(alert: ActivityLogAlert, event: Mapping[str, frozenset[str]]) -> bool:
    """Whether all conditions of an alert hold for an event.

    Raises:
        Malformed: it has none on the category, as every alert has, or one that says nothing.
        UnheardOf: one is about something that the event is not known to have, and the others hold.
    """
    conditions = [one.any_of or (one,) for one in alert.conditions or ()]
    if not any((leaf.field or "").lower() == "category" for leaves in conditions for leaf in leaves):
        raise Malformed(alert.id, "/properties/condition", "an alert without a condition on the category")
    strange: list[EventCondition] = []
    for leaves in conditions:
        if not any(_holds(leaf, event) for leaf in leaves):
            unknown = [leaf for leaf in leaves if (leaf.field or "").lower() not in event]
            if not unknown:
                return False
            strange += unknown
    if strange:
        raise UnheardOf(alert.id, f"{strange[0].pointer}/field", f"a condition on {strange[0].field}")
    return True


def _holds(leaf: EventCondition, event: Mapping[str, frozenset[str]]) -> bool:
    """Whether a condition on one field holds; False where the event is not known to have it.

    Raises:
        Malformed: it names no field, or no value.
    """
    values = (leaf.equals,) if leaf.equals else leaf.contains_any
    if leaf.field is None or not values:
        raise Malformed(leaf.document.id, leaf.pointer, "a condition without its field or its values")
    return any(_plain(value) in event.get(leaf.field.lower(), ()) for value in values)


def _plain(value: str) -> str:
    """A value as it is compared: names of regions and states are written with spaces and without."""
    return value.lower().replace(" ", "")


RULES = (health_watched, network_changes_watched)
