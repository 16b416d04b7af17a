"""What a scan needs to be permitted, and the roles that grant just that: Azure's, the AKS data plane's, Kubernetes'.

The list is data (`data/permissions.toml`), with its date and sources; what is made of it is made here, and only that.
"""

import datetime as dt
import json
import tomllib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from importlib.resources import files
from typing import Any

import msgspec

Document = dict[str, Any]
"""A role or manifest, as JSON has it."""

SUBJECT = "ENTRA-GROUP-OBJECT-ID"
"""Stands in the bindings for the group that scans, which nobody but the reader knows."""

_CLUSTER = "Microsoft.ContainerService/managedClusters"
_NAME = "aks-audit"
_PARTED = "---\n"
_RBAC = "rbac.authorization.k8s.io"


class AzureRead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An action of Azure Resource Manager. `reads` are resource types; `call` says how often it is asked for.

    An `optional` read is made only where a scan is asked for it. An action that is not `published` can be in no
    custom role: Azure refuses the whole role for it.
    """

    action: str
    reads: tuple[str, ...]
    call: str
    optional: bool = False
    published: bool = True


class GraphRead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A permission of Microsoft Graph, which no role of Azure holds. `read` is the optional read that needs it."""

    permission: str
    reads: tuple[str, ...]
    call: str
    read: str


class KubernetesRead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Resources of an API group; with `namespace`, only the objects called `names` there.

    For `custom` resources AKS has no data action of their own.
    """

    group: str
    reads: tuple[str, ...]
    custom: bool = False
    namespace: str = ""
    names: tuple[str, ...] = ()


class Permissions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Everything that a scan may read, as of a day."""

    as_of: dt.date
    sources: tuple[str, ...]
    arm: tuple[AzureRead, ...]
    graph: tuple[GraphRead, ...]
    kubernetes: tuple[KubernetesRead, ...]


def load() -> Permissions:
    """The list that is built in."""
    text = (files("aks_audit") / "data" / "permissions.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Permissions)


def document(plane: str, permissions: Permissions, scopes: Sequence[str], *, optional: bool) -> Document:
    """The document of a plane (arm, aks-data or kubernetes), as its tool takes it; `scopes` are for Azure's roles."""
    if plane == "arm":
        return azure_role(permissions, scopes, optional=optional)
    return data_role(permissions, scopes) if plane == "aks-data" else manifests(permissions)


def render(made: Mapping[str, Document], form: str | None) -> str:
    """The documents (by plane) as `json` or `yaml`; by default each as its tool takes it.

    More than one in JSON are one object; else they are parted by `---`, and so a YAML stream, which JSON fits in.
    """
    if form == "json" and len(made) > 1:
        return _json(dict(made))
    texts = [
        _yaml(document) if form == "yaml" or (not form and plane == "kubernetes") else _json(document)
        for plane, document in made.items()
    ]
    return _PARTED.join(texts)


def _json(document: Document) -> str:
    return json.dumps(document, indent=2) + "\n"


def _yaml(document: Document) -> str:
    import msgspec.yaml  # noqa: PLC0415 - imports PyYAML, which only this needs

    items: list[Document] = document["items"] if document.get("kind") == "List" else [document]
    return _PARTED.join(msgspec.yaml.encode(item).decode() for item in items)


def azure_role(permissions: Permissions, scopes: Sequence[str], *, optional: bool) -> Document:
    """The Azure custom role that reads clusters and their networks; with `optional`, the optional reads too."""
    actions = {read.action for read in permissions.arm if read.published and (optional or not read.optional)}
    return _role("aks-audit reader", "Reads AKS clusters and the networks around them.", scopes, actions=actions)


def data_role(permissions: Permissions, scopes: Sequence[str]) -> Document:
    """The Azure custom role that reads inside clusters whose authorization is Azure RBAC."""
    actions = {action for read in permissions.kubernetes for action in data_actions(read)}
    return _role("aks-audit cluster reader", "Reads inside AKS clusters; never Secrets.", scopes, data_actions=actions)


def data_actions(read: KubernetesRead) -> tuple[str, ...]:
    """The data actions of AKS that permit the read."""
    if read.custom:
        return (f"{_CLUSTER}/customresources/read",)
    return tuple("/".join(filter(None, (_CLUSTER, read.group, resource, "read"))) for resource in read.reads)


def _role(
    name: str,
    description: str,
    scopes: Sequence[str],
    *,
    actions: AbstractSet[str] = frozenset(),
    data_actions: AbstractSet[str] = frozenset(),
) -> Document:
    return {
        "Name": name,
        "IsCustom": True,
        "Description": description,
        "Actions": sorted(actions, key=str.lower),
        "NotActions": [],
        "DataActions": sorted(data_actions, key=str.lower),
        "NotDataActions": [],
        "AssignableScopes": list(scopes),
    }


def manifests(permissions: Permissions) -> Document:
    """A Kubernetes List: the cluster role, a role for every namespace in which named objects are read, and bindings."""
    wide = [read for read in permissions.kubernetes if not read.namespace]
    items = _granted("ClusterRole", wide, "")
    for namespace in sorted({read.namespace for read in permissions.kubernetes} - {""}):
        items += _granted("Role", [read for read in permissions.kubernetes if read.namespace == namespace], namespace)
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _granted(kind: str, reads: Sequence[KubernetesRead], namespace: str) -> list[Document]:
    metadata = {"name": _NAME, "namespace": namespace} if namespace else {"name": _NAME}
    api = f"{_RBAC}/v1"
    return [
        {"apiVersion": api, "kind": kind, "metadata": metadata, "rules": [_rule(read) for read in reads]},
        {
            "apiVersion": api,
            "kind": f"{kind}Binding",
            "metadata": dict(metadata),
            "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": _NAME},
            "subjects": [{"apiGroup": _RBAC, "kind": "Group", "name": SUBJECT}],
        },
    ]


def _rule(read: KubernetesRead) -> Document:
    rule: Document = {"apiGroups": [read.group], "resources": list(read.reads)}
    if read.names:
        return {**rule, "resourceNames": list(read.names), "verbs": ["get"]}
    return {**rule, "verbs": ["get", "list"]}
