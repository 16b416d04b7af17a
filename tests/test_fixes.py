"""What to do first: most risk taken away for the least effort, each thing once."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from aks_audit.engine import load_rules
from aks_audit.fixes import COSTS, fixes
from aks_audit.results import Effort, Finding, Remediation, Severity, effort
from aks_audit.score import WEIGHTS
from reports import cluster_id, finding, rule_text

RULES = [rule_text(), rule_text("AKS-TST-02", Severity.LOW)]


def mended_by(command: str, failure: Finding, change: str = "in place") -> Finding:
    return msgspec.structs.replace(failure, remediation=Remediation(command, "", change))


def inside(cluster: str, name: str) -> Finding:
    about = f"{cluster_id(cluster)}/apis/apps/v1/namespaces/shop/deployments/{name}"
    return msgspec.structs.replace(finding(cluster), resource=about, fingerprint=about)


def test_failures_that_one_command_mends_are_one_fix() -> None:
    one = mended_by("az x", finding("a")), mended_by("az x", finding("a", "AKS-TST-02", severity=Severity.LOW))
    (fix,) = fixes(one, RULES)
    assert (fix.rules, fix.severity, fix.risk) == (("AKS-TST-01", "AKS-TST-02"), Severity.HIGH, 7)
    assert len(fix.findings) == 2
    assert fix.resources == (cluster_id("a"),)


def test_a_shared_resource_counts_for_each_cluster() -> None:
    shared = msgspec.structs.replace(finding("hub"), clusters=(cluster_id("a"), cluster_id("b")))
    (fix,) = fixes([shared], RULES)
    assert fix.risk == 12


def test_a_rule_about_many_things_inside_a_cluster_is_one_fix_for_each_cluster() -> None:
    made = fixes([inside("a", "web"), inside("a", "api"), inside("b", "web")], RULES)
    assert sorted(len(fix.resources) for fix in made) == [1, 2]


def test_most_risk_for_the_least_effort_comes_first() -> None:
    cheap = mended_by("az cheap", finding("a", "AKS-TST-02", severity=Severity.LOW))
    dear = mended_by("az dear", finding("b"), "new cluster; the value cannot be changed")
    great = mended_by("az great", finding("c", severity=Severity.CRITICAL))
    assert [fix.command for fix in fixes([dear, cheap, great], RULES)] == ["az great", "az cheap", "az dear"]


def test_what_only_informs_is_nothing_to_do() -> None:
    assert fixes([finding("a", severity=Severity.INFO)], RULES) == ()


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from(list(Severity))), max_size=12)
)
def test_each_failure_is_in_one_fix_and_the_order_of_failures_does_not_count(
    drawn: list[tuple[str, str, Severity]],
) -> None:
    failures = [
        msgspec.structs.replace(mended_by(command, finding(name, severity=severity)), fingerprint=str(number))
        for number, (name, command, severity) in enumerate(drawn)
    ]
    made = fixes(failures, RULES)
    mended = [one for fix in made for one in fix.findings]
    assert sorted(mended) == sorted(failure.fingerprint for failure in failures if WEIGHTS[failure.severity])
    assert [fix.command for fix in fixes(failures[::-1], RULES)] == [fix.command for fix in made]


def test_each_rule_says_what_its_fix_costs() -> None:
    changes = {rule.id: rule.text.change for rule in load_rules()}
    silent = {rule for rule, said in changes.items() if effort(said) is Effort.SETTING and said[:8] != "in place"}
    assert not silent


def test_each_effort_costs_more_than_the_one_before() -> None:
    costs = [COSTS[one] for one in Effort]
    assert costs == sorted(set(costs))
