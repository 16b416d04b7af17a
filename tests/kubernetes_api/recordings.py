"""Answers recorded from real API servers. Run as a script, it renews the fixtures from the full recordings.

These lie beside the repository where there are any (`../shared/data/kubernetes`); what an audit reads, and what shows
how the server refuses, is kept in `fixtures/kubernetes`.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from aks_audit import permissions

ROOT = Path(__file__).parents[2]
RECORDED = ROOT.parent / "shared" / "data" / "kubernetes"
FIXTURES = ROOT / "fixtures" / "kubernetes"

ClusterName = Literal["weak", "hardened"]
CLUSTERS: tuple[ClusterName, ...] = ("weak", "hardened")

PLAIN = "application/json"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_REFUSED = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
_UNKNOWN = "application/x-unknown"

Json: TypeAlias = Any
"""A JSON value of a recorded body."""

_IDENTITIES = ("auditor", "norights", "invalid")
_HEADERS = ("Content-Type", "Retry-After")

# Each shows a way of the server that an audit may meet.
_WAYS = frozenset(
    {
        "/api/v1/configmaps",
        "/api/v1/namespaces/kube-system",
        "/api/v1/namespaces/no-such-namespace",
        "/api/v1/namespaces/no-such-namespace/pods",
        "/api/v1/nosuchkinds",
        "/api/v1/pods?continue=not-a-token&limit=10",
        "/api/v1/secrets",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/no-such.example.com",
        "/apis/apps/v1/namespaces/kube-system/daemonsets/azure-ip-masq-agent",
        "/apis/apps/v1/namespaces/kube-system/daemonsets/azure-npm",
        "/apis/consul.hashicorp.com/v1alpha1/meshes",
        "/apis/metrics.k8s.io/v1beta1/nodes",
        "/healthz",
        "/livez",
        "/metrics",
        "/readyz",
        "/version",
    }
)


class Exchange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A GET and its answer; `scenario` is empty where the server was in its normal state.

    Of the headers those are kept that a client may act on; `text` is a body that is not JSON.
    """

    identity: str
    path: str
    status: int
    scenario: str = ""
    accept: str = PLAIN
    headers: dict[str, str] = {}
    body: Json = None
    text: str = ""


class _Recorded(msgspec.Struct):
    scenario: str
    method: str
    path: str
    accept: str
    status: int
    headers: dict[str, str]
    body: Json = None
    text: str = ""


def load(cluster: ClusterName) -> tuple[Exchange, ...]:
    """The recorded answers of a cluster."""
    decoder = msgspec.json.Decoder(Exchange)
    return tuple(decoder.decode_lines((FIXTURES / f"{cluster}.jsonl").read_bytes()))


def made(cluster: ClusterName) -> bytes:
    """The fixture of a cluster, made of the full recordings."""
    return msgspec.json.Encoder().encode_lines(_without_twins(_exchanges(cluster)))


def _exchanges(cluster: ClusterName) -> Iterator[Exchange]:
    decoder = msgspec.json.Decoder(_Recorded)
    for identity in _IDENTITIES:
        for recorded in decoder.decode_lines((RECORDED / f"{cluster}_{identity}.jsonl").read_bytes()):
            if recorded.method == "GET" and _is_kept(recorded, identity):
                yield Exchange(
                    identity=identity,
                    path=recorded.path,
                    status=recorded.status,
                    scenario=recorded.scenario,
                    accept=recorded.accept,
                    headers={name: recorded.headers[name] for name in _HEADERS if name in recorded.headers},
                    body=recorded.body,
                    text=recorded.text,
                )


def _without_twins(exchanges: Iterable[Exchange]) -> Iterator[Exchange]:
    """Leave out what another identity was answered alike."""
    first: dict[tuple[str, str, str], Exchange] = {}
    for exchange in exchanges:
        twin = first.setdefault((exchange.scenario, exchange.path, exchange.accept), exchange)
        if twin is exchange or msgspec.structs.replace(twin, identity=exchange.identity) != exchange:
            yield exchange


def _is_kept(recorded: _Recorded, identity: str) -> bool:
    if identity == "invalid":
        return recorded.path == "/version"
    match recorded.scenario:
        case "":
            known_form = recorded.accept in {PLAIN, AGGREGATED, METADATA, _REFUSED, _UNKNOWN}
            return known_form and (recorded.path in _WAYS or _is_discovery(recorded.path) or _is_read(recorded.path))
        case "expired-continue":
            return recorded.status == 410
        case _:
            return recorded.path == "/api/v1/namespaces"


def _is_discovery(path: str) -> bool:
    parts = path.split("/")[1:]
    return bool(parts[-1]) and ((parts[0] == "api" and len(parts) <= 2) or (parts[0] == "apis" and len(parts) <= 3))


def _is_read(path: str) -> bool:
    """Whether the built-in list of permissions has this list, over all namespaces, or this object."""
    _, root, *parts = path.split("/")
    group = parts.pop(0) if root == "apis" and parts else ""
    return any(
        read.group == group
        and (
            parts[1:] in [["namespaces", read.namespace, kind, name] for kind in read.reads for name in read.names]
            if read.namespace
            else parts[1:] in [[kind] for kind in read.reads]
        )
        for read in _READS
    )


_READS = permissions.load().kubernetes


if __name__ == "__main__":
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for name in CLUSTERS:
        (FIXTURES / f"{name}.jsonl").write_bytes(made(name))
        sys.stdout.write(f"renewed: fixtures/kubernetes/{name}.jsonl\n")
