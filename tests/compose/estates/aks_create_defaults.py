"""What `az aks create` and `az aks create --sku automatic` leave when nothing else is asked for, in late 2026."""

from aks_audit.snapshot import Body, Record
from compose.azure import Subscription, guid
from compose.clusters import (
    add_on,
    agent_pool,
    cilium,
    entra,
    hardened_pool,
    logs,
    managed_cluster,
    metrics,
    nat_gateway_outbound,
    overlay,
    secrets_provider,
)
from compose.nodes import NodeGroup, Service
from compose.roles import OWNER, given
from compose.services import deployment_safeguards, workspace
from compose.snapshots import recorded

SUBSCRIPTION = Subscription("def00000-0000-4000-8000-000000000001", "westus2")
GROUP = SUBSCRIPTION.group("rg-quickstart")


def records() -> list[Record]:
    """The whole estate."""
    owner = given(OWNER, SUBSCRIPTION.id, guid("the subscription's owner"), "User")
    return recorded([SUBSCRIPTION], [*_base(), *_automatic(), owner], day="2026-11-20")


def _base() -> list[Body]:
    cluster = managed_cluster(GROUP, "aks-quickstart", [agent_pool("nodepool1", 3)])
    made = NodeGroup(cluster, outbound="20.69.8.10").bodies([Service("default/store-front", "20.69.8.11", (80,))])
    return [cluster, *made]


def _automatic() -> list[Body]:
    name = "aks-automatic"
    node_group = f"MC_{GROUP.name}_{name}_{GROUP.location}"
    system = hardened_pool(
        "nodepool1",
        3,
        enableEncryptionAtHost=False,
        nodeTaints=["CriticalAddonsOnly=true:NoSchedule"],
        securityProfile={"sshAccess": "Disabled", "enableVTPM": False, "enableSecureBoot": False},
    )
    cluster = managed_cluster(
        GROUP,
        name,
        [system],
        kind="Automatic",
        sku={"name": "Automatic", "tier": "Standard"},
        networkProfile=overlay(**nat_gateway_outbound(GROUP, name, node_group), **cilium()),
        apiServerAccessProfile={"enablePrivateCluster": False, "enableVnetIntegration": True, "subnetId": ""},
        aadProfile=entra(),
        addonProfiles={
            "azureKeyvaultSecretsProvider": secrets_provider(),
            "azurepolicy": add_on(),
            "omsagent": logs(workspace(SUBSCRIPTION.group("DefaultResourceGroup-WUS2"), "DefaultWorkspace-WUS2")),
        },
        autoUpgradeProfile={"upgradeChannel": "stable", "nodeOSUpgradeChannel": "NodeImage"},
        azureMonitorProfile=metrics(),
        disableLocalAccounts=True,
        securityProfile={
            "imageCleaner": {"enabled": True, "intervalHours": 168},
            "workloadIdentity": {"enabled": True},
        },
        nodeResourceGroupProfile={"restrictionLevel": "ReadOnly"},
        nodeProvisioningProfile={"mode": "Auto", "defaultNodePools": "Auto"},
    )
    return [cluster, deployment_safeguards(cluster["id"], "Warn"), *NodeGroup(cluster, outbound="20.69.8.20").bodies()]
