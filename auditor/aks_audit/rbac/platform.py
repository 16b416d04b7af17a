"""Which roles, bindings and service accounts are Kubernetes' own or AKS's, and what people changed in them."""

import tomllib
from contextlib import suppress
from datetime import date
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from importlib.resources import files

import msgspec

from aks_audit.facts import ManagedCluster, Unread
from aks_audit.facts.platform import is_component, marked, release, system_namespaces
from aks_audit.facts.rbac import AccessObject, AnyBinding, AnyRole, Permission, PolicyRule, Subject
from aks_audit.facts.workloads import workloads
from aks_audit.rbac.accounts import DEFAULT, users
from aks_audit.rbac.authorizer import ANONYMOUS, AUTHENTICATED, SERVICE_ACCOUNTS, UNAUTHENTICATED

_BOOTSTRAPPED = ("kubernetes.io/bootstrapping", "rbac-defaults")
_BUILT_IN = frozenset({"admin", "cluster-admin", "edit", "extension-apiserver-authentication-reader", "view"})
_EVERYBODY = frozenset({ANONYMOUS, AUTHENTICATED, SERVICE_ACCOUNTS, UNAUTHENTICATED})


class _Named(msgspec.Struct, frozen=True):
    of: tuple[str, ...]
    source: str


class _Administrators(msgspec.Struct, frozen=True):
    of: str
    source: str


class _Access(msgspec.Struct, frozen=True, rename="kebab"):
    as_of: date
    names: tuple[_Named, ...]
    users: tuple[_Named, ...]
    administrators: _Administrators
    everybody: dict[str, frozenset[str]]
    wildcards: dict[str, frozenset[str]]


@cache
def _access() -> _Access:
    read = (files("aks_audit") / "data" / "access.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(read), _Access)


@cache
def _users() -> frozenset[str]:
    return frozenset(user for one in _access().users for user in one.of)


@lru_cache(maxsize=8192)
def _known(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for one in _access().names for pattern in one.of)


def built_in(one: AccessObject) -> bool:
    """Whether Kubernetes itself makes a role or binding so called, and marks it so."""
    name, value = _BOOTSTRAPPED
    called = one.name in _BUILT_IN or one.name.startswith("system:")
    return called and (one.object_labels or {}).get(name) == value


def of_platform(one: AccessObject) -> bool:
    """Whether a role or binding is Kubernetes' own, or AKS's by its mark, its name or its Helm release.

    Raises:
        Malformed: its labels or annotations cannot be read.
        NotCollected: Helm made it, and Azure's side of the cluster was not read.
    """
    return built_in(one) or marked(one) or _known(one.name) or _released(one)


def everybody(subject: Subject) -> bool:
    """Whether a subject is nobody in particular: anonymous, everybody who signed in, or every service account.

    Raises:
        Malformed: it lacks what each subject has.
    """
    kind, name = subject.key
    return kind != "ServiceAccount" and (name in _EVERYBODY or name.startswith(f"{SERVICE_ACCOUNTS}:"))


def judged(binding: AnyBinding) -> tuple[Subject, ...]:
    """The subjects that people put into a binding: of the platform's own, those that the platform does not put there.

    Raises:
        Malformed: a subject lacks what each has, or a workload that runs as it cannot be read.
        NotCollected: Azure's side of the cluster was not read.
    """
    subjects = binding.subjects or ()
    return tuple(one for one in subjects if not _expected(binding, one)) if of_platform(binding) else subjects


def added_wildcard(role: AnyRole, rule: PolicyRule) -> bool:
    """Whether a rule of one of Kubernetes' own roles, with a wildcard in it, is none that Kubernetes puts there.

    Raises:
        Malformed: the rule cannot be read.
    """
    return _written(rule.permission) not in _access().wildcards.get(role.name, ())


def _released(one: AccessObject) -> bool:
    """Whether the Helm release that made it is one of an extension, whose workloads are all components."""
    by = release(one)
    return by is not None and by in one.estate.once(_extensions, one.cluster)


def _extensions(cluster: ManagedCluster) -> frozenset[tuple[str, str]]:
    """The Helm releases of components that nothing of people's belongs to."""
    of_components: set[tuple[str, str]] = set()
    others: set[tuple[str, str]] = set()
    for workload in workloads(cluster).known:
        with suppress(Unread):
            if by := release(workload):
                (of_components if is_component(workload) else others).add(by)
    return frozenset(of_components - others)


def _expected(binding: AnyBinding, subject: Subject) -> bool:
    kind, name = subject.key
    if kind == "ServiceAccount":
        return _of_component(binding, *name.split("/", 1))
    if everybody(subject):
        return name in _access().everybody.get(binding.name, ())
    if name.startswith("system:"):
        return not name.startswith("system:serviceaccount:")
    return (kind == "User" and name in _users()) or _administrators(binding, name)


def _of_component(binding: AnyBinding, namespace: str, account: str) -> bool:
    """Whether a service account is the platform's: in a namespace of its own, and nothing of people's runs as it.

    Kubernetes' own controllers have theirs without any pod. `default` is nobody's own.
    """
    if namespace not in system_namespaces() or account == DEFAULT:
        return False
    return all(map(is_component, users(binding.cluster).by_account.get((namespace, account), ())))


def _administrators(binding: AnyBinding, name: str) -> bool:
    """Whether a group is one of the administrators of the cluster, or Azure does not say who they are."""
    if binding.name != _access().administrators.of:
        return False
    groups = binding.cluster.aad_admin_groups
    return not groups or name.lower() in {group.lower() for group in groups}


def _written(permission: Permission) -> str:
    parts = (permission.verbs, permission.api_groups, permission.resources, permission.non_resource_urls)
    return "|".join(",".join(sorted(one)) for one in parts)
