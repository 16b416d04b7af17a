"""The lock and the journal of a scope in a container of Azure Blob Storage."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import live
from aks_audit.progress import Progress
from aks_audit.snapshot import Collected, Listing
from aks_audit.sources.journal import Journal
from aks_audit.store.blob import BlobStore, blob_store
from aks_audit.store.journal import StoredJournal
from aks_audit.store.lock import LOOKS, Lock, LockedError
from blob_service import BlobService, serving

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
RECORDS: list[Collected] = [Listing(type="X", scope="/subscriptions/1")]


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobService]:
    with serving(live.TOKEN, tmp_path) as (service, ca_file):
        for name, value in live.environment(service.url, ca_file, tmp_path).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        yield service


@pytest.fixture
def store(service: BlobService) -> Iterator[BlobStore]:
    with blob_store(f"{service.url}/nightly", "cli", "AzureCloud", pytest.fail) as made:
        yield made


class Pauses:
    """Counts pauses, in each of which somebody may do something."""

    def __init__(self, holder: Lock | None = None) -> None:
        self.count, self._holder = 0, holder

    def pause(self, _seconds: float) -> None:
        """Let no time go by."""
        self.count += 1
        if self._holder:
            self._holder.renew()


def lock(store: BlobStore, pauses: Pauses) -> Lock:
    return Lock(store, "prod", "3/8", Progress(quiet=True), pause=pauses.pause, clock=lambda: 0)


def test_a_lock_is_held_given_up_and_taken_over(store: BlobStore, service: BlobService) -> None:
    holder = lock(store, Pauses())
    holder.acquire()
    assert [name for name in service.blobs if "lock" in name] == ["nightly/prod/.lock-3-of-8.json"]
    with pytest.raises(LockedError, match="shard 3/8 of scope prod is locked by scan"):
        lock(store, Pauses(holder)).acquire()
    pauses = Pauses()
    heir = lock(store, pauses)
    heir.acquire()
    assert pauses.count == LOOKS - 1
    assert not holder.renew()
    holder.release()
    assert heir.renew()
    heir.release()
    assert not [name for name in service.blobs if "lock" in name]


def test_what_was_read_is_kept_in_pieces_until_it_is_complete(store: BlobStore, service: BlobService) -> None:
    def journal() -> Journal:
        kept = StoredJournal(store, "prod", "3/8", Progress(quiet=True))
        return Journal(kept, "AzureCloud", Progress(quiet=True), timedelta(hours=1), lambda: NOW)

    first = journal()
    first.add("key", NOW, RECORDS)
    first.end(complete=False)
    (piece,) = service.blobs
    assert piece.startswith("nightly/prod/.journal/3-of-8/")
    second = journal()
    assert second.take("key") == RECORDS
    second.end(complete=True)
    assert not service.blobs
