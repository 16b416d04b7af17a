"""The report as Markdown: what a pipeline shows on its job's page, or puts into a comment.

Text from a snapshot stands as it is only where it is plain words; all else stands in a code span, in which no Markdown
makes a link, an element, a mention or a cell.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from aks_audit.report import ChecklistScore, Fix, Report
from aks_audit.results import Finding, Outcome, Severity
from aks_audit_reports import summary
from aks_audit_reports.summary import KINDS, REMEDIES, Unread, count, printable

LARGEST = 900 * 1024
"""How many bytes the file may take; GitHub refuses a step's summary of more than 1,024 KiB."""

HEADINGS = 4 * 1024
"""How many of them are kept for the headings of parts that there is no space for."""

LIMITS = 10
FIXES = 10
CLUSTERS = 200
ENTRIES = 100
CAUSES = 20
FAILURES = 200
"""How many rows of each kind are shown; of failures, of each severity."""

LONGEST_TEXT = 300
LONGEST_COMMAND = 2_000


class Section(NamedTuple):
    """A part of the report: its heading, what stands before its rows, and the rows, of which the last may be left out.

    `all_rows` is how many rows there are in the report, and `noun` what one of them is.
    """

    heading: str
    before: Sequence[str]
    rows: Sequence[str]
    all_rows: int
    noun: str


class MarkdownReporter:
    """Writes `aks-audit.md`."""

    file_name = "aks-audit.md"

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """The summary, of at most `LARGEST` bytes; each part says what it leaves out."""
        del colour  # a file has none
        page = _Page()
        for section in _sections(report):
            page.put(section)
        return page.done()


class _Page:
    """Lines of at most `LARGEST` bytes together."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._left = LARGEST - HEADINGS

    def put(self, section: Section) -> None:
        """Write a section, as many of its rows as there is space for, and how many are left out."""
        told = "\n**{}** not shown here; the HTML and JSON reports have all."
        head = [f"## {section.heading}", "", *section.before] if section.heading else [*section.before]
        note = told.format(count(section.all_rows, section.noun))
        if not self._fits([*head, note, ""]):
            self._add([f"## {section.heading}", note, ""])
            return
        self._add(head)
        shown = 0
        while shown < len(section.rows) and self._fits([section.rows[shown], note, ""]):
            self._add([section.rows[shown]])
            shown += 1
        if left_out := section.all_rows - shown:
            self._add([told.format(count(left_out, f"more {section.noun}"))])
        self._add([""])

    def done(self) -> bytes:
        """The page."""
        return ("\n".join(self._lines).rstrip("\n") + "\n").encode()

    def _fits(self, lines: Iterable[str]) -> bool:
        return _size(lines) <= self._left

    def _add(self, lines: Sequence[str]) -> None:
        self._left -= _size(lines)
        self._lines.extend(lines)


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


_PLAIN = re.compile(r"[A-Za-z(](?:[A-Za-z0-9 ,;()'\"/.?-]|%(?= |$|[),.])|:(?= |[0-9]{2} ))*")
_LINKS = re.compile(r"//|www\.|\bGH-[0-9]|[0-9a-f]{7}", re.IGNORECASE)


def text(hostile: str, longest: int = LONGEST_TEXT) -> str:
    """Text from a snapshot on one line: as it is where it is plain words, else in a code span; empty for none."""
    line = " ".join(printable(hostile).split())
    line = line if len(line) <= longest else line[: longest - 1] + "…"
    if _PLAIN.fullmatch(line) and not _LINKS.search(line):
        return line
    return _code(line)


def _code(line: str) -> str:
    """A code span that may stand in a cell of a table, too: a pipe, which would end the cell, is told by its number."""
    if not line.strip():
        return ""
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return fence + pad + line.replace("|", "\\u007c") + pad + fence


def _block(command: str) -> list[str]:
    """A block of code, without an end before its own."""
    shown = printable(command.replace("\r\n", "\n"))
    shown = shown if len(shown) <= LONGEST_COMMAND else shown[: LONGEST_COMMAND - 1] + "…"
    fence = "`" * max(3, _longest_run(shown) + 1)
    return [f"{fence}sh", *shown.split("\n"), fence]


def _longest_run(line: str) -> int:
    return max((len(run) for run in re.findall("`+", line)), default=0)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _table(*columns: str) -> list[str]:
    return [_row(*columns), _row(*("---" for _ in columns))]


def _section(heading: str, before: Sequence[str], rows: Iterable[str], most: int, noun: str) -> Section:
    made = list(rows)
    return Section(heading, before, made[:most], len(made), noun)


def _sections(report: Report) -> Iterator[Section]:
    failures = report.failures()
    yield Section("", _head(report, failures), (), 0, "")
    if report.fixes:
        rows = [_fix(place, fix) for place, fix in enumerate(report.fixes[:FIXES], 1)]
        yield Section("What to do first", (), rows, len(report.fixes), "step")
    if report.comparison:
        yield from _changes(report)
    yield from _entries(report)
    for severity in Severity:
        of_severity = [failure for failure in failures if failure.severity is severity]
        if of_severity:
            yield _failures(report, severity, of_severity)
    yield from _accepted(report)
    yield from _unread(report)
    yield from _scores(report)


def _head(report: Report, failures: Sequence[Finding]) -> list[str]:
    overall, lists = report.score.overall, report.score.checklists
    counted = [f"{n:,} {severity}" for severity, n in summary.by_severity(failures).items() if n]
    lines = [
        "# AKS audit",
        "",
        f"**{summary.verdict(report, failures)}.**",
        "",
        f"- Score: **{summary.percent(overall)}** ({summary.interval(overall, lists)})",
        f"- Coverage: {summary.decided_share(overall, lists)}",
        f"- Failures: {', '.join(counted) or 'none'}",
    ]
    if accepted := report.accepted():
        lines.append(f"- Accepted by people: {count(len(accepted), 'failure')}, which stay in the score")
    if lagging := summary.lagging(report.findings):
        lines.append(f"- Evidence: {text(lagging)}")
    if not report.scan.complete:
        lines.append("- **The scan is incomplete**: not everything in scope was read")
    limits = [*report.scan.narrowed, *(f"checklist {name}" for name in report.scan.checklists)]
    if limits:
        more = f" and {summary.number(len(limits) - LIMITS)} more" if len(limits) > LIMITS else ""
        lines.append(f"- Limited to {', '.join(text(one) for one in limits[:LIMITS])}{more}")
    return [*lines, f"- Read at {text(summary.time(report.scan.finished))} by {text(_tool(report))}"]


def _tool(report: Report) -> str:
    return f"{report.tool.name} {report.tool.version}"


def _fix(place: int, fix: Fix) -> str:
    about = summary.short(fix.resources[0]) if len(fix.resources) == 1 else count(len(fix.resources), "resource")
    mends = count(len(fix.findings), "failure") + (f", and then {len(fix.then):,} more" if fix.then else "")
    change = f", {text(fix.change)}" if fix.change else ""
    says = f"{place}. **{fix.severity}** {text(fix.title)}: {text(about)}, mends {mends}{change}"
    return "\n".join([says, "", *(f"   {line}" for line in _block(fix.command)), ""]) if fix.command else says


def _changes(report: Report) -> Iterator[Section]:
    comparison = report.comparison
    if comparison is None:
        return
    carried = [
        f"- **{one.severity}** {text(one.rule)} {text(summary.short(one.resource))}: {text(one.message)}"
        for one in comparison.carried
    ]
    before = [text(summary.since(comparison))] if not carried else [text(summary.since(comparison)), "", _CARRIED, ""]
    yield _section("Since the baseline", before, carried, ENTRIES, "failure")


_CARRIED = "Failed then, and could not be, or was not asked to be, looked at again:"


def _entries(report: Report) -> Iterator[Section]:
    told = [entry for entry in report.policy.entries if entry.state != "in-force"]
    if told:
        file = text(report.policy.file or "")
        rows = [
            _row(
                f"line {entry.line}",
                entry.state,
                entry.table,
                text(entry.rule),
                text(entry.resource),
                text(entry.owner),
                text(entry.says),
            )
            for entry in told
        ]
        columns = _table("Where", "State", "Entry", "Rule", "Resource", "Owner", "What became of it")
        before = [f"Entries of {file} that expire or are at fault:", "", *columns]
        yield _section("Exceptions to look at", before, rows, ENTRIES, "line")


def _failures(report: Report, severity: Severity, failures: Sequence[Finding]) -> Section:
    titles = {rule.id: rule.title for rule in report.rules}
    rules = summary.open_rules(report)
    compared = report.comparison is not None
    columns = ("Rule", "What should hold", "Resource", "What was found")
    rows = (
        _row(
            text(one.rule),
            text(titles.get(one.rule, one.rule)),
            text(summary.short(one.resource)),
            text(_found(one, rules)),
            *([one.change or ""] if compared else []),
        )
        for one in failures
    )
    header = _table(*columns, "Change") if compared else _table(*columns)
    return _section(f"{severity.capitalize()}: {count(len(failures), 'failure')}", header, rows, FAILURES, "failure")


def _found(failure: Finding, rules: Mapping[str, str]) -> str:
    """What was found, and what must be mended first."""
    causes = summary.mend_first(failure, rules)
    return f"{failure.message} (first {', '.join(causes)})" if causes else failure.message


def _accepted(report: Report) -> Iterator[Section]:
    rows = [
        _row(one.severity, text(one.rule), text(summary.short(one.resource)), text(summary.accepted(one.exception)))
        for one in report.accepted()
        if one.exception
    ]
    if rows:
        yield _section(
            "Accepted by people", _table("Severity", "Rule", "Resource", "Exception"), rows, ENTRIES, "failure"
        )


def _unread(report: Report) -> Iterator[Section]:
    groups = summary.unread(report.coverage.unread)
    if groups:
        before = [f"It leaves {count(report.coverage.unknown, 'finding')} unknown.", ""]
        yield _section("What could not be read", before, (_cause(group) for group in groups), CAUSES, "cause")


def _cause(group: Unread) -> str:
    example, *others = group.missing
    says = f"- {KINDS[group.kind]}, {count(len(group.missing), 'thing')}{', for example' if others else ''}: "
    mend = (
        f"It takes {text(group.action)} on {text(group.scope, 1_000) or count(len(group.scopes), 'scope')}."
        if group.action
        else REMEDIES[group.kind]
    )
    return f"{says}{text(example.reason.removesuffix('.'))}. {mend}"


def _scores(report: Report) -> Iterator[Section]:
    scored = {score.id.lower(): score for score in report.score.clusters}
    rows = (
        _row(
            text(cluster.name),
            text(cluster.resource_group),
            *_scored(scored[cluster.id.lower()]),
            *(f"{cluster.outcomes.get(outcome, 0):,}" for outcome in (Outcome.FAIL, Outcome.UNKNOWN, Outcome.PASS)),
        )
        for cluster in report.clusters
    )
    if report.clusters:
        columns = ("Cluster", "Resource group", "Score", "Interval", "Coverage", "Failed", "Unknown", "Passed")
        yield _section("Clusters", _table(*columns), rows, CLUSTERS, "cluster")
    lists = [_row(text(one.title), *_scored(one, (one,))) for one in report.score.checklists]
    if lists:
        yield _section("Checklists", _table("Checklist", "Score", "Interval", "Coverage"), lists, ENTRIES, "checklist")


def _scored(score: summary.Scored, lists: Sequence[ChecklistScore] = ()) -> tuple[str, str, str]:
    coverage = summary.left_to_people(lists) or f"{summary.coverage(score):.1f} %"
    return summary.percent(score), summary.interval(score, lists), coverage


REPORTER = MarkdownReporter()
