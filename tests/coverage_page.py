"""The page that lists the rules, made of the rules, and what has none, with its reason."""

import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from aks_audit.checklist import load_checklists
from aks_audit.engine import load_rules

_HEAD = """\
# Coverage

Made by `python tests/renew.py`; `aks-audit explain RULE` tells the whole text of a rule.

"""


NOT_COVERED = Path(__file__).parent.parent / "docs" / "not_covered.toml"
GROUPS = ("API", "EGR", "SUB", "PAAS", "KN", "ING", "KS", "KR", "OP", "IAM")
"""The groups of the catalogue in which every row has a rule or a reason why not."""


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the catalogue that has no rule: what it would need, and why."""

    id: str
    check: str
    needs: Literal["the Kubernetes API", "a person", "nothing more"]
    why: str


def not_covered() -> tuple[Row, ...]:
    """The rows that are said to have no rule, some of which may have got one since."""
    return msgspec.convert(tomllib.loads(NOT_COVERED.read_text(encoding="utf-8"))["row"], tuple[Row, ...])


def page() -> bytes:
    """`docs/coverage.md`: every rule, how many items of each checklist have one, and what has none."""
    rules = load_rules()
    covered = {rule.id for rule in rules}
    lines = [f"{len(rules)} rules:", "", "| rule | severity | desired condition | asked about |", "|---|---|---|---|"]
    lines += [f"| {rule.id} | {rule.text.severity} | {rule.text.title} | {rule.text.subject} |" for rule in rules]
    lines += ["", "Checklists:", ""]
    lines += ["| checklist | items | with a rule | for a person | waiting |", "|---|---|---|---|---|"]
    for checklist in load_checklists():
        manual = sum(item.manual for item in checklist.item)
        known = sum(item.rule in covered for item in checklist.item)
        waiting = len(checklist.item) - manual - known
        lines.append(f"| {checklist.name} | {len(checklist.item)} | {known} | {manual} | {waiting} |")
    lines += ["", f"Not covered, of the groups {', '.join(GROUPS)}:", ""]
    lines += ["| row | check | needs | why |", "|---|---|---|---|"]
    lines += [f"| {row.id} | {row.check} | {row.needs} | {row.why} |" for row in not_covered() if row.id not in covered]
    return (_HEAD + "\n".join(lines) + "\n").encode()
