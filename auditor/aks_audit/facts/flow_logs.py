"""Facts about flow logs: records of the connections in a network, its subnets, security groups or interfaces.

Source: Microsoft.Network/networkWatchers 2026-03-01 as on the wire. They are read only where a scan is asked to
(`--read flow-logs`); those of a network stand below the network watcher of its region.
"""

from aks_audit.facts.field import flag, text
from aks_audit.facts.resource import AzureResource


class NetworkWatcher(AzureResource):
    """The network watcher of a region."""

    __slots__ = ()

    TYPE = "Microsoft.Network/networkWatchers"


class FlowLog(AzureResource):
    """A flow log of one target: a network, a subnet, an interface, or (until Azure ends these) a security group."""

    __slots__ = ()

    TYPE = "Microsoft.Network/networkWatchers/flowLogs"

    target_resource_id = text("properties.targetResourceId")
    enabled = flag("properties.enabled")
    traffic_analytics = flag("properties.flowAnalyticsConfiguration.networkWatcherFlowAnalyticsConfiguration.enabled")
