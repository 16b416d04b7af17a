"""What `docs/mutants.md` tells of the mutants of the rules is about the rules as they are, and enough are caught."""

from rule_mutants import Mutant, asked, caught, modules, mutants, told

_LEAST = 0.95


def test_the_page_is_about_the_rules_as_they_are() -> None:
    """Where it is not, `python tests/rule_mutants.py MODULE` makes the mutants of a module again."""
    page = told()
    assert {name: one.made for name, one in page.items()} == {name: len(mutants(name)) for name in modules()}
    changes = {str(mutant) for name in modules() for mutant in mutants(name)}
    assert {mutant for one in page.values() for mutant in one.alive} <= changes


def test_enough_mutants_are_caught() -> None:
    page = told().values()
    assert sum(len(one.alive) for one in page) <= (1 - _LEAST) * sum(one.made for one in page)


def test_a_change_of_nothing_is_not_caught_and_a_negated_decision_is() -> None:
    cases = asked("identity")
    assert not caught(Mutant("identity", "module", (0, 0), "nothing", -1), cases)
    assert all(caught(mutant, cases) for mutant in mutants("identity") if mutant.change.startswith("not ("))
