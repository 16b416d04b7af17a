"""How a command lives beside others of its kind: its signals, its heartbeat, its lock, and the journal of its reads."""

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit.commands import UsageError
from aks_audit.progress import Progress

if TYPE_CHECKING:
    from aks_audit.commands.stored import StoredRun
    from aks_audit.signals import Signals
    from aks_audit.sources.journal import Journal

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_operating(command: argparse.ArgumentParser) -> None:
    """Put on a command that reads live what a job needs of it."""
    jobs = command.add_argument_group("as a job")
    jobs.add_argument(
        "--max-age",
        type=age,
        metavar="TIME",
        help="do not read again what a run that was cut off read within this time, such as 90m or 6h (default: all is)",
    )
    add_heartbeat(jobs)


def add_heartbeat(jobs: "argparse._ArgumentGroup") -> None:
    """Put on a command the file of its heartbeat."""
    jobs.add_argument(
        "--heartbeat-file",
        type=Path,
        metavar="FILE",
        help="write every few seconds how far it is to this file, for a probe that looks whether it lives",
    )


def age(text: str) -> timedelta:
    """Read a time as a number of seconds, minutes, hours or days: 90s, 90m, 12h, 2d."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write a number and s, m, h or d, such as 6h")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


class Operation:
    """What a command that is under way has: its signals, and the run that it keeps, if it does."""

    def __init__(self, arguments: argparse.Namespace, progress: Progress, signals: "Signals") -> None:
        self._arguments, self._progress, self.signals = arguments, progress, signals
        self._run: StoredRun | None = None
        self._journal: Journal | None = None
        self.is_read_whole = False
        """Whether everything was read, so that nothing of the journal is needed once that is kept."""

    @contextmanager
    def alone(self, run: "StoredRun | None") -> Iterator[None]:
        """Keep other runs of the scope, or of the shard, out of the store as long as this lasts.

        Raises:
            LockedError: one is under way.
        """
        if run is None:
            yield
            return
        from aks_audit.store.lock import Lock  # noqa: PLC0415 - only where there is a store

        place, signals = run.place, self.signals
        self._progress.enter("waiting for the lock")
        with Lock(
            run.store,
            place.scope,
            place.shard,
            self._progress,
            wait=self._arguments.wait or 0,
            lost=signals.stop,
            ended=lambda: bool(signals.reason),
        ) as lock:
            self._run, run.lock = run, lock
            with self.journaled():
                yield

    @contextmanager
    def journaled(self) -> Iterator[None]:
        """Let go of the journal at the end: what was read is in it until it is kept, for who comes after a kill."""
        kept = False
        try:
            yield
            kept = True
        finally:
            journal, self._journal = self._journal, None
            if journal:
                journal.end(complete=kept and self.is_read_whole)

    def journal(self, beside: Path | None = None) -> "Journal | None":
        """The journal of what is read: in the store of the run, else beside the file that is to be written."""
        from aks_audit.sources.journal import Journal, begin  # noqa: PLC0415 - only where something is read

        cloud, oldest = self._arguments.cloud, self._arguments.max_age
        if self._run:
            from aks_audit.store.journal import StoredJournal  # noqa: PLC0415 - only where there is a store

            place = self._run.place
            pieces = StoredJournal(self._run.store, place.scope, place.shard, self._progress)
            self._journal = Journal(pieces, cloud, self._progress, oldest)
        elif beside:
            self._journal = begin(beside, cloud, self._progress, oldest)
        elif oldest is not None:
            raise UsageError("--max-age is of scans that are kept; name their place with --store PLACE")
        return self._journal


@contextmanager
def operated(arguments: argparse.Namespace, progress: Progress) -> Iterator[Operation]:
    """Let a command hear signals and show that it lives.

    Raises:
        ScanIdError, SnapshotError: the environment names the scan wrongly, or the heartbeat cannot be written.
    """
    from aks_audit.heartbeat import Heartbeat  # noqa: PLC0415 - not for --help
    from aks_audit.signals import Signals  # noqa: PLC0415

    progress.scan_id  # noqa: B018 - is an error at once where it is wrong
    file = getattr(arguments, "heartbeat_file", None)
    with Signals(progress) as signals, Heartbeat(progress, file):
        operation = Operation(arguments, progress, signals)
        with operation.journaled():
            yield operation
