"""Reads kubeconfig files, joined as kubectl joins them, and finds the contexts that lead to a cluster.

Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/. A file may hold anything:
what cannot be used is said, never guessed, and no message repeats what is in a file.
"""

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import SplitResult, urlsplit

import yaml

from aks_audit.errors import AuditError

LARGEST_FILE = 10 * 2**20
"""How many bytes a kubeconfig may have: that of a thousand clusters has some five million."""

DEEPEST = 50
"""How deep its YAML may be nested; a kubeconfig needs 6 levels."""

Entry: TypeAlias = Mapping[str, Any]

# Every scalar stays the text that it is, as all values of a kubeconfig are; nothing else is ever made of one.
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})


class KubeconfigError(AuditError):
    """A kubeconfig, or a context of one, that cannot be used; the message says why without repeating what is in it."""


@dataclass(frozen=True, slots=True)
class Context:
    """A context: what it is called, where it leads, and as whom. Only its name and address are ever shown."""

    name: str
    server: str
    cluster: Entry = field(repr=False)
    user: Entry = field(repr=False)
    cluster_folder: Path = field(repr=False)
    user_folder: Path = field(repr=False)

    @property
    def hosts(self) -> frozenset[str]:
        """The names, in lower case, of the server that the context leads to, as its certificate may have them."""
        named = text(self.cluster, "tls-server-name") or ""
        return frozenset({host(self.server), named.lower().rstrip(".")} - {""})

    @property
    def address(self) -> str:
        """The https address to dial.

        Raises:
            KubeconfigError: there is none that can be used, or its certificate is not to be checked.
        """
        if (text(self.cluster, "insecure-skip-tls-verify") or "").lower() == "true":
            raise KubeconfigError("its insecure-skip-tls-verify would leave the server unknown, and is refused")
        split = _split(self.server)
        if split is None or split.scheme != "https" or not split.hostname or "@" in split.netloc:
            raise KubeconfigError("its server is not an https:// address")
        return f"https://{split.netloc}{split.path.rstrip('/')}"

    @property
    def server_name(self) -> str | None:
        """The name that the server's certificate is checked against, where it is not that of the address."""
        return text(self.cluster, "tls-server-name")

    @property
    def authority(self) -> bytes | None:
        """The certificates to trust, PEM; None: those of the system.

        Raises:
            KubeconfigError: they cannot be read.
        """
        found = data(self.cluster, "certificate-authority", self.cluster_folder)
        if found is not None and not (found.isascii() and b"-----BEGIN CERTIFICATE-----" in found):
            raise KubeconfigError("its certificate-authority is not PEM")
        return found

    @property
    def proxy(self) -> str | None:
        """The proxy to go through.

        Raises:
            KubeconfigError: it is none for http.
        """
        address = text(self.cluster, "proxy-url")
        if address is None:
            return None
        split = _split(address)
        if split is None or split.scheme not in {"http", "https"} or not split.hostname:
            raise KubeconfigError("its proxy-url is not an http:// or https:// address")
        return address


class Kubeconfig(NamedTuple):
    """The contexts of all files, the current one first, and what could not be read."""

    contexts: tuple[Context, ...] = ()
    problems: tuple[str, ...] = ()

    def leading_to(self, hosts: frozenset[str]) -> list[Context]:
        """The contexts whose server has one of these names (lower case)."""
        return [context for context in self.contexts if context.hosts & hosts]


def files(asked: Path | None, environment: Mapping[str, str]) -> list[Path]:
    """The files that kubectl would read: the one asked for, those of KUBECONFIG, or the one in the home folder."""
    if asked is not None:
        return [asked]
    named = [Path(name) for name in environment.get("KUBECONFIG", "").split(os.pathsep) if name]
    return named or [Path.home() / ".kube" / "config"]


def read(paths: Iterable[Path], *, required: bool = False) -> Kubeconfig:
    """Read files and join them: of two entries of the same name the first counts, as does the first current context.

    Raises:
        KubeconfigError: they are `required`, and one cannot be used.
    """
    documents: list[tuple[Entry, Path]] = []
    problems: list[str] = []
    for path in paths:
        try:
            documents.append((parse(_content(path)), path.parent))
        except FileNotFoundError:
            if required:
                raise KubeconfigError(f"{path}: no such file") from None
        except (KubeconfigError, OSError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else str(problem)
            if required:
                raise KubeconfigError(f"{path}: {why}") from None
            problems.append(f"the kubeconfig {path.name} cannot be used: {why}")
    return Kubeconfig(contexts(documents), tuple(problems))


def parse(content: bytes) -> Entry:
    """The document that the text of a kubeconfig is.

    Raises:
        KubeconfigError: it is none.
    """
    if len(content) > LARGEST_FILE:
        raise KubeconfigError(f"it is larger than {LARGEST_FILE:,} bytes")
    try:
        _harmless(content)
        found = yaml.load(content, Loader=_Loader)  # noqa: S506 - makes texts, lists and mappings, and nothing else
    except yaml.MarkedYAMLError as problem:
        where = f" (line {problem.problem_mark.line + 1})" if problem.problem_mark else ""
        raise KubeconfigError(f"it is not YAML{where}") from None
    except (yaml.YAMLError, ValueError):
        raise KubeconfigError("it is not YAML") from None
    if not isinstance(found, dict) or not isinstance(found.get("contexts", []), list | str):
        raise KubeconfigError("it is not a kubeconfig")
    return found


def contexts(documents: Sequence[tuple[Entry, Path]]) -> tuple[Context, ...]:
    """The contexts of documents, each with the folder that its relative paths start from; the current one first."""
    clusters = _by_name(documents, "clusters", "cluster")
    users = _by_name(documents, "users", "user")
    current = next((name for document, _ in documents if (name := text(document, "current-context"))), "")
    found = []
    for name, (entry, _) in _by_name(documents, "contexts", "context").items():
        cluster, cluster_folder = clusters.get(text(entry, "cluster") or "", ({}, Path()))
        user, user_folder = users.get(text(entry, "user") or "", ({}, Path()))
        server = text(cluster, "server") or ""
        found.append(Context(name, server, cluster, user, cluster_folder, user_folder))
    return tuple(sorted(found, key=lambda context: context.name != current))


def text(entry: Entry, key: str) -> str | None:
    """A value that is a text; None where there is none."""
    value = entry.get(key)
    return value if isinstance(value, str) and value not in _NULL else None


def data(entry: Entry, key: str, folder: Path) -> bytes | None:
    """A value that stands there in base64, `KEY-data`, or else in a file, `KEY`; None where there is neither.

    Raises:
        KubeconfigError: it cannot be read.
    """
    inline, path = text(entry, f"{key}-data"), text(entry, key)
    if inline is not None:
        try:
            return base64.b64decode("".join(inline.split()), validate=True)
        except ValueError:
            raise KubeconfigError(f"its {key}-data is not base64") from None
    if path is None:
        return None
    try:
        return _content(folder / path)
    except (OSError, ValueError):
        raise KubeconfigError(f"the file of its {key} cannot be read") from None


def host(address: str) -> str:
    """The host of an address, in lower case and without a last dot; empty where it has none."""
    split = _split(address)
    return (split.hostname or "").rstrip(".") if split else ""


def _split(address: str) -> SplitResult | None:
    try:
        split = urlsplit(address)
        _ = split.port, split.hostname
    except ValueError:
        return None
    return split


def _content(path: Path) -> bytes:
    """The bytes of a file, which may be one without an end: one more than the largest is enough to tell."""
    with path.open("rb") as file:
        return file.read(LARGEST_FILE + 1)


def _harmless(content: bytes) -> None:
    """Refuse what makes a small text large or deep, before anything is made of it.

    Raises:
        KubeconfigError: it has aliases, or is nested too deep.
    """
    depth = 0
    for event in yaml.parse(content, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise KubeconfigError("it has YAML aliases, which are not followed")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise KubeconfigError(f"it is nested deeper than {DEEPEST} levels")


def _by_name(documents: Sequence[tuple[Entry, Path]], plural: str, key: str) -> dict[str, tuple[Entry, Path]]:
    found: dict[str, tuple[Entry, Path]] = {}
    for document, folder in documents:
        entries = document.get(plural)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get(key), dict) and (name := text(entry, "name")):
                found.setdefault(name, (entry[key], folder))
    return found
