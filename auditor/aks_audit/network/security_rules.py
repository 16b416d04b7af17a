"""What a network security group lets in or out, by every port list, prefix list and priority.

A rule is a set of boxes: protocol x sources x destinations x destination ports. Rules are taken in order of priority;
what an earlier rule decided, a later one no longer can. Sources and destinations hold addresses, service tags and
application security groups, which stand for themselves: what is behind a tag is not known here, so a deny for a tag
takes that tag away and no address, and a deny for addresses takes no tag.
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import Literal, NamedTuple, TypeAlias

from aks_audit.facts import (
    Malformed,
    NetworkSecurityGroup,
    SecurityRule,
    SecurityRuleAccess,
    SecurityRuleDirection,
    SecurityRuleProtocol,
)
from aks_audit.network.addresses import EVERYTHING, PUBLIC, AddressSet, RangeSet

Protocol: TypeAlias = Literal["tcp", "udp", "icmp", "esp", "ah"]
_PROTOCOLS: dict[SecurityRuleProtocol, tuple[Protocol, ...]] = {
    SecurityRuleProtocol.TCP: ("tcp",),
    SecurityRuleProtocol.UDP: ("udp",),
    SecurityRuleProtocol.ICMP: ("icmp",),
    SecurityRuleProtocol.ESP: ("esp",),
    SecurityRuleProtocol.AH: ("ah",),
    SecurityRuleProtocol.ANY: ("tcp", "udp", "icmp", "esp", "ah"),
}
ALL_PORTS = RangeSet([(0, 65535)])


class Endpoints(NamedTuple):
    """One side of a rule: addresses, and tags or groups by lower-cased name. `any_tag`: every tag there is."""

    addresses: AddressSet = AddressSet()
    tags: frozenset[str] = frozenset()
    any_tag: bool = False
    except_tags: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Whether nothing is left on this side."""
        return self.addresses.empty and not self.tags and not self.any_tag

    def minus(self, other: "Endpoints") -> "Endpoints":
        """What is left when `other` is taken away."""
        addresses = self.addresses.difference(other.addresses)
        if other.any_tag:
            return Endpoints(addresses, self.tags & other.except_tags)
        gone = other.tags | _on_the_internet(self.tags, other.tags)
        return Endpoints(addresses, self.tags - gone, self.any_tag, self.except_tags | other.tags)

    def common(self, other: "Endpoints") -> "Endpoints":
        """What both hold."""
        tags = self.tags & other.tags
        tags |= _on_the_internet(self.tags, other.tags) | _on_the_internet(other.tags, self.tags)
        if other.any_tag:
            tags |= self.tags - other.except_tags
        if self.any_tag:
            tags |= other.tags - self.except_tags
        return Endpoints(
            self.addresses.intersection(other.addresses),
            tags,
            self.any_tag and other.any_tag,
            self.except_tags | other.except_tags,
        )


def _on_the_internet(tags: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    """The service tags that the tag Internet stands over, where it is among the others."""
    if "internet" not in others:
        return frozenset()
    return frozenset(tag for tag in tags if tag not in {"virtualnetwork", "azureloadbalancer"} and tag[:1] != "/")


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
    """What the group's own rules let through in a direction, in order of priority; with Azure's default rules if asked.

    Raises:
        Malformed: the body holds no rules, or a rule lacks a value that decides.
    """
    decided: list[Box] = []
    found: list[Opening] = []
    for rule in ordered_rules(group, direction, defaults=defaults):
        left = [piece for box in boxes(rule) for piece in _without(box, decided)]
        if rule.access is SecurityRuleAccess.ALLOW:
            found.extend(Opening(rule, box) for box in left)
        if _all_source_ports(rule):
            decided.extend(left)
    return tuple(found)


def ordered_rules(
    group: NetworkSecurityGroup, direction: SecurityRuleDirection, *, defaults: bool = False
) -> list[SecurityRule]:
    """The rules of a direction by priority.

    Raises:
        Malformed: the body holds no list of rules, or a rule lacks its direction, access or priority.
    """
    rules = [*_present(group, group.security_rules, "securityRules")]
    if defaults:
        rules += _present(group, group.default_security_rules, "defaultSecurityRules")
    ranked: list[tuple[int, SecurityRule]] = []
    for rule in rules:
        if rule.direction is None or rule.access is None or rule.priority is None:
            raise Malformed(group.id, rule.pointer, "a security rule without its direction, access or priority")
        if rule.direction is direction:
            ranked.append((rule.priority, rule))
    return [rule for _, rule in sorted(ranked, key=lambda item: item[0])]


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
    ports = _ports(rule)
    return [Box(protocol, sources, destinations, ports) for protocol in _PROTOCOLS[rule.protocol]]


def sources_by_port(found: Iterable[Opening], protocol: Protocol) -> Iterator[tuple[RangeSet, Endpoints, tuple[Opening, ...]]]:
    """For each stretch of ports that is open alike: the ports, the union of who may use them, and by which openings."""
    relevant = [opening for opening in found if opening.box.protocol == protocol]
    edges = sorted({edge for opening in relevant for low, high in opening.box.ports.ranges for edge in (low, high + 1)})
    for low, after in zip(edges, edges[1:], strict=False):
        here = tuple(opening for opening in relevant if low in opening.box.ports)
        if here:
            yield RangeSet([(low, after - 1)]), _union(opening.box.sources for opening in here), here


def _union(sides: Iterable[Endpoints]) -> Endpoints:
    addresses, tags, any_tag = AddressSet(), frozenset[str](), False
    for side in sides:
        addresses = addresses.union(side.addresses)
        tags |= side.tags
        any_tag = any_tag or side.any_tag
    return Endpoints(addresses, tags, any_tag)


def _without(box: Box, decided: Iterable[Box]) -> list[Box]:
    pieces = [box]
    for other in decided:
        if other.protocol == box.protocol:
            pieces = [left for piece in pieces for left in _cut(piece, other)]
    return pieces


def _cut(box: Box, other: Box) -> Iterator[Box]:
    """The parts of `box` outside `other`: other sources, then other destinations, then other ports."""
    ports = box.ports & other.ports
    sources = box.sources.common(other.sources)
    destinations = box.destinations.common(other.destinations)
    if not ports or sources.empty or destinations.empty:
        yield box
        return
    outside = box._replace(sources=box.sources.minus(other.sources))
    if not outside.sources.empty:
        yield outside
    elsewhere = box._replace(sources=sources, destinations=box.destinations.minus(other.destinations))
    if not elsewhere.destinations.empty:
        yield elsewhere
    unlisted = box._replace(sources=sources, destinations=destinations, ports=box.ports - other.ports)
    if unlisted.ports:
        yield unlisted


def _present(
    group: NetworkSecurityGroup, rules: tuple[SecurityRule, ...] | None, name: str
) -> tuple[SecurityRule, ...]:
    if rules is None:
        raise Malformed(group.id, f"{group.pointer}/properties/{name}", "a security group without its list of rules")
    return rules


def _side(
    rule: SecurityRule, single: str | None, several: tuple[str, ...] | None, groups: list[str], name: str
) -> Endpoints:
    listed = [*([single] if single else []), *(several or ())]
    if not listed and not groups:
        raise Malformed(rule.document.id, rule.pointer, f"a security rule without its {name}")
    addresses, tags = AddressSet(), {group.lower() for group in groups}
    for prefix in listed:
        match prefix.lower():
            case "*" | "any":
                return Endpoints(EVERYTHING, any_tag=True)
            case "internet":
                addresses = addresses.union(PUBLIC)
                tags.add("internet")
            case tag:
                try:
                    addresses = addresses.union(AddressSet.of([ip_network(tag, strict=False)]))
                except ValueError:
                    tags.add(tag)
    return Endpoints(addresses, frozenset(tags))


def _ports(rule: SecurityRule) -> RangeSet:
    single = rule.destination_port_range
    listed = [*([single] if single else []), *(rule.destination_port_ranges or ())]
    if not listed:
        raise Malformed(rule.document.id, rule.pointer, "a security rule without its destination ports")
    return RangeSet(_port_range(rule, item) for item in listed)


def _port_range(rule: SecurityRule, written: str) -> tuple[int, int]:
    if written.strip() == "*":
        return 0, 65535
    low, _, high = written.partition("-")
    try:
        return int(low), int(high or low)
    except ValueError:
        raise Malformed(rule.document.id, rule.pointer, f"{written!r} is not a port or a range of ports") from None


def _all_source_ports(rule: SecurityRule) -> bool:
    return rule.source_port_range == "*" or "*" in (rule.source_port_ranges or ())

