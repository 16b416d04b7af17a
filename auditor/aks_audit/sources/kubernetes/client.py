"""Talks to one API server, by the transport of the Kubernetes client: only GETs, only to that one host."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Self

from aiohttp import ClientError, ClientResponse, ClientTimeout, TraceConfig
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from aks_audit import __version__
from aks_audit.sources.azure.pipeline import FAREWELL
from aks_audit.sources.kubernetes.api import Answer, TooLargeError, UnreachableError

if TYPE_CHECKING:
    from aks_audit.sources.kubernetes.access import Access, ClientCertificate

CONNECTIONS = 8
"""How many calls an API server gets at the same time; it has others to serve."""

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
"""Seconds to reach the server, and to wait for the next byte of an answer."""

LARGEST_ANSWER = 32 * 2**20
"""How many bytes an answer may have, unpacked. A page of pods has some five million; objects have two at the most."""

TRIES = 4
LONGEST_WAIT = 30.0
"""Seconds that a Retry-After may ask for; more is not waited."""

_AGAIN = frozenset({429, 500, 502, 503, 504})
_UNAUTHORIZED = 401


class Client:
    """A client of one API server. Use it as an asynchronous context manager."""

    def __init__(
        self,
        access: "Access",
        called: Callable[[str, str, int], None] = lambda _method, _url, _status: None,
        *,
        tries: int = TRIES,
    ) -> None:
        self._access, self._called, self._tries = access, called, tries
        self._host = access.server.rstrip("/")

    async def __aenter__(self) -> Self:
        with _readable(self._access.certificate) as certificate:
            configuration = Configuration(
                host=self._host,
                ca_cert_data=self._access.authority.decode() if self._access.authority else None,
                cert_file=certificate,
                tls_server_name=self._access.server_name,
                proxy=self._access.proxy,
                connection_pool_maxsize=CONNECTIONS,
            )
            configuration.trace_configs = [_stays_here()]
            # The authority of a cluster signs itself without the key identifier that RFC 5280 lets it leave out, which
            # Python's strict checks refuse from 3.13 on. Chain, dates and name are checked as before.
            configuration.disable_strict_ssl_verification = True
            try:
                self._rest = RESTClientObject(configuration)
            except (OSError, ValueError) as problem:
                raise UnreachableError(f"the certificates for {self._host} cannot be used: {problem}") from None
        self._room = asyncio.Semaphore(CONNECTIONS)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._rest.close()
        await asyncio.sleep(FAREWELL)

    async def get(self, path: str, accept: str = "application/json") -> Answer:
        """GET a path with its query, again where the server asks for patience.

        Raises:
            TooLargeError: the answer is larger than `LARGEST_ANSWER`.
            UnreachableError: no answer came.
        """
        async with self._room:
            for wait in [*(0.25 * 2**n for n in range(self._tries - 1)), None]:
                try:
                    answer, after = await self._send(path, accept)
                except (ClientError, OSError, TimeoutError) as problem:
                    if wait is None or not _passing(problem):
                        raise UnreachableError(self._told(problem)) from None
                    await asyncio.sleep(wait)
                    continue
                if wait is None or answer.status not in _AGAIN:
                    return answer
                await asyncio.sleep(wait if after is None else after)
            raise AssertionError  # the last turn of the loop returns or raises

    async def _send(self, path: str, accept: str) -> tuple[Answer, float | None]:
        headers = {"Accept": accept, "User-Agent": f"aks-audit/{__version__}"}
        if self._access.token:
            headers["Authorization"] = f"Bearer {await self._access.token()}"
        url = f"{self._host}{path}"
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, connect=None, sock_read=READ_TIMEOUT)
        response = await self._rest.request("GET", url, headers, _request_timeout=timeout)  # type: ignore[no-untyped-call] # of the SDK
        async with response.response:
            answer = Answer(response.status, await _content(response.response))
        self._called("GET", url, answer.status)
        return answer, _seconds(response.headers)

    def _told(self, problem: Exception) -> str:
        why = str(problem) or type(problem).__name__
        return (
            f"the API server {self._host} did not answer: {why}; "
            "is it private, or are its authorized IP ranges without this machine?"
        )


async def _content(response: ClientResponse) -> bytes:
    """The body of an answer, of which no more is taken into memory than is read of one."""
    parts = bytearray()
    async for part in response.content.iter_any():
        parts += part
        if len(parts) > LARGEST_ANSWER:
            response.close()
            raise TooLargeError(f"the answer is larger than {LARGEST_ANSWER:,} bytes, and was not read")
    return bytes(parts)


def _passing(problem: Exception) -> bool:
    """Whether a failed call may succeed the next time: a connection that broke, not one that cannot be made."""
    from aiohttp import ClientConnectorError, ServerTimeoutError  # noqa: PLC0415

    return not isinstance(problem, ClientConnectorError | ServerTimeoutError | TimeoutError)


def _seconds(headers: Mapping[str, str]) -> float | None:
    try:
        return min(float(headers.get("Retry-After", "")), LONGEST_WAIT)
    except ValueError:
        return None


def _stays_here() -> TraceConfig:
    """Refuses redirects: an API server that sends us elsewhere is not followed."""

    async def refuse(*_: object) -> None:
        raise UnreachableError("the API server sends elsewhere, and is not followed")

    trace = TraceConfig()
    trace.on_request_redirect.append(refuse)
    return trace


@contextmanager
def _readable(certificate: "ClientCertificate | None") -> Iterator[str | None]:
    """A name under which the TLS library, which takes only files, can read a client certificate and its key.

    Where the system has files in memory, it is one of these, and nothing reaches a disk.
    """
    if certificate is None:
        yield None
        return
    both = certificate.certificate + b"\n" + certificate.key
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("client-certificate")
        try:
            os.write(handle, both)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
        return
    handle, name = mkstemp()
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(both)
        yield name
    finally:
        Path(name).unlink()
