"""The flows of `aks-audit reach`: who is told of together is told of truly, pair by pair."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from aks_audit.network.addresses import PUBLIC, AddressSet, RangeSet
from aks_audit.policies.evaluate import Reason, Ruleset, Verdict
from aks_audit.policies.kubernetes import compile_kubernetes
from aks_audit.policies.model import HOSTS, Endpoint, Kind
from aks_audit.policies.ports import KUBERNETES_TRAFFIC
from aks_audit.policies.reach import Reach, atoms
from aks_audit.reach_flows import End, Part, Subject, flows
from netpol import stored

APPS = ("web", "api", "db")


def policies(namespace: str, number: int) -> Iterator[dict[str, Any]]:
    """A default deny, and who may reach what else."""
    friend = {"namespaceSelector": {"matchLabels": {"team": f"team-{number // 2}"}}}
    allow = {
        "podSelector": {"matchLabels": {"app": APPS[number % 3]}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": [{"podSelector": {}}, friend], "ports": [{"port": 8080}]},
            {"from": [{"ipBlock": {"cidr": f"203.0.{number}.0/24"}}], "ports": [{"port": 443}]},
        ],
        "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}], "ports": [{"port": 443}]}],
    }
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"][: 1 + number % 2]}
    for name, spec in (("deny", deny), ("allow", allow)):
        metadata = {"namespace": namespace, "name": name}
        yield {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def reach_of(namespaces: int) -> Reach:
    names = [f"team-{at}" for at in range(namespaces)]
    written = [stored(one) for at, name in enumerate(names[1:]) for one in policies(name, at)]
    ruleset = Ruleset(*compile_kubernetes(written))
    pods = [
        Endpoint(
            Kind.POD,
            f"{app}-{copy}",
            name,
            labels={"app": app},
            namespace_labels={"team": name},
            addresses=AddressSet.of([ip_network(f"10.1.{at}.{10 * number + copy}")]),
            node="one" if copy else "other",
        )
        for at, name in enumerate(names)
        for number, app in enumerate(APPS)
        for copy in range(2)
    ]
    outside = [Endpoint(Kind.ADDRESS, str(part), addresses=part) for part in atoms(PUBLIC, ruleset)]
    nodes = [Endpoint(Kind.NODE, name, node=name) for name in ("one", "other")]
    return Reach([*pods, *nodes, *outside], ruleset)


def each(reach: Reach, numbers: Iterable[int]) -> Iterator[Subject]:
    """Every endpoint by its number."""
    return (Subject(str(number), "", reach.endpoints[number].kind, 1) for number in numbers)


@pytest.mark.parametrize("namespaces", [2, 5])
@pytest.mark.parametrize("way", ["from", "to", "both", "outside"])
def test_every_pair_is_told_of_once_and_as_it_is(namespaces: int, way: str) -> None:
    reach = reach_of(namespaces)
    everybody = list(range(len(reach.endpoints)))
    some = [at for at in everybody if (reach.endpoints[at].kind is Kind.ADDRESS) == (way == "outside")]
    ends = (everybody, some) if way == "to" else (some, everybody) if way != "both" else (some, some)
    made = [End(numbers, lambda numbers: each(reach, numbers)) for numbers in ends]
    found = flows(reach, *made, asked=(way != "to", way in {"to", "both"})).flows
    told: dict[tuple[int, int, bool], tuple[Part, ...]] = {}
    for flow in found:
        own_node = flow.source.on_own_node or flow.destination.on_own_node
        for source in flow.source.subjects:
            for destination in flow.destination.subjects:
                key = int(source.name), int(destination.name), own_node
                assert key not in told
                told[key] = flow.parts
    wanted = {(one, other, own) for one in ends[0] for other in ends[1] for own in owns(reach, one, other)}
    assert wanted <= set(told)
    assert all(one == other for one, other, _ in set(told) - wanted)
    for (one, other, own_node), parts in told.items():
        passages = reach.between(one, other, own_node=own_node)
        assert {part.verdict: part.traffic for part in by_verdict(parts)} == {
            verdict: traffic
            for verdict in Verdict
            if (traffic := union(one.traffic for one in passages if one.verdict is verdict) & KUBERNETES_TRAFFIC)
        }
        known = {reasons for passage in passages for reasons in (passage.egress, passage.ingress)}
        assert all(reasons in known for part in parts for reasons in (part.egress, part.ingress) if reasons)
        assert all(decides(part) for part in parts)


def owns(reach: Reach, one: int, other: int) -> set[bool]:
    """As which neighbours a pair is to be told of: on one node, and not."""
    kinds = {reach.endpoints[one].kind, reach.endpoints[other].kind}
    if one == other or kinds == {Kind.ADDRESS}:
        return set()
    return {False, True} if kinds & HOSTS and Kind.POD in kinds else {False}


def by_verdict(parts: Iterable[Part]) -> Iterator[Part]:
    listed = list(parts)
    for verdict in Verdict:
        if traffic := union(part.traffic for part in listed if part.verdict is verdict):
            yield Part(verdict, traffic, (), ())


def union(sets: Iterable[RangeSet]) -> RangeSet:
    return RangeSet(piece for one in sets for piece in one.ranges)


def decides(part: Part) -> bool:
    """Whether the side that alone is told of is the one that denies."""
    told: tuple[Reason, ...] = part.egress or part.ingress
    return bool(part.egress and part.ingress) or (bool(told) and part.verdict is Verdict.DENIED)


def test_who_is_alike_is_told_of_together() -> None:
    reach = reach_of(5)
    outside = [at for at, one in enumerate(reach.endpoints) if one.kind is Kind.ADDRESS and one.addresses.v4]
    everybody = End(range(len(reach.endpoints)), lambda numbers: each(reach, numbers))
    found = flows(reach, everybody, End(outside, lambda numbers: each(reach, numbers)), asked=(False, True))
    assert len({id(flow.destination) for flow in found.flows}) == 1
    assert len(found.flows) < len(reach.classes)
