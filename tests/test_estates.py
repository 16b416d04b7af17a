"""Every rule against whole estates: the answers that a person decided, each of them and no others.

Nothing inside their clusters was read; `test_recorded_clusters.py` asks the rules about that.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from aks_audit import snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.report import Report, build
from aks_audit.results import Finding
from compose.estates import ESTATES, demo

FOLDER = Path(__file__).parent.parent / "fixtures" / "estates"
LARGEST = 600_000


def _findings(name: str, *, inside: bool = False) -> Sequence[Finding]:
    asked = [rule for rule in load_rules() if issubclass(rule.subject, KubernetesObject) is inside]
    return audit(Estate(snapshot.read([FOLDER / f"{name}.jsonl"])), asked)


def _expected(name: str) -> dict[str, str]:
    table: dict[str, str] = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))["outcomes"]
    return table


def _line(finding: Finding, lines: dict[str, str]) -> str | None:
    """The one line that is about a finding: its rule, and the end of its resource's id."""
    about = [line for line in lines if line.startswith(f"{finding.rule} ") and _ends(finding, line.partition(" ")[2])]
    assert len(about) < 2, f"more than one line about {finding.resource}: {about}"
    return about[0] if about else None


def _ends(finding: Finding, subject: str) -> bool:
    return finding.resource.lower().endswith(f"/{subject.lower()}")


@pytest.mark.parametrize("name", sorted(ESTATES))
def test_an_estate_gets_the_answers_that_a_person_decided(name: str) -> None:
    lines = _expected(name)
    answered = {_line(finding, lines): finding for finding in _findings(name)}
    wrong = [
        f"{line}: {finding.outcome} instead of {lines[line]}: {finding.message}"
        for line, finding in answered.items()
        if line is not None and finding.outcome != lines[line]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", sorted(ESTATES))
def test_every_finding_has_a_line_and_every_line_a_finding(name: str) -> None:
    lines = _expected(name)
    found = [(_line(finding, lines), finding) for finding in _findings(name)]
    unexpected = [f"{finding.rule} {finding.resource}: {finding.outcome}" for line, finding in found if line is None]
    unanswered = sorted(set(lines) - {line for line, _ in found})
    assert not unexpected, "\n".join(unexpected)
    assert not unanswered, "\n".join(unanswered)
    assert len(found) == len(lines)


@pytest.mark.parametrize("name", sorted(ESTATES))
def test_rules_about_the_inside_are_unknown_of_every_cluster_and_say_so(name: str) -> None:
    for finding in _findings(name, inside=True):
        assert finding.outcome == "unknown"
        assert (finding.resource,) == finding.clusters
        assert {missing.kind for missing in finding.missing} == {"not-asked"}


def test_nothing_fails_in_the_modern_hardened_estate() -> None:
    answered = [finding for finding in _findings("modern-hardened") if not _waits_for_the_inside(finding)]
    assert {finding.outcome for finding in answered} == {"pass", "not-applicable"}


def _waits_for_the_inside(finding: Finding) -> bool:
    """Whether a rule about Azure's side could not answer since nothing inside the cluster was read."""
    return finding.outcome == "unknown" and {missing.kind for missing in finding.missing} == {"not-asked"}


@pytest.mark.parametrize("name", sorted(ESTATES))
def test_an_estate_is_read_whole(name: str) -> None:
    recorded = snapshot.read([FOLDER / f"{name}.jsonl"])
    assert not recorded.gaps
    assert (FOLDER / f"{name}.jsonl").stat().st_size < LARGEST


def _demo() -> Report:
    recorded = snapshot.of(demo.records())
    rules = load_rules()
    return build(recorded, rules, audit(Estate(recorded), rules), ())


def test_the_demo_goes_from_very_good_to_poor() -> None:
    report = _demo()
    worst_case = {cluster.name: cluster.outcomes["fail"] for cluster in report.clusters}
    assert worst_case["aks-payments"] == 0
    assert 0 < worst_case["aks-shop"] < worst_case["aks-data"] < worst_case["aks-web"]
    assert len({cluster.subscription for cluster in report.clusters}) == 1
    assert len(report.scan.scope) == 2


def test_the_demo_shows_the_permission_that_it_lacks() -> None:
    report = _demo()
    assert not report.scan.complete
    action = f"{demo.REFUSED}/read"
    assert [(missing.action, missing.scope) for missing in report.coverage.unread if missing.action == action] == [
        (action, demo.HUB.id)
    ]
    assert any(missing.action == action for finding in report.findings for missing in finding.missing)
