"""Each trap: what is said of it, whether aks-audit answers it right, and the table of all."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from aks_audit import snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate
from aks_audit.facts.kubernetes import KubernetesObject
from cases import BASE, INSIDE, ROOT, Case, records_of
from reports import audited
from traps import identities, reporting, sources

_HEAD = """\
# Traps

Made by `python tests/renew.py`. Wrong answers that scanners were seen to give, each with the right one.
`fixtures/traps` holds one file for each, with the cases that rules are asked; what takes more than a rule is
checked by the installed command. All are tested at every change (`pytest tests/test_traps.py`, or in `tests`:
`python -m traps`). Where a scanner or a benchmark is named, it is for the version that was read; it may have been
mended since.

"""

FOLDER = ROOT / "fixtures" / "traps"

Check: TypeAlias = Callable[[Path], None]
"""Checks a trap that takes more than a rule, in an empty folder; raises AssertionError where the answer is wrong."""

CHECKS: Mapping[int, Check] = {**sources.CHECKS, **identities.CHECKS, **reporting.CHECKS}
"""What checks traps beside their cases, or where they have none. The first line of each says how."""

_RULES = {rule.id: rule for rule in load_rules()}


class TrapCase(Case, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A case of a trap: `why` the answer is right, and which permission the report says is missing."""

    rule: str
    unread: str = ""


class Trap(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A wrong answer and the right one, in our words; where the wrong one was seen, if that is known."""

    number: int
    name: str
    wrong: str
    right: str
    seen_in: str = ""
    case: tuple[TrapCase, ...] = ()

    @property
    def checked(self) -> str:
        """How: the rules that are asked in its cases, and what its check does."""
        rules = ", ".join(sorted({case.rule for case in self.case}))
        check = CHECKS.get(self.number)
        return "; ".join(filter(None, (rules, check and (check.__doc__ or "").partition("\n")[0].rstrip("."))))


def _read(path: Path) -> Trap:
    number, _, name = path.stem.partition("-")
    return msgspec.convert({"number": int(number), "name": name, **tomllib.loads(path.read_text("utf-8"))}, Trap)


TRAPS = tuple(map(_read, sorted(FOLDER.glob("*.toml"))))


def mistakes(trap: Trap, folder: Path) -> list[str]:
    """What aks-audit gets wrong of a trap: nothing, where it is right. The folder is for the check's files."""
    found = [f"{case.name}: {mistake}" for case in trap.case for mistake in _mistakes_of(case)]
    try:
        CHECKS.get(trap.number, _nothing)(folder)
    except AssertionError as wrong:
        found.append(str(wrong) or "wrong")
    return found


def _nothing(_folder: Path) -> None:
    """Most traps are all in their cases."""


def _mistakes_of(case: TrapCase) -> Iterator[str]:
    rule = _RULES[case.rule]
    files = (BASE, INSIDE) if issubclass(rule.subject, KubernetesObject) else ()
    records = records_of(case, *files)
    findings = [
        finding
        for finding in audit(Estate(snapshot.of(records)), [rule])
        if finding.resource.lower().endswith(case.subject.lower())
    ]
    if [finding.outcome.value for finding in findings] != [case.expect]:
        said = "; ".join(f"{finding.outcome}, {finding.message}" for finding in findings)
        yield f"{case.rule} should say {case.expect}, it says {said or 'nothing'}"
    for finding in findings:
        if case.says not in finding.message:
            yield f"{case.rule} should say {case.says!r}, it says {finding.message}"
        if case.severity not in {"", finding.severity}:
            yield f"{case.rule} should be {case.severity}, it is {finding.severity}"
    if case.unread:
        yield from _untold(case, records)


def _untold(case: TrapCase, records: Sequence[snapshot.Record]) -> Iterator[str]:
    """What a report should tell of a read that was refused, and does not."""
    report = audited(records)
    if report.scan.complete:
        yield "the scan should be incomplete"
    if not any(missing.action == case.unread and missing.scope for missing in report.coverage.unread):
        yield f"coverage should name {case.unread} and a scope"
    if report.findings and not report.coverage.unknown:
        yield "coverage should count what is unknown"


def table(found: Mapping[int, Sequence[str]] | None = None) -> list[str]:
    """The lines of a Markdown table of all traps; with what was found wrong of each, also whether it is right."""
    heads = ("trap", *(("answer",) if found is not None else ()), "wrong", "right", "seen in", "checked by")
    rows = [
        (
            str(trap.number),
            *(("WRONG" if found[trap.number] else "right",) if found is not None else ()),
            trap.wrong,
            trap.right,
            trap.seen_in,
            trap.checked,
        )
        for trap in TRAPS
    ]
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]


def page() -> bytes:
    """`docs/traps.md`: the table of all."""
    lines = [re.sub(r"AKS-[A-Z]+-\d+", r"[\g<0>](reference/rules/\g<0>.md)", line) for line in table()]
    return (_HEAD + "\n".join(lines) + "\n").encode()
