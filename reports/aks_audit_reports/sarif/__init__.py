"""The failures as SARIF 2.1.0, for GitHub code scanning and whatever else reads the standard.

GitHub makes an alert of every result, whatever its `kind`, so only failures are results. It knows an alert by rule id,
path and fingerprint: none of them holds a version, a time or a spelling that changes from scan to scan. It closes the
alerts that a later upload of the same category does not repeat; hence:

- The category (`automationDetails.id`) is made of the scope that was scanned, so that a scan of one subscription never
  closes what a scan of another had found. It takes precedence over the `category` input of `upload-sarif`, which is
  then ignored. Where the snapshot names no scope there is no category, and that input counts.
- `executionSuccessful` is false where something in scope could not be read, or a rule crashed: then an absent result
  was perhaps not mended, but not seen. What was not read are notifications of the run.

A rule's severity is all that GitHub shows (`security-severity` is a property of rules). Where a finding's own severity
differs, its level has it, and its message says it.
"""

import gzip

import msgspec

from aks_audit.report import Report
from aks_audit_reports.sarif.convert import convert

MOST_RESULTS = 5_000
"""GitHub keeps so many results of a run."""

MOST_BYTES = 9_500_000
"""GitHub refuses a file over 10 MB, gzipped; no two compressors agree to the byte."""


class SarifReporter:
    """Writes `aks-audit.sarif`: the failures, most severe first, as many of them as GitHub takes."""

    file_name = "aks-audit.sarif"

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """The failures as indented SARIF with a final newline."""
        del colour  # a file has none
        most = min(len(report.failures()), MOST_RESULTS)
        while True:
            log = msgspec.json.encode(convert(report, most))
            data = msgspec.json.format(log, indent=2) + b"\n"
            if most == 0 or _fits(data):
                return data
            most //= 2


def _fits(data: bytes) -> bool:
    return len(data) <= MOST_BYTES or len(gzip.compress(data)) <= MOST_BYTES


REPORTER = SarifReporter()
