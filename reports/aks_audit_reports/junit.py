"""The report as JUnit XML: what CI systems show as tests.

A suite is a cluster, a case is a rule about a resource. A failure that nobody accepted fails. What is unknown is an
error where it leaves the scan incomplete, and skipped where the scan is complete all the same; so are what people
accepted and what does not apply, with their reasons. Nothing but a pass looks like one.
"""

from collections import Counter
from typing import Literal, TypeAlias
from xml.sax.saxutils import escape, quoteattr

from aks_audit.report import Report
from aks_audit_reports import summary
from aks_audit_reports.summary import printable

State: TypeAlias = Literal["passed", "failure", "error", "skipped"]

NOWHERE = "Of no cluster"
"""The suite of what concerns no cluster that is known."""

LONGEST_NAME = 500
LONGEST_TEXT = 4_000


class JUnitReporter:
    """Writes `aks-audit.junit.xml`."""

    file_name = "aks-audit.junit.xml"

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """A suite for each cluster; what concerns several clusters is a case of each."""
        del colour  # a file has none
        titles = {rule.id: rule.title for rule in report.rules}
        suites = [
            _suite(name, findings, titles, report.scan.finished) for name, findings in _by_cluster(report).items()
        ]
        counted = sum((counter for counter, _ in suites), Counter[str]())
        lines = [f"<testsuites {_attributes(name=report.tool.name)} {_totals(counted)}>"]
        needed = [one for one in finding.missing if one.action]

    lines.extend(f"{one.reason}. It takes {one.action} on {one.scope or one.what}" for one in needed)
    if finding.source:
        lines.append(f"{finding.source.path}:{finding.source.line}")
    if finding.remediation:
        lines.append(finding.remediation.command)
    return "\n".join(lines)


def _totals(counted: Counter[str]) -> str:
    failures, errors, skipped = counted["failure"], counted["error"], counted["skipped"]
    return f'tests="{counted.total()}" failures="{failures}" errors="{errors}" skipped="{skipped}" time="0"'


def _attributes(**values: str) -> str:
    return " ".join(f"{name}={quoteattr(_line(value))}" for name, value in values.items() if value)


def _line(hostile: str) -> str:
    """Text from a snapshot on one line of printable characters, which XML can hold."""
    line = " ".join(printable(hostile).split())
    return line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 1] + "…"


def _text(hostile: str) -> str:
    shown = printable(hostile)
    return escape(shown if len(shown) <= LONGEST_TEXT else shown[: LONGEST_TEXT - 1] + "…")


def _moment(finished: str | None) -> str:
    """A recorded time as JUnit has it: without fractions and zone, which is UTC; empty where it has no such form."""
    told = summary.time(finished)
    return f"{finished[:19]}" if finished and told.endswith(" UTC") else ""


REPORTER = JUnitReporter()
