"""`aks-audit due`: what ends when, what is overdue, and what nobody can tell."""

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit import report, snapshot
from aks_audit.cli import main
from aks_audit.due import DueList, as_text, due, span
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate
from aks_audit.results import Finding, Severity
from aks_audit_rules.dates import CALENDAR
from cases import BASE, CLUSTER, INSIDE, RULE_CASES, Case, estate_of, read_cases, records_of

RULES = {rule.id: rule for rule in load_rules()}
DATED = [rule for rule in RULES.values() if rule.dated]
VERSION, CHANNEL = "cluster properties.currentKubernetesVersion", "cluster properties.autoUpgradeProfile.upgradeChannel"
PLAN, PLUGIN = "cluster properties.supportPlan", "cluster properties.networkProfile.networkPlugin"
IMAGE, IMAGE_OF_POD = "deployment spec.template.spec.containers.0.image", "pod spec.containers.0.image"
DAYS = st.dates(dt.date(1990, 1, 1), dt.date(2400, 1, 1))


def records(day: str = "2026-11-20", *files: Path, **changes: Any) -> list[snapshot.Record]:  # noqa: ANN401 - as cases have
    """The base estate on a day, changed as cases change it; with what is inside it, where no files are named."""
    case = Case(name="", expect="", **changes)
    found = records_of(case, *(files or (BASE, INSIDE)))
    return [
        msgspec.structs.replace(one, finished=f"{day}T06:00:00Z") if isinstance(one, snapshot.Header) else one
        for one in found
    ]


def asked(found: Iterable[snapshot.Record], until: str = "2027-11-20") -> DueList:
    """What is due from the day of the records until another."""
    recorded = snapshot.of(list(found))
    estate = Estate(recorded)
    day = dt.date.fromisoformat(str(recorded.finished)[:10])
    made = report.build(recorded, DATED, audit(estate, DATED), ())
    return due(made, estate, day, dt.date.fromisoformat(until))


def told(found: DueList) -> list[tuple[str, str | None, int | None]]:
    return [(item.what, item.date, item.days) for cluster in found.clusters for item in cluster.due]


def run(tmp_path: Path, found: Sequence[snapshot.Record], *options: str) -> int:
    """The exit code of the command about records."""
    snapshot.write(tmp_path / "estate.jsonl", found)
    return main(["due", "--snapshot", str(tmp_path / "estate.jsonl"), *options])


def of_rule(rule: str, found: Iterable[snapshot.Record]) -> Finding:
    (finding,) = audit(Estate(snapshot.of(list(found))), [RULES[rule]])
    return finding


def test_the_earliest_stands_first_and_what_has_ended_before_what_ends() -> None:
    changes = {VERSION: "1.33.5", PLUGIN: "kubenet", "cluster properties.networkProfile.loadBalancerSku": "Basic"}
    found = asked(records(set=changes), "2028-04-01")
    assert told(found) == [
        ("The Basic load balancer", "2025-09-30", -416),
        ("Support of Kubernetes 1.33", "2026-07-31", -112),
        ("kubenet networking", "2028-03-31", 497),
    ]
    assert [item.overdue for cluster in found.clusters for item in cluster.due] == [True, True, False]


@pytest.mark.parametrize(("until", "there"), [("2026-11-29", False), ("2026-11-30", True)])
def test_the_last_day_belongs_to_the_span(until: str, there: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    assert bool(told(asked(records(), until))) is there


@pytest.mark.parametrize(("day", "overdue"), [("2026-11-29", False), ("2026-11-30", True)])
def test_on_its_day_support_is_over(day: str, overdue: bool) -> None:  # noqa: FBT001 - as above
    found = asked(records(day))
    assert [item.overdue for cluster in found.clusters for item in cluster.due] == [overdue]
    assert of_rule("AKS-CP-01", records(day)).outcome == ("fail" if overdue else "pass")


def test_what_several_resources_share_is_told_once() -> None:
    image = "docker.io/library/node:22-alpine"
    found = asked(records(set={IMAGE: image, IMAGE_OF_POD: image, "pod-b spec.containers.0.image": image}))
    (item,) = [one for cluster in found.clusters for one in cluster.due if "node" in one.what]
    assert (item.date, item.rule) == ("2027-05-01", "AKS-KS-21")
    assert item.resources == (f"{CLUSTER}/apis/apps/v1/namespaces/shop/deployments/web",)
    assert "The image docker.io/library/node:22-alpine of shop/web, in 162 days" in as_text(found, width=300)


def test_a_list_that_is_newer_than_the_calendar_takes_its_day_away() -> None:
    place = f"{CLUSTER.partition('/resourceGroups')[0]}/providers/Microsoft.ContainerService/locations/westeurope"
    body = {"id": f"{place}/kubernetesVersions", "type": "Microsoft.ContainerService/locations/kubernetesVersions"}
    held = {"version": "1.34", "capabilities": {"supportPlan": ["KubernetesOfficial"]}, "patchVersions": {}}
    longer = [json.dumps(body | {"value": [held]})]
    assert told(asked(records("2026-11-29", add=longer))) == [("Support of Kubernetes 1.34", "2026-11-30", 1)]
    assert told(asked(records("2026-12-01", add=longer))) == []
    shorter = [json.dumps(body | {"value": [held | {"version": "1.35"}]})]
    assert told(asked(records("2026-11-29", add=shorter))) == [("Support of Kubernetes 1.34", None, None)]
    assert told(asked(records("2026-12-01", add=shorter))) == [("Support of Kubernetes 1.34", "2026-11-30", -1)]
    community = [json.dumps(body | {"value": [held | {"capabilities": {"supportPlan": ["AKSLongTermSupport"]}}]})]
    assert told(asked(records("2026-12-01", add=community))) == [("Support of Kubernetes 1.34", "2026-11-30", -1)]


def test_a_version_from_before_the_calendar_is_over_on_a_day_that_nobody_knows() -> None:
    found = asked(records(set={VERSION: "1.20.7"}), "2026-11-20")
    assert told(found) == [("Support of Kubernetes 1.20", None, None)]
    assert "  ?           Support of Kubernetes 1.20, over: upgrade the cluster" in as_text(found)


@pytest.mark.parametrize(
    ("version", "plan", "action"),
    [
        ("1.34.2", "KubernetesOfficial", "upgrade the cluster, or take long-term support until 2027-11-30"),
        ("1.31.2", "KubernetesOfficial", "upgrade the cluster"),  # ten days of it are left
        ("1.32.2", "AKSLongTermSupport", "upgrade the cluster"),
    ],
)
def test_what_to_do_before_support_ends(version: str, plan: str, action: str) -> None:
    (item,) = asked(records(set={VERSION: version, PLAN: plan})).clusters[0].due
    assert item.action == action


@pytest.mark.parametrize(("day", "outcome"), [("2026-08-31", "pass"), ("2026-09-01", "fail"), ("2026-11-29", "fail")])
def test_a_version_is_soon_without_support_from_90_days_on(day: str, outcome: str) -> None:
    finding = of_rule("AKS-CP-02", records(day, set={CHANNEL: "patch"}))
    assert (finding.outcome, finding.severity) == (outcome, Severity.INFO)


def test_a_planned_version_is_not_known_until_it_is_there() -> None:
    newest, ends = list(CALENDAR.versions.items())[-1]
    before = str(ends.general - dt.timedelta(days=1))
    assert of_rule("AKS-CP-01", records(before, set={VERSION: newest})).outcome == "unknown"
    assert of_rule("AKS-CP-01", records(str(ends.general), set={VERSION: newest})).outcome == "pass"


def test_the_calendar_is_in_order_and_long_term_support_lasts_longer() -> None:
    versions = list(CALENDAR.versions.items())
    assert [int(minor.split(".")[1]) for minor, _ in versions] == list(range(27, 27 + len(versions)))
    assert all(one.general < one.community < one.long_term for _, one in versions)
    for (_, older), (_, newer) in pairwise(versions):
        assert (older.general, older.community, older.long_term) < (newer.general, newer.community, newer.long_term)


@pytest.mark.parametrize("rule", [rule.id for rule in DATED])
def test_a_rule_that_is_asked_what_is_due_tells_it(rule: str) -> None:
    cases = read_cases(RULE_CASES / rule / "cases.toml")
    findings = (finding for case in cases for finding in audit(estate_of(case), [RULES[rule]]))
    day = next((one.date for finding in findings for one in finding.due if one.date), None)
    assert day, "no case of it tells of anything that ends"
    assert str(dt.date.fromisoformat(day)) == day


def test_what_is_unknown_is_told_with_what_it_takes() -> None:
    found = asked(records(refuse=["pod"]))
    unknown = {one.rule: one for one in found.clusters[0].unknown}
    assert set(unknown) == {"AKS-KS-21", "AKS-ING-13"}
    assert unknown["AKS-KS-21"].reasons == ("403 Forbidden: cannot list pods",)
    assert unknown["AKS-KS-21"].actions == (f"list pods on {CLUSTER}",)
    assert not found.complete
    text = as_text(found, width=500)
    assert 'unknown     AKS-KS-21, "No image is of a line' in text
    assert f"(needslistpodson{CLUSTER})" in "".join(text.split())


def test_a_value_that_is_not_there_is_unknown() -> None:
    found = asked(records(drop=[VERSION]), "2026-11-21")
    assert "AKS-CP-01" in {one.rule for one in found.clusters[0].unknown}
    assert not found.any


def test_clusters_that_were_not_listed_may_have_something_due() -> None:
    lost = snapshot.Gap(
        id="/subscriptions/33333333-3333-3333-3333-333333333333",
        type="Microsoft.ContainerService/managedClusters",
        reason="no answer",
    )
    assert asked([*records(), lost]).unread[0].reason == "no answer"
    assert not asked([*records(), lost]).complete
    assert asked(records()).unread == ()


def test_what_has_nothing_to_do_with_days_is_not_missed() -> None:
    found = asked(records(refuse=["routes"]))
    assert found.unread == ()
    assert found.complete


@pytest.mark.parametrize(
    ("options", "changes", "code"),
    [
        ((), {}, 1),
        (("--within", "9d"), {}, 0),
        (("--within", "10d"), {}, 1),
        (("--within", "9d"), {"refuse": ["pod"]}, 3),
        (("--within", "10d"), {"refuse": ["pod"]}, 1),
        (("--within", "9d"), {"set": {VERSION: "1.33.5"}}, 1),
    ],
)
def test_the_exit_code(tmp_path: Path, options: tuple[str, ...], changes: dict[str, Any], code: int) -> None:
    assert run(tmp_path, records(**changes), *options) == code


@pytest.mark.parametrize(
    "wish", ["12", "0d", "-1d", "1.5m", "d", "12 m", "12M", "99999d", "\N{FULLWIDTH DIGIT ONE}d", ""]
)
def test_what_is_no_span_is_wrong_usage(wish: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["due", "--demo", f"--within={wish}"])
    assert left.value.code == 2
    assert "is no span, such as 90d, 8w, 6m or 2y" in capsys.readouterr().err


def test_what_is_live_is_refused_of_a_recorded_estate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["due", "--demo", "--read", "kubernetes-versions"]) == 2
    assert "--read is of live scans" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--json",), ("--format", "json")])
def test_the_json_says_all_that_the_text_says(
    tmp_path: Path, option: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    found = records(set={VERSION: "1.33.5"}, refuse=["pod"])
    assert run(tmp_path, found, *option) == 1
    read = msgspec.json.decode(capsys.readouterr().out, type=DueList)
    assert read == asked(found)
    assert run(tmp_path, found) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "2026-07-31 Support of Kubernetes 1.33, over for 112 days: upgrade the cluster" in text
    assert text.endswith("1 overdue, 0 due until 2027-11-20, 2 unknown")


def test_nothing_is_said_to_be_nothing() -> None:
    text = as_text(asked(records(), "2026-11-21"))
    assert "\n  nothing\n" in text
    assert text.endswith("0 overdue, 0 due until 2026-11-21, 0 unknown\n")


def test_names_in_the_text_are_no_commands_to_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = f"{CLUSTER.rpartition('/')[0]}/\x1b[31mred\n::error::x"
    body = {"id": own, "properties": {"currentKubernetesVersion": "1.20.1\x1b[2J"}}
    other = snapshot.Resource(id=own, type="Microsoft.ContainerService/managedClusters", body=body)
    assert run(tmp_path, [*records(), other]) == 1
    out = capsys.readouterr().out
    assert "red" in out
    assert "\x1b" not in out
    assert not any(line.startswith("::") for line in out.splitlines())


def test_the_demo_has_something_to_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["due", "--demo"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("due until 2027-11-20, as of 2026-11-20, the day of what was read")
    assert out.index("aks-web") < out.index("aks-data") < out.index("aks-payments")


@given(DAYS, st.integers(1, 9999))
def test_days_and_weeks_are_days(day: dt.date, number: int) -> None:
    assert (span(f"{number}d")(day) - day).days == number
    assert (span(f"{number}w")(day) - day).days == 7 * number


@given(DAYS, st.integers(1, 500))
def test_twelve_months_are_a_year_and_months_add_up(day: dt.date, years: int) -> None:
    assert span(f"{12 * years}m")(day) == span(f"{years}y")(day)
    last = span(f"{years}m")(day)
    assert (last.year - day.year) * 12 + last.month - day.month == years
    assert last.day == day.day or (last + dt.timedelta(days=1)).day == 1


@pytest.mark.parametrize(
    ("wish", "day", "last"),
    [
        ("1m", "2027-01-31", "2027-02-28"),
        ("1m", "2028-01-31", "2028-02-29"),
        ("1y", "2028-02-29", "2029-02-28"),
        ("12m", "2026-11-20", "2027-11-20"),
        ("1m", "2026-12-15", "2027-01-15"),
        ("9999y", "2026-11-20", "9999-12-31"),
        ("9999w", "9900-11-20", "9999-12-31"),
    ],
)
def test_spans_end_in_the_calendar(wish: str, day: str, last: str) -> None:
    assert str(span(wish)(dt.date.fromisoformat(day))) == last
