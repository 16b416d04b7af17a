"""How rules about workloads come to a verdict: over every container of every pod specification that differs."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from aks_audit.facts import Estate, Unread
from aks_audit.facts.admission import ValidatingWebhookConfiguration
from aks_audit.facts.platform import foreign, is_component
from aks_audit.facts.workloads import Container, Namespace, Pod, PodSpec, Workload
from aks_audit.results import Evidence, Missing, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, undecided
from aks_audit_rules.pod_security_standards import Control, Looked

T = TypeVar("T")

_MOST = 12
"""How many values a verdict cites; the rest repeats them."""

_NAMED, _LONGEST = 3, 60
"""How many values of a pod a message names, and how long each may be."""

_POD = "the pod"
_ENFORCED = "pod-security.kubernetes.io/enforce"

_ENGINES: Mapping[str, str] = {"gatekeeper": "Gatekeeper", "kyverno": "Kyverno"}
"""Policy engines, by what the configurations of their webhooks are called: https://open-policy-agent.github.io/gatekeeper
and https://kyverno.io/docs. Azure Policy's add-on, and deployment safeguards with it, bring Gatekeeper."""


class Worst(Protocol):
    """How the verdicts about several things become one: `each` or `every`."""

    def __call__(self, items: Sequence[T], judge: Callable[[T], Verdict], /) -> Verdict:
        """The verdict about all of them."""
        ...


class Look(NamedTuple):
    """A value that was looked at, whether it is permitted, whose it is in words, and in which live pod."""

    evidence: Evidence
    permitted: bool
    whose: str
    pod: str


def judge(workload: Workload, *controls: Control, good: str, bad: str) -> Verdict:
    """Fail where a control does not permit something in the workload, naming the containers.

    Of a component of the platform only the containers are judged that are not Microsoft's own.
    """
    looked: list[Look] = []
    missing: list[Missing] = list(workload.missing)
    for look in _looks(workload, controls):
        try:
            looked += look()
        except Unread as unread:
            missing += unread.missing
    refused = [look for look in looked if not look.permitted]
    if refused:
        return fails(f"{bad}: {_told(refused)}{admission(workload)}", *_cited(refused))
    if missing:
        return undecided("; ".join(one.reason for one in missing), missing=missing)
    if not looked and is_component(workload):
        return component(workload)
    return passes(good, *_cited(looked))


def judge_specs(
    workload: Workload, judge_one: Callable[[PodSpec, tuple[Container, ...]], Verdict], worst: Worst = each
) -> Verdict:
    """Judge every specification that differs, with the containers in it that people answer for; the worst counts."""
    theirs = is_component(workload)

    def judge_spec(spec: PodSpec) -> Verdict:
        containers = foreign(spec.every_container) if theirs else spec.every_container
        return judge_one(spec, containers) if containers else component(workload)

    verdict = with_unread(workload, worst(workload.specs, judge_spec))
    cited = [one for number, one in enumerate(verdict.evidence) if one not in verdict.evidence[:number]]
    return msgspec.structs.replace(verdict, evidence=tuple(cited[:_MOST]))


def with_unread(workload: Workload, verdict: Verdict) -> Verdict:
    """The verdict about what was read of a workload; no better than unknown where it may have more pods."""
    if not workload.missing:
        return verdict
    reason = "; ".join(dict.fromkeys(one.reason for one in workload.missing))
    return each((verdict, undecided(reason, missing=workload.missing)), lambda one: one)


def _told(looked: Sequence[Look]) -> str:
    """Whose values these are, each once: the template's, or the first live pod's that differs from it."""
    pods: dict[str, str] = {}
    for look in looked:
        pods.setdefault(look.whose, look.pod)
    what = _values(look.evidence for look in looked if look.whose == _POD)
    return ", ".join(
        f"{pod or whose}{what}" if whose == _POD else f"{whose} of {pod}" if pod else whose
        for whose, pod in pods.items()
    )


def _values(looked: Iterable[Evidence]) -> str:
    """Values of a pod as a whole in words: a text as it is, of others the field, such as `hostPID`."""
    told = (
        one.value if isinstance(one.value, str) else one.pointer.rpartition("/")[2]
        for one in looked
        if one.value is not None
    )
    found = list(dict.fromkeys(one if len(one) <= _LONGEST else f"{one[:_LONGEST]}…" for one in told))
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f" ({', '.join(found[:_NAMED])}{more})" if found else ""


def _cited(looked: Iterable[Look]) -> list[Evidence]:
    cited: list[Evidence] = []
    for look in looked:
        if len(cited) < _MOST and look.evidence not in cited:
            cited.append(look.evidence)
    return cited


def component(workload: Workload) -> Verdict:
    """The verdict about a component of the platform with nothing of people's in it."""
    return not_applicable(f"{workload.kind} {workload.name} is a component of AKS")


def admission(workload: Workload) -> str:
    """What stands between a manifest and the workload's namespace: the standard that is enforced, and policy engines.

    What the policies of an engine demand is not read: that one is asked does not say that it refuses.
    """
    namespace = workload.estate.indexed(_namespaces).get((workload.cluster_id.lower(), workload.namespace))
    labels: Mapping[str, str] = {}
    with suppress(Unread):
        labels = (namespace.object_labels if namespace else None) or {}
    level, engines = labels.get(_ENFORCED), _engines(workload, labels) if namespace else ()
    enforced = f"; Pod Security Admission enforces {level} in its namespace" if level else ""
    asked = "is" if len(engines) == 1 else "are"
    return f"{enforced}; {' and '.join(engines)} {asked} asked about new pods there" if engines else enforced


def _engines(workload: Workload, labels: Mapping[str, str]) -> tuple[str, ...]:
    """The policy engines that are asked about a namespace with these labels."""
    asked: set[str] = set()
    for engine, one in workload.estate.indexed(_webhooks).get(workload.cluster_id.lower(), ()):
        with suppress(Unread):
            selectors = [webhook.namespace_selector for webhook in one.webhooks or ()]
            asked.update(engine for selector in selectors if selector is None or selector.selects(labels))
    return tuple(sorted(asked))


def _webhooks(estate: Estate) -> dict[str, list[tuple[str, ValidatingWebhookConfiguration]]]:
    """The webhooks of policy engines, by the id of their cluster."""
    found: dict[str, list[tuple[str, ValidatingWebhookConfiguration]]] = defaultdict(list)
    for one in estate.every(ValidatingWebhookConfiguration):
        found[one.cluster_id.lower()] += [(engine, one) for name, engine in _ENGINES.items() if name in one.name]
    return dict(found)


def of_workload(workload: Workload) -> Iterator[tuple[PodSpec, tuple[Container, ...]]]:
    """Each specification of a workload that differs, and the containers in it that people answer for.

    Raises:
        Malformed: a specification cannot be read.
    """
    theirs = is_component(workload)
    for spec in workload.specs:
        containers = spec.every_container
        yield spec, foreign(containers) if theirs else containers


def _looks(workload: Workload, controls: Iterable[Control]) -> Iterator[Callable[[], list[Look]]]:
    theirs = is_component(workload)
    for spec, containers in of_workload(workload):
        for control in controls:
            if not theirs:
                yield partial(_look, control.of_pod(spec), spec, _POD)
            for container in containers:
                whose = f"{container.kind} {container.node.get('name', '?')}"
                yield partial(_look, control.of_container(spec, container), spec, whose)


def _look(looked: Looked, spec: PodSpec, whose: str) -> list[Look]:
    pod = f"pod {spec.document.id.rpartition('/')[2]}" if spec.document.type == Pod.TYPE else ""
    return [Look(evidence, permitted, whose, pod) for evidence, permitted in looked]


def _namespaces(estate: Estate) -> dict[tuple[str, str], Namespace]:
    return {(one.cluster_id.lower(), one.name): one for one in estate.every(Namespace)}
