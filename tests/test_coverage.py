"""Every row of the catalogue, and every check of other tools, has a rule or a reason why it has none."""

import json
from collections.abc import Mapping

import pytest

from aks_audit.checklist import load_checklists
from aks_audit.engine import load_rules
from cases import ROOT
from coverage_page import COLUMNS, GROUPS, TOOLS, asked, at_rules, not_covered, others, page, unasked

CATALOGUE = ROOT.parent / "shared" / "catalogue" / "checks.jsonl"
CALLED = {"Azure Community Policy": "Community-Policy", "AKS health check": "aks-health-check"}
"""What the catalogue calls a tool, where that is not the framework's name."""

RULES = {rule.id: rule.text for rule in load_rules()}
KNOWN = asked()
LISTED = {tool.name: set(tool.ids) for tool in others().tool}

needs_the_catalogue = pytest.mark.skipif(
    not CATALOGUE.exists(), reason="the catalogue (../shared/catalogue) is not here"
)


def catalogue() -> list[Mapping[str, str]]:
    return [json.loads(line) for line in CATALOGUE.read_text(encoding="utf-8").splitlines()]


def rows() -> set[str]:
    return {row["id"] for row in catalogue()}


def named(tool: str) -> set[str]:
    """The checks of a tool that the catalogue, or the list of the tool's own checks, names."""
    if tool in LISTED:
        return LISTED[tool]
    return {
        one["id"]
        for line in CATALOGUE.read_text(encoding="utf-8").splitlines()
        for one in json.loads(line)["covered_elsewhere"]
        if one["source"] == CALLED.get(tool, tool)
    }


@needs_the_catalogue
def test_every_row_without_a_rule_has_a_reason() -> None:
    told = {row.id for row in not_covered()}
    assert {row["group"] for row in catalogue()} == set(GROUPS)
    assert told <= rows()
    assert rows() - RULES.keys() <= told


@needs_the_catalogue
def test_the_catalogue_has_as_many_rows_as_the_page_says() -> None:
    manual = [row for row in catalogue() if row["data"] == "MANUAL"]
    assert (others().catalogue.rows, others().catalogue.for_a_person) == (len(rows()), len(manual))


def test_reasons_are_sentences_and_rows_are_told_once() -> None:
    told = not_covered()
    assert len({row.id for row in told}) == len(told)
    assert all(row.why.endswith(".") and "\n" not in row.why for row in told)
    questions = [question for question in others().question if not question.row]
    assert all(question.why.endswith(".") and "\n" not in question.why for question in questions)
    assert all(question.what and "\n" not in question.what for question in questions)
    assert len({question.what for question in questions}) == len(questions)


def test_no_row_with_a_rule_is_told_to_have_none() -> None:
    assert not {row.id for row in not_covered()} & RULES.keys()


@pytest.mark.parametrize("tool", TOOLS)
def test_every_check_of_a_tool_is_at_a_rule_or_has_a_reason(tool: str) -> None:
    if tool not in LISTED and not CATALOGUE.exists():
        pytest.skip("the catalogue (../shared/catalogue) is not here")
    assert named(tool) - at_rules(KNOWN, tool) - unasked(tool) == set()
    assert (at_rules(KNOWN, tool) | unasked(tool)) - named(tool) == set()


@pytest.mark.parametrize("tool", TOOLS)
def test_no_check_is_at_a_rule_and_told_to_be_at_none(tool: str) -> None:
    assert not at_rules(KNOWN, tool) & unasked(tool)
    told = [one for question in others().question for one in question.asked_by.get(tool, ())]
    assert len(told) == len(set(told))


def test_what_stands_in_the_data_file_is_known_here() -> None:
    without = {row.id for row in not_covered()}
    assert {tool for question in others().question for tool in question.asked_by} <= set(TOOLS)
    assert LISTED.keys() == set(TOOLS) & LISTED.keys()
    assert all(len(tool.ids) == len(set(tool.ids)) for tool in others().tool)
    for question in others().question:
        assert (question.row in without) if question.row else (question.what and question.why)
        assert all(question.asked_by.values())


def test_rules_that_reasons_name_are_there() -> None:
    whys = [*(row.why for row in not_covered()), *(question.why for question in others().question)]
    assert {one for why in whys for one in _rules_named(why)} <= RULES.keys()


def _rules_named(text: str) -> set[str]:
    """The rules that a text names in full; a second one of an area is often named by its number alone."""
    return {word.strip(".,:;()") for word in text.split() if word.startswith("AKS-")}


def test_the_page_shows_every_rule_and_what_stands_beside_it() -> None:
    lines = page().decode().splitlines()
    for rule in RULES.values():
        shown = next(line for line in lines if line.startswith(f"| [{rule.id}](reference/rules/{rule.id}.md) |"))
        cells = dict(zip(COLUMNS, shown.removesuffix(" |").split(" | ")[2:], strict=True))
        beside = {tool: len(cell.split(", ")) for tool, cell in cells.items() if cell.strip()}
        assert beside == {tool: len(ids) for tool, ids in KNOWN[rule.id].items() if tool in COLUMNS}


def test_the_page_tells_which_rules_are_ours_alone() -> None:
    ours = page().decode().partition("## What only we decide")[2].partition("\n## ")[0]
    compared = {*TOOLS, "CIS AKS"}
    alone = {rule for rule, by_tool in KNOWN.items() if not compared & by_tool.keys()}
    assert {rule for rule in RULES if f"[{rule}]" in ours} == alone


def test_every_recommendation_of_the_benchmark_that_rules_decide_stands_beside_them() -> None:
    benchmark = next(one for one in load_checklists() if one.name == "cis-aks-1.8")
    assert at_rules(KNOWN, "CIS AKS") == {item.number for item in benchmark.item if not item.manual}


def test_the_page_shows_what_others_ask_and_those_that_have_no_rule() -> None:
    text = page().decode()
    assert all(f"| {row.id} | {row.check} |" in text for row in not_covered())
    assert all(f"| {question.what} | " in text for question in others().question if not question.row)
    assert all(f"| {question.why} |" in text for question in others().question if not question.row)
