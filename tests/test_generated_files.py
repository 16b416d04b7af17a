"""Generated files are committed as they are made."""

from collections.abc import Callable, Mapping

import pytest

from renew import GENERATORS, ROOT


@pytest.mark.parametrize("generate", GENERATORS.values(), ids=GENERATORS.keys())
def test_a_generated_file_is_as_committed(generate: Callable[[], Mapping[str, bytes]]) -> None:
    stale = [path for path, made in generate().items() if not _is(path, made)]
    assert not stale, f"stale: {', '.join(stale)}; renew with: python tests/renew.py"


def _is(path: str, made: bytes) -> bool:
    file = ROOT / path
    return file.exists() and file.read_bytes() == made
