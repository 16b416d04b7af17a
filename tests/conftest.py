"""What holds for every test: deterministic property tests, and no silent skips where CI forbids them."""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where AKS_AUDIT_NO_SKIPS is set: CI installs all that tests need.

    What lies in ../shared is no part of the project, so tests of it may skip.
    """
    report = yield
    if report.skipped and os.environ.get("AKS_AUDIT_NO_SKIPS") and "../shared" not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and CI allows no skip: {report.longrepr}"
    return report
