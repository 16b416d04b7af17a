"""Facts about virtual networks, and what guards, routes and leaves their subnets.

Source: Microsoft.Network 2026-03-01 and Microsoft.Compute 2025-04-01 as on the wire. Prefixes are IPv4 and IPv6.
"""

from aks_audit.facts.enumerations import (
    RouteNextHopType,
    SecurityRuleAccess,
    SecurityRuleDirection,
    SecurityRuleProtocol,
)
from aks_audit.facts.field import Choice, View, flag, number, part, parts, text, texts
from aks_audit.facts.link import link, links
from aks_audit.facts.resource import AzureResource


class SecurityRule(View):
    """One rule of a network security group. Singular and plural forms of each list are both Azure's."""

    __slots__ = ()

    name = text("name")
    access = Choice("properties.access", SecurityRuleAccess)
    direction = Choice("properties.direction", SecurityRuleDirection)
    protocol = Choice("properties.protocol", SecurityRuleProtocol)
    priority = number("properties.priority")
    source_address_prefix = text("properties.sourceAddressPrefix")
    source_address_prefixes = texts("properties.sourceAddressPrefixes")
    destination_address_prefix = text("properties.destinationAddressPrefix")
    destination_address_prefixes = texts("properties.destinationAddressPrefixes")
    source_port_range = text("properties.sourcePortRange")
    source_port_ranges = texts("properties.sourcePortRanges")
    destination_port_range = text("properties.destinationPortRange")
    destination_port_ranges = texts("properties.destinationPortRanges")
    source_application_security_groups = links("properties.sourceApplicationSecurityGroups", AzureResource)
    destination_application_security_groups = links("properties.destinationApplicationSecurityGroups", AzureResource)


class NetworkSecurityGroup(AzureResource):
    """A network security group and what it is attached to."""

    __slots__ = ()

    TYPE = "Microsoft.Network/networkSecurityGroups"

    security_rules = parts("properties.securityRules", SecurityRule)
    default_security_rules = parts("properties.defaultSecurityRules", SecurityRule)
    network_interfaces = links("properties.networkInterfaces", AzureResource)
    subnets = links("properties.subnets", AzureResource)


class Route(View):
    """One user-defined route. `address_prefix` is a prefix or a service tag."""

    __slots__ = ()

    name = text("name")
    address_prefix = text("properties.addressPrefix")
    next_hop_type = Choice("properties.nextHopType", RouteNextHopType)


class RouteTable(AzureResource):
    """A route table."""

    __slots__ = ()

    TYPE = "Microsoft.Network/routeTables"

    routes = parts("properties.routes", Route)


class NatGateway(AzureResource):
    """A NAT gateway and the subnets that leave through it."""

    __slots__ = ()

    TYPE = "Microsoft.Network/natGateways"

    subnets = links("properties.subnets", AzureResource)


class Subnet(AzureResource):
    """A subnet of a virtual network."""

    __slots__ = ()

    TYPE = "Microsoft.Network/virtualNetworks/subnets"

    network_security_group = link("properties.networkSecurityGroup", NetworkSecurityGroup)
    route_table = link("properties.routeTable", RouteTable)
    nat_gateway = link("properties.natGateway", NatGateway)


class VirtualNetwork(AzureResource):
    """A virtual network; its subnets stand inside its body."""

    __slots__ = ()

    TYPE = "Microsoft.Network/virtualNetworks"

    subnets = parts("properties.subnets", Subnet)


class FrontendIPConfiguration(AzureResource):
    """A front end of a load balancer; public where it has a public address or prefix, else private."""

    __slots__ = ()

    TYPE = "Microsoft.Network/loadBalancers/frontendIPConfigurations"

    public_ip_address = link("properties.publicIPAddress", AzureResource)
    public_ip_prefix = link("properties.publicIPPrefix", AzureResource)
    private_ip_address = text("properties.privateIPAddress")
    subnet = link("properties.subnet", Subnet)


class OutboundRule(View):
    """A rule by which a load balancer's back ends leave through its public front ends."""

    __slots__ = ()

    name = text("name")
    frontends = links("properties.frontendIPConfigurations", AzureResource)


class LoadBalancingRule(View):
    """A rule that gives a front end's port to back ends; unless disabled, back ends may leave through it (SNAT)."""

    __slots__ = ()

    name = text("name")
    frontend = link("properties.frontendIPConfiguration", AzureResource)
    disable_outbound_snat = flag("properties.disableOutboundSnat")


class LoadBalancer(AzureResource):
    """A load balancer."""

    __slots__ = ()

    TYPE = "Microsoft.Network/loadBalancers"

    frontends = parts("properties.frontendIPConfigurations", FrontendIPConfiguration)
    outbound_rules = parts("properties.outboundRules", OutboundRule)
    load_balancing_rules = parts("properties.loadBalancingRules", LoadBalancingRule)


class ScaleSetIPConfiguration(View):
    """An address of a scale set's network interface."""

    __slots__ = ()

    subnet = link("properties.subnet", Subnet)
    public_ip_address = part("properties.publicIPAddressConfiguration", View)


class ScaleSetNetworkInterface(View):
    """A network interface that every instance of a scale set gets."""

    __slots__ = ()

    name = text("name")
    network_security_group = link("properties.networkSecurityGroup", NetworkSecurityGroup)
    ip_configurations = parts("properties.ipConfigurations", ScaleSetIPConfiguration)


class VirtualMachineScaleSet(AzureResource):
    """The scale set behind an agent pool."""

    __slots__ = ()

    TYPE = "Microsoft.Compute/virtualMachineScaleSets"

    pool_name = text("tags.aks-managed-poolName")
    network_interfaces = parts(
        "properties.virtualMachineProfile.networkProfile.networkInterfaceConfigurations", ScaleSetNetworkInterface
    )


class NetworkInterface(AzureResource):
    """A network interface that belongs to no scale set."""

    __slots__ = ()

    TYPE = "Microsoft.Network/networkInterfaces"

    network_security_group = link("properties.networkSecurityGroup", NetworkSecurityGroup)
