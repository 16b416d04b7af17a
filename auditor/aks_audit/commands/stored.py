"""The run of an audit that a store keeps: its options, its baseline, its files, and what it ends."""

import argparse
import os
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aks_audit.commands import UNUSABLE, UsageError
from aks_audit.commands.live import read_whole
from aks_audit.commands.notify import asked_to_tell
from aks_audit.commands.options import seconds
from aks_audit.progress import Progress, event, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from aks_audit.report import Report
    from aks_audit.snapshot import Snapshot
    from aks_audit.store.lock import Lock
    from aks_audit.store.runs import Run, UnitedShard
    from aks_audit.store.store import Store

_DIGITS = 8
"""Of the minutes since 1970, from 1989 to 2160."""

PLACE = "a folder, or https://ACCOUNT.blob.core.windows.net/CONTAINER[/FOLDER]"


def add_store(command: argparse.ArgumentParser) -> None:
    """Put on a command that its run is kept in a store."""
    stored = command.add_argument_group("the store of scheduled runs")
    stored.add_argument(
        "--store",
        metavar="PLACE",
        help=f"keep the snapshot and the reports in {PLACE}; the baseline is the last complete run that is there",
    )
    stored.add_argument(
        "--scope",
        type=scope_or_run,
        metavar="NAME",
        help="what the run is one of, in the store and to whom it is told, such as production (default: default)",
    )
    stored.add_argument(
        "--run",
        type=scope_or_run,
        dest="run_name",
        default=_run_of_job(),
        metavar="NAME",
        help="what the run is called (default: its start, as 20261122T020000Z; in a Job that a CronJob of Kubernetes "
        "made, and that $AKS_AUDIT_JOB names, when that was scheduled)",
    )
    stored.add_argument(
        "--keep",
        type=_days,
        metavar="DAYS",
        help="delete the scope's runs that are older, but never its last complete one (default: all are kept)",
    )
    stored.add_argument(
        "--wait",
        type=seconds,
        metavar="SECONDS",
        help="wait so long for another run of the scope, or of the shard, to end (default: give up when that lives)",
    )


def _run_of_job() -> str | None:
    """The run of a pod of a CronJob, whose Jobs' names end in the minute they were scheduled for, counted from 1970."""
    minutes = os.environ.get("AKS_AUDIT_JOB", "").rpartition("-")[2]
    if len(minutes) != _DIGITS or not (minutes.isascii() and minutes.isdigit()):
        return None
    from datetime import UTC, datetime  # noqa: PLC0415 - only in a Job

    from aks_audit.store.runs import run_name  # noqa: PLC0415

    return run_name(datetime.fromtimestamp(int(minutes) * 60, UTC))


def scope_or_run(text: str) -> str:
    """Read the name of a scope or of a run."""
    from aks_audit.store.runs import is_scope_or_run  # noqa: PLC0415 - only where it was asked for

    if not is_scope_or_run(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name; use letters, digits, '.', '-' and '_'")
    return text


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days above 0, such as 90")
    return int(text)


def begin(arguments: argparse.Namespace, progress: Progress) -> "StoredRun | None":
    """The run that the arguments ask to keep, and None where they do not. What cannot be kept is refused at once."""
    from datetime import UTC, datetime  # noqa: PLC0415

    if arguments.store is None:
        options = {
            "--scope": None if asked_to_tell(arguments) else arguments.scope,
            "--run": arguments.run_name,
            "--keep": arguments.keep,
            "--wait": arguments.wait,
        }
        if given := [option for option, value in options.items() if value is not None]:
            raise UsageError(f"{given[0]} is of runs that are kept; name their place with --store PLACE")
        return None
    shard = getattr(arguments, "shard", None)
    if shard and arguments.run_name is None:
        raise UsageError("--shard with --store needs --run NAME, the same for all shards of the run")
    if shard and arguments.keep is not None:
        raise UsageError("a shard deletes nothing; give --keep to aks-audit merge")
    started = datetime.now(UTC)
    run = StoredRun(arguments, str(shard) if shard else None, started, progress)
    run.store.check()
    return run


def open_store(arguments: argparse.Namespace, progress: Progress) -> "Store":
    """The store that the arguments name, signed in to as they say."""
    from aks_audit.store.places import opened  # noqa: PLC0415 - only where it was asked for

    return opened(arguments.store, arguments.auth, arguments.cloud, progress.warn)


class StoredRun:
    """A run that is being made, and is there for readers once `finish` has returned."""

    def __init__(
        self, arguments: argparse.Namespace, shard: str | None, started: "datetime", progress: Progress
    ) -> None:
        from aks_audit.store.runs import Draft, Place, run_name  # noqa: PLC0415 - only where it was asked for

        self.store = open_store(arguments, progress)
        self.place = Place(
            arguments.scope or "default",
            arguments.run_name or run_name(started),
            shard,
            progress.scan_id if shard else "",
        )
        self.shards: tuple[UnitedShard, ...] = ()
        self._draft = Draft(self.store, self.place)
        self._keep, self._started, self._progress = arguments.keep, started, progress
        self.lock: Lock | None = None
        """What keeps other runs out; without it nobody is kept out."""

    def baseline(self) -> "Report | None":
        """The report of the last complete run of the scope before this one; a shard has none."""
        from aks_audit.errors import AuditError  # noqa: PLC0415
        from aks_audit.store.runs import complete  # noqa: PLC0415

        if self.place.shard:
            return None
        for run in complete(self.store, self.place.scope, self.place.run, self._progress.warn):
            try:
                report = report_of(self.store, run)
            except AuditError as problem:
                self._progress.warn(f"{problem}; it is no baseline, an earlier run is looked for")
                continue
            told = f"the baseline is the run {run.place.folder} of {self.store.place}"
            self._progress.note(event("baseline", told, run=run.place.folder))
            return report
        self._progress.note(
            f"{self.store.place} has no complete run of {self.place.scope} before this one, and so no baseline"
        )
        return None

    def add(self, name: str, pieces: "Iterable[bytes]") -> None:
        """Keep a report; the JSON one is compressed, without a time."""
        from aks_audit.store.runs import REPORT  # noqa: PLC0415

        if f"{name}.gz" == REPORT:
            name, pieces = REPORT, _gzipped(pieces)
        self._draft.add(name, b"".join(pieces))

    def finish(self, recorded: "Snapshot", document: "Report", code: int) -> "Run":
        """Keep what was read, and the JSON report in any case; then the run is there, and older ones may end."""
        from datetime import UTC, datetime  # noqa: PLC0415

        from aks_audit import __version__  # noqa: PLC0415
        from aks_audit.store.runs import REPORT, SCHEMA, SNAPSHOT, Manifest  # noqa: PLC0415
        from aks_audit_reports.json import REPORTER  # noqa: PLC0415

        self._draft.add(SNAPSHOT, _encoded(recorded))
        if REPORT not in self._draft.names:
            self.add(REPORTER.file_name, REPORTER.parts(document))
        manifest = Manifest(
            schema=SCHEMA,
            scope=self.place.scope,
            run=self.place.run,
            scan=self._progress.scan_id,
            shard=self.place.shard,
            tool=__version__,
            started=_rfc3339(self._started),
            finished=_rfc3339(datetime.now(UTC)),
            complete=read_whole(document, recorded, shard=self.place.shard is not None),
            exit_code=code,
            files=(),
            shards=self.shards,
        )
        self.must_be_alone()
        run = self._draft.finish(manifest)
        self._warn_if_late()
        self._progress.note(event("kept", f"kept as {run.place.folder} in {self.store.place}", run=run.place.folder))
        self._prune(run)
        return run

    def must_be_alone(self) -> None:
        """Raise LockLostError where another run took the lock over, so that nothing of that is written over."""
        if self.lock:
            self.lock.must_hold()

    def _warn_if_late(self) -> None:
        """Say where a shard ended after its run was merged, which is a report without it."""
        from aks_audit.store.runs import Place, at  # noqa: PLC0415

        whole = Place(self.place.scope, self.place.run)
        if self.place.shard and at(self.store, whole, self._progress.warn):
            again = f"aks-audit merge --store {self.store.place} --scope {whole.scope} --run {whole.run}"
            self._progress.warn(
                f"{whole.folder} was merged before shard {self.place.shard} ended; unite it by: {again}"
            )

    def _prune(self, run: "Run") -> None:
        from aks_audit.store.retention import prune  # noqa: PLC0415 - only where it was asked for
        from aks_audit.store.store import StoreError  # noqa: PLC0415

        if self._keep is None:
            return
        try:
            ended = prune(self.store, run, self._keep, self._progress.warn)
        except StoreError as problem:
            self._progress.warn(f"not all runs older than {self._keep} days could be deleted: {problem}")
            return
        for folder in ended:
            told = f"deleted {one_line(folder)}, which was older than {self._keep} days"
            self._progress.note(event("deleted", told, run=folder))


@contextmanager
def kept(run: StoredRun | None, recorded: "Snapshot", document: "Report", code: int) -> "Iterator[None]":
    """Let the reports be delivered, and finish the run, if there is one, even where one of them could not be made."""
    from aks_audit.report import ReportError  # noqa: PLC0415

    if run:
        run.must_be_alone()
    try:
        yield
    except ReportError:
        if run:
            run.finish(recorded, document, UNUSABLE)
        raise
    if run:
        run.finish(recorded, document, code)


def report_of(store: "Store", run: "Run") -> "Report":
    """The report of a run.

    Raises:
        StoreError, BaselineError: it is not there, or is damaged.
    """
    from aks_audit.baseline import decode  # noqa: PLC0415 - only where there is one
    from aks_audit.store.runs import REPORT, fetch, lines  # noqa: PLC0415

    path = f"{store.place}: {run.place.folder}/{REPORT}"
    return decode(lines(fetch(store, run, REPORT), path), path, "delete that run")


def _gzipped(pieces: "Iterable[bytes]") -> "Iterator[bytes]":
    """A file compressed without a time or name, piece by piece."""
    packer = zlib.compressobj(level=6, wbits=31)
    yield from map(packer.compress, pieces)
    yield packer.flush()


def _encoded(recorded: "Snapshot") -> bytes:
    """What was read as one snapshot file, whose headers say how many records follow."""
    import msgspec  # noqa: PLC0415

    from aks_audit.snapshot import encode, pack  # noqa: PLC0415

    gaps, resources = [gap for gap, _ in recorded.gaps], [pack(one) for one, _ in recorded.resources]
    follow = len(recorded.listings) + len(gaps) + len(resources)
    headers = [
        msgspec.structs.replace(header, documents=0 if place else follow)
        for place, header in enumerate(recorded.headers)
    ]
    return b"".join(_gzipped([encode([*headers, *recorded.listings, *gaps, *resources])]))


def _rfc3339(time: "datetime") -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
