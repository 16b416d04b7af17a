"""The list of names that clusters need, and what is taken from it for one cluster."""

import re
from typing import Literal, get_args

import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate, ManagedCluster, NotCollected
from aks_audit.facts.egress import OutboundEndpoints
from aks_audit.network.required_egress import REQUIRED, Cloud, Feature, Need, cloud_of, needs
from cases import CLUSTER, Case, estate_of, records_of


def needed(**changes: object) -> tuple[Need, ...]:
    """What the cluster of the base estate needs, with changes made to its body."""
    settings = {f"cluster {path}": value for path, value in changes.items()}
    return needs(estate_of(Case(name="", expect="", set=settings)).resource(ManagedCluster, CLUSTER))


@pytest.mark.parametrize("cloud", get_args(Cloud))
def test_each_cloud_says_what_every_cluster_needs(cloud: str) -> None:
    features = {egress.feature for egress in REQUIRED if egress.cloud == cloud}
    assert features >= {"base", "public-api-server", "container-insights", "defender", "azure-policy"}
    assert features <= set(get_args(Feature))


def test_names_are_host_names_in_lower_case() -> None:
    for name in (name for egress in REQUIRED for name in egress.names):
        assert name == "{api-server}" or re.fullmatch(
            r"(\*|\{location\}|[a-z0-9-]+)(\.(\{location\}|[a-z0-9-]+))+", name
        )


@pytest.mark.parametrize(
    ("location", "cloud"),
    [
        ("westeurope", "public"),
        ("chinanorth3", "china"),
        ("usgovvirginia", "us-government"),
        ("usdodeast", "us-government"),
    ],
)
def test_the_region_tells_the_cloud(location: str, cloud: str) -> None:
    assert cloud_of(location) == cloud


def test_a_private_cluster_needs_no_way_to_its_api_server() -> None:
    assert "public-api-server" not in {need.why for need in needed()}


def test_a_public_cluster_needs_its_own_api_server() -> None:
    changes = {
        "properties.apiServerAccessProfile.enablePrivateCluster": False,
        "properties.fqdn": "AKS-1.hcp.westeurope.azmk8s.io",
    }
    found = [need for need in needed(**changes) if need.why == "public-api-server"]
    assert [str(need) for need in found] == ["aks-1.hcp.westeurope.azmk8s.io:443"]
    assert found[0].known.service_tags == frozenset({"azurecloud.westeurope"})


def test_names_hold_the_region() -> None:
    names = {need.name for need in needed(location="West Europe")}
    assert "westeurope.handler.control.monitor.azure.com" in names


def test_a_need_is_told_once() -> None:
    found = needed()
    assert len(found) == len(set(found))


def with_gap(cause: Literal["refused", "not-asked", "not-read"]) -> ManagedCluster:
    """The cluster of the base estate, whose own list AKS was not asked for or did not give."""
    gap = snapshot.Gap(id=CLUSTER, type=OutboundEndpoints.TYPE, reason="no list", cause=cause)
    found = snapshot.of([*records_of(Case(name="", expect="")), gap])
    return Estate(found).resource(ManagedCluster, CLUSTER)


def test_the_documented_names_count_where_nobody_asked_for_the_list_of_aks() -> None:
    assert needs(with_gap("not-asked")) == needed()


@pytest.mark.parametrize("cause", ["refused", "not-read"])
def test_they_do_not_count_where_the_list_of_aks_could_not_be_read(cause: Literal["refused", "not-read"]) -> None:
    with pytest.raises(NotCollected, match="no list"):
        needs(with_gap(cause))
