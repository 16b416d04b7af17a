"""The store in a folder: files are there whole or not at all, and nothing leads out of it."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

import store_promises
from aks_audit import snapshot
from aks_audit.store.directory import DirectoryStore
from aks_audit.store.store import UNFINISHED, NotThereError, StoreError, is_name


def store_in(folder: Path) -> tuple[DirectoryStore, list[str]]:
    said: list[str] = []
    return DirectoryStore(folder, said.append), said


def names(store: DirectoryStore, folder: str = "") -> list[str]:
    return [entry.name for entry in store.list(folder)]


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_that_was_put_is_fetched_listed_and_deleted(tmp_path: Path) -> None:
    store, said = store_in(tmp_path / "new")
    store.put("a/b/file.json", b"one")
    store.put("a/b/file.json", b"two")
    store.put("a/other", b"")
    assert store.fetch("a/b/file.json").data == b"two"
    assert [(entry.name, entry.size) for entry in store.list("a")] == [("a/b/file.json", 3), ("a/other", 0)]
    assert store.delete("a/b/file.json")
    assert not store.delete("a/b/file.json")
    assert names(store) == ["a/other"]
    assert not (tmp_path / "new" / "a" / "b").exists()
    assert not said


def test_what_is_not_there_is_not_there(tmp_path: Path) -> None:
    store, _ = store_in(tmp_path / "none")
    assert names(store) == []
    assert names(store, "default") == []
    assert not store.delete("default/file")
    assert not store.replace("default/file", b"", "any")
    with pytest.raises(NotThereError, match="is not there"):
        store.fetch("default/file")


def test_of_several_who_create_a_file_one_does(tmp_path: Path) -> None:
    store, _ = store_in(tmp_path)
    store_promises.of_several_who_create_a_file_one_does(store)


def test_a_file_is_created_where_the_file_system_has_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    store, _ = store_in(tmp_path)
    store_promises.of_several_who_create_a_file_one_does(store)


def test_only_the_version_that_was_read_is_replaced_and_deleted(tmp_path: Path) -> None:
    store, _ = store_in(tmp_path)
    store_promises.only_the_version_that_was_read_is_replaced_and_deleted(store)


@pytest.mark.parametrize(
    "name", ["", "..", "a/../b", "/etc/passwd", "a//b", "a/", "a\\b", "a b", "ä", "a\n", "x" * 201]
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    store, _ = store_in(tmp_path / "store")
    assert not is_name(name)
    for call in (store.fetch, store.delete, lambda name: store.put(name, b""), lambda name: store.create(name, b"")):
        with pytest.raises(StoreError, match="is no name"):
            call(name)
    assert list(tmp_path.iterdir()) == []


def test_links_and_strange_names_are_passed_over_and_said(tmp_path: Path) -> None:
    store, said = store_in(tmp_path / "store")
    store.put("default/good", b"")
    folder = tmp_path / "store" / "default"
    (tmp_path / "secret").write_text("no", encoding="utf-8")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to(folder)
    (folder / "with\nline\x1b[2J").touch()
    os.mkfifo(folder / "pipe")
    assert names(store) == ["default/good"]
    assert len(said) == 4
    assert not any("\n" in line or "\x1b" in line for line in said)
    for name in ("link", "pipe"):
        with pytest.raises(StoreError, match="is no file"):
            store.fetch(f"default/{name}")


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    store, _ = store_in(tmp_path / "store")
    store.put("default/good", b"")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    (tmp_path / "store" / "away").symlink_to(outside)
    for call in (store.delete, store.fetch, lambda name: store.put(name, b""), lambda name: store.create(name, b"")):
        with pytest.raises(StoreError, match="is a link"):
            call("away/precious")
    (tmp_path / "store" / ".guard").unlink(missing_ok=True)
    (tmp_path / "store" / ".guard").symlink_to(outside / "made")
    with pytest.raises(StoreError, match="cannot be deleted"):
        store.delete("default/good")
    assert files(outside) == ["precious"]


def test_a_file_system_that_lets_nobody_change_modes_takes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")  # as a share of SMB does

    monkeypatch.setattr(Path, "chmod", refuse)
    store, _ = store_in(tmp_path)
    store.put("default/file", b"one")
    assert store.create("default/lock", b"mine")
    assert store.fetch("default/file").data == b"one"
    snapshot.write_atomically(tmp_path / "report", b"two")
    assert (tmp_path / "report").read_bytes() == b"two"


def test_folders_that_go_deeper_than_ours_are_passed_over(tmp_path: Path) -> None:
    store, said = store_in(tmp_path)
    (tmp_path / "/".join("d" * 40)).mkdir(parents=True)
    assert names(store) == []
    assert len(said) == 1


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    store, _ = store_in(tmp_path)
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**31 + 1)
    with pytest.raises(StoreError, match=r"larger than 2,147,483,648 bytes"):
        store.fetch("huge")
    store.put("small", b"12345")
    with pytest.raises(StoreError, match="larger than 4 bytes"):
        store.fetch("small", 4)


def test_a_full_disk_is_said_and_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = store_in(tmp_path)
    store.put("default/file", b"before")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in (store.put, store.create):
        with pytest.raises(StoreError, match=r"default/file: cannot be written \(No space left on device\); make room"):
            write("default/file", b"after")
    with pytest.raises(StoreError, match="No space left"):
        store.replace("default/file", b"after", store.fetch("default/file").version)
    assert files(tmp_path) == [".guard", "default/file"]
    assert store.fetch("default/file").data == b"before"


def test_a_reader_sees_no_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a kill between the writing and the naming: the old file, and a leftover that says what it is."""
    store, _ = store_in(tmp_path)
    store.put("default/file", b"before")

    def killed(*_: object, **__: object) -> Any:  # noqa: ANN401 - never returns
        raise SystemExit

    monkeypatch.setattr(Path, "replace", killed)
    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(SystemExit):
        store.put("default/file", b"after")
    left, there = names(store)
    assert left.startswith("default/.file.")
    assert left.endswith(UNFINISHED)
    assert there == "default/file"
    assert store.fetch("default/file").data == b"before"


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store, _ = store_in(tmp_path / "file")
    with pytest.raises(StoreError, match=r"cannot be written \((Not a directory|File exists)\)"):
        store.put("default/file", b"")
