"""What every report for people says in the same words: the verdict, what fails most, and what could not be read."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from aks_audit.report import ChecklistScore, Comparison, Report
from aks_audit.results import Evidence, Exemption, Finding, Index, Missing, MissingKind, RuleText, Severity

KINDS: dict[MissingKind, str] = {
    "refused": "Refused",
    "not-asked": "Not asked for",
    "not-read": "Not read",
    "not-sent": "Not in Azure's answer",
    "malformed": "Malformed",
    "contradictory": "Contradictory",
    "unheard-of": "New to this version",
    "crashed": "A rule crashed",
}
"""The kinds of what could not be read, in a person's words."""

INDEXES: dict[Index, str] = {"graph": "Resource Graph"}
"""What evidence may be read from instead of the resources themselves, by the names that people know."""

REMEDIES: dict[MissingKind, str] = {
    "refused": "Give the identity that collects the snapshot the permission to read it.",
    "not-asked": "Ask for it by the option that is named there.",
    "not-read": "Collect the snapshot again with it in scope.",
    "not-sent": "An older api-version may leave it out; a current one sends it, or Azure has no value for it.",
    "malformed": "Collect the snapshot again; what stays malformed is worth a bug report.",
    "contradictory": "Collect the snapshot again in one run, so that all of it is of one time.",
    "unheard-of": "A newer version of aks-audit may know it.",
    "crashed": "This is a fault of the rule; please report it.",
}
"""What mends it, by kind."""


class Scored(Protocol):
    """A score, of whatever it is."""

    @property
    def value(self) -> float | None: ...  # noqa: D102 - see aks_audit.score
    @property
    def low(self) -> float | None: ...  # noqa: D102
    @property
    def high(self) -> float | None: ...  # noqa: D102
    @property
    def decided(self) -> int: ...  # noqa: D102
    @property
    def unknown(self) -> int: ...  # noqa: D102


class FailedRule(NamedTuple):
    """A rule that failed: the worst severity among its failures, and the failures, worst first.

    `then` are the rules some of whose failures can only be mended after these.
    """

    rule: str
    title: str
    severity: Severity
    failures: tuple[Finding, ...]
    then: tuple[str, ...] = ()


class Unread(NamedTuple):
    """What could not be read for one cause: its kind, the permission that would mend it (if one would), the things."""

    kind: MissingKind
    action: str | None
    missing: tuple[Missing, ...]

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that the permission is needed on."""
        return tuple(dict.fromkeys(missing.scope for missing in self.missing if missing.scope))

    @property
    def scope(self) -> str:
        """The one scope, resource group or subscription that holds them all; empty where there is none."""
        if len(self.scopes) == 1:
            return self.scopes[0]
        for parts in (5, 3):  # /subscriptions/S/resourceGroups/G and /subscriptions/S, taken apart at each slash
            holding = {"/".join(scope.split("/")[:parts]).lower() for scope in self.scopes}
            if len(holding) == 1:
                return "/".join(self.scopes[0].split("/")[:parts])
        return ""


def verdict(report: Report, failures: Sequence[Finding]) -> str:
    """The result in one short sentence, without a full stop; the failures are the report's, worst first."""
    if not report.clusters:
        return "No cluster was found in what was read"
    where = count(len(report.clusters), "cluster")
    if not report.rules and (people := left_to_people(report.score.checklists)):
        return f"{people}, and nothing else was asked about {where}"
    return f"{_failed(failures)} on {where}" if failures else _nothing_failed(report, where)


def _failed(failures: Sequence[Finding]) -> str:
    worst = failures[0].severity
    of_worst = sum(failure.severity is worst for failure in failures)
    if of_worst == len(failures):
        return count(of_worst, f"{worst} failure")
    return f"{count(len(failures), 'failure')}, {number(of_worst)} of them {worst},"


def _nothing_failed(report: Report, where: str) -> str:
    overall = report.score.overall
    if not overall.decided:
        return f"Nothing could be decided about {where}"
    if overall.unknown:
        return f"Nothing failed on {where}, but {count(overall.unknown, 'question')} could not be decided"
    if not report.scan.complete:
        return f"Nothing failed on {where}, but not everything in scope was read"
    return f"Nothing failed on {where}"


def percent(score: Scored) -> str:
    """A score's value, in words."""
    return "nothing decided" if score.value is None else f"{score.value:.1f} %"


def since(comparison: Comparison) -> str:
    """What changed since a baseline, in one sentence."""
    before = f"{time(comparison.since)} (score then {percent(comparison.score)})"
    counted = {
        "new": comparison.new,
        "changed": comparison.changed,
        "mended or gone": len(comparison.fixed),
        "as before": comparison.unchanged,
        "not looked at again": len(comparison.carried),
    }
    told = [f"{number(quantity)} {what}" for what, quantity in counted.items() if quantity]
    return f"Failures since {before}: {', '.join(told) or 'none then, none now'}."


def accepted(exception: Exemption) -> str:
    """Who accepted a failure, until when and why."""
    approved = f", approved by {exception.approved_by}" if exception.approved_by else ""
    return f"accepted until {exception.expires} by {exception.owner}{approved}: {exception.reason}"


def left_to_people(checklists: Sequence[ChecklistScore]) -> str:
    """How many items the checklists have, where a person has to answer every one; empty where rules answer some."""
    items = [item for checklist in checklists for item in checklist.items]
    if not items or any(item.state != "manual" for item in items):
        return ""
    return f"{count(len(items), 'item')} for a person to answer"


def decided_share(score: Scored, checklists: Sequence[ChecklistScore] = ()) -> str:
    """How many of a score's questions were decided, in words; `checklists` are those that it is the score of."""
    asked = score.decided + score.unknown
    if not asked:
        return left_to_people(checklists) or "No question applied"
    if not score.unknown:
        return "All questions decided" if asked > 1 else "The one question is decided"
    return f"{number(score.decided)} of {count(asked, 'question')} decided ({coverage(score):.1f} %)"


def coverage(score: Scored) -> float:
    """The share of a score's questions that were decided, in percent; 100 where none was asked."""
    asked = score.decided + score.unknown
    return 100 * score.decided / asked if asked else 100.0


def interval(score: Scored, checklists: Sequence[ChecklistScore] = ()) -> str:
    """From the worst case to the best, in words; `checklists` are those that it is the score of."""
    if score.low is None or score.high is None:
        return "nothing is read for it" if left_to_people(checklists) else "nothing applied"
    if score.low == score.high:
        return "nothing unknown"
    return f"{score.low:.1f} to {score.high:.1f} %"


def extent(failed: FailedRule) -> str:
    """How far a failure reaches: clusters, or resources of clusters where it is about something smaller or shared."""
    clusters = {cluster.lower() for failure in failed.failures for cluster in failure.clusters}
    if all(failure.resource.lower() in clusters for failure in failed.failures):
        return count(len(clusters), "cluster")
    return f"{count(len(failed.failures), 'resource')} of {count(len(clusters), 'cluster')}"


def by_severity(findings: Iterable[Finding]) -> dict[Severity, int]:
    """How many findings there are of each severity, worst first."""
    counted = Counter(finding.severity for finding in findings)
    return {severity: counted[severity] for severity in Severity}


def failed_rules(report: Report, failures: Iterable[Finding]) -> tuple[FailedRule, ...]:
    """The rules of these failures (which come worst first): worst severity first, then those with most failures.

    Failures that can only be mended after others of these are told of by the rules of those.
    """
    titles = {rule.id: rule.title for rule in report.rules}
    failures = tuple(failures)
    rules = {failure.fingerprint: failure.rule for failure in failures}
    grouped: dict[str, list[Finding]] = {}
    then: dict[str, set[str]] = {}
    for failure in failures:
        causes = [rules[mark] for mark in failure.causes if mark in rules]
        if not causes:
            grouped.setdefault(failure.rule, []).append(failure)
        for cause in causes:
            then.setdefault(cause, set()).add(failure.rule)
    order = list(Severity)
    failed = [
        FailedRule(rule, titles.get(rule, rule), group[0].severity, tuple(group), tuple(sorted(then.get(rule, ()))))
        for rule, group in grouped.items()
    ]
    return tuple(sorted(failed, key=lambda f: (order.index(f.severity), -len(f.failures), f.rule)))


def open_rules(report: Report) -> dict[str, str]:
    """The rules of failures that nobody accepted, by fingerprint; those carried from the baseline are among them."""
    carried = report.comparison.carried if report.comparison else ()
    return {one.fingerprint: one.rule for one in (*carried, *report.failures()) if not one.exception}


def mend_first(finding: Finding, rules: Mapping[str, str]) -> tuple[str, ...]:
    """The rules of what must be mended before a failure can be; `rules` are those of open failures, by fingerprint."""
    return tuple(dict.fromkeys(rules[mark] for mark in finding.causes if mark in rules))


def unread(missing: Sequence[Missing]) -> tuple[Unread, ...]:
    """What could not be read, grouped by cause; what a permission would mend comes first, then the largest groups."""
    grouped: dict[tuple[MissingKind, str | None], list[Missing]] = {}
    for item in missing:
        grouped.setdefault((item.kind, item.action), []).append(item)
    groups = [Unread(kind, action, tuple(items)) for (kind, action), items in grouped.items()]
    kinds = list(KINDS)
    return tuple(sorted(groups, key=lambda g: (kinds.index(g.kind), not g.action, -len(g.missing), g.action or "")))


def origin(evidence: Evidence) -> str | None:
    """What a value was read from and when, where it is not of the resource itself."""
    return f"from {INDEXES[evidence.source]}, read at {time(evidence.read)}" if evidence.source else None


def lagging(findings: Iterable[Finding]) -> str | None:
    """How many findings rest on what may lag behind the resources, and on what; None where none does."""
    indexed = [[one for one in finding.evidence if one.source] for finding in findings]
    latest = max((one for found in indexed for one in found), key=lambda one: one.read or "", default=None)
    if latest is None:
        return None
    return f"of {count(sum(map(bool, indexed)), 'finding')} {origin(latest)}; it may lag"


_INSIDE = 3
"""How many parts the id of a cluster has after `/providers/`."""


def short(resource_id: str) -> str:
    """The names in a resource id, without its subscription, group and type: `aks-prod / user` for a pool.

    An object inside a cluster is called by its namespace and name: `aks-prod / shop/web`.
    """
    provider = resource_id.rpartition("/providers/")[2]
    parts = provider.split("/") if provider != resource_id else []
    if parts[_INSIDE : _INSIDE + 1] in (["api"], ["apis"]):
        before = _INSIDE + (2 if parts[_INSIDE] == "api" else 3)  # the group, where it has one, and the version
        return f"{parts[2]} / {'/'.join(parts[before:][1::2])}"
    return " / ".join(parts[2::2]) or resource_id


def kind(resource_id: str) -> str:
    """The type in a resource id as Azure writes it, or that of an object inside a cluster as kubectl does."""
    provider = resource_id.rpartition("/providers/")[2]
    parts = provider.split("/") if provider != resource_id else []
    if parts[_INSIDE : _INSIDE + 1] not in (["api"], ["apis"]):
        return "/".join([*parts[:1], *parts[1::2]])
    path, group = (parts[5:], "") if parts[_INSIDE] == "api" else (parts[6:], "".join(parts[4:5]))
    plural = path[2:3] if path[:1] == ["namespaces"] and len(path) > 2 else path[:1]  # noqa: PLR2004 - in a namespace
    return ".".join(one for one in (*plural, group) if one)


_ADDRESS = re.compile(r"https?://(?:[\w.~:/?#\[\]@!$&'()*+,;=-]|%[0-9a-f]{2})+", re.IGNORECASE | re.ASCII)
"""An address of the web in the characters that a URI has."""


def address_of(rule: RuleText | None) -> str | None:
    """The first of a rule's references that programs may take for a URI; rules of one's own may name books, too."""
    return next((one for one in (rule.references if rule else ()) if _ADDRESS.fullmatch(one)), None)


def printable(text: str) -> str:
    """Text from a snapshot, with what a terminal would obey or a reader cannot see written as its code point.

    That is control characters, directional overrides, and invisible spaces; line breaks stay.
    """
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text)


def count(quantity: int, noun: str) -> str:
    """A number and its noun: `1 cluster`, `3 clusters`."""
    return f"{number(quantity)} {noun}" if quantity == 1 else f"{number(quantity)} {noun}s"


def number(quantity: int) -> str:
    """A number with a comma between thousands."""
    return f"{quantity:,}"


def time(moment: str | None) -> str:
    """An RFC 3339 time to the minute: `2026-11-21 12:00 UTC`; as it is where it has no such form."""
    if not moment:
        return "an unrecorded time"
    if len(moment) >= len("2026-11-21T12:00") and moment[10:11] == "T" and moment.endswith(("Z", "+00:00")):
        return f"{moment[:10]} {moment[11:16]} UTC"
    return moment
