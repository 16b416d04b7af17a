"""What a network security group lets in or out, by every port list, prefix list and priority.

A rule is a set of boxes: protocol x sources x destinations x destination ports. Rules are taken in order of priority;
what an earlier rule decided, a later one no longer can.

Sources and destinations hold addresses, service tags and application security groups. Which addresses are behind a tag
is not known here, so a tag stands for itself and for the tags that it covers by definition (see `covers`): a deny for
addresses takes no tag, unless it takes the whole internet; a deny for a tag takes no address, unless it is Internet.
So what is left open is never too little, and may be too much where a tag and a list of its addresses are mixed.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

from aks_audit.facts import (
    Evidence,
    Malformed,
    NetworkSecurityGroup,
    SecurityRule,
    SecurityRuleAccess,
    SecurityRuleDirection,
    SecurityRuleProtocol,
)
from aks_audit.network.addresses import EVERYTHING, PRIVATE, PUBLIC, AddressSet, RangeSet
from aks_audit.network.flows import Address, Flow, FlowProtocol

Protocol: TypeAlias = Literal["tcp", "udp", "icmp", "esp", "ah"]
_PROTOCOLS: dict[SecurityRuleProtocol, tuple[Protocol, ...]] = {
    SecurityRuleProtocol.TCP: ("tcp",),
    SecurityRuleProtocol.UDP: ("udp",),
    SecurityRuleProtocol.ICMP: ("icmp",),
    SecurityRuleProtocol.ESP: ("esp",),
    SecurityRuleProtocol.AH: ("ah",),
    SecurityRuleProtocol.ANY: ("tcp", "udp", "icmp", "esp", "ah"),
}
_HIGHEST_PORT = 65535
ALL_PORTS = RangeSet([(0, _HIGHEST_PORT)])

ANY_TAG = "*"
INTERNET = "internet"
# https://learn.microsoft.com/azure/virtual-network/service-tags-overview: tags whose addresses are not on the internet.
_NOT_ON_THE_INTERNET = frozenset(
    {ANY_TAG, "virtualnetwork", "azureloadbalancer", "azureplatformdns", "azureplatformimds", "azureplatformlkm"}
)
_TAG = re.compile(r"[a-z][a-z0-9_.-]*")


def covers(tag: str, other: str) -> bool:
    """Whether every address of the other tag is one of this tag, by their definitions; lower-case names.

    `*` covers every tag and group, `internet` every service tag on the internet, a service tag its own regions.
    """
    if tag in {ANY_TAG, other}:
        return True
    if tag == INTERNET:
        return other not in _NOT_ON_THE_INTERNET and not other.startswith("/")
    return other.startswith(f"{tag}.") and not tag.startswith("/")


class Endpoints(NamedTuple):
    """One side of a rule: addresses, and tags or groups (ARM ids) by lower-cased name.

    A tag stands for all that it covers, except for what the tags in `without` cover. A rule states no `without`: it is
    what earlier rules took away.
    """

    addresses: AddressSet = AddressSet()
    tags: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Whether nothing is left on this side."""
        return self.addresses.empty and not any(self.holds(tag) for tag in self.tags)

    def holds(self, tag: str) -> bool:
        """Whether a tag is on this side, by itself or under a tag that covers it."""
        return any(covers(own, tag) for own in self.tags) and not any(covers(gone, tag) for gone in self.without)

    def minus(self, other: "Endpoints") -> "Endpoints":
        """What is left when `other`, a side as a rule states it, is taken away."""
        return Endpoints(self.addresses.difference(other.addresses), self.tags, self.without | other.tags)

    def meets(self, other: "Endpoints") -> bool:
        """Whether both hold something in common, `other` being a side as a rule states it."""
        by_tag = self.tags and other.tags
        return self.addresses.overlaps(other.addresses) or bool(by_tag and not self.common(other).empty)

    def common(self, other: "Endpoints") -> "Endpoints":
        """What both hold, `other` being a side as a rule states it. Of two tags that meet, one covers the other."""
        addresses = self.addresses.intersection(other.addresses)
        if not self.tags or not other.tags:
            return Endpoints(addresses, frozenset(), self.without)
        tags = {tag for tag in self.tags if other.holds(tag)} | {tag for tag in other.tags if self.holds(tag)}
        return Endpoints(addresses, frozenset(tags), self.without)


class Box(NamedTuple):
    """A product of a protocol, sources, destinations and destination ports."""

    protocol: Protocol
    sources: Endpoints
    destinations: Endpoints
    ports: RangeSet


class Opening(NamedTuple):
    """What one allow rule really lets through, after the rules before it."""

    rule: SecurityRule
    box: Box


def openings(
    group: NetworkSecurityGroup, direction: SecurityRuleDirection, *, defaults: bool = False
) -> tuple[Opening, ...]:
    """What the group's own rules let through in a direction, by priority; with Azure's default rules if asked.

    Whoever sends a packet chooses its source port, so a rule for some source ports opens, but closes nothing.

    Raises:
        Malformed: the body holds no rules, or a rule lacks a value that decides.
    """
    return group.estate.once(_OPENINGS[direction, defaults], group)


def _openings(
    direction: SecurityRuleDirection,
    defaults: bool,  # noqa: FBT001 - bound by name in the table below
    group: NetworkSecurityGroup,
) -> tuple[Opening, ...]:
    decided = _Decided()
    found: list[Opening] = []
    for rule in _ranked_rules(group, direction, defaults=defaults):
        own = rule.boxes
        if rule.access is SecurityRuleAccess.ALLOW:
            found.extend(Opening(rule.view, left) for box in own for left in decided.leave_of(box))
        if rule.all_source_ports:
            decided.add(own)
    return tuple(found)


_OPENINGS: Mapping[tuple[SecurityRuleDirection, bool], Callable[[NetworkSecurityGroup], tuple[Opening, ...]]] = {
    (direction, defaults): partial(_openings, direction, defaults)
    for direction in SecurityRuleDirection
    for defaults in (False, True)
}


class _RankedRule:
    """A rule of a group, taken apart when that is first asked for."""

    __slots__ = ("_all_source_ports", "_boxes", "access", "priority", "view")

    def __init__(self, view: SecurityRule, access: SecurityRuleAccess, priority: int) -> None:
        self.view = view
        self.access = access
        self.priority = priority
        self._boxes: list[Box] = []
        self._all_source_ports: bool | None = None

    @property
    def boxes(self) -> list[Box]:
        """As `boxes`."""
        self._boxes = self._boxes or boxes(self.view)
        return self._boxes

    @property
    def all_source_ports(self) -> bool:
        """Whether the rule is about traffic from every port."""
        if self._all_source_ports is None:
            rule = self.view
            self._all_source_ports = _ports(rule, rule.source_port_range, rule.source_port_ranges) == ALL_PORTS
        return self._all_source_ports


_Ranked: TypeAlias = Mapping[SecurityRuleDirection, tuple[_RankedRule, ...]]


def _ranked_rules(
    group: NetworkSecurityGroup, direction: SecurityRuleDirection, *, defaults: bool = False
) -> tuple[_RankedRule, ...]:
    """The rules of a direction by priority, Azure's default rules among them if asked.

    Raises:
        Malformed: the body holds no list of rules, or a rule lacks its direction, access or priority.
    """
    own = group.estate.once(_own_rules, group)[direction]
    if not defaults:
        return own
    return _by_priority([*own, *group.estate.once(_default_rules, group)[direction]])


def _own_rules(group: NetworkSecurityGroup) -> _Ranked:
    return _ranked(group, group.security_rules, "securityRules")


def _default_rules(group: NetworkSecurityGroup) -> _Ranked:
    return _ranked(group, group.default_security_rules, "defaultSecurityRules")


def _ranked(group: NetworkSecurityGroup, rules: tuple[SecurityRule, ...] | None, name: str) -> _Ranked:
    if rules is None:
        raise Malformed(group.id, f"{group.pointer}/properties/{name}", "a security group without its list of rules")
    found: dict[SecurityRuleDirection, list[_RankedRule]] = {direction: [] for direction in SecurityRuleDirection}
    for rule in rules:
        if (
            (direction := rule.direction) is None
            or (access := rule.access) is None
            or (priority := rule.priority) is None
        ):
            raise Malformed(group.id, rule.pointer, "a security rule without its direction, access or priority")
        found[direction].append(_RankedRule(rule, access, priority))
    return {direction: _by_priority(ranked) for direction, ranked in found.items()}


def _by_priority(rules: Iterable[_RankedRule]) -> tuple[_RankedRule, ...]:
    return tuple(sorted(rules, key=lambda rule: rule.priority))


def boxes(rule: SecurityRule) -> list[Box]:
    """The boxes of a rule, one a protocol.

    Raises:
        Malformed: the rule lacks its protocol, a side, or its ports, or one of them cannot be read.
    """
    if rule.protocol is None:
        raise Malformed(rule.document.id, rule.pointer, "a security rule without its protocol")
    sources = _side(
        rule,
        rule.source_address_prefix,
        rule.source_address_prefixes,
        [link.id for link in rule.source_application_security_groups or ()],
        "source",
    )
    destinations = _side(
        rule,
        rule.destination_address_prefix,
        rule.destination_address_prefixes,
        [link.id for link in rule.destination_application_security_groups or ()],
        "destination",
    )
    ports = _ports(rule, rule.destination_port_range, rule.destination_port_ranges)
    if not ports:
        raise Malformed(rule.document.id, rule.pointer, "a security rule without its destination ports")
    return [Box(protocol, sources, destinations, ports) for protocol in _PROTOCOLS[rule.protocol]]


def by_port(found: Iterable[Opening], protocol: Protocol) -> Iterator[tuple[RangeSet, tuple[Opening, ...]]]:
    """For each stretch of ports that is open alike: the ports, and the openings that open all of them."""
    relevant = [opening for opening in found if opening.box.protocol == protocol]
    begin: dict[int, list[int]] = {}
    end: dict[int, list[int]] = {}
    for number, opening in enumerate(relevant):
        for low, high in opening.box.ports.ranges:
            begin.setdefault(low, []).append(number)
            end.setdefault(high + 1, []).append(number)
    here: set[int] = set()
    for low, after in pairwise(sorted(begin.keys() | end.keys())):
        here = here.difference(end.get(low, ())).union(begin.get(low, ()))
        if here:
            yield RangeSet([(low, after - 1)]), tuple(relevant[number] for number in sorted(here))


def sources(found: Iterable[Opening]) -> AddressSet:
    """The union of all source addresses; tags are asked for by `Endpoints.holds`."""
    return AddressSet.union_of(opening.box.sources.addresses for opening in found)


def destinations(found: Iterable[Opening]) -> AddressSet:
    """The union of all destination addresses; tags are asked for by `Endpoints.holds`."""
    return AddressSet.union_of(opening.box.destinations.addresses for opening in found)


class Behind(NamedTuple):
    """The addresses behind a tag or group: those surely behind it, and more that may be, which is not known."""

    surely: AddressSet = AddressSet()
    perhaps: AddressSet = AddressSet()


class Surroundings(NamedTuple):
    """What tags and groups mean where a security group stands.

    `virtual_network` is the tag VirtualNetwork there, and `group` gives the interfaces of an application security group
    by its id in lower case.
    """

    virtual_network: Behind
    group: Callable[[str], Behind]

    def behind(self, tag: str) -> Behind:
        """What is behind a tag or group, in lower case. Which addresses a service has is not known: any public ones."""
        if tag == "virtualnetwork":
            return self.virtual_network
        if tag in _OF_THE_PLATFORM:
            return Behind(_OF_THE_PLATFORM[tag])
        return self.group(tag) if tag.startswith("/") else Behind(perhaps=PUBLIC)


# https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16 and
# https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
PLATFORM_ADDRESS = IPv4Network("168.63.129.16/32")
_METADATA_ADDRESS = IPv4Network("169.254.169.254/32")
_OF_THE_PLATFORM = {
    "azureloadbalancer": AddressSet.of([PLATFORM_ADDRESS]),
    "azureplatformdns": AddressSet.of([PLATFORM_ADDRESS]),
    "azureplatformlkm": AddressSet.of([PLATFORM_ADDRESS]),
    "azureplatformimds": AddressSet.of([_METADATA_ADDRESS]),
}


class _Match(StrEnum):
    """Whether a rule is about a flow."""

    YES = "yes"
    NO = "no"
    PERHAPS = "perhaps"


class Decision(NamedTuple):
    """What a security group does with a flow.

    `access` is None where that hangs on addresses that are not known; `doubts` then names the rules that may decide.
    `rule` names the rule that decides, `evidence` is what it was read from (nothing for a default rule that the body
    does not hold), and `too_late` the group's own rules about the same flow that say otherwise and are never reached.
    """

    access: SecurityRuleAccess | None
    rule: str
    evidence: tuple[Evidence, ...] = ()
    doubts: tuple[str, ...] = ()
    too_late: tuple[str, ...] = ()


def decide(
    group: NetworkSecurityGroup,
    direction: SecurityRuleDirection,
    flow: Flow,
    surroundings: Surroundings,
    senders: AddressSet | None = None,
) -> Decision:
    """The first rule by priority that is about a flow; Azure's default rules come last, in the body or not.

    A flow to a name without an address is one to some public address. A rule for some source ports may be about it.
    `senders` are the addresses that the source may have, where that is not `flow.source` alone.

    Raises:
        Malformed: the body holds no rules, or a rule lacks a value that decides.
    """
    return ordered(group, direction).decide(flow, surroundings, senders)


class OrderedRules:
    """The rules of a group in one direction, in the order in which they are asked; for many flows."""

    __slots__ = ("_by_port", "_rules")

    def __init__(self, rules: "Iterable[_Candidate]") -> None:
        self._rules = tuple(rules)
        self._by_port: dict[tuple[FlowProtocol, int | None], list[tuple[_Candidate, Box]]] = {}

    def decide(self, flow: Flow, surroundings: Surroundings, senders: AddressSet | None = None) -> Decision:
        """As `decide`."""
        doubtful: list[_Candidate] = []
        receivers = PUBLIC if flow.destination is None else _only(flow.destination)
        asked = _Asked(senders or _only(flow.source), receivers, surroundings)
        rules = self._about(flow.protocol, flow.port)
        for number, (candidate, box) in enumerate(rules):
            match = candidate.match(box, asked)
            if match is _Match.PERHAPS:
                doubtful.append(candidate)
            elif match is _Match.YES:
                return _decided(candidate, doubtful, rules[number + 1 :], asked)
        raise AssertionError("the last default rule is about every flow")  # pragma: no cover

    def _about(self, protocol: FlowProtocol, port: int | None) -> "list[tuple[_Candidate, Box]]":
        """The rules about a protocol and port, which are looked for once; None: any port."""
        key = (protocol, port)
        if key not in self._by_port:
            self._by_port[key] = [
                (rule, box)
                for rule in self._rules
                for box in rule.boxes
                if box.protocol == protocol and (port is None or port in box.ports)
            ]
        return self._by_port[key]


def ordered(group: NetworkSecurityGroup, direction: SecurityRuleDirection) -> OrderedRules:
    """A group's rules of a direction, by priority, then Azure's own.

    Raises:
        Malformed: the body holds no rules, or a rule lacks a value that decides.
    """
    return group.estate.once(_ORDERED[direction], group)


def _ordered(direction: SecurityRuleDirection, group: NetworkSecurityGroup) -> OrderedRules:
    return OrderedRules(_candidates(group, direction))


_ORDERED: Mapping[SecurityRuleDirection, Callable[[NetworkSecurityGroup], OrderedRules]] = {
    direction: partial(_ordered, direction) for direction in SecurityRuleDirection
}


def _decided(
    by: "_Candidate", doubtful: "Sequence[_Candidate]", rest: "Sequence[tuple[_Candidate, Box]]", asked: "_Asked"
) -> Decision:
    if any(other.access is not by.access for other in doubtful):
        every = (*doubtful, by)
        evidence = tuple(piece for other in every for piece in other.evidence)
        return Decision(None, "", evidence, tuple(other.name for other in every))
    late = [(other, box) for other, box in rest if other.own and other.access is not by.access]
    too_late = tuple(other.name for other, box in late if other.match(box, asked) is _Match.YES)
    return Decision(by.access, by.name, by.evidence, (), too_late)


class _Asked(NamedTuple):
    """The addresses that the source and the destination of a flow may have, and where that is."""

    senders: AddressSet
    receivers: AddressSet
    surroundings: Surroundings


class _Candidate(NamedTuple):
    """A rule that may decide; no two of its boxes have the same protocol."""

    name: str
    access: SecurityRuleAccess
    boxes: Sequence[Box]
    evidence: tuple[Evidence, ...]
    all_source_ports: bool = True
    own: bool = False

    def match(self, box: Box, asked: _Asked) -> _Match:
        """Whether one of the rule's boxes, for the protocol and port of a flow, is about it."""
        found = _box_match(box, asked)
        return _Match.PERHAPS if found is _Match.YES and not self.all_source_ports else found


def _candidates(group: NetworkSecurityGroup, direction: SecurityRuleDirection) -> Iterator[_Candidate]:
    """The group's rules by priority, then Azure's own, which cannot be changed.

    Source: https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview#default-security-rules
    """
    for rule in _ranked_rules(group, direction):
        name = f"{rule.view.name or rule.view.pointer} ({rule.priority})"
        told = tuple(rule.view.at(field) for field in (SecurityRule.name, SecurityRule.priority, SecurityRule.access))
        yield _Candidate(name, rule.access, rule.boxes, told, rule.all_source_ports, own=True)
    end = "InBound" if direction is SecurityRuleDirection.INBOUND else "OutBound"
    allow, deny = SecurityRuleAccess.ALLOW, SecurityRuleAccess.DENY
    anyone, network = Endpoints(EVERYTHING), Endpoints(tags=frozenset({"virtualnetwork"}))
    internet, probes = Endpoints(PUBLIC), Endpoints(_OF_THE_PLATFORM["azureloadbalancer"])
    middle = ("AllowInternetOutBound", anyone, internet) if end == "OutBound" else (
        "AllowAzureLoadBalancerInBound", probes, anyone
    )  # fmt: skip
    yield _default(f"AllowVnet{end} (65000)", allow, network, network)
    yield _default(f"{middle[0]} (65001)", allow, middle[1], middle[2])
    yield _default(f"DenyAll{end} (65500)", deny, anyone, anyone)


def _default(name: str, access: SecurityRuleAccess, source: Endpoints, destination: Endpoints) -> _Candidate:
    every = _PROTOCOLS[SecurityRuleProtocol.ANY]
    return _Candidate(name, access, [Box(protocol, source, destination, ALL_PORTS) for protocol in every], ())


def _box_match(box: Box, asked: _Asked) -> _Match:
    destination = _end_match(box.destinations, asked.receivers, asked.surroundings)
    if destination is _Match.NO:
        return destination
    source = _end_match(box.sources, asked.senders, asked.surroundings)
    return source if destination is _Match.YES or source is _Match.NO else destination


def _end_match(side: Endpoints, end: AddressSet, surroundings: Surroundings) -> _Match:
    """Whether a side of a rule holds all, none or some of the addresses that an end of the flow can have."""
    left = end.difference(side.addresses)
    if left.empty:
        return _Match.YES
    found = [surroundings.behind(tag) for tag in sorted(side.tags - {ANY_TAG, INTERNET})]
    for behind in found:
        left = left.difference(behind.surely)
    if left.empty:
        return _Match.YES
    held = (side.addresses, *(addresses for behind in found for addresses in behind))
    return _Match.PERHAPS if any(addresses.overlaps(end) for addresses in held) else _Match.NO


def _only(address: Address) -> AddressSet:
    number = RangeSet([(int(address), int(address))])
    return AddressSet(v4=number) if isinstance(address, IPv4Address) else AddressSet(v6=number)


class Unreachable(NamedTuple):
    """A rule that never decides anything, and the rules before it that decide all that it is about."""

    rule: SecurityRule
    by: tuple[SecurityRule, ...]


def unreachable(group: NetworkSecurityGroup, direction: SecurityRuleDirection) -> tuple[Unreachable, ...]:
    """The group's own rules of a direction that are never reached, by priority.

    Raises:
        Malformed: the body holds no rules, or a rule lacks a value that decides.
    """
    before: list[_RankedRule] = []
    decided = _Decided()
    found: list[Unreachable] = []
    for rule in _ranked_rules(group, direction):
        own = rule.boxes
        if not any(True for box in own for _ in decided.leave_of(box)):
            by = (other for other in before if any(_meet(one, box) for one in other.boxes for box in own))
            found.append(Unreachable(rule.view, tuple(other.view for other in by)))
        if rule.all_source_ports:
            before.append(rule)
            decided.add(own)
    return tuple(found)


def restrictions(group: NetworkSecurityGroup, direction: SecurityRuleDirection) -> tuple[SecurityRule, ...]:
    """The group's own deny rules that stop something which Azure's default rules let through, by priority.

    By default the virtual network, and what it is joined to, comes in; everything goes out. A rule that an earlier one
    hides, that denies what is denied by default, or that is for some source ports alone, stops nothing.

    Raises:
        Malformed: the body holds no rules, or a rule lacks a value that decides.
    """
    decided = _Decided()
    found: list[SecurityRule] = []
    for rule in _ranked_rules(group, direction):
        own = rule.boxes
        if rule.all_source_ports:
            if rule.access is SecurityRuleAccess.DENY:
                open_by_default = (_let_through(box, direction) for box in own)
                if any(True for box in open_by_default if box for _ in decided.leave_of(box)):
                    found.append(rule.view)
            decided.add(own)
    return tuple(found)


_JOINED = Endpoints(PRIVATE, frozenset({"virtualnetwork"}))


def _let_through(box: Box, direction: SecurityRuleDirection) -> Box | None:
    """The part of a box that Azure's default rules let through."""
    if direction is SecurityRuleDirection.OUTBOUND:
        return box
    sources = box.sources.common(_JOINED)
    return None if sources.empty else box._replace(sources=sources)


def _meet(one: Box, other: Box) -> bool:
    return one.protocol == other.protocol and one.ports.meets(other.ports) and list(_cut(other, one)) != [other]


class _Decided:
    """The boxes that earlier rules decide about, by protocol, each with its lowest and its highest port."""

    __slots__ = ("_boxes",)

    def __init__(self) -> None:
        self._boxes: dict[Protocol, list[tuple[int, int, Box]]] = {}

    def add(self, boxes: Iterable[Box]) -> None:
        """Add the boxes of a rule."""
        for box in boxes:
            ports = box.ports.ranges
            self._boxes.setdefault(box.protocol, []).append((ports[0][0], ports[-1][1], box))

    def leave_of(self, box: Box) -> Iterator[Box]:
        """The parts of a box that no earlier rule decides about, the first of them as soon as it is found."""
        lowest, highest = box.ports.ranges[0][0], box.ports.ranges[-1][1]
        near = [
            other
            for low, high, other in self._boxes.get(box.protocol, ())
            if low <= highest and lowest <= high and other.ports.meets(box.ports)
        ]
        pieces = [(box, 0)]
        while pieces:
            piece, asked = pieces.pop()
            if asked == len(near):
                yield piece
            else:
                pieces += [(left, asked + 1) for left in reversed([*_cut(piece, near[asked])])]


def _cut(box: Box, other: Box) -> Iterator[Box]:
    """The parts of `box` outside `other`: other sources, then other destinations, then other ports."""
    if not (
        box.ports.meets(other.ports) and box.sources.meets(other.sources) and box.destinations.meets(other.destinations)
    ):
        yield box
        return
    common_sources = box.sources.common(other.sources)
    common_destinations = box.destinations.common(other.destinations)
    outside = box._replace(sources=box.sources.minus(other.sources))
    if not outside.sources.empty:
        yield outside
    elsewhere = box._replace(sources=common_sources, destinations=box.destinations.minus(other.destinations))
    if not elsewhere.destinations.empty:
        yield elsewhere
    unlisted = Box(box.protocol, common_sources, common_destinations, box.ports - other.ports)
    if unlisted.ports:
        yield unlisted


def _side(
    rule: SecurityRule, single: str | None, several: tuple[str, ...] | None, groups: list[str], name: str
) -> Endpoints:
    listed = [*([single] if single else []), *(several or ())]
    if not listed and not groups:
        raise Malformed(rule.document.id, rule.pointer, f"a security rule without its {name}")
    sets: list[AddressSet] = []
    tags = {group.lower() for group in groups}
    for prefix in listed:
        match prefix.strip().lower():
            case "*" | "any":
                sets.append(EVERYTHING)
            case "internet":
                sets.append(PUBLIC)
            case written:
                try:
                    sets.append(AddressSet.written(written))
                except ValueError:
                    tags.add(_tag(rule, written))
    addresses = AddressSet.union_of(sets)
    whole = [(EVERYTHING, ANY_TAG), (PUBLIC, INTERNET)]
    return Endpoints(addresses, frozenset(tags | {tag for all_of, tag in whole if addresses.covers(all_of)}))


def _tag(rule: SecurityRule, written: str) -> str:
    if not _TAG.fullmatch(written):
        raise Malformed(rule.document.id, rule.pointer, f"{written!r} is neither an address prefix nor a service tag")
    return written


def _ports(rule: SecurityRule, single: str | None, several: tuple[str, ...] | None) -> RangeSet:
    return RangeSet(_port_range(rule, written) for written in [*([single] if single else []), *(several or ())])


def _port_range(rule: SecurityRule, written: str) -> tuple[int, int]:
    if written.strip() == "*":
        return 0, _HIGHEST_PORT
    found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", written.strip())
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not low <= high <= _HIGHEST_PORT:
        raise Malformed(rule.document.id, rule.pointer, f"{written!r} is not a port or a range of ports")
    return low, high
