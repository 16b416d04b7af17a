"""What of a scope's runs ends: those that are older than so many days, and what was never finished.

Age is told by the store's own clock: between the writing of a run and that of the one that ends it. The last complete
run and its shards stay, whatever their age, and so does every file that is none of a run. Where a clock was ahead, the
last by name is not the baseline of the next run, so the last up to the newest stays, too.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from aks_audit.store.runs import MANIFEST, SNAPSHOT, Place, Run, Warn, last_complete, place_of, usable
from aks_audit.store.store import UNFINISHED, Entry, Store

_OURS = re.compile(rf"aks-audit\.[a-z.]+|{re.escape(SNAPSHOT)}|\..+{re.escape(UNFINISHED)}")


def prune(store: Store, newest: Run, days: int, warn: Warn) -> list[str]:
    """Delete the runs of a scope that were written so many days before `newest`, and give their folders."""
    scope = newest.place.scope
    folders = _folders(store.list(scope))
    written = max(entry.modified for entry in folders[newest.place.folder])
    befores = [None] if newest.manifest.complete else [None, newest.place.run]
    last = [last_complete(store, scope, before, warn) for before in befores]
    spared = {newest.place.folder, *(run.place.folder for run in last if run)}
    ended = []
    for folder, entries in folders.items():
        place = place_of(folder)
        young = written - max(entry.modified for entry in entries) < timedelta(days=days)
        if place and not young and Place(place.scope, place.run).folder not in spared:
            names = list(_ours(store, place, entries, warn))
            deleted = [store.delete(f"{folder}/{name}") for name in names]
            ended += [folder] if any(deleted) else []
    return ended


def _folders(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Files by their folders."""
    folders: dict[str, list[Entry]] = {}
    for entry in entries:
        folders.setdefault(entry.name.rpartition("/")[0], []).append(entry)
    return folders


def _ours(store: Store, place: Place, entries: Iterable[Entry], warn: Warn) -> Iterator[str]:
    """The names of a run's files, its manifest first: when that is gone, the run is."""
    there = {entry.name.rpartition("/")[2]: entry for entry in entries}
    known = {name for name in there if _OURS.fullmatch(name)}
    if MANIFEST in there:
        run = usable(store, place, there[MANIFEST], warn)
        if run is None:
            return  # nobody knows what it is
        yield MANIFEST
        known |= run.files & there.keys()
    yield from sorted(known)
