"""An HTTPS server on loopback in a thread of its own, and how it sends an answer that a fault may strike."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from threading import Thread

from aiohttp import web

from resource_manager.answers import Answer
from resource_manager.faults import Effect, Hang, Reset, Slow, Truncated


class Loopback:
    """Answers by `handle`, in the thread of the server, from `start` to `stop`; once."""

    def __init__(self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], name: str) -> None:
        self._handle = handle
        self._ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self, context: ssl.SSLContext) -> str:
        """Begin to serve; give the address, `https://127.0.0.1:PORT`."""
        self._context = context
        self._thread.start()
        url, self._loop, self._stop = self._ready.result(timeout=30)
        return url

    def stop(self) -> None:
        """End; answers that are under way are dropped.

        Raises:
            TimeoutError: It did not end.
        """
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=30)
        if self._thread.is_alive():
            raise TimeoutError("the server did not end")

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
        # At the end, an answer that hangs is dropped; aiohttp takes 0 for no limit at all.
        runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context)
            await site.start()
            host, port = runner.addresses[0][:2]
            self._ready.set_result((f"https://{host}:{port}", asyncio.get_running_loop(), stop))
            await stop.wait()
        finally:
            await runner.cleanup()
            await asyncio.sleep(0.05)  # in which connections end; the loop would leave them open


def bearer(request: web.BaseRequest) -> str | None:
    """The token that a request is signed with."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


async def send(request: web.BaseRequest, answer: Answer, effect: Effect | None) -> web.StreamResponse:
    """Send an answer, or what a fault leaves of it."""
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
