"""Where a connection of a cluster starts: a node, or a pod; and with which address it enters the virtual network.

Which pods keep their address: https://learn.microsoft.com/azure/aks/concepts-network-cni-overview; those of a pod
subnet always (https://learn.microsoft.com/azure/aks/concepts-network-azure-cni-pod-subnet), those in the nodes' subnet
inside the virtual network (https://learn.microsoft.com/azure/aks/configure-azure-cni), overlay pods and those of
kubenet never outside the cluster.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from aks_audit.facts import (
    AgentPool,
    AgentPoolMode,
    Evidence,
    Malformed,
    ManagedCluster,
    Missing,
    Network,
    NetworkInterface,
    NetworkPlugin,
    NetworkPluginMode,
    NotCollected,
    ScaleSetNetworkInterface,
    Subnet,
    VirtualMachineScaleSet,
)
from aks_audit.facts.workloads import Node, Pod
from aks_audit.network.addresses import AddressSet
from aks_audit.network.flows import Address

_NODE_NAME = re.compile(
    r"(?:aks-)?([a-z0-9]{1,12})-\d{8}-vmss[0-9a-z]{6}|aks([a-z0-9]{1,6})[0-9a-z]{6}$", re.IGNORECASE
)


class Origin(NamedTuple):
    """A node of a pool, or a pod on one.

    `subnet` is the nodes' own, `address` the node's where it is known. Of a pod there are `pod`, its `pod_address`, and
    the `pod_subnet` that its address is from, if that is one of its own; none of them where it uses the node's network.
    """

    cluster: ManagedCluster
    pool: AgentPool
    subnet: Subnet
    address: Address | None
    pod: Pod | None = None
    pod_address: Address | None = None
    pod_subnet: Subnet | None = None


class Sender(NamedTuple):
    """How a connection enters the virtual network: the subnet, and the addresses that the sender may have there."""

    subnet: Subnet
    addresses: AddressSet
    example: Address


def of_pool(pool: AgentPool, cluster: ManagedCluster) -> Origin:
    """Some node of a pool.

    Raises:
        NotCollected: its subnet was not read.
    """
    return Origin(cluster, pool, node_subnet(cluster, pool), None)


def first_pool(cluster: ManagedCluster) -> AgentPool:
    """The first system pool, or else the first pool.

    Raises:
        Malformed: there is none.
    """
    pools = sorted(cluster.pools, key=lambda pool: pool.mode is not AgentPoolMode.SYSTEM)
    if not pools:
        raise Malformed(cluster.id, cluster.at(ManagedCluster.agent_pools).pointer, "a cluster without agent pools")
    return pools[0]


def of_pod(pod: Pod, cluster: ManagedCluster) -> Origin:
    """A pod, on the node where it runs.

    Raises:
        NotCollected: the pool or subnet of its node was not read.
        Malformed: it runs on no node, or has no address yet.
    """
    name = pod.node_name
    if name is None or pod.pod_ip is None:
        raise Malformed(pod.id, "/spec/nodeName", "a pod that runs on no node yet, or has no address")
    node = next((node for node in cluster.estate.within(Node, cluster.id) if node.name == name), None)
    pool = pool_of(cluster, name, node)
    subnet = node_subnet(cluster, pool)
    address = _address(node.internal_ip, node, "/status/addresses") if node and node.internal_ip else None
    pod_address = _address(pod.pod_ip, pod, "/status/podIP")
    if pod.host_network:
        return Origin(cluster, pool, subnet, pod_address)
    own = pool.pod_subnet.read() if pool.pod_subnet else None
    return Origin(cluster, pool, subnet, address, pod, pod_address, own)


def node_subnet(cluster: ManagedCluster, pool: AgentPool) -> Subnet:
    """The subnet of a pool's nodes: its own choice, or that of its scale set in the network that AKS made.

    Raises:
        NotCollected: the subnet or the scale set was not read.
    """
    if pool.node_subnet:
        return pool.node_subnet.read()
    for interface in interfaces(cluster, pool):
        for configuration in interface.ip_configurations or ():
            if configuration.subnet:
                return configuration.subnet.read()
    cluster.scale_sets.whole()
    reason = f"no scale set of {pool.id} that tells its subnet is in the snapshot"
    raise NotCollected(Missing(what=pool.id, kind="not-read", reason=reason))


def interfaces(cluster: ManagedCluster, pool: AgentPool) -> Iterator[ScaleSetNetworkInterface]:
    """The network interfaces that every node of a pool has, as far as its scale set was read."""
    for scale_set in scale_sets(cluster, pool):
        yield from scale_set.network_interfaces or ()


def machine_interfaces(cluster: ManagedCluster, pool: AgentPool) -> tuple[NetworkInterface, ...]:
    """The interfaces of the machines that are no scale set's, where a pool has none: one of any pool, by its subnet.

    Raises:
        NotCollected: that there are no others is not known.
    """
    if scale_sets(cluster, pool):
        return ()
    home = node_subnet(cluster, pool).id.lower()
    return tuple(
        interface
        for interface in cluster.node_interfaces.whole()
        if interface.virtual_machine
        and any(one.subnet and one.subnet.id.lower() == home for one in interface.ip_configurations or ())
    )


def scale_sets(cluster: ManagedCluster, pool: AgentPool) -> tuple[VirtualMachineScaleSet, ...]:
    """The scale sets of a pool that were read."""
    name = pool.name.lower()
    return tuple([found for found in cluster.scale_sets if (found.pool_name or "").lower() == name])


def is_overlay(cluster: ManagedCluster) -> bool:
    """Whether pods have addresses of their own beside the virtual network, with Azure's plugin."""
    return cluster.network_plugin_mode is NetworkPluginMode.OVERLAY


def keeps_its_address(origin: Origin, destination: Address | None, network: AddressSet) -> bool:
    """Whether a pod is seen under its own address in the virtual network; `network` is that network's address space."""
    cluster = origin.cluster
    if is_overlay(cluster) or cluster.network_plugin is not NetworkPlugin.AZURE:
        return False
    inside = destination is not None and network.covers(AddressSet.of([ip_network(destination)]))
    return origin.pod_subnet is not None or inside


def why_masqueraded(cluster: ManagedCluster) -> tuple[Evidence, ...]:
    """The values that say whether pods keep their address."""
    return cluster.at(ManagedCluster.network_plugin), cluster.at(ManagedCluster.network_plugin_mode)


def as_node(origin: Origin, version: int = 4) -> Sender:
    """The origin under its node's address of an IP version.

    Raises:
        Malformed: the subnet has no prefix of it.
    """
    return _sender(origin.subnet, origin.address, version)


def as_pod(origin: Origin) -> Sender:
    """A pod under its own address."""
    version = origin.pod_address.version if origin.pod_address else 4
    return _sender(origin.pod_subnet or origin.subnet, origin.pod_address, version)


def _sender(subnet: Subnet, address: Address | None, version: int) -> Sender:
    if address is not None and address.version == version:
        return Sender(subnet, AddressSet.of([ip_network(address)]), address)
    prefixes = of_version(subnet, version)
    if not prefixes:
        pointer = subnet.at(Subnet.address_prefix).pointer
        raise Malformed(subnet.document.id, pointer, f"a subnet without a prefix of IPv{version}")
    first = prefixes[0]
    return Sender(subnet, AddressSet.of(prefixes), first[min(4, first.num_addresses - 1)])


def of_version(subnet: Subnet, version: int) -> list[Network]:
    """The prefixes of a subnet that are of an IP version."""
    return [prefix for prefix in subnet.prefixes if prefix.version == version]


def pool_of(cluster: ManagedCluster, node_name: str, node: Node | None) -> AgentPool:
    """The pool of a node: by its label where it was read, else by its name.

    Raises:
        NotCollected: neither tells it.
    """
    written = _NODE_NAME.match(node_name)
    name = (node.agent_pool if node else None) or (written[1] if written else "")
    for pool in cluster.pools:
        if pool.name.lower() == name.lower():
            return pool
    reason = f"the agent pool of node {node_name} of {cluster.id} cannot be told"
    raise NotCollected(Missing(what=cluster.id, kind="not-read", reason=reason))


def _address(written: str, of: Node | Pod, pointer: str) -> Address:
    try:
        return ip_address(written)
    except ValueError:
        raise Malformed(of.id, pointer, f"{written!r} is not an address") from None
