"""What Azure tells of every cluster and no estate of ours holds: its logs, its maintenance and the egress it needs.

Source: the models of azure-mgmt-containerservice 41.8, recorded diagnostic settings, and the outbound rules that the
documentation of AKS lists.
"""

from resource_manager.paging import Body

_HTTPS, _HTTP = 443, 80
VERSIONS = "microsoft.containerservice/locations/kubernetesversions"
_PLANS = ["KubernetesOfficial", "AKSLongTermSupport"]


def of_cluster(kind: str, cluster: Body) -> list[Body]:
    """The items of a list about a cluster, by the type (in lower case) of what is listed; none of another type."""
    match kind:
        case "microsoft.insights/diagnosticsettings":
            return [_diagnostic_setting(cluster)]
        case "microsoft.containerservice/managedclusters/maintenanceconfigurations":
            return [_maintenance(cluster, "aksManagedAutoUpgradeSchedule"), _maintenance(cluster, "default")]
        case "microsoft.containerservice/managedclusters/outboundnetworkdependenciesendpoints":
            return _outbound_endpoints(cluster)
        case _:
            return []


def kubernetes_versions() -> list[Body]:
    """The Kubernetes versions that AKS has in a region, in autumn 2026."""
    return [
        _version("1.32", 9, _PLANS[1:]),
        _version("1.33", 5, _PLANS[1:]),
        _version("1.34", 2, _PLANS),
        {**_version("1.35", 1, _PLANS), "isDefault": True},
        _version("1.36", 0, _PLANS),
        {**_version("1.37", 0, _PLANS), "isPreview": True},
    ]


def _version(minor: str, patch: int, plans: list[str]) -> Body:
    return {
        "version": minor,
        "capabilities": {"supportPlan": plans},
        "isDefault": None,
        "isPreview": None,
        "patchVersions": {f"{minor}.{number}": {"upgrades": []} for number in range(patch + 1)},
    }


def _diagnostic_setting(cluster: Body) -> Body:
    own = str(cluster["id"])
    group = own.partition("/providers/")[0]
    categories = ("kube-apiserver", "kube-audit-admin", "guard")
    return {
        "id": f"{own.lower()}/providers/microsoft.insights/diagnosticSettings/to-workspace",
        "type": "Microsoft.Insights/diagnosticSettings",
        "name": "to-workspace",
        "location": None,
        "kind": None,
        "tags": None,
        "properties": {
            "storageAccountId": None,
            "serviceBusRuleId": None,
            "workspaceId": f"{group}/providers/Microsoft.OperationalInsights/workspaces/logs",
            "eventHubAuthorizationRuleId": None,
            "eventHubName": None,
            "metrics": [],
            "logs": [
                {
                    "category": category,
                    "categoryGroup": None,
                    "enabled": True,
                    "retentionPolicy": {"enabled": False, "days": 0},
                }
                for category in categories
            ],
            "logAnalyticsDestinationType": "Dedicated",
        },
        "identity": None,
    }


def _maintenance(cluster: Body, name: str) -> Body:
    window = {
        "schedule": {"weekly": {"intervalWeeks": 1, "dayOfWeek": "Sunday"}},
        "durationHours": 8,
        "utcOffset": "+00:00",
        "startDate": "2026-01-04",
        "startTime": "01:00",
        "notAllowedDates": [{"start": "2026-12-20", "end": "2027-01-03"}],
    }
    slots = [{"day": "Sunday", "hourSlots": [1, 2, 3]}]
    return {
        "id": f"{cluster['id']}/maintenanceConfigurations/{name}",
        "name": name,
        "type": "Microsoft.ContainerService/managedClusters/maintenanceConfigurations",
        "properties": {"timeInWeek": slots} if name == "default" else {"maintenanceWindow": window},
    }


def _outbound_endpoints(cluster: Body) -> list[Body]:
    region = str(cluster.get("location") or "westeurope")
    return [
        _category("azure-resource-management", "management.azure.com", "login.microsoftonline.com"),
        _category("images", "mcr.microsoft.com", "*.data.mcr.microsoft.com"),
        _category("artifacts", "packages.microsoft.com", "packages.aks.azure.com"),
        _category("time-sync", "ntp.ubuntu.com", port=123, protocol="UDP"),
        _category("ubuntu-optional", "security.ubuntu.com", "azure.archive.ubuntu.com", port=_HTTP, protocol="HTTP"),
        _category("apiserver", f"*.hcp.{region}.azmk8s.io"),
        {
            "category": "tunnel-classic",
            "endpoints": [
                {
                    "endpointDetails": [
                        {"ipAddress": f"AzureCloud.{region}", "port": 9000, "protocol": "TCP", "description": "tunnel"}
                    ]
                }
            ],
        },
    ]


def _category(name: str, *domains: str, port: int = _HTTPS, protocol: str = "HTTPS") -> Body:
    details = [{"port": port, "protocol": protocol}]
    return {
        "category": name,
        "endpoints": [{"domainName": domain, "endpointDetails": details} for domain in domains],
    }
