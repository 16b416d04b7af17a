"""Shards in a store, merged into the run that they are of."""

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.cli import main
from aks_audit.snapshot import Record
from aks_audit.store.directory import DirectoryStore
from aks_audit.store.runs import MANIFEST, REPORT, SCHEMA, SNAPSHOT, Draft, Manifest, Place
from compose.hubs import Sizes, hubs
from live import run
from resource_manager import ResourceManager
from test_merge import WHOLE, later
from test_merge_live import timeless

OF = 3
SHARDS = WHOLE.shards(OF)


def keep(folder: Path, number: int, records: Sequence[Record] = (), name: str = "night", scan: str = "") -> Path:
    """Keep a shard as its scan does, and give the folder of it."""
    place = Place("prod", name, f"{number}/{OF}", scan or f"scan-{number}")
    draft = Draft(DirectoryStore(folder), place)
    draft.add(SNAPSHOT, gzip.compress(snapshot.encode(records or SHARDS[number - 1]), mtime=0))
    times = {"started": "2026-11-20T06:00:00Z", "finished": "2026-11-20T06:01:00Z"}
    told = {"complete": True, "exit_code": 0, "files": (), "tool": "0.1.0"}
    draft.finish(Manifest(SCHEMA, "prod", name, place.scan, place.shard, **times, **told))  # type: ignore[arg-type]  # several types
    return folder / place.folder


def merged(folder: Path, name: str = "night") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "prod" / name / MANIFEST).read_bytes())
    return found


def report(folder: Path, name: str = "night") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress((folder / "prod" / name / REPORT).read_bytes()))
    return found


@pytest.fixture(name="merge")
def fixture_merge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - a function
    """Merge by the command: its exit code and what it said."""

    def merge(*arguments: str) -> tuple[int, str]:
        where = ["--store", str(tmp_path), "--scope", "prod", "--fail-on", "critical"]
        return main(["merge", *where, *arguments]), capsys.readouterr().err

    return merge


def test_a_run_is_united_and_tells_of_which_shards(merge: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    for number in (1, 2, 3):
        keep(tmp_path, number)
    code, err = merge("--run", "night")
    assert (code, merged(tmp_path)["exitCode"]) == (0, 0), err
    kept = b"".join(snapshot.lines(tmp_path / "prod" / "night" / SNAPSHOT))
    assert kept == snapshot.encode(WHOLE.all)
    told = merged(tmp_path)
    assert told["shards"] == [{"shard": f"{number}/{OF}", "scan": f"scan-{number}"} for number in (1, 2, 3)]
    assert (told["shard"], told["complete"]) == (None, True)
    assert {one["location"]["file"] for one in report(tmp_path)["findings"]} == {SNAPSHOT}


def test_without_a_name_the_last_run_with_shards_is_merged(merge: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    for number in (1, 2, 3):
        keep(tmp_path, number, name="20261120T020000Z")
        keep(tmp_path, number, name="20261121T020000Z")
    code, err = merge()
    assert code == 0
    assert "merging the run prod/20261121T020000Z" in err
    assert [path.parent.name for path in tmp_path.glob(f"prod/*/{MANIFEST}")] == ["20261121T020000Z"]


def test_the_run_before_is_the_baseline_of_a_merge(merge: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    for name in ("night-1", "night-2"):
        for number in (1, 2, 3):
            keep(tmp_path, number, name=name)
        merge("--run", name)
    comparison = report(tmp_path, "night-2")["comparison"]
    assert (comparison["new"], comparison["changed"], comparison["unchanged"] > 0) == (0, 0, True)


def test_a_lost_shard_makes_the_run_incomplete_and_a_late_one_whole_again(merge: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    keep(tmp_path, 1)
    keep(tmp_path, 2)
    code, err = merge()
    assert code == 3
    assert f"shard 3/{OF} is missing; run it again with --shard 3/{OF}, and merge again" in err
    assert not merged(tmp_path)["complete"]
    assert [one["shard"] for one in merged(tmp_path)["shards"]] == [f"1/{OF}", f"2/{OF}"]
    keep(tmp_path, 3)
    code, err = merge()
    assert code == 0
    assert f"shard 3/{OF} came after this run was last merged, and is taken now" in err
    assert f"shard 1/{OF} came after" not in err
    assert merged(tmp_path)["complete"]


def test_a_shard_that_was_run_again_counts_once(merge: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    for number in (1, 2, 3):
        keep(tmp_path, number)
    keep(tmp_path, 2, later(SHARDS[1], 0.5), scan="again")
    code, err = merge()
    assert code == 0
    assert f"shard 2/{OF} (prod/night/shards/2-of-3/scan-2) is not taken: prod/night/shards/2-of-3/again" in err
    assert merged(tmp_path)["shards"][1] == {"shard": f"2/{OF}", "scan": "again"}


def test_a_shard_that_is_not_what_was_written_is_lost(merge: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    for number in (1, 2, 3):
        keep(tmp_path, number)
    file = tmp_path / f"prod/night/shards/2-of-{OF}/scan-2" / SNAPSHOT
    file.write_bytes(file.read_bytes()[:-20])
    code, err = merge()
    assert code == 3
    assert "warning: left out: " in err
    assert "is not what was written" in err
    assert f"shard 2/{OF} is missing" in err


def test_a_shard_that_was_not_finished_is_lost(merge: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    folders = [keep(tmp_path, number) for number in (1, 2, 3)]
    (folders[2] / MANIFEST).unlink()
    code, err = merge()
    assert code == 3
    assert f"shard 3/{OF} is missing" in err


def test_a_store_without_shards_is_an_error(merge: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    code, err = merge()
    assert code == 2
    assert "has no shard of prod; scan with --store, --run and --shard first" in err
    keep(tmp_path, 1)
    code, err = merge("--run", "another")
    assert code == 2
    assert "there is no shard to merge" in err


def test_snapshots_of_shards_can_be_merged_into_a_store(merge: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a fixture
    paths = []
    for number, records in enumerate(SHARDS, 1):
        paths.append(tmp_path / "files" / f"{number}.jsonl.gz")
        snapshot.write(paths[-1], records)
    code, err = merge("--run", "night", *map(str, paths))
    assert code == 0, err
    assert merged(tmp_path)["shards"] == [{"shard": f"{number}/{OF}", "scan": ""} for number in (1, 2, 3)]


def test_shards_scanned_into_a_store_are_merged_into_the_run_of_a_single_scan(tmp_path: Path) -> None:
    common = ("--scope", "prod", "--run", "night", "--format", "json,html")
    shard = r"warning: prod/night was merged before shard 2/2 ended; unite it by: aks-audit merge --store store"
    with ResourceManager(hubs(6, 3, Sizes(security_rules=5, routes=5, firewall_rules=200))) as server:
        whole = run(server, tmp_path, "scan", "--store", "single", *common)
        run(server, tmp_path, "scan", "--store", "store", *common, "--shard", "1/2")
        assert run(server, tmp_path, "merge", "--store", "store", *common).code in {1, 3}
        late = run(server, tmp_path, "scan", "--store", "store", *common, "--shard", "2/2")
        united = run(server, tmp_path, "merge", "--store", "store", *common)
    assert re.search(shard, late.err)
    assert "shard 2/2 came after this run was last merged" in united.err
    assert united.code == whole.code
    single, store = (tmp_path / name / "prod" / "night" for name in ("single", "store"))
    for name in (SNAPSHOT, REPORT):
        for folder in (single, store):
            (folder / f"{name}.unpacked").write_bytes(gzip.decompress((folder / name).read_bytes()))
        assert timeless(store / f"{name}.unpacked") == timeless(single / f"{name}.unpacked")
    assert timeless(store / "aks-audit.html") == timeless(single / "aks-audit.html")
    manifests = [json.loads(path.read_bytes()) for path in store.glob(f"shards/*/*/{MANIFEST}")]
    told = json.loads((store / MANIFEST).read_bytes())
    assert told["shards"] == sorted(
        ({"shard": one["shard"], "scan": one["scan"]} for one in manifests), key=lambda one: one["shard"]
    )
    assert told["scan"] not in {one["scan"] for one in manifests}
