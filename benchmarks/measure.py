"""How a whole process is measured.

Imports little: the peak of a process is at least that of the one that started it.
"""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

NOWHERE = subprocess.DEVNULL
LONG = 10.0
"""No further run is begun once so many seconds were spent on a command."""


class Run(NamedTuple):
    """A whole process: wall and CPU seconds, peak resident memory in MiB, and how it ended."""

    wall: float
    cpu: float
    peak_mib: float
    code: int = 0


def whole(
    command: Sequence[str],
    folder: Path,
    variables: Mapping[str, str] = os.environ,
) -> Run:
    """Run a command to its end in a folder. Byte code is kept, as where a program is installed to be used."""
    kept = {name: value for name, value in variables.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=kept, stdin=NOWHERE, stdout=NOWHERE, stderr=NOWHERE)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode)


def least(command: Sequence[str], folder: Path, runs: int) -> Run:
    """The least seconds and the largest peak of several runs, or of one that is long; one before warms up."""
    tried = [whole(command, folder)]
    while len(tried) <= runs and sum(run.wall for run in tried) < LONG:
        tried.append(whole(command, folder))
    wall, cpu, peaks, codes = zip(*tried, strict=True)
    return Run(min(wall), min(cpu), max(peaks), codes[0])
