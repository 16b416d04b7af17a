"""What a cluster is called, and what its tags say of it."""

import re

from aks_audit.facts import ManagedCluster
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, passes, rule, undecided
from aks_audit_rules.frameworks import psrule, the_aks_checklist

_LONGEST_NAME = 63
_LONGEST_PREFIX = 54
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?", re.IGNORECASE)
_PREFIX = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.IGNORECASE)


@rule(
    "AKS-CP-26",
    title="The cluster's name and DNS prefix are well formed",
    severity=Severity.INFO,
    # PSRule's Azure.AKS.Naming and those of pools ask for a convention of one's own, which is a rule of one's own.
    controls=(psrule("Azure.AKS.Name"), psrule("Azure.AKS.DNSPrefix")),
)
def well_formed_names(cluster: ManagedCluster) -> Verdict:
    """Names go into host names, resource groups and scripts, and nothing renames a cluster later.

    Severity: Azure refuses most of what would break; a name at the edge is trouble for tools, not for security.
    Decided: the name has at most 63 letters, digits, underscores and hyphens; `properties.dnsPrefix`, or
    `properties.fqdnSubdomain` of a cluster with a private DNS zone of its own, has at most 54 letters, digits and
    hyphens. Both begin and end with a letter or digit. A body with neither of the two is unknown. A convention beyond
    that is yours: write it as a rule of your own (`aks-audit rules new --declarative`).
    Fix: az aks create --resource-group {group} --name NAME --dns-name-prefix PREFIX
    Bicep: properties.dnsPrefix: 'aks-shop-prod'
    Change: new cluster; neither can be changed
    References: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
    """
    prefix = cluster.dns_prefix or cluster.fqdn_subdomain
    evidence = cluster.at(ManagedCluster.dns_prefix), cluster.at(ManagedCluster.fqdn_subdomain)
    if len(cluster.name) > _LONGEST_NAME or not _NAME.fullmatch(cluster.name):
        return fails(f"The name {cluster.name} is not well formed")
    if prefix is None:
        return undecided("The body names neither a DNS prefix nor a subdomain", *evidence)
    if len(prefix) > _LONGEST_PREFIX or not _PREFIX.fullmatch(prefix):
        return fails(f"The DNS prefix {prefix} is not well formed", *evidence)
    return passes("The name and the DNS prefix are well formed", *evidence)


@rule(
    "AKS-CP-27",
    title="The cluster has tags",
    severity=Severity.INFO,
    controls=(the_aks_checklist("574bd2fe-f58b-4199-b334-f7eff3ef90c8"),),
)
def tagged(cluster: ManagedCluster) -> Verdict:
    """Tags tell whose a cluster is, what it is for and who pays, when someone has to decide about it at night.

    Severity: nothing is open without them; it is only harder to find whom to ask.
    Decided: `tags` has at least one entry; empty and absent fail. Which tags, and with which values, is yours to say: by
    Azure Policy, or a rule of your own.
    Fix: az aks update --resource-group {group} --name {name} --tags owner=TEAM environment=production
    Bicep: tags.owner: 'TEAM'
    Change: in place; AKS copies the tags to what it makes in the node resource group
    References: https://learn.microsoft.com/azure/aks/use-tags
    """
    evidence = cluster.at(ManagedCluster.tags)
    if cluster.tags:
        return passes(f"The cluster has the tags {', '.join(sorted(cluster.tags))}", evidence)
    return fails("The cluster has no tags", evidence)


RULES = (well_formed_names, tagged)
