"""Pods that leave through AKS's static egress gateway, on the way of `aks-audit path`, in the base estate's cluster."""

import json
from ipaddress import ip_network
from typing import Any

import msgspec
import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate, NotCollected
from aks_audit.network.addresses import AddressSet
from aks_audit.network.egress_addresses import egress_addresses
from aks_audit.network.flows import Passage
from aks_audit.network.hops import Hop, HopKind, Walk
from aks_audit.path import Question, ask, find_cluster
from cases import BASE, CLUSTER, INSIDE, Case, records_of

WEB, OTHER_WEB = "shop/web-6d5f7c9b8d-aaaaa", "10.40.16.11"
BALANCERS = CLUSTER.replace("rg-aks-prod", "rg-aks-prod-nodes", 1).partition("/providers/")[0]
NETWORK = CLUSTER.replace("rg-aks-prod", "rg-network", 1).partition("/providers/")[0] + "/providers/Microsoft.Network"
NODES = f"{NETWORK}/virtualNetworks/vnet-aks-prod/subnets/snet-nodes"
PODS = "cluster properties.agentPoolProfiles"
PARTNER = "/apis/egressgateway.kubernetes.azure.com/v1alpha1/namespaces/shop/staticgatewayconfigurations/partner"
UNROUTED = "vnet properties.subnets.0.properties.routeTable"


def gateway(spec: dict[str, Any] | None = None, addresses: str = "20.1.2.0/31") -> str:
    body = {"path": PARTNER, "metadata": {"name": "partner", "namespace": "shop"}}
    status = {"egressIpPrefix": addresses} if addresses else {}
    return json.dumps({**body, "spec": {"gatewayNodepoolName": "gw", **(spec or {})}, "status": status})


def case(*add: str, enabled: bool = True, drop: tuple[str, ...] = ()) -> Case:
    """Pods of the nodes' subnet, a pool of mode Gateway there, and one pod that asks for a gateway."""
    changes = {
        "pod /metadata/annotations": {"kubernetes.azure.com/static-gateway-configuration": "partner"},
        "cluster properties.networkProfile.staticEgressGatewayProfile": {"enabled": enabled},
        f"{PODS}.2": {"name": "gw", "mode": "Gateway", "type": "VirtualMachineScaleSets", "vnetSubnetID": NODES},
    }
    subnets = (f"{PODS}.0.podSubnetID", f"{PODS}.1.podSubnetID")
    return Case("", "", set=changes, drop=(*subnets, *drop), add=add)


def estate_of(made: Case) -> Estate:
    return Estate(snapshot.of(records_of(made, BASE, INSIDE)))


def walked(target: str, made: Case, source: str = WEB) -> Walk:
    estate = estate_of(made)
    return ask(estate, Question(find_cluster(estate, "aks-prod"), source, target, "tcp"))


def hop(kind: HopKind, walk: Walk) -> Hop:
    return next(one for one in walk.hops if one.kind is kind)


@pytest.mark.parametrize("target", ["internet", "partner.example.com:443", "93.184.216.34:443"])
def test_what_leaves_the_cluster_goes_by_the_gateway_past_network_policies(target: str) -> None:
    walk = walked(target, case(gateway()))
    assert "do not hold" in hop(HopKind.NETWORK_POLICY, walk).says
    assert hop(HopKind.MASQUERADE, walk).says.endswith("takes it to a node of pool gw, to leave as 20.1.2.0/31")
    assert hop(HopKind.ROUTE, walk).where == NODES


def test_without_an_appliance_it_leaves_under_the_gateways_addresses() -> None:
    walk = walked("internet", case(gateway(), drop=(UNROUTED,)))
    last = walk.hops[-1]
    assert (last.kind, last.passage) == (HopKind.TRANSLATION, Passage.ALLOWED)
    assert last.says == "It leaves as 20.1.2.0/31 of static egress gateway partner"


def test_private_addresses_of_a_gateway_are_no_public_ones() -> None:
    made = case(gateway({"provisionPublicIps": False}, "10.40.0.8,10.40.0.9"), drop=(UNROUTED,))
    last = walked("internet", made).hops[-1]
    assert (last.kind, last.passage) == (HopKind.TRANSLATION, Passage.UNKNOWN)
    assert "10.40.0.8/32, 10.40.0.9/32" in last.says


@pytest.mark.parametrize(
    ("spec", "target", "times"),
    [
        ({"excludeCidrs": ["93.184.0.0/16"]}, "93.184.216.34:443", 0),
        ({"excludeCidrs": ["93.184.0.0/16"]}, "94.184.216.34:443", 1),
        ({"excludeCidrs": ["0.0.0.0/0"]}, "internet", 0),
        ({"excludeCidrs": ["93.184.0.0/16"]}, "internet", 1),
        ({"defaultRoute": "azureNetworking", "excludeCidrs": ["93.184.0.0/16"]}, "93.184.216.34:443", 1),
        ({"defaultRoute": "azureNetworking", "excludeCidrs": ["93.184.0.0/16"]}, "94.184.216.34:443", 0),
        ({"defaultRoute": "azureNetworking", "excludeCidrs": ["0.0.0.0/0"]}, "internet", 1),
        ({"defaultRoute": "azureNetworking"}, "internet", 0),
        ({"excludeCidrs": ["10.40.0.0/16"]}, f"{OTHER_WEB}:8080", 0),
        ({"defaultRoute": "azureNetworking", "excludeCidrs": ["10.40.0.0/16"]}, f"{OTHER_WEB}:8080", 1),
        ({}, "169.254.169.254:80", 0),
        ({}, "168.63.129.16:80", 0),
    ],
)
def test_a_configuration_tells_which_destinations_it_takes(spec: dict[str, Any], target: str, times: int) -> None:
    says = "".join(one.says for one in walked(target, case(gateway(spec))).hops)
    assert says.count("takes it to a node of pool gw") == times


@pytest.mark.parametrize(
    ("made", "target", "says"),
    [
        (case(), "internet", "that pod web-6d5f7c9b8d-aaaaa asks for is not in its namespace"),
        (case(gateway(addresses="")), "internet", "has no addresses yet"),
        (case(gateway({"gatewayNodepoolName": "user"})), "internet", "has no pool of mode Gateway"),
        (case(gateway({"defaultRoute": "elsewhere"})), "internet", "malformed"),
        (case(gateway({"excludeCidrs": ["93.184.0.0/16"]})), "partner.example.com", "hangs on what is not known"),
        (case(gateway()), f"{OTHER_WEB}:8080", "which private ranges AKS lets past it"),
    ],
)
def test_what_cannot_be_told_of_a_gateway_decides(made: Case, target: str, says: str) -> None:
    walk = walked(target, made)
    assert walk.end is Passage.UNKNOWN
    assert says in walk.decided_by.says


@pytest.mark.parametrize(
    ("made", "source"),
    [
        (case(gateway(), enabled=False), WEB),
        (case(gateway()), "shop/web-6d5f7c9b8d-bbbbb"),
        (case(gateway()), "node"),
    ],
)
def test_where_nothing_asks_or_the_gateway_is_off_nothing_goes_by_it(made: Case, source: str) -> None:
    assert "gateway" not in "".join(one.says for one in walked("internet", made, source).hops if one.kind != "route")


def balancer() -> tuple[str, str]:
    """A load balancer that gives the nodes of the cluster the address 20.5.5.5, and that address."""
    made, network = f"{BALANCERS}/providers/Microsoft.Network/loadBalancers/kubernetes", "Microsoft.Network"
    address = f"{BALANCERS}/providers/Microsoft.Network/publicIPAddresses/out"
    front = {"id": f"{made}/frontendIPConfigurations/out", "name": "out"}
    frontends = [{**front, "properties": {"publicIPAddress": {"id": address}}}]
    rules = [{"name": "out", "properties": {"frontendIPConfigurations": [{"id": front["id"]}]}}]
    properties = {"frontendIPConfigurations": frontends, "outboundRules": rules}
    return (
        json.dumps({"id": made, "type": f"{network}/loadBalancers", "name": "kubernetes", "properties": properties}),
        json.dumps({"id": address, "type": f"{network}/publicIPAddresses", "properties": {"ipAddress": "20.5.5.5"}}),
    )


@pytest.mark.parametrize(
    ("spec", "gateways"),
    [
        ({}, ["20.1.2.0/31"]),
        ({"provisionPublicIps": False}, []),
        ({"gatewayNodepoolName": "user"}, []),
    ],
)
def test_a_cluster_is_seen_with_the_addresses_of_its_gateways_too(spec: dict[str, Any], gateways: list[str]) -> None:
    estate = estate_of(case(gateway(spec), *balancer(), drop=(UNROUTED,)))
    found = egress_addresses(find_cluster(estate, "aks-prod"))
    assert found == AddressSet.of(map(ip_network, ["20.5.5.5/32", *gateways]))


def test_with_a_gateway_whose_configurations_were_not_read_its_addresses_are_not_known() -> None:
    made = case(*balancer(), drop=(UNROUTED,))
    of_azure = {target: value for target, value in made.set.items() if target.startswith("cluster ")}
    estate = Estate(snapshot.of(records_of(msgspec.structs.replace(made, set=of_azure), BASE)))
    with pytest.raises(NotCollected, match="inside"):
        egress_addresses(find_cluster(estate, "aks-prod"))
