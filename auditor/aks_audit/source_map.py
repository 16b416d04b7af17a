"""Where a repository declares what findings are about: the file and the line that decides."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import msgspec

from aks_audit.config import Config, Read, SourceEntry
from aks_audit.declarations import repository
from aks_audit.declarations.lines import Found, place, steps
from aks_audit.declarations.names import evaluate
from aks_audit.declarations.repository import Repository
from aks_audit.facts.document import LONGEST_TEXT, evidence_path
from aks_audit.facts.resource_id import parse
from aks_audit.findings import gathered
from aks_audit.report import PolicyEntry, Report
from aks_audit.results import Finding, Place
from aks_audit.snapshot import Snapshot

_CLUSTER = "microsoft.containerservice/managedclusters"
_MOST_NOTES = 10


class Placed(NamedTuple):
    """A report whose findings name their sources, and what is to be said of it."""

    report: Report
    notes: tuple[str, ...]


def root_of(config: Config, told: Path | None) -> Path | None:
    """The folder that is searched: the one told, else that of the Git repository with `aks-audit.toml`, or its own.

    None where neither is there; nobody's whole home or disk is searched because a file lies in it.
    """
    if told:
        return told.resolve()
    if config.file is None:
        return None
    folder = config.file.resolve().parent
    root = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), folder)
    return None if root in {Path(root.anchor), Path.home()} else root


def name_sources(report: Report, recorded: Snapshot, config: Config, root: Path) -> Placed:
    """Give each finding the line of the repository that declares what it is about, where exactly one does."""
    atlas = _Atlas(repository.read(root), recorded, config, root)
    atlas.choose(report.findings)
    findings = gathered(map(atlas.named, report.findings))
    policy = msgspec.structs.replace(
        report.policy, entries=tuple(atlas.became(entry) for entry in report.policy.entries)
    )
    notes = [*atlas.repository.notes, *atlas.notes]
    more = [f"… and {len(notes) - _MOST_NOTES:,} more of the kind"] if len(notes) > _MOST_NOTES else []
    return Placed(msgspec.structs.replace(report, findings=findings, policy=policy), (*notes[:_MOST_NOTES], *more))


class _Atlas:
    """Which declaration is that of which resource, by id in lower case."""

    def __init__(self, found: Repository, recorded: Snapshot, config: Config, root: Path) -> None:
        self.repository = found
        self.notes: list[str] = []
        self._bodies = {one.id.lower(): one.body for one, _ in recorded.resources if one.source != "kubernetes"}
        self._of: dict[str, Found] = {}
        self._told = [(read, _file(read, config, root)) for read in config.sources if read.entry]
        self._matched: Counter[int] = Counter()
        self._by: dict[str, int] = {}
        self._faults: dict[int, str] = {}

    def choose(self, findings: Sequence[Finding]) -> None:
        """Decide for each resource that a finding is about or cites, first as people told."""
        near: dict[str, set[str]] = {}
        for finding in findings:
            for resource in {finding.resource, *(item.resource for item in finding.evidence)}:
                near.setdefault(resource.lower(), set()).update(cluster.lower() for cluster in finding.clusters)
        for read, file in self._told:
            self._as_told(read, file, near)
        claimed: dict[tuple[str, int], list[str]] = {}
        for resource in sorted(near.keys() | self._bodies.keys()):
            if resource in self._of or not (found := self._by_name(resource)):
                continue
            self._of[resource] = found
            if "/" in parse(resource).type:  # one manifest may well be for many clusters
                claimed.setdefault((found.declaration.file, found.declaration.node.line), []).append(resource)
        for (file, line), several in claimed.items():
            if len(several) > 1:
                self._give_up(f"{file}:{line} may declare any of {len(several)} resources", several[0], several)

    def _give_up(self, why: str, resource: str, several: Iterable[str]) -> None:
        self.notes.append(f"{why} called {parse(resource).name}; tell which by a [[source]] in aks-audit.toml")
        for one in several:
            self._of.pop(one, None)

    def _by_name(self, resource: str) -> Found | None:
        parsed = parse(resource)
        key = (parsed.type.lower(), tuple(name.lower() for name in parsed.names))
        found = [one for one in self.repository.found.get(key, ()) if _in_group(one, parsed.group)]
        places = {(one.declaration.file, one.declaration.node.line) for one in found}
        if len(places) > 1:
            where = ", ".join(sorted(f"{file}:{line}" for file, line in places)[:3])
            self.notes.append(
                f"{parsed.name} is declared in {len(places)} places ({where}); tell which by a [[source]] in "
                "aks-audit.toml"
            )
        return found[0] if len(places) == 1 else None

    def _as_told(self, read: Read[SourceEntry], file: str | None, near: Mapping[str, set[str]]) -> None:
        entry = read.entry
        if entry is None:
            return
        known = self.repository.declared.get(file or "", ())
        if not known:
            self._faults[read.line] = f"{entry.file} declares nothing, or is not below {self.repository.root}"
            return
        resources = [one for one in near.keys() | self._bodies.keys() if _is_meant(one, entry, near)]
        for resource in sorted(resources):
            found = _one(known, resource, entry)
            if found:
                self._of.setdefault(resource, found)
                self._by.setdefault(resource, read.line)
            else:
                self._faults[read.line] = f"{entry.file} does not declare {parse(resource).name} exactly once"

    def named(self, finding: Finding) -> Finding:
        """The finding with its source: of what it stands on, in the order in which reports show that."""
        cited = [*((item.resource, item.pointer) for item in finding.evidence), (finding.resource, "")]
        known = [one for one in cited if one[0].lower() in self._of]
        if not known:
            return finding
        resource, pointer = min(known, key=lambda one: evidence_path(one[0]) != finding.place.path)
        key = resource.lower()
        file, line = place(self._of[key], list(steps(pointer, self._bodies.get(key))), self._child)
        text = self.repository.line(file, line)[:LONGEST_TEXT]
        self._matched[self._by.get(key, 0)] += 1
        return msgspec.structs.replace(finding, source=Place(path=file, line=line, text=text))

    def _child(self, around: Found, kind: str, names: tuple[str, ...]) -> Found | None:
        """What is declared apart as part of something else: there is one, or one that is read together with it."""
        found = self.repository.found.get((kind, names), ())
        near = [one for one in found if one.scope is around.scope] or found
        return near[0] if len({(one.declaration.file, one.declaration.node.line) for one in near}) == 1 else None

    def became(self, entry: PolicyEntry) -> PolicyEntry:
        """What became of an entry of the configuration."""
        if entry.table != "source" or entry.state == "malformed":
            return entry
        matched = self._matched[entry.line]
        fault = self._faults.get(entry.line) or ("" if matched else "no finding is about what it names")
        state = "in-force" if matched else "unused"
        return msgspec.structs.replace(entry, state=state, says=fault, matched=matched)


def _file(read: Read[SourceEntry], config: Config, root: Path) -> str | None:
    """The file that an entry names, from the root; None where it is not below it, or can be none."""
    if read.entry is None or config.file is None:
        return None
    try:
        path = (config.file.resolve().parent / read.entry.file).resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, a NUL
        return None
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def _is_meant(resource: str, entry: SourceEntry, near: Mapping[str, set[str]]) -> bool:
    """Whether an entry is about a resource: its cluster, or what it names that is near the cluster."""
    if not entry.resource:
        return parse(resource).type == _CLUSTER and _is_called(resource, entry.cluster)
    clusters = near.get(resource, set())
    called = _is_called(resource, entry.resource) or parse(resource).type == entry.resource.lower()
    return called and any(_is_called(cluster, entry.cluster) for cluster in clusters)


def _is_called(resource: str, told: str) -> bool:
    lower = told.lower()
    return any(fnmatchcase(name, lower) for name in (resource, parse(resource).name))


def _one(known: Sequence[Found], resource: str, entry: SourceEntry) -> Found | None:
    """The one declaration of a file that can be a resource: by name, else the only one of the type."""
    parsed = parse(resource)
    names = tuple(name.lower() for name in parsed.names)
    of_type = [one for one in known if one.declaration.type == parsed.type.lower() and _is_tagged(one, entry.tag)]
    for found in ([one for one in of_type if one.names == names], of_type):
        if len({one.declaration.node.line for one in found}) == 1:
            return found[0]
    return None


def _is_tagged(one: Found, tag: str) -> bool:
    if not tag:
        return True
    name, _, value = tag.partition("=")
    tags = one.declaration.node.named("tags")
    return evaluate(tags.named(name) if tags else None, one.scope) == value


def _in_group(one: Found, group: str) -> bool:
    """Whether a declaration can be in a resource group: where it says in which, it must be this one."""
    told = evaluate(one.declaration.group, one.scope)
    return told is None or told.lower() == group.lower()
