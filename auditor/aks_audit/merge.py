"""The snapshot that one scan of a whole fleet would have written, made of the snapshots of its shards.

The shard that read a subscription speaks for it. What is in nobody's share, such as a hub beyond the scope and the
tenant's policies, is as whoever read it last found it. A subscription that no shard read is a gap, never absent.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import msgspec

from aks_audit.errors import AuditError
from aks_audit.facts.resource_id import fold, parse, scopes
from aks_audit.progress import one_line
from aks_audit.results import ENOUGH
from aks_audit.shards import MOST, Share, number_of
from aks_audit.snapshot import (
    SCHEMA,
    Collected,
    Gap,
    Header,
    Listing,
    Packed,
    Shard,
    instant,
    pack,
    read,
)
from aks_audit.sources.azure.plan import (
    CLUSTERS,
    DIRECTORY,
    IF_RESOLVER,
    IF_VIRTUAL_HUB,
    LISTED,
    OPTIONAL,
    SUBSCRIPTION,
    optional,
)
from aks_audit.sources.azure.signs import seen_in

MAX_AGE = timedelta(hours=12)
"""A shard that was read so long before another is of an earlier run: half the time between two nights."""

CLOCKS = timedelta(minutes=5)
"""How far apart the clocks of two machines may be, and are still called right."""

_IF_SEEN = (*IF_RESOLVER, *IF_VIRTUAL_HUB)
_NETWORKS = "microsoft.network/virtualnetworks"
_MOST_NAMES = 5
_BEGINNING = datetime.min.replace(tzinfo=UTC)

Say: TypeAlias = Callable[[str], None]


class MergeError(AuditError):
    """Shards that cannot be united at all; the message says why, and what to do."""


class _Found(NamedTuple):
    """A resource of a shard: its id as a key, its type in lower case, when it was read, and what is kept of it."""

    key: str
    type: str
    read: str
    packed: Packed


class Part(NamedTuple):
    """The snapshot of one shard.

    `name` is what people call it; `kinds` are what is listed because it shows a need; `scan` is the id of the scan that
    read it, empty where that is not known.
    """

    name: str
    header: Header
    shard: Shard
    listings: tuple[Listing, ...]
    gaps: tuple[Gap, ...]
    resources: tuple[_Found, ...]
    kinds: tuple[str, ...]
    scan: str = ""

    @property
    def told(self) -> str:
        """The shard, for people."""
        return f"shard {self.shard.number}/{self.shard.of} ({one_line(self.name)})"

    @property
    def damaged(self) -> bool:
        """Whether the snapshot is not what was written."""
        return any(gap.cause == "malformed" for gap in self.gaps)

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for could be read."""
        return all(gap.cause in ENOUGH for gap in self.gaps)

    @property
    def finished(self) -> datetime:
        """When it was read; long ago where no time is recorded."""
        return _time(self.header.finished or self.header.started)

    @property
    def started(self) -> datetime:
        """When its reading began; long ago where no time is recorded."""
        return _time(self.header.started)


class _Kind(NamedTuple):
    """What the shards of one scan have alike."""

    of: int
    tool: str
    narrowed: tuple[str, ...]
    asked: tuple[str, ...]


def load(path: Path, name: str = "", scan: str = "") -> Part:
    """Read the snapshot of a shard from a file; `name` is what people call it, else its path.

    Raises:
        MergeError: it is the snapshot of no shard, or of one that it cannot be.
        SnapshotError: it cannot be used as a snapshot.
    """
    found, name = read([path]), name or path.as_posix()
    if len(found.headers) != 1 or not isinstance(found.headers[0].shard, Shard):
        raise MergeError(f"{one_line(name)}: is the snapshot of no shard; make one with: aks-audit collect --shard K/N")
    (header,) = found.headers
    shard = found.headers[0].shard
    share = Share(shard.number, shard.of)
    if not 1 <= share.number <= share.of <= MOST or share.part(header.scope) != [*header.scope]:
        raise MergeError(f"{one_line(name)}: says that it is shard {share}, and holds what is another's; read it again")
    networks = [one.unpack().body for one in found.entries if one.type.lower() == _NETWORKS]
    resources = tuple(_Found(fold(one.id), one.type.lower(), one.read or "", pack(one)) for one, _ in found.resources)
    gaps = tuple(gap for gap, _ in found.gaps)
    return Part(name, header, shard, found.listings, gaps, resources, seen_in(networks), scan)


def usable(loads: Iterable[Callable[[], Part]], warn: Say) -> list[Part]:
    """The shards that can be loaded. What is none is left out, and said.

    Raises:
        MergeError: none of them is one; the message says why not.
    """
    parts: list[Part] = []
    problems: list[str] = []
    for load_one in loads:
        try:
            parts.append(load_one())
        except AuditError as problem:
            problems.append(str(problem))
    if not parts:
        raise MergeError("\n".join(problems[:_MOST_NAMES]) or "there is no shard to merge")
    for told in problems:
        warn(f"left out: {told}")
    return parts


def chosen(parts: Sequence[Part], max_age: timedelta, now: datetime, note: Say, warn: Say) -> tuple[Part, ...]:
    """Of what was found, the shards of one scan, each once, by their numbers. What is left out is said.

    `now` is the time by this machine's clock. A shard that says it was read later does not make others old.

    Raises:
        MergeError: it cannot be told which scan is meant.
    """
    known = _known_times(parts, now, warn)
    newest = max(part.finished for part in known or parts)
    fresh = [part for part in parts if abs(newest - part.finished) <= max_age]
    for part in _in_order(part for part in parts if abs(newest - part.finished) > max_age):
        gap = newest - part.finished
        side = "before" if gap > timedelta() else "after"
        apart = f"{abs(gap) / timedelta(hours=1):,.1f} h {side} the last of the others"
        warn(f"{part.told} is left out: it was read {apart}; --max-age says how far apart they may be")
    alike: dict[_Kind, list[Part]] = {}
    for part in fresh:
        alike.setdefault(_kind(part), []).append(part)
    kind = _meant(alike)
    for other in (part for one, some in alike.items() if one != kind for part in _in_order(some)):
        warn(f"{other.told} is left out: it is {_difference(_kind(other), kind)}, of another scan than the others")
    return tuple(_once(alike[kind], note, warn))


def unite(parts: Sequence[Part], note: Say, warn: Say) -> tuple[Collected, ...]:
    """Unite the shards of one scan, each given once. What is lost, and what they contradict each other in, is said.

    Raises:
        MergeError: what was asked for is in none of the shards.
    """
    whole = _Whole(tuple(sorted(parts, key=lambda part: part.shard.number)))
    lost = [*_lost(whole, note, warn)]
    kept = [*whole.records(note), *lost]
    header = parts[0].header
    if header.narrowed and not _holds_clusters(kept):
        raise MergeError("no cluster matches --resource-group, --cluster and --tag in any shard")
    read_or_lost = {one for part in parts for one in part.header.scope} | {gap.id for gap in lost}
    times = [one.header for one in parts]
    united = Header(
        schema=SCHEMA,
        tool=header.tool,
        scope=tuple(sorted(read_or_lost)),
        started=min((one.started for one in times if one.started), key=instant, default=None),
        finished=max((one.finished for one in times if one.finished), key=instant, default=None),
        narrowed=header.narrowed,
    )
    return (united, *kept)


def _known_times(parts: Iterable[Part], now: datetime, warn: Say) -> list[Part]:
    """The shards that were not read in what is the future here; that others were is said."""
    known: list[Part] = []
    for part in _in_order(parts):
        if part.finished <= now + CLOCKS:
            known.append(part)
            continue
        hours = (part.finished - now) / timedelta(hours=1)
        clocks = "the clock of its machine is ahead, or of this one behind"
        warn(f"{part.told} says that it was read {hours:,.1f} h from now: {clocks}")
    return known


def _time(text: str | None) -> datetime:
    return instant(text) if text else _BEGINNING


def _in_order(parts: Iterable[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: (part.shard.of, part.shard.number, part.finished, part.name))


def _kind(part: Part) -> _Kind:
    narrowed = part.header.narrowed
    return _Kind(part.shard.of, part.header.tool, () if narrowed is msgspec.UNSET else narrowed, part.shard.asked)


def _meant(alike: Mapping[_Kind, Sequence[Part]]) -> _Kind:
    """The scan that is meant: the only one, or the last of those of which every shard is there."""
    if len(alike) == 1:
        return next(iter(alike))
    whole = [kind for kind, parts in alike.items() if len({part.shard.number for part in parts}) == kind.of]
    if whole:
        return max(whole, key=lambda kind: (max(part.finished for part in alike[kind]), kind))
    first, *others = sorted(alike, key=lambda kind: (-len(alike[kind]), kind))
    told = [f"{_told(alike[first])} by {one_line(first.tool)}"]
    told += [f"{_told(alike[one])}, {_difference(one, first)}" for one in others]
    raise MergeError(
        f"these are shards of different scans, and of none are all there: {'; '.join(told)}; "
        "name those of one scan, or run the missing ones again"
    )


def _told(parts: Iterable[Part]) -> str:
    numbers = sorted({(part.shard.number, part.shard.of) for part in parts})
    return ", ".join(f"{number}/{of}" for number, of in numbers)


def _difference(kind: _Kind, other: _Kind) -> str:
    """In what shards differ from those of another scan."""
    told = [f"one of {kind.of}, not of {other.of}"] if kind.of != other.of else []
    told += [f"by {one_line(kind.tool)}, not {one_line(other.tool)}"] if kind.tool != other.tool else []
    mine, theirs = {*kind.narrowed, *kind.asked}, {*other.narrowed, *other.asked}
    told += [f"asked for {one_line(', '.join(sorted(mine - theirs)))}"] if mine - theirs else []
    told += [f"not asked for {one_line(', '.join(sorted(theirs - mine)))}"] if theirs - mine else []
    return " and ".join(told)


def _once(parts: Iterable[Part], note: Say, warn: Say) -> Iterator[Part]:
    """Each shard once: the last that is complete, where it was read more than once."""
    same: dict[int, list[Part]] = {}
    for part in _in_order(parts):
        same.setdefault(part.shard.number, []).append(part)
    for number in sorted(same):
        *others, best = sorted(same[number], key=_worth)
        for other in others:
            if other._replace(name=best.name) != best:
                note(f"{other.told} is not taken: {one_line(best.name)} has the same shard{_why(other, best)}")
        if best.damaged:
            warn(f"{best.told} is damaged; read it again with --shard {number}/{best.shard.of}")
        yield best


def _worth(part: Part) -> tuple[bool, bool, datetime, datetime, int, str]:
    return not part.damaged, part.complete, part.finished, part.started, len(part.resources), part.name


def _why(other: Part, best: Part) -> str:
    if other.damaged and not best.damaged:
        return ", and is not damaged"
    return ", complete" if best.complete and not other.complete else ", read later"


class _Whole:
    """The shards of one scan: who speaks for what."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.parts = parts
        self.owners = {one.lower(): part for part in parts for one in part.header.scope}
        self.kinds = tuple(kind for kind in _IF_SEEN if any(kind in part.kinds for part in parts))
        self._needless = tuple(kind.lower() for kind in _IF_SEEN if kind not in self.kinds)
        listed: dict[tuple[str, str], list[Part]] = {}
        for part in parts:
            for one in part.listings:
                listed.setdefault((one.type.lower(), fold(one.scope)), []).append(part)
        self._speakers = {(kind, scope): self._speaker(scope, some) for (kind, scope), some in listed.items()}
        self._of_tenant = {kind: part for (kind, scope), part in self._speakers.items() if not _subscription(scope)}

    def records(self, note: Say) -> Iterator[Collected]:
        """The records of the one snapshot, but for its header."""
        for part in self.parts:
            yield from (one for one in part.listings if self._stands(part, one))
        shared = {one.key for part in self.parts for one in part.resources if self._is_others(part, one)}
        copies: dict[str, list[tuple[Part, _Found]]] = {}
        for part in self.parts:
            for found in part.resources:
                if found.key in shared:
                    copies.setdefault(found.key, []).append((part, found))
                elif not self._is_needless(found.type):
                    yield found.packed
        yield from self._settled(copies, note)
        yield from self._gaps()

    def _stands(self, part: Part, listing: Listing) -> bool:
        kind = listing.type.lower()
        return self._speakers[kind, fold(listing.scope)] is part and not self._is_needless(kind)

    def _is_needless(self, kind: str) -> bool:
        """Whether a scan of the whole fleet would not have asked for a type, as no network shows a need."""
        return kind.startswith(self._needless)

    def _is_others(self, part: Part, found: _Found) -> bool:
        """Whether a shard holds a resource that another shard, or whoever read it last, speaks for."""
        subscription = _subscription(found.key)
        if subscription:
            return self.owners.get(subscription) is not part
        # What was assigned above subscriptions is listed with each of them, by one scan of all of them, too.
        return found.key.startswith(f"{DIRECTORY.lower()}/")

    def _settled(self, copies: Mapping[str, Sequence[tuple[Part, _Found]]], note: Say) -> Iterator[Packed]:
        """Of each resource that several shards may speak for, the copy of the one that does."""
        differing: list[str] = []
        for key, some in copies.items():
            standing = [(part, found) for part, found in some if not self._is_overruled(part, found.type, key)]
            if standing:
                speaker = self._speaker(key, [part for part, _ in standing], {id(part): one for part, one in standing})
                yield next(found.packed for part, found in standing if part is speaker)
            if not standing or len({_content(found.packed) for _, found in some}) > 1:
                differing.append(key)
        if differing:
            many = "1 resource differs" if len(differing) == 1 else f"{len(differing):,} resources differ"
            first = one_line(min(differing))
            note(f"{many} between shards, as {first}; taken is what came with its subscription, or last")

    def _is_overruled(self, part: Part, kind: str, key: str) -> bool:
        """Whether a list that another shard speaks for holds something of a type, or would."""
        if _subscription(key):
            speakers = (self._speakers.get((kind, scope)) for scope in (*scopes(key), key))
            speaker = next(filter(None, speakers), None)
        else:
            speaker = self._of_tenant.get(kind)
        return speaker is not None and speaker is not part

    def _speaker(self, about: str, parts: Sequence[Part], found: Mapping[int, _Found] = MappingProxyType({})) -> Part:
        """The shard that read the subscription, else the one that read last."""
        owner = self.owners.get(_subscription(about))

        def rank(part: Part) -> tuple[bool, datetime, datetime, int]:
            own = found.get(id(part))
            return part is owner, _time(own.read) if own else _BEGINNING, part.finished, part.shard.number

        return max(parts, key=rank)

    def _gaps(self) -> Iterator[Gap]:
        holders: dict[str, set[int]] = {}
        asked: dict[tuple[str, str], list[Part]] = {}
        for part in self.parts:
            for found in part.resources:
                holders.setdefault(found.key, set()).add(part.shard.number)
            for kind, key, _ in _about(part.gaps):
                asked.setdefault((kind, key), []).append(part)
        for part in self.parts:
            for kind, key, gap in _about(part.gaps):
                known = parse(key).type.lower() == kind and holders.get(key, set()) - {part.shard.number}
                moot = known or self._is_needless(kind) or self._is_overruled(part, kind, key)
                if not moot and self._speaker(key, asked[kind, key]) is part:
                    yield gap


def _about(gaps: Iterable[Gap]) -> Iterator[tuple[str, str, Gap]]:
    """Gaps, with the types (in lower case) and the keys of what they are about."""
    for gap in gaps:
        yield (gap.type or parse(gap.id).type).lower(), fold(gap.id), gap


def _subscription(key: str) -> str:
    """The id, in lower case, of the subscription that a key lies in; empty where it lies in none."""
    if not key.startswith("/subscriptions/"):
        return ""
    end = key.find("/", len("/subscriptions/"))
    return key if end < 0 else key[:end]


def _content(packed: Packed) -> bytes:
    """What a resource is, whenever it was read."""
    return pack(msgspec.structs.replace(packed.unpack(), read=None)).line


def _holds_clusters(records: Iterable[Collected]) -> bool:
    """Whether there is a cluster, or may be one that could not be read."""
    kind = CLUSTERS.lower()
    gaps = any(isinstance(one, Gap) and one.cause not in ENOUGH for one in records)
    return gaps or any(isinstance(one, Packed) and parse(one.id).type.lower() == kind for one in records)


def _lost(whole: _Whole, note: Say, warn: Say) -> Iterator[Gap]:
    """The gaps for the subscriptions that no shard read. They are those that the last list of them held."""
    shard = whole.parts[0].shard
    there = {part.shard.number: part for part in whole.parts}
    last = max(whole.parts, key=lambda part: (not _unlisted(part), part.started, part.shard.number))
    unread: dict[int, list[str]] = {}
    for one in last.shard.seen:
        if one.lower() not in whole.owners:
            unread.setdefault(number_of(one, shard.of), []).append(one)
    for number in range(1, shard.of + 1):
        share, lost = Share(number, shard.of), unread.get(number, [])
        if number not in there and not lost:
            note(f"shard {share} is missing, and no subscription of those that were seen is in it")
        if lost:
            reason = _reason(share, there.get(number))
            many = f"{len(lost):,} subscription{'s' * (len(lost) != 1)}"
            warn(f"{reason}; {many} could not be looked at: {_some(lost)}")
            kinds = [*LISTED, *whole.kinds, *_of_subscriptions(shard)]
            yield from (Gap(id=one, type=kind, reason=reason, cause="not-read") for one in lost for kind in kinds)
    seen = {one.lower() for part in whole.parts for one in part.shard.seen}
    gone = sorted(seen - {one.lower() for one in last.shard.seen} - whole.owners.keys())
    if gone:
        note(f"out of scope since the first shards were read, and not looked at: {_some(gone)}")


def _some(names: Sequence[str]) -> str:
    """Names, as many as are read."""
    more = [f"and {len(names) - _MOST_NAMES:,} more"] if len(names) > _MOST_NAMES else []
    return one_line(", ".join([*names[:_MOST_NAMES], *more]))


def _reason(share: Share, part: Part | None) -> str:
    again = f"run it again with --shard {share}, and merge again"
    if part is None:
        return f"shard {share} is missing; {again}"
    if _unlisted(part):
        return f"shard {share} could not list the subscriptions; {again}"
    return f"shard {share} had listed the subscriptions before this one came into scope; {again}"


def _unlisted(part: Part) -> bool:
    """Whether a shard could not list the subscriptions."""
    return any(gap.type.lower() == SUBSCRIPTION.lower() for gap in part.gaps)


def _of_subscriptions(shard: Shard) -> list[str]:
    """The types that are listed in each subscription because they were asked for by name."""
    names = [name for name in OPTIONAL if f"read={name}" in shard.asked]
    return [read.type for read in optional(names) if SUBSCRIPTION in read.of]
