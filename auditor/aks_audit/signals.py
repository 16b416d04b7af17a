"""What ends a command from outside: SIGTERM, SIGINT and SIGHUP. The first lets it end in order, the second at once."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Self

from aks_audit.progress import Progress, event

_NAMES = ("SIGTERM", "SIGINT", "SIGHUP")  # the last is not there on Windows


class Signals:
    """Hears signals while it is a context.

    With the first, what `meanwhile` was told ends; where nothing was, SIGINT is Python's KeyboardInterrupt, and with
    another the command goes on to its end, as it has only to write down what it has read. A second ends the process.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._end: Callable[[str], None] | None = None
        self._heard = False
        self.reason = ""
        """Why things end, for the report; empty where nothing asked for it."""

    def __enter__(self) -> Self:
        self._former = {}
        for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
            # Whoever started the command with nohup wants it to outlive the terminal.
            if signal.getsignal(number) != signal.SIG_IGN:
                with suppress(ValueError):  # only the main thread hears signals; elsewhere they are others' concern
                    self._former[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, former in self._former.items():
            signal.signal(number, former or signal.SIG_DFL)  # None: whoever set it was no Python

    @contextmanager
    def meanwhile(self, end: Callable[[str], None]) -> Iterator[None]:
        """Let a signal call `end`, with the reason, as long as this lasts."""
        self._end = end
        if self.reason:
            end(self.reason)
        try:
            yield
        finally:
            self._end = None

    def stop(self, reason: str) -> None:
        """End for a reason of the caller's, as the first signal does; other threads may ask for it."""
        self.reason = self.reason or reason
        if self._end:
            self._end(reason)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if self._heard:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if number == signal.SIGINT and not self._end:
            raise KeyboardInterrupt
        self._heard, name = True, signal.Signals(number).name
        what = "reading ends" if self._end else "what was begun is brought to its end"
        with suppress(RuntimeError):  # the signal came while something was being said
            self._progress.warn(event("interrupted", f"{name}: {what}; a second signal ends this at once", signal=name))
        self.stop(f"the scan was interrupted by {name}")
