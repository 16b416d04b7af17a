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
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

import msgspec

from aks_audit.results import Location, MissingKind

SCHEMA = "aks-audit/snapshot/1"

Body: TypeAlias = dict[str, Any]


class SnapshotError(Exception):
    """A file that cannot be used as a snapshot at all; the message names file, line and remedy."""


class Header(msgspec.Struct, frozen=True, tag_field="kind", tag="header"):
    """What was scanned, by which tool, from when to when (RFC 3339, None where it is not recorded)."""

    schema: str
    tool: str
    scope: tuple[str, ...] = ()
    started: str | None = None
    finished: str | None = None
    documents: int | None = None


class Listing(msgspec.Struct, frozen=True, tag_field="kind", tag="listing"):
    """All resources of `type` in `scope` (an ARM id of a subscription, group or resource) were listed."""

    type: str
    scope: str


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

_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_encoder = msgspec.json.Encoder(order="deterministic")


class Snapshot(msgspec.Struct, frozen=True):
    """Everything that was read, in canonical order; each record with the place it stands at."""

    headers: tuple[Header, ...]
    listings: tuple[Listing, ...]
    gaps: tuple[tuple[Gap, Location | None], ...]
    resources: tuple[tuple[Resource, Location | None], ...]

    @property
    def finished(self) -> str | None:
        """The end of the latest scan in the snapshot, or None where no time was recorded."""
        return max((header.finished for header in self.headers if header.finished), default=None)

    @property
    def started(self) -> str | None:
        """The start of the earliest scan in the snapshot, or None where no time was recorded."""
        return min((header.started for header in self.headers if header.started), default=None)


def read(paths: Sequence[Path]) -> Snapshot:
    """Read snapshot files, and every snapshot in the folders named, as one snapshot.

    A damaged line, a file cut off or a foreign file among snapshots becomes a gap that names file and line.

    Raises:
        SnapshotError: there is no such file, or not one usable snapshot among them.
    """
    files = list(_files(paths))
    read_files = [_read_file(file) for file in files]
    if not any(header for header, _ in read_files):
        raise SnapshotError(_unusable(read_files))
    placed = [record for _, records in read_files for record in records]
    return _assemble(placed)


def of(records: Iterable[Record]) -> Snapshot:
    """Make a snapshot of records that stand in no file."""
    return _assemble([(record, None) for record in records])


def encode(records: Iterable[Record]) -> bytes:
    """Encode records as a snapshot file in canonical order, with exact duplicates dropped.

    Headers are given the number of records that follow when they hold none.
    """
    unique = sorted(set(_encoder.encode(record) for record in records if not isinstance(record, Header)))
    ordered = sorted((_decoder.decode(line) for line in unique), key=_rank)
    headers = [
        msgspec.structs.replace(record, documents=len(unique)) if record.documents is None else record
        for record in records
        if isinstance(record, Header)
    ]
    return b"".join(_encoder.encode(record) + b"\n" for record in [*headers, *ordered])


def write(path: Path, records: Sequence[Record]) -> None:
    """Write a snapshot atomically, gzipped where the name ends in `.gz` (without a time, so it stays the same)."""
    data = encode(records)
    if path.suffix == ".gz":
        data = gzip.compress(data, compresslevel=6, mtime=0)
    write_atomically(path, data)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def lines(path: Path) -> Iterator[bytes]:
    """Give the lines of a plain or gzipped file.

    Raises:
        OSError, EOFError, zlib.error: the file cannot be read, or its compressed stream is damaged.
    """
    with path.open("rb") as probe:
        zipped = probe.read(2) == b"\x1f\x8b"
    opened: IO[bytes] = gzip.open(path, "rb") if zipped else path.open("rb")  # type: ignore[assignment]
    with opened as file:
        yield from file


def _files(paths: Sequence[Path]) -> Iterator[Path]:
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


_Placed: TypeAlias = tuple[Record, Location | None]


def _read_file(path: Path) -> tuple[bool, list[_Placed]]:
    """Read one file: whether it is a snapshot, and its records, damaged lines as gaps."""
    name = path.as_posix()
    records: list[Record] = []
    damaged: list[_Placed] = []
    number = 0
    try:
        for number, line in enumerate(lines(path), 1):
            if not line.strip():
                continue
            try:
                records.append(_decoder.decode(line))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                damaged.append(_damage(name, number, f"not a snapshot record: {error}", line))
    except (EOFError, zlib.error, OSError) as error:
        damaged.append(_damage(name, number + 1, f"the file cannot be read further: {error}"))
    headers = [record for record in records if isinstance(record, Header)]
    foreign = sorted({header.schema for header in headers if header.schema != SCHEMA})
    if foreign:
        reason = f"snapshot schema {', '.join(foreign)} is not {SCHEMA}; read it with the version that wrote it"
        return False, [_damage(name, 1, reason)]
    if not headers:
        return False, damaged or [_damage(name, 1, "no snapshot header")]
    expected = sum(header.documents or 0 for header in headers)
    found = len(records) - len(headers)
    if found < expected:
        reason = f"the snapshot is cut off: {found} of {expected} records are there; collect it again"
        damaged.append(_damage(name, number + 1, reason))
    ordered = sorted(records, key=_rank)
    placed: list[_Placed] = [(record, Location(file=name, line=n)) for n, record in enumerate(ordered, 1)]
    return True, placed + damaged


class _Named(msgspec.Struct):
    """What can be saved of a damaged record: which resource it was about."""

    id: str
    type: str = ""


def _damage(name: str, number: int, reason: str, line: bytes = b"") -> _Placed:
    where = Location(file=name, line=number)
    try:
        about = msgspec.json.decode(line, type=_Named)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        about = _Named(id=f"{name}:{number}")
    return Gap(id=about.id, type=about.type, reason=f"{name}:{number}: {reason}", cause="malformed"), where


def _unusable(read_files: Sequence[tuple[bool, list[_Placed]]]) -> str:
    reasons = [
        gap.reason for _, placed in read_files for gap, _ in placed[:1] if isinstance(gap, Gap)
    ]
    hint = "Plain Azure JSON (az aks show, az resource list, …) becomes a snapshot with: aks-audit snapshot import FILE -o SNAPSHOT"
    return "not a snapshot: " + "\n".join([*reasons[:5], hint])


def _rank(record: Record) -> tuple[int, str, bytes]:
    kind = _KINDS.index(type(record))
    key = record.id if isinstance(record, Resource | Gap) else ""
    return kind, key.lower(), _encoder.encode(record)


def _assemble(placed: Sequence[_Placed]) -> Snapshot:
    gaps: list[tuple[Gap, Location | None]] = []
    resources: list[tuple[Resource, Location | None]] = []
    headers: list[Header] = []
    listings: set[Listing] = set()
    for record, where in sorted(placed, key=lambda item: (_rank(item[0]), item[1] or Location(file="", line=0))):
        match record:
            case Header():
                headers.append(record)
            case Listing():
                listings.add(record)
            case Gap():
                gaps.append((record, where))
            case Resource():
                resources.append((record, where))
    return Snapshot(
        headers=tuple(headers),
        listings=tuple(sorted(listings, key=lambda listing: (listing.scope.lower(), listing.type.lower()))),
        gaps=tuple(gaps),
        resources=tuple(resources),
    )
