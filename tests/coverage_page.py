"""The page that lists the rules beside the checks of other tools, and tells what has no rule and why."""

import datetime as dt
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from aks_audit.checklist import Checklist, load_checklists
from aks_audit.engine import load_rules
from aks_audit.results import RuleText
from aks_audit_reports.areas import area_of, in_order, named

DOCS = Path(__file__).parent.parent / "docs"
NOT_COVERED = DOCS / "not_covered.toml"
OTHER_TOOLS = DOCS / "other_tools.toml"

GROUPS = ("API", "CP", "EGR", "IAM", "ING", "KN", "KR", "KS", "KW", "ND", "OP", "PAAS", "SUB")
"""The groups of the catalogue in which every row has a rule or a reason why not."""

COLUMNS = ("azqr", "PSRule", "Prowler", "Checkov", "KubeBuddy", "Azure Policy", "CIS AKS")
"""The tools and benchmarks that have a column of their own."""

TOOLS = (*COLUMNS[:-1], "APRL", "AKS health check", "Azure Community Policy")
"""The tools each of whose checks about what is audited stands at a rule, or with a reason why at none."""

CIS = "cis-aks-1.8"

_HEAD = """\
# Coverage

Made by `python tests/renew.py`. Each rule stands beside the checks of other tools that ask the same; the page of the
rule names them in full, and says where they decide otherwise.

"""


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the catalogue that has no rule: what it would need, and why."""

    id: str
    check: str
    needs: Literal["a person", "nothing more"]
    why: str


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What other tools check and no rule does: what, and why not, or the row of the catalogue that tells both."""

    asked_by: Mapping[str, tuple[str, ...]]
    what: str = ""
    why: str = ""
    row: str = ""


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many rows the catalogue has, and how many of them no API can decide."""

    rows: int
    for_a_person: int


class Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool that the catalogue does not know: its checks about what is audited, as they were in a version."""

    name: str
    version: str
    read_on: dt.date
    ids: tuple[str, ...]


class Others(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`docs/other_tools.toml`."""

    catalogue: Catalogue
    tool: tuple[Tool, ...]
    question: tuple[Question, ...]


def not_covered() -> tuple[Row, ...]:
    """The rows that have no rule."""
    return msgspec.convert(tomllib.loads(NOT_COVERED.read_text(encoding="utf-8"))["row"], tuple[Row, ...])


def others() -> Others:
    """What is known of other tools beside the controls of the rules."""
    return msgspec.toml.decode(OTHER_TOOLS.read_bytes(), type=Others)


Asked: TypeAlias = Mapping[str, Mapping[str, tuple[str, ...]]]
"""For each rule the checks that ask the same, by their tools."""


def asked() -> Asked:
    """What the rules name among their controls, and of CIS the items of its checklist."""
    benchmark = next(one for one in load_checklists() if one.name == CIS)
    return {rule.id: _asked(rule.text, benchmark) for rule in load_rules()}


def _asked(rule: RuleText, benchmark: Checklist) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for control in rule.controls:
        found[control.framework] = (*found.get(control.framework, ()), control.id)
    found["CIS AKS"] = tuple(item.number for item in benchmark.item if rule.id in item.rules)
    return {tool: ids for tool, ids in found.items() if ids}


def at_rules(known: Asked, tool: str) -> set[str]:
    """The checks of a tool that stand at a rule."""
    return {one for by_tool in known.values() for one in by_tool.get(tool, ())}


def unasked(tool: str) -> set[str]:
    """The checks of a tool that stand with a reason why no rule asks them."""
    return {one for question in others().question for one in question.asked_by.get(tool, ())}


def page() -> bytes:
    """`docs/coverage.md`."""
    rules, known = [rule.text for rule in load_rules()], asked()
    parts = (
        _sums(rules, known),
        _rules(rules, known),
        _ours_alone(rules, known),
        _theirs_alone(),
        _checklists(rules),
        _rows(),
    )
    return (_HEAD + "\n".join(line for part in parts for line in part) + "\n").encode()


def _sums(rules: list[RuleText], known: Asked) -> Iterator[str]:
    catalogue, versions = others().catalogue, {tool.name: tool.version for tool in others().tool}
    without, person = len(not_covered()), catalogue.for_a_person
    yield f"{len(rules)} rules. The catalogue of what guides and tools ask has {catalogue.rows} rows, {person} for"
    yield f"a person to decide: {catalogue.rows - without} rows have a rule, {without} a reason why they have none."
    yield ""
    yield from _table("tool", "checks about what is audited", "at a rule", "with a reason why not")
    for tool in TOOLS:
        matched, reasoned = len(at_rules(known, tool)), len(unasked(tool))
        yield _line(f"{tool} {versions.get(tool, '')}".strip(), str(matched + reasoned), str(matched), str(reasoned))


def _rules(rules: list[RuleText], known: Asked) -> Iterator[str]:
    areas = {area: list(held) for area, held in groupby(rules, key=lambda rule: area_of(rule.id))}
    for area in in_order(areas):
        yield from ("", f"## {named(area)}", "")
        yield from _table("rule", "what should hold", *COLUMNS[:-1], "CIS")
        for rule in areas[area]:
            ids = known[rule.id]
            yield _line(_linked(rule), rule.title, *(_cell(tool, ids.get(tool, ())) for tool in COLUMNS))


def _ours_alone(rules: list[RuleText], known: Asked) -> Iterator[str]:
    alone = [rule for rule in rules if not {*TOOLS, "CIS AKS"} & known[rule.id].keys()]
    yield from ("", "## What only we decide", "")
    yield f"{len(alone)} rules ask what none of these tools checks, and CIS does not either."
    yield ""
    yield from _table("rule", "severity", "what should hold", "asked about each")
    for rule in alone:
        yield _line(_linked(rule), rule.severity, rule.title, rule.subject)


def _theirs_alone() -> Iterator[str]:
    yield from ("", "## What others ask and we do not", "")
    yield from _table("what", "asked by", "why no rule asks it")
    for question in others().question:
        if not question.row:
            yield _line(question.what, _asked_by([question]), question.why)


def _checklists(rules: list[RuleText]) -> Iterator[str]:
    covered = {rule.id for rule in rules}
    yield from ("", "## Checklists", "")
    yield from _table("checklist", "items", "with a rule", "for a person", "waiting")
    for checklist in load_checklists():
        manual = sum(item.manual for item in checklist.item)
        known = sum(item.rule in covered for item in checklist.item)
        waiting = len(checklist.item) - manual - known
        yield _line(checklist.name, *map(str, (len(checklist.item), known, manual, waiting)))


def _rows() -> Iterator[str]:
    yield from ("", "## Rows of the catalogue without a rule", "")
    yield from _table("row", "check", "needs", "asked by", "why")
    for row in not_covered():
        asking = _asked_by(one for one in others().question if one.row == row.id)
        yield _line(row.id, row.check, row.needs, asking, row.why)


def _linked(rule: RuleText) -> str:
    return f"[{rule.id}](reference/rules/{rule.id}.md)"


def _asked_by(questions: Iterable[Question]) -> str:
    return "; ".join(f"{tool} {_cell(tool, ids)}" for question in questions for tool, ids in question.asked_by.items())


def _cell(tool: str, ids: Iterable[str]) -> str:
    shown: Callable[[str], str] = _SHORT.get(tool, str)
    return ", ".join(sorted({shown(one) for one in ids}, key=_by_number))


_SHORT: Mapping[str, Callable[[str], str]] = {
    "Azure Policy": lambda guid: guid[:8],
    "Azure Community Policy": lambda guid: guid[:8],
    "APRL": lambda guid: guid[:8],
    "PSRule": lambda name: name.removeprefix("Azure."),
}
"""How the checks of a tool are named in a cell; the page of the rule has the whole name."""


def _by_number(name: str) -> list[str]:
    """Order in which `CKV_K8S_9` is before `CKV_K8S_10`, and 4.1.2 before 4.1.10."""
    return [part.zfill(3) for part in name.replace(".", "_").split("_")]


def _table(*columns: str) -> Iterator[str]:
    yield _line(*columns)
    yield "|" + "---|" * len(columns)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
