"""What a command says on the way, on standard error: for a person, or a JSON object a line for a job."""

import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

from aks_audit.errors import AuditError

Level: TypeAlias = Literal["debug", "info", "warning", "error"]

EventName: TypeAlias = Literal[
    "baseline",
    "call",
    "deleted",
    "error",
    "finished",
    "following",
    "graph-incomplete",
    "heartbeat",
    "incomplete",
    "inside",
    "interrupted",
    "journal-left",
    "kept",
    "listed",
    "lock-lost",
    "lock-taken",
    "lock-taken-over",
    "lock-waiting",
    "note",
    "read",
    "reading",
    "resumed",
    "started",
    "united",
    "warning",
    "wrote",
]
"""What a line of the log can be about. The names stay as they are; docs/runbook.md tells what each means."""

SCAN_ID = "AKS_AUDIT_SCAN_ID"
"""The variable that names the scan, as a UUID, for whoever starts it and wants to find its lines."""

BETWEEN_LINES = 10.0
"""After so many seconds without a word, a line says how far a live command is."""

BETWEEN_HEARTBEATS = 30.0
"""After so many seconds such a line comes even where others are said all the time."""

_BETWEEN_DRAWINGS = 0.1
_TOO_MANY_REQUESTS = 429
_CLEAR = "\r\x1b[K"


class ScanIdError(AuditError):
    """The environment names the scan by something that is no UUID."""


class Event(NamedTuple):
    """What happened: in words, its name, and in JSON lines also these fields."""

    text: str
    name: EventName
    fields: dict[str, str | float]


def event(name: EventName, text: str, **fields: str | float) -> Event:
    """What happened, with its fields."""
    return Event(text, name, fields)


class Progress:
    """Says what is done: notes, calls where `verbose`, and on a terminal a line that counts. `quiet`: only errors.

    `form` is text or json. Whatever is said is one line or, as text, the lines of the message; with json every line on
    standard error is an object with `time` (RFC 3339), `level`, `scan`, `event` and `message`, once `hear` has been
    called. `hide` takes secrets out of addresses and of what packages say. Other threads may call it, too.
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
        self._calls = self._resources = self._left = self._throttled = self._waits = 0
        self._waited = 0.0
        self._phase = "starting"
        self._started = self._said = self._beaten = self._drawn = self._moved = clock()
        self._turn = threading.RLock()  # a signal may interrupt who writes, and says something, too

    @cached_property
    def scan_id(self) -> str:
        """What the lines of this process have in common, and no other's: a random UUID, or the environment's.

        Raises:
            ScanIdError: the environment's is none.
        """
        import uuid  # noqa: PLC0415 - most commands have no use for it

        told = os.environ.get(SCAN_ID)
        try:
            return str(uuid.UUID(told) if told else uuid.uuid4())
        except ValueError:
            raise ScanIdError(f"{SCAN_ID} is {told!r}, which is no UUID; name one, or none") from None

    def note(self, what: str | Event) -> None:
        """Say what is done."""
        self._say("info", _event("note", what))

    def warn(self, what: str | Event) -> None:
        """Say what is wrong and does not end the command."""
        self._say("warning", _event("warning", what))

    def error(self, what: str | Event) -> None:
        """Say why the command ends."""
        self._say("error", _event("error", what))

    def record(self, what: Event) -> None:
        """Say what only a job's log needs."""
        if self._json:
            self._say("info", what)

    def called(self, method: str, url: str, status: int) -> None:
        """Count a call, and show it where that was asked for."""
        self._calls += 1
        self._throttled += status == _TOO_MANY_REQUESTS
        self._moved = self._clock()
        if self._verbose:
            url = self._hide(url)
            self._say("debug", event("call", f"{method} {url} {status}", method=method, url=url, status=status))
        self.tick()

    def read(self, resources: int) -> None:
        """Count resources that were read."""
        self._resources += resources

    def left(self, reads: int) -> None:
        """Count reads that are now known to be ahead; with a number below 0, those that came to their end."""
        self._left += reads

    def waited(self, seconds: float) -> None:
        """Count a wait for Azure's limits."""
        self._waits += 1
        self._waited += seconds

    def enter(self, phase: str) -> None:
        """Name what is done from now on."""
        self._phase = phase
        self._moved = self._clock()

    def tick(self) -> None:
        """Say how far it is, if it is time to; whoever waits for something calls this now and then."""
        now = self._clock()
        if self._line and now - self._drawn >= _BETWEEN_DRAWINGS:
            self._drawn = now
            self._write(_CLEAR + f"aks-audit: {self.counted}"[: _width() - 1])
        else:
            self.beat()

    def beat(self) -> None:
        """Say how far it is where nothing was said for long, or that was not said for longer; not on a terminal."""
        now = self._clock()
        if not self._line and (now - self._said >= BETWEEN_LINES or now - self._beaten >= BETWEEN_HEARTBEATS):
            self._beaten = now
            counts = self._calls or self._resources
            far = self.counted if counts else f"{self._phase}, {now - self._started:.0f} s"
            self._say("info", Event(far, "heartbeat", self.state))

    @property
    def state(self) -> dict[str, str | float]:
        """What is done: in which phase, what there was and is left, and for how many seconds nothing has moved."""
        now = self._clock()
        return {
            "phase": self._phase,
            "calls": self._calls,
            "resources": self._resources,
            "left": self._left,
            "waits": self._waits,
            "waited": round(self._waited),
            "throttled": self._throttled,
            "seconds": round(now - self._started),
            "idle": round(now - self._moved),
        }

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

    def _say(self, level: Level, what: Event) -> None:
        if self._quiet and level != "error":
            return
        self._said = self._clock()
        text = unobeyed(what.text)
        if self._json:
            line = {"time": now(), "level": level, "scan": self._scan, "event": what.name, "message": text}
            fields = {key: unobeyed(one) if isinstance(one, str) else one for key, one in what.fields.items()}
            self._write(json.dumps({**line, **fields}) + "\n")
        else:
            word = f"{level}: " if level in {"warning", "error"} else ""
            self._write(f"{_CLEAR * self._line}aks-audit: {word}{printable(text)}\n")

    @property
    def _scan(self) -> str:
        # That the environment names it wrongly is an error that is said as all are.
        with suppress(ScanIdError):
            return self.scan_id
        return ""

    def _write(self, text: str) -> None:
        # Who does not listen any more must not change what the audit finds.
        with suppress(BrokenPipeError), self._turn:
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


def now() -> str:
    """The time of the clock, RFC 3339 in UTC, as lines of the log have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(name: EventName, what: str | Event) -> Event:
    return what if isinstance(what, Event) else Event(what, name, {})


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
