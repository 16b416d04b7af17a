"""Shares of a fleet: which of N scans, each of which sees the same subscriptions, reads which of them.

A share depends on the subscription alone, so it stays the same as others come and go.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from aks_audit.errors import AuditError

MOST = 10_000
"""Into how many shards a fleet can be split."""

_WRITTEN = re.compile(r"([0-9]{1,5})/([0-9]{1,5})")


class ShardError(AuditError):
    """What is no shard; the message says what is one."""


class Share(NamedTuple):
    """One of the shares of a fleet: the `number`th, from 1, `of` so many."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def holds(self, subscription: str) -> bool:
        """Whether a subscription, by its id with or without `/subscriptions/`, belongs to this share."""
        return number_of(subscription, self.of) == self.number

    def part(self, subscriptions: Iterable[str]) -> list[str]:
        """Those of the subscriptions that belong to this share, in their order."""
        return [one for one in subscriptions if self.holds(one)]


def number_of(subscription: str, of: int) -> int:
    """The number, from 1, of the share that a subscription belongs to, of so many."""
    name = subscription.rstrip("/").rpartition("/")[2].lower()
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogatepass")).digest()) % of + 1


def read(text: str) -> Share:
    """Read a share as `K/N`.

    Raises:
        ShardError: it is none.
    """
    found = _WRITTEN.fullmatch(text)
    share = Share(int(found[1]), int(found[2])) if found else Share(0, 0)
    if not 1 <= share.number <= share.of <= MOST:
        raise ShardError(f"{text!r} is no shard; write K/N, such as 3/8, with K from 1 to N, and N at most {MOST:,}")
    return share
