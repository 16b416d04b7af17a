"""Virtual WAN hubs: whether the network that is connected to one gets its default route from there.

With a routing policy for the internet a hub gives 0.0.0.0/0 to all connections whose internet security is enabled, with
the policy's firewall or appliance as next hop, and to no other.
Source: https://learn.microsoft.com/azure/virtual-wan/how-to-routing-policies
"""

from collections.abc import Iterator
from typing import NamedTuple

from aks_audit.facts import Evidence, Malformed, Missing, NotCollected, VirtualNetwork
from aks_audit.facts.enumerations import PeeringState
from aks_audit.facts.resource_id import parse
from aks_audit.facts.virtual_wan import HubVirtualNetworkConnection, RoutingIntent, RoutingPolicy, VirtualHub

INTERNET = "Internet"
PRIVATE_TRAFFIC = "PrivateTraffic"


class HubDefault(NamedTuple):
    """The default route that a hub gives to a network: the id of its next hop, None where the connection takes none."""

    hub: VirtualHub
    next_hop: str | None
    evidence: tuple[Evidence, ...]


def is_virtual_hub(network_id: str) -> bool:
    """Whether a network is a Virtual WAN hub's own: Microsoft's, called `HV_…`, which shows in peerings alone."""
    return parse(network_id).name.lower().startswith("hv_")


def hub_connection(network: VirtualNetwork) -> HubVirtualNetworkConnection | None:
    """The connection of a Virtual WAN hub to a network, of which it has one at most; None where it has none.

    Raises:
        NotCollected: its peering says that there is one, and it was not read.
    """
    if not any(_is_to_hub(network)):
        return None
    estate = network.estate
    hubs = estate.every(VirtualHub)
    for found in (one for hub in hubs for one in hub.connections):
        if found.remote_virtual_network and found.remote_virtual_network.id.lower() == network.id.lower():
            return found
    for hub in hubs:
        hub.connections.whole()
    estate.within(VirtualHub, f"/subscriptions/{network.parsed.subscription}").whole()
    reason = f"the Virtual WAN hub that {network.name} is connected to is not in the snapshot"
    raise NotCollected(Missing(what=network.id, kind="not-read", reason=reason, action=f"{VirtualHub.TYPE}/read"))


def hub_of(connection: HubVirtualNetworkConnection) -> VirtualHub:
    """The hub that a connection is of.

    Raises:
        NotCollected: it was not read.
    """
    return connection.estate.resource(VirtualHub, connection.parsed.parent)


def policy_of(hub: VirtualHub, destination: str) -> RoutingPolicy | None:
    """The routing policy of a hub for a kind of traffic, `Internet` or `PrivateTraffic`; None where it has none.

    Raises:
        NotCollected: none was read, and there may be one.
        Malformed: the routing intent has no list of policies, or a policy no next hop.
    """
    for intent in hub.routing_intents:
        if intent.policies is None:
            pointer = intent.at(RoutingIntent.policies).pointer
            raise Malformed(intent.id, pointer, "a routing intent without its policies")
        for policy in intent.policies:
            if destination.lower() in {one.lower() for one in policy.destinations or ()}:
                if policy.next_hop is None:
                    pointer = policy.at(RoutingPolicy.next_hop).pointer
                    raise Malformed(intent.id, pointer, "a routing policy without its next hop")
                return policy
    hub.routing_intents.whole()
    return None


def default_by_hub(network: VirtualNetwork) -> HubDefault | None:
    """The default route that a network gets from a Virtual WAN hub; None where it is connected to none.

    Raises:
        NotCollected: the hub, its connections or its routing intent was not read; or it has no routing policy for the
            internet, so that a default route can come from what no resource tells: a static route, or a branch.
        Malformed: the connection does not say whether it takes the route, or a policy does not say where it leads.
    """
    connection = hub_connection(network)
    if connection is None:
        return None
    hub = hub_of(connection)
    taken = connection.at(HubVirtualNetworkConnection.enable_internet_security)
    if connection.enable_internet_security is None:
        raise Malformed(connection.id, taken.pointer, "a connection that does not say whether it takes a default route")
    if not connection.enable_internet_security:
        return HubDefault(hub, None, (taken,))
    policy = policy_of(hub, INTERNET)
    if policy is None:
        reason = f"Virtual WAN hub {hub.name} has no routing policy for the internet; its other routes are not read"
        raise NotCollected(Missing(what=hub.id, kind="not-sent", reason=reason))
    return HubDefault(hub, policy.next_hop, (taken, policy.at(RoutingPolicy.next_hop)))


def _is_to_hub(network: VirtualNetwork) -> Iterator[bool]:
    for peering in network.peerings or ():
        yield bool(peering.remote and is_virtual_hub(peering.remote.id) and peering.state is PeeringState.CONNECTED)
