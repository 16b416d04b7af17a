"""Bodies of what stands beside clusters and networks: identities, roles, registries, safeguards, appliances."""

from collections.abc import Sequence

from aks_audit.snapshot import Body
from compose.azure import TENANT, Group, guid, reference, resource
from compose.networks import network_interface
from compose.registries import policies

CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
NETWORK_CONTRIBUTOR = "4d97b98b-1d4f-4787-a291-c67834d212e7"
PRIVATE_DNS_ZONE_CONTRIBUTOR = "b12aa53e-6015-4669-85d0-8515ebb3ae7f"


def user_assigned_identity(group: Group, name: str) -> Body:
    """A user-assigned managed identity."""
    own = group.of("Microsoft.ManagedIdentity/userAssignedIdentities", name)
    ids = {"tenantId": TENANT, "principalId": guid(own, "principal"), "clientId": guid(own, "client")}
    return {**resource(group, own, {}), "properties": ids}


def role_assignment(identity: Body, role: str, scope: str) -> Body:
    """A role (by the GUID of its definition) given to an identity on a scope."""
    principal = identity["properties"]["principalId"]
    name = guid(principal, role, scope)
    own = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}"
    subscription = "/".join(scope.split("/")[:3])
    return {
        "id": own,
        "name": name,
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "roleDefinitionId": f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}",
            "principalId": principal,
            "principalType": "ServicePrincipal",
            "scope": scope,
            "condition": None,
            "conditionVersion": None,
            "delegatedManagedIdentityResourceId": None,
            "description": None,
        },
    }


def container_registry(group: Group, name: str, **properties: object) -> Body:
    """A Premium registry that only private endpoints reach."""
    return resource(
        group,
        group.of("Microsoft.ContainerRegistry/registries", name),
        {
            "loginServer": f"{name}.azurecr.io",
            "adminUserEnabled": False,
            "anonymousPullEnabled": False,
            "dataEndpointEnabled": True,
            "dataEndpointHostNames": [f"{name}.{group.location}.data.azurecr.io"],
            "networkRuleBypassOptions": "AzureServices",
            "networkRuleSet": {"defaultAction": "Deny", "ipRules": []},
            "policies": policies(),
            "privateEndpointConnections": [],
            "publicNetworkAccess": "Disabled",
            "zoneRedundancy": "Enabled",
            **properties,
        },
        sku={"name": "Premium", "tier": "Premium"},
    )


def deployment_safeguards(cluster: str, level: str = "Enforce") -> Body:
    """The deployment safeguards of a cluster, by its id."""
    own = f"{cluster}/providers/Microsoft.ContainerService/deploymentSafeguards/default"
    return {
        "id": own,
        "name": "default",
        "type": "Microsoft.ContainerService/deploymentSafeguards",
        "eTag": guid(own, "etag"),
        "properties": {
            "provisioningState": "Succeeded",
            "level": level,
            "excludedNamespaces": [],
            "systemExcludedNamespaces": ["kube-system", "calico-system", "tigera-system", "gatekeeper-system"],
        },
    }


def appliance(group: Group, name: str, subnet_id: str, address: str, size: str = "Standard_D8s_v5") -> list[Body]:
    """A single appliance: a virtual machine and its interface, which forwards packets."""
    interface = network_interface(group, f"{name}-nic-0", subnet_id, address, enableIPForwarding=True)
    own = group.of("Microsoft.Compute/virtualMachines", name)
    machine = resource(
        group,
        own,
        {
            "hardwareProfile": {"vmSize": size},
            "vmId": guid(own),
            "networkProfile": {"networkInterfaces": [reference(interface["id"])]},
        },
    )
    interface["properties"]["virtualMachine"] = reference(own)
    return [machine, interface]


def appliance_scale_set(group: Group, name: str, subnets: Sequence[str], count: int) -> Body:
    """A scale set of appliances with one forwarding interface in each of the subnets (front end first)."""
    own = group.of("Microsoft.Compute/virtualMachineScaleSets", name)
    interfaces = [
        {
            "name": f"eth{number}",
            "properties": {
                "primary": number == 0,
                "enableAcceleratedNetworking": True,
                "enableIPForwarding": True,
                "dnsSettings": {"dnsServers": []},
                "ipConfigurations": [
                    {
                        "name": f"ipconfig{number}",
                        "properties": {"subnet": reference(each), "privateIPAddressVersion": "IPv4"},
                    }
                ],
            },
        }
        for number, each in enumerate(subnets)
    ]
    return resource(
        group,
        own,
        {
            "singlePlacementGroup": False,
            "orchestrationMode": "Uniform",
            "upgradePolicy": {"mode": "Manual"},
            "virtualMachineProfile": {"networkProfile": {"networkInterfaceConfigurations": interfaces}},
            "overprovision": False,
            "uniqueId": guid(own),
        },
        sku={"name": "Standard_D3_v2", "tier": "Standard", "capacity": count},
        tags={"x-chkp-management": "mgmt", "x-chkp-template": "vmss"},
        zones=["1", "2"],
    )


def workspace(group: Group, name: str) -> str:
    """The id of a Log Analytics workspace."""
    return group.of("Microsoft.OperationalInsights/workspaces", name)
