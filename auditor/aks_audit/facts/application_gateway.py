"""Facts about application gateways and the policies of their web application firewalls.

Source: Microsoft.Network 2026-03-01 as on the wire.
"""

from aks_audit.facts.enumerations import ApplicationGatewayTier, FirewallMode, Switch
from aks_audit.facts.field import Choice, View, flag, part, parts, text
from aks_audit.facts.link import link
from aks_audit.facts.resource import AzureResource


class ManagedRuleSet(View):
    """A set of rules that Microsoft keeps, such as Microsoft_DefaultRuleSet."""

    __slots__ = ()

    rule_set_type = text("ruleSetType")
    rule_set_version = text("ruleSetVersion")


class WebApplicationFirewallPolicy(AzureResource):
    """What the web application firewall of an application gateway looks for, and what it does then."""

    __slots__ = ()

    TYPE = "Microsoft.Network/ApplicationGatewayWebApplicationFirewallPolicies"

    state = Choice("properties.policySettings.state", Switch)
    mode = Choice("properties.policySettings.mode", FirewallMode)
    managed_rule_sets = parts("properties.managedRules.managedRuleSets", ManagedRuleSet)


class HttpListener(View):
    """Where an application gateway takes requests; a policy of its own replaces the gateway's."""

    __slots__ = ()

    name = text("name")
    firewall_policy = link("properties.firewallPolicy", WebApplicationFirewallPolicy)


class PathRule(View):
    """Where requests for some paths go; a policy of its own replaces that of the listener and the gateway."""

    __slots__ = ()

    name = text("name")
    firewall_policy = link("properties.firewallPolicy", WebApplicationFirewallPolicy)


class UrlPathMap(View):
    """The path rules of a listener."""

    __slots__ = ()

    name = text("name")
    path_rules = parts("properties.pathRules", PathRule)


class GatewayBackEnd(View):
    """An address, or a name, that an application gateway sends requests to."""

    __slots__ = ()

    ip_address = text("ipAddress")


class GatewayBackEndPool(View):
    """The back ends of an application gateway. A controller writes the addresses of pods here."""

    __slots__ = ()

    name = text("name")
    addresses = parts("properties.backendAddresses", GatewayBackEnd)


class FirewallConfiguration(View):
    """The settings of a firewall without a policy, as gateways of the first generation have them."""

    __slots__ = ()

    enabled = flag("enabled")
    mode = Choice("firewallMode", FirewallMode)


class GatewayFrontend(View):
    """A front end of an application gateway."""

    __slots__ = ()

    private_ip_address = text("properties.privateIPAddress")


class ApplicationGateway(AzureResource):
    """An application gateway. A controller in a cluster writes its id into a tag of the gateway that it runs."""

    __slots__ = ()

    TYPE = "Microsoft.Network/applicationGateways"

    frontends = parts("properties.frontendIPConfigurations", GatewayFrontend)
    tier = Choice("properties.sku.tier", ApplicationGatewayTier)
    firewall_policy = link("properties.firewallPolicy", WebApplicationFirewallPolicy)
    firewall_configuration = part("properties.webApplicationFirewallConfiguration", FirewallConfiguration)
    http_listeners = parts("properties.httpListeners", HttpListener)
    url_path_maps = parts("properties.urlPathMaps", UrlPathMap)
    back_end_pools = parts("properties.backendAddressPools", GatewayBackEndPool)
    controller_cluster = text("tags.ingress-for-aks-cluster-id")
