"""Cilium's policies against a second implementation, slow and obvious, on whatever hypothesis thinks of."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import cilium_oracle
from cilium_oracle import Cluster, End, Packet
from policy_worlds import Asked, decide, endpoints, ruleset

Body = dict[str, Any]
NAMESPACES = {"x": {"team": "a"}, "y": {"team": "b", "zone": "a"}}
OUTSIDE = ("192.0.2.1", "192.0.2.200", "10.9.9.9")
NODES = {"n1": {"ip": "10.224.0.4"}, "n2": {"ip": "10.224.0.5"}}
API = "20.0.0.1"
NETWORKS = ("10.0.0.0/8", "10.244.0.0/30", "192.0.2.0/24", "192.0.2.128/25", "0.0.0.0/0", "20.0.0.1/32")
GROUPS = {"group": ["192.0.2.0/28", "10.0.0.0/8"]}
PORTS = (79, 80, 81, 443)
QUESTIONS = (*((protocol, port) for protocol in ("TCP", "UDP") for port in PORTS), ("ICMP", 8), ("ICMP", 0))
NAMESPACE, TEAM = "k8s:io.kubernetes.pod.namespace", "io.cilium.k8s.namespace.labels.team"

labels = st.dictionaries(st.sampled_from(("app", "tier")), st.sampled_from(("a", "b")), max_size=2)
VALUES = {NAMESPACE: ("x", "y"), TEAM: ("a", "b"), "io.cilium.k8s.policy.serviceaccount": ("one", "two")}
keys = st.sampled_from(("app", "k8s:app", "any:tier", *VALUES))


@st.composite
def selectors(draw: st.DrawFn, *, namespaced: bool = True) -> Body:
    """A selector; where not `namespaced`, without the label that Cilium would put its own in the place of."""
    selector: Body = {}
    own = keys if namespaced else keys.filter(lambda key: key != NAMESPACE)
    if draw(st.booleans()):
        key = draw(own)
        selector["matchLabels"] = {key: draw(st.sampled_from(VALUES.get(key, ("a", "b"))))}
    if draw(st.booleans()):
        key, operator = draw(own), draw(st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")))
        values = [draw(st.sampled_from(VALUES.get(key, ("a", "b"))))] if "In" in operator else []
        selector["matchExpressions"] = [{"key": key, "operator": operator, **({"values": values} if values else {})}]
    return selector


networks = st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=2, unique=True)
entities = st.lists(
    st.sampled_from(("all", "world", "cluster", "host", "remote-node", "kube-apiserver", "health")),
    min_size=1,
    max_size=2,
)
cidr_sets = st.lists(
    st.sampled_from(
        (
            {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]},
            {"cidr": "192.0.2.0/24"},
            {"cidrGroupRef": "group"},
            {"cidrGroupRef": "absent"},
        )
    ),
    min_size=1,
    max_size=2,
)
port = st.fixed_dictionaries(
    {"port": st.sampled_from(("79", "80", "443", "0", "web"))},
    optional={"protocol": st.sampled_from(("TCP", "UDP", "ANY"))},
) | st.just({"port": "79", "endPort": 81, "protocol": "TCP"})


@st.composite
def rules(draw: st.DrawFn, direction: str, *, denying: bool) -> Body:
    to = "from" if direction == "ingress" else "to"
    peers: dict[str, st.SearchStrategy[Any]] = {
        f"{to}Endpoints": st.lists(selectors(), max_size=2),
        f"{to}Entities": entities,
        f"{to}CIDR": networks,
        f"{to}CIDRSet": cidr_sets,
    }
    if direction == "egress" and not denying:
        peers["toFQDNs"] = st.just([{"matchName": "example.com"}])
    rule: Body = {}
    if draw(st.integers(0, 3)):
        name = draw(st.sampled_from(tuple(peers)))
        rule[name] = draw(peers[name])
    what = draw(st.sampled_from(("", "", "ports", "icmps")))
    if what == "icmps":
        rule["icmps"] = [{"fields": [{"family": "IPv4", "type": 8}]}]
    elif what == "ports":
        rule["toPorts"] = [draw(port_rules(denying=denying)) for _ in range(draw(st.integers(1, 2)))]
    return rule


@st.composite
def port_rules(draw: st.DrawFn, *, denying: bool) -> Body:
    found: Body = {"ports": draw(st.lists(port, min_size=1, max_size=2))}
    if not denying and draw(st.integers(0, 3)) == 0:
        found = {"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"method": "GET"}]}}
    return found


@st.composite
def policies(draw: st.DrawFn, number: int) -> Body:
    namespace = draw(st.sampled_from(("", *NAMESPACES)))
    spec: Body = {"endpointSelector": draw(selectors(namespaced=not namespace))}
    for direction in ("ingress", "egress"):
        for denying in (False, True):
            if draw(st.integers(0, 2 if denying else 1)) == 0:
                name = f"{direction}Deny" if denying else direction
                spec[name] = draw(st.lists(rules(direction, denying=denying), max_size=2))
    if draw(st.integers(0, 3)) == 0:
        spec["enableDefaultDeny"] = draw(
            st.fixed_dictionaries({}, optional={"ingress": st.booleans(), "egress": st.booleans()})
        )
    kind = "CiliumNetworkPolicy" if namespace else "CiliumClusterwideNetworkPolicy"
    metadata = {"name": f"p{number}", **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata, "spec": spec}


@st.composite
def worlds(draw: st.DrawFn) -> Body:
    pods = {
        f"{namespace}/p{number}": {
            "labels": draw(labels),
            "account": draw(st.sampled_from(("one", "two"))),
            "ports": draw(st.sampled_from(({}, {"web": 80}, {"web": "443/UDP"}))),
        }
        for number, namespace in enumerate(("x", "x", "y"))
    }
    group = {"apiVersion": "cilium.io/v2alpha1", "kind": "CiliumCIDRGroup", "metadata": {"name": "group"}}
    found = [draw(policies(number)) for number in range(draw(st.integers(1, 4)))]
    return {
        "namespaces": NAMESPACES,
        "nodes": NODES,
        "pods": pods,
        "objects": [{**group, "spec": {"externalCIDRs": GROUPS["group"]}}, *found],
    }


def ends_of(world: Body) -> list[End]:
    ends = [End(address, address) for address in OUTSIDE] + [End("api", API)]
    ends += [End(f"node:{name}", node["ip"], name) for name, node in NODES.items()]
    for number, (name, pod) in enumerate(world["pods"].items(), start=1):
        named = {port: str(written).partition("/") for port, written in pod["ports"].items()}
        ports = {port: (protocol or "TCP", int(number)) for port, (number, _, protocol) in named.items()}
        namespace = name.partition("/")[0]
        ends.append(End(name, f"10.244.0.{number}", "n1", namespace, pod["labels"], pod["account"], ports))
    return ends


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_policies_are_evaluated_as_the_slow_way_does(world: Body) -> None:
    cluster, ends = Cluster(NAMESPACES, world["objects"][1:], GROUPS), ends_of(world)
    expected = [
        Asked(one.name, other.name, protocol, number, cilium_oracle.answer(cluster, packet))
        for one in ends
        for other in ends
        if one != other and (one.namespace or other.namespace)
        for protocol, number in QUESTIONS
        for packet in (Packet(one, other, protocol, number),)
    ]
    world = {**world, "expect": [f"{address} -> {address} TCP 1: denied" for address in OUTSIDE]}
    found = decide(ruleset("cilium", world), endpoints(world), expected)
    assert [(asked, answer) for asked, answer in found if asked.verdict != answer] == []
