"""Reads what is inside one cluster; every kind ends as read, refused, not served or failed, and none in an exception.

What tells these apart was measured on a real API server: of a kind that is not installed, an identity without rights
on it is told 403 and not 404, so only discovery can say that it is absent.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from aks_audit.facts.gaps import INSIDE
from aks_audit.snapshot import Collected, Gap, Header, Listing, Packed, Resource, decode, pack
from aks_audit.sources.deadline import Deadline
from aks_audit.sources.kubernetes import discovery, kubelets
from aks_audit.sources.kubernetes.api import Answer, Getter, TooLargeError, UnreachableError
from aks_audit.sources.kubernetes.discovery import Served
from aks_audit.sources.kubernetes.plan import CORE, GROUPS, PAGE, VERSION, Kind, Named, kinds, named
from aks_audit.sources.kubernetes.trim import trim
from aks_audit.sources.scrub import scrub_message

MOST_PAGES = 10_000
"""How many pages a list may have; more is a server that goes round in a circle."""

LARGEST_CLUSTER = 2**29
"""How many bytes are kept of a cluster, of which a pod takes some three thousand: one that makes up more without an
end must not take the memory that the others need."""

SIZES = (PAGE, 50, 5, 1)
"""How many objects a page is asked to hold: fewer, where one of so many is too large to be read."""

_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _GONE = 200, 401, 403, 404, 410
_LONGEST_REASON = 600
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Page(NamedTuple):
    """A page of a list: its objects, not decoded yet, and how to go on."""

    items: list[msgspec.Raw]
    proceed: str


class _ListMetadata(msgspec.Struct):
    proceed: str | None = msgspec.field(name="continue", default=None)


class _List(msgspec.Struct):
    kind: str
    items: list[msgspec.Raw] | None  # Go writes an empty slice as null
    metadata: _ListMetadata = msgspec.field(default_factory=_ListMetadata)


_list_decoder = msgspec.json.Decoder(_List)
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Reader:
    """Reads the cluster with this ARM id. `optional` names what is read besides, only where it was asked for."""

    def __init__(
        self,
        get: Getter,
        cluster: str,
        deadline: Deadline,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        optional: Collection[str] = (),
    ) -> None:
        self._api, self._cluster, self._deadline, self._now = get, cluster, deadline, now
        self._optional = optional
        self._left = LARGEST_CLUSTER

    async def read(self) -> list[Collected]:
        """Everything that is read inside a cluster. One that does not answer at all is one gap."""
        first = await self._deadline.bound(self._version(), self._cluster, INSIDE)
        if not any(isinstance(record, Resource) for record in first):
            return first
        served: list[Served] = []
        found = await self._deadline.bound(self._discover(served), self._cluster, "apis")
        known = served[0] if served else None
        reads = [self._bound(self._kind(kind, known), kind) for kind in kinds() if not self._shown_by_twin(kind, known)]
        reads += [self._bound(self._named(one), one.kind) for one in named()]
        inside = [record for records in await asyncio.gather(*reads) for record in records]
        return [*first, *found, *inside, *await self._of_kubelets(inside)]

    async def _of_kubelets(self, inside: Sequence[Collected]) -> list[Collected]:
        """How kubelets are configured, where that was asked for."""
        if kubelets.NAME not in self._optional:
            return []
        reading = kubelets.read(self._cluster, inside, self._of_kubelet)
        found = await self._deadline.bound(reading, self._cluster, kubelets.TYPE)
        read = self._now().strftime(_TIME)
        return [msgspec.structs.replace(one, read=read) if isinstance(one, Resource) else one for one in found]

    async def _of_kubelet(self, path: str, own: str) -> dict[str, Any] | Gap:
        answer = await self._answer(kubelets.TYPE, path, own=own)
        if isinstance(answer, Gap):
            return answer
        body = _json(answer.body)
        if answer.status != _OK:
            return self._refused(kubelets.TYPE, answer, body, kubelets.ACTION, own)
        return body if isinstance(body, dict) else self._failed(kubelets.TYPE, f"{path} is not a JSON object", own)

    async def _bound(self, reading: Any, kind: Kind) -> list[Collected]:  # noqa: ANN401 - a coroutine of records
        return await self._deadline.bound(reading, self._cluster, kind.type)

    async def _version(self) -> list[Collected]:
        answer = await self._document(VERSION, INSIDE, f"get {VERSION}")
        if isinstance(answer, Gap):
            return [answer]
        if not isinstance(answer.get("gitVersion"), str):
            return [self._failed(INSIDE, f"the answer to {VERSION} is not that of an API server")]
        return [self._resource(VERSION, "version", answer)]

    async def _discover(self, served: list[Served]) -> list[Collected]:
        """What the server serves goes to `served`; where that cannot be read, nothing does."""
        parts: list[Served] = []
        for path in (CORE, GROUPS):
            answer = await self._document(path, "apis", f"get {path}", discovery.ACCEPT)
            if isinstance(answer, Gap):
                return [answer]
            try:
                parts.append(discovery.read(answer))
            except ValueError as problem:
                return [self._failed("apis", f"{path}: {problem}")]
        whole = parts[0].with_(parts[1])
        served.append(whole)
        return [self._resource(GROUPS, "apis", {"groups": whole.document()})]

    @staticmethod
    def _shown_by_twin(kind: Kind, served: Served | None) -> bool:
        twin = kind.twin()
        return bool(served and twin and served.version(twin))

    async def _kind(self, kind: Kind, served: Served | None) -> list[Collected]:
        """What there is of a kind: its listing, that the server does not serve it, or the gap that says why neither."""
        version = served.version(kind) if served else "v1" if kind.stable else None
        if version:
            return await self.listing(kind, version)
        if served:
            return [Listing(type=kind.type, scope=self._cluster, served=False)]
        return [self._failed(kind.type, "which version of it is served is not known without discovery")]

    async def listing(self, kind: Kind, version: str) -> list[Collected]:
        """All objects of a kind and the listing that says so; or what came, and the gap that says why."""
        found: list[Collected] = []
        proceed, restarted, passed = "", False, set[str]()
        for _ in range(MOST_PAGES):
            page = await self._fitting(kind, version, proceed)
            if isinstance(page, Gap):
                return [*found, _placed(page, found)]
            if page is None:
                if restarted:
                    return [*found, self._failed(kind.type, "the list expired twice before its end was read")]
                found, proceed, restarted = [], "", True
                continue
            found += self._objects(kind, version, page.items)
            proceed = page.proceed
            if self._left < 0 or proceed in passed:
                full = f"more than {LARGEST_CLUSTER:,} bytes came of the cluster, and the rest was not read"
                circle = "the list leads back to a page that was read, and has no end"
                return [*found, self._failed(kind.type, full if self._left < 0 else circle)]
            passed.add(proceed)
            if not proceed:
                # Something without a name may be what a rule asks for.
                whole = not any(isinstance(record, Gap) for record in found)
                return [*found, Listing(type=kind.type, scope=self._cluster)] if whole else found
        return [*found, self._failed(kind.type, f"the list did not end after {MOST_PAGES:,} pages")]

    async def _fitting(self, kind: Kind, version: str, proceed: str) -> Page | Gap | None:
        """A page; of fewer objects, where so many are too large to be read."""
        page: Page | Gap | None = None
        for size in SIZES:
            page = await self.page(kind, version, proceed, size)
            if not isinstance(page, Gap) or page.cause != "malformed":
                break
        return page

    async def page(self, kind: Kind, version: str, proceed: str = "", limit: int = PAGE) -> Page | Gap | None:
        """A page; None where the list expired, and has to be read from its beginning."""
        more = f"&continue={quote(proceed, safe='')}" if proceed else ""
        path = f"{kind.path(version)}?limit={limit}{more}"
        answer = await self._answer(kind.type, path, kind.accept)
        if isinstance(answer, Gap):
            return answer
        if answer.status == _GONE and proceed:
            # The server forgot this state of the list, and says where to go on in the present one.
            fresh = _metadata(_json(answer.body)).get("continue")
            return Page([], fresh) if isinstance(fresh, str) and fresh and fresh != proceed else None
        if answer.status != _OK:
            return self._refused(kind.type, answer, _json(answer.body), kind.action)
        try:
            body = _list_decoder.decode(answer.body)
        except _UNDECODABLE:
            return self._failed(kind.type, "the answer is not a list")
        if not body.kind.endswith("List"):
            return self._failed(kind.type, f"the answer is not a list but {body.kind}")
        return Page(body.items or [], body.metadata.proceed or "")

    async def _named(self, one: Named) -> list[Collected]:
        """One object by name; the listing of its own path says that it is known to be absent."""
        answer = await self._answer(one.kind.type, one.path, own=one.path)
        if isinstance(answer, Gap):
            return [answer]
        body = _json(answer.body)
        if answer.status == _NOT_FOUND and isinstance(body, dict) and body.get("reason") == "NotFound":
            return [Listing(type=one.kind.type, scope=f"{self._cluster}{one.path}")]
        if answer.status != _OK:
            return [self._refused(one.kind.type, answer, body, one.action, one.path)]
        if not isinstance(body, dict) or _metadata(body).get("name") != one.name:
            return [self._failed(one.kind.type, "the answer is not the object that was asked for", one.path)]
        return [self._object(one.kind, "v1", body)]

    async def _document(self, path: str, kind: str, action: str, accept: str = "application/json") -> Any | Gap:  # noqa: ANN401
        answer = await self._answer(kind, path, accept)
        if isinstance(answer, Gap):
            return answer
        if answer.status != _OK:
            return self._refused(kind, answer, _json(answer.body), action)
        try:
            body = decode(answer.body)
        except ValueError as problem:
            return self._failed(kind, f"the answer to {path} is not JSON: {problem}")
        return body if isinstance(body, dict) else self._failed(kind, f"the answer to {path} is not a JSON object")

    async def _answer(self, kind: str, path: str, accept: str = "application/json", *, own: str = "") -> Answer | Gap:
        try:
            return await self._api.get(path, accept)
        except UnreachableError as problem:
            if problem.gap:
                return msgspec.structs.replace(problem.gap, id=f"{self._cluster}{own}", type=kind)
            failed = self._failed(kind, str(problem), own)
            large = isinstance(problem, TooLargeError)
            return msgspec.structs.replace(failed, cause="malformed") if large else failed

    def _objects(self, kind: Kind, version: str, items: Iterable[msgspec.Raw]) -> Iterator[Collected]:
        """The objects of a page while there is room for them; what is wrong in the same way is told once."""
        told = set[Gap]()
        for item in items:
            if self._left < 0:
                return
            record = self._object(kind, version, _json(item))
            if isinstance(record, Packed):
                self._left -= len(record.line)
            elif isinstance(record, Gap):
                if record in told:
                    continue
                told.add(record)
                self._left -= len(record.reason)
            yield record

    def _object(self, kind: Kind, version: str, item: Any) -> Collected:  # noqa: ANN401 - any JSON value
        name, namespace = _metadata(item).get("name"), _metadata(item).get("namespace")
        if not _is_name(name) or not (namespace is None or _is_name(namespace)):
            return self._failed(kind.type, "the list holds something without a name")
        path = kind.path(version)
        if namespace is not None:
            start, _, plural = path.rpartition("/")
            path = f"{start}/namespaces/{namespace}/{plural}"
        try:
            return pack(self._resource(f"{path}/{name}", kind.type, item))
        except ValueError as problem:
            return self._failed(kind.type, f"{name} is {problem}")

    def _resource(self, path: str, kind: str, body: dict[str, Any]) -> Resource:
        read = self._now().strftime(_TIME)
        return Resource(id=f"{self._cluster}{path}", type=kind, body=trim(body), source="kubernetes", read=read)

    def _refused(self, kind: str, answer: Answer, body: Any, action: str, path: str = "") -> Gap:  # noqa: ANN401
        refused = answer.status in {_UNAUTHORIZED, _FORBIDDEN}
        said = body.get("message") if isinstance(body, dict) else None
        words = said if isinstance(said, str) and said else answer.body[:2000].decode(errors="replace").strip()
        return Gap(
            id=f"{self._cluster}{path}",
            type=kind,
            reason=scrub_message(f"{answer.status}: {words or 'no reason given'}")[:_LONGEST_REASON],
            cause="refused" if refused else "not-read",
            status=answer.status,
            action=action if refused else None,
            scope=self._cluster if refused else None,
        )

    def _failed(self, kind: str, reason: str, path: str = "") -> Gap:
        told = scrub_message(f"{kind}: {reason}")[:_LONGEST_REASON]
        return Gap(id=f"{self._cluster}{path}", type=kind, reason=told, cause="not-read")


def _placed(gap: Gap, found: Sequence[Collected]) -> Gap:
    """The gap of an object that is too large, with the name of the one before it, for its own was not read."""
    if gap.cause != "malformed" or not found or isinstance(found[-1], Header | Listing):
        return gap
    after = found[-1].id.rpartition("/")[2]
    return msgspec.structs.replace(gap, reason=f"{gap.reason}; it is the object after {after}"[:_LONGEST_REASON])


def _json(data: bytes | msgspec.Raw) -> Any:  # noqa: ANN401 - any JSON value
    """The decoded body, or None where it is no JSON, as those of 429 and 503 are not."""
    try:
        return msgspec.json.decode(data)
    except _UNDECODABLE:
        return None


def _metadata(body: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    metadata = body.get("metadata") if isinstance(body, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _is_name(name: object) -> bool:
    """Whether something can be one segment of a path, as every name of an object can."""
    return isinstance(name, str) and bool(name) and "/" not in name and name not in {".", ".."}
