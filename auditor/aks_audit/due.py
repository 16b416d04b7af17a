"""What is due: what of each cluster has ended, or ends within a span, by the rules that know of days."""

import calendar
import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from aks_audit import __version__
from aks_audit.facts import Estate, ManagedCluster
from aks_audit.facts.resource_id import parse
from aks_audit.report import Report, Tool
from aks_audit.results import ENOUGH, Finding, Missing, Outcome, Record
from aks_audit.terminal import Pen, Style

SCHEMA_VERSION = "1.0"

_SPAN = re.compile(r"([1-9][0-9]{0,3})([dwmy])", re.ASCII)
_MOST_SHOWN = 3
_MONTHS = 12
_LISTS = frozenset({f"{ManagedCluster.TYPE}/read", "Microsoft.Resources/subscriptions/read"})
"""What permits the lists without which nobody knows which clusters there are."""


class DueItem(Record, frozen=True):
    """Something that has ended, or ends in so many days (0 or less: it has), and the resources that it is about.

    Without a `date` it has ended on a day that is not known.
    """

    what: str
    date: str | None
    days: int | None
    action: str
    rule: str
    resources: tuple[str, ...]

    @property
    def overdue(self) -> bool:
        """Whether it has ended."""
        return self.days is None or self.days <= 0


class NotKnown(Record, frozen=True):
    """What could not be decided of so many resources: something may be due there."""

    rule: str
    title: str
    resources: int
    reasons: tuple[str, ...]
    actions: tuple[str, ...]


class ClusterDue(Record, frozen=True):
    """What is due of a cluster, the earliest first, and what is not known."""

    id: str
    due: tuple[DueItem, ...]
    unknown: tuple[NotKnown, ...]


class DueList(Record, frozen=True):
    """The answer: what is due from a day until another, by cluster, and which lists of clusters were not read."""

    schema_version: str
    tool: Tool
    day: str
    until: str
    clusters: tuple[ClusterDue, ...]
    unread: tuple[Missing, ...]

    @property
    def any(self) -> bool:
        """Whether something is due."""
        return any(cluster.due for cluster in self.clusters)

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is known, so that nothing else can be due."""
        return not self.unread and not any(cluster.unknown for cluster in self.clusters)


def span(text: str) -> Callable[[dt.date], dt.date]:
    """A span, such as `90d`, `8w`, `12m` or `2y`, as what makes of a day the last one of the span.

    Raises:
        ValueError: it is none.
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(text)
    number, unit = int(found[1]), found[2]

    def last(day: dt.date) -> dt.date:
        try:
            if unit in "dw":
                return day + dt.timedelta(days=number * (7 if unit == "w" else 1))
            return _months_on(day, number * (_MONTHS if unit == "y" else 1))
        except (OverflowError, ValueError):
            return dt.date.max

    return last


def back(text: str, day: dt.date) -> dt.date:
    """The day that is so long before another: a span as above.

    Raises:
        ValueError: it is none.
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(text)
    number, unit = int(found[1]), found[2]
    try:
        if unit in "dw":
            return day - dt.timedelta(days=number * (7 if unit == "w" else 1))
        return _months_on(day, -number * (_MONTHS if unit == "y" else 1))
    except (OverflowError, ValueError):
        return dt.date.min


def _months_on(day: dt.date, months: int) -> dt.date:
    """The same day so many months later, or the last one of a month that is shorter."""
    year, month = divmod(day.month - 1 + months, _MONTHS)
    year, month = day.year + year, month + 1
    return day.replace(year=year, month=month, day=min(day.day, calendar.monthrange(year, month)[1]))


def due(report: Report, estate: Estate, day: dt.date, until: dt.date) -> DueList:
    """What is due of each cluster of an estate from a day until another; its report is of rules that know of days."""
    titles = {rule.id: rule.title for rule in report.rules}
    found: dict[str, list[Finding]] = {cluster.id.lower(): [] for cluster in report.clusters}
    for finding in report.findings:
        for cluster in finding.clusters:
            found[cluster.lower()].append(finding)
    made = (_cluster(one.id, found[one.id.lower()], titles, day, until) for one in report.clusters)
    return DueList(
        schema_version=SCHEMA_VERSION,
        tool=Tool("aks-audit", __version__),
        day=str(day),
        until=str(until),
        clusters=tuple(sorted(made, key=_urgency)),
        unread=tuple(
            dict.fromkeys((*estate.unlisted(ManagedCluster), *filter(_hides_clusters, report.coverage.unread)))
        ),
    )


def _hides_clusters(missing: Missing) -> bool:
    return missing.kind not in ENOUGH and missing.action in _LISTS


def _cluster(
    cluster: str, findings: Iterable[Finding], titles: Mapping[str, str], day: dt.date, until: dt.date
) -> ClusterDue:
    about: dict[tuple[str, str | None], DueItem] = {}
    unknown: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.outcome is Outcome.UNKNOWN:
            unknown.setdefault(finding.rule, []).append(finding)
        for one in finding.due:
            if one.date is not None and one.date > str(until):
                continue
            days = (dt.date.fromisoformat(one.date) - day).days if one.date else None
            same = about.get((one.what, one.date))
            resources = dict.fromkeys([*(same.resources if same else ()), finding.resource])
            rule = same.rule if same else finding.rule
            about[one.what, one.date] = DueItem(one.what, one.date, days, one.action, rule, tuple(resources))
    return ClusterDue(
        id=cluster,
        due=tuple(sorted(about.values(), key=lambda item: (item.date or "", item.what))),
        unknown=tuple(_not_known(rule, titles[rule], unknown[rule]) for rule in sorted(unknown)),
    )


def _not_known(rule: str, title: str, findings: Sequence[Finding]) -> NotKnown:
    missing = [missing for finding in findings for missing in finding.missing]
    actions = (_action(one) for one in missing if one.action)
    return NotKnown(
        rule=rule,
        title=title,
        resources=len({finding.resource.lower() for finding in findings}),
        reasons=tuple(dict.fromkeys(one.reason for one in missing)),
        actions=tuple(dict.fromkeys(actions)),
    )


def _action(missing: Missing) -> str:
    return f"{missing.action} on {missing.scope}" if missing.scope else missing.action or ""


def _needs(actions: Sequence[str], reasons: Sequence[str]) -> str:
    """What would have to be permitted, where the reasons do not say it already."""
    told = [one for one in actions if not any(one in reason for reason in reasons)]
    return f" (needs {', '.join(told[:_MOST_SHOWN])})" if told else ""


def _urgency(cluster: ClusterDue) -> tuple[bool, str, str]:
    """The order of clusters: by what is due first in them, then those with nothing due; then by id."""
    return not cluster.due, min((item.date or "" for item in cluster.due), default=""), cluster.id.lower()


def as_json(found: DueList) -> str:
    """The answer as JSON."""
    import msgspec  # noqa: PLC0415 - only this form needs it here

    return json.dumps(msgspec.to_builtins(found), indent=2, ensure_ascii=False) + "\n"


def as_text(found: DueList, *, colour: bool = False, width: int = 100) -> str:
    """The answer for a terminal."""
    pen = Pen.of(width, colour=colour)
    lines = [pen.styled(f"due until {found.until}, as of {found.day}, the day of what was read", Style.STRONG)]
    for cluster in found.clusters:
        lines += ["", *_of_cluster(pen, cluster)]
    if found.unread:
        lines += ["", *_of_unread(pen, found.unread)]
    return "\n".join([*lines, "", _summary(found)]) + "\n"


def _of_cluster(pen: Pen, cluster: ClusterDue) -> Iterator[str]:
    own = parse(cluster.id)
    yield from pen.wrapped(f"{own.name}  ({own.group}, {own.subscription})", Style.STRONG, "", "  ")
    for item in cluster.due:
        style = Style.BLOCKED if item.overdue else Style.NONE
        told = f"{item.what}{_whose(item, cluster.id)}, {_when(item)}: {item.action}"
        yield from pen.wrapped(told, style, f"  {item.date or '?':10}  ", " " * 14)
    for one in cluster.unknown:
        more = f"; and {len(one.reasons) - _MOST_SHOWN} more" if one.reasons[_MOST_SHOWN:] else ""
        told = (
            f'{one.rule}, "{one.title}": {"; ".join(one.reasons[:_MOST_SHOWN])}{more}{_needs(one.actions, one.reasons)}'
        )
        yield from pen.wrapped(told, Style.UNKNOWN, "  unknown     ", " " * 14)
    if not cluster.due and not cluster.unknown:
        yield pen.styled("  nothing", Style.ALLOWED)


def _of_unread(pen: Pen, unread: Sequence[Missing]) -> Iterator[str]:
    yield pen.styled("not read, so that more may be due", Style.STRONG)
    for missing in unread[:_MOST_SHOWN]:
        actions = [_action(missing)] if missing.action else []
        yield from pen.wrapped(f"{missing.reason}{_needs(actions, [missing.reason])}", Style.UNKNOWN, "  ", "    ")
    if unread[_MOST_SHOWN:]:
        yield f"  and {len(unread) - _MOST_SHOWN} more"


def _whose(item: DueItem, cluster: str) -> str:
    """The names of what an item is about, where it is not the cluster itself."""
    parts = [one for one in item.resources if one.lower() != cluster.lower()]
    more = f" and {len(parts) - _MOST_SHOWN} more" if parts[_MOST_SHOWN:] else ""
    return f" of {', '.join(_name(one) for one in parts[:_MOST_SHOWN])}{more}" if parts else ""


def _name(resource: str) -> str:
    return "/".join(parse(resource).names[-2:]) or resource


def _when(item: DueItem) -> str:
    if item.days is None:
        return "over"
    if item.days <= 0:
        return "over today" if item.days == 0 else f"over for {-item.days} day{'s' * (item.days != -1)}"
    return f"in {item.days} day{'s' * (item.days != 1)}"


def _summary(found: DueList) -> str:
    items = [item for cluster in found.clusters for item in cluster.due]
    over = sum(item.overdue for item in items)
    unknown = sum(len(cluster.unknown) for cluster in found.clusters)
    return f"{over} overdue, {len(items) - over} due until {found.until}, {unknown} unknown"
