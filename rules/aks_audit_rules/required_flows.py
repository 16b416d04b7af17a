"""What a cluster's own traffic needs of the security groups on its subnets."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, ip_network
from typing import NamedTuple

from aks_audit.facts import (
    ClusterSubnet,
    Malformed,
    ManagedCluster,
    Network,
    NetworkSecurityGroup,
    OutboundType,
    SecurityRuleAccess,
    SecurityRuleDirection,
    Subnet,
    VirtualNetwork,
)
from aks_audit.network.addresses import AddressSet
from aks_audit.network.dns_servers import Host, servers
from aks_audit.network.flows import Address, Flow, FlowProtocol
from aks_audit.network.origins import node_subnet
from aks_audit.network.private_endpoints import api_server_addresses
from aks_audit.network.security_decisions import OrderedRules, Surroundings, ordered
from aks_audit.network.surroundings import surroundings
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided

_IPV4 = 4
_KUBELET, _DNS, _HTTPS, _NODE_PORT = 10250, 53, 443, 30000
_PROBES = IPv4Address("168.63.129.16")
_CLOSED = frozenset({OutboundType.NONE, OutboundType.BLOCK})
_OUT, _IN = SecurityRuleDirection.OUTBOUND, SecurityRuleDirection.INBOUND


class _Need(NamedTuple):
    """A connection that the subnet's group must let through, and what for."""

    what: str
    direction: SecurityRuleDirection
    senders: AddressSet
    flow: Flow


@rule(
    "AKS-SUB-04",
    title="The security group of a subnet lets through what the cluster itself needs",
    severity=Severity.HIGH,
)
def group_lets_through_what_is_needed(subnet: ClusterSubnet) -> Verdict:
    """A deny rule that is one too many takes nodes from their API server, from DNS or from each other.

    It often shows late: at the next scale-out, upgrade or restart of a node, when images are pulled and nodes join anew.

    Severity: the cluster does not scale, upgrade or heal any more, or pods find no names; nothing is disclosed by it.
    Decided: the group on the subnet, rule by rule in order of priority with Azure's default rules last, for connections
    that every cluster opens: nodes and pods of all its subnets among themselves (TCP 10250, UDP 53), the load balancer's
    probes (from 168.63.129.16 to a node port), the network's own DNS servers (UDP 53), the API server as nodes reach it
    (TCP 443), and mcr.microsoft.com (TCP 443) unless the outbound type is `none` or `block`. Unknown where a service tag or
    application security group may decide, since their members are not in the snapshot. Not applicable without a group, and
    to a subnet of the API server alone. What routes and firewalls do afterwards, other rules ask.
    Fix: az network nsg rule create --resource-group {group} --nsg-name <nsg> --name AllowCluster --priority <lower-than-the-deny> --direction <direction> --access Allow --protocol <protocol> --source-address-prefixes <from> --destination-address-prefixes <to> --destination-port-ranges <port>
    Bicep: securityRules[] with a lower priority than the rule that denies
    Change: in place; new connections are let through at once
    References: https://learn.microsoft.com/azure/aks/concepts-network#network-security-groups
    https://learn.microsoft.com/azure/aks/outbound-rules-control-egress
    https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview
    """
    attached = subnet.at(Subnet.network_security_group)
    if not any(use.kind in {"node", "pod"} for use in subnet.uses):
        return not_applicable("The subnet holds no nodes and no pods", attached)
    if subnet.network_security_group is None:
        return not_applicable("The subnet has no security group", attached)
    group = subnet.network_security_group.read()
    clusters = [subnet.estate.resource(ManagedCluster, cluster) for cluster in subnet.clusters]
    guard = _Guard(group, {way: ordered(group, way) for way in (_OUT, _IN)}, surroundings(subnet))
    asked = (_among_themselves, _probes, _name_servers, _api_server, _images)
    questions = [(ask, cluster) for cluster in clusters for ask in asked]
    return each(questions, lambda item: each(item[0](subnet, item[1]), lambda need: _judge(subnet, guard, need)))


class _Guard(NamedTuple):
    """A group, its rules in the order in which they are asked, and what tags mean to it."""

    group: NetworkSecurityGroup
    rules: Mapping[SecurityRuleDirection, OrderedRules]
    surroundings: Surroundings


def _judge(subnet: ClusterSubnet, guard: _Guard, need: _Need) -> Verdict:
    name = guard.group.name
    decision = guard.rules[need.direction].decide(need.flow, guard.surroundings, need.senders)
    evidence = (subnet.at(Subnet.network_security_group), *decision.evidence)
    if decision.access is None:
        return undecided(f"{name} may stop {need.what}: {', '.join(decision.doubts)}", *evidence)
    if decision.access is SecurityRuleAccess.DENY:
        return fails(f"{name} stops {need.what}, by rule {decision.rule}", *evidence)
    return passes(f"{name} lets through what the cluster needs", *evidence)


def _among_themselves(subnet: ClusterSubnet, cluster: ManagedCluster) -> Iterator[_Need]:
    own = _prefix(subnet)
    ours, here = AddressSet.of([own]), _first(own)
    kinds: tuple[tuple[FlowProtocol, int], ...] = (("tcp", _KUBELET), ("udp", _DNS))
    for name, prefix in sorted(_prefixes(cluster).items()):
        theirs, there = AddressSet.of([prefix]), _first(prefix)
        for protocol, port in kinds:
            what = f"{protocol.upper()} {port} between {subnet.name} and {name}"
            yield _Need(what, _OUT, ours, Flow(here, there, None, protocol, port))
            yield _Need(what, _IN, theirs, Flow(there, here, None, protocol, port))


def _probes(subnet: ClusterSubnet, _cluster: ManagedCluster) -> Iterator[_Need]:
    flow = Flow(_PROBES, _first(_prefix(subnet)), None, "tcp", _NODE_PORT)
    yield _need("the load balancer's probes", _IN, ip_network(_PROBES), flow)


def _name_servers(subnet: ClusterSubnet, _cluster: ManagedCluster) -> Iterator[_Need]:
    """Azure's own DNS is reached past security groups."""
    network = subnet.estate.resource(VirtualNetwork, subnet.virtual_network_id)
    own = _prefix(subnet)
    for server in servers(network):
        if server.host is not Host.AZURE:
            flow = Flow(_first(own), server.address, None, "udp", _DNS)
            yield _need(f"the DNS server {server.address}", _OUT, own, flow)


def _api_server(subnet: ClusterSubnet, cluster: ManagedCluster) -> Iterator[_Need]:
    own = _prefix(subnet)
    private = cluster.enable_private_cluster or cluster.enable_vnet_integration
    address = min(api_server_addresses(cluster).addresses) if private else None
    yield _need("the API server", _OUT, own, Flow(_first(own), address, None, "tcp", _HTTPS))


def _images(subnet: ClusterSubnet, cluster: ManagedCluster) -> Iterator[_Need]:
    if cluster.outbound_type not in _CLOSED:
        own = _prefix(subnet)
        yield _need("mcr.microsoft.com", _OUT, own, Flow(_first(own), None, "mcr.microsoft.com", "tcp", _HTTPS))


def _need(what: str, direction: SecurityRuleDirection, senders: Network, flow: Flow) -> _Need:
    return _Need(what, direction, AddressSet.of([senders]), flow)


def _prefixes(cluster: ManagedCluster) -> dict[str, Network]:
    """The prefix of each subnet of a cluster's nodes and pods, by the subnet's name."""
    subnets = [node_subnet(cluster, pool) for pool in cluster.pools]
    subnets += [pool.pod_subnet.read() for pool in cluster.pools if pool.pod_subnet]
    return {subnet.name: _prefix(subnet) for subnet in subnets}


def _prefix(subnet: Subnet) -> Network:
    prefix = next((one for one in subnet.prefixes if one.version == _IPV4), None)
    if prefix is None:
        raise Malformed(subnet.document.id, subnet.at(Subnet.address_prefix).pointer, "a subnet without an IPv4 prefix")
    return prefix


def _first(prefix: Network) -> Address:
    """The first address that Azure gives to a machine."""
    fourth: Address = prefix.network_address + min(4, 2 ** (prefix.max_prefixlen - prefix.prefixlen) - 1)
    return fourth


RULES = (group_lets_through_what_is_needed,)
