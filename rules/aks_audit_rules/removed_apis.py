"""Whether objects were written by versions of the API that Kubernetes stops to serve, by `data/removed_apis.toml`."""

import datetime as dt
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

import msgspec

from aks_audit.facts import ManagedCluster, NotCollected
from aks_audit.facts.admission import MutatingWebhookConfiguration, ValidatingWebhookConfiguration
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.platform import of_aks
from aks_audit.facts.policies import KubernetesPolicy
from aks_audit.facts.rbac import ClusterRole, ClusterRoleBinding, Role, RoleBinding
from aks_audit.facts.scaling import HorizontalPodAutoscaler, PodDisruptionBudget
from aks_audit.facts.services import Ingress, IngressClass
from aks_audit.facts.volumes import StorageClass
from aks_audit.facts.workloads import CronJob, DaemonSet, Deployment, StatefulSet
from aks_audit.results import Missing, Severity, Verdict
from aks_audit.rule import passes, rule, undecided
from aks_audit_rules.frameworks import kubebuddy, review_checklist
from aks_audit_rules.troubles import Trouble, find, verdict


class _Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Versions of some kinds, the first minor version of Kubernetes without them, and what to write instead."""

    versions: tuple[str, ...]
    kinds: tuple[str, ...]
    removed: int
    instead: str


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    as_of: dt.date
    source: str
    api: tuple[_Api, ...]


class _Removal(NamedTuple):
    minor: int
    instead: str


_TABLE = msgspec.toml.decode(files("aks_audit_rules").joinpath("data/removed_apis.toml").read_bytes(), type=_Table)
_REMOVED: Mapping[tuple[str, str], _Removal] = {
    (kind, version): _Removal(api.removed, api.instead)
    for api in _TABLE.api
    for kind in api.kinds
    for version in api.versions
}

_KINDS: tuple[type[KubernetesObject], ...] = (
    ClusterRole,
    ClusterRoleBinding,
    CronJob,
    DaemonSet,
    Deployment,
    HorizontalPodAutoscaler,
    Ingress,
    IngressClass,
    KubernetesPolicy,
    MutatingWebhookConfiguration,
    PodDisruptionBudget,
    Role,
    RoleBinding,
    StatefulSet,
    StorageClass,
    ValidatingWebhookConfiguration,
)

_MINOR = re.compile(r"1\.(\d{1,3})(?:\.|$)", re.ASCII)


@rule(
    "AKS-KW-11",
    title="No object was written by a version of the API that Kubernetes removes",
    severity=Severity.MEDIUM,
    controls=(
        kubebuddy("CFG004"),
        review_checklist("b2463cff-e189-4c59-adf0-d5a73dd4ce32"),
    ),
)
def no_removed_api(cluster: ManagedCluster) -> Verdict:
    """A manifest that names a version of the API which is gone cannot be applied, on the day that it is needed again.

    Kubernetes converts the objects that are there, so that all looks well until somebody deploys or restores.

    Severity: an upgrade to the next minor version breaks the next deployment. Low for versions that are gone already:
    who wrote by them may have changed since.
    Decided: of what people write among the objects that are read (workloads, ingresses, policies, budgets, autoscalers, roles,
    webhooks and storage classes), none bears in `metadata.managedFields` a version that the cluster's Kubernetes
    (`properties.currentKubernetesVersion`) or the next minor version no longer serves, by a table made of Kubernetes'
    own guide. An object that does not say by which versions it was written is unknown. Objects of AKS are not asked
    about; what is asked for by such a version and never written stands in the audit log alone.
    Fix: az aks command invoke --resource-group {group} --name {name} --command 'kubectl get <kind> <name> --namespace <namespace> --show-managed-fields --output yaml' # who wrote by it
    Bicep: none; in the manifest: apiVersion
    Change: in place: apply the manifest with the version that is served
    References: https://kubernetes.io/docs/reference/using-api/deprecation-guide/
        https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
        https://learn.microsoft.com/azure/aks/stop-cluster-upgrade-api-breaking-changes
    """
    evidence = cluster.at(ManagedCluster.current_kubernetes_version)
    minor = _MINOR.match(cluster.current_kubernetes_version or "")
    if minor is None:
        return undecided("The body does not say which version of Kubernetes runs", evidence)
    runs = int(minor[1])
    found = (find(cluster.estate.within(kind, cluster.id), lambda one: _judge(one, runs)) for kind in _KINDS)
    good = passes(
        f"No object was written by a version that Kubernetes 1.{runs} or 1.{runs + 1} does not serve", evidence
    )
    return verdict(found, good)


def _judge(one: KubernetesObject, runs: int) -> Trouble | None:
    if of_aks(one):
        return None
    versions = [field.api_version for field in one.managed_fields or ()]
    if not versions or None in versions:
        reason = f"{one.document.type} {one.namespace}/{one.name} does not say by which versions it was written"
        raise NotCollected(Missing(what=one.id, kind="not-sent", reason=reason))
    for version in versions:
        removal = _REMOVED.get((one.document.type, str(version)))
        if removal and removal.minor <= runs + 1:
            gone = f"is gone since 1.{removal.minor}" if removal.minor <= runs else f"goes with 1.{removal.minor}"
            told = f"{one.document.type} {one.namespace}/{one.name} was written by {version}, which {gone}: {removal.instead}"
            severity = Severity.LOW if removal.minor <= runs else Severity.MEDIUM
            return Trouble(told, one.at(KubernetesObject.managed_fields), severity)
    return None


RULES = (no_removed_api,)
