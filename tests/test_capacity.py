"""How many nodes a pool may have, against counting."""

from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.facts import AgentPool, Estate, Malformed, ManagedCluster
from aks_audit.network.capacity import LARGEST_MAX_SURGE, full_scale, full_scale_with_surge

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
