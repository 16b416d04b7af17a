"""Which workloads are components of the platform: made by AKS, its add-ons or its extensions, and not by people.

A namespace alone shows nothing, since people put their own workloads into `kube-system`, too. A component is in a
namespace of AKS's own, runs only Microsoft's own images, and has a name that is known or AKS's mark on it. Where each
name and mark comes from stands beside it in `data/components.toml`.
"""

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import msgspec

from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.unread import Malformed, NotCollected
from aks_audit.facts.workloads import EPHEMERAL, Container, Pod, Workload

_COMMANDS = "aks-command"
"""Where `az aks command invoke` runs its pods."""


class _Component(msgspec.Struct, frozen=True):
    namespace: str
    names: tuple[str, ...]
    source: str


class _Mark(msgspec.Struct, frozen=True):
    label: str
    values: frozenset[str]
    source: str


class _Release(msgspec.Struct, frozen=True):
    prefix: str
    namespace: str
    source: str


class _Object(msgspec.Struct, frozen=True):
    type: str
    names: tuple[str, ...]
    source: str
    namespace: str = ""


class _Components(msgspec.Struct, frozen=True, rename="kebab"):
    as_of: date
    registries: tuple[str, ...]
    bootstrap_repository: str
    mark: tuple[_Mark, ...]
    release: tuple[_Release, ...]
    object: tuple[_Object, ...]
    component: tuple[_Component, ...]


@cache
def _components() -> _Components:
    read = (files("aks_audit") / "data" / "components.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(read), _Components)


@cache
def _names() -> Mapping[str, tuple[str, ...]]:
    """The patterns of components' names, by namespace."""
    found: dict[str, list[str]] = defaultdict(list)
    for one in _components().component:
        found[one.namespace] += one.names
    return {namespace: tuple(names) for namespace, names in found.items()}


@cache
def _objects() -> frozenset[tuple[str, str, str]]:
    """The objects that AKS is known to make, by type, namespace and name."""
    return frozenset((one.type, one.namespace, name) for one in _components().object for name in one.names)


def system_namespaces() -> frozenset[str]:
    """The namespaces that AKS, its add-ons and its extensions make for themselves, and Kubernetes' own two."""
    return frozenset(_names()) | {"kube-node-lease", "kube-public"}


def release(one: KubernetesObject) -> tuple[str, str] | None:
    """The Helm release that an object belongs to, by name and namespace; None where Helm did not make it.

    Source: what AKS's own add-ons bear, at https://learn.microsoft.com/azure/aks/keda-deploy-add-on-cli
    """
    annotations = one.annotations or {}
    name = annotations.get("meta.helm.sh/release-name")
    return (name, annotations.get("meta.helm.sh/release-namespace", "")) if name else None


def marked(one: KubernetesObject) -> bool:
    """Whether an object bears AKS's mark, as what AKS keeps in its state does. Whoever may write it may set it, too."""
    labels = one.object_labels or {}
    if any(labels.get(mark.label) in mark.values for mark in _components().mark):
        return True
    name, namespace = release(one) or ("", "")
    return any(name.startswith(known.prefix) and namespace == known.namespace for known in _components().release)


def of_aks(one: KubernetesObject) -> bool:
    """Whether an object that runs nothing is AKS's own: by its mark, or known by its kind, namespace and name."""
    return marked(one) or (one.document.type, one.namespace, one.name) in _objects()


def microsofts(image: str) -> bool:
    """Whether an image is Microsoft's own, of its registry or of a network-isolated cluster's cache of it."""
    registry, slash, repository = image.partition("/")
    known = _components()
    cached = registry.endswith(".azurecr.io") and repository.startswith(known.bootstrap_repository)
    return bool(slash) and (registry.lower() in known.registries or cached)


def is_component(workload: Workload) -> bool:
    """Whether a workload is a component of the platform. A pod without a controller is one of run-command's, or none.

    Raises:
        Malformed: its labels or containers cannot be read.
        NotCollected: a pod stands for its controller, which was not read: what people put in cannot be told by it.
    """
    patterns = _names().get(workload.namespace)
    if patterns is None or (workload.kind == "Pod" and workload.namespace != _COMMANDS):
        return False
    known = any(fnmatchcase(workload.name, pattern) for pattern in patterns)
    if not (known or marked(workload)) or workload.template is None:
        return False
    if not foreign(workload.template.every_container):
        return True
    if workload.missing and workload.document.type == Pod.TYPE:
        raise NotCollected(*workload.missing)
    return False


def foreign(containers: Iterable[Container]) -> tuple[Container, ...]:
    """The containers that are not Microsoft's own by their image: in a component, what people put into it.

    An ephemeral container is always somebody's, since no controller makes one; Microsoft's pages suggest its own images
    to debug pods with.

    Raises:
        Malformed: an image cannot be read, or is not named.
    """
    return tuple(one for one in containers if one.kind == EPHEMERAL or not microsofts(_image(one)))


def _image(container: Container) -> str:
    if container.image is None:
        pointer = container.at(Container.image).pointer
        raise Malformed(container.document.id, pointer, "a container without its image")
    return container.image
