"""`aks-audit scan` tells whom it is to tell, when there is something to tell, and keeps addresses to itself."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as older_text

from aks_audit.cli import main
from aks_audit.commands import FINDINGS, INCOMPLETE, LOCKED, OK, UNUSABLE
from aks_audit.progress import Progress
from aks_audit.store.directory import DirectoryStore
from aks_audit.store.lock import Lock
from listener import Answer, Listener, listening
from live import environment
from test_merge import OF, WHOLE, written

BASE = Path(__file__).parent.parent / "auditor" / "aks_audit" / "cases" / "base.jsonl"
SECRET = "/services/T0SECRET1/verysecretpart"  # noqa: S105 - of a listener here


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The folder of a store."""
    return tmp_path / "store"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """A webhook that takes all, whose address is in the environment."""
    with listening() as server:
        monkeypatch.setenv("AKS_AUDIT_WEBHOOK_URL", server.url + SECRET)
        yield server


def estate(folder: Path, *, local_accounts: bool = False, refused: bool = False) -> Path:
    """A recorded estate, hardened but for what is asked."""
    text = BASE.read_text(encoding="utf-8")
    if local_accounts:
        text = text.replace('"disableLocalAccounts":true', '"disableLocalAccounts":false')
        assert text != BASE.read_text(encoding="utf-8")
    lines = text.splitlines()
    if refused:
        cluster = re.search(r"/subscriptions/[^\"]+/managedClusters/[^\"/]+", text)
        assert cluster
        gap = {"kind": "gap", "id": cluster[0], "type": "pods", "reason": "refused", "cause": "refused", "status": 403}
        lines.append(json.dumps(gap))
    file = folder / "estate.jsonl"
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return file


def scanned(snapshot: Path, store: Path, run: str, *options: str) -> int:
    """The exit code of a scan that is kept."""
    kept = ["--store", str(store), "--scope", "production", "--run", run]
    return main(["scan", "--snapshot", str(snapshot), "--fail-on", "critical", *kept, *options])


def told(server: Listener) -> list[dict[str, Any]]:
    return [request.json for request in server.sent]


def test_nights(tmp_path: Path, store: Path, hook: Listener) -> None:
    options = ["--webhook", "generic", "--report-url", "https://reports.example/{scope}/{run}"]
    scanned(estate(tmp_path), store, "1", *options)
    (first,) = told(hook)
    assert first["first"]
    assert first["report"] == "https://reports.example/production/1"
    scanned(estate(tmp_path), store, "2", *options)
    assert len(hook.sent) == 1, "nothing changed"
    scanned(estate(tmp_path, local_accounts=True), store, "3", *options)
    assert [item["rule"] for item in told(hook)[1]["changes"]["new"]["items"]] == ["AKS-IAM-04"]
    scanned(estate(tmp_path, local_accounts=True), store, "4", *options)
    assert len(hook.sent) == 2
    scanned(estate(tmp_path), store, "5", *options)
    assert [item["rule"] for item in told(hook)[2]["changes"]["fixed"]["items"]] == ["AKS-IAM-04"]
    scanned(estate(tmp_path), store, "6", *options, "--webhook-always")
    assert told(hook)[3]["text"].startswith("## AKS audit of production: nothing new\n")


def test_nights_that_stay_incomplete_are_told_once(tmp_path: Path, store: Path, hook: Listener) -> None:
    options = ["--webhook", "generic"]
    scanned(estate(tmp_path), store, "1", *options)
    for run in ("2", "3", "4"):
        code = scanned(estate(tmp_path, local_accounts=True, refused=True), store, run, *options)
        assert code == INCOMPLETE
    assert len(hook.sent) == 2, "though the baseline is the first still"
    assert "became incomplete" in told(hook)[1]["text"]
    scanned(estate(tmp_path, local_accounts=True), store, "5", *options)
    assert "complete again" in told(hook)[2]["text"]
    assert told(hook)[2]["changes"]["new"]["count"] == 0, "it was told when it was new"


def test_what_could_not_be_told_is_told_by_the_next_run_that_can(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--webhook", "generic"]
    mark = store / "production" / ".untold-webhook.json"
    with listening(Answer(404), Answer(404), Answer(), Answer(404), Answer(404), Answer()) as server:
        monkeypatch.setenv("AKS_AUDIT_WEBHOOK_URL", server.url + SECRET)
        for run in ("1", "2"):
            assert scanned(estate(tmp_path), store, run, *options) == INCOMPLETE
        assert scanned(estate(tmp_path), store, "3", *options) == OK
        assert [message["first"] for message in told(server)] == [True] * 3, "until it was told"
        assert not mark.exists()
        for run in ("4", "5"):
            assert scanned(estate(tmp_path, local_accounts=True), store, run, *options) == INCOMPLETE
        assert json.loads(mark.read_text())["since"] == "3"
        assert scanned(estate(tmp_path, local_accounts=True), store, "6", *options) == OK
        assert [item["rule"] for item in told(server)[5]["changes"]["new"]["items"]] == ["AKS-IAM-04"]
        assert scanned(estate(tmp_path, local_accounts=True), store, "7", *options) == OK
    assert len(server.sent) == 6
    assert not mark.exists()


@pytest.mark.parametrize("damaged", ["", "{}", '{"schema": "other/1", "since": null}', "\xff", '{"a":' + "[" * 9999])
def test_a_damaged_mark_is_passed_over(tmp_path: Path, store: Path, hook: Listener, damaged: str) -> None:
    scanned(estate(tmp_path), store, "1", "--webhook", "generic")
    (store / "production" / ".untold-webhook.json").write_text(damaged, encoding="latin-1")
    scanned(estate(tmp_path), store, "2", "--webhook", "generic")
    assert len(hook.sent) == 1


@pytest.mark.parametrize(("kind", "key"), [("teams", "attachments"), ("slack", "blocks"), ("generic", "schemaVersion")])
def test_each_format_is_sent_as_json(tmp_path: Path, store: Path, hook: Listener, kind: str, key: str) -> None:
    assert scanned(estate(tmp_path), store, "1", "--webhook", kind) == OK
    (request,) = hook.sent
    assert (request.method, request.path) == ("POST", SECRET)
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"
    assert key in request.json


@pytest.mark.parametrize(("threshold", "code"), [("critical", INCOMPLETE), ("low", FINDINGS)])
def test_who_cannot_be_told_costs_no_report(  # noqa: PLR0913, PLR0917 - fixtures
    tmp_path: Path,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    threshold: str,
    code: int,
) -> None:
    with listening(Answer(404, body=b"no team verysecretpart")) as server:
        monkeypatch.setenv("AKS_AUDIT_WEBHOOK_URL", server.url + SECRET)
        options = ["--webhook", "slack", "--fail-on", threshold, "--log-format", "json", "-v"]
        assert scanned(estate(tmp_path, local_accounts=True), store, "1", *options) == code
    said = capsys.readouterr()
    (error,) = (line for line in map(json.loads, said.err.splitlines()) if line["level"] == "error")
    assert error["message"].startswith("the slack webhook of AKS_AUDIT_WEBHOOK_URL could not be told: it answered 404")
    assert not re.search("secret", said.out + said.err, re.IGNORECASE)
    assert (store / "production" / "1" / "run.json").is_file()


def test_the_address_may_be_in_a_file(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as server:
        file = tmp_path / "url"
        file.write_text(f"{server.url}{SECRET}\n")
        monkeypatch.setenv("AKS_AUDIT_WEBHOOK_URL_FILE", str(file))
        assert scanned(estate(tmp_path), store, "1", "--webhook", "teams") == OK
    assert [request.path for request in server.sent] == [SECRET]


REFUSED = {
    ("--webhook", "slack"): "no option takes it",
    ("--webhook-always",): "--webhook-always needs --webhook",
    ("--report-url", "https://x.example"): "--report-url needs --webhook",
    ("--dcr-id", "dcr-1"): "need --log-analytics",
    ("--log-analytics", "https://x.example"): "needs --dcr-id",
    ("--log-analytics", "http://x.example", "--dcr-id", "d"): "use https://",
    ("--log-analytics", "https://x.example", "--dcr-id", "d"): "is no endpoint of logs ingestion",
    ("--log-analytics", "https://x.example/.ingest.monitor.azure.com", "--dcr-id", "d"): "is no endpoint",
    ("--pushgateway", "http://push.example"): "use https://",
    ("--pushgateway", "https://me:hunter2@push.example"): "told by variables alone",
    ("--pushgateway", "https://push.example/?hunter2=1"): "has a ? or #",
    ("--metrics-file", "gauges.txt"): "end with .prom",
}


@pytest.mark.parametrize("options", REFUSED, ids=" ".join)
def test_what_cannot_be_told_is_refused_at_once(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    assert scanned(estate(tmp_path), store, "1", *options) == UNUSABLE
    said = capsys.readouterr().err
    assert REFUSED[options] in said
    assert "hunter2" not in said
    assert not store.exists()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://x.example/?sig=verysecretpart", "holds a secret"),
        ("https://me:verysecretpart@x.example/", "holds a secret"),
        ("https+x://me:verysecretpart@x.example/", "is no https:// address"),
        ("javascript:alert(1)", "is no https:// address"),
        ("https://x.example/>)[x](y", "is no https:// address"),
    ],
)
def test_a_link_is_no_secret_and_ends_where_it_ends(  # noqa: PLR0913, PLR0917 - fixtures
    tmp_path: Path, store: Path, hook: Listener, capsys: pytest.CaptureFixture[str], url: str, says: str
) -> None:
    assert scanned(estate(tmp_path), store, "1", "--webhook", "slack", "--report-url", url) == UNUSABLE
    said = capsys.readouterr().err
    assert says in said
    assert "verysecretpart" not in said
    assert not hook.sent


def test_a_webhook_needs_to_know_since_when(tmp_path: Path, hook: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    snapshot = str(estate(tmp_path))
    assert main(["scan", "--snapshot", snapshot, "--webhook", "slack"]) == UNUSABLE
    assert "needs --store or --baseline" in capsys.readouterr().err
    main(["scan", "--snapshot", snapshot, "--output", str(tmp_path / "old"), "--format", "json"])
    changed, before = str(estate(tmp_path, local_accounts=True)), str(tmp_path / "old" / "aks-audit.json")
    main(["scan", "--snapshot", changed, "--webhook", "generic", "--baseline", before])
    (message,) = told(hook)
    assert (message["scope"], message["first"]) == ("default", False)
    assert message["changes"]["new"]["count"] == 1


def test_gauges_are_pushed_and_written_with_the_code_that_the_scan_ends_with(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "aks-audit.prom"
    with listening() as gateway, listening(Answer(410)) as hook:
        monkeypatch.setenv("AKS_AUDIT_WEBHOOK_URL", hook.url + SECRET)
        to = ["--webhook", "slack", "--pushgateway", gateway.url, "--metrics-file", str(file)]
        assert scanned(estate(tmp_path), store, "1", *to) == INCOMPLETE
    assert [request.method for request in gateway.sent] == ["PUT", "POST"]
    for body in (gateway.sent[1].body.decode(), file.read_text()):
        values = {sample.name: sample.value for family in older_text(body) for sample in family.samples}
        assert values["aks_audit_run_exit_code"] == INCOMPLETE
        assert values["aks_audit_run_complete"] == 1
        assert values["aks_audit_run_success_timestamp_seconds"] == values["aks_audit_run_timestamp_seconds"]


def test_jobs_that_keep_nothing_have_a_scope_each_in_their_gauges(tmp_path: Path) -> None:
    """Node_exporter refuses all files where two have the same series."""
    series = set[tuple[str, frozenset[tuple[str, str]]]]()
    quantity = 0
    for scope in ("production", "test"):
        file = tmp_path / f"{scope}.prom"
        told = ["--scope", scope, "--metrics-file", str(file)]
        assert main(["scan", "--snapshot", str(estate(tmp_path)), "--fail-on", "critical", *told]) == OK
        samples = [sample for family in older_text(file.read_text()) for sample in family.samples]
        assert {sample.labels["scope"] for sample in samples} == {scope}
        series |= {(sample.name, frozenset(sample.labels.items())) for sample in samples}
        quantity += len(samples)
    assert len(series) == quantity


def test_a_scan_that_fails_says_so_by_its_gauges(tmp_path: Path, store: Path, hook: Listener) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{", encoding="utf-8")
    with listening() as gateway:
        assert scanned(broken, store, "1", "--webhook", "slack", "--pushgateway", gateway.url) == UNUSABLE
    (request,) = gateway.sent
    assert request.path == "/metrics/job/aks-audit/scope/production/about/run"
    assert b"\naks_audit_run_exit_code 2\n" in request.body
    assert not hook.sent, "there is no report of which something could be told"


def test_a_scan_that_another_keeps_out_tells_nothing(tmp_path: Path, store: Path) -> None:
    held = Lock(DirectoryStore(store), "production", None, Progress(quiet=True))
    with listening() as gateway, held:
        assert scanned(estate(tmp_path), store, "1", "--pushgateway", gateway.url) == LOCKED
    assert not gateway.sent, "the other one tells"


def test_a_gateway_that_refuses_is_told_of_by_the_exit_code(tmp_path: Path, store: Path) -> None:
    with listening(Answer(400, body=b"no")) as gateway:
        assert scanned(estate(tmp_path), store, "1", "--pushgateway", gateway.url) == INCOMPLETE


def test_rows_are_sent_with_the_token_that_azure_is_read_with(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment("https://127.0.0.1:1", tmp_path / "none.pem", tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("AKS_AUDIT_CLOUD", "AzureCloud")
    with listening(Answer(204)) as server:
        to = ["--log-analytics", server.url, "--dcr-id", "dcr-0123", "--auth", "cli"]
        assert scanned(estate(tmp_path, local_accounts=True), store, "1", *to) == OK
        assert scanned(estate(tmp_path), store, "2", *to) == OK
    assert {request.path for request in server.sent} == {
        "/dataCollectionRules/dcr-0123/streams/Custom-AksAudit_CL?api-version=2023-01-01"
    }
    first, second = (
        [(row["Kind"], row.get("Rule"), row.get("Change")) for row in request.json] for request in server.sent
    )
    assert ("finding", "AKS-IAM-04", "came") in first
    assert second == [("run", None, None), ("finding", "AKS-IAM-04", "went")]


def test_a_shard_tells_nobody(tmp_path: Path, store: Path, hook: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    kept = ["--store", str(store), "--run", "1", "--shard", "1/2"]
    assert main(["scan", *kept, "--webhook", "slack", "--pushgateway", "http://127.0.0.1:1"]) == UNUSABLE
    assert "give --webhook, --pushgateway to aks-audit merge" in capsys.readouterr().err
    assert not hook.sent
    assert not list(tmp_path.iterdir())


def test_a_merge_tells_of_the_whole_fleet(tmp_path: Path, store: Path, hook: Listener) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    paths = written(shards, WHOLE.shards(OF))
    to = ["--webhook", "generic", "--store", str(store), "--fail-on", "none"]
    assert main(["merge", *map(str, paths), *to, "--run", "1"]) == OK
    assert main(["merge", *map(str, paths), *to, "--run", "2"]) == OK
    assert [message["first"] for message in told(hook)] == [True], "nothing changed"
    assert main(["merge", *map(str, paths[1:]), *to, "--run", "3"]) == INCOMPLETE
    assert "became incomplete" in told(hook)[1]["text"]
    assert told(hook)[1]["changes"]["unknown"]["count"] > 0
    assert told(hook)[1]["changes"]["fixed"]["count"] == 0, "nothing is by a shard that was lost"
