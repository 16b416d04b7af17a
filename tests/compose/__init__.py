"""Composes whole Azure environments out of resource bodies as Azure Resource Manager sends them.

Small functions, one a resource type; what a body holds beyond its arguments is what Azure itself fills in. Identifiers
are made from names, so that the same estate is the same bytes each time.
"""

from compose.azure import Group, Subscription, child, guid
from compose.clusters import agent_pool, managed_cluster
from compose.fleet import fleet
from compose.snapshots import recorded

__all__ = ["Group", "Subscription", "agent_pool", "child", "fleet", "guid", "managed_cluster", "recorded"]
