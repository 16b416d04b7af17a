"""What Entra ID demands of whoever signs in to a cluster."""

from aks_audit.facts import ManagedCluster
from aks_audit.facts.conditional_access import AKS_SERVER, POLICIES, ConditionalAccessPolicy, Demands
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import mcsb, review_checklist, the_aks_checklist


@rule(
    "AKS-IAM-16",
    title="Signing in to the cluster is under conditional access",
    severity=Severity.LOW,
    controls=(
        review_checklist("c4d7f4c6-79bf-45d0-aa05-ce8fc717e150"),
        the_aks_checklist("c4d7f4c6-79bf-45d0-aa05-ce8fc717e150"),
        mcsb("IM-7"),
    ),
)
def under_conditional_access(cluster: ManagedCluster) -> Verdict:
    """Conditional access can demand a second factor or a known device before kubectl gets a token for the cluster.

    Without it, a stolen password is enough wherever the tenant asks for nothing else.

    Severity: one lock more behind a stolen password; what it opens, the rights of its owner decide.
    Decided: a policy of conditional access that is on (not `enabledForReportingButNotEnforced`), is about all applications or the
    one that people sign in to (Azure Kubernetes Service AAD Server, 6dae42f8-4368-4678-94ff-3960e28e3630, or the `serverAppID` of the legacy
    integration) and does not leave it out, and demands something before access is granted: a second factor, a device, an authentication
    strength, or blocks. It passes where a policy is about all users and all sign-ins. Where such policies are about some users, places,
    platforms or risks, it is unknown whether those who use the cluster are among them. People and groups that are left out,
    as accounts for emergencies should be, are not looked at. The security defaults of a tenant are no such policy: accept the finding.
    A cluster without Entra ID is not applicable (AKS-IAM-01). Policies are read with `--read conditional-access`, of
    the tenant that whoever scans has signed in to.
    Fix: az rest --method post --url https://graph.microsoft.com/v1.0/identity/conditionalAccess/policies --body @policy.json
    Bicep: none: policies are Entra ID's; conditions.applications.includeApplications with 6dae42f8-4368-4678-94ff-3960e28e3630
    Change: in place; let a policy only report for a week, and leave two accounts for emergencies out of it
    References: https://learn.microsoft.com/azure/aks/access-control-managed-azure-ad
    https://learn.microsoft.com/graph/api/resources/conditionalaccesspolicy
    """
    managed, legacy = cluster.at(ManagedCluster.aad_managed), cluster.at(ManagedCluster.aad_server_app_id)
    if not cluster.aad_managed and not cluster.aad_server_app_id:
        return not_applicable("People do not sign in to the cluster with Entra ID", managed, legacy)
    application = (cluster.aad_server_app_id or AKS_SERVER).lower()
    demands = cluster.estate.indexed(Demands)
    about = [one for one in demands.known if one.is_about(application)]
    if always := [one.evidence for one in about if not one.narrower]:
        return passes("A policy demands something of everybody who signs in", managed, *always)
    cluster.estate.within(ConditionalAccessPolicy, POLICIES).whole()
    if demands.missing:
        told = "; ".join(dict.fromkeys(one.reason for one in demands.missing))
        return undecided(told, managed, missing=demands.missing)
    if about:
        told = "Policies demand something of some who sign in; whether these are those who use the cluster, they do not say"
        return undecided(told, managed, *(one.evidence for one in about))
    return fails("No policy of conditional access demands anything of whoever signs in", managed)


RULES = (under_conditional_access,)
