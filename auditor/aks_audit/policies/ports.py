"""Sets of traffic: protocols and destination ports, how names become numbers, and how people write them."""

from collections.abc import Iterator

from aks_audit.network.addresses import RangeSet
from aks_audit.policies.model import ALL_TRAFFIC, ICMP, ICMP_V6, PORTS, SCTP, TCP, UDP, UDP_LITE, Endpoint, Ports

PROTOCOLS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}
"""The protocols that Kubernetes' own policies know, as they write them."""

_LAST_PORT = PORTS - 1
_NAMES = {ICMP: "ICMP", TCP: "TCP", UDP: "UDP", ICMP_V6: "ICMPv6", SCTP: "SCTP", UDP_LITE: "UDPLite"}
_LAST_PROTOCOL = 255


def traffic(protocol: int, first: int = 0, last: int = _LAST_PORT) -> RangeSet:
    """The traffic of a protocol (its IP number) to a range of ports, both ends included; by default all of it."""
    return RangeSet([(protocol * PORTS + first, protocol * PORTS + last)])


def icmp(protocol: int, kind: int | None = None, code: int | None = None) -> RangeSet:
    """The traffic of ICMP or ICMPv6 of a type, and of a code of it; by default all of it."""
    if kind is None:
        return traffic(protocol)
    return traffic(protocol, kind * 256 + (code or 0), kind * 256 + (255 if code is None else code))


KUBERNETES_TRAFFIC = traffic(TCP) | traffic(UDP) | traffic(SCTP)
"""What Kubernetes' own policies speak of; with other protocols, engines do as they please."""


def resolved(ports: Ports, destination: Endpoint) -> RangeSet:
    """The traffic that ports come to at a destination, which gives names their numbers."""
    if not ports.named and not ports.not_named:
        return ports.numbers
    own = {(port.protocol, port.name): traffic(port.protocol, port.number, port.number) for port in destination.ports}
    found = ports.numbers
    for name in ports.named:
        found |= own.get(name, _NONE)
    for name in ports.not_named:
        found -= own.get(name, _NONE)
    return found


_NONE = RangeSet()


def in_words(found: RangeSet, whole: RangeSet = ALL_TRAFFIC) -> str:
    """Traffic as people write it: `TCP 80, 443, 8000-8100; UDP 53`, `everything`, `everything but TCP 22`.

    `whole` is all that is spoken of; what is not in it is left out.
    """
    found &= whole
    if not found:
        return "nothing"
    if found == whole:
        return "everything"
    pieces = list(_pieces(found))
    rest = list(_pieces(whole - found))
    return "; ".join(pieces) if len(", ".join(pieces)) <= len(", ".join(rest)) else f"everything but {'; '.join(rest)}"


def _pieces(found: RangeSet) -> Iterator[str]:
    ranges = dict[int, list[tuple[int, int]]]()
    whole = list[tuple[int, int]]()
    for low, high in found.ranges:
        first, last = low // PORTS, high // PORTS
        if first != last:
            # A range over several protocols has the end of one, the whole of others, and the beginning of the last.
            ranges.setdefault(first, []).append((low % PORTS, _LAST_PORT))
            whole.append((first + 1, last - 1))
            ranges.setdefault(last, []).append((0, high % PORTS))
        else:
            ranges.setdefault(first, []).append((low % PORTS, high % PORTS))
    for low, high in whole:
        for protocol in range(low, high + 1):
            ranges[protocol] = [(0, _LAST_PORT)]
    others = [protocol for protocol in ranges if protocol not in _NAMES]
    for protocol in (TCP, UDP, SCTP, ICMP, ICMP_V6, UDP_LITE):
        if protocol in ranges:
            yield f"{_NAMES[protocol]}{_numbers(protocol, ranges[protocol])}"
    if len(others) == _LAST_PROTOCOL + 1 - len(_NAMES):
        yield "other protocols"
    elif others:
        spans = RangeSet((protocol, protocol) for protocol in others)
        yield "protocol " + ", ".join(_span(low, high) for low, high in spans.ranges)


def _numbers(protocol: int, ranges: list[tuple[int, int]]) -> str:
    if ranges == [(0, _LAST_PORT)]:
        return ""
    if protocol in {ICMP, ICMP_V6}:
        return " type " + ", ".join(_icmp_span(low, high) for low, high in ranges)
    return " " + ", ".join(_span(low, high) for low, high in ranges)


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _icmp_span(low: int, high: int) -> str:
    kind, code = divmod(low, 256)
    if (low % 256, high % 256) == (0, 255):
        return _span(kind, high // 256)
    return f"{kind} code {_span(code, high % 256)}" if kind == high // 256 else f"{_span(low, high)} of all codes"
