"""The page of each cluster: the drawing of its network as it is, marks where something fails, and links that hold."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree as ET

import msgspec
import pytest

import recorded_clusters
from aks_audit import snapshot
from aks_audit.report import Report
from aks_audit.scan import Wish, scan
from aks_audit_reports.html import REPORTER
from aks_audit_reports.html.drawing import drawing
from test_html_report import HOSTILE, Opened, Parsed
from test_html_report import browser as browser  # noqa: PLC0414 - a fixture that `opened` asks for
from test_html_report import node_modules as node_modules  # noqa: PLC0414 - a fixture
from test_html_report import opened as opened  # noqa: PLC0414 - a fixture

ESTATES = Path(__file__).parent.parent / "fixtures" / "estates"
NAMES = sorted(file.stem for file in ESTATES.glob("*.jsonl"))
SVG = "{http://www.w3.org/2000/svg}"


@cache
def audited(name: str) -> Report:
    """The report of an estate of the fixtures, or of one of the recorded clusters."""
    if name == "hardened":
        recorded = snapshot.of(recorded_clusters.records("hardened"))
    else:
        recorded = snapshot.read([ESTATES / f"{name}.jsonl"])
    return scan(recorded, Wish(date(2026, 11, 21)))


def called(report: Report, name: str) -> Report:
    """The report with this as the name of everything in its pictures."""
    pictures = tuple(
        msgspec.structs.replace(
            picture,
            boxes=tuple(
                msgspec.structs.replace(box, name=name, lines=(name,), unread=(name,)) for box in picture.boxes
            ),
            joins=tuple(msgspec.structs.replace(join, says=name) for join in picture.joins),
        )
        for picture in report.pictures
    )
    return msgspec.structs.replace(report, pictures=pictures)


def many(count: int) -> Report:
    """A report with copies of a cluster under other names."""
    report = audited("nat-gateway")

    def renamed(text: str, number: int) -> str:
        return text.replace("aks-batch", f"aks-{number}")

    raw = msgspec.json.encode(report).decode()
    copies = [msgspec.json.decode(renamed(raw, number), type=Report) for number in range(count)]
    score = msgspec.structs.replace(report.score, clusters=tuple(one for copy in copies for one in copy.score.clusters))
    return msgspec.structs.replace(
        report,
        clusters=tuple(one for copy in copies for one in copy.clusters),
        score=score,
        pictures=tuple(one for copy in copies for one in copy.pictures),
        findings=tuple(one for copy in copies for one in copy.findings),
    )


class Rect(NamedTuple):
    """A box as it is drawn."""

    name: str
    left: int
    top: int
    right: int
    bottom: int

    def holds(self, other: "Rect") -> bool:
        """Whether another stands in it."""
        return (
            self.left < other.left and self.top < other.top and self.right > other.right and self.bottom > other.bottom
        )

    def touches(self, other: "Rect") -> bool:
        """Whether they have a place in common."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def drawn(report: Report) -> Iterator[ET.Element]:
    """The drawings of a report, as XML."""
    for picture in report.pictures:
        svg = str(drawing(picture, {}, "aks", "network-0")).replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ', 1)
        yield ET.fromstring(svg)  # noqa: S314 - our own


def rects(svg: ET.Element) -> list[Rect]:
    found = []
    for group in svg.iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        if rect is not None:
            x, y, width, height = (int(rect.attrib[name]) for name in ("x", "y", "width", "height"))
            name = " ".join(text.text or "" for text in group.findall(f"{SVG}text"))
            found.append(Rect(name, x, y, x + width, y + height))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_boxes_stand_in_each_other_or_apart(name: str) -> None:
    for svg in drawn(audited(name)):
        boxes = rects(svg)
        assert len(boxes) > 4
        for one, other in combinations(boxes, 2):
            assert not one.touches(other) or one.holds(other) or other.holds(one), (one, other)


@pytest.mark.parametrize("name", NAMES)
def test_every_box_of_a_picture_is_drawn_or_said(name: str) -> None:
    report = audited(name)
    for picture, svg in zip(report.pictures, drawn(report), strict=True):
        said = " ".join(text for text in svg.itertext())
        for box in picture.boxes:
            assert box.name in said, box


def test_the_way_out_is_drawn_as_it_ends() -> None:
    def classes(name: str) -> set[str]:
        return {path.attrib["class"] for svg in drawn(audited(name)) for path in svg.iter(f"{SVG}path")}

    assert "way" in classes("nat-gateway")
    assert "way blocked" not in classes("nat-gateway")
    assert "way blocked" in classes("network-isolated")
    assert "way unknown" in classes("checkpoint-per-pod-egress")


def test_the_ends_of_ways_say_from_which_pools_they_start_where_these_fare_differently() -> None:
    def ends(name: str) -> list[str]:
        svg = next(drawn(audited(name)))
        return [text.text or "" for text in svg.iter(f"{SVG}text") if text.attrib.get("class", "").startswith("end")]

    assert ends("nat-gateway") == ["\N{CHECK MARK} any host, mcr.microsoft.com"]
    assert ends("virtual-wan") == [
        "\N{MULTIPLICATION SIGN} system: any host",
        "? system: mcr.microsoft.com",
        "? apps: any host, mcr.microsoft.com",
    ]


def test_what_was_not_read_looks_and_says_so() -> None:
    kept = [
        resource
        for resource, _ in snapshot.read([ESTATES / "nat-gateway.jsonl"]).resources
        if not resource.type.lower().endswith("/networksecuritygroups")
    ]
    report = scan(snapshot.of(kept), Wish(date(2026, 11, 21)))
    (svg,) = drawn(report)
    unseen = [group for group in svg.iter(f"{SVG}g") if "unseen" in group.attrib["class"].split()]
    assert unseen
    assert all("? not read" in " ".join(group.itertext()) for group in unseen)


def test_hostile_names_are_cut_and_shown_as_text() -> None:
    report = called(audited("shared-hub"), HOSTILE)
    for svg in drawn(report):
        assert {element.tag.removeprefix(SVG) for element in svg.iter()} <= {
            "svg", "title", "desc", "g", "rect", "text", "path", "circle", "a",
        }  # fmt: skip
        for text in svg.iter(f"{SVG}text"):
            assert len(text.text or "") <= 60
    page = Parsed(REPORTER.render(report))
    assert not page.all("img")
    assert len(page.all("script")) == 2


def _links(report: Report, rule: str) -> set[str]:
    return {f"#finding-{one.fingerprint[:16]}" for one in report.failures() if one.rule == rule}


def test_failures_are_marked_on_what_they_are_about() -> None:
    report = audited("shared-hub")
    page = Parsed(REPORTER.render(report))
    marks = [link for link in page.all("a") if link.get("class") == "mark"]
    said = {label.partition(":")[0]: link["href"] for link in marks if (label := link["aria-label"])}
    failure = next(
        one for one in report.failures() if one.resource.lower().endswith("/networksecuritygroups/nsg-billing")
    )
    assert said["nsg-billing"] == f"#finding-{failure.fingerprint[:16]}"
    assert "system" not in said
    assert said["API server"] in _links(report, "AKS-API-08"), "by the evidence of a failure of the cluster itself"


def test_the_pages_past_the_first_are_packed_and_all_there() -> None:
    raw = REPORTER.render(many(21)).decode()
    page = Parsed(raw.encode())
    assert [section["id"] for section in page.all("section") if section.get("class") == "cluster-page"] == [
        "cluster=aks-0",
        "cluster=aks-1",
    ]
    inner = [part.partition("</template>")[0] for part in raw.split('<template class="cluster-part">')[1:]]
    parts = [json.loads(gzip.decompress(base64.b64decode(part))) for part in inner]
    places = raw.partition('<template id="cluster-places">')[2].partition("</template>")[0]
    known: dict[str, tuple[int, int]] = json.loads(base64.b64decode(places))
    assert set(known) == {f"aks-{number}" for number in range(2, 21)}
    for key, (part, place) in known.items():
        assert f'id="cluster={quote(key)}"' in parts[part][place]


def test_a_report_without_pictures_says_that_there_is_no_drawing() -> None:
    report = msgspec.structs.replace(audited("nat-gateway"), pictures=())
    assert "There is no drawing" in Parsed(REPORTER.render(report)).text


def test_who_reaches_whom_is_a_table() -> None:
    page = Parsed(REPORTER.render(audited("hardened")))
    assert "By 29 policies; what enforces them: Cilium." in page.text
    assert "nodes to storefront: allowed, denied" in page.text


# --- in a browser


def test_a_page_opens_by_its_address_and_survives_a_reload(opened: Callable[..., Opened]) -> None:
    shown = opened(audited("shared-hub"), "#cluster=aks-orders")
    title = shown.page.get_by_role("heading", name="aks-orders", exact=True)
    title.wait_for()
    assert shown.page.title().startswith("aks-orders")
    assert not shown.page.locator("#summary").is_visible()
    shown.page.reload()
    title.wait_for()
    shown.page.get_by_role("link", name="All clusters").click()
    shown.page.locator("#summary").wait_for()
    assert not title.is_visible()
    shown.page.go_back()
    title.wait_for()


def test_the_row_of_a_cluster_leads_to_its_page_and_back_leads_home(opened: Callable[..., Opened]) -> None:
    shown = opened(many(21))
    shown.page.get_by_role("link", name="Its network and all else of aks-17", exact=True).click()
    shown.page.get_by_role("heading", name="aks-17", exact=True).wait_for()
    assert shown.page.locator(".cluster-page.open svg.network").count() == 1
    shown.page.go_back()
    shown.page.locator("#summary").wait_for()


def test_marks_are_links_for_the_keyboard_that_lead_to_their_finding(opened: Callable[..., Opened]) -> None:
    shown = opened(audited("shared-hub"), "#cluster=aks-billing")
    mark = shown.page.locator(".cluster-page.open .mark").first
    mark.focus()
    assert mark.evaluate("mark => mark === document.activeElement")
    target = mark.get_attribute("href") or ""
    shown.page.keyboard.press("Enter")
    shown.page.locator(target).wait_for()
    assert not shown.page.locator(".cluster-page.open").count()


def test_the_areas_of_a_cluster_lead_to_its_findings(opened: Callable[..., Opened]) -> None:
    shown = opened(audited("shared-hub"), "#cluster=aks-billing")
    shown.page.locator(".cluster-page.open .areas a").first.click()
    shown.page.locator("#findings").wait_for()
    assert "cluster=aks-billing" in shown.page.url


def test_an_address_of_no_cluster_shows_the_report(opened: Callable[..., Opened]) -> None:
    for address in ("#cluster=gone", "#cluster=%E0%A4%A"):
        shown = opened(audited("shared-hub"), address)
        assert shown.page.locator("#summary").is_visible()


def test_without_scripts_the_first_pages_are_there(opened: Callable[..., Opened]) -> None:
    shown = opened(many(21), java_script_enabled=False)
    assert shown.page.locator(".cluster-page svg.network").count() == 2
    assert shown.page.locator("svg.network").first.is_visible()


def test_hostile_names_run_nothing_in_a_drawing(opened: Callable[..., Opened]) -> None:
    shown = opened(called(audited("shared-hub"), HOSTILE), "#cluster=aks-orders")
    assert shown.page.locator("img, iframe").count() == 0
    assert shown.page.locator(".cluster-page.open svg.network").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 360])
@pytest.mark.parametrize("name", ["shared-hub", "hardened"])
def test_no_barrier_that_axe_knows_and_nothing_too_wide(
    opened: Callable[..., Opened], node_modules: Path, scheme: str, width: int, name: str
) -> None:
    report = audited(name)
    key = report.clusters[0].name.lower()
    view: dict[str, Any] = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
    shown = opened(report, f"#cluster={key}", **view)
    shown.page.locator(".cluster-page.open").wait_for()
    shown.page.evaluate("document.querySelectorAll('.cluster-page details').forEach((part) => { part.open = true; })")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    shown.page.evaluate((node_modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    violations = shown.page.evaluate("axe.run()")["violations"]
    assert [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in violations] == []
