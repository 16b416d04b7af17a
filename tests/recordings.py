"""Recorded answers of Azure, which lie beside the repository where there are any; they are not part of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Json: TypeAlias = Any
"""A JSON value that a test takes apart."""

RECORDED = Path(__file__).parents[2] / "shared" / "data" / "arm"

needs_recordings = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the recorded answers (../shared/data/arm) are not here"
)


def files(*folders: str) -> list[Path]:
    """The files of recorded bodies, of these folders or of all."""
    found = sorted(RECORDED.glob("*/*.json"))
    return [path for path in found if not folders or path.parent.name in folders]


def bodies(*folders: str) -> Iterator[tuple[str, dict[str, Json]]]:
    """The recorded bodies, without the authored examples, by a short name."""
    for path in files(*folders):
        if path.parent.name != "spec_examples":
            yield f"{path.parent.name}/{path.stem}", json.loads(path.read_text(encoding="utf-8"))
