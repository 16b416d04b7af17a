"""The report as JUnit XML: what CI systems show as tests.

A suite is a cluster, a case is a rule about a resource. A failure that nobody accepted fails. What is unknown is an
error where it leaves the scan incomplete, and skipped where the scan is complete all the same; so are what people
accepted and what does not apply, with their reasons. Nothing but a pass looks like one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias
from xml.sax.saxutils import escape, quoteattr

import msgspec

from aks_audit.report import Report
from aks_audit.results import ENOUGH, Finding, Missing, Outcome
from aks_audit_reports import summary
from aks_audit_reports.summary import printable, short

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
        texts = _Texts({rule.id: rule.title for rule in report.rules}, summary.open_rules(report))
        suites = [_suite(name, findings, texts, report.scan.finished) for name, findings in _by_cluster(report).items()]
        counted = sum((counter for counter, _ in suites), Counter[str]())
        lines = [f"<testsuites {_attributes(name=report.tool.name)} {_totals(counted)}>"]
        lines.extend(line for _, suite in suites for line in suite)
        return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', *lines, "</testsuites>", ""]).encode()


class _Texts(NamedTuple):
    """What cases tell of others: the titles of rules by id, and the rules of open failures by fingerprint."""

    titles: Mapping[str, str]
    failed: Mapping[str, str]


def _by_cluster(report: Report) -> dict[str, list[Finding]]:
    names = {cluster.id.lower(): cluster.id for cluster in report.clusters}
    found: dict[str, list[Finding]] = {cluster.id: [] for cluster in report.clusters}
    for finding in (*report.findings, *_carried(report)):
        about = dict.fromkeys(names.get(cluster.lower(), cluster) for cluster in finding.clusters) or (NOWHERE,)
        for cluster in about:
            found.setdefault(cluster, []).append(finding)
    return found


def _carried(report: Report) -> Iterator[Finding]:
    """What failed before and was not looked at again, as what cannot be decided; unless a finding says so itself."""
    told = {finding.fingerprint for finding in report.findings}
    for finding in report.comparison.carried if report.comparison else ():
        if finding.fingerprint not in told:
            missing = Missing(finding.resource, "not-asked", "It was not looked at again", None, None)
            says = f"failed before, and was not looked at again: {finding.message}"
            yield msgspec.structs.replace(finding, outcome=Outcome.UNKNOWN, message=says, missing=(missing,))


def _suite(
    name: str, findings: Iterable[Finding], texts: _Texts, finished: str | None
) -> tuple[Counter[str], Sequence[str]]:
    told: list[tuple[State, Finding]] = [(_state(finding), finding) for finding in findings]
    counted: Counter[str] = Counter(state for state, _ in told)
    head = f"  <testsuite {_attributes(name=name, timestamp=_moment(finished))} {_totals(counted)}>"
    cases = [line for state, finding in told for line in _case(state, finding, texts)]
    return counted, [head, *cases, "  </testsuite>"]


def _state(finding: Finding) -> State:
    if finding.outcome is Outcome.PASS:
        return "passed"
    if finding.outcome is Outcome.FAIL:
        return "skipped" if finding.exception else "failure"
    if finding.outcome is Outcome.UNKNOWN:
        incomplete = any(missing.kind not in ENOUGH for missing in finding.missing) or not finding.missing
        return "error" if incomplete else "skipped"
    return "skipped"


def _case(state: State, finding: Finding, texts: _Texts) -> list[str]:
    name = f"{finding.rule} {texts.titles.get(finding.rule, '')}: {short(finding.resource)}"
    head = f'    <testcase {_attributes(classname=finding.rule, name=name)} time="0"'
    if state == "passed":
        return [f"{head}/>"]
    says = _attributes(message=_says(finding))
    if state == "skipped":
        return [f"{head}><skipped {says}/></testcase>"]
    kind = _attributes(type=finding.severity if state == "failure" else "unknown")
    details = _details(finding, summary.mend_first(finding, texts.failed))
    return [f"{head}><{state} {says} {kind}>{_text(details)}</{state}></testcase>"]


def _says(finding: Finding) -> str:
    if finding.exception:
        return f"{summary.accepted(finding.exception)}. {finding.message}"
    if finding.outcome is Outcome.FAIL:
        new = f" ({finding.change})" if finding.change else ""
        return f"{finding.severity}{new}: {finding.message}"
    return f"{finding.outcome}: {finding.message}"


def _details(finding: Finding, first: Sequence[str]) -> str:
    lines = [finding.message, finding.resource]
    if first:
        lines.append(f"Mend first: {', '.join(first)}")
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
