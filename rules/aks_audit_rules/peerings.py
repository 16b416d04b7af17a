"""Peerings of clusters' networks: whether they work, know both sides' addresses, and let appliances forward."""

from collections.abc import Iterable

from aks_audit.facts import (
    ClusterNetwork,
    Evidence,
    Network,
    NotCollected,
    Route,
    RouteTable,
    Subnet,
    VirtualNetwork,
)
from aks_audit.facts.enumerations import PeeringState, PeeringSyncLevel
from aks_audit.facts.networking import VirtualNetworkPeering
from aks_audit.network.flows import Address
from aks_audit.network.routes import next_hop_addresses, remote_prefixes, stated
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import psrule


@rule(
    "AKS-SUB-23",
    title="Peerings of the clusters' network are connected, in sync, and let the hub's appliance forward",
    severity=Severity.HIGH,
    controls=(psrule("Azure.VNET.PeerState"),),
)
def peerings_work(network: ClusterNetwork) -> Verdict:
    """A peering is made on both sides, and each side can break it without a word to the other.

    One that is not connected carries nothing; one that is out of sync does not know a range that was added since; and one
    that takes no forwarded traffic drops what the hub's firewall sends on, the answers from the internet among it.

    Severity: behind a peering that does not work are the firewall, name resolution or the API server, so the cluster loses
    its egress or its control plane. Medium for what is out of sync: only the new range cannot be reached.
    Decided: every peering of the network, on its own side and, where the remote network was read, on the other:
    `peeringState` must be `Connected`, which Azure says only once both sides are made; `allowVirtualNetworkAccess` true;
    `peeringSyncLevel` `FullyInSync`, or, where an older API version names none, the remote ranges that the peering holds must
    be those that the remote network has. `allowForwardedTraffic` must be true on this side where a route of a cluster's
    subnet names an appliance in the remote ranges, and is not judged elsewhere. Not applicable without peerings.
    Fix: az network vnet peering update --resource-group {group} --vnet-name {vnet} --name <peering> --set allowForwardedTraffic=true allowVirtualNetworkAccess=true && az network vnet peering sync --resource-group {group} --vnet-name {vnet} --name <peering>
    Bicep: virtualNetworkPeerings properties.allowForwardedTraffic: true, properties.allowVirtualNetworkAccess: true
    Change: in place; a peering that is Disconnected is deleted and made again on both sides
    References: https://learn.microsoft.com/azure/virtual-network/virtual-network-peering-overview
    https://learn.microsoft.com/azure/virtual-network/virtual-network-manage-peering
    https://learn.microsoft.com/azure/virtual-network/update-virtual-network-peering-address-space
    """
    shown = network.at(VirtualNetwork.peerings)
    if not network.peerings:
        return not_applicable("The network has no peerings", shown)
    checks = (_works, _is_in_sync, _other_side_works, _forwards)
    judged = [(check, peering) for peering in network.peerings for check in checks]
    return each(judged, lambda item: item[0](network, item[1]))


def _works(_network: ClusterNetwork, peering: VirtualNetworkPeering) -> Verdict:
    state = peering.at(VirtualNetworkPeering.state)
    found = stated(peering, VirtualNetworkPeering.state)
    if found is not PeeringState.CONNECTED:
        return fails(f"Peering {peering.name} is {found}", state, severity=Severity.HIGH)
    access = peering.at(VirtualNetworkPeering.allow_virtual_network_access)
    if not stated(peering, VirtualNetworkPeering.allow_virtual_network_access):
        return fails(f"Peering {peering.name} lets no traffic through", access, severity=Severity.HIGH)
    return passes(f"Peering {peering.name} is connected", state, access)


def _other_side_works(network: ClusterNetwork, peering: VirtualNetworkPeering) -> Verdict:
    """The remote side, where its network was read; where it was not, this side's word stands for both."""
    remote_id = stated(peering, VirtualNetworkPeering.remote).id
    try:
        remote = network.estate.resource(VirtualNetwork, remote_id)
    except NotCollected:
        return not_applicable(f"The remote network of peering {peering.name} was not read")
    back = [one for one in stated(remote, VirtualNetwork.peerings) if _leads_to(one, network.id)]
    if not back:
        shown = remote.at(VirtualNetwork.peerings)
        return fails(f"{remote.name} has no peering back ({peering.name})", shown, severity=Severity.HIGH)
    return each(back, lambda one: _works(network, one))


def _leads_to(peering: VirtualNetworkPeering, network_id: str) -> bool:
    return stated(peering, VirtualNetworkPeering.remote).id.lower() == network_id.lower()


def _is_in_sync(network: ClusterNetwork, peering: VirtualNetworkPeering) -> Verdict:
    shown = peering.at(VirtualNetworkPeering.sync_level)
    level = peering.sync_level
    if level is PeeringSyncLevel.FULLY_IN_SYNC:
        return passes(f"Peering {peering.name} is in sync", shown)
    if level is not None:
        return fails(f"Peering {peering.name} is not in sync ({level})", shown, severity=Severity.MEDIUM)
    known = peering.at(VirtualNetworkPeering.remote_address_space)
    remote = network.estate.resource(VirtualNetwork, stated(peering, VirtualNetworkPeering.remote).id)
    if set(remote_prefixes(peering)) != set(_space(remote)):
        message = f"Peering {peering.name} does not hold the ranges that {remote.name} has"
        return fails(message, known, remote.at(VirtualNetwork.address_space), severity=Severity.MEDIUM)
    return passes(f"Peering {peering.name} is in sync", known, remote.at(VirtualNetwork.address_space))


def _space(network: VirtualNetwork) -> tuple[Network, ...]:
    return stated(network, VirtualNetwork.address_space)


def _forwards(network: ClusterNetwork, peering: VirtualNetworkPeering) -> Verdict:
    prefixes = remote_prefixes(peering)
    behind = [(address, at) for address, at in _next_hops(network) if any(address in prefix for prefix in prefixes)]
    if not behind:
        return not_applicable(f"No route leads to an appliance behind peering {peering.name}")
    shown = peering.at(VirtualNetworkPeering.allow_forwarded_traffic)
    address, at = behind[0]
    if not stated(peering, VirtualNetworkPeering.allow_forwarded_traffic):
        message = f"Peering {peering.name} takes no forwarded traffic, and routes lead to {address} behind it"
        return fails(message, shown, at, severity=Severity.HIGH)
    return passes(f"Peering {peering.name} takes the appliance's forwarded traffic", shown, at)


def _next_hops(network: ClusterNetwork) -> Iterable[tuple[Address, Evidence]]:
    """The appliances' addresses that routes of the clusters' subnets name."""
    for subnet_id in network.used:
        subnet = network.estate.resource(Subnet, subnet_id)
        if subnet.route_table:
            yield from network.estate.once(_appliances, subnet.route_table.read())


def _appliances(table: RouteTable) -> tuple[tuple[Address, Evidence], ...]:
    """The addresses that a route table names, each by the first route that does."""
    found: dict[Address, Evidence] = {}
    for route in table.routes or ():
        for address in next_hop_addresses(route):
            found.setdefault(address, route.at(Route.next_hop_ip_address))
    return tuple(found.items())


RULES = (peerings_work,)
