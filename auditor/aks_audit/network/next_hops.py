"""What really is at the address that a route names as its next hop.

A next hop must be in the network itself or in a peer that is connected (a route through a gateway does not count), and
it forwards only if it is a firewall, or an interface with IP forwarding, alone or behind a load balancer's front end.
Source: https://learn.microsoft.com/azure/virtual-network/virtual-networks-udr-overview (next hop virtual appliance)
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from ipaddress import ip_address
from itertools import chain
from typing import NamedTuple

from aks_audit.facts import (
    AzureResource,
    Estate,
    Evidence,
    Holding,
    Link,
    LoadBalancer,
    Malformed,
    Missing,
    NetworkInterface,
    NotCollected,
    ScaleSetNetworkInterface,
    Subnet,
    Unread,
    VirtualMachineScaleSet,
    VirtualNetwork,
)
from aks_audit.facts.firewall import AzureFirewall, FirewallIPConfiguration
from aks_audit.facts.networking import (
    BackendAddress,
    BackendAddressPool,
    FrontendIPConfiguration,
    InterfaceIPConfiguration,
    VirtualNetworkPeering,
)
from aks_audit.facts.resource_id import parse, within
from aks_audit.network.flows import Address
from aks_audit.network.routes import peer_prefixes, remote_prefixes, stated
from aks_audit.network.virtual_hubs import is_virtual_hub


class ApplianceKind(StrEnum):
    """What is at an address."""

    AZURE_FIREWALL = "Azure Firewall"
    LOAD_BALANCER = "a load balancer with appliances behind it"
    LOAD_BALANCER_WITHOUT_BACK_ENDS = "a load balancer with nothing behind it"
    LOAD_BALANCER_WITHOUT_FORWARDING = "a load balancer whose back ends do not forward"
    APPLIANCE = "a network interface that forwards"
    INTERFACE = "a network interface that does not forward"
    NOBODY = "nobody"
    UNREACHABLE = "outside the network and its connected peers"

    @property
    def forwards(self) -> bool:
        """Whether packets that are sent there go on."""
        return self in _FORWARDING


_FORWARDING = frozenset({ApplianceKind.AZURE_FIREWALL, ApplianceKind.LOAD_BALANCER, ApplianceKind.APPLIANCE})


class Appliance(NamedTuple):
    """What is at an address: the resource, the id of the network it is in, and the peering that leads there.

    `resource` is an `AzureFirewall`, `LoadBalancer` or `NetworkInterface`, or None; `peering` is None in the network
    itself.
    """

    kind: ApplianceKind
    resource: AzureResource | None = None
    network_id: str = ""
    peering: VirtualNetworkPeering | None = None
    evidence: tuple[Evidence, ...] = ()


def resolve_appliance(network: VirtualNetwork, address: Address) -> Appliance:
    """What is at an address, as seen from a network.

    Raises:
        NotCollected: nothing that was read is at the address, and not all that may be there was read.
        Malformed: the network or a peering lacks its addresses, or a resource there its own.
    """
    if any(address in prefix for prefix in stated(network, VirtualNetwork.address_space)):
        return _look_up(network, network.id, address)
    for peering in network.peerings or ():
        if any(address in prefix for prefix in peer_prefixes(peering)):
            remote = stated(peering, VirtualNetworkPeering.remote).id
            found = _look_up(network, remote, address)
            return found._replace(peering=peering, evidence=(*found.evidence, *_shown(peering)))
    for peering in network.peerings or ():
        if any(address in prefix for prefix in remote_prefixes(peering)):
            return Appliance(ApplianceKind.UNREACHABLE, peering=peering, evidence=_shown(peering))
    return Appliance(ApplianceKind.UNREACHABLE, evidence=(network.at(VirtualNetwork.address_space),))


def _shown(peering: VirtualNetworkPeering) -> tuple[Evidence, ...]:
    state, access = VirtualNetworkPeering.state, VirtualNetworkPeering.allow_virtual_network_access
    return peering.at(state), peering.at(access)


def _look_up(seen_from: VirtualNetwork, network_id: str, address: Address) -> Appliance:
    estate = seen_from.estate
    home = f"/subscriptions/{parse(network_id).subscription}"
    firewalls, balancers = estate.within(AzureFirewall, home), estate.within(LoadBalancer, home)
    interfaces = estate.within(NetworkInterface, home)
    found = next(
        chain(
            _firewalls(firewalls, network_id, address),
            _hub_firewalls(estate, network_id, address),
            _load_balancers(balancers, network_id, address),
            _interfaces(interfaces, network_id, address),
        ),
        None,
    )
    if found:
        return found
    firewalls.whole()
    balancers.whole()
    interfaces.whole()
    subnets = stated(estate.resource(VirtualNetwork, network_id), VirtualNetwork.subnets)
    holding = next((one for one in subnets if any(address in prefix for prefix in one.prefixes)), None)
    if holding:
        _refuse_unseen(holding, address)
        return Appliance(ApplianceKind.NOBODY, None, network_id, evidence=(holding.at(Subnet.ip_configurations),))
    return Appliance(ApplianceKind.NOBODY, None, network_id, evidence=(seen_from.at(VirtualNetwork.address_space),))


def _refuse_unseen(subnet: Subnet, address: Address) -> None:
    """Instances of scale sets have addresses that no list of a subscription shows."""
    unseen = [one for one in subnet.ip_configurations or () if "/virtualmachinescalesets/" in one.id.lower()]
    if unseen:
        reason = f"{address} may be an instance of a scale set in {subnet.name}, whose addresses are not collected"
        raise NotCollected(Missing(what=unseen[0].id, kind="not-sent", reason=reason))


def _firewalls(holding: Holding[AzureFirewall], network_id: str, address: Address) -> Iterator[Appliance]:
    for firewall in holding:
        for own in firewall.ip_configurations or ():
            if _is(own.private_ip_address, address) and _is_in(own.subnet, network_id):
                shown = own.at(FirewallIPConfiguration.private_ip_address)
                yield Appliance(ApplianceKind.AZURE_FIREWALL, firewall, network_id, None, (shown,))


def reaches_hub_of(network: VirtualNetwork, firewall: AzureFirewall) -> bool:
    """Whether a network is connected to the Virtual WAN hub that a firewall is in."""
    hubs = [peering for peering in network.peerings or () if peering.remote and is_virtual_hub(peering.remote.id)]
    prefixes = [prefix for peering in hubs for prefix in peer_prefixes(peering)]
    hub = firewall.hub_private_ip_address if firewall.virtual_hub else None
    address = _parsed(hub)
    return address is not None and any(address in prefix for prefix in prefixes)


def _hub_firewalls(estate: Estate, network_id: str, address: Address) -> Iterator[Appliance]:
    if is_virtual_hub(network_id):
        for firewall in estate.every(AzureFirewall):
            if firewall.virtual_hub and _is(firewall.hub_private_ip_address, address):
                shown = firewall.at(AzureFirewall.hub_private_ip_address)
                yield Appliance(ApplianceKind.AZURE_FIREWALL, firewall, network_id, None, (shown,))


def _load_balancers(holding: Holding[LoadBalancer], network_id: str, address: Address) -> Iterator[Appliance]:
    for balancer in holding:
        for own in balancer.frontends or ():
            if _is(own.private_ip_address, address) and _is_in(own.subnet, network_id):
                shown = own.at(FrontendIPConfiguration.private_ip_address)
                kind, behind = _behind(balancer, own, network_id)
                yield Appliance(kind, balancer, network_id, None, (shown, *behind))


def _interfaces(holding: Holding[NetworkInterface], network_id: str, address: Address) -> Iterator[Appliance]:
    for interface in holding:
        for own in interface.ip_configurations or ():
            if _is(own.private_ip_address, address) and _is_in(own.subnet, network_id):
                kind = _kind(stated(interface, NetworkInterface.enable_ip_forwarding))
                shown = own.at(InterfaceIPConfiguration.private_ip_address)
                forwarding = interface.at(NetworkInterface.enable_ip_forwarding)
                yield Appliance(kind, interface, network_id, None, (shown, forwarding))


def _behind(
    balancer: LoadBalancer, frontend: FrontendIPConfiguration, network_id: str
) -> tuple[ApplianceKind, tuple[Evidence, ...]]:
    """What a load balancer's front end leads to; one back end that forwards is enough."""
    used = {
        rule.backend_pool.id.lower()
        for rule in stated(balancer, LoadBalancer.load_balancing_rules)
        if rule.backend_pool and rule.frontend and rule.frontend.id.lower() == frontend.id.lower()
    }
    pools = [
        pool
        for pool in stated(balancer, LoadBalancer.backend_pools)
        if stated(pool, BackendAddressPool.own_id).lower() in used
    ]
    shown = tuple(pool.at(BackendAddressPool.ip_configurations) for pool in pools)
    unread: list[Unread] = []
    answers: set[bool] = set()
    for back_end in (one for pool in pools for one in _back_ends(pool, network_id)):
        try:
            answers.add(back_end())
        except Unread as problem:
            unread.append(problem)
    if True in answers:
        return ApplianceKind.LOAD_BALANCER, shown
    if unread:
        raise unread[0]
    if answers:
        return ApplianceKind.LOAD_BALANCER_WITHOUT_FORWARDING, shown
    if used:
        return ApplianceKind.LOAD_BALANCER_WITHOUT_BACK_ENDS, shown
    return ApplianceKind.LOAD_BALANCER_WITHOUT_BACK_ENDS, (balancer.at(LoadBalancer.load_balancing_rules),)


def _back_ends(pool: BackendAddressPool, network_id: str) -> Iterator[Callable[[], bool]]:
    """For each back end, the question whether it forwards."""
    for link in pool.ip_configurations or ():
        yield partial(_link_forwards, pool, link.id)
    if not pool.ip_configurations:
        for address in pool.addresses or ():
            yield partial(_address_forwards, pool, address, network_id)


def _link_forwards(pool: BackendAddressPool, configuration_id: str) -> bool:
    """Whether the interface of an IP configuration forwards, of a machine or of a scale set's instance."""
    interface_id = configuration_id.lower().partition("/ipconfigurations/")[0]
    scale_set_id, instance, _ = interface_id.partition("/virtualmachines/")
    if not instance:
        interface = pool.estate.resource(NetworkInterface, interface_id)
        return stated(interface, NetworkInterface.enable_ip_forwarding)
    name = interface_id.rpartition("/")[2]
    scale_set = pool.estate.resource(VirtualMachineScaleSet, scale_set_id)
    made = stated(scale_set, VirtualMachineScaleSet.network_interfaces)
    own = next((one for one in made if (one.name or "").lower() == name), None)
    if own is None:
        problem = f"the scale set has no network interface {name!r}, which is behind a load balancer"
        raise Malformed(scale_set.id, scale_set.at(VirtualMachineScaleSet.network_interfaces).pointer, problem)
    return stated(own, ScaleSetNetworkInterface.enable_ip_forwarding)


def _address_forwards(pool: BackendAddressPool, address: BackendAddress, network_id: str) -> bool:
    """Whether what is at a back end's address forwards."""
    written = stated(address, BackendAddress.ip_address)
    try:
        own = ip_address(written.strip())
    except ValueError as error:
        raise Malformed(pool.document.id, address.pointer, str(error)) from None
    holding = pool.estate.within(NetworkInterface, f"/subscriptions/{parse(network_id).subscription}")
    found = next(_interfaces(holding, network_id, own), None)
    if found is None:
        reason = f"what is at {own}, behind a load balancer, is not in the snapshot"
        raise NotCollected(Missing(what=pool.document.id, kind="not-read", reason=reason))
    return found.kind.forwards


def _kind(forwards: bool) -> ApplianceKind:  # noqa: FBT001 - the one thing that decides
    return ApplianceKind.APPLIANCE if forwards else ApplianceKind.INTERFACE


def _is(written: str | None, address: Address) -> bool:
    return _parsed(written) == address


def _parsed(written: str | None) -> Address | None:
    """An address; None for what is none, which then is at no address."""
    try:
        return ip_address((written or "").strip())
    except ValueError:
        return None


def _is_in(subnet: Link[Subnet] | None, network_id: str) -> bool:
    return subnet is not None and within(subnet.id, network_id)
