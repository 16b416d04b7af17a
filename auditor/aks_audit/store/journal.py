"""The journal of a collection in a store: pieces, each of them some lines, written while reading goes on."""

import threading
from collections.abc import Iterator

from aks_audit.progress import Progress
from aks_audit.store.store import Store, StoreError

BETWEEN_PIECES = 10.0
"""Seconds between two pieces; so much is read again where a process is killed."""

LARGEST_PIECE = 2**23
"""A piece that has so many bytes is written at once."""


class StoredJournal:
    """The journal of a scope, or of a shard of it (`K/N`), which one process writes: whoever holds the lock of that.

    A thread of its own writes, so that reading does not wait for a store.
    """

    def __init__(self, store: Store, scope: str, shard: str | None, progress: Progress) -> None:
        self._store, self._folder = store, f"{scope}/.journal/{shard.replace('/', '-of-') if shard else 'whole'}"
        self._scan = progress.scan_id
        self.place = f"{store.place}: {self._folder}"
        self._lines: list[bytes] = []
        self._size = self._pieces = 0
        self._failed = ""
        self._turn, self._writes = threading.Lock(), threading.Lock()
        self._due, self._over = threading.Event(), False
        self._thread = threading.Thread(target=self._writing, name="journal", daemon=True)
        self._thread.start()

    def lines(self) -> Iterator[bytes]:
        """The lines that are left."""
        for entry in list(self._store.list(self._folder)):
            yield from self._store.fetch(entry.name).data.splitlines()

    def append(self, line: bytes) -> None:
        """Have a line written with the next piece."""
        if self._failed:
            raise StoreError(self._failed)
        with self._turn:
            self._lines.append(line)
            self._size += len(line)
            if self._size >= LARGEST_PIECE:
                self._due.set()

    def clear(self) -> None:
        """Delete all pieces, and write none of what is waiting."""
        with self._writes:
            self._taken()
            for entry in list(self._store.list(self._folder)):
                self._store.delete(entry.name)

    def close(self) -> None:
        """Write what is waiting."""
        self._over = True
        self._due.set()
        self._thread.join()
        self._write()
        if self._failed:
            raise StoreError(self._failed)

    def _writing(self) -> None:
        while not self._over:
            self._due.wait(BETWEEN_PIECES)
            self._due.clear()
            self._write()

    def _write(self) -> None:
        with self._writes:
            piece = self._taken()
            if not piece or self._failed:
                return
            self._pieces += 1
            try:
                self._store.put(f"{self._folder}/{self._scan}-{self._pieces:06}.jsonl", piece)
            except StoreError as problem:
                self._failed = str(problem)

    def _taken(self) -> bytes:
        """What is waiting, and waits no more."""
        with self._turn:
            piece = b"".join(self._lines)
            self._lines.clear()
            self._size = 0
            return piece
