"""Findings as SARIF 2.1.0: for GitHub code scanning, for Azure DevOps, and for what reads all of the standard.

GitHub makes an alert of every result, whatever its `kind`, so only open failures are results there. It knows an alert
by rule id, path and fingerprint: none of them holds a version, a time or a spelling that changes from scan to scan. It
closes the alerts that a later upload of the same category does not repeat; hence:

- The category (`automationDetails.id`) is made of exactly what was asked, so that a scan of one subscription, of one
  cluster or of one checklist never closes what another had found. It takes precedence over the `category` input of
  `upload-sarif`, which is then ignored. Where the snapshot names no scope there is no category, and that input counts.
- Failures of the baseline that could not be evaluated again are results again, and say so.
- `executionSuccessful` is false where something in scope could not be read, or a rule crashed: then an absent result
  was perhaps not mended, but not seen. What was not read are notifications of the run.

A failure stands where the infrastructure's own code declares it, where that is known, and else in the resource's own
body. A rule's severity is all that GitHub shows (`security-severity` is a property of rules). Where a finding's own
severity differs, its level has it, and its message says it.
"""

import gzip

import msgspec

from aks_audit.report import Report
from aks_audit_reports.sarif import profile
from aks_audit_reports.sarif.convert import convert
from aks_audit_reports.sarif.profile import Profile
from aks_audit_reports.sarif.selection import select

_QUICK, _BEST = 1, 9
"""Levels of gzip; what fits by the first, as nearly all does, need not wait for the second."""


class SarifReporter:
    """Writes a SARIF file: the open failures, most severe first, as many of them as its reader takes."""

    def __init__(self, profile: Profile) -> None:
        self.file_name: str | None = profile.file_name
        self._profile = profile

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """The results as indented SARIF with a final newline."""
        del colour  # a file has none
        selection = select(report, whole=self._profile.whole)
        most = len(selection.failures)
        if self._profile.most_results is not None:
            most = min(most, self._profile.most_results)
        while True:
            data = msgspec.json.format(msgspec.json.encode(convert(report, selection, most, self._profile)), indent=2)
            data += b"\n"
            if most == 0 or self._fits(data):
                return data
            most //= 2

    def _fits(self, data: bytes) -> bool:
        most = self._profile.most_bytes
        if most is None or len(data) <= most:
            return True
        return any(len(gzip.compress(data, level)) <= most for level in (_QUICK, _BEST))


REPORTER = SarifReporter(profile.GITHUB)
"""A report as a SARIF log for GitHub code scanning."""

AZURE_DEVOPS = SarifReporter(profile.AZURE_DEVOPS)
"""A report as a SARIF log for GitHub Advanced Security for Azure DevOps."""

FULL = SarifReporter(profile.FULL)
"""A report as a SARIF log with everything that was found out."""
