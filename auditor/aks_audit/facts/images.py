"""References to images, as containers and volumes name them.

Source: the grammar of https://pkg.go.dev/github.com/distribution/reference, by which container runtimes read them.
"""

import re
from typing import NamedTuple

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?P<registry>{_DOMAIN}(?::[0-9]+)?)/)?(?P<repository>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}))?",
    re.ASCII,
)
_LONGEST = 2_000
_DOCKER_HUB = "docker.io"
_LEGACY_DOCKER_HUB = "index.docker.io"


class ImageReference(NamedTuple):
    """An image by its whole name: what runtimes fill in where a reference is short is filled in.

    `registry` is in lower case, unless capital letters alone make it one, with its port if it names one; `tag` and
    `digest` are empty where it has none.
    """

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def host(self) -> str:
        """The registry's name without its port."""
        return self.registry if self.registry.endswith("]") else re.sub(r":[0-9]+$", "", self.registry)

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        """The reference in full."""
        return f"{self.name}{self.tag and ':' + self.tag}{self.digest and '@' + self.digest}"


def repository(image: str | None) -> str:
    """The last part of an image's name, in lower case, wherever it was copied to: `ratify`; empty where it is none."""
    found = read_reference(image) if image else None
    return found.name.rpartition("/")[2].lower() if found else ""


def read_reference(text: str) -> ImageReference | None:
    """Read a reference; None where it is none.

    What stands before the first slash is a registry if it has a dot, a colon or a capital letter, or is `localhost`;
    else the image is one of Docker Hub's.
    """
    found = _REFERENCE.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    first, _, rest = text.partition("/")
    if not rest or not (re.search(r"[.:A-Z]", first) or first == "localhost"):
        repository = "/".join(part for part in (found["registry"], found["repository"]) if part)
        registry = _DOCKER_HUB
    else:
        named, repository = found["registry"] or "", found["repository"]
        registry = named.lower() if re.search(r"[.:]", named) or named.lower() == "localhost" else named
    if registry in {_DOCKER_HUB, _LEGACY_DOCKER_HUB}:
        registry = _DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    return ImageReference(registry, repository, found["tag"] or "", found["digest"] or "")
