"""Whether private names, the API server's before all, lead where they should from where the nodes ask."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import assert_never

from aks_audit.facts import (
    ClusterSubnet,
    ClusterZone,
    Estate,
    Malformed,
    ManagedCluster,
    NotCollected,
    Unread,
    VirtualNetwork,
)
from aks_audit.facts.enumerations import ConnectionState, LinkState, PeeringState
from aks_audit.facts.name_resolution import ARecordSet, PrivateDnsZone, VirtualNetworkLink, api_server_zone
from aks_audit.facts.networking import (
    Delegation,
    PrivateEndpoint,
    PrivateLinkServiceConnection,
    VirtualNetworkPeering,
)
from aks_audit.facts.resource_id import parse
from aks_audit.network.dns import answering_networks, node_networks
from aks_audit.network.dns_servers import AZURE_DNS, Host, Server, dns_proxy, servers
from aks_audit.network.forwarding import forwarding_of
from aks_audit.network.private_endpoints import (
    api_server_addresses,
    connections_to,
    endpoints_of,
)
from aks_audit.network.private_zones import addresses_of, link_to, record_of
from aks_audit.results import Evidence, Outcome, Severity, Verdict
from aks_audit.rule import each, each_of_all, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.api_server import PrivateDnsMode, dns_mode, is_private
from aks_audit_rules.frameworks import aprl, azqr, checkov, psrule

LONGEST_SUBZONE = 32
"""How many characters the name before `privatelink.` or `private.` may have, by Azure's documentation."""

LEAST_SUBNET = 28
"""The prefix length of the smallest subnet that API Server VNet Integration takes."""


@rule(
    "AKS-API-09",
    title="The API server's subnet is delegated to AKS and large enough",
    severity=Severity.HIGH,
)
def api_server_subnet(subnet: ClusterSubnet) -> Verdict:
    """With API Server VNet Integration the API server stands in a subnet of yours, which AKS needs for itself.

    The delegation keeps everything else out, and the API server takes more addresses as it grows and is upgraded.

    Severity: without the delegation the API server cannot be placed; without room it cannot scale or be upgraded, which
    shows when it is needed most.
    Decided: in a subnet named in `properties.apiServerAccessProfile.subnetId` of a cluster, a delegation has the
    `serviceName` Microsoft.ContainerService/managedClusters, and an IPv4 prefix is a /28 or larger. Other subnets are not
    concerned. Azure keeps everything else out of a delegated subnet.
    Fix: az network vnet subnet update --subscription {subscription} --resource-group {group} --vnet-name {vnet} --name {subnet} --delegations Microsoft.ContainerService/managedClusters
    Bicep: properties.delegations: [{{ name: 'aks', properties: {{ serviceName: 'Microsoft.ContainerService/managedClusters' }} }}]
    Change: in place for the delegation, as long as the subnet is empty; a larger prefix needs one that is free
    References: https://learn.microsoft.com/azure/aks/api-server-vnet-integration
    """
    if not any(use.kind == "api-server" for use in subnet.uses):
        return not_applicable("No API server stands in the subnet")
    prefixes = [prefix for prefix in subnet.prefixes if prefix.version == 4]  # noqa: PLR2004 - IPv4
    evidence = subnet.at(ClusterSubnet.address_prefix if subnet.address_prefix else ClusterSubnet.address_prefixes)
    delegated = subnet.at(ClusterSubnet.delegations)
    if not prefixes:
        raise Malformed(subnet.id, evidence.pointer, "a subnet without an IPv4 prefix")
    names = {(delegation.service_name or "").lower(): delegation for delegation in subnet.delegations or ()}
    own = names.get("microsoft.containerservice/managedclusters")
    if own is None:
        return fails("The API server's subnet is not delegated to AKS", delegated)
    if min(prefix.prefixlen for prefix in prefixes) > LEAST_SUBNET:
        return fails(f"The API server's subnet is smaller than a /{LEAST_SUBNET}", evidence)
    return passes(
        "The API server's subnet is delegated to AKS and large enough", own.at(Delegation.service_name), evidence
    )


@rule(
    "AKS-API-10",
    title="The API server's private endpoint is approved and healthy",
    severity=Severity.HIGH,
    controls=(aprl("b89c9acc-0aba-fb44-9ff2-3dbfcf97dce7"),),
)
def endpoint_healthy(cluster: ManagedCluster) -> Verdict:
    """The nodes of a private cluster reach the API server through its private endpoint alone.

    Severity: where the connection is not approved, or the endpoint failed, nodes lose the API server: nothing is scheduled,
    healed or scaled, and nobody can administer the cluster.
    Decided: the private endpoint in the node resource group that leads to the cluster has a connection with the status
    Approved, and `provisioningState` Succeeded. States on the way, such as Updating, are unknown. No endpoint in a group
    that was read whole fails. Public clusters and API Server VNet Integration have none.
    Fix: az resource update --ids $(az aks show --resource-group {group} --name {name} --query id --output tsv)
    Bicep: properties.apiServerAccessProfile.enablePrivateCluster: true, and nothing in the node resource group by hand
    Change: in place; the command reconciles the cluster, by which AKS makes its own endpoint anew
    References: https://learn.microsoft.com/azure/aks/private-clusters
    https://learn.microsoft.com/azure/private-link/private-endpoint-overview
    """
    if not is_private(cluster):
        return not_applicable("The cluster is public", cluster.at(ManagedCluster.enable_private_cluster))
    if cluster.enable_vnet_integration:
        return not_applicable(
            "The API server is in the VNet itself", cluster.at(ManagedCluster.enable_vnet_integration)
        )
    endpoints = endpoints_of(cluster)
    if not endpoints:
        private = cluster.at(ManagedCluster.enable_private_cluster)
        return fails("The node resource group has no private endpoint of the API server", private)
    return each(endpoints, lambda endpoint: _endpoint(endpoint, cluster.id))


def _endpoint(endpoint: PrivateEndpoint, cluster_id: str) -> Verdict:
    state = endpoint.at(PrivateEndpoint.provisioning_state)
    match (endpoint.provisioning_state or "").lower():
        case "succeeded":
            return each(connections_to(endpoint, cluster_id), lambda one: _connection(one, state))
        case "failed":
            return fails("The API server's private endpoint has failed", state)
        case "":
            raise Malformed(endpoint.id, state.pointer, "a private endpoint without its state")
        case _:
            return undecided(f"The API server's private endpoint is {endpoint.provisioning_state}", state)


def _connection(connection: PrivateLinkServiceConnection, provisioned: Evidence) -> Verdict:
    evidence = connection.at(PrivateLinkServiceConnection.state)
    match connection.state:
        case ConnectionState.APPROVED:
            return passes("The API server's private endpoint is approved and healthy", evidence, provisioned)
        case None:
            raise Malformed(connection.document.id, evidence.pointer, "a connection without its state")
        case other:
            return fails(f"The connection of the API server's private endpoint is {other}", evidence)


@rule(
    "AKS-API-12",
    title="A private DNS zone of your own has a name that AKS accepts",
    severity=Severity.MEDIUM,
)
def zone_name(cluster: ManagedCluster) -> Verdict:
    """AKS writes the API server's record into your zone only if the zone's name has the form that it expects.

    Severity: the cluster cannot be made, or the name cannot be resolved after the zone was exchanged: an outage, no way in.
    Decided: the name of the zone in `properties.apiServerAccessProfile.privateDNSZone` is privatelink.<region>.azmk8s.io,
    with API Server VNet Integration private.<region>.azmk8s.io, or a subzone of it with up to 32 letters, digits and
    hyphens before it; the region is the cluster's. In Azure China and Azure Government the end is their own. Zones of
    AKS's own, and clusters without one, are not concerned.
    Fix: az network private-dns zone create --resource-group <group> --name privatelink.{location}.azmk8s.io
    Bicep: properties.apiServerAccessProfile.privateDNSZone: the id of a zone with such a name
    Change: new cluster; the zone of an existing one cannot be exchanged
    References: https://learn.microsoft.com/azure/aks/private-clusters
    https://learn.microsoft.com/azure/private-link/private-endpoint-dns
    """
    if not is_private(cluster):
        return not_applicable("The cluster is public", cluster.at(ManagedCluster.enable_private_cluster))
    evidence = cluster.at(ManagedCluster.private_dns_zone)
    if dns_mode(cluster) is not PrivateDnsMode.ZONE:
        return not_applicable("The cluster has no private DNS zone of your own", evidence)
    place = cluster.at(ManagedCluster.location)
    if cluster.location is None:
        raise Malformed(cluster.id, place.pointer, "a cluster without its region")
    name = parse(cluster.private_dns_zone or "").name.lower()
    region = re.escape(cluster.location.replace(" ", "").lower())
    kind = "private" if cluster.enable_vnet_integration else "privatelink"
    ends = r"(?:azmk8s\.io|cx\.prod\.service\.azk8s\.cn|cx\.aks\.containerservice\.azure\.us)"
    found = re.fullmatch(rf"(?:([a-z0-9-]+)\.)?{kind}\.{region}\.{ends}", name)
    if found is None:
        return fails(f"{name} is not of the form {kind}.<region>.azmk8s.io for the cluster's region", evidence, place)
    if len(found[1] or "") > LONGEST_SUBZONE:
        return fails(f"{name} has more than {LONGEST_SUBZONE} characters before {kind}", evidence)
    return passes("The private DNS zone has a name that AKS accepts", evidence, place)


@rule(
    "AKS-API-13",
    title="The API server's private DNS zone is linked to the cluster's network",
    severity=Severity.HIGH,
)
def zone_linked_to_nodes(cluster: ManagedCluster) -> Verdict:
    """Azure's DNS answers with a private zone only in networks that the zone is linked to.

    Severity: nodes that start, and those that come back after a restart, cannot find the API server.
    Decided: the zone with the API server's private name has a link to each network of the nodes, with
    `virtualNetworkLinkState` Completed. Where such a link is missing, and the network asks DNS servers of its own
    (`dhcpOptions.dnsServers`) that are not Azure's, or a DNS resolver's enabled forwarding rule for the name is linked to
    it, the servers there decide (AKS-API-14). Public clusters, and those without a private zone, are not concerned.
    Fix: az network private-dns link vnet create --resource-group <group of the zone> --zone-name <zone> --name <name> --virtual-network <network id> --registration-enabled false
    Bicep: a resource of type Microsoft.Network/privateDnsZones/virtualNetworkLinks with the network's id
    Change: in place, within a minute; nothing restarts
    References: https://learn.microsoft.com/azure/aks/private-clusters
    https://learn.microsoft.com/azure/dns/private-dns-virtual-network-links
    """
    zone = api_server_zone(cluster) if is_private(cluster) else None
    if zone is None:
        return _without_zone(cluster)
    name = cluster.private_fqdn or zone.name
    return each(node_networks(cluster), lambda network: _linked_to_nodes(zone, network, name))


def _without_zone(cluster: ManagedCluster) -> Verdict:
    evidence = (cluster.at(ManagedCluster.enable_private_cluster), cluster.at(ManagedCluster.private_dns_zone))
    return not_applicable("The API server has no name in a private DNS zone", *evidence)


def _linked_to_nodes(zone: PrivateDnsZone, network: VirtualNetwork, name: str) -> Verdict:
    found = link_to(zone, network)
    if found is not None and found.state is LinkState.COMPLETED:
        return _linked(zone, network, found)
    own = network.dns_servers or ()
    if own and str(AZURE_DNS) not in own:
        asked = network.at(VirtualNetwork.dns_servers)
        return not_applicable(f"{network.name} asks DNS servers of its own, which AKS-API-14 judges", asked)
    if found is None and (forwarding := forwarding_of(network, name.lower())):
        told = f"A forwarding rule passes the name on from {network.name}, which AKS-API-14 judges"
        return not_applicable(told, *forwarding.evidence)
    return _linked(zone, network, found)


def _linked(zone: PrivateDnsZone, network: VirtualNetwork, found: VirtualNetworkLink | None) -> Verdict:
    if found is None:
        name = network.at(VirtualNetwork.dns_servers)
        return fails(f"The private DNS zone {zone.name} is not linked to {network.name}", name)
    state = found.at(VirtualNetworkLink.state)
    match found.state:
        case LinkState.COMPLETED:
            which = found.at(VirtualNetworkLink.virtual_network)
            return passes(f"The private DNS zone {zone.name} is linked to {network.name}", which, state)
        case LinkState.IN_PROGRESS:
            return fails(f"The link of the private DNS zone {zone.name} to {network.name} is not completed", state)
        case None:
            raise Malformed(found.id, state.pointer, "a link without its state")
        case other:
            assert_never(other)


@rule(
    "AKS-API-14",
    title="The API server's private DNS zone is linked where its DNS servers stand",
    severity=Severity.HIGH,
)
def zone_linked_to_dns(cluster: ManagedCluster) -> Verdict:
    """DNS servers of your own ask Azure's DNS from the network they stand in; the private zone has to be linked there.

    Severity: every node, and everybody else who asks those servers, is told that the API server does not exist.
    Decided: for each DNS server (`dhcpOptions.dnsServers`) of the nodes' networks, the network that it stands in has a
    completed link of the zone with the API server's private name. A firewall with DNS servers of its own passes the
    question on to those; so does Azure's DNS in a network that a DNS resolver's forwarding rule for the name is linked
    to, unless a private zone comes first. A firewall whose DNS proxy is off, and an address in a DNS resolver's subnet
    that is no inbound endpoint, are AKS-API-20's matter. Servers in no network that was read, such as
    those on premises, and those that nothing was read about, are unknown. Networks that ask
    Azure's DNS themselves are judged by AKS-API-13; whether a machine does ask Azure's DNS in turn is a setting of its
    own, which Azure does not hold.
    Fix: az network private-dns link vnet create --resource-group <group of the zone> --zone-name <zone> --name <name> --virtual-network <network id> --registration-enabled false
    Bicep: a resource of type Microsoft.Network/privateDnsZones/virtualNetworkLinks with the id of the DNS servers' network
    Change: in place, within a minute; nothing restarts
    References: https://learn.microsoft.com/azure/aks/private-clusters
    https://learn.microsoft.com/azure/private-link/private-endpoint-dns-integration
    https://learn.microsoft.com/azure/firewall/dns-settings
    """
    zone = api_server_zone(cluster) if is_private(cluster) else None
    if zone is None:
        return _without_zone(cluster)
    name = cluster.private_fqdn or zone.name
    asked = [server for network in node_networks(cluster) for server in answering_networks(network, name)]
    return each(asked, lambda server: _linked_to_server(zone, server))


def _linked_to_server(zone: PrivateDnsZone, server: Server) -> Verdict:
    if server.unread:
        raise NotCollected(*server.unread)
    told = f"The DNS server {server.address}"
    match server.host:
        case Host.AZURE:
            return not_applicable("The network asks Azure's DNS, which AKS-API-13 judges", *server.evidence)
        case Host.ELSEWHERE:
            return undecided(f"{told} is in no network that was read", *server.evidence)
        case Host.FIREWALL if server.firewall and not dns_proxy(server.firewall).enabled:
            return not_applicable(
                f"{told} is a firewall that does not answer, which AKS-API-20 judges", *server.evidence
            )
        case Host.NOBODY:
            return not_applicable(f"{told} is {server.host}, which AKS-API-20 judges", *server.evidence)
        case _ if server.network is None:
            return fails(f"{told} is a firewall in a virtual hub, which no zone can be linked to", *server.evidence)
        case _:
            return _linked_to_home(zone, server, server.network)


def _linked_to_home(zone: PrivateDnsZone, server: Server, home: VirtualNetwork) -> Verdict:
    verdict = _linked(zone, home, link_to(zone, home))
    message = f"{verdict.message} (DNS server {server.address}, {server.host})"
    evidence = (*verdict.evidence, *server.evidence)
    if server.host is Host.UNSEEN and verdict.outcome is Outcome.PASS:
        return undecided(message, *evidence)
    return Verdict(verdict.outcome, message, evidence)


@rule(
    "AKS-API-15",
    title="The API server's DNS record is its real private address",
    severity=Severity.HIGH,
)
def record_matches(cluster: ManagedCluster) -> Verdict:
    """A record that was left behind, or was written by hand, leads the nodes to nobody, or to somebody else.

    Severity: nodes and administrators cannot reach the API server; whoever gets the old address is asked in its place.
    Decided: in the private DNS zone, the A record for `properties.privateFQDN` (its own, else a wildcard) has just the
    addresses of the API server: those of the network interface of its private endpoint, or, with API Server VNet
    Integration, of the load balancer kube-apiserver in the node resource group. No record fails. Clusters without a
    private zone are not concerned.
    Fix: az network private-dns record-set a update --resource-group <group of the zone> --zone-name <zone> --name <record> --set aRecords[0].ipv4Address=<address>
    Bicep: none; AKS writes the record itself, with the cluster's identity
    Change: in place; clients hold the old answer for as long as the record's TTL
    References: https://learn.microsoft.com/azure/aks/private-clusters
    https://learn.microsoft.com/azure/aks/api-server-vnet-integration
    """
    zone = api_server_zone(cluster) if is_private(cluster) else None
    if zone is None:
        return _without_zone(cluster)
    name = cluster.at(ManagedCluster.private_fqdn)
    if cluster.private_fqdn is None:
        raise Malformed(cluster.id, name.pointer, "a private cluster without a name")
    if not zone.holds(cluster.private_fqdn):
        return fails(f"{cluster.private_fqdn} does not lie in the private DNS zone {zone.name}", name)
    found = record_of(zone, cluster.private_fqdn)
    if found is None:
        return fails(f"The private DNS zone {zone.name} has no record for {cluster.private_fqdn}", name)
    if not isinstance(found, ARecordSet):
        return undecided(f"{cluster.private_fqdn} stands for another name, which is not followed", name)
    real = api_server_addresses(cluster)
    evidence = (found.at(ARecordSet.records), *real.evidence)
    told = addresses_of(found)
    if told != real.addresses:
        return fails(f"The record is {_listed(told)}, and the API server is at {_listed(real.addresses)}", *evidence)
    return passes("The record is the API server's real private address", *evidence)


def _listed(addresses: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, addresses))) or "empty"


@rule(
    "AKS-API-16",
    title="The API servers' private DNS zone has no stale or duplicate records",
    severity=Severity.LOW,
)
def no_stale_records(zone: ClusterZone) -> Verdict:
    """Records of clusters that are gone stay behind, and their addresses are given to others.

    Severity: nobody reaches a wrong place by the name of a cluster that lives; an old kubeconfig may.
    Decided: each A record of the zone is judged. One with an address that another name has too, or with more than one
    address, fails; so does the record of a cluster that was read and is at another address. One with the address of its
    cluster passes. A record whose name is no cluster's that was read is unknown.
    Fix: az network private-dns record-set a delete --subscription {subscription} --resource-group {group} --zone-name {zone} --name <record>
    Bicep: none; AKS writes the records itself
    Change: in place; be sure that the cluster is gone
    References: https://learn.microsoft.com/azure/aks/private-clusters
    """
    owners = zone.estate.indexed(_by_private_name)
    holders: dict[object, list[ARecordSet]] = {}
    for record in zone.a_records:
        with suppress(Unread):  # it is judged by itself, and unknown
            for address in addresses_of(record):
                holders.setdefault(address, []).append(record)
    return each_of_all(zone.a_records, lambda record: _record(zone, record, owners, holders))


def _by_private_name(estate: Estate) -> Mapping[str, ManagedCluster]:
    """The clusters by the private name of their API server, in lower case."""
    owners: dict[str, ManagedCluster] = {}
    for cluster in estate.every(ManagedCluster):
        with suppress(Unread):
            owners[(cluster.private_fqdn or "").lower()] = cluster
    return owners


def _record(
    zone: ClusterZone,
    record: ARecordSet,
    owners: Mapping[str, ManagedCluster],
    holders: Mapping[object, Sequence[ARecordSet]],
) -> Verdict:
    evidence = record.at(ARecordSet.records)
    own = addresses_of(record)
    if len(own) > 1:
        return fails(f"{record.name} has more than one address: {_listed(own)}", evidence)
    same = [one for address in own for one in holders[address]]
    if len(same) > 1:
        names = " and ".join(one.name for one in same)
        return fails(f"{names} have the same address, {_listed(own)}", *(one.at(ARecordSet.records) for one in same))
    name = f"{record.name}.{zone.name}".lower()
    if name not in owners:
        return undecided(f"No cluster that was read has the name {name}", evidence)
    real = api_server_addresses(owners[name])
    if own != real.addresses:
        return fails(f"{record.name} is not the address of its cluster", evidence, *real.evidence)
    return passes("The records are the addresses of their clusters", evidence, *real.evidence)


@rule(
    "AKS-API-17",
    title="Links of the API servers' private DNS zone do not register machines",
    severity=Severity.LOW,
)
def no_registration(zone: ClusterZone) -> Verdict:
    """With auto-registration each machine of the linked network writes its own name into the zone of the API servers.

    Severity: whoever may create machines there can put names beside those of API servers; and a network can register in
    one zone only, so that it is lost for another.
    Decided: `properties.registrationEnabled` of every link of the zone is false. True fails. Zones without links have
    nothing to judge.
    Fix: az network private-dns link vnet update --subscription {subscription} --resource-group {group} --zone-name {zone} --name <link> --registration-enabled false
    Bicep: properties.registrationEnabled: false on the link
    Change: in place; the machines' records go
    References: https://learn.microsoft.com/azure/dns/private-dns-autoregistration
    """
    return each_of_all(zone.links, _unregistered)


def _unregistered(bond: VirtualNetworkLink) -> Verdict:
    evidence = bond.at(VirtualNetworkLink.registration_enabled)
    match bond.registration_enabled:
        case False:
            return passes("The links do not register machines", evidence)
        case True:
            return fails(f"The link {bond.name} registers machines in the zone", evidence)
        case None:
            raise Malformed(bond.id, evidence.pointer, "a link without registrationEnabled")
        case other:
            assert_never(other)


@rule(
    "AKS-API-20",
    title="The DNS servers of the cluster's network answer, and not from a single machine",
    severity=Severity.MEDIUM,
    controls=(
        psrule("Azure.VNET.SingleDNS"),
        psrule("Azure.VNET.LocalDNS"),
        azqr("vnet-009"),
        checkov("CKV_AZURE_182"),
        checkov("CKV_AZURE_183"),
    ),
)
def dns_servers_sane(cluster: ManagedCluster) -> Verdict:
    """Nodes with DNS servers that they cannot reach, or that do not answer, find neither the API server nor images.

    Severity: an outage of the one server is an outage of all names, in all pods; new nodes do not come up.
    Decided: each server in `dhcpOptions.dnsServers` of the nodes' networks. A firewall has to have its DNS proxy on (absent
    means off), a peering to the server's network has to be Connected, and the server's network has to be in the nodes'
    region. A machine has to have a second server beside it. The inbound endpoint of a DNS resolver, and a firewall, are
    redundant by themselves; an address in a DNS resolver's subnet that none of its inbound endpoints has does not answer. What stands behind a load balancer, on premises, or at an address that nothing was read about,
    is unknown. Azure's own DNS has nothing to judge.
    Fix: az network vnet update --ids <network id> --dns-servers <address> <address>
    Bicep: properties.dhcpOptions.dnsServers: two servers, a firewall with DNS proxy, or a resolver's inbound endpoint
    Change: in place; nodes take the new servers when they are restarted or their lease is renewed
    References: https://learn.microsoft.com/azure/virtual-network/virtual-networks-name-resolution-for-vms-and-role-instances
    https://learn.microsoft.com/azure/firewall/dns-settings
    https://learn.microsoft.com/azure/dns/dns-private-resolver-overview
    """
    return each(node_networks(cluster), lambda network: each(servers(network), lambda one: _server(one, network)))


def _server(server: Server, network: VirtualNetwork) -> Verdict:
    asked = network.at(VirtualNetwork.dns_servers)
    told = f"The DNS server {server.address} of {network.name}"
    if server.host is Host.AZURE:
        return not_applicable(f"{network.name} asks Azure's DNS", asked)
    if server.host is Host.ELSEWHERE:
        return _elsewhere(server, network, told)
    if server.host is Host.NOBODY:
        return fails(f"{told} is {server.host}: nothing answers there", *server.evidence)
    if server.network and _region(server.network) != _region(network):
        places = (server.network.at(VirtualNetwork.location), network.at(VirtualNetwork.location))
        return fails(f"{told} is in another region", *server.evidence, *places)
    return _by_host(server, network, told)


def _by_host(server: Server, network: VirtualNetwork, told: str) -> Verdict:
    match server.host:
        case Host.FIREWALL if server.firewall:
            proxy = dns_proxy(server.firewall)
            if not proxy.enabled:
                return fails(f"{told} is a firewall whose DNS proxy is off", *server.evidence, proxy.evidence)
            return passes(f"{told} is a firewall with DNS proxy", *server.evidence, proxy.evidence)
        case Host.RESOLVER:
            return passes(f"{told} is the inbound endpoint of a DNS resolver", *server.evidence)
        case Host.MACHINE if len(set(network.dns_servers or ())) < 2:  # noqa: PLR2004 - one, or more
            return fails(f"{told} is a machine, and the only one", *server.evidence)
        case Host.MACHINE:
            return passes(f"{told} is a machine, and not the only server", *server.evidence)
        case _ if server.unread:
            raise NotCollected(*server.unread)
        case _:
            return undecided(f"{told} is {server.host}", *server.evidence)


def _region(network: VirtualNetwork) -> str:
    if network.location is None:
        raise Malformed(network.id, network.at(VirtualNetwork.location).pointer, "a network without its region")
    return network.location.replace(" ", "").lower()


def _elsewhere(server: Server, network: VirtualNetwork, told: str) -> Verdict:
    for peering in network.peerings or ():
        prefixes = peering.remote_virtual_network_address_space or peering.remote_address_space or ()
        if peering.state is not PeeringState.CONNECTED and any(server.address in prefix for prefix in prefixes):
            state = peering.at(VirtualNetworkPeering.state)
            if peering.state is None:
                raise Malformed(network.id, state.pointer, "a peering without its state")
            return fails(f"{told} is behind a peering that is {peering.state}", *server.evidence, state)
    return undecided(f"{told} is in no network that was read, perhaps on premises", *server.evidence)


RULES = (
    api_server_subnet,
    endpoint_healthy,
    zone_name,
    zone_linked_to_nodes,
    zone_linked_to_dns,
    record_matches,
    no_stale_records,
    no_registration,
    dns_servers_sane,
)
