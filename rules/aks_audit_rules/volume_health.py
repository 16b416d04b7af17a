"""Whether volumes and the claims to them have each other, and somebody uses them."""

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

from aks_audit.facts import Malformed, ManagedCluster, NotCollected, Unread
from aks_audit.facts.field import View, parts, text
from aks_audit.facts.volumes import PersistentVolume, PersistentVolumeClaim
from aks_audit.facts.workloads import Pod, PodSpec, StatefulSet, workloads
from aks_audit.results import Missing, Severity, Verdict
from aks_audit.rule import not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import kubebuddy
from aks_audit_rules.troubles import Trouble, find, verdict

_STUCK = dt.timedelta(days=1)
_LEFT = dt.timedelta(days=7)
_GROW = frozenset({"ControllerResizeError", "NodeResizeError"})
"""The conditions of a claim that could not grow."""

_UNCLAIMED = frozenset({"Available", "Pending", "Released"})

_CLAIM_TEMPLATES = parts("spec.volumeClaimTemplates", View)
_TEMPLATE_NAME = text("metadata.name")


class _Users(NamedTuple):
    """The claims that pods and workloads name, by namespace and name; how claims of StatefulSets begin; what is missing."""

    names: frozenset[tuple[str, str]]
    beginnings: frozenset[tuple[str, str]]
    missing: tuple[Missing, ...]

    def use(self, claim: PersistentVolumeClaim) -> bool:
        """Whether a claim is one of these."""
        beginning, _, ordinal = claim.name.rpartition("-")
        numbered = ordinal.isdecimal() and (claim.namespace, beginning) in self.beginnings
        return numbered or (claim.namespace, claim.name) in self.names


@rule(
    "AKS-KW-13",
    title="Claims have their volumes, volumes their claims, and both are used",
    severity=Severity.LOW,
    # KubeBuddy's PVC003 and SC003 ask for the kinds of access and for how full the disks are.
    controls=(
        kubebuddy("PV001"),
        kubebuddy("PVC001"),
        kubebuddy("PVC004"),
        kubebuddy("PVC005"),
    ),
)
def volumes_used(cluster: ManagedCluster) -> Verdict:
    """A volume that nobody claims keeps its data, and its price, when everybody has forgotten whose it was.

    A claim that gets no volume keeps its pods from starting; one whose volume is gone has lost its data.

    Severity: what is broken here shows itself, or will when a pod is moved. Info for what is only left over, since it may
    be kept on purpose.
    Decided: no claim is Lost, or has been Pending for more than a day at the time of the snapshot, or failed to grow
    (the condition ControllerResizeError or NodeResizeError, or a resize that is Infeasible); no volume is Failed. A claim
    that is Pending and that nobody uses is info: most classes make the volume only for the first pod.
    As info: each claim that is Bound is named by a live pod, by what a workload makes its pods from, or by the claims
    of a StatefulSet; and no volume has been Released or Available for more than a week. Without claims and volumes it is not applicable.
    Fix: az aks command invoke --resource-group {group} --name {name} --command 'kubectl get persistentvolumes,persistentvolumeclaims --all-namespaces'
    Bicep: none; in the manifest: spec.persistentVolumeReclaimPolicy: Delete for volumes whose data nobody needs afterwards
    Change: in place; what is deleted takes its data with it
    References: https://kubernetes.io/docs/concepts/storage/persistent-volumes/
    """
    as_of = cluster.estate.as_of
    if as_of is None:
        return undecided("The snapshot does not say when it was made")
    now = dt.datetime.fromisoformat(as_of)
    claims = cluster.estate.within(PersistentVolumeClaim, cluster.id)
    volumes = cluster.estate.within(PersistentVolume, cluster.id)
    users = _users(cluster) if claims.known else _Users(frozenset(), frozenset(), ())
    found = (find(claims, lambda one: _claim(one, users, now)), find(volumes, lambda one: _volume(one, now)))
    if claims.known or volumes.known:
        good = passes(f"Claims and volumes of {cluster.name} have each other, and somebody uses them")
    else:
        good = not_applicable(f"{cluster.name} has neither claims nor volumes")
    return verdict(found, good)


def _claim(claim: PersistentVolumeClaim, users: _Users, now: dt.datetime) -> Trouble | None:
    phase, evidence = claim.phase, claim.at(PersistentVolumeClaim.phase)
    named = f"claim {claim.namespace}/{claim.name}"
    if phase == "Lost":
        return Trouble(f"{named} has lost its volume", evidence)
    if phase == "Pending":
        return _pending(claim, users, now)
    if phase != "Bound":
        raise Malformed(claim.id, evidence.pointer, f"a claim is Pending, Bound or Lost, and not {phase}")
    if _cannot_grow(claim):
        return Trouble(f"{named} could not grow", claim.at(PersistentVolumeClaim.conditions))
    if users.use(claim):
        return None
    if users.missing:
        raise NotCollected(*users.missing)
    return Trouble(f"{named} is used by nobody", evidence, Severity.INFO)


def _pending(claim: PersistentVolumeClaim, users: _Users, now: dt.datetime) -> Trouble | None:
    if claim.created is None:
        raise Malformed(claim.id, claim.at(PersistentVolumeClaim.created).pointer, "no time of creation")
    if now - claim.created <= _STUCK:
        return None
    evidence = claim.at(PersistentVolumeClaim.phase)
    told = f"claim {claim.namespace}/{claim.name} has waited for a volume since {claim.created:%Y-%m-%d}"
    if users.missing or users.use(claim):
        return Trouble(told, evidence)
    return Trouble(f"{told}, and nobody uses it", evidence, Severity.INFO)


def _cannot_grow(claim: PersistentVolumeClaim) -> bool:
    failed = any(one.type in _GROW and one.status == "True" for one in claim.conditions or ())
    return failed or any(state.endswith("Infeasible") for state in (claim.resizing or {}).values())


def _volume(volume: PersistentVolume, now: dt.datetime) -> Trouble | None:
    phase, evidence = volume.phase, volume.at(PersistentVolume.phase)
    if phase == "Bound":
        return None
    if phase == "Failed":
        return Trouble(f"volume {volume.name} has failed", evidence)
    if phase not in _UNCLAIMED:
        raise Malformed(volume.id, evidence.pointer, f"a volume is {', '.join(sorted(_UNCLAIMED))}, Bound or Failed")
    since = volume.phase_since
    if since is None:
        raise Malformed(
            volume.id, volume.at(PersistentVolume.phase_since).pointer, f"it is {phase}, and since when not"
        )
    if now - since <= _LEFT:
        return None
    return Trouble(f"volume {volume.name} has been {phase} since {since:%Y-%m-%d}", evidence, Severity.INFO)


def _users(cluster: ManagedCluster) -> _Users:
    names: set[tuple[str, str]] = set()
    beginnings: set[tuple[str, str]] = set()
    missing: list[Missing] = []
    found = workloads(cluster)
    for one in found.known:
        try:
            names |= {(one.namespace, name) for spec in one.specs for name in _claims(spec)}
            names |= {(one.namespace, name) for pod in one.pods for name in _of_itself(pod)}
        except Unread as unread:
            missing += unread.missing
    for controller in cluster.estate.within(StatefulSet, cluster.id):
        try:
            templates = _CLAIM_TEMPLATES.__get__(controller, StatefulSet) or ()
            made = [_TEMPLATE_NAME.__get__(one, View) for one in templates]
            beginnings |= {(controller.namespace, f"{name}-{controller.name}") for name in made}
        except Unread as unread:
            missing += unread.missing
    return _Users(frozenset(names), frozenset(beginnings), (*found.missing, *missing))


def _claims(spec: PodSpec) -> Iterator[str]:
    """The claims that a pod, or a template of pods, names."""
    yield from (volume.claim_name for volume in spec.volumes or () if volume.claim_name)


def _of_itself(pod: Pod) -> Iterator[str]:
    """The claims that a pod has made for itself alone.

    Source: https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/
    """
    volumes = (pod.spec.volumes if pod.spec else None) or ()
    yield from (f"{pod.name}-{volume.name}" for volume in volumes if "ephemeral" in volume.sources)


RULES = (volumes_used,)
