"""Files of JSON as shells and people make them: whose text is what, and which documents stand in it."""

import codecs
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aks_audit.errors import AuditError
from aks_audit.snapshot import decode, lines

SUFFIXES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")


class ImportFailedError(AuditError):
    """Nothing could be imported; the message says why, and what to do."""


class JsonFile(NamedTuple):
    """A file to read. In a snapshot stands its short name, which is the same on every machine."""

    path: Path
    name: str


class Broken(NamedTuple):
    """A piece of text that is no JSON document."""

    problem: str
    text: str


def json_files(paths: Sequence[Path]) -> Iterator[JsonFile]:
    """Give the files named, and all JSON files in the folders named.

    Raises:
        ImportFailedError: there is no such file, or no JSON in a folder.
    """
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.is_file() and file.name.lower().endswith(SUFFIXES))
            if not inside:
                raise ImportFailedError(f"{path}: the folder holds no JSON ({', '.join(f'*{s}' for s in SUFFIXES)})")
            yield from (JsonFile(file, file.relative_to(path).as_posix()) for file in inside)
        elif path.exists():
            yield JsonFile(path, path.name)
        else:
            raise ImportFailedError(f"{path}: no such file")


def documents(path: Path) -> Iterator[Any | Broken]:
    """The JSON documents that stand in a file one after the other, and what is broken between them."""
    kept: list[bytes] = []
    try:
        kept.extend(lines(path))
    except (EOFError, zlib.error, OSError) as problem:
        yield Broken(f"the file cannot be read to its end: {problem}", "")
    text = _text(b"".join(kept))
    yield from _documents(text)
    if not path.stat().st_size:
        yield Broken("the file is empty; did the command that should have written it fail?", "")


def _text(data: bytes) -> str:
    """Decode what shells write: UTF-8, with or without a mark; PowerShell's UTF-16; else a Windows code page."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if b"\0" in data[:2]:
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


_START = re.compile(r"^[\[{]", re.MULTILINE)


def _documents(text: str) -> Iterator[Any | Broken]:
    try:
        yield decode(text.encode())
    except ValueError as problem:
        whole = str(problem)
    else:
        return
    reader = json.JSONDecoder()
    here = _skip_space(text, 0)
    while here < len(text):
        try:
            end = reader.raw_decode(text, here)[1]
            yield decode(text[here:end].encode())
        except (ValueError, RecursionError) as problem:
            following = _START.search(text, here + 1)
            end = following.start() if following else len(text)
            reason = whole if end - here == len(text) else str(problem)
            yield Broken(f"line {text.count(chr(10), 0, here) + 1}: {reason}", text[here:end])
        here = _skip_space(text, end)


def _skip_space(text: str, start: int) -> int:
    while start < len(text) and text[start].isspace():
        start += 1
    return start
