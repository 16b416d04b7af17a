"""Pods that leave through AKS's static egress gateway: which of their connections, by which nodes, as which addresses.

Network policies do not hold what leaves by it (https://learn.microsoft.com/azure/aks/configure-static-egress-gateway).
The node plugin lets further ranges past it, beside those of the configuration, which no object tells
(https://github.com/Azure/kube-egress-gateway, cmd/kube-egress-cni/main.go): where a private address goes is unknown.
"""

from ipaddress import ip_network
from typing import NamedTuple

from aks_audit.facts import AgentPool, ManagedCluster, Missing, NotCollected
from aks_audit.facts.static_egress import GATEWAY_CONFIGURATION, StaticGatewayConfiguration, configuration_of
from aks_audit.facts.workloads import Pod
from aks_audit.network.addresses import PUBLIC, AddressSet
from aks_audit.network.destinations import PLATFORM
from aks_audit.network.flows import Address, Destination, Passage
from aks_audit.network.hops import Hop, HopKind, Steps
from aks_audit.network.masquerade import own_ranges
from aks_audit.network.origins import Origin, node_subnet


class Way(NamedTuple):
    """How a connection leaves its pod: by the gateway, on a node of whose pool it goes on, or past any (None)."""

    gateway: StaticGatewayConfiguration | None = None
    origin: Origin | None = None


_PAST = Way()


def way_of(origin: Origin, destination: Destination) -> Steps[Way | None]:
    """Whether a pod's connection leaves through a static egress gateway; None: that cannot be told, and a hop says so.

    Raises:
        NotCollected: the configuration or its pool was not read, is not there, or has no addresses yet.
        Malformed: they cannot be read.
    """
    pod, cluster = origin.pod, origin.cluster
    if pod is None or GATEWAY_CONFIGURATION not in (pod.annotations or {}) or not cluster.static_egress_gateway_enabled:
        return _PAST
    if destination.address is not None and _stays(cluster, destination.address):
        return _PAST
    found = configuration_of(pod)
    if found is None:
        wanted = (pod.annotations or {})[GATEWAY_CONFIGURATION]
        reason = f"the static egress gateway {wanted} that pod {pod.name} asks for is not in its namespace"
        raise _absent(pod.id, reason)
    takes = _takes(found, destination)
    if takes is None:
        says = f"Whether static egress gateway {found.name} takes it hangs on what is not known: {_doubt(destination)}"
        evidence = (pod.at(Pod.annotations), found.at(StaticGatewayConfiguration.exceptions))
        yield Hop(HopKind.MASQUERADE, found.id, Passage.UNKNOWN, says, evidence=evidence)
        return None
    if not takes:
        return _PAST
    pool = found.pool
    if pool is None or not found.addresses:
        lacks = "has no pool of mode Gateway" if pool is None else "has no addresses yet"
        raise _absent(found.id, f"static egress gateway {found.name} of {found.namespace} {lacks}")
    yield from _hops(found, pod, pool)
    return Way(found, Origin(cluster, pool, node_subnet(cluster, pool), None))


def _hops(gateway: StaticGatewayConfiguration, pod: Pod, pool: AgentPool) -> Steps[None]:
    asks = pod.at(Pod.annotations)
    name = f"{gateway.namespace}/{gateway.name}"
    says = f"Network policies do not hold what leaves through static egress gateway {name}"
    yield Hop(HopKind.NETWORK_POLICY, gateway.id, Passage.ALLOWED, says, evidence=(asks,))
    fields = (StaticGatewayConfiguration.pool_name, StaticGatewayConfiguration.egress_ip_prefix)
    evidence = (asks, *map(gateway.at, fields))
    addresses = ", ".join(map(str, gateway.addresses))
    says = f"Static egress gateway {name} takes it to a node of pool {pool.name}, to leave as {addresses}"
    yield Hop(HopKind.MASQUERADE, gateway.id, None, says, f"gateway {name}", evidence)


def _takes(gateway: StaticGatewayConfiguration, destination: Destination) -> bool | None:
    """Whether a gateway takes a connection; None where that is not known."""
    exceptions = AddressSet.of(gateway.exceptions or ())
    if destination.address is not None:
        listed = _covers(exceptions, destination.address)
        if not gateway.by_default or listed:
            return listed is not gateway.by_default
        return True if _covers(PUBLIC, destination.address) else None
    public = AddressSet(PUBLIC.v4)
    if exceptions.covers(public):
        return not gateway.by_default
    return None if destination.name and exceptions.overlaps(public) else gateway.by_default


def _stays(cluster: ManagedCluster, address: Address) -> bool:
    """Whether an address is of the node or inside the cluster, where no gateway leads."""
    return address in PLATFORM or _covers(own_ranges(cluster), address)


def _doubt(destination: Destination) -> str:
    if destination.address is not None:
        return f"which private ranges AKS lets past it, {destination.address} among them or not"
    return f"the address of {destination.name}"


def _covers(ranges: AddressSet, address: Address) -> bool:
    return ranges.covers(AddressSet.of([ip_network(address)]))


def _absent(what: str, reason: str) -> NotCollected:
    return NotCollected(Missing(what=what, kind="not-sent", reason=reason))
