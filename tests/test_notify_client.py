"""What is told arrives, again and in time, at the one address and no other; and the address is told to nobody."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from aks_audit.notify import NotifyError
from aks_audit.notify.client import Message, send
from aks_audit.notify.secrets import Address, address, secret
from listener import Answer, listening

SECRET = "/services/T0SECRET1/B0SECRET2/verysecretpart?sig=moresecretstuff"  # noqa: S105 - of a listener here
MESSAGE = Message("POST", b"{}", {"Content-Type": "application/json"})


def sent(url: str, *, patience: float = 20.0, first_wait: float = 0.01) -> str:
    """What goes wrong when something is sent there; empty where nothing does."""
    to = address(url, "the channel")
    try:
        asyncio.run(send(to, MESSAGE, patience=patience, first_wait=first_wait))
    except NotifyError as problem:
        return str(problem)
    return ""


def test_a_message_arrives_once() -> None:
    with listening(Answer(202)) as server:
        assert not sent(server.url + SECRET)
    (request,) = server.sent
    assert (request.method, request.path, request.body) == ("POST", SECRET, b"{}")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("aks-audit/")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_it_is_sent_again_where_that_may_help(status: int) -> None:
    with listening(Answer(status), Answer(status), Answer()) as server:
        assert not sent(server.url)
    assert len(server.sent) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 501])
def test_it_is_not_sent_again_where_it_is_refused(status: int) -> None:
    with listening(Answer(status, body=b"no_service")) as server:
        assert sent(server.url) == f"the channel could not be told: it answered {status}: no_service"
    assert len(server.sent) == 1


def test_it_is_given_up_after_some_tries() -> None:
    with listening(Answer(503)) as server:
        assert sent(server.url) == "the channel could not be told: it answered 503, after 5 tries"
    assert len(server.sent) == 5


@pytest.mark.parametrize(
    "asked", ["600", format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)], ids=["seconds", "a time"]
)
def test_a_wait_that_is_too_long_is_not_waited(asked: str) -> None:
    with listening(Answer(429, {"Retry-After": asked})) as server:
        assert "it asks to wait" in sent(server.url)
    assert len(server.sent) == 1


@pytest.mark.parametrize(
    "asked", ["0", "0.01", format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), "soon", "-3"]
)
def test_a_wait_that_is_short_or_no_wait_at_all_is_waited(asked: str) -> None:
    with listening(Answer(429, {"Retry-After": asked}), Answer()) as server:
        assert not sent(server.url)
    assert len(server.sent) == 2


def test_the_wait_that_is_asked_for_comes_before_our_own() -> None:
    with listening(Answer(429, {"Retry-After": "0"}), Answer()) as server:
        assert not sent(server.url, first_wait=10_000.0)
    assert len(server.sent) == 2


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with listening(Answer(hang=True)) as server:
        assert "it did not answer in time" in sent(server.url, patience=0.3, first_wait=1.0)


def test_nobody_is_sent_elsewhere() -> None:
    with listening() as other, listening(Answer(307, {"Location": other.url})) as server:
        assert sent(server.url) == "the channel could not be told: it answered 307"
    assert not other.sent


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with listening(tls=tmp_path) as server:
        assert "certificate" in sent(server.url).lower()
        assert not server.sent
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert not sent(server.url)
    assert len(server.sent) == 1
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    assert "no certificates can be read" in sent(server.url)


def test_it_goes_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as proxy, listening() as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert not sent(f"{server.url}/x")
        assert [one.path for one in proxy.sent] == [f"{server.url}/x"]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert not sent(f"{server.url}/x")
    assert len(server.sent) == len(proxy.sent) == 1


def test_no_password_of_another_file_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with listening() as server:
        assert not sent(server.url)
    assert "Authorization" not in server.sent[0].headers


@pytest.mark.parametrize(
    "body",
    [
        b"no such hook: https://127.0.0.1/services/T0SECRET1/B0SECRET2/verysecretpart?sig=moresecretstuff",
        b"unknown team T0SECRET1",
        b"bad signature moresecretstuff",
        b"\x1b[31mverysecretpart\nAKS-AUDIT: all is well",
    ],
)
def test_what_the_server_says_tells_no_part_of_the_address(body: bytes) -> None:
    with listening(Answer(404, body=body)) as server:
        said = sent(server.url + SECRET)
    assert "it answered 404" in said
    assert not [part for part in ("SECRET1", "SECRET2", "verysecret", "moresecret", "\x1b", "\n") if part in said]


def test_an_address_that_nobody_listens_at_is_not_told() -> None:
    with listening() as server:
        url = server.url + SECRET
    said = sent(url)
    assert "after 5 tries" in said
    assert "secret" not in said.lower()
    assert url.split("/")[2] not in said


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/services/verysecretpart",
        "http://127.0.0.1.example/verysecretpart",
        "ftp://127.0.0.1/verysecretpart",
        "verysecretpart",
        "https://",
        "https://[verysecretpart",
        "https://me:verysecretpart@hooks.example/",
        "https://hooks.example/very secretpart",
        "https://hooks.example:verysecretpart/",
        "https://hooks..example/verysecretpart",
        f"https://{'a' * 64}.example/verysecretpart",
    ],
)
def test_other_addresses_are_refused_and_not_told(url: str) -> None:
    with pytest.raises(NotifyError) as refused:
        address(url, "the channel")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9091", "http://[::1]/x", "http://localhost/", "https://x.example/y"])
def test_addresses_by_tls_and_of_this_machine_are_taken(url: str) -> None:
    assert address(url, "it") == Address(url, "it")


def test_a_secret_is_in_a_variable_or_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert secret("THE_SECRET") is None
    monkeypatch.setenv("THE_SECRET", " here ")
    assert secret("THE_SECRET") == "here"
    file = tmp_path / "secret"
    file.write_text("there\n")
    monkeypatch.setenv("THE_SECRET_FILE", str(file))
    with pytest.raises(NotifyError, match="both THE_SECRET and THE_SECRET_FILE are set"):
        secret("THE_SECRET")
    monkeypatch.delenv("THE_SECRET")
    assert secret("THE_SECRET") == "there"
    file.write_text("\n")
    with pytest.raises(NotifyError, match="THE_SECRET_FILE names a file that is empty"):
        secret("THE_SECRET")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(NotifyError, match="is no text"):
        secret("THE_SECRET")
    file.unlink()
    with pytest.raises(NotifyError, match="secret: cannot be read"):
        secret("THE_SECRET")
    monkeypatch.delenv("THE_SECRET_FILE")
    monkeypatch.setenv("THE_SECRET", "")
    with pytest.raises(NotifyError, match="THE_SECRET is empty"):
        secret("THE_SECRET")
