"""Service meshes: whether what they carry is encrypted, and everybody known."""

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from aks_audit.facts import ManagedCluster, Missing, NotCollected
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.mesh import (
    ROOT_OF_ADD_ON,
    DestinationRule,
    MeshSettings,
    PeerAuthentication,
    mesh_settings,
)
from aks_audit.facts.workloads import Deployment
from aks_audit.results import Evidence, Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import aks_health_check, review_checklist, the_aks_checklist

K = TypeVar("K", bound=KubernetesObject)

_MODES = frozenset({"STRICT", "PERMISSIVE", "DISABLE", "UNSET"})
_EARLIEST = dt.datetime.min.replace(tzinfo=dt.UTC)
_LOOSE = frozenset({"PERMISSIVE", "DISABLE"})
_OTHERS = {"linkerd-destination": "Linkerd", "linkerd-identity": "Linkerd", "consul-connect-injector": "Consul"}


class Looser(NamedTuple):
    """What is looser than the mesh as a whole."""

    told: str
    evidence: Evidence


@rule(
    "AKS-KN-15",
    title="The service mesh takes mutual TLS alone",
    severity=Severity.MEDIUM,
    controls=(
        review_checklist("e9855d04-c3c3-49c9-a6bb-2c12159a114b"),
        the_aks_checklist("e9855d04-c3c3-49c9-a6bb-2c12159a114b"),
        aks_health_check("NET-9"),
    ),
)
def strict(cluster: ManagedCluster) -> Verdict:
    """Istio takes plain text beside mutual TLS, unless it is told to be strict.

    Then whoever is in the network speaks to workloads of the mesh unencrypted, and without saying who it is.

    Severity: rules by identity bind only those who show one; exceptions for a namespace, workload or port weigh low.
    Decided: the mesh is Istio: of AKS (`serviceMeshProfile.mode`), or one whose istiod runs in a namespace of its own. A
    PeerAuthentication without selector in the root namespace (aks-istio-system, or istiod's) has mode STRICT; without
    one, Istio's default is PERMISSIVE. None in another namespace, and no port in one, is PERMISSIVE or DISABLE, and no
    DestinationRule for a host of the cluster has the TLS mode DISABLE. With a selector in the root namespace Istio does
    not read it. Of Linkerd and Consul it is not read whether they take plain text: unknown. Without a mesh the question
    does not arise.
    Fix: az aks command invoke --resource-group {group} --name {name} --command 'kubectl apply -f mtls.yaml' --file mtls.yaml
    Bicep: none; in the manifest: a PeerAuthentication in aks-istio-system with spec.mtls.mode: STRICT
    Change: in place, at once; clients without a proxy are refused
    References: https://learn.microsoft.com/azure/aks/istio-about
    https://istio.io/latest/docs/reference/config/security/peer_authentication/
    """
    settings = mesh_settings(cluster)
    mode = (settings.mode or "").lower()
    if mode not in {"", "disabled", "istio"}:
        return undecided(
            f"serviceMeshProfile.mode is {settings.mode!r}, which is not known", settings.at(MeshSettings.mode)
        )
    if mode == "istio":
        return _of_istio(cluster, ROOT_OF_ADD_ON, settings.at(MeshSettings.mode))
    held = cluster.estate.within(Deployment, cluster.id)
    daemons = [one for one in held if one.name == "istiod" or one.name.startswith("istiod-")]
    if daemons:
        return _of_istio(cluster, daemons[0].namespace, daemons[0].at(Deployment.object_labels))
    others = [one for one in held if one.name in _OTHERS or one.name.endswith("-consul-connect-injector")]
    if others:
        name = _OTHERS.get(others[0].name, "Consul")
        evidence = others[0].at(Deployment.object_labels)
        return undecided(
            f"whether {name}, which encrypts between its own proxies, takes plain text is not read", evidence
        )
    held.whole()
    return not_applicable("the cluster has no service mesh", settings.at(MeshSettings.mode))


def _of_istio(cluster: ManagedCluster, root: str, evidence: Evidence) -> Verdict:
    peers, unread = _known(cluster, PeerAuthentication)
    rules, unread_rules = _known(cluster, DestinationRule)
    missing = (*unread, *unread_rules)
    whole = sorted(
        (one for one in peers if one.namespace == root and not one.selector), key=lambda one: one.created or _EARLIEST
    )
    strange = [mode for one in peers for mode in (one.mode or "UNSET", *one.port_modes.values()) if mode not in _MODES]
    if strange:
        return undecided(f"{strange[0]!r} is no mode of mutual TLS that is known", evidence)
    oldest = next(iter(whole), None)
    cited = (oldest.at(PeerAuthentication.mode),) if oldest else ()
    reasons = "; ".join(dict.fromkeys(one.reason for one in missing))
    if not oldest or oldest.mode != "STRICT":
        if unread:
            return undecided(reasons, evidence, missing=missing)
        told = f"is {oldest.mode or 'UNSET'} in {root}/{oldest.name}" if oldest else f"is not set in {root}"
        return fails(f"mutual TLS of the whole mesh {told}: plain text is taken, too", evidence, *cited)
    exceptions = [*_looser(peers, root), *_plain(rules)]
    if exceptions:
        told = "; ".join(one.told for one in exceptions)
        return fails(
            f"the mesh is STRICT, but for {told}", *cited, *(one.evidence for one in exceptions), severity=Severity.LOW
        )
    if missing:
        return undecided(reasons, evidence, *cited, missing=missing)
    return passes(f"mutual TLS is STRICT in the whole mesh, by {root}/{oldest.name}", evidence, *cited)


def _known(cluster: ManagedCluster, kind: type[K]) -> tuple[tuple[K, ...], tuple[Missing, ...]]:
    held = cluster.estate.within(kind, cluster.id)
    try:
        return held.whole(), ()
    except NotCollected as unread:
        return tuple(held), unread.missing


def _looser(peers: tuple[PeerAuthentication, ...], root: str) -> Iterator[Looser]:
    for one in peers:
        if one.namespace == root and one.selector:
            continue
        name = f"{one.namespace}/{one.name}"
        if one.mode in _LOOSE:
            yield Looser(f"{one.mode} in {name}", one.at(PeerAuthentication.mode))
        for port, mode in sorted(one.port_modes.items()):
            if mode in _LOOSE:
                yield Looser(f"port {port}, {mode} in {name}", one.at(PeerAuthentication.port_level))


def _plain(rules: tuple[DestinationRule, ...]) -> Iterator[Looser]:
    for one in rules:
        if one.inside and "DISABLE" in one.tls_modes:
            yield Looser(f"{one.host}, DISABLE in {one.namespace}/{one.name}", one.at(DestinationRule.host))


RULES = (strict,)
