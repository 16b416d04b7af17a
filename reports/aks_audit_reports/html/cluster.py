"""The page of each cluster: its score, what fails where, the drawing of its network, who reaches whom, what is unread.

The pages are made here, once and for all, since what a script would draw could not be read without one. The first few
stand in the file as they are; the others are compressed, some at a time, and unpacked when they are opened.
"""

import base64
import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jinja2
import msgspec
from markupsafe import Markup

from aks_audit.picture import Box, ClusterPicture, Inhabitants, WayOut
from aks_audit.report import Report
from aks_audit.results import Finding, Missing, Outcome
from aks_audit_reports.areas import named
from aks_audit_reports.html.drawing import ENDS, HOSTS, KINDS, Mark, drawing
from aks_audit_reports.html.matrix import CellView, ClusterView, MatrixView, cluster_keys
from aks_audit_reports.html.scores import ScoreView
from aks_audit_reports.html.texts import FINGERPRINT
from aks_audit_reports.summary import KINDS as CAUSES
from aks_audit_reports.summary import count, unread

IN_THE_PAGE = 2
"""How many clusters' pages stand in the file as they are."""

_TOGETHER = 8
"""How many pages are compressed together."""

_MOST_FINDINGS = 12
_MOST_UNREAD = 12


class FailureView(NamedTuple):
    """A failure in a list: the link to it, and what it says."""

    link: str
    severity: str
    title: str
    message: str


class FailingView(NamedTuple):
    """A box of the drawing, and what fails there."""

    kind: str
    name: str
    failures: tuple[FailureView, ...]
    more: int


class StepView(NamedTuple):
    """A hop of a way."""

    passage: str
    mark: str
    says: str
    by: str


class WayView(NamedTuple):
    """A way out of the cluster."""

    end: str
    mark: str
    says: str
    steps: tuple[StepView, ...]


class ReachCell(NamedTuple):
    """What is seen of the traffic from a place to another: a class for its colour, a mark, and words."""

    verdict: str
    mark: str
    says: str


class ReachView(NamedTuple):
    """Who reaches whom."""

    engine: str
    policies: str
    places: tuple[str, ...]
    rows: tuple[tuple[str, tuple[ReachCell, ...]], ...]
    left_out: int
    missing: tuple[str, ...]


class CauseView(NamedTuple):
    """What could not be read for one cause."""

    kind: str
    action: str
    extent: str
    reasons: tuple[str, ...]
    more: int


class ClusterPage(NamedTuple):
    """Everything that a cluster's page shows."""

    key: str
    place: int
    name: str
    id: str
    score: ScoreView
    failures: int
    areas: tuple[tuple[str, CellView], ...]
    drawing: Markup | None
    failing: tuple[FailingView, ...]
    ways: tuple[WayView, ...]
    reach: ReachView | None
    unread: tuple[CauseView, ...]


class Pages(NamedTuple):
    """The pages: those that stand in the file, and all others, compressed, with the place of each by its key."""

    shown: tuple[ClusterPage, ...]
    places: str
    packed: tuple[str, ...]


def pages(report: Report, matrix: MatrixView, environment: jinja2.Environment) -> Pages:
    """The pages of a report's clusters, in the order of its matrix."""
    made = list(_pages(report, matrix))
    shown, others = made[:IN_THE_PAGE], made[IN_THE_PAGE:]
    render = environment.get_template("cluster.html.j2").module.__dict__["cluster_page"]
    parts = [others[start : start + _TOGETHER] for start in range(0, len(others), _TOGETHER)]
    places = {one.key: (number, place) for number, part in enumerate(parts) for place, one in enumerate(part)}
    packed = tuple(_packed([str(render(one)) for one in part]) for part in parts)
    return Pages(tuple(shown), base64.b64encode(msgspec.json.encode(places)).decode(), packed)


def _packed(texts: Sequence[str]) -> str:
    return base64.b64encode(gzip.compress(msgspec.json.encode(texts), compresslevel=6, mtime=0)).decode()


def _pages(report: Report, matrix: MatrixView) -> Iterator[ClusterPage]:
    titles = {rule.id: rule.title for rule in report.rules}
    failures = _by_cluster(report.failures())
    unknown = _by_cluster(finding for finding in report.findings if finding.outcome is Outcome.UNKNOWN)
    pictures = {picture.cluster.lower(): picture for picture in report.pictures}
    names = dict(matrix.areas)
    ids = dict(zip(cluster_keys(report.clusters), (cluster.id for cluster in report.clusters), strict=True))
    for place, row in enumerate((*matrix.clusters, *matrix.more)):
        key = ids[row.key].lower()
        failed = failures.get(key, [])
        missing = dict.fromkeys(part for finding in unknown.get(key, []) for part in finding.missing)
        yield _page(place, row, names, _Told(ids[row.key], titles, pictures.get(key), failed, tuple(missing)))


class _Told(NamedTuple):
    """What a report says of a cluster."""

    id: str
    titles: Mapping[str, str]
    picture: ClusterPicture | None
    failures: Sequence[Finding]
    missing: Sequence[Missing]


def _page(place: int, row: ClusterView, names: Mapping[str, str], told: _Told) -> ClusterPage:
    picture = told.picture
    found = _by_box(picture, told.failures) if picture else {}
    marks = (
        {box: _mark(picture.boxes[box], failures, told.titles) for box, failures in found.items()} if picture else {}
    )
    return ClusterPage(
        key=row.key,
        place=place,
        name=row.name,
        id=told.id,
        score=row.score,
        failures=row.failures,
        areas=tuple((names.get(cell.area, named(cell.area)), cell) for cell in row.cells if cell.state),
        drawing=drawing(picture, marks, row.name, f"network-{place}") if picture else None,
        failing=tuple(_failing(picture.boxes[box], found[box], told.titles) for box in found) if picture else (),
        ways=tuple(map(_way, picture.ways)) if picture else (),
        reach=_reach(picture.reach) if picture and picture.reach else None,
        unread=tuple(_cause(told.missing)),
    )


def _by_cluster(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        for cluster in finding.clusters:
            found.setdefault(cluster.lower(), []).append(finding)
    return found


# --- what fails where


def _by_box(picture: ClusterPicture, failures: Iterable[Finding]) -> dict[int, list[Finding]]:
    """The failures by the box that they are about, in the order of the boxes; those about none are not there."""
    places = {key.lower(): place for place, box in enumerate(picture.boxes) for key in (box.id, *box.also) if key}
    found: dict[int, list[Finding]] = {}
    for failure in failures:
        place = _box_of(picture, places, failure)
        if place is not None:
            found.setdefault(place, []).append(failure)
    return {place: found[place] for place in sorted(found)}


def _box_of(picture: ClusterPicture, places: Mapping[str, int], failure: Finding) -> int | None:
    """The box of a failure's resource; of one of the cluster itself, that of the first evidence that has one."""
    cluster = picture.cluster.lower()
    about = _nearest(places, failure.resource.lower(), cluster)
    if about is not None or failure.resource.lower() != cluster:
        return about
    for evidence in failure.evidence:
        if evidence.resource.lower() != cluster:
            place = _nearest(places, evidence.resource.lower(), cluster)
        else:
            place = _of_pointer(picture.boxes, evidence.pointer)
        if place is not None:
            return place
    return None


def _nearest(places: Mapping[str, int], resource: str, cluster: str) -> int | None:
    """The box of a resource, or of what it is a part of; the cluster itself stands for none."""
    while resource.count("/") > _OF_A_GROUP and resource != cluster:
        if resource in places:
            return places[resource]
        resource = resource.rpartition("/")[0].rpartition("/")[0]
    return None


_OF_A_GROUP = 4
"""How many slashes the id of a resource group has."""


def _of_pointer(boxes: Sequence[Box], pointer: str) -> int | None:
    told = ((place, own) for place, box in enumerate(boxes) for own in box.pointers)
    return next((place for place, own in told if pointer == own or pointer.startswith(f"{own}/")), None)


def _link(failure: Finding) -> str:
    return f"#finding-{failure.fingerprint[:FINGERPRINT]}"


def _mark(box: Box, failures: Sequence[Finding], titles: Mapping[str, str]) -> Mark:
    said = "; ".join(f"{failure.severity}: {titles.get(failure.rule, failure.rule)}" for failure in failures)
    return Mark(len(failures), _link(failures[0]), f"{box.name}: {count(len(failures), 'failure')}. {said}")


def _failing(box: Box, failures: Sequence[Finding], titles: Mapping[str, str]) -> FailingView:
    views = [
        FailureView(_link(one), one.severity.value, titles.get(one.rule, one.rule), one.message)
        for one in failures[:_MOST_FINDINGS]
    ]
    return FailingView(KINDS[box.kind], box.name, tuple(views), max(0, len(failures) - _MOST_FINDINGS))


# --- ways, reach, and what was not read


def _way(way: WayOut) -> WayView:
    where = HOSTS.get(way.to, way.to)
    pools = f"pool{'s' if len(way.pools) > 1 else ''} {', '.join(way.pools)}"
    steps = [StepView(step.passage or "", ENDS.get(step.passage or "", "→"), step.says, step.by) for step in way.steps]
    decided = way.steps[way.decided_by].says
    return WayView(way.end, ENDS[way.end], f"From {pools} to {where}: {way.end}. {decided}", tuple(steps))


_VERDICTS = {
    frozenset({"allowed"}): ("allowed", "\N{CHECK MARK}"),
    frozenset({"denied"}): ("denied", "\N{MULTIPLICATION SIGN}"),
    frozenset({"unknown"}): ("unknown", "?"),
    frozenset({"allowed", "denied"}): ("some", "~"),
}


def _reach(reach: Inhabitants) -> ReachView:
    rows = [
        (row, tuple(_cell(row, column, cell) for column, cell in zip(reach.places, cells, strict=True)))
        for row, cells in zip(reach.places, reach.cells, strict=True)
    ]
    return ReachView(
        engine=reach.engine or "not known",
        policies=count(reach.policies, "policy").replace("policys", "policies"),
        places=reach.places,
        rows=tuple(rows),
        left_out=reach.left_out,
        missing=reach.missing,
    )


def _cell(row: str, column: str, seen: Sequence[str]) -> ReachCell:
    """A cell; where some of the traffic gets through and some does not, or is not known, it is a mixed one."""
    if not seen:
        return ReachCell("none", "", "")
    style, mark = _VERDICTS.get(frozenset(seen), ("some", "~"))
    if "unknown" in seen and len(seen) > 1:
        mark = f"{mark}?"
    return ReachCell(style, mark, f"{row} to {column}: {', '.join(seen)}")


def _cause(missing: Sequence[Missing]) -> Iterator[CauseView]:
    for group in unread(missing):
        reasons = tuple(part.reason for part in group.missing[:_MOST_UNREAD])
        more = max(0, len(group.missing) - _MOST_UNREAD)
        yield CauseView(CAUSES[group.kind], group.action or "", count(len(group.missing), "thing"), reasons, more)
