"""The DNS servers that the machines of a network ask, and what stands at their addresses.

Sources: https://learn.microsoft.com/azure/virtual-network/virtual-networks-name-resolution-for-vms-and-role-instances,
https://learn.microsoft.com/azure/dns/dns-private-resolver-overview and
https://learn.microsoft.com/azure/firewall/dns-settings (a firewall asks Azure's DNS, as its own network does, unless it
is given servers).
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Any, NamedTuple, TypeVar

from aks_audit.facts import (
    Evidence,
    FrontendIPConfiguration,
    LoadBalancer,
    Missing,
    Network,
    NetworkInterface,
    NotCollected,
    Subnet,
    VirtualNetwork,
)
from aks_audit.facts.enumerations import PeeringState
from aks_audit.facts.firewall import AdditionalProperties, AzureFirewall, FirewallIPConfiguration, FirewallPolicy
from aks_audit.facts.link import Holding, Link
from aks_audit.facts.name_resolution import DnsResolver, InboundEndpoint, InboundIPConfiguration
from aks_audit.facts.networking import Delegation, InterfaceIPConfiguration
from aks_audit.network.flows import Address, address_of

T = TypeVar("T")

AZURE_DNS = IPv4Address("168.63.129.16")
"""Azure's own DNS, at the same address in every network; it knows from which network it is asked."""

RESOLVER = "microsoft.network/dnsresolvers"
"""The service that a subnet of a DNS resolver is given to. Nothing else can stand in such a subnet."""


class Host(StrEnum):
    """What stands at the address of a DNS server."""

    AZURE = "Azure DNS"
    FIREWALL = "a firewall"
    RESOLVER = "the inbound endpoint of a DNS resolver"
    NOBODY = "no inbound endpoint of the DNS resolver whose subnet it is in"
    MACHINE = "a machine"
    LOAD_BALANCER = "a load balancer"
    UNSEEN = "something that was not read"
    ELSEWHERE = "neither in the network nor in a peered one"


class Server(NamedTuple):
    """A DNS server: what it is and the network it stands in; None for a firewall of a virtual hub and for elsewhere.

    `unread` is what was not read of that which may stand there, where nothing that was read does.
    """

    address: Address
    host: Host
    network: VirtualNetwork | None
    firewall: AzureFirewall | None
    evidence: tuple[Evidence, ...]
    unread: tuple[Missing, ...] = ()


def once(items: Iterable[T]) -> tuple[T, ...]:
    """The items in order, equal ones once. Evidence may hold lists, which have no hash."""
    kept: list[T] = []
    kept.extend(item for item in items if item not in kept)
    return tuple(kept)


def servers(network: VirtualNetwork) -> tuple[Server, ...]:
    """The DNS servers that the machines of a network ask, in the network's order.

    Raises:
        NotCollected: a peered network that a server stands in was not read.
        Malformed: a server is no address.
    """
    return network.estate.once(_servers, network)


def _servers(network: VirtualNetwork) -> tuple[Server, ...]:
    evidence = network.at(VirtualNetwork.dns_servers)
    return located(network, network.dns_servers or (str(AZURE_DNS),), evidence)


def located(network: VirtualNetwork, addresses: Sequence[str], evidence: Evidence) -> tuple[Server, ...]:
    """What stands at each address that a network's machines send their questions to; `evidence` names the addresses.

    Raises:
        NotCollected: a peered network that a server stands in was not read.
        Malformed: one is no address.
    """
    return tuple(locate(network, address_of(network, text, evidence), evidence) for text in addresses)


def locate(network: VirtualNetwork, address: Address, evidence: Evidence) -> Server:
    """What stands at one such address.

    Raises:
        NotCollected: the peered network that it is in was not read.
    """
    if address == AZURE_DNS:
        return Server(address, Host.AZURE, network, None, (evidence,))
    home = _home(network, address)
    if home is None:
        for firewall in network.estate.every(AzureFirewall):
            if firewall.hub_private_ip_address == str(address):
                hub = firewall.at(AzureFirewall.hub_private_ip_address)
                return Server(address, Host.FIREWALL, None, firewall, (evidence, hub))
        return Server(address, Host.ELSEWHERE, None, None, (evidence,))
    host, its_firewall, found = _at(home, address)
    unread = _unread(home, address) if host is Host.UNSEEN else ()
    return Server(address, host, home, its_firewall, (evidence, *found), unread)


def _home(network: VirtualNetwork, address: Address) -> VirtualNetwork | None:
    """The network that an address is in: the network itself, or one that it is peered with."""
    if _holds(network.address_space, address):
        return network
    for peering in network.peerings or ():
        if peering.state is not PeeringState.CONNECTED or peering.remote is None:
            continue
        told = peering.remote_virtual_network_address_space or peering.remote_address_space
        if told is None or _holds(told, address):
            remote = network.estate.resource(VirtualNetwork, peering.remote.id)
            if _holds(remote.address_space, address):
                return remote
    return None


def _holds(prefixes: Sequence[Network] | None, address: Address) -> bool:
    return any(address in prefix for prefix in prefixes or ())


def _at(network: VirtualNetwork, address: Address) -> tuple[Host, AzureFirewall | None, tuple[Evidence, ...]]:
    """What has an address in a network, as far as it was read."""
    for firewall in network.estate.every(AzureFirewall):
        for own in firewall.ip_configurations or ():
            if _has(own.private_ip_address, own.subnet, network, address):
                return Host.FIREWALL, firewall, (own.at(FirewallIPConfiguration.private_ip_address),)
    for subnet in network.subnets or ():
        if _holds(subnet.prefixes, address) and (delegation := _resolver_delegation(subnet)):
            return _in_resolver_subnet(network, address, delegation)
    if interface := _interface(network, address):
        return Host.MACHINE, None, (interface.at(InterfaceIPConfiguration.private_ip_address),)
    if frontend := _frontend(network, address):
        return Host.LOAD_BALANCER, None, (frontend.at(FrontendIPConfiguration.private_ip_address),)
    return Host.UNSEEN, None, ()


def _unread(network: VirtualNetwork, address: Address) -> tuple[Missing, ...]:
    """What was not read of that which may stand at an address of a network."""
    if any(_holds(one.prefixes, address) and _resolver_delegation(one) for one in network.subnets or ()):
        return _unread_endpoints(network)
    scope, estate = f"/subscriptions/{network.parsed.subscription}", network.estate
    return _lacking(*(estate.within(kind, scope) for kind in (AzureFirewall, NetworkInterface, LoadBalancer)))


def _interface(network: VirtualNetwork, address: Address) -> InterfaceIPConfiguration | None:
    for interface in network.estate.within(NetworkInterface, f"/subscriptions/{network.parsed.subscription}"):
        for each in interface.ip_configurations or ():
            if _has(each.private_ip_address, each.subnet, network, address):
                return each
    return None


def _frontend(network: VirtualNetwork, address: Address) -> FrontendIPConfiguration | None:
    for balancer in network.estate.within(LoadBalancer, f"/subscriptions/{network.parsed.subscription}"):
        for each in balancer.frontends or ():
            if _has(each.private_ip_address, each.subnet, network, address):
                return each
    return None


def _has(private: str | None, subnet: Link[Subnet] | None, network: VirtualNetwork, address: Address) -> bool:
    """Whether an address of something in a subnet is this address in this network."""
    inside = subnet is not None and subnet.id.lower().startswith(f"{network.id.lower()}/subnets/")
    return inside and private == str(address)


def has_resolver(network: VirtualNetwork) -> bool:
    """Whether a subnet of a network is given to a DNS resolver."""
    return any(_resolver_delegation(subnet) for subnet in network.subnets or ())


def _resolver_delegation(subnet: Subnet) -> Evidence | None:
    """The evidence that a subnet is given to a DNS resolver; None where it is not."""
    for delegation in subnet.delegations or ():
        if (delegation.service_name or "").lower() == RESOLVER:
            return delegation.at(Delegation.service_name)
    return None


def _in_resolver_subnet(
    network: VirtualNetwork, address: Address, delegation: Evidence
) -> tuple[Host, AzureFirewall | None, tuple[Evidence, ...]]:
    """An inbound endpoint with the address; nobody, once all of the network's one resolver were read."""
    found = [each for endpoint in _endpoints(network) for each in endpoint.ip_configurations or ()]
    shown = tuple(each.at(InboundIPConfiguration.private_ip_address) for each in found)
    for each, evidence in zip(found, shown, strict=True):
        if _has(each.private_ip_address, each.subnet, network, address):
            return Host.RESOLVER, None, (delegation, evidence)
    if not found or _unread_endpoints(network) or any(each.private_ip_address is None for each in found):
        return Host.UNSEEN, None, (delegation,)
    return Host.NOBODY, None, (delegation, *shown)


def _endpoints(network: VirtualNetwork) -> Iterator[InboundEndpoint]:
    for resolver in network.estate.every(DnsResolver):
        if resolver.virtual_network and resolver.virtual_network.id.lower() == network.id.lower():
            yield from resolver.inbound_endpoints


def _unread_endpoints(network: VirtualNetwork) -> tuple[Missing, ...]:
    """What was not read of the resolvers of a network's subscription, and of their endpoints."""
    resolvers = network.estate.within(DnsResolver, f"/subscriptions/{network.parsed.subscription}")
    return _lacking(resolvers, *(resolver.inbound_endpoints for resolver in resolvers))


def _lacking(*holdings: Holding[Any]) -> tuple[Missing, ...]:
    missing: list[Missing] = []
    for holding in holdings:
        try:
            holding.whole()
        except NotCollected as problem:
            missing.extend(problem.missing)
    return tuple(missing)


class DnsProxy(NamedTuple):
    """Whether a firewall answers DNS, the servers that it asks (empty: Azure DNS), and where that stands."""

    enabled: bool
    servers: tuple[str, ...]
    evidence: Evidence


def dns_proxy(firewall: AzureFirewall) -> DnsProxy:
    """The DNS proxy of a firewall: by its policy where it has one, else by its own settings. Absent means off.

    Raises:
        NotCollected: the policy was not read; or it says nothing and has a parent, whose settings may count.
    """
    if firewall.firewall_policy:
        policy = firewall.firewall_policy.read()
        if policy.dns_proxy is None and policy.base_policy_id:
            reason = f"{policy.id} has no DNS settings of its own, and whether its parent's count is not known"
            raise NotCollected(Missing(what=policy.id, kind="not-sent", reason=reason))
        return DnsProxy(policy.dns_proxy is True, policy.dns_servers or (), policy.at(FirewallPolicy.dns_proxy))
    settings = firewall.additional_properties
    if settings is None:
        return DnsProxy(enabled=False, servers=(), evidence=firewall.at(AzureFirewall.additional_properties))
    listed = tuple(filter(None, (one.strip() for one in (settings.dns_servers or "").split(","))))
    enabled = (settings.dns_proxy or "").lower() == "true"
    return DnsProxy(enabled, listed, settings.at(AdditionalProperties.dns_proxy))
