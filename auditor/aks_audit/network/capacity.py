"""How many nodes a pool may have, and how many addresses a subnet must hold: at full scale-out, during an upgrade.

Sources: https://learn.microsoft.com/azure/aks/upgrade-aks-node-pools-rolling: a maximum surge is a number of nodes or a
percentage of the pool's size, rounded up, and never more than the pool's size.
https://learn.microsoft.com/azure/aks/concepts-network-ip-address-planning: what each plugin takes.
https://learn.microsoft.com/azure/virtual-network/virtual-networks-faq: what Azure keeps of each subnet.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network
from typing import NamedTuple

from aks_audit.facts import (
    AgentPool,
    AgentPoolType,
    ClusterSubnet,
    Evidence,
    Malformed,
    ManagedCluster,
    Missing,
    Network,
    NetworkPlugin,
    NodeProvisioningMode,
    NotCollected,
    PodIPAllocationMode,
    SubnetUse,
)
from aks_audit.facts.networking import FrontendIPConfiguration, LoadBalancer, PrivateEndpoint, Subnet
from aks_audit.facts.resource_id import within

DEFAULT_MAX_SURGE = "10%"
LARGEST_MAX_SURGE = "100%"

AZURE_RESERVED = 5
"""The first four addresses of each IPv4 prefix of a subnet, and the last one."""

SMALLEST_SUBNET = 29
"""The longest IPv4 prefix that Azure takes for a subnet."""

BATCH = 16
"""Pod addresses come to a node in lots: 16 at its start with dynamic allocation, and /28 blocks with static ones.

Source: https://learn.microsoft.com/azure/aks/configure-azure-cni-dynamic-ip-allocation and
https://learn.microsoft.com/azure/aks/configure-azure-cni-static-block-allocation
"""

NODE_PREFIX = 24
"""The part of an IPv4 pod CIDR that each node gets, with overlay and with kubenet."""

API_SERVER_ADDRESSES = 9
"""What AKS keeps of a subnet for the API server of one cluster.

Source: https://learn.microsoft.com/azure/aks/api-server-vnet-integration
"""


def full_scale(pool: AgentPool) -> int:
    """The most nodes that a pool is scaled to: its autoscaler's maximum, or else its count.

    Raises:
        Malformed: the body does not name that number.
    """
    if pool.type is AgentPoolType.VIRTUAL_MACHINES and (pool.manual_scales or pool.auto_scales):
        return _all_sizes(pool)
    automatic = pool.enable_auto_scaling
    if automatic is None:
        automatic = pool.max_count is not None  # Azure sends a maximum with the autoscaler alone
    nodes = pool.max_count if automatic else pool.count
    if nodes is None or nodes < 0:
        name = "maxCount" if automatic else "count"
        raise Malformed(pool.document.id, f"{pool.pointer}/{name}", f"a pool without its {name}")
    return nodes


def _all_sizes(pool: AgentPool) -> int:
    """The nodes of a pool that names a number for each of its VM sizes."""
    sizes = [scale.count for scale in pool.manual_scales or ()] + [scale.max_count for scale in pool.auto_scales or ()]
    known = [size for size in sizes if size is not None and size >= 0]
    if len(known) < len(sizes):
        raise Malformed(pool.document.id, f"{pool.pointer}/virtualMachinesProfile", "a VM size without its number")
    return sum(known)


def full_scale_with_surge(pool: AgentPool, *, unstated: str = DEFAULT_MAX_SURGE) -> int:
    """The most nodes of a pool while it is upgraded at full scale; `unstated` is taken where it names no surge.

    Bodies of older API versions name none, and mean 10 % or one node; `LARGEST_MAX_SURGE` is the most it can be.

    Raises:
        Malformed: the body does not name the pool's size, or its surge is neither a number nor a percentage.
    """
    nodes = full_scale(pool)
    written = pool.max_surge or unstated
    found = re.fullmatch(r"([0-9]{1,9})(%?)", written)
    if not found:
        problem = f"{written!r} is neither a number of nodes nor a percentage"
        raise Malformed(pool.document.id, f"{pool.pointer}/upgradeSettings/maxSurge", problem)
    amount = int(found[1])
    surge = -(-nodes * amount // 100) if found[2] else amount
    return nodes + min(surge, nodes)


class Demand(NamedTuple):
    """Addresses (or nodes) that something takes: no fewer than `least`, no more than `most` (None: no bound is known).

    Where the two differ, `doubt` says what would tell.
    """

    least: int
    most: int | None
    evidence: tuple[Evidence, ...] = ()
    doubt: str = ""


def total(demands: Iterable[Demand]) -> Demand:
    """All demands together."""
    every = tuple(demands)
    most = [demand.most for demand in every]
    return Demand(
        sum(demand.least for demand in every),
        None if None in most else sum(number for number in most if number is not None),
        tuple({(item.resource, item.pointer): item for demand in every for item in demand.evidence}.values()),
        "; ".join(dict.fromkeys(demand.doubt for demand in every if demand.doubt)),
    )


def usable(prefixes: Iterable[Network]) -> int:
    """How many IPv4 addresses of a subnet can be given out. IPv6 prefixes are /64, and never run out."""
    return sum(max(0, prefix.num_addresses - AZURE_RESERVED) for prefix in prefixes if isinstance(prefix, IPv4Network))


def smallest_prefix(addresses: int) -> int:
    """The length of the smallest IPv4 subnet in which that many addresses can be given out."""
    return min(SMALLEST_SUBNET, 32 - (addresses + AZURE_RESERVED - 1).bit_length())


def nodes(cluster: ManagedCluster, pools: Iterable[AgentPool]) -> Demand:
    """The nodes of pools at full scale, with the surge of an upgrade.

    Raises:
        Malformed: a body does not name a pool's size, or its surge is neither a number nor a percentage.
    """
    return total([*map(_nodes_of, pools), *_self_made(cluster)])


def _nodes_of(pool: AgentPool) -> Demand:
    least, most = full_scale_with_surge(pool), full_scale_with_surge(pool, unstated=LARGEST_MAX_SURGE)
    doubt = f"pool {pool.name} does not state its maximum surge" if least < most else ""
    return Demand(least, most, size(pool), doubt)


def size(pool: AgentPool) -> tuple[Evidence, Evidence]:
    """The evidence for a pool's nodes at full scale during an upgrade."""
    number = AgentPool.count if pool.max_count is None else AgentPool.max_count
    return pool.at(number), pool.at(AgentPool.max_surge)


def _self_made(cluster: ManagedCluster) -> Iterator[Demand]:
    """The nodes that node auto-provisioning may add, within limits that stand inside the cluster."""
    if cluster.node_provisioning_mode is NodeProvisioningMode.AUTO:
        doubt = "node auto-provisioning adds nodes of its own, and its limits stand inside the cluster"
        yield Demand(0, None, (cluster.at(ManagedCluster.node_provisioning_mode),), doubt)


def pods_per_node(pool: AgentPool) -> int:
    """The most pods of a node.

    Raises:
        NotCollected: the body does not name that number.
        Malformed: it names one that cannot be.
    """
    if pool.max_pods is None:
        raise NotCollected(Missing(pool.id, "not-sent", f"the body does not name maxPods of pool {pool.name}"))
    if pool.max_pods < 0:
        raise Malformed(pool.document.id, f"{pool.pointer}/maxPods", "a negative number of pods")
    return pool.max_pods


def on_node_subnet(cluster: ManagedCluster, pool: AgentPool) -> Demand:
    """The addresses that a pool takes of the subnet of its nodes.

    One for each node; with Azure CNI and no pod subnet one more for each pod that a node may hold, used or not. Older
    API versions do not tell overlay from that, and a CNI plugin of one's own may do either.
    """
    nodes_of = _nodes_of(pool)
    elsewhere = pool.pod_subnet or cluster.network_plugin_mode or cluster.network_plugin is NetworkPlugin.KUBENET
    pods = 0 if elsewhere else pods_per_node(pool)
    doubt = "" if elsewhere else _unsure(cluster)
    least = 0 if doubt else pods
    evidence = (
        *nodes_of.evidence,
        pool.at(AgentPool.max_pods),
        cluster.at(ManagedCluster.network_plugin),
        cluster.at(ManagedCluster.network_plugin_mode),
    )
    doubts = "; ".join(text for text in (nodes_of.doubt, doubt) if text)
    return Demand(nodes_of.least * (1 + least), (nodes_of.most or 0) * (1 + pods), evidence, doubts)


def _unsure(cluster: ManagedCluster) -> str:
    """Why it is not sure that pods take addresses of the nodes' subnet; nothing where it is."""
    if cluster.network_plugin is NetworkPlugin.NONE:
        return "whether the cluster's own CNI plugin takes pod addresses of the subnet stands in no Azure body"
    if cluster.network_plugin is NetworkPlugin.AZURE and cluster.network_dataplane:
        return ""
    return "the body was read with an API version that does not tell overlay from node subnet"


def on_pod_subnet(pool: AgentPool) -> Demand:
    """The addresses that a pool takes of the subnet of its pods.

    With dynamic allocation from 16 for each node to one for each pod that a node may hold, by how many pods there are;
    with static blocks as many /28 as hold these pods and one address more.
    """
    nodes_of = _nodes_of(pool)
    pods = pods_per_node(pool)
    evidence = (*nodes_of.evidence, pool.at(AgentPool.max_pods), pool.at(AgentPool.pod_ip_allocation_mode))
    if pool.pod_ip_allocation_mode is PodIPAllocationMode.STATIC_BLOCK:
        each = BATCH * -(-(pods + 1) // BATCH)
        return Demand(nodes_of.least * each, (nodes_of.most or 0) * each, evidence, nodes_of.doubt)
    least = min(BATCH, pods)
    doubt = "how many pods there will be stands in no Azure body" if least < pods else ""
    doubts = "; ".join(text for text in (nodes_of.doubt, doubt) if text)
    return Demand(nodes_of.least * least, (nodes_of.most or 0) * pods, evidence, doubts)


def on_subnet(subnet: ClusterSubnet) -> Demand:
    """The IPv4 addresses that all its clusters take of a subnet, with all else that is known to be in it.

    Raises:
        Malformed: a body does not tell a pool's size or its pods, or where a private endpoint is.
        NotCollected: a cluster that uses the subnet was not read.
    """
    clusters = {use.cluster: subnet.estate.resource(ManagedCluster, use.cluster) for use in subnet.uses}
    demands = [demand for use in subnet.uses for demand in _of_use(clusters[use.cluster], use)]
    on_nodes = {use.cluster for use in subnet.uses if use.kind == "node"}
    made = [demand for cluster in sorted(on_nodes) for demand in _self_made(clusters[cluster])]
    if all(use.kind == "api-server" for use in subnet.uses):
        return total(demands)  # delegated to AKS: all that is in it is the API server's
    return total([*demands, *made, _others(subnet, tuple(clusters.values()))])


def all_is_known(subnet: ClusterSubnet) -> None:
    """Make sure that no load balancer or private endpoint of the subnet's clusters was left out.

    Raises:
        NotCollected: one may have been.
    """
    for use in subnet.uses:
        if use.kind != "api-server":
            cluster = subnet.estate.resource(ManagedCluster, use.cluster)
            cluster.node_load_balancers.whole()
            subnet.estate.within(PrivateEndpoint, cluster.node_group_id).whole()


def _of_use(cluster: ManagedCluster, use: SubnetUse) -> Iterator[Demand]:
    if use.kind == "api-server":
        evidence = (cluster.at(ManagedCluster.api_server_subnet),)
        yield Demand(API_SERVER_ADDRESSES, API_SERVER_ADDRESSES, evidence)
    for pool in cluster.pools:
        if pool.name == use.pool and use.kind == "node":
            yield on_node_subnet(cluster, pool)
        if pool.name == use.pool and use.kind == "pod":
            yield on_pod_subnet(pool)


def _others(subnet: ClusterSubnet, clusters: tuple[ManagedCluster, ...]) -> Demand:
    """What is in a subnet beside nodes and pods: front ends of load balancers, private endpoints, other machines.

    Azure lists all of it in the subnet. A private endpoint is there by its network interface; one that was not read
    may be in the list already, and counts for the upper bound alone.
    """
    groups = [cluster.node_group_id for cluster in clusters]
    fronts = [front for cluster in clusters for front in _front_ends(cluster, subnet)]
    endpoints = {
        endpoint.id.lower(): {link.id.lower() for link in endpoint.network_interfaces or ()}
        for group in groups
        for endpoint in subnet.estate.within(PrivateEndpoint, group)
        if _subnet_of(endpoint) == subnet.id.lower()
    }
    listed = {link.id.lower() for link in subnet.ip_configurations or ()}
    interfaces = {interface for found in endpoints.values() for interface in found}
    others = {each for each in listed if not any(_is_node(each, group) for group in groups)}
    others = {each for each in others if not any(within(each, interface) for interface in interfaces)}
    known = len(others | {front.id.lower() for front in fronts} | set(endpoints))
    unread = len({link.id.lower() for link in subnet.private_endpoints or ()} - set(endpoints))
    doubt = "private endpoints of the subnet were not read" if unread else ""
    evidence = (
        subnet.at(Subnet.ip_configurations),
        subnet.at(Subnet.private_endpoints),
        *(front.at(FrontendIPConfiguration.subnet) for front in fronts),
    )
    return Demand(known, known + unread, tuple(item for item in evidence if item.value is not None), doubt)


def _subnet_of(endpoint: PrivateEndpoint) -> str:
    if endpoint.subnet is None:
        pointer = endpoint.at(PrivateEndpoint.subnet).pointer
        raise Malformed(endpoint.id, pointer, "a private endpoint without its subnet")
    return endpoint.subnet.id.lower()


def _is_node(configuration: str, node_group: str) -> bool:
    """Whether an address of a subnet belongs to a node, or to another machine in the group that AKS made for nodes."""
    return within(configuration, node_group) and "/loadbalancers/" not in configuration


def _front_ends(cluster: ManagedCluster, subnet: Subnet) -> Iterator[FrontendIPConfiguration]:
    balancers: Iterable[LoadBalancer] = cluster.node_load_balancers
    for balancer in balancers:
        for front in balancer.frontends or ():
            if front.subnet and front.subnet.id.lower() == subnet.id.lower():
                yield front


def nodes_of_pod_cidr(prefixes: Iterable[Network]) -> int:
    """How many nodes find a /24 in IPv4 pod CIDRs."""
    return sum(
        2 ** (NODE_PREFIX - prefix.prefixlen) if prefix.prefixlen <= NODE_PREFIX else 0
        for prefix in prefixes
        if isinstance(prefix, IPv4Network)
    )
