"""The way `service-account`: inside a pod, into the cluster that the pod is in, and no other.

Source: https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/. Which managed cluster that is, its token
says: it was issued by the cluster's OIDC issuer, or by its API server.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from aks_audit.snapshot import Resource
from aks_audit.sources.kubernetes import managed, users
from aks_audit.sources.kubernetes.access import Access
from aks_audit.sources.kubernetes.api import UnreachableError
from aks_audit.sources.kubernetes.kubeconfig import host

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts the credentials of a pod's service account."""


class ServiceAccount(NamedTuple):
    """The service account of the pod that this runs in: who issued its token, and how to reach its API server."""

    server: str
    authority: bytes
    token_file: Path
    issuer: str

    def owned_by(self, cluster: Resource) -> bool | None:
        """Whether the pod is in a cluster; None where that cannot be told."""
        issuer = managed.words(cluster.body, "properties", "oidcIssuerProfile", "issuerURL").rstrip("/").lower()
        if issuer and issuer == self.issuer.rstrip("/").lower():
            return True
        if managed.hosts(cluster) & {host(self.issuer), host(self.server)}:
            return True
        return False if issuer and self.issuer else None

    def access(self, cluster: Resource) -> Access:
        """The way into the pod's own cluster."""
        detail = "service account of the pod"
        token = users.renewed(self.token_file)
        return Access(cluster.id, "service-account", self.server, self.authority, token=token, detail=detail)


def read(environment: Mapping[str, str], folder: Path) -> ServiceAccount | None:
    """The service account of the pod that this runs in; None outside of one, or where it has none."""
    name, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    token_file = folder / "token"
    if not name or not port:
        return None
    try:
        claims = users.claims(users.from_file(token_file)) or {}
        authority = (folder / "ca.crt").read_bytes()
    except (UnreachableError, OSError):
        return None
    server = f"https://[{name}]:{port}" if ":" in name else f"https://{name}:{port}"
    issuer = claims.get("iss")
    return ServiceAccount(server, authority, token_file, issuer if isinstance(issuer, str) else "")
