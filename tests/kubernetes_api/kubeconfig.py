"""Kubeconfig files that lead to a server, as `az aks get-credentials` writes them."""

import base64
import stat
from pathlib import Path
from typing import Any, Literal

import msgspec.yaml

from kubernetes_api.server import AUDITOR_TOKEN, KubernetesApi

User = Literal["token", "certificate", "exec"]


def kubeconfig(  # noqa: PLR0913 - each is a field of the file
    api: KubernetesApi,
    *,
    user: User = "token",
    context: str = "aks-shop",
    server: str | None = None,
    server_name: str | None = None,
    token: str = AUDITOR_TOKEN,
    command: Path | str = "kubelogin",
) -> str:
    """A kubeconfig of one context, as YAML.

    `user` is a bearer token, the administrator's client certificate, or as in Entra clusters a `command` to run.
    `server` is the address, by default the real one; `server_name` what the certificate is checked against.
    """
    cluster = {"server": server or api.url, "certificate-authority-data": _encoded(api.ca)}
    if server_name is not None:
        cluster["tls-server-name"] = server_name
    user_name = f"clusterUser_rg_{context}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": cluster}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": user_name}}],
        "current-context": context,
        "preferences": {},
        "users": [{"name": user_name, "user": _user(api, user, token, command)}],
    }
    return msgspec.yaml.encode(document).decode()


def plugin(folder: Path) -> tuple[Path, Path]:
    """Write a stand-in for `kubelogin`; give its file, and the one that is there only after it was run."""
    command, marker = folder / "kubelogin", folder / "kubelogin-was-run"
    credential = msgspec.json.encode(
        {
            "kind": "ExecCredential",
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "status": {"token": AUDITOR_TOKEN},
        }
    ).decode()
    command.write_text(f"#!/bin/sh\ntouch '{marker}'\necho '{credential}'\n", encoding="utf-8")
    command.chmod(stat.S_IRWXU)
    return command, marker


def _user(api: KubernetesApi, user: User, token: str, command: Path | str) -> dict[str, Any]:
    match user:
        case "token":
            return {"token": token}
        case "certificate":
            return {
                "client-certificate-data": _encoded(api.admin_certificate),
                "client-key-data": _encoded(api.admin_key),
            }
        case "exec":
            return {"exec": {"apiVersion": _EXEC, "command": str(command), "args": _ARGUMENTS, **_INTERACTIVE}}


_EXEC = "client.authentication.k8s.io/v1beta1"
_INTERACTIVE = {"env": None, "interactiveMode": "IfAvailable", "provideClusterInfo": False}

# The two ids are those of AKS's own server and client applications in every tenant.
_ARGUMENTS = [
    "get-token",
    "--environment",
    "AzurePublicCloud",
    "--server-id",
    "6dae42f8-4368-4678-94ff-3960e28e3630",
    "--client-id",
    "80faf920-1908-4b52-b5ef-a8e7bedfc67a",
    "--tenant-id",
    "7e4a0000-0000-4000-8000-000000000001",
    "--login",
    "devicecode",
]


def _encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
