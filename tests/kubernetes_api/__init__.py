"""A Kubernetes API server on loopback: serves a cluster as it was recorded, over HTTPS, to who may read it.

It pages, refuses and throttles as a real API server does, and can be told to deny a kind or to fail.
"""

from kubernetes_api.kubeconfig import kubeconfig, plugin
from kubernetes_api.server import AUDITOR_TOKEN, NORIGHTS_TOKEN, Edit, KubernetesApi, Request
from resource_manager.faults import Fault, Hang, Reset, Slow, Truncated

__all__ = [
    "AUDITOR_TOKEN",
    "NORIGHTS_TOKEN",
    "Edit",
    "Fault",
    "Hang",
    "KubernetesApi",
    "Request",
    "Reset",
    "Slow",
    "Truncated",
    "kubeconfig",
    "plugin",
]
