"""The lock of a scope: one run at a time, held by who renews it, and taken over from who does not."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from aks_audit.progress import Progress
from aks_audit.store.directory import DirectoryStore
from aks_audit.store.lock import LOOKS, Lock, LockedError, LockLostError
from aks_audit.store.store import StoreError
from cases import Case, records_of
from jobs import Job, events, lines_of
from live import run
from resource_manager import Fault, Hang, ResourceManager

BASE = Case(name="", expect="")
STORE = ("scan", "--store", "store", "--format", "json")
AS = ("--auth", "cli")
JSON = ("--log-format", "json")
HANGS = Fault("routeTables", Hang(600), times=None)


class Clock:
    """A clock that moves where somebody pauses; `then` happens in each pause."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.now, self.pauses, self._then = 0.0, 0, then

    def pause(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds
        self.pauses += 1
        self._then()

    def read(self) -> float:
        """The time in seconds."""
        return self.now


def lock(folder: Path, clock: Clock | None = None, shard: str | None = None, *, wait: float = 0) -> Lock:
    clock = clock or Clock()
    store = DirectoryStore(folder)
    return Lock(store, "prod", shard, Progress(quiet=True), wait=wait, pause=clock.pause, clock=clock.read)


def test_of_two_one_holds_it_and_the_other_is_told_whom(tmp_path: Path) -> None:
    holder = lock(tmp_path)
    holder.acquire()
    clock = Clock(holder.renew)
    with pytest.raises(LockedError, match=r"scope prod is locked by scan [-0-9a-f]{36} \(process \d+ on .*, since 20"):
        lock(tmp_path, clock).acquire()
    assert clock.pauses == 1
    holder.release()
    lock(tmp_path).acquire()


def test_who_waits_gets_it_when_it_is_given_up(tmp_path: Path) -> None:
    holder = lock(tmp_path)
    holder.acquire()
    clock = Clock(lambda: holder.renew() if clock.pauses < 30 else holder.release())
    waiting = lock(tmp_path, clock, wait=600)
    waiting.acquire()
    assert clock.pauses == 30
    waiting.must_hold()


def test_who_waits_does_not_wait_for_ever(tmp_path: Path) -> None:
    holder = lock(tmp_path)
    holder.acquire()
    clock = Clock(holder.renew)
    with pytest.raises(LockedError, match="which lives"):
        lock(tmp_path, clock, wait=60).acquire()
    assert clock.now == 60


def test_who_waits_ends_with_a_signal(tmp_path: Path) -> None:
    lock(tmp_path).acquire()
    waiting = Lock(DirectoryStore(tmp_path), "prod", None, Progress(quiet=True), wait=600, ended=lambda: True)
    with pytest.raises(LockedError, match="until this run was interrupted"):
        waiting.acquire()


def test_what_was_left_behind_is_taken_over_after_so_many_looks_and_its_holder_learns_it(tmp_path: Path) -> None:
    dead = lock(tmp_path)
    dead.acquire()
    clock = Clock()
    living = lock(tmp_path, clock)
    living.acquire()
    assert clock.pauses == LOOKS - 1
    assert not dead.renew()
    with pytest.raises(LockLostError, match="another run took over the lock of scope prod"):
        dead.must_hold()
    dead.release()
    living.must_hold()


def test_no_clock_of_the_wall_decides(tmp_path: Path) -> None:
    holder = lock(tmp_path)
    holder.acquire()
    (path,) = (tmp_path / "prod").iterdir()
    told = json.loads(path.read_bytes())
    for since in ("1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "yesterday"):
        path.write_text(json.dumps({**told, "since": since}), encoding="utf-8")
        assert holder.renew()  # a version that is not its own any more is still its own lock
        with pytest.raises(LockedError):
            lock(tmp_path, Clock(holder.renew)).acquire()


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b'{"scan": 1}', b"[]" * 1000])
def test_a_damaged_lock_is_taken_over_as_any(damage: bytes, tmp_path: Path) -> None:
    holder = lock(tmp_path)
    holder.acquire()
    (path,) = (tmp_path / "prod").iterdir()
    path.write_bytes(damage)
    clock = Clock()
    lock(tmp_path, clock).acquire()
    assert clock.pauses == LOOKS - 1


def test_of_two_who_take_it_over_at_once_one_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock(tmp_path).acquire()
    first, second, replace = lock(tmp_path), lock(tmp_path), DirectoryStore.replace

    def overtaken(store: DirectoryStore, name: str, data: bytes, version: str) -> bool:
        """The other one is a moment faster."""
        monkeypatch.setattr(DirectoryStore, "replace", replace)
        first.acquire()
        return replace(store, name, data, version)

    monkeypatch.setattr(DirectoryStore, "replace", overtaken)
    with pytest.raises(LockedError, match="which lives"):
        second.acquire()
    first.must_hold()


def test_shards_and_scopes_have_locks_of_their_own(tmp_path: Path) -> None:
    for shard in (None, "1/2", "2/2"):
        lock(tmp_path, shard=shard).acquire()
    path = tmp_path / lock(tmp_path, shard="1/2").name
    second = lock(tmp_path, Clock(lambda: _touched(path)), shard="1/2")
    with pytest.raises(LockedError, match="shard 1/2 of scope prod"):
        second.acquire()


def _touched(path: Path) -> None:
    told = json.loads(path.read_bytes())
    path.write_text(json.dumps({**told, "renewals": told["renewals"] + 1}), encoding="utf-8")


def test_a_store_that_does_not_answer_for_a_while_takes_no_lock_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = lock(tmp_path)
    holder.acquire()

    def away(*_: object) -> None:
        raise StoreError("away")

    with monkeypatch.context() as broken:
        broken.setattr(DirectoryStore, "replace", away)
        assert holder.renew()
    assert holder.renew()


def test_a_thread_renews_it_as_long_as_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aks_audit.store.lock.BETWEEN_RENEWALS", 0.01)
    with lock(tmp_path) as held:
        path = tmp_path / held.name
        while json.loads(path.read_bytes())["renewals"] < 3:
            pass
    assert not path.exists()


def test_two_runs_of_a_scope_do_not_overlap_and_a_shard_of_it_may(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE), faults=[HANGS]) as server:
        with Job(server, tmp_path, *STORE, *AS, *JSON) as first:
            first.wait_until((tmp_path / "store" / "default" / ".lock-whole.json").exists)
            second = run(server, tmp_path, "scan", "--demo", *STORE[1:], *JSON)
            other = run(server, tmp_path, "scan", "--demo", *STORE[1:], "--scope", "other", *JSON)
            first.send(signal.SIGTERM)
            done = first.done()
        third = run(server, tmp_path, "scan", "--demo", *STORE[1:], *JSON)
    holder = lines_of(done.err)[0]["scan"]
    assert second.code == 4
    assert f"locked by scan {holder}" in second.err
    assert "--wait SECONDS" in second.err
    assert events(second)[-2:] == ["error", "finished"]
    assert other.code in {1, 3}
    assert third.code in {1, 3}
    assert len(list((tmp_path / "store" / "default").iterdir())) == 3  # two runs, and the journal of the first


def test_a_run_that_waits_begins_when_the_other_has_ended(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE), faults=[HANGS]) as server, Job(server, tmp_path, *STORE, *AS) as first:
        first.wait_until((tmp_path / "store" / "default" / ".lock-whole.json").exists)
        with Job(server, tmp_path, "scan", "--demo", *STORE[1:], "--wait", "600", "--heartbeat-file", "beat") as second:
            second.wait_until(lambda: "waiting" in _phase(tmp_path / "beat"))
            first.send(signal.SIGTERM)
            first.done()
            assert second.done().code in {1, 3}


def _phase(beat: Path) -> str:
    return json.loads(beat.read_bytes())["phase"] if beat.exists() else ""


def test_a_run_whose_lock_was_taken_over_reads_no_further_and_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "store" / "default" / ".lock-whole.json"
    with ResourceManager(records_of(BASE), faults=[HANGS]) as server, Job(server, tmp_path, *STORE, *AS, *JSON) as job:
        job.wait_until(path.exists)
        job.wait_until(lambda: _taken_over(DirectoryStore(tmp_path / "store"), "default/.lock-whole.json"))
        done = job.done()
    assert done.code == 4, done.err
    assert "lock-lost" in events(done)
    assert not list((tmp_path / "store").rglob("run.json"))
    assert json.loads(path.read_bytes())["scan"] == "of another"


def _taken_over(store: DirectoryStore, name: str) -> bool:
    """Whether another run has the lock now, and its holder did not renew it at the same moment."""
    held = store.fetch(name)
    other = {**json.loads(held.data), "scan": "of another", "process": 1}
    return store.replace(name, json.dumps(other).encode(), held.version)


def test_to_wait_without_a_store_is_refused(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE)) as server:
        done = run(server, tmp_path, "scan", "--demo", "--wait", "5")
    assert done.code == 2
    assert "--wait is of runs that are kept" in done.err
