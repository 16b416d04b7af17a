"""What `aks-audit reach` prints: flows and the matrix as text for a terminal, and as JSON."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from operator import attrgetter
from typing import NamedTuple

import msgspec

from aks_audit import __version__
from aks_audit.facts.resource_id import parse
from aks_audit.policies.evaluate import Reason, Verdict
from aks_audit.policies.model import HOSTS, Kind
from aks_audit.policies.ports import KUBERNETES_TRAFFIC, in_words
from aks_audit.policies.words import reason_in_words, why
from aks_audit.progress import one_line
from aks_audit.reach import BEYOND, Answer, Question
from aks_audit.reach_flows import OPEN_FIRST, Flow, Part, Side
from aks_audit.results import Missing, Record
from aks_audit.terminal import Pen, Style

SCHEMA = "aks-audit/reach/1"

_MOST_NAMES = 6
_MOST_IGNORED = 5
_MOST_COLUMNS = 40
_MARKS = {
    Verdict.ALLOWED: ("✓", Style.ALLOWED),
    Verdict.CONDITIONAL: ("◇", Style.UNKNOWN),
    Verdict.UNKNOWN: ("?", Style.UNKNOWN),
    Verdict.DENIED: ("✗", Style.BLOCKED),
}
_SOME = ("◐", Style.UNKNOWN)
_NOBODY = ("·", Style.QUIET)


# --- rows: peers with which the same becomes of the same traffic


class _Line(NamedTuple):
    """What becomes of some traffic, in words."""

    verdict: Verdict
    traffic: str
    why: str


class _Row(NamedTuple):
    """Peers with which everything is alike."""

    peers: tuple[Side, ...]
    lines: tuple[_Line, ...]

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on all traffic; None where there are several."""
        verdicts = {line.verdict for line in self.lines}
        return verdicts.pop() if len(verdicts) == 1 else None


def _rows(flows: Iterable[Flow], *, arriving: bool) -> Iterator[tuple[list[Side], list[_Row]]]:
    """The rows of each side that was asked about, those that are open first; sides with the same rows together."""
    together: dict[int, tuple[Side, dict[tuple[_Line, ...], list[Side]]]] = {}
    for flow in flows:
        asked, peer = (flow.destination, flow.source) if arriving else (flow.source, flow.destination)
        _, found = together.setdefault(id(asked), (asked, defaultdict(list)))
        found[tuple(map(_line, flow.parts))].append(peer)
    alike: dict[object, tuple[list[Side], list[_Row]]] = {}
    for asked, found in together.values():
        rows = sorted((_Row(tuple(peers), lines) for lines, peers in found.items()), key=_openness)
        key = tuple((row.lines, tuple(map(id, row.peers))) for row in rows)
        alike.setdefault(key, ([], rows))[0].append(asked)
    yield from alike.values()


def _line(part: Part) -> _Line:
    traffic = in_words(part.traffic, KUBERNETES_TRAFFIC)
    return _Line(part.verdict, traffic, why(part.verdict, part.egress, part.ingress))


def _openness(row: _Row) -> tuple[int, int]:
    return (OPEN_FIRST.index(row.lines[0].verdict) if row.verdict else 1, -sum(peer.size for peer in row.peers))


# --- text


def as_text(question: Question, answer: Answer, *, colour: bool, width: int) -> str:
    """The answer for a terminal of so many columns; with escape codes for colour only if asked."""
    pen = Pen.of(width, colour=colour)
    return "\n".join(_text(question, answer, pen)) + "\n"


def _text(question: Question, answer: Answer, pen: Pen) -> Iterator[str]:
    yield from pen.wrapped(_title(question), Style.STRONG, "", "    ")
    yield from pen.wrapped(_engine(answer), Style.QUIET, "", "    ")
    if answer.matrix and set(answer.places) - BEYOND:
        yield ""
        yield from _matrix(answer, pen)
    arriving = answer.arriving
    for asked, rows in _rows(answer.flows, arriving=arriving):
        yield ""
        yield from pen.wrapped(_peers(asked), Style.STRONG, "", "  ")
        for row in rows:
            listed = _peers(row.peers, near=asked[0].kind is Kind.POD)
            yield from _row(row, pen, f"{'from' if arriving else 'to'} {listed}")
    yield from _footer(answer, pen)


def _title(question: Question) -> str:
    name = question.cluster.name
    match question.source, question.destination:
        case None, None:
            return f"{name}: who reaches whom, by network policies"
        case None, destination:
            return f"{name}: who reaches {destination}, by network policies"
        case source, None:
            return f"{name}: what {source} reaches, by network policies"
        case source, destination:
            return f"{name}: {source} → {destination}, by network policies"


def _engine(answer: Answer) -> str:
    if answer.engine is None:
        return "What enforces network policies cannot be told"
    policies = "1 policy" if answer.policies == 1 and not answer.missing else f"{answer.policies} policies"
    ignored = f"; {len(answer.ignored)} not enforced" if answer.ignored else ""
    read = " that were read" if answer.missing else ""
    enforced = f"{answer.engine} enforces {policies}{read}" if answer.engine != "none" else "Nothing enforces policies"
    return f"{enforced}{ignored}. TCP, UDP and SCTP; routes, services and firewalls are not asked here"


def _size(kind: Kind, size: int, where: str) -> str:
    if kind in {Kind.ADDRESS, Kind.API_SERVER}:
        return ""
    what = "node" if kind is Kind.NODE else "pod"
    host = " in the network of nodes" if kind is Kind.HOST_POD else ""
    return f" ({size} {what}{'' if size == 1 else 's'}{host}{f', {where}' if where else ''})"


def _row(row: _Row, pen: Pen, peers: str) -> Iterator[str]:
    mark, style = _MARKS[row.verdict] if row.verdict else _SOME
    yield from pen.wrapped(peers, Style.NONE, f"  {pen.styled(mark, style)} ", "    ")
    for line in row.lines:
        if len(row.lines) > 1:
            sign, look = _MARKS[line.verdict]
            yield from pen.wrapped(line.traffic, Style.NONE, f"    {pen.styled(sign, look)} ", "      ")
        yield from pen.wrapped(line.why, Style.QUIET, "      ", "      ")


_NAMED = attrgetter("name", "size")


def _peers(sides: Sequence[Side], *, near: bool = True) -> str:
    """Who is on some sides; of nodes, where they are does not matter if all is the same on one's own, or to no pod.

    They may be very many, of which few are shown: the names of the others are not put together.
    """
    own = {side.number for side in sides if side.on_own_node}
    others = {side.number for side in sides if not side.on_own_node}
    found: dict[tuple[tuple[str, int], str], Kind] = {}
    for side in sides:
        where = "on the same node" if side.on_own_node else "on other nodes"
        told = where if near and side.number not in own & others and side.kind in HOSTS else ""
        found.update(zip(zip(map(_NAMED, side.subjects), repeat(told)), repeat(side.kind)))
    shown = [f"{name}{_size(kind, size, where)}" for ((name, size), where), kind in islice(found.items(), _MOST_NAMES)]
    return _with_rest(shown, len(found))


def _listed(names: Sequence[str]) -> str:
    return _with_rest(names[:_MOST_NAMES], len(names))


def _with_rest(shown: Sequence[str], count: int) -> str:
    return f"{', '.join(shown)}{f' and {count - len(shown)} more' if count > len(shown) else ''}"


def _footer(answer: Answer, pen: Pen) -> Iterator[str]:
    if answer.ignored:
        yield ""
        yield pen.styled("Not enforced, and so no protection", Style.STRONG)
        for one in answer.ignored[:_MOST_IGNORED]:
            named = "/".join(parse(one.id).names)
            yield from pen.wrapped(f"{one.type} {named}: {one.reason}", Style.NONE, "  ", "    ")
        if more := answer.ignored[_MOST_IGNORED:]:
            yield f"  and {len(more)} more, which --format json has"
    if answer.missing:
        yield ""
        yield pen.styled("Not read, so that answers are unknown or pods are not shown", Style.STRONG)
        for missing in answer.missing[:_MOST_IGNORED]:
            wanted = f"; it takes {missing.action}" if missing.action else ""
            yield from pen.wrapped(
                f"{missing.reason}{wanted}", Style.NONE, f"  {pen.styled('?', Style.UNKNOWN)} ", "    "
            )
        if more_missing := answer.missing[_MOST_IGNORED:]:
            yield f"  and {len(more_missing)} more, which --format json has"


# --- the matrix


def _matrix(answer: Answer, pen: Pen) -> Iterator[str]:
    """Rows reach columns. Places that are alike in every way are one row and one column."""
    groups = _alike(answer)
    names = [group[0] if len(group) == 1 else f"{group[0]} and {len(group) - 1} like it" for group in groups]
    if len(groups) > _MOST_COLUMNS:
        yield from _lists(answer, groups, names, pen)
    else:
        yield from _table(answer, groups, names, pen)
    legend = "✓ everything   ◐ some of it   ◇ under conditions   ✗ nothing   ? not known   · nobody there"
    yield from pen.wrapped(legend, Style.QUIET, "", "")


def _table(answer: Answer, groups: Sequence[Sequence[str]], names: Sequence[str], pen: Pen) -> Iterator[str]:
    labels = [one_line(f"{number:>3} {name}") for number, name in enumerate(names, 1)]
    column = min(max(map(len, labels)), max(pen.width // 2, 16))
    fit = max((pen.width - column) // 4, 2)
    for start in range(0, len(groups), fit):
        part = groups[start : start + fit]
        numbers = "".join(f"{number:>4}" for number in range(start + 1, start + 1 + len(part)))
        yield pen.styled(f"{'    from ↓ to →':<{column}}"[:column] + numbers, Style.QUIET)
        for label, group in zip(labels, groups, strict=True):
            shown = label if len(label) <= column else f"{label[: column - 1]}…"
            cells = "".join(f"   {pen.styled(*_cell(answer, group, other))}" for other in part)
            yield f"{shown:<{column}}{cells}"
        yield ""


def _lists(answer: Answer, groups: Sequence[Sequence[str]], names: Sequence[str], pen: Pen) -> Iterator[str]:
    """For each place whom it reaches, where a table would be too wide to read; whom it does not is left out."""
    for name, group in zip(names, groups, strict=True):
        reached: dict[tuple[str, Style], list[str]] = defaultdict(list)
        for other_name, other in zip(names, groups, strict=True):
            cell = _cell(answer, group, other)
            if cell not in {_NOBODY, _MARKS[Verdict.DENIED]}:
                reached[cell].append(other_name)
        yield pen.styled(one_line(name), Style.STRONG)
        for (mark, style), others in reached.items():
            yield from pen.wrapped(_listed(others), Style.NONE, f"  {pen.styled(mark, style)} ", "    ")


def _cell(answer: Answer, group: Sequence[str], other: Sequence[str]) -> tuple[str, Style]:
    seen = answer.cell(group[0], other[0])
    if not seen:
        return _NOBODY
    if Verdict.UNKNOWN in seen:
        return _MARKS[Verdict.UNKNOWN]
    return _MARKS[next(iter(seen))] if len(seen) == 1 else _SOME


def _alike(answer: Answer) -> list[list[str]]:
    """The places, those together that reach the same, and are reached by the same."""
    found: dict[object, list[str]] = defaultdict(list)
    for place in answer.places:
        row = tuple(answer.cell(place, other) for other in answer.places)
        found[row, tuple(answer.cell(other, place) for other in answer.places)].append(place)
    return list(found.values())


# --- JSON


class ReasonRecord(Record, frozen=True):
    """What decides on one side: an action, by policies (their ids), at a place in the first of them."""

    action: str
    policies: tuple[str, ...]
    pointer: str
    conditions: tuple[str, ...]
    sure: bool
    says: str


class PartRecord(Record, frozen=True):
    """What becomes of some traffic, and what decides on both sides."""

    verdict: str
    traffic: str
    egress: tuple[ReasonRecord, ...]
    ingress: tuple[ReasonRecord, ...]


class SubjectRecord(Record, frozen=True):
    """Endpoints that belong together: how they are called, where they are, how many."""

    name: str
    place: str
    size: int


class SideRecord(Record, frozen=True):
    """Subjects that every policy treats alike, and what they are; of nodes: as who runs on the same one sees them."""

    kind: str
    on_own_node: bool
    subjects: tuple[SubjectRecord, ...]


class FlowRecord(Record, frozen=True):
    """What becomes of traffic from all of one side to all of the other."""

    source: SideRecord
    destination: SideRecord
    parts: tuple[PartRecord, ...]


class IgnoredRecord(Record, frozen=True):
    """A policy that nothing enforces, and why."""

    id: str
    type: str
    reason: str


class MatrixRecord(Record, frozen=True):
    """Places, and for each (rows) what is seen of traffic to each (columns): verdicts, none where nobody is there."""

    places: tuple[str, ...]
    cells: tuple[tuple[tuple[str, ...], ...], ...]


class ReachRecord(Record, frozen=True):
    """An answer as JSON."""

    schema: str
    tool: str
    cluster: str
    source: str | None
    destination: str | None
    engine: str | None
    policies: int
    complete: bool
    flows: tuple[FlowRecord, ...]
    matrix: MatrixRecord | None
    ignored: tuple[IgnoredRecord, ...]
    missing: tuple[Missing, ...]


def as_json(question: Question, answer: Answer) -> str:
    """The answer as JSON, in the form that docs/reach.md tells."""
    record = ReachRecord(
        schema=SCHEMA,
        tool=f"aks-audit {__version__}",
        cluster=question.cluster.id,
        source=question.source,
        destination=question.destination,
        engine=answer.engine,
        policies=answer.policies,
        complete=answer.complete,
        flows=tuple(map(_flow_record, answer.flows)),
        matrix=_matrix_record(answer) if answer.matrix else None,
        ignored=tuple(IgnoredRecord(*one) for one in answer.ignored),
        missing=answer.missing,
    )
    return json.dumps(msgspec.to_builtins(record), indent=2, ensure_ascii=False) + "\n"


def _flow_record(flow: Flow) -> FlowRecord:
    source, destination = map(_side_record, (flow.source, flow.destination))
    return FlowRecord(source, destination, tuple(map(_part_record, flow.parts)))


def _side_record(side: Side) -> SideRecord:
    subjects = tuple(SubjectRecord(one.name, one.place, one.size) for one in side.subjects)
    return SideRecord(side.kind, side.on_own_node, subjects)


def _part_record(part: Part) -> PartRecord:
    sides = (tuple(map(_reason_record, reasons)) for reasons in (part.egress, part.ingress))
    return PartRecord(part.verdict, in_words(part.traffic, KUBERNETES_TRAFFIC), *sides)


def _reason_record(reason: Reason) -> ReasonRecord:
    policies = tuple(policy.id for policy in reason.policies)
    pointer = reason.rule.pointer if reason.rule else reason.policies[0].subject_pointer if policies else ""
    return ReasonRecord(reason.action, policies, pointer, reason.conditions, reason.sure, reason_in_words(reason))


def _matrix_record(answer: Answer) -> MatrixRecord:
    cells = (tuple(tuple(sorted(answer.cell(row, column))) for column in answer.places) for row in answer.places)
    return MatrixRecord(answer.places, tuple(cells))
