"""Role assignments around clusters: what their identities need, and what people have."""

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import Body
from compose.azure import guid
from compose.services import NETWORK_CONTRIBUTOR, PRIVATE_DNS_ZONE_CONTRIBUTOR

ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"


def given(role: str, scope: str, principal: str, kind: str = "ServicePrincipal") -> Body:
    """A role (by the GUID of its definition) given to a principal, by its object id, on a scope."""
    name = guid(principal, role, scope)
    subscription = "/".join(scope.split("/")[:3])
    return {
        "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
        "name": name,
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "roleDefinitionId": f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}",
            "principalId": principal,
            "principalType": kind,
            "scope": scope,
            "condition": None,
            "conditionVersion": None,
            "delegatedManagedIdentityResourceId": None,
            "description": None,
        },
    }


def own_rights(cluster: Body) -> list[Body]:
    """What a cluster's identity needs on the networks of its subnets, and on a DNS zone of the customer's."""
    identity, properties = cluster["identity"], cluster["properties"]
    principals = [one["principalId"] for one in identity.get("userAssignedIdentities", {}).values()]
    principal = principals[0] if principals else identity["principalId"]
    networks = {
        parse(pool["vnetSubnetID"]).parent: None for pool in properties["agentPoolProfiles"] if "vnetSubnetID" in pool
    }
    zone = properties.get("apiServerAccessProfile", {}).get("privateDNSZone", "")
    rights = [given(NETWORK_CONTRIBUTOR, network, principal) for network in networks]
    return [*rights, *([given(PRIVATE_DNS_ZONE_CONTRIBUTOR, zone, principal)] if zone.startswith("/") else [])]
