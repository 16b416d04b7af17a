"""Times the SARIF reporters on reports of 1,000 and 10,000 failures: processor time, best of several runs.

    python benchmarks/sarif.py [--runs 7]

Asserts nothing. The files for services hold 5,000 results at most, the whole file all of them.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from aks_audit.report import Report
from aks_audit.results import Outcome
from aks_audit_reports.sarif import AZURE_DEVOPS, FULL, REPORTER, SarifReporter
from report_samples import report


def timed(reporter: SarifReporter, document: Report, runs: int) -> tuple[float, int]:
    """The processor milliseconds of the fastest of some runs, and the size of the file in bytes."""
    best, size = float("inf"), 0
    for _ in range(runs):
        began = time.process_time()
        size = len(reporter.render(document))
        best = min(best, time.process_time() - began)
    return best * 1000, size


def main() -> None:
    """Render, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    print(f"{'failures':>10} {'file':30} {'ms':>7} {'MB':>6}")
    for clusters in (125, 1_250):
        document = report(clusters, outcome=Outcome.FAIL)
        for reporter in (REPORTER, AZURE_DEVOPS, FULL):
            spent, size = timed(reporter, document, runs)
            print(f"{len(document.findings):10,} {reporter.file_name!s:30} {spent:7.1f} {size / 1e6:6.1f}")


if __name__ == "__main__":
    main()
