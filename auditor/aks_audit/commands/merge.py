"""`aks-audit merge`: make of the shards of a fleet the report that one scan of it would have made."""

import argparse
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from aks_audit.commands import EXIT_CODES, UsageError, stored
from aks_audit.commands.operating import add_heartbeat, age, operated
from aks_audit.commands.options import add_command, add_log, add_sign_in
from aks_audit.commands.output import must_hold
from aks_audit.commands.scan import add_reporting, audit
from aks_audit.progress import Progress, event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aks_audit.commands.options import Commands
    from aks_audit.commands.stored import StoredRun
    from aks_audit.merge import Part
    from aks_audit.snapshot import Snapshot
    from aks_audit.store.runs import Run
    from aks_audit.store.store import Store


MERGE_EXAMPLES = """\
examples:
  aks-audit scan --store audits --run tonight --shard 3/8   in each of 8 jobs, with a number of its own
  aks-audit merge --store audits                            when they have ended: the last run becomes one report
  aks-audit merge shards --output out --keep-snapshot fleet.jsonl.gz
                                                            without a store: of what `collect --shard` wrote

A shard that is missing leaves its subscriptions unknown, and the report incomplete. One that is there more than once
counts once: the last that is complete. One of another scan, or read long before the others, is left out. Each is said.

"""


def add(commands: "Commands") -> None:
    """Put the command on the parser."""
    merge = add_command(
        commands,
        _run,
        "merge",
        "unite the shards of a fleet into one report",
        "Unite the snapshots that --shard made into the one of the whole fleet, audit it, and report as scan does.",
        MERGE_EXAMPLES + EXIT_CODES,
    )
    merge.add_argument(
        "shards",
        nargs="*",
        type=Path,
        metavar="SHARD",
        help="snapshots of shards, or folders of them (default: those of the run in the store)",
    )
    merge.add_argument("--keep-snapshot", type=Path, metavar="FILE", help="also write the snapshot of the whole fleet")
    merge.add_argument(
        "--max-age",
        type=age,
        default=timedelta(hours=12),
        metavar="TIME",
        help="leave out a shard that was read so long before the last one, such as 90m, 12h or 2d (default: 12h)",
    )
    add_reporting(merge)
    stored.add_store(merge)
    add_sign_in(merge.add_argument_group("signing in to the store"))
    said = merge.add_argument_group("what is said")
    add_log(said)
    add_heartbeat(said)


def _run(arguments: argparse.Namespace, progress: Progress) -> int:
    if arguments.keep_snapshot:
        must_hold(arguments.keep_snapshot.parent, arguments.keep_snapshot.name)
    named = arguments.run_name is not None
    if not arguments.shards:
        arguments.run_name = _run_to_merge(arguments, progress)
    with operated(arguments, progress) as operation:
        return audit(arguments, progress, lambda run: _united(arguments, progress, run, again=named), operation)


def _run_to_merge(arguments: argparse.Namespace, progress: Progress) -> str:
    """The name of the run whose shards are in the store: the one that is named, else the last."""
    from aks_audit.store.runs import last_sharded  # noqa: PLC0415 - only a merge needs it

    if arguments.store is None:
        raise UsageError("there is nothing to merge; name the snapshots of shards, or their place with --store PLACE")
    scope = arguments.scope or "default"
    name: str | None = arguments.run_name or last_sharded(stored.open_store(arguments, progress), scope)
    if name is None:
        raise UsageError(f"{arguments.store} has no shard of {scope}; scan with --store, --run and --shard first")
    progress.note(f"merging the run {scope}/{name}")
    return name


def _united(arguments: argparse.Namespace, progress: Progress, run: "StoredRun | None", *, again: bool) -> "Snapshot":
    """What was united; `again` lets a run be merged that no shard came to since it was."""
    from aks_audit import merge, snapshot  # noqa: PLC0415 - only a merge needs them
    from aks_audit.store.runs import SNAPSHOT  # noqa: PLC0415

    with TemporaryDirectory(prefix="aks-audit-") as folder:
        loads = _of_files(arguments.shards) if arguments.shards or run is None else _of_store(run, progress, folder)
        found = merge.usable(loads, progress.warn)
    parts = merge.chosen(found, arguments.max_age, datetime.now(UTC), progress.note, progress.warn)
    if run:
        _tell_of_run(run, parts, progress, again=again)
    records = merge.unite(parts, progress.note, progress.warn)
    of = parts[0].shard.of
    told = f"united {len(parts):,} of {of:,} shard{'s' * (of != 1)}"
    progress.note(event("united", told, shards=len(parts), of=of))
    if arguments.keep_snapshot:
        snapshot.write(arguments.keep_snapshot, records)
        progress.note(event("wrote", f"wrote {arguments.keep_snapshot}", file=str(arguments.keep_snapshot)))
    return snapshot.of(records, arguments.keep_snapshot or (Path(SNAPSHOT) if run else None))


def _of_files(places: "Sequence[Path]") -> "Iterator[Callable[[], Part]]":
    """The snapshots that are named, and those in the folders that are, each once."""
    from aks_audit.merge import load  # noqa: PLC0415 - as above
    from aks_audit.snapshot import files_of  # noqa: PLC0415

    there = {path.resolve(): path for path in files_of(places)}
    yield from (partial(load, path) for path in there.values())


def _of_store(run: "StoredRun", progress: Progress, folder: str) -> "Iterator[Callable[[], Part]]":
    """The snapshots of the shards of a run that have ended."""
    from aks_audit.store.runs import shards  # noqa: PLC0415 - as above

    found = shards(run.store, run.place.scope, run.place.run, progress.warn)
    yield from (partial(_fetched, run.store, one, Path(folder)) for one in found)


def _fetched(store: "Store", run: "Run", folder: Path) -> "Part":
    from aks_audit.merge import load  # noqa: PLC0415 - as above
    from aks_audit.store.runs import SNAPSHOT, fetch  # noqa: PLC0415

    file = folder / SNAPSHOT
    file.write_bytes(fetch(store, run, SNAPSHOT))
    return load(file, run.place.folder, run.manifest.scan)


def _tell_of_run(run: "StoredRun", parts: "Sequence[Part]", progress: Progress, *, again: bool) -> None:
    """Let the run's manifest tell which shards it was united from, and say which came after it was last merged."""
    from aks_audit.store.runs import UnitedShard, at  # noqa: PLC0415 - as above

    run.shards = tuple(UnitedShard(f"{part.shard.number}/{part.shard.of}", part.scan) for part in parts)
    before = at(run.store, run.place, progress.warn)
    if before and not again and set(run.shards) <= set(before.manifest.shards):
        raise UsageError(
            f"the run {run.place.folder} is merged, and no shard came since: if a later run was meant, none of its "
            f"shards has ended; --run {run.place.run} merges this one again"
        )
    for shard in run.shards if before else ():
        if before and shard not in before.manifest.shards:
            progress.note(f"shard {shard.shard} came after this run was last merged, and is taken now")
