"""Times a part of the program in a process of its own, the best of several, and prints it as JSON.

python benchmarks/inside.py decode FILE         a snapshot is read
python benchmarks/inside.py sarif FAILURES      a report of so many failures is rendered as SARIF, whole
python benchmarks/inside.py answers REPORT      not timed: how many questions a report answers, or says are unknown;
                                                of ours, of checkov's or of prowler's (OCSF)
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

RUNS = 7


class _Finding(msgspec.Struct):
    outcome: str


class _Summary(msgspec.Struct):
    passed: int
    failed: int


class _Checked(msgspec.Struct):
    status_code: str


class _Report(msgspec.Struct):
    """What is read of a report: of ours the findings, of checkov's the summary."""

    findings: tuple[_Finding, ...] = ()
    summary: msgspec.Raw = msgspec.Raw(b"null")


def best(work: Callable[[], object]) -> dict[str, float]:
    """Wall and processor seconds of the quickest of several times, and the peak of the whole process in MiB."""
    tried = []
    for _ in range(RUNS):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        tried.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu, wall = min(tried)
    return {"wall": wall, "cpu": cpu, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def decode(file: str) -> dict[str, float]:
    """Read a snapshot."""
    from aks_audit import snapshot  # noqa: PLC0415 - each part imports its own, for the peak to be its own

    return best(lambda: snapshot.read([Path(file)]))


def sarif(failures: str) -> dict[str, float]:
    """Render a report whose every finding is a failure, whole."""
    from aks_audit.results import Outcome  # noqa: PLC0415
    from aks_audit_reports.sarif import FULL  # noqa: PLC0415
    from report_samples import report  # noqa: PLC0415

    rules = len(report(1).findings)
    sample = report(max(1, round(int(failures) / rules)), outcome=Outcome.FAIL)
    return best(lambda: FULL.render(sample)) | {"answers": len(sample.findings)}


def answers(file: str) -> dict[str, int]:
    """Count the questions that arose."""
    report = msgspec.json.decode(Path(file).read_bytes(), type=_Report | tuple[_Checked, ...])
    if isinstance(report, tuple):
        return {"answers": sum(checked.status_code in {"PASS", "FAIL"} for checked in report)}
    if report.findings:
        return {"answers": sum(finding.outcome != "not-applicable" for finding in report.findings)}
    summary = msgspec.json.decode(report.summary, type=_Summary)
    return {"answers": summary.passed + summary.failed}


PARTS: Mapping[str, Callable[[str], Mapping[str, float]]] = {"decode": decode, "sarif": sarif, "answers": answers}


def main(arguments: Sequence[str]) -> None:
    """Do what is asked for."""
    what, given = arguments
    print(json.dumps(PARTS[what](given)))


if __name__ == "__main__":
    main(sys.argv[1:])
