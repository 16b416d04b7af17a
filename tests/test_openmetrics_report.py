"""The report as OpenMetrics, parsed back by Prometheus' own client."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as older_text

import report_samples
from aks_audit.report import Report
from aks_audit.results import Outcome, Severity
from aks_audit_reports.areas import area_of
from aks_audit_reports.openmetrics import REPORTER
from full_reports import ESTATES, HOSTILE, estate_report, full
from reports import finding, report_of

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(report: Report) -> Series:
    """Every sample by its name and labels, as both OpenMetrics and the older format of Prometheus tell it."""
    text = REPORTER.render(report).decode()
    assert text.endswith("\n# EOF\n")
    read: list[Series] = []
    for parser in (openmetrics, older_text):
        families = list(parser(text))
        assert all(family.type == "gauge" and family.documentation for family in families)
        samples = [sample for family in families for sample in family.samples]
        read.append({(one.name, tuple(sorted(one.labels.items()))): one.value for one in samples})
        assert len(read[-1]) == len(samples), "no series is there twice"
    assert read[0] == read[1]
    return read[0]


def value(series: Series, name: str, **labels: str) -> float | None:
    return series.get((f"aks_audit_{name}", tuple(sorted(labels.items()))))


def cluster(number: int) -> dict[str, str]:
    """The labels of a cluster of the samples."""
    group = f"rg-{number}"
    return {"cluster": f"aks-{number}", "resource_group": group, "subscription": report_samples.SUBSCRIPTION}


def test_what_dashboards_and_alerts_need_is_there() -> None:
    series = parsed(full())
    assert value(series, "score_ratio") == 0.647
    assert value(series, "score_low_ratio") == 0.524
    assert value(series, "score_high_ratio") == 0.714
    assert value(series, "score_coverage_ratio") == 0.809524
    assert value(series, "complete") == 0
    assert value(series, "clusters") == 3
    assert value(series, "read_timestamp_seconds") == 1795262490
    assert value(series, "version", version="1.2.3") == 1
    assert value(series, "failures", severity="critical") == 0, "the one was accepted"
    assert value(series, "failures", severity="high") == 1
    assert value(series, "accepted") == 1
    assert value(series, "findings", outcome="fail") == 6
    assert value(series, "findings", outcome="unknown") == 4
    assert value(series, "area_failures", area="IAM", severity="high") == 1
    assert value(series, "cluster_failures", severity="high", **cluster(1)) == 1
    assert value(series, "cluster_failures", severity="high", **cluster(2)) == 0
    assert value(series, "cluster_unknown", **cluster(3)) is not None
    assert value(series, "cluster_accepted", **cluster(3)) == 1
    assert value(series, "cluster_score_ratio", **cluster(1)) is not None
    assert value(series, "checklist_score_low_ratio", checklist="azure-firewall-egress") is not None
    assert value(series, "baseline_failures", change="not-looked-at") == 1
    assert value(series, "baseline_failures", change="fixed") == 1


def test_what_was_not_decided_has_no_series_rather_than_one_that_looks_like_a_verdict() -> None:
    series = parsed(report_samples.report(clusters=1, outcome=Outcome.UNKNOWN))
    assert value(series, "score_ratio") is None
    assert (value(series, "score_low_ratio"), value(series, "score_high_ratio")) == (0, 1)
    assert value(series, "score_coverage_ratio") == 0
    nothing = parsed(report_samples.report(clusters=0))
    assert value(nothing, "clusters") == 0
    assert value(nothing, "score_high_ratio") is None
    sample = report_samples.report()
    for odd in (None, "yesterday", "2026-11-21T12:00:00"):
        undated = msgspec.structs.replace(sample, scan=msgspec.structs.replace(sample.scan, finished=odd))
        assert value(parsed(undated), "read_timestamp_seconds") is None


def test_no_series_grows_with_resources_or_rules() -> None:
    few, many = (len(parsed(report_samples.report(clusters=5, copies=copies))) for copies in (1, 20))
    assert few == many
    one = finding()
    pods = [msgspec.structs.replace(one, resource=f"{one.resource}/api/v1/pods/{n}") for n in range(500)]
    assert len(parsed(report_of(pods))) == len(parsed(report_of([one])))
    assert len(parsed(report_samples.report(clusters=200))) < 200 * 12 + 150


@pytest.mark.parametrize("hostile", [*HOSTILE, '"} 1\nevil 1', "\\", '\\"', "\\n", "{", "# EOF"])
def test_a_name_is_a_label_and_no_more(hostile: str) -> None:
    names = {name for name, _ in parsed(full())}
    series = parsed(full(f"aks{hostile}{{n}}".replace("/", ""), hostile))
    assert {name for name, _ in series} == names
    assert all(text.isprintable() for _, labels in series for _, text in labels)


@given(st.text())
def test_any_name_reads_back(name: str) -> None:
    series = parsed(report_samples.report(clusters=1, name=f"aks{name.replace('/', '').replace('{', '')}x"))
    (labels,) = {labels for found, labels in series if found == "aks_audit_cluster_unknown"}
    assert dict(labels)["cluster"].startswith("aks")


def test_names_that_are_told_alike_are_one_series() -> None:
    sample = report_samples.report(clusters=2)
    alike = tuple(msgspec.structs.replace(one, name="x" * 400, resource_group="g") for one in sample.clusters)
    assert parsed(msgspec.structs.replace(sample, clusters=alike))


def test_names_are_as_openmetrics_wants_them() -> None:
    text = REPORTER.render(full()).decode()
    assert set(re.findall(r"^# UNIT (\w+) (\w+)$", text, re.MULTILINE)) >= {("aks_audit_score_ratio", "ratio")}
    assert all(name.endswith(f"_{unit}") for name, unit in re.findall(r"^# UNIT (\w+) (\w+)$", text, re.MULTILINE))
    assert REPORTER.render(full()) == text.encode()


def test_areas_are_those_of_the_rules_ids() -> None:
    assert [area_of(rule) for rule in ("AKS-EGR-01", "SHOP-1", "AKS", "odd")] == ["EGR", "SHOP", "AKS", "odd"]


@pytest.mark.parametrize("estate", ESTATES, ids=lambda path: path.stem)
def test_estates_add_up(estate: Path) -> None:
    report = estate_report(estate)
    series = parsed(report)
    by_severity = sum(value(series, "failures", severity=severity) or 0 for severity in Severity)
    by_area = sum(count for (name, _), count in series.items() if name == "aks_audit_area_failures")
    assert by_severity == by_area == len(report.failures())
