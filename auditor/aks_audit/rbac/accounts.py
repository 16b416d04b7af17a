"""Which workloads run as which service account, and which of them have its token."""

from collections import defaultdict
from typing import NamedTuple

from aks_audit.facts import Evidence, ManagedCluster, NotCollected, Unread
from aks_audit.facts.rbac import ServiceAccount
from aks_audit.facts.unread import Malformed
from aks_audit.facts.workloads import PodSpec, Workload, workloads
from aks_audit.rbac.bindings import existing
from aks_audit.results import Missing

DEFAULT = "default"
"""The service account of pods that name none; each namespace has one."""


class Users(NamedTuple):
    """The workloads of a cluster by namespace and service account, and what was not read that may hold more."""

    by_account: dict[tuple[str, str], tuple[Workload, ...]]
    missing: tuple[Missing, ...]

    def whole(self) -> None:
        """Assert that there are no others.

        Raises:
            NotCollected: nothing says so.
        """
        if self.missing:
            raise NotCollected(*self.missing)


def users(cluster: ManagedCluster) -> Users:
    """The workloads by service account, found once. One that cannot be read counts as missing."""
    return cluster.estate.once(_users, cluster)


def account_name(spec: PodSpec) -> str:
    """The name of the service account that a pod runs as.

    `serviceAccount` is the old name of `serviceAccountName`. The API server stores the new one, and sends both alike.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#scheduling

    Raises:
        Malformed: it is no name, or the two differ.
    """
    name, old = spec.service_account_name, spec.service_account
    if name and old and name != old:
        pointer = spec.at(PodSpec.service_account).pointer
        raise Malformed(spec.document.id, pointer, "another service account than serviceAccountName says")
    return name or old or DEFAULT


class Automount(NamedTuple):
    """Whether a pod is given the token of its service account, and what decides it."""

    on: bool
    evidence: Evidence


def automount(workload: Workload, spec: PodSpec) -> Automount:
    """Whether a pod is given the token: the pod decides, else its service account, else it is.

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/

    Raises:
        NotCollected: the service account decides, and was not read.
        Malformed: what decides cannot be read.
    """
    own = spec.automount_service_account_token
    if own is not None:
        return Automount(own, spec.at(PodSpec.automount_service_account_token))
    path = f"api/v1/namespaces/{workload.namespace}/{ServiceAccount.TYPE}/{account_name(spec)}"
    account = existing(workload, ServiceAccount, f"{workload.cluster_id}/{path}")
    if account is None:
        return Automount(on=True, evidence=spec.at(PodSpec.automount_service_account_token))
    theirs = account.automount_service_account_token
    return Automount(theirs is not False, account.at(ServiceAccount.automount_service_account_token))


def _users(cluster: ManagedCluster) -> Users:
    found = workloads(cluster)
    by_account: dict[tuple[str, str], list[Workload]] = defaultdict(list)
    missing = list(found.missing)
    for workload in found.known:
        try:
            for name in sorted({account_name(spec) for spec in workload.specs}):
                by_account[workload.namespace, name].append(workload)
        except Unread as unread:
            missing += unread.missing
    return Users({key: tuple(held) for key, held in by_account.items()}, tuple(missing))
