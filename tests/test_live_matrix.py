"""Every call that a scan makes is struck by every failure: no outcome becomes a pass, and no question is lost.

The calls are those of a scan that nothing strikes, so a new one joins by itself. A struck scan sends the struck call,
and whatever it asks for besides, through the SDK's pipeline to the server; the others get again what they got before.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import pytest
from azure.core.credentials import AccessToken

from aks_audit import report, snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate
from aks_audit.report import Report
from aks_audit.results import Finding, Missing, Outcome
from aks_audit.score import answers
from aks_audit.sources.azure.collect import Collector, Scope
from aks_audit.sources.azure.pipeline import Answer, Getter, Pipeline
from aks_audit.sources.azure.plan import CLUSTERS, LISTED, OPTIONAL, PART_READS, optional
from aks_audit.sources.deadline import Deadline
from cases import ROOT, Case, records_of
from resource_manager import Fault, Hang, Paging, Reset, ResourceManager, Slow, Truncated, load
from resource_manager import answers as azure
from resource_manager.faults import Effect
from resource_manager.targets import Target, target

RULES = load_rules()
ESTATES = ("base", "aks-review-networking", "azure-firewall-egress-2019")
"""What the matrix is made for: where all is well, where much is not, and where networks are of the oldest kind."""

PATIENCE = 5.0
"""Seconds that a scan is given after its last call, where a call hangs."""

FAILURES: dict[str, Callable[[Target], Effect]] = {
    "denied": lambda about: azure.authorization_failed(about.action("GET"), about.scope),
    "404": lambda _: azure.not_found(),
    "429 without end": lambda _: azure.throttled(retry_after=None),
    "500": lambda _: azure.server_error(),
    "503 in HTML": lambda _: azure.unavailable(),
    "reset": lambda _: Reset(),
    "cut off in the JSON": lambda _: Truncated(),
    "cut off in the connection": lambda _: Truncated(announced=True),
    "null": lambda _: azure.document(None),
    "no list": lambda _: azure.document({"value": None}),
    "no items": lambda _: azure.document({"value": ["nothing with a name or an id"]}),
    "no ids": lambda _: azure.document({"value": [{"name": "nobody", "properties": {"endpoints": []}}]}),
}


class SignedIn:
    """A credential that needs nobody to sign in."""

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:  # noqa: ANN401 - the SDK's own protocol
        """Give a token that never ends."""
        return AccessToken("a-token", 4_070_908_800)

    async def close(self) -> None:
        """Close nothing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: object = None, exc_value: object = None, traceback: object = None) -> None:
        """Close nothing."""


class Clean(NamedTuple):
    """A scan that nothing struck: the server, each call with what it got, and what the audit said."""

    server: ResourceManager
    calls: dict[str, Answer]
    report: Report


@pytest.fixture(scope="module", params=ESTATES)
def clean(request: pytest.FixtureRequest) -> Iterator[Clean]:
    yield from scanned(request.param)


def test_the_matrix_is_as_large_as_it_says(clean: Clean, record_property: Callable[[str, object], None]) -> None:
    asked = len(outcomes(clean.report))
    scans = len(clean.calls) * (len(FAILURES) + 2)
    size = f"{len(clean.calls)} calls x {len(FAILURES) + 2} failures = {scans} scans, {scans * asked} outcomes compared"
    record_property("matrix", size)
    print(size)  # noqa: T201 - shown by pytest -rP
    assert len(clean.calls) > len(LISTED), size
    assert asked >= len(RULES), size


def test_the_items_of_three_lists_alone_have_no_ids() -> None:
    whole = {read.path for read in (*optional(OPTIONAL), *PART_READS) if read.whole}
    assert whole == {
        "outboundNetworkDependenciesEndpoints",
        "providers/Microsoft.Compute/locations/{region}/usages",
        "providers/Microsoft.ContainerService/locations/{region}/kubernetesVersions",
    }


def scanned(name: str) -> Iterator[Clean]:
    records = records_of(Case(name="", expect="")) if name == "base" else load(ROOT / f"fixtures/estates/{name}.jsonl")
    paging = Paging(size=2, trailing_empty_page=True)
    with ResourceManager(records, paging=paging) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(server.ca_file))
        calls: dict[str, Answer] = {}

        async def scan(get: Getter) -> Report:
            async def kept(url: str) -> Answer:
                calls[url] = await get(url)
                return calls[url]

            return await audited(kept)

        found = asyncio.run(through_pipeline(server, scan))
        assert sorted(request.path for request in server.requests) == sorted(urlsplit(url).path for url in calls)
        assert {answer.status for answer in calls.values()} == {200}
        yield Clean(server, calls, found)


async def through_pipeline(server: ResourceManager, scan: Callable[[Getter], Awaitable[Report]]) -> Report:
    async with Pipeline(SignedIn(), server.url, f"{server.url}/.default", retries=1) as pipeline:
        return await scan(pipeline.get)


async def audited(get: Getter, seconds: float | None = None) -> Report:
    """The report of a scan, whose time is up so many seconds after its last call, however busy the machine is."""
    deadline, loop = Deadline(), asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []

    async def timed(url: str) -> Answer:
        for timer in timers:
            timer.cancel()
        timers[:] = [loop.call_later(seconds, deadline.end, "the time was up")] if seconds else []
        return await get(url)

    scope = Scope(optional=tuple(OPTIONAL))
    records = await Collector(timed, scope, deadline, lambda _: None, directory=timed).collect()
    for timer in timers:
        timer.cancel()
    found = snapshot.of(records)
    return report.build(found, RULES, audit(Estate(found), RULES), ())


def striking(clean: Clean, struck: str, get: Getter) -> Getter:
    """The calls of the clean scan get what they got then; the struck one and new ones are sent."""

    async def struck_get(url: str) -> Answer:
        return clean.calls[url] if url in clean.calls and url != struck else await get(url)

    return struck_get


def about(url: str) -> Target:
    found = target(urlsplit(url).path)
    assert found
    return found


def fault(url: str, effect: Effect) -> Fault:
    return Fault(f"^{re.escape(urlsplit(url).path)}\\?", effect, times=None)


async def strike(clean: Clean, effect: Callable[[Target], Effect]) -> dict[str, Report]:
    """A scan for each call, each with that call struck."""
    reports: dict[str, Report] = {}
    for url in clean.calls:

        async def scan(get: Getter, url: str = url) -> Report:
            return await audited(striking(clean, url, get))

        clean.server.strike(fault(url, effect(about(url))))
        reports[url] = await through_pipeline(clean.server, scan)
    return reports


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_told_and_passes_nothing(clean: Clean, failure: str) -> None:
    reports = asyncio.run(strike(clean, FAILURES[failure]))
    wrong = [f"{url}: {what}" for url, struck in reports.items() for what in objections(clean, url, struck)]
    if failure == "denied":
        wrong += [f"{url}: {what}" for url, struck in reports.items() for what in unnamed(clean, url, struck)]
    assert not wrong, "\n".join(wrong)


def test_what_hangs_is_given_up_in_time(clean: Clean) -> None:
    async def all_at_once(get: Getter) -> Report:
        scans = [audited(striking(clean, url, get), PATIENCE) for url in clean.calls]
        reports.update(zip(clean.calls, await asyncio.gather(*scans), strict=True))
        await asyncio.sleep(0.1)  # connections that were given up end their TLS
        return clean.report

    reports: dict[str, Report] = {}
    clean.server.strike(Fault("", Hang(60), times=None))
    asyncio.run(through_pipeline(clean.server, all_at_once))
    wrong = [f"{url}: {what}" for url, struck in reports.items() for what in objections(clean, url, struck)]
    assert not wrong, "\n".join(wrong)


def test_what_is_slow_is_waited_for(clean: Clean) -> None:
    reports = asyncio.run(strike(clean, lambda _: Slow(pause=0.001, size=8192)))
    for url, struck in reports.items():
        assert outcomes(struck) == outcomes(clean.report), url
        assert struck.coverage.unread == clean.report.coverage.unread, url


def objections(clean: Clean, url: str, struck: Report) -> Iterator[str]:
    """What a scan with a struck call says that it must not."""
    if struck.scan.complete:
        yield "the scan is said to be complete"
    if not any(lost(url, missing) for missing in struck.coverage.unread):
        yield "the coverage does not tell of it"
    before, after = outcomes(clean.report), outcomes(struck)
    for key, outcome in after.items():
        if outcome not in {before.get(key), Outcome.UNKNOWN}:
            yield f"{key} is {outcome}, was {before.get(key)}"
    yield from unasked(clean, url, struck)
    clusters = {cluster.id.lower() for cluster in struck.clusters}
    for rule, resource in before.keys() - after.keys():
        for cluster in owners(clean.report.findings, rule, resource) & clusters:
            if not unknown_about(struck.findings, rule, cluster):
                yield f"{rule} about {resource} is gone, and not unknown of {cluster}"


def unasked(clean: Clean, url: str, struck: Report) -> Iterator[str]:
    """The questions that a struck scan has lost; only with a list of clusters may it lose a cluster."""
    asked, still = answers(clean.report.findings), answers(struck.findings)
    clusters = {cluster.id.lower() for cluster in struck.clusters}
    for rule, cluster, outcome in ((rule, *told) for rule, of_rule in asked.items() for told in of_rule.items()):
        if cluster not in clusters:
            if about(url).type not in {CLUSTERS, "Microsoft.Resources/subscriptions"}:
                yield f"{cluster} is gone"
        elif cluster not in still.get(rule, {}):
            yield f"{rule} is not asked of {cluster}, was {outcome}"


def unnamed(clean: Clean, url: str, struck: Report) -> Iterator[str]:
    """What a denial left unknown without a word on the permission that is missing."""
    needed = (about(url).action("GET").lower(), about(url).scope.lower())
    if needed not in {((m.action or "").lower(), (m.scope or "").lower()) for m in struck.coverage.unread}:
        yield f"the coverage does not name {needed}"
    before = outcomes(clean.report)
    for finding in struck.findings:
        key = (finding.rule, finding.resource.lower())
        if finding.outcome is Outcome.UNKNOWN and before.get(key) is not Outcome.UNKNOWN:
            named = {((m.action or "").lower(), (m.scope or "").lower()) for m in finding.missing}
            if needed not in named:
                yield f"{key} does not name {needed} but {named}: {finding.message}"


def lost(url: str, missing: Missing) -> bool:
    return missing.kind in {"refused", "not-read"} and missing.what.lower() in {
        about(url).scope.lower(),
        about(url).path.lower(),
    }


def outcomes(report: Report) -> dict[tuple[str, str], Outcome]:
    return {(finding.rule, finding.resource.lower()): finding.outcome for finding in report.findings}


def owners(findings: Sequence[Finding], rule: str, resource: str) -> set[str]:
    about = [finding for finding in findings if finding.rule == rule and finding.resource.lower() == resource]
    return {cluster.lower() for finding in about for cluster in finding.clusters}


def unknown_about(findings: Sequence[Finding], rule: str, cluster: str) -> bool:
    return any(
        finding.rule == rule
        and finding.outcome is Outcome.UNKNOWN
        and cluster in {one.lower() for one in finding.clusters}
        for finding in findings
    )
