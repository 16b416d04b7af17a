"""What a fleet's CronJobs leave in a store night after night: the merge of the chart is run upon it."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from aks_audit import __version__, snapshot
from aks_audit.cli import main
from aks_audit.commands import INCOMPLETE, OK, UNUSABLE
from aks_audit.shards import Share
from aks_audit.snapshot import Body
from aks_audit.store.directory import DirectoryStore
from aks_audit.store.runs import SCHEMA, SNAPSHOT, Draft, Manifest, Place, run_name
from aks_audit.store.store import Store
from charts import MINUTE, container, jobs, made, render, variables, variants
from compose.azure import guid
from compose.hubs import Sizes, hubs
from jobs import Job
from resource_manager import Answer, Fault, ResourceManager
from shared_out import clusters_of

OF = 8
SCOPE = "production"
FIRST = datetime.fromtimestamp(MINUTE * 60, UTC)


WHOLE = clusters_of("fleet", 24)
"""So many subscriptions that no shard is empty."""


def end(store: Store, number: int, night: int = 0) -> None:
    """Let a shard of a night have ended, as the pod with its index leaves it."""
    started = FIRST + timedelta(days=night)
    times = [f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in (started, started + timedelta(minutes=30))]
    share, scan = Share(number, OF), guid(str(night), str(number))
    run = run_name(started)
    draft = Draft(store, Place(SCOPE, run, str(share), scan))
    draft.add(SNAPSHOT, gzip.compress(snapshot.encode(WHOLE.shard(share)), mtime=0))
    draft.finish(
        Manifest(
            schema=SCHEMA,
            scope=SCOPE,
            run=run,
            scan=scan,
            shard=str(share),
            tool=__version__,
            started=times[0],
            finished=times[1],
            complete=True,
            exit_code=OK,
            files=(),
        )
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path / "store")


def merge(folder: Path, *more: str) -> int:
    """Run what the chart's merge runs, upon the store in a folder, but tell nobody."""
    told = ("--webhook", "--report-url", "--pushgateway", "--log-analytics", "--dcr-id", "--stream")
    elsewhere = ("--store", "--config", "--auth")
    arguments = container(jobs(made()["fleet"])["merge"])["args"]
    kept = [one for one in arguments if not one.startswith((*told, *elsewhere))]
    return main([*kept, f"--store={folder / 'store'}", *more])


def told(folder: Path, night: int = 0) -> Manifest:
    """The manifest of the merged run of a night."""
    path = folder / "store" / SCOPE / run_name(FIRST + timedelta(days=night)) / "run.json"
    return msgspec.json.decode(path.read_bytes(), type=Manifest)


def test_a_night_of_all_shards_is_merged_whole(store: Store, tmp_path: Path) -> None:
    for number in range(1, OF + 1):
        end(store, number)
    assert merge(tmp_path) == OK
    assert told(tmp_path).run == "20261122T020000Z"
    assert told(tmp_path).complete
    assert [one.shard for one in told(tmp_path).shards] == [f"{number}/{OF}" for number in range(1, OF + 1)]


def test_a_lost_shard_fails_the_job_and_is_named_and_taken_when_it_comes(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, OF):
        end(store, number)
    assert merge(tmp_path) == INCOMPLETE
    assert f"{OF}/{OF}" in capfd.readouterr().err
    end(store, OF)
    assert merge(tmp_path) == OK
    assert f"shard {OF}/{OF} came after this run was last merged" in capfd.readouterr().err


def test_a_night_without_any_shard_is_not_passed_over(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, OF + 1):
        end(store, number)
    assert merge(tmp_path) == OK
    before = told(tmp_path)
    assert merge(tmp_path) == UNUSABLE  # it would merge the night before once more, and end well
    assert "no shard came since" in capfd.readouterr().err
    assert told(tmp_path) == before
    assert merge(tmp_path, f"--run={before.run}") == OK


def test_the_next_night_is_merged_for_itself(store: Store, tmp_path: Path) -> None:
    for night in range(2):
        for number in range(1, OF + 1):
            end(store, number, night)
        assert merge(tmp_path) == OK
        assert told(tmp_path, night).complete
    assert told(tmp_path, 1).run > told(tmp_path).run


def pods(objects: list[Body], component: str) -> list[str]:
    """The arguments of pods, with Azure on loopback and the store in a folder."""
    elsewhere = ("--store=", "--auth=", "--cloud=")
    given: list[str] = container(jobs(objects)[component])["args"]
    return [*(one for one in given if not one.startswith(elsewhere)), "--store=store", "--auth=cli"]


def variables_of(objects: list[Body], index: int, scan: str) -> dict[str, str]:
    found = variables(jobs(objects)["scan"], index)
    return {**{name: value for name, value in found.items() if name != "HOME"}, "AKS_AUDIT_SCAN_ID": scan}


def fleet_of(shards: int) -> list[Body]:
    (objects,) = render({**variants()["default"], "fleet": {"shards": shards}, "scan": {"scope": SCOPE}})
    return objects


RECORDS = hubs(9, 2, Sizes(security_rules=2, routes=2, firewall_rules=10))
"""Clusters whose hubs are in subscriptions of other shards."""


def test_pods_of_the_chart_read_a_fleet_and_their_merge_has_it_whole(tmp_path: Path) -> None:
    objects = fleet_of(3)
    with ResourceManager(RECORDS) as server:
        for attempt, index in enumerate((2, 0, 1, 0)):  # another pod took the place of the first shard's
            given = variables_of(objects, index, guid("pod", str(attempt)))
            with Job(server, tmp_path, *pods(objects, "scan"), **given) as job:
                done = job.done()
            assert done.code == OK, done.err  # though the hubs of its clusters are another shard's to list
        with Job(server, tmp_path, *pods(objects, "merge")) as job:
            done = job.done()
    assert done.code == OK, done.err
    assert [one.shard for one in told(tmp_path).shards] == ["1/3", "2/3", "3/3"]
    assert {one.name for one in told(tmp_path).files} > {"aks-audit.html", "aks-audit.json.gz", SNAPSHOT}
    folder = tmp_path / "store" / SCOPE / told(tmp_path).run
    report = json.loads(gzip.decompress((folder / "aks-audit.json.gz").read_bytes()))
    assert len(report["clusters"]) == 9
    manifests = [json.loads(file.read_bytes()) for file in folder.glob("shards/*/*/run.json")]
    assert [one["complete"] for one in manifests] == [True] * 4


def test_a_shard_that_could_not_read_all_of_its_own_says_so(tmp_path: Path) -> None:
    objects = fleet_of(3)
    refused = Fault("routeTables", Answer(403, b"{}"), times=None)
    given = variables_of(objects, 0, guid("pod"))
    with (
        ResourceManager(RECORDS, faults=[refused]) as server,
        Job(server, tmp_path, *pods(objects, "scan"), **given) as job,
    ):
        done = job.done()
    assert done.code == INCOMPLETE, done.err
    (file,) = (tmp_path / "store" / SCOPE).glob("*/shards/*/*/run.json")
    assert json.loads(file.read_bytes())["complete"] is False
