"""What rules ask about: clusters, their pools, how they were read, and the subnets and security groups they use.

A subject that could not be read, or whose very list could not, is an `UnreadSubject`: rules about it are unknown.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeAlias, TypeVar

from aks_audit.facts.admission import ADMISSION
from aks_audit.facts.application_gateway import ApplicationGateway
from aks_audit.facts.cluster import AgentPool, ClusterAccess, ManagedCluster, StandalonePool
from aks_audit.facts.cluster_services import ClusterService, used_services
from aks_audit.facts.estate import Estate
from aks_audit.facts.firewall import AzureFirewall
from aks_audit.facts.gateways import Gateway, WebEntry
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.link import Link
from aks_audit.facts.name_resolution import PrivateDnsZone, api_server_zone_id
from aks_audit.facts.networking import NetworkSecurityGroup, RouteTable, Subnet, VirtualNetwork
from aks_audit.facts.policies import PolicyObject, policy_kinds
from aks_audit.facts.rbac import ACCESS
from aks_audit.facts.resource_id import parse, within
from aks_audit.facts.services import Ingress
from aks_audit.facts.unread import Malformed, NotCollected, Unread, UnreadSubject
from aks_audit.facts.workloads import Workload, workloads
from aks_audit.results import Missing

_SEVERAL: Mapping[type[KubernetesObject], Sequence[type[KubernetesObject]]] = {
    **ACCESS,
    **ADMISSION,
    WebEntry: (Gateway, Ingress),
}
"""The kinds inside clusters that a kind made of several stands for."""

_DEFAULT_ROUTES = frozenset({"0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"})


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
        vnet = parse(own.parent).name
        return {"group": own.group, "vnet": vnet, "subnet": own.name, "subscription": own.subscription}


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


class ClusterRouteTable(RouteTable):
    """A route table on subnets of clusters, judged once; `used_by` holds the ids of those subnets."""

    __slots__ = ("clusters", "used_by")

    clusters: tuple[str, ...]
    used_by: tuple[str, ...]

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        own = self.parsed
        return {"group": own.group, "table": own.name, "subscription": own.subscription}


class ClusterNetwork(VirtualNetwork):
    """A virtual network that clusters have subnets in, judged once; `used` holds the ids of those subnets."""

    __slots__ = ("clusters", "used")

    clusters: tuple[str, ...]
    used: tuple[str, ...]

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        own = self.parsed
        return {"group": own.group, "vnet": own.name, "subscription": own.subscription}


class FirewallUse(NamedTuple):
    """A cluster's subnet (`kind`: node or pod) whose default route leads to a firewall, by their ids."""

    cluster: str
    subnet: str
    kind: str


class ClusterFirewall(AzureFirewall):
    """An Azure Firewall that the default route of clusters' subnets leads to, judged once for all of them.

    `unread` are further subnets of these clusters: whether they leave through the firewall, too, cannot be told.
    """

    __slots__ = ("unread", "uses")

    uses: tuple[FirewallUse, ...]
    unread: tuple[Missing, ...]

    @property
    def clusters(self) -> tuple[str, ...]:
        """The ids of the clusters that it serves."""
        return tuple(sorted({use.cluster for use in self.uses}, key=str.lower))

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs; `policy` is the policy's id."""
        own = self.parsed
        labels = {"group": own.group, "firewall": own.name, "subscription": own.subscription}
        with suppress(Unread):
            labels["policy"] = self.firewall_policy.id if self.firewall_policy else ""
        return labels

    @property
    def subnets(self) -> tuple[Subnet, ...]:
        """The subnets of clusters whose default route leads here.

        Raises:
            NotCollected: one of them was not read, or may be among them and was not read.
        """
        if self.unread:
            raise NotCollected(self.unread[0])
        return tuple(self.estate.resource(Subnet, subnet) for subnet in sorted({use.subnet for use in self.uses}))

    def node_subnets(self, cluster: ManagedCluster) -> tuple[Subnet, ...]:
        """The subnets of a cluster's nodes whose default route leads here.

        Raises:
            NotCollected: as `subnets`.
        """
        if self.unread:
            raise NotCollected(self.unread[0])
        ours = {use.subnet for use in self.uses if use.kind == "node" and use.cluster.lower() == cluster.id.lower()}
        return tuple(self.estate.resource(Subnet, subnet) for subnet in sorted(ours))


class ClusterZone(PrivateDnsZone):
    """A private DNS zone with the names of clusters' API servers, judged once for all of them."""

    __slots__ = ("clusters",)

    clusters: tuple[str, ...]

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        own = self.parsed
        return {"group": own.group, "zone": own.name, "subscription": own.subscription}


class ClusterApplicationGateway(ApplicationGateway):
    """An application gateway that clusters' ingress add-ons run, judged once for all of them."""

    __slots__ = ("clusters",)

    clusters: tuple[str, ...]

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        own = self.parsed
        return {"group": own.group, "gateway": own.name, "subscription": own.subscription}


Subject: TypeAlias = (
    ManagedCluster
    | AgentPool
    | ClusterAccess
    | ClusterSubnet
    | ClusterSecurityGroup
    | ClusterRouteTable
    | ClusterNetwork
    | ClusterFirewall
    | ClusterZone
    | ClusterService
    | ClusterApplicationGateway
    | KubernetesObject
)

F = TypeVar("F")
T = TypeVar("T")


class Subjects:
    """The subjects of an estate, by kind."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._found: dict[type, tuple[Subject | UnreadSubject, ...]] = {}
        self._clusters = tuple(_clusters(estate))

    def of(self, kind: type) -> Sequence[Subject | UnreadSubject]:
        """Every subject of a kind in order of id, those that could not be read among them."""
        if kind not in self._found:
            finders: Mapping[type, Callable[[], Iterable[Subject | UnreadSubject]]] = {
                ManagedCluster: lambda: self._clusters,
                AgentPool: self._pools,
                ClusterAccess: self._accesses,
                ClusterSubnet: self._subnets,
                ClusterSecurityGroup: self._security_groups,
                ClusterFirewall: self._firewalls,
                ClusterZone: self._zones,
                ClusterRouteTable: self._route_tables,
                ClusterApplicationGateway: self._application_gateways,
                ClusterNetwork: self._networks,
                Workload: self._workloads,
            }
            found = finders[kind]() if kind in finders else self._of_several(kind)
            self._found[kind] = tuple(sorted(_merged(found), key=lambda subject: subject.id.lower()))
        return self._found[kind]

    def _each(self, items: Iterable[T]) -> Iterator[T]:
        """One after the other, so that not all that is read of them is in memory at once."""
        for item in items:
            yield item
            self._estate.ease()

    def _accesses(self) -> Iterator[ClusterAccess | UnreadSubject]:
        read = self._estate.every(ClusterAccess)
        yield from read
        entered = {access.cluster_id.lower() for access in read}
        for missing in self._estate.unentered():
            if missing.what.lower() not in entered:
                yield UnreadSubject(ClusterAccess.id_of(missing.what), (missing.what,), (missing,))

    def _pools(self) -> Iterator[AgentPool | UnreadSubject]:
        for cluster in self._each(self._clusters):
            yield from _reading(cluster, lambda cluster: cluster.pools)
        read = {cluster.id.lower() for cluster in self._clusters}
        for pool in self._estate.every(StandalonePool):
            if pool.parsed.parent.lower() not in read:
                yield pool

    def _subnets(self) -> Iterator[ClusterSubnet | UnreadSubject]:
        uses: dict[str, tuple[str, list[SubnetUse]]] = {}
        for cluster in self._each(self._clusters):
            for found in _reading(cluster, _subnet_uses):
                if isinstance(found, UnreadSubject):
                    yield found
                else:
                    subnet_id, use = found
                    uses.setdefault(subnet_id.lower(), (subnet_id, []))[1].append(use)
        for subnet_id, used in uses.values():
            try:
                subnet = self._estate.resource(ClusterSubnet, subnet_id)
            except Unread as unread:
                yield UnreadSubject(subnet_id, _in_order(use.cluster for use in used), unread.missing)
            else:
                subnet.uses = tuple(sorted(set(used)))
                yield subnet

    def _route_tables(self) -> Iterator[ClusterRouteTable | UnreadSubject]:
        serving: dict[str, tuple[str, list[ClusterSubnet]]] = {}
        for subnet in self._each(self.of(ClusterSubnet)):
            if isinstance(subnet, UnreadSubject):
                yield subnet
            elif isinstance(subnet, ClusterSubnet):
                try:
                    table = subnet.route_table
                except Unread as unread:
                    yield UnreadSubject(subnet.id, subnet.clusters, unread.missing)
                else:
                    if table:
                        serving.setdefault(table.id.lower(), (table.id, []))[1].append(subnet)
        for table_id, subnets in serving.values():
            clusters = _in_order(cluster for subnet in subnets for cluster in subnet.clusters)
            try:
                found = self._estate.resource(ClusterRouteTable, table_id)
            except Unread as unread:
                yield UnreadSubject(table_id, clusters, unread.missing)
            else:
                found.clusters = clusters
                found.used_by = tuple(subnet.id for subnet in subnets)
                yield found

    def _networks(self) -> Iterator[ClusterNetwork | UnreadSubject]:
        holding: dict[str, tuple[str, list[ClusterSubnet | UnreadSubject]]] = {}
        for subnet in self._each(self.of(ClusterSubnet)):
            own = parse(subnet.id)
            if isinstance(subnet, (ClusterSubnet, UnreadSubject)) and own.type.lower() == Subnet.TYPE.lower():
                holding.setdefault(own.parent.lower(), (own.parent, []))[1].append(subnet)
            elif isinstance(subnet, UnreadSubject):
                yield subnet
        for network_id, subnets in holding.values():
            clusters = _in_order(cluster for subnet in subnets for cluster in subnet.clusters)
            try:
                found = self._estate.resource(ClusterNetwork, network_id)
            except Unread as unread:
                yield UnreadSubject(network_id, clusters, unread.missing)
            else:
                found.clusters = clusters
                found.used = tuple(subnet.id for subnet in subnets)
                yield found

    def _security_groups(self) -> Iterator[ClusterSecurityGroup | UnreadSubject]:
        serving: dict[str, tuple[str, set[str]]] = {}
        yield from self._groups_on_subnets(serving)
        yield from self._groups_on_nodes(serving)
        for group_id, clusters in serving.values():
            try:
                group = self._estate.resource(ClusterSecurityGroup, group_id)
            except Unread as unread:
                yield UnreadSubject(group_id, _in_order(clusters), unread.missing)
            else:
                group.clusters = _in_order(clusters)
                group.managed = any(within(group_id, scope) for scope in self._node_groups(clusters))
                yield group

    def _groups_on_subnets(self, serving: dict[str, tuple[str, set[str]]]) -> Iterator[UnreadSubject]:
        for subnet in self._each(self.of(ClusterSubnet)):
            if isinstance(subnet, UnreadSubject):
                yield subnet
            elif isinstance(subnet, ClusterSubnet):
                try:
                    group = subnet.network_security_group
                except Unread as unread:
                    yield UnreadSubject(subnet.id, subnet.clusters, unread.missing)
                else:
                    if group:
                        serving.setdefault(group.id.lower(), (group.id, set()))[1].update(subnet.clusters)

    def _groups_on_nodes(self, serving: dict[str, tuple[str, set[str]]]) -> Iterator[UnreadSubject]:
        for cluster in self._each(self._clusters):
            for found in _reading(cluster, _node_security_groups):
                if isinstance(found, UnreadSubject):
                    yield found
                else:
                    serving.setdefault(found.lower(), (found, set()))[1].add(cluster.id)

    def _firewalls(self) -> Iterator[ClusterFirewall | UnreadSubject]:
        serving: dict[str, tuple[str, set[FirewallUse]]] = {}
        unread: list[UnreadSubject] = []
        for subnet in self._each(self.of(ClusterSubnet)):
            if isinstance(subnet, UnreadSubject):
                unread.append(subnet)
            elif isinstance(subnet, ClusterSubnet):
                users = {(use.cluster, use.kind) for use in subnet.uses if use.kind in {"node", "pod"}}
                try:
                    found = _firewall_ids(subnet) if users else ()
                except Unread as problem:
                    unread.append(UnreadSubject(subnet.id, subnet.clusters, problem.missing))
                else:
                    for firewall_id in found:
                        uses = serving.setdefault(firewall_id.lower(), (firewall_id, set()))[1]
                        uses.update(FirewallUse(user, subnet.id, kind) for user, kind in users)
        yield from unread
        for firewall_id, served in serving.values():
            firewall = self._estate.resource(ClusterFirewall, firewall_id)
            firewall.uses = tuple(sorted(served))
            ours = {use.cluster for use in served}
            firewall.unread = tuple(part for one in unread if ours & set(one.clusters) for part in one.missing)
            yield firewall

    def _of_several(self, kind: type[ClusterService | KubernetesObject]) -> Iterable[Subject | UnreadSubject]:
        """The subjects of one of the kinds that are found alike: services, and objects inside clusters."""
        return self._services(kind) if issubclass(kind, ClusterService) else self._inside(kind)

    def _services(self, kind: type[ClusterService]) -> Iterator[ClusterService | UnreadSubject]:
        yield from (cluster for cluster in self._clusters if isinstance(cluster, UnreadSubject))
        yield from used_services(self._estate, self._each(self._estate.every(ManagedCluster)), _network_ids, kind)

    def _zones(self) -> Iterator[ClusterZone | UnreadSubject]:
        serving: dict[str, tuple[str, set[str]]] = {}
        for cluster in self._each(self._clusters):
            for zone in _reading(cluster, _zone_ids):
                if isinstance(zone, UnreadSubject):
                    yield zone
                else:
                    serving.setdefault(zone.lower(), (zone, set()))[1].add(cluster.id)
        for zone_id, clusters in serving.values():
            try:
                found = self._estate.resource(ClusterZone, zone_id)
            except Unread as unread:
                yield UnreadSubject(zone_id, _in_order(clusters), unread.missing)
            else:
                found.clusters = _in_order(clusters)
                yield found

    def _workloads(self) -> Iterator[Workload | UnreadSubject]:
        for cluster in self._each(self._clusters):
            for found in _reading(cluster, lambda cluster: [workloads(cluster)]):
                if isinstance(found, UnreadSubject):
                    yield found
                    continue
                yield from found.known
                if found.missing:
                    yield UnreadSubject(cluster.id, (cluster.id,), found.missing)

    def _inside(self, kind: type[KubernetesObject]) -> Iterator[KubernetesObject | UnreadSubject]:
        """The objects of a kind, or of several, in every cluster; a cluster itself where they may not be all."""
        for cluster in self._each(self._clusters):
            if isinstance(cluster, UnreadSubject):
                yield cluster
                continue
            several = policy_kinds(self._estate, cluster.id) if kind is PolicyObject else _SEVERAL.get(kind, (kind,))
            for one in several:
                held = self._estate.within(one, cluster.id)
                yield from held
                try:
                    held.whole()
                except NotCollected as unread:
                    yield UnreadSubject(cluster.id, (cluster.id,), unread.missing)

    def _application_gateways(self) -> Iterator[ClusterApplicationGateway | UnreadSubject]:
        serving: dict[str, tuple[str, set[str]]] = {}
        for cluster in self._each(self._clusters):
            for gateway in _reading(cluster, _controlled_gateways):
                if isinstance(gateway, UnreadSubject):
                    yield gateway
                else:
                    serving.setdefault(gateway.lower(), (gateway, set()))[1].add(cluster.id)
        for gateway_id, clusters in serving.values():
            try:
                found = self._estate.resource(ClusterApplicationGateway, gateway_id)
            except Unread as unread:
                yield UnreadSubject(gateway_id, _in_order(clusters), unread.missing)
            else:
                found.clusters = _in_order(clusters)
                yield found

    def _node_groups(self, clusters: Iterable[str]) -> Iterator[str]:
        for cluster_id in clusters:
            try:
                yield self._estate.resource(ManagedCluster, cluster_id).node_group_id
            except Unread:
                continue


def _clusters(estate: Estate) -> Iterator[ManagedCluster | UnreadSubject]:
    yield from estate.every(ManagedCluster)
    for missing in estate.gaps(ManagedCluster):
        yield UnreadSubject(missing.what, (missing.what,), (missing,))


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


def _network_ids(cluster: ManagedCluster) -> Sequence[str]:
    return _in_order(parse(subnet).parent for subnet, _ in _subnet_uses(cluster) if parse(subnet).parent)


def _scale_set_subnets(cluster: ManagedCluster, pool: AgentPool) -> Iterator[Link[Subnet]]:
    """The subnets of a pool without a subnet of its own choice: those its scale set is in, in the network AKS made."""
    name = pool.name.lower()
    own = [found for found in cluster.scale_sets if (found.pool_name or "").lower() == name]
    if not own:
        cluster.scale_sets.whole()
    for scale_set in own:
        for interface in scale_set.network_interfaces or ():
            for address in interface.ip_configurations or ():
                if address.subnet:
                    yield address.subnet


def _firewall_ids(subnet: ClusterSubnet) -> tuple[str, ...]:
    """The ids of the firewalls that a subnet's default route (or a half of one) leads to.

    Raises:
        NotCollected: what the route leads to may be a firewall that was not read.
        Malformed: the route table, or a firewall, cannot be read.
    """
    if subnet.route_table is None:
        return ()
    hops = subnet.estate.once(_default_hops, subnet.route_table.read())
    return tuple(dict.fromkeys(found for address in hops for found in _at_address(subnet, address)))


def _default_hops(table: RouteTable) -> tuple[str, ...]:
    if table.routes is None:
        raise Malformed(table.id, f"{table.pointer}/properties/routes", "a route table without its list of routes")
    hops = [route.next_hop_ip_address for route in table.routes if route.address_prefix in _DEFAULT_ROUTES]
    return tuple(dict.fromkeys(hop for hop in hops if hop))


def _at_address(subnet: ClusterSubnet, address: str) -> list[str]:
    """The ids of the firewalls at an address in the subnet's network, in a peer of it, or in a Virtual WAN hub."""
    estate = subnet.estate
    network = estate.resource(VirtualNetwork, subnet.virtual_network_id)
    peers = [peering.remote.id for peering in network.peerings or () if peering.remote]
    near = {network.id.lower(), *map(str.lower, peers)}
    same = [one for one in estate.every(AzureFirewall) if address in one.private_addresses]
    found = [one.id for one in same if one.virtual_hub or near & set(_networks_of(one))]
    if not found:
        for subscription in sorted({parse(one).subscription for one in near}):
            estate.within(AzureFirewall, f"/subscriptions/{subscription}").whole()
    return found


def _networks_of(firewall: AzureFirewall) -> Iterator[str]:
    for configuration in firewall.ip_configurations or ():
        if configuration.subnet:
            yield parse(configuration.subnet.id).parent.lower()


def _node_security_groups(cluster: ManagedCluster) -> Iterator[str]:
    """The ids of the groups on the interfaces of a cluster's scale sets, and of those that AKS itself made."""
    for scale_set in cluster.scale_sets:
        for interface in scale_set.network_interfaces or ():
            if interface.network_security_group:
                yield interface.network_security_group.id
    for group in cluster.node_security_groups.whole():
        yield group.id
    cluster.scale_sets.whole()


def _zone_ids(cluster: ManagedCluster) -> Iterator[str]:
    zone = api_server_zone_id(cluster)
    if zone:
        yield zone


def _controlled_gateways(cluster: ManagedCluster) -> Iterator[str]:
    gateway = cluster.controlled_gateway
    if gateway:
        yield gateway.id


def _in_order(clusters: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(clusters), key=str.lower))


def _merged(subjects: Iterable[Subject | UnreadSubject]) -> Iterator[Subject | UnreadSubject]:
    """The subjects, with what is unread about one id told once."""
    unread: dict[str, UnreadSubject] = {}
    for subject in subjects:
        if not isinstance(subject, UnreadSubject):
            yield subject
            continue
        key = subject.id.lower()
        if unread.get(key) != subject:
            before = unread.get(key, UnreadSubject(subject.id, (), ()))
            missing = tuple(dict.fromkeys((*before.missing, *subject.missing)))
            clusters = _in_order((*before.clusters, *subject.clusters))
            unread[key] = UnreadSubject(before.id, clusters, missing)
    yield from unread.values()
