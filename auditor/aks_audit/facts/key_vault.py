"""Facts about key vaults, and about what takes keys from them.

Source: Microsoft.KeyVault/vaults 2024-11-01 and Microsoft.Compute/diskEncryptionSets 2024-03-02 as on the wire. Keys
and secrets themselves are never read. A vault without `publicNetworkAccess` is open, as is one without `networkAcls`:
https://learn.microsoft.com/azure/templates/microsoft.keyvault/vaults
"""

from aks_audit.facts.enumerations import SecurityRuleAccess
from aks_audit.facts.field import Choice, parts, text
from aks_audit.facts.link import link
from aks_audit.facts.private_link import IPRule, LinkedService
from aks_audit.facts.resource import AzureResource


class KeyVault(LinkedService):
    """A key vault."""

    __slots__ = ()

    TYPE = "Microsoft.KeyVault/vaults"

    vault_uri = text("properties.vaultUri")
    default_action = Choice("properties.networkAcls.defaultAction", SecurityRuleAccess)
    ip_rules = parts("properties.networkAcls.ipRules", IPRule)


class DiskEncryptionSet(AzureResource):
    """What encrypts disks with a key of the customer's."""

    __slots__ = ()

    TYPE = "Microsoft.Compute/diskEncryptionSets"

    source_vault = link("properties.activeKey.sourceVault", KeyVault)
