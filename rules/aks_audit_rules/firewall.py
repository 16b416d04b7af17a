"""The Azure Firewall that clusters leave through: what it lets out and in, and how it is set up.

Each firewall is judged once and names the clusters whose default route leads to it.
"""

from collections.abc import Callable, Iterable

from aks_audit.facts import (
    ClusterFirewall,
    Evidence,
    LoadBalancer,
    Malformed,
    ManagedCluster,
    Network,
    OutboundType,
    VirtualNetwork,
)
from aks_audit.facts.enumerations import (
    ArtifactSource,
    ConnectionState,
    FirewallTier,
    IntrusionDetectionMode,
    ThreatIntelMode,
)
from aks_audit.facts.firewall import AzureFirewall, FirewallIPConfiguration, FirewallPolicy, FirewallRule
from aks_audit.facts.networking import PrivateEndpoint, Subnet
from aks_audit.network.addresses import EVERYTHING, PUBLIC, AddressSet, RangeSet, internet_wide
from aks_audit.network.firewall import dns_proxy, threat_intelligence
from aks_audit.network.firewall_rules import APPLICATION, NAT, NETWORK, PlacedRule, placed_rules, written_addresses
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import aprl, azqr, azure_policy, checkov, psrule

WEB = RangeSet([(80, 80), (443, 443)])
ADMINISTRATION = {22: "SSH", 3389: "RDP", 6443: "the Kubernetes API", 10250: "the kubelet"}
"""Ports by which machines and clusters are administered."""

LEAST_ZONES = 2
LEAST_ADDRESSES = 2


def rules_of(firewall: ClusterFirewall) -> tuple[PlacedRule, ...]:
    """Every rule of a firewall in order, taken apart once for all who ask."""
    return firewall.estate.once(placed_rules, firewall)


def cluster_addresses(firewall: ClusterFirewall) -> AddressSet:
    """The addresses of the subnets that leave through the firewall.

    Raises:
        NotCollected: a subnet was not read.
        Malformed: a subnet is without prefixes.
    """
    return AddressSet.of(prefix for subnet in firewall.subnets for prefix in prefixes_of(subnet))


def prefixes_of(subnet: Subnet) -> tuple[Network, ...]:
    """The prefixes of a subnet.

    Raises:
        Malformed: it has none.
    """
    if not subnet.prefixes:
        raise Malformed(subnet.id, f"{subnet.pointer}/properties/addressPrefix", "a subnet without its prefixes")
    return subnet.prefixes


def _judge_allowing(
    firewall: ClusterFirewall, kinds: Iterable[object], judge: Callable[[PlacedRule], Verdict], nothing: str
) -> Verdict:
    """The worst answer about rules that allow; where nothing is wrong, one rule of each group stands for all."""
    allowing = [one for one in rules_of(firewall) if one.kind in kinds and one.allows]
    if not allowing:
        return not_applicable(nothing, firewall.at(AzureFirewall.firewall_policy))
    verdict = each(allowing, judge)
    if verdict.outcome is Outcome.FAIL or verdict.outcome is Outcome.UNKNOWN:
        return verdict
    first = {one.view.document.id: one.view for one in reversed(allowing)}
    shown = tuple(view.at(FirewallRule.name) for view in first.values())
    return Verdict(outcome=verdict.outcome, message=verdict.message, evidence=shown)


@rule(
    "AKS-EGR-10",
    title="The firewall denies traffic of known malicious addresses and names",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("da79a7e2-8aa1-45ed-af81-ba050c153564"),
        azure_policy("7c591a93-c34c-464c-94ac-8f9f9a46e3d6"),
        psrule("Azure.Firewall.Mode"),
        psrule("Azure.Firewall.PolicyMode"),
        checkov("CKV_AZURE_216"),
    ),
)
def threat_intelligence_denies(firewall: ClusterFirewall) -> Verdict:
    """Microsoft keeps lists of addresses and names from which attacks are run; the firewall can refuse them by itself.

    It looks at the lists before any rule, so that a rule that allows too much does not open the way to them.

    Severity: without it, a compromised pod reaches the well-known servers of attackers wherever a rule is wide enough; where
    the mode is Alert the connection is made and somebody may read about it, so that counts as low.
    Decided: `threatIntelMode` of the firewall's policy and its parents, the strictest of them, or of the firewall itself where
    it has no policy: `Deny` passes, `Off` fails, `Alert` fails as low. Absent means `Alert`, Azure's default.
    Fix: az network firewall policy update --ids {policy} --threat-intel-mode Deny
    Bicep: firewallPolicies properties.threatIntelMode: 'Deny'
    Change: in place; connections to listed addresses are cut
    References: https://learn.microsoft.com/azure/firewall/threat-intel
    """
    mode = threat_intelligence(firewall)
    policy = firewall.firewall_policy
    field = firewall.at(AzureFirewall.threat_intel_mode)
    evidence = policy.read().at(FirewallPolicy.threat_intel_mode) if policy else field
    if mode is ThreatIntelMode.DENY:
        return passes("Threat intelligence denies", evidence)
    if mode is ThreatIntelMode.OFF:
        return fails("Threat intelligence is off", evidence)
    return fails("Threat intelligence only alerts", evidence, severity=Severity.LOW)


@rule(
    "AKS-EGR-11",
    title="The firewall is a DNS proxy where names in network rules or its clients need it",
    severity=Severity.MEDIUM,
    controls=(azure_policy("3f84c9b0-8b64-4208-98d4-6ada96bb49c3"),),
)
def dns_proxy_on(firewall: ClusterFirewall) -> Verdict:
    """A network rule with a name lets through the addresses that the firewall itself gets for the name.

    Unless its clients ask the firewall, they may get other addresses than it did, and are refused now and then. And where a
    network's DNS server is the firewall, nothing answers without the proxy.

    Severity: connections that a rule allows fail at times and for no visible reason, or no name is resolved at all.
    Decided: `dnsSettings.enableProxy` of the firewall's policy, or `Network.DNS.EnableProxy` of a firewall without policy. True
    passes. It is needed where a network rule has `destinationFqdns`, or where the DNS servers of a cluster's network name the
    firewall's private address; then false fails, and so does absence (Azure's default is off), except that a policy with a
    parent may have it from there, which is unknown. Where nothing needs it, its absence is not applicable.
    Fix: az network firewall policy update --ids {policy} --enable-dns-proxy true
    Bicep: firewallPolicies properties.dnsSettings.enableProxy: true
    Change: in place; then set the firewall's private address as the DNS server of the networks, and restart the nodes
    References: https://learn.microsoft.com/azure/firewall/dns-settings
    https://learn.microsoft.com/azure/firewall/fqdn-filtering-network-rules
    """
    evidence = _proxy_evidence(firewall)
    proxy = dns_proxy(firewall)
    if proxy:
        return passes("DNS proxy is on", evidence)
    needs = [*_named_network_rules(firewall), *_networks_that_ask(firewall)]
    if not needs:
        return not_applicable("DNS proxy is off, and no network rule and no cluster's network needs it", evidence)
    policy = firewall.firewall_policy
    if proxy is None and policy and policy.read().base_policy_id:
        return undecided("The policy has no DNS settings of its own, and what its parent says may count", evidence)
    reasons = "; ".join(dict.fromkeys(reason for reason, _ in needs))
    return fails(f"DNS proxy is off, but {reasons}", evidence, *(shown for _, shown in needs))


def _proxy_evidence(firewall: ClusterFirewall) -> Evidence:
    policy = firewall.firewall_policy
    if policy:
        return policy.read().at(FirewallPolicy.dns_proxy)
    return firewall.at(AzureFirewall.additional_properties)


def _named_network_rules(firewall: ClusterFirewall) -> list[tuple[str, Evidence]]:
    named = [one for one in rules_of(firewall) if one.kind is NETWORK and one.view.destination_fqdns]
    return [(f"network rule {one.name} names a host", one.view.at(type(one.view).destination_fqdns)) for one in named]


def _networks_that_ask(firewall: ClusterFirewall) -> list[tuple[str, Evidence]]:
    ids = sorted({subnet.virtual_network_id for subnet in firewall.subnets})
    networks = [firewall.estate.resource(VirtualNetwork, network) for network in ids]
    asking = [one for one in networks if set(one.dns_servers or ()) & set(firewall.private_addresses)]
    return [(f"{one.name} asks it for names", one.at(VirtualNetwork.dns_servers)) for one in asking]


@rule("AKS-EGR-12", title="No network rule lets web traffic past the application rules", severity=Severity.HIGH)
def network_rules_leave_the_web_alone(firewall: ClusterFirewall) -> Verdict:
    """Network rules come before application rules, whatever their priorities, and the first match ends the search.

    So one network rule that allows port 443 to anywhere undoes every list of names behind it: the names are never looked at.

    Severity: the list of names looks like a filter in every review, and filters nothing: data leaves to any host.
    Decided: the rules of the firewall, its policy and the policy's parents. A network rule fails that allows TCP 80 or 443 from
    an address in a node or pod subnet to `*`, to more of the internet than one /8, or to the service tag `AzureCloud` (which
    holds every customer's addresses), with or without a region. Not applicable where no application rule allows anything:
    then there is nothing to go past.
    Fix: az network firewall policy rule-collection-group collection rule remove --policy-name <policy> --resource-group {group} --rule-collection-group-name <group> --collection-name <collection> --name <rule>
    Bicep: firewallPolicies/ruleCollectionGroups: an ApplicationRule with targetFqdns or fqdnTags in place of the NetworkRule
    Change: in place; first allow by name what the network rule was made for
    References: https://learn.microsoft.com/azure/firewall/rule-processing
    https://learn.microsoft.com/azure/aks/limit-egress-traffic
    """
    if not any(one.kind is APPLICATION and one.allows for one in rules_of(firewall)):
        return not_applicable("No application rule allows anything", firewall.at(AzureFirewall.firewall_policy))
    ours = cluster_addresses(firewall)
    well = passes("No network rule allows web traffic of the clusters to anywhere")

    def judge(one: PlacedRule) -> Verdict:
        wanted = one.conditions
        web = wanted.protocols & {"tcp", "any"} and wanted.ports.meets(WEB)
        wide = internet_wide(wanted.addresses) or any(tag.startswith("azurecloud") for tag in wanted.service_tags)
        if web and wide and wanted.sources.overlaps(ours):
            return fails(f"Network rule {one.name} allows web traffic to anywhere, past every name", *one.evidence)
        return well

    nothing = "No network rule allows anything"
    return _judge_allowing(firewall, {NETWORK}, judge, nothing)


@rule("AKS-EGR-13", title="No network rule allows any source to reach any destination", severity=Severity.HIGH)
def no_any_to_any(firewall: ClusterFirewall) -> Verdict:
    """A rule from everywhere to everywhere turns the firewall into a router for its ports.

    It is often left from a trial ("allow 22 and 443 until it works"), and it holds for everything that is routed through the
    firewall, not for the clusters alone.

    Severity: every network behind the firewall reaches every host on these ports, and each other.
    Decided: network rules that allow, of the firewall, its policy and the policy's parents. A rule fails whose sources are all
    IPv4 addresses (`*`, `0.0.0.0/0`, or prefixes that add up to them) and whose destinations are all addresses of the
    internet, on any port. Not applicable where no network rule allows anything.
    Fix: az network firewall policy rule-collection-group collection rule update --policy-name <policy> --resource-group {group} --rule-collection-group-name <group> --collection-name <collection> --name <rule> --source-addresses <node-subnet-prefix> --destination-addresses <prefix>
    Bicep: firewallPolicies/ruleCollectionGroups properties.ruleCollections[].rules[].sourceAddresses and destinationAddresses
    Change: in place; what else used the rule needs rules of its own
    References: https://learn.microsoft.com/azure/firewall/rule-processing
    """
    well = passes("Every network rule that allows is limited to sources or destinations")

    def judge(one: PlacedRule) -> Verdict:
        wanted = one.conditions
        if wanted.sources.v4 == EVERYTHING.v4 and PUBLIC.v4 <= wanted.addresses.v4:
            return fails(f"Network rule {one.name} allows any source to reach any destination", *one.evidence)
        return well

    return _judge_allowing(firewall, {NETWORK}, judge, "No network rule allows anything")


@rule("AKS-EGR-14", title="No application rule allows clusters to reach any name", severity=Severity.HIGH)
def no_catch_all(firewall: ClusterFirewall) -> Verdict:
    """An application rule for `*` allows every site, and so does one for a whole top-level domain.

    Web categories are sets that somebody else fills: a rule that allows one allows every site that ever is put into it.

    Severity: the firewall then knows names and refuses none, so data leaves to any host. A web category holds less than
    everything, so it counts as medium.
    Decided: application rules that allow, of the firewall, its policy and the policy's parents, from an address in a node or pod
    subnet. `targetFqdns` with `*` or with `*.` and one label fail; so does `targetUrls` with such a host; `webCategories`
    that are not empty fail as medium. FQDN tags pass. Not applicable where no application rule allows anything.
    Fix: az network firewall policy rule-collection-group collection rule update --policy-name <policy> --resource-group {group} --rule-collection-group-name <group> --collection-name <collection> --name <rule> --target-fqdns <name>
    Bicep: firewallPolicies/ruleCollectionGroups properties.ruleCollections[].rules[].targetFqdns
    Change: in place; sites that are not named are then refused
    References: https://learn.microsoft.com/azure/firewall/rule-processing
    https://learn.microsoft.com/azure/firewall/web-categories
    https://learn.microsoft.com/azure/aks/limit-egress-traffic
    """
    ours = cluster_addresses(firewall)
    well = passes("Every application rule that allows names hosts or FQDN tags")

    def judge(one: PlacedRule) -> Verdict:
        wanted = one.conditions
        if not wanted.sources.overlaps(ours):
            return not_applicable("No application rule is about the clusters")
        hosts = [*wanted.fqdns, *(url.partition("/")[0] for url in wanted.urls)]
        if any(_catches_all(host) for host in hosts):
            return fails(f"Application rule {one.name} allows any name", *one.evidence)
        if wanted.web_categories:
            told = f"Application rule {one.name} allows whole web categories: {', '.join(wanted.web_categories)}"
            return fails(told, *one.evidence, severity=Severity.MEDIUM)
        return well

    return _judge_allowing(firewall, {APPLICATION}, judge, "No application rule allows anything")


def _catches_all(host: str) -> bool:
    return host.startswith("*") and host.lstrip("*").lstrip(".").count(".") == 0


@rule("AKS-EGR-16", title="Firewall rules for clusters name the clusters' own sources", severity=Severity.MEDIUM)
def rules_are_scoped(firewall: ClusterFirewall) -> Verdict:
    """A rule whose source is everything gives what one cluster needs to every network behind the firewall.

    So each new network gets it too, and nobody can tell later for whom a rule was made, or take it away.

    Severity: it widens the reach of others more than that of the cluster itself.
    Decided: network and application rules that allow, of the firewall, its policy and the policy's parents, and that match
    sources in a node or pod subnet. One whose sources, with its IP groups, are all IPv4 addresses fails. Rules that deny may
    have any source. Not applicable where no rule allows the clusters anything.
    Fix: az network firewall policy rule-collection-group collection rule update --policy-name <policy> --resource-group {group} --rule-collection-group-name <group> --collection-name <collection> --name <rule> --source-ip-groups <ip-group-of-the-node-subnets>
    Bicep: firewallPolicies/ruleCollectionGroups properties.ruleCollections[].rules[].sourceIpGroups
    Change: in place; other networks that used the rule need rules of their own
    References: https://learn.microsoft.com/azure/firewall/ip-groups
    https://learn.microsoft.com/azure/aks/limit-egress-traffic
    """
    ours = cluster_addresses(firewall)
    well = passes("Every rule that allows the clusters something names its sources")

    def judge(one: PlacedRule) -> Verdict:
        sources = one.conditions.sources
        if sources.v4 == EVERYTHING.v4:
            return fails(f"Rule {one.name} allows every source", *one.evidence)
        if not sources.overlaps(ours):
            return not_applicable("No rule allows the clusters anything")
        return well

    return _judge_allowing(firewall, {NETWORK, APPLICATION}, judge, "No rule allows anything")


@rule("AKS-EGR-18", title="No DNAT rule leads to nodes, pods or ports of administration", severity=Severity.HIGH)
def no_dnat_to_nodes(firewall: ClusterFirewall) -> Verdict:
    """A DNAT rule publishes what it leads to on the internet; it is for the front end of an ingress, not for machines.

    Severity: whoever reaches the firewall's public address reaches a node, a pod or an administrator's port directly, past the
    ingress and its checks.
    Decided: every DNAT rule of the firewall or its policy. One fails that translates to an address in a node or pod subnet,
    unless a load balancer's front end was read there (an internal ingress), or to port 22, 3389, 6443 or 10250. One
    that translates to a name is unknown, since its address is not known. Not applicable where there is no DNAT rule.
    Fix: az network firewall policy rule-collection-group collection rule remove --policy-name <policy> --resource-group {group} --rule-collection-group-name <group> --collection-name <collection> --name <rule>
    Bicep: firewallPolicies/ruleCollectionGroups properties.ruleCollections[].rules[].translatedAddress
    Change: in place; what used the published port is cut off
    References: https://learn.microsoft.com/azure/firewall/destination-nat-rules
    """
    translating = [one for one in rules_of(firewall) if one.kind is NAT]
    if not translating:
        return not_applicable("There is no DNAT rule", firewall.at(AzureFirewall.firewall_policy))
    ours = cluster_addresses(firewall)
    return each(translating, lambda one: _judge_translation(firewall, one, ours))


def _judge_translation(firewall: ClusterFirewall, one: PlacedRule, ours: AddressSet) -> Verdict:
    address, port = one.view.translated_address, one.view.translated_port
    known = written_addresses(address) if address else None
    if port and port.isdigit() and int(port) in ADMINISTRATION:
        return fails(f"DNAT rule {one.name} leads to port {port} ({ADMINISTRATION[int(port)]})", *one.evidence)
    if known is None or port is None:
        return undecided(f"DNAT rule {one.name} leads to no address that can be told", *one.evidence)
    if not known.overlaps(ours):
        return passes("No DNAT rule leads to a node or pod subnet, or to a port of administration", *one.evidence)
    fronts = (front for balancer in firewall.estate.every(LoadBalancer) for front in balancer.frontends or ())
    if any(front.private_ip_address == address for front in fronts):
        return passes("DNAT rules into the clusters' subnets lead to front ends of load balancers", *one.evidence)
    return fails(f"DNAT rule {one.name} leads to {address}, in a node or pod subnet", *one.evidence)


@rule(
    "AKS-EGR-20",
    title="The firewall is in at least two availability zones",
    severity=Severity.MEDIUM,
    controls=(
        aprl("c72b7fee-1fa0-5b4b-98e5-54bcae95bb74"),
        azure_policy("3e1f521a-d037-4709-bdd6-1f532f271a75"),
        psrule("Azure.Firewall.AvailabilityZone"),
        azqr("afw-003"),
    ),
)
def firewall_in_zones(firewall: ClusterFirewall) -> Verdict:
    """Nodes in three zones are of no use when the one way out is in a single zone.

    Severity: the outage of one zone stops the egress of every cluster behind the firewall, image pulls included.
    Decided: `zones` of the firewall: two or more pass, one fails, and so does none. Unknown for a firewall in a Virtual WAN hub
    without zones in its body: the hub decides there. Whether the region has zones is not looked up.
    Fix: az network firewall update --resource-group {group} --name {firewall} --zones 1 2 3
    Bicep: azureFirewalls zones: ['1', '2', '3']
    Change: in place where the region allows it, after the firewall was stopped; egress is interrupted meanwhile
    References: https://learn.microsoft.com/azure/reliability/reliability-firewall
    """
    evidence = firewall.at(AzureFirewall.zones)
    zones = set(firewall.zones or ())
    if len(zones) >= LEAST_ZONES:
        return passes(f"The firewall is in {len(zones)} zones", evidence)
    if not zones and firewall.virtual_hub:
        return undecided("The firewall is in a Virtual WAN hub, and its body names no zones", evidence)
    return fails(f"The firewall is in zone {min(zones)} alone" if zones else "The firewall is in no zone", evidence)


@rule(
    "AKS-EGR-21",
    title="The firewall looks for attacks and denies them, inside TLS too",
    severity=Severity.LOW,
    controls=(
        azure_policy("8c19196d-7fd7-45b2-a9b4-7288f47c769a"),
        azure_policy("6484db87-a62d-4327-9f07-80a2cbdf333a"),
        azure_policy("610b6183-5f00-4d68-86d2-4ab4cb3a67a5"),
        azure_policy("f516dc7a-4543-4d40-aad6-98f76a706b50"),
        azure_policy("711c24bb-7f18-4578-b192-81a6161e1f17"),
        azure_policy("a58ac66d-92cb-409c-94b8-8e48d7a96596"),
        azure_policy("f2c2d0a6-e183-4fc8-bd8f-363c65d3bbbf"),
        checkov("CKV_AZURE_220"),
    ),
)
def intrusions_are_denied(firewall: ClusterFirewall) -> Verdict:
    """A firewall that allows by name alone does not see what is carried to an allowed name.

    The Premium tier compares traffic with signatures of attacks, and with a certificate authority of one's own it also looks
    inside TLS.

    Severity: it is a second look at traffic that a rule already allows, and has its price in money and in upkeep.
    Decided: `sku.tier` of the firewall is `Premium`, and in its policy `intrusionDetection.mode` is `Deny` and
    `transportSecurity.certificateAuthority` is set. What of it lacks is named.
    Fix: az network firewall policy update --ids {policy} --sku Premium --idps-mode Deny --cert-name <name> --key-vault-secret-id <id>
    Bicep: firewallPolicies properties.intrusionDetection.mode: 'Deny', properties.transportSecurity.certificateAuthority
    Change: in place; clients must trust the authority, and what AKS itself needs must not be opened
    References: https://learn.microsoft.com/azure/firewall/premium-features
    Follows: AKS-EGR-22
    """
    tier = firewall.at(AzureFirewall.tier)
    if firewall.tier is not FirewallTier.PREMIUM:
        return fails(f"The firewall's tier is {firewall.tier or 'not Premium'}", tier)
    if firewall.firewall_policy is None:
        return fails("The firewall has no policy", tier, firewall.at(AzureFirewall.firewall_policy))
    policy = firewall.firewall_policy.read()
    mode, authority = policy.intrusion_detection_mode, policy.certificate_authority
    fields = (FirewallPolicy.intrusion_detection_mode, FirewallPolicy.certificate_authority)
    evidence = (tier, *(policy.at(field) for field in fields))
    lacking = [
        *([] if mode is IntrusionDetectionMode.DENY else [f"intrusion detection is {mode or 'off'}, not Deny"]),
        *([] if authority else ["TLS is not inspected"]),
    ]
    if lacking:
        return fails(f"In the policy, {' and '.join(lacking)}", *evidence)
    return passes("Premium, denies intrusions, and inspects TLS", *evidence)


@rule(
    "AKS-EGR-22",
    title="The firewall's rules are in a firewall policy",
    severity=Severity.LOW,
    controls=(
        azure_policy("794d77cc-fe65-4801-8514-230c0be387a8"),
        checkov("CKV_AZURE_219"),
    ),
)
def rules_are_in_a_policy(firewall: ClusterFirewall) -> Verdict:
    """Classic rules stand in one firewall and cannot be inherited, shared or reviewed apart from it.

    New features come to policies alone.

    Severity: the rules work, but nobody can give several firewalls the same baseline, nor get what is new.
    Decided: `firewallPolicy` of the firewall is set. Absent fails: the rules, if any, are classic.
    Fix: az network firewall update --resource-group {group} --name {firewall} --firewall-policy <policy>
    Bicep: azureFirewalls properties.firewallPolicy.id
    Change: in place, once the classic rules were migrated to a policy and taken out of the firewall
    References: https://learn.microsoft.com/azure/firewall-manager/migrate-to-policy
    """
    evidence = firewall.at(AzureFirewall.firewall_policy)
    if firewall.firewall_policy:
        return passes("The firewall has a policy", evidence)
    return fails("The firewall has no policy: its rules are classic", evidence)


@rule(
    "AKS-EGR-23",
    title="The firewall has addresses enough for the connections of clusters",
    severity=Severity.LOW,
    controls=(aprl("d2e4a38e-2307-4299-a217-4c0cebc9a7f6"), psrule("Azure.VNET.FirewallSubnetNAT")),
)
def snat_capacity(firewall: ClusterFirewall) -> Verdict:
    """Each public address gives each instance of the firewall 2,496 ports for connections to one and the same destination.

    A cluster that pulls images or talks to one service from hundreds of pods uses them up, and then connections fail at random.

    Severity: it fails under load only, but then for every cluster behind the firewall.
    Decided: at least two public addresses among the firewall's `ipConfigurations` (for a Virtual WAN hub,
    `hubIPAddresses.publicIPs.count`), or a NAT gateway on its subnet, which has 64,512 ports for each address. A firewall
    without any public address is not applicable: it leaves another way.
    Fix: az network firewall ip-config create --resource-group {group} --firewall-name {firewall} --name <name> --public-ip-address <address>
    Bicep: azureFirewalls properties.ipConfigurations, or natGateway of AzureFirewallSubnet
    Change: in place; partners that allow the old address must allow the new one, too
    References: https://learn.microsoft.com/azure/firewall/integrate-with-nat-gateway
    https://learn.microsoft.com/azure/firewall/firewall-best-practices
    """
    if firewall.virtual_hub:
        shown = firewall.at(AzureFirewall.hub_public_ip_count)
        count = firewall.hub_public_ip_count
        if count is None:
            return undecided("The body does not say how many public addresses the firewall in the hub has", shown)
        return _judge_addresses(count, shown)
    configurations = firewall.ip_configurations
    shown = firewall.at(AzureFirewall.ip_configurations)
    if not configurations:
        return undecided("The body names no address of the firewall", shown)
    public = [one for one in configurations if one.public_ip_address]
    evidence = [one.at(FirewallIPConfiguration.public_ip_address) for one in configurations]
    if len(public) >= LEAST_ADDRESSES:
        return _judge_addresses(len(public), *evidence)
    subnets = [one.subnet.read() for one in configurations if one.subnet]
    gateways = [subnet for subnet in subnets if subnet.nat_gateway]
    if gateways:
        return passes("A NAT gateway gives the firewall its ports", *(one.at(Subnet.nat_gateway) for one in gateways))
    return _judge_addresses(len(public), *evidence)


def _judge_addresses(count: int, *evidence: Evidence) -> Verdict:
    if count >= LEAST_ADDRESSES:
        return passes(f"The firewall has {count} public addresses", *evidence)
    if not count:
        return not_applicable("The firewall has no public address", *evidence)
    return fails("The firewall has one public address and no NAT gateway", *evidence)


@rule(
    "AKS-EGR-37", title="A cluster without a way out starts its nodes from a cache in reach", severity=Severity.MEDIUM
)
def isolated_bootstrap(cluster: ManagedCluster) -> Verdict:
    """Nodes get their images and packages from the internet, unless a registry of one's own holds them.

    Where the cluster has no way out, new nodes come up only from such a cache, and only if they reach it privately.

    Severity: the cluster runs until it scales or upgrades; then no node joins.
    Decided: for outbound type `none` or `block`, `bootstrapProfile.artifactSource` must be `Cache`; absent means `Direct`. Where
    `containerRegistryId` names a registry, an approved private endpoint for it must have been read; without it the
    registry is AKS's own, made with its endpoint. Not applicable to other outbound types.
    Fix: az aks update --resource-group {group} --name {name} --bootstrap-artifact-source Cache --bootstrap-container-registry-resource-id <registry-id>
    Bicep: properties.bootstrapProfile.artifactSource: 'Cache', properties.bootstrapProfile.containerRegistryId
    Change: in place; nodes take it over with the next node image upgrade
    References: https://learn.microsoft.com/azure/aks/concepts-network-isolated
    https://learn.microsoft.com/azure/aks/network-isolated
    """
    outbound = cluster.at(ManagedCluster.outbound_type)
    if cluster.outbound_type not in {OutboundType.NONE, OutboundType.BLOCK}:
        return not_applicable("The cluster has a way out", outbound)
    source = cluster.at(ManagedCluster.bootstrap_artifact_source)
    if cluster.bootstrap_artifact_source is not ArtifactSource.CACHE:
        return fails("Nodes start from the internet, to which there is no way", outbound, source)
    shown = (outbound, source, cluster.at(ManagedCluster.bootstrap_registry))
    if cluster.bootstrap_registry is None:
        return passes("Nodes start from the registry that AKS made for the cluster", *shown)
    return _judge_cache(cluster, cluster.bootstrap_registry.id, shown)


def _judge_cache(cluster: ManagedCluster, registry: str, shown: tuple[Evidence, ...]) -> Verdict:
    for endpoint in cluster.estate.every(PrivateEndpoint):
        for connection in (*(endpoint.connections or ()), *(endpoint.manual_connections or ())):
            service = connection.private_link_service
            if service and service.id.lower() == registry.lower() and connection.state is ConnectionState.APPROVED:
                return passes(
                    "Nodes start from a cache with an approved private endpoint",
                    *shown,
                    connection.at(type(connection).private_link_service),
                    connection.at(type(connection).state),
                )
    cluster.estate.within(PrivateEndpoint, f"/subscriptions/{cluster.parsed.subscription}").whole()
    return fails("No approved private endpoint leads to the registry that nodes start from", *shown)


RULES = (
    threat_intelligence_denies,
    dns_proxy_on,
    network_rules_leave_the_web_alone,
    no_any_to_any,
    no_catch_all,
    rules_are_scoped,
    no_dnat_to_nodes,
    firewall_in_zones,
    intrusions_are_denied,
    rules_are_in_a_policy,
    snat_capacity,
    isolated_bootstrap,
)
