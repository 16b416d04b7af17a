"""The store in a container of Azure Blob Storage: the same promises, kept over HTTP."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import live
import store_promises
from aks_audit.sources.azure.sign_in import SignInError
from aks_audit.store import blob
from aks_audit.store.blob import BlobStore
from aks_audit.store.places import opened
from aks_audit.store.runs import REPORT, Draft, Place, runs, shards
from aks_audit.store.store import NotThereError, StoreError
from blob_service import PAGE, BlobService, serving
from test_store_runs import NOW, keep, manifest

SIGNED = "https://account.blob.core.windows.net/audits?sv=2024&sig=c2VjcmV0"


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobService]:
    with serving(live.TOKEN, tmp_path) as (service, ca_file):
        for name, value in live.environment(service.url, ca_file, tmp_path).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AKS_AUDIT_CLOUD", "AzureCloud")
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        yield service


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(service: BlobService, said: list[str]) -> Iterator[BlobStore]:
    with blob.blob_store(f"{service.url}/nightly/", "cli", "AzureCloud", said.append) as made:
        made.check()
        yield made


def test_a_file_that_was_put_is_fetched_listed_and_deleted(store: BlobStore, service: BlobService) -> None:
    store.put("a/b/file.json", b"one")
    store.put("a/b/file.json", b"two")
    store.put("a/empty", b"")
    service.put("elsewhere/a/file", b"none of ours")
    service.put("nightly/abc", b"")
    assert sorted(service.blobs) == ["elsewhere/a/file", "nightly/a/b/file.json", "nightly/a/empty", "nightly/abc"]
    assert store.fetch("a/b/file.json").data == b"two"
    assert store.fetch("a/empty").data == b""
    assert [(entry.name, entry.size) for entry in store.list("a")] == [("a/b/file.json", 3), ("a/empty", 0)]
    assert [entry.modified for entry in store.list("abc")] == []
    assert store.delete("a/b/file.json")
    assert not store.delete("a/b/file.json")
    assert [entry.name for entry in store.list()] == ["a/empty", "abc"]


def test_a_list_is_read_to_its_last_page(store: BlobStore, service: BlobService) -> None:
    for number in range(3 * PAGE + 1):
        service.put(f"nightly/a/{number:02}", b"")
    assert len(list(store.list("a"))) == 3 * PAGE + 1


def test_what_is_not_there_is_not_there(store: BlobStore) -> None:
    with pytest.raises(NotThereError, match="nightly/default/file: is not there"):
        store.fetch("default/file")
    assert not store.replace("default/file", b"", '"0x1"')
    assert list(store.list("default")) == []


def test_of_several_who_create_a_file_one_does(store: BlobStore) -> None:
    store_promises.of_several_who_create_a_file_one_does(store)


def test_only_the_version_that_was_read_is_replaced_and_deleted(store: BlobStore) -> None:
    store_promises.only_the_version_that_was_read_is_replaced_and_deleted(store)


def test_who_created_a_file_and_did_not_hear_of_it_has_created_it(store: BlobStore, service: BlobService) -> None:
    """The SDK asks again when an answer is lost, and is told that the file is there."""
    service.answers = [(0, "")]
    assert store.create("scope/lock.json", b"mine")
    version = store.fetch("scope/lock.json").version
    service.answers = [(0, "")]
    assert store.replace("scope/lock.json", b"mine still", version)
    assert [request.split()[0] for request in service.requests].count("PUT") == 4


def test_a_large_file_is_sent_in_blocks_and_there_when_the_last_has_come(
    store: BlobStore, service: BlobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = store._client._config  # noqa: SLF001 - so that a test needs no 64 MB
    monkeypatch.setattr(settings, "max_single_put_size", 1000)
    monkeypatch.setattr(settings, "max_block_size", 1000)
    monkeypatch.setattr(settings, "max_single_get_size", 1000)
    monkeypatch.setattr(settings, "max_chunk_get_size", 1000)
    data = bytes(range(256)) * 10
    service.answers = [None, None, None, (403, "AuthorizationPermissionMismatch")]
    with pytest.raises(StoreError, match="cannot be written"):
        store.put("large", data)
    assert service.blobs == {}
    store.put("large", data)
    assert service.blobs["nightly/large"].data == data
    assert store.fetch("large").data == data


def test_runs_are_kept_and_found(store: BlobStore, service: BlobService) -> None:
    draft = Draft(store, Place("prod", NOW))
    draft.add(REPORT, b"report")
    assert runs(store, "prod", pytest.fail) == []
    run = draft.finish(manifest(draft.place))
    assert runs(store, "prod", pytest.fail) == [run]
    shard = Draft(store, Place("prod", NOW, "2/8", "abc"))
    finished = shard.finish(manifest(shard.place))
    assert shards(store, "prod", NOW, pytest.fail) == [finished]
    assert f"nightly/prod/{NOW}/shards/2-of-8/abc/run.json" in service.blobs


def test_strange_names_are_passed_over_and_said(store: BlobStore, service: BlobService, said: list[str]) -> None:
    for name in ("a/../../x", "a//b", "a/two words", "a/<script>", "a/ok"):
        service.put(f"nightly/{name}", b"")
    assert [entry.name for entry in store.list("a")] == ["a/ok"]
    assert len(said) == 4
    with pytest.raises(StoreError, match="is no name"):
        store.put("../x", b"")


def test_a_huge_file_is_not_read(store: BlobStore, service: BlobService) -> None:
    service.put("nightly/huge", b"x" * 100)
    with pytest.raises(StoreError, match="larger than 99 bytes"):
        store.fetch("huge", 99)


def test_who_may_not_is_told_which_role_it_takes(service: BlobService, store: BlobStore) -> None:
    service.answers = [(403, "AuthorizationPermissionMismatch")]
    with pytest.raises(StoreError, match=r"a/b: cannot be written: .*PermissionMismatch.*Data Contributor"):
        store.put("a/b", b"")
    service.answers = [(403, "AuthorizationFailure")]
    with pytest.raises(StoreError, match=r"cannot be listed: .*AuthorizationFailure"):
        store.check()
    assert "a/b" not in service.blobs


def test_a_container_that_is_not_there_is_said(service: BlobService) -> None:
    with blob.blob_store(service.url + "s", "cli", "AzureCloud", pytest.fail) as store:
        for ask in (store.check, lambda: store.fetch("a"), lambda: store.delete("a"), lambda: store.put("a", b"")):
            with pytest.raises(StoreError, match=r"ContainerNotFound.*make the container first") as refused:
                ask()
            assert not isinstance(refused.value, NotThereError)


def test_nobody_who_is_not_signed_in_waits_for_a_scan(service: BlobService, tmp_path: Path) -> None:
    (tmp_path / "bin" / "az").write_text("#!/bin/sh\necho 'Please run az login' >&2\nexit 1\n", encoding="utf-8")
    with pytest.raises(SignInError, match="sign in with az login"):
        blob.blob_store(service.url, "cli", "AzureCloud", pytest.fail)
    assert service.requests == []


@pytest.mark.parametrize(
    ("place", "account", "container", "folder"),
    [
        ("https://acc.blob.core.windows.net/audits", "https://acc.blob.core.windows.net", "audits", ""),
        ("https://acc.blob.core.windows.net/audits/a/b/", "https://acc.blob.core.windows.net", "audits", "a/b"),
        ("https://acc.blob.core.chinacloudapi.cn/audits", "https://acc.blob.core.chinacloudapi.cn", "audits", ""),
        ("https://127.0.0.1:10000/acc/audits/a", "https://127.0.0.1:10000/acc", "audits", "a"),
        ("https://localhost:10000/acc/audits", "https://localhost:10000/acc", "audits", ""),
    ],
)
def test_an_address_names_account_container_and_folder(place: str, account: str, container: str, folder: str) -> None:
    assert blob.address(place) == (account, container, folder)


@pytest.mark.parametrize(
    "place",
    [
        "https://account.blob.core.windows.net",
        "https://account.blob.core.windows.net/AB",
        "https://account.blob.core.windows.net/a--b",
        "https://account.blob.core.windows.net/audits/a b",
        "https://account.blob.core.windows.net/audits/../x",
        "https:///audits",
    ],
)
def test_what_names_no_container_is_refused(place: str) -> None:
    with pytest.raises(StoreError, match="is no container; write it as https://ACCOUNT"):
        blob.address(place)


@pytest.mark.parametrize(
    "host",
    ["blobs.example", "acc.blob.core.windows.net.example", "acc.blob.core.windows.net:443@blobs.example", "192.0.2.7"],
)
def test_nobody_but_azure_storage_is_sent_a_token(host: str) -> None:
    with pytest.raises(StoreError, match=r"none else is sent a token|give the address alone"):
        blob.blob_store(f"https://{host}/audits", "cli", "AzureCloud", pytest.fail)


@pytest.mark.parametrize("place", [SIGNED, "https://user:c2VjcmV0@account.blob.core.windows.net/audits"])
def test_a_signature_in_an_address_is_refused_and_not_repeated(place: str) -> None:
    with pytest.raises(StoreError, match="without a signature") as refused:
        blob.address(place)
    assert "c2VjcmV0" not in str(refused.value)


def test_another_kind_of_address_is_no_store(tmp_path: Path) -> None:
    for place in ("s3://bucket/x", "http://account.blob.core.windows.net/audits", "abfss://c2@a.dfs.core.windows.net/"):
        with pytest.raises(StoreError, match="is no store; name a folder, or a container"):
            opened(place, None, "AzureCloud", pytest.fail)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="is a file; name a folder for --store"):
        opened(str(tmp_path / "file"), None, "AzureCloud", pytest.fail)


def test_without_the_sdk_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.storage.blob", None)
    with pytest.raises(StoreError, match=r"pip install 'aks-audit\[blob\]'"):
        opened("https://account.blob.core.windows.net/audits", "cli", "AzureCloud", pytest.fail)


def test_a_scan_keeps_its_run_in_a_container(service: BlobService, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("aks-audit")), "scan", "--demo", "--store", service.url]
    arguments = [*command, "--auth", "cli", "--scope", "prod", "--run", "first", "--format", "sarif"]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1, done.stderr
    names = ["aks-audit.json.gz", "aks-audit.sarif", "run.json", "snapshot.jsonl.gz"]
    assert sorted(service.blobs) == [f"prod/first/{name}" for name in names]
    assert "Traceback" not in done.stderr
    assert f"kept as prod/first in {service.url}" in done.stderr


def test_a_second_run_of_a_name_takes_the_place_of_the_first(store: BlobStore) -> None:
    keep_twice = [keep(store, Place("prod", NOW), scan=scan) for scan in ("one", "two")]
    assert runs(store, "prod", pytest.fail) == keep_twice[1:]
