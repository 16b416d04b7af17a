"""Azure Blob Storage on loopback: one container, as far as a store asks for it.

Source: the REST reference, https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api: Put Blob, Put
Block, Put Block List, Get Blob, Delete Blob, List Blobs, their conditional headers and error codes.
"""

import asyncio
import itertools
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from aiohttp import web

from resource_manager import certificate
from resource_manager.loopback import Loopback, bearer

ACCOUNT, CONTAINER = "account", "audits"
PAGE = 3
"""How many blobs a page of a list has."""


class Blob(NamedTuple):
    """What a blob holds, its ETag, and when it was written."""

    data: bytes
    etag: str
    modified: datetime


class Refusal(Exception):  # noqa: N818 - the word of the field
    """An answer that is an error: its status and its code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class BlobService:
    """The service. `token` is whom it lets in; `answers` are given in turn instead of its own (None: its own).

    An answer of status 0 is lost: what was asked is done, and the connection ends.
    """

    def __init__(self, token: str) -> None:
        self.blobs: dict[str, Blob] = {}
        self.requests: list[str] = []
        self.answers: list[tuple[int, str] | None] = []
        self.url = ""
        self._token, self._blocks = token, dict[tuple[str, str], bytes]()
        self._etags = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connections: set[asyncio.Transport] = set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        self._loop = asyncio.get_running_loop()
        if request.transport:
            self._connections.add(request.transport)
        body = await request.content.read()
        self.requests.append(f"{request.method} {request.rel_url}")
        fault = self.answers.pop(0) if self.answers else None
        try:
            answer = self._answer(request, body, fault or (0, ""))
        except Refusal as refusal:
            text = f"<?xml version='1.0'?><Error><Code>{refusal.code}</Code><Message>It was refused.</Message></Error>"
            answer = web.Response(
                status=refusal.status, text="" if request.method == "HEAD" else text, content_type="application/xml"
            )
            answer.headers["x-ms-error-code"] = refusal.code
        if fault and not fault[0] and request.transport:
            request.transport.abort()
        answer.headers["x-ms-version"] = "2021-12-02"
        return answer

    def hang_up(self) -> None:
        """End all connections: the SDK keeps those open whose answers it has not read."""
        for connection in self._connections:
            if self._loop:
                self._loop.call_soon_threadsafe(connection.abort)

    def put(self, name: str, data: bytes, modified: datetime | None = None) -> Blob:
        """Have a blob."""
        self.blobs[name] = Blob(data, f'"0x{next(self._etags):X}"', modified or datetime.now(UTC))
        return self.blobs[name]

    def _answer(self, request: web.BaseRequest, body: bytes, fault: tuple[int, str]) -> web.Response:
        if fault[0]:
            raise Refusal(*fault)
        if bearer(request) != self._token:
            raise Refusal(401 if bearer(request) is None else 403, "AuthorizationPermissionMismatch")
        _, account, container, *rest = unquote(request.rel_url.raw_path).split("/")
        if (account, container) != (ACCOUNT, CONTAINER):
            raise Refusal(404, "ContainerNotFound")
        name, query = "/".join(rest), request.rel_url.query
        match request.method, query.get("comp"):
            case "GET", "list":
                return self._list(query.get("prefix", ""), query.get("marker", ""), int(query.get("maxresults", PAGE)))
            case "PUT", "block":
                self._blocks[name, query["blockid"]] = body
                return web.Response(status=201)
            case "PUT", "blocklist":
                ids = [node.text or "" for node in ET.fromstring(body)]  # noqa: S314 - of our own client
                return self._put(request, name, b"".join(self._blocks.pop((name, one)) for one in ids))
            case "PUT", None:
                return self._put(request, name, body)
            case "GET", None:
                return self._get(request, self._there(request, name))
            case "DELETE", None:
                self._there(request, name)
                del self.blobs[name]
                return web.Response(status=202)
            case _:
                raise Refusal(400, "UnsupportedHttpVerb")

    def _there(self, request: web.BaseRequest, name: str) -> Blob:
        if name not in self.blobs:
            raise Refusal(404, "BlobNotFound")
        if request.headers.get("If-Match", self.blobs[name].etag) != self.blobs[name].etag:
            raise Refusal(412, "ConditionNotMet")
        return self.blobs[name]

    def _put(self, request: web.BaseRequest, name: str, data: bytes) -> web.Response:
        if "If-Match" in request.headers:
            if name not in self.blobs:
                raise Refusal(412, "ConditionNotMet")
            self._there(request, name)
        if request.headers.get("If-None-Match") == "*" and name in self.blobs:
            raise Refusal(409, "BlobAlreadyExists")
        blob = self.put(name, data)
        return web.Response(status=201, headers={"ETag": blob.etag, "Last-Modified": _http(blob.modified)})

    @staticmethod
    def _get(request: web.BaseRequest, blob: Blob) -> web.Response:
        """A part of a blob, or all of it; the SDK asks first for as much as it can hold at once."""
        told = {"ETag": blob.etag, "Last-Modified": _http(blob.modified), "x-ms-blob-type": "BlockBlob"}
        if "x-ms-range" not in request.headers:
            return web.Response(body=blob.data, headers=told)
        start, _, end = request.headers["x-ms-range"].removeprefix("bytes=").partition("-")
        if int(start) >= len(blob.data):
            raise Refusal(416, "InvalidRange")
        data = blob.data[int(start) : int(end or len(blob.data)) + 1]
        part = f"bytes {start}-{int(start) + len(data) - 1}/{len(blob.data)}"
        return web.Response(status=206, body=data, headers={**told, "Content-Range": part})

    def _list(self, prefix: str, marker: str, most: int) -> web.Response:
        names = sorted(name for name in self.blobs if name.startswith(prefix) and name >= marker)
        shown, rest = names[:most], names[most:]
        listed = "".join(self._listed(name) for name in shown)
        following = escape(rest[0]) if rest else ""
        text = (
            f"<?xml version='1.0' encoding='utf-8'?><EnumerationResults ContainerName='{CONTAINER}'><Blobs>{listed}"
            f"</Blobs><NextMarker>{following}</NextMarker></EnumerationResults>"
        )
        return web.Response(text=text, content_type="application/xml")

    def _listed(self, name: str) -> str:
        blob = self.blobs[name]
        written = f"<Last-Modified>{_http(blob.modified)}</Last-Modified>"
        told = f"<Content-Length>{len(blob.data)}</Content-Length><BlobType>BlockBlob</BlobType>"
        return (
            f"<Blob><Name>{escape(name)}</Name><Properties>{written}<Etag>{blob.etag}</Etag>{told}</Properties></Blob>"
        )


def _http(time: datetime) -> str:
    return format_datetime(time, usegmt=True)


@contextmanager
def serving(token: str, folder: Path) -> Iterator[tuple[BlobService, Path]]:
    """The service while it runs, and the file of the certificate that it is trusted by."""
    service = BlobService(token)
    ca_file, key_file = certificate.make(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    loopback = Loopback(service.handle, "blob service")
    service.url = f"{loopback.start(context)}/{ACCOUNT}/{CONTAINER}"
    try:
        yield service, ca_file
    finally:
        service.hang_up()
        loopback.stop()
