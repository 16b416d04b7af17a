"""Pictures of clusters: what the facts and the walks say, and nothing that was not read."""

from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recorded_clusters
from aks_audit import snapshot
from aks_audit.facts import Estate, ManagedCluster
from aks_audit.picture import ClusterPicture
from aks_audit.pictures import picture
from aks_audit.reach import Question, ask
from aks_audit_reports.html.drawing import drawing
from mutations import RETYPED, Mutation, keys

ESTATES = Path(__file__).parent.parent / "fixtures" / "estates"
NAMES = sorted(file.stem for file in ESTATES.glob("*.jsonl"))

Records = tuple[snapshot.Record, ...]


@cache
def records(name: str) -> Records:
    """The records of an estate of the fixtures."""
    read = snapshot.read([ESTATES / f"{name}.jsonl"])
    resources = (resource for resource, _ in read.resources)
    return (*read.headers, *read.listings, *(gap for gap, _ in read.gaps), *resources)


def without(kept: Records, *types: str) -> Records:
    """The records without the resources and lists of some types."""
    lost = {kind.lower() for kind in types}
    resources = (snapshot.Resource, snapshot.Listing)
    return tuple(one for one in kept if not (isinstance(one, resources) and one.type.lower() in lost))


def pictures(estate: Estate) -> tuple[ClusterPicture, ...]:
    """The pictures of all clusters of an estate."""
    return tuple(map(picture, estate.every(ManagedCluster)))


def drawn(kept: Records, cluster: str) -> ClusterPicture:
    """The picture of a cluster by its name."""
    found = pictures(Estate(snapshot.of(kept)))
    return next(one for one in found if one.cluster.lower().endswith(f"/{cluster}"))


def words(picture: ClusterPicture) -> list[str]:
    """A picture as lines of text."""
    names = [box.name for box in picture.boxes]
    boxes = [
        f"{box.kind} {box.name}{f' in {names[box.inside]}' if box.inside is not None else ''}: {'; '.join(box.lines)}"
        f"{' [not read]' if not box.seen else ''}"
        for box in picture.boxes
    ]
    joins = [f"{names[one.source]} {one.kind} {names[one.target]} {one.says}".strip() for one in picture.joins]
    ways = [
        f"{', '.join(way.pools)} to {way.to}: {' > '.join(names[box] for box in way.boxes)}: {way.end}, "
        f"{way.steps[way.decided_by].says}"
        for way in picture.ways
    ]
    return [*boxes, *joins, *ways]


@pytest.mark.parametrize("name", NAMES)
def test_every_cluster_of_an_estate_has_a_picture_that_holds_together(name: str) -> None:
    estate = Estate(snapshot.of(records(name)))
    found = pictures(estate)
    assert [one.cluster for one in found] == [cluster.id for cluster in estate.every(ManagedCluster)]
    for one in found:
        ids = [box.id.lower() for box in one.boxes]
        assert len(set(ids)) == len(ids), "each resource is drawn once"
        places = range(len(one.boxes))
        assert {end for join in one.joins for end in (join.source, join.target)} <= set(places)
        assert all(box.inside is None or one.boxes[box.inside].kind == "network" for box in one.boxes)
        pools = [box.name for box in one.boxes if box.kind == "pool"]
        assert {pool for way in one.ways for pool in way.pools} == set(pools)
        for way in one.ways:
            assert set(way.boxes) <= set(places)
            assert one.boxes[way.boxes[0]].kind == "subnet"
            assert way.decided_by < len(way.steps)
            assert way.end != "blocked" or 0 not in way.boxes, "what is stopped does not reach the internet"


def test_what_is_behind_a_hub_is_drawn_to_the_internet() -> None:
    assert words(drawn(records("shared-hub"), "aks-billing")) == [
        "internet The internet: ",
        (
            "api-server API server: aks-billing-rg-billing-5a4e00-bc630dbd.privatelink.westeurope.azmk8s.io; "
            "private; 10.82.0.4"
        ),
        "pool system: System, 3 nodes; zones 1, 2, 3",
        "network vnet-billing: 10.82.0.0/16",
        "security-group nsg-billing: 4 rules of its own",
        "route-table rt-billing: 0.0.0.0/0 → 10.80.1.4; 52.232.0.0/16 → Internet",
        "subnet snet-billing in vnet-billing: 10.82.0.0/22",
        "pool apps: User, 6 nodes; zones 1, 2, 3",
        "network vnet-hub: 10.80.0.0/16",
        (
            "firewall fw-hub in vnet-hub: 10.80.1.4; 20.86.1.10 (pip-firewall-10); 20.86.1.11 "
            "(pip-firewall-11); policy fwp-hub; zones 1, 2, 3"
        ),
        "security-group aks-agentpool-17098762-nsg: 0 rules of its own",
        "private-endpoint kube-apiserver: Approved",
        "private-zone privatelink.westeurope.azmk8s.io: ",
        "snet-billing guarded by nsg-billing",
        "snet-billing routed by rt-billing",
        "system nodes in snet-billing",
        "apps nodes in snet-billing",
        "vnet-billing peered with vnet-hub Connected",
        "vnet-billing asks fw-hub",
        "system guarded by aks-agentpool-17098762-nsg on the nodes",
        "apps guarded by aks-agentpool-17098762-nsg on the nodes",
        "kube-apiserver in snet-billing",
        "kube-apiserver leads to API server",
        "vnet-hub asks privatelink.westeurope.azmk8s.io Completed",
        "API server named by privatelink.westeurope.azmk8s.io",
        (
            "system, apps to internet: snet-billing > fw-hub > The internet: unknown, From snet-billing, "
            "0.0.0.0/0 leads to appliance 10.80.1.4; but which routes the peer's by peering to-vnet-hub gives "
            "to vnet-billing is not known; one may be more specific"
        ),
        (
            "system, apps to mcr.microsoft.com:443: snet-billing > fw-hub > The internet: unknown, From "
            "snet-billing, 0.0.0.0/0 leads to appliance 10.80.1.4; but which routes the peer's by peering "
            "to-vnet-hub gives to vnet-billing is not known; one may be more specific; whether "
            "mcr.microsoft.com has an address in 52.232.0.0/16 (route to-partner) is not known"
        ),
    ]


def test_a_pool_is_walked_from_whatever_it_is_called() -> None:
    named = tuple(
        msgspec.json.decode(msgspec.json.encode(one).replace(b'"apps"', b'"node"'), type=type(one))
        for one in records("virtual-wan")
    )
    starts = {way.pools: way.steps[0].says for way in drawn(named, "aks-api").ways}
    assert starts["node",].startswith("A node of pool node in subnet snet-batch")


def test_pictures_are_the_same_each_time() -> None:
    again = [msgspec.json.encode(pictures(Estate(snapshot.of(records("shared-hub"))))) for _ in range(2)]
    assert again[0] == again[1]


def test_what_was_not_read_is_drawn_as_that() -> None:
    lost = without(
        records("shared-hub"),
        "Microsoft.Network/routeTables",
        "Microsoft.Network/networkSecurityGroups",
        "Microsoft.Network/privateEndpoints",
        "Microsoft.Network/privateDnsZones",
    )
    picture = drawn(lost, "aks-orders")
    unseen = {box.kind: box for box in picture.boxes if not box.seen}
    assert set(unseen) == {"route-table", "security-group", "private-endpoint", "private-zone"}
    group = "/subscriptions/5a4e0000-0000-4000-8000-000000000002/resourceGroups/rg-orders"
    told = f"{group}/providers/Microsoft.Network/routeTables/rt-orders is not in the snapshot"
    assert unseen["route-table"].unread == (told,)
    assert all(way.end == "unknown" for way in picture.ways)


def test_a_network_that_was_not_read_is_no_empty_one() -> None:
    picture = drawn(without(records("nat-gateway"), "Microsoft.Network/virtualNetworks"), "aks-batch")
    subnet = next(box for box in picture.boxes if box.kind == "subnet")
    assert (subnet.seen, subnet.lines) == (False, ())
    assert not next(box for box in picture.boxes if box.kind == "network").seen


def test_nobody_is_said_to_be_reached_where_nobody_asked_what_is_inside() -> None:
    assert all(one.reach is None for name in NAMES for one in pictures(Estate(snapshot.of(records(name)))))


def test_who_reaches_whom_is_what_reach_says() -> None:
    estate = recorded_clusters.estate("hardened")
    (picture,) = pictures(estate)
    assert picture.reach is not None
    answer = ask(estate, Question(estate.every(ManagedCluster)[0]))
    assert (picture.reach.engine, picture.reach.places) == ("Cilium", answer.places)
    assert (picture.reach.left_out, len(picture.reach.cells)) == (0, len(answer.places))
    for row, cells in zip(answer.places, picture.reach.cells, strict=True):
        assert [set(cell) for cell in cells] == [set(answer.cell(row, column)) for column in answer.places]


def test_a_matrix_of_very_many_namespaces_says_how_many_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aks_audit.pictures._MOST_NAMESPACES", 3)
    (picture,) = pictures(recorded_clusters.estate("hardened"))
    assert picture.reach is not None
    assert picture.reach.places == (
        "aks-istio-ingress",
        "aks-istio-system",
        "app-routing-system",
        "nodes",
        "api-server",
        "internet",
        "private addresses",
    )
    assert picture.reach.left_out == 5


@cache
def parts(name: str) -> tuple[tuple[int, Mutation], ...]:
    """Every value of every body of an estate, each to be lost, or to be one of another type."""
    return tuple(
        (number, Mutation(way, "drop"))
        for number, one in enumerate(records(name))
        if isinstance(one, snapshot.Resource)
        for way in keys(one.body)
    )


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(parts(name)))), st.data())
def test_hurt_bodies_are_drawn(chosen: tuple[str, tuple[int, Mutation]], data: st.DataObject) -> None:
    name, (number, mutation) = chosen
    how = data.draw(st.sampled_from(["drop", "null", "retype"]))
    value = data.draw(st.sampled_from(RETYPED)) if how == "retype" else None
    kept = list(records(name))
    hurt = kept[number]
    assert isinstance(hurt, snapshot.Resource)
    body = mutation._replace(how=how, value=value).of(hurt.body)
    kept[number] = msgspec.structs.replace(hurt, body=body)
    found = pictures(Estate(snapshot.of(kept)))
    for one in found:
        assert all(place < len(one.boxes) for way in one.ways for place in way.boxes)
        ET.fromstring(str(drawing(one, {}, "aks", "network-0")))  # noqa: S314 - our own
