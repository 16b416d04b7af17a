"""The installed command as a job: started against servers on loopback, watched, and ended by signals."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from live import Done, environment
from resource_manager import ResourceManager

PATIENCE = 120.0
"""Seconds after which something that is waited for will not come any more."""


class Job:
    """A command that is under way, in a folder; killed where it outlives the context."""

    def __init__(self, server: ResourceManager, folder: Path, *arguments: str, **variables: str) -> None:
        self._process = subprocess.Popen(
            [str(Path(sys.executable).with_name("aks-audit")), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**environment(server.url, server.ca_file, folder), **variables},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def wait_until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true, which it must be before the command ends."""
        end = time.monotonic() + PATIENCE
        while not true():
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def send_until_it_ends(self, number: signal.Signals) -> None:
        """Send a signal again and again."""
        end = time.monotonic() + PATIENCE
        while self._process.poll() is None:
            assert time.monotonic() < end
            self.send(number)
            time.sleep(0.05)

    def done(self) -> Done:
        """Wait for the end."""
        out, err = self._process.communicate(timeout=PATIENCE)
        return Done(self._process.returncode, out, err)


def lines_of(text: str) -> list[dict[str, Any]]:
    """The objects of a job's log."""
    return [json.loads(line) for line in text.splitlines()]


def events(done: Done) -> list[str]:
    """What happened, in order."""
    return [line["event"] for line in lines_of(done.err)]
