"""Kubernetes' own policies, slowly and obviously: one connection at a time, straight from the bodies.

It shares nothing with the evaluation that it is there to check but the endpoints it is asked about.
"""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple, TypeAlias

Body: TypeAlias = Mapping[str, Any]


class Pod(NamedTuple):
    """A pod, or with no namespace an address outside of the cluster."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str]
    address: str
    ports: tuple[tuple[str, str, int], ...] = ()
    """Name, protocol, number."""


class Connection(NamedTuple):
    """One connection."""

    source: Pod
    destination: Pod
    protocol: str
    port: int


def allowed(policies: Sequence[Body], connection: Connection) -> bool | None:
    """Whether a connection is allowed; None where policies of one priority contradict each other."""
    leaving = one_side(policies, connection, "egress") if connection.source.namespace else {True}
    coming = one_side(policies, connection, "ingress") if connection.destination.namespace else {True}
    if {False} in (leaving, coming):
        return False
    return True if leaving == coming == {True} else None


def one_side(policies: Sequence[Body], connection: Connection, direction: str) -> set[bool]:
    """What the policies of one of the two pods may come to."""
    admin = [one for one in policies if one["kind"] == "AdminNetworkPolicy" or _tier(one) == "Admin"]
    baseline = [one for one in policies if one["kind"] == "BaselineAdminNetworkPolicy" or _tier(one) == "Baseline"]
    isolating = [one for one in policies if one["kind"] == "NetworkPolicy" and _isolates(one, connection, direction)]
    found: set[bool] = set()
    for first in _administrators(admin, connection, direction):
        if first != "Pass":
            found.add(first == "Allow")
        elif isolating:
            found.add(any(_np_allows(one, connection, direction) for one in isolating))
        else:
            found |= {last != "Deny" for last in _administrators(baseline, connection, direction)}
    return found


def _tier(policy: Body) -> str:
    return str(policy["spec"].get("tier")) if policy["kind"] == "ClusterNetworkPolicy" else ""


def _own(connection: Connection, direction: str) -> Pod:
    return connection.source if direction == "egress" else connection.destination


def _other(connection: Connection, direction: str) -> Pod:
    return connection.destination if direction == "egress" else connection.source


# --- NetworkPolicy


def _isolates(policy: Body, connection: Connection, direction: str) -> bool:
    own = _own(connection, direction)
    return (
        policy["metadata"]["namespace"] == own.namespace
        and direction.capitalize() in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], own.labels)
    )


def _np_allows(policy: Body, connection: Connection, direction: str) -> bool:
    peers = "to" if direction == "egress" else "from"
    home = policy["metadata"]["namespace"]
    for rule in policy["spec"].get(direction) or ():
        peer_fits = not rule.get(peers) or any(
            _np_peer(peer, home, _other(connection, direction)) for peer in rule[peers]
        )
        port_fits = not rule.get("ports") or any(_np_port(port, connection) for port in rule["ports"])
        if peer_fits and port_fits:
            return True
    return False


def _np_peer(peer: Body, home: str, other: Pod) -> bool:
    if "ipBlock" in peer:
        return _within(other.address, [peer["ipBlock"]["cidr"]]) and not _within(
            other.address, peer["ipBlock"].get("except") or ()
        )
    if not other.namespace:
        return False
    if "namespaceSelector" in peer:
        in_namespace = selects(peer["namespaceSelector"], other.namespace_labels)
    else:
        in_namespace = other.namespace == home
    return in_namespace and selects(peer.get("podSelector") or {}, other.labels)


def _np_port(port: Body, connection: Connection) -> bool:
    if port.get("protocol", "TCP") != connection.protocol:
        return False
    if "port" not in port:
        return True
    if isinstance(port["port"], str):
        named = (port["port"], connection.protocol, connection.port)
        return named in connection.destination.ports
    return int(port["port"]) <= connection.port <= int(port.get("endPort", port["port"]))


# --- the policies of administrators


def _administrators(policies: Iterable[Body], connection: Connection, direction: str) -> set[str]:
    """The actions that may be taken: of policies of the same priority that match, any may be the first."""
    own = _own(connection, direction)
    matching = [
        (one["spec"].get("priority", 0), action)
        for one in policies
        if _admin_selects(one["spec"]["subject"], own)
        and (action := _first_action(one["spec"].get(direction) or (), connection, direction))
    ]
    first = min((priority for priority, _ in matching), default=0)
    actions = {action for priority, action in matching if priority == first}
    return {"Allow" if action == "Accept" else action for action in actions} or {"Pass"}


def _first_action(rules: Iterable[Body], connection: Connection, direction: str) -> str | None:
    peers = "to" if direction == "egress" else "from"
    for rule in rules:
        if any(_admin_peer(peer, _other(connection, direction)) for peer in rule[peers]):
            ports = rule.get("ports") or rule.get("protocols")
            if not ports or any(_admin_port(port, connection) for port in ports):
                return str(rule["action"])
    return None


def _admin_selects(subject: Body, pod: Pod) -> bool:
    if not pod.namespace:
        return False
    if "namespaces" in subject:
        return selects(subject["namespaces"], pod.namespace_labels)
    pods = subject["pods"]
    return selects(pods["namespaceSelector"], pod.namespace_labels) and selects(pods["podSelector"], pod.labels)


def _admin_peer(peer: Body, other: Pod) -> bool:
    return _within(other.address, peer["networks"]) if "networks" in peer else _admin_selects(peer, other)


def _admin_port(port: Body, connection: Connection) -> bool:
    kind, value = next(iter(port.items()))
    if kind in {"namedPort", "destinationNamedPort"}:
        return (value, connection.protocol, connection.port) in connection.destination.ports
    if kind in {"tcp", "udp", "sctp"}:
        if kind.upper() != connection.protocol:
            return False
        wanted = value.get("destinationPort") or {"range": {"start": 0, "end": 65535}}
        if "number" in wanted:
            return bool(wanted["number"] == connection.port)
        return bool(wanted["range"]["start"] <= connection.port <= wanted["range"]["end"])
    if value.get("protocol", "TCP") != connection.protocol:
        return False
    return bool(value.get("start", value.get("port")) <= connection.port <= value.get("end", value.get("port")))


# --- labels and addresses


def selects(selector: Body, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector takes what has these labels."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for one in selector.get("matchExpressions") or ():
        key, values = one["key"], one.get("values") or []
        fits = {
            "In": key in labels and labels[key] in values,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[one["operator"]]
        if not fits:
            return False
    return True


def _within(address: str, networks: Iterable[str]) -> bool:
    return any(ip_address(address) in ip_network(network) for network in networks)
