"""Times every format on a report of 10,000 findings (or as many as are asked for).

    python benchmarks/formats.py [--findings 10000] [--runs 5] [--format csv,ocsf]

Prints the least and the median of several runs and the size of what was made; asserts nothing. A format that needs
what is not installed is left out.
"""

import argparse
import importlib.metadata
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import report_samples
from aks_audit.report import NeedyReporter, Report, Reporter, ReportError


def sample(findings: int) -> Report:
    """A report of about so many findings, of 50 rules about as many clusters as it takes."""
    copies = 7
    rules = len(report_samples.report(clusters=1, copies=copies).findings)
    return report_samples.report(clusters=max(1, round(findings / rules)), copies=copies)


def row(name: str, reporter: Reporter, report: Report, runs: int) -> str:
    """A line of the table."""
    seconds = []
    size = 0
    for _ in range(runs):
        began = time.perf_counter()
        size = len(reporter.render(report))
        seconds.append(time.perf_counter() - began)
    return f"{name:14} {1_000 * min(seconds):8.0f} {1_000 * statistics.median(seconds):8.0f} {size / 1_000_000:9.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="times every format")
    parser.add_argument("--findings", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--format", help="these alone, with commas between them")
    asked = parser.parse_args()
    report = sample(asked.findings)
    wanted = set(asked.format.split(",")) if asked.format else set()
    print(f"{len(report.findings):,} findings, {asked.runs} runs\n\nformat           least   median  (ms)    MB")
    for entry in sorted(importlib.metadata.entry_points(group="aks_audit.reports"), key=lambda entry: entry.name):
        if wanted and entry.name not in wanted:
            continue
        reporter: Reporter = entry.load()
        try:
            if isinstance(reporter, NeedyReporter):
                reporter.check()
        except ReportError as missing:
            print(f"{entry.name:14} left out: {missing}")
            continue
        print(row(entry.name, reporter, report, asked.runs))


if __name__ == "__main__":
    main()
