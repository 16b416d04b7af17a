"""Facts about where applications keep their data: storage accounts and SQL servers.

Source: Microsoft.Storage/storageAccounts 2024-01-01, Microsoft.Sql/servers and servers/firewallRules 2023-08-01 as on
the wire. Keys are not in these bodies, and are never asked for.
"""

from aks_audit.facts.enumerations import SecurityRuleAccess
from aks_audit.facts.field import Choice, network, parts
from aks_audit.facts.link import Holding
from aks_audit.facts.private_link import IPRule, LinkedService
from aks_audit.facts.resource import AzureResource


class StorageAccount(LinkedService):
    """A storage account."""

    __slots__ = ()

    TYPE = "Microsoft.Storage/storageAccounts"

    default_action = Choice("properties.networkAcls.defaultAction", SecurityRuleAccess)
    ip_rules = parts("properties.networkAcls.ipRules", IPRule)
    ipv6_rules = parts("properties.networkAcls.ipv6Rules", IPRule)


class SqlFirewallRule(AzureResource):
    """Public addresses that a SQL server lets in, first and last; `0.0.0.0` to `0.0.0.0` is all of Azure."""

    __slots__ = ()

    TYPE = "Microsoft.Sql/servers/firewallRules"

    start_ip_address = network("properties.startIpAddress")
    end_ip_address = network("properties.endIpAddress")


class SqlServer(LinkedService):
    """A logical SQL server."""

    __slots__ = ()

    TYPE = "Microsoft.Sql/servers"

    @property
    def firewall_rules(self) -> Holding[SqlFirewallRule]:
        """What it lets in over public networks; without any, nothing."""
        return self.estate.within(SqlFirewallRule, self.id)
