"""The network policies of a cluster: which engine enforces them, which of them it takes, and whom they are about.

What no engine enforces protects nobody, and is listed apart. https://learn.microsoft.com/azure/aks/use-network-policies
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import cache
from math import inf
from typing import NamedTuple

from aks_audit.facts import (
    Estate,
    Malformed,
    ManagedCluster,
    Missing,
    NetworkDataplane,
    NetworkPlugin,
    NetworkPolicy,
    NotCollected,
)
from aks_audit.facts.kubernetes import KubernetesObject, config_map
from aks_audit.facts.policies import POLICY_KINDS, STAGED_KINDS, policy_settings
from aks_audit.facts.workloads import DaemonSet, PodSpec
from aks_audit.policies import calico, cilium
from aks_audit.policies.body import Body
from aks_audit.policies.cilium_settings import CONFIGURATION, Settings, read_settings
from aks_audit.policies.engines import ENGINES
from aks_audit.policies.evaluate import Ruleset
from aks_audit.policies.kubernetes import (
    ADMIN_NETWORK_POLICIES,
    BASELINE_ADMIN_NETWORK_POLICIES,
    CLUSTER_NETWORK_POLICIES,
    KINDS,
    NETWORK_POLICIES,
    PLAIN,
    Placing,
    compile_kubernetes,
)
from aks_audit.policies.model import (
    ANY_PORT,
    CLUSTER,
    EVERYONE,
    Action,
    Compiled,
    Direction,
    Object,
    Policy,
    Rule,
    Selection,
    Side,
    Tier,
)
from aks_audit.policies.staged import STAGED_TYPES, only_staged, without_staged

_SHOWN, _STORED = "projectcalico.org", "crd.projectcalico.org"
_CALICO = tuple(
    f"{plural}.{group}" for group in (_SHOWN, _STORED) for plural in ("networkpolicies", "globalnetworkpolicies")
)
_CILIUM = (cilium.NETWORK_POLICIES, cilium.CLUSTERWIDE)
_ADMINISTRATORS = (ADMIN_NETWORK_POLICIES, BASELINE_ADMIN_NETWORK_POLICIES, CLUSTER_NETWORK_POLICIES)
POLICY_TYPES = (NETWORK_POLICIES, *_ADMINISTRATORS, *_CALICO, *_CILIUM)
"""The types of object that are network policies."""

REFERRED_TYPES = (
    "namespaces", "services", "endpointslices.discovery.k8s.io", "ciliumcidrgroups.cilium.io",
    *(
        f"{plural}.{group}"
        for group in (_SHOWN, _STORED)
        for plural in ("felixconfigurations", "globalnetworksets", "hostendpoints", "networksets", "tiers")
    ),
)  # fmt: skip
"""The types of object that policies refer to."""


class Engine(StrEnum):
    """What enforces network policies."""

    NONE = "none"
    AZURE = "Azure network policy manager"
    CALICO = "Calico"
    CILIUM = "Cilium"


class Ignored(NamedTuple):
    """A policy that nothing enforces, and why."""

    id: str
    type: str
    reason: str


class Enforced(NamedTuple):
    """The policies of a cluster.

    `missing` are the types of policy, and of what they refer to, that could not be read whole: where they may change an
    answer, it is unknown.
    """

    engine: Engine
    ruleset: Ruleset
    ignored: tuple[Ignored, ...]
    missing: tuple[Missing, ...]


def engine_of(cluster: ManagedCluster) -> Engine:
    """The engine that AKS runs in a cluster.

    Raises:
        NotCollected: the customer brought the network plugin, and with it whatever enforces policies.
    """
    if cluster.network_plugin is NetworkPlugin.NONE:
        reason = f"{cluster.id} has a network plugin of its own, and what enforces policies there is not known to Azure"
        raise NotCollected(Missing(what=cluster.id, kind="not-sent", reason=reason))
    if cluster.network_dataplane is NetworkDataplane.CILIUM:
        return Engine.CILIUM
    return _ENGINES.get(cluster.network_policy or NetworkPolicy.NONE, Engine.NONE)


_ENGINES = {
    NetworkPolicy.AZURE: Engine.AZURE,
    NetworkPolicy.CALICO: Engine.CALICO,
    NetworkPolicy.CILIUM: Engine.CILIUM,
}


def enforced(cluster: ManagedCluster) -> Enforced:
    """The policies of a cluster that are enforced; read once.

    Raises:
        Unread: which engine there is, or how it is set up, is not known.
    """
    return cluster.estate.once(_enforced, cluster)


def _enforced(cluster: ManagedCluster) -> Enforced:
    engine = engine_of(cluster)
    read = _Read(*objects_of(cluster))
    if engine is Engine.CALICO:
        taken = _with_calico(cluster, read)
    elif engine is Engine.CILIUM:
        taken = _with_cilium(cluster, read)
    elif engine is Engine.AZURE:
        taken = _Taken({NETWORK_POLICIES: True}, PLAIN, Compiled(), frozenset(Direction))
    else:
        taken = _Taken({}, PLAIN, Compiled(), frozenset())
    return _put_together(cluster, engine, read, taken)


def objects_of(cluster: ManagedCluster) -> tuple[tuple[Object, ...], Mapping[str, Missing]]:
    """The policies of a cluster and what they refer to, and by type what was not read of that."""
    return cluster.estate.once(_objects, cluster)


def _objects(cluster: ManagedCluster) -> tuple[tuple[Object, ...], Mapping[str, Missing]]:
    read = _read(cluster.estate, cluster.id)
    return read.objects, read.missing


# --- what was read


class _Read(NamedTuple):
    """The objects that matter, and by its type what is missing of them."""

    objects: tuple[Object, ...]
    missing: Mapping[str, Missing]


def _read(estate: Estate, cluster_id: str) -> _Read:
    objects: list[Object] = []
    missing: dict[str, Missing] = {}
    for type_ in (*POLICY_TYPES, *STAGED_TYPES, *REFERRED_TYPES):
        held = estate.within(_kind(type_), cluster_id)
        objects += [Object(one.id, type_, one.node) for one in held]
        try:
            held.whole()
        except NotCollected as unread:
            if not (type_.endswith(_STORED) and _is_shown_by_other(estate, cluster_id, type_)):
                missing[type_] = unread.missing[0]
    return _Read(tuple(objects), missing)


def _is_shown_by_other(estate: Estate, cluster_id: str, type_: str) -> bool:
    """Whether Calico's own API shows the objects of a type that it stores; only that is read then."""
    plural = type_.partition(".")[0]
    document = estate.document(f"{cluster_id}/apis")
    groups = document.body.get("groups") if document and document.type == "apis" else None
    shown = groups.get(_SHOWN) if isinstance(groups, Mapping) else None
    versions = shown.values() if isinstance(shown, Mapping) else ()
    return any(isinstance(plurals, list) and plural in plurals for plurals in versions)


@cache
def _kind(type_: str) -> type[KubernetesObject]:
    """Objects of a type of which no facts are needed but their bodies; as rules ask for them, where they do."""
    asked = {kind.TYPE: kind for kind in (*POLICY_KINDS, *STAGED_KINDS)}
    return asked.get(type_) or type(type_, (KubernetesObject,), {"TYPE": type_, "__slots__": ()})


# --- what the engines take


class _Taken(NamedTuple):
    """What an engine takes: the types, and whether it surely does; where those of Kubernetes stand; and its own.

    `worlds` are the sets of types of which that is not sure that it may take together.
    """

    types: Mapping[str, bool]
    placing: Placing
    own: Compiled
    own_node: frozenset[Direction]
    worlds: tuple[frozenset[str], ...] = ()


def _with_calico(cluster: ManagedCluster, read: _Read) -> _Taken:
    worlds = _supported(cluster, Engine.CALICO, ())
    types = {NETWORK_POLICIES: True, **dict.fromkeys(_CALICO, True), **_of_administrators(worlds)}
    own = calico.compile_calico(read.objects, read.missing)
    return _Taken(types, calico.placing(read.objects), own, calico.OWN_NODE, worlds)


def _with_cilium(cluster: ManagedCluster, read: _Read) -> _Taken:
    settings, switches = _cilium_settings(cluster)
    if not settings.enforces:
        return _Taken({}, PLAIN, Compiled(), cilium.OWN_NODE)
    worlds = _supported(cluster, Engine.CILIUM, switches)
    types = {NETWORK_POLICIES: True, **dict.fromkeys(_CILIUM, True), **_of_administrators(worlds)}
    own = cilium.compile_cilium(read.objects, settings, read.missing)
    return _Taken(types, cilium.placing(settings), own, cilium.OWN_NODE, worlds)


def _cilium_settings(cluster: ManagedCluster) -> tuple[Settings, tuple[str, ...] | None]:
    """How Cilium is set up, and which switches are on; None where that was not read.

    Raises:
        NotCollected: the configuration was not read, and Azure does not say that Cilium enforces policies.
    """
    try:
        advanced = policy_settings(cluster).above_layer_4
    except Malformed:
        advanced = None
    try:
        found = config_map(cluster.estate, cluster.id, CONFIGURATION)
    except NotCollected:
        if cluster.network_policy is not NetworkPolicy.CILIUM:
            raise
        return read_settings(None, advanced), None
    data = Body(found.id, found.node).part("data") if found else None
    switches = tuple(name for name in data.names if data.text(name).lower() == "true") if data else ()
    return read_settings(data, advanced), switches


def _supported(cluster: ManagedCluster, engine: Engine, switches: Sequence[str] | None) -> tuple[frozenset[str], ...]:
    """Each set of types of administrators' policies that an engine may take, by its version and switches."""
    ours = [one for one in ENGINES.support if one.engine == engine.lower()]
    version = _version(cluster, engine)
    versions = [version] if version else [(0, 0), *(edge for one in ours for edge in (one.since, one.before))]
    names = {one.switch for one in ours if one.switch}
    on = [names, set[str]()] if switches is None else [names.intersection(switches)]
    found = (
        frozenset(one.type for one in ours if at in one and (not one.switch or one.switch in some))
        for at in versions
        for some in on
    )
    return tuple(dict.fromkeys(found))


def _of_administrators(worlds: Sequence[frozenset[str]]) -> dict[str, bool]:
    """The types that may be taken, and whether they surely are."""
    return {type_: all(type_ in world for world in worlds) for world in worlds for type_ in world}


def _version(cluster: ManagedCluster, engine: Engine) -> tuple[int, int] | None:
    """The version of an engine, by the image of what runs on every node; None where that was not read."""
    name, container_name = _ON_NODES[engine]
    for one in cluster.estate.within(DaemonSet, cluster.id):
        template = one.find("spec.template.spec")[0] if one.name == name else None
        spec = (
            PodSpec(one.estate, one.document, template, "/spec/template/spec") if isinstance(template, dict) else None
        )
        for container in (spec.containers if spec else ()) or ():
            if container.name == container_name and (written := _TAG.search(container.image or "")):
                return int(written[1]), int(written[2])
    return None


_ON_NODES = {Engine.CALICO: ("calico-node", "calico-node"), Engine.CILIUM: ("cilium", "cilium-agent")}
_TAG = re.compile(r":v?(\d+)\.(\d+)")


# --- all of it


def _put_together(cluster: ManagedCluster, engine: Engine, read: _Read, taken: _Taken) -> Enforced:
    surely = [one for one in read.objects if taken.types.get(one.type)]
    perhaps = [one for one in read.objects if taken.types.get(one.type) is False]
    kubernetes = compile_kubernetes(surely, taken.placing)
    doubtful = [replace(one, certain=False) for one in compile_kubernetes(perhaps, taken.placing).policies]
    lost = {type_: read.missing[type_] for type_ in taken.types if type_ in read.missing}
    unread = [_unread(cluster, type_, missing, taken) for type_, missing in lost.items()]
    tiers = {tier.name: tier for tier in (*kubernetes.tiers, *taken.own.tiers, _BEFORE)}
    policies = (*unread, *kubernetes.policies, *doubtful, *taken.own.policies)
    worlds = tuple(frozenset(KINDS[type_] for type_ in world) for world in taken.worlds)
    why = _why_ignored(engine, taken)
    ignored = [one for one in read.objects if one.type in POLICY_TYPES and one.type not in taken.types]
    return Enforced(
        engine,
        Ruleset(tuple(tiers.values()), policies, taken.own_node, worlds),
        (
            *(Ignored(one.id, one.type, why) for one in ignored),
            *(Ignored(one.id, one.type, _STAGED) for one in only_staged(read.objects, read.missing).only),
        ),
        tuple(dict.fromkeys((*lost.values(), *without_staged(read.missing)))) if taken.types else (),
    )


_BEFORE = Tier("(unread)", -inf, Action.PASS)


def _unread(cluster: ManagedCluster, type_: str, missing: Missing, taken: _Taken) -> Policy:
    """Whatever policies of a type may say that were not read. After others, a NetworkPolicy can only allow more."""
    rule = Rule(Action.UNREAD, (EVERYONE,), ANY_PORT, "", unread=missing.reason)
    side = Side((rule,), isolates=False)
    tier, order = (taken.placing.network_policy, inf) if type_ == NETWORK_POLICIES else (_BEFORE, 0)
    return Policy(cluster.id, type_, "", "", tier.name, order, (Selection(CLUSTER),), side, side, "")


_STAGED = "it is staged, which only shows what it would do"


def _why_ignored(engine: Engine, taken: _Taken) -> str:
    if engine is Engine.NONE:
        return "networkProfile.networkPolicy is none: nothing enforces it"
    if not taken.types:
        return f"{engine} is configured to enforce no policy"
    return f"{engine} does not enforce policies of this kind"
