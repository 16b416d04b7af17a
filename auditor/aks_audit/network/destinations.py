"""Where a walk is to go: what its name stands for in the sender's network, and what no route is asked for at all."""

from ipaddress import IPv4Address
from typing import Final

from aks_audit.facts import Estate, ManagedCluster, NetworkPlugin, Unread, VirtualNetwork
from aks_audit.facts.workloads import Pod
from aks_audit.network.aliases import private_alias
from aks_audit.network.backends import is_of_services
from aks_audit.network.dns import Answer, Resolution, resolve
from aks_audit.network.flows import Address, Destination, Passage
from aks_audit.network.hops import Hop, HopKind, Steps
from aks_audit.network.origins import Origin, is_overlay
from aks_audit.network.private_endpoints import RealAddresses, api_server_addresses

PLATFORM: Final = (IPv4Address("168.63.129.16"), IPv4Address("169.254.169.254"))
"""Azure's own addresses on every host."""


def named(origin: Origin, destination: Destination) -> Steps[Destination | None]:
    """The destination as the network's DNS tells it; an address, and the internet as such, need none."""
    if destination.name is None:
        return destination
    if destination.address is not None:
        says = f"{destination.name} is {destination.address} for the nodes, whatever DNS says"
        yield Hop(HopKind.NAME, origin.cluster.id, None, says, evidence=destination.evidence)
        return destination
    network = origin.subnet.estate.resource(VirtualNetwork, origin.subnet.virtual_network_id)
    resolution = resolve(network, destination.name)
    alias = private_alias(destination.name) if resolution.answer is Answer.PUBLIC else None
    if alias and (found := _hop_of_alias(destination.name, alias, network)):
        yield found[0]
        return None if found[0].passage else destination._replace(address=min(found[1].addresses))
    private = _private_cluster(origin, destination.name) if resolution.answer is Answer.PUBLIC else None
    if private:
        real = api_server_addresses(private)
        yield _hop_of_private_cluster(private, network, destination.name, real, resolution)
        return destination._replace(address=min(real.addresses, default=None))
    way = "; ".join(step.said for step in resolution.steps).replace(destination.name, "it")
    told = _hop_of_name(destination.name, network, resolution, way)
    yield told
    if told.passage is not None:
        return None
    return destination._replace(address=min(resolution.addresses, default=None))


def _private_cluster(origin: Origin, name: str) -> ManagedCluster | None:
    """The private cluster whose API server has this public name."""
    found, unread = origin.cluster.estate.indexed(_private_clusters)
    if name not in found and unread:
        _private_name(unread)  # raises what stops the search there
    return found.get(name)


def _private_clusters(estate: Estate) -> tuple[dict[str, ManagedCluster], ManagedCluster | None]:
    """The private clusters by their public name, up to the first cluster that cannot be read, and that one."""
    found: dict[str, ManagedCluster] = {}
    for one in estate.every(ManagedCluster):
        try:
            name = _private_name(one)
        except Unread:
            return found, one
        if name:
            found.setdefault(name, one)
    return found, None


def _private_name(cluster: ManagedCluster) -> str:
    return (cluster.fqdn or "").lower() if cluster.enable_private_cluster else ""


def _hop_of_private_cluster(
    cluster: ManagedCluster, network: VirtualNetwork, name: str, real: RealAddresses, resolution: Resolution
) -> Hop:
    """Public DNS answers for the public name of a private cluster with its private address.

    Source: https://learn.microsoft.com/azure/aks/private-clusters#disable-a-public-fqdn
    """
    addresses = ", ".join(map(str, sorted(real.addresses)))
    says = f"{name} is {addresses}: in public DNS it stands for the private address of {cluster.name}'s API server"
    evidence = (cluster.at(ManagedCluster.fqdn), *real.evidence, *resolution.evidence)
    return Hop(HopKind.NAME, network.id, None, says, evidence=evidence)


def _hop_of_alias(name: str, alias: str, network: VirtualNetwork) -> tuple[Hop, Resolution] | None:
    """What the alias for private endpoints leads to; None where no private zone answers for it.

    Public DNS gives it to services with a private endpoint alone; a record in a private zone says that there is one.
    """
    resolution = resolve(network, alias)
    way = "; ".join(step.said for step in resolution.steps).replace(alias, "that")
    if resolution.answer is Answer.PUBLIC:
        return None
    if resolution.answer is Answer.ADDRESSES:
        addresses = ", ".join(map(str, sorted(resolution.addresses)))
        says = f"{name} is {addresses}: in public DNS it is another name for {alias}; {way}"
        return Hop(HopKind.NAME, network.id, None, says, "", resolution.evidence), resolution
    says = f"If {name} has a private endpoint, it is another name for {alias}, which has no address here: {way}"
    return Hop(HopKind.NAME, network.id, Passage.UNKNOWN, says, "", resolution.evidence), resolution


def _hop_of_name(name: str, network: VirtualNetwork, resolution: Resolution, way: str) -> Hop:
    told: dict[Answer, tuple[str, Passage | None]] = {
        Answer.ADDRESSES: (f"{name} is {', '.join(map(str, sorted(resolution.addresses)))}", None),
        Answer.PUBLIC: (f"{name} is left to public DNS", None),
        Answer.NOTHING: (f"{name} resolves to nothing", Passage.BLOCKED),
        Answer.DIFFERENT: (f"The DNS servers of {network.name} differ about {name}", Passage.UNKNOWN),
    }
    says, passage = told[resolution.answer]
    return Hop(HopKind.NAME, network.id, passage, f"{says}: {way}" if way else says, "", resolution.evidence)


def ends_at_once(origin: Origin, destination: Destination, *, held: bool) -> Steps[bool]:
    """Whether no route is asked for a destination. What is `held` back does not get there, known or not."""
    address, cluster = destination.address, origin.cluster
    if address is None:
        return False
    own_pods = cluster.network_plugin is not NetworkPlugin.AZURE or is_overlay(cluster)
    pods = (*(cluster.pod_cidrs or ()), *([cluster.pod_cidr] if cluster.pod_cidr else ())) if own_pods else ()
    if address in PLATFORM:
        says = f"{address} is Azure's own address on every host: it is reached past all routes, which is not analysed"
    elif is_of_services(cluster, address):
        says = f"{address} is an address for Services of the cluster, and none that was read has it"
        if origin.pod is None:
            says = f"{address} is a Service of the cluster, which stands for pods: ask from one, as NAMESPACE/POD"
    elif any(address in prefix for prefix in pods):
        if (found := _pod_at(cluster, address)) is not None:
            says = f"{address} is pod {found.name} of namespace {found.namespace}, which is reached inside the cluster"
            yield Hop(HopKind.DESTINATION, found.id, Passage.ALLOWED, says, evidence=(found.at(Pod.pod_ip),))
            return True
        says = f"{address} is a pod of the cluster, and none that was read has it"
    else:
        return False
    if not held:
        evidence = (cluster.at(ManagedCluster.service_cidr), cluster.at(ManagedCluster.pod_cidr))
        yield Hop(HopKind.DESTINATION, cluster.id, Passage.UNKNOWN, says, evidence=evidence)
    return True


def _pod_at(cluster: ManagedCluster, address: Address) -> Pod | None:
    """The pod with an address of its own."""
    pods = cluster.estate.within(Pod, cluster.id)
    return next((pod for pod in pods if pod.pod_ip == str(address) and not pod.host_network and not pod.over), None)
