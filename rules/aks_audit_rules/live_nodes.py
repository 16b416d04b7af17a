"""Nodes as the inside of a cluster shows them, beside what Azure says of the cluster and its agent pools."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from aks_audit.facts import AgentPool, Evidence, Malformed, ManagedCluster, Network
from aks_audit.facts.workloads import Node
from aks_audit.network.addresses import AddressSet
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, undecided

IMAGE = "kubernetes.azure.com/node-image-version"
"""The label by which a node says which image it was made of."""

ZONE = "topology.kubernetes.io/zone"
"""The label by which a node says where it stands: the region and the zone, or a number where it has no zone."""

_NAMED = 3
_PROVISIONED = "karpenter.sh/nodepool"
_VIRTUAL = ("type", "virtual-kubelet")
_MACHINE = re.compile(r"azure:///subscriptions/[^/]+/resourceGroups/(?P<group>[^/]+)/", re.IGNORECASE)


def plain_version(version: str) -> str:
    """A version of Kubernetes as Azure writes it: without the letter, and without what builds add (`-akslts`)."""
    return version.removeprefix("v").partition("-")[0].partition("+")[0]


def nodes_of(pool: AgentPool, cluster: ManagedCluster) -> tuple[Node, ...]:
    """The nodes of a pool, as far as they were read."""
    return cluster.estate.once(_nodes_by_pool, cluster).get(pool.name.lower(), ())


def _nodes_by_pool(cluster: ManagedCluster) -> dict[str, tuple[Node, ...]]:
    found: dict[str, list[Node]] = {}
    for node in cluster.estate.within(Node, cluster.id):
        with suppress(Malformed):  # a node that cannot be read is told of where nodes themselves are judged
            found.setdefault((node.agent_pool or "").lower(), []).append(node)
    return {pool: tuple(nodes) for pool, nodes in found.items()}


class _Difference(NamedTuple):
    """What is wrong with a node, in words that hold for all nodes of which the same is wrong."""

    what: str
    severity: Severity
    shown: Evidence


def nodes_apart(cluster: ManagedCluster) -> Iterator[Verdict]:
    """What is wrong with the nodes that Azure does not know, or knows with another image, as far as they were read."""
    pools = {pool.name.lower(): pool for pool in cluster.agent_pools or ()}
    found: dict[tuple[str, Severity], list[tuple[Node, Evidence]]] = {}
    for node in cluster.estate.within(Node, cluster.id) if pools else ():
        try:
            difference = _difference(node, cluster, pools)
        except Malformed as unread:
            yield undecided(str(unread), missing=unread.missing)
            continue
        if difference:
            found.setdefault(difference[:2], []).append((node, difference.shown))
    for (what, severity), nodes in found.items():
        evidence = (*(node.at(Node.object_labels) for node, _ in nodes[:_NAMED]), nodes[0][1])
        yield fails(f"{_names([node for node, _ in nodes])}: {what}", *evidence, severity=severity)


def _names(nodes: Sequence[Node]) -> str:
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    return f"Node{'s' if nodes[1:] else ''} {', '.join(node.name for node in nodes[:_NAMED])}{more}"


def _difference(node: Node, cluster: ManagedCluster, pools: Mapping[str, AgentPool]) -> _Difference | None:
    labels = node.object_labels or {}
    if _PROVISIONED in labels or labels.get(_VIRTUAL[0]) == _VIRTUAL[1]:
        return None
    pool = pools.get((node.agent_pool or "").lower())
    if pool is None:
        what = "of no pool of the cluster, so that AKS neither patches nor upgrades it"
        return _Difference(what, Severity.MEDIUM, cluster.at(ManagedCluster.agent_pools))
    own, machine = cluster.node_resource_group, _MACHINE.match(node.provider_id or "")
    if machine and own and machine["group"].lower() != own.lower():
        what = f"the machine is in {machine['group']}, not in the node resource group {own}"
        return _Difference(what, Severity.MEDIUM, node.at(Node.provider_id))
    image, wanted = labels.get(IMAGE), pool.node_image_version
    if image and wanted and image.lower() != wanted.lower():
        what = f"the image is {image}, and that of pool {pool.name} is {wanted}"
        return _Difference(what, Severity.LOW, pool.at(AgentPool.node_image_version))
    return None


def pods_outside(cluster: ManagedCluster, ranges: Iterable[Network]) -> Verdict:
    """Whether a node, as far as they were read, gives its pods addresses outside the ranges that Azure names for pods."""
    named = AddressSet.of(ranges)
    for node in cluster.estate.within(Node, cluster.id):
        for own in (*(node.pod_cidrs or ()), *((node.pod_cidr,) if node.pod_cidr else ())):
            if not named.covers(AddressSet.of([own])):
                message = f"Node {node.name} gives its pods addresses of {own}, which is not in the pod CIDR"
                return fails(message, node.at(Node.pod_cidr), cluster.at(ManagedCluster.pod_cidr))
    return not_applicable("No node that was read gives its pods addresses outside the pod CIDR")
