"""Shows that the shards of a fleet, merged, make the snapshot and the reports of a single scan, byte for byte.

    python tests/merge_equality.py [CLUSTERS] [SHARDS]

Runs the installed command twice: `scan` of the whole fleet's snapshot, and `merge` of the snapshots of the shards, each
in a folder of its own. Prints what was compared, with digests, and ends with 1 where anything differs.
"""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from aks_audit import snapshot
from aks_audit.shards import Share
from compose.fleet import fleet
from shared_out import Whole, whole

FORMATS = "console,html,json,sarif"
SNAPSHOT = "fleet.jsonl.gz"


class Written(NamedTuple):
    """A file: how many bytes it has, and their SHA-256."""

    size: int
    sha256: str


class Made(NamedTuple):
    """What one way made: its exit code, the files and what it printed by their names, and how long it took."""

    code: int
    files: dict[str, Written]
    seconds: float
    cpu: float
    peak_mib: float


class Tally(NamedTuple):
    """What was compared: both ways, and how many subscriptions each shard had."""

    single: Made
    merged: Made
    shares: tuple[int, ...]

    @property
    def differing(self) -> list[str]:
        """The names of what is not the same, byte for byte."""
        names = sorted(self.single.files.keys() | self.merged.files.keys())
        differing = [name for name in names if self.single.files.get(name) != self.merged.files.get(name)]
        return [*differing, *["exit code"] * (self.single.code != self.merged.code)]


def compare(clusters: int, of: int, folder: Path, formats: str = FORMATS) -> Tally:
    """Make both in a folder."""
    estate = whole(fleet(clusters))
    shards = _write(estate, of, folder)
    reports = ["--output", "out", "--format", formats, "--quiet"]
    single = _run(folder / "single", ["scan", "--snapshot", SNAPSHOT, *reports])
    merged = _run(folder / "merged", ["merge", *shards, "--keep-snapshot", SNAPSHOT, *reports])
    return Tally(single, merged, tuple(len(Share(number, of).part(estate.header.scope)) for number in range(1, of + 1)))


def _write(estate: Whole, of: int, folder: Path) -> list[str]:
    """Write the whole where it is scanned, and the shards where they are merged, and give the names of those."""
    snapshot.write(folder / "single" / SNAPSHOT, estate.all)
    names = [f"{number}-of-{of}.jsonl.gz" for number in range(1, of + 1)]
    for name, records in zip(names, estate.shards(of), strict=True):
        snapshot.write(folder / "merged" / name, records)
    return names


def _run(folder: Path, arguments: list[str]) -> Made:
    began = time.perf_counter()
    with (folder / "printed").open("wb") as printed:
        command = [str(Path(sys.executable).with_name("aks-audit")), *arguments]
        process = subprocess.Popen(command, stdout=printed, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    made = [folder / SNAPSHOT, folder / "printed", *sorted((folder / "out").iterdir())]
    return Made(
        process.returncode,
        {path.name: _written(path) for path in made},
        time.perf_counter() - began,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024,
    )


def _written(path: Path) -> Written:
    with path.open("rb") as file:
        return Written(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def main() -> int:
    """Print the tally."""
    clusters, of = (int(text) for text in (*sys.argv[1:3], *("200", "8")[len(sys.argv) - 1 :]))
    with TemporaryDirectory(prefix="merge-equality-") as folder:
        tally = compare(clusters, of, Path(folder))
    sys.stdout.write("\n".join(lines(tally, clusters)) + "\n")
    return 1 if tally.differing else 0


def lines(tally: Tally, clusters: int) -> Iterator[str]:
    """The tally in words."""
    shares = "+".join(map(str, tally.shares))
    yield f"{clusters:,} clusters in {sum(tally.shares)} subscriptions; {len(tally.shares)} shards of {shares}"
    for name, made in (("scan", tally.single), ("merge", tally.merged)):
        yield f"{name}: exit code {made.code}, {made.seconds:.1f} s, {made.cpu:.1f} s of CPU, {made.peak_mib:,.0f} MiB"
    for name, file in tally.single.files.items():
        told = "differs" if name in tally.differing else "the same"
        yield f"{told:8} {name:20} {file.size:>14,} bytes  sha256 {file.sha256}"
    yield f"differing, byte for byte: {', '.join(tally.differing) or 'nothing'}"


if __name__ == "__main__":
    sys.exit(main())
