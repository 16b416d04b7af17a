"""Facts about names: private DNS zones with their links and records, DNS resolvers and their forwarding rules.

Source: Microsoft.Network/privateDnsZones 2024-06-01, Microsoft.Network/dnsResolvers and
Microsoft.Network/dnsForwardingRulesets 2025-05-01 as on the wire.
"""

from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.enumerations import ForwardingRuleState, LinkState, ResolutionPolicy
from aks_audit.facts.field import Choice, View, flag, number, parts, text
from aks_audit.facts.link import Holding, link, links
from aks_audit.facts.networking import Subnet, VirtualNetwork
from aks_audit.facts.resource import AzureResource
from aks_audit.facts.resource_id import parse
from aks_audit.facts.unread import Malformed, NotCollected
from aks_audit.results import Missing


class ARecord(View):
    """An address of a record set."""

    __slots__ = ()

    ipv4_address = text("ipv4Address")


class ARecordSet(AzureResource):
    """The IPv4 addresses of a name in a private zone; the name of the resource is relative to the zone, `@` its top."""

    __slots__ = ()

    TYPE = "Microsoft.Network/privateDnsZones/A"

    fqdn = text("properties.fqdn")
    records = parts("properties.aRecords", ARecord)
    is_auto_registered = flag("properties.isAutoRegistered")


class CNameRecordSet(AzureResource):
    """The other name that a name in a private zone stands for."""

    __slots__ = ()

    TYPE = "Microsoft.Network/privateDnsZones/CNAME"

    cname = text("properties.cnameRecord.cname")


class VirtualNetworkLink(AzureResource):
    """A virtual network in which a private zone is asked before public DNS."""

    __slots__ = ()

    TYPE = "Microsoft.Network/privateDnsZones/virtualNetworkLinks"

    virtual_network = link("properties.virtualNetwork", VirtualNetwork)
    registration_enabled = flag("properties.registrationEnabled")
    state = Choice("properties.virtualNetworkLinkState", LinkState)
    resolution_policy = Choice("properties.resolutionPolicy", ResolutionPolicy)


class PrivateDnsZone(AzureResource):
    """A private DNS zone; its name is the zone's."""

    __slots__ = ()

    TYPE = "Microsoft.Network/privateDnsZones"

    @property
    def links(self) -> Holding[VirtualNetworkLink]:
        """The networks in which it is asked."""
        return self.estate.within(VirtualNetworkLink, self.id)

    @property
    def a_records(self) -> Holding[ARecordSet]:
        """Its IPv4 records."""
        return self.estate.within(ARecordSet, self.id)

    @property
    def cname_records(self) -> Holding[CNameRecordSet]:
        """Its other names. They are read with the A records, so that these are all where those are."""
        return self.estate.within(CNameRecordSet, self.id)

    def holds(self, name: str) -> bool:
        """Whether a host name, in any case, lies in this zone."""
        zone = self.name.lower()
        return name.lower() == zone or name.lower().endswith(f".{zone}")


class InboundIPConfiguration(View):
    """An address of an inbound endpoint."""

    __slots__ = ()

    private_ip_address = text("privateIpAddress")
    subnet = link("subnet", Subnet)


class InboundEndpoint(AzureResource):
    """Where a DNS resolver takes questions; it answers them as Azure's DNS does in the resolver's network."""

    __slots__ = ()

    TYPE = "Microsoft.Network/dnsResolvers/inboundEndpoints"

    ip_configurations = parts("properties.ipConfigurations", InboundIPConfiguration)


class DnsResolver(AzureResource):
    """A DNS resolver in a virtual network."""

    __slots__ = ()

    TYPE = "Microsoft.Network/dnsResolvers"

    virtual_network = link("properties.virtualNetwork", VirtualNetwork)

    @property
    def inbound_endpoints(self) -> Holding[InboundEndpoint]:
        """Where it takes questions."""
        return self.estate.within(InboundEndpoint, self.id)


class TargetDnsServer(View):
    """A server that questions are forwarded to; port 53 where none is named."""

    __slots__ = ()

    ip_address = text("ipAddress")
    port = number("port")


class ForwardingRule(AzureResource):
    """Where questions for the names of a domain go; the domain ends in a dot, which alone means all names."""

    __slots__ = ()

    TYPE = "Microsoft.Network/dnsForwardingRulesets/forwardingRules"

    domain_name = text("properties.domainName")
    state = Choice("properties.forwardingRuleState", ForwardingRuleState)
    target_dns_servers = parts("properties.targetDnsServers", TargetDnsServer)


class RulesetLink(AzureResource):
    """A virtual network in which the rules of a ruleset are followed."""

    __slots__ = ()

    TYPE = "Microsoft.Network/dnsForwardingRulesets/virtualNetworkLinks"

    virtual_network = link("properties.virtualNetwork", VirtualNetwork)


class DnsForwardingRuleset(AzureResource):
    """A set of forwarding rules. Questions leave from the networks of its outbound endpoints' resolvers."""

    __slots__ = ()

    TYPE = "Microsoft.Network/dnsForwardingRulesets"

    location = text("location")
    outbound_endpoints = links("properties.dnsResolverOutboundEndpoints", AzureResource)

    @property
    def rules(self) -> Holding[ForwardingRule]:
        """Its rules."""
        return self.estate.within(ForwardingRule, self.id)

    @property
    def links(self) -> Holding[RulesetLink]:
        """The networks in which they are followed."""
        return self.estate.within(RulesetLink, self.id)


def api_server_zone_id(cluster: ManagedCluster) -> str | None:
    """The id of the zone that holds the private name of a cluster's API server: one's own, or AKS's among its nodes.

    None where the cluster has no private name in a private zone: it is public, or its mode of private DNS is none.

    Raises:
        NotCollected: the zone is AKS's, and the node resource group holds none for the name as far as was read.
        Malformed: the zone is AKS's, and the cluster has no private name.
    """
    told = cluster.private_dns_zone
    if told and parse(told).type.lower() == PrivateDnsZone.TYPE.lower():
        return told
    if not cluster.enable_private_cluster or (told and told.lower() == "none"):
        return None
    name = cluster.private_fqdn
    if name is None:
        raise Malformed(cluster.id, cluster.at(ManagedCluster.private_fqdn).pointer, "a private cluster without a name")
    zones = cluster.estate.within(PrivateDnsZone, cluster.node_group_id)
    found = next((zone for zone in zones if zone.holds(name)), None)
    if found is None:
        zones.whole()
        reason = f"no private DNS zone in {cluster.node_group_id} holds {name}"
        raise NotCollected(Missing(what=cluster.node_group_id, kind="not-read", reason=reason))
    return found.id


def api_server_zone(cluster: ManagedCluster) -> PrivateDnsZone | None:
    """The zone of `api_server_zone_id`.

    Raises:
        NotCollected: it was not read, or is not there.
        Malformed: the zone is AKS's, and the cluster has no private name.
    """
    zone = api_server_zone_id(cluster)
    return cluster.estate.resource(PrivateDnsZone, zone) if zone else None
