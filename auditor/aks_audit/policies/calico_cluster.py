"""What Calico's policies refer to: network sets, host endpoints, the endpoints of services, tiers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from aks_audit.facts import Malformed
from aks_audit.network.addresses import AddressSet, RangeSet
from aks_audit.policies.body import Body
from aks_audit.policies.model import NO_ADDRESS, Endpoint, Expression, Kind, Object
from aks_audit.policies.ports import PROTOCOLS, traffic
from aks_audit.policies.selectors import holds

_API, _STORED = ".projectcalico.org", ".crd.projectcalico.org"
NETWORK_SETS, GLOBAL_NETWORK_SETS, HOST_ENDPOINTS = "networksets", "globalnetworksets", "hostendpoints"
_SLICES = "endpointslices.discovery.k8s.io"
_NAMESPACES = "namespaces"


class Undecided(Exception):  # noqa: N818 - the name of a state, not of a mistake
    """What a rule does depends on something that could not be read."""


class Held(NamedTuple):
    """A network set or a host endpoint: its labels and addresses, as an endpoint; `unread`: why these are not known."""

    endpoint: Endpoint
    unread: str = ""


class Host(NamedTuple):
    """A host endpoint: the node it stands for (empty: not known), and the names that it gives to ports.

    `every_interface`: it is for all interfaces of the node. `open`: a profile lets through what no policy is about.
    """

    id: str
    held: Held
    node: str
    every_interface: bool
    open: bool
    ports: frozenset[str]


class Backend(NamedTuple):
    """Some endpoints of a Service: their addresses, and the traffic that they take."""

    addresses: AddressSet
    numbers: RangeSet


class Cluster(NamedTuple):
    """What policies refer to. `unread` are the types of object of which some may be missing."""

    sets: tuple[Held, ...]
    hosts: tuple[Host, ...]
    services: Mapping[tuple[str, str], tuple[Backend, ...] | None]
    unread: frozenset[str]

    def addresses(self, expression: Expression) -> AddressSet:
        """The addresses of the network sets and host endpoints for which an expression is true.

        Raises:
            Undecided: it cannot be known for one of them, or what its addresses are.
        """
        if missing := self.unread & {NETWORK_SETS, GLOBAL_NETWORK_SETS, HOST_ENDPOINTS}:
            raise Undecided(f"the selector may take {min(missing)}, which could not all be read")
        found = NO_ADDRESS
        for held in (*self.sets, *(host.held for host in self.hosts)):
            taken = holds(expression, held.endpoint)
            if taken is None or (taken and held.unread):
                raise Undecided(held.unread or f"the labels of {held.endpoint.name} could not be read")
            if taken:
                found = found.union(held.endpoint.addresses)
        return found

    def backends(self, namespace: str, name: str) -> tuple[Backend, ...]:
        """The endpoints of a Service.

        Raises:
            Undecided: they could not be read.
        """
        found = None if _SLICES in self.unread else self.services.get((namespace, name), ())
        if found is None:
            raise Undecided(f"the endpoints of the service {namespace}/{name} could not be read")
        return found


def served(objects: Sequence[Object]) -> Mapping[str, tuple[Object, ...]]:
    """Calico's objects by their plural names, of one API group: Calico's own API shows what the other one stores."""
    group = _API if any(_of_group(one.type, _API) for one in objects) else _STORED
    found: dict[str, list[Object]] = {}
    for one in objects:
        if _of_group(one.type, group):
            found.setdefault(one.type.partition(".")[0], []).append(one)
    return {plural: tuple(ones) for plural, ones in found.items()}


def _of_group(kind: str, group: str) -> bool:
    return kind.partition(".")[2] == group.removeprefix(".")


def read_cluster(objects: Sequence[Object], unread: Collection[str]) -> Cluster:
    """What policies refer to, of all the objects of a cluster. `unread` are types that could not be read whole."""
    own = served(objects)
    namespaces = {one.body["metadata"]["name"]: one for one in objects if one.type == _NAMESPACES and _name(one)}
    sets = [_network_set(one, namespaces) for one in (*own.get(GLOBAL_NETWORK_SETS, ()), *own.get(NETWORK_SETS, ()))]
    hosts = [_host(one) for one in own.get(HOST_ENDPOINTS, ())]
    short = {kind.removesuffix(_STORED).removesuffix(_API) for kind in unread}
    return Cluster(tuple(sets), tuple(hosts), _services(objects), frozenset(short))


def _name(one: Object) -> str:
    """The name that an object gives itself; empty where it gives none that can be read."""
    metadata = one.body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else ""


def _labels(body: Body) -> dict[str, str]:
    labels = body.required("metadata").part("labels")
    return {key: labels.text(key) for key in labels.names} if labels else {}


def _network_set(one: Object, namespaces: Mapping[str, Object]) -> Held:
    """A network set. Calico gives it the labels of its namespace, too."""
    try:
        body = Body(one.id, one.body)
        namespace = body.required("metadata").text("namespace", "")
        owner = namespaces.get(namespace)
        endpoint = Endpoint(
            Kind.ADDRESS,
            _name(one) or one.id,
            namespace=namespace,
            labels=_labels(body),
            namespace_labels=_labels(Body(owner.id, owner.body)) if owner else None if namespace else {},
            service_account_labels={},
            addresses=AddressSet.of((body.part("spec") or Body(one.id, {})).networks("nets")),
        )
    except Malformed as damage:
        return Held(_anything(one), str(damage))
    return Held(endpoint)


def _anything(one: Object) -> Endpoint:
    """What stands for an object that cannot be read: nothing is known of its labels."""
    return Endpoint(Kind.ADDRESS, _name(one) or one.id)


def _host(one: Object) -> Host:
    try:
        body = Body(one.id, one.body)
        spec = body.required("spec")
        spec.only(("expectedIPs", "interfaceName", "node", "ports", "profiles"))
        node = spec.text("node")
        endpoint = Endpoint(
            Kind.NODE,
            _name(one) or one.id,
            labels=_labels(body),
            namespace_labels={},
            service_account_labels={},
            addresses=AddressSet.of(spec.networks("expectedIPs")),
            node=node,
        )
        return Host(
            one.id,
            Held(endpoint),
            node,
            every_interface=spec.text("interfaceName", "") == "*",
            open="projectcalico-default-allow" in spec.texts("profiles"),
            ports=frozenset(port.text("name") for port in spec.parts("ports")),
        )
    except Malformed as damage:
        return Host(one.id, Held(_anything(one), str(damage)), "", every_interface=True, open=False, ports=frozenset())


def _services(objects: Iterable[Object]) -> Mapping[tuple[str, str], tuple[Backend, ...] | None]:
    """The endpoints of services; None where they cannot be read."""
    found: dict[tuple[str, str], tuple[Backend, ...] | None] = {}
    for one in objects:
        if one.type == _SLICES:
            key, backend = _slice(one)
            before = found.get(key, ())
            found[key] = None if backend is None or before is None else (*before, backend)
    return found


def _slice(one: Object) -> tuple[tuple[str, str], Backend | None]:
    key = ("", "")
    try:
        body = Body(one.id, one.body)
        metadata = body.required("metadata")
        key = metadata.text("namespace"), _labels(body).get("kubernetes.io/service-name", "")
        networks = [network for endpoint in body.parts("endpoints") for network in endpoint.networks("addresses")]
        ports = [(PROTOCOLS[port.text("protocol", "TCP")], port.number("port")) for port in body.parts("ports")]
    except (KeyError, Malformed):
        return key, None
    return key, Backend(AddressSet.of(networks), _union(ports))


def _union(ports: Iterable[tuple[int, int]]) -> RangeSet:
    found = RangeSet()
    for protocol, number in ports:
        found |= traffic(protocol, number, number)
    return found
