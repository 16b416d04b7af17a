"""The report as OpenMetrics: gauges for dashboards and alerts, which Prometheus scrapes or its node exporter reads."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from aks_audit.report import ClusterSummary, Report
from aks_audit.results import Finding, Outcome, Severity
from aks_audit_reports.areas import area_of
from aks_audit_reports.summary import Scored, coverage, printable

LONGEST_LABEL = 300


class Sample(NamedTuple):
    """A value with its labels."""

    labels: Mapping[str, str]
    value: float


class Metric(NamedTuple):
    """A gauge: its name without `aks_audit_`, its unit (the end of the name) or none, what it says, its samples."""

    name: str
    unit: str
    says: str
    samples: Iterable[Sample]


class OpenMetricsReporter:
    """Writes `aks-audit.prom`.

    Series grow with clusters (ten each), areas and checklists, never with resources or rules. What was not decided has
    no series, rather than one that is 0.
    """

    file_name = "aks-audit.prom"

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """The gauges, in the part of OpenMetrics that is Prometheus' older text format, too."""
        del colour  # a file has none
        return written(metrics(report))


def written(gauges: Iterable[Metric], labels: Mapping[str, str] | None = None) -> bytes:
    """Gauges as the text that both OpenMetrics and Prometheus' older format are; each series with these labels, too."""
    lines = [line for metric in gauges for line in _written(metric, labels or {})]
    return "\n".join([*lines, "# EOF", ""]).encode()


def _written(metric: Metric, all_have: Mapping[str, str]) -> Iterator[str]:
    samples = list(metric.samples)
    if not samples:
        return
    name = f"aks_audit_{metric.name}"
    yield f"# TYPE {name} gauge"
    if metric.unit:
        yield f"# UNIT {name} {metric.unit}"
    yield f"# HELP {name} {metric.says}"
    series: dict[str, float] = {}
    for sample in samples:
        labels = ",".join(f'{label}="{_label(value)}"' for label, value in {**all_have, **sample.labels}.items())
        series.setdefault(f"{name}{{{labels}}}" if labels else name, sample.value)  # of one series twice all is refused
    yield from (f"{one} {value!r}" for one, value in series.items())


def _label(hostile: str) -> str:
    """Text from a snapshot as the value of a label, between quotes."""
    line = " ".join(printable(hostile).split())
    line = line if len(line) <= LONGEST_LABEL else line[: LONGEST_LABEL - 1] + "…"
    return line.replace("\\", "\\\\").replace('"', '\\"')


def metrics(report: Report) -> Iterator[Metric]:
    """The gauges of a report."""
    yield from _of_the_scan(report)
    yield from _scores("score", "The score", [({}, report.score.overall)])
    clusters = {cluster.id.lower(): _named(cluster) for cluster in report.clusters}
    scored = [(clusters[score.id.lower()], score) for score in report.score.clusters if score.id.lower() in clusters]
    yield from _scores("cluster_score", "A cluster's score", scored)
    lists = [({"checklist": one.name}, one) for one in report.score.checklists]
    yield from _scores("checklist_score", "A checklist's score", lists)
    yield from _counts(report, clusters)


def _of_the_scan(report: Report) -> Iterator[Metric]:
    yield Metric("version", "", "1, and which version made this", [Sample({"version": report.tool.version}, 1)])
    complete = Sample({}, int(report.scan.complete))
    yield Metric("complete", "", "1 where everything in scope was read, else 0", [complete])
    finished = _seconds(report.scan.finished)
    says = "When the state was read"
    yield Metric("read_timestamp_seconds", "seconds", says, [Sample({}, finished)] if finished is not None else [])
    yield Metric("clusters", "", "How many clusters were found", [Sample({}, len(report.clusters))])


def _scores(name: str, what: str, scored: Iterable[tuple[Mapping[str, str], Scored]]) -> Iterator[Metric]:
    told = list(scored)
    parts = (
        ("ratio", "of what was decided, 0 to 1", [(labels, one.value) for labels, one in told]),
        ("low_ratio", "were every unknown a failure", [(labels, one.low) for labels, one in told]),
        ("high_ratio", "were every unknown a pass", [(labels, one.high) for labels, one in told]),
    )
    for part, says, values in parts:
        samples = [Sample(labels, round(value / 100, 6)) for labels, value in values if value is not None]
        yield Metric(f"{name}_{part}", "ratio", f"{what}, {says}", samples)
    decided = [Sample(labels, round(coverage(one) / 100, 6)) for labels, one in told]
    yield Metric(f"{name}_coverage_ratio", "ratio", f"{what}: how much of it was decided, 0 to 1", decided)


def _counts(report: Report, clusters: Mapping[str, Mapping[str, str]]) -> Iterator[Metric]:
    failures, accepted = report.failures(), report.accepted()
    outcomes = Counter(finding.outcome for finding in report.findings)
    told = [Sample({"outcome": outcome}, outcomes[outcome]) for outcome in Outcome]
    yield Metric("findings", "", "All findings; accepted failures are failures", told)
    severities = Counter(finding.severity for finding in failures)
    told = [Sample({"severity": severity}, severities[severity]) for severity in Severity]
    yield Metric("failures", "", "Failures that nobody accepted", told)
    areas = Counter((area_of(finding.rule), finding.severity) for finding in failures)
    asked = sorted({area_of(rule.id) for rule in report.rules})
    told = [Sample({"area": one, "severity": sev}, areas[one, sev]) for one in asked for sev in Severity]
    yield Metric("area_failures", "", "Failures that nobody accepted, by the area in the rule's id", told)
    yield Metric("accepted", "", "Failures that people accepted", [Sample({}, len(accepted))])
    yield from _by_cluster(report, failures, accepted, clusters)
    yield from _changes(report)


def _by_cluster(
    report: Report, failures: Iterable[Finding], accepted: Iterable[Finding], clusters: Mapping[str, Mapping[str, str]]
) -> Iterator[Metric]:
    unknown = (finding for finding in report.findings if finding.outcome is Outcome.UNKNOWN)
    failed = Counter((cluster, one.severity) for one in failures for cluster in _about(one))
    told = [
        Sample({**labels, "severity": severity}, failed[cluster, severity])
        for cluster, labels in clusters.items()
        for severity in Severity
    ]
    yield Metric("cluster_failures", "", "A cluster's failures that nobody accepted; it may share some", told)
    for name, says, findings in (
        ("cluster_unknown", "A cluster's findings that could not be decided", unknown),
        ("cluster_accepted", "A cluster's failures that people accepted", accepted),
    ):
        counted = Counter(cluster for one in findings for cluster in _about(one))
        yield Metric(name, "", says, [Sample(labels, counted[cluster]) for cluster, labels in clusters.items()])


def _about(finding: Finding) -> set[str]:
    return {cluster.lower() for cluster in finding.clusters}


def _changes(report: Report) -> Iterator[Metric]:
    since = report.comparison
    if since is None:
        return
    counted = {
        "new": since.new,
        "changed": since.changed,
        "unchanged": since.unchanged,
        "fixed": len(since.fixed),
        "not-looked-at": len(since.carried),
    }
    told = [Sample({"change": change}, quantity) for change, quantity in counted.items()]
    yield Metric("baseline_failures", "", "Failures, by how they stand to the baseline", told)


def _named(cluster: ClusterSummary) -> dict[str, str]:
    """The labels of a cluster, which together are one cluster's alone."""
    return {
        "cluster": cluster.name.lower(),
        "resource_group": cluster.resource_group.lower(),
        "subscription": cluster.subscription.lower(),
    }


def _seconds(moment: str | None) -> float | None:
    """A recorded time in seconds since 1970; None where it is no time with an offset."""
    try:
        parsed = datetime.fromisoformat(moment or "")
    except ValueError:
        return None
    return parsed.timestamp() if parsed.tzinfo else None


REPORTER = OpenMetricsReporter()
