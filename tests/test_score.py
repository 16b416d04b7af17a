"""The score's arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit.checklist import Item, parse
from aks_audit.engine import load_rules
from aks_audit.results import Finding, Outcome, Place, Severity
from aks_audit.score import answers, by_checklist, by_severity, everything, of_item, score

questions = st.lists(st.tuples(st.integers(0, 10).map(float), st.sampled_from(Outcome)))


@given(questions)
def test_the_score_lies_in_its_interval(asked: list[tuple[float, Outcome]]) -> None:
    made = score(asked)
    if made.value is not None and made.low is not None and made.high is not None:
        assert 0 <= made.low <= made.value <= made.high <= 100


@given(questions, st.data())
def test_losing_an_answer_only_widens_the_interval(asked: list[tuple[float, Outcome]], data: st.DataObject) -> None:
    decided = [n for n, (_, outcome) in enumerate(asked) if outcome in {Outcome.PASS, Outcome.FAIL}]
    if decided:
        lost = data.draw(st.sampled_from(decided))
        before, after = (
            score(asked),
            score([(w, Outcome.UNKNOWN if n == lost else o) for n, (w, o) in enumerate(asked)]),
        )
        assert after.low is None or before.low is None or after.low <= before.low
        assert after.high is None or before.high is None or after.high >= before.high


@given(questions)
def test_without_unknowns_the_interval_is_a_point(asked: list[tuple[float, Outcome]]) -> None:
    made = score([question for question in asked if question[1] is not Outcome.UNKNOWN])
    assert made.low == made.value == made.high


def test_a_score_worked_by_hand() -> None:
    made = score([(6, Outcome.PASS), (3, Outcome.FAIL), (1, Outcome.UNKNOWN), (10, Outcome.NOT_APPLICABLE)])
    assert (made.value, made.low, made.high, made.decided, made.unknown) == (66.7, 60.0, 70.0, 2, 1)


def test_nothing_decided_is_no_score() -> None:
    assert score([(6, Outcome.UNKNOWN)]).value is None
    assert score([]).low is None


def finding(outcome: Outcome, *clusters: str) -> Finding:
    return Finding(
        rule="R",
        resource="/r",
        clusters=clusters,
        outcome=outcome,
        severity=Severity.LOW,
        message="",
        evidence=(),
        remediation=None,
        missing=(),
        location=None,
        place=Place("p", 1, ""),
        fingerprint="",
    )


def test_a_question_takes_its_worst_outcome_for_each_cluster_without_case() -> None:
    found = answers(
        [
            finding(Outcome.PASS, "/A", "/B"),
            finding(Outcome.UNKNOWN, "/a"),
            finding(Outcome.NOT_APPLICABLE, "/b"),
            finding(Outcome.FAIL, "/c"),
            finding(Outcome.UNKNOWN, "/C"),
        ]
    )
    assert found == {"R": {"/a": Outcome.UNKNOWN, "/b": Outcome.PASS, "/c": Outcome.FAIL}}


def test_each_item_of_a_checklist_weighs_by_itself() -> None:
    items = "".join(f'[[item]]\nrule="{rule}"\nweight={weight}\nsentence="S."\n' for rule, weight in ("A1", "A3", "B4"))
    asked = parse("mine", f'title="t"\nsource="s"\nsummary="u"\n{items}')
    found = {"A": {"c": Outcome.PASS}, "B": {"c": Outcome.FAIL}, "C": {"c": Outcome.FAIL}}
    made = by_checklist(found, asked)
    assert (made.value, made.decided) == (50.0, 3)


PASS, FAIL, UNKNOWN, NOT_APPLICABLE = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN, Outcome.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("found", "asked", "answer"),
    [
        ({("A", "c"): PASS, ("B", "c"): PASS}, "AB", (PASS,)),
        ({("A", "c"): PASS, ("B", "c"): FAIL}, "AB", (FAIL,)),
        ({("A", "c"): PASS, ("B", "c"): UNKNOWN}, "AB", (UNKNOWN,)),
        ({("A", "c"): FAIL, ("B", "c"): UNKNOWN}, "AB", (FAIL,)),
        ({("A", "c"): NOT_APPLICABLE, ("B", "c"): PASS}, "AB", (PASS,)),
        ({("A", "c"): NOT_APPLICABLE}, "AB", (NOT_APPLICABLE,)),
        ({("A", "c"): PASS, ("B", "d"): FAIL}, "AB", (PASS, FAIL)),
        ({}, "AB", ()),
        # A rule that was not asked (disabled, or not there) may fail: the others cannot make the item pass.
        ({("A", "c"): PASS}, "A", None),
        ({("B", "c"): UNKNOWN}, "B", None),
        ({("A", "c"): PASS, ("A", "d"): FAIL}, "A", (FAIL,)),
        ({}, "", None),
    ],
)
def test_an_item_takes_the_worst_answer_of_its_rules(
    found: dict[tuple[str, str], Outcome], asked: str, answer: tuple[Outcome, ...] | None
) -> None:
    both = Item(rule="A", further=("B",), weight=1, sentence="S.")
    told = {rule: {c: outcome for (one, c), outcome in found.items() if one == rule} for rule in asked}
    assert of_item(told, both) == answer


def test_an_item_for_a_person_is_no_question() -> None:
    asked = Item(rule="A", weight=1, sentence="S.", manual=True)
    assert of_item({"A": {"c": PASS}}, asked) is None


def test_the_checklist_of_all_rules_scores_as_all_rules_do() -> None:
    rules = [rule.text for rule in load_rules()]
    found = {rule.id: {f"c{n % 3}": tuple(Outcome)[n % 4]} for n, rule in enumerate(rules)}
    every = everything(reversed(rules))
    assert by_checklist(found, every) == by_severity(found, rules)
    assert [item.rule for item in every.item] == sorted(rule.id for rule in rules)
    assert every.item[0].group == "AKS-API"
