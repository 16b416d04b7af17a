"""The names that Azure gives private endpoints: those that the public names of services lead to where there is one.

Source: https://learn.microsoft.com/azure/private-link/private-endpoint-dns
"""

_ZONES = {
    "azconfig.io": "privatelink.azconfig.io",
    "azurecr.io": "privatelink.azurecr.io",
    "azurewebsites.net": "privatelink.azurewebsites.net",
    "blob.core.windows.net": "privatelink.blob.core.windows.net",
    "database.windows.net": "privatelink.database.windows.net",
    "dfs.core.windows.net": "privatelink.dfs.core.windows.net",
    "documents.azure.com": "privatelink.documents.azure.com",
    "file.core.windows.net": "privatelink.file.core.windows.net",
    "mysql.database.azure.com": "privatelink.mysql.database.azure.com",
    "postgres.database.azure.com": "privatelink.postgres.database.azure.com",
    "queue.core.windows.net": "privatelink.queue.core.windows.net",
    "redis.cache.windows.net": "privatelink.redis.cache.windows.net",
    "servicebus.windows.net": "privatelink.servicebus.windows.net",
    "table.core.windows.net": "privatelink.table.core.windows.net",
    "vault.azure.net": "privatelink.vaultcore.azure.net",
}
"""The domain of each service, and the private zone for its endpoints."""


def private_alias(name: str) -> str | None:
    """The name that a service's public name leads to where it has a private endpoint; None of any other name."""
    for domain, zone in _ZONES.items():
        if name.endswith(f".{domain}") and not name.endswith(f".{zone}"):
            return name.removesuffix(domain) + zone
    return None
