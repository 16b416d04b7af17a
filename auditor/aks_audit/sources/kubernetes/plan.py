"""What is read inside a cluster: the kinds that the printed roles permit, no more and no less. Never Secrets."""

from typing import NamedTuple

from aks_audit import permissions

VERSION = "/version"
CORE = "/api"
GROUPS = "/apis"
"""The paths that every authenticated identity may read."""

PAGE = 500
"""How many objects a page holds."""

_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_STABLE = frozenset(
    {
        "", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apps", "batch", "discovery.k8s.io",
        "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "storage.k8s.io",
    }
)  # fmt: skip
"""The groups that every supported Kubernetes version serves as v1."""

_CALICO, _CALICO_STORED = "projectcalico.org", "crd.projectcalico.org"


class Kind(NamedTuple):
    """A kind of object: its API group (the core's is empty) and its plural name there."""

    group: str
    plural: str

    @property
    def type(self) -> str:
        """Its name as kubectl and the API server's own messages write it: `networkpolicies.networking.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def action(self) -> str:
        """What one must be permitted to read it, in words."""
        return f"list {self.type}"

    @property
    def stable(self) -> bool:
        """Whether every cluster serves it as v1, whatever its discovery says."""
        return self.group in _STABLE and not self.plural.startswith("mutatingadmissionpolic")

    @property
    def accept(self) -> str:
        """The form to ask for: of CustomResourceDefinitions the names alone, as their schemas are large."""
        return _METADATA if self.plural == "customresourcedefinitions" else "application/json"

    def path(self, version: str) -> str:
        """The path of the kind's list over all namespaces."""
        return f"{CORE}/{version}/{self.plural}" if not self.group else f"{GROUPS}/{self.group}/{version}/{self.plural}"

    def twin(self) -> "Kind | None":
        """The kind that shows the same objects, and is read instead where it is served: Calico has two groups."""
        return Kind(_CALICO, self.plural) if self.group == _CALICO_STORED else None


class Named(NamedTuple):
    """A single object that is read by its name, its list being none of ours."""

    kind: Kind
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """The path of the object."""
        return f"{CORE}/v1/namespaces/{self.namespace}/{self.kind.plural}/{self.name}"

    @property
    def action(self) -> str:
        """What one must be permitted to read it, in words."""
        return f"get {self.kind.plural} {self.name} in {self.namespace}"


def kinds() -> tuple[Kind, ...]:
    """The kinds that are listed over all namespaces, in order of type."""
    listed = [
        Kind(read.group, plural)
        for read in permissions.load().kubernetes
        if not read.namespace
        for plural in read.reads
        if "." not in plural  # `tier.networkpolicies` is a permission that Calico asks for, not a kind
    ]
    return tuple(sorted(listed, key=lambda kind: kind.type))


def named() -> tuple[Named, ...]:
    """The objects that are read by name, in order of name."""
    read_by_name = [
        Named(Kind(read.group, plural), read.namespace, name)
        for read in permissions.load().kubernetes
        if read.namespace
        for plural in read.reads
        for name in read.names
    ]
    return tuple(sorted(read_by_name))
