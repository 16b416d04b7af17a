"""That a command lives and how far it is: a line of its log at least every 30 seconds, and a file for watchdogs."""

import json
import os
import threading
from pathlib import Path
from typing import Self

from aks_audit.progress import Progress, now
from aks_audit.snapshot import SnapshotError, write_atomically

BETWEEN_BEATS = 1.0
BETWEEN_FILES = 5.0
"""Seconds between two looks whether it is time for a line, and between two writes of the file."""


class Heartbeat:
    """Beats while it is a context, in a thread of its own: rules that are busy for long do not silence it.

    The file is replaced as a whole and holds an object: `time`, `scan`, `process`, and what Progress counts.
    """

    def __init__(self, progress: Progress, file: Path | None = None) -> None:
        self._progress, self._file = progress, file
        self._over, self._written = threading.Event(), True
        self._thread = threading.Thread(target=self._beating, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        if self._file:
            self._write(self._file)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._progress.enter("ended")
        if self._file:
            self._try(self._file)

    def _beating(self) -> None:
        looks = 0
        while not self._over.wait(BETWEEN_BEATS):
            looks += 1
            self._progress.beat()
            if self._file and looks % (BETWEEN_FILES // BETWEEN_BEATS) == 0:
                self._try(self._file)

    def _try(self, file: Path) -> None:
        """Write the file; that it cannot be written any more is said once, seen by the watchdog, and ends no audit."""
        try:
            self._write(file)
            self._written = True
        except SnapshotError as problem:
            if self._written:
                self._progress.warn(f"no heartbeat: {problem}")
            self._written = False

    def _write(self, file: Path) -> None:
        told = {"time": now(), "scan": self._progress.scan_id, "process": os.getpid(), **self._progress.state}
        write_atomically(file, json.dumps(told).encode() + b"\n")
