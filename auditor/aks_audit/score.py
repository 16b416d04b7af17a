"""The score: how much of what was asked, and could be decided, is as it should be.

A question is one rule (or checklist item) about one cluster. Its answer is the worst of the rule's outcomes about that
cluster's resources: fail before unknown before pass before not applicable. So a question passes only if everything it
is about passed. With the weights of the questions' answers:

- value = passed / (passed + failed), in percent; None where nothing was decided;
- low  = passed / (passed + failed + unknown): every unknown turns out to be a failure;
- high = (passed + unknown) / (passed + failed + unknown): every unknown turns out to be a pass.

A rule weighs by its severity, a checklist item by the checklist's own weight. Not applicable weighs nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from aks_audit.checklist import Checklist
from aks_audit.results import Finding, Outcome, Record, RuleText, Severity

WEIGHTS: Mapping[Severity, float] = {
    Severity.CRITICAL: 10,
    Severity.HIGH: 6,
    Severity.MEDIUM: 3,
    Severity.LOW: 1,
    Severity.INFO: 0,
}

Answers: TypeAlias = Mapping[tuple[str, str], Outcome]
"""The answer of each question: (rule id, cluster id) to outcome."""

_WORST_FIRST = (Outcome.FAIL, Outcome.UNKNOWN, Outcome.PASS, Outcome.NOT_APPLICABLE)


class Score(Record, frozen=True):
    """A score in percent with one decimal; `decided` and `unknown` count questions."""

    value: float | None
    low: float | None
    high: float | None
    decided: int
    unknown: int


def answers(findings: Iterable[Finding]) -> Answers:
    """The answer of every question that the findings are about; cluster ids in lower case."""
    worst: dict[tuple[str, str], Outcome] = {}
    for finding in findings:
        for cluster in finding.clusters:
            question = (finding.rule, cluster.lower())
            worst[question] = min(finding.outcome, worst.get(question, Outcome.NOT_APPLICABLE), key=_WORST_FIRST.index)
    return worst


def worst(outcomes: Iterable[Outcome]) -> Outcome | None:
    """The outcome that counts among several, or None among none."""
    return min(outcomes, key=_WORST_FIRST.index, default=None)


def score(questions: Iterable[tuple[float, Outcome]]) -> Score:
    """Score weighted outcomes."""
    weight = dict.fromkeys(Outcome, 0.0)
    count = dict.fromkeys(Outcome, 0)
    for weighs, outcome in questions:
        weight[outcome] += weighs
        count[outcome] += 1
    passed, unknown = weight[Outcome.PASS], weight[Outcome.UNKNOWN]
    decided = passed + weight[Outcome.FAIL]
    return Score(
        value=_percent(passed, decided),
        low=_percent(passed, decided + unknown),
        high=_percent(passed + unknown, decided + unknown),
        decided=count[Outcome.PASS] + count[Outcome.FAIL],
        unknown=count[Outcome.UNKNOWN],
    )


def by_severity(found: Answers, rules: Sequence[RuleText]) -> Score:
    """The score over all rules and clusters."""
    weights = {rule.id: WEIGHTS[rule.severity] for rule in rules}
    return score((weights[rule], outcome) for (rule, _), outcome in found.items())


def by_cluster(found: Answers, rules: Sequence[RuleText]) -> Mapping[str, Score]:
    """The score of each cluster over all rules; by cluster id in lower case."""
    weights = {rule.id: WEIGHTS[rule.severity] for rule in rules}
    questions: dict[str, list[tuple[float, Outcome]]] = {}
    for (rule, cluster), outcome in found.items():
        questions.setdefault(cluster, []).append((weights[rule], outcome))
    return {cluster: score(asked) for cluster, asked in questions.items()}


def by_checklist(found: Answers, checklist: Checklist) -> Score:
    """The score over a checklist's items, of all clusters."""
    by_rule: dict[str, list[Outcome]] = {}
    for (rule, _), outcome in found.items():
        by_rule.setdefault(rule, []).append(outcome)
    asked = [item for item in checklist.item if not item.manual]
    return score((item.weight, outcome) for item in asked for outcome in by_rule.get(item.rule, ()))


def _percent(part: float, whole: float) -> float | None:
    return round(100 * part / whole, 1) if whole else None
