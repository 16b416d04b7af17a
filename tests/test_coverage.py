"""Every row of the catalogue in the groups that are whole has a rule, or a reason why it has none."""

import json

import pytest

from aks_audit.engine import load_rules
from cases import ROOT
from coverage_page import GROUPS, not_covered, page

CATALOGUE = ROOT.parent / "shared" / "catalogue" / "checks.jsonl"


def rows() -> set[str]:
    return {row["id"] for row in _catalogue() if row["group"] in GROUPS}


def _catalogue() -> list[dict[str, str]]:
    return [json.loads(line) for line in CATALOGUE.read_text(encoding="utf-8").splitlines()]


@pytest.mark.skipif(not CATALOGUE.exists(), reason="the catalogue (../shared/catalogue) is not here")
def test_every_row_without_a_rule_has_a_reason() -> None:
    told = {row.id for row in not_covered()}
    assert told <= {row["id"] for row in _catalogue()}
    assert rows() - {rule.id for rule in load_rules()} <= told


def test_reasons_are_sentences_and_rows_are_told_once() -> None:
    told = not_covered()
    assert len({row.id for row in told}) == len(told)
    assert all(row.why.endswith(".") and "\n" not in row.why for row in told)


def test_the_page_shows_those_that_have_no_rule() -> None:
    text = page().decode()
    covered = {rule.id for rule in load_rules()}
    shown = {row.id for row in not_covered() if f"| {row.id} | {row.check} |" in text}
    assert shown == {row.id for row in not_covered()} - covered
