"""Under which address a cluster's pods leave their node: which destinations see the pod's own, and where they go next.

With Azure's own data plane the ip-masq agent decides: it puts the node's address in the place of the pod's, but for
the union of the ranges in its files (https://github.com/Azure/ip-masq-agent-v2). Cilium may do the same by itself, but
for its native routing range (https://docs.cilium.io/en/stable/network/concepts/masquerading/), and does so alone where
its eBPF programs pass the rules of iptables by
(https://learn.microsoft.com/azure/aks/container-network-performance-ebpf-host-routing). Where there is no agent, pods
with addresses of the virtual network keep them.
"""

from enum import StrEnum
from ipaddress import IPv4Network, ip_network
from typing import NamedTuple

from aks_audit.facts import (
    Evidence,
    Malformed,
    ManagedCluster,
    Missing,
    Network,
    NetworkDataplane,
    NetworkPlugin,
    NetworkPolicy,
    NotCollected,
    RouteNextHopType,
    Subnet,
    VirtualNetwork,
)
from aks_audit.facts.masquerade import (
    AgentFile,
    AgentFlags,
    CiliumSettings,
    agent_daemon,
    agent_files,
    agent_flags,
    cilium_settings,
    masquerade_maps,
)
from aks_audit.network.addresses import EVERYTHING, AddressSet, RangeSet
from aks_audit.network.next_hops import Appliance, resolve_appliance
from aks_audit.network.origins import is_overlay, node_subnet
from aks_audit.network.routes import (
    InternetRoutes,
    gateways_in_reach,
    internet_routes,
    next_hop_addresses,
    peer_prefixes,
    propagates,
)
from aks_audit.network.surroundings import space

_DEFAULTS = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""What the agent exempts where it finds no file."""

_RESERVED = tuple(
    map(
        IPv4Network,
        (
            "100.64.0.0/10",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
        ),
    )
)
"""What it exempts besides, told `--nomasq-all-reserved-ranges`: `DefaultMasqConfig` in ip-masq-agent.go."""

_LINK_LOCAL, _LINK_LOCAL_IPV6 = ip_network("169.254.0.0/16"), ip_network("fe80::/10")
_BY_EBPF = "bpfveth"
_TO_APPLIANCES = frozenset({RouteNextHopType.VIRTUAL_APPLIANCE, RouteNextHopType.VIRTUAL_APPLIANCE_ECMP})


class Masquerader(StrEnum):
    """What puts the node's address in the place of the pod's."""

    AGENT = "the ip-masq agent"
    CILIUM = "Cilium"
    BOTH = "the ip-masq agent and Cilium"
    NOBODY = "nobody"

    @property
    def reads_files(self) -> bool:
        """Whether what the agent's files say has an effect."""
        return self in {Masquerader.AGENT, Masquerader.BOTH}


class Masquerading(NamedTuple):
    """Which destinations pods reach under their own address, by what, and by which files of the agent."""

    kept: AddressSet
    by: Masquerader
    files: tuple[AgentFile, ...]
    evidence: tuple[Evidence, ...]


class WayOut(NamedTuple):
    """How a subnet's traffic to the internet leaves: the appliances on the way, and whether some goes past them."""

    appliances: tuple[Appliance, ...]
    past: bool
    evidence: tuple[Evidence, ...]


def is_flat(cluster: ManagedCluster) -> bool:
    """Whether pods have addresses of the virtual network, so that others can answer them there.

    Raises:
        NotCollected: the network plugin is not Azure's.
        Malformed: there is no plugin, or pods have a range of their own and no mode that gives it to them.
    """
    plugin = cluster.network_plugin
    if plugin is None or plugin is NetworkPlugin.NONE:
        reason = f"the network plugin of {cluster.id} is not Azure's: under which address its pods leave is not known"
        raise NotCollected(Missing(what=cluster.id, kind="not-sent", reason=reason))
    if plugin is NetworkPlugin.KUBENET or is_overlay(cluster):
        return False
    if cluster.pod_cidr or cluster.pod_cidrs:
        pointer = cluster.at(ManagedCluster.network_plugin_mode).pointer
        raise Malformed(cluster.id, pointer, "pods have a range of their own, and the mode does not say overlay")
    return True


def masquerading(cluster: ManagedCluster) -> Masquerading:
    """Which destinations see the addresses of a cluster's pods.

    Raises:
        NotCollected: the agent, its ConfigMaps or Cilium's were not read; or the plugin is not Azure's.
        Malformed: a ConfigMap cannot be read, or the agent cannot use one of its files.
    """
    return cluster.estate.once(_masquerading, cluster)


def read_files(cluster: ManagedCluster) -> tuple[AgentFile, ...] | None:
    """The files of the cluster's agent, those included that it cannot use; None where there is no agent.

    Raises:
        NotCollected: the agent or its ConfigMaps were not read.
        Malformed: a ConfigMap cannot be read.
    """
    daemon = agent_daemon(cluster)
    if daemon is None:
        return None
    ipv6 = agent_flags(daemon).ipv6
    return tuple(file for config in masquerade_maps(cluster) for file in agent_files(config, ipv6=ipv6))


def exempt(files: tuple[AgentFile, ...], flags: AgentFlags) -> AddressSet:
    """The destinations that the agent leaves alone: the union of its files' ranges, and link-local addresses.

    Either switch is on where any file turns it on. Without any file the three private ranges are exempt; where a flag
    says so, all that are reserved. IPv6 is left alone altogether where the agent does not care for it.
    """
    defaults = (*_DEFAULTS, *(_RESERVED if flags.all_reserved else ()))
    ranges: list[Network] = [one for file in files for one in file.ranges] if files else list(defaults)
    if not any(file.masq_link_local for file in files):
        ranges.append(_LINK_LOCAL)
    if not any(file.masq_link_local_ipv6 for file in files):
        ranges.append(_LINK_LOCAL_IPV6)
    found = AddressSet.of(ranges)
    return found if flags.ipv6 else AddressSet(found.v4, EVERYTHING.v6)


def by_ebpf(cluster: ManagedCluster) -> bool:
    """Whether packets pass the rules of iptables by, and with them what the agent writes."""
    return (cluster.acceleration_mode or "").lower() == _BY_EBPF


def networks_of(cluster: ManagedCluster) -> tuple[VirtualNetwork, ...]:
    """The virtual networks of a cluster's nodes, each once.

    Raises:
        NotCollected: one, or a subnet of its nodes, was not read.
    """
    ids = dict.fromkeys(node_subnet(cluster, pool).virtual_network_id for pool in cluster.pools)
    return tuple(cluster.estate.resource(VirtualNetwork, one) for one in ids)


def own_ranges(cluster: ManagedCluster) -> AddressSet:
    """The ranges inside a cluster: of its pods, where they have one of their own, and of its Services."""
    several = (*(cluster.pod_cidrs or ()), *(cluster.service_cidrs or ()))
    single = (cluster.pod_cidr, cluster.service_cidr)
    return AddressSet.of([*several, *(one for one in single if one)])


def connected(network: VirtualNetwork) -> AddressSet:
    """The addresses of a network and of the peers that it is connected to.

    Raises:
        Malformed: the network or a peering lacks its addresses.
    """
    peers = (prefix for peering in network.peerings or () for prefix in peer_prefixes(peering))
    return AddressSet.of([*space(network), *peers])


def way_out(subnet: Subnet) -> WayOut:
    """How a subnet's IPv4 traffic to the internet leaves.

    Raises:
        NotCollected: the route table or what is at a next hop was not read, or a gateway may give the route.
        Malformed: a route or network lacks what decides.
    """
    table = subnet.route_table.read() if subnet.route_table else None
    routes = internet_routes(table) if table else InternetRoutes({None: 1}, {})
    network = subnet.estate.resource(VirtualNetwork, subnet.virtual_network_id)
    gateways = gateways_in_reach(network) if propagates(table) else ()
    if gateways and None in routes.shares:
        reason = f"which routes {gateways[0].said} gives to {subnet.id} is not known; the way out may be among them"
        raise NotCollected(Missing(what=subnet.id, kind="not-sent", reason=reason))
    led = [route for hop in _TO_APPLIANCES for route in routes.by_type.get(hop, ())]
    addresses = dict.fromkeys(address for route in led for address in next_hop_addresses(route))
    appliances = tuple(resolve_appliance(network, address) for address in addresses)
    shown = (subnet.at(Subnet.route_table), *(route.at(type(route).next_hop_type) for route in led))
    return WayOut(appliances, any(hop not in _TO_APPLIANCES for hop in routes.shares), shown)


def _masquerading(cluster: ManagedCluster) -> Masquerading:
    flat = is_flat(cluster)
    plugin = (cluster.at(ManagedCluster.network_plugin), cluster.at(ManagedCluster.network_plugin_mode))
    settings = cilium_settings(cluster) if _is_on_cilium(cluster) else None
    if by_ebpf(cluster):
        accelerated = (*plugin, cluster.at(ManagedCluster.acceleration_mode))
        return Masquerading(_native(cluster, settings, flat=flat), Masquerader.CILIUM, (), accelerated)
    found = _by_agent(cluster, plugin, flat=flat)
    if settings is None or not _masquerades(settings):
        return found
    both = Masquerader.BOTH if found.by is Masquerader.AGENT else Masquerader.CILIUM
    shown = (settings.at(CiliumSettings.masquerade), settings.at(CiliumSettings.native_routing_cidr))
    kept = found.kept.intersection(_native(cluster, settings, flat=flat))
    return Masquerading(kept, both, found.files, (*found.evidence, *shown))


def _is_on_cilium(cluster: ManagedCluster) -> bool:
    """Whether Cilium is the data plane.

    Raises:
        Malformed: it enforces the network policies, and the data plane is not said.
    """
    if cluster.network_dataplane is None and cluster.network_policy is NetworkPolicy.CILIUM:
        pointer = cluster.at(ManagedCluster.network_dataplane).pointer
        raise Malformed(cluster.id, pointer, "Cilium enforces policies, and the data plane is not said")
    return cluster.network_dataplane is NetworkDataplane.CILIUM


def _by_agent(cluster: ManagedCluster, shown: tuple[Evidence, ...], *, flat: bool) -> Masquerading:
    daemon = agent_daemon(cluster)
    if daemon is None:
        return Masquerading(EVERYTHING if flat else AddressSet(), Masquerader.NOBODY, (), shown)
    files = read_files(cluster) or ()
    for file in files:
        if file.refused:
            raise Malformed(file.config_map.id, f"/data/{file.name}", f"the agent ends on it: {file.refused}")
    maps = {file.config_map.id: file.evidence for file in files}
    kept = exempt(files, agent_flags(daemon))
    return Masquerading(kept, Masquerader.AGENT, files, (*shown, *maps.values()))


def _masquerades(settings: CiliumSettings) -> bool:
    """Whether Cilium puts the node's address in; it does unless it is told not to.

    Raises:
        Malformed: the switch is neither on nor off.
    """
    written = (settings.masquerade or "true").lower()
    if written not in {"true", "false"}:
        pointer = settings.at(CiliumSettings.masquerade).pointer
        raise Malformed(settings.id, pointer, f"neither true nor false: {written!r}")
    return written == "true"


def _native(cluster: ManagedCluster, settings: CiliumSettings | None, *, flat: bool) -> AddressSet:
    """The destinations that Cilium leaves alone, with all of IPv6, whose own switch is not read.

    Raises:
        NotCollected: it is not told, or Cilium exempts further ones by an ip-masq agent of its own. AKS has that on for
            eBPF host routing (https://github.com/Azure/azure-container-networking, test/integration/manifests/cilium),
            and which files it reads, and how, Azure does not document.
    """
    if settings and (settings.ip_masq_agent or "").lower() == "true":
        reason = f"Cilium's own ip-masq agent in {cluster.id} exempts destinations by files that are not known"
        raise NotCollected(Missing(what=cluster.id, kind="not-sent", reason=reason))
    written = settings.native_routing_cidr if settings else None
    if settings is None or not written:
        if not flat:
            return AddressSet(RangeSet(), EVERYTHING.v6)
        reason = f"which destinations Cilium exempts from masquerading in {cluster.id} is not set in cilium-config"
        raise NotCollected(Missing(what=cluster.id, kind="not-sent", reason=reason))
    try:
        native = ip_network(written.strip(), strict=False)
    except ValueError:
        pointer = settings.at(CiliumSettings.native_routing_cidr).pointer
        raise Malformed(settings.id, pointer, f"expected an address prefix, found {written!r}") from None
    return AddressSet(AddressSet.of([native]).v4, EVERYTHING.v6)
