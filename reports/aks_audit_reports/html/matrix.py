"""The clusters as rows of a matrix of areas, the one that fails worst first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias
from urllib.parse import quote

from aks_audit.report import ClusterScore, ClusterSummary, Report
from aks_audit.results import Finding, Severity
from aks_audit_reports.areas import area_of, in_order, named
from aks_audit_reports.html.scores import ScoreView, score_view
from aks_audit_reports.html.states import STATES, state
from aks_audit_reports.summary import count, number

SHOWN_AT_FIRST = 50
"""How many clusters stand in the page; the rest is laid up for its script, so that a browser need not draw it."""

Tally: TypeAlias = Counter[tuple[str, Severity]]
_Cells: TypeAlias = Mapping[tuple[str, str], Tally]

_MARKS = {"unknown": "?", "accepted": "◇", "pass": "✓", "not-applicable": "·"}


class CellView(NamedTuple):
    """What the findings of an area say about a cluster: the worst of them, a short mark, and all of it in words.

    `state` is empty where there is no finding; `ask` is what a link to the findings asks for; `rank` puts cells in
    order, the worst last.
    """

    area: str
    state: str
    severity: str
    mark: str
    doubt: bool
    says: str
    ask: str
    rank: int


class ClusterView(NamedTuple):
    """A cluster's row. `key` names it in links; `subscription` is empty where all clusters are of one."""

    key: str
    name: str
    group: str
    subscription: str
    score: ScoreView
    failures: int
    cells: tuple[CellView, ...]


class MatrixView(NamedTuple):
    """The areas (id and name), and the clusters: those that are shown at first, and the rest."""

    areas: tuple[tuple[str, str], ...]
    clusters: tuple[ClusterView, ...]
    more: tuple[ClusterView, ...]


def matrix(report: Report) -> MatrixView:
    """The clusters of a report, the one that fails worst first."""
    cells = _tallied(report.findings)
    areas = in_order(area for _, area in cells)
    scores = {score.id: score for score in report.score.clusters}
    keys = cluster_keys(report.clusters)
    several = len({cluster.subscription.lower() for cluster in report.clusters}) > 1
    rows = [
        _row(key, cluster, scores[cluster.id], [_cell(cells, cluster, key, area) for area in areas], several=several)
        for key, cluster in zip(keys, report.clusters, strict=True)
    ]
    order = _worst_first(cells, report.clusters)
    rows = [rows[place] for place in sorted(range(len(rows)), key=lambda place: (order[place], rows[place].score.at))]
    return MatrixView(
        areas=tuple((area, named(area)) for area in areas),
        clusters=tuple(rows[:SHOWN_AT_FIRST]),
        more=tuple(rows[SHOWN_AT_FIRST:]),
    )


def cluster_keys(clusters: Sequence[ClusterSummary]) -> tuple[str, ...]:
    """The shortest of name, group and name, and id that names each cluster alone, in lower case."""
    names = Counter(cluster.name.lower() for cluster in clusters)
    paths = Counter(f"{cluster.resource_group}/{cluster.name}".lower() for cluster in clusters)
    keys = []
    for cluster in clusters:
        path = f"{cluster.resource_group}/{cluster.name}".lower()
        keys.append(
            cluster.name.lower() if names[cluster.name.lower()] == 1 else path if paths[path] == 1 else cluster.id
        )
    return tuple(keys)


def _tallied(findings: Sequence[Finding]) -> _Cells:
    cells: dict[tuple[str, str], Tally] = {}
    for finding in findings:
        area = area_of(finding.rule)
        for cluster in finding.clusters:
            cells.setdefault((cluster.lower(), area), Counter())[state(finding), finding.severity] += 1
    return cells


def _worst_first(cells: _Cells, clusters: Sequence[ClusterSummary]) -> list[tuple[int, ...]]:
    """For each cluster how many failures it has by severity, as negative numbers."""
    failures: dict[str, Counter[Severity]] = {}
    for (cluster, _), tally in cells.items():
        for (name, severity), quantity in tally.items():
            if name == "fail":
                failures.setdefault(cluster, Counter())[severity] += quantity
    none = Counter[Severity]()
    return [tuple(-failures.get(cluster.id.lower(), none)[severity] for severity in Severity) for cluster in clusters]


def _row(
    key: str, cluster: ClusterSummary, score: ClusterScore, cells: Sequence[CellView], *, several: bool
) -> ClusterView:
    return ClusterView(
        key=key,
        name=cluster.name,
        group=cluster.resource_group,
        subscription=cluster.subscription if several else "",
        score=score_view(score),
        failures=sum(int(cell.mark.replace(",", "")) for cell in cells if cell.state == "fail"),
        cells=tuple(cells),
    )


def _cell(cells: _Cells, cluster: ClusterSummary, key: str, area: str) -> CellView:
    tally = cells.get((cluster.id.lower(), area), Counter[tuple[str, Severity]]())
    states = {name: sum(q for (of, _), q in tally.items() if of == name) for name in STATES}
    worst = next((name for name in STATES if states[name]), "")
    if not worst:
        return CellView(area, "", "", "", doubt=False, says="", ask="", rank=-1)
    failing = [severity for severity in Severity if tally["fail", severity]]
    severity = failing[0] if failing else None
    return CellView(
        area=area,
        state=worst,
        severity=severity or "",
        mark=number(states["fail"]) if severity else _MARKS[worst],
        doubt=bool(severity and states["unknown"]),
        says=f"{cluster.name}, {named(area)}: {_told(states, severity)}",
        ask=f"outcome={worst}&area={quote(area)}&cluster={quote(key, safe='')}",
        rank=_rank(states, severity, worst),
    )


def _told(states: Mapping[str, int], severity: Severity | None) -> str:
    words = {"accepted": "accepted", "unknown": "unknown", "pass": "passed", "not-applicable": "not applicable"}
    failed = [f"{count(states['fail'], 'failure')}, the worst {severity}"] if severity else []
    return ", ".join([*failed, *(f"{number(states[name])} {word}" for name, word in words.items() if states[name])])


def _rank(states: Mapping[str, int], severity: Severity | None, worst: str) -> int:
    if severity is None:
        return len(STATES) - STATES.index(worst)
    return (len(Severity) - list(Severity).index(severity)) * 1_000_000 + states["fail"]
