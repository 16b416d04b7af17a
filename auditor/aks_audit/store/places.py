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


def opened(place: str, auth: str | None, cloud: str, warn: Callable[[str], None]) -> "Store":
    """The store of a place. `auth` and `cloud` are how to sign in, as for Azure itself.

    Raises:
        StoreError: it is none, or what it needs is not installed.
        SignInError: the way to sign in is not known.
    """
    if place.lower().startswith("https://"):
        from aks_audit.store.blob import blob_store  # noqa: PLC0415 - imports Azure's SDK, an extra

        return blob_store(place, auth, cloud, warn)
    if _ADDRESS.match(place):
        raise StoreError(
            f"{one_line(place.partition('?')[0])}: is no store; name a folder, or a container as "
            "https://ACCOUNT.blob.core.windows.net/CONTAINER"
        )
    folder = Path(place)
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: is a file; name a folder for --store")
    return DirectoryStore(folder, warn)
