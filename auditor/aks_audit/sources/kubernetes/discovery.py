"""What an API server serves: which kinds, and in which version of their group. Only this tells absent from refused.

Source: Kubernetes aggregated discovery, `apidiscovery.k8s.io/v2` (stable since Kubernetes 1.30).
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aks_audit.sources.kubernetes.plan import Kind

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Served(NamedTuple):
    """What was discovered.

    `versions` gives for each kind the version that its server prefers. Of a `stale` group the server itself does not
    know the kinds, because whoever serves them does not answer; its value is the preferred version.
    """

    versions: Mapping[Kind, str]
    stale: Mapping[str, str]

    def version(self, kind: Kind) -> str | None:
        """The version to ask for; None: the kind is not served."""
        return self.versions.get(kind) or self.stale.get(kind.group)

    def with_(self, other: "Served") -> "Served":
        """This and another part of the same server's kinds."""
        return Served({**self.versions, **other.versions}, {**self.stale, **other.stale})

    def document(self) -> dict[str, dict[str, list[str]]]:
        """The kinds by group and version, sorted, for the snapshot; a stale group has no kinds."""
        found: dict[str, dict[str, list[str]]] = {group: {version: []} for group, version in self.stale.items()}
        for kind, version in sorted(self.versions.items()):
            found.setdefault(kind.group, {}).setdefault(version, []).append(kind.plural)
        return dict(sorted(found.items()))


def read(body: object) -> Served:
    """The kinds of an answer to `/api` or `/apis` in aggregated form.

    Raises:
        ValueError: it is not of that form.
    """
    if not isinstance(body, dict) or body.get("kind") != "APIGroupDiscoveryList":
        raise ValueError("the answer is not an APIGroupDiscoveryList")
    versions: dict[Kind, str] = {}
    stale: dict[str, str] = {}
    for group in _list(body, "items"):
        name = _text(_object(group, "metadata"), "name", "")
        # The server names the versions it prefers first.
        for entry in _list(group, "versions"):
            version = _text(entry, "version")
            if entry.get("freshness", "Current") != "Current":
                stale.setdefault(name, version)
            for plural in _plurals(entry):
                versions.setdefault(Kind(name, plural), version)
    return Served(versions, stale)


def _plurals(entry: Mapping[str, Any]) -> Iterable[str]:
    return [_text(resource, "resource") for resource in _list(entry, "resources") if "list" in _list(resource, "verbs")]


def _object(of: Any, key: str) -> Mapping[str, Any]:  # noqa: ANN401 - any JSON value
    value = of.get(key, {}) if isinstance(of, dict) else None
    if not isinstance(value, dict):
        raise ValueError(f"{key} is not an object")  # noqa: TRY004 - of the data, not of the program
    return value


def _list(of: Any, key: str) -> list[Any]:  # noqa: ANN401 - any JSON value
    value = (of.get(key) or []) if isinstance(of, dict) else None
    if not isinstance(value, list):
        raise ValueError(f"{key} is not a list")  # noqa: TRY004 - of the data, not of the program
    return value


def _text(of: Any, key: str, default: str | None = None) -> str:  # noqa: ANN401 - any JSON value
    value = of.get(key, default) if isinstance(of, dict) else None
    if not isinstance(value, str):
        raise ValueError(f"{key} is not a string")  # noqa: TRY004 - of the data, not of the program
    return value
