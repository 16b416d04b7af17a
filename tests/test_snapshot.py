"""Snapshots: the same state gives the same bytes, and damage costs no more than what was damaged."""

import gzip
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.cli import main
from aks_audit.facts import Estate, ManagedCluster, NatGateway, NotCollected
from aks_audit.snapshot import SCHEMA, Gap, Header, Listing, Resource, Snapshot, SnapshotError
from recordings import Json

SUBSCRIPTION = "/subscriptions/11111111-1111-1111-1111-111111111111"
CLUSTERS = f"{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters"
TYPE = "Microsoft.ContainerService/managedClusters"
HEADER = Header(schema=SCHEMA, tool="aks-audit 0", started="2026-01-01T00:00:00Z", finished="2026-01-01T00:05:00Z")
RECORDS: list[snapshot.Record] = [
    HEADER,
    Listing(type=TYPE, scope=SUBSCRIPTION),
    Listing(type="Microsoft.Network/natGateways", scope=SUBSCRIPTION),
    Gap(id=SUBSCRIPTION, type="Microsoft.Network/routeTables", reason="refused"),
    *[Resource(id=f"{CLUSTERS}/{name}", type=TYPE, body={"id": f"{CLUSTERS}/{name}", "name": name}) for name in "abc"],
]


def stored(folder: Path, data: bytes | list[bytes], name: str = "estate.jsonl") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else b"".join(line + b"\n" for line in data))
    return path


def good() -> list[bytes]:
    return snapshot.encode(RECORDS).splitlines()


def names(read: Snapshot) -> str:
    """The names of the clusters that were read."""
    return "".join(resource.id[-1] for resource, _ in read.resources)


def damage(read: Snapshot) -> list[str]:
    """What is said of damage."""
    return [gap.reason for gap, _ in read.gaps if gap.cause == "malformed"]


def whole(read: Snapshot) -> bool:
    """Whether the snapshot still says that it holds all NAT gateways."""
    try:
        return Estate(read).within(NatGateway, SUBSCRIPTION).whole() == ()
    except NotCollected:
        return False


@given(st.permutations(RECORDS + RECORDS[1:]))
def test_the_same_records_give_the_same_bytes(records: list[snapshot.Record]) -> None:
    assert snapshot.encode(records) == snapshot.encode(RECORDS)


@given(st.permutations([*RECORDS, *RECORDS[1:], HEADER]), st.sampled_from(["kept.jsonl", "kept.jsonl.gz"]))
def test_records_that_were_written_stand_where_they_are_read(records: list[snapshot.Record], name: str) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / name
        snapshot.write(file, records)
        assert snapshot.of(records, file) == snapshot.read([file])


@given(st.permutations(good()))
def test_shuffled_lines_are_the_same_snapshot(lines: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        shuffled = snapshot.read([stored(Path(folder), lines)])
        assert shuffled == snapshot.read([stored(Path(folder), good())])


def test_files_can_be_concatenated_and_compressed(tmp_path: Path) -> None:
    other = snapshot.encode([HEADER, Resource(id=f"{CLUSTERS}/d", type=TYPE, body={"name": "d"})])
    both = stored(tmp_path, snapshot.encode(RECORDS) + other)
    zipped = stored(tmp_path, gzip.compress(snapshot.encode(RECORDS)) + gzip.compress(other), "both.jsonl.gz")
    for path in (both, zipped):
        read = snapshot.read([path])
        assert names(read) == "abcd"
        assert not damage(read)
        assert whole(read)


def test_a_snapshot_comes_through_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = stored(tmp_path, gzip.compress(snapshot.encode(RECORDS)))
    with subprocess.Popen([sys.executable, "-c", f"open({str(pipe)!r}, 'wb').write(open({str(path)!r}, 'rb').read())"]):
        assert names(snapshot.read([pipe])) == "abc"


def test_written_files_are_the_same_twice_and_readable(tmp_path: Path) -> None:
    for name in ("one.jsonl.gz", "two.jsonl.gz"):
        snapshot.write(tmp_path / "new" / name, RECORDS)
    assert (tmp_path / "new" / "one.jsonl.gz").read_bytes() == (tmp_path / "new" / "two.jsonl.gz").read_bytes()
    assert names(snapshot.read([tmp_path / "new"])) == "abc"


LINE = len(good()) - 1  # the last line: cluster c


def with_last(line: bytes) -> list[bytes]:
    return [*good()[:LINE], line]


def changed(**fields: Json) -> bytes:
    return json.dumps({**json.loads(good()[LINE]), **fields}).encode()


ATTRIBUTED = {
    "cut off": good()[LINE][:-9],
    "a body that is no object": changed(body=[1]),
    "an unknown kind": changed(kind="rumour"),
    "no type": changed(type=None),
    "nested too deep": changed(body={"a": json.loads("[" * 150 + "]" * 150)}),
    "a NUL byte": good()[LINE].replace(b'"name":"c"', b'"name":"c\0"'),
    "a lone surrogate": good()[LINE].replace(b'"name":"c"', b'"name":"\\ud800"'),
    "not UTF-8": good()[LINE].replace(b'"name":"c"', b'"name":"\xff"'),
    "a number beyond all range": good()[LINE].replace(b'"name":"c"', b'"name":1e999'),
    "a number of many digits": good()[LINE].replace(b'"name":"c"', b'"name":' + b"9" * 5000),
    "a time that is none": changed(read="yesterday"),
    "far too deep": good()[LINE].replace(b'"name":"c"', b'"name":' + b"[" * 100_000),
}


@pytest.mark.parametrize("line", ATTRIBUTED.values(), ids=ATTRIBUTED)
def test_a_damaged_line_makes_its_own_cluster_unknown_and_loses_nothing_else(tmp_path: Path, line: bytes) -> None:
    path = stored(tmp_path, with_last(line))
    read = snapshot.read([path])
    assert names(read) == "ab"
    assert len(damage(read)) == 1
    assert damage(read)[0].startswith(f"{path}:{LINE + 1}: ")
    assert whole(read)
    estate = Estate(read)
    assert [missing.what for missing in estate.gaps(ManagedCluster)] == [f"{CLUSTERS}/c"]


UNATTRIBUTED = {
    "an id that is no text": changed(id=7),
    "an id that is no ARM id": changed(id="aks"),
    "no id": json.dumps({"kind": "resource", "type": TYPE, "body": {}}).encode(),
    "not JSON": b"<html>503</html>",
    "binary": bytes(set(range(256)) - {10}),
    "another language's JSON": b'{"kind": "resource", "id": NaN}',
    "cut off before the id": b'{"kind":"resource","i',
    "cut off in the id": b'{"kind":"resource","id":"/subscriptions/1111',
    "an id of something inside": b'{"body":{"id":"/subscriptions/a/b"},',
}


@pytest.mark.parametrize("line", UNATTRIBUTED.values(), ids=UNATTRIBUTED)
def test_damage_that_names_nothing_leaves_no_listing_whole(tmp_path: Path, line: bytes) -> None:
    path = stored(tmp_path, with_last(line))
    read = snapshot.read([path])
    assert names(read) == "ab"
    assert [reason.startswith(f"{path}:{LINE + 1}: ") for reason in damage(read)] == [True]
    assert not whole(read)


def test_a_file_cut_off_between_lines_is_noticed(tmp_path: Path) -> None:
    read = snapshot.read([stored(tmp_path, good()[:LINE])])
    assert names(read) == "ab"
    assert "cut off: 5 of 6 records are there" in damage(read)[0]
    assert not whole(read)


@given(st.integers(min_value=0, max_value=len(snapshot.encode(RECORDS)) - 2))
def test_a_file_cut_off_anywhere_is_noticed(length: int) -> None:
    with TemporaryDirectory() as folder:
        path = stored(Path(folder), snapshot.encode(RECORDS)[:length])
        if length < len(good()[0]):
            with pytest.raises(SnapshotError, match=path.name):
                snapshot.read([path])
        else:
            assert damage(snapshot.read([path]))


@given(st.integers(min_value=0, max_value=len(gzip.compress(snapshot.encode(RECORDS), mtime=0)) - 1))
def test_a_compressed_file_cut_off_anywhere_is_noticed(length: int) -> None:
    with TemporaryDirectory() as folder:
        path = stored(Path(folder), gzip.compress(snapshot.encode(RECORDS), mtime=0)[:length])
        with suppress(SnapshotError):
            read = snapshot.read([path])
            assert damage(read)
            assert not whole(read)


@given(st.data())
def test_random_bytes_in_a_file_crash_nothing(data: st.DataObject) -> None:
    original = snapshot.encode(RECORDS)
    start = data.draw(st.integers(0, len(original)))
    end = data.draw(st.integers(start, min(len(original), start + 40)))
    broken = original[:start] + data.draw(st.binary(max_size=40)) + original[end:]
    with TemporaryDirectory() as folder:
        path = stored(Path(folder), broken)
        with suppress(SnapshotError):
            Estate(snapshot.read([path])).every(ManagedCluster)


UNUSABLE = {
    "empty": (b"", "the file is empty"),
    "blank": (b"\n\n  \n", "the file is empty"),
    "binary": (bytes(range(256)), "no snapshot header"),
    "foreign JSON": (b'{"name": "left-pad"}', "no snapshot header"),
    "plain Azure JSON": (b'{\n  "id": "/subscriptions/a"\n}\n', "aks-audit snapshot import FILE"),
    "another schema": (b'{"kind":"header","schema":"aks-audit/snapshot/9","tool":"t"}', "aks-audit/snapshot/9 is not"),
    "no header": (b'{"kind":"listing","type":"a/b","scope":"/"}', "no snapshot header"),
    "a damaged header": (b'{"kind":"header","schema":7,"tool":"t"}', ":1: "),
    "a header with a time that is none": (
        b'{"kind":"header","schema":"aks-audit/snapshot/1","tool":"t","started":"x"}',
        "RFC 3339",
    ),
    "a broken gzip": (b"\x1f\x8b\x08\x00broken", "cannot be read further"),
    "deep": (b'{"kind":"resource","a":' + b"[" * 100_000, "nested deeper"),
}


@pytest.mark.parametrize(("data", "says"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_file_is_named_with_the_remedy(
    tmp_path: Path, data: bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stored(tmp_path, data)
    assert main(["scan", "--format", "json", "--snapshot", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"aks-audit: error: not a snapshot: {path}:1: ")
    assert says in said
    assert "aks-audit snapshot import FILE" in said
    assert "Traceback" not in said


def test_an_unusable_file_beside_a_usable_one_is_a_gap(tmp_path: Path) -> None:
    stored(tmp_path, good())
    foreign = stored(tmp_path, b'{"name": "left-pad"}', "z.jsonl")
    read = snapshot.read([tmp_path])
    assert names(read) == "abc"
    assert str(foreign) in damage(read)[0]
    assert whole(read)


@pytest.mark.parametrize("argument", ["missing.jsonl", "empty"])
def test_what_is_not_there_is_said(tmp_path: Path, argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["scan", "--format", "json", "--snapshot", str(tmp_path / argument)]) == 2
    assert argument in capsys.readouterr().err


def test_the_message_of_a_file_name_that_commands_a_terminal_is_printable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["scan", "--format", "json", "--snapshot", str(stored(tmp_path, b"", "a\x1b[31m\u202e.jsonl"))])
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_very_long_lines_and_many_keys_are_read(tmp_path: Path) -> None:
    body = {"id": f"{CLUSTERS}/c", **{f"key{number}": "x" * 1000 for number in range(3000)}}
    read = snapshot.read(
        [stored(tmp_path, snapshot.encode([*RECORDS[:-1], Resource(id=f"{CLUSTERS}/c", type=TYPE, body=body)]))]
    )
    assert names(read) == "abc"
    assert not damage(read)


def test_huge_numbers_are_kept(tmp_path: Path) -> None:
    huge = Resource(
        id=f"{CLUSTERS}/c", type=TYPE, body={"id": f"{CLUSTERS}/c", "a": 10**300, "b": -(2**70), "c": 1e300}
    )
    read = snapshot.read([stored(tmp_path, snapshot.encode([*RECORDS[:-1], huge]))])
    assert read.entries[-1].unpack() == huge


def test_times_of_several_headers_are_compared_as_instants() -> None:
    later = Header(schema=SCHEMA, tool="t", started="2026-01-01T01:30:00+02:00", finished="2026-01-01T00:01:00-05:00")
    both = snapshot.of([HEADER, later])
    assert both.started == "2026-01-01T01:30:00+02:00"
    assert both.finished == "2026-01-01T00:01:00-05:00"


def bodies(*times: str | None) -> Snapshot:
    """One cluster, read at several times, with another body each time."""
    same = {"id": f"{CLUSTERS}/a", "type": TYPE}
    return snapshot.of([Resource(**same, body={"location": str(n)}, read=time) for n, time in enumerate(times)])


def test_the_newest_of_several_bodies_counts() -> None:
    estate = Estate(bodies("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"))
    assert [cluster.location for cluster in estate.every(ManagedCluster)] == ["0"]


@pytest.mark.parametrize(
    "times", [(None, None), ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), ("2026-01-01T00:00:00Z", None)]
)
def test_bodies_of_which_none_is_known_to_be_newer_contradict_each_other(times: tuple[str | None, str | None]) -> None:
    estate = Estate(bodies(*times))
    assert not estate.every(ManagedCluster)
    assert [missing.kind for missing in estate.gaps(ManagedCluster)] == ["contradictory"]


@pytest.mark.parametrize(
    ("about", "kind"),
    [(f"{CLUSTERS}/a", "Microsoft.Network/virtualNetworks"), (f"{CLUSTERS}/a</b>", ManagedCluster.TYPE)],
)
def test_a_type_that_is_not_the_ids_hides_no_cluster(about: str, kind: str) -> None:
    estate = Estate(snapshot.of([Resource(id=about, type=kind, body={})]))
    assert [(missing.what, missing.kind) for missing in estate.gaps(ManagedCluster)] == [(about, "contradictory")]


def test_a_damaged_line_leaves_unknown_findings_about_its_cluster(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = stored(tmp_path, with_last(good()[LINE][:-9]))
    assert main(["scan", "--format", "json", "--fail-on", "critical", "--snapshot", str(path)]) == 3
    report = json.loads(capfdbinary.readouterr().out)
    about = {finding["outcome"] for finding in report["findings"] if finding["resource"] == f"{CLUSTERS}/c"}
    assert about == {"unknown"}
    assert any(f"{path}:{LINE + 1}: " in missing["reason"] for missing in report["coverage"]["unread"])


def test_a_file_that_is_too_large_is_named_and_what_was_read_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.jsonl.gz"
    snapshot.write(path, [HEADER, snapshot.Listing(type="t", scope="/subscriptions/s")])
    whole = len(gzip.decompress(path.read_bytes()))
    monkeypatch.setattr(snapshot, "LARGEST_FILE", whole)
    assert not snapshot.read([path]).gaps
    monkeypatch.setattr(snapshot, "LARGEST_FILE", whole - 1)
    gaps = [gap.reason for gap, _ in snapshot.read([path]).gaps]
    assert any("is larger than" in reason for reason in gaps)
