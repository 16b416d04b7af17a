"""What takes web traffic up behind a public front end, as the inside of a cluster tells where it was read."""

import re
from fnmatch import fnmatchcase

from aks_audit.facts import Evidence, Malformed, ManagedCluster, NotCollected
from aks_audit.facts.application_gateway import WebApplicationFirewallPolicy
from aks_audit.facts.enumerations import FirewallMode, Switch
from aks_audit.facts.firewall_objects import FirewallObject, TargetReference
from aks_audit.facts.gateways import GROUP, Gateway, GatewayClass, HTTPRoute, ObjectReference, all_routes
from aks_audit.facts.networking import FrontendIPConfiguration, PublicIPAddress
from aks_audit.facts.services import Ingress, Service
from aks_audit.network.routes import stated
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, undecided
from aks_audit_rules.ingresses import is_nginx
from aks_audit_rules.known_software import KNOWN
from aks_audit_rules.load_balancers import images_of, of_controller, sources

FOR_CONTAINERS = "alb.networking.azure.io/alb-controller"
"""The controller of Application Gateway for Containers."""

_FRONT_DOOR = "azurefrontdoor.backend"
_ENGINE = re.compile(r"^\s*SecRuleEngine\s+(\w+)", re.MULTILINE | re.IGNORECASE)


def prevents(policy: WebApplicationFirewallPolicy, of: str) -> Verdict:
    """Whether a policy of Azure Web Application Firewall stops what its rules find; `of`: what it is the policy of."""
    state, mode = (
        policy.at(field) for field in (WebApplicationFirewallPolicy.state, WebApplicationFirewallPolicy.mode)
    )
    named = f"Policy {policy.name} of {of}"
    if stated(policy, WebApplicationFirewallPolicy.state) is Switch.DISABLED:
        return fails(f"{named} is disabled", state)
    if stated(policy, WebApplicationFirewallPolicy.mode) is FirewallMode.DETECTION:
        return fails(f"{named} only detects", mode, severity=Severity.MEDIUM)
    sets = policy.at(WebApplicationFirewallPolicy.managed_rule_sets)
    if not stated(policy, WebApplicationFirewallPolicy.managed_rule_sets):
        return fails(f"{named} has no managed rule set", sets)
    return passes(f"{named} prevents", state, mode, sets)


def behind(cluster: ManagedCluster, balancer: str, frontend: FrontendIPConfiguration, shown: Evidence) -> Verdict:
    """What takes up the web traffic of a public front end: the Service that has its address."""
    cited = (shown, frontend.at(FrontendIPConfiguration.public_ip_address))
    message = f"{balancer} takes web traffic from the internet, and only the Kubernetes API tells what takes it up"
    if frontend.public_ip_address is None:
        return undecided(message, *cited)
    services = cluster.estate.within(Service, cluster.id)
    try:
        address = cluster.estate.resource(PublicIPAddress, frontend.public_ip_address.id).ip_address
    except NotCollected:
        return undecided(message, *cited)
    found = [one for one in services if address and one.balanced and address in map(str, one.addresses)]
    if found:
        return each(found, lambda service: _taken_up(service, cited))
    return undecided(message, *cited)


def _taken_up(service: Service, cited: tuple[Evidence, ...]) -> Verdict:
    named, shown = f"Service {service.namespace}/{service.name}", (*cited, service.at(Service.load_balancer_ingress))
    found = sources(service)
    if not found.unlimited and not found.odd:
        door = not found.ranges and {tag.lower() for tag in found.tags} == {_FRONT_DOOR}
        told = "Front Door, whose firewall is not read" if door else "listed sources, which may be a firewall elsewhere"
        return undecided(f"{named} takes web traffic from {told}", *shown, *found.evidence)
    images = tuple(images_of(service))
    if any(fnmatchcase(name, pattern) for name in images for pattern in KNOWN.nginx_controllers):
        return _by_nginx(service, named, shown)
    if any(fnmatchcase(name.rpartition("/")[2], pattern) for name in images for pattern in KNOWN.web_firewalls):
        return undecided(f"{named} leads to what may be a firewall ({images[0]}), by its own settings", *shown)
    if of_controller(service):
        message = f"{named} leads to an ingress controller, whose own settings tell of a firewall"
        return undecided(message, *shown)
    if not images:
        return undecided(f"{named} selects no pods that are known", *shown, service.at(Service.selector))
    targets = ", ".join(sorted(one.name for one in service.targets))
    message = f"{named} takes web traffic from the internet straight to {targets}, past any web application firewall"
    return fails(message, *shown, service.at(Service.selector))


def _by_nginx(service: Service, named: str, shown: tuple[Evidence, ...]) -> Verdict:
    """Whether an Ingress of ingress-nginx has the firewall off, or only detect; that it prevents cannot be seen."""
    ingresses = service.estate.within(Ingress, service.cluster_id)
    verdict = each(ingresses, lambda ingress: _mod_security(service, ingress))
    if verdict.outcome is Outcome.FAIL:
        return verdict
    message = f"{named} leads to ingress-nginx: whether ModSecurity is on and prevents, its ConfigMap tells, which is not read"
    return undecided(message, *shown)


def _mod_security(service: Service, ingress: Ingress) -> Verdict:
    annotations, shown = ingress.annotations or {}, ingress.at(Ingress.annotations)
    elsewhere = ingress.addresses and not set(service.addresses) & set(ingress.addresses)
    if elsewhere or not is_nginx(ingress.controlled_by or ""):
        return not_applicable("Ingresses are of other controllers", shown)
    named = f"Ingress {ingress.namespace}/{ingress.name}"
    if annotations.get("nginx.ingress.kubernetes.io/enable-modsecurity") == "false":
        return fails(f"{named} has ModSecurity off", shown)
    engines = _ENGINE.findall(annotations.get("nginx.ingress.kubernetes.io/modsecurity-snippet", ""))
    if engines and engines[-1].lower() == "off":
        return fails(f"{named} has the rules of ModSecurity off", shown)
    if engines and engines[-1].lower() == "detectiononly":
        return fails(f"{named} has ModSecurity only detect", shown, severity=Severity.MEDIUM)
    return not_applicable(f"{named} does not say that ModSecurity is off", shown)


def of_containers(cluster: ManagedCluster) -> Verdict:
    """Whether a policy is in front of each Gateway of Application Gateway for Containers."""
    gateways = cluster.estate.within(Gateway, cluster.id)
    verdict = each(gateways, _of_gateway)
    if verdict.outcome is Outcome.PASS:
        gateways.whole()
    return verdict


def _of_gateway(gateway: Gateway) -> Verdict:
    if _controller(gateway) == FOR_CONTAINERS:
        return _guarded(gateway)
    return not_applicable("Gateways are of other controllers", gateway.at(Gateway.gateway_class_name))


def _controller(gateway: Gateway) -> str | None:
    """The controller of a Gateway, by its class; None where there is no such class.

    Raises:
        NotCollected: its class was not read.
    """
    classes = gateway.estate.within(GatewayClass, gateway.cluster_id)
    for one in classes:
        if one.name == gateway.gateway_class_name:
            return one.controller_name
    classes.whole()
    return None


def _guarded(gateway: Gateway) -> Verdict:
    held = gateway.estate.within(FirewallObject, gateway.cluster_id)
    listeners = {listener.name for listener in gateway.listeners or ()}
    of_gateway = [one for one in held if _targets(one, "Gateway", gateway.namespace, gateway.name)]
    covered = {name for one in of_gateway for name in _sections(one, listeners)}
    if listeners and listeners <= covered:
        return each(of_gateway, _policy)
    held.whole()
    routes = [one for one in all_routes(gateway.estate, gateway.cluster_id) if _names(one, gateway)]
    of_routes = {
        route.id: [one for one in held if _targets(one, "HTTPRoute", route.namespace, route.name)] for route in routes
    }
    open_routes = [route for route in routes if not of_routes[route.id]]
    if open_routes:
        message = (
            f"No WebApplicationFirewallPolicy is for Gateway {gateway.namespace}/{gateway.name} "
            f"and its route {open_routes[0].name}"
        )
        return fails(message, gateway.at(Gateway.gateway_class_name), open_routes[0].at(HTTPRoute.parents))
    if not routes:
        return not_applicable(f"Gateway {gateway.name} has no routes", gateway.at(Gateway.listeners))
    return each([*of_gateway, *(one for found in of_routes.values() for one in found)], _policy)


def _target(one: FirewallObject) -> TargetReference:
    """What a policy is for.

    Raises:
        Malformed: it does not say.
    """
    if one.target is None:
        raise Malformed(one.id, one.at(FirewallObject.target).pointer, "a policy without its target")
    return one.target


def _targets(one: FirewallObject, kind: str, namespace: str, name: str) -> bool:
    target = _target(one)
    return (target.group, target.kind, target.name) == (GROUP, kind, name) and (
        target.namespace or one.namespace
    ) == namespace


def _sections(one: FirewallObject, listeners: set[str | None]) -> set[str | None]:
    """The listeners that a policy of a Gateway is for; without names, all of them."""
    named = _target(one).section_names
    return set(named) if named else set(listeners)


def _names(route: HTTPRoute, gateway: Gateway) -> bool:
    def key(parent: ObjectReference) -> tuple[str | None, ...]:
        return parent.kind or "Gateway", parent.namespace or route.namespace, parent.name

    return ("Gateway", gateway.namespace, gateway.name) in map(key, route.parents or ())


def _policy(one: FirewallObject) -> Verdict:
    policy = one.policy
    if policy is None:
        raise Malformed(one.id, one.at(FirewallObject.policy).pointer, "a policy that names none of Azure's")
    return prevents(policy.read(), f"{one.namespace}/{one.name}")
