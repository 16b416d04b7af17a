"""The estate: everything in a snapshot as linked facts."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from aks_audit.facts.document import Document
from aks_audit.facts.gaps import INSIDE, Gaps
from aks_audit.facts.link import Holding
from aks_audit.facts.networking import NetworkSecurityGroup, Subnet, VirtualNetwork
from aks_audit.facts.resource import AzureResource
from aks_audit.facts.resource_id import fold, parse, scopes
from aks_audit.facts.unread import Malformed, NotCollected
from aks_audit.results import Location, Missing
from aks_audit.snapshot import GRAPH, Entry, Gap, Snapshot, instant

_ROLE_ASSIGNMENTS = "microsoft.authorization/roleassignments"
_OTHER_ACTIONS = {
    "microsoft.graph/applications": "Application.Read.All",
    "microsoft.graph/conditionalaccesspolicies": "Policy.Read.All",
}
"""What permits the reading of types that are none of Azure Resource Manager's."""

_BY_NAME = {
    "kubeletconfigurations.kubelet.config.k8s.io": "the configurations of kubelets were not asked for; "
    "add --read kubelet-config, 1 call a node",
}
"""Why a type inside clusters is not there that is read only where it is asked for by name."""

_MOST_BODIES = 1_000
"""How many bodies are let be in memory while the estate is looked through; they take some 10 kB each."""

R = TypeVar("R", bound=AzureResource)
T = TypeVar("T")


class Estate:
    """All facts of a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._gap_locations = {fold(gap.id): where for gap, where in snapshot.gaps}
        self._listed: dict[str, set[str]] = {}  # scopes by type
        for listing in snapshot.listings:
            self._listed.setdefault(listing.type.lower(), set()).add(listing.scope.lower().rstrip("/"))
        self._entered = {scope for kind, where in self._listed.items() if "/" not in kind for scope in where}
        self._documents: dict[str, Document] = {}
        self._loaded: list[Document] = []
        self.as_of = snapshot.finished
        contradictory = [gap for records in _by_id(snapshot).values() for gap in self._add(records)]
        self._gaps = Gaps([*(gap for gap, _ in snapshot.gaps), *contradictory])
        self._by_type: dict[str, list[Document]] = {}
        self._by_scope: dict[tuple[str, str], list[Document]] = {}
        for _, document in sorted(self._documents.items()):
            self._by_type.setdefault(document.type.lower(), []).append(document)
            for scope in scopes(document.id):
                self._by_scope.setdefault((document.type.lower(), scope), []).append(document)
        self._interface_groups: dict[str, frozenset[str]] = {}
        self._holdings: dict[tuple[type, str], Holding[Any]] = {}
        self._holders: dict[str, Document | None] = {}
        self._once: dict[tuple[Callable[[Any], Any], str], Any] = {}

    def resource(self, kind: type[R], resource_id: str) -> R:
        """The resource with this id.

        Raises:
            NotCollected: it was not read; the reason is the gap that was recorded, if any.
        """
        document = self._documents.get(fold(resource_id))
        if document and document.type.lower() == kind.TYPE.lower():
            return self._whole(kind, document)
        if issubclass(kind, Subnet):
            inline = self._inline_subnet(kind, resource_id)
            if inline:
                return inline
        raise NotCollected(self._explain(resource_id, kind.TYPE))

    def tried(self, kind: type[AzureResource], resource_id: str) -> bool:
        """Whether the snapshot says that a resource was asked for, and could not be read."""
        gap = self._gaps.nearest(resource_id, kind.TYPE)
        return gap is not None and gap.cause != "not-asked"

    def within(self, kind: type[R], scope: str) -> Holding[R]:
        """The resources of a type in a scope (an id of a subscription, group or resource)."""
        key = (kind, scope)
        if key not in self._holdings:
            self._holdings[key] = self._holding(kind, scope)
        return self._holdings[key]

    def _holding(self, kind: type[R], scope: str) -> Holding[R]:
        wanted = kind.TYPE.lower()
        documents = self._by_scope.get((wanted, scope.lower()), ())
        known = tuple([self._whole(kind, document) for document in documents])
        lost = self._gaps.within(wanted, scope)
        if lost:
            return Holding(known, _missing(lost))
        listed = self._listed.get(wanted)
        if listed and not listed.isdisjoint((scope.lower(), *scopes(scope))):
            return Holding(known, None)
        return Holding(known, self._explain(scope, kind.TYPE))

    def interface_groups(self, group: NetworkSecurityGroup) -> frozenset[str]:
        """The ids, in lower case, of the resource groups in which a security group's network interfaces are.

        Raises:
            Malformed: the list cannot be read. Azure leaves an empty list out, but never the properties around it.
        """
        key = group.id.lower()
        if key not in self._interface_groups:
            if group.find("properties")[0] is None:
                raise Malformed(group.id, f"{group.pointer}/properties", "a security group without its properties")
            found = (link.id for link in group.network_interfaces or ())
            self._interface_groups[key] = frozenset(scope for interface in found for scope in scopes(interface))
        return self._interface_groups[key]

    def once(self, analysis: Callable[[R], T], resource: R) -> T:
        """What an analysis says of a resource, which it is asked once; what it raises is not kept."""
        key = (analysis, fold(resource.id))
        if key not in self._once:
            self._once[key] = analysis(resource)
        found: T = self._once[key]
        return found

    def indexed(self, index: "Callable[[Estate], T]") -> T:
        """An index of the whole estate, which is made once."""
        key = (index, "")
        if key not in self._once:
            self._once[key] = index(self)
        found: T = self._once[key]
        return found

    def every(self, kind: type[R]) -> tuple[R, ...]:
        """All resources of a type that were read, in order of id."""
        return tuple([self._whole(kind, document) for document in self._by_type.get(kind.TYPE.lower(), ())])

    def gaps(self, kind: type[AzureResource]) -> tuple[Missing, ...]:
        """What could not be read of single resources of a type; `what` is the resource's id."""
        wanted = kind.TYPE.lower()
        single = [gap for gap in self._gaps.all if parse(gap.id).type and fold(gap.id) not in self._documents]
        lost = [gap for gap in single if wanted in {parse(gap.id).type.lower(), gap.type.lower()}]
        return tuple(dict.fromkeys(map(_missing, lost)))

    def unlisted(self, kind: type[AzureResource], about: str = "") -> tuple[Missing, ...]:
        """Why lists of a type that were asked for could not be read to their end; `about`: those that may hold this."""
        wanted = kind.TYPE.lower()
        types = {wanted} if "/" in wanted else {wanted, INSIDE}
        lost = [gap for gap in self._gaps.of_types(types, about) if gap.cause != "not-asked"]
        lists = [gap for gap in lost if parse(gap.id).type.lower() != wanted]
        return tuple(dict.fromkeys(map(_missing, lists)))

    def unentered(self) -> tuple[Missing, ...]:
        """Clusters that were to be read inside, and could not be; `what` is the cluster's id."""
        lost = [gap for gap in self._gaps.all if gap.type == INSIDE and gap.cause != "not-asked"]
        return tuple(dict.fromkeys(map(_missing, lost)))

    def document(self, resource_id: str) -> Document | None:
        """The document that holds a resource: its own, or that of the nearest parent that was read."""
        if resource_id not in self._holders:
            self._holders[resource_id] = self._holder(resource_id)
        return self._holders[resource_id]

    def _holder(self, resource_id: str) -> Document | None:
        parent = resource_id
        while parent:
            if found := self._documents.get(fold(parent)):
                return found
            parent = parse(parent).parent
        return None

    def ease(self) -> None:
        """Let go of bodies and what was worked out about them, where there are many in memory."""
        if len(self._loaded) >= _MOST_BODIES:
            self.forget()

    def forget(self) -> None:
        """Let go of bodies and what was worked out about them; it is worked out again where it is asked for."""
        self._holdings.clear()
        self._holders.clear()
        self._interface_groups.clear()
        self._once = {key: found for key, found in self._once.items() if not key[1]}
        for document in self._loaded:
            document.forget()
        self._loaded.clear()

    def gap_location(self, resource_id: str) -> Location | None:
        """The line of the snapshot that says why a resource was not read, if one does."""
        return self._gap_locations.get(fold(resource_id))

    def _add(self, records: list[Entry]) -> Iterator[Gap]:
        """Take in the records of one id; gaps, where they contradict each other."""
        latest = [self._document(entry) for entry in _latest(records)]
        document = latest[0]
        bodies = set(map(_content, latest)) if len(latest) > 1 else {b""}
        own = parse(document.id).type
        strange = [one.type for one in latest if own and one.type.lower() != own.lower()]
        if len(bodies) == 1 and not strange:
            self._documents[fold(document.id)] = document
            return
        places = [f"{one.location.file}:{one.location.line}" for one in latest if one.location]
        where = f" ({', '.join(places[:3])}{', …' if len(places) > 3 else ''})" if places else ""  # noqa: PLR2004 - enough
        reason = f"its type is {strange[0]!r}{where}" if strange else f"{len(bodies)} different bodies{where}; keep one"
        told = f"{document.id} is contradictory: {reason}"
        for kind in dict.fromkeys([own, *strange]):
            yield Gap(id=document.id, type=kind, reason=told, cause="contradictory")

    def _whole(self, kind: type[R], document: Document) -> R:
        """A document as a resource of a kind: always the same, so that what rules read of it is read once."""
        found: R | None = document.views.get(kind)
        if found is None:
            found = document.views[kind] = kind(self, document)
        return found

    def _document(self, entry: Entry) -> Document:
        index = (GRAPH, entry.read) if entry.source == GRAPH else (None, None)

        def load(document: Document) -> dict[str, Any]:
            self._loaded.append(document)
            return entry.unpack().body

        return Document(entry.id, entry.type, load, entry.location, index)

    def _inline_subnet(self, kind: type[R], subnet_id: str) -> R | None:
        parsed = parse(subnet_id)
        document = self._documents.get(fold(parsed.parent))
        if document is None:
            return None
        subnets = self.once(_subnets_by_name, self._whole(VirtualNetwork, document))
        found = subnets.get(parsed.name.lower())
        return kind(self, document, found.node, found.pointer) if found else None

    def _explain(self, about: str, kind: str) -> Missing:
        """Why something of a type in a scope (or with an id) is not here."""
        gap = self._gaps.nearest(about, kind)
        if gap:
            return _missing(gap)
        cluster = parse(about).parent if "/" not in parse(about).type else about
        if "/" not in kind and cluster.lower() not in self._entered:
            return _not_entered(cluster)
        if kind.lower() in _BY_NAME:
            return Missing(what=about, kind="not-asked", reason=_BY_NAME[kind.lower()])
        itself = parse(about).type.lower() == kind.lower()
        reason = (
            f"{about} is not in the snapshot" if itself else f"the list of {kind} in {about} is not in the snapshot"
        )
        action = _OTHER_ACTIONS.get(kind.lower(), f"{kind}/read")
        return Missing(what=about, kind="not-read", reason=reason, action=action, scope=about)


def _subnets_by_name(network: VirtualNetwork) -> dict[str, Subnet]:
    """The subnets in a network's body by name in lower case, the first of each name."""
    return {subnet.name.lower(): subnet for subnet in reversed(network.subnets or ())}


def _content(document: Document) -> bytes:
    """The body as bytes that are the same for the same state.

    An assignment above subscriptions is listed with each of them, and names its role by the one that was asked.
    """
    body = document.body
    properties = body.get("properties")
    if document.type.lower() == _ROLE_ASSIGNMENTS and isinstance(properties, dict):
        role = properties.get("roleDefinitionId")
        body = {**body, "properties": {**properties, "roleDefinitionId": str(role).rpartition("/")[2]}}
    return msgspec.json.encode(body, order="deterministic")


def _latest(entries: list[Entry]) -> list[Entry]:
    """What was read last; everything, where a time is not known."""
    if len(entries) == 1:
        return entries
    times = [instant(entry.read) for entry in entries if entry.read]
    if len(times) < len(entries):
        return entries
    return [entry for time, entry in zip(times, entries, strict=True) if time == max(times)]


def _by_id(snapshot: Snapshot) -> dict[str, list[Entry]]:
    grouped: dict[str, list[Entry]] = {}
    for entry in snapshot.entries:
        grouped.setdefault(fold(entry.id), []).append(entry)
    return grouped


@lru_cache(maxsize=1024)
def _not_entered(cluster: str) -> Missing:
    """What is missing of a cluster that nobody entered: the same for each of the many rules about what is inside."""
    return Missing(what=cluster, kind="not-asked", reason=f"what is inside {cluster} was not read")


def _missing(gap: Gap) -> Missing:
    return Missing(what=gap.id, kind=gap.cause, reason=gap.reason, action=gap.action, scope=gap.scope)
