"""What is at a next hop's address, against plans that say who is where."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.facts import (
    Estate,
    LoadBalancer,
    Malformed,
    NetworkInterface,
    NotCollected,
    RouteTable,
    UnheardOf,
    VirtualMachineScaleSet,
    VirtualNetwork,
)
from aks_audit.facts.firewall import AzureFirewall
from aks_audit.network.next_hops import Appliance, ApplianceKind, reaches_hub_of, resolve_appliance
from aks_audit.network.routes import effective_route, internet_routes
from recordings import bodies, needs_recordings

Json = dict[str, Any]

NEAR = "/subscriptions/near/resourceGroups/g/providers/Microsoft.Network"
FAR = "/subscriptions/far/resourceGroups/g/providers/Microsoft.Network"
SPOKE = f"{NEAR}/virtualNetworks/spoke"
HUB = f"{FAR}/virtualNetworks/hub"
SCALE_SET = "/subscriptions/far/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/nva"
LISTED = (AzureFirewall.TYPE, LoadBalancer.TYPE, NetworkInterface.TYPE)


def network(own: str, prefix: str, peerings: list[Json] | None = None, **subnet: object) -> snapshot.Resource:
    inside = {"id": f"{own}/subnets/a", "name": "a", "properties": {"addressPrefix": prefix, **subnet}}
    properties = {
        "addressSpace": {"addressPrefixes": [prefix]},
        "subnets": [inside],
        "virtualNetworkPeerings": peerings or [],
    }
    return snapshot.Resource(id=own, type=VirtualNetwork.TYPE, body={"properties": properties})


def peering(**changes: object) -> Json:
    standard: Json = {
        "peeringState": "Connected",
        "allowVirtualNetworkAccess": True,
        "remoteVirtualNetwork": {"id": HUB},
        "remoteAddressSpace": {"addressPrefixes": ["10.30.0.0/24"]},
    }
    return {"name": "to-hub", "properties": {**standard, **changes}}


def configuration(owner: str, address: str, subnet: str) -> Json:
    properties = {"privateIPAddress": address, "subnet": {"id": subnet}}
    return {"id": f"{owner}/ipConfigurations/c", "name": "c", "properties": properties}


def firewall(address: str, home: str = HUB, name: str = "fw") -> snapshot.Resource:
    own = f"{home.rpartition('/virtualNetworks/')[0]}/azureFirewalls/{name}"
    body = {"properties": {"ipConfigurations": [configuration(own, address, f"{home}/subnets/a")]}}
    return snapshot.Resource(id=own, type=AzureFirewall.TYPE, body=body)


def interface(address: str, forwards: object, home: str = HUB, name: str = "nic") -> snapshot.Resource:
    own = f"{home.rpartition('/virtualNetworks/')[0]}/networkInterfaces/{name}"
    found = [configuration(own, address, f"{home}/subnets/a")]
    body = {"properties": {"enableIPForwarding": forwards, "ipConfigurations": found}}
    return snapshot.Resource(id=own, type=NetworkInterface.TYPE, body=body)


def balancer(address: str, *back_ends: str, name: str = "lb", addresses: tuple[str, ...] = ()) -> snapshot.Resource:
    own = f"{FAR}/loadBalancers/{name}"
    frontend, pool = f"{own}/frontendIPConfigurations/f", f"{own}/backendAddressPools/p"
    rule = {"frontendIPConfiguration": {"id": frontend}, "backendAddressPool": {"id": pool.upper()}}
    ends = {
        "backendIPConfigurations": [{"id": one} for one in back_ends],
        "loadBalancerBackendAddresses": [{"properties": {"ipAddress": one}} for one in addresses],
    }
    front = configuration(own, address, f"{HUB}/subnets/a") | {"id": frontend}
    properties = {
        "frontendIPConfigurations": [front],
        "backendAddressPools": [{"id": pool, "name": "p", "properties": ends}],
        "loadBalancingRules": [{"name": "ha", "properties": rule}],
    }
    return snapshot.Resource(id=own, type=LoadBalancer.TYPE, body={"properties": properties})


def scale_set(*, forwards: bool) -> snapshot.Resource:
    made = [{"name": "eth0", "properties": {"enableIPForwarding": forwards}}]
    profile = {"networkProfile": {"networkInterfaceConfigurations": made}}
    body = {"properties": {"virtualMachineProfile": profile}}
    return snapshot.Resource(id=SCALE_SET, type=VirtualMachineScaleSet.TYPE, body=body)


INSTANCE = f"{SCALE_SET}/virtualMachines/0/networkInterfaces/ETH0/ipConfigurations/c"


def estate(*records: snapshot.Resource, listed: tuple[str, ...] = LISTED) -> Estate:
    listings = [
        snapshot.Listing(type=kind, scope=f"/subscriptions/{which}") for kind in listed for which in ("near", "far")
    ]
    return Estate(snapshot.of([*records, *listings]))


def at(address: str, *records: snapshot.Resource, near: snapshot.Resource | None = None) -> Appliance:
    """What the spoke finds at an address, with a hub and whatever else there is."""
    spoke = near or network(SPOKE, "10.40.0.0/24", [peering()])
    found = estate(spoke, network(HUB, "10.30.0.0/24"), *records)
    return resolve_appliance(found.resource(VirtualNetwork, SPOKE), ip_address(address))


ADDRESSES = [f"10.30.0.{last}" for last in range(4, 9)]
TENANTS = {
    "firewall": ApplianceKind.AZURE_FIREWALL,
    "forwarding interface": ApplianceKind.APPLIANCE,
    "interface": ApplianceKind.INTERFACE,
    "balancer": ApplianceKind.LOAD_BALANCER,
    "balancer of others": ApplianceKind.LOAD_BALANCER_WITHOUT_FORWARDING,
    "balancer of nothing": ApplianceKind.LOAD_BALANCER_WITHOUT_BACK_ENDS,
    "interface of another network": ApplianceKind.NOBODY,
    "nobody": ApplianceKind.NOBODY,
}
BACK_ENDS = {"balancer": "yes", "balancer of others": "no"}


def tenant(kind: str, address: str) -> list[snapshot.Resource]:
    name = f"at-{address}"
    if kind == "firewall":
        return [firewall(address, name=name)]
    if kind == "interface of another network":
        return [interface(address, forwards=True, home=f"{FAR}/virtualNetworks/other", name=name)]
    if kind in {"interface", "forwarding interface"}:
        return [interface(address, kind == "forwarding interface", name=name)]
    if kind == "nobody":
        return []
    behind = [f"{FAR}/networkInterfaces/{BACK_ENDS[kind]}/ipConfigurations/c"] if kind in BACK_ENDS else []
    return [balancer(address, *behind, name=name)]


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(dict.fromkeys(ADDRESSES, st.sampled_from(sorted(TENANTS)))),
    st.sampled_from(["Connected", "Disconnected"]),
    st.booleans(),
)
def test_each_address_is_what_was_put_there(plan: dict[str, str], state: str, access: bool) -> None:  # noqa: FBT001
    placed = [record for address, kind in plan.items() for record in tenant(kind, address)]
    behind = [interface("10.30.0.100", forwards=True, name="yes"), interface("10.30.0.101", forwards=False, name="no")]
    own = network(SPOKE, "10.40.0.0/24", [peering(peeringState=state, allowVirtualNetworkAccess=access)])
    for address, kind in plan.items():
        found = at(address, *placed, *behind, near=own)
        reachable = state == "Connected" and access
        assert found.kind is (TENANTS[kind] if reachable else ApplianceKind.UNREACHABLE)
        assert found.peering is not None
        assert (found.resource is not None) is (reachable and found.kind is not ApplianceKind.NOBODY)
        assert found.resource is None or found.resource.name == f"at-{address}"
        assert found.kind.forwards is (reachable and kind in {"firewall", "forwarding interface", "balancer"})


def test_in_the_network_itself_no_peering_leads_there() -> None:
    found = at("10.40.0.9", interface("10.40.0.9", forwards=True, home=SPOKE))
    assert (found.kind, found.peering, found.network_id) == (ApplianceKind.APPLIANCE, None, SPOKE)


def test_outside_the_network_and_its_peers() -> None:
    found = at("10.99.0.4", firewall("10.99.0.4"))
    assert (found.kind, found.peering) == (ApplianceKind.UNREACHABLE, None)


@pytest.mark.parametrize(("forwards", "kind"), [(True, "LOAD_BALANCER"), (False, "LOAD_BALANCER_WITHOUT_FORWARDING")])
def test_the_instances_of_a_scale_set_forward_as_it_says(forwards: bool, kind: str) -> None:  # noqa: FBT001
    found = at("10.30.0.4", balancer("10.30.0.4", INSTANCE), scale_set(forwards=forwards))
    assert found.kind is ApplianceKind[kind]


def test_a_back_end_that_forwards_counts_before_one_that_was_not_read() -> None:
    lost = f"{FAR}/networkInterfaces/lost/ipConfigurations/c"
    both = balancer("10.30.0.4", lost, INSTANCE)
    assert at("10.30.0.4", both, scale_set(forwards=True)).kind is ApplianceKind.LOAD_BALANCER
    with pytest.raises(NotCollected):
        at("10.30.0.4", both, scale_set(forwards=False))


def test_a_rule_of_another_front_end_leads_nowhere_from_this_one() -> None:
    other = balancer("10.30.0.5", INSTANCE)
    own = other.body["properties"]["frontendIPConfigurations"]
    own.append(configuration(other.id, "10.30.0.4", f"{HUB}/subnets/a"))
    assert at("10.30.0.4", other, scale_set(forwards=True)).kind is ApplianceKind.LOAD_BALANCER_WITHOUT_BACK_ENDS
    assert at("10.30.0.5", other, scale_set(forwards=True)).kind is ApplianceKind.LOAD_BALANCER


def test_the_addresses_of_back_ends_that_are_linked_are_not_asked_again() -> None:
    both = balancer("10.30.0.4", INSTANCE, addresses=("10.30.0.9",))
    found = at("10.30.0.4", both, scale_set(forwards=False))
    assert found.kind is ApplianceKind.LOAD_BALANCER_WITHOUT_FORWARDING


def test_a_back_end_known_by_its_address() -> None:
    pool = balancer("10.30.0.4", addresses=("10.30.0.9",))
    assert at("10.30.0.4", pool, interface("10.30.0.9", forwards=True)).kind is ApplianceKind.LOAD_BALANCER
    with pytest.raises(NotCollected):
        at("10.30.0.4", pool)
    with pytest.raises(Malformed):
        at("10.30.0.4", balancer("10.30.0.4", addresses=("nowhere",)))


@pytest.mark.parametrize("kind", LISTED)
def test_nobody_is_there_only_where_everything_was_listed(kind: str) -> None:
    listed = tuple(one for one in LISTED if one != kind)
    found = estate(network(SPOKE, "10.40.0.0/24", [peering()]), network(HUB, "10.30.0.0/24"), listed=listed)
    with pytest.raises(NotCollected):
        resolve_appliance(found.resource(VirtualNetwork, SPOKE), ip_address("10.30.0.4"))


def test_nobody_is_there_only_where_the_network_was_read() -> None:
    found = estate(network(SPOKE, "10.40.0.0/24", [peering()]))
    with pytest.raises(NotCollected):
        resolve_appliance(found.resource(VirtualNetwork, SPOKE), ip_address("10.30.0.4"))


def test_an_instance_of_a_scale_set_may_have_the_address() -> None:
    own = network(SPOKE, "10.40.0.0/24", ipConfigurations=[{"id": INSTANCE}])
    with pytest.raises(NotCollected, match="scale set"):
        at("10.40.0.9", near=own)


def test_whether_an_interface_forwards_must_be_said() -> None:
    with pytest.raises(Malformed):
        at("10.30.0.4", interface("10.30.0.4", None))


WAN = "/subscriptions/ms/resourceGroups/RG_wan/providers/Microsoft.Network/virtualNetworks/HV_wan_1"


@pytest.mark.parametrize(
    ("remote", "state", "reached"), [(WAN, "Connected", True), (WAN, "Initiated", False), (HUB, "Connected", False)]
)
def test_a_firewall_of_a_virtual_wan_hub(remote: str, state: str, reached: bool) -> None:  # noqa: FBT001
    body = {
        "properties": {
            "virtualHub": {"id": f"{FAR}/virtualHubs/wan"},
            "hubIPAddresses": {"privateIPAddress": "10.30.0.4"},
        }
    }
    wall = snapshot.Resource(id=f"{FAR}/azureFirewalls/wan", type=AzureFirewall.TYPE, body=body)
    own = network(SPOKE, "10.40.0.0/24", [peering(remoteVirtualNetwork={"id": remote}, peeringState=state)])
    found = estate(own, network(HUB, "10.30.0.0/24"), wall)
    spoke = found.resource(VirtualNetwork, SPOKE)
    assert reaches_hub_of(spoke, found.every(AzureFirewall)[0]) is reached
    kind = resolve_appliance(spoke, ip_address("10.30.0.4")).kind
    assert (kind is ApplianceKind.AZURE_FIREWALL) is reached


@needs_recordings
def test_every_recorded_network_and_table_passes() -> None:
    asked = 0
    for _, body in bodies("virtualNetworks"):
        record = snapshot.Resource(id=body["id"], type=VirtualNetwork.TYPE, body=body)
        found = Estate(snapshot.of([record])).every(VirtualNetwork)[0]
        for address in map(ip_address, ("1.1.1.1", "10.0.0.4", "11.0.0.4", "2606:4700::1")):
            for subnet in found.subnets or ():
                asked += _answered(lambda subnet=subnet, address=address: effective_route(subnet, address))
            asked += _answered(lambda address=address: resolve_appliance(found, address))  # noqa: B023 - called at once
    for _, body in bodies("routeTables"):
        record = snapshot.Resource(id=body["id"], type=RouteTable.TYPE, body=body)
        table = Estate(snapshot.of([record])).every(RouteTable)[0]
        assert sum(internet_routes(table).shares.values()) > 0
    assert asked


def _answered(question: Any) -> bool:  # noqa: ANN401 - any function without parameters
    try:
        question()
    except (NotCollected, UnheardOf):
        return False
    return True
