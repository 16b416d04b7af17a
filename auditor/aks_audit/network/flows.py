"""A flow: who opens a connection, to whom, and how. The question that each analysis of the network answers."""

from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, NamedTuple, TypeAlias

from aks_audit.facts import Evidence, Malformed, View

Address: TypeAlias = IPv4Address | IPv6Address
FlowProtocol: TypeAlias = Literal["tcp", "udp", "icmp"]


class Passage(StrEnum):
    """Whether a connection gets through a hop, or to its destination."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


class Flow(NamedTuple):
    """One connection, as it leaves its source or as it stands after a hop has rewritten it.

    `name` is the host name that was asked for, in lower case and without a final dot; None where an address was.
    `destination` is None where only the name is known. `port` is the destination's, None for protocols without ports.
    """

    source: Address
    destination: Address | None
    name: str | None
    protocol: FlowProtocol
    port: int | None


class Destination(NamedTuple):
    """Where a connection is to go: an address, a host name in lower case, or neither, for the internet as such.

    With both, the address is known past all DNS; `evidence` says from where. `asked` is the name that DNS is asked
    for, where that is another one that leads to `name`.
    """

    address: Address | None
    name: str | None
    protocol: FlowProtocol
    port: int | None
    evidence: tuple[Evidence, ...] = ()
    asked: str | None = None


def address_of(view: View, text: str | None, evidence: Evidence) -> Address:
    """The address that a part of a body writes.

    Raises:
        Malformed: it writes none, or something that is none.
    """
    try:
        return ip_address(text or "")
    except ValueError:
        raise Malformed(view.document.id, evidence.pointer, f"expected an address, found {text!r}") from None
