"""The one pipeline that all calls to Azure go through: the SDK's, with our guard, limiter and patience in it.

The SDK signs in, answers challenges, retries and identifies itself. Its policy that registers resource providers is
left out, because it writes.
"""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from aiohttp import ClientError
from azure.core.exceptions import AzureError, ServiceResponseError
from azure.core.pipeline import AsyncPipeline, policies
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.mgmt.core.policies import ARMHttpLoggingPolicy, AsyncARMChallengeAuthenticationPolicy

from aks_audit import __version__
from aks_audit.errors import AuditError
from aks_audit.sources.azure.limiter import Limiter

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

LONGEST_RETRY_AFTER = 60.0
"""How many seconds a Retry-After may ask for; more is not waited."""

RETRIES = 6
"""How many times a call is tried again; the first time at once, then after ever longer waits."""

CONNECTIONS = 64
FAREWELL = 0.05
"""Seconds in which connections say goodbye: aiohttp does not wait for it, and a loop that ends would cut them off."""

CONNECT_TIMEOUT = 20.0
READ_TIMEOUT = 60.0
"""Seconds without a byte after which an answer is given up."""


USER_CREDENTIAL = "/listClusterUserCredential"
RUN_COMMAND = "/runCommand"
RESOURCE_GRAPH = "/providers/Microsoft.ResourceGraph/resources"
"""The only POSTs there are, by how their paths end; each is sent only where it was asked for by name."""


class Answer(NamedTuple):
    """An answer of Azure: status and body as on the wire, and where its result will be, if it comes later."""

    status: int
    body: bytes
    location: str | None = None


class TrustError(AuditError):
    """The file of certificates to trust cannot be used; the message names it."""


class ForbiddenRequestError(AzureError):
    """A request that aks-audit never makes: a write, or one to another host than the pipeline is for."""


class _Guard(policies.AsyncHTTPPolicy[Any, Any]):
    """Lets nothing but GETs, and the POSTs that were asked for, to the one host pass; before the token is put on."""

    def __init__(self, base_url: str, posts: Collection[str]) -> None:
        super().__init__()
        self._origin = urlsplit(base_url)[:2]
        self._posts = tuple(path.lower() for path in posts)

    async def send(self, request: Any) -> Any:  # noqa: ANN401 - the SDK's own generic types
        """Send on what is a read of the one host.

        Raises:
            ForbiddenRequestError: it is not.
        """
        http = request.http_request
        asked = http.method == "POST" and urlsplit(http.url).path.lower().endswith(self._posts)
        if http.method != "GET" and not asked:
            raise ForbiddenRequestError(f"{http.method} is never sent, but for what was asked for by name")
        if urlsplit(http.url)[:2] != self._origin:
            raise ForbiddenRequestError(
                f"the answer leads to another host, {urlsplit(http.url).hostname}, and is not followed"
            )
        return await self.next.send(request)


class _Pace(policies.AsyncHTTPPolicy[Any, Any]):
    """Waits for the limiter before each try, and tells it what the answer says."""

    def __init__(self, limiter: Limiter, called: Callable[[str, str, int], None]) -> None:
        super().__init__()
        self._limiter, self._called = limiter, called

    async def send(self, request: Any) -> Any:  # noqa: ANN401 - the SDK's own generic types
        """Send on when there is room."""
        path = urlsplit(request.http_request.url).path
        await self._limiter.admit(path)
        response = await self.next.send(request)
        http = response.http_response
        after = _Patience.seconds(http.headers.get("Retry-After")) if http.status_code == 429 else None  # noqa: PLR2004
        self._limiter.learn(path, http.headers, after)
        self._called(request.http_request.method, request.http_request.url, http.status_code)
        return response


class _Patience(policies.AsyncRetryPolicy[Any, Any]):
    """The SDK's retries, but only of what may pass by itself, and never waiting longer than a person would."""

    @staticmethod
    def seconds(header: str | None) -> float | None:
        """A Retry-After in seconds, capped; None where there is none that can be read."""
        try:
            return min(float(header or ""), LONGEST_RETRY_AFTER)
        except ValueError:
            return None

    def get_retry_after(self, response: Any) -> float | None:  # noqa: ANN401 - the SDK's own generic types
        """The capped Retry-After of an answer."""
        return self.seconds(response.http_response.headers.get("Retry-After"))

    def is_retry(self, settings: Any, response: Any) -> bool:  # noqa: ANN401 - the SDK's own generic types
        """Whether an answer is worth another try; a Retry-After on a refusal is not, nor what may run twice."""
        status = response.http_response.status_code
        once = urlsplit(response.http_request.url).path.endswith(RUN_COMMAND)
        again = {429} if once else self._retry_on_status_codes
        return status in again and settings["total"] > 0


class Pipeline:
    """Calls to one Azure Resource Manager, or one Microsoft Graph. Use it as an asynchronous context manager."""

    def __init__(  # noqa: PLR0913 - each is needed, and most stay as they are
        self,
        credential: "AsyncTokenCredential",
        base_url: str,
        scope: str,
        *,
        called: Callable[[str, str, int], None] = lambda _method, _url, _status: None,
        waited: Callable[[float], None] = lambda _seconds: None,
        retries: int = RETRIES,
        posts: Collection[str] = (),
    ) -> None:
        self._posts = posts
        self.base_url = base_url.rstrip("/")
        self._scope = scope
        self._credential = credential
        self._called = called
        self._retries = retries
        self._limiter = Limiter(waited=waited)

    async def __aenter__(self) -> Self:
        from aiohttp import ClientSession, TCPConnector  # noqa: PLC0415 - the event loop must run

        bundle = os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
        try:
            context = ssl.create_default_context(cafile=bundle)
        except OSError as problem:
            raise TrustError(
                f"{bundle}: no certificates can be read from it ({problem.strerror or problem}); "
                "SSL_CERT_FILE or REQUESTS_CA_BUNDLE names it"
            ) from None
        self._session = ClientSession(
            connector=TCPConnector(ssl=context, limit=CONNECTIONS),
            trust_env=_proxied(self.base_url),
            auto_decompress=False,
        )
        # The transport's timeouts, for it puts them on each request, whatever those of the session are.
        transport = AioHttpTransport(
            session=self._session, session_owner=False, connection_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT
        )
        self._pipeline: AsyncPipeline[HttpRequest, AsyncHttpResponse] = AsyncPipeline(transport, self._policies())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await asyncio.sleep(FAREWELL)

    def _policies(self) -> list[Any]:
        return [
            policies.RequestIdPolicy(),
            policies.HeadersPolicy(),
            policies.UserAgentPolicy(f"aks-audit/{__version__}", user_agent_use_env=False),
            policies.ProxyPolicy(),
            policies.AsyncRedirectPolicy(),
            _Patience(retry_total=self._retries, retry_status=self._retries, retry_backoff_max=20),
            _Guard(self.base_url, self._posts),
            _Pace(self._limiter, self._called),
            AsyncARMChallengeAuthenticationPolicy(self._credential, self._scope),
            ARMHttpLoggingPolicy(),
        ]

    async def get(self, url: str) -> Answer:
        """GET a path or an absolute address.

        Raises:
            AzureError: no answer came; sign-in failed, the connection did, or the request is one that is never made.
        """
        return await self._send("GET", url)

    async def post(self, url: str, body: object = None) -> Answer:
        """POST to one of the paths that were asked for.

        Raises:
            AzureError: no answer came, as with `get`.
        """
        return await self._send("POST", url, body)

    async def _send(self, method: str, url: str, body: object = None) -> Answer:
        address = url if url.startswith(("https://", "http://")) else f"{self.base_url}{url}"
        request = HttpRequest(method, address) if body is None else HttpRequest(method, address, json=body)
        try:
            response = (await self._pipeline.run(request)).http_response
            return Answer(response.status_code, response.content, response.headers.get("Location"))
        except (ClientError, OSError, TimeoutError) as problem:  # of the transport, where the SDK lets it through
            raise ServiceResponseError(f"{type(problem).__name__}: {problem}") from problem


def _proxied(base_url: str) -> bool:
    """Whether the environment names a proxy for an address; to look for one anew costs each call two threads."""
    address = urlsplit(base_url)
    return address.scheme in getproxies() and not proxy_bypass(address.hostname or "")


Getter = Callable[[str], Awaitable[Answer]]
Poster = Callable[[str, object], Awaitable[Answer]]
