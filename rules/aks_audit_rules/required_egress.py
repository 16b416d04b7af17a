"""Whether a firewall lets clusters reach what they need."""

from ipaddress import ip_address
from typing import NamedTuple

from aks_audit.facts import ClusterFirewall, ManagedCluster
from aks_audit.network.addresses import AddressSet
from aks_audit.network.firewall import FirewallAction, FirewallVerdict, judge_sources
from aks_audit.network.flows import Flow
from aks_audit.network.required_egress import Need, needs
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.egress import CLOSED
from aks_audit_rules.firewall import prefixes_of

_ITSELF = frozenset({"base", "public-api-server", "AKS's own list"})
"""What a cluster itself needs, where all else is an add-on's."""


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
    own = [prefix for prefix in prefixes if prefix.version in families]
    if not own:
        return not_applicable(f"No nodes of {cluster.name} leave through the firewall", outbound)
    answers: dict[tuple[FirewallAction, str], list[_Answer]] = {}
    for need in needs(cluster):
        flow = Flow(own[0].network_address, None, need.name, need.protocol, need.port)
        for part in judge_sources(firewall, AddressSet.of(own), flow, need.known):
            verdict = part.verdict
            answers.setdefault((verdict.action, verdict.reason), []).append(_Answer(need, verdict))
    return each(answers.values(), lambda same: _judge_answers(cluster, same))


class _Answer(NamedTuple):
    need: Need
    verdict: FirewallVerdict


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
    worst = Severity.HIGH if any(answer.need.why in _ITSELF for answer in same) else Severity.MEDIUM
    return fails(told, *evidence, severity=worst)


def _named(answers: list[_Answer], why: str) -> list[str]:
    return list(dict.fromkeys(str(answer.need) for answer in answers if answer.need.why == why))


RULES = (required_egress_is_allowed,)
