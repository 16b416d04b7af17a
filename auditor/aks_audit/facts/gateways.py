"""Facts about the Gateway API, as the Kubernetes API sends it: Gateways, the routes that they take, and grants."""

from collections.abc import Iterator, Mapping

from aks_audit.facts.estate import Estate
from aks_audit.facts.field import View, moment, number, part, parts, text, texts
from aks_audit.facts.kubernetes import KubernetesObject

GROUP = "gateway.networking.k8s.io"


class WebEntry(KubernetesObject):
    """An object that has a controller take requests from outside the cluster: an Ingress or a Gateway."""

    __slots__ = ()

    TYPE = ""

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        return {**super().labels, "kind": self.TYPE}


class Condition(View):
    """What a controller says of an object; `status` is True, False or Unknown, and has been so since `since`."""

    __slots__ = ()

    type = text("type")
    status = text("status")
    reason = text("reason")
    since = moment("lastTransitionTime")


class ObjectReference(View):
    """A reference; without group, kind and namespace to a Service (or Secret) of the same namespace."""

    __slots__ = ()

    group = text("group")
    kind = text("kind")
    name = text("name")
    namespace = text("namespace")
    port = number("port")
    section_name = text("sectionName")


class Listener(View):
    """A port at which a Gateway listens."""

    __slots__ = ()

    name = text("name")
    hostname = text("hostname")
    port = number("port")
    protocol = text("protocol")
    tls_mode = text("tls.mode")
    namespaces_from = text("allowedRoutes.namespaces.from")
    certificates = parts("tls.certificateRefs", ObjectReference)


class ListenerStatus(View):
    """What a controller says of a listener."""

    __slots__ = ()

    name = text("name")
    attached_routes = number("attachedRoutes")
    conditions = parts("conditions", Condition)


class GatewayAddress(View):
    """An address at which a Gateway takes traffic: an `IPAddress` or a `Hostname`."""

    __slots__ = ()

    type = text("type")
    value = text("value")


class GatewayClass(KubernetesObject):
    """A class of Gateways, and the controller that takes them up."""

    __slots__ = ()

    TYPE = f"gatewayclasses.{GROUP}"

    controller_name = text("spec.controllerName")
    conditions = parts("status.conditions", Condition)


class Gateway(WebEntry):
    """A Gateway of the Gateway API."""

    __slots__ = ()

    TYPE = f"gateways.{GROUP}"

    gateway_class_name = text("spec.gatewayClassName")
    listeners = parts("spec.listeners", Listener)
    addresses = parts("status.addresses", GatewayAddress)
    conditions = parts("status.conditions", Condition)
    listener_statuses = parts("status.listeners", ListenerStatus)


class RouteFilter(View):
    """What is done with requests on their way; a redirect without a scheme keeps that of the request."""

    __slots__ = ()

    type = text("type")
    redirect_scheme = text("requestRedirect.scheme")


class RouteRule(View):
    """A rule of a route."""

    __slots__ = ()

    filters = parts("filters", RouteFilter)
    backends = parts("backendRefs", ObjectReference)


class RouteParentStatus(View):
    """What a controller says of a route at one of its parents."""

    __slots__ = ()

    parent = part("parentRef", ObjectReference)
    conditions = parts("conditions", Condition)


class HTTPRoute(KubernetesObject):
    """A route for requests of HTTP."""

    __slots__ = ()

    TYPE = f"httproutes.{GROUP}"

    hostnames = texts("spec.hostnames")
    parents = parts("spec.parentRefs", ObjectReference)
    rules = parts("spec.rules", RouteRule)
    parent_statuses = parts("status.parents", RouteParentStatus)


class GRPCRoute(HTTPRoute):
    """A route for calls of gRPC."""

    __slots__ = ()

    TYPE = f"grpcroutes.{GROUP}"


class GrantFrom(View):
    """Whose references a grant permits."""

    __slots__ = ()

    group = text("group")
    kind = text("kind")
    namespace = text("namespace")


class GrantTo(View):
    """What a grant permits references to; without a name, to every object of the kind in the grant's namespace."""

    __slots__ = ()

    group = text("group")
    kind = text("kind")
    name = text("name")


class ReferenceGrant(KubernetesObject):
    """A permission of one namespace for references from others."""

    __slots__ = ()

    TYPE = f"referencegrants.{GROUP}"

    origins = parts("spec.from", GrantFrom)
    targets = parts("spec.to", GrantTo)


def routes(estate: Estate, cluster_id: str) -> Iterator[HTTPRoute]:
    """The routes of a cluster that were read, of both kinds."""
    for kind in (HTTPRoute, GRPCRoute):
        yield from estate.within(kind, cluster_id)


def all_routes(estate: Estate, cluster_id: str) -> tuple[HTTPRoute, ...]:
    """All the routes of a cluster, of both kinds.

    Raises:
        NotCollected: they were not all read.
    """
    return tuple(route for kind in (HTTPRoute, GRPCRoute) for route in estate.within(kind, cluster_id).whole())
