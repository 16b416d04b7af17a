"""Whether people hold what administers a cluster at all times, or activate it when they need it."""

from collections.abc import Iterable
from typing import NamedTuple

from aks_audit.facts import Evidence, Malformed, ManagedCluster, Missing, Unread
from aks_audit.facts.authorization import Role, RoleAssignment, RoleAssignments
from aks_audit.facts.eligibility import EligibleRole, EligibleRoles
from aks_audit.facts.enumerations import PrincipalType
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import review_checklist, the_aks_checklist

_CHANGE = "Microsoft.ContainerService/managedClusters/write"
_ANY_OBJECT = "Microsoft.ContainerService/managedClusters/namespaces/write"
"""Of Azure's own roles for what is inside clusters, Cluster Admin alone allows it."""

_GROUPS = frozenset({PrincipalType.GROUP, PrincipalType.FOREIGN_GROUP})
_PEOPLE = _GROUPS | {PrincipalType.USER}


class _Holders(NamedTuple):
    """Who administers a cluster by some assignments: the evidence, that of groups, and what could not be told of others."""

    sure: tuple[Evidence, ...]
    groups: tuple[Evidence, ...]
    perhaps: tuple[Missing, ...]


@rule(
    "AKS-IAM-15",
    title="People activate what administers the cluster, for as long as they need it",
    severity=Severity.LOW,
    controls=(
        review_checklist("36abb0db-c118-4f4c-9880-3f30f9a2deb6"),
        the_aks_checklist("36abb0db-c118-4f4c-9880-3f30f9a2deb6"),
    ),
)
def activated(cluster: ManagedCluster) -> Verdict:
    """Whoever takes over an account that administers a cluster at all times has it at once, and at night.

    A role that is only eligible is activated for some hours, with a second factor, a reason, and a line in a log.

    Severity: one lock more behind a stolen account. It needs licenses, and whom few can activate for is a matter of trust.
    Decided: eligible roles of Privileged Identity Management on the cluster, its group, its subscription, management groups and
    the tenant, which allow to change the cluster or give everything inside it (Azure Kubernetes Service RBAC Cluster Admin). One is
    enough, since accounts for emergencies hold theirs for good, and a role that was activated looks like an assignment
    meanwhile. Without one it fails where users hold such a role by an assignment, and no group. Where a group does, it is
    unknown: with PIM for Groups it holds the role for good, and who is eligible to be in it is not read. Where only
    applications and managed identities do, which activate nothing, it is not applicable. How many hold one is asked by
    AKS-IAM-05 and AKS-IAM-18. Eligible roles are read with `--read eligible-roles`.
    Fix: az rest --method put --url https://management.azure.com/subscriptions/{subscription}/providers/Microsoft.Authorization/roleEligibilityScheduleRequests/<new guid>?api-version=2020-10-01 --body @request.json
    Bicep: a Microsoft.Authorization/roleEligibilityScheduleRequests in place of the roleAssignments
    Change: in place; then delete the assignment, and keep two accounts for emergencies that hold theirs
    References: https://learn.microsoft.com/entra/id-governance/privileged-identity-management/pim-resource-roles-assign-roles
    https://learn.microsoft.com/entra/id-governance/privileged-identity-management/concept-pim-for-groups
    https://learn.microsoft.com/azure/aks/privileged-identity-management
    """
    roles = cluster.estate.indexed(EligibleRoles)
    eligible = _administering(roles.on(cluster.id))
    if eligible.sure:
        return passes(f"{len(eligible.sure)} eligible for a role that administers the cluster", *eligible.sure)
    holding = cluster.estate.indexed(RoleAssignments).on(cluster.id)
    standing = _administering(holding)
    if not standing.sure:
        holding.whole()
        if standing.perhaps:
            return undecided(_reasons(standing.perhaps), missing=standing.perhaps)
        return not_applicable("No user and no group holds a role that administers the cluster")
    cluster.estate.within(EligibleRole, f"/subscriptions/{cluster.parsed.subscription}").whole()
    if perhaps := (*eligible.perhaps, *roles.missing):
        return undecided(_reasons(perhaps), *standing.sure, missing=perhaps)
    told = "Nobody is eligible for a role that administers the cluster"
    if standing.groups:
        return undecided(f"{told}; whether members of the groups that hold one are, is not read", *standing.groups)
    return fails(f"{told}; users hold {len(standing.sure)} for good", *standing.sure)


def _administering(assignments: Iterable[RoleAssignment]) -> _Holders:
    """Which of some assignments let a person administer the cluster that they reach."""
    sure: list[Evidence] = []
    groups: list[Evidence] = []
    perhaps: list[Missing] = []
    for one in assignments:
        try:
            if _of_person(one) and _administers(one.role):
                sure.append(one.at(RoleAssignment.role_definition))
                if one.principal_type in _GROUPS:
                    groups.append(one.at(RoleAssignment.principal_type))
        except Unread as unread:
            perhaps += unread.missing
    return _Holders(tuple(sure), tuple(groups), tuple(dict.fromkeys(perhaps)))


def _of_person(assignment: RoleAssignment) -> bool:
    if assignment.principal_type is None:
        raise Malformed(assignment.id, "/properties/principalType", "a role of nobody knows what")
    return assignment.principal_type in _PEOPLE


def _administers(role: Role) -> bool:
    return role.allows(_CHANGE) or role.allows_data(_ANY_OBJECT)


def _reasons(missing: Iterable[Missing]) -> str:
    return "; ".join(dict.fromkeys(one.reason for one in missing))


RULES = (activated,)
