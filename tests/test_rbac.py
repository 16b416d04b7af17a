"""Who may do what in a cluster: held to a second implementation, damaged, and in clusters of many bindings."""

import copy
import time
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate, ManagedCluster
from aks_audit.facts.rbac import AnyBinding, AnyRole, ClusterRole, ClusterRoleBinding, Role, RoleBinding, ServiceAccount
from aks_audit.facts.resource_id import parse
from aks_audit.rbac.authorizer import Identity, Request, service_account
from aks_audit.rbac.bindings import bindings, grant
from aks_audit.rbac.platform import of_platform
from aks_audit.rbac.powers import POWERS, powers
from aks_audit.results import Outcome
from cases import BASE, CLUSTER, INSIDE, Case, records_of
from mutations import RETYPED, Mutation, keys
from rbac_oracle import Json, Question, may
from recorded_clusters import NAMES, Name, estate

API = "/apis/rbac.authorization.k8s.io/v1"
KINDS = (ClusterRole, ClusterRoleBinding, Role, RoleBinding, ServiceAccount)
PLURAL = {kind.__name__: kind.TYPE.partition(".")[0] for kind in KINDS}
RULES = tuple(rule for rule in load_rules() if rule.id.startswith("AKS-KR-"))


def few(*values: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


NAMESPACES = ("a", "b")
ACCOUNTS = ("bot", "default")
USERS = ("eve", "system:serviceaccount:a:bot")
GROUPS = ("devs", "system:authenticated", "system:serviceaccounts", "system:serviceaccounts:a")
VERBS = ("get", "create", "*")
API_GROUPS = ("", "apps", "*")
RESOURCES = ("pods", "pods/exec", "*/exec", "deployments", "*", "exec")
PATHS = ("/metrics", "/healthz", "/healthz*", "/m**", "/*", "*", "/healthz/live")
ROLES = ("one", "two")

RESOURCE_RULE = st.fixed_dictionaries(
    {"verbs": few(*VERBS), "apiGroups": few(*API_GROUPS), "resources": few(*RESOURCES)},
    optional={"resourceNames": few("x", "y")},
)
PATH_RULE = st.fixed_dictionaries({"verbs": few(*VERBS), "nonResourceURLs": few(*PATHS)})
SUBJECT = st.one_of(
    st.fixed_dictionaries({"kind": st.just("User"), "name": st.sampled_from(USERS)}),
    st.fixed_dictionaries({"kind": st.just("Group"), "name": st.sampled_from(GROUPS)}),
    st.fixed_dictionaries(
        {
            "kind": st.just("ServiceAccount"),
            "name": st.sampled_from(ACCOUNTS),
            "namespace": st.sampled_from(NAMESPACES),
        }
    ),
)


def rules_in(kind: str, name: str, namespace: str = "") -> st.SearchStrategy[Json]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    rules: st.SearchStrategy[list[Json] | None] = st.lists(RESOURCE_RULE | PATH_RULE, min_size=1, max_size=3)
    without: list[list[Json] | None] = [None, []]
    return (rules | st.sampled_from(without)).map(lambda rules: {"kind": kind, "metadata": metadata, "rules": rules})


def binding_in(name: str, namespace: str = "") -> st.SearchStrategy[Json]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    bound = st.sampled_from(["ClusterRole", "Role"] if namespace else ["ClusterRole"])
    reference = st.fixed_dictionaries({"kind": bound, "name": st.sampled_from(ROLES)})
    subjects = st.lists(SUBJECT, min_size=1, max_size=3) | st.none()
    return st.fixed_dictionaries(
        {"kind": st.just(kind), "metadata": st.just(metadata), "roleRef": reference, "subjects": subjects}
    )


PLACES = ("", *NAMESPACES)
SLOTS = (
    *(rules_in("Role" if place else "ClusterRole", name, place) for place in PLACES for name in ROLES),
    *(binding_in(name, place) for place in PLACES for name in ROLES),
)
OBJECTS = st.tuples(*(one | st.none() for one in SLOTS)).map(lambda found: [one for one in found if one])
IDENTITY = st.one_of(
    st.builds(service_account, st.sampled_from(NAMESPACES), st.sampled_from(ACCOUNTS)),
    st.builds(Identity, st.just("eve"), st.frozensets(st.sampled_from(GROUPS[:2]))),
)
REQUESTS = (
    *(
        Request(verb, group, resource, subresource, name, namespace)
        for verb in ("get", "create", "delete")
        for group in ("", "apps")
        for resource in ("pods", "deployments")
        for subresource in ("", "exec")
        for name in ("", "x")
        for namespace in PLACES
    ),
    *(Request("get", path=path) for path in ("/metrics", "/healthz", "/healthz/live", "/other")),
)
"""Everything that can be asked about what the worlds have."""


def path_of(one: Json) -> str:
    space = one["metadata"].get("namespace")
    if one["kind"] == "ServiceAccount":
        return f"/api/v1/namespaces/{space}/serviceaccounts/{one['metadata']['name']}"
    return f"{API}/{f'namespaces/{space}/' if space else ''}{PLURAL[one['kind']]}/{one['metadata']['name']}"


def listed() -> Iterator[snapshot.Listing]:
    for kind in KINDS:
        yield snapshot.Listing(type=kind.TYPE, scope=CLUSTER)


def world(objects: list[Json]) -> Estate:
    """A cluster with these objects and no others."""
    ids = [(CLUSTER + path_of(one), one) for one in objects]
    found = [snapshot.Resource(id=where, type=parse(where).type, body=one) for where, one in ids]
    cluster = snapshot.Resource(id=CLUSTER, type=ManagedCluster.TYPE, body={"id": CLUSTER, "properties": {}})
    return Estate(snapshot.of([cluster, *listed(), *found]))


def permitted(objects: list[Json], identity: Identity) -> set[Request]:
    known = bindings(world(objects).resource(ManagedCluster, CLUSTER))
    chains = [grant(*found) for found in known.of(identity)]
    return {request for request in REQUESTS if any(chain.by(request) for chain in chains)}


def question(identity: Identity, request: Request) -> Question:
    resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    groups = tuple(identity.groups)
    name, namespace = request.name, request.namespace
    return Question(identity.user, groups, request.verb, request.api_group, resource, name, namespace, request.path)


@settings(max_examples=300, deadline=None)
@given(OBJECTS, IDENTITY)
def test_rights_are_those_of_a_second_implementation(objects: list[Json], identity: Identity) -> None:
    assert permitted(objects, identity) == {one for one in REQUESTS if may(objects, question(identity, one))}


@settings(max_examples=300, deadline=None)
@given(st.lists(RESOURCE_RULE | PATH_RULE, max_size=4))
def test_a_power_is_held_where_each_of_its_needs_is_met(rules: list[Json]) -> None:
    """As the second implementation answers request by request, for somebody whom all the rules are bound to."""
    role = {"kind": "ClusterRole", "metadata": {"name": "one"}, "rules": rules}
    found = world([role]).resource(ClusterRole, f"{CLUSTER}{API}/clusterroles/one")
    free = [{key: value for key, value in rule.items() if key != "resourceNames"} for rule in rules]
    binding = {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "one"},
        "roleRef": {"kind": "ClusterRole", "name": "one"},
        "subjects": [{"kind": "User", "name": "eve"}],
    }
    held = {held.power for held in powers(found)}
    for power in POWERS:
        objects = [{**role, "rules": free if power.named else rules}, binding]
        asked = ([question(Identity("eve", frozenset()), one) for one in requests] for requests in power.needs)
        assert (power in held) == all(any(may(objects, one) for one in requests) for requests in asked), power.does


def test_the_groups_of_a_service_account_are_those_that_the_api_server_gives() -> None:
    assert service_account("a", "bot") == Identity(
        "system:serviceaccount:a:bot",
        frozenset({"system:authenticated", "system:serviceaccounts", "system:serviceaccounts:a"}),
    )


PEOPLES = {
    "weak": {
        "aks-audit-configmaps", "aks-audit-reader", "all-serviceaccounts-in-legacy", "anonymous-metrics",
        "ci-deployer-admin", "csr-approver", "dangling", "dangling-reader", "dev-admins", "devs-in-kube-system",
        "everyone-jobs", "extra-edit", "ghost", "helpdesk-impersonator", "impersonator", "ingress-nginx",
        "metrics-open", "node-debugger", "ops-admin", "payments-default-admin", "pods-all", "shop-devs", "super",
    },
    "hardened": {"aks-audit-configmaps", "aks-audit-reader", "deployer", "deployers", "viewers"},
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_what_kubernetes_and_aks_bring_is_not_taken_for_peoples(name: Name) -> None:
    kinds: tuple[type[AnyBinding | AnyRole], ...] = (ClusterRole, ClusterRoleBinding, Role, RoleBinding)
    found = [one for kind in kinds for one in estate(name).every(kind)]
    assert len(found) > 130
    assert {one.name for one in found if not of_platform(one)} == PEOPLES[name]


DAMAGED: tuple[Json, ...] = (
    {
        "kind": "ClusterRole",
        "metadata": {"name": "one", "labels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}},
        "rules": [
            {"verbs": ["*"], "apiGroups": [""], "resources": ["endpoints", "secrets", "*"]},
            {"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"], "resourceNames": ["eve"]},
        ],
    },
    {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "one"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "one"},
        "subjects": [{"kind": "Group", "name": "system:authenticated"}],
    },
    {
        "kind": "RoleBinding",
        "metadata": {"name": "two", "namespace": "shop"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "one"},
        "subjects": [
            {"kind": "ServiceAccount", "name": "default", "namespace": "ingress"},
            {"kind": "ServiceAccount", "name": "default", "namespace": "shop"},
        ],
    },
)
BASE_ESTATE = tuple(records_of(Case(name="", expect=""), BASE, INSIDE))
PATHS_OF = tuple(CLUSTER + path_of(one) for one in DAMAGED)
WAYS = tuple((number, way) for number, one in enumerate(DAMAGED) for way in keys(one) if way[0] != "kind")


STILL_ON_EVIDENCE = {"subjects": {"AKS-KR-05"}}
"""Losses that mean something: a binding without subjects binds nobody, as `system:node` does, and others were read."""


def outcomes(bodies: Sequence[Json]) -> dict[tuple[str, str], Outcome]:
    added = [
        snapshot.Resource(id=where, type=parse(where).type, body=body)
        for where, body in zip(PATHS_OF, bodies, strict=True)
    ]
    findings = audit(Estate(snapshot.of([*BASE_ESTATE, *added])), RULES)
    crashed = [finding.message for finding in findings for missing in finding.missing if missing.kind == "crashed"]
    assert not crashed
    return {(finding.rule, finding.resource): finding.outcome for finding in findings}


def hurt(number: int, mutation: Mutation) -> tuple[Json, ...]:
    """The objects with one hurt."""
    return tuple(mutation.of(one) if place == number else one for place, one in enumerate(DAMAGED))


def test_nothing_that_is_lost_turns_a_finding_into_a_pass() -> None:
    before = outcomes(DAMAGED)
    assert {rule for (rule, _), outcome in before.items() if outcome is Outcome.FAIL} == {
        "AKS-KR-02", "AKS-KR-03", "AKS-KR-05", "AKS-KR-06", "AKS-KR-07", "AKS-KR-08",
    }  # fmt: skip
    for number, way in WAYS:
        for how in ("drop", "null"):
            after = outcomes(hurt(number, Mutation(way, how)))
            turned = {key for key, one in after.items() if one is Outcome.PASS and before[key] is not Outcome.PASS}
            assert {rule for rule, _ in turned} <= STILL_ON_EVIDENCE.get(str(way[-1]), set()), (number, way, how)


def test_no_value_of_another_type_breaks_a_rule() -> None:
    for turn, (number, way) in enumerate(WAYS):
        for value in RETYPED[turn % 3 :: 3]:
            outcomes(hurt(number, Mutation(way, "retype", value)))


def test_bindings_of_a_thousand_namespaces_are_judged_in_seconds() -> None:
    objects = [copy.deepcopy(DAMAGED[0])]
    for number in range(1000):
        space = f"ns-{number}"
        for name in ROLES:
            role = {"kind": "Role", "metadata": {"name": name, "namespace": space}, "rules": DAMAGED[0]["rules"]}
            reference_to = {"kind": "Role", "name": name}
            subjects = [{"kind": "ServiceAccount", "name": "default", "namespace": space}]
            bound = {**role, "kind": "RoleBinding", "roleRef": reference_to, "subjects": subjects}
            objects += [role, bound, {**role, "kind": "ServiceAccount"}]
    found = world(objects)
    start = time.monotonic()
    findings = audit(found, RULES)
    assert time.monotonic() - start < 20
    assert len(findings) > len(objects)
