"""The command `aks-audit`: wiring and exit codes; nothing else. What a command needs is imported when it runs."""

import io
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit.arguments import PLANES, parser
from aks_audit.errors import AuditError
from aks_audit.progress import Progress, one_line, printable

if TYPE_CHECKING:
    from argparse import Namespace

    from aks_audit.permission_check import Need
    from aks_audit.report import Report, Reporter
    from aks_audit.scan import Wish
    from aks_audit.snapshot import Collected, Gap, Snapshot
    from aks_audit.sources.live import Request

OK, FINDINGS, UNUSABLE, INCOMPLETE = range(4)

_LAST_LINES = 40


class UsageError(AuditError):
    """A request that cannot be served; the message says what to do."""


def command() -> int:
    """Run the command as the installed program does: its own faults end with INCOMPLETE, never with Python's 1.

    In a pipeline 1 says that the audit was made and found something.
    """
    _open_streams()
    progress = Progress(hide=_scrubbed)
    try:
        arguments = parser().parse_args()
        progress = _progress(arguments)
        progress.hear()
        return _run(arguments, progress)
    except Exception:  # noqa: BLE001 - whatever it is, it must not look like a finding
        fault = _scrubbed("\n".join(traceback.format_exc().splitlines()[-_LAST_LINES:]))
        progress.error(f"{fault}\na fault of aks-audit, or of a package installed beside it; please report it")
        return INCOMPLETE


def _scrubbed(text: str) -> str:
    from aks_audit.sources.scrub import scrub_message  # noqa: PLC0415 - most commands have nothing to scrub

    return scrub_message(text)


def _open_streams() -> None:
    """Give a service without standard streams some, and let no terminal's encoding end the command."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the process ends
            setattr(sys, name, nowhere)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, else the process's own, and give its exit code."""
    arguments = parser().parse_args(argv)
    return _run(arguments, _progress(arguments))


def _run(arguments: "Namespace", progress: Progress) -> int:
    try:
        return _COMMANDS[arguments.command](arguments, progress)
    except BrokenPipeError:
        _reader_left()
        return OK
    except KeyboardInterrupt:
        progress.error("interrupted")
    except (AuditError, OSError) as error:
        progress.error(str(error))
    return UNUSABLE


def _reader_left() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _scan(arguments: "Namespace", progress: Progress) -> int:
    from aks_audit.results import Severity  # noqa: PLC0415 - only a scan needs them
    from aks_audit.scan import scan  # noqa: PLC0415

    if _is_recorded(arguments):
        _refuse_what_is_live(arguments)
    elif arguments.dry_run:
        return _plan(arguments, progress)
    only_new, threshold = arguments.fail_on
    if only_new and not arguments.baseline:
        raise UsageError(f"--fail-on new:{threshold} needs --baseline REPORT, which says what is not new")
    reporters = _reporters(arguments.format, arguments.output)
    if arguments.output:
        _must_hold(arguments.output, "aks-audit.json")
    wish = _wish(arguments)
    document = scan(_snapshot(arguments, progress), wish)
    for entry in document.policy.entries:
        if entry.state != "in-force":
            progress.warn(f"{document.policy.file}:{entry.line}: {entry.table} of {one_line(entry.rule)}: {entry.says}")
    _deliver(document, reporters, arguments.output, progress)
    failures = document.failures(Severity(threshold))
    if any(failure.change == "new" for failure in failures) if only_new else failures:
        return FINDINGS
    return OK if document.scan.complete else INCOMPLETE


def _wish(arguments: "Namespace") -> "Wish":
    """What is asked of what is read; unusable files and names are refused before anything is."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from aks_audit import baseline, config  # noqa: PLC0415
    from aks_audit.checklist import choose, load_checklists  # noqa: PLC0415
    from aks_audit.scan import Wish  # noqa: PLC0415

    choose(load_checklists(), tuple(arguments.checklist))
    file = arguments.config or config.find(Path.cwd())
    return Wish(
        today=datetime.now(UTC).date(),
        checklists=tuple(arguments.checklist),
        config=config.read(file) if file else config.Config(),
        before=baseline.read(arguments.baseline) if arguments.baseline else None,
    )


def _path(arguments: "Namespace", progress: Progress) -> int:
    from aks_audit.facts import Estate  # noqa: PLC0415
    from aks_audit.path import Question, as_json, as_text, ask, find_cluster  # noqa: PLC0415

    if _only_plans(arguments):
        return _plan(arguments, progress)
    estate = Estate(_snapshot(arguments, progress))
    question = Question(find_cluster(estate, arguments.of), arguments.origin, arguments.target, arguments.protocol)
    walked = ask(estate, question)
    width = shutil.get_terminal_size((100, 24)).columns
    json = arguments.format == "json"
    _print((as_json(question, walked) if json else as_text(question, walked, colour=_colours(), width=width)).encode())
    return {"allowed": OK, "blocked": FINDINGS, "unknown": INCOMPLETE}[walked.end]


def _reach(arguments: "Namespace", progress: Progress) -> int:
    from aks_audit.facts import Estate  # noqa: PLC0415
    from aks_audit.path import find_cluster  # noqa: PLC0415
    from aks_audit.reach import Question, ask  # noqa: PLC0415
    from aks_audit.reach_reports import as_json, as_text  # noqa: PLC0415

    if _only_plans(arguments):
        return _plan(arguments, progress)
    estate = Estate(_snapshot(arguments, progress))
    question = Question(find_cluster(estate, arguments.of), arguments.origin, arguments.target)
    answer = ask(estate, question)
    width = shutil.get_terminal_size((100, 24)).columns
    json = arguments.format == "json"
    _print((as_json(question, answer) if json else as_text(question, answer, colour=_colours(), width=width)).encode())
    return OK if answer.complete else INCOMPLETE


def _only_plans(arguments: "Namespace") -> bool:
    """Whether a question about one cluster is a dry run of reading it; what is read live is that cluster alone."""
    if _is_recorded(arguments):
        _refuse_what_is_live(arguments)
        return False
    arguments.cluster = arguments.cluster or [arguments.of]
    return bool(arguments.dry_run)


def _snapshot(arguments: "Namespace", progress: Progress) -> "Snapshot":
    """What is recorded, or is read live."""
    from aks_audit import snapshot  # noqa: PLC0415

    if _is_recorded(arguments):
        return snapshot.read([_demo()] if arguments.demo else arguments.snapshot)
    return snapshot.of(_live(arguments, arguments.keep_snapshot, progress), arguments.keep_snapshot)


def _is_recorded(arguments: "Namespace") -> bool:
    return arguments.demo or arguments.snapshot is not None


def _refuse_what_is_live(arguments: "Namespace") -> None:
    """Refuse what a recorded estate cannot be asked: nobody is to believe that it was narrowed, or kept again."""
    live = ("subscription", "resource_group", "cluster", "tag", "read", "source", "keep_snapshot", "dry_run")
    if given := [*_given(arguments, *live), *_inside(arguments)]:
        raise UsageError(f"{given[0]} is of live scans; with --snapshot or --demo the whole estate is audited")


def _must_hold(folder: Path, name: str) -> None:
    """Refuse at once what could not be written after a long scan."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if (folder / name).is_dir():
        raise UsageError(f"{folder / name}: is a folder; name a file in it")
    if not there.is_dir():
        raise UsageError(f"{folder / name}: cannot be written, {there} is a file; name another place")
    if not os.access(there, os.W_OK):
        raise UsageError(f"{folder / name}: cannot be written, {there} is not yours to write in; name another place")


def _request(arguments: "Namespace") -> "Request":
    from aks_audit.sources.azure.collect import Scope  # noqa: PLC0415 - only a live scan imports the SDK
    from aks_audit.sources.kubernetes.ways import Asked  # noqa: PLC0415
    from aks_audit.sources.live import Request  # noqa: PLC0415

    scope = Scope(
        subscriptions=tuple(arguments.subscription),
        resource_groups=tuple(arguments.resource_group),
        clusters=tuple(arguments.cluster),
        tags=tuple(arguments.tag),
        optional=tuple(dict.fromkeys(arguments.read)),
    )
    return Request(
        scope,
        arguments.cloud,
        arguments.auth,
        arguments.timeout,
        graph=getattr(arguments, "source", None) == "graph",
        inside=Asked(arguments.in_cluster, arguments.allow_exec, arguments.context, arguments.kubeconfig),
        cluster_timeout=arguments.cluster_timeout,
    )


def _progress(arguments: "Namespace") -> Progress:
    """As the arguments ask for it; most commands have none that do."""
    return Progress(
        form=getattr(arguments, "log_format", "text"),
        verbose=getattr(arguments, "verbose", False),
        quiet=getattr(arguments, "quiet", False),
        hide=_scrubbed,
    )


def _live(arguments: "Namespace", keep: Path | None, progress: Progress) -> "Sequence[Collected]":
    from aks_audit.snapshot import write  # noqa: PLC0415
    from aks_audit.sources.live import collect  # noqa: PLC0415

    if keep:
        _must_hold(keep.parent, keep.name)
    try:
        records = collect(_request(arguments), progress)
    finally:
        progress.close()
    progress.note(f"read {progress.counted}")
    if lost := _lost(records):
        first = f"{one_line(lost[0].type)} in {one_line(lost[0].id)}: {one_line(lost[0].reason)}"
        progress.warn(f"{len(lost)} of what was asked for could not be read and is unknown; the first: {first}")
    if keep:
        write(keep, records)
        progress.note(f"wrote {keep}")
    return records


def _lost(records: "Sequence[Collected]") -> "list[Gap]":
    from aks_audit.snapshot import Gap  # noqa: PLC0415

    return [record for record in records if isinstance(record, Gap) and record.cause != "not-asked"]


def _plan(arguments: "Namespace", progress: Progress) -> int:
    from aks_audit.sources.live import plan  # noqa: PLC0415

    try:
        planned = plan(_request(arguments), progress)
    finally:
        progress.close()
    sys.stdout.write(printable(planned.text))
    for path in filter(None, (getattr(arguments, name, None) for name in ("output", "keep_snapshot"))):
        progress.note(f"nothing is written to {path}: this was a dry run")
    return OK if planned.complete else INCOMPLETE


def _collect(arguments: "Namespace", progress: Progress) -> int:
    if arguments.dry_run:
        return _plan(arguments, progress)
    records = _live(arguments, arguments.output, progress)
    return INCOMPLETE if _lost(records) else OK


def _demo() -> Path:
    return Path(__file__).parent / "demo" / "estate.jsonl"


def _reporters(wanted: tuple[str, ...] | None, output: Path | None) -> list["Reporter"]:
    import importlib.metadata  # noqa: PLC0415

    installed = importlib.metadata.entry_points(group="aks_audit.reports")
    there = {entry.name: entry for entry in installed}
    if twice := sorted({entry.name for entry in installed if there[entry.name] != entry}):
        raise UsageError(f"two installed packages bring a format {twice[0]!r}; uninstall one of them")
    names = tuple(dict.fromkeys(wanted or (sorted(there) if output else ["console"])))
    unknown = [name for name in names if name not in there]
    if unknown:
        raise UsageError(f"no format {unknown[0]!r}; there are: {', '.join(sorted(there))}")
    reporters: list[Reporter] = [there[name].load() for name in names]
    if output is None and len([r for r in reporters if r.file_name]) > 1:
        raise UsageError("more than one file format needs --output DIR")
    return reporters


def _deliver(document: "Report", reporters: list["Reporter"], output: Path | None, progress: Progress) -> None:
    from aks_audit.snapshot import write_atomically  # noqa: PLC0415

    colour = _colours()
    for reporter in sorted(reporters, key=lambda reporter: reporter.file_name is None):
        data = reporter.render(document, colour=colour and reporter.file_name is None)
        if reporter.file_name is None or output is None:
            _print(data)
        else:
            path = output / reporter.file_name
            write_atomically(path, data)
            progress.note(f"wrote {path}")


def _colours() -> bool:
    """Whether standard output is a terminal that shows colours, and nobody minds."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _print(data: bytes) -> None:
    """Write to standard output. A reader that has read enough does not change what the audit found."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _reader_left()


def _rules(_arguments: "Namespace", _progress: Progress) -> int:
    from aks_audit.engine import load_rules  # noqa: PLC0415

    for rule in load_rules():
        sys.stdout.write(f"{rule.id}  {rule.text.severity:8}  {rule.text.title}\n")
    return OK


def _explain(arguments: "Namespace", _progress: Progress) -> int:
    from aks_audit.engine import load_rules  # noqa: PLC0415
    from aks_audit.explain import explain  # noqa: PLC0415

    rules = {rule.id.lower(): rule for rule in load_rules()}
    wanted = arguments.rule.lower()
    found = rules.get(wanted) or rules.get(f"aks-{wanted}")
    if not found:
        raise UsageError(f"no rule {arguments.rule!r}; `aks-audit rules` lists them")
    sys.stdout.write(explain(found.text))
    return OK


def _checklists(_arguments: "Namespace", _progress: Progress) -> int:
    from aks_audit.checklist import load_checklists  # noqa: PLC0415

    for checklist in load_checklists():
        sys.stdout.write(f"{checklist.name:26}  {len(checklist.item):3} items  {checklist.title}\n")
    return OK


def _import(arguments: "Namespace", progress: Progress) -> int:
    from aks_audit.snapshot import write  # noqa: PLC0415
    from aks_audit.sources.azure_json import read_files  # noqa: PLC0415

    imported = read_files(arguments.files)
    write(arguments.output, imported.records)
    for note in imported.notes:
        progress.note(note)
    progress.note(f"wrote {arguments.output}: {imported.summary}")
    return INCOMPLETE if imported.damaged else OK


def _permissions(arguments: "Namespace", progress: Progress) -> int:
    from aks_audit import permissions  # noqa: PLC0415

    if arguments.check:
        return _check(arguments, progress)
    if arguments.subscription or arguments.read or arguments.auth or _of_clusters(arguments) or _inside(arguments):
        raise UsageError("--subscription, --read, --auth and what is about clusters say what to check: with --check")
    listed = permissions.load()
    scopes = arguments.scope or ["/subscriptions/SUBSCRIPTION-ID"]
    planes = PLANES if arguments.plane in {None, "all"} else (arguments.plane,)
    made = {plane: permissions.document(plane, listed, scopes, optional=arguments.optional) for plane in planes}
    sys.stdout.write(permissions.render(made, arguments.format))
    sys.stdout.flush()
    asked = [read for read in listed.arm if arguments.optional or not read.optional]
    for action in [read.action for read in asked if not read.published] if "arm" in made else []:
        progress.note(f"left out, being in no published list of Azure's actions; needs Reader: {action}")
    progress.note("how to apply: aks-audit permissions --help")
    return OK


def _check(arguments: "Namespace", progress: Progress) -> int:
    from aks_audit import engine, snapshot  # noqa: PLC0415
    from aks_audit.consequences import Trial  # noqa: PLC0415
    from aks_audit.permission_check import as_json, as_text, conclude  # noqa: PLC0415
    from aks_audit.sources.live import permitted  # noqa: PLC0415

    needs = _needs(arguments)
    try:
        asked = permitted(_request(arguments), needs, progress)
    finally:
        progress.close()
    check = conclude(asked, needs, Trial(snapshot.read([_demo()]), engine.load_rules()))
    sys.stdout.write(as_json(check) if arguments.format == "json" else as_text(check))
    return OK if check.complete else INCOMPLETE


def _needs(arguments: "Namespace") -> "list[Need]":
    """What is to be checked."""
    from aks_audit.permission_check import azure_needs, data_needs  # noqa: PLC0415
    from aks_audit.permissions import load  # noqa: PLC0415
    from aks_audit.sources.azure.plan import OPTIONAL, optional  # noqa: PLC0415
    from aks_audit.sources.kubernetes.check import needs  # noqa: PLC0415

    if arguments.scope:
        raise UsageError("--scope says where a role can be assigned; what --check asks about, --subscription says")
    if arguments.format == "yaml":
        raise UsageError("--check prints text, or with --format json JSON")
    plane, listed = arguments.plane or "arm", load()
    if plane in {"arm", "aks-data"} and (given := _inside(arguments)):
        raise UsageError(f"{given[0]} is about the inside of clusters, and goes with --plane kubernetes or all")
    if plane == "arm" and (given := _of_clusters(arguments)):
        raise UsageError(f"{given[0]} is about clusters, and goes with --plane aks-data, kubernetes or all")
    reads = optional(OPTIONAL if arguments.optional else arguments.read)
    azure = azure_needs(listed, [read.type for read in reads])
    of = {"arm": azure, "aks-data": data_needs(listed), "kubernetes": needs()}
    return [need for name in PLANES if plane in {name, "all"} for need in of[name]]


def _of_clusters(arguments: "Namespace") -> list[str]:
    """The options that were given and choose clusters."""
    return _given(arguments, "resource_group", "cluster", "tag")


def _inside(arguments: "Namespace") -> list[str]:
    """The options that were given and are about the way into clusters."""
    way = [] if arguments.in_cluster == "auto" else ["--in-cluster"]
    return [*way, *_given(arguments, "kubeconfig", "context", "allow_exec")]


def _given(arguments: "Namespace", *names: str) -> list[str]:
    """Those of the options that were given, as they were written."""
    return [f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name)]


_COMMANDS: dict[str, Callable[["Namespace", Progress], int]] = {
    "scan": _scan,
    "rules": _rules,
    "explain": _explain,
    "checklists": _checklists,
    "path": _path,
    "reach": _reach,
    "collect": _collect,
    "import": _import,
    "permissions": _permissions,
}
