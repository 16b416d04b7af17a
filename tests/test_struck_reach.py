"""Lists inside clusters that fail: `reach` and `path` say of every two ends what they said before, or unknown."""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from typing import NamedTuple

import pytest

from aks_audit import path, reach, snapshot
from aks_audit.facts import Estate, ManagedCluster, Unread
from aks_audit.network.addresses import AddressSet
from aks_audit.network.flows import Passage
from aks_audit.path import find_cluster
from aks_audit.policies.enforcement import POLICY_TYPES, REFERRED_TYPES, enforced
from aks_audit.policies.evaluate import Verdict
from aks_audit.policies.inhabitants import api_server, inhabitants
from aks_audit.policies.model import Endpoint, Kind
from aks_audit.policies.ports import KUBERNETES_TRAFFIC
from aks_audit.policies.reach import Reach
from aks_audit.snapshot import Listing, Resource
from recorded_clusters import NAMES, Name, records
from struck import Records, strike

ASKED = ("pods", "nodes", "serviceaccounts", "daemonsets.apps", *POLICY_TYPES, *REFERRED_TYPES)
"""The kinds that answers rest on."""

ADDRESSES = ("8.8.8.8", "10.99.0.1", "169.254.169.254")
TARGETS = ("internet", "api-server", "mcr.microsoft.com:443", "10.0.0.10:53", "169.254.169.254:80")


class Talk(NamedTuple):
    """Who may talk to whom: the ends by name and the reach between them; None where nothing is known of any."""

    cluster: ManagedCluster
    answer: reach.Answer
    ends: Mapping[tuple[str, str, str], int]
    reach: Reach | None


def talk(read: Records) -> Talk:
    estate = Estate(snapshot.of(read))
    (cluster,) = estate.every(ManagedCluster)
    answer = reach.ask(estate, reach.Question(cluster))
    ends = [*inhabitants(cluster).endpoints, api_server(cluster), *map(address, ADDRESSES)]
    named = {(one.kind.value, one.namespace, one.name): number for number, one in enumerate(ends)}
    try:
        return Talk(cluster, answer, named, Reach(ends, enforced(cluster).ruleset))
    except Unread:
        return Talk(cluster, answer, named, None)


def address(written: str) -> Endpoint:
    return Endpoint(Kind.ADDRESS, written, "", {}, {}, "", {}, AddressSet.written(written), node_labels={})


@cache
def whole(name: Name) -> Talk:
    return talk(records(name))


@cache
def walks(name: Name) -> Mapping[tuple[str, str], Passage]:
    return dict(walked(whole(name)))


def walked(of: Talk) -> Iterator[tuple[tuple[str, str], Passage]]:
    """How walks from the first pod of each namespace end."""
    first = {namespace: (namespace, name) for kind, namespace, name in of.ends if kind == Kind.POD.value}
    for (namespace, name), target in product(first.values(), TARGETS):
        source = f"{namespace}/{name}"
        yield (source, target), path.ask(of.cluster.estate, path.Question(of.cluster, source, target, "tcp")).end


def struck(name: Name) -> Iterator[tuple[str, Records]]:
    """The readings without each kind that answers rest on, and with half of it."""
    read = records(name)
    cluster = whole(name).cluster.id
    listed = {one.type for one in read if isinstance(one, Listing) and one.served}
    for kind in sorted(listed & set(ASKED)):
        yield f"without {kind}", strike(read, kind, cluster, lambda _: [])
        if sum(isinstance(one, Resource) and one.type == kind for one in read) > 1:
            yield f"with half of {kind}", strike(read, kind, cluster, lambda objects: objects[: len(objects) // 2])


@pytest.mark.parametrize("name", NAMES)
def test_no_two_ends_are_told_more_of(name: Name) -> None:
    before = whole(name)
    problems = [f"{what}: {problem}" for what, read in struck(name) for problem in bolder(before, talk(read))]
    assert not problems, "\n".join(problems[:40])


def bolder(before: Talk, after: Talk) -> Iterator[str]:
    """What is said of two ends that was not said before, or is said to be all where something is missing."""
    assert before.reach
    for row, column in product(after.answer.places, repeat=2):
        cell, whole_cell = after.answer.cell(row, column), before.answer.cell(row, column)
        if new := cell - whole_cell - {Verdict.UNKNOWN}:
            yield f"from {row} to {column} is {new}"
        if cell != whole_cell and after.answer.complete:
            yield f"from {row} to {column} is {cell}, was {whole_cell}, and the answer is said to be complete"
    if after.reach is None:
        return
    alike = {
        (before.reach.class_of[before.ends[end]], after.reach.class_of[number]): end
        for end, number in after.ends.items()
    }
    for source, destination in product(alike.values(), repeat=2):
        for own_node in (False, True):
            earlier = before.reach.between(before.ends[source], before.ends[destination], own_node=own_node)
            later = after.reach.between(after.ends[source], after.ends[destination], own_node=own_node)
            for old, later_one in product(earlier, later):
                common = old.traffic & later_one.traffic & KUBERNETES_TRAFFIC
                if common and later_one.verdict not in {old.verdict, Verdict.UNKNOWN}:
                    yield f"from {source} to {destination}, {own_node=}: {later_one.verdict}, was {old.verdict}"


@pytest.mark.parametrize("name", NAMES)
def test_no_walk_is_told_more_of(name: Name) -> None:
    before = walks(name)
    assert {Passage.ALLOWED, Passage.BLOCKED} & set(before.values())
    for what, read in struck(name):
        after = Estate(snapshot.of(read))
        cluster = find_cluster(after, whole(name).cluster.name)
        for (source, target), end in before.items():
            found = path.ask(after, path.Question(cluster, source, target, "tcp")).end
            assert found in {end, Passage.UNKNOWN}, f"{what}: from {source} to {target} is {found}, was {end}"
