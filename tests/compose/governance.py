"""Bodies of what tells how clusters are governed: fleets, extensions, and roles that people may activate."""

from collections.abc import Iterable, Iterator, Sequence

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import Body, Listing
from compose.azure import Group, Subscription, guid, name_of, resource

FLEETS = "Microsoft.ContainerService/fleets"
EXTENSIONS = "Microsoft.KubernetesConfiguration/extensions"
ELIGIBLE_ROLES = "Microsoft.Authorization/roleEligibilityScheduleInstances"


ACCESS = "/providers/Microsoft.Graph/identity/conditionalAccess"
ACCESS_POLICIES = "Microsoft.Graph/conditionalAccessPolicies"


def governed(subscriptions: Iterable[Subscription], bodies: Iterable[Body]) -> Iterator[Listing]:
    """The listings of a scan that was also asked for fleets, extensions, eligible roles and policies of access."""
    yield Listing(ACCESS_POLICIES, ACCESS)
    for subscription in subscriptions:
        yield from (Listing(kind, subscription.id) for kind in (FLEETS, ELIGIBLE_ROLES))
    for body in bodies:
        kind = parse(body["id"]).type.lower()
        if kind == FLEETS.lower():
            yield Listing(f"{FLEETS}/members", body["id"])
        if kind == "microsoft.containerservice/managedclusters":
            yield Listing(EXTENSIONS, body["id"])


def fleet(group: Group, name: str, clusters: Sequence[Body]) -> list[Body]:
    """A fleet without a hub, and its members."""
    own = group.of(FLEETS, name)
    members = [
        resource(group, f"{own}/members/{name_of(one['id'])}", {"clusterResourceId": one["id"], "group": "production"})
        for one in clusters
    ]
    return [resource(group, own, {}), *members]


def extension(cluster: Body, name: str, kind: str) -> Body:
    """An extension of a cluster that is installed, api-version 2024-11-01."""
    return {
        "id": f"{cluster['id']}/providers/{EXTENSIONS}/{name}",
        "name": name,
        "type": EXTENSIONS,
        "properties": {
            "extensionType": kind,
            "autoUpgradeMinorVersion": True,
            "releaseTrain": "Stable",
            "scope": {"cluster": {"releaseNamespace": f"{name}-system"}},
            "provisioningState": "Succeeded",
            "isSystemExtension": False,
        },
    }


def second_factor(policy: str) -> Body:
    """A policy of conditional access that demands a second factor of everybody, as a snapshot holds it."""
    return {
        "id": f"/providers/{ACCESS_POLICIES}/{policy}",
        "type": ACCESS_POLICIES,
        "state": "enabled",
        "conditions": {
            "applications": {"includeApplications": ["All"], "excludeApplications": [], "applicationFilter": None},
            "clientAppTypes": ["all"],
            "users": {"includeUsers": ["All"]},
        },
        "grantControls": {"builtInControls": ["mfa"], "authenticationStrength": None},
    }


def policy_state(cluster: Body, assignment: str, state: str = "Compliant") -> Body:
    """What a policy found of a cluster, as Azure Resource Graph tells it."""
    name = guid(cluster["id"], assignment)
    return {
        "id": f"{cluster['id']}/providers/Microsoft.PolicyInsights/policyStates/{name}",
        "type": "microsoft.policyinsights/policystates",
        "properties": {
            "complianceState": state,
            "policyAssignmentName": assignment,
            "resourceId": cluster["id"].lower(),
            "resourceType": "microsoft.containerservice/managedclusters",
        },
    }
