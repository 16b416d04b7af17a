"""The table of retirements, and how the day of a snapshot makes a severity."""

import pytest

from aks_audit.facts import Estate, ManagedCluster
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.snapshot import Header, Resource, of
from aks_audit_rules.dates import RETIREMENTS, Component
from aks_audit_rules.retirements import retiring
from cases import CLUSTER


def kubenet_on(as_of: str | None) -> Verdict:
    """What using kubenet means in a snapshot that was finished then."""
    body = {"id": CLUSTER, "properties": {"networkProfile": {"networkPlugin": "kubenet"}}}
    header = Header(schema="aks-audit/snapshot/1", tool="test", finished=as_of)
    estate = Estate(of([header, Resource(id=CLUSTER, type=ManagedCluster.TYPE, body=body)]))
    cluster = estate.resource(ManagedCluster, CLUSTER)
    return retiring(Component.KUBENET, cluster, cluster.at(ManagedCluster.network_plugin))


@pytest.mark.parametrize(
    ("as_of", "severity"),
    [
        ("2025-01-01T00:00:00Z", Severity.LOW),
        ("2027-03-31T23:59:59Z", Severity.LOW),
        ("2027-04-01T00:00:00Z", Severity.MEDIUM),
        ("2028-03-30T23:59:59.5+01:00", Severity.MEDIUM),
        ("2028-03-31T00:00:00Z", Severity.HIGH),
        ("2031-01-01T00:00:00Z", Severity.HIGH),
    ],
)
def test_severity_grows_as_the_day_comes_near(as_of: str, severity: Severity) -> None:
    verdict = kubenet_on(as_of)
    assert (verdict.outcome, verdict.severity) == (Outcome.FAIL, severity)
    assert ("was retired on" in verdict.message) is (severity is Severity.HIGH)
    assert "2028-03-31" in verdict.message


def test_a_snapshot_without_a_time_is_judged_by_the_day_of_the_table() -> None:
    assert kubenet_on(None).severity is Severity.LOW


def test_every_component_has_its_retirement_and_a_source() -> None:
    assert set(RETIREMENTS) == set(Component)
    for retirement in RETIREMENTS.values():
        assert retirement.source.startswith("https://")
        assert not retirement.action.endswith(".")
