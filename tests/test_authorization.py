"""Role assignments: what roles allow, whom assignments reach, and which registries clusters pull from."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.facts import ClusterRegistry, Estate, NotCollected, Subjects, UnreadSubject
from aks_audit.facts.authorization import BUILT_IN_ROLES, Permissions, Role, RoleAssignment, RoleAssignments
from aks_audit.snapshot import Body, Gap, Listing, Resource
from aks_audit_rules.role_assignments import KUBERNETES_ROLES
from cases import CLUSTER, Case, estate_of
from compose.azure import Subscription
from compose.registries import approve, policies
from compose.roles import ACR_PULL, OWNER
from compose.roles import given as role_given
from compose.services import container_registry
from recordings import bodies, needs_recordings

SUBSCRIPTION = Subscription("aaaa0000-0000-4000-8000-000000000001")
OTHER = Subscription("aaaa0000-0000-4000-8000-000000000002")
GROUP = SUBSCRIPTION.group("rg-a")
LISTING = Listing("Microsoft.Authorization/roleAssignments", SUBSCRIPTION.id)
MANAGEMENT_GROUP = "/providers/Microsoft.Management/managementGroups/corp"
PERSON = "cccc0000-0000-4000-8000-000000000001"


def _record(body: Body, read: str | None = None) -> Resource:
    return Resource(id=body["id"], type=body["type"], body=body, read=read)


def _assignments(*records: snapshot.Record) -> RoleAssignments:
    return Estate(snapshot.of(records)).indexed(RoleAssignments)


def _slow(action: str, pattern: str) -> bool:
    """Whether a pattern matches, by trying every length for its first star."""
    if not pattern:
        return not action
    if pattern[0] == "*":
        return any(_slow(action[start:], pattern[1:]) for start in range(len(action) + 1))
    return bool(action) and action[0].lower() == pattern[0].lower() and _slow(action[1:], pattern[1:])


_WORDS = st.text("aB/.*", max_size=8)


@given(_WORDS.filter(lambda word: "*" not in word), st.lists(_WORDS, max_size=3), st.lists(_WORDS, max_size=3))
def test_a_role_allows_what_the_slow_way_allows(action: str, allowed: list[str], taken: list[str]) -> None:
    role = Role("r", (Permissions(tuple(allowed), tuple(taken), tuple(taken), tuple(allowed)),))
    yes, no = (any(_slow(action, pattern) for pattern in patterns) for patterns in (allowed, taken))
    assert role.allows(action) is (yes and not no)
    assert role.allows_data(action) is (no and not yes)


def test_what_one_object_of_permissions_takes_off_another_may_allow() -> None:
    role = Role("r", (Permissions(("*",), ("a/b",)), Permissions(("a/b",))))
    assert role.allows("a/b")


def test_built_in_roles_are_guids_and_stand_once() -> None:
    assert len({role.name for role in BUILT_IN_ROLES.values()}) == len(BUILT_IN_ROLES)
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", guid) for guid in BUILT_IN_ROLES)
    assert set(BUILT_IN_ROLES) >= KUBERNETES_ROLES


def test_contributors_give_no_roles_and_owners_do() -> None:
    give = "Microsoft.Authorization/roleAssignments/write"
    may = {role.name for role in BUILT_IN_ROLES.values() if role.allows(give)}
    assert may == {"Owner", "User Access Administrator", "Role Based Access Control Administrator"}


@pytest.mark.parametrize(
    ("scope", "reaches"),
    [
        ("", True),
        (MANAGEMENT_GROUP, True),
        (SUBSCRIPTION.id, True),
        (SUBSCRIPTION.id.upper(), True),
        (GROUP.id, True),
        (GROUP.of("virtualNetworks", "v"), True),
        (GROUP.of("virtualNetworks", "V"), True),
        (GROUP.of("virtualNetworks", "v2"), False),
        (SUBSCRIPTION.group("rg-a2").id, False),
        (OTHER.id, False),
        (GROUP.of("virtualNetworks", "v") + "/subnets/s", False),
    ],
)
def test_an_assignment_reaches_what_is_in_its_scope(scope: str, reaches: bool) -> None:  # noqa: FBT001 - a table
    network = GROUP.of("virtualNetworks", "v")
    found = _assignments(LISTING, _record(role_given(OWNER, scope, PERSON))).on(network)
    assert bool(found.known) is reaches
    assert found.whole() == found.known
    assert [one.reaches(network) for one in found] == [True] * reaches


def test_an_assignment_above_two_subscriptions_is_one_though_each_names_the_role_its_own_way() -> None:
    bodies_of_both = [role_given(OWNER, MANAGEMENT_GROUP, PERSON) for _ in range(2)]
    for body, subscription in zip(bodies_of_both, (SUBSCRIPTION, OTHER), strict=True):
        body["properties"]["roleDefinitionId"] = f"{subscription.id}/providers/x/roleDefinitions/{OWNER}"
    read = [_record(body, "2026-11-20T06:00:03Z") for body in bodies_of_both]
    (found,) = _assignments(LISTING, *read).on(GROUP.id).whole()
    assert found.role.name == "Owner"


def test_contradictory_assignments_above_make_the_list_incomplete() -> None:
    records: list[snapshot.Record] = [LISTING]
    for principal in ("1", "2"):
        body = role_given(OWNER, MANAGEMENT_GROUP, PERSON)
        body["properties"]["principalId"] = principal
        records.append(_record(body))
    with pytest.raises(NotCollected, match="contradictory"):
        _assignments(*records).on(GROUP.id).whole()


def test_without_its_list_nothing_is_whole_and_the_refusal_is_told() -> None:
    action = "Microsoft.Authorization/roleAssignments/read"
    scope = SUBSCRIPTION.id
    refused = Gap(id=scope, type=RoleAssignment.TYPE, reason="403 no", status=403, action=action, scope=scope)
    with pytest.raises(NotCollected, match="403 no"):
        _assignments(refused, _record(role_given(OWNER, "", PERSON))).on(GROUP.id).whole()


def _registries(case: Case) -> Sequence[ClusterRegistry | UnreadSubject]:
    found = Subjects(estate_of(case)).of(ClusterRegistry)
    return [one for one in found if isinstance(one, ClusterRegistry | UnreadSubject)]


def test_a_registry_is_told_by_the_role_on_it() -> None:
    (registry,) = _registries(Case("told", "pass"))
    assert isinstance(registry, ClusterRegistry)
    assert (registry.name, registry.assumed, registry.clusters) == ("craksprod", False, (CLUSTER,))


_PODS = ("pod", "pod-b", "gateway-pod", "gateway-pod-b")
"""Those whose images come from the registry."""


def test_a_registry_is_told_by_images() -> None:
    (registry,) = _registries(Case("told", "pass", absent=("role-pull", "endpoint-registry")))
    assert isinstance(registry, ClusterRegistry)
    assert [(use.shown_by, use.cluster) for use in registry.uses] == [("inside", CLUSTER)]


def test_a_registry_of_the_subscription_is_assumed_where_nothing_tells() -> None:
    (registry,) = _registries(Case("assumed", "pass", absent=("role-pull", "endpoint-registry", *_PODS)))
    assert isinstance(registry, ClusterRegistry)
    assert (registry.assumed, registry.clusters) == (True, (CLUSTER,))


def test_without_role_assignments_a_registry_is_assumed_and_others_may_be_missing() -> None:
    found = _registries(Case("lost", "unknown", lose=("role-pull",), absent=("endpoint-registry", *_PODS)))
    assert [one.assumed for one in found if isinstance(one, ClusterRegistry)] == [True]
    assert [one.id for one in found if isinstance(one, UnreadSubject)] == [CLUSTER]


def test_what_is_composed_of_a_registry_is_read() -> None:
    body = container_registry(GROUP, "cr", policies=policies(retention=True))
    approve(body, {"id": GROUP.of("privateEndpoints", "pe")})
    registry = Estate(snapshot.of([_record(body)])).resource(ClusterRegistry, body["id"])
    assert [
        one.private_endpoint and one.private_endpoint.id for one in registry.private_endpoint_connections or ()
    ] == [GROUP.of("privateEndpoints", "pe")]
    assert registry.retention_policy == "Enabled"
    assert registry.export_policy == "Enabled"


@needs_recordings
def test_every_recorded_assignment_is_understood_but_for_its_role() -> None:
    read = [_record(body) for _, body in bodies("roleAssignments")]
    estate = Estate(snapshot.of(read))
    known = estate.every(RoleAssignment)
    assert len(known) > 40
    for assignment in known:
        assert assignment.principal
        assert assignment.principal_type
        assert assignment.scope.lower() == str(assignment.find("properties.scope")[0]).lower().rstrip("/")
    assert {BUILT_IN_ROLES[one.role_id].name for one in known if one.role_id in BUILT_IN_ROLES} >= {
        "Network Contributor"
    }


@needs_recordings
def test_every_recorded_registry_is_read() -> None:
    for _, body in bodies("containerRegistries"):
        estate = Estate(snapshot.of([_record({**body, "type": "Microsoft.ContainerRegistry/registries"})]))
        registry = estate.resource(ClusterRegistry, body["id"])
        assert registry.tier
        assert registry.admin_user_enabled is not None
        for name in ("public_network_access", "default_action", "ip_rules", "private_endpoint_connections"):
            getattr(registry, name)
        for name in ("zone_redundancy", "retention_policy", "soft_delete_policy", "export_policy", "encryption"):
            getattr(registry, name)


def test_the_pull_role_of_the_compositions_is_the_known_one() -> None:
    assert BUILT_IN_ROLES[ACR_PULL].name == "AcrPull"
