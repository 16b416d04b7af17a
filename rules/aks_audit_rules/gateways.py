"""The Gateway API: whether a controller took up what was asked for, and whether all that is named is there and permitted."""

from collections.abc import Iterable, Iterator

from aks_audit.facts import Evidence, Malformed, ManagedCluster, NotCollected, View
from aks_audit.facts.gateways import (
    GROUP,
    Condition,
    Gateway,
    HTTPRoute,
    Listener,
    ListenerStatus,
    ObjectReference,
    ReferenceGrant,
    RouteParentStatus,
    all_routes,
    routes,
)
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.services import Service, ServicePort, all_services
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import kubebuddy


@rule(
    "AKS-ING-15",
    title="Gateways and their routes are taken up, and lead to what is there",
    severity=Severity.LOW,
    controls=(kubebuddy("NET014"), kubebuddy("NET015"), kubebuddy("NET016"), kubebuddy("NET017")),
)
def gateways_healthy(cluster: ManagedCluster) -> Verdict:
    """A Gateway or route that no controller took up publishes nothing, or still what it said before its last change.

    Whoever reads the manifests believes in limits, certificates and redirects that are not there.

    Severity: an outage, or an old state, and nobody gains access by it.
    Decided: of each Gateway the conditions Accepted and Programmed are True, of each listener in its status, too, that has
    them, and it has attached routes; its certificates are of its own namespace, or a ReferenceGrant of the other permits
    them (the secrets themselves are never read). Of each HTTPRoute and GRPCRoute every parent accepted it (Accepted and
    ResolvedRefs are True); its back ends are Services that are there with their port, of its own namespace or permitted by
    a ReferenceGrant. A condition that is Unknown, as Kubernetes itself writes it first, fails: no controller took the object
    up. Without Gateways and routes it is not applicable.
    Fix: az aks command invoke --resource-group {group} --name {name} --command 'kubectl describe gateways.gateway.networking.k8s.io,httproutes --all-namespaces'
    Bicep: none; in the manifest: spec.gatewayClassName, spec.parentRefs, spec.rules[].backendRefs
    Change: in place
    References: https://github.com/kubernetes-sigs/gateway-api/blob/main/geps/gep-1364/index.md
        https://kubernetes.io/docs/concepts/services-networking/gateway/
        https://learn.microsoft.com/azure/aks/app-routing-gateway-api
    """
    estate = cluster.estate
    gateways = estate.within(Gateway, cluster.id)
    known: tuple[KubernetesObject, ...] = (*gateways, *routes(estate, cluster.id))
    found = [each((one,), _judge) for one in known]
    if not any(verdict.outcome == "fail" for verdict in found):
        gateways.whole()
        all_routes(estate, cluster.id)
    if not found:
        return not_applicable("There are no Gateways and no routes")
    return each(found, lambda verdict: verdict)


def _judge(one: KubernetesObject) -> Verdict:
    if isinstance(one, Gateway):
        return _gateway(one)
    if isinstance(one, HTTPRoute):
        return each((*_parents(one), *_back_ends(one)), lambda verdict: verdict)
    raise AssertionError(one)  # pragma: no cover - no other kind is asked about


def _gateway(gateway: Gateway) -> Verdict:
    if not gateway.listeners:
        raise Malformed(gateway.id, gateway.at(Gateway.listeners).pointer, "a Gateway without its listeners")
    listeners = each(gateway.listeners, lambda listener: _listener(gateway, listener))
    return each((_taken_up(gateway), *_statuses(gateway), listeners), lambda verdict: verdict)


def _named(one: KubernetesObject) -> str:
    return f"{'Gateway' if isinstance(one, Gateway) else 'Route'} {one.namespace}/{one.name}"


def _condition(what: str, where: View, conditions: Iterable[Condition], wanted: str, at: Evidence) -> Verdict:
    """Whether a condition is True."""
    found = next((one for one in conditions if one.type == wanted), None)
    if found is None:
        return fails(f"{what}: no controller says {wanted}", at)
    shown = found.at(Condition.status)
    if found.status == "True":
        return passes(f"{what} is {wanted}", shown)
    if found.status in {"False", "Unknown"}:
        return fails(f"{what} is not {wanted} ({found.reason or found.status})", shown)
    return undecided(f"{what}: {wanted} is {found.status!r} at {where.pointer or '/'}", shown)


def _taken_up(gateway: Gateway) -> Verdict:
    at = gateway.at(Gateway.conditions)
    conditions = gateway.conditions or ()
    return each(
        ("Accepted", "Programmed"),
        lambda wanted: _condition(_named(gateway), gateway, conditions, wanted, at),
    )


def _statuses(gateway: Gateway) -> Iterator[Verdict]:
    """What the controller says of each listener."""
    if not gateway.listener_statuses:
        message = f"No controller tells how many routes are attached to {_named(gateway)}"
        yield undecided(message, gateway.at(Gateway.listener_statuses))
    for status in gateway.listener_statuses or ():
        what = f"Listener {status.name} of {_named(gateway)}"
        conditions = status.conditions or ()
        for wanted in ("Accepted", "Programmed", "ResolvedRefs"):
            if any(one.type == wanted for one in conditions):
                yield _condition(what, status, conditions, wanted, status.at(ListenerStatus.conditions))
        if not status.attached_routes:
            yield fails(f"{what} has no routes", status.at(ListenerStatus.attached_routes))


def _listener(gateway: Gateway, listener: Listener) -> Verdict:
    """Whether a Gateway may use the certificates that a listener names."""
    shown = listener.at(Listener.certificates)
    if listener.protocol == "HTTPS" and not listener.certificates:
        return undecided(f"{_named(gateway)} names no certificates for a listener of HTTPS", shown)
    for certificate in listener.certificates or ():
        namespace = certificate.namespace or gateway.namespace
        if namespace != gateway.namespace and not _granted(gateway, "Gateway", certificate, "Secret", namespace):
            return fails(f"{_named(gateway)} may not use the certificates of namespace {namespace}", shown)
    return not_applicable(f"{_named(gateway)} uses certificates that it may use", shown)


def _parents(route: HTTPRoute) -> Iterator[Verdict]:
    named = _named(route)
    statuses = route.parent_statuses or ()
    for parent in route.parents or ():
        told = [status for status in statuses if _same(status.parent, parent, route)]
        if not told:
            yield fails(f"{named} is taken up by no controller at {parent.name}", route.at(HTTPRoute.parent_statuses))
        for status in told:
            at = status.at(RouteParentStatus.conditions)
            conditions = status.conditions or ()
            yield _condition(f"{named} at {parent.name}", status, conditions, "Accepted", at)
            yield _condition(f"{named} at {parent.name}", status, conditions, "ResolvedRefs", at)
    if not route.parents:
        yield fails(f"{named} names no Gateway", route.at(HTTPRoute.parents))


def _same(left: ObjectReference | None, right: ObjectReference, route: HTTPRoute) -> bool:
    def key(one: ObjectReference) -> tuple[object, ...]:
        return (
            one.group or GROUP,
            one.kind or "Gateway",
            one.namespace or route.namespace,
            one.name,
            one.section_name,
            one.port,
        )

    return left is not None and key(left) == key(right)


def _back_ends(route: HTTPRoute) -> Iterator[Verdict]:
    if not route.rules:
        message = f"{_named(route)} is without rules, which Kubernetes gives every route"
        yield undecided(message, route.at(HTTPRoute.rules))
    for each_rule in route.rules or ():
        for backend in each_rule.backends or ():
            if (backend.group or "", backend.kind or "Service") != ("", "Service"):
                yield undecided(f"A back end of {_named(route)} is no Service", backend.at(ObjectReference.kind))
            else:
                yield each((backend,), lambda one: _back_end(route, one))


def _back_end(route: HTTPRoute, backend: ObjectReference) -> Verdict:
    named, shown = _named(route), backend.at(ObjectReference.name)
    namespace = backend.namespace or route.namespace
    kind = "GRPCRoute" if route.document.type.startswith("grpcroutes") else "HTTPRoute"
    if namespace != route.namespace and not _granted(route, kind, backend, "Service", namespace):
        return fails(f"{named} may not lead to Services of namespace {namespace}", shown)
    try:
        path = f"{route.cluster_id}/api/v1/namespaces/{namespace}/services/{backend.name}"
        service = route.estate.resource(Service, path)
    except NotCollected:
        all_services(route.cluster)
        return fails(f"{named} leads to {namespace}/{backend.name}, which is not there", shown)
    ports = [port for port in service.ports or () if port.port == backend.port]
    if not ports:
        message = f"{named} leads to port {backend.port} of {namespace}/{backend.name}, which it does not have"
        return fails(message, backend.at(ObjectReference.port), service.at(Service.ports))
    return passes(f"{named} leads to Services that are there", shown, *(port.at(ServicePort.port) for port in ports))


def _granted(one: KubernetesObject, kind: str, wanted: ObjectReference, target: str, namespace: str) -> bool:
    """Whether a ReferenceGrant of a namespace permits a reference of an object elsewhere.

    Raises:
        NotCollected: none that was read does, and they were not all read.
    """
    grants = one.estate.within(ReferenceGrant, one.cluster_id)
    for grant in grants:
        if grant.namespace != namespace:
            continue
        origins = ((of.group, of.kind, of.namespace) for of in grant.origins or ())
        if (GROUP, kind, one.namespace) in origins and any(
            to.kind == target and not to.group and to.name in {None, wanted.name} for to in grant.targets or ()
        ):
            return True
    grants.whole()
    return False


RULES = (gateways_healthy,)
