"""Networks in reach of a cluster, against what raw bodies say address by address, and over what Azure really sent."""

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Network, ip_address, ip_network
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.facts import (
    ClusterSubnet,
    Estate,
    Malformed,
    ManagedCluster,
    RouteTable,
    Subjects,
    Unread,
    VirtualNetwork,
)
from aks_audit.network.capacity import all_is_known, on_subnet
from aks_audit.network.neighbours import gateways, neighbours, virtual_networks
from recordings import bodies, needs_recordings

GROUPS = "/subscriptions/s/resourceGroups"
CLUSTER = f"{GROUPS}/g/providers/Microsoft.ContainerService/managedClusters/c"
NETWORK = f"{GROUPS}/net/providers/Microsoft.Network/virtualNetworks/v"
NODES = f"{NETWORK}/subnets/nodes"
TABLE = f"{GROUPS}/net/providers/Microsoft.Network/routeTables/rt"
PEER = f"{GROUPS}/net/providers/Microsoft.Network/virtualNetworks/hub"
SPACE = IPv4Network("10.0.0.0/24")


class Scene(NamedTuple):
    """The raw bodies of a network, its peerings and its routes."""

    space: list[str]
    peers: list[dict[str, Any]]
    routes: list[dict[str, Any]]
    subnets: tuple[dict[str, Any], ...] = ()
    propagate: bool = True

    def cluster(self) -> ManagedCluster:
        """A cluster with one pool in the network."""
        nodes = {
            "id": NODES,
            "name": "nodes",
            "properties": {"addressPrefix": "10.0.1.0/24", "routeTable": {"id": TABLE}},
        }
        properties = {
            CLUSTER: (ManagedCluster.TYPE, {"agentPoolProfiles": [{"name": "p", "vnetSubnetID": NODES}]}),
            NETWORK: (
                VirtualNetwork.TYPE,
                {
                    "addressSpace": {"addressPrefixes": self.space},
                    "subnets": [nodes, *self.subnets],
                    "virtualNetworkPeerings": [{"name": "to-hub", "properties": peer} for peer in self.peers],
                },
            ),
            TABLE: (
                RouteTable.TYPE,
                {
                    "routes": [{"name": "r", "properties": route} for route in self.routes],
                    "disableBgpRoutePropagation": not self.propagate,
                },
            ),
        }
        resources = (
            snapshot.Resource(id=own, type=kind, body={"id": own, "properties": inside})
            for own, (kind, inside) in properties.items()
        )
        return Estate(snapshot.of(resources)).resource(ManagedCluster, CLUSTER)

    def holds(self, address: str) -> bool:
        """Whether an address is in a network that the raw bodies tell of: slow, and word by word."""
        told = list(self.space)
        for peer in self.peers:
            if peer["peeringState"] != "Disconnected":
                for name in ("remoteAddressSpace", "remoteVirtualNetworkAddressSpace"):
                    told += peer.get(name, {"addressPrefixes": []})["addressPrefixes"]
        for route in self.routes:
            hop = route.get("nextHopIpAddress", "")
            if route["nextHopType"] in {"VirtualAppliance", "VirtualNetworkGateway"} and not hop.startswith("10.0.1."):
                told.append(route["addressPrefix"])
        prefixes = [prefix for prefix in told if prefix not in {"0.0.0.0/0", "10.0.0.0/8", "Storage"}]
        return any(ip_address(address) in ip_network(prefix) for prefix in prefixes)


prefix = st.tuples(st.integers(0, 255), st.integers(26, 32)).map(
    lambda pair: str(IPv4Network((int(SPACE.network_address) + pair[0], pair[1]), strict=False))
)
some = st.lists(prefix, min_size=1, max_size=2)
peering = st.fixed_dictionaries(
    {
        "peeringState": st.sampled_from(["Connected", "Initiated", "Disconnected"]),
        "remoteAddressSpace": st.fixed_dictionaries({"addressPrefixes": some}),
        "useRemoteGateways": st.booleans(),
    },
    optional={"remoteVirtualNetworkAddressSpace": st.fixed_dictionaries({"addressPrefixes": some})},
)
route = st.fixed_dictionaries(
    {
        "addressPrefix": prefix | st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "Storage"]),
        "nextHopType": st.sampled_from(["VirtualAppliance", "VirtualNetworkGateway", "VnetLocal", "Internet", "None"]),
    },
    optional={"nextHopIpAddress": st.sampled_from(["10.0.1.7", "10.30.1.4"])},
)
scenes = st.tuples(some, st.lists(peering, max_size=2), st.lists(route, max_size=3)).map(lambda raw: Scene(*raw))


@settings(max_examples=1000)
@given(scenes, st.integers(0, 255))
def test_a_single_address_meets_a_neighbour_where_the_bodies_hold_it(scene: Scene, number: int) -> None:
    address = str(SPACE[number])
    wanted = ip_network(address)
    assert any(found.meets(wanted) for found in neighbours(scene.cluster(), [wanted])) == scene.holds(address)


@settings(max_examples=1000)
@given(scenes, prefix)
def test_a_range_meets_a_neighbour_where_one_of_its_addresses_does(scene: Scene, wanted: str) -> None:
    asked = ip_network(wanted)
    met = any(found.meets(asked) for found in neighbours(scene.cluster(), [asked]))
    assert met == any(scene.holds(str(address)) for address in asked)


@given(scene=scenes, propagate=st.booleans())
def test_gateways_count_where_their_routes_reach_the_subnets(scene: Scene, *, propagate: bool) -> None:
    found = list(gateways(scene._replace(propagate=propagate).cluster()))
    used = [p for p in scene.peers if p["peeringState"] == "Connected" and p["useRemoteGateways"]]
    assert len(found) == (len(used) if propagate else 0)


@pytest.mark.parametrize("name", ["GatewaySubnet", "gatewaysubnet", "RouteServerSubnet"])
def test_a_subnet_for_a_gateway_is_a_gateway(name: str) -> None:
    subnet = {"id": f"{NETWORK}/subnets/{name}", "name": name, "properties": {"addressPrefix": "10.0.2.0/27"}}
    scene = Scene(["10.0.0.0/16"], [], [], (subnet,))
    assert [said for said, _ in gateways(scene.cluster())] == [f"{name} of v"]


@pytest.mark.parametrize(
    ("peer", "route"),
    [
        ({"peeringState": "Connected"}, None),
        ({"remoteAddressSpace": {"addressPrefixes": ["10.1.0.0/16"]}}, None),
        (None, {"addressPrefix": "10.1.0.0/16"}),
        (None, {"nextHopType": "VirtualAppliance"}),
    ],
)
def test_what_lacks_its_decisive_part_is_malformed(peer: dict[str, Any] | None, route: dict[str, Any] | None) -> None:
    scene = Scene(["10.0.0.0/16"], [peer] if peer else [], [route] if route else [])
    with pytest.raises(Malformed):
        list(neighbours(scene.cluster(), [SPACE]))


@needs_recordings
def test_recorded_networks_and_route_tables_go_through() -> None:
    judged = 0
    for cluster in _clusters_in_recorded_subnets():
        with suppress(Unread):
            assert list(neighbours(cluster, [SPACE]))
            judged += 1
        with suppress(Unread):
            list(gateways(cluster))
        with suppress(Unread):
            virtual_networks(cluster)
        for subnet in Subjects(cluster.estate).of(ClusterSubnet):
            with suppress(Unread):
                assert isinstance(subnet, ClusterSubnet)
                assert on_subnet(subnet).least > 0
                all_is_known(subnet)
    assert judged


def _clusters_in_recorded_subnets() -> Iterator[ManagedCluster]:
    """A cluster in each recorded subnet, beside every recorded route table."""
    tables = [
        snapshot.Resource(id=body["id"], type=RouteTable.TYPE, body=body)
        for _, body in bodies("routeTables")
        if "properties" in body
    ]
    for _, body in bodies("virtualNetworks"):
        for subnet in body.get("properties", {}).get("subnets") or ():
            pool = {"name": "p", "count": 3, "maxPods": 30, "vnetSubnetID": subnet["id"]}
            profile = {"networkPlugin": "azure", "networkPluginMode": "overlay"}
            properties = {"agentPoolProfiles": [pool], "networkProfile": profile, "nodeResourceGroup": "MC"}
            own = snapshot.Resource(id=CLUSTER, type=ManagedCluster.TYPE, body={"properties": properties})
            network = snapshot.Resource(id=body["id"], type=VirtualNetwork.TYPE, body=body)
            yield Estate(snapshot.of([own, network, *tables])).resource(ManagedCluster, CLUSTER)
