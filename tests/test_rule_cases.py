"""Every rule against its cases, and the demand that every rule has them."""

import pytest

from aks_audit.engine import load_rules
from cases import Case, case_files, read_cases, verdict_of

RULES = {rule.id: rule for rule in load_rules()}
CASES = [(path.parent.name, case) for path in case_files() for case in read_cases(path)]


@pytest.mark.parametrize(("rule_id", "case"), [pytest.param(r, c, id=f"{r}: {c.name}") for r, c in CASES])
def test_rule_case(rule_id: str, case: Case) -> None:
    outcome, message, severity = verdict_of(RULES[rule_id], case)
    assert outcome == case.expect, message
    assert case.says.lower() in message.lower()
    if case.severity:
        assert severity == case.severity


@pytest.mark.parametrize("rule_id", sorted(RULES))
def test_every_rule_has_cases_for_pass_fail_and_unknown(rule_id: str) -> None:
    outcomes = {case.expect for owner, case in CASES if owner == rule_id}
    assert outcomes >= {"pass", "fail", "unknown"}


def test_every_case_file_belongs_to_a_rule_and_case_names_are_unique() -> None:
    assert {owner for owner, _ in CASES} <= set(RULES)
    names = [(owner, case.name) for owner, case in CASES]
    assert len(names) == len(set(names))
