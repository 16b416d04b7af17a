"""Clusters in a few lines: pods, nodes and policies of Calico or Cilium, and what becomes of connections in them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from aks_audit.network.addresses import AddressSet
from aks_audit.policies import calico, cilium
from aks_audit.policies.body import Body
from aks_audit.policies.cilium_settings import read_settings
from aks_audit.policies.evaluate import Ruleset
from aks_audit.policies.kubernetes import NETWORK_POLICIES, compile_kubernetes
from aks_audit.policies.model import ContainerPort, Endpoint, Kind, Object
from aks_audit.policies.ports import traffic
from aks_audit.policies.reach import Reach
from netpol import CLUSTER, stored

FIXTURES = Path(__file__).parents[1] / "fixtures" / "policies"
PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132, "ICMP": 1, "ICMPv6": 58, "UDPLite": 136}
ICMP_CODES = 256
_ASKED = re.compile(r"(?P<source>\S+) -> (?P<destination>\S+) (?P<protocol>\w+) (?P<number>\d+): (?P<verdict>\w+)")
_NAMESPACED = {"CiliumNetworkPolicy", "EndpointSlice", "NetworkPolicy", "NetworkSet", "Service", "StagedNetworkPolicy"}

Case = Mapping[str, Any]


class Asked(NamedTuple):
    """A connection, and what is expected to become of it. `number` is a port, or a type of ICMP."""

    source: str
    destination: str
    protocol: str
    number: int
    verdict: str


def cases(name: str) -> list[Case]:
    """The cases in a file of fixtures."""
    found: list[Case] = yaml.safe_load((FIXTURES / f"{name}.yaml").read_text())
    return found


def asked(case: Case) -> Iterator[Asked]:
    """The connections of a case."""
    return questions(case["expect"])


def questions(lines: Iterable[str]) -> Iterator[Asked]:
    """Connections as they are written, `a/pod -> 192.0.2.1 TCP 443: allowed`."""
    for line in lines:
        found = _ASKED.fullmatch(line)
        assert found, line
        yield Asked(found["source"], found["destination"], found["protocol"], int(found["number"]), found["verdict"])


def as_object(body: Mapping[str, Any]) -> Object:
    """An object as it stands in a snapshot, of a manifest."""
    kind, metadata = body["kind"], body["metadata"]
    group, _, version = body["apiVersion"].rpartition("/")
    if group == "networking.k8s.io":
        return stored(body)
    plural = kind.lower().removesuffix("y") + ("ies" if kind.endswith("y") else "s")
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    place = f"/namespaces/{metadata.get('namespace', 'default')}" if kind in _NAMESPACED else ""
    own = {**body, "metadata": {**metadata, **({"namespace": place[12:]} if place else {})}}
    return Object(f"{CLUSTER}{root}{place}/{plural}/{metadata['name']}", f"{plural}.{group}" if group else plural, own)


def objects(case: Case) -> tuple[Object, ...]:
    """Everything in the cluster of a case that a compiler may look at."""
    namespaces = ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}
                  for name, labels in case.get("namespaces", {"default": {}}).items())  # fmt: skip
    return tuple(as_object(one) for one in (*namespaces, *case["objects"]))


def endpoints(case: Case) -> dict[str, Endpoint]:
    """The pods and nodes of a case, the API server, and the addresses that it asks about."""
    found = {"api": Endpoint(Kind.API_SERVER, "api", labels={}, addresses=_addresses(["20.0.0.1"]))}
    for number, (name, pod) in enumerate(case.get("pods", {}).items(), start=1):
        found[name] = _pod(case, name, pod or {}, number)
    for name, node in case.get("nodes", {}).items():
        labels, addresses = (node or {}).get("labels", {}), _addresses([(node or {}).get("ip", "10.224.0.4")])
        found[f"node:{name}"] = Endpoint(
            Kind.NODE, name, labels=labels, namespace_labels={}, service_account_labels={}, addresses=addresses,
            node=name, node_labels=labels,
        )  # fmt: skip
    for end in {end for one in asked(case) for end in (one.source, one.destination)} - found.keys():
        found[end] = Endpoint(Kind.ADDRESS, end, labels={}, addresses=_addresses([end]))
    return found


def _pod(case: Case, name: str, pod: Mapping[str, Any], number: int) -> Endpoint:
    namespace, _, own = name.partition("/")
    node = pod.get("node", "n1")
    account = pod.get("account", "default")
    return Endpoint(
        Kind.HOST_POD if pod.get("hostNetwork") else Kind.POD,
        own,
        namespace=namespace,
        labels=pod.get("labels", {}),
        namespace_labels={
            "kubernetes.io/metadata.name": namespace,
            **(case.get("namespaces", {}).get(namespace) or {}),
        },
        service_account=account,
        service_account_labels=case.get("accounts", {}).get(f"{namespace}/{account}", {}),
        addresses=_addresses([pod.get("ip", f"10.244.0.{number}")]),
        ports=tuple(_port(port, written) for port, written in pod.get("ports", {}).items()),
        node=node,
        node_labels=(case.get("nodes", {}).get(node) or {}).get("labels", {}),
    )


def _port(name: str, written: object) -> ContainerPort:
    number, _, protocol = str(written).partition("/")
    return ContainerPort(name, PROTOCOLS[protocol or "TCP"], int(number))


def _addresses(written: Iterable[str]) -> AddressSet:
    return AddressSet.of(ip_network(one) for one in written)


def ruleset(engine: str, case: Case) -> Ruleset:
    """The policies of a case as an engine has them, with those of Kubernetes' own kind."""
    every, unread = objects(case), case.get("unread", ())
    if engine == "calico":
        own, placing, near = calico.compile_calico(every, unread), calico.placing(every), calico.OWN_NODE
    else:
        data = case.get("configuration")
        settings = read_settings(None if data is None else Body("cilium-config", data), case.get("advanced", "L7"))
        own, placing, near = cilium.compile_cilium(every, settings, unread), cilium.placing(settings), cilium.OWN_NODE
    kubernetes = compile_kubernetes([one for one in every if one.type == NETWORK_POLICIES], placing)
    tiers = tuple(dict.fromkeys((*own.tiers, *kubernetes.tiers)))
    return Ruleset(tiers, (*own.policies, *kubernetes.policies), near)


def answers(engine: str, case: Case) -> list[tuple[Asked, str]]:
    """Each connection of a case, and what becomes of it."""
    return list(decide(ruleset(engine, case), endpoints(case), list(asked(case))))


def decide(rules: Ruleset, ends: Mapping[str, Endpoint], wanted: Sequence[Asked]) -> Iterator[tuple[Asked, str]]:
    """What becomes of connections."""
    reach, at = Reach(list(ends.values()), rules), {name: number for number, name in enumerate(ends)}
    for one in wanted:
        protocol, first = PROTOCOLS[one.protocol], one.number
        numbers = (
            traffic(protocol, first * ICMP_CODES, first * ICMP_CODES)
            if "ICMP" in one.protocol
            else traffic(protocol, first, first)
        )
        passages = reach.between(at[one.source], at[one.destination])
        yield one, " ".join(sorted({passage.verdict.value for passage in passages if passage.traffic & numbers}))
