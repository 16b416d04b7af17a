"""The report for the terminal: what a person reads in ten seconds, and where to look next."""

import textwrap
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import chain

from aks_audit.report import EntryState, Fix, Report
from aks_audit.results import Finding, Severity
from aks_audit_reports import summary
from aks_audit_reports.summary import KINDS, REMEDIES, FailedRule, Unread, count, printable

WIDTH = 100
"""How many columns a line may take; longer ones are cut with an ellipsis."""

RULES, BESIDE_FIXES = 10, 5
"""How many failed rules are shown, and how many where fixes stand before them."""

FIXES = 5
"""How many of the fixes are shown, those of the same rules together."""

ENTRIES = 3
"""How many entries of `aks-audit.toml` that are at fault are shown."""

CAUSES = 4
"""How many causes of what could not be read are shown."""


class _Style(StrEnum):
    """The terminal's codes for what we colour; `NONE` is as the terminal is."""

    NONE = ""
    STRONG = "1"
    QUIET = "2"
    CRITICAL = "1;31"
    HIGH = "31"
    MEDIUM = "33"
    LOW = "36"


_OF_SEVERITY = {
    Severity.CRITICAL: _Style.CRITICAL,
    Severity.HIGH: _Style.HIGH,
    Severity.MEDIUM: _Style.MEDIUM,
    Severity.LOW: _Style.LOW,
    Severity.INFO: _Style.QUIET,
}


class ConsoleReporter:
    """Writes to the terminal."""

    file_name = None

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """The summary as lines of at most `WIDTH` columns, scopes apart; with escape codes for colour only if asked."""
        pen = _Pen(colour=colour)
        failures = report.failures()
        failed = summary.failed_rules(report, failures)
        blocks = (
            _head(report, failures, pen),
            _first(report, pen),
            _failed(failed, BESIDE_FIXES if report.fixes else RULES, pen),
            _unread(report, pen),
            _policy(report, pen),
            _next(report, failed, pen),
        )
        written = ["\n".join(block) for block in (list(lines) for lines in blocks) if block]
        return ("\n\n".join(written) + "\n").encode()


class _Pen:
    """Puts pieces of text on a line: harmless to a terminal, no wider than it may be, coloured if asked."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def whole(self, text: str, style: _Style) -> str:
        """A line that is not cut, because a person copies it."""
        return self._styled(_one_line(text), style)

    def wrapped(self, first: str, text: str) -> Iterator[str]:
        """As many lines as a text takes, the later ones as far in as `first` leaves it."""
        yield from textwrap.wrap(_one_line(text), WIDTH, initial_indent=first, subsequent_indent=" " * len(first))

    def line(self, *pieces: tuple[str, _Style] | str) -> str:
        """A line that is cut where it is too wide."""
        left = WIDTH
        written = []
        for piece in pieces:
            text, style = (piece, _Style.NONE) if isinstance(piece, str) else piece
            shown = _cut(_one_line(text), left)
            left -= len(shown)
            written.append(self._styled(shown, style))
        return "".join(written).rstrip()

    def _styled(self, text: str, style: _Style) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._colour and style and text else text


def _one_line(text: str) -> str:
    return printable(text).replace("\n", " ")


def _cut(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    return text[: width - 1] + "…" if width > 0 else ""


def _head(report: Report, failures: Sequence[Finding], pen: _Pen) -> Iterator[str]:
    overall, lists = report.score.overall, report.score.checklists
    value = "nothing decided" if overall.value is None else f"{overall.value:.1f} %"
    counted = summary.by_severity(failures).items()
    yield pen.line((summary.verdict(report, failures), _Style.STRONG))
    yield pen.line("Score     ", (value, _Style.STRONG), f"  ({summary.interval(overall, lists)})")
    yield pen.line("Coverage  ", summary.decided_share(overall, lists))
    tally = [("  ", (f"{n:,} {severity}", _OF_SEVERITY[severity])) for severity, n in counted if n]
    if lagging := summary.lagging(report.findings):
        yield pen.line("Evidence  ", lagging)
    yield pen.line("Failures", *(chain.from_iterable(tally) if tally else ("  none",)))
    if accepted := report.accepted():
        ends = min(finding.exception.expires for finding in accepted if finding.exception)
        told = "the exception ends" if len(accepted) == 1 else "the first exception ends"
        yield pen.line(
            "Accepted  ", f"{count(len(accepted), 'failure')} beside these, in the score too; {told} on {ends}"
        )
    if report.comparison:
        yield from pen.wrapped("Change    ", summary.since(report.comparison).removesuffix("."))


_LONGEST_RULE = 40


def _first(report: Report, pen: _Pen) -> Iterator[str]:
    """What to do first, a line for all fixes of the same rules."""
    groups: dict[tuple[str, ...], list[Fix]] = {}
    for fix in report.fixes:
        groups.setdefault(fix.rules, []).append(fix)
    if groups:
        yield pen.line(("What to do first", _Style.STRONG), ", by the risk that it takes away for what it costs")
    for number, (rules, fixes) in enumerate(list(groups.items())[:FIXES], 1):
        where = list(dict.fromkeys(summary.short(resource) for fix in fixes for resource in fix.resources))
        more = f" and {len(where) - 1:,} more" if len(where) > 1 else ""
        mended = count(sum(len(fix.findings) for fix in fixes), "failure")
        if then := sum(len(fix.then) for fix in fixes):
            mended += f", then {then:,} more"
        how = f"  aks-audit explain {_cut(_one_line(rules[0]), _LONGEST_RULE)}"
        said = _cut(_one_line(f"  {number}. {fixes[0].title}: {where[0]}{more}, {mended}"), WIDTH - len(how))
        yield pen.line(f"{said:{WIDTH - len(how)}}", (how, _Style.STRONG))
    if len(groups) > FIXES:
        yield pen.line((f"  and {len(groups) - FIXES:,} more", _Style.QUIET))


def _failed(failed: Sequence[FailedRule], most: int, pen: _Pen) -> Iterator[str]:
    if not failed:
        return
    yield pen.line(("What should hold, but does not", _Style.STRONG))
    column = max(len(_one_line(rule.rule)) for rule in failed[:most])
    for rule in failed[:most]:
        yield from _rule(rule, column, pen)
    if len(failed) > most:
        yield pen.line((f"  and {count(len(failed) - most, 'rule')} more", _Style.QUIET))


def _rule(failed: FailedRule, column: int, pen: _Pen) -> Iterator[str]:
    example = failed.failures[0]
    reach = f"{summary.extent(failed)}, for example " if len(failed.failures) > 1 else ""
    yield pen.line(
        "  ", (f"{failed.severity:8}", _OF_SEVERITY[failed.severity]), f"  {failed.rule:{column}}  ", failed.title
    )
    yield pen.line(" " * (column + 14), (f"{reach}{summary.short(example.resource)}: {example.message}", _Style.QUIET))
    if failed.then:
        yield pen.line(" " * (column + 14), (f"then {', '.join(failed.then)}", _Style.QUIET))


def _unread(report: Report, pen: _Pen) -> Iterator[str]:
    groups = summary.unread(report.coverage.unread)
    if not groups:
        return
    unknown = count(report.coverage.unknown, "finding")
    yield pen.line(("What could not be read", _Style.STRONG), f" (it leaves {unknown} unknown)")
    for group in groups[:CAUSES]:
        yield from _cause(group, pen)
    if len(groups) > CAUSES:
        yield pen.line((f"  and {count(len(groups) - CAUSES, 'cause')} more", _Style.QUIET))


def _cause(group: Unread, pen: _Pen) -> Iterator[str]:
    example, *others = group.missing
    things = f"{count(len(group.missing), 'thing')}{', for example' if others else ''}"
    yield pen.line(f"  {KINDS[group.kind]}, {things}: {example.reason}")
    if group.action:
        yield pen.line((f"    It takes {group.action} on", _Style.QUIET))
        yield pen.whole(f"    {group.scope or count(len(group.scopes), 'scope')}", _Style.QUIET)
    else:
        yield pen.line((f"    {REMEDIES[group.kind]}", _Style.QUIET))


def _policy(report: Report, pen: _Pen) -> Iterator[str]:
    """The entries of `aks-audit.toml` that decide nothing, or will not for long."""
    file = report.policy.file or "aks-audit.toml"
    entries = [entry for entry in report.policy.entries if entry.state != "in-force"]
    if entries:
        yield pen.line(("What people decided, and is at fault, unused or expires", _Style.STRONG))
    worst = sorted(entries, key=lambda entry: (_STATES.index(entry.state), entry.line))
    for entry in worst[:ENTRIES]:
        about = entry.rule or summary.short(entry.resource)
        yield pen.line(f"  {file}:{entry.line}: {entry.table} of {about}: {entry.says}")
    if len(entries) > ENTRIES:
        yield pen.line((f"  and {len(entries) - ENTRIES:,} more: aks-audit config check", _Style.QUIET))


_STATES: tuple[EntryState, ...] = ("malformed", "expired", "expiring", "unused", "in-force")


def _next(report: Report, failed: Sequence[FailedRule], pen: _Pen) -> Iterator[str]:
    if failed and not report.fixes:
        yield pen.line("Why it matters and how to mend it:  ", (f"aks-audit explain {failed[0].rule}", _Style.STRONG))
    yield pen.line("The whole report, HTML to JSON:     ", ("aks-audit scan … --output DIR", _Style.STRONG))


REPORTER = ConsoleReporter()
