"""What is inside clusters, hurt value by value: no rule crashes on it, and nothing that is lost makes a pass."""

from functools import cache
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.results import Outcome
from aks_audit.rule import Rule
from cases import ALIASES, BASE, INSIDE, INSIDE_ALIASES, RULE_CASES, Case, read_cases, records_of
from mutations import RETYPED, Mutation, Way, keys

RULES = tuple(rule for rule in load_rules() if issubclass(rule.subject, KubernetesObject))
Records = tuple[snapshot.Record, ...]
Outcomes = dict[tuple[str, str], Outcome]

WORKLOADS = ("AKS-KS-", "AKS-KW-")
"""The rules whose cases are hurt one by one: about workloads, and what admission makes of them."""

DEFAULTS = {
    "securityContext": "absent, every setting in it has the default that Kubernetes documents",
    "securityContext/privileged": "absent, it means false",
    "securityContext/capabilities": "absent, none is added",
    "securityContext/capabilities/add": "as above",
    "securityContext/runAsNonRoot": "absent in a container, its pod's counts; absent in a pod, each container's",
    "securityContext/runAsUser": "absent, the image's user counts, who is not root where runAsNonRoot is true",
    "securityContext/procMount": "absent, it means Default",
    "securityContext/seccompProfile": "absent in a container, its pod's counts",
    "securityContext/appArmorProfile": "absent, it means the runtime's own",
    "securityContext/appArmorProfile/type": "as above",
    "securityContext/seLinuxOptions": "absent, the runtime chooses",
    "securityContext/seLinuxOptions/type": "as above",
    "securityContext/seLinuxOptions/user": "as above",
    "securityContext/seLinuxOptions/role": "as above",
    "securityContext/sysctls": "absent, none is set",
    "securityContext/windowsOptions": "absent, a container is no process of the node",
    "securityContext/windowsOptions/hostProcess": "as above",
    "securityContext/windowsOptions/runAsUserName": "absent in a container, its pod's counts, and runAsNonRoot",
    "spec/hostIPC": "absent, it means false",
    "spec/hostNetwork": "absent, it means false",
    "spec/hostPID": "absent, it means false",
    "spec/volumes": "absent, there are none",
    "metadata/annotations": "absent, no older annotation asks for another profile of AppArmor",
    "container.apparmor.security.beta.kubernetes.io/web": "as above",
    "volumes/#/gitRepo": "absent, a volume without a source is an empty directory",
    "volumes/#/image": "as above",
    "volumes/#/nfs": "as above",
    "hostPath": "absent, a volume without a source is an empty directory",
    "terminationGracePeriodSeconds": "absent, it means 30",
    "spec/scopes": "absent, a quota counts every pod",
    "spec/scopeSelector": "as above",
    "initContainers": "absent, there are none",
    "ephemeralContainers": "absent, there are none",
    "ports": "absent, a container tells of none",
    "hostPort": "absent, no port of the node is used",
    "lifecycle": "absent, there is no hook",
    "preStop": "as above",
    "tcpSocket": "absent, a hook or probe does not call by it",
    "httpGet": "as above",
    "host": "absent, it is the pod itself",
    "livenessProbe": "absent, there is no probe",
    "command": "absent, the image's own program runs",
    "args": "as above",
    "imagePullPolicy": "absent, it follows from the tag",
    "image/pullPolicy": "as above",
    "failurePolicy": "absent, it means Fail",
    "namespaceSelector": "absent, every namespace is meant",
    "matchExpressions": "as above",
    "matchLabels": "absent, a selector asks for no label",
    "matchLabels/app": "as above",
    "matchLabels/app.kubernetes.io/name": "as above",
    "status": "without its phase, a pod that has run to its end is taken for one that lives, and judged",
    "status/phase": "as above",
    "endpoints/#/conditions": "absent, a back end is to be taken for ready",
    "conditions/ready": "as above",
    "metadata/labels": "without its mark, what AKS made is taken for a person's, and judged",
    "addonmanager.kubernetes.io/mode": "as above",
    "kubernetes.azure.com/managedby": "as above",
    "kubernetes.io/bootstrapping": "as above",
    "pod-security.kubernetes.io/enforce-version": "absent, it means the latest",
    "metadata": "a pod without an owner is a workload of its own, which fails in its controller's place",
    "metadata/ownerReferences": "as above",
    "ownerReferences/#/controller": "as above",
    "ownerReferences/#/kind": "as above",
    "ownerReferences/#/name": "as above",
}
"""Values whose loss is no damage: what their absence means is documented, or told by another subject that fails."""


class Scene(NamedTuple):
    """A case's estate, the rule, what it answers before anything is hurt, and where the bodies of the case are."""

    records: Records
    rules: tuple[Rule, ...]
    before: Outcomes
    bodies: tuple[int, ...]

    def hurt(self, index: int, mutation: Mutation) -> Outcomes:
        """The outcomes with one body hurt."""
        record = self.records[index]
        assert isinstance(record, snapshot.Resource)
        changed = msgspec.structs.replace(record, body=mutation.of(record.body))
        return outcomes((*self.records[:index], changed, *self.records[index + 1 :]), self.rules)

    def ways(self, index: int) -> list[Way]:
        """Every key in a resource's body."""
        record = self.records[index]
        return list(keys(record.body)) if isinstance(record, snapshot.Resource) else []


def outcomes(records: Records, rules: tuple[Rule, ...]) -> Outcomes:
    """The outcome of every rule about every subject; a crashed rule fails the test."""
    findings = audit(Estate(snapshot.of(records)), rules)
    crashed = [finding.message for finding in findings for missing in finding.missing if missing.kind == "crashed"]
    assert not crashed
    return {(finding.rule, finding.resource): finding.outcome for finding in findings}


def inside(record: snapshot.Record) -> bool:
    return isinstance(record, snapshot.Resource) and record.source == "kubernetes" and bool(record.body)


@cache
def base() -> Scene:
    records = tuple(records_of(Case(name="base", expect="pass"), BASE, INSIDE))
    bodies = tuple(number for number, record in enumerate(records) if inside(record))
    return Scene(records, RULES, outcomes(records, RULES), bodies)


@cache
def cases_that_do_not_pass() -> tuple[tuple[Rule, Case], ...]:
    rules = {rule.id: rule for rule in RULES if rule.id.startswith(WORKLOADS)}
    read = ((rule, read_cases(RULE_CASES / rule_id / "cases.toml")) for rule_id, rule in sorted(rules.items()))
    found = ((rule, case) for rule, cases in read for case in cases if case.expect != "pass")
    return tuple((rule, case) for rule, case in found if case.add or not targets(case).isdisjoint(INSIDE_ALIASES))


def targets(case: Case) -> set[str]:
    """The aliases of the resources that a case changes."""
    return {target.partition(" ")[0] for target in (*case.set, *case.drop)}


@cache
def scene(number: int) -> Scene:
    rule, case = cases_that_do_not_pass()[number]
    records = tuple(records_of(case, BASE, INSIDE))
    changed = {ALIASES[alias] for alias in targets(case)}
    added = {record.id for record in records[-len(case.add) :] if isinstance(record, snapshot.Resource) and case.add}
    bodies = tuple(
        number
        for number, record in enumerate(records)
        if isinstance(record, snapshot.Resource) and inside(record) and record.id in changed | added
    )
    return Scene(records, (rule,), outcomes(records, (rule,)), bodies)


def turned_to_pass(before: Outcomes, after: Outcomes, lost: Way) -> list[str]:
    """What was no pass, and is one now that something is lost whose absence means nothing."""
    at = "/" + "/".join("#" if isinstance(step, int) else step for step in lost)
    if any(at.endswith(f"/{known}") for known in DEFAULTS):
        return []
    return [
        f"{rule} about {resource}: {before[rule, resource]} became pass without {at}"
        for (rule, resource), outcome in after.items()
        if outcome is Outcome.PASS and before.get((rule, resource), Outcome.PASS) is not Outcome.PASS
    ]


def mutations(ways: list[Way]) -> st.SearchStrategy[Mutation]:
    """Any one value lost, emptied, or put in the place of another type."""
    way = st.sampled_from(ways)
    lost = st.builds(Mutation, way, st.sampled_from(["drop", "null"]), st.none())
    return lost | st.builds(Mutation, way, st.just("retype"), st.sampled_from(RETYPED))


def hurt_somewhere(data: st.DataObject, where: Scene) -> None:
    assume(where.bodies)
    index = data.draw(st.sampled_from(where.bodies))
    mutation = data.draw(mutations(where.ways(index)))
    after = where.hurt(index, mutation)
    if mutation.how != "retype":
        assert not turned_to_pass(where.before, after, mutation.path)


@settings(max_examples=60)
@given(st.data())
def test_the_inside_of_the_base_hurt_anywhere(data: st.DataObject) -> None:
    hurt_somewhere(data, base())


@settings(max_examples=150)
@given(st.data())
def test_cases_about_workloads_that_do_not_pass_hurt_anywhere(data: st.DataObject) -> None:
    hurt_somewhere(data, scene(data.draw(st.integers(0, len(cases_that_do_not_pass()) - 1))))


@pytest.mark.parametrize("kind", ["deployments.apps", "pods", "namespaces", "services"])
def test_a_body_that_says_nothing_passes_no_rule_about_itself(kind: str) -> None:
    where = base()
    index = next(
        number
        for number in where.bodies
        if isinstance(one := where.records[number], snapshot.Resource) and one.type == kind and "/shop" in one.id
    )
    record = where.records[index]
    assert isinstance(record, snapshot.Resource)
    emptied = msgspec.structs.replace(record, body={"metadata": {}})
    after = outcomes((*where.records[:index], emptied, *where.records[index + 1 :]), RULES)
    passed = {rule for (rule, about), outcome in after.items() if about == record.id and outcome is Outcome.PASS}
    assert {rule for rule in passed if rule.startswith(WORKLOADS)} <= READ_ELSEWHERE


READ_ELSEWHERE = {"AKS-KW-01", "AKS-KW-02", "AKS-KW-09"}
"""Rules about live pods, which were read, and about quotas, which stand beside their namespace; and a controller makes
its pods, whatever its body says."""
