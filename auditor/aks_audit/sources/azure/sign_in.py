"""Clouds, and how to sign in to them.

Source: the clouds of azure-core's `AzureClouds`, and the credentials of azure-identity 1.25; for Microsoft Graph
https://learn.microsoft.com/graph/deployments. The Department of Defense's, dod-graph.microsoft.us, is named by
AKS_AUDIT_GRAPH.
"""

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError

from aks_audit.errors import AuditError
from aks_audit.sources.scrub import scrub_message

AUTH = ("cli", "workload", "managed", "environment", "browser")


class SignInError(AuditError):
    """A cloud or a way to sign in that is not known."""


class Cloud(NamedTuple):
    """The Resource Manager of a cloud, the scope of its tokens, and who gives them (None: by environment).

    `graph`: its Microsoft Graph; None where it is not known.
    """

    resource_manager: str
    scope: str
    authority: str | None
    graph: str | None = None


_CLOUDS = {
    "azurecloud": Cloud(
        "https://management.azure.com",
        "https://management.core.windows.net//.default",
        "login.microsoftonline.com",
        "https://graph.microsoft.com",
    ),
    "azureusgovernment": Cloud(
        "https://management.usgovcloudapi.net",
        "https://management.core.usgovcloudapi.net//.default",
        "login.microsoftonline.us",
        "https://graph.microsoft.us",
    ),
    "azurechinacloud": Cloud(
        "https://management.chinacloudapi.cn",
        "https://management.core.chinacloudapi.cn//.default",
        "login.chinacloudapi.cn",
        "https://microsoftgraph.chinacloudapi.cn",
    ),
}


def cloud(name: str) -> Cloud:
    """A cloud by name, without case, or by the address of its Resource Manager; AKS_AUDIT_GRAPH names another Graph.

    Raises:
        SignInError: it is neither, or what AKS_AUDIT_GRAPH names is no address.
    """
    graph = os.environ.get("AKS_AUDIT_GRAPH", "").rstrip("/")
    if graph and not graph.startswith("https://"):
        raise SignInError(f"AKS_AUDIT_GRAPH is {graph!r}, and not the https:// address of a Microsoft Graph")
    if name.lower() in _CLOUDS:
        known = _CLOUDS[name.lower()]
        return known._replace(graph=graph or known.graph)
    if name.startswith("https://"):
        address = name.rstrip("/")
        return Cloud(address, f"{address}/.default", None, graph or None)
    raise SignInError(
        f"no cloud {name!r}; there are AzureCloud, AzureUSGovernment, AzureChinaCloud, or an https:// address"
    )


def credential(auth: str | None, where: Cloud, *, threads: bool = False) -> Any:  # noqa: ANN401 - one of several kinds
    """A credential of azure-identity; without `auth`, those that DefaultAzureCredential tries in turn.

    It is asynchronous, or with `threads` as SDKs for threads want it.

    Raises:
        SignInError: there is no such way to sign in, or what it needs is not there.
    """
    authority = os.environ.get("AZURE_AUTHORITY_HOST") or where.authority
    options = {"authority": authority} if authority else {}
    try:
        return _credential(auth, options, threads=threads)
    except ValueError as problem:  # of azure-identity, where its variables are missing or wrong
        raise _not_signed_in(problem) from None


def _credential(auth: str | None, options: dict[str, str], *, threads: bool) -> Any:  # noqa: ANN401 - as above
    from azure import identity  # noqa: PLC0415 - only a live scan signs in
    from azure.identity import aio  # noqa: PLC0415 - as above

    kinds = identity if threads else aio
    match auth:
        case None:
            return kinds.DefaultAzureCredential(**options)
        case "cli":
            return kinds.AzureCliCredential()
        case "workload":
            return kinds.WorkloadIdentityCredential(**options)
        case "managed":
            return kinds.ManagedIdentityCredential(client_id=os.environ.get("AZURE_CLIENT_ID"))
        case "environment":
            return kinds.EnvironmentCredential(**options)
        case "browser":
            return identity.InteractiveBrowserCredential(**options) if threads else _Browser(options)
        case _:
            raise SignInError(f"no way to sign in {auth!r}; there are {', '.join(AUTH)}")


async def sign_in(signed_in: Any, scope: str) -> None:  # noqa: ANN401 - one of several kinds, all asynchronous
    """Get the first token, so that nobody who is not signed in waits for a scan.

    Raises:
        SignInError: no token is given; the message says why, in the words of azure-identity.
    """
    with _refusals():
        await signed_in.get_token(scope)


def sign_in_threads(signed_in: Any, scope: str) -> None:  # noqa: ANN401 - one of several kinds, none asynchronous
    """The same with a credential for threads.

    Raises:
        SignInError: no token is given; the message says why, in the words of azure-identity.
    """
    with _refusals():
        signed_in.get_token(scope)


@contextmanager
def _refusals() -> Iterator[None]:
    """Tell in words why no token is given."""
    logging.getLogger("azure").addHandler(logging.NullHandler())  # what it would print is in the error
    try:
        yield
    except (AzureError, OSError, ValueError) as problem:
        raise _not_signed_in(problem) from None


def _not_signed_in(problem: Exception) -> SignInError:
    said = scrub_message(str(problem)) or type(problem).__name__
    return SignInError(f"cannot sign in: {said}\nsign in with az login, or name another way with --auth")


class _Browser:
    """Signs in with a browser. azure-identity has it for threads only."""

    def __init__(self, options: dict[str, str]) -> None:
        from azure.identity import InteractiveBrowserCredential  # noqa: PLC0415 - only where it was asked for

        self._credential = InteractiveBrowserCredential(**options)

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - as azure-identity has it
        return await asyncio.to_thread(self._credential.get_token, *scopes, **options)

    async def close(self) -> None:
        await asyncio.to_thread(self._credential.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
