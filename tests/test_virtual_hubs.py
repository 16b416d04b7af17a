"""The default route of Virtual WAN hubs, where everything was read."""

from ipaddress import IPv4Address

import pytest

from aks_audit import snapshot
from aks_audit.engine import audit
from aks_audit.facts import Estate, NotCollected, Subnet, VirtualNetwork
from aks_audit.network.routes import NextHopKind, RouteSource, effective_route
from aks_audit.network.virtual_hubs import default_by_hub
from aks_audit_rules import RULES
from compose.estates import virtual_wan

SOMEWHERE = IPv4Address("20.50.1.4")
NETWORK = virtual_wan.APPS.group("rg-api").of("virtualNetworks", "vnet-api")


def estate(without: str = "", **changes: object) -> Estate:
    """The estate, without the resources of a type, and with changes to the properties of the hub's parts."""
    records = [one for one in virtual_wan.records() if not (isinstance(one, snapshot.Resource) and one.type == without)]
    for one in records:
        if isinstance(one, snapshot.Resource) and "/virtualhubs/" in one.id.lower():
            known = one.body["properties"]
            known.update({name: value for name, value in changes.items() if name in known})
    return Estate(snapshot.of(records))


def egress(found: Estate) -> str:
    (rule,) = (one for one in RULES if one.id == "AKS-EGR-02")
    return next(one.outcome.value for one in audit(found, [rule]) if one.resource.endswith("snet-batch"))


def test_the_routing_intent_leads_to_the_firewall_of_the_hub() -> None:
    subnet = estate().resource(Subnet, f"{NETWORK}/subnets/snet-batch")
    route = effective_route(subnet, SOMEWHERE)
    assert (route.source, route.name) == (RouteSource.VIRTUAL_HUB, "vhub-westeurope")
    assert route.next_hop.kind is NextHopKind.APPLIANCE
    assert str(route.next_hop.address) == virtual_wan.FIREWALL


def test_a_connection_without_internet_security_takes_no_default_route() -> None:
    found = estate(enableInternetSecurity=False)
    default = default_by_hub(found.resource(VirtualNetwork, NETWORK))
    assert default is not None
    assert default.next_hop is None
    assert egress(found) == "fail"
    route = effective_route(found.resource(Subnet, f"{NETWORK}/subnets/snet-batch"), SOMEWHERE)
    assert route.source is RouteSource.SYSTEM


@pytest.mark.parametrize("policies", [[], [{"name": "p", "destinations": ["PrivateTraffic"], "nextHop": "/x"}]])
def test_without_a_policy_for_the_internet_nobody_knows(policies: list[object]) -> None:
    found = estate(routingPolicies=policies)
    with pytest.raises(NotCollected, match="no routing policy for the internet"):
        default_by_hub(found.resource(VirtualNetwork, NETWORK))
    assert egress(found) == "unknown"


@pytest.mark.parametrize(
    "kind",
    ["virtualHubs", "virtualHubs/hubVirtualNetworkConnections", "virtualHubs/routingIntent"],
)
def test_what_is_absent_of_a_hub_leaves_egress_unknown(kind: str) -> None:
    assert egress(estate(f"Microsoft.Network/{kind}")) == "unknown"
