"""Cilium's policies, slowly and obviously: one packet at a time, straight from the bodies and the documentation.

https://docs.cilium.io/en/stable/security/policy/
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Literal, NamedTuple, TypeAlias

Body: TypeAlias = Mapping[str, Any]
Answer: TypeAlias = Literal["allowed", "conditional", "denied"]


class End(NamedTuple):
    """One end of a packet: a pod (with a namespace), a node (with only a node), the API server, or an address."""

    name: str
    address: str
    node: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = {}
    account: str = ""
    ports: Mapping[str, tuple[str, int]] = {}


class Packet(NamedTuple):
    """The first packet of a connection. `number` is the destination port, or the type of ICMP."""

    source: End
    destination: End
    protocol: str
    number: int


class Cluster(NamedTuple):
    """Everything that decides."""

    namespaces: Mapping[str, Mapping[str, str]]
    policies: Sequence[Body]
    groups: Mapping[str, Sequence[str]]


def answer(cluster: Cluster, packet: Packet) -> Answer:
    """What becomes of a packet at both ends; what is no pod has no policies here."""
    sides = {_side(cluster, packet, "egress"), _side(cluster, packet, "ingress")}
    return "denied" if "denied" in sides else "conditional" if "conditional" in sides else "allowed"


class _View(NamedTuple):
    """A packet as one of its ends sees it, for a policy of a namespace, or of none."""

    cluster: Cluster
    packet: Packet
    own: End
    peer: End
    namespace: str = ""


def _side(cluster: Cluster, packet: Packet, direction: str) -> Answer:
    own, peer = (packet.source, packet.destination) if direction == "egress" else (packet.destination, packet.source)
    if not own.namespace:
        return "allowed"
    selecting = [
        (one["spec"], _View(cluster, packet, own, peer, one["metadata"].get("namespace", "")))
        for one in cluster.policies
        if _selects(cluster, one["spec"]["endpointSelector"], own, one["metadata"].get("namespace", ""))
    ]
    if any(_matches(view, rule) for spec, view in selecting for rule in spec.get(f"{direction}Deny", [])):
        return "denied"
    if direction == "ingress" and not peer.namespace and peer.node and peer.node == own.node:
        return "allowed"
    matched = {_matches(view, rule) for spec, view in selecting for rule in spec.get(direction, [])}
    if "allowed" in matched:
        return "allowed"
    isolated = any(
        spec.get("enableDefaultDeny", {}).get(direction, True)
        for spec, _ in selecting
        if spec.get(direction) or spec.get(f"{direction}Deny")
    )
    return "conditional" if "conditional" in matched else "denied" if isolated else "allowed"


def _selects(cluster: Cluster, selector: Body, end: End, namespace: str) -> bool:
    return (not namespace or end.namespace == namespace) and _true(selector, identity(cluster, end))


def identity(cluster: Cluster, end: End) -> dict[str, str]:
    """The labels by which Cilium knows an end: of what is no pod, none that a selector here asks for."""
    if not end.namespace:
        return {}
    found = dict(end.labels)
    found["io.kubernetes.pod.namespace"] = end.namespace
    found["io.cilium.k8s.policy.serviceaccount"] = end.account
    for key, value in cluster.namespaces[end.namespace].items():
        found[f"io.cilium.k8s.namespace.labels.{key}"] = value
    return found


def _true(selector: Body, labels: Mapping[str, str]) -> bool:
    exact = all(labels.get(_bare(key)) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(_expression(one, labels) for one in selector.get("matchExpressions", []))


def _expression(one: Body, labels: Mapping[str, str]) -> bool:
    value = labels.get(_bare(one["key"]))
    match one["operator"]:
        case "In":
            return value in one["values"]
        case "NotIn":
            return value not in one["values"]
        case "Exists":
            return value is not None
        case _:
            return value is None


def _bare(key: str) -> str:
    return key.removeprefix("k8s:").removeprefix("any:")


def _keys(selector: Body) -> set[str]:
    return {_bare(key) for key in selector.get("matchLabels", {})} | {
        _bare(one["key"]) for one in selector.get("matchExpressions", [])
    }


def _matches(view: _View, rule: Body) -> Literal["allowed", "conditional"] | None:
    """Whether a rule takes a packet, and whether only where a name or layer 7 is as it says."""
    packet, to = view.packet, "to" if view.peer is view.packet.destination else "from"
    peers = [name for name in rule if name.startswith(to) and name != "toPorts"]
    if not peers and "toPorts" not in rule and "icmps" not in rule:
        return None
    if not all(_peer(view, name.removeprefix(to), rule[name]) for name in peers):
        return None
    if "icmps" in rule and not any(
        packet.protocol == "ICMP" and field["type"] == packet.number for one in rule["icmps"] for field in one["fields"]
    ):
        return None
    matching = [one for one in rule.get("toPorts", []) if any(_port(port, packet) for port in one["ports"])]
    if rule.get("toPorts") and not matching:
        return None
    layer_7 = bool(matching) and all("rules" in one for one in matching)
    return "conditional" if "toFQDNs" in peers or layer_7 else "allowed"


def _port(port: Body, packet: Packet) -> bool:
    if packet.protocol not in {"TCP", "UDP"} or port.get("protocol", "ANY") not in {packet.protocol, "ANY"}:
        return False
    if not port["port"].isdigit():
        return packet.destination.ports.get(port["port"]) == (packet.protocol, packet.number)
    first = int(port["port"])
    return first == 0 or first <= packet.number <= max(first, port.get("endPort", 0))


def _peer(view: _View, name: str, written: Sequence[Any]) -> bool:
    peer = view.peer
    outside = not peer.namespace and not peer.node
    match name:
        case "Endpoints":
            return any(_endpoint(view.cluster, one, peer, view.namespace) for one in written)
        case "Entities":
            return any(_entity(one, peer, view.own) for one in written)
        case "CIDR":
            return outside and _in(peer, written)
        case "CIDRSet":
            return outside and any(
                _in(peer, view.cluster.groups.get(one["cidrGroupRef"], []) if "cidrGroupRef" in one else [one["cidr"]])
                and not _in(peer, one.get("except", []))
                for one in written
            )
        case _:
            return outside


def _in(peer: End, networks: Sequence[str]) -> bool:
    return any(ip_address(peer.address) in ip_network(one) for one in networks)


def _endpoint(cluster: Cluster, selector: Body, peer: End, namespace: str) -> bool:
    """Whether a selector takes a peer: of a namespaced policy in its own namespace, of another one any pod.

    But where it says itself which namespaces it means, it takes whatever fits that; and be it no pod.
    """
    keys = _keys(selector)
    if "io.kubernetes.pod.namespace" not in keys:
        described = namespace and any(key.startswith("io.cilium.k8s.namespace.labels.") for key in keys)
        if not described and (peer.namespace != namespace if namespace else not peer.namespace):
            return False
    return _true(selector, identity(cluster, peer))


def _entity(name: str, peer: End, own: End) -> bool:
    pod, node = bool(peer.namespace), not peer.namespace and bool(peer.node)
    return {
        "all": True,
        "world": not pod and not node,
        "cluster": pod or node or peer.name == "api",
        "host": node and peer.node == own.node,
        "remote-node": node and peer.node != own.node,
        "kube-apiserver": peer.name == "api",
        "health": False,
    }[name]
