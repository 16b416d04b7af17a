"""Services: which ports they open and how, and whether what they lead to is there and is theirs."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import NamedTuple

from aks_audit.facts import Evidence, Malformed, ManagedCluster, Unread
from aks_audit.facts.gateways import HTTPRoute, ObjectReference, RouteRule, all_routes, routes
from aks_audit.facts.services import (
    Address,
    Endpoint,
    EndpointSlice,
    Ingress,
    IngressBackend,
    Service,
    ServicePort,
    all_services,
)
from aks_audit.facts.workloads import Node, workloads
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import azure_policy, community_policy, kubebuddy
from aks_audit_rules.known_software import KNOWN
from aks_audit_rules.load_balancers import images_of, public, published

WEB = frozenset({80, 443})
"""The ports at which Services may take traffic from outside the cluster."""


def _of_platform(service: Service) -> Verdict | None:
    if service.of_platform:
        return not_applicable(f"{service.name} is a Service of AKS's own", service.at(Service.object_labels))
    return None


@rule(
    "AKS-ING-04",
    title="No Service claims external addresses",
    severity=Severity.HIGH,
    controls=(
        azure_policy("d46c275d-1680-448d-b2ec-e495a3b6cc89"),
        community_policy("849ba427-0b66-4052-9ff1-429004878aff"),
        kubebuddy("NET019"),
    ),
)
def no_external_ips(service: Service) -> Verdict:
    """Nodes send traffic for an address in `externalIPs` to the Service, whoever the address belongs to.

    Whoever may write a Service so takes the traffic of other pods to any address, a bank's or the metadata service's
    (CVE-2020-8554). Kubernetes deprecated the field in 1.36.

    Severity: the right to write Services in one namespace becomes a man in the middle for the whole cluster.
    Decided: `spec.externalIPs` is absent or empty, which means that there are none. Services of AKS's own are judged
    where they have some, since AKS gives them none.
    Fix: kubectl patch service --namespace {namespace} {name} --type json --patch '[{{"op": "remove", "path": "/spec/externalIPs"}}]'
    Bicep: none; in the manifest: spec.externalIPs
    Change: in place; use a Service of type LoadBalancer for what has to be reached
    References: https://github.com/kubernetes/kubernetes/issues/97076
        https://kubernetes.io/docs/concepts/services-networking/service/
    """
    shown = service.at(Service.external_ips)
    if service.external_ips:
        return fails(f"{service.name} claims {', '.join(service.external_ips)}", shown)
    told = service.kind_of_service
    return _of_platform(service) or passes(f"{service.name}, of type {told}, claims no external addresses", shown)


@rule(
    "AKS-ING-05",
    title="Services take traffic from outside at ports 80 and 443 alone",
    severity=Severity.LOW,
    controls=(
        azure_policy("233a2a17-77ca-4fb1-9b6b-69223d272a44"),
        azure_policy("25dee3db-6ce0-4c02-ab5d-245887b24077"),
    ),
)
def allowed_ports(service: Service) -> Verdict:
    """A database, a queue or an administrator's port that is open to a network gets found and tried.

    Severity: what listens there asks for credentials as a rule; and whoever opened it knew that it is open.
    Decided: each `spec.ports[].port` of a Service that is reached from outside the cluster (of type LoadBalancer or
    NodePort, or with `externalIPs`), private or public, is 80 or 443. Others are not applicable: who reaches them inside
    is for network policies. So are Services of AKS's own, such as the mesh's gateways with their status port.
    Fix: kubectl edit service --namespace {namespace} {name}
    Bicep: none; in the manifest: spec.ports[].port
    Change: in place; clients of the other ports are cut off
    References: https://kubernetes.io/docs/concepts/services-networking/service/
    """
    outside = service.kind_of_service in {"LoadBalancer", "NodePort"} or service.external_ips
    if not outside:
        return not_applicable(f"{service.name} is reached inside the cluster alone", service.at(Service.type))
    if found := _of_platform(service):
        return found
    if not service.ports:
        raise Malformed(service.id, service.at(Service.ports).pointer, "a Service without its ports")
    others = [port for port in service.ports if _number(port) not in WEB]
    if others:
        told = ", ".join(str(port.port) for port in others)
        return fails(
            f"{service.name} takes traffic from outside at {told}", *(port.at(ServicePort.port) for port in others)
        )
    return passes(f"{service.name} takes traffic at ports of the web alone", service.at(Service.ports))


def _number(port: ServicePort) -> int:
    if port.port is None:
        raise Malformed(port.document.id, port.pointer, "a port without its number")
    return port.port


@rule(
    "AKS-ING-06",
    title="No Service is published on every node's own address",
    severity=Severity.MEDIUM,
    controls=(kubebuddy("NET002"),),
)
def no_node_port(service: Service) -> Verdict:
    """A Service of type NodePort listens on every node, and is reached from the whole network around any ingress.

    Severity: whoever is in the network, or in a peered one, reaches it; the internet does not, unless nodes have public
    addresses.
    Decided: `spec.type` is not NodePort. The node ports that Services of type LoadBalancer get are normal: Azure's
    load balancer does not use them. Services of AKS's own are not applicable.
    Fix: kubectl patch service --namespace {namespace} {name} --type merge --patch '{{"spec": {{"type": "ClusterIP"}}}}'
    Bicep: none; in the manifest: spec.type
    Change: in place; who used the node's port needs an Ingress, a route of a Gateway, or an internal load balancer
    References: https://kubernetes.io/docs/concepts/services-networking/service/
        https://learn.microsoft.com/azure/aks/concepts-network-services
    """
    shown = service.at(Service.type)
    if found := _of_platform(service):
        return found
    if service.kind_of_service == "NodePort":
        ports = ", ".join(str(port.node_port) for port in service.ports or ())
        return fails(f"{service.name} listens on every node at {ports}", shown, service.at(Service.ports))
    return passes(f"{service.name} is of type {service.kind_of_service}", shown)


_METADATA = frozenset(map(ip_address, ("169.254.169.254", "168.63.129.16", "fd00:ec2::254")))
_HOST_NAMES = frozenset(
    {"localhost", "metadata", "metadata.azure.internal", "metadata.google.internal", "instance-data"}
)


@rule(
    "AKS-ING-17",
    title="Services lead to ready pods of their own",
    severity=Severity.MEDIUM,
    controls=(
        kubebuddy("NET001"),
        kubebuddy("NET007"),
        kubebuddy("NET008"),
        kubebuddy("NET018"),
        kubebuddy("NET022"),
        azure_policy("b0fdedee-7b9e-4a17-9f5d-5e8e912d2f01"),
    ),
)
def service_hygiene(service: Service) -> Verdict:
    """A Service whose pods are gone answers nothing; one that leads elsewhere lends an ingress's reach to somebody else.

    An ingress controller calls what a Service names. Led to the metadata service or to a node, it fetches tokens for
    whoever asks (CVE-2021-25740).

    Severity: an outage as a rule. High where it leads to the metadata service or to a node itself, low where two Services
    say the same.
    Decided: its EndpointSlices have an endpoint that is ready (absent means ready); no endpoint is a loopback or
    link-local address, the metadata service, or, but for pods on the node's own network, a node's; a `targetPort` with a
    name is a port of a container that it selects; no other Service of the namespace that is not headless has the same
    selector and target ports. An `externalName` is no address, not the node itself or its metadata, and not a Service of another
    namespace. Where an external name leads outside the cluster is not judged. Services of AKS's own are not applicable.
    Fix: kubectl get endpointslices --namespace {namespace} --selector kubernetes.io/service-name={name}
    Bicep: none; in the manifest: spec.selector, spec.ports[].targetPort, spec.externalName
    Change: in place
    References: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
        https://github.com/kubernetes/kubernetes/issues/103675
    """
    if found := _of_platform(service):
        return found
    if service.kind_of_service == "ExternalName":
        return _external(service)
    return each((_endpoints, _named_ports, _alone), lambda question: question(service))


def _external(service: Service) -> Verdict:
    shown = service.at(Service.external_name)
    name = (service.external_name or "").lower().rstrip(".")
    if not name:
        raise Malformed(service.id, shown.pointer, "an ExternalName Service without its name")
    address = _address(name)
    if name in _HOST_NAMES or (address and _of_host(address)):
        return fails(f"{service.name} leads to {name}: the node, or its metadata", shown, severity=Severity.HIGH)
    if address:
        return fails(f"{service.name} leads to an address, {name}, and not to a name", shown)
    inside = name.removesuffix(".cluster.local")
    if inside.endswith(".svc") and inside.removesuffix(".svc").rpartition(".")[2] != service.namespace:
        return fails(f"{service.name} leads into another namespace, to {name}", shown)
    return passes(f"{service.name} leads to {name}", shown)


def _address(text: str) -> Address | None:
    with suppress(ValueError):
        return ip_address(text)
    return None


def _of_host(address: Address) -> bool:
    return address.is_loopback or address.is_link_local or address.is_unspecified or address in _METADATA


def _endpoints(service: Service) -> Verdict:
    cluster = service.cluster
    held = cluster.estate.once(_slices, cluster).get((service.namespace, service.name), ())
    found = [endpoint for one in held for endpoint in one.endpoints or ()]
    strange = [(endpoint, address) for endpoint in found for address in _not_pods(endpoint, cluster)]
    if strange:
        told = ", ".join(dict.fromkeys(address for _, address in strange))
        cited = [endpoint.at(Endpoint.addresses) for endpoint, _ in strange]
        return fails(f"{service.name} leads to {told}: a node, or its metadata", *cited, severity=Severity.HIGH)
    ready = [endpoint for endpoint in found if endpoint.ready is not False and endpoint.addresses]
    if ready:
        told = f"{len(ready)} of {len(found)} endpoints of {service.name} are ready"
        return passes(told, *(one.at(EndpointSlice.endpoints) for one in held))
    cluster.estate.within(EndpointSlice, cluster.id).whole()
    told = f"{service.name} has no endpoint that is ready"
    return fails(told, service.at(Service.selector), severity=Severity.MEDIUM)


def _slices(cluster: ManagedCluster) -> Mapping[tuple[str, str], list[EndpointSlice]]:
    found: dict[tuple[str, str], list[EndpointSlice]] = {}
    for one in cluster.estate.within(EndpointSlice, cluster.id):
        with suppress(Malformed):  # one that cannot be read shows whose it is no more; its Service then lacks endpoints
            found.setdefault((one.namespace, one.service), []).append(one)
    return found


def _not_pods(endpoint: Endpoint, cluster: ManagedCluster) -> Iterator[str]:
    """The addresses of an endpoint that belong to a node, and not to a pod."""
    pod = endpoint.target is not None and endpoint.target.kind == "Pod"
    for text in endpoint.addresses or ():
        address = _address(text)
        if address and (_of_host(address) or (not pod and text in cluster.estate.once(_nodes, cluster))):
            yield text


def _nodes(cluster: ManagedCluster) -> frozenset[str]:
    nodes = cluster.estate.within(Node, cluster.id).whole()
    return frozenset(node.internal_ip for node in nodes if node.internal_ip)


def _named_ports(service: Service) -> Verdict:
    _with_ports(service)
    targets = service.targets
    named = [
        port for port in service.ports or () if isinstance(port.target_port, str) and not port.target_port.isdigit()
    ]
    if not named or not targets:
        return not_applicable("No port of pods is named", service.at(Service.ports))
    specs = [spec for workload in targets for spec in workload.specs]
    known = {
        port.name
        for spec in specs
        for container in (*(spec.containers or ()), *(spec.init_containers or ()))
        for port in container.ports or ()
    }
    lost = [port for port in named if port.target_port not in known]
    if not lost:
        return passes(f"Every named port of {service.name} is its pods'", service.at(Service.ports))
    if missing := workloads(service.cluster).missing:
        raise Unread(*missing)
    named_so = ", ".join(str(port.target_port) for port in lost)
    told = f"{service.name} leads to the port {named_so}, which its pods do not name"
    return fails(told, *(port.at(ServicePort.target_port) for port in lost), severity=Severity.MEDIUM)


def _alone(service: Service) -> Verdict:
    if not service.selector or service.headless:
        return not_applicable(f"{service.name} shares no selector", service.at(Service.selector))
    selected = service.estate.once(_by_selector, service.cluster)
    others = sorted({one for one in selected.names.get(_selection(service), ()) if one != service.name})
    shown = service.at(Service.selector)
    if others:
        message = f"{service.name} leads to the same pods and ports as {', '.join(others)}"
        return fails(message, shown, severity=Severity.LOW)
    all_services(service.cluster)
    if unread := selected.unread.get(service.namespace):
        raise unread
    return passes(f"No other Service leads to the pods and ports of {service.name}", shown)


def _selection(service: Service) -> tuple[str, frozenset[tuple[str, str]], frozenset[tuple[str, int | str | None]]]:
    ports = ((port.protocol or "TCP", port.target_port or port.port) for port in service.ports or ())
    return service.namespace, frozenset((service.selector or {}).items()), frozenset(ports)


class _Selected(NamedTuple):
    """The names of Services by what they select, and for a namespace with a Service that cannot be read, why."""

    names: dict[object, list[str]]
    unread: dict[str, Unread]


def _by_selector(cluster: ManagedCluster) -> _Selected:
    found = _Selected({}, {})
    for one in cluster.estate.within(Service, cluster.id):
        try:
            if one.kind_of_service != "ExternalName" and one.selector and not one.headless:
                _with_ports(one)
                found.names.setdefault(_selection(one), []).append(one.name)
        except Unread as unread:
            found.unread.setdefault(one.namespace, unread)
    return found


def _with_ports(service: Service) -> None:
    """Make sure that a Service has ports, as all have but headless ones.

    Raises:
        Malformed: it has none.
    """
    if not service.ports and not service.headless:
        raise Malformed(service.id, service.at(Service.ports).pointer, "a Service without its ports")


@rule(
    "AKS-ING-18",
    title="Dashboards and administrators' consoles are not published",
    severity=Severity.HIGH,
    controls=(kubebuddy("NET024"),),
)
def consoles_inside(service: Service) -> Verdict:
    """A console shows and changes what the cluster runs, often without asking who is there, and holes in them are old friends.

    Severity: one password, or none, is between the internet and the cluster. Medium where it is published to private
    networks alone.
    Decided: a Service is a console's by the image of the pods that it selects, by its own name, or by a port that is a
    console's own (list in the rule's module: dashboards, Grafana, Prometheus, Argo CD, Jenkins, Kibana, database
    consoles and the like). One fails that has a load balancer, a node port or external addresses, or that an Ingress,
    HTTPRoute or GRPCRoute leads to; public unless every address of that way is known to be private. Other Services are not
    applicable: an image under another name is not known here.
    Fix: kubectl patch service --namespace {namespace} {name} --type merge --patch '{{"spec": {{"type": "ClusterIP"}}}}'
    Bicep: none; in the manifest: spec.type, and no Ingress or route to the Service
    Change: in place; administrators use kubectl port-forward, or a gateway that asks who they are
    References: https://learn.microsoft.com/azure/aks/operator-best-practices-network
        https://kubernetes.io/docs/tasks/access-application-cluster/port-forward-access-application-cluster/
    """
    if found := _of_platform(service):
        return found
    console = _console(service)
    shown = service.at(Service.ports)
    if not console:
        return not_applicable(f"{service.name} is no console's that is known", shown)
    if service.balanced:
        return _open(
            service, console, f"a load balancer publishes {service.name}", shown, private=not published(service)
        )
    if service.external_ips:
        return _open(service, console, f"{service.name} has external addresses", shown, private=False)
    if service.kind_of_service == "NodePort":
        return _open(service, console, f"every node publishes {service.name}", shown, private=True)
    return _led_to(service, console, shown)


def _open(service: Service, console: str, how: str, *shown: Evidence, private: bool) -> Verdict:
    severity = Severity.MEDIUM if private else None
    return fails(f"{console}: {how}", service.at(Service.type), *shown, severity=severity)


def _console(service: Service) -> str:
    """What shows that a Service is a console's, in words; empty where nothing does."""
    for image in images_of(service):
        if any(fnmatchcase(image, pattern) for pattern in KNOWN.console_images):
            return f"It runs {image}"
    if any(fnmatchcase(service.name, pattern) for pattern in KNOWN.console_services):
        return f"It is called {service.name}"
    for port in service.ports or ():
        target = port.target_port or port.port
        if str(target) in KNOWN.console_ports:
            return f"Port {target} is {KNOWN.console_ports[str(target)]}"
    if missing := workloads(service.cluster).missing:
        raise Unread(*missing)
    return ""


def _led_to(service: Service, console: str, shown: Evidence) -> Verdict:
    """Whether an Ingress or a route leads to a console's Service."""
    estate, cluster = service.estate, service.cluster_id
    ingresses = estate.within(Ingress, cluster)
    leading = [(one, path) for one in ingresses for path in _to(one, service)]
    found = [
        _open(service, console, f"Ingress {one.name} leads to it", path, private=_private(one)) for one, path in leading
    ]
    told = ((route, backend) for route in routes(estate, cluster) for backend in _of_route(route, service))
    found += [_open(service, console, f"route {route.name} leads to it", at, private=False) for route, at in told]
    if found:
        return each(found, lambda one: one)
    ingresses.whole()
    all_routes(estate, cluster)
    return passes(f"{console}, and nothing publishes it", service.at(Service.type), shown)


def _to(ingress: Ingress, service: Service) -> Iterator[Evidence]:
    if ingress.namespace == service.namespace:
        yield from (one.at(IngressBackend.service_name) for one in ingress.backends if one.service_name == service.name)


def _of_route(route: HTTPRoute, service: Service) -> Iterator[Evidence]:
    if not route.rules:
        raise Malformed(route.id, route.at(HTTPRoute.rules).pointer, "a route without its rules")
    for backend in _backends(route.rules):
        kind = backend.kind or "Service"
        namespace = backend.namespace or route.namespace
        if backend.name is None:
            raise Malformed(route.id, backend.pointer, "a back end without its name")
        if (kind, namespace, backend.name) == ("Service", service.namespace, service.name):
            yield backend.at(ObjectReference.name)


def _backends(rules: Iterable[RouteRule]) -> Iterator[ObjectReference]:
    for one in rules:
        yield from one.backends or ()


def _private(ingress: Ingress) -> bool:
    return bool(ingress.addresses) and not public(ingress.addresses)


RULES = (no_external_ips, allowed_ports, no_node_port, service_hygiene, consoles_inside)
