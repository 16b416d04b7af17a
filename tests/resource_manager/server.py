"""The server itself: HTTPS on loopback, in a thread of its own."""

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from types import MappingProxyType, TracebackType
from typing import Self

from aiohttp import web

from aks_audit.snapshot import Record
from resource_manager import answers, certificate
from resource_manager.answers import Answer
from resource_manager.faults import Effect, Fault, Hang, Reset, Script, Slow, Truncated
from resource_manager.limits import Limits, Throttle
from resource_manager.paging import Paging
from resource_manager.state import Denials, State
from resource_manager.targets import Target, target


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in. `status` is that of the answer, None where the connection was reset instead."""

    method: str
    path: str
    query: Mapping[str, str]
    status: int | None
    token: str | None
    headers: Mapping[str, str]


class ResourceManager:
    """A Resource Manager that serves a snapshot while the context lasts.

    `names` gives subscriptions their display names, and adds empty ones; `deny` refuses actions, everywhere or in
    a scope, as do the snapshot's own gaps; without `limits` nothing is throttled; each answer takes `delay` seconds.
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
    ) -> None:
        records = tuple(records)
        self._state = State(records, names)
        self._denials = Denials(records, deny)
        self._script = Script(faults)
        self._paging = paging
        self._throttle = Throttle(limits) if limits else None
        self._delay = delay
        self._requests: list[Request] = []
        self._folder = TemporaryDirectory(prefix="resource-manager-")
        self._ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = Thread(target=self._run, name="resource-manager", daemon=True)

    def __enter__(self) -> Self:
        self._certificate, self._key = certificate.make(Path(self._folder.name))
        self._thread.start()
        self._url, self._loop, self._stop = self._ready.result(timeout=30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=30)
        self._folder.cleanup()
        if self._thread.is_alive():
            raise TimeoutError("the server did not end")

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

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            # Whoever waits for the server to begin is told; later there is nobody.
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _serve(self) -> None:
        stop = asyncio.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._key)
        # At the end, an answer that hangs is dropped; aiohttp takes 0 for no limit at all.
        runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
            await site.start()
            host, port = runner.addresses[0][:2]
            self._ready.set_result((f"https://{host}:{port}", asyncio.get_running_loop(), stop))
            await stop.wait()
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        if self._delay:
            await asyncio.sleep(self._delay)
        effect = self._script.effect(request.method, request.path_qs) if _token(request) else None
        answer = effect if isinstance(effect, Answer) else self._answer(request)
        self._requests.append(
            Request(
                method=request.method,
                path=request.path,
                query=dict(request.query),
                status=None if isinstance(effect, Reset) else answer.status,
                token=_token(request),
                headers=dict(request.headers),
            )
        )
        # A client that has seen enough hangs up.
        with suppress(ConnectionError):
            return await _send(request, answer, effect)
        return web.StreamResponse()

    def _answer(self, request: web.BaseRequest) -> Answer:
        token, api_version = _token(request), request.query.get("api-version", "")
        if token is None:
            return answers.missing_token()
        if not api_version:
            return answers.missing_api_version()
        about = target(request.path)
        if about is None:
            return answers.no_such_type(request.path.strip("/"), api_version)
        refused, headers = self._throttle.take(about, token) if self._throttle else (None, {})
        return refused or self._state.missing(about, api_version) or self._permitted(request, about, headers)

    def _permitted(self, request: web.BaseRequest, about: Target, headers: Mapping[str, str]) -> Answer:
        action = about.action(request.method)
        if about.path.lower() != "/subscriptions" and self._denials.refuses(action, about.scope):
            return answers.authorization_failed(action, about.scope)
        if request.method != "GET":
            return answers.method_not_allowed(request.method)
        if not about.collection:
            found = self._state.get(about)
            return found if isinstance(found, Answer) else answers.document(found, headers)
        items = self._state.members(about)
        if isinstance(items, Answer):
            return items
        # Azure never refuses to list the subscriptions: it lists those that the caller may read.
        if about.path.lower() == "/subscriptions":
            items = [item for item in items if not self._denials.refuses(action, item["id"])]
        aks = about.type.lower().startswith("microsoft.containerservice/")
        page = self._paging.page(items, request.path, request.query, self._url, aks=aks)
        if page is None:
            return answers.error(400, "InvalidSkipToken", "The skip token is invalid.")
        return answers.document(page, headers)


def _token(request: web.BaseRequest) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


async def _send(request: web.BaseRequest, answer: Answer, effect: Effect | None) -> web.StreamResponse:
    headers = {**answer.headers, "Content-Type": answer.content_type}
    match effect:
        case Reset():
            _tear_down(request)
            return web.StreamResponse()
        case Truncated(announced=True):
            return await _stream(request, answer, headers, pieces=[answer.body[: len(answer.body) // 2]])
        case Truncated():
            return web.Response(status=answer.status, body=answer.body[: len(answer.body) // 2], headers=headers)
        case Slow():
            starts = range(0, len(answer.body), effect.size)
            pieces = [answer.body[start : start + effect.size] for start in starts]
            return await _stream(request, answer, headers, pieces, effect.pause)
        case Hang():
            await asyncio.sleep(effect.seconds)
    return web.Response(status=answer.status, body=answer.body, headers=headers)


async def _stream(
    request: web.BaseRequest, answer: Answer, headers: Mapping[str, str], pieces: Sequence[bytes], pause: float = 0
) -> web.StreamResponse:
    """Announce the whole body, send pieces of it, and end the connection where they do not make up the whole."""
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(answer.body)
    await response.prepare(request)
    for piece in pieces:
        await asyncio.sleep(pause)
        await response.write(piece)
    if sum(map(len, pieces)) < len(answer.body) and request.transport is not None:
        request.transport.close()
    return response


def _tear_down(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()
