"""No alert closes because nobody looked: code scanning replayed, over uploads of the installed command's own files."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from aks_audit.cli import main
from aks_audit.report import Comparison, Report
from aks_audit.results import Finding, Outcome
from aks_audit_reports.sarif import REPORTER
from decisions import exception
from full_reports import DEMO
from live import Done, run
from reports import GROUP, SCOPE, cluster_id, finding, report_of, rule_text
from resource_manager import ResourceManager, load
from sarif_logs import EXEMPTION

REFUSED = ("Microsoft.Network/routeTables/read", "Microsoft.Network/networkSecurityGroups/read")


class Alert(NamedTuple):
    """What code scanning knows an alert by, within a category."""

    rule: str
    path: str
    fingerprint: str


class CodeScanning:
    """What opens and closes alerts in GitHub, where nothing but the results counts: the worst that can happen.

    An upload takes the place of the last one of its category; an alert is open as long as a category has it.
    """

    def __init__(self) -> None:
        self._uploads: dict[str, frozenset[Alert]] = {}

    @property
    def open(self) -> frozenset[Alert]:
        """The alerts that are open."""
        return frozenset().union(*self._uploads.values())

    def upload(self, log: Mapping[str, Any]) -> frozenset[Alert]:
        """Take a file, and give the alerts that it closes."""
        before = self.open
        (one,) = log["runs"]
        category = one["automationDetails"]["id"].rpartition("/")[0]
        self._uploads[category] = frozenset(_alerts(one["results"]))
        return before - self.open


def _alerts(results: list[dict[str, Any]]) -> Iterator[Alert]:
    for result in results:
        path = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        yield Alert(result["ruleId"], path, result["partialFingerprints"]["primaryLocationLineHash"])


def sarif(folder: Path, name: str) -> dict[str, Any]:
    """The SARIF file that a scan wrote into a folder."""
    log: dict[str, Any] = json.loads((folder / name / "aks-audit.sarif").read_bytes())
    return log


def scan(server: ResourceManager, folder: Path, name: str, *options: str) -> Done:
    """Scan into a folder of this name."""
    done = run(server, folder, "scan", "--format", "json,sarif", "--output", name, "--in-cluster", "none", *options)
    assert done.code in {1, 3}, done.err
    return done


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of a first scan, and of some that had it for a baseline.

    Of those, one was partly refused (once more without the baseline), one saw no cluster, one looked at a cluster,
    and one asked a checklist. One that saw everything came after the one that was partly refused.
    """
    folder = tmp_path_factory.mktemp("alerts")
    records = load(DEMO)
    baseline = ("--baseline", "first/aks-audit.json")
    with ResourceManager(records) as server:
        scan(server, folder, "first")
        scan(server, folder, "narrow", "--cluster", "aks-sho?", *baseline)
        scan(server, folder, "listed", "--checklist", "azure-firewall-egress", *baseline)
    with ResourceManager(records, deny=dict.fromkeys(REFUSED)) as server:
        scan(server, folder, "refused")
        scan(server, folder, "carried", *baseline)
    with ResourceManager(records, deny={"Microsoft.ContainerService/managedClusters/read": None}) as server:
        scan(server, folder, "blind", *baseline)
    with ResourceManager(records) as server:
        scan(server, folder, "again", "--baseline", "carried/aks-audit.json")
    return folder


@pytest.mark.parametrize("second", ["carried", "blind"])
def test_a_second_scan_that_was_refused_in_part_or_all_closes_no_alert(second: str, scanned: Path) -> None:
    github = CodeScanning()
    assert not github.upload(sarif(scanned, "first"))
    opened = github.open
    assert len(opened) > 50
    assert github.upload(sarif(scanned, second)) == frozenset()
    assert github.open == opened


def test_without_the_baseline_it_would_close_some_and_says_so(scanned: Path) -> None:
    github = CodeScanning()
    github.upload(sarif(scanned, "first"))
    refused = sarif(scanned, "refused")
    assert github.upload(refused)
    (invocation,) = refused["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    (hint,) = [one for one in invocation["toolExecutionNotifications"] if "--baseline" in one["message"]["text"]]
    assert hint["level"] == "warning"


def test_what_was_carried_says_which_read_was_refused(scanned: Path) -> None:
    (one,) = sarif(scanned, "carried")["runs"]
    carried = [result for result in one["results"] if result["properties"].get("carried")]
    assert carried
    for result in carried:
        assert "An earlier scan found this, and it could not be evaluated again: " in result["message"]["text"]
        assert any(f"action '{action}'" in result["message"]["text"] for action in REFUSED)
    assert one["invocations"][0]["executionSuccessful"] is False


def test_what_is_seen_again_is_no_news(scanned: Path) -> None:
    github = CodeScanning()
    github.upload(sarif(scanned, "first"))
    github.upload(sarif(scanned, "carried"))
    opened = github.open
    assert github.upload(sarif(scanned, "again")) == frozenset()
    assert github.open == opened
    assert not any(result["properties"].get("carried") for result in sarif(scanned, "again")["runs"][0]["results"])


@pytest.mark.parametrize("narrow", ["narrow", "listed"])
def test_a_scan_of_less_closes_nothing_and_holds_nothing_open_that_it_was_not_asked(narrow: str, scanned: Path) -> None:
    github = CodeScanning()
    first, less = sarif(scanned, "first"), sarif(scanned, narrow)
    github.upload(first)
    assert github.upload(less) == frozenset()
    assert less["runs"][0]["automationDetails"] != first["runs"][0]["automationDetails"]
    assert 0 < len(less["runs"][0]["results"]) < len(first["runs"][0]["results"])
    assert _beside(json.loads((scanned / narrow / "aks-audit.json").read_bytes()), less) == []


def _beside(report: dict[str, Any], log: Mapping[str, Any]) -> list[str]:
    """The results about what a scan was not asked: clusters that it did not name, rules of no checklist of its own."""
    clusters = {cluster["id"].lower() for cluster in report["clusters"]}
    rules = {rule["id"] for rule in report["rules"]}
    return [
        result["ruleId"]
        for result in log["runs"][0]["results"]
        if result["ruleId"] not in rules or not clusters & {one.lower() for one in result["properties"]["clusters"]}
    ]


def asked(report: Report, **scan: Any) -> Report:  # noqa: ANN401 - any part of a scan
    """A report of a scan that differs in some part."""
    return msgspec.structs.replace(report, scan=msgspec.structs.replace(report.scan, **scan))


def carrying(*carried: Finding, now: tuple[Finding, ...] = (), **scan: Any) -> list[str]:  # noqa: ANN401 - as above
    """The results about failures that a comparison carried on, by the name of the resource."""
    report = asked(report_of([finding("now"), *now], [rule_text(), rule_text("AKS-TST-02")]), **scan)
    comparison = Comparison(None, report.score.overall, 0, 0, 0, (), carried)
    log = json.loads(REPORTER.render(msgspec.structs.replace(report, comparison=comparison)))
    names = [result["locations"][0]["logicalLocations"][0]["name"] for result in log["runs"][0]["results"]]
    return sorted(name for name in names if name != "now")


OTHER = "/subscriptions/22222222-2222-2222-2222-222222222222"
ELSEWHERE = cluster_id("away").replace(SCOPE, OTHER)
AWAY = msgspec.structs.replace(finding("away"), resource=ELSEWHERE, clusters=(ELSEWHERE,))


def test_what_is_carried_is_of_the_scans_own_category() -> None:
    assert carrying(finding("old"), AWAY) == ["old"]
    assert carrying(finding("old"), AWAY, scope=(SCOPE.upper(), OTHER)) == [
        "away",
        "old",
    ]
    shared = msgspec.structs.replace(AWAY, clusters=(ELSEWHERE, cluster_id("here")))
    nobodys = msgspec.structs.replace(AWAY, clusters=())
    assert carrying(shared) == carrying(nobodys) == ["away"]
    assert carrying(finding("old"), AWAY, scope=()) == ["away", "old"]
    assert carrying(AWAY, scope=("/providers/Microsoft.Management/managementGroups/all",)) == ["away"]


def test_what_is_carried_of_a_narrowed_scan_is_what_it_was_narrowed_to() -> None:
    old, other = finding("old-1"), finding("other")
    group = GROUP.rpartition("/")[2]
    for told in (("cluster=old-*", "cluster=now"), (f"cluster={cluster_id('old-1').lower()}", "cluster=now")):
        assert carrying(old, other, narrowed=told) == ["old-1"]
    assert carrying(old, other, narrowed=(f"resource-group={group}",)) == ["old-1", "other"]
    assert carrying(old, narrowed=("resource-group=rg-other",), now=()) == ["old-1"]
    assert carrying(old, other, narrowed=("tag=team=a",)) == ["old-1", "other"]


def test_what_an_accepted_failure_was_is_left_to_the_person_who_accepted_it() -> None:
    assert carrying(msgspec.structs.replace(finding("old"), exception=EXEMPTION)) == []


def test_what_people_decide_now_holds_for_what_is_carried_too(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    decided = tmp_path / "aks-audit.toml"
    scans = ["scan", "--demo", "--quiet", "--format", "json,sarif", "--config", str(decided), "--output"]
    decided.write_text(accepting("AKS-IAM-04"), encoding="utf-8")
    main([*scans, str(first)])
    decided.write_text(accepting("AKS-API-01"), encoding="utf-8")
    baseline = ("--baseline", str(first / "aks-audit.json"), "--checklist", "azure-firewall-egress")
    main([*scans, str(second), *baseline])
    report = json.loads((second / "aks-audit.json").read_bytes())
    accepted = {one["rule"] for one in report["comparison"]["carried"] if one.get("exception")}
    assert accepted == {"AKS-API-01"}
    assert {one["rule"] for one in report["comparison"]["carried"]} > {"AKS-API-01", "AKS-IAM-04"}
    assert [one["state"] for one in report["policy"]["entries"]] == ["in-force"]


def accepting(rule: str) -> str:
    """Decisions that accept all failures of a rule, for a while from today."""
    expires = datetime.now(UTC).date() + timedelta(days=100)
    return exception(rule=f'"{rule}"', resource_glob='"/subscriptions/*"', expires=str(expires))


def test_an_alert_whose_value_is_new_to_this_version_stays_open_by_the_baseline_alone() -> None:
    unknown = finding("old", outcome=Outcome.UNKNOWN, message="Mode `Fancy` is new to this version")
    assert report_of([unknown]).scan.complete
    assert carrying(now=(unknown,)) == []
    assert carrying(finding("old"), now=(unknown,)) == ["old"]
