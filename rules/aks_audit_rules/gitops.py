"""Whether what runs in a cluster is taken from a repository, and put back where somebody changed it by hand."""

from collections.abc import Iterator

from aks_audit.facts import Evidence, Malformed, ManagedCluster, Missing, Unread
from aks_audit.facts.enumerations import ExtensionProvisioning
from aks_audit.facts.extensions import ClusterExtension
from aks_audit.facts.images import repository
from aks_audit.facts.workloads import Container, workloads
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, passes, rule, undecided
from aks_audit_rules.frameworks import aprl, azure_policy, review_checklist, the_aks_checklist

_EXTENSIONS = {"microsoft.argocd": "Argo CD", "microsoft.flux": "Flux"}
_REPOSITORIES = {"argocd": "Argo CD", "source-controller": "Flux"}
"""The last part of the names of images, and whose they are."""

_THERE = frozenset({ExtensionProvisioning.SUCCEEDED, ExtensionProvisioning.UPDATING})


@rule(
    "AKS-CP-30",
    title="What runs in the cluster is taken from a repository by an agent in it",
    severity=Severity.INFO,
    controls=(
        review_checklist("0102ce16-ee30-41e6-b882-e52e4621dd68"),
        the_aks_checklist("0102ce16-ee30-41e6-b882-e52e4621dd68"),
        aprl("5f3cbd68-692a-4121-988c-9770914859a9"),
        azure_policy("f9175d5f-abc8-1dc3-bd3c-5d7476ada3d1"),
        azure_policy("bf1a31be-3b79-5ba8-c9e0-9a8c9ad9f749"),
        azure_policy("2630c91f-8a20-8f43-14a2-2485b648e2a9"),
        azure_policy("b6c7fd52-4723-5f4d-a157-3d39bd16a1d7"),
        azure_policy("9e980dca-f3e1-8da3-6717-ad37b1ca6b27"),
        azure_policy("83ea2fd1-9eaf-2f6d-f672-cd7b2ac798f6"),
        azure_policy("a6f560f4-f582-4b67-b123-a37dcd1bf7ea"),
        azure_policy("c050047b-b21b-4822-8a2d-c1e37c3c0c6a"),
        azure_policy("1d61c4d2-aef2-432b-87fc-7f96b019b7e1"),
        azure_policy("b8c1d6c1-6137-97c6-9c34-d4627e54ca26"),
        azure_policy("5174c1db-ca42-e0d4-b320-4f1cf6a1fa93"),
    ),
)
def taken_from_repository(cluster: ManagedCluster) -> Verdict:
    """With GitOps nobody needs rights in the cluster to deploy, and what somebody changes by hand is put back.

    Severity: a matter of opinion. Pipelines that deploy from a repository are as good a record of what should run; they need a
    credential for the cluster, and do not see what was changed beside them.
    Decided: an extension of the cluster is Flux (`microsoft.flux`) or Argo CD (`microsoft.argocd`) and is installed or being
    updated; or a workload in the cluster is Flux's source controller or Argo CD, by the images of its containers. What they
    take from where is not judged. Other agents cannot be told: accept the finding as an exception. Extensions are read with
    `--read extensions`; what is neither there nor read leaves it unknown.
    Fix: az k8s-extension create --resource-group {group} --cluster-name {name} --cluster-type managedClusters --name flux --extension-type microsoft.flux
    Bicep: a Microsoft.KubernetesConfiguration/extensions on the cluster, with properties.extensionType: 'microsoft.flux'
    Change: in place; nothing is taken over before a configuration names it
    References: https://learn.microsoft.com/azure/azure-arc/kubernetes/conceptual-gitops-flux2
    https://learn.microsoft.com/azure/architecture/example-scenario/gitops-aks/gitops-blueprint-aks
    """
    missing: list[Missing] = []
    for name, evidence in (*_installed(cluster, missing), *_running(cluster, missing)):
        return passes(f"What runs in the cluster is taken from a repository by {name}", evidence)
    if missing:
        told = "; ".join(dict.fromkeys(one.reason for one in missing))
        return undecided(told, missing=dict.fromkeys(missing))
    return fails("Neither Flux nor Argo CD is in the cluster", cluster.cite("/id", cluster.id))


def _installed(cluster: ManagedCluster, missing: list[Missing]) -> Iterator[tuple[str, Evidence]]:
    """The agents that Azure installed; what could not be read is added to `missing`."""
    held = cluster.estate.within(ClusterExtension, cluster.id)
    for extension in held:
        try:
            name = _EXTENSIONS.get(_type(extension))
            if name and extension.provisioning_state in _THERE:
                yield name, extension.at(ClusterExtension.provisioning_state)
        except Unread as unread:
            missing += unread.missing
    try:
        held.whole()
    except Unread as unread:
        missing += unread.missing


def _type(extension: ClusterExtension) -> str:
    if extension.extension_type is None:
        raise Malformed(extension.id, "/properties/extensionType", "an extension that does not say what it is")
    return extension.extension_type.lower()


def _running(cluster: ManagedCluster, missing: list[Missing]) -> Iterator[tuple[str, Evidence]]:
    """The agents that run, whoever installed them; what could not be read is added to `missing`."""
    found = workloads(cluster)
    missing += found.missing
    for workload in found.known:
        try:
            for container in (one for spec in workload.specs for one in spec.containers or ()):
                if name := _REPOSITORIES.get(repository(container.image)):
                    yield name, container.at(Container.image)
        except Unread as unread:
            missing += unread.missing


RULES = (taken_from_repository,)
