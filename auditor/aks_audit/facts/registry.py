"""Facts about container registries.

Source: Microsoft.ContainerRegistry/registries 2025-04-01 as on the wire. Replications, tokens and cache rules are
resources of their own, which are not listed.
"""

from aks_audit.facts.enumerations import RegistryTier, SecurityRuleAccess, Switch
from aks_audit.facts.field import Choice, flag, parts, text
from aks_audit.facts.private_link import IPRule, LinkedService


class ContainerRegistry(LinkedService):
    """A container registry."""

    __slots__ = ()

    TYPE = "Microsoft.ContainerRegistry/registries"

    location = text("location")
    tier = Choice("sku.name", RegistryTier)
    login_server = text("properties.loginServer")
    default_action = Choice("properties.networkRuleSet.defaultAction", SecurityRuleAccess)
    ip_rules = parts("properties.networkRuleSet.ipRules", IPRule)
    admin_user_enabled = flag("properties.adminUserEnabled")
    anonymous_pull_enabled = flag("properties.anonymousPullEnabled")
    data_endpoint_enabled = flag("properties.dataEndpointEnabled")
    zone_redundancy = Choice("properties.zoneRedundancy", Switch)
    retention_policy = Choice("properties.policies.retentionPolicy.status", Switch)
    soft_delete_policy = Choice("properties.policies.softDeletePolicy.status", Switch)
    export_policy = Choice("properties.policies.exportPolicy.status", Switch)
    arm_audience_policy = Choice("properties.policies.azureADAuthenticationAsArmPolicy.status", Switch)
    encryption = Choice("properties.encryption.status", Switch)
