"""What installed packages bring to aks-audit: rules, checklists and formats, by their entry points."""

import importlib.metadata
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import EntryPoints


def brought(group: str) -> EntryPoints:
    """The entry points of a group. All packages are looked through once, not once for each group."""
    return _selecting(tuple(sys.path))(group=group)


@lru_cache(maxsize=1)
def _selecting(_path: tuple[str, ...]) -> Callable[..., EntryPoints]:
    return importlib.metadata.entry_points().select
