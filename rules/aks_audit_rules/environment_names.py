"""Whether the environment of a container says each thing once."""

from collections import Counter

from aks_audit.facts.field import View, parts, text
from aks_audit.facts.platform import is_component
from aks_audit.facts.workloads import Container, Workload
from aks_audit.results import Severity, Verdict
from aks_audit.rule import every, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import kubebuddy
from aks_audit_rules.workload_verdicts import component, with_unread

_MOST = 5
"""How many names a verdict names."""


class _Variable(View):
    """An environment variable; its value is never read."""

    __slots__ = ()

    name = text("name")


_ENVIRONMENT = parts("env", _Variable)


@rule(
    "AKS-KW-15",
    title="Containers set each environment variable once",
    severity=Severity.LOW,
    # Unused, large and equally named ConfigMaps (CFG001, CFG002, CFG003) are not asked about: to see them one must be
    # permitted to read every ConfigMap, and in many there are passwords.
    controls=(kubebuddy("CFG007"),),
)
def variables_once(workload: Workload) -> Verdict:
    """Of a variable that is set twice the last one counts, and whoever reads or changes the first one is misled.

    A switch that turns a protection on can stand there in plain sight, and be turned off further down.

    Severity: a mistake that waits for the next edit.
    Decided: in `env` of every container, init containers among them, no name comes twice; every template and live pod
    that differs counts. Values are never read, and what `envFrom` brings is not known: ConfigMaps of applications are
    not read, since many hold passwords. Containers without `env` are not asked about, nor components of AKS.
    Fix: kubectl edit --namespace {namespace} {kind}/{name} # env
    Bicep: none; in the manifest: containers[].env
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables
    """
    if is_component(workload):
        return component(workload)
    containers = [one for spec in workload.specs for one in spec.every_container]
    return with_unread(workload, every(containers, _once))


def _once(container: Container) -> Verdict:
    evidence = container.at(_ENVIRONMENT)
    named = f"{container.kind} {container.node.get('name', '?')}"
    variables = _ENVIRONMENT.__get__(container, Container) or ()
    if not variables:
        return not_applicable(f"The {named} has no variables of its own", evidence)
    names = [one.name for one in variables]
    if None in names:
        return undecided(f"The {named} has a variable without a name", evidence)
    twice = sorted(str(name) for name, count in Counter(names).items() if count > 1)
    if twice:
        more = f" and {len(twice) - _MOST} more" if len(twice) > _MOST else ""
        return fails(f"The {named} sets more than once: {', '.join(twice[:_MOST])}{more}", evidence)
    return passes("Each variable is set once", evidence)


RULES = (variables_once,)
