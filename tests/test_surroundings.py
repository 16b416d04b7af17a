"""What the tag VirtualNetwork holds: the network, and its peers as the peering tells of them, or else as they are."""

from ipaddress import ip_network
from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate, NotCollected, Subnet, VirtualNetwork
from aks_audit.network.addresses import AddressSet
from aks_audit.network.surroundings import surroundings
from aks_audit.snapshot import Resource

_NETWORKS = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks"
_OWN, _PEER = f"{_NETWORKS}/spoke", f"{_NETWORKS}/hub"
_HELD = {"addressPrefixes": ["10.2.0.0/16"]}


def network(resource_id: str, prefix: str, **properties: Any) -> Resource:  # noqa: ANN401 - any JSON value
    subnet = {"id": f"{resource_id}/subnets/nodes", "name": "nodes", "properties": {"addressPrefix": prefix}}
    held = {"addressSpace": {"addressPrefixes": [prefix]}, "subnets": [subnet], **properties}
    return Resource(resource_id, VirtualNetwork.TYPE, {"id": resource_id, "name": "n", "properties": held})


def holds(address: str, told: dict[str, Any], *others: Resource) -> bool:
    connected = {"peeringState": "Connected", "allowVirtualNetworkAccess": True, "remoteVirtualNetwork": {"id": _PEER}}
    peering = {"id": f"{_OWN}/virtualNetworkPeerings/p", "name": "p", "properties": {**connected, **told}}
    own = network(_OWN, "10.1.0.0/16", virtualNetworkPeerings=[peering])
    subnet = Estate(snapshot.of([own, *others])).resource(Subnet, f"{_OWN}/subnets/nodes")
    return surroundings(subnet).virtual_network.surely.covers(AddressSet.of([ip_network(address)]))


@pytest.mark.parametrize("name", ["remoteVirtualNetworkAddressSpace", "remoteAddressSpace"])
def test_a_peering_tells_of_its_peer_by_either_name(name: str) -> None:
    told = {name: _HELD}
    assert holds("10.1.0.4", told)
    assert holds("10.2.0.4", told)
    assert not holds("10.3.0.4", told)


def test_what_the_peer_has_now_comes_before_what_it_had() -> None:
    told = {"remoteVirtualNetworkAddressSpace": {"addressPrefixes": ["10.3.0.0/16"]}, "remoteAddressSpace": _HELD}
    assert holds("10.3.0.4", told)
    assert not holds("10.2.0.4", told)


def test_a_peer_that_the_peering_tells_nothing_of_is_looked_at() -> None:
    assert holds("10.2.0.4", {}, network(_PEER, "10.2.0.0/16"))
    with pytest.raises(NotCollected):
        holds("10.2.0.4", {})
