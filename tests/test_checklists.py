"""The five guides as checklists: every row of the catalogue that names a guide is an item of it."""

import json
from datetime import date
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

import report_samples
from aks_audit import snapshot
from aks_audit.checklist import ChecklistError, choose, load_checklists, parse
from aks_audit.commands.live import demo
from aks_audit.engine import load_rules
from aks_audit.report import Report, Reporter
from aks_audit.scan import Wish, scan
from aks_audit_reports import console, html, markdown, summary
from cases import ROOT

CATALOGUE = ROOT.parent / "shared" / "catalogue" / "checks.jsonl"
CHECKLISTS = {checklist.name: checklist for checklist in load_checklists()}
RULES = {rule.id for rule in load_rules()}
NOT_COVERED = {
    "aks-review-networking": 0,
    "aks-security-summit": 0,
    "aviatrix-firenet-kubenet": 0,
    "azure-firewall-egress": 0,
    "checkpoint-per-pod-egress": 0,
}
"""How many items of each checklist wait for a rule. A new rule lowers a number; no other change may."""


def test_the_five_guides_are_there() -> None:
    assert CHECKLISTS.keys() >= NOT_COVERED.keys()


@pytest.mark.skipif(not CATALOGUE.exists(), reason="the catalogue (../shared/catalogue) is not here")
@pytest.mark.parametrize("name", NOT_COVERED)
def test_every_row_that_names_the_guide_is_an_item(name: str) -> None:
    rows = [json.loads(line) for line in CATALOGUE.read_text(encoding="utf-8").splitlines()]
    asked = {row["id"]: row["data"] == "MANUAL" for row in rows if name in row["asked_by"]}
    assert {item.rule: item.manual for item in CHECKLISTS[name].item} == asked


@pytest.mark.parametrize("name", NOT_COVERED)
def test_items_that_wait_for_a_rule_are_counted(name: str) -> None:
    waiting = [item.rule for item in CHECKLISTS[name].item if not item.manual and item.rule not in RULES]
    assert len(waiting) == NOT_COVERED[name], waiting


@pytest.mark.parametrize("name", NOT_COVERED)
def test_items_are_distinct_sentences(name: str) -> None:
    items = CHECKLISTS[name].item
    assert len({item.rule for item in items}) == len(items)
    assert all(item.sentence.endswith(".") for item in items)


def test_unknown_checklist_names_those_there_are() -> None:
    with pytest.raises(ChecklistError, match="there are: aks-baseline"):
        choose(tuple(CHECKLISTS.values()), ("nonsense",))


def test_a_name_that_two_packages_bring_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    brought = EntryPoints(EntryPoint(name, "aks_audit_rules.checklists", "aks_audit.checklists") for name in "ab")
    monkeypatch.setattr("aks_audit.checklist.brought", lambda _group: brought)
    with pytest.raises(ChecklistError, match="is already installed by another package"):
        load_checklists()


def test_the_name_of_the_list_of_all_rules_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "all.toml").touch()
    monkeypatch.setattr("aks_audit.checklist.files", lambda _package: tmp_path)
    with pytest.raises(ChecklistError, match="kept for that of all rules"):
        load_checklists()


WEIGHTLESS = 'title="t"\nsource="s"\nsummary="u"\nitem=[{rule="R",weight=0,sentence="x"}]'


@pytest.mark.parametrize("toml", ["title = ", 'title = "t"', WEIGHTLESS])
def test_a_file_that_is_no_checklist_is_refused_by_name(toml: str) -> None:
    with pytest.raises(ChecklistError, match="checklist mine"):
        parse("mine", toml)


@pytest.fixture(scope="module")
def of_people() -> Report:
    """The sample estate, asked for nothing but what a person has to answer."""
    return scan(snapshot.read([demo()]), Wish(date(2026, 11, 22), checklists=("questions",)))


@pytest.mark.parametrize(("reporter", "times"), [(console.REPORTER, 2), (markdown.REPORTER, 3), (html.REPORTER, 4)])
def test_what_only_people_can_answer_is_told_as_that(of_people: Report, reporter: Reporter, times: int) -> None:
    told = reporter.render(of_people).decode()
    items = f"{len(CHECKLISTS['questions'].item)} items for a person to answer"
    assert f"{items}, and nothing else was asked about 5 clusters" in told
    assert "nothing is read for it" in told
    assert told.count(items) == times, (
        "the title's, the verdict's, the coverage's, and the list's, where there are such"
    )


def test_where_rules_were_asked_too_their_answers_are_told(of_people: Report) -> None:
    rules = [rule for rule in load_rules() if rule.id == "AKS-API-01"]
    also = scan(
        snapshot.read([demo()]), Wish(date(2026, 11, 22), checklists=("questions",), rules=rules, named={"AKS-API-01"})
    )
    assert summary.verdict(also, also.failures()) == "2 high failures on 5 clusters"
    assert summary.verdict(of_people, ()).startswith("18 items")


def test_a_list_that_rules_answer_in_part_is_not_left_to_people() -> None:
    asked = report_samples.report().score.checklists
    assert {item.state for item in asked[0].items} > {"manual"}
    assert not summary.left_to_people(asked)
    assert not summary.left_to_people(())
