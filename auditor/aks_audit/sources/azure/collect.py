"""One scan of Azure: the subscriptions of the scope, their lists, and what the clusters lead to beyond them."""

import asyncio
from collections.abc import Callable, Container, Coroutine, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from msgspec import UNSET

from aks_audit import __version__
from aks_audit.errors import AuditError
from aks_audit.facts.resource_id import parse, scopes, within
from aks_audit.progress import Event, event, one_line
from aks_audit.shards import Share
from aks_audit.snapshot import SCHEMA, Gap, Header, Listing, Record, Resource, Shard
from aks_audit.sources.azure.errors import failed
from aks_audit.sources.azure.granted import Granted, granted
from aks_audit.sources.azure.graph import Graph, merged
from aks_audit.sources.azure.pipeline import CONNECTIONS, RESOURCE_GRAPH, Getter, Poster
from aks_audit.sources.azure.plan import (
    ACCESS,
    ACCESS_POLICIES,
    APP_CREDENTIALS,
    APPLICATIONS,
    CLUSTERS,
    CONDITIONAL_ACCESS,
    DIRECTORY,
    FOLLOWED,
    GRAPH_SUBSCRIPTIONS,
    IF_RESOLVER,
    IF_VIRTUAL_HUB,
    LISTED,
    OF_DIRECTORY,
    OPTIONAL,
    PART_READS,
    PERMISSIONS,
    POLICY_READS,
    POLICY_STATES,
    REGION,
    ROLE_ASSIGNMENTS,
    STATES,
    SUBSCRIPTION,
    SUBSCRIPTIONS,
    ZONE_READS,
    Read,
    optional,
)
from aks_audit.sources.azure.reader import Reader
from aks_audit.sources.azure.references import client_id, reachable, region, served
from aks_audit.sources.azure.signs import seen_in
from aks_audit.sources.deadline import Deadline
from aks_audit.sources.journal import Journal, key_of

_MOST_NAMES = 50
_NOT_FOUND = 404
_CLUSTERS = CLUSTERS.lower()
_NETWORKS = "microsoft.network/virtualnetworks"
_IN_LISTS = frozenset(kind.lower() for kind in LISTED)
_IF_SEEN = {**IF_RESOLVER, **IF_VIRTUAL_HUB}
_RULES = POLICY_READS[0].type.lower()
_EVERYWHERE = "/subscriptions"
"""Where nobody asked for something: in all subscriptions, those beyond the scope that clusters lead to included."""
_NO_DIRECTORY = "no Microsoft Graph is known for this cloud; AKS_AUDIT_GRAPH names it"
_HOPS = 4
"""How many times references are followed from what was just read: network, firewall, policy, base policy."""


class ScopeError(AuditError):
    """A scope that matches nothing; the message lists what there is."""


class Scope(NamedTuple):
    """What is asked for; empty parts mean all. Clusters by id, name or glob, compared without case.

    Of the subscriptions, a `share` is read where the fleet is shared out.
    """

    subscriptions: tuple[str, ...] = ()
    resource_groups: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    optional: tuple[str, ...] = ()
    share: Share | None = None

    def holds(self, cluster: Resource) -> bool:
        """Whether a cluster is asked for."""
        parsed = parse(cluster.id)
        named = (cluster.id.lower(), parsed.name.lower())
        found: Any = cluster.body.get("tags")
        tags = {str(key).lower(): value for key, value in found.items()} if isinstance(found, dict) else {}
        return (
            (not self.resource_groups or parsed.group.lower() in {group.lower() for group in self.resource_groups})
            and (not self.clusters or any(fnmatchcase(one, wish.lower()) for wish in self.clusters for one in named))
            and all(tags.get(key.lower()) == value for key, value in self.tags)
        )

    @property
    def narrow(self) -> bool:
        """Whether only some of a subscription's clusters are asked for."""
        return bool(self.narrowed)

    @property
    def narrowed(self) -> tuple[str, ...]:
        """What alone is asked for of the subscriptions, in words that compare; empty where all is."""
        groups = (f"resource-group={group.lower()}" for group in self.resource_groups)
        clusters = (f"cluster={cluster.lower()}" for cluster in self.clusters)
        tags = (f"tag={key.lower()}={value}" for key, value in self.tags)
        return tuple(sorted({*groups, *clusters, *tags}))

    @property
    def asked(self) -> tuple[str, ...]:
        """What all shards are asked alike, beside `narrowed`, in words that compare."""
        subscriptions = (f"subscription={one.lower()}" for one in self.subscriptions)
        return tuple(sorted({*subscriptions, *(f"read={name}" for name in self.optional)}))


class Collector:
    """Collects by a pipeline's `get`. `note` is told what is being done, a line each; `read`, how many records came.

    With a `post`, lists are read by Resource Graph where it has them whole. `directory` gets of Microsoft Graph, and
    `query` posts to Resource Graph what was asked for by name. `left` is told how many reads are known to be ahead, and
    of each that it came to its end. What the `journal` has fresh is not read again, and what is read goes there.
    """

    def __init__(  # noqa: PLR0913 - each is needed, and the last ones can stay as they are
        self,
        get: Getter,
        scope: Scope,
        deadline: Deadline,
        note: Callable[[Event], None],
        read: Callable[[int], None] = lambda _resources: None,
        *,
        left: Callable[[int], None] = lambda _reads: None,
        journal: Journal | None = None,
        post: Poster | None = None,
        directory: Getter | None = None,
        query: Poster | None = None,
    ) -> None:
        self._reader = Reader(get)
        self._directory = Reader(directory) if directory else None
        self._graph = Graph(post, self._reader) if post else None
        self._queries = Graph(query, self._reader) if query else None
        self._indexed: set[Listing] = set()
        self._elsewhere: set[str] = set()
        self._roles: dict[str, Resource] = {}
        self._scope, self._deadline, self._note, self._read = scope, deadline, note, read
        self._left, self._journal = left, journal
        self._asked: set[str] = set()
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._reads = _reads(scope.optional)
        self._parted: set[str] = set()
        self._early: list[asyncio.Task[list[Record]]] = []

    async def collect(self) -> list[Record]:
        """The records of the scan, its header among them.

        Raises:
            ScopeError: nothing is there that was asked for.
        """
        started = _now()
        seen, lost = await self._in_scope()
        subscriptions = self._shared(seen)
        told = f"reading {len(subscriptions)} subscription{'s' * (len(subscriptions) != 1)}"
        self._note(event("reading", told, subscriptions=len(subscriptions)))
        by_graph = await self._by_graph(self._graph, subscriptions) if self._graph else []
        records = self._narrowed([*lost, *await self._lists(subscriptions, by_graph)])
        self._roles = await self._roles_elsewhere(records)
        records += await self._beyond(records)
        more = (self._parts(records), self._of_subscriptions(subscriptions), self._if_seen(subscriptions, records))
        parts = _flat(await asyncio.gather(*more, self._of_regions(records), self._of_directory(records)))
        parts += _flat(await asyncio.gather(*self._early))
        parts += await self._policy_states(subscriptions, records)
        records += [*self._not_asked(), *parts]
        if any(isinstance(one, Resource) and one.type.lower() == _RULES for one in parts):
            records += await self._beyond(records)  # rules of firewalls name IP groups, which no list holds
        header = Header(
            schema=SCHEMA,
            tool=f"aks-audit {__version__}",
            scope=tuple(subscriptions),
            started=started,
            finished=_now(),
            narrowed=self._scope.narrowed or UNSET,
            shard=Shard(*share, tuple(seen), self._scope.asked) if (share := self._scope.share) else UNSET,
        )
        return [header, *records]

    async def _by_graph(self, graph: Graph, subscriptions: Sequence[str]) -> list[Record]:
        """What Resource Graph holds of the subscriptions, and the listings of what it is known to hold whole."""
        starts = range(0, len(subscriptions), GRAPH_SUBSCRIPTIONS)
        batches = [subscriptions[start : start + GRAPH_SUBSCRIPTIONS] for start in starts]
        reads = [self._bound(graph.lists(one), one[0], RESOURCE_GRAPH, *one) for one in batches]
        found = _flat(await asyncio.gather(*reads))
        self._indexed = {one for one in found if isinstance(one, Listing)}
        for reason in dict.fromkeys(one.reason for one in found if isinstance(one, Gap)):
            self._note(event("graph-incomplete", f"Resource Graph does not give all: {reason}"))
        return found

    async def _lists(self, subscriptions: Sequence[str], by_graph: list[Record]) -> list[Record]:
        """The lists of the plan: what Resource Graph has of them, and those that it has not whole."""
        asked = [Listing(type=kind, scope=subscription) for subscription in subscriptions for kind in LISTED]
        left = [one for one in asked if one not in self._indexed]
        self._left(len(left))
        lists = await asyncio.gather(*(self._of_one(one, left) for one in subscriptions))
        told = f"read {len(asked)} list{'s' * (len(asked) != 1)}, {len(left)} of them one by one"
        self._note(event("listed", told, lists=len(asked), one_by_one=len(left)))
        return merged(by_graph, lists) if by_graph else _flat(lists)

    async def _of_one(self, subscription: str, left: Iterable[Listing]) -> list[Record]:
        """The lists of one subscription. The parts of what they hold are begun at once, others' lists not waited for.

        No sooner, for where calls are throttled they would keep the pages of the lists waiting; and not for a narrow
        scope, which may turn out to hold nothing.
        """
        lists = [self._in_turn(one) for one in left if one.scope == subscription]
        records = _flat(await asyncio.gather(*lists))
        if not self._scope.narrow:
            self._early.append(asyncio.ensure_future(self._parts(records)))
        return records

    async def _in_turn(self, one: Listing) -> list[Record]:
        """A list, when fewer are under way than there are connections.

        So the parts of what came first, of which each takes long and says little, are on their way while what the later
        lists say keeps the processor busy.
        """
        async with self._turns:
            self._left(-1)  # from here on it is counted as under way
            return await self._list(one.scope, one.type, LISTED[one.type])

    async def subscriptions(self) -> tuple[list[str], list[Record]]:
        """The ids of the subscriptions that are read, and the gaps where they could not be listed.

        Raises:
            ScopeError: one was asked for that is not there, or there is none.
        """
        seen, lost = await self._in_scope()
        return self._shared(seen), lost

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The ids, in lower case, of the subscriptions of the scope that other shares read, once they were listed."""
        return tuple(sorted(self._elsewhere))

    def _shared(self, seen: list[str]) -> list[str]:
        if self._scope.share is None:
            return seen
        mine = self._scope.share.part(seen)
        self._elsewhere = {one.lower() for one in seen}.difference(one.lower() for one in mine)
        return mine

    async def _in_scope(self) -> tuple[list[str], list[Record]]:
        """The ids of the subscriptions of the scope, those of other shares too, and the gaps of their list.

        Raises:
            ScopeError: one was asked for that is not there, or there is none.
        """
        kind = "Microsoft.Resources/subscriptions"
        reading = self._reader.listing(f"/subscriptions?api-version={SUBSCRIPTIONS}", "/subscriptions", kind)
        listed = await self._deadline.bound(reading, "/subscriptions", kind)
        lost: list[Record] = [record for record in listed if isinstance(record, Gap)]
        there = {
            record.id: str(record.body.get("displayName", "")) for record in listed if isinstance(record, Resource)
        }
        if not self._scope.subscriptions:
            if not there and not lost:
                raise ScopeError("the signed-in identity sees no subscription; give it Reader, or sign in as another")
            return sorted(there), lost
        chosen = []
        for wish in self._scope.subscriptions:
            found = [
                s for s, name in there.items() if wish.lower() in {s.lower(), s.rsplit("/", 1)[1].lower(), name.lower()}
            ]
            if not found and lost:
                found = [wish if wish.startswith("/") else f"/subscriptions/{wish}"]
            if not found:
                seen = _some(f"{name} ({s.rsplit('/', 1)[1]})" for s, name in there.items())
                raise ScopeError(f"no subscription {wish!r}; the signed-in identity sees: {seen}")
            chosen += found
        return sorted(dict.fromkeys(chosen)), lost

    async def granted(self, scope: str) -> Granted | Gap:
        """What the identity is permitted in a scope (an ARM id), or the gap that says why that is not known."""

        async def reading() -> list[Granted | Gap]:
            return [await granted(self._reader, scope)]

        (found,) = await self._deadline.bound(reading(), scope, PERMISSIONS)
        return found

    async def clusters(self, subscriptions: Iterable[str]) -> list[Record]:
        """The clusters that were asked for, and the gaps where they could not be listed to the end.

        Raises:
            ScopeError: none was asked for that is there.
        """
        lists = (self._list(subscription, CLUSTERS, LISTED[CLUSTERS]) for subscription in subscriptions)
        return self._narrowed(_flat(await asyncio.gather(*lists)))

    async def _bound(
        self, reading: Coroutine[Any, Any, list[Record]], scope: str, kind: str, *key: str
    ) -> list[Record]:
        """What a read gives in time, or gave a run before that left it in the journal under this key."""
        known = self._journal.take(key_of(kind, *key)) if self._journal else None
        if known is not None:
            reading.close()
            return known
        began = self._journal.now() if self._journal else None
        self._left(1)
        records = await self._deadline.bound(reading, scope, kind)
        self._left(-1)
        if self._journal and began:
            self._journal.add(key_of(kind, *key), began, records)
        self._read(sum(isinstance(record, Resource) for record in records))
        return records

    async def _list(self, scope: str, kind: str, api_version: str, path: str = "", query: str = "") -> list[Record]:
        url = f"{scope}/{path or f'providers/{kind}'}?api-version={api_version}{query}"
        return await self._bound(self._reader.listing(url, scope, kind), scope, kind, url)

    def _narrowed(self, records: list[Record]) -> list[Record]:
        """The records without the clusters that were not asked for.

        Raises:
            ScopeError: none was asked for that is there.
        """
        if not self._scope.narrow:
            return records
        clusters = [r for r in records if isinstance(r, Resource) and r.type.lower() == CLUSTERS.lower()]
        kept = {cluster.id.lower() for cluster in clusters if self._scope.holds(cluster)}
        unread = any(isinstance(r, Gap) and r.type.lower() == CLUSTERS.lower() for r in records)
        if not kept and not unread and not self._scope.share:  # another share may hold what is asked for
            there = _some(f"{parse(c.id).group}/{parse(c.id).name}" for c in clusters)
            raise ScopeError(f"no cluster matches --resource-group, --cluster and --tag; there are: {there}")
        dropped = {cluster.id.lower() for cluster in clusters} - kept
        return [
            record
            for record in records
            if not (isinstance(record, Resource) and record.id.lower() in dropped)
            and not (isinstance(record, Listing) and record.type == CLUSTERS)
        ]

    async def _beyond(self, records: Sequence[Record]) -> list[Record]:
        """What the clusters lead to in other scopes, each read once."""
        resources = {record.id.lower(): record for record in records if isinstance(record, Resource)}
        # Resource Graph may not have heard yet of what a cluster leads to; Azure Resource Manager knows.
        sure = _places(one for one in records if isinstance(one, Listing) and one not in self._indexed)
        found: list[Record] = []
        services = served({**self._roles, **resources}, self._asked)
        hops = _HOPS
        while hops:
            new = (one for one in services if one.lower() not in self._asked)
            wanted = [one for one in (*reachable(resources, self._asked), *new) if not _listed(one, sure)]
            if not wanted:
                break
            if near := [one for one in wanted if self._is_another_share_s(one)]:
                wanted = near  # the scan of a whole fleet has these in its lists, and goes so many hops from there
            else:
                hops, services = hops - 1, ()
            self._asked.update(one.lower() for one in wanted)
            told = f"following {len(wanted)} reference{'s' * (len(wanted) != 1)} beyond the scope"
            self._note(event("following", told, references=len(wanted)))
            read = _flat(await asyncio.gather(*(self._follow(one) for one in wanted)))
            resources.update((record.id.lower(), record) for record in read if isinstance(record, Resource))
            found += read
        return [one for one in found if not self._gone(one)]

    async def _roles_elsewhere(self, records: Iterable[Record]) -> dict[str, Resource]:
        """The roles in the subscriptions of other shares, by lower-case id: some may be on services of our clusters."""
        if not any(isinstance(one, Resource) and one.type.lower() == _CLUSTERS for one in records):
            return {}
        lists = (self._list(one, ROLE_ASSIGNMENTS, LISTED[ROLE_ASSIGNMENTS]) for one in self.elsewhere)
        found = _flat(await asyncio.gather(*lists))
        return {one.id.lower(): one for one in found if isinstance(one, Resource)}

    def _is_another_share_s(self, resource_id: str) -> bool:
        """Whether another share of the fleet has a resource in its lists."""
        parsed = parse(resource_id)
        return f"/subscriptions/{parsed.subscription.lower()}" in self._elsewhere and parsed.type.lower() in _IN_LISTS

    def _gone(self, record: Record) -> bool:
        """Whether Azure Resource Manager says only that what Resource Graph did not list is not there."""
        return isinstance(record, Gap) and record.status == _NOT_FOUND and _listed(record.id, _places(self._indexed))

    async def _follow(self, resource_id: str) -> list[Record]:
        kind = parse(resource_id).type
        version = FOLLOWED[kind.lower()]
        return await self._bound(self._reader.resource(resource_id, version), resource_id, kind, resource_id, version)

    async def _parts(self, records: Iterable[Record]) -> list[Record]:
        """The reads of single resources: relevant zones, firewall policies, and what was asked for by name.

        What they give may have parts, too, as the network watchers of a subscription have.
        """
        reads: list[tuple[str, Read]] = []
        for record in records:
            if isinstance(record, Resource) and record.id not in self._parted:
                self._parted.add(record.id)
                reads += [(record.id, read) for read in self._reads.get(record.type.lower(), ())]
        found = _flat(await asyncio.gather(*(self._part(*one) for one in reads if _worth_reading(*one))))
        return [*found, *await self._parts(found)] if found else []

    async def _of_subscriptions(self, subscriptions: Iterable[str]) -> list[Record]:
        """The lists of the subscriptions that were asked for by name, and the parts of what they hold."""
        reads = self._reads.get(SUBSCRIPTION.lower(), ())
        made = [self._part(subscription, read) for subscription in subscriptions for read in reads]
        found = _flat(await asyncio.gather(*made))
        return [*found, *await self._parts(found)]

    async def _of_regions(self, records: Iterable[Record]) -> list[Record]:
        """What was asked for by name of the regions in which clusters are, of each with the subscription's clusters."""
        clusters = [one for one in records if isinstance(one, Resource) and one.type.lower() == CLUSTERS.lower()]
        places = {(parse(one.id).subscription.lower(), name) for one in clusters if (name := region(one.body))}
        reads = self._reads.get(REGION, ())
        made = [
            self._part(f"/subscriptions/{subscription}", read._replace(path=read.path.format(region=name)))
            for subscription, name in sorted(places)
            for read in reads
        ]
        return _flat(await asyncio.gather(*made))

    async def _if_seen(self, subscriptions: Iterable[str], records: Sequence[Record]) -> list[Record]:
        """The lists that are made where a network shows that they hold something, and the parts of that."""
        networks = [one.body for one in records if isinstance(one, Resource) and one.type.lower() == _NETWORKS]
        kinds = seen_in(networks)
        if self._scope.share:  # a network that another share has may show it
            kinds = tuple(_IF_SEEN)
        lists = [self._list(one, kind, _IF_SEEN[kind]) for one in subscriptions for kind in kinds]
        found = _flat(await asyncio.gather(*lists))
        return [*found, *await self._parts(found)]

    async def _of_directory(self, records: Iterable[Record]) -> list[Record]:
        """What Microsoft Graph tells, where that was asked for."""
        return _flat(await asyncio.gather(self._applications(records), self._access_policies()))

    async def _policy_states(self, subscriptions: Sequence[str], records: Iterable[Record]) -> list[Record]:
        """What policies found of the clusters that were read, where that was asked for."""
        if POLICY_STATES not in self._scope.optional or self._queries is None:
            return []
        there = [one.id for one in records if isinstance(one, Resource) and one.type.lower() == _CLUSTERS]
        clusters = {one.lower() for one in there}
        starts = range(0, len(subscriptions), GRAPH_SUBSCRIPTIONS)
        batches = [subscriptions[start : start + GRAPH_SUBSCRIPTIONS] for start in starts]
        reads = [self._bound(self._queries.states(one), one[0], STATES, *one) for one in batches]
        found = _flat(await asyncio.gather(*reads))
        kept = [one for one in found if not isinstance(one, Resource) or _holder(one.id) in clusters]
        told = {_holder(one.id) for one in kept if isinstance(one, Resource)}
        lost = [one.id for one in kept if isinstance(one, Gap)]
        silent = [one for one in there if one.lower() not in told and not _any_holds(lost, one)]
        scopes = list(dict.fromkeys(f"/subscriptions/{parse(one).subscription}" for one in silent))
        roles = dict(zip(scopes, await asyncio.gather(*map(self.granted, scopes)), strict=True))
        return [*kept, *(self._no_states(one, roles) for one in silent)]

    @staticmethod
    def _no_states(cluster: str, roles: Mapping[str, Granted | Gap]) -> Gap:
        """Why Graph tells no state of a policy: it leaves out in silence what the caller may not read."""
        subscription = f"/subscriptions/{parse(cluster).subscription}"
        role = roles[subscription]
        told = f"{parse(cluster).name}: Resource Graph gives no state of a policy"
        if isinstance(role, Granted) and role.permits(f"{STATES}/read"):
            return Gap(id=cluster, type=STATES, cause="not-sent", reason=f"{told}: no policy was evaluated there")
        action = f"{STATES}/read"
        return Gap(id=cluster, type=STATES, reason=f"{told}; needs {action}", action=action, scope=subscription)

    async def _access_policies(self) -> list[Record]:
        """The policies of conditional access, where they were asked for."""
        if CONDITIONAL_ACCESS not in self._scope.optional:
            return []
        if self._directory is None:
            return [failed(ACCESS, ACCESS_POLICIES, _NO_DIRECTORY)]
        return await self._bound(self._directory.access_policies(), ACCESS, ACCESS_POLICIES, ACCESS)

    async def _applications(self, records: Iterable[Record]) -> list[Record]:
        """What Microsoft Graph tells of the applications that the clusters sign in as, where that was asked for."""
        if APP_CREDENTIALS not in self._scope.optional:
            return []
        clusters = [one for one in records if isinstance(one, Resource) and one.type.lower() == CLUSTERS.lower()]
        found = {client for one in clusters if (client := client_id(one.body))}
        return _flat(await asyncio.gather(*(self._application(one) for one in sorted(found))))

    async def _application(self, client: str) -> list[Record]:
        own = f"{DIRECTORY}/applications/{client}"
        if self._directory is None:
            return [failed(own, APPLICATIONS, _NO_DIRECTORY)]
        return await self._bound(self._directory.application(client), own, APPLICATIONS, own)

    def _not_asked(self) -> list[Record]:
        """What rules ask for and nobody has asked for here: one gap a read, whatever the number of resources."""
        names = [name for name in OPTIONAL if name not in self._scope.optional]
        return list(not_asked(names))

    async def _part(self, where: str, read: Read) -> list[Record]:
        if not read.whole:
            records = await self._list(where, read.type, read.api_version, read.path, read.query)
            # A list that leaves some out says nothing about what it does not hold.
            return [one for one in records if not (read.query and isinstance(one, Listing))]
        url = f"{where}/{read.path}?api-version={read.api_version}"
        own = f"{where}/{read.path}"
        return await self._bound(self._reader.whole(url, own, read.type, read.whole), own, read.type, url)


def _some(names: Iterable[str]) -> str:
    """Names of Azure's, as many as are read."""
    found = sorted(map(one_line, names))
    more = [f"and {len(found) - _MOST_NAMES:,} more"] if len(found) > _MOST_NAMES else []
    return ", ".join([*found[:_MOST_NAMES], *more]) or "none"


def _any_holds(scopes: Iterable[str], resource_id: str) -> bool:
    return any(within(resource_id, scope) for scope in scopes)


def not_asked(names: Iterable[str]) -> Iterator[Gap]:
    """The gaps that a scan has which was not asked for these optional reads."""
    for name in names:
        everywhere = DIRECTORY if name in OF_DIRECTORY else _EVERYWHERE
        for read in OPTIONAL[name]:
            if read.missed:
                reason = f"{name} were not asked for; add --read {name}, {read.price}"
                yield Gap(id=everywhere, type=read.type, cause="not-asked", reason=reason)


def _reads(names: Iterable[str]) -> dict[str, list[Read]]:
    """The reads that are made of single resources, by the type (in lower case) that they are made for."""
    found: dict[str, list[Read]] = {}
    for read in (*PART_READS, *optional(names)):
        for kind in read.of:
            found.setdefault(kind.lower(), []).append(read)
    return found


def _holder(state_id: str) -> str:
    """The id, in lower case, of what a state of a policy is about."""
    return state_id.lower().partition(f"/providers/{STATES.lower()}/")[0]


def _worth_reading(where: str, read: Read) -> bool:
    """Whether a resource is one that a read is made for: of private DNS zones, those with names that matter."""
    if read not in ZONE_READS:
        return True
    name = parse(where).name.lower()
    return name.startswith("privatelink.") or name.endswith(".azmk8s.io")


def _places(listings: Iterable[Listing]) -> set[tuple[str, str]]:
    return {(listing.type.lower(), listing.scope.lower()) for listing in listings}


def _listed(resource_id: str, whole: Container[tuple[str, str]]) -> bool:
    """Whether a list that was read to its end would have held the resource, so that it is known to be gone."""
    kind = parse(resource_id).type.lower()
    return any((kind, scope) in whole for scope in scopes(resource_id))


def _flat(lists: Iterable[Iterable[Record]]) -> list[Record]:
    return [record for records in lists for record in records]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
