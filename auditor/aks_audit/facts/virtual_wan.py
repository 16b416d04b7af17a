"""Facts about Virtual WAN hubs: their connections to networks, and where their routing intent sends traffic.

Source: Microsoft.Network/virtualHubs 2026-03-01 as on the wire.
"""

from aks_audit.facts.field import View, flag, parts, text, texts
from aks_audit.facts.link import Holding, link
from aks_audit.facts.networking import VirtualNetwork
from aks_audit.facts.resource import AzureResource


class HubVirtualNetworkConnection(AzureResource):
    """A hub's connection to a network; it takes the hub's default route where internet security is enabled."""

    __slots__ = ()

    TYPE = "Microsoft.Network/virtualHubs/hubVirtualNetworkConnections"

    remote_virtual_network = link("properties.remoteVirtualNetwork", VirtualNetwork)
    enable_internet_security = flag("properties.enableInternetSecurity")


class RoutingPolicy(View):
    """Where one kind of traffic goes: `Internet` or `PrivateTraffic`, to the resource with an id."""

    __slots__ = ()

    destinations = texts("destinations")
    next_hop = text("nextHop")


class RoutingIntent(AzureResource):
    """The routing policies of a hub."""

    __slots__ = ()

    TYPE = "Microsoft.Network/virtualHubs/routingIntent"

    policies = parts("properties.routingPolicies", RoutingPolicy)


class VirtualHub(AzureResource):
    """A Virtual WAN hub. Its own network is Microsoft's, and shows in the peerings of connected networks alone."""

    __slots__ = ()

    TYPE = "Microsoft.Network/virtualHubs"

    @property
    def connections(self) -> Holding[HubVirtualNetworkConnection]:
        """Its connections to networks."""
        return self.estate.within(HubVirtualNetworkConnection, self.id)

    @property
    def routing_intents(self) -> Holding[RoutingIntent]:
        """Its routing intent, of which it has one or none."""
        return self.estate.within(RoutingIntent, self.id)
