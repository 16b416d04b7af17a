"""Whether the addresses suffice and are one's own, and what subnets of clusters let past their routes."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import assert_never

from aks_audit.facts import (
    AgentPool,
    AgentPoolMode,
    ClusterSubnet,
    Estate,
    Evidence,
    FrontendIPConfiguration,
    LoadBalancer,
    LoadBalancingRule,
    Malformed,
    ManagedCluster,
    Network,
    NetworkPlugin,
    NetworkPolicy,
    PodIPAllocationMode,
    RouteNextHopType,
    Subnet,
    Unread,
    VirtualNetwork,
)
from aks_audit.facts.enumerations import DdosProtectionMode
from aks_audit.facts.networking import PrivateEndpoint, PublicIPAddress
from aks_audit.facts.resource_id import parse
from aks_audit.facts.services import ServiceCIDR
from aks_audit.network.capacity import (
    BATCH,
    all_is_known,
    nodes,
    nodes_of_pod_cidr,
    on_subnet,
    pods_per_node,
    smallest_prefix,
    usable,
)
from aks_audit.network.neighbours import Neighbour, gateways, neighbours, virtual_networks
from aks_audit.network.routes import internet_routes
from aks_audit.results import Missing, Severity, Verdict
from aks_audit.rule import each, each_of_all, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import (
    aks_health_check,
    aprl,
    azure_policy,
    checkov,
    prowler,
    psrule,
    review_checklist,
    the_aks_checklist,
)
from aks_audit_rules.live_nodes import pods_outside

CONTAINERD = (1, 19)
FEWEST_PODS = 30
MOST_PODS = 250


@rule(
    "AKS-SUB-10",
    title="The subnet holds the clusters at full scale, during an upgrade",
    severity=Severity.HIGH,
    controls=(
        review_checklist("7faf12e7-0943-4f63-8472-2da29c2b1cd6"),
        the_aks_checklist("7faf12e7-0943-4f63-8472-2da29c2b1cd6"),
        aprl("e620fa98-7a40-41a0-bfc9-b4407297fb58"),
        psrule("Azure.AKS.CNISubnetSize"),
        aks_health_check("NET-2"),
    ),
)
def large_enough(subnet: ClusterSubnet) -> Verdict:
    """A subnet without free addresses stops scaling and upgrades on the day of the greatest load, and cannot be mended then.

    A subnet cannot be made larger while something is in it, so the way out is a new subnet and new node pools.

    Severity: pods stay pending and security patches cannot be rolled out, for all clusters on the subnet at once.
    Decided: needed is, for every pool on the subnet, its `maxCount` where the autoscaler is on (else `count`) and its
    maximum surge: one address a node; with Azure CNI and neither overlay nor pod subnet `maxPods` more for each; and the
    front ends of internal load balancers, private endpoints and everything else that Azure lists in the subnet. In a
    subnet of pods a node takes `maxPods` addresses at most and 16 at least with dynamic allocation, and as many blocks
    of 16 as hold `maxPods` and one more with static blocks. For an API server AKS keeps 9. Usable is the size of the
    IPv4 prefixes less the 5 addresses that Azure keeps of each. It fails where even the least does not fit, passes where
    the most does, and is unknown between: the doubt is then named (how many pods there will be, a surge that is not
    stated, node auto-provisioning). The example of Microsoft's
    AKS security summit counts 24 + 14 * 30 as 442 addresses, and it is 444.
    Fix: az network vnet subnet create --resource-group {group} --vnet-name {vnet} --name <larger-subnet> --address-prefixes <prefix>
        az aks nodepool add --resource-group <cluster-group> --cluster-name <cluster> --name <new-pool> --vnet-subnet-id <larger-subnet-id>
    Bicep: properties.agentPoolProfiles[].vnetSubnetID: the id of a larger subnet, or properties.agentPoolProfiles[].maxCount lower
    Change: new node pools in a new subnet, or in place with a smaller maximum; with Azure CNI's node subnet a move to overlay frees nearly all
    References: https://learn.microsoft.com/azure/aks/concepts-network-ip-address-planning
        https://learn.microsoft.com/azure/aks/configure-azure-cni-dynamic-ip-allocation
        https://learn.microsoft.com/azure/aks/configure-azure-cni-static-block-allocation
        https://learn.microsoft.com/azure/aks/api-server-vnet-integration
    """
    if not subnet.prefixes:
        raise Malformed(subnet.document.id, subnet.at(Subnet.address_prefix).pointer, "a subnet without its prefix")
    room, needed = usable(subnet.prefixes), on_subnet(subnet)
    prefixes = (subnet.at(Subnet.address_prefixes), subnet.at(Subnet.address_prefix))
    evidence = (*(item for item in prefixes if item.value is not None), *needed.evidence)
    if needed.least > room:
        enough = f"a /{smallest_prefix(needed.most or needed.least)} has enough"
        return fails(f"{needed.least} addresses are needed at full scale, {room} are usable; {enough}", *evidence)
    all_is_known(subnet)
    if needed.most is None or needed.most > room:
        most = "any number" if needed.most is None else needed.most
        reason = f"{needed.least} to {most} addresses are needed at full scale, {room} are usable: {needed.doubt}"
        return undecided(reason, *evidence, missing=_not_sent(subnet.id, needed.doubt))
    return passes(f"At most {needed.most} of {room} usable addresses are needed at full scale", *evidence)


@rule(
    "AKS-SUB-11",
    title="A node takes a sensible number of pods",
    severity=Severity.LOW,
    controls=(
        review_checklist("22f54b29-bade-43aa-b1e8-c38ec9366673"),
        the_aks_checklist("22f54b29-bade-43aa-b1e8-c38ec9366673"),
        psrule("Azure.AKS.NodeMinPods"),
        checkov("CKV_AZURE_168"),
    ),
)
def max_pods_fits(pool: AgentPool) -> Verdict:
    """The system's own pods take ten places and more of every node, so that a low limit leaves paid nodes half empty.

    With static blocks of addresses the limit should fill the blocks: each node gets whole blocks of 16, and keeps one
    address for itself.

    Severity: it costs nodes and addresses, and nobody gains access by it.
    Decided: `maxPods` of the pool is from 30, the least default of the network plugins, to 250, the most that AKS takes.
    Where `podIPAllocationMode` is `StaticBlock` it is 16 * N - 1 too. Absent is unknown: the default depends on the plugin.
    Pools of mode `Gateway` and `ManagedSystem` are not applicable. Whether the subnet holds that many is for AKS-SUB-10.
    Fix: az aks nodepool add --resource-group {group} --cluster-name {cluster} --name <new-pool> --max-pods 110
        az aks nodepool delete --resource-group {group} --cluster-name {cluster} --name {pool}
    Bicep: properties.agentPoolProfiles[].maxPods: 110
    Change: new node pool; the number cannot be changed on an existing one
    References: https://learn.microsoft.com/azure/aks/concepts-network-ip-address-planning
        https://learn.microsoft.com/azure/aks/configure-azure-cni-static-block-allocation
        https://learn.microsoft.com/azure/aks/quotas-skus-regions
    """
    evidence = (pool.at(AgentPool.max_pods), pool.at(AgentPool.pod_ip_allocation_mode))
    if pool.mode in {AgentPoolMode.GATEWAY, AgentPoolMode.MANAGED_SYSTEM}:
        return not_applicable("The pool runs no workloads", pool.at(AgentPool.mode))
    pods = pods_per_node(pool)
    if not FEWEST_PODS <= pods <= MOST_PODS:
        return fails(f"A node takes {pods} pods; from {FEWEST_PODS} to {MOST_PODS} are sensible", *evidence)
    if pool.pod_ip_allocation_mode is PodIPAllocationMode.STATIC_BLOCK and (pods + 1) % BATCH:
        wasted = -(pods + 1) % BATCH
        return fails(f"A node takes {pods} pods, and {wasted} addresses of its static blocks lie idle", *evidence)
    return passes(f"A node takes {pods} pods", *evidence)


@rule("AKS-SUB-12", title="The pod CIDR has a /24 for every node at full scale", severity=Severity.HIGH)
def pod_cidr_large_enough(cluster: ManagedCluster) -> Verdict:
    """With overlay and kubenet each node gets a /24 of the pod CIDR, and a node for which none is left never gets ready.

    Severity: scaling out and upgrades stop at that number of nodes on the day of the greatest load, and the pod CIDR
    cannot be made larger at once.
    Decided: over all pools, `maxCount` where the autoscaler is on, else `count`, with the maximum surge, against the
    number of /24 in the IPv4 ranges of `podCidrs` and `podCidr`. Fails where the nodes with the surge that is stated (10 %
    where none is) do not fit; unknown where only a surge that is not stated, or node auto-provisioning, may go beyond. No
    pod CIDR with overlay or kubenet is unknown, and so is a body that does not tell overlay from node subnet. Not
    applicable where pods live in subnets, and with a CNI plugin of your own. IPv6 ranges are not judged.
    Fix: az aks nodepool update --resource-group {group} --cluster-name {name} --name <pool> --update-cluster-autoscaler --min-count <n> --max-count <smaller n>
    Bicep: properties.networkProfile.podCidr: '10.244.0.0/16'
    Change: in place with fewer nodes; a larger pod CIDR can be set in place for overlay, which reimages nodes, and needs a new cluster for kubenet
    References: https://learn.microsoft.com/azure/aks/azure-cni-overlay
        https://learn.microsoft.com/azure/aks/configure-kubenet
    """
    if verdict := _no_pod_cidr(cluster):
        return verdict
    needed = nodes(cluster, cluster.pools)
    room = nodes_of_pod_cidr(_pod_cidrs(cluster))
    evidence = (*_pod_cidr_evidence(cluster), *needed.evidence)
    if needed.least > room:
        return fails(f"{needed.least} nodes at full scale, and the pod CIDR has a /24 for {room}", *evidence)
    if needed.most is None or needed.most > room:
        reason = f"{needed.least} nodes or more at full scale, and the pod CIDR has a /24 for {room}: {needed.doubt}"
        return undecided(reason, *evidence, missing=_not_sent(cluster.id, needed.doubt))
    return passes(f"At most {needed.most} nodes at full scale, and the pod CIDR has a /24 for {room}", *evidence)


def _no_pod_cidr(cluster: ManagedCluster) -> Verdict | None:
    """The answer of rules about the pod CIDR where there is none to judge; None where there is one."""
    plugin, mode = cluster.at(ManagedCluster.network_plugin), cluster.at(ManagedCluster.network_plugin_mode)
    if cluster.network_plugin is None:
        return undecided("The body does not name the network plugin", plugin)
    if cluster.network_plugin is NetworkPlugin.NONE:
        return not_applicable("The cluster's own CNI plugin gives pods their addresses", plugin)
    if not _has_pod_cidr(cluster) and cluster.network_dataplane is None:
        return undecided("The body was read with an API version that does not tell overlay from node subnet", mode)
    if not _has_pod_cidr(cluster):
        return not_applicable("Pods have addresses of the virtual network", plugin, mode)
    if not _pod_cidrs(cluster):
        return undecided("The body names no pod CIDR", *_pod_cidr_evidence(cluster))
    return None


def _has_pod_cidr(cluster: ManagedCluster) -> bool:
    return cluster.network_plugin is NetworkPlugin.KUBENET or cluster.network_plugin_mode is not None


def _pod_cidrs(cluster: ManagedCluster) -> tuple[Network, ...]:
    return _both(cluster.pod_cidrs, cluster.pod_cidr)


def _both(several: Iterable[Network] | None, one: Network | None) -> tuple[Network, ...]:
    """The plural form of a field and its older singular, which names the first of them."""
    return tuple(dict.fromkeys([*(several or ()), *([one] if one else [])]))


def _pod_cidr_evidence(cluster: ManagedCluster) -> tuple[Evidence, ...]:
    return cluster.at(ManagedCluster.pod_cidrs), cluster.at(ManagedCluster.pod_cidr)


@rule(
    "AKS-SUB-14",
    title="The service CIDR overlaps no connected network",
    severity=Severity.HIGH,
    controls=(the_aks_checklist("22fbe8d6-9b40-47ef-9011-25bb1a555a6c"),),
)
def service_cidr_apart(cluster: ManagedCluster) -> Verdict:
    """An address that is in the service CIDR never leaves the node, so a server elsewhere that has it cannot be reached.

    Severity: pods cannot reach part of a network that they are connected to, which looks like a broken firewall, and
    only a new cluster mends it.
    Decided: every range of `serviceCidrs` and `serviceCidr` against the address space of the cluster's virtual networks,
    of their peers that are not disconnected (both `remoteAddressSpace` and `remoteVirtualNetworkAddressSpace`), the
    prefixes of routes of its subnets to an appliance or a gateway, and the pod CIDRs. A route for a whole private block
    (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10) or more says where everything goes, and names no network.
    Without an overlap it is unknown where a gateway or a route server gives learned routes to the cluster's subnets: what
    it learned stands in no resource. No pod CIDR with overlay and kubenet is unknown too. The ranges of ServiceCIDR objects
    in the cluster, by which Kubernetes 1.33 and newer takes more, are asked about, too, where they were read, and the
    answer is unknown where they were asked for and not all read.
    Fix: az aks create --resource-group {group} --name NEWCLUSTER --service-cidr <free range> --dns-service-ip <address in it>
    Bicep: properties.networkProfile.serviceCidr: a range that no connected network uses
    Change: new cluster; the service CIDR cannot be changed. A further range goes with its ServiceCIDR object
    References: https://learn.microsoft.com/azure/aks/concepts-network-ip-address-planning
        https://learn.microsoft.com/azure/aks/azure-cni-overlay
        https://learn.microsoft.com/azure/aks/configure-kubenet
    """
    evidence = (cluster.at(ManagedCluster.service_cidrs), cluster.at(ManagedCluster.service_cidr))
    ranges = _both(cluster.service_cidrs, cluster.service_cidr)
    if not ranges:
        return undecided("The body names no service CIDR", *evidence)
    pods = _pod_cidrs(cluster)
    if not pods and _has_pod_cidr(cluster):
        return undecided("The body names no pod CIDR", *_pod_cidr_evidence(cluster))
    beside = [Neighbour("the pod CIDR", pods, cluster.at(ManagedCluster.pod_cidr))] if pods else []
    further = cluster.estate.within(ServiceCIDR, cluster.id)
    inside = dict.fromkeys((*ranges, *(cidr for one in further for cidr in one.cidrs or ())))
    shown = (one.at(ServiceCIDR.cidrs) for one in further)
    verdict = _apart(cluster, "service", tuple(inside), (*evidence, *shown), beside)
    if missing := cluster.estate.unlisted(ServiceCIDR, cluster.id):
        return each((verdict, undecided(missing[0].reason, missing=missing)), lambda one: one)
    return verdict


@rule(
    "AKS-SUB-15",
    title="The pod CIDR overlaps no connected network",
    severity=Severity.HIGH,
    controls=(the_aks_checklist("22fbe8d6-9b40-47ef-9011-25bb1a555a6c"),),
)
def pod_cidr_apart(cluster: ManagedCluster) -> Verdict:
    """A pod takes an address of the pod CIDR for another pod, so a server elsewhere that has it cannot be reached.

    Other clusters may use the same range: what leaves a cluster has the address of its node.

    Severity: pods cannot reach part of a network that they are connected to, which looks like a broken firewall.
    Decided: with overlay and kubenet, every range of `podCidrs` and `podCidr` against the same networks as AKS-SUB-14:
    the cluster's virtual networks, their peers, and the routes of its subnets but for those that kubenet itself makes (whose
    next hop is in the subnet). Unknown too where a gateway gives learned routes to the cluster's subnets, where the body
    names no pod CIDR, or does not tell overlay from node subnet. It fails, too, where a node that was read gives its pods
    addresses (`spec.podCIDRs`) outside these ranges, about which all of this says nothing. Not applicable where pods have
    addresses of the virtual network, and with a CNI plugin of your own.
    Fix: az aks create --resource-group {group} --name NEWCLUSTER --network-plugin azure --network-plugin-mode overlay --pod-cidr <free range>
    Bicep: properties.networkProfile.podCidr: a range that no connected network uses
    Change: new cluster; a pod CIDR is chosen when the cluster is made, or when it moves to Azure CNI Overlay
    References: https://learn.microsoft.com/azure/aks/concepts-network-ip-address-planning
        https://learn.microsoft.com/azure/aks/azure-cni-overlay
        https://learn.microsoft.com/azure/aks/configure-kubenet
    """
    if verdict := _no_pod_cidr(cluster):
        return verdict
    ranges = _pod_cidrs(cluster)
    overlap = partial(_apart, kind="pod", ranges=ranges, evidence=_pod_cidr_evidence(cluster), beside=())
    return each((overlap, partial(pods_outside, ranges=ranges)), lambda judge: judge(cluster))


def _apart(
    cluster: ManagedCluster,
    kind: str,
    ranges: tuple[Network, ...],
    evidence: tuple[Evidence, ...],
    beside: Iterable[Neighbour],
) -> Verdict:
    """Whether ranges of a cluster meet no network in its reach; where they do not, one of each list stands for all."""
    known = (*beside, *neighbours(cluster, ranges))
    for own in ranges:
        for neighbour in known:
            if met := neighbour.meets(own):
                message = f"The {kind} CIDR {own} overlaps with {met}, {neighbour.what}"
                return fails(message, *evidence, neighbour.evidence)
    if learned := tuple(gateways(cluster)):
        names = ", ".join(dict.fromkeys(name for name, _ in learned))
        reason = f"what {names} learned from other networks stands in no resource"
        shown = (*evidence, *(e for _, e in learned))
        return undecided(f"No known network overlaps, but {reason}", *shown, missing=_not_sent(cluster.id, reason))
    near = (neighbour.evidence for neighbour in reversed(known))
    spread = {(item.resource, *item.pointer.split("/")[:3]): item for item in near}.values()
    return passes(f"The {kind} CIDR {', '.join(map(str, ranges))} overlaps no connected network", *evidence, *spread)


def _not_sent(resource_id: str, reason: str) -> list[Missing]:
    return [Missing(resource_id, "not-sent", reason)]


@rule("AKS-SUB-17", title="The Docker bridge overlaps no connected network", severity=Severity.INFO)
def docker_bridge_apart(cluster: ManagedCluster) -> Verdict:
    """Nodes with Docker had a bridge of their own on every node, and could not reach whoever has an address of it.

    Since Kubernetes 1.19 nodes run containerd and have no such bridge; older guides still ask for its range.

    Severity: it concerns Kubernetes versions without support alone.
    Decided: where the body names `networkProfile.dockerBridgeCidr` and `currentKubernetesVersion` is older than 1.19, that
    range against the networks of AKS-SUB-14. Not applicable from 1.19 on, and where no such range is named, as in bodies
    of today's API versions. A version that is absent or not to be read is unknown.
    Fix: az aks upgrade --resource-group {group} --name {name} --kubernetes-version <supported version>
    Bicep: properties.kubernetesVersion: a supported version; properties.networkProfile.dockerBridgeCidr is gone
    Change: replaces nodes, one after another
    References: https://learn.microsoft.com/azure/aks/supported-kubernetes-versions
        https://learn.microsoft.com/azure/aks/cluster-configuration
    """
    bridge, version = (
        cluster.at(ManagedCluster.docker_bridge_cidr),
        cluster.at(ManagedCluster.current_kubernetes_version),
    )
    if cluster.docker_bridge_cidr is None:
        return not_applicable("The body names no Docker bridge: nodes run containerd", bridge)
    found = re.match(r"([0-9]{1,4})[.]([0-9]{1,4})(?:[.]|$)", cluster.current_kubernetes_version or "")
    if not found:
        return undecided(
            "The body does not tell the Kubernetes version, and so not whether nodes run Docker", bridge, version
        )
    if (int(found[1]), int(found[2])) >= CONTAINERD:
        return not_applicable("Nodes run containerd, and have no Docker bridge", bridge, version)
    return _apart(cluster, "Docker bridge", (cluster.docker_bridge_cidr,), (bridge, version), ())


@rule(
    "AKS-SUB-18",
    title="Agent pools are apart by subnet, or by network policy",
    severity=Severity.LOW,
    controls=(
        review_checklist("22fbe8d6-9b40-47ef-9011-25bb1a555a6b"),
        the_aks_checklist("22fbe8d6-9b40-47ef-9011-25bb1a555a6b"),
    ),
)
def pools_apart(cluster: ManagedCluster) -> Verdict:
    """Pools in one subnet share its security group and its routes, so that neither can hold one pool shorter than another.

    Network policies can do that by pod. Where nothing enforces them, subnets are the only way.

    Severity: without either, whoever takes one pod reaches all nodes and pods of the cluster; AKS-KN-01 judges the policies.
    Decided: no two pools have the same `vnetSubnetID`, compared without case; pools without one share the subnet that AKS
    made. Pools of mode `ManagedSystem` and `Gateway` do not count, and with fewer than two pools it is not applicable. Pools
    that share a subnet fail where `networkPolicy` is `none` or absent (which means none), and are not applicable where a
    policy engine is installed, or a CNI plugin of your own may bring one.
    Fix: az aks nodepool add --resource-group {group} --cluster-name {name} --name <new-pool> --vnet-subnet-id <subnet of its own>
    Bicep: properties.agentPoolProfiles[].vnetSubnetID: the id of a subnet for each pool
    Change: new node pools; a pool's subnet cannot be changed
    References: https://learn.microsoft.com/azure/aks/node-pool-unique-subnet
        https://learn.microsoft.com/azure/aks/use-network-policies
    """
    pools = [pool for pool in cluster.pools if pool.mode not in {AgentPoolMode.GATEWAY, AgentPoolMode.MANAGED_SYSTEM}]
    if len(pools) < 2:  # noqa: PLR2004 - one pool is apart from no other
        return not_applicable("There are no two pools to keep apart")
    evidence = [pool.at(AgentPool.node_subnet) for pool in pools]
    subnets = [_home(pool) for pool in pools]
    if len(set(subnets)) == len(subnets) and "" not in subnets:
        return passes("Every pool has a subnet of its own", *evidence)
    engine = cluster.at(ManagedCluster.network_policy)
    if cluster.network_plugin is NetworkPlugin.NONE:
        return not_applicable(
            "The cluster's own CNI plugin may keep pods apart", cluster.at(ManagedCluster.network_plugin)
        )
    if cluster.network_policy in {NetworkPolicy.NONE, None}:
        shared = [pool.name for pool in pools if subnets.count(_home(pool)) > 1]
        return fails(f"Pools {', '.join(shared)} share a subnet, and no policy engine is installed", *evidence, engine)
    return not_applicable("Pools share a subnet, and network policies can keep pods apart", *evidence, engine)


def _home(pool: AgentPool) -> str:
    """The subnet of a pool's nodes, by its lower-case id; "" for the one that AKS made."""
    return pool.node_subnet.id.lower() if pool.node_subnet else ""


@rule(
    "AKS-SUB-21",
    title="The network plugin is one that AKS supports",
    severity=Severity.INFO,
    controls=(
        review_checklist("57bf217f-6dc8-481c-81e2-785773e9c00f"),
        the_aks_checklist("57bf217f-6dc8-481c-81e2-785773e9c00f"),
    ),
)
def supported_plugin(cluster: ManagedCluster) -> Verdict:
    """Whoever brings a CNI plugin of their own also brings its support: AKS helps with nothing that the plugin does.

    Severity: a known and allowed choice; it should be one that somebody made, with a contract for support.
    Decided: `networkProfile.networkPlugin`, compared without case: `none` fails, `azure` and `kubenet` pass. Azure always
    sends it, so absent is unknown. AKS-SUB-20 tells how long kubenet has.
    Fix: az aks create --resource-group {group} --name NEWCLUSTER --network-plugin azure --network-plugin-mode overlay
    Bicep: properties.networkProfile: networkPlugin 'azure', networkPluginMode 'overlay'
    Change: new cluster; or accept it, with the name of who supports the plugin
    References: https://learn.microsoft.com/azure/aks/use-byo-cni
    """
    evidence = cluster.at(ManagedCluster.network_plugin)
    if cluster.network_plugin is None:
        return undecided("The body does not name the network plugin", evidence)
    if cluster.network_plugin is NetworkPlugin.NONE:
        return fails("The cluster brings a CNI plugin of its own, which AKS does not support", evidence)
    return passes(f"The network plugin is {cluster.network_plugin}", evidence)


@rule("AKS-SUB-24", title="Private endpoints have a subnet of their own", severity=Severity.LOW)
def private_endpoints_apart(subnet: ClusterSubnet) -> Verdict:
    """A private endpoint among nodes or pods takes their addresses, and lies under rules that are made for them.

    Network policies and security groups that let nodes talk to each other then let everything talk to the endpoint too.

    Severity: it opens nothing by itself, and makes what should be two sets of rules into one.
    Decided: private endpoints whose subnet is one of nodes or pods, by their own bodies and by the subnet's list, fail, but
    for those in a cluster's node resource group: AKS itself puts the API server's into the nodes' subnet. It passes where
    the network's private endpoints are all in other subnets, and is not applicable where no other private endpoint of
    the network is known. An endpoint that does not name its subnet, and a list of endpoints that was not read, are unknown.
    Fix: az network private-endpoint create --resource-group <group> --name <name> --vnet-name {vnet} --subnet <subnet-for-endpoints> --private-connection-resource-id <id> --connection-name <name>
    Bicep: Microsoft.Network/privateEndpoints properties.subnet.id: a subnet for private endpoints
    Change: in place, by a new private endpoint and its DNS record; then delete the old one
    References: https://learn.microsoft.com/azure/private-link/private-endpoint-overview
        https://learn.microsoft.com/azure/architecture/reference-architectures/containers/aks/baseline-aks
    """
    listed = subnet.at(Subnet.private_endpoints)
    if not any(use.kind != "api-server" for use in subnet.uses):
        return not_applicable("The subnet holds no nodes and no pods", listed)
    own = {_group_of(subnet.estate.resource(ManagedCluster, cluster).node_group_id) for cluster in subnet.clusters}
    made_by_aks = own | subnet.estate.indexed(_node_groups)
    placed = subnet.estate.indexed(_endpoints_by_network)
    known = [one for one in placed.get(subnet.virtual_network_id.lower(), ()) if _group_of(one.id) not in made_by_aks]
    here = [one for one in known if one.subnet and one.subnet.id.lower() == subnet.id.lower()]
    ids = [*(link.id for link in subnet.private_endpoints or ()), *(one.id for one in here)]
    if names := sorted({parse(one).name for one in ids if _group_of(one) not in made_by_aks}, key=str.lower):
        evidence = (one.at(PrivateEndpoint.subnet) for one in here)
        return fails(f"Among nodes or pods there are private endpoints: {', '.join(names)}", listed, *evidence)
    if lost := placed.get("", ()):
        return undecided(f"{lost[0].name} does not name its subnet", *(one.at(PrivateEndpoint.subnet) for one in lost))
    subnet.estate.within(PrivateEndpoint, f"/subscriptions/{subnet.parsed.subscription}").whole()
    if not known:
        return not_applicable("No private endpoint of the network is known but AKS's own", listed)
    evidence = (one.at(PrivateEndpoint.subnet) for one in known)
    return passes("The network's private endpoints are in other subnets", listed, *evidence)


def _group_of(resource_id: str) -> str:
    """The resource group of a resource, as `_node_groups` has it."""
    own = parse(resource_id)
    return f"{own.subscription}/{own.group}".lower()


def _node_groups(estate: Estate) -> frozenset[str]:
    """The node resource groups of all clusters, of those whose bodies name them."""
    found: set[str] = set()
    for cluster in estate.every(ManagedCluster):
        with suppress(Unread):
            found.add(_group_of(cluster.node_group_id))
    return frozenset(found)


def _endpoints_by_network(estate: Estate) -> dict[str, tuple[PrivateEndpoint, ...]]:
    """All private endpoints by the id of their network in lower case; those that name no subnet by an empty text."""
    found: dict[str, list[PrivateEndpoint]] = {}
    for endpoint in estate.every(PrivateEndpoint):
        try:
            network = parse(endpoint.subnet.id).parent.lower() if endpoint.subnet else ""
        except Unread:
            network = ""
        found.setdefault(network, []).append(endpoint)
    return {network: tuple(endpoints) for network, endpoints in found.items()}


@rule(
    "AKS-SUB-25",
    title="Public addresses that let traffic in have DDoS protection",
    severity=Severity.MEDIUM,
    controls=(
        review_checklist("9bda4776-8f24-4c11-9775-c2ea55b46a94"),
        azure_policy("94de2ad3-e0c1-4caf-ad78-5d47bbc83d3d"),
        prowler("network_vnet_ddos_protection_enabled"),
    ),
)
def ddos_protection(cluster: ManagedCluster) -> Verdict:
    """Azure's own protection defends the platform, at a level that a single application does not survive.

    Severity: whoever pays for a flood takes the applications off the internet for its length; nothing is disclosed.
    Decided: for each public front end of the cluster's load balancers that a load balancing rule uses, the address's
    `ddosSettings.protectionMode`: `Enabled` passes, `Disabled` fails, and `VirtualNetworkInherited` is what
    `enableDdosProtection` of the cluster's virtual networks says: true passes, false fails. A front end with a prefix
    inherits too. Absent is unknown: older API versions send neither. A front end for outbound rules alone lets nothing in; a cluster
    without a public front end that does is not applicable. Application gateways and other ways in are not judged here.
    Fix: az network public-ip update --ids <public-ip-id> --ddos-protection-mode Enabled
    Bicep: Microsoft.Network/publicIPAddresses properties.ddosSettings.protectionMode: 'Enabled', or virtualNetworks properties.enableDdosProtection: true
    Change: in place; a DDoS network protection plan serves all virtual networks of a tenant
    References: https://learn.microsoft.com/azure/ddos-protection/ddos-protection-sku-comparison
        https://learn.microsoft.com/azure/aks/operator-best-practices-network
    """
    return each_of_all(cluster.node_load_balancers, lambda balancer: _protected(cluster, balancer))


def _protected(cluster: ManagedCluster, balancer: LoadBalancer) -> Verdict:
    fronts = list(_public_ways_in(balancer))
    if not fronts:
        return not_applicable("No public front end lets traffic in", balancer.at(LoadBalancer.load_balancing_rules))
    return each(fronts, lambda front: _front_protected(cluster, front))


def _public_ways_in(balancer: LoadBalancer) -> Iterator[FrontendIPConfiguration]:
    used = {rule.frontend.id.lower() for rule in _rules(balancer) if rule.frontend}
    for front in balancer.frontends or ():
        if front.id.lower() in used and (front.public_ip_address or front.public_ip_prefix):
            yield front


def _rules(balancer: LoadBalancer) -> Iterable[LoadBalancingRule]:
    return balancer.load_balancing_rules or ()


def _front_protected(cluster: ManagedCluster, front: FrontendIPConfiguration) -> Verdict:
    link = front.public_ip_address
    if link is None:
        return each(virtual_networks(cluster), lambda network: _network_protected(front, network))
    address = cluster.estate.resource(PublicIPAddress, link.id)
    evidence = address.at(PublicIPAddress.ddos_protection_mode)
    match address.ddos_protection_mode:
        case DdosProtectionMode.ENABLED:
            return passes("Every public address that lets traffic in is protected", evidence)
        case DdosProtectionMode.DISABLED:
            return fails(f"DDoS protection of {address.name} is off", evidence)
        case None:
            return undecided(f"{address.name} does not say how it is protected", evidence)
        case DdosProtectionMode.VIRTUAL_NETWORK_INHERITED:
            return each(virtual_networks(cluster), lambda network: _network_protected(front, network, evidence))
        case other:
            assert_never(other)


def _network_protected(front: FrontendIPConfiguration, network: VirtualNetwork, *of_address: Evidence) -> Verdict:
    evidence = (*of_address, network.at(VirtualNetwork.ddos_protection))
    if network.ddos_protection is None:
        return undecided(f"{network.name} does not say whether it has DDoS protection", *evidence)
    if network.ddos_protection:
        return passes("Every public address that lets traffic in is protected", *evidence)
    public = front.public_ip_address or front.public_ip_prefix
    name = parse(public.id).name if public else front.name
    return fails(f"{name} inherits from {network.name}, which has no DDoS protection", *evidence)


@rule("AKS-SUB-26", title="The pod subnet is guarded and routed by itself", severity=Severity.MEDIUM)
def pod_subnet_guarded(subnet: ClusterSubnet) -> Verdict:
    """Pods in a subnet of their own are past the security group and the route table of the nodes' subnet.

    That subnet is the place where pods can be held shorter than nodes: let nodes fetch updates, and pods not.

    Severity: pods reach and are reached by what the nodes are kept from, and nobody sees it who looks at the nodes' subnet.
    Decided: a subnet that pools name as `podSubnetID` has `networkSecurityGroup`, and `routeTable` where the nodes'
    subnet of one of these pools has one. Absent fails; subnets without pods are not applicable. What group and table
    say is for AKS-SUB-05, AKS-SUB-06 and AKS-EGR-02.
    Fix: az network vnet subnet update --resource-group {group} --vnet-name {vnet} --name {subnet} --network-security-group <nsg> --route-table <route-table>
    Bicep: subnet properties.networkSecurityGroup.id, properties.routeTable.id
    Change: in place; first let the group and the table allow what the pods need
    References: https://learn.microsoft.com/azure/aks/concepts-network-azure-cni-pod-subnet
        https://learn.microsoft.com/azure/aks/configure-azure-cni-dynamic-ip-allocation
    """
    if not any(use.kind == "pod" for use in subnet.uses):
        return not_applicable("The subnet is not one for pods")
    group, table = subnet.at(Subnet.network_security_group), subnet.at(Subnet.route_table)
    if subnet.network_security_group is None:
        return fails("The pods' subnet has no network security group", group)
    if subnet.route_table is None:
        for nodes_subnet in _subnets_of_nodes(subnet):
            if nodes_subnet.route_table:
                beside = nodes_subnet.at(Subnet.route_table)
                return fails(f"{nodes_subnet.name} has a route table, and the pods' subnet has none", table, beside)
        return not_applicable("Neither nodes nor pods have a route table", table)
    return passes("The pods' subnet has a security group and a route table", group, table)


def _subnets_of_nodes(subnet: ClusterSubnet) -> Iterator[Subnet]:
    """The subnets of the nodes whose pods live in a subnet."""
    for use in subnet.uses:
        for pool in subnet.estate.resource(ManagedCluster, use.cluster).pools:
            if pool.name == use.pool and use.kind == "pod" and pool.node_subnet:
                yield pool.node_subnet.read()


@rule(
    "AKS-EGR-33",
    title="No service endpoint leads around the firewall",
    severity=Severity.MEDIUM,
)
def no_service_endpoints(subnet: ClusterSubnet) -> Verdict:
    """A service endpoint is a route of its own to a service of Azure, for the accounts of every tenant, past the firewall.

    Severity: whoever has a pod can send data to a storage account of their own, and the firewall neither stops nor logs it.
    Decided: `serviceEndpoints` of a subnet of nodes or pods whose route table sends public addresses to an appliance or a
    gateway. A service endpoint there fails, whatever its policy (AKS-EGR-34), and an empty list passes. No list, which is
    how most subnets are sent, is not applicable, and so is a subnet whose egress no appliance sees, or for the API server.
    Fix: az network vnet subnet update --resource-group {group} --vnet-name {vnet} --name {subnet} --remove serviceEndpoints
    Bicep: subnet properties.serviceEndpoints: []
    Change: in place; open connections to the service break, and it must be reached by a private endpoint or be allowed on the firewall
    References: https://learn.microsoft.com/azure/virtual-network/virtual-network-service-endpoints-overview
        https://learn.microsoft.com/azure/firewall/integrate-with-nat-gateway
    """
    evidence = subnet.at(Subnet.service_endpoints)
    if not any(use.kind != "api-server" for use in subnet.uses):
        return not_applicable("The subnet holds no nodes and no pods", evidence)
    if subnet.service_endpoints is None:
        return not_applicable("The subnet has no service endpoints", evidence)
    routes = subnet.at(Subnet.route_table)
    if subnet.route_table is None or not _through_appliance(subnet):
        return not_applicable("No appliance sees the subnet's egress", evidence, routes)
    services = [endpoint.service or "a service without a name" for endpoint in subnet.service_endpoints]
    if services:
        return fails(f"Traffic to {', '.join(services)} goes around the firewall", evidence, routes)
    return passes("The subnet has no service endpoints", evidence, routes)


_APPLIANCES = frozenset(
    {
        RouteNextHopType.VIRTUAL_APPLIANCE,
        RouteNextHopType.VIRTUAL_APPLIANCE_ECMP,
        RouteNextHopType.VIRTUAL_NETWORK_GATEWAY,
    }
)


def _through_appliance(subnet: Subnet) -> bool:
    table = subnet.route_table.read() if subnet.route_table else None
    return bool(table and _APPLIANCES & internet_routes(table).by_type.keys())


@rule("AKS-EGR-34", title="A service endpoint for storage has a policy", severity=Severity.LOW)
def service_endpoint_policy(subnet: ClusterSubnet) -> Verdict:
    """Without a policy a service endpoint leads to the storage accounts of every tenant, an attacker's among them.

    Severity: it narrows a way for data to leave that an attacker in a pod has; the way needs a foothold first.
    Decided: where `serviceEndpoints` of a subnet of nodes or pods names `Microsoft.Storage` or `Microsoft.Storage.Global`,
    compared without case, `serviceEndpointPolicies` names a policy. None, or an empty list, fails. Not applicable without
    such an endpoint: Azure has these policies for storage alone. What the policy allows is not judged.
    Fix: az network vnet subnet update --resource-group {group} --vnet-name {vnet} --name {subnet} --service-endpoint-policy <policy>
    Bicep: subnet properties.serviceEndpointPolicies: [{{ id: policy.id }}]
    Change: in place; storage accounts that the policy does not name cannot be reached from then on
    References: https://learn.microsoft.com/azure/virtual-network/virtual-network-service-endpoint-policies-overview
    """
    evidence = (subnet.at(Subnet.service_endpoints), subnet.at(Subnet.service_endpoint_policies))
    if not any(use.kind != "api-server" for use in subnet.uses):
        return not_applicable("The subnet holds no nodes and no pods", *evidence)
    if subnet.service_endpoints is None:
        return not_applicable("The subnet has no service endpoints", *evidence)
    named = [endpoint.service for endpoint in subnet.service_endpoints]
    if None in named:
        return undecided("A service endpoint does not name its service", *evidence)
    if not any((service or "").lower().startswith("microsoft.storage") for service in named):
        return not_applicable("The subnet has no service endpoint for storage", *evidence)
    if subnet.service_endpoint_policies:
        return passes("The service endpoint for storage has a policy", *evidence)
    return fails("The service endpoint for storage leads to the accounts of every tenant", *evidence)


RULES = (
    large_enough,
    max_pods_fits,
    pod_cidr_large_enough,
    service_cidr_apart,
    pod_cidr_apart,
    docker_bridge_apart,
    pools_apart,
    supported_plugin,
    private_endpoints_apart,
    ddos_protection,
    pod_subnet_guarded,
    no_service_endpoints,
    service_endpoint_policy,
)
