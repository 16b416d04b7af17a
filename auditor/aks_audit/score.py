"""The score: how much of what was asked, and could be decided, is as it should be.

A question is one rule (or checklist item) about one cluster. Its answer is the worst of the rule's outcomes about that
cluster's resources: fail before unknown before pass before not applicable. So a question passes only if everything it
is about passed. An item that several rules answer together takes the worst of their answers, and where one of them was
not asked it can only fail. With the weights of the questions' answers:

- value = passed / (passed + failed), in percent; None where nothing was decided;
- low  = passed / (passed + failed + unknown): every unknown turns out to be a failure;
- high = (passed + unknown) / (passed + failed + unknown): every unknown turns out to be a pass.

A rule weighs by its severity, a checklist item by the checklist's own weight. Not applicable weighs nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TypeAlias

from aks_audit.checklist import EVERYTHING, Checklist, Item
from aks_audit.findings import told
from aks_audit.results import Finding, Outcome, Record, RuleText, Severity

WEIGHTS: Mapping[Severity, float] = {
    Severity.CRITICAL: 10,
    Severity.HIGH: 6,
    Severity.MEDIUM: 3,
    Severity.LOW: 1,
    Severity.INFO: 0,
}

Answers: TypeAlias = Mapping[str, Mapping[str, Outcome]]
"""The answer of each question, by rule id and cluster id."""

_WORST_FIRST = (Outcome.FAIL, Outcome.UNKNOWN, Outcome.PASS, Outcome.NOT_APPLICABLE)
_RANKS: Mapping[Outcome, int] = {outcome: rank for rank, outcome in enumerate(_WORST_FIRST)}


class Score(Record, frozen=True):
    """A score in percent with one decimal; `decided` and `unknown` count questions."""

    value: float | None
    low: float | None
    high: float | None
    decided: int
    unknown: int


def answers(findings: Sequence[Finding]) -> Answers:
    """The answer of every question that the findings are about; cluster ids in lower case."""
    worst: dict[str, dict[str, Outcome]] = {}
    lower = cache(str.lower)  # which is then one string for all questions about a cluster
    for rule, clusters, outcome in told(findings):
        of_rule = worst.get(rule)
        if of_rule is None:
            of_rule = worst[rule] = {}
        for cluster in map(lower, clusters):
            before = of_rule.setdefault(cluster, outcome)
            if before is not outcome and _RANKS[outcome] < _RANKS[before]:
                of_rule[cluster] = outcome
    return worst


def worst(outcomes: Iterable[Outcome]) -> Outcome | None:
    """The outcome that counts among several, or None among none."""
    return min(set(outcomes), key=_RANKS.__getitem__, default=None)


def score(questions: Iterable[tuple[float, Outcome]]) -> Score:
    """Score weighted outcomes."""
    return _score(Counter(questions))


def _score(questions: Mapping[tuple[float, Outcome], int]) -> Score:
    weight = dict.fromkeys(Outcome, 0.0)
    count = dict.fromkeys(Outcome, 0)
    for (weighs, outcome), times in questions.items():
        weight[outcome] += weighs * times
        count[outcome] += times
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
    return score((weights[rule], outcome) for rule, told in found.items() for outcome in told.values())


def by_cluster(found: Answers, rules: Sequence[RuleText]) -> Mapping[str, Score]:
    """The score of each cluster over all rules; by cluster id in lower case."""
    weights = {rule.id: WEIGHTS[rule.severity] for rule in rules}
    counted: dict[str, Counter[tuple[float, Outcome]]] = {}
    for rule, of_rule in found.items():
        questions = {outcome: (weights[rule], outcome) for outcome in Outcome}
        for cluster, outcome in of_rule.items():
            if cluster not in counted:
                counted[cluster] = Counter()
            counted[cluster][questions[outcome]] += 1
    return {cluster: _score(asked) for cluster, asked in counted.items()}


def of_item(found: Answers, item: Item) -> tuple[Outcome, ...] | None:
    """The answers about each cluster to an item of a checklist; None where nothing was asked that could tell."""
    asked = [found[rule] for rule in item.rules if rule in found]
    if len(asked) == len(item.rules) == 1:
        return tuple(asked[0].values())
    if not asked:
        return None
    clusters = dict.fromkeys(cluster for told in asked for cluster in told)
    outcomes = tuple(min((t[c] for t in asked if c in t), key=_RANKS.__getitem__) for c in clusters)
    if len(asked) == len(item.rules):
        return outcomes
    # What was not asked may fail, so that nothing else than a failure is known.
    return tuple(outcome for outcome in outcomes if outcome is Outcome.FAIL) or None


def by_checklist(found: Answers, checklist: Checklist) -> Score:
    """The score over a checklist's items, of all clusters."""
    return score((item.weight, outcome) for item in checklist.item for outcome in of_item(found, item) or ())


def everything(rules: Iterable[RuleText]) -> Checklist:
    """The checklist of all rules, by id; each weighs by its severity, so that its score is the score of all."""
    items = tuple(
        Item(
            rule=rule.id,
            weight=WEIGHTS[rule.severity],
            sentence=f"{rule.title}.",
            group=rule.id.rpartition("-")[0],
        )
        for rule in sorted(rules, key=lambda rule: rule.id)
    )
    return Checklist(
        title="Every rule",
        source="the rules of aks-audit, and those of others that are installed",
        summary="All that is asked, by area. Each rule weighs by its severity.",
        item=items,
        name=EVERYTHING,
    )


def _percent(part: float, whole: float) -> float | None:
    return round(100 * part / whole, 1) if whole else None
