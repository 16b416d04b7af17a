"""Facts about Azure Firewall, its policies and their rules, and the IP groups in them.

Source: Microsoft.Network 2026-03-01 as on the wire. Rules of policies and classic rules of a firewall itself differ in
shape only.
"""

from aks_audit.facts.enumerations import (
    FirewallRuleType,
    FirewallTier,
    IntrusionDetectionMode,
    RuleCollectionAction,
    RuleCollectionType,
    ThreatIntelMode,
)
from aks_audit.facts.field import Choice, View, flag, network, number, part, parts, text, texts
from aks_audit.facts.link import Holding, link, links
from aks_audit.facts.networking import PublicIPAddress, Subnet
from aks_audit.facts.resource import AzureResource


class IPGroup(AzureResource):
    """A named list of addresses, prefixes and ranges (`10.0.0.1-10.0.0.9`)."""

    __slots__ = ()

    TYPE = "Microsoft.Network/ipGroups"

    ip_addresses = texts("properties.ipAddresses")


class ApplicationProtocol(View):
    """A protocol of an application rule (Http, Https, Mssql) and its port."""

    __slots__ = ()

    protocol_type = text("protocolType")
    port = number("port")


class FirewallRule(View):
    """One rule, of a policy or classic: NAT, network or application. Lists that its kind does not have are None.

    Addresses are addresses, prefixes, ranges, service tags (as destinations) or `*`; ports are numbers, ranges or `*`.
    """

    __slots__ = ()

    name = text("name")
    rule_type = Choice("ruleType", FirewallRuleType)
    ip_protocols = texts("ipProtocols")
    classic_protocols = texts("protocols")
    source_addresses = texts("sourceAddresses")
    source_ip_groups = links("sourceIpGroups", IPGroup)
    destination_addresses = texts("destinationAddresses")
    destination_ip_groups = links("destinationIpGroups", IPGroup)
    destination_fqdns = texts("destinationFqdns")
    destination_ports = texts("destinationPorts")
    application_protocols = parts("protocols", ApplicationProtocol)
    target_fqdns = texts("targetFqdns")
    target_urls = texts("targetUrls")
    fqdn_tags = texts("fqdnTags")
    web_categories = texts("webCategories")
    translated_address = text("translatedAddress")
    translated_fqdn = text("translatedFqdn")
    translated_port = text("translatedPort")


class RuleCollection(View):
    """Rules of a policy that share a priority and an action. Lower priorities come first."""

    __slots__ = ()

    name = text("name")
    collection_type = Choice("ruleCollectionType", RuleCollectionType)
    priority = number("priority")
    action = Choice("action.type", RuleCollectionAction)
    rules = parts("rules", FirewallRule)


class RuleCollectionGroup(AzureResource):
    """Rule collections of a policy that are ordered together."""

    __slots__ = ()

    TYPE = "Microsoft.Network/firewallPolicies/ruleCollectionGroups"

    priority = number("properties.priority")
    rule_collections = parts("properties.ruleCollections", RuleCollection)


class FirewallPolicy(AzureResource):
    """A firewall policy. Its rules stand in resources of their own; a parent's come before its own."""

    __slots__ = ()

    TYPE = "Microsoft.Network/firewallPolicies"

    tier = Choice("properties.sku.tier", FirewallTier)
    base_policy_id = link("properties.basePolicy", AzureResource)
    threat_intel_mode = Choice("properties.threatIntelMode", ThreatIntelMode)
    intrusion_detection_mode = Choice("properties.intrusionDetection.mode", IntrusionDetectionMode)
    certificate_authority = text("properties.transportSecurity.certificateAuthority.name")
    insights_enabled = flag("properties.insights.isEnabled")
    dns_servers = texts("properties.dnsSettings.servers")
    dns_proxy = flag("properties.dnsSettings.enableProxy")
    private_ranges = texts("properties.snat.privateRanges")
    auto_learn_private_ranges = text("properties.snat.autoLearnPrivateRanges")

    @property
    def base_policy(self) -> "FirewallPolicy | None":
        """The parent policy; None where there is none.

        Raises:
            NotCollected: there is one, and it was not read.
        """
        base = self.base_policy_id
        return self.estate.resource(FirewallPolicy, base.id) if base else None

    @property
    def rule_collection_groups(self) -> Holding[RuleCollectionGroup]:
        """Its own groups, in order of id."""
        return self.estate.within(RuleCollectionGroup, self.id)


class ClassicRuleCollection(View):
    """Rules of a firewall itself that share a priority and an action."""

    __slots__ = ()

    name = text("name")
    priority = number("properties.priority")
    action = Choice("properties.action.type", RuleCollectionAction)
    rules = parts("properties.rules", FirewallRule)


class FirewallIPConfiguration(View):
    """An address of a firewall in a virtual network."""

    __slots__ = ()

    name = text("name")
    private_ip_address = text("properties.privateIPAddress")
    public_ip_address = link("properties.publicIPAddress", PublicIPAddress)
    subnet = link("properties.subnet", Subnet)


class HubPublicAddress(View):
    """A public address of a firewall in a Virtual WAN hub."""

    __slots__ = ()

    address = network("address")


class AdditionalProperties(View):
    """Settings of a firewall without a policy. Every value is a text, and the keys themselves have dots in them."""

    __slots__ = ()

    dns_proxy = text("Network.DNS.EnableProxy")
    dns_servers = text("Network.DNS.Servers")
    proxy_required = text("Network.DNS.RequireProxyForNetworkRules")
    private_ranges = text("Network.SNAT.PrivateRanges")

    def find(self, path: str) -> tuple[object, str]:
        """The raw value at a key, dots and all, and its JSON pointer."""
        return self._find_without_case([path])


class AzureFirewall(AzureResource):
    """An Azure Firewall, in a virtual network or in a Virtual WAN hub."""

    __slots__ = ()

    TYPE = "Microsoft.Network/azureFirewalls"

    zones = texts("zones")
    tier = Choice("properties.sku.tier", FirewallTier)
    ip_configurations = parts("properties.ipConfigurations", FirewallIPConfiguration)
    hub_private_ip_address = text("properties.hubIPAddresses.privateIPAddress")
    hub_public_addresses = parts("properties.hubIPAddresses.publicIPs.addresses", HubPublicAddress)
    hub_public_ip_count = number("properties.hubIPAddresses.publicIPs.count")
    virtual_hub = link("properties.virtualHub", AzureResource)
    firewall_policy = link("properties.firewallPolicy", FirewallPolicy)
    threat_intel_mode = Choice("properties.threatIntelMode", ThreatIntelMode)
    additional_properties = part("properties.additionalProperties", AdditionalProperties)
    nat_rule_collections = parts("properties.natRuleCollections", ClassicRuleCollection)
    network_rule_collections = parts("properties.networkRuleCollections", ClassicRuleCollection)
    application_rule_collections = parts("properties.applicationRuleCollections", ClassicRuleCollection)

    @property
    def private_addresses(self) -> tuple[str, ...]:
        """The addresses that routes lead to, in its virtual network or in its Virtual WAN hub."""
        own = [configuration.private_ip_address for configuration in self.ip_configurations or ()]
        return tuple(address for address in [*own, self.hub_private_ip_address] if address)
