"""Kubeconfig files: joined as kubectl joins them, and hostile ones told in words that repeat nothing of them."""

import asyncio
import base64
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec.yaml
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aks_audit.sources.kubernetes import kubeconfig, users
from aks_audit.sources.kubernetes.access import Access, ClientCertificate
from aks_audit.sources.kubernetes.api import UnreachableError
from aks_audit.sources.kubernetes.kubeconfig import Context, Kubeconfig, KubeconfigError
from kubernetes_api.certificates import Authority

AUTHORITY = Authority()
HOST = "aks-shop-1a2b3c4d.hcp.westeurope.azmk8s.io"
SECRET = "s3cret-of-shop"  # noqa: S105 - to be looked for where it must not be


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def document(
    name: str = "aks-shop", cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A kubeconfig of one context."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": f"https://{HOST}:443", **(cluster or {})}}],
        "users": [{"name": f"user-{name}", "user": user or {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"user-{name}"}}],
    }


def written(path: Path, content: dict[str, Any]) -> Path:
    path.write_bytes(msgspec.yaml.encode(content))
    return path


def context(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> Context:
    content = msgspec.yaml.encode(document(cluster=cluster, user=user))
    (found,) = kubeconfig.contexts([(kubeconfig.parse(content), Path())])
    return found


# Which files


def test_the_files_are_those_that_kubectl_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    several = {"KUBECONFIG": os.pathsep.join(["a", "", "b"])}
    assert kubeconfig.files(Path("mine"), several) == [Path("mine")]
    assert kubeconfig.files(None, several) == [Path("a"), Path("b")]
    assert kubeconfig.files(None, {"KUBECONFIG": ""}) == [tmp_path / ".kube" / "config"]


def test_of_two_entries_of_one_name_the_first_counts(tmp_path: Path) -> None:
    first = document(user={"token": "first.of.all"}) | {"current-context": "other"}
    second = document(cluster={"server": "https://elsewhere.example"}, user={"token": "se.co.nd"})
    other = document("other", {"server": "https://other.example"}) | {"current-context": "aks-shop"}
    files = [written(tmp_path / str(n), one) for n, one in enumerate([first, second, other])]
    found = kubeconfig.read(files)
    assert [(one.name, one.server) for one in found.contexts] == [
        ("other", "https://other.example"),
        ("aks-shop", f"https://{HOST}:443"),
    ]
    token = users.of(found.contexts[1]).token
    assert token
    assert asyncio.run(given_by(token)) == "first.of.all"


async def given_by(token: Any) -> str:  # noqa: ANN401 - a function that gives a token
    return str(await token())


def test_a_context_may_take_its_cluster_from_another_file(tmp_path: Path) -> None:
    whole = document()
    clusters = written(tmp_path / "clusters", {"clusters": whole["clusters"]})
    rest = written(tmp_path / "rest", {"contexts": whole["contexts"], "users": whole["users"]})
    (found,) = kubeconfig.read([clusters, rest]).contexts
    assert found.hosts == {HOST}


def test_relative_paths_start_at_their_own_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    signed = AUTHORITY.client("auditor", ["readers"])
    for name, pem in {"ca": AUTHORITY.pem, "crt": signed.certificate, "key": signed.key}.items():
        (tmp_path / "sub" / name).write_bytes(pem)
    content = document(cluster={"certificate-authority": "ca"}, user={"client-certificate": "crt", "client-key": "key"})
    (found,) = kubeconfig.read([written(tmp_path / "sub" / "config", content)]).contexts
    assert found.authority == AUTHORITY.pem
    assert users.of(found).certificate == ClientCertificate(signed.certificate, signed.key)


def test_what_is_not_there_is_no_problem_unless_it_was_asked_for(tmp_path: Path) -> None:
    assert kubeconfig.read([tmp_path / "nothing"]) == Kubeconfig()
    with pytest.raises(KubeconfigError, match="nothing: no such file"):
        kubeconfig.read([tmp_path / "nothing"], required=True)
    with pytest.raises(KubeconfigError, match="Is a directory"):
        kubeconfig.read([tmp_path], required=True)


def test_a_file_that_cannot_be_used_is_told_and_the_others_are_used(tmp_path: Path) -> None:
    bad, good = tmp_path / "bad", written(tmp_path / "good", document())
    bad.write_text(f"token: {SECRET}\n  : [", encoding="utf-8")
    found = kubeconfig.read([bad, good])
    assert [one.name for one in found.contexts] == ["aks-shop"]
    assert found.problems == ("the kubeconfig bad cannot be used: it is not YAML (line 2)",)


# Hostile files


LAUGHS = "a: &a [x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(20)
)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(LAUGHS.encode(), "aliases", id="a billion laughs"),
        pytest.param(b"<<: [*a, *a]\na: &a {b: c}", "aliases|YAML", id="merged"),
        pytest.param(b"[" * 100_000, "nested deeper|not YAML", id="deep flow"),
        pytest.param(b"- " * 5_000, "nested deeper|not YAML", id="deep block"),
        pytest.param(b"x" * (kubeconfig.LARGEST_FILE + 1), "larger than", id="huge"),
        pytest.param(b"", "not a kubeconfig", id="empty"),
        pytest.param(b"- contexts", "not a kubeconfig", id="a list"),
        pytest.param(b"contexts: {a: b}", "not a kubeconfig", id="contexts by name"),
        pytest.param(b"a: b\n---\nc: d\n", "not YAML", id="two documents"),
        pytest.param(b"\x00\x01\x02\xff", "not YAML", id="bytes"),
        pytest.param(b"{\n: : :\n", "not YAML", id="foreign"),
    ],
)
def test_a_hostile_file_is_refused_at_once(content: bytes, says: str) -> None:
    start = time.monotonic()
    with pytest.raises(KubeconfigError, match=says):
        kubeconfig.parse(content)
    assert time.monotonic() - start < 5


def test_no_object_is_ever_made_of_a_tag(tmp_path: Path) -> None:
    marker = tmp_path / "made"
    found = kubeconfig.parse(f"users: !!python/object/apply:os.mkdir ['{marker}']\ndate: 2001-99-99".encode())
    assert found == {"users": [str(marker)], "date": "2001-99-99"}
    assert not marker.exists()


def test_a_device_without_an_end_is_read_to_the_limit_alone() -> None:
    with pytest.raises(KubeconfigError, match="larger than"):
        kubeconfig.read([Path("/dev/zero")], required=True)


@given(st.binary(max_size=200) | st.text(alphabet="{}[]&*!<:- \n\ta", max_size=60).map(str.encode))
def test_whatever_a_file_holds_it_is_read_or_refused(content: bytes) -> None:
    try:
        found = kubeconfig.parse(content)
    except KubeconfigError:
        return
    kubeconfig.contexts([(found, Path())])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    "server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url", "token",
    "client-certificate-data", "client-key-data", "exec", "username", "auth-provider",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYS), VALUES), st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_whatever_an_entry_holds_it_is_used_or_refused(cluster: dict[str, Any], user: dict[str, Any]) -> None:
    content = yaml.safe_dump(document(cluster=cluster, user=user)).encode()
    for found in kubeconfig.contexts([(kubeconfig.parse(content), Path())]):
        assert all(isinstance(name, str) for name in found.hosts)
        for read in (lambda c: c.address, lambda c: c.authority, lambda c: c.proxy, users.of):
            with suppress(KubeconfigError):
                read(found)


# Where a context leads


@pytest.mark.parametrize(
    ("cluster", "hosts"),
    [
        ({}, {HOST}),
        ({"server": f"https://{HOST.upper()}"}, {HOST}),
        ({"server": f"https://{HOST}.:6443/"}, {HOST}),
        ({"server": "https://127.0.0.1:8443", "tls-server-name": HOST}, {"127.0.0.1", HOST}),
        ({"server": "https://[::1"}, set()),
        ({"server": f"https://{HOST}:port"}, set()),
        ({"server": None}, set()),
    ],
)
def test_a_context_leads_to_its_server_by_name(cluster: dict[str, Any], hosts: set[str]) -> None:
    assert context(cluster).hosts == hosts


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        ({"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify"),
        ({"insecure-skip-tls-verify": True, "certificate-authority-data": encoded(AUTHORITY.pem)}, "insecure-skip"),
        ({"server": f"http://{HOST}"}, "https"),
        ({"server": f"https://user:{SECRET}@{HOST}"}, "https"),
        ({"certificate-authority-data": f"{SECRET}!"}, "not base64"),
        ({"certificate-authority-data": encoded(b"\xff\xfe")}, "not PEM"),
        ({"certificate-authority": f"/nowhere/{SECRET}"}, "cannot be read"),
        ({"certificate-authority": "a\0b"}, "cannot be read|not YAML"),
        ({"proxy-url": f"socks5://user:{SECRET}@proxy"}, "proxy-url"),
    ],
)
def test_a_cluster_that_cannot_be_trusted_is_refused(cluster: dict[str, Any], says: str) -> None:
    def trust() -> None:
        found = context(cluster)
        _ = found.address, found.authority, found.proxy

    with pytest.raises(KubeconfigError, match=says) as refusal:
        trust()
    assert SECRET not in str(refusal.value)


def test_a_proxy_for_http_is_gone_through() -> None:
    assert context({"proxy-url": "http://proxy:3128"}).proxy == "http://proxy:3128"
    assert context().proxy is None


# As whom


@pytest.mark.parametrize(
    ("groups", "administrator"),
    [(["system:masters"], True), (["readers", "system:masters"], True), (["readers"], False)],
)
def test_a_certificate_of_the_masters_is_an_administrators(groups: list[str], administrator: bool) -> None:  # noqa: FBT001
    signed = AUTHORITY.client("masterclient", groups)
    assert users.is_administrator(signed.certificate) is administrator
    assert users.by_certificate(signed.certificate, signed.key).administrator is administrator


def test_a_certificate_that_cannot_be_read_is_taken_for_an_administrators() -> None:
    assert users.is_administrator(b"nothing")
    assert users.is_administrator(AUTHORITY.client("x", ()).certificate[:-100])


def test_the_token_that_aks_gives_out_is_an_administrators() -> None:
    assert users.by_token("0123456789abcdef" * 8).administrator
    assert not users.by_token("header.claims.signature").administrator


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ({}, "nothing to sign in with"),
        ({"username": "admin", "password": SECRET}, "password"),
        ({"auth-provider": {"name": "azure", "config": {"access-token": SECRET}}}, "auth-provider"),
        ({"client-certificate-data": encoded(SECRET.encode())}, "only one of"),
        ({"client-certificate-data": SECRET + "!", "client-key-data": "a2V5"}, "not base64"),
        ({"token": f"{SECRET}\r\nHost: elsewhere"}, "one line of plain"),
    ],
)
def test_a_user_that_cannot_be_used_is_refused(user: dict[str, Any], says: str) -> None:
    with pytest.raises(KubeconfigError, match=says) as refusal:
        users.of(context(user=user))
    assert SECRET not in str(refusal.value)


def test_a_token_in_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    identity = users.of(context(user={"tokenFile": str(path), "token": "not.this.one"}))
    assert identity.token

    path.write_text("one.of.two\n", encoding="utf-8")
    assert asyncio.run(given_by(identity.token)) == "one.of.two"
    path.write_text("two.of.two\n", encoding="utf-8")
    assert asyncio.run(given_by(identity.token)) == "two.of.two"
    path.write_text("", encoding="utf-8")
    with pytest.raises(UnreachableError, match="the file token holds no token"):
        asyncio.run(given_by(identity.token))


def test_nothing_that_is_shown_holds_a_secret() -> None:
    user = {"token": SECRET, "client-key-data": encoded(SECRET.encode())}
    found = context({"proxy-url": f"http://user:{SECRET}@proxy"}, user)
    certificate = ClientCertificate(b"certificate", SECRET.encode())
    access = Access("/subscriptions/s", "kubeconfig", found.address, certificate=certificate, proxy=found.proxy)
    identity = users.by_token(SECRET)
    for shown in (found, Kubeconfig((found,)), certificate, access, identity):
        assert SECRET not in f"{shown!r} {shown}"
        assert encoded(SECRET.encode()) not in f"{shown!r}"
