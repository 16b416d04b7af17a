"""Calls go through the proxy that the environment names, and past it where it says so."""

import asyncio
from collections.abc import Mapping
from typing import Any, Self

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError

from aks_audit.sources.azure.pipeline import Pipeline

ADDRESS = "https://management.example"


class SignedIn:
    """A credential with a token at hand."""

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:  # noqa: ANN401 - the SDK's own protocol
        """The token."""
        return AccessToken("a-token", 4_070_908_800)

    async def close(self) -> None:
        """Close nothing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: object = None, exc_value: object = None, traceback: object = None) -> None:
        """Close nothing."""


async def asked(environment: Mapping[str, str], patch: pytest.MonkeyPatch) -> list[bytes]:
    """What a proxy that refuses all is asked for, while the pipeline gets an answer from nobody."""
    lines: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    proxy = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with proxy:
        host, port = proxy.sockets[0].getsockname()
        patch.setenv("HTTPS_PROXY", f"http://{host}:{port}")
        for name, value in environment.items():
            patch.setenv(name, value)
        async with Pipeline(SignedIn(), ADDRESS, f"{ADDRESS}/.default", retries=0) as pipeline:
            with pytest.raises(AzureError):
                await pipeline.get("/subscriptions")
    return lines


def test_the_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asyncio.run(asked({}, monkeypatch)) == [b"CONNECT management.example:443 HTTP/1.1\r\n"]


def test_what_needs_no_proxy_goes_past_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asyncio.run(asked({"NO_PROXY": ".example"}, monkeypatch)) == []
