"""One cause, many rules: what must be mended first, over the same thing and over two planes, and never by guess."""

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from aks_audit import snapshot
from aks_audit.causes import traced
from aks_audit.engine import load_rules
from aks_audit.report import Comparison
from aks_audit.results import Exemption, Finding, Outcome, RuleText, Severity
from aks_audit.scan import Wish, scan
from aks_audit_reports.console import REPORTER as CONSOLE
from aks_audit_reports.junit import REPORTER as JUNIT
from aks_audit_reports.markdown import REPORTER as MARKDOWN
from aks_audit_reports.table import COLUMNS, rows
from aks_audit_reports.xlsx import FINDINGS
from reports import GROUP, cluster_id, finding, report_of, rule_text

ESTATES = Path(__file__).parent.parent / "fixtures" / "estates"
DAY = dt.date(2026, 11, 21)
CAUSE, STEP, LAST = "AKS-TST-01", "AKS-TST-02", "AKS-TST-03"


def text(rule_id: str, *follows: str, subject: str = "ManagedCluster") -> RuleText:
    return msgspec.structs.replace(rule_text(rule_id), follows=follows, subject=subject)


RULES = [text(CAUSE), text(STEP, CAUSE), text(LAST, STEP, subject="ClusterSubnet")]


def about(resource: str, rule_id: str, *clusters: str) -> Finding:
    made = msgspec.structs.replace(finding(rule_id=rule_id), resource=resource, fingerprint=f"{rule_id} {resource}")
    return msgspec.structs.replace(made, clusters=tuple(cluster_id(name) for name in clusters) or made.clusters)


def causes(*findings: Finding, rules: list[RuleText] = RULES) -> dict[str, tuple[str, ...]]:
    return {one.fingerprint: one.causes for one in traced(findings, rules)}


def test_a_failure_about_the_same_thing_comes_after_its_cause() -> None:
    cause, step = finding(), finding(rule_id=STEP)
    assert causes(step, cause) == {cause.fingerprint: (), step.fingerprint: (cause.fingerprint,)}


def test_the_cause_of_a_cause_is_the_cause() -> None:
    cause, step, last = finding(), finding(rule_id=STEP), finding(rule_id=LAST)
    assert causes(last, step, cause)[last.fingerprint] == (cause.fingerprint,)


def test_another_cluster_is_another_matter() -> None:
    assert not any(causes(finding("a"), finding("b", STEP)).values())


def test_a_part_comes_after_what_it_is_a_part_of_and_not_the_other_way_about() -> None:
    pool, cluster = f"{cluster_id('a')}/agentPools/user", cluster_id("a")
    assert causes(about(cluster, CAUSE), about(pool, STEP))[f"{STEP} {pool}"] == (f"{CAUSE} {cluster}",)
    assert not any(causes(about(pool, CAUSE), about(cluster, STEP)).values())


@pytest.mark.parametrize(("failing", "traced_back"), [(("a", "b"), True), (("a",), False)])
def test_what_several_clusters_share_has_a_cause_only_where_all_of_them_have(
    failing: tuple[str, ...], *, traced_back: bool
) -> None:
    subnet = about(f"{GROUP}/providers/Microsoft.Network/virtualNetworks/v/subnets/s", LAST, "a", "b")
    found = causes(subnet, *(finding(name, STEP) for name in failing))[subnet.fingerprint]
    assert found == (tuple(finding(name, STEP).fingerprint for name in failing) if traced_back else ())


def test_an_object_in_a_cluster_is_no_cause_for_what_is_about_the_cluster() -> None:
    namespace = about(f"{cluster_id('aks-prod')}/api/v1/namespaces/shop", STEP)
    assert not any(causes(namespace, finding(rule_id=LAST)).values())


def test_two_things_of_a_kind_are_no_cause_of_each_other() -> None:
    one, other = (
        about(f"{GROUP}/providers/Microsoft.Network/natGateways/{name}", rule)
        for name, rule in (("one", CAUSE), ("other", STEP))
    )
    assert not any(causes(one, other).values())


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.UNKNOWN, Outcome.NOT_APPLICABLE])
def test_what_does_not_fail_is_no_cause_and_has_none(outcome: Outcome) -> None:
    assert not any(causes(finding(outcome=outcome), finding(rule_id=STEP)).values())
    assert not any(causes(finding(), finding(rule_id=STEP, outcome=outcome)).values())


def test_what_people_live_with_is_no_cause() -> None:
    lived_with = msgspec.structs.replace(finding(), exception=Exemption("why", "who", "", "2027-01-01"))
    assert not any(causes(lived_with, finding(rule_id=STEP)).values())


def test_the_built_in_rules_name_rules_that_are_there_and_as_bad_and_go_in_no_circle() -> None:
    texts = {rule.id: rule.text for rule in load_rules()}
    order = list(Severity)

    def first(rule: str, seen: tuple[str, ...]) -> None:
        assert rule not in seen, f"{' -> '.join(seen)} -> {rule}"
        for other in texts[rule].follows:
            assert order.index(texts[other].severity) <= order.index(texts[rule].severity), (rule, other)
            first(other, (*seen, rule))

    for rule in texts:
        first(rule, ())


def test_a_cluster_without_entra_id_is_one_thing_to_do_first_and_two_to_do_then() -> None:
    made = scan(snapshot.read([ESTATES / "aks-create-defaults.jsonl"]), Wish(DAY))
    failures = {f.rule: f for f in made.findings if f.resource.endswith("aks-quickstart") and f.outcome == "fail"}
    first = failures["AKS-IAM-01"]
    then = sorted(failures[rule].fingerprint for rule in ("AKS-IAM-02", "AKS-IAM-04"))
    assert {mark for rule in ("AKS-IAM-02", "AKS-IAM-04") for mark in failures[rule].causes} == {first.fingerprint}
    (fix,) = (fix for fix in made.fixes if first.fingerprint in fix.findings)
    assert (list(fix.then), fix.rules) == (then, ("AKS-IAM-01",))
    told = {mark for fix in made.fixes for mark in (*fix.findings, *fix.then)}
    assert told == {f.fingerprint for f in made.failures() if f.severity is not Severity.INFO}
    assert b"then AKS-IAM-02, AKS-IAM-04" in CONSOLE.render(made)
    assert b"Local accounts are enabled (first AKS-IAM-01)" in MARKDOWN.render(made)


def test_tables_and_test_results_name_the_rules_to_mend_first() -> None:
    cause, step = finding(), msgspec.structs.replace(finding(rule_id=STEP), causes=(finding().fingerprint, "gone"))
    made = report_of([cause, step], RULES)
    assert [row[COLUMNS.index("Mend first")] for row in rows(made)] == ["", CAUSE]
    assert "Mend first" in FINDINGS, "on the sheet of a workbook, too"
    told = JUNIT.render(made).decode()
    assert told.count("Mend first") == 1
    assert f"The door is open\n{step.resource}\nMend first: {CAUSE}\n" in told


def test_a_cause_that_is_mended_or_accepted_since_is_none_of_what_is_carried() -> None:
    carried = msgspec.structs.replace(finding(rule_id=STEP), causes=(finding().fingerprint,))

    def first(now: Finding) -> str:
        made = report_of([now], RULES)
        compared = Comparison("2026-11-20T12:00:00Z", made.score.overall, 0, 0, 0, (), (carried,))
        *_, row = rows(msgspec.structs.replace(made, comparison=compared))
        return row[COLUMNS.index("Mend first")]

    assert first(finding()) == CAUSE
    assert first(finding(outcome=Outcome.PASS)) == ""
    assert first(msgspec.structs.replace(finding(), exception=Exemption("why", "who", "", "2027-01-01"))) == ""
