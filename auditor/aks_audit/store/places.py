"""Which store a place is: a folder, or the address of a container."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit.progress import one_line
from aks_audit.store.directory import DirectoryStore
from aks_audit.store.store import StoreError

if TYPE_CHECKING:
    from aks_audit.store.store import Store

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def opened(place: str, warn: Callable[[str], None]) -> "Store":
    """The store of a place.

    Raises:
        StoreError: it is none.
    """
    if _ADDRESS.match(place):
        raise StoreError(f"{one_line(place.partition('?')[0])}: is no store; name a folder")
    folder = Path(place)
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: is a file; name a folder for --store")
    return DirectoryStore(folder, warn)
