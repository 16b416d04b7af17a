"""The cluster's network profile: plugin, policy engine, address ranges, and where nodes and pods get addresses."""

from collections.abc import Iterable
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import assert_never

from aks_audit.facts import (
    AgentPool,
    AgentPoolMode,
    Evidence,
    Malformed,
    ManagedCluster,
    Network,
    NetworkDataplane,
    NetworkPlugin,
    NetworkPluginMode,
    NetworkPolicy,
    OSType,
)
from aks_audit.facts.services import ServiceCIDR
from aks_audit.network.addresses import PRIVATE, AddressSet
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, every, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.dates import Component
from aks_audit_rules.frameworks import (
    aks_health_check,
    aprl,
    azure_policy,
    checkov,
    community_policy,
    kubebuddy,
    mcsb,
    prowler,
    psrule,
    review_checklist,
    the_aks_checklist,
)
from aks_audit_rules.retirements import retiring

# Ranges that AKS refuses or uses itself, by the prerequisites in learn.microsoft.com/azure/aks/configure-kubenet.
_RESERVED = tuple(map(ip_network, ("169.254.0.0/16", "172.30.0.0/16", "172.31.0.0/16", "192.0.2.0/24")))


@rule(
    "AKS-SUB-09",
    title="The pool's nodes have no public IP addresses",
    severity=Severity.HIGH,
    controls=(
        community_policy("82417f79-38c7-4446-ae2c-3c4fd7f06d89"),
        review_checklist("4b3bb365-9458-44d9-9ed1-5c8f52890364"),
        aks_health_check("NET-8"),
        checkov("CKV_AZURE_143"),
        prowler("aks_clusters_created_with_private_nodes"),
    ),
)
def no_node_public_ip(pool: AgentPool) -> Verdict:
    """A node with a public address is one security rule away from the internet: kubelet, node ports, host ports and SSH.

    It is also a way out of its own, which `outboundType: none` does not close.

    Severity: an attacker reaches every node of the pool directly, past firewall and ingress, as soon as one network
    security group rule is too wide, and gets stolen data out the same way.
    Decided: `enableNodePublicIP` of the pool. Azure always sends it, so absent is unknown, not false.
    Fix: az aks nodepool add --resource-group {group} --cluster-name {cluster} --name NEWPOOL --vnet-subnet-id SUBNET_ID
        az aks nodepool delete --resource-group {group} --cluster-name {cluster} --name {pool}
    Bicep: properties.enableNodePublicIP: false
    Change: new node pool; the setting cannot be changed on an existing one, so move the workloads and delete the old pool
    References: https://learn.microsoft.com/azure/aks/use-node-public-ips
    """
    evidence = pool.at(AgentPool.enable_node_public_ip)
    if pool.enable_node_public_ip is None:
        return undecided("The body does not say whether the nodes have public IP addresses", evidence)
    if pool.enable_node_public_ip:
        return fails("Every node of the pool has a public IP address", evidence)
    return passes("The nodes have no public IP addresses", evidence)


@rule("AKS-SUB-16", title="The DNS service IP is a usable address of the service CIDR", severity=Severity.MEDIUM)
def dns_service_ip_usable(cluster: ManagedCluster) -> Verdict:
    """The cluster's DNS Service must get this address; if it cannot, no pod resolves any name.

    Severity: all name resolution in the cluster fails, but at once and for everybody, so it is found when the cluster
    is made and does not lie in wait.
    Decided: `networkProfile.dnsServiceIP` lies in one of `serviceCidrs` (or in `serviceCidr`), of either family, and is
    not its network address, not the first address after that (the API server's own Service `kubernetes` takes it), and
    for IPv4 not the last one. An absent address or range is unknown.
    Fix: az aks create --resource-group {group} --name NEWCLUSTER --service-cidr 10.0.0.0/16 --dns-service-ip 10.0.0.10
    Bicep: properties.networkProfile.dnsServiceIP: '10.0.0.10'
    Change: new cluster; neither the service CIDR nor the DNS service IP can be changed
    References: https://learn.microsoft.com/azure/aks/azure-cni-overlay
        https://learn.microsoft.com/azure/aks/configure-kubenet
    """
    evidence = (
        cluster.at(ManagedCluster.dns_service_ip),
        cluster.at(ManagedCluster.service_cidrs),
        cluster.at(ManagedCluster.service_cidr),
    )
    networks = _service_networks(cluster)
    address = _dns_address(cluster)
    if address is None or not networks:
        return undecided("The body does not name both the DNS service IP and the service CIDR", *evidence)
    network = next((network for network in networks if address in network), None)
    if network is None:
        return fails(f"{address} is outside the service CIDR {', '.join(map(str, networks))}", *evidence)
    if problem := _unusable(address, network):
        return fails(f"{address} is {problem} of the service CIDR {network}", *evidence)
    return passes(f"{address} is a usable address of the service CIDR {network}", *evidence)


def _service_networks(cluster: ManagedCluster) -> tuple[Network, ...]:
    return _union(cluster.service_cidrs, cluster.service_cidr)


def _union(several: Iterable[Network] | None, one: Network | None) -> tuple[Network, ...]:
    """The plural form of a field and its older singular, which names the first of them."""
    return tuple(dict.fromkeys([*(several or ()), *([one] if one else [])]))


def _dns_address(cluster: ManagedCluster) -> IPv4Address | IPv6Address | None:
    if cluster.dns_service_ip is None:
        return None
    try:
        return ip_address(cluster.dns_service_ip.strip())
    except ValueError:
        pointer = cluster.at(ManagedCluster.dns_service_ip).pointer
        raise Malformed(cluster.id, pointer, f"expected an address, found {cluster.dns_service_ip!r}") from None


def _unusable(address: IPv4Address | IPv6Address, network: Network) -> str:
    """What keeps the DNS Service from an address of a service CIDR, or nothing."""
    offset = int(address) - int(network.network_address)
    if offset == 0:
        return "the network address"
    if offset == 1:
        return "the first address, which the Service kubernetes takes,"
    if isinstance(network, IPv4Network) and address == network.broadcast_address:
        return "the last address"
    return ""


@rule(
    "AKS-SUB-19",
    title="Pods take no addresses from the node subnet",
    severity=Severity.LOW,
    controls=(
        review_checklist("8ee9a69a-1b58-4b1e-9c61-476e110a160b"),
        the_aks_checklist("8ee9a69a-1b58-4b1e-9c61-476e110a160b"),
        aprl("c22db132-399b-4e7c-995d-577a60881be8"),
    ),
)
def pods_off_the_node_subnet(cluster: ManagedCluster) -> Verdict:
    """With Azure CNI's node subnet mode each node takes an address for every pod that it might run, used or not.

    A subnet planned for a few nodes is then full: pools do not scale out, and upgrades stop for want of surge nodes.
    Overlay or a pod subnet (dynamic or static block allocation) ends that, and a pod subnet can have a route table and
    a network security group of its own.

    Severity: a flat network in a large enough subnet works; the design costs addresses, and shows when the cluster
    should grow or be upgraded.
    Decided: for Azure CNI, `networkPluginMode` is `overlay`, or every pool has `podSubnetID`; pools that Microsoft runs
    (`ManagedSystem`) may lack it. Absent means that pods live in the node subnet, the default; only where the body does
    not name `networkDataplane` either is it unknown, since the api-versions that leave that out leave out the mode too.
    kubenet and bring-your-own CNI are not applicable: pods take no addresses of the virtual network with kubenet, whose
    retirement is the matter of AKS-SUB-20, and a CNI of your own does its own address management.
    Fix: az aks update --resource-group {group} --name {name} --network-plugin azure --network-plugin-mode overlay --pod-cidr 192.168.0.0/16
    Bicep: properties.networkProfile.networkPluginMode: 'overlay'
    Change: replaces nodes; all pools are reimaged at once, there is no way back, and a network policy engine must be uninstalled first
    References: https://learn.microsoft.com/azure/aks/update-azure-cni
        https://learn.microsoft.com/azure/aks/configure-azure-cni-dynamic-ip-allocation
        https://learn.microsoft.com/azure/aks/azure-cni-overlay
    """
    evidence = cluster.at(ManagedCluster.network_plugin)
    plugin = network_plugin_of(cluster)
    match plugin:
        case NetworkPlugin.AZURE:
            return _pod_addresses(cluster)
        case NetworkPlugin.KUBENET:
            return not_applicable("With kubenet pods take no addresses of the virtual network", evidence)
        case NetworkPlugin.NONE:
            return not_applicable("The cluster's own CNI plugin gives pods their addresses", evidence)
        case other:
            assert_never(other)


def network_plugin_of(cluster: ManagedCluster) -> NetworkPlugin:
    """The network plugin, which every cluster has.

    Raises:
        Malformed: the body does not name it.
    """
    if cluster.network_plugin is None:
        pointer = cluster.at(ManagedCluster.network_plugin).pointer
        raise Malformed(cluster.id, pointer, "a cluster without its network plugin")
    return cluster.network_plugin


def _pod_addresses(cluster: ManagedCluster) -> Verdict:
    """Where an Azure CNI cluster's pods get their addresses."""
    match cluster.network_plugin_mode:
        case NetworkPluginMode.OVERLAY:
            return passes("Pods live in an overlay network", cluster.at(ManagedCluster.network_plugin_mode))
        case None:
            return each(cluster.pools, partial(_pod_subnet, cluster))
        case other:
            assert_never(other)


def _pod_subnet(cluster: ManagedCluster, pool: AgentPool) -> Verdict:
    evidence = (pool.at(AgentPool.pod_subnet), cluster.at(ManagedCluster.network_plugin_mode))
    if pool.pod_subnet:
        return passes("Every pool's pods have a subnet of their own", *evidence)
    if pool.mode is AgentPoolMode.MANAGED_SYSTEM:
        return not_applicable("Microsoft runs the pool in its own network", *evidence)
    if cluster.network_dataplane is None:
        return undecided(_OLD_BODY, *evidence, cluster.at(ManagedCluster.network_dataplane))
    return fails(f"Pods of pool {pool.name} take addresses from the node subnet", *evidence)


_OLD_BODY = (
    "The body names neither plugin mode nor data plane, as older api-versions do; read the cluster with a newer one"
)


@rule(
    "AKS-SUB-20",
    title="The network plugin is Azure CNI",
    severity=Severity.MEDIUM,
    controls=(
        review_checklist("a0f61565-9de5-458f-a372-49c831112dbd"),
        the_aks_checklist("a0f61565-9de5-458f-a372-49c831112dbd"),
        aprl("c22db132-399b-4e7c-995d-577a60881be8"),
        kubebuddy("AKSNET004"),
        azure_policy("46238e2f-3f6f-4589-9f3f-77bed4116e67"),
        community_policy("3af005dd-7bc6-4fb0-b8f3-8b2a519a9853"),
        aks_health_check("NET-1"),
        checkov("CKV2_AZURE_29"),
    ),
)
def azure_cni(cluster: ManagedCluster) -> Verdict:
    """AKS ends its support for kubenet on 31 March 2028; a cluster that is still on it then gets no fixes.

    Until then kubenet already holds a cluster back: a route for every node in one route table (400 nodes at most), no
    Windows pools, and no policy engine but Calico.

    Severity: by the day of the snapshot, since the plugin works and is patched until the date: low until a year before
    it, then medium, and high from the date on.
    Decided: `networkProfile.networkPlugin`, compared without case: `azure` passes, `kubenet` fails. `none` (bring your
    own CNI) is not applicable: who supports that plugin, and until when, is not for Azure to say.
    Fix: az aks update --resource-group {group} --name {name} --network-plugin azure --network-plugin-mode overlay
    Bicep: properties.networkProfile: networkPlugin 'azure', networkPluginMode 'overlay'
    Change: replaces nodes; all pools are reimaged at once and there is no way back; needs a user-assigned identity, and Calico uninstalled first
    References: https://learn.microsoft.com/azure/aks/update-azure-cni
        https://learn.microsoft.com/azure/aks/configure-kubenet
        https://github.com/Azure/AKS/issues/4859
    """
    evidence = cluster.at(ManagedCluster.network_plugin)
    plugin = network_plugin_of(cluster)
    match plugin:
        case NetworkPlugin.AZURE:
            return passes("The network plugin is Azure CNI", evidence)
        case NetworkPlugin.KUBENET:
            return retiring(Component.KUBENET, cluster, evidence)
        case NetworkPlugin.NONE:
            return not_applicable("The cluster brings its own CNI plugin, which Azure does not support", evidence)
        case other:
            assert_never(other)


@rule(
    "AKS-SUB-22",
    title="Every agent pool is in a virtual network of your own",
    severity=Severity.MEDIUM,
    controls=(mcsb("NS-1"),),
)
def own_virtual_network(cluster: ManagedCluster) -> Verdict:
    """A network that AKS makes belongs to the cluster: you cannot plan its addresses, and it is deleted with the cluster.

    It stands in the node resource group, where changes are not supported: no place for a peering to the hub, routes
    through a firewall, security rules or flow logs, and its default range is that of every other such cluster.

    Severity: an attacker gains no way in, but an unwatched way out: nothing of yours filters or records what leaves the
    nodes.
    Decided: every pool names `vnetSubnetID`. Absent means that AKS made the network, the documented default. Pools that
    Microsoft runs in its own network (mode `ManagedSystem`) are not applicable without one.
    Fix: az aks create --resource-group {group} --name NEWCLUSTER --vnet-subnet-id SUBNET_ID
    Bicep: properties.agentPoolProfiles[].vnetSubnetID: nodeSubnet.id
    Change: new cluster; a cluster's virtual network is chosen when it is made
    References: https://learn.microsoft.com/azure/aks/configure-azure-cni
        https://learn.microsoft.com/azure/architecture/reference-architectures/containers/aks/baseline-aks
    """
    return each(cluster.pools, _own_subnet)


def _own_subnet(pool: AgentPool) -> Verdict:
    evidence = pool.at(AgentPool.node_subnet)
    if pool.node_subnet:
        return passes("Every pool is in a subnet of your own", evidence)
    if pool.mode is AgentPoolMode.MANAGED_SYSTEM:
        return not_applicable("Microsoft runs the pool in its own network", evidence)
    return fails(f"Pool {pool.name} is in the virtual network that AKS made", evidence)


@rule("AKS-SUB-27", title="Network plugin, policy engine and nodes fit together", severity=Severity.MEDIUM)
def network_plugin_fits(cluster: ManagedCluster) -> Verdict:
    """A policy engine on a plugin or data plane that it does not support cannot be relied on, and nobody is told.

    Severity: network policies stand in the cluster and may not bind; Azure refuses most such pairs when a cluster is
    made, so it takes an old cluster or a half-made change to have one.
    Decided: with kubenet the engine is Calico or none, and there are no Windows pools. With Azure CNI the engine Cilium
    and the data plane Cilium go together, neither without the other; Azure Network Policy Manager and Calico both fit
    the Azure data plane, in overlay too; and Windows pools need the Azure data plane. `networkPolicy: none` fits
    everything. No policy named: not applicable unless a Windows pool already does not fit. A data plane or operating
    system that decides and is absent is unknown. Bring-your-own CNI is not applicable.
    Fix: az aks update --resource-group {group} --name {name} --network-dataplane cilium
    Bicep: properties.networkProfile: networkPlugin 'azure', networkDataplane 'cilium', networkPolicy 'cilium'
    Change: replaces nodes; all pools are reimaged at once; move kubenet to Azure CNI Overlay first, and Windows pools to a cluster of their own
    References: https://learn.microsoft.com/azure/aks/use-network-policies
        https://learn.microsoft.com/azure/aks/azure-cni-powered-by-cilium
        https://learn.microsoft.com/azure/aks/configure-kubenet
    """
    if network_plugin_of(cluster) is NetworkPlugin.NONE:
        evidence = cluster.at(ManagedCluster.network_plugin)
        return not_applicable("The cluster's own CNI plugin brings its policy engine and data plane", evidence)
    return every((_policy_fits, _pools_fit), lambda fit: fit(cluster))


def _policy_fits(cluster: ManagedCluster) -> Verdict:
    """Whether the policy engine fits the plugin and the data plane."""
    policy, dataplane = cluster.network_policy, cluster.network_dataplane
    evidence = _plugin_evidence(cluster)
    match policy:
        case None:
            return not_applicable("No policy engine is named", *evidence)
        case NetworkPolicy.NONE:
            return passes("No policy engine is installed", *evidence)
        case NetworkPolicy.CALICO | NetworkPolicy.AZURE | NetworkPolicy.CILIUM:
            pass
        case other:
            assert_never(other)
    if network_plugin_of(cluster) is NetworkPlugin.KUBENET:
        judge = passes if policy is NetworkPolicy.CALICO else fails
        return judge(f"The policy engine {policy} is on kubenet, which supports Calico alone", *evidence)
    if dataplane is None:
        return undecided(_OLD_BODY, *evidence)
    fit = (policy is NetworkPolicy.CILIUM) is (dataplane is NetworkDataplane.CILIUM)
    return (passes if fit else fails)(f"The policy engine {policy} is on the data plane {dataplane}", *evidence)


def _pools_fit(cluster: ManagedCluster) -> Verdict:
    """Whether the plugin and the data plane serve the operating system of every pool."""

    def judge(pool: AgentPool) -> Verdict:
        evidence = (pool.at(AgentPool.os_type), *_plugin_evidence(cluster))
        match pool.os_type:
            case None:
                return undecided(f"The body does not name the operating system of pool {pool.name}", *evidence)
            case OSType.LINUX:
                return passes("The network plugin serves Linux nodes", *evidence)
            case OSType.WINDOWS:
                return _windows_fits(cluster, pool, evidence)
            case other:
                assert_never(other)

    return each(cluster.pools, judge)


def _windows_fits(cluster: ManagedCluster, pool: AgentPool, evidence: tuple[Evidence, ...]) -> Verdict:
    if cluster.network_plugin is NetworkPlugin.KUBENET:
        return fails(f"Pool {pool.name} runs Windows, which kubenet does not serve", *evidence)
    match cluster.network_dataplane:
        case None:
            return undecided(_OLD_BODY, *evidence)
        case NetworkDataplane.CILIUM:
            return fails(f"Pool {pool.name} runs Windows, which the Cilium data plane does not serve", *evidence)
        case NetworkDataplane.AZURE:
            return passes("The Azure data plane serves Windows nodes", *evidence)
        case other:
            assert_never(other)


def _plugin_evidence(cluster: ManagedCluster) -> tuple[Evidence, ...]:
    fields = (ManagedCluster.network_plugin, ManagedCluster.network_policy, ManagedCluster.network_dataplane)
    return tuple(cluster.at(field) for field in fields)


@rule("AKS-SUB-32", title="Service and pod CIDRs are private and not reserved", severity=Severity.MEDIUM)
def cidrs_private(cluster: ManagedCluster) -> Verdict:
    """A cluster that uses public addresses for itself cannot reach their owners: what pods send there stays inside.

    172.10.0.0/16, a default that people copy, looks private and is not. Four more ranges, two of them private, are ruled
    out by AKS: a cluster that overlaps with one is not supported.

    Severity: a service that the cluster depends on is unreachable as soon as it stands at such an address, out of
    Microsoft's support, and the mend is a new cluster.
    Decided: every range of `serviceCidrs` and `serviceCidr`, `podCidrs` and `podCidr` lies in 10.0.0.0/8, 172.16.0.0/12,
    192.168.0.0/16 (RFC 1918), 100.64.0.0/10 (RFC 6598) or fc00::/7 (RFC 4193), and touches none of 169.254.0.0/16,
    172.30.0.0/16, 172.31.0.0/16, 192.0.2.0/24, so that all of 172.16.0.0/12 fails too. No pod CIDR is as it should be
    where pods live in subnets (Azure CNI without overlay), and unknown with overlay, kubenet and a CNI of your own. A
    dual-stack cluster (`ipFamilies`) whose body names no IPv6 range is unknown. The ranges of ServiceCIDR objects in the
    cluster are asked about, too, where they were read.
    Fix: az aks create --resource-group {group} --name NEWCLUSTER --service-cidr 10.0.0.0/16 --dns-service-ip 10.0.0.10 --pod-cidr 10.244.0.0/16
    Bicep: properties.networkProfile: serviceCidr '10.0.0.0/16', dnsServiceIP '10.0.0.10', podCidr '10.244.0.0/16'
    Change: new cluster; these ranges cannot be changed (a pod CIDR can, once, when the cluster moves to Azure CNI Overlay)
    References: https://learn.microsoft.com/azure/aks/azure-cni-overlay
        https://learn.microsoft.com/azure/aks/configure-kubenet
    """
    return each((_service_cidrs_private, _pod_cidrs_private), lambda judge: judge(cluster))


def _service_cidrs_private(cluster: ManagedCluster) -> Verdict:
    evidence = (cluster.at(ManagedCluster.service_cidrs), cluster.at(ManagedCluster.service_cidr))
    networks = _service_networks(cluster)
    if not networks:
        return undecided("The body names no service CIDR", *evidence)
    inside = [one for one in cluster.estate.within(ServiceCIDR, cluster.id) if set(one.cidrs or ()) - set(networks)]
    shown = (*evidence, *(one.at(ServiceCIDR.cidrs) for one in inside))
    further = (cidr for one in inside for cidr in one.cidrs or ())
    return _private(cluster, "service", tuple(dict.fromkeys((*networks, *further))), shown)


def _pod_cidrs_private(cluster: ManagedCluster) -> Verdict:
    evidence = (cluster.at(ManagedCluster.pod_cidrs), cluster.at(ManagedCluster.pod_cidr))
    networks = _union(cluster.pod_cidrs, cluster.pod_cidr)
    if networks:
        return _private(cluster, "pod", networks, evidence)
    if _pods_in_subnets(cluster):
        return not_applicable("Pods have addresses of the virtual network", *evidence)
    return undecided("The body names no pod CIDR", *evidence)


def _pods_in_subnets(cluster: ManagedCluster) -> bool:
    """Whether it is certain that pods live in subnets of the virtual network; older api-versions leave that open."""
    plugin = network_plugin_of(cluster)
    return plugin is NetworkPlugin.AZURE and not cluster.network_plugin_mode and cluster.network_dataplane is not None


def _private(
    cluster: ManagedCluster, kind: str, networks: tuple[Network, ...], evidence: tuple[Evidence, ...]
) -> Verdict:
    for network in networks:
        if taken := next((reserved for reserved in _RESERVED if reserved.overlaps(network)), None):
            return fails(f"The {kind} CIDR {network} overlaps with {taken}, which AKS reserves", *evidence)
        if not PRIVATE.covers(AddressSet.of([network])):
            return fails(f"The {kind} CIDR {network} is not private address space", *evidence)
    dual = "ipv6" in {family.lower() for family in cluster.ip_families or ()}
    if dual and all(isinstance(network, IPv4Network) for network in networks):
        return undecided(f"The cluster is dual-stack, and the body names no IPv6 {kind} CIDR", *evidence)
    return passes(f"The {kind} CIDR {', '.join(map(str, networks))} is private", *evidence)


@rule(
    "AKS-KN-01",
    title="A network policy engine is installed",
    severity=Severity.HIGH,
    controls=(
        mcsb("NS-1"),
        review_checklist("58d7c892-ddb1-407d-9769-ae669ca48e4a"),
        the_aks_checklist("0751f099-e6f4-4250-b405-d2b26c707432"),
        kubebuddy("AKSNET002"),
        psrule("Azure.AKS.NetworkPolicy"),
        checkov("CKV_AZURE_7"),
        prowler("aks_network_policy_enabled"),
    ),
)
def network_policy_engine(cluster: ManagedCluster) -> Verdict:
    """Without an engine the cluster accepts every NetworkPolicy and enforces none: each pod reaches all others.

    Severity: whoever takes one pod can go on to every other pod and service of the cluster, while the policies that
    should stop it look as if they were in force.
    Decided: `networkProfile.networkPolicy`, compared without case: `cilium`, `calico` and `azure` pass; `none` fails,
    and so does absent, for which Azure documents none as the default. With bring-your-own CNI (`networkPlugin: none`)
    it is not applicable: AKS installs no engine there, and whether that plugin brings one stands in no Azure body.
    Whether there are policies, and whether they cover what they should, is for other rules.
    Fix: az aks update --resource-group {group} --name {name} --network-dataplane cilium
    Bicep: properties.networkProfile: networkDataplane 'cilium', networkPolicy 'cilium'
    Change: replaces nodes; all pools are reimaged at once; from kubenet move to Azure CNI Overlay first; with Windows pools install Calico (--network-policy calico)
    References: https://learn.microsoft.com/azure/aks/use-network-policies
        https://learn.microsoft.com/azure/aks/azure-cni-powered-by-cilium
        https://learn.microsoft.com/azure/aks/use-byo-cni
    """
    evidence = (cluster.at(ManagedCluster.network_policy), cluster.at(ManagedCluster.network_plugin))
    if network_plugin_of(cluster) is NetworkPlugin.NONE:
        return not_applicable(
            "The cluster brings its own CNI plugin, which may bring a policy engine or not", *evidence
        )
    match cluster.network_policy:
        case NetworkPolicy.CILIUM | NetworkPolicy.CALICO | NetworkPolicy.AZURE:
            return passes(f"The network policy engine is {cluster.network_policy}", *evidence)
        case NetworkPolicy.NONE | None:
            return fails("No network policy engine is installed", *evidence)
        case other:
            assert_never(other)


RULES = (
    no_node_public_ip,
    dns_service_ip_usable,
    pods_off_the_node_subnet,
    azure_cni,
    own_virtual_network,
    network_plugin_fits,
    cidrs_private,
    network_policy_engine,
)
