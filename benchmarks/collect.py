"""Times `aks-audit collect` against a Resource Manager on loopback, beside plain use of the SDK on the same server.

    python benchmarks/collect.py [--clusters 1 100 1000] [--large] [--limits] [--no-sdk] [--prowler PYTHON] [--runs 3]

The server runs in a process of its own, takes 80 ms for each answer and pages by 100. `chain` is the time that the
longest chain of calls takes which wait for each other, `floor` the same with no more than 64 calls at once. The raw
client makes the same calls by aiohttp alone and drops the answers; the SDK lists the types that our dependencies have
clients for, so it makes fewer calls. With `--limits` all clusters are in one subscription, throttled by Azure's
numbers, the floor is the throttle's where that is longer, and only aks-audit is timed, for it alone waits in time.
With `--prowler`, the Python of an environment that has it, prowler reads the same server and makes its checks of AKS;
beside it then stands a scan that makes all of ours.

Prints whole-process figures of the quickest of the runs, imports and sign-in (by a stand-in for `az` that answers at
once) included, and before them what a process costs that only imports; asserts nothing.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from aks_audit import snapshot
from aks_audit.sources.azure.limiter import ARM_BURST, ARM_RATE
from aks_audit.sources.azure.pipeline import CONNECTIONS
from compose.fleet import fleet
from live import environment
from measure import Run, whole

TESTS = Path(__file__).parent.parent / "tests"
DELAY = 0.08
PAGE = 100
LARGE = 5_000
SDK = Path(__file__).parent / "sdk_lists.py"
RAW = Path(__file__).parent / "raw_lists.py"
INSIDE = Path(__file__).parent / "inside.py"
PROWLER = Path(__file__).parent / "prowler_azure.py"
ENDS = {0, 1, 3}
"""How a process may end: well, with findings as aks-audit ends, or as prowler does."""

LONGEST_SEQUENCE = 1_000
"""With more clusters, calls one after the other are left out: 5,000 take seven minutes."""


class Server(NamedTuple):
    """A server in a process of its own."""

    variables: dict[str, str]
    process: subprocess.Popen[str]

    def statuses(self) -> Counter[str]:
        """End it, and give how many answers it gave, by status."""
        out, _ = self.process.communicate()
        return Counter(json.loads(out))


class Timed(NamedTuple):
    """A whole process, how many answers it was given by status, and how many questions it answered."""

    run: Run
    statuses: Counter[str]
    answers: int | None = None


@contextmanager
def served(file: Path, folder: Path, *, limits: bool, delay: float = DELAY) -> Iterator[Server]:
    """Serve a snapshot file."""
    command = [sys.executable, "-m", "resource_manager", str(file), "--page-size", str(PAGE), "--delay", str(delay)]
    with subprocess.Popen(
        [*command, *(["--limits"] if limits else [])],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        where = json.loads(process.stdout.readline() if process.stdout else "")
        yield Server(environment(where["url"], Path(where["ca_file"]), folder), process)


def timed(command: Sequence[str], folder: Path, server: Server | None = None) -> Timed:
    """Run a command to its end, against a server if there is one."""
    variables = server.variables if server else os.environ
    if server:
        variables = {**variables, "REQUESTS_CA_BUNDLE": variables["SSL_CERT_FILE"]}
    run = whole(command, folder, variables)
    if run.code not in ENDS:
        print(f"{' '.join(command)}: ended with {run.code}", file=sys.stderr)
    return Timed(run, server.statuses() if server else Counter[str](), _answers(folder))


def _answers(folder: Path) -> int | None:
    """How many questions a report in this folder answers, of ours or of prowler's; it is taken away."""
    for file in (folder / "out").glob("*.json"):
        command = [sys.executable, str(INSIDE), "answers", str(file)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        file.unlink()
        return int(json.loads(told)["answers"])
    return None


def collecting(folder: Path) -> list[str]:
    """The command that is timed."""
    out = str(folder / "out.jsonl")
    return [sys.executable, "-m", "aks_audit", "collect", "-o", out, "--auth", "cli", "--timeout", "3600", "--quiet"]


def scanning(folder: Path) -> list[str]:
    """The command that reads as much, asks all rules and reports."""
    command = [sys.executable, "-m", "aks_audit", "scan", "--auth", "cli", "--timeout", "3600", "--quiet"]
    return [*command, "--in-cluster", "none", "--format", "json", "--output", str(folder / "out")]


def prowler(python: str, folder: Path, subscriptions: Sequence[str]) -> list[str]:
    """The command that reads clusters, and makes prowler's checks of them."""
    scope = [python, str(PROWLER), ",".join(subscriptions), "azure", "--managed-identity-auth", "--services", "aks"]
    return [*scope, "--output-formats", "json-ocsf", "--output-directory", str(folder / "out")]


def calls(file: Path, folder: Path) -> list[str]:
    """The paths that a collection asks for, by its own log, a list's once for each page."""
    with served(file, folder, limits=False, delay=0) as server:
        command = [*collecting(folder)[:-1], "-v"]
        done = subprocess.run(command, cwd=folder, env=server.variables, capture_output=True, text=True, check=True)
        server.statuses()
    return [urlsplit(found).path.lower() for found in re.findall(r"GET (https://\S+)", done.stderr)]


def floors(paths: Sequence[str]) -> tuple[float, float]:
    """Seconds of the longest chain of calls that wait for each other; and those with so many calls at once."""
    stages: dict[int, Counter[str]] = {}
    for path in paths:
        # The list of subscriptions, then lists by subscription, then parts of what those hold.
        stages.setdefault(min(path.count("/"), 6), Counter())[path] += 1
    first, *rest = [stages[depth] for depth in sorted(stages)]
    chain = sum(max(stage.values()) for stage in (first, *rest))
    narrow = first.total() + math.ceil(sum(stage.total() for stage in rest) / CONNECTIONS)
    return chain * DELAY, max(chain, narrow) * DELAY


def throttle_floor(paths: Sequence[str]) -> float:
    """Seconds until the bucket of the busiest subscription has held a token for each call."""
    busiest = max(Counter(path.split("/")[2] for path in paths if path.count("/") > 1).values())
    return max(0.0, (busiest - ARM_BURST) / ARM_RATE)


def write_fleet(count: int, file: Path, *, together: bool) -> list[str]:
    """Write a fleet, `together` in one subscription, and give its subscriptions."""
    records = fleet(count)
    data = snapshot.encode(records)
    scopes = next(record.scope for record in records if isinstance(record, snapshot.Header))
    for scope in scopes[1:] if together else ():
        data = data.replace(scope.encode(), scopes[0].encode())
    # Listings fall together where subscriptions do, so the header's number of records no longer holds.
    data = re.sub(rb',"documents":\d+', b"", data, count=1)
    file.write_bytes(data)
    return [scope.rpartition("/")[2] for scope in (scopes[:1] if together else scopes)]


def row(count: int, name: str, done: Timed, least: float) -> str:
    """A line of the table."""
    total, run = done.statuses.total(), done.run
    return (
        f"{count:8,} {name:24} {total:7,} {run.wall:8.2f} {run.wall / least:7.2f} {run.cpu:7.2f} {run.peak_mib:9.0f}"
        f" {done.statuses['429'] / total:7.1%}"
    )


def line(count: int, name: str, done: Timed, least: float) -> str:
    """The same for a program."""
    told: dict[str, Any] = {"clusters": count, "name": name, "calls": done.statuses.total(), "floor": least}
    return json.dumps({**told, "answers": done.answers, "run": done.run})


def start(work: Path) -> None:
    """Print what a process costs before it makes a call."""
    imports = "import aiohttp, azure.identity.aio, aks_audit.sources.live"
    for name, command in {"--version": ["-m", "aks_audit", "--version"], "imports": ["-c", imports]}.items():
        run = min(timed([sys.executable, *command], work).run for _ in range(5))
        print(f"{'start':>8} {name:24} {run.wall:16.2f} {run.cpu:16.2f} {run.peak_mib:9.0f}", flush=True)


def measure(count: int, work: Path, asked: argparse.Namespace) -> None:
    """Time every client on a fleet of one size."""
    limits, sdk = asked.limits, not asked.no_sdk
    file = work / "fleet.jsonl"
    # In a process of its own: a child's peak is at least that of the process that started it.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        subscriptions = pool.submit(write_fleet, count, file, together=limits).result()
    commands = {"aks-audit collect": collecting(work)}
    if asked.prowler:
        commands["aks-audit scan"] = scanning(work)
        commands["prowler"] = prowler(asked.prowler, work, subscriptions)
    elif not limits:
        commands["aiohttp alone"] = [sys.executable, str(RAW)]
    for way in ("asynchronous", "sequential") if sdk and not limits else ():
        if way == "asynchronous" or count <= LONGEST_SEQUENCE:
            commands[f"SDK, {way}"] = [sys.executable, str(SDK), way, *subscriptions]
    paths = calls(file, work)
    chain, floor = floors(paths)
    least = max(floor, throttle_floor(paths)) if limits else floor
    if not asked.json:
        print(f"{count:8,} chain {chain:.2f} s, floor {least:.2f} s", flush=True)
    for name, command in commands.items():
        tried = []
        for _ in range(1 if "sequential" in name else asked.runs):
            with served(file, work, limits=limits) as server:
                tried.append(timed(command, work, server))
        print((line if asked.json else row)(count, name, min(tried, key=lambda done: done.run), least), flush=True)


def main() -> None:
    """Time each size, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, nargs="+", default=[1, 100, 1_000])
    parser.add_argument("--large", action="store_true", help=f"{LARGE:,} clusters too")
    parser.add_argument("--limits", action="store_true", help="throttle as Azure does, all in one subscription")
    parser.add_argument("--no-sdk", action="store_true", help="do not time the SDK")
    parser.add_argument("--prowler", metavar="PYTHON", help="time prowler, which the environment of this Python has")
    parser.add_argument("--json", action="store_true", help="print each figure as a line of JSON, and nothing else")
    parser.add_argument("--runs", type=int, default=1, help="how often each client is timed")
    arguments = parser.parse_args()
    heads = ("clusters", "client", "answers", "wall s", "/floor", "CPU s", "peak MiB", "429")
    if not arguments.json:
        print("{:>8} {:24} {:>7} {:>8} {:>7} {:>7} {:>9} {:>7}".format(*heads))
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        if not arguments.json:
            start(work)
        for count in [*arguments.clusters, *([LARGE] if arguments.large else [])]:
            measure(count, work, arguments)


if __name__ == "__main__":
    main()
