"""References to images, read as container runtimes read them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit.facts.images import ImageReference, read_reference

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("nginx", "docker.io", "library/nginx", "", ""),
        ("nginx:1.27", "docker.io", "library/nginx", "1.27", ""),
        ("bitnami/kubectl:latest", "docker.io", "bitnami/kubectl", "latest", ""),
        ("docker.io/nginx", "docker.io", "library/nginx", "", ""),
        ("index.docker.io/library/nginx", "docker.io", "library/nginx", "", ""),
        ("localhost/web", "localhost", "web", "", ""),
        ("localhost:5000/web:dev", "localhost:5000", "web", "dev", ""),
        ("registry:5000/web", "registry:5000", "web", "", ""),
        ("registry:5000", "docker.io", "library/registry", "5000", ""),
        ("Registry/web", "Registry", "web", "", ""),  # without the capital it would be one of Docker Hub's
        ("10.0.0.4:443/a/b/c:1", "10.0.0.4:443", "a/b/c", "1", ""),
        ("[fd00::1]:5000/web", "[fd00::1]:5000", "web", "", ""),
        ("Craks.AzureCR.io/shop/web@" + DIGEST, "craks.azurecr.io", "shop/web", "", DIGEST),
        ("ghcr.io/a/b:1.2@" + DIGEST, "ghcr.io", "a/b", "1.2", DIGEST),
        ("a/b__c/d---e.f", "docker.io", "a/b__c/d---e.f", "", ""),
    ],
)
def test_short_references_are_filled_in(text: str, registry: str, repository: str, tag: str, digest: str) -> None:
    assert read_reference(text) == ImageReference(registry, repository, tag, digest)


@pytest.mark.parametrize(
    "text",
    ["", "Web", "a/B", "web:", "web@", "web@sha256:ab", "web:1:2", "/web", "web/", "a//b", "https://a/b", "a b", "***"],
)
def test_what_is_no_reference_is_not_read(text: str) -> None:
    assert read_reference(text) is None


def test_the_port_is_no_part_of_the_host() -> None:
    for text, host in {"a.b:1": "a.b", "a.b": "a.b", "[fd00::1]:5": "[fd00::1]"}.items():
        found = read_reference(f"{text}/web")
        assert found
        assert found.host == host


def test_hostile_references_are_refused_soon() -> None:
    started = time.perf_counter()
    for text in ("a-" * 100_000, "a." * 900, "-" * 1_999, "a" * 1_998 + "!", "a/" * 999 + "!", "a__" * 600 + "!"):
        assert read_reference(text) is None
    assert time.perf_counter() - started < 1


@given(st.text(alphabet="aA0./:@-_[]", max_size=30))
def test_what_is_read_is_read_again_from_its_full_form(text: str) -> None:
    found = read_reference(text)
    if found:
        assert read_reference(str(found)) == found
