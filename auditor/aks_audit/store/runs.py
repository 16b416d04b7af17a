"""How runs are laid out in a store, and the manifest that makes a run one.

A run is the folder `<scope>/<run>`, that of a shard `<scope>/<run>/shards/<K>-of-<N>/<scan id>`. Its manifest is
written last: what has none was never finished, and is not there for readers.
"""

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from aks_audit.progress import one_line
from aks_audit.results import Record
from aks_audit.snapshot import instant
from aks_audit.store.store import LARGEST_NOTE, Entry, NotThereError, Store, StoreError, is_name

SCHEMA = "aks-audit/run/1"
MANIFEST = "run.json"
SNAPSHOT = "snapshot.jsonl.gz"
REPORT = "aks-audit.json.gz"
SHARDS = "shards"

LARGEST_REPORT = 2**34
LARGEST_LINE = 2**28
"""How many bytes a report, and a line of it, may have when unpacked: 10,000 clusters take some 4 GB."""

_SHARD = re.compile(r"([1-9]\d{0,4})-of-([1-9]\d{0,4})")


class StoredFile(Record, frozen=True):
    """A file of a run: its name in the run's folder, how many bytes it has, and their SHA-256 in hexadecimal digits."""

    name: str
    size: int
    sha256: str


class UnitedShard(Record, frozen=True):
    """A shard that a run was united from: `K/N`, and the scan id of the process that read it."""

    shard: str
    scan: str


class Manifest(Record, frozen=True):
    """What a run is: `scan` is the random id of the process that read, `shard` is `K/N` or null.

    `started` and `finished` are RFC 3339. `complete` is false where something in scope could not be read. `shards` are
    those that the run was united from, none where it was read by one process.
    """

    schema: str
    scope: str
    run: str
    scan: str
    shard: str | None
    tool: str
    started: str
    finished: str
    complete: bool
    exit_code: int
    files: tuple[StoredFile, ...]
    shards: tuple[UnitedShard, ...] = ()


class Place(NamedTuple):
    """Where a run stands. A shard's has also the shard, as `K/N`, and the scan id."""

    scope: str
    run: str
    shard: str | None = None
    scan: str = ""

    @property
    def folder(self) -> str:
        """The folder of the run in its store."""
        whole = f"{self.scope}/{self.run}"
        return f"{whole}/{SHARDS}/{self.shard.replace('/', '-of-')}/{self.scan}" if self.shard else whole


class Run(NamedTuple):
    """A finished run of a store."""

    place: Place
    manifest: Manifest

    @property
    def files(self) -> frozenset[str]:
        """The names of its files."""
        return frozenset(file.name for file in self.manifest.files)


Warn = Callable[[str], None]


def run_name(started: datetime) -> str:
    """The name of a run by its start. Names sort by time."""
    return started.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def is_scope_or_run(name: str) -> bool:
    """Whether a scope or a run can be called so: no `/`, and no `.` first, as what is being written has."""
    return is_name(name) and "/" not in name and not name.startswith(".") and name != SHARDS


class Draft:
    """A run that is being written. It is there for readers when `finish` has returned."""

    def __init__(self, store: Store, place: Place) -> None:
        self._store, self.place = store, place
        self._files: dict[str, StoredFile] = {}
        self._former: frozenset[str] = frozenset()
        self._begun = False

    @property
    def names(self) -> frozenset[str]:
        """The names of the files that were written."""
        return frozenset(self._files)

    def add(self, name: str, data: bytes) -> None:
        """Write a file of the run; a finished run of that name is no more, from its first file on."""
        if not self._begun:
            self._former, self._begun = self._unmade(), True
        self._store.put(f"{self.place.folder}/{name}", data)
        self._files[name] = StoredFile(name, len(data), hashlib.sha256(data).hexdigest())

    def finish(self, manifest: Manifest) -> Run:
        """Write the manifest, which is given the files that were written."""
        files = tuple(sorted(self._files.values(), key=lambda file: file.name))
        manifest = msgspec.structs.replace(manifest, files=files)
        data = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        self._store.put(f"{self.place.folder}/{MANIFEST}", data)
        for name in self._former - self._files.keys():
            self._store.delete(f"{self.place.folder}/{name}")
        return Run(self.place, manifest)

    def _unmade(self) -> frozenset[str]:
        """Take the manifest of a finished run of that name away, and give the names of its files."""
        try:
            former = _read(self._store, self.place, _nobody)
        except NotThereError:
            return frozenset()
        self._store.delete(f"{self.place.folder}/{MANIFEST}")
        return former.files if former else frozenset()


def scopes(store: Store) -> list[str]:
    """The scopes of a store that have a run."""
    return sorted({place.scope for place, _ in _manifests(store, "")})


def runs(store: Store, scope: str, warn: Warn) -> list[Run]:
    """The finished runs of a scope, but not those of shards, in order of their names, which is that of time."""
    return list(_whole(store, scope, warn, latest_first=False))


def shards(store: Store, scope: str, run: str, warn: Warn) -> list[Run]:
    """The finished runs of the shards of a run, in order of their ends; a shard may be there more than once."""
    there = _manifests(store, f"{scope}/{run}/{SHARDS}")
    found = [usable(store, place, entry, warn) for place, entry in there]
    return sorted(filter(None, found), key=lambda run: (run.manifest.finished, run.manifest.scan))


def last_sharded(store: Store, scope: str) -> str | None:
    """The name of the last run of a scope of which some shard has ended."""
    return max((place.run for place, _ in _manifests(store, scope) if place.shard), default=None)


def at(store: Store, place: Place, warn: Warn) -> Run | None:
    """The finished run of a place, None where there is none that can be used."""
    try:
        return _read(store, place, warn)
    except NotThereError:
        return None


def complete(store: Store, scope: str, before: str | None, warn: Warn) -> Iterator[Run]:
    """The complete runs of a scope that have a report, the last first; only those before the one of that name."""
    for run in _whole(store, scope, warn, latest_first=True):
        earlier = before is None or run.place.run < before
        if earlier and run.manifest.complete and REPORT in run.files:
            yield run


def last_complete(store: Store, scope: str, before: str | None, warn: Warn) -> Run | None:
    """The last complete run of a scope with a report; only of those before the one of that name."""
    return next(complete(store, scope, before, warn), None)


def fetch(store: Store, run: Run, name: str) -> bytes:
    """Read a file of a run.

    Raises:
        StoreError: it is not there, or is not what was written.
    """
    told = next((file for file in run.manifest.files if file.name == name), None)
    path = f"{run.place.folder}/{name}"
    if told is None:
        raise NotThereError(f"{store.place}: the run {run.place.folder} has no {name}")
    data = store.fetch(path).data
    if len(data) != told.size or hashlib.sha256(data).hexdigest() != told.sha256:
        raise StoreError(f"{store.place}: {path} is not what was written; delete that run, or bring the file back")
    return data


def lines(data: bytes, path: str) -> Iterator[bytes]:
    """The lines of a gzipped report, which may be larger than the memory.

    Raises:
        StoreError: it is damaged, larger than `LARGEST_REPORT`, or has a line that is larger than `LARGEST_LINE`.
    """
    left = LARGEST_REPORT
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as unpacker:
        try:
            while line := unpacker.readline(min(left, LARGEST_LINE) + 1):
                left -= len(line)
                if left < 0 or len(line) > LARGEST_LINE:
                    raise StoreError(f"{path}: is larger than a report can be; delete that run")
                yield line
        except (OSError, EOFError, zlib.error) as problem:
            raise StoreError(f"{path}: is damaged ({problem}); delete that run, or bring the file back") from None


def place_of(folder: str) -> Place | None:
    """The place that a folder is, None where it is none of a run."""
    match folder.split("/"):
        case [scope, run] if is_scope_or_run(scope) and is_scope_or_run(run):
            return Place(scope, run)
        case [scope, run, "shards", shard, scan] if is_scope_or_run(scope) and is_scope_or_run(run):
            found = _SHARD.fullmatch(shard)
            return Place(scope, run, f"{found[1]}/{found[2]}", scan) if found and is_scope_or_run(scan) else None
        case _:
            return None


def _manifests(store: Store, folder: str) -> Iterator[tuple[Place, Entry]]:
    """The manifests beneath a folder, unread."""
    for entry in store.list(folder):
        above, _, name = entry.name.rpartition("/")
        if name == MANIFEST and (place := place_of(above)):
            yield place, entry


def _whole(store: Store, scope: str, warn: Warn, *, latest_first: bool) -> Iterator[Run]:
    """The usable runs of a scope but for shards; each is read when it is its turn."""
    there = [(place, entry) for place, entry in _manifests(store, scope) if place.shard is None]
    for place, entry in sorted(there, reverse=latest_first):
        if run := usable(store, place, entry, warn):
            yield run


def usable(store: Store, place: Place, entry: Entry, warn: Warn) -> Run | None:
    """The run of a place whose manifest is that file; None, and it is said, where it is unusable."""
    if entry.size > LARGEST_NOTE:
        warn(f"{store.place}: {entry.name} is passed over; it has {entry.size:,} bytes, and is no manifest of a run")
        return None
    try:
        return _read(store, place, warn)
    except NotThereError:
        return None  # it went meanwhile


def _read(store: Store, place: Place, warn: Warn) -> Run | None:
    """The run of a place; None, and it is said, where its manifest is unusable.

    Raises:
        NotThereError: it has no manifest.
    """
    path = f"{place.folder}/{MANIFEST}"
    try:
        manifest = msgspec.json.decode(store.fetch(path, LARGEST_NOTE).data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        warn(f"{store.place}: {path} is passed over; it is damaged ({one_line(str(problem))})")
        return None
    if wrong := _wrong(manifest, place):
        warn(f"{store.place}: {path} is passed over; {one_line(wrong)}")
        return None
    return Run(place, manifest)


def _wrong(manifest: Manifest, place: Place) -> str | None:
    """What is wrong about the manifest of a place: it must not tell of another, nor lead out of its folder."""
    if manifest.schema != SCHEMA:
        return f"it is of schema {manifest.schema!r}, this is {SCHEMA!r}; renew aks-audit"
    if (manifest.scope, manifest.run, manifest.shard) != place[:3] or place.scan not in {"", manifest.scan}:
        return "it is the manifest of another run"
    if not (_is_time(manifest.started) and _is_time(manifest.finished)):
        return "its times are none"
    if strange := next((file.name for file in manifest.files if not is_name(file.name) or "/" in file.name), None):
        return f"it names a file {strange!r}"
    return None


def _is_time(text: str) -> bool:
    try:
        instant(text).astimezone(UTC)
    except (ValueError, OverflowError):  # within a day of the end of time
        return False
    return True


def _nobody(_: str) -> None:
    """Say nothing."""
