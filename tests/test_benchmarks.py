"""The checklists of benchmarks: whole by number, in our own words, and answered by rules that are there."""

import re
from collections import Counter
from itertools import pairwise

import pytest

from aks_audit.checklist import Checklist, load_checklists
from aks_audit.engine import load_rules
from aks_audit_rules.pod_security_standards import STANDARDS, Level
from coverage_page import not_covered

CHECKLISTS = {checklist.name: checklist for checklist in load_checklists()}
RULES = {rule.id: rule.text for rule in load_rules()}
BENCHMARKS = ("aks-baseline", "azure-policy", "cis-aks-1.8", "mcsb-v2", "pod-security-standards")
CIS = {"2.1": 1, "3.1": 4, "3.2": 9, "4.1": 12, "4.2": 5, "4.4": 2, "4.5": 2, "4.6": 3, "5.1": 4, "5.2": 1, "5.3": 1,
       "5.4": 5, "5.5": 2}  # fmt: skip
"""How many recommendations each section of CIS AKS 1.8 has: 51 together."""

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.mark.parametrize("name", CHECKLISTS)
def test_every_rule_that_an_item_names_is_there(name: str) -> None:
    named = {rule for item in CHECKLISTS[name].item for rule in item.rules}
    assert named <= RULES.keys()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_items_are_sentences_with_a_rule_or_a_person(name: str) -> None:
    for item in CHECKLISTS[name].item:
        assert item.sentence.endswith(".")
        assert not item.note or item.note.endswith(".")
        assert item.manual is not bool(item.rule), item.sentence
        assert len(set(item.rules)) == len(item.rules)
    for key in ("number", "sentence"):
        told = [value for item in CHECKLISTS[name].item if (value := getattr(item, key))]
        assert len(set(told)) == len(told)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_items_of_a_group_stand_together(name: str) -> None:
    groups = [item.group for item in CHECKLISTS[name].item]
    assert all(groups)
    changes = sum(one != other for one, other in pairwise(groups))
    assert changes + 1 == len(set(groups))


def numbered(checklist: Checklist) -> dict[str, str]:
    return {item.number: item.note for item in checklist.item}


def test_every_recommendation_of_cis_is_an_item() -> None:
    asked = {f"{section}.{number}" for section, most in CIS.items() for number in range(1, most + 1)}
    assert len(asked) == 51
    assert numbered(CHECKLISTS["cis-aks-1.8"]).keys() == asked


def test_rules_decide_38_of_cis_without_asking_the_kubelet_and_people_decide_4() -> None:
    items = CHECKLISTS["cis-aks-1.8"].item
    decided = [item for item in items if item.rules and not item.number.startswith("3.2.")]
    assert len(decided) == 38
    assert [item.number for item in items if item.manual] == ["3.1.1", "3.1.2", "3.1.3", "3.1.4"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("5.4.2", "enablePublicFqdn, which does not exist"),
        ("5.4.1", "can never pass"),
        ("4.2.1", "podSecurityAdmissionConfiguration or guardrailsProfile"),
        ("4.4.1", "another cloud's plugin"),
    ],
)
def test_an_item_says_where_the_benchmark_or_its_audits_are_wrong(number: str, said: str) -> None:
    assert said in numbered(CHECKLISTS["cis-aks-1.8"])[number]


def test_definitions_of_azure_policy_are_those_that_the_rules_name() -> None:
    for item in CHECKLISTS["azure-policy"].item:
        assert GUID.fullmatch(item.number)
        assert all(GUID.fullmatch(one) for one in re.findall(r"\b[0-9a-f]{8}-[0-9a-f-]+", item.note))
        named = {control.id for rule in item.rules for control in RULES[rule].controls}
        assert item.number in named or item.manual, item


def test_every_control_of_the_pod_security_standards_is_an_item() -> None:
    counted = Counter(item.group.lower() for item in CHECKLISTS["pod-security-standards"].item)
    controls = Counter(control.level.value for control in STANDARDS if control.level)
    # The API server refuses an unmasked /proc by restricted once more; the standards ask it of both levels once.
    assert counted == {**controls, Level.RESTRICTED: controls[Level.RESTRICTED] - 1, "admission": 1}


def test_numbers_of_the_cloud_security_benchmark_are_of_its_domains() -> None:
    numbers = numbered(CHECKLISTS["mcsb-v2"])
    assert all(re.fullmatch(r"(NS|IM|PA|DP|AM|LT|PV|ES|BR|DS)-\d+", number) for number in numbers)
    assert {f"NS-{number}" for number in range(1, 11)} <= numbers.keys()


def test_every_row_of_the_catalogue_that_a_person_must_answer_is_a_question() -> None:
    rows = {row.id for row in not_covered() if row.needs == "a person"}
    asked = CHECKLISTS["questions"].item
    assert {item.number for item in asked} == rows
    assert all(item.manual for item in asked)
