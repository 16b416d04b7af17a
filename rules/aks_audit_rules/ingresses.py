"""Ingresses: who takes them up, whether what they name is there, and whether they ask for TLS and for hosts of their own.

Whether Gateways ask for TLS is here, too, since it is the same question.
"""

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from aks_audit.facts import Evidence, Malformed, ManagedCluster, NotCollected, Unread
from aks_audit.facts.gateways import Gateway, GatewayClass, WebEntry
from aks_audit.facts.images import read_reference
from aks_audit.facts.platform import is_component
from aks_audit.facts.services import (
    Ingress,
    IngressBackend,
    IngressClass,
    IngressRule,
    IngressTLS,
    Service,
    ServicePort,
    all_ingresses,
    all_services,
)
from aks_audit.facts.workloads import Container, Workload, workloads
from aks_audit.results import Missing, Outcome, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.dates import Component
from aks_audit_rules.frameworks import azure_policy, kubebuddy, mcsb, the_aks_checklist
from aks_audit_rules.load_balancers import images_of
from aks_audit_rules.plain_listeners import gateway_https_only
from aks_audit_rules.retirements import retiring

_NGINX = "nginx.ingress.kubernetes.io/"
_KEY_VAULT = "kubernetes.azure.com/tls-cert-keyvault-uri"
_CERT_MANAGER = ("cert-manager.io/cluster-issuer", "cert-manager.io/issuer", "kubernetes.io/tls-acme")
_GATEWAY_CERTIFICATE = "appgw.ingress.kubernetes.io/appgw-ssl-certificate"


def is_nginx(controller: str) -> bool:
    """Whether a controller, by its name in a class, is ingress-nginx: of one's own, or of AKS's application routing."""
    return controller == "k8s.io/ingress-nginx" or controller.startswith(_APP_ROUTING)


_APP_ROUTING = "approuting.kubernetes.azure.com/"
APPLICATION_GATEWAY = "azure/application-gateway"
"""The controller of application gateways, by its name in a class."""
_HEEDS_ALLOW_HTTP = frozenset({"ingress.k8s.io/gce", "k8s.io/ingress-gce", "projectcontour.io/ingress-controller"})
"""Controllers that close port 80 for `kubernetes.io/ingress.allow-http`."""


@rule(
    "AKS-ING-08",
    title="Ingresses and Gateways take HTTPS alone",
    severity=Severity.HIGH,
    controls=(
        azure_policy("1a5b4dca-0b6f-4cf5-907c-56316bc1bf3d"),
        azure_policy("2fbff515-eecc-4b7e-9b63-fcc7138b7dc3"),
        mcsb("DP-3"),
        the_aks_checklist("74e42965-8bbd-46fb-b027-ccad9c3933a4"),
    ),
)
def https_only(entry: WebEntry) -> Verdict:
    """Whoever is on the way reads and changes what goes over plain HTTP: passwords, sessions, files.

    Severity: it takes a place on the way, as in any public network; then everything is open.
    Decided: `spec.tls` has an entry for every host of the rules (a wildcard stands for one label; an entry without hosts
    for what the controller's own certificate covers; for application gateways the annotation `appgw-ssl-certificate`
    stands for all). Then, by the controller of the class: ingress-nginx and AKS's application routing send plain
    requests to HTTPS wherever there is TLS, unless `nginx.ingress.kubernetes.io/ssl-redirect` is "false" and
    `force-ssl-redirect` not "true"; the application gateway's controller opens port 80 only to send on from it; Contour
    and GCE close it for `kubernetes.io/ingress.allow-http: "false"`, which others do not heed. What other controllers do
    with plain requests, or a controller's own ConfigMap changes, is not in an Ingress: for others it is unknown. So it is
    without a class of the cluster, unless the Ingress has the address of a Service whose pods run ingress-nginx.
    Of a Gateway: no listener of protocol HTTP answers. Its routes are those whose `parentRefs` name it (without
    `sectionName` and `port` all listeners of the Gateway), whose hosts meet its own, that `allowedRoutes` lets in (where
    labels decide, only by what the controller says), and that the controller does not refuse. Each of their rules has a
    filter RequestRedirect with `scheme: https`; a redirect without a scheme keeps plain HTTP, and a GRPCRoute has none.
    A listener for HTTP without routes answers nothing, and is not applicable. Listeners in a ListenerSet are not read.
    Fix: kubectl edit {kind} --namespace {namespace} {name}
    Bicep: none; in the manifest: spec.tls, metadata.annotations; of a Gateway spec.listeners[].protocol and an HTTPRoute that redirects
    Change: in place; clients that do not follow a redirect must change their addresses
    References: https://kubernetes.io/docs/concepts/services-networking/ingress/
        https://kubernetes.github.io/ingress-nginx/user-guide/tls/
        https://azure.github.io/application-gateway-kubernetes-ingress/annotations/
        https://github.com/kubernetes-sigs/gateway-api/blob/main/apis/v1/httproute_types.go
        https://github.com/kubernetes-sigs/gateway-api/blob/main/apis/v1/shared_types.go
    """
    if isinstance(entry, Gateway):
        return gateway_https_only(entry)
    if isinstance(entry, Ingress):
        return _of_ingress(entry)
    raise AssertionError(entry)  # pragma: no cover - no other kind is asked about


def _of_ingress(ingress: Ingress) -> Verdict:
    shown = ingress.at(Ingress.tls)
    plain = _without_certificate(ingress)
    if plain:
        return fails(f"{ingress.name} takes plain HTTP for {', '.join(plain)}", shown, ingress.at(Ingress.rules))
    return _redirects(ingress, shown, ingress.at(Ingress.annotations))


def _without_certificate(ingress: Ingress) -> list[str]:
    """The hosts of an Ingress that it has no certificate for."""
    hosts = [rule.host or "every host" for rule in _rules(ingress)]
    if ingress.default_backend:
        hosts.append("every host")
    entries = ingress.tls or ()
    covers_all = any(not entry.hosts for entry in entries) or bool(
        (ingress.annotations or {}).get(_GATEWAY_CERTIFICATE)
    )
    if covers_all:
        return []
    covered = [host.lower() for entry in entries for host in entry.hosts or ()]
    return [host for host in dict.fromkeys(hosts) if not any(_covers(name, host.lower()) for name in covered)]


def _covers(name: str, host: str) -> bool:
    """Whether a certificate's name is for a host; a wildcard is for one label."""
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])


def _redirects(ingress: Ingress, *shown: Evidence) -> Verdict:
    controller = ingress.controlled_by
    if controller is None:
        return _by_address(ingress, shown)
    if is_nginx(controller):
        return _by_nginx(ingress, shown)
    if controller == APPLICATION_GATEWAY:
        return passes(f"{ingress.name} has certificates for its hosts, and its gateway takes HTTPS for them", *shown)
    if controller in _HEEDS_ALLOW_HTTP:
        if (ingress.annotations or {}).get("kubernetes.io/ingress.allow-http") == "false":
            return passes(f"{ingress.name} takes HTTPS alone", *shown)
        return fails(f"{ingress.name} takes plain HTTP as well", *shown)
    return undecided(f"What {controller} does with plain requests is not in the Ingress {ingress.name}", *shown)


def _by_address(ingress: Ingress, shown: tuple[Evidence, ...]) -> Verdict:
    """What is done with plain requests to an Ingress without a class: by the controller whose address it has."""
    told = ingress.at(Ingress.load_balancer_ingress)
    if not ingress.addresses:
        return undecided(f"No class and no address tell which controller takes up {ingress.name}", *shown, told)
    wanted = set(ingress.addresses)
    services = [one for one in ingress.estate.within(Service, ingress.cluster_id) if wanted & set(one.addresses)]
    images = [name for one in services for name in images_of(one)]
    if any(fnmatchcase(name, pattern) for name in images for pattern in _COMMUNITY):
        return _by_nginx(ingress, (*shown, told, *(one.at(Service.load_balancer_ingress) for one in services)))
    message = f"No class tells which controller takes up {ingress.name}, and whose its address is cannot be told"
    return undecided(message, *shown, told)


def _by_nginx(ingress: Ingress, shown: tuple[Evidence, ...]) -> Verdict:
    annotations = ingress.annotations or {}
    plain = annotations.get(f"{_NGINX}ssl-redirect") == "false"
    if plain and annotations.get(f"{_NGINX}force-ssl-redirect") != "true":
        return fails(f"{ingress.name} answers plain HTTP as well: ssl-redirect is false", *shown)
    return passes(f"{ingress.name} has certificates for its hosts, and plain requests are sent to HTTPS", *shown)


@rule(
    "AKS-ING-09",
    title="Ingresses name hosts of their own",
    severity=Severity.LOW,
    controls=(
        the_aks_checklist("e5684a8b-f072-43d2-83b2-234ad48f57c7"),
        azure_policy("d8c942c6-16a3-400b-8f2e-785f44030036"),
        azure_policy("b2fd3e59-6390-4f2b-8247-ea676bd03e2d"),
        azure_policy("d011d9f7-ba32-4005-b727-b3d09371ca60"),
        kubebuddy("NET005"),
        kubebuddy("NET006"),
    ),
)
def own_hosts(ingress: Ingress) -> Verdict:
    """An Ingress without a host, or with a wildcard, takes requests that were meant for somebody else's application.

    Severity: it takes the right to write Ingresses; then requests go astray. Medium where another namespace names the same
    host: one of the two gets the other's requests, passwords and sessions.
    Decided: every rule has a `host`, none begins with `*.`, there is no `spec.defaultBackend`, and no Ingress of another
    namespace and of the same class names the same host (without case). Which names are an organisation's own is not known here.
    Fix: kubectl edit ingress --namespace {namespace} {name}
    Bicep: none; in the manifest: spec.rules[].host
    Change: in place; requests for other hosts are no longer taken
    References: https://kubernetes.io/docs/concepts/services-networking/ingress/
    """
    found = [_host(ingress, rule) for rule in _rules(ingress)]
    if ingress.default_backend:
        found.append(fails(f"{ingress.name} takes requests for every host", ingress.at(Ingress.default_backend)))
    return each(found, lambda one: one)


def _host(ingress: Ingress, rule: IngressRule) -> Verdict:
    shown = rule.at(IngressRule.host)
    if rule.host is None:
        return fails(f"{ingress.name} takes requests for every host", shown)
    named = ingress.estate.once(_namespaces_by_host, ingress.cluster)
    others = named.namespaces.get((_class(ingress), rule.host.lower()), {})
    elsewhere = sorted(set(others) - {ingress.namespace})
    if elsewhere:
        message = f"{rule.host} is named by Ingresses in {', '.join([ingress.namespace, *elsewhere])}"
        return fails(message, shown, *(others[one] for one in elsewhere), severity=Severity.MEDIUM)
    if rule.host.startswith("*."):
        return fails(f"{ingress.name} takes requests for {rule.host}", shown)
    all_ingresses(ingress.cluster)
    if named.missing:
        return undecided(f"Another Ingress may name {rule.host}, too", shown, missing=named.missing)
    return passes(f"{ingress.name} names hosts that no other namespace names", shown)


def _class(ingress: Ingress) -> str:
    return ingress.ingress_class_name or ingress.class_annotation or ""


class _Named(NamedTuple):
    """The namespaces that name a host, by class and host, and the Ingresses that could not be read."""

    namespaces: Mapping[tuple[str, str], dict[str, Evidence]]
    missing: tuple[Missing, ...]


def _namespaces_by_host(cluster: ManagedCluster) -> _Named:
    found: dict[tuple[str, str], dict[str, Evidence]] = {}
    missing: list[Missing] = []
    for one in cluster.estate.within(Ingress, cluster.id):
        try:
            for entry in _rules(one):
                if entry.host:
                    place = found.setdefault((_class(one), entry.host.lower()), {})
                    place.setdefault(one.namespace, entry.at(IngressRule.host))
        except Unread as unread:
            missing += unread.missing
    return _Named(found, tuple(missing))


def _rules(ingress: Ingress) -> tuple[IngressRule, ...]:
    """The rules of an Ingress; none where it has a default back end alone.

    Raises:
        Malformed: it has neither, as cannot be.
    """
    if not ingress.rules and not ingress.default_backend:
        raise Malformed(ingress.id, ingress.at(Ingress.rules).pointer, "an Ingress that leads nowhere")
    return ingress.rules or ()


@rule(
    "AKS-ING-10",
    title="The class, back ends and ports that an Ingress names are there",
    severity=Severity.MEDIUM,
    controls=(kubebuddy("NET003"),),
)
def references_resolve(ingress: Ingress) -> Verdict:
    """What names a Service that is gone answers 503, until somebody else makes a Service of that name and takes its requests.

    Severity: an outage as a rule, and an open place for whoever may write Services in the namespace.
    Decided: `spec.ingressClassName` (or without it the annotation `kubernetes.io/ingress.class`, or the default class)
    is an IngressClass of the cluster; each back end is a Service of the namespace with that port, by number or name. Of
    Services of type ExternalName the port is not asked. A back end of another kind is unknown, and so is an annotation
    that names no class: controllers define their own. Secrets are never read, so whether a TLS secret is there is not
    judged; but where application routing fetches the certificate from a key vault, the secret must be called `keyvault-` and
    the Ingress's name, which is asked.
    Fix: kubectl edit ingress --namespace {namespace} {name}
    Bicep: none; in the manifest: spec.ingressClassName, spec.rules[].http.paths[].backend.service
    Change: in place
    References: https://kubernetes.io/docs/concepts/services-networking/ingress/
        https://learn.microsoft.com/azure/aks/app-routing-dns-ssl
    """
    verdict = each((_class_known, _certificates, *_of_backends(ingress)), lambda question: question(ingress))
    if verdict.outcome is Outcome.PASS:
        return passes(f"{verdict.message}{_secrets(ingress)}", *verdict.evidence)
    return verdict


def _class_known(ingress: Ingress) -> Verdict:
    named, annotated = ingress.ingress_class_name, ingress.class_annotation
    shown = (ingress.at(Ingress.ingress_class_name), ingress.at(Ingress.annotations))
    if ingress.controlled_by:
        return passes(f"Its class is {named or annotated or 'the default'}", *shown)
    if named:
        return fails(f"There is no class {named}", *shown)
    if annotated:
        return undecided(f"Whether a controller takes up the class {annotated} cannot be told", *shown)
    return fails("It names no class, and the cluster has no default class", *shown)


def _certificates(ingress: Ingress) -> Verdict:
    shown = ingress.at(Ingress.tls)
    if _KEY_VAULT not in (ingress.annotations or {}):
        return not_applicable("No certificate is fetched from a key vault", shown)
    wrong = [entry for entry in ingress.tls or () if entry.secret_name != f"keyvault-{ingress.name}"]
    if wrong:
        told = ", ".join(entry.secret_name or "none" for entry in wrong)
        cited = (entry.at(IngressTLS.secret_name) for entry in wrong)
        return fails(f"Its certificate comes as secret keyvault-{ingress.name}, and it names {told}", *cited)
    return not_applicable("The secret is called as application routing calls it", shown)


def _secrets(ingress: Ingress) -> str:
    """What is to be said of the secrets, which are never read."""
    names = sorted({entry.secret_name for entry in ingress.tls or () if entry.secret_name})
    annotations = ingress.annotations or {}
    if not names or _KEY_VAULT in annotations:
        return ""
    if any(key in annotations for key in _CERT_MANAGER):
        return f"; cert-manager makes secret {', '.join(names)}"
    return f"; secrets are never read, so {', '.join(names)} was not looked for"


def _of_backends(ingress: Ingress) -> Iterator[Callable[[Ingress], Verdict]]:
    def judged(backend: IngressBackend) -> Callable[[Ingress], Verdict]:
        return lambda one: _backend(one, backend)

    try:
        backends = ingress.backends
    except Malformed as unread:
        missing = unread.missing
        yield lambda _: undecided(missing[0].reason, missing=missing)
        return
    yield from map(judged, backends)


def _backend(ingress: Ingress, backend: IngressBackend) -> Verdict:
    shown = backend.at(IngressBackend.service_name)
    name = backend.service_name
    if name is None:
        if backend.resource is None:
            raise Malformed(ingress.id, backend.pointer, "a back end that names nothing")
        return undecided("A back end is no Service", backend.at(IngressBackend.resource))
    try:
        path = f"{ingress.cluster_id}/api/v1/namespaces/{ingress.namespace}/services/{name}"
        service = ingress.estate.resource(Service, path)
    except NotCollected:
        all_services(ingress.cluster)
        return fails(f"There is no Service {name}", shown)
    if service.kind_of_service == "ExternalName":
        return passes("Its back ends are there", shown)
    return _backend_port(backend, service, shown)


def _backend_port(backend: IngressBackend, service: Service, shown: Evidence) -> Verdict:
    number, name = backend.port_number, backend.port_name
    if number is None and name is None:
        raise Malformed(backend.document.id, backend.pointer, "a back end without its port")
    asked, cited = (
        (number, backend.at(IngressBackend.port_number))
        if number is not None
        else (name, backend.at(IngressBackend.port_name))
    )
    for port in service.ports or ():
        if (port.port if number is not None else port.name) == asked:
            return passes("Its back ends are there", shown, cited, port.at(ServicePort.port))
    return fails(f"Service {service.name} has no port {asked}", cited, service.at(Service.ports))


_COMMUNITY = ("*/ingress-nginx/controller", "*/nginx-ingress-controller")


@rule(
    "AKS-ING-13",
    title="No ingress controller without support is in use",
    dated=True,
    severity=Severity.LOW,
    controls=(kubebuddy("NET013"), kubebuddy("NET020")),
)
def ingress_nginx_gone(cluster: ManagedCluster) -> Verdict:
    """Ingress NGINX gets no fixes any more, and it stands where every request comes in, with every TLS key in its memory.

    Kubernetes retired the project in March 2026, a year after a request to its admission webhook had been enough to run code
    in it (CVE-2025-1974). AKS patches its own copy, in application routing, through November 2026; the Gateway API is
    the successor of both.

    Severity: by the day of the snapshot: high from the end of support on, medium in the year before it.
    Decided: the images of all workloads: `ingress-nginx/controller`, or `nginx-ingress-controller` as AKS, Bitnami and older
    releases call it. AKS's own in `app-routing-system` has its own date. NGINX's own controller, `nginx/nginx-ingress`, is
    another product. A class of `k8s.io/ingress-nginx` without such a workload is unknown: the image may have another name.
    Passes where another controller has a class (IngressClass or GatewayClass); without any it is not applicable. The
    dates stand in a table with their sources.
    Fix: az aks approuting gateway istio enable --resource-group {group} --name {name}
    Bicep: properties.ingressProfile.gatewayAPI, properties.ingressProfile.webAppRouting
    Change: in place; run both side by side, move each Ingress to an HTTPRoute, then move its DNS name
    References: https://kubernetes.io/blog/2025/11/11/ingress-nginx-retirement/
        https://learn.microsoft.com/azure/aks/app-routing-nginx-to-gateway-api-migration
        https://learn.microsoft.com/azure/aks/concepts-network-ingress
    """
    known, missing = workloads(cluster)
    images = each(known, lambda one: _without_nginx(cluster, one))
    if images.outcome in {Outcome.FAIL, Outcome.UNKNOWN}:
        return images
    if missing:
        raise Unread(*missing)
    classes = cluster.estate.within(IngressClass, cluster.id).whole()
    left = [one for one in classes if one.controller_name == "k8s.io/ingress-nginx"]
    if left:
        shown = (one.at(IngressClass.controller_name) for one in left)
        return undecided(f"Class {left[0].name} is Ingress NGINX's, and no workload runs an image called so", *shown)
    others = [one.at(IngressClass.controller_name) for one in classes if one.controller_name]
    of_gateways = cluster.estate.within(GatewayClass, cluster.id).whole()
    others += [one.at(GatewayClass.controller_name) for one in of_gateways if one.controller_name]
    if others:
        return passes("Other controllers than Ingress NGINX take requests", *others)
    return not_applicable("No ingress controller has a class in the cluster")


def _without_nginx(cluster: ManagedCluster, workload: Workload) -> Verdict:
    """Whether a workload runs no copy of Ingress NGINX."""
    if workload.template is None:
        raise Malformed(workload.document.id, "/spec", "a workload without its containers")
    for container in workload.template.every_container:
        if container.image is None:
            raise Malformed(workload.document.id, container.pointer, "a container without its image")
        reference = read_reference(container.image)
        if reference and any(fnmatchcase(reference.name, pattern) for pattern in _COMMUNITY):
            routing = workload.namespace == "app-routing-system" and is_component(workload)
            component = Component.APP_ROUTING_NGINX if routing else Component.INGRESS_NGINX
            return retiring(component, cluster, container.at(Container.image))
    return passes("No workload runs Ingress NGINX")


RULES = (https_only, own_hosts, references_resolve, ingress_nginx_gone)
