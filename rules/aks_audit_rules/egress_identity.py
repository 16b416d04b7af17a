"""Under which address pods leave: what the ip-masq agent exempts, what that breaks, and what a firewall sees of it."""

from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import ip_network

from aks_audit.facts import (
    AgentPool,
    Evidence,
    ManagedCluster,
    Network,
    NetworkPlugin,
    Subnet,
    VirtualNetwork,
)
from aks_audit.facts.firewall import AzureFirewall, FirewallRule
from aks_audit.facts.kubernetes import ConfigMap
from aks_audit.facts.masquerade import (
    CUSTOM,
    AgentFile,
    CiliumSettings,
    EgressGatewayPolicy,
    agent_daemon,
    agent_files,
    agent_flags,
    cilium_settings,
    masquerade_maps,
)
from aks_audit.facts.platform import marked
from aks_audit.network.addresses import EVERYTHING, PRIVATE, PUBLIC, AddressSet, internet_wide
from aks_audit.network.firewall_rules import APPLICATION, NAT, PlacedRule, placed_rules
from aks_audit.network.masquerade import (
    WayOut,
    by_ebpf,
    connected,
    exempt,
    is_flat,
    masquerading,
    networks_of,
    own_ranges,
    read_files,
    way_out,
)
from aks_audit.network.origins import node_subnet
from aks_audit.network.routes import gateways_in_reach
from aks_audit.network.surroundings import space
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.egress import CLOSED
from aks_audit_rules.firewall import prefixes_of
from aks_audit_rules.static_egress import static_gateway_serves

_NAMED = 3
_V4_PUBLIC = AddressSet(PUBLIC.v4)


@rule(
    "AKS-EGR-28",
    title="The masquerade agent exempts the virtual network and what the firewall's rules for pods are about",
    severity=Severity.MEDIUM,
)
def network_is_exempt(cluster: ManagedCluster) -> Verdict:
    """With flat Azure CNI a pod is known to others by its own address only where the ip-masq agent leaves it alone.

    Elsewhere the node's address takes its place: rules for pods never match, and logs name nodes.

    Severity: nothing is opened by it, but rules and logs that are there to hold pods apart say nothing; and where the agent
    cannot use a file it ends, and nodes that are made from then on masquerade nothing at all.
    Decided: the files of `azure-ip-masq-agent-config` and `azure-ip-masq-agent-config-reconciled` in kube-system (every key
    that begins with `ip-masq`), their ranges together, as the agent joins them. It fails where the agent cannot use one (no
    list, more than 64 ranges, one that is none or has bits beyond its prefix, IPv6 without `--enable-ipv6`). On flat Azure
    CNI it fails where an address of the nodes' virtual networks is in no range, and where an Azure Firewall on the way out
    allows part of the pods' subnet something outside the ranges. Which rules appliances of other vendors have is not known.
    Not applicable on overlay and kubenet, whose pods have no address of the network; with eBPF host routing, which passes
    the agent by; and where there is no agent, or no file (it then exempts the private ranges). Text that is no YAML is unknown.
    Fix: az aks get-credentials --resource-group {group} --name {name} && kubectl edit configmap azure-ip-masq-agent-config --namespace kube-system
    Bicep: none; in the ConfigMap azure-ip-masq-agent-config of kube-system: data.ip-masq-agent: nonMasqueradeCIDRs
    Change: in place, within the minute; from then on the firewall and others see pods' addresses, so add rules for them first
    References: https://github.com/Azure/ip-masq-agent-v2
    https://learn.microsoft.com/azure/aks/concepts-network-legacy-cni
    """
    if excuse := _without_agents(cluster):
        return excuse
    files = read_files(cluster)
    if files is None:
        return not_applicable("The cluster has no ip-masq agent", cluster.at(ManagedCluster.network_plugin))
    if refused := [file for file in files if file.refused]:
        told = "; ".join(file.refused for file in refused)
        return fails(f"The agent cannot use what it is told, and ends: {told}", *_shown(refused))
    if not is_flat(cluster):
        return not_applicable("Pods have no addresses of the virtual network", *_plugin(cluster))
    if not files:
        return not_applicable("The agent finds no file, and exempts the private ranges", *_plugin(cluster))
    return each((_judge_networks, _judge_firewall_rules), lambda judge: judge(cluster, files))


def _judge_networks(cluster: ManagedCluster, files: tuple[AgentFile, ...]) -> Verdict:
    kept = _exempt(cluster, files)
    return each(networks_of(cluster), lambda network: _judge_network(network, kept, files))


def _judge_network(network: VirtualNetwork, kept: AddressSet, files: tuple[AgentFile, ...]) -> Verdict:
    evidence = (*_shown(files), network.at(VirtualNetwork.address_space))
    missing = [prefix for prefix in space(network) if not kept.covers(AddressSet.of([prefix]))]
    if missing:
        message = f"{_some(missing)} of {network.name} is not exempt: pods reach it under their nodes' addresses"
        return fails(message, *evidence)
    return passes(f"Pods reach {network.name} under their own addresses", *evidence)


def _judge_firewall_rules(cluster: ManagedCluster, files: tuple[AgentFile, ...]) -> Verdict:
    kept = _exempt(cluster, files)
    return each(_pod_subnets(cluster), lambda subnet: _judge_rules_for(subnet, kept, files))


def _judge_rules_for(subnet: Subnet, kept: AddressSet, files: tuple[AgentFile, ...]) -> Verdict:
    attached = subnet.at(Subnet.route_table)
    appliances = way_out(subnet).appliances
    dead = [one for one in appliances if not one.kind.forwards]
    if dead:
        message = f"At the next hop of {subnet.name} is {dead[0].kind}: whose rules are about its pods is not known"
        return undecided(message, attached, *dead[0].evidence)
    firewalls = [one.resource for one in appliances if isinstance(one.resource, AzureFirewall)]
    placed = [one for firewall in firewalls for one in firewall.estate.once(placed_rules, firewall)]
    own = AddressSet.of(prefixes_of(subnet))
    about = [one for one in placed if one.allows and one.kind is not NAT and _is_about_a_part(one, own)]
    unseen = [one for one in about if not kept.covers(_destinations(one))]
    if unseen:
        told = ", ".join(str(one.name) for one in unseen[:_NAMED])
        more = f" and {len(unseen) - _NAMED} more" if len(unseen) > _NAMED else ""
        message = f"Rules for part of {subnet.name} ({told}{more}) lead to what pods reach under their nodes' addresses"
        return fails(message, *_shown(files), *(one.view.at(FirewallRule.source_addresses) for one in unseen[:_NAMED]))
    if not about:
        return not_applicable(f"No rule of an Azure Firewall is about part of {subnet.name}", attached)
    return passes(f"Rules for part of {subnet.name} see the addresses of pods", *_shown(files))


def _is_about_a_part(placed: PlacedRule, subnet: AddressSet) -> bool:
    """Whether a rule's sources hold some addresses of a subnet, and not all of them."""
    sources = placed.conditions.sources
    return sources.overlaps(subnet) and not sources.covers(subnet)


def _destinations(placed: PlacedRule) -> AddressSet:
    """Where a rule lets its sources go; names and service tags stand for the internet."""
    conditions = placed.conditions
    if placed.kind is APPLICATION or conditions.fqdns or conditions.service_tags:
        return _V4_PUBLIC.union(conditions.addresses if placed.kind is not APPLICATION else AddressSet())
    return conditions.addresses


@rule(
    "AKS-EGR-29",
    title="Pods keep their addresses towards the internet only behind an appliance",
    severity=Severity.HIGH,
)
def internet_only_behind_an_appliance(cluster: ManagedCluster) -> Verdict:
    """A range that covers the internet sends pods out under private addresses, which only an appliance translates.

    AKS's load balancer serves the nodes' own addresses alone, and the pods of an overlay have none that anybody else knows.

    Severity: pods lose their way to the internet, or reach it by a way that nobody planned, in the whole cluster and at once.
    Decided: the ranges of both ConfigMaps together. They cover the internet where they hold more public addresses than one
    /8: 0.0.0.0/0, its halves, or many smaller ones. That passes on flat Azure CNI where all public addresses are routed from
    every pod subnet to an appliance that is there and forwards; it fails where some go past it, and on overlay and kubenet.
    Where a NAT gateway is on the subnet it is low: the gateway translates pods too, and nothing is gained. Not applicable
    where the ranges hold no such part of the internet, there is no agent, or eBPF host routing passes it by; unknown where the agent cannot use a file (AKS-EGR-28).
    Fix: az aks get-credentials --resource-group {group} --name {name} && kubectl edit configmap azure-ip-masq-agent-config --namespace kube-system
    Bicep: none; in the ConfigMap azure-ip-masq-agent-config of kube-system: data.ip-masq-agent: nonMasqueradeCIDRs
    Change: in place, within the minute; open connections of pods may break
    References: https://github.com/Azure/ip-masq-agent-v2
    https://learn.microsoft.com/azure/aks/egress-udr
    https://learn.microsoft.com/azure/aks/azure-cni-overlay
    """
    if excuse := _without_agents(cluster):
        return excuse
    files = read_files(cluster) or ()
    ranges = AddressSet.of(one for file in files for one in file.ranges)
    if any(file.refused for file in files):
        return undecided("The agent ends on one of its files: what it exempts is what it wrote before", *_shown(files))
    if not internet_wide(ranges):
        return not_applicable("The agent exempts no part of the internet", *_plugin(cluster), *_shown(files))
    if not is_flat(cluster):
        message = "The internet is exempt, and pods' addresses are of no network outside the cluster"
        return fails(message, *_shown(files), *_plugin(cluster))
    return each(_pod_subnets(cluster), lambda subnet: _judge_way_out(subnet, files))


def _judge_way_out(subnet: Subnet, files: tuple[AgentFile, ...]) -> Verdict:
    found = way_out(subnet)
    evidence = (*_shown(files), *found.evidence)
    if _is_forced(found):
        return passes(f"The internet is exempt, and all of {subnet.name} leaves through an appliance", *evidence)
    if subnet.nat_gateway:
        message = f"The internet is exempt, and the NAT gateway of {subnet.name} hides pods all the same"
        return fails(message, *evidence, subnet.at(Subnet.nat_gateway), severity=Severity.LOW)
    dead = [one for one in found.appliances if not one.kind.forwards]
    why = f"at its next hop is {dead[0].kind}" if dead else "traffic goes past any appliance"
    return fails(f"The internet is exempt, but from {subnet.name} {why}: nothing translates pods", *evidence)


def _is_forced(found: WayOut) -> bool:
    return bool(found.appliances) and not found.past and all(one.kind.forwards for one in found.appliances)


@rule(
    "AKS-EGR-30",
    title="The masquerade agent's ConfigMaps are in effect, and AKS's own is as AKS writes it",
    severity=Severity.MEDIUM,
)
def nothing_is_left_over(cluster: ManagedCluster) -> Verdict:
    """`azure-ip-masq-agent-config` outlives what it was made for: an upgrade to overlay, or another data plane.

    Its ranges then do nothing while everybody believes in them, or cut pods off, as nobody answers an overlay's addresses.
    AKS's own map, `…-reconciled`, is written again by AKS: what a person put there is lost one day.

    Severity: on overlay and kubenet pods lose their connection to the ranges; elsewhere, what was meant is not so.
    Decided: `azure-ip-masq-agent-config` fails on overlay and kubenet (as low where its ranges are of pods and Services alone),
    with eBPF host routing (`advancedNetworking.performance.accelerationMode` is BpfVeth), where Cilium masquerades alone, where
    there is no agent, and where none of its keys begins with `ip-masq`, or the agent's volume takes others. With pod
    subnets it is unknown whether it matters.
    `…-reconciled` fails where it holds a range beyond those of the nodes' networks, pods and Services; without the label by
    which AKS marks what it keeps, it is unknown who writes it. Neither there is not applicable.
    Fix: az aks get-credentials --resource-group {group} --name {name} && kubectl delete configmap azure-ip-masq-agent-config --namespace kube-system
    Bicep: none: both are objects in the cluster; ranges of your own belong into azure-ip-masq-agent-config alone
    Change: in place, within the minute; where the ranges are in effect, pods are masqueraded towards them from then on
    References: https://learn.microsoft.com/azure/aks/upgrade-azure-cni
    https://learn.microsoft.com/azure/aks/container-network-performance-ebpf-host-routing
    https://github.com/Azure/ip-masq-agent-v2
    """
    if cluster.network_plugin is NetworkPlugin.NONE:
        return not_applicable("The network plugin is not Azure's", *_plugin(cluster))
    custom, reconciled = masquerade_maps(cluster)
    questions: tuple[Callable[[], Verdict], ...] = (
        lambda: _judge_custom(cluster, custom),
        lambda: _judge_reconciled(cluster, reconciled),
    )
    return each(questions, lambda question: question())


def _judge_custom(cluster: ManagedCluster, custom: ConfigMap | None) -> Verdict:
    if custom is None:
        return not_applicable("There is no azure-ip-masq-agent-config", *_plugin(cluster))
    evidence = (custom.at(ConfigMap.data), *_plugin(cluster))
    daemon = agent_daemon(cluster)
    if daemon is None:
        return fails(f"{CUSTOM} is there, and no agent that reads it", *evidence)
    if by_ebpf(cluster):
        message = f"{CUSTOM} is there, and eBPF host routing passes the agent by"
        return fails(message, *evidence, cluster.at(ManagedCluster.acceleration_mode))
    files = agent_files(custom, ipv6=agent_flags(daemon).ipv6)
    if not files:
        return fails(f"{CUSTOM} has no key that begins with ip-masq and that the agent's volume takes", *evidence)
    if not is_flat(cluster):
        return _judge_beside_the_network(cluster, files, evidence)
    return _judge_in_the_network(cluster, evidence)


def _judge_beside_the_network(
    cluster: ManagedCluster, files: tuple[AgentFile, ...], evidence: tuple[Evidence, ...]
) -> Verdict:
    own = own_ranges(cluster)
    beyond = [one for file in files for one in file.ranges if not own.covers(AddressSet.of([one]))]
    if not beyond:
        return fails(f"{CUSTOM} is left over, and exempts nothing that AKS does not", *evidence, severity=Severity.LOW)
    return fails(f"{CUSTOM} sends pods to {_some(beyond)} under addresses that are of no network there", *evidence)


def _judge_in_the_network(cluster: ManagedCluster, evidence: tuple[Evidence, ...]) -> Verdict:
    if not masquerading(cluster).by.reads_files:
        return fails(f"{CUSTOM} is there, and Cilium masquerades by itself", *evidence)
    pools = [pool for pool in cluster.pools if pool.pod_subnet]
    if pools:
        message = f"Whether {CUSTOM} has an effect on pods that have a subnet of their own is not known"
        return undecided(message, *evidence, *(pool.at(AgentPool.pod_subnet) for pool in pools))
    return passes(f"{CUSTOM} is in effect", *evidence)


def _judge_reconciled(cluster: ManagedCluster, config: ConfigMap | None) -> Verdict:
    if config is None:
        return not_applicable("There is no azure-ip-masq-agent-config-reconciled", *_plugin(cluster))
    evidence = config.at(ConfigMap.data)
    ranges = [one for file in agent_files(config) for one in file.ranges]
    if not ranges:
        return undecided(f"{config.name} holds no range", evidence)
    networks = (AddressSet.of(space(network)) for network in networks_of(cluster))
    expected = AddressSet.union_of([own_ranges(cluster), *networks])
    added = [one for one in ranges if not expected.covers(AddressSet.of([one]))]
    if added:
        message = f"{config.name} holds {_some(added)}, which is none of the network, of pods or of Services"
        return fails(f"{message}: AKS writes the map again, and it is lost", evidence)
    if not marked(config):
        return undecided(f"{config.name} does not bear AKS's mark: who writes it is not known", evidence)
    return passes(f"{config.name} holds what AKS puts there", evidence)


@rule(
    "AKS-EGR-31",
    title="The ranges of the masquerade agent are of connected networks, and each stands there once",
    severity=Severity.LOW,
)
def ranges_are_of_connected_networks(cluster: ManagedCluster) -> Verdict:
    """10.0.0.0/8 in the list exempts networks too that are not connected yet, or that overlap with somebody else's.

    Repeated ranges are a sign that nobody looks at the list any more.

    Severity: nothing is open by it; who will be connected one day sees pods' addresses that he has no route or rule for.
    Decided: `azure-ip-masq-agent-config`, as AKS's own map is AKS's. It fails where a private range stands there twice, or
    holds addresses outside the nodes' networks, their connected peers, and the ranges of pods and Services. Where a gateway
    leads to networks that no resource names, that is unknown, but for one of the three whole private ranges, which fails.
    Ranges of public addresses are judged by AKS-EGR-29. Not applicable without the map, or without private ranges in it.
    Fix: az aks get-credentials --resource-group {group} --name {name} && kubectl edit configmap azure-ip-masq-agent-config --namespace kube-system
    Bicep: none; in the ConfigMap azure-ip-masq-agent-config of kube-system: data.ip-masq-agent: nonMasqueradeCIDRs
    Change: in place, within the minute; pods are masqueraded towards ranges that are taken out
    References: https://github.com/Azure/ip-masq-agent-v2
    """
    if cluster.network_plugin is NetworkPlugin.NONE:
        return not_applicable("The network plugin is not Azure's", *_plugin(cluster))
    custom, _ = masquerade_maps(cluster)
    files = agent_files(custom)
    ranges = [one for file in files for one in file.ranges]
    private = [one for one in ranges if PRIVATE.covers(AddressSet.of([one]))]
    if custom is None or not private:
        return not_applicable("No private ranges were added to AKS's own", *_plugin(cluster))
    evidence = custom.at(ConfigMap.data)
    repeated = [one for one, times in Counter(ranges).items() if times > 1]
    twice = (fails(f"{_some(repeated)} stands there more than once", evidence),) if repeated else ()
    return each(
        (*twice, *private), lambda one: one if isinstance(one, Verdict) else _judge_range(cluster, one, evidence)
    )


_WHOLE = frozenset(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))


def _judge_range(cluster: ManagedCluster, found: Network, evidence: Evidence) -> Verdict:
    networks = networks_of(cluster)
    known = AddressSet.union_of([own_ranges(cluster), *map(connected, networks)])
    shown = (evidence, *(network.at(VirtualNetwork.address_space) for network in networks))
    if known.covers(AddressSet.of([found])):
        return passes("The ranges are of connected networks", *shown)
    gateways = [gateway for network in networks for gateway in gateways_in_reach(network)]
    if gateways and found not in _WHOLE:
        message = f"Whether {found} is of networks that {gateways[0].said} leads to is not known"
        return undecided(message, *shown, *(gateway.evidence for gateway in gateways))
    return fails(f"{found} holds addresses of no connected network", *shown)


@rule("AKS-EGR-32", title="The appliance on the way out can tell pods apart", severity=Severity.INFO)
def pods_can_be_told_apart(cluster: ManagedCluster) -> Verdict:
    """What a firewall can allow or log by source is what it sees: the pod, or the node with all pods that run there.

    Severity: to tell for each cluster what rules on the firewall can mean; network policies tell pods apart in any case.
    Decided: asked where the pods' subnets lead to an appliance and the outbound type is not `none` or `block`. Not applicable
    on overlay and kubenet, where the appliance sees nodes by design. On flat Azure CNI it is what the ip-masq agent and Cilium
    exempt: the message says for the virtual network, its peers, other private ranges and the internet whose address is seen
    there; all of the internet under pods' own addresses passes, less fails. Without an agent pods keep theirs. A static egress
    gateway takes pods past all of this, and is not looked at here.
    Fix: az aks get-credentials --resource-group {group} --name {name} && kubectl edit configmap azure-ip-masq-agent-config --namespace kube-system
    Bicep: none; in the ConfigMap azure-ip-masq-agent-config of kube-system: data.ip-masq-agent: nonMasqueradeCIDRs
    Change: in place, within the minute; the appliance needs rules for the pods' addresses first
    References: https://github.com/Azure/ip-masq-agent-v2
    https://learn.microsoft.com/azure/aks/concepts-network-cni-overview
    """
    if cluster.network_plugin is NetworkPlugin.NONE:
        return not_applicable("The network plugin is not Azure's", *_plugin(cluster))
    if cluster.outbound_type in CLOSED:
        return not_applicable("AKS gives the cluster no way out", cluster.at(ManagedCluster.outbound_type))
    subnets = _pod_subnets(cluster)
    led = [evidence for subnet in subnets for out in [way_out(subnet)] if out.appliances for evidence in out.evidence]
    if not led:
        routes = (subnet.at(Subnet.route_table) for subnet in subnets)
        return not_applicable("No appliance is on the way out of the pods' subnets", *routes)
    if not is_flat(cluster):
        message = "Nodes take the place of pods towards every destination outside the cluster, by design of the plugin"
        return not_applicable(message, *_plugin(cluster), *led)
    found = masquerading(cluster)
    told = _identities(cluster, found.kept)
    if found.kept.covers(_V4_PUBLIC):
        return passes(told, *found.evidence, *led)
    return fails(told, *found.evidence, *led)


def _identities(cluster: ManagedCluster, kept: AddressSet) -> str:
    """Which address is seen where, in words."""
    networks = networks_of(cluster)
    own = AddressSet.union_of(AddressSet(AddressSet.of(space(network)).v4) for network in networks)
    peers = AddressSet.union_of(AddressSet(connected(network).v4) for network in networks).difference(own)
    others = AddressSet(PRIVATE.v4).difference(own).difference(peers)
    places = {
        "the virtual network": own,
        "its peers": peers,
        "other private ranges": others,
        "the internet": _V4_PUBLIC,
    }
    seen = [f"{place}: {_identity(kept, there)}" for place, there in places.items() if not there.empty]
    return f"Seen are, in {'; in '.join(seen)}"


def _identity(kept: AddressSet, there: AddressSet) -> str:
    if kept.covers(there):
        return "pods"
    return "pods in a part, nodes in the rest" if kept.overlaps(there) else "nodes"


@rule("AKS-EGR-35", title="Egress gateways that pods rely on are in effect", severity=Severity.INFO)
def egress_gateways_work(cluster: ManagedCluster) -> Verdict:
    """A partner who allows one address counts on it; a pod that leaves by another is refused, or allowed by mistake.

    Pods ask for a fixed address by an annotation (AKS's static egress gateway) or are chosen by a policy of Cilium's.

    Severity: to know by which addresses a cluster is seen; nothing is opened by it.
    Decided: `staticEgressGatewayProfile.enabled`, and the pods with the annotation
    `kubernetes.azure.com/static-gateway-configuration`: they pass where the StaticGatewayConfiguration that they name stands
    in their namespace, names a pool of mode Gateway and has addresses, which the message tells; network policies do not hold
    what leaves by it. They fail without the gateway, with pod subnets or the host's network, which it does not support, and
    where the configuration, its pool or its addresses are missing, or the addresses are not those of the public IP prefix
    that it is to have. CiliumEgressGatewayPolicy objects pass where `enable-ipv4-egress-gateway` in cilium-config is true; its default
    is false, and they fail. Not applicable where no pod asks and there is no policy.
    Fix: az aks update --resource-group {group} --name {name} --enable-static-egress-gateway
    Bicep: properties.networkProfile.staticEgressGatewayProfile.enabled: true
    Change: in place; it needs a pool of mode Gateway, and the pods are started again
    References: https://learn.microsoft.com/azure/aks/configure-static-egress-gateway
    https://docs.cilium.io/en/stable/network/egress-gateway/egress-gateway/
    """
    return each((static_gateway_serves, _judge_gateway_policies), lambda judge: judge(cluster))


def _judge_gateway_policies(cluster: ManagedCluster) -> Verdict:
    held = cluster.estate.within(EgressGatewayPolicy, cluster.id)
    policies = tuple(held)
    if not policies:
        held.whole()
        return not_applicable("There are no CiliumEgressGatewayPolicies", *_plugin(cluster))
    names = ", ".join(one.name for one in policies)
    dataplane = cluster.at(ManagedCluster.network_dataplane)
    settings = cilium_settings(cluster)
    if settings is None:
        return fails(f"{names}: there is no Cilium that is set up to follow it", dataplane)
    evidence = (dataplane, settings.at(CiliumSettings.egress_gateway))
    if (settings.egress_gateway or "").lower() == "true":
        return passes(f"Cilium leads pods out by {names}", *evidence)
    return fails(f"{names}: egress gateways are not on in Cilium", *evidence)


def _without_agents(cluster: ManagedCluster) -> Verdict | None:
    """Not applicable, where no file of the agent's matters whatever it says."""
    if cluster.network_plugin is NetworkPlugin.NONE:
        return not_applicable("The network plugin is not Azure's", *_plugin(cluster))
    if by_ebpf(cluster):
        evidence = cluster.at(ManagedCluster.acceleration_mode)
        return not_applicable("eBPF host routing passes the ip-masq agent by", evidence)
    return None


def _exempt(cluster: ManagedCluster, files: tuple[AgentFile, ...]) -> AddressSet:
    daemon = agent_daemon(cluster)
    return exempt(files, agent_flags(daemon)) if daemon else EVERYTHING


def _pod_subnets(cluster: ManagedCluster) -> tuple[Subnet, ...]:
    """The subnets that pods have their addresses from, or else those of their nodes, each once."""
    found = [pool.pod_subnet.read() if pool.pod_subnet else node_subnet(cluster, pool) for pool in cluster.pools]
    return tuple({subnet.id.lower(): subnet for subnet in found}.values())


def _plugin(cluster: ManagedCluster) -> tuple[Evidence, ...]:
    return cluster.at(ManagedCluster.network_plugin), cluster.at(ManagedCluster.network_plugin_mode)


def _shown(files: Iterable[AgentFile]) -> tuple[Evidence, ...]:
    return tuple({file.config_map.id: file.evidence for file in files}.values())


def _some(ranges: Iterable[Network]) -> str:
    """The first ranges in words, each once."""
    written = list(dict.fromkeys(map(str, ranges)))
    more = f" and {len(written) - _NAMED} more" if len(written) > _NAMED else ""
    return f"{', '.join(written[:_NAMED])}{more}"


RULES = (
    network_is_exempt,
    internet_only_behind_an_appliance,
    nothing_is_left_over,
    ranges_are_of_connected_networks,
    pods_can_be_told_apart,
    egress_gateways_work,
)
