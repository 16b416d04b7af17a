"""A day of scheduled runs in minutes: `python tests/robustness/day.py --runs 24`, hourly, or 96, quarter-hourly.

The clock is shifted to each run's hour; the estate changes four times; and by chance runs are killed and begun again,
two run at once, or the clock jumps in their midst. After each the store has to be whole, and who is told has to have
been told in the hours of a change alone. The store has the runs of the day before, so that each run ends one of them.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec

from aks_audit.snapshot import Record
from aks_audit.store import runs
from aks_audit.store.directory import DirectoryStore
from cases import Case, records_of
from listener import Listener, listening
from live import environment
from resource_manager import ResourceManager

BEGIN = datetime(2027, 3, 27, 12, tzinfo=UTC)
"""When the first run is: a day over the change to summer time, which no name may know of."""

HAPPENINGS = ("nothing", "nothing", "nothing", "killed", "two at once", "back", "forth")
KEEP = 1
"""Days that runs are kept."""

_OPEN = {"cluster properties.disableLocalAccounts": False}
_STATES: Sequence[Mapping[str, object]] = (
    {},
    _OPEN,
    {},
    {**_OPEN, "cluster properties.networkProfile.outboundType": "loadBalancer"},
)


class Hour(NamedTuple):
    """A run of the day: what happened to it, whether the estate had changed, how many messages came, what is kept."""

    number: int
    happening: str
    changed: bool
    messages: int
    kept: int


class WrongError(Exception):
    """The store, its history or who was told is not as it has to be."""


class Day:
    """The store of a day, and the runs into it."""

    def __init__(self, folder: Path, hook: Listener, count: int, step: timedelta, seed: int) -> None:
        self._folder, self._hook, self._count, self._step = folder, hook, count, step
        self._random = Random(seed)  # noqa: S311 - a day that can be had again
        self._clock = folder / "clock"
        self._takes = 3.0
        self._of_a_day = int(timedelta(days=KEEP) / step)
        self._began: dict[str, timedelta] = {}

    def run(self, number: int) -> Hour:
        """The run of an hour, and what is asked of the store after it."""
        state, before = (_STATES[min(n * 4 // self._count, 3)] for n in (number, max(number - 1, 0)))
        happening = "nothing" if number == 0 else self._random.choice(HAPPENINGS)
        messages = len(self._hook.sent)
        if number == 1:
            self._fill()
        self._age(number)
        with ResourceManager(_estate(state)) as azure:
            variables = {
                **environment(azure.url, azure.ca_file, self._folder),
                "AKS_AUDIT_WEBHOOK_URL": f"{self._hook.url}/hook",
                "AKS_AUDIT_TEST_CLOCK": str(self._clock),
            }
            self._happen(happening, number, variables)
        messages = len(self._hook.sent) - messages
        changed = number == 0 or state is not before
        if changed != bool(messages):
            raise WrongError(f"hour {number} ({happening}): {messages} messages, where changed is {changed}")
        return Hour(number, happening, changed, messages, self._check(number))

    def _happen(self, happening: str, number: int, variables: Mapping[str, str]) -> None:
        self._set(number * self._step)
        process = self._begin(variables)
        match happening:
            case "killed":
                time.sleep(self._random.uniform(0, self._takes))
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                self._set(number * self._step + timedelta(minutes=5))
                self._ended(self._begin(variables))
                return
            case "two at once":
                other = self._begin(variables, "--wait", "60")
                self._ended(other)
            case "back" | "forth":
                lock = self._folder / "store" / "fleet" / ".locks" / "whole.json"
                while not lock.exists() and process.poll() is None:
                    time.sleep(0.02)  # until it has its name, which is its start
                self._set(number * self._step + timedelta(hours=-2 if happening == "back" else 3))
        begun = time.monotonic()
        self._ended(process)
        if happening == "nothing":
            self._takes = max(1.0, time.monotonic() - begun)

    def _begin(self, variables: Mapping[str, str], *more: str) -> subprocess.Popen[str]:
        options = ("--scope", "fleet", "--keep", str(KEEP), "--webhook", "generic", "--fail-on", "none", "--quiet")
        live = ("--auth", "cli", "--in-cluster", "none", "--max-age", "10m")
        program = str(Path(__file__).with_name("shifted.py"))
        return subprocess.Popen(
            [sys.executable, program, "scan", "--store", "store", *options, *live, *more],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._folder,
            env=dict(variables),
            start_new_session=True,
        )

    @staticmethod
    def _ended(process: subprocess.Popen[str]) -> None:
        """Wait for a run; one that another keeps out says so."""
        said = process.communicate(timeout=300)[1]
        if process.returncode not in {0, 3} and "lock" not in said:
            raise WrongError(f"a run ended with {process.returncode}: {said}")

    def _set(self, since: timedelta) -> None:
        """Set the clock of the runs to so long after the beginning; for a reader there is always a time."""
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(str((BEGIN + since).timestamp() - time.time()), encoding="ascii")
        fresh.replace(self._clock)

    def _fill(self) -> None:
        """Let the store have the runs of the day before the first, as copies of that."""
        store = DirectoryStore(self._folder / "store")
        (first,) = runs.runs(store, "fleet", _refuse)
        files = {name: runs.fetch(store, first, name) for name in first.files}
        for number in range(-1, -self._of_a_day, -1):
            name = runs.run_name(BEGIN + number * self._step)
            draft = runs.Draft(store, first.place._replace(run=name))
            for file, data in files.items():
                draft.add(file, data)
            draft.finish(msgspec.structs.replace(first.manifest, run=name))
            self._began[name] = number * self._step

    def _age(self, number: int) -> None:
        """Let the files of earlier runs be as old as they would be; it is the store's own clock that tells."""
        now = time.time()
        for file in (self._folder / "store").rglob("*"):
            run = next((part for part in file.parts if part in self._began), None)
            if run and file.is_file():
                then = now - (number * self._step - self._began[run]).total_seconds()
                os.utime(file, (then, then))

    def _check(self, number: int) -> int:
        """How many runs are kept, each of them whole; the last complete one is that of this hour."""
        warnings: list[str] = []
        store = DirectoryStore(self._folder / "store", warnings.append)
        found = runs.runs(store, "fleet", warnings.append)
        for run in found:
            self._began.setdefault(run.place.run, number * self._step)
            for name in run.files:
                runs.fetch(store, run, name)
        if damaged := [one for one in warnings if "damaged" in one or "another run" in one]:
            raise WrongError(f"hour {number}: {damaged[0]}")
        last = runs.last_complete(store, "fleet", None, warnings.append)
        if last is None or self._began[last.place.run] != number * self._step:
            raise WrongError(f"hour {number}: the last complete run is {last and last.place.run}")
        old = [
            run.place.run for run in found if number * self._step - self._began[run.place.run] > timedelta(days=KEEP)
        ]
        if old:
            raise WrongError(f"hour {number}: {old[0]} is older than {KEEP} days, and is there")
        wanted = self._of_a_day if number else 1
        if len(found) < wanted:
            raise WrongError(f"hour {number}: {len(found)} runs are kept, and {wanted} have to be")
        return len(found)


def _refuse(warning: str) -> None:
    raise WrongError(warning)


def _estate(state: Mapping[str, object]) -> list[Record]:
    return records_of(Case(name="", expect="", set=dict(state)))


def day(count: int, step: timedelta, seed: int, folder: Path) -> Iterator[Hour]:
    """The runs of a day.

    Raises:
        WrongError: something is not as it has to be.
    """
    with listening() as hook:
        made = Day(folder, hook, count, step, seed)
        for number in range(count):
            yield made.run(number)


def history(folder: Path) -> list[str]:
    """The runs that `aks-audit history` tells of, in its order."""
    program = str(Path(sys.executable).with_name("aks-audit"))
    arguments = [program, "history", "--store", "store", "--scope", "fleet", "--format", "json"]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, check=False)
    if done.returncode:
        raise WrongError(done.stderr.decode())
    (scope,) = json.loads(done.stdout)["scopes"]
    return [run["run"] for run in scope["runs"]]


def main() -> int:
    """Simulate, and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--minutes", type=int, default=60, help="between two runs")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    with TemporaryDirectory(prefix="day-") as folder:
        for hour in day(told.runs, timedelta(minutes=told.minutes), told.seed, Path(folder)):
            changed = " (the estate changed)" if hour.changed else ""
            sys.stdout.write(
                f"{hour.number:3} {hour.happening:12} {hour.messages} messages{changed}, {hour.kept} kept\n"
            )
            sys.stdout.flush()
        names = history(Path(folder))
    sys.stdout.write(f"history tells of {len(names)} runs, {names[0]} to {names[-1]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
