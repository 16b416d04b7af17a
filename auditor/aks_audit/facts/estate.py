"""The estate: everything in a snapshot as linked facts, and the subjects that rules ask about."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from aks_audit.facts.cluster import AgentPool, ManagedCluster, StandalonePool
from aks_audit.facts.document import Document
from aks_audit.facts.link import Holding, Link
from aks_audit.facts.networking import AzureResource, NetworkSecurityGroup, Subnet, VirtualNetwork
from aks_audit.facts.resource_id import parse, within
from aks_audit.facts.unread import NotCollected, Unread
from aks_audit.results import Missing
from aks_audit.snapshot import Gap, Resource, Snapshot

R = TypeVar("R", bound=AzureResource)


class SubnetUse(NamedTuple):
    """What a cluster uses a subnet for: `node`, `pod` or `api-server`, and for which pool (empty: the cluster)."""

    cluster: str
    pool: str
    kind: str


class ClusterSubnet(Subnet):
    """A subnet that clusters use, judged once for all of them."""

    __slots__ = ("uses",)

    uses: tuple[SubnetUse, ...]

    @property
    def clusters(self) -> tuple[str, ...]:
        """The ids of the clusters that use it."""
        return tuple(sorted({use.cluster for use in self.uses}, key=str.lower))

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        own = self.parsed
        return {"group": own.group, "vnet": own.names[0], "subnet": own.name, "subscription": own.subscription}


class ClusterSecurityGroup(NetworkSecurityGroup):
    """A network security group on a cluster's subnets or nodes, judged once; `managed` where AKS made it itself."""

    __slots__ = ("clusters", "managed")

    clusters: tuple[str, ...]
    managed: bool

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        own = self.parsed
        return {"group": own.group, "nsg": own.name, "subscription": own.subscription}


class UnreadSubject(NamedTuple):
    """A subject, or a list of subjects, that could not be read: rules about it are unknown."""

    id: str
    clusters: tuple[str, ...]
    missing: tuple[Missing, ...]


Subject: TypeAlias = ManagedCluster | AgentPool | ClusterSubnet | ClusterSecurityGroup


class Estate:
    """All facts of a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._gaps: list[Gap] = [gap for gap, _ in snapshot.gaps]
        self._listings = [(listing.type.lower(), listing.scope) for listing in snapshot.listings]
        self._documents: dict[str, Document] = {}
        self.as_of = snapshot.finished
        for records in _by_id(snapshot).values():
            self._add(records)
        self._by_type: dict[str, list[Document]] = {}
        for _, document in sorted(self._documents.items()):
            self._by_type.setdefault(document.type.lower(), []).append(document)
        self._subjects: dict[type, tuple[Subject | UnreadSubject, ...]] = {}

    def resource(self, kind: type[R], resource_id: str) -> R:
        """The resource with this id.

        Raises:
            NotCollected: it was not read; the reason is the gap that was recorded, if any.
        """
        document = self._documents.get(resource_id.lower())
        if document and document.type.lower() == kind.TYPE.lower():
            return kind(self, document, document.body)
        if issubclass(kind, Subnet):
            inline = self._inline_subnet(kind, resource_id)
            if inline:
                return inline
        raise NotCollected(self._explain(resource_id, kind.TYPE))

    def within(self, kind: type[R], scope: str) -> Holding[R]:
        """The resources of a type in a scope (an id of a subscription, group or resource)."""
        wanted = kind.TYPE.lower()
        known = tuple(
            kind(self, document, document.body)
            for document in self._by_type.get(wanted, ())
            if within(document.id, scope)
        )
        lost = next((gap for gap in self._gaps if within(gap.id, scope) and _type(gap).lower() == wanted), None)
        if lost:
            return Holding(known, _missing(lost))
        if any(listed == wanted and within(scope, where) for listed, where in self._listings):
            return Holding(known, None)
        return Holding(known, self._explain(scope, kind.TYPE))

    def subjects(self, kind: type) -> Sequence[Subject | UnreadSubject]:
        """Every subject of a kind, in order of id, and what is known of those that could not be read."""
        if kind not in self._subjects:
            found = _dedupe(_FINDERS[kind](self))
            self._subjects[kind] = tuple(sorted(found, key=lambda subject: subject.id.lower()))
        return self._subjects[kind]

    def document(self, resource_id: str) -> Document | None:
        """The document that holds a resource: its own, or that of the nearest parent that was read."""
        parent = resource_id
        while parent:
            if found := self._documents.get(parent.lower()):
                return found
            parent = parse(parent).parent
        return None

    def _add(self, records: list[tuple[Resource, Document]]) -> None:
        bodies = {msgspec.json.encode(document.body, order="deterministic") for _, document in records}
        newest = max((record.read or "" for record, _ in records))
        latest = [document for record, document in records if (record.read or "") == newest]
        if len(bodies) == 1 or len(latest) == 1:
            self._documents[latest[0].id.lower()] = latest[0]
            return
        places = [f"{d.location.file}:{d.location.line}" for _, d in records if d.location]
        reason = f"{len(records)} different bodies for one resource ({', '.join(places)}); keep the right one"
        first = records[0][0]
        self._gaps.append(Gap(id=first.id, type=first.type, reason=reason, cause="contradictory"))

    def _inline_subnet(self, kind: type[R], subnet_id: str) -> R | None:
        parsed = parse(subnet_id)
        document = self._documents.get(parsed.parent.lower())
        if document is None:
            return None
        parent = VirtualNetwork(self, document, document.body)
        for subnet in parent.subnets or ():
            if subnet.name.lower() == parsed.name.lower():
                return kind(self, document, subnet.node, subnet.pointer)
        return None

    def _explain(self, about: str, kind: str) -> Missing:
        """Why something of a type in a scope (or with an id) is not here."""
        wanted = kind.lower()
        exact = [gap for gap in self._gaps if gap.id.lower() == about.lower()]
        around = [
            gap
            for gap in self._gaps
            if within(about, gap.id) and (not _type(gap) or wanted.startswith(_type(gap).lower()))
        ]
        if exact or around:
            return _missing(max([*exact, *around], key=lambda gap: (gap.id.lower() == about.lower(), len(gap.id), gap.reason)))
        return Missing(
            what=about,
            kind="not-read",
            reason=f"{kind.rsplit('/', 1)[-1]} of {about} are not in the snapshot"
            if parse(about).type.lower() != wanted
            else f"{about} is not in the snapshot",
            action=f"{kind}/read",
            scope=about,
        )

    def _clusters(self) -> Iterator[ManagedCluster | UnreadSubject]:
        for document in self._by_type.get(ManagedCluster.TYPE.lower(), ()):
            yield ManagedCluster(self, document, document.body)
        for gap in self._gaps:
            if parse(gap.id).type.lower() == ManagedCluster.TYPE.lower() and gap.id.lower() not in self._documents:
                yield UnreadSubject(gap.id, (gap.id,), (_missing(gap),))

    def _pools(self) -> Iterator[AgentPool | UnreadSubject]:
        for cluster in self._clusters():
            yield from _reading(cluster, lambda cluster: cluster.pools)
        for document in self._by_type.get(AgentPool.TYPE.lower(), ()):
            if parse(document.id).parent.lower() not in self._documents:
                yield StandalonePool(self, document, document.body)

    def _cluster_subnets(self) -> Iterator[ClusterSubnet | UnreadSubject]:
        uses: dict[str, tuple[str, list[SubnetUse]]] = {}
        for cluster in self._clusters():
            for found in _reading(cluster, _subnet_uses):
                if isinstance(found, UnreadSubject):
                    yield found
                else:
                    subnet_id, use = found
                    uses.setdefault(subnet_id.lower(), (subnet_id, []))[1].append(use)
        for subnet_id, used in uses.values():
            try:
                subnet = self.resource(ClusterSubnet, subnet_id)
            except Unread as unread:
                clusters = tuple(sorted({use.cluster for use in used}, key=str.lower))
                yield UnreadSubject(subnet_id, clusters, unread.missing)
            else:
                subnet.uses = tuple(sorted(set(used)))
                yield subnet

    def _cluster_security_groups(self) -> Iterator[ClusterSecurityGroup | UnreadSubject]:
        groups: dict[str, tuple[str, set[str]]] = {}
        for subnet in self.subjects(ClusterSubnet):
            if isinstance(subnet, UnreadSubject):
                yield subnet
            else:
                yield from _note(groups, subnet.id, subnet.clusters, lambda: _one(subnet.network_security_group))
        for cluster in self.subjects(ManagedCluster):
            if isinstance(cluster, ManagedCluster):
                yield from _note(groups, cluster.id, (cluster.id,), lambda: _node_groups(cluster))
        for group_id, clusters in groups.values():
            serving = tuple(sorted(clusters, key=str.lower))
            try:
                group = self.resource(ClusterSecurityGroup, group_id)
            except Unread as unread:
                yield UnreadSubject(group_id, serving, unread.missing)
            else:
                group.clusters = serving
                group.managed = any(within(group_id, scope) for scope in self._node_groups_of(serving))
                yield group

    def _node_groups_of(self, clusters: Iterable[str]) -> Iterator[str]:
        for cluster_id in clusters:
            try:
                yield self.resource(ManagedCluster, cluster_id).node_group_id
            except Unread:
                continue


_FINDERS: dict[type, Callable[[Estate], Iterable[Any]]] = {
    ManagedCluster: Estate._clusters,
    AgentPool: Estate._pools,
    ClusterSubnet: Estate._cluster_subnets,
    ClusterSecurityGroup: Estate._cluster_security_groups,
}
SUBJECT_KINDS = tuple(_FINDERS)

F = TypeVar("F")


def _reading(
    cluster: ManagedCluster | UnreadSubject, read: Callable[[ManagedCluster], Iterable[F]]
) -> Iterator[F | UnreadSubject]:
    """What is read of a cluster, or the cluster as unread where that cannot be."""
    if isinstance(cluster, UnreadSubject):
        yield cluster
        return
    try:
        yield from read(cluster)
    except Unread as unread:
        yield UnreadSubject(cluster.id, (cluster.id,), unread.missing)


def _subnet_uses(cluster: ManagedCluster) -> Iterator[tuple[str, SubnetUse]]:
    if cluster.api_server_subnet:
        yield cluster.api_server_subnet.id, SubnetUse(cluster.id, "", "api-server")
    for pool in cluster.pools:
        if pool.pod_subnet:
            yield pool.pod_subnet.id, SubnetUse(cluster.id, pool.name, "pod")
        for subnet in [pool.node_subnet] if pool.node_subnet else _scale_set_subnets(cluster, pool):
            yield subnet.id, SubnetUse(cluster.id, pool.name, "node")


def _scale_set_subnets(cluster: ManagedCluster, pool: AgentPool) -> Iterator[Link[Subnet]]:
    """The subnets of a pool without a subnet of its own choice: those its scale set is in, in the network AKS made."""
    own = [found for found in cluster.scale_sets if (found.pool_name or "").lower() == pool.name.lower()]
    if not own:
        cluster.scale_sets.whole()
    for scale_set in own:
        for interface in scale_set.network_interfaces or ():
            for address in interface.ip_configurations or ():
                if address.subnet:
                    yield address.subnet


def _node_groups(cluster: ManagedCluster) -> Iterator[Link[NetworkSecurityGroup]]:
    for scale_set in cluster.scale_sets:
        for interface in scale_set.network_interfaces or ():
            yield from _one(interface.network_security_group)
    for group in cluster.node_security_groups.whole():
        yield Link(cluster.estate, NetworkSecurityGroup, group.id)
    cluster.scale_sets.whole()


def _note(
    groups: dict[str, tuple[str, set[str]]],
    about: str,
    clusters: tuple[str, ...],
    read: Callable[[], Iterable[Link[NetworkSecurityGroup]]],
) -> Iterator[UnreadSubject]:
    try:
        for found in read():
            groups.setdefault(found.id.lower(), (found.id, set()))[1].update(clusters)
    except Unread as unread:
        yield UnreadSubject(about, clusters, unread.missing)


def _one(found: F | None) -> Iterable[F]:
    return () if found is None else (found,)


def _dedupe(subjects: Iterable[Any]) -> Iterator[Any]:
    seen: dict[str, UnreadSubject] = {}
    for subject in subjects:
        if not isinstance(subject, UnreadSubject):
            yield subject
        elif (before := seen.get(subject.id.lower())) is None:
            seen[subject.id.lower()] = subject
        else:
            merged = tuple(dict.fromkeys([*before.missing, *subject.missing]))
            clusters = tuple(dict.fromkeys([*before.clusters, *subject.clusters]))
            seen[subject.id.lower()] = UnreadSubject(before.id, clusters, merged)
    yield from seen.values()


def _by_id(snapshot: Snapshot) -> dict[str, list[tuple[Resource, Document]]]:
    grouped: dict[str, list[tuple[Resource, Document]]] = {}
    for resource, location in snapshot.resources:
        document = Document(resource.id, resource.type, resource.body, location)
        grouped.setdefault(resource.id.lower(), []).append((resource, document))
    return grouped


def _type(gap: Gap) -> str:
    return gap.type or parse(gap.id).type


def _missing(gap: Gap) -> Missing:
    return Missing(what=gap.id, kind=gap.cause, reason=gap.reason, action=gap.action, scope=gap.scope)
