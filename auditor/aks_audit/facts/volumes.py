"""Facts about what pods mount from outside the cluster: volumes in storage accounts, and secrets of key vaults.

Only names are read: keys of accounts stand in Secrets, which nobody reads, and vaults give their secrets to pods alone.
"""

import re

from aks_audit.facts.field import flag, moment, named_texts, parts, text, texts
from aks_audit.facts.gateways import Condition
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.unread import NotCollected
from aks_audit.results import Missing

_SHARES = frozenset({"blob.csi.azure.com", "file.csi.azure.com"})
"""The drivers whose volumes are in storage accounts. Disks are resources of their own, which no network reaches."""

_PARTS = 3
"""A handle names resource group, account and share or container, parted by `#`, where it names the account at all."""

_KEY = re.compile(r"azure-storage-account-(?P<account>[a-z0-9]{3,24})-secret")
"""How the drivers call the Secret with an account's key."""

_ENDPOINT = re.compile(
    r"(?P<account>[a-z0-9]{3,24})\.(?:privatelink\.)?(?:blob|dfs|file)\.(?:core|storage)\.", re.IGNORECASE
)


class PersistentVolumeClaim(KubernetesObject):
    """A claim to a volume."""

    __slots__ = ()

    TYPE = "persistentvolumeclaims"

    access_modes = texts("spec.accessModes")
    storage_class = text("spec.storageClassName")
    phase = text("status.phase")
    conditions = parts("status.conditions", Condition)
    resizing = named_texts("status.allocatedResourceStatuses")


class PersistentVolume(KubernetesObject):
    """A volume that pods claim."""

    __slots__ = ()

    TYPE = "persistentvolumes"

    driver = text("spec.csi.driver")
    handle = text("spec.csi.volumeHandle")
    attributes = named_texts("spec.csi.volumeAttributes")
    key_secret = text("spec.csi.nodeStageSecretRef.name")
    in_tree_secret = text("spec.azureFile.secretName")
    phase = text("status.phase")
    phase_since = moment("status.lastPhaseTransitionTime")
    claimed_in = text("spec.claimRef.namespace")
    claimed_by = text("spec.claimRef.name")

    @property
    def storage_account(self) -> str | None:
        """The name of the storage account that it is in; None where it is in none.

        Sources: https://github.com/kubernetes-sigs/azurefile-csi-driver/blob/master/docs/driver-parameters.md and
        https://github.com/kubernetes-sigs/blob-csi-driver/blob/master/docs/driver-parameters.md; the drivers read the
        names of attributes without case.

        Raises:
            NotCollected: it is in one, whose name stands in a Secret alone.
            Malformed: it cannot be read.
        """
        driver = self.driver
        if driver is None:
            return self._by_secret(self.in_tree_secret) if self.in_tree_secret else None
        if driver not in _SHARES:
            return None
        attributes = {key.lower(): value for key, value in (self.attributes or {}).items()}
        parts = (self.handle or "").split("#")
        server = _ENDPOINT.match(attributes.get("server", ""))
        return (
            attributes.get("storageaccount")
            or (server["account"] if server else None)
            or (parts[1] if len(parts) >= _PARTS else None)
            or self._by_secret(attributes.get("secretname") or self.key_secret)
        )

    def _by_secret(self, name: str | None) -> str:
        """The account that the name of its key tells."""
        found = _KEY.fullmatch(name or "")
        if found is None:
            reason = f"the storage account of volume {self.name} of {self.cluster_id} is named in a Secret alone"
            raise NotCollected(Missing(what=self.id, kind="not-sent", reason=reason))
        return found["account"]


class StorageClass(KubernetesObject):
    """What volumes are made by where a claim asks for one."""

    __slots__ = ()

    TYPE = "storageclasses.storage.k8s.io"

    provisioner = text("provisioner")
    parameters = named_texts("parameters")
    allow_volume_expansion = flag("allowVolumeExpansion")

    @property
    def sku(self) -> str | None:
        """The SKU of the disks or storage accounts, by either of its names; the drivers read them without case.

        Sources: https://github.com/kubernetes-sigs/azuredisk-csi-driver/blob/master/docs/driver-parameters.md and
        https://github.com/kubernetes-sigs/azurefile-csi-driver/blob/master/docs/driver-parameters.md

        Raises:
            Malformed: it cannot be read.
        """
        parameters = {key.lower(): value for key, value in (self.parameters or {}).items()}
        return parameters.get("skuname") or parameters.get("storageaccounttype")


class SecretProviderClass(KubernetesObject):
    """Which secrets, keys and certificates pods get as a volume, and from where.

    Source: https://azure.github.io/secrets-store-csi-driver-provider-azure/docs/getting-started/usage/
    """

    __slots__ = ()

    TYPE = "secretproviderclasses.secrets-store.csi.x-k8s.io"

    provider = text("spec.provider")
    parameters = named_texts("spec.parameters")

    @property
    def vault(self) -> str | None:
        """The name of the Azure key vault that it takes from; None where it takes from none.

        Raises:
            Malformed: it cannot be read.
        """
        parameters = self.parameters or {}
        return parameters.get("keyvaultName") or None if self.provider == "azure" else None
