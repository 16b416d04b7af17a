"""What a command says on the way, on standard error: for a person, or a JSON object a line for a job."""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["debug", "info", "warning", "error"]

BETWEEN_LINES = 10.0
"""After so many seconds without a word, a line says how far a live command is."""

_BETWEEN_DRAWINGS = 0.1
_CLEAR = "\r\x1b[K"


class Progress:
    """Says what is done: notes, calls where `verbose`, and on a terminal a line that counts. `quiet`: only errors.

    `form` is text or json. Whatever is said is one line or, as text, the lines of the message; with json every line on
    standard error is an object with `time` (RFC 3339), `level` and `message`, once `hear` has been called. `hide` takes
    secrets out of addresses and of what packages say.
    """

    def __init__(
        self,
        *,
        form: str = "text",
        verbose: bool = False,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
        hide: Callable[[str], str] = str,
    ) -> None:
        self._hide = hide
        self._json, self._verbose, self._quiet, self._clock = form == "json", verbose, quiet, clock
        self._line = not (self._json or verbose or quiet) and _obeys(sys.stderr.isatty())
        self._calls = self._resources = 0
        self._started = self._said = self._drawn = clock()

    def note(self, text: str) -> None:
        """Say what is done."""
        self._say("info", text)

    def warn(self, text: str) -> None:
        """Say what is wrong and does not end the command."""
        self._say("warning", text)

    def error(self, text: str) -> None:
        """Say why the command ends."""
        self._say("error", text)

    def called(self, method: str, url: str, status: int) -> None:
        """Count a call, and show it where that was asked for."""
        self._calls += 1
        if self._verbose:
            url = self._hide(url)
            self._say("debug", f"{method} {url} {status}", method=method, url=url, status=status)
        self.tick()

    def read(self, resources: int) -> None:
        """Count resources that were read."""
        self._resources += resources

    def tick(self) -> None:
        """Say how far it is, if it is time to; whoever waits for something calls this now and then."""
        now = self._clock()
        if self._line and now - self._drawn >= _BETWEEN_DRAWINGS:
            self._drawn = now
            self._write(_CLEAR + f"aks-audit: {self.counted}"[: _width() - 1])
        elif not self._line and now - self._said >= BETWEEN_LINES:
            seconds = round(now - self._started)
            self._say("info", self.counted, calls=self._calls, resources=self._resources, seconds=seconds)

    @property
    def counted(self) -> str:
        """How much was done until now, in words."""
        seconds = self._clock() - self._started
        return f"{_many(self._resources, 'resource')}, {_many(self._calls, 'call')}, {seconds:.0f} s"

    def close(self) -> None:
        """Take the line that counts away."""
        if self._line:
            self._write(_CLEAR)

    def hear(self) -> None:
        """Say also what packages warn of or fail to raise; nothing is to reach standard error by another way."""
        logging.getLogger().addHandler(_Warnings(lambda text: self.warn(self._hide(text))))
        logging.captureWarnings(capture=True)
        sys.unraisablehook = lambda lost: logging.getLogger(__name__).warning("%r in %r", lost.exc_value, lost.object)

    def _say(self, level: Level, text: str, **more: str | int) -> None:
        if self._quiet and level != "error":
            return
        self._said = self._clock()
        text = unobeyed(text)
        if self._json:
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self._write(json.dumps({"time": now, "level": level, "message": text, **more}) + "\n")
        else:
            word = f"{level}: " if level in {"warning", "error"} else ""
            self._write(f"{_CLEAR * self._line}aks-audit: {word}{printable(text)}\n")

    @staticmethod
    def _write(text: str) -> None:
        # Who does not listen any more must not change what the audit finds.
        with suppress(BrokenPipeError):
            sys.stderr.write(text)
            sys.stderr.flush()


class _Warnings(logging.Handler):
    """Takes the warnings of packages, but for those that sign in and call Azure: the error or gap holds their words."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn

    def emit(self, record: logging.LogRecord) -> None:
        """Say one warning."""
        if not record.name.startswith(("azure", "msal")):
            self._warn(self.format(record))


def _obeys(terminal: bool) -> bool:  # noqa: FBT001 - what isatty says
    return terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _width() -> int:
    """How many columns the terminal has now."""
    with suppress(OSError, ValueError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    return 80


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def printable(text: str) -> str:
    """Text from a file or a cluster, without what a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


_OBEYED = re.compile(r"##(?=\[|vso\[)|^([ \t]*):(?=:)", re.MULTILINE | re.IGNORECASE)
"""What the agents of Azure Pipelines and GitHub take out of a job's log for commands to themselves."""


def unobeyed(lines: str) -> str:
    """Lines in which what a pipeline's agent would obey is written as its code point."""
    return _OBEYED.sub(lambda found: "\\x23#" if found[1] is None else f"{found[1]}\\x3a", lines)


def one_line(name: str) -> str:
    """A name from a file or a cluster, which must not look like a line of its own."""
    return printable(name).replace("\n", "\\x0a")
