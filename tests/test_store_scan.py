"""A scan whose run is kept: the same bytes, the last complete run as baseline, and refusals before anything is read."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import live
from aks_audit import snapshot
from aks_audit.commands.live import demo
from aks_audit.store.runs import MANIFEST, REPORT, SNAPSHOT
from cases import ROOT, Case, records_of
from resource_manager import ResourceManager, load


def scan(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("aks-audit")), "scan", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


@pytest.fixture
def complete(tmp_path: Path) -> str:
    """A snapshot of an estate that was read whole."""
    path = tmp_path / "complete.jsonl"
    snapshot.write(path, records_of(Case(name="", expect="")))
    return str(path)


def report(folder: Path, run: str, scope: str = "default") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress((folder / scope / run / REPORT).read_bytes()))
    return found


def test_a_run_holds_the_bytes_that_a_folder_gets(tmp_path: Path) -> None:
    formats = ("--format", "json,sarif,html,console")
    scan(tmp_path, "--demo", "--store", "store", "--run", "first", "--output", "with", *formats)
    scan(tmp_path, "--demo", "--output", "alone", *formats)
    kept = tmp_path / "store" / "default" / "first"
    for name in ("aks-audit.json", "aks-audit.sarif", "aks-audit.html"):
        alone = (tmp_path / "alone" / name).read_bytes()
        assert (tmp_path / "with" / name).read_bytes() == alone
        if name == "aks-audit.json":
            assert (kept / REPORT).read_bytes() == gzip.compress(alone, compresslevel=6, mtime=0)
        else:
            assert (kept / name).read_bytes() == alone
    names = {REPORT, SNAPSHOT, MANIFEST, "aks-audit.sarif", "aks-audit.html"}
    assert {path.name for path in kept.iterdir()} == names
    assert snapshot.read([kept / SNAPSHOT]).entries
    assert json.loads((kept / MANIFEST).read_bytes())["exitCode"] == 1


def test_the_snapshot_of_a_run_gives_its_report_again(tmp_path: Path) -> None:
    """Of several files, too: what each header says of its own records is not what the one file has."""
    parts = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    lines = demo().read_bytes().splitlines(keepends=True)
    cut = [
        [lines[0].replace(b'"documents":', b'"documents":null,"once":'), *half] for half in (lines[1:99], lines[99:])
    ]
    for part, half in zip(parts, cut, strict=True):
        part.write_bytes(b"".join(half))
    scan(tmp_path, "--snapshot", *map(str, parts), "--store", "store", "--run", "first")
    again = scan(tmp_path, "--snapshot", f"store/default/first/{SNAPSHOT}", "--format", "json")
    told, first = json.loads(again.stdout), report(tmp_path / "store", "first")
    assert [(one["rule"], one["outcome"]) for one in told["findings"]] == [
        (one["rule"], one["outcome"]) for one in first["findings"]
    ]
    assert told["coverage"] == first["coverage"]


def test_a_live_scan_names_lines_of_the_snapshot_beside_its_report(tmp_path: Path) -> None:
    with ResourceManager(load(ROOT / "fixtures" / "estates" / "nat-gateway.jsonl")) as server:
        done = live.run(server, tmp_path, "scan", "--store", "store", "--run", "first", "--scope", "prod")
    assert done.code in {0, 1, 3}, done.err
    located = {one["location"]["file"] for one in report(tmp_path / "store", "first", "prod")["findings"]}
    assert located == {SNAPSHOT}
    lines = gzip.decompress((tmp_path / "store" / "prod" / "first" / SNAPSHOT).read_bytes()).splitlines()
    for one in report(tmp_path / "store", "first", "prod")["findings"]:
        cited = json.loads(lines[one["location"]["line"] - 1])["id"].lower()
        told = [one["resource"], *(evidence["resource"] for evidence in one["evidence"])]
        assert any(resource.lower().startswith(cited) for resource in told)


def test_the_last_complete_run_is_the_baseline(tmp_path: Path, complete: str) -> None:
    first = scan(tmp_path, "--snapshot", complete, "--store", "store", "--run", "1")
    assert "has no complete run of default before this one" in first.stderr
    assert report(tmp_path / "store", "1")["comparison"] is None
    scan(tmp_path, "--demo", "--store", "store", "--run", "2")  # is not complete
    third = scan(tmp_path, "--snapshot", complete, "--store", "store", "--run", "3", "--fail-on", "new:info")
    assert "the baseline is the run default/1 of store" in third.stderr
    compared = report(tmp_path / "store", "3")["comparison"]
    assert compared["new"] == 0
    assert compared["unchanged"] > 0
    assert third.returncode == 0
    other = scan(tmp_path, "--snapshot", complete, "--store", "store", "--scope", "b", "--fail-on", "new:info")
    assert other.returncode == 1  # of another scope, of which nothing is known


def test_a_damaged_run_is_no_baseline_and_an_earlier_one_is(tmp_path: Path, complete: str) -> None:
    for run in ("1", "2"):
        scan(tmp_path, "--snapshot", complete, "--store", "store", "--run", run)
    (tmp_path / "store" / "default" / "2" / REPORT).write_bytes(b"\x1f\x8b")
    done = scan(tmp_path, "--snapshot", complete, "--store", "store", "--run", "3")
    assert "is not what was written" in done.stderr
    assert "the baseline is the run default/1" in done.stderr
    assert "Traceback" not in done.stderr


def test_old_runs_end_once_a_new_one_is_there(tmp_path: Path) -> None:
    scan(tmp_path, "--demo", "--store", "store", "--run", "1")
    for path in (tmp_path / "store" / "default" / "1").iterdir():
        os.utime(path, (1e9, 1e9))
    done = scan(tmp_path, "--demo", "--store", "store", "--run", "2", "--keep", "400")
    assert "deleted default/1, which was older than 400 days" in done.stderr
    assert not (tmp_path / "store" / "default" / "1").exists()
    assert (tmp_path / "store" / "default" / "2" / MANIFEST).exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--demo", "--scope", "a"], "--scope is of runs that are kept; name their place with --store PLACE"),
        (["--demo", "--run", "a"], "--run is of runs that are kept"),
        (["--demo", "--keep", "3"], "--keep is of runs that are kept"),
        (["--demo", "--store", "s", "--scope", "../x"], "is no name; use letters"),
        (["--demo", "--store", "s", "--run", ".x"], "is no name; use letters"),
        (["--demo", "--store", "s", "--keep", "0"], "is not a number of days above 0"),
        (["--demo", "--store", "s3://x"], "is no store; name a folder, or a container"),
        (["--demo", "--store", "file"], "is a file; name a folder"),
        (["--demo", "--store", "file/below"], "cannot be made"),
        (["--store", "s", "--shard", "1/2"], "needs --run NAME, the same for all shards"),
        (["--store", "s", "--shard", "1/2", "--run", "a", "--keep", "3"], "a shard deletes nothing"),
        (["--store", "s", "--shard", "1/2", "--run", "a", "--fail-on", "new:low"], "a shard has no baseline"),
    ],
)
def test_what_cannot_be_kept_is_refused_at_once(tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "file").touch()
    done = scan(tmp_path, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_ends_with_a_clear_error_and_no_run(tmp_path: Path) -> None:
    """As a file system is that lets no file grow: every write fails where it would on a full one."""
    script = (
        "import resource, signal, sys\n"
        "from aks_audit.cli import command\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "sys.argv = ['aks-audit', 'scan', '--demo', '--store', 'store', '--run', 'first']\n"
        "sys.exit(command())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot be written (File too large); make room or name another --store" in done.stderr
    assert [path.name for path in (tmp_path / "store").rglob("*") if path.name.startswith((MANIFEST, ".aks"))] == []
