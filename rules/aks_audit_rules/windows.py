"""What applications in Windows containers sign in to Active Directory by."""

from aks_audit.facts import AgentPool, ManagedCluster
from aks_audit.facts.enumerations import OSType
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import review_checklist, the_aks_checklist


@rule(
    "AKS-IAM-17",
    title="Windows containers can sign in to Active Directory without passwords",
    severity=Severity.INFO,
    controls=(
        review_checklist("e1123a7c-a333-4eb4-a120-4ee3f293c9f3"),
        the_aks_checklist("e1123a7c-a333-4eb4-a120-4ee3f293c9f3"),
    ),
)
def group_managed_accounts(cluster: ManagedCluster) -> Verdict:
    """With group managed service accounts (gMSA), the domain makes and changes the password that an application signs in by.

    Applications without one carry a domain password in their settings, which nobody changes and many can read.

    Severity: a matter of what runs: only applications that sign in to Active Directory need one, and which do cannot be seen.
    Decided: for clusters with a Windows pool, `properties.windowsProfile.gmsaProfile.enabled` is true. Absent is off, the
    default. A cluster without a Windows pool has nothing to ask. gMSA that was installed by hand cannot be seen in Azure, and
    a cluster whose applications do not use Active Directory needs none: accept the finding as an exception.
    Fix: az aks update --resource-group {group} --name {name} --enable-windows-gmsa
    Bicep: properties.windowsProfile.gmsaProfile.enabled: true
    Change: in place; Windows nodes are replaced at their next upgrade of the image, and the domain must be reachable
    References: https://learn.microsoft.com/azure/aks/use-group-managed-service-accounts
    """
    pools = cluster.pools
    windows = next((pool for pool in pools if pool.os_type is OSType.WINDOWS), None)
    evidence = cluster.at(ManagedCluster.gmsa_enabled)
    if windows is None:
        return not_applicable("The cluster has no Windows pool", *(pool.at(AgentPool.os_type) for pool in pools))
    if cluster.gmsa_enabled:
        return passes("Group managed service accounts are enabled", evidence, windows.at(AgentPool.os_type))
    told = f"The pool {windows.name} runs Windows, and group managed service accounts are not enabled"
    return fails(told, evidence, windows.at(AgentPool.os_type))


RULES = (group_managed_accounts,)
