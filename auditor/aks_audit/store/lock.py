"""The lock of a scope, or of one shard of it, in a store: two runs of it do not overlap.

Clocks of several machines differ and jump, so no time is compared. The holder writes its lock anew now and then, with a
counter; whoever waits looks whether it changes. A lock that did not change in so many looks was left by a process that
is no more, and is taken over. Each step depends on the version that was seen, so of several who try one succeeds; and
a holder that was taken for dead learns it by its next renewal, and when it asks before it writes.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Self

import msgspec

from aks_audit.errors import BusyError
from aks_audit.progress import Progress, event, now, one_line
from aks_audit.results import Record
from aks_audit.store.store import LARGEST_NOTE, NotThereError, Store, StoreError

SCHEMA = "aks-audit/lock/1"

BETWEEN_RENEWALS = 5.0
"""Seconds between two renewals, and between two looks of who waits."""

LOOKS = 12
"""A lock that was seen unchanged so many times in a row was left behind."""


class LockedError(BusyError):
    """Another process holds the lock; the message says which, since when, and what to do."""


class LockLostError(BusyError):
    """Another process took the lock over, so that nothing may be written."""


class Holder(Record, frozen=True):
    """What a lock says: which scan on which machine holds it, since when by its clock, and how often it was renewed."""

    schema: str
    scan: str
    host: str
    process: int
    since: str
    renewals: int

    def is_same(self, other: "Holder") -> bool:
        """Whether both are the same process."""
        return (self.scan, self.host, self.process) == (other.scan, other.host, other.process)

    @property
    def told(self) -> str:
        """The holder, for people."""
        where = f"process {self.process} on {one_line(self.host)}"
        return f"scan {one_line(self.scan)} ({where}, since {one_line(self.since)} by its clock)"


class Lock:
    """The lock of a scope or of a shard of it (`K/N`). As a context it is held, and renewed by a thread of its own.

    `wait` is the number of seconds to wait for one that is held; without it, it is an error as soon as the holder is
    seen to live. `lost` is called, by that thread, when another process took the lock over. `ended` says whether
    waiting is to end.
    """

    def __init__(  # noqa: PLR0913 - each is needed, and the last ones can stay as they are
        self,
        store: Store,
        scope: str,
        shard: str | None,
        progress: Progress,
        *,
        wait: float = 0,
        lost: Callable[[str], None] = lambda _reason: None,
        ended: Callable[[], bool] = lambda: False,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._progress, self._wait, self._lost, self._ended = store, progress, wait, lost, ended
        self._pause, self._clock = pause, clock
        self.name = f"{scope}/.lock-{shard.replace('/', '-of-') if shard else 'whole'}.json"
        self._what = f"shard {shard} of scope {scope}" if shard else f"scope {scope}"
        self._own = Holder(SCHEMA, progress.scan_id, socket.gethostname(), os.getpid(), now(), 0)
        self._version, self._turn, self._over = "", threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._renewing, name="lock", daemon=True)

    def __enter__(self) -> Self:
        self.acquire()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.release()

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            LockedError: another process holds it, and did so until the wait was over.
            StoreError: the store cannot be used.
        """
        began, seen, looks = self._clock(), "", 0
        while not self._store.create(self.name, _encoded(self._own)) and not self._is_own():
            held, version = self._look()
            if not version:
                continue  # it was given up just now
            if not seen:
                told = f"{self._what} is locked by {_told(held)}; it is looked at until it is known whether that lives"
                self._progress.note(event("lock-waiting", told))
            elif seen != version and self._clock() - began >= self._wait:
                told = f"{self._what} is locked by {_told(held)}, which lives"
                raise LockedError(f"{told}; let it end, or wait for it with --wait SECONDS")
            seen, looks = version, looks + 1 if seen == version else 1
            if looks >= LOOKS and self._taken_over(held, version):
                break
            if self._ended():
                raise LockedError(f"{self._what} was locked by {_told(held)} until this run was interrupted")
            self._pause(BETWEEN_RENEWALS)
        if not self._is_own():
            raise LockedError(f"{self._what} was locked by another run at the same moment; run this again")
        self._progress.record(event("lock-taken", f"locked {self._what}"))

    def renew(self) -> bool:
        """Show that the holder lives; whether it holds the lock still, which is assumed while no store answers."""
        with self._turn:
            self._own = msgspec.structs.replace(self._own, renewals=self._own.renewals + 1)
            try:
                self._store.replace(self.name, _encoded(self._own), self._version)
                return self._is_own()
            except StoreError as problem:
                self._progress.warn(
                    f"the lock of {self._what} could not be renewed, and will be tried again: {problem}"
                )
                return True

    def must_hold(self) -> None:
        """Make sure that nobody took the lock over, before something is written.

        Raises:
            LockLostError: somebody did.
        """
        if not self.renew():
            raise LockLostError(self._gone())

    def release(self) -> None:
        """Give the lock up, where it is still held."""
        with self._turn:
            try:
                if self._is_own():
                    self._store.delete(self.name, self._version)
            except StoreError as problem:
                self._progress.warn(f"the lock of {self._what} stays behind, and the next run takes it over: {problem}")

    def _renewing(self) -> None:
        while not self._over.wait(BETWEEN_RENEWALS):
            if not self.renew():
                self._progress.warn(event("lock-lost", self._gone()))
                self._lost(self._gone())
                return

    def _taken_over(self, held: Holder | None, version: str) -> bool:
        """Whether a lock that was left behind is ours now, and not that of another who saw it, too."""
        if not self._store.replace(self.name, _encoded(self._own), version):
            return False
        told = f"took over the lock of {self._what} from {_told(held)}, which did not renew it"
        self._progress.warn(event("lock-taken-over", told))
        return True

    def _is_own(self) -> bool:
        """Whether the lock is this process's. Its version is learned anew: an answer may have been lost on its way."""
        held, version = self._look()
        own = held is not None and held.is_same(self._own)
        if own:
            self._version = version
        return own

    def _look(self) -> tuple[Holder | None, str]:
        """Who holds the lock, None where it is damaged, and its version, empty where it is not there."""
        try:
            found = self._store.fetch(self.name, LARGEST_NOTE)
        except NotThereError:
            return None, ""
        try:
            return msgspec.json.decode(found.data, type=Holder), found.version
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None, found.version

    def _gone(self) -> str:
        return f"another run took over the lock of {self._what}, so this one writes nothing more; run it again"


def _told(held: Holder | None) -> str:
    return held.told if held else "a process that cannot be read from it"


def _encoded(holder: Holder) -> bytes:
    return msgspec.json.encode(holder) + b"\n"
