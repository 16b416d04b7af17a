"""Times a scan of a folder of clusters with all three reports, beside checkov on the same clusters as ARM templates.

    python benchmarks/scan.py [--clusters 200] [--runs 3] [--no-checkov]

checkov is installed from PyPI into a temporary environment. Prints whole-process wall time and peak memory; asserts
nothing. The two tools do not ask the same questions; the figures say what a user waits for.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from aks_audit import snapshot
from aks_audit.facts.resource_id import parse
from compose.fleet import fleet

TEMPLATE_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
CLUSTERS = "microsoft.containerservice/managedclusters"
API_VERSION = "2025-05-01"


class Timing(NamedTuple):
    """Whole-process wall seconds of several runs, and the largest peak of resident memory in MiB."""

    name: str
    seconds: list[float]
    peak_mib: float

    def row(self) -> str:
        """A line of the table."""
        low, middle, high = min(self.seconds), statistics.median(self.seconds), max(self.seconds)
        return f"{self.name:44} {low:8.2f} {middle:8.2f} {high:8.2f} {self.peak_mib:9.0f}"


def timed(name: str, command: Sequence[str], runs: int) -> Timing:
    """Run a command several times as a whole process."""
    seconds, peak = [], 0.0
    for _ in range(runs):
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(process.pid, 0)
        seconds.append(time.perf_counter() - began)
        peak = max(peak, usage.ru_maxrss / 1024)
    return Timing(name, seconds, peak)


def write_snapshots(records: Sequence[snapshot.Record], folder: Path) -> int:
    """Write one snapshot a cluster, with its group's records, and give the number of files."""
    header = next(record for record in records if isinstance(record, snapshot.Header))
    groups: dict[str, list[snapshot.Record]] = {}
    for record in records:
        if isinstance(record, snapshot.Resource | snapshot.Listing):
            where = record.id if isinstance(record, snapshot.Resource) else record.scope
            groups.setdefault(parse(where).subscription + parse(where).group, []).append(record)
    for number, group in enumerate(groups.values()):
        snapshot.write(folder / f"{number:04}.jsonl", [header, *group])
    return len(groups)


def write_templates(records: Sequence[snapshot.Record], folder: Path) -> None:
    """Write each cluster as an ARM template."""
    folder.mkdir()
    for number, record in enumerate(records):
        if isinstance(record, snapshot.Resource) and record.type.lower() == CLUSTERS:
            body = {key: value for key, value in record.body.items() if key not in {"id", "eTag"}}
            body["apiVersion"] = API_VERSION
            template = {"$schema": TEMPLATE_SCHEMA, "contentVersion": "1.0.0.0", "resources": [body]}
            (folder / f"{number:05}.json").write_text(json.dumps(template, indent=2), encoding="utf-8")


def checkov(folder: Path) -> str:
    """Install checkov into an environment of its own and give its command."""
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", "checkov"], check=True)
    return str(folder / "bin" / "checkov")


def main() -> None:
    """Make the clusters, time both tools, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-checkov", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        records = list(fleet(arguments.clusters))
        files = write_snapshots(records, work / "snapshots")
        size = sum(file.stat().st_size for file in (work / "snapshots").iterdir()) / 1e6
        print(f"{arguments.clusters} clusters, {len(records)} records, {files} files, {size:.1f} MB")
        print(f"{'':44} {'min s':>8} {'median s':>8} {'max s':>8} {'peak MiB':>9}")
        scan = [sys.executable, "-m", "aks_audit", "scan", "--snapshot", str(work / "snapshots")]
        print(timed("aks-audit scan, summary only", scan, arguments.runs).row())
        print(timed("aks-audit scan, all reports", [*scan, "--output", str(work / "out")], arguments.runs).row())
        if not arguments.no_checkov:
            write_templates(records, work / "templates")
            command = [checkov(work / "venv"), "--directory", str(work / "templates"), "--framework", "arm"]
            print(timed("checkov, clusters as ARM templates", [*command, "--compact"], arguments.runs).row())


if __name__ == "__main__":
    main()
