"""What people do with a report: what to mend first, what changed since the last, and what they agreed to live with."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from aks_audit.report import EntryState, Fix, FixedBy, PolicyEntry, PolicyTable, Report
from aks_audit.results import Effort
from aks_audit_reports import summary
from aks_audit_reports.summary import Scored, count, number, short

FIRST = 10
"""How many fixes stand in the page itself."""

LISTED = 100
"""How many mended failures, and how many that nobody looked at again, are named."""

EFFORTS: Mapping[Effort, str] = {
    Effort.SETTING: "A setting, changed in place",
    Effort.ROLLOUT: "Restarts workloads",
    Effort.NODES: "Replaces nodes",
    Effort.REBUILD: "Needs a new cluster",
}

_ENDS: Mapping[FixedBy, str] = {
    "pass": "Passes now",
    "not-applicable": "No longer applies",
    "gone": "Its resource is gone",
    "disabled": "Its rule was disabled",
}

_TABLES: Mapping[PolicyTable, str] = {
    "exception": "Exception",
    "severity": "Severity",
    "disabled": "Disabled rule",
    "source": "Source file",
}

_ENTRY_STATES: Mapping[EntryState, str] = {
    "malformed": "Malformed",
    "expired": "Expired",
    "unused": "Unused",
    "expiring": "Expires soon",
    "in-force": "In force",
}


class FixView(NamedTuple):
    """One thing to do. `place` counts from 1; the command is None where there is none."""

    place: int
    title: str
    severity: str
    effort: str
    mends: str
    where: str
    command: str | None
    change: str | None


BLANK_FIX = FixView(place=0, title="", severity="", effort="", mends="", where="", command="", change="")
"""A fix with every part and no text: the pattern that the page's script copies and fills."""


class EndView(NamedTuple):
    """A failure of the baseline, and what became of it."""

    severity: str
    title: str
    rule: str
    name: str
    message: str
    end: str


class ChangesView(NamedTuple):
    """What changed since a baseline. `counts`: a change, how many there are, what part shows them, what a link asks."""

    since: str
    then: str
    now: str
    moved: str
    direction: str
    counts: tuple[tuple[str, int, str, str], ...]
    mended: tuple[EndView, ...]
    mended_more: int
    carried: tuple[EndView, ...]
    carried_more: int


class EntryView(NamedTuple):
    """An entry of `aks-audit.toml`."""

    table: str
    line: int
    state: str
    state_text: str
    says: str
    rule: str
    resource: str
    reason: str
    people: str
    sets: str


def fix(place: int, one: Fix) -> FixView:
    """A fix by its place in the order, from 1."""
    where = f" on {count(len(one.clusters), 'cluster')}" if one.clusters else ""
    then = f"; {count(len(one.then), 'finding')} can be mended then" if one.then else ""
    return FixView(
        place=place,
        title=one.title,
        severity=one.severity,
        effort=EFFORTS[one.effort],
        where=_where(one),
        mends=f"mends {count(len(one.findings), 'finding')}{where}{then}",
        command=one.command or None,
        change=one.change or None,
    )


def _where(one: Fix) -> str:
    """The name of the resource; of several the first, and how many there are besides."""
    first = short(one.resources[0]) if one.resources else ""
    return f"{first} and {number(len(one.resources) - 1)} more" if len(one.resources) > 1 else first


def changes(report: Report) -> ChangesView | None:
    """What changed since the baseline; None where the report was held against none."""
    compared = report.comparison
    if compared is None:
        return None
    titles = {rule.id: rule.title for rule in report.rules}
    mended = tuple(
        EndView(one.severity, titles.get(one.rule, one.rule), one.rule, short(one.resource), one.message, _ENDS[one.by])
        for one in compared.fixed[:LISTED]
    )
    carried = tuple(
        EndView(one.severity, titles.get(one.rule, one.rule), one.rule, short(one.resource), one.message, "")
        for one in compared.carried[:LISTED]
    )
    moved, direction = _moved(compared.score, report.score.overall)
    return ChangesView(
        since=summary.time(compared.since),
        then=_percent(compared.score),
        now=_percent(report.score.overall),
        moved=moved,
        direction=direction,
        counts=(
            ("New", compared.new, "findings", "change=new&outcome=fail,accepted"),
            ("Mended", len(compared.fixed), "mended", ""),
            ("Changed", compared.changed, "findings", "change=changed&outcome=fail,accepted"),
            ("As before", compared.unchanged, "findings", "change=unchanged&outcome=fail,accepted"),
            ("Not looked at again", len(compared.carried), "carried", ""),
        ),
        mended=mended,
        mended_more=len(compared.fixed) - len(mended),
        carried=carried,
        carried_more=len(compared.carried) - len(carried),
    )


def _percent(score: Scored) -> str:
    return "nothing decided" if score.value is None else f"{score.value:.1f} %"


def _moved(then: Scored, now: Scored) -> tuple[str, str]:
    if then.value is None or now.value is None:
        return "", "same"
    moved = round(now.value - then.value, 1)
    if not moved:
        return "as before", "same"
    return f"{abs(moved):.1f} points {'up' if moved > 0 else 'down'}", "up" if moved > 0 else "down"


def entries(report: Report) -> tuple[EntryView, ...]:
    """The entries of `aks-audit.toml`: first those that do nothing, then those that soon won't."""
    order = list(_ENTRY_STATES)
    told = sorted(report.policy.entries, key=lambda entry: (order.index(entry.state), entry.line))
    return tuple(_entry(entry) for entry in told)


def _entry(entry: PolicyEntry) -> EntryView:
    approved = f"approved by {entry.approved_by}" if entry.approved_by else ""
    return EntryView(
        table=_TABLES[entry.table],
        line=entry.line,
        state=entry.state,
        state_text=_ENTRY_STATES[entry.state],
        says=entry.says,
        rule=entry.rule,
        resource=entry.resource,
        reason=entry.reason,
        people=", ".join(part for part in (entry.owner, approved) if part),
        sets=entry.sets,
    )


def attention(report: Report) -> str:
    """What a person should look at in `aks-audit.toml`, in a sentence; empty where nothing."""
    states = Counter[str](entry.state for entry in report.policy.entries)
    words = {"malformed": "malformed", "expired": "expired", "unused": "unused", "expiring": "about to expire"}
    told = [f"{number(states[state])} {word}" for state, word in words.items() if states[state]]
    return f"Of {count(len(report.policy.entries), 'decision')}: {', '.join(told)}" if told else ""
