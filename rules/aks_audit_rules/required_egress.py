"""Whether a firewall lets clusters reach what they need, by AKS's own list or by `data/required_egress.toml`."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, NamedTuple, TypeVar

import msgspec

from aks_audit.facts import AddOn, ClusterFirewall, Malformed, ManagedCluster, NotCollected, OSType, View
from aks_audit.facts.egress import EndpointDependency, EndpointDetail, OutboundEndpoints
from aks_audit.network.addresses import AddressSet
from aks_audit.network.firewall import FirewallAction, FirewallVerdict, KnownDestination, judge_sources
from aks_audit.network.flows import Address, Flow
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.egress import CLOSED
from aks_audit_rules.firewall import prefixes_of

T = TypeVar("T")

Feature = Literal[
    "base",
    "public-api-server",
    "windows",
    "gpu",
    "defender",
    "container-insights",
    "managed-prometheus",
    "azure-policy",
]
"""What of a cluster needs egress."""

Cloud = Literal["public", "china", "us-government"]


class Egress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Names that a feature needs on a TCP port, and the tags of Azure that hold them."""

    cloud: Cloud
    feature: Feature
    names: tuple[str, ...]
    port: int
    fqdn_tags: tuple[str, ...]
    service_tags: tuple[str, ...]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    as_of: dt.date
    sources: tuple[str, ...]
    egress: tuple[Egress, ...]


_TABLE = msgspec.toml.decode(files("aks_audit_rules").joinpath("data/required_egress.toml").read_bytes(), type=_Table)
REQUIRED = _TABLE.egress


class Need(NamedTuple):
    """One connection that nodes must be able to open: where to, and why."""

    name: str
    protocol: Literal["tcp", "udp"]
    port: int
    known: KnownDestination
    why: str

    @property
    def severity(self) -> Severity:
        """High where the cluster itself needs it, medium where an add-on does."""
        return Severity.HIGH if self.why in _ITSELF else Severity.MEDIUM

    def __str__(self) -> str:
        """The name and port."""
        return f"{self.name}:{self.port}" + ("/udp" if self.protocol == "udp" else "")


_ITSELF = frozenset({"base", "public-api-server", "AKS's own list"})


def _enabled(add_on: AddOn | None) -> bool:
    return bool(add_on and add_on.enabled)


_FEATURES: Mapping[Feature, Callable[[ManagedCluster], bool]] = {
    "base": lambda _cluster: True,
    "public-api-server": lambda cluster: not (cluster.enable_private_cluster or cluster.enable_vnet_integration),
    "windows": lambda cluster: any(pool.os_type is OSType.WINDOWS for pool in cluster.pools),
    "gpu": lambda cluster: any(_has_gpu(pool.vm_size or "") for pool in cluster.pools),
    "defender": lambda cluster: bool(cluster.defender_enabled or cluster.legacy_defender_enabled),
    "container-insights": lambda cluster: _enabled(cluster.oms_agent) or bool(cluster.container_insights_enabled),
    "managed-prometheus": lambda cluster: bool(cluster.monitor_metrics_enabled),
    "azure-policy": lambda cluster: _enabled(cluster.azure_policy),
}
"""Whether a cluster has a feature."""


def _has_gpu(vm_size: str) -> bool:
    return vm_size.lower().startswith(("standard_nc", "standard_nd", "standard_ng", "standard_nv"))


def needs(cluster: ManagedCluster) -> tuple[Need, ...]:
    """What the nodes of a cluster must reach: AKS's own list; the documented one only where nobody asked AKS.

    Raises:
        NotCollected: AKS was asked, and its list could not be read. It may hold more than the documented one.
        Malformed: the cluster does not name its region, or its API server, or AKS's list is not whole.
    """
    own = OutboundEndpoints.id_of(cluster)
    try:
        listed = cluster.estate.resource(OutboundEndpoints, own)
    except NotCollected:
        if cluster.estate.tried(OutboundEndpoints, own):
            raise
        return tuple(dict.fromkeys(_documented(cluster)))
    return tuple(dict.fromkeys(_listed(listed)))


def _documented(cluster: ManagedCluster) -> Iterator[Need]:
    location = _stated(cluster, cluster.location, "location").lower().replace(" ", "")
    for egress in REQUIRED:
        if egress.cloud != cloud_of(location) or not _FEATURES[egress.feature](cluster):
            continue
        known = _known(egress.service_tags, egress.fqdn_tags, location)
        for name in egress.names:
            if name == "{api-server}":
                written = _stated(cluster, cluster.fqdn, "properties.fqdn").lower()
            else:
                written = name.format(location=location)
            yield Need(written, "tcp", egress.port, known, egress.feature)


def _known(service_tags: tuple[str, ...], fqdn_tags: tuple[str, ...], location: str) -> KnownDestination:
    held = frozenset(tag.format(location=location).lower() for tag in service_tags)
    return KnownDestination(True, held, frozenset(map(str.lower, fqdn_tags)))  # noqa: FBT003 - a value, not a switch


def cloud_of(location: str) -> Cloud:
    """The Azure cloud that a region is in, by the region's name."""
    if location.startswith("china"):
        return "china"
    return "us-government" if location.startswith(("usgov", "usdod")) else "public"


def _listed(listed: OutboundEndpoints) -> Iterator[Need]:
    for category in _stated(listed, listed.categories, "value"):
        if "optional" in _stated(category, category.category, "category").lower():
            continue
        for endpoint in _stated(category, category.endpoints, "endpoints"):
            for detail in _stated(endpoint, endpoint.details, "endpointDetails"):
                yield _of_detail(endpoint, detail)


def _of_detail(endpoint: EndpointDependency, detail: EndpointDetail) -> Need:
    written = _stated(detail, endpoint.domain_name or detail.ip_address, "ipAddress").lower()
    protocol = _stated(detail, detail.protocol, "protocol").lower()
    port = _stated(detail, detail.port, "port")
    service_tags = _TAGS.get(written) if endpoint.domain_name else frozenset({written})
    known = KnownDestination(public=True, service_tags=service_tags, fqdn_tags=frozenset({"azurekubernetesservice"}))
    return Need(written, "udp" if protocol == "udp" else "tcp", port, known, "AKS's own list")


_TAGS = {
    name: frozenset(tag.lower() for tag in egress.service_tags)
    for egress in REQUIRED
    for name in egress.names
    if "{" not in name
}


def _stated(view: View, value: T | None, name: str) -> T:
    if value is None:
        raise Malformed(view.document.id, f"{view.pointer}/{name.replace('.', '/')}", f"it is without its {name}")
    return value


@rule("AKS-EGR-15", title="The firewall allows what clusters need to reach", severity=Severity.HIGH)
def required_egress_is_allowed(firewall: ClusterFirewall) -> Verdict:
    """Nodes need a few names on the internet to start, to join their cluster and to be upgraded.

    What the firewall refuses shows only when a node is made: the cluster seems well until it scales.

    Severity: new nodes do not join and upgrades fail; where only an add-on is refused (monitoring, Defender, Azure Policy,
    Windows or GPU binaries) it counts as medium.
    Decided: for each cluster whose default route leads to the firewall, each connection that it needs is put to the firewall's
    rules from all addresses of its node subnets (of IPv6 ones only where routes for IPv6 can lead to it): parents' rules first, network before application rules, IP groups, FQDN
    tags, wildcards. AKS's own list decides where it was read (`outboundNetworkDependenciesEndpoints`, all categories but
    optional ones), and where it was asked for and could not be read the answer is unknown; where nobody asked for it, the
    documented names for its cloud and for what is switched on in its body decide: a public API server,
    Windows or GPU pools, Defender, Container insights, managed Prometheus, Azure Policy. The tag `AzureKubernetesService`
    holds all of them by documentation. Unknown where it cannot be told whether a rule matches (a service tag such as
    `AzureCloud`, a web category, a name without DNS proxy) and it matters. Clusters with outbound type `none` or `block` are
    left out. Not seen: a private link scope for Azure Monitor, past which nothing goes to the firewall.
    Fix: az network firewall policy rule-collection-group collection add-filter-collection --policy-name <policy> --resource-group {group} --rule-collection-group-name <group> --name aks --collection-priority 200 --action Allow --rule-type ApplicationRule --rule-name aks --source-addresses <node-subnet-prefix> --protocols Https=443 Http=80 --fqdn-tags AzureKubernetesService
    Bicep: firewallPolicies/ruleCollectionGroups: an ApplicationRule with fqdnTags: ['AzureKubernetesService']
    Change: in place
    References: https://learn.microsoft.com/azure/aks/outbound-rules-control-egress
    https://learn.microsoft.com/azure/aks/limit-egress-traffic
    https://learn.microsoft.com/azure/firewall/fqdn-tags
    """
    return each(firewall.clusters, lambda cluster: _judge_cluster(firewall, cluster))


def _judge_cluster(firewall: ClusterFirewall, cluster_id: str) -> Verdict:
    cluster = firewall.estate.resource(ManagedCluster, cluster_id)
    outbound = cluster.at(ManagedCluster.outbound_type)
    families = {ip_address(address).version for address in firewall.private_addresses}
    if cluster.outbound_type in CLOSED:
        return not_applicable("AKS gives the clusters no way out", outbound)
    prefixes = [prefix for subnet in firewall.node_subnets(cluster) for prefix in prefixes_of(subnet)]
    sources = AddressSet.of(prefix for prefix in prefixes if prefix.version in families)
    if sources.empty:
        return not_applicable(f"No nodes of {cluster.name} leave through the firewall", outbound)
    answers: dict[tuple[FirewallAction, str], list[_Answer]] = {}
    for need in needs(cluster):
        flow = Flow(_first(sources), None, need.name, need.protocol, need.port)
        for part in judge_sources(firewall, sources, flow, need.known):
            verdict = part.verdict
            answers.setdefault((verdict.action, verdict.reason), []).append(_Answer(need, verdict))
    return each(answers.values(), lambda same: _judge_answers(cluster, same))


class _Answer(NamedTuple):
    need: Need
    verdict: FirewallVerdict


def _first(addresses: AddressSet) -> Address:
    return IPv4Address(addresses.v4.ranges[0][0]) if addresses.v4 else IPv6Address(addresses.v6.ranges[0][0])


def _judge_answers(cluster: ManagedCluster, same: list[_Answer]) -> Verdict:
    """The verdict about connections with which the firewall does the same thing for the same reason."""
    verdict = same[0].verdict
    evidence = verdict.evidence or (cluster.at(ManagedCluster.outbound_type),)
    reasons = dict.fromkeys(answer.need.why for answer in same)
    wanted = "; ".join(f"{why}: {', '.join(_named(same, why))}" for why in reasons)
    told = f"{cluster.name} needs ({wanted}), and {verdict.reason[:1].lower()}{verdict.reason[1:]}"
    if verdict.action is FirewallAction.ALLOW:
        return passes("Every connection that the clusters need is allowed", *evidence)
    if verdict.action is FirewallAction.UNDECIDED:
        return undecided(told, *evidence)
    worst = min((answer.need.severity for answer in same), key=list(Severity).index)
    return fails(told, *evidence, severity=worst)


def _named(answers: list[_Answer], why: str) -> list[str]:
    return list(dict.fromkeys(str(answer.need) for answer in answers if answer.need.why == why))


RULES = (required_egress_is_allowed,)
