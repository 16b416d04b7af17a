"""The findings of an audit, however many there are.

Of a fleet there are hundreds of thousands, and what is asked of most of them is whose they are and how they came out.
So failures, which people act on, stay in memory as they are; of the others a head does, and the rest lies as JSON in a
file without a name, which ends with the process.
"""

import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeAlias, overload

import msgspec

from aks_audit.errors import AuditError
from aks_audit.results import Finding, Missing, Outcome, Severity

MOST_IN_MEMORY = 20_000
"""How many findings are kept in memory whole."""

_WINDOW = 1 << 20

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Finding)


class NoRoomError(AuditError):
    """The temporary file that findings are kept in cannot be written."""


class Head(msgspec.Struct, frozen=True, gc=False):
    """Whose a finding is and how it came out, and from where to where the whole of it stands in the file."""

    rule: str
    clusters: tuple[str, ...]
    outcome: Outcome
    severity: Severity
    start: int
    end: int


_Item: TypeAlias = Head | Finding


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


class Packed(Sequence[Finding]):
    """Findings of which those that are no failures lie in a file; `missing` is all that they lack, each once."""

    def __init__(self, items: Sequence[_Item], file: _File, missing: Iterable[Missing]) -> None:
        self.items = items
        self.missing = tuple(missing)
        self._file = file

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Finding]:
        read = _Window(self._file).read
        for item in self.items:
            yield item if isinstance(item, Finding) else _decoder.decode(read(item.start, item.end))

    @overload
    def __getitem__(self, place: int) -> Finding: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Finding]: ...
    def __getitem__(self, place: int | slice) -> Finding | Sequence[Finding]:
        if isinstance(place, slice):
            return Packed(self.items[place], self._file, self.missing)
        (found,) = Packed([self.items[place]], self._file, ())
        return found

    def encoded(self) -> Iterator[bytes]:
        """The JSON of each."""
        read = _Window(self._file).read
        for item in self.items:
            yield _encoder.encode(item) if isinstance(item, Finding) else bytes(read(item.start, item.end))

    def with_failures(self, change: Callable[[Finding], Finding]) -> "Packed":
        """These, with each failure as `change` gives it."""
        items = [change(item) if isinstance(item, Finding) else item for item in self.items]
        return Packed(items, self._file, self.missing)


class _Window:
    """A part of a file in memory, which moves on with what is read: findings are mostly read in the order of it."""

    def __init__(self, file: _File) -> None:
        self._file = file
        self._start = 0
        self._held = memoryview(b"")

    def read(self, start: int, end: int) -> memoryview:
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
        self._of_rule: dict[str, list[_Item]] = {rule: [] for rule in rules}
        self._count = 0
        self._missing: dict[Missing, None] = {}
        self._file: _File | None = None
        self._end = 0

    def add(self, findings: Sequence[Finding]) -> None:
        """Take in the findings of a rule."""
        if not findings:
            return
        self._of_rule.setdefault(findings[0].rule, []).extend(
            self._packed(findings, self._file) if self._file else findings
        )
        self._count += len(findings)
        if self._file is None and self._count > MOST_IN_MEMORY:
            self._file = file = _File()
            self._of_rule = {
                rule: self._packed([item for item in items if isinstance(item, Finding)], file)
                for rule, items in self._of_rule.items()
            }

    def _packed(self, findings: Sequence[Finding], file: _File) -> list[_Item]:
        items: list[_Item] = []
        encoded: list[bytes] = []
        for one in findings:
            self._missing.update(dict.fromkeys(one.missing))
            if one.outcome is Outcome.FAIL:
                items.append(one)
                continue
            encoded.append(_encoder.encode(one))
            start, self._end = self._end, self._end + len(encoded[-1])
            items.append(Head(one.rule, one.clusters, one.outcome, one.severity, start, self._end))
        file.write(encoded)
        return items

    def finish(self) -> Sequence[Finding]:
        """The findings, those of each rule as they came."""
        items = [item for of_rule in self._of_rule.values() for item in of_rule]
        if self._file is None:
            return tuple(item for item in items if isinstance(item, Finding))
        return Packed(items, self._file, self._missing)


def gathered(findings: Iterable[Finding]) -> Sequence[Finding]:
    """Findings that come in order, as one sequence.

    Raises:
        NoRoomError: as `Packing`.
    """
    packing = Packing()
    for _, of_rule in groupby(findings, key=lambda finding: finding.rule):
        packing.add(list(of_rule))
    return packing.finish()


def heads(findings: Sequence[Finding]) -> Sequence[Head | Finding]:
    """Whose findings are and how they came out, without reading the whole of each where that is in a file."""
    return findings.items if isinstance(findings, Packed) else findings


def encoded(findings: Sequence[Finding]) -> Iterator[bytes]:
    """The JSON of each finding."""
    return findings.encoded() if isinstance(findings, Packed) else map(_encoder.encode, findings)


def missing(findings: Sequence[Finding]) -> Iterable[Missing]:
    """All that findings lack; the same may come more than once."""
    return findings.missing if isinstance(findings, Packed) else (lost for one in findings for lost in one.missing)


def failed(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The failures among findings, without reading the others."""
    return (one for one in heads(findings) if isinstance(one, Finding) and one.outcome is Outcome.FAIL)


def with_failures(findings: Sequence[Finding], change: Callable[[Finding], Finding]) -> Sequence[Finding]:
    """The findings, with each failure as `change` gives it."""
    if isinstance(findings, Packed):
        return findings.with_failures(change)
    return tuple(change(one) if one.outcome is Outcome.FAIL else one for one in findings)
