"""Kills real runs at moments that chance chooses: `python tests/robustness/kill.py --times 100 collect scan merge`.

(`store` is a scan into a store, `resume` a live one that goes on by the journal of the killed one.)

Each time a run is begun where the files of an earlier one stand, and after a while, anywhere between its first moment
and its last, its whole process group gets SIGKILL. Then each file has to be the old one or the new one, to the byte
and whole; and the next run, over whatever was left behind, has to end as if nothing had been, with the right bytes.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec

from aks_audit import snapshot
from aks_audit.snapshot import Header, Record, Resource
from aks_audit.store import runs
from aks_audit.store.directory import DirectoryStore
from cases import BASE, ROOT
from live import environment
from resource_manager import ResourceManager, load

OLD = ROOT / "fixtures" / "estates" / "aks-create-defaults.jsonl"
"""What was there at the earlier run; now there is `BASE`."""


ENDED = frozenset({0, 1, 3})
"""The exit codes of audits that came to their end, whatever they found."""


class BrokenError(Exception):
    """What a killed run left is not what it may leave."""


class Killed(NamedTuple):
    """A run that was killed: when (seconds from its start), what then stood at its target, and what else was left."""

    moment: float
    state: str
    leftovers: int


class Scenario(NamedTuple):
    """A command that is killed: its arguments; where it writes, below the folder it runs in; and how to read that.

    `prepare` puts the files of the earlier run there; `state` says by a word what stands there, and raises
    `BrokenError` where that is nothing whole; `settled` is the word after a run that came to its end.
    """

    arguments: Sequence[str]
    prepare: Callable[[Path], object]
    state: Callable[[Path], str]
    settled: str
    variables: Mapping[str, str]


@contextmanager
def collecting(folder: Path) -> Iterator[Scenario]:
    """A collection from a loopback Resource Manager, into a snapshot that stands there from an earlier one."""
    old, new = _told(load(OLD)), None
    with ResourceManager(load(BASE)) as azure:
        variables = environment(azure.url, azure.ca_file, folder)
        arguments = ("collect", "-o", "estate.jsonl.gz", "--in-cluster", "none", "--auth", "cli", "--quiet")
        _run(arguments, folder, variables)
        new = _told(_whole(folder / "estate.jsonl.gz"))

        def state(where: Path) -> str:
            told = _told(_whole(where / "estate.jsonl.gz"))
            if told not in (old, new):
                raise BrokenError("the snapshot holds neither what was there nor what is there")
            return "old" if told == old else "new"

        yield Scenario(
            arguments, lambda where: snapshot.write(where / "estate.jsonl.gz", load(OLD)), state, "new", variables
        )


@contextmanager
def scanning(folder: Path) -> Iterator[Scenario]:
    """An audit of a recorded estate, into a folder where the reports of an earlier one stand."""
    formats = ("--format", "json,sarif,html,csv,markdown,junit,openmetrics,ocsf,xlsx", "--output")
    variables = dict(os.environ)
    arguments = ("scan", "--snapshot", str(BASE), *formats, "out", "--quiet")
    _run(("scan", "--snapshot", str(OLD), *formats, "before", "--quiet"), folder, variables, ENDED)
    _run((*arguments[:-2], "after", "--quiet"), folder, variables, ENDED)
    old, new = _files(folder / "before"), _files(folder / "after")

    def prepare(where: Path) -> None:
        for name, data in old.items():
            (where / "out").mkdir(exist_ok=True)
            (where / "out" / name).write_bytes(data)

    def state(where: Path) -> str:
        found = _files(where / "out")
        if found.keys() != new.keys() or any(data not in (old[name], new[name]) for name, data in found.items()):
            raise BrokenError("a report is neither the old one nor the new one")
        count = sum(data == new[name] for name, data in found.items())
        return "old" if count == 0 else "new" if count == len(new) else "some new"

    yield Scenario(arguments, prepare, state, "new", variables)


SCOPE = ("--scope", "fleet", "--quiet")
_LIVE = ("--in-cluster", "none", "--auth", "cli")


@contextmanager
def storing(folder: Path) -> Iterator[Scenario]:
    """An audit of a recorded estate into a store in which an earlier run is."""
    arguments = ("scan", "--snapshot", str(BASE), "--store", "store", "--run", "now", *SCOPE)
    earlier = ("scan", "--snapshot", str(OLD), "--store", "store", "--run", "before", *SCOPE)
    yield _in_store(folder, arguments, [earlier], dict(os.environ))


@contextmanager
def resuming(folder: Path) -> Iterator[Scenario]:
    """A live audit into a store in which an earlier run is, by a journal of what a killed one read."""
    with ResourceManager(load(BASE), delay=0.02) as azure:
        variables = environment(azure.url, azure.ca_file, folder)
        arguments = ("scan", "--store", "store", "--run", "now", "--max-age", "1h", *SCOPE, *_LIVE)
        earlier = ("scan", "--snapshot", str(OLD), "--store", "store", "--run", "before", *SCOPE)
        yield _in_store(folder, arguments, [earlier], variables, exact=False)


@contextmanager
def merging(folder: Path) -> Iterator[Scenario]:
    """Uniting the shards of a run, beside an earlier run."""
    with ResourceManager(load(BASE)) as azure:
        variables = environment(azure.url, azure.ca_file, folder)
        shards = [("scan", "--store", "store", "--run", "now", "--shard", f"{one}/2", *SCOPE, *_LIVE) for one in (1, 2)]
        earlier = ("scan", "--snapshot", str(OLD), "--store", "store", "--run", "before", *SCOPE)
        arguments = ("merge", "--store", "store", "--run", "now", *SCOPE)
        yield _in_store(folder, arguments, [earlier, *shards], variables)


def _in_store(
    folder: Path,
    arguments: Sequence[str],
    before: Sequence[Sequence[str]],
    variables: Mapping[str, str],
    *,
    exact: bool = True,
) -> Scenario:
    """A run of the scope `fleet` into a store, which others made before; with `exact` it gives the same bytes again."""
    for one in before:
        _run(one, folder, variables, ENDED)
    shutil.copytree(folder / "store", folder / "as it was")
    _run(arguments, folder, variables, ENDED)
    wanted = {**_kept(folder, exact=exact)}
    old = {name: files for name, files in wanted.items() if name != "now"}

    def prepare(where: Path) -> None:
        shutil.rmtree(where / "store")
        shutil.copytree(where / "as it was", where / "store")

    def state(where: Path) -> str:
        found = _kept(where, exact=exact)
        if found not in (old, wanted):
            raise BrokenError(f"the store has the runs {sorted(found)}, and they are not as they were written")
        return "old" if found == old else "new"

    return Scenario(arguments, prepare, state, "new", variables)


def _kept(folder: Path, *, exact: bool) -> dict[str, dict[str, bytes]]:
    """What readers find in the store: the files of each run, each as its manifest says.

    Where they are not `exact`, the snapshot without its times stands for them all.
    """
    store = DirectoryStore(folder / "store", _unheard)
    found: dict[str, dict[str, bytes]] = {}
    for run in runs.runs(store, "fleet", _unheard):
        files = {name: runs.fetch(store, run, name) for name in run.files}
        if not exact:
            (folder / "one.jsonl.gz").write_bytes(files[runs.SNAPSHOT])
            files = {runs.SNAPSHOT: _told(_whole(folder / "one.jsonl.gz"))}
        found[run.place.run] = files
    return found


def _unheard(warning: str) -> None:
    """Unfinished files are told of, and expected here; what is damaged is not."""
    if "damaged" in warning:
        raise BrokenError(warning)


SCENARIOS = {"collect": collecting, "scan": scanning, "store": storing, "resume": resuming, "merge": merging}


def kill(name: str, times: int, seed: int) -> Iterator[Killed]:
    """Kill a scenario's run so many times.

    Raises:
        BrokenError: a run left what it may not, or the next one did not end well.
    """
    random = Random(seed)  # noqa: S311 - moments that can be had again
    with TemporaryDirectory(prefix="killed-") as made, SCENARIOS[name](Path(made)) as scenario:
        folder = Path(made)
        takes = _takes(scenario, folder)
        for _ in range(times):
            scenario.prepare(folder)
            moment = random.uniform(0, takes * 1.05)
            _kill_at(moment, scenario, folder)
            state = scenario.state(folder)
            yield Killed(moment, state, len(_hidden(folder)))
            _run(scenario.arguments, folder, scenario.variables, ENDED)
            if (after := scenario.state(folder)) != scenario.settled:
                raise BrokenError(f"killed after {moment:.3f} s; the next run left {after}")


def _kill_at(moment: float, scenario: Scenario, folder: Path) -> None:
    process = _begun(scenario.arguments, folder, scenario.variables)
    with process:
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _takes(scenario: Scenario, folder: Path) -> float:
    scenario.prepare(folder)
    start = time.monotonic()
    _run(scenario.arguments, folder, scenario.variables, ENDED)
    return time.monotonic() - start


def _run(
    arguments: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    codes: frozenset[int] | set[int] = frozenset({0}),
) -> None:
    """Run the installed command to its end.

    Raises:
        BrokenError: it did not end well.
    """
    with _begun(arguments, folder, variables) as process:
        said = process.communicate(timeout=120)[1]
    if process.returncode not in codes:
        raise BrokenError(f"`aks-audit {' '.join(arguments)}` ended with {process.returncode}: {said}")


def _begun(arguments: Sequence[str], folder: Path, variables: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("hasty.py")), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=dict(variables),
        start_new_session=True,
    )


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def _hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


def _whole(path: Path) -> list[Record]:
    """The records of a snapshot that is whole."""
    read = snapshot.read([path])
    damage = [gap.reason for gap, _ in read.gaps if gap.cause == "malformed"]
    if damage:
        raise BrokenError(f"the snapshot is damaged: {damage[0]}")
    return load(path)  # type: ignore[return-value]


def _told(records: "list[Record] | tuple[Record, ...]") -> bytes:
    """What records tell but for the times of reading, which are others each time."""
    timeless = [
        msgspec.structs.replace(record, read=None) if isinstance(record, Resource) else record
        for record in records
        if not isinstance(record, Header)
    ]
    return snapshot.encode(timeless)


def main() -> int:
    """Kill, and print the tally."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=SCENARIOS, nargs="+")
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    for name in told.command:
        tally = Counter[str]()
        moments = []
        for killed in kill(name, told.times, told.seed):
            tally[killed.state] += 1
            moments.append(killed.moment)
        states = ", ".join(f"{count} {state}" for state, count in sorted(tally.items()))
        sys.stdout.write(
            f"{name}: killed {len(moments)} times, {min(moments):.2f} to {max(moments):.2f} s after its start; "
        )
        sys.stdout.write(f"then there was: {states}; broken: 0; next runs that went well: {len(moments)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
