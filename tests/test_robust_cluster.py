"""A hostile cluster beside one that behaves: it costs bounded memory, and changes nothing but its own findings."""

import asyncio
import csv
import io
import json
import re
import resource
import stat
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import openpyxl  # type: ignore[import-untyped]
import pytest
from markdown_it import MarkdownIt

from aks_audit.snapshot import Gap, Listing, Packed, Record, Resource
from aks_audit.sources.azure.pipeline import Answer as AzureAnswer
from aks_audit.sources.azure.reader import Reader as AzureReader
from aks_audit.sources.deadline import Deadline
from aks_audit.sources.kubernetes import client, reader, trim
from aks_audit.sources.kubernetes.access import Access
from aks_audit.sources.kubernetes.api import Answer
from aks_audit.sources.kubernetes.client import Client
from aks_audit.sources.kubernetes.plan import Kind
from aks_audit.sources.kubernetes.reader import Reader
from cases import CLUSTER, Case, records_of
from kubernetes_api import AUDITOR_TOKEN, KubernetesApi, kubeconfig
from live import Done, run
from resource_manager import ResourceManager
from robustness import hostile

PODS = Kind("", "pods")
SUBSCRIPTION = "/subscriptions/11111111-1111-1111-1111-111111111111"


def page(*names: str, proceed: str = "", more: str = "") -> Answer:
    items = [{"metadata": {"name": name, "namespace": "shop", "annotations": {"x": more}}} for name in names]
    return Answer(200, msgspec.json.encode({"kind": "PodList", "metadata": {"continue": proceed}, "items": items}))


class Api:
    """Answers each call by what a function makes of its number."""

    def __init__(self, answer: Callable[[int], Answer]) -> None:
        self._answer, self.calls = answer, 0

    async def get(self, path: str, accept: str = "application/json") -> Answer:
        """Answer, whatever the path."""
        del path, accept
        self.calls += 1
        return self._answer(self.calls)


def listed(api: Api) -> list[Record]:
    found = asyncio.run(Reader(api, CLUSTER, Deadline()).listing(PODS, "v1"))
    return [one.unpack() if isinstance(one, Packed) else one for one in found]


def test_a_list_that_leads_in_a_circle_is_left_at_once() -> None:
    api = Api(lambda number: page(f"pod-{number}", proceed=f"page {number % 3}"))
    found = listed(api)
    assert api.calls == 4
    assert isinstance(found[-1], Gap)
    assert "leads back to a page that was read" in found[-1].reason
    assert not any(isinstance(record, Listing) for record in found)


def test_a_cluster_that_has_no_end_is_left_when_there_is_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LARGEST_CLUSTER", 10_000)
    api = Api(lambda number: page(f"pod-{number}", proceed=f"page {number}", more="x" * 1000))
    found = listed(api)
    assert api.calls < 12
    assert isinstance(found[-1], Gap)
    assert found[-1].reason == "pods: more than 10,000 bytes came of the cluster, and the rest was not read"


def test_what_is_wrong_in_the_same_way_is_told_once() -> None:
    body = b'{"kind":"PodList","items":[' + b"{}," * 5000 + b"{}]}"
    (found,) = listed(Api(lambda _: Answer(200, body)))
    assert isinstance(found, Gap)
    assert "without a name" in found.reason


def read_of(api: KubernetesApi, kind: Kind) -> list[Record]:
    async def token() -> str:
        return AUDITOR_TOKEN

    async def read() -> list[Record]:
        async with Client(Access(CLUSTER, "kubeconfig", api.url, api.ca, token=token)) as calls:
            found = await Reader(calls, CLUSTER, Deadline()).listing(kind, "v1")
        return [one.unpack() if isinstance(one, Packed) else one for one in found]

    return asyncio.run(read())


def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LARGEST_ANSWER", 60_000)
    with KubernetesApi("weak") as api:
        found = read_of(api, PODS)
        sizes = {request.query.get("limit") for request in api.requests}
    assert len([one for one in found if isinstance(one, Resource)]) == 49
    assert isinstance(found[-1], Listing)
    assert sizes > {"500", "5"}


def test_an_object_that_is_too_large_is_a_gap_that_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def grown(path: str, body: Any) -> Any:  # noqa: ANN401 - any JSON value
        for item in body.get("items", []) if path.endswith("/pods") else []:
            if item["metadata"]["name"].startswith("coredns"):
                item["metadata"]["annotations"] = {"x": "y" * 200_000}
        return body

    monkeypatch.setattr(client, "LARGEST_ANSWER", 100_000)
    with KubernetesApi("weak", edit=grown) as api:
        *objects, last, gap = read_of(api, PODS)
    assert objects
    assert isinstance(last, Resource)
    assert isinstance(gap, Gap)
    assert gap.cause == "malformed"
    name = last.body["metadata"]["name"]
    assert (
        gap.reason == f"pods: the answer is larger than 100,000 bytes, and was not read; it is the object after {name}"
    )


def test_names_that_nobody_would_give_are_not_remembered() -> None:
    for number in range(20):
        trim.trim({"metadata": {"annotations": {f"{number}{'k' * 100_000}": "x", "plain": "y"}}})
        trim.trim({"metadata": {"annotations": {f"{number}-{name}": "x" for name in range(1000)}}})
    for cache in (trim._ordinary, trim._is_named_secret, trim._short):  # noqa: SLF001 - what they keep is what is asked
        before = cache.cache_info().currsize
        trim.trim({"metadata": {"annotations": {"k" * 100_000: "x" * 100_000}}})
        assert cache.cache_info().currsize <= before + 1
    trimmed = trim.trim({"metadata": {"annotations": {"k" * 100_000: "x", "plain": "y"}}})
    assert trimmed["metadata"]["annotations"] == {"plain": "y"}


def test_a_list_of_azure_that_leads_in_a_circle_is_left_at_once() -> None:
    calls: list[str] = []

    async def get(url: str) -> AzureAnswer:
        calls.append(url)
        return AzureAnswer(200, msgspec.json.encode({"value": [], "nextLink": f"/page/{len(calls) % 2}"}))

    found = asyncio.run(AzureReader(get).listing("/first", SUBSCRIPTION, "Microsoft.Network/routeTables"))
    assert len(calls) == 3
    (gap,) = found
    assert isinstance(gap, Gap)
    assert "leads back to a page that was read" in gap.reason
    items = asyncio.run(AzureReader(get).items("/first", SUBSCRIPTION, "x/y"))
    assert isinstance(items, Gap)


# The whole: two clusters, one of them hostile.

FORMATS = "json,html,sarif,sarif-full,csv,markdown,junit,openmetrics,ocsf,xlsx,console"
MOST_MEMORY = 2**30


def estate(api: KubernetesApi) -> list[Record]:
    changes = {
        "cluster properties.privateFQDN": api.host,
        "endpoint-nic properties.ipConfigurations.0.properties.privateIPAddress": "127.0.0.1",
    }
    return records_of(Case(name="", expect="", set=changes))


def signed_in(folder: Path, *ways: str) -> None:
    """A stand-in for `az` whose token the API servers take, and a kubeconfig with the contexts of several."""
    stand_in = folder / "bin" / "az"
    stand_in.parent.mkdir(parents=True)
    token = {"accessToken": AUDITOR_TOKEN, "expiresOn": "2099-01-01 00:00:00.000000", "expires_on": 4070908800}
    stand_in.write_text(f"#!/bin/sh\necho '{json.dumps(token)}'\n", encoding="utf-8")
    stand_in.chmod(stat.S_IRWXU)
    documents = [msgspec.yaml.decode(way) for way in ways]
    joined = {**documents[0], **{key: [one for document in documents for one in document[key]] for key in _LISTS}}
    (folder / "kubeconfig").write_bytes(msgspec.yaml.encode(joined))


_LISTS = ("clusters", "contexts", "users")


def way_of(api: KubernetesApi, context: str) -> str:
    return kubeconfig(api, user="exec", server=f"https://{api.host}:{urlsplit(api.url).port}", context=context)


def scan(records: Sequence[Record], folder: Path, *ways: str) -> Done:
    signed_in(folder, *ways)
    with ResourceManager(records, altered=hostile.altered) as azure:
        options = ("--output", "out", "--format", FORMATS, "--fail-on", "critical", "--cluster-timeout", "300")
        return run(azure, folder, "scan", *options)


def of_cluster(folder: Path) -> bytes:
    report = json.loads((folder / "out" / "aks-audit.json").read_bytes())
    own = [finding for finding in report["findings"] if CLUSTER in finding["clusters"]]
    assert len(own) > 300
    for finding in own:
        finding.pop("location", None)
        for evidence in finding["evidence"]:
            evidence.pop("read", None)
    return _TIME.sub("then", json.dumps(own)).encode()


_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_a_hostile_cluster_changes_nothing_but_its_own_findings(tmp_path: Path) -> None:
    with (
        KubernetesApi("hardened") as good,
        KubernetesApi("weak", edit=hostile.inside, faults=hostile.FAULTS) as evil,
    ):
        own, ways = estate(good), (way_of(good, "good"), way_of(evil, "evil"))
        # that there is a second cluster is no secret, so there is a harmless one first, which nobody looks into
        harmless = scan([*own, *hostile.copied(estate(evil), tmp_path)], tmp_path / "harmless", ways[0])
        both = scan([*own, *hostile.of_azure(estate(evil), tmp_path)], tmp_path / "both", *ways)
        assert any(request.path.endswith("/pods") for request in evil.requests)
    assert "Traceback" not in harmless.err + both.err
    assert both.code in {1, 3}, both.err
    assert of_cluster(tmp_path / "both") == of_cluster(tmp_path / "harmless")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MOST_MEMORY
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", both.err.replace("\r\n", "\n"))
    told = {missing["reason"] for missing in report(tmp_path / "both")["coverage"]["unread"]}
    for part in ("larger than 33,554,432 bytes", "leads back to a page", "without a name", "nested deeper"):
        assert any(part in reason for reason in told), (part, told)
    assert not crashed(tmp_path / "both")
    check_outputs(tmp_path / "both" / "out", both.out)


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "aks-audit.json").read_bytes())
    return found


def crashed(folder: Path) -> list[str]:
    findings = report(folder)["findings"]
    return [one["reason"] for finding in findings for one in finding["missing"] if one["kind"] == "crashed"]


UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


def check_outputs(folder: Path, console: str) -> None:
    """No format lets what the hostile owner wrote be anything but text."""
    assert not UNSEEN.search(console)
    assert hostile.MARK in (folder / "aks-audit.json").read_text(encoding="utf-8")
    files = {path.name: path for path in folder.iterdir()}
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items() if path.suffix != ".xlsx"}
    for name in ("aks-audit.html", "aks-audit.md", "aks-audit.csv", "aks-audit.junit.xml"):
        assert not UNSEEN.search(texts[name]), name
    shown = MarkdownIt("commonmark", {"html": True}).enable("table").render(texts["aks-audit.md"])
    for page in (texts["aks-audit.html"], texts["aks-audit.junit.xml"], shown):
        assert hostile.MARK in page
        assert f"<script>alert('{hostile.MARK}" not in page
        assert f"<img src=x onerror=alert('{hostile.MARK}" not in page
        assert 'href="javascript:' not in page
    ET.parse(files["aks-audit.junit.xml"])  # noqa: S314 - of our own making, and it is asked whether it is XML at all
    json.loads(files["aks-audit.sarif"].read_bytes())
    for row in csv.reader(io.StringIO(files["aks-audit.csv"].read_text(encoding="utf-8-sig"))):
        assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    for sheet in openpyxl.load_workbook(files["aks-audit.xlsx"]):
        assert not [cell for cells in sheet.iter_rows() for cell in cells if cell.data_type == "f"]
