"""What somebody could not be told: a mark in the store, by which the next run tells it, too."""

from typing import TYPE_CHECKING

import msgspec

from aks_audit.store.store import LARGEST_NOTE, NotThereError, Store, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = "aks-audit/untold/1"


class Mark(msgspec.Struct, frozen=True):
    """Since which run somebody was told nothing; None: of no run at all."""

    schema: str
    since: str | None


class Untold:
    """The mark of a scope for one who is told: `webhook` or `log-analytics`."""

    def __init__(self, store: Store, scope: str, whom: str, warn: "Callable[[str], None]") -> None:
        self._store, self._name, self._warn = store, f"{scope}/.untold-{whom}.json", warn
        self.mark = self._read()

    def _read(self) -> Mark | None:
        try:
            mark = msgspec.json.decode(self._store.fetch(self._name, LARGEST_NOTE).data, type=Mark)
        except NotThereError:
            return None
        except (StoreError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
            self._warn(f"{self._store.place}: {self._name} is passed over ({problem})")
            return None
        return mark if mark.schema == SCHEMA else None

    def keep(self, since: str | None) -> None:
        """Mark that nothing was told since a run, for the next one to tell."""
        try:
            self._store.put(self._name, msgspec.json.encode(Mark(SCHEMA, since)))
        except StoreError as problem:
            self._warn(f"the next run will not tell what was not told now: {problem}")

    def forget(self) -> None:
        """Take the mark away, where there is one: all was told."""
        if self.mark is None:
            return
        try:
            self._store.delete(self._name)
        except StoreError as problem:
            self._warn(f"the next run will tell again what was told now: {problem}")
