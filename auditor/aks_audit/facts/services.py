"""Facts about how traffic comes to pods, as the Kubernetes API sends it: Services, EndpointSlices and Ingresses."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple, TypeAlias

from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.field import Field, View, flag, named_texts, networks, number, part, parts, text, texts
from aks_audit.facts.gateways import WebEntry
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.platform import is_component, marked, system_namespaces
from aks_audit.facts.unread import Malformed, Unread
from aks_audit.facts.workloads import Workload, workloads

Address: TypeAlias = IPv4Address | IPv6Address

INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"
INTERNAL_SUBNET = "service.beta.kubernetes.io/azure-load-balancer-internal-subnet"
"""The annotations by which cloud-provider-azure gives a Service a private address, and in which subnet."""


def _port(view: View, value: object, pointer: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise Malformed(view.document.id, pointer, "expected the number or the name of a port")
    return value


class ServicePort(View):
    """A port of a Service; `target_port` is the number or the name of a port of its pods."""

    __slots__ = ()

    name = text("name")
    port = number("port")
    target_port: Field[int | str] = Field("targetPort", _port)
    node_port = number("nodePort")
    protocol = text("protocol")


class LoadBalancerIngress(View):
    """An address at which a load balancer takes traffic for a Service, an Ingress or a Gateway."""

    __slots__ = ()

    ip = text("ip")
    hostname = text("hostname")


class Service(KubernetesObject):
    """A Service."""

    __slots__ = ()

    TYPE = "services"

    type = text("spec.type")
    cluster_ips = texts("spec.clusterIPs")
    external_ips = texts("spec.externalIPs")
    external_name = text("spec.externalName")
    selector = named_texts("spec.selector")
    ports = parts("spec.ports", ServicePort)
    internal_traffic_policy = text("spec.internalTrafficPolicy")
    load_balancer_class = text("spec.loadBalancerClass")
    load_balancer_source_ranges = texts("spec.loadBalancerSourceRanges")
    load_balancer_ingress = parts("status.loadBalancer.ingress", LoadBalancerIngress)

    @property
    def kind_of_service(self) -> str:
        """Its type: ClusterIP, NodePort, LoadBalancer or ExternalName.

        Raises:
            Malformed: the body has none; the API server writes one into every Service.
        """
        if self.type is None:
            raise Malformed(self.id, self.at(Service.type).pointer, "a Service without its type")
        return self.type

    @property
    def balanced(self) -> bool:
        """Whether it is of type LoadBalancer.

        Raises:
            Malformed: it has no type.
        """
        return self.kind_of_service == "LoadBalancer"

    @property
    def headless(self) -> bool:
        """Whether it has no address of its own, and its name leads to its pods."""
        return bool(self.cluster_ips) and self.cluster_ips == ("None",)

    @property
    def asks_for_private(self) -> bool:
        """Whether it asks cloud-provider-azure for a private address, which compares the value without case."""
        return (self.annotations or {}).get(INTERNAL, "").lower() == "true"

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses that its load balancer has; none while it waits for one.

        Raises:
            Malformed: an entry holds no address, nor a name in its place.
        """
        found = (_address(self, entry) for entry in self.load_balancer_ingress or ())
        return tuple(address for address in found if address)

    @property
    def targets(self) -> tuple[Workload, ...]:
        """The workloads with pods that it selects, of those that are known; none without a selector.

        Raises:
            NotCollected: Azure's side of the cluster was not read.
            Malformed: the labels of pods in its namespace cannot be read.
        """
        wanted = self.selector
        if not wanted:
            return ()
        held = self.estate.once(_labelled, self.cluster).get(self.namespace, _NONE)
        if held.unread:
            raise held.unread
        sets = [held.by_label.get(pair, {}) for pair in wanted.items()]
        fewest = min(sets, key=len)
        return tuple(one for one in fewest if all(one in other for other in sets))

    @property
    def of_platform(self) -> bool:
        """Whether AKS made it: in a namespace of AKS's own, and marked, or before components of AKS alone."""
        if self.namespace == "default" and self.name == "kubernetes":
            return True
        if self.namespace not in system_namespaces():
            return False
        targets = self.targets
        return marked(self) if not targets else all(map(is_component, targets))


def _address(view: View, entry: LoadBalancerIngress) -> Address | None:
    if entry.ip is None:
        if entry.hostname is None:
            raise Malformed(view.document.id, entry.pointer, "a load balancer without its address")
        return None
    try:
        return ip_address(entry.ip)
    except ValueError:
        raise Malformed(view.document.id, entry.at(LoadBalancerIngress.ip).pointer, "no address") from None


def all_services(cluster: ManagedCluster) -> tuple[Service, ...]:
    """All the Services of a cluster, read once.

    Raises:
        NotCollected: nothing says that there are no others.
    """
    return cluster.estate.once(_all_services, cluster)


def _all_services(cluster: ManagedCluster) -> tuple[Service, ...]:
    return cluster.estate.within(Service, cluster.id).whole()


class _Labelled(NamedTuple):
    """The workloads of a namespace by each label of their pods, in order; why that cannot be known, where it cannot."""

    by_label: dict[tuple[str, str], dict[Workload, None]]
    unread: Unread | None


_NONE = _Labelled({}, None)


def _labelled(cluster: ManagedCluster) -> Mapping[str, _Labelled]:
    found: dict[str, _Labelled] = {}
    for workload in workloads(cluster).known:
        held = found.setdefault(workload.namespace, _Labelled({}, None))
        try:
            for labels in (workload.pod_labels, *(pod.object_labels or {} for pod in workload.pods)):
                for pair in labels.items():
                    held.by_label.setdefault(pair, {})[workload] = None
        except Unread as unread:
            found[workload.namespace] = held._replace(unread=unread)
    return found


class Target(View):
    """The object that an endpoint stands for."""

    __slots__ = ()

    kind = text("kind")
    name = text("name")


class Endpoint(View):
    """A back end of a Service; absent, `ready` is to be taken for true."""

    __slots__ = ()

    addresses = texts("addresses")
    ready = flag("conditions.ready")
    node_name = text("nodeName")
    target = part("targetRef", Target)


class EndpointSlice(KubernetesObject):
    """Some of the back ends of a Service, which its label names."""

    __slots__ = ()

    TYPE = "endpointslices.discovery.k8s.io"

    address_type = text("addressType")
    endpoints = parts("endpoints", Endpoint)
    ports = parts("ports", ServicePort)

    @property
    def service(self) -> str:
        """The name of the Service, in its own namespace; empty where it is of none."""
        return (self.object_labels or {}).get("kubernetes.io/service-name", "")


class IngressBackend(View):
    """Where a path of an Ingress leads; `resource` is a kind of its controller's own instead of a Service."""

    __slots__ = ()

    service_name = text("service.name")
    port_name = text("service.port.name")
    port_number = number("service.port.number")
    resource = part("resource", View)


class IngressPath(View):
    """A path of an Ingress's rule."""

    __slots__ = ()

    path = text("path")
    backend = part("backend", IngressBackend)


class IngressRule(View):
    """A rule of an Ingress; without a host it takes requests for every one."""

    __slots__ = ()

    host = text("host")
    paths = parts("http.paths", IngressPath)


class IngressTLS(View):
    """The hosts that an Ingress has a certificate for; without hosts, those of the controller's own wildcard."""

    __slots__ = ()

    hosts = texts("hosts")
    secret_name = text("secretName")


class IngressClass(KubernetesObject):
    """A class of Ingresses, and the controller that takes them up."""

    __slots__ = ()

    TYPE = "ingressclasses.networking.k8s.io"

    controller_name = text("spec.controller")

    @property
    def is_default(self) -> bool:
        """Whether Ingresses without a class are of this one."""
        return (self.annotations or {}).get("ingressclass.kubernetes.io/is-default-class") == "true"


class Ingress(WebEntry):
    """An Ingress."""

    __slots__ = ()

    TYPE = "ingresses.networking.k8s.io"

    ingress_class_name = text("spec.ingressClassName")
    default_backend = part("spec.defaultBackend", IngressBackend)
    rules = parts("spec.rules", IngressRule)
    tls = parts("spec.tls", IngressTLS)
    load_balancer_ingress = parts("status.loadBalancer.ingress", LoadBalancerIngress)

    @property
    def class_annotation(self) -> str | None:
        """The class by the older annotation, whose values controllers define themselves."""
        return (self.annotations or {}).get("kubernetes.io/ingress.class") or None

    @property
    def backends(self) -> tuple[IngressBackend, ...]:
        """Every back end that it names.

        Raises:
            Malformed: it names none, or a rule or a path of it leads nowhere.
        """
        found = [self.default_backend] if self.default_backend else []
        for rule in self.rules or ():
            if not rule.paths and not self.default_backend:
                raise Malformed(self.id, rule.pointer, "a rule that leads nowhere")
            for path in rule.paths or ():
                if path.backend is None:
                    raise Malformed(self.id, path.pointer, "a path that leads nowhere")
                found.append(path.backend)
        if not found:
            raise Malformed(self.id, self.at(Ingress.rules).pointer, "an Ingress that leads nowhere")
        lost = next((one for one in found if one.service_name is None and one.resource is None), None)
        if lost:
            raise Malformed(self.id, lost.pointer, "a back end that names nothing")
        return tuple(found)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses that its controller tells.

        Raises:
            Malformed: an entry holds no address, nor a name in its place.
        """
        found = (_address(self, entry) for entry in self.load_balancer_ingress or ())
        return tuple(address for address in found if address)

    @property
    def controlled_by(self) -> str | None:
        """The name of the controller that takes it up; None where no class of the cluster tells.

        Raises:
            NotCollected: the classes of the cluster were not all read.
        """
        classes = self.estate.within(IngressClass, self.cluster_id)
        named = self.ingress_class_name or self.class_annotation
        if named is None:
            return next((one.controller_name for one in classes.whole() if one.is_default), None)
        for one in classes:
            if one.name == named:
                return one.controller_name
        classes.whole()
        return _BY_ANNOTATION.get(named) if self.ingress_class_name is None else None


_BY_ANNOTATION = {"azure/application-gateway": "azure/application-gateway", "nginx": "k8s.io/ingress-nginx"}
"""What controllers take up by the older annotation, whatever classes there are."""


def all_ingresses(cluster: ManagedCluster) -> tuple[Ingress, ...]:
    """All the Ingresses of a cluster, read once.

    Raises:
        NotCollected: nothing says that there are no others.
    """
    return cluster.estate.once(_all_ingresses, cluster)


def _all_ingresses(cluster: ManagedCluster) -> tuple[Ingress, ...]:
    return cluster.estate.within(Ingress, cluster.id).whole()


class ServiceCIDR(KubernetesObject):
    """Ranges that the addresses of Services come from."""

    __slots__ = ()

    TYPE = "servicecidrs.networking.k8s.io"

    cidrs = networks("spec.cidrs")
