"""Facts about virtual networks, and what guards, routes and leaves their subnets.

Source: Microsoft.Network 2026-03-01 and Microsoft.Compute 2025-04-01 as on the wire. Prefixes are IPv4 and IPv6.
"""

from aks_audit.facts.enumerations import (
    ConnectionState,
    ConnectionStatus,
    ConnectionType,
    DdosProtectionMode,
    GatewayType,
    PeeringState,
    PeeringSyncLevel,
    RouteNextHopType,
    SecurityRuleAccess,
    SecurityRuleDirection,
    SecurityRuleProtocol,
)
from aks_audit.facts.field import Choice, Network, View, flag, network, networks, number, part, parts, text, texts
from aks_audit.facts.link import Holding, link, links
from aks_audit.facts.resource import AzureResource
from aks_audit.facts.unread import Malformed


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
    next_hop_ip_address = text("properties.nextHopIpAddress")
    next_hop_ip_addresses = texts("properties.nextHop.nextHopIpAddresses")


class RouteTable(AzureResource):
    """A route table."""

    __slots__ = ()

    TYPE = "Microsoft.Network/routeTables"

    routes = parts("properties.routes", Route)
    disable_bgp_route_propagation = flag("properties.disableBgpRoutePropagation")
    subnets = links("properties.subnets", AzureResource)


class NatGateway(AzureResource):
    """A NAT gateway and the subnets that leave through it."""

    __slots__ = ()

    TYPE = "Microsoft.Network/natGateways"

    subnets = links("properties.subnets", AzureResource)
    public_ip_addresses = links("properties.publicIpAddresses", AzureResource)
    public_ip_prefixes = links("properties.publicIpPrefixes", AzureResource)


class ServiceEndpoint(View):
    """A service that a subnet reaches past its routes, such as Microsoft.Storage."""

    __slots__ = ()

    service = text("service")
    locations = texts("locations")


class Delegation(View):
    """The service that a subnet is given to."""

    __slots__ = ()

    name = text("name")
    service_name = text("properties.serviceName")


class Subnet(AzureResource):
    """A subnet of a virtual network."""

    __slots__ = ()

    TYPE = "Microsoft.Network/virtualNetworks/subnets"

    network_security_group = link("properties.networkSecurityGroup", NetworkSecurityGroup)
    route_table = link("properties.routeTable", RouteTable)
    nat_gateway = link("properties.natGateway", NatGateway)
    address_prefix = network("properties.addressPrefix")
    address_prefixes = networks("properties.addressPrefixes")
    service_endpoints = parts("properties.serviceEndpoints", ServiceEndpoint)
    service_endpoint_policies = links("properties.serviceEndpointPolicies", AzureResource)
    delegations = parts("properties.delegations", Delegation)
    ip_configurations = links("properties.ipConfigurations", AzureResource)
    private_endpoints = links("properties.privateEndpoints", AzureResource)
    default_outbound_access = flag("properties.defaultOutboundAccess")
    private_endpoint_network_policies = text("properties.privateEndpointNetworkPolicies")

    @property
    def prefixes(self) -> tuple[Network, ...]:
        """All its prefixes, IPv4 and IPv6, whichever of Azure's two fields they stand in; empty where neither does."""
        alone, several = self.address_prefix, self.address_prefixes
        if not several:
            return (alone,) if alone else ()
        return tuple(dict.fromkeys([*several, *([alone] if alone else ())]))

    @property
    def virtual_network_id(self) -> str:
        """The id of the network that it is in."""
        return self.parsed.parent


class VirtualNetworkPeering(View):
    """A network's own side of a peering. Each side has its own settings, and both must agree."""

    __slots__ = ()

    name = text("name")
    remote = link("properties.remoteVirtualNetwork", AzureResource)
    state = Choice("properties.peeringState", PeeringState)
    sync_level = Choice("properties.peeringSyncLevel", PeeringSyncLevel)
    allow_virtual_network_access = flag("properties.allowVirtualNetworkAccess")
    allow_forwarded_traffic = flag("properties.allowForwardedTraffic")
    allow_gateway_transit = flag("properties.allowGatewayTransit")
    use_remote_gateways = flag("properties.useRemoteGateways")
    complete_networks = flag("properties.peerCompleteVnets")
    remote_address_space = networks("properties.remoteAddressSpace.addressPrefixes")
    remote_virtual_network_address_space = networks("properties.remoteVirtualNetworkAddressSpace.addressPrefixes")


class VirtualNetwork(AzureResource):
    """A virtual network; its subnets and its sides of peerings stand inside its body."""

    __slots__ = ()

    TYPE = "Microsoft.Network/virtualNetworks"

    location = text("location")
    subnets = parts("properties.subnets", Subnet)
    address_space = networks("properties.addressSpace.addressPrefixes")
    peerings = parts("properties.virtualNetworkPeerings", VirtualNetworkPeering)
    dns_servers = texts("properties.dhcpOptions.dnsServers")
    ddos_protection = flag("properties.enableDdosProtection")
    flow_logs = links("properties.flowLogs", AzureResource)


class PublicIPAddress(AzureResource):
    """A public address."""

    __slots__ = ()

    TYPE = "Microsoft.Network/publicIPAddresses"

    ip_address = text("properties.ipAddress")
    ip_configuration = link("properties.ipConfiguration", AzureResource)
    ddos_protection_mode = Choice("properties.ddosSettings.protectionMode", DdosProtectionMode)
    zones = texts("zones")


class PublicIPPrefix(AzureResource):
    """A range of public addresses."""

    __slots__ = ()

    TYPE = "Microsoft.Network/publicIPPrefixes"

    prefix = network("properties.ipPrefix")


class VirtualNetworkGateway(AzureResource):
    """A VPN or ExpressRoute gateway; it stands in a subnet called GatewaySubnet."""

    __slots__ = ()

    TYPE = "Microsoft.Network/virtualNetworkGateways"

    gateway_type = Choice("properties.gatewayType", GatewayType)
    enable_bgp = flag("properties.enableBgp")
    active_active = flag("properties.activeActive")
    client_addresses = networks("properties.vpnClientConfiguration.vpnClientAddressPool.addressPrefixes")

    @property
    def connections(self) -> "Holding[GatewayConnection]":
        """Its connections, which stand beside it and not below: those that name it as the gateway they start from."""
        listed = self.estate.within(GatewayConnection, self.id)
        own = [one for one in self.estate.every(GatewayConnection) if one.starts_from(self)]
        return listed.joined(own)


class GatewayConnection(AzureResource):
    """A connection of a virtual network gateway to a site, a circuit or another gateway."""

    __slots__ = ()

    TYPE = "Microsoft.Network/connections"

    connection_type = Choice("properties.connectionType", ConnectionType)
    status = Choice("properties.connectionStatus", ConnectionStatus)
    gateway = link("properties.virtualNetworkGateway1", AzureResource)
    circuit = link("properties.peer", AzureResource)

    def starts_from(self, gateway: AzureResource) -> bool:
        """Whether it is a gateway's own.

        Raises:
            Malformed: it does not name the gateway that it starts from.
        """
        own = self.gateway
        if own is None:
            pointer = self.at(GatewayConnection.gateway).pointer
            raise Malformed(self.id, pointer, "a connection without the gateway that it starts from")
        return own.id.lower() == gateway.id.lower()


class FrontendIPConfiguration(AzureResource):
    """A front end of a load balancer; public where it has a public address or prefix, else private."""

    __slots__ = ()

    TYPE = "Microsoft.Network/loadBalancers/frontendIPConfigurations"

    public_ip_address = link("properties.publicIPAddress", AzureResource)
    public_ip_prefix = link("properties.publicIPPrefix", AzureResource)
    private_ip_address = text("properties.privateIPAddress")
    subnet = link("properties.subnet", Subnet)


class BackendAddress(View):
    """A back end that a load balancer knows by its address."""

    __slots__ = ()

    ip_address = text("properties.ipAddress")


class BackendAddressPool(View):
    """The back ends of a load balancer."""

    __slots__ = ()

    own_id = text("id")
    name = text("name")
    ip_configurations = links("properties.backendIPConfigurations", AzureResource)
    addresses = parts("properties.loadBalancerBackendAddresses", BackendAddress)


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
    backend_pool = link("properties.backendAddressPool", AzureResource)
    frontend_port = number("properties.frontendPort")
    disable_outbound_snat = flag("properties.disableOutboundSnat")


class LoadBalancer(AzureResource):
    """A load balancer."""

    __slots__ = ()

    TYPE = "Microsoft.Network/loadBalancers"

    frontends = parts("properties.frontendIPConfigurations", FrontendIPConfiguration)
    backend_pools = parts("properties.backendAddressPools", BackendAddressPool)
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
    enable_ip_forwarding = flag("properties.enableIPForwarding")
    enable_accelerated_networking = flag("properties.enableAcceleratedNetworking")


class VirtualMachineScaleSet(AzureResource):
    """The scale set behind an agent pool."""

    __slots__ = ()

    TYPE = "Microsoft.Compute/virtualMachineScaleSets"

    pool_name = text("tags.aks-managed-poolName")
    network_interfaces = parts(
        "properties.virtualMachineProfile.networkProfile.networkInterfaceConfigurations", ScaleSetNetworkInterface
    )


class InterfaceIPConfiguration(AzureResource):
    """An address of a network interface."""

    __slots__ = ()

    TYPE = "Microsoft.Network/networkInterfaces/ipConfigurations"

    private_ip_address = text("properties.privateIPAddress")
    fqdns = texts("properties.privateLinkConnectionProperties.fqdns")
    address = network("properties.privateIPAddress")
    subnet = link("properties.subnet", Subnet)
    public_ip_address = link("properties.publicIPAddress", PublicIPAddress)
    application_security_groups = links("properties.applicationSecurityGroups", AzureResource)


class NetworkInterface(AzureResource):
    """A network interface that belongs to no scale set."""

    __slots__ = ()

    TYPE = "Microsoft.Network/networkInterfaces"

    network_security_group = link("properties.networkSecurityGroup", NetworkSecurityGroup)
    ip_configurations = parts("properties.ipConfigurations", InterfaceIPConfiguration)
    enable_ip_forwarding = flag("properties.enableIPForwarding")
    virtual_machine = link("properties.virtualMachine", AzureResource)
    private_endpoint = link("properties.privateEndpoint", AzureResource)


class PrivateLinkServiceConnection(View):
    """What a private endpoint leads to, and whether its owner approved."""

    __slots__ = ()

    name = text("name")
    private_link_service = link("properties.privateLinkServiceId", AzureResource)
    group_ids = texts("properties.groupIds")
    state = Choice("properties.privateLinkServiceConnectionState.status", ConnectionState)


class CustomDnsConfig(View):
    """A public name that a private endpoint stands for, and its addresses; left out where a zone group writes them."""

    __slots__ = ()

    fqdn = text("fqdn")
    ip_addresses = texts("ipAddresses")


class PrivateEndpoint(AzureResource):
    """A private endpoint: an address in a subnet for something elsewhere. Manual connections wait for approval."""

    __slots__ = ()

    TYPE = "Microsoft.Network/privateEndpoints"

    subnet = link("properties.subnet", Subnet)
    network_interfaces = links("properties.networkInterfaces", NetworkInterface)
    connections = parts("properties.privateLinkServiceConnections", PrivateLinkServiceConnection)
    manual_connections = parts("properties.manualPrivateLinkServiceConnections", PrivateLinkServiceConnection)
    provisioning_state = text("properties.provisioningState")
    custom_dns_configs = parts("properties.customDnsConfigs", CustomDnsConfig)
