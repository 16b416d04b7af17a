"""What tags and application security groups mean where a security group stands.

Source: https://learn.microsoft.com/azure/virtual-network/service-tags-overview: VirtualNetwork is the network's own
address space, that of peered networks and of networks behind a gateway, the address of the host, and the prefixes of
user-defined routes; it "might also contain default routes".
"""

from collections.abc import Iterator

from aks_audit.facts import (
    Estate,
    Malformed,
    Network,
    NetworkInterface,
    RouteTable,
    Subnet,
    VirtualNetwork,
)
from aks_audit.facts.enumerations import PeeringState
from aks_audit.facts.networking import InterfaceIPConfiguration, VirtualNetworkPeering
from aks_audit.network.addresses import PRIVATE, AddressSet
from aks_audit.network.routes import written_prefixes
from aks_audit.network.security_decisions import PLATFORM_ADDRESS, Behind, Surroundings

GATEWAY_SUBNET = "gatewaysubnet"


def surroundings(subnet: Subnet) -> Surroundings:
    """What tags mean to the security groups of a subnet and of the interfaces in it.

    Raises:
        NotCollected: the virtual network, a peered one whose prefixes the peering does not tell, or the route table
            was not read.
        Malformed: the network states no address space.
    """
    return subnet.estate.once(_surroundings, subnet)


def _surroundings(subnet: Subnet) -> Surroundings:
    network = subnet.estate.resource(VirtualNetwork, subnet.virtual_network_id)
    own = space(network)
    routed = subnet.estate.once(_routed, subnet.route_table.read()) if subnet.route_table else Behind()
    surely = AddressSet.of([*own, *_peered(network), PLATFORM_ADDRESS]).union(routed.surely)
    perhaps = routed.perhaps.union(PRIVATE) if _has_gateway(network) else routed.perhaps
    return Surroundings(
        Behind(surely, perhaps),
        lambda group: _members(subnet.estate, AddressSet.of(own), group),
    )


def space(network: VirtualNetwork) -> tuple[Network, ...]:
    """The address space of a network.

    Raises:
        Malformed: it states none.
    """
    if not network.address_space:
        raise Malformed(network.id, network.at(VirtualNetwork.address_space).pointer, "a network without address space")
    return network.address_space


def connected(network: VirtualNetwork) -> Iterator[VirtualNetworkPeering]:
    """The network's peerings over which it reaches the other side."""
    for peering in network.peerings or ():
        if peering.state is PeeringState.CONNECTED and peering.allow_virtual_network_access is not False:
            yield peering


def _peered(network: VirtualNetwork) -> Iterator[Network]:
    for peering in connected(network):
        told = peering.remote_virtual_network_address_space or peering.remote_address_space
        if told is None and peering.remote:
            told = space(network.estate.resource(VirtualNetwork, peering.remote.id))
        yield from told or ()


def _routed(table: RouteTable) -> Behind:
    """The prefixes of a route table; those of default routes may be meant, too."""
    prefixes = [prefix for _, prefix in written_prefixes(table) if prefix]  # those of service tags are on the internet
    surely = AddressSet.of(prefix for prefix in prefixes if prefix.prefixlen)
    return Behind(surely, AddressSet.of(prefix for prefix in prefixes if not prefix.prefixlen))


def _has_gateway(network: VirtualNetwork) -> bool:
    subnets = network.subnets or ()
    return any(subnet.name.lower() == GATEWAY_SUBNET for subnet in subnets) or any(
        peering.use_remote_gateways for peering in connected(network)
    )


def _members(estate: Estate, network: AddressSet, group: str) -> Behind:
    """The addresses of the interfaces in a group, which are all in one network; those of scale sets are not known."""
    inside: list[Network] = []
    outside: list[Network] = []
    for interface in estate.every(NetworkInterface):
        for configuration in interface.ip_configurations or ():
            if configuration.address:
                (inside if _is_member(configuration, group) else outside).append(configuration.address)
    surely = AddressSet.of(inside)
    return Behind(surely, network.difference(surely).difference(AddressSet.of(outside)))


def _is_member(configuration: InterfaceIPConfiguration, group: str) -> bool:
    return any(link.id.lower() == group for link in configuration.application_security_groups or ())
