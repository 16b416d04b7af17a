"""Azure Resource Graph on loopback: answers the one form of query that aks-audit sends, from the server's own state.

As Azure's it gives only what the caller may read, without a word on the rest, in pages of 1,000 rows at most, and by a
quota of its own. What it knows may be older than the live state.
"""

import base64
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import msgspec

from aks_audit.facts.resource_id import parse, within
from resource_manager import answers
from resource_manager.answers import Answer
from resource_manager.limits import Bucket
from resource_manager.paging import Body
from resource_manager.state import Denials, State
from resource_manager.targets import target

PATH = "/providers/microsoft.resourcegraph/resources"
_MOST_ROWS = 1000
_SUBSCRIPTIONS = "microsoft.resources/subscriptions"
_ASSIGNMENTS = "microsoft.authorization/roleassignments"
_TABLES = {
    "authorizationresources": "microsoft.authorization/",
    "policyresources": "microsoft.policyinsights/",
    "resourcecontainers": "microsoft.resources/",
}
_FORM = re.compile(
    r"(?P<table>\w+) \| where type in~ \((?P<types>'[\w./]+'(?:, '[\w./]+')*)\)"
    r"(?: \| where tostring\(properties\.resourceType\) =~ '(?P<about>[\w./]+)')? \| order by id asc "
    r"\| project (?P<columns>\w+(?:, \w+)*)"
)


def _as_it_is(answer: Body) -> Body:
    return answer


@dataclass(frozen=True, slots=True)
class Graph:
    """In what Resource Graph differs from the live state: what it lacks (ids), and what it has older bodies of (by id).

    `version` is that of the resource providers' API in which it reads; ids are spelled in lower case where `lower`;
    `quota` is the bucket that queries take from, if any; `largest` is how many bytes an answer may have; `distort` gets
    each answer about resources, to change it.
    """

    lacks: tuple[str, ...] = ()
    older: Mapping[str, Body] = field(default_factory=dict)
    version: str | None = "2026-08-01"
    lower: bool = False
    rows: int = _MOST_ROWS
    quota: Bucket | None = None
    largest: int = 2**24
    distort: Callable[[Body], Body] = _as_it_is


class Queries:
    """Answers queries."""

    def __init__(self, graph: Graph, state: State, denials: Denials) -> None:
        self._graph, self._state, self._denials = graph, state, denials
        self._quota = graph.quota or Bucket(math.inf, 0)
        self._level, self._then = self._quota.size, monotonic()

    def answer(self, body: bytes) -> Answer:
        """The answer to a query's body."""
        throttled, headers = self._take()
        if throttled:
            return answers.error(429, "RateLimiting", "Please provide below info when asking for support.", headers)
        asked: Body = msgspec.json.decode(body)
        form = _FORM.fullmatch(asked.get("query", ""))
        options: Body = asked.get("options", {})
        size = min(options.get("$top", _MOST_ROWS), self._graph.rows)
        if form is None or options.get("$top", 1) > _MOST_ROWS or options.get("resultFormat") != "objectArray":
            return answers.error(400, "BadRequest", "Please provide below info when asking for support.", headers)
        rows = [_projected(row, form["columns"].split(", ")) for row in self._rows(form, asked) if _about(row, form)]
        start = int(base64.b64decode(options.get("$skipToken", "")) or 0)
        page: Body = {
            "totalRecords": len(rows),
            "count": len(rows[start : start + size]),
            "data": rows[start : start + size],
            "facets": [],
            "resultTruncated": "false",
        }
        if start + size < len(rows):
            page["$skipToken"] = base64.b64encode(str(start + size).encode()).decode()
        answer = answers.document(self._graph.distort(page) if form["table"] == "resources" else page, headers)
        return answer if len(answer.body) <= self._graph.largest else _too_large(answer, self._graph.largest)

    def _take(self) -> tuple[bool, dict[str, str]]:
        """Take from the bucket: whether it was empty, and the headers that tell what is left."""
        now = monotonic()
        level = min(self._quota.size, self._level + (now - self._then) * self._quota.rate)
        throttled = level < 1
        self._level, self._then = level if throttled else level - 1, now
        left = str(math.floor(min(self._level, 14)))
        return throttled, {"x-ms-user-quota-remaining": left, "x-ms-user-quota-resets-after": "00:00:01"}

    def _rows(self, form: re.Match[str], asked: Body) -> list[Body]:
        """The rows of a query in order of id."""
        types = [kind.strip("'") for kind in form["types"].split(", ")]
        beginning = _TABLES.get(form["table"], "")
        found = [row for kind in types if _in_table(kind, beginning) for row in self._of_type(kind, asked)]
        return sorted(found, key=lambda row: str(row["id"]).lower())

    def _of_type(self, kind: str, asked: Body) -> Iterator[Body]:
        subscriptions = {str(one).lower() for one in asked.get("subscriptions", [])}
        above = asked.get("options", {}).get("authorizationScopeFilter") == "AtScopeAboveAndBelow"
        for body in self._bodies(kind):
            own: str = body["id"]
            subscription = parse(own).subscription.lower()
            there = subscription in subscriptions or (above and kind == _ASSIGNMENTS and not subscription)
            lacking = any(within(own, one) for one in self._graph.lacks)
            if there and not lacking and not self._denials.refuses(f"{kind}/read", own):
                yield self._row(self._graph.older.get(own, body), kind)

    def _bodies(self, kind: str) -> list[Body]:
        if kind != _SUBSCRIPTIONS:
            return self._state.of_type(kind)
        listed = target("/subscriptions")
        found = self._state.members(listed) if listed else []
        return [] if isinstance(found, Answer) else found

    def _row(self, body: Body, kind: str) -> Body:
        """A body as Graph holds it: types in lower case, no tags of versions, empty texts for what is not there."""
        kept = {key: value for key, value in body.items() if key.lower() != "etag"}
        own = str(body["id"])
        added = {"id": own.lower() if self._graph.lower else own, "type": kind, "kind": body.get("kind", "")}
        return kept | added | {"apiVersion": self._graph.version}


def _too_large(answer: Answer, largest: int) -> Answer:
    size = f"Response payload size is {len(answer.body)}, and has exceeded the limit of {largest}."
    details = [{"code": "ResponsePayloadTooLarge", "message": size}]
    said = {"code": "BadRequest", "message": "Please provide below info when asking for support.", "details": details}
    return Answer(400, msgspec.json.encode({"error": said}), headers=answer.headers)


def _in_table(kind: str, beginning: str) -> bool:
    return kind.startswith(beginning) and (bool(beginning) or not kind.startswith(tuple(_TABLES.values())))


def _about(row: Body, form: re.Match[str]) -> bool:
    return form["about"] is None or str(row["properties"].get("resourceType", "")).lower() == form["about"]


def _projected(row: Body, columns: list[str]) -> dict[str, Any]:
    return {column: row.get(column) for column in columns}
