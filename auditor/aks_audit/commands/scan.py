"""`aks-audit scan`: audit an estate and report."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit.commands import EXIT_CODES, FINDINGS, INCOMPLETE, OK, UsageError
from aks_audit.commands.live import is_recorded, print_plan, refuse_what_is_live, snapshot_of
from aks_audit.commands.options import add_command, add_estate, add_rules
from aks_audit.commands.output import DEFAULT_FILES, FORMATS, deliver, must_hold, must_take_files, reporters_of
from aks_audit.progress import Progress, one_line

if TYPE_CHECKING:
    from aks_audit.commands.options import Commands
    from aks_audit.report import Report
    from aks_audit.scan import Wish
    from aks_audit.snapshot import Snapshot


SEVERITIES = ("critical", "high", "medium", "low", "info")


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
        "it, on those alone that the baseline has not",
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


def _formats() -> str:
    """What the help says of each format that comes with aks-audit."""
    lines = [f"  {name:18} {purpose}" for name, purpose in FORMATS.items()]
    return "\n".join(["formats (packages installed beside aks-audit may bring more):", *lines, "", ""])


def _threshold(text: str) -> tuple[bool, str]:
    new, _, severity = text.rpartition(":")
    if severity not in SEVERITIES or new not in {"", "new"}:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SEVERITIES)}, nor one of them after new:")
    return bool(new), severity


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _run(arguments: argparse.Namespace, progress: Progress) -> int:
    from aks_audit.baseline import beyond  # noqa: PLC0415 - only a scan needs them
    from aks_audit.results import Severity  # noqa: PLC0415
    from aks_audit.scan import scan  # noqa: PLC0415

    if is_recorded(arguments):
        refuse_what_is_live(arguments)
    elif arguments.dry_run:
        return print_plan(arguments, progress)
    only_new, threshold = arguments.fail_on
    if only_new and not arguments.baseline:
        raise UsageError(f"--fail-on new:{threshold} needs --baseline REPORT, which says what is not new")
    reporters = reporters_of(arguments.format, arguments.output)
    _check_folders(arguments)
    wish = _wish(arguments)
    recorded = snapshot_of(arguments, progress)
    document = _with_sources(scan(recorded, wish), recorded, wish, arguments.source_root, progress)
    _warn_of_decisions(document, progress)
    deliver(document, reporters, arguments.output, progress)
    if arguments.evidence:
        _write_evidence(arguments.evidence, document, recorded, progress)
    failures = document.failures(Severity(threshold))
    if only_new and wish.before:
        failures = tuple(beyond(wish.before, failures, Severity(threshold)))
    if failures:
        return FINDINGS
    return OK if document.scan.complete and not document.unsettled(Severity(threshold)) else INCOMPLETE


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


def _wish(arguments: argparse.Namespace) -> "Wish":
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
    return Wish(
        today=datetime.now(UTC).date(),
        checklists=tuple(arguments.checklist),
        config=config.read(file) if file else config.Config(),
        before=baseline.read(arguments.baseline) if arguments.baseline else None,
        pipeline=azure_pipelines.current(os.environ),
        rules=rules,
        named=frozenset(rule.id for rule in rules if rule.id not in installed),
        lists=lists,
    )
