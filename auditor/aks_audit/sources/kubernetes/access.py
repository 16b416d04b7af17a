"""A way into one cluster: where its API server is, how to know it, and as whom to ask."""

from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

Way = Literal["kubeconfig", "aad", "service-account", "run-command"]


class ClientCertificate(NamedTuple):
    """A certificate to sign in with and its private key, both PEM. Kept in memory alone."""

    certificate: bytes
    key: bytes


class Access(NamedTuple):
    """How to reach the API server of a cluster.

    `cluster` is the ARM id. `server` is the https address that is dialled, `server_name` the name that its certificate
    is checked against where that is another, `authority` the certificates to trust (PEM; None: those of the system).
    One of `token` (gives a bearer token, anew for each call) and `certificate` signs in. `administrator` says that the
    credential is a cluster administrator's, which no audit needs.
    """

    cluster: str
    way: Way
    server: str
    authority: bytes | None = None
    server_name: str | None = None
    token: Callable[[], Awaitable[str]] | None = None
    certificate: ClientCertificate | None = None
    administrator: bool = False
    detail: str = ""
    """How it was found, for the report: `context aks-shop of kubeconfig`; never a secret, never a path."""
