"""The journal of a collection: what of it is taken, and what happens where it is damaged or cannot be kept."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aks_audit.progress import Progress
from aks_audit.snapshot import Collected, Gap, Listing, Packed, Resource, encode, pack
from aks_audit.sources.journal import CollectingError, Journal, JournalFile, begin, key_of
from aks_audit.store.directory import DirectoryStore
from aks_audit.store.journal import StoredJournal
from aks_audit.store.store import StoreError
from jobs import lines_of

CLOUD = "https://management.example"
NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
KEY = key_of("Microsoft.Network/routeTables", "/subscriptions/1")
VMSS = Resource(id="/subscriptions/1/x", type="X", body={"id": "/subscriptions/1/x", "n": 1.5, "t": "ä\n"}, read="2026")
RECORDS: list[Collected] = [VMSS, Listing(type="X", scope="/subscriptions/1")]


class Kept:
    """Lines in memory; `full` where no more are taken."""

    place = "memory"

    def __init__(self, *lines: bytes, full: bool = False) -> None:
        self.kept, self.full = list(lines), full

    def lines(self) -> Iterator[bytes]:
        """The lines."""
        return iter(list(self.kept))

    def append(self, line: bytes) -> None:
        """Keep a line."""
        if self.full:
            raise OSError(28, "No space left on device")
        self.kept.append(line)

    def clear(self) -> None:
        """Forget them."""
        self.kept.clear()

    def close(self) -> None:
        """Nothing."""


def journal(kept: Kept, *, hours: float | None = 1, cloud: str = CLOUD, at: datetime = NOW) -> Journal:
    oldest = None if hours is None else timedelta(hours=hours)
    return Journal(kept, cloud, Progress(form="json"), oldest, lambda: at)


def filled(at: datetime = NOW) -> Kept:
    kept = Kept()
    journal(kept).add(KEY, at, RECORDS)
    return kept


def test_what_is_fresh_is_taken_once_and_is_what_was_read() -> None:
    second = journal(filled(), at=NOW + timedelta(minutes=59))
    taken = second.take(KEY)
    assert taken is not None
    assert encode(taken) == encode(RECORDS)
    assert second.take(KEY) is None
    assert second.since == "2026-11-22T02:00:00Z"


def test_what_was_packed_is_packed_again_to_the_same_bytes() -> None:
    kept = Kept()
    journal(kept).add(KEY, NOW, [pack(VMSS), RECORDS[1]])
    taken = journal(kept).take_packed(KEY)
    assert taken is not None
    assert taken == [pack(VMSS), RECORDS[1]]
    assert isinstance(taken[0], Packed)


@pytest.mark.parametrize("minutes", [61, -1, 60 * 24 * 365, -60 * 24 * 365])
def test_what_is_too_old_or_of_the_future_is_read_again(minutes: int) -> None:
    kept = filled()
    assert journal(kept, at=NOW + timedelta(minutes=minutes)).take(KEY) is None
    assert not kept.kept


def test_of_two_reads_the_later_counts() -> None:
    kept = filled(NOW - timedelta(minutes=5))
    later: list[Collected] = [Listing(type="X", scope="/subscriptions/1")]
    journal(kept).add(KEY, NOW, later)
    kept.kept.reverse()
    assert journal(kept).take(KEY) == later


def test_another_cloud_another_version_and_no_age_take_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert journal(filled(), cloud="https://elsewhere.example").take(KEY) is None
    assert journal(filled(), hours=None).take(KEY) is None
    kept = filled()
    monkeypatch.setattr("aks_audit.sources.journal.__version__", "99")
    assert journal(kept).take(KEY) is None


def test_what_has_a_gap_is_not_kept_unless_nobody_asked_for_it() -> None:
    kept = Kept()
    first = journal(kept)
    for lost in (Gap(id="/x", reason="no"), Gap(id="/x", reason="no", cause="not-read")):
        first.add(KEY, NOW, [*RECORDS, lost])
    assert not kept.kept
    first.add(KEY, NOW, [*RECORDS, Gap(id="/x", reason="no", cause="not-asked")])
    assert len(kept.kept) == 1


DAMAGE = [
    b"",
    b"\n",
    b"\xff\xfe\n",
    b"{}\n",
    b"[" * 100_000 + b"\n",
    b'{"by": "x", "key": "y", "read": "yesterday", "records": []}\n',
    b"\x1f\x8b\x08garbage\n",
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_lines_are_passed_over_and_lose_no_other(damage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.partial"
    path.write_bytes(damage + filled().kept[0] + damage + b'{"by": "cut o')
    again = Journal(JournalFile(path), CLOUD, Progress(quiet=True), timedelta(hours=1), lambda: NOW)
    assert again.take(KEY) == RECORDS
    again.add("other", NOW, RECORDS)
    again.end(complete=False)
    assert json.loads(path.read_bytes().splitlines()[-1])["key"] == "other"


@pytest.mark.parametrize("record", ["1", '{"kind": "gap"}', '{"kind": "header"}', "[" * 90 + "]" * 90])
def test_a_read_with_a_record_that_is_none_is_made_again(record: str) -> None:
    line = filled().kept[0].replace(b'"records":[', b'"records":[' + record.encode() + b",")
    damaged = journal(Kept(line))
    assert damaged.take(KEY) is None
    assert damaged.since is None


def test_where_the_disk_is_full_reading_goes_on_without_a_journal(capsys: pytest.CaptureFixture[str]) -> None:
    kept = Kept(full=True)
    full = journal(kept)
    for _ in range(3):
        full.add(KEY, NOW, RECORDS)
    full.end(complete=False)
    (warning,) = lines_of(capsys.readouterr().err)
    assert warning["level"] == "warning"
    assert "no journal is kept from here on" in warning["message"]
    assert "No space left on device" in warning["message"]


def test_one_process_alone_has_the_file(tmp_path: Path) -> None:
    first = begin(tmp_path / "estate.jsonl", CLOUD, Progress(quiet=True), None)
    with pytest.raises(CollectingError, match=r"estate\.jsonl: another aks-audit is collecting into it"):
        begin(tmp_path / "estate.jsonl", CLOUD, Progress(quiet=True), None)
    first.end(complete=True)
    assert not list(tmp_path.iterdir())
    begin(tmp_path / "estate.jsonl", CLOUD, Progress(quiet=True), None).end(complete=False)
    assert not list(tmp_path.iterdir())


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    begin(tmp_path / "estate.jsonl", CLOUD, Progress(quiet=True), None)
    assert (tmp_path / "estate.jsonl.partial").stat().st_mode & 0o777 == 0o600


def stored(folder: Path, shard: str | None = None) -> Journal:
    kept = StoredJournal(DirectoryStore(folder), "prod", shard, Progress(quiet=True))
    return Journal(kept, CLOUD, Progress(quiet=True), timedelta(hours=1), lambda: NOW)


def test_a_store_keeps_what_was_read_until_it_is_complete(tmp_path: Path) -> None:
    first = stored(tmp_path)
    first.add(KEY, NOW, RECORDS)
    first.end(complete=False)
    assert stored(tmp_path, "1/2").take(KEY) is None
    second = stored(tmp_path)
    assert second.take(KEY) == RECORDS
    second.add("other", NOW, RECORDS)
    second.end(complete=False)
    third = stored(tmp_path)
    assert (third.take(KEY), third.take("other")) == (RECORDS, RECORDS)
    third.end(complete=True)
    assert not list(tmp_path.rglob("*.jsonl"))


def test_a_large_piece_is_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aks_audit.store.journal.LARGEST_PIECE", 1)
    written = threading.Event()
    put = DirectoryStore.put

    def told(store: DirectoryStore, name: str, data: bytes) -> None:
        put(store, name, data)
        written.set()

    monkeypatch.setattr(DirectoryStore, "put", told)
    first = stored(tmp_path)
    first.add(KEY, NOW, RECORDS)
    assert written.wait(120)
    first.end(complete=False)


def test_a_store_that_takes_no_piece_ends_the_journal_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: object) -> None:
        raise StoreError("the store is away")

    monkeypatch.setattr(DirectoryStore, "put", away)
    kept = StoredJournal(DirectoryStore(tmp_path), "prod", None, Progress(quiet=True))
    full = Journal(kept, CLOUD, Progress(form="json"), None, lambda: NOW)
    full.add(KEY, NOW, RECORDS)
    full.end(complete=False)
    assert "the store is away" in lines_of(capsys.readouterr().err)[0]["message"]
