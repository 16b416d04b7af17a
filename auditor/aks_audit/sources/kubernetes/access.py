"""A way into one cluster: where its API server is, how to know it, and as whom to ask."""

from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

Way = Literal["kubeconfig", "aad", "service-account", "run-command"]


class ClientCertificate(NamedTuple):
    """A certificate to sign in with and its private key, both PEM. Kept in memory alone."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        """Say nothing of what is in it: a representation ends up in logs."""
        return "ClientCertificate(…)"


class Access(NamedTuple):
    """How to reach the API server of a cluster.

    `cluster` is the ARM id. `server` is the https address that is dialled, `server_name` the name that its certificate
    is checked against where that is another, `authority` the certificates to trust (PEM; None: those of the system).
    One of `token` (gives a bearer token, anew for each call; raises `UnreachableError` where there is none to be had)
    and `certificate` signs in. `proxy` is the http or https proxy to go through. `administrator` says that the
    credential is a cluster administrator's, which no audit needs.

    By `run-command` no server is dialled: `server` is empty, and the token goes with the command.
    """

    cluster: str
    way: Way
    server: str
    authority: bytes | None = None
    server_name: str | None = None
    token: Callable[[], Awaitable[str]] | None = None
    certificate: ClientCertificate | None = None
    proxy: str | None = None
    administrator: bool = False
    detail: str = ""
    """How it was found, for the report: `context aks-shop of kubeconfig`; never a secret, never a path."""

    def __repr__(self) -> str:
        """Say where it leads, and nothing of what signs in or of a proxy, whose address may hold a password."""
        return f"Access({self.way} to {self.cluster} at {self.server!r}, {self.detail})"
