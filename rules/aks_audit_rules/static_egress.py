"""Whether pods that ask for AKS's static egress gateway get one, and under which addresses they leave by it."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from aks_audit.facts import AgentPool, Evidence, ManagedCluster, NotCollected
from aks_audit.facts.networking import PublicIPPrefix
from aks_audit.facts.static_egress import GATEWAY_CONFIGURATION, StaticGatewayConfiguration, configuration_of
from aks_audit.facts.workloads import Pod
from aks_audit.results import Outcome, Verdict
from aks_audit.rule import each, fails, not_applicable, passes

_NAMED = 3
_ESCAPE = "network policies do not hold what leaves by it"


def static_gateway_serves(cluster: ManagedCluster) -> Verdict:
    """Whether the gateways that pods of a cluster ask for are there, and have addresses."""
    evidence = cluster.at(ManagedCluster.static_egress_gateway_enabled)
    held = cluster.estate.within(Pod, cluster.id)
    asking = [pod for pod in held if not pod.over and GATEWAY_CONFIGURATION in (pod.annotations or {})]
    namespaces = ", ".join(sorted({pod.namespace for pod in asking}))
    shown = (evidence, *_annotated(asking))
    if asking and not cluster.static_egress_gateway_enabled:
        return fails(f"Pods of {namespaces} ask for a static egress gateway, and it is not on", *shown)
    if asking and any(pool.pod_subnet for pool in cluster.pools):
        message = f"Pods of {namespaces} ask for a static egress gateway, which does not serve pod subnets"
        return fails(message, *shown)
    found = each(_one_of_each(asking), lambda pod: _serves(pod, evidence))
    if found.outcome is Outcome.FAIL:
        return found
    held.whole()
    return found if asking else not_applicable("No pod asks for a static egress gateway", evidence)


def _annotated(pods: Iterable[Pod]) -> Iterator[Evidence]:
    for pod in list(pods)[:_NAMED]:
        yield pod.at(Pod.annotations)


def _one_of_each(pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """One pod for all that ask for the same gateway in the same way."""
    found = {
        (pod.namespace, (pod.annotations or {})[GATEWAY_CONFIGURATION], bool(pod.host_network)): pod for pod in pods
    }
    return tuple(found.values())


def _serves(pod: Pod, enabled: Evidence) -> Verdict:
    wanted = f"{pod.namespace}/{(pod.annotations or {})[GATEWAY_CONFIGURATION]}"
    asks = pod.at(Pod.annotations)
    if pod.host_network:
        message = f"Pod {pod.name} asks for the gateway {wanted}, which serves no pod of its node's network"
        return fails(message, asks, pod.at(Pod.host_network))
    configuration = configuration_of(pod)
    if configuration is None:
        message = f"Pods of {pod.namespace} ask for the gateway {wanted}, and there is no such configuration"
        return fails(message, asks, enabled)
    by = configuration.at(StaticGatewayConfiguration.pool_name)
    pool = configuration.pool
    if pool is None:
        named = configuration.pool_name or configuration.scale_set_name
        return fails(f"The gateway {wanted} is to be of {named}, which is no pool of mode Gateway", asks, by)
    shown = (asks, by, configuration.at(StaticGatewayConfiguration.egress_ip_prefix), pool.at(AgentPool.mode))
    if not configuration.addresses:
        return fails(f"The gateway {wanted} has no address that pods could leave under", *shown)
    stale = _stale(configuration)
    if stale:
        return fails(f"The gateway {wanted} is to leave under {stale.prefix}, and has other addresses", *shown)
    under = ", ".join(map(str, configuration.addresses))
    kind = "" if configuration.is_public else "the private addresses "
    return passes(f"Pods that ask for {wanted} leave by pool {pool.name} under {kind}{under}; {_ESCAPE}", *shown)


def _stale(configuration: StaticGatewayConfiguration) -> PublicIPPrefix | None:
    """The prefix that a gateway is to have, where Azure says that it is none of the gateway's addresses."""
    wanted = configuration.public_ip_prefix
    with suppress(NotCollected):  # the gateway's own word stands, where nobody read the prefix
        prefix = wanted.read() if wanted else None
        return prefix if prefix and prefix.prefix and prefix.prefix not in configuration.addresses else None
    return None
