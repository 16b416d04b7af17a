"""Bodies of what a scan reads where it is asked to: logs, alerts, flow logs, credentials, plans, backups, quotas."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import Body, Listing
from compose.azure import Group, Subscription, guid, name_of, network_resource, resource

_FEDERATED = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"
_SETTINGS = "Microsoft.Insights/diagnosticSettings"
_BY_SUBSCRIPTION = (
    "Microsoft.AlertsManagement/prometheusRuleGroups",
    "Microsoft.DataProtection/backupVaults",
    "Microsoft.Insights/activityLogAlerts",
    "Microsoft.Insights/metricAlerts",
    "Microsoft.Insights/scheduledQueryRules",
    "Microsoft.Network/networkWatchers",
    "Microsoft.Security/pricings",
)
IMAGES_SEARCHED = (
    "AgentlessDiscoveryForKubernetes",
    "AgentlessVmScanning",
    "ContainerRegistriesVulnerabilityAssessments",
)
"""The extensions of Defender's plans with which it searches images."""

_BY_RESOURCE = {
    "microsoft.containerregistry/registries": _SETTINGS,
    "microsoft.containerservice/managedclusters": _SETTINGS,
    "microsoft.dataprotection/backupvaults": "Microsoft.DataProtection/backupVaults/backupInstances",
    "microsoft.managedidentity/userassignedidentities": _FEDERATED,
    "microsoft.network/azurefirewalls": _SETTINGS,
    "microsoft.network/networkwatchers": "Microsoft.Network/networkWatchers/flowLogs",
}


def asked_for(subscriptions: Iterable[Subscription], bodies: Iterable[Body]) -> Iterator[Listing]:
    """The listings of a scan that was also asked for alerts, logs, flow logs and federated credentials."""
    for subscription in subscriptions:
        yield from (Listing(kind, subscription.id) for kind in _BY_SUBSCRIPTION)
    for body in bodies:
        if kind := _BY_RESOURCE.get(parse(body["id"]).type.lower()):
            yield Listing(kind, body["id"])


def diagnostic_setting(resource_id: str, workspace: str, categories: Sequence[str] = ()) -> Body:
    """A diagnostic setting that sends logs to a workspace: all of them, or those of some categories."""
    kept = [{"category": one, "categoryGroup": None} for one in categories]
    return {
        "id": f"{resource_id.lower()}/providers/microsoft.insights/diagnosticSettings/to-workspace",
        "type": _SETTINGS,
        "name": "to-workspace",
        "location": None,
        "kind": None,
        "tags": None,
        "properties": {
            "storageAccountId": None,
            "serviceBusRuleId": None,
            "workspaceId": workspace,
            "eventHubAuthorizationRuleId": None,
            "eventHubName": None,
            "metrics": [],
            "logs": [
                {**one, "enabled": True, "retentionPolicy": {"enabled": False, "days": 0}}
                for one in kept or [{"category": None, "categoryGroup": "allLogs"}]
            ],
            "logAnalyticsDestinationType": "Dedicated",
        },
        "identity": None,
    }


def flow_log(subscription: Subscription, target: str, workspace: str) -> list[Body]:
    """The network watcher of a region, and a flow log of a target there that traffic analytics reads."""
    group = subscription.group("NetworkWatcherRG")
    watcher = group.of("networkWatchers", f"NetworkWatcher_{subscription.location}")
    analytics = {
        "enabled": True,
        "workspaceId": guid(workspace, "customer"),
        "workspaceRegion": subscription.location,
        "workspaceResourceId": workspace,
        "trafficAnalyticsInterval": 10,
    }
    properties = {
        "targetResourceId": target,
        "targetResourceGuid": guid(target),
        "storageId": subscription.group("rg-monitor").of("Microsoft.Storage/storageAccounts", "stflowlogs"),
        "enabled": True,
        "flowAnalyticsConfiguration": {"networkWatcherFlowAnalyticsConfiguration": analytics},
        "retentionPolicy": {"days": 90, "enabled": True},
        "format": {"type": "JSON", "version": 2},
    }
    log = f"{watcher}/flowLogs/{name_of(target)}-flowlog"
    found = network_resource(group, log, properties)
    del found["properties"]["resourceGuid"]
    return [resource(group, watcher, {"runningOperationIds": []}), found]


def log_search_alert(group: Group, name: str, workspace: str, query: str) -> Body:
    """A log search alert that is enabled, on a workspace."""
    criterion = {"query": query, "timeAggregation": "Count", "operator": "GreaterThan", "threshold": 0.0}
    properties = {
        "enabled": True,
        "severity": 2,
        "evaluationFrequency": "PT15M",
        "windowSize": "PT15M",
        "scopes": [workspace],
        "criteria": {"allOf": [criterion]},
    }
    return resource(group, group.of("Microsoft.Insights/scheduledQueryRules", name), properties, kind="LogAlert")


def metric_alert(group: Group, name: str, scope: str, metric: str) -> Body:
    """A metric alert that is enabled, on one resource."""
    criteria = {
        "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
        "allOf": [
            {
                "name": "Metric1",
                "metricNamespace": parse(scope).type,
                "metricName": metric,
                "operator": "GreaterThan",
                "threshold": 900.0,
                "timeAggregation": "Maximum",
                "criterionType": "StaticThresholdCriterion",
            }
        ],
    }
    properties = {
        "enabled": True,
        "severity": 2,
        "scopes": [scope],
        "evaluationFrequency": "PT5M",
        "windowSize": "PT5M",
        "criteria": criteria,
        "actions": [],
    }
    return {**resource(group, group.of("Microsoft.Insights/metricAlerts", name), properties), "location": "global"}


def activity_log_alert(group: Group, name: str, category: str, **any_of: Sequence[str]) -> Body:
    """An activity log alert that is enabled, on events of a category in the subscription.

    `any_of`: further conditions, by the field the values of which one must be.
    """
    conditions: list[Body] = [{"field": "category", "equals": category, "containsAny": None}]
    conditions += [{"field": field, "equals": None, "containsAny": list(of)} for field, of in any_of.items()]
    properties = {
        "scopes": [group.subscription.id],
        "condition": {"allOf": conditions},
        "actions": {"actionGroups": []},
        "enabled": True,
    }
    body = resource(group, group.of("Microsoft.Insights/activityLogAlerts", name), properties)
    return {**body, "location": "Global"}


def backups(group: Group, name: str, clusters: Iterable[str]) -> list[Body]:
    """A backup vault, and the backup instances of clusters in it."""
    vault = group.of("Microsoft.DataProtection/backupVaults", name)
    return [
        resource(group, vault, {"storageSettings": [{"datastoreType": "VaultStore", "type": "ZoneRedundant"}]}),
        *(_backup(f"{vault}/backupInstances/{name_of(one)}-{guid(vault, one)}", one) for one in clusters),
    ]


def _backup(own: str, cluster: str) -> Body:
    source = {
        "objectType": "Datasource",
        "resourceID": cluster,
        "resourceName": name_of(cluster),
        "resourceType": parse(cluster).type,
        "datasourceType": parse(cluster).type,
    }
    return {
        "id": own,
        "name": name_of(own),
        "type": parse(own).type,
        "properties": {
            "objectType": "BackupInstance",
            "friendlyName": name_of(cluster),
            "dataSourceInfo": source,
            "protectionStatus": {"status": "ProtectionConfigured"},
            "currentProtectionState": "ProtectionConfigured",
            "provisioningState": "Succeeded",
        },
    }


def core_quotas(subscription: Subscription, quotas: Mapping[str, tuple[int, int]]) -> Body:
    """How many cores of each family, and of all, are taken in the subscription's region, and may be."""
    own = f"{subscription.id}/providers/Microsoft.Compute/locations/{subscription.location}/usages"
    rows = [
        {"unit": "Count", "currentValue": taken, "limit": limit, "name": {"value": name, "localizedValue": name}}
        for name, (taken, limit) in quotas.items()
    ]
    return {"id": own, "type": "Microsoft.Compute/locations/usages", "value": rows}


def defender_plans(subscription: Subscription, *extensions: str) -> list[Body]:
    """The plans of Defender for Cloud that are about containers: on with some extensions, or off with none."""
    on: Body = {"pricingTier": "Standard", "resourcesCoverageStatus": "FullyCovered"}
    on["extensions"] = [{"name": one, "isEnabled": str(one in extensions)} for one in IMAGES_SEARCHED]
    off = {"pricingTier": "Free", "resourcesCoverageStatus": "NotCovered"}
    plans = {"CloudPosture": off, "Containers": on if extensions else off}
    return [
        {
            "id": f"{subscription.id}/providers/Microsoft.Security/pricings/{name}",
            "name": name,
            "type": "Microsoft.Security/pricings",
            "properties": {**properties, "enforce": "False", "freeTrialRemainingTime": "PT0S"},
        }
        for name, properties in plans.items()
    ]


def federated_credential(identity: Body, cluster: Body, account: str) -> Body:
    """What lets a service account of a cluster (NAMESPACE:NAME) be an identity."""
    issuer = cluster["properties"]["oidcIssuerProfile"]["issuerURL"]
    return trust(identity, account.replace(":", "-"), issuer, f"system:serviceaccount:{account}")


def trust(identity: Body, name: str, issuer: str, subject: str) -> Body:
    """A federated credential: what lets whoever has an issuer's token for a subject be an identity."""
    return {
        "id": f"{identity['id']}/federatedIdentityCredentials/{name}",
        "name": name,
        "type": _FEDERATED,
        "properties": {"issuer": issuer, "subject": subject, "audiences": ["api://AzureADTokenExchange"]},
    }
