"""Bodies of key vaults, storage accounts and SQL servers, and private endpoints that lead to a service."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aks_audit.snapshot import Body
from compose.azure import TENANT, Group, name_of, reference, resource
from compose.networks import private_endpoint, private_zone, subnet_id
from compose.registries import approve

KEY_VAULT_SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
STORAGE_BLOB_DATA_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
SHUT = {"bypass": "AzureServices", "defaultAction": "Deny", "ipRules": [], "virtualNetworkRules": []}
"""Rules that let no network in but through private endpoints."""
ALL_OF_AZURE = ("0.0.0.0", "0.0.0.0")  # noqa: S104 - nothing is bound: it is how a SQL server's rule says so


def key_vault(group: Group, name: str, **properties: object) -> Body:
    """A key vault, api-version 2024-11-01, that public networks do not reach."""
    return resource(
        group,
        group.of("Microsoft.KeyVault/vaults", name),
        {
            "tenantId": TENANT,
            "sku": {"family": "A", "name": "premium"},
            "accessPolicies": [],
            "enabledForDeployment": False,
            "enableRbacAuthorization": True,
            "enableSoftDelete": True,
            "enablePurgeProtection": True,
            "softDeleteRetentionInDays": 90,
            "vaultUri": f"https://{name}.vault.azure.net/",
            "networkAcls": SHUT,
            "publicNetworkAccess": "Disabled",
            **properties,
        },
    )


def disk_encryption_set(group: Group, name: str, vault: Body) -> Body:
    """What encrypts disks with a key of a vault."""
    key = f"{vault['properties']['vaultUri']}keys/disks/0123456789abcdef0123456789abcdef"
    active = {"keyUrl": key, "sourceVault": reference(vault["id"])}
    own = group.of("Microsoft.Compute/diskEncryptionSets", name)
    return resource(group, own, {"activeKey": active, "encryptionType": "EncryptionAtRestWithCustomerKey"})


def storage_account(group: Group, name: str, **properties: object) -> Body:
    """A storage account, api-version 2024-01-01, that public networks do not reach."""
    return resource(
        group,
        group.of("Microsoft.Storage/storageAccounts", name),
        {
            "allowBlobPublicAccess": False,
            "minimumTlsVersion": "TLS1_2",
            "networkAcls": {**SHUT, "ipv6Rules": [], "resourceAccessRules": []},
            "primaryEndpoints": {"blob": f"https://{name}.blob.core.windows.net/"},
            "privateEndpointConnections": [],
            "publicNetworkAccess": "Disabled",
            "supportsHttpsTrafficOnly": True,
            **properties,
        },
        sku={"name": "Standard_ZRS", "tier": "Standard"},
        kind="StorageV2",
    )


def sql_server(group: Group, name: str, rules: Mapping[str, tuple[str, str]], **properties: object) -> list[Body]:
    """A SQL server, api-version 2023-08-01, that public networks reach by rules, each of a first and a last address."""
    own = group.of("Microsoft.Sql/servers", name)
    stated = {
        "administratorLogin": "operators",
        "fullyQualifiedDomainName": f"{name}.database.windows.net",
        "minimalTlsVersion": "1.2",
        "privateEndpointConnections": [],
        "publicNetworkAccess": "Enabled",
        "state": "Ready",
        "version": "12.0",
        **properties,
    }
    made = [_server_rule(own, *each) for each in rules.items()]
    return [resource(group, own, stated, kind="v12.0"), *made]


def _server_rule(server: str, name: str, addresses: tuple[str, str]) -> Body:
    first, last = addresses
    return {
        "id": f"{server}/firewallRules/{name}",
        "name": name,
        "type": "Microsoft.Sql/servers/firewallRules",
        "properties": {"startIpAddress": first, "endIpAddress": last},
    }


class EndpointPlace(NamedTuple):
    """Where private endpoints are made, and the zones of their names: linked to networks, by id, in a group."""

    group: Group
    network: Body
    subnet: str
    zones: Group
    links: Sequence[str]


def behind_endpoint(place: EndpointPlace, service: Body, end: str, zone: str, hosts: Mapping[str, str]) -> list[Body]:
    """A private endpoint for a service and the private zone of its names; `hosts` maps what stands before `end`.

    The service's body shows the endpoint, and so does the subnet's.
    """
    subnet = subnet_id(place.network, place.subnet)
    names = {f"{host}.{end}": address for host, address in hosts.items()}
    endpoint = private_endpoint(place.group, f"pe-{name_of(service['id'])}", subnet, service["id"], names)
    approve(service, endpoint[0])
    for each in place.network["properties"]["subnets"]:
        if each["id"] == subnet:
            each["properties"].setdefault("privateEndpoints", []).append(reference(endpoint[0]["id"]))
    return [*endpoint, *private_zone(place.zones, zone, place.links, hosts)]
