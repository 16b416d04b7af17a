"""What a host name resolves to in a virtual network: by Azure's DNS with private zones, or by servers of one's own.

Sources: https://learn.microsoft.com/azure/dns/private-dns-privatednszone and
https://learn.microsoft.com/azure/dns/dns-private-resolver-overview (zones that are linked to the network come first,
the one with the longest suffix decides; then forwarding rules; then public DNS),
https://learn.microsoft.com/azure/dns/private-dns-fallback (NxDomainRedirect) and
https://learn.microsoft.com/azure/firewall/dns-settings (a firewall asks Azure's DNS, as its own network does, unless it
is given servers). Public DNS itself is not asked: that a name is left to it is all that is known here.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, ip_address
from typing import NamedTuple, TypeVar, assert_never

from aks_audit.facts import (
    Evidence,
    FrontendIPConfiguration,
    LoadBalancer,
    Malformed,
    ManagedCluster,
    Missing,
    Network,
    NetworkInterface,
    NotCollected,
    Subnet,
    View,
    VirtualNetwork,
)
from aks_audit.facts.enumerations import LinkState, PeeringState, ResolutionPolicy
from aks_audit.facts.firewall import AdditionalProperties, AzureFirewall, FirewallIPConfiguration, FirewallPolicy
from aks_audit.facts.link import Link
from aks_audit.facts.name_resolution import (
    ARecord,
    ARecordSet,
    CNameRecordSet,
    PrivateDnsZone,
    VirtualNetworkLink,
)
from aks_audit.facts.networking import (
    CustomDnsConfig,
    Delegation,
    InterfaceIPConfiguration,
    PrivateEndpoint,
    PrivateLinkServiceConnection,
)
from aks_audit.facts.resource_id import parse
from aks_audit.network.flows import Address

T = TypeVar("T")

AZURE_DNS = IPv4Address("168.63.129.16")
"""Azure's own DNS, at the same address in every network; it knows from which network it is asked."""

RESOLVER = "microsoft.network/dnsresolvers"
"""The service that a subnet of a DNS resolver is given to. Nothing else can stand in such a subnet."""


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
        return _once(evidence for step in self.steps for evidence in step.evidence)


class Host(StrEnum):
    """What stands at the address of a DNS server."""

    AZURE = "Azure DNS"
    FIREWALL = "a firewall"
    RESOLVER = "the inbound endpoint of a DNS resolver"
    MACHINE = "a machine"
    LOAD_BALANCER = "a load balancer"
    UNSEEN = "something that was not read"
    ELSEWHERE = "neither in the network nor in a peered one"


class Server(NamedTuple):
    """A DNS server: what it is and the network it stands in; None for a firewall of a virtual hub and for elsewhere.

    `unread` is what was not read of that which may stand there, where nothing that was read does.
    """

    address: Address
    host: Host
    network: VirtualNetwork | None
    firewall: AzureFirewall | None
    evidence: tuple[Evidence, ...]
    unread: tuple[Missing, ...] = ()


def _once(items: Iterable[T]) -> tuple[T, ...]:
    """The items in order, equal ones once. Evidence may hold lists, which have no hash."""
    kept: list[T] = []
    kept.extend(item for item in items if item not in kept)
    return tuple(kept)


def servers(network: VirtualNetwork) -> tuple[Server, ...]:
    """The DNS servers that the machines of a network ask, in the network's order.

    Raises:
        NotCollected: a peered network that a server stands in was not read.
        Malformed: a server is no address.
    """
    evidence = network.at(VirtualNetwork.dns_servers)
    return _located(network, network.dns_servers or (str(AZURE_DNS),), evidence)


def resolve(network: VirtualNetwork, name: str) -> Resolution:
    """What a host name resolves to for the machines of a network. IPv4 alone, as private endpoints are.

    Raises:
        NotCollected: something on the way was not read, or is in the settings of a server that Azure does not hold.
        Malformed: a value on the way cannot be read.
    """
    return _by_servers(servers(network), name.lower().rstrip("."), frozenset())


def link_to(zone: PrivateDnsZone, network: VirtualNetwork) -> VirtualNetworkLink | None:
    """The link, whatever its state, by which a private zone is asked in a network; None where there is none.

    Raises:
        NotCollected: none was read, and the zone may have others.
    """
    for found in zone.links:
        if found.virtual_network and found.virtual_network.id.lower() == network.id.lower():
            return found
    zone.links.whole()
    return None


def record_of(zone: PrivateDnsZone, name: str) -> ARecordSet | CNameRecordSet | None:
    """The record set that answers for a host name in its zone: the name's own, else a wildcard (RFC 4592), else None.

    Raises:
        NotCollected: it may be one that was not read.
    """
    relative = name.lower().removesuffix(zone.name.lower()).rstrip(".") or "@"
    sets: dict[str, ARecordSet | CNameRecordSet] = {one.name.lower(): one for one in zone.cname_records}
    sets.update({one.name.lower(): one for one in zone.a_records})
    if relative not in sets:
        zone.a_records.whole()
    return next((sets[one] for one in _that_answer(relative, sets) if one in sets), None)


def addresses_of(records: ARecordSet) -> frozenset[IPv4Address]:
    """The addresses of a record set.

    Raises:
        Malformed: the list is missing, or one of them is missing or no IPv4 address.
    """
    if records.records is None:
        raise Malformed(records.id, records.at(ARecordSet.records).pointer, "an A record without its list of addresses")
    return frozenset(_ipv4(record) for record in records.records)


def _ipv4(record: ARecord) -> IPv4Address:
    found = _address(record, record.ipv4_address, record.at(ARecord.ipv4_address))
    if not isinstance(found, IPv4Address):
        raise Malformed(record.document.id, record.pointer, f"{found} is no IPv4 address")
    return found


def _address(view: View, text: str | None, evidence: Evidence) -> Address:
    try:
        return ip_address(text or "")
    except ValueError:
        raise Malformed(view.document.id, evidence.pointer, f"expected an address, found {text!r}") from None


def _that_answer(relative: str, sets: dict[str, ARecordSet | CNameRecordSet]) -> Iterator[str]:
    """The names of record sets that may answer: the name itself, and the wildcard of the nearest name that exists."""
    yield relative
    if _exists(relative, sets):
        return
    labels = relative.split(".")
    for count in range(1, len(labels)):
        parent = ".".join(labels[count:])
        if _exists(parent, sets):
            yield f"*.{parent}"
            return
    if relative != "@":
        yield "*"


def _exists(name: str, sets: dict[str, ARecordSet | CNameRecordSet]) -> bool:
    return any(one == name or one.endswith(f".{name}") for one in sets)


def _located(network: VirtualNetwork, addresses: Sequence[str], evidence: Evidence) -> tuple[Server, ...]:
    return tuple(_locate(network, _address(network, text, evidence), evidence) for text in addresses)


def _locate(network: VirtualNetwork, address: Address, evidence: Evidence) -> Server:
    """What stands at an address that a network's machines send their questions to."""
    if address == AZURE_DNS:
        return Server(address, Host.AZURE, network, None, (evidence,))
    home = _home(network, address)
    if home is None:
        for firewall in network.estate.every(AzureFirewall):
            if firewall.hub_private_ip_address == str(address):
                hub = firewall.at(AzureFirewall.hub_private_ip_address)
                return Server(address, Host.FIREWALL, None, firewall, (evidence, hub))
        return Server(address, Host.ELSEWHERE, None, None, (evidence,))
    host, its_firewall, found = _at(home, address)
    unread = _unread(home) if host is Host.UNSEEN else ()
    return Server(address, host, home, its_firewall, (evidence, *found), unread)


def _home(network: VirtualNetwork, address: Address) -> VirtualNetwork | None:
    """The network that an address is in: the network itself, or one that it is peered with."""
    if _holds(network.address_space, address):
        return network
    for peering in network.peerings or ():
        if peering.state is not PeeringState.CONNECTED or peering.remote is None:
            continue
        told = peering.remote_virtual_network_address_space or peering.remote_address_space
        if told is None or _holds(told, address):
            remote = network.estate.resource(VirtualNetwork, peering.remote.id)
            if _holds(remote.address_space, address):
                return remote
    return None


def _holds(prefixes: Sequence[Network] | None, address: Address) -> bool:
    return any(address in prefix for prefix in prefixes or ())


def _at(network: VirtualNetwork, address: Address) -> tuple[Host, AzureFirewall | None, tuple[Evidence, ...]]:
    """What has an address in a network, as far as it was read."""
    for firewall in network.estate.every(AzureFirewall):
        for own in firewall.ip_configurations or ():
            if _has(own.private_ip_address, own.subnet, network, address):
                return Host.FIREWALL, firewall, (own.at(FirewallIPConfiguration.private_ip_address),)
    for subnet in network.subnets or ():
        if _holds(subnet.prefixes, address) and (delegation := resolver_delegation(subnet)):
            return Host.RESOLVER, None, (delegation,)
    if interface := _interface(network, address):
        return Host.MACHINE, None, (interface.at(InterfaceIPConfiguration.private_ip_address),)
    if frontend := _frontend(network, address):
        return Host.LOAD_BALANCER, None, (frontend.at(FrontendIPConfiguration.private_ip_address),)
    return Host.UNSEEN, None, ()


def _unread(network: VirtualNetwork) -> tuple[Missing, ...]:
    """What was not read of the firewalls, network interfaces and load balancers that may stand in a network."""
    scope = f"/subscriptions/{network.parsed.subscription}"
    missing: list[Missing] = []
    for kind in (AzureFirewall, NetworkInterface, LoadBalancer):
        try:
            network.estate.within(kind, scope).whole()
        except NotCollected as problem:
            missing.extend(problem.missing)
    return tuple(missing)


def _interface(network: VirtualNetwork, address: Address) -> InterfaceIPConfiguration | None:
    for interface in network.estate.within(NetworkInterface, f"/subscriptions/{network.parsed.subscription}"):
        for each in interface.ip_configurations or ():
            if _has(each.private_ip_address, each.subnet, network, address):
                return each
    return None


def _frontend(network: VirtualNetwork, address: Address) -> FrontendIPConfiguration | None:
    for balancer in network.estate.within(LoadBalancer, f"/subscriptions/{network.parsed.subscription}"):
        for each in balancer.frontends or ():
            if _has(each.private_ip_address, each.subnet, network, address):
                return each
    return None


def _has(private: str | None, subnet: Link[Subnet] | None, network: VirtualNetwork, address: Address) -> bool:
    """Whether an address of something in a subnet is this address in this network."""
    inside = subnet is not None and subnet.id.lower().startswith(f"{network.id.lower()}/subnets/")
    return inside and private == str(address)


def resolver_delegation(subnet: Subnet) -> Evidence | None:
    """The evidence that a subnet is given to a DNS resolver; None where it is not."""
    for delegation in subnet.delegations or ():
        if (delegation.service_name or "").lower() == RESOLVER:
            return delegation.at(Delegation.service_name)
    return None


def _by_servers(asked: Sequence[Server], name: str, before: frozenset[str]) -> Resolution:
    """The answer of servers that stand side by side. Machines ask the next where one does not answer in time."""
    answers = [_by_server(server, name, before) for server in asked]
    first = answers[0]
    if all((one.answer, one.addresses) == (first.answer, first.addresses) for one in answers):
        return first
    steps = _once(step for one in answers for step in one.steps)
    return Resolution(Answer.DIFFERENT, frozenset(), steps)


def _by_server(server: Server, name: str, before: frozenset[str]) -> Resolution:
    where = f" in {server.network.name}" if server.network else ""
    step = Step(f"{name} is asked for at {server.address}, {server.host}{where}", server.evidence)
    key = f"{server.network.id.lower() if server.network else ''} {server.address} {name}"
    if key in before:
        return Resolution(Answer.NOTHING, frozenset(), (Step("the servers ask one another in a circle", ()),))
    match server.host:
        case Host.AZURE | Host.RESOLVER if server.network:
            found = _by_azure(server.network, name, before | {key})
        case Host.FIREWALL if server.firewall:
            found = _by_firewall(server, server.firewall, name, before | {key})
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
    upstream = _located(server.network, proxy.servers or (str(AZURE_DNS),), proxy.evidence)
    found = _by_servers(upstream, name, before)
    return found._replace(steps=(step, *found.steps))


class DnsProxy(NamedTuple):
    """Whether a firewall answers DNS, the servers that it asks (empty: Azure DNS), and where that stands."""

    enabled: bool
    servers: tuple[str, ...]
    evidence: Evidence


def dns_proxy(firewall: AzureFirewall) -> DnsProxy:
    """The DNS proxy of a firewall: by its policy where it has one, else by its own settings. Absent means off.

    Raises:
        NotCollected: the policy was not read; or it says nothing and has a parent, whose settings may count.
    """
    if firewall.firewall_policy:
        policy = firewall.firewall_policy.read()
        if policy.dns_proxy is None and policy.base_policy_id:
            reason = f"{policy.id} has no DNS settings of its own, and whether its parent's count is not known"
            raise NotCollected(Missing(what=policy.id, kind="not-sent", reason=reason))
        return DnsProxy(policy.dns_proxy is True, policy.dns_servers or (), policy.at(FirewallPolicy.dns_proxy))
    settings = firewall.additional_properties
    if settings is None:
        return DnsProxy(enabled=False, servers=(), evidence=firewall.at(AzureFirewall.additional_properties))
    listed = tuple(filter(None, (one.strip() for one in (settings.dns_servers or "").split(","))))
    enabled = (settings.dns_proxy or "").lower() == "true"
    return DnsProxy(enabled, listed, settings.at(AdditionalProperties.dns_proxy))


def _by_azure(network: VirtualNetwork, name: str, before: frozenset[str]) -> Resolution:
    """By Azure's own DNS, asked from a network."""
    linked = _linked_zone(network, name)
    if linked is None:
        return _beyond(network, name)
    zone, bond = linked
    step = Step(f"the private zone {zone.name} is linked to {network.name}", (bond.at(VirtualNetworkLink.state),))
    found = record_of(zone, name)
    match found:
        case ARecordSet():
            addresses = addresses_of(found)
            told = Step(f"its record {found.name} has {_listed(addresses)}", (found.at(ARecordSet.records),))
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


def _linked_zone(network: VirtualNetwork, name: str) -> tuple[PrivateDnsZone, VirtualNetworkLink] | None:
    """The zone with the longest suffix of a name that is linked to a network, and its link."""
    zones = [zone for zone in network.estate.every(PrivateDnsZone) if zone.holds(name)]
    for zone in sorted(zones, key=lambda zone: (-len(zone.name), zone.id.lower())):
        bond = link_to(zone, network)
        if bond and bond.state is None:
            raise Malformed(bond.id, bond.at(VirtualNetworkLink.state).pointer, "a link without its state")
        if bond and bond.state is LinkState.COMPLETED:
            return zone, bond
    return None


def _beyond(network: VirtualNetwork, name: str) -> Resolution:
    """Public DNS, once it is known that neither a zone nor a forwarding rule comes before it.

    Zones are looked for in the subscriptions of the network and of those it is peered with. Forwarding rules are not
    read; they need a DNS resolver in the network's region, and so a subnet that is given to one.
    """
    remote = [peering.remote.id.split("/") for peering in network.peerings or () if peering.remote]
    scopes = [f"/subscriptions/{network.parsed.subscription}", *("/".join(parts[:3]) for parts in remote)]
    for scope in dict.fromkeys(scopes):
        network.estate.within(PrivateDnsZone, scope).whole()
    for other in network.estate.every(VirtualNetwork):
        if any(resolver_delegation(subnet) for subnet in other.subnets or ()):
            reason = (
                f"there is a DNS resolver in {other.name}; whether a forwarding rule for {name} is linked to "
                f"{network.name} is not read"
            )
            raise NotCollected(Missing(what=network.id, kind="not-asked", reason=reason))
    step = Step(f"no private zone for {name} is linked to {network.name}", (network.at(VirtualNetwork.dns_servers),))
    return Resolution(Answer.PUBLIC, frozenset(), (step,))


def _listed(addresses: frozenset[IPv4Address]) -> str:
    return ", ".join(map(str, sorted(addresses))) or "no address"


def answering_networks(network: VirtualNetwork) -> tuple[Server, ...]:
    """The servers at the end of each chain of DNS proxies: those in whose networks a private zone has to be linked.

    Raises:
        NotCollected: a firewall's policy, or a network on the way, was not read.
    """
    return _once(_ends(servers(network), frozenset()))


def _ends(asked: Sequence[Server], before: frozenset[str]) -> Iterator[Server]:
    for server in asked:
        proxy = dns_proxy(server.firewall) if server.firewall else None
        if proxy is None or not proxy.servers or server.network is None or str(server.address) in before:
            yield server
        else:
            further = _located(server.network, proxy.servers, proxy.evidence)
            yield from _ends(further, before | {str(server.address)})


class RealAddresses(NamedTuple):
    """Where the API server of a private cluster really is, and what that was read from."""

    addresses: frozenset[IPv4Address]
    evidence: tuple[Evidence, ...]


def endpoints_of(cluster: ManagedCluster) -> tuple[PrivateEndpoint, ...]:
    """The private endpoints that AKS made for a cluster's API server, in its node resource group.

    Raises:
        NotCollected: none was read, and there may be one.
    """
    endpoints = cluster.estate.within(PrivateEndpoint, cluster.node_group_id)
    found = tuple(endpoint for endpoint in endpoints if connections_to(endpoint, cluster.id))
    if not found:
        endpoints.whole()
    return found


def connections_to(endpoint: PrivateEndpoint, resource_id: str) -> tuple[PrivateLinkServiceConnection, ...]:
    """The connections of a private endpoint that lead to a resource."""
    return tuple(
        connection
        for connection in (*(endpoint.connections or ()), *(endpoint.manual_connections or ()))
        if connection.private_link_service and connection.private_link_service.id.lower() == resource_id.lower()
    )


def api_server_addresses(cluster: ManagedCluster) -> RealAddresses:
    """The private IPv4 addresses of a private cluster's API server.

    With API Server VNet Integration they are those of the load balancer `kube-apiserver` in the node resource group,
    else those of the private endpoint's network interfaces.
    Source: https://learn.microsoft.com/azure/aks/api-server-vnet-integration

    Raises:
        NotCollected: the endpoint, its interface or the load balancer was not read, or is not there.
        Malformed: one of them has no address.
    """
    found = _front_ends(cluster) if cluster.enable_vnet_integration else _endpoint_addresses(cluster)
    if not found:
        kind = "load balancer" if cluster.enable_vnet_integration else "private endpoint"
        reason = f"{cluster.node_group_id} holds no {kind} of the API server"
        raise NotCollected(Missing(what=cluster.node_group_id, kind="not-read", reason=reason))
    addresses = (_address(view, text, evidence) for view, text, evidence in found)
    private = frozenset(address for address in addresses if isinstance(address, IPv4Address))
    return RealAddresses(private, tuple(evidence for _, _, evidence in found))


def _endpoint_addresses(cluster: ManagedCluster) -> list[tuple[View, str | None, Evidence]]:
    return [
        (each, each.private_ip_address, each.at(InterfaceIPConfiguration.private_ip_address))
        for endpoint in endpoints_of(cluster)
        for interface in endpoint.network_interfaces or ()
        for each in interface.read().ip_configurations or ()
    ]


def _front_ends(cluster: ManagedCluster) -> list[tuple[View, str | None, Evidence]]:
    own = [balancer for balancer in cluster.node_load_balancers if balancer.name.lower() == "kube-apiserver"]
    if not own:
        cluster.node_load_balancers.whole()
    return [
        (frontend, frontend.private_ip_address, frontend.at(FrontendIPConfiguration.private_ip_address))
        for balancer in own
        for frontend in balancer.frontends or ()
        if frontend.public_ip_address is None
    ]


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


class EndpointName(NamedTuple):
    """A public name that a private endpoint stands for, its addresses there, and what they were read from."""

    fqdn: str
    addresses: frozenset[IPv4Address]
    evidence: tuple[Evidence, ...]


def endpoint_names(endpoint: PrivateEndpoint) -> tuple[EndpointName, ...]:
    """The names of a private endpoint, in lower case: its own list, else those on its network interfaces.

    Raises:
        NotCollected: it has no list of its own, and an interface was not read.
        Malformed: a name or an address is missing.
    """
    if endpoint.custom_dns_configs is None:
        field = endpoint.at(PrivateEndpoint.custom_dns_configs)
        raise Malformed(endpoint.id, field.pointer, "a private endpoint without its list of names")
    told = [_configured(config) for config in endpoint.custom_dns_configs] or list(_on_interfaces(endpoint))
    names = dict.fromkeys(fqdn for fqdn, _, _ in told)
    return tuple(
        EndpointName(
            name,
            frozenset(address for fqdn, found, _ in told if fqdn == name for address in found),
            tuple(evidence for fqdn, _, evidence in told if fqdn == name),
        )
        for name in names
    )


def _configured(config: CustomDnsConfig) -> tuple[str, frozenset[IPv4Address], Evidence]:
    evidence = config.at(CustomDnsConfig.ip_addresses)
    if not config.fqdn or not config.ip_addresses:
        raise Malformed(config.document.id, config.pointer, "a name without addresses, or addresses without a name")
    return config.fqdn.lower(), _v4(config, config.ip_addresses, evidence), evidence


def _on_interfaces(endpoint: PrivateEndpoint) -> Iterator[tuple[str, frozenset[IPv4Address], Evidence]]:
    for interface in endpoint.network_interfaces or ():
        for each in interface.read().ip_configurations or ():
            evidence = each.at(InterfaceIPConfiguration.private_ip_address)
            for fqdn in each.fqdns or ():
                yield fqdn.lower(), _v4(each, [each.private_ip_address], evidence), evidence


def _v4(view: View, texts: Sequence[str | None], evidence: Evidence) -> frozenset[IPv4Address]:
    found = (_address(view, text, evidence) for text in texts)
    return frozenset(address for address in found if isinstance(address, IPv4Address))
