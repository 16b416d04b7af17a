"""What `aks-audit diff` prints: what moved, as text for a terminal, as Markdown, and as JSON."""

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from aks_audit.changes import Change
from aks_audit.drift import Drift, FindingMove, Move, ResourceMove, Side
from aks_audit.facts.resource_id import parse
from aks_audit.progress import one_line
from aks_audit.report import FixedBy
from aks_audit.results import JsonValue, Missing, MissingKind, Outcome
from aks_audit.score import Score
from aks_audit.terminal import Pen, Style

MOST = 15
"""How many entries of a section are shown; JSON has all."""

_MOST_VALUES = 6
_MOST_NAMES = 4
_LONGEST = 120

_FAILURES: dict[Move, str] = {
    "came": "Failures that came",
    "changed": "Failures that changed",
    "went": "Failures that went",
}
_ANSWERS: dict[Move, str] = {
    "unknown": "Could be told before, and cannot now",
    "known": "Could not be told before, and can now",
}
_RESOURCES: dict[Move, str] = {
    "changed": "Settings that changed",
    "came": "Resources that came",
    "went": "Resources that went",
    "unknown": "Resources that were looked at before, and not now",
    "known": "Resources that were not looked at before",
}
_CAME: dict[FixedBy, str] = {
    "pass": "it passed before",
    "not-applicable": "it did not apply before",
    "gone": "what it is about was not there before",
    "disabled": "its rule was disabled before",
}
_WENT: dict[FixedBy, str] = {
    "pass": "it passes now",
    "not-applicable": "it does not apply any more",
    "gone": "what it was about is gone",
    "disabled": "its rule is disabled now; it is not mended",
}
_MISSING: dict[MissingKind, str] = {
    "refused": "refused",
    "not-asked": "not asked for",
    "not-read": "not read",
    "not-sent": "not in Azure's answer",
    "malformed": "malformed",
    "contradictory": "contradictory",
    "unheard-of": "new to this version",
    "crashed": "a rule crashed",
}


class _Told(str):
    """Text from a report or a snapshot, which may say anything."""

    __slots__ = ()


_Line: TypeAlias = tuple[str, ...]
"""Our own words, and among them what is told."""


class _Entry(NamedTuple):
    head: _Line
    lines: Sequence[_Line] = ()


class _Section(NamedTuple):
    title: str
    entries: Sequence[_Entry]


def as_json(drift: Drift) -> str:
    """All that moved, as JSON."""
    return msgspec.json.format(msgspec.json.encode(drift), indent=2).decode() + "\n"


def schema() -> bytes:
    """The JSON Schema of what `as_json` gives. It allows further keys: a minor version may add some."""
    (root,), definitions = msgspec.json.schema_components([Drift], ref_template="#/$defs/{name}")
    described = {
        name: {**definition, "description": inspect.cleandoc(definition["description"])}
        for name, definition in definitions.items()
    }
    dialect = "https://json-schema.org/draft/2020-12/schema"
    document = {"$schema": dialect, "title": "What aks-audit diff tells", **root, "$defs": described}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def as_text(drift: Drift, *, colour: bool, width: int) -> str:
    """What moved, worst first, for a terminal of so many columns."""
    pen = Pen.of(width, colour=colour)
    first, *others = _summary(drift)
    lines = [pen.styled(_cut(_plain(first), pen.width), Style.STRONG)]
    lines += [line for other in others for line in pen.wrapped(_plain(other), Style.NONE, "", "  ")]
    for section in _sections(drift):
        lines += ["", pen.styled(f"{section.title} ({len(section.entries):,})", Style.STRONG)]
        for entry in section.entries[:MOST]:
            lines.append(_cut(f"  {_plain(entry.head)}", pen.width))
            lines += [pen.styled(_cut(f"      {_plain(line)}", pen.width), Style.QUIET) for line in entry.lines]
        if more := len(section.entries) - MOST:
            lines += [f"  and {more:,} more; --format json has all"] * (more > 0)
    return "\n".join(lines) + "\n"


def as_markdown(drift: Drift) -> str:
    """What moved, worst first, as Markdown; what reports and snapshots tell stands in code spans."""
    first, *others = _summary(drift)
    lines = [f"## {_marked(first)}", "", *(f"- {_marked(other)}" for other in others)]
    for section in _sections(drift):
        lines += ["", f"### {section.title} ({len(section.entries):,})", ""]
        for entry in section.entries[:MOST]:
            lines.append(f"- {_marked(entry.head)}")
            lines += [f"  - {_marked(line)}" for line in entry.lines]
        if len(section.entries) > MOST:
            lines.append(f"- and {len(section.entries) - MOST:,} more; `--format json` has all")
    return "\n".join(lines) + "\n"


def _plain(line: _Line) -> str:
    return one_line("".join(line))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _marked(line: _Line) -> str:
    return "".join(_code(part) if isinstance(part, _Told) else part for part in line)


def _code(text: str) -> str:
    """A code span that ends where it is to: its fence is longer than any run of backticks in the text."""
    shown = _cut(one_line(text), _LONGEST)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") or not shown.strip() else ""
    return f"{fence}{space}{shown or ' '}{space}{fence}"


# --- what is said


def _summary(drift: Drift) -> Iterator[_Line]:
    old, new = drift.old, drift.new
    if drift.moved:
        counted = [
            f"{sum(one.move == move for one in drift.findings):,} {word}"
            for move, word in (("came", "came"), ("went", "went"), ("changed", "changed"))
        ]
        changed = sum(one.move == "changed" for one in drift.resources)
        yield (f"Failures: {', '.join(counted)}; resources with other settings: {changed:,}",)
    else:
        yield ("Nothing moved",)
    yield "From ", *_when(old), " to ", *_when(new)
    if old.score != new.score:
        yield (f"Score: {_score(old.score)} → {_score(new.score)}",)
    yield from _differences(old, new)
    for name, side in (("OLD", old), ("NEW", new)):
        if not side.complete:
            yield (f"{name} is incomplete: what it could not read is not known to have moved, or not to have",)
    if drift.settings == "evidence":
        yield ("Settings are compared by what findings cite alone; two snapshots tell all of them",)


def _when(side: Side) -> _Line:
    return _Told(side.finished or "an unrecorded time"), f" (a {side.kind})"


def _score(score: Score) -> str:
    value = "nothing decided" if score.value is None else f"{score.value:.1f} %"
    return f"{value} ({score.decided:,} of {score.decided + score.unknown:,} questions decided)"


def _differences(old: Side, new: Side) -> Iterator[_Line]:
    asked: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
        ("scope", old.scope, new.scope),
        ("clusters", old.narrowed, new.narrowed),
        ("checklists", old.checklists, new.checklists),
    )
    for what, before, now in asked:
        if before != now:
            yield f"Other {what} were asked about: ", *_list(before), " → ", *_list(now)


def _list(texts: Sequence[str]) -> Iterator[str]:
    if not texts:
        yield "all"
    for number, text in enumerate(texts):
        yield ", " if number else ""
        yield _Told(text)


def _sections(drift: Drift) -> Iterator[_Section]:
    for move, title in _FAILURES.items():
        yield from _section(title, (_failure(one) for one in drift.findings if one.move == move))
    for move, title in _RESOURCES.items():
        moved = [one for one in drift.resources if one.move == move]
        yield from _section(title, map(_changed, moved) if move == "changed" else _by_type(moved))
    for move, title in _ANSWERS.items():
        yield from _section(title, _by_rule(one for one in drift.findings if one.move == move))
    coverage = drift.coverage
    yield from _section("Missing now, and not before", _by_cause(coverage.missing_now))
    yield from _section("Missing before, and not now", _by_cause(coverage.missing_before))
    yield from _section(
        "How many resources were read",
        (
            _Entry(
                (_Told(one.type), " in ", _Told(one.subscription or "no subscription"), f": {one.old:,} → {one.new:,}")
            )
            for one in coverage.read
        ),
    )
    yield from _section("Rules that were asked now alone", (_Entry((_Told(rule),)) for rule in coverage.rules_now))
    yield from _section(
        "Rules that were asked before alone", (_Entry((_Told(rule),)) for rule in coverage.rules_before)
    )


def _section(title: str, entries: Iterable[_Entry]) -> Iterator[_Section]:
    if listed := list(entries):
        yield _Section(title, listed)


def _failure(moved: FindingMove) -> _Entry:
    message = (moved.messages[0] if moved.move == "went" else moved.messages[1]) or moved.title
    head = (f"{moved.severity:8}  ", _Told(moved.rule), "  ", _Told(_name(moved.resource)), ": ", _Told(message))
    values = [_values(change) for change in moved.evidence]
    return _Entry(head, [*_why(moved), *_first(values)])


def _why(moved: FindingMove) -> Iterator[_Line]:
    before, now = moved.messages
    if moved.move == "came" and moved.why:
        yield (_CAME[moved.why],)
    elif moved.move == "went" and moved.why:
        yield (_WENT[moved.why],)
    elif before and before != now:
        yield "before: ", _Told(before)
    elif not moved.evidence and moved.accepted[0] == moved.accepted[1]:
        yield ("it stands on other evidence",)
    if moved.move != "went" and moved.accepted[0] != moved.accepted[1]:
        yield ("a person accepts it" if moved.accepted[1] else "it is not accepted any more",)


def _by_rule(moved: Iterable[FindingMove]) -> Iterator[_Entry]:
    """One entry for the findings of a rule with the same outcomes; failures first, since those are what is asked."""
    told = [(" → ".join(outcome or "not looked at" for outcome in one.outcomes), one) for one in moved]
    groups: dict[tuple[str, str], list[FindingMove]] = {}
    for outcomes, one in sorted(told, key=lambda pair: Outcome.FAIL not in pair[1].outcomes):
        groups.setdefault((outcomes, one.rule), []).append(one)
    for (outcomes, rule), found in groups.items():
        counted = f"{len(found):,} findings, for example " if len(found) > 1 else ""
        names = _Told(_name(found[0].resource))
        yield _Entry((f"{found[0].severity:8}  ", _Told(rule), f"  {outcomes}: {counted}", names))


def _first(lines: Sequence[_Line]) -> Iterator[_Line]:
    yield from lines[:_MOST_VALUES]
    if len(lines) > _MOST_VALUES:
        yield (f"and {len(lines) - _MOST_VALUES:,} more",)


def _changed(moved: ResourceMove) -> _Entry:
    head = _Told(_name(moved.id)), "  (", _Told(moved.type), ")"
    return _Entry(head, list(_first([_values(change) for change in moved.changes])))


def _values(change: Change) -> _Line:
    return _Told(change.path), ": ", _value(change.old), " → ", _value(change.new)


def _value(value: "JsonValue | msgspec.UnsetType") -> str:
    if isinstance(value, msgspec.UnsetType) or value is None:
        return "none"
    return _Told(_cut(msgspec.json.encode(value, order="deterministic").decode(), _LONGEST))


def _by_type(moved: Iterable[ResourceMove]) -> Iterator[_Entry]:
    """One entry a type: objects inside clusters come and go by the hundred."""
    groups: dict[str, list[ResourceMove]] = {}
    for one in moved:
        groups.setdefault(one.type.lower(), []).append(one)
    for _, found in sorted(groups.items()):
        names = [_Told(_name(one.id)) for one in found[:_MOST_NAMES]]
        listed = [part for name in names for part in (", ", name)][1:]
        more = [f" and {len(found) - _MOST_NAMES:,} more"] if len(found) > _MOST_NAMES else []
        yield _Entry((f"{len(found):,}  ", _Told(found[0].type), ": ", *listed, *more))


def _by_cause(missing: Iterable[Missing]) -> Iterator[_Entry]:
    """One entry for what is missing for one cause; what a permission would mend comes first."""
    groups: dict[tuple[int, str], list[Missing]] = {}
    for one in missing:
        groups.setdefault((list(_MISSING).index(one.kind), one.action or ""), []).append(one)
    for (_, action), found in sorted(groups.items()):
        example = found[0]
        counted = f", {len(found):,} things, for example: " if len(found) > 1 else ": "
        head = f"{_MISSING[example.kind]}{counted}", _Told(example.reason)
        takes = "it takes ", _Told(action), " on ", _Told(example.scope or example.what)
        yield _Entry(head, [takes] if action else [])


def _name(resource_id: str) -> str:
    """The names in an id, without subscription, group and type; inside a cluster, that of the cluster before them."""
    parsed = parse(resource_id)
    inside = [parse(parsed.parent).name] if parsed.names and "/" not in parsed.type else []
    return " / ".join([*inside, *parsed.names]) or resource_id
