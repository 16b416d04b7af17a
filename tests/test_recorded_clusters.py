"""Every rule about the inside of clusters, against the recorded answers of a real API server: one weak, one hardened.

`fixtures/kubernetes/<name>.toml` holds what a person decided: for each rule the subjects that pass, fail or are
unknown, each by the end of its id, or `*` for all that no other line names; about all that stand in no line the rule is
not applicable.
"""

import tomllib
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from aks_audit.engine import audit, load_rules
from aks_audit.facts import Subjects
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.results import Finding, Outcome
from recorded_clusters import NAMES, Name, estate

FOLDER = Path(__file__).parent.parent / "fixtures" / "kubernetes"
JOINED = frozenset(
    {
        *("AKS-EGR-28", "AKS-EGR-29", "AKS-EGR-30", "AKS-EGR-31", "AKS-EGR-32", "AKS-EGR-35"),
        *("AKS-KN-02", "AKS-KN-03", "AKS-KN-11", "AKS-KN-12", "AKS-KN-13", "AKS-KN-21"),
        *("AKS-KW-08", "AKS-KW-11", "AKS-KW-13", "AKS-KW-14"),
    }
)
"""Rules about clusters as Azure shows them that read the inside too; where they do not apply, Azure may say so."""

INSIDE = [rule for rule in load_rules() if issubclass(rule.subject, KubernetesObject) or rule.id in JOINED]


@cache
def findings(name: Name, *, rights: bool = True) -> Sequence[Finding]:
    return audit(estate(name, rights=rights), INSIDE)


def expected(name: Name) -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def answered(name: Name, rule: str) -> dict[str, list[str]]:
    """The subjects that a rule answered about, by outcome, without those that it does not apply to."""
    found: dict[str, list[str]] = defaultdict(list)
    for finding in findings(name):
        if finding.rule == rule and finding.outcome is not Outcome.NOT_APPLICABLE:
            found[finding.outcome.value].append(finding.resource)
    return found


@pytest.mark.parametrize("rule", [rule.id for rule in INSIDE])
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_cluster_gets_the_answers_that_a_person_decided(name: Name, rule: str) -> None:
    decided = expected(name).get(rule, {})
    found = answered(name, rule)
    assert set(found) == set(decided), {outcome: found[outcome] for outcome in sorted(set(found) ^ set(decided))}
    named = {end for ends in decided.values() for end in ends} - {"*"}
    for outcome, ends in decided.items():
        others = [one for one in found[outcome] if not any(one.endswith(f"/{end}") for end in named)]
        wrong = [one for one in found[outcome] if not any(one.endswith(f"/{end}") for end in ends)]
        wrong = [one for one in wrong if one not in others] if "*" in ends else wrong
        missing = [end for end in ends if not any(one.endswith(f"/{end}") or end == "*" for one in found[outcome])]
        assert not wrong, f"{outcome}, and not in the table: {wrong}"
        assert not missing, f"in the table as {outcome}: {missing}"


@pytest.mark.parametrize("name", NAMES)
def test_the_table_holds_no_other_rules(name: Name) -> None:
    assert set(expected(name)) <= {rule.id for rule in INSIDE}


@pytest.mark.parametrize("name", NAMES)
def test_without_rights_inside_nothing_is_decided(name: Name) -> None:
    decided = [
        f"{finding.rule} {finding.resource}: {finding.outcome}"
        for finding in findings(name, rights=False)
        if finding.outcome is not Outcome.UNKNOWN
        if finding.rule not in JOINED or finding.outcome is not Outcome.NOT_APPLICABLE
    ]
    assert not decided
    assert all(
        missing.action or missing.kind for finding in findings(name, rights=False) for missing in finding.missing
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_asks_about_something(name: Name) -> None:
    subjects = Subjects(estate(name))
    assert [rule.id for rule in INSIDE if not subjects.of(rule.subject)] == []
