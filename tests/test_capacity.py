"""How many nodes a pool may have, and how many addresses a subnet must hold, against counting."""

from collections.abc import Iterator
from fractions import Fraction
from ipaddress import ip_network
from math import ceil
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.facts import (
    AgentPool,
    ClusterSubnet,
    Estate,
    LoadBalancer,
    Malformed,
    ManagedCluster,
    Subjects,
    VirtualNetwork,
)
from aks_audit.network.capacity import (
    BATCH,
    LARGEST_MAX_SURGE,
    Demand,
    full_scale,
    full_scale_with_surge,
    nodes_of_pod_cidr,
    on_subnet,
    smallest_prefix,
    total,
    usable,
)

CLUSTER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c"


def pool(**values: object) -> AgentPool:
    body: dict[str, Any] = {"properties": {"agentPoolProfiles": [{"name": "p", **values}]}}
    estate = Estate(snapshot.of([snapshot.Resource(id=CLUSTER, type=ManagedCluster.TYPE, body=body)]))
    return estate.resource(ManagedCluster, CLUSTER).pools[0]


@given(st.integers(0, 1000), st.integers(0, 100))
def test_a_percentage_is_of_the_pool_and_rounded_up(nodes: int, percent: int) -> None:
    surge = ceil(Fraction(nodes * percent, 100))
    assert full_scale_with_surge(pool(count=nodes, upgradeSettings={"maxSurge": f"{percent}%"})) == nodes + surge


@given(st.integers(0, 1000), st.integers(0, 2000))
def test_a_number_is_that_many_nodes_and_never_more_than_the_pool(nodes: int, surge: int) -> None:
    assert full_scale_with_surge(pool(count=nodes, upgradeSettings={"maxSurge": str(surge)})) == nodes + min(
        surge, nodes
    )


@given(
    st.integers(0, 1000), st.one_of(st.none(), st.integers(0, 100).map(lambda n: f"{n}%"), st.integers(0, 99).map(str))
)
def test_no_stated_surge_is_more_than_the_largest_for_an_unstated_one(nodes: int, surge: str | None) -> None:
    stated = full_scale_with_surge(pool(count=nodes, upgradeSettings={"maxSurge": surge}))
    assert stated <= full_scale_with_surge(pool(count=nodes), unstated=LARGEST_MAX_SURGE)


def test_an_unstated_surge_is_ten_percent() -> None:
    assert full_scale_with_surge(pool(count=31, upgradeSettings={})) == 35


@pytest.mark.parametrize(
    ("values", "nodes"),
    [
        ({"count": 3, "enableAutoScaling": False}, 3),
        ({"count": 3}, 3),
        ({"count": 3, "enableAutoScaling": True, "maxCount": 10}, 10),
        ({"count": 3, "maxCount": 10}, 10),
        ({"count": 3, "enableAutoScaling": False, "maxCount": 10}, 3),
        ({"count": 0}, 0),
    ],
)
def test_full_scale_is_the_autoscalers_maximum_or_the_count(values: dict[str, object], nodes: int) -> None:
    assert full_scale(pool(**values)) == nodes


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"count": None},
        {"count": -1},
        {"count": 3, "enableAutoScaling": True},
        {"count": 3, "upgradeSettings": {"maxSurge": "many"}},
        {"count": 3, "upgradeSettings": {"maxSurge": "-1"}},
        {"count": 3, "upgradeSettings": {"maxSurge": "٣"}},
    ],
)
def test_what_does_not_say_is_malformed(values: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        full_scale_with_surge(pool(**values))


SUBSCRIPTION = "/subscriptions/s/resourceGroups"
NETWORK = f"{SUBSCRIPTION}/net/providers/Microsoft.Network/virtualNetworks/v"
NODES, PODS = (f"{NETWORK}/subnets/{name}" for name in ("nodes", "pods"))


class Plan(NamedTuple):
    """A cluster of one pool: its network profile, its pool, and how many internal front ends are in which subnet."""

    profile: dict[str, Any]
    pool: dict[str, Any]
    fronts: int = 0
    fronts_in: str = NODES

    def demand(self, name: str = "nodes") -> Demand:
        """What is needed of a subnet by its name."""
        found = Subjects(self.estate()).of(ClusterSubnet)
        (subnet,) = [one for one in found if isinstance(one, ClusterSubnet) and one.name == name]
        return on_subnet(subnet)

    def estate(self) -> Estate:
        """The cluster, its network and its internal load balancer."""
        properties = {
            "agentPoolProfiles": [{"name": "p", "vnetSubnetID": NODES, **self.pool}],
            "networkProfile": {"networkPlugin": "azure", "networkDataplane": "azure", **self.profile},
            "nodeResourceGroup": "MC",
        }
        balancer = f"{SUBSCRIPTION}/MC/providers/Microsoft.Network/loadBalancers/kubernetes-internal"
        fronts = [
            {"id": f"{balancer}/frontendIPConfigurations/{n}", "properties": {"subnet": {"id": self.fronts_in}}}
            for n in range(self.fronts)
        ]
        network = {
            "subnets": [{"id": each, "name": each.rsplit("/", 1)[1], "properties": {}} for each in (NODES, PODS)]
        }
        bodies = [
            (CLUSTER, ManagedCluster.TYPE, properties),
            (balancer, LoadBalancer.TYPE, {"frontendIPConfigurations": fronts}),
            (NETWORK, VirtualNetwork.TYPE, network),
        ]
        return Estate(
            snapshot.of(
                snapshot.Resource(id=own, type=kind, body={"id": own, "properties": inside})
                for own, kind, inside in bodies
            )
        )


GUIDE = {"count": 10, "maxCount": 12, "enableAutoScaling": True, "upgradeSettings": {"maxSurge": "2"}, "maxPods": 30}
"""The example of the AKS security summit: ten nodes, out to twelve, a surge of two, ten internal load balancers."""


def test_the_guides_kubenet_example() -> None:
    needed = Plan({"networkPlugin": "kubenet"}, GUIDE, fronts=10).demand()
    assert needed.least == needed.most == 10 + 2 + 2 + 10 == 24
    assert smallest_prefix(24) == 27


def test_the_guides_azure_cni_example_but_for_its_slip() -> None:
    """The guide prints 442 for 10 + 2 + 2 + 10 + (14 * 30), which is 444; the subnet that it names is right."""
    needed = Plan({}, GUIDE, fronts=10).demand()
    assert needed.least == needed.most == 24 + 14 * 30 == 444
    assert smallest_prefix(444) == smallest_prefix(442) == 23


def test_the_guides_pod_subnet_example() -> None:
    plan = Plan({}, {**GUIDE, "podSubnetID": PODS}, fronts=10, fronts_in=PODS)
    assert plan.demand().least == plan.demand().most == 10 + 2 + 2 == 14
    assert smallest_prefix(14) == 27
    pods = plan.demand("pods")
    assert pods.least == 14 * BATCH + 10
    assert pods.most == 14 * 30 + 10
    assert pods.doubt == "how many pods there will be stands in no Azure body"
    assert smallest_prefix(200 + 10) == 24


def test_overlay_takes_addresses_for_nodes_alone() -> None:
    assert Plan({"networkPluginMode": "overlay"}, GUIDE).demand()[:2] == (14, 14)


@given(st.integers(0, 40), st.integers(0, 250), st.sampled_from(["DynamicIndividual", "StaticBlock", "staticblock"]))
def test_addresses_of_pods_are_those_given_out_node_by_node(count: int, most: int, mode: str) -> None:
    plan = Plan(
        {},
        {
            "count": count,
            "maxPods": most,
            "podSubnetID": PODS,
            "podIPAllocationMode": mode,
            "upgradeSettings": {"maxSurge": "0"},
        },
    )
    given_out = [list(_given_to_a_node(most, mode)) for _ in range(count)]
    assert plan.demand("pods").most == sum(map(len, given_out))
    assert plan.demand("pods").least == sum(min(16, most) if mode == "DynamicIndividual" else len(n) for n in given_out)


def _given_to_a_node(most: int, mode: str) -> Iterator[int]:
    """The addresses of a full node, one by one: of static blocks the rest of the last one too."""
    needed = most if mode == "DynamicIndividual" else most + 1
    number = 0
    while number < needed or (mode != "DynamicIndividual" and number % 16):
        yield number
        number += 1


@given(st.lists(st.integers(24, 32), max_size=4), st.integers(0, 300))
def test_usable_addresses_are_those_that_azure_does_not_keep(lengths: list[int], addresses: int) -> None:
    prefixes = [ip_network(f"10.0.{number}.0/{length}") for number, length in enumerate(lengths)]
    kept = [list(prefix)[4:-1] for prefix in prefixes]
    assert usable([*prefixes, ip_network("fd00::/64")]) == sum(map(len, kept))
    enough = next(n for n in range(29, 0, -1) if len(range(2 ** (32 - n))) - 5 >= addresses)
    assert smallest_prefix(addresses) == enough


@given(st.lists(st.integers(14, 28), max_size=3))
def test_a_pod_cidr_has_room_for_as_many_nodes_as_it_has_parts(lengths: list[int]) -> None:
    prefixes = [ip_network(f"{number}.0.0.0/{length}") for number, length in enumerate(lengths, 20)]
    parts = [list(prefix.subnets(new_prefix=24)) if prefix.prefixlen <= 24 else [] for prefix in prefixes]
    assert nodes_of_pod_cidr([*prefixes, ip_network("fd00::/48")]) == sum(map(len, parts))


@given(st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 9)), st.text("ab", max_size=1))))
def test_a_total_has_no_bound_where_one_part_has_none(parts: list[tuple[int, int | None, str]]) -> None:
    found = total(Demand(least, most, (), doubt) for least, most, doubt in parts)
    assert found.least == sum(least for least, _, _ in parts)
    bounds = [most for _, most, _ in parts]
    assert found.most == (None if None in bounds else sum(most for most in bounds if most is not None))
    assert set(filter(None, found.doubt.split("; "))) == {doubt for _, _, doubt in parts if doubt}


@pytest.mark.parametrize(
    ("scale", "nodes"),
    [
        ({"manual": [{"count": 2}, {"count": 3}]}, 5),
        ({"autoscale": {"minCount": 1, "maxCount": 7}}, 7),
        ({"manual": [{"count": 2}], "autoscale": [{"minCount": 1, "maxCount": 7}, {"minCount": 0, "maxCount": 1}]}, 10),
    ],
)
def test_the_sizes_of_a_pool_of_single_machines_add_up(scale: dict[str, Any], nodes: int) -> None:
    assert full_scale(pool(type="VirtualMachines", count=1, virtualMachinesProfile={"scale": scale})) == nodes


@pytest.mark.parametrize("scale", [{"manual": [{"count": 2}, {}]}, {"autoscale": [{"minCount": 3}]}])
def test_a_size_without_a_number_is_malformed(scale: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        full_scale(pool(type="VirtualMachines", virtualMachinesProfile={"scale": scale}))
