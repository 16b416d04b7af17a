"""The report as one HTML page: what it holds, and that nothing in it does what a snapshot says."""

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import report_samples
from aks_audit.fixes import fixes
from aks_audit.report import Comparison, Fixed, Policy, PolicyEntry, Report
from aks_audit.results import Evidence, Exemption, Outcome, Place
from aks_audit_reports.areas import area_of, in_order
from aks_audit_reports.html import REPORTER
from aks_audit_reports.html.page import STEPS_LISTED
from aks_audit_reports.html.states import worst_first

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`${alert(1)}{{7*7}}<!--\u2028\u202e\x1b[31m"


class Parsed(HTMLParser):
    """A page taken apart: its elements in order, and the text of scripts, styles and everything else."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": [], "": []}
        self._inside = ""
        self.feed(html.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        if tag in self.texts:
            self._inside = tag
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        """Leave a script or style."""
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        """Keep a text where it stands."""
        if self._inside:
            self.texts[self._inside][-1] += data
        else:
            self.texts[""].append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Give the attributes of every element of this name."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        """What is neither script nor style, with single spaces."""
        return " ".join(" ".join(self.texts[""]).split())

    @property
    def data(self) -> dict[str, Any]:
        """The findings as the script reads them."""
        decoded: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(self.texts["script"][0])))
        return decoded


def parsed(report: Report) -> Parsed:
    return Parsed(REPORTER.render(report))


def hostile() -> Report:
    """A report in which every text from a snapshot or another's rule is hostile."""
    sample = report_samples.report(name=f"aks{HOSTILE}-{{n}}", message=HOSTILE)
    rules = tuple(
        msgspec.structs.replace(
            rule, title=HOSTILE, why=HOSTILE, references=("javascript:alert(1)", "data:text/html,x")
        )
        for rule in sample.rules
    )
    findings = tuple(
        msgspec.structs.replace(finding, evidence=(Evidence(HOSTILE, HOSTILE, {HOSTILE: [HOSTILE]}),))
        for finding in sample.findings
    )
    checklists = tuple(
        msgspec.structs.replace(checklist, source="javascript:alert(1)", title=HOSTILE)
        for checklist in sample.score.checklists
    )
    score = msgspec.structs.replace(sample.score, checklists=checklists)
    return msgspec.structs.replace(sample, rules=rules, findings=findings, score=score)


def agreed(sample: Report) -> Report:
    """The report with its fixes, an exception, a place in the code, and what changed since a baseline."""
    first, second, third, *_ = sample.failures()
    until = Exemption(HOSTILE, "platform@example.com", "ciso@example.com", "2027-01-31")
    source = Place("infra/aks.bicep", 42, f"  name: '{HOSTILE}'")
    put = {
        first.fingerprint: msgspec.structs.replace(first, change="new", source=source),
        second.fingerprint: msgspec.structs.replace(second, exception=until, change="unchanged"),
        third.fingerprint: msgspec.structs.replace(third, change="changed"),
    }
    findings = tuple(put.get(finding.fingerprint, finding) for finding in sample.findings)
    compared = Comparison(
        since="2026-11-14T06:00:00Z",
        score=msgspec.structs.replace(sample.score.overall, value=50.0),
        new=1,
        changed=1,
        unchanged=1,
        fixed=(Fixed("AKS-OLD-01", first.resource, first.severity, HOSTILE, "0" * 64, "disabled"),),
        carried=(msgspec.structs.replace(third, fingerprint="1" * 64, message="It failed then"),),
    )
    entry = PolicyEntry(
        table="exception",
        line=7,
        state="expired",
        says="accepts nothing: it expired on 2026-10-01",
        matched=0,
        rule="AKS-API-01",
        resource=HOSTILE,
        reason=HOSTILE,
        owner="platform@example.com",
        approved_by="ciso@example.com",
        expires="2026-10-01",
        sets="",
    )
    decided = msgspec.structs.replace(
        sample, findings=findings, comparison=compared, policy=Policy("aks-audit.toml", (entry,))
    )
    return msgspec.structs.replace(decided, fixes=fixes(decided.failures(), decided.rules))


def caused(sample: Report, *, one: bool = False) -> Report:
    """The report with the first failure of each cluster, or the `one` first of all, as cause of its others."""
    first: dict[str, str] = {}
    put = {}
    for failure in worst_first(sample.failures()):
        cause = first.setdefault("" if one else failure.resource, failure.fingerprint)
        if cause != failure.fingerprint:
            put[failure.fingerprint] = msgspec.structs.replace(failure, causes=(cause,))
    findings = tuple(put.get(finding.fingerprint, finding) for finding in sample.findings)
    return msgspec.structs.replace(sample, findings=findings)


def test_the_same_report_gives_the_same_bytes() -> None:
    assert REPORTER.render(report_samples.report()) == REPORTER.render(report_samples.report(), colour=True)


@pytest.mark.parametrize(
    "report", [report_samples.report(), hostile(), agreed(hostile())], ids=["plain", "hostile", "agreed"]
)
def test_the_page_holds_our_two_scripts_and_asks_for_nothing(report: Report) -> None:
    page = parsed(report)
    assert page.all("script") == [{"type": "text/plain", "id": "data"}, {}]
    assert len(page.all("style")) == 1
    for tag in ("img", "iframe", "object", "embed", "base", "audio", "video", "source"):
        assert not page.all(tag)
    for _, attributes in page.elements:
        assert not {"src", "srcset", "style", "action", "ping", "poster"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    for link in page.all("link"):
        assert (link["href"] or "").startswith("data:image/svg+xml,")
    for link in page.all("a"):
        address = link["href"] or ""
        if not address.startswith("#"):
            assert address.startswith("https://learn.microsoft.com/") or not address
            assert link["rel"] == "noopener noreferrer"


def test_the_policy_allows_this_style_and_this_script_and_nothing_else() -> None:
    page = parsed(report_samples.report())
    (policy,) = (meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (page.texts["style"][0], page.texts["script"][1])
    )
    assert (policy or "").split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{style}'",
        f"script-src 'sha256-{script}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_hostile_text_is_shown_as_text_whole_and_visible() -> None:
    page = parsed(hostile())
    shown = HOSTILE.replace("\u2028", "\\u2028").replace("\u202e", "\\u202e").replace("\x1b", "\\u001b")
    assert shown in page.text
    assert shown in page.data["texts"]
    raw = REPORTER.render(hostile()).decode()
    assert not [character for character in raw if not character.isprintable() and character != "\n"]


def test_the_data_is_every_finding_worst_first() -> None:
    sample = report_samples.report()
    data = parsed(sample).data
    texts, columns = data["texts"], data["findings"]
    assert len(set(texts)) == len(texts), "each text stands once"
    assert {len(column) for column in columns.values()} == {len(sample.findings)}
    ranks = list(zip(columns["state"], columns["severity"], strict=True))
    assert ranks == sorted(ranks)
    by_mark = {finding.fingerprint[:16]: finding for finding in sample.findings}
    for row, mark in enumerate(columns["mark"]):
        finding = by_mark[mark]
        assert texts[data["rules"][columns["rule"][row]][0]] == finding.rule
        assert data["states"][columns["state"][row]] == finding.outcome
        assert texts[columns["resource"][row]] == finding.resource
        assert texts[columns["message"][row]] == finding.message
        assert (columns["command"][row] is None) is (finding.remediation is None)


def test_without_scripts_the_summary_and_the_worst_findings_are_there() -> None:
    page = parsed(report_samples.report(clusters=30))
    for text in (
        "68 failures, 8 of them critical, on 30 clusters",
        "What the score means",
        "Method and score",
        "Local accounts are disabled",
        "Restrict egress with Azure Firewall",
        "Not covered",
        "aks-30",
        "These are the 20 most severe of 240 findings.",
        "0.0.0.0/1 and 128.0.0.0/1 together are every IPv4 address",
        "az aks update --resource-group rg-3 --name aks-3 --api-server-authorized-ip-ranges RANGES",
        "It takes Microsoft.Network/routeTables/read on /subscriptions/11111111-1111-1111-1111-111111111111 .",
        "Reading route table rt-3 was refused (403 AuthorizationFailed)",
        "The value at /properties/apiServerAccessProfile/authorizedIPRanges .",
        "aks-audit 1.2.3",
        "from 2026-11-21 12:00 UTC to 2026-11-21 12:01 UTC",
    ):
        assert text in page.text
    assert len([details for details in page.all("details") if details.get("class") == "finding"]) == 20 + 1


def test_the_page_has_one_first_heading_and_its_landmarks() -> None:
    page = parsed(report_samples.report())
    assert [len(page.all(tag)) for tag in ("h1", "main", "nav", "header", "footer")] == [1] * 5
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        address = link["href"] or ""
        if address.startswith("#"):
            assert address[1:] in ids


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.UNKNOWN, Outcome.NOT_APPLICABLE])
def test_a_report_without_failures_first_shows_what_there_is(outcome: Outcome) -> None:
    page = parsed(report_samples.report(clusters=1, outcome=outcome))
    checked = [box["value"] for box in page.all("input") if "checked" in box]
    assert checked == [outcome.value]
    assert "What to do first" not in page.text


def test_a_report_about_nothing_is_a_page() -> None:
    page = parsed(report_samples.report(clusters=0))
    assert "No cluster was found in what was read" in page.text
    assert "Nothing decided" in page.text


def test_ten_thousand_findings_are_small_to_send_and_few_of_them_elements() -> None:
    page = REPORTER.render(report_samples.report(clusters=200, copies=7))
    assert len(page) < 2_500_000
    assert page.count(b'<details class="finding"') == 20 + 1


def test_what_is_to_do_stands_first_with_what_it_costs_and_mends() -> None:
    report = agreed(report_samples.report(clusters=30))
    page = parsed(report)
    assert len(report.fixes) > 10
    assert "These are the first 10 of" in page.text
    first = report.fixes[0]
    assert f"{first.title} Critical A setting, changed in place mends 1 finding on 1 cluster aks-" in page.text
    assert first.command in page.text
    assert first.command != report.fixes[20].command
    assert report.fixes[20].command not in page.text, "the script shows it"
    accepted = report.accepted()[0]
    assert not [fix for fix in report.fixes if accepted.fingerprint in fix.findings]


def test_what_changed_and_what_was_decided_is_told() -> None:
    text = parsed(agreed(report_samples.report())).text
    for told in (
        "Since 2026-11-14 06:00 UTC",
        "points up",
        "New 1 failures Mended 1 failures Changed 1 failures As before 1 failures Not looked at again 1 failures",
        "Its rule was disabled",
        "It failed then",
        "Decisions need a look. Of 1 decision: 1 expired.",
        "accepts nothing: it expired on 2026-10-01",
        "platform@example.com, approved by ciso@example.com line 7",
        "Accepted until 2027-01-31 by platform@example.com, approved by ciso@example.com",
    ):
        assert told in text


def test_each_area_of_each_cluster_tells_its_worst_and_leads_there() -> None:
    page = parsed(report_samples.report(clusters=2))
    links = {link["data-ask"]: link for link in page.all("a") if link.get("data-ask")}
    cell = links["outcome=fail&area=IAM&cluster=aks-1"]
    assert (cell["data-state"], cell["data-severity"]) == ("fail", "high")
    assert "aks-1, Identity: 1 failure, the worst high" in page.text
    assert links["outcome=pass&area=API&cluster=aks-2"]["data-state"] == "pass"
    assert "aks-2, API server: 1 passed, 1 not applicable" in page.text


def test_clusters_of_one_name_have_links_of_their_own() -> None:
    page = parsed(report_samples.report(clusters=3, name="aks"))
    asked = {link.get("data-ask") for link in page.all("a")}
    assert {f"cluster=rg-{number}/aks" for number in (1, 2, 3)} <= asked


def test_rules_of_other_packs_are_areas_by_their_prefix() -> None:
    rules = ["AKS-EGR-02", "ACME-NET-1", "AKS-NEW-01", "HOUSE", "AKS-API-01"]
    assert in_order(map(area_of, rules)) == ("API", "EGR", "ACME", "HOUSE", "NEW")


BROWSER_SWITCHES = [
    "--no-sandbox",  # a container's root may not use it, and the page is our own
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("no chromium on the path")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium, args=BROWSER_SWITCHES)
        yield running
        running.close()


class Opened:
    """A report opened in a browser, with all that the page said and asked for."""

    def __init__(self, browser: "Browser", file: Path, **context: Any) -> None:  # noqa: ANN401 - handed on to playwright
        self.page = browser.new_context(**context).new_page()
        self.scripts = context.get("java_script_enabled", True)
        self.page.set_default_timeout(10_000)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.address = file.as_uri()

    def open(self, fragment: str = "") -> "Page":
        """Load the page, and wait for its script where it may run."""
        self.page.goto(self.address + fragment)
        if self.scripts:
            self.page.locator("html[data-ready]").wait_for(state="attached")
        return self.page

    def found(self) -> str:
        """What the page says it found."""
        return self.page.locator("#filter .result").inner_text()

    def group_by(self, name: str) -> "Locator":
        """Choose how the findings are grouped, and give the groups."""
        self.page.get_by_label("Group by").select_option(label=name)
        return self.page.locator("#finding-list > li > .group")


@pytest.fixture
def opened(browser: "Browser", tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Open a report; afterwards the page must have said nothing and asked for nothing but itself."""
    pages: list[Opened] = []

    def render_and_open(report: Report, fragment: str = "", **context: Any) -> Opened:  # noqa: ANN401 - as above
        file = tmp_path / "aks-audit.html"
        file.write_bytes(REPORTER.render(report))
        shown = Opened(browser, file, **context)
        pages.append(shown)
        shown.open(fragment)
        return shown

    yield render_and_open
    for shown in pages:
        assert shown.complaints == []
        assert {address.partition("#")[0] for address in shown.requests} <= {shown.address}
        shown.page.context.close()


def test_filters_narrow_the_findings_and_reset_widens_them(opened: Callable[..., Opened]) -> None:
    shown = opened(report_samples.report(clusters=30))
    assert shown.found() == "68 of 240 findings"
    shown.group_by("Nothing")
    shown.page.get_by_role("checkbox", name="Critical").check()
    assert shown.found() == "8 of 240 findings"
    assert shown.page.locator("#finding-list .finding").count() == 8
    shown.page.get_by_role("checkbox", name="Pass").check()
    shown.page.get_by_label("Cluster", exact=True).select_option(label="aks-3 (rg-3)")
    assert shown.found() == "1 of 240 findings"
    shown.page.get_by_role("button", name="Reset").click()
    shown.page.get_by_text("68 of 240 findings", exact=True).wait_for()
    shown.page.get_by_label("Search").fill("RG-7/ diskless")
    assert shown.found() == "No finding is like that"
    shown.page.get_by_label("Search").fill("RG-7/ local")
    assert shown.found() == "1 of 240 findings"
    shown.page.get_by_label("Search").fill("")
    shown.page.get_by_label("Rule").select_option(label="AKS-API-01 The API server is private")
    assert shown.found() == "8 of 240 findings"


def test_ten_thousand_findings_are_paged(opened: Callable[..., Opened]) -> None:
    shown = opened(report_samples.report(clusters=200, copies=7))
    assert shown.found() == "3,200 of 11,200 findings"
    shown.group_by("Nothing")
    assert shown.page.locator("#finding-list .finding").count() == 50
    pager = shown.page.locator("#finding-pager")
    assert pager.get_by_role("button", name="Previous").is_disabled()
    pager.get_by_role("button", name="Next").click()
    assert pager.locator(".where-in").inner_text() == "51\N{EN DASH}100 of 3,200"
    assert shown.page.locator("#cluster-table tbody tr").count() == 25


def test_clusters_sort_filter_and_lead_to_their_findings(opened: Callable[..., Opened]) -> None:
    shown = opened(report_samples.report(clusters=30))
    table = shown.page.locator("#cluster-table")
    first = table.locator("tbody tr:first-child th a").first
    table.get_by_role("button", name="Cluster").click()
    assert first.inner_text() == "aks-1"
    table.get_by_role("button", name="Cluster").click()
    assert first.inner_text() == "aks-30"
    assert table.get_by_role("columnheader", name="Cluster").get_attribute("aria-sort") == "descending"
    table.get_by_role("button", name="To mend").click()
    assert table.locator("tbody tr:first-child td").nth(1).inner_text() == "3"
    table.get_by_role("button", name="API server").click()
    assert "1 failure, the worst critical" in table.locator("tbody tr:first-child .cell").first.inner_text()
    shown.page.get_by_label("Find a cluster").fill("AKS-7")
    assert shown.page.locator("#cluster-filter .result").inner_text() == "1 of 30 clusters"
    first.click()
    assert shown.found() == "8 of 240 findings"


def test_findings_are_grouped_and_a_group_opens(opened: Callable[..., Opened]) -> None:
    shown = opened(report_samples.report(clusters=30))
    groups = shown.group_by("Rule")
    assert groups.count() == 8
    titles = shown.page.locator("#finding-list > li > .group > summary .title").all_inner_texts()
    assert titles[0].startswith("The authorized IP ranges"), "the worst is first"
    assert groups.first.locator(".finding").count() == 0
    groups.first.locator("summary").click()
    groups.first.locator(".finding").first.wait_for()
    assert groups.first.locator(".finding").count() == 8
    for name, number in (("Cluster", 30), ("Resource", 30), ("Area", 7), ("Checklist", 2)):
        assert shown.group_by(name).count() == number
    shown.page.get_by_label("Search").fill("rg-7/ local")
    assert shown.page.locator("#finding-list .group .finding").count() == 1, "one group opens by itself"


def test_what_is_asked_for_survives_a_reload(opened: Callable[..., Opened]) -> None:
    shown = opened(agreed(report_samples.report(clusters=30)))
    shown.group_by("Cluster")
    shown.page.get_by_role("checkbox", name="Unknown").check()
    shown.page.get_by_role("checkbox", name="High").check()
    shown.page.get_by_label("Area", exact=True).select_option(label="API server")
    shown.page.get_by_label("Search").fill("rg-1 a&b")
    shown.page.get_by_label("Search").fill("rg-1")
    shown.page.wait_for_url(re.compile("text=rg-1(&|$)"))
    asked = shown.page.url.partition("#")[2]
    assert asked == "findings?outcome=fail,unknown&severity=high&text=rg-1&area=API&group=cluster"
    found, groups = shown.found(), shown.page.locator("#finding-list .group").count()
    shown.page.reload()
    shown.page.locator("html[data-ready]").wait_for(state="attached")
    assert (shown.found(), shown.page.locator("#finding-list .group").count()) == (found, groups)
    shown.page.get_by_role("button", name="Reset").click()
    shown.page.wait_for_url(re.compile("#findings[?]outcome=fail$"))


def test_a_link_to_what_another_report_had_shows_what_there_is(opened: Callable[..., Opened]) -> None:
    shown = opened(report_samples.report(), "#findings?rule=AKS-OLD-01&cluster=gone&fix=99&group=colour&outcome=fail")
    assert shown.found() == "6 of 24 findings"
    assert shown.page.locator("#finding-list .group").count() > 0


def test_the_first_screen_leads_to_findings(opened: Callable[..., Opened]) -> None:
    report = agreed(report_samples.report(clusters=30))
    shown = opened(report)
    shown.page.locator("#summary .tally").first.get_by_role("link").first.click()
    assert shown.found() == "7 of 240 findings", "one of eight is accepted"
    shown.page.locator("#fix-list a").first.click()
    assert shown.found() == f"{len(report.fixes[0].findings)} of 240 findings"
    assert shown.page.locator("#filter .chosen").inner_text().startswith(f"Mended by {report.fixes[0].title}")
    shown.page.get_by_role("button", name="Show others too").click()
    assert shown.found() == "240 of 240 findings"
    shown.page.locator(".change").get_by_role("link").first.click()
    assert shown.found() == "1 of 240 findings"
    shown.page.locator("#cluster-table .cell [data-state='fail']").first.click()
    assert shown.page.url.partition("?")[2].startswith("outcome=fail&area=")
    assert shown.page.evaluate("document.activeElement.id") == "findings"
    assert shown.page.locator("#carried").get_attribute("open") is None
    shown.page.locator(".change").get_by_role("link").last.click()
    assert shown.page.locator("#carried").get_attribute("open") is not None


def test_all_fixes_are_shown_when_asked_for(opened: Callable[..., Opened]) -> None:
    report = agreed(report_samples.report(clusters=30))
    shown = opened(report)
    items = shown.page.locator("#fix-list > li")
    assert items.count() == 10
    shown.page.get_by_role("button", name=f"Show all {len(report.fixes)}").click()
    assert items.count() == len(report.fixes)
    assert items.locator(".title").all_inner_texts() == [fix.title for fix in report.fixes]
    assert items.locator("pre").last.text_content() == report.fixes[-1].command
    assert items.last.locator("a").get_attribute("data-ask") == f"fix={len(report.fixes)}"


def test_an_accepted_failure_stands_apart_beside_its_exception(opened: Callable[..., Opened]) -> None:
    shown = opened(agreed(report_samples.report()))
    assert shown.found() == "5 of 24 findings", "one of six is accepted"
    shown.group_by("Nothing")
    first = shown.page.locator("#finding-list .finding").first
    assert first.locator(".badge").inner_text() == "New"
    first.locator("summary").click()
    assert "infra/aks.bicep:42" in first.inner_text()
    assert HOSTILE[:60] in first.inner_text()
    shown.page.get_by_role("checkbox", name="Fail").uncheck()
    shown.page.get_by_role("checkbox", name="Accepted").check()
    assert shown.found() == "1 of 24 findings"
    accepted = shown.page.locator("#finding-list .finding")
    accepted.locator("summary").click()
    assert "Accepted until 2027-01-31 by platform@example.com" in accepted.locator(".exception").inner_text()
    assert accepted.locator(".badge").count() == 0


def test_print_shows_the_worst_findings_whatever_was_asked_for(opened: Callable[..., Opened]) -> None:
    shown = opened(agreed(report_samples.report(clusters=30)), "#findings?outcome=pass")
    shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert set(shown.page.locator("#finding-list > li > .finding .state").all_inner_texts()) == {"Fail"}
    shown.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert set(shown.page.locator("#finding-list > li > .group > summary .state").all_inner_texts()) == {"Pass"}
    shown.page.emulate_media(media="print")
    for part in ("#filter", "nav", "#cluster-pager", ".copy"):
        assert shown.page.locator(part).first.is_hidden()
    assert shown.page.locator("#fix-list pre").first.is_visible()
    assert shown.page.locator("#checklists .sentence").first.is_visible()


def test_without_scripts_nothing_that_needs_them_is_shown(opened: Callable[..., Opened]) -> None:
    page = opened(agreed(report_samples.report(clusters=60)), java_script_enabled=False).page
    for needs in page.locator("button, input, select").all():
        assert needs.is_hidden()
    assert page.locator("#cluster-table tbody tr").count() == 50
    assert page.get_by_text("These are the 50 that fail worst of 60 clusters.").is_visible()
    assert page.locator("#finding-list .finding").count() == 20


def test_a_link_opens_its_finding_whatever_the_filter(opened: Callable[..., Opened]) -> None:
    sample = report_samples.report(clusters=200)
    passed = [finding for finding in sample.findings if finding.outcome is Outcome.PASS][-1]
    shown = opened(sample, f"#finding-{passed.fingerprint[:16]}")
    finding = shown.page.locator(f"#finding-{passed.fingerprint[:16]}")
    assert finding.get_attribute("open") is not None
    assert passed.resource in finding.inner_text()
    assert finding.locator("summary").evaluate("summary => summary === document.activeElement")


def test_a_cause_and_what_comes_then_lead_to_each_other(opened: Callable[..., Opened]) -> None:
    sample = caused(report_samples.report())
    then = next(finding for finding in worst_first(sample.findings) if finding.causes)
    cause, step = (f"finding-{mark[:16]}" for mark in (then.causes[0], then.fingerprint))
    rule = next(finding.rule for finding in sample.findings if finding.fingerprint in then.causes)
    shown = opened(sample, f"#{step}")
    shown.page.get_by_role("checkbox", name="Fail").uncheck()
    shown.page.get_by_role("checkbox", name="Pass").check()
    shown.page.wait_for_url("**outcome=pass*")
    shown.page.goto(f"{shown.address}#{step}")
    after = shown.page.locator(f"#{step}")
    assert after.locator("summary .after").inner_text() == f"after {rule}"
    link = after.get_by_role("link", name=re.compile(f"^{rule} [A-Z]"))
    link.focus()
    shown.page.keyboard.press("Enter")
    before = shown.page.locator(f"#{cause}")
    shown.page.locator(f"#{cause}[open]").wait_for()
    assert before.locator("summary").evaluate("summary => summary === document.activeElement")
    assert before.get_by_role("heading", name="Can be mended then").is_visible()
    assert before.get_by_role("heading", name="Mend first").count() == 0
    assert before.locator(".steps").get_by_role("link").first.get_attribute("href") == f"#{step}"
    assert before.locator(".steps .quiet").first.inner_text() == after.locator("summary .name").inner_text()
    before.locator("summary").click()
    shown.page.locator(f"#{cause}:not([open])").wait_for()
    after.get_by_role("link", name=re.compile(f"^{rule}")).click()
    shown.page.locator(f"#{cause}[open]").wait_for()  # though the address is the one that it was


def test_what_comes_after_a_cause_is_limited_and_asked_for(opened: Callable[..., Opened]) -> None:
    sample = caused(report_samples.report(clusters=30), one=True)
    first = worst_first(sample.findings)[0]
    shown = opened(sample, f"#finding-{first.fingerprint[:16]}")
    cause = shown.page.locator(f"#finding-{first.fingerprint[:16]}")
    assert cause.locator(".steps").get_by_role("link").count() == STEPS_LISTED
    cause.get_by_role("link", name="All 67").click()
    assert shown.found() == "67 of 240 findings"
    told = "Mended after The authorized IP ranges of a public API server"
    assert shown.page.locator("#filter .chosen").inner_text().startswith(told)
    assert shown.page.url.endswith(f"#findings?after={first.fingerprint[:16]}")
    shown.page.get_by_role("checkbox", name="Critical").check()
    assert shown.found() == "7 of 240 findings"
    shown.page.wait_for_url(re.compile("severity=critical&after="))
    shown.page.reload()
    shown.page.locator("html[data-ready]").wait_for(state="attached")
    assert shown.found() == "7 of 240 findings"
    shown.page.get_by_role("button", name="Show others too").click()
    assert shown.found() == "30 of 240 findings"
    step = next(finding for finding in sample.findings if finding.causes)
    shown.page.goto(f"{shown.address}#findings?before={step.fingerprint[:16]}")
    assert shown.found() == "1 of 240 findings"
    shown.page.get_by_role("button", name="Reset").click()
    shown.page.get_by_text("68 of 240 findings", exact=True).wait_for()


def test_findings_are_grouped_by_cause(opened: Callable[..., Opened]) -> None:
    sample = caused(report_samples.report(clusters=30))
    causes = {mark for finding in sample.findings for mark in finding.causes}
    alone = [one for one in sample.failures() if not one.causes and one.fingerprint not in causes]
    shown = opened(sample, "#findings?outcome=fail&group=cause")
    groups = shown.page.locator("#finding-list > li > .group")
    assert groups.count() == len(causes)
    assert shown.page.locator("#finding-list > li > .finding").count() == len(alone)
    head = groups.first.locator("> summary")
    assert head.locator(".title").inner_text().startswith("The authorized IP ranges")
    quantity, name = (head.locator(part).inner_text() for part in (".whose > span >> nth=0", ".name"))
    head.click()
    inside = groups.first.locator(".inner > li")
    inside.first.wait_for()
    assert inside.count() == 2
    assert quantity == "then 1 finding"
    assert inside.locator(".finding > summary .name").all_inner_texts() == [name] * inside.count()
    assert inside.locator(".after").count() == inside.count() - 1, "and the cause itself, which is after nothing"
    assert inside.first.locator(".after").count() == 0
    head.click()
    step = next(one for one in sample.findings if one.causes)
    shown.page.get_by_label("Rule").select_option(value=step.rule)
    named = [one for one in sample.failures() if one.rule == step.rule and one.causes]
    assert groups.count() == len(named), "a cause is the head though it is not asked for"
    assert shown.page.locator("#finding-list > li > .group > summary .id", has_text=step.rule).count() == 0


def test_without_causes_nothing_is_grouped_by_them(opened: Callable[..., Opened]) -> None:
    shown = opened(report_samples.report(), "#findings?group=cause")
    assert shown.page.get_by_label("Group by").input_value() == "rule"
    assert shown.page.locator(".after, .steps").count() == 0


def test_without_scripts_a_cause_is_a_link_where_it_is_shown() -> None:
    sample = caused(report_samples.report(clusters=30), one=True)
    page = parsed(sample)
    shown = {f"#finding-{one.fingerprint[:16]}" for one in worst_first(sample.findings)[:20]}
    steps = [link for link in page.all("a") if "data-link" in link and link.get("href") != "#findings"]
    assert {link["href"] for link in steps if "href" in link} == shown & {link.get("href") for link in steps}
    assert len([link for link in steps if "href" in link]) == 19 + STEPS_LISTED
    assert "All 67" in page.text


def test_evidence_that_may_lag_says_so_and_other_evidence_does_not(opened: Callable[..., Opened]) -> None:
    sample = report_samples.report()
    failed = next(finding for finding in sample.findings if finding.outcome is Outcome.FAIL)
    asked = "2026-11-21T12:00:59Z"
    lagging = msgspec.structs.replace(failed.evidence[0], source="graph", read=asked)
    mixed = msgspec.structs.replace(failed, evidence=(lagging, failed.evidence[0]))
    findings = tuple(mixed if finding is failed else finding for finding in sample.findings)
    shown = opened(msgspec.structs.replace(sample, findings=findings), f"#finding-{failed.fingerprint[:16]}")
    items = shown.page.locator(f"#finding-{failed.fingerprint[:16]} .evidence li")
    label = "from Resource Graph, read at 2026-11-21 12:00 UTC"
    assert [label in text for text in items.all_inner_texts()] == [True, False]
    assert f"of 1 finding {label}; it may lag" in (shown.page.locator("body").text_content() or "")


def test_a_finding_shows_its_own_parts_and_no_others(opened: Callable[..., Opened]) -> None:
    shown = opened(report_samples.report())
    shown.group_by("Nothing")
    failure = shown.page.locator("#finding-list .finding").first
    failure.locator("summary").click()
    assert failure.get_by_role("heading").all_inner_texts() == ["Evidence", "Fix", "Bicep", "Why it matters"]
    assert failure.locator(".evidence pre").inner_text() == '[\n  "0.0.0.0/1",\n  "128.0.0.0/1"\n]'
    assert (
        failure.get_by_role("link").first.get_attribute("href")
        == "https://learn.microsoft.com/azure/aks/concepts-network"
    )
    pointer = "/properties/apiServerAccessProfile/authorizedIPRanges"
    assert failure.get_by_text("The value at").locator("code").inner_text() == pointer, "marks of code become code"
    copy = failure.get_by_role("button", name="Copy the command")
    copy.click()
    failure.get_by_role("button", name=re.compile("Copied|Selected")).wait_for()
    shown.page.get_by_role("checkbox", name="Fail").uncheck()
    shown.page.get_by_role("checkbox", name="Unknown").check()
    unknown = shown.page.locator("#finding-list .finding").first
    unknown.locator("summary").click()
    assert unknown.get_by_role("heading").all_inner_texts() == ["What is missing", "Why it matters"]
    assert "Microsoft.Network/routeTables/read" in unknown.inner_text()


def test_hostile_text_runs_nothing_in_a_browser(opened: Callable[..., Opened]) -> None:
    shown = opened(hostile())
    asked: list[str] = []
    shown.page.on("dialog", lambda dialog: asked.append(dialog.message))
    shown.group_by("Nothing")
    shown.page.locator("#finding-list summary").first.click()
    shown.page.get_by_label("Search").fill("</script>")
    assert asked == []
    assert shown.page.locator("img, iframe").count() == 0
    assert HOSTILE[:60] in shown.page.locator("#finding-list").inner_text()


def test_a_name_longer_than_a_line_is_broken(opened: Callable[..., Opened]) -> None:
    """Else what to do is wider than the page, and its buttons are out of sight."""
    shown = opened(
        agreed(report_samples.report(clusters=3, name="w" * 2000 + "{n}")), viewport={"width": 1300, "height": 900}
    )
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 1300
    assert shown.page.locator(".fix .meta").first.is_visible()


@pytest.fixture
def node_modules() -> Path:
    """The folder with axe and pa11y."""
    folder = Path(os.environ.get("AKS_AUDIT_NODE_MODULES") or "")
    if not (folder / "axe-core").is_dir() or not (folder / "pa11y").is_dir():
        pytest.skip("AKS_AUDIT_NODE_MODULES names no folder with axe-core and pa11y")
    return folder


def long_names() -> Report:
    name = "a-cluster-with-a-name-that-is-as-long-as-a-name-can-be-in-azure-{n}"
    return agreed(caused(report_samples.report(clusters=30, name=name), one=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 360])
def test_no_barrier_that_axe_knows_and_nothing_too_wide(
    opened: Callable[..., Opened], node_modules: Path, scheme: str, width: int
) -> None:
    shown = opened(long_names(), color_scheme=scheme, viewport={"width": width, "height": 900})
    shown.page.get_by_role("checkbox", name="Accepted").check()
    shown.page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    shown.page.evaluate((node_modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    violations = shown.page.evaluate("axe.run()")["violations"]
    assert [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in violations] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_that_pa11y_knows(tmp_path: Path, node_modules: Path, scheme: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("no chromium on the path")
    file, settings = tmp_path / "aks-audit.html", tmp_path / "pa11y.json"
    file.write_bytes(REPORTER.render(long_names()))
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    launch = {"executablePath": chromium, "args": [*BROWSER_SWITCHES, *dark]}
    settings.write_text(json.dumps({"chromeLaunchConfig": launch}), encoding="utf-8")
    program = node_modules / "pa11y" / "bin" / "pa11y.js"
    command = ["node", str(program), "--config", str(settings), "--reporter", "json", file.as_uri()]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (told.returncode, told.stdout.strip(), told.stderr) == (0, "[]", "")


def test_both_colour_schemes_are_drawn(opened: Callable[..., Opened]) -> None:
    def paper(scheme: str) -> str:
        page = opened(report_samples.report(), color_scheme=scheme).page
        colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    assert paper("light") == "rgb(250, 250, 248)"
    assert paper("dark") == "rgb(19, 22, 25)"
