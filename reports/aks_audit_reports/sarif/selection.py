"""Which findings a file holds, and in which order."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from aks_audit.report import Fixed, Report
from aks_audit.results import Finding, Outcome, Severity
from aks_audit_reports.sarif.category import could_hold
from aks_audit_reports.sarif.results import LONGEST_REASON, plain


class Selection(NamedTuple):
    """Open failures, worst first; of those that are carried on, by fingerprint, why nobody could evaluate them again.

    `others` and `mended` are what only a whole file holds; `elsewhere` counts what was asked for by other scans.
    """

    failures: tuple[Finding, ...]
    again: Mapping[str, str]
    others: tuple[Finding, ...]
    mended: tuple[Fixed, ...]
    elsewhere: int


def select(report: Report, *, whole: bool) -> Selection:
    """What a file about a report holds.

    Of the failures that the comparison with a baseline carried on, those that this scan's category can hold are
    failures here too: a service would otherwise take them for mended.
    """
    told = report.comparison.carried if report.comparison else ()
    held = could_hold(report)
    carried = tuple(failure for failure in told if held(failure))
    elsewhere = len(told) - len(carried)
    unaccepted = tuple(failure for failure in carried if failure.exception is None)
    failures = _worst_first(report.failures(), unaccepted)
    if not whole:
        return Selection(failures, dict(_reasons(report, unaccepted)), (), (), elsewhere)
    again = dict(_reasons(report, carried))
    rest = (one for one in report.findings if one.outcome is not Outcome.FAIL and one.fingerprint not in again)
    accepted = (*report.accepted(), *(one for one in carried if one.exception))
    mended = report.comparison.fixed if report.comparison else ()
    return Selection(failures, again, (*accepted, *rest), mended, elsewhere)


def _worst_first(failures: tuple[Finding, ...], more: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Failures in the report's own order, and more of them among them."""
    if not more:
        return failures
    order = {severity: place for place, severity in enumerate(Severity)}
    return tuple(sorted([*failures, *more], key=lambda f: (order[f.severity], f.rule, f.resource.lower())))


def _reasons(report: Report, carried: tuple[Finding, ...]) -> Iterator[tuple[str, str]]:
    """Why each could not be evaluated: what the rule says now of the same or of its cluster, or that nobody asked."""
    if not carried:
        return
    asked = {rule.id for rule in report.rules}
    unknown = [finding for finding in report.findings if finding.outcome is Outcome.UNKNOWN]
    same = {finding.fingerprint: finding.message for finding in unknown}
    of_cluster = {(one.rule, cluster.lower()): one.message for one in unknown for cluster in one.clusters}
    for failure in carried:
        near = (of_cluster.get((failure.rule, cluster.lower())) for cluster in failure.clusters)
        reason = same.get(failure.fingerprint) or next((message for message in near if message), "")
        if not reason:
            reason = "its resource is not among what was read" if failure.rule in asked else "its rule was not asked"
        yield failure.fingerprint, plain(reason, LONGEST_REASON).removesuffix(".")
