"""What `aks-audit.toml` says: exceptions, severities of one's own, disabled rules, and where clusters are declared.

A file that is not TOML, or holds a table that nobody knows, is refused whole. An entry that is not well formed is left
out and told of, and loses no other: an exception that was misspelt accepts nothing.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from aks_audit.errors import AuditError
from aks_audit.results import Severity

FILE_NAME = "aks-audit.toml"


class ConfigError(AuditError):
    """A file that cannot be used at all; the message names it and says what to do."""


class _Entry(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """A table of the file."""


class ExceptionEntry(_Entry, frozen=True):
    """A failure that a person accepts until a day: by its resource's exact id, or by a glob that is told to be one."""

    rule: str
    reason: str
    owner: str
    approved_by: str
    expires: date
    resource: str = ""
    resource_glob: str = ""


class SeverityEntry(_Entry, frozen=True):
    """A severity of one's own for a rule, and why."""

    rule: str
    severity: Severity
    reason: str


class DisabledEntry(_Entry, frozen=True):
    """A rule that is not asked, and why."""

    rule: str
    reason: str


class SourceEntry(_Entry, frozen=True):
    """The file that declares a cluster, from the folder of `aks-audit.toml`; the cluster by name, id or glob."""

    cluster: str
    file: str


E = TypeVar("E", bound=_Entry)


class Read(NamedTuple, Generic[E]):
    """An entry: the line where its table begins, what the file tells, and the entry or what is wrong with it."""

    line: int
    told: Mapping[str, Any]
    entry: E | None = None
    problem: str = ""


class Config(NamedTuple):
    """What a file says, in its order; all empty where there is none."""

    file: Path | None = None
    exceptions: tuple[Read[ExceptionEntry], ...] = ()
    severities: tuple[Read[SeverityEntry], ...] = ()
    disabled: tuple[Read[DisabledEntry], ...] = ()
    sources: tuple[Read[SourceEntry], ...] = ()


_TABLES: Mapping[str, type[_Entry]] = {
    "exception": ExceptionEntry,
    "severity": SeverityEntry,
    "disabled": DisabledEntry,
    "source": SourceEntry,
}


def find(folder: Path) -> Path | None:
    """The file in a folder, or in the nearest one above it; not above the root of a Git repository."""
    for place in (folder, *folder.parents):
        if (place / FILE_NAME).is_file():
            return place / FILE_NAME
        if (place / ".git").exists():
            break
    return None


def read(path: Path) -> Config:
    """Read a file.

    Raises:
        ConfigError: it cannot be read, is not TOML, or has a table that there is not.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read ({problem.strerror or problem})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise ConfigError(f"{path}: is not TOML: {problem}") from None
    _check_tables(path, tables)
    return Config(
        file=path,
        exceptions=_entries(text, tables, "exception", ExceptionEntry),
        severities=_entries(text, tables, "severity", SeverityEntry),
        disabled=_entries(text, tables, "disabled", DisabledEntry),
        sources=_entries(text, tables, "source", SourceEntry),
    )


def _check_tables(path: Path, tables: Mapping[str, Any]) -> None:
    for name, value in tables.items():
        if name not in _TABLES:
            raise ConfigError(
                f"{path}: has no meaning for {name!r}; there are: {', '.join(f'[[{t}]]' for t in _TABLES)}"
            )
        if not (isinstance(value, list) and all(isinstance(entry, dict) for entry in value)):
            raise ConfigError(f"{path}: {name} is a list of tables; write each as [[{name}]]")


def _entries(text: str, tables: Mapping[str, Any], name: str, kind: type[E]) -> tuple[Read[E], ...]:
    told = tables.get(name, [])
    lines = [number for number, line in enumerate(text.splitlines(), 1) if re.match(rf"\s*\[\[\s*{name}\s*\]\]", line)]
    if len(lines) != len(told):  # written as an inline array, or a text holds such a line
        lines = [1] * len(told)
    return tuple(_entry(line, table, kind) for line, table in zip(lines, told, strict=True))


def _entry(line: int, table: Mapping[str, Any], kind: type[E]) -> Read[E]:
    try:
        entry = msgspec.convert(table, kind)
    except msgspec.ValidationError as problem:
        return Read(line, table, problem=str(problem))
    if empty := [key for key, value in table.items() if isinstance(value, str) and not value.strip()]:
        return Read(line, table, problem=f"`{empty[0]}` is empty")
    return Read(line, table, entry)
