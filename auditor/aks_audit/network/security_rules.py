"""What a network security group lets in or out, by every port list, prefix list and priority.

A rule is a set of boxes: protocol x sources x destinations x destination ports. Rules are taken in order of priority;
what an earlier rule decided, a later one no longer can.

Sources and destinations hold addresses, service tags and application security groups. Which addresses are behind a tag
is not known here, so a tag stands for itself and for the tags that it covers by definition (see `covers`): a deny for
addresses takes no tag, unless it takes the whole internet; a deny for a tag takes no address, unless it is Internet.
So what is left open is never too little, and may be too much where a tag and a list of its addresses are mixed.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

from aks_audit.facts import (
    Malformed,
    NetworkSecurityGroup,
    SecurityRule,
    SecurityRuleAccess,
    SecurityRuleDirection,
    SecurityRuleProtocol,
)
from aks_audit.network.addresses import EVERYTHING, PRIVATE, PUBLIC, AddressSet, RangeSet

Protocol: TypeAlias = Literal["tcp", "udp", "icmp", "esp", "ah"]
PROTOCOLS: dict[SecurityRuleProtocol, tuple[Protocol, ...]] = {
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
    for rule in ranked_rules(group, direction, defaults=defaults):
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


class RankedRule:
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


_Ranked: TypeAlias = Mapping[SecurityRuleDirection, tuple[RankedRule, ...]]


def ranked_rules(
    group: NetworkSecurityGroup, direction: SecurityRuleDirection, *, defaults: bool = False
) -> tuple[RankedRule, ...]:
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
    found: dict[SecurityRuleDirection, list[RankedRule]] = {direction: [] for direction in SecurityRuleDirection}
    for rule in rules:
        if (
            (direction := rule.direction) is None
            or (access := rule.access) is None
            or (priority := rule.priority) is None
        ):
            raise Malformed(group.id, rule.pointer, "a security rule without its direction, access or priority")
        found[direction].append(RankedRule(rule, access, priority))
    return {direction: _by_priority(ranked) for direction, ranked in found.items()}


def _by_priority(rules: Iterable[RankedRule]) -> tuple[RankedRule, ...]:
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
    return [Box(protocol, sources, destinations, ports) for protocol in PROTOCOLS[rule.protocol]]


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


class Unreachable(NamedTuple):
    """A rule that never decides anything, and the rules before it that decide all that it is about."""

    rule: SecurityRule
    by: tuple[SecurityRule, ...]


def unreachable(group: NetworkSecurityGroup, direction: SecurityRuleDirection) -> tuple[Unreachable, ...]:
    """The group's own rules of a direction that are never reached, by priority.

    Raises:
        Malformed: the body holds no rules, or a rule lacks a value that decides.
    """
    before: list[RankedRule] = []
    decided = _Decided()
    found: list[Unreachable] = []
    for rule in ranked_rules(group, direction):
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
    for rule in ranked_rules(group, direction):
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
    listed = (*([single] if single else []), *(several or ()))
    if not listed and not groups:
        raise Malformed(rule.document.id, rule.pointer, f"a security rule without its {name}")
    try:
        return _endpoints(listed, tuple(groups))
    except ValueError as problem:
        raise Malformed(rule.document.id, rule.pointer, str(problem)) from None


@lru_cache(maxsize=8192)
def _endpoints(listed: tuple[str, ...], groups: tuple[str, ...]) -> Endpoints:
    """A side as rules write it, many of them alike; ValueError where something is neither a prefix nor a tag."""
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
                    tags.add(_tag(written))
    addresses = AddressSet.union_of(sets)
    whole = [(EVERYTHING, ANY_TAG), (PUBLIC, INTERNET)]
    return Endpoints(addresses, frozenset(tags | {tag for all_of, tag in whole if addresses.covers(all_of)}))


def _tag(written: str) -> str:
    if not _TAG.fullmatch(written):
        raise ValueError(f"{written!r} is neither an address prefix nor a service tag")
    return written


def _ports(rule: SecurityRule, single: str | None, several: tuple[str, ...] | None) -> RangeSet:
    try:
        return _written_ports((*([single] if single else []), *(several or ())))
    except ValueError as problem:
        raise Malformed(rule.document.id, rule.pointer, str(problem)) from None


@lru_cache(maxsize=8192)
def _written_ports(listed: tuple[str, ...]) -> RangeSet:
    return RangeSet(map(_port_range, listed))


def _port_range(written: str) -> tuple[int, int]:
    if written.strip() == "*":
        return 0, _HIGHEST_PORT
    found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", written.strip())
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not low <= high <= _HIGHEST_PORT:
        raise ValueError(f"{written!r} is not a port or a range of ports")
    return low, high
