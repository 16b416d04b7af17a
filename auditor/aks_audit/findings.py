"""The findings of an audit, however many there are.

Of a fleet there are hundreds of thousands, and what is asked of most of them is whose they are and how they came out.
So failures, which people act on, stay in memory as they are; of the others that does, and the rest lies as JSON in a
file without a name, which ends with the process.
"""

import os
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Any, TypeAlias, TypeVar, overload

import msgspec

from aks_audit.errors import AuditError
from aks_audit.results import Finding, Missing, Outcome

T = TypeVar("T")

MOST_IN_MEMORY = 20_000
"""How many findings are kept in memory whole."""

_WINDOW = 1 << 16

Told: TypeAlias = tuple[str, tuple[str, ...], Outcome]
"""The rule of a finding, the clusters that it concerns, and its outcome."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Finding)


class NoRoomError(AuditError):
    """The temporary file that findings are kept in cannot be written."""


class _File:
    """A file without a name, which ends with the last who holds it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="aks-audit-")  # noqa: SIM115 - open as long as it is held
        self.number = self._file.fileno()
        weakref.finalize(self, self._file.close)

    def write(self, pieces: Iterable[bytes]) -> None:
        """Write at its end.

        Raises:
            NoRoomError: there is no room.
        """
        try:
            self._file.writelines(pieces)
            self._file.flush()
        except OSError as problem:
            where = tempfile.gettempdir()
            told = f"{where}: findings cannot be kept there ({problem.strerror}); name a place with room by TMPDIR"
            raise NoRoomError(told) from None


class _Table:
    """What is asked of most findings, a row each as they came; those that are no failures are whole in its file."""

    def __init__(self) -> None:
        self.file = _File()
        self.rules: list[str] = []
        self.clusters: list[tuple[str, ...]] = []
        self.outcomes: list[Outcome] = []
        self.starts = array("Q", [0])
        self._same: dict[tuple[str, ...], tuple[str, ...]] = {}

    def add(self, findings: Iterable[Finding]) -> None:
        """Take in findings; failures are for others to keep."""
        pieces: list[bytes] = []
        end = self.starts[-1]
        for one in findings:
            self.rules.append(one.rule)
            self.clusters.append(self._same.setdefault(one.clusters, one.clusters))
            self.outcomes.append(one.outcome)
            if one.outcome is not Outcome.FAIL:
                pieces.append(_encoder.encode(one))
                end += len(pieces[-1])
            self.starts.append(end)
        self.file.write(pieces)


class Packed(Sequence[Finding]):
    """Findings of which those that are no failures lie in a file; `missing` is all that they lack, each once.

    They are rows of a table in some order, the failures by the numbers of their rows.
    """

    def __init__(
        self, table: _Table, order: Sequence[int], failures: Mapping[int, Finding], missing: Iterable[Missing]
    ) -> None:
        self._table, self._order, self._failures = table, order, failures
        self.missing = tuple(missing)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Finding]:
        read = _Window(self._table).read
        for row in self._order:
            yield self._failures.get(row) or _decoder.decode(read(row))

    @overload
    def __getitem__(self, place: int) -> Finding: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Finding]: ...
    def __getitem__(self, place: int | slice) -> Finding | Sequence[Finding]:
        if isinstance(place, slice):
            return Packed(self._table, self._order[place], self._failures, self.missing)
        (found,) = Packed(self._table, [self._order[place]], self._failures, ())
        return found

    def told(self) -> Iterator[Told]:
        """Whose each is, and how it came out."""
        table = self._table
        return ((table.rules[row], table.clusters[row], table.outcomes[row]) for row in self._order)

    def failed(self) -> Iterator[Finding]:
        """The failures."""
        return (self._failures[row] for row in self._order if row in self._failures)

    def encoded(self) -> Iterator[bytes]:
        """The JSON of each."""
        read = _Window(self._table).read
        for row in self._order:
            yield _encoder.encode(self._failures[row]) if row in self._failures else bytes(read(row))

    def with_failures(self, change: Callable[[Finding], Finding]) -> "Packed":
        """These, with each failure as `change` gives it."""
        changed = {row: change(self._failures[row]) for row in self._order if row in self._failures}
        return Packed(self._table, self._order, changed, self.missing)


class _Window:
    """A part of a file in memory, which moves on with what is read: findings are mostly read in the order of it."""

    def __init__(self, table: _Table) -> None:
        self._file, self._starts = table.file, table.starts
        self._start = 0
        self._held = memoryview(b"")

    def read(self, row: int) -> memoryview:
        """The JSON of a row."""
        start, end = self._starts[row], self._starts[row + 1]
        if not self._start <= start <= end <= self._start + len(self._held):
            self._start = start
            self._held = memoryview(os.pread(self._file.number, max(_WINDOW, end - start), start))
        return self._held[start - self._start : end - self._start]


class Packing:
    """Takes the findings of an audit in, rule by rule for one part of the estate after the other.

    They come out in the order of `rules`, by id, and then in that in which others came.

    Raises:
        NoRoomError: there is no room for the file.
    """

    def __init__(self, rules: Iterable[str] = ()) -> None:
        self._kept: list[Finding] = []
        self._rows: dict[str, array[int]] = {rule: array("L") for rule in rules}
        self._count = 0
        self._failures: dict[int, Finding] = {}
        self._missing: dict[Missing, None] = {}
        self._table: _Table | None = None

    def add(self, findings: Sequence[Finding]) -> None:
        """Take in the findings of a rule."""
        if not findings:
            return
        before, self._count = self._count, self._count + len(findings)
        self._rows.setdefault(findings[0].rule, array("L")).extend(range(before, self._count))
        if self._table is None:
            self._kept += findings
            if self._count <= MOST_IN_MEMORY:
                return
            self._table, before = _Table(), 0
            findings, self._kept = self._kept, []
        self._table.add(findings)
        for row, one in enumerate(findings, before):
            self._missing.update(dict.fromkeys(one.missing))
            if one.outcome is Outcome.FAIL:
                self._failures[row] = one

    def finish(self) -> Sequence[Finding]:
        """The findings, those of each rule as they came."""
        order = array("L", chain.from_iterable(self._rows.values()))
        if self._table is None:
            return tuple(self._kept[row] for row in order)
        return Packed(self._table, order, self._failures, self._missing)


def gathered(findings: Iterable[Finding]) -> Sequence[Finding]:
    """Findings that come in order, as one sequence.

    Raises:
        NoRoomError: as `Packing`.
    """
    packing = Packing()
    for _, of_rule in groupby(findings, key=lambda finding: finding.rule):
        packing.add(list(of_rule))
    return packing.finish()


def shared(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings in memory, in which what is the same in many of them is there once."""
    same: dict[Any, Any] = {}

    def once(value: T) -> T:
        known: T = same.setdefault(value, value)
        return known

    return tuple(
        msgspec.structs.replace(
            one,
            rule=once(one.rule),
            resource=once(one.resource),
            clusters=once(one.clusters),
            message=once(one.message),
            missing=once(one.missing),
            location=once(one.location),
            place=once(one.place),
        )
        for one in findings
    )


def told(findings: Sequence[Finding]) -> Iterator[Told]:
    """Whose findings are and how they came out, without reading the whole of each where that is in a file."""
    return findings.told() if isinstance(findings, Packed) else ((f.rule, f.clusters, f.outcome) for f in findings)


def encoded(findings: Sequence[Finding]) -> Iterator[bytes]:
    """The JSON of each finding."""
    return findings.encoded() if isinstance(findings, Packed) else map(_encoder.encode, findings)


def missing(findings: Sequence[Finding]) -> Iterable[Missing]:
    """All that findings lack; the same may come more than once."""
    return findings.missing if isinstance(findings, Packed) else (lost for one in findings for lost in one.missing)


def failed(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The failures among findings, without reading the others."""
    if isinstance(findings, Packed):
        return findings.failed()
    return (one for one in findings if one.outcome is Outcome.FAIL)


def with_failures(findings: Sequence[Finding], change: Callable[[Finding], Finding]) -> Sequence[Finding]:
    """The findings, with each failure as `change` gives it."""
    if isinstance(findings, Packed):
        return findings.with_failures(change)
    return tuple(change(one) if one.outcome is Outcome.FAIL else one for one in findings)
