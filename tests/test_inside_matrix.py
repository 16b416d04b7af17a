"""Every call inside a cluster is struck by every failure: nothing becomes absent by it, and nothing else is lost.

As in the matrix of Azure's calls, a struck reading sends only the struck call to the server; the others get again what
they got before. What a kind holds is then read to its end, or told by a gap; never an end without a reading.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import pytest

from aks_audit.facts.gaps import INSIDE
from aks_audit.snapshot import Gap, Listing, Packed, Record, Resource
from aks_audit.sources.deadline import Deadline
from aks_audit.sources.kubernetes.access import Access
from aks_audit.sources.kubernetes.api import Answer, Getter
from aks_audit.sources.kubernetes.client import Client
from aks_audit.sources.kubernetes.reader import Reader
from kubernetes_api import AUDITOR_TOKEN, Fault, Hang, KubernetesApi, Reset, Truncated, answers
from resource_manager import Answer as Said
from resource_manager.faults import Effect

CLUSTER = "/subscriptions/1/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c"

FAILURES: dict[str, Effect] = {
    "401": Said(401, b'{"kind":"Status","reason":"Unauthorized","message":"Unauthorized"}'),
    "403": Said(403, b'{"kind":"Status","reason":"Forbidden","message":"User cannot list resource"}'),
    "404 in text": Said(404, b"404 page not found\n", "text/plain"),
    "410": Said(410, b'{"kind":"Status","reason":"Expired","message":"expired","metadata":{}}'),
    "429 without end": answers.throttled(),
    "500": Said(500, b'{"kind":"Status","message":"etcdserver: request timed out"}'),
    "503 in text": Said(503, b"service unavailable", "text/plain"),
    "302": Said(302, b"", headers={"Location": "https://127.0.0.1:1/"}),
    "reset": Reset(),
    "cut off in the JSON": Truncated(),
    "cut off in the connection": Truncated(announced=True),
    "hanging": Hang(60),
    "nothing": Said(200, b""),
    "null": Said(200, b"null"),
    "another shape": Said(200, b'{"kind":"Status","status":"Success"}'),
    "no list": Said(200, b'{"kind":"List","metadata":{},"items":7}'),
    "no names": Said(200, b'{"kind":"List","metadata":{},"items":[{}, null]}'),
    "deep": Said(200, b'{"kind":"List","x":' + b"[" * 500 + b"]" * 500 + b"}"),
}
_T = TypeVar("_T")
PATIENCE = 0.3
"""Seconds that a reading has where a call hangs."""


class Clean(NamedTuple):
    """A reading that nothing struck: the server, each call with what it got, and the records."""

    api: KubernetesApi
    calls: dict[tuple[str, str], Answer]
    records: tuple[Record, ...]


class Replayed:
    """Gives what the clean reading got, and sends the struck call to the server."""

    def __init__(self, clean: Clean, struck: str, client: Getter) -> None:
        self._clean, self._struck, self._client = clean, struck, client

    async def get(self, path: str, accept: str = "application/json") -> Answer:
        """Give or send."""
        if path == self._struck or (path, accept) not in self._clean.calls:
            return await self._client.get(path, accept)
        return self._clean.calls[path, accept]


class Kept:
    """Sends every call, and keeps what it got."""

    def __init__(self, client: Getter) -> None:
        self.calls: dict[tuple[str, str], Answer] = {}
        self._client = client

    async def get(self, path: str, accept: str = "application/json") -> Answer:
        """Send and keep."""
        self.calls[path, accept] = await self._client.get(path, accept)
        return self.calls[path, accept]


def shortened(_path: str, body: Any) -> Any:  # noqa: ANN401 - any JSON value
    """A list with its first objects alone: how many there are is not what is struck."""
    if isinstance(body, dict) and isinstance(body.get("items"), list) and body.get("kind") != "APIGroupDiscoveryList":
        return {**body, "items": body["items"][:2]}
    return body


@pytest.fixture(scope="module", params=["weak", "hardened"])
def clean(request: pytest.FixtureRequest) -> Iterator[Clean]:
    with KubernetesApi(request.param, edit=shortened) as api:

        async def read(client: Client) -> tuple[dict[tuple[str, str], Answer], tuple[Record, ...]]:
            kept = Kept(client)
            return kept.calls, tuple(await reading(kept))

        calls, records = asyncio.run(connected(api, read, tries=4))
        assert not [record for record in records if isinstance(record, Gap)]
        yield Clean(api, calls, records)


async def connected(api: KubernetesApi, use: Callable[[Client], Awaitable[_T]], tries: int = 1) -> _T:
    async def token() -> str:
        return AUDITOR_TOKEN

    async with Client(Access(CLUSTER, "kubeconfig", api.url, api.ca, token=token), tries=tries) as client:
        return await use(client)


async def reading(api: Getter, seconds: float = 30) -> list[Record]:
    with Deadline().within(seconds, "the time was up") as deadline:
        found = await Reader(api, CLUSTER, deadline).read()
    return [record.unpack() if isinstance(record, Packed) else record for record in found]


def test_the_matrix_is_as_large_as_it_says(clean: Clean, record_property: Callable[[str, object], None]) -> None:
    size = f"{len(clean.calls)} calls x {len(FAILURES)} failures = {len(clean.calls) * len(FAILURES)} readings"
    record_property("matrix", size)
    print(size)  # noqa: T201 - shown by pytest -rP
    assert len(clean.calls) > 30, size


@pytest.mark.parametrize("failure", FAILURES)
def test_what_a_struck_call_was_to_read_is_told_to_be_unread(clean: Clean, failure: str) -> None:
    calls = list(clean.calls)[:: 4 if failure == "hanging" else 1]  # each that hangs costs its time

    async def strike(client: Client) -> None:
        for path, accept in calls:
            plain = path.partition("?")[0]
            clean.api.strike(Fault(f"^{plain}($|[?])", FAILURES[failure], times=None))
            seconds = PATIENCE if failure == "hanging" else 30
            found = await reading(Replayed(clean, path, client), seconds)
            problems = wrong(clean, plain, found)
            assert not problems, f"{failure} of {path} ({accept}): {problems}"

    asyncio.run(connected(clean.api, strike))


def wrong(clean: Clean, struck: str, found: list[Record]) -> list[str]:
    """What a struck reading says that it cannot know, and what it lost besides."""
    gaps = [record for record in found if isinstance(record, Gap)]
    lost = {gap.type for gap in gaps}
    problems = [] if gaps else ["it has no gap"]
    if INSIDE in lost:
        return problems if struck == "/version" else [*problems, "all is lost by one call"]
    before = {record.id: record for record in clean.records if isinstance(record, Resource)}
    after = {record.id for record in found if isinstance(record, Resource)}
    listed = {(record.type, record.scope, record.served) for record in found if isinstance(record, Listing)}
    gone = [resource for own, resource in before.items() if own not in after and resource.type not in lost]
    problems += [f"{resource.id} is gone without a gap" for resource in gone]
    for record in clean.records:
        if isinstance(record, Listing) and (record.type, record.scope, record.served) not in listed:
            problems += [] if record.type in lost else [f"the listing of {record.type} is gone without a gap"]
    known = {(record.type, record.scope, record.served) for record in clean.records if isinstance(record, Listing)}
    return [*problems, *(f"{kind} is listed in {scope}, {served}" for kind, scope, served in listed - known)]
