"""Network security groups: where they are, who edits them, and what they let in."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from aks_audit.facts import (
    ClusterNetwork,
    ClusterSecurityGroup,
    ClusterSubnet,
    Evidence,
    Field,
    Link,
    Malformed,
    ManagedCluster,
    NetworkInterface,
    NetworkSecurityGroup,
    NotCollected,
    ScaleSetNetworkInterface,
    SecurityRule,
    SecurityRuleAccess,
    SecurityRuleDirection,
    Subnet,
    VirtualMachineScaleSet,
    VirtualNetwork,
)
from aks_audit.facts.networking import VirtualNetworkPeering
from aks_audit.facts.resource_id import parse, within
from aks_audit.network.addresses import RangeSet, internet_wide, public_part
from aks_audit.network.routes import stated
from aks_audit.network.security_rules import (
    INTERNET,
    Endpoints,
    Opening,
    Protocol,
    boxes,
    by_port,
    covers,
    destinations,
    openings,
    restrictions,
    sources,
)
from aks_audit.network.surroundings import GATEWAY_SUBNET, connected
from aks_audit.network.virtual_hubs import is_virtual_hub
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.rule import each, each_of_all, fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import azure_policy, checkov, mcsb, prowler, psrule

WEB = RangeSet([(80, 80), (443, 443)])
SHELLS: dict[str, RangeSet] = {"tcp": RangeSet([(22, 22), (3389, 3389)]), "udp": RangeSet([(3389, 3389)])}
"""The ports of SSH and RDP by protocol."""

_MANAGED_NAME = re.compile(r"aks-agentpool-.+-nsg", re.IGNORECASE)

# https://github.com/kubernetes-sigs/cloud-provider-azure, pkg/provider/securitygroup and, before Kubernetes 1.29,
# getSecurityRuleName in pkg/provider: what the cloud provider names its rules, and the priority from which on it gives them others.
_PROVIDER_NAME = re.compile(r"k8s-azure-lb_.+|(?:a[0-9a-f]{31}|shared)(?:-.+)?-(?:TCP|UDP|SCTP)-\d+-.+", re.IGNORECASE)
_PROVIDER_PRIORITY = 500


@rule(
    "AKS-SUB-01",
    title="Every node and pod subnet has a network security group",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("e71308d3-144b-4262-b144-efdc3cc90517"),
        psrule("Azure.VNET.UseNSGs"),
        mcsb("NS-1"),
        checkov("CKV2_AZURE_31"),
        prowler("network_subnet_nsg_associated"),
    ),
)
def subnet_has_security_group(subnet: ClusterSubnet) -> Verdict:
    """A subnet without a security group takes traffic from every network that is joined to it, on every port.

    One's own group on the subnet is the place for that: the group that AKS puts on the nodes' interfaces is not to be
    edited, and none is put on subnets that are brought along.

    Severity: it opens the nodes to peered and connected networks, where an attacker must have a foothold first; from the
    internet they still need a public address.
    Decided: `networkSecurityGroup` of the subnet; absent means none. What is in the group is judged by AKS-SUB-05 and
    AKS-SUB-06. Not applicable to a subnet for the API server alone (API Server VNet Integration): it holds nothing but
    an internal load balancer that Microsoft runs, and a group there is optional.
    Fix: az network vnet subnet update --resource-group {group} --vnet-name {vnet} --name {subnet} --network-security-group <nsg>
    Bicep: subnets[].properties.networkSecurityGroup.id
    Change: in place; first allow in the group what the cluster needs (nodes and pods among themselves, AzureLoadBalancer)
    References: https://learn.microsoft.com/azure/aks/concepts-network#network-security-groups
    https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview
    """
    evidence = subnet.at(Subnet.network_security_group)
    if not any(use.kind in {"node", "pod"} for use in subnet.uses):
        return not_applicable("The subnet holds no nodes and no pods", evidence)
    if subnet.network_security_group is None:
        return fails("The subnet has no network security group", evidence)
    return passes(f"Network security group {parse(subnet.network_security_group.id).name} is on the subnet", evidence)


@rule(
    "AKS-SUB-02",
    title="No security group but the one of AKS is on the nodes' network interfaces",
    severity=Severity.MEDIUM,
)
def only_managed_group_on_interfaces(cluster: ManagedCluster) -> Verdict:
    """AKS owns the network interfaces of nodes, and takes a foreign security group off, or keeps failing over it.

    Rules that someone believes in then vanish with the next upgrade or scale-out, or block what the cluster needs.
    Microsoft does not support it: a group of one's own belongs on the subnet.

    Severity: a filter that is there on some nodes and gone on new ones is worse than none in the plan, and an upgrade may
    stop half way; but it takes a second fault for an attacker to gain by it.
    Decided: by three lists that must all be whole: the interface profiles of the node resource group's scale sets, its plain
    network interfaces, and the `networkInterfaces` of every security group in the subscription, among them those of
    scale set instances. What AKS attaches itself, `aks-agentpool-*-nsg` in the node resource group, is as it should be; every
    other group on such an interface fails. Not applicable where no interface has a group (it is then on the subnet).
    Fix: az vmss update --resource-group {node_group} --name <scale set> --remove virtualMachineProfile.networkProfile.networkInterfaceConfigurations[0].networkSecurityGroup
    Bicep: nothing to set; put the group on the subnet (subnets[].properties.networkSecurityGroup)
    Change: in place; let AKS reconcile the nodes afterwards with az aks update without arguments
    References: https://learn.microsoft.com/azure/aks/concepts-network#network-security-groups
    https://learn.microsoft.com/azure/aks/support-policies
    """
    home = cluster.node_group_id
    questions: tuple[Callable[[], Verdict], ...] = (
        lambda: each_of_all(cluster.scale_sets, lambda scale_set: _groups_of_scale_set(scale_set, home)),
        lambda: each_of_all(cluster.node_interfaces, lambda interface: _group_of_interface(interface, home)),
        lambda: each_of_all(cluster.groups_on_node_interfaces, lambda group: _group_with_interfaces(group, home)),
    )
    found = each(questions, lambda question: question())
    if found.outcome is Outcome.NOT_APPLICABLE:
        return not_applicable("No security group is on the nodes' network interfaces")
    return found


def _groups_of_scale_set(scale_set: VirtualMachineScaleSet, home: str) -> Verdict:
    if scale_set.network_interfaces is None:
        evidence = scale_set.at(VirtualMachineScaleSet.network_interfaces)
        raise Malformed(scale_set.id, evidence.pointer, "a scale set without its network interfaces")
    return each(scale_set.network_interfaces, lambda found: _group_of_profile(found, home))


def _group_of_profile(found: ScaleSetNetworkInterface, home: str) -> Verdict:
    if found.ip_configurations is None:
        evidence = found.at(ScaleSetNetworkInterface.ip_configurations)
        raise Malformed(found.document.id, evidence.pointer, "a network interface without its addresses")
    evidence = found.at(ScaleSetNetworkInterface.network_security_group)
    return _attached(found.network_security_group, home, evidence)


def _group_of_interface(interface: NetworkInterface, home: str) -> Verdict:
    evidence = interface.at(NetworkInterface.network_security_group)
    return _attached(interface.network_security_group, home, evidence)


def _group_with_interfaces(group: NetworkSecurityGroup, home: str) -> Verdict:
    evidence = group.at(NetworkSecurityGroup.network_interfaces)
    group.estate.interface_groups(group)  # raises where the list of interfaces cannot be read
    return _attached(Link(group.estate, NetworkSecurityGroup, group.id), home, evidence)


def _attached(group: Link[NetworkSecurityGroup] | None, home: str, evidence: Evidence) -> Verdict:
    if group is None:
        return not_applicable("No security group is on the nodes' network interfaces", evidence)
    name = parse(group.id).name
    if within(group.id, home) and _MANAGED_NAME.fullmatch(name):
        return passes(f"Only AKS's own {name} is on the nodes' network interfaces", evidence)
    return fails(f"Security group {name}, which is not AKS's own, is on the nodes' network interfaces", evidence)


@rule(
    "AKS-SUB-03",
    title="The security group that AKS manages holds no rules of others",
    severity=Severity.MEDIUM,
    controls=(psrule("Azure.NSG.AKSRules"),),
)
def managed_group_not_edited(group: ClusterSecurityGroup) -> Verdict:
    """AKS writes the rules of its group from the cluster's Services, and takes what it does not know for its own to change.

    A rule added by hand opens ports that no manifest tells of, or goes when AKS reconciles; editing the group is not
    supported.

    Severity: such a rule is usually an opening made in a hurry, past every review of manifests, on all nodes at once; how
    far it is open is judged by AKS-SUB-05 and AKS-SUB-06.
    Decided: security groups in a cluster's node resource group only. Every rule has a name and priority (500 to 4096) as the
    cloud provider gives them: `k8s-azure-lb_...`, or before Kubernetes 1.29 `a<uid>-TCP-80-Internet` and `shared-...`; or it
    lets application security groups be reached on host ports that a pool names in `allowedHostPorts`, for which AKS
    writes rules itself. A name can be forged: this rule finds what was added openly. Rules that Microsoft's own tenants get
    by policy (`NRMS-Rule-...`) count as added.
    Fix: az network nsg rule delete --resource-group {group} --nsg-name {nsg} --name <rule>
    Bicep: nothing to set; open ports by a Service (loadBalancerSourceRanges), or by rules of the subnet's own group
    Change: in place, and it closes what the rule had opened
    References: https://learn.microsoft.com/azure/aks/concepts-network#network-security-groups
    https://learn.microsoft.com/azure/aks/support-policies
    https://learn.microsoft.com/azure/aks/use-node-public-ips
    """
    evidence = group.at(NetworkSecurityGroup.security_rules)
    if not group.managed:
        return not_applicable("The security group is not one that AKS manages", group.at(NetworkSecurityGroup.subnets))
    if group.security_rules is None:
        raise Malformed(group.id, evidence.pointer, "a security group without its list of rules")
    if not group.security_rules:
        return passes("AKS has written no rule, and nobody else has", evidence)
    return each(group.security_rules, lambda found: _written_by_aks(found, group))


def _written_by_aks(found: SecurityRule, group: ClusterSecurityGroup) -> Verdict:
    evidence = (found.at(SecurityRule.name), found.at(SecurityRule.priority))
    if found.name is None:
        raise Malformed(group.id, found.pointer, "a security rule without its name")
    later = found.priority is not None and found.priority >= _PROVIDER_PRIORITY
    if later and _PROVIDER_NAME.fullmatch(found.name):
        return passes("All rules are those of the cloud provider", *evidence)
    opens = found.access is SecurityRuleAccess.ALLOW and found.direction is SecurityRuleDirection.INBOUND
    if opens and found.destination_application_security_groups:
        ports = RangeSet(box_range for box in boxes(found) for box_range in box.ports.ranges)
        if ports <= RangeSet(_allowed_host_ports(group)):
            return passes("Host ports are open that a pool names", *evidence, *_told(found))
    return fails(f"Rule {found.name} is not one that AKS wrote", *evidence, *_told(found))


def _allowed_host_ports(group: ClusterSecurityGroup) -> Iterator[tuple[int, int]]:
    for cluster in group.clusters:
        for pool in group.estate.resource(ManagedCluster, cluster).pools:
            for ports in pool.allowed_host_ports or ():
                if ports.port_start is not None and ports.port_end is not None and ports.port_start <= ports.port_end:
                    yield ports.port_start, ports.port_end


@rule(
    "AKS-SUB-05",
    title="Security groups let the internet in on ports 80 and 443 alone",
    severity=Severity.HIGH,
    controls=(
        psrule("Azure.NSG.AnyInboundSource"),
        checkov("CKV_AZURE_77"),
        prowler("network_udp_internet_access_restricted"),
    ),
)
def no_inbound_from_internet(group: ClusterSecurityGroup) -> Verdict:
    """A port that is open to every address is scanned within minutes, and tried for ever after.

    Behind 80 and 443 stands an ingress that is made for that; behind other ports stand databases, dashboards, node ports and
    the kubelet, which are not.

    Severity: wherever a public address or load balancer leads there, the whole world is let in; that one is added later, by
    one line in a manifest, is what the group is for.
    Decided: the group's own inbound rules in order of priority, singular and plural port and prefix lists, TCP and UDP. For
    each port the sources of all rules that open it count together, whatever their destinations. They are the internet where they hold more public addresses
    than one IPv4 /8 or IPv6 /32, however they are written (`*`, `Internet`, `0.0.0.0/0`, halves, lists), or the tag `AzureCloud`
    or `AzureCloud.<region>`, since every customer of Azure has addresses in it. A deny before counts, a deny behind does not.
    Azure's default rules let in no internet. ICMP, ESP and AH have no ports, and are left aside.
    Fix: az network nsg rule update --resource-group {group} --nsg-name {nsg} --name <rule> --source-address-prefixes <known ranges>
    Bicep: securityRules[].properties.sourceAddressPrefixes
    Change: in place; what came from elsewhere is cut off. For the group that AKS manages, set loadBalancerSourceRanges of the Service
    References: https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview
    https://learn.microsoft.com/azure/virtual-network/service-tags-overview
    """
    exposed = [
        _Exposed(protocol, ports - WEB, tuple(opening for opening in here if on_the_internet(opening.box.sources)))
        for protocol, ports, here in _stretches(openings(group, SecurityRuleDirection.INBOUND))
        if ports - WEB and (internet_wide(sources(here)) or any(_holds_azure(opening.box.sources) for opening in here))
    ]
    if exposed:
        return fails(f"The internet is let in on {_listed(exposed)}", *_evidence(exposed))
    return passes("The internet is let in on no port but 80 and 443", group.at(NetworkSecurityGroup.security_rules))


@rule(
    "AKS-SUB-06",
    title="SSH and RDP are open to private sources only, and not to the internet outward",
    severity=Severity.HIGH,
    controls=(
        azure_policy("22730e10-96f6-4aac-ad84-9383d35b5917"),
        psrule("Azure.NSG.LateralTraversal"),
        checkov("CKV_AZURE_9"),
        checkov("CKV_AZURE_10"),
        prowler("network_rdp_internet_access_restricted"),
        prowler("network_ssh_internet_access_restricted"),
    ),
)
def ssh_and_rdp_from_private_sources(group: ClusterSecurityGroup) -> Verdict:
    """SSH and RDP give a shell on a node, and with it every pod and every token on that node.

    A way in from private addresses (a bastion, a VPN) can be given and taken; a public address is shared, reassigned or
    forged by whoever sits on the line. Outward, SSH is a tunnel through which everything can leave.

    Severity: one guessed or stolen key is a node; outward alone it is medium, since something must run inside already.
    Decided: the group's own rules as in AKS-SUB-05, for TCP 22 and 3389, and UDP 3389. Inbound fails where any source is a
    public address, even a single one (/32), or a service tag on the internet; `VirtualNetwork`, `AzureLoadBalancer`,
    application security groups and private ranges (RFC 1918, 100.64.0.0/10, fc00::/7) are right. Outbound fails where a rule of
    one's own lets the ports out to the internet (more than an IPv4 /8, `Internet`, `AzureCloud`); Azure's default rule that
    lets everything out is not counted here: AKS-EGR-01 and AKS-EGR-02 judge it.
    Fix: az network nsg rule update --resource-group {group} --nsg-name {nsg} --name <rule> --source-address-prefixes <bastion-subnet>
    Bicep: securityRules[].properties.sourceAddressPrefix
    Change: in place; have a bastion, or az aks command invoke and kubectl debug, before the old way in is closed
    References: https://learn.microsoft.com/azure/aks/node-access
    https://learn.microsoft.com/azure/bastion/bastion-overview
    https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview
    """
    return each((_shells_inward, _shells_outward), lambda judge: judge(group))


def _shells_inward(group: ClusterSecurityGroup) -> Verdict:
    exposed = [
        _Exposed(
            protocol,
            ports & SHELLS[protocol],
            tuple(opening for opening in here if on_the_internet(opening.box.sources)),
        )
        for protocol, ports, here in _stretches(openings(group, SecurityRuleDirection.INBOUND))
        if ports & SHELLS[protocol] and any(on_the_internet(opening.box.sources) for opening in here)
    ]
    if exposed:
        message = f"Public addresses are let in on {_listed(exposed)}"
        return fails(message, *_evidence(exposed), severity=Severity.HIGH)
    return passes("SSH and RDP are open to no public address", group.at(NetworkSecurityGroup.security_rules))


def _shells_outward(group: ClusterSecurityGroup) -> Verdict:
    exposed = [
        _Exposed(
            protocol,
            ports & SHELLS[protocol],
            tuple(opening for opening in here if on_the_internet(opening.box.destinations)),
        )
        for protocol, ports, here in _stretches(openings(group, SecurityRuleDirection.OUTBOUND))
        if ports & SHELLS[protocol]
        and (internet_wide(destinations(here)) or any(_holds_azure(opening.box.destinations) for opening in here))
    ]
    if exposed:
        message = f"The internet can be reached on {_listed(exposed)}"
        return fails(message, *_evidence(exposed), severity=Severity.MEDIUM)
    return passes("No rule opens SSH or RDP to the internet", group.at(NetworkSecurityGroup.security_rules))


@rule(
    "AKS-SUB-07",
    title="The security group of a subnet restricts traffic inward and outward",
    severity=Severity.LOW,
)
def group_restricts(group: ClusterSecurityGroup) -> Verdict:
    """A security group without rules of its own lets in whatever is joined to the network, and lets everything out.

    Reviews tick it off because it is there. The same goes for a rule that an earlier one hides, and for one that denies the
    internet inward, which Azure's default rules do anyway.

    Severity: an attacker in a peered network or on the other side of a VPN reaches every port of every node; a firewall or
    network policies may still stand in the way.
    Decided: `securityRules` of groups on subnets of clusters, in order of priority, for each direction: a deny rule passes that
    is reached and stops something which Azure's default rules let through. Inward that is what comes from the tag
    `VirtualNetwork` or from private addresses (peers, gateways), outward anything. Allow rules restrict nothing by
    themselves, nor does a rule for some source ports alone. How much is stopped is not weighed. Not applicable to the group
    that AKS manages: AKS writes its rules from the Services.
    Fix: az network nsg rule create --resource-group {group} --nsg-name {nsg} --name DenyOtherInbound --direction Inbound --access Deny --priority 4096 --protocol '*' --source-address-prefixes '*' --destination-address-prefixes '*' --destination-port-ranges '*'
    Bicep: securityRules[].properties.access: 'Deny', in both directions, behind the rules that allow what is needed
    Change: in place; first allow what the cluster needs (AKS-SUB-04): nodes and pods among themselves, AzureLoadBalancer, the
    ingress, and outward the API server, DNS and the firewall
    References: https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview
    https://learn.microsoft.com/azure/aks/concepts-network#network-security-groups
    """
    if group.managed:
        return not_applicable("AKS manages the security group", group.at(NetworkSecurityGroup.subnets))
    return each(SecurityRuleDirection, lambda direction: _restricts(group, direction))


def _restricts(group: ClusterSecurityGroup, direction: SecurityRuleDirection) -> Verdict:
    found = restrictions(group, direction)
    if not found:
        shown = group.at(NetworkSecurityGroup.security_rules)
        return fails(f"No rule of its own restricts what Azure lets through {direction.lower()}", shown)
    names = ", ".join(rule.name or rule.pointer for rule in found)
    return passes(f"{direction} traffic is restricted by {names}", *(rule.at(SecurityRule.name) for rule in found))


class _Exposed(NamedTuple):
    """Ports of a protocol that are open too far, and the openings that do it."""

    protocol: Protocol
    ports: RangeSet
    openings: tuple[Opening, ...]


def _stretches(found: tuple[Opening, ...]) -> Iterator[tuple[Protocol, RangeSet, tuple[Opening, ...]]]:
    with_ports: tuple[Protocol, ...] = ("tcp", "udp")
    for protocol in with_ports:
        for ports, here in by_port(found, protocol):
            yield protocol, ports, here


def _holds_azure(side: Endpoints) -> bool:
    """Whether a side names all addresses of Azure, or of one of its regions."""
    return any(covers("azurecloud", tag) and side.holds(tag) for tag in side.tags)


def on_the_internet(side: Endpoints) -> bool:
    """Whether a side holds any public address, by itself or by a service tag on the internet."""
    return any(side.holds(tag) and covers(INTERNET, tag) for tag in side.tags) or not public_part(side.addresses).empty


def _listed(exposed: Iterable[_Exposed]) -> str:
    """The ports by protocol, and the rules by name."""
    together: dict[tuple[str, str], RangeSet] = {}
    for protocol, ports, here in exposed:
        for name in dict.fromkeys(opening.rule.name or opening.rule.pointer for opening in here):
            key = (name, protocol.upper())
            together[key] = together.get(key, RangeSet()) | ports
    return ", ".join(f"{protocol} {_written(ports)} by rule {name}" for (name, protocol), ports in together.items())


def _written(ports: RangeSet) -> str:
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ports.ranges)


def _evidence(exposed: Iterable[_Exposed]) -> list[Evidence]:
    rules = {opening.rule.pointer: opening.rule for part in exposed for opening in part.openings}
    return [evidence for found in rules.values() for evidence in (found.at(SecurityRule.name), *_told(found))]


def _told(found: SecurityRule) -> list[Evidence]:
    """The ends and ports of a rule, in the fields that it uses."""
    fields: tuple[Field[Any], ...] = (
        SecurityRule.source_address_prefix,
        SecurityRule.source_address_prefixes,
        SecurityRule.source_application_security_groups,
        SecurityRule.destination_address_prefix,
        SecurityRule.destination_address_prefixes,
        SecurityRule.destination_application_security_groups,
        SecurityRule.destination_port_range,
        SecurityRule.destination_port_ranges,
    )
    return [evidence for evidence in [found.at(field) for field in fields] if evidence.value]


@rule(
    "AKS-SUB-30",
    title="No security group is on the gateway's subnet",
    severity=Severity.LOW,
    controls=(azure_policy("35f9c03a-cc27-418e-9c0c-539ff999d010"),),
)
def gateway_subnet_without_group(network: ClusterNetwork) -> Verdict:
    """A security group on the subnet of a VPN or ExpressRoute gateway can stop the gateway itself, and is not supported.

    The connection to the own premises then breaks, at once or at the next change of the gateway.

    Severity: it is a mistake of layout that may cost the connection, not one that lets anybody in.
    Decided: the subnets called GatewaySubnet of the clusters' network and of the networks peered with it. A group fails
    whether the subnet names it, or the group names the subnet. Passes where neither does, and every security group of
    the gateway's subscription was read. A peered network that was not read counts only where its gateway is used. Not
    applicable without such a subnet, and to the network of a Virtual WAN hub, which is Microsoft's own.
    Fix: az network vnet subnet update --resource-group {group} --vnet-name {vnet} --name GatewaySubnet --remove networkSecurityGroup
    Bicep: subnets[] GatewaySubnet without properties.networkSecurityGroup
    Change: in place
    References: https://learn.microsoft.com/azure/vpn-gateway/vpn-gateway-about-vpn-gateway-settings#gwsub
    https://learn.microsoft.com/azure/expressroute/expressroute-about-virtual-network-gateways#gateway-subnet
    """
    questions: list[Callable[[], Verdict]] = [lambda: _gateway_subnets_of(network)]
    questions += [partial(_gateway_subnets_of_peer, peering) for peering in connected(network)]
    return each(questions, lambda question: question())


def _gateway_subnets_of_peer(peering: VirtualNetworkPeering) -> Verdict:
    remote = stated(peering, VirtualNetworkPeering.remote)
    try:
        network = peering.estate.resource(VirtualNetwork, remote.id)
    except NotCollected:
        if is_virtual_hub(remote.id):
            told = "The gateways in reach are a Virtual WAN hub's, whose network is Microsoft's"
            return not_applicable(told, peering.at(VirtualNetworkPeering.remote))
        if peering.use_remote_gateways:
            raise
        return not_applicable("The networks in reach have no subnet for a gateway")
    return _gateway_subnets_of(network)


def _gateway_subnets_of(network: VirtualNetwork) -> Verdict:
    subnets = stated(network, VirtualNetwork.subnets)
    own = [subnet for subnet in subnets if subnet.name.lower() == GATEWAY_SUBNET]
    if not own:
        return not_applicable("The networks in reach have no subnet for a gateway", network.at(VirtualNetwork.subnets))
    return each(own, _gateway_subnet)


def _gateway_subnet(subnet: Subnet) -> Verdict:
    evidence = subnet.at(Subnet.network_security_group)
    where = f"{subnet.name} of {parse(subnet.virtual_network_id).name}"
    if subnet.network_security_group:
        return fails(f"{parse(subnet.network_security_group.id).name} is on {where}", evidence)
    groups = subnet.estate.within(NetworkSecurityGroup, f"/subscriptions/{subnet.parsed.subscription}")
    for group in groups:
        if any(link.id.lower() == subnet.id.lower() for link in group.subnets or ()):
            return fails(f"{group.name} is on {where}", group.at(NetworkSecurityGroup.subnets))
    groups.whole()
    return passes("No security group is on the subnet of a gateway", evidence)


RULES = (
    subnet_has_security_group,
    only_managed_group_on_interfaces,
    managed_group_not_edited,
    no_inbound_from_internet,
    ssh_and_rdp_from_private_sources,
    group_restricts,
    gateway_subnet_without_group,
)
