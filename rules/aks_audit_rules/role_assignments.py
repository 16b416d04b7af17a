"""Who has which role in Azure: on clusters, and what the clusters' own identities may do around them."""

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from aks_audit.facts import Evidence, ManagedCluster, Missing, Unread
from aks_audit.facts.authorization import RoleAssignment, RoleAssignments
from aks_audit.facts.enumerations import PrincipalType
from aks_audit.facts.resource_id import parse, within
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import mcsb, review_checklist, the_aks_checklist

MOST_PRINCIPALS = 5
"""How many principals may hold a right that is past all RBAC: three owners, as Defender asks, and two pipelines."""

_ADMIN_CREDENTIAL = "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action"
_RUN_COMMAND = "Microsoft.ContainerService/managedClusters/runcommand/action"
_GIVE_ROLES = "Microsoft.Authorization/roleAssignments/write"
_ANYTHING = "AksAudit.NoSuchProvider/anything/write"
"""An action that no provider has: only a role that allows every action allows it."""

_WRITE_ZONE = "Microsoft.Network/privateDnsZones/A/write"
_JOIN_SUBNET = "Microsoft.Network/virtualNetworks/subnets/join/action"

KUBERNETES_ROLES = frozenset(
    {
        "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b",  # Azure Kubernetes Service RBAC Cluster Admin
        "3498e952-d568-435e-9b2c-8d77e338d7f7",  # … RBAC Admin
        "a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb",  # … RBAC Writer
        "7f6c6a51-bcf8-42ba-9220-52d62157d7db",  # … RBAC Reader
    }
)


@rule(
    "AKS-IAM-05",
    title="Few principals can fetch the administrator's kubeconfig",
    severity=Severity.HIGH,
    controls=(
        mcsb("PA-1"),
        review_checklist("a2fe27b2-e287-401a-8352-beedf79b488d"),
        the_aks_checklist("a2fe27b2-e287-401a-8352-beedf79b488d"),
    ),
)
def few_fetch_admin_kubeconfig(cluster: ManagedCluster) -> Verdict:
    """The administrator's kubeconfig is past Entra ID, past Kubernetes RBAC, and goes on working when its holder has left.

    Owner and Contributor hold the right to fetch it without anybody meaning it, on the cluster or far above.

    Severity: each holder is one stolen account away from the whole cluster, under a name that no log tells apart.
    Decided: role assignments on the cluster, its group, its subscription, management groups and the tenant whose role
    allows `Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action`. More than 5 principals fail; a
    group counts as one, whoever is in it. A custom role counts as perhaps where its definition was not read
    (`--read custom-roles`): it is unknown only where that makes the difference. With local accounts disabled nobody can fetch
    it (AKS-IAM-04). What is only eligible, in Privileged Identity Management, is not in the list.
    Fix: az role assignment delete --assignee <object id> --role Contributor --scope <scope>
    Bicep: a Microsoft.Authorization/roleAssignments of Azure Kubernetes Service Cluster User Role in its place
    Change: in place; or disable local accounts (AKS-IAM-04), after which nobody can
    References: https://learn.microsoft.com/azure/aks/control-kubeconfig-access
    https://learn.microsoft.com/azure/role-based-access-control/best-practices
    """
    evidence = cluster.at(ManagedCluster.disable_local_accounts)
    if cluster.disable_local_accounts:
        return not_applicable("Local accounts are disabled: nobody can fetch it", evidence)
    return _few(cluster, _ADMIN_CREDENTIAL, "fetch the administrator's kubeconfig")


@rule(
    "AKS-IAM-18",
    title="Few principals can run commands in the cluster through Azure",
    severity=Severity.MEDIUM,
    controls=(mcsb("PA-1"),),
)
def few_run_commands(cluster: ManagedCluster) -> Verdict:
    """A run command starts a pod of Azure's inside the cluster, past every network that guards a private API server.

    Owner and Contributor hold the right without anybody meaning it.

    Severity: the private network stops protecting; with Entra ID the caller's own rights in the cluster still count.
    Decided: role assignments on the cluster and above it whose role allows
    `Microsoft.ContainerService/managedClusters/runcommand/action`. More than 5 principals fail; a group counts as one. A
    custom role counts as perhaps where its definition was not read (`--read custom-roles`). With run
    command disabled (`disableRunCommand`, AKS-API-07) nobody can.
    Fix: az role assignment delete --assignee <object id> --role Contributor --scope <scope>
    Bicep: a Microsoft.Authorization/roleAssignments of a narrower role in its place
    Change: in place; or disable run command, after which nobody can
    References: https://learn.microsoft.com/azure/aks/access-private-cluster
    https://learn.microsoft.com/azure/role-based-access-control/best-practices
    """
    evidence = cluster.at(ManagedCluster.disable_run_command)
    if cluster.disable_run_command:
        return not_applicable("Run command is disabled: nobody can", evidence)
    return _few(cluster, _RUN_COMMAND, "run commands in the cluster")


def _few(cluster: ManagedCluster, action: str, deed: str) -> Verdict:
    """Whether few principals have an action on a cluster; those of whom it is not known are counted both ways."""
    holding = cluster.estate.indexed(RoleAssignments).on(cluster.id)
    sure: dict[str, Evidence] = {}
    perhaps: dict[str, tuple[Missing, ...]] = {}
    for one in holding:
        try:
            if one.role.allows(action):
                sure.setdefault(one.principal, one.at(RoleAssignment.principal_id))
        except Unread as unread:
            perhaps.setdefault(_holder(one), unread.missing)
    others = {holder: missing for holder, missing in perhaps.items() if holder not in sure}
    if len(sure) > MOST_PRINCIPALS:
        return fails(f"{len(sure)} principals can {deed}; at most {MOST_PRINCIPALS} should", *sure.values())
    holding.whole()
    if len(sure) + len(others) > MOST_PRINCIPALS or (others and not sure):
        missing = [one for several in others.values() for one in several]
        told = f"{len(sure)} principals can {deed}; {len(others)} more have roles that were not read"
        return undecided(told, *sure.values(), missing=dict.fromkeys(missing))
    if not sure:
        return not_applicable(f"No role assignment that was read lets anybody {deed}")
    return passes(f"{len(sure)} {'principal' if len(sure) == 1 else 'principals'} can {deed}", *sure.values())


def _holder(assignment: RoleAssignment) -> str:
    """Whom an assignment is for, or the assignment itself where that cannot be read."""
    with suppress(Unread):
        return assignment.principal
    return assignment.id.lower()


@rule(
    "AKS-IAM-10",
    title="The cluster identity is no owner or contributor of groups or subscriptions",
    severity=Severity.HIGH,
    controls=(mcsb("PA-7"),),
)
def identity_least_privilege(cluster: ManagedCluster) -> Verdict:
    """The control plane acts with this identity; what it may do, whoever gets into the control plane's pods may do too.

    It needs its subnets, its route table and its DNS zone, not whatever else lives in the group.

    Severity: one cluster that is taken over takes the group or the subscription along, its other clusters among them.
    Decided: role assignments of the identities in the cluster's `identity`, wherever they were read. One on a resource
    group, a subscription, a management group or the tenant fails where its role allows every action (Owner, Contributor) or
    lets roles be given (`Microsoft.Authorization/roleAssignments/write`). The node resource group, where Azure itself makes
    it Contributor, is left out. Roles that it has as a member of groups are not seen. A service principal's object id is
    not in the body, so that is unknown.
    Fix: az role assignment delete --assignee <object id> --role Contributor --scope <scope>
    Bicep: a Microsoft.Authorization/roleAssignments of Network Contributor on the subnet in its place
    Change: in place; first give it the narrow roles, or load balancers and routes are not updated any more
    References: https://learn.microsoft.com/azure/aks/use-managed-identity
    https://learn.microsoft.com/azure/aks/concepts-identity
    """
    principals = _principals(cluster)
    if not principals:
        return undecided(
            "The cluster's body names no object id of an identity", cluster.at(ManagedCluster.identity_type)
        )
    held = cluster.estate.indexed(RoleAssignments).of(principals)
    if held:
        return _if_whole(cluster, each(held, lambda one: _narrow(cluster, one)))
    return _if_whole(cluster, not_applicable("The cluster identity has no role assignments"))


def _principals(cluster: ManagedCluster) -> frozenset[str]:
    return frozenset(principal.lower() for principal in cluster.identity_principals)


def _narrow(cluster: ManagedCluster, assignment: RoleAssignment) -> Verdict:
    evidence = assignment.at(RoleAssignment.role_definition)
    holder = assignment.principal
    scope = parse(assignment.scope)
    if scope.type and not scope.type.lower().startswith("microsoft.management/"):
        return passes("The cluster identity has roles on single resources", evidence)
    if assignment.scope and within(assignment.scope, cluster.node_group_id):
        return not_applicable("On the node resource group Azure itself makes it Contributor", evidence)
    role = assignment.role
    where = assignment.scope or "the whole tenant"
    if role.allows(_ANYTHING) or role.allows(_GIVE_ROLES):
        held = assignment.at(RoleAssignment.principal_id)
        return fails(f"The cluster identity {holder} is {role.name} on {where}", evidence, held)
    return passes("The cluster identity is no owner or contributor", evidence)


def _if_whole(cluster: ManagedCluster, verdict: Verdict) -> Verdict:
    """The verdict, where it is a failure or all role assignments of the cluster's subscription were read.

    Raises:
        NotCollected: they were not, so that there may be a failure among them.
    """
    if verdict.outcome is not Outcome.FAIL:
        cluster.estate.indexed(RoleAssignments).on(f"/subscriptions/{cluster.parsed.subscription}").whole()
    return verdict


@rule(
    "AKS-IAM-20",
    title="Azure's roles for Kubernetes are not given on whole subscriptions",
    severity=Severity.MEDIUM,
    controls=(mcsb("PA-7"),),
)
def kubernetes_roles_scoped(cluster: ManagedCluster) -> Verdict:
    """A role for Kubernetes on a subscription is a role in every cluster of it, those of tomorrow included.

    Who was to read one namespace reads all, and who was to administer a test cluster administers production.

    Severity: no outsider gains at once; one stolen account reaches as many clusters as the subscription has.
    Decided: where `aadProfile.enableAzureRBAC` is true, the assignments of the roles Azure Kubernetes Service RBAC Reader,
    Writer, Admin and Cluster Admin that reach the cluster: on it or a namespace of it, or on its group, they pass; on its
    subscription, a management group or the tenant they fail. None, or Azure RBAC off (AKS-IAM-02): the question does not
    arise. Custom roles are not judged.
    Fix: az role assignment create --assignee <object id> --role "Azure Kubernetes Service RBAC Reader" --scope /subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}/namespaces/<namespace>
    Bicep: a Microsoft.Authorization/roleAssignments whose scope is the cluster or a namespace
    Change: in place; then delete the assignment above
    References: https://learn.microsoft.com/azure/aks/manage-azure-rbac
    """
    evidence = cluster.at(ManagedCluster.aad_azure_rbac)
    if not cluster.aad_azure_rbac:
        return not_applicable("Azure RBAC decides nothing inside the cluster", evidence)
    above = cluster.estate.indexed(RoleAssignments).on(cluster.id)
    inside = cluster.estate.within(RoleAssignment, cluster.id)
    if not above.known and not inside.known:
        return _if_whole(cluster, not_applicable("No role is given on the cluster or above it"))
    return _if_whole(cluster, each([*above, *inside], lambda one: _scoped(cluster, one)))


def _scoped(cluster: ManagedCluster, assignment: RoleAssignment) -> Verdict:
    evidence = assignment.at(RoleAssignment.role_definition)
    if not assignment.role_id:
        return undecided(f"{assignment.id} does not name its role", evidence)
    if assignment.role_id not in KUBERNETES_ROLES:
        return not_applicable("No role for Kubernetes is given on the cluster or above it", evidence)
    if within(assignment.scope, cluster.id) or parse(assignment.scope).group:
        return passes("Roles for Kubernetes are given on the cluster, its namespaces or its group", evidence)
    return fails(f"{assignment.role.name} is given on {assignment.scope or 'the whole tenant'}", evidence)


class _Need(NamedTuple):
    """An action that the cluster identity needs on a resource."""

    resource: str
    action: str
    deed: str


@rule(
    "AKS-API-19",
    title="The cluster identity may write your DNS zone and join your subnets",
    severity=Severity.HIGH,
)
def identity_has_its_rights(cluster: ManagedCluster) -> Verdict:
    """Without its rights the cluster runs until its next change: then a new address has no name, or a new node no network.

    A right that was taken away shows in an upgrade, a repair or a rebuild, when it is needed most.

    Severity: nothing is opened; nodes that cannot find the API server, or join no subnet, are an outage.
    Decided: by role assignments of the identities in the cluster's `identity`, on the resource or above it:
    `Microsoft.Network/privateDnsZones/A/write` on the zone that `privateDNSZone` names (Private DNS Zone Contributor), and
    `Microsoft.Network/virtualNetworks/subnets/join/action` on the subnets of its pools and of its API server (Network
    Contributor). A group that has the right may have the identity as a member, so then it is unknown. Without a zone and
    subnets of your own the question does not arise.
    Fix: az role assignment create --assignee <object id> --role "Private DNS Zone Contributor" --scope <zone id>
    Bicep: a Microsoft.Authorization/roleAssignments on the zone, and one of Network Contributor on the network
    Change: in place, effective within minutes
    References: https://learn.microsoft.com/azure/aks/private-clusters
    https://learn.microsoft.com/azure/aks/aks-service-permissions
    """
    needs = tuple(dict.fromkeys(_needs(cluster)))
    evidence = cluster.at(ManagedCluster.identity_type)
    if not needs:
        return not_applicable("The cluster uses no zone and no subnet of your own", evidence)
    principals = _principals(cluster)
    if not principals:
        return undecided("The cluster's body names no object id of an identity", evidence)
    verdict = each(needs, lambda need: _granted(cluster, principals, need))
    zone = cluster.at(ManagedCluster.private_dns_zone)
    if cluster.enable_private_cluster and cluster.private_dns_zone is None:
        return each((verdict, undecided("The body does not say whose the private DNS zone is", zone)), lambda one: one)
    return verdict


def _needs(cluster: ManagedCluster) -> Iterator[_Need]:
    zone = cluster.private_dns_zone
    if zone and zone.startswith("/"):
        yield _Need(zone, _WRITE_ZONE, f"write the zone {parse(zone).name}")
    subnets = [subnet for pool in cluster.pools for subnet in (pool.node_subnet, pool.pod_subnet) if subnet]
    for subnet in (*subnets, *filter(None, (cluster.api_server_subnet,))):
        yield _Need(subnet.id, _JOIN_SUBNET, f"join the subnet {parse(subnet.id).name}")


def _granted(cluster: ManagedCluster, principals: frozenset[str], need: _Need) -> Verdict:
    holding = cluster.estate.indexed(RoleAssignments).on(need.resource)
    perhaps: list[Missing] = []
    group: Evidence | None = None
    for one in holding:
        try:
            if one.principal in principals and one.role.allows(need.action):
                return passes(f"The cluster identity may {need.deed}", one.at(RoleAssignment.role_definition))
            if one.principal_type is PrincipalType.GROUP and one.role.allows(need.action):
                group = one.at(RoleAssignment.principal_id)
        except Unread as unread:
            perhaps += unread.missing
    holding.whole()
    if perhaps:
        told = f"Roles that were not read may let the cluster identity {need.deed}"
        return undecided(told, missing=dict.fromkeys(perhaps))
    if group:
        return undecided(f"A group may {need.deed}; who is in it is not read", group)
    return fails(f"No role lets the cluster identity {need.deed}", cluster.at(ManagedCluster.identity_type))


RULES = (
    few_fetch_admin_kubeconfig,
    few_run_commands,
    identity_least_privilege,
    kubernetes_roles_scoped,
    identity_has_its_rights,
)
