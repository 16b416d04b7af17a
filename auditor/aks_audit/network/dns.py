"""What a host name resolves to in a virtual network: by Azure's DNS with private zones, or by servers of one's own.

Sources: https://learn.microsoft.com/azure/dns/private-dns-privatednszone and
https://learn.microsoft.com/azure/dns/dns-private-resolver-overview (zones that are linked to the network come first,
the one with the longest suffix decides; then forwarding rules; then public DNS) and
https://learn.microsoft.com/azure/dns/private-dns-fallback (NxDomainRedirect). Public DNS itself is not asked: that a
name is left to it is all that is known here.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from ipaddress import IPv4Address
from typing import NamedTuple, assert_never

from aks_audit.facts import Estate, Evidence, Malformed, ManagedCluster, Missing, NotCollected, VirtualNetwork
from aks_audit.facts.enumerations import ResolutionPolicy
from aks_audit.facts.firewall import AzureFirewall
from aks_audit.facts.name_resolution import (
    ARecordSet,
    CNameRecordSet,
    PrivateDnsZone,
    VirtualNetworkLink,
)
from aks_audit.facts.resource_id import parse
from aks_audit.network.dns_servers import AZURE_DNS, Host, Server, dns_proxy, located, once, servers
from aks_audit.network.forwarding import forwarding_of, scopes_near
from aks_audit.network.private_zones import addresses_of, linked_zone, record_of


class Answer(StrEnum):
    """What a name resolves to."""

    ADDRESSES = "addresses"
    """Addresses of a private zone."""
    PUBLIC = "public"
    """Whatever public DNS says."""
    NOTHING = "nothing"
    """No such name, or no answer at all."""
    DIFFERENT = "different"
    """Servers that stand side by side say different things."""


class Step(NamedTuple):
    """One step on the way to an answer, in words, and what it was read from."""

    said: str
    evidence: tuple[Evidence, ...]


class Resolution(NamedTuple):
    """What a name resolves to in a network, and the steps there; `addresses` where the answer is addresses."""

    answer: Answer
    addresses: frozenset[IPv4Address]
    steps: tuple[Step, ...]

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """All that it was read from."""
        return once(evidence for step in self.steps for evidence in step.evidence)


def resolve(network: VirtualNetwork, name: str) -> Resolution:
    """What a host name resolves to for the machines of a network. IPv4 alone, as private endpoints are.

    Raises:
        NotCollected: something on the way was not read, or is in the settings of a server that Azure does not hold.
        Malformed: a value on the way cannot be read.
    """
    return _by_servers(servers(network), name.lower().rstrip("."), frozenset())


def _by_servers(asked: Sequence[Server], name: str, before: frozenset[str]) -> Resolution:
    """The answer of servers that stand side by side. Machines ask the next where one does not answer in time."""
    answers = [_by_server(server, name, before) for server in asked]
    first = answers[0]
    if all((one.answer, one.addresses) == (first.answer, first.addresses) for one in answers):
        return first
    steps = once(step for one in answers for step in one.steps)
    return Resolution(Answer.DIFFERENT, frozenset(), steps)


def _by_server(server: Server, name: str, before: frozenset[str]) -> Resolution:
    where = f" in {server.network.name}" if server.network else ""
    step = Step(f"{name} is asked for at {server.address}, {server.host}{where}", server.evidence)
    key = f"{server.network.id.lower() if server.network else ''} {server.address} {name}"
    if key in before:
        return Resolution(Answer.NOTHING, frozenset(), (Step("the servers ask one another in a circle", ()),))
    match server.host:
        case Host.AZURE | Host.RESOLVER if server.network:
            found = server.network.estate.indexed(_Answers).of(server.network, name, before | {key})
        case Host.FIREWALL if server.firewall:
            found = _by_firewall(server, server.firewall, name, before | {key})
        case Host.NOBODY:
            return Resolution(Answer.NOTHING, frozenset(), (step,))
        case _:
            raise NotCollected(*(server.unread or (_untold(server),)))
    return found._replace(steps=(step, *found.steps))


def _untold(server: Server) -> Missing:
    what = server.network.id if server.network else server.evidence[0].resource
    where = f" in {server.network.name}" if server.network else ""
    reason = (
        f"the DNS server {server.address} is {server.host}{where}: what it answers, and whether it forwards to "
        f"{AZURE_DNS}, is in settings of its own, which Azure does not hold"
    )
    return Missing(what=what, kind="not-read", reason=reason)


def _by_firewall(server: Server, firewall: AzureFirewall, name: str, before: frozenset[str]) -> Resolution:
    """By a firewall's DNS proxy; without it the firewall does not answer at all."""
    proxy = dns_proxy(firewall)
    step = Step(f"the DNS proxy of {firewall.name} is {'on' if proxy.enabled else 'off'}", (proxy.evidence,))
    if not proxy.enabled:
        return Resolution(Answer.NOTHING, frozenset(), (step,))
    if server.network is None and not proxy.servers:
        public = Step(f"{firewall.name} is in a virtual hub, which no private zone is linked to", ())
        return Resolution(Answer.PUBLIC, frozenset(), (step, public))
    if server.network is None:
        reason = f"{firewall.name} asks DNS servers that its virtual hub leads to, and hubs are not read"
        raise NotCollected(Missing(what=firewall.id, kind="not-read", reason=reason))
    upstream = located(server.network, proxy.servers or (str(AZURE_DNS),), proxy.evidence)
    found = _by_servers(upstream, name, before)
    return found._replace(steps=(step, *found.steps))


class _Answers:
    """What Azure's DNS answers in the networks of an estate: many networks ask the same of the same hub."""

    __slots__ = ("_known",)

    def __init__(self, _estate: Estate) -> None:
        self._known: dict[tuple[str, str, frozenset[str]], Resolution] = {}

    def of(self, network: VirtualNetwork, name: str, before: frozenset[str]) -> Resolution:
        """What it answers in one network; `before`: the servers that were asked on the way, this one the last."""
        key = (network.id.lower(), name, before)
        if key not in self._known:
            self._known[key] = _by_azure(network, name, before)
        return self._known[key]


def _by_azure(network: VirtualNetwork, name: str, before: frozenset[str]) -> Resolution:
    """By Azure's own DNS, asked from a network."""
    linked = linked_zone(network, name)
    if linked is None:
        return _beyond(network, name, before)
    zone, bond = linked
    step = Step(f"the private zone {zone.name} is linked to {network.name}", (bond.at(VirtualNetworkLink.state),))
    found = record_of(zone, name)
    match found:
        case ARecordSet():
            addresses = addresses_of(found)
            told = Step(f"its record {found.name} has {listed(addresses)}", (found.at(ARecordSet.records),))
            answer = Answer.ADDRESSES if addresses else Answer.NOTHING
            return Resolution(answer, addresses, (step, told))
        case CNameRecordSet(cname=str(target)):
            told = Step(f"its record {found.name} stands for {target}", (found.at(CNameRecordSet.cname),))
            rest = _by_server(_azure(network, step.evidence), target.lower().rstrip("."), before)
            return rest._replace(steps=(step, told, *rest.steps))
        case CNameRecordSet():
            raise Malformed(found.id, found.at(CNameRecordSet.cname).pointer, "a CNAME record without a name")
        case None:
            return _without_record(zone, bond, step, name)
        case other:
            assert_never(other)


def _azure(network: VirtualNetwork, evidence: tuple[Evidence, ...]) -> Server:
    return Server(AZURE_DNS, Host.AZURE, network, None, evidence)


def _without_record(zone: PrivateDnsZone, bond: VirtualNetworkLink, step: Step, name: str) -> Resolution:
    """No such name, unless the link leaves it to public DNS; only links of Private Link's own zones can."""
    evidence = (bond.at(VirtualNetworkLink.resolution_policy),)
    redirected = bond.resolution_policy is ResolutionPolicy.NX_DOMAIN_REDIRECT
    if redirected and zone.name.lower().startswith("privatelink."):
        told = Step(f"it has no record for {name}, and its link leaves such names to public DNS", evidence)
        return Resolution(Answer.PUBLIC, frozenset(), (step, told))
    return Resolution(Answer.NOTHING, frozenset(), (step, Step(f"it has no record for {name}", evidence)))


def _beyond(network: VirtualNetwork, name: str, before: frozenset[str]) -> Resolution:
    """By forwarding rules, else by public DNS, once it is known that no zone comes before them.

    Zones are looked for in the subscriptions of the network and of those it is peered with.
    """
    for scope in scopes_near(network):
        network.estate.within(PrivateDnsZone, scope).whole()
    forwarding = forwarding_of(network, name)
    dns_servers = network.at(VirtualNetwork.dns_servers)
    if forwarding is None:
        step = Step(f"no private zone for {name} is linked to {network.name}", (dns_servers,))
        return Resolution(Answer.PUBLIC, frozenset(), (step,))
    rules = ", ".join(f"{rule.name} ({rule.domain_name})" for rule in forwarding.rules)
    step = Step(f"forwarding rule {rules} is linked to {network.name}", forwarding.evidence)
    found = _by_servers(forwarding.servers, name, before)
    return found._replace(steps=(step, *found.steps))


def listed(addresses: frozenset[IPv4Address]) -> str:
    """Addresses in words, in order."""
    return ", ".join(map(str, sorted(addresses))) or "no address"


def answering_networks(network: VirtualNetwork, name: str) -> tuple[Server, ...]:
    """The servers at the end of each chain that a name is passed on by: where a private zone for it has to be linked.

    DNS proxies pass it on to the servers that they are given, and Azure's DNS by forwarding rules.

    Raises:
        NotCollected: a firewall's policy, forwarding rules, or a network on the way, was not read.
    """
    return once(_ends(servers(network), name.lower().rstrip("."), frozenset()))


def _ends(asked: Sequence[Server], name: str, before: frozenset[str]) -> Iterator[Server]:
    for server in asked:
        key = f"{server.network.id.lower() if server.network else ''} {server.address}"
        further = () if key in before else _passed_on(server, name)
        if further:
            yield from _ends(further, name, before | {key})
        else:
            yield server


def _passed_on(server: Server, name: str) -> tuple[Server, ...]:
    """The servers that a server asks in its turn, by its DNS proxy or by forwarding rules of its network."""
    if server.network is None or server.host not in {Host.AZURE, Host.RESOLVER, Host.FIREWALL}:
        return ()
    proxy = dns_proxy(server.firewall) if server.firewall else None
    if proxy and proxy.enabled and proxy.servers:
        return located(server.network, proxy.servers, proxy.evidence)
    if (proxy and not proxy.enabled) or linked_zone(server.network, name):
        return ()
    forwarding = forwarding_of(server.network, name)
    return forwarding.servers if forwarding else ()


def node_networks(cluster: ManagedCluster) -> tuple[VirtualNetwork, ...]:
    """The networks that a cluster's nodes are in: those of its pools' subnets, else the one that AKS made for it.

    Raises:
        NotCollected: one of them was not read.
    """
    ids = {pool.node_subnet.id.lower(): pool.node_subnet.id for pool in cluster.pools if pool.node_subnet}
    parents = {parse(subnet).parent.lower(): parse(subnet).parent for subnet in ids.values()}
    found = [cluster.estate.resource(VirtualNetwork, parents[key]) for key in sorted(parents)]
    if all(pool.node_subnet for pool in cluster.pools):
        return tuple(found)
    return (*found, *cluster.estate.within(VirtualNetwork, cluster.node_group_id).whole())
