"""Where Azure's side and the cluster's must agree: what a firewall publishes, and the ranges that Services have."""

from collections.abc import Iterator
from ipaddress import IPv4Network, ip_address

from aks_audit.facts import ClusterFirewall, Evidence, Malformed, ManagedCluster, Network
from aks_audit.facts.application_gateway import ApplicationGateway, GatewayFrontend
from aks_audit.facts.firewall import AzureFirewall, FirewallRule
from aks_audit.facts.networking import InterfaceIPConfiguration, NetworkInterface
from aks_audit.facts.services import Address, Service, ServiceCIDR, all_services
from aks_audit.network.addresses import AddressSet
from aks_audit.network.firewall_rules import NAT, PlacedRule, written_addresses
from aks_audit.network.neighbours import virtual_networks
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.firewall import WEB, rules_of
from aks_audit_rules.frameworks import review_checklist
from aks_audit_rules.load_balancers import public


@rule(
    "AKS-EGR-17",
    title="DNAT rules for the web lead to the internal front end of a live Service",
    severity=Severity.HIGH,
)
def dnat_to_live_front_end(firewall: ClusterFirewall) -> Verdict:
    """An address that a Service gave up is free: the next machine or Service that gets it is on the internet at once.

    The rule was written for an ingress with its checks; what stands there tomorrow may have none.

    Severity: it publishes something that nobody meant to publish, and until then it is an outage.
    Decided: DNAT rules whose `translatedPort`, or one of whose destination ports, is 80 or 443, and whose
    `translatedAddress` is in a virtual network of a cluster that leaves through the firewall. The address must be one
    in `status.loadBalancer.ingress` of a Service of type LoadBalancer of one of these clusters, and the Service must take
    traffic at the translated port. Unknown where the Services of one of the clusters were not read. An address outside
    of these networks, or of a network interface or an application gateway that was read, is not applicable; a rule that
    translates to a name is unknown.
    Fix: az network firewall policy rule-collection-group collection rule update --policy-name <policy> --resource-group {group} --rule-collection-group-name <group> --collection-name <collection> --name <rule> --translated-address <address>
    Bicep: firewallPolicies/ruleCollectionGroups properties.ruleCollections[].rules[].translatedAddress
    Change: in place; fix the Service's address with the annotation service.beta.kubernetes.io/azure-load-balancer-ipv4
    References: https://learn.microsoft.com/azure/aks/limit-egress-traffic
        https://learn.microsoft.com/azure/firewall/destination-nat-rules
    """
    translating = [one for one in rules_of(firewall) if one.kind is NAT]
    if not translating:
        return not_applicable("There is no DNAT rule", firewall.at(AzureFirewall.firewall_policy))
    return each(translating, lambda one: _translated(firewall, one))


def _translated(firewall: ClusterFirewall, one: PlacedRule) -> Verdict:
    port = one.view.translated_port
    number = int(port) if port and port.isdigit() else None
    if not (number and number in WEB) and not one.conditions.ports & WEB:
        return not_applicable("DNAT rules are for other ports", *one.evidence)
    written = one.view.translated_address
    known = written_addresses(written) if written else None
    if written is None or known is None or number is None:
        return undecided(f"DNAT rule {one.name} leads to no address and port that can be told", *one.evidence)
    clusters = [firewall.estate.resource(ManagedCluster, cluster) for cluster in firewall.clusters]
    spaces = (network.address_space or () for cluster in clusters for network in virtual_networks(cluster))
    if not AddressSet.of(prefix for space in spaces for prefix in space).overlaps(known):
        return not_applicable("DNAT rules lead past the clusters' networks", *one.evidence)
    return _of_clusters(clusters, one, ip_address(written.partition("/")[0]), number)


def _of_clusters(clusters: list[ManagedCluster], one: PlacedRule, address: Address, port: int) -> Verdict:
    translated = one.view.at(FirewallRule.translated_address)
    for cluster in clusters:
        service = cluster.estate.once(_front_ends, cluster).get(address)
        if service is None:
            continue
        shown = (translated, service.at(Service.load_balancer_ingress))
        if all(each_port.port != port for each_port in service.ports or ()):
            message = f"DNAT rule {one.name} leads to port {port} of {service.name}, which takes no traffic there"
            return fails(message, *shown, service.at(Service.ports))
        if public((address,)):
            return fails(f"DNAT rule {one.name} leads to {service.name} by its public address", *shown)
        return passes(f"DNAT rule {one.name} leads to {service.namespace}/{service.name} of {cluster.name}", *shown)
    if found := _others(clusters[0], str(address)):
        return not_applicable(f"DNAT rule {one.name} leads to something else than a Service", translated, found)
    for cluster in clusters:
        all_services(cluster)
    return fails(f"DNAT rule {one.name} leads to {address}, which no Service has", *one.evidence)


def _front_ends(cluster: ManagedCluster) -> dict[Address, Service]:
    """The Services of type LoadBalancer by their addresses."""
    held = cluster.estate.within(Service, cluster.id)
    return {address: service for service in held if service.balanced for address in service.addresses}


def _others(cluster: ManagedCluster, address: str) -> Evidence | None:
    """What else was read that has an address: a network interface, or a front end of an application gateway."""
    for interface in cluster.estate.every(NetworkInterface):
        for one in interface.ip_configurations or ():
            if one.private_ip_address == address:
                return one.at(InterfaceIPConfiguration.private_ip_address)
    for gateway in cluster.estate.every(ApplicationGateway):
        for front in gateway.frontends or ():
            if front.private_ip_address == address:
                return front.at(GatewayFrontend.private_ip_address)
    return None


_LONGEST_REFUSED = 12
"""The length of an IPv4 prefix that AKS refuses, with all shorter ones."""

_FULL = 0.8
"""The part of a range that may be taken before there is too little room."""


@rule(
    "AKS-SUB-13",
    title="The service CIDR holds the Services and no more than AKS takes",
    severity=Severity.LOW,
    controls=(review_checklist("43f63047-22d9-429c-8b1c-d622f54b29ba"),),
)
def service_cidr_sized(cluster: ManagedCluster) -> Verdict:
    """Once the service CIDR is full no Service can be made, and the range that a cluster was made with cannot be changed.

    Severity: deployments fail, and running Services go on.
    Decided: `networkProfile.serviceCidrs` (or `serviceCidr`), and the ranges of ServiceCIDR objects beyond it, by which
    Kubernetes 1.33 and newer can be given more. An IPv4 range of /12 or shorter fails: AKS demands a longer prefix. For each
    family the addresses in `spec.clusterIPs` of all Services must be no more than four fifths of the ranges, less an
    IPv4 range's first and last address. Unknown where the Services were not read.
    Fix: az aks command invoke --resource-group {group} --name {name} --file more.yaml --command 'kubectl apply --filename more.yaml' # a ServiceCIDR
    Bicep: properties.networkProfile.serviceCidr: only for a new cluster
    Change: in place for a further range; new cluster for another first one
    References: https://learn.microsoft.com/azure/aks/configure-azure-cni
        https://kubernetes.io/docs/tasks/network/extend-service-ip-ranges/
    """
    shown = (cluster.at(ManagedCluster.service_cidrs), cluster.at(ManagedCluster.service_cidr))
    own = (*(cluster.service_cidrs or ()), *((cluster.service_cidr,) if cluster.service_cidr else ()))
    if not own:
        return undecided("The body does not name the service CIDR", *shown)
    wide = [range_ for range_ in own if isinstance(range_, IPv4Network) and range_.prefixlen <= _LONGEST_REFUSED]
    if wide:
        return fails(f"The service CIDR {wide[0]} is too large for AKS: it takes /13 and longer", *shown)
    further = cluster.estate.within(ServiceCIDR, cluster.id)
    ranges = list(dict.fromkeys((*own, *(cidr for one in further for cidr in one.cidrs or ()))))
    taken = _taken(cluster)
    families = sorted({range_.version for range_ in ranges})
    verdict = each(families, lambda version: _room(version, ranges, taken, shown))
    if verdict.outcome is Outcome.FAIL:
        further.whole()
    return verdict


def _taken(cluster: ManagedCluster) -> tuple[Address, ...]:
    return tuple(address for service in all_services(cluster) for address in _cluster_ips(service))


def _cluster_ips(service: Service) -> Iterator[Address]:
    if not service.cluster_ips and service.kind_of_service != "ExternalName":
        raise Malformed(service.id, service.at(Service.cluster_ips).pointer, "a Service without its addresses")
    for text in service.cluster_ips or ():
        if text != "None":  # a headless Service has no address
            try:
                yield ip_address(text)
            except ValueError:
                raise Malformed(service.id, service.at(Service.cluster_ips).pointer, "no address") from None


def _room(version: int, ranges: list[Network], taken: tuple[Address, ...], shown: tuple[Evidence, ...]) -> Verdict:
    own = [range_ for range_ in ranges if range_.version == version]
    room = sum(range_.num_addresses - (2 if isinstance(range_, IPv4Network) else 1) for range_ in own)
    used = sum(1 for address in taken if address.version == version and any(address in range_ for range_ in own))
    message = f"{used} of {room} addresses of {', '.join(map(str, own))} are taken"
    if used > room * _FULL:
        return fails(message, *shown)
    return passes(message, *shown)


RULES = (dnat_to_live_front_end, service_cidr_sized)
