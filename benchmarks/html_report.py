"""Times how an HTML report of many findings is made, opened and filtered.

    python benchmarks/html_report.py [--clusters 500] [--rules 25]

A report has eight times as many findings as clusters and `--rules` multiplied. No two of its messages are alike, and
the first failure of each cluster is the cause of its others.
It is opened in headless Chromium, which must be on the path. Prints the size of the file, and of three runs the best:
seconds until the first screen is painted and until all findings can be searched, and for each way to ask how long the
page takes to answer; each also as CPU seconds of the page's own thread, which other work on the machine slows less.
Asserts nothing.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from playwright.sync_api import Browser, sync_playwright

from aks_audit.report import Report
from aks_audit.results import Outcome
from aks_audit_reports.html import REPORTER

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import report_samples

ASKING = {
    "critical only": "form.elements.severity[0].checked = true",
    "every finding": "for (const box of [...form.elements.outcome, ...form.elements.severity]) box.checked = false",
    "first search": "form.elements.text.value = 'rg-77 local'",
    "next search": "form.elements.text.value = 'rg-78 api'",
    "by resource": "form.elements.text.value = ''; form.elements.group.value = 'resource'",
    "by cause": "form.elements.group.value = 'cause'",
    "not grouped": "form.elements.group.value = 'none'",
}


def main() -> None:
    """Make the report, open it three times, and print the best."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, default=500)
    parser.add_argument("--rules", type=int, default=25)
    given = parser.parse_args()
    report = sample(given.clusters, given.rules)
    started = time.perf_counter()
    html = REPORTER.render(report)
    print(f"{len(report.findings):,} findings: made in {time.perf_counter() - started:.2f} s, {len(html) / 1e6:.1f} MB")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "aks-audit.html"
        file.write_bytes(html)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        runs = [dict(opened(browser, file.as_uri())) for _ in range(3)]
        browser.close()
    print(f"{'':14} {'wall s':>8} {'CPU s':>8}")
    for name in runs[0]:
        wall, cpu = (min(run[name][part] for run in runs) for part in (0, 1))
        print(f"{name:14} {wall:8.3f} {cpu:8.3f}")


def sample(clusters: int, rules: int) -> Report:
    """A report in which each finding says something of its own, and all failures of a cluster have one cause."""
    report = report_samples.report(clusters=clusters, copies=rules)
    first = {failure.resource: failure.fingerprint for failure in reversed(report.failures())}
    findings = tuple(
        msgspec.structs.replace(
            finding,
            message=f"{finding.message} ({number})",
            causes=(cause,)
            if finding.outcome is Outcome.FAIL and (cause := first[finding.resource]) != finding.fingerprint
            else (),
        )
        for number, finding in enumerate(report.findings)
    )
    return msgspec.structs.replace(report, findings=findings)


def opened(browser: Browser, address: str) -> Iterator[tuple[str, tuple[float, float]]]:
    """Open the page and ask it; gives wall and CPU seconds by what was done."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        metrics: list[dict[str, Any]] = session.send("Performance.getMetrics")["metrics"]
        return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")

    def timed(work: Callable[[], object]) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), busy()
        work()
        return time.perf_counter() - wall, busy() - cpu

    def load() -> None:
        page.goto(address)
        page.locator("html[data-ready]").wait_for(state="attached")

    ready = timed(load)
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000")
    yield "first painted", (painted, float("nan"))
    yield "all is there", ready
    for name, script in ASKING.items():
        ask = f"const form = document.getElementById('filter'); {script}; form.dispatchEvent(new Event('input'));"
        yield name, timed(partial(page.evaluate, f"() => {{ {ask} document.body.offsetHeight; }}"))
    context.close()


if __name__ == "__main__":
    main()
