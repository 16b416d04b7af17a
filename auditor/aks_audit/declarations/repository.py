"""The files of a repository that declare resources of Azure, found and read within bounds."""

import os
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from aks_audit.declarations.declared import FILL, Unit, names, scopes, unit_of
from aks_audit.declarations.lines import Found
from aks_audit.declarations.text import BrokenError, Language, parse

LARGEST_FILE = 1_000_000
"""How many bytes a file may have that is read."""

MOST_FILES = 10_000
"""How many files of these languages are looked at."""

MOST_TEXT = 20_000_000
"""How many characters are taken apart."""

MOST_ENTRIES = 500_000
"""How many names of files and folders are looked at."""

_NARROWER = "name a smaller --source-root"
_PASSED_OVER = frozenset({"node_modules", "__pycache__", "venv", "vendor"})
_TELLING = {
    Language.BICEP: re.compile(rb"^\s*(?:resource|module)\s", re.MULTILINE),
    Language.TERRAFORM: re.compile(rb"azurerm_|azapi_|^\s*module\s", re.MULTILINE),
    Language.JSON: re.compile(rb"deploymentTemplate\.json", re.IGNORECASE),
}
"""What a file must hold to be worth taking apart."""


class Repository(NamedTuple):
    """What the files below a root declare, by type and names, and what could not be read of them.

    `texts` holds the lines of the files by their paths from the root; `unnamed` the declarations whose names depend on
    more than what is written, and `declared` all of them by file.
    """

    root: Path
    texts: Mapping[str, str]
    found: Mapping[tuple[str, tuple[str, ...]], tuple[Found, ...]]
    declared: Mapping[str, tuple[Found, ...]]
    notes: tuple[str, ...]

    def line(self, file: str, number: int) -> str:
        """A line of a file, without the space around it."""
        lines = self.texts[file].split("\n")
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def read(root: Path) -> Repository:
    """Read the files below a root; none of them is run, and a file at fault declares nothing."""
    notes: list[str] = []
    texts = dict(_texts(root, notes))
    units: dict[str, Unit] = {}
    left = MOST_TEXT
    for path, text in texts.items():
        left -= len(text)
        if left < 0:
            notes.append(f"{path} and what follows: not read, since {MOST_TEXT:,} characters were; {_NARROWER}")
            break
        language = Language(PurePosixPath(path).suffix)
        key = unit_of(path, language)
        unit = units.setdefault(key, Unit(key, {}, [], []))
        try:
            FILL[language](unit, path, parse(text, language))
        except (BrokenError, RecursionError) as problem:
            notes.append(f"{path}: declares nothing that can be read: {problem}")
    return _indexed(root, texts, units, tuple(notes))


def _indexed(root: Path, texts: Mapping[str, str], units: Mapping[str, Unit], notes: tuple[str, ...]) -> Repository:
    found: dict[tuple[str, tuple[str, ...]], list[Found]] = {}
    declared: dict[str, list[Found]] = {}
    of_unit = scopes(units)
    for key, unit in units.items():
        for declaration in unit.declared:
            for scope in of_unit[key]:
                called = names(declaration, scope)
                one = Found(declaration, scope, called or ())
                declared.setdefault(declaration.file, []).append(one)
                if called:
                    found.setdefault((declaration.type, called), []).append(one)
    return Repository(
        root,
        texts,
        {key: tuple(several) for key, several in found.items()},
        {file: tuple(several) for file, several in declared.items()},
        notes,
    )


def _texts(root: Path, notes: list[str]) -> Iterator[tuple[str, str]]:
    """The files that tell something by their paths, in order; of a Terraform module all, since they are read as one."""
    folders: Counter[str] = Counter()
    waiting: dict[str, list[tuple[str, bytes]]] = {}
    for path, data in _files(root, notes):
        language = Language(path.suffix)
        name = path.relative_to(root).as_posix()
        telling = _TELLING[language].search(data) is not None
        if language is Language.TERRAFORM:
            folder = name.rpartition("/")[0]
            waiting.setdefault(folder, []).append((name, data))
            folders[folder] += telling
        elif telling:
            yield from _decoded(name, data, notes)
    for folder, files in waiting.items():
        for name, data in files if folders[folder] else ():
            yield from _decoded(name, data, notes)


def _decoded(name: str, data: bytes, notes: list[str]) -> Iterator[tuple[str, str]]:
    try:
        yield name, data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        notes.append(f"{name}: is not UTF-8, and was not read")


def _files(root: Path, notes: list[str]) -> Iterator[tuple[Path, bytes]]:
    seen = read = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _PASSED_OVER)
        seen += len(folders) + len(files)
        for name in sorted(files):
            if name.startswith(".") or not name.endswith((".bicep", ".tf", ".json")):
                continue
            path = Path(folder, name)
            read += 1
            data = _data(path, path.relative_to(root).as_posix(), notes)
            if data is not None:
                yield path, data
        if seen > MOST_ENTRIES or read > MOST_FILES:
            notes.append(f"{root}: holds too many files, and was not read whole; {_NARROWER}")
            return


def _data(path: Path, name: str, notes: list[str]) -> bytes | None:
    """The content of a file; of a link, and of what is too large to be written by people, none."""
    try:
        if path.is_symlink() or not path.is_file():
            return None
        if path.stat().st_size > LARGEST_FILE:
            if path.suffix != ".json":
                notes.append(f"{name}: is larger than {LARGEST_FILE:,} bytes, and was not read")
            return None
        return path.read_bytes().removeprefix(BOM_UTF8)
    except OSError as problem:
        notes.append(f"{name}: cannot be read ({problem.strerror or problem})")
        return None
