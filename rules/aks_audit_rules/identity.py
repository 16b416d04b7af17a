"""Who is who: Entra ID, Azure RBAC, the cluster's own identities."""

from aks_audit.facts import ManagedCluster
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, passes, rule
from aks_audit_rules.frameworks import azure_policy, mcsb, psrule


@rule(
    "AKS-IAM-04",
    title="Local accounts are disabled",
    severity=Severity.HIGH,
    controls=(mcsb("IM-1"), azure_policy("993c2fcd-2b29-49d2-9eb0-df2c3a730c32"), psrule("Azure.AKS.LocalAccounts")),
)
def local_accounts_disabled(cluster: ManagedCluster) -> Verdict:
    """A local account is a certificate that is cluster-admin for years, under a name that no audit log can tie to a person.

    Whoever may call listClusterAdminCredential gets it, past Entra ID, Conditional Access and every role binding.

    Severity: high; one Azure permission, or one leaked kubeconfig, is full control of the cluster, and cannot be revoked
    without rotating the cluster's certificates.
    Decided: `properties.disableLocalAccounts` is true. Absent means that local accounts are enabled (the default).
    Fix: az aks update --resource-group {group} --name {name} --disable-local-accounts
    Bicep: properties.disableLocalAccounts: true
    Change: in place; needs Entra ID integration first, and rotate the certificates afterwards so that old ones end
    References: https://learn.microsoft.com/azure/aks/manage-local-accounts-managed-azure-ad
    """
    evidence = cluster.at(ManagedCluster.disable_local_accounts)
    if cluster.disable_local_accounts:
        return passes("Local accounts are disabled", evidence)
    return fails("Local accounts are enabled", evidence)


RULES = (local_accounts_disabled,)
