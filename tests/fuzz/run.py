"""Fuzzes readers for some minutes: `python tests/fuzz/run.py TARGET… --minutes 10` (`all`: each of them in turn).

With atheris, where it is installed, coverage leads the way; else chance does. What goes wrong is said once for each
place in the code, and the input kept in `--findings`; `--input FILE` runs such an input again. An input has some
seconds, and the process some memory. Prints a line of JSON for each target; the exit code is 1 where something went
wrong.
"""

import argparse
import hashlib
import importlib
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.mutate import mutate

SECONDS = 20
"""How much time of the processor one input may take: a hundred times what an audit of an estate does."""

MEMORY = 4 * 2**30
"""How many bytes of addresses the process may have."""


class HangError(BaseException):
    """An input took too long. No `Exception`: whoever isolates those does not catch it."""


class Fuzz:
    """Runs inputs until the time is up, counts them, and keeps those that go wrong."""

    def __init__(self, name: str, minutes: float, findings: Path) -> None:
        from fuzz.targets import TARGETS  # noqa: PLC0415 - once atheris instruments what is imported

        self._name, self._check, self._findings = name, TARGETS[name].check, findings
        self.seeds = list(TARGETS[name].seeds())
        self._start = time.monotonic()
        self._end = self._start + minutes * 60
        self._executions = 0
        self._wrong: dict[str, str] = {}

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end

    def run(self, data: bytes) -> None:
        """Run one input."""
        self._executions += 1
        try:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            self._check(data)
        except (Exception, HangError, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            signal.setitimer(signal.ITIMER_PROF, 0)
            self._keep(data, error)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def tell(self) -> int:
        """Print the tally; the exit code."""
        minutes = round((time.monotonic() - self._start) / 60, 1)
        busy = round(time.process_time() / 60, 1)
        tally: dict[str, object] = {
            "target": self._name,
            "minutes": minutes,
            "of processor": busy,
            "executions": self._executions,
        }
        tally["findings"] = self._wrong
        sys.stdout.write(json.dumps(tally) + "\n")
        sys.stdout.flush()
        return 1 if self._wrong else 0

    def _keep(self, data: bytes, error: BaseException) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "/aks_audit" in frame.filename] or list(frames)
        said = f": {error}"[:160] if isinstance(error, AssertionError) else ""
        place = f"{type(error).__name__} in {Path(own[-1].filename).name}:{own[-1].lineno}{said}"
        if place in self._wrong or len(self._wrong) >= 100:
            return
        self._findings.mkdir(parents=True, exist_ok=True)
        kept = self._findings / f"{self._name}-{hashlib.sha256(data).hexdigest()[:12]}"
        kept.write_bytes(data)
        kept.with_suffix(".txt").write_text("".join(traceback.format_exception(error))[-20_000:], errors="replace")
        self._wrong[place] = kept.name
        sys.stderr.write(f"{self._name}: {place!r}: {kept}\n")


def by_chance(fuzz: Fuzz, seed: int) -> int:
    """Mutate inputs by chance until the time is up."""
    random = Random(seed)  # noqa: S311 - chance that can be had again
    for data in fuzz.seeds:
        fuzz.run(data)
    while not fuzz.over:
        fuzz.run(mutate(random.choice(fuzz.seeds), fuzz.seeds, random))
    return fuzz.tell()


def by_coverage(start: Callable[[], Fuzz], seed: int, corpus: Path) -> int:
    """Let atheris choose what to mutate, by what of aks-audit an input reaches."""
    atheris: Any = importlib.import_module("atheris")  # which need not be installed
    with atheris.instrument_imports(include=["aks_audit", "jmespath", "tomllib"]):
        fuzz = start()
    corpus.mkdir(parents=True, exist_ok=True)
    for data in fuzz.seeds:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    def one(data: bytes) -> None:
        if fuzz.over:  # which libFuzzer would end without a word from us
            os._exit(fuzz.tell())
        fuzz.run(data)

    def mutated(data: bytes, most: int, chance: int) -> bytes:
        random = Random(chance)  # noqa: S311 - as above
        blind = random.randrange(10) == 0
        return bytes(atheris.Mutate(data, most) if blind else mutate(data, fuzz.seeds, random))[:most]

    longest = 2 * max(len(data) for data in fuzz.seeds) + 10_000
    bounds = [
        f"-seed={seed}",
        f"-max_len={longest}",
        "-timeout=86400",
        "-report_slow_units=86400",
        "-rss_limit_mb=0",
        f"-artifact_prefix={corpus}-",
    ]
    atheris.Setup([sys.argv[0], *bounds, str(corpus)], one, custom_mutator=mutated)
    atheris.Fuzz()
    return fuzz.tell()


def _ended(_: int, __: FrameType | None) -> None:
    raise HangError(f"more than {SECONDS} s")


def _each(names: list[str], told: argparse.Namespace) -> int:
    """Each target in a process of its own, so that none takes the memory of another."""
    options = ["--minutes", str(told.minutes), "--seed", str(told.seed), "--findings", str(told.findings)]
    engine = ["--engine", told.engine] if told.engine else []
    return max(subprocess.call([sys.executable, __file__, name, *options, *engine]) for name in names)


def main() -> int:
    """Fuzz what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="+")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--engine", choices=["atheris", "chance"], help="default: atheris where it is installed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--input", type=Path)
    told = parser.parse_args()
    if told.target == ["all"] or len(told.target) > 1:
        from fuzz.targets import TARGETS  # noqa: PLC0415 - as above

        return _each(list(TARGETS) if told.target == ["all"] else told.target, told)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, _ended)
    name = told.target[0]
    if told.input:
        fuzz = Fuzz(name, 0, told.findings)
        fuzz.run(told.input.read_bytes())
        return fuzz.tell()
    if told.engine == "chance" or (told.engine is None and not importlib.util.find_spec("atheris")):
        return by_chance(Fuzz(name, told.minutes, told.findings), told.seed)
    return by_coverage(lambda: Fuzz(name, told.minutes, told.findings), told.seed, told.findings / "corpus" / name)


if __name__ == "__main__":
    sys.exit(main())
