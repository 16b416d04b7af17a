"""Facts about names: private DNS zones, their links and records, and DNS resolvers.

Source: Microsoft.Network/privateDnsZones 2024-06-01 and Microsoft.Network/dnsResolvers 2025-05-01 as on the wire.
"""

from aks_audit.facts.enumerations import LinkState
from aks_audit.facts.field import Choice, View, flag, parts, text
from aks_audit.facts.link import Holding, link
from aks_audit.facts.networking import VirtualNetwork
from aks_audit.facts.resource import AzureResource


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


class VirtualNetworkLink(AzureResource):
    """A virtual network in which a private zone is asked before public DNS."""

    __slots__ = ()

    TYPE = "Microsoft.Network/privateDnsZones/virtualNetworkLinks"

    virtual_network = link("properties.virtualNetwork", VirtualNetwork)
    registration_enabled = flag("properties.registrationEnabled")
    state = Choice("properties.virtualNetworkLinkState", LinkState)
    resolution_policy = text("properties.resolutionPolicy")


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
