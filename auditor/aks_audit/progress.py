"""What a live command says on the way, on standard error: for a person, or a JSON object a line for a job."""

import json
import sys
import time
from datetime import UTC, datetime

_CLEAR = "\r\x1b[K"


class Progress:
    """Says what is done: notes, calls where `verbose`, and on a terminal a line that counts. `quiet` says nothing."""

    def __init__(self, *, form: str = "text", verbose: bool = False, quiet: bool = False) -> None:
        self._json, self._verbose, self._quiet = form == "json", verbose, quiet
        self._line = not (self._json or verbose or quiet) and sys.stderr.isatty()
        self._calls, self._started, self._shown = 0, time.monotonic(), 0.0

    def note(self, text: str) -> None:
        """Say a line."""
        if self._quiet:
            return
        if self._json:
            self._object({"level": "info", "message": text})
        else:
            sys.stderr.write(f"{_CLEAR * self._line}aks-audit: {printable(text)}\n")

    def called(self, url: str, status: int) -> None:
        """Count a call, and show it where that was asked for."""
        self._calls += 1
        if self._quiet:
            return
        if self._json and self._verbose:
            self._object({"level": "debug", "message": "GET", "url": url, "status": status})
        elif self._verbose:
            sys.stderr.write(f"aks-audit: GET {printable(url)} {status}\n")
        elif self._line and time.monotonic() - self._shown > 0.1:  # noqa: PLR2004 - seconds; as often as an eye follows
            self._shown = time.monotonic()
            sys.stderr.write(f"{_CLEAR}aks-audit: {self._calls:,} calls, {self._shown - self._started:.0f} s")
            sys.stderr.flush()

    def close(self) -> None:
        """Take the line that counts away."""
        if self._line:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    @staticmethod
    def _object(said: dict[str, str | int]) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        sys.stderr.write(json.dumps({"time": now, **said}) + "\n")


def printable(text: str) -> str:
    """Text from a file or a cluster, without what a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
