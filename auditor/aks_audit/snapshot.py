"""The record of a scan: raw documents, what was listed whole, and what could not be read.

A snapshot is JSON Lines, UTF-8, optionally gzipped. Each line is one of four records, told apart by `kind`:

- `header`: schema and tool version, scope, start and end, and how many records follow.
- `listing`: every resource of one type in one scope was listed, to the last page. Only where a listing
  stands is a resource that is not in the snapshot known to be absent.
- `gap`: a call that did not succeed, in Azure's own words.
- `resource`: a resource as on the wire.

Canonical order is by kind as above, then by id without case, then by bytes, so that the same state gives the same
file, and files can be concatenated, shuffled and compressed. Line numbers count that order.
"""

import gzip
import os
import re
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

import msgspec

from aks_audit.errors import AuditError
from aks_audit.results import Index, Location, MissingKind

SCHEMA = "aks-audit/snapshot/1"

GRAPH: Index = "graph"
"""The source of a resource that was read from Azure Resource Graph, which may lag behind the resource itself."""

LARGEST_FILE = 2**31
"""How many bytes a file may have when unpacked: some 250,000 clusters."""

DEEPEST = 100
"""How deep JSON may be nested; Azure's bodies stay under 20. Deeper ones exhaust the stack of whoever walks them."""

Body: TypeAlias = dict[str, Any]


class SnapshotError(AuditError):
    """A file that cannot be used as a snapshot at all; the message names file, line and remedy."""


class Shard(msgspec.Struct, frozen=True):
    """Which share of a fleet a snapshot holds: the `number`th, from 1, `of` so many.

    `seen` are the ids of all subscriptions that were in scope, those of other shares too; `asked` what all shards were
    asked alike, in words that compare.
    """

    number: int
    of: int
    seen: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


class Header(msgspec.Struct, frozen=True, tag_field="kind", tag="header"):
    """What was scanned, by which tool, from when to when (RFC 3339, None where it is not recorded).

    `narrowed` tells what alone was asked for of the scope, as `cluster=NAME`, and is not there where all of it was.
    Nor is `shard`, where the snapshot is no share of a fleet.
    """

    schema: str
    tool: str
    scope: tuple[str, ...] = ()
    started: str | None = None
    finished: str | None = None
    documents: int | None = None
    narrowed: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    shard: Shard | msgspec.UnsetType = msgspec.UNSET


class Listing(msgspec.Struct, frozen=True, tag_field="kind", tag="listing", omit_defaults=True):
    """All resources of `type` in `scope` (an ARM id of a subscription, group or resource) were listed.

    Where it is not `served`, there are none because the API server of the cluster does not know the type.
    """

    type: str
    scope: str
    served: bool = True


class Gap(msgspec.Struct, frozen=True, tag_field="kind", tag="gap", omit_defaults=True):
    """Something that could not be read.

    `id` is the resource or scope that the call was about; `type` the resource type that was asked for.
    """

    id: str
    reason: str
    type: str = ""
    cause: MissingKind = "refused"
    status: int | None = None
    action: str | None = None
    scope: str | None = None


class Resource(msgspec.Struct, frozen=True, tag_field="kind", tag="resource", omit_defaults=True):
    """A resource as on the wire, with its ARM id and type, its source and its time of reading (RFC 3339)."""

    id: str
    type: str
    body: Body
    source: str = "azure"
    read: str | None = None


Record: TypeAlias = Header | Listing | Gap | Resource


_KINDS = (Header, Listing, Gap, Resource)
_RESOURCE = _KINDS.index(Resource)


class Packed(msgspec.Struct, frozen=True, gc=False):
    """A resource as its line of a snapshot, which takes a tenth of the memory of its body: there may be many."""

    id: str
    type: str
    source: str
    read: str | None
    line: bytes

    def unpack(self) -> Resource:
        """The resource; its body is made anew for each who asks."""
        return _resource_decoder.decode(self.line)


Collected: TypeAlias = Record | Packed

_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_resource_decoder = msgspec.json.Decoder(Resource)
_encoder = msgspec.json.Encoder(order="deterministic")


class Entry:
    """A resource of a snapshot and its place; its body stays JSON, a tenth of the size, until it is asked for."""

    __slots__ = ("_held", "location")

    def __init__(self, held: Resource | Packed, location: Location | None) -> None:
        self._held = held
        self.location = location

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entry):
            return NotImplemented
        return self.location == other.location and self.unpack() == other.unpack()

    def __hash__(self) -> int:
        return hash((self.id, self.location))

    @property
    def id(self) -> str:
        """As in `Resource`."""
        return self._held.id

    @property
    def type(self) -> str:
        """As in `Resource`."""
        return self._held.type

    @property
    def source(self) -> str:
        """As in `Resource`."""
        return self._held.source

    @property
    def read(self) -> str | None:
        """As in `Resource`."""
        return self._held.read

    def unpack(self) -> Resource:
        """The resource."""
        return self._held.unpack() if isinstance(self._held, Packed) else self._held


class Snapshot(msgspec.Struct, frozen=True):
    """Everything that was read, in canonical order; each record with the place it stands at."""

    headers: tuple[Header, ...]
    listings: tuple[Listing, ...]
    gaps: tuple[tuple[Gap, Location | None], ...]
    entries: tuple[Entry, ...]

    @property
    def resources(self) -> Iterator[tuple[Resource, Location | None]]:
        """The resources, each made as it is asked for."""
        return ((entry.unpack(), entry.location) for entry in self.entries)

    @property
    def finished(self) -> str | None:
        """The end of the latest scan in the snapshot, or None where no time was recorded."""
        return max((header.finished for header in self.headers if header.finished), key=instant, default=None)

    @property
    def started(self) -> str | None:
        """The start of the earliest scan in the snapshot, or None where no time was recorded."""
        return min((header.started for header in self.headers if header.started), key=instant, default=None)


def read(paths: Sequence[Path]) -> Snapshot:
    """Read snapshot files, and every snapshot in the folders named, as one snapshot.

    A damaged line, a file cut off or a foreign file among snapshots becomes a gap that names file and line.

    Raises:
        SnapshotError: there is no such file, or not one usable snapshot among them.
    """
    files = list(files_of(paths))
    read_files = [_read_file(file) for file in files]
    if not any(file.usable for file in read_files):
        raise SnapshotError(_unusable(read_files))
    return _assemble([placed for file in read_files for placed in (*file.records, *file.damage)])


def pack(resource: Resource) -> Packed:
    """Encode a resource at once."""
    return packed(resource, _encoder.encode(resource))


def packed(resource: Resource, line: bytes) -> Packed:
    """A resource as the line that was read of it."""
    return Packed(resource.id, resource.type, resource.source, resource.read, line)


def of(records: Iterable[Collected], file: Path | None = None) -> Snapshot:
    """Make a snapshot of records: of those that `write` wrote to `file`, as `read` does; else without lines."""
    if file is None:
        return _assemble([(record, None) for record in records])
    ordered = enumerate(_canonical(records).values(), 1)
    return _assemble([(record, Location(file=file.as_posix(), line=number)) for number, record in ordered])


def encode(records: Iterable[Collected]) -> bytes:
    """Encode records as a snapshot file in canonical order, with exact duplicates dropped.

    Headers are given the number of records that follow when they hold none.
    """
    return b"".join(rank[-1] + b"\n" for rank in _canonical(records))


def write(path: Path, records: Sequence[Collected]) -> None:
    """Write a snapshot atomically, gzipped where the name ends in `.gz` (without a time, so it stays the same)."""
    data = encode(records)
    if path.suffix == ".gz":
        data = gzip.compress(data, compresslevel=6, mtime=0)
    write_atomically(path, data)


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, never a part.

    Raises:
        SnapshotError: it cannot be written there.
    """
    try:
        _replace(path, data)
    except OSError as problem:
        reason = problem.strerror or problem
        raise SnapshotError(f"{path}: cannot be written ({reason}); make room or name another place") from None


def _replace(path: Path, data: bytes | Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())  # else a machine that loses its power may keep the name and not the bytes
        with suppress(PermissionError):  # on a share of SMB every file is its mount's, and nobody's to change
            Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def lines(path: Path) -> Iterator[bytes]:
    """Give the lines of a plain or gzipped file, which may be a pipe.

    Raises:
        OSError, EOFError, zlib.error: the file cannot be read, its compressed stream is damaged, or it is larger than
            `LARGEST_FILE` (unpacked).
    """
    with path.open("rb") as file:
        unpacked = gzip.GzipFile(fileobj=file) if file.peek(2).startswith(b"\x1f\x8b") else file
        left = LARGEST_FILE
        while line := unpacked.readline(left + 1):
            left -= len(line)
            if left < 0:
                raise OSError(f"it is larger than {LARGEST_FILE:,} bytes; split it")
            yield line


def decode(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Decode one JSON document of unknown shape.

    Raises:
        ValueError: it is not JSON, or is nested deeper than `DEEPEST`.
    """
    try:
        value = msgspec.json.decode(data)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    if _too_deep(data, value):
        raise ValueError(_TOO_DEEP)
    return value


def is_id(text: str) -> bool:
    """Whether a text begins like an ARM id; ids of diagnostic settings of a subscription lack the first slash."""
    return text.startswith("/") or text.lower().startswith("subscriptions/")


_TOO_DEEP = f"nested deeper than {DEEPEST} levels"


def _too_deep(data: bytes, value: object) -> bool:
    # Counting brackets is cheap, and settles the matter for nearly every document.
    if data.count(b"{") + data.count(b"[") <= DEEPEST:
        return False
    level: list[Any] = [value] if isinstance(value, (dict, list)) else []
    for _ in range(DEEPEST):
        parts = (part for item in level for part in (item.values() if isinstance(item, dict) else item))
        level = [part for part in parts if isinstance(part, (dict, list))]
        if not level:
            return False
    return True


def files_of(paths: Sequence[Path]) -> Iterator[Path]:
    """The files named, and every snapshot in the folders named.

    Raises:
        SnapshotError: there is no such file, or a folder holds no snapshot.
    """
    for path in paths:
        if path.is_dir():
            inside = sorted(
                file for file in path.rglob("*") if file.is_file() and file.name.endswith((".jsonl", ".jsonl.gz"))
            )
            if not inside:
                raise SnapshotError(f"{path}: the folder holds no snapshot (*.jsonl, *.jsonl.gz)")
            yield from inside
        elif path.exists():
            yield path
        else:
            raise SnapshotError(f"{path}: no such file; make one with: aks-audit snapshot import FILE -o {path}")


_Placed: TypeAlias = tuple[Collected, Location | None]


_Damage: TypeAlias = tuple[Gap, Location]


class _ReadFile(NamedTuple):
    """What one file held. Where it is not usable, the first damage says why."""

    usable: bool
    records: list[_Placed]
    damage: list[_Damage]


def _read_file(path: Path) -> _ReadFile:
    """Read one file: its records in canonical order, and what was damaged as gaps."""
    name = path.as_posix()
    records, damage = _decode_lines(path, name)
    headers = [record for record in records if isinstance(record, Header)]
    if reason := _foreign(headers, records, damage):
        return _ReadFile(usable=False, records=[], damage=[_damage(name, 1, reason)])
    expected = sum(header.documents or 0 for header in headers)
    found = len(records) - len(headers) + len(damage)
    if found < expected:
        reason = f"the snapshot is cut off: {found} of {expected} records are there; collect it again"
        damage.append(_damage(name, len(records) + len(damage) + 1, reason))
    ordered = [record for _, record in sorted(_ranked(records), key=itemgetter(0))]
    placed: list[_Placed] = [(record, Location(file=name, line=n)) for n, record in enumerate(ordered, 1)]
    if any(not gap.id.startswith("/subscriptions/") for gap, _ in damage):
        # What was lost can be of any type in any scope, so no listing of this file is known to be whole any more.
        placed = [(record, where) for record, where in placed if not isinstance(record, Listing)]
    return _ReadFile(usable=True, records=placed, damage=damage)


def _decode_lines(path: Path, name: str) -> tuple[list[Collected], list[_Damage]]:
    records: list[Collected] = []
    damage: list[_Damage] = []
    number = 0
    try:
        for number, line in enumerate(lines(path), 1):
            try:
                if line.strip():
                    records.append(_record(line))
            except ValueError as problem:
                damage.append(_damage(name, number, str(problem), line))
    except (EOFError, zlib.error, OSError) as problem:
        damage.append(_damage(name, number + 1, f"the file cannot be read further: {problem}"))
    return records, damage


def _foreign(headers: Sequence[Header], records: Sequence[Collected], damage: Sequence[_Damage]) -> str | None:
    """Why a file is no snapshot that this version can use."""
    schemas = sorted({header.schema for header in headers if header.schema != SCHEMA})
    if schemas:
        return f"snapshot schema {', '.join(schemas)} is not {SCHEMA}; read it with the version that wrote it"
    if headers:
        return None
    if damage:
        return f"no snapshot header ({damage[0][0].reason})"
    return "no snapshot header" if records else "the file is empty"


def _record(line: bytes) -> Collected:
    """Decode one line; a resource stays packed.

    Raises:
        ValueError: it is not a record, or holds what no record can hold.
    """
    try:
        record = _decoder.decode(line)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a snapshot record: {error}") from None
    match record:
        case Header():
            times = [record.started, record.finished]
        case Resource():
            times = [record.read]
            if record.source in {"azure", GRAPH} and not is_id(record.id):
                raise ValueError(f"{record.id!r} is not an Azure resource id")
            if _too_deep(line, record.body):
                raise ValueError(_TOO_DEEP)
        case _:
            times = []
    for time in times:
        if time is not None:
            instant(time)
    return packed(record, line) if isinstance(record, Resource) else record


def instant(time: str) -> datetime:
    """The instant of an RFC 3339 time.

    Raises:
        ValueError: it is none.
    """
    try:
        return msgspec.convert(time, _Instant)
    except msgspec.ValidationError:
        raise ValueError(f"{time!r} is not an RFC 3339 time with an offset") from None


_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class _Named(msgspec.Struct):
    """What can be saved of a damaged record: which resource it was about."""

    id: str


# Only the way aks-audit writes a record puts its own id first; elsewhere the first id may be that of something inside.
_CUT_OFF = re.compile(rb'\{"kind":"(?:resource|gap)","id":("[^"\\]+")')


def _damage(name: str, number: int, reason: str, line: bytes = b"") -> _Damage:
    where = Location(file=name, line=number)
    return Gap(id=_saved_id(line) or f"{name}:{number}", reason=f"{name}:{number}: {reason}", cause="malformed"), where


def _saved_id(line: bytes) -> str | None:
    start = _CUT_OFF.match(line)
    for attempt in (line, b'{"id":' + start[1] + b"}" if start else b""):
        try:
            found = msgspec.json.decode(attempt, type=_Named).id
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        return found if found.startswith("/") else None
    return None


def _unusable(read_files: Sequence[_ReadFile]) -> str:
    reasons = [gap.reason for file in read_files for gap, _ in file.damage[:1]]
    more = [f"… and {len(reasons) - 5} more files"] if len(reasons) > 5 else []  # noqa: PLR2004 - enough to see
    hint = "make a snapshot of plain Azure JSON (az aks show, …) with: aks-audit snapshot import FILE -o SNAPSHOT"
    return "not a snapshot: " + "\n".join([*reasons[:5], *more, hint])


_Rank: TypeAlias = tuple[int, str, bytes]


def _canonical(records: Iterable[Collected]) -> dict[_Rank, Collected]:
    """The records of a file, by their ranks and in that order; headers with the number of records that follow."""
    ranked = {_rank(record): record for record in records}
    follow = sum(not isinstance(record, Header) for record in ranked.values())
    for rank, record in list(ranked.items()):
        if isinstance(record, Header) and record.documents is None:
            del ranked[rank]
            counted = msgspec.structs.replace(record, documents=follow)
            ranked[_rank(counted)] = counted
    return {rank: ranked[rank] for rank in sorted(ranked)}


def _rank(record: Collected) -> _Rank:
    if isinstance(record, Packed):
        return _RESOURCE, record.id.lower(), record.line
    kind = _KINDS.index(type(record))
    key = record.id if isinstance(record, Resource | Gap) else ""
    return kind, key.lower(), _encoder.encode(record)


def _ranked(records: Sequence[Collected]) -> list[tuple[_Rank, Collected]]:
    """Records with their ranks. How a resource is written counts only beside another with the same id."""
    ids = Counter(record.id.lower() for record in records if isinstance(record, (Resource, Packed)))
    ranked: list[tuple[_Rank, Collected]] = []
    for record in records:
        if not isinstance(record, (Resource, Packed)):
            ranked.append((_rank(record), record))
        elif ids[record.id.lower()] == 1:
            ranked.append(((_RESOURCE, record.id.lower(), b""), record))
        else:
            ranked.append((_rank(record.unpack() if isinstance(record, Packed) else record), record))
    return ranked


def _assemble(placed: Sequence[_Placed]) -> Snapshot:
    gaps: list[tuple[Gap, Location | None]] = []
    entries: list[Entry] = []
    headers: list[Header] = []
    listings: set[Listing] = set()
    nowhere = Location(file="", line=0)
    ranks = _ranked([record for record, _ in placed])
    both = zip(ranks, placed, strict=True)
    ranked = [(rank, where or nowhere, (record, where)) for (rank, _), (record, where) in both]
    unique = {rank: one for rank, _, one in sorted(ranked, key=itemgetter(0, 1), reverse=True)}
    for record, where in reversed(unique.values()):
        match record:
            case Header():
                headers.append(record)
            case Listing():
                listings.add(record)
            case Gap():
                gaps.append((record, where))
            case Resource() | Packed():
                entries.append(Entry(record, where))
    return Snapshot(
        headers=tuple(headers),
        listings=tuple(sorted(listings, key=lambda listing: (listing.scope.lower(), listing.type.lower()))),
        gaps=tuple(gaps),
        entries=tuple(entries),
    )
