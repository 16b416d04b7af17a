"""The files of a repository that declare resources of Azure or objects of Kubernetes, found and read within bounds."""

import os
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from aks_audit.declarations.declared import FILL, Declaration, Unit, names, scopes, unit_of
from aks_audit.declarations.lines import Found
from aks_audit.declarations.manifests import objects
from aks_audit.declarations.names import Scope
from aks_audit.declarations.text import BrokenError, Language, Node, parse

LARGEST_FILE = 1_000_000
"""How many bytes a file may have that is read."""

MOST_FILES = 10_000
"""How many files of these languages are looked at."""

MOST_BYTES = 20_000_000
"""How many bytes are taken apart."""

MOST_ENTRIES = 500_000
"""How many names of files and folders are looked at."""

_NARROWER = "name a smaller --source-root"
_PASSED_OVER = frozenset({"node_modules", "__pycache__", "venv", "vendor"})
_HEAD = 4096
"""Where JSON says what it is."""

_MANIFEST = (re.compile(rb"^apiVersion:", re.MULTILINE), re.compile(rb"^kind:", re.MULTILINE))
_TELLING = {
    ".bicep": (re.compile(rb"^[ \t]*(?:resource|module)\s", re.MULTILINE),),
    ".tf": (re.compile(rb"azurerm_|azapi_|^[ \t]*module\s", re.MULTILINE),),
    ".json": (re.compile(rb"deploymentTemplate\.json", re.IGNORECASE),),
    ".yaml": _MANIFEST,
    ".yml": _MANIFEST,
}
"""What a file must hold, all of it, to be worth taking apart."""


class Repository(NamedTuple):
    """What the files below a root declare, by type and names, and what could not be read of them.

    `lines` are those of the files by their paths from the root; `declared` holds all declarations by file, those too
    whose names depend on more than what is written.
    """

    root: Path
    lines: Mapping[str, Sequence[str]]
    found: Mapping[tuple[str, tuple[str, ...]], tuple[Found, ...]]
    declared: Mapping[str, tuple[Found, ...]]
    notes: tuple[str, ...]

    def line(self, file: str, number: int) -> str:
        """A line of a file, without the space around it."""
        lines = self.lines[file]
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def read(root: Path) -> Repository:
    """Read the files below a root; none of them is run, and a file at fault declares nothing."""
    notes: list[str] = []
    texts = dict(_texts(root, notes))
    found = [*_resources(texts, notes), *_objects(texts)]
    by_name: dict[tuple[str, tuple[str, ...]], list[Found]] = {}
    by_file: dict[str, list[Found]] = {}
    for one in found:
        by_file.setdefault(one.declaration.file, []).append(one)
        if one.names:
            by_name.setdefault((one.declaration.type, one.names), []).append(one)
    return Repository(
        root,
        {path: texts[path].split("\n") for path in by_file},
        {key: tuple(several) for key, several in by_name.items()},
        {file: tuple(several) for file, several in by_file.items()},
        tuple(notes),
    )


def _resources(texts: Mapping[str, str], notes: list[str]) -> Iterator[Found]:
    """The resources of Azure that files declare, once for each way in which they are used."""
    units: dict[str, Unit] = {}
    for path, text in texts.items():
        if path.endswith((".yaml", ".yml")):
            continue
        language = Language(PurePosixPath(path).suffix)
        key = unit_of(path, language)
        unit = units.setdefault(key, Unit(key, {}, [], []))
        try:
            FILL[language](unit, path, parse(text, language))
        except (BrokenError, RecursionError) as problem:
            notes.append(f"{path}: declares nothing that can be read: {problem}")
    for key, several in scopes(units).items():
        for declaration in units[key].declared:
            for scope in several:
                yield Found(declaration, scope, names(declaration, scope) or ())


def _objects(texts: Mapping[str, str]) -> Iterator[Found]:
    """The objects of Kubernetes that manifests declare."""
    for path, text in texts.items():
        if path.endswith((".yaml", ".yml")):
            for one in objects(text):
                yield Found(Declaration(path, one.type, Node(one.line), None), Scope({}, {}, {}), one.names)


def _texts(root: Path, notes: list[str]) -> Iterator[tuple[str, str]]:
    """The files that tell something by their paths, in order; of a Terraform module all, since they are read as one."""
    waiting: dict[str, list[tuple[str, bytes]]] = {}
    telling, left = set[str](), MOST_BYTES
    for path, data in _files(root, notes):
        name = path.relative_to(root).as_posix()
        tells = _tells(path, data)
        if not tells and path.suffix != ".tf":
            continue
        left -= len(data)
        if left < 0:
            notes.append(f"{name} and what follows: not read, since {MOST_BYTES:,} bytes were; {_NARROWER}")
            break
        folder = name.rpartition("/")[0] if path.suffix == ".tf" else name
        waiting.setdefault(folder, []).append((name, data))
        telling |= {folder} if tells else set()
    for folder, files in waiting.items():
        for name, data in files if folder in telling else ():
            try:
                yield name, data.decode().replace("\r\n", "\n")
            except UnicodeDecodeError:
                notes.append(f"{name}: is not UTF-8, and was not read")


def _tells(path: Path, data: bytes) -> bool:
    return all(pattern.search(data) for pattern in _TELLING[path.suffix])


def _files(root: Path, notes: list[str]) -> Iterator[tuple[Path, bytes]]:
    seen = read = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _PASSED_OVER)
        seen += len(folders) + len(files)
        for name in sorted(files):
            if name.startswith(".") or not name.endswith(tuple(_TELLING)):
                continue
            path = Path(folder, name)
            read += 1
            shown = path.relative_to(root).as_posix()
            if not _is_utf8(shown):
                notes.append(f"{shown!a}: its name is not UTF-8, and it was not read")
                continue
            data = _data(path, shown, notes)
            if data is not None:
                yield path, data
        if seen > MOST_ENTRIES or read > MOST_FILES:
            notes.append(f"{root}: holds too many files, and was not read whole; {_NARROWER}")
            return


def _is_utf8(name: str) -> bool:
    """Whether a report can hold a file's name; of one that is not UTF-8, Python gives bytes that no text has."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _data(path: Path, name: str, notes: list[str]) -> bytes | None:
    """The content of a file; of a link, and of what is too large to be written by people, none."""
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            data = file.read(_HEAD if path.suffix == ".json" else LARGEST_FILE + 1)
            if path.suffix == ".json" and _tells(path, data):
                data += file.read(LARGEST_FILE)
    except OSError as problem:
        notes.append(f"{name}: cannot be read ({problem.strerror or problem})")
        return None
    if len(data) > LARGEST_FILE:
        notes.append(f"{name}: is larger than {LARGEST_FILE:,} bytes, and was not read")
        return None
    return data.removeprefix(BOM_UTF8)
