"""Forwarding rules of DNS resolvers: which servers Azure's DNS asks for a name that no linked private zone holds.

Of the enabled rules of the rulesets that are linked to a network the one with the longest domain decides. A rule for
all names leaves out the domains that are reserved for Azure's services. Questions leave from the network of the
resolver whose outbound endpoint the ruleset names; a ruleset can be linked to networks of its own region alone.
Source: https://learn.microsoft.com/azure/dns/private-resolver-endpoints-rulesets and
https://learn.microsoft.com/azure/dns/dns-private-resolver-overview
"""

from collections.abc import Iterator
from typing import NamedTuple

from aks_audit.facts import Estate, Evidence, Malformed, Missing, NotCollected, VirtualNetwork
from aks_audit.facts.enumerations import ForwardingRuleState
from aks_audit.facts.name_resolution import (
    DnsForwardingRuleset,
    DnsResolver,
    ForwardingRule,
    RulesetLink,
    TargetDnsServer,
)
from aks_audit.facts.resource_id import parse
from aks_audit.network.dns_servers import Server, has_resolver, locate, once
from aks_audit.network.flows import address_of
from aks_audit.network.virtual_hubs import is_virtual_hub

_DNS = 53

RESERVED = frozenset(
    {
        "aznbcontent.net",
        "azconfig.io",
        "azmk8s.io",
        "azure-api.net",
        "azure-automation.net",
        "azure-devices-provisioning.net",
        "azure-devices.net",
        "azure.cn",
        "azure.com",
        "azure.net",
        "azure.us",
        "azurecontainerapps.io",
        "azurecr.io",
        "azuredatabricks.net",
        "azurehdinsight.net",
        "azurehealthcareapis.com",
        "azureiotcentral.com",
        "azureml.ms",
        "azurestaticapps.net",
        "azuresynapse.net",
        "azurewebsites.net",
        "chinacloudapi.cn",
        "signalr.net",
        "usgovcloudapi.net",
        "windows.net",
        "windowsazure.com",
        "windowsazure.us",
    }
)
"""The domains of Azure's services, two labels each, that a rule for all names leaves out.

Source: the zones of https://learn.microsoft.com/azure/private-link/private-endpoint-dns, to which the page about rules
refers.
"""


class Forwarding(NamedTuple):
    """The rules that decide for a name, and the servers that they send it to."""

    rules: tuple[ForwardingRule, ...]
    servers: tuple[Server, ...]
    evidence: tuple[Evidence, ...]


def forwarding_of(network: VirtualNetwork, name: str) -> Forwarding | None:
    """Where Azure's DNS forwards a name (lower case, no final dot) that is asked in a network; None if nowhere.

    Rulesets are looked for in the subscriptions of the network and of those it is peered with; a scan lists them where
    some network has a DNS resolver, without which there is none.

    Raises:
        NotCollected: a ruleset, what is in it, or the resolver that it sends by was not read.
        Malformed: one of them lacks what decides.
    """
    network.estate.once(_demand_rulesets, network)
    bonds = [
        (ruleset, bond)
        for ruleset in network.estate.every(DnsForwardingRuleset)
        if _same_region(ruleset, network) and (bond := _bond(ruleset, network))
    ]
    found = [(*each, rule) for each in bonds for rule in each[0].rules.whole() if _is_for(rule, name)]
    longest = max((len(_domain(rule)) for *_, rule in found), default=0)
    best = [(ruleset, bond, rule) for ruleset, bond, rule in found if len(_domain(rule)) == longest]
    if not best:
        return None
    servers = once(server for ruleset, _, rule in best for server in _targets(ruleset, rule))
    linked = tuple(bond.at(RulesetLink.virtual_network) for _, bond, _ in best)
    shown = tuple(rule.at(field) for *_, rule in best for field in (ForwardingRule.domain_name, ForwardingRule.state))
    return Forwarding(tuple(rule for *_, rule in best), servers, (*linked, *shown))


def _demand_rulesets(network: VirtualNetwork) -> None:
    """See to it that the lists of rulesets near a network were read, or that there is no DNS resolver for one.

    Raises:
        NotCollected: a list was not read; nor, where none was asked for, a peered network, which may have a resolver.
    """
    estate = network.estate
    missing: list[Missing] = []
    for scope in scopes_near(network):
        try:
            estate.within(DnsForwardingRuleset, scope).whole()
        except NotCollected as problem:
            missing.extend(problem.missing)
    peers = [peering.remote.id for peering in network.peerings or () if peering.remote]
    near = (estate.resource(VirtualNetwork, one) for one in peers if missing and not is_virtual_hub(one))
    if missing and (any(map(has_resolver, near)) or estate.indexed(_has_resolvers)):
        raise NotCollected(*missing)


def _has_resolvers(estate: Estate) -> bool:
    """Whether a network that was read has a subnet for a DNS resolver."""
    return any(map(has_resolver, estate.every(VirtualNetwork)))


def scopes_near(network: VirtualNetwork) -> tuple[str, ...]:
    """The subscriptions of a network and of those it is peered with, but for Microsoft's, which virtual hubs are in."""
    return network.estate.once(_scopes_near, network)


def _scopes_near(network: VirtualNetwork) -> tuple[str, ...]:
    remote = [peering.remote.id for peering in network.peerings or () if peering.remote]
    near = [network.id, *(one for one in remote if not is_virtual_hub(one))]
    return tuple(dict.fromkeys(f"/subscriptions/{parse(one).subscription}" for one in near))


def _same_region(ruleset: DnsForwardingRuleset, network: VirtualNetwork) -> bool:
    """Whether a ruleset may be linked to a network; one that names no region may."""
    there, here = ((one or "").replace(" ", "").lower() for one in (ruleset.location, network.location))
    return not there or not here or there == here


def _bond(ruleset: DnsForwardingRuleset, network: VirtualNetwork) -> RulesetLink | None:
    for found in ruleset.links:
        if found.virtual_network and found.virtual_network.id.lower() == network.id.lower():
            return found
    ruleset.links.whole()
    return None


def _domain(rule: ForwardingRule) -> str:
    """The domain of a rule in lower case and without its dot, which is empty for all names."""
    if rule.domain_name is None:
        pointer = rule.at(ForwardingRule.domain_name).pointer
        raise Malformed(rule.id, pointer, "a forwarding rule without its domain")
    return rule.domain_name.lower().rstrip(".")


def _is_for(rule: ForwardingRule, name: str) -> bool:
    if rule.state is None:
        raise Malformed(rule.id, rule.at(ForwardingRule.state).pointer, "a forwarding rule without its state")
    domain = _domain(rule)
    inside = name == domain or name.endswith(f".{domain}") if domain else ".".join(name.split(".")[-2:]) not in RESERVED
    return inside and rule.state is ForwardingRuleState.ENABLED


def _targets(ruleset: DnsForwardingRuleset, rule: ForwardingRule) -> Iterator[Server]:
    """The servers of a rule, as seen from each network that its questions leave from."""
    shown = rule.at(ForwardingRule.target_dns_servers)
    if not rule.target_dns_servers or not ruleset.outbound_endpoints:
        raise Malformed(rule.id, shown.pointer, "a forwarding rule without servers, or without a way to them")
    for endpoint in ruleset.outbound_endpoints:
        resolver = ruleset.estate.resource(DnsResolver, parse(endpoint.id).parent)
        if resolver.virtual_network is None:
            pointer = resolver.at(DnsResolver.virtual_network).pointer
            raise Malformed(resolver.id, pointer, "a DNS resolver without its network")
        network = resolver.virtual_network.read()
        for target in rule.target_dns_servers:
            if target.port not in {None, _DNS}:
                reason = f"what answers at port {target.port} of {target.ip_address} is not known"
                raise NotCollected(Missing(what=rule.id, kind="not-sent", reason=reason))
            address = address_of(target, target.ip_address, target.at(TargetDnsServer.ip_address))
            yield locate(network, address, target.at(TargetDnsServer.ip_address))
