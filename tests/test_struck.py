"""Lists inside clusters that fail, half-read ones among them: every rule says the same of what is left, or unknown.

`test_inside_matrix` says that each call that fails leaves a gap; here it is asked what becomes of the rules. An outcome
stays, or becomes unknown; nothing new is said; and the report tells that it is not complete.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
import pytest

from aks_audit.facts import Estate
from aks_audit.snapshot import Gap, Header, Listing, Resource
from aks_audit.sources.deadline import Deadline
from aks_audit.sources.kubernetes.api import Answer, Getter, UnreachableError
from aks_audit.sources.kubernetes.plan import CORE, GROUPS, VERSION, kinds
from aks_audit.sources.kubernetes.reader import Reader
from cases import BASE, CLUSTER, INSIDE, Case, case_files, read_cases, records_of
from kubernetes_api import Edit, Fault, KubernetesApi
from kubernetes_api.authorization import Identity, Roles
from kubernetes_api.targets import target
from recorded_clusters import NAMES, Name
from resource_manager import Answer as Said
from struck import (
    RULES,
    Audited,
    Failing,
    Records,
    Whole,
    audited,
    bolder,
    now,
    shape,
    strike,
    through_client,
    unpacked,
    whole,
)
from test_inside_matrix import FAILURES

EFFECTS = {
    **{name: effect for name, effect in FAILURES.items() if name != "hanging"},
    "a page for people": Said(200, b"<html>Sign in</html>", "text/html"),
}
"""What hangs comes to the reader as what the deadline says, with a gap like that of any other."""

LOTS = 5
"""How many readings of a cluster have several calls fail, by lot."""

LARGEST_LOT = 9

FEW = ("403", "404 in text", "500", "another shape")
"""Failures enough for calls that all the others are read with again."""

ONE_IN = 4
"""Of so many cases of rules one is struck; all of them were, when this was written, and take minutes."""


class Scene(NamedTuple):
    """A whole reading, what rules say of it, and what each failure makes of an answer."""

    name: Name
    api: KubernetesApi
    whole: Whole
    before: Audited
    failing: Mapping[str, Failing]


@pytest.fixture(scope="module", params=NAMES)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with KubernetesApi(request.param) as api:
        read = whole(request.param, api)
        assert not [record for record in read.inside if isinstance(record, Gap)]
        yield Scene(request.param, api, read, audited(read.records), {**met(api, read), "one has no name": nameless})


def met(api: KubernetesApi, read: Whole) -> dict[str, Failing]:
    """What each failure is to the reader, asked of the server."""

    async def ask(client: Getter) -> Answer | UnreachableError:
        try:
            return await client.get(VERSION)
        except UnreachableError as problem:
            return problem

    found: dict[str, Failing] = {}
    for name, effect in EFFECTS.items():
        api.strike(Fault(f"^{VERSION}", effect, times=None))
        came = asyncio.run(through_client(api, read.cluster, ask))
        found[name] = instead(came)
    api.strike()
    return found


def instead(came: Answer | UnreachableError) -> Failing:
    def fail(_: Answer) -> Answer:
        if isinstance(came, UnreachableError):
            raise came
        return came

    return fail


def nameless(answer: Answer) -> Answer:
    """A page of which the first object has lost its name."""
    body = msgspec.json.decode(answer.body)
    if body.get("items"):
        body["items"][0].setdefault("metadata", {}).pop("name", None)
    else:
        body["items"] = [{}]
    return Answer(answer.status, msgspec.json.encode(body))


def readings(scene: Scene) -> Iterator[tuple[str, Records]]:
    """A reading for each call for a page of a list, and each failure of it."""
    for call in scene.whole.lists:
        for name in EFFECTS:
            yield f"{name} of {call}", scene.whole.listed({call: scene.failing[name]})


def test_a_list_that_fails_makes_nothing_bolder(scene: Scene, record_property: Callable[[str, object], None]) -> None:
    told: dict[frozenset[object], str] = {}
    problems: list[str] = []
    for name, records in readings(scene):
        if told.setdefault(shape(records), name) == name:
            problems += [f"{name}: {problem}" for problem in objections(scene, records)]
    count = len(scene.whole.lists) * len(EFFECTS)
    size = f"{count} readings, {len(told)} of them different, x {len(scene.before.outcomes)} outcomes"
    record_property("matrix", size)
    print(size)  # noqa: T201 - shown by pytest -rP
    assert len(told) >= len(scene.whole.lists), size
    assert not problems, "\n".join(problems[:40])


def objections(scene: Scene, records: Records) -> Iterator[str]:
    """What an incomplete reading says that it must not."""
    after = audited(records)
    yield from bolder(scene.before, after, scene.whole.cluster)
    if after.report.scan.complete:
        yield "the scan is said to be complete"
    unread = {(missing.what, missing.reason) for missing in after.report.coverage.unread}
    lost = [one for one in records if isinstance(one, Gap)]
    yield from (f"the coverage does not tell of {one.type}" for one in lost if (one.id, one.reason) not in unread)
    if not lost:
        yield "there is no gap"


def test_readings_are_those_that_the_server_gives(scene: Scene) -> None:
    lot = random.Random(5)  # noqa: S311 - any will do
    for name in lot.sample(sorted(EFFECTS), 4):
        call = lot.choice([one for one in scene.whole.lists if "continue" not in one])
        scene.api.strike(Fault(f"^{call.partition('?')[0]}[?]", EFFECTS[name], times=None))

        async def read(client: Getter) -> Records:
            return unpacked(await Reader(client, scene.whole.cluster, Deadline(), now).read())

        sent = asyncio.run(through_client(scene.api, scene.whole.cluster, read))
        made = scene.whole.listed({call: scene.failing[name]})
        assert shape((*scene.whole.azure, *sent)) == shape(made), f"{name} of {call}"
        assert causes(sent) == causes(made), f"{name} of {call}"
    scene.api.strike()


def causes(records: Records) -> list[tuple[str, str, int | None, str | None]]:
    return [(one.type, one.cause, one.status, one.action) for one in records if isinstance(one, Gap)]


def test_why_a_list_was_not_read_decides_nothing(scene: Scene) -> None:
    first = [call for call in scene.whole.lists if "continue" not in call]
    refused, broken = (
        audited(scene.whole.listed(dict.fromkeys(first, scene.failing[name]))) for name in ("403", "500")
    )
    assert refused.outcomes == broken.outcomes


def test_what_is_no_list_and_fails_makes_nothing_bolder(scene: Scene) -> None:
    told: set[frozenset[object]] = set()
    problems: list[str] = []
    others = [call for call in scene.whole.calls if call not in scene.whole.lists]
    assert {VERSION, CORE, GROUPS} < set(others)
    for call in others:
        for name in FEW:
            records = scene.whole.read({call: scene.failing[name]})
            if shape(records) not in told:
                told.add(shape(records))
                problems += [f"{name} of {call}: {problem}" for problem in objections(scene, records)]
    assert not problems, "\n".join(problems[:40])


@pytest.mark.parametrize("seed", range(LOTS))
def test_several_lists_that_fail_make_nothing_bolder(scene: Scene, seed: int) -> None:
    lot = random.Random(seed)  # noqa: S311 - any will do
    calls = lot.sample(sorted(scene.whole.lists), lot.randint(2, LARGEST_LOT))
    failing = {call: scene.failing[lot.choice(sorted(scene.failing))] for call in calls}
    problems = list(objections(scene, scene.whole.listed(failing)))
    assert not problems, f"{calls}: " + "\n".join(problems[:40])


# --- permissions


def viewable() -> frozenset[str]:
    """The kinds that Kubernetes' own role `view` lets one list, which has no Secrets, nodes or rights in it."""
    with KubernetesApi("hardened") as api:
        calls = whole("hardened", api).calls
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    pages = [msgspec.json.decode(answer.body) for call, answer in calls.items() if call.startswith(f"{path}?")]
    binding: dict[str, Any] = {"metadata": {}, "roleRef": {"kind": "ClusterRole", "name": "view"}}
    binding["subjects"] = [{"kind": "User", "name": "viewer"}]
    roles = Roles([role for page in pages for role in page["items"]], [], [binding], [])
    viewer = Identity("viewer", frozenset())
    asked = {kind.type: target(kind.path("v1")) for kind in kinds()}
    return frozenset(name for name, about in asked.items() if about and roles.permit(viewer, "list", about))


def test_the_view_role_is_without_nodes_and_rights() -> None:
    permitted = viewable()
    assert {"pods", "services", "deployments.apps"} <= permitted
    assert not permitted & {"nodes", "clusterroles.rbac.authorization.k8s.io"}


RIGHTS: dict[str, Callable[[], frozenset[str]]] = {
    "view": viewable,
    "those of one namespace": frozenset,
    "none but on pods": lambda: frozenset({"pods"}),
    "all but on pods": lambda: frozenset(kind.type for kind in kinds()) - {"pods"},
}
"""The kinds that some rights let one list. Those of a namespace let nobody list a kind in all, but get its objects."""


@pytest.mark.parametrize("rights", RIGHTS)
def test_fewer_rights_make_nothing_bolder(scene: Scene, rights: str) -> None:
    refused = {kind.type for kind in kinds()} - RIGHTS[rights]()
    with KubernetesApi(scene.name, deny=sorted(refused)) as api:
        read = whole(scene.name, api)
    gaps = {one.type: one for one in read.inside if isinstance(one, Gap)}
    there = {kind.type for kind, _ in scene.whole.lists.values()}
    assert gaps.keys() - {"configmaps"} == refused & there
    assert all(one.cause == "refused" and one.action for one in gaps.values())
    problems = list(objections(scene, read.records))
    assert not problems, "\n".join(problems[:40])


# --- what is served


def is_installed(group: str) -> bool:
    """Whether a group of the API comes with something that is installed, and not with Kubernetes."""
    return "." in group and (not group.endswith("k8s.io") or group.startswith(("gateway.", "policy.networking.")))


def with_groups(edit: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Edit:
    """An edit of each installed group in the discovery of a server; None takes it out."""

    def edited(path: str, body: Any) -> Any:  # noqa: ANN401 - any JSON value
        if path != GROUPS or body.get("kind") != "APIGroupDiscoveryList":
            return body
        found = (edit(one) if is_installed(one["metadata"]["name"]) else one for one in body["items"])
        return {**body, "items": [one for one in found if one]}

    return edited


def test_what_is_not_installed_is_as_what_is_installed_and_not_used(scene: Scene) -> None:
    with KubernetesApi(scene.name, edit=with_groups(lambda _: None)) as api:
        absent = audited(whole(scene.name, api).records)
    installed = {kind.type for kind, _ in scene.whole.lists.values() if is_installed(kind.group)}
    assert installed
    unused = [one for one in scene.whole.records if not (isinstance(one, Resource) and one.type in installed)]
    expected = audited(tuple(unused))
    assert absent.outcomes == expected.outcomes
    assert absent.report.scan.complete == scene.before.report.scan.complete


def test_a_group_that_does_not_answer_makes_nothing_bolder(scene: Scene) -> None:
    groups = sorted({kind.group for kind, _ in scene.whole.lists.values() if is_installed(kind.group)})
    for stale in groups:

        def edit(group: dict[str, Any], stale: str = stale) -> dict[str, Any]:
            if group["metadata"]["name"] != stale:
                return group
            versions = [{"version": one["version"], "freshness": "Stale"} for one in group["versions"]]
            return {**group, "versions": versions}

        fault = Fault(f"^/apis/{stale}/", Said(503, b"service unavailable", "text/plain"), times=None)
        with KubernetesApi(scene.name, edit=with_groups(edit), faults=[fault]) as api:
            read = whole(scene.name, api)
        problems = list(objections(scene, read.records))
        assert not problems, f"{stale}: " + "\n".join(problems[:40])


# --- estates that people made


KEPT: dict[str, Callable[[list[Resource]], list[Resource]]] = {
    "nothing": lambda _: [],
    "the first half": lambda objects: objects[: (len(objects) + 1) // 2],
    "the second half": lambda objects: objects[len(objects) // 2 :],
    "all but the last": lambda objects: objects[:-1],
}


def kinds_of(records: Records) -> list[str]:
    """The kinds inside the cluster of the base estate that were listed."""
    return sorted({one.type.lower() for one in records if isinstance(one, Listing) and "/" not in one.type})


def test_lists_of_the_base_estate_that_fail_make_nothing_bolder() -> None:
    records = tuple(records_of(Case(name="", expect=""), BASE, INSIDE))
    before = audited(records)
    for kind in kinds_of(records):
        problems = list(bolder(before, audited(strike(records, kind, CLUSTER, KEPT["nothing"])), CLUSTER))
        assert not problems, f"{kind}: " + "\n".join(problems[:40])


EXCEPT = {
    ("AKS-KN-08", "stored by Calico, and shown by its own API, too"): "no reading holds both of them",
    ("AKS-KW-09", "owners that are no list"): "without the damaged pod nothing is unknown",
}
"""Cases that a lost list makes no harder to decide."""


def test_a_list_that_fails_makes_no_case_of_a_rule_bolder(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    within = Estate.within

    def noted(estate: Estate, kind: Any, scope: str) -> Any:  # noqa: ANN401 - as in the estate
        asked.add(kind.TYPE.lower())
        return within(estate, kind, scope)

    monkeypatch.setattr(Estate, "within", noted)
    rules = {rule.id: rule for rule in RULES}
    problems: list[str] = []
    tried = 0
    for file in case_files():
        for case in read_cases(file):
            number = crc32(f"{file.parent.name} {case.name}".encode())
            if number % ONE_IN or case.only or "inside" in case.refuse or (file.parent.name, case.name) in EXCEPT:
                continue
            records = tuple(one for one in records_of(case, BASE, INSIDE) if not isinstance(one, Header))
            asked.clear()
            before = audited(records, (rules[file.parent.name],))
            of_inside = sorted(kind for kind in asked if kind and "/" not in kind)
            if not of_inside:
                continue
            lot = random.Random(number)  # noqa: S311 - any will do
            kind, kept = lot.choice(of_inside), lot.choice(list(KEPT))
            after = audited(strike(records, kind, CLUSTER, KEPT[kept]), (rules[file.parent.name],))
            problems += [f"{case.name}, {kept} of {kind}: {problem}" for problem in bolder(before, after, CLUSTER)]
            tried += 1
    assert tried > 200, tried
    assert not problems, "\n".join(problems[:40])
