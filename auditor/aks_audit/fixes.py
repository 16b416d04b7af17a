"""What to do first: the fixes of an audit, by the risk that each takes away for what it costs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from aks_audit.report import Fix
from aks_audit.results import Effort, Finding, RuleText, Severity, effort
from aks_audit.score import WEIGHTS

COSTS: Mapping[Effort, float] = {Effort.SETTING: 1, Effort.ROLLOUT: 2, Effort.NODES: 5, Effort.REBUILD: 20}
"""What a fix of one resource costs, in settings that are changed in place."""

_RANKS: Mapping[Severity, int] = {severity: rank for rank, severity in enumerate(Severity)}

_Key: TypeAlias = tuple[str, ...]


def fixes(failures: Iterable[Finding], rules: Sequence[RuleText]) -> tuple[Fix, ...]:
    """The fixes of these failures, the one that takes away most for its cost first.

    Failures that the same command mends are one fix, and so are those of one rule about what is inside one cluster.
    The risk of a fix is the weight of its failures, by severity as in the score and counted for each cluster that a
    failure concerns; its cost is `COSTS` for each resource. What only informs is no risk, and no fix. What cannot be
    mended before something else is told of with that.
    """
    texts = {rule.id: rule for rule in rules}
    risky = {failure.fingerprint: failure for failure in failures if WEIGHTS[failure.severity]}
    grouped: dict[_Key, list[Finding]] = {}
    later: dict[_Key, list[str]] = {}
    for mark, failure in risky.items():
        cause = next((risky[cause] for cause in failure.causes if cause in risky), None)
        if cause:
            later.setdefault(_key(cause), []).append(mark)
        else:
            grouped.setdefault(_key(failure), []).append(failure)
    made = [_fix(group, texts, sorted(later.get(key, ()))) for key, group in grouped.items()]
    return tuple(
        sorted(made, key=lambda fix: (-fix.risk / _cost(fix), -fix.risk, fix.rules, fix.resources, fix.command))
    )


def _cost(fix: Fix) -> float:
    return COSTS[fix.effort] * len(fix.resources)


def _key(failure: Finding) -> _Key:
    resource = failure.resource.lower()
    for cluster in map(str.lower, failure.clusters if "/api" in resource else ()):
        if resource.startswith((f"{cluster}/api/", f"{cluster}/apis/")):
            return failure.rule, cluster
    if failure.remediation:
        return (failure.remediation.command,)
    return failure.rule, resource


def _fix(failures: Iterable[Finding], texts: Mapping[str, RuleText], then: Sequence[str]) -> Fix:
    group = sorted(failures, key=lambda f: (_RANKS[f.severity], f.rule, f.resource.lower(), f.fingerprint))
    worst = group[0]
    change = worst.remediation.change if worst.remediation else ""
    return Fix(
        title=texts[worst.rule].title,
        rules=tuple(sorted({failure.rule for failure in group})),
        resources=tuple(dict.fromkeys(failure.resource for failure in group)),
        severity=worst.severity,
        command=worst.remediation.command if worst.remediation else "",
        change=change,
        effort=effort(change),
        risk=sum(WEIGHTS[failure.severity] * max(1, len(failure.clusters)) for failure in group),
        findings=tuple(failure.fingerprint for failure in group),
        clusters=tuple(dict.fromkeys(cluster for failure in group for cluster in failure.clusters)),
        then=tuple(then),
    )
