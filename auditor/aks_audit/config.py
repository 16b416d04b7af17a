"""What `aks-audit.toml` says: exceptions, severities of one's own, disabled rules, and where clusters are declared.

A file that is not TOML, or holds a table that nobody knows, is refused whole. An entry that is not well formed is left
out and told of, and loses no other: an exception that was misspelt accepts nothing.
"""

import inspect
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from aks_audit.errors import AuditError
from aks_audit.results import Severity

FILE_NAME = "aks-audit.toml"


class ConfigError(AuditError):
    """A file that cannot be used at all; the message names it and says what to do."""


def _text(description: str) -> msgspec.Meta:
    return msgspec.Meta(description=description, min_length=1)


RuleId: TypeAlias = Annotated[str, _text("The id of a rule, such as AKS-IAM-04; `aks-audit rules` lists them.")]
_Reason: TypeAlias = Annotated[str, _text("Why, for whoever reads the report.")]


class _Entry(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """A table of the file."""


class ExceptionEntry(_Entry, frozen=True):
    """A failure that a person accepts until a day: by its resource's exact id, or by a glob that is told to be one."""

    rule: RuleId
    reason: _Reason
    owner: Annotated[str, _text("Who answers for it: a person or a team.")]
    approved_by: Annotated[str, _text("Who allowed it.")]
    expires: Annotated[
        date, msgspec.Meta(description="The last day of the exception, such as 2027-01-31; at most a year ahead.")
    ]
    resource: Annotated[str, _text("The exact id of the resource, as reports write it. Case does not matter.")] = ""
    resource_glob: Annotated[
        str, _text("Instead of `resource`: a pattern of ids, with * for any text, / included, and ? for one character.")
    ] = ""


class SeverityEntry(_Entry, frozen=True):
    """A severity of one's own for a rule, and why."""

    rule: RuleId
    severity: Annotated[Severity, msgspec.Meta(description="How severe failures of the rule are here.")]
    reason: _Reason


class DisabledEntry(_Entry, frozen=True):
    """A rule that is not asked, and why."""

    rule: RuleId
    reason: _Reason


class SourceEntry(_Entry, frozen=True):
    """The file that declares a cluster, or a resource around it, from the folder of `aks-audit.toml`."""

    cluster: Annotated[str, _text("The cluster, by name, id or glob.")]
    file: Annotated[str, _text("The Bicep, Terraform or ARM JSON file that declares it, from the folder of this file.")]
    resource: Annotated[str, _text("Instead of the cluster a resource around it, by name, id, glob or type.")] = ""
    tag: Annotated[str, _text("KEY=VALUE: of several that the file declares, the one with this tag.")] = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people decided about findings of aks-audit, where it is reviewed."""

    exception: tuple[ExceptionEntry, ...] = ()
    severity: tuple[SeverityEntry, ...] = ()
    disabled: tuple[DisabledEntry, ...] = ()
    source: tuple[SourceEntry, ...] = ()


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
        if (place / FILE_NAME).is_file() or (place / FILE_NAME).is_symlink():  # one that leads nowhere is refused
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
        text = path.read_text(encoding="utf-8").removeprefix("\ufeff")  # which some editors of Windows write
        tables = tomllib.loads(text)
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read ({problem.strerror or problem})") from None
    except (ValueError, RecursionError) as problem:  # of a number that is too long, it is no more than a ValueError
        raise ConfigError(_not_toml(path, problem)) from None
    _check_tables(path, text, tables)
    return Config(
        file=path,
        exceptions=_entries(text, tables, "exception", ExceptionEntry),
        severities=_entries(text, tables, "severity", SeverityEntry),
        disabled=_entries(text, tables, "disabled", DisabledEntry),
        sources=_entries(text, tables, "source", SourceEntry),
    )


def near(name: str, known: Iterable[str]) -> str:
    """What was probably meant, in brackets at the end of a message; empty where nothing is near."""
    spelled = {one.lower(): one for one in known}
    found = get_close_matches(name.lower(), sorted(spelled), n=1, cutoff=0.85)
    return f" (did you mean {spelled[found[0]]}?)" if found else ""


def schema(rules: Sequence[str]) -> bytes:
    """The JSON Schema of the file, with which editors complete and check it; it suggests these rules, and allows more.

    A date of TOML counts as a string of the format `date`.
    """
    _, definitions = msgspec.json.schema_components([_File], ref_template="#/$defs/{name}")
    described = {name: definition | _described(definition) for name, definition in definitions.items()}
    described["ExceptionEntry"]["oneOf"] = [{"required": ["resource"]}, {"required": ["resource-glob"]}]
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **described.pop("_File"),
        "title": FILE_NAME,
        "$defs": {**described, "RuleId": {"enum": [*rules]}},
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _described(definition: Mapping[str, Any]) -> dict[str, Any]:
    parts = {name: {**part} for name, part in definition.get("properties", {}).items()}
    for part in parts.values():
        part.pop("default", None)  # an empty text only says that the key may be left out
    if "rule" in parts:
        parts["rule"] |= {"anyOf": [{"$ref": "#/$defs/RuleId"}, {"type": "string"}]}
    described: dict[str, Any] = {"description": inspect.cleandoc(definition.get("description", ""))}
    return described | ({"properties": parts} if parts else {})


_LINE = re.compile(r" \(at line (\d+), column \d+\)$")


def _not_toml(path: Path, problem: Exception) -> str:
    at = _LINE.search(str(problem))
    return f"{path}{f':{at[1]}' if at else ''}: is not TOML: {_LINE.sub('', str(problem))}"


def _check_tables(path: Path, text: str, tables: Mapping[str, Any]) -> None:
    for name, value in tables.items():
        where = f"{path}:{_line_of(text, name)}"
        if name not in _TABLES:
            there = ", ".join(f"[[{table}]]" for table in _TABLES)
            raise ConfigError(f"{where}: has no meaning for {name!r}{near(name, _TABLES)}; there are: {there}")
        if not (isinstance(value, list) and all(isinstance(entry, dict) for entry in value)):
            raise ConfigError(f"{where}: {name} is a list of tables; write each as [[{name}]]")


def _line_of(text: str, name: str) -> int:
    """The first line that names a table or key; 1 where it is written in some other way."""
    named = re.compile(rf"\s*(?:\[+\s*)?[\"']?{re.escape(name)}\b")
    return next((number for number, line in enumerate(text.splitlines(), 1) if named.match(line)), 1)


def _entries(text: str, tables: Mapping[str, Any], name: str, kind: type[E]) -> tuple[Read[E], ...]:
    told = tables.get(name, [])
    lines = [number for number, line in enumerate(text.splitlines(), 1) if re.match(rf"\s*\[\[\s*{name}\s*\]\]", line)]
    if len(lines) != len(told):  # written as an inline array, or a text holds such a line
        lines = [1] * len(told)
    return tuple(_entry(line, table, kind) for line, table in zip(lines, told, strict=True))


def _entry(line: int, table: Mapping[str, Any], kind: type[E]) -> Read[E]:
    if problems := list(_problems(table, kind)):
        return Read(line, table, problem="; ".join(problems))
    return Read(line, table, msgspec.convert(table, kind))


def _problems(table: Mapping[str, Any], kind: type[_Entry]) -> Iterator[str]:
    """What is wrong with an entry, in words that say how it is right."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key, value in table.items():
        if key not in fields:
            yield f"`{key}` has no meaning here{near(key, fields) or '; there are: ' + ', '.join(fields)}"
        elif isinstance(value, str) and not value.strip():
            yield f"`{key}` is empty"
        elif problem := _problem(value, fields[key].type):
            yield f"`{key}` has to be {problem}"
    yield from (f"`{name}` is missing" for name, field in fields.items() if field.required and name not in table)


def _problem(value: object, kind: Any) -> str:  # noqa: ANN401 - a type, or what is annotated with one
    """What a value has to be; empty where it is."""
    wanted = getattr(kind, "__origin__", kind)
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        return _WANTED[wanted]
    return ""


_WANTED: Mapping[type, str] = {
    str: 'a text in quotes, "like this"',
    date: "a date such as 2027-01-31",
    Severity: "one of " + ", ".join(f'"{severity}"' for severity in Severity),
}
