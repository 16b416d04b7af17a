"""Whether nodes may reach a public API server from the addresses that they leave by."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network

from aks_audit.facts import (
    AzureResource,
    Evidence,
    Link,
    Malformed,
    ManagedCluster,
    NatGateway,
    Network,
    OutboundType,
    Route,
    Subnet,
    VirtualNetwork,
)
from aks_audit.facts.firewall import AzureFirewall, FirewallIPConfiguration, HubPublicAddress
from aks_audit.facts.networking import InterfaceIPConfiguration, NetworkInterface, PublicIPAddress, PublicIPPrefix
from aks_audit.network.addresses import AddressSet
from aks_audit.network.next_hops import resolve_appliance
from aks_audit.network.origins import node_subnet
from aks_audit.network.routes import default_route, next_hop_addresses, stated
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.api_server import is_private

_OWN = frozenset({OutboundType.USER_DEFINED_ROUTING, OutboundType.USER_ASSIGNED_NAT_GATEWAY})
"""The outbound types whose addresses AKS does not let in by itself."""


@rule(
    "AKS-API-05",
    title="Authorized IP ranges hold every address that nodes leave by",
    severity=Severity.HIGH,
)
def ranges_hold_egress(cluster: ManagedCluster) -> Verdict:
    """Nodes of a public cluster reach the API server over the internet, with the address of the firewall or NAT gateway.

    Where one of these addresses is in no authorized range, nodes do not join, or lose the API server whenever the firewall
    takes that address: it takes any of those that it has.

    Severity: nodes go NotReady and pods cannot be moved, at times and without a visible reason; nothing is gained by an attacker.
    Decided: for public clusters with `authorizedIPRanges` and `networkProfile.outboundType` `userDefinedRouting` or
    `userAssignedNATGateway`. For `userDefinedRouting` the default route of each node subnet leads to an address: an Azure
    Firewall leaves by all public addresses of its `ipConfigurations`, or by those of its Virtual WAN hub, or where its
    subnet has a NAT gateway, by that gateway's addresses and prefixes; another appliance by its interface's public address, or
    its subnet's NAT gateway, else unknown. All of them must be in the union of the ranges. AKS lets in the addresses of the
    load balancer that it made, so `loadBalancer` is not applicable; so are gateways that AKS made itself, about which Microsoft
    says nothing, and API Server VNet Integration, where nodes use a private address.
    Fix: az aks update --resource-group {group} --name {name} --api-server-authorized-ip-ranges <the ranges as they are>,<address>/32
    Bicep: properties.apiServerAccessProfile.authorizedIPRanges: with the firewall's addresses
    Change: in place, within two minutes; give all ranges, for the list is replaced
    References: https://learn.microsoft.com/azure/aks/api-server-authorized-ip-ranges
    https://learn.microsoft.com/azure/aks/limit-egress-traffic
    https://github.com/MicrosoftDocs/azure-docs/issues/97437
    """
    if is_private(cluster):
        return not_applicable("The cluster is private", cluster.at(ManagedCluster.enable_private_cluster))
    if not cluster.authorized_ip_ranges:
        shown = cluster.at(ManagedCluster.authorized_ip_ranges)
        return not_applicable("The cluster has no authorized IP ranges; AKS-API-03 judges that", shown)
    if cluster.enable_vnet_integration:
        shown = cluster.at(ManagedCluster.enable_vnet_integration)
        return not_applicable("Nodes reach the API server by a private address", shown)
    if cluster.outbound_type not in _OWN:
        shown = cluster.at(ManagedCluster.outbound_type)
        return not_applicable("AKS made what the nodes leave by, or they do not leave", shown)
    subnets = {subnet.id.lower(): subnet for subnet in (node_subnet(cluster, pool) for pool in cluster.pools)}
    ranges = AddressSet.of(cluster.authorized_ip_ranges)
    leaves = _by_gateway if cluster.outbound_type is OutboundType.USER_ASSIGNED_NAT_GATEWAY else _by_routes
    return each(subnets.values(), lambda subnet: _judge(cluster, tuple(leaves(subnet)), ranges))


def _judge(cluster: ManagedCluster, found: tuple[tuple[Network, Evidence], ...], ranges: AddressSet) -> Verdict:
    allowed = cluster.at(ManagedCluster.authorized_ip_ranges)
    if not found:
        return undecided("By which public addresses the nodes leave cannot be told", allowed)
    outside = [(prefix, shown) for prefix, shown in found if not ranges.covers(AddressSet.of([prefix]))]
    if outside:
        names = ", ".join(_written(prefix) for prefix, _ in outside)
        return fails(f"Nodes leave by {names}, which no authorized range holds", allowed, *(one for _, one in outside))
    names = ", ".join(_written(prefix) for prefix, _ in found)
    return passes(f"Nodes leave by {names}, which the authorized ranges hold", allowed, *(one for _, one in found))


def _written(prefix: Network) -> str:
    return str(prefix.network_address) if prefix.num_addresses == 1 else str(prefix)


def _by_gateway(subnet: Subnet) -> Iterator[tuple[Network, Evidence]]:
    """The addresses of a subnet's NAT gateway, alone and in prefixes."""
    if subnet.nat_gateway:
        gateway = subnet.nat_gateway.read()
        yield from _addresses(gateway, gateway.public_ip_addresses or ())
        for link in gateway.public_ip_prefixes or ():
            prefix = gateway.estate.resource(PublicIPPrefix, link.id)
            yield stated(prefix, PublicIPPrefix.prefix), prefix.at(PublicIPPrefix.prefix)
        if not gateway.public_ip_addresses and not gateway.public_ip_prefixes:
            pointer = gateway.at(NatGateway.public_ip_addresses).pointer
            raise Malformed(gateway.id, pointer, "a NAT gateway without public addresses")


def _by_routes(subnet: Subnet) -> Iterator[tuple[Network, Evidence]]:
    """The addresses of what the default route of a subnet leads to; none where it leads to no appliance."""
    route: Route | None = default_route(subnet.route_table.read()) if subnet.route_table else None
    network = subnet.estate.resource(VirtualNetwork, subnet.virtual_network_id)
    for address in next_hop_addresses(route) if route else ():
        found = resolve_appliance(network, address).resource
        if isinstance(found, AzureFirewall):
            yield from _of_firewall(found)
        elif isinstance(found, NetworkInterface):
            yield from _of_interface(found)


def _of_firewall(firewall: AzureFirewall) -> Iterator[tuple[Network, Evidence]]:
    if firewall.virtual_hub:
        for one in firewall.hub_public_addresses or ():
            yield stated(one, HubPublicAddress.address), one.at(HubPublicAddress.address)
        return
    own = stated(firewall, AzureFirewall.ip_configurations)
    home = next((one.subnet for one in own if one.subnet), None)
    behind = tuple(_by_gateway(home.read())) if home else ()
    links = (stated(one, FirewallIPConfiguration.public_ip_address) for one in own)
    yield from behind or _addresses(firewall, links)


def _of_interface(interface: NetworkInterface) -> Iterator[tuple[Network, Evidence]]:
    for one in stated(interface, NetworkInterface.ip_configurations):
        behind = tuple(_by_gateway(stated(one, InterfaceIPConfiguration.subnet).read()))
        own = [one.public_ip_address] if one.public_ip_address else []
        yield from behind or _addresses(interface, own)


def _addresses(
    of: AzureResource, links: "Iterable[Link[PublicIPAddress] | Link[AzureResource]]"
) -> Iterator[tuple[Network, Evidence]]:
    for link in links:
        address = of.estate.resource(PublicIPAddress, link.id)
        written = stated(address, PublicIPAddress.ip_address)
        shown = address.at(PublicIPAddress.ip_address)
        try:
            yield ip_network(ip_address(written.strip())), shown
        except ValueError as error:
            raise Malformed(address.id, shown.pointer, str(error)) from None


RULES = (ranges_hold_egress,)
