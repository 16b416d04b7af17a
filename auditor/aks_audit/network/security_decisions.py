"""What a network security group decides about a flow, with Azure's default rules behind its own.

Which addresses are behind a service tag or an application security group is known in part only, so a decision may hang
on addresses that are not known; then it says on which rules.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from aks_audit.facts import (
    Evidence,
    NetworkSecurityGroup,
    SecurityRule,
    SecurityRuleAccess,
    SecurityRuleDirection,
    SecurityRuleProtocol,
)
from aks_audit.network.addresses import EVERYTHING, PUBLIC, AddressSet, RangeSet
from aks_audit.network.flows import Address, Flow, FlowProtocol
from aks_audit.network.security_rules import ALL_PORTS, ANY_TAG, INTERNET, PROTOCOLS, Box, Endpoints, ranked_rules


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


_IN_ADDRESSES = frozenset({ANY_TAG, INTERNET})
"""The tags whose addresses are among those of the side of a rule."""


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
    all_source_ports: bool = True
    own: SecurityRule | None = None

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What a rule of the group was read from; nothing for one of Azure's own."""
        shown = (SecurityRule.name, SecurityRule.priority, SecurityRule.access)
        return tuple(self.own.at(field) for field in shown) if self.own else ()

    def match(self, box: Box, asked: _Asked) -> _Match:
        """Whether one of the rule's boxes, for the protocol and port of a flow, is about it."""
        found = _box_match(box, asked)
        sure = self.all_source_ports and not self._may_be_about_pings(box)
        return _Match.PERHAPS if found is _Match.YES and not sure else found

    def _may_be_about_pings(self, box: Box) -> bool:
        """Whether Azure does not say that the rule is about ICMP: it is for any protocol, and for some ports alone."""
        return box.protocol == "icmp" and len(self.boxes) > 1 and box.ports != ALL_PORTS


def _candidates(group: NetworkSecurityGroup, direction: SecurityRuleDirection) -> Iterator[_Candidate]:
    """The group's rules by priority, then Azure's own, which cannot be changed.

    Source: https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview#default-security-rules
    """
    for rule in ranked_rules(group, direction):
        name = f"{rule.view.name or rule.view.pointer} ({rule.priority})"
        yield _Candidate(name, rule.access, rule.boxes, rule.all_source_ports, rule.view)
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
    every = PROTOCOLS[SecurityRuleProtocol.ANY]
    return _Candidate(name, access, [Box(protocol, source, destination, ALL_PORTS) for protocol in every])


def _box_match(box: Box, asked: _Asked) -> _Match:
    destination = _end_match(box.destinations, asked.receivers, asked.surroundings)
    if destination is _Match.NO:
        return destination
    source = _end_match(box.sources, asked.senders, asked.surroundings)
    return source if destination is _Match.YES or source is _Match.NO else destination


def _end_match(side: Endpoints, end: AddressSet, surroundings: Surroundings) -> _Match:
    """Whether a side of a rule holds all, none or some of the addresses that an end of the flow can have."""
    if side.addresses.covers(end):
        return _Match.YES
    found = [surroundings.behind(tag) for tag in sorted(side.tags - _IN_ADDRESSES)]
    if found:
        left = end.difference(side.addresses)
        for behind in found:
            left = left.difference(behind.surely)
        if left.empty:
            return _Match.YES
    held = (side.addresses, *(addresses for behind in found for addresses in behind))
    return _Match.PERHAPS if any(addresses.overlaps(end) for addresses in held) else _Match.NO


def _only(address: Address) -> AddressSet:
    number = RangeSet([(int(address), int(address))])
    return AddressSet(v4=number) if isinstance(address, IPv4Address) else AddressSet(v6=number)
