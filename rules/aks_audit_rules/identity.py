"""Who is who: Entra ID, Azure RBAC, the cluster's own identities."""

from typing import assert_never

from aks_audit.facts import AgentPool, ClusterAccess, Evidence, IdentityType, ManagedCluster
from aks_audit.facts.resource_id import parse, within
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import (
    aks_health_check,
    aprl,
    azqr,
    azure_policy,
    checkov,
    community_policy,
    kubebuddy,
    mcsb,
    prowler,
    psrule,
    review_checklist,
    the_aks_checklist,
)

USER_ASSIGNED_IDENTITY = "microsoft.managedidentity/userassignedidentities"


@rule(
    "AKS-IAM-01",
    title="People sign in to the cluster with Entra ID",
    severity=Severity.HIGH,
    controls=(
        mcsb("IM-1"),
        azure_policy("450d2877-ebea-41e8-b00c-e286317d21bf"),
        psrule("Azure.AKS.ManagedAAD"),
        review_checklist("7e42c78e-78c0-46a6-8a21-94956e698dc4"),
        the_aks_checklist("7e42c78e-78c0-46a6-8a21-94956e698dc4"),
        azqr("aks-007"),
        kubebuddy("AKSIAM006"),
        community_policy("dfa7076d-65fd-4d4f-b7b2-b3485c254fbb"),
        aks_health_check("CSP-3"),
    ),
)
def entra_integration(cluster: ManagedCluster) -> Verdict:
    """Without Entra ID everybody shares certificates that name no person, ask for no second factor, and outlive the job.

    The user credential that Azure hands out is then itself a cluster-admin certificate. Legacy Entra integration, with
    applications of your own, is retired, and its client secret is yours to guard and renew.

    Severity: every login is cluster-admin, and taking one person's access away means rotating the cluster's certificates.
    Decided: `properties.aadProfile.managed` is true. No `aadProfile`, or `managed` absent, means no integration, Azure's
    default. A `serverAppID` without `managed` is the legacy integration, and fails.
    Fix: az aks update --resource-group {group} --name {name} --enable-aad --aad-admin-group-object-ids <group object id>
    Bicep: properties.aadProfile.managed: true
    Change: in place, and cannot be undone; needs Kubernetes RBAC; everybody fetches the kubeconfig anew
    References: https://learn.microsoft.com/azure/aks/enable-authentication-microsoft-entra-id
    """
    evidence = cluster.at(ManagedCluster.aad_managed)
    if cluster.aad_managed:
        return passes("Entra ID integration is on", evidence)
    if cluster.aad_server_app_id:
        application = cluster.at(ManagedCluster.aad_server_app_id)
        return fails("The cluster uses the legacy Entra integration, with its own applications", evidence, application)
    return fails("The cluster is not integrated with Entra ID", evidence)


@rule(
    "AKS-IAM-02",
    title="Azure RBAC decides what people may do in the cluster",
    severity=Severity.MEDIUM,
    controls=(
        mcsb("PA-7"),
        psrule("Azure.AKS.AzureRBAC"),
        review_checklist("eec4962c-c3bd-421b-b77f-26e5e6b3bec3"),
        the_aks_checklist("eec4962c-c3bd-421b-b77f-26e5e6b3bec3"),
        kubebuddy("AKSIAM005"),
        aks_health_check("CSP-10"),
    ),
)
def azure_rbac(cluster: ManagedCluster) -> Verdict:
    """Role bindings inside each cluster are grants that nobody who reviews access in Azure ever sees.

    With Azure RBAC the grants are role assignments: reviewed, time-limited and logged with all the others, and the same
    for every cluster in the scope.

    Severity: no door opens by itself, but access that was forgotten stays standing, and a stolen account finds it.
    Decided: `properties.aadProfile.enableAzureRBAC` is true. Absent means off, Azure's default; so it is without Entra ID.
    Kubernetes role bindings still count beside it, and are not judged here.
    Fix: az aks update --resource-group {group} --name {name} --enable-azure-rbac
    Bicep: properties.aadProfile.enableAzureRBAC: true
    Change: in place; needs Entra ID integration (AKS-IAM-01), and role assignments for those who work in the cluster
    References: https://learn.microsoft.com/azure/aks/manage-azure-rbac
    https://learn.microsoft.com/azure/aks/concepts-identity
    Follows: AKS-IAM-01
    """
    evidence = cluster.at(ManagedCluster.aad_azure_rbac)
    if cluster.aad_azure_rbac:
        return passes("Azure RBAC for Kubernetes authorization is on", evidence)
    return fails("Azure RBAC for Kubernetes authorization is off", evidence)


@rule(
    "AKS-IAM-03",
    title="Kubernetes RBAC is on",
    severity=Severity.CRITICAL,
    controls=(
        azure_policy("ac4a19c2-fa67-49b4-8ae5-0b2e78c49457"),
        psrule("Azure.AKS.UseRBAC"),
        aprl("ca324d71-54b0-4a3e-b9e4-10e767daa9fc"),
        kubebuddy("AKSIAM001"),
        checkov("CKV_AZURE_5"),
        prowler("aks_cluster_rbac_enabled"),
    ),
)
def kubernetes_rbac(cluster: ManagedCluster) -> Verdict:
    """Without Kubernetes RBAC whoever is authenticated may do everything, and every pod's service account is authenticated.

    Severity: code execution in any one pod that mounts its token is control of the whole cluster and its secrets.
    Decided: `properties.enableRBAC` is true; false fails. Azure always sends the value, so a body without it is unknown.
    Fix: az aks create --resource-group {group} --name <new name> --location {location} --enable-aad --enable-azure-rbac
    Bicep: properties.enableRBAC: true
    Change: new cluster; the value cannot be changed later
    References: https://learn.microsoft.com/azure/aks/concepts-identity
    https://learn.microsoft.com/azure/aks/operator-best-practices-identity
    """
    evidence = cluster.at(ManagedCluster.enable_rbac)
    if cluster.enable_rbac is None:
        return undecided("The cluster's body does not say whether Kubernetes RBAC is on", evidence)
    if cluster.enable_rbac:
        return passes("Kubernetes RBAC is on", evidence)
    return fails("Kubernetes RBAC is off: every authenticated caller may do everything", evidence)


@rule(
    "AKS-IAM-04",
    title="Local accounts are disabled",
    severity=Severity.HIGH,
    controls=(
        mcsb("PA-1"),
        azure_policy("993c2fcd-2b29-49d2-9eb0-df2c3a730c32"),
        psrule("Azure.AKS.LocalAccounts"),
        aprl("ca324d71-54b0-4a3e-b9e4-10e767daa9fc"),
        review_checklist("b085b1f2-3119-4771-8c9a-bbf4411810ec"),
        the_aks_checklist("b085b1f2-3119-4771-8c9a-bbf4411810ec"),
        kubebuddy("AKSIAM007"),
        checkov("CKV_AZURE_141"),
        prowler("aks_cluster_local_accounts_disabled"),
    ),
)
def local_accounts_disabled(cluster: ManagedCluster) -> Verdict:
    """A local account is a certificate that is cluster-admin for years, under a name that no audit log ties to a person.

    Whoever may call listClusterAdminCredential gets it, past Entra ID, Conditional Access and every role binding.

    Severity: one Azure permission, or one leaked kubeconfig, is full control of the cluster, and cannot be revoked without
    rotating the cluster's certificates.
    Decided: `properties.disableLocalAccounts` is true. Absent means that local accounts are enabled, Azure's default.
    Fix: az aks update --resource-group {group} --name {name} --disable-local-accounts
    Bicep: properties.disableLocalAccounts: true
    Change: in place; integrate with Entra ID first, or nobody can log in; afterwards rotate the certificates (`az aks
    rotate-certs`, up to 30 minutes of downtime), so that those already handed out end
    References: https://learn.microsoft.com/azure/aks/manage-local-accounts-managed-azure-ad
    https://learn.microsoft.com/azure/aks/certificate-rotation
    Follows: AKS-IAM-01
    """
    evidence = cluster.at(ManagedCluster.disable_local_accounts)
    if cluster.disable_local_accounts:
        return passes("Local accounts are disabled", evidence)
    return fails("Local accounts are enabled", evidence)


@rule(
    "AKS-IAM-06",
    title="The cluster acts with a managed identity, not a service principal",
    severity=Severity.HIGH,
    controls=(
        mcsb("IM-3"),
        azure_policy("da6e2401-19da-4532-9141-fb8fbde08431"),
        psrule("Azure.AKS.ManagedIdentity"),
        review_checklist("ed127dd1-42b0-46b2-8c69-99a646f3389a"),
        the_aks_checklist("ed127dd1-42b0-46b2-8c69-99a646f3389a"),
        kubebuddy("AKSIAM004"),
    ),
)
def managed_identity(cluster: ManagedCluster) -> Verdict:
    """A service principal has a secret that someone keeps, that stands on every node, and that expires.

    Stolen, it works from anywhere with the cluster's rights on networks and disks. Expired, the cluster can no longer
    scale, attach disks or make load balancers. A managed identity has no secret to keep.

    Severity: root on one node yields a credential that is good outside the cluster until someone rotates it.
    Decided: `properties.servicePrincipalProfile.clientId` is "msi" in any case, and `identity.type` is SystemAssigned or
    UserAssigned. Either one that says otherwise fails; one that is absent leaves the answer unknown.
    Fix: az aks update --resource-group {group} --name {name} --enable-managed-identity
    Bicep: identity.type: 'UserAssigned' (with identity.userAssignedIdentities), and no properties.servicePrincipalProfile
    Change: in place for the control plane; nodes keep the service principal until their image is upgraded, which replaces
    them; grant the new identity what the old one had
    References: https://learn.microsoft.com/azure/aks/use-managed-identity
    https://learn.microsoft.com/azure/aks/update-credentials
    """
    return each((_client_id, _control_plane_identity), lambda judge: judge(cluster))


def _client_id(cluster: ManagedCluster) -> Verdict:
    evidence = cluster.at(ManagedCluster.service_principal_client_id)
    if cluster.service_principal_client_id is None:
        return undecided("The cluster's body does not say whether it uses a service principal", evidence)
    if _service_principal(cluster):
        return fails("The cluster uses a service principal", evidence)
    return passes("The cluster uses no service principal", evidence)


def _control_plane_identity(cluster: ManagedCluster) -> Verdict:
    evidence = cluster.at(ManagedCluster.identity_type)
    match cluster.identity_type:
        case IdentityType.SYSTEM_ASSIGNED | IdentityType.USER_ASSIGNED as kind:
            return passes(f"Its managed identity is {kind}", evidence)
        case IdentityType.NONE:
            return fails("The cluster has no managed identity", evidence)
        case None:
            return undecided("The cluster's body does not say what identity it has", evidence)
        case other:
            assert_never(other)


def _service_principal(cluster: ManagedCluster) -> bool:
    """Whether the body names a service principal; "msi" stands for a managed identity."""
    client_id = cluster.service_principal_client_id
    return client_id is not None and client_id.lower() != "msi"


@rule(
    "AKS-IAM-08",
    title="A cluster in a network of your own has a user-assigned identity",
    severity=Severity.LOW,
    controls=(kubebuddy("AKSIAM002"),),
)
def user_assigned_identity(cluster: ManagedCluster) -> Verdict:
    """A system-assigned identity is born and dies with its cluster; a network of your own needs one that is there first.

    Rights on the subnet, the route table and the private DNS zone cannot be granted before the identity exists, so
    creating the cluster fails or is finished by hand; and a rebuilt cluster starts without any of them. Azure does not
    support a system-assigned identity with a private DNS zone of your own at all.

    Severity: nothing is opened to an attacker; what is at risk is rebuilding the cluster when it has to be quick.
    Decided: `identity.type` is UserAssigned, where a pool has a `vnetSubnetID`, the API server a `subnetId`, or
    `privateDNSZone` is the id of a zone. Without any of them, or with a service principal (AKS-IAM-06 judges that), the
    question does not arise.
    Fix: az aks update --resource-group {group} --name {name} --enable-managed-identity --assign-identity <identity id>
    Bicep: identity.type: 'UserAssigned', with the identity's id in identity.userAssignedIdentities
    Change: in place, without downtime; first grant the identity its rights on the network and the zone
    References: https://learn.microsoft.com/azure/aks/use-managed-identity
    https://learn.microsoft.com/azure/aks/private-clusters
    """
    own = _own_network(cluster)
    evidence = cluster.at(ManagedCluster.identity_type)
    if not own:
        return not_applicable("The cluster lives in a network that AKS made for it", evidence)
    match cluster.identity_type:
        case IdentityType.USER_ASSIGNED:
            return passes("The cluster has a user-assigned identity", evidence, *own)
        case IdentityType.SYSTEM_ASSIGNED:
            return fails("The cluster uses a network of your own with a system-assigned identity", evidence, *own)
        case IdentityType.NONE:
            return not_applicable("The cluster has no managed identity; AKS-IAM-06 judges that", evidence)
        case None if _service_principal(cluster):
            return not_applicable("The cluster uses a service principal; AKS-IAM-06 judges that", evidence)
        case None:
            return undecided("The cluster's body does not say what identity it has", evidence)
        case other:
            assert_never(other)


def _own_network(cluster: ManagedCluster) -> tuple[Evidence, ...]:
    """What shows that the cluster uses subnets or a private DNS zone that AKS did not make."""
    shown = [pool.at(AgentPool.node_subnet) for pool in cluster.pools if pool.node_subnet]
    if cluster.api_server_subnet:
        shown.append(cluster.at(ManagedCluster.api_server_subnet))
    if (cluster.private_dns_zone or "").startswith("/"):
        shown.append(cluster.at(ManagedCluster.private_dns_zone))
    return tuple(shown)


@rule(
    "AKS-IAM-09",
    title="The kubelet identity is one of your own",
    severity=Severity.LOW,
    controls=(
        review_checklist("1f711a74-3672-470b-b8b8-a2148d640d79"),
        the_aks_checklist("1f711a74-3672-470b-b8b8-a2148d640d79"),
    ),
)
def own_kubelet_identity(cluster: ManagedCluster) -> Verdict:
    """The identity that nodes pull images with is otherwise made with the cluster, and lost with it.

    Its rights (the registry's AcrPull) can then be granted only once the first nodes already need them, each cluster
    has another, and whoever reviews access sees one more generated name. An identity of your own is granted once.

    Severity: no attacker gains by it; a rebuilt cluster cannot pull images until someone grants the new identity its role.
    Decided: `properties.identityProfile.kubeletidentity.resourceId` is a user-assigned identity other than the one AKS
    makes, `<cluster>-agentpool` in the node resource group. Clusters with a service principal have no kubelet identity.
    Fix: az aks update --resource-group {group} --name {name} --enable-managed-identity --assign-identity <identity id> --assign-kubelet-identity <kubelet identity id>
    Bicep: properties.identityProfile.kubeletidentity.resourceId: the identity's id
    Change: replaces the nodes of every pool; needs a user-assigned cluster identity with Managed Identity Operator on the
    kubelet identity
    References: https://learn.microsoft.com/azure/aks/use-managed-identity
    Follows: AKS-IAM-08
    """
    evidence = cluster.at(ManagedCluster.kubelet_identity)
    identity = cluster.kubelet_identity
    if identity is None and _service_principal(cluster):
        return not_applicable("The nodes use the cluster's service principal; AKS-IAM-06 judges that", evidence)
    if identity is None or parse(identity).type.lower() != USER_ASSIGNED_IDENTITY:
        return undecided("The cluster's body names no kubelet identity", evidence)
    if parse(identity).name.lower() != f"{cluster.name}-agentpool".lower():
        return passes("The kubelet identity is one of your own", evidence)
    if within(identity, cluster.node_group_id):
        return fails("The kubelet identity is the one that AKS made", evidence)
    return passes("The kubelet identity is one of your own", evidence)


@rule(
    "AKS-IAM-11",
    title="Workload identity and the OIDC issuer are on",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("2cc2e023-0dac-4046-875b-178f683929d5"),
        review_checklist("d2e0d5d7-71d4-41e3-910c-c57b4a4b1410"),
        the_aks_checklist("d2e0d5d7-71d4-41e3-910c-c57b4a4b1410"),
        kubebuddy("AKSIAM003"),
        kubebuddy("AKSSEC004"),
        aks_health_check("DEV-8"),
    ),
)
def workload_identity(cluster: ManagedCluster) -> Verdict:
    """With workload identity a pod gets a short-lived token for its own service account, and no secret is kept anywhere.

    Without it, pods reach Azure with stored secrets, or with the node's identity, which all pods of the node share.

    Severity: one compromised pod gives a lasting secret, or the rights of its neighbours. That the feature is on does not
    prove that workloads use it.
    Decided: `properties.oidcIssuerProfile.enabled` and `properties.securityProfile.workloadIdentity.enabled` are both true.
    Absent means off, Azure's default for workload identity.
    Fix: az aks update --resource-group {group} --name {name} --enable-oidc-issuer --enable-workload-identity
    Bicep: properties.securityProfile.workloadIdentity.enabled: true, properties.oidcIssuerProfile.enabled: true
    Change: in place; the OIDC issuer cannot be turned off again; workloads move one by one
    References: https://learn.microsoft.com/azure/aks/workload-identity-overview
    https://learn.microsoft.com/azure/aks/workload-identity-deploy-cluster
    """
    return each((_oidc_issuer, _workload_identity), lambda judge: judge(cluster))


def _oidc_issuer(cluster: ManagedCluster) -> Verdict:
    evidence = cluster.at(ManagedCluster.oidc_issuer_enabled)
    if cluster.oidc_issuer_enabled:
        return passes("The OIDC issuer is on", evidence)
    return fails("The OIDC issuer is off", evidence)


def _workload_identity(cluster: ManagedCluster) -> Verdict:
    evidence = cluster.at(ManagedCluster.workload_identity_enabled)
    if cluster.workload_identity_enabled:
        return passes("Workload identity is on", evidence)
    return fails("Workload identity is off", evidence)


@rule(
    "AKS-IAM-12",
    title="The retired pod identity add-on is off",
    severity=Severity.HIGH,
)
def no_pod_identity(cluster: ManagedCluster) -> Verdict:
    """The pod identity add-on stands between every pod and the node's token endpoint, and is no longer patched.

    Microsoft archived the project in 2023 and supported the add-on through September 2025. On kubenet, a pod that forges
    ARP answers can pose as another and be given that one's token.

    Severity: a component that hands out the tokens of all its identities gets no security fixes any more.
    Decided: `properties.podIdentityProfile.enabled` is false; true fails. Absent, the add-on is not there, and the question
    does not arise. A pod identity that was installed with Helm or by hand is not seen here.
    Fix: az aks update --resource-group {group} --name {name} --disable-pod-identity
    Bicep: properties.podIdentityProfile.enabled: false
    Change: in place, with the aks-preview extension; move workloads to workload identity (AKS-IAM-11) first, or they lose
    their access to Azure
    References: https://learn.microsoft.com/azure/aks/use-azure-ad-pod-identity
    https://learn.microsoft.com/azure/aks/workload-identity-migrate-from-pod-identity
    """
    evidence = cluster.at(ManagedCluster.pod_identity_enabled)
    if cluster.pod_identity_enabled is None:
        return not_applicable("The cluster has no pod identity add-on", evidence)
    if cluster.pod_identity_enabled:
        return fails("The pod identity add-on is on", evidence)
    return passes("The pod identity add-on is off", evidence)


@rule(
    "AKS-IAM-19",
    title="An Entra group administers a cluster without Azure RBAC",
    severity=Severity.MEDIUM,
    controls=(azure_policy("36a27de4-199b-40fb-b336-945a8475d6c5"),),
)
def admin_group(cluster: ManagedCluster) -> Verdict:
    """Where Kubernetes role bindings alone decide, someone must be able to write the first one, under a name.

    Without an admin group that is nobody but the local admin account, so it must stay enabled, or the cluster has no
    administrator left.

    Severity: an emergency has only a shared certificate to turn to, or locks everybody out; no outsider gains by it.
    Decided: `properties.aadProfile.adminGroupObjectIDs` holds a group. With Azure RBAC on and no group, role assignments
    take its place; without Entra ID (AKS-IAM-01 judges that) there are no groups: the question does not arise. An
    `enableAzureRBAC` that is absent means off, Azure's default.
    Fix: az aks update --resource-group {group} --name {name} --aad-admin-group-object-ids <group object id>
    Bicep: properties.aadProfile.adminGroupObjectIDs: a list with the group's object id
    Change: in place
    References: https://learn.microsoft.com/azure/aks/enable-authentication-microsoft-entra-id
    https://learn.microsoft.com/azure/aks/azure-ad-rbac
    Follows: AKS-IAM-01
    """
    evidence = cluster.at(ManagedCluster.aad_admin_groups)
    if not cluster.aad_managed:
        integration = cluster.at(ManagedCluster.aad_managed)
        return not_applicable("The cluster has no managed Entra ID integration; AKS-IAM-01 judges that", integration)
    if cluster.aad_admin_groups:
        return passes("An Entra group administers the cluster", evidence)
    azure = cluster.at(ManagedCluster.aad_azure_rbac)
    if cluster.aad_azure_rbac:
        return not_applicable("Azure RBAC decides who administers the cluster", azure)
    return fails("No Entra group administers the cluster, and Azure RBAC is off", evidence, azure)


@rule(
    "AKS-IAM-22",
    title="The audit reads the cluster without an administrator's credential",
    severity=Severity.MEDIUM,
    controls=(mcsb("PA-7"),),
)
def audited_without_administrator(access: ClusterAccess) -> Verdict:
    """Whoever could run this audit could do everything in the cluster, and so can whoever steals their credential.

    Azure gives clusters without Entra ID a user credential that is a certificate of the group `system:masters`, past all
    RBAC. Reading needs nothing like it.

    Severity: the credential must be stolen first, but then nothing stops it, and it can only be revoked by rotation.
    Decided: aks-audit's own record of how it signed in to the API server: `administrator` is true where the client
    certificate is of `system:masters`, or cannot be read. A cluster that was not read inside is not asked about.
    Fix: az aks update --resource-group {group} --name {name} --enable-aad --aad-admin-group-object-ids <group object id>
    Bicep: properties.aadProfile.managed: true
    Change: in place, and cannot be undone; then sign in by --in-cluster aad, with the roles that
    `aks-audit permissions` prints; a kubeconfig of a service account with its ClusterRole serves as well
    References: https://learn.microsoft.com/azure/aks/enable-authentication-microsoft-entra-id
    https://learn.microsoft.com/azure/aks/control-kubeconfig-access
    """
    evidence = access.at(ClusterAccess.way), access.at(ClusterAccess.administrator)
    match access.administrator:
        case None:
            return undecided("the record does not say whether the credential was an administrator's", *evidence)
        case True:
            return fails(f"The audit signed in as an administrator of the cluster ({access.detail})", *evidence)
        case False:
            return passes("The audit signed in with a credential that is no administrator's", *evidence)


RULES = (
    entra_integration,
    azure_rbac,
    kubernetes_rbac,
    local_accounts_disabled,
    managed_identity,
    user_assigned_identity,
    own_kubelet_identity,
    workload_identity,
    no_pod_identity,
    admin_group,
    audited_without_administrator,
)
