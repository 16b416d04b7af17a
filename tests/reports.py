"""Reports for the tests of reporters: put together by hand, or made by the engine of recorded bodies."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aks_audit import engine, report, snapshot
from aks_audit.checklist import load_checklists
from aks_audit.engine import fingerprint
from aks_audit.facts import Estate, ManagedCluster
from aks_audit.facts.document import evidence_path
from aks_audit.notify.news import Run
from aks_audit.report import Report
from aks_audit.results import Evidence, Finding, Outcome, Place, Remediation, RuleText, Severity, Verdict
from aks_audit.rule import Rule, passes

BODIES = Path(__file__).parent.parent.parent / "shared" / "data" / "arm" / "managedClusters"
GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-aks"
SCOPE = "/subscriptions/11111111-1111-1111-1111-111111111111"
TYPE = "Microsoft.ContainerService/managedClusters"
NIGHT = Run(
    scope="production",
    name="20261122T020000Z",
    scan="7c9a1a0e-8f0a-4f6e-9a53-0e3f0c1f2d3b",
    started=datetime(2026, 11, 22, 2, tzinfo=UTC),
    finished=datetime(2026, 11, 22, 2, 5, tzinfo=UTC),
    exit_code=1,
)
"""A run of which somebody is told."""


def cluster_id(name: str) -> str:
    """The id of a cluster of this name."""
    return f"{GROUP}/providers/{TYPE}/{name}"


def rule_text(rule_id: str = "AKS-TST-01", severity: Severity = Severity.HIGH) -> RuleText:
    """A rule's text with every part filled; change parts with `msgspec.structs.replace`."""
    return RuleText(
        id=rule_id,
        title="The door is shut",
        severity=severity,
        why="Whoever finds an open door walks in.",
        severity_reason="a door is a door.",
        decided="`properties.door` is `Shut`.",
        command="az door shut --name {name}",
        bicep="properties.door: 'Shut'",
        change="in place",
        references=("https://learn.microsoft.com/azure/aks/doors",),
        controls=(),
        subject="ManagedCluster",
    )


def finding(
    name: str = "aks-prod",
    rule_id: str = "AKS-TST-01",
    outcome: Outcome = Outcome.FAIL,
    severity: Severity = Severity.HIGH,
    message: str = "The door is open",
) -> Finding:
    """A finding about the cluster of this name."""
    about = cluster_id(name)
    return Finding(
        rule=rule_id,
        resource=about,
        clusters=(about,),
        outcome=outcome,
        severity=severity,
        message=message,
        evidence=(Evidence(resource=about, pointer="/properties/door", value="Open"),),
        remediation=Remediation(command=f"az door shut --name {name}", bicep="door: 'Shut'", change="in place")
        if outcome is Outcome.FAIL
        else None,
        missing=(),
        location=None,
        place=Place(path=evidence_path(about), line=4, text='"door": "Open",'),
        fingerprint=fingerprint(rule_id, about),
    )


def report_of(
    findings: Iterable[Finding], rules: Iterable[RuleText] = (rule_text(),), records: Sequence[snapshot.Record] = ()
) -> Report:
    """The report of these findings; `records` are what else the snapshot holds, such as gaps."""
    found = tuple(findings)
    listed = [snapshot.Listing(type=TYPE, scope=SCOPE)] if found else []
    judged = [Rule(text, ManagedCluster, never) for text in rules]
    header = snapshot.Header(schema=snapshot.SCHEMA, tool="aks-audit", scope=(SCOPE,))
    return report.build(snapshot.of([header, *listed, *records]), judged, found, ())


def audited(records: Sequence[snapshot.Record]) -> Report:
    """The report that the engine makes of a snapshot with all installed rules and checklists."""
    return audited_snapshot(snapshot.of(records))


def audited_snapshot(recorded: snapshot.Snapshot) -> Report:
    """As `audited`, for a snapshot that was read from files."""
    rules = engine.load_rules()
    return report.build(recorded, rules, engine.audit(Estate(recorded), rules), load_checklists())


def bare_clusters(*names: str) -> list[snapshot.Record]:
    """Clusters of which nothing is said, so that much fails and much is unknown."""
    return [
        snapshot.Resource(id=cluster_id(name), type=TYPE, body={"id": cluster_id(name), "name": name, "properties": {}})
        for name in names
    ]


@cache
def recorded_clusters() -> tuple[snapshot.Record, ...]:
    """Recorded cluster bodies, each under an id of its own; skips the test where they are not there."""
    if not BODIES.is_dir():
        pytest.skip("the recorded clusters (../shared/data/arm) are not here")
    header = snapshot.Header(schema=snapshot.SCHEMA, tool="aks-audit", scope=(SCOPE,))
    return (header, *(_cluster(number, file) for number, file in enumerate(sorted(BODIES.glob("*.json")))))


@cache
def recorded() -> Report:
    """The report of some of the recorded cluster bodies: one in six, so that slow validators stay usable."""
    return audited([recorded_clusters()[0], *recorded_clusters()[1::6]])


def _cluster(number: int, file: Path) -> snapshot.Resource:
    body: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    about = cluster_id(f"aks-{number:03}")
    return snapshot.Resource(id=about, type=TYPE, body={**body, "id": about, "name": about.rpartition("/")[2]})


def never(_cluster: ManagedCluster) -> Verdict:
    return passes("Nothing is asked of it")
