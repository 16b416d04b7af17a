"""Calico's policies against a second implementation, slow and obvious, on whatever hypothesis thinks of."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import calico_oracle
from calico_oracle import Cluster, End, Packet
from policy_worlds import Asked, decide, endpoints, ruleset

Body = dict[str, Any]
NAMESPACES = {"x": {"team": "a"}, "y": {"team": "b", "zone": "a"}}
ACCOUNTS = {"x/one": {"role": "a"}, "y/two": {"role": "b"}}
OUTSIDE = ("192.0.2.1", "192.0.2.200", "10.9.9.9")
NETWORKS = ("10.0.0.0/8", "10.244.0.0/30", "10.244.0.2/32", "192.0.2.0/24", "192.0.2.128/25", "0.0.0.0/0")
PORTS = (79, 80, 81, 443)
QUESTIONS = (*((protocol, port) for protocol in ("TCP", "UDP") for port in PORTS), ("ICMP", 8), ("ICMP", 0))

labels = st.dictionaries(st.sampled_from(("app", "tier")), st.sampled_from(("a", "b", "ab")), max_size=2)
networks = st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=2, unique=True)


def atoms(*keys: str) -> st.SearchStrategy[str]:
    key, value = st.sampled_from(keys), st.sampled_from(("a", "b", "ab", "one", "x"))
    listed = st.lists(value, min_size=1, max_size=2).map(lambda some: ", ".join(f"'{one}'" for one in some))
    return st.one_of(
        key.map(lambda key: f"has({key})"),
        st.builds(lambda key, sign, value: f"{key} {sign} '{value}'", key, st.sampled_from(("==", "!=")), value),
        st.builds(lambda key, sign, some: f"{key} {sign} {{{some}}}", key, st.sampled_from(("in", "not in")), listed),
        st.builds(
            lambda key, sign, value: f"{key} {sign} '{value}'",
            key,
            st.sampled_from(("contains", "starts with", "ends with")),
            value,
        ),
    )


signs = st.sampled_from(("&&", "||"))


def selectors(*keys: str) -> st.SearchStrategy[str]:
    return st.recursive(
        atoms(*keys),
        lambda inner: st.one_of(
            inner.map(lambda one: f"!({one})"),
            st.builds(
                lambda one, sign, other: f"({one}) {sign} ({other})", inner, st.sampled_from(("&&", "||")), inner
            ),
        ),
        max_leaves=3,
    )


of_pods = st.just("all()") | selectors("app", "tier", "projectcalico.org/namespace", "projectcalico.org/serviceaccount")
of_namespaces = st.sampled_from(("all()", "global()")) | selectors("team", "zone", "projectcalico.org/name")
of_accounts = selectors("role", "projectcalico.org/name")

of_entities: dict[str, st.SearchStrategy[Any]] = {
    "nets": networks,
    "notNets": networks,
    "selector": of_pods,
    "notSelector": of_pods,
    "namespaceSelector": of_namespaces,
    "serviceAccounts": st.just({"names": ["one"]}) | st.fixed_dictionaries({"selector": of_accounts}),
}


@st.composite
def entities(draw: st.DrawFn) -> Body:
    """A source or destination, mostly of one kind of match, so that some packets are left to match."""
    names = draw(st.lists(st.sampled_from(tuple(of_entities)), min_size=1, max_size=2, unique=True))
    return {name: draw(of_entities[name]) for name in names}


ports = st.lists(st.sampled_from((*PORTS, "79:80", "81:500", "web")), min_size=1, max_size=2)


@st.composite
def rules(draw: st.DrawFn) -> Body:
    rule: Body = {"action": draw(st.sampled_from(("Allow", "Deny", "Pass", "Log")))}
    protocol = draw(st.sampled_from((None, None, "TCP", "UDP", "ICMP")))
    if protocol:
        rule["protocol"] = protocol
    elif draw(st.integers(0, 3)) == 0:
        rule["notProtocol"] = "TCP"
    if protocol == "ICMP" and draw(st.booleans()):
        rule["icmp"] = {"type": 8}
    for side in ("source", "destination"):
        if draw(st.integers(0, 2)) == 0:
            rule[side] = draw(entities())
    if protocol in {"TCP", "UDP"} and draw(st.booleans()):
        rule.setdefault("destination", {})[draw(st.sampled_from(("ports", "notPorts")))] = draw(ports)
    return rule


@st.composite
def policies(draw: st.DrawFn, number: int) -> Body:
    kind = draw(st.sampled_from(("GlobalNetworkPolicy", "NetworkPolicy")))
    types = draw(st.sampled_from((["Ingress"], ["Egress"], ["Ingress", "Egress"])))
    optional: dict[str, st.SearchStrategy[Any]] = {
        "order": st.sampled_from((1, 2, 3.5)),
        "tier": st.sampled_from(("first", "second")),
    }
    if draw(st.integers(0, 2)) == 0:
        optional |= {"selector": of_pods, "serviceAccountSelector": of_accounts}
    metadata = {"name": f"p{number}"}
    if kind == "NetworkPolicy":
        metadata["namespace"] = draw(st.sampled_from(tuple(NAMESPACES)))
    elif draw(st.integers(0, 2)) == 0:
        optional["namespaceSelector"] = selectors("team", "zone", "projectcalico.org/name")
    spec = draw(st.fixed_dictionaries({"types": st.just(types)}, optional=optional))
    spec |= {one.lower(): draw(st.lists(rules(), min_size=1, max_size=3)) for one in types}
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": metadata, "spec": spec}


@st.composite
def worlds(draw: st.DrawFn) -> Body:
    pods = {
        f"{namespace}/p{number}": {
            "labels": draw(labels),
            "account": draw(st.sampled_from(("one", "two", "default"))),
            "ports": draw(st.sampled_from(({}, {"web": 80}, {"web": "443/UDP"}))),
        }
        for number, namespace in enumerate(("x", "x", "y"))
    }
    first = draw(
        st.fixed_dictionaries({"order": st.just(10)}, optional={"defaultAction": st.sampled_from(("Deny", "Pass"))})
    )
    bodies: list[Body] = [
        {"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": name}, "spec": spec}
        for name, spec in (("first", first), ("second", {"order": 20, "defaultAction": "Pass"}))
    ]
    for number, kind in enumerate(("GlobalNetworkSet", "NetworkSet")):
        if draw(st.booleans()):
            metadata = {"name": f"s{number}", "labels": draw(labels), **({"namespace": "x"} if number else {})}
            spec = {"nets": draw(networks)}
            bodies.append({"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": metadata, "spec": spec})
    bodies += [draw(policies(number)) for number in range(draw(st.integers(1, 4)))]
    return {"namespaces": NAMESPACES, "accounts": ACCOUNTS, "pods": pods, "objects": bodies, "expect": []}


def oracle_of(world: Body) -> Cluster:
    ends = [End(address, address) for address in OUTSIDE]
    for number, (name, pod) in enumerate(world["pods"].items(), start=1):
        named = {port: str(written).partition("/") for port, written in pod["ports"].items()}
        ports_of = {port: (protocol or "TCP", int(number)) for port, (number, _, protocol) in named.items()}
        namespace = name.partition("/")[0]
        ends.append(End(name, f"10.244.0.{number}", namespace, pod["labels"], pod["account"], ports_of))
    return Cluster(world["namespaces"], world["accounts"], ends, world["objects"])


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_policies_are_evaluated_as_the_slow_way_does(world: Body) -> None:
    cluster = oracle_of(world)
    pairs = [
        (source, destination)
        for source in cluster.ends
        for destination in cluster.ends
        if source != destination and (source.namespace or destination.namespace)
    ]
    expected = [
        Asked(one.name, other.name, protocol, number, "allowed" if calico_oracle.allowed(cluster, packet) else "denied")
        for one, other in pairs
        for protocol, number in QUESTIONS
        for packet in (Packet(one, other, protocol, number),)
    ]
    world = {**world, "expect": [f"{address} -> {address} TCP 1: denied" for address in OUTSIDE]}
    found = decide(ruleset("calico", world), endpoints(world), expected)
    assert [(asked, answer) for asked, answer in found if asked.verdict != answer] == []


def test_the_slow_way_reads_selectors_as_they_are_written() -> None:
    assert calico_oracle.true("!((app == 'a') && (has(tier))) || (app contains 'b')", {"app": "ab"})
    assert not calico_oracle.true("!(app != 'a')", {"app": "b"})
    assert calico_oracle.true("(app not in {'a', 'b'}) && (app starts with 'x')", {"app": "xy"})
