"""An Azure Resource Manager on loopback: serves a snapshot over HTTPS as the live state of its subscriptions.

It answers as Azure does, its errors, paging and throttling included, and can be told to deny an action or to fail.
"""

from resource_manager.answers import Answer
from resource_manager.faults import Fault, Hang, Reset, Slow, Truncated
from resource_manager.graph import Graph
from resource_manager.limits import AZURE, Bucket, Limits
from resource_manager.paging import Paging
from resource_manager.server import Request, ResourceManager
from resource_manager.state import load

__all__ = [
    "AZURE",
    "Answer",
    "Bucket",
    "Fault",
    "Graph",
    "Hang",
    "Limits",
    "Paging",
    "Request",
    "Reset",
    "ResourceManager",
    "Slow",
    "Truncated",
    "load",
]
