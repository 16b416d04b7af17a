"""Findings however many: kept in a file they are the same, in the same order, as in memory."""

import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit import engine, findings, snapshot
from aks_audit.findings import NoRoomError, Packed, encoded, failed, gathered, missing, shared, told, with_failures
from aks_audit.results import Finding, Missing, Outcome
from aks_audit.scan import Wish, scan
from aks_audit_reports.json import REPORTER
from reports import finding

ESTATES = sorted((Path(__file__).parent.parent / "fixtures" / "estates").glob("*.jsonl"))
LOST = Missing(what="/a", kind="refused", reason="403")


def one(number: int, outcome: Outcome) -> Finding:
    lacks = (LOST,) if outcome is Outcome.UNKNOWN else ()
    made = finding(f"c{number}", outcome=outcome, message="Ü" * (number % 7))
    return msgspec.structs.replace(made, rule=f"AKS-TST-{number // 10:02}", missing=lacks)


MANY = [one(number, tuple(Outcome)[number % 4]) for number in range(57)]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "MOST_IN_MEMORY", 20)
    monkeypatch.setattr(findings, "_WINDOW", 1000)


def packed(many: Sequence[Finding] = MANY) -> Packed:
    made = gathered(many)
    assert isinstance(made, Packed)
    return made


def test_few_stay_as_they_are() -> None:
    assert gathered(MANY[:20]) == tuple(MANY[:20])


def test_many_come_back_as_they_were_and_as_often_as_they_are_asked_for() -> None:
    made = packed()
    assert len(made) == len(MANY)
    assert list(made) == MANY == list(made)
    assert [made[at] for at in (0, 5, 56, -1)] == [MANY[at] for at in (0, 5, 56, -1)]
    assert list(made[3:50:7]) == MANY[3:50:7]


@given(st.permutations(range(57)))
def test_many_can_be_asked_for_in_any_order(order: list[int]) -> None:
    made = packed()
    assert [made[at] for at in order] == [MANY[at] for at in order]


def test_what_is_asked_of_most_needs_no_reading() -> None:
    made = packed()
    assert list(told(made)) == [(own.rule, own.clusters, own.outcome) for own in MANY] == list(told(MANY))
    assert set(missing(made)) == {LOST} == set(missing(MANY))
    assert list(failed(made)) == [own for own in MANY if own.outcome is Outcome.FAIL] == list(failed(MANY))


def test_they_are_the_same_json() -> None:
    assert list(encoded(packed())) == [msgspec.json.encode(own) for own in MANY] == list(encoded(MANY))


def test_failures_alone_are_changed() -> None:
    def changed(failure: Finding) -> Finding:
        assert failure.outcome is Outcome.FAIL
        return msgspec.structs.replace(failure, change="new")

    assert list(with_failures(packed(), changed)) == list(with_failures(MANY, changed))
    assert sum(own.change == "new" for own in with_failures(MANY, changed)) == sum(1 for _ in failed(MANY))


def test_in_memory_they_have_in_common_what_is_the_same() -> None:
    again = [msgspec.structs.replace(own, resource="".join(list(own.resource))) for own in MANY]
    found = shared([*packed(), *again])
    assert list(found) == [*MANY, *MANY]
    for first, second in zip(found[: len(MANY)], found[len(MANY) :], strict=True):
        same = [first.resource is second.resource, first.clusters is second.clusters, first.place is second.place]
        assert all([*same, first.missing is second.missing])


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full.open("wb", buffering=0))
    with pytest.raises(NoRoomError, match=r"findings cannot be kept there \(No space left on device\); .* TMPDIR"):
        gathered(MANY)


@pytest.mark.parametrize("estate", ESTATES, ids=lambda path: path.stem)
def test_an_audit_in_parts_is_the_same_report(estate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "MOST_IN_MEMORY", 10**9)
    recorded = snapshot.read([estate])
    at_once = REPORTER.render(scan(recorded, Wish(date(2026, 11, 22))))
    monkeypatch.setattr(findings, "MOST_IN_MEMORY", 0)
    monkeypatch.setattr(engine, "_CLUSTERS_AT_ONCE", 1)
    monkeypatch.setattr("aks_audit.facts.estate._MOST_BODIES", 1)
    assert REPORTER.render(scan(recorded, Wish(date(2026, 11, 22)))) == at_once
