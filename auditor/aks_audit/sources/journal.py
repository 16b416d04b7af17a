"""The journal of a collection: what was read, a line each, while the rest is still being read.

A run that ended in the middle leaves it behind, and the next one can take from it what is fresh. A line is what one
read gave to its end: a list, a resource, or the inside of a cluster, with the time at which the read began. What had a
gap is not in it, and is read again.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Protocol

import msgspec

from aks_audit import __version__
from aks_audit.errors import AuditError, BusyError
from aks_audit.progress import Progress, event, one_line
from aks_audit.results import ENOUGH
from aks_audit.snapshot import Collected, Gap, Packed, Record, Resource, packed

SCHEMA = "aks-audit/journal/1"
SUFFIX = ".partial"
"""How the journal of a file is called: as the file, and this."""

BETWEEN_SYNCS = 5.0
"""After so many seconds what was written is made to reach the disk; so much is lost when a machine loses its power."""

TIME = "%Y-%m-%dT%H:%M:%SZ"


class JournalError(AuditError):
    """A journal that cannot be written."""


class CollectingError(BusyError):
    """A journal that another process is writing."""


class Unit(msgspec.Struct, frozen=True):
    """What one read gave to its end. `key` tells it from all others, `by` which aks-audit read which cloud."""

    by: str
    key: str
    read: Annotated[datetime, msgspec.Meta(tz=True)]
    records: list[msgspec.Raw]


_units: msgspec.json.Decoder[Unit] = msgspec.json.Decoder(Unit)
_records: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_encoder = msgspec.json.Encoder(order="deterministic")
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Kept(Protocol):
    """Where the lines of a journal are kept."""

    place: str
    """What people call it."""

    def lines(self) -> Iterator[bytes]:
        """The lines that are left of earlier runs; the last one may be cut off."""
        ...

    def append(self, line: bytes) -> None:
        """Keep a line, with its end. A failure is an OSError or an AuditError."""
        ...

    def clear(self) -> None:
        """Forget all lines."""
        ...

    def close(self) -> None:
        """Let go of the place; lines stay where they were not cleared."""
        ...


class Journal:
    """The journal of one collection from a cloud. `max_age`: what was read within that time is not read again.

    What is dated in the future is not fresh: a clock has jumped.
    """

    def __init__(
        self,
        kept: Kept,
        cloud: str,
        progress: Progress,
        max_age: timedelta | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kept, self._progress, self._clock = kept, progress, clock
        self._by = f"{SCHEMA} aks-audit {__version__} {cloud.rstrip('/').lower()}"
        self._fresh: dict[str, tuple[datetime, bytes]] = {}
        self._writing, self._holds = True, False
        self.since: str | None = None
        """When the earliest of what was taken from it was read, None where nothing was."""
        self._left(max_age)

    def take(self, key: str) -> list[Record] | None:
        """What a read gave earlier, where that is fresh."""
        return None if (found := self._taken(key)) is None else [record for record, _ in found]

    def take_packed(self, key: str) -> list[Collected] | None:
        """What a read gave earlier, where that is fresh, with resources as they were packed."""
        return None if (found := self._taken(key)) is None else [_packed(*one) for one in found]

    def now(self) -> datetime:
        """When a read begins, for `add`."""
        return self._clock()

    def add(self, key: str, began: datetime, records: Sequence[Collected]) -> None:
        """Keep what a read gave that began then, unless something of it is missing."""
        if self._writing and not any(isinstance(one, Gap) and one.cause not in ENOUGH for one in records):
            raw = [msgspec.Raw(one.line if isinstance(one, Packed) else _encoder.encode(one)) for one in records]
            self._append(_encoder.encode(Unit(self._by, key, began, raw)))

    def end(self, *, complete: bool) -> None:
        """Let go of the journal: nothing of it is needed where the collection is complete."""
        try:
            if complete:
                self._kept.clear()
            self._kept.close()
        except (OSError, AuditError) as problem:
            self._progress.warn(f"{self._kept.place}: the journal stays as it is: {one_line(str(problem))}")
        if self._holds and not complete:
            told = f"{self._kept.place} keeps what was read; the same again with --max-age 6h reads only the rest"
            self._progress.note(event("journal-left", told))

    def _left(self, max_age: timedelta | None) -> None:
        """Find out what is left of an earlier run, and say what becomes of it."""
        now, there = self._clock(), 0
        for line in self._kept.lines():
            try:
                found = _units.decode(line)
            except _UNDECODABLE:
                continue  # cut off when its writer ended
            there += 1
            if max_age is not None and found.by == self._by and timedelta() <= now - found.read <= max_age:
                self._remember(found, line)
        self._holds = bool(self._fresh)
        if self._fresh:
            told = f"{len(self._fresh):,} of {there:,} reads are fresh, and are not made again"
            self._progress.note(event("resumed", f"{self._kept.place}: {told}", fresh=len(self._fresh), reads=there))
        else:
            self._kept.clear()
        if there and not self._fresh:
            why = "none of it is fresh" if max_age else "without --max-age nothing of it is taken"
            told = f"{self._kept.place}: an earlier run left {there:,} reads; {why}, and it is removed"
            self._progress.note(event("journal-left", told, reads=there))

    def _remember(self, unit: Unit, line: bytes) -> None:
        known = self._fresh.get(unit.key)
        if known is None or known[0] < unit.read:
            self._fresh[unit.key] = (unit.read, line)

    def _taken(self, key: str) -> list[tuple[Record, bytes]] | None:
        """The records of a read with their lines; None where it is not fresh, or is damaged."""
        if key not in self._fresh:
            return None
        read, line = self._fresh.pop(key)
        try:
            found = [(_records.decode(raw), bytes(raw)) for raw in _units.decode(line).records]
        except _UNDECODABLE:
            return None
        at = read.astimezone(UTC).strftime(TIME)
        self.since = min(at, self.since or at)
        return found

    def _append(self, line: bytes) -> None:
        """Write a line; where that fails, reading goes on without a journal."""
        try:
            self._kept.append(line + b"\n")
            self._holds = True
        except (OSError, AuditError) as problem:
            self._writing = False
            self._progress.warn(f"{self._kept.place}: no journal is kept from here on: {one_line(str(problem))}")


class JournalFile:
    """A journal that is a file, which one process alone has open; it is gone where it was cleared."""

    def __init__(self, path: Path) -> None:
        self.place, self._path = str(path), path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
            self._handle = os.open(path, flags, 0o600)
        except OSError as problem:
            reason = problem.strerror or problem
            raise JournalError(f"{path}: the journal cannot be written ({reason}); name another place") from None
        self._synced = time.monotonic()
        self._lock()
        size = os.fstat(self._handle).st_size
        if size and os.pread(self._handle, 1, size - 1) != b"\n":
            os.write(self._handle, b"\n")  # its writer ended within a line

    def lines(self) -> Iterator[bytes]:
        """The lines that are left."""
        with self._path.open("rb") as file:
            yield from file

    def append(self, line: bytes) -> None:
        """Write a line after the others."""
        while line:
            line = line[os.write(self._handle, line) :]
        if time.monotonic() - self._synced >= BETWEEN_SYNCS:
            os.fsync(self._handle)
            self._synced = time.monotonic()

    def clear(self) -> None:
        """Empty the file."""
        os.ftruncate(self._handle, 0)

    def close(self) -> None:
        """Close the file, and remove it where it is empty."""
        if self._handle < 0:
            return
        if not os.fstat(self._handle).st_size:
            self._path.unlink(missing_ok=True)
        else:
            os.fsync(self._handle)
        os.close(self._handle)
        self._handle = -1

    def _lock(self) -> None:
        """Keep others out. The lock goes with the process, however that ends."""
        if sys.platform == "win32":
            return
        import fcntl  # noqa: PLC0415 - is not there on Windows

        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            target = str(self._path).removesuffix(SUFFIX)
            told = f"{target}: another aks-audit is collecting into it"
            raise CollectingError(f"{told}; let it end, or name another file") from None


def begin(path: Path, cloud: str, progress: Progress, max_age: timedelta | None) -> Journal:
    """The journal beside a snapshot that is to be written.

    Raises:
        JournalError: it cannot be written, or another process is writing it.
    """
    return Journal(JournalFile(path.with_name(path.name + SUFFIX)), cloud, progress, max_age)


def key_of(what: str, *parts: str) -> str:
    """The key of a read: what it is, and what tells it from others of its kind, compared without case."""
    return "\n".join((what, *(part.lower() for part in parts)))


def _packed(record: Record, line: bytes) -> Collected:
    return packed(record, line) if isinstance(record, Resource) else record
