"""`aks-audit scan`: audit an estate and report."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit.commands import EXIT_CODES, FINDINGS, INCOMPLETE, OK, UsageError, notify, stored
from aks_audit.commands.live import is_recorded, print_plan, read_whole, refuse_what_is_live, snapshot_of
from aks_audit.commands.operating import add_operating, operated
from aks_audit.commands.options import add_command, add_estate, add_rules, add_shard
from aks_audit.commands.output import DEFAULT_FILES, FORMATS, deliver, must_hold, must_take_files, reporters_of
from aks_audit.garbage import no_collections
from aks_audit.progress import Progress, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from aks_audit.commands.notify import Nobody, Teller
    from aks_audit.commands.operating import Operation
    from aks_audit.commands.options import Commands
    from aks_audit.commands.stored import StoredRun
    from aks_audit.report import Report, Reporter
    from aks_audit.scan import Wish
    from aks_audit.snapshot import Snapshot


SEVERITIES = ("critical", "high", "medium", "low", "info")
NO_SEVERITY = "none"


SCAN_EXAMPLES = """\
examples:
  aks-audit scan --output out                           audit all subscriptions that the signed-in identity sees
  aks-audit scan --demo --output out                    audit the built-in sample estate
  aks-audit scan --snapshot estate.jsonl                audit a recorded estate, print the summary
  aks-audit scan --snapshot estate.jsonl --output out   also write aks-audit.html, .json and .sarif
  aks-audit scan --snapshot a.jsonl b.jsonl.gz --checklist azure-firewall-egress --fail-on medium
  aks-audit scan --in-cluster kubeconfig --output out   also read inside clusters, by your kubeconfig
  aks-audit scan --output out --baseline last/aks-audit.json --fail-on new:high
                                                        fail on what the last report has not
  aks-audit scan --rules house --output out             also ask the rules of your own in the folder house
  aks-audit scan --store audits --scope production --keep 400
                                                        keep the run, and compare it with the last one
  aks-audit scan --format markdown >> "$GITHUB_STEP_SUMMARY"

"""


def add(commands: "Commands") -> None:
    """Put the command on the parser."""
    scan = add_command(
        commands,
        _run,
        "scan",
        "audit an estate and report",
        "Audit an estate and report. Prints a summary; with --output also writes files.",
        SCAN_EXAMPLES + _formats() + EXIT_CODES,
    )
    add_estate(scan, "audit the built-in sample estate")
    add_shard(scan)
    add_reporting(scan)
    stored.add_store(scan)
    add_operating(scan)


def add_reporting(scan: argparse.ArgumentParser) -> None:
    """Put on a command what is asked of what was read, and which reports are made of the answers."""
    scan.add_argument("--output", type=Path, metavar="DIR", help="write the reports here (made if missing)")
    scan.add_argument(
        "--format",
        type=_names,
        metavar="F[,F]",
        help=f"what to make: {', '.join(FORMATS)} (default: console; with --output {', '.join(DEFAULT_FILES)})",
    )
    scan.add_argument(
        "--source-root",
        type=Path,
        metavar="DIR",
        help="the repository whose Bicep, Terraform, ARM JSON and manifests declare what is audited, so that findings "
        "name its lines (default: the repository of aks-audit.toml, where there is one)",
    )
    scan.add_argument(
        "--evidence",
        type=Path,
        metavar="DIR",
        help="write each resource that a finding cites here, as the file whose line the reports name",
    )
    scan.add_argument(
        "--checklist",
        action="append",
        default=[],
        metavar="NAME",
        help="ask only what this checklist asks, and --rules (repeatable; `aks-audit checklists` lists them)",
    )
    add_rules(scan)
    scan.add_argument(
        "--fail-on",
        type=_threshold,
        default=(False, "high"),
        metavar="[new:]SEVERITY",
        help=f"exit with 1 on failures this severe or worse: {', '.join(SEVERITIES)} (default: high); with new: before "
        f"it, on those alone that the baseline has not; {NO_SEVERITY}, on no failure",
    )
    scan.add_argument(
        "--baseline",
        type=Path,
        metavar="REPORT",
        help="an earlier aks-audit.json: say what is new, mended, changed, or was not looked at again",
    )
    scan.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="exceptions, severities, disabled rules and sources (default: the nearest aks-audit.toml, from here up to "
        "the root of the repository)",
    )
    notify.add_notify(scan)


def _formats() -> str:
    """What the help says of each format that comes with aks-audit."""
    lines = [f"  {name:18} {purpose}" for name, purpose in FORMATS.items()]
    return "\n".join(["formats (packages installed beside aks-audit may bring more):", *lines, "", ""])


def _threshold(text: str) -> tuple[bool, str]:
    new, _, severity = text.rpartition(":")
    if text == NO_SEVERITY:
        return False, text
    if severity not in SEVERITIES or new not in {"", "new"}:
        known = ", ".join(SEVERITIES)
        raise argparse.ArgumentTypeError(f"{text!r} is not {NO_SEVERITY}, none of {known}, nor one of them after new:")
    return bool(new), severity


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _run(arguments: argparse.Namespace, progress: Progress) -> int:
    if is_recorded(arguments):
        refuse_what_is_live(arguments)
    elif arguments.dry_run:
        return print_plan(arguments, progress)
    with operated(arguments, progress) as operation:
        return audit(arguments, progress, lambda _: snapshot_of(arguments, progress, operation), operation)


def audit(
    arguments: argparse.Namespace,
    progress: Progress,
    read: "Callable[[StoredRun | None], Snapshot]",
    operation: "Operation",
) -> int:
    """Audit what is read as `add_reporting`'s options ask, report, and give the exit code.

    What cannot be served is refused before anything is read. `read` is told of the run that is kept, if one is.
    """
    with notify.teller_of(arguments, progress) as teller:
        _must_know_what_is_new(arguments)
        reporters = reporters_of(arguments.format, arguments.output, stored=arguments.store is not None)
        _check_folders(arguments)
        run = stored.begin(arguments, progress)
        with operation.alone(run):
            return _audit(arguments, progress, lambda: read(run), reporters, run, teller)


def _audit(  # noqa: PLR0913, PLR0917 - what there is by then
    arguments: argparse.Namespace,
    progress: Progress,
    read: "Callable[[], Snapshot]",
    reporters: "list[Reporter]",
    run: "StoredRun | None",
    teller: "Teller | Nobody",
) -> int:
    from aks_audit.scan import scan  # noqa: PLC0415

    wish = _wish(arguments, run)
    recorded = read()
    with no_collections():
        progress.enter("auditing")
        document = _with_sources(scan(recorded, wish), recorded, wish, arguments.source_root, progress)
        _warn_of_decisions(document, progress)
        whole = read_whole(document, recorded, shard=getattr(arguments, "shard", None) is not None)
        code = _exit_code(document, wish, arguments.fail_on, whole=whole)
        progress.enter("reporting")
        with stored.kept(run, recorded, document, code):
            deliver(document, reporters, arguments.output, progress, run.add if run else None)
        if arguments.evidence:
            _write_evidence(arguments.evidence, document, recorded, progress)
        return teller.tell(document, wish.before, code, run)


def _must_know_what_is_new(arguments: argparse.Namespace) -> None:
    """Refuse a threshold for what is new where nothing can say what is not."""
    only_new, threshold = arguments.fail_on
    if not only_new or arguments.baseline:
        return
    if arguments.store is None:
        raise UsageError(
            f"--fail-on new:{threshold} needs --baseline REPORT or --store PLACE, which says what is not new"
        )
    if getattr(arguments, "shard", None):
        raise UsageError(f"a shard has no baseline; give --fail-on new:{threshold} to aks-audit merge")


def _exit_code(document: "Report", wish: "Wish", fail_on: tuple[bool, str], *, whole: bool) -> int:
    from aks_audit.baseline import beyond  # noqa: PLC0415 - only a scan needs them
    from aks_audit.results import Severity  # noqa: PLC0415

    if fail_on[1] == NO_SEVERITY:
        return OK if whole else INCOMPLETE
    only_new, threshold = fail_on[0], Severity(fail_on[1])
    failures = document.failures(threshold)
    if only_new and wish.before:
        failures = tuple(beyond(wish.before, failures, threshold))
    if failures:
        return FINDINGS
    return OK if whole and not document.unsettled(threshold) else INCOMPLETE


def _check_folders(arguments: argparse.Namespace) -> None:
    """Refuse folders that cannot be written in or read before anything is asked."""
    if arguments.output:
        must_hold(arguments.output, "aks-audit.json")
    if arguments.evidence:
        must_take_files(arguments.evidence)
    if arguments.source_root and not arguments.source_root.is_dir():
        raise UsageError(f"{arguments.source_root}: is no folder; name the repository for --source-root")


def _warn_of_decisions(document: "Report", progress: Progress) -> None:
    """Say which entries of `aks-audit.toml` are not, or not much longer, in force."""
    for entry in document.policy.entries:
        if entry.state != "in-force":
            about = one_line(entry.rule or entry.resource)
            progress.warn(f"{document.policy.file}:{entry.line}: {entry.table} of {about}: {one_line(entry.says)}")


def _with_sources(
    document: "Report", recorded: "Snapshot", wish: "Wish", told: Path | None, progress: Progress
) -> "Report":
    """The report with the lines that declare what findings are about, where a repository is told or has decisions."""
    if told is None and wish.config.file is None:
        return document
    from aks_audit import source_map  # noqa: PLC0415 - needed where a repository is told or found alone

    root = source_map.root_of(wish.config, told)
    if root is None:
        if wish.config.sources:
            progress.warn(f"{wish.config.file}: no repository is around it; name yours by --source-root for [[source]]")
        return document
    placed = source_map.name_sources(document, recorded, wish.config, root)
    for note in placed.notes:
        progress.note(one_line(note))
    return placed.report


def _write_evidence(folder: Path, document: "Report", recorded: "Snapshot", progress: Progress) -> None:
    from aks_audit import evidence  # noqa: PLC0415 - only asked for by an option
    from aks_audit.facts import Estate  # noqa: PLC0415

    written = evidence.write(folder, document.findings, Estate(recorded))
    progress.note(f"wrote {written:,} file{'s' * (written != 1)} of evidence to {folder / 'aks-audit'}")


def _wish(arguments: argparse.Namespace, run: "StoredRun | None") -> "Wish":
    """What is asked of what is read; unusable files and names are refused before anything is."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from aks_audit import baseline, config  # noqa: PLC0415
    from aks_audit.checklist import choose, load_checklists  # noqa: PLC0415
    from aks_audit.commands import azure_pipelines  # noqa: PLC0415
    from aks_audit.engine import load_rules  # noqa: PLC0415
    from aks_audit.scan import Wish  # noqa: PLC0415
    from aks_audit.score import everything  # noqa: PLC0415

    rules = load_rules(arguments.rules)
    lists = (*load_checklists(), everything(rule.text for rule in rules))
    choose(lists, tuple(arguments.checklist))
    installed = {rule.id for rule in load_rules()} if arguments.rules else {rule.id for rule in rules}
    file = arguments.config or config.find(Path.cwd())
    before = baseline.read(arguments.baseline) if arguments.baseline else None
    return Wish(
        today=datetime.now(UTC).date(),
        checklists=tuple(arguments.checklist),
        config=config.read(file) if file else config.Config(),
        before=run.baseline() if run and not before else before,
        pipeline=azure_pipelines.current(os.environ),
        rules=rules,
        named=frozenset(rule.id for rule in rules if rule.id not in installed),
        lists=lists,
    )
