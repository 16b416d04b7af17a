"""What commands are asked about: recorded estates, the sample estate, or live state that is read first."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit.commands import INCOMPLETE, OK, UsageError
from aks_audit.commands.output import must_hold
from aks_audit.progress import Progress, event, one_line, printable

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from aks_audit.commands.operating import Operation
    from aks_audit.report import Report
    from aks_audit.snapshot import Collected, Gap, Snapshot
    from aks_audit.sources.live import Request


def snapshot_of(arguments: "Namespace", progress: Progress, operation: "Operation | None" = None) -> "Snapshot":
    """What is recorded, or is read live."""
    from aks_audit import snapshot  # noqa: PLC0415

    if is_recorded(arguments):
        found = snapshot.read([demo()] if arguments.demo else arguments.snapshot)
        shards = [header.shard for header in found.headers if isinstance(header.shard, snapshot.Shard)]
        if len(shards) > 1:
            progress.warn(f"these are {len(shards)} shards of a fleet; aks-audit merge also says which are missing")
        return found
    records = read_live(arguments, arguments.keep_snapshot, progress, operation)
    return snapshot.of(records, arguments.keep_snapshot or _in_store(arguments))


def _in_store(arguments: "Namespace") -> Path | None:
    """What a run's snapshot is called beside its reports, where the run is kept in a store."""
    from aks_audit.store.runs import SNAPSHOT  # noqa: PLC0415

    return Path(SNAPSHOT) if getattr(arguments, "store", None) else None


def is_recorded(arguments: "Namespace") -> bool:
    """Whether nothing is read live."""
    return arguments.demo or arguments.snapshot is not None


def refuse_what_is_live(arguments: "Namespace") -> None:
    """Refuse what a recorded estate cannot be asked: nobody is to believe that it was narrowed, or kept again."""
    live = (
        "subscription",
        "resource_group",
        "cluster",
        "tag",
        "shard",
        "read",
        "source",
        "keep_snapshot",
        "max_age",
        "dry_run",
    )
    if given := [*options_given(arguments, *live), *of_inside(arguments)]:
        raise UsageError(f"{given[0]} is of live scans; with --snapshot or --demo the whole estate is audited")


def only_plans(arguments: "Namespace") -> bool:
    """Whether a question about one cluster is a dry run of reading it; what is read live is that cluster alone."""
    if is_recorded(arguments):
        refuse_what_is_live(arguments)
        return False
    arguments.cluster = arguments.cluster or [arguments.of]
    return bool(arguments.dry_run)


def request_of(arguments: "Namespace") -> "Request":
    """What is to be read live, and how."""
    from aks_audit.sources.azure.collect import Scope  # noqa: PLC0415 - only a live scan imports the SDK
    from aks_audit.sources.azure.plan import OPTIONAL  # noqa: PLC0415
    from aks_audit.sources.kubernetes.ways import Asked  # noqa: PLC0415
    from aks_audit.sources.live import Request  # noqa: PLC0415

    asked = tuple(dict.fromkeys(arguments.read))
    inside = tuple(name for name in asked if name not in OPTIONAL)
    scope = Scope(
        subscriptions=tuple(arguments.subscription),
        resource_groups=tuple(arguments.resource_group),
        clusters=tuple(arguments.cluster),
        tags=tuple(arguments.tag),
        optional=tuple(name for name in asked if name in OPTIONAL),
        share=getattr(arguments, "shard", None),
    )
    return Request(
        scope,
        arguments.cloud,
        arguments.auth,
        arguments.timeout,
        graph=getattr(arguments, "source", None) == "graph",
        inside=Asked(arguments.in_cluster, arguments.allow_exec, arguments.context, arguments.kubeconfig, inside),
        cluster_timeout=arguments.cluster_timeout,
    )


def read_live(
    arguments: "Namespace",
    keep: Path | None,
    progress: Progress,
    operation: "Operation | None" = None,
    beside: Path | None = None,
) -> "Sequence[Collected]":
    """Read live state, keep it where that is asked for, and say what was lost.

    An `operation` ends it in order, and has a journal of it in its store, or `beside` a file, until it is kept.
    """
    from aks_audit.snapshot import write  # noqa: PLC0415
    from aks_audit.sources.live import collect  # noqa: PLC0415

    if keep:
        must_hold(keep.parent, keep.name)
    request = request_of(arguments)
    journal = operation.journal(beside) if operation else None
    try:
        records = collect(request, progress, operation.signals if operation else None, journal)
    finally:
        progress.close()
    gaps = lost(records)
    if operation:
        operation.is_read_whole = not any(gap.cause == "not-read" for gap in gaps)
    progress.enter("writing")
    progress.note(event("read", f"read {progress.counted}", **progress.state))
    if gaps:
        first = f"{one_line(gaps[0].type)} in {one_line(gaps[0].id)}: {one_line(gaps[0].reason)}"
        told = f"{len(gaps)} of what was asked for could not be read and is unknown; the first: {first}"
        progress.warn(event("incomplete", told, gaps=len(gaps)))
    if keep:
        write(keep, records)
        progress.note(event("wrote", f"wrote {keep}", file=str(keep)))
    return records


def lost(records: "Sequence[Collected]") -> "list[Gap]":
    """What was asked for and could not be read."""
    from aks_audit.results import ENOUGH  # noqa: PLC0415
    from aks_audit.snapshot import Gap  # noqa: PLC0415

    return [record for record in records if isinstance(record, Gap) and record.cause not in ENOUGH]


def read_whole(document: "Report", recorded: "Snapshot", *, shard: bool) -> bool:
    """Whether all that was asked for was read. A `shard` need not have what the others list: the merge has that."""
    from aks_audit.results import ENOUGH  # noqa: PLC0415 - only where something was read

    if document.scan.complete or not shard:
        return document.scan.complete
    missing = (one for finding in document.findings for one in finding.missing)
    return not lost([gap for gap, _ in recorded.gaps]) and all(one.kind in {*ENOUGH, "not-read"} for one in missing)


def print_plan(arguments: "Namespace", progress: Progress) -> int:
    """Print which calls would be made, and give the exit code."""
    from aks_audit.sources.live import plan  # noqa: PLC0415

    try:
        planned = plan(request_of(arguments), progress)
    finally:
        progress.close()
    sys.stdout.write(printable(planned.text))
    for path in filter(None, (getattr(arguments, name, None) for name in ("output", "keep_snapshot", "store"))):
        progress.note(f"nothing is written to {path}: this was a dry run")
    return OK if planned.complete else INCOMPLETE


def demo() -> Path:
    """The snapshot of the sample estate."""
    return Path(__file__).parent.parent / "demo" / "estate.jsonl"


def of_clusters(arguments: "Namespace") -> list[str]:
    """The options that were given and choose clusters."""
    return options_given(arguments, "resource_group", "cluster", "tag")


def of_inside(arguments: "Namespace") -> list[str]:
    """The options that were given and are about the way into clusters."""
    way = [] if arguments.in_cluster == "auto" else ["--in-cluster"]
    return [*way, *options_given(arguments, "kubeconfig", "context", "allow_exec")]


def options_given(arguments: "Namespace", *names: str) -> list[str]:
    """Those of the options that were given, as they were written."""
    return [f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name, None)]
