"""Times the audit of clusters behind hubs, with the long lists that large estates have.

    python benchmarks/network.py [--clusters 250 500 1000] [--hubs 20] [--shared 10] [--profile]

Prints the processor's seconds that linking the facts and asking all rules take together, and the milliseconds of a
cluster; these stay the same where the time grows linearly. Making the estate, and reading its file, is not counted.
"""

import argparse
import cProfile
import gc
import pstats
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from aks_audit import snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate
from aks_audit.results import Finding
from compose.hubs import Sizes, hubs


class Timing(NamedTuple):
    """Processor seconds that an estate of so many clusters took, and its findings."""

    clusters: int
    linking: float
    judging: float
    findings: Sequence[Finding]

    def row(self) -> str:
        """A line of the table."""
        total = self.linking + self.judging
        each = total / self.clusters * 1000
        numbers = f"{self.clusters:8,} {self.linking:8.2f} {self.judging:8.2f} {total:8.2f} {each:11.2f}"
        return f"{numbers} {len(self.findings):9,}"


def timed(clusters: int, count: int, sizes: Sizes, profile: cProfile.Profile | None) -> Timing:
    """Make an estate, and time what is done with it."""
    recorded = snapshot.of(hubs(clusters, count, sizes))
    rules = load_rules()
    gc.collect()
    if profile:
        profile.enable()
    began = time.process_time()
    estate = Estate(recorded)
    linked = time.process_time()
    findings = audit(estate, rules)
    done = time.process_time()
    if profile:
        profile.disable()
    return Timing(clusters, linked - began, done - linked, findings)


def main() -> None:
    """Time each size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--hubs", type=int, default=20)
    parser.add_argument("--shared", type=int, default=Sizes().shared, help="clusters with one NSG and route table")
    parser.add_argument("--profile", action="store_true", help="show where the time went")
    arguments = parser.parse_args()
    sizes = Sizes(shared=arguments.shared)
    print(f"{arguments.hubs} hubs, {sizes.firewall_rules:,} rules a firewall policy, {sizes.security_rules} rules a")
    print(f"security group and {sizes.routes} routes a table, each of these for {sizes.shared} clusters")
    print(f"{'clusters':>8} {'link s':>8} {'judge s':>8} {'total s':>8} {'ms/cluster':>11} {'findings':>9}")
    for clusters in arguments.clusters:
        profile = cProfile.Profile() if arguments.profile else None
        done = timed(clusters, arguments.hubs, sizes, profile)
        print(done.row(), flush=True)
        show(done, profile)


def show(done: Timing, profile: cProfile.Profile | None) -> None:
    """Print what an estate's outcomes are, and where its time went if that was recorded."""
    outcomes = Counter(str(finding.outcome) for finding in done.findings)
    print(f"{'':8} {', '.join(f'{count:,} {outcome}' for outcome, count in outcomes.items())}", flush=True)
    if profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()
