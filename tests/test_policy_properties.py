"""The evaluation of policies against a second one, slow and obvious, on whatever hypothesis thinks of."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_audit.network.addresses import AddressSet
from aks_audit.policies.evaluate import Ruleset, Verdict
from aks_audit.policies.kubernetes import compile_kubernetes
from aks_audit.policies.model import ALL_TRAFFIC, ContainerPort, Endpoint, Kind
from aks_audit.policies.ports import PROTOCOLS, traffic
from aks_audit.policies.reach import Matrix, Reach
from netpol import stored
from policy_oracle import Connection, Pod, allowed

KEYS, VALUES = ("app", "tier"), ("a", "b", "c")
NAMESPACES = {"x": {"team": "a"}, "y": {"team": "b", "zone": "a"}, "z": {}}
NETWORKS = ("10.0.0.0/8", "10.0.0.0/30", "10.0.0.2/32", "192.0.2.0/24", "192.0.2.128/25", "0.0.0.0/0")
PORTS, NAMES = (79, 80, 443), ("web", "dns")

labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2)
values = st.lists(st.sampled_from(VALUES), min_size=1, max_size=2)
Body = dict[str, Any]


def _expressions(keys: tuple[str, ...]) -> st.SearchStrategy[Body]:
    key = st.sampled_from(keys)
    listed = st.builds(
        lambda key, operator, values: {"key": key, "operator": operator, "values": values},
        key,
        st.sampled_from(("In", "NotIn")),
        values,
    )
    bare = st.builds(
        lambda key, operator: {"key": key, "operator": operator}, key, st.sampled_from(("Exists", "DoesNotExist"))
    )
    return listed | bare


def _selectors(keys: tuple[str, ...]) -> st.SearchStrategy[Body]:
    return st.fixed_dictionaries(
        {},
        optional={
            "matchLabels": st.dictionaries(st.sampled_from(keys), st.sampled_from(VALUES), max_size=1),
            "matchExpressions": st.lists(_expressions(keys), max_size=2),
        },
    )


of_pods, of_namespaces = _selectors(KEYS), _selectors(("team", "zone"))
protocols = st.sampled_from(tuple(PROTOCOLS))
spans = st.tuples(st.sampled_from(PORTS), st.sampled_from(PORTS)).map(sorted)
networks = st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=2)

np_peers = st.one_of(
    st.fixed_dictionaries({"podSelector": of_pods}, optional={"namespaceSelector": of_namespaces}),
    st.fixed_dictionaries({"namespaceSelector": of_namespaces}),
    st.fixed_dictionaries(
        {"ipBlock": st.fixed_dictionaries({"cidr": st.sampled_from(NETWORKS)}, optional={"except": networks})}
    ),
)
np_ports = st.one_of(
    st.fixed_dictionaries({"protocol": protocols}, optional={"port": st.sampled_from(PORTS)}),
    st.fixed_dictionaries({"port": st.sampled_from(NAMES), "protocol": protocols}),
    st.builds(lambda protocol, span: {"protocol": protocol, "port": span[0], "endPort": span[1]}, protocols, spans),
)


def _np_rules(peers: str) -> st.SearchStrategy[list[Body]]:
    rule = st.fixed_dictionaries(
        {}, optional={peers: st.lists(np_peers, max_size=2), "ports": st.lists(np_ports, max_size=2)}
    )
    return st.lists(rule, max_size=2)


network_policies = st.fixed_dictionaries(
    {
        "apiVersion": st.just("networking.k8s.io/v1"),
        "kind": st.just("NetworkPolicy"),
        "metadata": st.fixed_dictionaries({"namespace": st.sampled_from(tuple(NAMESPACES))}),
        "spec": st.fixed_dictionaries(
            {
                "podSelector": of_pods,
                "policyTypes": st.sampled_from((["Ingress"], ["Egress"], ["Ingress", "Egress"])),
            },
            optional={"ingress": _np_rules("from"), "egress": _np_rules("to")},
        ),
    }
)

subjects = st.one_of(
    st.fixed_dictionaries({"namespaces": of_namespaces}),
    st.fixed_dictionaries(
        {"pods": st.fixed_dictionaries({"namespaceSelector": of_namespaces, "podSelector": of_pods})}
    ),
)
admin_ports = st.one_of(
    st.builds(
        lambda protocol, port: {"portNumber": {"protocol": protocol, "port": port}}, protocols, st.sampled_from(PORTS)
    ),
    st.builds(
        lambda protocol, span: {"portRange": {"protocol": protocol, "start": span[0], "end": span[1]}}, protocols, spans
    ),
    st.builds(lambda name: {"namedPort": name}, st.sampled_from(NAMES)),
)
cluster_ports = st.one_of(
    st.builds(lambda protocol: {protocol.lower(): {}}, protocols),
    st.builds(
        lambda protocol, port: {protocol.lower(): {"destinationPort": {"number": port}}},
        protocols,
        st.sampled_from(PORTS),
    ),
    st.builds(
        lambda protocol, span: {protocol.lower(): {"destinationPort": {"range": {"start": span[0], "end": span[1]}}}},
        protocols,
        spans,
    ),
    st.builds(lambda name: {"destinationNamedPort": name}, st.sampled_from(NAMES)),
)


def _admin_rules(
    peers: str, actions: tuple[str, ...], ports: str, port: st.SearchStrategy[Body]
) -> st.SearchStrategy[list[Body]]:
    peer = subjects | st.builds(lambda networks: {"networks": networks}, networks) if peers == "to" else subjects
    rule = st.fixed_dictionaries(
        {"action": st.sampled_from(actions), peers: st.lists(peer, min_size=1, max_size=2)},
        optional={ports: st.lists(port, min_size=1, max_size=2)},
    )
    return st.lists(rule, max_size=3)


def _administrators(
    kind: str,
    actions: tuple[str, ...],
    ports: tuple[str, st.SearchStrategy[Body]],
    more: Mapping[str, st.SearchStrategy[Any]],
) -> st.SearchStrategy[Body]:
    return st.fixed_dictionaries(
        {
            "apiVersion": st.just("policy.networking.k8s.io/v1alpha1"),
            "kind": st.just(kind),
            "metadata": st.fixed_dictionaries({}),
            "spec": st.fixed_dictionaries(
                {
                    "subject": subjects,
                    "ingress": _admin_rules("from", actions, *ports),
                    "egress": _admin_rules("to", actions, *ports),
                    **more,
                }
            ),
        }
    )


priority = {"priority": st.integers(0, 2)}
admin_policies = _administrators("AdminNetworkPolicy", ("Allow", "Deny", "Pass"), ("ports", admin_ports), priority)
baseline_policies = _administrators("BaselineAdminNetworkPolicy", ("Allow", "Deny"), ("ports", admin_ports), {})
cluster_policies = _administrators(
    "ClusterNetworkPolicy",
    ("Accept", "Deny", "Pass"),
    ("protocols", cluster_ports),
    {**priority, "tier": st.sampled_from(("Admin", "Baseline"))},
)
several = st.one_of(
    st.tuples(
        st.lists(network_policies, max_size=4),
        st.lists(admin_policies, max_size=2),
        st.lists(baseline_policies, max_size=1),
    ),
    st.tuples(st.lists(network_policies, max_size=2), st.lists(cluster_policies, max_size=4)),
).map(lambda groups: [one for group in groups for one in group])

container_ports = st.lists(
    st.tuples(st.sampled_from(NAMES), protocols, st.sampled_from(PORTS)), max_size=2, unique_by=lambda one: one[:2]
).map(tuple)
pods = st.lists(st.tuples(st.sampled_from(tuple(NAMESPACES)), labels, container_ports), min_size=2, max_size=6).map(
    lambda all_pods: [
        Pod(namespace, f"pod-{at}", own, NAMESPACES[namespace], f"10.0.0.{at + 1}", ports)
        for at, (namespace, own, ports) in enumerate(all_pods)
    ]
)
OUTSIDERS = [Pod("", "one", {}, {}, "192.0.2.1"), Pod("", "other", {}, {}, "192.0.2.200")]


def endpoint_of(pod: Pod) -> Endpoint:
    return Endpoint(
        Kind.POD if pod.namespace else Kind.ADDRESS,
        pod.name,
        pod.namespace,
        labels=pod.labels,
        namespace_labels=pod.namespace_labels,
        addresses=AddressSet.of([ip_network(pod.address)]),
        ports=tuple(ContainerPort(name, PROTOCOLS[protocol], number) for name, protocol, number in pod.ports),
    )


def _reach(policies: list[Body], everybody: list[Pod], worlds: tuple[frozenset[str], ...] = ()) -> Reach:
    """What policies let through; where there are worlds, no kind is certain."""
    for at, policy in enumerate(policies):
        policy["metadata"]["name"] = f"policy-{at}"
    tiers, compiled = compile_kubernetes([stored(one) for one in policies])
    ruleset = Ruleset(tiers, tuple(replace(one, certain=not worlds) for one in compiled), worlds=worlds)
    return Reach([endpoint_of(pod) for pod in everybody], ruleset)


ADMINISTRATORS = ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy", "NetworkPolicy")
doubted = st.lists(st.frozensets(st.sampled_from(ADMINISTRATORS)), min_size=1, max_size=4, unique=True)
"""The sets of kinds that may be enforced."""


@settings(max_examples=150, deadline=None)
@given(several, pods, doubted)
def test_what_may_not_be_enforced_is_unknown_only_where_that_makes_a_difference(
    policies: list[Body], inside: list[Pod], worlds: list[frozenset[str]]
) -> None:
    everybody = [*inside, *OUTSIDERS]
    reach = _reach(policies, everybody, tuple(worlds))
    enforced = [[one for one in policies if one["kind"] in kinds] for kinds in worlds]
    for one, source in enumerate(everybody):
        for other, destination in enumerate(everybody):
            if one == other or not (source.namespace or destination.namespace):
                continue
            passages = reach.between(one, other)
            for protocol, number in PROTOCOLS.items():
                for port in PORTS:
                    found = {passage.verdict for passage in passages if number * 65536 + port in passage.traffic}
                    asked = Connection(source, destination, protocol, port)
                    answers = {allowed(some, asked) for some in enforced}
                    assert found == (_SAID[answers.pop()] if len(answers) == 1 else {Verdict.UNKNOWN})


@pytest.mark.parametrize(
    ("worlds", "verdict"),
    [
        ((frozenset({"AdminNetworkPolicy"}), frozenset({"ClusterNetworkPolicy"})), Verdict.DENIED),
        ((frozenset[str](), frozenset({"AdminNetworkPolicy"}), frozenset({"ClusterNetworkPolicy"})), Verdict.UNKNOWN),
        ((frozenset({"AdminNetworkPolicy"}),), Verdict.DENIED),
        ((frozenset[str](),), Verdict.ALLOWED),
    ],
)
def test_what_one_side_or_the_other_denies_is_denied(worlds: tuple[frozenset[str], ...], verdict: Verdict) -> None:
    everywhere: Body = {"namespaces": {}}
    leaving = {"subject": everywhere, "priority": 1, "egress": [{"action": "Deny", "to": [everywhere]}]}
    coming = {
        "subject": everywhere,
        "priority": 1,
        "tier": "Admin",
        "ingress": [{"action": "Deny", "from": [everywhere]}],
    }
    version = "policy.networking.k8s.io/v1alpha1"
    policies: list[Body] = [
        {"apiVersion": version, "kind": "AdminNetworkPolicy", "metadata": {}, "spec": leaving},
        {"apiVersion": version, "kind": "ClusterNetworkPolicy", "metadata": {}, "spec": coming},
    ]
    both = [Pod(name, "pod", {}, NAMESPACES[name], f"10.0.0.{at}", ()) for at, name in enumerate(("x", "y"), start=1)]
    reach = _reach(policies, both, worlds)
    assert {passage.verdict for passage in reach.between(0, 1)} == {verdict}
    assert Matrix(reach, ["x", "y"]).cell("x", "y") == {verdict}


@settings(max_examples=60, deadline=None)
@given(several, pods, doubted)
def test_the_matrix_sees_what_pairs_see_of_doubts(
    policies: list[Body], inside: list[Pod], worlds: list[frozenset[str]]
) -> None:
    _same_in_matrix(_reach(policies, [*inside, *OUTSIDERS], tuple(worlds)), [*inside, *OUTSIDERS])


_SAID = {True: {Verdict.ALLOWED}, False: {Verdict.DENIED}, None: {Verdict.UNKNOWN}}


@settings(max_examples=150, deadline=None)
@given(several, pods)
def test_every_connection_is_what_the_obvious_evaluation_says(policies: list[Body], inside: list[Pod]) -> None:
    everybody = [*inside, *OUTSIDERS]
    reach = _reach(policies, everybody)
    for one, source in enumerate(everybody):
        for other, destination in enumerate(everybody):
            if one == other or not (source.namespace or destination.namespace):
                continue
            passages = reach.between(one, other)
            assert sum(passage.traffic.size for passage in passages) == ALL_TRAFFIC.size
            for protocol, number in PROTOCOLS.items():
                for port in PORTS:
                    at = number * 65536 + port
                    found = {passage.verdict for passage in passages if at in passage.traffic}
                    expected = allowed(policies, Connection(source, destination, protocol, port))
                    assert found == _SAID[expected], (source, destination, protocol, port)


@settings(max_examples=60, deadline=None)
@given(several, pods)
def test_the_matrix_sees_what_pairs_see(policies: list[Body], inside: list[Pod]) -> None:
    _same_in_matrix(_reach(policies, [*inside, *OUTSIDERS]), [*inside, *OUTSIDERS])


def _same_in_matrix(reach: Reach, everybody: list[Pod]) -> None:
    wanted = traffic(PROTOCOLS["TCP"], 80, 443)
    places = [pod.namespace or "outside" for pod in everybody]
    matrix = Matrix(reach, places, wanted)
    seen: dict[tuple[str, str], set[Verdict]] = {(one, other): set() for one in places for other in places}
    for one, source in enumerate(places):
        for other, destination in enumerate(places):
            if one != other:
                passages = [passage for passage in reach.between(one, other) if passage.traffic & wanted]
                seen[source, destination].update(passage.verdict for passage in passages)
    assert {cell: matrix.cell(*cell) for cell in seen} == seen
