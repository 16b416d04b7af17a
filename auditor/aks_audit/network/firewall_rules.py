"""The rules of an Azure Firewall in the order in which it takes them, each with its conditions as sets.

DNAT rules come first, then network rules, then application rules, whatever their priorities. Within a kind, a parent
policy's groups come before the child's, and priorities decide among groups and among collections, the lowest first.
NAT rules are not inherited.

Sources: https://learn.microsoft.com/azure/firewall/rule-processing and
https://learn.microsoft.com/azure/firewall-manager/policy-overview.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple, TypeVar

from aks_audit.facts import Evidence, Link, Malformed, View
from aks_audit.facts.enumerations import FirewallRuleType, RuleCollectionAction
from aks_audit.facts.firewall import (
    AzureFirewall,
    ClassicRuleCollection,
    FirewallPolicy,
    FirewallRule,
    IPGroup,
    RuleCollection,
    RuleCollectionGroup,
)
from aks_audit.network.addresses import EVERYTHING, PUBLIC, AddressSet, RangeSet

NAT, NETWORK, APPLICATION = FirewallRuleType.NAT, FirewallRuleType.NETWORK, FirewallRuleType.APPLICATION
T = TypeVar("T")

STAGES = (NAT, NETWORK, APPLICATION)
"""The kinds of rules in the order in which a firewall takes them."""

_HIGHEST_PORT = 65535
ALL_PORTS = RangeSet([(0, _HIGHEST_PORT)])
_TAG = re.compile(r"[a-z][a-z0-9_.-]*")
_SHOWN = (
    FirewallRule.name,
    FirewallRule.source_addresses,
    FirewallRule.source_ip_groups,
    FirewallRule.destination_addresses,
    FirewallRule.destination_ip_groups,
    FirewallRule.destination_fqdns,
    FirewallRule.destination_ports,
    FirewallRule.target_fqdns,
    FirewallRule.fqdn_tags,
    FirewallRule.web_categories,
    FirewallRule.translated_address,
    FirewallRule.translated_port,
)


class RuleName(NamedTuple):
    """Where a rule stands. `policy` is the firewall itself for classic rules, which have no `group`."""

    policy: str
    group: str
    collection: str
    rule: str

    def __str__(self) -> str:
        """The names, the widest first."""
        return "/".join(name for name in self if name)


class Service(NamedTuple):
    """A protocol of an application rule (http, https, mssql) and its port."""

    protocol: str
    port: int


class Conditions(NamedTuple):
    """What a flow must be for a rule to match. All names are in lower case.

    `protocols` (tcp, udp, icmp, any) and `ports` are those of network and NAT rules, `services` those of application
    rules. `fqdns` are names in network rules, and patterns that may begin with `*` in application rules.
    """

    sources: AddressSet
    addresses: AddressSet
    service_tags: frozenset[str]
    fqdns: tuple[str, ...]
    protocols: frozenset[str]
    ports: RangeSet
    services: frozenset[Service]
    urls: tuple[str, ...]
    fqdn_tags: tuple[str, ...]
    web_categories: tuple[str, ...]


class PlacedRule:
    """A rule, where it stands, and its action. Its conditions and evidence are made when they are first asked for."""

    __slots__ = ("_conditions", "_evidence", "action", "kind", "name", "view")

    def __init__(
        self, name: RuleName, kind: FirewallRuleType, action: RuleCollectionAction, view: FirewallRule
    ) -> None:
        self.name = name
        self.kind = kind
        self.action = action
        self.view = view
        self._conditions: Conditions | None = None
        self._evidence: tuple[Evidence, ...] | None = None

    @property
    def allows(self) -> bool:
        """Whether it lets through what it matches."""
        return self.action is RuleCollectionAction.ALLOW

    @property
    def conditions(self) -> Conditions:
        """When it matches.

        Raises:
            NotCollected: an IP group in it was not read.
            Malformed: it lacks sources, destinations, protocols or ports, or one of them is none.
        """
        if self._conditions is None:
            self._conditions = _conditions(self.view, self.kind)
        return self._conditions

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The rule as it stands in the body: every list of it that is not empty."""
        if self._evidence is None:
            shown = (self.view.at(field) for field in _SHOWN)
            self._evidence = tuple(evidence for evidence in shown if evidence.value)
        return self._evidence


class RulesByName:
    """The rules of a firewall, from which those that may be about a host name are found without asking each of them.

    Raises:
        NotCollected, Malformed: the conditions of a rule cannot be told, as `PlacedRule.conditions`.
    """

    __slots__ = ("_by_ending", "_by_name", "_others", "_to_the_internet", "all")

    def __init__(self, rules: tuple[PlacedRule, ...]) -> None:
        self.all = rules
        self._by_name: dict[str, list[int]] = {}
        self._by_ending: dict[str, list[int]] = {}
        self._others: list[int] = []
        self._to_the_internet: list[int] = []
        for number, rule in enumerate(rules):
            self._place(number, rule.kind, rule.conditions)

    def _place(self, number: int, kind: FirewallRuleType, wanted: Conditions) -> None:
        if kind is not APPLICATION:
            self._others.append(number)
            if wanted.service_tags or wanted.fqdns or wanted.addresses.overlaps(PUBLIC):
                self._to_the_internet.append(number)
            return
        if wanted.urls or wanted.fqdn_tags or wanted.web_categories:
            self._to_the_internet.append(number)
            self._others.append(number)
        for pattern in wanted.fqdns:
            by_text = self._by_ending if pattern.startswith("*") else self._by_name
            by_text.setdefault(pattern.removeprefix("*"), []).append(number)

    def about(self, name: str | None, *, public: bool) -> tuple[PlacedRule, ...]:
        """The rules that may match a flow to a name, in order; `public`: its addresses are all on the internet."""
        if name is None or name.startswith("*"):
            return self.all
        numbers = {*(self._to_the_internet if public else self._others), *self._by_name.get(name, ())}
        for start in range(len(name) + 1):
            numbers.update(self._by_ending.get(name[start:], ()))
        return tuple(self.all[number] for number in sorted(numbers))


def placed_rules(firewall: AzureFirewall) -> tuple[PlacedRule, ...]:
    """Every rule of a firewall, of its policy and of that policy's parents, in the order in which it takes them.

    Raises:
        NotCollected: a policy, a parent, or the rule collection groups of one were not read.
        Malformed: a group, collection or rule lacks its priority, action, kind or list, or the parents form a circle.
    """
    policy = firewall.firewall_policy
    found = list(_classic(firewall) if policy is None else _inherited(policy.read()))
    return tuple(rule for stage in STAGES for rule in found if rule.kind is stage)


def chain(policy: FirewallPolicy) -> tuple[FirewallPolicy, ...]:
    """A policy and its parents, the topmost first.

    Raises:
        NotCollected: a parent was not read.
        Malformed: a policy is its own parent, however far up.
    """
    found = [policy]
    while parent := found[-1].base_policy:
        if any(parent.id.lower() == known.id.lower() for known in found):
            raise Malformed(policy.id, "/properties/basePolicy", "the policy is among its own parents")
        found.append(parent)
    return tuple(reversed(found))


def _inherited(policy: FirewallPolicy) -> Iterator[PlacedRule]:
    for one in chain(policy):
        groups = [(_needed(group, group.priority, "priority"), group) for group in one.rule_collection_groups.whole()]
        for _, group in sorted(groups, key=lambda item: item[0]):
            rules = _of_group(one, group)
            yield from rules if one is policy else (rule for rule in rules if rule.kind is not NAT)


def _of_group(policy: FirewallPolicy, group: RuleCollectionGroup) -> Iterator[PlacedRule]:
    collections = _needed(group, group.rule_collections, "rule collections")
    for collection in sorted(collections, key=_priority):
        action = _needed(collection, collection.action, "action")
        where = (policy.name, group.name, collection.name or "")
        for rule in _needed(collection, collection.rules, "rules"):
            name = RuleName(*where, rule.name or "")
            yield PlacedRule(name, _needed(rule, rule.rule_type, "type"), action, rule)


def _classic(firewall: AzureFirewall) -> Iterator[PlacedRule]:
    kinds = {
        NAT: firewall.nat_rule_collections,
        NETWORK: firewall.network_rule_collections,
        APPLICATION: firewall.application_rule_collections,
    }
    for kind, collections in kinds.items():
        for collection in sorted(_needed(firewall, collections, f"{kind} collections"), key=_priority):
            action = _needed(collection, collection.action, "action")
            for rule in _needed(collection, collection.rules, "rules"):
                name = RuleName(firewall.name, "", collection.name or "", rule.name or "")
                yield PlacedRule(name, kind, action, rule)


def _priority(collection: RuleCollection | ClassicRuleCollection) -> int:
    return _needed(collection, collection.priority, "priority")


def _conditions(rule: FirewallRule, kind: FirewallRuleType) -> Conditions:
    sources, source_tags = _addresses(rule, rule.source_addresses, rule.source_ip_groups)
    if sources.empty or source_tags:
        raise Malformed(rule.document.id, rule.pointer, "a rule without sources that are addresses")
    addresses, tags = _addresses(rule, rule.destination_addresses, rule.destination_ip_groups)
    application = kind is APPLICATION
    conditions = Conditions(
        sources,
        addresses,
        tags,
        tuple(map(_name, (rule.target_fqdns if application else rule.destination_fqdns) or ())),
        frozenset() if application else _protocols(rule),
        RangeSet() if application else _ports(rule),
        _services(rule) if application else frozenset(),
        tuple(map(_name, rule.target_urls or ())) if application else (),
        tuple(map(_name, rule.fqdn_tags or ())) if application else (),
        tuple(map(_name, rule.web_categories or ())) if application else (),
    )
    by_name = (conditions.fqdns, conditions.urls, conditions.fqdn_tags, conditions.web_categories)
    if not any(by_name) and (application or (addresses.empty and not tags)):
        raise Malformed(rule.document.id, rule.pointer, "a rule without destinations")
    return conditions


def _protocols(rule: FirewallRule) -> frozenset[str]:
    policy = rule.find("ipProtocols")[0] is not None
    listed = rule.ip_protocols if policy else rule.classic_protocols
    return frozenset(map(_name, _needed(rule, listed or None, "protocols")))


def _ports(rule: FirewallRule) -> RangeSet:
    try:
        return _written_ports(_needed(rule, rule.destination_ports or None, "ports"))
    except ValueError as problem:
        raise Malformed(rule.document.id, rule.pointer, str(problem)) from None


@lru_cache(maxsize=8192)
def _written_ports(listed: tuple[str, ...]) -> RangeSet:
    return RangeSet(map(_port_range, listed))


def _services(rule: FirewallRule) -> frozenset[Service]:
    """The services of an application rule. With FQDN tags alone the list may be empty: the tags name them."""
    protocols = rule.application_protocols
    if protocols == () and rule.fqdn_tags:
        return frozenset({Service("http", 80), Service("https", 443)})
    listed = _needed(rule, protocols or None, "protocols")
    return frozenset(
        Service(_name(_needed(one, one.protocol_type, "type")), _needed(one, one.port, "port")) for one in listed
    )


def _addresses(
    rule: FirewallRule, listed: Sequence[str] | None, groups: Sequence[Link[IPGroup]] | None
) -> tuple[AddressSet, frozenset[str]]:
    """The addresses and the service tags (lower case) of one side of a rule."""
    grouped: list[str] = []
    for group in groups or ():
        read = group.read()
        grouped += _needed(read, read.ip_addresses, "addresses")
    try:
        return _written((*(listed or ()), *grouped))
    except ValueError as problem:
        raise Malformed(rule.document.id, rule.pointer, str(problem)) from None


@lru_cache(maxsize=8192)
def _written(listed: tuple[str, ...]) -> tuple[AddressSet, frozenset[str]]:
    """A side as rules write it, many of them alike; ValueError where something is neither addresses nor a tag."""
    sets: list[AddressSet] = []
    tags: set[str] = set()
    for written in map(_name, listed):
        addresses = written_addresses(written)
        if addresses is not None:
            sets.append(addresses)
        elif _TAG.fullmatch(written):
            tags.add(written)
        else:
            raise ValueError(f"{written!r} is neither addresses nor a service tag")
    return AddressSet.union_of(sets), frozenset(tags)


def written_addresses(written: str) -> AddressSet | None:
    """The addresses of `*`, `Internet`, an address, a prefix or a range such as `10.0.0.1-10.0.0.9`; None: of none."""
    if written in {"*", "any"}:
        return EVERYTHING
    if written.lower() == "internet":
        return PUBLIC
    first, dash, last = written.partition("-")
    try:
        if not dash:
            return AddressSet.written(written)
        low, high = ip_address(first.strip()), ip_address(last.strip())
    except ValueError:
        return None
    if low.version != high.version or int(low) > int(high):
        return None
    span = RangeSet([(int(low), int(high))])
    return AddressSet(v4=span) if low.version == 4 else AddressSet(v6=span)  # noqa: PLR2004 - IPv4


def _port_range(written: str) -> tuple[int, int]:
    if written.strip() == "*":
        return 0, _HIGHEST_PORT
    found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", written.strip())
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not low <= high <= _HIGHEST_PORT:
        raise ValueError(f"{written!r} is not a port or a range of ports")
    return low, high


def _name(written: str) -> str:
    return written.strip().lower()


def _needed(view: View, value: T | None, name: str) -> T:
    if value is None:
        raise Malformed(view.document.id, view.pointer, f"it is without its {name}")
    return value
