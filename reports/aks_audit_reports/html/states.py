"""What people tell findings apart by: the four outcomes, and failures that a person accepted."""

from collections import Counter
from collections.abc import Iterable, Mapping

from aks_audit.results import Exemption, Finding, Outcome, Severity

STATES = ("fail", "accepted", "unknown", "pass", "not-applicable")
"""The states of findings, in the order in which people look at them."""

PLACES: Mapping[str, int] = {state: place for place, state in enumerate(STATES)}


def state(finding: Finding) -> str:
    """A finding's outcome; `accepted` for a failure that stands beside an exception."""
    return "accepted" if finding.exception and finding.outcome is Outcome.FAIL else finding.outcome.value


def counted(findings: Iterable[Finding]) -> tuple[tuple[str, int], ...]:
    """How many findings there are of each state; none of them accepted is not told."""
    counts = Counter(map(state, findings))
    return tuple((name, counts[name]) for name in STATES if counts[name] or name != "accepted")


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by state, severity, rule and resource."""
    severities = {severity: place for place, severity in enumerate(Severity)}
    return sorted(findings, key=lambda f: (PLACES[state(f)], severities[f.severity], f.rule, f.resource.lower()))


def agreed(exception: Exemption) -> str:
    """Who lives with a failure and how long, in a line."""
    by = f", approved by {exception.approved_by}" if exception.approved_by else ""
    return f"Accepted until {exception.expires} by {exception.owner}{by}"
