"""Facts about backups of clusters: vaults, and what is backed up to them.

Source: Microsoft.DataProtection/backupVaults 2026-03-01 as in the REST API reference. They are read only where a scan
is asked to (`--read backups`).
"""

from aks_audit.facts.enumerations import ProtectionState
from aks_audit.facts.field import Choice, text
from aks_audit.facts.resource import AzureResource


class BackupVault(AzureResource):
    """A vault that holds backups of disks, databases and clusters."""

    __slots__ = ()

    TYPE = "Microsoft.DataProtection/backupVaults"


class BackupInstance(AzureResource):
    """What is backed up to a vault: one cluster, disk or database. Its own name says nothing of which."""

    __slots__ = ()

    TYPE = "Microsoft.DataProtection/backupVaults/backupInstances"

    source_id = text("properties.dataSourceInfo.resourceID")
    state = Choice("properties.currentProtectionState", ProtectionState)
