"""Which Gateways of the Gateway API answer plain HTTP, by its specification.

A route is attached to a listener that it names by its parents: without `sectionName` and `port` to every one, so that a
route meant for HTTPS answers plain requests too where the Gateway has a listener for HTTP; with hostnames only where one
of them fits the listener's; of another namespace only where `allowedRoutes` lets it (without it, only of the same).

Source: https://gateway-api.sigs.k8s.io/reference/spec/ (ParentReference, Listener, AllowedRoutes, HTTPRouteRule,
HTTPRequestRedirectFilter) and https://gateway-api.sigs.k8s.io/guides/http-redirect-rewrite/.
"""

from aks_audit.facts import Evidence, Malformed
from aks_audit.facts.gateways import (
    GROUP,
    Gateway,
    GRPCRoute,
    HTTPRoute,
    Listener,
    ObjectReference,
    RouteRule,
    all_routes,
    routes,
)
from aks_audit.results import Verdict
from aks_audit.rule import each, fails, not_applicable, passes, undecided

_ENCRYPTED = frozenset({"HTTPS", "TLS"})
_NOT_OF_THE_WEB = frozenset({"TCP", "UDP"})


def gateway_https_only(gateway: Gateway) -> Verdict:
    """Whether every listener of a Gateway is encrypted, or sends requests on to HTTPS."""
    if not gateway.listeners:
        raise Malformed(gateway.id, gateway.at(Gateway.listeners).pointer, "a Gateway without its listeners")
    return each(gateway.listeners, lambda listener: _listener(gateway, listener))


def _listener(gateway: Gateway, listener: Listener) -> Verdict:
    named, shown = f"Listener {listener.name} of {gateway.name}", listener.at(Listener.protocol)
    if listener.protocol is None:
        raise Malformed(gateway.id, shown.pointer, "a listener without its protocol")
    if listener.protocol in _ENCRYPTED:
        return passes(f"{named} takes {listener.protocol} alone", shown)
    if listener.protocol in _NOT_OF_THE_WEB:
        return not_applicable(f"{named} takes {listener.protocol}, whatever that carries", shown)
    if listener.protocol != "HTTP":
        return undecided(f"{named} takes {listener.protocol}, which its controller alone knows", shown)
    found = [
        _attached(gateway, listener, route, parent)
        for route in routes(gateway.estate, gateway.cluster_id)
        for parent in _parents(gateway, listener, route)
    ]
    verdict = each(found, lambda one: one)
    if verdict.outcome != "fail":
        all_routes(gateway.estate, gateway.cluster_id)
    if verdict.outcome == "not-applicable":
        return not_applicable(f"{named} takes plain HTTP, and no route answers it", shown)
    return verdict


def _parents(gateway: Gateway, listener: Listener, route: HTTPRoute) -> list[ObjectReference]:
    """The references of a route that are to a listener."""
    return [
        parent
        for parent in route.parents or ()
        if (parent.group or GROUP, parent.kind or "Gateway") == (GROUP, "Gateway")
        and (parent.namespace or route.namespace, parent.name) == (gateway.namespace, gateway.name)
        and parent.section_name in {None, listener.name}
        and parent.port in {None, listener.port}
    ]


def _attached(gateway: Gateway, listener: Listener, route: HTTPRoute, parent: ObjectReference) -> Verdict:
    """What a route that names a listener has it answer."""
    shown = (listener.at(Listener.protocol), parent.at(ObjectReference.name))
    accepted = _accepted(route, parent)
    if accepted is False:
        return not_applicable(f"Its controller does not accept route {route.name}", *shown)
    if not _hosts_meet(listener.hostname, route):
        return not_applicable(f"The hosts of route {route.name} are others", *shown)
    origin = listener.namespaces_from or "Same"
    if origin == "Same" and route.namespace != gateway.namespace:
        return not_applicable(f"Routes of namespace {route.namespace} are not let in", *shown)
    verdict = _answers(listener, route, shown)
    sure = origin in {"All", "Same"} or (accepted is True and parent.section_name is not None)
    if verdict.outcome == "fail" and not sure:
        message = f"Whether listener {listener.name} of {gateway.name} lets in route {route.name}, labels decide"
        return undecided(message, listener.at(Listener.namespaces_from), *shown)
    return verdict


def _accepted(route: HTTPRoute, parent: ObjectReference) -> bool | None:
    """Whether the controller says that it attached a route to what a reference names; None where it says nothing."""
    told = [status for status in route.parent_statuses or () if status.parent and _same(status.parent, parent, route)]
    said = {one.status for status in told for one in status.conditions or () if one.type == "Accepted"}
    if not said <= {"True", "False"}:
        return None
    return "True" in said if said else None


def _same(left: ObjectReference, right: ObjectReference, route: HTTPRoute) -> bool:
    def key(one: ObjectReference) -> tuple[object, ...]:
        return one.namespace or route.namespace, one.name, one.section_name, one.port

    return key(left) == key(right)


def _hosts_meet(listener: str | None, route: HTTPRoute) -> bool:
    """Whether a listener's hostname and one of a route's have a name in common; absent means every one."""
    if not listener or not route.hostnames:
        return True
    return any(_meet(listener.lower(), host.lower()) for host in route.hostnames)


def _meet(left: str, right: str) -> bool:
    """Whether two names, each of which may begin with a wildcard for any number of labels, have one in common."""
    pairs = ((left, right), (right, left))
    return left == right or any(wide.startswith("*.") and other.endswith(wide[1:]) for wide, other in pairs)


def _answers(listener: Listener, route: HTTPRoute, shown: tuple[Evidence, ...]) -> Verdict:
    if isinstance(route, GRPCRoute) or route.document.type == GRPCRoute.TYPE:
        return fails(f"Route {route.name} takes plain calls at listener {listener.name}", *shown)
    if not route.rules:
        message = f"Route {route.name} is without rules, which Kubernetes gives every route"
        return undecided(message, route.at(HTTPRoute.rules))
    plain = [rule for rule in route.rules if not _redirects(rule)]
    if plain:
        message = f"Route {route.name} answers plain HTTP at listener {listener.name}, and does not send on to HTTPS"
        return fails(message, *shown, plain[0].at(RouteRule.filters))
    cited = (rule.at(RouteRule.filters) for rule in route.rules)
    return passes(f"Listener {listener.name} sends plain requests to HTTPS", *shown, *cited)


def _redirects(rule: RouteRule) -> bool:
    return any(one.type == "RequestRedirect" and one.redirect_scheme == "https" for one in rule.filters or ())
