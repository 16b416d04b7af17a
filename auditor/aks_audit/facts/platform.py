"""Which workloads are components of the platform: made by AKS, its add-ons or its extensions, and not by people.

A namespace alone shows nothing, since people put their own workloads into `kube-system`, too. A component is in a
namespace of AKS's own, runs only Microsoft's own images, and has a name that is known or AKS's mark on it.
"""

import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import msgspec

from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.unread import Malformed, NotCollected
from aks_audit.facts.workloads import Container, Pod, Workload

_MARKS: Mapping[str, frozenset[str]] = {
    "kubernetes.azure.com/managedby": frozenset({"aks"}),
    "addonmanager.kubernetes.io/mode": frozenset({"Reconcile", "EnsureExists"}),
    "app.kubernetes.io/managed-by": frozenset({"aks-app-routing-operator"}),
}

_COMMANDS = "aks-command"
"""Where `az aks command invoke` runs its pods."""


class _Components(msgspec.Struct, frozen=True, rename="kebab"):
    registries: tuple[str, ...]
    bootstrap_repository: str
    namespaces: dict[str, tuple[str, ...]]


@cache
def _components() -> _Components:
    read = (files("aks_audit") / "data" / "components.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(read), _Components)


def system_namespaces() -> frozenset[str]:
    """The namespaces that AKS, its add-ons and its extensions make for themselves, and Kubernetes' own two."""
    return frozenset(_components().namespaces) | {"kube-node-lease", "kube-public"}


def marked(one: KubernetesObject) -> bool:
    """Whether an object bears AKS's mark, as what AKS keeps in its state does. Whoever may write it may set it, too."""
    labels = one.object_labels or {}
    return any(labels.get(name) in values for name, values in _MARKS.items())


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
    patterns = _components().namespaces.get(workload.namespace)
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
    """The containers that do not run an image of Microsoft's own: in a component, what people put into it.

    Raises:
        Malformed: an image cannot be read, or is not named.
    """
    return tuple(container for container in containers if not microsofts(_image(container)))


def _image(container: Container) -> str:
    if container.image is None:
        pointer = container.at(Container.image).pointer
        raise Malformed(container.document.id, pointer, "a container without its image")
    return container.image
