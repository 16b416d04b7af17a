"""Manifests with network policies and pods, read as an API server would store them and show them."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from aks_audit.network.addresses import AddressSet
from aks_audit.policies.evaluate import Ruleset
from aks_audit.policies.kubernetes import Placing, compile_kubernetes
from aks_audit.policies.model import ContainerPort, Endpoint, Kind, Object
from aks_audit.policies.ports import PROTOCOLS

NETPOL = Path(__file__).parents[2] / "shared" / "data" / "netpol"
needs_netpol = pytest.mark.skipif(
    not NETPOL.is_dir(), reason="the policies with known answers (../shared/data/netpol) are not here"
)

CLUSTER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c"
_PATHS = {
    "NetworkPolicy": ("networkpolicies", "networking.k8s.io"),
    "AdminNetworkPolicy": ("adminnetworkpolicies", "policy.networking.k8s.io"),
    "BaselineAdminNetworkPolicy": ("baselineadminnetworkpolicies", "policy.networking.k8s.io"),
    "ClusterNetworkPolicy": ("clusternetworkpolicies", "policy.networking.k8s.io"),
}
_WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "ReplicationController"}


class Manifests(NamedTuple):
    """What manifests come to: policies, and endpoints with the name of what they are printed as."""

    policies: tuple[Object, ...]
    endpoints: tuple[tuple[str, Endpoint], ...]

    def ruleset(self, placing: Placing) -> Ruleset:
        """Its policies."""
        return Ruleset(*compile_kubernetes(self.policies, placing))


def read(*paths: Path, host_network: bool = True) -> Manifests:
    """Read files of JSON and YAML, lists and documents; without `host_network` as if no pod were in it."""
    objects = [one for path in paths for document in _documents(path) for one in _flat(document)]
    namespaces = {
        one["metadata"]["name"]: _labels(one["metadata"]) for one in objects if one.get("kind") == "Namespace"
    }
    pods = [pod for one in objects if one.get("kind") in {"Pod", *_WORKLOADS} for pod in _pods(one)]
    policies = tuple(stored(one) for one in objects if one.get("kind") in _PATHS)
    endpoints = ((name, _endpoint(pod, namespaces)) for name, pod in pods)
    if not host_network:
        endpoints = ((name, dataclasses.replace(one, kind=Kind.POD)) for name, one in endpoints)
    return Manifests(policies, tuple(endpoints))


def stored(policy: Mapping[str, Any]) -> Object:
    """A policy as the API server stores it: with what it fills in."""
    kind, metadata = policy["kind"], policy["metadata"]
    plural, group = _PATHS[kind]
    body = json.loads(json.dumps(policy))
    place = ""
    if kind == "NetworkPolicy":
        place = f"namespaces/{metadata.get('namespace', 'default')}/"
        spec = body["spec"]
        spec["podSelector"] = spec.get("podSelector") or {}
        spec["policyTypes"] = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    for peer in _peers(body["spec"]):
        if "pods" in peer:
            peer["pods"] = {"namespaceSelector": {}, "podSelector": {}, **peer["pods"]}
    version = policy["apiVersion"].rpartition("/")[2]
    identity = f"{CLUSTER}/apis/{group}/{version}/{place}{plural}/{metadata['name']}"
    return Object(identity, f"{plural}.{group}", body)


def _peers(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        yield from (*(rule.get("from") or ()), *(rule.get("to") or ()))
    yield spec.get("subject") or {}


def _documents(path: Path) -> Iterator[Any]:
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.suffix in {".yaml", ".yml", ".json"}:
            yield from yaml.load_all(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _flat(document: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any YAML
    if isinstance(document, dict) and isinstance(document.get("items"), list):
        kind = str(document.get("kind", "")).removesuffix("List")
        for one in document["items"]:
            yield from _flat({"kind": kind, **one} if kind else one)
    elif isinstance(document, dict):
        yield document


def _pods(one: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pods of an object, by the name of their owner: of a controller one that is made from its template."""
    metadata, namespace = one["metadata"], one["metadata"].get("namespace", "default")
    if one.get("kind") == "Pod":
        owners = metadata.get("ownerReferences") or [{"name": metadata["name"], "kind": "Pod"}]
        yield f"{namespace}/{owners[0]['name']}[{owners[0].get('kind', 'Pod')}]", one
    else:
        template = one["spec"]["template"]
        made = {**template.get("metadata", {}), "name": metadata["name"], "namespace": namespace}
        yield f"{namespace}/{metadata['name']}[{one['kind']}]", {"metadata": made, "spec": template["spec"]}


def _labels(metadata: Mapping[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = metadata.get("labels") or {}
    return {**labels, "kubernetes.io/metadata.name": metadata["name"]}


def _endpoint(pod: Mapping[str, Any], namespaces: Mapping[str, Mapping[str, str]]) -> Endpoint:
    metadata, spec = pod["metadata"], pod["spec"]
    namespace = metadata.get("namespace", "default")
    addresses = [one["ip"] for one in pod.get("status", {}).get("podIPs") or ()]
    return Endpoint(
        Kind.HOST_POD if spec.get("hostNetwork") else Kind.POD,
        metadata["name"],
        namespace,
        labels=metadata.get("labels") or {},
        namespace_labels=namespaces.get(namespace) or {"kubernetes.io/metadata.name": namespace},
        addresses=AddressSet.of(ip_network(address) for address in addresses),
        ports=tuple(_container_ports(spec["containers"])),
    )


def _container_ports(containers: Sequence[Mapping[str, Any]]) -> Iterator[ContainerPort]:
    for container in containers:
        for port in container.get("ports") or ():
            if port.get("name"):
                yield ContainerPort(port["name"], PROTOCOLS[port.get("protocol", "TCP")], port["containerPort"])
