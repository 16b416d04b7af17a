"""The report for the terminal."""

import re

import msgspec
import pytest

import full_reports
import report_samples
from aks_audit.report import EntryState, Policy
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


FULL = """\
5 failures, 1 of them high, on 3 clusters
Score     64.7 %  (52.4 to 71.4 %)
Coverage  17 of 21 questions decided (81.0 %)
Failures  1 high  2 medium  2 low
Accepted  1 failure beside these, in the score too; the exception ends on 2026-12-01
Change    Failures since 2026-11-20 12:00 UTC (score then 64.7 %): 1 new, 1 mended or gone, 4 as
          before, 1 not looked at again

What to do first, by the risk that it takes away for what it costs
  1. The door is shut: aks-3, 1 failure                                 aks-audit explain AKS-API-04
  2. The door is shut: aks-1, 1 failure                                 aks-audit explain AKS-IAM-04
  3. The door is shut: aks-1 and 1 more, 2 failures                     aks-audit explain AKS-NET-07
  4. The door is shut: aks-2 and 1 more, 2 failures                     aks-audit explain AKS-UPG-01
"""

EXPIRED = """
What people decided, and is at fault, unused or expires
  Kept open:7: exception of AKS-IAM-04: Kept open

The whole report, HTML to JSON:     aks-audit scan … --output DIR
"""


def test_what_to_do_first_and_what_changed_stand_before_the_rest() -> None:
    shown = REPORTER.render(full_reports.full()).decode()
    assert shown.startswith(FULL)
    assert shown.endswith(EXPIRED)


def test_entries_at_fault_come_before_those_that_only_end_soon() -> None:
    sample = full_reports.full()
    entry = sample.policy.entries[0]
    states: tuple[EntryState, ...] = ("unused", "expiring", "in-force", "expired", "malformed")
    entries = tuple(msgspec.structs.replace(entry, state=state, says=state) for state in states)
    shown = REPORTER.render(msgspec.structs.replace(sample, policy=Policy("f", entries))).decode()
    told = [line.rpartition(": ")[2] for line in shown.splitlines() if line.startswith("  f:7: ")]
    assert told == ["malformed", "expired", "expiring"]
    assert "  and 1 more: aks-audit config check" in shown


@pytest.mark.parametrize("text", full_reports.HOSTILE)
def test_what_people_and_fixes_say_cannot_command_the_terminal(text: str) -> None:
    hostile = [full_reports.full(message=text), full_reports.full(name=f"{text}-{{n}}")]
    fixes = [msgspec.structs.replace(fix, rules=(f"{text}{'x' * 200}",)) for fix in hostile[0].fixes]
    for sample in (*hostile, msgspec.structs.replace(hostile[0], fixes=tuple(fixes))):
        shown = REPORTER.render(sample).decode()
        assert all(character.isprintable() or character == "\n" for character in shown)
        assert max(map(len, shown.splitlines())) <= WIDTH


def test_all_of_it_together_is_still_short() -> None:
    sample, many = full_reports.full(), report_samples.report(clusters=200, copies=7)
    fixes = tuple(full_reports.fix(failure, "x") for failure in many.failures())
    everything = msgspec.structs.replace(many, fixes=fixes, policy=sample.policy, comparison=sample.comparison)
    lines = REPORTER.render(everything).decode().splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= WIDTH
    assert "  and 51 rules more" in lines
    assert "  and 51 more" in lines


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
