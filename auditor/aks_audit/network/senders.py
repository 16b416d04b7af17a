"""Who sends: a node or a pod, and the address under which it enters the virtual network."""

from ipaddress import ip_network

from aks_audit.facts import (
    Evidence,
    ManagedCluster,
    NetworkPlugin,
    NotCollected,
    Subnet,
    VirtualNetwork,
)
from aks_audit.facts.kubernetes import ConfigMap
from aks_audit.facts.workloads import DaemonSet
from aks_audit.network.addresses import PUBLIC, AddressSet
from aks_audit.network.flows import Destination, Passage
from aks_audit.network.hops import Hop, HopKind, Steps
from aks_audit.network.masquerade import Masquerader, Masquerading, is_flat, masquerading
from aks_audit.network.origins import (
    Origin,
    Sender,
    as_node,
    as_pod,
    is_overlay,
    keeps_its_address,
    of_version,
    why_masqueraded,
)
from aks_audit.network.surroundings import space


def source(origin: Origin) -> Hop:
    """Where the walk starts."""
    subnet = origin.subnet.name
    if origin.pod:
        namespace, name = origin.pod.parsed.names
        says = (
            f"Pod {name} of namespace {namespace}, address {origin.pod_address}, on a node of pool {origin.pool.name}"
        )
        evidence = (origin.pod.at(type(origin.pod).pod_ip), origin.pod.at(type(origin.pod).node_name))
        return Hop(HopKind.SOURCE, origin.pod.id, None, says, evidence=evidence)
    at = f"address {origin.address}" if origin.address else f"some address of {_prefixes(origin.subnet)}"
    says = f"A node of pool {origin.pool.name} in subnet {subnet}, {at}"
    return Hop(HopKind.SOURCE, origin.pool.id, None, says, evidence=(prefixes_at(origin.subnet),))


def prefixes_at(subnet: Subnet) -> Evidence:
    """Where the prefixes of a subnet stand: in the one field of Azure's or in the other."""
    return subnet.at(Subnet.address_prefix if subnet.address_prefix else Subnet.address_prefixes)


def without_its_family(origin: Origin, destination: Destination) -> Steps[bool]:
    """Whether the nodes have no address of the destination's IP version; a hop says so.

    Every node has IPv4. IPv6 takes a cluster with both families and a subnet with both.
    Source: https://learn.microsoft.com/azure/aks/configure-dual-stack
    """
    subnet, cluster = origin.subnet, origin.cluster
    if destination.address is None or destination.address.version == 4 or not subnet.prefixes:  # noqa: PLR2004 - IPv4
        return False
    families, wanted = cluster.ip_families, f"from which to reach {destination.address}"
    passage = Passage.BLOCKED
    if families is not None and "ipv6" not in map(str.lower, families):
        says = f"The nodes have no IPv6 address {wanted}: the cluster is of IPv4 alone"
    elif not of_version(subnet, 6):
        says = f"The nodes have no IPv6 address {wanted}: {subnet.name} has no prefix for one"
    elif families is None:
        passage, says = Passage.UNKNOWN, f"Whether the nodes have an IPv6 address {wanted} is not said"
    else:
        return False
    evidence = (cluster.at(ManagedCluster.ip_families), subnet.at(Subnet.address_prefixes))
    yield Hop(HopKind.SOURCE, subnet.id, passage, says, evidence=evidence)
    return True


def _prefixes(subnet: Subnet) -> str:
    return ", ".join(map(str, subnet.prefixes)) or "the subnet"


def masquerade(origin: Origin, destination: Destination) -> Steps[Sender | None]:
    """How a connection enters the virtual network: under the pod's own address or its node's; None: not at all.

    Where nobody asked for what is inside the cluster the plugin decides, and what the agent may exempt is only said.

    Raises:
        NotCollected: the virtual network was not read, or the agent and its settings were asked for and were not.
        Malformed: the network or the subnet lacks its prefixes, or the agent's files cannot be read or used.
    """
    version = destination.address.version if destination.address else 4
    if not origin.pod:
        return as_node(origin, version)
    try:
        found = masquerading(origin.cluster)
    except NotCollected as unread:
        if _is_lost(origin.cluster, unread):
            raise
        return (yield from _by_plugin(origin, destination))
    kept = _is_kept(destination, found)
    where, evidence = origin.cluster.id, found.evidence
    if kept is None:
        says = f"Whether the pod keeps its address hangs on the address of {destination.name or 'the destination'}"
        yield Hop(HopKind.MASQUERADE, where, Passage.UNKNOWN, says, evidence=evidence)
        return None
    if kept and not is_flat(origin.cluster):
        yield _lost(origin, found)
        return None
    if kept:
        why = "nothing masquerades it" if found.by is Masquerader.NOBODY else f"{found.by} leaves the destination alone"
        says = f"The pod keeps its address {origin.pod_address}: {why}"
        yield Hop(HopKind.MASQUERADE, where, None, says, evidence=evidence)
        return as_pod(origin)
    by = "" if found.by is Masquerader.NOBODY else f", by {found.by}"
    says = f"The node's address takes the place of the pod's{by}: {_node(origin)}"
    yield Hop(HopKind.MASQUERADE, where, None, says, evidence=evidence)
    return as_node(origin, version)


def _is_lost(cluster: ManagedCluster, unread: NotCollected) -> bool:
    """Whether the agent or its settings were asked for, and could not be read."""
    named = (one.what for one in unread.missing if one.what.lower() != cluster.id.lower())
    lost = cluster.estate.unlisted(DaemonSet, cluster.id)
    return bool(lost) or any(cluster.estate.tried(ConfigMap, one) for one in named)


def _is_kept(destination: Destination, found: Masquerading) -> bool | None:
    """Whether the pod's address stays; None where that hangs on an address that is not known."""
    if destination.address is not None:
        return found.kept.covers(AddressSet.of([ip_network(destination.address)]))
    public = AddressSet(PUBLIC.v4)
    if destination.name is None or found.kept.covers(public) or not found.kept.overlaps(public):
        return found.kept.covers(public)
    return None


def _lost(origin: Origin, found: Masquerading) -> Hop:
    """A pod of an overlay or of kubenet under an address that is of no network but the cluster's own."""
    kubenet = origin.cluster.network_plugin is NetworkPlugin.KUBENET
    ends = (
        "answers come only where routes lead them to the node" if kubenet else "nobody outside the cluster can answer"
    )
    says = f"The pod keeps its address {origin.pod_address}, as {found.by} leaves the destination alone: {ends}"
    passage = Passage.UNKNOWN if kubenet else Passage.BLOCKED
    return Hop(HopKind.MASQUERADE, origin.cluster.id, passage, says, evidence=found.evidence)


def _by_plugin(origin: Origin, destination: Destination) -> Steps[Sender]:
    network = origin.subnet.estate.resource(VirtualNetwork, origin.subnet.virtual_network_id)
    evidence = why_masqueraded(origin.cluster)
    if keeps_its_address(origin, destination.address, AddressSet.of(space(network))):
        says = f"The pod keeps its address {origin.pod_address}, which is one of the virtual network"
        yield Hop(HopKind.MASQUERADE, origin.cluster.id, None, says, evidence=evidence)
        return as_pod(origin)
    flat = origin.cluster.network_plugin is NetworkPlugin.AZURE and not is_overlay(origin.cluster)
    unless = ", unless the cluster's own settings of ip-masq-agent exempt the destination" if flat else ""
    says = f"The node's address takes the place of the pod's: {_node(origin)}{unless}"
    yield Hop(HopKind.MASQUERADE, origin.cluster.id, None, says, evidence=evidence)
    return as_node(origin, destination.address.version if destination.address else 4)


def _node(origin: Origin) -> str:
    return str(origin.address) if origin.address else f"some address of {_prefixes(origin.subnet)}"
