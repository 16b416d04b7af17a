"""Calico's policies, slowly and obviously: one packet at a time, straight from the bodies and the documentation.

https://docs.tigera.io/calico/latest/reference/resources/globalnetworkpolicy
https://docs.tigera.io/calico/latest/reference/resources/tier
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from math import inf
from typing import Any, NamedTuple

Body = Mapping[str, Any]


class End(NamedTuple):
    """One end of a packet: a pod, or with no namespace an address outside."""

    name: str
    address: str
    namespace: str = ""
    labels: Mapping[str, str] = {}
    account: str = ""
    ports: Mapping[str, tuple[str, int]] = {}


class Cluster(NamedTuple):
    """Everything that decides. Labels of namespaces, and of service accounts by namespace/name."""

    namespaces: Mapping[str, Mapping[str, str]]
    accounts: Mapping[str, Mapping[str, str]]
    ends: Sequence[End]
    objects: Sequence[Body]

    def of(self, *kinds: str) -> list[Body]:
        """The objects of some kinds."""
        return [one for one in self.objects if one["kind"] in kinds]


class Packet(NamedTuple):
    """The first packet of a connection. `number` is the destination port, or the type of ICMP."""

    source: End
    destination: End
    protocol: str
    number: int


def allowed(cluster: Cluster, packet: Packet) -> bool:
    """Whether both ends let it through; what is not a pod has no policies."""
    return _side(cluster, packet, "Egress") and _side(cluster, packet, "Ingress")


def _side(cluster: Cluster, packet: Packet, direction: str) -> bool:
    own = packet.source if direction == "Egress" else packet.destination
    if not own.namespace:
        return True
    tiers = [{"metadata": {"name": "default"}, "spec": {"order": 1_000_000}}, *cluster.of("Tier")]
    for tier in sorted(tiers, key=lambda one: one["spec"].get("order", inf)):
        policies = [
            one
            for one in cluster.of("GlobalNetworkPolicy", "NetworkPolicy")
            if one["spec"].get("tier", "default") == tier["metadata"]["name"]
            and direction in one["spec"]["types"]
            and _selected(cluster, one, own)
        ]
        action = _first(cluster, policies, packet, direction)
        if action in {"Allow", "Deny"}:
            return action == "Allow"
        if policies and not action and tier["spec"].get("defaultAction", "Deny") == "Deny":
            return False
    return True


def _first(cluster: Cluster, policies: Sequence[Body], packet: Packet, direction: str) -> str:
    """The action of the first rule that matches, in order of policies; empty where none does."""
    for policy in sorted(policies, key=lambda one: (one["spec"].get("order", inf), one["metadata"]["name"])):
        for rule in policy["spec"].get(direction.lower(), []):
            namespace = policy["metadata"].get("namespace", "")
            if rule["action"] != "Log" and _matches(cluster, rule, packet, namespace):
                return str(rule["action"])
    return ""


def _selected(cluster: Cluster, policy: Body, end: End) -> bool:
    spec, namespace = policy["spec"], policy["metadata"].get("namespace", "")
    return (
        (not namespace or end.namespace == namespace)
        and true(spec.get("selector", ""), own_labels(end))
        and true(spec.get("namespaceSelector", ""), namespace_labels(cluster, end.namespace))
        and true(spec.get("serviceAccountSelector", ""), account_labels(cluster, end))
    )


# --- labels


def own_labels(end: End) -> dict[str, str]:
    """The labels of a pod, with those that Calico adds."""
    found = {**end.labels, "projectcalico.org/namespace": end.namespace, "projectcalico.org/orchestrator": "k8s"}
    return {**found, "projectcalico.org/serviceaccount": end.account}


def namespace_labels(cluster: Cluster, namespace: str) -> dict[str, str]:
    """The labels of a namespace, with its name; of none, none."""
    return {**cluster.namespaces[namespace], "projectcalico.org/name": namespace} if namespace else {}


def account_labels(cluster: Cluster, end: End) -> dict[str, str]:
    """The labels of a pod's service account, with its name."""
    return {**cluster.accounts.get(f"{end.namespace}/{end.account}", {}), "projectcalico.org/name": end.account}


_ATOMS = (
    (r"has\(([\w./-]+)\)", r"('\1' in labels)"),
    (r"([\w./-]+) == ('\w*')", r"(labels.get('\1') == \2)"),
    (r"([\w./-]+) != ('\w*')", r"(labels.get('\1') != \2)"),
    (r"([\w./-]+) not in \{([^}]*)\}", r"(labels.get('\1') not in (\2,))"),
    (r"([\w./-]+) in \{([^}]*)\}", r"(labels.get('\1') in (\2,))"),
    (r"([\w./-]+) contains ('\w*')", r"(\2 in labels.get('\1', '~'))"),
    (r"([\w./-]+) starts with ('\w*')", r"labels.get('\1', '~').startswith(\2)"),
    (r"([\w./-]+) ends with ('\w*')", r"labels.get('\1', '~').endswith(\2)"),
)


def true(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether a selector of the few forms that the test writes is true of labels: by turning it into Python."""
    if not selector:
        return True
    inside = bool(labels)
    python = selector.replace("all()", str(inside)).replace("global()", str(not inside))
    for pattern, form in _ATOMS:
        python = re.sub(pattern, form, python)
    python = python.replace("&&", " and ").replace("||", " or ").replace("!(", " not (").strip()
    return bool(eval(python, {"__builtins__": {}}, {"labels": dict(labels)}))  # noqa: S307 - of the test's own making


# --- rules


def _matches(cluster: Cluster, rule: Body, packet: Packet, namespace: str) -> bool:
    protocol, icmp = rule.get("protocol"), rule.get("icmp")
    return (
        protocol in {None, packet.protocol}
        and rule.get("notProtocol") != packet.protocol
        and (icmp is None or icmp["type"] == packet.number)
        and _is(cluster, rule.get("source", {}), packet.source, namespace)
        and _is(cluster, rule.get("destination", {}), packet.destination, namespace)
        and _to(rule.get("destination", {}), packet)
    )


def _to(entity: Body, packet: Packet) -> bool:
    ports, but = entity.get("ports", []), entity.get("notPorts", [])
    return (not ports or any(_port(one, packet) for one in ports)) and not any(_port(one, packet) for one in but)


def _port(written: int | str, packet: Packet) -> bool:
    if isinstance(written, str) and not written[0].isdigit():
        return packet.destination.ports.get(written) == (packet.protocol, packet.number)
    first, _, last = str(written).partition(":")
    return int(first) <= packet.number <= int(last or first)


def _is(cluster: Cluster, entity: Body, end: End, namespace: str) -> bool:
    """Whether an end is what a source or destination says. Selectors become sets of addresses."""
    address = ip_address(end.address)
    if "nets" in entity and not any(address in ip_network(one) for one in entity["nets"]):
        return False
    if any(address in ip_network(one) for one in entity.get("notNets", [])):
        return False
    positive = [name for name in ("selector", "namespaceSelector", "serviceAccounts") if name in entity]
    limited = namespace and (positive or "notSelector" in entity)
    if positive or limited:
        return any(
            _taken(cluster, entity, one, namespace) and not _unwanted(entity, one)
            for one in _known(cluster, end.address)
        )
    return not any(_unwanted(entity, one) for one in _known(cluster, end.address))


def _known(cluster: Cluster, address: str) -> Iterator[tuple[End, dict[str, str]]]:
    """What Calico knows by an address: pods, and network sets that hold it."""
    for end in cluster.ends:
        if end.namespace and end.address == address:
            yield end, own_labels(end)
    for one in cluster.of("GlobalNetworkSet", "NetworkSet"):
        if any(ip_address(address) in ip_network(net) for net in one["spec"]["nets"]):
            namespace = one["metadata"].get("namespace", "")
            labels = dict(one["metadata"].get("labels", {}))
            if namespace:
                labels["projectcalico.org/namespace"] = namespace
            yield End("", address, namespace), {**labels, "": ""}


def _taken(cluster: Cluster, entity: Body, known: tuple[End, dict[str, str]], namespace: str) -> bool:
    end, labels = known
    if namespace and "namespaceSelector" not in entity and end.namespace != namespace:
        return False
    accounts = entity.get("serviceAccounts")
    if accounts is not None:
        # A network set has no service account, and none of its labels: a selector may ask for just that.
        if "names" in accounts and end.account not in accounts["names"]:
            return False
        if not true(accounts.get("selector", ""), account_labels(cluster, end) if end.account else {}):
            return False
    return true(entity.get("selector", ""), labels) and true(
        entity.get("namespaceSelector", ""), namespace_labels(cluster, end.namespace)
    )


def _unwanted(entity: Body, known: tuple[End, dict[str, str]]) -> bool:
    return "notSelector" in entity and true(entity["notSelector"], known[1])
