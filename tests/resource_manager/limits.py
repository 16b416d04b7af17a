"""Azure's token buckets.

Resource Manager's: https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling.
AKS's own: https://learn.microsoft.com/azure/aks/quotas-skus-regions.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from resource_manager import answers
from resource_manager.answers import Answer
from resource_manager.targets import Target


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many requests may come at once, and how many a second after that."""

    size: float
    rate: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The buckets of a server; as given, Azure's own numbers (per region, of which this server is one)."""

    reads: Bucket = Bucket(250, 25)
    """One for each subscription (or the tenant) and principal."""

    global_reads: Bucket = Bucket(3750, 375)
    """One for each subscription, of all principals together."""

    cluster_lists: Bucket = Bucket(500, 1)
    """AKS: lists of clusters by subscription."""

    cluster_lists_of_group: Bucket = Bucket(60, 1)
    """AKS: lists of clusters by resource group."""

    cluster: Bucket = Bucket(60, 1)
    """AKS: reads of one cluster."""

    other: Bucket = Bucket(60, 1)
    """AKS: all its other calls, by subscription."""

    clock: Callable[[], float] = field(default=monotonic, compare=False)
    """Seconds; a test may let them fly."""


AZURE = Limits()


class Throttle:
    """How full each bucket is. Not for several threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._levels: dict[tuple[str, ...], tuple[float, float]] = {}

    def take(self, target: Target, principal: str) -> tuple[Answer | None, dict[str, str]]:
        """Take a token from each bucket of a request: the 429 if one is empty, and the headers that tell the rest."""
        limits = self._limits
        subscription = target.subscription.lower()
        remaining = self._level(("global", subscription), limits.global_reads)
        own = self._level(("reads", subscription, principal), limits.reads)
        if min(own, remaining) < 1:
            seconds = max(_wait(own, limits.reads), _wait(remaining, limits.global_reads))
            return answers.throttled(seconds, target.subscription), {}
        self._spend(("reads", subscription, principal))
        self._spend(("global", subscription))
        headers = _headers(own - 1, remaining - 1, tenant=not subscription)
        if not target.type.lower().startswith("microsoft.containerservice/"):
            return None, headers
        key, bucket = self._of_aks(target, subscription)
        level = self._level(key, bucket)
        if level < 1:
            return answers.throttled_by_aks(_wait(level, bucket), target.subscription), headers
        self._spend(key)
        return None, headers

    def _of_aks(self, target: Target, subscription: str) -> tuple[tuple[str, ...], Bucket]:
        scope = target.scope.lower()
        if target.type.lower() != "microsoft.containerservice/managedclusters":
            return ("other", subscription), self._limits.other
        if not target.collection:
            return ("cluster", scope), self._limits.cluster
        if target.group:
            return ("list", scope), self._limits.cluster_lists_of_group
        return ("list", subscription), self._limits.cluster_lists

    def _level(self, key: tuple[str, ...], bucket: Bucket) -> float:
        now = self._limits.clock()
        level, then = self._levels.get(key, (bucket.size, now))
        level = min(bucket.size, level + (now - then) * bucket.rate)
        self._levels[key] = level, now
        return level

    def _spend(self, key: tuple[str, ...]) -> None:
        level, then = self._levels[key]
        self._levels[key] = level - 1, then


def _wait(level: float, bucket: Bucket) -> int:
    """Whole seconds until there is a token again; at least one."""
    return max(1, math.ceil((1 - level) / bucket.rate))


def _headers(own: float, remaining: float, *, tenant: bool) -> dict[str, str]:
    kind = "tenant" if tenant else "subscription"
    return {
        f"x-ms-ratelimit-remaining-{kind}-reads": str(int(own)),
        f"x-ms-ratelimit-remaining-{kind}-global-reads": str(int(remaining)),
    }
