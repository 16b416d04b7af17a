"""Reads how kubelets are configured, through the API server's proxy to each node: only where it was asked for by name.

The proxy needs `get` on `nodes/proxy`, with which anything can be done that the kubelet lets an API server do, such as
running commands in every pod of a node. So no role that aks-audit prints holds it, and nothing but `configz` is asked
for. Of its answer what rules look at is kept, and nothing else.

Source: https://kubernetes.io/docs/tasks/administer-cluster/kubelet-config-file/#viewing-the-kubelet-configuration and
`KubeletConfiguration` of https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import NoneType
from typing import Any
from urllib.parse import quote

import msgspec

from aks_audit.snapshot import Collected, Gap, Listing, Packed, Resource

NAME = "kubelet-config"
"""What it is called on the command line."""

PRICE = "1 call a node"
TYPE = "kubeletconfigurations.kubelet.config.k8s.io"
ACTION = "get nodes/proxy"
"""The permission that it needs, in words."""

PATH = "/api/v1/nodes/{}/proxy/configz"
"""Where the API server passes a request on to a node's kubelet."""

_ID = "/apis/kubelet.config.k8s.io/v1beta1/kubeletconfigurations/{}"
"""No API server serves it, but this is what the kind is called; `configz` is no name of an object."""

_KEPT: Mapping[str, Any] = {
    "authentication": {"anonymous": {"enabled": None}, "x509": {"clientCAFile": None}},
    "authorization": {"mode": None},
    "eventRecordQPS": None,
    "featureGates": {"RotateKubeletServerCertificate": None},
    "makeIPTablesUtilChains": None,
    "readOnlyPort": None,
    "rotateCertificates": None,
    "serverTLSBootstrap": None,
    "streamingConnectionIdleTimeout": None,
}
"""What is kept of a configuration."""

_LONGEST = 200
"""How many characters of a setting are kept: of a path, a mode or a length of time."""

Ask = Callable[[str, str], Awaitable[dict[str, Any] | Gap]]
"""Gives the document at a path, or the gap that says why there is none, about what has this path in the snapshot."""


async def read(cluster: str, inside: Iterable[Collected], ask: Ask) -> list[Collected]:
    """The configuration of each node that was found inside the cluster; the listing says that none is missing.

    A refusal stands for all nodes, so that only the first is asked where the permission lacks.
    """
    found = [one.unpack() if isinstance(one, Packed) else one for one in inside]
    if not any(isinstance(one, Listing) and one.type == "nodes" and one.served for one in found):
        return [Gap(id=cluster, type=TYPE, cause="not-read", reason="which nodes there are could not be read")]
    nodes = sorted(name for one in found if isinstance(one, Resource) and (name := _kubelet(one)))
    first = [await _configuration(cluster, name, ask) for name in nodes[:1]]
    if any(isinstance(one, Gap) and one.cause == "refused" for one in first):
        return [*first]
    rest = await asyncio.gather(*(_configuration(cluster, name, ask) for name in nodes[1:]))
    lost = any(isinstance(one, Gap) for one in (*first, *rest))
    return [*first, *rest] if lost else [*first, *rest, Listing(type=TYPE, scope=cluster)]


def _kubelet(record: Resource) -> str | None:
    """The name of the node that a record is, where a kubelet runs it: virtual nodes have none."""
    if record.type != "nodes":
        return None
    labels = record.body.get("metadata", {}).get("labels")
    virtual = isinstance(labels, dict) and labels.get("type") == "virtual-kubelet"
    return None if virtual else record.id.rpartition("/")[2]


async def _configuration(cluster: str, node: str, ask: Ask) -> Resource | Gap:
    own = _ID.format(node)
    answer = await ask(PATH.format(quote(node, safe="")), own)
    if isinstance(answer, Gap):
        return msgspec.structs.replace(answer, id=cluster) if answer.cause == "refused" else answer
    told = answer.get("kubeletconfig")
    if not isinstance(told, dict):
        reason = f"the answer of the kubelet of {node} is not its configuration"
        return Gap(id=f"{cluster}{own}", type=TYPE, cause="not-read", reason=reason)
    body = {"metadata": {"name": node}, **_kept(told, _KEPT)}
    return Resource(id=f"{cluster}{own}", type=TYPE, body=body, source="kubernetes")


def _kept(told: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What is wanted of an object, and in it; a value that is no object where one is wanted stays, to be told of."""
    return {
        key: _kept(told[key], inner) if inner and isinstance(told[key], dict) else _short(told[key])
        for key, inner in wanted.items()
        if key in told
    }


def _short(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """A value that a setting can have; what is larger is none."""
    return value if isinstance(value, bool | int | float | NoneType) else str(value)[:_LONGEST]
