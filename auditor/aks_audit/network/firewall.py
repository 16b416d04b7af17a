"""What an Azure Firewall does with a flow, by its policy and its parents, or by its classic rules.

The first rule that matches decides. What no rule matches is denied, but for Azure's own infrastructure, whose names are
not published. A rule may match or not, or it cannot be told: which addresses a service tag or a name has, or which
names a web category has, stands in no body. Such a doubt counts only where the rule would do another thing with the
flow than what comes after it.

Sources: https://learn.microsoft.com/azure/firewall/rule-processing,
https://learn.microsoft.com/azure/firewall-manager/policy-overview (what a policy has from its parent: network and
application rules, not NAT rules),
https://learn.microsoft.com/azure/firewall/fqdn-filtering-network-rules and
https://learn.microsoft.com/azure/firewall/snat-private-range.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Literal, NamedTuple, TypeAlias

from aks_audit.facts import Evidence, Malformed
from aks_audit.facts.enumerations import RuleCollectionAction, ThreatIntelMode
from aks_audit.facts.firewall import AzureFirewall
from aks_audit.network.addresses import EVERYTHING, PRIVATE, PUBLIC, AddressSet
from aks_audit.network.firewall_rules import (
    ALL_PORTS,
    APPLICATION,
    NAT,
    NETWORK,
    Conditions,
    PlacedRule,
    RuleName,
    RulesByName,
    Service,
    chain,
    placed_rules,
    written_addresses,
)
from aks_audit.network.flows import Address, Flow
from aks_audit.network.security_rules import covers

Answer: TypeAlias = bool | str
"""Whether a rule matches; a text says why that cannot be told."""

_KNOWN_PORTS = {80: "http", 443: "https", 1433: "mssql"}
_BROAD_TAGS = ("azurecloud", "azurefrontdoor")
"""Service tags that hold addresses of many services, so that what is known of a name may not name them."""
_INFRASTRUCTURE = (".blob.core.windows.net", ".blob.storage.azure.net", ".table.core.windows.net")
"""Where names of Azure's own infrastructure are (images, managed disks, diagnostics), which no rule needs to allow."""


class FirewallAction(StrEnum):
    """What becomes of a flow."""

    ALLOW = "allow"
    DENY = "deny"
    DNAT = "dnat"
    UNDECIDED = "undecided"


_ACTIONS = {
    RuleCollectionAction.ALLOW: FirewallAction.ALLOW,
    RuleCollectionAction.DENY: FirewallAction.DENY,
    RuleCollectionAction.DNAT: FirewallAction.DNAT,
    RuleCollectionAction.SNAT: FirewallAction.ALLOW,
}


class KnownDestination(NamedTuple):
    """What is known about a host name beside the snapshot, such as from documentation.

    `public`: it stands for public addresses, none of them the firewall's own. `service_tags` and `fqdn_tags` (lower
    case) hold it; None where that is not known at all.
    """

    public: bool = False
    service_tags: frozenset[str] | None = None
    fqdn_tags: frozenset[str] | None = None


NOTHING_KNOWN = KnownDestination()


class FirewallVerdict(NamedTuple):
    """What the firewall does, why, and the rule that decides (None: no rule does).

    `translated_address` (or a name) and `translated_port` are a DNAT rule's. `snat` says whether the source is replaced
    by the firewall's own address (None: cannot be told). Known bad destinations go by `threat_intelligence` before any
    rule; which they are is not known here.
    """

    action: FirewallAction
    reason: str
    rule: RuleName | None = None
    evidence: tuple[Evidence, ...] = ()
    translated_address: str | None = None
    translated_port: int | None = None
    snat: bool | None = None
    threat_intelligence: ThreatIntelMode | None = None


class SourceVerdict(NamedTuple):
    """What the firewall does with a flow from any of some addresses."""

    sources: AddressSet
    verdict: FirewallVerdict


class _Doubt(NamedTuple):
    """A rule that may match, what it would do, and why it cannot be told."""

    rule: PlacedRule
    action: FirewallAction
    reason: str


class _Piece(NamedTuple):
    """Sources that no rule has decided about yet, and the rules that may have."""

    sources: AddressSet
    doubts: tuple[_Doubt, ...] = ()


def judge(firewall: AzureFirewall, flow: Flow, known: KnownDestination = NOTHING_KNOWN) -> FirewallVerdict:
    """What the firewall does with a flow.

    Raises:
        NotCollected: a policy, a parent, their rule collection groups, or an IP group was not read.
        Malformed: a rule lacks what it is made of.
    """
    return judge_sources(firewall, AddressSet.of([ip_network(flow.source)]), flow, known)[0].verdict


def judge_sources(
    firewall: AzureFirewall, sources: AddressSet, flow: Flow, known: KnownDestination = NOTHING_KNOWN
) -> tuple[SourceVerdict, ...]:
    """What the firewall does with a flow from each of many addresses (the flow's own source is not looked at).

    Raises:
        NotCollected, Malformed: as `judge`.
    """
    question = firewall.estate.once(_Questions, firewall).about(flow, known)
    decided = list(question.decide(sources))
    threat = firewall.estate.once(threat_intelligence, firewall)
    return tuple(SourceVerdict(piece.sources, piece.verdict._replace(threat_intelligence=threat)) for piece in decided)


def threat_intelligence(firewall: AzureFirewall) -> ThreatIntelMode | None:
    """What is done with known bad destinations: the policy's mode, or the firewall's own where it has no policy.

    A policy inherits its parent's mode, and can only be stricter.
    Source: https://learn.microsoft.com/azure/firewall-manager/policy-overview#hierarchical-policies

    Raises:
        NotCollected: the policy was not read, or a parent that may be stricter.
    """
    policy = firewall.firewall_policy
    if policy is None:
        return firewall.threat_intel_mode
    own = policy.read()
    if own.threat_intel_mode is ThreatIntelMode.DENY or own.base_policy_id is None:
        return own.threat_intel_mode
    stated = [one.threat_intel_mode for one in chain(own)]
    return max((mode for mode in stated if mode), key=list(ThreatIntelMode).index, default=None)


def dns_proxy(firewall: AzureFirewall) -> bool | None:
    """Whether the firewall answers DNS queries; None where neither the policy nor the firewall says so."""
    policy = firewall.firewall_policy
    if policy is not None:
        return policy.read().dns_proxy
    properties = firewall.additional_properties
    written = properties.dns_proxy if properties else None
    return None if written is None else written.lower() == "true"


def not_translated(firewall: AzureFirewall) -> AddressSet:
    """The destinations to which network rules keep the source: private ones, unless the ranges are set.

    Raises:
        Malformed: a range is none.
    """
    policy = firewall.firewall_policy
    properties = firewall.additional_properties
    listed: Sequence[str] | None = None
    if policy is not None:
        listed = policy.read().private_ranges
    elif properties and properties.private_ranges:
        listed = properties.private_ranges.split(",")
    if listed is None:
        return PRIVATE
    return AddressSet.union_of(_private_range(firewall, written.strip()) for written in listed)


def learns_private_ranges(firewall: AzureFirewall) -> bool:
    """Whether the firewall learns more private ranges from a route server, which no body shows."""
    policy = firewall.firewall_policy
    return policy is not None and (policy.read().auto_learn_private_ranges or "").lower() == "enabled"


def _private_range(firewall: AzureFirewall, written: str) -> AddressSet:
    found = PRIVATE if written.lower() == "ianaprivateranges" else written_addresses(written)
    if found is None:
        raise Malformed(firewall.id, "/properties", f"{written!r} is no private range")
    return found


class _Question:
    """One flow, put to one firewall's rules for any sources.

    A flow that a DNAT rule let through (`let_through`) is put to the network rules once more, which may only deny it.
    """

    __slots__ = ("_answers", "asked", "flow", "known", "let_through", "rules")

    def __init__(
        self,
        asked: "_Asked",
        flow: Flow,
        known: KnownDestination,
        rules: tuple[PlacedRule, ...],
        let_through: FirewallVerdict | None = None,
    ) -> None:
        self.asked = asked
        self.flow = flow
        self.known = known
        self.rules = rules
        self.let_through = let_through
        self._answers: tuple[tuple[PlacedRule, Literal[True] | str], ...] | None = None

    def answers(self) -> tuple[tuple[PlacedRule, Literal[True] | str], ...]:
        """The rules that match the flow or may, whatever its source."""
        if self._answers is None:
            answers = ((rule, self.matches(rule, self.flow)) for rule in self.rules)
            self._answers = tuple((rule, answer) for rule, answer in answers if answer is not False)
        return self._answers

    def decide(self, sources: AddressSet) -> Iterator[SourceVerdict]:
        """Every source once, with what becomes of its flow."""
        pieces = [_Piece(sources)]
        for rule, answer in self.answers():
            left: list[_Piece] = []
            for piece in pieces:
                inside = piece.sources.intersection(rule.conditions.sources)
                if inside.empty:
                    left.append(piece)
                    continue
                if answer is True:
                    yield from self._decided(rule, _Piece(inside, piece.doubts))
                else:
                    left += self._doubted(rule, answer, _Piece(inside, piece.doubts))
                outside = piece.sources.difference(inside)
                if not outside.empty:
                    left.append(_Piece(outside, piece.doubts))
            pieces = left
        for piece in pieces:
            yield SourceVerdict(piece.sources, self._by_default(piece))

    def _doubted(self, rule: PlacedRule, reason: str, piece: _Piece) -> Iterator[_Piece]:
        """The piece with the doubt; in parts, where a DNAT rule that may match would not do the same with all of it."""
        for part in self._decided(rule, _Piece(piece.sources)):
            yield _Piece(part.sources, (*piece.doubts, _Doubt(rule, part.verdict.action, reason)))

    def _decided(self, rule: PlacedRule, piece: _Piece) -> Iterator[SourceVerdict]:
        if rule.kind is NAT:
            yield from self._translated(rule, piece)
            return
        verdict = self.let_through if rule.allows else None
        verdict = verdict or FirewallVerdict(
            _ACTIONS[rule.action],
            f"{_KINDS[rule.kind]} rule {rule.name} {_VERBS[_ACTIONS[rule.action]]} it",
            rule.name,
            rule.evidence,
            snat=self._snat(rule, self.flow),
        )
        yield SourceVerdict(piece.sources, _unless_doubted(verdict, piece.doubts))

    def _translated(self, rule: PlacedRule, piece: _Piece) -> Iterator[SourceVerdict]:
        """A DNAT rule lets its flow through, unless a network rule denies it as translated."""
        address, port = _translation(rule)
        named = isinstance(address, str)
        flow = self.flow._replace(
            destination=None if isinstance(address, str) else address, name=str(address) if named else None, port=port
        )
        verdict = FirewallVerdict(
            FirewallAction.DNAT,
            f"DNAT rule {rule.name} sends it to {address} port {port}",
            rule.name,
            rule.evidence,
            translated_address=str(address),
            translated_port=port,
        )
        rules = tuple(rule for rule in self.asked.rules.all if rule.kind is NETWORK)
        for part in _Question(self.asked, flow, NOTHING_KNOWN, rules, verdict).decide(piece.sources):
            yield SourceVerdict(part.sources, _unless_doubted(part.verdict, piece.doubts))

    def _by_default(self, piece: _Piece) -> FirewallVerdict:
        if self.let_through:
            return _unless_doubted(self.let_through, piece.doubts)
        name = self.flow.name or ""
        denied = FirewallVerdict(FirewallAction.DENY, "No rule of the firewall allows it, so it is denied")
        if self.flow.protocol == "tcp" and name.endswith(_INFRASTRUCTURE):
            told = f"No rule allows it, and whether Azure's built-in infrastructure rules allow {name} is not published"
            denied = FirewallVerdict(FirewallAction.UNDECIDED, told)
        return _unless_doubted(denied, piece.doubts)

    def matches(self, rule: PlacedRule, flow: Flow) -> Answer:
        """Whether a flow from one of a rule's sources matches it."""
        wanted = rule.conditions
        if rule.kind is APPLICATION:
            service = _service(wanted, flow)
            return service and _both(service, self._names(wanted, flow))
        if rule.kind is NAT and flow.destination is None and self.known.public:
            return False
        transport = _transport(wanted, flow)
        return transport and _both(transport, self._destination(wanted, flow))

    def _destination(self, wanted: Conditions, flow: Flow) -> Answer:
        if flow.destination is not None:
            written: Answer = _holds(wanted.addresses, flow.destination)
        else:
            written = self._unknown_address(wanted.addresses, flow)
        tags = [self._tag(tag, flow) for tag in sorted(wanted.service_tags)]
        return _either([written, *tags, *(self._network_fqdn(fqdn, flow) for fqdn in wanted.fqdns)])

    def _unknown_address(self, addresses: AddressSet, flow: Flow) -> Answer:
        if addresses.empty:
            return False
        if addresses.v4 == EVERYTHING.v4 or (self.known.public and addresses.v4 == PUBLIC.v4):
            return True
        if self.known.public and not addresses.overlaps(PUBLIC):
            return False
        return f"the address of {flow.name} is not known"

    def _tag(self, tag: str, flow: Flow) -> Answer:
        if flow.destination is not None and _holds(PUBLIC, flow.destination) is False:
            return False
        if self.known.service_tags is None or flow.destination is not None:
            return f"which addresses the service tag {tag} holds is not known"
        if any(covers(tag, held) for held in self.known.service_tags):
            return True
        broad = tag.startswith(_BROAD_TAGS)
        return f"whether the service tag {tag} holds {flow.name} is not known" if broad else False

    def _network_fqdn(self, fqdn: str, flow: Flow) -> Answer:
        """A network rule's name stands for the addresses that the firewall itself gets for it."""
        if flow.name is None:
            return f"which addresses {fqdn} has is not known"
        if flow.name != fqdn:
            return False
        return True if self.asked.proxy else f"without DNS proxy, the firewall may get another address for {fqdn}"

    def _names(self, wanted: Conditions, flow: Flow) -> Answer:
        named: list[Answer] = [_pattern(pattern, flow.name) for pattern in wanted.fqdns]
        named += [self._fqdn_tag(tag) for tag in wanted.fqdn_tags]
        named += [_url(url, flow.name) for url in wanted.urls]
        named += [f"which names the web category {category} holds is not known" for category in wanted.web_categories]
        restricted = not wanted.addresses.empty or bool(wanted.service_tags)
        return _both(_either(named), self._destination(wanted._replace(fqdns=()), flow) if restricted else True)

    def _fqdn_tag(self, tag: str) -> Answer:
        if self.known.fqdn_tags is None:
            return f"which names the FQDN tag {tag} holds is not known"
        return tag in self.known.fqdn_tags

    def _snat(self, rule: PlacedRule, flow: Flow) -> bool | None:
        if rule.kind is APPLICATION:
            return True
        kept = self.asked.firewall.estate.once(not_translated, self.asked.firewall)
        if flow.destination is None:
            public = self.known.public and not kept.overlaps(PUBLIC)
            return True if public and not self.asked.learns else None
        if _holds(kept, flow.destination):
            return False
        return None if self.asked.learns else True


class _Asked(NamedTuple):
    """A firewall, and what every question about it needs."""

    firewall: AzureFirewall
    proxy: bool | None
    learns: bool
    rules: RulesByName


class _Questions:
    """The questions that one firewall was asked: many clusters ask the same, from their own addresses."""

    __slots__ = ("_asked", "_known")

    def __init__(self, firewall: AzureFirewall) -> None:
        rules = RulesByName(firewall.estate.once(placed_rules, firewall))
        self._asked = _Asked(firewall, dns_proxy(firewall), learns_private_ranges(firewall), rules)
        self._known: dict[object, _Question] = {}

    def about(self, flow: Flow, known: KnownDestination) -> _Question:
        """The question about a flow from anywhere."""
        key = (flow.destination, flow.name, flow.protocol, flow.port, known)
        if key not in self._known:
            rules = self._asked.rules.about(flow.name, public=known.public and flow.destination is None)
            self._known[key] = _Question(self._asked, flow, known, rules)
        return self._known[key]


_KINDS = {NAT: "DNAT", NETWORK: "Network", APPLICATION: "Application"}
_VERBS = {FirewallAction.ALLOW: "allows", FirewallAction.DENY: "denies"}


def _unless_doubted(verdict: FirewallVerdict, doubts: Sequence[_Doubt]) -> FirewallVerdict:
    """The verdict, unless an earlier rule that may match would have done another thing."""
    other = next((doubt for doubt in doubts if doubt.action is not verdict.action), None)
    if other is None or verdict.action is FirewallAction.UNDECIDED:
        return verdict
    reason = f"Rule {other.rule.name} may match first, and {other.reason}"
    return FirewallVerdict(FirewallAction.UNDECIDED, reason, other.rule.name, other.rule.evidence)


def _translation(rule: PlacedRule) -> tuple[Address | str, int]:
    view = rule.view
    address, port = view.translated_address or view.translated_fqdn, view.translated_port
    if address is None or port is None or not port.isascii() or not port.isdigit():
        raise Malformed(view.document.id, view.pointer, "a DNAT rule without what it translates to")
    try:
        return ip_address(address.strip()), int(port)
    except ValueError:
        return address.strip().lower(), int(port)


def _transport(wanted: Conditions, flow: Flow) -> Answer:
    if not wanted.protocols & {"any", flow.protocol}:
        return False
    if flow.protocol == "icmp" or wanted.ports == ALL_PORTS:
        return True
    if flow.port is None:
        return "the port is not known"
    return flow.port in wanted.ports


def _service(wanted: Conditions, flow: Flow) -> Answer:
    """Application rules are asked about HTTP, HTTPS and MSSQL alone, by their port and what usually is spoken there."""
    if flow.protocol != "tcp":
        return False
    if flow.port is None:
        return "the port is not known"
    usual = _KNOWN_PORTS.get(flow.port)
    if usual is not None:
        return Service(usual, flow.port) in wanted.services
    return any(service.port == flow.port for service in wanted.services)


def _holds(addresses: AddressSet, address: Address) -> bool:
    family = addresses.v4 if address.version == 4 else addresses.v6  # noqa: PLR2004 - IPv4
    return int(address) in family


def _pattern(pattern: str, name: str | None) -> Answer:
    """Whether a name is one of an application rule's; an asterisk at the left stands for anything, dots included."""
    if pattern == "*":
        return True
    if name is None:
        return f"whether the host name is {pattern} is not known"
    if pattern == name or (pattern.startswith("*") and name.endswith(pattern[1:])):
        return True
    if name.startswith("*") and pattern.endswith(name[1:]):
        return f"{pattern} is only a part of {name}"
    return False


def _url(url: str, name: str | None) -> Answer:
    host, _, _ = url.removeprefix("https://").removeprefix("http://").partition("/")
    matched = _pattern(host, name)
    return f"{url} is about paths, too" if matched is True else matched


def _both(first: Answer, second: Answer) -> Answer:
    if first is False or second is False:
        return False
    return second if first is True else first


def _either(answers: Sequence[Answer]) -> Answer:
    if any(answer is True for answer in answers):
        return True
    return next((answer for answer in answers if answer is not False), False)
