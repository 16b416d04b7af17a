"""Wrong answers that scanners give, each with the right one: `fixtures/traps`, and some that take more than a rule."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from aks_audit import snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.report import Report, build
from aks_audit.results import Finding
from cases import BASE, CLUSTER, INSIDE, ROOT, Case, records_of

RULES = {rule.id: rule for rule in load_rules()}
TRAPS = ROOT / "fixtures" / "traps"
COVERED = {1, 3, 4, *range(7, 36), 46, 48}
"""The traps with a file; 1, 2 and 36 have tests below, and the others are for rules, reports and sources to come."""


class Trap(Case, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A case of a trap: `why` the answer is right, and which permission the report says is missing."""

    rule: str
    trap: int
    unread: str = ""


def _read(path: Path) -> tuple[Trap, ...]:
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8"))["case"], tuple[Trap, ...])


CASES = [(path.stem, trap) for path in sorted(TRAPS.glob("*.toml")) for trap in _read(path)]


def _report(records: list[snapshot.Record]) -> Report:
    recorded = snapshot.of(records)
    return build(recorded, list(RULES.values()), audit(Estate(recorded), RULES.values()), ())


def _findings(trap: Trap) -> list[Finding]:
    rule = RULES[trap.rule]
    files = (BASE, INSIDE) if issubclass(rule.subject, KubernetesObject) else ()
    found = audit(Estate(snapshot.of(records_of(trap, *files))), [rule])
    return [finding for finding in found if finding.resource.lower().endswith(trap.subject.lower())]


@pytest.mark.parametrize("trap", [pytest.param(trap, id=f"{file}: {trap.name}") for file, trap in CASES])
def test_a_trap_gets_the_right_answer(trap: Trap) -> None:
    assert trap.why
    findings = _findings(trap)
    outcomes = [finding.outcome.value for finding in findings]
    assert outcomes == [trap.expect], [(finding.resource, finding.message) for finding in findings]
    assert all(trap.says in finding.message for finding in findings)
    assert all(trap.severity in {"", finding.severity} for finding in findings)


@pytest.mark.parametrize("trap", [pytest.param(trap, id=trap.name) for _, trap in CASES if trap.unread])
def test_what_was_refused_makes_the_scan_incomplete_and_is_named(trap: Trap) -> None:
    report = _report(records_of(trap))
    assert not report.scan.complete
    assert any(missing.action == trap.unread and missing.scope for missing in report.coverage.unread)
    assert report.coverage.unknown or not report.findings


def test_a_file_is_named_after_its_trap_and_every_trap_has_one() -> None:
    assert all(file.startswith(f"{trap.trap:02}-") for file, trap in CASES)
    assert {trap.trap for _, trap in CASES} == COVERED
    names = [(file, trap.name) for file, trap in CASES]
    assert len(names) == len(set(names))


def test_a_refused_list_of_clusters_is_not_an_empty_one() -> None:
    """Trap 1: the cluster list answers 403, and a scanner says "no findings" and exits 0."""
    report = _report([*_outside(_FIRST), _refusal(_FIRST)])
    assert not report.findings
    assert not report.scan.complete
    unread = [(missing.action, missing.scope) for missing in report.coverage.unread if missing.kind != "not-asked"]
    assert unread == [(_LIST, _FIRST)]


def test_a_refused_subscription_is_named_as_not_read_and_the_other_is_judged() -> None:
    """Trap 2: one of two subscriptions is denied, and still listed as scanned."""
    report = _report([*_outside(_SECOND), _refusal(_SECOND)])
    assert not report.scan.complete
    assert [missing.scope for missing in report.coverage.unread if missing.action == _LIST] == [_SECOND]
    assert _SECOND.rpartition("/")[2] not in {read.subscription for read in report.coverage.read}
    assert [cluster.id for cluster in report.clusters] == [CLUSTER]


_FIRST, _SECOND = (f"/subscriptions/{digit * 8}-{digit * 4}-{digit * 4}-{digit * 4}-{digit * 12}" for digit in "12")
_LIST = "Microsoft.ContainerService/managedClusters/read"


def _outside(denied: str) -> list[snapshot.Record]:
    """The base estate without all that was listed or read in a subscription."""
    return [
        record
        for record in records_of(Case(name="a subscription denied", expect=""))
        if not (isinstance(record, snapshot.Listing) and record.scope.startswith(denied))
        and not (isinstance(record, snapshot.Resource) and record.id.startswith(denied))
    ]


def _refusal(denied: str) -> snapshot.Gap:
    reason = f"403 AuthorizationFailed: needs {_LIST} on {denied}"
    kind = _LIST.removesuffix("/read")
    return snapshot.Gap(id=denied, type=kind, reason=reason, status=403, action=_LIST, scope=denied)


def test_clusters_of_one_name_in_two_groups_have_findings_of_their_own() -> None:
    """Trap 36: same-named clusters in two resource groups share one finding id."""
    records = records_of(Case(name="a twin", expect=""))
    twin = CLUSTER.replace("rg-aks-prod/", "rg-aks-twin/")
    original = next(record for record in records if isinstance(record, snapshot.Resource) and record.id == CLUSTER)
    copied = msgspec.structs.replace(original, id=twin, body={**original.body, "id": twin})
    findings = audit(Estate(snapshot.of([*records, copied])), [RULES["AKS-IAM-04"]])
    assert sorted(finding.resource for finding in findings) == sorted([CLUSTER, twin])
    assert len({finding.fingerprint for finding in findings}) == 2
