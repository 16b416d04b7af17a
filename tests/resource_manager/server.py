"""The server itself: what it answers to a request. It is the Microsoft Graph of its cloud, too."""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType, TracebackType
from typing import Self

from aiohttp import web

from aks_audit.snapshot import Body, Record
from resource_manager import answers, certificate
from resource_manager.answers import Answer
from resource_manager.faults import Fault, Reset, Script
from resource_manager.graph import PATH as GRAPH
from resource_manager.graph import Graph, Queries
from resource_manager.inside import Inside, Run
from resource_manager.limits import Limits, Throttle
from resource_manager.loopback import Loopback, bearer, send
from resource_manager.of_clusters import VERSIONS
from resource_manager.paging import Paging
from resource_manager.state import Denials, State
from resource_manager.targets import Target, target

SOMEBODY = "5eb0d700-0000-4000-8000-00000000000b"
"""The id of people in policies of conditional access, which no snapshot may hold."""

HINT = "7Qx"
"""The first letters of each secret, which Microsoft Graph tells, and no snapshot may hold."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in. `status` is that of the answer, None where the connection was reset instead."""

    method: str
    path: str
    query: Mapping[str, str]
    status: int | None
    token: str | None
    headers: Mapping[str, str]
    body: bytes = b""


class ResourceManager:
    """A Resource Manager that serves a snapshot while the context lasts.

    `names` gives subscriptions their display names, and adds empty ones; `deny` refuses actions, everywhere or in
    a scope, as do the snapshot's own gaps; without `limits` nothing is throttled; each answer takes `delay` seconds
    and is `altered`, given its path, before it is sent;
    `graph` says how Resource Graph differs from all this; `kubeconfigs` are given by the ids of their clusters, and
    `run` runs commands in clusters.
    """

    def __init__(  # noqa: PLR0913 - each is one way in which Azure differs from day to day
        self,
        records: Iterable[Record],
        *,
        names: Mapping[str, str] = MappingProxyType({}),
        deny: Mapping[str, str | None] = MappingProxyType({}),
        faults: Sequence[Fault] = (),
        paging: Paging = Paging(),  # noqa: B008 - a frozen value
        limits: Limits | None = None,
        delay: float = 0,
        altered: Callable[[str, Answer], Answer] = lambda _path, answer: answer,
        graph: Graph = Graph(),  # noqa: B008 - a frozen value
        kubeconfigs: Mapping[str, str] = MappingProxyType({}),
        run: Run | None = None,
    ) -> None:
        records = tuple(records)
        self._state = State(records, names)
        self._denials = Denials(records, deny)
        self._queries = Queries(graph, self._state, self._denials)
        self._inside = Inside(kubeconfigs, run)
        self._script = Script(faults)
        self._paging = paging
        self._throttle = Throttle(limits) if limits else None
        self._delay = delay
        self._altered = altered
        self._requests: list[Request] = []
        self._folder = TemporaryDirectory(prefix="resource-manager-")
        self._loopback = Loopback(self._handle, "resource-manager")

    def __enter__(self) -> Self:
        self._certificate, key = certificate.make(Path(self._folder.name))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, key)
        self._url = self._loopback.start(context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()
        self._loopback.stop()

    @property
    def url(self) -> str:
        """Where it is: `https://127.0.0.1:PORT`."""
        return self._url

    @property
    def ca_file(self) -> Path:
        """The certificate to trust, as PEM. In `SSL_CERT_FILE` it must stand before a client imports aiohttp."""
        return self._certificate

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request so far, in the order of the answers."""
        return tuple(self._requests)

    def strike(self, *faults: Fault) -> None:
        """Let these faults strike from now on, and no others."""
        self._script = Script(faults)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if self._delay:
            await asyncio.sleep(self._delay)
        effect = self._script.effect(request.method, request.path_qs) if bearer(request) else None
        answer = effect if isinstance(effect, Answer) else self._answer(request, body)
        answer = self._altered(request.path, answer)
        self._requests.append(
            Request(
                method=request.method,
                path=request.path,
                query=dict(request.query),
                status=None if isinstance(effect, Reset) else answer.status,
                token=bearer(request),
                headers=dict(request.headers),
                body=body,
            )
        )
        # A client that has seen enough hangs up.
        with suppress(ConnectionError):
            return await send(request, answer, effect)
        return web.StreamResponse()

    def _answer(self, request: web.BaseRequest, body: bytes) -> Answer:
        token, api_version = bearer(request), request.query.get("api-version", "")
        if token is None:
            return answers.missing_token()
        about = target(request.path)
        if about and request.path.startswith("/v1.0/"):
            return self._policies(about, request) if about.collection else self._application(about)
        if not api_version:
            return answers.missing_api_version()
        if about is None:
            return answers.no_such_type(request.path.strip("/"), api_version)
        refused, headers = self._throttle.take(about, token) if self._throttle else (None, {})
        if request.method == "POST" and request.path.lower() == GRAPH:
            return refused or self._queries.answer(body)
        return refused or self._state.missing(about, api_version) or self._permitted(request, about, headers, body)

    def _application(self, about: Target) -> Answer:
        """What Microsoft Graph gives of an application, of which clients keep less."""
        if self._denials.refuses(about.action("GET"), about.scope):
            return answers.graph_denied()
        found = self._state.get(about)
        if isinstance(found, Answer):
            return answers.graph_not_found(about.path.rpartition("/")[2])
        more = {"displayName": "rbac", "hint": HINT, "secretText": None, "customKeyIdentifier": None}
        context = f"{self._url}/v1.0/$metadata#applications(appId,passwordCredentials)/$entity"
        secrets = [{**one, **more} for one in found["passwordCredentials"]]
        return answers.document({"@odata.context": context, "appId": found["appId"], "passwordCredentials": secrets})

    def _policies(self, about: Target, request: web.BaseRequest) -> Answer:
        """What Microsoft Graph gives of policies of conditional access, of which clients keep less."""
        if self._denials.refuses(about.action("GET"), about.scope):
            return answers.graph_denied()
        items = [_whole_policy(one) for one in self._state.of_type(about.type.lower())]
        page = self._paging.page(items, request.path, request.query, self._url, aks=False)
        if page is None:
            return answers.error(400, "BadRequest", "The skip token is invalid.")
        link = page.pop("nextLink", None)
        context = {"@odata.context": f"{self._url}/v1.0/$metadata#identity/conditionalAccess/policies"}
        return answers.document({**context, **page, **({"@odata.nextLink": link} if link else {})})

    def _permitted(self, request: web.BaseRequest, about: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        action = about.action(request.method)
        if about.path.lower() != "/subscriptions" and self._denials.refuses(action, about.scope):
            return answers.authorization_failed(action, about.scope)
        if request.method == "GET":
            return self._inside.result(about) or self._got(request, about, headers)
        posted = self._inside.post(about, body, self._url) if request.method == "POST" else None
        return posted or answers.method_not_allowed(request.method)

    def _got(self, request: web.BaseRequest, about: Target, headers: Mapping[str, str]) -> Answer:
        if not about.collection:
            found = self._state.get(about)
            return found if isinstance(found, Answer) else answers.document(found, headers)
        own = about.type.lower() == "microsoft.authorization/permissions"
        items = [self._denials.granted(about.scope)] if own else self._state.members(about)
        if isinstance(items, Answer):
            return items
        if request.query.get("$filter") == "type eq 'CustomRole'":
            items = [item for item in items if item["properties"].get("type") == "CustomRole"]
        # Azure never refuses to list the subscriptions: it lists those that the caller may read.
        if about.path.lower() == "/subscriptions":
            items = [item for item in items if not self._denials.refuses(about.action("GET"), item["id"])]
        if about.type.lower() == VERSIONS:
            return answers.document({"values": items}, headers)  # as AKS calls them, and never in pages
        aks = about.type.lower().startswith("microsoft.containerservice/")
        page = self._paging.page(items, request.path, request.query, self._url, aks=aks)
        if page is None:
            return answers.error(400, "InvalidSkipToken", "The skip token is invalid.")
        return answers.document(page, headers)


def _whole_policy(kept: Body) -> Body:
    """A policy with what a snapshot does not hold: its name, and whom it is about."""
    users = {**kept["conditions"]["users"], "includeGroups": [SOMEBODY], "excludeUsers": [SOMEBODY]}
    conditions = {**kept["conditions"], "users": users}
    return {**kept, "id": kept["id"].rpartition("/")[2], "displayName": "everybody", "conditions": conditions}
