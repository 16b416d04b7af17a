"""The hops of a walk, and what they say together about a connection."""

from collections.abc import Generator
from enum import StrEnum
from typing import NamedTuple, TypeAlias, TypeVar

from aks_audit.facts import Evidence, Missing, Unread
from aks_audit.facts.resource_id import parse
from aks_audit.network.flows import Passage

T = TypeVar("T")


class HopKind(StrEnum):
    """What a hop is."""

    SOURCE = "source"
    NAME = "name"
    SERVICE = "service"
    NETWORK_POLICY = "network policy"
    MASQUERADE = "masquerade"
    SECURITY_GROUP = "security group"
    ROUTE = "route"
    PEERING = "peering"
    FIREWALL = "firewall"
    APPLIANCE = "appliance"
    TRANSLATION = "NAT"
    DESTINATION = "destination"


class Hop(NamedTuple):
    """A step on the way: what it is, the ARM id of where, whether it lets the connection through, and why in words.

    `passage` is None where the hop only leads on. `by` names the rule or route that decides. Of `conditions`, one
    has to hold for it to let the connection through; none is there where that hangs on none, or on more than that.
    """

    kind: HopKind
    where: str
    passage: Passage | None
    says: str
    by: str = ""
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[Missing, ...] = ()
    conditions: tuple[str, ...] = ()


class Walk(NamedTuple):
    """The hops, in order."""

    hops: tuple[Hop, ...]

    @property
    def decided_by(self) -> Hop:
        """The hop that decides how it ends: what blocks, or what cannot be told; else the last.

        After a hop that may lead another way, nothing later decides; after one that may block, a block does.
        """
        unsure: Hop | None = None
        for hop in self.hops:
            if hop.passage is Passage.BLOCKED or (hop.passage is Passage.UNKNOWN and hop.kind in _LEADING):
                return hop
            if hop.passage is Passage.UNKNOWN:
                unsure = unsure or hop
        return unsure or self.hops[-1]

    @property
    def end(self) -> Passage:
        """How it ends."""
        return self.decided_by.passage or Passage.ALLOWED


_LEADING = frozenset(
    {HopKind.SOURCE, HopKind.NAME, HopKind.SERVICE, HopKind.MASQUERADE, HopKind.ROUTE, HopKind.APPLIANCE}
)

Steps: TypeAlias = Generator[Hop, None, T]
"""Hops, and what is known after them."""


def told(kind: HopKind, where: str, steps: Steps[T]) -> Steps[T | None]:
    """The steps; where something on the way was not read, a hop says so, and the result is None."""
    try:
        return (yield from steps)
    except Unread as unread:
        names = dict.fromkeys(parse(one.what).name for one in unread.missing)
        others = ", ".join(name for name in names if name and name != parse(where).name)
        says = f"{parse(where).name} cannot be told{f' without {others}' if others else ''}: {unread}"
        yield Hop(kind, where, Passage.UNKNOWN, says, missing=unread.missing)
        return None
