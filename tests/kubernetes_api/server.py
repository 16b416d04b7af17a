"""The server itself: HTTPS on loopback, who asks, and what each may read."""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, TypeAlias

import msgspec
from aiohttp import web

from kubernetes_api import answers, recordings
from kubernetes_api.authorization import Identity, service_account
from kubernetes_api.certificates import Authority
from kubernetes_api.cluster import Cluster
from kubernetes_api.paging import Pages
from kubernetes_api.targets import target
from resource_manager.answers import Answer
from resource_manager.faults import Fault, Reset, Script
from resource_manager.loopback import Loopback, bearer, send

Edit: TypeAlias = Callable[[str, Any], Any]

AUDITOR_TOKEN = "auditor-token"  # noqa: S105 - of an identity that only this server knows
NORIGHTS_TOKEN = "norights-token"  # noqa: S105 - as above

_TOKENS = {
    AUDITOR_TOKEN: service_account("aks-audit", "auditor"),
    NORIGHTS_TOKEN: service_account("aks-audit", "norights"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in. `status` is that of the answer, None where the connection was reset instead.

    `certificate` is the subject of the client's certificate, `O=system:masters,CN=masterclient`.
    """

    method: str
    path: str
    query: Mapping[str, str]
    status: int | None
    token: str | None
    certificate: str | None
    headers: Mapping[str, str]


class KubernetesApi:
    """The API server of a recorded cluster, while the context lasts.

    `names` are what its certificate holds for: as given 127.0.0.1, localhost and `host`. `deny` are kinds
    (`networkpolicies.networking.k8s.io`) or paths (`/apis`) that nobody may read, as shell patterns; with `kubelets`
    everybody known may reach those of nodes, which the recorded roles give to nobody who audits. Each answer takes
    `delay` seconds; with `inflight`, more requests at a time are throttled. With `expire_continue` each list has
    expired when it is first continued. `pods` is how many pods there are, in place of the recorded ones. `edit` is
    given the path and the JSON body of each answer, and gives the body to send.
    """

    def __init__(  # noqa: PLR0913 - each is one way in which clusters differ
        self,
        cluster: recordings.ClusterName = "weak",
        *,
        names: Sequence[str] | None = None,
        deny: Sequence[str] = (),
        kubelets: bool = False,
        faults: Sequence[Fault] = (),
        delay: float = 0,
        inflight: int | None = None,
        expire_continue: bool = False,
        pods: int | None = None,
        edit: Edit | None = None,
    ) -> None:
        self._cluster = Cluster(recordings.load(cluster), pods=pods, pages=Pages(expire=expire_continue))
        self._names = names
        self._deny, self._kubelets = tuple(deny), kubelets
        self._script = Script(faults)
        self._delay = delay
        self._inflight = inflight
        self._edit = edit
        self._running = 0
        self._requests: list[Request] = []
        self._authority = Authority()
        self._administrator = self._authority.client("masterclient", ["system:masters"])
        self._loopback = Loopback(self._handle, "kubernetes-api")

    def __enter__(self) -> Self:
        self._url = self._loopback.start(self._context())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loopback.stop()

    @property
    def url(self) -> str:
        """Where it is: `https://127.0.0.1:PORT`."""
        return self._url

    @property
    def host(self) -> str:
        """The cluster's own name of its API server, which leads nowhere, but stands in the certificate."""
        return self._cluster.host

    @property
    def ca(self) -> bytes:
        """The certificate to trust, as PEM."""
        return self._authority.pem

    @property
    def admin_certificate(self) -> bytes:
        """A client certificate of an administrator, to whom nothing is refused, as PEM."""
        return self._administrator.certificate

    @property
    def admin_key(self) -> bytes:
        """The private key of `admin_certificate`, as PEM."""
        return self._administrator.key

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request so far, in the order of the answers."""
        return tuple(self._requests)

    def strike(self, *faults: Fault) -> None:
        """Let these faults strike from now on, and no others."""
        self._script = Script(faults)

    def _context(self) -> ssl.SSLContext:
        names = ("127.0.0.1", "localhost", self.host) if self._names is None else self._names
        signed = self._authority.server(names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with TemporaryDirectory(prefix="kubernetes-api-") as folder:
            certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
            certificate.write_bytes(signed.certificate)
            key.write_bytes(signed.key)
            context.load_cert_chain(certificate, key)
        context.load_verify_locations(cadata=self.ca.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        self._running += 1
        try:
            return await self._respond(request)
        finally:
            self._running -= 1

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        subject = _subject(request)
        who = _identity(subject) if subject else _TOKENS.get(bearer(request) or "")
        crowded = self._inflight is not None and self._running > self._inflight
        if self._delay and not crowded:
            await asyncio.sleep(self._delay)
        effect = self._script.effect(request.method, request.path_qs)
        answer = effect if isinstance(effect, Answer) else self._answer(request, who, crowded=crowded)
        self._requests.append(
            Request(
                method=request.method,
                path=request.path,
                query=dict(request.query),
                status=None if isinstance(effect, Reset) else answer.status,
                token=bearer(request),
                certificate=",".join(f"{_SHORT.get(name, name)}={value}" for name, value in subject) or None,
                headers=dict(request.headers),
            )
        )
        # A client that has seen enough hangs up.
        with suppress(ConnectionError):
            return await send(request, answer, effect)
        return web.StreamResponse()

    def _answer(self, request: web.BaseRequest, who: Identity | None, *, crowded: bool) -> Answer:
        if who is None:
            return answers.unauthorized()
        if crowded and not who.is_master:
            return answers.throttled()
        answer = self._permitted(request, who)
        if self._edit is None or not answer.content_type.startswith(answers.JSON):
            return answer
        edited = self._edit(request.path, msgspec.json.decode(answer.body))
        return Answer(answer.status, msgspec.json.encode(edited), answer.content_type, answer.headers)

    def _permitted(self, request: web.BaseRequest, who: Identity) -> Answer:
        about = target(request.path) or request.path
        if isinstance(about, str):
            verb, called = request.method.lower(), about
        else:
            verb, called = about.verb(request.method), about.type
        denied = any(fnmatchcase(called, pattern) for pattern in self._deny)
        kubelet = (
            self._kubelets and not isinstance(about, str) and (about.type, about.subresource) == ("nodes", "proxy")
        )
        if denied or not (kubelet or self._cluster.roles.permit(who, verb, about)):
            return answers.forbidden(who.user, verb, about)
        if request.method != "GET":
            return answers.method_not_allowed()
        accept = request.headers.get("Accept", "*/*")
        if isinstance(about, str):
            return self._cluster.document(about, accept)
        return self._cluster.objects(about, accept, request.query)


_SHORT = {"organizationName": "O", "commonName": "CN"}


def _subject(request: web.BaseRequest) -> list[tuple[str, str]]:
    """The subject of the client's certificate, by the long names of its attributes; empty without one."""
    certificate = request.get_extra_info("peercert") or {}
    return [pair for part in certificate.get("subject", ()) for pair in part]


def _identity(subject: Sequence[tuple[str, str]]) -> Identity:
    users = [value for name, value in subject if name == "commonName"]
    groups = {value for name, value in subject if name == "organizationName"}
    return Identity(users[0], frozenset(groups | {"system:authenticated"}))
