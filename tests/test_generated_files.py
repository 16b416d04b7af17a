"""Generated files are committed as they are made."""

from collections.abc import Callable, Mapping

import pytest

from renew import GENERATORS, stale


@pytest.mark.parametrize("generate", GENERATORS.values(), ids=GENERATORS.keys())
def test_a_generated_file_is_as_committed(generate: Callable[[], Mapping[str, bytes]]) -> None:
    assert stale(generate()) == [], "renew with: python tests/renew.py"


def test_what_differs_is_stale() -> None:
    assert stale({"docs/report.schema.json": b"{}", "docs/nothing.md": b""}) == [
        "docs/report.schema.json",
        "docs/nothing.md",
    ]
