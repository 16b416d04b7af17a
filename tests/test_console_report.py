"""The report for the terminal."""

import re

import msgspec
import pytest

import report_samples
from aks_audit.results import Outcome
from aks_audit_reports.console import REPORTER, WIDTH
from aks_audit_reports.summary import short

GOLDEN = """\
6 failures, 1 of them critical, on 3 clusters
Score     64.7 %  (52.4 to 71.4 %)
Coverage  17 of 21 questions decided (81.0 %)
Failures  1 critical  1 high  2 medium  2 low

What should hold, but does not
  critical  AKS-API-04  The authorized IP ranges of a public API server do not add up to the whole …
                        aks-3: 0.0.0.0/1 and 128.0.0.0/1 together are every IPv4 address
  high      AKS-IAM-04  Local accounts are disabled
                        aks-1: Local accounts are enabled
  medium    AKS-NET-07  A network policy engine enforces NetworkPolicy objects
                        2 clusters, for example aks-1: No network policy engine is installed
  low       AKS-UPG-01  Kubernetes versions are upgraded automatically
                        2 clusters, for example aks-2: No upgrade channel is set

What could not be read (it leaves 4 findings unknown)
  Refused, 3 things, for example: Reading route table rt-3 was refused (403 AuthorizationFailed)
    It takes Microsoft.Network/routeTables/read on
    /subscriptions/11111111-1111-1111-1111-111111111111

Why it matters and how to mend it:  aks-audit explain AKS-API-04
The whole report, HTML to JSON:     aks-audit scan … --output DIR
"""

ESCAPE = re.compile(r"\x1b\[[0-9;]+m")


def test_ten_seconds_of_reading() -> None:
    assert REPORTER.render(report_samples.report()).decode() == GOLDEN


def test_colour_adds_codes_and_nothing_else() -> None:
    coloured = REPORTER.render(report_samples.report(), colour=True).decode()
    assert coloured != GOLDEN
    assert ESCAPE.sub("", coloured) == GOLDEN


@pytest.mark.parametrize("colour", [False, True])
def test_names_cannot_command_the_terminal_nor_turn_the_line_around(*, colour: bool) -> None:
    hostile = "\x1b]0;owned\x07\r\n\x9b2J\u202egnp.exe\u2066\ufeff"
    sample = report_samples.report(name=f"aks{hostile}-{{n}}", message=f"says {hostile}")
    shown = ESCAPE.sub("", REPORTER.render(sample, colour=colour).decode())
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "\\u001b]0;owned\\u0007\\u000d" in shown
    assert "\\u202egnp.exe\\u2066\\ufeff" in shown
    assert len(shown.splitlines()) == len(GOLDEN.splitlines()), "a line break in a name makes no line"


def test_a_report_of_any_size_is_short_and_narrow() -> None:
    lines = REPORTER.render(report_samples.report(clusters=200, copies=7)).decode().splitlines()
    assert len(lines) <= 40
    assert max(len(line) for line in lines) <= WIDTH
    assert "  and 46 rules more" in lines


def test_the_scope_to_grant_a_permission_on_is_never_cut_short() -> None:
    sample = report_samples.report(clusters=1, outcome=Outcome.UNKNOWN)
    scope = f"/subscriptions/{report_samples.SUBSCRIPTION}/resourceGroups/{'g' * 90}"
    missing = tuple(msgspec.structs.replace(item, scope=scope) for item in sample.coverage.unread)
    coverage = msgspec.structs.replace(sample.coverage, unread=missing)
    shown = REPORTER.render(msgspec.structs.replace(sample, coverage=coverage)).decode()
    assert scope in shown.replace("\n    ", "")


@pytest.mark.parametrize(
    ("clusters", "outcome", "first_line"),
    [
        (0, None, "No cluster was found in what was read"),
        (2, Outcome.PASS, "Nothing failed on 2 clusters"),
        (1, Outcome.UNKNOWN, "Nothing could be decided about 1 cluster"),
        (1, Outcome.FAIL, "8 failures, 1 of them critical, on 1 cluster"),
    ],
)
def test_the_verdict_says_what_is_so(clusters: int, outcome: Outcome | None, first_line: str) -> None:
    lines = REPORTER.render(report_samples.report(clusters, outcome=outcome)).decode().splitlines()
    assert lines[0] == first_line


def test_an_incomplete_scan_without_failures_does_not_read_as_a_clean_one() -> None:
    sample = report_samples.report(clusters=1, outcome=Outcome.PASS)
    incomplete = msgspec.structs.replace(sample, scan=msgspec.structs.replace(sample.scan, complete=False))
    assert REPORTER.render(incomplete).startswith(
        b"Nothing failed on 1 cluster, but not everything in scope was read\n"
    )
    unknown = msgspec.structs.replace(sample.score.overall, unknown=3)
    doubtful = msgspec.structs.replace(sample, score=msgspec.structs.replace(sample.score, overall=unknown))
    assert REPORTER.render(doubtful).startswith(b"Nothing failed on 1 cluster, but 3 questions could not be decided\n")


def test_resources_are_called_by_their_names() -> None:
    cluster = "/subscriptions/1/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/aks-prod"
    assert short(f"{cluster}/agentPools/user") == "aks-prod / user"
    assert short(f"{cluster}/api/v1/namespaces/shop/pods/web-1") == "aks-prod / shop/web-1"
    assert short(f"{cluster}/apis/apps/v1/namespaces/shop/deployments/web") == "aks-prod / shop/web"
    assert short(f"{cluster}/apis/rbac.authorization.k8s.io/v1/clusterroles/admin") == "aks-prod / admin"
    assert short(f"{cluster}/api/v1/namespaces/shop") == "aks-prod / shop"
    assert short("/subscriptions/1") == "/subscriptions/1"
