"""The rules of Cilium's policies, compiled.

https://docs.cilium.io/en/stable/security/policy/language/
https://docs.cilium.io/en/stable/security/policy/deny/
"""

from collections.abc import Iterator, Mapping

from aks_audit.network.addresses import AddressSet, RangeSet
from aks_audit.policies.body import Body
from aks_audit.policies.cilium_peers import (
    Refusable,
    Restricting,
    Surroundings,
    Undecided,
    cidr,
    cidr_set,
    endpoints,
    entity,
    names,
    service,
)
from aks_audit.policies.model import (
    ANY_PORT,
    EVERYONE,
    ICMP,
    ICMP_V6,
    OUTSIDE,
    SCTP,
    TCP,
    UDP,
    Action,
    Direction,
    NamedPort,
    Ports,
    Rule,
    Selection,
)
from aks_audit.policies.names import address_of
from aks_audit.policies.ports import icmp, traffic

_PEERS = {
    Direction.INGRESS: ("fromEndpoints", "fromCIDR", "fromCIDRSet", "fromEntities", "fromGroups", "fromNodes"),
    Direction.EGRESS: (
        *("toEndpoints", "toCIDR", "toCIDRSet", "toEntities", "toFQDNs", "toGroups", "toNodes", "toServices"),
    ),
}
_REQUIRES = {Direction.INGRESS: "fromRequires", Direction.EGRESS: "toRequires"}
_NO_LIST_TAKES_NOTHING = frozenset({"fromGroups", "toFQDNs", "toGroups", "toServices"})
"""Where an empty list is as good as none; elsewhere it takes nobody."""

_PROTOCOLS = {"TCP": (TCP,), "UDP": (UDP,), "SCTP": (SCTP,), "ANY": (TCP, UDP, SCTP), "": (TCP, UDP, SCTP)}
_WITHOUT_PORTS = {"VRRP": 112, "IGMP": 2}
_HIGHEST_PORT, _HIGHEST_TYPE = 65535, 255
_ICMP_TYPES: Mapping[str, Mapping[str, int]] = {
    "IPv4": {
        "EchoReply": 0, "DestinationUnreachable": 3, "Redirect": 5, "Echo": 8, "EchoRequest": 8,
        "RouterAdvertisement": 9, "RouterSelection": 10, "TimeExceeded": 11, "ParameterProblem": 12, "Timestamp": 13,
        "TimestampReply": 14, "Photuris": 40, "ExtendedEchoRequest": 42, "ExtendedEchoReply": 43,
    },
    "IPv6": {
        "DestinationUnreachable": 1, "PacketTooBig": 2, "TimeExceeded": 3, "ParameterProblem": 4, "EchoRequest": 128,
        "EchoReply": 129, "MulticastListenerQuery": 130, "MulticastListenerReport": 131, "MulticastListenerDone": 132,
        "RouterSolicitation": 133, "RouterAdvertisement": 134, "NeighborSolicitation": 135,
        "NeighborAdvertisement": 136, "RedirectMessage": 137,
    },
}  # fmt: skip


def compile_rule(
    body: Body, direction: Direction, action: Action, namespace: str, around: Surroundings
) -> tuple[Rule, ...]:
    """One entry of ingress, egress, ingressDeny or egressDeny: a rule for each of its ports. Empty, it takes nobody.

    What holds above layer 4 is in the conditions of a rule; what names are taken, in those of its peers.

    Raises:
        Malformed: it is not of a form that is known, so that Cilium refuses the policy, or knows more than we do.
        Undecided: what it does depends on something that is not known.
        Refusable: Cilium may refuse the policy for it.
    """
    allowing = ("authentication",) if action is Action.ALLOW else ()
    body.only((*_PEERS[direction], _REQUIRES[direction], "toPorts", "icmps", *allowing))
    if body.has(_REQUIRES[direction]):
        raise Restricting(f"{_REQUIRES[direction]} restricts what all other policies of these endpoints allow")
    ports = [*_ports(body, direction, action, around), *_icmps(body)]
    peers = _peers(body, direction, namespace, around)
    if peers is None:
        peers = (EVERYONE,) if ports else ()
    authentication = _authentication(body)
    rules = [
        Rule(action, peers, one, body.pointer, (*authentication, *conditions))
        for one, conditions in ports or [(ANY_PORT, ())]
    ]
    return tuple(rules)


# --- peers


def _peers(body: Body, direction: Direction, namespace: str, around: Surroundings) -> tuple[Selection, ...] | None:
    """The peers of a rule; None where it says nothing of them.

    An empty list takes nobody: https://docs.cilium.io/en/stable/security/policy/layer3/
    """
    written = [
        name
        for name in _PEERS[direction]
        if body.has(name) and (name not in _NO_LIST_TAKES_NOTHING or body.length(name))
    ]
    if not written:
        return None
    if sum(bool(body.length(name)) for name in written) > 1:
        raise body.malformed(f"Cilium takes one of {', '.join(written)} in a rule")
    if any(not body.length(name) for name in written):
        return ()
    return tuple(_taken(body, written[0], namespace, around))


def _taken(body: Body, name: str, namespace: str, around: Surroundings) -> Iterator[Selection]:
    match name.removeprefix("from").removeprefix("to"):
        case "Endpoints":
            found = (endpoints(one, namespace, around.settings) for one in body.parts(name))
            yield from (selection for selections in found for selection in selections)
        case "Entities":
            found = (_entity(body, name, written, around) for written in body.texts(name))
            yield from (selection for selections in found for selection in selections)
        case "CIDR":
            yield cidr(AddressSet.of(body.networks(name)), around.settings)
        case "CIDRSet":
            yield from (selection for one in body.parts(name) for selection in cidr_set(one, around))
        case "Services":
            yield from _services(body, around)
        case "FQDNs":
            _enforced("fqdn", around)
            yield Selection(OUTSIDE, conditions=(address_of(map(names, body.parts(name))),))
        case _:
            raise Undecided(f"it is not known whom {name} takes")


def _services(body: Body, around: Surroundings) -> Iterator[Selection]:
    if body.has("toPorts") or body.has("icmps"):
        raise Refusable("toServices beside toPorts is refused by some versions of Cilium")
    for one in body.parts("toServices"):
        yield from service(one, around)


def _entity(body: Body, name: str, written: str, around: Surroundings) -> tuple[Selection, ...]:
    try:
        return entity(written, around.settings)
    except KeyError:
        raise body.malformed(f"not an entity that is known: {written!r}", name) from None


def _authentication(body: Body) -> tuple[str, ...]:
    found = body.part("authentication")
    if not found:
        return ()
    found.only(("mode",))
    match found.text("mode"):
        case "disabled":
            return ()
        case "required":
            return ("both ends authenticate each other",)
        case mode:
            raise found.malformed(f"not a mode that is known: {mode!r}", "mode")


# --- ports


def _ports(
    body: Body, direction: Direction, action: Action, around: Surroundings
) -> Iterator[tuple[Ports, tuple[str, ...]]]:
    for one in body.parts("toPorts"):
        if action is Action.DENY:
            one.only(("ports",))
        one.only(("listener", "originatingTLS", "ports", "rules", "serverNames", "terminatingTLS"))
        if not one.parts("ports"):
            raise Undecided("it is not known for which ports a rule without any is")
        found = [_port(port) for port in one.parts("ports")]
        numbers = RangeSet(piece for port in found for piece in port.numbers.ranges)
        named = frozenset(name for port in found for name in port.named)
        yield Ports(numbers, named), tuple(_conditions(one, direction, around))


def _port(port: Body) -> Ports:
    port.only(("endPort", "port", "protocol"))
    written, protocol = port.text("port", "0"), port.text("protocol", "").upper()
    if protocol in _WITHOUT_PORTS and written == "0":
        return Ports(traffic(_WITHOUT_PORTS[protocol]))
    if protocol not in _PROTOCOLS:
        raise port.malformed(f"not a protocol that is known: {protocol!r}", "protocol")
    protocols = _PROTOCOLS[protocol]
    if not (written.isascii() and written.isdecimal()):
        return Ports(RangeSet(), frozenset(NamedPort(one, written.lower()) for one in protocols))
    first = int(written)
    last = (port.number("endPort") if port.has("endPort") else 0) or first
    if not first <= last <= _HIGHEST_PORT:
        raise port.malformed(f"{first} to {last} is no range of ports")
    if first == 0:
        last = _HIGHEST_PORT
    return Ports(RangeSet(piece for one in protocols for piece in traffic(one, first, last).ranges))


def _icmps(body: Body) -> Iterator[tuple[Ports, tuple[str, ...]]]:
    if body.parts("icmps") and body.parts("toPorts"):
        raise body.malformed("Cilium takes no icmps beside toPorts", "icmps")
    for one in body.parts("icmps"):
        one.only(("fields",))
        pieces = [piece for field in one.parts("fields") for piece in _icmp(field).ranges]
        if not pieces:
            raise Undecided("it is not known what a rule about no type of ICMP does")
        yield Ports(RangeSet(pieces)), ()


def _icmp(field: Body) -> RangeSet:
    field.only(("family", "type"))
    family = field.text("family", "IPv4")
    if family not in _ICMP_TYPES:
        raise field.malformed(f"not a family that is known: {family!r}", "family")
    if field.is_text("type"):
        written = field.text("type")
        number = int(written) if written.isascii() and written.isdecimal() else _ICMP_TYPES[family].get(written, -1)
    else:
        number = field.number("type")
    if not 0 <= number <= _HIGHEST_TYPE:
        raise field.malformed("not a type that is known", "type")
    return icmp(ICMP if family == "IPv4" else ICMP_V6, number)


# --- layer 7


def _conditions(port: Body, direction: Direction, around: Surroundings) -> Iterator[str]:
    """What must hold above layer 4. TLS that Cilium ends and begins anew keeps nothing out by itself."""
    if server_names := port.texts("serverNames"):
        _enforced("tls", around)
        yield f"TLS to {' or '.join(server_names)}"
    if listener := port.part("listener"):
        listener.only(("envoyConfig", "name", "priority"))
        raise Undecided(f"the Envoy listener {listener.text('name')} decides")
    rules = port.part("rules")
    if not rules:
        return
    rules.only(("dns", "http", "kafka", "l7", "l7proto"))
    kinds = [name for name in ("dns", "http", "kafka", "l7proto") if rules.has(name)]
    if len(kinds) > 1 or (direction is Direction.INGRESS and "dns" in kinds):
        raise rules.malformed("Cilium takes no such rules together, or in this direction")
    if kinds == ["l7proto"] or rules.has("l7"):
        raise Undecided("it is not known what a parser of another protocol lets through")
    for kind in kinds:
        _enforced(kind, around)
        yield " or ".join(_WORDS[kind](one) for one in rules.parts(kind)) or f"any {_ANY[kind]}"


def _enforced(kind: str, around: Surroundings) -> None:
    enforced = around.settings.layer_7
    if enforced is None:
        raise Undecided(f"it is not known whether rules about {kind.upper()} are enforced in this cluster")
    if kind not in enforced:
        raise Undecided(
            f"rules about {kind.upper()} are not enforced in this cluster, which Cilium may refuse them for"
        )


def _dns(one: Body) -> str:
    return f"DNS query for {names(one)}"


def _http(one: Body) -> str:
    one.only(("headerMatches", "headers", "host", "method", "path"))
    parts = [one.text(name, "") for name in ("method", "host", "path")]
    parts += [f"with header {header}" for header in one.texts("headers")]
    for header in one.parts("headerMatches"):
        header.only(("mismatch", "name", "secret", "value"))
        if header.text("mismatch", ""):
            # The request goes through all the same, and is logged or changed.
            continue
        parts.append(f"with header {header.text('name')}")
    return " ".join(["HTTP", *(part for part in parts if part)])


def _kafka(one: Body) -> str:
    one.only(("apiKey", "apiVersion", "clientID", "role", "topic"))
    parts = [
        f"{name} {one.text(name)}" for name in ("role", "apiKey", "apiVersion", "clientID", "topic") if one.has(name)
    ]
    return " ".join(["Kafka", *parts])


_WORDS = {"dns": _dns, "http": _http, "kafka": _kafka}
_ANY = {"dns": "DNS query", "http": "HTTP request", "kafka": "Kafka request"}
