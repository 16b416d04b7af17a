"""Damaged policies of Kubernetes: nothing crashes, and nothing open is taken for closed, or the reverse."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from aks_audit.policies.evaluate import Ruleset, Verdict
from aks_audit.policies.kubernetes import compile_kubernetes
from aks_audit.policies.model import Object
from aks_audit.policies.reach import Reach
from netpol import CLUSTER
from policy_oracle import Pod
from test_policy_properties import endpoint_of

LABELS = {"app": "web"}
SPACE = {"team": "a", "kubernetes.io/metadata.name": "x"}
PODS = [
    Pod("x", "web", LABELS, SPACE, "10.0.0.1", (("http", "TCP", 80),)),
    Pod("x", "other", {"app": "other"}, SPACE, "10.0.0.2"),
    Pod("y", "far", LABELS, {"team": "b", "kubernetes.io/metadata.name": "y"}, "10.0.1.1"),
]
NETWORK_POLICY = {
    "podSelector": {"matchLabels": {"app": "web"}},
    "policyTypes": ["Ingress", "Egress"],
    "ingress": [
        {
            "from": [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"team": "b"}}}],
            "ports": [{"port": "http"}],
        },
        {"from": [{"ipBlock": {"cidr": "10.0.1.0/24", "except": ["10.0.1.128/25"]}}]},
    ],
    "egress": [
        {"to": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["other"]}]}}]}
    ],
}
ADMIN = {
    "priority": 5,
    "subject": {"namespaces": {"matchLabels": {"team": "a"}}},
    "ingress": [
        {
            "name": "first",
            "action": "Deny",
            "from": [{"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}}],
            "ports": [{"portNumber": {"protocol": "TCP", "port": 443}}, {"namedPort": "http"}],
        },
    ],
    "egress": [
        {
            "action": "Pass",
            "to": [{"networks": ["10.0.0.0/8"]}],
            "ports": [{"portRange": {"protocol": "UDP", "start": 1, "end": 53}}],
        }
    ],
}
BASELINE = {"subject": ADMIN["subject"], "ingress": ADMIN["ingress"]}
CLUSTER_POLICY = {
    "tier": "Admin",
    "priority": 5,
    "subject": ADMIN["subject"],
    "ingress": [
        {
            "action": "Accept",
            "from": [{"namespaces": {}}],
            "protocols": [{"tcp": {"destinationPort": {"range": {"start": 1, "end": 80}}}}, {"udp": {}}],
        }
    ],
}
_ADMINISTRATORS = "/apis/policy.networking.k8s.io/v1alpha1"
POLICIES = {
    "networkpolicies.networking.k8s.io": (
        "/apis/networking.k8s.io/v1/namespaces/x/networkpolicies/one",
        NETWORK_POLICY,
    ),
    "adminnetworkpolicies.policy.networking.k8s.io": (f"{_ADMINISTRATORS}/adminnetworkpolicies/one", ADMIN),
    "baselineadminnetworkpolicies.policy.networking.k8s.io": (
        f"{_ADMINISTRATORS}/baselineadminnetworkpolicies/default",
        BASELINE,
    ),
    "clusternetworkpolicies.policy.networking.k8s.io": (
        f"{_ADMINISTRATORS}/clusternetworkpolicies/one",
        CLUSTER_POLICY,
    ),
}
STRANGE: tuple[Any, ...] = ("strange", 3.5, True, ["strange"], {"strange": 1}, [None])


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - any JSON
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:  # noqa: ANN401 - any JSON
    changed = copy.deepcopy(value)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = new
    return changed


def verdicts(type_: str, spec: object) -> list[tuple[Verdict, int]]:
    """What becomes of every pair, for single points of all traffic."""
    path, _ = POLICIES[type_]
    policies = compile_kubernetes([Object(CLUSTER + path, type_, {"spec": spec})])
    reach = Reach([endpoint_of(pod) for pod in PODS], Ruleset(*policies))
    points = [protocol * 65536 + port for protocol in (6, 17, 132) for port in (53, 80, 443)]
    pairs = [(a, b) for a in range(len(PODS)) for b in range(len(PODS)) if a != b]
    return [
        (next(one.verdict for one in reach.between(*pair) if point in one.traffic), point)
        for pair in pairs
        for point in points
    ]


@pytest.mark.parametrize("type_", POLICIES)
def test_a_value_of_another_shape_is_never_an_answer(type_: str) -> None:
    _, spec = POLICIES[type_]
    whole = verdicts(type_, spec)
    assert {Verdict.ALLOWED, Verdict.DENIED} == {verdict for verdict, _ in whole} or "cluster" in type_
    checked = 0
    for path in places(spec):
        for new in STRANGE:
            if _fits(spec, path, new):
                continue
            damaged = verdicts(type_, replaced(spec, path, new))
            for (before, _), (after, point) in zip(whole, damaged, strict=True):
                assert after in {before, Verdict.UNKNOWN}, (path, new, point)
            checked += 1
    assert checked > 100


def _fits(spec: object, path: tuple[Any, ...], new: object) -> bool:
    """Whether another value means something else, and is no damage: names of labels, of ports, and of rules."""
    value: Any = spec
    for key in path:
        value = value[key]
    if isinstance(value, str) and isinstance(new, str):
        return path[-1] not in {"operator", "action", "protocol", "cidr", "tier"} and path[-2] not in {
            "policyTypes",
            "except",
            "networks",
        }
    if new == ["strange"]:
        return str(path[-1]) == "values"
    if new == {"strange": 1}:
        return False
    return bool(path[-1] == "port") and isinstance(new, str)


@pytest.mark.parametrize("type_", POLICIES)
@pytest.mark.parametrize("spec", [None, "strange", 3, [], True])
def test_a_policy_without_a_spec_leaves_unknown_what_it_might_be_about(type_: str, spec: object) -> None:
    found = {verdict for verdict, _ in verdicts(type_, spec)}
    assert found <= {Verdict.UNKNOWN, Verdict.ALLOWED}
    assert Verdict.UNKNOWN in found


@pytest.mark.parametrize("type_", POLICIES)
def test_what_is_lost_never_crashes(type_: str) -> None:
    _, spec = POLICIES[type_]
    for path in places(spec):
        assert verdicts(type_, replaced(spec, path, None))


@pytest.mark.parametrize("type_", POLICIES)
@pytest.mark.parametrize("where", ["", "ingress/0"])
def test_a_field_that_is_not_known_is_not_passed_over(type_: str, where: str) -> None:
    _, spec = POLICIES[type_]
    path = tuple(int(part) if part.isdecimal() else part for part in where.split("/")) if where else ()
    assert Verdict.UNKNOWN in {verdict for verdict, _ in verdicts(type_, replaced(spec, (*path, "newest"), {"a": 1}))}
