"""A store that is a folder. What links lead to is neither read nor written."""

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from aks_audit.progress import one_line
from aks_audit.store.store import (
    LARGEST_FILE,
    UNFINISHED,
    Content,
    Entry,
    NotThereError,
    StoreError,
    is_name,
    must_be_name,
)

DEEPEST = 8
"""How deep folders are looked into; ours are five deep."""

_GUARD = ".guard"


class DirectoryStore:
    """Keeps files in a folder, which is made with the first of them. `warn` is told of what is passed over."""

    def __init__(self, folder: Path, warn: Callable[[str], None] = lambda _: None) -> None:
        self.place = str(folder)
        self._folder, self._warn = folder.resolve(), warn

    def check(self) -> None:
        """Raise where the folder can be neither made nor written in."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise StoreError(f"{self.place}: cannot be made ({problem.strerror or problem}); name another") from None
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise StoreError(f"{self.place}: is not yours to write in; name another folder")

    def put(self, name: str, data: bytes) -> None:
        """Write a file, in place of what was there."""
        with self._writing(name) as path:
            _replace(path, data)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that is not there; whether it was not."""
        with self._writing(name) as path, _written(path, data) as part:
            return _linked(part, path, data)

    def replace(self, name: str, data: bytes, version: str) -> bool:
        """Write a file in place of that version of it; whether that is what was there."""
        with self._writing(name) as path, self._alone():
            if self._version(name) != version:
                return False
            _replace(path, data)
            return True

    def fetch(self, name: str, most: int = LARGEST_FILE) -> Content:
        """Read a file."""
        path = self._path(name)
        try:
            _must_be_file(path, most)
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NotThereError(f"{path}: is not there") from None
        except OSError as problem:
            raise StoreError(f"{path}: cannot be read ({problem.strerror or problem})") from None
        return Content(data, hashlib.sha256(data).hexdigest())

    def list(self, folder: str = "") -> Iterator[Entry]:
        """The files in a folder and the folders in it, by name."""
        start = self._path(folder) if folder else self._folder
        yield from self._list(start, folder, DEEPEST)

    def delete(self, name: str, version: str | None = None) -> bool:
        """Delete a file, and the folders that it leaves empty; whether it was there."""
        path = self._path(name)
        try:
            with self._alone():
                if not path.is_file() or version not in {None, self._version(name) if version else None}:
                    return False
                path.unlink()
        except FileNotFoundError:
            return False
        except OSError as problem:
            raise StoreError(f"{path}: cannot be deleted ({problem.strerror or problem})") from None
        self._tidy(path.parent)
        return True

    def _path(self, name: str) -> Path:
        """Where a file stands; no folder on the way to it is a link."""
        path = self._folder / must_be_name(name)
        for parent in path.parents:
            if parent == self._folder:
                return path
            if parent.is_symlink():
                raise StoreError(f"{parent}: is a link, and a store has none; remove it")
        raise StoreError(f"{path}: is not in {self.place}")

    def _version(self, name: str) -> str | None:
        try:
            return self.fetch(name).version
        except NotThereError:
            return None

    @contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        """The path to write to, its folder made."""
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield path
        except OSError as problem:
            reason = problem.strerror or problem
            raise StoreError(f"{path}: cannot be written ({reason}); make room or name another --store") from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other process change a file upon a condition meanwhile. The guard goes with the process."""
        if not self._folder.is_dir():
            raise FileNotFoundError(self._folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(self._folder / _GUARD, flags, 0o666), "ab") as guard:
            if sys.platform == "win32":
                import msvcrt  # noqa: PLC0415 - is only there

                msvcrt.locking(guard.fileno(), msvcrt.LK_LOCK, 1)
            else:
                import fcntl  # noqa: PLC0415 - is only here

                fcntl.flock(guard, fcntl.LOCK_EX)
            yield

    def _list(self, folder: Path, name: str, deep: int) -> Iterator[Entry]:
        try:
            found = sorted(os.scandir(folder), key=lambda one: one.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as problem:
            raise StoreError(f"{folder}: cannot be read ({problem.strerror or problem})") from None
        for one in found:
            inner = f"{name}/{one.name}" if name else one.name
            if inner != _GUARD:
                yield from self._entry(one, inner, deep)

    def _entry(self, one: "os.DirEntry[str]", name: str, deep: int) -> Iterator[Entry]:
        try:
            told = one.stat(follow_symlinks=False)
        except FileNotFoundError:
            return  # it went meanwhile
        if is_name(name) and stat.S_ISREG(told.st_mode):
            yield Entry(name, told.st_size, datetime.fromtimestamp(told.st_mtime, UTC))
        elif is_name(name) and stat.S_ISDIR(told.st_mode) and deep:
            yield from self._list(Path(one.path), name, deep - 1)
        else:
            self._warn(f"{one_line(one.path)}: is passed over; it is no file or folder of aks-audit's")

    def _tidy(self, folder: Path) -> None:
        """Remove the folders that are empty, but not a scope's, which others may be about to write in."""
        while self._folder in folder.parent.parents:
            try:
                folder.rmdir()
            except OSError:
                return  # something is in it
            folder = folder.parent


def _must_be_file(path: Path, most: int) -> None:
    told = path.lstat()
    if not stat.S_ISREG(told.st_mode):
        raise StoreError(f"{path}: is no file; remove it")
    if told.st_size > most:
        raise StoreError(f"{path}: is larger than {most:,} bytes, and not by aks-audit; remove it")


@contextmanager
def _written(path: Path, data: bytes) -> Iterator[Path]:
    """The data in a file beside that path, which is gone afterwards; it has reached the disk."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=UNFINISHED, dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(PermissionError):  # on a share of SMB every file is its mount's, and nobody's to change
            part.chmod(0o644)
        yield part
    finally:
        part.unlink(missing_ok=True)


def _replace(path: Path, data: bytes) -> None:
    with _written(path, data) as part:
        part.replace(path)


def _linked(part: Path, path: Path, data: bytes) -> bool:
    """Give the file its name if that is free. A file system without links lets a reader see it before it is whole."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        return False
    except OSError:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    return True
