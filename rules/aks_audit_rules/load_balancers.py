"""Services of type LoadBalancer: how many ways lead into a cluster, from where, and into which subnet."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from ipaddress import ip_network
from typing import NamedTuple

from aks_audit.facts import Estate, Evidence, Malformed, ManagedCluster, Network, Subnet, Unread
from aks_audit.facts.gateways import Gateway
from aks_audit.facts.images import read_reference
from aks_audit.facts.services import INTERNAL_SUBNET, Address, Ingress, Service
from aks_audit.facts.workloads import workloads
from aks_audit.network.addresses import PUBLIC, AddressSet, internet_wide
from aks_audit.network.neighbours import virtual_networks
from aks_audit.network.origins import node_subnet
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import (
    aks_health_check,
    azure_policy,
    kubebuddy,
    review_checklist,
    the_aks_checklist,
)
from aks_audit_rules.known_software import KNOWN

_TAGS = "service.beta.kubernetes.io/azure-allowed-service-tags"
_RANGES = (
    "service.beta.kubernetes.io/azure-allowed-ip-ranges",
    "service.beta.kubernetes.io/load-balancer-source-ranges",
)


class Sources(NamedTuple):
    """From where a Service is reached: what was asked for, whether it limits anything, and the evidence."""

    ranges: tuple[Network, ...]
    tags: tuple[str, ...]
    odd: tuple[str, ...]
    evidence: tuple[Evidence, ...]

    @property
    def unlimited(self) -> str:
        """Why they keep nobody on the internet out; empty where they do."""
        if not self.ranges and not self.tags and not self.odd:
            return "names no sources, which means the internet"
        if internet_wide(AddressSet.of(self.ranges)):
            return f"lets in {', '.join(map(str, self.ranges))}"
        if any(tag.lower() == "internet" for tag in self.tags):
            return "lets in the service tag Internet"
        return ""


def sources(service: Service) -> Sources:
    """The sources of a Service, by its field and by the annotations of cloud-provider-azure.

    Raises:
        Malformed: they are no texts.
    """
    annotations = service.annotations or {}
    by_annotation = [part for key in _RANGES if key in annotations for part in _parts(annotations[key])]
    written = [part.strip() for part in service.load_balancer_source_ranges or ()]
    ranges, odd = _read([*written, *by_annotation])
    tags = _parts(annotations[_TAGS]) if _TAGS in annotations else []
    if "" in tags:
        odd.append(f"an empty name in {_TAGS}")
    if written and by_annotation:
        odd.append("ranges both in loadBalancerSourceRanges and in an annotation, which the cloud provider refuses")
    shown = (service.at(Service.load_balancer_source_ranges), service.at(Service.annotations))
    return Sources(tuple(ranges), tuple(tag for tag in tags if tag), tuple(odd), shown)


def _parts(written: str) -> list[str]:
    return [part.strip() for part in written.strip().split(",")]


def _read(written: list[str]) -> tuple[list[Network], list[str]]:
    ranges: list[Network] = []
    odd: list[str] = []
    for part in written:
        try:
            ranges.append(ip_network(part, strict=False))
        except ValueError:
            odd.append(f"{part!r}, which is no range")
    return ranges, odd


def public(addresses: tuple[Address, ...]) -> bool:
    """Whether one of the addresses is routed on the internet."""
    return AddressSet.of(ip_network(address) for address in addresses).overlaps(PUBLIC)


def published(service: Service) -> bool:
    """Whether a Service of type LoadBalancer has a public address, or waits for one.

    Raises:
        Malformed: its type or its addresses cannot be read.
    """
    found = service.addresses
    return public(found) if found else not service.asks_for_private


@rule(
    "AKS-ING-01",
    title="Applications share an entry point in place of a load balancer each",
    severity=Severity.MEDIUM,
    controls=(
        review_checklist("b3808b9f-a1cf-4204-ad01-3a923ce474db"),
        the_aks_checklist("b3808b9f-a1cf-4204-ad01-3a923ce474db"),
        aks_health_check("NET-3"),
    ),
)
def one_entry_point(cluster: ManagedCluster) -> Verdict:
    """Each Service of type LoadBalancer is a way of its own into the cluster, past the checks of all others.

    An ingress controller or gateway gives many applications one address, one place for TLS, for a web application
    firewall, for limits and for logs.

    Severity: nobody gains access by it alone, but every further way in has to be guarded, and one is forgotten.
    Decided: Services whose `type` is LoadBalancer. A controller's is one that selects pods with the image of a known
    ingress controller or gateway, that a Gateway made (the label `gateway.networking.k8s.io/gateway-name`), that AKS
    made for its own, or whose address an Ingress or Gateway tells as its own. More than one that is no controller's
    fails, and so does a single one beside a controller's. Several controllers are well. None at all is not applicable:
    traffic may come in through an application gateway.
    Fix: az aks command invoke --resource-group {group} --name {name} --command 'kubectl edit service --namespace <namespace> <service>'
    Bicep: none; in the manifest: spec.type, and an Ingress or HTTPRoute for the Service
    Change: in place; the address of the Service is given up, so move its DNS name to the shared one first
    References: https://learn.microsoft.com/azure/aks/concepts-network-ingress
        https://learn.microsoft.com/azure/architecture/reference-architectures/containers/aks/baseline-aks
    """
    held = cluster.estate.within(Service, cluster.id)
    known = [service for service in held if service.balanced]
    alone = [service for service in known if not of_controller(service)]
    shown = [service.at(Service.type) for service in (alone or known)[:_MOST]]
    beside = f"besides {len(known) - len(alone)} of ingress controllers" if len(known) > len(alone) else ""
    if len(alone) > 1 or (alone and beside):
        names = ", ".join(f"{service.namespace}/{service.name}" for service in alone[:_MOST])
        message = f"{len(alone)} applications have load balancers of their own {beside}".strip()
        return fails(f"{message}: {names}", *shown)
    held.whole()
    if not known:
        return not_applicable("No Service is of type LoadBalancer")
    if alone:
        return passes(f"{alone[0].namespace}/{alone[0].name} is the only way in", *shown)
    return passes("Load balancers lead to ingress controllers and gateways alone", *shown)


_MOST = 12


def of_controller(service: Service) -> bool:
    """Whether a Service of type LoadBalancer is that of an ingress controller or gateway.

    Raises:
        Malformed: a pod's containers, or an address, cannot be read.
        NotCollected: not all was read that may tell.
    """
    if "gateway.networking.k8s.io/gateway-name" in (service.object_labels or {}) or service.of_platform:
        return True
    if any(fnmatchcase(name, pattern) for name in images_of(service) for pattern in KNOWN.ingress_controllers):
        return True
    if service.estate.once(_entries, service.cluster) & set(map(str, service.addresses)):
        return True
    if missing := workloads(service.cluster).missing:
        raise Unread(*missing)
    service.estate.once(_all_entries, service.cluster)
    return False


def images_of(service: Service) -> Iterator[str]:
    """The names of the images, with registry and without tag, that the pods of a Service run.

    Raises:
        Malformed: a pod's containers cannot be read.
    """
    for workload in service.targets:
        for spec in workload.specs:
            for container in spec.containers or ():
                reference = read_reference(container.image or "")
                if reference:
                    yield reference.name


def _entries(cluster: ManagedCluster) -> frozenset[str]:
    """The addresses that Ingresses and Gateways of a cluster tell as their own, as far as they were read."""
    return _told(cluster.estate.within(Ingress, cluster.id).known, cluster.estate.within(Gateway, cluster.id).known)


def _all_entries(cluster: ManagedCluster) -> frozenset[str]:
    return _told(cluster.estate.within(Ingress, cluster.id).whole(), cluster.estate.within(Gateway, cluster.id).whole())


def _told(ingresses: Iterable[Ingress], gateways: Iterable[Gateway]) -> frozenset[str]:
    of_gateways = (address.value for gateway in gateways for address in gateway.addresses or () if address.value)
    return frozenset({str(address) for ingress in ingresses for address in ingress.addresses} | set(of_gateways))


@rule(
    "AKS-ING-02",
    title="Services of type LoadBalancer have private addresses",
    severity=Severity.HIGH,
    controls=(
        azure_policy("3fc4dc25-5baf-40d8-9b05-7fe74c1bc64e"),
        azure_policy("a74d8f00-2fd9-4ce4-968e-0ee1eb821698"),
        the_aks_checklist("c0179fd4-470b-43c8-b7bb-80307051bc96"),
        kubebuddy("NET002"),
        aks_health_check("NET-5"),
    ),
)
def load_balancer_internal(service: Service) -> Verdict:
    """Without an annotation AKS gives a Service of type LoadBalancer a public address, past every firewall of a hub.

    Severity: anybody on the internet reaches the application. Medium where the Service names the sources that it lets in.
    Decided: the annotation `service.beta.kubernetes.io/azure-load-balancer-internal` is true (a text, compared without
    case, as cloud-provider-azure does), and every address in `status.loadBalancer.ingress` is private. A public address
    fails, whatever the annotation says: it is there. Without the annotation one that waits for its address fails, since
    it will get a public one; with it, it is unknown until the address is there. Private addresses without the annotation
    are another controller's where `loadBalancerClass` is set, and pass; without a class the two contradict each other,
    and that is unknown. Services of AKS's own gateways count: whether they are public is chosen by people.
    Fix: kubectl annotate service --namespace {namespace} {name} service.beta.kubernetes.io/azure-load-balancer-internal=true
    Bicep: none; in the manifest: metadata.annotations
    Change: in place; the address changes, so let DNS and the firewall's DNAT rules follow. Of gateways that AKS makes,
    change the NginxIngressController or the mesh's ingress gateway instead
    References: https://learn.microsoft.com/azure/aks/internal-lb
        https://github.com/kubernetes-sigs/cloud-provider-azure/blob/master/docs/services/README.md
    """
    if not service.balanced:
        return _no_load_balancer(service)
    shown = (service.at(Service.annotations), service.at(Service.load_balancer_ingress))
    if public(service.addresses):
        return _public(service, shown)
    if service.load_balancer_class is not None:
        return _of_other_class(service, shown)
    return _of_azure(service, shown)


def _public(service: Service, shown: tuple[Evidence, ...]) -> Verdict:
    found = sources(service)
    limited = not found.unlimited and not found.odd and service.load_balancer_class is None
    message = f"{service.name} has the public address {', '.join(map(str, service.addresses))}"
    return fails(message, *shown, severity=Severity.MEDIUM if limited else None)


def _of_azure(service: Service, shown: tuple[Evidence, ...]) -> Verdict:
    """Whether a Service of Azure's own load balancer, without a public address, will not get one."""
    told = ", ".join(map(str, service.addresses))
    match service.asks_for_private, bool(told):
        case True, True:
            return passes(f"{service.name} has the private address {told}", *shown)
        case True, False:
            return undecided(f"{service.name} asks for a private address, and waits for it", *shown)
        case False, True:
            return undecided(f"{service.name} has a private address and does not ask for one", *shown)
        case _:
            return fails(f"{service.name} asks for a public address, and waits for it", *shown)


def _of_other_class(service: Service, shown: tuple[Evidence, ...]) -> Verdict:
    named = service.at(Service.load_balancer_class)
    if service.addresses:
        return passes(f"{service.name} has private addresses alone", named, *shown)
    message = (
        f"A controller of the class {service.load_balancer_class} gives {service.name} its address, and has not yet"
    )
    return undecided(message, named, *shown)


def _no_load_balancer(service: Service) -> Verdict:
    return not_applicable(f"{service.name} is of type {service.kind_of_service}", service.at(Service.type))


@rule(
    "AKS-ING-03",
    title="Internal load balancers take their addresses from a subnet of their own",
    severity=Severity.MEDIUM,
    controls=(review_checklist("13c00567-4b1e-4945-a459-c373e7ed6162"),),
)
def dedicated_subnet(service: Service) -> Verdict:
    """In the nodes' subnet the front end of an ingress cannot be told from nodes by any rule of a network.

    In a subnet of its own, a network security group and the firewall can let clients come to it and to nothing else.

    Severity: without it rules that open the front end open the nodes as well. Low where the subnet lacks a route table only.
    Decided: the annotation `service.beta.kubernetes.io/azure-load-balancer-internal-subnet` of an internal Service names
    a subnet of the nodes' virtual network (compared without case) that no cluster uses for nodes, pods or its API server,
    and that has a network security group and a route table. Without the annotation the front end is in the nodes' subnet,
    which fails. Not applicable to Services that do not ask for a private address (AKS-ING-02 judges them), and to those
    of another `loadBalancerClass`.
    Fix: kubectl annotate service --namespace {namespace} {name} service.beta.kubernetes.io/azure-load-balancer-internal-subnet=<subnet>
    Bicep: none; in the manifest: metadata.annotations
    Change: in place; the address changes, so let DNS and the firewall's DNAT rules follow
    References: https://learn.microsoft.com/azure/aks/internal-lb
        https://learn.microsoft.com/azure/architecture/reference-architectures/containers/aks/baseline-aks
    """
    shown = service.at(Service.annotations)
    if not service.balanced:
        return _no_load_balancer(service)
    if not service.asks_for_private or service.load_balancer_class is not None:
        return not_applicable(f"{service.name} asks for no private address of Azure's load balancer", shown)
    wanted = (service.annotations or {}).get(INTERNAL_SUBNET, "").strip()
    if not wanted:
        return fails(f"{service.name} names no subnet, and takes its address from the nodes'", shown)
    networks = virtual_networks(service.cluster)
    lost = next((one for one in networks if one.subnets is None), None)
    if lost:
        raise Malformed(lost.id, "/properties/subnets", "a virtual network without its list of subnets")
    named = [one for network in networks for one in network.subnets or () if one.name.lower() == wanted.lower()]
    if not named:
        return fails(f"{service.name} names the subnet {wanted}, which its nodes' network does not have", shown)
    return each(named, lambda subnet: _own_subnet(service, subnet, shown))


def _own_subnet(service: Service, subnet: Subnet, shown: Evidence) -> Verdict:
    group, table = subnet.at(Subnet.network_security_group), subnet.at(Subnet.route_table)
    if subnet.id.lower() in service.estate.indexed(_subnets_of_clusters):
        return fails(f"{subnet.name}, which {service.name} names, is a subnet of nodes, pods or API servers", shown)
    if subnet.network_security_group is None:
        return fails(f"{subnet.name}, which {service.name} names, has no network security group", shown, group)
    if subnet.route_table is None:
        message = f"{subnet.name}, which {service.name} names, has no route table"
        return fails(message, shown, table, severity=Severity.LOW)
    return passes(f"{service.name} is in {subnet.name}, a subnet of its own", shown, group, table)


def _subnets_of_clusters(estate: Estate) -> frozenset[str]:
    """The ids, in lower case, of the subnets that clusters use for nodes, pods and API servers."""
    return frozenset(one.lower() for cluster in estate.every(ManagedCluster) for one in _subnets_of(cluster))


def _subnets_of(cluster: ManagedCluster) -> Iterator[str]:
    if cluster.api_server_subnet:
        yield cluster.api_server_subnet.id
    for pool in cluster.pools:
        yield node_subnet(cluster, pool).id
        if pool.pod_subnet:
            yield pool.pod_subnet.id


@rule("AKS-ING-19", title="Public load balancers let listed sources in, and not the internet", severity=Severity.MEDIUM)
def source_ranges(service: Service) -> Verdict:
    """What is public for one partner is public for everybody, unless the Service says whom it lets in.

    AKS writes the sources into its network security group, so that others do not even reach the node.

    Severity: the application itself is all that stands between the internet and its data. It may be meant so for a shop;
    then a web application firewall belongs before it (AKS-ING-07).
    Decided: of Services with a public address, or that wait for one, the union of `loadBalancerSourceRanges` and of the
    annotations `azure-allowed-ip-ranges`, `load-balancer-source-ranges` and `azure-allowed-service-tags`. None of them
    means the internet, and fails; so do ranges that together hold more than one /8 (or an IPv6 /32), and the tag Internet.
    The tag AzureCloud, with or without a region, lets in every other customer of Azure, and fails as low. Ranges that
    cannot be read, or that stand in the field and in an annotation at once (the cloud provider refuses both), are unknown,
    and so is what a controller of another `loadBalancerClass` makes of them. A network security group of your own on the
    nodes' subnet may keep out more; it is not counted.
    Fix: kubectl patch service --namespace {namespace} {name} --type merge --patch '{{"spec": {{"loadBalancerSourceRanges": ["<range>"]}}}}'
    Bicep: none; in the manifest: spec.loadBalancerSourceRanges
    Change: in place; everybody else is cut off
    References: https://learn.microsoft.com/azure/aks/load-balancer-standard
        https://github.com/kubernetes-sigs/cloud-provider-azure/blob/master/docs/services/README.md
    """
    if not service.balanced:
        return _no_load_balancer(service)
    if not published(service):
        return not_applicable(f"{service.name} has no public address", service.at(Service.load_balancer_ingress))
    return _limited(service, sources(service))


def _limited(service: Service, found: Sources) -> Verdict:
    if found.unlimited:
        return fails(f"{service.name} {found.unlimited}", *found.evidence)
    if found.odd:
        return undecided(f"{service.name} names {'; '.join(found.odd)}", *found.evidence)
    cloud = [tag for tag in found.tags if tag.lower().partition(".")[0] == "azurecloud"]
    if cloud:
        message = f"{service.name} lets in {', '.join(cloud)}: every customer of Azure"
        return fails(message, *found.evidence, severity=Severity.LOW)
    if service.load_balancer_class is not None:
        message = f"Whether the class {service.load_balancer_class} heeds sources cannot be told"
        return undecided(message, service.at(Service.load_balancer_class), *found.evidence)
    return passes(f"{service.name} lets in {', '.join([*map(str, found.ranges), *found.tags])}", *found.evidence)


RULES = (one_entry_point, load_balancer_internal, dedicated_subnet, source_ranges)
