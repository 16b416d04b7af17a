"""What a Service stands for, as a pod of its cluster sees it: the addresses that a connection to it is handed on to.

A Service's address is translated to that of a back end on the pod's own node, before the packet is routed on:
https://kubernetes.io/docs/reference/networking/virtual-ips/. Kubernetes leaves open whether policies are asked before
that or after (https://kubernetes.io/docs/concepts/services-networking/network-policies/). With the engines that AKS has
on Linux they are about the back ends. Calico asks them after it, but for those of hosts that are marked preDNAT
(https://docs.tigera.io/calico/latest/reference/host-endpoints/pre-dnat and
https://github.com/projectcalico/calico/issues/5129). Azure's own manager writes them into FORWARD, where packets come
translated (https://github.com/Azure/azure-container-networking/pull/1086). Cilium translates at the pod itself, to know
whom the policy is asked about (https://github.com/cilium/cilium/issues/16197).
"""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from aks_audit.facts import Evidence, Malformed, ManagedCluster, Missing, NotCollected
from aks_audit.facts.services import Endpoint, EndpointSlice, Service, ServicePort
from aks_audit.network.flows import Address, Destination, Passage
from aks_audit.network.hops import Hop, HopKind, Steps
from aks_audit.network.origins import Origin

_DOMAIN = "cluster.local"
"""The domain of Services, which AKS does not let anybody change."""
_MOST_NAMES = 4
_LOCAL = "Local"


class _Asked(NamedTuple):
    """A Service, and what of it was asked for: the whole by its name, or one address."""

    service: Service
    address: Address | None
    outer: bool = False

    @property
    def called(self) -> str:
        """The Service in words."""
        return f"Service {self.service.namespace}/{self.service.name}"


class _Backend(NamedTuple):
    """An address that connections are handed on to, with the port; `name` is its pod's, where it is one."""

    address: Address
    port: int | None
    name: str
    evidence: Evidence


def cluster_name(service: Service) -> str:
    """The name under which the cluster's DNS knows a Service."""
    return f"{service.name}.{service.namespace}.svc.{_DOMAIN}"


def called(cluster: ManagedCluster, name: str, namespace: str | None = None) -> Service | None:
    """The Service that a name stands for in the cluster's DNS, in a pod of a namespace; None where it is no such name.

    Raises:
        NotCollected: the name is one of the cluster's, and the Services were not all read.
    """
    inner = name.removesuffix(f".{_DOMAIN}").removesuffix(".svc")
    whole = inner != name
    names = inner.split(".") if "." in inner else [inner, namespace or ""]
    services = cluster.estate.within(Service, cluster.id)
    for service in services:
        if [service.name, service.namespace] == names:
            return service
    if whole:
        services.whole()
    return None


def behind_service(origin: Origin, destination: Destination) -> Steps[tuple[Destination, ...] | None]:
    """The back ends of the Service that a destination is, for a pod; the destination itself where it is none."""
    asked = _asked(origin, destination) if origin.pod else None
    if asked is None:
        return (destination,)
    service = asked.service
    if service.kind_of_service == "ExternalName":
        return (yield from _external(asked, destination))
    port = None if service.headless else _port(service, destination)
    if port is None and not service.headless:
        yield _no_port(asked, destination)
        return None
    found = tuple(_backends(service, port, destination))
    near = found
    if service.internal_traffic_policy == _LOCAL and not asked.outer and origin.pod:
        near = tuple(_on_node(service, found, origin.pod.node_name))
    if not near:
        yield _nobody(asked, local=bool(found))
        return None
    yield _handed_on(asked, near, destination)
    if asked.outer and service.load_balancer_source_ranges:
        return None
    return tuple(Destination(one.address, None, destination.protocol, one.port) for one in near)


def asked_service(origin: Origin, destination: Destination) -> Service | None:
    """The Service that a destination is, for a pod.

    Raises:
        NotCollected: it may be one, and the Services were not all read.
    """
    asked = _asked(origin, destination)
    return asked.service if asked else None


def _asked(origin: Origin, destination: Destination) -> _Asked | None:
    cluster, pod = origin.cluster, origin.pod
    if destination.name is not None:
        service = called(cluster, destination.name, pod.namespace if pod else None)
        return _Asked(service, None) if service else None
    if destination.address is None:
        return None
    written, services = str(destination.address), cluster.estate.within(Service, cluster.id)
    for service in services:
        if written in (service.cluster_ips or ()):
            return _Asked(service, destination.address)
        if written in (service.external_ips or ()) or destination.address in service.addresses:
            return _Asked(service, destination.address, outer=True)
    services.whole()
    return None


def is_of_services(cluster: ManagedCluster, address: Address) -> bool:
    """Whether an address is from the ranges of a cluster's Services."""
    ranges = (*(cluster.service_cidrs or ()), *([cluster.service_cidr] if cluster.service_cidr else ()))
    return any(address in prefix for prefix in ranges)


def _external(asked: _Asked, destination: Destination) -> Steps[tuple[Destination, ...] | None]:
    """Another name, which DNS alone tells; nothing is translated.

    Source: https://kubernetes.io/docs/concepts/services-networking/service/#externalname
    """
    name = (asked.service.external_name or "").lower().rstrip(".")
    if not name:
        raise Malformed(asked.service.id, asked.service.at(Service.external_name).pointer, "no name")
    evidence = (asked.service.at(Service.external_name),)
    yield Hop(HopKind.SERVICE, asked.service.id, None, f"{asked.called} is another name for {name}", evidence=evidence)
    return (destination._replace(name=name, address=None, asked=cluster_name(asked.service)),)


def _port(service: Service, destination: Destination) -> ServicePort | None:
    for port in service.ports or ():
        if port.port == destination.port and _protocol(port) == destination.protocol:
            return port
    return None


def _protocol(port: ServicePort) -> str:
    """The protocol of a port, which is TCP where none is written."""
    return (port.protocol or "TCP").lower()


def ports_in_words(service: Service) -> str:
    """The ports of a Service."""
    listed = [f"{_protocol(port).upper()} {port.port}" for port in service.ports or ()]
    return ", ".join(listed) or "none"


def _no_port(asked: _Asked, destination: Destination) -> Hop:
    """Only the ports that it lists are exposed: https://kubernetes.io/docs/concepts/services-networking/service/."""
    wanted = destination.protocol.upper() + (f" {destination.port}" if destination.port else "")
    says = f"{asked.called} does not expose {wanted}; its ports: {ports_in_words(asked.service)}"
    evidence = (asked.service.at(Service.ports),)
    return Hop(HopKind.SERVICE, asked.service.id, Passage.BLOCKED, says, evidence=evidence)


def _nobody(asked: _Asked, *, local: bool) -> Hop:
    """Without back ends, connections end: https://kubernetes.io/docs/concepts/services-networking/service-traffic-policy/.

    With a policy of Local, those on other nodes do not count.
    """
    where = " on the pod's own node, and its internalTrafficPolicy is Local" if local else ""
    says = f"{asked.called} has no pod that is ready{where}"
    field = Service.internal_traffic_policy if local else Service.selector
    return Hop(HopKind.SERVICE, asked.service.id, Passage.BLOCKED, says, evidence=(asked.service.at(field),))


def _backends(service: Service, port: ServicePort | None, destination: Destination) -> Iterator[_Backend]:
    """The back ends that are ready, in the EndpointSlices of a Service.

    An endpoint that does not say so is ready, and the ports of a slice go by the names of the Service's:
    https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/.

    Raises:
        NotCollected: the slices of the cluster were not all read.
    """
    for one in service.estate.within(EndpointSlice, service.cluster_id).whole():
        if (one.namespace, one.service) != (service.namespace, service.name) or one.address_type == "FQDN":
            continue
        number = destination.port if port is None else _target(one, port)
        if port is not None and number is None:
            continue
        for endpoint in one.endpoints or ():
            if endpoint.ready is not False:
                yield from _addressed(one, endpoint, number)


def _addressed(slice_: EndpointSlice, endpoint: Endpoint, port: int | None) -> Iterator[_Backend]:
    target = endpoint.target
    pod = f"{slice_.namespace}/{target.name}" if target and target.kind == "Pod" and target.name else ""
    for written in (endpoint.addresses or ())[:1]:
        try:
            address = ip_address(written)
        except ValueError:
            pointer = endpoint.at(Endpoint.addresses).pointer
            raise Malformed(slice_.id, pointer, f"{written!r} is no address") from None
        yield _Backend(address, port, pod or written, slice_.at(EndpointSlice.ports))


def _target(slice_: EndpointSlice, port: ServicePort) -> int | None:
    """The number of a Service's port at the back ends of a slice; None where they do not have it."""
    for one in slice_.ports or ():
        if (one.name or "") == (port.name or "") and _protocol(one) == _protocol(port):
            return one.port
    return None


def _on_node(service: Service, found: Sequence[_Backend], node: str | None) -> Iterator[_Backend]:
    """The back ends on a node.

    Raises:
        NotCollected: where one runs is not known.
    """
    nodes: dict[str, str | None] = {}
    for slice_ in service.estate.within(EndpointSlice, service.cluster_id):
        for endpoint in slice_.endpoints or ():
            nodes.update(dict.fromkeys(endpoint.addresses or (), endpoint.node_name))
    for one in found:
        there = nodes.get(str(one.address))
        if there is None or node is None:
            reason = f"on which node {one.name} runs is not known, and {service.name} hands on on the same node alone"
            raise NotCollected(Missing(what=service.id, kind="not-sent", reason=reason))
        if there == node:
            yield one


def _handed_on(asked: _Asked, found: Sequence[_Backend], destination: Destination) -> Hop:
    """From inside, an address of the load balancer leads to the same back ends past it, whatever its traffic policy.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/ (externalTrafficPolicy).
    Whether source ranges hold for pods too is up to what implements Services.
    """
    service = asked.service
    names = [one.name for one in found]
    shown = ", ".join(names[:_MOST_NAMES]) + (f" and {len(names) - _MOST_NAMES} more" if names[_MOST_NAMES:] else "")
    numbers = sorted({one.port for one in found if one.port is not None and one.port != destination.port})
    port = f", at port {' or '.join(map(str, numbers))}" if numbers else ""
    many = f" one of {len(found)}" if len(found) > 1 else ""
    at = f" ({asked.address})" if asked.address else ""
    wanted = f"{destination.protocol.upper()} {destination.port or ''}".strip()
    past = ", past its load balancer," if asked.outer else ""
    way = "is the name of" if service.headless else f"hands {wanted} on{past} to"
    says = f"{asked.called}{at} {way}{many}{port}: {shown}" if many or port else f"{asked.called}{at} {way} {shown}"
    evidence = [service.at(Service.cluster_ips), found[0].evidence]
    passage = None
    if asked.outer:
        evidence.append(service.at(Service.load_balancer_ingress))
    if asked.outer and service.load_balancer_source_ranges:
        passage = Passage.UNKNOWN
        says = f"{says}; whether its source ranges hold for pods of the cluster is not documented"
        evidence.append(service.at(Service.load_balancer_source_ranges))
    return Hop(HopKind.SERVICE, service.id, passage, says, evidence=tuple(evidence))
