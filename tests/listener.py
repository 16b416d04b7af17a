"""A server on loopback that keeps what it is sent, and answers as told: a webhook, a Pushgateway, and so on."""

import gzip
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple, Self

from resource_manager.certificate import make


class Sent(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON value
        """The body, unpacked where it is compressed."""
        packed = self.headers.get("Content-Encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if packed else self.body)


class Answer(NamedTuple):
    """What a request is answered."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    hang: bool = False


class Listener:
    """The server: where it is, and what it was sent. The last answer is given again."""

    def __init__(self, answers: Sequence[Answer], certificate: tuple[Path, Path] | None) -> None:
        self.sent: list[Sent] = []
        self._answers = [*answers] or [Answer()]
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                listener.answer(self)

            do_PUT = do_POST  # noqa: N815 - as above
            do_GET = do_POST  # noqa: N815 - as above

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Keep a request, and answer it."""
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        answer = self._answers[min(len(self.sent), len(self._answers) - 1)]
        self.sent.append(Sent(handler.command, handler.path, dict(handler.headers.items()), body))
        if answer.hang:
            handler.connection.recv(1)  # until the other end gives up
            return
        handler.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(answer.body)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def listening(*answers: Answer, tls: Path | None = None) -> Iterator[Listener]:
    """A server that gives these answers in turn; by TLS with a certificate that is made in the folder `tls`."""
    with Listener(answers, make(tls) if tls else None) as listener:
        yield listener
