"""Azure Resource Graph: the lists of many subscriptions by a few queries.

Graph leaves out in silence what the caller may not read, what it has not heard of yet, and what does not fit in an
answer. So its rows make a listing only where nothing speaks against it: the query came to its end with as many rows
as it announced, Graph knows the subscription, the caller may read the type in all of it, and each row holds what our
rules read. For everything else, Azure Resource Manager is asked as ever.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec
from azure.core.exceptions import AzureError

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import GRAPH, Gap, Listing, Record, Resource, decode
from aks_audit.sources.azure import errors
from aks_audit.sources.azure.granted import Granted, granted
from aks_audit.sources.azure.pipeline import RESOURCE_GRAPH, Poster
from aks_audit.sources.azure.plan import (
    CLUSTERS,
    GRAPH_ROWS,
    GRAPH_VERSIONS,
    LISTED,
    ROLE_ASSIGNMENTS,
    STATES,
    SUBSCRIPTION,
)
from aks_audit.sources.azure.reader import MOST_PAGES, TIME, Reader
from aks_audit.sources.scrub import scrub

_URL = f"{RESOURCE_GRAPH}?api-version=2024-04-01"
_KIND = "Microsoft.ResourceGraph/resources"
_OK = 200
_ANY_VERSION = ""
_SIZES = (GRAPH_ROWS, GRAPH_ROWS // 4, GRAPH_ROWS // 16, GRAPH_ROWS // 64)
"""Rows a page: an answer may have 16 MiB, and bodies of networks with many addresses are large."""

_TOO_LARGE = "ResponsePayloadTooLarge"


class _Query(NamedTuple):
    """A query of one table for resources of some types."""

    table: str
    types: tuple[str, ...]
    columns: str
    options: dict[str, Any]
    about: str = ""
    """What else must hold of a row."""

    @property
    def text(self) -> str:
        """The query in Graph's language; in order of id, because only so its pages leave nothing out."""
        types = ", ".join(f"'{kind.lower()}'" for kind in self.types)
        about = f" | where {self.about}" if self.about else ""
        return f"{self.table} | where type in~ ({types}){about} | order by id asc | project {self.columns}"


_OPTIONS = {"resultFormat": "objectArray"}
_KNOWN = _Query("resourcecontainers", (SUBSCRIPTION,), "id, type", _OPTIONS)
_LISTS = (
    _Query(
        "resources",
        tuple(kind for kind in LISTED if kind != ROLE_ASSIGNMENTS),
        "id, name, type, location, kind, sku, identity, tags, zones, properties, apiVersion",
        _OPTIONS,
    ),
    _Query(
        "authorizationresources",
        (ROLE_ASSIGNMENTS,),
        "id, name, type, properties",
        # Azure Resource Manager lists what was assigned above a subscription, too.
        _OPTIONS | {"authorizationScopeFilter": "AtScopeAboveAndBelow"},
    ),
)


_STATES = _Query(
    "policyresources",
    (STATES,),
    "id, type, properties",
    _OPTIONS,
    f"tostring(properties.resourceType) =~ '{CLUSTERS.lower()}'",
)


class _Page(msgspec.Struct):
    """An answer of Graph."""

    data: list[dict[str, Any]]
    total: int = msgspec.field(name="totalRecords")
    truncated: Literal["true", "false"] = msgspec.field(name="resultTruncated")
    skip_token: str | None = msgspec.field(name="$skipToken", default=None)


class _Row(NamedTuple):
    """A row, and when it was read."""

    body: dict[str, Any]
    read: str


class Graph:
    """Reads lists by queries; `reader` reads what the caller may read."""

    def __init__(self, post: Poster, reader: Reader, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._post, self._reader, self._now = post, reader, now

    async def lists(self, subscriptions: Sequence[str]) -> list[Record]:
        """What Graph holds of some subscriptions (their ids): resources, and listings of what is known to be whole.

        Gaps say why other lists are not; they are Graph's, and say nothing about Azure Resource Manager.
        """
        roles, (known, *answers) = await asyncio.gather(
            asyncio.gather(*(granted(self._reader, one) for one in subscriptions)),
            asyncio.gather(*(self._rows(query, subscriptions) for query in (_KNOWN, *_LISTS))),
        )
        there = set[str]() if isinstance(known, Gap) else {row.body["id"].lower() for row in known}
        permitted = {one: role for one, role in zip(subscriptions, roles, strict=True) if one.lower() in there}
        records: list[Record] = [found for found in (known, *roles, *answers) if isinstance(found, Gap)]
        for query, rows in zip(_LISTS, answers, strict=True):
            if not isinstance(rows, Gap):
                found = [_record(row) for row in rows]
                records += [*found, *_whole(query, permitted, found)]
        return records

    async def states(self, subscriptions: Sequence[str]) -> list[Record]:
        """What policies found of the clusters of some subscriptions (their ids); or the gaps that say why not.

        There is no listing: Graph leaves out in silence what the caller may not read.
        """
        rows = await self._rows(_STATES, subscriptions)
        if isinstance(rows, Gap):
            return [errors.failed(one, STATES, f"Resource Graph: {rows.reason}") for one in subscriptions]
        return [
            Resource(id=row.body["id"], type=STATES, body=scrub(row.body), source=GRAPH, read=row.read) for row in rows
        ]

    async def _rows(self, query: _Query, subscriptions: Sequence[str]) -> list[_Row] | Gap:
        """All rows of a query, each with an id of its own and of a type that was asked for; or why that is not so."""
        found: list[_Row] | Gap = []
        for size in _SIZES:
            found = await self._paged(query, subscriptions, size)
            if not isinstance(found, Gap) or found.reason != _TOO_LARGE:
                break
        if isinstance(found, Gap):
            return found
        asked, types = {one.lower() for one in subscriptions}, {kind.lower() for kind in query.types}
        whole = all(_asked_for(row.body, types, asked) for row in found)
        return found if whole else _unusable(subscriptions, "an answer holds rows that were not asked for")

    async def _paged(self, query: _Query, subscriptions: Sequence[str], size: int) -> list[_Row] | Gap:
        """As many rows as the query announces, from pages of a size."""
        options = query.options | {"$top": size}
        found: dict[str, _Row] = {}
        for _ in range(MOST_PAGES):
            page = await self._page(query, subscriptions, options)
            if isinstance(page, Gap):
                return page
            read, before = self._now().strftime(TIME), len(found)
            found.update((str(body.get("id")).lower(), _Row(body, read)) for body in page.data)
            if page.truncated == "true" or len(found) < before + len(page.data):
                break
            if not page.skip_token:
                whole = len(found) == page.total
                return list(found.values()) if whole else _unusable(subscriptions, "the answer lacks rows")
            if not page.data:
                break
            options |= {"$skipToken": page.skip_token}
        return _unusable(subscriptions, "the answer is cut off, or repeats itself")

    async def _page(self, query: _Query, subscriptions: Sequence[str], options: Mapping[str, object]) -> _Page | Gap:
        names = [one.rpartition("/")[2] for one in subscriptions]
        try:
            answer = await self._post(_URL, {"subscriptions": names, "query": query.text, "options": options})
        except AzureError as problem:
            return _unusable(subscriptions, f"no answer: {problem.message or type(problem).__name__}")
        if _TOO_LARGE.encode() in answer.body and answer.status != _OK:
            return _unusable(subscriptions, _TOO_LARGE)
        if answer.status != _OK:
            return errors.refused(subscriptions[0], _KIND, answer.status, answer.body)
        try:
            return msgspec.convert(decode(answer.body), _Page)
        except (ValueError, msgspec.ValidationError) as problem:
            return _unusable(subscriptions, f"the answer is not one of a query: {problem}")


def merged(by_graph: Iterable[Record], lists: Iterable[Sequence[Record]]) -> list[Record]:
    """Graph's records with the lists that Azure Resource Manager gave beside them.

    Where such a list is whole, Graph's rows of that type and subscription count no more; where it is not, they are
    more than nothing. A resource that both gave is Azure Resource Manager's.
    """
    by_arm = [record for records in lists for record in records]
    replaced = {(one.type.lower(), one.scope.lower()) for one in by_arm if isinstance(one, Listing)}
    read = {one.id.lower() for one in by_arm if isinstance(one, Resource)}
    kept = [one for one in by_graph if isinstance(one, Listing) or _counts(one, replaced, read)]
    return [*kept, *by_arm]


def _counts(record: Record, replaced: set[tuple[str, str]], read: set[str]) -> bool:
    return (
        isinstance(record, Resource)
        and record.id.lower() not in read
        and (record.type.lower(), _subscription(record.id)) not in replaced
    )


def _asked_for(row: dict[str, Any], types: set[str], asked: set[str]) -> bool:
    own, kind = row.get("id"), row.get("type")
    if not isinstance(own, str) or not isinstance(kind, str) or kind.lower() not in types:
        return False
    # A role that was assigned above a subscription holds in it, and stands in no subscription.
    return _subscription(own) in asked or (kind.lower() == ROLE_ASSIGNMENTS.lower() and own.startswith("/providers/"))


def _record(row: _Row) -> Resource | Gap:
    """The resource of a row, as Azure Resource Manager would send it; or why the row cannot stand for it."""
    own: str = row.body["id"]
    kind = _SPELLED[row.body["type"].lower()]
    version = row.body.get("apiVersion")
    oldest = GRAPH_VERSIONS.get(kind, _ANY_VERSION)
    if not isinstance(row.body.get("properties"), dict):
        return errors.failed(_subscription(own), kind, "Resource Graph holds it without properties")
    if oldest and not (isinstance(version, str) and version >= oldest):
        return errors.failed(_subscription(own), kind, f"Resource Graph holds it in version {version} of its API")
    body = {key: value for key, value in row.body.items() if value not in (None, "") and key != "apiVersion"}
    return Resource(id=own, type=kind, body=scrub(body), source=GRAPH, read=row.read)


def _whole(query: _Query, permitted: dict[str, Granted | Gap], found: Sequence[Record]) -> Iterable[Listing]:
    """The lists that are known to be whole, of the subscriptions that Graph knows."""
    unfit = {(one.type, one.id.lower()) for one in found if isinstance(one, Gap)}
    for subscription, role in permitted.items():
        for kind in query.types:
            if isinstance(role, Granted) and role.permits(f"{kind}/read") and (kind, subscription.lower()) not in unfit:
                yield Listing(type=kind, scope=subscription)


_SPELLED = {kind.lower(): kind for kind in LISTED}


def _subscription(resource_id: str) -> str:
    return f"/subscriptions/{parse(resource_id).subscription}".lower()


def _unusable(subscriptions: Sequence[str], reason: str) -> Gap:
    return errors.failed(subscriptions[0], _KIND, reason)
