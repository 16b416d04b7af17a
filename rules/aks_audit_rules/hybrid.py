"""The ways into the network from outside Azure: for those who manage clusters, and for an organisation's own sites."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from aks_audit.facts import (
    AzureResource,
    ClusterNetwork,
    Estate,
    Link,
    ManagedCluster,
    NetworkInterface,
    NetworkSecurityGroup,
    SecurityRuleDirection,
    Subnet,
    Unread,
    VirtualNetwork,
)
from aks_audit.facts.enumerations import ConnectionStatus, ConnectionType
from aks_audit.facts.networking import (
    GatewayConnection,
    InterfaceIPConfiguration,
    VirtualNetworkGateway,
    VirtualNetworkPeering,
)
from aks_audit.facts.resource_id import parse, scopes
from aks_audit.network.neighbours import virtual_networks
from aks_audit.network.routes import stated
from aks_audit.network.security_rules import by_port, openings
from aks_audit.network.surroundings import GATEWAY_SUBNET, connected
from aks_audit.network.virtual_hubs import is_virtual_hub
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.api_server import is_private
from aks_audit_rules.frameworks import prowler, psrule, review_checklist, the_aks_checklist
from aks_audit_rules.security_groups import SHELLS, on_the_internet

BASTION_SUBNET = "azurebastionsubnet"
LEAST_LINES = 2


@rule(
    "AKS-API-21",
    title="A private API server can be reached by those who manage it",
    severity=Severity.LOW,
    controls=(
        the_aks_checklist("28538587-2c1f-4390-b571-384649732c16"),
        psrule("Azure.VNET.BastionSubnet"),
        prowler("network_bastion_host_exists"),
    ),
)
def management_path(cluster: ManagedCluster) -> Verdict:
    """Where no way into the network is planned, one is made in a hurry: a machine with a public address and open SSH.

    Severity: on the day of an incident nobody can look into the cluster, or only by the run command, which AKS-API-07 wants
    off. Medium where a machine is there that takes SSH or RDP from the internet: it is a way in for everybody.
    Decided: for private clusters, in the networks of nodes and their peers that are `Connected`: Azure Bastion (in
    AzureBastionSubnet); a VPN gateway with a pool of addresses for clients, or a VPN or ExpressRoute gateway with a connection
    that is not `NotConnected`; or a machine that is no node, does not forward, and has no public address. One is enough. A
    machine with a public address fails where the security groups of its subnet and interface let SSH or RDP in from public
    addresses, and is no way otherwise. Bastion's Developer SKU, which has no subnet and is for tests, does not count, nor
    does the run command. Gateways of a Virtual WAN hub are not read: unknown, where nothing else is found. Who may sign in,
    and whether names resolve there, is not judged here.
    Fix: az network bastion create --resource-group <group> --name <bastion> --vnet-name <network> --public-ip-address <address> --sku Standard --enable-tunneling
    Bicep: Microsoft.Network/bastionHosts in a subnet called AzureBastionSubnet
    Change: in place, in the nodes' network or in the hub
    References: https://learn.microsoft.com/azure/aks/private-clusters#options-for-connecting-to-the-private-cluster
    https://learn.microsoft.com/azure/bastion/bastion-connect-to-aks-private-cluster
    """
    if not is_private(cluster):
        return not_applicable("The cluster is public", cluster.at(ManagedCluster.enable_private_cluster))
    own = virtual_networks(cluster)
    peerings = [peering for network in own for peering in connected(network)]
    places = [partial(_here, network) for network in own] + [partial(_beyond, peering) for peering in peerings]
    answers = [each((place,), lambda find: find()) for place in places]
    found = _best(answers)
    if found.outcome is Outcome.NOT_APPLICABLE:
        shown = (network.at(VirtualNetwork.subnets) for network in own)
        none = "There is no bastion, gateway or machine from which the private API server can be reached"
        found = fails(none, *shown)
    ids = [network.id for network in own] + [one.remote.id for one in peerings if one.remote]
    return each((found, _open_machines(cluster.estate, ids)), lambda verdict: verdict)


def _open_machines(estate: Estate, networks: Sequence[str]) -> Verdict:
    """Whether a machine that was read, in one of some networks, is a way in for everybody."""
    machines = estate.indexed(_machines)
    near = sorted({network.lower() for network in networks})
    found = each([one for network in near for one in machines.by_network.get(network, ())], _is_open)
    if found.outcome is not Outcome.FAIL and machines.unread:
        return undecided(str(machines.unread[0]), missing=machines.unread[0].missing)
    return found


def _beyond(peering: VirtualNetworkPeering) -> Verdict:
    remote = stated(peering, VirtualNetworkPeering.remote).id
    if is_virtual_hub(remote):
        shown = peering.at(VirtualNetworkPeering.remote)
        return undecided("The network is connected to a Virtual WAN hub, whose gateways are not read", shown)
    return _here(peering.estate.resource(VirtualNetwork, remote))


def _here(network: VirtualNetwork) -> Verdict:
    """The ways into one network; not applicable where there is none."""
    return network.estate.once(_ways_into, network)


def _ways_into(network: VirtualNetwork) -> Verdict:
    answers = [each((find,), lambda find: find(network)) for find in (_bastion, _gateway, _machine)]
    return _best(answers)


def _best(answers: Sequence[Verdict]) -> Verdict:
    """One way is enough, and what is unread counts before nothing."""
    for wanted in (Outcome.PASS, Outcome.UNKNOWN):
        found = [one for one in answers if one.outcome is wanted]
        if found:
            return each(found, lambda verdict: verdict)
    return not_applicable("There is no way into the network")


def _bastion(network: VirtualNetwork) -> Verdict:
    for subnet in stated(network, VirtualNetwork.subnets):
        if subnet.name.lower() == BASTION_SUBNET and subnet.ip_configurations:
            shown = subnet.at(Subnet.ip_configurations)
            return passes(f"{network.name} has Azure Bastion", shown)
    return not_applicable("There is no bastion", network.at(VirtualNetwork.subnets))


def _gateway(network: VirtualNetwork) -> Verdict:
    return _best([each((gateway,), _leads_in) for gateway in _gateways(network)])


def _leads_in(gateway_id: "_GatewayId") -> Verdict:
    gateway = gateway_id.estate.resource(VirtualNetworkGateway, gateway_id.id)
    if gateway.client_addresses:
        shown = gateway.at(VirtualNetworkGateway.client_addresses)
        return passes(f"VPN clients come in through {gateway.name}", shown)
    connections = gateway.connections
    for one in connections:
        if stated(one, GatewayConnection.status) is not ConnectionStatus.NOT_CONNECTED:
            message = f"{gateway.name} has connection {one.name}"
            return passes(message, one.at(GatewayConnection.status), one.at(GatewayConnection.connection_type))
    connections.whole()
    return not_applicable(f"{gateway.name} has no connection", gateway.at(VirtualNetworkGateway.gateway_type))


class _GatewayId(NamedTuple):
    """A gateway that a subnet's body names."""

    estate: Estate
    id: str


def _gateways(network: VirtualNetwork) -> Iterator[_GatewayId]:
    """The virtual network gateways that stand in a network, by the body of its GatewaySubnet."""
    found: dict[str, _GatewayId] = {}
    for subnet in stated(network, VirtualNetwork.subnets):
        for link in (subnet.ip_configurations or ()) if subnet.name.lower() == GATEWAY_SUBNET else ():
            gateway = parse(link.id).parent
            if parse(gateway).type.lower() == VirtualNetworkGateway.TYPE.lower():
                found.setdefault(gateway.lower(), _GatewayId(network.estate, gateway))
    yield from found.values()


class _Machines(NamedTuple):
    """The interfaces of machines that are no nodes and do not forward, by network (lower case); and what is unread."""

    by_network: Mapping[str, list[NetworkInterface]]
    unread: Sequence[Unread]


def _machines(estate: Estate) -> _Machines:
    found: dict[str, list[NetworkInterface]] = {}
    unread: list[Unread] = []
    nodes: set[str] = set()
    for cluster in estate.every(ManagedCluster):
        try:
            nodes.add(cluster.node_group_id.lower())
        except Unread as problem:
            unread.append(problem)
    for interface in estate.every(NetworkInterface):
        try:
            for network in _networks_of(interface) if nodes.isdisjoint(scopes(interface.id)) else ():
                found.setdefault(network, []).append(interface)
        except Unread as problem:
            unread.append(problem)
    return _Machines(found, unread)


def _networks_of(interface: NetworkInterface) -> set[str]:
    """The networks of a machine's interface; none where it is no machine's, or forwards as appliances do."""
    if interface.virtual_machine is None or stated(interface, NetworkInterface.enable_ip_forwarding):
        return set()
    own = stated(interface, NetworkInterface.ip_configurations)
    return {parse(stated(one, InterfaceIPConfiguration.subnet).id).parent.lower() for one in own}


def _machine(network: VirtualNetwork) -> Verdict:
    machines = network.estate.indexed(_machines)
    if machines.unread:
        raise machines.unread[0]
    found = _best([each((one,), _stands) for one in machines.by_network.get(network.id.lower(), ())])
    if found.outcome is Outcome.NOT_APPLICABLE:
        network.estate.within(NetworkInterface, f"/subscriptions/{network.parsed.subscription}").whole()
    return found


def _stands(interface: NetworkInterface) -> Verdict:
    """Whether a machine is a way in from inside; one with a public address is none."""
    machine = parse(stated(interface, NetworkInterface.virtual_machine).id).name
    shown = interface.at(NetworkInterface.virtual_machine)
    public = _public(interface)
    if not public:
        return passes(f"Machine {machine} stands in the network", shown)
    evidence = (one.at(InterfaceIPConfiguration.public_ip_address) for one in public)
    return not_applicable(f"Machine {machine} has a public address", shown, *evidence)


def _public(interface: NetworkInterface) -> list[InterfaceIPConfiguration]:
    return [one for one in stated(interface, NetworkInterface.ip_configurations) if one.public_ip_address]


def _is_open(interface: NetworkInterface) -> Verdict:
    """Whether a machine takes SSH or RDP from the internet."""
    machine = parse(stated(interface, NetworkInterface.virtual_machine).id).name
    shown = interface.at(NetworkInterface.virtual_machine)
    public = _public(interface)
    evidence = (shown, *(one.at(InterfaceIPConfiguration.public_ip_address) for one in public))
    groups = [one for configuration in public for one in _groups(interface, configuration)]
    if groups and all(map(_takes_shells, groups)):
        message = f"Machine {machine} takes SSH or RDP from the internet"
        return fails(message, *evidence, severity=Severity.MEDIUM)
    return not_applicable("No machine takes SSH or RDP from the internet", *evidence)


def _groups(interface: NetworkInterface, configuration: InterfaceIPConfiguration) -> Iterator[NetworkSecurityGroup]:
    """The security groups before an address. Without any, a public address of the Standard SKU takes nothing."""
    subnet = stated(configuration, InterfaceIPConfiguration.subnet).read()
    for link in (subnet.network_security_group, interface.network_security_group):
        if link:
            yield link.read()


def _takes_shells(group: NetworkSecurityGroup) -> bool:
    return any(
        ports & SHELLS["tcp"] and any(on_the_internet(opening.box.sources) for opening in here)
        for ports, here in by_port(openings(group, SecurityRuleDirection.INBOUND), "tcp")
    )


@rule(
    "AKS-SUB-28",
    title="Two lines lead to an organisation's own sites",
    severity=Severity.INFO,
    controls=(review_checklist("e8a03f97-8794-468d-96a7-86d60f96c97b"),),
)
def hybrid_lines(network: ClusterNetwork) -> Verdict:
    """One circuit or one tunnel is one excavator, or one maintenance night, away from being none.

    With it go what workloads ask of the organisation's own sites, often the names and the sign-in, and the way by which
    clusters are managed.

    Severity: nothing fails until the line does; how much depends on it is for its owner to say.
    Decided: the VPN and ExpressRoute gateways in the network and in peers whose gateway it uses (`useRemoteGateways`), and their
    connections that are not `NotConnected`. Two ExpressRoute circuits pass, and so do a circuit with a VPN connection beside
    it, and two VPN connections where the gateway is `activeActive`. Circuits are told apart by their ids: where they begin, and
    whether they share a provider, is not read, for the body of a circuit holds its service key. Not applicable where no
    gateway has a connection to a site; connections between networks of Azure, and VPN clients, are none.
    Fix: az network vpn-connection create --resource-group <group> --name <connection> --vnet-gateway1 <gateway> --local-gateway2 <site>
    Bicep: Microsoft.Network/connections properties.connectionType, and virtualNetworkGateways properties.activeActive: true
    Change: in place beside the first line; a second circuit takes its provider weeks
    References: https://learn.microsoft.com/azure/expressroute/designing-for-high-availability-with-expressroute
    https://learn.microsoft.com/azure/expressroute/use-s2s-vpn-as-backup-for-expressroute-privatepeering
    https://learn.microsoft.com/azure/vpn-gateway/vpn-gateway-highlyavailable
    """
    places: list[Callable[[], Iterator[_GatewayId]]] = [partial(_gateways, network)]
    for peering in connected(network):
        if stated(peering, VirtualNetworkPeering.use_remote_gateways):
            remote = stated(peering, VirtualNetworkPeering.remote)
            if is_virtual_hub(remote.id):
                shown = peering.at(VirtualNetworkPeering.remote)
                return undecided("The network uses the gateways of a Virtual WAN hub, which are not read", shown)
            places.append(partial(_gateways, network.estate.resource(VirtualNetwork, remote.id)))
    gateways = [one.estate.resource(VirtualNetworkGateway, one.id) for find in places for one in find()]
    return _judge_lines(network, gateways)


def _judge_lines(network: ClusterNetwork, gateways: Sequence[VirtualNetworkGateway]) -> Verdict:
    lines = [one for gateway in gateways for one in gateway.connections if _is_up(one)]
    circuits = {one.id.lower() for line in lines for one in [_circuit(line)] if one}
    tunnels = [line for line in lines if line.connection_type is ConnectionType.IPSEC]
    shown = [line.at(GatewayConnection.connection_type) for line in lines]
    doubled = [gateway.at(VirtualNetworkGateway.active_active) for gateway in gateways if gateway.active_active]
    if len(circuits) >= LEAST_LINES or (circuits and tunnels):
        return passes(f"{len(circuits)} circuits and {len(tunnels)} VPN connections lead to sites", *shown)
    if len(tunnels) >= LEAST_LINES and doubled:
        return passes(f"{len(tunnels)} VPN connections lead to sites, by an active-active gateway", *shown, *doubled)
    for gateway in gateways:
        gateway.connections.whole()
    if not circuits and not tunnels:
        return not_applicable("No gateway connects the network to a site", network.at(VirtualNetwork.subnets))
    if circuits:
        return fails("One ExpressRoute circuit leads to sites, and nothing else", *shown)
    named = "One VPN connection leads" if len(tunnels) == 1 else f"{len(tunnels)} VPN connections lead"
    return fails(
        f"{named} to sites, by a gateway that is not active-active" if not doubled else f"{named} to sites", *shown
    )


def _is_up(line: GatewayConnection) -> bool:
    return stated(line, GatewayConnection.status) is not ConnectionStatus.NOT_CONNECTED


def _circuit(line: GatewayConnection) -> Link[AzureResource] | None:
    """The circuit that a connection leads to; None for another kind of connection."""
    if stated(line, GatewayConnection.connection_type) is not ConnectionType.EXPRESS_ROUTE:
        return None
    return stated(line, GatewayConnection.circuit)


RULES = (management_path, hybrid_lines)
