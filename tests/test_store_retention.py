"""What of a store ends with --keep: old runs and what was never finished, and nothing else."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from aks_audit.store import retention
from aks_audit.store.directory import DirectoryStore
from aks_audit.store.runs import MANIFEST, SNAPSHOT, Draft, Place, Run
from test_store_runs import keep

DAY = timedelta(days=1).total_seconds()


def aged(folder: Path, days: float) -> None:
    """Have everything in a folder written so many days ago."""
    for path in folder.rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime - days * DAY
            os.utime(path, (then, then))


def run(store: DirectoryStore, name: str, days: float = 0, *, complete: bool = True) -> Run:
    """A run of so many days ago."""
    kept = keep(store, Place("default", name), complete=complete)
    aged(Path(store.place) / "default" / name, days)
    return kept


def there(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "default").iterdir())


def test_runs_that_are_older_end_and_others_stay(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    run(store, "a", 31)
    run(store, "b", 30.5)
    run(store, "c", 29)
    newest = run(store, "d")
    keep(store, Place("other", "a"))
    aged(tmp_path / "other", 1000)
    assert retention.prune(store, newest, 30, pytest.fail) == ["default/a", "default/b"]
    assert there(tmp_path) == ["c", "d"]
    assert (tmp_path / "other" / "a" / MANIFEST).exists()


def test_the_last_complete_run_stays_with_its_shards_whatever_its_age(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    run(store, "a", 900)
    run(store, "b", 800)
    keep(store, Place("default", "b", "1/2", "scan"))
    keep(store, Place("default", "c", "1/2", "scan"))
    aged(tmp_path / "default" / "b" / "shards", 800)
    aged(tmp_path / "default" / "c", 700)
    newest = run(store, "d", complete=False)
    assert sorted(retention.prune(store, newest, 30, pytest.fail)) == ["default/a", "default/c/shards/1-of-2/scan"]
    assert there(tmp_path) == ["b", "d"]
    assert (tmp_path / "default" / "b" / "shards" / "1-of-2" / "scan" / MANIFEST).exists()


def test_what_was_never_finished_ends_once_it_is_stale(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for name in ("stale", "fresh"):
        Draft(store, Place("default", name)).add(SNAPSHOT, b"")
        (tmp_path / "default" / name / ".aks-audit.html.x1y2.part").touch()
    aged(tmp_path / "default" / "stale", 31)
    newest = run(store, "z")
    assert retention.prune(store, newest, 30, pytest.fail) == ["default/stale"]
    assert there(tmp_path) == ["fresh", "z"]


def test_what_is_none_of_ours_stays(tmp_path: Path) -> None:
    """A folder of somebody else, a file in a run's folder, a manifest that nobody understands, and what links name."""
    store = DirectoryStore(tmp_path / "store")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / SNAPSHOT).touch()
    run(store, "a")
    run(store, "damaged")
    folder = tmp_path / "store" / "default"
    (folder / "damaged" / MANIFEST).write_text("{", encoding="utf-8")
    store.put("default/photos/cat.jpeg", b"")
    store.put("default/a/notes.txt", b"")
    (folder / "link").symlink_to(outside)
    aged(tmp_path / "store", 1000)
    said: list[str] = []
    assert retention.prune(store, run(store, "z"), 30, said.append) == ["default/a"]
    assert there(tmp_path / "store") == ["a", "damaged", "link", "photos", "z"]
    assert [path.name for path in (folder / "a").iterdir()] == ["notes.txt"]
    assert len(list((folder / "damaged").iterdir())) == 2
    assert list(outside.iterdir()) == [outside / SNAPSHOT]
    assert any("damaged" in line for line in said)


def test_a_clock_that_jumped_ends_nothing(tmp_path: Path) -> None:
    """Age counts between two writings by the store's own clock; what a run says of its time is not asked."""
    store = DirectoryStore(tmp_path)
    run(store, "a")
    newest = keep(store, Place("default", "b"), finished="2099-01-01T00:00:00Z")
    assert retention.prune(store, newest, 1, pytest.fail) == []
    aged(tmp_path / "default" / "b", 5000)
    assert retention.prune(store, newest, 1, pytest.fail) == []


def test_a_clock_that_was_ahead_once_leaves_the_next_run_its_baseline(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    run(store, "2026a", 90)
    run(store, "2026b", 80)
    run(store, "2099", 70)
    newest = run(store, "2026c", complete=False)
    assert retention.prune(store, newest, 30, pytest.fail) == ["default/2026a"]
    assert there(tmp_path) == ["2026b", "2026c", "2099"]


def test_the_manifest_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that who is killed on the way leaves no run whose files are gone."""
    store = DirectoryStore(tmp_path)
    run(store, "a", 31)
    newest = run(store, "b")
    deleted: list[str] = []
    monkeypatch.setattr(store, "delete", deleted.append)
    retention.prune(store, newest, 30, pytest.fail)
    assert deleted == ["default/a/run.json", "default/a/aks-audit.json.gz"]
