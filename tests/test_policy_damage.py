"""Damaged objects: a policy of Calico or Cilium that is not as it should be never ends a scan, nor opens anything."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from aks_audit.policies.calico import compile_calico
from aks_audit.policies.cilium import compile_cilium
from aks_audit.policies.cilium_settings import Settings
from aks_audit.policies.model import Action, Compiled, Object
from policy_worlds import Case, cases, objects

ODD: tuple[Any, ...] = (None, 7, -1, 1.5, True, "***", "", [], {}, [None], ["***"], [[]], {"***": "***"}, [{"***": 1}])


def damaged(body: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401 - JSON
    """The paths to all values in a body but its kind and its name."""
    for key, value in body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ():
        if (*path, key) not in {("kind",), ("apiVersion",)}:
            yield (*path, key)
            yield from damaged(value, (*path, key))


def replaced(one: Object, path: tuple[str | int, ...], value: object) -> Object:
    body: Any = json.loads(json.dumps(one.body))
    inner = body
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return one._replace(body=body)


def compiled(engine: str, every: tuple[Object, ...]) -> Compiled:
    return compile_calico(every) if engine == "calico" else compile_cilium(every, Settings())


every_case = pytest.mark.parametrize(
    ("engine", "case"), [(engine, case) for engine in ("calico", "cilium") for case in cases(engine)]
)


@every_case
def test_whatever_is_odd_is_read_or_unread(engine: str, case: Case) -> None:
    every = objects(case)
    for at, one in enumerate(every):
        for path in damaged(one.body):
            for value in ODD:
                found = compiled(engine, (*every[:at], replaced(one, path, value), *every[at + 1 :]))
                assert all(policy.tier in {tier.name for tier in found.tiers} for policy in found.policies)


def objects_in(body: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401 - JSON
    """The paths to all objects in a body whose fields the API names, and that decide something."""
    if isinstance(body, dict):
        yield path
        for key, value in body.items():
            if key not in {"labels", "matchLabels", "originatingTLS", "terminatingTLS"}:
                yield from objects_in(value, (*path, key))
    elif isinstance(body, list):
        for at, value in enumerate(body):
            yield from objects_in(value, (*path, at))


def is_policy(one: Object, case: Case) -> bool:
    """Whether it is a policy of the engine's own kind that is read at all."""
    stored_beside = one.type.endswith("crd.projectcalico.org") and "not again" in case["name"]
    off = case.get("configuration", {}).keys() & {"enable-policy", "policy-audit-mode"}
    kinds = ("globalnetworkpolicies", "networkpolicies", "ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies")
    return one.type.startswith(kinds) and not one.type.endswith("k8s.io") and not stored_beside and not off


@every_case
def test_a_field_that_nobody_knows_is_never_passed_over(engine: str, case: Case) -> None:
    for at, one in enumerate(every := objects(case)):
        if not is_policy(one, case) or "spec" not in one.body:
            continue
        for path in objects_in(one.body["spec"], ("spec",)):
            odd = replaced(one, (*path, "onlyOnFridays"), {"***": 1})
            found = compiled(engine, (*every[:at], odd, *every[at + 1 :]))
            sides = [
                side for policy in found.policies if policy.id == one.id for side in (policy.ingress, policy.egress)
            ]
            assert any(rule.action is Action.UNREAD for side in sides if side for rule in side.rules), path
