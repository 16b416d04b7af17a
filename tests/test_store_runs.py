"""How runs are laid out in a store: a run is there when its manifest is, and what is damaged is passed over."""

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from aks_audit.store import runs
from aks_audit.store.directory import DirectoryStore
from aks_audit.store.runs import MANIFEST, REPORT, SCHEMA, SNAPSHOT, Draft, Manifest, Place
from aks_audit.store.store import NotThereError, Store, StoreError

BEFORE, LAST, NOW = "20261120T020000Z", "20261121T020000Z", "20261122T020000Z"


def manifest(place: Place, **more: Any) -> Manifest:  # noqa: ANN401 - any field of it
    start = "2026-11-22T02:00:00Z"
    told = {"scan": place.scan or "one", "complete": True, "finished": "2026-11-22T02:03:00Z", **more}
    return Manifest(
        SCHEMA, place.scope, place.run, shard=place.shard, tool="1", started=start, exit_code=0, files=(), **told
    )


def keep(store: Store, place: Place, report: bytes = b"{}", **more: Any) -> runs.Run:  # noqa: ANN401 - as above
    draft = Draft(store, place)
    draft.add(REPORT, gzip.compress(report, mtime=0))
    return draft.finish(manifest(place, **more))


def kept(store: DirectoryStore, scope: str = "default") -> tuple[list[str], list[str]]:
    said: list[str] = []
    return [run.place.run for run in runs.runs(store, scope, said.append)], said


def test_a_run_is_there_once_it_has_its_manifest(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    draft = Draft(store, Place("prod", NOW))
    draft.add(SNAPSHOT, b"snapshot")
    draft.add(REPORT, b"report")
    assert kept(store, "prod") == ([], [])
    assert runs.scopes(store) == []
    written = draft.finish(manifest(draft.place))
    assert runs.runs(store, "prod", pytest.fail) == [written]
    assert runs.scopes(store) == ["prod"]
    assert runs.fetch(store, written, SNAPSHOT) == b"snapshot"
    assert sorted(path.name for path in (tmp_path / "prod" / NOW).iterdir()) == [REPORT, MANIFEST, SNAPSHOT]


def test_the_manifest_says_what_a_run_is(tmp_path: Path) -> None:
    keep(DirectoryStore(tmp_path), Place("prod", NOW), b"")
    told = json.loads((tmp_path / "prod" / NOW / MANIFEST).read_bytes())
    empty = "f61f27bd17de546264aa58f40f3aafaac7021e0ef69c17f6b1b4cd7664a037ec"
    assert told == {
        "schema": "aks-audit/run/1",
        "scope": "prod",
        "run": NOW,
        "scan": "one",
        "shard": None,
        "tool": "1",
        "started": "2026-11-22T02:00:00Z",
        "finished": "2026-11-22T02:03:00Z",
        "complete": True,
        "exitCode": 0,
        "files": [{"name": "aks-audit.json.gz", "size": 20, "sha256": empty}],
        "shards": [],
    }


def test_a_run_of_the_same_name_takes_the_place_of_the_first(tmp_path: Path) -> None:
    store, place = DirectoryStore(tmp_path), Place("prod", NOW)
    draft = Draft(store, place)
    draft.add("aks-audit.html", b"page")
    draft.finish(manifest(place))
    second = Draft(store, place)
    second.add(REPORT, b"second")
    assert kept(store, "prod") == ([], [])  # neither is whole
    second.finish(manifest(place, scan="two"))
    assert [run.manifest.scan for run in runs.runs(store, "prod", pytest.fail)] == ["two"]
    assert not (tmp_path / "prod" / NOW / "aks-audit.html").exists()


def test_runs_of_shards_are_not_runs_and_stand_by_their_ends(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    first, again, other = (
        Place("prod", NOW, shard, scan) for shard, scan in (("1/8", "b"), ("1/8", "a"), ("8/8", "c"))
    )
    keep(store, again, finished="2026-11-22T02:09:00Z")
    keep(store, first)
    keep(store, other, finished="2026-11-22T02:04:00Z")
    keep(store, Place("prod", NOW))
    assert first.folder == f"prod/{NOW}/shards/1-of-8/b"
    assert [run.place for run in runs.shards(store, "prod", NOW, pytest.fail)] == [first, other, again]
    assert kept(store, "prod") == ([NOW], [])


def test_the_baseline_is_the_last_complete_run_before_this_one(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    assert runs.last_complete(store, "default", NOW, pytest.fail) is None
    keep(store, Place("default", BEFORE))
    keep(store, Place("default", LAST), complete=False)
    keep(store, Place("default", NOW))
    keep(store, Place("other", LAST))
    found = runs.last_complete(store, "default", NOW, pytest.fail)
    assert found is not None
    assert found.place == Place("default", BEFORE)
    Draft(store, Place("default", LAST)).finish(manifest(Place("default", LAST)))
    assert runs.last_complete(store, "default", NOW, pytest.fail) == found  # the last has no report


def damaged(path: Path, **more: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **more}), encoding="utf-8")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"run": "other"}, "another run"),
        ({"scope": "other"}, "another run"),
        ({"shard": "1/2"}, "another run"),
        ({"schema": "aks-audit/run/2"}, "renew aks-audit"),
        ({"finished": "yesterday\x1b"}, "times"),
        ({"started": "2026-11-22T02:00:00"}, "times"),
        ({"finished": "9999-12-31T23:59:59-12:00"}, "times"),
        ({"files": [{"name": "../../../x", "size": 1, "sha256": ""}]}, r"names a file '../../../x'"),
        ({"files": [{"name": ".", "size": 1, "sha256": ""}]}, "names a file"),
        ({"files": 3}, "damaged"),
        ({"complete": "yes"}, "damaged"),
    ],
)
def test_a_wrong_manifest_is_passed_over_and_said(tmp_path: Path, wrong: dict[str, object], says: str) -> None:
    store = DirectoryStore(tmp_path)
    keep(store, Place("default", LAST))
    keep(store, Place("default", NOW))
    damaged(tmp_path / "default" / NOW / MANIFEST, **wrong)
    there, said = kept(store)
    assert there == [LAST]
    assert len(said) == 1
    assert says in said[0]
    assert "\x1b" not in said[0]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b"{}", b"null", b'{"schema": 1'])
def test_a_manifest_that_is_no_document_is_passed_over_and_said(tmp_path: Path, content: bytes) -> None:
    store = DirectoryStore(tmp_path)
    keep(store, Place("default", NOW))
    (tmp_path / "default" / NOW / MANIFEST).write_bytes(content)
    there, said = kept(store)
    assert there == []
    assert len(said) == 1
    assert "damaged" in said[0]
    keep(store, Place("default", NOW))  # and a later run takes its place
    assert kept(store) == ([NOW], [])


def test_a_huge_manifest_is_not_read(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    keep(store, Place("default", NOW))
    with (tmp_path / "default" / NOW / MANIFEST).open("r+b") as file:
        file.truncate(2**32)
    there, said = kept(store)
    assert there == []
    assert "4,294,967,296 bytes" in said[0]
    with pytest.raises(StoreError, match="larger than 1,048,576 bytes"):
        runs.at(store, Place("default", NOW), pytest.fail)


def test_foreign_files_are_no_runs(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for name in (MANIFEST, f"default/{MANIFEST}", f"a/b/c/{MANIFEST}", f"a/b/shards/x/{MANIFEST}", "default/lock.json"):
        store.put(name, b"{}")
    store.put(f"a/b/shards/9-of-8x/scan/{MANIFEST}", b"{}")
    assert kept(store) == ([], [])
    assert runs.scopes(store) == []
    assert runs.shards(store, "a", "b", pytest.fail) == []


def test_a_file_that_is_not_what_was_written_is_refused(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    run = keep(store, Place("default", NOW))
    with pytest.raises(NotThereError, match=r"has no aks-audit\.sarif"):
        runs.fetch(store, run, "aks-audit.sarif")
    store.put(f"default/{NOW}/{REPORT}", gzip.compress(b"[]", mtime=0))
    with pytest.raises(StoreError, match="is not what was written"):
        runs.fetch(store, run, REPORT)


def test_a_report_that_unpacks_without_end_or_not_at_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [*runs.lines(gzip.compress(b"{\n}"), "report")] == [b"{\n", b"}"]
    for wrong in (b"{}", gzip.compress(b"{}")[:-4], gzip.compress(b"{}") + b"{}", b"\x1f\x8b\x08" + b"x" * 99):
        with pytest.raises(StoreError, match="report: is damaged"):
            list(runs.lines(wrong, "report"))
    monkeypatch.setattr(runs, "LARGEST_LINE", 1000)
    with pytest.raises(StoreError, match="report: is larger than a report can be"):
        list(runs.lines(gzip.compress(b" " * 10_000), "report"))
    monkeypatch.setattr(runs, "LARGEST_REPORT", 1000)
    with pytest.raises(StoreError, match="report: is larger than a report can be"):
        list(runs.lines(gzip.compress(b" \n" * 10_000), "report"))


def test_names_of_runs_are_times_and_sort_by_them() -> None:
    local = timezone(timedelta(hours=2))
    assert runs.run_name(datetime(2026, 11, 22, 4, tzinfo=local)) == NOW
    assert runs.run_name(datetime(2026, 11, 21, 2, tzinfo=UTC)) < NOW


@pytest.mark.parametrize("name", ["", ".hidden", "..", "a/b", "shards", "a b"])
def test_scopes_and_runs_are_not_called_so(name: str) -> None:
    assert not runs.is_scope_or_run(name)
    assert runs.is_scope_or_run("prod-1_a.b")
