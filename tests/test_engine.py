"""The engine: a crash, a refusal or a hostile body is unknown about one subject, and loses nothing else."""

from collections.abc import Sequence

import msgspec
import pytest

from aks_audit import snapshot
from aks_audit.engine import audit, fingerprint, load_rules
from aks_audit.facts import AgentPool, ClusterAccess, Estate, ManagedCluster
from aks_audit.results import Finding, Outcome, Severity, Verdict
from aks_audit.rule import RuleError, each, fails, not_applicable, passes, rule
from cases import CLUSTER, Case, estate_of, records_of

TEXT = """Why.

    Severity: because it is a test and says so at length.
    Decided: by the test.
    Fix: az aks update --name {name} --note {nobody}
    Bicep: properties.x: true
    Change: in place
    References: https://learn.microsoft.com/x
    """


def crash(pool: AgentPool) -> Verdict:
    if pool.name == "user":
        raise ZeroDivisionError
    return passes("fine")


def open_door(cluster: ManagedCluster) -> Verdict:
    return fails(f"{cluster.name} is open")


crash.__doc__ = open_door.__doc__ = TEXT
CRASHING = rule("T-1", title="Crashes", severity=Severity.LOW)(crash)
FAILING = rule("T-2", title="Fails", severity=Severity.LOW)(open_door)
NOTHING = Case(name="", expect="")


def by_subject(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.resource.rsplit("/", 1)[-1]: finding for finding in findings}


def test_a_rule_that_crashes_is_unknown_about_that_subject_alone() -> None:
    found = by_subject(audit(estate_of(NOTHING), [CRASHING, FAILING]))
    assert found["user"].outcome is Outcome.UNKNOWN
    assert found["user"].missing[0].kind == "crashed"
    assert found["system"].outcome is Outcome.PASS
    assert found["aks-prod"].outcome is Outcome.FAIL


def test_a_rule_that_answers_with_no_verdict_is_unknown_too() -> None:
    def silent(cluster: ManagedCluster) -> Verdict:  # type: ignore[return]
        cluster.name  # noqa: B018 - looks, and says nothing

    silent.__doc__ = TEXT
    (found,) = audit(estate_of(NOTHING), [rule("T-3", title="Silent", severity=Severity.LOW)(silent)])
    assert (found.outcome, found.missing[0].kind) == (Outcome.UNKNOWN, "crashed")
    assert "NoneType" in found.message


@pytest.mark.parametrize("braces", ["{a:b}", "{", "}", "{}", "{name.x}", "{name[0]}"])
def test_braces_that_hold_no_name_are_refused_when_the_rule_is_made(braces: str) -> None:
    def odd(cluster: ManagedCluster) -> Verdict:
        return fails(cluster.name)

    odd.__doc__ = TEXT.replace("{nobody}", braces)
    with pytest.raises(RuleError, match="T-4: Fix: "):
        rule("T-4", title="Odd", severity=Severity.LOW)(odd)


def test_a_rule_that_would_end_the_program_is_a_crash() -> None:
    def leave(cluster: ManagedCluster) -> Verdict:
        raise SystemExit(len(cluster.name) * 0)

    leave.__doc__ = TEXT
    (finding,) = audit(estate_of(NOTHING), [rule("T-4", title="Leaves", severity=Severity.LOW)(leave)])
    assert finding.missing[0].kind == "crashed"


def test_a_cluster_without_its_pools_is_unknown_and_its_neighbour_is_audited() -> None:
    records = records_of(Case(name="", expect="", set={"cluster properties.agentPoolProfiles": None}))
    neighbour = [
        msgspec.structs.replace(record, id=f"{record.id}-2", body={**record.body, "id": f"{record.id}-2"})
        for record in records_of(NOTHING)
        if isinstance(record, snapshot.Resource) and record.id == CLUSTER
    ]
    found = {f.resource: f for f in audit(Estate(snapshot.of([*records, *neighbour])), [CRASHING])}
    assert found[CLUSTER].outcome is Outcome.UNKNOWN
    assert "agent pools" in found[CLUSTER].message
    assert found[f"{CLUSTER}-2/agentPools/system"].outcome is Outcome.PASS


def test_a_refused_cluster_is_unknown_with_the_action_that_would_mend_it() -> None:
    gap = snapshot.Gap(
        id=CLUSTER, reason="403", action="Microsoft.ContainerService/managedClusters/read", scope=CLUSTER
    )
    findings = audit(Estate(snapshot.of([gap])), load_rules())
    asked = {loaded.id for loaded in load_rules() if loaded.subject is not ClusterAccess}  # nobody tried to sign in
    assert {finding.rule for finding in findings} == asked
    assert {finding.outcome for finding in findings} == {Outcome.UNKNOWN}
    assert findings[0].missing[0].action == "Microsoft.ContainerService/managedClusters/read"


def test_the_fix_carries_quoted_names_and_marks_what_it_cannot_know() -> None:
    hostile = f"{CLUSTER}; rm -rf ~"
    body = {"id": hostile, "type": ManagedCluster.TYPE, "properties": {"agentPoolProfiles": []}}
    (finding,) = audit(
        Estate(snapshot.of([snapshot.Resource(id=hostile, type=ManagedCluster.TYPE, body=body)])), [FAILING]
    )
    assert finding.remediation
    assert finding.remediation.command == "az aks update --name 'aks-prod; rm -rf ~' --note <nobody>"


def test_the_evidence_stands_in_a_line_of_its_own_document() -> None:
    local_accounts = next(loaded for loaded in load_rules() if loaded.id == "AKS-IAM-04")
    (finding,) = audit(estate_of(NOTHING), [local_accounts])
    assert finding.place.path == (
        "aks-audit/11111111-1111-1111-1111-111111111111/rg-aks-prod/managedclusters/aks-prod.json"
    )
    assert finding.place.text.startswith('"disableLocalAccounts": true')


def test_the_fingerprint_is_without_case() -> None:
    assert fingerprint("R", "/subscriptions/A") == fingerprint("R", "/SUBSCRIPTIONS/a")
    assert fingerprint("R", "/a") != fingerprint("S", "/a")


def test_each_lets_a_failure_win_over_what_cannot_be_read_and_that_over_a_pass() -> None:
    estate = estate_of(Case(name="", expect="", set={"cluster properties.agentPoolProfiles.0.count": "three"}))
    pools = estate.resource(ManagedCluster, CLUSTER).pools

    def judge(pool: AgentPool) -> Verdict:
        return passes("small") if (pool.count or 0) < limit else fails("large")

    limit = 9
    assert each(pools, judge).outcome is Outcome.UNKNOWN
    limit = 1
    assert each(pools, judge).outcome is Outcome.FAIL
    assert each(pools[1:], lambda _: not_applicable("no")).outcome is Outcome.NOT_APPLICABLE
    assert each((), judge).outcome is Outcome.NOT_APPLICABLE


def test_a_rule_without_its_text_is_refused() -> None:
    def bare(cluster: ManagedCluster) -> Verdict:
        return passes(cluster.name)

    with pytest.raises(RuleError, match="docstring lacks"):
        rule("T-3", title="Bare", severity=Severity.LOW)(bare)


def test_every_unknown_names_what_is_missing() -> None:
    estate = estate_of(Case(name="", expect="", only=("cluster",)))
    unknown = [finding for finding in audit(estate, load_rules()) if finding.outcome is Outcome.UNKNOWN]
    assert unknown
    assert all(finding.missing for finding in unknown)


def test_a_name_that_cannot_be_read_loses_no_finding() -> None:
    (finding,) = audit(estate_of(Case(name="", expect="", set={"cluster location": 7})), [FAILING])
    assert finding.outcome is Outcome.FAIL
