"""Whether anything in the cluster asks who signed an image before it runs."""

from collections.abc import Sequence
from typing import NamedTuple

from aks_audit.facts import Evidence, ManagedCluster, Missing, Unread
from aks_audit.facts.images import repository
from aks_audit.facts.workloads import Container, workloads
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, passes, rule, undecided
from aks_audit_rules.frameworks import azure_policy

_VERIFIERS = frozenset({"connaisseur", "policy-controller", "portieris", "ratify"})
"""The repositories of what checks signatures when pods are admitted, and does nothing else."""

_PERHAPS = frozenset({"kyverno"})
"""That of an engine that checks signatures where one of its policies says so; these policies are not read."""


class _Seen(NamedTuple):
    """A container whose image is that of a verifier, and the workload that it is in."""

    workload: str
    evidence: Evidence


@rule(
    "AKS-CP-14",
    title="Something checks the signatures of images before they run",
    severity=Severity.INFO,
    controls=(
        azure_policy("5dc99dae-cfb2-42cc-8762-9aae02b74e27"),
        azure_policy("cf426bb8-b320-4321-8545-1b784a5df3a4"),
    ),
)
def signatures_checked(cluster: ManagedCluster) -> Verdict:
    """A signature says that an image is what its maker built. Unasked, whoever can push to a registry decides what runs.

    Severity: it is the second lock, and few have it: who may push to the registries, and where images may come from, is asked
    first (AKS-PAAS-08, AKS-KS-18), images must be signed before anything can check them, and Azure's own is a preview.
    Decided: Image Integrity is on (`properties.securityProfile.imageIntegrity.enabled`, which Azure shows in preview versions of its
    API alone), or a verifier runs in the cluster: Ratify, Sigstore's policy-controller, Connaisseur or Portieris, by the images of its
    containers. Which images it asks about, whose signatures it takes, and whether it refuses or only tells is not
    judged; Image Integrity itself only tells. Kyverno checks signatures where a policy of its own says so, which is not read: unknown.
    Without these, where all workloads were read, it fails.
    Fix: az policy assignment create --name signed-images --policy-set-definition af28bf8b-c669-4dd3-9137-1e68fdc61bd6 --scope /subscriptions/{subscription}/resourceGroups/{group} --mi-system-assigned --location {location} --role Contributor --identity-scope /subscriptions/{subscription}/resourceGroups/{group}
    Bicep: properties.securityProfile.imageIntegrity.enabled: true, in a preview version of the API
    Change: in place; the assignment is of Image Integrity, a preview. Sign images first; a verifier of one's own may refuse those without
    a signature, once it has told of them for a while
    References: https://learn.microsoft.com/azure/aks/image-integrity
    https://ratify.dev/docs/what-is-ratify
    https://docs.sigstore.dev/policy-controller/overview/
    """
    evidence = cluster.at(ManagedCluster.image_integrity_enabled)
    if cluster.image_integrity_enabled:
        return passes("Image Integrity is on", evidence)
    certain, perhaps, missing = _verifiers(cluster)
    if certain:
        return passes(f"{certain[0].workload} checks signatures", *(one.evidence for one in certain))
    if missing:
        return undecided("; ".join(dict.fromkeys(one.reason for one in missing)), evidence, missing=missing)
    if perhaps:
        told = f"{perhaps[0].workload} checks signatures where a policy of its own says so, which is not read"
        return undecided(told, *(one.evidence for one in perhaps))
    return fails("Nothing in the cluster checks who signed an image", evidence)


def _verifiers(cluster: ManagedCluster) -> tuple[Sequence[_Seen], Sequence[_Seen], Sequence[Missing]]:
    """What checks signatures, what may, and what could not be read that may."""
    found = workloads(cluster)
    certain: list[_Seen] = []
    perhaps: list[_Seen] = []
    missing = list(found.missing)
    for workload in found.known:
        name = f"{workload.namespace}/{workload.name}"
        try:
            containers = [one for spec in workload.specs for one in spec.containers or ()]
            seen = [(repository(one.image), _Seen(name, one.at(Container.image))) for one in containers]
            certain += [one for what, one in seen if what in _VERIFIERS]
            perhaps += [one for what, one in seen if what in _PERHAPS]
        except Unread as unread:
            missing += unread.missing
    return certain, perhaps, tuple(dict.fromkeys(missing))


RULES = (signatures_checked,)
