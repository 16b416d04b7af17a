"""A cluster that nobody has used yet is no wall of noise: what is not its owner's doing is nobody's finding."""

from collections import defaultdict

import pytest

from aks_audit.engine import audit, load_rules
from aks_audit.facts import Subjects
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.platform import is_component
from aks_audit.facts.rbac import AnyBinding, AnyRole
from aks_audit.facts.workloads import Workload
from aks_audit.rbac.platform import judged, of_platform
from aks_audit.results import Outcome
from fresh_cluster import estate

GROUPS = ("AKS-ING-", "AKS-KN-", "AKS-KR-", "AKS-KS-")
RULES = [rule for rule in load_rules() if issubclass(rule.subject, KubernetesObject) or rule.id.startswith(GROUPS)]

QUICKSTART = {
    "AKS-KN-01": ["managedClusters/aks-quickstart"],  # `az aks create` installs no engine; nothing fences any pod
    "AKS-KN-20": ["managedClusters/aks-quickstart"],  # of information only: no encryption between nodes
    "AKS-KS-16": ["namespaces/default"],  # of low weight: a pod may be put there that may do everything
}
AUTOMATIC = {
    "AKS-KN-20": ["managedClusters/aks-automatic"],
    "AKS-KS-16": ["namespaces/default"],
}


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize(("add_ons", "expected"), [(False, QUICKSTART), (True, AUTOMATIC)])
def test_a_fresh_cluster_has_few_failures_and_each_is_its_owners(
    expected: dict[str, list[str]], *, add_ons: bool, marked: bool
) -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for finding in audit(estate(add_ons=add_ons, marked=marked), RULES):
        if finding.outcome is Outcome.FAIL:
            found[finding.rule].append("/".join(finding.resource.split("/")[-2:]))
    assert found == expected


@pytest.mark.parametrize("add_ons", [False, True])
def test_of_a_fresh_cluster_nothing_inside_is_unknown_but_what_azure_alone_tells(*, add_ons: bool) -> None:
    unknown = {
        finding.rule: finding.message
        for finding in audit(estate(add_ons=add_ons), RULES)
        if finding.outcome is Outcome.UNKNOWN and "/api" in finding.resource
    }
    assert unknown == {}


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("add_ons", [False, True])
def test_all_that_a_fresh_cluster_runs_and_binds_is_the_platforms(*, add_ons: bool, marked: bool) -> None:
    subjects = Subjects(estate(add_ons=add_ons, marked=marked))
    bindings = [one for one in subjects.of(AnyBinding) if isinstance(one, AnyBinding)]
    roles = [one for one in subjects.of(AnyRole) if isinstance(one, AnyRole)]
    workloads = [one for one in subjects.of(Workload) if isinstance(one, Workload)]
    assert [one.id for one in workloads if not is_component(one)] == []
    assert [one.id for one in roles if not of_platform(one)] == []
    assert [one.id for one in bindings if judged(one)] == []
    assert min(len(bindings), len(roles)) > 60
    assert len(workloads) >= 12
