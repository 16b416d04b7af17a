"""The time that a scan has, and that a cluster in it has: when it is up, what was read until then is kept."""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Self, TypeVar

from aks_audit.snapshot import Gap
from aks_audit.sources.scrub import scrub_message

_T = TypeVar("_T")


class Deadline:
    """Ends all reads at once: when the time is up, or when it is told to. What was read until then is kept."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()
        self._inner: set[Deadline] = set()
        self.reason = ""

    def end(self, reason: str) -> None:
        """End now, and all deadlines within this one."""
        if not self._ended.is_set():
            self.reason = reason
            self._ended.set()
            for inner in self._inner:
                inner.end(reason)

    @contextmanager
    def within(self, seconds: float, reason: str) -> Iterator[Self]:
        """A deadline that ends after so many seconds, or with this one if that is sooner."""
        inner = type(self)()
        timer = asyncio.get_running_loop().call_later(seconds, inner.end, reason)
        self._inner.add(inner)
        if self._ended.is_set():
            inner.end(self.reason)
        try:
            yield inner
        finally:
            timer.cancel()
            self._inner.remove(inner)

    async def bound(self, reading: Awaitable[list[_T]], scope: str, kind: str) -> list[_T | Gap]:
        """What a read gives, or the gap that says that it did not come to its end; it is not begun after ours."""
        if self._ended.is_set():
            if isinstance(reading, Coroutine):
                reading.close()
            return [self._gap(scope, kind)]
        read = asyncio.ensure_future(reading)
        ended = asyncio.ensure_future(self._ended.wait())
        await asyncio.wait({read, ended}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if read.done():
            return [*read.result()]
        read.cancel()
        await asyncio.gather(read, return_exceptions=True)
        return [self._gap(scope, kind)]

    def _gap(self, scope: str, kind: str) -> Gap:
        return Gap(id=scope, type=kind, reason=scrub_message(self.reason), cause="not-read")
