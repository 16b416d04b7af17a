"""Jobs: signals leave what was read, the next run reads only what is missing, and a heartbeat shows that all lives."""

import json
import re
import signal
import threading
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest

from aks_audit import heartbeat, snapshot
from aks_audit.cli import main
from aks_audit.commands import EXIT_CODES
from aks_audit.progress import EventName, Progress
from aks_audit.snapshot import Snapshot, SnapshotError
from aks_audit.sources.azure.plan import LISTED
from aks_audit.sources.journal import Journal
from aks_audit.store.store import StoreError
from cases import ROOT, Case, records_of
from jobs import Job, events, lines_of
from kubernetes_api import AUDITOR_TOKEN, KubernetesApi, kubeconfig
from live import Done, run
from resource_manager import Answer, Fault, Hang, Request, ResourceManager
from test_live_inside import address, estate, sign_in

BASE = Case(name="", expect="")
COLLECT = ("collect", "-o", "estate.jsonl", "--auth", "cli")
JSON = ("--log-format", "json")
STORE = ("scan", "--store", "store", "--format", "json", "--auth", "cli")
HANGS = Fault("routeTables", Hang(600), times=None)
READS = 2 * (len(LISTED) - 1)
"""How many reads come to their end while the lists of route tables of two subscriptions do not."""


def paths(requests: Iterable[Request]) -> Counter[str]:
    return Counter(request.path for request in requests)


def kept(file: Path) -> int:
    """How many reads a journal holds."""
    return file.read_bytes().count(b"\n") if file.exists() else 0


def kept_in_store(folder: Path) -> int:
    return sum(map(kept, folder.glob("store/default/.journal/whole/*.jsonl")))


def content(read: Snapshot) -> tuple[object, ...]:
    """What a snapshot says, but for when that was read."""
    resources = [(one.id, one.type, one.body, one.source) for one, _ in read.resources]
    return read.listings, [gap for gap, _ in read.gaps], resources


def ended(server: ResourceManager, folder: Path, number: signal.Signals, *arguments: str) -> Done:
    """A collection that is ended while two lists hang and all others were read."""
    with Job(server, folder, *COLLECT, *arguments) as job:
        job.wait_until(lambda: kept(folder / "estate.jsonl.partial") >= READS)
        job.send(number)
        return job.done()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_leaves_a_snapshot_that_says_what_is_missing(name: str, tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE), faults=[HANGS]) as server:
        done = ended(server, tmp_path, signal.Signals[name], *JSON)
        scanned = run(server, tmp_path, "scan", "--snapshot", "estate.jsonl", "--format", "json")
    assert done.code == 3, done.err
    read = snapshot.read([tmp_path / "estate.jsonl"])
    assert len(read.listings) == READS
    lost = {gap.type: gap for gap, _ in read.gaps if gap.cause == "not-read"}
    assert "Microsoft.Network/routeTables" in lost
    assert {gap.reason for gap in lost.values()} == {f"the scan was interrupted by {name}"}
    assert scanned.code in {1, 3}
    assert f"interrupted by {name}" in scanned.out
    assert [line["signal"] for line in lines_of(done.err) if line["event"] == "interrupted"] == [name]


def test_a_resumed_run_makes_only_the_calls_that_are_missing(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE)) as server:
        assert run(server, tmp_path, *COLLECT[:-2]).code == 0
        needed = paths(server.requests)
        whole = snapshot.read([tmp_path / "estate.jsonl"])
    with ResourceManager(records_of(BASE), faults=[HANGS]) as server:
        ended(server, tmp_path, signal.SIGTERM)
        first = paths(one for one in server.requests if "routeTables" not in one.path)
        before = len(server.requests)
        server.strike()
        done = run(server, tmp_path, *COLLECT[:-2], "--max-age", "1h", *JSON)
        second = paths(server.requests[before:])
    assert done.code == 0, done.err
    assert second == needed - first + Counter(["/subscriptions"])
    assert sum(second.values()) < sum(needed.values()) - READS + 2
    assert "resumed" in events(done)
    resumed = snapshot.read([tmp_path / "estate.jsonl"])
    assert content(resumed) == content(whole)
    times = [one.read for one, _ in resumed.resources if one.read]
    assert resumed.started is not None
    assert resumed.started <= min(times)
    assert not list(tmp_path.glob("*.partial"))


def test_a_run_that_was_killed_is_resumed_from_whole_lines_alone(tmp_path: Path) -> None:
    journal = tmp_path / "estate.jsonl.partial"
    with ResourceManager(records_of(BASE), faults=[HANGS]) as server:
        with Job(server, tmp_path, *COLLECT) as job:
            job.wait_until(lambda: kept(journal) >= READS)
            job.send(signal.SIGKILL)
            assert job.done().code == -signal.SIGKILL
        assert not (tmp_path / "estate.jsonl").exists()
        journal.write_bytes(journal.read_bytes()[:-10])  # as where the disk was full within the last line
        before = len(server.requests)
        server.strike()
        done = run(server, tmp_path, *COLLECT[:-2], "--max-age", "1h", *JSON)
        again = paths(server.requests[before:])
    assert done.code == 0, done.err
    (resumed,) = [line for line in lines_of(done.err) if line["event"] == "resumed"]
    assert (resumed["fresh"], resumed["reads"]) == (READS - 1, READS - 1)
    assert (
        sum(path.rpartition("/")[2] in {kind.rpartition("/")[2] for kind in LISTED} for path in again.elements()) >= 3
    )
    assert snapshot.read([tmp_path / "estate.jsonl"]).gaps is not None


@pytest.mark.parametrize("given", [(), ("--max-age", "1s")], ids=["not asked for", "too old"])
def test_what_is_not_fresh_is_said_and_removed(given: tuple[str, ...], tmp_path: Path) -> None:
    journal = tmp_path / "estate.jsonl.partial"
    with ResourceManager(records_of(BASE), faults=[HANGS]) as server:
        ended(server, tmp_path, signal.SIGTERM)
        left = re.sub(
            rb'"read":"20\d\d-(..-..T..:..:..(?:\.\d+)?Z","records")', rb'"read":"2020-\1', journal.read_bytes()
        )
        journal.write_bytes(left)
        before = len(server.requests)
        server.strike()
        done = run(server, tmp_path, *COLLECT[:-2], *given, *JSON)
        lists = [one for one in server.requests[before:] if one.path.endswith("/managedClusters")]
    assert done.code == 0
    assert len(lists) == 2
    (said,) = [line for line in lines_of(done.err) if line["event"] == "journal-left"]
    assert said["reads"] == READS
    assert not journal.exists()


def test_a_clock_that_jumped_makes_nothing_fresh(tmp_path: Path) -> None:
    journal = tmp_path / "estate.jsonl.partial"
    with ResourceManager(records_of(BASE), faults=[HANGS]) as server:
        ended(server, tmp_path, signal.SIGTERM)
        journal.write_bytes(re.sub(rb'"read":"20\d\d-(?=[^"]*","records")', rb'"read":"2099-', journal.read_bytes()))
        server.strike()
        done = run(server, tmp_path, *COLLECT[:-2], "--max-age", "9d", *JSON)
    assert done.code == 0
    assert "resumed" not in events(done)
    assert "journal-left" in events(done)


def test_what_was_refused_is_asked_for_again(tmp_path: Path) -> None:
    denied = Fault("natGateways", Answer(403, b'{"error":{"code":"AuthorizationFailed","message":"no"}}'), times=None)
    with ResourceManager(records_of(BASE), faults=[denied, HANGS]) as server:
        with Job(server, tmp_path, *COLLECT) as job:
            job.wait_until(lambda: kept(tmp_path / "estate.jsonl.partial") >= READS - 2)
            job.send(signal.SIGTERM)
            job.done()
        before = len(server.requests)
        server.strike()
        done = run(server, tmp_path, *COLLECT[:-2], "--max-age", "1h")
        asked = [one.path for one in server.requests[before:]]
    assert done.code == 0, done.err
    assert sum("natGateways" in path for path in asked) == 2


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "slow.py").write_text("import time\ntime.sleep(600)\n", encoding="utf-8")
    command = ("scan", "--demo", "--rules", "rules", "--heartbeat-file", "beat")
    with ResourceManager(records_of(BASE)) as server, Job(server, tmp_path, *command) as job:
        job.wait_until((tmp_path / "beat").exists)
        job.send_until_it_ends(signal.SIGTERM)  # two that come at once may be one
        done = job.done()
    assert done.code == -signal.SIGTERM
    assert done.err.count("a second signal ends this at once") == 1


def test_after_everything_was_read_a_signal_lets_the_report_be_made(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    slow = "import pathlib, time\npathlib.Path('there').touch()\ntime.sleep(1)\n"
    (tmp_path / "rules" / "slow.py").write_text(f"{slow}RULES = ()\n", encoding="utf-8")
    command = ("scan", "--demo", "--rules", "rules", "--output", "out", *JSON)
    with ResourceManager(records_of(BASE)) as server, Job(server, tmp_path, *command) as job:
        job.wait_until((tmp_path / "there").exists)
        job.send(signal.SIGTERM)
        done = job.done()
    assert done.code == 1, done.err
    assert "interrupted" in events(done)
    assert json.loads((tmp_path / "out" / "aks-audit.json").read_bytes())["findings"]


def test_ctrl_c_ends_what_reads_nothing_at_once_and_gives_its_lock_up(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    slow = "import pathlib, time\npathlib.Path('there').touch()\ntime.sleep(600)\n"
    (tmp_path / "rules" / "slow.py").write_text(slow, encoding="utf-8")
    command = ("scan", "--demo", "--rules", "rules", "--store", "store")
    with ResourceManager(records_of(BASE)) as server, Job(server, tmp_path, *command) as job:
        job.wait_until((tmp_path / "there").exists)
        assert (tmp_path / "store" / "default" / ".lock-whole.json").exists()
        job.send(signal.SIGINT)
        done = job.done()
    assert done.code == 2
    assert done.err.splitlines()[-1] == "aks-audit: error: interrupted"
    assert not list((tmp_path / "store").rglob("*.json"))


def test_a_run_that_is_kept_leaves_its_part_in_the_store_and_is_resumed_from_there(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE), faults=[HANGS]) as server:
        with Job(server, tmp_path, *STORE, "--run", "first") as job:
            job.wait_until(lambda: kept_in_store(tmp_path) >= READS)
            job.send(signal.SIGTERM)
            done = job.done()
        assert done.code in {1, 3}, done.err
        manifest = json.loads((tmp_path / "store/default/first/run.json").read_bytes())
        assert not manifest["complete"]
        assert kept_in_store(tmp_path) == READS
        before = len(server.requests)
        server.strike()
        again = run(server, tmp_path, *STORE[:-2], "--run", "second", "--max-age", "1h", *JSON)
        lists = [one for one in server.requests[before:] if one.path.endswith(("/managedClusters", "/routeTables"))]
    assert {one.path.rpartition("/")[2] for one in lists} == {"routeTables"}
    assert json.loads((tmp_path / "store/default/second/run.json").read_bytes())["complete"], again.err
    assert kept_in_store(tmp_path) == 0
    assert not list((tmp_path / "store/default").glob(".lock*"))


@pytest.mark.parametrize("command", [("collect", "-o", "estate.jsonl"), STORE[:-2]], ids=["collect", "scan"])
def test_what_was_read_whole_stays_in_the_journal_until_it_is_kept(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = []

    def collect(_request: object, _progress: object, _signals: object, journal: Journal) -> list[snapshot.Collected]:
        left.append(journal.take("a list"))
        listing = snapshot.Listing(type="Microsoft.ContainerService/managedClusters", scope="/subscriptions/s")
        journal.add("a list", journal.now(), [listing])
        return [snapshot.Header(schema=snapshot.SCHEMA, tool="t", scope=("/subscriptions/s",)), listing]

    def full(*_: object) -> None:
        raise StoreError("no room")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("aks_audit.sources.live.collect", collect)
    with monkeypatch.context() as disk:
        disk.setattr("aks_audit.snapshot.write", full)
        disk.setattr("aks_audit.store.runs.Draft.add", full)
        assert main([*command, "--max-age", "1h"]) == 2
    assert main([*command, "--max-age", "1h"]) in {0, 3}
    assert main([*command, "--max-age", "1h"]) in {0, 3}
    assert [bool(one) for one in left] == [False, True, False]
    assert not kept(tmp_path / "estate.jsonl.partial") + kept_in_store(tmp_path)


def test_the_inside_of_a_cluster_is_taken_whole_or_read_again(tmp_path: Path) -> None:
    sign_in(tmp_path)
    asked = []
    with KubernetesApi("weak") as api, ResourceManager(estate(api), faults=[HANGS]) as azure:
        (tmp_path / "kubeconfig").write_text(kubeconfig(api, server=address(api), token=AUDITOR_TOKEN))
        azure.strike(Fault("privateDnsZones/.*/virtualNetworkLinks", Hang(0)))
        command = ("collect", "-o", "estate.jsonl", "--in-cluster", "kubeconfig")
        whole = run(azure, tmp_path, *command)
        first = snapshot.read([tmp_path / "estate.jsonl"])
        asked.append(len(api.requests))
        azure.strike(Fault("managedClusters", Answer(500, b"{}"), nth=2, times=None))
        lost = run(azure, tmp_path, *command)
        asked.append(len(api.requests))
        azure.strike()
        resumed = run(azure, tmp_path, *command, "--max-age", "1h")
        asked.append(len(api.requests))
    assert (whole.code, resumed.code) == (0, 0), whole.err + resumed.err
    assert lost.code == 3
    assert asked[1] > asked[0]
    assert asked[2] == asked[1]
    assert content(snapshot.read([tmp_path / "estate.jsonl"])) == content(first)


def test_two_collections_into_one_file_do_not_overlap(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE), faults=[HANGS]) as server:
        with Job(server, tmp_path, *COLLECT) as job:
            job.wait_until(lambda: kept(tmp_path / "estate.jsonl.partial") >= READS)
            second = run(server, tmp_path, *COLLECT[:-2])
            job.send(signal.SIGKILL)
            job.done()
        server.strike()
        third = run(server, tmp_path, *COLLECT[:-2])
    assert second.code == 4
    assert "estate.jsonl: another aks-audit is collecting into it" in second.err
    assert third.code == 0, third.err


def test_a_journal_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "estate.jsonl.partial").symlink_to("elsewhere")
    with ResourceManager(records_of(BASE)) as server:
        done = run(server, tmp_path, *COLLECT[:-2])
        assert server.requests == ()
    assert done.code == 2
    assert "estate.jsonl.partial: the journal cannot be written" in done.err


def test_the_heartbeat_tells_how_far_it_is(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    command = (*COLLECT, "--heartbeat-file", "beat")
    with ResourceManager(records_of(BASE), faults=[HANGS]) as server, Job(server, tmp_path, *command) as job:
        job.wait_until(lambda: beat.exists() and json.loads(beat.read_bytes())["left"] == 2)
        told = json.loads(beat.read_bytes())
        job.send(signal.SIGTERM)
        job.done()
    assert told["phase"] == "reading"
    assert told["calls"] > READS
    assert told["resources"] > 0
    assert {"time", "scan", "process", "waits", "waited", "throttled", "seconds", "idle"} < set(told)
    last = json.loads(beat.read_bytes())
    assert (last["phase"], last["left"]) == ("ended", 0)
    assert last["scan"] == told["scan"]


def test_a_heartbeat_comes_even_where_others_talk_all_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    progress = Progress(form="json", verbose=True, clock=lambda: now[0])
    progress.left(3)
    progress.waited(1.5)
    for _ in range(65):
        now[0] += 1
        progress.called("GET", "/subscriptions", 429)
    beats = [line for line in lines_of(capsys.readouterr().err) if line["event"] == "heartbeat"]
    assert [line["seconds"] for line in beats] == [30, 60]
    assert {key: beats[0][key] for key in ("calls", "throttled", "left", "waits", "waited", "phase")} == {
        "calls": 30,
        "throttled": 30,
        "left": 3,
        "waits": 1,
        "waited": 2,
        "phase": "starting",
    }


def test_a_heartbeat_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["scan", "--demo", "--heartbeat-file", str(tmp_path / "file" / "beat")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_heartbeat_that_cannot_be_written_any_more_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(heartbeat, "BETWEEN_BEATS", 0.01)
    monkeypatch.setattr(heartbeat, "BETWEEN_FILES", 0.01)
    tried = threading.Event()
    times = []

    def full(*_: object) -> None:
        times.append(1)
        if len(times) > 3:
            tried.set()
        if len(times) > 1:
            raise SnapshotError("no room")

    monkeypatch.setattr(heartbeat, "write_atomically", full)
    with heartbeat.Heartbeat(Progress(), tmp_path / "beat"):
        assert tried.wait(120)
    assert capsys.readouterr().err.count("no heartbeat: no room") == 1


def test_every_line_has_the_id_of_the_scan(tmp_path: Path) -> None:
    name = str(uuid.uuid4())
    with ResourceManager(records_of(BASE)) as server:
        named = run(server, tmp_path, *COLLECT[:-2], *JSON)
        with Job(server, tmp_path, *COLLECT, *JSON, AKS_AUDIT_SCAN_ID=name) as job:
            told = job.done()
        with Job(server, tmp_path, *COLLECT, AKS_AUDIT_SCAN_ID="mine") as job:
            refused = job.done()
    (own,) = {line["scan"] for line in lines_of(named.err)}
    assert uuid.UUID(own).version == 4
    assert {line["scan"] for line in lines_of(told.err)} == {name}
    assert events(told)[0] == "started"
    assert {"reading", "listed", "following", "read", "wrote"} <= set(events(told))
    assert events(told)[-1] == "finished"
    assert lines_of(told.err)[-1]["exit_code"] == told.code == 0
    assert refused.code == 2
    assert "AKS_AUDIT_SCAN_ID is 'mine', which is no UUID" in refused.err


def test_the_scan_id_is_in_no_snapshot(tmp_path: Path) -> None:
    name = str(uuid.uuid4())
    with ResourceManager(records_of(BASE)) as server, Job(server, tmp_path, *COLLECT, AKS_AUDIT_SCAN_ID=name) as job:
        assert job.done().code == 0
    assert name not in (tmp_path / "estate.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "6", "h", "6 h", "6w", "1.5h"])
def test_an_age_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["collect", "-o", "x", "--max-age", text])
    assert "such as 6h" in capsys.readouterr().err


def test_max_age_without_a_journal_is_refused(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE)) as server:
        done = run(server, tmp_path, "scan", "--max-age", "6h")
        recorded = run(server, tmp_path, "scan", "--demo", "--max-age", "6h")
    assert (done.code, recorded.code) == (2, 2)
    assert "--store" in done.err
    assert "--max-age is of live scans" in recorded.err


def test_the_runbook_tells_of_every_event_and_every_exit_code() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))
    assert set(get_args(EventName)) <= told
    for code in re.findall(r"^  (\d)  ", EXIT_CODES, re.MULTILINE):
        assert re.search(rf"^\| {code} \|", page, re.MULTILINE)
