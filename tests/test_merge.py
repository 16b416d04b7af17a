"""Shards united: the bytes of a single scan, whatever order they come in; and what is lost, twice, late or foreign."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_audit import merge, snapshot
from aks_audit.cli import main
from aks_audit.errors import AuditError
from aks_audit.merge import MAX_AGE, MergeError, Part
from aks_audit.shards import Share, number_of
from aks_audit.snapshot import Gap, Header, Listing, Record, Resource, Shard
from aks_audit.sources.azure.plan import (
    ACCESS,
    ACCESS_POLICIES,
    APPLICATIONS,
    DIRECTORY,
    IF_RESOLVER,
    LISTED,
    OPTIONAL,
    SUBSCRIPTION,
)
from compose.azure import guid
from merge_equality import compare
from shared_out import clusters_of

OF = 5
NETWORK = "Microsoft.Network/virtualNetworks"
VAULT = "Microsoft.KeyVault/vaults"


WHOLE = clusters_of("merge", 12)
SCOPE = WHOLE.header.scope

LONG_AFTER = snapshot.instant("2100-01-01T00:00:00Z")


class Said:
    """What was noted and warned of."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    @property
    def all(self) -> str:
        """All of it, a line each."""
        return "\n".join([*self.notes, *self.warnings])


def written(folder: Path, shards: Iterable[Sequence[Record]]) -> list[Path]:
    """Snapshots of shards as files."""
    paths = []
    for number, records in enumerate(shards):
        paths.append(folder / f"{number:02}.jsonl")
        snapshot.write(paths[-1], records)
    return paths


def united(
    paths: Sequence[Path], said: Said | None = None, max_age: timedelta = MAX_AGE, now: datetime = LONG_AFTER
) -> bytes:
    """The one snapshot of some shards, united at a time."""
    said = said or Said()
    parts = [merge.load(path) for path in paths]
    parts = [*merge.chosen(parts, max_age, now, said.notes.append, said.warnings.append)]
    return snapshot.encode(merge.unite(parts, said.notes.append, said.warnings.append))


def decoded(data: bytes) -> list[Record]:
    """The records of a snapshot."""
    return [msgspec.json.decode(line, type=Record) for line in data.splitlines()]


def lost_of(records: Iterable[Record]) -> list[Gap]:
    """What could not be read that was asked for."""
    return [one for one in records if isinstance(one, Gap) and one.cause != "not-asked"]


def policies_of(records: Iterable[Record]) -> list[Record]:
    """What is known of conditional access by reading."""
    known = [one for one in records if isinstance(one, Listing | Resource | Gap) and one.type == ACCESS_POLICIES]
    return [one for one in known if not isinstance(one, Gap) or one.cause != "not-asked"]


def changed(records: Sequence[Record], **header: Any) -> list[Record]:  # noqa: ANN401 - any field
    """A shard with another header; `shard` changes what is in that."""
    first, *others = records
    assert isinstance(first, Header)
    if "shard" in header:
        header["shard"] = msgspec.structs.replace(first.shard, **header["shard"])  # type: ignore[type-var]  # is one here
    return [msgspec.structs.replace(first, **header), *others]


def later(records: Sequence[Record], hours: float = 1) -> list[Record]:
    """A shard that was read so many hours later."""
    header = records[0]
    assert isinstance(header, Header)
    times = {
        name: (snapshot.instant(time) + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")
        for name in ("started", "finished")
        if (time := getattr(header, name))
    }
    return changed(records, **times)


@pytest.mark.parametrize("of", [1, 2, 5, 8, 40])
def test_the_shards_are_a_single_scan_byte_for_byte(of: int, tmp_path: Path) -> None:
    said = Said()
    paths = written(tmp_path, WHOLE.shards(of))
    assert united(paths, said) == snapshot.encode(WHOLE.all)
    assert said.all == ""


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """The snapshots of all shards."""
    return written(tmp_path_factory.mktemp("shards"), WHOLE.shards(OF))


@given(st.data())
@settings(max_examples=25)
def test_neither_order_nor_repetition_changes_what_is_united(paths: Sequence[Path], data: st.DataObject) -> None:
    more = data.draw(st.lists(st.sampled_from(paths), max_size=3))
    shuffled = data.draw(st.permutations([*paths, *more]))
    said = Said()
    assert united(shuffled, said) == snapshot.encode(WHOLE.all)
    assert said.all == ""


@given(st.data())
@settings(max_examples=25)
def test_whatever_is_lost_the_rest_is_united_in_any_order(paths: Sequence[Path], data: st.DataObject) -> None:
    left = data.draw(st.lists(st.sampled_from(paths), min_size=1, unique=True))
    once, again = united(left), united(data.draw(st.permutations(left)))
    assert once == again
    (header,) = [one for one in decoded(once) if isinstance(one, Header)]
    assert header.scope == SCOPE
    there = {int(path.stem) + 1 for path in left}
    lost = [one for one in SCOPE if number_of(one, OF) not in there]
    gaps = [(one.id, one.type) for one in lost_of(decoded(once))]
    assert sorted(gaps) == sorted((one, kind) for one in lost for kind in LISTED)


def test_a_fleet_merged_is_the_report_of_one_scan(tmp_path: Path) -> None:
    tally = compare(200, 8, tmp_path)
    assert tally.differing == []
    assert set(tally.single.files) == {
        "fleet.jsonl.gz", "printed", "aks-audit.html", "aks-audit.json", "aks-audit.sarif"
    }  # fmt: skip
    assert tally.single.code == 1
    assert sum(tally.shares) == 4


class Done(NamedTuple):
    """What a merge printed and said, and its exit code."""

    code: int
    report: dict[str, Any]
    err: str


@pytest.fixture(name="run")
def fixture_run(capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - a function
    """Merge by the command."""

    def run(*arguments: str | Path) -> Done:
        code = main(["merge", *map(str, arguments), "--format", "json", "--fail-on", "critical"])
        out, err = capsys.readouterr()
        return Done(code, json.loads(out) if out else {}, err)

    return run


LOST = next(number for number in range(1, OF + 1) if len(Share(number, OF).part(SCOPE)) > 1)


def without(number: int, of: int = OF) -> list[list[Record]]:
    return [records for place, records in enumerate(WHOLE.shards(of), 1) if place != number]


def test_a_lost_shard_leaves_its_subscriptions_unknown_and_is_said(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    written(tmp_path, without(LOST))
    done = run(tmp_path)
    assert done.code == 3
    lost = Share(LOST, OF).part(SCOPE)
    assert f"warning: shard {LOST}/{OF} is missing; run it again with --shard {LOST}/{OF}" in done.err
    assert f"{len(lost)} subscriptions could not be looked at: {', '.join(lost)}" in done.err
    assert f"united {OF - 1} of {OF} shards" in done.err
    scan = done.report["scan"]
    assert not scan["complete"]
    assert scan["scope"] == list(SCOPE)
    told = {gap["what"] for gap in done.report["coverage"]["unread"] if "is missing; run it again" in gap["reason"]}
    assert told == set(lost)


def test_nothing_passes_that_rests_on_a_lost_shard(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    paths = written(tmp_path, WHOLE.shards(OF))
    full = outcomes(run(tmp_path).report)
    paths[LOST - 1].unlink()
    left = outcomes(run(tmp_path).report)
    assert set(left.values()) == {"pass", "fail", "not-applicable", "unknown"}
    assert {key for key, outcome in left.items() if outcome == "pass" and full.get(key) != "pass"} == set()


def outcomes(report: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(finding["rule"], finding["resource"].lower()): finding["outcome"] for finding in report["findings"]}


def test_a_shard_that_had_nothing_to_read_is_not_missed(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    of = 40
    number = next(one for one in range(1, of + 1) if not Share(one, of).part(SCOPE))
    written(tmp_path, without(number, of))
    done = run(tmp_path)
    assert done.code == 0
    assert done.report["scan"]["complete"]
    assert f"shard {number}/{of} is missing, and no subscription of those that were seen is in it" in done.err


def test_of_a_repeated_shard_the_last_complete_one_is_taken(tmp_path: Path) -> None:
    shards = WHOLE.shards(OF)
    first = shards[LOST - 1]
    newer = later([one for one in first if not (isinstance(one, Resource) and one.type == NETWORK)])
    refused = later([*first, Gap(id=SCOPE[0], type=NETWORK, reason="no")], 2)
    paths = written(tmp_path, [*shards, newer, refused])
    expected = written(tmp_path / "expected", [newer if one is first else one for one in shards])
    said = Said()
    assert united(paths, said) == united(expected)
    told = [line.partition(" (")[0] for line in said.notes if " is not taken: " in line]
    assert told == [f"shard {LOST}/{OF}"] * 2
    assert "has the same shard, complete" in said.all
    assert "has the same shard, read later" in said.all


def test_of_a_repeated_shard_a_damaged_one_is_not_taken(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    paths = written(tmp_path, [*WHOLE.shards(OF), later(WHOLE.shards(OF)[LOST - 1])])
    paths[-1].write_bytes(paths[-1].read_bytes()[: -paths[-1].stat().st_size // 2])
    done = run(tmp_path)
    assert done.code == 0
    assert "has the same shard, and is not damaged" in done.err
    paths[LOST - 1].unlink()
    alone = run(tmp_path)
    assert alone.code == 3
    assert f"is damaged; read it again with --shard {LOST}/{OF}" in alone.err


def test_a_shard_read_long_before_the_others_is_left_out_and_said(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    shards = WHOLE.shards(OF)
    written(tmp_path, [later(one, 0 if place == LOST else 24) for place, one in enumerate(shards, 1)])
    done = run(tmp_path)
    assert done.code == 3
    assert f"shard {LOST}/{OF} ({tmp_path}/{LOST - 1:02}.jsonl) is left out: it was read 24.0 h before" in done.err
    assert f"shard {LOST}/{OF} is missing" in done.err
    taken = run(tmp_path, "--max-age", "2d")
    assert taken.code == 0
    assert "left out" not in taken.err


def finished(records: Sequence[Record]) -> datetime:
    """When a shard was read."""
    assert isinstance(records[0], Header)
    assert records[0].finished
    return snapshot.instant(records[0].finished)


def test_a_shard_whose_clock_is_ahead_does_not_make_the_others_old(tmp_path: Path) -> None:
    said, shards = Said(), WHOLE.shards(OF)
    now = finished(shards[0]) + timedelta(hours=1)
    ahead = [later(one, 49 if number == LOST else 0) for number, one in enumerate(shards, 1)]
    records = decoded(united(written(tmp_path, ahead), said, now=now))
    lost, *others = said.warnings
    assert lost.endswith(
        "says that it was read 48.0 h from now: the clock of its machine is ahead, or of this one behind"
    )
    assert f"shard {LOST}/{OF} " in lost
    (left,) = [one for one in others if "left out" in one]
    assert left.startswith(f"shard {LOST}/{OF} ")
    assert "it was read 49.0 h after the last of the others; --max-age says how far apart they may be" in left
    assert {number_of(gap.id, OF) for gap in lost_of(records)} == {LOST}


@pytest.mark.parametrize(("hours", "warnings"), [(1, 1), (0.05, 0)])
def test_a_clock_that_is_little_ahead_loses_nothing(hours: float, warnings: int, tmp_path: Path) -> None:
    said, shards = Said(), WHOLE.shards(OF)
    paths = written(tmp_path, [later(shards[0], hours), *shards[1:]])
    assert not lost_of(decoded(united(paths, said, now=finished(shards[0]))))
    assert len(said.warnings) == warnings


def test_where_this_clock_is_behind_all_shards_are_told_of_and_taken(tmp_path: Path) -> None:
    said, shards = Said(), WHOLE.shards(OF)
    before = finished(shards[0]) - timedelta(days=2)
    assert united(written(tmp_path, shards), said, now=before) == snapshot.encode(WHOLE.all)
    assert len(said.warnings) == OF
    assert all("48.0 h from now" in one for one in said.warnings)


def test_a_late_shard_is_taken_when_the_others_are_merged_again(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    written(tmp_path, without(LOST))
    assert run(tmp_path).code == 3
    snapshot.write(tmp_path / "late.jsonl", later(WHOLE.shards(OF)[LOST - 1]))
    again = run(tmp_path)
    assert again.code == 0
    assert again.report["scan"]["complete"]


FOREIGN = {
    "another number of shards": ({"shard": {"of": 7, "number": 1}, "scope": ()}, "it is one of 7, not of 5"),
    "another version": ({"tool": "aks-audit 9.9"}, "it is by aks-audit 9.9, not aks-audit 0.1.0"),
    "another scope": ({"narrowed": ("cluster=aks-01",)}, "it is asked for cluster=aks-01"),
    "another question": ({"shard": {"asked": ("read=alerts",)}}, "it is asked for read=alerts"),
}


@pytest.mark.parametrize(("header", "told"), FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_shard_is_left_out_where_all_others_are_there(
    header: dict[str, Any],
    told: str,
    run: Any,  # noqa: ANN401 - a fixture
    tmp_path: Path,
) -> None:
    shards = WHOLE.shards(OF)
    written(tmp_path, [*shards, later(changed(shards[LOST - 1], **header))])
    done = run(tmp_path)
    assert done.code == 0
    assert f"is left out: {told}, of another scan than the others" in done.err
    assert done.report["scan"]["complete"]


@pytest.mark.parametrize(("header", "told"), FOREIGN.values(), ids=FOREIGN)
def test_shards_of_several_scans_of_which_none_is_whole_are_refused(
    header: dict[str, Any],
    told: str,
    run: Any,  # noqa: ANN401 - a fixture
    tmp_path: Path,
) -> None:
    written(tmp_path, [*without(LOST), changed(WHOLE.shards(OF)[LOST - 1], **header)])
    done = run(tmp_path)
    assert (done.code, done.report) == (2, {})
    assert "these are shards of different scans, and of none are all there" in done.err
    assert told.removeprefix("it is ") in done.err


def test_of_two_whole_scans_the_last_is_taken(tmp_path: Path) -> None:
    other = [later(one) for one in WHOLE.shards(3)]
    said = Said()
    assert decoded(united(written(tmp_path, [*WHOLE.shards(OF), *other]), said)) == decoded(
        united(written(tmp_path / "other", other))
    )
    assert len(said.warnings) == OF


def test_a_snapshot_of_no_shard_is_left_out_and_alone_refused(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    (whole_run,) = written(tmp_path / "whole", [WHOLE.all])
    written(tmp_path / "shards", WHOLE.shards(OF))
    done = run(tmp_path / "shards", whole_run)
    assert done.code == 0
    assert f"warning: left out: {whole_run}: is the snapshot of no shard" in done.err
    alone = run(whole_run)
    assert alone.code == 2
    assert "is the snapshot of no shard; make one with: aks-audit collect --shard K/N" in alone.err


def test_files_that_are_no_snapshots_are_left_out_and_alone_refused(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    written(tmp_path / "shards", WHOLE.shards(OF))
    strange = tmp_path / "strange.jsonl"
    later_schema = msgspec.structs.replace(WHOLE.header, schema="aks-audit/snapshot/2")
    for data in (b"", b"{}\n", b"\x1f\x8b", snapshot.encode([later_schema, *WHOLE.records])):
        strange.write_bytes(data)
        done = run(tmp_path / "shards", strange)
        assert done.code == 0
        assert "warning: left out: not a snapshot: " in done.err
        assert run(strange).code == 2


def test_a_shard_that_holds_what_is_anothers_is_left_out(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    shards = WHOLE.shards(OF)
    strange = changed(shards[LOST - 1], scope=SCOPE)
    paths = written(tmp_path, [strange if one is shards[LOST - 1] else one for one in shards])
    assert run(tmp_path).code == 3
    with pytest.raises(MergeError, match="holds what is another's"):
        merge.load(paths[LOST - 1])


@pytest.mark.parametrize("strange", [{"number": 0}, {"number": 6}, {"number": -1, "of": -1}, {"of": 10**12}])
def test_a_shard_that_can_be_none_is_left_out(strange: dict[str, int], run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    header = changed(WHOLE.shards(OF)[0], scope=(), shard=strange)[0]
    written(tmp_path / "shards", WHOLE.shards(OF))
    (path,) = written(tmp_path / "strange", [[header]])
    done = run(tmp_path / "shards", path)
    assert done.code == 0
    assert f"left out: {path}: says that it is shard" in done.err


def test_nothing_to_merge_is_an_error(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    assert "name the snapshots of shards, or their place with --store" in run().err
    assert run(tmp_path).code == 2
    assert run(tmp_path / "none.jsonl").code == 2
    with pytest.raises(SystemExit, match="2"):
        main(["merge", "--max-age", "soon", str(tmp_path)])


def policies(*names: str, state: str = "enabled") -> list[Record]:
    """Policies of conditional access, all there are."""
    found = [f"{DIRECTORY}/conditionalAccessPolicies/{name}" for name in names]
    return [
        *(Resource(id=one, type=ACCESS_POLICIES, body={"id": one, "state": state}) for one in found),
        Listing(type=ACCESS_POLICIES, scope=ACCESS),
    ]


def both(tmp_path: Path, first: Sequence[Record], second: Sequence[Record], said: Said | None = None) -> list[Record]:
    """What is united of two shards that read these, too, the second later."""
    one, other = WHOLE.shards(2)
    paths = written(tmp_path, [later([*other, *second]), [*one, *first]])
    return decoded(united(paths, said))


def test_what_several_shards_read_of_the_tenant_alike_is_there_once(tmp_path: Path) -> None:
    said = Said()
    found = both(tmp_path, policies("a", "b"), policies("a", "b"), said)
    assert policies_of(found) == [
        Listing(type=ACCESS_POLICIES, scope=ACCESS),
        *policies("a", "b")[:2],
    ]
    assert said.all == ""


def test_where_shards_contradict_each_other_about_the_tenant_the_last_is_right_and_it_is_said(tmp_path: Path) -> None:
    said = Said()
    found = both(tmp_path, policies("a", "b"), policies("b", "c", state="disabled"), said)
    assert [one for one in found if isinstance(one, Resource) and one.type == ACCESS_POLICIES] == policies(
        "b", "c", state="disabled"
    )[:2]
    assert "2 resources differ between shards, as /providers/microsoft.graph/conditionalaccesspolicies/a" in said.all


def test_what_one_shard_could_not_read_of_the_tenant_another_did(tmp_path: Path) -> None:
    refused: list[Record] = [Gap(id=ACCESS, type=ACCESS_POLICIES, reason="403")]
    for name, (first, second) in {"first": (refused, policies("a")), "second": (policies("a"), refused)}.items():
        found = both(tmp_path / name, first, second)
        assert policies_of(found) == [Listing(type=ACCESS_POLICIES, scope=ACCESS), *policies("a")[:1]]


def test_an_application_of_several_shards_is_as_it_was_read_last(tmp_path: Path) -> None:
    own = f"{DIRECTORY}/applications/x"
    first, last = (
        Resource(id=own, type=APPLICATIONS, body={"id": own, "n": n}, read=f"2026-11-20T06:00:0{n}Z") for n in (1, 2)
    )
    for number, (one, other) in enumerate([(first, last), (last, first)]):
        found = both(tmp_path / str(number), [one], [other])
        assert [one for one in found if isinstance(one, Resource) and one.type == APPLICATIONS] == [last]


def test_roles_assigned_above_subscriptions_are_kept_as_each_subscription_lists_them(tmp_path: Path) -> None:
    own = "/providers/Microsoft.Management/managementGroups/all/providers/Microsoft.Authorization/roleAssignments/r"
    kind = "Microsoft.Authorization/roleAssignments"
    first, second = (Resource(id=own, type=kind, body={"id": own, "of": one}) for one in SCOPE[:2])
    found = both(tmp_path, [first], [second])
    assert [one for one in found if isinstance(one, Resource) and one.id == own] == [first, second]


def hub(name: str, body: str, where: str = "/subscriptions/elsewhere", kind: str = NETWORK) -> Resource:
    own = f"{where}/resourceGroups/rg/providers/{kind}/{name}"
    return Resource(id=own, type=kind, body={"id": own, "properties": {"told": body}})


def of_two(number: int) -> str:
    """A subscription of a shard of two."""
    return Share(number, 2).part(SCOPE)[0]


def test_a_hub_beyond_the_scope_is_as_it_was_read_last(tmp_path: Path) -> None:
    said = Said()
    found = both(tmp_path, [hub("hub", "first")], [hub("hub", "last")], said)
    assert [one for one in found if isinstance(one, Resource) and "elsewhere" in one.id] == [hub("hub", "last")]
    assert "1 resource differ between shards" not in said.all
    assert "1 resource differs between shards" in said.all


def test_the_shard_that_lists_a_subscription_speaks_for_what_is_in_it(tmp_path: Path) -> None:
    mine = of_two(1)
    said = Said()
    found = both(
        tmp_path, [hub("hub", "listed", mine)], [hub("hub", "followed", mine), hub("gone", "followed", mine)], said
    )
    there = [one for one in found if isinstance(one, Resource) and one.id.rpartition("/")[2] in {"hub", "gone"}]
    assert there == [hub("hub", "listed", mine)]
    assert "2 resources differ between shards" in said.all


def test_what_another_shard_followed_and_no_list_holds_is_kept(tmp_path: Path) -> None:
    vault = hub("kv", "followed", of_two(1), VAULT)
    assert vault in both(tmp_path, [], [vault])


def test_the_shard_that_read_a_subscription_speaks_for_what_no_list_holds(tmp_path: Path) -> None:
    own, others = (hub("kv", told, of_two(1), VAULT) for told in ("own", "others"))
    found = both(tmp_path, [own], [others])
    assert [one for one in found if isinstance(one, Resource) and one.type == VAULT] == [own]


def test_what_is_not_there_any_more_is_no_gap_where_a_list_says_so(tmp_path: Path) -> None:
    gone = Gap(id=hub("gone", "", of_two(1)).id, type=NETWORK, reason="404", cause="not-read", status=404)
    assert gone not in both(tmp_path, [], [gone])
    unlisted = msgspec.structs.replace(gone, id=hub("gone", "", of_two(1), VAULT).id, type=VAULT)
    assert unlisted in both(tmp_path / "vault", [], [unlisted])


def test_what_any_shard_could_read_is_no_gap(tmp_path: Path) -> None:
    refused = Gap(id=hub("hub", "").id, type=NETWORK, reason="403")
    found = both(tmp_path, [hub("hub", "read")], [refused])
    assert hub("hub", "read") in found
    assert refused not in found


def test_a_gap_of_all_shards_is_there_once(tmp_path: Path) -> None:
    first, last = (Gap(id=hub("hub", "").id, type=NETWORK, reason=f"403 of request {n}") for n in (1, 2))
    assert lost_of(both(tmp_path, [first], [last])) == [last]


def test_lists_that_no_network_calls_for_are_left_out(tmp_path: Path) -> None:
    lists = [Listing(type=kind, scope=one) for kind in IF_RESOLVER for one in SCOPE]
    refused = Gap(id=SCOPE[0], type=next(iter(IF_RESOLVER)), reason="403")
    shards = WHOLE.shards(OF)
    for number, records in enumerate(shards, 1):
        records += [one for one in lists if number_of(one.scope, OF) == number]
    shards[number_of(SCOPE[0], OF) - 1].append(refused)
    assert united(written(tmp_path, shards)) == snapshot.encode(WHOLE.all)


def test_a_subscription_that_came_into_scope_meanwhile_is_unknown(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    new = f"/subscriptions/{guid('new')}"
    number = number_of(new, OF)
    shards = WHOLE.shards(OF)
    last = next(place for place in range(OF) if place != number - 1)
    shards[last] = later(changed(shards[last], shard={"seen": (*SCOPE, new)}))
    written(tmp_path, shards)
    done = run(tmp_path)
    assert done.code == 3
    assert f"shard {number}/{OF} had listed the subscriptions before this one came into scope; run it again" in done.err
    assert new in done.report["scan"]["scope"]


def test_a_subscription_that_went_out_of_scope_meanwhile_is_said(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    old = f"/subscriptions/{guid('old')}"
    shards = [changed(one, shard={"seen": (*SCOPE, old)}) for one in WHOLE.shards(OF)]
    shards[LOST - 1] = later(WHOLE.shards(OF)[LOST - 1])
    written(tmp_path, shards)
    done = run(tmp_path)
    assert done.code == 0
    assert f"out of scope since the first shards were read, and not looked at: {old}" in done.err
    assert old not in done.report["scan"]["scope"]


def test_a_shard_that_could_not_list_the_subscriptions_is_told_of(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    shards = WHOLE.shards(OF)
    refused = Gap(id="/subscriptions", type=SUBSCRIPTION, reason="503", cause="not-read")
    header = changed(shards[LOST - 1], scope=(), shard={"seen": ()})[0]
    shards[LOST - 1] = later([header, refused])
    written(tmp_path, shards)
    done = run(tmp_path)
    assert done.code == 3
    assert f"shard {LOST}/{OF} could not list the subscriptions; run it again" in done.err
    assert set(Share(LOST, OF).part(SCOPE)) <= {gap["what"] for gap in done.report["coverage"]["unread"]}


def test_what_was_asked_for_by_name_is_lost_with_its_shard_too(tmp_path: Path) -> None:
    shards = [changed(one, shard={"asked": ("read=alerts",)}) for one in without(LOST)]
    gaps = {one.type for one in lost_of(decoded(united(written(tmp_path, shards))))}
    assert gaps == {*LISTED, *(read.type for read in OPTIONAL["alerts"])}


def test_names_from_a_snapshot_are_no_commands_to_a_terminal(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    shards = WHOLE.shards(OF)
    evil = later(changed(shards[0], tool="aks-audit \x1b[2J\n::error::x", narrowed=("tag=\x1b[31m=\n##vso[x]",)))
    written(tmp_path, [*shards, evil])
    done = run(tmp_path)
    assert "\x1b" not in done.err
    assert "\n::" not in done.err
    assert "\n##" not in done.err


def test_the_snapshot_of_the_fleet_is_kept_and_scans_as_it_merged(run: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    written(tmp_path / "shards", WHOLE.shards(OF))
    kept = tmp_path / "fleet.jsonl.gz"
    done = run(tmp_path / "shards", "--keep-snapshot", kept)
    assert snapshot.encode(WHOLE.all) == b"".join(snapshot.lines(kept))
    assert {finding["location"]["file"] for finding in done.report["findings"]} == {kept.as_posix()}


def test_shards_that_are_scanned_and_not_merged_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = map(str, written(tmp_path, WHOLE.shards(OF)))
    main(["scan", "--snapshot", first, second])
    assert "these are 2 shards of a fleet; aks-audit merge also says which are missing" in capsys.readouterr().err
    main(["scan", "--snapshot", first])
    assert "shards" not in capsys.readouterr().err


def test_parts_are_usable_one_by_one() -> None:
    def strange() -> Part:
        raise AuditError("strange")

    with pytest.raises(MergeError, match="strange"):
        merge.usable([strange], print)
    with pytest.raises(MergeError, match="there is no shard to merge"):
        merge.usable([], print)


def test_an_older_header_reads_still(tmp_path: Path) -> None:
    (path,) = written(tmp_path, [WHOLE.all])
    assert snapshot.read([path]).headers[0].shard is msgspec.UNSET
    assert not isinstance(snapshot.read([path]).headers[0].shard, Shard)
