"""The page that lists the rules, made of the rules."""

from aks_audit.checklist import load_checklists
from aks_audit.engine import load_rules

_HEAD = """\
# Coverage

Made by `python tests/renew.py`; `aks-audit explain RULE` tells the whole text of a rule.

"""


def page() -> bytes:
    """`docs/coverage.md`: every rule, and how many items of each checklist have one."""
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
    return (_HEAD + "\n".join(lines) + "\n").encode()
