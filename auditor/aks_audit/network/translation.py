"""With which public address a connection leaves for the internet, and whether it can leave at all.

Source: https://learn.microsoft.com/azure/virtual-network/ip-services/default-outbound-access and
https://learn.microsoft.com/azure/nat-gateway/nat-gateway-resource: a NAT gateway of the subnet comes first, then the
machine's own public address, then a load balancer; Azure's own address only where there is none of them.
NAT gateways translate no ICMP: https://learn.microsoft.com/azure/nat-gateway/troubleshoot-nat
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from aks_audit.facts import (
    AgentPool,
    AzureResource,
    Evidence,
    Link,
    LoadBalancer,
    ManagedCluster,
    NatGateway,
    ScaleSetIPConfiguration,
    Subnet,
    Unread,
)
from aks_audit.facts.firewall import AzureFirewall, FirewallIPConfiguration
from aks_audit.facts.networking import (
    BackendAddressPool,
    FrontendIPConfiguration,
    InterfaceIPConfiguration,
    PublicIPAddress,
)
from aks_audit.facts.resource_id import parse
from aks_audit.facts.static_egress import StaticGatewayConfiguration
from aks_audit.network.flows import Passage
from aks_audit.network.origins import interfaces, machine_interfaces


class Translation(NamedTuple):
    """How a connection leaves: whether, the ARM id of what translates it, words for it, and what decides by name.

    `icmp` says whether a ping leaves as well, where a connection does.
    """

    passage: Passage
    where: str
    says: str
    by: str
    evidence: tuple[Evidence, ...]
    icmp: Passage = Passage.UNKNOWN


def firewall_translation(firewall: AzureFirewall, subnet: Subnet) -> Translation:
    """The public addresses of a firewall, any of which it takes; or the NAT gateway of its subnet, which comes first.

    Source: https://learn.microsoft.com/azure/firewall/integrate-with-nat-gateway

    Raises:
        NotCollected: the NAT gateway was not read.
    """
    if subnet.nat_gateway:
        return _by_gateway(subnet, subnet.nat_gateway.read())
    own = firewall.ip_configurations or ()
    evidence = tuple(one.at(FirewallIPConfiguration.public_ip_address) for one in own)
    addresses = _written(firewall, (one.public_ip_address for one in own if one.public_ip_address))
    if not addresses:
        says = f"{firewall.name} has no public address to leave with"
        return Translation(Passage.BLOCKED, firewall.id, says, "", evidence)
    return Translation(Passage.ALLOWED, firewall.id, f"It leaves as {addresses}", "", evidence)


def gateway_translation(gateway: StaticGatewayConfiguration, subnet: Subnet) -> Translation:
    """How pods leave the subnet of a static egress gateway's nodes: as its addresses, where these are public.

    Source: https://learn.microsoft.com/azure/aks/configure-static-egress-gateway
    """
    evidence = (gateway.at(StaticGatewayConfiguration.egress_ip_prefix), subnet.at(Subnet.nat_gateway))
    by = f"static egress gateway {gateway.name}"
    addresses = ", ".join(map(str, gateway.addresses))
    if gateway.is_public:
        return Translation(Passage.ALLOWED, gateway.id, f"It leaves as {addresses} of {by}", by, evidence)
    says = f"What gives {addresses}, the private addresses of {by}, a public one is not known here"
    return Translation(Passage.UNKNOWN, gateway.id, says, by, evidence)


def node_translation(cluster: ManagedCluster, pool: AgentPool, subnet: Subnet) -> Translation:
    """How nodes of a pool, and pods under their address, leave a subnet for the internet without an appliance.

    Raises:
        NotCollected: the NAT gateway, the scale sets or the load balancers of the node resource group were not read.
    """
    if subnet.nat_gateway:
        return _by_gateway(subnet, subnet.nat_gateway.read())
    own = list(_own_addresses(cluster, pool))
    if own:
        says = "It leaves with the node's own public address"
        return Translation(Passage.ALLOWED, pool.id, says, "the node's public address", tuple(own), Passage.ALLOWED)
    cluster.scale_sets.whole()
    return _by_load_balancers(cluster, subnet)


def of_icmp(found: Translation) -> Translation:
    """The same for a ping."""
    if found.passage is not Passage.ALLOWED or found.icmp is Passage.ALLOWED:
        return found
    if found.icmp is Passage.BLOCKED:
        says = f"{parse(found.where).name} translates no ICMP, TCP and UDP alone"
        return found._replace(passage=Passage.BLOCKED, says=says)
    says = f"{found.says}; whether that holds for ICMP is not known here"
    return found._replace(passage=Passage.UNKNOWN, says=says)


def _by_gateway(subnet: Subnet, gateway: NatGateway) -> Translation:
    used = (*(gateway.public_ip_addresses or ()), *(gateway.public_ip_prefixes or ()))
    evidence = (subnet.at(Subnet.nat_gateway), gateway.at(NatGateway.public_ip_addresses))
    says = f"It leaves through NAT gateway {gateway.name} as {_written(gateway, used) or 'an unknown address'}"
    return Translation(Passage.ALLOWED, gateway.id, says, f"NAT gateway {gateway.name}", evidence, Passage.BLOCKED)


def _own_addresses(cluster: ManagedCluster, pool: AgentPool) -> Iterator[Evidence]:
    if pool.enable_node_public_ip:
        yield pool.at(AgentPool.enable_node_public_ip)
    for interface in interfaces(cluster, pool):
        for configuration in interface.ip_configurations or ():
            if configuration.public_ip_address:
                yield configuration.at(ScaleSetIPConfiguration.public_ip_address)
    for machine in machine_interfaces(cluster, pool):
        for own in machine.ip_configurations or ():
            if own.public_ip_address:
                yield own.at(InterfaceIPConfiguration.public_ip_address)


def _by_load_balancers(cluster: ManagedCluster, subnet: Subnet) -> Translation:
    balancers = cluster.node_load_balancers
    for balancer in balancers:
        if frontends := outbound_frontends(balancer):
            used = [one.public_ip_address or one.public_ip_prefix for one in frontends]
            addresses = _written(balancer, (link for link in used if link))
            evidence = tuple(one.at(FrontendIPConfiguration.public_ip_address) for one in frontends)
            says = f"It leaves through load balancer {balancer.name} as {addresses}"
            return Translation(Passage.ALLOWED, balancer.id, says, f"load balancer {balancer.name}", evidence)
    balancers.whole()
    return _without_any(balancers, subnet)


def _without_any(balancers: Iterable[LoadBalancer], subnet: Subnet) -> Translation:
    flag = subnet.at(Subnet.default_outbound_access)
    if subnet.default_outbound_access is False:
        says = "Nothing gives it a public address, and the subnet does not have Azure's own: it cannot leave"
        return Translation(Passage.BLOCKED, subnet.id, says, "default outbound access is off", (flag,))
    pools = [(one, pool) for one in balancers for pool in one.backend_pools or () if pool.ip_configurations]
    if pools:
        evidence = (flag, *(pool.at(BackendAddressPool.ip_configurations) for _, pool in pools))
        says = "Nothing gives it a public address; members of a Standard load balancer do not get Azure's own"
        return Translation(Passage.UNKNOWN, subnet.id, says, "default outbound access", evidence)
    if subnet.default_outbound_access is None:
        says = "Nothing gives it a public address, and the body does not say whether the subnet has Azure's own"
        return Translation(Passage.UNKNOWN, subnet.id, says, "default outbound access", (flag,))
    says = "It leaves with an address of Azure's own choice, which is not yours and may change"
    return Translation(Passage.ALLOWED, subnet.id, says, "default outbound access", (flag,))


def outbound_frontends(balancer: LoadBalancer) -> list[FrontendIPConfiguration]:
    """The public front ends of outbound rules, or else of load balancing rules that translate sources as well."""
    stated = [link.id.lower() for rule in balancer.outbound_rules or () for link in rule.frontends or ()]
    implied = [
        rule.frontend.id.lower()
        for rule in balancer.load_balancing_rules or ()
        if rule.frontend and not rule.disable_outbound_snat
    ]
    public = [one for one in balancer.frontends or () if one.public_ip_address or one.public_ip_prefix]
    chosen = [one for one in public if one.id.lower() in stated]
    return chosen or [one for one in public if one.id.lower() in implied]


def _written(of: AzureResource, links: "Iterable[Link[PublicIPAddress] | Link[AzureResource]]") -> str:
    return ", ".join(_address(of, link.id) for link in links)


def _address(of: AzureResource, public_ip: str) -> str:
    """The address and its name, or the name alone where its body was not read."""
    name = parse(public_ip).name
    try:
        address = of.estate.resource(PublicIPAddress, public_ip).ip_address
    except Unread:
        return name
    return f"{address} ({name})" if address else name
