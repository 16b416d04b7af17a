"""Appliances are called by their vendor where a name, a group, a tag or a plan tells, and by nobody else's."""

from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate, LoadBalancer, NetworkInterface
from aks_audit.network.next_hops import Appliance, ApplianceKind
from aks_audit.network.vendors import vendor_of
from aks_audit.snapshot import Resource

_GROUP = "/subscriptions/s/resourceGroups/{}/providers"


def interface(name: str = "nic", group: str = "rg", **body: Any) -> Resource:  # noqa: ANN401 - any JSON value
    resource_id = f"{_GROUP.format(group)}/Microsoft.Network/networkInterfaces/{name}"
    return Resource(resource_id, NetworkInterface.TYPE, {"id": resource_id, "properties": {}, **body})


def told(*records: Resource) -> str:
    estate = Estate(snapshot.of(records))
    first = records[0]
    kind = LoadBalancer if first.type == LoadBalancer.TYPE else NetworkInterface
    return str(vendor_of(Appliance(ApplianceKind.APPLIANCE, estate.resource(kind, first.id))) or "")


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (interface("fortigate1-port2"), "of Fortinet, by its name"),
        (interface(group="rg-checkpoint-hub"), "of Check Point, by its resource group"),
        (interface(tags={"product": "VM-Series"}), "of Palo Alto Networks, by its tags"),
        (interface("AV-GW-spoke"), "of Aviatrix, by its name"),
        (interface("nic-checkpoints"), ""),
        (interface("nic", tags=["fortinet"]), ""),
        (interface("nic", tags=None), ""),
    ],
)
def test_a_vendor_is_told_by_whole_words(record: Resource, says: str) -> None:
    assert told(record) == says


def balancer(*behind: str) -> Resource:
    own = f"{_GROUP.format('rg')}/Microsoft.Network/loadBalancers/lb"
    pool = {
        "id": f"{own}/backendAddressPools/p",
        "properties": {"backendIPConfigurations": [{"id": b} for b in behind]},
    }
    return Resource(own, LoadBalancer.TYPE, {"id": own, "properties": {"backendAddressPools": [pool]}})


def test_what_stands_behind_a_load_balancer_tells_whose_it_is() -> None:
    nic = interface("cisco-ftdv-0")
    assert told(balancer(f"{nic.id}/ipConfigurations/a"), nic) == "of Cisco, by its name"
    machines = f"{_GROUP.format('rg')}/Microsoft.Compute/virtualMachineScaleSets/walls"
    plan = {"publisher": "paloaltonetworks", "product": "vmseries-flex", "name": "byol"}
    scale_set = Resource(machines, "Microsoft.Compute/virtualMachineScaleSets", {"id": machines, "plan": plan})
    instance = f"{machines}/virtualMachines/0/networkInterfaces/eth1/ipConfigurations/a"
    assert told(balancer(instance), scale_set) == "of Palo Alto Networks, by its plan"


def test_what_was_not_read_tells_nothing() -> None:
    assert told(balancer(f"{interface('fortinet').id}/ipConfigurations/a")) == ""
    broken = Resource(balancer().id, LoadBalancer.TYPE, {"id": balancer().id, "properties": {"backendAddressPools": 7}})
    assert told(broken) == ""
