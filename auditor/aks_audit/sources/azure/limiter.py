"""Politeness: one token bucket for each subscription, by Azure's own numbers and by what its answers say is left.

Source: Azure Resource Manager's documented limits since 2024: 250 reads, refilled with 25 a second, a subscription and
principal; the AKS resource provider's: 60 calls, refilled with 1 a second, a subscription, for all but its lists;
Resource Graph's: 15 queries in 5 seconds, a principal.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping

ARM_BURST, ARM_RATE = 250.0, 25.0
AKS_BURST, AKS_RATE = 60.0, 1.0
GRAPH_BURST, GRAPH_RATE = 15.0, 3.0

LONGEST_PAUSE = 60.0
"""How many seconds a server may ask to be left alone; more is not waited."""

_REMAINING = "x-ms-ratelimit-remaining-subscription-reads"
_GRAPH_REMAINING = "x-ms-user-quota-remaining"
_GRAPH_RESETS = "x-ms-user-quota-resets-after"
_HOURS_MINUTES_SECONDS = re.compile(r"(\d\d):(\d\d):(\d\d)")


class Bucket:
    """A token bucket. `take` waits until a token is there; `pause` empties it for a while."""

    def __init__(self, burst: float, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._rate, self._clock = burst, rate, clock
        self._tokens, self._at = burst, clock()

    async def take(self) -> float:
        """Take one token, in turn, and tell how many seconds that took."""
        wait = self.reserve()
        if wait > 0:
            await asyncio.sleep(wait)
        return wait

    def left(self, tokens: float) -> None:
        """What the server says is left; it knows of other callers too."""
        self._refill()
        self._tokens = min(self._tokens, tokens)

    def pause(self, seconds: float) -> None:
        """Give no token for so many seconds; several pauses at once are one, the longest."""
        self._refill()
        self._tokens = min(self._tokens, -self._rate * seconds)

    def reserve(self) -> float:
        """Take a token even where there is none yet, and say how long it is until it would have been there."""
        self._refill()
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now


class Limiter:
    """The buckets of a scan, by subscription. `waited` is told of each wait, in seconds."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        waited: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._clock, self._waited = clock, waited
        self._buckets: dict[tuple[str, bool], Bucket] = {}
        self._graph = Bucket(GRAPH_BURST, GRAPH_RATE, clock)

    async def admit(self, path: str) -> None:
        """Wait until a call of this path may be made."""
        if wait := sum([await bucket.take() for bucket in self.buckets(path)]):
            self._waited(wait)

    def learn(self, path: str, headers: Mapping[str, str], retry_after: float | None) -> None:
        """Take from an answer what is left, and how long to wait."""
        remaining = headers.get(_GRAPH_REMAINING if _is_graph(path) else _REMAINING, "")
        for bucket in self.buckets(path):
            if remaining.isdigit():
                bucket.left(float(remaining))
            if wait := retry_after or (_resets(headers) if remaining == "0" else None):
                bucket.pause(wait)

    def buckets(self, path: str) -> list[Bucket]:
        """The buckets that a call of this path takes from."""
        if _is_graph(path):
            return [self._graph]
        parts = path.lower().strip("/").split("/")
        subscription = parts[1] if parts[:1] == ["subscriptions"] and len(parts) > 1 else ""
        single = "microsoft.containerservice" in parts and parts[-1] != "managedclusters"
        return [self._bucket(subscription, aks=aks) for aks in ([False, True] if single else [False])]

    def _bucket(self, subscription: str, *, aks: bool) -> Bucket:
        key = (subscription, aks)
        if key not in self._buckets:
            self._buckets[key] = (
                Bucket(AKS_BURST, AKS_RATE, self._clock) if aks else Bucket(ARM_BURST, ARM_RATE, self._clock)
            )
        return self._buckets[key]


def _resets(headers: Mapping[str, str]) -> float | None:
    """In how many seconds there is a new quota for Resource Graph, a minute at most; None where it does not say."""
    told = _HOURS_MINUTES_SECONDS.fullmatch(headers.get(_GRAPH_RESETS, ""))
    if told is None:
        return None
    hours, minutes, seconds = map(float, told.groups())
    return min(hours * 3600 + minutes * 60 + seconds, LONGEST_PAUSE)


def _is_graph(path: str) -> bool:
    return path.lower().startswith("/providers/microsoft.resourcegraph/")
