"""One table: what aks-audit takes, what is aimed at, and what checkov and prowler take for their part of the work.

    benchmarks/run [--peers FOLDER] [--large] [--quick]

Figures are of whole processes with their byte code made: the least wall and CPU seconds of five runs and the largest
peak of resident memory, of one run where it is long. Decoding and SARIF are timed within a process, and opening HTML
within the page's own thread. `answers` are the questions that a tool decided, or said it could not. A peer stands below
what it is compared with; its ratios are its figure by ours, of CPU, of memory, and of CPU for each answer.

With `--peers`, both are installed into environments in this folder, where they are not there yet, and timed, too.
checkov reads the clusters as ARM templates, one a file, without their networks. prowler reads Azure alone, so the
loopback Resource Manager is its Azure; what it cannot be told of by arguments is put in by `prowler_azure.py`.

`--large` adds 10,000 clusters. `--quick` makes everything small: only the table's shape means something then. Asserts
nothing.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from measure import Run, least

HERE = Path(__file__).parent
OURS = [str(Path(sys.executable).with_name("aks-audit"))]
CHECKOV, PROWLER = "checkov==3.3.30", "prowler==5.46.0"
AKS_CHECKS = (4, 5, 6, 7, 8, 141, 168, 169, 171, 172, 226, 227)
"""The numbers of checkov's checks of managed clusters in ARM templates, each CKV_AZURE_…"""

COUNTED = 10**9
"""Answers are counted in reports of fewer bytes."""

HEADS = ("what", "wall s", "CPU s", "MiB", "answers", "aim", "met", "CPU ratio", "MiB ratio", "CPU/answer ratio")
WIDTHS = (52, 7, 7, 6, 9, 22, 3, 9, 9, 16)
WORDS = {0, 5, 6}
"""The columns of words, which stand to the left."""


class Sizes(NamedTuple):
    """How much is measured, and how often.

    Clusters, bytes of a snapshot, findings of a SARIF file, clusters of an HTML report, runs of a command.
    """

    clusters: int = 1_000
    large: int = 10_000
    snapshot: int = 50_000_000
    results: int = 10_000
    html: int = 500
    runs: int = 5


QUICK = Sizes(clusters=3, large=6, snapshot=100_000, results=100, html=1, runs=0)


class Aim(NamedTuple):
    """The most that something is to take: wall and CPU seconds, memory in MiB."""

    text: str
    wall: float = float("inf")
    cpu: float = float("inf")
    mib: float = float("inf")

    def met_by(self, run: Run) -> bool:
        """Whether a run took no more."""
        return run.wall <= self.wall and run.cpu <= self.cpu and run.peak_mib <= self.mib


class Row(NamedTuple):
    """A line of the table: what was measured, how many questions it answered, and the aim, or the row it is beside."""

    what: str
    run: Run
    answers: int | None = None
    aim: Aim | None = None
    beside: "Row | None" = None

    def cells(self) -> tuple[str, ...]:
        """What the columns say."""
        aim, met = (self.aim.text, "yes" if self.aim.met_by(self.run) else "no") if self.aim else ("", "")
        wall, cpu, mib, _ = self.run
        took = (f"{wall:.3f}", f"{cpu:.3f}", f"{mib:,.0f}" if mib else "", f"{self.answers:,}" if self.answers else "")
        return (self.what, *took, aim, met, *self._times())

    def _times(self) -> tuple[str, str, str]:
        """How many times as much as the row it is beside took; memory only where both had a process of their own."""
        if self.beside is None:
            return "", "", ""
        cpu = self.run.cpu / self.beside.run.cpu
        each = f"{cpu * self.beside.answers / self.answers:,.1f}" if self.answers and self.beside.answers else ""
        return f"{cpu:.1f}", f"{self.run.peak_mib / self.beside.run.peak_mib:.1f}", each


class Bench(NamedTuple):
    """What is measured with: a folder to work in, how much of each, and the folder of the peers' environments."""

    work: Path
    sizes: Sizes
    peers: Path | None
    large: bool

    def python(self, peer: str) -> str:
        """The Python of a peer's environment, made where it is not there."""
        assert self.peers  # noqa: S101 - asked for only where there are peers
        folder = self.peers.resolve() / peer.partition("==")[0]
        python = folder / "bin" / "python"
        if not python.exists():
            venv.create(folder, with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", peer], check=True)
        return str(python)

    def peer(self, name: str) -> list[str]:
        """The command of a peer."""
        return [str(Path(self.python(name)).with_name(name.partition("==")[0]))]

    def least(self, command: Sequence[str]) -> Run:
        """What a command takes."""
        return least(command, self.work, self.sizes.runs)

    def made(self, kind: str, count: int) -> Path:
        """An input that `inputs.py` makes."""
        place = self.work / f"{kind}-{count}"
        if not place.exists():
            subprocess.run([sys.executable, HERE / "inputs.py", kind, str(count), place], check=True)
        return place

    def inside(self, what: str, given: str) -> dict[str, Any]:
        """What `inside.py` says of a part. It reads long reports, too: a child's peak is at least this process's."""
        told = subprocess.run([sys.executable, HERE / "inside.py", what, given], check=True, stdout=subprocess.PIPE)
        found: dict[str, Any] = json.loads(told.stdout)
        return found

    def scanned(self, what: str, snapshot: Path, aim: Aim | None = None) -> Row:
        """A scan of a recorded estate with all rules, to JSON and SARIF."""
        out = self.work / "out"
        scan = [*OURS, "scan", "--snapshot", str(snapshot), "--format", "json,sarif", "--output", str(out), "--quiet"]
        run = self.least(scan)
        report = out / "aks-audit.json"
        if not report.exists():
            sys.exit(f"no report was made: {' '.join(scan)}")
        few = report.stat().st_size < COUNTED
        answers = self.inside("answers", str(report))["answers"] if few else None
        report.unlink()
        return Row(what, run, answers, aim)

    def checkov(self, what: str, clusters: int, beside: Row, *more: str) -> Row:
        """What checkov takes for the clusters of a scan."""
        folder = self.made("templates", clusters)
        command = [
            *self.peer(CHECKOV),
            "--directory",
            str(folder),
            "--framework",
            "arm",
            "--skip-download",
            "--compact",
        ]
        run = self.least([*command, "--output", "json", *more, "--output-file-path", str(self.work)])
        answers = self.inside("answers", str(self.work / "results_json.json"))["answers"]
        return Row(f"  checkov, {what}", run, answers, beside=beside)


def rows(bench: Bench) -> Iterator[Row]:
    """All that is measured, peers below what they are compared with."""
    yield from starts(bench)
    yield from offline(bench)
    yield from parts(bench)
    yield from live(bench)


def starts(bench: Bench) -> Iterator[Row]:
    """What it takes to start."""
    ours = Row("aks-audit --help", bench.least([*OURS, "--help"]), aim=Aim("0.06 s", wall=0.06))
    yield ours
    for peer, more in {CHECKOV: ["--skip-download"], PROWLER: []}.items() if bench.peers else ():
        yield Row(f"  {peer.replace('==', ' ')} --help", bench.least([*bench.peer(peer), *more, "--help"]), beside=ours)
    listed = Row("aks-audit rules: all are listed", bench.least([*OURS, "rules"]))
    yield listed
    if bench.peers:
        every = bench.least([*bench.peer(CHECKOV), "--skip-download", "--list", "--framework", "arm"])
        yield Row("  checkov --list --framework arm", every, beside=listed)
        checks = bench.least([*bench.peer(PROWLER), "azure", "--list-checks"])
        yield Row("  prowler azure --list-checks", checks, beside=listed)
    demo = bench.least([*OURS, "scan", "--demo"])
    yield Row("aks-audit scan --demo", demo, aim=Aim("0.5 s", wall=0.5))


def offline(bench: Bench) -> Iterator[Row]:
    """Scans of recorded estates."""
    some = bench.sizes.clusters
    checks = ("--check", ",".join(f"CKV_AZURE_{number}" for number in AKS_CHECKS))
    one = bench.scanned("scan of a recorded cluster, JSON and SARIF", bench.made("fleet", 1))
    yield one
    if bench.peers:
        yield bench.checkov("its 12 checks of the cluster", 1, one, *checks)
    aim = Aim("5 s CPU, 300 MB", cpu=5, mib=300e6 / 2**20)
    many = bench.scanned(f"scan of {some:,} with their networks, JSON and SARIF", bench.made("fleet", some), aim)
    yield many
    if bench.peers:
        yield bench.checkov(f"its 12 checks of {some:,} clusters alone", some, many, *checks)
        yield bench.checkov(f"all it has for ARM, {some:,} clusters alone", some, many)
    yield bench.scanned(f"scan of {some:,} behind 20 hubs, JSON and SARIF", bench.made("hubs", some), aim)
    if bench.large:
        most = bench.sizes.large
        times = most / some
        aim = Aim(f"under {times:.0f} times 1,000's", mib=times * many.run.peak_mib)
        yield bench.scanned(f"scan of {most:,} with their networks", bench.made("fleet", most), aim)


def parts(bench: Bench) -> Iterator[Row]:
    """Parts of a scan: a snapshot is decoded, SARIF is made, an HTML report is opened."""
    file = bench.made("bytes", bench.sizes.snapshot)
    decoded = bench.inside("decode", str(file))
    yield Row(
        f"a snapshot of {file.stat().st_size / 1e6:.0f} MB is read", run_of(decoded), aim=Aim("0.06 s CPU", cpu=0.06)
    )
    made = bench.inside("sarif", str(bench.sizes.results))
    yield Row(f"SARIF of {made['answers']:,} results is made", run_of(made), aim=Aim("0.05 s CPU", cpu=0.05))
    command = [sys.executable, str(HERE / "html_report.py"), "--clusters", str(bench.sizes.html)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    opened = re.search(r"(?m)^all is there +([\d.]+) +([\d.]+)$", told.stdout)
    if opened is None:
        print(f"HTML is left out: {told.stderr.strip().rpartition(os.linesep)[2]}", file=sys.stderr)
        return
    page = Run(float(opened[1]), float(opened[2]), 0)
    yield Row(f"HTML of {told.stdout.partition(' ')[0]} findings is opened", page, aim=Aim("0.5 s CPU", cpu=0.5))


def live(bench: Bench) -> Iterator[Row]:
    """Collections and scans of what a server on loopback says, which takes 80 ms for each answer."""
    some = bench.sizes.clusters
    command = [sys.executable, str(HERE / "collect.py"), "--clusters", str(some), "--no-sdk", "--json"]
    more = ["--prowler", bench.python(PROWLER)] if bench.peers else []
    told = subprocess.run([*command, *more], check=True, stdout=subprocess.PIPE)
    found = {one["name"]: one for one in map(json.loads, told.stdout.splitlines())}
    collected = found["aks-audit collect"]
    floor = collected["floor"] * 1.25
    aim = Aim(f"{floor:.2f} s, 0.6 s CPU", wall=floor, cpu=0.6)
    yield Row(f"collection of {some:,} live, {collected['calls']:,} calls of 80 ms", Run(*collected["run"]), aim=aim)
    if bench.peers:
        ours, theirs = found["aks-audit scan"], found["prowler"]
        scan = Row(f"scan of {some:,} live with their networks, JSON", Run(*ours["run"]), ours["answers"])
        yield scan
        yield Row(
            f"  prowler, its checks of {some:,} clusters alone", Run(*theirs["run"]), theirs["answers"], beside=scan
        )


def run_of(told: Mapping[str, float]) -> Run:
    """A run as `inside.py` tells it."""
    return Run(told["wall"], told["cpu"], told["peak_mib"])


def printed(cells: Sequence[str]) -> str:
    """A line of the table: words to the left, numbers to the right."""
    padded = [
        cell.ljust(width) if place in WORDS else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="time checkov and prowler, installed here")
    parser.add_argument("--large", action="store_true", help=f"{Sizes().large:,} clusters too")
    parser.add_argument("--quick", action="store_true", help="make everything small, to see that it runs")
    given = parser.parse_args()
    processors = len(os.sched_getaffinity(0))
    print(f"{datetime.now(UTC).date()}, {processors} processors, Python {platform.python_version()}\n")
    print(printed(HEADS))
    rules = (("-" if place in WORDS else "-:").rjust(width, "-") for place, width in enumerate(WIDTHS))
    print(printed(tuple(rules)))
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(Path(work), QUICK if given.quick else Sizes(), given.peers, given.large)
        for row in rows(bench):
            print(printed(row.cells()), flush=True)


if __name__ == "__main__":
    main()
