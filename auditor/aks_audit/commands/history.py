"""`aks-audit history`: score and findings over time, of the reports in a store."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit.commands import INCOMPLETE, OK, UsageError
from aks_audit.commands.options import add_command, add_sign_in
from aks_audit.commands.output import must_hold, print_bytes, print_lines
from aks_audit.commands.stored import PLACE, open_store, scope_or_run
from aks_audit.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from aks_audit.commands.options import Commands
    from aks_audit.history.model import History
    from aks_audit.history.reports import Rows
    from aks_audit.store.runs import Run
    from aks_audit.store.store import Store

EXAMPLES = """\
examples:
  aks-audit history --store audits                            every run of every scope
  aks-audit history --store audits --scope production --since 90d
  aks-audit history --store audits --cluster 'aks-*' --format html -o history.html

A score's interval says what it would be in the worst and the best case of what could not be read. New and mended are
held against the baseline of each run, which is the last complete run before it; a dash stands where there was none.

exit codes:
  0  every report was read
  2  wrong usage, or there is no run to tell of
  3  the report of some run could not be read; the others are told of
"""


def add(commands: "Commands") -> None:
    """Put the command on the parser."""
    history = add_command(
        commands,
        _run,
        "history",
        "score and findings over time",
        "Tell score and findings over time, of each scope and each cluster, by the reports that scan --store kept.",
        EXAMPLES,
    )
    history.add_argument("--store", required=True, metavar="PLACE", help=f"where the runs are: {PLACE}")
    history.add_argument("--scope", type=scope_or_run, metavar="NAME", help="only this scope (default: all)")
    history.add_argument(
        "--cluster",
        action="append",
        default=[],
        metavar="C",
        help="show only these clusters, by id, name or glob (repeatable); totals are still of all",
    )
    history.add_argument(
        "--since",
        type=_since,
        metavar="TIME",
        help="only runs since a day, such as 2026-09-01, or in the last 90d, 12w, 6m",
    )
    history.add_argument("--format", choices=("text", "json", "html"), default="text", help="default: text")
    history.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it here (default: standard output)")
    add_sign_in(history.add_argument_group("signing in to a container"))


def _since(text: str) -> "date":
    """A day, as it is or so long ago."""
    from datetime import UTC, date, datetime  # noqa: PLC0415

    from aks_audit.due import back  # noqa: PLC0415

    try:
        return date.fromisoformat(text) if "-" in text else back(text, datetime.now(UTC).date())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day, such as 2026-09-01, nor a span, such as 90d") from None


def _run(arguments: argparse.Namespace, progress: Progress) -> int:
    from aks_audit.history import database  # noqa: PLC0415 - only a history needs them
    from aks_audit.snapshot import write_atomically  # noqa: PLC0415

    database.must_be_installed()
    if arguments.output:
        must_hold(arguments.output.parent, arguments.output.name)
    history = _history(arguments, progress)
    data = _rendered(history, arguments.format)
    if arguments.output:
        write_atomically(arguments.output, data)
        progress.note(f"wrote {arguments.output}")
    else:
        (print_lines if arguments.format == "text" else print_bytes)(data)
    return INCOMPLETE if history.unread else OK


def _history(arguments: argparse.Namespace, progress: Progress) -> "History":
    from aks_audit import __version__  # noqa: PLC0415
    from aks_audit.history import database  # noqa: PLC0415
    from aks_audit.history.model import SCHEMA, History, only  # noqa: PLC0415
    from aks_audit.report import Tool  # noqa: PLC0415

    store = open_store(arguments, progress)
    runs = list(_runs(store, arguments, progress))
    unread: list[Run] = []
    scopes = database.scopes(_rows(store, runs, unread, progress))
    if not scopes:
        raise UsageError(f"{arguments.store}: {_nothing(arguments)}; runs are kept by `aks-audit scan --store`")
    if arguments.cluster:
        scopes = only(scopes, arguments.cluster)
    return History(SCHEMA, Tool("aks-audit", __version__), scopes, len(unread))


def _nothing(arguments: argparse.Namespace) -> str:
    of = f" of {arguments.scope}" if arguments.scope else ""
    since = f" since {arguments.since}" if arguments.since else ""
    return f"there is no run{of}{since} whose report can be read"


def _runs(store: "Store", arguments: argparse.Namespace, progress: Progress) -> "Iterator[Run]":
    """The runs that are asked for."""
    from aks_audit.history.reports import finished  # noqa: PLC0415
    from aks_audit.store import runs  # noqa: PLC0415

    for scope in [arguments.scope] if arguments.scope else runs.scopes(store):
        for run in runs.runs(store, scope, progress.warn):
            if not arguments.since or finished(run)[:10] >= arguments.since.isoformat():
                yield run


def _rows(store: "Store", runs: "list[Run]", unread: "list[Run]", progress: Progress) -> "Iterator[Rows]":
    """What the reports say; those that cannot be read are said, and put aside."""
    from aks_audit.errors import AuditError  # noqa: PLC0415
    from aks_audit.history.reports import rows  # noqa: PLC0415

    for run in runs:
        try:
            yield rows(store, run)
        except AuditError as problem:
            progress.warn(str(problem))
            unread.append(run)


def _rendered(history: "History", form: str) -> bytes:
    from aks_audit.history import model, text  # noqa: PLC0415

    if form == "json":
        return model.as_json(history).encode()
    if form == "text":
        return text.as_text(history).encode()
    from aks_audit.history.page import as_html  # noqa: PLC0415 - only a page needs templates

    return as_html(history)
